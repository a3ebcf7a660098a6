// SPDX-License-Identifier: Apache-2.0
//
// tokproc flash --partial: a partial bitstream into a board that runs its design.
//
// Unproven on silicon, and said so each time: docs/bitstream.md lists what to try first.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boards.h"
#include "flash_partial.h"
#include "programmer.h"

static const char unproven[] =
    "unproven on silicon: try the list in docs/bitstream.md, \"On a board\", first";

struct partial_flash {
    const char *file;
    tp_bitstream *bits;
    struct tp_bitstream_facts facts;
    struct tp_board_info board;
    struct cable cable;
    struct programmer_run run;
};

static int complain(const char *what, const char *try)
{
    fprintf(stderr, "tokproc: %s%s%s\n", what, try[0] != 0 ? " - try: " : "", try);
    return EXIT_FAILED;
}

// The file is sound, partial, and of the design of its board.
static int check_file(struct partial_flash *f, const struct options *options)
{
    struct options with_board = *options;
    struct tp_error error = {.status = TP_OK};
    char map[MAP_PATH_BYTES];
    if (tp_bitstream_open(f->file, &f->bits, NULL, &error) != TP_OK) {
        return failed(&error);
    }
    tp_bitstream_get_facts(f->bits, &f->facts);
    if (!f->facts.partial) {
        return complain("that is a whole bitstream", "tokproc pack --partial, or flash without it");
    }
    if (!board_of_idcode(f->facts.idcode, &f->board)) {
        return complain("the bitstream is for an FPGA that is of no board here", "tokproc plan");
    }
    if (options->board != NULL && strcmp(options->board, f->board.name) != 0) {
        char text[2 * TP_NAME_BYTES];
        (void)snprintf(text, sizeof text, "the bitstream is for %.60s", f->board.name);
        return complain(text, "another --board, or tokproc pack");
    }
    with_board.board = f->board.name;
    find_map(&with_board, map);
    if (!has_map(map, f->board.name)) {
        return EXIT_FAILED;
    }
    return tp_bitstream_use_map(f->bits, map, NULL, &error) == TP_OK ? EXIT_OK : failed(&error);
}

// Without the option of background reconfiguration the recipe's first step restarts the FPGA.
static int check_base(const struct partial_flash *f, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_bitstream_facts facts;
    struct board_bits bits;
    tp_bitstream *base = NULL;
    if (read_bits(options, f->board.name, &bits, &error) != TP_OK ||
        tp_bitstream_open(bits.path, &base, NULL, &error) != TP_OK) {
        return failed(&error);
    }
    tp_bitstream_get_facts(base, &facts);
    tp_bitstream_close(base);
    if (!facts.background) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "the bitstream of %.60s was not built for background reconfiguration "
                       "(control register %08" PRIx32 "): the FPGA would start anew from its flash",
                       f->board.name, facts.control);
        return complain(text, "tokproc pack --full");
    }
    return EXIT_OK;
}

static int give_up(const struct programmer_run *run)
{
    if (interrupted()) {
        (void)complain("interrupted; nothing was written", "");
        return EXIT_INTERRUPTED;
    }
    programmer_show(run);
    return complain(run->text, "");
}

static int check_board(struct partial_flash *f, const struct options *options)
{
    char version[TP_NAME_BYTES];
    char text[PROGRAMMER_TEXT_BYTES];
    uint32_t idcode = 0;
    if (!programmer_find(version, &f->run)) {
        return give_up(&f->run);
    }
    if (!cable_choose(options, &f->cable, text, sizeof text)) {
        return complain(text, "");
    }
    if (!programmer_detect(options, &f->cable, &idcode, &f->run)) {
        return give_up(&f->run);
    }
    if (idcode != f->facts.idcode) {
        (void)snprintf(text, sizeof text,
                       "the FPGA on the cable has IDCODE 0x%08" PRIx32
                       ", this bitstream is for an %.32s (0x%08" PRIx32 "); nothing was written",
                       idcode, f->facts.part, f->facts.idcode);
        return complain(text, "tokproc pack --board of that one");
    }
    return EXIT_OK;
}

static int write_svf(struct partial_flash *f, const struct options *options, const char *path)
{
    struct tp_error error = {.status = TP_OK};
    char command[2 * SHIPPED_BYTES];
    if (options->dry_run) {
        programmer_command(options, &f->cable, path, command, sizeof command);
        printf("%s: all is right, nothing was written; would run: %s (%s)\n", f->board.name,
               command, unproven);
        return EXIT_OK;
    }
    if (tp_bitstream_write_svf(f->bits, path, &error) != TP_OK) {
        return failed(&error);
    }
    if (!programmer_write(options, &f->cable, path, &f->run)) {
        programmer_show(&f->run);
        (void)complain(f->run.text, "");
        return complain("what the block RAMs hold now is not known",
                        "tokproc flash, which loads the whole design again");
    }
    printf("%s: %" PRIu32 " block RAMs were sent; %s\n", f->board.name, f->facts.block_rams,
           unproven);
    return EXIT_OK;
}

static int play(struct partial_flash *f, const struct options *options)
{
    char folder[] = "/tmp/tokproc-svf-XXXXXX";
    char path[sizeof folder + 16];
    if (mkdtemp(folder) == NULL) {
        return complain("no folder can be made in /tmp", "");
    }
    (void)snprintf(path, sizeof path, "%s/partial.svf", folder);
    int status = write_svf(f, options, path);
    (void)unlink(path);
    (void)rmdir(folder);
    return status;
}

int flash_partial(const struct options *options)
{
    struct partial_flash f = {.file = options->arguments[0]};
    if (options->argument_count != 1 || options->permanent) {
        (void)complain("--partial wants one file, and no --permanent",
                       "tokproc flash --partial FILE.bit");
        return EXIT_USAGE;
    }
    if (!options->quiet) {
        fprintf(stderr, "note: partial bitstreams on a board are %s\n", unproven);
    }
    int status = check_file(&f, options);
    status = status == EXIT_OK ? check_base(&f, options) : status;
    status = status == EXIT_OK ? check_board(&f, options) : status;
    status = status == EXIT_OK ? play(&f, options) : status;
    tp_bitstream_close(f.bits);
    return status;
}

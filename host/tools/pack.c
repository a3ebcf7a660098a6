// SPDX-License-Identifier: Apache-2.0
//
// tokproc pack: a model as a bitstream of a board.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "boards.h"
#include "verbs.h"

static int check_options(const struct options *options)
{
    if (options->output == NULL || options->board == NULL) {
        fprintf(stderr, "tokproc: which board, and which file to write? - try: --board ulx3s-85f "
                        "-o model.bit\n");
        return EXIT_USAGE;
    }
    if (options->full + options->partial + (options->from != NULL) > 1) {
        fprintf(stderr, "tokproc: one of --full, --partial and --from\n");
        return EXIT_USAGE;
    }
    return check_replaced(options->output, options);
}

static int print_report(const struct options *options, const struct tp_pack_report *report)
{
    if (options->json) {
        json_t *spaces = json_object();
        for (uint32_t i = 0; i < report->space_count; i++) {
            const struct tp_pack_space *s = &report->spaces[i];
            (void)json_object_set_new(
                spaces, s->name,
                json_pack("{s:I, s:b}", "words", (json_int_t)s->words, "packed", (int)s->packed));
        }
        return print_json(json_pack("{s:s, s:s, s:I, s:i, s:f, s:o}", "file", options->output,
                                    "base", report->base, "bytes", (json_int_t)report->bytes,
                                    "block_rams", (int)report->block_rams, "seconds",
                                    report->seconds, "spaces", spaces));
    }
    if (options->quiet) {
        return EXIT_OK;
    }
    printf("%s: %" PRIu64 " bytes, %" PRIu32 " block RAMs of the model, base %.8s..., in %.1f ms\n",
           options->output, report->bytes, report->block_rams, report->base, 1e3 * report->seconds);
    for (uint32_t i = 0; i < report->space_count; i++) {
        const struct tp_pack_space *s = &report->spaces[i];
        printf("%-10s %8" PRIu64 " words  %s\n", s->name, s->words,
               s->packed ? "packed" : "in no block RAM: the link writes them");
    }
    return EXIT_OK;
}

static int pack(struct work *work, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_pack_report report;
    char folder[SHIPPED_BYTES];
    char root[SHIPPED_BYTES];
    char map[MAP_PATH_BYTES];
    char bits[SHIPPED_BYTES + 2 * TP_NAME_BYTES];
    bool is_full = !options->partial && options->from == NULL;
    find_map(options, map);
    find_bitstreams(options, folder, root);
    (void)snprintf(bits, sizeof bits, "%s/%s/tokproc.bit", folder, options->board);
    if (!has_map(map, options->board)) {
        return EXIT_FAILED;
    }
    const struct tp_pack_options pack_options = {.map = map,
                                                 .bits = is_full ? bits : NULL,
                                                 .from = options->from,
                                                 .output = options->output};
    return tp_device_pack(work->device, &pack_options, &report, &error) == TP_OK
               ? print_report(options, &report)
               : failed(&error);
}

int verb_pack(const struct options *options)
{
    struct work work = {0};
    struct tp_board_info board;
    struct options with_board = *options;
    int status = check_options(options);
    if (status != EXIT_OK) {
        return status;
    }
    if (!find_board(options->board, &board) || !has_core(&board)) {
        return EXIT_USAGE;
    }
    // The image is that of the board's configuration; --config is for maps of other designs.
    with_board.config = options->config != NULL ? options->config : board.configuration;
    status = work_open_model(&work, options);
    if (status == EXIT_OK) {
        status = work_choose_device(&work, &with_board, 0, "emu");
    }
    status = status == EXIT_OK ? work_load(&work, options) : status;
    status = status == EXIT_OK ? pack(&work, options) : status;
    work_close(&work);
    return status;
}

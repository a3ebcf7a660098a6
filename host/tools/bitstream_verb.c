// SPDX-License-Identifier: Apache-2.0
//
// tokproc bitstream: what is in a bitstream, what differs between two, the words of its memories.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boards.h"
#include "verbs.h"

// One line for the fault, in place of the result.
static int refused(const struct options *options, const char *path, const char *fault,
                   const struct tp_error *error)
{
    if (options->json) {
        (void)print_json(json_pack("{s:s, s:b, s:s, s:s}", "file", path, "sound", 0, "fault", fault,
                                   "message", error->text));
    }
    return failed(error);
}

// The map that was asked for, else the one beside the file; false: there is none to use.
static bool choose_map(const struct options *options, const char *file, char path[MAP_PATH_BYTES])
{
    const char *slash = strrchr(file, '/');
    if (options->no_map) {
        return false;
    }
    if (options->map != NULL || options->board != NULL) {
        find_map(options, path);
        return true;
    }
    int size = snprintf(path, MAP_PATH_BYTES, "%.*smap",
                        slash != NULL ? (int)(slash + 1 - file) : 0, file);
    return size < MAP_PATH_BYTES && access(path, R_OK) == 0;
}

// Opens a bitstream, with its map where there is one.
static int open_bitstream(const struct options *options, const char *path, tp_bitstream **bitstream)
{
    struct tp_error error = {.status = TP_OK};
    char map[MAP_PATH_BYTES];
    const char *fault;
    if (tp_bitstream_open(path, bitstream, &fault, &error) != TP_OK) {
        return refused(options, path, fault, &error);
    }
    bool uses_map = choose_map(options, path, map);
    if (uses_map && options->map == NULL && options->board != NULL &&
        !has_map(map, options->board)) {
        tp_bitstream_close(*bitstream);
        return EXIT_FAILED;
    }
    if (uses_map && tp_bitstream_use_map(*bitstream, map, &fault, &error) != TP_OK) {
        tp_bitstream_close(*bitstream);
        return refused(options, path, fault, &error);
    }
    return EXIT_OK;
}

// ---- info and check ----

static json_t *commands_json(const tp_bitstream *bitstream)
{
    struct tp_bitstream_command c;
    json_t *array = json_array();
    for (size_t i = 0; tp_bitstream_get_command(bitstream, i, &c) == TP_OK; i++) {
        (void)json_array_append_new(
            array, json_pack("{s:I, s:I, s:i, s:i, s:i, s:I, s:i, s:s}", "offset",
                             (json_int_t)c.offset, "bytes", (json_int_t)c.bytes, "opcode",
                             (int)c.opcode, "flags", (int)c.flags, "count", (int)c.count, "operand",
                             (json_int_t)c.operand, "crcs", (int)c.crcs, "text", c.text));
    }
    return array;
}

static json_t *memories_json(const tp_bitstream *bitstream)
{
    struct tp_bitstream_memory m;
    json_t *array = json_array();
    for (size_t i = 0; tp_bitstream_get_memory(bitstream, i, &m) == TP_OK; i++) {
        (void)json_array_append_new(array, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "name",
                                                     m.name, "space", m.space, "index",
                                                     (int)m.index, "words", (int)m.words, "bits",
                                                     (int)m.bits, "block_rams", (int)m.block_rams,
                                                     "block_rams_here", (int)m.block_rams_here));
    }
    return array;
}

static int print_facts_json(const tp_bitstream *bitstream, const struct options *options)
{
    struct tp_bitstream_facts f;
    tp_bitstream_get_facts(bitstream, &f);
    json_t *object = json_pack(
        "{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:i, s:i, s:i, s:i, s:i, s:I, "
        "s:I, s:I, s:o, s:o}",
        "file", options->arguments[1], "sound", 1, "fault", "none", "message", "", "part", f.part,
        "text", f.text, "base", f.base, "board", f.board, "partial", (int)f.partial, "compressed",
        (int)f.compressed, "canonical", (int)f.canonical, "frames", (int)f.frames, "frames_of_part",
        (int)f.frames_of_part, "block_rams", (int)f.block_rams, "block_rams_of_part",
        (int)f.block_rams_of_part, "crcs", (int)f.crcs, "bytes", (json_int_t)f.bytes, "idcode",
        (json_int_t)f.idcode, "usercode", (json_int_t)f.usercode, "commands",
        commands_json(bitstream), "memories", memories_json(bitstream));
    return print_json(object);
}

static void print_memories(const tp_bitstream *bitstream)
{
    struct tp_bitstream_memory m;
    printf("\n%6s %5s %9s  %-10s %s\n", "words", "bits", "block RAM", "space", "memory");
    for (size_t i = 0; tp_bitstream_get_memory(bitstream, i, &m) == TP_OK; i++) {
        char space[TP_NAME_BYTES + 16];
        (void)snprintf(space, sizeof space, strcmp(m.space, "-") == 0 ? "-" : "%s %" PRIu32,
                       m.space, m.index);
        printf("%6" PRIu32 " %5" PRIu32 " %3" PRIu32 " of %2" PRIu32 "  %-10s %s\n", m.words,
               m.bits, m.block_rams_here, m.block_rams, space, m.name);
    }
}

static int print_facts(const tp_bitstream *bitstream, const struct options *options)
{
    struct tp_bitstream_facts f;
    tp_bitstream_get_facts(bitstream, &f);
    if (options->json) {
        return print_facts_json(bitstream, options);
    }
    printf("%s stream for an %s (IDCODE %08" PRIx32 "), %" PRIu64 " bytes: %s\n",
           f.partial      ? "partial"
           : f.compressed ? "full, compressed"
                          : "full",
           f.part, f.idcode, f.bytes, f.text);
    printf("%" PRIu32 " of %" PRIu32 " frames, %" PRIu32 " block RAMs of %" PRIu32 ", %" PRIu32
           " CRCs right\n",
           f.frames, f.frames_of_part, f.block_rams, f.block_rams_of_part, f.crcs);
    if (!f.partial) {
        printf("control register %08" PRIx32 ", USERCODE %08" PRIx32 "; ecppack writes %s bytes\n",
               f.control, f.usercode, f.canonical ? "the same" : "other");
    }
    if (f.base[0] != 0) {
        printf("base %s\n", f.base);
    }
    if (f.memories != 0) {
        printf("map of %s: fits\n", f.board);
        print_memories(bitstream);
    } else {
        printf("no map: block RAMs have numbers only - try: make bitstream-map, or --map FILE\n");
    }
    return EXIT_OK;
}

static void print_commands(const tp_bitstream *bitstream)
{
    struct tp_bitstream_command c;
    printf("\n%8s %8s %5s  %s\n", "offset", "bytes", "CRCs", "command");
    for (size_t i = 0; tp_bitstream_get_command(bitstream, i, &c) == TP_OK; i++) {
        printf("%8" PRIx64 " %8" PRIu64 " %5" PRIu32 "  %02" PRIx32 " %02" PRIx32 " %04" PRIx32
               " %08" PRIx32 "  %s\n",
               c.offset, c.bytes, c.crcs, c.opcode, c.flags, c.count, c.operand, c.text);
    }
}

static int run_info(const struct options *options, bool is_check)
{
    tp_bitstream *bitstream = NULL;
    int status = open_bitstream(options, options->arguments[1], &bitstream);
    if (status != EXIT_OK) {
        return status;
    }
    status = print_facts(bitstream, options);
    if (is_check && !options->json && !options->quiet) {
        print_commands(bitstream);
    }
    tp_bitstream_close(bitstream);
    return status;
}

// ---- diff ----

static json_t *blocks_json(const tp_bitstream *a, const struct tp_bitstream_difference *difference)
{
    struct tp_bitstream_block block;
    json_t *array = json_array();
    for (uint32_t id = 0; tp_bitstream_get_block(a, id, &block) == TP_OK; id++) {
        if (difference->words[id] != 0) {
            (void)json_array_append_new(array, json_pack("{s:i, s:i, s:s, s:s}", "id", (int)id,
                                                         "words", (int)difference->words[id],
                                                         "name", block.name, "site", block.site));
        }
    }
    return array;
}

static int print_difference(const tp_bitstream *a, const struct tp_bitstream_difference *d,
                            const struct options *options)
{
    struct tp_bitstream_block block;
    bool is_same = !d->control && !d->usercode && d->frames == 0 && d->block_rams == 0;
    if (options->json) {
        int status =
            print_json(json_pack("{s:b, s:b, s:b, s:i, s:o}", "same", (int)is_same, "control",
                                 (int)d->control, "usercode", (int)d->usercode, "frames",
                                 (int)d->frames, "block_rams", blocks_json(a, d)));
        return status == EXIT_OK && !is_same ? EXIT_FAILED : status;
    }
    if (is_same) {
        printf("no difference\n");
        return EXIT_OK;
    }
    printf("%s%s%" PRIu32 " frames", d->control ? "control register, " : "",
           d->usercode ? "USERCODE, " : "", d->frames);
    if (d->frames != 0) {
        printf(" (%" PRIu32 " to %" PRIu32 ")", d->frame_first, d->frame_last);
    }
    printf(", %" PRIu32 " block RAMs\n", d->block_rams);
    for (uint32_t id = 0; tp_bitstream_get_block(a, id, &block) == TP_OK; id++) {
        if (d->words[id] != 0) {
            printf("block RAM %4" PRIu32 ": %4u of 2048 words of 9 bits  %s %s\n", id, d->words[id],
                   block.site, block.name);
        }
    }
    return EXIT_FAILED;
}

static int run_diff(const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_bitstream_difference difference;
    tp_bitstream *a = NULL;
    tp_bitstream *b = NULL;
    int status = open_bitstream(options, options->arguments[1], &a);
    if (status != EXIT_OK) {
        return status;
    }
    status = open_bitstream(options, options->arguments[2], &b);
    if (status == EXIT_OK && tp_bitstream_compare(a, b, &difference, &error) != TP_OK) {
        status = failed(&error);
    } else if (status == EXIT_OK) {
        status = print_difference(a, &difference, options);
    }
    tp_bitstream_close(b);
    tp_bitstream_close(a);
    return status;
}

// ---- read ----

// A word as hexadecimal digits, the highest first.
static void format_word(const uint8_t *value, uint32_t bits, char *text)
{
    size_t used = 0;
    for (uint32_t digit = (bits + 3) / 4; digit-- > 0;) {
        text[used++] = "0123456789abcdef"[value[digit / 2] >> 4 * (digit % 2) & 15];
    }
    text[used] = 0;
}

static json_t *words_json(const tp_bitstream *bitstream, size_t index,
                          const struct tp_bitstream_memory *m)
{
    uint8_t value[TP_BITSTREAM_WORD_BYTES];
    char text[2 * TP_BITSTREAM_WORD_BYTES + 1];
    json_t *words = json_array();
    for (uint32_t i = 0; tp_bitstream_read_word(bitstream, index, i, value) == TP_OK; i++) {
        format_word(value, m->bits, text);
        (void)json_array_append_new(words, json_string(text));
    }
    return words;
}

static void print_words(const tp_bitstream *bitstream, size_t index,
                        const struct tp_bitstream_memory *m)
{
    uint8_t value[TP_BITSTREAM_WORD_BYTES];
    char text[2 * TP_BITSTREAM_WORD_BYTES + 1];
    printf("# %s: %" PRIu32 " words of %" PRIu32 " bits\n", m->name, m->words, m->bits);
    for (uint32_t i = 0; tp_bitstream_read_word(bitstream, index, i, value) == TP_OK; i++) {
        format_word(value, m->bits, text);
        printf("%s\n", text);
    }
}

static int print_contents(const tp_bitstream *bitstream, const struct options *options)
{
    struct tp_bitstream_memory m;
    json_t *object = json_object();
    size_t count = 0;
    for (size_t i = 0; tp_bitstream_get_memory(bitstream, i, &m) == TP_OK; i++) {
        if (m.block_rams_here == 0 ||
            (options->memory != NULL && strstr(m.name, options->memory) == NULL)) {
            continue;
        }
        count++;
        if (options->json) {
            (void)json_object_set_new(object, m.name, words_json(bitstream, i, &m));
        } else {
            print_words(bitstream, i, &m);
        }
    }
    if (count == 0) {
        fprintf(stderr, "tokproc: no memory in %s has such a name - try: tokproc bitstream info\n",
                options->arguments[1]);
        json_decref(object);
        return EXIT_FAILED;
    }
    if (options->json) {
        return print_json(object);
    }
    json_decref(object);
    return EXIT_OK;
}

static int run_read(const struct options *options)
{
    struct tp_bitstream_facts facts;
    tp_bitstream *bitstream = NULL;
    int status = open_bitstream(options, options->arguments[1], &bitstream);
    if (status != EXIT_OK) {
        return status;
    }
    tp_bitstream_get_facts(bitstream, &facts);
    if (facts.memories == 0) {
        fprintf(stderr,
                "tokproc: reading needs the map of the design - try: make bitstream-map, or "
                "--map FILE\n");
        status = EXIT_USAGE;
    } else {
        status = print_contents(bitstream, options);
    }
    tp_bitstream_close(bitstream);
    return status;
}

int verb_bitstream(const struct options *options)
{
    const char *what = options->argument_count > 0 ? options->arguments[0] : "";
    bool is_diff = strcmp(what, "diff") == 0;
    bool is_check = strcmp(what, "check") == 0;
    if (options->argument_count == (is_diff ? 3 : 2)) {
        if (is_diff) {
            return run_diff(options);
        }
        if (is_check || strcmp(what, "info") == 0) {
            return run_info(options, is_check);
        }
        if (strcmp(what, "read") == 0) {
            return run_read(options);
        }
    }
    fprintf(stderr, "tokproc bitstream: info, check, read and a file, or diff and two files - try: "
                    "tokproc bitstream --help\n");
    return EXIT_USAGE;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about maps of designs: a map is read, or refused with its line; words of memories go to
// the bits of block RAMs where each width has them, and come back; a model that is packed, whole or
// as a partial stream, has each word that the link would write where its unit reads it, and nothing
// else is changed; what differs from another bitstream is all that --from writes; a stream that is
// not of the map's design is refused, each reason with its name, every bit error of the base
// included.
//
// With a made design of configuration "small". The places of bits were found on bitstreams of
// ecppack (test_ecp5_contents.py); that units read their words there is the claim of their tests.

#include "block_map.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "internal.h"
#include "made_model.h"
#include "random.h"

enum { TEXT_BYTES = 1 << 16, PATH_BYTES = 64, IDCODE = 0x41111043, OWN_ID = 900 };

static struct tp_error error;
static char text[TEXT_BYTES];
static size_t text_size;
static struct tp_block_map map;

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text + text_size, TEXT_BYTES - text_size, format, arguments);
    va_end(arguments);
    ck_assert(size >= 0 && text_size + (size_t)size < TEXT_BYTES);
    text_size += (size_t)size;
}

static void add_head(const char *base)
{
    text_size = 0;
    add("# a comment\nversion 1\nboard made\npart LFE5U-25F %08x\nusercode 12345678\nbase %s\n",
        IDCODE, base);
}

static tp_status parse(void)
{
    error.text[0] = 0;
    return tp__map_parse(text, text_size, "made", &map, &error);
}

static const char hash[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

// ---- the text ----

START_TEST(a_map_is_read)
{
    add_head(hash);
    add("memory weight 3 u_core.u_weights[0]\nblock 7 9 X4/Y1/EBR0 0 0\nblock 9 9 X4/Y1/EBR1 0 9\n"
        "block 8 36 X4/Y1/EBR2 2048 0\n\nmemory - 0 u_kv\nblock 3 1 X6/Y1/EBR0 0 0\n");
    ck_assert_msg(parse() == TP_OK, "%s", error.text);
    ck_assert_str_eq(map.board, "made");
    ck_assert_str_eq(map.base, hash);
    ck_assert_uint_eq(map.usercode, 0x12345678);
    ck_assert_uint_eq(map.memory_count, 2);
    ck_assert_uint_eq(map.block_count, 4);
    ck_assert_uint_eq(map.groups, 0);  // no weight 0
    const struct tp_map_memory *memory = tp__map_find(&map, TP_SPACE_WEIGHT, 3);
    ck_assert_ptr_eq(memory, &map.memories[0]);
    ck_assert_uint_eq(memory->words, 2560);
    ck_assert_uint_eq(memory->bits, 36);
    ck_assert_uint_eq(map.memories[1].words, 16384);
    ck_assert_str_eq(map.blocks[2].site, "X4/Y1/EBR2");
}
END_TEST

START_TEST(a_damaged_map_is_refused_with_its_line)
{
    static const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"version 1\n", "line 7"},
        {"nonsense\n", "belongs here"},
        {"block 3 36 X 0 0\n", "behind a memory"},
        {"memory weight 0\n", "memory SPACE INDEX NAME"},
        {"memory weigth 0 a\n", "no memory space"},
        {"memory weight -1 a\n", "memory SPACE"},
        {"memory gain 0 a\n", "without a memory and its blocks"},
        {"memory gain 0 a\nmemory gain 1 b\n", "has no blocks"},
        {"memory gain 0 a\nblock 3 36 X 0 0\nmemory gain 0 a\n", "two of one space"},
        {"memory gain 0 a\nblock 1024 36 X 0 0\n", "block ID WIDTH"},
        {"memory gain 0 a\nblock 3 12 X 0 0\n", "no block RAM has that width"},
        {"memory gain 0 a\nblock 3 36 X 0 500\n", "too wide"},
        {"memory gain 0 a\nblock 3 36 X 0 0 0\n", "block ID WIDTH"},
        {"memory gain 0 a\nblock 3 36 X 0 0\nblock 3 36 X 512 0\n", "two with one id"},
        {"memory gain 0 a\nblock 3 36 X 0 0\nblock 4 18 X 511 18\n", "hold the same bits"},
        {"memory gain 0 a\nblock 3 36 X 0 0", "does not end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        add_head(hash);
        add("%s", cases[i].line);
        ck_assert_int_eq(parse(), TP_ERROR_FORMAT);
        ck_assert_msg(strstr(error.text, cases[i].words) != NULL, "%zu: %s", i, error.text);
    }
    // The head: each line once, in order, of a known part.
    static const char *const heads[] = {
        "version 2\n",
        "board a\n",
        "version 1\npart LFE5U-25F 41111043\n",
        "version 1\nboard a\npart LFE5U-45F 41111043\n",
        "version 1\nboard a b\n",
        "version 1\nboard a\npart LFE5U-25F 41111043\nusercode x\n",
        "version 1\nboard a\npart LFE5U-25F 41111043\nusercode 1\nbase 12\n"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        text_size = 0;
        add("%s", heads[i]);
        ck_assert_int_eq(parse(), TP_ERROR_FORMAT);
    }
    // No cut of a sound map is taken, but one at the end of a line behind a block.
    add_head(hash);
    add("memory weight 0 a\nblock 7 9 X 0 0\nblock 8 36 X 2048 0\n");
    size_t whole = text_size;
    for (text_size = 0; text_size < whole; text_size++) {
        bool is_end = text_size > 0 && text[text_size - 1] == '\n' &&
                      strstr(text, "block 8") == text + text_size;
        ck_assert_int_eq(parse(), is_end ? TP_OK : TP_ERROR_FORMAT);
    }
}
END_TEST

// ---- words and bits ----

static bool bit_of(const uint8_t *value, uint32_t bit)
{
    return (value[bit / 8] >> bit % 8 & 1) != 0;
}

START_TEST(each_width_has_its_bits_where_block_rams_have_them)
{
    static const uint32_t widths[] = {36, 18, 9, 4, 2, 1};
    static uint8_t values[16384][TP_MAP_WORD_BYTES];
    uint32_t width = widths[_i];
    uint32_t words = width >= 9 ? 18432 / width : 16384 / width;
    struct tp_random random;
    struct tp_configuration configuration = {0};
    tp_random_init(&random, tp_test_seed(_i), 0);
    ck_assert_int_eq(tp__configuration_begin(&configuration, tp__part_of_idcode(IDCODE), &error),
                     TP_OK);
    add_head(hash);
    add("memory - 0 a\nblock 7 %u X 0 0\nblock 5 %u X 0 %u\n", width, width, width);
    ck_assert_msg(parse() == TP_OK, "%s", error.text);
    const struct tp_map_memory *memory = &map.memories[0];
    ck_assert_uint_eq(memory->words, words);
    for (uint32_t i = 0; i < words; i++) {
        tp_random_words(&random, (uint32_t *)(void *)values[i], TP_MAP_WORD_BYTES / 4);
        tp__map_write_word(&map, memory, &configuration, i, values[i]);
    }
    bool is_right = true;
    for (uint32_t i = 0; i < words; i++) {
        uint8_t value[TP_MAP_WORD_BYTES];
        tp__map_read_word(&map, memory, &configuration, i, value);
        for (uint32_t bit = 0; bit < 2 * width; bit++) {
            // Words of nine bits and more lie end to end; of narrower ones eight bits are used.
            const uint16_t *held = configuration.blocks[bit < width ? 7 : 5];
            uint32_t low = bit % width;
            uint16_t word = width >= 9 ? held[i * (width / 9) + low / 9] : held[i * width / 8];
            uint32_t place = width >= 9 ? low % 9 : i * width % 8 + low;
            is_right = is_right && (word >> place & 1) == bit_of(values[i], bit) &&
                       bit_of(value, bit) == bit_of(values[i], bit);
        }
    }
    ck_assert(is_right);
    ck_assert_uint_eq(tp__configuration_block_count(&configuration), 2);
    tp__configuration_free(&configuration);
}
END_TEST

// ---- a made design, and models packed for it ----

static const char *const names[] = {"base", "map", "full", "partial", "other", "changed"};
enum file { BASE, MAP, FULL, PARTIAL, OTHER, CHANGED, FILES };
static char paths[FILES][PATH_BYTES];
static tp_context *context;
static tp_device *device;

static void write_bytes(enum file file, const void *data, size_t size)
{
    FILE *stream = fopen(paths[file], "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(data, 1, size, stream), size);
    ck_assert_int_eq(fclose(stream), 0);
}

static void add_memories(const char *space, uint32_t count, uint32_t width, uint32_t blocks,
                         uint32_t *id)
{
    for (uint32_t i = 0; i < count; i++) {
        add("memory %s %u u_%s[%u]\n", space, i, space, i);
        for (uint32_t b = 0; b < blocks; b++) {
            add("block %u %u X%u 0 %u\n", *id, width, *id, width * b);
            // No order of ids can be relied on.
            *id = (*id * 7 + 3) % 887;
        }
    }
}

// The frames are any; block RAM OWN_ID belongs to no memory space.
static void make_design(uint32_t weights)
{
    struct tp_random random;
    struct tp_configuration made = {0};
    struct tp_bytes bytes;
    char base[TP_DIGEST_TEXT_BYTES];
    uint32_t id = 11;
    tp_random_init(&random, 9, 0);
    ck_assert_int_eq(tp__configuration_begin(&made, tp__part_of_idcode(IDCODE), &error), TP_OK);
    for (uint32_t i = 0; i < made.part->frames; i++) {
        made.frames[(size_t)i * made.part->frame_bytes + i % 70] = (uint8_t)tp_random_u32(&random);
    }
    made.usercode = 0x12345678;
    ck_assert_int_eq(tp__configuration_base(&made, base, &error), TP_OK);
    add_head(base);
    add_memories("weight", weights, 18, 2, &id);
    add_memories("program", 6, 36, 1, &id);
    add_memories("gain", 2, 36, 1, &id);
    add_memories("bias", 2, 36, 1, &id);
    add_memories("centre", 2, 36, 1, &id);
    add("memory - 0 u_kv\nblock %d 36 X 0 0\n", OWN_ID);
    ck_assert_msg(parse() == TP_OK, "%s", error.text);
    for (uint32_t i = 0; i < map.block_count; i++) {
        made.has_block[map.blocks[i].id] = 1;
        made.blocks[map.blocks[i].id][i % TP_BLOCK_WORDS] = 0x155;
    }
    ck_assert_int_eq(tp__stream_write_full(&made, "Part: x", 8, true, &bytes, &error), TP_OK);
    write_bytes(BASE, bytes.data, bytes.size);
    write_bytes(MAP, text, text_size);
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
}

static void load_model(uint64_t seed)
{
    const struct tp_test_model made = {.dim = 32,
                                       .hidden = 64,
                                       .layers = 2,
                                       .heads = 2,
                                       .kv_heads = 1,
                                       .vocab = 90,
                                       .context = 32,
                                       .seed = seed};
    const struct tp_load_options load = {.format = TP_FORMAT_NF4};
    tp_model *model;
    tp_test_open_made_model(context, &made, true, &model);
    ck_assert_msg(tp_device_load(device, model, &load, &error) == TP_OK, "%s", error.text);
    tp_model_close(model);
}

static void set_up(void)
{
    int place = getpid();
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(paths[i], PATH_BYTES, "/tmp/tp_block_map_%d_%s", place, names[i]);
    }
    make_design(8);
    ck_assert_int_eq(tp_context_create(NULL, &context, &error), TP_OK);
    ck_assert_int_eq(tp_device_open(context, "emu:small", &device, &error), TP_OK);
    load_model(1);
}

static void tear_down(void)
{
    tp_device_close(device);
    tp_context_destroy(context);
    for (int i = 0; i < FILES; i++) {
        (void)unlink(paths[i]);
    }
}

static struct tp_pack_report pack(enum file bits, enum file from, enum file output)
{
    struct tp_pack_report report;
    const struct tp_pack_options options = {.map = paths[MAP],
                                            .bits = bits != FILES ? paths[bits] : NULL,
                                            .from = from != FILES ? paths[from] : NULL,
                                            .output = paths[output]};
    ck_assert_msg(tp_device_pack(device, &options, &report, &error) == TP_OK, "%s", error.text);
    return report;
}

static void read_file(enum file file, struct tp_configuration *configuration,
                      struct tp_stream *stream)
{
    struct tp_bytes bytes;
    ck_assert_int_eq(tp__file_read(paths[file], 1 << 24, &bytes, &error), TP_OK);
    *configuration = (struct tp_configuration){0};
    ck_assert_msg(tp__stream_read(bytes.data, bytes.size, names[file], configuration, stream,
                                  &error) == TP_OK,
                  "%s", error.text);
    ck_assert_msg(tp__map_check(&map, configuration, names[file], stream, &error) == TP_OK, "%s",
                  error.text);
    tp__bytes_free(&bytes);
}

// Looks up each word of the image, weights by what tp_weights.sv does with them.
struct search {
    const struct tp_configuration *configuration;
    uint32_t scales;
    uint64_t found;
    uint64_t left;
};

static tp_status find_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                            size_t count, struct tp_error *unused)
{
    struct search *s = user;
    uint32_t word = 0;
    (void)unused;
    const struct tp_limits limits = {.groups = map.groups};
    uint32_t next = address;
    for (uint32_t i = 0; i < count; i++) {
        address = next;
        next = tp_space_next(&limits, space, address);
        uint32_t lane = address % 64;
        if (!tp__map_read(&map, s->configuration, space, address, &word)) {
            s->left++;
            continue;
        }
        ck_assert_uint_eq(word, words[i]);
        s->found++;
        s->scales = space == TP_SPACE_WEIGHT && lane == 0 ? words[i] : s->scales;
        if (space == TP_SPACE_WEIGHT && lane > 0) {
            uint8_t value[TP_MAP_WORD_BYTES];
            uint32_t group = (lane - 1) / 4;
            uint32_t part = (lane - 1) % 4;
            tp__map_read_word(&map, tp__map_find(&map, space, lane - 1), s->configuration,
                              address / 64, value);
            ck_assert_uint_eq(value[4], s->scales >> (8 * group + 2 * part) & 3);
        }
        if (space == TP_SPACE_GAIN) {
            uint8_t value[TP_MAP_WORD_BYTES];
            tp__map_read_word(&map, tp__map_find(&map, space, 1), s->configuration, address, value);
            ck_assert_mem_eq(value, &words[i], 4);  // this machine is little-endian, as the link
        }
    }
    return TP_OK;
}

static uint64_t expect_model(const struct tp_configuration *configuration)
{
    struct search search = {.configuration = configuration};
    ck_assert_int_eq(tp__memory_image_write(device->image, find_words, &search, &error), TP_OK);
    ck_assert_uint_gt(search.found, 1000);
    ck_assert_uint_gt(search.left, 0);
    return search.found;
}

START_TEST(a_packed_model_is_where_its_units_read_it)
{
    struct tp_configuration base;
    struct tp_configuration full;
    struct tp_configuration partial;
    struct tp_stream stream;
    struct tp_pack_report whole = pack(BASE, FILES, FULL);
    struct tp_pack_report part = pack(FILES, FILES, PARTIAL);
    uint64_t packed = 0;
    read_file(BASE, &base, &stream);
    tp__stream_free(&stream);
    read_file(FULL, &full, &stream);
    ck_assert(!stream.is_partial && stream.is_compressed);
    tp__stream_free(&stream);
    read_file(PARTIAL, &partial, &stream);
    ck_assert(stream.is_partial);
    ck_assert_str_eq(stream.base, map.base);
    tp__stream_free(&stream);
    ck_assert_uint_eq(expect_model(&full), expect_model(&partial));
    for (uint32_t i = 0; i < whole.space_count; i++) {
        packed += whole.spaces[i].packed ? whole.spaces[i].words : 0;
        bool is_left = strcmp(whole.spaces[i].name, "frequency") == 0 ||
                       strcmp(whole.spaces[i].name, "codebook") == 0 ||
                       strcmp(whole.spaces[i].name, "page-table") == 0 ||
                       strcmp(whole.spaces[i].name, "register") == 0;
        ck_assert_int_eq(whole.spaces[i].packed, !is_left);
    }
    ck_assert_uint_eq(packed, expect_model(&full));
    // The design is as it was, and so is what the model does not write.
    ck_assert_mem_eq(full.frames, base.frames, (size_t)base.part->frames * base.part->frame_bytes);
    ck_assert_uint_eq(full.usercode, base.usercode);
    ck_assert_mem_eq(full.has_block, base.has_block, sizeof base.has_block);
    ck_assert_mem_eq(full.blocks[OWN_ID], base.blocks[OWN_ID], sizeof *base.blocks);
    ck_assert_uint_eq(partial.has_block[OWN_ID], 0);
    ck_assert_uint_eq(part.block_rams, tp__configuration_block_count(&partial));
    ck_assert_uint_eq(whole.block_rams, part.block_rams);
    ck_assert_uint_eq(part.bytes, 113 + 2318 * part.block_rams);
    ck_assert_uint_le(part.bytes * 100, 2304 * 108 * part.block_rams);
    tp__configuration_free(&base);
    tp__configuration_free(&full);
    tp__configuration_free(&partial);
}
END_TEST

START_TEST(from_writes_what_differs_and_no_more)
{
    struct tp_configuration full;
    struct tp_configuration changed;
    struct tp_stream stream;
    struct tp_pack_report all = pack(BASE, FILES, FULL);
    ck_assert_uint_eq(pack(FILES, FULL, CHANGED).block_rams, 0);
    load_model(2);
    struct tp_pack_report report = pack(FILES, FULL, CHANGED);
    ck_assert(report.block_rams > 0 && report.block_rams < all.block_rams);  // the program is equal
    read_file(FULL, &full, &stream);
    tp__stream_free(&stream);
    read_file(CHANGED, &changed, &stream);
    tp__stream_free(&stream);
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        if (changed.has_block[id] != 0) {
            ck_assert_mem_ne(full.blocks[id], changed.blocks[id], sizeof *full.blocks);
            memcpy(full.blocks[id], changed.blocks[id], sizeof *full.blocks);
        }
    }
    (void)expect_model(&full);
    tp__configuration_free(&full);
    tp__configuration_free(&changed);
}
END_TEST

START_TEST(a_program_sees_what_a_bitstream_holds)
{
    tp_bitstream *full;
    tp_bitstream *partial;
    struct tp_bitstream_facts facts;
    struct tp_bitstream_command command;
    struct tp_bitstream_memory memory;
    struct tp_bitstream_block block;
    struct tp_bitstream_difference difference;
    uint8_t value[TP_BITSTREAM_WORD_BYTES];
    const char *fault = "";
    (void)pack(BASE, FILES, FULL);
    struct tp_pack_report report = pack(FILES, FILES, PARTIAL);
    ck_assert_int_eq(tp_bitstream_open(paths[FULL], &full, &fault, &error), TP_OK);
    ck_assert_str_eq(fault, "none");
    ck_assert_int_eq(tp_bitstream_open(paths[PARTIAL], &partial, NULL, &error), TP_OK);
    tp_bitstream_get_facts(full, &facts);
    ck_assert_str_eq(facts.part, "LFE5U-25F");
    ck_assert_str_eq(facts.base, map.base);
    ck_assert_str_eq(facts.text, "Part: x");
    ck_assert_str_eq(facts.board, "");
    ck_assert(facts.canonical && !facts.partial && facts.compressed);
    ck_assert_uint_eq(facts.memories, 0);
    ck_assert_int_eq(tp_bitstream_get_memory(full, 0, &memory), TP_ERROR_RANGE);
    ck_assert_int_eq(tp_bitstream_use_map(full, paths[MAP], &fault, &error), TP_OK);
    ck_assert_int_eq(tp_bitstream_use_map(partial, paths[MAP], &fault, &error), TP_OK);
    tp_bitstream_get_facts(partial, &facts);
    ck_assert(facts.partial && !facts.canonical);
    ck_assert_uint_eq(facts.memories, map.memory_count);
    ck_assert_uint_eq(facts.block_rams, report.block_rams);
    ck_assert_uint_eq(facts.crcs, report.block_rams);
    ck_assert_int_eq(tp_bitstream_get_command(partial, facts.commands - 1, &command), TP_OK);
    ck_assert_str_eq(command.text, "done");
    ck_assert_uint_eq(command.offset + 8, facts.bytes);
    ck_assert_int_eq(tp_bitstream_get_command(partial, facts.commands, &command), TP_ERROR_RANGE);
    ck_assert_int_eq(tp_bitstream_get_memory(partial, 0, &memory), TP_OK);
    ck_assert_str_eq(memory.name, "u_weight[0]");
    ck_assert_str_eq(memory.space, "weight");
    ck_assert(memory.block_rams == 2 && memory.block_rams_here == 2 && memory.bits == 36);
    ck_assert_int_eq(tp_bitstream_read_word(partial, 0, 0, value), TP_OK);
    ck_assert_uint_eq(value[0], device->image->weights[1] & 255);
    ck_assert_int_eq(tp_bitstream_read_word(partial, 0, memory.words, value), TP_ERROR_RANGE);
    ck_assert_int_eq(tp_bitstream_read_word(partial, map.memory_count, 0, value), TP_ERROR_RANGE);
    ck_assert_int_eq(tp_bitstream_get_block(partial, 11, &block), TP_OK);
    ck_assert_str_eq(block.name, "u_weight[0]");
    ck_assert_str_eq(block.site, "X11");
    ck_assert(block.here && block.width == 18);
    ck_assert_int_eq(tp_bitstream_get_block(partial, TP_BLOCK_IDS, &block), TP_ERROR_RANGE);
    ck_assert_int_eq(tp_bitstream_compare(full, partial, &difference, &error), TP_OK);
    // The base had a word of its own in each; the model's are equal but there.
    ck_assert_uint_eq(difference.frames, 0);
    ck_assert(!difference.usercode && difference.words[OWN_ID] == 0);
    tp_bitstream_close(partial);
    ck_assert_int_eq(tp_bitstream_open(paths[BASE], &partial, NULL, &error), TP_OK);
    ck_assert_int_eq(tp_bitstream_compare(full, partial, &difference, &error), TP_OK);
    ck_assert_uint_gt(difference.words[11], 100);
    ck_assert_uint_eq(difference.words[OWN_ID], 0);
    tp_bitstream_close(partial);
    tp_bitstream_close(full);
    tp_bitstream_close(NULL);
    ck_assert_int_eq(tp_bitstream_open("/nowhere", &full, &fault, &error), TP_ERROR_IO);
    ck_assert_int_eq(tp_bitstream_open(paths[MAP], &full, &fault, &error), TP_ERROR_FORMAT);
    ck_assert_str_eq(fault, "no-preamble");
}
END_TEST

// ---- what is not of the design ----

static const char *fault_of(struct tp_bytes *bytes)
{
    struct tp_configuration configuration = {0};
    struct tp_stream stream;
    tp_status status =
        tp__stream_read(bytes->data, bytes->size, "s", &configuration, &stream, &error);
    if (status == TP_OK) {
        status = tp__map_check(&map, &configuration, "s", &stream, &error);
    }
    ck_assert_int_eq(status == TP_OK, stream.fault == TP_FAULT_NONE);
    const char *name = tp__stream_fault_name(stream.fault);
    tp__stream_free(&stream);
    tp__configuration_free(&configuration);
    return name;
}

START_TEST(streams_of_other_designs_are_refused)
{
    struct tp_bytes bytes;
    struct tp_configuration made = {0};
    bool is_chosen[TP_BLOCK_IDS] = {[11] = true};
    const struct tp_part *part = tp__part_of_idcode(IDCODE);
    ck_assert_int_eq(tp__configuration_begin(&made, part, &error), TP_OK);
    ck_assert_int_eq(tp__stream_write_blocks(&made, map.base, is_chosen, &bytes, &error), TP_OK);
    ck_assert_str_eq(fault_of(&bytes), "none");
    // Each bit of the text with the base.
    for (size_t bit = 16; bit < 8 * (2 + sizeof TP_STREAM_BASE_TEXT + 64); bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(strcmp(fault_of(&bytes), "none") != 0, "bit %zu", bit);
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bytes.data[2 + sizeof TP_STREAM_BASE_TEXT] ^= 1;
    ck_assert_str_eq(fault_of(&bytes), "other-base");
    ck_assert_ptr_nonnull(strstr(error.text, "for the base"));
    bytes.data[2] = 'X';
    ck_assert_str_eq(fault_of(&bytes), "no-base");
    tp__bytes_free(&bytes);
    is_chosen[12] = true;
    ck_assert_int_eq(tp__stream_write_blocks(&made, map.base, is_chosen, &bytes, &error), TP_OK);
    ck_assert_str_eq(fault_of(&bytes), "block-ram-not-in-map");
    ck_assert_ptr_nonnull(strstr(error.text, "block RAM 12"));
    tp__bytes_free(&bytes);
    char base_text[TP_STREAM_TEXT_BYTES];
    int size = snprintf(base_text, sizeof base_text, TP_STREAM_BASE_TEXT "%s", map.base);
    ck_assert_int_eq(
        tp__stream_write_full(&made, base_text, (size_t)size + 1, true, &bytes, &error), TP_OK);
    ck_assert_str_eq(fault_of(&bytes), "frame-not-allowed");
    tp__bytes_free(&bytes);
    ck_assert_int_eq(tp__stream_write_full(&made, "", 0, true, &bytes, &error), TP_OK);
    ck_assert_str_eq(fault_of(&bytes), "other-base");
    ck_assert_ptr_nonnull(strstr(error.text, "USERCODE 00000000"));
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
    ck_assert_int_eq(tp__configuration_begin(&made, tp__part_of_idcode(0x21111043), &error), TP_OK);
    ck_assert_int_eq(tp__stream_write_blocks(&made, map.base, is_chosen, &bytes, &error), TP_OK);
    ck_assert_str_eq(fault_of(&bytes), "other-device");
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
}
END_TEST

static tp_status try_pack(const char *map_path, enum file bits, enum file from)
{
    struct tp_pack_report report;
    const struct tp_pack_options options = {.map = map_path,
                                            .bits = bits != FILES ? paths[bits] : NULL,
                                            .from = from != FILES ? paths[from] : NULL,
                                            .output = paths[OTHER]};
    return tp_device_pack(device, &options, &report, &error);
}

START_TEST(what_cannot_be_packed_leaves_no_file)
{
    ck_assert_int_eq(try_pack("/nowhere", BASE, FILES), TP_ERROR_IO);
    ck_assert_int_eq(try_pack(paths[BASE], BASE, FILES), TP_ERROR_FORMAT);
    ck_assert_int_eq(try_pack(paths[MAP], BASE, BASE), TP_ERROR_INVALID);
    (void)pack(FILES, FILES, PARTIAL);
    ck_assert_int_eq(try_pack(paths[MAP], PARTIAL, FILES), TP_ERROR_INVALID);
    ck_assert_int_eq(try_pack(paths[MAP], MAP, FILES), TP_ERROR_FORMAT);
    // A design of one group has no place for the second one's weights.
    (void)unlink(paths[OTHER]);
    make_design(4);
    ck_assert_int_eq(try_pack(paths[MAP], FILES, FILES), TP_ERROR_RANGE);
    ck_assert_ptr_nonnull(strstr(error.text, "of space weight"));
    ck_assert_int_ne(access(paths[OTHER], F_OK), 0);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("block_map");
    TCase *tc = tcase_create("block_map");
    tcase_add_test(tc, a_map_is_read);
    tcase_add_test(tc, a_damaged_map_is_refused_with_its_line);
    tcase_add_loop_test(tc, each_width_has_its_bits_where_block_rams_have_them, 0, 6);
    suite_add_tcase(suite, tc);
    TCase *packed = tcase_create("packed");
    tcase_add_checked_fixture(packed, set_up, tear_down);
    tcase_add_test(packed, a_packed_model_is_where_its_units_read_it);
    tcase_add_test(packed, from_writes_what_differs_and_no_more);
    tcase_add_test(packed, a_program_sees_what_a_bitstream_holds);
    tcase_add_test(packed, streams_of_other_designs_are_refused);
    tcase_add_test(packed, what_cannot_be_packed_leaves_no_file);
    suite_add_tcase(suite, packed);
    return suite;
}

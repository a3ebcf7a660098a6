// SPDX-License-Identifier: Apache-2.0
//
// Designs that were never routed.

#include "made_design.h"

#include <assert.h>
#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "configuration_stream.h"
#include "random.h"
#include "tokproc.h"

enum { CONFIGURATIONS_MAX = 32, TEXT_BYTES = 1 << 16, IDS = 997 };

struct design {
    struct tp_configuration configuration;
    char text[TEXT_BYTES];  // of the map
    size_t size;
    uint32_t id;  // of the next block RAM
};

__attribute__((format(printf, 2, 3))) static void add(struct design *d, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(d->text + d->size, TEXT_BYTES - d->size, format, arguments);
    va_end(arguments);
    ck_assert(size >= 0 && d->size + (size_t)size < TEXT_BYTES);
    d->size += (size_t)size;
}

static void add_block(struct design *d, uint32_t width, uint32_t word, uint32_t bit)
{
    add(d, "block %" PRIu32 " %" PRIu32 " X%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", d->id, width,
        d->id, word, bit);
    d->configuration.has_block[d->id] = 1;
    for (uint32_t i = 0; i < TP_BLOCK_WORDS; i += 7) {
        d->configuration.blocks[d->id][i] = (uint16_t)(i & 0x1FF);
    }
    // No order of ids can be relied on.
    d->id = d->id * 7 % IDS;
}

// A memory of 32 or 34 bits, as one column: block RAMs of 36 bits, or pairs of 18.
static void add_memory(struct design *d, uint32_t words, uint32_t width)
{
    uint32_t block_words = 512 * 36 / width;
    for (uint32_t word = 0; word < words; word += block_words) {
        for (uint32_t bit = 0; bit < 36; bit += width) {
            add_block(d, width, word, bit);
        }
    }
}

static void add_memories(struct design *d, const struct tp_device_info *info)
{
    static const char core[] = "u_board.u_core";
    for (uint32_t i = 0; i < 4 * info->groups; i++) {
        add(d,
            "memory weight %" PRIu32 " %s.u_weights.gen_group[%" PRIu32 "].gen_part[%" PRIu32
            "].u_ram\n",
            i, core, i / 4, i % 4);
        add_memory(d, info->weight_beats, 36);
    }
    for (uint32_t i = 0; i < 6; i++) {
        add(d, "memory program %" PRIu32 " %s.u_sequencer.gen_program[%" PRIu32 "].u_program\n", i,
            core, i);
        add_memory(d, info->program_max, 18);
    }
    add(d, "memory gain 0 %s.u_rmsnorm.u_gain\n", core);
    add_memory(d, 2 * info->gain_quads, 36);
    if (info->head_norm != 0) {
        add(d, "memory gain 1 %s.u_epilogue.u_heads.gen_head_norm.u_gain\n", core);
        add_memory(d, 2 * info->gain_quads, 36);
    }
    for (uint32_t i = 0; i < 2; i++) {
        add(d, "memory bias %" PRIu32 " %s.u_epilogue.u_scale.gen_bias[%" PRIu32 "].u_bias\n", i,
            core, i);
        add_memory(d, info->constant_pairs, 36);
        add(d, "memory centre %" PRIu32 " %s.u_epilogue.u_heads.gen_centre[%" PRIu32 "].u_centre\n",
            i, core, i);
        add_memory(d, info->constant_pairs, 18);
    }
    d->id = TP_TEST_OWN_ID;
    add(d, "memory - 0 u_board.u_buffer\n");
    add_block(d, 36, 0, 0);
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(data, 1, size, stream), size);
    ck_assert_int_eq(fclose(stream), 0);
}

static const struct tp_device_info *find(const char *name, struct tp_device_info *infos)
{
    size_t count = tp_configuration_list(infos, CONFIGURATIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            return &infos[i];
        }
    }
    ck_abort_msg("no configuration %s", name);
    return NULL;
}

void tp_test_make_design(const char *configuration, uint32_t idcode, uint64_t seed,
                         const char *bits, const char *map)
{
    static struct design d;
    struct tp_device_info infos[CONFIGURATIONS_MAX];
    struct tp_error error;
    struct tp_random random;
    struct tp_bytes bytes;
    char base[TP_DIGEST_TEXT_BYTES];
    d = (struct design){.id = 11};
    const struct tp_part *part = tp__part_of_idcode(idcode);
    ck_assert_int_eq(tp__configuration_begin(&d.configuration, part, &error), TP_OK);
    tp_random_init(&random, seed, 0);
    for (uint32_t i = 0; i < part->frames; i++) {
        d.configuration.frames[(size_t)i * part->frame_bytes + 1 + i % 70] =
            (uint8_t)tp_random_u32(&random);
    }
    memset(d.configuration.has_frame, 1, part->frames);
    d.configuration.usercode = (uint32_t)seed;
    ck_assert_int_eq(tp__configuration_base(&d.configuration, base, &error), TP_OK);
    add(&d, "version 1\nboard made\npart %s %08" PRIx32 "\nusercode %08" PRIx32 "\nbase %s\n",
        part->name, idcode, d.configuration.usercode, base);
    add_memories(&d, find(configuration, infos));
    ck_assert_int_eq(
        tp__stream_write_full(&d.configuration, "Part: made", 11, true, &bytes, &error), TP_OK);
    write_file(bits, bytes.data, bytes.size);
    write_file(map, d.text, d.size);
    tp__bytes_free(&bytes);
    tp__configuration_free(&d.configuration);
}

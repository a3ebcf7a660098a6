// SPDX-License-Identifier: Apache-2.0
//
// Claims about the number types of model files: every half converts exactly both ways and rounding
// to half is to nearest, ties to even; blocks of every type give the numbers that the gguf package
// gives, bit for bit, and blocks written by hand the numbers of the formula; rounding to Q8_0 and
// Q4_0 gives what that package's quantiser gives; a short last block counts as filled up with
// zeros; a scale that is no number gives numbers that are not finite.
//
// The package (gguf 0.19 for Python) is not run here: its answers to the same made blocks are in
// this file as 64-bit FNV-1a digests of the float32 numbers.

#include "check_main.h"
#include "ggml_formats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 16384, BYTES_MAX = 4 * NUMBERS };

/* A generator that is easy to write again in any language. */
static void fill(uint8_t *bytes, size_t count)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(state >> 24);
    }
}

static uint64_t digest(const float *numbers, size_t count)
{
    const uint8_t *bytes = (const uint8_t *)numbers;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < count * sizeof numbers[0]; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

/* ---- halves ---- */

static double half_by_formula(uint32_t half)
{
    int exponent = (int)(half >> 10 & 31);
    double fraction = (half & 1023) / 1024.0;
    double size = exponent == 0 ? ldexp(fraction, -14) : ldexp(1.0 + fraction, exponent - 15);
    return half & 0x8000 ? -size : size;
}

START_TEST(halves_convert_exactly_both_ways)
{
    for (uint32_t half = 0; half < 65536; half++) {
        float value = tp__float_of_half((uint16_t)half);
        bool is_special = (half >> 10 & 31) == 31;
        bool is_right = is_special ? ((half & 1023) != 0 ? isnan(value) : isinf(value))
                                   : (double)value == half_by_formula(half);
        if (!is_right) ck_abort_msg("half 0x%04x is %g", half, (double)value);
        if (isnan(value)) {
            ck_assert(isnan(tp__float_of_half(tp__half_of_float(value))));
        } else if (tp__half_of_float(value) != half) {
            ck_abort_msg("half 0x%04x comes back as 0x%04x", half, tp__half_of_float(value));
        }
    }
}
END_TEST

START_TEST(floats_round_to_the_nearest_half)
{
    // Between each half and the next: the middle goes to the even one, the rest to the nearer.
    for (uint32_t half = 0; half < 0x7bff; half++) {
        float low = (float)half_by_formula(half);
        float high = (float)half_by_formula(half + 1);
        float middle = low + (high - low) / 2.0f;
        uint32_t even = half % 2 == 0 ? half : half + 1;
        bool is_right = tp__half_of_float(middle) == even;
        is_right = is_right && tp__half_of_float(nextafterf(middle, 0.0f)) == half;
        is_right = is_right && tp__half_of_float(nextafterf(middle, 1e9f)) == half + 1;
        is_right = is_right && tp__half_of_float(-middle) == (even | 0x8000);
        if (!is_right) ck_abort_msg("between 0x%04x and the next", half);
    }
    ck_assert_uint_eq(tp__half_of_float(65519.996f), 0x7bff);
    ck_assert_uint_eq(tp__half_of_float(65520.0f), 0x7c00);
    ck_assert_uint_eq(tp__half_of_float(-INFINITY), 0xfc00);
    ck_assert_uint_eq(tp__half_of_float(1e-30f), 0);
}
END_TEST

/* ---- blocks ---- */

static const struct {
    enum tp_number_type type;
    uint64_t digest;
    int halves[2];  // bytes whose bit 6 is cleared, so that halves stay finite; -1: none
} blocks[] = {
    {TP_NUMBER_F16, 0x82cefcfc4244326a, {1, -1}},
    {TP_NUMBER_BF16, 0x30bfece49df42538, {1, -1}},
    {TP_NUMBER_Q4_0, 0xfb479d778e100b8b, {1, -1}},
    {TP_NUMBER_Q4_1, 0xe4e28b194c098b2f, {1, 3}},
    {TP_NUMBER_Q5_0, 0x3c8102a8e9ccb150, {1, -1}},
    {TP_NUMBER_Q5_1, 0x40d405b169a6ebc6, {1, 3}},
    {TP_NUMBER_Q8_0, 0xe308d7c976b0e47c, {1, -1}},
    {TP_NUMBER_Q4_K, 0xd98d5ab15602328b, {1, 3}},
    {TP_NUMBER_Q5_K, 0xa3e295e9335cf8bf, {1, 3}},
    {TP_NUMBER_Q6_K, 0x5c906d3dfb9ef64f, {209, -1}},
    {TP_NUMBER_MXFP4, 0xebe06ea9fb3fc462, {-1, -1}},
};
enum { TYPES = sizeof blocks / sizeof blocks[0] };

START_TEST(blocks_give_the_numbers_of_the_gguf_package)
{
    enum tp_number_type type = blocks[_i].type;
    const struct tp_number_format *format = tp__number_format(type);
    size_t count = NUMBERS / format->elements;
    uint8_t *bytes = malloc(BYTES_MAX);
    float *numbers = malloc(NUMBERS * sizeof *numbers);
    fill(bytes, count * format->bytes);
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 2; k++) {
            if (blocks[_i].halves[k] < 0) continue;
            bytes[i * format->bytes + (size_t)blocks[_i].halves[k]] &= 0xbf;
        }
        if (type == TP_NUMBER_MXFP4) bytes[i * format->bytes] &= 0x7f;
    }
    tp__number_expand(type, bytes, NUMBERS, numbers);
    ck_assert_msg(digest(numbers, NUMBERS) == blocks[_i].digest, "%s: 0x%016llx", format->name,
                  (unsigned long long)digest(numbers, NUMBERS));
    free(bytes);
    free(numbers);
}
END_TEST

static void put_half(uint8_t *bytes, float value)
{
    uint16_t half = tp__half_of_float(value);
    bytes[0] = (uint8_t)half;
    bytes[1] = (uint8_t)(half >> 8);
}

START_TEST(blocks_written_by_hand_give_the_numbers_of_the_formula)
{
    uint8_t block[TP_NUMBER_BLOCK_BYTES_MAX] = {0};
    float out[TP_NUMBER_BLOCK_MAX];
    // Q5_1: 0.5 * code + 3; number 1 has code 0x1f, number 17 code 0x0c.
    put_half(block, 0.5f);
    put_half(block + 2, 3.0f);
    block[4] = 2;
    block[8 + 1] = 0xcf;
    tp__number_expand(TP_NUMBER_Q5_1, block, 32, out);
    ck_assert_float_eq(out[0], 3.0f);
    ck_assert_float_eq(out[1], 18.5f);
    ck_assert_float_eq(out[17], 9.0f);
    // Q4_K: sub-block 5 has scale 0x2b (low 11, high 2) and minimum 0x15 (low 5, high 1).
    memset(block, 0, sizeof block);
    put_half(block, 2.0f);
    put_half(block + 2, 0.25f);
    block[4 + 9] = 0x5b;
    block[4 + 1] = 2 << 6;
    block[4 + 5] = 1 << 6;
    block[16 + 2 * 32 + 7] = 0x90;
    tp__number_expand(TP_NUMBER_Q4_K, block, 256, out);
    ck_assert_float_eq(out[5 * 32 + 7], 2.0f * 43.0f * 9.0f - 0.25f * 21.0f);
    ck_assert_float_eq(out[5 * 32 + 8], -0.25f * 21.0f);
    ck_assert_float_eq(out[4 * 32 + 7], 0.0f);
    // Q6_K: number 255 is the upper nibble of byte 127, bits 6 and 7 of byte 63, scale 15.
    memset(block, 0, sizeof block);
    put_half(block + 208, 0.5f);
    block[127] = 0x70;
    block[128 + 63] = 0xc0;
    block[192 + 15] = (uint8_t)-3;
    tp__number_expand(TP_NUMBER_Q6_K, block, 256, out);
    ck_assert_float_eq(out[255], 0.5f * -3.0f * (0x37 - 32));
    ck_assert_float_eq(out[254], 0.5f * -3.0f * -32);
    // MXFP4: 2^(130 - 127) * -1.5 and 6
    memset(block, 0, sizeof block);
    block[0] = 130;
    block[1] = 0x7b;
    tp__number_expand(TP_NUMBER_MXFP4, block, 32, out);
    ck_assert_float_eq(out[0], -12.0f);
    ck_assert_float_eq(out[16], 48.0f);
}
END_TEST

START_TEST(a_scale_that_is_no_number_shows)
{
    static const uint8_t bad[][2] = {{0x00, 0x7c}, {0x01, 0x7e}};
    uint8_t block[TP_NUMBER_BLOCK_BYTES_MAX];
    float out[TP_NUMBER_BLOCK_MAX];
    for (size_t i = 0; i < TYPES; i++) {
        const struct tp_number_format *format = tp__number_format(blocks[i].type);
        for (size_t k = 0; k < 2; k++) {
            memset(block, 0x33, sizeof block);
            size_t place = blocks[i].halves[0] < 0 ? 0 : (size_t)blocks[i].halves[0] - 1;
            memcpy(block + place, bad[k], 2);
            if (blocks[i].type == TP_NUMBER_BF16) block[0] = 0x80, block[1] = 0x7f;
            if (blocks[i].type == TP_NUMBER_MXFP4) block[0] = 255;
            tp__number_expand(blocks[i].type, block, format->elements, out);
            ck_assert_msg(!isfinite(out[0]), "%s: %g", format->name, (double)out[0]);
        }
    }
}
END_TEST

START_TEST(types_are_found_by_their_number)
{
    uint32_t found = 0;
    for (uint32_t number = 0; number < 100; number++) {
        enum tp_number_type type;
        if (!tp__number_of_ggml(number, &type)) continue;
        ck_assert_uint_eq(tp__number_format(type)->ggml_type, number);
        found++;
    }
    ck_assert_uint_eq(found, TP_NUMBER_COUNT);
}
END_TEST

/* ---- rounding ---- */

enum { ROWS = 100, ROUNDED = 32 * ROWS };

static void make_rows(float rows[ROUNDED])
{
    uint8_t *bytes = malloc(4 * ROUNDED);
    fill(bytes, 4 * ROUNDED);
    for (size_t i = 0; i < ROUNDED; i++) {
        uint32_t word = bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8 |
                        (uint32_t)bytes[4 * i + 2] << 16 | (uint32_t)bytes[4 * i + 3] << 24;
        rows[i] = (float)((int64_t)word - ((int64_t)1 << 31)) * 0x1p-31f;
        if (i / 32 == 7) rows[i] = 0.0f;
        if (i / 32 == 8) rows[i] *= 1e-6f;
        if (i / 32 == 9) rows[i] *= 3000.0f;
    }
    free(bytes);
}

START_TEST(rounding_gives_the_numbers_of_the_gguf_package)
{
    float rows[ROUNDED];
    float rounded[ROUNDED];
    make_rows(rows);
    tp__q8_0_round(rows, ROUNDED, rounded);
    ck_assert_uint_eq(digest(rounded, ROUNDED), 0xa77afc393799da29u);
    tp__q4_0_round(rows, ROUNDED, rounded);
    ck_assert_uint_eq(digest(rounded, ROUNDED), 0x8354ef570e2d6282u);
    tp__q4_0_round(rows, ROUNDED, rows);  // in place
    ck_assert_mem_eq(rows, rounded, sizeof rows);
}
END_TEST

START_TEST(a_short_last_block_counts_as_filled_up_with_zeros)
{
    float rows[ROUNDED];
    make_rows(rows);
    for (size_t count = 1; count < 64; count++) {
        float filled[64] = {0.0f};
        float guarded[65];
        memcpy(filled, rows, count * sizeof filled[0]);
        for (int is_q4 = 0; is_q4 < 2; is_q4++) {
            float expected[64];
            (is_q4 ? tp__q4_0_round : tp__q8_0_round)(filled, 64, expected);
            guarded[count] = 7.0f;
            (is_q4 ? tp__q4_0_round : tp__q8_0_round)(rows, count, guarded);
            ck_assert_mem_eq(guarded, expected, count * sizeof expected[0]);
            ck_assert_float_eq(guarded[count], 7.0f);
        }
    }
    const float tiny[2] = {1e-45f, -1e-45f};
    float out[2];
    tp__q8_0_round(tiny, 2, out);
    ck_assert(out[0] == 0.0f && out[1] == 0.0f);
    tp__q4_0_round(tiny, 2, out);
    ck_assert(out[0] == 0.0f && out[1] == 0.0f);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ggml_formats");
    TCase *tcase = tcase_create("ggml_formats");
    tcase_add_test(tcase, halves_convert_exactly_both_ways);
    tcase_add_test(tcase, floats_round_to_the_nearest_half);
    tcase_add_loop_test(tcase, blocks_give_the_numbers_of_the_gguf_package, 0, TYPES);
    tcase_add_test(tcase, blocks_written_by_hand_give_the_numbers_of_the_formula);
    tcase_add_test(tcase, a_scale_that_is_no_number_shows);
    tcase_add_test(tcase, types_are_found_by_their_number);
    tcase_add_test(tcase, rounding_gives_the_numbers_of_the_gguf_package);
    tcase_add_test(tcase, a_short_last_block_counts_as_filled_up_with_zeros);
    suite_add_tcase(suite, tcase);
    return suite;
}

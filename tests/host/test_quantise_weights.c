// SPDX-License-Identifier: Apache-2.0
//
// Claims about the rounding of weights: every value is the nearest of the format for its scale; of
// the scales in the search range the one with the least squared error is taken, found here by
// trying all 256; planes and codes stand for the values; padding is zero; the accumulator shift is
// the smallest with which the golden matrix row cannot overflow for any input; gains keep 15 bits;
// tensors of any size of numbers work or are refused by name.
//
// Random blocks of many shapes and sizes, tensors that are all zero, huge or tiny, and the worst
// input of random tensors. Not covered: what rounding costs a model; `tokproc eval` measures that.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "model.h"
#include "quantise_weights.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORMATS = 4, ROWS = 6, COLUMNS = 172, BLOCKS = 6, BLOCK = 32 };

/* ---- helpers ---- */

/* Sums of three uniform numbers, now and then a large one: blocks as trained weights have them. */
static void random_weights(struct tp_random *random, float *weights, size_t count, double size)
{
    for (size_t i = 0; i < count; i++) {
        double sum = 0.0;
        for (int k = 0; k < 3; k++) sum += (double)tp_random_range(random, -1000000, 1000000) / 1e6;
        if (tp_random_chance(random, 4)) sum *= 5.0;
        if (tp_random_chance(random, 8)) sum = 0.0;
        weights[i] = (float)(sum * size);
    }
}

static void quantise(const float *weights, uint32_t rows, uint32_t columns, double multiplier,
                     tp_format format, struct tp_quantised *quantised)
{
    struct tp_error error = {0};
    tp_status status =
        tp__quantise_tensor(weights, rows, columns, multiplier, format, "w", quantised, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

static double scale_of(uint32_t scale)
{
    return (16 + (scale & 15)) * pow(2.0, scale >> 4);
}

/* Values of a format. Returns their number. */
static int values_of(tp_format format, double values[256])
{
    int count = 0;
    if (format == TP_FORMAT_Q8) {
        for (int v = -127; v <= 127; v++) values[count++] = v;
        return count;
    }
    int8_t codebook[TP_CODEBOOK_SIZE];
    memcpy(codebook, tp__weight_format(format).codebook, sizeof codebook);
    for (int i = 0; i < TP_CODEBOOK_SIZE; i++) values[count++] = codebook[i];
    return count;
}

static double nearest_error(const double *values, int count, double weight)
{
    double best = INFINITY;
    for (int i = 0; i < count; i++) best = fmin(best, fabs(values[i] - weight));
    return best;
}

/* Least squared error over all scales from 0.65 to 1.6 of the ideal one (0.9 to 1.25 with 8 bits),
 * the scales next to these limits included. */
static double best_error(tp_format format, const double *weights, double largest)
{
    double values[256];
    int count = values_of(format, values);
    double limit = format == TP_FORMAT_FP4 ? 12 : format == TP_FORMAT_INT4 ? 8 : 127;
    double low = format == TP_FORMAT_Q8 ? 0.9 : 0.65;
    double high = format == TP_FORMAT_Q8 ? 1.25 : 1.6;
    double best = INFINITY;
    for (uint32_t scale = 0; scale < 256; scale++) {
        double step = scale_of(scale);
        double next = scale < 255 ? scale_of(scale + 1) : step;
        double previous = scale > 0 ? scale_of(scale - 1) : 0.0;
        if (next <= largest / limit * low || previous > largest / limit * high) continue;
        double sum = 0.0;
        for (int i = 0; i < BLOCK; i++) {
            double error = nearest_error(values, count, weights[i] / step) * step;
            sum += error * error;
        }
        best = fmin(best, sum);
    }
    return best;
}

static void check_block(const struct tp_quantised *quantised, tp_format format,
                        const float *weights, double multiplier, uint32_t row, uint32_t block)
{
    double scaled[BLOCK] = {0};
    double largest = 0.0;
    double values[256];
    int count = values_of(format, values);
    size_t index = (size_t)row * quantised->blocks + block;
    double step = scale_of(quantised->scales[index]);
    double error = 0.0;
    for (uint32_t i = 0; i < BLOCK; i++) {
        uint32_t column = block * BLOCK + i;
        int value = quantised->values[index * BLOCK + i];
        uint8_t code = quantised->codes[index * BLOCK + i];
        int coded = format == TP_FORMAT_Q8 ? (int8_t)code : quantised->codebook[code & 15];
        bool is_padding = column >= quantised->columns;
        if (!is_padding) {
            double weight = (double)weights[(size_t)row * quantised->columns + column];
            scaled[i] = weight * multiplier * pow(2.0, quantised->shift);
        }
        largest = fmax(largest, fabs(scaled[i]));
        double distance = fabs(value - scaled[i] / step);
        bool is_nearest =
            distance <= nearest_error(values, count, scaled[i] / step) * (1 + 1e-12) + 1e-12;
        if (is_padding) is_nearest = value == 0 && code == 0;
        if (coded != value || !is_nearest) ck_abort_msg("row %u, column %u", row, column);
        error += distance * distance * step * step;
    }
    if (largest == 0.0) {
        ck_assert_uint_eq(quantised->scales[index], 0);
        return;
    }
    double best = best_error(format, scaled, largest);
    if (error > best * (1 + 1e-9) + 1e-12) {
        ck_abort_msg("row %u, block %u: error %g instead of %g", row, block, error, best);
    }
}

/* ---- tensors ---- */

START_TEST(quantise_weights_takes_nearest_values_and_the_best_scale)
{
    tp_format format = (tp_format)(_i % FORMATS);
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int run = 0; run < 6; run++) {
        double multiplier = run % 2 == 0 ? 1.0 : 0.51006973;
        random_weights(&random, weights, ROWS * COLUMNS, pow(10.0, run - 4));
        // One row far smaller than the others, one with a block of zeros.
        for (int i = 0; i < COLUMNS; i++) weights[COLUMNS + i] *= 1e-4f;
        memset(weights + 2 * COLUMNS + 32, 0, 32 * sizeof weights[0]);
        struct tp_quantised quantised;
        quantise(weights, ROWS, COLUMNS, multiplier, format, &quantised);
        ck_assert_uint_eq(quantised.blocks, BLOCKS);
        ck_assert_uint_eq(quantised.planes, format == TP_FORMAT_Q8 ? 2 : 1);
        for (uint32_t row = 0; row < ROWS; row++) {
            for (uint32_t block = 0; block < BLOCKS; block++) {
                check_block(&quantised, format, weights, multiplier, row, block);
            }
        }
        double weight = (double)weights[5 * COLUMNS + 171] * multiplier;
        double back = tp__quantised_weight(&quantised, 5, 171);
        ck_assert_double_le(fabs(weight - back), 0.3 * pow(10.0, run - 4));
        tp__quantised_free(&quantised);
    }
}
END_TEST

START_TEST(quantise_weights_is_the_same_each_time_and_in_all_variant)
{
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    random_weights(&random, weights, ROWS * COLUMNS, 0.1);
    static const tp_format pairs[FORMATS][2] = {{TP_FORMAT_Q8, TP_FORMAT_Q8},
                                                {TP_FORMAT_FP4, TP_FORMAT_FP4_ALL},
                                                {TP_FORMAT_NF4, TP_FORMAT_NF4_ALL},
                                                {TP_FORMAT_INT4, TP_FORMAT_INT4_ALL}};
    struct tp_quantised a;
    struct tp_quantised b;
    quantise(weights, ROWS, COLUMNS, 1.0, pairs[_i][0], &a);
    quantise(weights, ROWS, COLUMNS, 1.0, pairs[_i][1], &b);
    ck_assert_int_eq(a.shift, b.shift);
    ck_assert_uint_eq(a.bound, b.bound);
    ck_assert_mem_eq(a.values, b.values, ROWS * BLOCKS * BLOCK);
    ck_assert_mem_eq(a.codes, b.codes, ROWS * BLOCKS * BLOCK);
    ck_assert_mem_eq(a.scales, b.scales, ROWS * BLOCKS);
    tp__quantised_free(&a);
    tp__quantised_free(&b);
}
END_TEST

START_TEST(quantise_weights_codes_are_four_bits_and_zero_is_zero)
{
    int8_t codebook[TP_CODEBOOK_SIZE];
    for (tp_format format = 0; format < TP_FORMAT_COUNT; format++) {
        memcpy(codebook, tp__weight_format(format).codebook, sizeof codebook);
        ck_assert_int_eq(codebook[0], 0);
    }
    static const int8_t fp4[] = {0, 1, 2, 3, 4, 6, 8, 12};
    memcpy(codebook, tp__weight_format(TP_FORMAT_FP4).codebook, sizeof codebook);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(codebook[i], fp4[i]);
        ck_assert_int_eq(codebook[8 + i], -fp4[i]);
    }
    static const int8_t nf4[] = {-127, -88, -67, -50, -36, -23, -12, 0,
                                 10,   20,  31,  43,  56,  71,  92,  127};
    memcpy(codebook, tp__weight_format(TP_FORMAT_NF4).codebook, sizeof codebook);
    for (int i = 0; i < 16; i++) ck_assert_int_eq(codebook[(i + 9) % 16], nf4[i]);
    memcpy(codebook, tp__weight_format(TP_FORMAT_INT4).codebook, sizeof codebook);
    for (int i = -8; i < 8; i++) ck_assert_int_eq(codebook[i & 15], i);
    for (int value = -128; value < 128; value++) {
        int high = tp__plane_code((int8_t)value, 0);
        int low = tp__plane_code((int8_t)value, 1);
        ck_assert(high >= 0 && high < 16 && low >= 0 && low < 16);
        ck_assert_int_eq(16 * (high < 8 ? high : high - 16) + low, value);
    }
}
END_TEST

START_TEST(quantise_weights_keeps_its_range_of_sizes)
{
    tp_format format = (tp_format)_i;
    float weights[40] = {0};
    struct tp_quantised quantised;
    quantise(weights, 1, 40, 1.0, format, &quantised);
    ck_assert_uint_eq(quantised.bound, 0);
    ck_assert_int_eq(quantised.shift, TP_WEIGHT_SHIFT_MAX);
    tp__quantised_free(&quantised);
    for (int power = -140; power <= 60; power++) {
        weights[39] = ldexpf(1.0f, power);
        weights[0] = -weights[39] / 2;
        struct tp_error error = {0};
        tp_status status =
            tp__quantise_tensor(weights, 1, 40, 1.0, format, "blk.7.attn_q", &quantised, &error);
        if (status != TP_OK) {
            ck_assert_int_eq(status, TP_ERROR_RANGE);
            ck_assert(strstr(error.text, "blk.7.attn_q") != NULL);
            ck_assert_int_gt(power, 40);
            continue;
        }
        ck_assert_int_lt(power, 52);
        ck_assert_int_le(quantised.shift, TP_WEIGHT_SHIFT_MAX);
        ck_assert_int_ge(quantised.shift, TP_WEIGHT_SHIFT_MIN);
        // Down to where the smallest scale is reached, 2^-56, large weights keep their size.
        double ratio = tp__quantised_weight(&quantised, 0, 39) / (double)weights[39];
        if (power > -50) ck_assert(ratio > 0.9 && ratio < 1.1);
        tp__quantised_free(&quantised);
    }
}
END_TEST

/* ---- accumulator ---- */

/* The golden row with the input that drives it furthest, in both directions. */
static void check_worst_input(const struct tp_quantised *quantised, uint32_t row, uint32_t cap,
                              uint32_t d, double *furthest)
{
    static int8_t input[BLOCKS * BLOCK];
    uint8_t exponents[BLOCKS];
    memset(exponents, (int)cap, sizeof exponents);
    const int8_t *values = quantised->values + (size_t)row * quantised->blocks * BLOCK;
    const uint8_t *scales = quantised->scales + (size_t)row * quantised->blocks;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (uint32_t i = 0; i < quantised->blocks * BLOCK; i++) {
            input[i] = (int8_t)(values[i] < 0 ? -127 * sign : 127 * sign);
        }
        int64_t sum =
            tp_matvec_row(values, scales, input, exponents, quantised->blocks, (int)(15 + d));
        *furthest = fmax(*furthest, fabs((double)sum));
        ck_assert_int_lt(sum, (int64_t)1 << 39);
        ck_assert_int_ge(sum, -((int64_t)1 << 39));
    }
}

START_TEST(quantise_weights_finds_the_smallest_safe_alignment)
{
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    random_weights(&random, weights, ROWS * COLUMNS, 0.1);
    // Some rows of one size only: the largest sum that 6 blocks can have.
    for (int i = 0; i < COLUMNS; i++) weights[i] = i % 2 == 0 ? 0.2f : -0.2f;
    struct tp_quantised quantised;
    quantise(weights, ROWS, COLUMNS, 1.0, (tp_format)(_i % FORMATS), &quantised);
    uint64_t bound = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < BLOCKS * BLOCK; i++) {
            size_t place = (size_t)row * BLOCKS * BLOCK + i;
            sum += 127.0 * abs(quantised.values[place]) * scale_of(quantised.scales[place / BLOCK]);
        }
        if (sum > (double)bound) bound = (uint64_t)sum;
    }
    ck_assert_uint_eq(quantised.bound, bound);
    for (uint32_t cap = 0; cap <= 25; cap++) {
        uint32_t d;
        struct tp_error error;
        ck_assert_int_eq(tp__accumulator_shift(bound, BLOCKS, cap, "w", &d, &error), TP_OK);
        ck_assert_uint_ge(d, cap);
        double furthest = 0.0;
        for (uint32_t row = 0; row < ROWS; row++) {
            check_worst_input(&quantised, row, cap, d, &furthest);
        }
        double limit = ldexp((double)bound, (int)cap - (int)d) + BLOCKS;
        ck_assert_double_le(furthest, limit);
        ck_assert_double_lt(limit, ldexp(1.0, 39));
        if (d > cap) ck_assert_double_ge(2.0 * (limit - BLOCKS) + BLOCKS, ldexp(1.0, 39));
    }
    tp__quantised_free(&quantised);
}
END_TEST

START_TEST(quantise_weights_shifts_at_the_edges_of_the_bound)
{
    struct tp_error error;
    uint32_t d;
    const uint64_t room = ((uint64_t)1 << 39) - 8;
    for (uint32_t extra = 0; extra < 20; extra++) {
        ck_assert_int_eq(tp__accumulator_shift((room << extra) - 1, 8, 25, "w", &d, &error), TP_OK);
        ck_assert_uint_eq(d, 25 + extra);
        ck_assert_int_eq(tp__accumulator_shift(room << extra, 8, 25, "w", &d, &error), TP_OK);
        ck_assert_uint_eq(d, 26 + extra);
    }
    ck_assert_int_eq(tp__accumulator_shift(UINT64_MAX, 8, 25, "blk.0", &d, &error),
                     TP_ERROR_TOO_LARGE);
    ck_assert(strstr(error.text, "blk.0") != NULL);
}
END_TEST

/* ---- gains ---- */

START_TEST(quantise_weights_keeps_fifteen_bits_of_gains)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    float gains[64];
    int16_t mantissas[64];
    int32_t shift;
    struct tp_error error;
    for (int power = -20; power <= 20; power++) {
        random_weights(&random, gains, 64, ldexp(1.0, power));
        ck_assert_int_eq(tp__quantise_gains(gains, 64, "g", mantissas, &shift, &error), TP_OK);
        int largest = 0;
        for (int i = 0; i < 64; i++) {
            double exact = ldexp((double)gains[i] * 8.0, shift);
            if (fabs(mantissas[i] - exact) > 1.0) ck_abort_msg("gain %d", i);
            if (abs(mantissas[i]) > largest) largest = abs(mantissas[i]);
        }
        ck_assert_int_ge(largest, 1 << 14);
        ck_assert_int_le(largest, INT16_MAX);
    }
    memset(gains, 0, sizeof gains);
    ck_assert_int_eq(tp__quantise_gains(gains, 64, "g", mantissas, &shift, &error), TP_OK);
    for (int i = 0; i < 64; i++) ck_assert_int_eq(mantissas[i], 0);
    gains[3] = -1.0f;
    ck_assert_int_eq(tp__quantise_gains(gains, 64, "g", mantissas, &shift, &error), TP_OK);
    ck_assert_int_eq(shift, 11);
    ck_assert_int_eq(mantissas[3], -(1 << 14));
    gains[3] = 1e30f;
    ck_assert_int_eq(tp__quantise_gains(gains, 64, "blk.1.ffn_norm", mantissas, &shift, &error),
                     TP_ERROR_RANGE);
    ck_assert(strstr(error.text, "blk.1.ffn_norm") != NULL);
}
END_TEST

START_TEST(quantise_weights_reports_each_failing_allocation)
{
    float weights[64] = {1.0f};
    struct tp_quantised quantised;
    struct tp_error error;
    for (uint64_t n = 0; n < 3; n++) {
        tp_test_allocation_fails(n);
        tp_status status =
            tp__quantise_tensor(weights, 2, 32, 1.0, TP_FORMAT_Q8, "w", &quantised, &error);
        (void)tp_test_allocations_work();
        ck_assert_int_eq(status, TP_ERROR_NO_MEMORY);
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("quantise weights");
    TCase *tcase = tcase_create("weights");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, quantise_weights_takes_nearest_values_and_the_best_scale, 0,
                        2 * FORMATS);
    tcase_add_loop_test(tcase, quantise_weights_is_the_same_each_time_and_in_all_variant, 0,
                        FORMATS);
    tcase_add_test(tcase, quantise_weights_codes_are_four_bits_and_zero_is_zero);
    tcase_add_loop_test(tcase, quantise_weights_keeps_its_range_of_sizes, 0, FORMATS);
    tcase_add_loop_test(tcase, quantise_weights_finds_the_smallest_safe_alignment, 0, 2 * FORMATS);
    tcase_add_test(tcase, quantise_weights_shifts_at_the_edges_of_the_bound);
    tcase_add_loop_test(tcase, quantise_weights_keeps_fifteen_bits_of_gains, 0, 2);
    tcase_add_test(tcase, quantise_weights_reports_each_failing_allocation);
    suite_add_tcase(suite, tcase);
    return suite;
}

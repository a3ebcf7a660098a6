// SPDX-License-Identifier: Apache-2.0
//
// Claims about grids: rounding takes the nearest value, the lower one of two; weights that lie on a
// grid already keep their numbers when they are rounded again, whatever their scales and T were and
// also where the largest code of a block is not the largest of the codebook.
//
// All formats, codebooks of any 16 numbers, weights that went through float32 and a multiplier.
// Not covered: grids whose scales span more than one T can reach; they are rounded like any tensor.

#include "check_main.h"
#include "quantise_weights.h"
#include "random.h"

#include <math.h>
#include <string.h>

enum { ROWS = 5, COLUMNS = 112, BLOCKS = 4, BLOCK = 32, FORMATS = 6 };

/* The fixed formats, then ternary and one with random entries. */
static struct tp_weight_format format_of(int i, struct tp_random *random)
{
    if (i < 4) return tp__weight_format((tp_format)i);
    struct tp_weight_format format = {.is_8_bit = false};
    if (i == 4) {
        format.codebook[1] = 1;
        format.codebook[15] = -1;
        return format;
    }
    for (int k = 1; k < TP_CODEBOOK_SIZE; k++) {
        format.codebook[k] = (int8_t)tp_random_range(random, -126, 126);
    }
    format.codebook[7] = 127;
    return format;
}

/* A value of the format, in a block that uses only some of them. */
static int value_of(const struct tp_weight_format *format, uint32_t limit, struct tp_random *random)
{
    if (format->is_8_bit) return (int)tp_random_range(random, -(int)limit, limit);
    return format->codebook[tp_random_below(random, 1 + limit % TP_CODEBOOK_SIZE)];
}

/* Weights on grids with scales of up to 12 octaves. */
static void grid_weights(const struct tp_weight_format *format, double multiplier,
                         struct tp_random *random, double *exact, float *weights)
{
    int shift = (int)tp_random_range(random, 0, 30);
    uint32_t octaves = 1 + tp_random_below(random, 12);
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t block = 0; block < BLOCKS; block++) {
            uint32_t scale =
                16 * (2 + tp_random_below(random, octaves)) + tp_random_below(random, 16);
            uint32_t limit = 1 + tp_random_below(random, 127);
            if (tp_random_chance(random, 20)) limit = 0;
            for (uint32_t i = 0; i < BLOCK && block * BLOCK + i < COLUMNS; i++) {
                double step = ldexp(tp__scale_value(scale), -shift);
                double value = limit == 0 ? 0.0 : step * value_of(format, limit, random);
                exact[row * COLUMNS + block * BLOCK + i] = value;
                weights[row * COLUMNS + block * BLOCK + i] = (float)(value / multiplier);
            }
        }
    }
}

static void check_equal(const struct tp_quantised *quantised, const double *exact)
{
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t column = 0; column < COLUMNS; column++) {
            double weight = tp__quantised_weight(quantised, row, column);
            double wanted = exact[row * COLUMNS + column];
            if (weight != wanted) {
                ck_abort_msg("row %u, column %u: %.17g instead of %.17g", row, column, weight,
                             wanted);
            }
        }
    }
}

START_TEST(grid_weights_keep_their_numbers)
{
    static double exact[ROWS * COLUMNS];
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int run = 0; run < 40; run++) {
        struct tp_weight_format format = format_of(_i % FORMATS, &random);
        // The factor of the queries for heads of 8, 48 and 64.
        static const double multipliers[] = {1.0, 0.51006973, 0.20823510, 0.18033688};
        double multiplier = multipliers[run % 4];
        struct tp_quantised quantised;
        struct tp_error error = {0};
        grid_weights(&format, multiplier, &random, exact, weights);
        struct tp_grid grid;
        tp__grid_make(&format, &grid);
        ck_assert(tp__grid_holds(&grid, weights, ROWS, COLUMNS, multiplier));
        tp_status status = tp__quantise_plain(weights, ROWS, COLUMNS, multiplier, &format, "w",
                                              &quantised, &error);
        ck_assert_msg(status == TP_OK, "%s", error.text);
        check_equal(&quantised, exact);
        tp__quantised_free(&quantised);
    }
}
END_TEST

START_TEST(grid_rounding_a_rounded_tensor_changes_nothing)
{
    static double exact[ROWS * COLUMNS];
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int run = 0; run < 20; run++) {
        struct tp_weight_format format = format_of(_i % FORMATS, &random);
        double size = pow(10.0, run % 6 - 4);
        struct tp_quantised quantised;
        struct tp_error error;
        for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
            weights[i] = (float)((double)tp_random_signed(&random, 20) * size);
        }
        for (int again = 0; again < 2; again++) {
            ck_assert_int_eq(
                tp__quantise_plain(weights, ROWS, COLUMNS, 1.0, &format, "w", &quantised, &error),
                TP_OK);
            struct tp_grid grid;
            tp__grid_make(&format, &grid);
            ck_assert_int_eq(tp__grid_holds(&grid, weights, ROWS, COLUMNS, 1.0), again);
            if (again == 1) check_equal(&quantised, exact);
            for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
                exact[i] = tp__quantised_weight(&quantised, i / COLUMNS, i % COLUMNS);
                weights[i] = (float)exact[i];
            }
            tp__quantised_free(&quantised);
        }
    }
}
END_TEST

START_TEST(grid_rounds_to_the_nearest_value)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_weight_format format = format_of(_i % FORMATS, &random);
    struct tp_grid grid;
    tp__grid_make(&format, &grid);
    for (int twice = -400; twice <= 400; twice++) {
        for (int side = -1; side <= 1; side++) {
            double weight = twice / 2.0 + side / 1024.0;
            double value = tp__grid_round(&grid, weight);
            double best = INFINITY;
            for (int v = -127; v <= 127; v++) {
                bool exists =
                    format.is_8_bit || memchr(format.codebook, v, TP_CODEBOOK_SIZE) != NULL;
                if (exists) best = fmin(best, fabs(v - weight));
            }
            ck_assert_double_eq(fabs(value - weight), best);
            uint8_t code = tp__grid_code(&grid, (int8_t)value);
            ck_assert_int_eq(format.is_8_bit ? (int8_t)code : format.codebook[code], (int)value);
            if (value == 0.0) ck_assert_uint_eq(code, 0);
        }
    }
}
END_TEST

START_TEST(grid_scales_ascend_and_are_found)
{
    for (uint32_t scale = 0; scale < TP_SCALE_COUNT; scale++) {
        double value = tp__scale_value(scale);
        ck_assert_double_eq(value, ldexp(16 + scale % 16, (int)(scale / 16)));
        ck_assert_uint_eq(tp__scale_below(value), scale);
        ck_assert_uint_eq(tp__scale_below(value * (1 + 1e-9)), scale);
        ck_assert_uint_eq(tp__scale_below(value * (1 - 1e-9)), scale == 0 ? 0 : scale - 1);
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("grid");
    TCase *tcase = tcase_create("grids");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, grid_weights_keep_their_numbers, 0, 2 * FORMATS);
    tcase_add_loop_test(tcase, grid_rounding_a_rounded_tensor_changes_nothing, 0, 2 * FORMATS);
    tcase_add_loop_test(tcase, grid_rounds_to_the_nearest_value, 0, 2 * FORMATS);
    tcase_add_test(tcase, grid_scales_ascend_and_are_found);
    suite_add_tcase(suite, tcase);
    return suite;
}

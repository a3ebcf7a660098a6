// SPDX-License-Identifier: Apache-2.0
//
// Claims about GPTQ: against the Hessian it is never worse than plain rounding, and on tiny
// matrices close to the best of all roundings, found by trying them; with a diagonal Hessian it is
// the best; without any it is plain rounding; weights on a grid keep their numbers; columns that
// calibration never saw are rounded like others; the number of threads changes nothing.
//
// Random matrices with inputs that depend on each other, short last blocks, all formats. Not
// covered: what it gains on a real model; docs/quantisation.md has the figures.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "gptq.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32, COLUMNS_MAX = 112, ROWS = 7 };

/* ---- helpers ---- */

static double normal(struct tp_random *random)
{
    double sum = 0.0;
    for (int k = 0; k < 4; k++) sum += (double)tp_random_range(random, -1000000, 1000000) / 1e6;
    return sum;
}

/* Sum of x x' over inputs that are mixtures of few causes. */
static void random_hessian(struct tp_random *random, uint32_t columns, double *hessian)
{
    enum { CAUSES = 12, INPUTS = 300 };
    static double mix[CAUSES][COLUMNS_MAX];
    memset(hessian, 0, (size_t)columns * columns * sizeof *hessian);
    for (int c = 0; c < CAUSES; c++) {
        for (uint32_t i = 0; i < columns; i++) mix[c][i] = normal(random);
    }
    for (int input = 0; input < INPUTS; input++) {
        double x[COLUMNS_MAX];
        for (uint32_t i = 0; i < columns; i++) x[i] = 0.3 * normal(random);
        for (int c = 0; c < CAUSES; c++) {
            double cause = normal(random);
            for (uint32_t i = 0; i < columns; i++) x[i] += cause * mix[c][i];
        }
        for (uint32_t i = 0; i < columns; i++) {
            for (uint32_t j = 0; j < columns; j++) hessian[i * columns + j] += x[i] * x[j];
        }
    }
}

static void random_weights(struct tp_random *random, float *weights, size_t count)
{
    for (size_t i = 0; i < count; i++) weights[i] = (float)(0.05 * normal(random));
}

/* The same with the damping that gptq.c adds: the measure that it minimises. */
static double cost_of(const double *difference, const double *hessian, uint32_t columns)
{
    double trace = 0.0;
    double cost = 0.0;
    for (uint32_t i = 0; i < columns; i++) trace += hessian[i * columns + i];
    for (uint32_t i = 0; i < columns; i++) {
        double sum = 0.01 * trace / columns * difference[i];
        for (uint32_t j = 0; j < columns; j++) sum += hessian[i * columns + j] * difference[j];
        cost += sum * difference[i];
    }
    return cost;
}

static double row_cost(const struct tp_quantised *quantised, const float *weights, uint32_t row,
                       const double *hessian)
{
    double difference[COLUMNS_MAX];
    uint32_t columns = quantised->columns;
    for (uint32_t i = 0; i < columns; i++) {
        difference[i] =
            (double)weights[row * columns + i] - tp__quantised_weight(quantised, row, i);
    }
    return cost_of(difference, hessian, columns);
}

static void round_gptq(const float *weights, uint32_t rows, uint32_t columns, tp_format format,
                       const double *hessian, uint32_t threads, struct tp_quantised *quantised)
{
    struct tp_error error = {0};
    struct tp_gptq_edge *edge = NULL;
    struct tp_weight_format numbers = tp__weight_format(format);
    ck_assert_int_eq(tp__gptq_edge_make(hessian, columns, 0.01, &edge, &error), TP_OK);
    tp_status status = tp__quantise_gptq(weights, rows, columns, 1.0, &numbers, edge, threads, "w",
                                         quantised, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp__gptq_edge_free(edge);
}

static void round_plain(const float *weights, uint32_t rows, uint32_t columns, tp_format format,
                        struct tp_quantised *quantised)
{
    struct tp_error error;
    ck_assert_int_eq(
        tp__quantise_tensor(weights, rows, columns, 1.0, format, "w", quantised, &error), TP_OK);
}

static const tp_format formats[] = {TP_FORMAT_Q8, TP_FORMAT_FP4, TP_FORMAT_NF4, TP_FORMAT_INT4};

/* ---- claims ---- */

START_TEST(gptq_is_never_worse_than_plain_rounding)
{
    static double hessian[COLUMNS_MAX * COLUMNS_MAX];
    static float weights[ROWS * COLUMNS_MAX];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    tp_format format = formats[_i % 4];
    static const uint32_t widths[] = {112, 96, 33, 20, 64};
    double plain_sum = 0.0;
    double gptq_sum = 0.0;
    for (int run = 0; run < 5; run++) {
        uint32_t columns = widths[run];
        random_hessian(&random, columns, hessian);
        random_weights(&random, weights, ROWS * (size_t)columns);
        struct tp_quantised plain;
        struct tp_quantised gptq;
        round_plain(weights, ROWS, columns, format, &plain);
        round_gptq(weights, ROWS, columns, format, hessian, 1, &gptq);
        for (uint32_t row = 0; row < ROWS; row++) {
            double before = row_cost(&plain, weights, row, hessian);
            double after = row_cost(&gptq, weights, row, hessian);
            ck_assert_double_le(after, before * (1 + 1e-9));
            plain_sum += before;
            gptq_sum += after;
        }
        tp__quantised_free(&plain);
        tp__quantised_free(&gptq);
    }
    ck_assert_double_le(gptq_sum, 0.5 * plain_sum);
}
END_TEST

/* The least cost of a row of at most 5 weights in -1, 0, 1 times any scale. */
static double brute_force(const float *weights, uint32_t columns, const double *hessian,
                          int32_t shift)
{
    uint32_t all = 1;
    double best = INFINITY;
    for (uint32_t i = 0; i < columns; i++) all *= 3;
    for (uint32_t scale = 0; scale < TP_SCALE_COUNT; scale++) {
        double step = ldexp(tp__scale_value(scale), -shift);
        for (uint32_t choice = 0; choice < all; choice++) {
            double difference[5];
            uint32_t left = choice;
            for (uint32_t i = 0; i < columns; i++) {
                difference[i] = (double)weights[i] - step * ((int)(left % 3) - 1);
                left /= 3;
            }
            best = fmin(best, cost_of(difference, hessian, columns));
        }
    }
    return best;
}

START_TEST(gptq_comes_close_to_the_best_rounding)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_weight_format ternary = {.codebook = {[1] = 1, [15] = -1}};
    double best_sum = 0.0;
    double gptq_sum = 0.0;
    bool diagonal = _i % 2 != 0;
    for (int run = 0; run < 40; run++) {
        uint32_t columns = 2 + tp_random_below(&random, 4);
        double hessian[25];
        float weights[5];
        struct tp_error error;
        struct tp_gptq_edge *edge = NULL;
        struct tp_quantised quantised;
        random_hessian(&random, columns, hessian);
        for (uint32_t i = 0; diagonal && i < columns * columns; i++) {
            if (i % (columns + 1) != 0) hessian[i] = 0.0;
        }
        random_weights(&random, weights, columns);
        ck_assert_int_eq(tp__gptq_edge_make(hessian, columns, 0.01, &edge, &error), TP_OK);
        ck_assert_int_eq(
            tp__quantise_gptq(weights, 1, columns, 1.0, &ternary, edge, 1, "w", &quantised, &error),
            TP_OK);
        double best = brute_force(weights, columns, hessian, quantised.shift);
        double cost = row_cost(&quantised, weights, 0, hessian);
        ck_assert_double_ge(cost, best * (1 - 1e-9));
        if (diagonal) ck_assert_double_le(cost, best * (1 + 1e-9));
        best_sum += best;
        gptq_sum += cost;
        tp__gptq_edge_free(edge);
        tp__quantised_free(&quantised);
    }
    ck_assert_double_le(gptq_sum, 1.3 * best_sum);
}
END_TEST

START_TEST(gptq_without_a_hessian_is_plain_rounding)
{
    static double hessian[COLUMNS_MAX * COLUMNS_MAX];
    static float weights[ROWS * COLUMNS_MAX];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    random_weights(&random, weights, ROWS * COLUMNS_MAX);
    struct tp_quantised plain;
    struct tp_quantised gptq;
    round_plain(weights, ROWS, COLUMNS_MAX, formats[_i], &plain);
    round_gptq(weights, ROWS, COLUMNS_MAX, formats[_i], hessian, 1, &gptq);
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t i = 0; i < COLUMNS_MAX; i++) {
            ck_assert_double_eq(tp__quantised_weight(&plain, row, i),
                                tp__quantised_weight(&gptq, row, i));
        }
    }
    tp__quantised_free(&plain);
    tp__quantised_free(&gptq);
}
END_TEST

START_TEST(gptq_keeps_weights_that_are_on_a_grid)
{
    static double hessian[COLUMNS_MAX * COLUMNS_MAX];
    static float weights[ROWS * COLUMNS_MAX];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    random_hessian(&random, COLUMNS_MAX, hessian);
    random_weights(&random, weights, ROWS * COLUMNS_MAX);
    struct tp_quantised plain;
    struct tp_quantised gptq;
    round_plain(weights, ROWS, COLUMNS_MAX, formats[_i], &plain);
    for (uint32_t i = 0; i < ROWS * COLUMNS_MAX; i++) {
        weights[i] = (float)tp__quantised_weight(&plain, i / COLUMNS_MAX, i % COLUMNS_MAX);
    }
    round_gptq(weights, ROWS, COLUMNS_MAX, formats[_i], hessian, 1, &gptq);
    for (uint32_t i = 0; i < ROWS * COLUMNS_MAX; i++) {
        double weight = tp__quantised_weight(&gptq, i / COLUMNS_MAX, i % COLUMNS_MAX);
        ck_assert_double_eq(weight, (double)weights[i]);
    }
    tp__quantised_free(&plain);
    tp__quantised_free(&gptq);
}
END_TEST

START_TEST(gptq_rounds_columns_that_calibration_never_saw)
{
    static double hessian[COLUMNS_MAX * COLUMNS_MAX];
    static float weights[ROWS * COLUMNS_MAX];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    random_hessian(&random, COLUMNS_MAX, hessian);
    random_weights(&random, weights, ROWS * COLUMNS_MAX);
    // A block, and one column of another.
    for (uint32_t i = 0; i < COLUMNS_MAX; i++) {
        bool unseen = i / BLOCK == 1 || i == 5;
        for (uint32_t j = 0; unseen && j < COLUMNS_MAX; j++) {
            hessian[i * COLUMNS_MAX + j] = 0.0;
            hessian[j * COLUMNS_MAX + i] = 0.0;
        }
    }
    struct tp_quantised gptq;
    round_gptq(weights, ROWS, COLUMNS_MAX, formats[_i], hessian, 1, &gptq);
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t i = 0; i < COLUMNS_MAX; i++) {
            double weight = (double)weights[row * COLUMNS_MAX + i];
            double difference = tp__quantised_weight(&gptq, row, i) - weight;
            if (i / BLOCK == 1) ck_assert_double_le(fabs(difference), 0.04);
        }
    }
    tp__quantised_free(&gptq);
}
END_TEST

START_TEST(gptq_does_not_depend_on_the_number_of_threads)
{
    static double hessian[COLUMNS_MAX * COLUMNS_MAX];
    static float weights[ROWS * COLUMNS_MAX];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    random_hessian(&random, COLUMNS_MAX, hessian);
    random_weights(&random, weights, ROWS * COLUMNS_MAX);
    struct tp_quantised one;
    round_gptq(weights, ROWS, COLUMNS_MAX, formats[_i], hessian, 1, &one);
    size_t values = (size_t)ROWS * one.blocks * BLOCK;
    static const uint32_t counts[] = {1, 2, 3, 16};
    for (int k = 0; k < 4; k++) {
        struct tp_quantised more;
        round_gptq(weights, ROWS, COLUMNS_MAX, formats[_i], hessian, counts[k], &more);
        ck_assert_int_eq(more.shift, one.shift);
        ck_assert_uint_eq(more.bound, one.bound);
        ck_assert_mem_eq(more.values, one.values, values);
        ck_assert_mem_eq(more.codes, one.codes, values);
        ck_assert_mem_eq(more.scales, one.scales, (size_t)ROWS * one.blocks);
        tp__quantised_free(&more);
    }
    tp__quantised_free(&one);
}
END_TEST

START_TEST(gptq_solves_with_the_damped_hessian)
{
    static double hessian[COLUMNS_MAX * COLUMNS_MAX];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_gptq_edge *edge = NULL;
    struct tp_error error;
    double in[COLUMNS_MAX];
    double middle[COLUMNS_MAX];
    double out[COLUMNS_MAX];
    double trace = 0.0;
    random_hessian(&random, COLUMNS_MAX, hessian);
    ck_assert_int_eq(tp__gptq_edge_make(hessian, COLUMNS_MAX, 0.02, &edge, &error), TP_OK);
    for (uint32_t i = 0; i < COLUMNS_MAX; i++) {
        in[i] = normal(&random);
        trace += hessian[i * (COLUMNS_MAX + 1)];
    }
    tp__gptq_solve(edge, in, middle, out);
    for (uint32_t i = 0; i < COLUMNS_MAX; i++) {
        double sum = 0.02 * trace / COLUMNS_MAX * out[i];
        for (uint32_t j = 0; j < COLUMNS_MAX; j++) sum += hessian[i * COLUMNS_MAX + j] * out[j];
        ck_assert_double_le(fabs(sum - in[i]), 1e-9);
    }
    tp__gptq_edge_free(edge);
}
END_TEST

START_TEST(gptq_reports_what_fails)
{
    double hessian[4] = {1.0, 0.5, 0.5, 1.0};
    float weights[4] = {1e30f, 1.0f, 2.0f, 0.0f};
    struct tp_weight_format format = tp__weight_format(TP_FORMAT_NF4);
    struct tp_quantised quantised;
    struct tp_error error = {0};
    struct tp_gptq_edge *edge = NULL;
    for (uint64_t n = 0; n < 4; n++) {
        tp_test_allocation_fails(n);
        tp_status status = tp__gptq_edge_make(hessian, 2, 0.01, &edge, &error);
        (void)tp_test_allocations_work();
        ck_assert_int_eq(status, TP_ERROR_NO_MEMORY);
    }
    ck_assert_int_eq(tp__gptq_edge_make(hessian, 2, 0.01, &edge, &error), TP_OK);
    ck_assert_int_eq(
        tp__quantise_gptq(weights, 2, 2, 1.0, &format, edge, 1, "blk.3.attn_q", &quantised, &error),
        TP_ERROR_RANGE);
    ck_assert(strstr(error.text, "blk.3.attn_q") != NULL);
    weights[0] = 1.0f;
    for (uint64_t n = 0; n < 5; n++) {
        tp_test_allocation_fails(n);
        tp_status status =
            tp__quantise_gptq(weights, 2, 2, 1.0, &format, edge, 2, "w", &quantised, &error);
        (void)tp_test_allocations_work();
        ck_assert_int_eq(status, TP_ERROR_NO_MEMORY);
    }
    tp__gptq_edge_free(edge);
    tp__gptq_edge_free(NULL);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("gptq");
    TCase *tcase = tcase_create("rounding");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, gptq_is_never_worse_than_plain_rounding, 0, 8);
    tcase_add_loop_test(tcase, gptq_comes_close_to_the_best_rounding, 0, 4);
    tcase_add_loop_test(tcase, gptq_without_a_hessian_is_plain_rounding, 0, 4);
    tcase_add_loop_test(tcase, gptq_keeps_weights_that_are_on_a_grid, 0, 4);
    tcase_add_loop_test(tcase, gptq_rounds_columns_that_calibration_never_saw, 0, 4);
    tcase_add_loop_test(tcase, gptq_does_not_depend_on_the_number_of_threads, 0, 4);
    tcase_add_loop_test(tcase, gptq_solves_with_the_damped_hessian, 0, 4);
    tcase_add_test(tcase, gptq_reports_what_fails);
    suite_add_tcase(suite, tcase);
    return suite;
}

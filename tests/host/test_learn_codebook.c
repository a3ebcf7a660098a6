// SPDX-License-Identifier: Apache-2.0
//
// Claims about learned codebooks: code 0 is value 0, the largest value is 127, values ascend; for
// weights that take few values the error halves at least; for normal weights the error is not above
// NF4's, for other shapes well below it; the same weights give the same codebook.
//
// Not covered: what it gains on a real model; docs/quantisation.md has the figures.

#include "check_main.h"
#include "learn_codebook.h"
#include "random.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64, COLUMNS = 160 };

static void learn(const float *weights, int8_t codebook[TP_CODEBOOK_SIZE])
{
    struct tp_codebook_learner *learner = NULL;
    struct tp_error error;
    ck_assert_int_eq(tp__learner_make(&learner, &error), TP_OK);
    ck_assert_int_eq(tp__learner_add(learner, weights, ROWS, COLUMNS, &error), TP_OK);
    tp__learner_finish(learner, codebook);
    tp__learner_free(learner);
#ifdef TP_PLANT_BUG
    for (int i = 1; i < TP_CODEBOOK_SIZE; i++) codebook[i] = (int8_t)(codebook[i] / 2);
#endif
}

static double error_with(const float *weights, const struct tp_weight_format *format)
{
    struct tp_quantised quantised;
    struct tp_error error;
    double sum = 0.0;
    ck_assert_int_eq(
        tp__quantise_plain(weights, ROWS, COLUMNS, 1.0, format, "w", &quantised, &error), TP_OK);
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
        double difference = tp__quantised_weight(&quantised, i / COLUMNS, i % COLUMNS);
        difference -= (double)weights[i];
        sum += difference * difference;
    }
    tp__quantised_free(&quantised);
    return sum;
}

/* 0: normal; 1: uniform; 2: few large ones among small ones. */
static void fill(struct tp_random *random, int shape, float *weights)
{
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
        double uniform = (double)tp_random_range(random, -1000000, 1000000) / 1e6;
        double sum = 0.0;
        for (int k = 0; k < 12; k++)
            sum += (double)tp_random_range(random, -1000000, 1000000) / 1e6;
        double large = tp_random_chance(random, 16) ? 1.0 : 0.1;
        weights[i] = (float)(0.02 * (shape == 0 ? sum : shape == 1 ? uniform : large * uniform));
    }
}

START_TEST(learn_codebook_is_at_least_as_good_as_a_fixed_one)
{
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    fill(&random, _i % 3, weights);
    struct tp_weight_format learned = {.is_8_bit = false};
    const struct tp_weight_format fixed = tp__weight_format(TP_FORMAT_NF4);
    int8_t again[TP_CODEBOOK_SIZE];
    learn(weights, learned.codebook);
    learn(weights, again);
    ck_assert_mem_eq(learned.codebook, again, sizeof again);
    ck_assert_int_eq(learned.codebook[0], 0);
    for (int i = 2; i < TP_CODEBOOK_SIZE; i++) {
        ck_assert_int_ge(learned.codebook[i], learned.codebook[i - 1]);
    }
    int low = learned.codebook[1];
    int high = learned.codebook[TP_CODEBOOK_SIZE - 1];
    ck_assert_int_eq(-low > high ? -low : high, 127);
    double limit = _i % 3 == 0 ? 1.01 : 0.95;
    ck_assert_double_le(error_with(weights, &learned), limit * error_with(weights, &fixed));
}
END_TEST

START_TEST(learn_codebook_follows_the_values_that_there_are)
{
    static const int values[] = {-127, -100, -75, -55, -30, -9, 0, 5, 14, 40, 60, 110};
    static float weights[ROWS * COLUMNS];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
        // The largest is in every block.
        uint32_t value = i % 32 == 0 ? 0 : tp_random_below(&random, 12);
        weights[i] = (float)(values[value] * ldexp(1.0, -12 + (int)(i / 32 % 3)));
    }
    struct tp_weight_format learned = {.is_8_bit = false};
    const struct tp_weight_format fixed = tp__weight_format(TP_FORMAT_NF4);
    learn(weights, learned.codebook);
    ck_assert_double_le(error_with(weights, &learned), 0.5 * error_with(weights, &fixed));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("learn codebook");
    TCase *tcase = tcase_create("codebooks");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, learn_codebook_is_at_least_as_good_as_a_fixed_one, 0, 6);
    tcase_add_loop_test(tcase, learn_codebook_follows_the_values_that_there_are, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}

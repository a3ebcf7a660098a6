// SPDX-License-Identifier: Apache-2.0
//
// Claims about tp_quantise_block: each element is within half a step of its value, within one step
// where it rounds to 128 steps and is clipped to 127; the exponent is the smallest one between its
// limits that holds the block; blocks that need more are counted once and clip to 127 steps.
//
// Random blocks of 1 to 32 elements of every size, all exponent limits, and the corners of int32.
// Steps are 2^exponent; the comparison is in double, which holds every int32 exactly.

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <math.h>

enum { BLOCKS = 20000, BLOCK = 32 };

struct block {
    int32_t x[BLOCK];
    uint32_t n;
    uint8_t exponent_min;
    uint8_t exponent_max;
};

static double largest(const struct block *b)
{
    double most = 0;
    for (uint32_t i = 0; i < b->n; i++) most = fmax(most, fabs((double)b->x[i]));
    return most;
}

static void check_element(double x, double q, double step, bool clipped)
{
    ck_assert_double_le(fabs(q), 127);
    if (fabs(x) <= 127.5 * step) {
        ck_assert_double_le(fabs(x - q * step), step / 2);
        return;
    }
    ck_assert_double_eq(q, x > 0 ? 127 : -127);
    if (!clipped) ck_assert_double_le(fabs(x - q * step), step);
}

static void check_block(const struct block *b)
{
    int8_t q[BLOCK];
    struct tp_counters counters = {0};
    uint8_t e = tp_quantise_block(b->x, b->n, b->exponent_min, b->exponent_max, q, &counters);
#ifdef TP_PLANT_BUG
    // The comparisons must be able to fail: an exponent too large by one.
    if (e < b->exponent_max) e++;
#endif
    double step = ldexp(1, e);
    double most = largest(b);
    bool clipped = counters.clips != 0;
    ck_assert_uint_ge(e, b->exponent_min);
    ck_assert_uint_le(e, b->exponent_max);
    ck_assert_uint_le(counters.clips, 1);
    ck_assert_uint_eq(counters.saturations, 0);
    // 128 steps are a block's limit: it clips only there, and half the step would not do.
    ck_assert_int_eq(clipped, most >= 128 * ldexp(1, b->exponent_max));
    if (!clipped) ck_assert_double_lt(most, 128 * step);
    if (e > b->exponent_min) ck_assert_double_ge(most, 64 * step);
    for (uint32_t i = 0; i < b->n; i++) check_element(b->x[i], q[i], step, clipped);
}

START_TEST(quantise_stays_within_half_a_step)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 1);
    for (int k = 0; k < BLOCKS; k++) {
        struct block b = {.n = 1 + tp_random_below(&random, BLOCK)};
        uint32_t bits = 1 + tp_random_below(&random, 32);
        b.exponent_min =
            (uint8_t)(tp_random_chance(&random, 128) ? 0 : tp_random_below(&random, 25));
        b.exponent_max = (uint8_t)tp_random_range(&random, b.exponent_min, 31);
        for (uint32_t i = 0; i < b.n; i++) b.x[i] = (int32_t)tp_random_signed(&random, bits);
        check_block(&b);
    }
}
END_TEST

START_TEST(quantise_holds_at_the_edges_of_rounding)
{
    for (int e = 0; e <= 24; e++) {
        for (int d = -2; d <= 2; d++) {
            int64_t edge = ((int64_t)255 << e) / 2 + d;
            struct block b = {.x = {(int32_t)edge, (int32_t)-edge}, .n = 2, .exponent_max = 25};
            check_block(&b);
            b.exponent_max = (uint8_t)(e / 2);
            check_block(&b);
        }
    }
    struct block b = {.x = {INT32_MIN, INT32_MAX, -1, 0}, .n = 4, .exponent_max = 25};
    check_block(&b);
}
END_TEST

START_TEST(quantise_keeps_small_blocks_exactly)
{
    int8_t q[BLOCK];
    struct tp_counters counters = {0};
    int32_t x[3] = {127, -127, 0};
    ck_assert_uint_eq(tp_quantise_block(x, 3, 0, 25, q, &counters), 0);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(q[i], x[i]);
    int32_t zero[BLOCK] = {0};
    ck_assert_uint_eq(tp_quantise_block(zero, BLOCK, 0, 25, q, &counters), 0);
    for (int i = 0; i < BLOCK; i++) ck_assert_int_eq(q[i], 0);
    int32_t least = INT32_MIN;
    ck_assert_uint_eq(tp_quantise_block(&least, 1, 0, 25, q, &counters), 25);
    ck_assert_int_eq(q[0], -64);
    ck_assert_uint_eq(counters.clips, 0);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("quantise model");
    TCase *tcase = tcase_create("blocks");
    tcase_add_loop_test(tcase, quantise_stays_within_half_a_step, 0, 4);
    tcase_add_test(tcase, quantise_holds_at_the_edges_of_rounding);
    tcase_add_test(tcase, quantise_keeps_small_blocks_exactly);
    suite_add_tcase(suite, tcase);
    return suite;
}

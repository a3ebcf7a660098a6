// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_rnd, tp_flr, tp_sat32 and tp_rnd_sat32 are exact: v / 2^s rounded half up, or
// down, or clamped to int32, with one saturation counted for each clamp.
//
// Corner and random numbers of every size against long double, whose 64-bit mantissa holds every
// int64 and its halves exactly; all shifts of the instruction fields.

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <float.h>
#include <math.h>

#if LDBL_MANT_DIG < 64
#error "the reference needs a long double with 64 bits of mantissa"
#endif

// The comparisons must be able to fail: with the fault planted, halves are rounded away from zero.
static int64_t rnd(int64_t v, int s)
{
#ifdef TP_PLANT_BUG
    return v < 0 && s > 0 && s <= 62 ? -tp_rnd(-v, s) : tp_rnd(v, s);
#else
    return tp_rnd(v, s);
#endif
}

static const int64_t corners[] = {
    0,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    127,
    128,
    -128,
    INT32_MAX,
    INT32_MIN,
    INT64_MAX,
    INT64_MIN,
    1LL << 31,
    -(1LL << 31) - 1,
    1LL << 30,
    -(1LL << 30),
    (1LL << 30) - 1,
    -(1LL << 30) - 1,
    1LL << 39,
    -(1LL << 39),
    1LL << 62,
    -(1LL << 62),
    INT64_MIN + 1,
    0x5555555555555555LL,
};
enum { CORNERS = sizeof corners / sizeof corners[0], RANDOM_COUNT = 2000 };

static int64_t number(struct tp_random *random, uint32_t i)
{
    return i < CORNERS ? corners[i] : tp_random_signed(random, 64);
}

START_TEST(rnd_rounds_half_up_at_every_shift)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 1);
    for (uint32_t i = 0; i < RANDOM_COUNT; i++) {
        int64_t v = number(&random, i);
        for (int s = 1; s <= 62; s++) {
            int64_t exact = (int64_t)floorl(ldexpl((long double)v, -s) + 0.5L);
            if (rnd(v, s) != exact) ck_abort_msg("rnd(%lld, %d)", (long long)v, s);
        }
        ck_assert_int_eq(rnd(v, 63), 0);
        ck_assert_int_eq(rnd(v, 127), 0);
        ck_assert_int_eq(rnd(v, 0), v);
    }
}
END_TEST

START_TEST(flr_rounds_down_at_every_shift)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 2);
    for (uint32_t i = 0; i < RANDOM_COUNT; i++) {
        int64_t v = number(&random, i);
        for (int s = 0; s <= 127; s++) {
            int64_t exact = (int64_t)floorl(ldexpl((long double)v, -s));
            if (tp_flr(v, s) != exact) ck_abort_msg("flr(%lld, %d)", (long long)v, s);
        }
    }
}
END_TEST

START_TEST(negative_shifts_multiply)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 3);
    for (uint32_t i = 0; i < RANDOM_COUNT; i++) {
        int64_t v = tp_random_signed(&random, 32);
        for (int s = 0; s <= 31; s++) {
            int64_t exact = v * (INT64_C(1) << s);
            bool equal = tp_rnd(v, -s) == exact && tp_flr(v, -s) == exact;
            if (!equal) ck_abort_msg("%lld times 2^%d", (long long)v, s);
        }
    }
}
END_TEST

static int32_t clamp(long double v, uint64_t *saturations)
{
    if (v > 2147483647.0L || v < -2147483648.0L) {
        *saturations += 1;
        return v > 0 ? INT32_MAX : INT32_MIN;
    }
    return (int32_t)v;
}

START_TEST(saturation_is_exact_and_counted_at_every_shift)
{
    struct tp_random random;
    struct tp_counters counters = {0, 0};
    uint64_t expected = 0;
    tp_random_init(&random, tp_test_seed(_i), 4);
    for (uint32_t i = 0; i < RANDOM_COUNT; i++) {
        int64_t v = number(&random, i);
        ck_assert_int_eq(tp_sat32(v, &counters), clamp((long double)v, &expected));
        for (int s = -128; s <= 127; s++) {
            long double exact = ldexpl((long double)v, -s);
            if (s > 0) exact = s > 62 ? 0 : floorl(exact + 0.5L);
            int32_t y = tp_rnd_sat32(v, s, &counters);
            bool equal = y == clamp(exact, &expected);
            if (!equal) ck_abort_msg("rnd_sat32(%lld, %d)", (long long)v, s);
        }
    }
    ck_assert_uint_eq(counters.saturations, expected);
    ck_assert_uint_eq(counters.clips, 0);
}
END_TEST

START_TEST(bits_and_magnitude_hold_at_every_power_of_two)
{
    ck_assert_int_eq(tp_bits(0), 0);
    for (int b = 0; b < 64; b++) {
        ck_assert_int_eq(tp_bits(UINT64_C(1) << b), b + 1);
        ck_assert_int_eq(tp_bits((UINT64_C(2) << b) - 1), b + 1);
    }
    ck_assert_uint_eq(tp_magnitude(0), 0);
    ck_assert_uint_eq(tp_magnitude(-5), 5);
    ck_assert_uint_eq(tp_magnitude(INT32_MAX), 2147483647u);
    ck_assert_uint_eq(tp_magnitude(INT32_MIN), 2147483648u);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("fixed_model");
    TCase *tcase = tcase_create("exact");
    tcase_add_loop_test(tcase, rnd_rounds_half_up_at_every_shift, 0, 4);
    tcase_add_loop_test(tcase, flr_rounds_down_at_every_shift, 0, 4);
    tcase_add_loop_test(tcase, negative_shifts_multiply, 0, 2);
    tcase_add_loop_test(tcase, saturation_is_exact_and_counted_at_every_shift, 0, 4);
    tcase_add_test(tcase, bits_and_magnitude_hold_at_every_power_of_two);
    suite_add_tcase(suite, tcase);
    return suite;
}

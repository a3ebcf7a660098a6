// SPDX-License-Identifier: Apache-2.0
//
// Claims: tp_rsqrt is within 2^-11.4 of 1/sqrt; tp_rmsnorm_factor adds to that only what the cut of
// the elements to 16 bits may cost; tp_rmsnorm_gain rounds correctly and counts what it clamps;
// tp_head_norm stays within the sum of its roundings of the norm in double.
//
// rsqrt: all values below 2^20 and random ones up to 2^49. Vectors: random ones of every size,
// short and long, all zero, INT32_MIN, with epsilon from nothing to more than the squares.

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <math.h>
#include <string.h>

enum { VALUES = 1 << 20, VECTORS = 4000, LONGEST = 8192, HEAD_MAX = 128 };

// 2^-11.4: the linear step between 65 table entries and the table's own rounding.
static const double RSQRT_BOUND = 3.7e-4;

static double factor_value(uint32_t rm, int shift)
{
    return ldexp(rm, -16 - shift);
}

static void check_rsqrt(uint64_t a)
{
    int32_t half_k;
    uint32_t rm = tp_rsqrt(a, &half_k);
#ifdef TP_PLANT_BUG
    // The comparisons must be able to fail: one unit of the sixth fraction bit too much.
    rm += 1u << 10;
#endif
    double error = factor_value(rm, half_k) * sqrt((double)a) - 1;
    if (fabs(error) > RSQRT_BOUND || rm < 32768 || rm > 65536) {
        ck_abort_msg("rsqrt of %llu: rm %u, error %g", (unsigned long long)a, rm, error);
    }
}

START_TEST(rsqrt_is_within_its_bound)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(0), 1);
    for (uint64_t a = 1; a < VALUES; a++) check_rsqrt(a);
    for (int i = 0; i < VALUES; i++) {
        uint64_t a = tp_random_u64(&random) >> (15 + tp_random_below(&random, 49));
        check_rsqrt(a == 0 ? 1 : a);
    }
}
END_TEST

START_TEST(rsqrt_is_exact_at_powers_of_four)
{
    for (int k = 0; k < 50; k += 2) {
        int32_t half_k;
        ck_assert_uint_eq(tp_rsqrt(UINT64_C(1) << k, &half_k), 65536);
        ck_assert_int_eq(half_k, k / 2);
    }
}
END_TEST

static void random_vector(struct tp_random *random, int32_t *x, uint32_t n)
{
    uint32_t bits = 1 + tp_random_below(random, 32);
    for (uint32_t i = 0; i < n; i++) x[i] = (int32_t)tp_random_signed(random, bits);
    if (tp_random_chance(random, 32)) x[tp_random_below(random, n)] = INT32_MIN;
    if (tp_random_chance(random, 16)) memset(x, 0, n * sizeof *x);
}

static double square_sum(const int32_t *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}

// sh of the contract: elements lose so many bits before they are squared.
static int cut_bits(const int32_t *x, uint32_t n)
{
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= tp_magnitude(x[i]);
    int bits = tp_bits(any);
    return bits > 15 ? bits - 15 : 0;
}

// Largest relative error of a factor: the table's, and each element and epsilon cut by less than
// one unit of 2^sh, which moves the length of the vector by less than (sqrt(n) + 1) units.
static double factor_bound(const int32_t *x, uint32_t n, double epsilon)
{
    int sh = cut_bits(x, n);
    double length = sqrt(square_sum(x, n) + epsilon);
    double cut = sh == 0 ? 0 : (sqrt(n) + 1) * ldexp(1, sh) / length;
    return RSQRT_BOUND + cut / (1 - cut) * (1 + RSQRT_BOUND);
}

static void check_factor(const int32_t *x, uint32_t n, uint64_t epsilon)
{
    struct tp_norm_factor factor = tp_rmsnorm_factor(x, n, epsilon);
    double sum = square_sum(x, n) + (double)epsilon;
    ck_assert_int_ge(factor.shift, 0);
    ck_assert_int_le(factor.shift, 38);
    if (sum == 0) {
        ck_assert_uint_eq(factor.rm, 65536);
        ck_assert_int_eq(factor.shift, 0);
        return;
    }
    double error = factor_value(factor.rm, factor.shift) * sqrt(sum) - 1;
#ifdef TP_PLANT_BUG
    error += 0.25;
#endif
    ck_assert_double_le(fabs(error), factor_bound(x, n, (double)epsilon));
}

START_TEST(rmsnorm_factor_is_within_its_bound)
{
    static int32_t x[LONGEST];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 2);
    for (int k = 0; k < VECTORS; k++) {
        uint32_t n = 1 + tp_random_below(&random, 300);
        random_vector(&random, x, n);
        uint64_t epsilon = tp_random_u64(&random) >> (16 + tp_random_below(&random, 48));
        check_factor(x, n, epsilon);
        check_factor(x, n, 0);
    }
    for (uint32_t i = 0; i < LONGEST; i++) x[i] = INT32_MIN;
    check_factor(x, LONGEST, (UINT64_C(1) << 48) - 1);
    for (uint32_t i = 0; i < LONGEST; i++) x[i] = -32767;
    check_factor(x, LONGEST, (UINT64_C(1) << 48) - 1);
}
END_TEST

static double clamp(double v)
{
    return fmax(INT32_MIN, fmin(INT32_MAX, v));
}

START_TEST(rmsnorm_gain_rounds_correctly)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 3);
    for (int k = 0; k < VALUES / 4; k++) {
        struct tp_counters counters = {0};
        int32_t x = (int32_t)tp_random_signed(&random, 32);
        int16_t gain = (int16_t)tp_random_signed(&random, 16);
        int shift = (int)tp_random_range(&random, -20, 63);
        int32_t h;
        tp_rmsnorm_gain(&x, &gain, 1, shift, &h, &counters);
#ifdef TP_PLANT_BUG
        h ^= 2;
#endif
        double exact = ldexp((double)x * gain, -shift);
        ck_assert_double_le(fabs(h - clamp(exact)), 0.5);
        ck_assert_uint_eq(counters.saturations, floor(exact + 0.5) != clamp(floor(exact + 0.5)));
    }
}
END_TEST

static void check_head(const int32_t *x, const int16_t *gain, uint32_t n, int head_shift,
                       uint32_t epsilon)
{
    int32_t head[HEAD_MAX];
    struct tp_counters counters = {0};
    memcpy(head, x, n * sizeof *head);
    tp_head_norm(head, gain, n, head_shift, epsilon, &counters);
    double sum = square_sum(x, n) + epsilon;
    double length = sqrt(sum > 0 ? sum : 1);
    double relative = factor_bound(x, n, sum > 0 ? epsilon : 1);
    for (uint32_t i = 0; i < n; i++) {
        double z = ldexp(x[i] / length, -head_shift);
        // Where a factor is clamped on the way, nothing is claimed but the clamp.
        if (fabs(z) > 0.49 * INT32_MAX) continue;
        double exact = ldexp(z * gain[i], -15);
#ifdef TP_PLANT_BUG
        exact += 2 + fabs(exact) / 16;
#endif
        double rounding = ldexp(fabs((double)gain[i]), -15) * 1.0 + 0.5;
        ck_assert_double_le(fabs(head[i] - exact), fabs(exact) * relative + rounding);
    }
}

START_TEST(head_norm_is_within_its_roundings)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 4);
    for (int k = 0; k < VECTORS; k++) {
        int32_t x[HEAD_MAX];
        int16_t gain[HEAD_MAX];
        uint32_t n = 8u << tp_random_below(&random, 5);
        random_vector(&random, x, n);
        for (uint32_t i = 0; i < n; i++) gain[i] = (int16_t)tp_random_signed(&random, 16);
        uint32_t epsilon = tp_random_u32(&random) >> tp_random_below(&random, 32);
        check_head(x, gain, n, (int)tp_random_range(&random, -31, -8), epsilon);
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rmsnorm model");
    TCase *tcase = tcase_create("norm");
    tcase_add_test(tcase, rsqrt_is_within_its_bound);
    tcase_add_test(tcase, rsqrt_is_exact_at_powers_of_four);
    tcase_add_loop_test(tcase, rmsnorm_factor_is_within_its_bound, 0, 4);
    tcase_add_loop_test(tcase, rmsnorm_gain_rounds_correctly, 0, 2);
    tcase_add_loop_test(tcase, head_norm_is_within_its_roundings, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sine is within 9.9e-5 of sine at every phase that the table tells apart, that the
// angles are those of position * increment, and that a rotation is within 1.4e-4 of the exact one,
// relative to the pair's length, and saturates instead of wrapping.
//
// Sine: exhaustive over the 18 bits that matter. Rotation: random and corner pairs against double.

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <math.h>

static const double TURN = 6.28318530717958647692;

// The comparisons must be able to fail: with the fault planted, this stands in for tp_sine.
static int32_t sine(uint32_t phase)
{
#ifdef TP_PLANT_BUG
    return tp_sine(phase & 0xfff00000u);
#else
    return tp_sine(phase);
#endif
}

static double sine_bound(void)
{
    return 9.9e-5;
}

START_TEST(sine_is_near_the_exact_one_at_every_phase)
{
    double worst = 0;
    // The lowest 14 bits do not count in even quadrants and are mirrored in odd ones: both ends.
    for (uint64_t step = 0; step < 1u << 18; step++) {
        for (uint32_t low = 0; low < 1u << 14; low += (1u << 14) - 1) {
            uint32_t phase = (uint32_t)(step << 14) + low;
            double error = fabs(sine(phase) / 32768.0 - sin(phase * (TURN / 4294967296.0)));
            if (error > worst) worst = error;
        }
    }
    ck_assert_msg(worst <= sine_bound(), "worst sine error %.3g", worst);
}
END_TEST

START_TEST(sine_is_exact_at_the_quarters)
{
    ck_assert_int_eq(sine(0), 0);
    ck_assert_int_eq(sine(0x40000000u), 32768);
    ck_assert_int_eq(sine(0x80000000u), 0);
    ck_assert_int_eq(sine(0xc0000000u), -32768);
}
END_TEST

START_TEST(sine_is_odd)
{
    for (uint32_t phase = 1; phase < 0x80000000u; phase += 9973) {
        ck_assert_int_eq(sine(phase), -sine(0u - phase));
    }
}
END_TEST

START_TEST(angles_follow_position_times_increment)
{
    enum { PAIRS = 64 };
    struct tp_random random;
    uint32_t increment[PAIRS];
    int32_t cosine_out[PAIRS];
    int32_t sine_out[PAIRS];
    tp_random_init(&random, tp_test_seed(_i), 1);
    tp_random_words(&random, increment, PAIRS);
    uint32_t position = tp_random_below(&random, 65536);
    tp_rope_angles(position, increment, PAIRS, cosine_out, sine_out);
    for (uint32_t j = 0; j < PAIRS; j++) {
        double angle = (uint32_t)(position * increment[j]) * (TURN / 4294967296.0);
        ck_assert_double_le(fabs(cosine_out[j] / 32768.0 - cos(angle)), sine_bound());
        ck_assert_double_le(fabs(sine_out[j] / 32768.0 - sin(angle)), sine_bound());
    }
}
END_TEST

static void check_rotation(int32_t a, int32_t b, uint32_t phase)
{
    struct tp_counters counters = {0, 0};
    int32_t x = a;
    int32_t y = b;
    double angle = phase * (TURN / 4294967296.0);
    tp_rope_rotate(&x, &y, sine(phase + 0x40000000u), sine(phase), &counters);
    double bound = 1.4e-4 * hypot(a, b) + 0.5;
    double exact_x = a * cos(angle) - b * sin(angle);
    double exact_y = a * sin(angle) + b * cos(angle);
    if (counters.saturations == 0) {
        ck_assert_double_le(fabs(x - exact_x), bound);
        ck_assert_double_le(fabs(y - exact_y), bound);
    } else {
        ck_assert(x == INT32_MAX || x == INT32_MIN || y == INT32_MAX || y == INT32_MIN);
        ck_assert_double_ge(fmax(fabs(exact_x), fabs(exact_y)) + bound, 2147483647.0);
    }
}

START_TEST(rotation_is_near_the_exact_one)
{
    static const int32_t corner[] = {0, 1, -1, 65536, INT32_MAX, INT32_MIN};
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 2);
    for (uint32_t i = 0; i < 40000; i++) {
        int32_t a = i < 36 ? corner[i % 6] : (int32_t)tp_random_signed(&random, 32);
        int32_t b = i < 36 ? corner[i / 6] : (int32_t)tp_random_signed(&random, 32);
        check_rotation(a, b, tp_random_u32(&random));
    }
}
END_TEST

START_TEST(rotation_counts_each_saturated_element)
{
    struct tp_counters counters = {0, 0};
    int32_t a = INT32_MAX;
    int32_t b = INT32_MAX;
    tp_rope_rotate(&a, &b, 23170, 23170, &counters);
    ck_assert_int_eq(a, 0);
    ck_assert_int_eq(b, INT32_MAX);
    ck_assert_uint_eq(counters.saturations, 1);
    a = INT32_MIN;
    b = INT32_MIN;
    tp_rope_rotate(&a, &b, -32768, 0, &counters);
    ck_assert_int_eq(a, INT32_MAX);
    ck_assert_int_eq(b, INT32_MAX);
    ck_assert_uint_eq(counters.saturations, 3);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rope_model");
    TCase *tcase = tcase_create("float");
    tcase_add_test(tcase, sine_is_near_the_exact_one_at_every_phase);
    tcase_add_test(tcase, sine_is_exact_at_the_quarters);
    tcase_add_test(tcase, sine_is_odd);
    tcase_add_loop_test(tcase, angles_follow_position_times_increment, 0, 8);
    tcase_add_loop_test(tcase, rotation_is_near_the_exact_one, 0, 4);
    tcase_add_test(tcase, rotation_counts_each_saturated_element);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sigmoid is within 2.2e-4 of the exact one for every Q16.16 input up to the flat
// part and beyond, that silu is within 3.5e-4, and that tp_swiglu is within 3.6e-4 * |up| plus
// 2^-14 of the product, and saturates instead of wrapping.
//
// Sigmoid: exhaustive over the 21 bits up to the flat part. SwiGLU: random sizes and corners
// against double.

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <math.h>

// The comparisons must be able to fail: with the fault planted, these stand in for the model.
static int32_t sigmoid(int32_t a)
{
#ifdef TP_PLANT_BUG
    return tp_sigmoid(a & ~2047);
#else
    return tp_sigmoid(a);
#endif
}

static double exact_sigmoid(double a)
{
    return 1 / (1 + exp(-a));
}

START_TEST(sigmoid_is_near_the_exact_one_at_every_input)
{
    double worst = 0;
    double worst_silu = 0;
    for (int32_t a = -(1 << 20) - 70000; a <= (1 << 20) + 70000; a++) {
        double value = sigmoid(a) / 65536.0;
        double exact = exact_sigmoid(a / 65536.0);
        double error = fabs(value - exact);
        if (error > worst) worst = error;
        double error_silu = error * fabs(a / 65536.0);
        if (error_silu > worst_silu) worst_silu = error_silu;
    }
    ck_assert_msg(worst <= 2.2e-4, "worst sigmoid error %.4g", worst);
    ck_assert_msg(worst_silu <= 3.5e-4, "worst silu error %.4g", worst_silu);
}
END_TEST

START_TEST(sigmoid_is_mirrored_and_flat)
{
    for (int32_t a = 0; a < 1 << 21; a += 97) {
        ck_assert_int_eq(sigmoid(a) + sigmoid(-a), a == 0 ? 2 * sigmoid(0) : 65536);
    }
    ck_assert_int_eq(sigmoid(0), 32768);
    ck_assert_int_eq(sigmoid(1 << 20), 65536);
    ck_assert_int_eq(sigmoid(INT32_MAX), 65536);
    ck_assert_int_eq(sigmoid(INT32_MIN), 0);
}
END_TEST

static void check_swiglu(int32_t gate, int32_t up)
{
    struct tp_counters counters = {0, 0};
    int32_t value = tp_swiglu(gate, up, &counters);
    double g = gate / 65536.0;
    double exact = g * exact_sigmoid(g) * up;
    double bound = 3.6e-4 * fabs((double)up) + ldexp(fabs(exact), -14) + 1;
    if (counters.saturations == 0) {
        ck_assert_msg(fabs(value - exact) <= bound, "gate %d up %d: %d, exact %.3f, bound %.3f",
                      gate, up, value, exact, bound);
    } else {
        ck_assert(value == (exact > 0 ? INT32_MAX : INT32_MIN));
        ck_assert_double_ge(fabs(exact) + bound, 2147483647.0);
    }
}

START_TEST(swiglu_is_near_the_exact_product)
{
    static const int32_t corner[] = {0,       1,         -1,       65536,   -65536,
                                     131071,  131072,    -131072,  -131073, 1048575,
                                     1048576, INT32_MAX, INT32_MIN};
    enum { CORNERS = sizeof corner / sizeof *corner };
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 1);
    for (uint32_t i = 0; i < CORNERS * CORNERS; i++) {
        check_swiglu(corner[i % CORNERS], corner[i / CORNERS]);
    }
    for (uint32_t i = 0; i < 40000; i++) {
        int32_t gate = (int32_t)tp_random_signed(&random, i & 1 ? 32 : 21);
        check_swiglu(gate, (int32_t)tp_random_signed(&random, 32));
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ffn_model");
    TCase *tcase = tcase_create("float");
    tcase_add_test(tcase, sigmoid_is_near_the_exact_one_at_every_input);
    tcase_add_test(tcase, sigmoid_is_mirrored_and_flat);
    tcase_add_loop_test(tcase, swiglu_is_near_the_exact_product, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_ecp5_multiply, made of the model of a hard multiplier or as its twin, gives the
// complete product of signed and unsigned operands, one per cycle, one or three cycles later.
//
// Random operands and the ends of the ranges in every cycle. Not covered: that the model is right,
// which only a board can show.

#include "check_main.h"
#include "dut.h"
#include "random.h"

#ifndef TP_PARAM_SignedA
#define TP_PARAM_SignedA 1
#endif
#ifndef TP_PARAM_SignedB
#define TP_PARAM_SignedB 1
#endif
#ifndef TP_PARAM_Latency
#define TP_PARAM_Latency 3
#endif

enum { CYCLES = 4000, LATENCY = TP_PARAM_Latency, WIDTH = TP_PARAM_WidthA + TP_PARAM_WidthB };

static uint64_t operand(struct tp_random *random, uint32_t bits)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    uint64_t ends[] = {0, 1, mask, mask >> 1, (mask >> 1) + 1};
    if (tp_random_chance(random, 64)) return ends[tp_random_below(random, 5)];
    return tp_random_u64(random) & mask;
}

static int64_t value(uint64_t bits, uint32_t width, bool is_signed)
{
    bool is_negative = is_signed && (bits >> (width - 1) & 1);
    return (int64_t)bits - (is_negative ? (int64_t)1 << width : 0);
}

START_TEST(products_are_complete_and_in_time)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    int64_t expected[LATENCY] = {0};
    tp_random_init(&random, seed, 0);

    for (int cycle = 0; cycle < CYCLES; cycle++) {
        uint64_t a = operand(&random, TP_PARAM_WidthA);
        uint64_t b = operand(&random, TP_PARAM_WidthB);
        tp_dut_set(dut, "a_i", a);
        tp_dut_set(dut, "b_i", b);
        tp_dut_tick(dut);
        for (int i = LATENCY - 1; i > 0; i--) expected[i] = expected[i - 1];
        expected[0] = value(a, TP_PARAM_WidthA, TP_PARAM_SignedA) *
                      value(b, TP_PARAM_WidthB, TP_PARAM_SignedB);
        if (cycle < LATENCY - 1) continue;
        ck_assert_uint_eq(tp_dut_get(dut, "out_o"),
                          (uint64_t)expected[LATENCY - 1] & (((uint64_t)1 << WIDTH) - 1));
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ecp5_multiply");
    TCase *tcase = tcase_create("products");
    tcase_add_loop_test(tcase, products_are_complete_and_in_time, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

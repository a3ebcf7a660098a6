// SPDX-License-Identifier: Apache-2.0
//
// Claims that every copy of tp_reset_copies is low from power-up on and is the reset a cycle later.
//
// Random resets from random power-up state. That the copies stay separate registers is a matter of
// synthesis: `make netlist-check UNITS=reset_copies` runs this test with the cells.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { CYCLES = 200, ALL = (1 << TP_PARAM_Copies) - 1 };

START_TEST(reset_copies_follow_a_cycle_later)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open_in_reset(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 0);
    tp_dut_settle(dut);
    ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), 0);
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        bool released = tp_random_below(&random, 4) != 0;
        uint64_t before = tp_dut_get(dut, "rst_no");
        tp_dut_set(dut, "rst_ni", released);
        tp_dut_settle(dut);
        ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), before);
        tp_dut_tick(dut);
        ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), released ? ALL : 0);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("reset_copies");
    TCase *tcase = tcase_create("copies");
    tcase_add_loop_test(tcase, reset_copies_follow_a_cycle_later, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

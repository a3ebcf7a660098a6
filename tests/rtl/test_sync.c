// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sync delays its input by exactly Stages cycles.
//
// Random bits against a queue. Not covered, because simulation has no metastability: that the
// chain is long enough.

#include "check_main.h"
#include "dut.h"
#include "random.h"

START_TEST(sync_delays_by_its_stages)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    uint64_t history = 0;
    tp_random_init(&random, seed, 0);
    for (int cycle = 0; cycle < 500; cycle++) {
        uint64_t bit = (uint64_t)tp_random_chance(&random, 128);
        history = history << 1 | bit;
        tp_dut_set(dut, "async_i", bit);
        tp_dut_tick(dut);
        if (cycle < TP_PARAM_Stages) continue;
        uint64_t expected = history >> (TP_PARAM_Stages - 1) & 1;
        ck_assert_uint_eq(tp_dut_get(dut, "sync_o"), expected);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sync");
    TCase *tcase = tcase_create("delay");
    tcase_add_loop_test(tcase, sync_delays_by_its_stages, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

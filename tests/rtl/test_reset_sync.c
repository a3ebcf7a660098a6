// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_reset_sync starts in reset, asserts its reset at most 3 cycles after a request,
// keeps it for HoldCycles cycles after the request's end, and then releases it for good.
//
// Requests of random length from random power-up state. Not covered: requests shorter than a clock
// period.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { STAGES = 2, REQUESTS = 20 };

START_TEST(reset_sync_holds_and_releases)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 0);
    tp_dut_settle(dut);
    ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), 0);
    for (int request = 0; request < REQUESTS; request++) {
        uint32_t length = 1 + tp_random_below(&random, 40);
        tp_dut_set(dut, "request_ni", 0);
        for (uint32_t i = 1; i <= length; i++) {
            tp_dut_tick(dut);
            if (i > STAGES) ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), 0);
        }
        tp_dut_set(dut, "request_ni", 1);
        // The end of the request passes the synchroniser, then HoldCycles cycles are counted.
        for (uint32_t i = 1; i <= STAGES + TP_PARAM_HoldCycles; i++) {
            tp_dut_tick(dut);
            if (length + i > STAGES) ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), 0);
        }
        for (int i = 0; i < 50; i++) {
            tp_dut_tick(dut);
            ck_assert_uint_eq(tp_dut_get(dut, "rst_no"), 1);
        }
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("reset_sync");
    TCase *tcase = tcase_create("reset");
    tcase_add_loop_test(tcase, reset_sync_holds_and_releases, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

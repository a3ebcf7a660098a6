// SPDX-License-Identifier: Apache-2.0
//
// What a Check test program provides and may use; check_main.c has the main function.

#ifndef TP_TEST_CHECK_MAIN_H
#define TP_TEST_CHECK_MAIN_H

#include <check.h>

/** Each test program defines this one function. */
Suite *tp_test_suite(void);

/** Marks the running test as skipped, with its reason; return from the test right after. */
void tp_test_skip(const char *reason);

/** Power-up seeds that every RTL test loops over (tcase_add_loop_test(tc, t, 0, TP_TEST_SEEDS)): a
 *  missing reset bit shows in about half of them. */
#ifdef TP_PLANT_BUG
#define TP_TEST_SEEDS 2  // a planted fault shows soon or the test is too weak
#else
#define TP_TEST_SEEDS 8
#endif

#endif

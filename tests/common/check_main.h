// SPDX-License-Identifier: Apache-2.0
//
// What a Check test program provides and may use; check_main.c has the main function.

#ifndef TP_TEST_CHECK_MAIN_H
#define TP_TEST_CHECK_MAIN_H

#include <check.h>

/** Each test program defines this one function. */
Suite *tp_test_suite(void);

/** Takes the place of what Check does for each assertion that holds: it writes the place to a file,
 *  to tell where a test was when it crashed, which in a loop takes far longer than what is tested.
 *  Only the first thousand of a test are written, then one in a thousand. */
void tp_test_mark(const char *file, int line);
#define _mark_point(file, line) tp_test_mark(file, line)

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

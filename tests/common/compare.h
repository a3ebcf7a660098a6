// SPDX-License-Identifier: Apache-2.0
//
// Comparisons that fail the running Check test and name the first difference.

#ifndef TP_TEST_COMPARE_H
#define TP_TEST_COMPARE_H

#include <stddef.h>
#include <stdint.h>

/** Equal words, or the test fails with what, the beat and the word of the first difference.
 *  words_per_beat only serves the message. */
void tp_compare_words(const char *what, const uint32_t *expected, const uint32_t *actual,
                      size_t count, size_t words_per_beat);

/** Equal signed numbers, or the test fails with what and the index. */
void tp_compare_i32(const char *what, const int32_t *expected, const int32_t *actual, size_t count);

#endif

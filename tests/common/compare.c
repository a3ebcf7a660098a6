// SPDX-License-Identifier: Apache-2.0
//
// Comparisons that fail the running Check test and name the first difference.

#include "compare.h"

#include <check.h>
#include <inttypes.h>

void tp_compare_words(const char *what, const uint32_t *expected, const uint32_t *actual,
                      size_t count, size_t words_per_beat)
{
    for (size_t i = 0; i < count; i++) {
        if (expected[i] == actual[i]) continue;
        ck_abort_msg("%s: beat %zu word %zu: expected %08" PRIx32 ", got %08" PRIx32, what,
                     i / words_per_beat, i % words_per_beat, expected[i], actual[i]);
    }
}

void tp_compare_i32(const char *what, const int32_t *expected, const int32_t *actual, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (expected[i] == actual[i]) continue;
        ck_abort_msg("%s: index %zu: expected %" PRId32 ", got %" PRId32, what, i, expected[i],
                     actual[i]);
    }
}

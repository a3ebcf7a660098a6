// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets share.

#ifndef TP_TEST_FUZZ_H
#define TP_TEST_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tp_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stays armed in every build, and ends the run with a report. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A failure has its code in the record and one line of text that names the file. */
static inline void fuzz_check(tp_status status, const struct tp_error *error)
{
    if (status != TP_OK) {
        FUZZ_REQUIRE(error->status == status);
        FUZZ_REQUIRE(error->text[0] != 0 && strchr(error->text, '\n') == NULL);
    }
}

#endif

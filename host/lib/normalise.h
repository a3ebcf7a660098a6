// SPDX-License-Identifier: Apache-2.0
//
// Composing text to Unicode normal form C as it is copied.

#ifndef TP_LIB_NORMALISE_H
#define TP_LIB_NORMALISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum {
    TP_COMPOSE_POINTS_MAX = 1024,  // characters that may belong to one, marks included
    TP_COMPOSE_GROWTH = 3          // a text in form C has at most so many times its bytes
};

/** Working memory: one character with its marks, decomposed. */
struct tp_composer {
    int32_t points[TP_COMPOSE_POINTS_MAX];
    int32_t copy[TP_COMPOSE_POINTS_MAX];
    uint32_t count;
};

/** Writes valid UTF-8 in form C.
 *  out    out    room of out_max bytes
 *         count  bytes written; SIZE_MAX when out_max is too small
 *  error  TP_ERROR_RANGE  more than TP_COMPOSE_POINTS_MAX marks in a row
 *  time   linear but for the order of marks in a row */
TP_MUST_USE tp_status tp__compose(struct tp_composer *composer, const char *text, size_t size,
                                  char *out, size_t out_max, size_t *count, struct tp_error *error);

#endif

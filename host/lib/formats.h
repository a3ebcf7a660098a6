// SPDX-License-Identifier: Apache-2.0
//
// Number formats of the matrices: the one place that decides which matrix has which.

#ifndef TP_LIB_FORMATS_H
#define TP_LIB_FORMATS_H

#include "layout.h"
#include "tokproc.h"

/** Whether a matrix can have it: neither an -all format nor automatic. */
bool tp__format_is_plain(uint32_t format);

/** Planes of 4 bits of a matrix: 2 in the 8-bit format, else 1. */
uint32_t tp__format_planes(tp_format format);

/** Chooses the format of each matrix: embedding and classifier have 8 bits unless format is one of
 *  the -all ones or keep names them.
 *  in     keep     [count]  "TENSOR=FORMAT" with the names of tp__matrix_name, for one layer
 *                  "3.down=q8"; later ones win
 *  out    formats  [tp__matrix_count]  none of the -all ones
 *  error  TP_ERROR_INVALID  names what of keep is unknown */
TP_MUST_USE tp_status tp__choose_formats(const struct tp_model_shape *shape, tp_format format,
                                         const char *const *keep, size_t count, tp_format *formats,
                                         struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Automatic formats: 8 bits for as much as fits the device, 4 bits for what suffers least.

#ifndef TP_LIB_AUTO_FORMATS_H
#define TP_LIB_AUTO_FORMATS_H

#include "formats.h"
#include "machine.h"

/** Chooses the format of each matrix under the weight memory of a device.
 *  in     keep         [count]  as tp__choose_formats has it; these matrices are not touched
 *         sensitivity  [tp__matrix_count]  what 4 bits for a matrix cost, in any unit; NULL: by
 *                      the kind of the matrix
 *         limits       of the device; a model that does not fit even so gets the smallest formats
 *  out    formats      [tp__matrix_count]
 *  error  TP_ERROR_INVALID  as tp__choose_formats
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__choose_auto(const struct tp_model_shape *shape, const char *const *keep,
                                      size_t count, const double *sensitivity,
                                      const struct tp_limits *limits, tp_format *formats,
                                      struct tp_error *error);

#endif

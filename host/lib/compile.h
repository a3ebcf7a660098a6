// SPDX-License-Identifier: Apache-2.0
//
// The compiler: a quantised model to program and memory contents of one device.

#ifndef TP_LIB_COMPILE_H
#define TP_LIB_COMPILE_H

#include "memory_image.h"
#include "quantised.h"

/** Limits of a golden machine for any model: more than any device has. */
extern const struct tp_limits tp__limits_most;

/** Makes a memory image. Of an outline (tp__quantised_outline) it has the program, which is right
 *  for everything but the fields that scale numbers, and zeros in the memories.
 *  in     options  context and sessions; its format is not looked at
 *  out    image  tp__memory_image_free releases it
 *  error  those of tp__plan; TP_ERROR_NO_MEMORY
 *         TP_ERROR_TOO_LARGE  more codebooks than the device has; rows too long for the
 *                             accumulator */
TP_MUST_USE tp_status tp__compile(const struct tp_quantised_model *model,
                                  const struct tp_load_options *options,
                                  const struct tp_limits *limits, struct tp_memory_image **image,
                                  struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Back to floats: a source model of the numbers that a quantised one stands for.

#ifndef TP_LIB_DEQUANTISE_H
#define TP_LIB_DEQUANTISE_H

#include "quantised.h"

/** Makes a model of float32 tensors, so that the reference can run what was quantised and others
 *  can be given it.
 *  in     name          of the file, for messages
 *         architecture  "llama"; static text
 *  out    source  tp__source_model_free releases it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__dequantise(const struct tp_quantised_model *model, const char *name,
                                     const char *architecture, struct tp_source_model *source,
                                     struct tp_error *error);

/* ---- step by step, while a model is being quantised ---- */

/** The same with the vectors of the model only; its matrices are all zero. */
TP_MUST_USE tp_status tp__dequantise_open(const struct tp_quantised_model *model, const char *name,
                                          const char *architecture, struct tp_source_model *source,
                                          struct tp_error *error);

/** Gives source the numbers of one matrix.
 *  in     index  of the matrix, which exists
 *         row    room for its columns */
void tp__dequantise_matrix(const struct tp_quantised_model *model, uint32_t index, float *row,
                           struct tp_source_model *source);

#endif

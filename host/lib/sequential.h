// SPDX-License-Identifier: Apache-2.0
//
// Rounding a whole model against text, one edge after the other.
//
// Two runs go through the layers side by side: the float model, and the model as far as it is
// rounded. Each matrix is rounded against the inputs that it really gets, those of the second run
// (its Hessian), and its target is what makes up best for what went wrong before: the least squares
// answer to "with these inputs, be as close as you can to the float model's outputs", and for the
// matrices that add to the residual, to its residual.

#ifndef TP_LIB_SEQUENTIAL_H
#define TP_LIB_SEQUENTIAL_H

#include "quantised.h"
#include "score.h"

/** Rounds all matrices of model; the same result with any number of threads.
 *  in     texts  at least one, none longer than context
 *         model  with its memory, formats, codebooks and vectors
 *  out    model  its codes, scales, shifts and bounds
 *  error  TP_ERROR_NO_MEMORY, TP_ERROR_CANCELLED
 *         TP_ERROR_RANGE  weights that no scale reaches */
TP_MUST_USE tp_status tp__quantise_sequentially(const tp_context *context,
                                                const struct tp_source_model *source,
                                                const struct tp_token_texts *texts,
                                                struct tp_quantised_model *model,
                                                struct tp_error *error);

#endif

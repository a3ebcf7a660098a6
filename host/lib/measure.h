// SPDX-License-Identifier: Apache-2.0
//
// The measured quality of a quantised model.

#ifndef TP_LIB_MEASURE_H
#define TP_LIB_MEASURE_H

#include "internal.h"
#include "quantised.h"

/** Scores the model on the golden machine against its origin in float32, on texts of a file behind
 *  those that calibrated it; fewer tokens for larger models, so that it ends soon.
 *  in     start  byte of the file where the first text may begin
 *  out    score  all 0 when there is no text behind start
 *  error  TP_ERROR_IO, TP_ERROR_FORMAT, TP_ERROR_CANCELLED, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__measure(const tp_context *context, const struct tp_source_model *origin,
                                  const struct tp_tokenizer *tokenizer, const char *path,
                                  size_t start, const struct tp_quantised_model *model,
                                  struct tp_score *score, struct tp_error *error);

#endif

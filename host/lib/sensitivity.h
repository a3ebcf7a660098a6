// SPDX-License-Identifier: Apache-2.0
//
// How much each matrix of a model suffers from 4 bits.

#ifndef TP_LIB_SENSITIVITY_H
#define TP_LIB_SENSITIVITY_H

#include "corpus.h"
#include "error.h"
#include "layout.h"
#include "tokproc.h"

/** Rounds one matrix at a time plainly to NF4, all else in float32, and measures the KL divergence
 *  from the float model on the first tokens of the texts; fewer tokens for larger models.
 *  out    sensitivity  [tp__matrix_count] nats, for tp__choose_auto; 0 for an absent classifier.
 *                      Does not depend on the number of threads
 *  error  TP_ERROR_NO_MEMORY, TP_ERROR_CANCELLED, TP_ERROR_RANGE */
TP_MUST_USE tp_status tp__measure_sensitivity(const tp_context *context,
                                              const struct tp_source_model *source,
                                              const struct tp_token_texts *texts,
                                              double *sensitivity, struct tp_error *error);

#endif

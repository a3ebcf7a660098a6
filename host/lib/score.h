// SPDX-License-Identifier: Apache-2.0
//
// How far predictions are from those of the float32 reference: the arithmetic of all scores.
//
// The public scorer of tokproc.h is this one too, so `tokproc eval` on any device and the quality
// manifest of an image cannot differ.

#ifndef TP_LIB_SCORE_H
#define TP_LIB_SCORE_H

#include "corpus.h"
#include "memory_image.h"
#include "tokproc.h"

/** Runs an image on the golden machine beside the float32 reference of its origin.
 *  in     origin   of the same vocabulary; texts longer than a context are scored up to it
 *         image    compiled for one session
 *  out    score
 *  error  TP_ERROR_INVALID  no text has two tokens
 *         TP_ERROR_CANCELLED, TP_ERROR_DEVICE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__score_image(const tp_context *context,
                                      const struct tp_source_model *origin,
                                      const struct tp_memory_image *image,
                                      const struct tp_token_texts *texts, struct tp_score *score,
                                      struct tp_error *error);

#endif

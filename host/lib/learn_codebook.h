// SPDX-License-Identifier: Apache-2.0
//
// A codebook made for the weights of one model: k-means in one dimension.
//
// All matrices of the format share it. Weights are looked at in units of the scale of their block,
// each with the weight that its error has: the square of that scale, relative to the size of its
// matrix. Value 0 stays (padding needs it), the largest is 127.

#ifndef TP_LIB_LEARN_CODEBOOK_H
#define TP_LIB_LEARN_CODEBOOK_H

#include "quantise_weights.h"

/** Weights seen so far: the sums that a codebook is made of. */
struct tp_codebook_learner;

/** out    learner  tp__learner_free releases it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__learner_make(struct tp_codebook_learner **learner,
                                       struct tp_error *error);

/** NULL is allowed. */
void tp__learner_free(struct tp_codebook_learner *learner);

/** Looks at a matrix [rows][columns]; takes at most some thousand blocks of it, evenly.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__learner_add(struct tp_codebook_learner *learner, const float *weights,
                                      uint32_t rows, uint32_t columns, struct tp_error *error);

/** The codebook: values ascend from code 1 on. The same blocks in the same order give the same. */
void tp__learner_finish(struct tp_codebook_learner *learner, int8_t codebook[TP_CODEBOOK_SIZE]);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The float32 reference: a plain forward pass of a Llama-shaped model, by llama2.c's equations.
//
// It bounds the error of the integer model in tests, it is the reference of `tokproc eval`, and the
// compiler takes the means of the keys from it. Sums over rows are float32 in eight parts, so
// that the result does not depend on the compiler's choice of vector width; the norm sums in
// double.

#ifndef TP_REFERENCE_H
#define TP_REFERENCE_H

#include <stdint.h>

#include "error.h"
#include "loader.h"

struct tp_reference;

/** Takes the memory for one sequence of up to context positions. The model must outlive it.
 *  out    reference  written only on TP_OK; tp__reference_close releases it
 *  error  TP_ERROR_NO_MEMORY
 *         TP_ERROR_INVALID  context is 0 or above TP_MODEL_CONTEXT_MAX */
TP_MUST_USE tp_status tp__reference_open(const struct tp_source_model *model, uint32_t context,
                                         struct tp_reference **reference, struct tp_error *error);

void tp__reference_close(struct tp_reference *reference);

/** Feeds token at position; the positions before it hold what was fed last. Allocates nothing.
 *  in     token < vocab, position < context
 *  out    logits  [vocab]; NULL when they are not needed, which saves the classifier */
void tp__reference_step(struct tp_reference *reference, uint32_t token, uint32_t position,
                        float *logits);

/* ---- the parts of a step, for who needs what lies between ---- */

/** out = in divided by its root mean square, times the gains of a norm; out may be in.
 *  in     tensor  one of the norms; its columns are the size of in and out */
void tp__reference_norm(const struct tp_reference *reference, enum tp_tensor tensor, uint32_t layer,
                        const float *in, float *out);

/** Keys and values of the position, and its attention over all positions so far.
 *  in     normed  [dim]
 *  out    mixed   [heads][head_size] */
void tp__reference_attend(struct tp_reference *reference, uint32_t layer, uint32_t position,
                          const float *normed, float *mixed);

/** out    product  [hidden], silu(gate) * up */
void tp__reference_gate(struct tp_reference *reference, uint32_t layer, const float *normed,
                        float *product);

/** x [dim] += matrix times in; tensor is TP_TENSOR_OUTPUT or TP_TENSOR_DOWN. */
void tp__reference_add(struct tp_reference *reference, enum tp_tensor tensor, uint32_t layer,
                       const float *in, float *x);

/* ---- what a step leaves ---- */

/** Keys of a position, rotated: [kv_heads][head_size]. Valid until the position is fed again. */
const float *tp__reference_key(const struct tp_reference *reference, uint32_t layer,
                               uint32_t position);

/** -ln of the probability of token in the softmax of logits [vocab]. */
double tp__nats(const float *logits, uint32_t vocab, uint32_t token);

/** The largest logit, the lowest id on ties. */
uint32_t tp__top_token(const float *logits, uint32_t vocab);

#endif

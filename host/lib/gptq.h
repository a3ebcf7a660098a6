// SPDX-License-Identifier: Apache-2.0
//
// GPTQ: rounding that lets the weights still open make up for the error of those already rounded.
//
// A matrix W is replaced by V on the grid so that W x and V x differ little for the inputs x of
// calibration text: the least sum of squares is (W - V) H (W - V)' with the Hessian H = sum x x'.
// (Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ: accurate post-training quantization for generative
// pre-trained transformers", 2022.) What is added to it: the scale of a block of 32 is chosen when
// the block is reached, by rounding the corrected weights with every scale and taking the one whose
// error costs least after the later columns have made up for it; blocks go in the order of their
// weight in H; and sweeps at the end round each block again with all others fixed, as long as
// that makes the error smaller.

#ifndef TP_LIB_GPTQ_H
#define TP_LIB_GPTQ_H

#include "quantise_weights.h"

/** What GPTQ needs to know of an input edge: made once, read by all its matrices. */
struct tp_gptq_edge;

/** Prepares an edge.
 *  in     hessian  [columns][columns], symmetric, not negative; only the lower triangle is read.
 *                  All zero (or zero for some columns): nothing is known of them
 *         damping  added to the diagonal, times its mean: 0.01 where there are many more inputs
 *                  than columns, more where there are not
 *  out    edge     tp__gptq_edge_free releases it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__gptq_edge_make(const double *hessian, uint32_t columns, double damping,
                                         struct tp_gptq_edge **edge, struct tp_error *error);

/** NULL is allowed. */
void tp__gptq_edge_free(struct tp_gptq_edge *edge);

/** out [columns] = the inverse of the damped Hessian times in [columns].
 *  in     middle  [columns] to work in */
void tp__gptq_solve(const struct tp_gptq_edge *edge, const double *in, double *middle, double *out);

/** Rounds weights [rows][columns] times multiplier; otherwise like tp__quantise_plain.
 *  in     edge     of as many columns
 *         threads  1 .. TP_THREADS_MAX, share the rows; the result does not depend on it
 *  error  TP_ERROR_NO_MEMORY
 *         TP_ERROR_RANGE  weights beyond what T can reach */
TP_MUST_USE tp_status tp__quantise_gptq(const float *weights, uint32_t rows, uint32_t columns,
                                        double multiplier, const struct tp_weight_format *format,
                                        const struct tp_gptq_edge *edge, uint32_t threads,
                                        const char *name, struct tp_quantised *quantised,
                                        struct tp_error *error);

#endif

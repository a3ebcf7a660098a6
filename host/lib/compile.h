// SPDX-License-Identifier: Apache-2.0
//
// The compiler: a model, a number format and calibration facts to an image for one device.

#ifndef TP_LIB_COMPILE_H
#define TP_LIB_COMPILE_H

#include "image.h"

/** What the contract takes from text (docs/numbers.md): made by tp__calibrate. */
struct tp_calibration {
    float *key_mean;  // [layers][kv_heads][head_size], rotated keys, as the reference gives them
    // Largest block exponent seen on each edge, 25 when nothing was measured: per layer the inputs
    // of queries, output, gate and down; then the classifier's.
    uint8_t *exponent_max;  // [4 * layers + 1]
};

enum tp_edge { TP_EDGE_ATTENTION_NORM, TP_EDGE_ATTENTION, TP_EDGE_FFN_NORM, TP_EDGE_FFN, TP_EDGES };

/** Makes an image. progress may end it.
 *  in     calibration  NULL: no centring, caps of 25
 *  out    image  tp__image_free releases it
 *  error  those of tp__plan; TP_ERROR_NO_MEMORY; TP_ERROR_CANCELLED */
TP_MUST_USE tp_status tp__compile(const tp_context *context, const struct tp_source_model *model,
                                  const struct tp_load_options *options,
                                  const struct tp_limits *limits, uint32_t head_log2_max,
                                  const struct tp_calibration *calibration, struct tp_image **image,
                                  struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Scaling of the rotation for long contexts: what files ask for becomes the table of frequencies.

#ifndef TP_LIB_ROPE_SCALING_H
#define TP_LIB_ROPE_SCALING_H

#include "loader.h"
#include "reader.h"

enum tp_rope_kind {
    TP_ROPE_PLAIN,
    TP_ROPE_LINEAR,  // all frequencies divided by factor
    TP_ROPE_LLAMA3   // low ones divided by factor, high ones kept, those between mixed
};

struct tp_rope_scaling {
    enum tp_rope_kind kind;
    float factor;
    float low_factor;           // waves longer than original_context / low_factor are low
    float high_factor;          // waves shorter than original_context / high_factor are high
    uint32_t original_context;  // of the training before scaling
};

/** The kind of that name ("none" and "default" are plain).
 *  in     place  for the message: "dir/config.json: rope_scaling.rope_type"
 *  error  TP_ERROR_UNSUPPORTED  the name and the reason */
TP_MUST_USE tp_status tp__rope_kind_find(const char *place, struct tp_string name,
                                         enum tp_rope_kind *kind, struct tp_error *error);

/** Scales the model's frequencies, which must be those of rope_base.
 *  in     place  as above
 *  error  TP_ERROR_RANGE  a factor is impossible */
TP_MUST_USE tp_status tp__rope_scale(struct tp_source_model *model, const char *place,
                                     const struct tp_rope_scaling *scaling, struct tp_error *error);

/** Divides each frequency by its divisor [head_size / 2].
 *  error  TP_ERROR_RANGE  a divisor is no number above 0, or impossible */
TP_MUST_USE tp_status tp__rope_divide(struct tp_source_model *model, const char *place,
                                      const float *divisors, struct tp_error *error);

#endif

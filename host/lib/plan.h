// SPDX-License-Identifier: Apache-2.0
//
// How a model's shape maps to a device: padded sizes, memory needs, and whether it fits.

#ifndef TP_LIB_PLAN_H
#define TP_LIB_PLAN_H

#include "layout.h"
#include "machine.h"
#include "tokproc.h"

/** The layout, and what the device adds to it. */
struct tp_plan {
    struct tp_layout layout;
    uint32_t row_multiple;  // rows of all matrices are padded to it
    uint32_t dim_blocks;
    uint32_t hidden_blocks;
    uint32_t gate_rows;  // gate and up rows together, padded
    uint32_t vocab_rows;
    uint32_t weight_beats;
    uint32_t gain_quads;
    uint32_t constant_pairs;
    uint32_t program_count;
    uint32_t kv_stride;  // positions of KV memory, all sessions together; whole pages when several
                         // slots are used
    uint32_t context;    // positions of one session
    uint32_t sessions;   // slots that are used
    uint32_t prefill_slots;  // slots that a prompt may have, also beyond these
};

/** Beats of a matrix in a format, its rows padded; index as tp__matrix_index. */
uint64_t tp__matrix_beats(const struct tp_model_shape *shape, uint32_t index, tp_format format,
                          const struct tp_limits *limits);

/** One limit of the device against one need. */
struct tp_plan_need {
    const char *what;
    const char *unit;
    uint64_t need;
    uint64_t have;
};
enum { TP_PLAN_NEEDS = 18 };

/** All of them, whether or not the model fits; arguments as those of tp__plan. Without a context
 *  in options the KV memory is counted for one page. */
void tp__plan_needs(const struct tp_model_shape *shape, const tp_format *formats,
                    const struct tp_load_options *options, const struct tp_limits *limits,
                    struct tp_plan_need needs[TP_PLAN_NEEDS]);

/** Fills plan; checks every limit of the device.
 *  in     formats [tp__matrix_count]  of each matrix
 *         options        context and sessions; its format is not looked at
 *  error  TP_ERROR_TOO_LARGE    names the limit, what is needed and what is there
 *         TP_ERROR_UNSUPPORTED  head size
 *         TP_ERROR_INVALID      context or sessions that no device could give */
TP_MUST_USE tp_status tp__plan(const struct tp_model_shape *shape, const tp_format *formats,
                               const struct tp_load_options *options,
                               const struct tp_limits *limits, struct tp_plan *plan,
                               struct tp_error *error);

#endif

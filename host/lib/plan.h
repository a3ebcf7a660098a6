// SPDX-License-Identifier: Apache-2.0
//
// How a model's shape maps to a device: padded sizes, memory needs, and whether it fits.

#ifndef TP_LIB_PLAN_H
#define TP_LIB_PLAN_H

#include "loader.h"
#include "machine.h"
#include "tokproc.h"

/** Everything about the layout of docs/architecture.md, section 3, that follows from the shape. */
struct tp_plan {
    uint32_t head_log2;       // log2 of the padded head size
    uint32_t head_padded;     // 8 .. 128
    uint32_t heads_per_word;  // KV heads of a 32-element word; 1 for heads of 32 and more
    uint32_t words_per_head;  // words of a head; 1 for heads up to 32
    uint32_t kv_words;        // words of K (and of V) of a position and layer
    uint32_t sets;            // query sets of a turn, 1 or 2
    uint32_t turns;           // query turns of a KV word
    uint32_t query_words;     // kv_words * turns * sets
    uint32_t dim_blocks;
    uint32_t dim_rows;  // dim, padded to a multiple of 4 and of the groups
    uint32_t hidden_blocks;
    uint32_t gate_rows;  // gate and up rows together, padded
    uint32_t vocab_rows;
    uint32_t matrix_planes;     // 0: 4 bits, 1: 8 bits
    uint32_t embedding_planes;  // of embedding and classifier
    uint32_t weight_beats;
    uint32_t gain_quads;
    uint32_t constant_pairs;
    uint32_t program_count;
    uint32_t kv_stride;  // positions of KV memory, all sessions together
    uint32_t context;    // positions of one session
    uint32_t sessions;
};

/** Formats of the two kinds of tensors: 8 bits or one of the 4-bit codebooks. */
bool tp__format_is_q8(tp_format format, bool embedding);

/** Fills plan; checks every limit of the device.
 *  in     head_log2_max  largest head size that the device can run
 *  error  TP_ERROR_TOO_LARGE    names the limit, what is needed and what is there
 *         TP_ERROR_UNSUPPORTED  head size
 *         TP_ERROR_INVALID      context or sessions that no device could give */
TP_MUST_USE tp_status tp__plan(const struct tp_model_shape *shape,
                               const struct tp_load_options *options,
                               const struct tp_limits *limits, uint32_t head_log2_max,
                               struct tp_plan *plan, struct tp_error *error);

/** KV head and query head of lane group `index` (0 .. heads_per_word - 1) of query word `word`;
 *  false when the layout has padding there. first is the first element of the head in the word. */
bool tp__plan_query_head(const struct tp_model_shape *shape, const struct tp_plan *plan,
                         uint32_t word, uint32_t index, uint32_t *head, uint32_t *first);

#endif

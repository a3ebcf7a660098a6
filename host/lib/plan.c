// SPDX-License-Identifier: Apache-2.0
//
// Sizes of a model on a device. Counts are checked in 64 bits: shapes come from files.

#include "plan.h"

#include <inttypes.h>

#include "formats.h"
#include "tp_map.h"

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}

static uint32_t round_up(uint32_t a, uint32_t b)
{
    return divide_up(a, b) * b;
}

// One limit of the device against one need.
static tp_status fits(uint64_t need, uint64_t have, const char *what, const char *unit,
                      struct tp_error *error)
{
    if (need <= have) {
        return TP_OK;
    }
    return tp__fail(error, TP_ERROR_TOO_LARGE,
                    "the model is too large for the device: %s: %" PRIu64 " %s are needed, %" PRIu64
                    " are there (%" PRIu64 " too many) - try: a 4-bit format, or another --config",
                    what, need, unit, have, need - have);
}

static uint32_t row_multiple(const struct tp_limits *limits)
{
    return limits->groups > 4 ? limits->groups : 4;
}

uint64_t tp__matrix_beats(const struct tp_model_shape *shape, uint32_t index, tp_format format,
                          const struct tp_limits *limits)
{
    uint32_t layer = 0;
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__matrix_size(shape, tp__matrix_at(index, &layer), &rows, &columns);
    uint64_t row_groups = round_up(rows, row_multiple(limits)) / limits->groups;
    return row_groups * divide_up(columns, TP_BLOCK) * tp__format_planes(format);
}

static tp_status plan_memories(const struct tp_model_shape *shape, const tp_format *formats,
                               const struct tp_limits *limits, struct tp_plan *plan,
                               struct tp_error *error)
{
    uint64_t weights = 0;
    for (uint32_t i = 0; i < tp__matrix_count(shape); i++) {
        weights += tp__matrix_beats(shape, i, formats[i], limits);
    }
    // Two norms of a layer and the final one; norms of the heads of queries and keys; constants of
    // the keys, with a bias of queries and values too: a pair is two rows.
    const struct tp_layout *layout = &plan->layout;
    uint64_t gains = (2 * (uint64_t)shape->layers + 1) * plan->dim_blocks * (TP_BLOCK / 4) +
                     (shape->has_head_norm ? shape->layers * (layout->head_padded / 2) : 0);
    uint64_t words =
        shape->has_bias ? layout->query_words + 2 * (uint64_t)layout->kv_words : layout->kv_words;
    uint64_t constants = shape->layers * words * (TP_BLOCK / 2);
    uint64_t program = 9 * (uint64_t)shape->layers + 5;
    tp_status status = fits(weights, limits->weight_beats, "weights", "beats", error);
    if (status == TP_OK) {
        status = fits(gains, limits->gain_quads, "norm gains", "words of four", error);
    }
    if (status == TP_OK) {
        status = fits(constants, limits->constant_pairs, "constants", "pairs", error);
    }
    if (status == TP_OK) {
        status = fits(program, limits->program_max, "program", "instructions", error);
    }
    plan->weight_beats = (uint32_t)weights;
    plan->gain_quads = (uint32_t)gains;
    plan->constant_pairs = (uint32_t)constants;
    plan->program_count = (uint32_t)program;
    return status;
}

static tp_status plan_context(const struct tp_model_shape *shape,
                              const struct tp_load_options *options, const struct tp_limits *limits,
                              struct tp_plan *plan, struct tp_error *error)
{
    plan->sessions = options->sessions == 0 ? 1 : options->sessions;
    if (plan->sessions > limits->slots) {
        return fits(plan->sessions, limits->slots, "sessions", "slots", error);
    }
    uint64_t rows = (uint64_t)shape->layers * plan->layout.kv_words;
    uint32_t pages = (uint32_t)(limits->kv_rows / rows) / TP_PAGE;
    uint32_t own = pages / plan->sessions * TP_PAGE;
    uint32_t most = own < limits->positions_max ? own : limits->positions_max;
    most = most < shape->context ? most : shape->context;
    if (options->context > most) {
        return tp__fail(error, TP_ERROR_TOO_LARGE,
                        "a context of %" PRIu32 " positions for each of %" PRIu32
                        " sessions does not fit: at most %" PRIu32 " (KV memory %" PRIu32
                        ", device %" PRIu32 ", model %" PRIu32 ")",
                        options->context, plan->sessions, most, own, limits->positions_max,
                        shape->context);
    }
    plan->context = options->context == 0 ? most : options->context;
    plan->kv_stride = pages * TP_PAGE;
    return fits((most == 0 ? TP_PAGE : 0) * rows * plan->sessions + (most != 0 ? rows : 0),
                limits->kv_rows, "KV memory", "rows", error);
}

tp_status tp__plan(const struct tp_model_shape *shape, const tp_format *formats,
                   const struct tp_load_options *options, const struct tp_limits *limits,
                   struct tp_plan *plan, struct tp_error *error)
{
    *plan = (struct tp_plan){.row_multiple = row_multiple(limits)};
    tp__layout(shape, &plan->layout);
    if (plan->layout.head_log2 > limits->head_log2_max) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "head size %" PRIu32 " is not supported by the device; the largest is %u",
                        shape->head_size, 1u << limits->head_log2_max);
    }
    if (shape->has_head_norm && limits->head_norm == 0) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "the model norms the heads of queries and keys (QK norm), which this "
                        "device cannot - try: -d emu, or another --config");
    }
    plan->dim_blocks = divide_up(shape->dim, TP_BLOCK);
    plan->hidden_blocks = divide_up(shape->hidden, TP_BLOCK);
    plan->gate_rows = round_up(2 * shape->hidden, plan->row_multiple);
    plan->vocab_rows = round_up(shape->vocab, plan->row_multiple);
    const struct {
        uint64_t need;
        uint64_t have;
        const char *what;
        const char *unit;
    } limits_of_vectors[] = {
        {(uint64_t)plan->dim_blocks * TP_BLOCK, limits->dim_max, "dim", "elements"},
        {(uint64_t)plan->layout.query_words * TP_BLOCK, limits->query_max, "queries", "elements"},
        {(uint64_t)plan->hidden_blocks * TP_BLOCK, limits->hidden_max, "hidden", "elements"},
        {shape->vocab, limits->vocab_max, "vocabulary", "tokens"},
        {plan->dim_blocks, 255, "dim", "blocks"},
        {plan->hidden_blocks, 255, "hidden", "blocks"},
        {plan->layout.query_words, 255, "queries", "blocks"},
        {plan->vocab_rows, (1u << 17) - 1, "vocabulary", "rows"},
        {plan->gate_rows, (1u << 17) - 1, "hidden", "rows"},
    };
    for (size_t i = 0; i < sizeof limits_of_vectors / sizeof *limits_of_vectors; i++) {
        tp_status status = fits(limits_of_vectors[i].need, limits_of_vectors[i].have,
                                limits_of_vectors[i].what, limits_of_vectors[i].unit, error);
        if (status != TP_OK) {
            return status;
        }
    }
    tp_status status = plan_memories(shape, formats, limits, plan, error);
    return status == TP_OK ? plan_context(shape, options, limits, plan, error) : status;
}

// SPDX-License-Identifier: Apache-2.0
//
// Sizes of a model on a device. Counts are checked in 64 bits: shapes come from files.

#include "plan.h"

#include <inttypes.h>
#include <stdio.h>

#include "tp_map.h"

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}

static uint32_t round_up(uint32_t a, uint32_t b)
{
    return divide_up(a, b) * b;
}

bool tp__format_is_q8(tp_format format, bool embedding)
{
    return format == TP_FORMAT_Q8 ||
           (embedding &&
            (format == TP_FORMAT_FP4 || format == TP_FORMAT_NF4 || format == TP_FORMAT_INT4));
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

static tp_status plan_heads(const struct tp_model_shape *shape, uint32_t head_log2_max,
                            struct tp_plan *plan, struct tp_error *error)
{
    plan->head_log2 = 3;
    while (plan->head_log2 < 8 && 1u << plan->head_log2 < shape->head_size) {
        plan->head_log2++;
    }
    if (plan->head_log2 > head_log2_max) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "head size %" PRIu32 " is not supported by the device; the largest is %u",
                        shape->head_size, 1u << head_log2_max);
    }
    plan->head_padded = 1u << plan->head_log2;
    plan->heads_per_word = plan->head_padded >= TP_BLOCK ? 1 : TP_BLOCK / plan->head_padded;
    plan->words_per_head = plan->head_padded <= TP_BLOCK ? 1 : plan->head_padded / TP_BLOCK;
    uint32_t ratio = shape->heads / shape->kv_heads;
    plan->sets = ratio > 1 ? 2 : 1;
    plan->turns = divide_up(ratio, plan->sets);
    plan->kv_words = divide_up(shape->kv_heads, plan->heads_per_word) * plan->words_per_head;
    plan->query_words = plan->kv_words * plan->turns * plan->sets;
    return TP_OK;
}

static uint64_t beats(uint64_t rows, uint64_t blocks, uint32_t planes, uint32_t groups)
{
    return rows / groups * blocks * (planes + 1);
}

static tp_status plan_memories(const struct tp_model_shape *shape, const struct tp_limits *limits,
                               struct tp_plan *plan, struct tp_error *error)
{
    uint32_t g = limits->groups;
    uint64_t query_rows = (uint64_t)plan->query_words * TP_BLOCK;
    uint64_t kv_rows = (uint64_t)plan->kv_words * TP_BLOCK;
    uint64_t layer = beats(query_rows + 2 * kv_rows, plan->dim_blocks, plan->matrix_planes, g) +
                     beats(plan->dim_rows, plan->query_words, plan->matrix_planes, g) +
                     beats(plan->gate_rows, plan->dim_blocks, plan->matrix_planes, g) +
                     beats(plan->dim_rows, plan->hidden_blocks, plan->matrix_planes, g);
    uint64_t weights = layer * shape->layers +
                       beats(plan->vocab_rows, plan->dim_blocks, plan->embedding_planes, g) *
                           (shape->tied ? 1 : 2);
    uint64_t gains = (2 * (uint64_t)shape->layers + 1) * plan->dim_blocks * (TP_BLOCK / 4);
    uint64_t constants = (uint64_t)shape->layers * plan->kv_words * (TP_BLOCK / 2);
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
    uint64_t rows = (uint64_t)shape->layers * plan->kv_words;
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

tp_status tp__plan(const struct tp_model_shape *shape, const struct tp_load_options *options,
                   const struct tp_limits *limits, uint32_t head_log2_max, struct tp_plan *plan,
                   struct tp_error *error)
{
    uint32_t row_multiple = limits->groups > 4 ? limits->groups : 4;
    *plan = (struct tp_plan){0};
    tp_status status = plan_heads(shape, head_log2_max, plan, error);
    if (status != TP_OK) {
        return status;
    }
    plan->dim_blocks = divide_up(shape->dim, TP_BLOCK);
    plan->dim_rows = round_up(shape->dim, row_multiple);
    plan->hidden_blocks = divide_up(shape->hidden, TP_BLOCK);
    plan->gate_rows = round_up(2 * shape->hidden, row_multiple);
    plan->vocab_rows = round_up(shape->vocab, row_multiple);
    plan->matrix_planes = tp__format_is_q8(options->format, false) ? 1 : 0;
    plan->embedding_planes = tp__format_is_q8(options->format, true) ? 1 : 0;
    const struct {
        uint64_t need;
        uint64_t have;
        const char *what;
        const char *unit;
    } limits_of_vectors[] = {
        {(uint64_t)plan->dim_blocks * TP_BLOCK, limits->dim_max, "dim", "elements"},
        {(uint64_t)plan->query_words * TP_BLOCK, limits->query_max, "queries", "elements"},
        {(uint64_t)plan->hidden_blocks * TP_BLOCK, limits->hidden_max, "hidden", "elements"},
        {shape->vocab, limits->vocab_max, "vocabulary", "tokens"},
        {plan->dim_blocks, 255, "dim", "blocks"},
        {plan->hidden_blocks, 255, "hidden", "blocks"},
        {plan->query_words, 255, "queries", "blocks"},
        {plan->vocab_rows, (1u << 17) - 1, "vocabulary", "rows"},
        {plan->gate_rows, (1u << 17) - 1, "hidden", "rows"},
    };
    for (size_t i = 0; i < sizeof limits_of_vectors / sizeof *limits_of_vectors; i++) {
        status = fits(limits_of_vectors[i].need, limits_of_vectors[i].have,
                      limits_of_vectors[i].what, limits_of_vectors[i].unit, error);
        if (status != TP_OK) {
            return status;
        }
    }
    status = plan_memories(shape, limits, plan, error);
    return status == TP_OK ? plan_context(shape, options, limits, plan, error) : status;
}

bool tp__plan_query_head(const struct tp_model_shape *shape, const struct tp_plan *plan,
                         uint32_t word, uint32_t index, uint32_t *head, uint32_t *first)
{
    uint32_t ratio = shape->heads / shape->kv_heads;
    uint32_t part = word % plan->words_per_head;
    uint32_t turn_set = word / plan->words_per_head % (plan->turns * plan->sets);
    uint32_t group = word / plan->words_per_head / (plan->turns * plan->sets);
    uint32_t kv_head = group * plan->heads_per_word + index;
    *first = part * TP_BLOCK;
    *head = kv_head * ratio + turn_set;
    return kv_head < shape->kv_heads && turn_set < ratio;
}

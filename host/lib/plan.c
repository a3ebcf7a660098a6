// SPDX-License-Identifier: Apache-2.0
//
// Sizes of a model on a device. Counts are checked in 64 bits: shapes come from files.

#include "plan.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "formats.h"
#include "pages.h"
#include "tp_map.h"

_Static_assert(TP_PAGE_POSITIONS == TP_PAGE, "positions of a page");

enum { NORM_ROWS_MIN = 16 };  // of x, when slots share a step

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}

static uint32_t round_up(uint32_t a, uint32_t b)
{
    return divide_up(a, b) * b;
}

static tp_status fits(const struct tp_plan_need *limit, struct tp_error *error)
{
    if (limit->need <= limit->have) {
        return TP_OK;
    }
    return tp__fail(error, TP_ERROR_TOO_LARGE,
                    "the model is too large for the device: %s: %" PRIu64 " %s are needed, %" PRIu64
                    " are there (%" PRIu64 " too many) - try: a 4-bit format, or another --config",
                    limit->what, limit->need, limit->unit, limit->have, limit->need - limit->have);
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

// Rows of the KV memory that so many positions take, of a device that steps one slot or several.
// Several slots have whole pages. One may end within a page: what the last page reads behind its
// end are other rows, which are masked, but they must be there.
static uint64_t kv_rows_of(uint64_t words, uint32_t positions, uint32_t sessions)
{
    uint64_t whole = round_up(positions, TP_PAGE);
    return sessions > 1 ? words * whole : (words - 1) * positions + whole;
}

// Positions of KV memory of all sessions together, in as many pages as there are numbers for.
static uint32_t choose_stride(uint64_t words, uint32_t sessions, uint32_t kv_rows)
{
    const uint64_t most = (uint64_t)TP_PAGES_MAX * TP_PAGE;
    uint32_t stride = (uint32_t)(kv_rows / words < most ? kv_rows / words : most);
    if (sessions > 1) {
        return stride / TP_PAGE * TP_PAGE;
    }
    while (stride != 0 && kv_rows_of(words, stride, 1) > kv_rows) {
        stride--;
    }
    return stride;
}

static uint64_t count_beats(const struct tp_model_shape *shape, const tp_format *formats,
                            const struct tp_limits *limits)
{
    uint64_t beats = 0;
    for (uint32_t i = 0; i < tp__matrix_count(shape); i++) {
        beats += tp__matrix_beats(shape, i, formats[i], limits);
    }
    return beats;
}

// Sizes that do not depend on whether the model fits.
static void size_plan(const struct tp_model_shape *shape, const struct tp_load_options *options,
                      const struct tp_limits *limits, struct tp_plan *plan)
{
    *plan = (struct tp_plan){.row_multiple = row_multiple(limits),
                             .sessions = options->sessions == 0 ? 1 : options->sessions};
    tp__layout(shape, &plan->layout);
    plan->dim_blocks = divide_up(shape->dim, TP_BLOCK);
    plan->hidden_blocks = divide_up(shape->hidden, TP_BLOCK);
    plan->gate_rows = round_up(2 * shape->hidden, plan->row_multiple);
    plan->vocab_rows = round_up(shape->vocab, plan->row_multiple);
}

void tp__plan_needs(const struct tp_model_shape *shape, const tp_format *formats,
                    const struct tp_load_options *options, const struct tp_limits *limits,
                    struct tp_plan_need needs[TP_PLAN_NEEDS])
{
    struct tp_plan plan;
    size_plan(shape, options, limits, &plan);
    const struct tp_layout *layout = &plan.layout;
    // Two norms of a layer and the final one; norms of the heads of queries and keys; constants of
    // the keys, with a bias of queries and values too: a pair is two rows.
    uint64_t gains = (2 * (uint64_t)shape->layers + 1) * plan.dim_blocks * (TP_BLOCK / 4) +
                     (shape->has_head_norm ? shape->layers * (layout->head_padded / 2) : 0);
    uint64_t words =
        shape->has_bias ? layout->query_words + 2 * (uint64_t)layout->kv_words : layout->kv_words;
    uint32_t positions = options->context == 0 ? TP_PAGE : options->context;
    uint64_t kv_words = (uint64_t)shape->layers * layout->kv_words;
    const struct tp_plan_need all[TP_PLAN_NEEDS] = {
        {"head size", "elements", layout->head_padded, 1u << limits->head_log2_max},
        {"norms of heads", "units", shape->has_head_norm ? 1 : 0, limits->head_norm},
        {"dim", "elements", (uint64_t)plan.dim_blocks * TP_BLOCK, limits->dim_max},
        {"queries", "elements", (uint64_t)layout->query_words * TP_BLOCK, limits->query_max},
        {"hidden", "elements", (uint64_t)plan.hidden_blocks * TP_BLOCK, limits->hidden_max},
        {"vocabulary", "tokens", shape->vocab, limits->vocab_max},
        {"dim", "blocks", plan.dim_blocks, 255},
        {"hidden", "blocks", plan.hidden_blocks, 255},
        {"queries", "blocks", layout->query_words, 255},
        {"vocabulary", "rows", plan.vocab_rows, (1u << 17) - 1},
        {"hidden", "rows", plan.gate_rows, (1u << 17) - 1},
        {"weights", "beats", count_beats(shape, formats, limits), limits->weight_beats},
        {"norm gains", "words of four", gains, limits->gain_quads},
        {"constants", "pairs", shape->layers * words * (TP_BLOCK / 2), limits->constant_pairs},
        {"program", "instructions", 7 * (uint64_t)shape->layers + 4, limits->program_max},
        {"sessions", "slots", plan.sessions, limits->slots},
        {"context", "positions", positions, limits->positions_max},
        {"KV memory", "rows", kv_rows_of(kv_words, positions, plan.sessions), limits->kv_rows},
    };
    memcpy(needs, all, sizeof all);
}

// What the plan keeps of the needs.
static uint32_t need_of(const struct tp_plan_need *needs, const char *what, const char *unit)
{
    uint32_t i = 0;
    while (strcmp(needs[i].what, what) != 0 || strcmp(needs[i].unit, unit) != 0) {
        i++;
        assert(i < TP_PLAN_NEEDS);
    }
    return (uint32_t)needs[i].need;
}

// Slots follow each other as closely as the rows of x come; the norm needs 8 pairs a vector.
static bool can_share_steps(const struct tp_model_shape *shape, const struct tp_plan *plan)
{
    return round_up(shape->dim, plan->row_multiple) >= NORM_ROWS_MIN;
}

static uint32_t prefill_slots(const struct tp_model_shape *shape,
                              const struct tp_load_options *options, const struct tp_limits *limits,
                              const struct tp_plan *plan)
{
    bool all = options->prefill_slots == 0 || options->prefill_slots > limits->slots;
    if (!can_share_steps(shape, plan)) {
        return 1;
    }
    return all ? limits->slots : options->prefill_slots;
}

static tp_status plan_context(const struct tp_model_shape *shape,
                              const struct tp_load_options *options, const struct tp_limits *limits,
                              struct tp_plan *plan, struct tp_error *error)
{
    if (plan->sessions > 1 && !can_share_steps(shape, plan)) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "dim %" PRIu32 " is too small for several sessions; %d is the least - try: "
                        "one session",
                        shape->dim, NORM_ROWS_MIN - 3);
    }
    uint64_t words = (uint64_t)shape->layers * plan->layout.kv_words;
    plan->kv_stride = choose_stride(words, plan->sessions, limits->kv_rows);
    plan->prefill_slots = prefill_slots(shape, options, limits, plan);
    uint32_t most =
        plan->kv_stride < limits->positions_max ? plan->kv_stride : limits->positions_max;
    most = most < shape->context ? most : shape->context;
    if (options->context > most) {
        return tp__fail(error, TP_ERROR_TOO_LARGE,
                        "a context of %" PRIu32 " positions does not fit: at most %" PRIu32
                        " (KV memory %" PRIu32 ", device %" PRIu32 ", model %" PRIu32 ")",
                        options->context, most, plan->kv_stride, limits->positions_max,
                        shape->context);
    }
    plan->context = options->context == 0 ? most : options->context;
    return TP_OK;
}

tp_status tp__plan(const struct tp_model_shape *shape, const tp_format *formats,
                   const struct tp_load_options *options, const struct tp_limits *limits,
                   struct tp_plan *plan, struct tp_error *error)
{
    struct tp_plan_need needs[TP_PLAN_NEEDS];
    size_plan(shape, options, limits, plan);
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
    // A context that does not fit has a message of its own.
    const struct tp_load_options least = {.sessions = options->sessions};
    tp__plan_needs(shape, formats, &least, limits, needs);
    for (uint32_t i = 0; i < TP_PLAN_NEEDS; i++) {
        tp_status status = fits(&needs[i], error);
        if (status != TP_OK) {
            return status;
        }
    }
    plan->weight_beats = need_of(needs, "weights", "beats");
    plan->gain_quads = need_of(needs, "norm gains", "words of four");
    plan->constant_pairs = need_of(needs, "constants", "pairs");
    plan->program_count = need_of(needs, "program", "instructions");
    return plan_context(shape, options, limits, plan, error);
}

// SPDX-License-Identifier: Apache-2.0
//
// Forecasts: the schedule of a model on a device, from the program that the device would run.

#include <stdlib.h>

#include "compile.h"
#include "configuration_stream.h"
#include "frame.h"
#include "internal.h"
#include "ledger.h"

// The limits of a cost: long enough for attention to count, short enough to be quick.
enum { COST_POSITIONS = 256 };
enum { BLOCK_RAM_WORDS = 512 };  // of 36 bits

struct tp_forecast {
    struct tp_memory_image *image;
    struct tp_model_shape shape;
    struct tp_issue *issues;  // room for a step of all slots
    uint64_t load_bytes;
    uint64_t link_bytes;
};

const char *tp_unit_name(tp_unit unit)
{
    static const char *const names[TP_UNIT_COUNT] = {"matrix", "rotation", "attention"};
    return (unsigned)unit < TP_UNIT_COUNT ? names[unit] : NULL;
}

const char *tp_work_name(tp_work work)
{
    static const char *const names[TP_WORK_COUNT] = {
        "rotation", "embedding",   "queries", "keys",       "values", "attention",
        "output",   "gate and up", "down",    "classifier", "issue"};
    return (unsigned)work < TP_WORK_COUNT ? names[work] : NULL;
}

// Of a frame of WRITE.
static tp_status count_bytes(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                             size_t count, struct tp_error *error)
{
    tp_forecast *forecast = user;
    (void)space, (void)address, (void)words, (void)error;
    forecast->load_bytes += 4 * count;
    forecast->link_bytes += TP_FRAME_OVERHEAD + 8 + 4 * count;
    return TP_OK;
}

tp_status tp_forecast_create(const tp_model *model, const struct tp_device_info *info,
                             const struct tp_load_options *options, tp_forecast **forecast,
                             struct tp_error *error)
{
    if (model == NULL || info == NULL || forecast == NULL || options == NULL ||
        (unsigned)options->format >= TP_FORMAT_COUNT) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_forecast_create: an argument is NULL or unknown");
    }
    const struct tp_limits limits = tp__limits_of(info);
    struct tp_quantised_model outline = {.formats = NULL};
    tp_format *formats = NULL;
    tp_forecast *made = calloc(1, sizeof *made);
    tp_status status = made == NULL
                           ? tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a forecast")
                           : tp__model_formats(model, info, options, &formats, error);
    if (status == TP_OK) {
        status = tp__quantised_outline(&model->shape, formats, &outline, error);
    }
    if (status == TP_OK) {
        status = tp__compile(&outline, options, &limits, &made->image, error);
    }
    if (status == TP_OK) {
        made->shape = model->shape;
        made->issues =
            calloc((size_t)made->image->program_count * limits.slots, sizeof *made->issues);
        if (made->issues == NULL) {
            status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a forecast");
        }
    }
    if (status == TP_OK) {
        status = tp__memory_image_write(made->image, count_bytes, made, error);
    }
    tp__quantised_model_free(&outline);
    free(formats);
    if (status != TP_OK) {
        tp_forecast_destroy(made);
        return status;
    }
    *forecast = made;
    return TP_OK;
}

void tp_forecast_destroy(tp_forecast *forecast)
{
    if (forecast != NULL) {
        tp__memory_image_free(forecast->image);
        free(forecast->issues);
        free(forecast);
    }
}

static void unpack_slots(const struct tp_step *step, struct tp_step_slot slots[TP_SLOTS_MAX])
{
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        slots[s] = (struct tp_step_slot){.active = (step->active >> s & 1u) != 0,
                                         .logits = (step->logits >> s & 1u) != 0,
                                         .list = (step->list >> s & 1u) != 0,
                                         .fast = (step->fast >> s & 1u) != 0,
                                         .position = step->positions[s]};
    }
}

// Whether the device could be in such a step.
static bool is_sound(const tp_forecast *forecast, const struct tp_step *step)
{
    const struct tp_memory_image *image = forecast->image;
    bool sound = step->active != 0 && step->active >> image->limits.slots == 0 &&
                 (step->logits & ~step->active) == 0;
    for (uint32_t s = 0; s < TP_SLOTS_MAX && sound; s++) {
        sound = (step->active >> s & 1u) == 0 || step->positions[s] < image->plan.context;
    }
    return sound;
}

// Mean of the cycles of one session's steps that want logits, over the first positions.
static double mean_cycles(const struct tp_memory_image *image)
{
    uint32_t count =
        image->plan.context < COST_POSITIONS ? image->plan.context : (uint32_t)COST_POSITIONS;
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{.active = true, .logits = true, .fast = true}};
    double sum = 0;
    for (uint32_t position = 0; position < count; position++) {
        slots[0].position = position;
        sum += tp__step_cycles(&image->limits, image->program, image->program_count, slots);
    }
    return sum / count;
}

// Those of the memories that the model's words lie in, each in columns of 36 bits as tp_ecp5_ram
// cuts them at most (docs/bitstream.md has the memories).
static uint32_t block_rams_of(const struct tp_memory_image *image)
{
    const struct tp_plan *plan = &image->plan;
    const struct {
        uint32_t memories;
        uint32_t words;
    } spaces[] = {{4 * image->limits.groups, plan->weight_beats},
                  {TP_INSTRUCTION_WORDS, image->program_count},
                  {1 + image->limits.head_norm, 2 * plan->gain_quads},
                  {2, plan->constant_pairs},
                  {image->has_bias ? 2 : 0, plan->constant_pairs}};
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        count += spaces[i].memories * ((spaces[i].words + BLOCK_RAM_WORDS - 1) / BLOCK_RAM_WORDS);
    }
    return count;
}

void tp_forecast_get_cost(const tp_forecast *forecast, struct tp_cost *cost)
{
    const struct tp_memory_image *image = forecast->image;
    uint32_t block_rams = block_rams_of(image);
    *cost = (struct tp_cost){.matrix_bytes = image->matrix_bytes,
                             .weight_beats = image->plan.weight_beats,
                             .instructions = image->program_count,
                             .context = image->plan.context,
                             .kv_positions = image->plan.kv_stride,
                             .load_bytes = forecast->load_bytes,
                             .link_bytes = forecast->link_bytes,
                             .block_rams = block_rams,
                             .stream_bytes = TP_STREAM_PARTIAL_BYTES +
                                             TP_STREAM_RECORD_BYTES * (uint64_t)block_rams,
                             .cycles_per_token = mean_cycles(image)};
}

uint32_t tp_forecast_step(tp_forecast *forecast, const struct tp_step *step, struct tp_item *items,
                          size_t max, size_t *count)
{
    const struct tp_memory_image *image = forecast->image;
    struct tp_step_slot slots[TP_SLOTS_MAX];
    uint32_t issued = 0;
    *count = 0;
    if (!is_sound(forecast, step)) {
        return 0;
    }
    unpack_slots(step, slots);
    uint32_t cycles = tp__step_schedule(&image->limits, image->program, image->program_count, slots,
                                        forecast->issues, &issued);
    for (uint32_t i = 0; i < issued && i < max && items != NULL; i++) {
        const struct tp_issue *issue = &forecast->issues[i];
        const uint32_t *words = image->program + (size_t)issue->instruction * TP_INSTRUCTION_WORDS;
        items[i] = (struct tp_item){.note = image->notes[issue->instruction],
                                    .instruction = issue->instruction,
                                    .slot = issue->slot,
                                    .unit = issue->unit,
                                    .work = tp__instruction_work(words),
                                    .issued = issue->issued,
                                    .free = issue->free,
                                    .completed = issue->completed,
                                    .beats = tp__instruction_beats(&image->limits, words)};
    }
    *count = issued;
    return cycles;
}

uint32_t tp_forecast_add(tp_forecast *forecast, const struct tp_step *step,
                         struct tp_ledger *ledger)
{
    const struct tp_memory_image *image = forecast->image;
    struct tp_step_slot slots[TP_SLOTS_MAX];
    uint32_t issued = 0;
    if (!is_sound(forecast, step)) {
        return 0;
    }
    unpack_slots(step, slots);
    uint32_t cycles = tp__step_schedule(&image->limits, image->program, image->program_count, slots,
                                        forecast->issues, &issued);
    tp__ledger_add(&image->limits, image->program, slots, forecast->issues, issued, cycles, ledger);
    for (uint32_t s = 0; s < image->limits.slots; s++) {
        ledger->tokens += slots[s].active ? 1 : 0;
        ledger->products +=
            slots[s].active ? tp__shape_products(&forecast->shape, slots[s].logits) : 0;
    }
    return cycles;
}

tp_status tp_model_get_cost(const tp_model *model, const struct tp_device_info *info,
                            const struct tp_load_options *options, struct tp_cost *cost,
                            struct tp_error *error)
{
    if (cost == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_get_cost: an argument is NULL");
    }
    tp_forecast *forecast = NULL;
    tp_status status = tp_forecast_create(model, info, options, &forecast, error);
    if (status == TP_OK) {
        tp_forecast_get_cost(forecast, cost);
        tp_forecast_destroy(forecast);
    }
    return status;
}

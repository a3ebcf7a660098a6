// SPDX-License-Identifier: Apache-2.0
//
// Logs of steps: what each step was made of and how long it took, to make its prediction again.

#include "step_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "internal.h"
#include "json.h"

enum {
    LOG_BYTES_MAX = 1 << 28,
    PLACE_BYTES = 160,     // "FILE: line 12"
    LINE_VALUES_MAX = 64,  // a step of all slots has fewer
    STEPS_FIRST = 64
};

static const char slot_form[] = "{s:I, s:I, s:b, s:b, s:b !}";
static const char step_form[] = "{s:I, s:I, s:I, s:o !}";

// ---- reading ----

static bool is_number(json_int_t value, json_int_t most)
{
    return value >= 0 && value <= most;
}

// place: file and line, for messages.
static tp_status read_slot(json_t *object, const char *place, struct tp_step *step,
                           struct tp_error *error)
{
    json_error_t fault;
    json_int_t slot = 0;
    json_int_t position = 0;
    int logits = 0;
    int list = 0;
    int fast = 0;
    if (json_unpack_ex(object, &fault, 0, slot_form, "slot", &slot, "position", &position, "logits",
                       &logits, "list", &list, "fast", &fast) != 0) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: no slot of a step: %s", place, fault.text);
    }
    if (!is_number(slot, TP_SLOTS_MAX - 1) || step->active >> slot != 0) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: slot %" JSON_INTEGER_FORMAT ": slots are 0 to %u, each above the one "
                        "before",
                        place, slot, TP_SLOTS_MAX - 1);
    }
    if (!is_number(position, UINT16_MAX) || (list != 0 && fast != 0)) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: slot %" JSON_INTEGER_FORMAT ": %s", place,
                        slot,
                        list != 0 && fast != 0 ? "list and fast do not go together"
                                               : "positions are 0 to 65535");
    }
    step->active |= 1u << slot;
    step->logits |= (logits != 0 ? 1u : 0u) << slot;
    step->list |= (list != 0 ? 1u : 0u) << slot;
    step->fast |= (fast != 0 ? 1u : 0u) << slot;
    step->positions[slot] = (uint32_t)position;
    return TP_OK;
}

// before: the step of the line before, or NULL.
static tp_status read_step(json_t *object, const char *place, const struct tp_step *before,
                           struct tp_step *step, struct tp_error *error)
{
    json_error_t fault;
    json_int_t number = 0;
    json_int_t counted = 0;
    json_int_t predicted = 0;
    json_t *slots = NULL;
    if (json_unpack_ex(object, &fault, 0, step_form, "step", &number, "cycles_counted", &counted,
                       "cycles_predicted", &predicted, "slots", &slots) != 0) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: no step: %s", place, fault.text);
    }
    if (!is_number(number, UINT32_MAX) || !is_number(counted, UINT32_MAX) ||
        !is_number(predicted, UINT32_MAX)) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: numbers are 0 to %" PRIu32, place, UINT32_MAX);
    }
    if (before != NULL && number <= before->number) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: step %" JSON_INTEGER_FORMAT " does not come behind step %" PRIu32,
                        place, number, before->number);
    }
    if (!json_is_array(slots) || json_array_size(slots) == 0) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: a step has a list of slots, at least one",
                        place);
    }
    *step = (struct tp_step){
        .number = (uint32_t)number, .cycles = (uint32_t)counted, .predicted = (uint32_t)predicted};
    tp_status status = TP_OK;
    for (size_t i = 0; i < json_array_size(slots) && status == TP_OK; i++) {
        status = read_slot(json_array_get(slots, i), place, step, error);
    }
    return status;
}

static tp_status read_line(const uint8_t *line, size_t size, const char *place,
                           const struct tp_step *before, struct tp_step *step,
                           struct tp_error *error)
{
    json_t *object = NULL;
    tp_status status = tp__json_parse(line, size, place, 0, LINE_VALUES_MAX, &object, error);
    if (status == TP_OK) {
        status = read_step(object, place, before, step, error);
        json_decref(object);
    }
    return status;
}

// Room for one step more.
static tp_status grow(struct tp_step **steps, size_t count, const char *name,
                      struct tp_error *error)
{
    bool is_full = count == 0 || (count >= STEPS_FIRST && (count & (count - 1)) == 0);
    if (!is_full) {
        return TP_OK;
    }
    size_t room = count == 0 ? STEPS_FIRST : 2 * count;
    struct tp_step *more = realloc(*steps, room * sizeof *more);
    if (more == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its steps", name);
    }
    *steps = more;
    return TP_OK;
}

tp_status tp__step_log_parse(const uint8_t *bytes, size_t size, const char *name,
                             struct tp_step **steps, size_t *count, struct tp_error *error)
{
    struct tp_step *read = NULL;
    size_t lines = 0;
    tp_status status = TP_OK;
    for (size_t at = 0; at < size && status == TP_OK; lines++) {
        char place[PLACE_BYTES];
        const uint8_t *end = memchr(bytes + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - bytes) - at : size - at;
        (void)snprintf(place, sizeof place, "%.100s: line %zu", name, lines + 1);
        status = grow(&read, lines, name, error);
        if (status == TP_OK) {
            status = read_line(bytes + at, length, place, lines == 0 ? NULL : &read[lines - 1],
                               &read[lines], error);
        }
        at += length + 1;
    }
    if (status == TP_OK && lines == 0) {
        status = tp__fail(error, TP_ERROR_FORMAT,
                          "%s: a log of steps has a line for each, this "
                          "one has none",
                          name);
    }
    if (status != TP_OK) {
        free(read);
        return status;
    }
    *steps = read;
    *count = lines;
    return TP_OK;
}

tp_status tp_steps_read(const char *path, struct tp_step **steps, size_t *count,
                        struct tp_error *error)
{
    struct tp_bytes bytes;
    if (path == NULL || steps == NULL || count == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_steps_read: an argument is NULL");
    }
    tp_status status = tp__file_read(path, LOG_BYTES_MAX, &bytes, error);
    if (status == TP_OK) {
        status =
            tp__step_log_parse(bytes.data, bytes.size, tp__short_name(path), steps, count, error);
        tp__bytes_free(&bytes);
    }
    return status;
}

// ---- writing ----

static void put_text(struct tp_file_writer *writer, const char *format, ...)
{
    char text[PLACE_BYTES];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    tp__writer_put(writer, text, (size_t)size);
}

static const char *truth(uint32_t mask, uint32_t slot)
{
    return (mask >> slot & 1u) != 0 ? "true" : "false";
}

static uint32_t position_of(const struct tp_step *step, uint32_t slot)
{
#ifdef TP_PLANT_BUG
    // The planted fault takes all slots for the first.
    slot = 0;
#endif
    return step->positions[slot];
}

static void put_step(struct tp_file_writer *writer, const struct tp_step *step)
{
    const char *between = "";
    put_text(writer,
             "{\"step\":%" PRIu32 ",\"cycles_counted\":%" PRIu32 ",\"cycles_predicted\":%" PRIu32
             ",\"slots\":[",
             step->number, step->cycles, step->predicted);
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        if ((step->active >> s & 1u) != 0) {
            put_text(writer,
                     "%s{\"slot\":%" PRIu32 ",\"position\":%" PRIu32
                     ",\"logits\":%s,\"list\":%s,\"fast\":%s}",
                     between, s, position_of(step, s), truth(step->logits, s), truth(step->list, s),
                     truth(step->fast, s));
            between = ",";
        }
    }
    put_text(writer, "]}\n");
}

tp_status tp_steps_write(const char *path, const struct tp_step *steps, size_t count,
                         struct tp_error *error)
{
    struct tp_file_writer writer;
    if (path == NULL || (steps == NULL && count != 0)) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_steps_write: an argument is NULL");
    }
    tp__writer_open(&writer, path, error);
    for (size_t i = 0; i < count; i++) {
        put_step(&writer, &steps[i]);
    }
    return tp__writer_close(&writer, TP_OK);
}

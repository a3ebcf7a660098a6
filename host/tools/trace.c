// SPDX-License-Identifier: Apache-2.0
//
// tokproc trace: the schedule of the steps of a run, or of a log of one, one track for each unit
// and each slot, as Chrome trace events; and a wave of one step of a simulated device.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "generate.h"
#include "verbs.h"

enum { TOKENS = 16 };
// Process numbers of the viewer: groups of tracks.
enum { GROUP_STEPS = 1, GROUP_UNITS, GROUP_SLOTS };

struct trace {
    struct work work;
    struct answer answer;
    struct spent spent;
    struct tp_step *steps;
    size_t step_count;
    uint64_t counted;    // cycles of all steps
    uint64_t predicted;  // likewise, by their schedules
    tp_forecast *forecast;
    struct tp_item *items;  // [item_max], as many as the largest step has
    size_t item_max;
    FILE *file;
    bool separate;   // a comma comes before the next event
    uint64_t cycle;  // where the next step begins; steps stand one behind the other
};

// ---- events ----

static void name_track(struct trace *t, const char *what, int group, uint32_t track,
                       const char *name)
{
    fprintf(t->file,
            "%s\n{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%d,\"tid\":%" PRIu32
            ",\"args\":{\"name\":\"%s\"}}",
            t->separate ? "," : "", what, group, track, name);
    t->separate = true;
}

static void name_tracks(struct trace *t)
{
    char name[32];
    name_track(t, "process_name", GROUP_STEPS, 0, "steps");
    name_track(t, "process_name", GROUP_UNITS, 0, "units: from issue until free");
    name_track(t, "process_name", GROUP_SLOTS, 0, "slots: from issue until complete or the next");
    for (uint32_t unit = 0; unit < TP_UNIT_COUNT; unit++) {
        name_track(t, "thread_name", GROUP_UNITS, unit, tp_unit_name((tp_unit)unit));
    }
    for (uint32_t slot = 0; slot < t->work.device_info.slots; slot++) {
        (void)snprintf(name, sizeof name, "slot %" PRIu32, slot);
        name_track(t, "thread_name", GROUP_SLOTS, slot, name);
    }
}

// A cycle is shown as a microsecond.
static void put_event(struct trace *t, int group, uint32_t track, const struct tp_item *item,
                      uint32_t end)
{
    fprintf(t->file,
            ",\n{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%d,\"tid\":%" PRIu32
            ",\"ts\":%" PRIu64 ",\"dur\":%" PRIu32 ",\"args\":{\"instruction\":%" PRIu32
            ",\"slot\":%" PRIu32 ",\"issued\":%" PRIu32 ",\"free\":%" PRIu32
            ",\"completed\":%" PRIu32 ",\"beats\":%" PRIu32 "}}",
            item->note, tp_work_name(item->work), group, track, t->cycle + item->issued,
            end - item->issued, item->instruction, item->slot, item->issued, item->free,
            item->completed, item->beats);
}

static void put_step(struct trace *t, const struct tp_step *step, uint32_t cycles,
                     const struct tp_item *items, size_t count)
{
    fprintf(t->file,
            ",\n{\"ph\":\"X\",\"name\":\"step %" PRIu32 "\",\"pid\":%d,\"tid\":0,\"ts\":%" PRIu64
            ",\"dur\":%" PRIu32 ",\"args\":{\"cycles_predicted\":%" PRIu32
            ",\"cycles_counted\":%" PRIu32 ",\"slots\":%" PRIu32 ",\"logits\":%" PRIu32 "}}",
            step->number, GROUP_STEPS, t->cycle, cycles, cycles, step->cycles, step->active,
            step->logits);
    for (size_t i = 0; i < count; i++) {
        // On the track of a slot instructions follow each other, though they may overlap.
        size_t next = i + 1;
        while (next < count && items[next].slot != items[i].slot) {
            next++;
        }
        uint32_t end = items[i].completed + 1;
        uint32_t other = next < count ? items[next].issued : end;
        put_event(t, GROUP_UNITS, items[i].unit, &items[i],
                  items[i].free < cycles ? items[i].free : cycles);
        put_event(t, GROUP_SLOTS, items[i].slot, &items[i], end < other ? end : other);
    }
}

static void put_steps(struct trace *t)
{
    for (size_t i = 0; i < t->step_count; i++) {
        size_t count = 0;
        uint32_t cycles =
            tp_forecast_step(t->forecast, &t->steps[i], t->items, t->item_max, &count);
        put_step(t, &t->steps[i], cycles, t->items, count);
        t->cycle += cycles;
    }
}

// ---- predictions made again ----

static void print_slots(const struct tp_step *step)
{
    const char *between = "";
    for (uint32_t s = 0; step->active >> s != 0; s++) {
        if ((step->active >> s & 1u) != 0) {
            fprintf(stderr, "%sslot %" PRIu32 " at position %" PRIu32 "%s", between, s,
                    step->positions[s], (step->logits >> s & 1u) != 0 ? "" : " without logits");
            between = ", ";
        }
    }
}

static void print_difference(const struct tp_step *step, uint32_t cycles)
{
    fprintf(stderr, "tokproc: step %" PRIu32 " (", step->number);
    print_slots(step);
    if (step->cycles != 0) {
        fprintf(stderr, ") took %" PRIu32 " cycles, predicted were", step->cycles);
    } else {
        fprintf(stderr, "), which nobody counted: predicted were");
    }
    fprintf(stderr, " %" PRIu32 " when it was made, ", step->predicted);
    if (cycles != 0) {
        fprintf(stderr, "its schedule has %" PRIu32, cycles);
    } else {
        fprintf(stderr, "this device cannot make it");
    }
}

// All steps against their schedules; the first that differs is told.
static int check_steps(struct trace *t)
{
    size_t differ = 0;
    uint64_t made = 0;
    for (size_t i = 0; i < t->step_count; i++) {
        const struct tp_step *step = &t->steps[i];
        size_t count = 0;
        uint32_t cycles = tp_forecast_step(t->forecast, step, NULL, 0, &count);
        bool is_same = cycles != 0 && step->predicted == cycles &&
                       (step->cycles == 0 || step->cycles == cycles);
        if (!is_same && differ == 0) {
            print_difference(step, cycles);
        }
        differ += is_same ? 0 : 1;
        t->item_max = count > t->item_max ? count : t->item_max;
        made += step->cycles != 0 ? step->cycles : step->predicted;
        t->counted += step->cycles;
        t->predicted += cycles;
    }
    if (differ != 0) {
        fprintf(stderr,
                "; %zu of %zu steps differ, all took %" PRIu64 ", their schedules have %" PRIu64
                "\n",
                differ, t->step_count, made, t->predicted);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

// ---- the file ----

static int write_trace(struct trace *t, const struct options *options)
{
    t->items = calloc(t->item_max, sizeof *t->items);
    if (t->items == NULL) {
        fprintf(stderr, "tokproc: no memory for the items of a step\n");
        return EXIT_FAILED;
    }
    t->file = fopen(options->output, "wb");
    if (t->file == NULL) {
        fprintf(stderr, "tokproc: %s cannot be written: %s\n", options->output, strerror(errno));
        return EXIT_FAILED;
    }
    fprintf(t->file,
            "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"unit\":\"1 us shown = 1 clock cycle\","
            "\"model\":\"%s\",\"device\":\"%s\",\"format\":\"%s\"},\"traceEvents\":[",
            t->work.model_info.name, t->work.device_name, format_label(&t->work, options));
    name_tracks(t);
    put_steps(t);
    bool bad = fprintf(t->file, "\n]}\n") < 0 || ferror(t->file) != 0;
    bad = fclose(t->file) != 0 || bad;
    if (bad) {
        fprintf(stderr, "tokproc: %s cannot be written: %s\n", options->output, strerror(errno));
        (void)unlink(options->output);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

// The device that was built with tracing, told what to write (host/backends/rtl_sim.c).
static int choose_traced(struct trace *t, const struct options *options)
{
    static const char suffix[] = "-trace";
    char *name = t->work.device_name;
    char step[16];
    if (strncmp(name, "sim:", 4) != 0 || strlen(name) + sizeof suffix > TP_DEVICE_NAME_BYTES) {
        fprintf(stderr, "tokproc: only simulated devices have waves - try: -d sim --config NAME\n");
        return EXIT_USAGE;
    }
    memcpy(name + strlen(name), suffix, sizeof suffix);
    (void)snprintf(step, sizeof step, "%" PRIu32, options->step);
    if (setenv("TP_SIM_WAVE", options->wave, 1) != 0 || setenv("TP_SIM_WAVE_STEP", step, 1) != 0) {
        fprintf(stderr, "tokproc: no memory\n");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int run(struct trace *t, const struct options *options)
{
    size_t max = (size_t)options->sessions * (options->tokens + (size_t)SPARE_STEPS);
    int status = work_load(&t->work, options);
    if (status == EXIT_OK) {
        status = record_steps(&t->work, max, &t->steps);
    }
    if (status != EXIT_OK) {
        return status;
    }
    status = generate(&t->work, options, true, false, &t->answer, &t->spent);
    t->step_count = tp_device_recorded(t->work.device);
    return status == EXIT_OK && interrupted() ? EXIT_INTERRUPTED : status;
}

// Reads the log. What a simulated device is made of the emulator of its configuration says too.
static int replay(struct trace *t, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    if (strncmp(t->work.device_name, "sim:", 4) == 0) {
        memcpy(t->work.device_name, "emu", 3);
    }
    if (tp_steps_read(options->replay, &t->steps, &t->step_count, &error) != TP_OK) {
        return failed(&error);
    }
    return work_open_device(&t->work);
}

static int find_steps(struct trace *t, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    int status = work_open_model(&t->work, options);
    status = status == EXIT_OK ? work_choose_device(&t->work, options, 0, NULL) : status;
    if (status == EXIT_OK && options->wave != NULL) {
        status = choose_traced(t, options);
    }
    if (status == EXIT_OK) {
        status = options->replay != NULL ? replay(t, options) : run(t, options);
    }
    if (status != EXIT_OK) {
        return status;
    }
    const struct tp_load_options load = load_options(options, &t->work.device_info);
    if (tp_forecast_create(t->work.model, &t->work.device_info, &load, &t->forecast, &error) !=
        TP_OK) {
        return failed(&error);
    }
    return check_steps(t);
}

static int report(const struct trace *t, const struct options *options)
{
    if (options->wave != NULL && options->step >= t->step_count) {
        fprintf(stderr,
                "tokproc: the run has %zu steps, so the wave is empty - try: -n %" PRIu32 "\n",
                t->step_count, options->step + 1);
        return EXIT_FAILED;
    }
    if (options->json) {
        return print_json(
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:s?, s:s?}", "model", t->work.model_info.name,
                      "device", t->work.device_name, "steps", (json_int_t)t->step_count,
                      "cycles_predicted", (json_int_t)t->predicted, "cycles_counted",
                      (json_int_t)t->counted, "trace", options->output, "wave", options->wave));
    }
    if (!options->quiet) {
        printf("%zu steps, %" PRIu64 " cycles, %s\n", t->step_count, t->predicted,
               t->counted != 0 ? "each as counted by the device"
                               : "predicted: an emulator counts none");
    }
    return EXIT_OK;
}

int verb_trace(const struct options *options)
{
    struct trace t = {.step_count = 0};
    struct options own = *options;
    own.tokens = options->tokens_given ? options->tokens : TOKENS;
    if (own.output == NULL && own.wave == NULL && own.replay == NULL) {
        fprintf(stderr, "tokproc: where to? - try: -o trace.json, or --wave step.fst --step 3\n");
        return EXIT_USAGE;
    }
    if (own.wave != NULL && own.replay != NULL) {
        fprintf(stderr, "tokproc: a log has no wave - try: --replay without --wave\n");
        return EXIT_USAGE;
    }
    int status = own.output == NULL ? EXIT_OK : check_replaced(own.output, &own);
    if (status == EXIT_OK) {
        status = find_steps(&t, &own);
    }
    if (status == EXIT_OK && own.output != NULL) {
        status = write_trace(&t, &own);
    }
    if (status == EXIT_OK) {
        status = report(&t, &own);
    }
    tp_forecast_destroy(t.forecast);
    answer_free(&t.answer);
    work_close(&t.work);
    free(t.steps);
    free(t.items);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// tokproc trace: the schedule of the steps of a run, one track for each unit and each slot, as
// Chrome trace events; and a wave of one step of a simulated device.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "generate.h"
#include "verbs.h"

enum { TOKENS = 16, SPARE_STEPS = 4096, ITEMS_MAX = 1 << 15 };
// Process numbers of the viewer: groups of tracks.
enum { GROUP_STEPS = 1, GROUP_UNITS, GROUP_SLOTS };

struct trace {
    struct work work;
    struct answer answer;
    struct spent spent;
    struct tp_step *steps;
    size_t step_count;
    tp_forecast *forecast;
    struct tp_item *items;
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

static int put_steps(struct trace *t)
{
    for (size_t i = 0; i < t->step_count; i++) {
        size_t count = 0;
        uint32_t cycles = tp_forecast_step(t->forecast, &t->steps[i], t->items, ITEMS_MAX, &count);
        if (cycles == 0 || count > ITEMS_MAX ||
            (t->steps[i].cycles != 0 && t->steps[i].cycles != cycles)) {
            fprintf(stderr,
                    "tokproc: step %" PRIu32 " took %" PRIu32 " cycles, its schedule %" PRIu32 "\n",
                    t->steps[i].number, t->steps[i].cycles, cycles);
            return EXIT_FAILED;
        }
        put_step(t, &t->steps[i], cycles, t->items, count);
        t->cycle += cycles;
    }
    return EXIT_OK;
}

// ---- the file ----

static int write_trace(struct trace *t, const struct options *options)
{
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
    int status = put_steps(t);
    bool bad = fprintf(t->file, "\n]}\n") < 0 || ferror(t->file) != 0;
    bad = fclose(t->file) != 0 || bad;
    if (bad && status == EXIT_OK) {
        fprintf(stderr, "tokproc: %s cannot be written: %s\n", options->output, strerror(errno));
        status = EXIT_FAILED;
    }
    if (status != EXIT_OK) {
        (void)unlink(options->output);
    }
    return status;
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
    struct tp_error error = {.status = TP_OK};
    size_t max = (size_t)options->sessions * (options->tokens + (size_t)SPARE_STEPS);
    int status = work_open_model(&t->work, options);
    status = status == EXIT_OK ? work_choose_device(&t->work, options, 0, NULL) : status;
    if (status == EXIT_OK && options->wave != NULL) {
        status = choose_traced(t, options);
    }
    status = status == EXIT_OK ? work_load(&t->work, options) : status;
    if (status != EXIT_OK) {
        return status;
    }
    const struct tp_load_options load = load_options(options, &t->work.device_info);
    t->steps = calloc(max, sizeof *t->steps);
    t->items = calloc(ITEMS_MAX, sizeof *t->items);
    if (t->steps == NULL || t->items == NULL) {
        fprintf(stderr, "tokproc: no memory for so many steps\n");
        return EXIT_FAILED;
    }
    if (tp_device_record(t->work.device, t->steps, max, &error) != TP_OK ||
        tp_forecast_create(t->work.model, &t->work.device_info, &load, &t->forecast, &error) !=
            TP_OK) {
        return failed(&error);
    }
    status = generate(&t->work, options, true, false, &t->answer, &t->spent);
    t->step_count = tp_device_recorded(t->work.device);
    return status == EXIT_OK && interrupted() ? EXIT_INTERRUPTED : status;
}

static int report(const struct trace *t, const struct options *options)
{
    if (options->wave != NULL && options->step >= t->step_count) {
        fprintf(stderr,
                "tokproc: the run has %zu steps, so the wave is empty - try: -n %" PRIu32 "\n",
                t->step_count, options->step + 1);
        return EXIT_FAILED;
    }
    bool counted = t->spent.used.cycles_steps != 0;
    if (options->json) {
        return print_json(json_pack(
            "{s:s, s:s, s:I, s:I, s:I, s:s?, s:s?}", "model", t->work.model_info.name, "device",
            t->work.device_name, "steps", (json_int_t)t->step_count, "cycles_predicted",
            (json_int_t)t->cycle, "cycles_counted", (json_int_t)t->spent.used.cycles_steps, "trace",
            options->output, "wave", options->wave));
    }
    if (!options->quiet) {
        printf("%zu steps, %" PRIu64 " cycles, %s\n", t->step_count, t->cycle,
               counted ? "each as counted by the device" : "predicted: an emulator counts none");
    }
    return EXIT_OK;
}

int verb_trace(const struct options *options)
{
    struct trace t = {.step_count = 0};
    struct options own = *options;
    own.tokens = options->tokens_given ? options->tokens : TOKENS;
    if (own.output == NULL && own.wave == NULL) {
        fprintf(stderr, "tokproc: where to? - try: -o trace.json, or --wave step.fst --step 3\n");
        return EXIT_USAGE;
    }
    if (own.output != NULL && !own.force && access(own.output, F_OK) == 0) {
        fprintf(stderr, "tokproc: %s is there already - try: --force\n", own.output);
        return EXIT_FAILED;
    }
    int status = run(&t, &own);
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

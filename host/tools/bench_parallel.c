// SPDX-License-Identifier: Apache-2.0
//
// tokproc bench --parallel: what a device gives to so many sessions side by side. One load serves
// all rows, so that each has the same context.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "boards.h"
#include "generate.h"
#include "verbs.h"

enum { ROWS_MAX = 16, SESSIONS_MAX = 1024, POINTS = 4, SLOTS = 8, POINT_NEAR = 8 };
static const uint32_t point_contexts[POINTS] = {64, 128, 256, 512};

// A step in which all sessions took part, at a context or within POINT_NEAR of it.
struct point {
    uint32_t predicted;  // cycles where all stand at it; 0: none can
    uint32_t cycles;     // of the nearest such step of the run; 0: there was none
    uint32_t first;      // contexts in that step
    uint32_t last;
};

struct row {
    uint32_t sessions;
    bool is_skipped;
    char reason[TP_ERROR_TEXT_BYTES];
    struct spent spent;
    struct tp_ledger ledger;
    uint64_t positions;    // of a session at its end
    double gap_mean;       // cycles between two tokens of a session
    uint32_t gap_longest;  // 0: sessions take turns
    struct point points[POINTS];
};

struct table {
    const struct options *options;
    const struct board_clock *clock;
    struct work work;
    struct row rows[ROWS_MAX];
    size_t count;
    uint32_t largest;  // sessions of the load
    uint32_t context;
    uint32_t kv_positions;  // for all sessions
    struct tp_step *steps;
    size_t step_max;
    size_t step_count;
    tp_forecast *forecast;
};

// ---- which rows ----

static int parse_list(struct table *t)
{
    const char *list = t->options->parallel_list;
    for (const char *next = list; next != NULL;) {
        char *end = NULL;
        unsigned long value = next[0] >= '0' && next[0] <= '9' ? strtoul(next, &end, 10) : 0;
        if (value == 0 || value > SESSIONS_MAX || (*end != ',' && *end != 0) ||
            t->count == ROWS_MAX) {
            fprintf(stderr,
                    "tokproc bench: --parallel cannot be %s - try: up to %d numbers of sessions, "
                    "1,2,4,8\n",
                    list, ROWS_MAX);
            return EXIT_USAGE;
        }
        t->rows[t->count++].sessions = (uint32_t)value;
        next = *end == ',' ? end + 1 : NULL;
    }
    return EXIT_OK;
}

// Any device that runs the shortest row will do.
static int open_device(struct table *t)
{
    struct options own = *t->options;
    own.sessions = t->rows[0].sessions;
    for (size_t i = 1; i < t->count; i++) {
        own.sessions = t->rows[i].sessions < own.sessions ? t->rows[i].sessions : own.sessions;
    }
    int status = work_open_model(&t->work, &own);
    if (status == EXIT_OK) {
        status = work_choose_device(&t->work, &own, 0, NULL);
    }
    return status == EXIT_OK ? work_open_device(&t->work) : status;
}

// Rows that the device cannot run say why.
static int choose_rows(struct table *t)
{
    struct options own = *t->options;
    struct tp_error error = {.status = TP_OK};
    for (size_t i = 0; i < t->count; i++) {
        struct row *row = &t->rows[i];
        own.sessions = row->sessions;
        const struct tp_load_options load = load_options(&own, &t->work.device_info);
        row->is_skipped =
            tp_model_check(t->work.model, &t->work.device_info, &load, &error) != TP_OK;
        if (row->is_skipped) {
            (void)snprintf(row->reason, sizeof row->reason, "%s", error.text);
        } else if (row->sessions > t->largest) {
            t->largest = row->sessions;
        }
    }
    return t->largest == 0 ? failed(&error) : EXIT_OK;
}

static int load(struct table *t)
{
    struct options own = *t->options;
    struct tp_error error = {.status = TP_OK};
    struct tp_load_info info;
    own.sessions = t->largest;
    int status = work_load(&t->work, &own);
    if (status != EXIT_OK) {
        return status;
    }
    const struct tp_load_options forecast = load_options(&own, &t->work.device_info);
    if (tp_device_get_load(t->work.device, &info, &error) != TP_OK ||
        tp_forecast_create(t->work.model, &t->work.device_info, &forecast, &t->forecast, &error) !=
            TP_OK) {
        return failed(&error);
    }
    t->context = info.context;
    t->kv_positions = info.kv_positions;
    t->step_max = (size_t)t->largest * (t->options->tokens + (size_t)SPARE_STEPS);
    t->steps = calloc(t->step_max, sizeof *t->steps);
    if (t->steps == NULL) {
        fprintf(stderr, "tokproc: no memory for so many steps\n");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

// ---- a row ----

// Without those that were computed again.
static uint64_t tokens_of(const struct row *row)
{
    return row->spent.used.tokens - row->spent.recomputed_tokens;
}

// Whether some of the sessions have to wait, for a slot or for pages: then they are not told apart
// by the slot.
static bool take_turns(const struct table *t, const struct row *row)
{
    uint64_t positions =
        (row->positions + TP_PAGE_POSITIONS - 1) / TP_PAGE_POSITIONS * TP_PAGE_POSITIONS;
    return row->sessions > t->work.device_info.slots || row->sessions * positions > t->kv_positions;
}

// Cycles from token to token of each session.
static void find_gaps(const struct table *t, struct row *row)
{
    uint64_t since[SLOTS] = {0};
    bool has_token[SLOTS] = {false};
    uint64_t sum = 0;
    uint64_t gaps = 0;
    if (take_turns(t, row)) {
        row->gap_mean = row->sessions * (double)row->ledger.cycles / (double)tokens_of(row);
        return;
    }
    for (size_t i = 0; i < t->step_count; i++) {
        const struct tp_step *step = &t->steps[i];
        for (uint32_t s = 0; s < SLOTS; s++) {
            since[s] += step->cycles;
            if ((step->logits >> s & 1) == 0) {
                continue;
            }
            if (has_token[s]) {
                sum += since[s];
                gaps++;
                row->gap_longest =
                    since[s] > row->gap_longest ? (uint32_t)since[s] : row->gap_longest;
            }
            has_token[s] = true;
            since[s] = 0;
        }
    }
    row->gap_mean = gaps == 0 ? 0 : (double)sum / (double)gaps;
}

// The step with all sessions nearest to that context: they do not all join in the same step.
static void find_point(const struct table *t, const struct row *row, uint32_t context,
                       struct point *point)
{
    uint32_t best = POINT_NEAR + 1;
    for (size_t i = 0; i < t->step_count; i++) {
        const struct tp_step *step = &t->steps[i];
        uint32_t sessions = 0;
        uint32_t first = UINT32_MAX;
        uint32_t last = 0;
        for (uint32_t s = 0; s < SLOTS; s++) {
            uint32_t stands = step->positions[s] + 1;
            if ((step->active & step->logits) >> s & 1) {
                sessions++;
                first = stands < first ? stands : first;
                last = stands > last ? stands : last;
            }
        }
        uint32_t below = first < context ? context - first : 0;
        uint32_t above = last > context ? last - context : 0;
        uint32_t off = below > above ? below : above;
        if (sessions == row->sessions && off < best) {
            best = off;
            *point = (struct point){point->predicted, step->cycles, first, last};
        }
    }
}

static void find_points(const struct table *t, struct row *row)
{
    for (size_t i = 0; i < POINTS && row->sessions <= t->work.device_info.slots; i++) {
        struct tp_ledger ledger;
        row->points[i].predicted =
            point_contexts[i] <= t->context
                ? cycles_at(t->forecast, row->sessions, point_contexts[i], &ledger)
                : 0;
        find_point(t, row, point_contexts[i], &row->points[i]);
    }
}

static int measure(struct table *t, struct row *row)
{
    struct options own = *t->options;
    struct answer answer = {0};
    struct tp_error error = {.status = TP_OK};
    own.sessions = row->sessions;
    if (tp_device_record(t->work.device, t->steps, t->step_max, &error) != TP_OK) {
        return failed(&error);
    }
    int status = generate(&t->work, &own, true, false, &answer, &row->spent);
    row->positions = answer.prompt_tokens + answer.count - 1;
    answer_free(&answer);
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    if (status != EXIT_OK) {
        return status;
    }
    t->step_count = tp_device_recorded(t->work.device);
    status = account_steps(t->forecast, t->steps, t->step_count, row->spent.used.cycles_predicted,
                           &row->ledger);
    find_gaps(t, row);
    find_points(t, row);
    return status;
}

// ---- what is told ----

struct rates {
    double cycles;   // per token of any session
    double between;  // steps, likewise; 0 on an emulator
    double tokens;   // per second, at the clock
    double use;
};

static struct rates rates_of(const struct table *t, const struct row *row)
{
    const struct tp_device_statistics *u = &row->spent.used;
    double tokens = tokens_of(row) == 0 ? 1 : (double)tokens_of(row);
    struct rates rates = {.cycles = (double)u->cycles_predicted / tokens,
                          .use = multiplier_use(&row->ledger, t->work.device_info.groups)};
    if (u->cycles_steps != 0) {
        rates.between = (double)(u->cycles_total - u->cycles_steps) / tokens;
    }
    rates.tokens = 1e6 * t->clock->mhz / (rates.cycles + rates.between);
    return rates;
}

static void print_table(const struct table *t)
{
    printf("%-22s %s, %s, at most %" PRIu32 " positions for a session, %" PRIu32 " for all\n",
           t->work.model_info.name, t->work.device_name, format_label(&t->work, t->options),
           t->context, t->kv_positions);
    printf("%-22s %.2f MHz (%s)\n\n", "clock", t->clock->mhz, t->clock->origin);
    printf("%8s %8s %8s %8s   %-29s %10s %10s   %s\n", "", "", "computed", "", "cycles per token",
           "multiplier", "tokens", "us from token to token");
    printf("%8s %8s %8s %8s %9s %9s %10s %10s %10s %10s %10s\n", "sessions", "tokens", "again",
           "steps", "predicted", "counted", "between", "use", "per second", "mean", "longest");
    for (size_t i = 0; i < t->count; i++) {
        const struct row *row = &t->rows[i];
        const struct tp_device_statistics *u = &row->spent.used;
        if (row->is_skipped) {
            printf("%8" PRIu32 " not run: %s\n", row->sessions, row->reason);
            continue;
        }
        struct rates rates = rates_of(t, row);
        char counted[32] = "none";
        char longest[32] = "-";
        if (u->cycles_steps != 0) {
            (void)snprintf(counted, sizeof counted, "%.1f",
                           (double)u->cycles_steps / (double)tokens_of(row));
        }
        if (row->gap_longest != 0) {
            (void)snprintf(longest, sizeof longest, "%.1f", row->gap_longest / t->clock->mhz);
        }
        printf("%8" PRIu32 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
               " %9.1f %9s %10.1f %8.1f %% %10.0f %10.1f "
               "%10s\n",
               row->sessions, tokens_of(row), row->spent.recomputed_tokens, u->steps, rates.cycles,
               counted, rates.between, 100 * rates.use, rates.tokens, row->gap_mean / t->clock->mhz,
               longest);
    }
}

// Cycles per token of single steps: predicted where all stand at the context, greedy; and of the
// step of the run that is nearest to that.
static void print_points(const struct table *t)
{
    printf("\nsteps of all sessions at a context, cycles per token\n"
           "%8s %8s %10s %10s  %s\n",
           "sessions", "context", "predicted", "of the run", "contexts in that step");
    for (size_t i = 0; i < t->count; i++) {
        for (size_t p = 0; p < POINTS; p++) {
            const struct row *row = &t->rows[i];
            const struct point *point = &row->points[p];
            if (point->predicted == 0) {
                continue;
            }
            printf("%8" PRIu32 " %8" PRIu32 " %10.1f", row->sessions, point_contexts[p],
                   (double)point->predicted / row->sessions);
            if (point->cycles != 0) {
                printf(" %10.1f  %" PRIu32 " to %" PRIu32, (double)point->cycles / row->sessions,
                       point->first, point->last);
            }
            printf("\n");
        }
    }
}

static json_t *points_to_json(const struct row *row)
{
    json_t *list = json_array();
    for (size_t p = 0; p < POINTS; p++) {
        const struct point *point = &row->points[p];
        if (point->predicted == 0) {
            continue;
        }
        json_t *object =
            json_pack("{s:I, s:f}", "context", (json_int_t)point_contexts[p],
                      "cycles_per_token_predicted", (double)point->predicted / row->sessions);
        if (point->cycles != 0) {
            json_t *run = json_pack(
                "{s:f, s:I, s:I}", "cycles_per_token", (double)point->cycles / row->sessions,
                "context_first", (json_int_t)point->first, "context_last", (json_int_t)point->last);
            (void)json_object_update_missing(object, run);
            json_decref(run);
        }
        (void)json_array_append_new(list, object);
    }
    return list;
}

static json_t *row_to_json(const struct table *t, const struct row *row)
{
    const struct tp_device_statistics *u = &row->spent.used;
    if (row->is_skipped) {
        return json_pack("{s:I, s:s}", "sessions", (json_int_t)row->sessions, "skipped",
                         row->reason);
    }
    struct rates rates = rates_of(t, row);
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "sessions",
        (json_int_t)row->sessions, "tokens", (json_int_t)tokens_of(row), "recomputed_tokens",
        (json_int_t)row->spent.recomputed_tokens, "steps", (json_int_t)u->steps, "cycles_per_token",
        rates.cycles, "cycles_predicted", (json_int_t)u->cycles_predicted, "cycles_counted",
        (json_int_t)u->cycles_steps, "cycles_between_steps_per_token", rates.between,
        "multiplier_use", rates.use, "tokens_per_second", rates.tokens, "cycles_between_tokens",
        row->gap_mean, "seconds", row->spent.seconds);
    if (row->gap_longest != 0) {
        (void)json_object_set_new(object, "cycles_between_tokens_longest",
                                  json_integer(row->gap_longest));
    }
    if (t->options->contexts) {
        (void)json_object_set_new(object, "contexts", points_to_json(row));
    }
    return object;
}

static int report(const struct table *t)
{
    if (!t->options->json) {
        print_table(t);
        if (t->options->contexts) {
            print_points(t);
        }
        return EXIT_OK;
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < t->count; i++) {
        (void)json_array_append_new(rows, row_to_json(t, &t->rows[i]));
    }
    return print_json(
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:s, s:o}", "model", t->work.model_info.name,
                  "device", t->work.device_name, "format", format_label(&t->work, t->options),
                  "context", (json_int_t)t->context, "kv_positions", (json_int_t)t->kv_positions,
                  "clock_mhz", t->clock->mhz, "clock_from", t->clock->origin, "parallel", rows));
}

int bench_parallel(const struct options *options, const struct board_clock *clock)
{
    struct table t = {.options = options, .clock = clock};
    int status = parse_list(&t);
    if (status == EXIT_OK) {
        status = open_device(&t);
    }
    if (status == EXIT_OK) {
        status = choose_rows(&t);
    }
    if (status == EXIT_OK) {
        status = load(&t);
    }
    for (size_t i = 0; i < t.count && status == EXIT_OK; i++) {
        status = t.rows[i].is_skipped ? EXIT_OK : measure(&t, &t.rows[i]);
    }
    if (status == EXIT_OK) {
        status = report(&t);
    }
    tp_forecast_destroy(t.forecast);
    free(t.steps);
    work_close(&t.work);
    return status;
}

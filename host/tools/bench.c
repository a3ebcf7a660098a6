// SPDX-License-Identifier: Apache-2.0
//
// tokproc bench: cycles and speed of generating from an empty context, or of a prompt, and what
// they are on a board.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "boards.h"
#include "generate.h"
#include "verbs.h"

// TOKEN and STEP (docs/link.md).
enum { FRAME_OVERHEAD = 9, TOKEN_BYTES = 8, STEP_BYTES = 28 };
enum { CONTEXTS = 5, CONFIGURATIONS_MAX = 64 };

struct measured {
    struct work work;
    struct answer answer;
    struct spent spent;
    struct tp_step *steps;
    size_t step_count;
    tp_forecast *forecast;
    struct tp_ledger ledger;
    struct tp_board_info board;
    struct tp_bitstream_info bitstream;
    double cycles_per_token;
    double between;  // cycles between steps, per token
};

// ---- measuring ----

static int account(struct measured *m, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    const struct tp_load_options load = load_options(options, &m->work.device_info);
    if (tp_forecast_create(m->work.model, &m->work.device_info, &load, &m->forecast, &error) !=
        TP_OK) {
        return failed(&error);
    }
    return account_steps(m->forecast, m->steps, m->step_count, m->spent.used.cycles_predicted,
                         &m->ledger);
}

static int measure(struct measured *m, const struct options *options)
{
    size_t tokens = options->prompt_tokens != 0 ? options->prompt_tokens : options->tokens;
    size_t max = options->sessions * (tokens + SPARE_STEPS);
    int status = work_open(&m->work, options);
    if (status == EXIT_OK) {
        status = record_steps(&m->work, max, &m->steps);
    }
    if (status != EXIT_OK) {
        return status;
    }
    status = options->prompt_tokens != 0
                 ? process_prompt(&m->work, options, &m->spent)
                 : generate(&m->work, options, true, false, &m->answer, &m->spent);
    m->step_count = tp_device_recorded(m->work.device);
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    if (status != EXIT_OK) {
        return status;
    }
    const struct tp_device_statistics *u = &m->spent.used;
    double count = u->tokens == 0 ? 1 : (double)u->tokens;
    m->cycles_per_token = (double)u->cycles_predicted / count;
    m->between = u->cycles_steps != 0 ? (double)(u->cycles_total - u->cycles_steps) / count : 0;
    return account(m, options);
}

// ---- what follows ----

// Least cycles per token by the lanes and by the weight memory, which gives one beat a cycle.
static double lanes_bound(const struct measured *m)
{
    double lanes = (double)m->work.device_info.groups * LANES_OF_GROUP;
    return (double)m->ledger.products / lanes / (double)m->ledger.tokens;
}

static double memory_bound(const struct measured *m)
{
    uint64_t beats = 0;
    for (int work = 0; work < TP_WORK_COUNT; work++) {
        beats += m->ledger.lines[work].busy;
    }
    return (double)beats / (double)m->ledger.tokens;
}

static json_t *roofline(const struct measured *m, bool json)
{
    double use = multiplier_use(&m->ledger, m->work.device_info.groups);
    double lanes = lanes_bound(m);
    double memory = memory_bound(m);
    // Multiply-accumulates of a beat: what the lanes could do with it, less padding and planes.
    double intensity = (double)m->ledger.products / (double)m->ledger.tokens / memory;
    if (!json) {
        printf("roofline, cycles per token\n"
               "  %-24s %8.1f  all lanes busy with what is useful\n"
               "  %-24s %8.1f  one weight beat in each cycle, padding and planes included\n"
               "  %-24s %8.1f  %.1f %% of the lanes' roof, %.1f %% of the memory's\n",
               "lanes", lanes, "weight memory", memory, "achieved", m->cycles_per_token, 100 * use,
               100 * memory / m->cycles_per_token);
    }
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "lanes_cycles_per_token", lanes,
                     "memory_cycles_per_token", memory, "achieved_cycles_per_token",
                     m->cycles_per_token, "products_per_beat", intensity, "products_per_cycle",
                     intensity * memory / m->cycles_per_token);
}

// Cycles per token and use by context, for one slot and for all.
static int contexts(const struct measured *m, const struct options *options, json_t **list)
{
    static const uint32_t shown[CONTEXTS] = {1, 64, 128, 256, 512};
    const struct tp_device_info *info = &m->work.device_info;
    *list = json_array();
    if (!options->json) {
        printf("by context, predicted, greedy\n  %-8s %8s %16s %16s\n", "slots", "context",
               "cycles per token", "multiplier use");
    }
    for (uint32_t slots = 1; slots <= info->slots; slots += info->slots > 1 ? info->slots - 1 : 1) {
        struct tp_error error = {.status = TP_OK};
        tp_forecast *forecast = NULL;
        const struct tp_load_options load = {.format = options->format, .sessions = slots};
        if (tp_forecast_create(m->work.model, info, &load, &forecast, &error) != TP_OK) {
            // So many sessions have no page each.
            continue;
        }
        for (size_t i = 0; i < CONTEXTS; i++) {
            struct tp_ledger ledger;
            uint32_t cycles = cycles_at(forecast, slots, shown[i], &ledger);
            double use = multiplier_use(&ledger, info->groups);
            if (cycles == 0) {
                continue;
            }
            if (!options->json) {
                printf("  %-8" PRIu32 " %8" PRIu32 " %16.1f %14.1f %%\n", slots, shown[i],
                       (double)cycles / slots, 100 * use);
            }
            (void)json_array_append_new(*list,
                                        json_pack("{s:i, s:i, s:f, s:f}", "slots", (int)slots,
                                                  "context", (int)shown[i], "cycles_per_token",
                                                  (double)cycles / slots, "multiplier_use", use));
        }
        tp_forecast_destroy(forecast);
    }
    return EXIT_OK;
}

// ---- a board ----

// Assumed, not measured: leakage of the largest part, and energy of a used resource per clock cycle
// at the activity of a data path that is busy half of the time. Good for an order of magnitude.
static const double static_watts_of_lut = 0.233 / 83640;
static const double lut_picojoules = 0.03;
static const double flip_flop_picojoules = 0.01;
static const double block_ram_picojoules = 8;
static const double multiplier_picojoules = 6;
static const char energy_method[] =
    "estimated, not measured: leakage by size of the part (0.233 W for 84 k LUTs) + used resources "
    "x clock x energy per cycle (LUT 0.03 pJ, flip-flop 0.01, block RAM 8, multiplier 6); chip "
    "only";

static double estimate_watts(const struct measured *m)
{
    const struct tp_bitstream_info *b = &m->bitstream;
    double picojoules = b->luts * lut_picojoules + b->flip_flops * flip_flop_picojoules +
                        b->block_rams * block_ram_picojoules +
                        b->multipliers * multiplier_picojoules;
    return m->board.luts * static_watts_of_lut + picojoules * b->clock_achieved_mhz * 1e-6;
}

static json_t *board_figures(const struct measured *m, const struct options *options)
{
    const struct tp_bitstream_info *b = &m->bitstream;
    bool json = options->json;
    double hertz = b->clock_achieved_mhz * 1e6;
    double with_gaps = hertz / (m->cycles_per_token + m->between);
    double steps_only = hertz / m->cycles_per_token;
    // A prompt brings one token.
    double link_bytes =
        (options->prompt_tokens != 0 ? 0 : TOKEN_BYTES + FRAME_OVERHEAD) +
        (STEP_BYTES + FRAME_OVERHEAD) * (double)m->ledger.steps / (double)m->ledger.tokens;
    double serial = m->board.baud / (SERIAL_BITS_OF_BYTE * link_bytes);
    double usb = USB_BYTES_PER_SECOND / link_bytes;
    double watts = estimate_watts(m);
    if (!json) {
        printf("board                  %s, %s, placed and routed, not run on silicon\n",
               m->board.name, m->board.part);
        printf("clock                  %.2f MHz reached, %.2f required\n", b->clock_achieved_mhz,
               b->clock_required_mhz);
        printf("tokens per second      %.0f (steps alone: %.0f)\n", with_gaps, steps_only);
        printf("serial line            at most %.0f tokens per second, %.0f bytes each at %" PRIu32
               " baud\n",
               serial, link_bytes, m->board.baud);
        if (m->board.has_usb) {
            printf("USB                    at most %.0f tokens per second, at %d bytes a second\n",
                   usb, USB_BYTES_PER_SECOND);
        }
        printf("power                  %.2f W, %.0f tokens per joule: %s\n", watts,
               with_gaps / watts, energy_method);
    }
    json_t *figures = json_pack(
        "{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:s}", "board", m->board.name,
        "clock_achieved_mhz", b->clock_achieved_mhz, "clock_required_mhz", b->clock_required_mhz,
        "tokens_per_second_board", with_gaps, "tokens_per_second_steps", steps_only,
        "tokens_per_second_serial", serial, "watts_estimated", watts, "tokens_per_joule_estimated",
        with_gaps / watts, "energy_method", energy_method, "source_hash", b->source_hash);
    if (m->board.has_usb) {
        (void)json_object_set_new(figures, "tokens_per_second_usb", json_real(usb));
    }
    return figures;
}

// ---- all of it ----

static void print_figures(const struct measured *m, const struct options *options)
{
    const struct tp_device_statistics *u = &m->spent.used;
    bool counted = u->cycles_steps != 0;
    printf("%-22s %s, %s, %" PRIu32 " session%s\n", m->work.model_info.name, m->work.device_name,
           format_label(&m->work, options), options->sessions, options->sessions == 1 ? "" : "s");
    printf("%-22s %" PRIu64 " in %" PRIu64 " steps\n",
           options->prompt_tokens != 0 ? "prompt tokens" : "tokens", u->tokens, u->steps);
    printf("%-22s %.1f (%" PRIu64 " predicted, %s%" PRIu64 " counted)\n", "cycles per token",
           m->cycles_per_token, u->cycles_predicted,
           counted ? "" : "none counted: ", u->cycles_steps);
    printf("%-22s %.1f %%\n", "multiplier use",
           100 * multiplier_use(&m->ledger, m->work.device_info.groups));
    if (counted) {
        printf("%-22s %.1f cycles per token\n", "between steps", m->between);
        printf("%-22s %.0f kHz\n", "simulated clock",
               (double)u->cycles_total / m->spent.seconds / 1e3);
    }
    printf("%-22s %.1f\n", "tokens per second", (double)u->tokens / m->spent.seconds);
    printf("%-22s %" PRIu64 " saturations, %" PRIu64 " clips\n", "numbers", u->saturations,
           u->clips);
}

static json_t *figures_to_json(const struct measured *m, const struct options *options)
{
    const struct tp_device_statistics *u = &m->spent.used;
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I}",
                     "model", m->work.model_info.name, "device", m->work.device_name, "format",
                     format_label(&m->work, options), "sessions", (int)options->sessions, "tokens",
                     (json_int_t)u->tokens, "steps", (json_int_t)u->steps, "cycles_per_token",
                     m->cycles_per_token, "cycles_predicted", (json_int_t)u->cycles_predicted,
                     "cycles_counted", (json_int_t)u->cycles_steps,
                     "cycles_between_steps_per_token", m->between, "simulated_khz",
                     (double)u->cycles_total / m->spent.seconds / 1e3, "tokens_per_second",
                     (double)u->tokens / m->spent.seconds, "multiplier_use",
                     multiplier_use(&m->ledger, m->work.device_info.groups), "saturations",
                     (json_int_t)u->saturations, "clips", (json_int_t)u->clips);
}

static int report(const struct measured *m, const struct options *options)
{
    bool all = options->ledger || options->board != NULL;
    json_t *object = figures_to_json(m, options);
    json_t *by_context = NULL;
    if (!options->json) {
        print_figures(m, options);
    }
    if (options->board != NULL) {
        (void)json_object_set_new(object, "board", board_figures(m, options));
    }
    if (all) {
        if (!options->json) {
            print_ledger(&m->ledger);
        }
        (void)json_object_set_new(object, "ledger", ledger_to_json(&m->ledger));
        (void)json_object_set_new(object, "roofline", roofline(m, options->json));
    }
    int status = EXIT_OK;
    if (options->contexts) {
        status = contexts(m, options, &by_context);
        (void)json_object_set_new(object, "contexts", by_context);
    }
    if (options->json && status == EXIT_OK) {
        return print_json(object);
    }
    json_decref(object);
    return status;
}

// A board has its configuration, and is refused before anything is run.
static int choose_board(struct measured *m, const struct options *options, struct options *own)
{
    *own = *options;
    if (options->board == NULL) {
        return EXIT_OK;
    }
    if (options->config != NULL) {
        fprintf(stderr, "tokproc: --board has its configuration - try: without --config\n");
        return EXIT_USAGE;
    }
    if (!find_board(options->board, &m->board)) {
        return EXIT_USAGE;
    }
    if (!has_core(&m->board)) {
        return EXIT_FAILED;
    }
    own->config = m->board.configuration;
    return read_bitstream(options, options->board, &m->bitstream);
}

// At the clock of the board's bitstream; without one a round number shows the ratios.
static int bench_side_by_side(const struct measured *m, const struct options *options)
{
    struct board_clock clock = {.mhz = 100, .origin = "no --board: a round number"};
    if (options->sessions != 1 || options->ledger) {
        fprintf(stderr, "tokproc: --parallel does not go with --sessions and --ledger\n");
        return EXIT_USAGE;
    }
    if (options->board != NULL) {
        board_clock(&m->board, options, &clock);
    }
    return bench_parallel(options, &clock);
}

static int check_prompt(const struct options *options)
{
    bool others = options->sessions != 1 || options->parallel_list != NULL ||
                  options->prompt != NULL || options->tokens_given;
    if (options->prompt_tokens != 0 && others) {
        fprintf(stderr, "tokproc: --prompt-tokens is about one session and its first token - "
                        "try: without --sessions, --parallel, --prompt and --tokens\n");
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

int verb_bench(const struct options *options)
{
    struct measured m = {.step_count = 0};
    struct options own;
    int status = check_prompt(options);
    if (status == EXIT_OK) {
        status = choose_board(&m, options, &own);
    }
    if (status == EXIT_OK && own.parallel_list != NULL) {
        return bench_side_by_side(&m, &own);
    }
    if (status == EXIT_OK) {
        status = measure(&m, &own);
    }
    if (status == EXIT_OK) {
        status = report(&m, &own);
    }
    tp_forecast_destroy(m.forecast);
    answer_free(&m.answer);
    work_close(&m.work);
    free(m.steps);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// tokproc plan: what fits where, and how fast it will be, before anything is built.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "accounts.h"
#include "boards.h"
#include "verbs.h"

enum { CONFIGURATIONS_MAX = 64, NEEDS_MAX = 32, MEAN_POSITIONS = 256 };

// What a core takes at least beside its lanes, and each group of lanes. The LUTs are a lower bound,
// estimated: synthesis gives ulx3s-45f, of one group, 36,000. Memory comes in units: 512 beats take
// 4 block RAMs a group, 512 rows of keys and values 16.
enum {
    LUTS_BESIDE = 27000,
    LUTS_OF_GROUP = 2800,
    MULTIPLIERS_BESIDE = 27,
    BLOCK_RAMS_BESIDE = 18,
    BLOCK_RAMS_OF_BEATS = 4,
    BLOCK_RAMS_OF_ROWS = 16,
    UNIT_ROWS = 512
};

/** A board or a bare configuration that is asked about. */
struct place {
    const struct tp_board_info *board;    // or NULL
    const struct tp_device_info *device;  // or NULL: no core of ours fits the board
    struct board_clock clock;
};

// ---- one format on one device ----

static json_t *needs_to_json(const struct tp_need *needs, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:I, s:I, s:b}", "what", needs[i].what, "unit",
                            needs[i].unit, "need", (json_int_t)needs[i].need, "have",
                            (json_int_t)needs[i].have, "fits", needs[i].need <= needs[i].have));
    }
    return list;
}

// Positions of each session when all slots have one and the KV memory is shared equally, in whole
// pages; 0: they have no page each, or the model cannot use several slots.
static uint32_t shared_context(const tp_model *model, const struct tp_device_info *device,
                               const struct tp_load_options *load)
{
    struct tp_load_options all = *load;
    struct tp_cost cost;
    all.sessions = device->slots;
    all.context = 0;
    if (tp_model_get_cost(model, device, &all, &cost, NULL) != TP_OK) {
        return 0;
    }
    uint32_t share = cost.kv_positions / device->slots / TP_PAGE_POSITIONS * TP_PAGE_POSITIONS;
    return share < cost.context ? share : cost.context;
}

static uint64_t need_of(const struct tp_need *needs, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(needs[i].what, what) == 0) {
            return needs[i].need;
        }
    }
    return 0;
}

static void print_short(const struct tp_need *needs, size_t count, const struct tp_error *error)
{
    const char *between = " no   ";
    for (size_t i = 0; i < count; i++) {
        if (needs[i].need > needs[i].have) {
            printf("%s%s: %" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " too many", between,
                   needs[i].what, needs[i].need, needs[i].have, needs[i].unit,
                   needs[i].need - needs[i].have);
            between = "; ";
        }
    }
    printf("%s\n", between[0] == ' ' ? error->text : "");
}

// What a board's own configuration does not hold: a variant of it may, or the part itself is short.
static void add_reason(const struct work *work, const struct options *options,
                       const struct place *place, const struct tp_load_options *load,
                       uint64_t beats, json_t *row)
{
    struct tp_device_info devices[CONFIGURATIONS_MAX];
    const struct tp_board_info *board = place->board;
    size_t size = strlen(board->name);
    size_t count = tp_configuration_list(devices, CONFIGURATIONS_MAX);
    for (size_t d = 0; d < count && d < CONFIGURATIONS_MAX; d++) {
        struct tp_cost cost;
        bool is_variant = strncmp(devices[d].name, board->name, size) == 0 &&
                          (devices[d].name[size] == '-' || devices[d].name[size] == '\0');
        if (is_variant && tp_model_get_cost(work->model, &devices[d], load, &cost, NULL) == TP_OK) {
            if (!options->json) {
                printf("%-18s      fits the variant %s, which has no bitstream: context %" PRIu32
                       ", %.1f cycles\n",
                       "", devices[d].name, cost.context, cost.cycles_per_token);
            }
            (void)json_object_set_new(row, "variant", json_string(devices[d].name));
            return;
        }
    }
    uint64_t rams =
        (beats + UNIT_ROWS - 1) / UNIT_ROWS * BLOCK_RAMS_OF_BEATS * place->device->groups;
    if (rams + BLOCK_RAMS_BESIDE + BLOCK_RAMS_OF_ROWS > board->block_rams) {
        if (!options->json) {
            printf("%-18s      no configuration can: the weights take %" PRIu64
                   " block RAMs, the part has %" PRIu32 ", the rest needs at least %d\n",
                   "", rams, board->block_rams, BLOCK_RAMS_BESIDE + BLOCK_RAMS_OF_ROWS);
        }
        (void)json_object_set_new(row, "block_rams_of_weights", json_integer((json_int_t)rams));
    }
}

// A bare configuration is told for USB.
static bool has_usb(const struct place *place)
{
    return place->board == NULL || place->board->has_usb;
}

static int plan_format(const struct work *work, const struct options *options,
                       const struct place *place, const struct tp_load_options *load,
                       const char *label, json_t *rows)
{
    struct tp_need needs[NEEDS_MAX];
    size_t count = 0;
    struct tp_error error = {.status = TP_OK};
    struct tp_cost cost = {0};
    struct tp_ledger ledger = {0};
    tp_forecast *forecast = NULL;
    if (tp_model_get_needs(work->model, place->device, load, needs, NEEDS_MAX, &count, &error) !=
        TP_OK) {
        return failed(&error);
    }
    bool fits = tp_forecast_create(work->model, place->device, load, &forecast, &error) == TP_OK;
    json_t *row = json_pack("{s:s, s:b, s:o}", "format", label, "fits", (int)fits, "needs",
                            needs_to_json(needs, count));
    if (fits) {
        struct tp_step last = {.active = 1, .logits = 1, .fast = 1};
        size_t items = 0;
        tp_forecast_get_cost(forecast, &cost);
        last.positions[0] = cost.context - 1;
        uint32_t at_context = tp_forecast_step(forecast, &last, NULL, 0, &items);
        uint32_t mean_of = cost.context < MEAN_POSITIONS ? cost.context : (uint32_t)MEAN_POSITIONS;
        (void)add_first_steps(forecast, mean_of, &ledger);
        double mean = cost.cycles_per_token;
        double per_second = 1e6 * place->clock.mhz / mean;
        uint32_t shared = shared_context(work->model, place->device, load);
        double use = multiplier_use(&ledger, place->device->groups);
        double usb_seconds = (double)cost.link_bytes / USB_BYTES_PER_SECOND;
        double load_seconds = usb_seconds;
        double jtag_seconds = 8 * (double)cost.stream_bytes / JTAG_HZ;
        json_t *facts = json_pack(
            "{s:I, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:i, s:f, s:I, s:I, s:i, s:I, s:f}",
            "matrix_bytes", (json_int_t)cost.matrix_bytes, "weight_beats", (int)cost.weight_beats,
            "instructions", (int)cost.instructions, "context", (int)cost.context, "slots",
            (int)place->device->slots, "context_of_each_slot", (int)shared, "cycles_per_token",
            mean, "mean_of_positions", (int)mean_of, "cycles_at_context", (int)at_context,
            "multiplier_use", use, "load_bytes", (json_int_t)cost.load_bytes, "link_bytes",
            (json_int_t)cost.link_bytes, "block_rams", (int)cost.block_rams, "stream_bytes",
            (json_int_t)cost.stream_bytes, "load_seconds_jtag", jtag_seconds);
        (void)json_object_update_new(row, facts);
        if (has_usb(place)) {
            (void)json_object_set_new(row, "load_seconds_usb", json_real(usb_seconds));
        }
        if (place->board != NULL) {
            double serial = place->board->baud / (double)SERIAL_BITS_OF_BYTE;
            double serial_seconds = (double)cost.link_bytes / serial;
            load_seconds = has_usb(place) ? usb_seconds : serial_seconds;
            (void)json_object_set_new(row, "tokens_per_second", json_real(per_second));
            (void)json_object_set_new(row, "load_seconds_serial", json_real(serial_seconds));
        }
        if (options->ledger) {
            (void)json_object_set_new(row, "ledger", ledger_to_json(&ledger));
        }
        if (!options->json) {
            char shares[32] = "-";
            if (shared != 0) {
                (void)snprintf(shares, sizeof shares, "%" PRIu32 " x %" PRIu32,
                               place->device->slots, shared);
            }
            printf("%-18s yes  %6" PRIu32 " of %-6" PRIu32 " %8" PRIu32 " %9s %9.1f %9" PRIu32
                   " %6.1f %% %6.2f s %6.2f s",
                   label, cost.weight_beats, place->device->weight_beats, cost.context, shares,
                   mean, at_context, 100 * use, load_seconds, jtag_seconds);
            if (place->clock.mhz > 0) {
                printf(" %9.0f", per_second);
            }
            printf("\n");
        }
    } else if (!options->json) {
        printf("%-18s", label);
        print_short(needs, count, &error);
    }
    if (!fits) {
        (void)json_object_set_new(row, "reason", json_string(error.text));
        if (place->board != NULL) {
            add_reason(work, options, place, load, need_of(needs, count, "weights"), row);
        }
    }
    if (fits && options->ledger && !options->json) {
        print_ledger(&ledger);
    }
    tp_forecast_destroy(forecast);
    (void)json_array_append_new(rows, row);
    return EXIT_OK;
}

// The formats that make sense: all with 4 bits cost the same.
static const struct {
    tp_format format;
    const char *label;
} shown[] = {{TP_FORMAT_Q8, "q8"},
             {TP_FORMAT_FP4, "fp4, nf4, int4"},
             {TP_FORMAT_FP4_ALL, "fp4-all, nf4-all"}};
enum { SHOWN = sizeof shown / sizeof *shown };

// Which of them, or the one that was asked for. False: there are no more.
static bool take_format(const struct work *work, const struct options *options, size_t index,
                        tp_format *format, const char **label)
{
    if (work->model_info.quantised || options->format_given) {
        *format = options->format;
        *label = format_label(work, options);
        return index == 0;
    }
    if (index < SHOWN) {
        *format = shown[index].format;
        *label = shown[index].label;
    }
    return index < SHOWN;
}

// ---- a board that no core of ours fits ----

struct capacity {
    const char *what;
    uint64_t need;
    uint64_t have;
};

static int plan_capacity(const struct work *work, const struct options *options,
                         const struct place *place, const struct tp_load_options *load,
                         const char *label, json_t *rows)
{
    const struct tp_board_info *board = place->board;
    struct tp_device_info one[CONFIGURATIONS_MAX];
    struct tp_need needs[NEEDS_MAX];
    struct tp_error error = {.status = TP_OK};
    size_t count = 0;
    (void)tp_configuration_list(one, CONFIGURATIONS_MAX);
    one[0].groups = 1;
    if (tp_model_get_needs(work->model, &one[0], load, needs, NEEDS_MAX, &count, &error) != TP_OK) {
        return failed(&error);
    }
    uint64_t beats = need_of(needs, count, "weights");
    uint64_t kv_rows = need_of(needs, count, "KV memory");
    uint64_t rams = BLOCK_RAMS_BESIDE + (beats + UNIT_ROWS - 1) / UNIT_ROWS * BLOCK_RAMS_OF_BEATS +
                    (kv_rows + UNIT_ROWS - 1) / UNIT_ROWS * BLOCK_RAMS_OF_ROWS;
    const struct capacity capacities[] = {
        {"multipliers", MULTIPLIERS_BESIDE + LANES_OF_GROUP, board->multipliers},
        {"LUTs", LUTS_BESIDE + LUTS_OF_GROUP, board->luts},
        {"block RAMs", rams, board->block_rams},
    };
    json_t *list = json_array();
    const char *between = " no   ";
    if (!options->json) {
        printf("%-18s", label);
    }
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        const struct capacity *c = &capacities[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:b}", "what", c->what, "need", (json_int_t)c->need,
                            "have", (json_int_t)c->have, "fits", c->need <= c->have));
        if (c->need > c->have && !options->json) {
            printf("%s%s: %" PRIu64 " of %" PRIu64, between, c->what, c->need, c->have);
            between = "; ";
        }
    }
    if (!options->json) {
        printf("\n");
    }
    (void)json_array_append_new(
        rows, json_pack("{s:s, s:b, s:o}", "format", label, "fits", 0, "needs", list));
    return EXIT_OK;
}

// Weights that the block RAMs beside the fixed ones and one unit of KV memory would hold.
static uint32_t weights_that_fit(const struct tp_board_info *board)
{
    uint32_t fixed = BLOCK_RAMS_BESIDE + BLOCK_RAMS_OF_ROWS;
    uint32_t units =
        board->block_rams < fixed ? 0 : (board->block_rams - fixed) / BLOCK_RAMS_OF_BEATS;
    return units * UNIT_ROWS * LANES_OF_GROUP;
}

// ---- places ----

static void print_head(const struct place *place)
{
    if (place->board != NULL) {
        printf("\n%s: %s, %s\n", place->board->name, place->board->text, place->board->part);
    } else {
        printf("\n%s: %s\n", place->device->name, place->device->text);
    }
    if (place->device == NULL) {
        uint32_t weights = weights_that_fit(place->board);
        printf("no core fits: the smallest, of one group of %d lanes, takes %d multipliers and at "
               "least "
               "%d LUTs;\nby its block RAMs the board could hold models of %" PRIu32
               " weights in 4 bits, %" PRIu32 " in 8 bits, beside %d KV rows\n",
               LANES_OF_GROUP, MULTIPLIERS_BESIDE + LANES_OF_GROUP, LUTS_BESIDE + LUTS_OF_GROUP,
               weights, weights / 2, UNIT_ROWS);
        return;
    }
    if (place->board != NULL) {
        printf("configuration %s, %.1f MHz (%s)\n", place->device->name, place->clock.mhz,
               place->clock.origin);
    }
    printf("%-18s fits %16s %8s %9s %9s %9s %8s %8s %8s%s\n", "format", "weight beats", "context",
           "sessions", "cycles", "last", "use", has_usb(place) ? "USB load" : "serial", "JTAG",
           place->board != NULL ? "  tokens/s" : "");
}

static int plan_place(const struct work *work, const struct options *options,
                      const struct place *place, json_t *list)
{
    json_t *rows = json_array();
    int status = EXIT_OK;
    if (!options->json) {
        print_head(place);
    }
    tp_format format;
    const char *label;
    for (size_t i = 0; status == EXIT_OK && take_format(work, options, i, &format, &label); i++) {
        const struct tp_load_options load = {
            .format = format, .context = options->context, .sessions = options->sessions};
        status = (place->device != NULL ? plan_format : plan_capacity)(work, options, place, &load,
                                                                       label, rows);
    }
    json_t *object = json_pack("{s:o}", "formats", rows);
    if (place->board != NULL) {
        (void)json_object_set_new(object, "board", json_string(place->board->name));
        (void)json_object_set_new(object, "part", json_string(place->board->part));
    }
    if (place->device != NULL) {
        (void)json_object_set_new(object, "configuration", json_string(place->device->name));
    } else {
        uint32_t weights = weights_that_fit(place->board);
        (void)json_object_set_new(object, "weights_4_bit_max", json_integer(weights));
        (void)json_object_set_new(object, "weights_8_bit_max", json_integer(weights / 2));
    }
    if (place->board != NULL && place->device != NULL) {
        (void)json_object_set_new(object, "clock_mhz", json_real(place->clock.mhz));
        (void)json_object_set_new(object, "clock_from", json_string(place->clock.origin));
    }
    (void)json_array_append_new(list, object);
    return status;
}

static int plan_boards(const struct work *work, const struct options *options, json_t *list)
{
    struct tp_board_info boards[BOARDS_MAX];
    struct tp_device_info devices[CONFIGURATIONS_MAX];
    size_t count = tp_board_list(boards, BOARDS_MAX);
    size_t device_count = tp_configuration_list(devices, CONFIGURATIONS_MAX);
    int status = EXIT_OK;
    for (size_t i = 0; i < count && i < BOARDS_MAX && status == EXIT_OK; i++) {
        struct place place = {.board = &boards[i]};
        if (options->board != NULL && strcmp(boards[i].name, options->board) != 0) {
            continue;
        }
        for (size_t d = 0; d < device_count && d < CONFIGURATIONS_MAX; d++) {
            if (strcmp(devices[d].name, boards[i].configuration) == 0) {
                place.device = &devices[d];
            }
        }
        board_clock(&boards[i], options, &place.clock);
        status = plan_place(work, options, &place, list);
    }
    return status;
}

static int plan_configuration(const struct work *work, const struct options *options, json_t *list)
{
    struct tp_device_info devices[CONFIGURATIONS_MAX];
    size_t count = tp_configuration_list(devices, CONFIGURATIONS_MAX);
    for (size_t d = 0; d < count && d < CONFIGURATIONS_MAX; d++) {
        if (strcmp(devices[d].name, options->config) == 0) {
            const struct place place = {.device = &devices[d]};
            return plan_place(work, options, &place, list);
        }
    }
    fprintf(stderr, "tokproc: no configuration is called '%s' - try: tokproc devices\n",
            options->config);
    return EXIT_USAGE;
}

int verb_plan(const struct options *options)
{
    struct work work;
    struct tp_board_info board;
    if (options->board != NULL && options->config != NULL) {
        fprintf(stderr, "tokproc: --board has its configuration - try: without --config\n");
        return EXIT_USAGE;
    }
    if (options->board != NULL && !find_board(options->board, &board)) {
        return EXIT_USAGE;
    }
    int status = work_open_model(&work, options);
    json_t *list = json_array();
    if (status == EXIT_OK) {
        const struct tp_model_info *m = &work.model_info;
        if (!options->json) {
            printf("%s: %" PRIu64 " parameters, %" PRIu32 " layers, context %" PRIu32 "\n", m->name,
                   m->parameters, m->layers, m->context);
        }
        status = options->config != NULL ? plan_configuration(&work, options, list)
                                         : plan_boards(&work, options, list);
    }
    if (status == EXIT_OK && !options->json) {
        printf(
            "\ncycles: per token, mean of the first %d positions of one session, greedy; last: "
            "at the end "
            "of the context;\nsessions: when all slots have one; use: of the multipliers; JTAG: a "
            "partial bitstream of it at %d MHz;\nall computed, nothing was run\n",
            MEAN_POSITIONS, JTAG_HZ / 1000000);
    }
    if (status == EXIT_OK && options->json) {
        status =
            print_json(json_pack("{s:s, s:I, s:O}", "model", work.model_info.name, "parameters",
                                 (json_int_t)work.model_info.parameters, "places", list));
    }
    json_decref(list);
    work_close(&work);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// tokproc doctor: step by step from the cable to the first token.

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "boards.h"
#include "programmer.h"
#include "verbs.h"

static const char shipped_model[] = "models/tokproc-stories.bin";
static const char prompt[] = "Once upon a time";

enum { POLL_MS = 100, TEXT_BYTES = 2 * SHIPPED_BYTES };

enum step {
    STEP_LOADER,
    STEP_CABLE,
    STEP_FPGA,
    STEP_BITSTREAM,
    STEP_DEVICE,
    STEP_MODEL,
    STEP_TOKEN,
    STEPS
};

static const char *const step_names[STEPS] = {"loader", "cable", "FPGA", "bitstream",
                                              "device", "model", "token"};

enum state { STATE_UNTRIED, STATE_OK, STATE_FAILED };

static const char *const state_names[] = {"not tried", "ok", "FAILS"};

struct doctor {
    const struct options *options;
    enum state states[STEPS];
    char texts[STEPS][TEXT_BYTES];
    struct cable cable;
    struct tp_board_info board;
    bool has_board;
    struct programmer_run run;
    tp_context *context;
    tp_model *model;
    tp_model *quantised;          // what is loaded
    struct tp_error model_error;  // why it could not be opened
    char model_path[SHIPPED_BYTES];
    tp_device *device;
    tp_device *emulator;
    struct tp_device_info info;
    char device_name[TP_DEVICE_NAME_BYTES];
};

// Notes what became of a step; on a terminal and in files it is seen as it happens.
__attribute__((format(printf, 4, 5))) static void note(struct doctor *d, enum step step,
                                                       enum state state, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(d->texts[step], sizeof d->texts[step], format, list);
    va_end(list);
    d->states[step] = state;
    if (!d->options->json) {
        printf("%d %-10s %-10s %s\n", (int)step + 1, step_names[step], state_names[state],
               d->texts[step]);
        (void)fflush(stdout);
    }
}

// ---- the cable and what is behind it ----

static void check_loader(struct doctor *d)
{
    char version[TP_NAME_BYTES];
    if (programmer_find(version, &d->run)) {
        note(d, STEP_LOADER, STATE_OK, "%s", version);
    } else {
        note(d, STEP_LOADER, STATE_FAILED, "%s", d->run.text);
    }
}

static void check_cable(struct doctor *d)
{
    char text[PROGRAMMER_TEXT_BYTES];
    if (cable_choose(d->options, &d->cable, text, sizeof text)) {
        note(d, STEP_CABLE, STATE_OK, "%s (%s), %s", d->cable.serial, d->cable.product,
             d->cable.place);
    } else {
        note(d, STEP_CABLE, STATE_FAILED, "%s", text);
    }
}

static void check_fpga(struct doctor *d)
{
    uint32_t idcode = 0;
    if (d->states[STEP_LOADER] != STATE_OK || d->states[STEP_CABLE] != STATE_OK) {
        note(d, STEP_FPGA, STATE_UNTRIED, "it needs loader and cable");
        return;
    }
    if (!programmer_detect(d->options, &d->cable, &idcode, &d->run)) {
        note(d, STEP_FPGA, STATE_FAILED, "%s", d->run.text);
        return;
    }
    d->has_board = board_of_idcode(idcode, &d->board);
    if (!d->has_board) {
        note(d, STEP_FPGA, STATE_FAILED, "IDCODE 0x%08" PRIx32 " is of no board here", idcode);
    } else if (d->options->board != NULL && strcmp(d->options->board, d->board.name) != 0) {
        note(d, STEP_FPGA, STATE_FAILED, "IDCODE 0x%08" PRIx32 ": it is %s - try: --board %s",
             idcode, d->board.text, d->board.name);
    } else {
        note(d, STEP_FPGA, STATE_OK, "IDCODE 0x%08" PRIx32 ", %s", idcode, d->board.text);
    }
}

static void check_bitstream(struct doctor *d)
{
    struct board_bits bits;
    struct tp_error error = {.status = TP_OK};
    const char *board = d->has_board ? d->board.name : d->options->board;
    if (board == NULL) {
        note(d, STEP_BITSTREAM, STATE_UNTRIED, "for which board? the FPGA tells, or --board");
    } else if (read_bits(d->options, board, &bits, &error) != TP_OK) {
        note(d, STEP_BITSTREAM, STATE_FAILED, "%s", error.text);
    } else {
        note(d, STEP_BITSTREAM, STATE_OK, "%s, %.2f MHz reached, build %08" PRIx32 "%s%s",
             bits.path, bits.info.clock_achieved_mhz, bits.info.build,
             bits.stale[0] != 0 ? "; note: " : "", bits.stale);
    }
}

// ---- the device ----

// The name of the configuration that has these limits; "" for none.
static void name_configuration(const struct tp_device_info *info, char name[TP_NAME_BYTES])
{
    struct tp_device_info known[64];
    size_t count = tp_configuration_list(known, sizeof known / sizeof *known);
    name[0] = 0;
    for (size_t i = 0; i < count && i < sizeof known / sizeof *known && name[0] == 0; i++) {
        const struct tp_device_info *k = &known[i];
        if (k->groups == info->groups && k->slots == info->slots &&
            k->weight_beats == info->weight_beats && k->kv_rows == info->kv_rows &&
            k->positions_max == info->positions_max && k->top_k == info->top_k &&
            k->attention_lanes == info->attention_lanes) {
            memcpy(name, k->name, TP_NAME_BYTES);
        }
    }
}

// Whether the build is that of a bitstream here; 0 tells nothing.
static bool knows_build(const struct doctor *d, uint32_t build)
{
    struct tp_board_info boards[BOARDS_MAX];
    struct board_bits bits;
    struct tp_error error;
    size_t count = tp_board_list(boards, BOARDS_MAX);
    bool known = build == 0;
    for (size_t i = 0; i < count && i < BOARDS_MAX && !known; i++) {
        known = read_bits(d->options, boards[i].name, &bits, &error) == TP_OK &&
                bits.info.build == build;
    }
    return known;
}

// The first format, from more bits to fewer, in which the model fits the device.
static tp_status choose_format(const struct doctor *d, const struct tp_device_info *info,
                               struct tp_load_options *load, struct tp_error *error)
{
    static const tp_format formats[] = {TP_FORMAT_Q8, TP_FORMAT_NF4, TP_FORMAT_NF4_ALL};
    size_t first = 0;
    tp_status status = TP_OK;
    do {
        load->format = d->options->format_given ? d->options->format : formats[first];
        status = tp_model_check(d->model, info, load, error);
    } while (status != TP_OK && ++first < sizeof formats / sizeof *formats);
    return status;
}

// "sim" is the first simulated device that holds the model.
static void name_simulated(struct doctor *d)
{
    struct tp_device_info infos[64];
    struct tp_load_options load = {.sessions = 1};
    struct tp_error error;
    size_t count = 0;
    if (d->model == NULL || tp_device_list(d->context, infos, 64, &count, &error) != TP_OK) {
        return;
    }
    for (size_t i = 0; i < count && i < 64; i++) {
        if (strncmp(infos[i].name, "sim:", 4) == 0 &&
            choose_format(d, &infos[i], &load, &error) == TP_OK) {
            memcpy(d->device_name, infos[i].name, TP_DEVICE_NAME_BYTES);
            return;
        }
    }
}

static bool name_device(struct doctor *d)
{
    if (d->options->device_count != 0) {
        (void)snprintf(d->device_name, sizeof d->device_name, "%s", d->options->devices[0]);
        if (strcmp(d->device_name, "sim") == 0) {
            name_simulated(d);
        }
        return true;
    }
    return cable_find_device(d->states[STEP_CABLE] == STATE_OK ? &d->cable : NULL,
                             !d->has_board || d->board.has_usb, d->device_name);
}

static void check_device(struct doctor *d)
{
    struct tp_error error = {.status = TP_OK};
    char configuration[TP_NAME_BYTES];
    if (!name_device(d)) {
        note(d, STEP_DEVICE, STATE_FAILED,
             "neither USB (1209:0001) nor a serial port of the cable is there - try: tokproc "
             "flash, then the cables (docs/boards.md)");
        return;
    }
    if (tp_device_open(d->context, d->device_name, &d->device, &error) != TP_OK ||
        tp_device_get_info(d->device, &d->info) != TP_OK) {
        note(d, STEP_DEVICE, STATE_FAILED, "%s: %s", d->device_name, error.text);
        return;
    }
    name_configuration(&d->info, configuration);
    if (!knows_build(d, d->info.build)) {
        note(d, STEP_DEVICE, STATE_FAILED,
             "%s answers as build %08" PRIx32 ", which is of no bitstream here - try: tokproc "
             "flash",
             d->device_name, d->info.build);
        return;
    }
    note(d, STEP_DEVICE, STATE_OK,
         "%s: link version %" PRIu32 ", build %08" PRIx32 "%s, %s, %" PRIu32 " groups, %" PRIu32
         " slots",
         d->device_name, d->info.link_version, d->info.build,
         d->info.build == 0 ? " (not told)" : "",
         configuration[0] != 0 ? configuration : "no named configuration", d->info.groups,
         d->info.slots);
}

// ---- the model and the first token ----

static void open_model(struct doctor *d)
{
    char root[SHIPPED_BYTES];
    if (d->options->model != NULL) {
        (void)snprintf(d->model_path, sizeof d->model_path, "%s", d->options->model);
    } else if (!find_shipped(shipped_model, d->model_path, root)) {
        (void)snprintf(d->model_path, sizeof d->model_path, "%s", shipped_model);
    }
    const struct tp_model_options options = {.path = d->model_path};
    if (tp_model_open(d->context, &options, &d->model, &d->model_error) != TP_OK) {
        d->model = NULL;
    }
}

// Quantised once, for the device and the emulator.
static tp_status load_model(struct doctor *d, struct tp_load_options *load, struct tp_error *error)
{
    tp_status status = choose_format(d, &d->info, load, error);
    const struct tp_quantise_options options = {
        .format = load->format, .calibrate_path = d->options->calibrate, .plain = true};
    if (status == TP_OK) {
        status = tp_model_quantise(d->model, &options, &d->quantised, error);
    }
    return status == TP_OK ? tp_device_load(d->device, d->quantised, load, error) : status;
}

static void check_model(struct doctor *d, struct tp_load_options *load)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_verify_report report = {.words = 0};
    char verified[TP_NAME_BYTES] = "";
    if (d->model == NULL) {
        note(d, STEP_MODEL, STATE_FAILED, "%s", d->model_error.text);
    } else if (d->states[STEP_DEVICE] != STATE_OK) {
        note(d, STEP_MODEL, STATE_UNTRIED, "it needs the device");
    } else if (load_model(d, load, &error) != TP_OK) {
        note(d, STEP_MODEL, STATE_FAILED, "%s", error.text);
    } else if (d->info.read_back != 0 && tp_device_verify(d->device, &report, &error) != TP_OK) {
        note(d, STEP_MODEL, STATE_FAILED, "%s", error.text);
    } else {
        if (d->info.read_back != 0) {
            (void)snprintf(verified, sizeof verified,
                           ", and the device's sums of %" PRIu64 " words are right", report.words);
        }
        note(d, STEP_MODEL, STATE_OK, "%s in %s is loaded%s", d->model_path,
             tp_format_name(load->format), verified);
    }
}

// The token after the prompt, greedy.
static tp_status first_token(tp_device *device, struct tp_token *token, char *text, size_t size,
                             struct tp_error *error)
{
    tp_session *session = NULL;
    tp_status status = tp_session_create(device, NULL, &session, error);
    if (status == TP_OK) {
        status = tp_session_feed_text(session, prompt, error);
    }
    if (status == TP_OK) {
        status = tp_session_generate(session, 1, error);
    }
    if (status == TP_OK) {
        do {
            status = tp_session_read(session, token, POLL_MS, error);
        } while (status == TP_ERROR_TIMEOUT && !interrupted());
    }
    (void)snprintf(text, size, "%s", status == TP_OK ? token->text : "");
    tp_session_destroy(session);
    return status;
}

static tp_status emulate(struct doctor *d, const struct tp_load_options *load,
                         struct tp_token *token, char *text, size_t size, struct tp_error *error)
{
    tp_status status = tp_device_open(d->context, "emu", &d->emulator, error);
    if (status == TP_OK) {
        status = tp_device_load(d->emulator, d->quantised, load, error);
    }
    return status == TP_OK ? first_token(d->emulator, token, text, size, error) : status;
}

static void check_token(struct doctor *d, const struct tp_load_options *load)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_token token;
    struct tp_token right;
    char text[TP_NAME_BYTES];
    char right_text[TP_NAME_BYTES];
    if (d->states[STEP_MODEL] != STATE_OK) {
        note(d, STEP_TOKEN, STATE_UNTRIED, "it needs the model");
    } else if (first_token(d->device, &token, text, sizeof text, &error) != TP_OK ||
               emulate(d, load, &right, right_text, sizeof right_text, &error) != TP_OK) {
        note(d, STEP_TOKEN, STATE_FAILED, "%s", error.text);
    } else if (token.id != right.id) {
        note(d, STEP_TOKEN, STATE_FAILED,
             "\"%s\" is followed by \"%s\" (%" PRIu32 "), the emulator has \"%s\" (%" PRIu32
             ") - try: tokproc verify -d %s -d emu, and tell the project",
             prompt, text, token.id, right_text, right.id, d->device_name);
    } else {
        note(d, STEP_TOKEN, STATE_OK,
             "\"%s\" is followed by \"%s\" (%" PRIu32 "), as on the emulator", prompt, text,
             token.id);
    }
}

// ---- all ----

static json_t *describe(const struct doctor *d, enum step first)
{
    json_t *steps = json_array();
    for (int i = (int)first; i < STEPS; i++) {
        (void)json_array_append_new(
            steps, json_pack("{s:i, s:s, s:s, s:s}", "step", i + 1, "name", step_names[i], "state",
                             state_names[d->states[i]], "text", d->texts[i]));
    }
    return steps;
}

static int conclude(const struct doctor *d, enum step first)
{
    int status = EXIT_OK;
    for (int i = (int)first; i < STEPS; i++) {
        status = d->states[i] != STATE_OK ? EXIT_FAILED : status;
    }
    status = interrupted() ? EXIT_INTERRUPTED : status;
    if (d->options->json) {
        int written = print_json(
            json_pack("{s:b, s:o}", "ok", (int)(status == EXIT_OK), "steps", describe(d, first)));
        status = written != EXIT_OK ? written : status;
    }
    return status;
}

int verb_doctor(const struct options *options)
{
    struct doctor d = {.options = options};
    struct tp_error error = {.status = TP_OK};
    struct tp_board_info board;
    const struct tp_context_options context_options = {.device_folder = options->device_folder};
    struct tp_load_options load = {.sessions = 1};
    enum step first = options->device_count != 0 ? STEP_DEVICE : STEP_LOADER;
    if (options->board != NULL && !find_board(options->board, &board)) {
        return EXIT_USAGE;
    }
    if (tp_context_create(&context_options, &d.context, &error) != TP_OK) {
        return failed(&error);
    }
    if (first == STEP_LOADER) {
        check_loader(&d);
        check_cable(&d);
        check_fpga(&d);
        check_bitstream(&d);
    }
    open_model(&d);
    check_device(&d);
    check_model(&d, &load);
    check_token(&d, &load);
    tp_device_close(d.emulator);
    tp_device_close(d.device);
    tp_model_close(d.quantised);
    tp_model_close(d.model);
    tp_context_destroy(d.context);
    return conclude(&d, first);
}

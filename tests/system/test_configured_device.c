// SPDX-License-Identifier: Apache-2.0
//
// Claims about the configuration port of the simulated RTL: a device that boots from a bitstream
// with a model in it brings the tokens of the emulator that was loaded over the link, with the
// predicted cycles; a partial bitstream in the middle of a run brings those of the new model from
// there on; one that is refused changes nothing.
//
// With a made design of the configuration "small". Skipped where build/sim/small.so is not there.
// Not covered: every refusal (tests/host/test_configuration_port.c), frames, which are not
// simulated.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check_main.h"
#include "internal.h"
#include "made_design.h"
#include "made_model.h"
#include "tokproc.h"

enum { IDCODE = 0x41111043, VOCAB = 62, CONTEXT = 32, PROMPT = 4, TOKENS = 24, PATH_BYTES = 64 };

static const char *const names[] = {"bits", "map", "full", "partial"};
enum file { BITS, MAP, FULL, PARTIAL, FILES };
static char paths[FILES][PATH_BYTES];
static const uint32_t prompt[PROMPT] = {1, 40, 50, 7};
static const struct tp_load_options load = {.format = TP_FORMAT_NF4};
static tp_context *context;
static tp_model *models[2];
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static void set_up(void)
{
    static const struct tp_test_model shapes[] = {{32, 64, 1, 2, 1, VOCAB, CONTEXT, false, 3},
                                                  {64, 32, 1, 4, 1, VOCAB, CONTEXT, false, 4}};
    char folder[1024];
    const char *build = getenv("TP_BUILD");
    (void)snprintf(folder, sizeof folder, "%s/sim", build != NULL ? build : "build");
    const struct tp_context_options options = {.device_folder = folder};
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(paths[i], PATH_BYTES, "/tmp/tp_configured_%d_%s", getpid(), names[i]);
    }
    tp_test_make_design("small", IDCODE, 1, paths[BITS], paths[MAP]);
    OK(tp_context_create(&options, &context, &error));
    for (int i = 0; i < 2; i++) {
        const struct tp_quantise_options quantise = {.format = TP_FORMAT_NF4, .plain = true};
        tp_model *exact = NULL;
        tp_test_open_made_model(context, &shapes[i], true, &exact);
        OK(tp_model_quantise(exact, &quantise, &models[i], &error));
        tp_model_close(exact);
    }
}

static void tear_down(void)
{
    for (int i = 0; i < 2; i++) tp_model_close(models[i]);
    tp_context_destroy(context);
    for (int i = 0; i < FILES; i++) (void)unlink(paths[i]);
}

static void pack(tp_model *model, enum file bits, enum file output)
{
    const struct tp_pack_options options = {
        .map = paths[MAP], .bits = bits != FILES ? paths[bits] : NULL, .output = paths[output]};
    struct tp_pack_report report;
    tp_device *emulator = NULL;
    OK(tp_device_open(context, "emu:small", &emulator, &error));
    OK(tp_device_load(emulator, model, &load, &error));
    OK(tp_device_pack(emulator, &options, &report, &error));
    tp_device_close(emulator);
}

static tp_session *begin(tp_device *device, const uint32_t *tokens, uint32_t known)
{
    const struct tp_session_options settings = {.temperature = 1.0f, .seed = 9, .ignore_eos = true};
    tp_session *session = NULL;
    OK(tp_session_create(device, &settings, &session, &error));
    OK(tp_session_feed(session, prompt, PROMPT, &error));
    OK(tp_session_feed(session, tokens, known, &error));
    OK(tp_session_generate(session, TOKENS - known, &error));
    return session;
}

static void finish(tp_session *session, uint32_t *tokens, uint32_t from)
{
    for (uint32_t i = from; i <= TOKENS; i++) {
        struct tp_token token;
        OK(tp_session_read(session, &token, -1, &error));
        ck_assert_int_eq(token.end, i == TOKENS ? TP_END_LIMIT : TP_END_NONE);
        if (i < TOKENS) tokens[i] = token.id;
    }
    tp_session_destroy(session);
}

// What the emulator says, loaded over the link, behind the first `known` of the tokens.
static void refer(tp_model *model, uint32_t *tokens, uint32_t known)
{
    tp_device *emulator = NULL;
    OK(tp_device_open(context, "emu:small", &emulator, &error));
    OK(tp_device_load(emulator, model, &load, &error));
    finish(begin(emulator, tokens, known), tokens, known);
    tp_device_close(emulator);
}

// A device that booted with model 0, and what no block RAM holds.
static tp_device *open_device(void)
{
    const struct tp_boot_options boot = {.bits = paths[FULL], .map = paths[MAP]};
    const struct tp_reconfigure_options options = {
        .load = load, .by_bitstream = true, .from = paths[FULL]};
    struct tp_reconfigure_report report;
    tp_device *device = NULL;
    if (tp_device_open(context, "sim:small", &device, &error) == TP_ERROR_NOT_FOUND) {
        tp_test_skip("build/sim/small.so is not there: run make build");
        return NULL;
    }
    OK(error.status);
    pack(models[0], BITS, FULL);
    OK(tp_device_boot(device, &boot, NULL, &error));
    OK(tp_device_reconfigure(device, models[0], &options, &report, &error));
    ck_assert_uint_eq(report.bytes, 0);
    return device;
}

START_TEST(a_booted_device_brings_the_tokens_of_a_loaded_one)
{
    uint32_t expected[TOKENS];
    uint32_t heard[TOKENS];
    tp_device *device = open_device();
    if (device == NULL) return;
    refer(models[0], expected, 0);
    finish(begin(device, NULL, 0), heard, 0);
    ck_assert_mem_eq(heard, expected, sizeof heard);
    tp_device_close(device);
}
END_TEST

// In the device's thread: at a token, waits until the change has begun.
enum { CHANGE_AT = 5 };
struct heard {
    tp_device *device;
    uint32_t tokens[TOKENS];
    uint32_t count;
    uint32_t old_count;  // that came before the change; some while CANCEL was on its way
    bool has_ended;
};

static void on_token(void *user, const struct tp_token *token)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct heard *heard = user;
    bool waits = token->end == TP_END_NONE && heard->count + 1 == CHANGE_AT;
    pthread_mutex_lock(&heard->device->mutex);
    if (token->end == TP_END_NONE) {
        heard->tokens[heard->count++] = token->id;
        heard->old_count += heard->device->model == models[0];
    }
    heard->has_ended = token->end != TP_END_NONE;
    while (waits && !heard->device->is_paused) {
        pthread_mutex_unlock(&heard->device->mutex);
        (void)nanosleep(&pause, NULL);
        pthread_mutex_lock(&heard->device->mutex);
    }
    pthread_mutex_unlock(&heard->device->mutex);
}

// Waits for a number of tokens, or with 0 for the end.
static void wait_for(struct heard *heard, uint32_t count)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    bool is_there = false;
    while (!is_there) {
        (void)nanosleep(&pause, NULL);
        pthread_mutex_lock(&heard->device->mutex);
        ck_assert_msg(heard->device->failure.status == TP_OK, "%s", heard->device->failure.text);
        is_there = heard->has_ended || (count != 0 && heard->count >= count);
        pthread_mutex_unlock(&heard->device->mutex);
    }
}

START_TEST(a_partial_bitstream_in_mid_run_brings_the_new_model)
{
    struct tp_reconfigure_options options = {.load = load, .by_bitstream = true};
    struct tp_reconfigure_report report;
    uint32_t expected[TOKENS];
    struct heard heard = {.device = open_device()};
    struct tp_session_options settings = {
        .temperature = 1.0f, .seed = 9, .ignore_eos = true, .on_token = on_token, .user = &heard};
    tp_session *session = NULL;
    if (heard.device == NULL) return;
    pack(models[1], FILES, PARTIAL);
    OK(tp_session_create(heard.device, &settings, &session, &error));
    OK(tp_session_feed(session, prompt, PROMPT, &error));
    OK(tp_session_generate(session, TOKENS, &error));
    wait_for(&heard, CHANGE_AT);
    // Refused before anything stands still.
    options.bits = paths[MAP];
    ck_assert_int_eq(tp_device_reconfigure(heard.device, models[1], &options, &report, &error),
                     TP_ERROR_FORMAT);
    ck_assert_str_eq(report.fault, "no-preamble");
    options.bits = _i == 0 ? paths[PARTIAL] : NULL;
    OK(tp_device_reconfigure(heard.device, models[1], &options, &report, &error));
    ck_assert_uint_gt(report.block_rams, 8);
    ck_assert_uint_eq(report.sessions_kept, 1);
    wait_for(&heard, 0);
    ck_assert_uint_eq(heard.count, TOKENS);
    ck_assert_uint_ge(heard.old_count, CHANGE_AT);
    ck_assert_uint_lt(heard.old_count, TOKENS);
    refer(models[0], expected, 0);
    ck_assert_mem_eq(heard.tokens, expected, heard.old_count * sizeof *expected);
    refer(models[1], expected, heard.old_count);
    ck_assert_mem_eq(heard.tokens, expected, sizeof expected);
    tp_session_destroy(session);
    tp_device_close(heard.device);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("configured_device");
    TCase *tc = tcase_create("configured_device");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 200);
    tcase_add_test(tc, a_booted_device_brings_the_tokens_of_a_loaded_one);
    tcase_add_loop_test(tc, a_partial_bitstream_in_mid_run_brings_the_new_model, 0, 2);
    suite_add_tcase(suite, tc);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about another model under running sessions (tp_device_reconfigure), on the emulator: over
// the link, by a bitstream that is made and by one from a file, for models of three shapes in three
// formats, what follows the change equals, token for token, a fresh load over the link with the
// same history; after each failure the sessions go on as if nothing had been; a session that the
// new model cannot go on with ends and says so; after many changes at random, tokens are always
// those of the model in force, also of more sessions than slots whose texts begin alike, and the
// pages are in order. A device boots from a bitstream with a model in it and then needs no words
// over the link but those that no block RAM holds.
//
// Planted: what no block RAM holds is not written behind a bitstream.
//
// With made designs of the configuration "small". TP_EVERY=1 makes 1,000 changes twice: under one
// session and under many. Not covered: the simulated RTL (tests/system/test_configured_device.c),
// what a board does.
//
// TP_TIME_LIMIT_S: 1800
// TP_LINK: -Wl,--wrap=tp_machine_write

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check_main.h"
#include "made_design.h"
#include "made_model.h"
#include "random.h"
#include "schedule.h"

enum { IDCODE = 0x41111043, VOCAB = 62, CONTEXT = 48, PROMPT = 5, TOKENS = 30, PATH_BYTES = 64 };
enum { CHANGE_AT = 9, LATE = 4 };  // tokens before it, and those while CANCEL is on its way
enum way { LINK, MADE, FROM_FILE, WAYS };

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static const char *const names[] = {"bits", "map", "full", "partial", "other_bits", "other_map"};
enum file { BITS, MAP, FULL, PARTIAL, OTHER_BITS, OTHER_MAP, FILES };
static char paths[FILES][PATH_BYTES];
static const uint32_t prompt[PROMPT] = {1, 40, 50, 60, 7};

static tp_context *context;
static tp_device *device;
static struct tp_error error;

// ---- models ----

enum { SHAPES = 3, FORMATS = 3, MODELS = SHAPES * FORMATS };
static const tp_format formats[FORMATS] = {TP_FORMAT_NF4, TP_FORMAT_Q8, TP_FORMAT_FP4_ALL};
static tp_model *models[MODELS];  // shape * FORMATS + format

static tp_model *make_model(const struct tp_test_model *made, tp_format format)
{
    const struct tp_quantise_options quantise = {.format = format, .plain = true};
    tp_model *exact = NULL;
    tp_model *model = NULL;
    tp_test_open_made_model(context, made, true, &exact);
    OK(tp_model_quantise(exact, &quantise, &model, &error));
    tp_model_close(exact);
    return model;
}

static void set_up(void)
{
    static const struct tp_test_model shapes[SHAPES] = {
        {32, 64, 1, 2, 1, VOCAB, CONTEXT, false, 3},
        {64, 32, 1, 4, 1, VOCAB, CONTEXT, false, 4},
        {32, 32, 2, 4, 2, VOCAB, CONTEXT, false, 5},
    };
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(paths[i], PATH_BYTES, "/tmp/tp_reconfigure_%d_%s", getpid(), names[i]);
    }
    tp_test_make_design("small", IDCODE, 1, paths[BITS], paths[MAP]);
    OK(tp_context_create(NULL, &context, &error));
    for (int i = 0; i < MODELS; i++) {
        models[i] = make_model(&shapes[i / FORMATS], formats[i % FORMATS]);
    }
}

static void tear_down(void)
{
    for (int i = 0; i < MODELS; i++) tp_model_close(models[i]);
    tp_context_destroy(context);
    for (int i = 0; i < FILES; i++) (void)unlink(paths[i]);
}

static void open_device(enum file bits)
{
    const struct tp_boot_options boot = {.bits = paths[bits], .map = paths[MAP]};
    OK(tp_device_open(context, "emu:small", &device, &error));
    OK(tp_device_boot(device, &boot, NULL, &error));
}

static const struct tp_load_options load = {.sessions = 2};

// The partial stream of a model, as `tokproc pack --partial` makes it.
static void pack(tp_model *model, enum file bits, enum file output)
{
    const struct tp_pack_options options = {
        .map = paths[MAP], .bits = bits != FILES ? paths[bits] : NULL, .output = paths[output]};
    struct tp_pack_report report;
    tp_device *other = NULL;
    OK(tp_device_open(context, "emu:small", &other, &error));
    OK(tp_device_load(other, model, &load, &error));
    OK(tp_device_pack(other, &options, &report, &error));
    tp_device_close(other);
}

static tp_status change(tp_model *model, enum way way, struct tp_reconfigure_report *report)
{
    const struct tp_reconfigure_options options = {.load = load,
                                                   .by_bitstream = way != LINK,
                                                   .bits =
                                                       way == FROM_FILE ? paths[PARTIAL] : NULL};
    return tp_device_reconfigure(device, model, &options, report, &error);
}

// ---- sessions ----

struct heard {
    tp_session *session;
    uint32_t tokens[CONTEXT + 1];
    const tp_model *models[CONTEXT + 1];  // that were in force when the tokens came
    uint32_t count;
    tp_end end;
    uint32_t wait_at;  // the callback of this token waits for the change; 0: of none
};

static void pause_ms(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    (void)nanosleep(&pause, NULL);
}

// In the device's thread. So a change comes soon behind this token.
static void wait_for_change(const struct heard *heard)
{
    bool is_paused = heard->count != heard->wait_at;
    while (!is_paused) {
        pthread_mutex_lock(&device->mutex);
        is_paused = device->is_paused;
        pthread_mutex_unlock(&device->mutex);
        if (!is_paused) pause_ms();
    }
}

static void on_token(void *user, const struct tp_token *token)
{
    struct heard *heard = user;
    pthread_mutex_lock(&device->mutex);
    if (token->end == TP_END_NONE) {
        heard->models[heard->count] = device->model;
        heard->tokens[heard->count++] = token->id;
    } else {
        heard->end = token->end;
    }
    pthread_mutex_unlock(&device->mutex);
    if (token->end == TP_END_NONE) wait_for_change(heard);
}

static struct tp_session_options settings(uint64_t seed)
{
    return (struct tp_session_options){
        .temperature = 1.0f, .seed = seed, .repetition_penalty = 1.2f, .ignore_eos = true};
}

static void begin(struct heard *heard, uint64_t seed, uint32_t wait_at)
{
    struct tp_session_options options = settings(seed);
    *heard = (struct heard){.wait_at = wait_at};
    options.on_token = on_token;
    options.user = heard;
    OK(tp_session_create(device, &options, &heard->session, &error));
    OK(tp_session_feed(heard->session, prompt, PROMPT, &error));
    OK(tp_session_generate(heard->session, TOKENS, &error));
    uint32_t count = 0;
    while (count < wait_at) {
        pthread_mutex_lock(&device->mutex);
        count = heard->count;
        pthread_mutex_unlock(&device->mutex);
        if (count < wait_at) pause_ms();
    }
}

static void wait_end(struct heard *heard)
{
    tp_end end = TP_END_NONE;
    while (end == TP_END_NONE) {
        pthread_mutex_lock(&device->mutex);
        end = heard->end;
        ck_assert_msg(device->failure.status == TP_OK, "%s", device->failure.text);
        pthread_mutex_unlock(&device->mutex);
        if (end == TP_END_NONE) pause_ms();
    }
}

// What a device that was loaded over the link says behind the prompt and the first `known` tokens.
static void expect(tp_model *model, uint64_t seed, const uint32_t *tokens, uint32_t known,
                   uint32_t count)
{
    struct tp_session_options options = settings(seed);
    tp_device *fresh = NULL;
    tp_session *session = NULL;
    struct tp_token token = {.end = TP_END_NONE};
    OK(tp_device_open(context, "emu:small", &fresh, &error));
    OK(tp_device_load(fresh, model, &load, &error));
    OK(tp_session_create(fresh, &options, &session, &error));
    OK(tp_session_feed(session, prompt, PROMPT, &error));
    OK(tp_session_feed(session, tokens, known, &error));
    OK(tp_session_generate(session, count - known, &error));
    for (uint32_t i = known; i < count; i++) {
        OK(tp_session_read(session, &token, -1, &error));
        ck_assert_int_eq(token.end, TP_END_NONE);
        ck_assert_msg(token.id == tokens[i], "token %u: %u, a fresh load gives %u", i, tokens[i],
                      token.id);
    }
    tp_session_destroy(session);
    tp_device_close(fresh);
}

// The same for each part of a run that was under one model. Returns the first token of the last
// model; 0: there was no other.
static uint32_t expect_all(const struct heard *heard, uint64_t seed)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i <= heard->count; i++) {
        if (i != heard->count && heard->models[i] == heard->models[first]) continue;
        for (int m = 0; m < MODELS; m++) {
            if (models[m] == heard->models[first]) expect(models[m], seed, heard->tokens, first, i);
        }
        first = i != heard->count ? i : first;
    }
    return first;
}

// ---- changes ----

START_TEST(tokens_behind_a_change_are_those_of_a_fresh_load)
{
    struct heard heard;
    struct tp_reconfigure_report report;
    tp_model *old = models[(_i / WAYS + 4) % MODELS];
    tp_model *new = models[_i / WAYS];
    enum way way = (enum way)(_i % WAYS);
    open_device(BITS);
    if (way == FROM_FILE) pack(new, FILES, PARTIAL);
    OK(tp_device_load(device, old, &load, &error));
    begin(&heard, 5, CHANGE_AT);
    OK(change(new, way, &report));
    ck_assert_str_eq(report.fault, "none");
    ck_assert_uint_eq(report.sessions_kept, 1);
    ck_assert_uint_eq(report.sessions_ended, 0);
    ck_assert_int_eq(report.bytes != 0, way != LINK);
    ck_assert_int_eq(report.block_rams != 0, way != LINK);
    ck_assert(!report.restored);
    wait_end(&heard);
    ck_assert_int_eq(heard.end, TP_END_LIMIT);
    ck_assert_uint_eq(heard.count, TOKENS);
    ck_assert_ptr_eq(heard.models[CHANGE_AT - 1], old);
    ck_assert_ptr_eq(heard.models[CHANGE_AT + LATE], new);
    ck_assert_uint_ge(expect_all(&heard, 5), CHANGE_AT);
    tp_session_destroy(heard.session);
    tp_device_close(device);
}
END_TEST

START_TEST(a_device_boots_with_a_model_and_takes_the_rest_over_the_link)
{
    struct heard heard;
    struct tp_reconfigure_report report;
    struct tp_reconfigure_options options = {
        .load = load, .by_bitstream = true, .from = paths[FULL]};
    pack(models[1], BITS, FULL);
    open_device(FULL);
    OK(tp_device_reconfigure(device, models[1], &options, &report, &error));
    ck_assert_uint_eq(report.bytes, 0);
    ck_assert_uint_gt(report.link_words, 10);
    ck_assert_uint_lt(report.link_words, 200);
    begin(&heard, 8, 0);
    wait_end(&heard);
    expect(models[1], 8, heard.tokens, 0, TOKENS);
    tp_session_destroy(heard.session);
    tp_device_close(device);
    // A bitstream without the model: what is missing comes as a partial one.
    open_device(BITS);
    options.from = paths[BITS];
    OK(tp_device_reconfigure(device, models[1], &options, &report, &error));
    ck_assert_uint_gt(report.block_rams, 8);
    begin(&heard, 8, 0);
    wait_end(&heard);
    expect(models[1], 8, heard.tokens, 0, TOKENS);
    tp_session_destroy(heard.session);
    tp_device_close(device);
}
END_TEST

START_TEST(a_session_between_runs_goes_on_under_the_new_model)
{
    struct heard heard;
    struct tp_reconfigure_report report;
    open_device(BITS);
    OK(tp_device_load(device, models[0], &load, &error));
    begin(&heard, 3, 0);
    wait_end(&heard);
    OK(change(models[4], MADE, &report));
    ck_assert_uint_eq(report.sessions_kept, 1);
    const uint32_t more = 33;
    OK(tp_session_feed(heard.session, &more, 1, &error));
    heard.end = TP_END_NONE;
    OK(tp_session_generate(heard.session, 6, &error));
    wait_end(&heard);
    ck_assert_uint_eq(heard.count, TOKENS + 6);
    memmove(heard.tokens + TOKENS + 1, heard.tokens + TOKENS, 6 * sizeof *heard.tokens);
    heard.tokens[TOKENS] = more;
    expect(models[4], 3, heard.tokens, TOKENS + 1, TOKENS + 7);
    tp_session_destroy(heard.session);
    tp_device_close(device);
}
END_TEST

START_TEST(a_session_that_the_new_model_cannot_go_on_with_ends)
{
    struct heard heard[2];
    struct tp_reconfigure_report report;
    const struct tp_test_model shapes[] = {
        {32, 64, 2, 2, 1, VOCAB + 6, CONTEXT, false, 6},  // other tokens
        {32, 64, 2, 2, 1, VOCAB, CONTEXT, false, 6},      // a context that is too short
    };
    const struct tp_load_options loads[] = {{.sessions = 2}, {.sessions = 2, .context = 8}};
    tp_model *other = make_model(&shapes[_i], TP_FORMAT_NF4);
    const struct tp_reconfigure_options options = {.load = loads[_i]};
    open_device(BITS);
    OK(tp_device_load(device, models[0], &load, &error));
    begin(&heard[0], 1, 0);
    wait_end(&heard[0]);
    begin(&heard[1], 2, CHANGE_AT);
    OK(tp_device_reconfigure(device, other, &options, &report, &error));
    wait_end(&heard[1]);
    ck_assert_int_eq(heard[1].end, TP_END_MODEL);
    ck_assert_str_eq(tp_end_name(heard[1].end), "model");
    ck_assert_uint_ge(heard[1].count, CHANGE_AT);
    ck_assert_uint_le(heard[1].count, CHANGE_AT + LATE);
    ck_assert_uint_eq(report.sessions_kept, 0);
    ck_assert_uint_eq(report.sessions_ended, 2);
    for (int i = 0; i < 2; i++) {
        tp_session *orphan = heard[i].session;
        const uint32_t more = 33;
        tp_session *fork = NULL;
        ck_assert_int_eq(tp_session_feed(orphan, &more, 1, &error), TP_ERROR_MISMATCH);
        ck_assert_int_eq(tp_session_generate(orphan, 1, &error), TP_ERROR_MISMATCH);
        ck_assert_int_eq(tp_session_rewind(orphan, 1, &error), TP_ERROR_MISMATCH);
        ck_assert_int_eq(tp_session_save(orphan, paths[FULL], &error), TP_ERROR_MISMATCH);
        ck_assert_int_eq(tp_session_fork(orphan, NULL, &fork, &error), TP_ERROR_MISMATCH);
        ck_assert_ptr_nonnull(strstr(error.text, "destroy it"));
    }
    // The first model again: it does not come back.
    OK(change(models[0], LINK, &report));
    ck_assert_uint_eq(report.sessions_ended, 2);
    ck_assert_int_eq(tp_session_generate(heard[0].session, 1, &error), TP_ERROR_MISMATCH);
    tp_session_destroy(heard[0].session);
    tp_session_destroy(heard[1].session);
    begin(&heard[0], 4, 0);
    wait_end(&heard[0]);
    tp_session_destroy(heard[0].session);
    tp_device_close(device);
    tp_model_close(other);
}
END_TEST

// ---- failures ----

// The emulator, with an answer to a WRITE turned into a refusal.
static struct {
    struct tp_frame_decoder decoder;
    int refuse_at;  // so many WRITE frames on; below 0: none
    uint8_t held[1 << 16];
    size_t count;
} faulty;

static tp_status faulty_exchange(void *state, const uint8_t *out, size_t out_count,
                                 size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count,
                                 struct tp_error *unused)
{
    uint8_t bytes[512];
    size_t got = 0;
    tp_status status = tp__backend_emulator.exchange(state, out, out_count, out_taken, bytes,
                                                     sizeof bytes, &got, unused);
    for (size_t i = 0; i < got; i++) {
        struct tp_frame frame;
        if (tp__frame_decode(&faulty.decoder, bytes[i], &frame)) {
            bool is_write = frame.type == TP_FRAME_ACK && frame.payload[0] == TP_FRAME_WRITE;
            if (is_write && faulty.refuse_at-- == 0) frame.payload[1] = TP_ACK_RANGE;
            ck_assert_uint_lt(faulty.count + TP_FRAME_BYTES_MAX, sizeof faulty.held);
            faulty.count += tp__frame_encode(&frame, faulty.held + faulty.count);
        }
    }
    *in_count = faulty.count < in_max ? faulty.count : in_max;
    memcpy(in, faulty.held, *in_count);
    faulty.count -= *in_count;
    memmove(faulty.held, faulty.held + *in_count, faulty.count);
    return status;
}

// Words that the memories take wrong.
static struct {
    uint32_t left;  // so many times
    uint32_t space;
    uint32_t address;
} damage;

bool __real_tp_machine_write(struct tp_machine *machine, uint32_t space, uint32_t address,
                             const uint32_t *words, size_t count);
bool __wrap_tp_machine_write(struct tp_machine *machine, uint32_t space, uint32_t address,
                             const uint32_t *words, size_t count);

bool __wrap_tp_machine_write(struct tp_machine *machine, uint32_t space, uint32_t address,
                             const uint32_t *words, size_t count)
{
    uint32_t taken[TP_WRITE_WORDS_MAX];
    if (damage.left == 0 || space != damage.space || count > TP_WRITE_WORDS_MAX) {
        return __real_tp_machine_write(machine, space, address, words, count);
    }
    uint32_t at = address;
    for (size_t i = 0; i < count; i++) {
        taken[i] = words[i];
        if (at == damage.address && damage.left != 0) {
            taken[i] ^= 0x00400000u;
            damage.left--;
        }
        at = tp_space_next(&device->limits, space, at);
    }
    return __real_tp_machine_write(machine, space, address, taken, count);
}

static void open_faulty(void)
{
    static struct tp_backend backend;
    const struct tp_boot_options boot = {.bits = paths[BITS], .map = paths[MAP]};
    memset(&faulty, 0, sizeof faulty);
    faulty.refuse_at = -1;
    backend = tp__backend_emulator;
    backend.exchange = faulty_exchange;
    OK(tp__device_open(context, &backend, "faulty:small", "small", &device, &error));
    OK(tp_device_boot(device, &boot, NULL, &error));
}

static tp_status fail_to_change(int how, struct tp_reconfigure_report *report)
{
    struct tp_reconfigure_options options = {.load = load, .by_bitstream = how != 0};
    tp_test_make_design("small", IDCODE, 2, paths[OTHER_BITS], paths[OTHER_MAP]);
    switch (how) {
    case 0:  // a word over the link is refused
        faulty.refuse_at = 12;
        break;
    case 1:  // the same behind a bitstream
        faulty.refuse_at = 0;
        break;
    case 5:  // a word that comes over the link is not kept
        options.by_bitstream = false;
        damage.space = TP_SPACE_WEIGHT;
        damage.address = 7 * 64 + 4;
        damage.left = 1;
        break;
    case 6:  // the same behind a bitstream
        damage.space = TP_SPACE_FREQUENCY;
        damage.address = 2;
        damage.left = 1;
        break;
    case 2:  // the device was booted with another design
        options.map = paths[OTHER_MAP];
        break;
    case 3:  // the file holds another model
        pack(models[2], FILES, PARTIAL);
        options.bits = paths[PARTIAL];
        break;
    default:  // the file is damaged
        options.bits = paths[MAP];
        break;
    }
    return tp_device_reconfigure(device, models[4], &options, report, &error);
}

START_TEST(after_a_failure_sessions_go_on_as_if_nothing_had_been)
{
    static const struct {
        tp_status status;
        const char *fault;
        const char *text;
        bool waits;  // the sessions stood still
        bool restored;
    } cases[] = {
        {TP_ERROR_DEVICE, "none", "refused", true, true},
        {TP_ERROR_DEVICE, "none", "refused", true, true},
        {TP_ERROR_MISMATCH, "other-base", "for the base", true, false},
        {TP_ERROR_MISMATCH, "none", "does not hold", false, false},
        {TP_ERROR_FORMAT, "no-preamble", "no preamble", false, false},
        {TP_ERROR_MISMATCH, "none", "word 452 of its memory 'weight'", true, true},
        {TP_ERROR_MISMATCH, "none", "word 2 of its memory 'frequency'", true, true},
    };
    struct heard heard;
    struct tp_reconfigure_report report;
    open_faulty();
    OK(tp_device_load(device, models[0], &load, &error));
    begin(&heard, 5, cases[_i].waits ? CHANGE_AT : 0);
    ck_assert_int_eq(fail_to_change(_i, &report), cases[_i].status);
    ck_assert_msg(strstr(error.text, cases[_i].text) != NULL, "%s", error.text);
    ck_assert_str_eq(report.fault, cases[_i].fault);
    ck_assert_int_eq(report.restored, cases[_i].restored);
    wait_end(&heard);
    ck_assert_int_eq(heard.end, TP_END_LIMIT);
    expect(models[0], 5, heard.tokens, 0, TOKENS);
    tp_session_destroy(heard.session);
    // And the next change works.
    begin(&heard, 6, CHANGE_AT);
    OK(change(models[4], MADE, &report));
    wait_end(&heard);
    ck_assert_uint_ge(expect_all(&heard, 6), CHANGE_AT);
    tp_session_destroy(heard.session);
    tp_device_close(device);
}
END_TEST

// The old model cannot be loaded again either.
START_TEST(a_memory_that_keeps_no_word_is_a_failure_of_the_device)
{
    struct heard heard;
    struct tp_reconfigure_report report;
    open_faulty();
    OK(tp_device_load(device, models[0], &load, &error));
    begin(&heard, 5, 0);
    wait_end(&heard);
    damage.space = TP_SPACE_WEIGHT;
    damage.address = 7 * 64 + 4;
    damage.left = UINT32_MAX;
    ck_assert_int_eq(change(models[4], LINK, &report), TP_ERROR_MISMATCH);
    damage.left = 0;
    ck_assert(!report.restored);
    ck_assert_int_eq(tp_session_generate(heard.session, 1, &error), TP_ERROR_DEVICE);
    ck_assert_ptr_nonnull(strstr(error.text, "neither the new model nor the old one"));
    tp_session_destroy(heard.session);
    tp_device_close(device);
}
END_TEST

START_TEST(what_cannot_be_asked_is_refused)
{
    struct tp_reconfigure_report report;
    struct tp_reconfigure_options options = {.load = load, .by_bitstream = true};
    const struct tp_boot_options boot = {.bits = paths[BITS], .map = paths[MAP]};
    OK(tp_device_open(context, "emu:small", &device, &error));
    ck_assert_int_eq(tp_device_reconfigure(device, models[0], &options, &report, &error),
                     TP_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "--boot"));
    ck_assert_int_eq(tp_device_reconfigure(device, models[0], NULL, &report, &error),
                     TP_ERROR_INVALID);
    ck_assert_int_eq(tp_device_boot(device, NULL, NULL, &error), TP_ERROR_INVALID);
    OK(tp_device_load(device, models[0], &load, &error));
    ck_assert_int_eq(tp_device_boot(device, &boot, NULL, &error), TP_ERROR_BUSY);
    tp_device_close(device);
    // Without a map nobody knows where the words go.
    open_device(BITS);
    options.bits = "/nowhere";
    ck_assert_int_eq(tp_device_reconfigure(device, models[0], &options, &report, &error),
                     TP_ERROR_IO);
    tp_device_close(device);
}
END_TEST

// ---- at random ----

static uint32_t changes(uint32_t sample)
{
    const char *every = getenv("TP_EVERY");
    return every != NULL && every[0] == '1' ? 1000 : sample;
}

START_TEST(after_any_changes_tokens_are_those_of_the_model_in_force)
{
    struct tp_random random;
    struct heard heard;
    struct tp_reconfigure_report report;
    int now = 0;
    tp_random_init(&random, tp_test_seed(_i), 0);
    open_device(BITS);
    OK(tp_device_load(device, models[now], &load, &error));
    for (uint32_t i = 0; i < changes(10); i++) {
        int next = (int)tp_random_below(&random, MODELS);
        uint32_t at = 1 + tp_random_below(&random, TOKENS - 1);
        enum way way = (enum way)tp_random_below(&random, WAYS);
        uint64_t seed = tp_random_u32(&random);
        if (way == FROM_FILE) pack(models[next], FILES, PARTIAL);
        begin(&heard, seed, at);
        OK(change(models[next], way, &report));
        wait_end(&heard);
        ck_assert_ptr_eq(heard.models[at - 1], models[now]);
        (void)expect_all(&heard, seed);
        tp_session_destroy(heard.session);
        now = next;
    }
    tp_device_close(device);
}
END_TEST

// ---- many sessions ----

enum { MANY = 7, BEGINNING = 20, PROMPT_MAX = 26 };

// A session, and all that is known of it. Written by the device's thread under the mutex.
struct told {
    tp_session *session;
    uint32_t tokens[CONTEXT + 1];
    const tp_model *models[CONTEXT + 1];  // that were in force when the tokens came; NULL: fed
    uint32_t length;
    bool is_running;
};

static struct told all[MANY];
static struct tp_machine *machines[MODELS];  // that know nothing but a history
static uint32_t compared;
static uint32_t changed;  // runs that had several models
static uint64_t shared;   // tokens that were found in pages

static void on_told(void *user, const struct tp_token *token)
{
    struct told *told = user;
    pthread_mutex_lock(&device->mutex);
    if (token->end == TP_END_NONE) {
        told->models[told->length] = device->model;
        told->tokens[told->length++] = token->id;
    }
    told->is_running = token->end == TP_END_NONE;
    pthread_mutex_unlock(&device->mutex);
}

static void make_machines(void)
{
    for (int m = 0; m < MODELS; m++) {
        tp_device *other = NULL;
        OK(tp_device_open(context, "emu:small", &other, &error));
        OK(tp_device_load(other, models[m], &load, &error));
        OK(tp__memory_image_machine(other->image, &machines[m], &error));
        tp_device_close(other);
    }
}

// The tokens that came under a model.
static void compare_with(const struct told *told, int m)
{
    const struct tp_sampling *sampling = &told->session->sampling;
    struct tp_recent recent = {.count = 0};
    int32_t logits[VOCAB];
    uint32_t last = told->length;
    while (last != 0 && told->models[last - 1] != models[m]) last--;
    for (uint32_t p = 0; p + 1 < last; p++) {
        bool samples = told->models[p + 1] == models[m];
        (void)tp_machine_step(machines[m], 0, p, told->tokens[p], samples ? logits : NULL);
        tp_recent_add(&recent, told->tokens[p]);
        if (!samples) continue;
        tp_penalise(sampling, &recent, logits, VOCAB);
        ck_assert_uint_eq(told->tokens[p + 1], tp_sample(sampling, p, logits, VOCAB));
        compared++;
    }
}

static void end_told(struct told *told)
{
    struct tp_session_statistics facts;
    const tp_model *first = NULL;
    bool has_two = false;
    tp_session_get_statistics(told->session, &facts);
    shared += facts.prefix_tokens;
    for (uint32_t i = 0; i < told->length; i++) {
        has_two = has_two || (first != NULL && told->models[i] != NULL && told->models[i] != first);
        first = told->models[i] != NULL ? told->models[i] : first;
    }
    changed += has_two;
    for (int m = 0; m < MODELS; m++) compare_with(told, m);
    tp_session_destroy(told->session);
    told->session = NULL;
}

static void create_told(struct told *told, struct tp_random *random)
{
    struct tp_session_options options = settings(tp_random_below(random, 3));
    options.repetition_penalty = tp_random_below(random, 2) == 0 ? 1.2f : 0.0f;
    options.fails_without_pages = tp_random_below(random, 5) == 0;
    options.on_token = on_told;
    options.user = told;
    *told = (struct told){.length = BEGINNING + tp_random_below(random, PROMPT_MAX - BEGINNING)};
    for (uint32_t i = 0; i < told->length; i++) {
        told->tokens[i] = i < BEGINNING ? (7 * i + 3) % VOCAB : tp_random_below(random, 3);
    }
    OK(tp_session_create(device, &options, &told->session, &error));
    OK(tp_session_feed(told->session, told->tokens, told->length, &error));
}

// Begins a run of a session that has none, now and then a new one.
static void stir(struct told *told, struct tp_random *random)
{
    pthread_mutex_lock(&device->mutex);
    bool is_running = told->is_running || (told->session != NULL && told->session->running);
    pthread_mutex_unlock(&device->mutex);
    if (is_running) return;
    bool is_full = told->session != NULL && told->length + 1 >= CONTEXT;
    if (told->session != NULL && (is_full || tp_random_below(random, 6) == 0)) end_told(told);
    if (told->session == NULL) create_told(told, random);
    told->is_running = true;
    tp_status status =
        tp_session_generate(told->session, 1 + tp_random_below(random, CONTEXT), &error);
    ck_assert_msg(status == TP_OK || status == TP_ERROR_FULL, "%s", error.text);
    // One that does not wait for pages goes on when there are some.
    if (status != TP_OK) told->is_running = false;
}

static uint32_t count_running(void)
{
    uint32_t count = 0;
    pthread_mutex_lock(&device->mutex);
    for (int i = 0; i < MANY; i++) count += all[i].is_running;
    const char *fault = tp__schedule_fault(device);
    ck_assert_msg(device->failure.status == TP_OK, "%s", device->failure.text);
    pthread_mutex_unlock(&device->mutex);
    ck_assert_msg(fault == NULL, "%s", fault);
    return count;
}

START_TEST(more_sessions_than_slots_have_the_tokens_of_the_model_in_force)
{
    struct tp_random random;
    struct tp_reconfigure_report report;
    tp_random_init(&random, tp_test_seed(_i), 0);
    make_machines();
    open_device(BITS);
    OK(tp_device_load(device, models[0], &load, &error));
    for (uint32_t i = 0; i < changes(60); i++) {
        int next = (int)tp_random_below(&random, MODELS);
        enum way way = (enum way)tp_random_below(&random, WAYS);
        uint32_t rest = tp_random_below(&random, MANY);
        if (way == FROM_FILE) pack(models[next], FILES, PARTIAL);
        for (int s = 0; s < MANY; s++) stir(&all[s], &random);
        while (count_running() > rest) pause_ms();
        OK(change(models[next], way, &report));
        ck_assert_uint_eq(report.sessions_kept, MANY);
        ck_assert_uint_eq(device->pages.count,
                          (device->image->plan.kv_stride + TP_PAGE - 1) / TP_PAGE);
    }
    while (count_running() != 0) pause_ms();
    for (int s = 0; s < MANY; s++) end_told(&all[s]);
    ck_assert_uint_eq(tp__pages_available(&device->pages), device->pages.count);
    printf("# %u tokens equal, %u sessions had several models, %llu tokens found in pages\n",
           compared, changed, (unsigned long long)shared);
    ck_assert_uint_gt(compared, 60);
    ck_assert_uint_gt(changed, 5);
    ck_assert_uint_gt(shared, TP_PAGE);
    tp_device_close(device);
    for (int m = 0; m < MODELS; m++) tp_machine_destroy(machines[m]);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("reconfigure");
    TCase *tc = tcase_create("reconfigure");
    tcase_add_unchecked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 1500);
    tcase_add_loop_test(tc, tokens_behind_a_change_are_those_of_a_fresh_load, 0, WAYS * MODELS);
    tcase_add_test(tc, a_device_boots_with_a_model_and_takes_the_rest_over_the_link);
    tcase_add_test(tc, a_session_between_runs_goes_on_under_the_new_model);
    tcase_add_loop_test(tc, a_session_that_the_new_model_cannot_go_on_with_ends, 0, 2);
    tcase_add_loop_test(tc, after_a_failure_sessions_go_on_as_if_nothing_had_been, 0, 7);
    tcase_add_test(tc, a_memory_that_keeps_no_word_is_a_failure_of_the_device);
    tcase_add_test(tc, what_cannot_be_asked_is_refused);
    tcase_add_loop_test(tc, after_any_changes_tokens_are_those_of_the_model_in_force, 0, 1);
    tcase_add_loop_test(tc, more_sessions_than_slots_have_the_tokens_of_the_model_in_force, 0, 1);
    suite_add_tcase(suite, tc);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about the library, on the emulator: tokens come by blocking read, by polling a descriptor
// and by callback, and are the same each way; a run in two parts gives what one run gives; sessions
// side by side give what each gives alone; stop tokens, stop strings, limit, context and cancel end
// a run as documented; text pieces join to the decoded text; after creation no call takes memory;
// every argument that is not allowed gives its error and leaves the session usable; log
// probabilities are those of the logits, and the penalty's memory lasts over several runs.
//
// A model of random weights that the test makes itself. Not covered: devices that fail (the
// emulator does not), the simulated RTL (tests/system).
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocation.h"
#include "check_main.h"
#include "made_model.h"
#include "tokproc.h"

enum { VOCAB = 300, CONTEXT = 64, TOKENS_MAX = 256, TEXT_MAX = 4096 };

// ---- a loaded device ----

static tp_context *context;
static tp_model *model;
static tp_device *device;
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static void setup(void)
{
    const struct tp_test_model made = {64, 96, 2, 8, 4, VOCAB, CONTEXT, false, 7};
    OK(tp_context_create(NULL, &context, &error));
    tp_test_open_made_model(context, &made, true, &model);
    OK(tp_device_open(context, "emu", &device, &error));
    const struct tp_load_options load = {.format = TP_FORMAT_Q8, .sessions = 4};
    OK(tp_device_load(device, model, &load, &error));
}

static void teardown(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
}

static const struct tp_session_options sampled = {
    .temperature = 1.0f, .seed = 5, .ignore_eos = true};
static const uint32_t prompt[] = {1, 40, 50, 60};

static tp_session *open_session(const struct tp_session_options *options)
{
    tp_session *session = NULL;
    OK(tp_session_create(device, options, &session, &error));
    OK(tp_session_feed(session, prompt, 4, &error));
    return session;
}

struct heard {
    uint32_t tokens[TOKENS_MAX];
    uint32_t count;
    char text[TEXT_MAX];
    tp_end end;
    atomic_bool ended;
};

static void hear(void *user, const struct tp_token *token)
{
    struct heard *heard = user;
    ck_assert_uint_lt(heard->count, TOKENS_MAX);
    strncat(heard->text, token->text, TEXT_MAX - 1 - strlen(heard->text));
    if (token->end == TP_END_NONE) {
        heard->tokens[heard->count++] = token->id;
    } else {
        heard->end = token->end;
        atomic_store(&heard->ended, true);
    }
}

static void read_all(tp_session *session, struct heard *heard)
{
    while (!atomic_load(&heard->ended)) {
        struct tp_token token;
        OK(tp_session_read(session, &token, -1, &error));
        hear(heard, &token);
    }
}

static void generate(tp_session *session, uint32_t count, struct heard *heard)
{
    memset(heard, 0, sizeof *heard);
    OK(tp_session_generate(session, count, &error));
    read_all(session, heard);
}

static void same(const struct heard *a, const struct heard *b)
{
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_mem_eq(a->tokens, b->tokens, a->count * sizeof *a->tokens);
    ck_assert_str_eq(a->text, b->text);
}

static struct heard reference;

static void make_reference(uint32_t count)
{
    tp_session *session = open_session(&sampled);
    generate(session, count, &reference);
    ck_assert_int_eq(reference.end, TP_END_LIMIT);
    ck_assert_uint_eq(reference.count, count);
    tp_session_destroy(session);
}

// ---- three ways to read ----

START_TEST(descriptor_is_readable_exactly_while_tokens_wait)
{
    make_reference(30);
    tp_session *session = open_session(&sampled);
    struct heard heard = {.count = 0};
    struct pollfd poller = {.fd = tp_session_descriptor(session), .events = POLLIN};
    ck_assert_int_ge(poller.fd, 0);
    ck_assert_int_eq(poll(&poller, 1, 0), 0);
    OK(tp_session_generate(session, 30, &error));
    while (!atomic_load(&heard.ended)) {
        ck_assert_int_eq(poll(&poller, 1, 20000), 1);
        struct tp_token token;
        tp_status status = tp_session_read(session, &token, 0, &error);
        if (status != TP_ERROR_TIMEOUT) {
            OK(status);
            hear(&heard, &token);
        }
    }
    ck_assert_int_eq(poll(&poller, 1, 0), 0);
    same(&heard, &reference);
    tp_session_destroy(session);
}
END_TEST

START_TEST(callback_hears_the_same_tokens)
{
    make_reference(30);
    struct heard heard = {.count = 0};
    struct tp_session_options options = sampled;
    options.on_token = hear;
    options.user = &heard;
    tp_session *session = open_session(&options);
    ck_assert_int_eq(tp_session_descriptor(session), -1);
    OK(tp_session_generate(session, 30, &error));
    while (!atomic_load(&heard.ended)) {
        (void)poll(NULL, 0, 1);
    }
    tp_session_destroy(session);
    same(&heard, &reference);
    ck_assert_int_eq(heard.end, TP_END_LIMIT);
}
END_TEST

START_TEST(two_runs_give_what_one_gives)
{
    make_reference(30);
    tp_session *session = open_session(&sampled);
    struct heard first;
    struct heard second;
    generate(session, 11, &first);
    generate(session, 19, &second);
    ck_assert_uint_eq(first.count, 11);
    ck_assert_uint_eq(second.count, 19);
    ck_assert_mem_eq(first.tokens, reference.tokens, 11 * sizeof(uint32_t));
    ck_assert_mem_eq(second.tokens, reference.tokens + 11, 19 * sizeof(uint32_t));
    tp_session_destroy(session);
}
END_TEST

START_TEST(company_does_not_change_a_session)
{
    make_reference(12);
    tp_session *sessions[4];
    for (uint32_t i = 0; i < 4; i++) {
        struct tp_session_options options = sampled;
        options.seed = i == 2 ? sampled.seed : 100 + i;
        sessions[i] = open_session(&options);
    }
    for (uint32_t i = 0; i < 4; i++) {
        OK(tp_session_generate(sessions[i], 12, &error));
    }
    bool differs = false;
    for (uint32_t i = 0; i < 4; i++) {
        struct heard heard = {.count = 0};
        read_all(sessions[i], &heard);
        if (i == 2) {
            same(&heard, &reference);
        }
        differs = differs || memcmp(heard.tokens, reference.tokens, sizeof heard.tokens) != 0;
    }
    ck_assert(differs);
    for (uint32_t i = 0; i < 4; i++) {
        tp_session_destroy(sessions[i]);
    }
}
END_TEST

// ---- ends ----

START_TEST(stop_token_ends_a_run_and_the_next_goes_on)
{
    make_reference(12);
    struct tp_session_options options = sampled;
    options.stop_tokens[0] = reference.tokens[5];
    options.stop_token_count = 1;
    uint32_t first = 0;
    while (reference.tokens[first] != reference.tokens[5]) {
        first++;
    }
    tp_session *session = open_session(&options);
    struct heard heard;
    generate(session, 12, &heard);
    ck_assert_int_eq(heard.end, TP_END_STOP);
    ck_assert_uint_eq(heard.count, first + 1);
    generate(session, 1, &heard);
    ck_assert_uint_eq(heard.tokens[0], reference.tokens[first + 1]);
    tp_session_destroy(session);
}
END_TEST

START_TEST(stop_string_ends_the_text_before_it_and_rewinds)
{
    make_reference(14);
    // Two characters from the middle of the text, wherever token borders lie.
    size_t length = strlen(reference.text);
    ck_assert_uint_gt(length, 8);
    size_t at = length / 2;
    while (at + 2 < length &&
           ((uint8_t)reference.text[at] >= 0x80 || (uint8_t)reference.text[at + 1] >= 0x80)) {
        at++;
    }
    char stop[3] = {reference.text[at], reference.text[at + 1], 0};
    struct tp_session_options options = sampled;
    options.stop_strings[0] = "never in a text";
    options.stop_strings[1] = stop;
    options.stop_string_count = 2;
    tp_session *session = open_session(&options);
    struct heard heard;
    generate(session, 14, &heard);
    ck_assert_int_eq(heard.end, TP_END_STOP_TEXT);
    const char *found = strstr(reference.text, stop);
    ck_assert_ptr_nonnull(found);
    ck_assert_uint_eq(strlen(heard.text), (size_t)(found - reference.text));
    ck_assert_int_eq(strncmp(heard.text, reference.text, strlen(heard.text)), 0);
    ck_assert_mem_eq(heard.tokens, reference.tokens, heard.count * sizeof(uint32_t));
    // The session goes on right behind the token that completed the string.
    uint32_t consumed = heard.count;
    if (consumed < 14) {
        generate(session, 1, &heard);
        ck_assert_uint_eq(heard.tokens[0], reference.tokens[consumed]);
    }
    tp_session_destroy(session);
}
END_TEST

START_TEST(context_ends_a_run_and_then_refuses)
{
    tp_session *session = open_session(&sampled);
    struct heard heard;
    generate(session, 1000, &heard);
    ck_assert_int_eq(heard.end, TP_END_CONTEXT);
    ck_assert_uint_eq(heard.count, CONTEXT - 4 + 1);
    ck_assert_int_eq(tp_session_generate(session, 1, &error), TP_ERROR_FULL);
    ck_assert_int_eq(tp_session_feed(session, prompt, 1, &error), TP_ERROR_FULL);
    tp_session_destroy(session);
}
END_TEST

START_TEST(cancel_ends_a_run)
{
    tp_session *session = open_session(&sampled);
    OK(tp_session_generate(session, 1000, &error));
    OK(tp_session_cancel(session, &error));
    struct heard heard = {.count = 0};
    read_all(session, &heard);
    ck_assert(heard.end == TP_END_CANCEL || heard.end == TP_END_CONTEXT);
    tp_session_destroy(session);
    // A session may be destroyed in the middle of a run.
    session = open_session(&sampled);
    OK(tp_session_generate(session, 1000, &error));
    tp_session_destroy(session);
}
END_TEST

START_TEST(stop_string_in_a_callback_does_not_wait_for_other_callers)
{
    make_reference(14);
    char stop[2] = {reference.text[strlen(reference.text) / 2], 0};
    if ((uint8_t)stop[0] >= 0x80) stop[0] = reference.text[0];
    // The device's thread cancels the run while this thread keeps the device busy with requests.
    for (int i = 0; i < 20; i++) {
        struct heard heard = {.count = 0};
        struct tp_session_options options = sampled;
        options.on_token = hear;
        options.user = &heard;
        options.stop_strings[0] = stop;
        options.stop_string_count = 1;
        tp_session *session = open_session(&options);
        OK(tp_session_generate(session, 14, &error));
        while (!atomic_load(&heard.ended)) {
            struct tp_device_statistics statistics;
            OK(tp_device_get_statistics(device, &statistics, &error));
        }
        tp_session_destroy(session);
        ck_assert_int_eq(heard.end, TP_END_STOP_TEXT);
    }
}
END_TEST

// ---- memory and arguments ----

START_TEST(no_memory_is_taken_after_creation)
{
    tp_session *session = NULL;
    struct heard heard;
    OK(tp_session_create(device, &sampled, &session, &error));
    // The first run may let the emulator unpack the program, which is part of loading.
    OK(tp_session_feed_text(session, "ab", &error));
    generate(session, 2, &heard);
    // No assertions in between: Check itself takes memory for them.
    struct tp_token token = {.end = TP_END_NONE};
    uint64_t before = tp_test_allocations();
    const struct tp_chat_message message = {"user", "hi <s>"};
    bool ok = tp_session_feed_text(session, "hello", &error) == TP_OK &&
              tp_session_feed_chat(session, "plain", &message, 1, true, &error) == TP_OK &&
              tp_session_feed(session, prompt, 4, &error) == TP_OK &&
              tp_session_generate(session, 20, &error) == TP_OK;
    while (ok && token.end == TP_END_NONE) {
        ok = tp_session_read(session, &token, -1, &error) == TP_OK;
    }
#ifdef TP_PLANT_BUG
    void *volatile taken = malloc(1);
    free(taken);
#endif
    uint64_t after = tp_test_allocations();
    ck_assert_msg(ok, "%s", error.text);
    ck_assert_uint_eq(after, before);
    tp_session_destroy(session);
}
END_TEST

// ---- sampling and log probabilities ----

struct soft {
    double log_probability[2 * CONTEXT][VOCAB];
};

static void hear_soft(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct soft *soft = user;
    double sum = 0;
    for (uint32_t i = 0; i < vocab; i++) sum += exp(logits[i] / 65536.0);
    for (uint32_t i = 0; i < vocab; i++) {
        soft->log_probability[position][i] = logits[i] / 65536.0 - log(sum);
    }
}

static void check_candidates(const struct soft *soft, const struct tp_token *token, uint32_t count)
{
    // The logits are those of the position before the token's.
    const double *exact = soft->log_probability[token->position - 1];
    ck_assert_double_le(fabs((double)token->log_probability - exact[token->id]), 1e-3);
    ck_assert_uint_eq(token->candidate_count, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct tp_candidate *c = &token->candidates[i];
        ck_assert_double_le(fabs((double)c->log_probability - exact[c->id]), 1e-3);
        if (i > 0) ck_assert(c->log_probability <= token->candidates[i - 1].log_probability);
        if (c->id == token->id) ck_assert(c->log_probability == token->log_probability);
    }
}

START_TEST(log_probabilities_are_those_of_the_logits)
{
    static struct soft soft;
    static const float temperatures[] = {0.0f, 1.0f, 0.7f};
    static const uint32_t counts[] = {1, 31, 64};
    struct tp_session_options options = {.temperature = temperatures[_i],
                                         .top_k = _i == 2 ? 5 : 0,
                                         .candidates = counts[_i],
                                         .ignore_eos = true,
                                         .on_logits = hear_soft,
                                         .user = &soft};
    tp_session *session = open_session(&options);
    struct tp_token token;
    OK(tp_session_generate(session, 20, &error));
    for (uint32_t i = 0; i < 20; i++) {
        OK(tp_session_read(session, &token, -1, &error));
        ck_assert_int_eq(token.end, TP_END_NONE);
        check_candidates(&soft, &token, counts[_i]);
        if (_i == 0) ck_assert_uint_eq(token.id, token.candidates[0].id);
    }
    OK(tp_session_read(session, &token, -1, &error));
    ck_assert_int_eq(token.end, TP_END_LIMIT);
    ck_assert(isnan(token.log_probability));
    ck_assert_uint_eq(token.candidate_count, 0);
    tp_session_destroy(session);
    session = open_session(&sampled);
    OK(tp_session_generate(session, 1, &error));
    OK(tp_session_read(session, &token, -1, &error));
    ck_assert(isnan(token.log_probability));
    ck_assert_ptr_null(token.candidates);
    tp_session_destroy(session);
}
END_TEST

START_TEST(sampling_goes_on_over_runs_and_neutral_settings_change_nothing)
{
    struct heard one;
    struct heard two;
    const struct tp_session_options options = {.temperature = 1.0f,
                                               .top_k = 30,
                                               .repetition_penalty = 1.8f,
                                               .top_p = 0.9f,
                                               .min_p = 0.01f,
                                               .seed = 9,
                                               .ignore_eos = true};
    tp_session *session = open_session(&options);
    generate(session, 50, &one);
    tp_session_destroy(session);
    session = open_session(&options);
    generate(session, 13, &two);
    generate(session, 37, &two);
    ck_assert_uint_eq(two.count, 37);
    ck_assert_mem_eq(two.tokens, one.tokens + 13, 37 * sizeof two.tokens[0]);
    tp_session_destroy(session);
    make_reference(20);
    struct tp_session_options neutral = sampled;
    neutral.repetition_penalty = 1.0f;
    neutral.top_p = 1.0f;
    neutral.candidates = 3;
    session = open_session(&neutral);
    generate(session, 20, &two);
    same(&two, &reference);
    tp_session_destroy(session);
}
END_TEST

START_TEST(a_strong_penalty_forbids_repetition)
{
    struct heard heard;
    const struct tp_session_options options = {.repetition_penalty = 3.9f, .ignore_eos = true};
    tp_session *session = open_session(&options);
    generate(session, 40, &heard);
    uint32_t repeated = 0;
    for (uint32_t i = 0; i < 40; i++) {
        for (uint32_t j = 0; j < i; j++) repeated += heard.tokens[i] == heard.tokens[j] ? 1 : 0;
    }
    ck_assert_uint_le(repeated, 2);
    tp_session_destroy(session);
}
END_TEST

// ---- messages ----

START_TEST(messages_are_fed_as_the_template_says)
{
    const struct tp_chat_message messages[] = {{"system", "a"}, {"user", "b</s>"}};
    tp_session *session = NULL;
    struct tp_session_statistics facts;
    char text[128];
    size_t size;
    OK(tp_model_chat(model, "mistral", messages, 2, true, text, sizeof text, &size, &error));
    ck_assert_uint_eq(size, strlen(text) + 1);
    ck_assert_ptr_nonnull(strstr(text, "[INST] a\n\nb</s> [/INST]"));
    ck_assert_int_eq(
        tp_model_chat(model, "mistral", messages, 2, true, text, size - 1, &size, &error),
        TP_ERROR_FULL);
    ck_assert_uint_eq(strlen(text), size - 2);
    ck_assert_int_eq(tp_model_chat(model, NULL, messages, 2, true, NULL, 0, &size, &error),
                     TP_ERROR_NOT_FOUND);
    OK(tp_session_create(device, &sampled, &session, &error));
    ck_assert_int_eq(tp_session_feed_chat(session, NULL, messages, 2, true, &error),
                     TP_ERROR_NOT_FOUND);
    ck_assert_int_eq(tp_session_feed_chat(session, "mistral", NULL, 2, true, &error),
                     TP_ERROR_INVALID);
    ck_assert_int_eq(tp_session_feed_chat(session, "chatml", messages, 2, true, &error),
                     TP_ERROR_FULL);
    tp_session_get_statistics(session, &facts);
    ck_assert_uint_eq(facts.prompt_tokens, 0);
    OK(tp_session_feed_chat(session, "plain", messages, 2, true, &error));
    tp_session_get_statistics(session, &facts);
    // BOS, which this template does not write, a space, then each byte: "a\nb</s>\n".
    ck_assert_uint_eq(facts.prompt_tokens, 10);
    struct heard heard;
    generate(session, 3, &heard);
    tp_session_destroy(session);
}
END_TEST

START_TEST(bad_arguments_are_refused_and_harm_nothing)
{
    tp_session *session = open_session(&sampled);
    struct tp_token token;
    const uint32_t foreign = VOCAB;
    ck_assert_int_eq(tp_session_read(session, &token, 0, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_session_feed(session, &foreign, 1, &error), TP_ERROR_RANGE);
    ck_assert_int_eq(tp_session_feed(session, NULL, 1, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_session_feed_text(session, "\xff", &error), TP_ERROR_FORMAT);
    char *long_text = calloc(4 * CONTEXT + 1, 1);
    memset(long_text, 'a', 4 * CONTEXT);
    ck_assert_int_eq(tp_session_feed_text(session, long_text, &error), TP_ERROR_FULL);
    free(long_text);
    OK(tp_session_generate(session, 3, &error));
    ck_assert_int_eq(tp_session_generate(session, 3, &error), TP_ERROR_BUSY);
    ck_assert_int_eq(tp_session_feed(session, prompt, 1, &error), TP_ERROR_BUSY);
    struct heard heard = {.count = 0};
    read_all(session, &heard);
    make_reference(3);
    ck_assert_mem_eq(heard.tokens, reference.tokens, 3 * sizeof(uint32_t));
    tp_session_destroy(session);
}
END_TEST

START_TEST(bad_settings_are_refused)
{
    struct tp_session_options options = {.temperature = -1.0f};
    tp_session *session = NULL;
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.top_k = 65};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "1 to 64"));
    options = (struct tp_session_options){.repetition_penalty = 0.5f};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.repetition_penalty = 4.0f};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.top_p = 1.01f};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.min_p = -0.1f};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.min_p = NAN};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.candidates = 65};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "at most 64"));
    options = (struct tp_session_options){.stop_strings = {""}, .stop_string_count = 1};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    options = (struct tp_session_options){.stop_tokens = {VOCAB}, .stop_token_count = 1};
    ck_assert_int_eq(tp_session_create(device, &options, &session, &error), TP_ERROR_INVALID);
    ck_assert_ptr_null(session);
    tp_device *none = NULL;
    ck_assert_int_eq(tp_device_open(context, "toaster", &none, &error), TP_ERROR_NOT_FOUND);
    ck_assert_int_eq(tp_device_open(context, "emu:nothing", &none, &error), TP_ERROR_NOT_FOUND);
    ck_assert_int_eq(tp_device_open(context, "sim:../x", &none, &error), TP_ERROR_NOT_FOUND);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(small_configurations_hold_the_same_tokens)
{
    make_reference(20);
    tp_device_close(device);
    device = NULL;
    OK(tp_device_open(context, "emu:ulx3s-85f", &device, &error));
    const struct tp_load_options load = {.format = TP_FORMAT_Q8};
    OK(tp_device_load(device, model, &load, &error));
    tp_session *session = open_session(&sampled);
    struct heard heard;
    generate(session, 20, &heard);
    same(&heard, &reference);
    tp_session_destroy(session);
}
END_TEST

START_TEST(a_device_without_a_list_refuses_what_needs_one)
{
    static const struct tp_session_options refused[] = {
        {.temperature = 1.0f, .top_k = 1},
        {.temperature = 1.0f, .top_p = 0.9f},
        {.temperature = 1.0f, .min_p = 0.1f},
        {.candidates = 1},
    };
    tp_device_close(device);
    device = NULL;
    OK(tp_device_open(context, "emu:ulx3s-45f", &device, &error));
    const struct tp_load_options load = {.format = TP_FORMAT_Q8};
    OK(tp_device_load(device, model, &load, &error));
    tp_session *session = NULL;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ck_assert_int_eq(tp_session_create(device, &refused[i], &session, &error),
                         TP_ERROR_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(error.text, "does not sort tokens"));
    }
    // What is off is no cut.
    const struct tp_session_options options = {
        .temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.3f, .ignore_eos = true};
    session = open_session(&options);
    struct heard heard;
    generate(session, 5, &heard);
    tp_session_destroy(session);
}
END_TEST

static void *run_context(void *user)
{
    tp_context *own = NULL;
    tp_device *own_device = NULL;
    struct tp_error own_error;
    (void)user;
    ck_assert_int_eq(tp_context_create(NULL, &own, &own_error), TP_OK);
    ck_assert_int_eq(tp_device_open(own, "emu:small", &own_device, &own_error), TP_OK);
    tp_device_close(own_device);
    tp_context_destroy(own);
    return NULL;
}

START_TEST(contexts_never_meet)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_context, NULL), 0);
    }
    make_reference(10);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("session");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, descriptor_is_readable_exactly_while_tokens_wait);
    tcase_add_test(tc, callback_hears_the_same_tokens);
    tcase_add_test(tc, two_runs_give_what_one_gives);
    tcase_add_test(tc, company_does_not_change_a_session);
    tcase_add_test(tc, stop_token_ends_a_run_and_the_next_goes_on);
    tcase_add_test(tc, stop_string_ends_the_text_before_it_and_rewinds);
    tcase_add_test(tc, context_ends_a_run_and_then_refuses);
    tcase_add_test(tc, cancel_ends_a_run);
    tcase_add_test(tc, stop_string_in_a_callback_does_not_wait_for_other_callers);
    tcase_add_test(tc, no_memory_is_taken_after_creation);
    tcase_add_loop_test(tc, log_probabilities_are_those_of_the_logits, 0, 3);
    tcase_add_test(tc, sampling_goes_on_over_runs_and_neutral_settings_change_nothing);
    tcase_add_test(tc, a_strong_penalty_forbids_repetition);
    tcase_add_test(tc, messages_are_fed_as_the_template_says);
    tcase_add_test(tc, bad_arguments_are_refused_and_harm_nothing);
    tcase_add_test(tc, bad_settings_are_refused);
    tcase_add_test(tc, small_configurations_hold_the_same_tokens);
    tcase_add_test(tc, a_device_without_a_list_refuses_what_needs_one);
    tcase_add_test(tc, contexts_never_meet);
    suite_add_tcase(suite, tc);
    return suite;
}

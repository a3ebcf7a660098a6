// SPDX-License-Identifier: Apache-2.0

#include "heard_session.h"

#include <string.h>

#include "check_main.h"
#include "made_model.h"

const uint32_t tp_heard_prompt[TP_HEARD_PROMPT] = {1, 40, 50, 60};

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

void tp_heard_open_model(tp_context *context, tp_model **model)
{
    const struct tp_test_model made = {32, 32, 2, 2, 1, TP_HEARD_VOCAB, TP_HEARD_CONTEXT, false, 7};
    tp_test_open_made_model(context, &made, false, model);
}

void tp_heard_load(tp_device *device, tp_model *model)
{
    struct tp_device_info info;
    struct tp_error error;
    OK(tp_device_get_info(device, &info));
    const struct tp_load_options load = {.format = TP_FORMAT_Q8,
                                         .sessions = info.slots < 4 ? info.slots : 4};
    OK(tp_device_load(device, model, &load, &error));
}

static void hear_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct tp_heard *heard = user;
    heard->disorder += position != heard->positions ? 1 : 0;
    heard->positions++;
    for (uint32_t i = 0; i < vocab; i++) {
        heard->logits = heard->logits * 0x9e3779b97f4a7c15u + (uint32_t)logits[i];
    }
}

struct tp_session_options tp_heard_options(const tp_device *device, enum tp_heard_kind kind,
                                           struct tp_heard *heard)
{
    struct tp_session_options options = {.temperature = 1.0f, .seed = 5, .ignore_eos = true};
    struct tp_device_info info;
    ck_assert_int_eq(tp_device_get_info(device, &info), TP_OK);
    if (kind == TP_HEARD_LONG) {
        options.repetition_penalty = 1.5f;
    }
    if (kind == TP_HEARD_RICH) {
        options.top_k = info.top_k != 0 ? 20 : 0;
        options.repetition_penalty = 1.5f;
        options.candidates = info.top_k != 0 ? 33 : 0;
        options.on_logits = hear_logits;
        options.user = heard;
    }
    return options;
}

void tp_heard_feed(tp_session *session, enum tp_heard_kind kind)
{
    struct tp_error error;
    if (kind != TP_HEARD_LONG) {
        OK(tp_session_feed(session, tp_heard_prompt, TP_HEARD_PROMPT, &error));
        return;
    }
    for (uint32_t i = 0; i < TP_HEARD_LONG_PROMPT; i++) {
        const uint32_t token = (13 * i + 1) % TP_HEARD_VOCAB;
        OK(tp_session_feed(session, &token, 1, &error));
    }
}

void tp_heard_read(tp_session *session, struct tp_heard *heard)
{
    struct tp_token token;
    for (;;) {
        heard->status = tp_session_read(session, &token, -1, &heard->error);
        if (heard->status != TP_OK) return;
        if (token.end != TP_END_NONE) {
            heard->end = token.end;
            return;
        }
        ck_assert_uint_lt(heard->count, TP_HEARD_TOKENS_MAX);
        heard->tokens[heard->count] = token.id;
        if (token.candidate_count != 0) {
            heard->log_probabilities[heard->count] =
                token.log_probability + token.candidates[token.candidate_count - 1].log_probability;
        }
        heard->count++;
    }
}

void tp_heard_run(tp_device *device, enum tp_heard_kind kind, uint32_t stop, struct tp_heard *heard)
{
    tp_session *session = NULL;
    struct tp_error error;
    *heard = (struct tp_heard){.count = 0};
    struct tp_session_options options = tp_heard_options(device, kind, heard);
    if (kind == TP_HEARD_STOPPED) {
        options.stop_tokens[0] = stop;
        options.stop_token_count = 1;
    }
    OK(tp_session_create(device, &options, &session, &error));
    tp_heard_feed(session, kind);
    for (uint32_t i = 0; i < 2 && heard->status == TP_OK; i++) {
        uint32_t count = i == 0 ? TP_HEARD_TOKENS : 2;
        heard->status = tp_session_generate(session, count, &heard->error);
        if (heard->status == TP_OK) tp_heard_read(session, heard);
    }
    tp_session_destroy(session);
}

bool tp_heard_same(const struct tp_heard *a, const struct tp_heard *b)
{
    return a->status == b->status && a->count == b->count && a->end == b->end &&
           a->positions == b->positions && a->logits == b->logits && a->disorder == 0 &&
           memcmp(a->tokens, b->tokens, sizeof a->tokens) == 0 &&
           memcmp(a->log_probabilities, b->log_probabilities, sizeof a->log_probabilities) == 0;
}

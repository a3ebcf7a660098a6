// SPDX-License-Identifier: Apache-2.0
//
// Generation for run, bench and verify.

#include "generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS_MAX = 8, POLL_MS = 100 };

void answer_free(struct answer *answer)
{
    free(answer->tokens);
    free(answer->log_probabilities);
    free(answer->candidates);
    free(answer->text);
}

// Log probabilities of the token that comes next, padded to as many candidates as were asked for.
static bool keep_candidates(struct answer *answer, const struct tp_token *token)
{
    size_t most = answer->candidates_max;
    float *values = realloc(answer->log_probabilities, (answer->count + 1) * sizeof *values);
    answer->log_probabilities = values != NULL ? values : answer->log_probabilities;
    struct tp_candidate *candidates =
        realloc(answer->candidates, (answer->count + 1) * most * sizeof *candidates);
    answer->candidates = candidates != NULL ? candidates : answer->candidates;
    if (values == NULL || candidates == NULL) {
        return false;
    }
    values[answer->count] = token->log_probability;
    memset(candidates + answer->count * most, 0, most * sizeof *candidates);
    memcpy(candidates + answer->count * most, token->candidates,
           token->candidate_count * sizeof *candidates);
    answer->candidate_count = token->candidate_count;
    return true;
}

static bool keep(struct answer *answer, const struct tp_token *token)
{
    char *text = realloc(answer->text, answer->text_bytes + token->text_bytes + 1);
    if (text == NULL) {
        return false;
    }
    memcpy(text + answer->text_bytes, token->text, token->text_bytes + 1);
    answer->text = text;
    answer->text_bytes += token->text_bytes;
    if (token->end != TP_END_NONE) {
        answer->end = token->end;
        return true;
    }
    uint32_t *tokens = realloc(answer->tokens, (answer->count + 1) * sizeof *tokens);
    if (tokens == NULL) {
        return false;
    }
    answer->tokens = tokens;
    if (token->candidates != NULL && !keep_candidates(answer, token)) {
        return false;
    }
    tokens[answer->count++] = token->id;
    return true;
}

// Reads one session to its end. With answer NULL the tokens are dropped.
static tp_status drain(tp_session *session, bool stream, struct answer *answer,
                       struct tp_error *error)
{
    bool cancelled = false;
    for (;;) {
        struct tp_token token;
        tp_status status = tp_session_read(session, &token, POLL_MS, error);
        if (interrupted() && !cancelled) {
            cancelled = true;
            if (tp_session_cancel(session, error) != TP_OK) {
                return error->status;
            }
        }
        if (status == TP_ERROR_TIMEOUT) {
            continue;
        }
        if (status != TP_OK) {
            return status;
        }
        if (answer != NULL && !keep(answer, &token)) {
            error->status = TP_ERROR_NO_MEMORY;
            (void)snprintf(error->text, sizeof error->text, "no memory for the answer");
            return error->status;
        }
        if (stream && token.text_bytes != 0 &&
            (fwrite(token.text, 1, token.text_bytes, stdout) != token.text_bytes ||
             fflush(stdout) != 0)) {
            error->status = TP_ERROR_IO;
            (void)snprintf(error->text, sizeof error->text, "standard output cannot be written");
            return error->status;
        }
        if (token.end != TP_END_NONE) {
            return TP_OK;
        }
    }
}

// The prompt as a question, behind the system text if there is one.
static tp_status feed_chat(tp_session *session, const struct options *options,
                           struct tp_error *error)
{
    struct tp_chat_message messages[2] = {{.role = "system", .text = options->system}};
    size_t count = options->system != NULL ? 1 : 0;
    messages[count++] = (struct tp_chat_message){
        .role = "user", .text = options->prompt == NULL ? "" : options->prompt};
    const char *name = strcmp(options->chat, "auto") == 0 ? NULL : options->chat;
    return tp_session_feed_chat(session, name, messages, count, true, error);
}

static tp_status start(struct work *work, const struct options *options, bool ignore_eos,
                       uint32_t index, tp_session **session, struct tp_error *error)
{
    struct tp_session_options settings = {.temperature = (float)options->temperature,
                                          .top_k = options->top_k,
                                          .repetition_penalty = (float)options->repeat_penalty,
                                          .top_p = (float)options->top_p,
                                          .min_p = (float)options->min_p,
                                          .candidates = options->logprobs,
                                          .seed = options->seed + index,
                                          .ignore_eos = ignore_eos,
                                          .stop_string_count = options->stop_string_count};
    memcpy(settings.stop_strings, options->stop_strings, sizeof settings.stop_strings);
    tp_status status = tp_session_create(work->device, &settings, session, error);
    if (status != TP_OK) {
        return status;
    }
    if (options->chat != NULL) {
        return feed_chat(*session, options, error);
    }
    if (work->model_info.has_tokenizer) {
        return tp_session_feed_text(*session, options->prompt == NULL ? "" : options->prompt,
                                    error);
    }
    const uint32_t first = work->model_info.vocab > 1 ? 1 : 0;
    return tp_session_feed(*session, &first, 1, error);
}

static void subtract(struct tp_device_statistics *a, const struct tp_device_statistics *b)
{
    a->cycles_total -= b->cycles_total;
    a->cycles_steps -= b->cycles_steps;
    a->cycles_predicted -= b->cycles_predicted;
    a->steps -= b->steps;
    a->tokens -= b->tokens;
    a->saturations -= b->saturations;
    a->clips -= b->clips;
    a->products -= b->products;
    a->steps_lost -= b->steps_lost;
    a->frames_bad -= b->frames_bad;
    a->frames_repeated -= b->frames_repeated;
    a->recoveries -= b->recoveries;
}

int generate(struct work *work, const struct options *options, bool ignore_eos, bool stream,
             struct answer *answer)
{
    tp_session *sessions[SESSIONS_MAX] = {NULL};
    struct tp_error error = {.status = TP_OK};
    struct tp_device_statistics before = {0};
    *answer = (struct answer){.candidates_max = options->logprobs};
    tp_status status = tp_device_get_statistics(work->device, &before, &error);
    for (uint32_t i = 0; i < options->sessions && status == TP_OK; i++) {
        status = start(work, options, ignore_eos, i, &sessions[i], &error);
    }
    double started = seconds_now();
    for (uint32_t i = 0; i < options->sessions && status == TP_OK; i++) {
        status = tp_session_generate(sessions[i], options->tokens, &error);
    }
    for (uint32_t i = 0; i < options->sessions && status == TP_OK; i++) {
        status = drain(sessions[i], stream && i == 0, i == 0 ? answer : NULL, &error);
    }
    answer->seconds = seconds_now() - started;
    if (status == TP_OK) {
        struct tp_session_statistics facts;
        tp_session_get_statistics(sessions[0], &facts);
        answer->prompt_tokens = facts.prompt_tokens;
        answer->seconds_to_first = facts.seconds_to_first;
        status = tp_device_get_statistics(work->device, &answer->used, &error);
        subtract(&answer->used, &before);
    }
    for (uint32_t i = 0; i < options->sessions; i++) {
        tp_session_destroy(sessions[i]);
    }
    return status == TP_OK ? EXIT_OK : failed(&error);
}

// SPDX-License-Identifier: Apache-2.0
//
// Generation for run, chat, bench, trace and verify.

#include "generate.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 100, CHANGE_FILE_BYTES = 1024 };

// ---- answers ----

void answer_free(struct answer *answer)
{
    free(answer->tokens);
    free(answer->log_probabilities);
    free(answer->candidates);
    free(answer->text);
}

void answers_free(struct answer *answers, size_t count)
{
    for (size_t i = 0; answers != NULL && i < count; i++) {
        answer_free(&answers[i]);
    }
    free(answers);
}

double answer_gap(const struct answer *answer)
{
    double seconds = answer->seconds - answer->seconds_to_first;
    return answer->count > 1 ? seconds / (double)(answer->count - 1) : 0;
}

static void keep_time(struct answer *answer)
{
    double now = seconds_now();
    if (answer->count > 1 && now - answer->token_at > answer->gap_longest) {
        answer->gap_longest = now - answer->token_at;
    }
    answer->token_at = now;
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
        answer->ended = !answer->goes_on || token->end != TP_END_LIMIT;
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
    keep_time(answer);
    return true;
}

bool stream_text(const char *text, size_t bytes)
{
    return bytes == 0 || (fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0);
}

static tp_status fail(struct tp_error *error, tp_status status, const char *text)
{
    error->status = status;
    (void)snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

// What the session says of a run that has ended.
static void keep_facts(struct answer *answer, const tp_session *session)
{
    const struct tp_session_statistics *before = &answer->before;
    struct tp_session_statistics facts;
    tp_session_get_statistics(session, &facts);
    answer->prompt_tokens = facts.prompt_tokens - before->prompt_tokens;
    answer->prefix_tokens = facts.prefix_tokens - before->prefix_tokens;
    answer->recomputed_tokens = facts.recomputed_tokens - before->recomputed_tokens;
    answer->seconds_queued = answer->seconds_joined + facts.seconds_queued - before->seconds_queued;
    if (answer->seconds == 0) {
        answer->seconds_to_first = facts.seconds_to_first;
    }
    answer->seconds += facts.seconds_run;
}

// Reads a token, or the end.
static tp_status hear(tp_session *session, int timeout_ms, struct answer *answer,
                      token_listener on_token, void *user, size_t index, struct tp_error *error)
{
    struct tp_token token;
    tp_status status = tp_session_read(session, &token, timeout_ms, error);
    if (status != TP_OK) {
        return status;
    }
    if (!keep(answer, &token)) {
        return fail(error, TP_ERROR_NO_MEMORY, "no memory for the answer");
    }
    if (token.end != TP_END_NONE) {
        keep_facts(answer, session);
    }
    if (on_token != NULL && !on_token(user, index, answer, &token)) {
        return fail(error, TP_ERROR_IO, "standard output cannot be written");
    }
    return TP_OK;
}

tp_status answer_read(tp_session *session, struct answer *answer, token_listener on_token,
                      void *user, size_t index, struct tp_error *error)
{
    bool cancelled = false;
    while (!answer->ended) {
        tp_status status = hear(session, POLL_MS, answer, on_token, user, index, error);
        if (status == TP_OK || status == TP_ERROR_TIMEOUT) {
            status = TP_OK;
            if (interrupted() && !cancelled) {
                cancelled = true;
                status = tp_session_cancel(session, error);
            }
        }
        if (status != TP_OK) {
            return status;
        }
    }
    return TP_OK;
}

// ---- what the device does ----

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
    a->prefix_tokens -= b->prefix_tokens;
}

tp_status spent_start(struct work *work, struct spent *spent, struct tp_error *error)
{
    spent->seconds = seconds_now();
    return tp_device_get_statistics(work->device, &spent->used, error);
}

tp_status spent_stop(struct work *work, struct spent *spent, struct tp_error *error)
{
    const struct tp_device_statistics before = spent->used;
    spent->seconds = seconds_now() - spent->seconds;
    tp_status status = tp_device_get_statistics(work->device, &spent->used, error);
    subtract(&spent->used, &before);
    return status;
}

// ---- sessions side by side ----

struct seat {
    tp_session *session;  // NULL: it is free
    size_t index;         // of request and answer
    bool runs;
};

struct table {
    struct work *work;
    const struct options *options;
    const struct batch *batch;
    struct answer *answers;
    struct seat *seats;    // [batch->parallel]
    struct pollfd *polls;  // [batch->parallel]
    size_t next;           // request that has no seat yet
    uint32_t taken;        // seats
    bool cancelled;
    uint32_t change_at;  // tokens of a session before the other model; 0: it is there, or none is
    char change_file[CHANGE_FILE_BYTES];  // "": over the link
    double started;
};

const char *chat_template(const struct options *options)
{
    bool own = options->chat == NULL || strcmp(options->chat, "auto") == 0;
    return own ? NULL : options->chat;
}

struct tp_session_options session_settings(const struct options *options)
{
    struct tp_session_options settings = {.temperature = (float)options->temperature,
                                          .top_k = options->top_k,
                                          .repetition_penalty = (float)options->repeat_penalty,
                                          .top_p = (float)options->top_p,
                                          .min_p = (float)options->min_p,
                                          .candidates = options->logprobs,
                                          .seed = options->seed,
                                          .ignore_eos = options->ignore_eos,
                                          .stop_string_count = options->stop_string_count};
    memcpy(settings.stop_strings, options->stop_strings, sizeof settings.stop_strings);
    return settings;
}

// The prompt as a question, behind the system text if there is one.
static tp_status feed_chat(tp_session *session, const struct options *options, const char *prompt,
                           struct tp_error *error)
{
    struct tp_chat_message messages[2] = {{.role = "system", .text = options->system}};
    size_t count = options->system != NULL ? 1 : 0;
    messages[count++] = (struct tp_chat_message){.role = "user", .text = prompt};
    return tp_session_feed_chat(session, chat_template(options), messages, count, true, error);
}

static tp_status feed(tp_session *session, const struct work *work, const struct options *options,
                      const char *prompt, struct tp_error *error)
{
    prompt = prompt == NULL ? "" : prompt;
    if (options->chat != NULL) {
        return feed_chat(session, options, prompt, error);
    }
    if (work->model_info.has_tokenizer) {
        return tp_session_feed_text(session, prompt, error);
    }
    const uint32_t first = work->model_info.vocab > 1 ? 1 : 0;
    return tp_session_feed(session, &first, 1, error);
}

// Gives free seats to the next requests; none after Ctrl-C.
static tp_status take_seats(struct table *t, struct tp_error *error)
{
    struct tp_session_options settings = session_settings(t->options);
    tp_status status = TP_OK;
    settings.ignore_eos = t->batch->ignore_eos;
    for (uint32_t i = 0; i < t->batch->parallel && status == TP_OK; i++) {
        struct seat *seat = &t->seats[i];
        if (seat->session != NULL || t->next == t->batch->count || interrupted()) {
            continue;
        }
        const struct request *request = &t->batch->requests[t->next];
        settings.seed = request->seed;
        status = tp_session_create(t->work->device, &settings, &seat->session, error);
        if (status != TP_OK) {
            continue;
        }
        t->taken++;
        seat->runs = false;
        seat->index = t->next++;
        status = feed(seat->session, t->work, t->options, request->prompt, error);
    }
    return status;
}

static tp_status start(struct table *t, struct seat *seat, struct tp_error *error)
{
    struct answer *answer = &t->answers[seat->index];
    uint32_t rest = t->options->tokens - (uint32_t)answer->count;
    if (answer->seconds == 0) {
        answer->seconds_joined = seconds_now() - t->started;
    }
    answer->goes_on = t->change_at != 0;
    answer->end = TP_END_NONE;
    seat->runs = true;
    return tp_session_generate(seat->session, answer->goes_on ? t->change_at : rest, error);
}

// Starts all that sit down, as near to each other as the link allows.
static tp_status start_seated(struct table *t, struct tp_error *error)
{
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < t->batch->parallel && status == TP_OK; i++) {
        struct seat *seat = &t->seats[i];
        if (seat->session != NULL && !seat->runs) {
            status = start(t, seat, error);
        }
    }
    return status;
}

static void leave(struct table *t, struct seat *seat)
{
    t->taken -= seat->session != NULL ? 1 : 0;
    tp_session_destroy(seat->session);
    seat->session = NULL;
}

// Waits for any of the sessions, at most so long that Ctrl-C and a device that fails are noticed.
static void wait_for_any(struct table *t)
{
    for (uint32_t i = 0; i < t->batch->parallel; i++) {
        tp_session *session = t->seats[i].session;
        t->polls[i] = (struct pollfd){.fd = session == NULL ? -1 : tp_session_descriptor(session),
                                      .events = POLLIN};
    }
    (void)poll(t->polls, t->batch->parallel, POLL_MS);
}

// Reads all that is there of a session, which leaves at its end.
static tp_status attend(struct table *t, struct seat *seat, struct tp_error *error)
{
    struct answer *answer = &t->answers[seat->index];
    tp_status status = TP_OK;
    while (status == TP_OK && answer->end == TP_END_NONE) {
        status =
            hear(seat->session, 0, answer, t->batch->on_token, t->batch->user, seat->index, error);
    }
    if (answer->ended) {
        leave(t, seat);
    }
    return status == TP_ERROR_TIMEOUT ? TP_OK : status;
}

static tp_status attend_all(struct table *t, struct tp_error *error)
{
    tp_status status = TP_OK;
    bool cancel = interrupted() && !t->cancelled;
    t->cancelled = t->cancelled || cancel;
    wait_for_any(t);
    for (uint32_t i = 0; i < t->batch->parallel && status == TP_OK; i++) {
        struct seat *seat = &t->seats[i];
        if (seat->session != NULL && cancel) {
            status = tp_session_cancel(seat->session, error);
        }
        if (seat->session != NULL && status == TP_OK) {
            status = attend(t, seat, error);
        }
    }
    return status;
}

// ---- another model behind some tokens ----

// "FILE@N" of --reconfigure. False: it is none.
static bool find_change(struct table *t)
{
    const char *text = t->options->reconfigure;
    const char *sign = text == NULL ? NULL : strrchr(text, '@');
    if (text == NULL) {
        return true;
    }
    if (sign == NULL || (size_t)(sign - text) >= sizeof t->change_file || sign[1] == 0 ||
        strspn(sign + 1, "0123456789") != strlen(sign + 1)) {
        return false;
    }
    unsigned long value = strtoul(sign + 1, NULL, 10);
    memcpy(t->change_file, text, (size_t)(sign - text));
    t->change_at = value < t->options->tokens ? (uint32_t)value : 0;
    return value != 0;
}

// Whether nothing is left to do with the old model: all that sit have their tokens of it.
static bool is_change_due(const struct table *t)
{
    bool due = t->change_at != 0 && t->taken != 0;
    for (uint32_t i = 0; i < t->batch->parallel; i++) {
        const struct seat *seat = &t->seats[i];
        due = due && (seat->session == NULL || t->answers[seat->index].end != TP_END_NONE);
    }
    return due;
}

// What Ctrl-C ended between two runs.
static tp_status end_here(struct table *t, struct seat *seat, struct tp_error *error)
{
    struct answer *answer = &t->answers[seat->index];
    const struct tp_token token = {.text = "", .end = TP_END_CANCEL};
    const struct batch *batch = t->batch;
    leave(t, seat);
    answer->end = TP_END_CANCEL;
    answer->ended = true;
    return batch->on_token == NULL || batch->on_token(batch->user, seat->index, answer, &token)
               ? TP_OK
               : fail(error, TP_ERROR_IO, "standard output cannot be written");
}

static tp_status change(struct table *t, struct tp_error *error)
{
    const char *file = t->change_file[0] != 0 ? t->change_file : NULL;
    bool ends = interrupted();
    tp_status status = ends ? TP_OK : work_change_model(t->work, t->options, file, error);
    t->change_at = 0;
    for (uint32_t i = 0; i < t->batch->parallel && status == TP_OK; i++) {
        struct seat *seat = &t->seats[i];
        seat->runs = false;
        if (ends && seat->session != NULL) {
            status = end_here(t, seat, error);
        }
    }
    return status;
}

// ---- from the first to the last ----

static tp_status serve(struct table *t, struct spent *spent, struct tp_error *error)
{
    tp_status status = take_seats(t, error);
    if (status == TP_OK) {
        status = spent_start(t->work, spent, error);
    }
    t->started = seconds_now();
    while (status == TP_OK && t->taken != 0) {
        status = start_seated(t, error);
        if (status == TP_OK) {
            status = attend_all(t, error);
        }
        if (status == TP_OK) {
            status = take_seats(t, error);
        }
        if (status == TP_OK && is_change_due(t)) {
            status = change(t, error);
        }
    }
    return status == TP_OK ? spent_stop(t->work, spent, error) : status;
}

int generate_batch(struct work *work, const struct options *options, const struct batch *batch,
                   struct answer *answers, struct spent *spent)
{
    struct table t = {.work = work, .options = options, .batch = batch, .answers = answers};
    struct tp_error error = {.status = TP_OK};
    if (!find_change(&t)) {
        fprintf(stderr, "tokproc: --reconfigure wants FILE@N, N tokens before the change\n");
        return EXIT_USAGE;
    }
    t.seats = calloc(batch->parallel, sizeof *t.seats);
    t.polls = calloc(batch->parallel, sizeof *t.polls);
    for (size_t i = 0; i < batch->count; i++) {
        answers[i].candidates_max = options->logprobs;
    }
    tp_status status = t.seats != NULL && t.polls != NULL
                           ? serve(&t, spent, &error)
                           : fail(&error, TP_ERROR_NO_MEMORY, "no memory for so many sessions");
    for (uint32_t i = 0; i < batch->parallel && t.seats != NULL; i++) {
        leave(&t, &t.seats[i]);
    }
    for (size_t i = 0; i < batch->count; i++) {
        spent->recomputed_tokens += answers[i].recomputed_tokens;
    }
    free(t.seats);
    free(t.polls);
    return status == TP_OK ? EXIT_OK : failed(&error);
}

// ---- the same prompt for all ----

static bool stream_first(void *user, size_t index, const struct answer *answer,
                         const struct tp_token *token)
{
    (void)user;
    (void)answer;
    return index != 0 || stream_text(token->text, token->text_bytes);
}

int generate(struct work *work, const struct options *options, bool ignore_eos, bool stream,
             struct answer *answer, struct spent *spent)
{
    struct answer *answers = calloc(options->sessions, sizeof *answers);
    struct request *requests = calloc(options->sessions, sizeof *requests);
    const struct batch batch = {.requests = requests,
                                .count = options->sessions,
                                .parallel = options->sessions,
                                .ignore_eos = ignore_eos,
                                .on_token = stream ? stream_first : NULL};
    int status = EXIT_FAILED;
    if (answers == NULL || requests == NULL) {
        fprintf(stderr, "tokproc: no memory for so many sessions\n");
    } else {
        for (uint32_t i = 0; i < options->sessions; i++) {
            requests[i] = (struct request){options->prompt, options->seed + i};
        }
        status = generate_batch(work, options, &batch, answers, spent);
        *answer = answers[0];
        answers[0] = (struct answer){0};
    }
    answers_free(answers, options->sessions);
    free(requests);
    return status;
}

// ---- a prompt alone ----

// Which tokens, cycles do not depend on.
static tp_status feed_any(tp_session *session, const struct options *options, uint32_t vocab,
                          struct tp_error *error)
{
    uint32_t *tokens = calloc(options->prompt_tokens, sizeof *tokens);
    if (tokens == NULL) {
        return fail(error, TP_ERROR_NO_MEMORY, "no memory for the prompt");
    }
    for (uint32_t i = 0; i < options->prompt_tokens; i++) {
        tokens[i] = (uint32_t)((1 + 7919 * (uint64_t)i) % vocab);
    }
    tp_status status = tp_session_feed(session, tokens, options->prompt_tokens, error);
    free(tokens);
    return status;
}

int process_prompt(struct work *work, const struct options *options, struct spent *spent)
{
    const struct tp_session_options settings = session_settings(options);
    struct answer answer = {.candidates_max = options->logprobs};
    struct tp_error error = {.status = TP_OK};
    tp_session *session = NULL;
    tp_status status = tp_session_create(work->device, &settings, &session, &error);
    if (status == TP_OK) {
        status = feed_any(session, options, work->model_info.vocab, &error);
    }
    if (status == TP_OK) {
        status = spent_start(work, spent, &error);
    }
    if (status == TP_OK) {
        status = tp_session_generate(session, 1, &error);
    }
    if (status == TP_OK) {
        status = answer_read(session, &answer, NULL, NULL, 0, &error);
    }
    if (status == TP_OK) {
        status = spent_stop(work, spent, &error);
    }
    tp_session_destroy(session);
    answer_free(&answer);
    return status == TP_OK ? EXIT_OK : failed(&error);
}

// SPDX-License-Identifier: Apache-2.0
//
// Scoring of a file of texts. While the devices run one text in their threads, this thread runs
// the reference over the next.

#include "scoring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXTS_UNDER_WAY = 2, POLL_MS = 100 };

struct work_of_file {
    struct scoring *scoring;
    const struct options *options;
    const char *data;
    size_t size;
    size_t offset;
    double started;
    struct scored_text texts[TEXTS_UNDER_WAY];
    struct tp_error error;
};

int predictor_open(struct predictor *predictor)
{
    struct tp_error error;
    return tp_scorer_create(&predictor->scorer, &error) == TP_OK ? EXIT_OK : failed(&error);
}

void predictor_close(struct predictor *predictor)
{
    tp_session_destroy(predictor->session);
    tp_scorer_destroy(predictor->scorer);
}

// ---- one text ----

static bool keep_logits(void *user, uint32_t position, const float *logits, uint32_t vocab)
{
    struct scored_text *text = user;
    memcpy(text->logits + (size_t)position * vocab, logits, vocab * sizeof *logits);
    return !interrupted();
}

static const float *reference_logits(const struct scored_text *text, uint32_t position)
{
    return text->logits + (size_t)position * text->vocab;
}

// From the device's thread.
static void on_device_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct predictor *predictor = user;
    const struct scored_text *text = predictor->text;
    if (position + 1 < text->count) {
        tp_scorer_add_fixed(predictor->scorer, reference_logits(text, position), logits, vocab,
                            text->tokens[position + 1]);
    }
}

static bool on_model_logits(void *user, uint32_t position, const float *logits, uint32_t vocab)
{
    struct predictor *predictor = user;
    const struct scored_text *text = predictor->text;
    tp_scorer_add(predictor->scorer, reference_logits(text, position), logits, vocab,
                  text->tokens[position + 1]);
    return !interrupted();
}

// Feeds all but the last token; every position's logits come back through the callback.
static tp_status start_device(struct predictor *predictor, struct tp_error *error)
{
    const struct scored_text *text = predictor->text;
    const struct tp_session_options options = {
        .ignore_eos = true, .on_logits = on_device_logits, .user = predictor};
    tp_status status = tp_session_create(predictor->device, &options, &predictor->session, error);
    if (status == TP_OK) {
        status = tp_session_feed(predictor->session, text->tokens, text->count - 1, error);
    }
    return status == TP_OK ? tp_session_generate(predictor->session, 0, error) : status;
}

static tp_status start_devices(struct work_of_file *w, const struct scored_text *text)
{
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < w->scoring->predictor_count && status == TP_OK; i++) {
        struct predictor *predictor = &w->scoring->predictors[i];
        predictor->text = text;
        status = predictor->device != NULL ? start_device(predictor, &w->error) : TP_OK;
    }
    return status;
}

static tp_status run_models(struct work_of_file *w, const struct scored_text *text)
{
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < w->scoring->predictor_count && status == TP_OK; i++) {
        struct predictor *predictor = &w->scoring->predictors[i];
        if (predictor->device == NULL) {
            status = tp_model_reference(predictor->model, text->tokens, text->count - 1,
                                        on_model_logits, predictor, &w->error);
        }
    }
    return status;
}

// After an interruption the session is ended where it is, and what it scored counts.
static tp_status wait_device(struct predictor *predictor, struct tp_error *error)
{
    tp_status status = TP_OK;
    struct tp_token token = {.end = TP_END_NONE};
    while (predictor->session != NULL && status == TP_OK && token.end == TP_END_NONE &&
           !interrupted()) {
        status = tp_session_read(predictor->session, &token, POLL_MS, error);
        status = status == TP_ERROR_TIMEOUT ? TP_OK : status;
    }
    tp_session_destroy(predictor->session);
    predictor->session = NULL;
    return status;
}

static tp_status wait_devices(struct work_of_file *w)
{
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < w->scoring->predictor_count; i++) {
        struct tp_error error;
        tp_status one = wait_device(&w->scoring->predictors[i], &error);
        if (status == TP_OK && one != TP_OK) {
            status = one;
            w->error = error;
        }
    }
    return status;
}

// ---- the file ----

// The next text that fits into the context, as tokens. False: there is none, or *status says why.
static bool next_text(struct work_of_file *w, uint32_t bos, struct scored_text *text,
                      tp_status *status)
{
    struct scoring *s = w->scoring;
    const char *start = NULL;
    size_t size = 0;
    while (*status == TP_OK && tp_text_next(w->data, w->size, &w->offset, &start, &size)) {
        if (s->texts_left_out < s->skip || (uint64_t)(start - w->data) < s->skip_bytes) {
            s->texts_left_out++;
            continue;
        }
        size_t count = 0;
        text->tokens[0] = bos;
        *status = tp_model_encode(s->model, start, size, text->tokens + 1, s->context - 1, &count,
                                  &w->error);
        text->count = count + 1;
        if (*status == TP_OK && count != 0) {
            return true;
        }
        s->texts_too_long += *status == TP_ERROR_FULL;
        *status = *status == TP_ERROR_FULL ? TP_OK : *status;
    }
    return false;
}

static tp_status no_memory(struct work_of_file *w, size_t positions)
{
    w->error.status = TP_ERROR_NO_MEMORY;
    (void)snprintf(w->error.text, sizeof w->error.text, "no memory for the logits of %zu positions",
                   positions);
    return TP_ERROR_NO_MEMORY;
}

// Memory for the logits of a text: of the longest so far, since a context may be far longer.
static tp_status take_logits(struct work_of_file *w, struct scored_text *text)
{
    size_t positions = text->count - 1;
    if (positions <= text->room) {
        return TP_OK;
    }
    free(text->logits);
    text->room = 0;
    text->logits = calloc(positions, text->vocab * sizeof *text->logits);
    if (text->logits == NULL) {
        return no_memory(w, positions);
    }
    text->room = positions;
    return TP_OK;
}

static tp_status run_reference(struct work_of_file *w, struct scored_text *text)
{
    tp_status status = take_logits(w, text);
    return status != TP_OK ? status
                           : tp_model_reference(w->scoring->reference, text->tokens,
                                                text->count - 1, keep_logits, text, &w->error);
}

static void show_progress(const struct work_of_file *w)
{
    if (w->options->quiet || isatty(STDERR_FILENO) == 0) {
        return;
    }
    double share = (double)w->offset / (double)w->size;
    if (w->scoring->tokens_max != 0) {
        double of_tokens = (double)w->scoring->tokens / (double)w->scoring->tokens_max;
        share = of_tokens > share ? of_tokens : share;
    }
    share = share < 1 ? share : 1;
    double seconds = seconds_now() - w->started;
    struct tp_score score;
    tp_scorer_get(w->scoring->predictors[0].scorer, &score);
    fprintf(stderr, "\r%3.0f %%  %" PRIu64 " tokens  %+.4f nats  about %.0f s left \033[K",
            100 * share, w->scoring->tokens, score.change, seconds / share * (1 - share));
    (void)fflush(stderr);
}

static tp_status score_texts(struct work_of_file *w)
{
    struct scoring *s = w->scoring;
    struct tp_model_info info;
    tp_model_get_info(s->model, &info);
    tp_status status = TP_OK;
    uint32_t turn = 0;
    while (!interrupted() && (s->tokens_max == 0 || s->tokens < s->tokens_max) &&
           next_text(w, info.bos, &w->texts[turn], &status)) {
        struct scored_text *text = &w->texts[turn];
        status = run_reference(w, text);
        tp_status waited = wait_devices(w);
        status = status == TP_OK ? waited : status;
        if (status == TP_OK && s->texts != 0) {
            show_progress(w);
        }
        status = status == TP_OK ? start_devices(w, text) : status;
        status = status == TP_OK ? run_models(w, text) : status;
        if (status != TP_OK) {
            break;
        }
        s->tokens += text->count - 1;
        s->texts++;
        turn = (turn + 1) % TEXTS_UNDER_WAY;
    }
    tp_status waited = wait_devices(w);
    if (!w->options->quiet && isatty(STDERR_FILENO) != 0) {
        fprintf(stderr, "\r\033[K");
    }
    if (status == TP_ERROR_CANCELLED && interrupted()) {
        return TP_OK;  // what was scored so far is as good
    }
    return status == TP_OK ? waited : status;
}

static tp_status take_texts(struct work_of_file *w)
{
    struct scoring *s = w->scoring;
    struct tp_model_info info;
    tp_model_get_info(s->reference, &info);
    for (uint32_t i = 0; i < TEXTS_UNDER_WAY; i++) {
        struct scored_text *text = &w->texts[i];
        text->vocab = info.vocab;
        text->tokens = calloc((size_t)s->context + 1, sizeof *text->tokens);
        if (text->tokens == NULL) {
            return no_memory(w, s->context);
        }
    }
    return TP_OK;
}

int score_file(struct scoring *scoring, const struct options *options)
{
    struct work_of_file w = {.scoring = scoring, .options = options, .started = seconds_now()};
    char *data = read_text(options->text, &w.size);
    if (data == NULL) {
        return EXIT_FAILED;
    }
    w.data = data;
    tp_status status = take_texts(&w);
    if (status == TP_OK) {
        status = score_texts(&w);
    }
    for (uint32_t i = 0; i < TEXTS_UNDER_WAY; i++) {
        free(w.texts[i].tokens);
        free(w.texts[i].logits);
    }
    free(data);
    if (status != TP_OK) {
        return failed(&w.error);
    }
    if (scoring->texts == 0 && !interrupted()) {
        fprintf(stderr,
                "tokproc: %s: no text of it could be scored (%" PRIu32
                " longer than the context)\n",
                options->text, scoring->texts_too_long);
        return EXIT_FAILED;
    }
    return interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
}

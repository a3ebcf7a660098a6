// SPDX-License-Identifier: Apache-2.0
//
// tokproc eval: how well a device and a format predict text, beside the float32 reference.

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "verbs.h"

// One text under way: the device's thread adds up what it predicts.
struct scoring {
    const uint32_t *tokens;
    size_t count;
    const uint32_t *reference_top;  // [count - 1]
    double nats;
    uint64_t scored;
    uint64_t agreed;
};

struct totals {
    double nats;
    double reference_nats;
    uint64_t tokens;
    uint64_t agreed;
    uint32_t texts;
    uint32_t skipped;
};

static void on_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct scoring *s = user;
    if (position + 1 >= s->count) {
        return;
    }
    uint32_t top = 0;
    for (uint32_t i = 1; i < vocab; i++) {
        top = logits[i] > logits[top] ? i : top;
    }
    double sum = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        sum += exp(((double)logits[i] - (double)logits[top]) / 65536.0);
    }
    double own = (double)logits[s->tokens[position + 1]] - (double)logits[top];
    s->nats += log(sum) - own / 65536.0;
    s->agreed += top == s->reference_top[position] ? 1 : 0;
    s->scored++;
}

// Feeds all but the last token; every position's logits come back through on_logits.
static tp_status score_device(struct work *work, struct scoring *scoring, struct tp_error *error)
{
    const struct tp_session_options options = {
        .ignore_eos = true, .on_logits = on_logits, .user = scoring};
    tp_session *session = NULL;
    struct tp_token token = {.end = TP_END_NONE};
    tp_status status = tp_session_create(work->device, &options, &session, error);
    if (status == TP_OK) {
        status = tp_session_feed(session, scoring->tokens, scoring->count - 1, error);
    }
    if (status == TP_OK) {
        status = tp_session_generate(session, 0, error);
    }
    while (status == TP_OK && token.end == TP_END_NONE) {
        status = tp_session_read(session, &token, -1, error);
    }
    tp_session_destroy(session);
    return status;
}

// Scores one text of the file; tokens has room for the context and one more.
static tp_status score_text(struct work *work, uint32_t *tokens, size_t count, double *nats,
                            uint32_t *top, struct totals *totals, struct tp_error *error)
{
    tp_status status = tp_model_reference(work->model, tokens, count, nats, top, error);
    struct scoring scoring = {.tokens = tokens, .count = count, .reference_top = top};
    if (status == TP_OK) {
        status = score_device(work, &scoring, error);
    }
    if (status != TP_OK) {
        return status;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        totals->reference_nats += nats[i];
    }
    totals->nats += scoring.nats;
    totals->agreed += scoring.agreed;
    totals->tokens += scoring.scored;
    totals->texts++;
    return TP_OK;
}

static void show_progress(const struct options *options, size_t offset, size_t size,
                          const struct totals *t)
{
    if (!options->quiet && isatty(STDERR_FILENO) != 0 && t->tokens != 0) {
        fprintf(stderr, "\r%3.0f %%  %" PRIu64 " tokens  %.4f nats (reference %.4f) ",
                100.0 * (double)offset / (double)size, t->tokens, t->nats / (double)t->tokens,
                t->reference_nats / (double)t->tokens);
    }
}

static int score_file(struct work *work, const struct options *options, const char *data,
                      size_t size, struct totals *totals)
{
    uint32_t context = work->model_info.context;
    context = context < work->device_info.positions_max ? context : work->device_info.positions_max;
    context = options->context != 0 && options->context < context ? options->context : context;
    uint32_t *tokens = calloc((size_t)context + 1, sizeof *tokens);
    uint32_t *top = calloc((size_t)context + 1, sizeof *top);
    double *nats = calloc((size_t)context + 1, sizeof *nats);
    struct tp_error error = {.status = TP_OK};
    tp_status status = tokens == NULL || top == NULL || nats == NULL ? TP_ERROR_NO_MEMORY : TP_OK;
    size_t offset = 0;
    const char *text = NULL;
    size_t text_size = 0;
    while (status == TP_OK && !interrupted() &&
           (!options->tokens_given || totals->tokens < options->tokens) &&
           tp_text_next(data, size, &offset, &text, &text_size)) {
        size_t count = 0;
        tokens[0] = work->model_info.bos;
        status =
            tp_model_encode(work->model, text, text_size, tokens + 1, context - 1, &count, &error);
        if (status == TP_ERROR_FULL) {
            totals->skipped++;
            status = TP_OK;
        } else if (status == TP_OK && count != 0) {
            status = score_text(work, tokens, count + 1, nats, top, totals, &error);
            show_progress(options, offset, size, totals);
        }
    }
    if (!options->quiet && isatty(STDERR_FILENO) != 0) {
        fprintf(stderr, "\r\033[K");
    }
    free(tokens);
    free(top);
    free(nats);
    return status == TP_OK ? EXIT_OK : failed(&error);
}

static int print_totals(const struct work *work, const struct options *options,
                        const struct totals *t)
{
    double n = (double)t->tokens;
    double nats = t->nats / n;
    double reference = t->reference_nats / n;
    double agreement = (double)t->agreed / n;
    if (options->json) {
        return print_json(json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:i, s:i}",
                                    "model", work->model_info.name, "device", work->device_name,
                                    "format", tp_format_name(options->format), "nats_per_token",
                                    nats, "reference_nats_per_token", reference, "perplexity",
                                    exp(nats), "reference_perplexity", exp(reference),
                                    "top_agreement", agreement, "tokens", (json_int_t)t->tokens,
                                    "texts", (int)t->texts, "texts_skipped", (int)t->skipped));
    }
    printf("%s, %s, %s: %" PRIu64 " tokens of %" PRIu32 " texts", work->model_info.name,
           work->device_name, tp_format_name(options->format), t->tokens, t->texts);
    printf(t->skipped != 0 ? " (%" PRIu32 " longer than the context were skipped)\n" : "\n",
           t->skipped);
    printf("%-12s %12s %12s\n", "", "nats/token", "perplexity");
    printf("%-12s %12.5f %12.4f\n", "reference", reference, exp(reference));
    printf("%-12s %12.5f %12.4f\n", "device", nats, exp(nats));
    printf("%-12s %+12.5f   top token agrees %.2f %%\n", "change", nats - reference,
           100 * agreement);
    return EXIT_OK;
}

int verb_eval(const struct options *options)
{
    struct work work;
    struct totals totals = {0};
    if (options->text == NULL) {
        fprintf(stderr, "tokproc eval: which text? - try: --text models/eval.txt\n");
        return EXIT_USAGE;
    }
    size_t size = 0;
    char *data = read_text(options->text, &size);
    if (data == NULL) {
        return EXIT_FAILED;
    }
    int status = work_open(&work, options);
    if (status == EXIT_OK && !work.model_info.has_tokenizer) {
        fprintf(stderr, "tokproc: %s has no tokenizer - try: --tokenizer FILE\n",
                work.model_info.name);
        status = EXIT_FAILED;
    }
    if (status == EXIT_OK) {
        status = score_file(&work, options, data, size, &totals);
    }
    if (status == EXIT_OK && totals.tokens == 0) {
        fprintf(stderr, "tokproc: %s: no text of it could be scored (%u longer than the context)\n",
                options->text, (unsigned)totals.skipped);
        status = EXIT_FAILED;
    }
    if (status == EXIT_OK) {
        status = print_totals(&work, options, &totals);
    }
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    free(data);
    work_close(&work);
    return status;
}

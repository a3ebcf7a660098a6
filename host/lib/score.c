// SPDX-License-Identifier: Apache-2.0
//
// Nats, divergence and agreement, token by token.

#include "score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "internal.h"
#include "reference.h"

// Divergences are counted by size, so that a scorer of any number of tokens takes the same memory
// and quantiles depend on no order: 64 bins for each power of two are 1.1 % wide.
enum { BINS_PER_OCTAVE = 64, OCTAVE_MIN = -48, OCTAVE_MAX = 12 };
enum { BINS = (OCTAVE_MAX - OCTAVE_MIN) * BINS_PER_OCTAVE };

struct tp_scorer {
    uint64_t tokens;
    uint64_t agreed;
    double nats;
    double reference_nats;
    double change_mean;     // Welford's: exact enough for changes far below the nats themselves
    double change_squares;  // sum of squared distances from the mean
    double divergence;
    uint64_t vanishing;  // divergences below the first bin
    uint64_t bins[BINS];
};

tp_status tp_scorer_create(tp_scorer **scorer, struct tp_error *error)
{
    if (scorer == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_scorer_create: an argument is NULL");
    }
    tp_scorer *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a scorer");
    }
    *scorer = made;
    return TP_OK;
}

void tp_scorer_destroy(tp_scorer *scorer)
{
    free(scorer);
}

// ---- one token ----

// Logits of one of the two number formats.
struct logits {
    const float *real;     // or NULL
    const int32_t *fixed;  // Q16.16, or NULL
};

static double value(const struct logits *logits, uint32_t index)
{
    return logits->real != NULL ? (double)logits->real[index]
                                : (double)logits->fixed[index] / 65536.0;
}

static uint32_t top_of(const struct logits *logits, uint32_t vocab)
{
    if (logits->real != NULL) {
        return tp__top_token(logits->real, vocab);
    }
    uint32_t top = 0;
    for (uint32_t i = 1; i < vocab; i++) {
        top = logits->fixed[i] > logits->fixed[top] ? i : top;
    }
    return top;
}

static void count_divergence(tp_scorer *scorer, double divergence)
{
    scorer->divergence += divergence;
    double place = divergence > 0 ? (log2(divergence) - OCTAVE_MIN) * BINS_PER_OCTAVE : -1.0;
    if (place < 0) {
        scorer->vanishing++;
    } else {
        scorer->bins[place < BINS ? (uint32_t)place : BINS - 1]++;
    }
}

// Both softmaxes in one walk: KL = sum p (a - b) + ln sum exp b - ln sum exp a.
static void add(tp_scorer *scorer, const struct logits *reference, const struct logits *judged,
                uint32_t vocab, uint32_t next)
{
    assert(next < vocab);
    uint32_t reference_top = top_of(reference, vocab);
    uint32_t top = top_of(judged, vocab);
    double reference_largest = value(reference, reference_top);
    double largest = value(judged, top);
    double reference_sum = 0;
    double sum = 0;
    double weighted = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        double a = value(reference, i) - reference_largest;
        double b = value(judged, i) - largest;
        double weight = exp(a);
        reference_sum += weight;
        sum += exp(b);
        weighted += weight * (a - b);
    }
    double reference_nats = log(reference_sum) + reference_largest - value(reference, next);
    double nats = log(sum) + largest - value(judged, next);
    double divergence = weighted / reference_sum + log(sum) - log(reference_sum);
#ifdef TP_PLANT_BUG
    divergence = weighted / sum + log(sum) - log(reference_sum);  // the other model's weights
#endif
    double change = nats - reference_nats;
    scorer->tokens++;
    scorer->agreed += top == reference_top;
    scorer->nats += nats;
    scorer->reference_nats += reference_nats;
    double distance = change - scorer->change_mean;
    scorer->change_mean += distance / (double)scorer->tokens;
    scorer->change_squares += distance * (change - scorer->change_mean);
    count_divergence(scorer, divergence > 0 ? divergence : 0);
}

void tp_scorer_add(tp_scorer *scorer, const float *reference, const float *logits, uint32_t vocab,
                   uint32_t next)
{
    const struct logits of_reference = {.real = reference};
    const struct logits judged = {.real = logits};
    add(scorer, &of_reference, &judged, vocab, next);
}

void tp_scorer_add_fixed(tp_scorer *scorer, const float *reference, const int32_t *logits,
                         uint32_t vocab, uint32_t next)
{
    const struct logits of_reference = {.real = reference};
    const struct logits judged = {.fixed = logits};
    add(scorer, &of_reference, &judged, vocab, next);
}

// ---- the sums ----

// The divergence that a share of the tokens does not exceed: the middle of its bin.
static double quantile(const tp_scorer *scorer, double share)
{
    double wanted = share * (double)scorer->tokens;
    double below = (double)scorer->vanishing;
    for (uint32_t bin = 0; bin < BINS; bin++) {
        if (below >= wanted) {
            return bin == 0 ? 0 : exp2((bin - 0.5) / BINS_PER_OCTAVE + OCTAVE_MIN);
        }
        below += (double)scorer->bins[bin];
    }
    return exp2(OCTAVE_MAX);
}

void tp_scorer_get(const tp_scorer *scorer, struct tp_score *score)
{
    *score = (struct tp_score){.tokens = scorer->tokens};
    if (scorer->tokens == 0) {
        return;
    }
    double n = (double)scorer->tokens;
    score->nats = scorer->nats / n;
    score->reference_nats = scorer->reference_nats / n;
    score->change = scorer->change_mean;
    score->change_error = scorer->tokens < 2 ? 0 : sqrt(scorer->change_squares / (n - 1) / n);
    score->perplexity_ratio = exp(score->change);
    score->divergence = scorer->divergence / n;
    score->divergence_median = quantile(scorer, 0.5);
    score->divergence_high = quantile(scorer, 0.99);
    score->top_agreement = (double)scorer->agreed / n;
}

// ---- an image on the golden machine ----

struct run {
    struct tp_machine *machine;
    struct tp_reference *reference;
    float *reference_logits;  // [vocab]
    int32_t *logits;          // [vocab]
    tp_scorer *scorer;
    uint32_t vocab;
    uint32_t context;  // positions that both have
};

static tp_status open_run(const struct tp_source_model *origin, const struct tp_memory_image *image,
                          struct run *run, struct tp_error *error)
{
    assert(image->vocab == origin->shape.vocab);
    uint32_t context = image->plan.context;
    *run = (struct run){.vocab = image->vocab};
    run->context = context < origin->shape.context ? context : origin->shape.context;
    run->reference_logits = calloc(run->vocab, sizeof *run->reference_logits);
    run->logits = calloc(run->vocab, sizeof *run->logits);
    tp_status status = tp_scorer_create(&run->scorer, error);
    if (status == TP_OK && (run->reference_logits == NULL || run->logits == NULL)) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for scores");
    }
    if (status == TP_OK) {
        status = tp__reference_open(origin, run->context, &run->reference, error);
    }
    return status == TP_OK ? tp__memory_image_machine(image, &run->machine, error) : status;
}

static void close_run(struct run *run)
{
    tp_machine_destroy(run->machine);
    tp__reference_close(run->reference);
    tp_scorer_destroy(run->scorer);
    free(run->reference_logits);
    free(run->logits);
}

static void score_text(struct run *run, const uint32_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count && i < run->context; i++) {
        tp__reference_step(run->reference, tokens[i], i, run->reference_logits);
        (void)tp_machine_step(run->machine, 0, i, tokens[i], run->logits);
        tp_scorer_add_fixed(run->scorer, run->reference_logits, run->logits, run->vocab,
                            tokens[i + 1]);
    }
}

tp_status tp__score_image(const tp_context *context, const struct tp_source_model *origin,
                          const struct tp_memory_image *image, const struct tp_token_texts *texts,
                          struct tp_score *score, struct tp_error *error)
{
    struct run run;
    tp_status status = open_run(origin, image, &run, error);
    for (uint32_t text = 0; text < texts->count && status == TP_OK; text++) {
        uint32_t start = texts->starts[text];
        score_text(&run, texts->tokens + start, texts->starts[text + 1] - start);
        if (!tp__progress(context, "scoring", (text + 1.0) / texts->count)) {
            status = tp__fail(error, TP_ERROR_CANCELLED, "cancelled while scoring");
        }
    }
    if (status == TP_OK && run.scorer->tokens == 0) {
        status = tp__fail(error, TP_ERROR_INVALID, "there are no texts of two tokens to score");
    }
    if (status == TP_OK) {
        tp_scorer_get(run.scorer, score);
    }
    close_run(&run);
    return status;
}

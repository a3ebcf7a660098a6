// SPDX-License-Identifier: Apache-2.0
//
// Speed of the float32 forward pass on this machine's processor, one thread: tokens per second of
// generating greedily from an empty context, best of several repetitions, as one line of JSON. Time
// is that of the thread, so a busy machine disturbs less; a busy sibling or cache still does.
//
// Before anything is measured, the logits of each pass are held against those of host/reference.
//
// usage: processor MODEL TOKENS REPETITIONS [plant]   plant: a fault that the comparison must find

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "forward.h"
#include "reference.h"

static const struct {
    const char *name;
    struct forward *(*open)(const struct tp_source_model *model, uint32_t context);
    void (*close)(struct forward *forward);
    const float *(*step)(struct forward *forward, uint32_t token, uint32_t position);
} passes[] = {
    {"rows", forward_open_rows, forward_close_rows, forward_step_rows},
    {"rows, fast-math", forward_open_rows_fast, forward_close_rows_fast, forward_step_rows_fast},
    {"columns", forward_open_columns, forward_close_columns, forward_step_columns},
    {"columns, fast-math", forward_open_columns_fast, forward_close_columns_fast,
     forward_step_columns_fast},
};
enum { TOKENS_MAX = 4096 };
enum { PASSES = sizeof passes / sizeof *passes };

// Sums of some hundred products in another order.
#define LOGIT_TOLERANCE 2e-3

// Of this thread on its processor: what others take in between does not count.
static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint32_t best_of(const float *logits, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

// Seconds of one generation; last keeps the compiler from leaving work out.
static double run(size_t pass, struct forward *forward, uint32_t vocab, uint32_t tokens,
                  uint32_t *last)
{
    uint32_t token = vocab > 1 ? 1 : 0;
    double started = seconds_now();
    for (uint32_t position = 0; position < tokens; position++) {
        token = best_of(passes[pass].step(forward, token, position), vocab);
    }
    *last = token;
    return seconds_now() - started;
}

// Largest difference of a logit from the reference's, over the first tokens.
static int verify(const struct tp_source_model *model, uint32_t tokens, bool plant)
{
    struct tp_reference *reference = NULL;
    struct tp_error error;
    const uint32_t vocab = model->shape.vocab;
    float *expected = calloc(vocab, sizeof *expected);
    int status = 1;
    if (expected == NULL || tp__reference_open(model, tokens, &reference, &error) != TP_OK) {
        fprintf(stderr, "processor: no memory for the reference\n");
        free(expected);
        return 1;
    }
    for (size_t pass = 0; pass < PASSES; pass++) {
        struct forward *forward = passes[pass].open(model, tokens);
        double worst = forward != NULL ? 0 : INFINITY;
        uint32_t token = vocab > 1 ? 1 : 0;
        for (uint32_t position = 0; position < tokens && forward != NULL; position++) {
            tp__reference_step(reference, token, position, expected);
            const float *logits = passes[pass].step(forward, token, position);
            for (uint32_t i = 0; i < vocab; i++) {
                float planted = plant && position == tokens / 2 && i == 0 ? 0.01f : 0.0f;
                double difference = fabs((double)(logits[i] + planted) - (double)expected[i]);
                // A NaN is no small difference.
                worst = difference <= worst ? worst : difference;
            }
            token = best_of(expected, vocab);
        }
        passes[pass].close(forward);
        status = worst < LOGIT_TOLERANCE ? 0 : 1;
        if (status != 0) {
            fprintf(stderr, "processor: %s: a logit differs from the reference's by %g\n",
                    passes[pass].name, worst);
            break;
        }
    }
    tp__reference_close(reference);
    free(expected);
    return status;
}

static int measure(const struct tp_source_model *model, uint32_t tokens, uint32_t repetitions)
{
    printf("{\"tokens\": %" PRIu32 ", \"repetitions\": %" PRIu32 ", \"tokens_per_second\": {",
           tokens, repetitions);
    for (size_t pass = 0; pass < PASSES; pass++) {
        double best = 0;
        uint32_t last = 0;
        struct forward *forward = passes[pass].open(model, tokens);
        if (forward == NULL) {
            fprintf(stderr, "processor: no memory, or the model has biases or norms of heads\n");
            return 1;
        }
        for (uint32_t i = 0; i < repetitions; i++) {
            double seconds = run(pass, forward, model->shape.vocab, tokens, &last);
            best = i == 0 || seconds < best ? seconds : best;
        }
        passes[pass].close(forward);
        printf("%s\"%s\": %.1f", pass == 0 ? "" : ", ", passes[pass].name, tokens / best);
        fprintf(stderr, "%-20s %10.1f tokens per second (last token %" PRIu32 ")\n",
                passes[pass].name, tokens / best, last);
    }
    printf("}}\n");
    return 0;
}

int main(int argc, char **argv)
{
    struct tp_source_model model;
    struct tp_error error;
    bool plant = argc == 5 && strcmp(argv[4], "plant") == 0;
    bool sound = argc == 4 || plant;
    uint32_t tokens = sound ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t repetitions = sound ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (tokens == 0 || tokens > TOKENS_MAX || repetitions == 0) {
        fprintf(stderr, "usage: processor MODEL TOKENS REPETITIONS\n");
        return 2;
    }
    if (tp__source_model_load(argv[1], &model, &error) != TP_OK) {
        fprintf(stderr, "processor: %s\n", error.text);
        return 1;
    }
    int status = verify(&model, tokens, plant);
    status = status == 0 ? measure(&model, tokens, repetitions) : status;
    tp__source_model_free(&model);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// One matrix at a time: round, predict, put back.

#include "sensitivity.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "parallel.h"
#include "quantise_weights.h"
#include "reader.h"
#include "reference.h"

enum {
    TOKENS_MAX = 384,
    TOKENS_MIN = 32,
    WORK_MAX_LOG2 = 34,           // matrices * weights * tokens: larger models get fewer tokens
    SHARED_WEIGHTS_MAX = 1 << 26  // larger models are copied for one thread only
};

/* A thread's own model. */
struct worker {
    struct tp_source_model copy;
    struct tp_reference *reference;
    float *logits;
    tp_scorer *scorer;
    tp_status status;
    struct tp_error error;
};

struct work {
    const tp_context *context;
    const struct tp_source_model *source;
    const struct tp_token_texts *texts;
    uint32_t token_max;
    float *logits;  // [token_max][vocab] of the float model
    double *sensitivity;
    struct worker workers[TP_THREADS_MAX];
    uint32_t threads;
};

static uint32_t token_budget(const struct tp_model_shape *shape)
{
    uint64_t tokens = ((uint64_t)1 << WORK_MAX_LOG2) / tp__parameter_count(shape);
    tokens /= tp__matrix_count(shape);
    return tokens > TOKENS_MAX ? TOKENS_MAX : tokens < TOKENS_MIN ? TOKENS_MIN : (uint32_t)tokens;
}

/* Predicts the texts; the logits of each token go to all, or are scored against those. */
static void predict(const struct work *work, struct worker *worker, float *all)
{
    uint32_t vocab = work->source->shape.vocab;
    const struct tp_token_texts *texts = work->texts;
    for (uint32_t text = 0; text < texts->count; text++) {
        uint32_t first = texts->starts[text];
        for (uint32_t i = first; i + 1 < texts->starts[text + 1] && i < work->token_max; i++) {
            float *own = all != NULL ? all + (size_t)i * vocab : worker->logits;
            tp__reference_step(worker->reference, texts->tokens[i], i - first, own);
            if (all != NULL) continue;
            tp_scorer_add(worker->scorer, work->logits + (size_t)i * vocab, own, vocab,
                          texts->tokens[i + 1]);
        }
    }
}

/* ---- one matrix ---- */

/* Tensors of a matrix, which are rounded each by itself here. */
static const enum tp_tensor tensors[TP_MATRIX_COUNT][2] = {
    {TP_TENSOR_EMBEDDING, TP_TENSOR_COUNT}, {TP_TENSOR_CLASSIFIER, TP_TENSOR_COUNT},
    {TP_TENSOR_QUERY, TP_TENSOR_COUNT},     {TP_TENSOR_KEY, TP_TENSOR_COUNT},
    {TP_TENSOR_VALUE, TP_TENSOR_COUNT},     {TP_TENSOR_OUTPUT, TP_TENSOR_COUNT},
    {TP_TENSOR_GATE, TP_TENSOR_UP},         {TP_TENSOR_DOWN, TP_TENSOR_COUNT}};

static tp_status round_tensor(struct worker *worker, enum tp_tensor tensor, uint32_t layer)
{
    uint32_t rows;
    uint32_t columns;
    struct tp_quantised quantised;
    float *weights = tp__source_tensor_change(&worker->copy, tensor, layer);
    tp__tensor_size(&worker->copy.shape, tensor, &rows, &columns);
    tp_status status = tp__quantise_tensor(weights, rows, columns, 1.0, TP_FORMAT_NF4, "weights",
                                           &quantised, &worker->error);
    if (status != TP_OK) return status;
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t i = 0; i < columns; i++) {
            weights[(size_t)row * columns + i] = (float)tp__quantised_weight(&quantised, row, i);
        }
    }
    tp__quantised_free(&quantised);
    return TP_OK;
}

static void put_back(const struct work *work, struct worker *worker, enum tp_tensor tensor,
                     uint32_t layer)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&worker->copy.shape, tensor, &rows, &columns);
    memcpy(tp__source_tensor_change(&worker->copy, tensor, layer),
           tp__source_tensor(work->source, tensor, layer), (size_t)rows * columns * sizeof(float));
}

static tp_status measure_matrix(const struct work *work, struct worker *worker, uint32_t index)
{
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    if (matrix == TP_MATRIX_CLASSIFIER && work->source->shape.tied) return TP_OK;
    tp_status status = tp_scorer_create(&worker->scorer, &worker->error);
    for (int i = 0; i < 2 && status == TP_OK; i++) {
        enum tp_tensor tensor = tensors[matrix][i];
        if (tensor != TP_TENSOR_COUNT) status = round_tensor(worker, tensor, layer);
    }
    if (status != TP_OK) return status;
    predict(work, worker, NULL);
#ifdef TP_PLANT_BUG
    matrix = TP_MATRIX_EMBEDDING;  // the rounded one stays
#endif
    for (int i = 0; i < 2; i++) {
        enum tp_tensor tensor = tensors[matrix][i];
        if (tensor != TP_TENSOR_COUNT) put_back(work, worker, tensor, layer);
    }
    struct tp_score score;
    tp_scorer_get(worker->scorer, &score);
    tp_scorer_destroy(worker->scorer);
    worker->scorer = NULL;
    work->sensitivity[index] = score.divergence;
    return TP_OK;
}

/* Every thread has each so-manieth matrix; the first one reports. */
static void measure_matrices(void *user, uint32_t thread, uint32_t threads)
{
    struct work *work = user;
    struct worker *worker = &work->workers[thread];
    uint32_t count = tp__matrix_count(&work->source->shape);
    for (uint32_t i = thread; i < count && worker->status == TP_OK; i += threads) {
        worker->status = measure_matrix(work, worker, i);
        if (thread == 0 && worker->status == TP_OK &&
            !tp__progress(work->context, "measuring sensitivity", (i + 1.0) / count)) {
            worker->status = tp__fail(&worker->error, TP_ERROR_CANCELLED,
                                      "cancelled while measuring sensitivity");
        }
    }
}

/* ---- the whole ---- */

static tp_status open_worker(const struct work *work, struct worker *worker, uint32_t context,
                             struct tp_error *error)
{
    tp_status status = tp__source_model_copy(work->source, &worker->copy, error);
    if (status != TP_OK) return status;
    status = tp__reference_open(&worker->copy, context, &worker->reference, error);
    worker->logits = calloc(work->source->shape.vocab, sizeof *worker->logits);
    if (status == TP_OK && worker->logits == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to measure sensitivity");
    }
    return status;
}

static void close_worker(struct worker *worker)
{
    tp_scorer_destroy(worker->scorer);
    tp__reference_close(worker->reference);
    tp__source_model_free(&worker->copy);
    free(worker->logits);
}

static tp_status measure(struct work *work, struct tp_error *error)
{
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < work->threads && status == TP_OK; i++) {
        status = open_worker(work, &work->workers[i], work->token_max, error);
    }
    if (status != TP_OK) return status;
    predict(work, &work->workers[0], work->logits);
    tp__parallel(work->threads, measure_matrices, work);
    for (uint32_t i = 0; i < work->threads; i++) {
        if (work->workers[i].status == TP_OK) continue;
        if (error != NULL) *error = work->workers[i].error;
        return work->workers[i].status;
    }
    return TP_OK;
}

tp_status tp__measure_sensitivity(const tp_context *context, const struct tp_source_model *source,
                                  const struct tp_token_texts *texts, double *sensitivity,
                                  struct tp_error *error)
{
    assert(texts->count != 0);
    size_t logits = 0;
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to measure sensitivity");
    }
    *work = (struct work){.context = context,
                          .source = source,
                          .texts = texts,
                          .token_max = token_budget(&source->shape),
                          .sensitivity = sensitivity,
                          .threads = tp__thread_count()};
    memset(sensitivity, 0, tp__matrix_count(&source->shape) * sizeof *sensitivity);
    if (tp__parameter_count(&source->shape) > SHARED_WEIGHTS_MAX) work->threads = 1;
    if (tp__multiply(work->token_max, source->shape.vocab, &logits)) {
        work->logits = calloc(logits, sizeof *work->logits);
    }
    tp_status status = work->logits == NULL
                           ? tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to measure sensitivity")
                           : measure(work, error);
    for (uint32_t i = 0; i < work->threads; i++) close_worker(&work->workers[i]);
    free(work->logits);
    free(work);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// Two runs side by side, Hessians between them.

#include "sequential.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dequantise.h"
#include "gptq.h"
#include "internal.h"
#include "parallel.h"
#include "reader.h"
#include "reference.h"

enum { TILE = 4 };  // rows of a Hessian that are summed together

/* Damping of an edge, relative: the first for good measure, the second times columns / inputs,
 * because few inputs say little about many columns. */
static const double damping_least = 0.01;
static const double damping_scarce = 0.1;
/* Of an embedding that is the classifier too: as a table, all its columns count alike. */
static const double damping_table = 1.0;

/* One of the two runs: all positions of all texts, at the same place in the model. */
struct run {
    struct tp_reference *references[TP_THREADS_MAX];
    float *x;        // [tokens][dim] residual
    float *inputs;   // [tokens][widest] of the edge at hand, in the order of the model
    float *scratch;  // [threads][widest]
    double *laid;    // [tokens][columns] the inputs in the order of the layout
};

struct work {
    const tp_context *context;
    const struct tp_source_model *source;
    const struct tp_token_texts *texts;
    struct tp_quantised_model *model;
    struct tp_source_model rounded_source;  // de-quantised, as far as it goes
    struct run exact;
    struct run rounded;
    uint32_t threads;
    uint32_t tokens;
    uint32_t widest;       // input, in the order of the model
    uint32_t columns_max;  // of a matrix
    double *hessian;       // [columns][columns] sum of x x' of the rounded run
    double *cross;         // [columns][columns] sum of (exact x - rounded x) x'
    double *residual;      // [dim][columns] sum of (exact residual - rounded residual) x'
    float *weights;        // the matrix at hand
    float *row;            // [columns_max]
    double *targets;       // [threads][2][columns_max]

    // Of the edge at hand.
    uint32_t layer;
    enum tp_edge edge;  // TP_EDGES: the last one
    uint32_t columns;
    bool has_residual;
    struct tp_gptq_edge *factor;
    enum tp_matrix matrix;
    uint32_t rows;
};

/* ---- the runs ---- */

/* Moves one position from the edge before to the edge at hand. */
static void step(const struct work *work, const struct run *run, struct tp_reference *reference,
                 float *scratch, uint32_t token, uint32_t position)
{
    float *x = run->x + (size_t)token * work->source->shape.dim;
    float *input = run->inputs + (size_t)token * work->widest;
    uint32_t layer = work->layer;
    switch (work->edge) {
    case TP_EDGE_ATTENTION_NORM:
        if (layer != 0) tp__reference_add(reference, TP_TENSOR_DOWN, layer - 1, input, x);
        tp__reference_norm(reference, TP_TENSOR_NORM_ATTENTION, layer, x, input);
        break;
    case TP_EDGE_ATTENTION:
        memcpy(scratch, input, work->source->shape.dim * sizeof *scratch);
        tp__reference_attend(reference, layer, position, scratch, input);
        break;
    case TP_EDGE_FFN_NORM:
        tp__reference_add(reference, TP_TENSOR_OUTPUT, layer, input, x);
        tp__reference_norm(reference, TP_TENSOR_NORM_FFN, layer, x, input);
        break;
    case TP_EDGE_FFN:
        memcpy(scratch, input, work->source->shape.dim * sizeof *scratch);
        tp__reference_gate(reference, layer, scratch, input);
        break;
    case TP_EDGES:
        tp__reference_add(reference, TP_TENSOR_DOWN, layer - 1, input, x);
        tp__reference_norm(reference, TP_TENSOR_NORM_FINAL, 0, x, input);
        break;
    }
}

static void lay_out(const struct work *work, const struct run *run, uint32_t token, float *scratch)
{
    const float *input = run->inputs + (size_t)token * work->widest;
    double *laid = run->laid + (size_t)token * work->columns;
    if (work->edge == TP_EDGE_ATTENTION) {
        tp__layout_rows(&work->source->shape, TP_MATRIX_QUERY, input, scratch);
        input = scratch;
    }
    for (uint32_t i = 0; i < work->columns; i++) laid[i] = (double)input[i];
}

/* Every thread has each so-manieth text. */
static void step_texts(void *user, uint32_t thread, uint32_t threads)
{
    const struct work *work = user;
    const struct run *runs[] = {&work->exact, &work->rounded};
    for (uint32_t text = thread; text < work->texts->count; text += threads) {
        uint32_t first = work->texts->starts[text];
        for (uint32_t token = first; token < work->texts->starts[text + 1]; token++) {
            for (uint32_t i = 0; i < 2; i++) {
                float *scratch = runs[i]->scratch + (size_t)thread * work->columns_max;
                step(work, runs[i], runs[i]->references[thread], scratch, token, token - first);
                lay_out(work, runs[i], token, scratch);
            }
        }
    }
}

/* ---- Hessians ---- */

/* Adds TILE rows of the sums over all tokens: left (each row's own number) times right. */
static void add_tile(double *sums, uint32_t columns, uint32_t end, const double left[TILE],
                     const double *right)
{
    for (uint32_t k = 0; k < TILE; k++) {
        double *row = sums + (size_t)k * columns;
        double factor = left[k];
        for (uint32_t j = 0; j < end; j++) row[j] += factor * right[j];
    }
}

static void sum_tile(const struct work *work, uint32_t first)
{
    uint32_t n = work->columns;
    uint32_t dim = work->source->shape.dim;
    double left[TILE];
    for (uint32_t token = 0; token < work->tokens; token++) {
        const double *exact = work->exact.laid + (size_t)token * n;
        const double *rounded = work->rounded.laid + (size_t)token * n;
        if (first < n) {
            for (uint32_t k = 0; k < TILE; k++) {
                left[k] = first + k < n ? rounded[first + k] : 0.0;
            }
            add_tile(work->hessian + (size_t)first * n, n, n, left, rounded);
            for (uint32_t k = 0; k < TILE; k++) {
                left[k] = first + k < n ? exact[first + k] - rounded[first + k] : 0.0;
            }
#ifdef TP_PLANT_BUG
            for (uint32_t k = 0; k < TILE; k++) left[k] *= -20.0;
#endif
            add_tile(work->cross + (size_t)first * n, n, n, left, rounded);
        }
        if (work->has_residual && first < dim) {
            const float *from = work->exact.x + (size_t)token * dim;
            const float *to = work->rounded.x + (size_t)token * dim;
            for (uint32_t k = 0; k < TILE; k++) {
                bool exists = first + k < dim;
                left[k] = exists ? (double)from[first + k] - (double)to[first + k] : 0.0;
            }
            add_tile(work->residual + (size_t)first * n, n, n, left, rounded);
        }
    }
}

static void sum_tiles(void *user, uint32_t thread, uint32_t threads)
{
    const struct work *work = user;
    uint32_t dim = work->has_residual ? work->source->shape.dim : 0;
    uint32_t end = work->columns > dim ? work->columns : dim;
    for (uint32_t first = thread * TILE; first < end; first += threads * TILE) {
        sum_tile(work, first);
    }
}

static tp_status sum_edge(struct work *work, struct tp_error *error)
{
    size_t n = work->columns;
    size_t padded = (n + TILE) * n;
    memset(work->hessian, 0, padded * sizeof *work->hessian);
    memset(work->cross, 0, padded * sizeof *work->cross);
    memset(work->residual, 0,
           ((size_t)work->source->shape.dim + TILE) * n * sizeof *work->residual);
    tp__parallel(work->threads, sum_tiles, work);
    bool is_table = work->edge == TP_EDGES && work->source->shape.tied;
    double damping =
        is_table ? damping_table : damping_least + damping_scarce * (double)n / work->tokens;
    return tp__gptq_edge_make(work->hessian, work->columns, damping, &work->factor, error);
}

/* ---- targets ---- */

/* w += (w (cross) + residual) / hessian, for each so-manieth row. */
static void correct_rows(void *user, uint32_t thread, uint32_t threads)
{
    const struct work *work = user;
    size_t n = work->columns;
    double *change = work->targets + (size_t)thread * 2 * work->columns_max;
    double *middle = change + work->columns_max;
    for (uint32_t r = thread; r < work->rows; r += threads) {
        float *weights = work->weights + r * n;
        memset(change, 0, n * sizeof *change);
        for (size_t i = 0; i < n; i++) {
            double weight = (double)weights[i];
            if (weight == 0.0) continue;
            const double *cross = work->cross + i * n;
            for (size_t j = 0; j < n; j++) change[j] += weight * cross[j];
        }
        for (size_t j = 0; work->has_residual && j < n; j++) {
            change[j] += work->residual[r * n + j];
        }
        tp__gptq_solve(work->factor, change, middle, change);
        for (size_t j = 0; j < n; j++) weights[j] = (float)((double)weights[j] + change[j]);
    }
}

/* Rounds the matrix at hand. The embedding is looked up too, so its numbers keep their meaning:
 * it has no other target than itself. */
static tp_status round_matrix(struct work *work, enum tp_matrix matrix, struct tp_error *error)
{
    uint32_t index = tp__matrix_index(matrix, work->layer);
    const struct tp_quantised_matrix *to = &work->model->matrices[index];
    double multiplier = tp__matrix_multiplier(&work->model->shape, matrix);
    struct tp_weight_format format = {.is_8_bit = to->planes == 2};
    struct tp_quantised quantised;
    struct tp_grid grid;
    memcpy(format.codebook, to->codebook, sizeof format.codebook);
    tp__grid_make(&format, &grid);
    tp__layout_matrix(work->source, matrix, work->layer, work->weights);
    work->matrix = matrix;
    work->rows = to->rows;
    tp_status status = TP_OK;
    if (work->factor == NULL ||
        tp__grid_holds(&grid, work->weights, to->rows, to->columns, multiplier)) {
        status = tp__quantise_plain(work->weights, to->rows, to->columns, multiplier, &format,
                                    tp__matrix_name(matrix), &quantised, error);
    } else {
        if (matrix != TP_MATRIX_EMBEDDING) tp__parallel(work->threads, correct_rows, work);
        status = tp__quantise_gptq(work->weights, to->rows, to->columns, multiplier, &format,
                                   work->factor, work->threads, tp__matrix_name(matrix), &quantised,
                                   error);
    }
    if (status == TP_OK) {
        tp__quantised_take(work->model, index, &quantised);
        tp__quantised_free(&quantised);
        tp__dequantise_matrix(work->model, index, work->row, &work->rounded_source);
    }
    return status;
}

/* ---- edges ---- */

/* Matrices that an edge feeds, ended by TP_MATRIX_COUNT. */
static const enum tp_matrix fed[TP_EDGES + 1][4] = {
    [TP_EDGE_ATTENTION_NORM] = {TP_MATRIX_QUERY, TP_MATRIX_KEY, TP_MATRIX_VALUE, TP_MATRIX_COUNT},
    [TP_EDGE_ATTENTION] = {TP_MATRIX_OUTPUT, TP_MATRIX_COUNT},
    [TP_EDGE_FFN_NORM] = {TP_MATRIX_GATE_UP, TP_MATRIX_COUNT},
    [TP_EDGE_FFN] = {TP_MATRIX_DOWN, TP_MATRIX_COUNT},
    [TP_EDGES] = {TP_MATRIX_CLASSIFIER, TP_MATRIX_COUNT}};

static tp_status round_edge(struct work *work, struct tp_error *error)
{
    bool is_last = work->edge == TP_EDGES;
    enum tp_matrix first = fed[work->edge][0];
    if (is_last && work->source->shape.tied) first = TP_MATRIX_EMBEDDING;
    work->columns = tp__quantised_matrix(work->model, first, is_last ? 0 : work->layer)->columns;
    work->has_residual = work->edge == TP_EDGE_ATTENTION || work->edge == TP_EDGE_FFN;
    tp__parallel(work->threads, step_texts, work);
    tp_status status = sum_edge(work, error);
    if (is_last) work->layer = 0;
    if (status == TP_OK && first == TP_MATRIX_EMBEDDING) {
        status = round_matrix(work, first, error);
    }
    for (int i = 0; status == TP_OK && first != TP_MATRIX_EMBEDDING; i++) {
        if (fed[work->edge][i] == TP_MATRIX_COUNT) break;
        status = round_matrix(work, fed[work->edge][i], error);
    }
    tp__gptq_edge_free(work->factor);
    work->factor = NULL;
    return status;
}

/* An embedding of 8 bits that is the classifier too is well rounded already. */
static bool needs_last_edge(const struct work *work)
{
    return !work->source->shape.tied ||
           tp__quantised_matrix(work->model, TP_MATRIX_EMBEDDING, 0)->planes != 2;
}

static tp_status round_edges(struct work *work, struct tp_error *error)
{
    const struct tp_model_shape *shape = &work->source->shape;
    uint32_t edges = tp__edge_count(shape);
    for (uint32_t i = 0; i < edges; i++) {
        if (i + 1 == edges && !needs_last_edge(work)) break;
        work->layer = i / TP_EDGES;
        work->edge = i + 1 == edges ? TP_EDGES : (enum tp_edge)(i % TP_EDGES);
        tp_status status = round_edge(work, error);
        if (status != TP_OK) return status;
        if (!tp__progress(work->context, "quantising", (i + 1.0) / edges)) {
            return tp__fail(error, TP_ERROR_CANCELLED, "cancelled while quantising");
        }
    }
    return TP_OK;
}

/* Both runs begin with their embedding, the second with one that is rounded plainly. */
static tp_status start(struct work *work, struct tp_error *error)
{
    tp_status status = round_matrix(work, TP_MATRIX_EMBEDDING, error);
    if (status != TP_OK) return status;
    size_t dim = work->source->shape.dim;
    const float *exact = tp__source_tensor(work->source, TP_TENSOR_EMBEDDING, 0);
    const float *rounded = tp__source_tensor(&work->rounded_source, TP_TENSOR_EMBEDDING, 0);
    for (uint32_t i = 0; i < work->tokens; i++) {
        size_t token = work->texts->tokens[i];
        memcpy(work->exact.x + i * dim, exact + token * dim, dim * sizeof *exact);
        memcpy(work->rounded.x + i * dim, rounded + token * dim, dim * sizeof *rounded);
    }
    return TP_OK;
}

/* ---- memory ---- */

static void *take(size_t a, size_t b, size_t size)
{
    size_t count = 0;
    return tp__multiply(a, b, &count) ? calloc(count, size) : NULL;
}

static tp_status open_run(struct work *work, const struct tp_source_model *model, struct run *run,
                          uint32_t context, struct tp_error *error)
{
    run->x = take(work->tokens, work->source->shape.dim, sizeof *run->x);
    run->inputs = take(work->tokens, work->widest, sizeof *run->inputs);
    run->scratch = take(work->threads, work->columns_max, sizeof *run->scratch);
    run->laid = take(work->tokens, work->columns_max, sizeof *run->laid);
    if (run->x == NULL || run->inputs == NULL || run->scratch == NULL || run->laid == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to quantise with %u tokens of text",
                        (unsigned)work->tokens);
    }
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < work->threads && status == TP_OK; i++) {
        status = tp__reference_open(model, context, &run->references[i], error);
    }
    return status;
}

static void close_run(struct run *run)
{
    for (uint32_t i = 0; i < TP_THREADS_MAX; i++) tp__reference_close(run->references[i]);
    free(run->x);
    free(run->inputs);
    free(run->scratch);
    free(run->laid);
}

static void measure(struct work *work, size_t *elements, uint32_t *context)
{
    const struct tp_model_shape *shape = &work->source->shape;
    uint32_t query = shape->heads * shape->head_size;
    work->tokens = work->texts->starts[work->texts->count];
    work->widest = shape->dim > shape->hidden ? shape->dim : shape->hidden;
    work->widest = query > work->widest ? query : work->widest;
    work->columns_max = work->widest;
    *elements = 0;
    for (uint32_t i = 0; i < tp__matrix_count(shape); i++) {
        const struct tp_quantised_matrix *matrix = &work->model->matrices[i];
        size_t own = (size_t)matrix->rows * matrix->columns;
        *elements = own > *elements ? own : *elements;
        if (matrix->columns > work->columns_max) work->columns_max = matrix->columns;
    }
    *context = 0;
    for (uint32_t text = 0; text < work->texts->count; text++) {
        uint32_t length = work->texts->starts[text + 1] - work->texts->starts[text];
        *context = length > *context ? length : *context;
    }
}

static tp_status open_work(struct work *work, struct tp_error *error)
{
    size_t elements;
    uint32_t context;
    measure(work, &elements, &context);
    size_t n = work->columns_max;
    work->hessian = take(n + TILE, n, sizeof *work->hessian);
    work->cross = take(n + TILE, n, sizeof *work->cross);
    work->residual = take((size_t)work->source->shape.dim + TILE, n, sizeof *work->residual);
    work->weights = take(elements, 1, sizeof *work->weights);
    work->row = take(n, 1, sizeof *work->row);
    work->targets = take(2 * n, work->threads, sizeof *work->targets);
    if (work->hessian == NULL || work->cross == NULL || work->residual == NULL ||
        work->weights == NULL || work->row == NULL || work->targets == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to quantise %u columns", (unsigned)n);
    }
    tp_status status = tp__dequantise_open(
        work->model, work->source->name, work->source->architecture, &work->rounded_source, error);
    if (status == TP_OK) status = open_run(work, work->source, &work->exact, context, error);
    if (status == TP_OK) {
        status = open_run(work, &work->rounded_source, &work->rounded, context, error);
    }
    return status;
}

static void close_work(struct work *work)
{
    close_run(&work->exact);
    close_run(&work->rounded);
    tp__source_model_free(&work->rounded_source);
    free(work->hessian);
    free(work->cross);
    free(work->residual);
    free(work->weights);
    free(work->row);
    free(work->targets);
}

tp_status tp__quantise_sequentially(const tp_context *context, const struct tp_source_model *source,
                                    const struct tp_token_texts *texts,
                                    struct tp_quantised_model *model, struct tp_error *error)
{
    assert(texts->count != 0 && model->payload != NULL);
    struct work work = {.context = context,
                        .source = source,
                        .texts = texts,
                        .model = model,
                        .threads = tp__thread_count()};
    tp_status status = open_work(&work, error);
    if (status == TP_OK) status = start(&work, error);
    if (status == TP_OK) status = round_edges(&work, error);
    close_work(&work);
    return status;
}

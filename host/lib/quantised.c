// SPDX-License-Identifier: Apache-2.0
//
// Quantised models: their memory, and how they are made from float weights.

#include "quantised.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "learn_codebook.h"
#include "payload.h"
#include "sequential.h"

static uint32_t rows_of(const struct tp_model_shape *shape, enum tp_matrix matrix)
{
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__matrix_size(shape, matrix, &rows, &columns);
    return rows;
}

// Of a layer.
static size_t bias_count(const struct tp_model_shape *shape)
{
    return (size_t)rows_of(shape, TP_MATRIX_QUERY) + rows_of(shape, TP_MATRIX_KEY) +
           rows_of(shape, TP_MATRIX_VALUE);
}

tp_status tp__quantised_outline(const struct tp_model_shape *shape, const tp_format *formats,
                                struct tp_quantised_model *model, struct tp_error *error)
{
    uint32_t count = tp__matrix_count(shape);
    struct tp_quantised_model made = {.shape = *shape,
                                      .formats = calloc(count, sizeof *made.formats),
                                      .matrices = calloc(count, sizeof *made.matrices)};
    if (made.formats == NULL || made.matrices == NULL) {
        tp__quantised_model_free(&made);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a quantised model");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tp_quantised_matrix *matrix = &made.matrices[i];
        uint32_t layer = 0;
        made.formats[i] = formats[i];
        tp__matrix_size(shape, tp__matrix_at(i, &layer), &matrix->rows, &matrix->columns);
        matrix->blocks = (matrix->columns - 1) / TP_WEIGHT_BLOCK + 1;
        matrix->planes = tp__format_planes(formats[i]);
        const struct tp_weight_format numbers = tp__weight_format(formats[i]);
        memcpy(matrix->codebook, numbers.codebook, sizeof matrix->codebook);
    }
    made.payload_bytes = tp__payload_lay_out(&made, NULL);
    *model = made;
    return TP_OK;
}

void tp__quantised_model_free(struct tp_quantised_model *model)
{
    free(model->formats);
    free(model->matrices);
    if (model->owns_payload) {
        free(model->payload);
    }
    *model = (struct tp_quantised_model){0};
}

// ---- quantising ----

// Codes of a matrix into the payload.
void tp__quantised_take(struct tp_quantised_model *model, uint32_t index,
                        const struct tp_quantised *from)
{
    struct tp_quantised_matrix *to = &model->matrices[index];
    assert(from->rows == to->rows && from->blocks == to->blocks && from->planes == to->planes);
    size_t blocks = (size_t)to->rows * to->blocks;
    to->shift = from->shift;
    to->bound = from->bound;
    memcpy(to->codebook, from->codebook, sizeof to->codebook);
    memcpy(to->scales, from->scales, blocks);
    if (to->planes == 2) {
        memcpy(to->codes, from->codes, blocks * TP_WEIGHT_BLOCK);
        return;
    }
    for (size_t i = 0; i < blocks * (TP_WEIGHT_BLOCK / 2); i++) {
        to->codes[i] = (uint8_t)(from->codes[2 * i] | from->codes[2 * i + 1] << 4);
    }
}

// weights: room for the largest matrix.
static tp_status quantise_matrix(const struct tp_source_model *source,
                                 struct tp_quantised_model *model, uint32_t index, float *weights,
                                 struct tp_error *error)
{
    const struct tp_quantised_matrix *to = &model->matrices[index];
    struct tp_quantised quantised;
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    tp__layout_matrix(source, matrix, layer, weights);
    struct tp_weight_format format = {.is_8_bit = to->planes == 2};
    memcpy(format.codebook, to->codebook, sizeof format.codebook);
    tp_status status = tp__quantise_plain(weights, to->rows, to->columns,
                                          tp__matrix_multiplier(&model->shape, matrix), &format,
                                          tp__matrix_name(matrix), &quantised, error);
    if (status == TP_OK) {
        tp__quantised_take(model, index, &quantised);
        tp__quantised_free(&quantised);
    }
    return status;
}

static size_t elements_max(const struct tp_quantised_model *model)
{
    size_t most = 0;
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape); i++) {
        size_t elements = (size_t)model->matrices[i].rows * model->matrices[i].columns;
        most = elements > most ? elements : most;
    }
    return most;
}

static tp_status quantise_matrices(const tp_context *context, const struct tp_source_model *source,
                                   struct tp_quantised_model *model, float *weights,
                                   struct tp_error *error)
{
    uint32_t count = tp__matrix_count(&model->shape);
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        if (model->matrices[i].rows != 0) {
            status = quantise_matrix(source, model, i, weights, error);
        }
        if (status == TP_OK && !tp__progress(context, "quantising", (i + 1.0) / count)) {
            status = tp__fail(error, TP_ERROR_CANCELLED, "cancelled while quantising");
        }
    }
    return status;
}

// The codebook that all matrices of the format learned share.
static tp_status learn_codebook(const struct tp_source_model *source,
                                struct tp_quantised_model *model, float *weights,
                                struct tp_error *error)
{
    uint32_t count = tp__matrix_count(&model->shape);
    int8_t codebook[TP_CODEBOOK_SIZE];
    struct tp_codebook_learner *learner = NULL;
    tp_status status = tp__learner_make(&learner, error);
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        const struct tp_quantised_matrix *matrix = &model->matrices[i];
        uint32_t layer = 0;
        enum tp_matrix which = tp__matrix_at(i, &layer);
        if (model->formats[i] != TP_FORMAT_LEARNED || matrix->rows == 0) {
            continue;
        }
        tp__layout_matrix(source, which, layer, weights);
        status = tp__learner_add(learner, weights, matrix->rows, matrix->columns, error);
    }
    if (status == TP_OK) {
        tp__learner_finish(learner, codebook);
    }
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        if (model->formats[i] == TP_FORMAT_LEARNED) {
            memcpy(model->matrices[i].codebook, codebook, sizeof codebook);
        }
    }
    tp__learner_free(learner);
    return status;
}

static bool has_format(const struct tp_quantised_model *model, tp_format format)
{
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape); i++) {
        if (model->formats[i] == format) {
            return true;
        }
    }
    return false;
}

static tp_status fill_matrices(const tp_context *context, const struct tp_source_model *source,
                               const struct tp_token_texts *texts, struct tp_quantised_model *model,
                               struct tp_error *error)
{
    float *weights = calloc(elements_max(model), sizeof *weights);
    if (weights == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a matrix");
    }
    tp_status status = TP_OK;
    if (has_format(model, TP_FORMAT_LEARNED)) {
        status = learn_codebook(source, model, weights, error);
    }
    if (status == TP_OK && texts == NULL) {
        status = quantise_matrices(context, source, model, weights, error);
    }
    free(weights);
    if (status == TP_OK && texts != NULL) {
        status = tp__quantise_sequentially(context, source, texts, model, error);
    }
    return status;
}

static void take_tensor(const struct tp_source_model *source, enum tp_tensor tensor, uint32_t layer,
                        float *to)
{
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__tensor_size(&source->shape, tensor, &rows, &columns);
    memcpy(to, tp__source_tensor(source, tensor, layer), (size_t)rows * columns * sizeof *to);
}

static void take_biases(const struct tp_source_model *source, uint32_t layer,
                        struct tp_quantised_model *model)
{
    static const enum tp_tensor tensors[] = {TP_TENSOR_QUERY_BIAS, TP_TENSOR_KEY_BIAS,
                                             TP_TENSOR_VALUE_BIAS};
    float *to = model->biases + layer * bias_count(&model->shape);
    for (uint32_t i = 0; i < 3; i++) {
        enum tp_matrix matrix = (enum tp_matrix)(TP_MATRIX_QUERY + i);
        tp__layout_rows(&model->shape, matrix, tp__source_tensor(source, tensors[i], layer), to);
        to += rows_of(&model->shape, matrix);
    }
}

// Everything that stays a float.
static void take_vectors(const struct tp_source_model *source,
                         const struct tp_calibration *calibration, struct tp_quantised_model *model)
{
    const struct tp_model_shape *shape = &model->shape;
    size_t keys = (size_t)shape->kv_heads * shape->head_size;
    float *gains = model->norm_gains;
    float *head_gains = model->head_gains;
    for (uint32_t layer = 0; layer < shape->layers; layer++) {
        take_tensor(source, TP_TENSOR_NORM_ATTENTION, layer, gains);
        take_tensor(source, TP_TENSOR_NORM_FFN, layer, gains + shape->dim);
        gains += 2 * (size_t)shape->dim;
        if (shape->has_head_norm) {
            take_tensor(source, TP_TENSOR_QUERY_NORM, layer, head_gains);
            take_tensor(source, TP_TENSOR_KEY_NORM, layer, head_gains + shape->head_size);
            head_gains += 2 * (size_t)shape->head_size;
        }
        if (shape->has_bias) {
            take_biases(source, layer, model);
        }
        if (calibration != NULL) {
            tp__layout_rows(shape, TP_MATRIX_KEY, calibration->key_mean + layer * keys,
                            model->key_means + (size_t)layer * rows_of(shape, TP_MATRIX_KEY));
        }
    }
    take_tensor(source, TP_TENSOR_NORM_FINAL, 0, gains);
    for (uint32_t j = 0; j < shape->head_size / 2; j++) {
        model->frequencies[j] = tp__source_frequency(source, j);
    }
    for (uint32_t edge = 0; edge < tp__edge_count(shape); edge++) {
        model->exponent_max[edge] =
            calibration == NULL ? TP_EXPONENT_MAX : calibration->exponent_max[edge];
    }
}

tp_status tp__quantise_model(const tp_context *context, const struct tp_source_model *source,
                             const tp_format *formats, const struct tp_calibration *calibration,
                             const struct tp_token_texts *texts, struct tp_quantised_model *model,
                             struct tp_error *error)
{
    struct tp_quantised_model made;
    tp_status status = tp__quantised_outline(&source->shape, formats, &made, error);
    if (status != TP_OK) {
        return status;
    }
    made.payload = calloc(1, made.payload_bytes);
    made.owns_payload = true;
    if (made.payload == NULL) {
        tp__quantised_model_free(&made);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a quantised model");
    }
    (void)tp__payload_lay_out(&made, made.payload);
    take_vectors(source, calibration, &made);
    status = fill_matrices(context, source, texts, &made, error);
    if (status != TP_OK) {
        tp__quantised_model_free(&made);
        return status;
    }
    tp__payload_write_table(&made);
    *model = made;
    return TP_OK;
}

// ---- reading ----

const struct tp_quantised_matrix *tp__quantised_matrix(const struct tp_quantised_model *model,
                                                       enum tp_matrix matrix, uint32_t layer)
{
    return &model->matrices[tp__matrix_index(matrix, layer)];
}

uint64_t tp__matrix_bytes(const struct tp_quantised_matrix *matrix)
{
    return (uint64_t)matrix->rows * matrix->blocks * (TP_WEIGHT_BLOCK / 2 * matrix->planes + 1);
}

uint64_t tp__quantised_matrix_bytes(const struct tp_quantised_model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape); i++) {
        bytes += tp__matrix_bytes(&model->matrices[i]);
    }
    return bytes;
}

const float *tp__quantised_gains(const struct tp_quantised_model *model, uint32_t norm)
{
    return model->norm_gains + (size_t)norm * model->shape.dim;
}

const float *tp__quantised_head_gains(const struct tp_quantised_model *model, uint32_t layer,
                                      enum tp_matrix matrix)
{
    assert(model->shape.has_head_norm && (matrix == TP_MATRIX_QUERY || matrix == TP_MATRIX_KEY));
    return model->head_gains +
           (2 * (size_t)layer + (matrix == TP_MATRIX_KEY)) * model->shape.head_size;
}

const float *tp__quantised_bias(const struct tp_quantised_model *model, uint32_t layer,
                                enum tp_matrix matrix)
{
    assert(matrix >= TP_MATRIX_QUERY && matrix <= TP_MATRIX_VALUE);
    const struct tp_model_shape *shape = &model->shape;
    if (!shape->has_bias) {
        return NULL;
    }
    const float *bias = model->biases + layer * bias_count(shape);
    bias += matrix != TP_MATRIX_QUERY ? rows_of(shape, TP_MATRIX_QUERY) : 0;
    return bias + (matrix == TP_MATRIX_VALUE ? rows_of(shape, TP_MATRIX_KEY) : 0);
}

const float *tp__quantised_key_means(const struct tp_quantised_model *model, uint32_t layer)
{
    return model->key_means + (size_t)layer * rows_of(&model->shape, TP_MATRIX_KEY);
}

void tp__quantised_block(const struct tp_quantised_matrix *matrix, uint32_t row, uint32_t block,
                         int8_t values[TP_WEIGHT_BLOCK])
{
    assert(row < matrix->rows && block < matrix->blocks);
    size_t index = (size_t)row * matrix->blocks + block;
    const uint8_t *codes = matrix->codes + index * (TP_WEIGHT_BLOCK / 2) * matrix->planes;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        values[i] = matrix->planes == 2 ? (int8_t)codes[i]
                                        : matrix->codebook[codes[i / 2] >> (4 * (i % 2)) & 15];
    }
}

void tp__quantised_row(const struct tp_quantised_matrix *matrix, uint32_t row, float *weights)
{
    for (uint32_t block = 0; block < matrix->blocks; block++) {
        int8_t values[TP_WEIGHT_BLOCK];
        uint32_t first = block * TP_WEIGHT_BLOCK;
        uint8_t scale = matrix->scales[(size_t)row * matrix->blocks + block];
        double step = ldexp(16 + (scale & 15), (scale >> 4) - matrix->shift);
        tp__quantised_block(matrix, row, block, values);
        for (uint32_t i = 0; i < TP_WEIGHT_BLOCK && first + i < matrix->columns; i++) {
            weights[first + i] = (float)(values[i] * step);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The way of layout.c and quantised.c backwards.

#include "dequantise.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const enum tp_tensor tensors[TP_MATRIX_COUNT] = {
    TP_TENSOR_EMBEDDING, TP_TENSOR_CLASSIFIER, TP_TENSOR_QUERY, TP_TENSOR_KEY,
    TP_TENSOR_VALUE,     TP_TENSOR_OUTPUT,     TP_TENSOR_GATE,  TP_TENSOR_DOWN};

// Zeroed room for all tensors that the shape has.
static tp_status take_memory(struct tp_source_model *source, struct tp_error *error)
{
    tp_status status = tp__source_model_prepare(source, error);
    for (int t = 0; t < TP_TENSOR_COUNT && status == TP_OK; t++) {
        enum tp_tensor tensor = (enum tp_tensor)t;
        bool exists = tp__tensor_exists(&source->shape, tensor) &&
                      !(tensor == TP_TENSOR_CLASSIFIER && source->shape.tied);
        uint32_t layers = exists ? tp__tensor_layers(&source->shape, tensor) : 0;
        for (uint32_t layer = 0; layer < layers && status == TP_OK; layer++) {
            status = tp__source_tensor_take(source, tensor, layer, error);
        }
    }
    if (status == TP_OK && source->shape.tied) {
        tp__source_tensor_tie(source);
    }
    return status;
}

// Queries, keys and values lose their padding rows and what was multiplied into them.
static void give_head_rows(const struct tp_quantised_matrix *q, enum tp_matrix matrix, float *row,
                           const struct tp_model_shape *shape, float *to)
{
    double multiplier = tp__matrix_multiplier(shape, matrix);
    for (uint32_t r = 0; r < q->rows; r++) {
        uint32_t source = 0;
        if (!tp__layout_head_row(shape, matrix, r, &source)) {
            continue;
        }
        tp__quantised_row(q, r, row);
        for (uint32_t i = 0; i < q->columns; i++) {
            to[(size_t)source * q->columns + i] = (float)((double)row[i] / multiplier);
        }
    }
}

static void give_output(const struct tp_quantised_matrix *q, float *row,
                        const struct tp_model_shape *shape, float *to)
{
    size_t columns = (size_t)shape->heads * shape->head_size;
    for (uint32_t r = 0; r < q->rows; r++) {
        tp__quantised_row(q, r, row);
        for (uint32_t i = 0; i < q->columns; i++) {
            uint32_t source = 0;
            if (tp__layout_head_row(shape, TP_MATRIX_QUERY, i, &source)) {
                to[r * columns + source] = row[i];
            }
        }
    }
}

static void give_gate_up(const struct tp_quantised_matrix *q, float *gate, float *up)
{
    for (uint32_t r = 0; r < q->rows; r++) {
        tp__quantised_row(q, r, (r % 2 == 0 ? gate : up) + (size_t)(r / 2) * q->columns);
    }
}

void tp__dequantise_matrix(const struct tp_quantised_model *model, uint32_t index, float *row,
                           struct tp_source_model *source)
{
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    const struct tp_quantised_matrix *q = &model->matrices[index];
    float *to = tp__source_tensor_change(source, tensors[matrix], layer);
    switch (matrix) {
    case TP_MATRIX_QUERY:
    case TP_MATRIX_KEY:
    case TP_MATRIX_VALUE:
        give_head_rows(q, matrix, row, &model->shape, to);
        break;
    case TP_MATRIX_OUTPUT:
        give_output(q, row, &model->shape, to);
        break;
    case TP_MATRIX_GATE_UP:
        give_gate_up(q, to, tp__source_tensor_change(source, TP_TENSOR_UP, layer));
        break;
    default:
        for (uint32_t r = 0; r < q->rows; r++) {
            tp__quantised_row(q, r, to + (size_t)r * q->columns);
        }
        break;
    }
}

static void give(const float *from, enum tp_tensor tensor, uint32_t layer,
                 struct tp_source_model *source)
{
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__tensor_size(&source->shape, tensor, &rows, &columns);
    memcpy(tp__source_tensor_change(source, tensor, layer), from,
           (size_t)rows * columns * sizeof *from);
}

static void give_vectors(const struct tp_quantised_model *model, uint32_t layer,
                         struct tp_source_model *source)
{
    const struct tp_model_shape *shape = &model->shape;
    give(tp__quantised_gains(model, 2 * layer), TP_TENSOR_NORM_ATTENTION, layer, source);
    give(tp__quantised_gains(model, 2 * layer + 1), TP_TENSOR_NORM_FFN, layer, source);
    for (uint32_t i = 0; i < 2 && shape->has_head_norm; i++) {
        give(tp__quantised_head_gains(model, layer, (enum tp_matrix)(TP_MATRIX_QUERY + i)),
             (enum tp_tensor)(TP_TENSOR_QUERY_NORM + i), layer, source);
    }
    for (uint32_t i = 0; i < 3 && shape->has_bias; i++) {
        enum tp_matrix matrix = (enum tp_matrix)(TP_MATRIX_QUERY + i);
        const float *bias = tp__quantised_bias(model, layer, matrix);
        float *to =
            tp__source_tensor_change(source, (enum tp_tensor)(TP_TENSOR_QUERY_BIAS + i), layer);
        for (uint32_t r = 0; r < tp__quantised_matrix(model, matrix, layer)->rows; r++) {
            uint32_t row = 0;
            if (tp__layout_head_row(shape, matrix, r, &row)) {
                to[row] = bias[r];
            }
        }
    }
}

static uint32_t longest_row(const struct tp_quantised_model *model)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape); i++) {
        uint32_t columns = model->matrices[i].columns;
        longest = columns > longest ? columns : longest;
    }
    return longest;
}

// Without its constants, quantising the floats again would give the same codes in another image.
static tp_status give_constants(const struct tp_quantised_model *model,
                                struct tp_source_model *source, struct tp_error *error)
{
    const struct tp_model_shape *shape = &model->shape;
    size_t of_layer = (size_t)shape->kv_heads * shape->head_size;
    uint32_t edges = tp__edge_count(shape);
    source->key_means = calloc(shape->layers * of_layer, sizeof *source->key_means);
    source->exponent_max = malloc(edges);
    if (source->key_means == NULL || source->exponent_max == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for constants", source->name);
    }
    memcpy(source->exponent_max, model->exponent_max, edges);
    for (uint32_t layer = 0; layer < shape->layers; layer++) {
        const float *means = tp__quantised_key_means(model, layer);
        uint32_t rows = tp__quantised_matrix(model, TP_MATRIX_KEY, layer)->rows;
        for (uint32_t r = 0; r < rows; r++) {
            uint32_t row = 0;
            if (tp__layout_head_row(shape, TP_MATRIX_KEY, r, &row)) {
                source->key_means[layer * of_layer + row] = means[r];
            }
        }
    }
    return TP_OK;
}

tp_status tp__dequantise_open(const struct tp_quantised_model *model, const char *name,
                              const char *architecture, struct tp_source_model *source,
                              struct tp_error *error)
{
    assert(model->payload != NULL);
    struct tp_source_model made = {.shape = model->shape,
                                   .format = "image of tokproc",
                                   .architecture = architecture,
                                   .name = malloc(strlen(name) + 1)};
    if (made.name == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its name", name);
    }
    memcpy(made.name, name, strlen(name) + 1);
    tp_status status = take_memory(&made, error);
    if (status == TP_OK) {
        status = give_constants(model, &made, error);
    }
    if (status != TP_OK) {
        tp__source_model_free(&made);
        return status;
    }
    for (uint32_t layer = 0; layer < model->shape.layers; layer++) {
        give_vectors(model, layer, &made);
    }
    give(tp__quantised_gains(model, 2 * model->shape.layers), TP_TENSOR_NORM_FINAL, 0, &made);
    memcpy(made.rope_frequency, model->frequencies,
           model->shape.head_size / 2 * sizeof *made.rope_frequency);
    *source = made;
    return TP_OK;
}

tp_status tp__dequantise(const struct tp_quantised_model *model, const char *name,
                         const char *architecture, struct tp_source_model *source,
                         struct tp_error *error)
{
    float *row = calloc(longest_row(model), sizeof *row);
    if (row == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for a row", name);
    }
    tp_status status = tp__dequantise_open(model, name, architecture, source, error);
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape) && status == TP_OK; i++) {
        if (model->matrices[i].rows != 0) {
            tp__dequantise_matrix(model, i, row, source);
        }
    }
    free(row);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// Models rounded to number types of GGUF files, as a measure beside the formats of the device.

#include <stdio.h>

#include "ggml_formats.h"
#include "internal.h"

enum { BLOCK = 32 };

static bool is_matrix(enum tp_tensor tensor)
{
    switch (tensor) {
    case TP_TENSOR_EMBEDDING:
    case TP_TENSOR_CLASSIFIER:
    case TP_TENSOR_QUERY:
    case TP_TENSOR_KEY:
    case TP_TENSOR_VALUE:
    case TP_TENSOR_OUTPUT:
    case TP_TENSOR_GATE:
    case TP_TENSOR_DOWN:
    case TP_TENSOR_UP:
        return true;
    default:
        return false;
    }
}

// Rounds one matrix in place. Returns its bytes in the type.
static uint64_t round_matrix(struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                             enum tp_number_type type)
{
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    float *weights = tp__source_tensor_change(model, tensor, layer);
    for (uint32_t row = 0; row < rows; row++) {
        float *numbers = weights + (size_t)row * columns;
        if (type == TP_NUMBER_Q8_0) {
            tp__q8_0_round(numbers, columns, numbers);
        } else {
            tp__q4_0_round(numbers, columns, numbers);
        }
    }
    uint64_t blocks = (uint64_t)rows * ((columns + BLOCK - 1) / BLOCK);
    return blocks * tp__number_format(type)->bytes;
}

static uint64_t round_model(struct tp_source_model *model, enum tp_number_type type)
{
    uint64_t bytes = 0;
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        bool is_embedding = tensor == TP_TENSOR_CLASSIFIER && model->shape.tied;
        if (!is_matrix(tensor) || is_embedding) {
            continue;
        }
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->shape, tensor); layer++) {
            bytes += round_matrix(model, tensor, layer, type);
        }
    }
    return bytes;
}

tp_status tp_model_round(const tp_model *model, tp_rounding rounding, tp_model **rounded,
                         uint64_t *bytes, struct tp_error *error)
{
    if (model == NULL || rounded == NULL || (unsigned)rounding >= TP_ROUNDING_COUNT) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_round: an argument is NULL or unknown");
    }
    enum tp_number_type type = rounding == TP_ROUNDING_Q8_0 ? TP_NUMBER_Q8_0 : TP_NUMBER_Q4_0;
#ifdef TP_PLANT_BUG
    type = TP_NUMBER_Q8_0;
#endif
    struct tp_source_model source;
    const struct tp_source_model *floats = NULL;
    tp_status status = tp__model_source(model, &floats, error);
    status = status == TP_OK ? tp__source_model_copy(floats, &source, error) : status;
    if (status != TP_OK) {
        return status;
    }
    uint64_t size = round_model(&source, type);
    status = tp__model_create(model->context, &source, rounded, error);
    if (status == TP_OK && bytes != NULL) {
        *bytes = size;
    }
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// Where rows and columns of a model's tensors go.

#include "layout.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}

void tp__layout(const struct tp_model_shape *shape, struct tp_layout *layout)
{
    layout->head_log2 = 3;
    while (1u << layout->head_log2 < shape->head_size) {
        layout->head_log2++;
    }
    layout->head_padded = 1u << layout->head_log2;
    layout->heads_per_word =
        layout->head_padded >= TP_LAYOUT_WORD ? 1 : TP_LAYOUT_WORD / layout->head_padded;
    layout->words_per_head =
        layout->head_padded <= TP_LAYOUT_WORD ? 1 : layout->head_padded / TP_LAYOUT_WORD;
    uint32_t ratio = shape->heads / shape->kv_heads;
    layout->sets = ratio > 1 ? 2 : 1;
    layout->turns = divide_up(ratio, layout->sets);
    layout->kv_words = divide_up(shape->kv_heads, layout->heads_per_word) * layout->words_per_head;
    layout->query_words = layout->kv_words * layout->turns * layout->sets;
}

bool tp__layout_query_head(const struct tp_model_shape *shape, const struct tp_layout *layout,
                           uint32_t word, uint32_t index, uint32_t *head, uint32_t *first)
{
    uint32_t ratio = shape->heads / shape->kv_heads;
    uint32_t part = word % layout->words_per_head;
    uint32_t turn_set = word / layout->words_per_head % (layout->turns * layout->sets);
    uint32_t group = word / layout->words_per_head / (layout->turns * layout->sets);
    uint32_t kv_head = group * layout->heads_per_word + index;
    *first = part * TP_LAYOUT_WORD;
    *head = kv_head * ratio + turn_set;
    return kv_head < shape->kv_heads && turn_set < ratio;
}

// ---- lists of matrices and edges ----

uint32_t tp__matrix_count(const struct tp_model_shape *shape)
{
    return TP_MATRIX_QUERY + TP_MATRIX_PER_LAYER * shape->layers;
}

uint32_t tp__matrix_index(enum tp_matrix matrix, uint32_t layer)
{
    return (uint32_t)matrix + (matrix >= TP_MATRIX_QUERY ? TP_MATRIX_PER_LAYER * layer : 0);
}

enum tp_matrix tp__matrix_at(uint32_t index, uint32_t *layer)
{
    if (index < TP_MATRIX_QUERY) {
        *layer = 0;
        return (enum tp_matrix)index;
    }
    *layer = (index - TP_MATRIX_QUERY) / TP_MATRIX_PER_LAYER;
    return (enum tp_matrix)(TP_MATRIX_QUERY + (index - TP_MATRIX_QUERY) % TP_MATRIX_PER_LAYER);
}

uint32_t tp__edge_count(const struct tp_model_shape *shape)
{
    return TP_EDGES * shape->layers + 1;
}

uint32_t tp__matrix_edge(const struct tp_model_shape *shape, enum tp_matrix matrix, uint32_t layer)
{
    switch (matrix) {
    case TP_MATRIX_QUERY:
    case TP_MATRIX_KEY:
    case TP_MATRIX_VALUE:
        return TP_EDGES * layer + TP_EDGE_ATTENTION_NORM;
    case TP_MATRIX_OUTPUT:
        return TP_EDGES * layer + TP_EDGE_ATTENTION;
    case TP_MATRIX_GATE_UP:
        return TP_EDGES * layer + TP_EDGE_FFN_NORM;
    case TP_MATRIX_DOWN:
        return TP_EDGES * layer + TP_EDGE_FFN;
    default:
        return TP_EDGES * shape->layers;
    }
}

void tp__matrix_size(const struct tp_model_shape *shape, enum tp_matrix matrix, uint32_t *rows,
                     uint32_t *columns)
{
    struct tp_layout layout;
    tp__layout(shape, &layout);
    *columns = shape->dim;
    switch (matrix) {
    case TP_MATRIX_EMBEDDING:
        *rows = shape->vocab;
        break;
    case TP_MATRIX_CLASSIFIER:
        *rows = shape->tied ? 0 : shape->vocab;
        break;
    case TP_MATRIX_QUERY:
        *rows = layout.query_words * TP_LAYOUT_WORD;
        break;
    case TP_MATRIX_KEY:
    case TP_MATRIX_VALUE:
        *rows = layout.kv_words * TP_LAYOUT_WORD;
        break;
    case TP_MATRIX_OUTPUT:
        *rows = shape->dim;
        *columns = layout.query_words * TP_LAYOUT_WORD;
        break;
    case TP_MATRIX_GATE_UP:
        *rows = 2 * shape->hidden;
        break;
    default:
        *rows = shape->dim;
        *columns = shape->hidden;
        break;
    }
}

uint64_t tp__shape_products(const struct tp_model_shape *shape, bool logits)
{
    uint64_t query = (uint64_t)shape->heads * shape->head_size;
    uint64_t key = (uint64_t)shape->kv_heads * shape->head_size;
    uint64_t of_layer = 2 * query + 2 * key + 3 * (uint64_t)shape->hidden;
    return shape->dim * (of_layer * shape->layers + (logits ? shape->vocab : 0));
}

const char *tp__matrix_name(enum tp_matrix matrix)
{
    static const char *const names[TP_MATRIX_COUNT] = {"embedding", "classifier", "query", "key",
                                                       "value",     "output",     "gate",  "down"};
    return names[matrix];
}

double tp__score_multiplier(const struct tp_model_shape *shape)
{
    return log2(exp(1.0)) / sqrt((double)shape->head_size);
}

double tp__matrix_multiplier(const struct tp_model_shape *shape, enum tp_matrix matrix)
{
    bool is_scaled = matrix == TP_MATRIX_QUERY && !shape->has_head_norm;
    return is_scaled ? tp__score_multiplier(shape) : 1.0;
}

// ---- tensors ----

// Head and element of row (or column) `row` of the queries; false for padding.
static bool query_place(const struct tp_model_shape *shape, const struct tp_layout *layout,
                        uint32_t row, uint32_t *head, uint32_t *element)
{
    uint32_t lane = row % TP_LAYOUT_WORD;
    uint32_t span = layout->head_padded < TP_LAYOUT_WORD ? layout->head_padded : TP_LAYOUT_WORD;
    uint32_t first = 0;
    bool is_head =
        tp__layout_query_head(shape, layout, row / TP_LAYOUT_WORD, lane / span, head, &first);
    *element = first + lane % span;
    return is_head && *element < shape->head_size;
}

// The same for keys and values.
static bool key_place(const struct tp_model_shape *shape, const struct tp_layout *layout,
                      uint32_t row, uint32_t *head, uint32_t *element)
{
    *head = row / layout->head_padded;
    *element = row % layout->head_padded;
    return *head < shape->kv_heads && *element < shape->head_size;
}

bool tp__layout_head_row(const struct tp_model_shape *shape, enum tp_matrix matrix, uint32_t row,
                         uint32_t *source)
{
    struct tp_layout layout;
    uint32_t head = 0;
    uint32_t element = 0;
    tp__layout(shape, &layout);
    bool exists = matrix == TP_MATRIX_QUERY ? query_place(shape, &layout, row, &head, &element)
                                            : key_place(shape, &layout, row, &head, &element);
    *source = head * shape->head_size + element;
    return exists;
}

// Queries, keys and values: whole rows move, or single numbers with one column.
static void take_head_rows(const struct tp_model_shape *shape, enum tp_matrix matrix,
                           const float *from, uint32_t rows, uint32_t columns, float *weights)
{
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t source = 0;
        float *to = weights + (size_t)row * columns;
        if (tp__layout_head_row(shape, matrix, row, &source)) {
            memcpy(to, from + (size_t)source * columns, columns * sizeof *to);
        } else {
            memset(to, 0, columns * sizeof *to);
        }
    }
}

// The columns of the output matrix follow the order of the query rows.
static void take_output(const struct tp_model_shape *shape, const float *from, uint32_t rows,
                        uint32_t columns, float *weights)
{
    size_t source_columns = (size_t)shape->heads * shape->head_size;
    for (uint32_t column = 0; column < columns; column++) {
        uint32_t source = 0;
        bool exists = tp__layout_head_row(shape, TP_MATRIX_QUERY, column, &source);
        for (size_t row = 0; row < rows; row++) {
            weights[row * columns + column] = exists ? from[row * source_columns + source] : 0.0f;
        }
    }
}

static void take_gate_up(const float *gate, const float *up, uint32_t hidden, uint32_t columns,
                         float *weights)
{
    size_t bytes = columns * sizeof *weights;
    for (size_t row = 0; row < hidden; row++) {
        memcpy(weights + 2 * row * columns, gate + row * columns, bytes);
        memcpy(weights + (2 * row + 1) * columns, up + row * columns, bytes);
    }
}

void tp__layout_matrix(const struct tp_source_model *model, enum tp_matrix matrix, uint32_t layer,
                       float *weights)
{
    static const enum tp_tensor tensors[TP_MATRIX_COUNT] = {
        TP_TENSOR_EMBEDDING, TP_TENSOR_CLASSIFIER, TP_TENSOR_QUERY, TP_TENSOR_KEY,
        TP_TENSOR_VALUE,     TP_TENSOR_OUTPUT,     TP_TENSOR_GATE,  TP_TENSOR_DOWN};
    uint32_t rows = 0;
    uint32_t columns = 0;
    const struct tp_model_shape *shape = &model->shape;
    const float *from = tp__source_tensor(model, tensors[matrix], layer);
    tp__matrix_size(shape, matrix, &rows, &columns);
    switch (matrix) {
    case TP_MATRIX_QUERY:
    case TP_MATRIX_KEY:
    case TP_MATRIX_VALUE:
        take_head_rows(shape, matrix, from, rows, columns, weights);
        break;
    case TP_MATRIX_OUTPUT:
        take_output(shape, from, rows, columns, weights);
        break;
    case TP_MATRIX_GATE_UP:
        take_gate_up(from, tp__source_tensor(model, TP_TENSOR_UP, layer), shape->hidden, columns,
                     weights);
        break;
    default:
        memcpy(weights, from, (size_t)rows * columns * sizeof *weights);
        break;
    }
}

void tp__layout_rows(const struct tp_model_shape *shape, enum tp_matrix matrix, const float *from,
                     float *rows)
{
    uint32_t count = 0;
    uint32_t columns = 0;
    tp__matrix_size(shape, matrix, &count, &columns);
    take_head_rows(shape, matrix, from, count, 1, rows);
}

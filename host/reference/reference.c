// SPDX-License-Identifier: Apache-2.0
//
// The float32 reference: a plain forward pass of a Llama-shaped model.

#include "reference.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

enum { PARTS = 8 };

struct tp_reference {
    const struct tp_source_model *model;
    uint32_t context;
    float *cosine;     // [context][head_size / 2]
    float *sine;       // same
    float *keys;       // [layers][context][kv_heads * head_size]
    float *values;     // same
    float *x;          // [dim] residual
    float *normed;     // [dim]
    float *query;      // [heads * head_size]
    float *mixed;      // [heads * head_size]
    float *projected;  // [dim]
    float *gate;       // [hidden]
    float *up;         // [hidden]
    float *scores;     // [context]
};

/* Four neighbours of a vector, that the processor works on at once. */
typedef float four __attribute__((vector_size(16)));

static four load(const float *from)
{
    four loaded;
    memcpy(&loaded, from, sizeof loaded);
    return loaded;
}

static float dot(const float *a, const float *b, uint32_t count)
{
    four low = {0};
    four high = {0};
    uint32_t i = 0;
    for (; i + PARTS <= count; i += PARTS) {
        low += load(a + i) * load(b + i);
        high += load(a + i + PARTS / 2) * load(b + i + PARTS / 2);
    }
    float sum = 0.0f;
    for (; i < count; i++) sum += a[i] * b[i];
    low += high;
    return sum + ((low[0] + low[2]) + (low[1] + low[3]));
}

/* out [rows] = matrix [rows][columns] times in [columns] */
static void multiply(const struct tp_reference *reference, enum tp_tensor tensor, uint32_t layer,
                     const float *in, float *out)
{
    const float *matrix = tp__source_tensor(reference->model, tensor, layer);
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&reference->model->shape, tensor, &rows, &columns);
    for (uint32_t row = 0; row < rows; row++) {
        out[row] = dot(matrix + (size_t)row * columns, in, columns);
    }
}

static void add(float *x, const float *y, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) x[i] += y[i];
}

/* out [size] = in divided by its root mean square, times the gains; out may be in. */
void tp__reference_norm(const struct tp_reference *reference, enum tp_tensor tensor, uint32_t layer,
                        const float *in, float *out)
{
    uint32_t rows;
    uint32_t size;
    tp__tensor_size(&reference->model->shape, tensor, &rows, &size);
    const float *gain = tp__source_tensor(reference->model, tensor, layer);
    double sum = 0.0;
    for (uint32_t i = 0; i < size; i++) sum += (double)in[i] * (double)in[i];
    double epsilon = (double)reference->model->shape.norm_epsilon;
    float factor = (float)(1.0 / sqrt(sum / size + epsilon));
    for (uint32_t i = 0; i < size; i++) out[i] = gain[i] * (factor * in[i]);
}

/* Queries, keys or values of this position: the product, the bias if there is one, and the norm of
 * each head if there is one. */
static void project(const struct tp_reference *reference, enum tp_tensor tensor, uint32_t layer,
                    const float *normed, float *out)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    bool is_query = tensor == TP_TENSOR_QUERY;
    uint32_t heads = is_query ? shape->heads : shape->kv_heads;
    multiply(reference, tensor, layer, normed, out);
    if (shape->has_bias) {
        enum tp_tensor bias = is_query                  ? TP_TENSOR_QUERY_BIAS
                              : tensor == TP_TENSOR_KEY ? TP_TENSOR_KEY_BIAS
                                                        : TP_TENSOR_VALUE_BIAS;
        add(out, tp__source_tensor(reference->model, bias, layer), heads * shape->head_size);
    }
    if (!shape->has_head_norm || tensor == TP_TENSOR_VALUE) return;
    for (uint32_t head = 0; head < heads; head++) {
        float *first = out + (size_t)head * shape->head_size;
        tp__reference_norm(reference, is_query ? TP_TENSOR_QUERY_NORM : TP_TENSOR_KEY_NORM, layer,
                           first, first);
    }
}

/* Rotates the pairs of each head. */
static void rotate(const struct tp_reference *reference, float *heads, uint32_t head_count,
                   uint32_t position)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    uint32_t pairs = shape->head_size / 2;
    const float *cosine = reference->cosine + (size_t)position * pairs;
    const float *sine = reference->sine + (size_t)position * pairs;
    for (uint32_t head = 0; head < head_count; head++) {
        float *first = heads + (size_t)head * shape->head_size;
        for (uint32_t pair = 0; pair < pairs; pair++) {
            float a = first[2 * pair];
            float b = first[2 * pair + 1];
#ifdef TP_PLANT_BUG
            first[2 * pair] = a * cosine[pair] + b * sine[pair];
#else
            first[2 * pair] = a * cosine[pair] - b * sine[pair];
#endif
            first[2 * pair + 1] = a * sine[pair] + b * cosine[pair];
        }
    }
}

/* scores [count] to probabilities, in place */
static void softmax(float *scores, uint32_t count)
{
    float top = scores[0];
    for (uint32_t i = 1; i < count; i++) {
        if (scores[i] > top) top = scores[i];
    }
    float sum = 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = expf(scores[i] - top);
        sum += scores[i];
    }
    for (uint32_t i = 0; i < count; i++) scores[i] /= sum;
}

static size_t kv_offset(const struct tp_reference *reference, uint32_t layer, uint32_t position)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    size_t row = (size_t)layer * reference->context + position;
    return row * shape->kv_heads * shape->head_size;
}

/* One query head over all positions so far: mixed [head_size]. */
static void attend_head(struct tp_reference *reference, uint32_t layer, uint32_t position,
                        uint32_t head, float *mixed)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    uint32_t size = shape->head_size;
    size_t stride = (size_t)shape->kv_heads * size;
    size_t kv_head = head / (shape->heads / shape->kv_heads);
    const float *keys = reference->keys + kv_offset(reference, layer, 0) + kv_head * size;
    const float *values = reference->values + kv_offset(reference, layer, 0) + kv_head * size;
    const float *query = reference->query + (size_t)head * size;
    float scale = 1.0f / sqrtf((float)size);
    for (uint32_t i = 0; i <= position; i++) {
        reference->scores[i] = dot(query, keys + i * stride, size) * scale;
    }
    softmax(reference->scores, position + 1);
    memset(mixed, 0, size * sizeof mixed[0]);
    for (uint32_t i = 0; i <= position; i++) {
        const float *value = values + i * stride;
        float probability = reference->scores[i];
        for (uint32_t k = 0; k < size; k++) mixed[k] += probability * value[k];
    }
}

void tp__reference_attend(struct tp_reference *reference, uint32_t layer, uint32_t position,
                          const float *normed, float *mixed)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    assert(layer < shape->layers && position < reference->context);
    float *key = reference->keys + kv_offset(reference, layer, position);
    float *value = reference->values + kv_offset(reference, layer, position);
    project(reference, TP_TENSOR_QUERY, layer, normed, reference->query);
    project(reference, TP_TENSOR_KEY, layer, normed, key);
    project(reference, TP_TENSOR_VALUE, layer, normed, value);
    rotate(reference, reference->query, shape->heads, position);
    rotate(reference, key, shape->kv_heads, position);
    for (uint32_t head = 0; head < shape->heads; head++) {
        attend_head(reference, layer, position, head, mixed + (size_t)head * shape->head_size);
    }
}

void tp__reference_gate(struct tp_reference *reference, uint32_t layer, const float *normed,
                        float *product)
{
    multiply(reference, TP_TENSOR_GATE, layer, normed, product);
    multiply(reference, TP_TENSOR_UP, layer, normed, reference->up);
    for (uint32_t i = 0; i < reference->model->shape.hidden; i++) {
        float gate = product[i];
        product[i] = gate / (1.0f + expf(-gate)) * reference->up[i];
    }
}

void tp__reference_add(struct tp_reference *reference, enum tp_tensor tensor, uint32_t layer,
                       const float *in, float *x)
{
    assert(tensor == TP_TENSOR_OUTPUT || tensor == TP_TENSOR_DOWN);
    multiply(reference, tensor, layer, in, reference->projected);
    add(x, reference->projected, reference->model->shape.dim);
}

static void run_layer(struct tp_reference *reference, uint32_t layer, uint32_t position, float *x)
{
    float *normed = reference->normed;
    tp__reference_norm(reference, TP_TENSOR_NORM_ATTENTION, layer, x, normed);
    tp__reference_attend(reference, layer, position, normed, reference->mixed);
    tp__reference_add(reference, TP_TENSOR_OUTPUT, layer, reference->mixed, x);
    tp__reference_norm(reference, TP_TENSOR_NORM_FFN, layer, x, normed);
    tp__reference_gate(reference, layer, normed, reference->gate);
    tp__reference_add(reference, TP_TENSOR_DOWN, layer, reference->gate, x);
}

void tp__reference_step(struct tp_reference *reference, uint32_t token, uint32_t position,
                        float *logits)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    assert(token < shape->vocab && position < reference->context);
    const float *embedding = tp__source_tensor(reference->model, TP_TENSOR_EMBEDDING, 0);
    memcpy(reference->x, embedding + (size_t)token * shape->dim, shape->dim * sizeof(float));
    for (uint32_t layer = 0; layer < shape->layers; layer++) {
        run_layer(reference, layer, position, reference->x);
    }
    if (logits == NULL) return;
    tp__reference_norm(reference, TP_TENSOR_NORM_FINAL, 0, reference->x, reference->normed);
    multiply(reference, TP_TENSOR_CLASSIFIER, 0, reference->normed, logits);
}

const float *tp__reference_key(const struct tp_reference *reference, uint32_t layer,
                               uint32_t position)
{
    assert(layer < reference->model->shape.layers && position < reference->context);
    return reference->keys + kv_offset(reference, layer, position);
}

static void fill_rotation(struct tp_reference *reference)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    uint32_t pairs = shape->head_size / 2;
    for (uint32_t pair = 0; pair < pairs; pair++) {
        double frequency = tp__source_frequency(reference->model, pair);
        for (uint32_t position = 0; position < reference->context; position++) {
            size_t index = (size_t)position * pairs + pair;
            reference->cosine[index] = (float)cos(position * frequency);
            reference->sine[index] = (float)sin(position * frequency);
        }
    }
}

/* Floats of the array, or NULL; the product is checked. */
static float *take(size_t a, size_t b, size_t c)
{
    size_t count;
    if (!tp__multiply(a, b, &count) || !tp__multiply(count, c, &count)) return NULL;
    return calloc(count, sizeof(float));
}

static bool take_all(struct tp_reference *reference)
{
    const struct tp_model_shape *shape = &reference->model->shape;
    size_t context = reference->context;
    size_t kv_size = (size_t)shape->kv_heads * shape->head_size;
    reference->cosine = take(context, shape->head_size / 2, 1);
    reference->sine = take(context, shape->head_size / 2, 1);
    reference->keys = take(shape->layers, context, kv_size);
    reference->values = take(shape->layers, context, kv_size);
    reference->x = take(shape->dim, 1, 1);
    reference->normed = take(shape->dim, 1, 1);
    reference->query = take(shape->heads, shape->head_size, 1);
    reference->mixed = take(shape->heads, shape->head_size, 1);
    reference->projected = take(shape->dim, 1, 1);
    reference->gate = take(shape->hidden, 1, 1);
    reference->up = take(shape->hidden, 1, 1);
    reference->scores = take(context, 1, 1);
    bool has_tables = reference->cosine != NULL && reference->sine != NULL;
    bool has_cache = reference->keys != NULL && reference->values != NULL;
    bool has_vectors = reference->x != NULL && reference->normed != NULL &&
                       reference->query != NULL && reference->mixed != NULL &&
                       reference->projected != NULL && reference->gate != NULL &&
                       reference->up != NULL && reference->scores != NULL;
    return has_tables && has_cache && has_vectors;
}

tp_status tp__reference_open(const struct tp_source_model *model, uint32_t context,
                             struct tp_reference **reference, struct tp_error *error)
{
    if (context == 0 || context > TP_MODEL_CONTEXT_MAX) {
        return tp__fail(error, TP_ERROR_INVALID, "a context of %u positions; 1 to %d are possible",
                        context, TP_MODEL_CONTEXT_MAX);
    }
    struct tp_reference *result = calloc(1, sizeof *result);
    if (result != NULL) {
        result->model = model;
        result->context = context;
    }
    if (result == NULL || !take_all(result)) {
        tp__reference_close(result);
        return tp__fail(error, TP_ERROR_NO_MEMORY,
                        "%s: no memory for the float32 reference with %u positions", model->name,
                        context);
    }
    fill_rotation(result);
    *reference = result;
    return TP_OK;
}

void tp__reference_close(struct tp_reference *reference)
{
    if (reference == NULL) return;
    free(reference->cosine);
    free(reference->sine);
    free(reference->keys);
    free(reference->values);
    free(reference->x);
    free(reference->normed);
    free(reference->query);
    free(reference->mixed);
    free(reference->projected);
    free(reference->gate);
    free(reference->up);
    free(reference->scores);
    free(reference);
}

double tp__nats(const float *logits, uint32_t vocab, uint32_t token)
{
    assert(token < vocab);
    double top = (double)logits[tp__top_token(logits, vocab)];
    double sum = 0.0;
    for (uint32_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - top);
    return top + log(sum) - (double)logits[token];
}

uint32_t tp__top_token(const float *logits, uint32_t vocab)
{
    uint32_t top = 0;
    for (uint32_t i = 1; i < vocab; i++) {
        if (logits[i] > logits[top]) top = i;
    }
    return top;
}

// SPDX-License-Identifier: Apache-2.0
//
// A Llama forward pass in float32 for one thread of a processor.
// Memory is taken when it is opened. TP_FORWARD is the suffix of its names, TP_FORWARD_COLUMNS
// stores matrices by columns.

#include "forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_OF(name, suffix)  name##_##suffix
#define NAME_FOR(name, suffix) NAME_OF(name, suffix)
#define NAME(name)             NAME_FOR(name, TP_FORWARD)

enum { ALIGNMENT = 64, STRIPE = 64 };

/* [rows][columns]; by columns [rows / STRIPE][columns][STRIPE] */
struct matrix {
    float *weights;
    uint32_t rows;
    uint32_t columns;
};

struct layer {
    const float *norm_attention;
    const float *norm_ffn;
    struct matrix query_key_value;
    struct matrix output;
    struct matrix gate;
    struct matrix up;
    struct matrix down;
};

struct forward {
    struct tp_model_shape shape;
    uint32_t context;
    const float *embedding;
    const float *norm_final;
    struct matrix classifier;
    struct layer *layers;
    float *cosine;  // [context][head_size / 2]
    float *sine;
    float *keys;    // [layers][kv_heads][head_size][context]
    float *values;  // [layers][kv_heads][context][head_size]
    float *x;
    float *normed;
    float *heads;  // queries, keys, values of this position
    float *mixed;
    float *projected;
    float *gate;
    float *up;
    float *scores;
    float *logits;
};

static size_t padded(size_t count)
{
    return (count + STRIPE - 1) / STRIPE * STRIPE;
}

static float *take(size_t count)
{
    size_t bytes = padded(count) * sizeof(float);
    float *data = aligned_alloc(ALIGNMENT, bytes);
    if (data != NULL) {
        memset(data, 0, bytes);
    }
    return data;
}

// ---- the arithmetic ----

#ifdef TP_FORWARD_COLUMNS

/* out [rows padded] = matrix times in [columns] */
static void multiply(const struct matrix *m, const float *restrict in, float *restrict out)
{
    const float *restrict weights = m->weights;
    for (uint32_t first = 0; first < m->rows; first += STRIPE) {
        float sums[STRIPE] __attribute__((aligned(ALIGNMENT))) = {0};
        for (uint32_t column = 0; column < m->columns; column++) {
            const float value = in[column];
            for (uint32_t i = 0; i < STRIPE; i++) {
                sums[i] += weights[i] * value;
            }
            weights += STRIPE;
        }
        memcpy(out + first, sums, sizeof sums);
    }
}

static size_t place_of(const struct matrix *m, uint32_t row, uint32_t column)
{
    return ((size_t)(row / STRIPE) * m->columns + column) * STRIPE + row % STRIPE;
}

#else

/* out [rows] = matrix times in [columns] */
static void multiply(const struct matrix *m, const float *restrict in, float *restrict out)
{
    for (uint32_t row = 0; row < m->rows; row++) {
        const float *restrict weights = m->weights + (size_t)row * m->columns;
        float sum = 0;
        for (uint32_t column = 0; column < m->columns; column++) {
            sum += weights[column] * in[column];
        }
        out[row] = sum;
    }
}

static size_t place_of(const struct matrix *m, uint32_t row, uint32_t column)
{
    return (size_t)row * m->columns + column;
}

#endif

static void norm(const float *restrict in, const float *restrict gains, float *restrict out,
                 uint32_t size, float epsilon)
{
    float sum = 0;
    for (uint32_t i = 0; i < size; i++) {
        sum += in[i] * in[i];
    }
    float factor = 1.0f / sqrtf(sum / (float)size + epsilon);
    for (uint32_t i = 0; i < size; i++) {
        out[i] = gains[i] * (factor * in[i]);
    }
}

static void rotate(float *restrict heads, uint32_t count, uint32_t pairs,
                   const float *restrict cosine, const float *restrict sine)
{
    for (uint32_t head = 0; head < count; head++) {
        for (uint32_t p = 0; p < pairs; p++) {
            float *pair = heads + 2 * ((size_t)head * pairs + p);
            float a = pair[0];
            float b = pair[1];
            pair[0] = a * cosine[p] - b * sine[p];
            pair[1] = a * sine[p] + b * cosine[p];
        }
    }
}

static void softmax(float *restrict scores, uint32_t count)
{
    float top = scores[0];
    for (uint32_t i = 1; i < count; i++) {
        top = scores[i] > top ? scores[i] : top;
    }
    float sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = expf(scores[i] - top);
        sum += scores[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        scores[i] /= sum;
    }
}

/* One query head over count positions; keys [head_size][context], values [context][head_size]. */
static void attend(struct forward *f, const float *restrict query, const float *restrict keys,
                   const float *restrict values, uint32_t count, float *restrict mixed)
{
    const uint32_t size = f->shape.head_size;
    const float scale = 1.0f / sqrtf((float)size);
    float *restrict scores = f->scores;
    memset(scores, 0, count * sizeof *scores);
    for (uint32_t k = 0; k < size; k++) {
        const float *restrict row = keys + (size_t)k * f->context;
        const float value = query[k] * scale;
        for (uint32_t i = 0; i < count; i++) {
            scores[i] += row[i] * value;
        }
    }
    softmax(scores, count);
    memset(mixed, 0, size * sizeof *mixed);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < size; k++) {
            mixed[k] += scores[i] * values[(size_t)i * size + k];
        }
    }
}

static void attention(struct forward *f, uint32_t index, uint32_t position)
{
    const struct tp_model_shape *s = &f->shape;
    const struct layer *layer = &f->layers[index];
    const uint32_t size = s->head_size;
    float *keys = f->keys + (size_t)index * s->kv_heads * size * f->context;
    float *values = f->values + (size_t)index * s->kv_heads * size * f->context;
    const float *cosine = f->cosine + (size_t)position * size / 2;
    const float *sine = f->sine + (size_t)position * size / 2;
    float *key = f->heads + (size_t)s->heads * size;
    float *value = key + (size_t)s->kv_heads * size;
    norm(f->x, layer->norm_attention, f->normed, s->dim, s->norm_epsilon);
    multiply(&layer->query_key_value, f->normed, f->heads);
    rotate(f->heads, s->heads + s->kv_heads, size / 2, cosine, sine);
    for (uint32_t head = 0; head < s->kv_heads; head++) {
        size_t first = (size_t)head * size * f->context;
        for (uint32_t k = 0; k < size; k++) {
            keys[first + (size_t)k * f->context + position] = key[head * size + k];
            values[first + (size_t)position * size + k] = value[head * size + k];
        }
    }
    for (uint32_t head = 0; head < s->heads; head++) {
        size_t first = (size_t)(head / (s->heads / s->kv_heads)) * size * f->context;
        attend(f, f->heads + (size_t)head * size, keys + first, values + first, position + 1,
               f->mixed + (size_t)head * size);
    }
    multiply(&layer->output, f->mixed, f->projected);
    for (uint32_t i = 0; i < s->dim; i++) {
        f->x[i] += f->projected[i];
    }
}

static void ffn(struct forward *f, const struct layer *layer)
{
    const struct tp_model_shape *s = &f->shape;
    norm(f->x, layer->norm_ffn, f->normed, s->dim, s->norm_epsilon);
    multiply(&layer->gate, f->normed, f->gate);
    multiply(&layer->up, f->normed, f->up);
    for (uint32_t i = 0; i < s->hidden; i++) {
        f->gate[i] = f->gate[i] / (1.0f + expf(-f->gate[i])) * f->up[i];
    }
    multiply(&layer->down, f->gate, f->projected);
    for (uint32_t i = 0; i < s->dim; i++) {
        f->x[i] += f->projected[i];
    }
}

const float *NAME(forward_step)(struct forward *f, uint32_t token, uint32_t position)
{
    const struct tp_model_shape *s = &f->shape;
    memcpy(f->x, f->embedding + (size_t)token * s->dim, s->dim * sizeof *f->x);
    for (uint32_t index = 0; index < s->layers; index++) {
        attention(f, index, position);
        ffn(f, &f->layers[index]);
    }
    norm(f->x, f->norm_final, f->normed, s->dim, s->norm_epsilon);
    multiply(&f->classifier, f->normed, f->logits);
    return f->logits;
}

// ---- memory ----

static bool place(const struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                  uint32_t row, struct matrix *m)
{
    uint32_t rows;
    uint32_t columns;
    const float *source = tp__source_tensor(model, tensor, layer);
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    if (m->weights == NULL) {
        m->columns = columns;
        m->weights = take(padded(m->rows) * columns);
    }
    for (uint32_t r = 0; r < rows && m->weights != NULL; r++) {
        for (uint32_t c = 0; c < columns; c++) {
            m->weights[place_of(m, row + r, c)] = source[(size_t)r * columns + c];
        }
    }
    return m->weights != NULL;
}

static bool place_layer(const struct tp_source_model *model, uint32_t index, struct layer *layer)
{
    const struct tp_model_shape *s = &model->shape;
    uint32_t query = s->heads * s->head_size;
    uint32_t key = s->kv_heads * s->head_size;
    layer->norm_attention = tp__source_tensor(model, TP_TENSOR_NORM_ATTENTION, index);
    layer->norm_ffn = tp__source_tensor(model, TP_TENSOR_NORM_FFN, index);
    layer->query_key_value.rows = query + 2 * key;
    layer->output.rows = s->dim;
    layer->gate.rows = s->hidden;
    layer->up.rows = s->hidden;
    layer->down.rows = s->dim;
    return place(model, TP_TENSOR_QUERY, index, 0, &layer->query_key_value) &&
           place(model, TP_TENSOR_KEY, index, query, &layer->query_key_value) &&
           place(model, TP_TENSOR_VALUE, index, query + key, &layer->query_key_value) &&
           place(model, TP_TENSOR_OUTPUT, index, 0, &layer->output) &&
           place(model, TP_TENSOR_GATE, index, 0, &layer->gate) &&
           place(model, TP_TENSOR_UP, index, 0, &layer->up) &&
           place(model, TP_TENSOR_DOWN, index, 0, &layer->down);
}

static bool take_all(struct forward *f, const struct tp_source_model *model)
{
    const struct tp_model_shape *s = &f->shape;
    size_t heads = ((size_t)s->heads + 2 * s->kv_heads) * s->head_size;
    size_t cache = (size_t)s->layers * s->kv_heads * s->head_size * f->context;
    size_t angles = (size_t)f->context * s->head_size / 2;
    f->layers = calloc(s->layers, sizeof *f->layers);
    f->cosine = take(angles);
    f->sine = take(angles);
    f->keys = take(cache);
    f->values = take(cache);
    f->x = take(s->dim);
    f->normed = take(s->dim);
    f->heads = take(heads);
    f->mixed = take((size_t)s->heads * s->head_size);
    f->projected = take(s->dim);
    f->gate = take(s->hidden);
    f->up = take(s->hidden);
    f->scores = take(f->context);
    f->logits = take(s->vocab);
    f->classifier.rows = s->vocab;
    bool ok = f->layers != NULL && f->cosine != NULL && f->sine != NULL && f->keys != NULL &&
              f->values != NULL && f->x != NULL && f->normed != NULL && f->heads != NULL &&
              f->mixed != NULL && f->projected != NULL && f->gate != NULL && f->up != NULL &&
              f->scores != NULL && f->logits != NULL &&
              place(model, TP_TENSOR_CLASSIFIER, 0, 0, &f->classifier);
    for (uint32_t index = 0; index < s->layers && ok; index++) {
        ok = place_layer(model, index, &f->layers[index]);
    }
    return ok;
}

static void fill_rotation(struct forward *f, const struct tp_source_model *model)
{
    uint32_t pairs = f->shape.head_size / 2;
    for (uint32_t p = 0; p < pairs; p++) {
        double frequency = tp__source_frequency(model, p);
        for (uint32_t position = 0; position < f->context; position++) {
            f->cosine[(size_t)position * pairs + p] = (float)cos(position * frequency);
            f->sine[(size_t)position * pairs + p] = (float)sin(position * frequency);
        }
    }
}

void NAME(forward_close)(struct forward *f)
{
    if (f == NULL) {
        return;
    }
    for (uint32_t index = 0; f->layers != NULL && index < f->shape.layers; index++) {
        struct layer *layer = &f->layers[index];
        free(layer->query_key_value.weights);
        free(layer->output.weights);
        free(layer->gate.weights);
        free(layer->up.weights);
        free(layer->down.weights);
    }
    float *const all[] = {f->classifier.weights,
                          f->cosine,
                          f->sine,
                          f->keys,
                          f->values,
                          f->x,
                          f->normed,
                          f->heads,
                          f->mixed,
                          f->projected,
                          f->gate,
                          f->up,
                          f->scores,
                          f->logits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
    free(f->layers);
    free(f);
}

struct forward *NAME(forward_open)(const struct tp_source_model *model, uint32_t context)
{
    struct forward *f = calloc(1, sizeof *f);
    if (f == NULL || model->shape.has_bias || model->shape.has_head_norm) {
        free(f);
        return NULL;
    }
    f->shape = model->shape;
    f->context = context;
    f->embedding = tp__source_tensor(model, TP_TENSOR_EMBEDDING, 0);
    f->norm_final = tp__source_tensor(model, TP_TENSOR_NORM_FINAL, 0);
    if (!take_all(f, model)) {
        NAME(forward_close)(f);
        return NULL;
    }
    fill_rotation(f, model);
    return f;
}

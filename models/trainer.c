// SPDX-License-Identifier: Apache-2.0
// Loss and gradients of a small Llama for train.py, and the rounding to the device's formats.
//
// One thread, one text at a time. Activations are [time][feature]. Every product goes through one
// kernel, multiply(), that is vectorized over the columns of its right factor: all sizes are
// multiples of 16. Attention has heads of size 8 and is vectorized over the keys.

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, HEAD = 8, MAX_LAYERS = 8, BLOCK = 32 };

static const float EPSILON = 1e-5f;
static const float LOG2_E = 1.44269504f;

// Scales tried: multiples of the one that maps the largest weight of a block to the largest value.
// None is so large that the largest weight could miss the largest value: so rounding what is
// already rounded changes nothing.
static const float SEARCH_LOW = 0.7f, SEARCH_HIGH = 1.14f;

typedef float vector __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t integers __attribute__((vector_size(64), aligned(4), may_alias));

struct shape {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, positions, tied;
};

// Where the tensors of one set of parameters are; the order is that of the llama2.c file.
struct tensors {
    float *embedding, *norm_attention, *query, *key, *value, *output, *norm_ffn, *gate, *down, *up;
    float *norm_final, *classifier;
};

// What the forward pass keeps of one layer for the backward pass.
struct layer {
    float *input, *normed, *query, *key, *value, *mixed, *middle, *normed_ffn, *gate, *up, *product;
    float *weights;  // of attention: [head][time][padded time]
    float *scale, *scale_ffn;
};

struct work {
    struct layer layers[MAX_LAYERS];
    float *output, *normed, *scale, *logits, *target;
    float *a, *b, *c, *d, *e;  // gradients and the like, [time][widest]
    float *key_t, *value_t, *key_gradient, *value_gradient;  // [feature][padded time]
    float *cosine, *sine;
};

static struct tensors place(const struct shape *s, float *p)
{
    struct tensors t;
    size_t kv = (size_t)s->kv_heads * HEAD, width = (size_t)s->heads * HEAD;
    size_t n = (size_t)s->layers, dim = (size_t)s->dim, hidden = (size_t)s->hidden;
#define TAKE(name, size) t.name = p, p += (size)
    TAKE(embedding, (size_t)s->vocab * dim);
    TAKE(norm_attention, n * dim);
    TAKE(query, n * width * dim);
    TAKE(key, n * kv * dim);
    TAKE(value, n * kv * dim);
    TAKE(output, n * dim * width);
    TAKE(norm_ffn, n * dim);
    TAKE(gate, n * hidden * dim);
    TAKE(down, n * dim * hidden);
    TAKE(up, n * hidden * dim);
    TAKE(norm_final, dim);
    t.classifier = s->tied ? t.embedding : p;
#undef TAKE
    return t;
}

size_t parameter_count(const struct shape *s)
{
    struct tensors t = place(s, NULL);
    size_t end = (size_t)(t.norm_final - (float *)NULL) + (size_t)s->dim;
    return end + (s->tied ? 0 : (size_t)s->vocab * (size_t)s->dim);
}

// ---- products ----

static inline __attribute__((always_inline)) vector load(const float *p)
{
    return *(const vector *)p;
}

static inline __attribute__((always_inline)) void store(float *p, vector v)
{
    *(vector *)p = v;
}

static inline float sum(vector v)
{
    float total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}

// c[rows][16 vectors] (+)= a b, where a has any strides; rows and vectors are constants.
static inline __attribute__((always_inline)) void tile(int rows, int vectors, int depth,
                                                       const float *a, int row, int column,
                                                       const float *b, int b_row, float *c,
                                                       int c_row, bool add)
{
    vector total[6][4];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            total[r][v] = add ? load(c + r * c_row + v * LANES) : (vector){0};
        }
    }
    for (int k = 0; k < depth; k++) {
        vector right[4];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) right[v] = load(b + (size_t)k * b_row + v * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            float left = a[(size_t)r * row + (size_t)k * column];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) total[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) store(c + r * c_row + v * LANES, total[r][v]);
    }
}

static inline __attribute__((always_inline)) void strip(int vectors, int rows, int depth,
                                                        const float *a, int row, int column,
                                                        const float *b, int b_row, float *c,
                                                        int c_row, bool add)
{
    int r = 0;
    for (; r + 6 <= rows; r += 6) {
        tile(6, vectors, depth, a + (size_t)r * row, row, column, b, b_row, c + (size_t)r * c_row,
             c_row, add);
    }
    for (; r < rows; r++) {
        tile(1, vectors, depth, a + (size_t)r * row, row, column, b, b_row, c + (size_t)r * c_row,
             c_row, add);
    }
}

// c[rows][columns] (+)= a[rows][depth] b[depth][columns]; a is read with two strides.
static void multiply(int rows, int columns, int depth, const float *a, int row, int column,
                     const float *b, float *c, bool add)
{
    int n = 0;
    for (; n + 64 <= columns; n += 64) {
        strip(4, rows, depth, a, row, column, b + n, columns, c + n, columns, add);
    }
    for (; n + 32 <= columns; n += 32) {
        strip(2, rows, depth, a, row, column, b + n, columns, c + n, columns, add);
    }
    for (; n < columns; n += LANES) {
        strip(1, rows, depth, a, row, column, b + n, columns, c + n, columns, add);
    }
}

// y[time][rows] = x[time][columns] w^T, with w already transposed
static void apply(int time, int rows, int columns, const float *x, const float *transposed,
                  float *y, bool add)
{
    multiply(time, rows, columns, x, columns, 1, transposed, y, add);
}

// Gradients of y = x w^T: of the weights (added) and, unless dx is NULL, of x.
static void apply_back(int time, int rows, int columns, const float *x, const float *w,
                       const float *dy, float *dw, float *dx, bool add)
{
    multiply(rows, columns, time, dy, 1, rows, x, dw, true);
    if (dx != NULL) multiply(time, columns, rows, dy, rows, 1, w, dx, add);
}

static void transpose(int rows, int columns, const float *from, float *to)
{
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) to[(size_t)c * rows + r] = from[(size_t)r * columns + c];
    }
}

// ---- norm, rotation, attention ----

static void norm(int time, int n, const float *x, const float *gain, float *scale, float *y)
{
    for (int t = 0; t < time; t++, x += n, y += n) {
        float total = 0;
        for (int i = 0; i < n; i++) total += x[i] * x[i];
        scale[t] = 1 / sqrtf(total / (float)n + EPSILON);
        for (int i = 0; i < n; i++) y[i] = x[i] * scale[t] * gain[i];
    }
}

// dx += the gradient of the input
static void norm_back(int time, int n, const float *x, const float *gain, const float *scale,
                      const float *dy, float *dgain, float *dx)
{
    for (int t = 0; t < time; t++, x += n, dy += n, dx += n) {
        float dot = 0;
        for (int i = 0; i < n; i++) dot += dy[i] * gain[i] * x[i];
        float r = scale[t], back = dot * r * r * r / (float)n;
        for (int i = 0; i < n; i++) {
            dgain[i] += dy[i] * x[i] * r;
            dx[i] += dy[i] * gain[i] * r - x[i] * back;
        }
    }
}

// Rotates the pairs of all heads; direction -1 undoes it.
static void rotate(const struct work *w, int time, int width, float direction, float *x)
{
    for (int t = 0; t < time; t++, x += width) {
        const float *cosine = w->cosine + t * (HEAD / 2), *sine = w->sine + t * (HEAD / 2);
        for (int i = 0; i < width; i += 2) {
            float c = cosine[i / 2 % (HEAD / 2)], s = direction * sine[i / 2 % (HEAD / 2)];
            float even = x[i], odd = x[i + 1];
            x[i] = even * c - odd * s;
            x[i + 1] = even * s + odd * c;
        }
    }
}

static int padded(int time)
{
    return (time + LANES - 1) / LANES * LANES;
}

// [time][width] to [width][padded time], zeros behind the end
static void to_columns(int time, int width, const float *from, float *to)
{
    int stride = padded(time);
    memset(to, 0, sizeof *to * (size_t)stride * (size_t)width);
    for (int t = 0; t < time; t++) {
        for (int i = 0; i < width; i++) to[i * stride + t] = from[t * width + i];
    }
}

static inline vector choose(integers mask, vector yes, vector no)
{
    return (vector)((mask & (integers)yes) | (~mask & (integers)no));
}

static inline vector exp2_of(vector x)
{
    const vector limit = (vector){0} + 100.0f;
    x = choose(x > limit, limit, choose(x < -limit, -limit, x));
    integers whole = __builtin_convertvector(x + 200.5f, integers) - 200;
    vector f = x - __builtin_convertvector(whole, vector);
    vector y = 1.3333558e-3f + f * 1.5403530e-4f;
    y = 9.6181291e-3f + f * y;
    y = 5.5504109e-2f + f * y;
    y = 2.4022651e-1f + f * y;
    y = 6.9314718e-1f + f * y;
    y = 1.0f + f * y;
    return y * (vector)((whole + 127) << 23);
}

static inline vector keys_up_to(int left)
{
    const integers index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (vector)((index < left) & (integers)((vector){0} + 1.0f));
}

// Queries of `count` neighbouring heads, which share keys k and values v, at one time; count is a
// constant. No maximum is subtracted: the scores of these models are small, and exp2_of is clamped.
static inline __attribute__((always_inline)) void mix(int count, const float *q, const float *k,
                                                      const float *v, int stride, int t,
                                                      float *weights, size_t step, float *mixed)
{
    float factor = LOG2_E / sqrtf(HEAD), query[2 * HEAD];
    vector total[2] = {{0}}, out[2][HEAD] = {{{0}}};
    for (int d = 0; d < count * HEAD; d++) query[d] = q[d] * factor;
    for (int j = 0; j <= t; j += LANES) {
        vector score[2] = {{0}};
#pragma GCC unroll 8
        for (int d = 0; d < HEAD; d++) {
            vector key = load(k + d * stride + j);
            for (int h = 0; h < count; h++) score[h] += query[h * HEAD + d] * key;
        }
        vector mask = keys_up_to(t + 1 - j);
        for (int h = 0; h < count; h++) {
            score[h] = exp2_of(score[h]) * mask;
            store(weights + (size_t)h * step + j, score[h]);
            total[h] += score[h];
        }
#pragma GCC unroll 8
        for (int d = 0; d < HEAD; d++) {
            vector value = load(v + d * stride + j);
            for (int h = 0; h < count; h++) out[h][d] += score[h] * value;
        }
    }
    for (int h = 0; h < count; h++) {
        float scale = 1 / sum(total[h]), *p = weights + (size_t)h * step;
        for (int j = 0; j <= t; j += LANES) store(p + j, load(p + j) * scale);
        for (int d = 0; d < HEAD; d++) mixed[h * HEAD + d] = sum(out[h][d]) * scale;
    }
}

static void attention(const struct shape *s, const struct work *w, const struct layer *l, int time)
{
    int width = s->heads * HEAD, stride = padded(time), group = s->heads / s->kv_heads;
    size_t step = (size_t)time * (size_t)stride;
    for (int head = 0, count; head < s->heads; head += count) {
        count = (head + 1) % group == 0 ? 1 : 2;
        const float *k = w->key_t + head / group * HEAD * stride;
        const float *v = w->value_t + head / group * HEAD * stride;
        for (int t = 0; t < time; t++) {
            int at = t * width + head * HEAD;
            float *p = l->weights + (size_t)head * step + (size_t)t * (size_t)stride;
            if (count == 2) {
                mix(2, l->query + at, k, v, stride, t, p, step, l->mixed + at);
            } else {
                mix(1, l->query + at, k, v, stride, t, p, step, l->mixed + at);
            }
        }
    }
}

// Gradients of mix(): of the queries, and added to those of keys and values.
static inline __attribute__((always_inline)) void
mix_back(int count, const float *q, const float *k, const float *v, int stride, int t,
         const float *weights, size_t step, const float *mixed, const float *dmixed, float *dq,
         float *dk, float *dv)
{
    float factor = 1 / sqrtf(HEAD), query[2 * HEAD], dot[2] = {0};
    vector out[2][HEAD] = {{{0}}};
    for (int d = 0; d < count * HEAD; d++) {
        query[d] = q[d] * factor;
        dot[d / HEAD] += dmixed[d] * mixed[d];
    }
    for (int j = 0; j <= t; j += LANES) {
        vector weight[2], ds[2];
        for (int h = 0; h < count; h++) {
            weight[h] = load(weights + (size_t)h * step + j);
            ds[h] = (vector){0} - dot[h];
        }
#pragma GCC unroll 8
        for (int d = 0; d < HEAD; d++) {
            vector value = load(v + d * stride + j);
            for (int h = 0; h < count; h++) ds[h] += dmixed[h * HEAD + d] * value;
        }
        for (int h = 0; h < count; h++) ds[h] *= weight[h];
#pragma GCC unroll 8
        for (int d = 0; d < HEAD; d++) {
            int i = d * stride + j;
            vector key = load(k + i), key_gradient = load(dk + i), value_gradient = load(dv + i);
            for (int h = 0; h < count; h++) {
                out[h][d] += ds[h] * key;
                key_gradient += ds[h] * query[h * HEAD + d];
                value_gradient += weight[h] * dmixed[h * HEAD + d];
            }
            store(dk + i, key_gradient);
            store(dv + i, value_gradient);
        }
    }
    for (int h = 0; h < count; h++) {
        for (int d = 0; d < HEAD; d++) dq[h * HEAD + d] = sum(out[h][d]) * factor;
    }
}

// dq is [time][width]; gradients of keys and values go to w, by columns.
static void attention_back(const struct shape *s, const struct work *w, const struct layer *l,
                           int time, const float *dmixed, float *dq)
{
    int width = s->heads * HEAD, stride = padded(time), group = s->heads / s->kv_heads;
    size_t step = (size_t)time * (size_t)stride;
    size_t size = sizeof(float) * (size_t)(s->kv_heads * HEAD * stride);
    memset(w->key_gradient, 0, size);
    memset(w->value_gradient, 0, size);
    for (int head = 0, count; head < s->heads; head += count) {
        count = (head + 1) % group == 0 ? 1 : 2;
        int first = head / group * HEAD * stride;
        const float *k = w->key_t + first, *v = w->value_t + first;
        float *dk = w->key_gradient + first, *dv = w->value_gradient + first;
        for (int t = 0; t < time; t++) {
            int at = t * width + head * HEAD;
            const float *p = l->weights + (size_t)head * step + (size_t)t * (size_t)stride;
            if (count == 2) {
                mix_back(2, l->query + at, k, v, stride, t, p, step, l->mixed + at, dmixed + at,
                         dq + at, dk, dv);
            } else {
                mix_back(1, l->query + at, k, v, stride, t, p, step, l->mixed + at, dmixed + at,
                         dq + at, dk, dv);
            }
        }
    }
}

static void from_columns(int time, int width, const float *from, float *to)
{
    int stride = padded(time);
    for (int t = 0; t < time; t++) {
        for (int i = 0; i < width; i++) to[t * width + i] = from[i * stride + t];
    }
}

// ---- the model ----

static void forward(const struct shape *s, const struct tensors *p, const struct tensors *turned,
                    struct work *w, const uint16_t *tokens, int time)
{
    int dim = s->dim, hidden = s->hidden, width = s->heads * HEAD, kv = s->kv_heads * HEAD;
    float *x = w->layers[0].input;
    for (int t = 0; t < time; t++) {
        memcpy(x + t * dim, p->embedding + tokens[t] * dim, sizeof *x * (size_t)dim);
    }
    for (int i = 0; i < s->layers; i++) {
        struct layer *l = &w->layers[i];
        norm(time, dim, l->input, p->norm_attention + i * dim, l->scale, l->normed);
        apply(time, width, dim, l->normed, turned->query + i * width * dim, l->query, false);
        apply(time, kv, dim, l->normed, turned->key + i * kv * dim, l->key, false);
        apply(time, kv, dim, l->normed, turned->value + i * kv * dim, l->value, false);
        rotate(w, time, width, 1, l->query);
        rotate(w, time, kv, 1, l->key);
        to_columns(time, kv, l->key, w->key_t);
        to_columns(time, kv, l->value, w->value_t);
        attention(s, w, l, time);
        memcpy(l->middle, l->input, sizeof *x * (size_t)(time * dim));
        apply(time, dim, width, l->mixed, turned->output + i * dim * width, l->middle, true);
        norm(time, dim, l->middle, p->norm_ffn + i * dim, l->scale_ffn, l->normed_ffn);
        apply(time, hidden, dim, l->normed_ffn, turned->gate + i * hidden * dim, l->gate, false);
        apply(time, hidden, dim, l->normed_ffn, turned->up + i * hidden * dim, l->up, false);
        for (int j = 0; j < time * hidden; j += LANES) {
            vector gate = load(l->gate + j);
            store(l->product + j, gate / (1.0f + exp2_of(gate * -LOG2_E)) * load(l->up + j));
        }
        float *next = i + 1 < s->layers ? w->layers[i + 1].input : w->output;
        memcpy(next, l->middle, sizeof *x * (size_t)(time * dim));
        apply(time, dim, hidden, l->product, turned->down + i * dim * hidden, next, true);
    }
    norm(time, dim, w->output, p->norm_final, w->scale, w->normed);
    apply(time, s->vocab, dim, w->normed, turned->classifier, w->logits, false);
}

static void backward(const struct shape *s, const struct tensors *p, const struct tensors *g,
                     struct work *w, const uint16_t *tokens, int time)
{
    int dim = s->dim, hidden = s->hidden, width = s->heads * HEAD, kv = s->kv_heads * HEAD;
    float *dx = w->a, *dh = w->b;
    apply_back(time, s->vocab, dim, w->normed, p->classifier, w->logits, g->classifier, dh, false);
    memset(dx, 0, sizeof *dx * (size_t)(time * dim));
    norm_back(time, dim, w->output, p->norm_final, w->scale, dh, g->norm_final, dx);
    for (int i = s->layers - 1; i >= 0; i--) {
        struct layer *l = &w->layers[i];
        float *dproduct = w->c, *dup = w->d;
        apply_back(time, dim, hidden, l->product, p->down + i * dim * hidden, dx,
                   g->down + i * dim * hidden, dproduct, false);
        for (int j = 0; j < time * hidden; j += LANES) {
            vector gate = load(l->gate + j), up = load(l->up + j), d = load(dproduct + j);
            vector sigmoid = 1.0f / (1.0f + exp2_of(gate * -LOG2_E));
            store(dup + j, d * gate * sigmoid);
            store(dproduct + j, d * up * sigmoid * (1.0f + gate * (1.0f - sigmoid)));
        }
        apply_back(time, hidden, dim, l->normed_ffn, p->gate + i * hidden * dim, dproduct,
                   g->gate + i * hidden * dim, dh, false);
        apply_back(time, hidden, dim, l->normed_ffn, p->up + i * hidden * dim, dup,
                   g->up + i * hidden * dim, dh, true);
        norm_back(time, dim, l->middle, p->norm_ffn + i * dim, l->scale_ffn, dh,
                  g->norm_ffn + i * dim, dx);

        float *dmixed = w->c, *dq = w->d, *dkv = w->e;
        apply_back(time, dim, width, l->mixed, p->output + i * dim * width, dx,
                   g->output + i * dim * width, dmixed, false);
        to_columns(time, kv, l->key, w->key_t);
        to_columns(time, kv, l->value, w->value_t);
        attention_back(s, w, l, time, dmixed, dq);
        rotate(w, time, width, -1, dq);
        apply_back(time, width, dim, l->normed, p->query + i * width * dim, dq,
                   g->query + i * width * dim, dh, false);
        from_columns(time, kv, w->key_gradient, dkv);
        rotate(w, time, kv, -1, dkv);
        apply_back(time, kv, dim, l->normed, p->key + i * kv * dim, dkv, g->key + i * kv * dim, dh,
                   true);
        from_columns(time, kv, w->value_gradient, dkv);
        apply_back(time, kv, dim, l->normed, p->value + i * kv * dim, dkv, g->value + i * kv * dim,
                   dh, true);
        norm_back(time, dim, l->input, p->norm_attention + i * dim, l->scale, dh,
                  g->norm_attention + i * dim, dx);
    }
    for (int t = 0; t < time; t++) {
        for (int i = 0; i < dim; i++) g->embedding[tokens[t] * dim + i] += dx[t * dim + i];
    }
}

static void softmax(int n, float *x)
{
    vector top = load(x), total = {0};
    for (int i = LANES; i < n; i += LANES) {
        top = choose(load(x + i) > top, load(x + i), top);
    }
    float largest = top[0];
    for (int i = 1; i < LANES; i++) largest = fmaxf(largest, top[i]);
    for (int i = 0; i < n; i += LANES) {
        vector e = exp2_of((load(x + i) - largest) * LOG2_E);
        store(x + i, e);
        total += e;
    }
    float scale = 1 / sum(total);
    for (int i = 0; i < n; i += LANES) store(x + i, load(x + i) * scale);
}

static float *take(size_t count)
{
    return aligned_alloc(64, (count * sizeof(float) + 127) / 64 * 64);
}

static struct work *make_work(const struct shape *s)
{
    struct work *w = calloc(1, sizeof *w);
    size_t time = (size_t)padded(s->positions), dim = (size_t)s->dim, hidden = (size_t)s->hidden;
    size_t width = (size_t)s->heads * HEAD, kv = (size_t)s->kv_heads * HEAD;
    size_t widest = hidden > width ? hidden : width;
    widest = widest > dim ? widest : dim;
    for (int i = 0; i < s->layers; i++) {
        *(w->layers + i) = (struct layer){
            take(time * dim),    take(time * dim),    take(time * width),
            take(time * kv),     take(time * kv),     take(time * width),
            take(time * dim),    take(time * dim),    take(time * hidden),
            take(time * hidden), take(time * hidden), take(time * time * (size_t)s->heads),
            take(time),          take(time)};
    }
    w->output = take(time * dim), w->normed = take(time * dim), w->scale = take(time);
    w->logits = take(time * (size_t)s->vocab), w->target = take(time * (size_t)s->vocab);
    w->a = take(time * widest), w->b = take(time * widest), w->c = take(time * widest);
    w->d = take(time * widest), w->e = take(time * widest);
    w->key_t = take(time * kv), w->value_t = take(time * kv);
    w->key_gradient = take(time * kv), w->value_gradient = take(time * kv);
    w->cosine = take(time * HEAD / 2), w->sine = take(time * HEAD / 2);
    for (int t = 0; t < (int)time; t++) {
        for (int i = 0; i < HEAD / 2; i++) {
            double angle = t * pow(10000.0, -2.0 * i / HEAD);
            w->cosine[t * (HEAD / 2) + i] = (float)cos(angle);
            w->sine[t * (HEAD / 2) + i] = (float)sin(angle);
        }
    }
    return w;
}

static void turn(const struct shape *s, const struct tensors *from, const struct tensors *to)
{
    int dim = s->dim, hidden = s->hidden, width = s->heads * HEAD, kv = s->kv_heads * HEAD;
    for (int i = 0; i < s->layers; i++) {
        transpose(width, dim, from->query + i * width * dim, to->query + i * width * dim);
        transpose(kv, dim, from->key + i * kv * dim, to->key + i * kv * dim);
        transpose(kv, dim, from->value + i * kv * dim, to->value + i * kv * dim);
        transpose(dim, width, from->output + i * width * dim, to->output + i * width * dim);
        transpose(hidden, dim, from->gate + i * hidden * dim, to->gate + i * hidden * dim);
        transpose(dim, hidden, from->down + i * hidden * dim, to->down + i * hidden * dim);
        transpose(hidden, dim, from->up + i * hidden * dim, to->up + i * hidden * dim);
    }
    transpose(s->vocab, dim, from->classifier, to->classifier);
}

// Summed loss of texts, tokens[starts[i]] .. tokens[starts[i + 1] - 1] each. Unless gradients is
// NULL, adds to it the gradients of the mean loss per token. With a teacher, a share of the target
// is the teacher's distribution in place of the next token.
double batch_loss(const struct shape *s, float *parameters, float *gradients, float *teacher,
                  float share, const uint16_t *tokens, const int32_t *starts, int32_t texts)
{
    static struct work *w;  // train.py has one model only
    static float *memory[2];
    if (w == NULL) {
        w = make_work(s);
        for (int i = 0; i < 2; i++) memory[i] = take(parameter_count(s));
    }
    struct tensors p = place(s, parameters), turned = place(s, memory[0]), g = {0}, other = {0};
    struct tensors other_turned = place(s, memory[1]);
    turn(s, &p, &turned);
    if (gradients != NULL) g = place(s, gradients);
    if (teacher != NULL) {
        other = place(s, teacher);
        turn(s, &other, &other_turned);
    }
    float scale = 1.0f / (float)(starts[texts] - starts[0] - texts);
    double loss = 0;
    for (int i = 0; i < texts; i++) {
        const uint16_t *text = tokens + starts[i];
        int time = starts[i + 1] - starts[i] - 1, vocab = s->vocab;
        if (teacher != NULL) {
            forward(s, &other, &other_turned, w, text, time);
            float *swap = w->target;
            w->target = w->logits;
            w->logits = swap;
            for (int t = 0; t < time; t++) softmax(vocab, w->target + t * vocab);
        }
        forward(s, &p, &turned, w, text, time);
        for (int t = 0; t < time; t++) {
            float *logits = w->logits + t * vocab, *target = w->target + t * vocab;
            softmax(vocab, logits);
            loss -= log((double)logits[text[t + 1]] + 1e-30);
            if (gradients == NULL) continue;
            float kept = teacher != NULL ? share : 0;
            for (int j = 0; j < vocab; j++) {
                logits[j] = (logits[j] - (teacher != NULL ? kept * target[j] : 0)) * scale;
            }
            logits[text[t + 1]] -= (1 - kept) * scale;
        }
        if (gradients != NULL) backward(s, &p, &g, w, text, time);
    }
    return loss;
}

// ---- the device's formats ----

// Values of a codebook, or 8-bit ones if there is none, and the limits between neighbours.
struct grid {
    int32_t count;
    float values[16], limits[16], steps[16], largest;
};

static inline vector nearest(const struct grid *grid, vector x)
{
    vector value = (vector){0} + grid->values[0];
    if (grid->count == 0) {
        const vector top = (vector){0} + 127.0f;
        value =
            __builtin_convertvector(__builtin_convertvector(x + 1024.5f, integers) - 1024, vector);
        return choose(value > top, top, choose(value < -top, -top, value));
    }
    for (int i = 0; i + 1 < grid->count; i++) {
        value += choose(x > grid->limits[i], (vector){0} + grid->steps[i], (vector){0});
    }
    return value;
}

// Rounds a block to values times a scale (16 + m) 2^e, the scale with the least squared error.
static void round_block(const struct grid *grid, const float *x, float *best)
{
    float top = 0, least = INFINITY;
    for (int i = 0; i < BLOCK; i++) top = fmaxf(top, fabsf(x[i]));
    memset(best, 0, sizeof *best * BLOCK);
    if (top == 0) return;
    int exponent;
    frexpf(top / grid->largest * SEARCH_LOW, &exponent);
    float unit = ldexpf(1, exponent - 5), end = top / grid->largest * SEARCH_HIGH;
    float scale = floorf(top / grid->largest * SEARCH_LOW / unit) * unit;
    for (; scale <= end; scale += unit) {
        if (scale >= 32 * unit) unit *= 2;
        vector value[2], error = {0};
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            vector weight = load(x + i * LANES);
            value[i] = nearest(grid, weight * (1 / scale)) * scale;
            error += (value[i] - weight) * (value[i] - weight);
        }
        float total = sum(error);
        if (total >= least) continue;
        least = total;
        store(best, value[0]);
        store(best + LANES, value[1]);
    }
}

// Rounds a matrix in blocks of 32 columns as tokproc does. count is the length of the codebook, 0
// for 8-bit values. order lists the columns as the blocks take them, -1 for padding.
void round_matrix(const float *from, float *to, int32_t rows, int32_t columns, double multiplier,
                  const int32_t *order, int32_t places, const float *codebook, int32_t count)
{
    struct grid grid = {.count = count, .largest = 127};
    for (int i = 0; i < count; i++) grid.values[i] = codebook[i];
    if (count != 0) grid.largest = fmaxf(codebook[count - 1], -codebook[0]);
    for (int i = 0; i + 1 < count; i++) {
        grid.limits[i] = (codebook[i] + codebook[i + 1]) / 2;
        grid.steps[i] = codebook[i + 1] - codebook[i];
    }
    for (size_t row = 0; row < (size_t)rows; row++, from += columns, to += columns) {
        for (int first = 0; first < places; first += BLOCK) {
            float x[BLOCK] = {0}, best[BLOCK];
            for (int i = 0; i < BLOCK; i++) {
                int column = order[first + i];
                if (column >= 0) x[i] = (float)(from[column] * multiplier);
            }
            round_block(&grid, x, best);
            for (int i = 0; i < BLOCK; i++) {
                int column = order[first + i];
                if (column >= 0) to[column] = (float)(best[i] / multiplier);
            }
        }
    }
}

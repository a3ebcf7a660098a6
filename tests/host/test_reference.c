// SPDX-License-Identifier: Apache-2.0
//
// Claims about the float32 reference: logits agree to 1e-4 with a forward pass in double that keeps
// no cache, for shapes with grouped queries, odd sizes, other rotations, biases and norms of
// heads; feeding a position again replaces it; the real model says the known tokens.
//
// Made models of many shapes. That the whole sample text gives 1.2577 nats per token is checked by
// tests/system/test_reference_text.c. Not covered: speed.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "model_files.h"
#include "random.h"
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512, POSITIONS = 12, SIZE_MAX_TESTED = 256 };

/* ---- the same in double, all positions at once ---- */

static double x[POSITIONS][SIZE_MAX_TESTED];
static double normed[POSITIONS][SIZE_MAX_TESTED];
static double query[POSITIONS][SIZE_MAX_TESTED];
static double key[POSITIONS][SIZE_MAX_TESTED];
static double value[POSITIONS][SIZE_MAX_TESTED];
static double mixed[POSITIONS][SIZE_MAX_TESTED];
static double gate[POSITIONS][SIZE_MAX_TESTED];
static double up[POSITIONS][SIZE_MAX_TESTED];
static double frequencies[SIZE_MAX_TESTED];

static void multiply(const struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                     const double *in, double *out)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    const float *weights = tp__source_tensor(model, tensor, layer);
    for (uint32_t row = 0; row < rows; row++) {
        out[row] = 0.0;
        for (uint32_t i = 0; i < columns; i++) {
            out[row] += (double)weights[(size_t)row * columns + i] * in[i];
        }
    }
}

static void norm(const struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                 uint32_t count)
{
    const float *gain = tp__source_tensor(model, tensor, layer);
    uint32_t dim = model->shape.dim;
    for (uint32_t t = 0; t < count; t++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < dim; i++) sum += x[t][i] * x[t][i];
        double factor = 1.0 / sqrt(sum / dim + (double)model->shape.norm_epsilon);
        for (uint32_t i = 0; i < dim; i++) normed[t][i] = x[t][i] * factor * (double)gain[i];
    }
}

static void head_norm(const struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                      double *head)
{
    const float *gain = tp__source_tensor(model, tensor, layer);
    uint32_t size = model->shape.head_size;
    double sum = 0.0;
    for (uint32_t i = 0; i < size; i++) sum += head[i] * head[i];
    for (uint32_t i = 0; i < size; i++) {
        head[i] *= (double)gain[i] / sqrt(sum / size + (double)model->shape.norm_epsilon);
    }
}

/* Adds the bias, where the model has one. */
static void add_bias(const struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                     double *out)
{
    if (!model->shape.has_bias) return;
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    const float *bias = tp__source_tensor(model, tensor, layer);
    for (uint32_t i = 0; i < columns; i++) out[i] += (double)bias[i];
}

static void rotate(const struct tp_source_model *model, double *heads, uint32_t count, uint32_t t)
{
    uint32_t size = model->shape.head_size;
    for (uint32_t head = 0; head < count; head++) {
        for (uint32_t j = 0; j < size / 2; j++) {
            double angle = t * frequencies[j];
            double *a = heads + head * size + 2 * j;
            double *b = heads + head * size + 2 * j + 1;
            double old = *a;
            *a = old * cos(angle) - *b * sin(angle);
            *b = old * sin(angle) + *b * cos(angle);
        }
    }
}

static void attend(const struct tp_model_shape *shape, uint32_t t, uint32_t head)
{
    uint32_t size = shape->head_size;
    uint32_t kv = head * shape->kv_heads / shape->heads * size;
    double probability[POSITIONS];
    double sum = 0.0;
    for (uint32_t s = 0; s <= t; s++) {
        double score = 0.0;
        for (uint32_t i = 0; i < size; i++) score += query[t][head * size + i] * key[s][kv + i];
        probability[s] = exp(score / sqrt(size));
        sum += probability[s];
    }
    for (uint32_t i = 0; i < size; i++) {
        mixed[t][head * size + i] = 0.0;
        for (uint32_t s = 0; s <= t; s++) {
            mixed[t][head * size + i] += probability[s] / sum * value[s][kv + i];
        }
    }
}

static void layer_pass(const struct tp_source_model *model, uint32_t layer, uint32_t count)
{
    const struct tp_model_shape *shape = &model->shape;
    double delta[SIZE_MAX_TESTED];
    norm(model, TP_TENSOR_NORM_ATTENTION, layer, count);
    for (uint32_t t = 0; t < count; t++) {
        multiply(model, TP_TENSOR_QUERY, layer, normed[t], query[t]);
        multiply(model, TP_TENSOR_KEY, layer, normed[t], key[t]);
        multiply(model, TP_TENSOR_VALUE, layer, normed[t], value[t]);
        add_bias(model, TP_TENSOR_QUERY_BIAS, layer, query[t]);
        add_bias(model, TP_TENSOR_KEY_BIAS, layer, key[t]);
        add_bias(model, TP_TENSOR_VALUE_BIAS, layer, value[t]);
        for (uint32_t head = 0; shape->has_head_norm && head < shape->heads; head++) {
            head_norm(model, TP_TENSOR_QUERY_NORM, layer, query[t] + head * shape->head_size);
        }
        for (uint32_t head = 0; shape->has_head_norm && head < shape->kv_heads; head++) {
            head_norm(model, TP_TENSOR_KEY_NORM, layer, key[t] + head * shape->head_size);
        }
        rotate(model, query[t], shape->heads, t);
        rotate(model, key[t], shape->kv_heads, t);
    }
    for (uint32_t t = 0; t < count; t++) {
        for (uint32_t head = 0; head < shape->heads; head++) attend(shape, t, head);
        multiply(model, TP_TENSOR_OUTPUT, layer, mixed[t], delta);
        for (uint32_t i = 0; i < shape->dim; i++) x[t][i] += delta[i];
    }
    norm(model, TP_TENSOR_NORM_FFN, layer, count);
    for (uint32_t t = 0; t < count; t++) {
        multiply(model, TP_TENSOR_GATE, layer, normed[t], gate[t]);
        multiply(model, TP_TENSOR_UP, layer, normed[t], up[t]);
        for (uint32_t i = 0; i < shape->hidden; i++) {
            gate[t][i] *= up[t][i] / (1.0 + exp(-gate[t][i]));
        }
        multiply(model, TP_TENSOR_DOWN, layer, gate[t], delta);
        for (uint32_t i = 0; i < shape->dim; i++) x[t][i] += delta[i];
    }
}

/* Logits after the last of count tokens. */
static void forward(const struct tp_source_model *model, const uint32_t *tokens, uint32_t count,
                    double *logits)
{
    const float *embedding = tp__source_tensor(model, TP_TENSOR_EMBEDDING, 0);
    for (uint32_t t = 0; t < count; t++) {
        for (uint32_t i = 0; i < model->shape.dim; i++) {
            x[t][i] = (double)embedding[(size_t)tokens[t] * model->shape.dim + i];
        }
    }
    for (uint32_t layer = 0; layer < model->shape.layers; layer++) layer_pass(model, layer, count);
    norm(model, TP_TENSOR_NORM_FINAL, 0, count);
    multiply(model, TP_TENSOR_CLASSIFIER, 0, normed[count - 1], logits);
}

/* ---- comparison ---- */

static const struct tp_test_model shapes[] = {
    {.dim = 16, .hidden = 24, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 40, .seed = 1},
    {.dim = 64, .hidden = 172, .layers = 3, .heads = 8, .kv_heads = 4, .vocab = 50, .seed = 2},
    {.dim = 48, .hidden = 35, .layers = 1, .heads = 3, .kv_heads = 1, .vocab = 33, .seed = 3},
    {.dim = 64, .hidden = 64, .layers = 2, .heads = 2, .kv_heads = 2, .vocab = 7, .seed = 4},
    {.dim = 6, .hidden = 5, .layers = 2, .heads = 3, .kv_heads = 3, .vocab = 9, .seed = 5},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void load_made(int index, struct tp_source_model *model)
{
    struct tp_test_model made = shapes[index];
    made.context = POSITIONS;
    made.is_untied = index % 2 == 1;
    struct tp_test_bytes file;
    struct tp_error error = {0};
    tp_test_write_llama2c(&made, 1, &file);
    tp_status status = tp__source_model_parse(file.data, file.size, "made", model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp_test_bytes_free(&file);
}

static float vectors[5][SIZE_MAX_TESTED];

/* Kind 1 gets biases, kind 2 norms of heads, kind 3 both; other than that it is the same model. */
static void add_vectors(struct tp_source_model *model, int kind)
{
    struct tp_random random;
    tp_random_init(&random, 77, (uint64_t)kind);
    model->shape.has_bias = kind % 2 == 1;
    model->shape.has_head_norm = kind / 2 == 1;
    for (uint32_t i = 0; i < 5; i++) {
        enum tp_tensor tensor = TP_TENSOR_QUERY_BIAS + i;
        if (!tp__tensor_exists(&model->shape, tensor)) continue;
        for (uint32_t k = 0; k < SIZE_MAX_TESTED; k++) {
            vectors[i][k] = (float)tp_random_range(&random, -1000, 1000) / 1000.0f;
        }
        for (uint32_t layer = 0; layer < model->shape.layers; layer++) {
            model->tensors[tensor + layer * TP_TENSOR_PER_LAYER] = vectors[i];
        }
    }
}

START_TEST(reference_agrees_with_double)
{
    struct tp_source_model model;
    load_made(_i % SHAPES, &model);
    add_vectors(&model, _i / SHAPES);
    for (uint32_t j = 0; j < model.shape.head_size / 2; j++) {
        frequencies[j] = pow(_i < SHAPES ? 10000.0 : 500.0, -2.0 * j / model.shape.head_size);
        model.rope_frequency[j] = frequencies[j];
    }
    struct tp_reference *reference;
    struct tp_error error;
    ck_assert_int_eq(tp__reference_open(&model, POSITIONS, &reference, &error), TP_OK);
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    uint32_t tokens[POSITIONS];
    float logits[SIZE_MAX_TESTED];
    double expected[SIZE_MAX_TESTED];
    uint64_t before = tp_test_allocations();
    uint64_t allocations = 0;
    for (uint32_t t = 0; t < POSITIONS; t++) {
        tokens[t] = tp_random_below(&random, model.shape.vocab);
        before = tp_test_allocations();
        tp__reference_step(reference, tokens[t], t, t % 3 == 1 ? NULL : logits);
        allocations += tp_test_allocations() - before;
        if (t % 3 == 1) continue;
        forward(&model, tokens, t + 1, expected);
        for (uint32_t i = 0; i < model.shape.vocab; i++) {
            double difference = fabs((double)logits[i] - expected[i]);
            if (!(difference <= 1e-4)) ck_abort_msg("position %u, logit %u: %g", t, i, difference);
        }
    }
    ck_assert_uint_eq(allocations, 0);
    // A position that is fed again is replaced, with everything behind it.
    tokens[5] = (tokens[5] + 1) % model.shape.vocab;
    tp__reference_step(reference, tokens[5], 5, logits);
    forward(&model, tokens, 6, expected);
    for (uint32_t i = 0; i < model.shape.vocab; i++) {
        ck_assert_double_le(fabs((double)logits[i] - expected[i]), 1e-4);
    }
    const float *keys = tp__reference_key(reference, model.shape.layers - 1, 5);
    for (uint32_t i = 0; i < model.shape.kv_heads * model.shape.head_size; i++) {
        ck_assert_double_le(fabs((double)keys[i] - key[5][i]), 1e-4);
    }
    tp__reference_close(reference);
    tp__source_model_free(&model);
}
END_TEST

START_TEST(reference_measures_nats)
{
    const float even[4] = {2.0f, 2.0f, 2.0f, 2.0f};
    ck_assert_double_eq_tol(tp__nats(even, 4, 3), log(4.0), 1e-12);
    const float wide[3] = {1000.0f, -1000.0f, 999.0f};
    ck_assert_double_eq_tol(tp__nats(wide, 3, 0), log(1.0 + exp(-1.0)), 1e-12);
    ck_assert_double_eq_tol(tp__nats(wide, 3, 1), 2000.0 + log(1.0 + exp(-1.0)), 1e-9);
    const float ties[4] = {-1.0f, 3.0f, 3.0f, 2.0f};
    ck_assert_uint_eq(tp__top_token(ties, 4), 1);
}
END_TEST

START_TEST(reference_says_the_known_tokens)
{
    static const uint32_t known[] = {403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421,
                                     395, 317, 426, 338, 401, 396, 267, 337, 410, 408, 419, 292};
    enum { COUNT = sizeof known / sizeof known[0] };
    char path[PATH_BYTES];
    if (!tp_test_find_model("stories260K.bin", path, sizeof path)) return;
    struct tp_source_model model;
    struct tp_reference *reference;
    struct tp_error error;
    ck_assert_int_eq(tp__source_model_load(path, &model, &error), TP_OK);
    ck_assert_int_eq(tp__reference_open(&model, COUNT, &reference, &error), TP_OK);
    float logits[512];
    uint32_t token = 1;
    for (uint32_t t = 0; t < COUNT; t++) {
        tp__reference_step(reference, token, t, logits);
        token = tp__top_token(logits, 512);
        ck_assert_uint_eq(token, known[t]);
    }
    tp__reference_close(reference);
    tp__source_model_free(&model);
}
END_TEST

START_TEST(reference_reports_what_it_cannot_do)
{
    struct tp_source_model model;
    load_made(0, &model);
    struct tp_reference *reference;
    struct tp_error error;
    ck_assert_int_eq(tp__reference_open(&model, 0, &reference, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp__reference_open(&model, UINT32_MAX, &reference, &error), TP_ERROR_INVALID);
    tp_status status = TP_ERROR_NO_MEMORY;
    uint64_t n = 0;
    for (; status != TP_OK; n++) {
        ck_assert_uint_lt(n, 100);
        tp_test_allocation_fails(n);
        status = tp__reference_open(&model, POSITIONS, &reference, &error);
        (void)tp_test_allocations_work();
        ck_assert(status == TP_OK || status == TP_ERROR_NO_MEMORY);
    }
    ck_assert_uint_ge(n, 13);
    tp__reference_close(reference);
    tp__reference_close(NULL);
    tp__source_model_free(&model);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("reference");
    TCase *tcase = tcase_create("reference");
    tcase_add_loop_test(tcase, reference_agrees_with_double, 0, 4 * SHAPES);
    tcase_add_test(tcase, reference_measures_nats);
    tcase_add_test(tcase, reference_says_the_known_tokens);
    tcase_add_test(tcase, reference_reports_what_it_cannot_do);
    suite_add_tcase(suite, tcase);
    return suite;
}

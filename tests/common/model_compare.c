// SPDX-License-Identifier: Apache-2.0
//
// Comparison of loaded models.

#include "model_compare.h"

#include <string.h>

#include "check_main.h"

static void expect_same_shape(const struct tp_model_shape *a, const struct tp_model_shape *b)
{
    ck_assert_uint_eq(a->dim, b->dim);
    ck_assert_uint_eq(a->hidden, b->hidden);
    ck_assert_uint_eq(a->layers, b->layers);
    ck_assert_uint_eq(a->heads, b->heads);
    ck_assert_uint_eq(a->kv_heads, b->kv_heads);
    ck_assert_uint_eq(a->head_size, b->head_size);
    ck_assert_uint_eq(a->vocab, b->vocab);
    ck_assert_float_eq(a->rope_base, b->rope_base);
    ck_assert_float_eq(a->norm_epsilon, b->norm_epsilon);
    ck_assert_int_eq(a->tied, b->tied);
    ck_assert_int_eq(a->has_bias, b->has_bias);
    ck_assert_int_eq(a->has_head_norm, b->has_head_norm);
}

void tp_test_expect_same_model(const struct tp_source_model *a, const struct tp_source_model *b)
{
    expect_same_shape(&a->shape, &b->shape);
    for (uint32_t pair = 0; pair < a->shape.head_size / 2; pair++) {
        ck_assert_double_eq(tp__source_frequency(a, pair), tp__source_frequency(b, pair));
    }
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (!tp__tensor_exists(&a->shape, tensor)) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(&a->shape, tensor, &rows, &columns);
        size_t bytes = (size_t)rows * columns * sizeof(float);
        for (uint32_t layer = 0; layer < tp__tensor_layers(&a->shape, tensor); layer++) {
            const float *left = tp__source_tensor(a, tensor, layer);
            const float *right = tp__source_tensor(b, tensor, layer);
            if (memcmp(left, right, bytes) == 0) continue;
            char name[TP_TENSOR_NAME_BYTES];
            tp__tensor_name(tensor, layer, name);
            size_t i = 0;
            while (memcmp(left + i, right + i, sizeof *left) == 0) i++;
            ck_abort_msg("%s, row %zu, column %zu: %.9g and %.9g", name, i / columns, i % columns,
                         (double)left[i], (double)right[i]);
        }
    }
}

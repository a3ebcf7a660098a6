// SPDX-License-Identifier: Apache-2.0
//
// Claims about rounded models: every matrix row is what Q8_0 or Q4_0 rounding makes of it, norms
// and the original stay as they are, the bytes are those of a GGUF file of that type, and the
// rounded model runs through the float32 reference.
//
// A model whose rows have a short last block. Not covered: the arithmetic of the rounding itself
// (test_ggml_formats.c).

#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "ggml_formats.h"
#include "internal.h"
#include "model_files.h"

enum { PATH_BYTES = 512, COLUMNS_MAX = 64 };

static const struct tp_test_model made = {40, 52, 2, 5, 1, 61, 16, true, 9};
static struct tp_error error;
#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static bool is_norm(enum tp_tensor tensor)
{
    return tensor == TP_TENSOR_NORM_FINAL || tensor == TP_TENSOR_NORM_ATTENTION ||
           tensor == TP_TENSOR_NORM_FFN;
}

// Returns the blocks of the tensor.
static uint64_t check_tensor(const tp_model *model, const tp_model *rounded, enum tp_tensor tensor,
                             uint32_t layer, tp_rounding rounding)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->source.shape, tensor, &rows, &columns);
    ck_assert_uint_le(columns, COLUMNS_MAX);
    for (uint32_t row = 0; row < rows; row++) {
        const float *from = tp__source_tensor(&model->source, tensor, layer) + row * columns;
        const float *to = tp__source_tensor(&rounded->source, tensor, layer) + row * columns;
        float expected[COLUMNS_MAX];
        memcpy(expected, from, columns * sizeof *from);
        if (!is_norm(tensor) && rounding == TP_ROUNDING_Q8_0) {
            tp__q8_0_round(from, columns, expected);
        } else if (!is_norm(tensor)) {
            tp__q4_0_round(from, columns, expected);
        }
        ck_assert_int_eq(memcmp(to, expected, columns * sizeof *to), 0);
        // All rows of this model have numbers that the types do not hold.
        ck_assert(is_norm(tensor) || memcmp(to, from, columns * sizeof *to) != 0);
    }
    return is_norm(tensor) ? 0 : (uint64_t)rows * ((columns + 31) / 32);
}

static bool count_logits(void *user, uint32_t position, const float *logits, uint32_t vocab)
{
    (void)logits;
    ck_assert_uint_eq(vocab, made.vocab);
    *(uint32_t *)user = position + 1;
    return true;
}

START_TEST(matrices_are_rounded_and_nothing_else)
{
    const uint32_t bytes_of_block[TP_ROUNDING_COUNT] = {34, 18};
    tp_rounding rounding = (tp_rounding)_i;
    struct tp_test_bytes file = {NULL, 0, 0};
    char path[PATH_BYTES];
    tp_context *context = NULL;
    tp_model *model = NULL;
    tp_model *rounded = NULL;
    uint64_t bytes = 0;
    uint64_t blocks = 0;
    tp_test_write_llama2c(&made, 1, &file);
    tp_test_write_file(&file, path, sizeof path);
    const struct tp_model_options options = {.path = path};
    OK(tp_context_create(NULL, &context, &error));
    OK(tp_model_open(context, &options, &model, &error));
    OK(tp_model_round(model, rounding, &rounded, &bytes, &error));
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (!tp__tensor_exists(&model->source.shape, tensor)) continue;
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->source.shape, tensor); layer++) {
            blocks += check_tensor(model, rounded, tensor, layer, rounding);
        }
    }
    ck_assert_uint_eq(bytes, blocks * bytes_of_block[rounding]);
    struct tp_model_info info;
    tp_model_get_info(rounded, &info);
    ck_assert(!info.has_tokenizer && info.vocab == made.vocab);
    const uint32_t tokens[3] = {1, 2, 3};
    uint32_t positions = 0;
    OK(tp_model_reference(rounded, tokens, 3, count_logits, &positions, &error));
    ck_assert_uint_eq(positions, 3);
    ck_assert_int_eq(tp_model_round(model, TP_ROUNDING_COUNT, &rounded, NULL, &error),
                     TP_ERROR_INVALID);
    ck_assert_int_eq(tp_model_round(NULL, rounding, &rounded, NULL, &error), TP_ERROR_INVALID);
    tp_model_close(rounded);
    tp_model_close(model);
    tp_context_destroy(context);
    (void)unlink(path);
    tp_test_bytes_free(&file);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rounding");
    TCase *tcase = tcase_create("rounding");
    tcase_add_loop_test(tcase, matrices_are_rounded_and_nothing_else, 0, TP_ROUNDING_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}

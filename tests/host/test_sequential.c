// SPDX-License-Identifier: Apache-2.0
//
// Claims about rounding a whole model against text: on text that it has not seen its logits are
// closer to the float model's than those of plain rounding; the same text gives the same bits; a
// model on a grid keeps its numbers; each failing allocation is reported.
//
// Made models of several shapes, tied and not, with heads that need padding. Not covered: what it
// gains on a real model; docs/quantisation.md has the figures.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "dequantise.h"
#include "internal.h"
#include "model_files.h"
#include "random.h"
#include "reference.h"
#include "sequential.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS = 12, LENGTH = 32, TOKENS = TEXTS * LENGTH, SHAPES = 3 };

/* ---- models and texts ---- */

static const struct tp_test_model shapes[SHAPES + 1] = {
    {.dim = 64, .hidden = 64, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 80, .context = 64},
    {.dim = 48,
     .hidden = 56,
     .layers = 1,
     .heads = 4,
     .kv_heads = 4,
     .vocab = 70,
     .context = 64,
     .is_untied = true},
    {.dim = 72, .hidden = 48, .layers = 1, .heads = 6, .kv_heads = 2, .vocab = 64, .context = 64},
    {.dim = 16,
     .hidden = 16,
     .layers = 1,
     .heads = 2,
     .kv_heads = 1,
     .vocab = 16,
     .context = 64,
     .is_untied = true}};

static void load(int shape, struct tp_source_model *source)
{
    struct tp_test_model model = shapes[shape];
    struct tp_test_bytes file = {0};
    struct tp_error error;
    model.seed = 77;
    tp_test_write_llama2c(&model, 0, &file);
    ck_assert_int_eq(tp__source_model_parse(file.data, file.size, "made.bin", source, &error),
                     TP_OK);
    tp_test_bytes_free(&file);
}

struct texts {
    uint32_t tokens[TOKENS];
    uint32_t starts[TEXTS + 1];
    struct tp_token_texts view;
};

static void make_texts(struct texts *texts, uint32_t vocab, uint64_t seed)
{
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    for (uint32_t i = 0; i < TOKENS; i++) {
        // Few tokens are frequent, as in text.
        uint32_t limit = 1 + tp_random_below(&random, vocab);
        texts->tokens[i] = tp_random_below(&random, limit);
    }
    for (uint32_t i = 0; i <= TEXTS; i++) texts->starts[i] = i * LENGTH;
    texts->view = (struct tp_token_texts){texts->tokens, texts->starts, TEXTS};
}

static tp_status quantise(const struct tp_source_model *source, tp_format format,
                          const struct tp_token_texts *texts, struct tp_quantised_model *model,
                          struct tp_error *error)
{
    const tp_context context = {.progress = NULL};
    tp_format formats[64];
    tp_status status = tp__choose_formats(&source->shape, format, NULL, 0, formats, error);
    if (status != TP_OK) return status;
    return tp__quantise_model(&context, source, formats, NULL, texts, model, error);
}

static void quantise_well(const struct tp_source_model *source, tp_format format,
                          const struct tp_token_texts *texts, struct tp_quantised_model *model)
{
    struct tp_error error = {0};
    tp_status status = quantise(source, format, texts, model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

/* Mean squared distance of the logits. */
static double distance(const struct tp_source_model *a, const struct tp_source_model *b,
                       const struct tp_token_texts *texts)
{
    struct tp_reference *references[2];
    struct tp_error error;
    float logits[2][128];
    double sum = 0.0;
    ck_assert_int_eq(tp__reference_open(a, LENGTH, &references[0], &error), TP_OK);
    ck_assert_int_eq(tp__reference_open(b, LENGTH, &references[1], &error), TP_OK);
    for (uint32_t text = 0; text < texts->count; text++) {
        for (uint32_t position = 0; position < LENGTH; position++) {
            uint32_t token = texts->tokens[texts->starts[text] + position];
            for (int i = 0; i < 2; i++) {
                tp__reference_step(references[i], token, position, logits[i]);
            }
            for (uint32_t v = 0; v < a->shape.vocab; v++) {
                double difference = (double)logits[0][v] - (double)logits[1][v];
                sum += difference * difference;
            }
        }
    }
    tp__reference_close(references[0]);
    tp__reference_close(references[1]);
    return sum / TOKENS;
}

static double distance_of(const struct tp_source_model *source, tp_format format,
                          const struct tp_token_texts *texts, const struct tp_token_texts *unseen)
{
    struct tp_quantised_model model;
    struct tp_source_model back;
    struct tp_error error;
    quantise_well(source, format, texts, &model);
    ck_assert_int_eq(tp__dequantise(&model, "back", "llama", &back, &error), TP_OK);
    double result = distance(source, &back, unseen);
    tp__source_model_free(&back);
    tp__quantised_model_free(&model);
    return result;
}

/* ---- claims ---- */

START_TEST(sequential_is_closer_on_unseen_text_than_plain_rounding)
{
    // The last has little to gain: nothing makes up for what its embedding loses.
    static const tp_format formats[] = {TP_FORMAT_NF4, TP_FORMAT_FP4, TP_FORMAT_INT4_ALL};
    static const double limits[] = {0.9, 0.9, 1.01};
    struct tp_source_model source;
    struct texts seen;
    struct texts unseen;
    tp_format format = formats[_i / SHAPES];
    load(_i % SHAPES, &source);
    make_texts(&seen, source.shape.vocab, 1);
    make_texts(&unseen, source.shape.vocab, 2);
    double plain = distance_of(&source, format, NULL, &unseen.view);
    double sequential = distance_of(&source, format, &seen.view, &unseen.view);
    if (sequential > limits[_i / SHAPES] * plain) {
        ck_abort_msg("format %d: %g against %g of plain rounding", format, sequential, plain);
    }
    tp__source_model_free(&source);
}
END_TEST

START_TEST(sequential_gives_the_same_bits_again)
{
    struct tp_source_model source;
    struct tp_quantised_model a;
    struct tp_quantised_model b;
    struct texts texts;
    load(_i, &source);
    make_texts(&texts, source.shape.vocab, 1);
    quantise_well(&source, TP_FORMAT_NF4, &texts.view, &a);
    quantise_well(&source, TP_FORMAT_NF4, &texts.view, &b);
    ck_assert_uint_eq(a.payload_bytes, b.payload_bytes);
    ck_assert_mem_eq(a.payload, b.payload, a.payload_bytes);
    tp__quantised_model_free(&a);
    tp__quantised_model_free(&b);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(sequential_keeps_a_model_on_a_grid)
{
    struct tp_source_model source;
    struct tp_source_model back;
    struct tp_quantised_model plain;
    struct tp_quantised_model again;
    struct tp_error error;
    struct texts texts;
    load(_i, &source);
    make_texts(&texts, source.shape.vocab, 1);
    quantise_well(&source, TP_FORMAT_NF4, NULL, &plain);
    ck_assert_int_eq(tp__dequantise(&plain, "back", "llama", &back, &error), TP_OK);
    quantise_well(&back, TP_FORMAT_NF4, &texts.view, &again);
    float first[128];
    float second[128];
    for (uint32_t i = 0; i < tp__matrix_count(&source.shape); i++) {
        for (uint32_t row = 0; row < plain.matrices[i].rows; row++) {
            tp__quantised_row(&plain.matrices[i], row, first);
            tp__quantised_row(&again.matrices[i], row, second);
            ck_assert_mem_eq(first, second, plain.matrices[i].columns * sizeof *first);
        }
    }
    tp__quantised_model_free(&plain);
    tp__quantised_model_free(&again);
    tp__source_model_free(&back);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(sequential_reports_each_failing_allocation)
{
    struct tp_source_model source;
    struct tp_quantised_model model;
    struct tp_error error;
    struct texts texts;
    load(SHAPES, &source);
    make_texts(&texts, source.shape.vocab, 1);
    texts.view.count = 1;
    tp_status status = TP_ERROR_NO_MEMORY;
    for (uint64_t n = 0; status != TP_OK; n++) {
        tp_test_allocation_fails(n);
        status = quantise(&source, TP_FORMAT_FP4, &texts.view, &model, &error);
        uint64_t failed = tp_test_allocations_work();
        // A thread that finds no memory for itself is done without.
        ck_assert(status == TP_OK || status == TP_ERROR_NO_MEMORY);
        if (status == TP_OK && failed != 0) {
            tp__quantised_model_free(&model);
            status = TP_ERROR_NO_MEMORY;
        }
    }
    tp__quantised_model_free(&model);
    tp__source_model_free(&source);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sequential");
    TCase *tcase = tcase_create("models");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, sequential_is_closer_on_unseen_text_than_plain_rounding, 0,
                        3 * SHAPES);
    tcase_add_loop_test(tcase, sequential_gives_the_same_bits_again, 0, SHAPES);
    tcase_add_loop_test(tcase, sequential_keeps_a_model_on_a_grid, 0, SHAPES);
    tcase_add_test(tcase, sequential_reports_each_failing_allocation);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about scores: nats, change, its standard error, divergence and agreement equal a direct
// computation in long double; equal predictions have no divergence at all; median and 99th
// percentile are within 1.2 % of the sorted list's; an image on the golden machine scores what a
// device with that image scores; models and tokenizers that do not belong together are refused.
//
// Random logits, and models of random weights that the test makes itself. Not covered: how good a
// format is (tests/system/test_figures.sh).

#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "internal.h"
#include "model_files.h"
#include "random.h"

enum { VOCAB = 300, TOKENS = 2000, CONTEXT = 48, TEXTS = 3, PATH_BYTES = 512 };

static struct tp_error error;
#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- the arithmetic ----

struct direct {
    long double nats;
    long double reference_nats;
    long double divergence;
};

static struct direct score_directly(const float *reference, const double *judged, uint32_t next)
{
    long double sums[2] = {0, 0};
    for (int i = 0; i < VOCAB; i++) {
        sums[0] += expl((long double)reference[i]);
        sums[1] += expl((long double)judged[i]);
    }
    struct direct result = {.nats = logl(sums[1]) - (long double)judged[next],
                            .reference_nats = logl(sums[0]) - (long double)reference[next]};
    for (int i = 0; i < VOCAB; i++) {
        long double p = expl((long double)reference[i]) / sums[0];
        long double q = expl((long double)judged[i]) / sums[1];
        result.divergence += p * logl(p / q);
    }
    return result;
}

static void draw_logits(struct tp_random *random, float *logits, double spread)
{
    for (int i = 0; i < VOCAB; i++) {
        logits[i] = (float)(spread * (double)tp_random_range(random, -4096, 4096) / 4096.0);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

START_TEST(scores_equal_a_direct_computation)
{
    static double changes[TOKENS];
    static double divergences[TOKENS];
    struct tp_random random;
    tp_random_init(&random, (uint64_t)_i, 1);
    tp_scorer *scorer = NULL;
    OK(tp_scorer_create(&scorer, &error));
    struct direct sums = {0, 0, 0};
    for (int t = 0; t < TOKENS; t++) {
        float reference[VOCAB];
        float judged[VOCAB];
        int32_t fixed[VOCAB];
        double exact[VOCAB];
        draw_logits(&random, reference, 8);
        draw_logits(&random, judged, pow(2.0, (double)tp_random_range(&random, -16, 2)));
        for (int i = 0; i < VOCAB; i++) {
            judged[i] += reference[i];
            fixed[i] = (int32_t)lround((double)judged[i] * 65536.0);
            exact[i] = _i == 0 ? (double)judged[i] : fixed[i] / 65536.0;
        }
        uint32_t next = (uint32_t)tp_random_range(&random, 0, VOCAB - 1);
        if (_i == 0) {
            tp_scorer_add(scorer, reference, judged, VOCAB, next);
        } else {
            tp_scorer_add_fixed(scorer, reference, fixed, VOCAB, next);
        }
        struct direct one = score_directly(reference, exact, next);
        sums.nats += one.nats;
        sums.reference_nats += one.reference_nats;
        sums.divergence += one.divergence;
        changes[t] = (double)(one.nats - one.reference_nats);
        divergences[t] = (double)one.divergence;
    }
    struct tp_score score;
    tp_scorer_get(scorer, &score);
    double mean = (double)(sums.nats - sums.reference_nats) / TOKENS;
    double squares = 0;
    for (int t = 0; t < TOKENS; t++) squares += (changes[t] - mean) * (changes[t] - mean);
    qsort(divergences, TOKENS, sizeof divergences[0], compare_doubles);
    ck_assert_uint_eq(score.tokens, TOKENS);
    ck_assert_double_eq_tol(score.nats, (double)sums.nats / TOKENS, 1e-10);
    ck_assert_double_eq_tol(score.reference_nats, (double)sums.reference_nats / TOKENS, 1e-10);
    ck_assert_double_eq_tol(score.change, mean, 1e-10);
    ck_assert_double_eq_tol(score.change_error, sqrt(squares / (TOKENS - 1) / TOKENS), 1e-10);
    ck_assert_double_eq_tol(score.perplexity_ratio, exp(mean), 1e-9);
    ck_assert_double_eq_tol(score.divergence, (double)sums.divergence / TOKENS, 1e-10);
    double median = divergences[TOKENS / 2 - 1];
    double high = divergences[TOKENS / 100 * 99 - 1];
    ck_assert_double_eq_tol(score.divergence_median / median, 1.0, 0.012);
    ck_assert_double_eq_tol(score.divergence_high / high, 1.0, 0.012);
    tp_scorer_destroy(scorer);
}
END_TEST

START_TEST(equal_predictions_have_no_divergence)
{
    struct tp_random random;
    tp_random_init(&random, 3, 1);
    tp_scorer *scorer = NULL;
    OK(tp_scorer_create(&scorer, &error));
    struct tp_score score;
    tp_scorer_get(scorer, &score);
    ck_assert_uint_eq(score.tokens, 0);
    for (uint32_t t = 0; t < 100; t++) {
        float logits[VOCAB];
        int32_t fixed[VOCAB];
        draw_logits(&random, logits, 10);
        tp_scorer_add(scorer, logits, logits, VOCAB, t);
        for (int i = 0; i < VOCAB; i++) {
            fixed[i] = (int32_t)(logits[i] * 65536.0f);
            logits[i] = (float)fixed[i] / 65536.0f;
        }
        tp_scorer_add_fixed(scorer, logits, fixed, VOCAB, t);
    }
    tp_scorer_get(scorer, &score);
    ck_assert_uint_eq(score.tokens, 200);
    ck_assert(score.divergence == 0 && score.divergence_median == 0 && score.divergence_high == 0);
    ck_assert(score.change == 0 && score.change_error == 0 && score.perplexity_ratio == 1);
    ck_assert(score.top_agreement == 1);
    tp_scorer_destroy(scorer);
}
END_TEST

START_TEST(agreement_counts_the_most_likely_token)
{
    tp_scorer *scorer = NULL;
    OK(tp_scorer_create(&scorer, &error));
    const float reference[3] = {1, 3, 2};
    const float same[3] = {0, 9, 0};
    const int32_t other[3] = {0, 1, 2};
    tp_scorer_add(scorer, reference, same, 3, 0);
    tp_scorer_add_fixed(scorer, reference, other, 3, 0);
    tp_scorer_add(scorer, reference, same, 3, 0);
    tp_scorer_add(scorer, reference, same, 3, 0);
    struct tp_score score;
    tp_scorer_get(scorer, &score);
    ck_assert(score.top_agreement == 0.75);
    tp_scorer_destroy(scorer);
}
END_TEST

// ---- models ----

static tp_context *context;

static tp_model *open_made(uint32_t vocab, uint64_t seed, bool other_pieces)
{
    const struct tp_test_model made = {64, 96, 2, 8, 4, vocab, CONTEXT, false, seed};
    struct tp_test_bytes model_file = {NULL, 0, 0};
    struct tp_test_bytes tokenizer_file = {NULL, 0, 0};
    char model_path[PATH_BYTES];
    char tokenizer_path[PATH_BYTES];
    tp_test_write_llama2c(&made, 0, &model_file);
    tp_test_write_tokenizer(vocab, &tokenizer_file);
    if (other_pieces) {
        tokenizer_file.data[tokenizer_file.size - 1] ^= 1;
    }
    tp_test_write_file(&model_file, model_path, sizeof model_path);
    tp_test_write_file(&tokenizer_file, tokenizer_path, sizeof tokenizer_path);
    const struct tp_model_options options = {.path = model_path, .tokenizer_path = tokenizer_path};
    tp_model *model = NULL;
    OK(tp_model_open(context, &options, &model, &error));
    (void)unlink(model_path);
    (void)unlink(tokenizer_path);
    tp_test_bytes_free(&model_file);
    tp_test_bytes_free(&tokenizer_file);
    return model;
}

static void setup(void)
{
    OK(tp_context_create(NULL, &context, &error));
}

static void teardown(void)
{
    tp_context_destroy(context);
}

struct listener {
    const uint32_t *tokens;
    uint32_t count;
    float logits[CONTEXT][VOCAB];
    uint32_t calls;
    uint32_t calls_max;
    tp_scorer *scorer;
};

static bool keep(void *user, uint32_t position, const float *logits, uint32_t vocab)
{
    struct listener *listener = user;
    ck_assert_uint_eq(position, listener->calls++);
    memcpy(listener->logits[position], logits, vocab * sizeof *logits);
    return listener->calls < listener->calls_max;
}

static void hear(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct listener *listener = user;
    tp_scorer_add_fixed(listener->scorer, listener->logits[position], logits, vocab,
                        listener->tokens[position + 1]);
}

static void score_on_device(tp_device *device, tp_model *model, struct listener *listener)
{
    const struct tp_session_options options = {
        .ignore_eos = true, .on_logits = hear, .user = listener};
    listener->calls = 0;
    listener->calls_max = UINT32_MAX;
    OK(tp_model_reference(model, listener->tokens, listener->count - 1, keep, listener, &error));
    ck_assert_uint_eq(listener->calls, listener->count - 1);
    tp_session *session = NULL;
    struct tp_token token;
    OK(tp_session_create(device, &options, &session, &error));
    OK(tp_session_feed(session, listener->tokens, listener->count - 1, &error));
    OK(tp_session_generate(session, 0, &error));
    OK(tp_session_read(session, &token, -1, &error));
    ck_assert_int_eq(token.end, TP_END_FED);
    tp_session_destroy(session);
}

START_TEST(an_image_scores_what_a_device_scores)
{
    static struct listener listener;
    uint32_t tokens[TEXTS * CONTEXT];
    uint32_t starts[TEXTS + 1] = {0, CONTEXT, CONTEXT + 2, CONTEXT + 30};
    struct tp_random random;
    tp_random_init(&random, 9, 1);
    for (int i = 0; i < TEXTS * CONTEXT; i++) {
        tokens[i] = (uint32_t)tp_random_range(&random, 0, VOCAB - 1);
    }
    tp_model *model = open_made(VOCAB, 7, false);
    tp_device *device = NULL;
    const struct tp_load_options load = {.format = TP_FORMAT_NF4};
    OK(tp_device_open(context, "emu", &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    OK(tp_scorer_create(&listener.scorer, &error));
    for (int t = 0; t < TEXTS; t++) {
        listener.tokens = tokens + starts[t];
        listener.count = starts[t + 1] - starts[t];
        score_on_device(device, model, &listener);
    }
    struct tp_score expected;
    struct tp_score actual;
    tp_scorer_get(listener.scorer, &expected);
    const struct tp_token_texts texts = {tokens, starts, TEXTS};
    OK(tp__score_image(context, &model->source, device->image, &texts, &actual, &error));
    ck_assert_uint_eq(actual.tokens, CONTEXT - 1 + 1 + 27);
    ck_assert(actual.divergence > 0.0001 && actual.divergence < 2);
    ck_assert(memcmp(&actual, &expected, sizeof actual) == 0);
    const uint32_t lone[TEXTS + 1] = {0, 1, 2, 3};
    const struct tp_token_texts short_texts = {tokens, lone, TEXTS};
    ck_assert_int_eq(
        tp__score_image(context, &model->source, device->image, &short_texts, &actual, &error),
        TP_ERROR_INVALID);
    tp_scorer_destroy(listener.scorer);
    tp_device_close(device);
    tp_model_close(model);
}
END_TEST

START_TEST(reference_refuses_and_stops)
{
    static struct listener listener;
    const uint32_t tokens[CONTEXT + 1] = {1, 2, 3};
    const uint32_t foreign[2] = {1, VOCAB};
    tp_model *model = open_made(VOCAB, 7, false);
    listener.calls_max = 2;
    ck_assert_int_eq(tp_model_reference(model, tokens, 3, keep, &listener, &error),
                     TP_ERROR_CANCELLED);
    ck_assert_uint_eq(listener.calls, 2);
    ck_assert_int_eq(tp_model_reference(model, foreign, 2, keep, &listener, &error),
                     TP_ERROR_RANGE);
    ck_assert_int_eq(tp_model_reference(model, tokens, 0, keep, &listener, &error),
                     TP_ERROR_INVALID);
    ck_assert_int_eq(tp_model_reference(model, tokens, CONTEXT + 1, keep, &listener, &error),
                     TP_ERROR_INVALID);
    ck_assert_int_eq(tp_model_reference(model, tokens, 3, NULL, NULL, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_scorer_create(NULL, &error), TP_ERROR_INVALID);
    tp_model_close(model);
}
END_TEST

START_TEST(models_that_read_texts_differently_are_refused)
{
    tp_model *model = open_made(VOCAB, 7, false);
    tp_model *alike = open_made(VOCAB, 8, false);
    tp_model *larger = open_made(VOCAB + 1, 7, false);
    tp_model *other_text = open_made(VOCAB, 7, true);
    OK(tp_model_check_alike(model, alike, &error));
    ck_assert_int_eq(tp_model_check_alike(model, larger, &error), TP_ERROR_MISMATCH);
    ck_assert(strstr(error.text, "300") != NULL && strstr(error.text, "301") != NULL);
    ck_assert_int_eq(tp_model_check_alike(model, other_text, &error), TP_ERROR_MISMATCH);
    ck_assert(strstr(error.text, "token 299") != NULL);
    ck_assert_int_eq(tp_model_check_alike(model, NULL, &error), TP_ERROR_INVALID);
    tp_model_close(model);
    tp_model_close(alike);
    tp_model_close(larger);
    tp_model_close(other_text);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("score");
    TCase *arithmetic = tcase_create("arithmetic");
    tcase_set_timeout(arithmetic, 60);
    tcase_add_loop_test(arithmetic, scores_equal_a_direct_computation, 0, 2);
    tcase_add_test(arithmetic, equal_predictions_have_no_divergence);
    tcase_add_test(arithmetic, agreement_counts_the_most_likely_token);
    suite_add_tcase(suite, arithmetic);
    TCase *models = tcase_create("models");
    tcase_set_timeout(models, 120);
    tcase_add_checked_fixture(models, setup, teardown);
    tcase_add_test(models, an_image_scores_what_a_device_scores);
    tcase_add_test(models, reference_refuses_and_stops);
    tcase_add_test(models, models_that_read_texts_differently_are_refused);
    suite_add_tcase(suite, models);
    return suite;
}

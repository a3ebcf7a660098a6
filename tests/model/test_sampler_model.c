// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_random is Threefry-2x32 with 20 rounds, that tp_gumbel is within 0.0026 log2 units
// of the exact noise and rises with its argument, that sampled tokens follow softmax of the kept
// logits, and that greedy and top-k keep the order and the ties of the contract.
//
// Random123's published vectors; noise against double at every leading bit; 100,000 samples per
// setting against exact probabilities by a chi-square limit that a right sampler passes all but
// once in 10^6 (the seeds are fixed, so the result never changes).

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <math.h>

// The comparisons must be able to fail: with the fault planted the noise is a quarter too strong.
static int32_t gumbel(uint32_t r)
{
#ifdef TP_PLANT_BUG
    return tp_gumbel(r) + tp_gumbel(r) / 4;
#else
    return tp_gumbel(r);
#endif
}

static uint32_t sample(const struct tp_sampling *sampling, uint32_t position, const int32_t *logits,
                       uint32_t vocab)
{
#ifdef TP_PLANT_BUG
    struct tp_sampling warmer = *sampling;
    warmer.temperature -= warmer.temperature / 8;
    warmer.top_k += warmer.top_k > 0 && warmer.top_k < 64;
    return tp_sample(&warmer, position, logits, vocab);
#else
    return tp_sample(sampling, position, logits, vocab);
#endif
}

START_TEST(random_equals_the_published_vectors)
{
    ck_assert_uint_eq(tp_random(0, 0, 0), 0x6b200159u);
    ck_assert_uint_eq(tp_random(UINT64_MAX, UINT32_MAX, UINT32_MAX), 0x1cb996fcu);
    ck_assert_uint_eq(tp_random(0x0370734413198a2eu, 0x243f6a88u, 0x85a308d3u), 0xc4923a9cu);
}
END_TEST

static double exact_gumbel(uint32_t r)
{
    // -log2(-ln u) with u = (2r + 1) / 2^33, from the side that does not cancel.
    double u = (2.0 * r + 1.0) / 8589934592.0;
    double v = (8589934592.0 - 2.0 * r - 1.0) / 8589934592.0;
    double minus_log = r >> 31 ? -log1p(-v) : -log(u);
    return -log2(minus_log);
}

static void check_gumbel(uint32_t r)
{
    // 5.3e-4 of the tables and half a unit of 1/256.
    double error = fabs(gumbel(r) / 256.0 - exact_gumbel(r));
    if (error > 0.0026) ck_abort_msg("noise of %08x is wrong by %g", r, error);
}

START_TEST(noise_is_near_the_exact_one)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 1);
    for (uint32_t bit = 0; bit < 32; bit++) {
        for (uint32_t i = 0; i < 3000; i++) {
            uint32_t r = (1u << bit) | (tp_random_u32(&random) & ((1u << bit) - 1));
            check_gumbel(r);
            check_gumbel(~r);
        }
    }
    check_gumbel(0);
    check_gumbel(UINT32_MAX);
    check_gumbel(0x7fffffffu);
    check_gumbel(0x80000000u);
    ck_assert_int_eq(gumbel(0), -1156);
    ck_assert_int_eq(gumbel(UINT32_MAX), 8448);
}
END_TEST

START_TEST(noise_rises_with_its_argument)
{
    int32_t last = gumbel(0);
    for (uint64_t r = 0; r < UINT64_C(1) << 32; r += 4099) {
        int32_t noise = gumbel((uint32_t)r);
        if (noise < last) ck_abort_msg("noise falls at %08x", (uint32_t)r);
        last = noise;
    }
    for (uint32_t bit = 1; bit < 32; bit++) {
        ck_assert_int_le(gumbel((1u << bit) - 1), gumbel(1u << bit));
        ck_assert_int_le(gumbel(~(1u << bit)), gumbel(~((1u << bit) - 1)));
    }
}
END_TEST

enum { VOCAB = 24, SAMPLES = 100000 };

// Softmax of the k largest logits at temperature; k 0 keeps all. Ties do not occur here.
static void softmax(const int32_t *logits, double temperature, uint32_t k, double *probability)
{
    double sum = 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        uint32_t larger = 0;
        for (uint32_t j = 0; j < VOCAB; j++) larger += logits[j] > logits[i];
        bool kept = k == 0 || larger < k;
        probability[i] = kept ? exp(logits[i] / 65536.0 / temperature) : 0;
        sum += probability[i];
    }
    for (uint32_t i = 0; i < VOCAB; i++) probability[i] /= sum;
}

START_TEST(tokens_follow_softmax)
{
    static const double temperatures[] = {0.5, 0.7, 1.0, 1.5};
    static const uint32_t top_k[] = {0, 1, 5, 64};
    double temperature = temperatures[_i % 4];
    uint32_t k = top_k[_i / 4];
    struct tp_random random;
    int32_t logits[VOCAB];
    double probability[VOCAB];
    uint32_t count[VOCAB] = {0};
    tp_random_init(&random, tp_test_seed(_i), 2);
    for (uint32_t i = 0; i < VOCAB; i++) {
        // From -1.5 to 1.5, all different.
        logits[i] = (int32_t)tp_random_range(&random, -98304, 98303) / 32 * 32 + (int32_t)i;
    }
    softmax(logits, temperature, k, probability);
    struct tp_sampling sampling = {(uint32_t)lround(1.4426950408889634 / temperature * 4096), k, 0};
    for (uint32_t i = 0; i < SAMPLES; i++) {
        // Both ways to a new number: another position, another seed.
        sampling.seed = i / 1000 * 0x9e3779b97f4a7c15u;
        count[sample(&sampling, i % 1000, logits, VOCAB)]++;
    }
    double chi_square = 0;
    uint32_t classes = 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        double expected = probability[i] * SAMPLES;
        if (probability[i] <= 0) {
            ck_assert_uint_eq(count[i], 0);
            continue;
        }
        ck_assert_double_ge(expected, 5);
        chi_square += (count[i] - expected) * (count[i] - expected) / expected;
        classes++;
    }
    // Mean n - 1, deviation sqrt(2n): five deviations and the tail's skew, 1e-6.
    double limit = classes + 5 * sqrt(2.0 * classes) + 13;
    ck_assert_msg(chi_square <= limit, "chi-square %g of %u classes", chi_square, classes);
}
END_TEST

START_TEST(greedy_takes_the_largest_logit_and_the_lowest_id)
{
    struct tp_sampling sampling = {0, 7, 42};
    int32_t logits[6] = {-5, 70000, 3, 70000, 70000, 69999};
    ck_assert_uint_eq(sample(&sampling, 9, logits, 6), 1);
    // Full 32 bits count: these differ only below what the temperature path keeps.
    int32_t large[4] = {INT32_MIN, INT32_MAX - 1, INT32_MAX, INT32_MAX - 2};
    ck_assert_uint_eq(sample(&sampling, 9, large, 4), 2);
    int32_t equal[3] = {INT32_MIN, INT32_MIN, INT32_MIN};
    ck_assert_uint_eq(sample(&sampling, 9, equal, 3), 0);
}
END_TEST

START_TEST(top_k_keeps_the_lowest_ids_among_equals)
{
    int32_t logits[100];
    bool seen[100] = {false};
    for (uint32_t i = 0; i < 100; i++) logits[i] = i % 2 ? 500 : 100;
    logits[99] = 501;
    for (uint32_t position = 0; position < 2000; position++) {
        struct tp_sampling sampling = {5909, 8, 77};
        seen[sample(&sampling, position, logits, 100)] = true;
    }
    // 99 rounds to the z of the other odd ones at this temperature, and comes after them.
    for (uint32_t i = 0; i < 100; i++) ck_assert_int_eq(seen[i], i % 2 && i < 16);
}
END_TEST

START_TEST(top_k_of_the_whole_vocabulary_changes_nothing)
{
    struct tp_random random;
    int32_t logits[64];
    tp_random_init(&random, tp_test_seed(_i), 3);
    for (uint32_t n = 0; n < 3000; n++) {
        uint32_t vocab = 1 + tp_random_below(&random, 64);
        for (uint32_t i = 0; i < vocab; i++) logits[i] = (int32_t)tp_random_signed(&random, 32);
        struct tp_sampling all = {1 + tp_random_below(&random, (1 << 20) - 1), 0,
                                  tp_random_u64(&random)};
        struct tp_sampling top = all;
        top.top_k = 64;
        ck_assert_uint_eq(tp_sample(&all, n, logits, vocab), tp_sample(&top, n, logits, vocab));
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sampler_model");
    TCase *tcase = tcase_create("exact");
    tcase_add_test(tcase, random_equals_the_published_vectors);
    tcase_add_loop_test(tcase, noise_is_near_the_exact_one, 0, 2);
    tcase_add_test(tcase, noise_rises_with_its_argument);
    tcase_add_loop_test(tcase, tokens_follow_softmax, 0, 16);
    tcase_add_test(tcase, greedy_takes_the_largest_logit_and_the_lowest_id);
    tcase_add_test(tcase, top_k_keeps_the_lowest_ids_among_equals);
    tcase_add_loop_test(tcase, top_k_of_the_whole_vocabulary_changes_nothing, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite;
}

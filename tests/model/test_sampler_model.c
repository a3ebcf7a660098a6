// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_random is Threefry-2x32 with 20 rounds, that tp_gumbel is within 0.0026 log2 units
// of the exact noise and rises with its argument, that sampled tokens follow softmax of the kept
// logits, that greedy and top-k keep the order and the ties of the contract, that top-p and min-p
// keep what double arithmetic keeps, that the penalty meets exactly the last 64 tokens, and that
// log probabilities of tp_rank are within 0.0004 nats (and the tail that the sum may lose).
//
// Random123's published vectors; noise against double at every leading bit; 100,000 samples per
// setting against exact probabilities by a chi-square limit that a right sampler passes all but
// once in 10^6 (the seeds are fixed, so the result never changes). Kept sets are compared where the
// exact sum is not within 2e-4 of the limit.

#include "check_main.h"
#include "model.h"
#include "random.h"

#include <math.h>
#include <string.h>

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
    warmer.top_p_cut -= warmer.top_p_cut / 8;
    warmer.min_p_gap += warmer.min_p_gap / 8;
    return tp_sample(&warmer, position, logits, vocab);
#else
    return tp_sample(sampling, position, logits, vocab);
#endif
}

static void rank(const int32_t *logits, uint32_t vocab, uint32_t most, struct tp_ranking *ranking)
{
    tp_rank(logits, vocab, most, ranking);
#ifdef TP_PLANT_BUG
    ranking->weights.sum += ranking->weights.sum >> 10;
#endif
}

static void penalise(const struct tp_sampling *sampling, const struct tp_recent *recent,
                     int32_t *logits, uint32_t vocab)
{
#ifdef TP_PLANT_BUG
    struct tp_recent shorter = *recent;
    shorter.count = recent->count < TP_RECENT_MAX ? recent->count : TP_RECENT_MAX - 1;
    tp_penalise(sampling, &shorter, logits, vocab);
#else
    tp_penalise(sampling, recent, logits, vocab);
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

// What stays, and how much, by double arithmetic. k 0 keeps all; p 1 and min_p 0 are off.
struct limits {
    uint32_t k;
    double p;
    double min_p;
};

// The nearest distance of a sum to the limit p or of a ratio to min_p goes to margin. Ties do not
// occur here.
static void keep(const int32_t *logits, uint32_t vocab, const struct limits *limits, bool *kept,
                 double *margin)
{
    double total = 0;
    double most = -1e9;
    for (uint32_t i = 0; i < vocab; i++) {
        uint32_t larger = 0;
        for (uint32_t j = 0; j < vocab; j++) larger += logits[j] > logits[i];
        kept[i] = limits->k == 0 || larger < limits->k;
        most = fmax(most, logits[i] / 65536.0);
    }
    for (uint32_t i = 0; i < vocab; i++) total += kept[i] ? exp(logits[i] / 65536.0 - most) : 0;
    bool among[64];
    for (uint32_t i = 0; i < vocab; i++) among[i] = kept[i];
    *margin = 1;
    for (uint32_t i = 0; i < vocab; i++) {
        if (!among[i]) continue;
        double before = 0;
        double ratio = exp(logits[i] / 65536.0 - most);
        for (uint32_t j = 0; j < vocab; j++) {
            if (among[j] && logits[j] > logits[i]) before += exp(logits[j] / 65536.0 - most);
        }
        if (limits->p < 1 && before > 0) {
            kept[i] = kept[i] && before / total < limits->p;
            *margin = fmin(*margin, fabs(before / total - limits->p));
        }
        if (limits->min_p > 0) {
            kept[i] = kept[i] && ratio >= limits->min_p;
            *margin = fmin(*margin, fabs(ratio - limits->min_p));
        }
    }
}

static void softmax(const int32_t *logits, double temperature, const struct limits *limits,
                    double *probability)
{
    bool kept[VOCAB];
    double margin = 0;
    double sum = 0;
    keep(logits, VOCAB, limits, kept, &margin);
    ck_assert_double_gt(margin, 2e-4);
    for (uint32_t i = 0; i < VOCAB; i++) {
        probability[i] = kept[i] ? exp(logits[i] / 65536.0 / temperature) : 0;
        sum += probability[i];
    }
    for (uint32_t i = 0; i < VOCAB; i++) probability[i] /= sum;
}

static struct tp_sampling sampling_of(double temperature, const struct limits *limits)
{
    return (struct tp_sampling){
        .temperature = (uint32_t)lround(1.4426950408889634 / temperature * 4096),
        .top_k = limits->k,
        .top_p_cut = (uint32_t)lround((1 - limits->p) * 65536),
        .min_p_gap = limits->min_p > 0 ? (uint32_t)lround(-log(limits->min_p) * 4096) + 1 : 0};
}

START_TEST(tokens_follow_softmax)
{
    static const double temperatures[] = {0.5, 0.7, 1.0, 1.5};
    static const struct limits limits[] = {{0, 1, 0},    {1, 1, 0},    {5, 1, 0},      {64, 1, 0},
                                           {64, 0.7, 0}, {64, 1, 0.2}, {12, 0.9, 0.15}};
    double temperature = temperatures[_i % 4];
    struct tp_random random;
    int32_t logits[VOCAB];
    double probability[VOCAB];
    uint32_t count[VOCAB] = {0};
    tp_random_init(&random, tp_test_seed(_i), 2);
    for (uint32_t i = 0; i < VOCAB; i++) {
        // From -1.5 to 1.5, all different.
        logits[i] = (int32_t)tp_random_range(&random, -98304, 98303) / 32 * 32 + (int32_t)i;
    }
    softmax(logits, temperature, &limits[_i / 4], probability);
    struct tp_sampling sampling = sampling_of(temperature, &limits[_i / 4]);
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
    struct tp_sampling sampling = {.top_k = 7, .seed = 42};
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
    for (uint32_t i = 0; i < 100; i++) logits[i] = i % 2 ? 496 : 100;
    logits[99] = 497;
    for (uint32_t position = 0; position < 2000; position++) {
        struct tp_sampling sampling = {.temperature = 5909, .top_k = 8, .seed = 77};
        seen[sample(&sampling, position, logits, 100)] = true;
    }
    // 99 rounds to the key of the other odd ones, and comes after them.
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
        // Logits that are keys without rounding or clamping.
        for (uint32_t i = 0; i < vocab; i++) {
            logits[i] = (int32_t)tp_random_signed(&random, 23) * 16;
        }
        struct tp_sampling all = {.temperature = 1 + tp_random_below(&random, (1 << 20) - 1),
                                  .seed = tp_random_u64(&random)};
        struct tp_sampling top = all;
        top.top_k = 64;
        ck_assert_uint_eq(tp_sample(&all, n, logits, vocab), tp_sample(&top, n, logits, vocab));
    }
}
END_TEST

// Which ids come out at a temperature so high that each candidate does.
static void seen_ids(struct tp_sampling sampling, const int32_t *logits, uint32_t vocab, bool *seen)
{
    sampling.temperature = 60;
    memset(seen, 0, vocab * sizeof *seen);
    for (uint32_t position = 0; position < 1500; position++) {
        seen[sample(&sampling, position, logits, vocab)] = true;
    }
}

START_TEST(top_p_and_min_p_keep_what_double_keeps)
{
    struct tp_random random;
    int32_t logits[64];
    bool kept[64];
    bool seen[64];
    uint32_t compared = 0;
    tp_random_init(&random, tp_test_seed(_i), 4);
    for (uint32_t n = 0; n < 60; n++) {
        uint32_t vocab = 2 + tp_random_below(&random, 60);
        struct limits limits = {.k = 1 + tp_random_below(&random, 64), .p = 1};
        if (n % 3 != 0) limits.p = (1 + tp_random_below(&random, 999)) / 1000.0;
        if (n % 3 != 1) limits.min_p = (1 + tp_random_below(&random, 999)) / 1000.0;
        if (n % 4 == 0) limits.min_p /= 100;
        int32_t offset = (int32_t)tp_random_range(&random, -100, 100) * 65536;
        for (uint32_t i = 0; i < vocab; i++) {
            // All keys are different.
            int32_t key = (int32_t)tp_random_range(&random, -190, 190) * 64 + (int32_t)i;
            logits[i] = offset + key * 16;
        }
        double margin = 0;
        keep(logits, vocab, &limits, kept, &margin);
        if (margin < 2e-4) continue;
        compared++;
        seen_ids(sampling_of(1, &limits), logits, vocab, seen);
        for (uint32_t i = 0; i < vocab; i++) {
            ck_assert_msg(seen[i] == kept[i], "case %u: id %u of %u, k %u, p %g, min_p %g", n, i,
                          vocab, limits.k, limits.p, limits.min_p);
        }
    }
    ck_assert_uint_gt(compared, 30);
}
END_TEST

START_TEST(top_p_and_min_p_at_their_ends)
{
    int32_t logits[40];
    bool seen[40];
    // The smallest p and the largest min_p keep the largest, and all that equal it for min_p.
    for (int32_t i = 0; i < 40; i++) logits[i] = i % 4 == 1 ? 8000 : 16 * i;
    seen_ids((struct tp_sampling){.top_k = 64, .top_p_cut = 65535}, logits, 40, seen);
    for (uint32_t i = 0; i < 40; i++) ck_assert_int_eq(seen[i], i == 1);
    seen_ids((struct tp_sampling){.top_k = 64, .min_p_gap = 1}, logits, 40, seen);
    for (uint32_t i = 0; i < 40; i++) ck_assert_int_eq(seen[i], i % 4 == 1);
    // Off keeps what weighs nothing.
    for (int32_t i = 0; i < 40; i++) logits[i] = i == 7 ? 1000 << 16 : -(1000 << 16);
    struct tp_sampling sampling = {.temperature = 1, .top_k = 40};
    memset(seen, 0, sizeof seen);
    for (uint32_t position = 0; position < 2000; position++) {
        seen[sample(&sampling, position, logits, 40)] = true;
    }
    for (uint32_t i = 0; i < 40; i++) ck_assert_int_eq(seen[i], 1);
}
END_TEST

START_TEST(penalty_meets_the_last_64_tokens)
{
    struct tp_random random;
    struct tp_recent recent = {.count = 0};
    uint32_t history[400];
    int32_t logits[100];
    tp_random_init(&random, tp_test_seed(_i), 5);
    for (uint32_t n = 0; n < 400; n++) {
        history[n] = tp_random_below(&random, tp_random_chance(&random, 128) ? 120 : 10);
        tp_recent_add(&recent, history[n]);
        double penalty = 1 + tp_random_below(&random, 2900) / 1000.0;
        struct tp_sampling sampling = {.penalty_positive = (uint32_t)lround(1024 / penalty),
                                       .penalty_negative = (uint32_t)lround(1024 * penalty)};
        int32_t before[100];
        for (uint32_t i = 0; i < 100; i++) {
            before[i] = (int32_t)tp_random_signed(&random, n % 2 ? 32 : 24);
            logits[i] = before[i];
        }
        penalise(&sampling, &recent, logits, 100);
        for (uint32_t i = 0; i < 100; i++) {
            bool is_recent = false;
            for (uint32_t j = n < 63 ? 0 : n - 63; j <= n; j++) is_recent |= history[j] == i;
            double exact = before[i];
            if (is_recent) exact = before[i] > 0 ? exact / penalty : exact * penalty;
            exact = fmin(fmax(exact, INT32_MIN), INT32_MAX);
            // Half a unit of 2^-10 of the smallest factor, and the rounding of the logit.
            ck_assert_double_le(fabs(logits[i] - exact), is_recent ? fabs(exact) * 2e-3 + 1 : 0);
        }
    }
    // Without a penalty nothing moves.
    memset(logits, 0x55, sizeof logits);
    struct tp_sampling off = {.penalty_positive = 0, .penalty_negative = 0};
    penalise(&off, &recent, logits, 100);
    for (uint32_t i = 0; i < 100; i++) ck_assert_int_eq(logits[i], 0x55555555);
}
END_TEST

START_TEST(log_probabilities_are_near_the_exact_ones)
{
    static int32_t logits[3000];
    struct tp_random random;
    struct tp_ranking ranking;
    tp_random_init(&random, tp_test_seed(_i), 6);
    for (uint32_t n = 0; n < 300; n++) {
        uint32_t vocab = 1 + tp_random_below(&random, n % 10 == 0 ? 3000 : 100);
        uint32_t most = tp_random_below(&random, 65);
        int32_t spread = 1 << (10 + n % 14);
        int32_t offset = (int32_t)tp_random_range(&random, -60, 60) * 65536;
        double largest_logit = -1e9;
        double sum = 0;
        for (uint32_t i = 0; i < vocab; i++) {
            logits[i] = offset + (int32_t)tp_random_range(&random, -spread, spread);
            largest_logit = fmax(largest_logit, logits[i] / 65536.0);
        }
        for (uint32_t i = 0; i < vocab; i++) sum += exp(logits[i] / 65536.0 - largest_logit);
        rank(logits, vocab, most, &ranking);
        double exact = (largest_logit + log(sum)) / log(2.0);
        double heard = log2((double)ranking.weights.sum) + 8 * ranking.weights.exponent - 24;
        // Half a key, the table, the factor of the key; and what shifts may lose of each weight.
        double bound = 4e-4 / log(2.0) + fabs(largest_logit) * 1e-5 + vocab * 0x1p-23;
        ck_assert_msg(fabs(exact - heard) <= bound, "case %u: %g, exact %g", n, heard, exact);
        ck_assert_uint_eq(ranking.count, most < vocab ? most : vocab);
        for (uint32_t i = 0; i < ranking.count; i++) {
            ck_assert_int_eq(ranking.key[i], tp_sample_key(logits[ranking.id[i]]));
            uint32_t before = 0;
            for (uint32_t j = 0; j < vocab; j++) {
                int32_t key = tp_sample_key(logits[j]);
                before += key > ranking.key[i] || (key == ranking.key[i] && j < ranking.id[i]);
            }
            ck_assert_uint_eq(before, i);
        }
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
    tcase_add_loop_test(tcase, tokens_follow_softmax, 0, 28);
    tcase_add_test(tcase, greedy_takes_the_largest_logit_and_the_lowest_id);
    tcase_add_test(tcase, top_k_keeps_the_lowest_ids_among_equals);
    tcase_add_loop_test(tcase, top_k_of_the_whole_vocabulary_changes_nothing, 0, 4);
    tcase_add_loop_test(tcase, top_p_and_min_p_keep_what_double_keeps, 0, 4);
    tcase_add_test(tcase, top_p_and_min_p_at_their_ends);
    tcase_add_loop_test(tcase, penalty_meets_the_last_64_tokens, 0, 4);
    tcase_add_loop_test(tcase, log_probabilities_are_near_the_exact_ones, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite;
}

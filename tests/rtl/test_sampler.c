// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sampler gives the token of tp_sample, in the very cycle that its README states,
// for greedy, temperature and top-k, whatever gaps the logits have.
//
// Random vectors of one slot after the other, back to back and with gaps: wide and narrow logits,
// logits with many equal values, one to thousands of them; noise on the inputs between. The
// settings of the other slots change all the time.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <string.h>

enum {
    SLOTS = TP_PARAM_Slots,
    TOP_K = TP_PARAM_TopK,
    VOCAB_MAX = 5000,
    VECTORS = 60,
    SAMPLING_BITS = 91,
    LATENCY = 49
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_sampling sampling[SLOTS];
    uint16_t position[SLOTS];
    uint64_t cycle;
    uint64_t token_at;  // UINT64_MAX: none under way
    uint32_t token;
    uint32_t slot;
    uint32_t tokens;
};

static void bits_set(uint32_t *words, uint32_t lsb, uint32_t width, uint64_t value)
{
    for (uint32_t i = 0; i < width; i++) {
        uint32_t bit = (uint32_t)(value >> i) & 1;
        words[(lsb + i) / 32] |= bit << (lsb + i) % 32;
    }
}

static void settings_drive(struct bench *bench)
{
    uint32_t sampling[(SLOTS * SAMPLING_BITS + 31) / 32] = {0};
    uint32_t position[(SLOTS * 16 + 31) / 32] = {0};
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct tp_sampling *s = &bench->sampling[slot];
        bits_set(sampling, slot * SAMPLING_BITS, 64, s->seed);
        bits_set(sampling, slot * SAMPLING_BITS + 64, 7, s->top_k);
        bits_set(sampling, slot * SAMPLING_BITS + 71, 20, s->temperature);
        bits_set(position, slot * 16, 16, bench->position[slot]);
    }
    tp_port_set_words(tp_dut_port(bench->dut, "sampling_i"), sampling);
    tp_port_set_words(tp_dut_port(bench->dut, "position_i"), position);
}

static void settings_random(struct bench *bench, uint32_t slot)
{
    struct tp_random *random = &bench->random;
    struct tp_sampling *s = &bench->sampling[slot];
    s->seed = tp_random_u64(random);
    s->top_k = tp_random_chance(random, 128) ? 0 : tp_random_below(random, TOP_K + 1);
    s->temperature =
        tp_random_chance(random, 60) ? 0 : (uint32_t)tp_random_signed(random, 21) & 0xfffff;
    if (tp_random_chance(random, 128)) s->temperature = 5909;  // T = 1
    bench->position[slot] = (uint16_t)tp_random_u32(random);
}

static void cycle(struct bench *bench, bool valid, uint32_t index, int32_t logit, bool last)
{
    struct tp_random *random = &bench->random;
    if (tp_random_chance(random, 8)) {
        uint32_t other = tp_random_below(random, SLOTS);
        if (other != bench->slot || bench->token_at == UINT64_MAX) {
            settings_random(bench, other);
            settings_drive(bench);
        }
    }
    tp_dut_set(bench->dut, "logit_valid_i", valid);
    tp_dut_set(bench->dut, "logit_slot_i", valid ? bench->slot : tp_random_below(random, 8));
    tp_dut_set(bench->dut, "logit_index_i", valid ? index : tp_random_below(random, 65536));
    tp_dut_set(bench->dut, "logit_data_i", valid ? (uint32_t)logit : tp_random_u32(random));
    tp_dut_set(bench->dut, "logit_last_i", valid ? last : tp_random_below(random, 2));
    tp_dut_settle(bench->dut);
    bool token = tp_dut_get(bench->dut, "token_valid_o") != 0;
    ck_assert_msg(token == (bench->cycle == bench->token_at), "token_valid_o in cycle %llu of %llu",
                  (unsigned long long)bench->cycle, (unsigned long long)bench->token_at);
    if (token) {
        const struct tp_sampling *sampling = &bench->sampling[bench->slot];
        ck_assert_msg(tp_dut_get(bench->dut, "token_o") == bench->token,
                      "token %u, not %u: temperature %u, top_k %u",
                      (uint32_t)tp_dut_get(bench->dut, "token_o"), bench->token,
                      sampling->temperature, sampling->top_k);
        ck_assert_uint_eq(tp_dut_get(bench->dut, "token_slot_o"), bench->slot);
        bench->token_at = UINT64_MAX;
        bench->tokens++;
    }
    tp_dut_tick(bench->dut);
    bench->cycle++;
}

static uint32_t random_logits(struct tp_random *random, int32_t *logits)
{
    uint32_t kind = tp_random_below(random, 4);
    uint32_t vocab = 1 + tp_random_below(random, tp_random_chance(random, 100) ? 4 : 150);
    if (tp_random_chance(random, 4)) vocab = VOCAB_MAX - tp_random_below(random, 100);
    for (uint32_t i = 0; i < vocab; i++) {
        if (kind == 0) logits[i] = (int32_t)tp_random_signed(random, 32);
        if (kind == 1) logits[i] = (int32_t)tp_random_range(random, -300000, 300000);
        if (kind == 2) logits[i] = (int32_t)tp_random_range(random, -3, 2) * 40000;
        if (kind == 3)
            logits[i] = tp_random_chance(random, 128) ? INT32_MIN : INT32_MAX - (int)(i % 2);
    }
    return vocab;
}

static void run_vector(struct bench *bench, bool gaps)
{
    static int32_t logits[VOCAB_MAX];
    struct tp_random *random = &bench->random;
    uint32_t vocab = random_logits(random, logits);
    bench->slot = tp_random_below(random, SLOTS);
    settings_random(bench, bench->slot);
    settings_drive(bench);
    const struct tp_sampling *s = &bench->sampling[bench->slot];
    bench->token = tp_sample(s, bench->position[bench->slot], logits, vocab);
    bench->token_at = UINT64_MAX - 1;
    uint32_t chance = gaps ? 1 + tp_random_below(random, 255) : 256;
    for (uint32_t i = 0; i < vocab; i++) {
        while (!tp_random_chance(random, chance)) cycle(bench, false, 0, 0, false);
        if (i + 1 == vocab) {
            uint32_t scan = s->temperature > 0 && s->top_k > 0 ? TP_CYCLES_LIST : 0;
            bench->token_at = bench->cycle + LATENCY + scan;
        }
        cycle(bench, true, i, logits[i], i + 1 == vocab);
    }
    while (bench->token_at != UINT64_MAX) cycle(bench, false, 0, 0, false);
    for (uint32_t i = gaps ? tp_random_below(random, 100) : 0; i > 0; i--) {
        cycle(bench, false, 0, 0, false);
    }
}

static void bench_open(struct bench *bench, uint64_t seed)
{
    memset(bench, 0, sizeof *bench);
    tp_random_init(&bench->random, seed, 1);
    bench->token_at = UINT64_MAX;
    bench->dut = tp_dut_open(seed);
}

START_TEST(sampler_equals_model_back_to_back)
{
    struct bench bench;
    bench_open(&bench, tp_test_seed(_i));
    for (uint32_t i = 0; i < VECTORS; i++) run_vector(&bench, false);
    ck_assert_uint_eq(bench.tokens, VECTORS);
    tp_dut_close(bench.dut);
}
END_TEST

START_TEST(sampler_equals_model_with_gaps)
{
    struct bench bench;
    bench_open(&bench, tp_test_seed(_i));
    for (uint32_t i = 0; i < VECTORS; i++) run_vector(&bench, true);
    ck_assert_uint_eq(bench.tokens, VECTORS);
    tp_dut_close(bench.dut);
}
END_TEST

START_TEST(sampler_reset_in_the_middle_leaves_no_trace)
{
    struct bench bench;
    bench_open(&bench, tp_test_seed(_i));
    for (uint32_t round = 0; round < 8; round++) {
        bench.slot = tp_random_below(&bench.random, SLOTS);
        settings_random(&bench, bench.slot);
        settings_drive(&bench);
        bench.token_at = UINT64_MAX - 1;
        uint32_t count = 1 + tp_random_below(&bench.random, 100);
        for (uint32_t i = 0; i < count; i++) {
            cycle(&bench, true, i, (int32_t)tp_random_u32(&bench.random), i + 1 == count);
        }
        uint32_t wait = tp_random_below(&bench.random, LATENCY - 1);
        for (uint32_t i = 0; i < wait; i++) cycle(&bench, false, 0, 0, false);
        tp_dut_set(bench.dut, "logit_valid_i", 0);
        tp_dut_reset(bench.dut, 4);
        bench.token_at = UINT64_MAX;
        run_vector(&bench, round % 2 != 0);
    }
    tp_dut_close(bench.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tcase = tcase_create("vectors");
    tcase_add_loop_test(tcase, sampler_equals_model_back_to_back, 0, 2 * TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, sampler_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, sampler_reset_in_the_middle_leaves_no_trace, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

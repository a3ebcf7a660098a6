// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sampler gives the token of tp_sample, and the ranking of tp_rank, in the very
// cycle that its README states, for greedy (fast and not), temperature, top-k, top-p, min-p and
// repetition penalty, whatever gaps the logits have.
//
// Random vectors of one slot after the other, back to back and with gaps: wide and narrow logits,
// logits with many equal values, one to thousands of them; noise on the inputs between. The
// settings of the other slots change all the time, and commands that are none of the sampler's come
// between. Slots for which only the largest logit counts mostly take two a cycle. Before each
// vector of a slot its history grows by one token, often one of the last ones, or begins anew, from
// nothing or with the tokens before.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <string.h>

enum {
    SLOTS = TP_PARAM_Slots,
    TOP_K = TP_PARAM_TopK,
    VOCAB_MAX = TP_PARAM_VocabMax,
    VECTORS = 60,
    SAMPLING_BITS = 162,
    POSITIONS_MAX = TP_PARAM_PositionsMax,
    COMMAND_AHEAD = 9  // at least so many cycles before the first logit
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_sampling sampling[SLOTS];
    uint16_t position[SLOTS];
    uint32_t candidates[SLOTS];
    // What was processed: a slot without a history was never cleared.
    bool has_history[SLOTS];
    struct tp_recent recent[SLOTS];
    struct tp_ranking ranking;  // of the vector under way
    int32_t key;
    uint64_t heard;  // candidates, by place
    bool fast;       // two logits a cycle
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
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct tp_sampling *s = &bench->sampling[slot];
        bits_set(sampling, slot * SAMPLING_BITS, 64, s->seed);
        bits_set(sampling, slot * SAMPLING_BITS + 64, 7, s->top_k);
        bits_set(sampling, slot * SAMPLING_BITS + 71, 20, s->temperature);
        bits_set(sampling, slot * SAMPLING_BITS + 91, 12, s->penalty_positive);
        bits_set(sampling, slot * SAMPLING_BITS + 103, 12, s->penalty_negative);
        bits_set(sampling, slot * SAMPLING_BITS + 115, 16, s->top_p_cut);
        bits_set(sampling, slot * SAMPLING_BITS + 131, 24, s->min_p_gap);
        bits_set(sampling, slot * SAMPLING_BITS + 155, 7, bench->candidates[slot]);
    }
    tp_port_set_words(tp_dut_port(bench->dut, "sampling_i"), sampling);
}

static void settings_random(struct bench *bench, uint32_t slot)
{
    struct tp_random *random = &bench->random;
    struct tp_sampling *s = &bench->sampling[slot];
    *s = (struct tp_sampling){.seed = tp_random_u64(random)};
    s->top_k = tp_random_chance(random, 128) ? 0 : tp_random_below(random, TOP_K + 1);
    s->temperature =
        tp_random_chance(random, 60) ? 0 : (uint32_t)tp_random_signed(random, 21) & 0xfffff;
    if (tp_random_chance(random, 128)) s->temperature = 5909;  // T = 1
    if (tp_random_chance(random, 128)) s->top_p_cut = tp_random_below(random, 65536);
    if (tp_random_chance(random, 128)) {
        s->min_p_gap = (uint32_t)tp_random_signed(random, 25) & 0xffffff;
    }
    if (bench->has_history[slot] && tp_random_chance(random, 160)) {
        s->penalty_positive = 1 + tp_random_below(random, 1024);
        s->penalty_negative = 1024 + tp_random_below(random, 3072);
    }
    bench->candidates[slot] =
        tp_random_chance(random, 128) ? 0 : tp_random_below(random, TOP_K + 1);
}

static void check_candidate(struct bench *bench)
{
    uint32_t words[2] = {0};  // key, id, place, slot from the lowest bit on
    tp_port_get_words(tp_dut_port(bench->dut, "candidate_o"), words);
    uint32_t place = words[1] >> 8 & 63;
    ck_assert_uint_lt(place, bench->ranking.count);
    ck_assert_uint_eq(bench->heard >> place & 1, 0);
    bench->heard |= UINT64_C(1) << place;
    ck_assert_uint_eq(words[1] >> 14, bench->slot);
    ck_assert_uint_eq((words[0] >> 24 | words[1] << 8) & 0xffff, bench->ranking.id[place]);
    ck_assert_int_eq((int32_t)(words[0] << 8) >> 8, bench->ranking.key[place]);
}

static void check_ranking(struct bench *bench)
{
    uint32_t words[3] = {0};  // sum, exponent, key, count
    const struct tp_ranking *ranking = &bench->ranking;
    tp_port_get_words(tp_dut_port(bench->dut, "ranking_o"), words);
    ck_assert_uint_eq(words[0] | (uint64_t)(words[1] & 0xffff) << 32, ranking->weights.sum);
    ck_assert_int_eq((int32_t)(words[1] << 6) >> 22, ranking->weights.exponent);
    ck_assert_int_eq((int32_t)((words[1] >> 26 | words[2] << 6) << 8) >> 8, bench->key);
    ck_assert_uint_eq(words[2] >> 18, ranking->count);
    ck_assert_uint_eq(bench->heard + 1, ranking->count == 64 ? 0 : UINT64_C(1) << ranking->count);
}

// Only the largest logit counts. Sometimes such a slot comes slowly all the same: its logits are
// sent to the host too.
static bool can_be_fast(const struct bench *bench, uint32_t slot)
{
    const struct tp_sampling *s = &bench->sampling[slot];
    return s->temperature == 0 && s->penalty_positive == 0 && bench->candidates[slot] == 0;
}

static void set_command(struct bench *bench, bool valid, uint32_t dest, uint32_t slot,
                        uint32_t token)
{
    uint32_t words[8] = {0};  // the instruction, token, position, slot, fast
    tp_matvec_pack(&(struct tp_op_matvec){.opcode = TP_OP_MATVEC, .dest = dest}, words);
    bits_set(words, 192, 16, token);
    bits_set(words, 208, 16, bench->position[slot % SLOTS]);
    bits_set(words, 224, 3, slot);
    bool ours = valid && dest == TP_DEST_LOGITS;
    bits_set(words, 227, 1, ours ? bench->fast : tp_random_below(&bench->random, 2));
    tp_port_set_words(tp_dut_port(bench->dut, "cmd_i"), words);
    tp_dut_set(bench->dut, "cmd_valid_i", valid);
}

static void cycle_of(struct bench *bench, bool valid, uint32_t index, const int32_t *logits,
                     bool both, bool last)
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
    uint32_t lower = valid ? (uint32_t)logits[index] : tp_random_u32(random);
    uint32_t upper = both ? (uint32_t)logits[index + 1] : tp_random_u32(random);
    tp_dut_set(bench->dut, "logit_data_i", (uint64_t)upper << 32 | lower);
    tp_dut_set(bench->dut, "logit_both_i", valid ? both : tp_random_below(random, 2));
    tp_dut_set(bench->dut, "logit_last_i", valid ? last : tp_random_below(random, 2));
    tp_dut_settle(bench->dut);
    if (tp_dut_get(bench->dut, "candidate_valid_o") != 0) check_candidate(bench);
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
        if (!bench->fast) check_ranking(bench);
        bench->token_at = UINT64_MAX;
        bench->tokens++;
    }
    tp_dut_tick(bench->dut);
    bench->cycle++;
    // Other commands, and LOGITS without valid, mean nothing.
    bool other = tp_random_chance(random, 128);
    set_command(bench, other, other ? TP_DEST_RESIDUAL : TP_DEST_LOGITS, tp_random_below(random, 8),
                tp_random_below(random, 65536));
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

static void set_recent(struct bench *bench, const char *port, uint32_t slot, uint32_t token,
                       uint32_t position)
{
    uint32_t words[2] = {0};
    bits_set(words, 0, 16, token);
    bits_set(words, 16, 16, position);
    bits_set(words, 32, 3, slot);
    tp_port_set_words(tp_dut_port(bench->dut, port), words);
}

static void set_fed(struct bench *bench, uint32_t slot, uint32_t token)
{
    set_recent(bench, "fed_i", slot, token, bench->position[slot]);
    tp_dut_set(bench->dut, "fed_valid_i", 1);
    tp_recent_add(&bench->recent[slot], token);
}

// A cycle without logits.
static void cycle(struct bench *bench)
{
    cycle_of(bench, false, 0, NULL, false, false);
}

// The logit of this index, of a fast slot also the next one.
static void cycle_with(struct bench *bench, const int32_t *logits, uint32_t vocab, uint32_t index)
{
    uint32_t step = bench->fast ? 2 : 1;
    bool both = bench->fast && index + 1 < vocab;
    cycle_of(bench, true, index, logits, both, index + step >= vocab);
}

// Sometimes a token of another slot is processed in this cycle; it goes before everything else.
static bool feed_another(struct bench *bench)
{
    uint32_t slot = tp_random_below(&bench->random, SLOTS);
    if (slot == bench->slot || !bench->has_history[slot] ||
        bench->position[slot] + 1 >= POSITIONS_MAX || !tp_random_chance(&bench->random, 40)) {
        return false;
    }
    bench->position[slot]++;
    set_fed(bench, slot, tp_random_below(&bench->random, TP_PARAM_VocabMax));
    return true;
}

static void clear_slot(struct bench *bench)
{
    tp_dut_set(bench->dut, "clear_valid_i", 1);
    tp_dut_set(bench->dut, "clear_slot_i", bench->slot);
    cycle(bench);
    tp_dut_set(bench->dut, "clear_valid_i", 0);
    uint32_t cycles = 0;
    uint32_t fed = 0;
    for (; tp_dut_get(bench->dut, "clear_busy_o"); cycles++) {
        fed += feed_another(bench);
        cycle(bench);
        tp_dut_set(bench->dut, "fed_valid_i", 0);
        tp_dut_settle(bench->dut);
    }
    ck_assert_uint_eq(cycles, TP_PARAM_VocabMax + fed);
    bench->recent[bench->slot] = (struct tp_recent){.count = 0};
    bench->has_history[bench->slot] = true;
}

// The tokens before the slot's position.
static void restore(struct bench *bench, uint32_t position, uint32_t vocab)
{
    uint32_t count = position < TP_RECENT_MAX - 1 ? position : TP_RECENT_MAX - 1;
    for (uint32_t i = position - count; i < position; i++) {
        uint32_t token = tp_random_below(&bench->random, vocab);
        set_recent(bench, "recent_i", bench->slot, token, i);
        tp_dut_set(bench->dut, "recent_valid_i", 1);
        while (feed_another(bench)) {
            tp_dut_settle(bench->dut);
            ck_assert_uint_eq(tp_dut_get(bench->dut, "recent_ready_o"), 0);
            cycle(bench);
            tp_dut_set(bench->dut, "fed_valid_i", 0);
        }
        tp_dut_settle(bench->dut);
        ck_assert_uint_eq(tp_dut_get(bench->dut, "recent_ready_o"), 1);
        cycle(bench);
        tp_dut_set(bench->dut, "recent_valid_i", 0);
        tp_recent_add(&bench->recent[bench->slot], token);
    }
}

// The slot of the next vector, its settings and its history with one token more.
static void prepare(struct bench *bench, uint32_t vocab)
{
    struct tp_random *random = &bench->random;
    bench->slot = tp_random_below(random, SLOTS);
    uint32_t slot = bench->slot;
    struct tp_recent *recent = &bench->recent[slot];
    uint32_t position = bench->position[slot] + 1u;
    if (!bench->has_history[slot] || position >= POSITIONS_MAX || tp_random_chance(random, 8)) {
        position = tp_random_chance(random, 128) ? 0 : tp_random_below(random, POSITIONS_MAX);
        clear_slot(bench);
        restore(bench, position, vocab);
    }
    uint32_t back = tp_random_below(random, 66);
    bool again = recent->count > back && tp_random_chance(random, 128);
    uint32_t token = again ? recent->tokens[(recent->count - 1 - back) % TP_RECENT_MAX]
                           : tp_random_below(random, TP_PARAM_VocabMax);
    bench->position[slot] = (uint16_t)position;
    set_fed(bench, slot, token);
    cycle(bench);
    tp_dut_set(bench->dut, "fed_valid_i", 0);
    settings_random(bench, slot);
    settings_drive(bench);
    bench->token_at = UINT64_MAX - 1;  // settings hold from now on
    bench->fast = can_be_fast(bench, slot) && tp_random_chance(random, 200);
    set_command(bench, true, TP_DEST_LOGITS, slot, token);
    cycle(bench);
    uint32_t wait = COMMAND_AHEAD - 1 + tp_random_below(random, 3);
    while (wait-- > 0) cycle(bench);
}

static void expect(struct bench *bench, const int32_t *logits, uint32_t vocab)
{
    static int32_t penalised[VOCAB_MAX];
    const struct tp_sampling *s = &bench->sampling[bench->slot];
    memcpy(penalised, logits, vocab * sizeof *logits);
    tp_penalise(s, &bench->recent[bench->slot], penalised, vocab);
    tp_rank(penalised, vocab, bench->candidates[bench->slot], &bench->ranking);
    bench->token = tp_sample(s, bench->position[bench->slot], penalised, vocab);
    bench->key = tp_sample_key(penalised[bench->token]);
    bench->heard = 0;
}

static void run_vector(struct bench *bench, bool gaps)
{
    static int32_t logits[VOCAB_MAX];
    struct tp_random *random = &bench->random;
    uint32_t vocab = random_logits(random, logits);
    prepare(bench, vocab);
    expect(bench, logits, vocab);
    const struct tp_sampling *s = &bench->sampling[bench->slot];
    bool list = (s->temperature > 0 && s->top_k > 0) || bench->candidates[bench->slot] > 0;
    uint32_t chance = gaps ? 1 + tp_random_below(random, 255) : 256;
    uint32_t sampler = TP_CYCLES_SAMPLER + (list ? TP_CYCLES_LIST : 0);
    for (uint32_t i = 0; i < vocab; i += bench->fast ? 2 : 1) {
        while (!tp_random_chance(random, chance)) cycle(bench);
        if (i + (bench->fast ? 2 : 1) >= vocab) {
            bench->token_at = bench->cycle + (bench->fast ? TP_CYCLES_GREEDY : sampler);
        }
        cycle_with(bench, logits, vocab, i);
    }
    while (bench->token_at != UINT64_MAX) cycle(bench);
    for (uint32_t i = gaps ? tp_random_below(random, 100) : 0; i > 0; i--) {
        cycle(bench);
    }
}

static void bench_open(struct bench *bench, uint64_t seed)
{
    memset(bench, 0, sizeof *bench);
    tp_random_init(&bench->random, seed, 1);
    bench->token_at = UINT64_MAX;
    bench->dut = tp_dut_open(seed);
    tp_dut_set(bench->dut, "clear_valid_i", 0);
    tp_dut_set(bench->dut, "fed_valid_i", 0);
    tp_dut_set(bench->dut, "recent_valid_i", 0);
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
        int32_t logits[100];
        uint32_t count = 1 + tp_random_below(&bench.random, 100);
        prepare(&bench, count);
        for (uint32_t i = 0; i < count; i++) logits[i] = (int32_t)tp_random_u32(&bench.random);
        expect(&bench, logits, count);
        for (uint32_t i = 0; i < count; i += bench.fast ? 2 : 1) {
            cycle_with(&bench, logits, count, i);
        }
        uint32_t most = bench.fast ? TP_CYCLES_GREEDY : TP_CYCLES_SAMPLER;
        uint32_t wait = tp_random_below(&bench.random, most - 1);
        for (uint32_t i = 0; i < wait; i++) cycle(&bench);
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

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_rmsnorm equals the model bit for bit: the blocks (gain, then quantiser) and the
// factor registers, that both counters count what the model counts, and that every cycle is as the
// README says: with n elements and the last pair in cycle t, the last block leaves in t + 14 (one
// of p < 8 pairs in t + 22 - p), other blocks 14 cycles behind their last pair, the factor stands
// in t + n / 4 + 14, and done comes with the last block, not before t + n / 4 - 6.
//
// Random vectors of every size, whole blocks and what a program has beside them, corners of int32
// and gains that saturate, every epsilon size, all slots; pairs and vectors as close as they may
// come, or with gaps.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "read_word.h"
#include "tp_map.h"

#include <string.h>

#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots     4
#define TP_PARAM_DimMax    64
#define TP_PARAM_GainQuads 256
#endif

enum {
    SLOTS = TP_PARAM_Slots,
    DIM_MAX = TP_PARAM_DimMax,
    GAINS = 4 * TP_PARAM_GainQuads,
    ROUNDS = 8,     // each with an epsilon of its own
    CYCLES = 1600,  // of a round
    QUIET = 400,    // its last ones, without new vectors
    ELEMENTS = 16,  // least of a vector
    BLOCK_LATENCY = 14,
    FACTOR_LATENCY = 14,
    FACTOR_SLACK = 6,
    GAIN_AHEAD = 2,
    // From a done to the first pair of the slot's next vector.
    REST = 19
};

struct stimulus {
    bool gain;
    uint32_t gain_address;
    bool x;
    bool x_last;
    uint32_t slot;
    uint32_t pair;
    uint32_t cap;
    int32_t data[2];
};

struct outcome {
    bool block;
    uint32_t words[8];
    uint32_t slot;
    uint32_t index;
    uint32_t exponent;
    bool done;
    uint32_t done_slot;
    bool factor;
    uint32_t factor_slot;
    struct tp_norm_factor value;
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_counters expected;
    struct tp_counters counted;
    int16_t gain[GAINS];
    uint64_t epsilon;
    uint32_t read_address;
    struct tp_norm_factor registers[SLOTS];
    bool is_set[SLOTS];
    struct stimulus stimuli[CYCLES];
    struct outcome outcomes[CYCLES];
};

// ---- one vector ----

static int32_t random_x(struct bench *b, uint32_t bits)
{
    if (tp_random_chance(&b->random, 4)) return bits < 32 ? -(1 << (bits - 1)) : INT32_MIN;
    if (tp_random_chance(&b->random, 4)) return bits < 32 ? (1 << (bits - 1)) - 1 : INT32_MAX;
    return (int32_t)tp_random_signed(&b->random, bits);
}

static void make_x(struct bench *b, int32_t *x, uint32_t count)
{
    uint32_t bits = 1 + tp_random_below(&b->random, 32);
    bool zero = tp_random_chance(&b->random, 16);
    for (uint32_t i = 0; i < count; i++) x[i] = zero ? 0 : random_x(b, bits);
    // Meets the smallest gain now and then.
    if (tp_random_chance(&b->random, 64)) x[0] = INT32_MIN;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// What the model says, at the cycles of the README; cycle: of each pair. Returns that of the done.
static uint32_t expect(struct bench *b, const int32_t *x, uint32_t count, uint32_t slot,
                       uint32_t gain_base, uint32_t cap, const uint32_t *cycle)
{
    int32_t h[DIM_MAX];
    uint32_t last = cycle[count / 2 - 1];
    uint32_t done = 0;
    tp_rmsnorm_gain(x, b->gain + 4 * gain_base, count, TP_NORM_SHIFT, h, &b->expected);
    for (uint32_t first = 0; first < count; first += 32) {
        uint32_t size = count - first < 32 ? count - first : 32;
        uint32_t wait = size < 16 ? 8 - size / 2 : 0;
        int8_t q[32] = {0};
        done = cycle[(first + size) / 2 - 1] + BLOCK_LATENCY + wait;
        struct outcome *at = &b->outcomes[done];
        ck_assert(!at->block);
        at->block = true;
        at->slot = slot;
        at->index = first / 32;
        at->exponent = tp_quantise_block(h + first, size, 0, (uint8_t)cap, q, &b->expected);
        memcpy(at->words, q, sizeof at->words);
    }
    done = larger(done, last + larger(count / 4, FACTOR_SLACK) - FACTOR_SLACK);
    ck_assert(!b->outcomes[done].done);
    b->outcomes[done].done = true;
    b->outcomes[done].done_slot = slot;
    struct outcome *at = &b->outcomes[last + count / 4 + FACTOR_LATENCY];
    at->factor = true;
    at->factor_slot = slot;
    at->value = tp_rmsnorm_factor(x, count, b->epsilon);
    return done;
}

struct place {
    uint32_t next;          // cycle in which the next vector may begin
    uint32_t rows;          // elements of a RESIDUAL; an EMBED has whole blocks
    uint32_t ready[SLOTS];  // earliest first pair of each slot
};

static void make_vector(struct bench *b, struct place *place, uint32_t slot, bool gaps)
{
    int32_t x[DIM_MAX];
    uint32_t cycles[DIM_MAX / 2] = {0};
    uint32_t count = place->rows;
    if (tp_random_chance(&b->random, 64)) count = (count + 31) / 32 * 32;
    uint32_t gain_base = tp_random_below(&b->random, TP_PARAM_GainQuads - count / 4 + 1);
    uint32_t cap = tp_random_below(&b->random, 26);
    if (tp_random_chance(&b->random, 64)) gain_base = 0;
    make_x(b, x, count);
    uint32_t cycle = larger(place->next, place->ready[slot]);
    for (uint32_t pair = 0; pair < count / 2; pair++) {
        while (gaps && tp_random_chance(&b->random, 40)) cycle++;
        struct stimulus *at = &b->stimuli[cycle];
        *at = (struct stimulus){.gain = at->gain,
                                .gain_address = at->gain_address,
                                .x = true,
                                .x_last = pair == count / 2 - 1,
                                .slot = slot,
                                .pair = pair,
                                .cap = cap,
                                .data = {x[2 * pair], x[2 * pair + 1]}};
        b->stimuli[cycle - GAIN_AHEAD].gain = true;
        b->stimuli[cycle - GAIN_AHEAD].gain_address = 2 * gain_base + pair;
        cycles[pair] = cycle++;
    }
    uint32_t done = expect(b, x, count, slot, gain_base, cap, cycles);
    place->next = cycle;
    place->ready[slot] = done + REST;
}

static void make_round(struct bench *b, bool gaps)
{
    memset(b->stimuli, 0, sizeof b->stimuli);
    memset(b->outcomes, 0, sizeof b->outcomes);
    struct place place = {.next = GAIN_AHEAD};
    place.rows = 4 * (uint32_t)tp_random_range(&b->random, ELEMENTS / 4, DIM_MAX / 4);
    if (tp_random_chance(&b->random, 64)) place.rows = DIM_MAX;
    while (place.next < CYCLES - QUIET) {
        uint32_t slot = tp_random_below(&b->random, SLOTS);
        for (uint32_t s = 0; s < SLOTS && !gaps; s++) {
            slot = place.ready[s] < place.ready[slot] ? s : slot;
        }
        make_vector(b, &place, slot, gaps);
        if (tp_random_chance(&b->random, 64)) place.next += tp_random_below(&b->random, 60);
    }
}

// ---- the unit ----

static void write_word(struct bench *b, uint32_t space, uint32_t address, uint32_t data)
{
    tp_dut_set(b->dut, "cfg_valid_i", 1);
    tp_dut_set(b->dut, "cfg_space_i", space);
    tp_dut_set(b->dut, "cfg_address_i", address);
    tp_dut_set(b->dut, "cfg_data_i", data);
    tp_dut_tick(b->dut);
    tp_dut_set(b->dut, "cfg_valid_i", 0);
}

static void write_gains(struct bench *b)
{
    for (uint32_t i = 0; i < GAINS; i++) b->gain[i] = (int16_t)tp_random_signed(&b->random, 16);
    for (uint32_t i = 0; i < 4; i++) b->gain[tp_random_below(&b->random, GAINS)] = INT16_MIN;
    b->gain[0] = INT16_MIN;
    b->gain[1] = INT16_MAX;
    for (uint32_t i = 0; i < GAINS / 2; i++) {
        uint32_t word = (uint32_t)(uint16_t)b->gain[2 * i] | (uint32_t)(uint16_t)b->gain[2 * i + 1]
                                                                 << 16;
        write_word(b, TP_SPACE_GAIN, i, word);
        // Other spaces and addresses past the end must not reach the gains.
        write_word(b, TP_SPACE_BIAS, tp_random_below(&b->random, GAINS / 2), ~word);
    }
    write_word(b, TP_SPACE_GAIN, GAINS / 2, tp_random_u32(&b->random));
}

static void write_epsilon(struct bench *b)
{
    b->epsilon = tp_random_u64(&b->random) >> (16 + tp_random_below(&b->random, 48));
    write_word(b, TP_SPACE_REGISTER, TP_REGISTER_NORM_EPSILON, (uint32_t)b->epsilon);
    write_word(b, TP_SPACE_REGISTER, TP_REGISTER_NORM_EPSILON_HIGH, (uint32_t)(b->epsilon >> 32));
    write_word(b, TP_SPACE_REGISTER, TP_REGISTER_KV_STRIDE, tp_random_u32(&b->random));
}

static void drive(struct bench *b, const struct stimulus *at)
{
    uint32_t noise[4];
    tp_random_words(&b->random, noise, 4);
    memcpy(noise, at->data, at->x ? sizeof at->data : 0);
    tp_dut_set(b->dut, "gain_valid_i", at->gain);
    tp_dut_set(b->dut, "gain_address_i", at->gain ? at->gain_address : noise[2] & 0x1ffff);
    tp_dut_set(b->dut, "x_valid_i", at->x);
    tp_dut_set(b->dut, "x_slot_i", at->x ? at->slot : noise[2] & 7);
    tp_dut_set(b->dut, "x_pair_i", at->x ? at->pair : noise[3] & 4095);
    tp_dut_set(b->dut, "x_last_i", at->x ? at->x_last : noise[2] >> 3 & 1);
    tp_dut_set(b->dut, "x_cap_i", at->x ? at->cap : noise[2] >> 4 & 31);
    tp_port_set_words(tp_dut_port(b->dut, "x_data_i"), noise);
}

static void check_block(struct bench *b, const struct outcome *at)
{
    ck_assert_int_eq(tp_dut_get(b->dut, "block_valid_o") != 0, at->block);
    ck_assert_int_eq(tp_dut_get(b->dut, "done_valid_o") != 0, at->done);
    if (at->done) ck_assert_uint_eq(tp_dut_get(b->dut, "done_slot_o"), at->done_slot);
    if (!at->block) return;
    uint32_t words[8];
    tp_port_get_words(tp_dut_port(b->dut, "block_data_o"), words);
    tp_compare_words("codes", at->words, words, 8, 8);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_slot_o"), at->slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_index_o"), at->index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_exponent_o"), at->exponent);
}

static uint32_t field(const uint32_t *words, uint32_t first, uint32_t width)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < width; i++) {
        value |= (words[(first + i) / 32] >> (first + i) % 32 & 1) << i;
    }
    return value;
}

static void check_factors(struct bench *b, const struct outcome *at)
{
    uint32_t rm[8];
    uint32_t shift[8];
    if (at->factor) {
        b->registers[at->factor_slot] = at->value;
        b->is_set[at->factor_slot] = true;
    }
    tp_port_get_words(tp_dut_port(b->dut, "factor_rm_o"), rm);
    tp_port_get_words(tp_dut_port(b->dut, "factor_shift_o"), shift);
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (!b->is_set[s]) continue;
        ck_assert_uint_eq(field(rm, 17 * s, 17), b->registers[s].rm);
        ck_assert_uint_eq(field(shift, 6 * s, 6), (uint32_t)b->registers[s].shift);
    }
}

static void run_round(struct bench *b)
{
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        drive(b, &b->stimuli[cycle]);
        tp_dut_settle(b->dut);
        check_block(b, &b->outcomes[cycle]);
        check_factors(b, &b->outcomes[cycle]);
        b->counted.saturations += tp_dut_get(b->dut, "saturations_o");
        b->counted.clips += tp_dut_get(b->dut, "clips_o");
        tp_dut_tick(b->dut);
    }
}

static void run(uint64_t seed, bool gaps)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.dut = tp_dut_open(seed);
    tp_random_init(&b.random, seed, gaps);
    drive(&b, &b.stimuli[0]);
    write_gains(&b);
    for (int round = 0; round < ROUNDS; round++) {
        write_epsilon(&b);
        make_round(&b, gaps);
        run_round(&b);
    }
    ck_assert_uint_eq(b.counted.clips, b.expected.clips);
    ck_assert_uint_eq(b.counted.saturations, b.expected.saturations);
    ck_assert_uint_gt(b.counted.clips, 0);
    ck_assert_uint_gt(b.counted.saturations, 0);
    tp_dut_close(b.dut);
}

// The epilogue gives the address, two cycles after the read began.
static void read_cycle(void *user, uint32_t number)
{
    struct bench *b = user;
    tp_dut_set(b->dut, "gain_valid_i", number >= 2);
    tp_dut_set(b->dut, "gain_address_i", b->read_address);
    tp_dut_tick(b->dut);
}

START_TEST(rmsnorm_reads_gains_back)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.dut = tp_dut_open(tp_test_seed(_i));
    tp_random_init(&b.random, tp_test_seed(_i), 0);
    drive(&b, &b.stimuli[0]);
    write_gains(&b);
    for (int i = 0; i < 50; i++) {
        b.read_address = tp_random_below(&b.random, GAINS / 2);
        uint32_t word = tp_read_word(b.dut, TP_SPACE_GAIN, b.read_address, read_cycle, &b);
        ck_assert_uint_eq(word & 0xffff, (uint16_t)b.gain[2 * b.read_address]);
        ck_assert_uint_eq(word >> 16, (uint16_t)b.gain[2 * b.read_address + 1]);
        word = tp_read_word(b.dut, TP_SPACE_CENTRE, b.read_address, read_cycle, &b);
        ck_assert_uint_eq(word, 0);
    }
    tp_dut_close(b.dut);
}
END_TEST

START_TEST(rmsnorm_equals_model_with_vectors_back_to_back)
{
    run(tp_test_seed(_i), false);
}
END_TEST

START_TEST(rmsnorm_equals_model_with_gaps)
{
    run(tp_test_seed(_i), true);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rmsnorm");
    TCase *tcase = tcase_create("vectors");
    tcase_add_loop_test(tcase, rmsnorm_equals_model_with_vectors_back_to_back, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, rmsnorm_reads_gains_back, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, rmsnorm_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_quantise equals tp_quantise_block() bit for bit, that every block leaves exactly
// 12 cycles after its last beat and at no other time (a last block of fewer than 8 beats: 20 -
// beats), that clipped blocks are counted once, and that a beat per cycle is taken for ever.
//
// Vectors of random length, sizes from one bit to the whole int32, corners (rounding to 128,
// INT32_MIN, all zero), every cap, with and without gaps, any number of lanes. Not covered: vectors
// so close that their short blocks meet, which the unit refuses by assertion.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "stream.h"

#include <string.h>

#ifndef TP_PARAM_Lanes
#define TP_PARAM_Lanes 4
#endif

enum { LANES = TP_PARAM_Lanes, LATENCY = 12, BEATS_LEAST = 16, ELEMENTS_MAX = 256, VECTORS = 60 };
enum { WAITING_MAX = 4, BEATS_CONVERT = 8 };

struct block {
    uint64_t cycle;  // when it must leave
    uint32_t words[8];
    uint32_t slot;
    uint32_t index;
    uint32_t exponent;
    uint32_t is_last;
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_counters expected;
    uint64_t clips;
    struct block waiting[WAITING_MAX];
    uint32_t waiting_count;
};

static void check_block(struct bench *b)
{
    uint64_t now = tp_dut_cycles(b->dut);
    bool due = b->waiting_count > 0 && b->waiting[0].cycle == now;
    ck_assert_msg((tp_dut_get(b->dut, "block_valid_o") != 0) == due, "cycle %llu: block %s",
                  (unsigned long long)now, due ? "missing" : "at the wrong time");
    if (!due) return;
    uint32_t words[8];
    const struct block *expected = &b->waiting[0];
    tp_port_get_words(tp_dut_port(b->dut, "block_data_o"), words);
    tp_compare_words("codes", expected->words, words, 8, 8);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_slot_o"), expected->slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_index_o"), expected->index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_exponent_o"), expected->exponent);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_last_o"), expected->is_last);
    b->waiting_count--;
    memmove(b->waiting, b->waiting + 1, b->waiting_count * sizeof *b->waiting);
}

static void cycle(struct bench *b)
{
    tp_dut_settle(b->dut);
    check_block(b);
    b->clips += tp_dut_get(b->dut, "clips_o");
    tp_dut_tick(b->dut);
}

static void idle(struct bench *b)
{
    uint32_t noise[4];
    tp_random_words(&b->random, noise, 4);
    tp_dut_set(b->dut, "in_valid_i", 0);
    tp_port_set_words(tp_dut_port(b->dut, "in_data_i"), noise);
    tp_dut_set(b->dut, "in_last_i", noise[0] & 1);
    tp_dut_set(b->dut, "in_cap_i", noise[1] & 31);
    tp_dut_set(b->dut, "in_slot_i", noise[2] & 7);
    cycle(b);
}

static void beat(struct bench *b, const int32_t *x, uint32_t slot, uint32_t cap, bool is_last)
{
    uint32_t words[LANES];
    memcpy(words, x, sizeof words);
    tp_dut_set(b->dut, "in_valid_i", 1);
    tp_port_set_words(tp_dut_port(b->dut, "in_data_i"), words);
    tp_dut_set(b->dut, "in_last_i", is_last);
    tp_dut_set(b->dut, "in_cap_i", cap);
    tp_dut_set(b->dut, "in_slot_i", slot);
    cycle(b);
}

// To be called in the cycle of the block's last beat, before it.
static void expect(struct bench *b, const int32_t *x, uint32_t n, struct block block, uint32_t cap)
{
    int8_t q[32] = {0};
    block.exponent = tp_quantise_block(x, n, 0, (uint8_t)cap, q, &b->expected);
    memcpy(block.words, q, sizeof block.words);
    uint32_t beats = n / LANES;
    block.cycle = tp_dut_cycles(b->dut) + LATENCY;
    if (beats < BEATS_CONVERT) block.cycle += BEATS_CONVERT - beats;
    ck_assert_uint_lt(b->waiting_count, WAITING_MAX);
    b->waiting[b->waiting_count++] = block;
}

// Blocks of one size each, with elements at the edges of rounding and of int32.
static void make_vector(struct bench *b, int32_t *x, uint32_t n)
{
    uint32_t bits = 1;
    for (uint32_t i = 0; i < n; i++) {
        if (i % 32 == 0) bits = 1 + tp_random_below(&b->random, 32);
        x[i] = (int32_t)tp_random_signed(&b->random, bits);
        if (tp_random_chance(&b->random, 16)) x[i] = bits < 32 ? (1 << (bits - 1)) - 1 : INT32_MAX;
        if (tp_random_chance(&b->random, 16)) x[i] = bits < 32 ? -(1 << (bits - 1)) : INT32_MIN;
        if (tp_random_chance(&b->random, 16)) x[i] = bits > 9 ? 255 << (bits - 10) : -255;
        if (tp_random_chance(&b->random, 16)) x[i] = bits > 9 ? -(255 << (bits - 10)) : 255;
    }
    if (tp_random_chance(&b->random, 16)) memset(x, 0, n * sizeof *x);
}

// gap: chance of an idle cycle before a beat, of 256.
static void send_vector(struct bench *b, uint32_t gap)
{
    int32_t x[ELEMENTS_MAX];
    uint32_t beats = (uint32_t)tp_random_range(&b->random, BEATS_LEAST, ELEMENTS_MAX / LANES);
    uint32_t n = beats * LANES;
    uint32_t slot = tp_random_below(&b->random, 8);
    uint32_t cap = tp_random_below(&b->random, 32);
    make_vector(b, x, n);
    for (uint32_t i = 0; i < n; i += LANES) {
        while (tp_random_chance(&b->random, gap)) idle(b);
        uint32_t end = i + LANES;
        if (end == n || end % 32 == 0) {
            struct block block = {.slot = slot, .index = i / 32, .is_last = end == n};
            expect(b, x + i / 32 * 32, end - i / 32 * 32, block, cap);
        }
        beat(b, x + i, slot, cap, end == n);
    }
    // The pause that the unit asks for after a short end.
    uint32_t last_beats = n % 32 / LANES;
    if (LANES < 4 || last_beats == 0) return;
    for (uint32_t i = last_beats; i < BEATS_CONVERT; i++) idle(b);
}

static void run(uint64_t seed, uint32_t gap)
{
    struct bench b = {.dut = tp_dut_open(seed)};
    tp_random_init(&b.random, seed, 1);
    for (uint32_t i = 0; i < VECTORS; i++) send_vector(&b, gap);
    for (uint32_t i = 0; i < 2 * LATENCY; i++) idle(&b);
    ck_assert_uint_eq(b.waiting_count, 0);
    ck_assert_uint_eq(b.clips, b.expected.clips);
    ck_assert_uint_gt(b.clips, 0);
    tp_dut_close(b.dut);
}

START_TEST(quantise_equals_model_at_one_beat_per_cycle)
{
    run(tp_test_seed(_i), 0);
}
END_TEST

START_TEST(quantise_equals_model_with_gaps)
{
    run(tp_test_seed(_i), 32u << (_i % 3));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("quantise");
    TCase *tcase = tcase_create("blocks");
    tcase_add_loop_test(tcase, quantise_equals_model_at_one_beat_per_cycle, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, quantise_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

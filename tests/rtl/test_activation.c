// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_activation returns the last block written to a (slot, index) two cycles after the
// address, that a block can be read in the cycle after its write, and that the output stays while
// no read is enabled.
//
// Random writes and reads in every cycle against a plain array. A read in the very cycle of the
// write of the same block is not made: the unit does not define it.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "random.h"

#include <string.h>

#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots  4
#define TP_PARAM_Blocks 4
#endif

enum { SLOTS = TP_PARAM_Slots, BLOCKS = TP_PARAM_Blocks, WORDS = 9, CYCLES = 4000, LATENCY = 2 };

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    uint32_t memory[SLOTS][BLOCKS][WORDS];  // 8 words of codes, then the exponent
    bool is_written[SLOTS][BLOCKS];
    uint32_t due[LATENCY][WORDS];  // what the output shows 1 and 2 cycles from now
};

static void write_some(struct bench *b, uint32_t slot, uint32_t index)
{
    uint32_t words[WORDS];
    tp_random_words(&b->random, words, WORDS);
    words[8] &= 31;
    tp_dut_set(b->dut, "block_valid_i", 1);
    tp_dut_set(b->dut, "block_slot_i", slot);
    tp_dut_set(b->dut, "block_index_i", index);
    tp_port_set_words(tp_dut_port(b->dut, "block_data_i"), words);
    tp_dut_set(b->dut, "block_exponent_i", words[8]);
    memcpy(b->memory[slot][index], words, sizeof words);
    b->is_written[slot][index] = true;
}

static void check_output(const struct bench *b)
{
    uint32_t words[WORDS];
    tp_port_get_words(tp_dut_port(b->dut, "read_data_o"), words);
    words[8] = (uint32_t)tp_dut_get(b->dut, "read_exponent_o");
    tp_compare_words("block", b->due[0], words, WORDS, WORDS);
}

static void cycle(struct bench *b)
{
    uint32_t slot = tp_random_below(&b->random, SLOTS);
    uint32_t index = tp_random_below(&b->random, BLOCKS);
    uint32_t read_slot = tp_random_below(&b->random, SLOTS);
    uint32_t read_index = tp_random_below(&b->random, BLOCKS);
    bool read = b->is_written[read_slot][read_index] && tp_random_chance(&b->random, 200);
    uint32_t due[WORDS];
    memcpy(due, read ? b->memory[read_slot][read_index] : b->due[LATENCY - 1], sizeof due);
    tp_dut_set(b->dut, "read_enable_i", read);
    tp_dut_set(b->dut, "read_slot_i", read_slot);
    tp_dut_set(b->dut, "read_index_i", read_index);
    bool collides = slot == read_slot && index == read_index;
    tp_dut_set(b->dut, "block_valid_i", 0);
    if (!collides && tp_random_chance(&b->random, 128)) write_some(b, slot, index);
    tp_dut_settle(b->dut);
    check_output(b);
    tp_dut_tick(b->dut);
    memmove(b->due[0], b->due[1], sizeof due);
    memcpy(b->due[LATENCY - 1], due, sizeof due);
}

START_TEST(activation_returns_what_was_written)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    uint64_t seed = tp_test_seed(_i);
    b.dut = tp_dut_open(seed);
    tp_random_init(&b.random, seed, 1);
    // Fill first, so that every read has an answer.
    tp_dut_set(b.dut, "read_enable_i", 0);
    for (uint32_t s = 0; s < SLOTS; s++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            write_some(&b, s, i);
            tp_dut_tick(b.dut);
        }
    }
    tp_dut_set(b.dut, "block_valid_i", 0);
    memcpy(b.due[0], b.memory[0][0], sizeof b.due[0]);
    memcpy(b.due[1], b.memory[0][0], sizeof b.due[1]);
    tp_dut_set(b.dut, "read_enable_i", 1);
    tp_dut_set(b.dut, "read_slot_i", 0);
    tp_dut_set(b.dut, "read_index_i", 0);
    for (uint32_t i = 0; i < LATENCY; i++) tp_dut_tick(b.dut);
    for (uint32_t i = 0; i < CYCLES; i++) cycle(&b);
    tp_dut_close(b.dut);
}
END_TEST

START_TEST(activation_shows_a_block_to_the_next_cycle)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    uint64_t seed = tp_test_seed(_i);
    b.dut = tp_dut_open(seed);
    tp_random_init(&b.random, seed, 2);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t slot = tp_random_below(&b.random, SLOTS);
        uint32_t index = tp_random_below(&b.random, BLOCKS);
        tp_dut_set(b.dut, "read_enable_i", 0);
        write_some(&b, slot, index);
        tp_dut_tick(b.dut);
        tp_dut_set(b.dut, "block_valid_i", 0);
        tp_dut_set(b.dut, "read_enable_i", 1);
        tp_dut_set(b.dut, "read_slot_i", slot);
        tp_dut_set(b.dut, "read_index_i", index);
        tp_dut_tick(b.dut);
        tp_dut_set(b.dut, "read_enable_i", 0);
        tp_dut_tick(b.dut);
        tp_dut_settle(b.dut);
        memcpy(b.due[0], b.memory[slot][index], sizeof b.due[0]);
        check_output(&b);
    }
    tp_dut_close(b.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("activation");
    TCase *tcase = tcase_create("memory");
    tcase_add_loop_test(tcase, activation_returns_what_was_written, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, activation_shows_a_block_to_the_next_cycle, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

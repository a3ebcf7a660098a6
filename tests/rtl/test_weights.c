// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_weights returns, two cycles after an address, the beat that configuration words
// wrote, lane by lane as tp_map.def places them, and holds it while nothing is read.
//
// Every beat is written, beats in random order, with words of other spaces between, then read in
// random order with and without gaps, then some are written again, also single words of codes,
// which take the scales that were written last. The reference is an array of words.

#include "check_main.h"
#include "dut.h"
#include "random.h"
#include "tp_map.h"

#include <string.h>

enum {
    GROUPS = TP_PARAM_Groups,
    DEPTH = TP_PARAM_Depth,
    SCALES = (GROUPS + 3) / 4,
    LANES = SCALES + 4 * GROUPS,
    OUT_WORDS = (GROUPS * 136 + 31) / 32,
    LATENCY = 2
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    uint32_t words[DEPTH][LANES];
    uint32_t held[SCALES];
    uint32_t expected[LATENCY + 1][OUT_WORDS];
    bool known[LATENCY + 1];
};

// A word of codes takes two bits of its group's scale from the scale word that was written last.
static void keep_word(struct bench *bench, uint32_t beat, uint32_t lane, uint32_t word)
{
    if (lane < SCALES) {
        bench->held[lane] = word;
        return;
    }
    uint32_t group = (lane - SCALES) / 4;
    uint32_t bits = 3u << (8 * (group % 4) + 2 * ((lane - SCALES) % 4));
    uint32_t *scales = &bench->words[beat][group / 4];
    *scales = (*scales & ~bits) | (bench->held[group / 4] & bits);
    bench->words[beat][lane] = word;
}

static void write_word(struct bench *bench, uint32_t space, uint32_t beat, uint32_t lane)
{
    uint32_t word = tp_random_u32(&bench->random);
    if (space == TP_SPACE_WEIGHT) keep_word(bench, beat, lane, word);
    tp_dut_set(bench->dut, "cfg_valid_i", 1);
    tp_dut_set(bench->dut, "cfg_space_i", space);
    tp_dut_set(bench->dut, "cfg_address_i", beat * 64 + lane);
    tp_dut_set(bench->dut, "cfg_data_i", word);
    tp_dut_tick(bench->dut);
    tp_dut_set(bench->dut, "cfg_valid_i", 0);
}

// The beat as the map says: the scale bytes of all groups, then four lanes of codes per group.
static void assemble(const struct bench *bench, uint32_t beat, uint32_t *out)
{
    uint8_t bytes[4 * OUT_WORDS] = {0};
    for (uint32_t group = 0; group < GROUPS; group++) {
        for (uint32_t i = 0; i < 16; i++) {
            uint32_t word = bench->words[beat][SCALES + 4 * group + i / 4];
            bytes[17 * group + i] = (uint8_t)(word >> 8 * (i % 4));
        }
        uint32_t scales = bench->words[beat][group / 4];
        bytes[17 * group + 16] = (uint8_t)(scales >> 8 * (group % 4));
    }
    memcpy(out, bytes, sizeof bytes);
}

static void read_cycle(struct bench *bench, bool valid)
{
    uint32_t beat = tp_random_below(&bench->random, DEPTH);
    memmove(bench->expected[1], bench->expected[0], LATENCY * sizeof bench->expected[0]);
    memmove(bench->known + 1, bench->known, LATENCY * sizeof bench->known[0]);
    // Without a read the output stays.
    if (valid) {
        assemble(bench, beat, bench->expected[0]);
        bench->known[0] = true;
    }
    tp_dut_set(bench->dut, "read_valid_i", valid ? (1 << GROUPS) - 1 : 0);
    uint32_t address_bits = 0;
    while (1 << address_bits < DEPTH) address_bits++;
    uint32_t address[GROUPS] = {0};
    for (uint32_t bit = 0; bit < GROUPS * address_bits; bit++) {
        address[bit / 32] |= (beat >> bit % address_bits & 1) << bit % 32;
    }
    tp_port_set_words(tp_dut_port(bench->dut, "address_i"), address);
    tp_dut_settle(bench->dut);
    if (bench->known[LATENCY]) {
        uint32_t got[OUT_WORDS];
        tp_port_get_words(tp_dut_port(bench->dut, "data_o"), got);
        ck_assert_mem_eq(got, bench->expected[LATENCY], sizeof got);
    }
    tp_dut_tick(bench->dut);
}

START_TEST(weights_return_what_was_written)
{
    static struct bench bench;
    memset(&bench, 0, sizeof bench);
    uint64_t seed = tp_test_seed(_i);
    tp_random_init(&bench.random, seed, 1);
    bench.dut = tp_dut_open(seed);
    uint32_t start = tp_random_below(&bench.random, DEPTH);
    for (uint32_t i = 0; i < DEPTH; i++) {
        // A stride that is coprime to the count visits every beat once.
        uint32_t beat = (start + (uint32_t)((uint64_t)i * 1000003 % DEPTH)) % DEPTH;
        for (uint32_t lane = 0; lane < LANES; lane++) {
            if (tp_random_chance(&bench.random, 16)) {
                write_word(&bench, TP_SPACE_PROGRAM, beat, lane);
            }
            write_word(&bench, TP_SPACE_WEIGHT, beat, lane);
        }
    }
    for (uint32_t round = 0; round < 4; round++) {
        tp_dut_tick(bench.dut);
        for (uint32_t i = 0; i < 600; i++) {
            read_cycle(&bench, i < 200 || tp_random_chance(&bench.random, 128));
        }
        for (uint32_t i = 0; i <= LATENCY; i++) read_cycle(&bench, false);
        for (uint32_t i = 0; i < 100; i++) {
            write_word(&bench, TP_SPACE_WEIGHT, tp_random_below(&bench.random, DEPTH),
                       tp_random_below(&bench.random, LANES));
        }
    }
    tp_dut_close(bench.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("weights");
    TCase *tcase = tcase_create("memory");
    tcase_add_loop_test(tcase, weights_return_what_was_written, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

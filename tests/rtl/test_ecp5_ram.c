// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_ecp5_ram, made of models of block RAMs or as its twin, holds its contents, returns
// the last word written to an address after 1 or 2 cycles depending on its output register, keeps
// the read data while no read is asked for, and gives wrong bits when a word is read and written in
// the same cycle.
//
// Random writes and reads in every cycle against an array, for every shape of a block RAM. Not
// covered: that the models are right, which only a board can show.

#include <string.h>

#include "check_main.h"
#include "dut.h"
#include "random.h"

#ifndef TP_PARAM_OutputRegister
#define TP_PARAM_OutputRegister 1
#endif
#ifndef TP_PARAM_Initialised
#define TP_PARAM_Initialised 0
#define TP_PARAM_Contents    0
#endif

enum {
    DEPTH = TP_PARAM_Depth,
    WORDS = (TP_PARAM_Width + 31) / 32,
    LAST_BITS = TP_PARAM_Width - 32 * (WORDS - 1),
    CYCLES = 4000,
    LATENCY = 1 + TP_PARAM_OutputRegister,
};

struct word {
    uint32_t part[WORDS];
};

static struct word random_word(struct tp_random *random)
{
    struct word word;
    for (int i = 0; i < WORDS; i++) word.part[i] = (uint32_t)tp_random_u64(random);
    word.part[WORDS - 1] &= UINT32_MAX >> (32 - LAST_BITS);
    return word;
}

static struct word inverted(struct word word)
{
    for (int i = 0; i < WORDS; i++) word.part[i] = ~word.part[i];
    word.part[WORDS - 1] &= UINT32_MAX >> (32 - LAST_BITS);
    return word;
}

static void set_write(struct tp_dut *dut, uint32_t address, const struct word *data)
{
    tp_dut_set(dut, "write_address_i", address);
    tp_port_set_words(tp_dut_port(dut, "write_data_i"), data->part);
}

static void check_output(struct tp_dut *dut, const struct word *expected)
{
    struct word read;
    tp_port_get_words(tp_dut_port(dut, "read_data_o"), read.part);
    for (int i = 0; i < WORDS; i++) ck_assert_uint_eq(read.part[i], expected->part[i]);
}

START_TEST(ram_returns_the_last_word_written)
{
    static struct word memory[DEPTH];
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    struct word expected[LATENCY];
    bool known[LATENCY] = {false};
    tp_random_init(&random, seed, 0);
    memset(expected, 0, sizeof expected);

    tp_dut_set(dut, "write_enable_i", 1);
    for (uint32_t address = 0; address < DEPTH; address++) {
        memory[address] = random_word(&random);
        set_write(dut, address, &memory[address]);
        tp_dut_tick(dut);
    }
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        uint32_t write_address = tp_random_below(&random, DEPTH);
        // Near the write address now and then, where words could overlap or collide.
        uint32_t read_address = tp_random_chance(&random, 64)
                                    ? write_address ^ tp_random_below(&random, 2)
                                    : tp_random_below(&random, DEPTH);
        struct word data = random_word(&random);
        bool write = tp_random_chance(&random, 128);
        bool read = tp_random_chance(&random, 128);
        if (read_address >= DEPTH) read_address = write_address;
        tp_dut_set(dut, "write_enable_i", write);
        set_write(dut, write_address, &data);
        tp_dut_set(dut, "read_enable_i", read);
        tp_dut_set(dut, "read_address_i", read_address);
        tp_dut_tick(dut);
        for (int i = LATENCY - 1; i > 0; i--) {
            expected[i] = expected[i - 1];
            known[i] = known[i - 1];
        }
        if (read) {
            bool collision = write && write_address == read_address;
            expected[0] = collision ? inverted(memory[read_address]) : memory[read_address];
            known[0] = true;
        }
        if (write) memory[write_address] = data;
        if (known[LATENCY - 1]) check_output(dut, &expected[LATENCY - 1]);
    }
    tp_dut_close(dut);
}
END_TEST

// Contents are at most 32 bits here, because they come on a command line.
START_TEST(contents_are_there_before_a_write)
{
    struct tp_dut *dut = tp_dut_open(tp_test_seed(_i));
    tp_dut_set(dut, "read_enable_i", 1);
    for (uint32_t address = 0; address < DEPTH; address++) {
        struct word expected = {{(uint32_t)TP_PARAM_Contents >> (TP_PARAM_Width * address) &
                                 UINT32_MAX >> (32 - LAST_BITS)}};
        tp_dut_set(dut, "read_address_i", address);
        for (int i = 0; i < LATENCY; i++) tp_dut_tick(dut);
        check_output(dut, &expected);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ecp5_ram");
    TCase *tcase = tcase_create("memory");
    tcase_add_loop_test(tcase, ram_returns_the_last_word_written, 0, TP_TEST_SEEDS);
    if (TP_PARAM_Initialised) {
        tcase_add_loop_test(tcase, contents_are_there_before_a_write, 0, TP_TEST_SEEDS);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

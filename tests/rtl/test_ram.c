// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_ram returns the last word written to an address, after 1 or 2 cycles depending on
// its output register, keeps the read data while no read is asked for, and gives wrong bits when an
// address is read and written in the same cycle.
//
// Random writes and reads in every cycle against an array. Not covered: initial contents.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { CYCLES = 4000, LATENCY = 1 + TP_PARAM_OutputRegister };

static uint64_t width_mask(void)
{
    return TP_PARAM_Width == 64 ? ~(uint64_t)0 : ((uint64_t)1 << TP_PARAM_Width) - 1;
}

START_TEST(ram_returns_the_last_word_written)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    uint64_t memory[TP_PARAM_Depth];
    uint64_t expected[LATENCY] = {0};
    bool known[LATENCY] = {false};
    tp_random_init(&random, seed, 0);

    tp_dut_set(dut, "write_enable_i", 1);
    for (uint32_t address = 0; address < TP_PARAM_Depth; address++) {
        memory[address] = tp_random_u64(&random) & width_mask();
        tp_dut_set(dut, "write_address_i", address);
        tp_dut_set(dut, "write_data_i", memory[address]);
        tp_dut_tick(dut);
    }
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        uint32_t write_address = tp_random_below(&random, TP_PARAM_Depth);
        uint32_t read_address = tp_random_below(&random, TP_PARAM_Depth);
        uint64_t data = tp_random_u64(&random) & width_mask();
        bool write = tp_random_chance(&random, 128);
        bool read = tp_random_chance(&random, 128);
        tp_dut_set(dut, "write_enable_i", write);
        tp_dut_set(dut, "write_address_i", write_address);
        tp_dut_set(dut, "write_data_i", data);
        tp_dut_set(dut, "read_enable_i", read);
        tp_dut_set(dut, "read_address_i", read_address);
        tp_dut_tick(dut);
        for (int i = LATENCY - 1; i > 0; i--) {
            expected[i] = expected[i - 1];
            known[i] = known[i - 1];
        }
        if (read) {
            bool collision = write && write_address == read_address;
            expected[0] = memory[read_address] ^ (collision ? width_mask() : 0);
            known[0] = true;
        }
        if (write) memory[write_address] = data;
        if (known[LATENCY - 1]) {
            ck_assert_uint_eq(tp_dut_get(dut, "read_data_o"), expected[LATENCY - 1]);
        }
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ram");
    TCase *tcase = tcase_create("memory");
    tcase_add_loop_test(tcase, ram_returns_the_last_word_written, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

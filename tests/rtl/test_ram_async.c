// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_ram_async shows the last word written to the read address, at once, and a write
// from the cycle after it.
//
// Random writes and reads in every cycle against an array; every address is read after each write
// to it by chance only, over 4,000 cycles. Not covered: read addresses at or above Depth.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { CYCLES = 4000 };

START_TEST(ram_async_shows_the_last_word_written)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    uint64_t memory[TP_PARAM_Depth];
    uint64_t mask = ((uint64_t)1 << TP_PARAM_Width) - 1;
    tp_random_init(&random, seed, 0);
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        bool filling = cycle < TP_PARAM_Depth;
        bool write = filling || tp_random_chance(&random, 128);
        uint32_t address = filling ? cycle : tp_random_below(&random, TP_PARAM_Depth);
        uint64_t data = tp_random_u64(&random) & mask;
        uint32_t read_address = tp_random_below(&random, filling ? cycle + 1 : TP_PARAM_Depth);
        tp_dut_set(dut, "write_enable_i", write);
        tp_dut_set(dut, "write_address_i", address);
        tp_dut_set(dut, "write_data_i", data);
        tp_dut_set(dut, "read_address_i", read_address);
        tp_dut_settle(dut);
        if (!filling || read_address < cycle) {
            ck_assert_uint_eq(tp_dut_get(dut, "read_data_o"), memory[read_address]);
        }
        tp_dut_tick(dut);
        if (write) memory[address] = data;
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ram_async");
    TCase *tcase = tcase_create("memory");
    tcase_add_loop_test(tcase, ram_async_shows_the_last_word_written, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

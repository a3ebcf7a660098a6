// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_mul8 gives the exact product of every pair of 8-bit numbers, in the form for
// simulation and in the form for synthesis, two cycles after them.
//
// Exhaustive over all pairs in every lane, gaps by chance, random power-up state.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { PAIRS = 1 << 16, LANES = TP_PARAM_Lanes, DEPTH = 2 };

// Lane i works on the pairs in an order of its own.
static uint32_t pair_of(uint32_t index, uint32_t lane)
{
    return (index * (2 * lane + 1) + 12345 * lane) % PAIRS;
}

static int32_t product_of(uint32_t pair)
{
    int32_t a = (int8_t)(pair >> 8);
    return a * (int32_t)(pair & 255);
}

START_TEST(every_product_is_exact)
{
    struct tp_random random;
    uint64_t seed = tp_test_seed(_i);
    tp_random_init(&random, seed, 0);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_port *in_valid = tp_dut_port(dut, "in_valid_i");
    struct tp_port *in_a = tp_dut_port(dut, "in_a_i");
    struct tp_port *in_b = tp_dut_port(dut, "in_b_i");
    struct tp_port *out_valid = tp_dut_port(dut, "out_valid_o");
    struct tp_port *out_data = tp_dut_port(dut, "out_data_o");
    bool valid[DEPTH + 1] = {false, false, false};
    uint32_t index[DEPTH + 1] = {0, 0, 0};
    uint32_t next = 0;
    while (next < PAIRS || valid[0] || valid[1] || valid[2]) {
        for (uint32_t i = DEPTH; i > 0; i--) {
            valid[i] = valid[i - 1];
            index[i] = index[i - 1];
        }
        valid[0] = next < PAIRS && tp_random_chance(&random, 200);
        index[0] = next;
        if (valid[0]) next++;
        uint64_t a = 0, b = 0;
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint32_t pair = valid[0] ? pair_of(index[0], lane) : tp_random_u32(&random) % PAIRS;
            a |= (uint64_t)(pair >> 8) << (8 * lane);
            b |= (uint64_t)(pair & 255) << (8 * lane);
        }
        tp_port_set(in_valid, valid[0]);
        tp_port_set(in_a, a);
        tp_port_set(in_b, b);
        tp_dut_settle(dut);
        ck_assert_uint_eq(tp_port_get(out_valid), valid[DEPTH]);
        for (uint32_t lane = 0; lane < LANES && valid[DEPTH]; lane++) {
            int32_t got = (int16_t)(tp_port_get(out_data) >> (16 * lane));
            ck_assert_int_eq(got, product_of(pair_of(index[DEPTH], lane)));
        }
        tp_dut_tick(dut);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("mul8");
    TCase *tcase = tcase_create("mul8");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_product_is_exact, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

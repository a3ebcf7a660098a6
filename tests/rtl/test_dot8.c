// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_dot8 gives the exact dot product of eight pairs of int8, in the form for
// simulation and in the form for synthesis, three cycles after them.
//
// Every pair of numbers in every lane, beside lanes that are random, extreme or zero, gaps by
// chance, random power-up state.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { PAIRS = 1 << 16, LANES = 8, DEPTH = 3 };

// Lane i works on the pairs in an order of its own; from time to time all are extreme, or all but
// one zero.
static uint32_t pair_of(struct tp_random *random, uint32_t index, uint32_t lane, uint32_t kind)
{
    uint32_t pair = (index * (2 * lane + 1) + 12345 * lane) % PAIRS;
    if (kind == 0) pair = (pair & 1 ? 0x8000u : 0x7f00u) | (pair & 2 ? 0x80u : 0x7fu);
    if (kind == 1) pair = 0x8080u;
    if (kind == 2 && lane != tp_random_below(random, LANES)) pair = 0;
    return pair;
}

static int32_t product_of(uint32_t pair)
{
    return (int32_t)(int8_t)(pair >> 8) * (int8_t)(pair & 255);
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
    struct tp_port *out_data = tp_dut_port(dut, "out_data_o");
    bool valid[DEPTH + 1] = {false};
    int32_t sum[DEPTH + 1] = {0};
    uint32_t next = 0;
    while (next < PAIRS || valid[0] || valid[1] || valid[2] || valid[3]) {
        for (uint32_t i = DEPTH; i > 0; i--) {
            valid[i] = valid[i - 1];
            sum[i] = sum[i - 1];
        }
        valid[0] = next < PAIRS && tp_random_chance(&random, 200);
        sum[0] = 0;
        uint32_t kind = tp_random_below(&random, 16);
        uint64_t a = 0, b = 0;
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint32_t pair = pair_of(&random, next, lane, kind);
            sum[0] += product_of(pair);
            a |= (uint64_t)(pair >> 8) << (8 * lane);
            b |= (uint64_t)(pair & 255) << (8 * lane);
        }
        // The usual order is complete: a beat of another kind does not move it on.
        if (valid[0] && kind > 2) next++;
        tp_port_set(in_valid, valid[0]);
        tp_port_set(in_a, a);
        tp_port_set(in_b, b);
        tp_dut_settle(dut);
        if (valid[DEPTH]) {
            int32_t got = (int32_t)((uint32_t)tp_port_get(out_data) << 13) >> 13;
            ck_assert_int_eq(got, sum[DEPTH]);
        }
        tp_dut_tick(dut);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("dot8");
    TCase *tcase = tcase_create("dot8");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_product_is_exact, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_square gives the exact square three cycles later, in both of its forms.
//
// All 2^16 numbers, one a cycle; random ones with gaps. The variants are the form for simulation
// and the one for synthesis.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { LATENCY = 3, NUMBERS = 4000 };

struct bench {
    struct tp_dut *dut;
    struct tp_port *in_valid;
    struct tp_port *in_data;
    struct tp_port *out_valid;
    struct tp_port *out_data;
    int32_t stages[LATENCY];  // squares on their way, -1 for none
};

static struct bench open_bench(uint64_t seed)
{
    struct tp_dut *dut = tp_dut_open(seed);
    return (struct bench){.dut = dut,
                          .in_valid = tp_dut_port(dut, "in_valid_i"),
                          .in_data = tp_dut_port(dut, "in_data_i"),
                          .out_valid = tp_dut_port(dut, "out_valid_o"),
                          .out_data = tp_dut_port(dut, "out_data_o"),
                          .stages = {-1, -1, -1}};
}

static void cycle(struct bench *b, bool valid, int32_t v)
{
    int32_t *stage = &b->stages[tp_dut_cycles(b->dut) % LATENCY];
    tp_port_set(b->in_valid, valid);
    tp_port_set(b->in_data, (uint16_t)v);
    tp_dut_settle(b->dut);
    ck_assert_int_eq(tp_port_get(b->out_valid) != 0, *stage >= 0);
    if (*stage >= 0) ck_assert_int_eq((int32_t)tp_port_get(b->out_data), *stage);
    *stage = valid ? v * v : -1;
    tp_dut_tick(b->dut);
}

static void close_bench(struct bench *b)
{
    for (int i = 0; i < LATENCY; i++) cycle(b, false, 0);
    tp_dut_close(b->dut);
}

START_TEST(square_is_exact_for_every_number)
{
    struct bench b = open_bench(tp_test_seed(_i));
    for (int32_t v = INT16_MIN; v <= INT16_MAX; v++) cycle(&b, true, v);
    close_bench(&b);
}
END_TEST

START_TEST(square_is_exact_with_gaps)
{
    uint64_t seed = tp_test_seed(_i);
    struct bench b = open_bench(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    for (int i = 0; i < NUMBERS; i++) {
        int32_t v = (int32_t)tp_random_signed(&random, 16);
        cycle(&b, tp_random_chance(&random, 128), v);
    }
    close_bench(&b);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("square");
    TCase *tcase = tcase_create("numbers");
    tcase_add_test(tcase, square_is_exact_for_every_number);
    tcase_add_loop_test(tcase, square_is_exact_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_product gives the exact product two cycles later, in both of its forms.
//
// Corners of both numbers, all gains with random x, random numbers of every size with gaps; the
// variants are the form for simulation and the one for synthesis.

#include "check_main.h"
#include "dut.h"
#include "random.h"

enum { LATENCY = 2, NUMBERS = 50000 };

struct bench {
    struct tp_dut *dut;
    struct tp_port *in_valid;
    struct tp_port *in_x;
    struct tp_port *in_gain;
    struct tp_port *out_valid;
    struct tp_port *out_data;
    int64_t stages[LATENCY];  // products on their way
    bool valid[LATENCY];
};

static struct bench open_bench(uint64_t seed)
{
    struct tp_dut *dut = tp_dut_open(seed);
    return (struct bench){.dut = dut,
                          .in_valid = tp_dut_port(dut, "in_valid_i"),
                          .in_x = tp_dut_port(dut, "in_x_i"),
                          .in_gain = tp_dut_port(dut, "in_gain_i"),
                          .out_valid = tp_dut_port(dut, "out_valid_o"),
                          .out_data = tp_dut_port(dut, "out_data_o")};
}

static void cycle(struct bench *b, bool valid, int32_t x, int32_t gain)
{
    uint32_t stage = (uint32_t)(tp_dut_cycles(b->dut) % LATENCY);
    tp_port_set(b->in_valid, valid);
    tp_port_set(b->in_x, (uint32_t)x);
    tp_port_set(b->in_gain, (uint16_t)gain);
    tp_dut_settle(b->dut);
    ck_assert_int_eq(tp_port_get(b->out_valid) != 0, b->valid[stage]);
    if (b->valid[stage]) ck_assert_int_eq(tp_port_get_signed(b->out_data), b->stages[stage]);
    b->valid[stage] = valid;
    b->stages[stage] = (int64_t)x * gain;
    tp_dut_tick(b->dut);
}

static void close_bench(struct bench *b)
{
    for (int i = 0; i < LATENCY; i++) cycle(b, false, 0, 0);
    tp_dut_close(b->dut);
}

START_TEST(product_is_exact_for_every_gain_and_at_the_corners)
{
    static const int32_t corners[] = {INT32_MIN, INT32_MIN + 1, -65536, -65535, -32768,   -1, 0,
                                      1,         32767,         32768,  65535,  INT32_MAX};
    uint64_t seed = tp_test_seed(_i);
    struct bench b = open_bench(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    for (int32_t gain = INT16_MIN; gain <= INT16_MAX; gain++) {
        cycle(&b, true, (int32_t)tp_random_signed(&random, 32), gain);
    }
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++) {
        for (int bit = 0; bit <= 15; bit++) {
            for (int d = -1; d <= 1; d++) cycle(&b, true, corners[i], (1 << bit) % 32768 + d);
            cycle(&b, true, corners[i], -(1 << bit));
        }
    }
    close_bench(&b);
}
END_TEST

START_TEST(product_is_exact_with_gaps)
{
    uint64_t seed = tp_test_seed(_i);
    struct bench b = open_bench(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 2);
    for (int i = 0; i < NUMBERS; i++) {
        int32_t x = (int32_t)tp_random_signed(&random, 32);
        int32_t gain = (int32_t)tp_random_signed(&random, 16);
        cycle(&b, tp_random_chance(&random, 128), x, gain);
    }
    close_bench(&b);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("product");
    TCase *tcase = tcase_create("numbers");
    tcase_add_test(tcase, product_is_exact_for_every_gain_and_at_the_corners);
    tcase_add_loop_test(tcase, product_is_exact_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_rsqrt equals the model's tp_rsqrt() for every input, one value a cycle, five
// cycles later, and that 0 counts as 1.
//
// All inputs below 2^17, the neighbours of every power of two, and random inputs of every size, in
// a row and with gaps.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"

enum { LATENCY = 5, WIDTH = 49, EXHAUSTIVE = 1 << 17, VALUES = 100000 };

struct bench {
    struct tp_dut *dut;
    struct tp_port *in_valid;
    struct tp_port *in_value;
    struct tp_port *in_tag;
    struct tp_port *out_valid;
    struct tp_port *out_rm;
    struct tp_port *out_half_k;
    struct tp_port *out_tag;
    struct {
        bool valid;
        uint64_t value;
        uint32_t tag;
    } stages[LATENCY];
};

static struct bench open_bench(uint64_t seed)
{
    struct tp_dut *dut = tp_dut_open(seed);
    return (struct bench){.dut = dut,
                          .in_valid = tp_dut_port(dut, "in_valid_i"),
                          .in_value = tp_dut_port(dut, "in_value_i"),
                          .in_tag = tp_dut_port(dut, "in_tag_i"),
                          .out_valid = tp_dut_port(dut, "out_valid_o"),
                          .out_rm = tp_dut_port(dut, "out_rm_o"),
                          .out_half_k = tp_dut_port(dut, "out_half_k_o"),
                          .out_tag = tp_dut_port(dut, "out_tag_o")};
}

static void check(const struct bench *b, uint64_t value, uint32_t tag)
{
    int32_t half_k;
    uint32_t rm = tp_rsqrt(value == 0 ? 1 : value, &half_k);
    if (tp_port_get(b->out_rm) == rm && tp_port_get(b->out_half_k) == (uint64_t)half_k &&
        tp_port_get(b->out_tag) == tag) {
        return;
    }
    ck_abort_msg("value %llu: expected %u, %d, got %u, %u", (unsigned long long)value, rm, half_k,
                 (unsigned)tp_port_get(b->out_rm), (unsigned)tp_port_get(b->out_half_k));
}

static void cycle(struct bench *b, bool valid, uint64_t value)
{
    uint32_t place = (uint32_t)(tp_dut_cycles(b->dut) % LATENCY);
    uint32_t tag = (uint32_t)(value & 1);
    tp_port_set(b->in_valid, valid);
    tp_port_set(b->in_value, value);
    tp_port_set(b->in_tag, tag);
    tp_dut_settle(b->dut);
    ck_assert_int_eq(tp_port_get(b->out_valid) != 0, b->stages[place].valid);
    if (b->stages[place].valid) check(b, b->stages[place].value, b->stages[place].tag);
    b->stages[place].valid = valid;
    b->stages[place].value = value;
    b->stages[place].tag = tag;
    tp_dut_tick(b->dut);
}

static void close_bench(struct bench *b)
{
    for (int i = 0; i < LATENCY; i++) cycle(b, false, 0);
    tp_dut_close(b->dut);
}

START_TEST(rsqrt_equals_model_for_small_values_and_powers_of_two)
{
    struct bench b = open_bench(tp_test_seed(_i));
    for (uint64_t value = 0; value < EXHAUSTIVE; value++) cycle(&b, true, value);
    for (int k = 17; k < WIDTH; k++) {
        for (int64_t d = -3; d <= 3; d++) cycle(&b, true, (uint64_t)((INT64_C(1) << k) + d));
    }
    for (int d = 1; d <= 3; d++) cycle(&b, true, (UINT64_C(1) << WIDTH) - (uint64_t)d);
    close_bench(&b);
}
END_TEST

START_TEST(rsqrt_equals_model_with_gaps)
{
    uint64_t seed = tp_test_seed(_i);
    struct bench b = open_bench(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    for (int i = 0; i < VALUES; i++) {
        uint64_t value = tp_random_u64(&random) >> (15 + tp_random_below(&random, WIDTH));
        cycle(&b, tp_random_chance(&random, 128), value);
    }
    close_bench(&b);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rsqrt");
    TCase *tcase = tcase_create("values");
    tcase_add_test(tcase, rsqrt_equals_model_for_small_values_and_powers_of_two);
    tcase_add_loop_test(tcase, rsqrt_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

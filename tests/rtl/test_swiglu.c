// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_swiglu equals tp_swiglu() of the model bit for bit, counts the same saturations,
// and delivers every value exactly 10 cycles after its pair.
//
// Pairs of random size, corners around the flat part of the sigmoid, the cut to 18 bits and the
// ends of int32, with and without gaps.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"

enum { LATENCY = 10, BEATS = 40000 };

struct beat {
    bool valid;
    int32_t gate;
    int32_t up;
    int32_t value;
    bool saturated;
};

static int32_t pick(struct tp_random *random)
{
    static const int32_t corner[] = {0,       65536, 1 << 17,   1 << 20,   1 << 24,
                                     1 << 30, 8192,  INT32_MAX, INT32_MIN, INT32_MIN + 1};
    if (!tp_random_chance(random, 48)) return (int32_t)tp_random_signed(random, 32);
    int64_t value = corner[tp_random_below(random, 10)];
    value += tp_random_range(random, -2, 2);
    if (tp_random_chance(random, 128)) value = -value;
    if (value > INT32_MAX) return INT32_MAX;
    return value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

static void make(struct tp_random *random, struct beat *beat)
{
    struct tp_counters counters = {0, 0};
    beat->gate =
        tp_random_chance(random, 128) ? pick(random) : (int32_t)tp_random_signed(random, 21);
    beat->up = pick(random);
    beat->value = tp_swiglu(beat->gate, beat->up, &counters);
    beat->saturated = counters.saturations != 0;
}

static void check(struct tp_dut *dut, const struct beat *beat)
{
    ck_assert_uint_eq(tp_dut_get(dut, "out_valid_o"), beat->valid);
    if (!beat->valid) return;
    int32_t value = (int32_t)(uint32_t)tp_dut_get(dut, "out_data_o");
    ck_assert_msg(value == beat->value, "gate %d, up %d: %d, model %d", beat->gate, beat->up, value,
                  beat->value);
    ck_assert_uint_eq(tp_dut_get(dut, "out_saturated_o"), beat->saturated);
}

START_TEST(swiglu_equals_model)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    static struct beat beats[BEATS + LATENCY];
    tp_random_init(&random, seed, 1);
    uint32_t chance = _i % 2 == 0 ? 256 : 128;
    for (uint32_t i = 0; i < BEATS + LATENCY; i++) {
        struct beat *beat = &beats[i];
        make(&random, beat);
        beat->valid = i < BEATS && tp_random_chance(&random, chance);
        tp_dut_set(dut, "in_valid_i", beat->valid);
        tp_dut_set(dut, "in_data_i", (uint64_t)(uint32_t)beat->up << 32 | (uint32_t)beat->gate);
        tp_dut_settle(dut);
        if (i >= LATENCY) check(dut, &beats[i - LATENCY]);
        tp_dut_tick(dut);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("swiglu");
    TCase *tcase = tcase_create("flow");
    tcase_add_loop_test(tcase, swiglu_equals_model, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

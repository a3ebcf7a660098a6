// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_round_shift equals tp_rnd_sat32() bit for bit, counts the same saturations, and
// delivers every beat exactly 3 cycles after it came.
//
// Numbers of random size and those around every rounding and saturation edge, all shifts that the
// port can carry, with and without gaps.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"

#ifndef TP_PARAM_Lanes
#define TP_PARAM_Lanes 2
#endif
#ifndef TP_PARAM_Width
#define TP_PARAM_Width 40
#endif

enum { LANES = TP_PARAM_Lanes, WIDTH = TP_PARAM_Width, LATENCY = 3, BEATS = 30000 };

struct beat {
    bool valid;
    int shift;
    int32_t value[LANES];
    bool saturated[LANES];
};

static int64_t wrap(int64_t v)
{
    return (int64_t)((uint64_t)v << (64 - WIDTH)) >> (64 - WIDTH);
}

// Mostly numbers that land near the ends of int32 or on a half after the shift.
static int64_t pick(struct tp_random *random, int shift)
{
    int64_t near = tp_random_range(random, -3, 3);
    switch (tp_random_below(random, 4)) {
    case 0:
        return wrap(tp_random_signed(random, WIDTH));
    case 1:
        return wrap(tp_flr(tp_random_chance(random, 128) ? INT32_MAX : INT32_MIN, -shift) + near);
    case 2:
        return wrap(tp_flr(tp_random_range(random, -4, 4), 1 - shift) + near);
    default:
        return wrap((INT64_C(1) << (WIDTH - 1)) + near);
    }
}

static void put(uint32_t *words, uint32_t lane, int64_t value)
{
    for (uint32_t bit = 0; bit < WIDTH; bit++) {
        uint32_t at = lane * WIDTH + bit;
        words[at / 32] |= (uint32_t)((uint64_t)value >> bit & 1) << at % 32;
    }
}

static int pick_shift(struct tp_random *random)
{
    if (tp_random_chance(random, 32)) return (int)tp_random_range(random, -255, 256);
    return (int)tp_random_range(random, -40, 70);
}

// The shift that the port shows is that of the next beat.
static void drive(struct tp_dut *dut, struct tp_random *random, struct beat *beat)
{
    uint32_t words[(LANES * WIDTH + 31) / 32] = {0};
    int shift = beat[0].shift;
    int shown = beat[1].shift;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        struct tp_counters counters = {0, 0};
        int64_t value = pick(random, shift);
        put(words, lane, value);
        beat->value[lane] = tp_rnd_sat32(value, shift, &counters);
        beat->saturated[lane] = counters.saturations != 0;
    }
    tp_dut_set(dut, "in_valid_i", beat->valid);
    tp_dut_set(dut, "in_shift_i", (uint64_t)(shown - 1) & 511);
    tp_port_set_words(tp_dut_port(dut, "in_data_i"), words);
}

static void check(struct tp_dut *dut, const struct beat *beat)
{
    ck_assert_uint_eq(tp_dut_get(dut, "out_valid_o"), beat->valid);
    if (!beat->valid) return;
    uint32_t words[LANES];
    tp_port_get_words(tp_dut_port(dut, "out_data_o"), words);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        ck_assert_int_eq((int32_t)words[lane], beat->value[lane]);
        ck_assert_uint_eq(tp_dut_get(dut, "out_saturated_o") >> lane & 1, beat->saturated[lane]);
    }
}

START_TEST(round_shift_equals_model)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    static struct beat beats[BEATS + LATENCY + 1];
    tp_random_init(&random, seed, 1);
    uint32_t chance = _i % 2 == 0 ? 256 : 128;
    beats[0].shift = pick_shift(&random);
    for (uint32_t i = 0; i < BEATS + LATENCY; i++) {
        // The first shift cannot be shown before its beat.
        beats[i].valid = i > 0 && i < BEATS && tp_random_chance(&random, chance);
        beats[i + 1].shift = pick_shift(&random);
        drive(dut, &random, &beats[i]);
        tp_dut_settle(dut);
        if (i >= LATENCY) check(dut, &beats[i - LATENCY]);
        tp_dut_tick(dut);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("round_shift");
    TCase *tcase = tcase_create("flow");
    tcase_add_loop_test(tcase, round_shift_equals_model, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_rotate equals tp_rope_rotate() bit for bit, counts the same saturations, leaves
// pairs alone at cosine 1 and sine 0, and delivers every pair exactly 4 cycles after it came.
//
// Pairs of random size and corners of int32, angles of random phases and corners, with and without
// gaps.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"

enum { LATENCY = 4, BEATS = 40000 };

struct beat {
    bool valid;
    int32_t a;
    int32_t b;
    int32_t cosine;
    int32_t sine;
    int32_t first;
    int32_t second;
    uint64_t saturations;
};

static int32_t pick(struct tp_random *random)
{
    static const int32_t corner[] = {0, 1, -1, INT32_MAX, INT32_MIN, INT32_MIN + 1, 0x5a827999};
    if (tp_random_chance(random, 32)) return corner[tp_random_below(random, 7)];
    return (int32_t)tp_random_signed(random, 32);
}

static void make(struct tp_random *random, struct beat *beat)
{
    struct tp_counters counters = {0, 0};
    uint32_t phase = tp_random_u32(random);
    if (tp_random_chance(random, 32)) phase &= 0xe0000000u;
    beat->a = pick(random);
    beat->b = pick(random);
    beat->cosine = tp_sine(phase + 0x40000000u);
    beat->sine = tp_sine(phase);
    beat->first = beat->a;
    beat->second = beat->b;
    tp_rope_rotate(&beat->first, &beat->second, beat->cosine, beat->sine, &counters);
    beat->saturations = counters.saturations;
    if (phase == 0) ck_assert(beat->first == beat->a && beat->second == beat->b);
}

// The angle of a pair comes one cycle after the pair; without a pair it is noise.
static void drive(struct tp_dut *dut, struct tp_random *random, const struct beat *now,
                  const struct beat *before)
{
    int32_t cosine = before != NULL && before->valid
                         ? before->cosine
                         : (int32_t)tp_random_range(random, -32768, 32768);
    int32_t sine = before != NULL && before->valid
                       ? before->sine
                       : (int32_t)tp_random_range(random, -32768, 32768);
    tp_dut_set(dut, "in_valid_i", now->valid);
    tp_dut_set(dut, "in_data_i", (uint64_t)(uint32_t)now->b << 32 | (uint32_t)now->a);
    tp_dut_set(dut, "cosine_i", (uint32_t)cosine & 0x1ffff);
    tp_dut_set(dut, "sine_i", (uint32_t)sine & 0x1ffff);
    tp_dut_set(dut, "sum_i", (uint32_t)(cosine + sine) & 0x3ffff);
}

static void check(struct tp_dut *dut, const struct beat *beat)
{
    ck_assert_uint_eq(tp_dut_get(dut, "out_valid_o"), beat->valid);
    if (!beat->valid) return;
    uint64_t data = tp_dut_get(dut, "out_data_o");
    ck_assert_int_eq((int32_t)(uint32_t)data, beat->first);
    ck_assert_int_eq((int32_t)(data >> 32), beat->second);
    uint64_t hits = tp_dut_get(dut, "out_saturated_o");
    ck_assert_uint_eq((hits & 1) + (hits >> 1), beat->saturations);
}

START_TEST(rotate_equals_model)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    static struct beat beats[BEATS + LATENCY];
    tp_random_init(&random, seed, 1);
    uint32_t chance = _i % 2 == 0 ? 256 : 128;
    for (uint32_t i = 0; i < BEATS + LATENCY; i++) {
        make(&random, &beats[i]);
        beats[i].valid = i < BEATS && tp_random_chance(&random, chance);
        drive(dut, &random, &beats[i], i > 0 ? &beats[i - 1] : NULL);
        tp_dut_settle(dut);
        if (i >= LATENCY) check(dut, &beats[i - LATENCY]);
        tp_dut_tick(dut);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rotate");
    TCase *tcase = tcase_create("flow");
    tcase_add_loop_test(tcase, rotate_equals_model, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

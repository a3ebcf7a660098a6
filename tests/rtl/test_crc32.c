// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_crc32 sums bytes as CRC-32 of IEEE 802.3, whatever gaps lie between them, and that
// a message followed by its CRC leaves the residue.
//
// The check value of the standard and random messages; the reference works bit by bit. Not covered:
// clock speed.

#include <string.h>

#include "check_main.h"
#include "dut.h"
#include "plain_frame.h"
#include "random.h"

static uint32_t run(struct tp_dut *dut, struct tp_random *random, const uint8_t *bytes,
                    uint32_t count)
{
    tp_dut_set(dut, "start_i", 1);
    tp_dut_tick(dut);
    tp_dut_set(dut, "start_i", 0);
    for (uint32_t i = 0; i < count;) {
        int valid = tp_random_chance(random, 128);
        tp_dut_set(dut, "valid_i", (uint64_t)valid);
        tp_dut_set(dut, "data_i", valid ? bytes[i] : tp_random_below(random, 256));
        tp_dut_tick(dut);
        i += (uint32_t)valid;
    }
    tp_dut_set(dut, "valid_i", 0);
    tp_dut_settle(dut);
    return (uint32_t)tp_dut_get(dut, "crc_o");
}

START_TEST(crc32_has_the_check_value)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    ck_assert_uint_eq(run(dut, &random, (const uint8_t *)"123456789", 9), ~0xcbf43926u);
    ck_assert_uint_eq(run(dut, &random, NULL, 0), 0xffffffffu);
    tp_dut_close(dut);
}
END_TEST

START_TEST(crc32_equals_the_bitwise_sum)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_random random;
    tp_random_init(&random, seed, 2);
    for (int message = 0; message < 40; message++) {
        uint8_t bytes[64];
        uint32_t count = tp_random_below(&random, 60);
        for (uint32_t i = 0; i < count; i++) bytes[i] = (uint8_t)tp_random_below(&random, 256);
        uint32_t crc = tp_plain_crc(bytes, count);
        ck_assert_uint_eq(run(dut, &random, bytes, count), ~crc);
        for (int i = 0; i < 4; i++) bytes[count + (uint32_t)i] = (uint8_t)(crc >> (8 * i));
        ck_assert_uint_eq(run(dut, &random, bytes, count + 4), 0xdebb20e3u);
    }
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("crc32");
    TCase *tcase = tcase_create("sum");
    tcase_add_loop_test(tcase, crc32_has_the_check_value, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, crc32_equals_the_bitwise_sum, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

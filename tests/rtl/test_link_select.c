// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_link_select passes every byte of the link that is used, in order and whatever
// pauses, and none of the other; and that a byte which the serial line was shown stays there.
//
// Not covered: what hosts make of frames that a change breaks.

#include <stdio.h>

#include "check_main.h"
#include "dut.h"
#include "stream.h"

enum { BYTES = 200, CYCLES = 20000 };

static uint32_t out[BYTES];  // from the core
static uint32_t in[BYTES];   // from the host
static uint32_t got_out[BYTES];
static uint32_t got_in[BYTES];

static void fill(uint64_t seed)
{
    struct tp_random random;
    tp_random_init(&random, seed, 0);
    for (int i = 0; i < BYTES; i++) {
        out[i] = tp_random_below(&random, 256);
        in[i] = tp_random_below(&random, 256);
    }
}

static void check_bytes(const uint32_t *got, const uint32_t *expected)
{
    for (int i = 0; i < BYTES; i++) ck_assert_uint_eq(got[i], expected[i]);
}

START_TEST(link_select_passes_the_used_link_and_nothing_else)
{
    bool is_usb = _i & 1;
    enum tp_pause pause = (enum tp_pause)(_i / 2 % TP_PAUSE_COUNT);
    uint64_t seed = tp_test_seed(_i);
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_stream streams[4];
    struct tp_stream *all[] = {&streams[0], &streams[1], &streams[2], &streams[3]};
    fill(seed);
    tp_port_set(tp_dut_port(dut, "open_i"), is_usb);
    tp_dut_tick(dut);
    // The other link has bytes all the time, and would take some.
    const char *other = is_usb ? "uart" : "usb";
    char name[3][32];
    (void)snprintf(name[0], sizeof name[0], "%s_in_valid_i", other);
    (void)snprintf(name[1], sizeof name[1], "%s_out_ready_i", other);
    (void)snprintf(name[2], sizeof name[2], "%s_out_valid_o", other);
    tp_port_set(tp_dut_port(dut, name[0]), 1);
    tp_port_set(tp_dut_port(dut, name[1]), 1);
    tp_source_init(all[0], dut, "in", "data", pause, seed, out, BYTES);
    tp_sink_init(all[1], dut, is_usb ? "usb_out" : "uart_out", "data", pause, seed, got_out, BYTES);
    tp_source_init(all[2], dut, is_usb ? "usb_in" : "uart_in", "data", pause, seed, in, BYTES);
    tp_sink_init(all[3], dut, "out", "data", pause, seed, got_in, BYTES);
    for (int i = 0; i < CYCLES && !(tp_stream_done(all[0]) && tp_stream_done(all[1]) &&
                                    tp_stream_done(all[2]) && tp_stream_done(all[3]));
         i++) {
        tp_stream_cycle(dut, all, 4);
        ck_assert_uint_eq(tp_dut_get(dut, name[2]), 0);
    }
    check_bytes(got_out, out);
    check_bytes(got_in, in);
    for (int i = 0; i < 4; i++) tp_stream_free(all[i]);
    tp_dut_close(dut);
}
END_TEST

START_TEST(link_select_leaves_a_byte_with_the_line_that_it_was_shown)
{
    struct tp_dut *dut = tp_dut_open(tp_test_seed(_i));
    tp_port_set(tp_dut_port(dut, "in_valid_i"), 1);
    tp_port_set(tp_dut_port(dut, "in_data_i"), 0x5A);
    tp_dut_tick(dut);
    tp_port_set(tp_dut_port(dut, "in_valid_i"), 0);
    tp_port_set(tp_dut_port(dut, "open_i"), 1);
    tp_port_set(tp_dut_port(dut, "usb_out_ready_i"), 1);
    for (int i = 0; i < 5; i++) {
        tp_dut_tick(dut);
        ck_assert_uint_eq(tp_dut_get(dut, "uart_out_valid_o"), 1);
        ck_assert_uint_eq(tp_dut_get(dut, "uart_out_data_o"), 0x5A);
        ck_assert_uint_eq(tp_dut_get(dut, "usb_out_valid_o"), 0);
    }
    tp_port_set(tp_dut_port(dut, "uart_out_ready_i"), 1);
    tp_dut_tick(dut);
    tp_port_set(tp_dut_port(dut, "in_valid_i"), 1);
    tp_dut_tick(dut);
    tp_dut_tick(dut);
    ck_assert_uint_eq(tp_dut_get(dut, "uart_out_valid_o"), 0);
    // USB vanishes with a byte that nobody took: the serial line gets it.
    tp_port_set(tp_dut_port(dut, "usb_out_ready_i"), 0);
    tp_dut_tick(dut);
    tp_dut_tick(dut);
    ck_assert_uint_eq(tp_dut_get(dut, "usb_out_valid_o"), 1);
    tp_port_set(tp_dut_port(dut, "open_i"), 0);
    tp_port_set(tp_dut_port(dut, "uart_out_ready_i"), 0);
    tp_dut_tick(dut);
    ck_assert_uint_eq(tp_dut_get(dut, "usb_out_valid_o"), 0);
    ck_assert_uint_eq(tp_dut_get(dut, "uart_out_valid_o"), 1);
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("link_select");
    TCase *tcase = tcase_create("streams");
    tcase_add_loop_test(tcase, link_select_passes_the_used_link_and_nothing_else, 0,
                        2 * TP_PAUSE_COUNT);
    tcase_add_test(tcase, link_select_leaves_a_byte_with_the_line_that_it_was_shown);
    suite_add_tcase(suite, tcase);
    return suite;
}

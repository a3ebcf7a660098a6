// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_fifo delivers every beat once, unchanged and in order, whatever both sides pause,
// holds exactly Depth beats, shows their number, and moves one beat per cycle when neither pauses.
//
// Random beats through all pairs of pause patterns, with random power-up state; the reference is
// what went in. Proved for all inputs in tests/formal/fifo.sby. Not covered: clock speed.

#include "check_main.h"
#include "compare.h"
#include "stream.h"

enum { BEATS = 600 };

static uint32_t sent[BEATS];
static uint32_t got[BEATS];

static void fill(uint64_t seed, uint32_t width)
{
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    tp_random_words(&random, sent, BEATS);
    for (int i = 0; width < 32 && i < BEATS; i++) sent[i] &= (1u << width) - 1;
}

static uint64_t run(uint64_t seed, enum tp_pause source_pause, enum tp_pause sink_pause)
{
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_stream source;
    struct tp_stream sink;
    fill(seed, tp_port_width(tp_dut_port(dut, "in_data_i")));
    tp_source_init(&source, dut, "in", "data", source_pause, seed, sent, BEATS);
    tp_sink_init(&sink, dut, "out", "data", sink_pause, seed, got, BEATS);
    struct tp_stream *streams[] = {&source, &sink};
    uint64_t cycles = tp_stream_run(dut, streams, 2, 100000);
    tp_compare_words("fifo", sent, got, BEATS, 1);
    tp_stream_free(&source);
    tp_stream_free(&sink);
    tp_dut_close(dut);
    return cycles;
}

START_TEST(fifo_delivers_every_beat_in_order)
{
    run(tp_test_seed(_i), tp_pause_source(_i), tp_pause_sink(_i));
}
END_TEST

START_TEST(fifo_moves_one_beat_per_cycle)
{
    ck_assert_uint_eq(run(tp_test_seed(_i), TP_PAUSE_NONE, TP_PAUSE_NONE), BEATS + 1);
}
END_TEST

START_TEST(fifo_holds_exactly_depth_beats)
{
    struct tp_dut *dut = tp_dut_open(tp_test_seed(_i));
    tp_dut_set(dut, "in_valid_i", 1);
    for (uint32_t level = 0; level <= TP_PARAM_Depth; level++) {
        tp_dut_settle(dut);
        ck_assert_uint_eq(tp_dut_get(dut, "level_o"), level);
        ck_assert_uint_eq(tp_dut_get(dut, "in_ready_o"), level < TP_PARAM_Depth);
        ck_assert_uint_eq(tp_dut_get(dut, "out_valid_o"), level > 0);
        tp_dut_tick(dut);
    }
    tp_dut_set(dut, "in_valid_i", 0);
    // Reset with beats inside empties the queue.
    tp_dut_reset(dut, 1);
    ck_assert_uint_eq(tp_dut_get(dut, "level_o"), 0);
    ck_assert_uint_eq(tp_dut_get(dut, "out_valid_o"), 0);
    tp_dut_close(dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("fifo");
    TCase *tcase = tcase_create("stream");
    tcase_add_loop_test(tcase, fifo_delivers_every_beat_in_order, 0,
                        TP_PAUSE_COUNT * TP_PAUSE_COUNT);
    tcase_add_loop_test(tcase, fifo_moves_one_beat_per_cycle, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, fifo_holds_exactly_depth_beats, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

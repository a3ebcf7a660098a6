// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_skid delivers every beat once, unchanged and in order, whatever both sides pause,
// and moves one beat per cycle when neither does.
//
// Random beats through all pairs of pause patterns, with random power-up state; the reference is
// what went in. Proved for all inputs in tests/formal/skid.sby. Not covered: clock speed.

#include "check_main.h"
#include "compare.h"
#include "stream.h"

enum { BEATS = 500, WORDS_MAX = 8 };

static uint32_t sent[BEATS * WORDS_MAX];
static uint32_t got[BEATS * WORDS_MAX];

static uint64_t run(uint64_t seed, enum tp_pause source_pause, enum tp_pause sink_pause)
{
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_stream source;
    struct tp_stream sink;
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    tp_random_words(&random, sent, BEATS * WORDS_MAX);
    tp_source_init(&source, dut, "in", "data", source_pause, seed, sent, BEATS);
    tp_sink_init(&sink, dut, "out", "data", sink_pause, seed, got, BEATS);
    // A port narrower than its words carries only its own bits.
    uint32_t width = tp_port_width(source.fields[0]);
    uint32_t words = source.words_per_beat;
    for (uint32_t i = 0; width % 32 != 0 && i < BEATS; i++) {
        sent[i * words + words - 1] &= (1u << width % 32) - 1;
    }
    struct tp_stream *streams[] = {&source, &sink};
    uint64_t cycles = tp_stream_run(dut, streams, 2, 100000);
    tp_compare_words("skid", sent, got, BEATS * words, words);
    tp_stream_free(&source);
    tp_stream_free(&sink);
    tp_dut_close(dut);
    return cycles;
}

START_TEST(skid_delivers_every_beat_in_order)
{
    uint64_t seed = tp_test_seed(_i);
    run(seed, tp_pause_source(_i), tp_pause_sink(_i));
}
END_TEST

START_TEST(skid_moves_one_beat_per_cycle)
{
    // The first beat needs one cycle to pass, each further one follows in the next cycle.
    ck_assert_uint_eq(run(tp_test_seed(_i), TP_PAUSE_NONE, TP_PAUSE_NONE), BEATS + 1);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("skid");
    TCase *tcase = tcase_create("stream");
    tcase_add_loop_test(tcase, skid_delivers_every_beat_in_order, 0,
                        TP_PAUSE_COUNT * TP_PAUSE_COUNT);
    tcase_add_loop_test(tcase, skid_moves_one_beat_per_cycle, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

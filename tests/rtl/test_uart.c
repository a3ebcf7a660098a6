// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_uart takes every byte of a serial line whose sender is up to 2 % off, at any gap,
// and drops bytes without a stop bit, glitches and what finds its queue full, telling of them; and
// that it sends every byte with each edge in its place, without drift.
//
// The line is drawn in fractions of a clock cycle, from a random phase. Not covered: noise inside a
// byte, metastability.

#include <stdlib.h>

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "stream.h"

enum {
    FRACTION = 4096,  // of a cycle
    BYTES = 300,
    WAVE_MAX = 4000000,
    PPM = 1000000,
    TOLERANCE_PPM = 20000
};

// A line as it is in each cycle.
struct wave {
    uint8_t *level;
    size_t cycles;
    uint64_t end;  // of what is drawn, in fractions
    uint64_t bit;  // in fractions
};

static struct tp_random any;
static uint32_t bytes[BYTES];
static uint32_t got[BYTES];

static uint64_t nominal_bit(void)
{
    return (uint64_t)TP_PARAM_ClockKhz * 1000 * FRACTION / TP_PARAM_Baud;
}

static void wave_open(struct wave *wave, int32_t ppm)
{
    wave->level = malloc(WAVE_MAX);
    ck_assert_ptr_nonnull(wave->level);
    wave->cycles = 0;
    wave->end = tp_random_below(&any, FRACTION);
    wave->bit = nominal_bit() * PPM / (uint64_t)(PPM + ppm);
}

// The cycles that begin before the end of the piece see its level.
static void draw(struct wave *wave, int level, uint64_t length)
{
    wave->end += length;
    while (wave->cycles * FRACTION < wave->end) {
        ck_assert_uint_lt(wave->cycles, WAVE_MAX);
        wave->level[wave->cycles++] = (uint8_t)level;
    }
}

static void draw_byte(struct wave *wave, uint32_t byte, int stop)
{
    draw(wave, 0, wave->bit);
    for (int i = 0; i < 8; i++) draw(wave, byte >> i & 1, wave->bit);
    draw(wave, stop, wave->bit);
}

// None, a part of a bit, or several bits.
static void draw_gap(struct wave *wave)
{
    uint32_t kind = tp_random_below(&any, 3);
    if (kind == 1) draw(wave, 1, wave->bit * tp_random_below(&any, 256) / 256);
    if (kind == 2) draw(wave, 1, wave->bit * tp_random_below(&any, 40));
}

struct counts {
    uint32_t bad;
    uint32_t lost;
};

// Plays the wave and then idle; the sink has to be done at the end.
static struct counts play(struct tp_dut *dut, const struct wave *wave, struct tp_stream *sink,
                          uint32_t idle)
{
    struct counts counts = {0, 0};
    for (size_t cycle = 0; cycle < wave->cycles + idle; cycle++) {
        tp_dut_set(dut, "rx_i", cycle < wave->cycles ? wave->level[cycle] : 1);
        tp_stream_cycle(dut, &sink, sink != NULL ? 1 : 0);
        counts.bad += (uint32_t)tp_dut_get(dut, "bad_o");
        counts.lost += (uint32_t)tp_dut_get(dut, "lost_o");
    }
    return counts;
}

static struct tp_dut *open(int i, uint64_t *seed)
{
    *seed = tp_test_seed(i);
    tp_random_init(&any, *seed, 0);
    struct tp_dut *dut = tp_dut_open_in_reset(*seed);
    tp_dut_set(dut, "rx_i", 1);
    tp_dut_reset(dut, 8);
    return dut;
}

static void any_bytes(void)
{
    for (uint32_t i = 0; i < BYTES; i++) bytes[i] = i < 256 ? i : tp_random_below(&any, 256);
    for (uint32_t i = BYTES - 1; i > 0; i--) {
        uint32_t other = tp_random_below(&any, i + 1);
        uint32_t byte = bytes[i];
        bytes[i] = bytes[other];
        bytes[other] = byte;
    }
}

// From the slowest to the fastest sender.
static int32_t any_error(int i)
{
    static const int32_t corners[] = {-TOLERANCE_PPM, TOLERANCE_PPM, 0};
    if (i < 6) return corners[i % 3];
    return (int32_t)tp_random_below(&any, 2 * TOLERANCE_PPM) - TOLERANCE_PPM;
}

START_TEST(uart_receives_every_byte)
{
    uint64_t seed;
    struct tp_dut *dut = open(_i, &seed);
    struct tp_stream sink;
    struct wave wave;
    wave_open(&wave, any_error(_i));
    any_bytes();
    draw(&wave, 1, wave.bit * 2);
    for (int i = 0; i < BYTES; i++) {
        draw_byte(&wave, bytes[i], 1);
        if (_i % 2 == 1) draw_gap(&wave);
    }
    tp_sink_init(&sink, dut, "out", "data", tp_pause_sink(_i), seed, got, BYTES);
    struct counts counts = play(dut, &wave, &sink, 2000);
    ck_assert(tp_stream_done(&sink));
    tp_compare_words("bytes", bytes, got, BYTES, 1);
    ck_assert_uint_eq(counts.bad, 0);
    ck_assert_uint_eq(counts.lost, 0);
    tp_stream_free(&sink);
    tp_dut_close(dut);
    free(wave.level);
}
END_TEST

START_TEST(uart_drops_bytes_without_a_stop_bit_and_glitches)
{
    uint64_t seed;
    struct tp_dut *dut = open(_i, &seed);
    struct tp_stream sink;
    struct wave wave;
    uint32_t good = 0;
    uint32_t bad = 0;
    wave_open(&wave, any_error(_i));
    draw(&wave, 1, wave.bit * 2);
    while (good < BYTES) {
        uint32_t kind = tp_random_below(&any, 4);
        uint32_t byte = tp_random_below(&any, 256);
        if (kind == 0) {
            // Low for too long, up to a break; then high until the line is believed again.
            draw_byte(&wave, byte, 0);
            draw(&wave, 0, wave.bit * tp_random_below(&any, 20));
            draw(&wave, 1, wave.bit * 2);
            bad++;
        } else if (kind == 1) {
            // A glitch of less than half a bit, less the cycle of sampling.
            uint64_t most = wave.bit / 2 - 2 * FRACTION;
            draw(&wave, 0, most * tp_random_below(&any, 256) / 256);
            draw(&wave, 1, wave.bit);
        } else {
            draw_byte(&wave, byte, 1);
            draw_gap(&wave);
            bytes[good++] = byte;
        }
    }
    tp_sink_init(&sink, dut, "out", "data", tp_pause_sink(_i), seed, got, BYTES);
    struct counts counts = play(dut, &wave, &sink, 2000);
    ck_assert(tp_stream_done(&sink));
    tp_compare_words("bytes", bytes, got, BYTES, 1);
    ck_assert_uint_eq(counts.bad, bad);
    ck_assert_uint_eq(counts.lost, 0);
    tp_stream_free(&sink);
    tp_dut_close(dut);
    free(wave.level);
}
END_TEST

START_TEST(uart_tells_of_bytes_that_find_the_queue_full)
{
    uint64_t seed;
    struct tp_dut *dut = open(_i, &seed);
    struct tp_stream sink;
    struct wave wave;
    uint32_t more = 1 + tp_random_below(&any, 9);
    wave_open(&wave, 0);
    any_bytes();
    draw(&wave, 1, wave.bit * 2);
    for (uint32_t i = 0; i < TP_PARAM_Depth + more; i++) draw_byte(&wave, bytes[i], 1);
    ck_assert_uint_eq(play(dut, &wave, NULL, 200).lost, more);
    // What was inside is whole, and the next bytes are taken again.
    tp_sink_init(&sink, dut, "out", "data", TP_PAUSE_NONE, seed, got, TP_PARAM_Depth + 2);
    wave.cycles = 0;
    wave.end = 0;
    draw(&wave, 1, wave.bit * 10 + TP_PARAM_Depth * FRACTION);
    for (uint32_t i = 0; i < 2; i++) draw_byte(&wave, bytes[TP_PARAM_Depth + i], 1);
    ck_assert_uint_eq(play(dut, &wave, &sink, 200).lost, 0);
    ck_assert(tp_stream_done(&sink));
    tp_compare_words("bytes", bytes, got, TP_PARAM_Depth + 2, 1);
    tp_stream_free(&sink);
    tp_dut_close(dut);
    free(wave.level);
}
END_TEST

// The level in the middle of bit number n of a byte that began in a cycle.
static int bit_at(const struct wave *wave, size_t start, uint32_t n)
{
    uint64_t place = start * FRACTION + nominal_bit() * n + nominal_bit() / 2;
    ck_assert_uint_lt(place / FRACTION, wave->cycles);
    return wave->level[place / FRACTION];
}

// An edge between two bits of a byte lies within a cycle of its place.
static void check_edge(const struct wave *wave, size_t start, uint32_t n)
{
    uint64_t place = (start * FRACTION + nominal_bit() * n) / FRACTION;
    int before = bit_at(wave, start, n - 1);
    int after = bit_at(wave, start, n);
    ck_assert_int_eq(wave->level[place - 2], before);
    ck_assert_int_eq(wave->level[place + 2], after);
}

START_TEST(uart_sends_every_byte)
{
    uint64_t seed;
    struct tp_dut *dut = open(_i, &seed);
    struct tp_stream source;
    struct tp_stream *streams[] = {&source};
    struct wave wave;
    wave_open(&wave, 0);
    any_bytes();
    tp_source_init(&source, dut, "in", "data", tp_pause_source(_i), seed, bytes, BYTES);
    size_t rest = 20 * nominal_bit() / FRACTION;
    while (!tp_stream_done(&source) || rest-- != 0) {
        tp_stream_cycle(dut, streams, 1);
        ck_assert_uint_lt(wave.cycles, WAVE_MAX);
        wave.level[wave.cycles++] = (uint8_t)tp_dut_get(dut, "tx_o");
    }
    size_t place = 0;
    size_t first = 0;
    for (uint32_t i = 0; i < BYTES; i++) {
        while (wave.level[place] != 0) ck_assert_uint_lt(++place, wave.cycles);
        if (i == 0) first = place;
        uint32_t byte = 0;
        ck_assert_int_eq(bit_at(&wave, place, 0), 0);
        for (uint32_t n = 0; n < 8; n++) byte |= (uint32_t)bit_at(&wave, place, n + 1) << n;
        for (uint32_t n = 1; n < 10; n++) check_edge(&wave, place, n);
        ck_assert_int_eq(bit_at(&wave, place, 9), 1);
        got[i] = byte;
        if (tp_pause_source(_i) == TP_PAUSE_NONE) {
            // Back to back, and no drift over all bytes.
            uint64_t due = first + (nominal_bit() * 10 * i) / FRACTION;
            ck_assert_uint_le(place, due + 2);
            ck_assert_uint_ge(place + 2, due);
        }
        place += (nominal_bit() * 19 / 2) / FRACTION;
    }
    tp_compare_words("bytes", bytes, got, BYTES, 1);
    while (place < wave.cycles) ck_assert_int_eq(wave.level[place++], 1);
    tp_stream_free(&source);
    tp_dut_close(dut);
    free(wave.level);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("uart");
    TCase *tcase = tcase_create("line");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, uart_receives_every_byte, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, uart_drops_bytes_without_a_stop_bit_and_glitches, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, uart_tells_of_bytes_that_find_the_queue_full, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, uart_sends_every_byte, 0, TP_PAUSE_COUNT * TP_PAUSE_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}

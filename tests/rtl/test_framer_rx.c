// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_framer_rx hands over every intact frame once, in order and unchanged, drops and
// counts every broken one, and finds the next frame behind garbage.
//
// Random byte streams: frames of all lengths, flipped bits, wrong lengths, garbage with markers in
// it, all pairs of pauses; the reference is a plain parser of docs/link.md over the same bytes.
// Proved for all inputs, but for the CRC, in tests/formal/framer_rx.sby. Not covered: clock speed.

#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "plain_frame.h"
#include "stream.h"

enum { FRAMES = 60, BYTES_MAX = FRAMES * (TP_PLAIN_BYTES_MAX + 40), WORDS_MAX = FRAMES * 64 };

struct material {
    uint8_t bytes[BYTES_MAX];
    uint32_t beats[BYTES_MAX];
    uint32_t byte_count;
    uint32_t frames[FRAMES * 8][3]; /* type, sequence, length */
    uint32_t frame_count;
    uint32_t word_start[FRAMES * 8];  /* words of all frames before */
    uint32_t words[WORDS_MAX * 8][2]; /* data, last */
    uint32_t word_count;
    uint32_t bad;
};

static struct material material;
static uint32_t got_frames[FRAMES * 8][3];
static uint32_t got_words[WORDS_MAX * 8][2];

static void put_garbage(struct material *m, struct tp_random *random)
{
    uint32_t count = tp_random_below(random, 30);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)tp_random_below(random, 256);
        m->bytes[m->byte_count++] = tp_random_chance(random, 16) ? 0xa7 : byte;
    }
}

static uint16_t any_length(struct tp_random *random)
{
    static const uint16_t corners[] = {0, 1, 2, 3, 4, 5, 8, 255, 256};
    if (tp_random_chance(random, 100)) return corners[tp_random_below(random, 9)];
    return (uint16_t)tp_random_below(random, 60);
}

static void put_frame(struct material *m, struct tp_random *random, uint16_t length, int intact)
{
    struct tp_plain_frame frame;
    frame.type = (uint8_t)tp_random_below(random, 256);
    frame.sequence = (uint8_t)tp_random_below(random, 256);
    frame.length = length;
    for (int i = 0; i < frame.length; i++) {
        frame.payload[i] = tp_random_chance(random, 40) ? 0xa7 : (uint8_t)tp_random_u32(random);
    }
    uint8_t *start = m->bytes + m->byte_count;
    uint32_t count = (uint32_t)tp_plain_write(&frame, start);
    if (!intact)
        start[tp_random_below(random, count)] ^= (uint8_t)(1 << tp_random_below(random, 8));
    m->byte_count += count;
}

static void expect(struct material *m)
{
    size_t place = 0;
    struct tp_plain_frame frame;
    while (tp_plain_read(m->bytes, m->byte_count, &place, &frame, &m->bad)) {
        uint32_t *beat = m->frames[m->frame_count];
        beat[0] = frame.type;
        beat[1] = frame.sequence;
        beat[2] = frame.length;
        m->word_start[m->frame_count++] = m->word_count;
        uint32_t words = (frame.length + 3u) / 4u;
        for (uint32_t i = 0; i < words; i++) {
            const uint8_t *b = frame.payload + 4 * i;
            uint32_t *word = m->words[m->word_count++];
            word[0] = b[0] | b[1] * 0x100u | b[2] * 0x10000u | b[3] * 0x1000000u;
            word[1] = i + 1 == words;
        }
    }
    for (uint32_t i = 0; i < m->byte_count; i++) m->beats[i] = m->bytes[i];
}

/* Runs the material through the unit; returns the cycles and counts the broken frames. */
static uint64_t run(uint64_t seed, enum tp_pause source_pause, enum tp_pause sink_pause)
{
    struct material *m = &material;
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_stream in;
    struct tp_stream frames;
    struct tp_stream words;
    tp_source_init(&in, dut, "in", "data", source_pause, seed, m->beats, m->byte_count);
    tp_sink_init(&frames, dut, "frame", "type,sequence,length", sink_pause, seed, got_frames[0],
                 m->frame_count);
    tp_sink_init(&words, dut, "word", "data,last", sink_pause, seed, got_words[0], m->word_count);
    struct tp_stream *streams[] = {&in, &frames, &words};
    struct tp_port *bad = tp_dut_port(dut, "bad_o");
    uint32_t bad_count = 0;
    uint64_t done = 0;
    uint32_t extra = 0;
    while (extra < 600) {
        size_t before = frames.beat_count;
        size_t words_before = words.beat_count;
        tp_stream_cycle(dut, streams, 3);
        bad_count += (uint32_t)tp_port_get(bad);
        if (frames.beat_count > before) ck_assert_uint_eq(words_before, m->word_start[before]);
        ck_assert_uint_lt(tp_dut_cycles(dut), 4000000);
        int all = tp_stream_done(&in) && tp_stream_done(&frames) && tp_stream_done(&words);
        if (all && done == 0) done = tp_dut_cycles(dut);
        if (all) extra++;
    }
    tp_compare_words("frames", m->frames[0], got_frames[0], m->frame_count * 3, 3);
    tp_compare_words("words", m->words[0], got_words[0], m->word_count * 2, 2);
    ck_assert_uint_eq(bad_count, m->bad);
    tp_stream_free(&in);
    tp_stream_free(&frames);
    tp_stream_free(&words);
    tp_dut_close(dut);
    return done;
}

START_TEST(framer_rx_hands_over_what_was_sent)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    for (int i = 0; i < FRAMES; i++) put_frame(&material, &random, any_length(&random), 1);
    expect(&material);
    ck_assert_uint_eq(material.frame_count, FRAMES);
    ck_assert_uint_eq(material.bad, 0);
    run(seed, tp_pause_source(_i), tp_pause_sink(_i));
}
END_TEST

START_TEST(framer_rx_drops_what_is_broken)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_random random;
    tp_random_init(&random, seed, 2);
    for (int i = 0; i < FRAMES; i++) {
        if (tp_random_chance(&random, 80)) put_garbage(&material, &random);
        put_frame(&material, &random, any_length(&random), tp_random_chance(&random, 160));
    }
    expect(&material);
    ck_assert_uint_gt(material.bad, 5);
    ck_assert_uint_gt(material.frame_count, 5);
    run(seed, tp_pause_source(_i), tp_pause_sink(_i));
}
END_TEST

START_TEST(framer_rx_takes_a_byte_per_cycle)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_random random;
    tp_random_init(&random, seed, 3);
    /* Frames of one length: a long one before a short one would have to be handed over first. */
    uint16_t length = any_length(&random);
    if (length == 0) length = 1;
    for (int i = 0; i < FRAMES; i++) put_frame(&material, &random, length, 1);
    expect(&material);
    uint64_t cycles = run(seed, TP_PAUSE_NONE, TP_PAUSE_NONE);
    /* One cycle more per frame for the check, and the last frame has to be handed over. */
    ck_assert_uint_eq(cycles, material.byte_count + FRAMES + 3u * ((length + 3u) / 4u) + 5u);
}
END_TEST

static void clear(void)
{
    memset(&material, 0, sizeof material);
}

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("framer_rx");
    TCase *tcase = tcase_create("frames");
    tcase_add_checked_fixture(tcase, clear, NULL);
    tcase_add_loop_test(tcase, framer_rx_hands_over_what_was_sent, 0,
                        TP_PAUSE_COUNT * TP_PAUSE_COUNT);
    tcase_add_loop_test(tcase, framer_rx_drops_what_is_broken, 0, TP_PAUSE_COUNT * TP_PAUSE_COUNT);
    tcase_add_loop_test(tcase, framer_rx_takes_a_byte_per_cycle, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

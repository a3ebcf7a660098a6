// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_framer_tx writes each frame as docs/link.md says, byte for byte, whatever its
// three neighbours pause, and one byte per cycle when they do not.
//
// Random frames of whole words; the reference writes the frame plainly. Not covered: clock speed.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "plain_frame.h"
#include "stream.h"

enum { FRAMES = 60 };

static uint32_t frames[FRAMES][3];
static uint32_t words[FRAMES * 64];
static uint32_t expected[FRAMES * TP_PLAIN_BYTES_MAX];
static uint32_t got[FRAMES * TP_PLAIN_BYTES_MAX];

static uint64_t run(uint64_t seed, enum tp_pause source_pause, enum tp_pause sink_pause,
                    uint32_t *byte_count)
{
    struct tp_random random;
    tp_random_init(&random, seed, 1);
    uint32_t word_count = 0;
    *byte_count = 0;
    for (int f = 0; f < FRAMES; f++) {
        struct tp_plain_frame frame;
        frame.type = (uint8_t)tp_random_u32(&random);
        frame.sequence = (uint8_t)tp_random_u32(&random);
        frame.length = (uint16_t)(4 * tp_random_below(&random, f % 8 == 0 ? 65 : 8));
        for (int i = 0; i < frame.length; i += 4) {
            uint32_t word = tp_random_u32(&random);
            words[word_count++] = word;
            for (int k = 0; k < 4; k++) frame.payload[i + k] = (uint8_t)(word >> (8 * k));
        }
        frames[f][0] = frame.type;
        frames[f][1] = frame.sequence;
        frames[f][2] = frame.length;
        uint8_t bytes[TP_PLAIN_BYTES_MAX];
        uint32_t count = (uint32_t)tp_plain_write(&frame, bytes);
        for (uint32_t i = 0; i < count; i++) expected[(*byte_count)++] = bytes[i];
    }
    struct tp_dut *dut = tp_dut_open(seed);
    struct tp_stream header;
    struct tp_stream body;
    struct tp_stream out;
    tp_source_init(&header, dut, "frame", "type,sequence,length", source_pause, seed, frames[0],
                   FRAMES);
    tp_source_init(&body, dut, "word", "data", source_pause, seed, words, word_count);
    tp_sink_init(&out, dut, "out", "data", sink_pause, seed, got, *byte_count);
    struct tp_stream *streams[] = {&header, &body, &out};
    uint64_t cycles = tp_stream_run(dut, streams, 3, 1000000);
    tp_compare_words("bytes", expected, got, *byte_count, 1);
    tp_stream_free(&header);
    tp_stream_free(&body);
    tp_stream_free(&out);
    tp_dut_close(dut);
    return cycles;
}

START_TEST(framer_tx_writes_frames)
{
    uint32_t count = 0;
    run(tp_test_seed(_i), tp_pause_source(_i), tp_pause_sink(_i), &count);
}
END_TEST

START_TEST(framer_tx_sends_a_byte_per_cycle)
{
    uint32_t count = 0;
    uint64_t cycles = run(tp_test_seed(_i), TP_PAUSE_NONE, TP_PAUSE_NONE, &count);
    /* One idle cycle between frames and one before the CRC, one register behind the last byte. */
    ck_assert_uint_eq(cycles, count + 2 * FRAMES + 1);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("framer_tx");
    TCase *tcase = tcase_create("frames");
    tcase_add_loop_test(tcase, framer_tx_writes_frames, 0, TP_PAUSE_COUNT * TP_PAUSE_COUNT);
    tcase_add_loop_test(tcase, framer_tx_sends_a_byte_per_cycle, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

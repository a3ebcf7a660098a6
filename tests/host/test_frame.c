// SPDX-License-Identifier: Apache-2.0
//
// Claims about frames on the host's side: every frame survives encoding and decoding, byte by byte;
// every single bit error and every cut is noticed; after any broken bytes the decoder finds the
// next frame. The RTL's framer has tests of its own; the CRC's check value ties both to the
// standard.

#include "frame.h"

#include <string.h>

#include "check_main.h"
#include "random.h"

static struct tp_frame random_frame(struct tp_random *random, uint16_t length)
{
    struct tp_frame frame = {.type = (uint8_t)tp_random_u32(random),
                             .sequence = (uint8_t)tp_random_u32(random),
                             .length = length};
    for (uint16_t i = 0; i < length; i++) {
        frame.payload[i] = (uint8_t)tp_random_u32(random);
    }
    return frame;
}

static bool same(const struct tp_frame *a, const struct tp_frame *b)
{
    return a->type == b->type && a->sequence == b->sequence && a->length == b->length &&
           memcmp(a->payload, b->payload, a->length) == 0;
}

START_TEST(crc_has_the_check_value_of_the_standard)
{
    ck_assert_uint_eq(tp__crc32((const uint8_t *)"123456789", 9), 0xcbf43926u);
    ck_assert_uint_eq(tp__crc32((const uint8_t *)"", 0), 0);
}
END_TEST

START_TEST(every_length_survives)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_frame_decoder decoder = {.count = 0};
    for (uint16_t length = 0; length <= TP_PAYLOAD_MAX; length++) {
        struct tp_frame frame = random_frame(&random, length);
        struct tp_frame got;
        uint8_t bytes[TP_FRAME_BYTES_MAX];
        size_t count = tp__frame_encode(&frame, bytes);
        ck_assert_uint_eq(count, TP_FRAME_OVERHEAD + (size_t)length);
        for (size_t i = 0; i + 1 < count; i++) {
            ck_assert(!tp__frame_decode(&decoder, bytes[i], &got));
        }
        ck_assert(tp__frame_decode(&decoder, bytes[count - 1], &got));
        ck_assert(same(&frame, &got));
    }
    ck_assert_uint_eq(decoder.bad, 0);
}
END_TEST

START_TEST(every_bit_error_is_noticed_and_the_next_frames_arrive)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    struct tp_frame frame = random_frame(&random, 24);
    size_t count = tp__frame_encode(&frame, bytes);
    for (size_t bit = 0; bit < 8 * count; bit++) {
        struct tp_frame_decoder decoder = {.count = 0};
        struct tp_frame got;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        for (size_t i = 0; i < count; i++) {
            ck_assert(!tp__frame_decode(&decoder, bytes[i], &got));
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        // A wrong length may have the decoder wait for bytes; zeros end that, as docs/link.md says.
        for (size_t i = 0; i < TP_FRAME_BYTES_MAX; i++) {
            ck_assert(!tp__frame_decode(&decoder, 0, &got));
        }
        bool arrived = false;
        for (size_t i = 0; i < count; i++) {
            arrived = tp__frame_decode(&decoder, bytes[i], &got);
        }
        ck_assert(arrived);
        ck_assert(same(&frame, &got));
    }
}
END_TEST

START_TEST(noise_never_becomes_a_frame)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_frame_decoder decoder = {.count = 0};
    struct tp_frame got;
    for (uint32_t i = 0; i < 50000; i++) {
        // Markers are frequent, so that the decoder is busy.
        uint8_t byte = tp_random_chance(&random, 16) ? (uint8_t)TP_FRAME_MARKER
                                                     : (uint8_t)tp_random_below(&random, 4);
        ck_assert(!tp__frame_decode(&decoder, byte, &got));
    }
    ck_assert_uint_gt(decoder.bad, 30);
}
END_TEST

START_TEST(numbers_are_little_endian)
{
    uint8_t bytes[8];
    tp__put64(bytes, 0x0807060504030201u);
    for (uint8_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(bytes[i], i + 1u);
    }
    ck_assert_uint_eq(tp__get16(bytes), 0x0201);
    ck_assert_uint_eq(tp__get32(bytes), 0x04030201);
    ck_assert_uint_eq(tp__get64(bytes), 0x0807060504030201u);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("frame");
    TCase *tc = tcase_create("frame");
    tcase_add_test(tc, crc_has_the_check_value_of_the_standard);
    tcase_add_loop_test(tc, every_length_survives, 0, 4);
    tcase_add_loop_test(tc, every_bit_error_is_noticed_and_the_next_frames_arrive, 0, 2);
    tcase_add_loop_test(tc, noise_never_becomes_a_frame, 0, 4);
    tcase_add_test(tc, numbers_are_little_endian);
    suite_add_tcase(suite, tc);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about the host's frames until they are answered: WRITE frames to memories are under way
// together, up to the most that the back end allows, every other frame alone; an answer to a later
// frame sends the earlier ones again, and those first; silence sends all of them again behind
// zeros, a bounded number of times; a frame of the device's thread goes between those of callers,
// but never between a frame and its repetition; what answers nothing is dropped.

#include "link.h"

#include <stdio.h>
#include <string.h>

#include "check_main.h"

static struct tp_link link_under_test;

enum { MOST = 4 };

static void setup(void)
{
    tp__link_start(&link_under_test, MOST, 0);
}

static void push(uint8_t type, uint8_t first_byte)
{
    struct tp_frame frame = {.type = type, .length = 12, .payload = {first_byte}};
    ck_assert(tp__link_has_room(&link_under_test));
    tp__link_push(&link_under_test, &frame);
}

// Lets out what may go and says which frames that are: their sequences, in order.
static size_t sent(uint8_t sequences[TP_LINK_FRAMES_MAX], size_t *zeros)
{
    struct tp_frame_decoder decoder = {.count = 0};
    struct tp_frame frame;
    size_t count = 0;
    tp__link_fill(&link_under_test);
    *zeros = 0;
    for (size_t i = 0; i < link_under_test.out_count; i++) {
        *zeros += decoder.count == 0 && link_under_test.out[i] == 0 ? 1 : 0;
        if (tp__frame_decode(&decoder, link_under_test.out[i], &frame)) {
            sequences[count++] = frame.sequence;
        }
    }
    tp__link_taken(&link_under_test, link_under_test.out_count);
    return count;
}

static void goes(const char *expected)
{
    uint8_t sequences[TP_LINK_FRAMES_MAX];
    char text[4 * TP_LINK_FRAMES_MAX] = "";
    size_t zeros;
    size_t count = sent(sequences, &zeros);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(text + strlen(text), 8, i == 0 ? "%u" : " %u", (unsigned)sequences[i]);
    }
    ck_assert_str_eq(text, expected);
}

static enum tp_link_owner answer(uint8_t type, uint8_t sequence)
{
    const struct tp_frame ack = {
        .type = TP_FRAME_ACK, .sequence = sequence, .length = 4, .payload = {type}};
    return tp__link_answer(&link_under_test, &ack);
}

START_TEST(writes_go_together_and_others_alone)
{
    for (int i = 0; i < 6; i++) push(TP_FRAME_WRITE, TP_SPACE_WEIGHT);
    push(TP_FRAME_SLOT, 0);
    push(TP_FRAME_WRITE, TP_SPACE_PAGE_TABLE);
    push(TP_FRAME_WRITE, TP_SPACE_REGISTER);
    push(TP_FRAME_WRITE, TP_SPACE_GAIN);
    push(TP_FRAME_WRITE, TP_SPACE_GAIN);
    goes("0 1 2 3");
    goes("");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 0), TP_LINK_WRITE);
    goes("4");
    for (uint8_t i = 1; i < 5; i++) ck_assert_int_eq(answer(TP_FRAME_WRITE, i), TP_LINK_WRITE);
    goes("5");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 5), TP_LINK_WRITE);
    goes("6");
    ck_assert_uint_eq(tp__link_waits_for(&link_under_test), TP_FRAME_SLOT);
    ck_assert_int_eq(answer(TP_FRAME_SLOT, 6), TP_LINK_CALLER);
    goes("7");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 7), TP_LINK_WRITE);
    goes("8");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 8), TP_LINK_WRITE);
    goes("9 10");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 9), TP_LINK_WRITE);
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 10), TP_LINK_WRITE);
    ck_assert(!tp__link_is_busy(&link_under_test));
    ck_assert_uint_eq(link_under_test.answered, 11);
    ck_assert_uint_eq(link_under_test.repeated, 0);
}
END_TEST

START_TEST(an_answer_to_a_later_frame_sends_the_earlier_ones_again)
{
    for (int i = 0; i < 5; i++) push(TP_FRAME_WRITE, TP_SPACE_WEIGHT);
    goes("0 1 2 3");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 2), TP_LINK_WRITE);
    goes("0 1 4");
    // Sent later than 3, so it tells of 3 and nothing of 4.
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 1), TP_LINK_WRITE);
    goes("0 3");
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 2), TP_LINK_NOBODY);
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 4), TP_LINK_WRITE);
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 0), TP_LINK_WRITE);
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 3), TP_LINK_WRITE);
    ck_assert(!tp__link_is_busy(&link_under_test));
    ck_assert_uint_eq(link_under_test.repeated, 4);
}
END_TEST

START_TEST(what_answers_nothing_is_dropped)
{
    push(TP_FRAME_RUN, 0);
    ck_assert_int_eq(answer(TP_FRAME_RUN, 0), TP_LINK_NOBODY);  // not even sent
    goes("0");
    ck_assert_int_eq(answer(TP_FRAME_RUN, 1), TP_LINK_NOBODY);
    ck_assert_int_eq(answer(TP_FRAME_SLOT, 0), TP_LINK_NOBODY);
    const struct tp_frame hello = {.type = TP_FRAME_HELLO_REPLY, .length = 40};
    ck_assert_int_eq(tp__link_answer(&link_under_test, &hello), TP_LINK_NOBODY);
    ck_assert_int_eq(answer(TP_FRAME_RUN, 0), TP_LINK_CALLER);
    ck_assert_int_eq(answer(TP_FRAME_RUN, 0), TP_LINK_NOBODY);
    push(TP_FRAME_HELLO, 0);
    goes("1");
    const struct tp_frame second = {.type = TP_FRAME_HELLO_REPLY, .sequence = 1, .length = 40};
    ck_assert_int_eq(tp__link_answer(&link_under_test, &second), TP_LINK_CALLER);
}
END_TEST

START_TEST(silence_repeats_behind_zeros_a_bounded_number_of_times)
{
    uint8_t sequences[TP_LINK_FRAMES_MAX];
    size_t zeros;
    for (int i = 0; i < 3; i++) push(TP_FRAME_WRITE, TP_SPACE_WEIGHT);
    goes("0 1 2");
    for (int i = 0; i < TP_LINK_TRIES; i++) {
        ck_assert(tp__link_repeat(&link_under_test, true));
        ck_assert_uint_eq(sent(sequences, &zeros), 3);
        ck_assert_uint_eq(zeros, TP_FRAME_BYTES_MAX);
        ck_assert_uint_eq(sequences[0], 0);
    }
    // A device that works is not given up.
    ck_assert(tp__link_repeat(&link_under_test, false));
    goes("0 1 2");
    ck_assert(!tp__link_repeat(&link_under_test, true));
    // An answer begins the count anew.
    ck_assert_int_eq(answer(TP_FRAME_WRITE, 0), TP_LINK_WRITE);
    ck_assert(tp__link_repeat(&link_under_test, true));
    // Bytes that the device does not take are not sent twice.
    tp__link_fill(&link_under_test);
    size_t waiting = link_under_test.out_count;
    ck_assert(tp__link_repeat(&link_under_test, true));
    ck_assert_uint_eq(link_under_test.out_count, waiting);
}
END_TEST

START_TEST(own_frames_go_first_but_never_before_a_repetition)
{
    const struct tp_frame cancel = {.type = TP_FRAME_CANCEL, .length = 4};
    push(TP_FRAME_FEED, 0);
    push(TP_FRAME_RUN, 0);
    goes("0");
    tp__link_push_own(&link_under_test, &cancel);
    goes("");
    ck_assert(tp__link_repeat(&link_under_test, true));
    goes("0");
    ck_assert_int_eq(answer(TP_FRAME_FEED, 0), TP_LINK_CALLER);
    goes("128");
    ck_assert(tp__link_repeat(&link_under_test, true));
    goes("128");
    ck_assert_int_eq(answer(TP_FRAME_CANCEL, 128), TP_LINK_OWN);
    goes("1");
    // The thread's next frame waits for those that are under way.
    ck_assert_int_eq(answer(TP_FRAME_RUN, 1), TP_LINK_CALLER);
    for (int i = 0; i < 5; i++) push(TP_FRAME_WRITE, TP_SPACE_WEIGHT);
    goes("2 3 4 5");
    tp__link_push_own(&link_under_test, &cancel);
    goes("");
    for (uint8_t i = 2; i < 6; i++) ck_assert_int_eq(answer(TP_FRAME_WRITE, i), TP_LINK_WRITE);
    goes("129");
    ck_assert_int_eq(answer(TP_FRAME_CANCEL, 129), TP_LINK_OWN);
    goes("6");
}
END_TEST

START_TEST(sequences_of_both_kinds_come_round)
{
    const struct tp_frame cancel = {.type = TP_FRAME_CANCEL, .length = 4};
    char expected[8];
    for (unsigned i = 0; i < 300; i++) {
        push(TP_FRAME_FEED, 0);
        (void)snprintf(expected, sizeof expected, "%u", i % 128);
        goes(expected);
        ck_assert_int_eq(answer(TP_FRAME_FEED, (uint8_t)(i % 128)), TP_LINK_CALLER);
        tp__link_push_own(&link_under_test, &cancel);
        (void)snprintf(expected, sizeof expected, "%u", 128 + i % 128);
        goes(expected);
        ck_assert_int_eq(answer(TP_FRAME_CANCEL, (uint8_t)(128 + i % 128)), TP_LINK_OWN);
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("link");
    TCase *tc = tcase_create("link");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, writes_go_together_and_others_alone);
    tcase_add_test(tc, an_answer_to_a_later_frame_sends_the_earlier_ones_again);
    tcase_add_test(tc, what_answers_nothing_is_dropped);
    tcase_add_test(tc, silence_repeats_behind_zeros_a_bounded_number_of_times);
    tcase_add_test(tc, own_frames_go_first_but_never_before_a_repetition);
    tcase_add_test(tc, sequences_of_both_kinds_come_round);
    suite_add_tcase(suite, tc);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about prompts over several slots, on the emulator: a prompt of any length over 2 to 4
// slots brings what it brings over one, in as few steps as there are slots for it, ascending slots
// with ascending positions, and each step costs what is forecast; also when the queues of the slots
// hold less than the prompt, with a penalty, behind a cancel, beside other sessions. What it
// computed is found by others. A prompt whose logits are wanted, and one of a model too small to
// share steps, has one slot. Slots that another session waits for are given back behind the next
// step.
//
// Not covered: losses on the link (tests/host/test_session_run.c), any order of operations
// (tests/host/test_schedule.c), the simulated RTL (tests/system/test_same_tokens.c).

#include "schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "held_device.h"
#include "made_model.h"

enum {
    VOCAB = 70,
    CONTEXT = 64,
    LAYERS = 3,  // keys and values of all but the first depend on the positions before
    PROMPT_MAX = 45,
    LONG_PROMPT = 58,
    ANSWER = 5,
    SLOTS = 4,
    STEPS_MAX = 4096,
    QUEUE_SHORT = 3
};

static tp_context *context;
static tp_model *model;
static tp_device *device;
static struct tp_step steps[STEPS_MAX];
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- a device that is watched ----

// Called between two exchanges of the device's thread.
static void (*between)(void);

static tp_status exchange(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                          uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *fault)
{
    if (between != NULL) between();
    return tp__backend_emulator.exchange(state, out, out_count, out_taken, in, in_max, in_count,
                                         fault);
}

static void load(uint32_t sessions, uint32_t prefill_slots)
{
    const struct tp_load_options options = {
        .format = TP_FORMAT_Q8, .sessions = sessions, .prefill_slots = prefill_slots};
    OK(tp_device_load(device, model, &options, &error));
}

static void setup(void)
{
    static struct tp_backend watched;
    const struct tp_test_model made = {32, 32, LAYERS, 2, 1, VOCAB, CONTEXT, false, 7};
    watched = tp__backend_emulator;
    watched.exchange = exchange;
    OK(tp_context_create(NULL, &context, &error));
    tp_test_open_made_model(context, &made, false, &model);
    OK(tp__device_open(context, &watched, "watched:small", "small", &device, &error));
    load(1, 1);
}

static void teardown(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
}

// ---- a session ----

struct heard {
    uint32_t tokens[CONTEXT];
    uint32_t count;
    tp_end end;
    uint64_t logits;
    uint32_t positions;  // whose logits came
    uint32_t disorder;
    uint64_t steps;  // of the device meanwhile
    uint64_t processed;
};

static void hear_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct heard *heard = user;
    heard->disorder += position != heard->positions ? 1 : 0;
    heard->positions++;
    for (uint32_t i = 0; i < vocab; i++) {
        heard->logits = heard->logits * 0x9e3779b97f4a7c15u + (uint32_t)logits[i];
    }
}

static tp_session *create(bool wants_logits, struct heard *heard)
{
    const struct tp_session_options options = {.temperature = 1.0f,
                                               .seed = 3,
                                               .repetition_penalty = 1.7f,
                                               .ignore_eos = true,
                                               .on_logits = wants_logits ? hear_logits : NULL,
                                               .user = heard};
    tp_session *session = NULL;
    *heard = (struct heard){.count = 0};
    OK(tp_session_create(device, &options, &session, &error));
    return session;
}

static void feed(tp_session *session, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t token = (first + 11 * i * i + 3 * i) % VOCAB;
        OK(tp_session_feed(session, &token, 1, &error));
    }
}

static void read_all(tp_session *session, struct heard *heard)
{
    struct tp_token token;
    do {
        OK(tp_session_read(session, &token, -1, &error));
        if (token.end == TP_END_NONE) heard->tokens[heard->count++] = token.id;
    } while (token.end == TP_END_NONE);
    heard->end = token.end;
}

// A prompt that no page has yet, and that has other tokens than a shorter one: what is in pages
// from before is wrong.
static void run(uint32_t prompt, uint32_t answer, struct heard *heard)
{
    struct tp_device_statistics before;
    struct tp_device_statistics after;
    tp_session *session = create(false, heard);
    pthread_mutex_lock(&device->mutex);
    tp__pages_forget(&device->pages);
    pthread_mutex_unlock(&device->mutex);
    OK(tp_device_get_statistics(device, &before, &error));
    feed(session, prompt, prompt);
    OK(tp_session_generate(session, answer, &error));
    read_all(session, heard);
    if (answer == 0) {
        // What was only fed is there for what comes then.
        ck_assert_int_eq(heard->end, TP_END_FED);
        feed(session, 9, 1);
        OK(tp_session_generate(session, ANSWER, &error));
        read_all(session, heard);
    }
    OK(tp_device_get_statistics(device, &after, &error));
    heard->steps = after.steps - before.steps;
    heard->processed = after.tokens - before.tokens;
    tp_test_check_device(device);
    tp_session_destroy(session);
}

static uint32_t steps_of(uint32_t positions, uint32_t slots)
{
    uint32_t most = positions / 4;  // four tokens for each slot
    most = most < slots ? most : slots;
    return most == 0 ? positions : (positions + most - 1) / most;
}

// ---- the tests ----

// Slots in the order of positions, each step as it is forecast. Returns how many had several.
static uint32_t check_steps(uint32_t sessions, uint32_t prefill_slots)
{
    const struct tp_load_options options = {
        .format = TP_FORMAT_Q8, .sessions = sessions, .prefill_slots = prefill_slots};
    struct tp_device_info info;
    tp_forecast *forecast = NULL;
    size_t items = 0;
    uint32_t several = 0;
    OK(tp_device_get_info(device, &info));
    OK(tp_forecast_create(model, &info, &options, &forecast, &error));
    size_t count = tp_device_recorded(device);
    ck_assert_uint_lt(count, STEPS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t position = UINT32_MAX;
        uint32_t slots = 0;
        for (uint32_t s = 0; s < SLOTS; s++) {
            if ((steps[i].active >> s & 1u) == 0) continue;
            ck_assert(slots == 0 || steps[i].positions[s] == position + 1);
            position = steps[i].positions[s];
            slots++;
        }
        several += slots > 1 ? 1 : 0;
        ck_assert_uint_le(slots, prefill_slots);
        ck_assert(slots == 1 || steps[i].logits == 0);
        ck_assert_uint_eq(tp_forecast_step(forecast, &steps[i], NULL, 0, &items),
                          steps[i].predicted);
    }
    tp_forecast_destroy(forecast);
    return several;
}

START_TEST(a_prompt_over_several_slots_is_what_it_is_over_one)
{
    static struct heard one[PROMPT_MAX + 1];
    const uint32_t slots = 2 + (uint32_t)_i % 3;
    const uint32_t answer = _i < 3 ? ANSWER : 0;
    struct heard heard;
    load(1, 1);
    for (uint32_t n = 1; n <= PROMPT_MAX; n++) {
        run(n, answer, &one[n]);
        ck_assert_uint_eq(one[n].steps, one[n].processed);
    }
    // The further slots are beyond those that sessions take turns in, or among them.
    const uint32_t sessions = _i % 2 == 0 ? 1 : SLOTS;
    load(sessions, slots);
    OK(tp_device_record(device, steps, STEPS_MAX, &error));
    for (uint32_t n = 1; n <= PROMPT_MAX; n++) {
        run(n, answer, &heard);
        ck_assert_uint_eq(heard.count, ANSWER);
        ck_assert_msg(memcmp(heard.tokens, one[n].tokens, sizeof heard.tokens) == 0,
                      "prompt of %u tokens, %u slots: other tokens", n, slots);
        ck_assert_uint_eq(heard.processed, one[n].processed);
        uint32_t quiet = answer == 0 ? n : n - 1;
        ck_assert_uint_eq(heard.steps, steps_of(quiet, slots) + ANSWER);
    }
    ck_assert_uint_gt(check_steps(sessions, slots), PROMPT_MAX);
}
END_TEST

START_TEST(a_prompt_goes_through_short_queues_part_by_part)
{
    struct heard one;
    struct heard heard;
    run(LONG_PROMPT, ANSWER, &one);
    load(SLOTS, 0);
    device->queue_max = QUEUE_SHORT;
    run(LONG_PROMPT, ANSWER, &heard);
    ck_assert_mem_eq(heard.tokens, one.tokens, sizeof one.tokens);
    ck_assert_uint_eq(heard.processed, LONG_PROMPT + ANSWER - 1);
    // Four parts of all queues; then nine positions are left for two queues, then three for one.
    ck_assert_uint_eq(heard.steps, 6 * QUEUE_SHORT + ANSWER);
}
END_TEST

START_TEST(what_a_prompt_computed_is_found)
{
    struct heard first;
    struct heard second;
    struct tp_session_statistics facts;
    load(SLOTS, 0);
    run(PROMPT_MAX, ANSWER, &first);
    tp_session *session = create(false, &second);
    feed(session, PROMPT_MAX, PROMPT_MAX);
    OK(tp_session_generate(session, ANSWER, &error));
    read_all(session, &second);
    ck_assert_mem_eq(second.tokens, first.tokens, sizeof first.tokens);
    tp_session_get_statistics(session, &facts);
    ck_assert_uint_eq(facts.prefix_tokens, PROMPT_MAX / TP_PAGE * TP_PAGE);
    tp_session_destroy(session);
}
END_TEST

START_TEST(who_wants_logits_has_one_slot)
{
    struct heard expected;
    struct heard heard;
    for (int i = 0; i < 2; i++) {
        load(SLOTS, i == 0 ? 1 : 0);
        OK(tp_device_record(device, steps, STEPS_MAX, &error));
        tp_session *session = create(true, i == 0 ? &expected : &heard);
        feed(session, 5, PROMPT_MAX);
        OK(tp_session_generate(session, 0, &error));
        read_all(session, i == 0 ? &expected : &heard);
        tp_session_destroy(session);
        ck_assert_uint_eq(tp_device_recorded(device), PROMPT_MAX);
    }
    ck_assert_uint_eq(heard.positions, PROMPT_MAX);
    ck_assert_uint_eq(heard.disorder, 0);
    ck_assert(heard.logits == expected.logits);
}
END_TEST

START_TEST(as_many_slots_as_asked_for_and_as_there_are)
{
    static const uint32_t asked[] = {0, 1, 2, SLOTS, SLOTS + 1, 1000};
    static const uint32_t got[] = {SLOTS, 1, 2, SLOTS, SLOTS, SLOTS};
    struct tp_load_info info;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        load(1, asked[i]);
        OK(tp_device_get_load(device, &info, &error));
        ck_assert_uint_eq(info.prefill_slots, got[i]);
        ck_assert_uint_eq(info.sessions, 1);
    }
    // Rows of x come too quickly for slots to follow each other.
    const struct tp_test_model made = {8, 32, 1, 1, 1, VOCAB, CONTEXT, false, 7};
    tp_model_close(model);
    tp_test_open_made_model(context, &made, false, &model);
    load(1, 0);
    OK(tp_device_get_load(device, &info, &error));
    ck_assert_uint_eq(info.prefill_slots, 1);
}
END_TEST

// ---- beside others ----

static tp_session *newcomer;
static tp_session *prompter;
static uint32_t enter_at;  // positions of the prompt
static size_t entered_at;  // steps by then

static void enter(void)
{
    pthread_mutex_lock(&device->mutex);
    bool is_due = newcomer != NULL && prompter->running && prompter->processed >= enter_at;
    entered_at = is_due ? device->step_count : entered_at;
    pthread_mutex_unlock(&device->mutex);
    if (is_due) {
        tp_session *session = newcomer;
        newcomer = NULL;
        OK(tp_session_generate(session, ANSWER, &error));
    }
}

START_TEST(slots_that_another_session_waits_for_are_given_back)
{
    enum { CANCELS = 2 * SLOTS };  // steps while a CANCEL for each slot is on its way
    struct heard expected[2];
    struct heard heard[2];
    run(LONG_PROMPT, ANSWER, &expected[0]);
    run(1, ANSWER, &expected[1]);
    load(SLOTS, 0);
    for (enter_at = 4; enter_at < 29; enter_at += 4) {
        pthread_mutex_lock(&device->mutex);
        tp__pages_forget(&device->pages);
        pthread_mutex_unlock(&device->mutex);
        OK(tp_device_record(device, steps, STEPS_MAX, &error));
        prompter = create(false, &heard[0]);
        tp_session *session = create(false, &heard[1]);
        feed(prompter, LONG_PROMPT, LONG_PROMPT);
        feed(session, 1, 1);
        newcomer = session;
        between = enter;
        OK(tp_session_generate(prompter, ANSWER, &error));
        read_all(prompter, &heard[0]);
        between = NULL;
        ck_assert_ptr_null(newcomer);
        read_all(session, &heard[1]);
        for (int i = 0; i < 2; i++) {
            ck_assert_mem_eq(heard[i].tokens, expected[i].tokens, sizeof heard[i].tokens);
        }
        // Its first step is the first behind the beginning that has position 0.
        size_t first = entered_at;
        bool is_first = false;
        while (!is_first && ++first < tp_device_recorded(device)) {
            for (uint32_t s = 0; s < SLOTS; s++) {
                bool active = (steps[first].active >> s & 1u) != 0;
                is_first = is_first || (active && steps[first].positions[s] == 0);
            }
        }
        ck_assert(is_first);
        ck_assert_uint_le(first - entered_at, 1 + CANCELS);
        // The prompt goes on in the slots that are left.
        uint32_t both = 0;
        for (size_t i = first; i < tp_device_recorded(device); i++) {
            both += (steps[i].active & (steps[i].active - 1)) != 0 ? 1 : 0;
        }
        ck_assert_uint_gt(both, 4);
        tp_session_destroy(prompter);
        tp_session_destroy(session);
        tp_test_check_device(device);
    }
}
END_TEST

// Two prompts and a session that samples, all at once: the prompts share what is left.
START_TEST(prompts_share_the_slots_that_are_free)
{
    struct heard expected[3];
    struct heard heard[3];
    static const uint32_t prompts[3] = {1, 40, 45};
    tp_session *sessions[3];
    for (int i = 0; i < 3; i++) run(prompts[i], ANSWER, &expected[i]);
    load(SLOTS, 0);
    OK(tp_device_record(device, steps, STEPS_MAX, &error));
    tp_test_pause_device(device, true);
    for (int i = 0; i < 3; i++) {
        sessions[i] = create(false, &heard[i]);
        feed(sessions[i], prompts[i], prompts[i]);
        OK(tp_session_generate(sessions[i], ANSWER, &error));
    }
    tp_test_pause_device(device, false);
    for (int i = 0; i < 3; i++) {
        read_all(sessions[i], &heard[i]);
        ck_assert_mem_eq(heard[i].tokens, expected[i].tokens, sizeof heard[i].tokens);
        tp_session_destroy(sessions[i]);
    }
    uint32_t most = 0;
    for (size_t i = 0; i < tp_device_recorded(device); i++) {
        uint32_t slots = 0;
        for (uint32_t s = 0; s < SLOTS; s++) slots += steps[i].active >> s & 1u;
        most = slots > most ? slots : most;
    }
    ck_assert_uint_ge(most, 3);
    tp_test_check_device(device);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("prefill");
    TCase *tc = tcase_create("prefill");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, a_prompt_over_several_slots_is_what_it_is_over_one, 0, 6);
    tcase_add_test(tc, a_prompt_goes_through_short_queues_part_by_part);
    tcase_add_test(tc, what_a_prompt_computed_is_found);
    tcase_add_test(tc, who_wants_logits_has_one_slot);
    tcase_add_test(tc, as_many_slots_as_asked_for_and_as_there_are);
    tcase_add_test(tc, slots_that_another_session_waits_for_are_given_back);
    tcase_add_test(tc, prompts_share_the_slots_that_are_free);
    suite_add_tcase(suite, tc);
    return suite;
}

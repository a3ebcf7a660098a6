// SPDX-License-Identifier: Apache-2.0
//
// Claims about sessions on a bad link, on the emulator: whatever single bit is flipped, whatever
// bytes are cut, doubled or put in between, in either direction and at any place of a session, it
// brings the same tokens, log probabilities and logits, each once, and ends for the same reason;
// so it does when whole frames are lost, doubled or change places. Under faults at random it
// does, or ends with one error. Old frames that come again, entries of page tables and runs, damage
// no keys and values, and an old CREDIT stops nothing. Silence, noise and a pulled cable end with
// one error after a bounded number of bytes. A session that shares steps with the damaged one is
// not disturbed. A device that another program left in the middle of anything is taken over.
//
// TP_EVERY=1 takes every place where a sample is taken otherwise (make test-deep). Not covered: the
// simulated RTL (tests/system/test_link_faults.c).
//
// TP_TIME_LIMIT_S: 7200

#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "faulty_link.h"
#include "heard_session.h"
#include "held_device.h"
#include "random.h"

static tp_context *context;
static tp_model *model;
static tp_device *device;
static struct tp_error error;

enum { PREFILL_MIN = 4 };  // else so short a prompt has one slot behind such a link

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- a device behind the link ----

static void open_device(const struct tp_backend *backend)
{
    tp_test_link_start();
    OK(tp__device_open(context, backend, "faulty:small", "small", &device, &error));
    device->prefill_min = PREFILL_MIN;
    tp_heard_load(device, model);
}

static void setup(void)
{
    OK(tp_context_create(NULL, &context, &error));
    tp_heard_open_model(context, &model);
    open_device(&tp_test_faulty_emulator);
}

static void teardown(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
    tp_test_link_end();
}

// ---- references ----

static struct tp_heard reference[TP_HEARD_KINDS];

// So that each session computes its prompt.
static void forget_pages(void)
{
    pthread_mutex_lock(&device->mutex);
    tp__pages_forget(&device->pages);
    pthread_mutex_unlock(&device->mutex);
}

// Puts keys and values of other tokens into the pages that are taken next: what is not computed
// again is wrong.
static void spoil_pages(void)
{
    const struct tp_session_options options = {.ignore_eos = true};
    struct tp_token token;
    tp_session *session = NULL;
    forget_pages();
    tp_test_link_start();
    OK(tp_session_create(device, &options, &session, &error));
    for (uint32_t i = 0; i < TP_HEARD_CONTEXT; i++) {
        const uint32_t other = (7 * i + 2) % TP_HEARD_VOCAB;
        OK(tp_session_feed(session, &other, 1, &error));
    }
    OK(tp_session_generate(session, 0, &error));
    OK(tp_session_read(session, &token, -1, &error));
    ck_assert_int_eq(token.end, TP_END_FED);
    tp_session_destroy(session);
    forget_pages();
}

static void run_session(enum tp_heard_kind kind, struct tp_heard *heard)
{
    forget_pages();
    tp_heard_run(device, kind, reference[TP_HEARD_PLAIN].tokens[3], heard);
}

static void make_references(void)
{
    for (int kind = 0; kind < TP_HEARD_KINDS; kind++) {
        run_session(kind, &reference[kind]);
        OK(reference[kind].status);
        ck_assert_uint_eq(reference[kind].disorder, 0);
    }
    ck_assert_uint_eq(reference[TP_HEARD_PLAIN].count, TP_HEARD_TOKENS + 2);
    ck_assert_uint_eq(reference[TP_HEARD_RICH].positions, TP_HEARD_PROMPT + TP_HEARD_TOKENS + 1);
}

// The bytes of a session of this kind on a sound link.
static struct tp_capture captured[TP_WAYS];

static void capture(int kind)
{
    struct tp_heard heard;
    tp_test_link_start();
    run_session(kind, &heard);
    ck_assert(tp_heard_same(&heard, &reference[kind]));
    for (int way = 0; way < TP_WAYS; way++) captured[way] = *tp_test_link_captured(way);
}

// ---- single faults ----

static uint64_t faults;

// One session with one fault.
static void damage(int kind, const struct tp_edit *edit)
{
    struct tp_heard heard;
    if (kind == TP_HEARD_LONG) spoil_pages();
    tp_test_link_start();
    tp_test_link_edit(edit);
    run_session(kind, &heard);
    ck_assert_msg(tp_heard_same(&heard, &reference[kind]),
                  "kind %d, way %d, byte %zu: flip %02x, %zu removed, %zu again, %zu inserted: %u "
                  "tokens, end %s, %s",
                  kind, edit->way, edit->at, edit->flip, edit->remove, edit->again, edit->insert,
                  heard.count, tp_end_name(heard.end),
                  heard.status == TP_OK ? "no error" : heard.error.text);
    faults++;
}

// Takes one of `stride` places, another one of each group with each seed; every one when asked to.
static size_t stride_of(size_t stride)
{
    const char *every = getenv("TP_EVERY");
    return every != NULL && every[0] == '1' ? 1 : stride;
}

static void flip_bits(int kind, size_t stride, struct tp_random *random)
{
    stride = stride_of(stride);
    for (int way = 0; way < TP_WAYS; way++) {
        for (size_t first = 0; first < 8 * captured[way].count; first += stride) {
            size_t bit = first + (stride == 1 ? 0 : tp_random_below(random, (uint32_t)stride));
            if (bit >= 8 * captured[way].count) continue;
            const struct tp_edit edit = {
                .way = way, .at = bit / 8, .flip = (uint8_t)(1u << bit % 8)};
            damage(kind, &edit);
        }
    }
}

struct place {
    size_t at;
    size_t count;
    uint8_t type;
};

static size_t find_frames(const struct tp_capture *bytes, struct place *places, size_t max)
{
    struct tp_frame_decoder decoder = {.count = 0};
    struct tp_frame frame;
    size_t found = 0;
    for (size_t i = 0; i < bytes->count; i++) {
        if (tp__frame_decode(&decoder, bytes->bytes[i], &frame)) {
            ck_assert_uint_lt(found, max);
            size_t count = TP_FRAME_OVERHEAD + (size_t)frame.length;
            places[found++] = (struct place){i + 1 - count, count, frame.type};
        }
    }
    return found;
}

// Frames that end early, at any of their bytes.
static void truncate_frames(enum tp_heard_kind kind, size_t stride, struct tp_random *random)
{
    static struct place places[256];
    stride = stride_of(stride);
    for (int way = 0; way < TP_WAYS; way++) {
        size_t found = find_frames(&captured[way], places, 256);
        for (size_t i = 0; i < found; i++) {
            for (size_t first = tp_random_below(random, (uint32_t)stride); first < places[i].count;
                 first += stride) {
                const struct tp_edit edit = {
                    .way = way, .at = places[i].at + first, .remove = places[i].count - first};
                damage(kind, &edit);
            }
        }
    }
}

// Cuts up to 90 bytes, so that not all repetitions of an answer are cut too, or doubles or inserts
// up to 300.
static void damage_bytes(int kind, size_t stride, struct tp_random *random)
{
    stride = stride_of(stride);
    for (int way = 0; way < TP_WAYS; way++) {
        for (size_t at = tp_random_below(random, (uint32_t)stride); at < captured[way].count;
             at += stride) {
            uint32_t what = tp_random_below(random, 3);
            uint32_t most = tp_random_chance(random, 128) != 0 ? 1 : what == 0 ? 90 : 300;
            size_t count = 1 + tp_random_below(random, most);
            struct tp_edit edit = {.way = way, .at = at};
            edit.remove = what == 0 ? count : 0;
            edit.again = what == 1 ? count : 0;
            edit.insert = what == 2 ? count : 0;
            for (size_t i = 0; i < edit.insert; i++) {
                bool marks = tp_random_chance(random, 16) != 0;
                edit.bytes[i] = marks ? TP_FRAME_MARKER : (uint8_t)tp_random_u32(random);
            }
            damage(kind, &edit);
        }
    }
}

static const struct {
    int kind;
    size_t flip_stride;
    size_t bytes_stride;
} samples[] = {{TP_HEARD_PLAIN, 10, 5},
               {TP_HEARD_RICH, 180, 50},
               {TP_HEARD_STOPPED, 24, 7},
               {TP_HEARD_LONG, 40, 9}};

START_TEST(any_flipped_bit_changes_nothing)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    make_references();
    capture(samples[_i].kind);
    flip_bits(samples[_i].kind, samples[_i].flip_stride, &random);
    printf("# %llu flipped bits of a session of kind %d: all found, session intact\n",
           (unsigned long long)faults, samples[_i].kind);
    ck_assert_uint_ge(faults, 180);
}
END_TEST

START_TEST(any_bytes_cut_doubled_or_inserted_change_nothing)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    make_references();
    capture(samples[_i].kind);
    truncate_frames(samples[_i].kind, samples[_i].bytes_stride, &random);
    damage_bytes(samples[_i].kind, samples[_i].bytes_stride, &random);
    printf("# %llu truncations, cuts and insertions in a session of kind %d: all found, session "
           "intact\n",
           (unsigned long long)faults, samples[_i].kind);
    ck_assert_uint_ge(faults, 100);
}
END_TEST

// ---- whole frames ----

START_TEST(any_frame_lost_doubled_or_out_of_place_changes_nothing)
{
    static struct place places[256];
    int kind = _i;
    bool seen[256] = {false};
    make_references();
    capture(kind);
    for (int way = 0; way < TP_WAYS; way++) {
        size_t found = find_frames(&captured[way], places, 256);
        for (size_t i = 0; i < found; i++) {
            size_t end = places[i].at + places[i].count;
            const struct tp_edit lost = {.way = way, .at = places[i].at, .remove = places[i].count};
            const struct tp_edit doubled = {.way = way, .at = end, .again = places[i].count};
            seen[places[i].type] = true;
            damage(kind, &lost);
            damage(kind, &doubled);
            // The frame behind it comes first: of the device several may be on their way.
            if (way == TP_TO_HOST && i + 1 < found && places[i].type >= TP_FRAME_TOKEN &&
                places[i + 1].type >= TP_FRAME_TOKEN) {
                const struct tp_edit swapped = {.way = way,
                                                .at = places[i].at,
                                                .hold = places[i].count,
                                                .until = places[i + 1].count};
                damage(kind, &swapped);
            }
        }
    }
    static const uint8_t types[] = {TP_FRAME_SLOT,  TP_FRAME_FEED, TP_FRAME_RUN, TP_FRAME_ACK,
                                    TP_FRAME_TOKEN, TP_FRAME_STEP, TP_FRAME_DONE};
    static const uint8_t rich[] = {TP_FRAME_RECENT, TP_FRAME_LOGITS, TP_FRAME_CANDIDATES};
    for (size_t i = 0; i < sizeof types; i++) ck_assert(seen[types[i]]);
    for (size_t i = 0; kind == TP_HEARD_RICH && i < sizeof rich; i++) ck_assert(seen[rich[i]]);
}
END_TEST

// ---- several faults ----

START_TEST(faults_at_random_change_nothing_or_end_with_one_error)
{
    static const uint32_t one_in[] = {1000, 300, 100};
    uint32_t intact = 0;
    uint32_t failed = 0;
    uint32_t sessions = stride_of(2) == 1 ? 400 : 40;
    uint64_t recoveries = 0;
    uint64_t repeated = 0;
    make_references();
    for (uint32_t i = 0; i < sessions; i++) {
        struct tp_heard heard;
        int kind = (int)(i % TP_HEARD_KINDS);
        tp_test_link_start();
        tp_test_link_random(tp_test_seed(_i) * 1000 + i, one_in[_i]);
        run_session(kind, &heard);
        if (heard.status == TP_OK) {
            ck_assert_msg(tp_heard_same(&heard, &reference[kind]), "session %u", i);
            intact++;
            continue;
        }
        failed++;
        ck_assert_msg(heard.status == TP_ERROR_LINK || heard.status == TP_ERROR_TIMEOUT,
                      "session %u: %s", i, heard.error.text);
        ck_assert_ptr_null(strchr(heard.error.text, '\n'));
        // What had come by then was right.
        ck_assert_mem_eq(heard.tokens, reference[kind].tokens,
                         heard.count * sizeof heard.tokens[0]);
        struct tp_device_statistics facts;
        ck_assert_int_eq(tp_device_get_statistics(device, &facts, &error), heard.status);
        ck_assert_str_eq(error.text, heard.error.text);
        tp_device_close(device);
        open_device(&tp_test_faulty_emulator);
    }
    struct tp_device_statistics facts;
    tp_test_link_start();
    OK(tp_device_get_statistics(device, &facts, &error));
    recoveries += facts.recoveries;
    repeated += facts.frames_repeated;
    printf("# one byte in %u: %u sessions intact, %u ended with an error; at last %llu runs begun "
           "anew, %llu frames repeated\n",
           one_in[_i], intact, failed, (unsigned long long)recoveries,
           (unsigned long long)repeated);
    ck_assert_uint_gt(recoveries + repeated, 0);
    ck_assert_uint_gt(intact, sessions / 8);
    if (one_in[_i] == 1000) ck_assert_uint_eq(failed, 0);
}
END_TEST

// A link that nothing holds back: steps need credit, and its frames get lost like others.
START_TEST(faults_at_random_where_steps_need_credit_change_nothing)
{
    struct tp_heard heard;
    uint32_t credits = 0;
    make_references();
    tp_device_close(device);
    open_device(&tp_test_faulty_persistent);
    for (int i = 0; i < 40; i++) {
        int kind = i % TP_HEARD_KINDS;
        tp_test_link_start();
        tp_test_link_random(tp_test_seed(_i) * 1000 + (uint64_t)i, i % 2 == 0 ? 0 : 1000);
        run_session(kind, &heard);
        ck_assert_msg(tp_heard_same(&heard, &reference[kind]), "kind %d: %u tokens, end %s, %s",
                      kind, heard.count, tp_end_name(heard.end),
                      heard.status == TP_OK ? "no error" : heard.error.text);
        const struct tp_capture *sent = tp_test_link_captured(TP_TO_DEVICE);
        struct tp_frame_decoder decoder = {.count = 0};
        struct tp_frame frame;
        for (size_t at = 0; at < sent->count; at++) {
            bool is_whole = tp__frame_decode(&decoder, sent->bytes[at], &frame);
            credits += is_whole && frame.type == TP_FRAME_CREDIT ? 1 : 0;
        }
    }
    ck_assert_uint_ge(credits, 40);
    tp_device_close(device);
    open_device(&tp_test_faulty_emulator);
}
END_TEST

START_TEST(loading_is_repeated_where_it_was_damaged)
{
    const struct tp_load_options load = {.format = TP_FORMAT_Q8, .sessions = 4};
    struct tp_heard heard;
    make_references();
    tp_device_close(device);
    OK(tp__device_open(context, _i % 2 == 0 ? &tp_test_faulty_emulator : &tp_test_faulty_persistent,
                       "faulty:small", "small", &device, &error));
    tp_test_link_random(tp_test_seed(_i), 2000);
    OK(tp_device_load(device, model, &load, &error));
    tp_test_link_start();
    struct tp_device_statistics facts;
    OK(tp_device_get_statistics(device, &facts, &error));
    ck_assert_uint_gt(facts.frames_bad, 0);
    ck_assert_uint_gt(facts.frames_repeated, 0);
    for (int kind = 0; kind < TP_HEARD_KINDS; kind++) {
        run_session(kind, &heard);
        ck_assert_msg(tp_heard_same(&heard, &reference[kind]), "kind %d: %u tokens, end %s, %s",
                      kind, heard.count, tp_end_name(heard.end),
                      heard.status == TP_OK ? "no error" : heard.error.text);
    }
}
END_TEST

// ---- several sessions ----

// Two sessions in the same steps, or one after the other, with a fault at some place.
static void run_two(const enum tp_heard_kind kinds[2], struct tp_heard heard[2])
{
    tp_session *sessions[2];
    forget_pages();
    for (int i = 0; i < 2; i++) {
        heard[i] = (struct tp_heard){.count = 0};
        const struct tp_session_options options = tp_heard_options(device, kinds[i], &heard[i]);
        OK(tp_session_create(device, &options, &sessions[i], &error));
        tp_heard_feed(sessions[i], kinds[i]);
    }
    for (int i = 0; i < 2; i++) OK(tp_session_generate(sessions[i], TP_HEARD_TOKENS, &error));
    for (int i = 0; i < 2; i++) tp_heard_read(sessions[i], &heard[i]);
    for (int i = 0; i < 2; i++) tp_session_destroy(sessions[i]);
}

static void damage_two(const enum tp_heard_kind kinds[2], uint64_t seed)
{
    struct tp_heard alone[2];
    struct tp_heard heard[2];
    struct tp_random random;
    tp_random_init(&random, seed, 0);
    tp_test_link_start();
    run_two(kinds, alone);
    size_t count = tp_test_link_captured(TP_TO_HOST)->count;
    for (int i = 0; i < 60; i++) {
        struct tp_edit edit = {.way = TP_TO_HOST, .at = tp_random_below(&random, (uint32_t)count)};
        edit.remove = 1 + tp_random_below(&random, 60);
        spoil_pages();
        tp_test_link_start();
        tp_test_link_edit(&edit);
        run_two(kinds, heard);
        for (int s = 0; s < 2; s++) {
            OK(heard[s].status);
            ck_assert_msg(tp_heard_same(&heard[s], &alone[s]), "session %d, byte %zu", s, edit.at);
        }
    }
}

START_TEST(sessions_that_share_steps_stay_themselves)
{
    const enum tp_heard_kind kinds[2] = {TP_HEARD_PLAIN, TP_HEARD_RICH};
    damage_two(kinds, tp_test_seed(_i));
}
END_TEST

// ---- frames of before ----

// A frame of the host as it was sent once, with a sound CRC.
static void insert_frame(struct tp_edit *edit, const struct tp_frame *frame)
{
    edit->insert = tp__frame_encode(frame, edit->bytes);
}

// Whatever the link brings again, at any border between two frames of a session.
static void bring_again(enum tp_heard_kind kind, const struct tp_frame *frame)
{
    static struct place places[256];
    capture(kind);
    size_t found = find_frames(&captured[TP_TO_DEVICE], places, 256);
    for (size_t i = 0; i < found; i++) {
        struct tp_edit edit = {.way = TP_TO_DEVICE, .at = places[i].at};
        insert_frame(&edit, frame);
        damage(kind, &edit);
    }
}

START_TEST(an_old_page_table_or_run_corrupts_nothing)
{
    struct tp_device_statistics before;
    struct tp_device_statistics after;
    struct tp_frame frame = {.type = TP_FRAME_WRITE, .sequence = 0xf0, .length = 12};
    make_references();
    OK(tp_device_get_statistics(device, &before, &error));
    // An entry of another session in each slot; then a run of it.
    frame.payload[0] = TP_SPACE_PAGE_TABLE;
    for (uint32_t slot = 0; slot < 2; slot++) {
        tp__put32(frame.payload + 4, slot * 4096);
        tp__put32(frame.payload + 8, 31);
        bring_again((enum tp_heard_kind)_i, &frame);
    }
    frame = (struct tp_frame){.type = TP_FRAME_RUN, .sequence = 0xf0, .length = 8};
    tp__put32(frame.payload + 4, 3);
    bring_again((enum tp_heard_kind)_i, &frame);
    frame = (struct tp_frame){.type = TP_FRAME_FEED, .sequence = 0xf0, .length = 6};
    tp__put32(frame.payload + 2, 0x00070007);
    bring_again((enum tp_heard_kind)_i, &frame);
    tp_test_link_start();
    OK(tp_device_get_statistics(device, &after, &error));
    ck_assert_uint_gt(after.recoveries, before.recoveries + 10);
}
END_TEST

START_TEST(an_old_credit_stops_nothing)
{
    // Before all steps of the device.
    const struct tp_frame frame = {
        .type = TP_FRAME_CREDIT, .sequence = 0xf0, .length = 4, .payload = {1}};
    make_references();
    tp_device_close(device);
    open_device(&tp_test_faulty_persistent);
    bring_again((enum tp_heard_kind)_i, &frame);
}
END_TEST

// ---- cancel ----

static uint32_t cancel_after;
static tp_session *cancelled;

static void cancel_in_callback(void *user, const struct tp_token *token)
{
    struct tp_heard *heard = user;
    if (token->end == TP_END_NONE) {
        heard->tokens[heard->count++] = token->id;
        if (heard->count == cancel_after) OK(tp_session_cancel(cancelled, &error));
    } else {
        heard->end = token->end;
    }
}

START_TEST(cancel_ends_a_run_also_in_the_middle_of_a_loss)
{
    uint32_t ended = 0;
    make_references();
    tp_test_link_start();
    for (size_t at = 0; at < 700; at += 7) {
        struct tp_heard heard = {.count = 0};
        struct tp_session_options options = tp_heard_options(device, TP_HEARD_PLAIN, &heard);
        options.on_token = cancel_in_callback;
        options.user = &heard;
        cancel_after = 2 + (uint32_t)(at % 3);
        const struct tp_edit edit = {.way = TP_TO_HOST, .at = at, .remove = 40};
        tp_test_link_start();
        tp_test_link_edit(&edit);
        OK(tp_session_create(device, &options, &cancelled, &error));
        OK(tp_session_feed(cancelled, tp_heard_prompt, TP_HEARD_PROMPT, &error));
        OK(tp_session_generate(cancelled, 40, &error));
        tp_session_destroy(cancelled);
        ck_assert_msg(heard.end == TP_END_CANCEL || heard.end == TP_END_LIMIT, "byte %zu: %s", at,
                      tp_end_name(heard.end));
        uint32_t compared = heard.count < TP_HEARD_TOKENS ? heard.count : TP_HEARD_TOKENS;
        ck_assert_mem_eq(heard.tokens, reference[TP_HEARD_PLAIN].tokens,
                         compared * sizeof(uint32_t));
        ended += heard.end == TP_END_CANCEL ? 1 : 0;
    }
    // A run may be over before the caller has heard that it began.
    ck_assert_uint_gt(ended, 30);
    // The slot is free for whoever comes next, and nothing of the old run is taken for theirs.
    struct tp_heard heard;
    tp_test_link_start();
    run_session(TP_HEARD_RICH, &heard);
    ck_assert(tp_heard_same(&heard, &reference[TP_HEARD_RICH]));
}
END_TEST

START_TEST(a_destroyed_session_leaves_nothing_to_the_next)
{
    make_references();
    for (size_t at = 20; at < 500; at += 13) {
        struct tp_heard heard = {.count = 0};
        tp_session *session = NULL;
        struct tp_session_options options = tp_heard_options(device, TP_HEARD_PLAIN, &heard);
        options.seed = at;
        const struct tp_edit edit = {.way = TP_TO_HOST, .at = at, .remove = 60};
        tp_test_link_start();
        tp_test_link_edit(&edit);
        OK(tp_session_create(device, &options, &session, &error));
        OK(tp_session_feed(session, tp_heard_prompt, TP_HEARD_PROMPT, &error));
        OK(tp_session_generate(session, 40, &error));
        tp_session_destroy(session);
        run_session(TP_HEARD_PLAIN, &heard);
        ck_assert_msg(tp_heard_same(&heard, &reference[TP_HEARD_PLAIN]), "byte %zu", at);
    }
}
END_TEST

// ---- prompts over several slots ----

static struct tp_device_statistics facts_now(void)
{
    struct tp_device_statistics facts;
    OK(tp_device_get_statistics(device, &facts, &error));
    return facts;
}

START_TEST(a_prompt_takes_several_slots_behind_any_loss)
{
    struct tp_heard heard;
    make_references();
    capture(TP_HEARD_LONG);
    const struct tp_device_statistics before = facts_now();
    tp_test_link_start();
    run_session(TP_HEARD_LONG, &heard);
    const struct tp_device_statistics sound = facts_now();
    // 23 positions of the prompt in six steps, its last one, 5 and 2 more tokens.
    ck_assert_uint_eq(sound.tokens - before.tokens, TP_HEARD_LONG_PROMPT + TP_HEARD_TOKENS + 1);
    ck_assert_uint_eq(sound.steps - before.steps, 6 + TP_HEARD_TOKENS + 2);
    // A step that is lost costs no more than those in the slots at that time, and their beginning.
    for (size_t at = 0; at < captured[TP_TO_HOST].count; at += stride_of(3)) {
        const struct tp_edit edit = {.way = TP_TO_HOST, .at = at, .remove = 30};
        damage(TP_HEARD_LONG, &edit);
    }
    const struct tp_device_statistics after = facts_now();
    ck_assert_uint_gt(after.recoveries, before.recoveries + 20);
}
END_TEST

START_TEST(a_prompt_beside_another_session_stays_itself)
{
    static const enum tp_heard_kind kinds[][2] = {{TP_HEARD_PLAIN, TP_HEARD_LONG},
                                                  {TP_HEARD_LONG, TP_HEARD_PLAIN},
                                                  {TP_HEARD_LONG, TP_HEARD_RICH},
                                                  {TP_HEARD_LONG, TP_HEARD_LONG}};
    damage_two(kinds[_i], tp_test_seed(_i));
}
END_TEST

static tp_session *watched;
static uint32_t watched_until;

// From the device's thread, behind each step of another session.
static void cancel_watched(void *user, const struct tp_token *token)
{
    (void)user;
    (void)token;
    pthread_mutex_lock(&device->mutex);
    bool is_due = watched->running && watched->processed >= watched_until;
    pthread_mutex_unlock(&device->mutex);
    if (is_due) OK(tp_session_cancel(watched, &error));
}

// Cancels the prompt of a session when so much of it was told. Returns what was processed then.
static uint32_t cancel_prompt(uint32_t until, const struct tp_edit *edit, struct tp_heard *heard)
{
    struct tp_heard unused = {.count = 0};
    struct tp_token token;
    tp_session *other = NULL;
    struct tp_session_options options = tp_heard_options(device, TP_HEARD_PLAIN, &unused);
    options.on_token = cancel_watched;
    spoil_pages();
    tp_test_link_start();
    if (edit != NULL) tp_test_link_edit(edit);
    OK(tp_session_create(device, &options, &other, &error));
    tp_heard_feed(other, TP_HEARD_PLAIN);
    options = tp_heard_options(device, TP_HEARD_LONG, heard);
    OK(tp_session_create(device, &options, &watched, &error));
    tp_heard_feed(watched, TP_HEARD_LONG);
    watched_until = until;
    tp_test_pause_device(device, true);
    OK(tp_session_generate(other, TP_HEARD_CONTEXT - TP_HEARD_PROMPT, &error));
    OK(tp_session_generate(watched, TP_HEARD_TOKENS, &error));
    tp_test_pause_device(device, false);
    do {
        OK(tp_session_read(watched, &token, -1, &error));
        if (token.end == TP_END_NONE) heard->tokens[heard->count++] = token.id;
    } while (token.end == TP_END_NONE);
    uint32_t processed = watched->processed;
    watched_until = UINT32_MAX;
    if (heard->count < TP_HEARD_TOKENS) {
        OK(tp_session_generate(watched, TP_HEARD_TOKENS - heard->count, &error));
        tp_heard_read(watched, heard);
    }
    tp_session_destroy(other);
    tp_session_destroy(watched);
    return processed;
}

// Whatever of the prompt was computed by then, what follows is right.
START_TEST(a_prompt_that_is_cancelled_goes_on_where_it_was)
{
    uint32_t partly = 0;
    make_references();
    for (uint32_t i = 0; i < 120; i++) {
        struct tp_heard heard = {.count = 0};
        const struct tp_edit edit = {.way = TP_TO_HOST, .at = 13 * (size_t)i, .remove = 40};
        uint32_t processed = cancel_prompt(i % 24, i % 2 == 0 ? NULL : &edit, &heard);
        OK(heard.status);
        ck_assert_mem_eq(heard.tokens, reference[TP_HEARD_LONG].tokens,
                         TP_HEARD_TOKENS * sizeof(uint32_t));
        partly += processed != 0 && processed < TP_HEARD_LONG_PROMPT ? 1 : 0;
    }
    printf("# %u of 120 runs cancelled in the middle of the prompt\n", partly);
    ck_assert_uint_gt(partly, 20);
}
END_TEST

// ---- devices that cannot be helped ----

START_TEST(silence_noise_and_a_pulled_cable_end_with_one_error)
{
    struct tp_heard heard;
    make_references();
    for (int place = 0; place < 3; place++) {
        tp_session *session = NULL;
        const struct tp_session_options options = tp_heard_options(device, TP_HEARD_PLAIN, &heard);
        heard = (struct tp_heard){.count = 0};
        OK(tp_session_create(device, &options, &session, &error));
        OK(tp_session_feed(session, tp_heard_prompt, TP_HEARD_PROMPT, &error));
        if (place != 0) OK(tp_session_generate(session, TP_HEARD_TOKENS, &error));
        if (place == 2) tp_heard_read(session, &heard);
        if (_i == 0) tp_test_link_mute(TP_TO_HOST);
        if (_i == 1) tp_test_link_mute(TP_TO_DEVICE);
        if (_i == 2) tp_test_link_noise(7);
        if (_i == 3) tp_test_link_unplug();
        if (place == 1) tp_heard_read(session, &heard);
        if (place != 1) heard.status = tp_session_generate(session, TP_HEARD_TOKENS, &heard.error);
        if (place != 1 && heard.status == TP_OK) tp_heard_read(session, &heard);
        // The run may have come to its end before.
        if (place != 1 || heard.status != TP_OK) {
            ck_assert_int_eq(heard.status, _i == 3 ? TP_ERROR_DEVICE : TP_ERROR_TIMEOUT);
            ck_assert_ptr_nonnull(strstr(heard.error.text, _i == 3 ? "cable" : "try: "));
        }
        tp_session_destroy(session);
        tp_device_close(device);
        open_device(&tp_test_faulty_emulator);
    }
}
END_TEST

START_TEST(a_device_that_says_nothing_is_not_opened)
{
    tp_device *other = NULL;
    tp_device_close(device);
    device = NULL;
    tp_test_link_mute(TP_TO_HOST);
    ck_assert_int_eq(
        tp__device_open(context, _i == 0 ? &tp_test_faulty_emulator : &tp_test_faulty_persistent,
                        "faulty:small", "small", &other, &error),
        TP_ERROR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(error.text, "faulty:small does not answer"));
    ck_assert_ptr_null(other);
}
END_TEST

// ---- a device that outlives the program ----

START_TEST(a_device_in_any_state_is_taken_over)
{
    struct tp_random random;
    struct tp_heard heard;
    tp_random_init(&random, tp_test_seed(_i), 0);
    make_references();
    tp_device_close(device);
    device = NULL;
    for (int round = 0; round < 12; round++) {
        tp_device *first = NULL;
        tp_session *sessions[2];
        tp_test_link_start();
        OK(tp__device_open(context, &tp_test_faulty_persistent, "faulty:small", "small", &first,
                           &error));
        tp_heard_load(first, model);
        const struct tp_session_options options = tp_heard_options(first, TP_HEARD_PLAIN, &heard);
        for (int i = 0; i < 2; i++) {
            OK(tp_session_create(first, &options, &sessions[i], &error));
            OK(tp_session_feed(sessions[i], tp_heard_prompt, TP_HEARD_PROMPT, &error));
            OK(tp_session_generate(sessions[i], 40, &error));
        }
        // Its program dies in the middle of a frame, with runs under way.
        tp_test_link_unplug();
        struct tp_token token;
        while (tp_session_read(sessions[0], &token, -1, &error) == TP_OK &&
               token.end == TP_END_NONE) {
        }
        for (int i = 0; i < 2; i++) tp_session_destroy(sessions[i]);
        tp_device_close(first);
        tp_test_link_start();
        open_device(&tp_test_faulty_persistent);
        struct tp_device_statistics facts;
        OK(tp_device_get_statistics(device, &facts, &error));
        ck_assert_uint_eq(facts.steps + facts.steps_lost, 0);
        for (int kind = 0; kind < TP_HEARD_KINDS; kind++) {
            run_session(kind, &heard);
            ck_assert(tp_heard_same(&heard, &reference[kind]));
        }
        OK(tp_device_get_statistics(device, &facts, &error));
        ck_assert_uint_eq(facts.steps_lost, 0);
        ck_assert_uint_eq(facts.recoveries, 0);
        ck_assert_uint_gt(facts.steps, TP_HEARD_PROMPT + TP_HEARD_TOKENS);
        tp_device_close(device);
        device = NULL;
    }
    open_device(&tp_test_faulty_emulator);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("session_run");
    TCase *tc = tcase_create("session_run");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, getenv("TP_EVERY") != NULL ? 7000 : 240);
    tcase_add_loop_test(tc, any_flipped_bit_changes_nothing, 0, TP_HEARD_KINDS);
    tcase_add_loop_test(tc, any_bytes_cut_doubled_or_inserted_change_nothing, 0, TP_HEARD_KINDS);
    tcase_add_loop_test(tc, any_frame_lost_doubled_or_out_of_place_changes_nothing, 0,
                        TP_HEARD_KINDS);
    tcase_add_loop_test(tc, faults_at_random_change_nothing_or_end_with_one_error, 0, 3);
    tcase_add_loop_test(tc, faults_at_random_where_steps_need_credit_change_nothing, 0, 2);
    tcase_add_loop_test(tc, loading_is_repeated_where_it_was_damaged, 0, 2);
    tcase_add_loop_test(tc, sessions_that_share_steps_stay_themselves, 0, 2);
    tcase_add_test(tc, cancel_ends_a_run_also_in_the_middle_of_a_loss);
    tcase_add_test(tc, a_destroyed_session_leaves_nothing_to_the_next);
    tcase_add_loop_test(tc, an_old_page_table_or_run_corrupts_nothing, 0, TP_HEARD_KINDS);
    tcase_add_loop_test(tc, an_old_credit_stops_nothing, 0, TP_HEARD_KINDS);
    tcase_add_loop_test(tc, silence_noise_and_a_pulled_cable_end_with_one_error, 0, 4);
    tcase_add_loop_test(tc, a_device_that_says_nothing_is_not_opened, 0, 2);
    tcase_add_loop_test(tc, a_device_in_any_state_is_taken_over, 0, 1);
    suite_add_tcase(suite, tc);
    TCase *prompts = tcase_create("prompts");
    tcase_add_checked_fixture(prompts, setup, teardown);
    tcase_set_timeout(prompts, getenv("TP_EVERY") != NULL ? 7000 : 240);
    tcase_add_test(prompts, a_prompt_takes_several_slots_behind_any_loss);
    tcase_add_loop_test(prompts, a_prompt_beside_another_session_stays_itself, 0, 4);
    tcase_add_test(prompts, a_prompt_that_is_cancelled_goes_on_where_it_was);
    suite_add_tcase(suite, prompts);
    return suite;
}

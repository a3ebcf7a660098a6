// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_control does what docs/link.md says: each host frame gets the right answer, each
// step takes the right slots, tokens and positions, and the right events come in the right order.
//
// Random host frames, right and wrong ones, between and during steps, with pauses on both sides;
// the bench plays the sequencer and the sampler. The reference is a plain model of the page.
// Commands arrive while nothing can start or while a step is held open, so that the answer is
// certain; what a command does that meets the end of a step is covered by the system tests. Not
// covered: CRC and bytes (test_framer_rx.c, test_framer_tx.c), clock speed.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/include/tp_map.h"
#include "check_main.h"
#include "dut.h"
#include "plain_frame.h"
#include "random.h"

#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots 4
#endif
#ifndef TP_PARAM_ReadBack
#define TP_PARAM_ReadBack 1
#endif
enum {
    SLOTS = TP_PARAM_Slots,
    QUEUE_MAX = 256,
    VOCABULARY = 512,
    POSITIONS_MAX = 64,
    WORDS_MAX = 64,
    LIST_MAX = 4096,
    WAIT_MAX = 20000,
    SAMPLING_BITS = 162,
    READ_BACK = TP_PARAM_ReadBack,
    BIT_LATENCY = 6 /* from the number of a bit to the bit */
};

struct message {
    uint8_t type;
    uint8_t sequence;
    uint16_t length;
    uint32_t words[WORDS_MAX];
};

struct list {
    struct message items[LIST_MAX];
    uint32_t count;
    uint32_t checked;
};

struct slot {
    int open, running, held, cancel, all_logits;
    uint32_t stop_count, stops[8];
    uint32_t context, position, stride, count;
    uint32_t top_k, temperature, candidates, words[3]; /* of SLOT: penalty, cut, gap */
    uint64_t seed;
    struct message ranked[3]; /* CANDIDATES frames of this step */
    uint32_t ranked_count;
    uint32_t queue[QUEUE_MAX], level, taken;
    uint32_t sampled;
    /* in the present step */
    int active, asked, logits;
    uint32_t token;
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    uint32_t pause; /* chance of 256 that a stream pauses */
    struct tp_port *frame_valid, *frame_ready, *word_valid, *word_ready;
    struct tp_port *reply_valid, *reply_ready, *part_valid, *part_ready, *part_data;
    struct tp_port *cfg_valid, *start;
    /* sending */
    struct message out;
    int sending; /* 0 idle, 1 frame, 2 words */
    uint32_t out_index;
    /* receiving */
    struct message in;
    uint32_t in_left;
    struct list answers, events;
    struct list expected_answers, expected_events;
    uint32_t cfg[LIST_MAX][3], cfg_count;
    uint32_t expected_cfg[LIST_MAX][3], expected_cfg_count;
    uint32_t recent[LIST_MAX][3], recent_count; /* slot, position, token */
    uint32_t expected_recent[LIST_MAX][3], expected_recent_count;
    uint32_t fed[SLOTS][3], fed_count;
    uint32_t clear_left, clear_slot, clears, expected_clears;
    uint32_t bits; /* that are under way, the latest lowest */
    uint32_t words_read;
    int started;
    struct slot slots[SLOTS];
    uint8_t sequence, event_sequence;
    struct message last; /* frame before, for repetitions */
    uint8_t last_status;
    uint64_t steps, cycles_steps, tokens, saturations, clips, bad;
};

static struct bench bench;

static uint32_t below(struct bench *b, uint32_t limit)
{
    return tp_random_below(&b->random, limit);
}

static int chance(struct bench *b, uint32_t of256)
{
    return tp_random_chance(&b->random, of256);
}

/* ---- one clock cycle: both streams, the configuration bus, start ---- */

static void drive_frame(struct bench *b)
{
    static const char *names[] = {"frame_type_i", "frame_sequence_i", "frame_length_i"};
    if (b->sending == 1) {
        tp_port_set(b->frame_valid, 1);
        tp_dut_set(b->dut, names[0], b->out.type);
        tp_dut_set(b->dut, names[1], b->out.sequence);
        tp_dut_set(b->dut, names[2], b->out.length);
    } else {
        tp_port_set(b->frame_valid, 0);
    }
    int words = b->sending == 2;
    /* A word that was offered stays. */
    if (words && !tp_port_get(b->word_valid) && chance(b, b->pause)) words = 0;
    tp_port_set(b->word_valid, (uint64_t)words);
    if (words) {
        tp_dut_set(b->dut, "word_data_i", b->out.words[b->out_index]);
        tp_dut_set(b->dut, "word_last_i", b->out_index + 1 == (b->out.length + 3u) / 4u);
    }
}

static void sample_frame(struct bench *b)
{
    if (b->sending == 1 && tp_port_get(b->frame_ready)) {
        b->sending = b->out.length > 0 ? 2 : 0;
        b->out_index = 0;
    } else if (tp_port_get(b->word_valid) && tp_port_get(b->word_ready)) {
        b->out_index++;
        if (b->out_index == (b->out.length + 3u) / 4u) b->sending = 0;
    }
}

static void finish_reply(struct bench *b)
{
    struct list *list = b->in.type >= TP_FRAME_TOKEN ? &b->events : &b->answers;
    assert(list->count < LIST_MAX);
    list->items[list->count++] = b->in;
}

static void sample_reply(struct bench *b)
{
    if (tp_port_get(b->reply_valid) && tp_port_get(b->reply_ready)) {
        ck_assert_uint_eq(b->in_left, 0);
        memset(&b->in, 0, sizeof b->in);
        b->in.type = (uint8_t)tp_dut_get(b->dut, "reply_type_o");
        b->in.sequence = (uint8_t)tp_dut_get(b->dut, "reply_sequence_o");
        b->in.length = (uint16_t)tp_dut_get(b->dut, "reply_length_o");
        ck_assert_uint_gt(b->in.length, 0);
        ck_assert_uint_le(b->in.length, 256);
        b->in_left = b->in.length / 4u;
    } else if (tp_port_get(b->part_valid) && tp_port_get(b->part_ready)) {
        ck_assert_uint_gt(b->in_left, 0);
        b->in.words[b->in.length / 4u - b->in_left] = (uint32_t)tp_port_get(b->part_data);
        if (--b->in_left == 0) finish_reply(b);
    }
}

/* Slot, position and token of a tp_pkg::recent_t: 16 bits token, 16 position, 3 slot. */
static void get_recent(struct bench *b, const char *name, uint32_t recent[3])
{
    uint32_t words[2] = {0};
    tp_port_get_words(tp_dut_port(b->dut, name), words);
    recent[0] = words[1];
    recent[1] = words[0] >> 16;
    recent[2] = words[0] & 0xffff;
}

static void sample_recent(struct bench *b)
{
    if (tp_dut_get(b->dut, "recent_valid_o") && tp_dut_get(b->dut, "recent_ready_i")) {
        ck_assert_uint_lt(b->recent_count, LIST_MAX);
        get_recent(b, "recent_o", b->recent[b->recent_count++]);
    }
    if (tp_dut_get(b->dut, "fed_valid_o")) {
        ck_assert_uint_lt(b->fed_count, SLOTS);
        get_recent(b, "fed_o", b->fed[b->fed_count++]);
    }
    if (tp_dut_get(b->dut, "clear_valid_o")) {
        b->clears++;
        b->clear_slot = (uint32_t)tp_dut_get(b->dut, "clear_slot_o");
        b->clear_left = 1 + below(b, 50);
    } else if (b->clear_left > 0) {
        b->clear_left--;
    }
}

/* What stands at an address of the memories that the bench plays. */
static uint32_t memory_word(uint32_t space, uint32_t address)
{
    uint32_t word = (space * 0x9e3779b9u ^ address) * 0x85ebca6bu;
    return word ^ word >> 15;
}

/* Spaces: rows of some addresses, of which the first words exist. */
static const struct {
    uint32_t rows, words, addresses;
} spaces[] = {{1024, 9, 64}, {64, 6, 8},  {512, 1, 1},         {512, 1, 1}, {512, 1, 1},
              {64, 1, 1},    {2, 16, 16}, {SLOTS, 4096, 4096}, {4, 1, 1}};

static uint32_t address_of(uint32_t space, uint32_t word)
{
    return word / spaces[space].words * spaces[space].addresses + word % spaces[space].words;
}

/* The memories: the bit that is asked for comes later. */
static void read_back(struct bench *b)
{
    uint32_t bit = 0;
    if (tp_dut_get(b->dut, "cfg_read_o")) {
        uint32_t space = (uint32_t)tp_dut_get(b->dut, "cfg_space_o");
        uint32_t address = (uint32_t)tp_dut_get(b->dut, "cfg_address_o");
        ck_assert_uint_le(space, TP_SPACE_FREQUENCY);
        ck_assert_uint_lt(address / spaces[space].addresses, spaces[space].rows);
        ck_assert_uint_lt(address % spaces[space].addresses, spaces[space].words);
        bit = memory_word(space, address) >> (tp_dut_get(b->dut, "cfg_data_o") & 31) & 1;
    }
    b->bits = b->bits << 1 | bit;
    tp_dut_set(b->dut, "cfg_bit_i", b->bits >> BIT_LATENCY & 1);
}

static void cycle(struct bench *b)
{
    drive_frame(b);
    int ready = b->clear_left == 0 && !chance(b, b->pause);
    tp_dut_set(b->dut, "recent_ready_i", (uint64_t)ready);
    /* The framer takes a frame only when the words of the last one are gone. */
    tp_port_set(b->reply_ready, b->in_left == 0 && !chance(b, b->pause));
    tp_port_set(b->part_ready, b->in_left > 0 && !chance(b, b->pause));
    tp_dut_settle(b->dut);
    tp_dut_set(b->dut, "clear_busy_i",
               b->clear_left > 0 || tp_dut_get(b->dut, "clear_valid_o") != 0);
    tp_dut_settle(b->dut);
    sample_frame(b);
    sample_reply(b);
    if (tp_port_get(b->cfg_valid)) {
        uint32_t *write = b->cfg[b->cfg_count++];
        assert(b->cfg_count < LIST_MAX);
        write[0] = (uint32_t)tp_dut_get(b->dut, "cfg_space_o");
        write[1] = (uint32_t)tp_dut_get(b->dut, "cfg_address_o");
        write[2] = (uint32_t)tp_dut_get(b->dut, "cfg_data_o");
    }
    sample_recent(b);
    if (tp_port_get(b->start)) b->started = 1;
    read_back(b);
    tp_dut_tick(b->dut);
}

static void compare(const struct message *expected, const struct message *got)
{
    ck_assert_uint_eq(got->type, expected->type);
    ck_assert_uint_eq(got->sequence, expected->sequence);
    ck_assert_uint_eq(got->length, expected->length);
    for (uint32_t i = 0; i < expected->length / 4u; i++) {
        ck_assert_msg(got->words[i] == expected->words[i], "type %02x word %u: %08x, not %08x",
                      expected->type, i, got->words[i], expected->words[i]);
    }
}

/* Waits for all expected frames of a list and compares them. */
static void settle(struct bench *b, struct list *got, struct list *expected)
{
    for (uint32_t wait = 0; got->count < expected->count; wait++) {
        ck_assert_msg(wait < WAIT_MAX, "frame %02x did not come", expected->items[got->count].type);
        cycle(b);
    }
    ck_assert_uint_eq(got->count, expected->count);
    for (uint32_t i = got->checked; i < got->count; i++) {
        compare(&expected->items[i], &got->items[i]);
    }
    got->count = got->checked = expected->count = 0;
}

/* ---- the model: what the page says ---- */

static struct message *expect_event(struct bench *b, uint8_t type, uint16_t length)
{
    struct message *event = &b->expected_events.items[b->expected_events.count++];
    assert(b->expected_events.count < LIST_MAX);
    memset(event, 0, sizeof *event);
    event->type = type;
    event->length = length;
    event->sequence = b->event_sequence++;
    return event;
}

static void end_run(struct bench *b, uint32_t s, uint32_t reason)
{
    struct slot *slot = &b->slots[s];
    expect_event(b, TP_FRAME_DONE, 4)->words[0] = s | reason << 8 | slot->position << 16;
    slot->running = slot->held = slot->cancel = 0;
    slot->level = slot->taken = 0;
}

static uint32_t choose(struct bench *b)
{
    uint32_t active = 0;
    int logits_taken = 0;
    for (uint32_t s = 0; s < SLOTS; s++) {
        struct slot *slot = &b->slots[s];
        slot->active = slot->running && !slot->held && !(slot->all_logits && logits_taken);
        if (!slot->active) continue;
        if (slot->all_logits) logits_taken = 1;
        active |= 1u << s;
    }
    return active;
}

static void take_tokens(struct bench *b)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        struct slot *slot = &b->slots[s];
        slot->asked = slot->logits = 0;
        if (!slot->active) continue;
        slot->token = slot->taken < slot->level ? slot->queue[slot->taken++] : slot->sampled;
        slot->asked = slot->taken == slot->level && slot->count > 0;
        slot->logits = slot->asked || slot->all_logits;
    }
}

static int is_stop(const struct slot *slot)
{
    for (uint32_t i = 0; i < slot->stop_count; i++) {
        if (slot->stops[i] == slot->sampled) return 1;
    }
    return 0;
}

static void finish_step(struct bench *b, uint32_t cycles)
{
    uint32_t active = 0, logits = 0;
    for (uint32_t s = 0; s < SLOTS; s++) {
        struct slot *slot = &b->slots[s];
        active |= (uint32_t)slot->active << s;
        logits |= (uint32_t)slot->logits << s;
        if (!slot->asked) continue;
        for (uint32_t i = 0; i < slot->ranked_count; i++) {
            uint16_t length = slot->ranked[i].length;
            struct message *ranked = expect_event(b, TP_FRAME_CANDIDATES, length);
            memcpy(ranked->words, slot->ranked[i].words, length);
        }
        struct message *event = expect_event(b, TP_FRAME_TOKEN, 8);
        event->words[0] = s | slot->sampled << 16;
        event->words[1] = slot->position;
    }
    struct message *event = expect_event(b, TP_FRAME_STEP, 28);
    event->words[0] = (uint32_t)b->steps;
    event->words[1] = cycles;
    event->words[2] = active | logits << 8;
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (b->slots[s].active) event->words[3 + s / 2] |= b->slots[s].position << (16 * (s % 2));
    }
    b->steps++;
    b->cycles_steps += cycles;
    for (uint32_t s = 0; s < SLOTS; s++) {
        struct slot *slot = &b->slots[s];
        if (!slot->active) {
            if (slot->running && slot->cancel) end_run(b, s, TP_REASON_CANCEL);
            continue;
        }
        b->tokens++;
        slot->position += slot->stride;
        if (slot->asked) slot->count--;
        if (slot->asked && is_stop(slot))
            end_run(b, s, TP_REASON_STOP);
        else if (slot->asked && slot->count == 0)
            end_run(b, s, TP_REASON_LIMIT);
        else if (slot->count == 0 && slot->taken == slot->level)
            end_run(b, s, TP_REASON_FED);
        else if (slot->position >= slot->context)
            end_run(b, s, TP_REASON_CONTEXT);
        else if (slot->cancel)
            end_run(b, s, TP_REASON_CANCEL);
        slot->active = 0;
    }
}

/* ---- host frames ---- */

static void send(struct bench *b, const struct message *message, uint8_t status)
{
    for (uint32_t wait = 0; b->sending != 0; wait++) {
        ck_assert_uint_lt(wait, WAIT_MAX);
        cycle(b);
    }
    b->out = *message;
    b->sending = 1;
    struct message *answer = &b->expected_answers.items[b->expected_answers.count++];
    assert(b->expected_answers.count < LIST_MAX);
    memset(answer, 0, sizeof *answer);
    answer->type = TP_FRAME_ACK;
    answer->sequence = message->sequence;
    answer->length = 4;
    answer->words[0] = message->type | (uint32_t)status << 8;
    b->last = *message;
    b->last_status = status;
}

static void fresh(struct bench *b, struct message *message, uint8_t type, uint16_t length)
{
    memset(message, 0, sizeof *message);
    message->type = type;
    message->sequence = b->sequence++;
    message->length = length;
}

static int any_running(const struct bench *b)
{
    int any = 0;
    for (uint32_t s = 0; s < SLOTS; s++) any |= b->slots[s].running;
    return any;
}

static void send_write(struct bench *b, int in_step)
{
    struct message message;
    uint32_t count = 1 + below(b, 62);
    uint32_t space = below(b, 11);
    /* One that waits for the end of the step comes alone: the answers behind it would wait too. */
    if (in_step && space == TP_SPACE_PAGE_TABLE) space = TP_SPACE_GAIN;
    int known = space < 9;
    uint32_t words = known ? spaces[space].rows * spaces[space].words : 100;
    if (count > words && chance(b, 200)) count = words;
    fresh(b, &message, TP_FRAME_WRITE, (uint16_t)(8 + 4 * count));
    /* Often the last that fits, and one more. */
    uint32_t first = words >= count ? below(b, words - count + 1) : 0;
    if (words >= count && chance(b, 80)) first = words - count + below(b, 2);
    message.words[0] = space | 0xabcdef00u;
    message.words[1] = known ? address_of(space, first) : first;
    int gap = known && chance(b, 10);
    if (gap) {
        /* An address that no word has: within a row or behind the last. */
        uint32_t row_words = spaces[space].words, addresses = spaces[space].addresses;
        message.words[1] = row_words < addresses ? below(b, 64) * addresses + row_words +
                                                       below(b, addresses - row_words)
                                                 : spaces[space].rows * addresses + below(b, 100);
        if (chance(b, 64)) message.words[1] = 0xffffffffu;
    }
    tp_random_words(&b->random, message.words + 2, count);
    uint8_t status = TP_ACK_OK;
    if (!known || gap || first + count > words)
        status = TP_ACK_RANGE;
    else if (any_running(b) && space != TP_SPACE_PAGE_TABLE)
        status = TP_ACK_BUSY;
    for (uint32_t i = 0; status == TP_ACK_OK && i < count; i++) {
        uint32_t *write = b->expected_cfg[b->expected_cfg_count++];
        assert(b->expected_cfg_count < LIST_MAX);
        write[0] = space;
        write[1] = address_of(space, first + i);
        write[2] = message.words[2 + i];
    }
    send(b, &message, status);
}

static void send_slot(struct bench *b)
{
    struct message message;
    fresh(b, &message, TP_FRAME_SLOT, TP_SLOT_BYTES);
    uint32_t s = below(b, SLOTS + (chance(b, 20) ? 3 : 0));
    uint32_t all = (uint32_t)chance(b, 64);
    uint32_t top_k = chance(b, 20) ? 65 : below(b, 65);
    uint32_t stop_count = chance(b, 20) ? 9 : below(b, 9);
    uint32_t temperature = chance(b, 20) ? 1u << 20 : below(b, 1u << 20);
    uint32_t context = chance(b, 20) ? POSITIONS_MAX + 1 : 1 + below(b, chance(b, 64) ? 4 : 64);
    uint32_t position = chance(b, 64) ? below(b, context + 1) : 0;
    message.words[0] = s | all << 8 | top_k << 16 | stop_count << 24;
    message.words[1] = temperature;
    tp_random_words(&b->random, message.words + 2, 2);
    message.words[4] = context | position << 16;
    uint32_t stops[8];
    for (uint32_t i = 0; i < 8; i++) {
        stops[i] = below(b, 40);
        message.words[5 + i / 2] |= stops[i] << (16 * (i % 2));
    }
    uint32_t candidates = chance(b, 20) ? 65 : (chance(b, 128) ? below(b, 65) : 0);
    int penalty = chance(b, 128);
    message.words[9] = penalty ? 1 + below(b, 4095) + (below(b, 4096) << 16) : 0;
    uint32_t stride = chance(b, 20) ? (chance(b, 128) ? 9 : 255) : below(b, 9);
    message.words[10] = below(b, 65536) | candidates << 16 | stride << 24;
    message.words[11] = below(b, 1u << 24);
    int wide = chance(b, 10);
    if (wide) message.words[below(b, 2) ? 9 : 11] |= 0x80000000u;
    uint8_t status = TP_ACK_OK;
    if (s >= SLOTS)
        status = TP_ACK_RANGE;
    else if (b->slots[s].running)
        status = TP_ACK_BUSY;
    else {
        struct slot *slot = &b->slots[s];
        if (top_k > 64 || stop_count > 8 || temperature >> 20 || context > POSITIONS_MAX ||
            position >= context || candidates > 64 || stride > 8 || wide) {
            status = TP_ACK_RANGE;
        }
        memset(slot, 0, sizeof *slot);
        slot->open = status == TP_ACK_OK;
        slot->all_logits = (int)all;
        slot->stop_count = stop_count;
        memcpy(slot->stops, stops, sizeof stops);
        slot->context = context;
        slot->position = position;
        slot->stride = stride == 0 ? 1 : stride;
        slot->top_k = top_k;
        slot->temperature = temperature;
        slot->seed = message.words[2] | (uint64_t)message.words[3] << 32;
        slot->candidates = candidates;
        memcpy(slot->words, message.words + 9, sizeof slot->words);
        b->expected_clears += status == TP_ACK_OK && penalty;
    }
    send(b, &message, status);
}

static void send_feed(struct bench *b)
{
    struct message message;
    uint32_t count = 1 + below(b, chance(b, 40) ? 127 : 6);
    fresh(b, &message, TP_FRAME_FEED, (uint16_t)(2 + 2 * count));
    uint32_t s = below(b, SLOTS + (chance(b, 20) ? 3 : 0));
    uint32_t tokens[127];
    int bad = 0;
    message.words[0] = s;
    for (uint32_t i = 0; i < count; i++) {
        tokens[i] = chance(b, 1) ? VOCABULARY : below(b, VOCABULARY);
        bad |= tokens[i] >= VOCABULARY;
        message.words[(i + 1) / 2] |= tokens[i] << (16 * ((i + 1) % 2));
    }
    uint8_t status = TP_ACK_OK;
    struct slot *slot = &b->slots[s < SLOTS ? s : 0];
    if (s >= SLOTS || !slot->open)
        status = TP_ACK_RANGE;
    else if (slot->running)
        status = TP_ACK_BUSY;
    else if (slot->level + count > QUEUE_MAX)
        status = TP_ACK_FULL;
    else if (bad)
        status = TP_ACK_RANGE;
    else {
        memcpy(slot->queue + slot->level, tokens, count * sizeof *tokens);
        slot->level += count;
    }
    send(b, &message, status);
}

static void send_recent(struct bench *b)
{
    struct message message;
    uint32_t count = 1 + below(b, chance(b, 40) ? 63 : 6);
    fresh(b, &message, TP_FRAME_RECENT, (uint16_t)(2 + 2 * count));
    uint32_t s = below(b, SLOTS + (chance(b, 20) ? 3 : 0));
    struct slot *slot = &b->slots[s < SLOTS ? s : 0];
    uint8_t status = TP_ACK_OK;
    if (s >= SLOTS || !slot->open)
        status = TP_ACK_RANGE;
    else if (slot->running)
        status = TP_ACK_BUSY;
    else if (count > slot->position)
        status = TP_ACK_RANGE;
    int refused = status != TP_ACK_OK;
    message.words[0] = s;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = chance(b, 1) ? VOCABULARY : below(b, VOCABULARY);
        message.words[(i + 1) / 2] |= token << (16 * ((i + 1) % 2));
        if (refused) continue;
        if (token >= VOCABULARY) {
            status = TP_ACK_RANGE;
            continue;
        }
        uint32_t *recent = b->expected_recent[b->expected_recent_count++];
        assert(b->expected_recent_count < LIST_MAX);
        recent[0] = s;
        recent[1] = slot->position - count + i;
        recent[2] = token;
    }
    send(b, &message, status);
}

static void send_run(struct bench *b)
{
    struct message message;
    fresh(b, &message, TP_FRAME_RUN, 8);
    uint32_t s = below(b, SLOTS + (chance(b, 20) ? 3 : 0));
    uint32_t hold = (uint32_t)chance(b, 80);
    uint32_t count = chance(b, 64) ? 0 : below(b, 8);
    message.words[0] = s | hold << 8;
    message.words[1] = count;
    uint8_t status = TP_ACK_OK;
    struct slot *slot = &b->slots[s < SLOTS ? s : 0];
    if (s >= SLOTS)
        status = TP_ACK_RANGE;
    else if (slot->running)
        status = TP_ACK_BUSY;
    else if (!slot->open || slot->level == 0 || slot->position >= slot->context) {
        status = TP_ACK_RANGE;
    } else {
        slot->running = 1;
        slot->held = (int)hold;
        slot->cancel = 0;
        slot->count = count;
        for (uint32_t i = 0; i < SLOTS && !hold; i++) b->slots[i].held = 0;
    }
    send(b, &message, status);
}

static void send_cancel(struct bench *b, int in_step)
{
    struct message message;
    fresh(b, &message, TP_FRAME_CANCEL, 4);
    uint32_t s = below(b, SLOTS + (chance(b, 20) ? 3 : 0));
    message.words[0] = s;
    uint8_t status = s >= SLOTS ? TP_ACK_RANGE : TP_ACK_OK;
    send(b, &message, status);
    if (status != TP_ACK_OK || !b->slots[s].running) return;
    if (in_step)
        b->slots[s].cancel = 1;
    else
        end_run(b, s, TP_REASON_CANCEL);
}

static void send_wrong(struct bench *b)
{
    static const uint8_t types[] = {0,
                                    12,
                                    0x80,
                                    0x90,
                                    0xff,
                                    TP_FRAME_HELLO,
                                    TP_FRAME_WRITE,
                                    TP_FRAME_SLOT,
                                    TP_FRAME_FEED,
                                    TP_FRAME_RUN,
                                    TP_FRAME_CANCEL,
                                    TP_FRAME_STATISTICS,
                                    TP_FRAME_RECENT,
                                    TP_FRAME_CREDIT};
    static const uint16_t lengths[] = {3, 1, 2, 8, 256, 4, 14, 36, 5, 12, 8, 8, 130, 8};
    struct message message;
    uint32_t i = below(b, 14);
    fresh(b, &message, types[i], lengths[i]);
    tp_random_words(&b->random, message.words, WORDS_MAX);
    send(b, &message, i < 5 ? TP_ACK_TYPE : TP_ACK_LENGTH);
}

/* The frame before comes again: the same answer, and nothing happens twice. */
static void send_again(struct bench *b)
{
    if (b->last.type == 0 || b->last.type == TP_FRAME_HELLO || b->last.type == TP_FRAME_SECTIONS ||
        b->last.type == TP_FRAME_STATISTICS || b->last.type == TP_FRAME_READ) {
        return;
    }
    struct message again = b->last;
    uint8_t status = b->last_status;
    send(b, &again, status);
}

static void send_hello(struct bench *b)
{
    struct message message;
    fresh(b, &message, TP_FRAME_HELLO, 0);
    send(b, &message, TP_ACK_OK);
    struct message *answer = &b->expected_answers.items[b->expected_answers.count - 1];
    static const uint32_t words[] = {TP_PROTOCOL_VERSION | 2 << 16 | SLOTS << 24,
                                     1 | TP_HELLO_FULL_SAMPLING | READ_BACK * TP_HELLO_READ_BACK |
                                         2 << 8 | 64 << 16 | 5 << 24,
                                     1024,
                                     512,
                                     64 | 128 << 16,
                                     192 | 64 << 16,
                                     VOCABULARY,
                                     64 | QUEUE_MAX << 16,
                                     256 | 256 << 16,
                                     0x12345678};
    answer->type = TP_FRAME_HELLO_REPLY;
    answer->length = 40;
    memcpy(answer->words, words, sizeof words);
}

static void check_statistics(struct bench *b)
{
    struct message message;
    fresh(b, &message, TP_FRAME_STATISTICS, 0);
    uint64_t before = tp_dut_cycles(b->dut);
    send(b, &message, TP_ACK_OK);
    for (uint32_t wait = 0; b->answers.count < b->expected_answers.count; wait++) {
        ck_assert_uint_lt(wait, WAIT_MAX);
        cycle(b);
    }
    const struct message *got = &b->answers.items[b->answers.count - 1];
    ck_assert_uint_eq(got->type, TP_FRAME_STATISTICS_REPLY);
    ck_assert_uint_eq(got->length, 56);
    uint64_t sums[6];
    for (int i = 0; i < 6; i++) sums[i] = got->words[2 * i] | (uint64_t)got->words[2 * i + 1] << 32;
    ck_assert_uint_ge(sums[0] + 8, before);
    ck_assert_uint_le(sums[0], tp_dut_cycles(b->dut));
    ck_assert_uint_eq(sums[1], b->cycles_steps);
    ck_assert_uint_eq(sums[2], b->steps);
    ck_assert_uint_eq(sums[3], b->tokens);
    ck_assert_uint_eq(sums[4], b->saturations);
    ck_assert_uint_eq(sums[5], b->clips);
    ck_assert_uint_eq(got->words[12], b->bad);
    ck_assert_uint_eq(got->words[13], 0);
    /* Compared here; the list holds no expectation of its contents. */
    b->expected_answers.items[b->expected_answers.count - 1] = *got;
}

/* What the counts are is test_sections.c's and test_core.c's part. */
static void check_sections(struct bench *b)
{
    struct message message;
    fresh(b, &message, TP_FRAME_SECTIONS, 4);
    message.words[0] = below(b, 4) != 0 ? 16 * below(b, 3) : below(b, 256);
    uint32_t first = message.words[0];
    uint8_t status = first >= TP_SECTIONS || first % TP_SECTIONS_PER_FRAME != 0 ? TP_ACK_RANGE
                     : any_running(b)                                           ? TP_ACK_BUSY
                                                                                : TP_ACK_OK;
    send(b, &message, status);
    if (status != TP_ACK_OK) return;
    for (uint32_t wait = 0; b->answers.count < b->expected_answers.count; wait++) {
        ck_assert_uint_lt(wait, WAIT_MAX);
        cycle(b);
    }
    const struct message *got = &b->answers.items[b->answers.count - 1];
    ck_assert_uint_eq(got->type, TP_FRAME_SECTIONS_REPLY);
    ck_assert_uint_eq(got->length, 16 * TP_SECTIONS_PER_FRAME);
    for (uint32_t i = 0; i < TP_SECTIONS_PER_FRAME; i++)
        ck_assert_uint_eq(got->words[4 * i + 3], 0);
    b->expected_answers.items[b->expected_answers.count - 1] = *got;
}

static void check_read(struct bench *b)
{
    struct message message;
    fresh(b, &message, TP_FRAME_READ, (uint16_t)(chance(b, 20) ? 4 * below(b, 4) : 8));
    uint32_t space = below(b, chance(b, 20) ? 256 : 6);
    int readable = space <= TP_SPACE_FREQUENCY;
    uint32_t words = readable ? spaces[space].rows * spaces[space].words : 100;
    uint32_t sum = (uint32_t)chance(b, 128);
    uint32_t count = below(b, sum ? 120 : chance(b, 10) ? 80 : 65);
    /* Near the end, so that sometimes the words are too few. */
    uint32_t first = chance(b, 100) ? words - below(b, words < 150 ? words : 150) : below(b, words);
    message.words[0] = space | sum << 8 | count << 16 | below(b, 128) << 9;
    message.words[1] = readable ? address_of(space, first) : first;
    int gap = readable && chance(b, 10) && spaces[space].words < spaces[space].addresses;
    if (gap) message.words[1] |= spaces[space].addresses - 1;
    if (chance(b, 10)) message.words[1] = 0xffffffffu;
    gap = gap || message.words[1] == 0xffffffffu;

    struct message reply = {.sequence = message.sequence, .type = TP_FRAME_READ_REPLY};
    uint8_t status = !READ_BACK            ? TP_ACK_TYPE
                     : message.length != 8 ? TP_ACK_LENGTH
                     : !readable || gap || count == 0 || first >= words || (!sum && count > 64)
                         ? TP_ACK_RANGE
                     : any_running(b)        ? TP_ACK_BUSY
                     : first + count > words ? TP_ACK_RANGE
                                             : TP_ACK_OK;
    if (status == TP_ACK_OK) {
        uint8_t bytes[4 * 120];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t word = memory_word(space, address_of(space, first + i));
            for (uint32_t k = 0; k < 4; k++) bytes[4 * i + k] = (uint8_t)(word >> (8 * k));
            if (i < 64) reply.words[i] = word;
        }
        if (sum) reply.words[0] = tp_plain_crc(bytes, 4 * count);
        reply.length = (uint16_t)(sum ? 4 : 4 * count);
        b->words_read += count;
    }
    send(b, &message, status);
    if (status == TP_ACK_OK) b->expected_answers.items[b->expected_answers.count - 1] = reply;
}

static void send_any(struct bench *b, int in_step)
{
    uint32_t kind = below(b, 100);
    if (kind < 18)
        send_slot(b);
    else if (kind < 24)
        send_recent(b);
    else if (kind < 45)
        send_feed(b);
    else if (kind < 70)
        send_run(b);
    else if (kind < 80)
        send_cancel(b, in_step);
    else if (kind < 88)
        send_write(b, in_step);
    else if (kind < 91)
        send_wrong(b);
    else if (kind < 95)
        send_again(b);
    else if (kind < 97)
        send_hello(b);
    else if (kind < 98)
        check_sections(b);
    else if (kind < 99)
        check_read(b);
    else if (!in_step)
        check_statistics(b);
    settle(b, &b->answers, &b->expected_answers);
}

/* ---- one step, with the bench as sequencer, sampler and matrix unit ---- */

static void check_start(struct bench *b, uint32_t active)
{
    ck_assert_uint_eq(tp_dut_get(b->dut, "active_o"), active);
    uint32_t positions[4] = {0}, tokens[4] = {0};
    tp_port_get_words(tp_dut_port(b->dut, "position_o"), positions);
    tp_port_get_words(tp_dut_port(b->dut, "token_o"), tokens);
    uint32_t sampling[(SLOTS * SAMPLING_BITS + 31) / 32 + 1] = {0};
    uint32_t fed = 0;
    tp_port_get_words(tp_dut_port(b->dut, "sampling_o"), sampling);
    uint32_t logits = 0, fast = 0;
    for (uint32_t s = 0; s < SLOTS; s++) {
        const struct slot *slot = &b->slots[s];
        logits |= (uint32_t)slot->logits << s;
        if (!slot->active) continue;
        bool is_fast = slot->temperature == 0 && (slot->words[0] & 0xfff) == 0 &&
                       slot->candidates == 0 && !slot->all_logits;
        fast |= (uint32_t)is_fast << s;
        ck_assert_uint_eq(positions[s / 2] >> (16 * (s % 2)) & 0xffff, slot->position);
        ck_assert_uint_eq(tokens[s / 2] >> (16 * (s % 2)) & 0xffff, slot->token);
        ck_assert_uint_lt(fed, b->fed_count);
        ck_assert_uint_eq(b->fed[fed][0], s);
        ck_assert_uint_eq(b->fed[fed][1], slot->position);
        ck_assert_uint_eq(b->fed[fed++][2], slot->token);
        /* Seed, top_k, temperature, penalties, cut, gap, candidates from the lowest on. */
        uint64_t bits[3] = {0};
        for (uint32_t i = 0; i < SAMPLING_BITS; i++) {
            uint32_t at = SAMPLING_BITS * s + i;
            bits[i / 64] |= (uint64_t)(sampling[at / 32] >> (at % 32) & 1) << (i % 64);
        }
        ck_assert_uint_eq(bits[0], slot->seed);
        ck_assert_uint_eq(bits[1] & 127, slot->top_k);
        ck_assert_uint_eq(bits[1] >> 7 & 0xfffff, slot->temperature);
        ck_assert_uint_eq(bits[1] >> 27 & 0xfff, slot->words[0] & 0xffff);
        ck_assert_uint_eq(bits[1] >> 39 & 0xfff, slot->words[0] >> 16);
        ck_assert_uint_eq((bits[1] >> 51 | bits[2] << 13) & 0xffff, slot->words[1] & 0xffff);
        ck_assert_uint_eq(bits[2] >> 3 & 0xffffff, slot->words[2]);
        ck_assert_uint_eq(bits[2] >> 27, slot->candidates);
    }
    ck_assert_uint_eq(b->fed_count, fed);
    b->fed_count = 0;
    ck_assert_uint_eq(tp_dut_get(b->dut, "logits_o"), logits);
    ck_assert_uint_eq(tp_dut_get(b->dut, "fast_o") & active, fast);
}

/* The sampler's candidates of a slot, from the last place on, and its ranking. */
static void send_candidates(struct bench *b, uint32_t s)
{
    struct slot *slot = &b->slots[s];
    uint32_t count = slot->candidates == 0 ? 0 : 1 + below(b, slot->candidates);
    uint32_t ranking[3]; /* sum, exponent, key, count from the lowest bit on */
    tp_random_words(&b->random, ranking, 3);
    ranking[2] = (ranking[2] & 0x3ffff) | count << 18;
    uint32_t key = (ranking[1] >> 26 | ranking[2] << 6) & 0xffffff;
    uint32_t exponent = (uint32_t)((int32_t)(ranking[1] << 6) >> 22) & 0xffff;
    memset(slot->ranked, 0, sizeof slot->ranked);
    slot->ranked_count = (count + 29) / 30;
    for (uint32_t i = count; i-- > 0;) {
        uint32_t value = tp_random_u32(&b->random) & 0xffffff;
        uint32_t id = below(b, VOCABULARY);
        uint32_t candidate[2] = {value | id << 24, id >> 8 | i << 8 | s << 14};
        struct message *frame = &slot->ranked[i / 30];
        frame->words[4 + 2 * (i % 30)] = id;
        frame->words[5 + 2 * (i % 30)] = (uint32_t)((int32_t)(value << 8) >> 8);
        frame->length = (uint16_t)(frame->length + 8);
        tp_dut_set(b->dut, "candidate_valid_i", 1);
        tp_port_set_words(tp_dut_port(b->dut, "candidate_i"), candidate);
        cycle(b);
        tp_dut_set(b->dut, "candidate_valid_i", 0);
        if (chance(b, 64)) cycle(b);
    }
    for (uint32_t i = 0; i < slot->ranked_count; i++) {
        struct message *frame = &slot->ranked[i];
        frame->length = (uint16_t)(frame->length + 16);
        frame->words[0] = s | 30 * i << 8 | exponent << 16;
        frame->words[1] = (uint32_t)((int32_t)(key << 8) >> 8);
        frame->words[2] = ranking[0];
        frame->words[3] = ranking[1] & 0xffff;
    }
    tp_port_set_words(tp_dut_port(b->dut, "ranking_i"), ranking);
}

static void send_logits(struct bench *b, uint32_t s)
{
    struct slot *slot = &b->slots[s];
    uint32_t count = chance(b, 128) ? 60 * (1 + below(b, 3)) : 1 + below(b, 200);
    uint32_t values[VOCABULARY];
    tp_random_words(&b->random, values, count);
    for (uint32_t i = 0; i < count;) {
        int valid = !chance(b, 64);
        tp_dut_set(b->dut, "logit_valid_i", (uint64_t)valid);
        tp_dut_set(b->dut, "logit_slot_i", s);
        tp_dut_set(b->dut, "logit_index_i", i);
        tp_dut_set(b->dut, "logit_data_i", values[i]);
        tp_dut_set(b->dut, "logit_last_i", i + 1 == count);
        cycle(b);
        i += (uint32_t)valid;
    }
    tp_dut_set(b->dut, "logit_valid_i", 0);
    for (uint32_t first = 0; slot->all_logits && first < count; first += 60) {
        uint32_t part = count - first < 60 ? count - first : 60;
        struct message *event = expect_event(b, TP_FRAME_LOGITS, (uint16_t)(8 + 4 * part));
        event->words[0] = s | part << 16;
        event->words[1] = first;
        memcpy(event->words + 2, values + first, part * sizeof *values);
    }
    send_candidates(b, s);
    slot->sampled = chance(b, 200) ? 40 + below(b, VOCABULARY - 40) : below(b, 40);
    tp_dut_set(b->dut, "token_valid_i", 1);
    tp_dut_set(b->dut, "token_slot_i", s);
    tp_dut_set(b->dut, "token_i", slot->sampled);
    cycle(b);
    tp_dut_set(b->dut, "token_valid_i", 0);
    tp_dut_set(b->dut, "token_i", below(b, 65536));
}

static void count_events(struct bench *b)
{
    uint32_t saturations[4] = {0}, clips = 0;
    struct tp_port *port = tp_dut_port(b->dut, "saturations_i");
    for (int i = 0; i < 4; i++) {
        uint32_t n = below(b, 9);
        saturations[0] |= n << (4 * i);
        b->saturations += n;
        n = below(b, 3);
        clips |= n << (2 * i);
        b->clips += n;
    }
    tp_port_set_words(port, saturations);
    tp_dut_set(b->dut, "clips_i", clips);
    int bad = chance(b, 64);
    tp_dut_set(b->dut, "bad_i", (uint64_t)bad);
    b->bad += (uint64_t)bad;
    cycle(b);
    saturations[0] = 0;
    tp_port_set_words(port, saturations);
    tp_dut_set(b->dut, "clips_i", 0);
    tp_dut_set(b->dut, "bad_i", 0);
}

static void run_step(struct bench *b)
{
    uint32_t active = choose(b);
    take_tokens(b);
    for (uint32_t wait = 0; !b->started; wait++) {
        ck_assert_uint_lt(wait, WAIT_MAX);
        cycle(b);
    }
    check_start(b, active);
    uint32_t commands = chance(b, 128) ? 1 + below(b, 3) : 0;
    for (uint32_t i = 0; i < commands; i++) send_any(b, 1);
    count_events(b);
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (b->slots[s].logits) send_logits(b, s);
    }
    /* Sometimes the step ends at once, while the last token is being compared. */
    uint32_t idle = chance(b, 128) ? 0 : below(b, 40);
    while (idle-- > 0) cycle(b);
    uint32_t cycles = tp_random_u32(&b->random);
    b->started = 0;
    tp_dut_set(b->dut, "end_valid_i", 1);
    tp_dut_set(b->dut, "end_cycles_i", cycles);
    cycle(b);
    tp_dut_set(b->dut, "end_valid_i", 0);
    finish_step(b, cycles);
}

static void open_bench(struct bench *b, uint64_t seed, uint32_t pause)
{
    memset(b, 0, sizeof *b);
    b->dut = tp_dut_open(seed);
    b->pause = pause;
    tp_random_init(&b->random, seed, 1);
    b->frame_valid = tp_dut_port(b->dut, "frame_valid_i");
    b->frame_ready = tp_dut_port(b->dut, "frame_ready_o");
    b->word_valid = tp_dut_port(b->dut, "word_valid_i");
    b->word_ready = tp_dut_port(b->dut, "word_ready_o");
    b->reply_valid = tp_dut_port(b->dut, "reply_valid_o");
    b->reply_ready = tp_dut_port(b->dut, "reply_ready_i");
    b->part_valid = tp_dut_port(b->dut, "part_valid_o");
    b->part_ready = tp_dut_port(b->dut, "part_ready_i");
    b->part_data = tp_dut_port(b->dut, "part_data_o");
    b->cfg_valid = tp_dut_port(b->dut, "cfg_valid_o");
    b->start = tp_dut_port(b->dut, "start_o");
    tp_dut_set(b->dut, "candidate_valid_i", 0);
}

START_TEST(control_does_what_the_page_says)
{
    struct bench *b = &bench;
    static const uint32_t pauses[] = {0, 20, 128, 230};
    open_bench(b, tp_test_seed(_i), pauses[_i % 4]);
    uint32_t ends = 0;
    for (int round = 0; round < 400 || (b->steps < 40 && round < 1200); round++) {
        if (choose(b) != 0) {
            run_step(b);
            ends += b->expected_events.items[b->expected_events.count - 1].type == TP_FRAME_DONE;
            if (chance(b, 64)) settle(b, &b->events, &b->expected_events);
        } else {
            settle(b, &b->events, &b->expected_events);
            send_any(b, 0);
        }
        ck_assert_uint_lt(b->expected_events.count, LIST_MAX - 64);
        if (b->expected_events.count > 1000) settle(b, &b->events, &b->expected_events);
    }
    while (choose(b) != 0) run_step(b);
    settle(b, &b->events, &b->expected_events);
    check_statistics(b);
    settle(b, &b->answers, &b->expected_answers);
    for (int i = 0; i < 500; i++) cycle(b);
    ck_assert_uint_eq(b->events.count + b->answers.count, 0);
    ck_assert_int_eq(b->started, 0);
    ck_assert_uint_eq(b->cfg_count, b->expected_cfg_count);
    ck_assert_int_eq(memcmp(b->cfg, b->expected_cfg, b->cfg_count * sizeof b->cfg[0]), 0);
    ck_assert_uint_eq(b->recent_count, b->expected_recent_count);
    ck_assert_int_eq(memcmp(b->recent, b->expected_recent, b->recent_count * sizeof b->recent[0]),
                     0);
    ck_assert_uint_eq(b->clears, b->expected_clears);
    ck_assert_uint_gt(ends, 1);
    ck_assert_uint_gt(b->steps, 20);
    tp_dut_close(b->dut);
}
END_TEST

/* Words and sums of all spaces; what does not exist is passed over and never read. */
START_TEST(control_reads_words_and_their_sums)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i), 40 * ((uint32_t)_i % 4));
    for (int round = 0; round < 120; round++) {
        check_read(b);
        if (chance(b, 128)) settle(b, &b->answers, &b->expected_answers);
        if (chance(b, 20)) send_write(b, 0);
    }
    settle(b, &b->answers, &b->expected_answers);
    if (READ_BACK) ck_assert_uint_gt(b->words_read, 500);
    tp_dut_close(b->dut);
}
END_TEST

/* A page table is written between two steps of running slots: it waits for the end of the step. */
START_TEST(control_writes_page_tables_between_steps)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i), 0);
    struct message message;
    fresh(b, &message, TP_FRAME_SLOT, TP_SLOT_BYTES);
    message.words[4] = 64;
    send(b, &message, TP_ACK_OK);
    fresh(b, &message, TP_FRAME_FEED, 4);
    send(b, &message, TP_ACK_OK);
    fresh(b, &message, TP_FRAME_RUN, 8);
    message.words[1] = 10;
    send(b, &message, TP_ACK_OK);
    settle(b, &b->answers, &b->expected_answers);
    for (int i = 0; i < WAIT_MAX && !b->started; i++) cycle(b);
    fresh(b, &message, TP_FRAME_WRITE, 12);
    message.words[0] = TP_SPACE_PAGE_TABLE;
    message.words[1] = 3;
    message.words[2] = 77;
    send(b, &message, TP_ACK_OK);
    for (int i = 0; i < 300; i++) cycle(b);
    ck_assert_uint_eq(b->answers.count, 0);
    ck_assert_uint_eq(b->cfg_count, 0);
    b->started = 0;
    b->fed_count = 0;
    tp_dut_set(b->dut, "token_valid_i", 1);
    cycle(b);
    tp_dut_set(b->dut, "token_valid_i", 0);
    tp_dut_set(b->dut, "end_valid_i", 1);
    cycle(b);
    tp_dut_set(b->dut, "end_valid_i", 0);
    for (int i = 0; i < WAIT_MAX && !b->started; i++) {
        cycle(b);
        ck_assert_int_eq(b->started && b->cfg_count == 0, 0);
    }
    ck_assert_int_eq(b->started, 1);
    ck_assert_uint_eq(b->cfg_count, 1);
    ck_assert_uint_eq(b->cfg[0][1], 3);
    ck_assert_uint_eq(b->cfg[0][2], 77);
    settle(b, &b->answers, &b->expected_answers);
    tp_dut_close(b->dut);
}
END_TEST

/* From the end of a step to the start of the next: constant but for the tokens that are reported.
 */
START_TEST(control_starts_the_next_step_in_constant_time)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i), 0);
    struct message message;
    for (uint32_t s = 0; s < SLOTS; s++) {
        fresh(b, &message, TP_FRAME_SLOT, TP_SLOT_BYTES);
        message.words[0] = s;
        message.words[4] = 64;
        send(b, &message, TP_ACK_OK);
        fresh(b, &message, TP_FRAME_FEED, 4);
        message.words[0] = s;
        send(b, &message, TP_ACK_OK);
        fresh(b, &message, TP_FRAME_RUN, 8);
        message.words[0] = s | (s + 1 < SLOTS ? 1u << 8 : 0);
        message.words[1] = 40;
        send(b, &message, TP_ACK_OK);
    }
    settle(b, &b->answers, &b->expected_answers);
    for (int step = 0; step < 20; step++) {
        for (int i = 0; i < WAIT_MAX && !b->started; i++) cycle(b);
        b->fed_count = 0;
        for (uint32_t s = 0; s < SLOTS; s++) {
            tp_dut_set(b->dut, "token_valid_i", 1);
            tp_dut_set(b->dut, "token_slot_i", s);
            cycle(b);
            tp_dut_set(b->dut, "token_valid_i", 0);
            for (int i = 0; i < 100; i++) cycle(b);
        }
        b->started = 0;
        tp_dut_set(b->dut, "end_valid_i", 1);
        uint64_t end = tp_dut_cycles(b->dut);
        cycle(b);
        tp_dut_set(b->dut, "end_valid_i", 0);
        for (int i = 0; i < WAIT_MAX && !b->started; i++) cycle(b);
        uint64_t start = tp_dut_cycles(b->dut) - 1;
        ck_assert_uint_eq(start - end, 4 * SLOTS + 12 + SLOTS);
    }
    tp_dut_close(b->dut);
}
END_TEST

/* Steps that begin until nothing happens for long; each ends at once. */
static uint32_t count_steps(struct bench *b)
{
    uint32_t steps = 0;
    for (int quiet = 0; quiet < 400; quiet++) {
        cycle(b);
        if (!b->started) continue;
        steps++;
        quiet = 0;
        b->started = 0;
        b->fed_count = 0;
        tp_dut_set(b->dut, "end_valid_i", 1);
        cycle(b);
        tp_dut_set(b->dut, "end_valid_i", 0);
    }
    return steps;
}

static void send_credit(struct bench *b, uint32_t until)
{
    struct message message;
    fresh(b, &message, TP_FRAME_CREDIT, 4);
    message.words[0] = until << 16 | 0xabcdu;
    send(b, &message, TP_ACK_OK);
    settle(b, &b->answers, &b->expected_answers);
}

/* A slot with a long queue goes on as far as the host's credit; HELLO ends the limit. */
START_TEST(control_begins_as_many_steps_as_it_may)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i), 0);
    struct message message;
    fresh(b, &message, TP_FRAME_SLOT, TP_SLOT_BYTES);
    message.words[4] = 64;
    send(b, &message, TP_ACK_OK);
    fresh(b, &message, TP_FRAME_FEED, 2 + 2 * 40);
    send(b, &message, TP_ACK_OK);
    send_credit(b, 3);
    fresh(b, &message, TP_FRAME_RUN, 8);
    send(b, &message, TP_ACK_OK);
    settle(b, &b->answers, &b->expected_answers);
    ck_assert_uint_eq(tp_dut_get(b->dut, "idle_o"), 0);
    ck_assert_uint_eq(count_steps(b), 3);
    ck_assert_uint_eq(tp_dut_get(b->dut, "idle_o"), 1);
    send_credit(b, 5);
    send_credit(b, 7);
    ck_assert_uint_eq(count_steps(b), 4);
    /* Neither a repetition nor a number that was reached adds one. */
    send_again(b);
    settle(b, &b->answers, &b->expected_answers);
    send_credit(b, 7);
    ck_assert_uint_eq(count_steps(b), 0);
    /* The number is of 16 bits: this one is behind. */
    send_credit(b, 7 + 32768);
    ck_assert_uint_eq(count_steps(b), 0);
    send_credit(b, 9);
    ck_assert_uint_eq(count_steps(b), 2);
    int lifted = _i % 2;
    if (lifted) {
        send_hello(b);
        settle(b, &b->answers, &b->expected_answers);
    } else {
        fresh(b, &message, TP_FRAME_CREDIT, 4);
        send(b, &message, TP_ACK_OK);
        settle(b, &b->answers, &b->expected_answers);
    }
    ck_assert_uint_eq(count_steps(b), 40 - 9);
    tp_dut_close(b->dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("control");
    TCase *tcase = tcase_create("frames");
    tcase_add_loop_test(tcase, control_does_what_the_page_says, 0, 24);
    tcase_add_loop_test(tcase, control_reads_words_and_their_sums, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, control_writes_page_tables_between_steps, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, control_starts_the_next_step_in_constant_time, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, control_begins_as_many_steps_as_it_may, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// The emulator: the golden machine behind the frames of the link. It has no clock: the cycles of
// its STEP events are 0, which means "not counted".
//
// Names: "" is a device with room for models of a hundred million weights; a configuration's name
// gives the limits of that configuration.

#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "frame.h"
#include "machine.h"

enum {
    QUEUE_MAX = 4096,
    CANDIDATES_FRAMES = (TP_TOP_K_MAX + TP_CANDIDATES_MAX - 1) / TP_CANDIDATES_MAX,
    // The events of a step without LOGITS, and as much again for answers.
    REPLY_BYTES_MAX = 4096 + 2 * TP_SLOTS_MAX * CANDIDATES_FRAMES * TP_FRAME_BYTES_MAX
};

struct emulated_slot {
    bool open;
    bool running;
    bool held;
    bool cancelled;
    bool logits;
    struct tp_sampling sampling;
    uint32_t context;
    uint32_t position;
    uint32_t stride;    // positions from a step to the slot's next one
    uint32_t distance;  // from the token before the next one to the next one
    uint32_t stop_count;
    uint16_t stop[TP_STOP_MAX];
    uint16_t queue[QUEUE_MAX];
    uint32_t queue_first;
    uint32_t queue_count;
    uint32_t remaining;  // tokens still to be sampled
    uint32_t next;       // sampled token that the next step takes
    struct tp_recent recent;
    uint32_t candidates;  // to be reported
    struct tp_ranking ranking;
    int32_t next_key;
};

struct emulator {
    struct tp_limits limits;
    struct tp_machine *machine;
    bool prepared;
    bool no_memory;  // a step cannot be prepared: the device has failed
    struct emulated_slot slots[TP_SLOTS_MAX];
    struct tp_frame_decoder decoder;
    bool answered;  // last_* are of the frame that was answered last
    uint8_t last_type;
    uint8_t last_sequence;
    uint8_t last_status;
    uint8_t event_sequence;
    uint32_t step;
    bool is_limited;  // steps may begin up to a number
    uint16_t limit;
    uint64_t tokens;
    int32_t *logits;  // [vocab_max]
    uint8_t *reply;   // bytes for the host
    size_t reply_first;
    size_t reply_count;
    size_t reply_max;
};

static const struct {
    const char *name;
    struct tp_limits limits;
} configurations[] = {
    {"",
     {4, 8, 1u << 20, 1u << 20, 4096, 8192, 16384, 65536, 4096, 1024, 1u << 15, 32767, 3, 1, 7, 64,
      TP_TOP_K_MAX, 1}},
#define TP_CONFIG(name, groups, slots, weight_beats, kv_rows, dim_max, query_max, hidden_max,      \
                  vocab_max, positions_max, program_max, gain_quads, constant_pairs, codebooks,    \
                  head_norm, head_log2_max, attention_lanes, top_k, read_back, text)               \
    {#name,                                                                                        \
     {groups, slots, weight_beats, kv_rows, dim_max, query_max, hidden_max, vocab_max,             \
      positions_max, program_max, gain_quads, constant_pairs, codebooks, head_norm, head_log2_max, \
      attention_lanes, top_k, read_back}},
#include "tp_configs.def"
#undef TP_CONFIG
};

// ---- frames to the host ----

static void send(struct emulator *e, uint8_t type, uint8_t sequence, const uint8_t *payload,
                 size_t length)
{
    struct tp_frame frame = {.type = type, .sequence = sequence, .length = (uint16_t)length};
    memcpy(frame.payload, payload, length);
    e->reply_count += tp__frame_encode(&frame, e->reply + e->reply_count);
}

static void send_event(struct emulator *e, uint8_t type, const uint8_t *payload, size_t length)
{
    send(e, type, e->event_sequence++, payload, length);
}

static void send_hello(struct emulator *e, uint8_t sequence)
{
    const struct tp_limits *l = &e->limits;
    uint8_t p[40] = {0};
    tp__put16(p, TP_PROTOCOL_VERSION);
    p[2] = (uint8_t)l->groups;
    p[3] = (uint8_t)l->slots;
    p[4] = (uint8_t)(l->head_norm | TP_HELLO_FULL_SAMPLING |
                     TP_HELLO_LANES * (64 / l->attention_lanes / 2) |
                     (l->read_back != 0 ? TP_HELLO_READ_BACK : 0));
    p[5] = (uint8_t)l->codebooks;
    p[6] = (uint8_t)l->top_k;
    p[7] = (uint8_t)l->head_log2_max;
    tp__put32(p + 8, l->weight_beats);
    tp__put32(p + 12, l->kv_rows);
    tp__put16(p + 16, (uint16_t)l->dim_max);
    tp__put16(p + 18, (uint16_t)l->query_max);
    tp__put16(p + 20, (uint16_t)l->hidden_max);
    tp__put16(p + 22, (uint16_t)l->positions_max);
    tp__put32(p + 24, l->vocab_max);
    tp__put16(p + 28, (uint16_t)l->program_max);
    tp__put16(p + 30, QUEUE_MAX);
    tp__put16(p + 32, (uint16_t)l->gain_quads);
    tp__put16(p + 34, (uint16_t)l->constant_pairs);
    send(e, TP_FRAME_HELLO_REPLY, sequence, p, sizeof p);
}

static void send_statistics(struct emulator *e, uint8_t sequence)
{
    struct tp_counters counters = tp_machine_counters(e->machine);
    uint8_t p[56] = {0};
    tp__put64(p + 16, e->step);
    tp__put64(p + 24, e->tokens);
    tp__put64(p + 32, counters.saturations);
    tp__put64(p + 40, counters.clips);
    tp__put32(p + 48, (uint32_t)e->decoder.bad);
    send(e, TP_FRAME_STATISTICS_REPLY, sequence, p, sizeof p);
}

static void send_sections(struct emulator *e, uint8_t sequence, uint32_t first)
{
    uint8_t p[16 * TP_SECTIONS_PER_FRAME] = {0};
    for (uint32_t i = 0; i < TP_SECTIONS_PER_FRAME; i++) {
        struct tp_section section = tp_machine_section(e->machine, first + i);
        uint8_t *at = p + 16 * (size_t)i;
        tp__put32(at, section.saturations);
        tp__put32(at + 4, section.clips);
        memcpy(at + 8, section.exponent_max, sizeof section.exponent_max);
    }
    send(e, TP_FRAME_SECTIONS_REPLY, sequence, p, sizeof p);
}

// ---- frames from the host ----

static bool any_running(const struct emulator *e)
{
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        if (e->slots[s].running) {
            return true;
        }
    }
    return false;
}

static uint8_t handle_write(struct emulator *e, const struct tp_frame *frame)
{
    if (frame->length < 12 || frame->length % 4 != 0) {
        return TP_ACK_LENGTH;
    }
    uint32_t space = frame->payload[0];
    uint32_t address = tp__get32(frame->payload + 4);
    uint32_t count = (frame->length - 8u) / 4u;
    uint32_t last = address;
    for (uint32_t i = 1; i < count; i++) {
        last = tp_space_next(&e->limits, space, last);
    }
    if (!tp_space_has(&e->limits, space, address) || !tp_space_has(&e->limits, space, last)) {
        return TP_ACK_RANGE;
    }
    if (space != TP_SPACE_PAGE_TABLE && any_running(e)) {
        return TP_ACK_BUSY;
    }
    uint32_t words[TP_WRITE_WORDS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        words[i] = tp__get32(frame->payload + 8 + 4 * (size_t)i);
    }
    // Pages that the KV memory has not are ignored, as by the device.
    (void)tp_machine_write(e->machine, space, address, words, count);
    e->prepared = e->prepared && space == TP_SPACE_PAGE_TABLE;
    return TP_ACK_OK;
}

static bool sampling_fits(const struct tp_limits *limits, const struct tp_sampling *sampling)
{
    return sampling->temperature >> 20 == 0 && sampling->top_k <= limits->top_k &&
           sampling->penalty_positive >> 12 == 0 && sampling->penalty_negative >> 12 == 0 &&
           sampling->min_p_gap >> 24 == 0;
}

static uint8_t handle_slot(struct emulator *e, const struct tp_frame *frame)
{
    const uint8_t *p = frame->payload;
    struct emulated_slot *slot = &e->slots[p[0]];
    if (slot->running) {
        return TP_ACK_BUSY;
    }
    memset(slot, 0, sizeof *slot);
    slot->logits = (p[1] & 1u) != 0;
    slot->sampling.top_k = p[2];
    slot->stop_count = p[3];
    slot->sampling.temperature = tp__get32(p + 4);
    slot->sampling.seed = tp__get64(p + 8);
    slot->context = tp__get16(p + 16);
    slot->position = tp__get16(p + 18);
    for (uint32_t i = 0; i < TP_STOP_MAX; i++) {
        slot->stop[i] = tp__get16(p + 20 + 2 * (size_t)i);
    }
    slot->sampling.penalty_positive = tp__get16(p + 36);
    slot->sampling.penalty_negative = tp__get16(p + 38);
    slot->sampling.top_p_cut = tp__get16(p + 40);
    slot->candidates = p[42];
    slot->stride = p[43] == 0 ? 1 : p[43];
    slot->distance = 1;
    slot->sampling.min_p_gap = tp__get32(p + 44);
    slot->open = sampling_fits(&e->limits, &slot->sampling) &&
                 slot->candidates <= e->limits.top_k && slot->stop_count <= TP_STOP_MAX &&
                 slot->stride <= TP_SLOTS_MAX && slot->context != 0 &&
                 slot->context <= e->limits.positions_max && slot->position < slot->context;
    uint32_t index = 0;
    if (!e->prepared) {
        // The memory of the steps is taken here, never later.
        e->prepared = tp_machine_prepare(e->machine, &index);
        e->no_memory = !e->prepared && index == UINT32_MAX;
    }
    return slot->open ? TP_ACK_OK : TP_ACK_RANGE;
}

// Tokens of a frame from byte 2 on; false when one is not of the vocabulary.
static bool tokens_fit(const struct emulator *e, const struct tp_frame *frame)
{
    for (uint32_t i = 2; i + 1 < frame->length; i += 2) {
        if (tp__get16(frame->payload + i) >= e->limits.vocab_max) {
            return false;
        }
    }
    return true;
}

static uint8_t handle_recent(struct emulator *e, const struct tp_frame *frame)
{
    struct emulated_slot *slot = &e->slots[frame->payload[0]];
    uint32_t count = (frame->length - 2u) / 2u;
    if (slot->running) {
        return TP_ACK_BUSY;
    }
    if (!slot->open || count > slot->position || !tokens_fit(e, frame)) {
        return TP_ACK_RANGE;
    }
    slot->recent = (struct tp_recent){.count = 0};
    for (uint32_t i = 0; i < count; i++) {
        tp_recent_add(&slot->recent, tp__get16(frame->payload + 2 + 2 * (size_t)i));
    }
    return TP_ACK_OK;
}

static uint8_t handle_feed(struct emulator *e, const struct tp_frame *frame)
{
    struct emulated_slot *slot = &e->slots[frame->payload[0]];
    uint32_t count = (frame->length - 2u) / 2u;
    if (slot->running) {
        return TP_ACK_BUSY;
    }
    if (!slot->open || !tokens_fit(e, frame)) {
        return TP_ACK_RANGE;
    }
    if (count > QUEUE_MAX - slot->queue_count) {
        return TP_ACK_FULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (slot->queue_first + slot->queue_count++) % QUEUE_MAX;
        slot->queue[place] = tp__get16(frame->payload + 2 + 2 * (size_t)i);
    }
    return TP_ACK_OK;
}

static uint8_t handle_run(struct emulator *e, const struct tp_frame *frame)
{
    struct emulated_slot *slot = &e->slots[frame->payload[0]];
    if (slot->running) {
        return TP_ACK_BUSY;
    }
    if (!slot->open || slot->queue_count == 0 || slot->position >= slot->context || !e->prepared) {
        return TP_ACK_RANGE;
    }
    slot->running = true;
    slot->cancelled = false;
    slot->held = (frame->payload[1] & 1u) != 0;
    slot->remaining = tp__get32(frame->payload + 4);
    if (!slot->held) {
        for (uint32_t s = 0; s < e->limits.slots; s++) {
            e->slots[s].held = false;
        }
    }
    return TP_ACK_OK;
}

// Status of a READ frame; with OK the words, or their checksum, are in reply [*size].
static uint8_t read_words(const struct emulator *e, const struct tp_frame *frame,
                          uint8_t reply[TP_PAYLOAD_MAX], size_t *size)
{
    const uint8_t *p = frame->payload;
    if (e->limits.read_back == 0) {
        return TP_ACK_TYPE;
    }
    if (frame->length != 8) {
        return TP_ACK_LENGTH;
    }
    uint32_t space = p[0];
    bool sum = (p[1] & 1u) != 0;
    uint32_t left = tp__get16(p + 2);
    uint32_t address = tp__get32(p + 4);
    if (space > TP_SPACE_FREQUENCY || left == 0 || (!sum && left > TP_READ_WORDS_MAX) ||
        !tp_space_has(&e->limits, space, address)) {
        return TP_ACK_RANGE;
    }
    if (any_running(e)) {
        return TP_ACK_BUSY;
    }
    uint32_t crc = 0;
    *size = 0;
    for (; left > 0 && tp_space_has(&e->limits, space, address); left--) {
        uint32_t word = 0;
        uint8_t bytes[4];
        (void)tp_machine_read(e->machine, space, address, &word);
        address = tp_space_next(&e->limits, space, address);
        tp__put32(bytes, word);
        crc = tp__crc32_more(crc, bytes, sizeof bytes);
        if (!sum) {
            memcpy(reply + *size, bytes, sizeof bytes);
            *size += sizeof bytes;
        }
    }
    if (sum) {
        tp__put32(reply, crc);
        *size = 4;
    }
    return left == 0 ? TP_ACK_OK : TP_ACK_RANGE;
}

// Status of a SECTIONS frame; OK is answered by the counts and not by ACK.
static uint8_t judge_sections(const struct emulator *e, const struct tp_frame *frame)
{
    if (frame->length != 4) {
        return TP_ACK_LENGTH;
    }
    if (frame->payload[0] % TP_SECTIONS_PER_FRAME != 0 || frame->payload[0] >= TP_SECTIONS) {
        return TP_ACK_RANGE;
    }
    return any_running(e) ? TP_ACK_BUSY : TP_ACK_OK;
}

static uint8_t handle(struct emulator *e, const struct tp_frame *frame)
{
    bool has_slot = (frame->type >= TP_FRAME_SLOT && frame->type <= TP_FRAME_CANCEL) ||
                    frame->type == TP_FRAME_RECENT;
    bool even = frame->length >= 4 && frame->length % 2 == 0;
    bool length_ok = frame->type == TP_FRAME_SLOT     ? frame->length == TP_SLOT_BYTES
                     : frame->type == TP_FRAME_FEED   ? even
                     : frame->type == TP_FRAME_RECENT ? even && frame->length <= 128
                     : frame->type == TP_FRAME_RUN    ? frame->length == 8
                     : frame->type == TP_FRAME_CANCEL || frame->type == TP_FRAME_CREDIT
                         ? frame->length == 4
                         : true;
    if (!length_ok) {
        return TP_ACK_LENGTH;
    }
    if (has_slot && frame->payload[0] >= e->limits.slots) {
        return TP_ACK_RANGE;
    }
    switch (frame->type) {
    case TP_FRAME_WRITE:
        return handle_write(e, frame);
    case TP_FRAME_SLOT:
        return handle_slot(e, frame);
    case TP_FRAME_FEED:
        return handle_feed(e, frame);
    case TP_FRAME_RECENT:
        return handle_recent(e, frame);
    case TP_FRAME_RUN:
        return handle_run(e, frame);
    case TP_FRAME_CANCEL:
        e->slots[frame->payload[0]].cancelled = e->slots[frame->payload[0]].running;
        return TP_ACK_OK;
    case TP_FRAME_SECTIONS:
        return judge_sections(e, frame);
    case TP_FRAME_CREDIT:
        e->is_limited = (frame->payload[0] & 1u) != 0;
        e->limit = tp__get16(frame->payload + 2);
        return TP_ACK_OK;
    default:
        return TP_ACK_TYPE;
    }
}

// The status of a frame, which is executed unless it is a repetition.
static uint8_t status_of(struct emulator *e, const struct tp_frame *frame)
{
    if (frame->type == TP_FRAME_HELLO || frame->type == TP_FRAME_STATISTICS) {
        return frame->length == 0 ? TP_ACK_OK : TP_ACK_LENGTH;
    }
    bool repeated = e->answered && frame->type != TP_FRAME_SECTIONS &&
                    frame->type == e->last_type && frame->sequence == e->last_sequence;
    return repeated ? e->last_status : handle(e, frame);
}

static void take_frame(struct emulator *e, const struct tp_frame *frame)
{
    uint8_t words[TP_PAYLOAD_MAX];
    size_t size = 0;
    uint8_t status =
        frame->type == TP_FRAME_READ ? read_words(e, frame, words, &size) : status_of(e, frame);
    e->answered = true;
    e->last_type = frame->type;
    e->last_sequence = frame->sequence;
    e->last_status = status;
    if (frame->type == TP_FRAME_HELLO && status == TP_ACK_OK) {
        e->is_limited = false;
        send_hello(e, frame->sequence);
    } else if (frame->type == TP_FRAME_STATISTICS && status == TP_ACK_OK) {
        send_statistics(e, frame->sequence);
    } else if (frame->type == TP_FRAME_SECTIONS && status == TP_ACK_OK) {
        send_sections(e, frame->sequence, frame->payload[0]);
    } else if (frame->type == TP_FRAME_READ && status == TP_ACK_OK) {
        send(e, TP_FRAME_READ_REPLY, frame->sequence, words, size);
    } else {
        const uint8_t payload[4] = {frame->type, status, 0, 0};
        send(e, TP_FRAME_ACK, frame->sequence, payload, sizeof payload);
    }
}

// ---- steps ----

static void send_logits(struct emulator *e, uint32_t slot, uint32_t vocab)
{
    uint8_t p[8 + 4 * 60];
    for (uint32_t first = 0; first < vocab; first += 60) {
        uint32_t count = vocab - first < 60 ? vocab - first : 60;
        p[0] = (uint8_t)slot;
        p[1] = 0;
        tp__put16(p + 2, (uint16_t)count);
        tp__put32(p + 4, first);
        for (uint32_t i = 0; i < count; i++) {
            tp__put32(p + 8 + 4 * (size_t)i, (uint32_t)e->logits[first + i]);
        }
        send_event(e, TP_FRAME_LOGITS, p, 8 + 4 * (size_t)count);
    }
}

static void send_candidates(struct emulator *e, uint32_t s)
{
    const struct emulated_slot *slot = &e->slots[s];
    const struct tp_ranking *ranking = &slot->ranking;
    for (uint32_t first = 0; first < ranking->count; first += TP_CANDIDATES_MAX) {
        uint8_t p[16 + 8 * TP_CANDIDATES_MAX] = {(uint8_t)s, (uint8_t)first};
        uint32_t left = ranking->count - first;
        uint32_t count = left < TP_CANDIDATES_MAX ? left : TP_CANDIDATES_MAX;
        tp__put16(p + 2, (uint16_t)ranking->weights.exponent);
        tp__put32(p + 4, (uint32_t)slot->next_key);
        tp__put64(p + 8, ranking->weights.sum);
        for (uint32_t i = 0; i < count; i++) {
            tp__put16(p + 16 + 8 * (size_t)i, ranking->id[first + i]);
            tp__put32(p + 20 + 8 * (size_t)i, (uint32_t)ranking->key[first + i]);
        }
        send_event(e, TP_FRAME_CANDIDATES, p, 16 + 8 * (size_t)count);
    }
}

// One slot's part of a step. Returns the reason that ends its run, or -1.
static int step_slot(struct emulator *e, uint32_t s, bool *logits_part, int32_t *sampled)
{
    struct emulated_slot *slot = &e->slots[s];
    uint32_t token = slot->next;
    if (slot->queue_count != 0) {
        token = slot->queue[slot->queue_first];
        slot->queue_first = (slot->queue_first + 1) % QUEUE_MAX;
        slot->queue_count--;
    }
    bool asked = slot->queue_count == 0 && slot->remaining != 0;
    *logits_part = asked || slot->logits;
    uint32_t vocab =
        tp_machine_step(e->machine, s, slot->position, token, *logits_part ? e->logits : NULL);
    *sampled = -1;
    bool stop = false;
    // The positions between belong to nobody; only the last place of a token counts.
    for (uint32_t i = 0; i < slot->distance; i++) {
        tp_recent_add(&slot->recent, token);
    }
    slot->distance = slot->stride;
    if (slot->logits && *logits_part) {
        send_logits(e, s, vocab);
    }
    if (asked && vocab != 0) {
        tp_penalise(&slot->sampling, &slot->recent, e->logits, vocab);
        if (slot->candidates != 0) {
            tp_rank(e->logits, vocab, slot->candidates, &slot->ranking);
        }
        slot->next = tp_sample(&slot->sampling, slot->position, e->logits, vocab);
        *sampled = (int32_t)slot->next;
        slot->next_key = tp_sample_key(e->logits[slot->next]);
        slot->remaining--;
        for (uint32_t i = 0; i < slot->stop_count; i++) {
            stop = stop || slot->stop[i] == slot->next;
        }
    }
#ifdef TP_PLANT_BUG
    // The planted fault moves every slot on by one position.
    slot->position++;
#else
    slot->position += slot->stride;
#endif
    e->tokens++;
    if (stop) {
        return TP_REASON_STOP;
    }
    if (asked && slot->remaining == 0) {
        return TP_REASON_LIMIT;
    }
    if (!asked && slot->queue_count == 0) {
        return TP_REASON_FED;
    }
    if (slot->position >= slot->context) {
        return TP_REASON_CONTEXT;
    }
    return -1;
}

// Slots that take part in the next step, as a mask: of those that send logits only the lowest.
static uint8_t slots_of_step(const struct emulator *e)
{
    uint32_t mask = 0;
    bool logits_slot_taken = false;
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        const struct emulated_slot *slot = &e->slots[s];
        if (slot->running && !slot->held && !(slot->logits && logits_slot_taken)) {
            logits_slot_taken = logits_slot_taken || slot->logits;
            mask |= 1u << s;
        }
    }
    return (uint8_t)mask;
}

static void end_run(struct emulator *e, uint32_t s, uint8_t reason)
{
    struct emulated_slot *slot = &e->slots[s];
    uint8_t p[4] = {(uint8_t)s, reason};
    tp__put16(p + 2, (uint16_t)slot->position);
    send_event(e, TP_FRAME_DONE, p, sizeof p);
    slot->running = false;
    slot->queue_count = 0;
}

// Between two steps; true when a run ended.
static bool end_cancelled_runs(struct emulator *e)
{
    bool any = false;
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        if (e->slots[s].running && e->slots[s].cancelled) {
            end_run(e, s, TP_REASON_CANCEL);
            any = true;
        }
    }
    return any;
}

static bool may_step(const struct emulator *e)
{
    return !e->is_limited || (int16_t)(e->limit - (uint16_t)e->step) > 0;
}

static bool run_step(struct emulator *e)
{
    uint8_t step[28] = {0};
    int32_t sampled[TP_SLOTS_MAX];
    int reason[TP_SLOTS_MAX];
    step[8] = slots_of_step(e);
    tp_machine_share(e->machine, (step[8] & (step[8] - 1)) != 0);
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        if (!tp__has_slot(step[8], s)) {
            continue;
        }
        tp__put16(step + 12 + 2 * (size_t)s, (uint16_t)e->slots[s].position);
        bool logits_part = false;
        reason[s] = step_slot(e, s, &logits_part, &sampled[s]);
        step[9] = (uint8_t)(step[9] | (logits_part ? 1u : 0u) << s);
    }
    if (step[8] == 0) {
        return false;
    }
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        if (tp__has_slot(step[8], s) && sampled[s] >= 0) {
            uint8_t p[8] = {(uint8_t)s};
            if (e->slots[s].candidates != 0) {
                send_candidates(e, s);
            }
            tp__put16(p + 2, (uint16_t)sampled[s]);
            tp__put16(p + 4, tp__get16(step + 12 + 2 * (size_t)s));
            send_event(e, TP_FRAME_TOKEN, p, sizeof p);
        }
    }
    tp__put32(step, e->step++);
    send_event(e, TP_FRAME_STEP, step, sizeof step);
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        if (tp__has_slot(step[8], s) && reason[s] >= 0) {
            end_run(e, s, (uint8_t)reason[s]);
        }
    }
    return true;
}

// ---- the table ----

static void emulator_close(void *state)
{
    struct emulator *e = state;
    if (e != NULL) {
        tp_machine_destroy(e->machine);
        free(e->logits);
        free(e->reply);
        free(e);
    }
}

static tp_status emulator_open(const char *name, const char *folder, void **state,
                               struct tp_error *error)
{
    (void)folder;
    size_t index = 0;
    while (index < sizeof configurations / sizeof *configurations &&
           strcmp(configurations[index].name, name) != 0) {
        index++;
    }
    if (index == sizeof configurations / sizeof *configurations) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "emu:%s: no configuration has this name - try: tokproc devices", name);
    }
    struct emulator *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "emu: no memory for the emulator");
    }
    e->limits = configurations[index].limits;
    e->machine = tp_machine_create(&e->limits);
    e->logits = calloc(e->limits.vocab_max, sizeof *e->logits);
    // Room for the logits of a step in frames of 60, and for all other frames of a step.
    e->reply_max = REPLY_BYTES_MAX + (size_t)(e->limits.vocab_max / 60 + 1) * TP_FRAME_BYTES_MAX;
    e->reply = malloc(e->reply_max);
    if (e->machine == NULL || e->logits == NULL || e->reply == NULL) {
        emulator_close(e);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "emu: no memory for the emulated device");
    }
    *state = e;
    return TP_OK;
}

static tp_status emulator_exchange(void *state, const uint8_t *out, size_t out_count,
                                   size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count,
                                   struct tp_error *error)
{
    struct emulator *e = state;
    struct tp_frame frame;
    *out_taken = 0;
    // An answer is at most one frame: take bytes while one more fits beside the events of a step.
    while (*out_taken < out_count && e->reply_count + TP_FRAME_BYTES_MAX <= REPLY_BYTES_MAX / 2) {
        if (tp__frame_decode(&e->decoder, out[(*out_taken)++], &frame)) {
            take_frame(e, &frame);
        }
    }
    if (e->no_memory) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "emu: no memory for the program's matrices");
    }
    // Steps only while no byte waits, so that a cancel is not overtaken, as on the device.
    while (*out_taken == out_count && e->reply_count == 0 &&
           (end_cancelled_runs(e) || (may_step(e) && run_step(e)))) {
    }
    size_t count = e->reply_count - e->reply_first;
    count = count < in_max ? count : in_max;
    memcpy(in, e->reply + e->reply_first, count);
    e->reply_first += count;
    if (e->reply_first == e->reply_count) {
        e->reply_first = 0;
        e->reply_count = 0;
    }
    *in_count = count;
    return TP_OK;
}

static bool emulator_has_work(const void *state)
{
    const struct emulator *e = state;
    bool has_work = e->reply_count != 0;
    for (uint32_t s = 0; s < e->limits.slots; s++) {
        const struct emulated_slot *slot = &e->slots[s];
        has_work = has_work || (slot->running && ((!slot->held && may_step(e)) || slot->cancelled));
    }
    return has_work;
}

// ---- the configuration port ----

// Where the golden machine has a word of a block RAM; false: nowhere. The norm of heads has a copy
// of the gains in the RTL, here there is one.
static bool address_of(const struct emulator *e, const struct tp_memory_place *place, uint32_t word,
                       uint32_t *address)
{
    const struct tp_limits *l = &e->limits;
    uint64_t at = 0;
    bool is_there = false;
    switch (place->space) {
    case TP_SPACE_WEIGHT:
        is_there = place->index < 4 * l->groups;
        at = 64 * (uint64_t)word + tp_scale_lanes(l->groups) + place->index;
        break;
    case TP_SPACE_PROGRAM:
        is_there = place->index < TP_INSTRUCTION_WORDS;
        at = 8 * (uint64_t)word + place->index;
        break;
    case TP_SPACE_GAIN:
        is_there = place->index <= l->head_norm;
        at = word;
        break;
    case TP_SPACE_BIAS:
    case TP_SPACE_CENTRE:
        is_there = place->index < 2;
        at = 2 * (uint64_t)word + place->index;
        break;
    default:
        break;
    }
    *address = (uint32_t)at;
    return is_there && at <= UINT32_MAX && tp_space_has(l, place->space, *address);
}

// Of a word of codes: where its beat has the word of scales, and which bits of it are its own.
static uint32_t scale_address(const struct tp_memory_place *place, uint32_t address,
                              uint32_t *shift)
{
    uint32_t group = place->index / 4;
    *shift = 8 * (group % 4) + 2 * (place->index % 4);
    return address / 64 * 64 + group / 4;
}

static bool emulator_read_memory(void *state, const struct tp_memory_place *place, uint32_t word,
                                 uint8_t value[TP_MEMORY_WORD_BYTES])
{
    const struct emulator *e = state;
    uint32_t address = 0;
    uint32_t data = 0;
    if (!address_of(e, place, word, &address) ||
        !tp_machine_read(e->machine, place->space, address, &data)) {
        return false;
    }
    memset(value, 0, TP_MEMORY_WORD_BYTES);
    tp__put32(value, data);
    if (place->space == TP_SPACE_WEIGHT) {
        uint32_t shift = 0;
        uint32_t scales = 0;
        (void)tp_machine_read(e->machine, place->space, scale_address(place, address, &shift),
                              &scales);
        value[4] = scales >> shift & 3;
    }
    return true;
}

static void emulator_write_memory(void *state, const struct tp_memory_place *place, uint32_t word,
                                  const uint8_t value[TP_MEMORY_WORD_BYTES])
{
    struct emulator *e = state;
    uint32_t address = 0;
    uint32_t data = tp__get32(value);
    (void)address_of(e, place, word, &address);
    if (place->space == TP_SPACE_WEIGHT) {
        uint32_t shift = 0;
        uint32_t at = scale_address(place, address, &shift);
        uint32_t scales = (uint32_t)(value[4] & 3) << shift;
        (void)tp_machine_write(e->machine, place->space, at, &scales, 1);
    }
    (void)tp_machine_write(e->machine, place->space, address, &data, 1);
    e->prepared = false;
}

static bool emulator_is_quiescent(void *state)
{
    const struct emulator *e = state;
    return !any_running(e) && e->reply_count == 0;
}

const struct tp_backend tp__backend_emulator = {
    .kind = "emu",
    .open = emulator_open,
    .close = emulator_close,
    .exchange = emulator_exchange,
    .has_work = emulator_has_work,
    .read_memory = emulator_read_memory,
    .write_memory = emulator_write_memory,
    .is_quiescent = emulator_is_quiescent,
};

// SPDX-License-Identifier: Apache-2.0
//
// Windows and repetition. The device executes a frame at most once when it is repeated before any
// other is sent, so those frames go alone. WRITE frames to memories may be executed twice and in
// any order, so several are under way: the link is never idle while a model is loaded.

#include "link.h"

#include <assert.h>
#include <string.h>

enum { OWN = 0x80, NUMBER = 0x7f };  // of a sequence
enum { AT_TYPE = 1, AT_SEQUENCE = 2, AT_SPACE = 5 };

void tp__link_start(struct tp_link *link, uint32_t frames_max, uint8_t sequence)
{
    bool fits = frames_max != 0 && frames_max < TP_LINK_FRAMES_MAX;
    *link = (struct tp_link){.frames_max = fits ? frames_max : TP_LINK_FRAMES_MAX,
                             .sequence = sequence & NUMBER,
                             .own_sequence = OWN};
}

void tp__link_end_frame(struct tp_link *link)
{
    if (link->out_count + TP_FRAME_BYTES_MAX <= TP_LINK_OUT_BYTES) {
        memset(link->out + link->out_count, 0, TP_FRAME_BYTES_MAX);
        link->out_count += TP_FRAME_BYTES_MAX;
    }
}

bool tp__link_has_room(const struct tp_link *link)
{
    return link->count < TP_LINK_FRAMES_MAX;
}

bool tp__link_is_busy(const struct tp_link *link)
{
    return link->count != 0 || link->has_own || link->out_count != 0;
}

static void store(struct tp_link_frame *to, const struct tp_frame *frame, uint8_t sequence)
{
    struct tp_frame numbered = *frame;
    numbered.sequence = sequence;
    to->count = (uint16_t)tp__frame_encode(&numbered, to->bytes);
    to->is_alone = frame->type != TP_FRAME_WRITE || frame->payload[0] == TP_SPACE_PAGE_TABLE ||
                   frame->payload[0] == TP_SPACE_REGISTER;
    to->is_sent = false;
    to->was_sent = false;
    to->is_answered = false;
}

static struct tp_link_frame *at(struct tp_link *link, uint32_t index)
{
    return &link->frames[(link->first + index) % TP_LINK_FRAMES_MAX];
}

void tp__link_push(struct tp_link *link, const struct tp_frame *frame)
{
    assert(tp__link_has_room(link));
    store(at(link, link->count++), frame, link->sequence);
    link->sequence = (link->sequence + 1) & NUMBER;
}

void tp__link_push_own(struct tp_link *link, const struct tp_frame *frame)
{
    assert(!link->has_own);
    store(&link->own, frame, link->own_sequence);
    link->own_sequence = OWN | ((link->own_sequence + 1) & NUMBER);
    link->has_own = true;
}

static void send(struct tp_link *link, struct tp_link_frame *frame)
{
    memcpy(link->out + link->out_count, frame->bytes, frame->count);
    link->out_count += frame->count;
    frame->is_sent = true;
    frame->was_sent = true;
    frame->order = link->order++;
    link->under_way++;
    link->heard = 0;
}

void tp__link_fill(struct tp_link *link)
{
    // Nothing goes between a frame that is alone and its repetition, which would not be one then.
    bool is_taken = link->count != 0 && at(link, 0)->is_alone && at(link, 0)->was_sent;
    if (link->has_own && !is_taken) {
        // What is under way comes to its end first.
        if (link->under_way == 0 && link->out_count + link->own.count <= TP_LINK_OUT_BYTES) {
            send(link, &link->own);
        }
        return;
    }
    for (uint32_t i = 0; i < link->count; i++) {
        struct tp_link_frame *frame = at(link, i);
        if (frame->is_alone && link->under_way != 0) {
            return;
        }
        if (frame->is_sent || frame->is_answered) {
            continue;
        }
        if (link->under_way == link->frames_max ||
            link->out_count + frame->count > TP_LINK_OUT_BYTES) {
            return;
        }
        send(link, frame);
        if (frame->is_alone) {
            return;
        }
    }
}

void tp__link_taken(struct tp_link *link, size_t count)
{
    memmove(link->out, link->out + count, link->out_count - count);
    link->out_count -= count;
}

// An ACK names the type that it answers; the other answers have a type of their own.
static bool answers(const struct tp_frame *answer, const struct tp_link_frame *frame)
{
    uint8_t type = frame->bytes[AT_TYPE];
    return frame->is_sent && answer->sequence == frame->bytes[AT_SEQUENCE] &&
           (answer->type == TP_FRAME_ACK ? answer->payload[0] == type
                                         : answer->type == (type | TP_FRAME_ACK));
}

static void retire(struct tp_link *link, struct tp_link_frame *frame)
{
    link->last_type = frame->bytes[AT_TYPE];
    link->last_sequence = frame->bytes[AT_SEQUENCE];
    frame->is_sent = false;
    frame->is_answered = true;
    link->under_way--;
    link->tries = 0;
    link->heard = 0;
}

static void send_again(struct tp_link *link, struct tp_link_frame *frame)
{
    frame->is_sent = false;
    link->under_way--;
    link->repeated++;
}

enum tp_link_owner tp__link_answer(struct tp_link *link, const struct tp_frame *answer)
{
    if (link->has_own && answers(answer, &link->own)) {
        retire(link, &link->own);
        link->has_own = false;
        return TP_LINK_OWN;
    }
    struct tp_link_frame *found = NULL;
    for (uint32_t i = 0; i < link->count && found == NULL; i++) {
        found = answers(answer, at(link, i)) ? at(link, i) : NULL;
    }
    if (found == NULL) {
        return TP_LINK_NOBODY;
    }
    retire(link, found);
    for (uint32_t i = 0; i < link->count; i++) {
        struct tp_link_frame *frame = at(link, i);
#ifdef TP_PLANT_BUG
        // The planted fault takes a lost frame for one that is late.
        if (frame->is_sent && frame->order == found->order) {
#else
        if (frame->is_sent && (int32_t)(frame->order - found->order) < 0) {
#endif
            send_again(link, frame);
        }
    }
    while (link->count != 0 && at(link, 0)->is_answered) {
        link->first = (link->first + 1) % TP_LINK_FRAMES_MAX;
        link->count--;
        link->answered++;
    }
    return found->bytes[AT_TYPE] == TP_FRAME_WRITE ? TP_LINK_WRITE : TP_LINK_CALLER;
}

bool tp__link_is_stray(const struct tp_link *link, const struct tp_frame *answer)
{
    uint8_t type = answer->payload[0];
    bool is_last = type == link->last_type && answer->sequence == link->last_sequence;
    return answer->type == TP_FRAME_ACK && answer->payload[1] == TP_ACK_OK && !is_last &&
           (type == TP_FRAME_WRITE || type == TP_FRAME_SLOT || type == TP_FRAME_FEED ||
            type == TP_FRAME_RUN);
}

bool tp__link_repeat(struct tp_link *link, bool counts)
{
    link->tries += counts ? 1 : 0;
    link->heard = 0;
    if (link->tries > TP_LINK_TRIES) {
        return false;
    }
    // Bytes that the device does not take are not lost: they wait in front of any repetition.
    if (link->out_count != 0) {
        return true;
    }
    tp__link_end_frame(link);
    if (link->has_own && link->own.is_sent) {
        send_again(link, &link->own);
    }
    for (uint32_t i = 0; i < link->count; i++) {
        if (at(link, i)->is_sent) {
            send_again(link, at(link, i));
        }
    }
    return true;
}

uint8_t tp__link_waits_for(const struct tp_link *link)
{
    const struct tp_link_frame *oldest = link->has_own && link->own.is_sent ? &link->own : NULL;
    for (uint32_t i = 0; i < link->count; i++) {
        const struct tp_link_frame *frame = &link->frames[(link->first + i) % TP_LINK_FRAMES_MAX];
        if (frame->is_sent && (oldest == NULL || (int32_t)(frame->order - oldest->order) < 0)) {
            oldest = frame;
        }
    }
    return oldest == NULL ? 0 : oldest->bytes[AT_TYPE];
}

// SPDX-License-Identifier: Apache-2.0
//
// The host's frames until they are answered: which may be under way together, which were lost, and
// what is sent again (docs/link.md, "What a host does about losses").
//
// No thread, no lock, no clock: the device's thread calls it with the device's mutex.

#ifndef TP_LIB_LINK_H
#define TP_LIB_LINK_H

#include "frame.h"

enum {
    TP_LINK_FRAMES_MAX = 64,    // frames of callers; their sequences are below 128, of which fewer
                                // than half are under way: an old answer never fits a new frame
    TP_LINK_TRIES = 8,          // times that silence is answered by repeating
    TP_LINK_OUT_BYTES = 4096,   // bytes that wait for the back end
    TP_LINK_OVERDUE = 1 << 16,  // bytes that come before an answer: it was lost
};

struct tp_link_frame {
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    uint16_t count;
    bool is_alone;  // no other frame may be under way with it
    bool is_sent;   // under way
    bool was_sent;  // at least once
    bool is_answered;
    uint32_t order;  // of sending, among all
};

struct tp_link {
    struct tp_link_frame frames[TP_LINK_FRAMES_MAX];  // of callers: a ring, in their order
    uint32_t first;
    uint32_t count;
    uint64_t answered;         // frames of callers that have left the ring
    struct tp_link_frame own;  // of the device's thread: alone, and before those of callers
    bool has_own;
    uint32_t frames_max;  // that may be under way together
    uint32_t under_way;
    uint8_t sequence;
    uint8_t own_sequence;
    uint8_t last_type;  // of the frame that was answered last
    uint8_t last_sequence;
    uint32_t order;
    uint32_t tries;     // repetitions without an answer in between
    size_t heard;       // bytes that came since something was sent or answered
    uint64_t repeated;  // frames that were sent again
    uint8_t out[TP_LINK_OUT_BYTES];
    size_t out_count;
};

/** Whose frame an answer belongs to. */
enum tp_link_owner { TP_LINK_NOBODY, TP_LINK_CALLER, TP_LINK_WRITE, TP_LINK_OWN };

/** frames_max: 0 = as many as there is room for. sequence: of the first frame. */
void tp__link_start(struct tp_link *link, uint32_t frames_max, uint8_t sequence);

/** Sends zeros that end whatever frame the device believes to receive. */
void tp__link_end_frame(struct tp_link *link);

bool tp__link_has_room(const struct tp_link *link);

/** Takes a frame of a caller; there must be room. */
void tp__link_push(struct tp_link *link, const struct tp_frame *frame);

/** Takes a frame of the device's thread; has_own must be false. */
void tp__link_push_own(struct tp_link *link, const struct tp_frame *frame);

/** Moves the frames that may go now to the bytes that wait. */
void tp__link_fill(struct tp_link *link);

/** The back end took so many of the bytes that wait. */
void tp__link_taken(struct tp_link *link, size_t count);

/** True while a frame waits to be sent or answered. */
bool tp__link_is_busy(const struct tp_link *link);

/** Takes an answer of the device. An answer to a later frame tells that earlier ones were lost. */
enum tp_link_owner tp__link_answer(struct tp_link *link, const struct tp_frame *answer);

/** Whether an answer that belongs to no frame tells that the device has executed an old one again:
 *  not one that was repeated just before. */
bool tp__link_is_stray(const struct tp_link *link, const struct tp_frame *answer);

/** No answer came in time: everything under way is sent again. False: often enough. counts: nothing
 *  else that the device sends shows that it works. */
bool tp__link_repeat(struct tp_link *link, bool counts);

/** Type of the frame that has been under way for longest; 0: none is. */
uint8_t tp__link_waits_for(const struct tp_link *link);

#endif

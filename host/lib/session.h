// SPDX-License-Identifier: Apache-2.0
//
// A session: a history of tokens on the host, pages of the device's KV memory, and while it has its
// turn one slot of the device, or several.
//
// history[0 .. processed) are in the KV memory; history[processed .. length) will be fed. Positions
// below heard were processed once, though their pages may have been given up since. session.c makes
// sessions, starts runs and reads them; schedule.c gives them turns and pages; prefill.c says which
// slots; session_run.c is the device's side of a turn: events, and how it goes on after a loss.

#ifndef TP_LIB_SESSION_H
#define TP_LIB_SESSION_H

#include "chat.h"
#include "internal.h"

/** Where a session stands in the way to a turn, or back to it (docs/link.md, "After a loss"). */
enum tp_recovery {
    TP_RECOVERY_NONE,
    TP_RECOVERY_CANCEL,      // ends what the slot still does
    TP_RECOVERY_SLOT,        // opens it where the host knows it to be; a turn begins here
    TP_RECOVERY_BUSY,        // it still runs: asks again when something is heard
    TP_RECOVERY_STATISTICS,  // which steps are the past; not when a turn begins
    TP_RECOVERY_PAGES,       // its page table
    TP_RECOVERY_RECENT,
    TP_RECOVERY_FEED,
    TP_RECOVERY_RUN,
    TP_RECOVERY_RESUMED,  // RUN is sent: from now on events count
    TP_RECOVERY_END       // there is nothing left to do
};

#define TP_SLOT_NONE UINT32_MAX

struct tp_session {
    tp_device *device;
    tp_model *model;       // whose tokenizer it uses: that of the device then; held
    tp_session *previous;  // in the device's list
    tp_session *next;
    struct tp_session_options options;
    char stop_text[TP_STOP_STRINGS_MAX][TP_STOP_BYTES_MAX];
    size_t stop_bytes[TP_STOP_STRINGS_MAX];
    uint16_t stop_tokens[TP_STOP_MAX];
    uint32_t stop_token_count;
    struct tp_sampling sampling;  // as the device takes it
    uint32_t context;
    uint32_t vocab;

    // under the device's mutex
    uint32_t *history;   // [context + 1]
    uint32_t length;     // tokens of the history
    uint32_t heard;      // positions that were processed
    uint32_t processed;  // of these, those in the KV memory
    uint32_t read;       // tokens of the history that the reader has seen
    uint32_t fed;        // length when the run began
    uint32_t count;      // tokens that the run was asked for
    uint32_t answer_at;  // where the answer of a talk begins that is not closed; 0: there is none
    bool running;
    bool ended;  // the run's end waits for the reader
    tp_end end;
    bool is_orphan;  // the device got a model that cannot go on with it
    bool cancel_wanted;

    // pages and turns (schedule.c)
    uint32_t *pages;     // [pages of the context] those of the history
    uint64_t *prefixes;  // names of the prefixes that end with them; of full ones
    uint32_t page_count;
    uint64_t age;                  // ticket of the run's beginning, or of its end when it is idle
    bool is_waiting;               // in the queue
    uint64_t place;                // in it
    double entered_at;             // when it entered it
    uint32_t slots[TP_SLOTS_MAX];  // of the turn, ascending; several of a prompt (prefill.c)
    uint32_t slot_count;           // 0: it is not on the device
    uint32_t last_slot;
    uint32_t limit;        // positions at the end of the turn
    uint32_t turn_first;   // at its beginning
    bool feeds_only;       // the history goes past the limit: nothing is sampled
    bool cancel_sent;      // by the user's wish, or because the turn is over
    bool lacks_pages;      // and does not wait for them
    uint32_t table_first;  // page table entries that are being written
    uint32_t table_count;
    // Of the sampled token in the same place of the history; NULL unless candidates are asked for.
    float *log_probabilities;         // [context + 1]
    struct tp_candidate *candidates;  // [context + 1][options.candidates]
    uint8_t *candidate_counts;        // [context + 1]
    double started_at;
    double first_at;
    double last_at;
    double done_at;
    double seconds_queued;
    double seconds_between_max;
    double seconds_between_sum;
    uint64_t between_count;
    uint64_t prompt_tokens;
    uint64_t generated_tokens;
    uint64_t prefix_tokens;
    uint64_t recomputed_tokens;
    uint64_t prefill_tokens;

    // What was told of a step whose STEP has not come; it counts when that comes.
    bool has_token;
    uint32_t token;
    uint32_t token_position;
    uint32_t candidates_heard;
    uint32_t logits_heard;

    enum tp_recovery recovery;
    bool is_beginning;   // of a turn: the slot has nothing of a past to end
    bool is_suspect;     // an event was lost that may have been its own
    uint32_t next_slot;  // index of the slot that the next frame is for
    uint32_t done;       // slots whose run has ended, as a mask of indices
    uint32_t feed_next;  // token of the history that the next FEED begins with
    uint32_t failures;   // losses since the last step
    uint32_t polls;      // times that the slot was found busy

    int descriptor;   // eventfd, readable while something waits; -1 with a callback
    int32_t *logits;  // [vocab], or NULL; device's thread

    // reader's side
    bool reading;          // a run was started and its end not yet read
    bool stop_found;       // a stop string was completed: swallow the rest
    uint32_t stop_length;  // history up to the token that completed it
    struct tp_encoder encoder;
    struct tp_decoder decoder;
    struct tp_chat_text chat;  // messages on their way to tokens
    char *text;                // decoded and not yet given out
    size_t text_count;
    size_t text_given;  // bytes at the front that the last read gave out
    size_t text_max;
};

// ---- session.c ----

/** With the mutex held: wakes whoever reads the session. */
void tp__session_signal(tp_session *session);
/** Hands what waits to the session's callback, if it has one; in the device's thread, without the
 *  mutex. */
void tp__session_call_back(tp_session *session);
/** Whether the session is between two runs, and can have another one.
 *  error  TP_ERROR_BUSY, TP_ERROR_MISMATCH */
tp_status tp__session_check_rest(const tp_session *session, struct tp_error *error);
bool tp__session_is_stop(const tp_session *session, uint32_t token);
/** True when the device keeps a sorted list for the session, which takes longer. */
bool tp__session_has_list(const tp_session *session);
/** True when only the largest logit counts: the device then samples twice as fast. */
bool tp__session_is_fast(const tp_session *session);

/** Most bytes of events that a step sends for the session's slot. */
uint32_t tp__session_event_bytes(const tp_session *session);

// ---- session_run.c: the device's thread, with the mutex held ----

/** The next frame that the thread sends for the session; false: none. */
bool tp__session_next_frame(tp_session *session, struct tp_frame *frame);
/** Its answer. */
void tp__session_answered(tp_session *session, const struct tp_frame *answer);
/** An event of the device was lost, of whatever slot. */
void tp__session_gap(tp_session *session);
/** Whether slots of the session wait for the RUN of its last one: no other RUN may come between. */
bool tp__session_holds(const tp_session *session);
/** A step was told in which the session takes no part. */
void tp__session_missed(tp_session *session);
/** Something of the session's run was lost: it will go on from what is known. */
void tp__session_lost(tp_session *session);
/** Nothing is heard of the device. */
void tp__session_silent(tp_session *session);
/** The device failed: wakes readers. */
void tp__session_failed(tp_session *session);

// ---- session_run.c: the device's thread, without the mutex, on an entered session ----

void tp__session_token(tp_session *session, uint32_t token, uint32_t position);
/** payload: of a CANDIDATES frame, at least 24 bytes. */
void tp__session_candidates(tp_session *session, const uint8_t *payload, size_t length);
/** payload: of a LOGITS frame that is as long as its count says. */
void tp__session_logits(tp_session *session, const uint8_t *payload);
/** The session took part in a step.
 *  in     step     payload of STEP
 *         present  slots of the step that count, as a mask */
void tp__session_step(tp_session *session, const uint8_t *step, uint32_t present);
void tp__session_done(tp_session *session, uint32_t slot, uint32_t reason, uint32_t position);
/** Ends the turn of a session whose recovery says so, or the run of one that waits. */
void tp__session_finish(tp_session *session);

#endif

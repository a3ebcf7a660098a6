// SPDX-License-Identifier: Apache-2.0
//
// A turn on the device: its frames, its events, and how it goes on after a loss (docs/link.md).
//
// What is told of a step counts when its STEP comes, and only as a whole: the token, its
// candidates and the logits of that position. The device's numbers are a function of the history,
// so a run that begins anew behind the last whole step brings the same tokens.

#include <math.h>

#include "prefill.h"
#include "schedule.h"

enum {
    FEED_TOKENS_MAX = 127,
    CANDIDATE_BYTES = 8,
    CANDIDATES_HEADER_BYTES = 16,
    FAILURES_MAX = 16,  // losses without a step in between
    POLLS_MAX = 64      // times that a cancelled slot is found busy
};

// ---- frames ----

// The slot that the next frame is for.
static uint8_t slot_of_frame(const tp_session *session)
{
    return (uint8_t)session->slots[session->next_slot];
}

// At the session's position. The device ends the run at the turn's limit.
static void slot_frame(const tp_session *session, struct tp_frame *frame)
{
    const struct tp_sampling *sampling = &session->sampling;
    *frame = (struct tp_frame){.type = TP_FRAME_SLOT, .length = TP_SLOT_BYTES};
    uint8_t *p = frame->payload;
    p[0] = slot_of_frame(session);
    p[1] = session->logits != NULL ? 1 : 0;
    p[2] = (uint8_t)sampling->top_k;
    p[3] = (uint8_t)session->stop_token_count;
    tp__put32(p + 4, sampling->temperature);
    tp__put64(p + 8, sampling->seed);
    tp__put16(p + 16, (uint16_t)session->limit);
    // Behind a loss, near the end of a prompt, it only asks whether the slot is free.
    uint32_t position = tp__prefill_first(session, session->next_slot);
    position = position < session->limit ? position : session->limit - 1;
    tp__put16(p + 18, (uint16_t)position);
    for (uint32_t i = 0; i < session->stop_token_count; i++) {
        tp__put16(p + 20 + 2 * (size_t)i, session->stop_tokens[i]);
    }
    tp__put16(p + 36, (uint16_t)sampling->penalty_positive);
    tp__put16(p + 38, (uint16_t)sampling->penalty_negative);
    tp__put16(p + 40, (uint16_t)sampling->top_p_cut);
    p[42] = (uint8_t)session->options.candidates;
    p[43] = (uint8_t)session->slot_count;
    tp__put32(p + 44, sampling->min_p_gap);
}

// So many tokens of the history, each stride behind the one before, in a frame of the type FEED or
// RECENT.
static void token_frame(const tp_session *session, uint8_t type, uint32_t first, uint32_t count,
                        uint32_t stride, struct tp_frame *frame)
{
    *frame = (struct tp_frame){.type = type, .length = (uint16_t)(2 + 2 * count)};
    frame->payload[0] = slot_of_frame(session);
    for (uint32_t i = 0; i < count; i++) {
        tp__put16(frame->payload + 2 + 2 * (size_t)i,
                  (uint16_t)session->history[first + i * stride]);
    }
}

// The tokens before the position. False: the session needs none.
static bool recent_frame(const tp_session *session, struct tp_frame *frame)
{
    const uint32_t most = TP_RECENT_MAX - 1;  // the next token is one of them
    uint32_t count = session->processed < most ? session->processed : most;
    if (session->sampling.penalty_positive == 0 || count == 0 || session->slot_count > 1) {
        return false;
    }
    // The device forgot them when the slot was opened anew.
    token_frame(session, TP_FRAME_RECENT, session->processed - count, count, 1, frame);
    return true;
}

// Tokens of the history before this one are fed in the turn.
static uint32_t feed_end(const tp_session *session)
{
    return session->feeds_only ? session->limit : session->length;
}

// FEED: tokens of the slot in the turn from feed_next on, which then is the first that did not fit.
static void feed_frame(tp_session *session, struct tp_frame *frame)
{
    uint32_t stride = session->slot_count;
    uint32_t left = (feed_end(session) - session->feed_next + stride - 1) / stride;
    uint32_t count = left < FEED_TOKENS_MAX ? left : (uint32_t)FEED_TOKENS_MAX;
    token_frame(session, TP_FRAME_FEED, session->feed_next, count, stride, frame);
    session->feed_next += count * stride;
}

static bool is_last_slot(const tp_session *session)
{
    return session->next_slot + 1 == session->slot_count;
}

// What is still asked for. All slots begin in the same step: those before the last are held.
static void run_frame(const tp_session *session, struct tp_frame *frame)
{
    *frame = (struct tp_frame){.type = TP_FRAME_RUN, .length = 8};
    frame->payload[0] = slot_of_frame(session);
    frame->payload[1] = is_last_slot(session) ? 0 : 1;
    uint32_t left = session->count - (session->length - session->fed);
    tp__put32(frame->payload + 4, session->feeds_only ? 0 : left);
}

static void cancel_frame(const tp_session *session, struct tp_frame *frame)
{
    *frame = (struct tp_frame){.type = TP_FRAME_CANCEL, .length = 4};
    frame->payload[0] = slot_of_frame(session);
}

// ---- ends ----

// How the run ends after the steps that were told ("What a slot does" in docs/link.md); NONE: it
// goes on, unless it is cancelled.
static tp_end end_by_history(const tp_session *session)
{
    uint32_t sampled = session->length - session->fed;
    if (sampled != 0 && tp__session_is_stop(session, session->history[session->length - 1])) {
        return TP_END_STOP;
    }
    if (session->count != 0 && sampled == session->count) {
        return TP_END_LIMIT;
    }
    if (session->count == 0 && session->processed == session->length) {
        return TP_END_FED;
    }
    return session->processed == session->context ? TP_END_CONTEXT : TP_END_NONE;
}

// Whether the device ends the turn after the steps that were told, without being asked to.
static bool is_turn_over(const tp_session *session)
{
    return end_by_history(session) != TP_END_NONE || session->processed == session->limit;
}

// Why it does.
static uint32_t reason_by_history(const tp_session *session)
{
    switch (end_by_history(session)) {
    case TP_END_STOP:
        return TP_REASON_STOP;
    case TP_END_LIMIT:
        return TP_REASON_LIMIT;
    case TP_END_FED:
        return TP_REASON_FED;
    default:
        return session->feeds_only ? TP_REASON_FED : TP_REASON_CONTEXT;
    }
}

// In the device's thread, without the mutex.
static void end_run(tp_session *session, tp_end end)
{
    tp_device *device = session->device;
    pthread_mutex_lock(&device->mutex);
    // A callback must have seen the end before the session may be destroyed. Without one the reader
    // may destroy it as soon as the mutex is free: nothing here looks at it after that.
    bool has_callback = session->options.on_token != NULL;
    if (session->running) {
        tp__schedule_leave(session, session->processed);
        session->end = end;
        session->ended = true;
        session->recovery = TP_RECOVERY_NONE;
        session->done_at = tp__seconds();
        session->age = ++device->tickets;
        session->running = has_callback;
        device->running -= has_callback ? 0 : 1;
        device->quiet_bytes = 0;
        tp__session_signal(session);
    }
    pthread_mutex_unlock(&device->mutex);
    if (has_callback) {
        tp__session_call_back(session);
        pthread_mutex_lock(&device->mutex);
        if (session->running) {
            session->running = false;
            device->running--;
        }
        pthread_cond_broadcast(&device->changed);
        pthread_mutex_unlock(&device->mutex);
    }
}

void tp__session_finish(tp_session *session)
{
    pthread_mutex_t *mutex = &session->device->mutex;
    pthread_mutex_lock(mutex);
    tp_end end = session->is_orphan ? TP_END_MODEL : end_by_history(session);
    end = end == TP_END_NONE && session->cancel_wanted ? TP_END_CANCEL : end;
    end = end == TP_END_NONE && session->lacks_pages ? TP_END_PAGES : end;
    if (end == TP_END_NONE && session->running) {
        session->recovery = TP_RECOVERY_NONE;
        tp__schedule_leave(session, session->length);
        tp__schedule_enter(session);
    }
    pthread_mutex_unlock(mutex);
    if (end != TP_END_NONE) {
        end_run(session, end);
    }
}

void tp__session_failed(tp_session *session)
{
    if (session->running) {
        session->running = false;
        session->device->running--;
        session->end = TP_END_FAILED;
        session->ended = session->options.on_token != NULL;
    }
    session->recovery = TP_RECOVERY_NONE;
    tp__session_signal(session);
}

// ---- after a loss ----

// The next stage of the way to a turn, or back to it, which begins with the first slot.
static void begin_stage(tp_session *session, enum tp_recovery stage)
{
    session->recovery = stage;
    session->next_slot = 0;
    session->feed_next = tp__prefill_first(session, 0);
}

// What the stage does was done for a slot: the next one is next, or behind the last the next stage.
static void slot_is_through(tp_session *session, enum tp_recovery next)
{
    if (is_last_slot(session)) {
        begin_stage(session, next);
    } else {
        session->next_slot++;
        session->feed_next = tp__prefill_first(session, session->next_slot);
    }
}

// Events of steps before this one may still come for the session's slots.
static void open_past(tp_session *session, uint32_t first_step)
{
    for (uint32_t i = 0; i < session->slot_count; i++) {
        session->device->past[session->slots[i]] =
            (struct tp_slot_past){.is_open = true, .first_step = first_step};
    }
}

static void forget_step(tp_session *session)
{
    session->has_token = false;
    session->candidates_heard = 0;
    session->logits_heard = 0;
}

// Whether events are of the run that the session is in.
static bool listens(const tp_session *session)
{
    return session->running &&
           (session->recovery == TP_RECOVERY_NONE || session->recovery == TP_RECOVERY_RESUMED);
}

void tp__session_lost(tp_session *session)
{
    tp_device *device = session->device;
    forget_step(session);
    session->is_suspect = false;
    session->is_beginning = false;
    if (is_turn_over(session)) {
        // Only DONE is missing. It may still come.
        open_past(session, device->next_step);
        session->recovery = TP_RECOVERY_END;
        return;
    }
    begin_stage(session, TP_RECOVERY_CANCEL);
    session->polls = 0;
    device->totals.recoveries++;
    if (session->failures++ == FAILURES_MAX) {
        tp__device_fail(device, TP_ERROR_LINK,
                        "the link loses so much that a session does not get on - try: another "
                        "cable or port");
    }
}

void tp__session_gap(tp_session *session)
{
    // A token knows its position, so it counts also behind a gap, unless it may be of another run.
    if (!session->has_token || session->device->past[session->slots[0]].is_open) {
        session->has_token = false;
        session->candidates_heard = 0;
    }
    session->logits_heard = 0;
    session->is_suspect = true;
}

// Something is heard of the device, or nothing for long: a slot that was busy is asked again.
// False: it was not.
static bool ask_again(tp_session *session)
{
    bool was_busy = session->recovery == TP_RECOVERY_BUSY;
    session->recovery = was_busy ? TP_RECOVERY_SLOT : session->recovery;
    return was_busy;
}

void tp__session_missed(tp_session *session)
{
    if (!ask_again(session) && session->recovery == TP_RECOVERY_NONE && session->is_suspect) {
        tp__session_lost(session);
    }
}

void tp__session_silent(tp_session *session)
{
    if (!ask_again(session) && session->recovery == TP_RECOVERY_NONE) {
        tp__session_lost(session);
    }
}

static bool next_recovery_frame(tp_session *session, struct tp_frame *frame)
{
    switch (session->recovery) {
    case TP_RECOVERY_CANCEL:
        cancel_frame(session, frame);
        return true;
    case TP_RECOVERY_SLOT:
        slot_frame(session, frame);
        return true;
    case TP_RECOVERY_STATISTICS:
        *frame = (struct tp_frame){.type = TP_FRAME_STATISTICS};
        return true;
    case TP_RECOVERY_PAGES:
        if (tp__schedule_pages_frame(session, session->slots[session->next_slot], frame)) {
            return true;
        }
        slot_is_through(session, TP_RECOVERY_RECENT);
        return next_recovery_frame(session, frame);
    case TP_RECOVERY_RECENT:
        if (recent_frame(session, frame)) {
            return true;
        }
        begin_stage(session, TP_RECOVERY_FEED);
        return next_recovery_frame(session, frame);
    case TP_RECOVERY_FEED:
        feed_frame(session, frame);
        return true;
    case TP_RECOVERY_RUN:
        session->recovery = is_last_slot(session) ? TP_RECOVERY_RESUMED : TP_RECOVERY_RUN;
        run_frame(session, frame);
        return true;
    default:
        return false;
    }
}

bool tp__session_next_frame(tp_session *session, struct tp_frame *frame)
{
    // Of a turn in several slots all are cancelled, once one is.
    bool is_over = session->cancel_wanted || session->cancel_sent || tp__schedule_is_over(session);
    if (session->recovery == TP_RECOVERY_NONE && is_over &&
        session->next_slot < session->slot_count) {
        session->cancel_sent = true;
        cancel_frame(session, frame);
        session->next_slot++;
        return true;
    }
    return next_recovery_frame(session, frame);
}

bool tp__session_holds(const tp_session *session)
{
    return session->recovery == TP_RECOVERY_RUN && session->next_slot != 0;
}

// The slots do nothing any more: steps up to now are of their past. A turn of one slot goes on from
// here; what is left of a prompt may need fewer slots, so that turn ends.
static void take_count_of_steps(tp_session *session, uint64_t steps)
{
    tp_device *device = session->device;
    if ((int32_t)((uint32_t)steps - device->next_step) < 0) {
        tp__device_fail(device, TP_ERROR_DEVICE,
                        "it has made fewer steps than it told of: it was reset - try: load it "
                        "again");
        return;
    }
    tp__device_made(device, (uint32_t)steps);
    open_past(session, (uint32_t)steps);
    bool is_over = session->cancel_wanted || session->cancel_sent || session->slot_count > 1;
    begin_stage(session, is_over ? TP_RECOVERY_END : TP_RECOVERY_PAGES);
}

void tp__session_answered(tp_session *session, const struct tp_frame *answer)
{
    uint8_t type = answer->type == TP_FRAME_ACK ? answer->payload[0] : answer->type;
    bool is_ok = answer->type != TP_FRAME_ACK || answer->payload[1] == TP_ACK_OK;
    if (session->recovery == TP_RECOVERY_CANCEL && type == TP_FRAME_CANCEL && is_ok) {
        slot_is_through(session, TP_RECOVERY_SLOT);
    } else if (session->recovery == TP_RECOVERY_SLOT && type == TP_FRAME_SLOT) {
        bool is_busy = answer->payload[1] == TP_ACK_BUSY && session->polls++ < POLLS_MAX;
        if (!is_ok && (session->is_beginning || !is_busy)) {
            // Bytes that the link brought twice may have begun an old run in the slot.
            tp__session_lost(session);
        } else if (is_busy) {
            session->recovery = TP_RECOVERY_BUSY;
        } else {
            slot_is_through(session,
                            session->is_beginning ? TP_RECOVERY_PAGES : TP_RECOVERY_STATISTICS);
        }
    } else if (answer->type == TP_FRAME_STATISTICS_REPLY &&
               session->recovery == TP_RECOVERY_STATISTICS) {
        take_count_of_steps(session, tp__get64(answer->payload + 16));
    } else if (session->recovery == TP_RECOVERY_PAGES && type == TP_FRAME_WRITE && is_ok) {
        tp__schedule_pages_written(session, session->slots[session->next_slot]);
    } else if (session->recovery == TP_RECOVERY_RECENT && type == TP_FRAME_RECENT && is_ok) {
        begin_stage(session, TP_RECOVERY_FEED);
    } else if (session->recovery == TP_RECOVERY_FEED && type == TP_FRAME_FEED && is_ok) {
        if (session->feed_next >= feed_end(session)) {
            slot_is_through(session, TP_RECOVERY_RUN);
        }
    } else if (session->recovery == TP_RECOVERY_RUN && type == TP_FRAME_RUN && is_ok) {
        session->next_slot++;
    } else if (session->recovery == TP_RECOVERY_RESUMED && type == TP_FRAME_RUN && is_ok) {
        begin_stage(session, TP_RECOVERY_NONE);
    } else if (session->recovery != TP_RECOVERY_NONE && session->recovery != TP_RECOVERY_END &&
               (!is_ok || session->recovery == TP_RECOVERY_STATISTICS)) {
        tp__session_lost(session);
    }
}

// ---- events ----

// Natural logarithm of the probability of a key (docs/numbers.md, section 6).
static float log_probability(int32_t key, uint64_t sum, int32_t exponent)
{
    double z = (double)key * (TP_LOG2E_Q14 / 16384.0) / 4096.0;
    double log2_of_sum = log2((double)sum) + 8.0 * exponent - 24.0;
    double value = (z - log2_of_sum) * log(2.0);
    return value < 0 ? (float)value : 0.0f;  // roundings may go a little beyond
}

// The candidates of a CANDIDATES frame, to where the next token will stand. False: they are none.
static bool take_candidates(tp_session *session, const uint8_t *payload, uint32_t count)
{
    uint32_t first = payload[1];
    int32_t exponent = (int16_t)tp__get16(payload + 2);
    uint64_t sum = tp__get64(payload + 8);
    size_t place = session->length;
    if (first != session->candidates_heard || count > session->options.candidates - first ||
        sum == 0) {
        return false;
    }
    struct tp_candidate *candidates =
        session->candidates + place * session->options.candidates + first;
    session->log_probabilities[place] =
        log_probability((int32_t)tp__get32(payload + 4), sum, exponent);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = payload + CANDIDATES_HEADER_BYTES + CANDIDATE_BYTES * (size_t)i;
        candidates[i].id = tp__get16(p);
        candidates[i].log_probability = log_probability((int32_t)tp__get32(p + 4), sum, exponent);
        if (candidates[i].id >= session->vocab) {
            return false;
        }
    }
    return true;
}

void tp__session_candidates(tp_session *session, const uint8_t *payload, size_t length)
{
    uint32_t count = (uint32_t)(length - CANDIDATES_HEADER_BYTES) / CANDIDATE_BYTES;
    pthread_mutex_lock(&session->device->mutex);
    if (listens(session) && session->candidates != NULL && session->length <= session->context) {
        session->candidates_heard = payload[1] == 0 ? 0 : session->candidates_heard;
        bool fit = take_candidates(session, payload, count);
        session->candidates_heard = fit ? session->candidates_heard + count : 0;
    }
    pthread_mutex_unlock(&session->device->mutex);
}

void tp__session_token(tp_session *session, uint32_t token, uint32_t position)
{
    uint32_t asked = session->options.candidates;
    uint32_t candidates = asked < session->vocab ? asked : session->vocab;
    pthread_mutex_lock(&session->device->mutex);
    session->has_token =
        listens(session) && token < session->vocab && session->candidates_heard == candidates;
    session->token = token;
    session->token_position = position;
    pthread_mutex_unlock(&session->device->mutex);
}

void tp__session_logits(tp_session *session, const uint8_t *payload)
{
    uint32_t count = tp__get16(payload + 2);
    uint32_t first = tp__get32(payload + 4);
    pthread_mutex_lock(&session->device->mutex);
    bool heard = listens(session) && session->logits != NULL;
    uint32_t next = first == 0 ? 0 : session->logits_heard;
    bool fit = heard && first == next && count <= session->vocab - first;
    session->logits_heard = fit ? next + count : 0;
    pthread_mutex_unlock(&session->device->mutex);
    for (uint32_t i = 0; fit && i < count; i++) {
        session->logits[first + i] = (int32_t)tp__get32(payload + 8 + 4 * (size_t)i);
    }
}

// Whether the step samples a token that is reported.
static bool is_asked(const tp_session *session, uint32_t position)
{
    return session->count != 0 && position + 1 == session->length;
}

// Whether everything was told that belongs to this step, which processed so many positions.
static bool is_whole(const tp_session *session, uint32_t positions)
{
    uint32_t position = session->processed;
#ifdef TP_PLANT_BUG
    // The planted fault takes any token for that of the step.
    bool has_token = true;
#else
    bool has_token = session->has_token && session->token_position == position;
#endif
    return positions != 0 && position < session->length && !is_turn_over(session) &&
           (has_token || !is_asked(session, position)) &&
           (session->logits == NULL || session->logits_heard == session->vocab);
}

static void append_token(tp_session *session)
{
    double now = tp__seconds();
    if (session->first_at == 0) {
        session->first_at = now;
    } else {
        double between = now - session->last_at;
        session->seconds_between_sum += between;
        session->between_count++;
        session->seconds_between_max =
            between > session->seconds_between_max ? between : session->seconds_between_max;
    }
    session->last_at = now;
    if (session->candidates != NULL) {
        session->candidate_counts[session->length] = (uint8_t)session->candidates_heard;
    }
    session->history[session->length++] = session->token;
    session->generated_tokens++;
    tp__session_signal(session);
}

// The position is in the KV memory; a page that it fills is one that others can use.
static void append_position(tp_session *session)
{
    bool is_again = session->processed < session->heard;
    session->recomputed_tokens += is_again ? 1 : 0;
    session->processed++;
    session->heard += is_again ? 0 : 1;
    if (session->processed % TP_PAGE == 0) {
        uint32_t index = session->processed / TP_PAGE - 1;
        uint64_t parent = index == 0 ? 0 : session->prefixes[index - 1];
        session->prefixes[index] =
            tp__pages_name(&session->device->pages, session->pages[index], parent,
                           session->history + (size_t)index * TP_PAGE);
    }
}

void tp__session_step(tp_session *session, const uint8_t *step, uint32_t present)
{
    pthread_mutex_t *mutex = &session->device->mutex;
    pthread_mutex_lock(mutex);
    uint32_t position = session->processed;
    uint32_t positions = tp__prefill_positions(session, step, present);
    bool taken = listens(session) && is_whole(session, positions);
    // Slots that are cancelled one after the other make steps without each other, which count for
    // nothing.
    bool is_apart = session->cancel_sent && session->slot_count > 1;
    if (!ask_again(session) && listens(session) && !taken && !is_apart) {
        tp__session_lost(session);
    }
    if (taken && session->logits != NULL && position == session->heard) {
        pthread_mutex_unlock(mutex);
        session->options.on_logits(session->options.user, position, session->logits,
                                   session->vocab);
        pthread_mutex_lock(mutex);
    }
    if (taken) {
        if (is_asked(session, position)) {
            append_token(session);
        }
        for (uint32_t i = 0; i < positions; i++) {
            append_position(session);
        }
        session->prefill_tokens += positions > 1 ? positions : 0;
        session->failures = 0;
        session->is_suspect = false;
        session->device->quiet_bytes = 0;
        forget_step(session);
    }
    pthread_mutex_unlock(mutex);
    tp__session_call_back(session);
}

// Whether the end of the run of the slot of this index is the one that was expected.
static bool is_end_expected(const tp_session *session, uint32_t index, uint32_t reason,
                            uint32_t position)
{
    if (session->slot_count > 1) {
        return session->cancel_sent ||
               (reason == TP_REASON_FED && tp__prefill_is_end(session, index, position));
    }
    // A turn that was not to end yet ends when it is cancelled.
    bool is_over = is_turn_over(session);
    return position == session->processed && (is_over || session->cancel_sent) &&
           reason == (is_over ? reason_by_history(session) : TP_REASON_CANCEL);
}

void tp__session_done(tp_session *session, uint32_t slot, uint32_t reason, uint32_t position)
{
    tp_device *device = session->device;
    pthread_mutex_lock(&device->mutex);
    uint32_t index = 0;
    while (session->slots[index] != slot) {
        index++;
    }
    bool fits = is_end_expected(session, index, reason, position);
    bool counts = listens(session) && !device->past[slot].is_open;
    if (!ask_again(session) && counts && !fits) {
        tp__session_lost(session);
    }
    session->done |= counts && fits ? 1u << index : 0;
    bool is_finished = counts && fits && session->done == (1u << session->slot_count) - 1;
    pthread_mutex_unlock(&device->mutex);
    if (is_finished) {
        tp__session_finish(session);
    }
}

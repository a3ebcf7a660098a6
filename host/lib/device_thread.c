// SPDX-License-Identifier: Apache-2.0
//
// The thread of a device: moves bytes, takes answers and events, and begins anew what was lost.
//
// It alone talks to the back end. Besides the frames of callers it sends its own: those by which
// turns of sessions begin, end and go on after a loss (session_run.c), and credit.

#include <inttypes.h>
#include <string.h>

#include "cycles.h"
#include "schedule.h"

enum {
    CHUNK_BYTES = 4096,
    REPEATED_EVENTS_MAX = 32,   // a number so little behind is of an event that came before
    MENDINGS_MAX = 16,          // without a step in between
    MENDING_POLLS_MAX = 64,     // questions whether all slots are free
    QUIET_BYTES_MAX = 1 << 20,  // that bring no step; one with all logits has less than a third
    STEP_BYTES = 28
};
bool tp__device_works(const tp_device *device)
{
    return device->failure.status == TP_OK;
}

static void fail(tp_device *device, const struct tp_error *error)
{
    if (tp__device_works(device)) {
        device->failure = *error;
        for (tp_session *s = device->first_session; s != NULL; s = s->next) {
            tp__session_failed(s);
        }
    }
    pthread_cond_broadcast(&device->changed);
}

void tp__device_fail(tp_device *device, tp_status status, const char *text)
{
    struct tp_error error;
    error.status = tp__fail(&error, status, "%s: %s", device->info.name, text);
    fail(device, &error);
}

// ---- old frames ----

// The link brought frames again that had been answered: a page table may have old entries, an old
// run may have written over keys and values. All that is in the KV memory is computed again.
static void begin_mending(tp_device *device)
{
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        if (device->sessions[s] != NULL) {
            device->sessions[s]->recovery = TP_RECOVERY_END;
        }
    }
    tp__pages_forget(&device->pages);
    if (device->mendings++ == MENDINGS_MAX) {
        tp__device_fail(device, TP_ERROR_LINK,
                        "the link brings so many old frames that no session gets on - try: another "
                        "cable or port");
    }
    device->mending = TP_MENDING_CANCEL;
    device->mending_next = 0;
    device->own_mends = false;  // an answer from before does not count
    device->totals.recoveries++;
}

// Something is heard, or nothing for long.
static void ask_again(tp_device *device)
{
    if (device->mending == TP_MENDING_BUSY) {
        device->mending = TP_MENDING_FREE;
    }
}

static void mending_frame(const tp_device *device, struct tp_frame *frame)
{
    *frame = (struct tp_frame){.type = TP_FRAME_STATISTICS};
    if (device->mending == TP_MENDING_CANCEL) {
        *frame = (struct tp_frame){.type = TP_FRAME_CANCEL, .length = 4};
        frame->payload[0] = (uint8_t)device->mending_next;
    } else if (device->mending == TP_MENDING_FREE) {
        *frame = (struct tp_frame){.type = TP_FRAME_SECTIONS, .length = 4};
    }
}

void tp__device_made(tp_device *device, uint32_t steps)
{
    if ((int32_t)(steps - device->steps_made) > 0) {
        device->steps_made = steps;
    }
}

void tp__device_past(tp_device *device, const struct tp_frame *statistics)
{
    uint32_t steps = (uint32_t)tp__get64(statistics->payload + 16);
    tp__device_made(device, steps);
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        device->past[s] = (struct tp_slot_past){.is_open = true, .first_step = steps};
    }
}

// With the mutex held: the answer to such a frame.
static void take_mending_answer(tp_device *device, const struct tp_frame *answer)
{
    bool is_busy = answer->type == TP_FRAME_ACK && answer->payload[1] == TP_ACK_BUSY;
    uint32_t asked = ++device->mending_next;
    if (device->mending == TP_MENDING_CANCEL) {
        device->mending = asked == device->limits.slots ? TP_MENDING_FREE : TP_MENDING_CANCEL;
    } else if (device->mending == TP_MENDING_FREE) {
        device->mending = is_busy ? TP_MENDING_BUSY : TP_MENDING_STEPS;
    } else if (answer->type == TP_FRAME_STATISTICS_REPLY) {
        tp__device_past(device, answer);
        tp__schedule_forget(device);
        device->mending = TP_MENDING_NONE;
    }
    if (asked == MENDING_POLLS_MAX) {
        tp__device_fail(device, TP_ERROR_DEVICE,
                        "a slot does not end its run - try: load it again");
    }
}

// ---- steps ----

// Notes a step for tp_device_record.
static void record(tp_device *device, uint32_t number, uint32_t cycles, uint32_t predicted,
                   const struct tp_step_slot *slots)
{
    if (device->steps == NULL || device->step_count == device->step_max) {
        return;
    }
    struct tp_step *step = &device->steps[device->step_count++];
    *step = (struct tp_step){.number = number, .cycles = cycles, .predicted = predicted};
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        step->active |= (slots[s].active ? 1u : 0u) << s;
        step->logits |= (slots[s].logits ? 1u : 0u) << s;
        step->list |= (slots[s].list ? 1u : 0u) << s;
        step->fast |= (slots[s].fast ? 1u : 0u) << s;
        step->positions[s] = slots[s].position;
    }
}

// The contract of the machine: the compiler predicts each step to the cycle.
static void check_step(tp_device *device, const uint8_t *p)
{
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{0}};
    uint32_t cycles = tp__get32(p + 4);
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        slots[s].active = tp__has_slot(p[8], s);
        if (!slots[s].active) {
            continue;
        }
        slots[s].logits = tp__has_slot(p[9], s);
        slots[s].position = tp__get16(p + 12 + 2 * (size_t)s);
        slots[s].list = tp__session_has_list(device->sessions[s]);
        slots[s].fast = tp__session_is_fast(device->sessions[s]);
        device->totals.products += tp__shape_products(&device->model->shape, slots[s].logits);
        device->totals.tokens++;
    }
    uint32_t predicted = tp__step_cycles(&device->limits, device->image->program,
                                         device->image->program_count, slots);
    device->totals.steps++;
    device->totals.cycles_steps += cycles;
    device->totals.cycles_predicted += predicted;
    record(device, tp__get32(p), cycles, predicted, slots);
    if (cycles != 0 && cycles != predicted) {
        struct tp_error error;
        error.status =
            tp__fail(&error, TP_ERROR_MISMATCH,
                     "%s: step %" PRIu32 " took %" PRIu32 " cycles, predicted were %" PRIu32
                     " (slots %02x, logits %02x, position %" PRIu32 " of the lowest slot)",
                     device->info.name, tp__get32(p), cycles, predicted, p[8], p[9],
                     (uint32_t)tp__get16(p + 12));
        fail(device, &error);
    }
}

static bool is_past(const struct tp_slot_past *past, uint32_t step)
{
    return past->is_open && (int32_t)(step - past->first_step) < 0;
}

// The slots of a step whose sessions can be told of it, as a mask. With the mutex held.
static uint8_t present_slots(const tp_device *device, const uint8_t *p)
{
    uint32_t mask = 0;
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        const tp_session *session = device->sessions[s];
        bool is_known = session != NULL && tp__get16(p + 12 + 2 * (size_t)s) < session->context;
        mask |= (tp__has_slot(p[8], s) && is_known && !is_past(&device->past[s], tp__get32(p)))
                    ? 1u << s
                    : 0u;
    }
    return (uint8_t)mask;
}

// The session of a slot, or NULL. With the mutex held; until leave_session it is not destroyed.
static tp_session *enter_session(tp_device *device, uint32_t slot)
{
    device->entered = slot < TP_SLOTS_MAX ? device->sessions[slot] : NULL;
    return device->entered;
}

// With the mutex held.
static void leave_session(tp_device *device)
{
    device->entered = NULL;
    pthread_cond_broadcast(&device->changed);
}

// As a mask.
static uint32_t slots_of(const tp_session *session)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < session->slot_count; i++) {
        mask |= 1u << session->slots[i];
    }
    return mask;
}

// With the mutex held, which is given up in between. A session in several slots is told once.
static void tell_step(tp_device *device, const uint8_t *p, uint8_t present)
{
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        device->past[s].is_open = device->past[s].is_open && !tp__has_slot(present, s);
    }
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        tp_session *session = device->sessions[s];
        uint32_t slots = session == NULL || session->slots[0] != s ? 0 : slots_of(session);
        if ((slots & present) != 0) {
            device->entered = session;
            pthread_mutex_unlock(&device->mutex);
            tp__session_step(session, p, slots & present);
            pthread_mutex_lock(&device->mutex);
            leave_session(device);
        } else if (slots != 0 && (slots & p[8]) == 0) {
            tp__session_missed(session);
        }
    }
}

static void take_step(tp_device *device, const struct tp_frame *frame)
{
    const uint8_t *p = frame->payload;
    uint32_t number = tp__get32(p);
    pthread_mutex_lock(&device->mutex);
    ask_again(device);
    uint8_t present = present_slots(device, p);
    // A step that came before counts once; a device that was reset is found out by its counters.
    if ((int32_t)(number - device->next_step) >= 0) {
        device->next_step = number + 1;
        tp__device_made(device, device->next_step);
        device->mendings = 0;
        // A step of a slot's past is not checked: what the slot was opened with is forgotten.
        if (device->image != NULL && present == p[8] && present != 0) {
            check_step(device, p);
        }
        tell_step(device, p, present);
    }
    pthread_mutex_unlock(&device->mutex);
}

// ---- frames of the device ----

// Sessions take the mutex themselves: callbacks must run without it.
static void tell_session(tp_session *session, const struct tp_frame *frame)
{
    const uint8_t *p = frame->payload;
    switch (frame->type) {
    case TP_FRAME_TOKEN:
        tp__session_token(session, tp__get16(p + 2), tp__get16(p + 4));
        break;
    case TP_FRAME_CANDIDATES:
        tp__session_candidates(session, p, frame->length);
        break;
    case TP_FRAME_LOGITS:
        tp__session_logits(session, p);
        break;
    default:
        tp__session_done(session, p[0], p[1], tp__get16(p + 2));
        break;
    }
}

static void take_slot_event(tp_device *device, const struct tp_frame *frame)
{
    pthread_mutex_lock(&device->mutex);
    ask_again(device);
    tp_session *session = enter_session(device, frame->payload[0]);
    if (session != NULL) {
        pthread_mutex_unlock(&device->mutex);
        tell_session(session, frame);
        pthread_mutex_lock(&device->mutex);
    }
    leave_session(device);
    pthread_mutex_unlock(&device->mutex);
}

// Whether an event is new; notes the loss of those before it.
static bool is_next(tp_device *device, uint8_t sequence)
{
    pthread_mutex_lock(&device->mutex);
    uint8_t ahead = (uint8_t)(sequence - device->event_sequence);
    bool repeated = device->knows_events && (uint8_t)-ahead - 1u < REPEATED_EVENTS_MAX;
    if (!repeated && device->knows_events && ahead != 0) {
        for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
            if (device->sessions[s] != NULL) {
                tp__session_gap(device->sessions[s]);
            }
        }
    }
    if (!repeated) {
        device->event_sequence = (uint8_t)(sequence + 1);
        device->knows_events = true;
    }
    pthread_mutex_unlock(&device->mutex);
    return !repeated;
}

// ---- answers ----

// An answer to a frame of the host.
static void take_answer(tp_device *device, const struct tp_frame *frame)
{
    pthread_mutex_lock(&device->mutex);
    switch (tp__link_answer(&device->link, frame)) {
    case TP_LINK_OWN:
        if (device->own_credits) {
            device->credit.is_limited = true;
            device->credit.limit = device->credit_asked;
        } else if (device->own_mends) {
            take_mending_answer(device, frame);
        } else if (device->own_session != NULL) {
            tp__session_answered(device->own_session, frame);
        }
        device->own_mends = false;
        device->own_credits = false;
        break;
    case TP_LINK_CALLER:
        device->answer = *frame;
        break;
    case TP_LINK_WRITE:
        if (device->write_status == TP_ACK_OK) {
            device->write_status = frame->payload[1];
        }
        break;
    default:
        if (device->first_session != NULL && tp__link_is_stray(&device->link, frame)) {
            begin_mending(device);
        }
        break;
    }
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->mutex);
}

// Shortest payload of a device frame; 0 for types that the library does not know.
static uint16_t least_length(uint8_t type)
{
    switch (type) {
    case TP_FRAME_ACK:
    case TP_FRAME_DONE:
    case TP_FRAME_READ_REPLY:
        return 4;
    case TP_FRAME_HELLO_REPLY:
        return 40;
    case TP_FRAME_STATISTICS_REPLY:
        return 56;
    case TP_FRAME_SECTIONS_REPLY:
        return 16 * TP_SECTIONS_PER_FRAME;
    case TP_FRAME_TOKEN:
        return 8;
    case TP_FRAME_STEP:
        return STEP_BYTES;
    case TP_FRAME_LOGITS:
        return 12;
    case TP_FRAME_CANDIDATES:
        return 24;
    default:
        return 0;
    }
}

static void take_frame(tp_device *device, const struct tp_frame *frame)
{
    uint16_t least = least_length(frame->type);
    if (least == 0 || frame->length < least ||
        (frame->type == TP_FRAME_LOGITS &&
         frame->length < 8 + 4 * (size_t)tp__get16(frame->payload + 2))) {
        return;
    }
    device->heard_at = tp__seconds();
    if (frame->type < TP_FRAME_TOKEN) {
        take_answer(device, frame);
    } else if (!is_next(device, frame->sequence)) {
        return;
    } else if (frame->type == TP_FRAME_STEP) {
        take_step(device, frame);
    } else {
        take_slot_event(device, frame);
    }
}

// ---- the thread ----

// With the mutex held, which is given up in between.
static void finish(tp_device *device, tp_session *session)
{
    device->entered = session;
    pthread_mutex_unlock(&device->mutex);
    tp__session_finish(session);
    pthread_mutex_lock(&device->mutex);
    leave_session(device);
}

// With the mutex held, which may be given up in between: ends turns and begins others.
static void give_turns(tp_device *device)
{
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        tp_session *session = device->sessions[s];
        if (session != NULL && session->running && session->recovery == TP_RECOVERY_END) {
            finish(device, session);
        }
    }
    tp_session *ended = NULL;
    while (tp__device_works(device) && (ended = tp__schedule(device)) != NULL) {
        finish(device, ended);
    }
}

// Whether there is nothing to do until somebody calls: of the sessions in a run none is on the
// device, and none can be put there.
static bool is_idle(const tp_device *device)
{
    return !tp__link_is_busy(&device->link) && device->running == device->waiting &&
           device->mending == TP_MENDING_NONE && device->task == NULL;
}

// With the mutex held, which may be given up in between: gives turns, and waits until there is
// something to do; false when the thread shall end.
static bool wait_for_work(tp_device *device)
{
    give_turns(device);
    while (!device->quit && (!tp__device_works(device) || is_idle(device))) {
        pthread_cond_wait(&device->changed, &device->mutex);
        device->heard_at = tp__seconds();
        device->quiet_bytes = 0;
        give_turns(device);
    }
    return !device->quit;
}

// With the mutex held, which is given up in between: sessions with callbacks hear of the failure.
static void tell_callbacks(tp_device *device)
{
    for (tp_session *s = device->first_session; s != NULL; s = s->next) {
        device->entered = s;
        pthread_mutex_unlock(&device->mutex);
        tp__session_call_back(s);
        pthread_mutex_lock(&device->mutex);
        leave_session(device);
    }
}

// With the mutex held: most bytes of a step of the sessions that have their turn.
static uint32_t step_bytes(const tp_device *device)
{
    uint32_t bytes = TP_FRAME_OVERHEAD + STEP_BYTES;
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        if (device->sessions[s] != NULL) {
            bytes += tp__session_event_bytes(device->sessions[s]);
        }
    }
    return bytes;
}

// With the mutex held: lets the device go on, before it comes to the end of its credit.
static void give_credit(tp_device *device)
{
    struct tp_frame frame = {.type = TP_FRAME_CREDIT, .length = 4, .payload = {1}};
    bool makes_steps = device->running != device->waiting;
    if (makes_steps && !device->link.has_own &&
        tp__credit_is_due(&device->credit, device->steps_made, step_bytes(device),
                          &device->credit_asked)) {
        tp__put16(frame.payload + 2, (uint16_t)device->credit_asked);
        tp__link_push_own(&device->link, &frame);
        device->own_credits = true;
        device->own_session = NULL;
    }
}

// Whether the session may send frames: not while another one holds slots.
static bool may_send(const tp_device *device, const tp_session *session)
{
    bool may = session->running;
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        const tp_session *other = device->sessions[s];
        may = may && (other == NULL || other == session || !tp__session_holds(other));
    }
    return may;
}

// With the mutex held: what sessions want to be sent.
static void attend_sessions(tp_device *device)
{
    struct tp_frame frame;
    give_credit(device);
    bool mends = device->mending != TP_MENDING_NONE && device->mending != TP_MENDING_BUSY;
    if (mends && !device->link.has_own) {
        mending_frame(device, &frame);
        tp__link_push_own(&device->link, &frame);
        device->own_mends = true;
        device->own_session = NULL;
    }
    for (uint32_t s = 0; s < TP_SLOTS_MAX && !device->link.has_own; s++) {
        tp_session *session = device->sessions[s];
        if (session != NULL && may_send(device, session) &&
            tp__session_next_frame(session, &frame)) {
            tp__link_push_own(&device->link, &frame);
            device->own_session = session;
        }
    }
}

// With the mutex held: sends again what has no answer; else sessions begin anew.
static void end_silence(tp_device *device, bool counts)
{
    if (device->decoder.count != 0) {
        // A wrong length made it wait for bytes that never come.
        device->decoder.count = 0;
        device->decoder.bad++;
    }
    uint8_t type = tp__link_waits_for(&device->link);
    if (type != 0 && !tp__link_repeat(&device->link, counts)) {
        struct tp_error error;
        error.status = tp__fail(
            &error, TP_ERROR_TIMEOUT,
            "%s does not answer: a frame of type 0x%02x was sent %d times - try: reset the device",
            device->info.name, type, TP_LINK_TRIES + 1);
        fail(device, &error);
    }
    ask_again(device);
    // An old CREDIT that the link brought again may be what the device waits behind.
    device->credit.is_limited = device->credit.is_limited && type != 0;
    for (uint32_t s = 0; type == 0 && s < TP_SLOTS_MAX; s++) {
        if (device->sessions[s] != NULL && device->sessions[s]->running) {
            tp__session_silent(device->sessions[s]);
        }
    }
}

// With the mutex held: bytes moved, or none did. Is it time to do something about it?
static void judge_silence(tp_device *device, size_t taken, size_t got)
{
    double now = tp__seconds();
    bool owes = tp__link_waits_for(&device->link) != 0;
    if (taken != 0) {
        device->heard_at = now;
    }
    device->link.heard += owes ? got : 0;
    device->quiet_bytes += got;
    if (!owes && device->running == 0 && device->mending == TP_MENDING_NONE) {
        return;
    }
    bool silent = taken == 0 && got == 0 && now - device->heard_at >= device->patience_s;
    // A device that goes on with steps works, though an answer was lost behind them.
    bool overdue = owes && device->link.heard >= TP_LINK_OVERDUE;
    bool quiet = device->quiet_bytes >= QUIET_BYTES_MAX;
    if (silent || overdue || quiet) {
        end_silence(device, silent || device->quiet_bytes >= TP_LINK_OVERDUE);
        device->heard_at = now;
        device->quiet_bytes = quiet ? 0 : device->quiet_bytes;
    }
}

// With the mutex held, which is given up in between.
static void do_task(tp_device *device)
{
    if (device->task != NULL) {
        pthread_mutex_unlock(&device->mutex);
        device->task(device->task_user);
        pthread_mutex_lock(&device->mutex);
        device->task = NULL;
        pthread_cond_broadcast(&device->changed);
    }
}

tp_status tp__device_do(tp_device *device, void (*task)(void *user), void *user,
                        struct tp_error *error)
{
    tp_status status = TP_OK;
    pthread_mutex_lock(&device->commands);
    pthread_mutex_lock(&device->mutex);
    device->task_user = user;
    device->task = tp__device_works(device) ? task : NULL;
    pthread_cond_broadcast(&device->changed);
    bool is_given = device->task != NULL;
    while (device->task != NULL && tp__device_works(device)) {
        pthread_cond_wait(&device->changed, &device->mutex);
    }
    if (!is_given || device->task != NULL) {
        device->task = NULL;
        status = tp__fail(error, device->failure.status, "%s", device->failure.text);
    }
    pthread_mutex_unlock(&device->mutex);
    pthread_mutex_unlock(&device->commands);
    return status;
}

void *tp__device_thread(void *user)
{
    tp_device *device = user;
    uint8_t out[TP_LINK_OUT_BYTES];
    uint8_t in[CHUNK_BYTES];
    pthread_mutex_lock(&device->mutex);
    while (wait_for_work(device)) {
        struct tp_error error = {.status = TP_OK};
        size_t taken = 0;
        size_t got = 0;
        do_task(device);
        attend_sessions(device);
        tp__link_fill(&device->link);
        size_t count = device->link.out_count;
        memcpy(out, device->link.out, count);
        pthread_mutex_unlock(&device->mutex);
        tp_status status = device->backend->exchange(device->state, out, count, &taken, in,
                                                     sizeof in, &got, &error);
        struct tp_frame frame;
        for (size_t i = 0; i < got; i++) {
            if (tp__frame_decode(&device->decoder, in[i], &frame)) {
                take_frame(device, &frame);
            }
        }
        pthread_mutex_lock(&device->mutex);
        tp__link_taken(&device->link, taken);
        if (status != TP_OK) {
            fail(device, &error);
        } else {
            judge_silence(device, taken, got);
        }
        if (!tp__device_works(device)) {
            tell_callbacks(device);
        }
    }
    pthread_mutex_unlock(&device->mutex);
    return NULL;
}

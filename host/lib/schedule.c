// SPDX-License-Identifier: Apache-2.0
//
// The queue, the slots, and the pages of sessions.
//
// A run has an age, the order of its beginning, and pages are taken only from idle sessions and
// from younger runs: the oldest run always gets on, so not all wait for ever.

#include "schedule.h"
#include "prefill.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t pages_of(uint32_t positions)
{
    return (positions + TP_PAGE - 1) / TP_PAGE;
}

// ---- pages of a session ----

static void drop_last_page(tp_session *session)
{
    tp__pages_drop(&session->device->pages, session->pages[--session->page_count]);
    session->processed = smaller(session->processed, session->page_count * TP_PAGE);
}

// Keeps the pages of so many positions. The last one goes first, so that of pages that are kept the
// end of a prefix is forgotten before its beginning.
static void trim(tp_session *session, uint32_t positions)
{
    while (session->page_count > pages_of(positions)) {
        drop_last_page(session);
    }
}

void tp__schedule_cut(tp_session *session, uint32_t positions)
{
    session->heard = smaller(session->heard, positions);
    session->processed = smaller(session->processed, positions);
    uint32_t in_page = session->processed % TP_PAGE;
    // A page that others may read is never written: its positions are computed again in a new one.
    if (in_page != 0) {
        uint32_t page = session->pages[session->processed / TP_PAGE];
        const struct tp_page *p = &session->device->pages.pages[page];
#ifdef TP_PLANT_BUG
        // The planted fault looks only at who holds it now.
        session->processed -= p->references != 1 ? in_page : 0;
#else
        session->processed -= p->name != 0 || p->references != 1 ? in_page : 0;
#endif
    }
    trim(session, session->processed);
    pthread_cond_broadcast(&session->device->changed);
}

void tp__schedule_share(const tp_session *from, tp_session *to)
{
    // What is in a page that is not full is computed again: at most TP_PAGE - 1 positions.
    to->page_count = from->processed / TP_PAGE;
    to->processed = to->page_count * TP_PAGE;
    to->heard = from->heard;
    for (uint32_t i = 0; i < to->page_count; i++) {
        tp__pages_hold(&to->device->pages, from->pages[i]);
        to->pages[i] = from->pages[i];
        to->prefixes[i] = from->prefixes[i];
    }
}

// Whether the session goes on behind a page that is kept, or held by others.
static bool find_page(tp_session *session)
{
    struct tp_pages *pages = &session->device->pages;
    uint32_t index = session->processed / TP_PAGE;
    uint32_t end = (index + 1) * TP_PAGE;
    // One token at least must be processed. Logits are told of each position.
    if (end >= session->length || (session->logits != NULL && end > session->heard)) {
        return false;
    }
    uint64_t parent = index == 0 ? 0 : session->prefixes[index - 1];
    uint32_t page = tp__pages_find(pages, parent, session->history + (size_t)index * TP_PAGE);
    if (page == TP_PAGE_NONE) {
        return false;
    }
    tp__pages_hold(pages, page);
    if (index < session->page_count) {
        tp__pages_drop(pages, session->pages[index]);
    } else {
        session->page_count++;
    }
    session->pages[index] = page;
    session->prefixes[index] = pages->pages[page].name;
    session->processed = end;
    if (end > session->heard) {
        session->prefix_tokens += end - session->heard;
        session->device->prefix_tokens += end - session->heard;
        session->heard = end;
    }
    return true;
}

// The session that gives up pages for another one, or NULL: the one that is idle for longest, else
// the youngest run that is younger and waits for its turn.
static tp_session *find_giver(const tp_session *taker)
{
    tp_session *idle = NULL;
    tp_session *young = NULL;
    for (tp_session *s = taker->device->first_session; s != NULL; s = s->next) {
        if (s == taker || s->page_count == 0) {
            continue;
        }
        if (!s->running) {
            idle = idle == NULL || s->age < idle->age ? s : idle;
        } else if (s->is_waiting && !s->options.fails_without_pages && s->age > taker->age) {
            young = young == NULL || s->age > young->age ? s : young;
        }
    }
    return idle != NULL || taker->options.fails_without_pages ? idle : young;
}

static bool take_page(tp_session *session)
{
    struct tp_pages *pages = &session->device->pages;
    tp_session *giver = NULL;
    while (tp__pages_available(pages) == 0 && (giver = find_giver(session)) != NULL) {
        drop_last_page(giver);
    }
    uint32_t page = tp__pages_take(pages);
    if (page == TP_PAGE_NONE && session->page_count == pages->tail) {
        page = tp__pages_take_tail(pages);
    }
    if (page != TP_PAGE_NONE) {
        session->pages[session->page_count++] = page;
    }
    return page != TP_PAGE_NONE;
}

bool tp__schedule_reserve(tp_session *session, uint32_t positions)
{
    while (find_page(session)) {
    }
    while (session->page_count < pages_of(positions)) {
        if (!take_page(session)) {
            return false;
        }
    }
    return true;
}

// ---- turns ----

void tp__schedule_enter(tp_session *session)
{
    tp_device *device = session->device;
    session->is_waiting = true;
    session->place = ++device->tickets;
    session->entered_at = tp__seconds();
    device->waiting++;
}

static void leave_queue(tp_session *session)
{
    if (session->is_waiting) {
        session->is_waiting = false;
        session->device->waiting--;
        session->seconds_queued += tp__seconds() - session->entered_at;
    }
}

void tp__schedule_leave(tp_session *session, uint32_t positions)
{
    tp_device *device = session->device;
    leave_queue(session);
    for (uint32_t i = 0; i < session->slot_count; i++) {
        device->sessions[session->slots[i]] = NULL;
    }
    if (session->slot_count != 0) {
        session->last_slot = session->slots[0];
        session->slot_count = 0;
        device->own_session = device->own_session == session ? NULL : device->own_session;
    }
    trim(session, positions);
}

// Positions when the run is over, if nothing ends it before.
static uint32_t end_of_run(const tp_session *session)
{
    if (session->count == 0) {
        return session->length;
    }
    uint32_t further = session->count - (session->length - session->fed) - 1;
    uint32_t room = session->context - session->length;
    return session->length + smaller(further, room);
}

// Where the turn in so many slots ends. It has pages up to there: those of TP_TURN positions at
// least, and when nobody waits up to half of those that nobody holds, so that a run that may end
// early does not drive out all prefixes. 0: there are no pages.
static uint32_t reserve_turn(tp_session *session, uint32_t slots)
{
    const tp_device *device = session->device;
    uint32_t end = slots > 1 ? tp__prefill_end(session) : end_of_run(session);
    uint32_t fed = slots > 1 ? end : session->length;
    if (fed - session->processed > slots * device->queue_max) {
        end = session->processed + slots * device->queue_max;
    }
    uint32_t soon = smaller(end, session->processed + TP_TURN);
    if (!tp__schedule_reserve(session, soon)) {
        // Who does not wait goes as far as it can.
        uint32_t reach = smaller(end, session->page_count * TP_PAGE);
        return session->options.fails_without_pages && reach > session->processed ? reach : 0;
    }
    if (device->waiting > 1) {
        return soon;
    }
    for (uint32_t more = tp__pages_available(&device->pages) / 2;
         more != 0 && session->page_count < pages_of(end); more--) {
        (void)take_page(session);
    }
    return smaller(end, session->page_count * TP_PAGE);
}

// False: there are no pages.
static bool begin_turn(tp_session *session, uint32_t slot)
{
    while (find_page(session)) {
    }
    uint32_t slots = tp__prefill_slots(session);
    uint32_t limit = reserve_turn(session, slots);
    if (limit == 0) {
        return false;
    }
    leave_queue(session);
    // Not more than there are positions, where pages are short.
    tp__prefill_take_slots(session, slot, smaller(slots, limit - session->processed));
    session->limit = limit;
    session->turn_first = session->processed;
    session->feeds_only = session->length > limit;
    session->recovery = TP_RECOVERY_SLOT;
    session->is_beginning = true;
    session->is_suspect = false;
    session->cancel_sent = false;
    session->has_token = false;
    session->candidates_heard = 0;
    session->logits_heard = 0;
    session->next_slot = 0;
    session->done = 0;
    return true;
}

// The slot that the session was in, whose page table has most of its pages, or any that is free.
static uint32_t free_slot(const tp_device *device, const tp_session *session)
{
    if (session->last_slot != TP_SLOT_NONE && device->sessions[session->last_slot] == NULL) {
        return session->last_slot;
    }
    uint32_t slot = 0;
    while (slot < device->image->plan.sessions && device->sessions[slot] != NULL) {
        slot++;
    }
    return slot < device->image->plan.sessions ? slot : TP_SLOT_NONE;
}

// The first in the queue behind a place.
static tp_session *next_waiting(const tp_device *device, uint64_t place)
{
    tp_session *found = NULL;
    for (tp_session *s = device->first_session; s != NULL; s = s->next) {
        if (s->is_waiting && s->place > place && (found == NULL || s->place < found->place)) {
            found = s;
        }
    }
    return found;
}

// One whose run ends in the queue.
static tp_session *find_ended(const tp_device *device)
{
    tp_session *session = device->first_session;
    while (session != NULL &&
           !(session->is_waiting && (session->cancel_wanted || session->is_orphan))) {
        session = session->next;
    }
    return session;
}

tp_session *tp__schedule(tp_device *device)
{
    tp_session *session = device->waiting != 0 ? find_ended(device) : NULL;
    uint64_t place = 0;
    while (session == NULL && device->waiting != 0 && !device->is_paused &&
           device->mending == TP_MENDING_NONE) {
        tp_session *next = next_waiting(device, place);
        uint32_t slot = next == NULL ? TP_SLOT_NONE : free_slot(device, next);
        if (slot == TP_SLOT_NONE) {
            return NULL;
        }
        place = next->place;
        next->lacks_pages = !begin_turn(next, slot) && next->options.fails_without_pages;
        session = next->lacks_pages ? next : NULL;
    }
    return session;
}

void tp__schedule_forget(tp_device *device)
{
    tp__pages_forget(&device->pages);
    for (tp_session *s = device->first_session; s != NULL; s = s->next) {
        trim(s, 0);
    }
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        for (uint32_t i = 0; i < device->limits.positions_max / TP_PAGE; i++) {
            device->tables[s][i] = TP_PAGE_NONE;
        }
    }
}

void tp__schedule_pause(tp_device *device)
{
    device->is_paused = true;
    pthread_cond_broadcast(&device->changed);
    while (tp__device_works(device) &&
           (device->running != device->waiting || device->mending != TP_MENDING_NONE)) {
        pthread_cond_wait(&device->changed, &device->mutex);
    }
}

void tp__schedule_resume(tp_device *device)
{
    device->is_paused = false;
    pthread_cond_broadcast(&device->changed);
}

bool tp__schedule_take_model(tp_session *session, bool is_alike)
{
    uint32_t context = smaller(session->context, session->device->image->plan.context);
    bool fits = context == session->context || session->length <= context;
    session->is_orphan = session->is_orphan || !is_alike || !fits;
    session->context = session->is_orphan ? session->context : context;
    session->last_slot = TP_SLOT_NONE;
    return !session->is_orphan;
}

bool tp__schedule_is_over(const tp_session *session)
{
    bool is_long = session->processed - session->turn_first >= TP_TURN;
    return session->device->is_paused || (session->device->waiting != 0 && is_long) ||
           tp__prefill_is_in_the_way(session);
}

// ---- page tables ----

bool tp__schedule_pages_frame(tp_session *session, uint32_t slot, struct tp_frame *frame)
{
    uint32_t *table = session->device->tables[slot];
    uint32_t count = pages_of(session->limit);
    uint32_t first = 0;
    while (first < count && table[first] == session->pages[first]) {
        first++;
    }
    if (first == count) {
        return false;
    }
    uint32_t words = smaller(count - first, TP_WRITE_WORDS_MAX);
    *frame = (struct tp_frame){.type = TP_FRAME_WRITE, .length = (uint16_t)(8 + 4 * words)};
    frame->payload[0] = TP_SPACE_PAGE_TABLE;
    tp__put32(frame->payload + 4, slot * TP_TABLE_MAX + first);
    for (uint32_t i = 0; i < words; i++) {
        tp__put32(frame->payload + 8 + 4 * (size_t)i, session->pages[first + i]);
        // Until the answer comes nobody knows what the device has there.
        table[first + i] = TP_PAGE_NONE;
    }
    session->table_first = first;
    session->table_count = words;
    return true;
}

void tp__schedule_pages_written(const tp_session *session, uint32_t slot)
{
    uint32_t *table = session->device->tables[slot];
    for (uint32_t i = 0; i < session->table_count; i++) {
        table[session->table_first + i] = session->pages[session->table_first + i];
    }
}

// ---- invariants ----

static const char *session_fault(const tp_session *session, uint32_t *holders)
{
    const tp_device *device = session->device;
    for (uint32_t i = 0; i < session->page_count; i++) {
        const struct tp_page *page = &device->pages.pages[session->pages[i]];
        holders[session->pages[i]]++;
        if (i >= session->processed / TP_PAGE && (page->name != 0 || page->references != 1)) {
            return "a page that will be written is shared";
        }
    }
    if (session->page_count < pages_of(session->processed)) {
        return "positions are processed that have no page";
    }
    if (session->processed > session->heard || session->heard > session->context ||
        session->heard > session->length) {
        return "positions are out of order";
    }
    bool is_on_device = session->slot_count != 0;
    if (is_on_device && (session->is_waiting || session->page_count < pages_of(session->limit))) {
        return "a session on the device lacks pages, or waits";
    }
    for (uint32_t i = 0; i < session->slot_count; i++) {
        if (device->sessions[session->slots[i]] != session ||
            (i != 0 && session->slots[i] <= session->slots[i - 1])) {
            return "a session on the device lacks a slot, or its slots are out of order";
        }
    }
    return NULL;
}

// Whether another number of slots is taken than the sessions have.
static bool slots_fault(const tp_device *device)
{
    uint32_t slots = 0;
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        slots += device->sessions[s] != NULL ? 1 : 0;
    }
    for (const tp_session *s = device->first_session; s != NULL; s = s->next) {
        slots -= s->slot_count;
    }
    return slots != 0;
}

const char *tp__schedule_fault(tp_device *device)
{
    uint32_t *holders = calloc((size_t)device->pages.count + 1, sizeof *holders);
    const char *fault = holders == NULL ? "no memory" : NULL;
    uint32_t waiting = 0;
    for (tp_session *s = device->first_session; s != NULL && fault == NULL; s = s->next) {
        fault = session_fault(s, holders);
        waiting += s->is_waiting ? 1 : 0;
    }
    if (fault == NULL && waiting != device->waiting) {
        fault = "another number of sessions waits";
    }
    if (fault == NULL && slots_fault(device)) {
        fault = "a slot is taken by nobody";
    }
    if (fault == NULL) {
        fault = tp__pages_fault(&device->pages, holders);
    }
    free(holders);
    return fault;
}

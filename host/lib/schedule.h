// SPDX-License-Identifier: Apache-2.0
//
// Who is on the device: sessions take turns in its slots and hold pages of its KV memory.
//
// A run is made in turns. A session whose run was begun, or whose turn is over before its run is,
// goes to the end of one queue; free slots take from its front. While somebody waits a turn has
// TP_TURN positions, else it goes as far as there are pages (docs/sessions.md has the policy and
// the bounds). All of it with the device's mutex held.

#ifndef TP_LIB_SCHEDULE_H
#define TP_LIB_SCHEDULE_H

#include "session.h"

enum { TP_TURN = 32 };  // positions of a turn while others wait

/** A run was begun, or goes on: to the end of the queue. */
void tp__schedule_enter(tp_session *session);

/** The session's turn or its time in the queue is over: its slots, or its place, are free, and so
 *  are its pages behind so many positions. */
void tp__schedule_leave(tp_session *session, uint32_t positions);

/** Gives free slots to sessions that wait. Returns one whose run must end, since it was cancelled,
 *  because the model cannot go on with it or because it does not wait for pages, or NULL. */
tp_session *tp__schedule(tp_device *device);

/** Nothing in the KV memory is trusted: all pages are given up and all page tables unknown. No
 *  session is on the device. */
void tp__schedule_forget(tp_device *device);

/** Ends the turns of all sessions and gives no others, until the device is resumed. Waits, so not
 *  from the device's thread; the device may have failed meanwhile. Runs go on from where they are
 *  in the queue. */
void tp__schedule_pause(tp_device *device);
void tp__schedule_resume(tp_device *device);

/** The device got another model, and the session has no page of it yet. It goes on under it, or it
 *  is an orphan from now on, whose run ends. Returns whether it goes on. The device is paused.
 *  in     is_alike  the models have the same tokens */
bool tp__schedule_take_model(tp_session *session, bool is_alike);

/** Whether the session has been on the device for its turn while others wait, has a further slot
 *  that another one waits for, or the device is paused. */
bool tp__schedule_is_over(const tp_session *session);

/** Takes cached pages of the beginning of its history, then pages for so many positions. False:
 *  there are none. */
bool tp__schedule_reserve(tp_session *session, uint32_t positions);

/** Positions from here on never happened. Not while the session is on the device. */
void tp__schedule_cut(tp_session *session, uint32_t positions);

/** Gives a new session of the same history the full pages of another one. */
void tp__schedule_share(const tp_session *from, tp_session *to);

/** PAGE_TABLE entries of the session's pages that a slot of it does not have. False: it has all. */
bool tp__schedule_pages_frame(tp_session *session, uint32_t slot, struct tp_frame *frame);
/** They were written. */
void tp__schedule_pages_written(const tp_session *session, uint32_t slot);

/** What must always hold of pages and sessions; NULL: all is well. Takes memory: for tests. */
const char *tp__schedule_fault(tp_device *device);

#endif

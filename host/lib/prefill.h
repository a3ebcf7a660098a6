// SPDX-License-Identifier: Apache-2.0
//
// Prompts over several slots: consecutive positions of one session in the slots of a step
// (docs/sessions.md, "Prefill").
//
// A turn of n slots processes positions p, p + 1, ... p + n - 1 in its first step, p + n, ... in
// its next. In a step the lower slot works first, so ascending slots have ascending positions,
// and all of them begin in the same step: then what a position reads was written, by an earlier
// step or a lower slot of the same. A turn of one slot is the case n = 1. With the device's
// mutex held.

#ifndef TP_LIB_PREFILL_H
#define TP_LIB_PREFILL_H

#include "session.h"

/** Positions below this one need no logits: all that is to be fed, but for its last token when
 *  tokens are asked for. */
uint32_t tp__prefill_end(const tp_session *session);

/** How many slots the turn has that the waiting session begins now, in a slot that is free. */
uint32_t tp__prefill_slots(const tp_session *session);

/** Puts the session into so many free slots, this one among them. */
void tp__prefill_take_slots(tp_session *session, uint32_t slot, uint32_t count);

/** Whether the session has a further slot that another session waits for. Not before it has made a
 *  step: each turn gets on. */
bool tp__prefill_is_in_the_way(const tp_session *session);

/** The first position of the turn in the session's slot of this index. */
uint32_t tp__prefill_first(const tp_session *session, uint32_t index);

/** How many positions are processed when a step did what was expected of the session next; 0: it
 *  did something else.
 *  in     step     payload of STEP
 *         present  slots of the step that count, as a mask */
uint32_t tp__prefill_positions(const tp_session *session, const uint8_t *step, uint32_t present);

/** Whether the run of the slot of this index ended behind its last token, which was told of.
 *  in     position  of DONE */
bool tp__prefill_is_end(const tp_session *session, uint32_t index, uint32_t position);

#endif

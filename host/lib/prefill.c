// SPDX-License-Identifier: Apache-2.0
//
// Which slots a prompt gets, and what is told of them.

#include "prefill.h"

#include <assert.h>

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// ---- taking slots ----

uint32_t tp__prefill_end(const tp_session *session)
{
    return session->length - (session->count != 0 ? 1 : 0);
}

// Free slots of the device from first on, before end.
static uint32_t free_slots(const tp_device *device, uint32_t first, uint32_t end)
{
    uint32_t count = 0;
    for (uint32_t s = first; s < end; s++) {
        count += device->sessions[s] == NULL ? 1 : 0;
    }
    return count;
}

uint32_t tp__prefill_slots(const tp_session *session)
{
    const tp_device *device = session->device;
    const struct tp_plan *plan = &device->image->plan;
    uint32_t end = tp__prefill_end(session);
    // Of the slots that send logits only one takes part in a step.
    if (session->logits != NULL || end <= session->processed) {
        return 1;
    }
    // One for each session that waits, this one among them, is left; slots that no turn begins in
    // are for prompts alone.
    uint32_t within = free_slots(device, 0, plan->sessions);
    uint32_t further = within > device->waiting ? within - device->waiting : 0;
    further += free_slots(device, plan->sessions, device->limits.slots);
    uint32_t most = smaller(plan->prefill_slots, (end - session->processed) / device->prefill_min);
    uint32_t count = smaller(1 + further, most);
    return count == 0 ? 1 : count;
}

void tp__prefill_take_slots(tp_session *session, uint32_t slot, uint32_t count)
{
    tp_device *device = session->device;
    uint32_t mask = 1u << slot;
    uint32_t taken = 1;
    // From the end: slots that no turn begins in, if there are some.
    for (uint32_t s = device->limits.slots; s-- != 0 && taken < count;) {
        if (device->sessions[s] == NULL && s != slot) {
            mask |= 1u << s;
            taken++;
        }
    }
    assert(taken == count);
    session->slot_count = 0;
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        if ((mask >> s & 1u) != 0) {
            device->sessions[s] = session;
            session->slots[session->slot_count++] = s;
        }
    }
}

bool tp__prefill_is_in_the_way(const tp_session *session)
{
    const tp_device *device = session->device;
    uint32_t sessions = device->image->plan.sessions;
    return device->waiting != 0 && session->slot_count > 1 && session->slots[1] < sessions &&
           session->processed != session->turn_first && free_slots(device, 0, sessions) == 0;
}

// ---- positions ----

uint32_t tp__prefill_first(const tp_session *session, uint32_t index)
{
#ifdef TP_PLANT_BUG
    // The planted fault gives ascending slots descending positions.
    index = session->slot_count - 1 - index;
#endif
    return session->processed + index;
}

uint32_t tp__prefill_positions(const tp_session *session, const uint8_t *step, uint32_t present)
{
    uint32_t count = smaller(session->slot_count, session->limit - session->processed);
    for (uint32_t i = 0; i < session->slot_count; i++) {
        uint32_t slot = session->slots[i];
        bool takes_part = (present >> slot & 1u) != 0;
        uint32_t position = tp__get16(step + 12 + 2 * (size_t)slot);
        if (takes_part != (i < count) ||
            (takes_part && position != tp__prefill_first(session, i))) {
            return 0;
        }
    }
    return count;
}

bool tp__prefill_is_end(const tp_session *session, uint32_t index, uint32_t position)
{
    uint32_t stride = session->slot_count;
    return position >= session->limit && position - session->limit < stride &&
           (position - session->turn_first) % stride == index &&
           session->processed + stride > position;
}

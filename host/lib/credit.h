// SPDX-License-Identifier: Apache-2.0
//
// Credit of a link that nothing holds back: how far the device may go ahead of what was heard of
// it, so that all it sends finds a place (docs/link.md, "Credit").

#ifndef TP_LIB_CREDIT_H
#define TP_LIB_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct tp_credit {
    uint32_t bytes;   // that wait safely between the device and the program; 0: any number
    uint32_t limit;   // number of the first step that may not begin
    bool is_limited;  // else any step may begin
};

/** A limit of the present one may follow.
 *  in     step        number of the next step that the host has not heard of
 *         step_bytes  most that a step of the slots as they are sends
 *  out    limit       of the CREDIT frame that is due
 *  Returns whether one is due. */
bool tp__credit_is_due(const struct tp_credit *credit, uint32_t step, uint32_t step_bytes,
                       uint32_t *limit);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The ledger of cycles, and what follows from it, as text and as JSON (docs/performance.md).

#ifndef TP_TOOLS_ACCOUNTS_H
#define TP_TOOLS_ACCOUNTS_H

#include "common.h"

enum { LANES_OF_GROUP = 32 };

/** Useful multiply-accumulates of each lane and cycle. */
double multiplier_use(const struct tp_ledger *ledger, uint32_t groups);

/** Schedules the steps that a device made again and adds them up: figures are of these very steps,
 *  or nothing is said. Steps of an emulator get their predicted cycles.
 *  in     predicted  cycles of all, by the device's thread
 *  out    ledger     starts with all 0
 *  Returns an exit status, after a message where cycles differ. */
int account_steps(tp_forecast *forecast, struct tp_step *steps, size_t count, uint64_t predicted,
                  struct tp_ledger *ledger);

/** The ledger in cycles per token. */
void print_ledger(const struct tp_ledger *ledger);
json_t *ledger_to_json(const struct tp_ledger *ledger);

/** Cycles of one step in which so many slots stand at the end of a context, greedy; 0: they do not.
 *  out    ledger  of that step */
uint32_t cycles_at(tp_forecast *forecast, uint32_t slots, uint32_t context,
                   struct tp_ledger *ledger);

/** Adds the first steps of one session that wants logits from the first token on, as the mean of
 *  tp_cost counts them. Returns their number. */
uint32_t add_first_steps(tp_forecast *forecast, uint32_t positions, struct tp_ledger *ledger);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The ledger: every cycle of a step is put down to one kind of work (docs/performance.md).

#ifndef TP_LIB_LEDGER_H
#define TP_LIB_LEDGER_H

#include "cycles.h"

/** What an instruction is for; TP_WORK_COUNT for those that do nothing. */
tp_work tp__instruction_work(const uint32_t *words);

/** Adds the schedule of one step to lines and occupied.
 *  in     program  [.][TP_INSTRUCTION_WORDS]
 *         issues   [count], as tp__step_schedule gives them, and the cycles that it returned */
void tp__ledger_add(const struct tp_limits *limits, const uint32_t *program,
                    const struct tp_step_slot *slots, const struct tp_issue *issues, uint32_t count,
                    uint32_t cycles, struct tp_ledger *ledger);

#endif

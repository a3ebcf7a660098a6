/* SPDX-License-Identifier: Apache-2.0
 *
 * The cycles of a step, predicted: the issue rule of the sequencer and the durations of the units
 * (docs/architecture.md, section 4). No data enters, only the program, the active slots, their
 * positions and their settings. The device counts the same number or the run fails.
 */
#ifndef TP_CYCLES_H
#define TP_CYCLES_H

#include "machine.h"

/* One slot that takes part in a step. */
struct tp_step_slot {
    bool active;
    bool logits; /* runs the logits part */
    bool list;   /* top_k > 0 and temperature > 0, or candidates are reported */
    uint32_t position;
};

/* Occupancy of the unit and time to completion of one instruction, in cycles from its issue. */
struct tp_duration {
    uint32_t occupy;
    uint32_t complete;
};

/* words: one instruction. slot: whose position and settings count. */
struct tp_duration tp__instruction_cycles(const struct tp_limits *limits, const uint32_t *words,
                                          const struct tp_step_slot *slot);

/* Cycles of a step. program [count][TP_INSTRUCTION_WORDS] ends with END; slots [limits->slots]. */
uint32_t tp__step_cycles(const struct tp_limits *limits, const uint32_t *program, uint32_t count,
                         const struct tp_step_slot *slots);

/* The first position from which an ATTENTION with these operands may be issued before the VALUE in
 * front of it is complete: it reads the row of the present position last, and is issued no sooner
 * than TP_CYCLES_NEXT_ISSUE after VALUE, whatever other slots do. value: words of the VALUE. */
uint32_t tp__early_position(const struct tp_limits *limits, const uint32_t *value,
                            const struct tp_op_attention *attention);

/* Multiply-accumulates that the program asks for in a step of this slot: rows * 32 * blocks of
 * every MATVEC, counted once for two planes; the numerator of the multiplier use. */
uint64_t tp__program_products(const uint32_t *program, uint32_t count, bool logits);

#endif

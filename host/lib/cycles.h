/* SPDX-License-Identifier: Apache-2.0
 *
 * The cycles of a step, predicted: the issue rule of the sequencer and the durations of the units
 * (docs/architecture.md, section 4). No data enters, only the program, the active slots, their
 * positions and their settings. The device counts the same number or the run fails.
 */
#ifndef TP_CYCLES_H
#define TP_CYCLES_H

#include "machine.h"
#include "tokproc.h"

/* One slot that takes part in a step. */
struct tp_step_slot {
    bool active;
    bool logits; /* runs the logits part */
    bool list;   /* top_k > 0 and temperature > 0, or candidates are reported */
    bool fast;   /* no temperature, penalty or candidates, and no logits for the host */
    uint32_t position;
};

/* Occupancy of the unit and time to completion of one instruction, in cycles from its issue. */
struct tp_duration {
    uint32_t occupy;
    uint32_t complete;
    uint32_t pace; /* of the matrix unit: to the last row group; the rest of occupy is a drain */
};

/* One instruction of one slot in the schedule of a step. Cycles count from the step's beginning. */
struct tp_issue {
    uint32_t instruction;
    uint32_t slot;
    tp_unit unit;
    uint32_t issued;
    uint32_t free;      /* first cycle in which the unit takes another instruction */
    uint32_t completed; /* last cycle in which the instruction is in flight */
};

/* words: one instruction. slot: whose position and settings count. */
struct tp_duration tp__instruction_cycles(const struct tp_limits *limits, const uint32_t *words,
                                          const struct tp_step_slot *slot);

/* Cycles of a step. program [count][TP_INSTRUCTION_WORDS] ends with END; slots [limits->slots]. */
uint32_t tp__step_cycles(const struct tp_limits *limits, const uint32_t *program, uint32_t count,
                         const struct tp_step_slot *slots);

/* The same with the schedule, in the order of issue.
 * issues: room for count instructions of each active slot; NULL: not wanted. */
uint32_t tp__step_schedule(const struct tp_limits *limits, const uint32_t *program, uint32_t count,
                           const struct tp_step_slot *slots, struct tp_issue *issues,
                           uint32_t *issue_count);

/* TP_UNIT_COUNT: of no unit. */
tp_unit tp__opcode_unit(uint32_t opcode);

/* Weight beats that are multiplied with in an instruction: of a MATVEC; 0 of every other. */
uint32_t tp__instruction_beats(const struct tp_limits *limits, const uint32_t *words);

/* The first position from which an ATTENTION with these operands may be issued before the VALUE in
 * front of it is complete: it reads the row of the present position last, and is issued no sooner
 * than TP_CYCLES_NEXT_ISSUE after VALUE, whatever other slots do. value: words of the VALUE. */
uint32_t tp__early_position(const struct tp_limits *limits, const uint32_t *value,
                            const struct tp_op_attention *attention);

/* True when a block-major MATVEC of the FFN blocks may be issued behind the GATE that writes them,
 * without a drain: it reads every block after GATE has written it. down: only its sizes count. */
bool tp__block_major_follows(const struct tp_limits *limits, const struct tp_op_matvec *gate,
                             const struct tp_op_matvec *down);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cycle prediction: the schedule of (instruction, slot) work items, without any data.
 */
#include "cycles.h"

#include <assert.h>

#include "tp_map.h"

enum unit { UNIT_MATVEC, UNIT_NORM, UNIT_ANGLES, UNIT_ATTENTION, UNIT_COUNT, UNIT_NONE };

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static struct tp_duration matvec_cycles(const struct tp_limits *limits, const uint32_t *words,
                                        const struct tp_step_slot *slot) {
    struct tp_op_matvec op;
    tp_matvec_unpack(words, &op);
    uint32_t least = op.dest == TP_DEST_LOGITS ? limits->groups : larger(1, limits->groups / 2);
    uint32_t interval = larger(op.blocks * (op.planes + 1), least);
    uint32_t issue = op.rows / limits->groups * interval;
    uint32_t tail = 0;
    switch (op.dest) {
    case TP_DEST_RESIDUAL:
        tail = TP_CYCLES_RESIDUAL;
        break;
    case TP_DEST_GATE:
        tail = TP_CYCLES_GATE;
        break;
    case TP_DEST_LOGITS:
        tail = TP_CYCLES_LOGITS + (slot->top_k ? TP_TOP_K_MAX : 0);
        break;
    default:
        tail = TP_CYCLES_HEADS;
        break;
    }
    struct tp_duration duration = {issue + TP_CYCLES_MATVEC_ISSUE, issue + tail};
    if (op.dest == TP_DEST_LOGITS) {
        duration.occupy = duration.complete + TP_CYCLES_MATVEC_ISSUE;
    }
    return duration;
}

struct tp_duration tp__instruction_cycles(const struct tp_limits *limits, const uint32_t *words,
                                          const struct tp_step_slot *slot) {
    struct tp_op_any any;
    tp_any_unpack(words, &any);
    struct tp_duration duration = {0, 0};
    switch (any.opcode) {
    case TP_OP_EMBED: {
        struct tp_op_embed op;
        tp_embed_unpack(words, &op);
        duration.occupy = TP_CYCLES_EMBED_ISSUE + 16 * op.blocks;
        duration.complete = TP_CYCLES_EMBED + 16 * op.blocks;
        break;
    }
    case TP_OP_MATVEC:
        duration = matvec_cycles(limits, words, slot);
        break;
    case TP_OP_NORM: {
        struct tp_op_norm op;
        tp_norm_unpack(words, &op);
        duration.complete = TP_CYCLES_NORM + 8 * op.blocks;
        duration.occupy = duration.complete;
        break;
    }
    case TP_OP_ANGLES: {
        struct tp_op_angles op;
        tp_angles_unpack(words, &op);
        duration.complete = TP_CYCLES_ANGLES + 2 * op.pairs;
        duration.occupy = duration.complete;
        break;
    }
    case TP_OP_ATTENTION: {
        struct tp_op_attention op;
        tp_attention_unpack(words, &op);
        uint32_t columns = op.words * op.turns;
        uint32_t pages = slot->position / TP_PAGE + 1;
        duration.complete = TP_CYCLES_ATTENTION + 16 * columns * pages +
                            columns * (op.sets + 1) * TP_CYCLES_ATTENTION_WORD;
        duration.occupy = duration.complete;
        break;
    }
    default:
        break;
    }
    return duration;
}

static enum unit unit_of(uint32_t opcode) {
    switch (opcode) {
    case TP_OP_EMBED:
    case TP_OP_MATVEC:
        return UNIT_MATVEC;
    case TP_OP_NORM:
        return UNIT_NORM;
    case TP_OP_ANGLES:
        return UNIT_ANGLES;
    case TP_OP_ATTENTION:
        return UNIT_ATTENTION;
    default:
        return UNIT_NONE;
    }
}

/* The place of one slot in the program. */
struct walk {
    uint32_t index;     /* instruction that it issues next */
    uint32_t ready;     /* first cycle in which it may issue */
    uint32_t last_done; /* latest completion of what it issued */
    enum unit unit;     /* of the next instruction; UNIT_NONE when the slot has ended */
};

/* Looks at the next instruction of a slot, which can be issued from cycle `fetched` on. */
static void look(const uint32_t *program, uint32_t count, const struct tp_step_slot *slot,
                 struct walk *walk, uint32_t fetched) {
    assert(walk->index < count);
    struct tp_op_any any;
    tp_any_unpack(program + (size_t)walk->index * TP_INSTRUCTION_WORDS, &any);
    walk->unit = unit_of(any.opcode);
    if (any.logits != 0 && !slot->logits) {
        walk->unit = UNIT_NONE;
    }
    walk->ready = any.drain != 0 ? larger(fetched, walk->last_done + 1) : fetched;
}

uint32_t tp__step_cycles(const struct tp_limits *limits, const uint32_t *program, uint32_t count,
                         const struct tp_step_slot *slots) {
    struct walk walks[TP_SLOTS_MAX];
    uint32_t unit_free[UNIT_COUNT] = {0};
    uint32_t last = 0;
    uint32_t fetched = TP_CYCLES_FIRST_ISSUE;
    for (uint32_t s = 0; s < limits->slots; s++) {
        walks[s] = (struct walk){.unit = UNIT_NONE};
        if (slots[s].active) {
            look(program, count, &slots[s], &walks[s], fetched);
            fetched++;
        }
    }
    for (;;) {
        /* The earliest issue of any unit; of the slots that are ready then, the lowest. */
        uint32_t best = UINT32_MAX;
        for (uint32_t s = 0; s < limits->slots; s++) {
            if (walks[s].unit != UNIT_NONE) {
                uint32_t time = larger(walks[s].ready, unit_free[walks[s].unit]);
                best = time < best ? time : best;
            }
        }
        if (best == UINT32_MAX) {
            return last + 1;
        }
        uint32_t taken = 0;
        while (walks[taken].unit == UNIT_NONE ||
               larger(walks[taken].ready, unit_free[walks[taken].unit]) != best) {
            taken++;
        }
        struct walk *walk = &walks[taken];
        struct tp_duration duration = tp__instruction_cycles(
            limits, program + (size_t)walk->index * TP_INSTRUCTION_WORDS, &slots[taken]);
        unit_free[walk->unit] = best + duration.occupy;
        walk->last_done = larger(walk->last_done, best + duration.complete);
        last = larger(last, walk->last_done);
        walk->index++;
        look(program, count, &slots[taken], walk, best + TP_CYCLES_NEXT_ISSUE);
    }
}

uint64_t tp__program_products(const uint32_t *program, uint32_t count, bool logits) {
    uint64_t products = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *words = program + (size_t)i * TP_INSTRUCTION_WORDS;
        struct tp_op_any any;
        tp_any_unpack(words, &any);
        if (any.opcode == TP_OP_MATVEC && (any.logits == 0 || logits)) {
            struct tp_op_matvec op;
            tp_matvec_unpack(words, &op);
            products += (uint64_t)op.rows * op.blocks * TP_BLOCK;
        }
    }
    return products;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cycle prediction: the schedule of (instruction, slot) work items, without any data.
 */
#include "cycles.h"

#include <assert.h>

#include "tp_map.h"

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// Cycles of a row group in the epilogue, which takes two rows a cycle. A single group gives one row
// at a time; the epilogue waits for the second.
static uint32_t pair_cycles(const struct tp_limits *limits)
{
    return larger(1, limits->groups / 2);
}

// From the last pair of x to the end of its norm: its last block, of which a short one waits as
// long as one of 8 pairs would have needed, or so near to the factor that the next matrix finds it.
static uint32_t norm_cycles(uint32_t elements)
{
    uint32_t pairs = (elements / 2 - 1) % (TP_BLOCK / 2) + 1;
    return larger(TP_CYCLES_NORM + (pairs < 8 ? 8 - pairs : 0),
                  larger(elements / 4, TP_CYCLES_FACTOR) - TP_CYCLES_FACTOR);
}

// From the rows of the last row group to the end of the instruction; not for LOGITS.
static uint32_t tail_cycles(const struct tp_limits *limits, const struct tp_op_matvec *op)
{
    uint32_t serial = pair_cycles(limits);
    uint32_t head_norm =
        op->head_norm != 0 ? (1u << op->head_log2) + TP_CYCLES_HEAD_NORM : 0;  // 2 per pair
    uint32_t word = op->head_log2 == 3   ? TP_CYCLES_WORD_8
                    : op->head_log2 == 4 ? TP_CYCLES_WORD_16
                                         : TP_CYCLES_WORD_32;
    uint32_t last_block = (op->rows / 2 - 1) % TP_BLOCK + 1;
    switch (op->dest) {
    case TP_DEST_RESIDUAL:
        return TP_CYCLES_RESIDUAL + serial + norm_cycles(op->rows);
    case TP_DEST_GATE:
        // A short last block waits as long as one of 8 elements would have needed.
        return TP_CYCLES_GATE + serial + (last_block < 8 ? 8 - last_block : 0);
    default:
        return TP_CYCLES_HEADS + serial + head_norm + word;
    }
}

static struct tp_duration matvec_cycles(const struct tp_limits *limits, const uint32_t *words,
                                        const struct tp_step_slot *slot)
{
    struct tp_op_matvec op;
    tp_matvec_unpack(words, &op);
    // The sampler takes two logits a cycle of a fast slot, else one.
    bool slow = op.dest == TP_DEST_LOGITS && !slot->fast;
    uint32_t least = slow ? limits->groups : pair_cycles(limits);
    uint32_t interval = larger(op.blocks * (op.planes + 1), least);
    uint32_t issue = op.rows / limits->groups * interval;
    uint32_t rows = TP_CYCLES_ROWS + issue;
    if (op.dest != TP_DEST_LOGITS) {
        return (struct tp_duration){
            .occupy = issue, .complete = rows + tail_cycles(limits, &op), .pace = issue};
    }
    // The sampler holds the unit until it is done.
    uint32_t sampler = TP_CYCLES_SAMPLER + (slot->list ? TP_CYCLES_LIST : 0);
    uint32_t last_logits = slow ? 2 * pair_cycles(limits) : pair_cycles(limits);
    uint32_t token = rows + TP_CYCLES_LOGIT + last_logits + (slow ? sampler : TP_CYCLES_GREEDY);
    return (struct tp_duration){.occupy = token + 1, .complete = token, .pace = issue};
}

// Chunks of 16 cycles in a page of ATTENTION: with 16 lanes a word takes two.
static uint32_t page_chunks(const struct tp_limits *limits, const struct tp_op_attention *op)
{
    return op->words * op->turns * (limits->attention_lanes == 16 ? 2 : 1);
}

struct tp_duration tp__instruction_cycles(const struct tp_limits *limits, const uint32_t *words,
                                          const struct tp_step_slot *slot)
{
    struct tp_op_any any;
    tp_any_unpack(words, &any);
    switch (any.opcode) {
    case TP_OP_EMBED: {
        struct tp_op_embed op;
        tp_embed_unpack(words, &op);
        return (struct tp_duration){.occupy = 16 * (op.blocks + 1),
                                    .complete = TP_CYCLES_EMBED + 16 * op.blocks +
                                                norm_cycles(TP_BLOCK * op.blocks),
                                    .pace = 16 * (op.blocks + 1)};
    }
    case TP_OP_MATVEC:
        return matvec_cycles(limits, words, slot);
    case TP_OP_ANGLES: {
        struct tp_op_angles op;
        tp_angles_unpack(words, &op);
        uint32_t cycles = TP_CYCLES_ANGLES + 2 * op.pairs;
        return (struct tp_duration){.occupy = cycles, .complete = cycles};
    }
    case TP_OP_ATTENTION: {
        struct tp_op_attention op;
        tp_attention_unpack(words, &op);
        uint32_t pages = slot->position / TP_PAGE + 1;
        // The mix waits for the scores of all words of a head.
        uint32_t head_words = op.head_log2 > 5 ? 1u << (op.head_log2 - 5) : 1;
        uint32_t chunks = page_chunks(limits, &op) * pages + head_words - 1;
        uint32_t cycles = TP_CYCLES_ATTENTION + 8 * op.sets + TP_PAGE * chunks;
        return (struct tp_duration){.occupy = cycles + 1, .complete = cycles};
    }
    default:
        return (struct tp_duration){.occupy = 0, .complete = 0};
    }
}

tp_unit tp__opcode_unit(uint32_t opcode)
{
    switch (opcode) {
    case TP_OP_EMBED:
    case TP_OP_MATVEC:
        return TP_UNIT_MATRIX;
    case TP_OP_ANGLES:
        return TP_UNIT_ROTATION;
    case TP_OP_ATTENTION:
        return TP_UNIT_ATTENTION;
    default:
        return TP_UNIT_COUNT;
    }
}

uint32_t tp__instruction_beats(const struct tp_limits *limits, const uint32_t *words)
{
    struct tp_op_matvec op;
    tp_matvec_unpack(words, &op);
    return op.opcode == TP_OP_MATVEC ? op.rows / limits->groups * op.blocks * (op.planes + 1) : 0;
}

enum { AHEAD_MAX = 3 };  // what the field can say

/* The place of one slot in the program. */
struct walk {
    uint32_t index;               /* instruction that it issues next */
    uint32_t ready;               /* first cycle in which it may issue */
    uint32_t done[AHEAD_MAX + 1]; /* latest completions of what it issued, the last one first */
    tp_unit unit; /* of the next instruction; TP_UNIT_COUNT when the slot has ended */
};

/* Instructions of the slot that may be in flight when this one, which drains, is issued. */
static uint32_t ahead_of(const uint32_t *words, const struct tp_step_slot *slot)
{
    struct tp_op_attention op;
    tp_attention_unpack(words, &op);
    return op.opcode == TP_OP_ATTENTION && slot->position >= op.ahead_position ? op.ahead : 0;
}

static void add_done(struct walk *walk, uint32_t done)
{
    for (uint32_t i = 0; i <= AHEAD_MAX; i++) {
        uint32_t other = walk->done[i];
        walk->done[i] = larger(done, other);
        done = done < other ? done : other;
    }
}

/* Looks at the next instruction of a slot, which can be issued from cycle `fetched` on. */
static void look(const uint32_t *program, uint32_t count, const struct tp_step_slot *slot,
                 struct walk *walk, uint32_t fetched)
{
    assert(walk->index < count);
    const uint32_t *words = program + (size_t)walk->index * TP_INSTRUCTION_WORDS;
    struct tp_op_any any;
    tp_any_unpack(words, &any);
    walk->unit = tp__opcode_unit(any.opcode);
    if (any.logits != 0 && !slot->logits) {
        walk->unit = TP_UNIT_COUNT;
    }
    uint32_t drained = walk->done[ahead_of(words, slot)] + 1;
    walk->ready = any.drain != 0 ? larger(fetched, drained) : fetched;
}

uint32_t tp__step_schedule(const struct tp_limits *limits, const uint32_t *program, uint32_t count,
                           const struct tp_step_slot *slots, struct tp_issue *issues,
                           uint32_t *issue_count)
{
    uint32_t issued = 0;
    struct walk walks[TP_SLOTS_MAX];
    uint32_t unit_free[TP_UNIT_COUNT] = {0};
    uint32_t last = 0;
    uint32_t fetched = TP_CYCLES_FIRST_ISSUE;
    for (uint32_t s = 0; s < limits->slots; s++) {
        walks[s] = (struct walk){.unit = TP_UNIT_COUNT};
        if (slots[s].active) {
            look(program, count, &slots[s], &walks[s], fetched);
            fetched++;
        }
    }
    for (;;) {
        /* The earliest issue of any unit; of the slots that are ready then, the lowest. */
        uint32_t best = UINT32_MAX;
        for (uint32_t s = 0; s < limits->slots; s++) {
            if (walks[s].unit != TP_UNIT_COUNT) {
                uint32_t time = larger(walks[s].ready, unit_free[walks[s].unit]);
                best = time < best ? time : best;
            }
        }
        if (best == UINT32_MAX) {
            if (issues != NULL) {
                *issue_count = issued;
            }
            return last + 1;
        }
        uint32_t taken = 0;
        while (walks[taken].unit == TP_UNIT_COUNT ||
               larger(walks[taken].ready, unit_free[walks[taken].unit]) != best) {
            taken++;
        }
        struct walk *walk = &walks[taken];
        struct tp_duration duration = tp__instruction_cycles(
            limits, program + (size_t)walk->index * TP_INSTRUCTION_WORDS, &slots[taken]);
        unit_free[walk->unit] = best + duration.occupy;
        add_done(walk, best + duration.complete);
        last = larger(last, best + duration.complete);
        if (issues != NULL) {
            issues[issued++] = (struct tp_issue){.instruction = walk->index,
                                                 .slot = taken,
                                                 .unit = walk->unit,
                                                 .issued = best,
                                                 .free = best + duration.occupy,
                                                 .completed = best + duration.complete};
        }
        walk->index++;
        look(program, count, &slots[taken], walk, best + TP_CYCLES_NEXT_ISSUE);
    }
}

uint32_t tp__early_position(const struct tp_limits *limits, const uint32_t *value,
                            const struct tp_op_attention *attention)
{
    const struct tp_step_slot slot = {.active = true};
    uint32_t done = tp__instruction_cycles(limits, value, &slot).complete;
    // The row can be read by what is issued one cycle after that, so from the next cycle on;
    // ATTENTION asks for the first row of chunk c 16 c + 1 cycles after its issue.
    uint32_t visible = done + 2 - TP_CYCLES_NEXT_ISSUE;
    uint32_t chunks = page_chunks(limits, attention);
    uint32_t position = 0;
    while (1 + TP_PAGE * chunks * (position / TP_PAGE) + position % TP_PAGE < visible) {
        position++;
    }
    return position;
}

bool tp__block_major_follows(const struct tp_limits *limits, const struct tp_op_matvec *gate,
                             const struct tp_op_matvec *down)
{
    const struct tp_step_slot slot = {.active = true};
    uint32_t planes = down->planes + 1;
    uint32_t row_groups = down->rows / limits->groups;
    uint32_t together = tp_matrix_last_blocks(limits->groups, planes);
    if (gate->order != 0 || row_groups < 4 || row_groups > TP_ACCUMULATORS ||
        down->blocks <= together) {
        return false;
    }
    uint32_t words[TP_INSTRUCTION_WORDS];
    tp_matvec_pack(gate, words);
    struct tp_duration whole = tp__instruction_cycles(limits, words, &slot);
    uint32_t interval = whole.occupy / (gate->rows / limits->groups);
    const struct tp_matrix_order order = {limits->groups, row_groups, down->blocks, planes, true};
    for (uint32_t block = 0; block < down->blocks; block++) {
        // Both counted from the issue of GATE. A full block is complete so long after its last row
        // group as the last block; a read asks for it one cycle after it or later;
        // the first read is two cycles after the issue.
        uint32_t row_groups_read = 2 * TP_BLOCK * (block + 1) / limits->groups;
        uint32_t complete = block + 1 == down->blocks
                                ? whole.complete
                                : TP_CYCLES_ROWS + row_groups_read * interval + TP_CYCLES_GATE +
                                      pair_cycles(limits);
        uint32_t read = whole.occupy + 2 + tp_matrix_beat(&order, 0, block);
        if (read < complete + 2) {
            return false;
        }
    }
    return true;
}

uint32_t tp__step_cycles(const struct tp_limits *limits, const uint32_t *program, uint32_t count,
                         const struct tp_step_slot *slots)
{
    return tp__step_schedule(limits, program, count, slots, NULL, NULL);
}

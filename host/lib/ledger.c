// SPDX-License-Identifier: Apache-2.0
//
// The ledger of a schedule. The matrix unit is what a step is measured by: each cycle is one in
// which it multiplies, is taken without multiplying, or is free because of something.

#include "ledger.h"

#include <assert.h>

#include "tp_map.h"

tp_work tp__instruction_work(const uint32_t *words)
{
    static const tp_work of_dest[] = {TP_WORK_OUTPUT, TP_WORK_GATE,  TP_WORK_QUERY,
                                      TP_WORK_KEY,    TP_WORK_VALUE, TP_WORK_CLASSIFIER};
    struct tp_op_matvec op;
    tp_matvec_unpack(words, &op);
    switch (op.opcode) {
    case TP_OP_EMBED:
        return TP_WORK_EMBEDDING;
    case TP_OP_ANGLES:
        return TP_WORK_ROTATION;
    case TP_OP_ATTENTION:
        return TP_WORK_ATTENTION;
    case TP_OP_MATVEC:
        if (op.dest == TP_DEST_RESIDUAL && op.source == TP_SOURCE_FFN) {
            return TP_WORK_DOWN;
        }
        return op.dest <= TP_DEST_LOGITS ? of_dest[op.dest] : TP_WORK_COUNT;
    default:
        return TP_WORK_COUNT;
    }
}

struct schedule {
    const uint32_t *program;
    const struct tp_issue *issues;
    uint32_t count;
};

static tp_work work_of(const struct schedule *s, uint32_t index)
{
    const uint32_t *words =
        s->program + (size_t)s->issues[index].instruction * TP_INSTRUCTION_WORDS;
    tp_work work = tp__instruction_work(words);
    assert(work < TP_WORK_COUNT);
    return work;
}

// What holds a slot up in a cycle: of its instructions in flight the one that completes last.
// slot TP_SLOTS_MAX: any. Returns count when nothing is in flight. end is the first cycle from
// which the answer may be another.
static uint32_t find_cause(const struct schedule *s, uint32_t slot, uint32_t cycle, uint32_t *end)
{
    uint32_t cause = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct tp_issue *issue = &s->issues[i];
        if (slot != TP_SLOTS_MAX && issue->slot != slot) {
            continue;
        }
        if (issue->issued > cycle) {
            *end = issue->issued < *end ? issue->issued : *end;
        } else if (issue->completed >= cycle &&
                   (cause == s->count || issue->completed > s->issues[cause].completed)) {
            cause = i;
        }
    }
    if (cause != s->count && s->issues[cause].completed + 1 < *end) {
        *end = s->issues[cause].completed + 1;
    }
    return cause;
}

// Nothing of the slot is in flight: what holds the unit, another than the matrix unit, that its
// next instruction is for. Returns count when that is free, or the next one is for the matrix unit.
static uint32_t find_holder(const struct schedule *s, uint32_t slot, uint32_t cycle, uint32_t *end)
{
    uint32_t next = 0;
    while (next < s->count && (s->issues[next].slot != slot || s->issues[next].issued <= cycle)) {
        next++;
    }
    if (next == s->count || s->issues[next].unit == TP_UNIT_MATRIX) {
        return s->count;
    }
    for (uint32_t i = 0; i < next; i++) {
        const struct tp_issue *issue = &s->issues[i];
        if (issue->unit == s->issues[next].unit && issue->issued <= cycle && cycle < issue->free) {
            *end = issue->free < *end ? issue->free : *end;
            return i;
        }
    }
    return s->count;
}

// The matrix unit is free from first to end - 1, because of the slot that it serves next.
static void add_gap(const struct schedule *s, uint32_t slot, uint32_t first, uint32_t end,
                    struct tp_ledger *ledger)
{
    uint32_t cycle = first;
    while (cycle < end) {
        uint32_t next = end;
        uint32_t cause = find_cause(s, slot, cycle, &next);
        cause = cause == s->count ? find_holder(s, slot, cycle, &next) : cause;
        if (cause == s->count) {
            ledger->lines[TP_WORK_ISSUE].waiting += next - cycle;
        } else if (s->issues[cause].unit == TP_UNIT_MATRIX) {
            ledger->lines[work_of(s, cause)].draining += next - cycle;
        } else {
            ledger->lines[work_of(s, cause)].waiting += next - cycle;
        }
        cycle = next;
    }
}

void tp__ledger_add(const struct tp_limits *limits, const uint32_t *program,
                    const struct tp_step_slot *slots, const struct tp_issue *issues, uint32_t count,
                    uint32_t cycles, struct tp_ledger *ledger)
{
    const struct schedule s = {.program = program, .issues = issues, .count = count};
    uint32_t free = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct tp_issue *issue = &issues[i];
        const uint32_t *words = program + (size_t)issue->instruction * TP_INSTRUCTION_WORDS;
        struct tp_ledger_line *line = &ledger->lines[work_of(&s, i)];
        // A unit may be free again only after its last result; a step is over by then.
        uint32_t until = issue->free < cycles ? issue->free : cycles;
        line->instructions++;
        ledger->occupied[issue->unit] += until - issue->issued;
        if (issue->unit != TP_UNIT_MATRIX) {
            continue;
        }
        uint32_t beats = tp__instruction_beats(limits, words);
        uint32_t pace = tp__instruction_cycles(limits, words, &slots[issue->slot]).pace;
        assert(beats <= pace && issue->issued + pace <= until && free <= issue->issued);
        add_gap(&s, issue->slot, free, issue->issued, ledger);
        line->busy += beats;
        line->filling += pace - beats;
        line->draining += until - issue->issued - pace;
        free = until;
    }
    add_gap(&s, TP_SLOTS_MAX, free, cycles, ledger);
    ledger->cycles += cycles;
    ledger->steps++;
}

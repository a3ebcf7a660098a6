// SPDX-License-Identifier: Apache-2.0
//
// Claims about the cycle prediction: it is the issue rule of docs/architecture.md, section 4, for
// any program and any set of active slots. The rule is played here cycle by cycle, in the plainest
// way, with the durations that the prediction itself uses (those are the units' tests' business).
//
// The RTL sequencer is held against the same rule in tests/rtl/test_sequencer.c.

#include "cycles.h"

#include <string.h>

#include "check_main.h"
#include "random.h"
#include "tp_map.h"

enum { PROGRAM_MAX = 24, UNITS = 3, DONE_MAX = 4096 };

static uint32_t unit_of(uint32_t opcode)
{
    switch (opcode) {
    case TP_OP_ANGLES:
        return 1;
    case TP_OP_ATTENTION:
        return 2;
    default:
        return 0;
    }
}

static void random_instruction(struct tp_random *random, uint32_t *words)
{
    uint32_t drain = tp_random_below(random, 2);
    switch (tp_random_below(random, 4)) {
    case 0: {
        struct tp_op_embed op = {
            .opcode = TP_OP_EMBED, .drain = drain, .blocks = 1 + tp_random_below(random, 4)};
        tp_embed_pack(&op, words);
        break;
    }
    case 1: {
        struct tp_op_angles op = {
            .opcode = TP_OP_ANGLES, .drain = drain, .pairs = 4u << tp_random_below(random, 3)};
        tp_angles_pack(&op, words);
        break;
    }
    case 2: {
        struct tp_op_attention op = {.opcode = TP_OP_ATTENTION,
                                     .drain = drain,
                                     .ahead = tp_random_below(random, 4),
                                     .ahead_position = tp_random_below(random, 100),
                                     .sets = tp_random_below(random, 2),
                                     .head_log2 = 3 + tp_random_below(random, 5),
                                     .words = 1 + tp_random_below(random, 2),
                                     .turns = 1 + tp_random_below(random, 2)};
        tp_attention_pack(&op, words);
        break;
    }
    default: {
        struct tp_op_matvec op = {.opcode = TP_OP_MATVEC,
                                  .drain = drain,
                                  .dest = tp_random_below(random, 6),
                                  .planes = tp_random_below(random, 2),
                                  .blocks = 1 + tp_random_below(random, 4),
                                  .rows = 8 * (1 + tp_random_below(random, 16)),
                                  .head_log2 = 3 + tp_random_below(random, 5)};
        op.epsilon = op.rows - tp_random_below(random, 4);
        tp_matvec_pack(&op, words);
        break;
    }
    }
}

struct played {
    uint32_t next;       // instruction
    uint32_t ready;      // earliest cycle by the fetch
    uint32_t in_flight;  // items without a done
    bool ended;
};

// How many instructions in flight let this one go.
static uint32_t allowed(const uint32_t *words, const struct tp_step_slot *slot)
{
    struct tp_op_attention op;
    tp_attention_unpack(words, &op);
    if (op.drain == 0) {
        return UINT32_MAX;
    }
    return op.opcode == TP_OP_ATTENTION && slot->position >= op.ahead_position ? op.ahead : 0;
}

// The rule, one cycle after the other. A done of cycle t counts from t + 1.
static uint32_t play(const struct tp_limits *limits, const uint32_t *program,
                     const struct tp_step_slot *slots)
{
    struct played played[TP_SLOTS_MAX] = {{0}};
    uint32_t unit_free[UNITS] = {0};
    static uint8_t done[1 << 16][TP_SLOTS_MAX];
    memset(done, 0, sizeof done);
    uint32_t rank = 0;
    for (uint32_t s = 0; s < limits->slots; s++) {
        played[s].ended = !slots[s].active;
        played[s].ready = TP_CYCLES_FIRST_ISSUE + rank;
        rank += slots[s].active ? 1 : 0;
    }
    uint32_t last = 0;
    for (uint32_t t = 0; t < sizeof done / sizeof *done; t++) {
        bool all_ended = true;
        for (uint32_t s = 0; s < limits->slots; s++) {
            played[s].in_flight -= t != 0 ? done[t - 1][s] : 0;
            const uint32_t *words = program + (size_t)played[s].next * TP_INSTRUCTION_WORDS;
            struct tp_op_any any;
            tp_any_unpack(words, &any);
            played[s].ended =
                played[s].ended || any.opcode == TP_OP_END || (any.logits != 0 && !slots[s].logits);
            all_ended = all_ended && played[s].ended && played[s].in_flight == 0;
        }
        if (all_ended) {
            return last + 1;
        }
        for (uint32_t unit = 0; unit < UNITS; unit++) {
            for (uint32_t s = 0; s < limits->slots && unit_free[unit] <= t; s++) {
                const uint32_t *words = program + (size_t)played[s].next * TP_INSTRUCTION_WORDS;
                struct tp_op_any any;
                tp_any_unpack(words, &any);
                if (played[s].ended || played[s].ready > t || unit_of(any.opcode) != unit ||
                    played[s].in_flight > allowed(words, &slots[s])) {
                    continue;
                }
                struct tp_duration d = tp__instruction_cycles(limits, words, &slots[s]);
                unit_free[unit] = t + d.occupy;
                done[t + d.complete][s]++;
                last = t + d.complete > last ? t + d.complete : last;
                played[s].in_flight++;
                played[s].next++;
                played[s].ready = t + TP_CYCLES_NEXT_ISSUE;
            }
        }
    }
    ck_abort_msg("the step did not end");
    return 0;
}

START_TEST(prediction_is_the_rule_played_cycle_by_cycle)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_limits limits = {.groups = 1u << tp_random_below(&random, 4),
                               .slots = 1 + tp_random_below(&random, TP_SLOTS_MAX)};
    uint32_t program[PROGRAM_MAX * TP_INSTRUCTION_WORDS];
    uint32_t count = 2 + tp_random_below(&random, PROGRAM_MAX - 2);
    for (uint32_t i = 0; i + 1 < count; i++) {
        random_instruction(&random, program + (size_t)i * TP_INSTRUCTION_WORDS);
        // The last third is the logits part.
        program[(size_t)i * TP_INSTRUCTION_WORDS] |= i > count * 2 / 3 ? 1u << 5 : 0;
    }
    const struct tp_op_any end = {.opcode = TP_OP_END, .drain = 1};
    tp_any_pack(&end, program + (size_t)(count - 1) * TP_INSTRUCTION_WORDS);
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{0}};
    for (uint32_t s = 0; s < limits.slots; s++) {
        slots[s].active = s == 0 || tp_random_below(&random, 4) != 0;
        slots[s].logits = tp_random_below(&random, 2) != 0;
        slots[s].list = tp_random_below(&random, 2) != 0;
        slots[s].fast = !slots[s].list && tp_random_below(&random, 2) != 0;
        slots[s].position = tp_random_below(&random, 100);
    }
    uint32_t predicted = tp__step_cycles(&limits, program, count, slots);
#ifdef TP_PLANT_BUG
    predicted += predicted > 1000 ? 1 : 0;
#endif
    ck_assert_uint_eq(predicted, play(&limits, program, slots));
}
END_TEST

START_TEST(inactive_slots_and_other_positions_cost_what_they_must)
{
    struct tp_limits limits = {.groups = 4, .slots = 4};
    uint32_t program[2 * TP_INSTRUCTION_WORDS];
    const struct tp_op_attention attention = {.opcode = TP_OP_ATTENTION, .words = 1, .turns = 1};
    const struct tp_op_any end = {.opcode = TP_OP_END, .drain = 1};
    tp_attention_pack(&attention, program);
    tp_any_pack(&end, program + TP_INSTRUCTION_WORDS);
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{.active = true, .position = 15}};
    uint32_t one_page = tp__step_cycles(&limits, program, 2, slots);
    slots[0].position = 16;
    ck_assert_uint_eq(tp__step_cycles(&limits, program, 2, slots), one_page + 16);
    slots[1].position = 4000;  // not active
    ck_assert_uint_eq(tp__step_cycles(&limits, program, 2, slots), one_page + 16);
    slots[1].active = true;
    ck_assert_uint_gt(tp__step_cycles(&limits, program, 2, slots), one_page + 16);
}
END_TEST

// One KV word with heads of 8; values that are complete after 16 + 19 + 12 + 2 + 6 cycles,
// readable in the second one after that, which is at least 45 cycles after the issue of ATTENTION.
START_TEST(attention_is_early_where_the_last_row_is_read_late_enough)
{
    const struct tp_limits limits = {.groups = 4, .slots = 4};
    const struct tp_op_matvec value = {
        .opcode = TP_OP_MATVEC, .dest = TP_DEST_VALUE, .head_log2 = 3, .blocks = 2, .rows = 32};
    struct tp_op_attention attention = {.opcode = TP_OP_ATTENTION, .words = 1, .turns = 1};
    uint32_t words[TP_INSTRUCTION_WORDS];
    tp_matvec_pack(&value, words);
    // Position p is asked for in cycle 1 + p, with two columns in 1 + 32 (p / 16) + p % 16.
    ck_assert_uint_eq(tp__early_position(&limits, words, &attention), 44);
    const struct tp_limits halves = {.groups = 4, .slots = 4, .attention_lanes = 16};
    ck_assert_uint_eq(tp__early_position(&halves, words, &attention), 28);
    attention.turns = 2;
    ck_assert_uint_eq(tp__early_position(&limits, words, &attention), 28);
    attention.words = 2;
    ck_assert_uint_eq(tp__early_position(&limits, words, &attention), 16);
}
END_TEST

// The sizes of stories260K: W2 reads block b 174 + 16 b cycles after the issue of GATE, the last
// block after 240; GATE completes block b after 32 (b + 1) + 49 cycles, the last after 221.
START_TEST(block_major_follows_where_each_block_is_there_before_it_is_read)
{
    const struct tp_limits limits = {.groups = 4, .slots = 4};
    struct tp_op_matvec gate = {
        .opcode = TP_OP_MATVEC, .dest = TP_DEST_GATE, .blocks = 2, .rows = 344};
    struct tp_op_matvec down = {
        .opcode = TP_OP_MATVEC, .dest = TP_DEST_RESIDUAL, .blocks = 6, .rows = 64};
    ck_assert(tp__block_major_follows(&limits, &gate, &down));
    // Fewer rows: the last block would be read too soon.
    down.rows = 44;
    ck_assert(!tp__block_major_follows(&limits, &gate, &down));
    down.rows = 48;
    ck_assert(tp__block_major_follows(&limits, &gate, &down));
    // More row groups than sums are kept.
    down.rows = 4 * TP_ACCUMULATORS + 4;
    ck_assert(!tp__block_major_follows(&limits, &gate, &down));
    // Blocks that all belong to the last pass.
    gate.rows = 128;
    down.rows = 64;
    down.blocks = 2;
    ck_assert(!tp__block_major_follows(&limits, &gate, &down));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("cycles");
    TCase *tc = tcase_create("cycles");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, prediction_is_the_rule_played_cycle_by_cycle, 0, 300);
    tcase_add_test(tc, inactive_slots_and_other_positions_cost_what_they_must);
    tcase_add_test(tc, attention_is_early_where_the_last_row_is_read_late_enough);
    tcase_add_test(tc, block_major_follows_where_each_block_is_there_before_it_is_read);
    suite_add_tcase(suite, tc);
    return suite;
}

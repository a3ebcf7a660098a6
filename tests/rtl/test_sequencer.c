// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sequencer issues exactly the instructions of each active slot in order, to the
// right unit, in exactly the cycles of the rule in rtl/sequencer/README.md, and counts the step's
// cycles.
//
// Random programs on units with random constant durations, random active slots, positions, tokens
// and logits flags; the reference simulates the rule cycle by cycle. Not covered: real units
// (test_core.c), the prediction of the library (test_core.c), clock speed.

#include <assert.h>
#include <string.h>

#include "../../host/include/tp_map.h"
#include "check_main.h"
#include "dut.h"
#include "random.h"
#include "read_word.h"

enum {
    UNITS = 3,
    DONES = 6,
    COUNT_MAX = 40,
    COMMAND_BITS = 228,
    COMMAND_WORDS = 8,
    PENDING_MAX = 512,
    STEPS = 12,
    CYCLE_LIMIT = 100000
};
#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots 4
#endif
#define SLOTS TP_PARAM_Slots

struct instruction {
    uint32_t words[TP_INSTRUCTION_WORDS];
    uint32_t unit; /* UNITS: ends the slot */
    uint32_t drain;
    uint32_t logits;
    uint32_t occupy;
    uint32_t complete;
};

struct program {
    struct instruction list[COUNT_MAX];
    uint32_t count;
};

struct slot {
    uint32_t active, logits, position, token, fast;
};

/* What the rule says: the cycle in which each instruction of each slot is issued. */
struct schedule {
    uint32_t issue[SLOTS][COUNT_MAX];
    uint32_t count[SLOTS]; /* instructions issued */
    uint32_t cycles;
};

static int ends(const struct instruction *instruction, const struct slot *slot)
{
    return instruction->unit == UNITS || (instruction->logits && !slot->logits);
}

/* How many instructions in flight let this one go. */
static uint32_t allowed(const struct instruction *instruction, const struct slot *slot)
{
    struct tp_op_attention op;
    if (!instruction->drain) return COUNT_MAX;
    tp_attention_unpack(instruction->words, &op);
    return op.opcode == TP_OP_ATTENTION && slot->position >= op.ahead_position ? op.ahead : 0;
}

static void plan(const struct program *program, const struct slot *slots, struct schedule *out)
{
    uint32_t ready[SLOTS];             /* earliest issue by the fetch */
    uint32_t flight[SLOTS][COUNT_MAX]; /* cycle of each done */
    uint32_t unit_free[UNITS] = {0};
    uint32_t fetched = TP_CYCLES_FIRST_ISSUE;
    uint32_t open = 0;
    memset(out, 0, sizeof *out);
    for (int s = 0; s < SLOTS; s++) {
        ready[s] = fetched;
        if (slots[s].active) fetched++;
        if (slots[s].active && !ends(&program->list[0], &slots[s])) open |= 1u << s;
    }
    for (uint32_t cycle = 0; open != 0; cycle++) {
        assert(cycle < CYCLE_LIMIT);
        for (uint32_t unit = 0; unit < UNITS; unit++) {
            for (int s = 0; s < SLOTS && unit_free[unit] <= cycle; s++) {
                uint32_t index = out->count[s];
                const struct instruction *next = &program->list[index];
                if (!(open >> s & 1) || next->unit != unit || cycle < ready[s]) continue;
                uint32_t in_flight = 0;
                for (uint32_t i = 0; i < index; i++) in_flight += flight[s][i] >= cycle;
                if (in_flight > allowed(next, &slots[s])) continue;
                out->issue[s][index] = cycle;
                out->count[s]++;
                flight[s][index] = cycle + next->complete;
                if (flight[s][index] + 1 > out->cycles) out->cycles = flight[s][index] + 1;
                unit_free[unit] = cycle + next->occupy;
                ready[s] = cycle + TP_CYCLES_NEXT_ISSUE;
                if (ends(next + 1, &slots[s])) open &= ~(1u << s);
            }
        }
    }
}

static void make_program(struct program *program, struct tp_random *random, uint32_t duration_max)
{
    static const uint32_t opcodes[] = {TP_OP_MATVEC, TP_OP_EMBED, TP_OP_ANGLES, TP_OP_ATTENTION};
    static const uint32_t units[] = {0, 0, 1, 2};
    program->count = 1 + tp_random_below(random, COUNT_MAX - 2);
    for (uint32_t i = 0; i <= program->count; i++) {
        struct instruction *instruction = &program->list[i];
        tp_random_words(random, instruction->words, TP_INSTRUCTION_WORDS);
        uint32_t kind = tp_random_below(random, 4);
        uint32_t opcode = i == program->count ? TP_OP_END : opcodes[kind];
        instruction->unit = i == program->count ? UNITS : units[kind];
        instruction->drain = (uint32_t)tp_random_chance(random, 128);
        instruction->logits = (uint32_t)tp_random_chance(random, 12) && i > 0;
        instruction->words[0] &= ~0x3fu;
        instruction->words[0] |= opcode | instruction->drain << 4 | instruction->logits << 5;
        instruction->occupy = 1 + tp_random_below(random, duration_max);
        instruction->complete = 1 + tp_random_below(random, duration_max);
        /* Every instruction knows its own number, so that the units know its duration. */
        instruction->words[5] = i;
    }
}

struct done {
    uint64_t cycle;
    uint32_t port, slot;
};

struct bench {
    struct tp_dut *dut;
    struct tp_port *free, *valid, *command, *done_valid, *done_slot, *end_valid;
    struct done pending[PENDING_MAX];
    uint32_t pending_count;
    uint64_t unit_free[UNITS];
};

static void write_program(struct bench *bench, const struct program *program)
{
    struct tp_dut *dut = bench->dut;
    tp_dut_set(dut, "cfg_valid_i", 1);
    for (uint32_t i = 0; i <= program->count; i++) {
        for (uint32_t w = 0; w < 8; w++) {
            tp_dut_set(dut, "cfg_space_i", TP_SPACE_PROGRAM);
            tp_dut_set(dut, "cfg_address_i", i * 8 + w);
            tp_dut_set(dut, "cfg_data_i", w < 6 ? program->list[i].words[w] : 0xdeadbeefu);
            tp_dut_tick(dut);
            /* Writes to other spaces must leave the program alone. */
            tp_dut_set(dut, "cfg_space_i", TP_SPACE_GAIN);
            tp_dut_set(dut, "cfg_data_i", 0);
            tp_dut_tick(dut);
        }
    }
    tp_dut_set(dut, "cfg_valid_i", 0);
}

static uint32_t field(const uint32_t *words, uint32_t lsb, uint32_t width)
{
    uint64_t pair = words[lsb / 32];
    if (lsb / 32 + 1 < COMMAND_WORDS * UNITS) pair |= (uint64_t)words[lsb / 32 + 1] << 32;
    return (uint32_t)(pair >> (lsb % 32)) & (uint32_t)((UINT64_C(1) << width) - 1);
}

/* Drives the done flows and free for this cycle. A port carries one done in a cycle, so the units
 * share the ports as they come. */
static void drive(struct bench *bench, uint64_t cycle)
{
    uint32_t valid = 0;
    uint32_t slot_bits = 0;
    uint32_t port = 0;
    for (uint32_t i = 0; i < bench->pending_count;) {
        struct done *done = &bench->pending[i];
        if (done->cycle != cycle) {
            i++;
            continue;
        }
        ck_assert_uint_lt(port, DONES);
        valid |= 1u << port;
        slot_bits |= done->slot << (3 * port);
        port++;
        *done = bench->pending[--bench->pending_count];
    }
    tp_port_set(bench->done_valid, valid);
    tp_port_set(bench->done_slot, slot_bits);
    uint32_t free = 0;
    for (uint32_t u = 0; u < UNITS; u++) free |= (uint32_t)(bench->unit_free[u] <= cycle) << u;
    tp_port_set(bench->free, free);
}

static void check_issues(struct bench *bench, const struct program *program,
                         const struct slot *slots, const struct schedule *expected,
                         uint32_t *issued, uint64_t activation)
{
    uint64_t cycle = tp_dut_cycles(bench->dut);
    uint32_t valid = (uint32_t)tp_port_get(bench->valid);
    uint32_t words[COMMAND_WORDS * UNITS] = {0};
    tp_port_get_words(bench->command, words);
    for (uint32_t u = 0; u < UNITS; u++) {
        if (!(valid >> u & 1)) continue;
        uint32_t base = u * COMMAND_BITS;
        uint32_t index = field(words, base + 160, 32);
        uint32_t token = field(words, base + 192, 16);
        uint32_t position = field(words, base + 208, 16);
        uint32_t slot = field(words, base + 224, 3);
        ck_assert_uint_lt(slot, SLOTS);
        ck_assert_uint_eq(index, issued[slot]);
        ck_assert_uint_lt(index, expected->count[slot]);
        const struct instruction *instruction = &program->list[index];
        for (uint32_t w = 0; w < TP_INSTRUCTION_WORDS; w++) {
            ck_assert_uint_eq(field(words, base + 32 * w, 32), instruction->words[w]);
        }
        ck_assert_uint_eq(instruction->unit, u);
        ck_assert_uint_eq(token, slots[slot].token);
        ck_assert_uint_eq(position, slots[slot].position);
        ck_assert_uint_eq(field(words, base + 227, 1), slots[slot].fast);
        ck_assert_uint_eq(cycle - activation, expected->issue[slot][index]);
        ck_assert_uint_ge(cycle, bench->unit_free[u]);
        bench->unit_free[u] = cycle + instruction->occupy;
        assert(bench->pending_count < PENDING_MAX);
        bench->pending[bench->pending_count++] =
            (struct done){cycle + instruction->complete, 0, slot};
        issued[slot]++;
    }
}

static void set_slots(struct bench *bench, const struct slot *slots)
{
    uint32_t active = 0, logits = 0, fast = 0;
    uint32_t positions[4] = {0}, tokens[4] = {0};
    for (int s = 0; s < SLOTS; s++) {
        active |= slots[s].active << s;
        logits |= slots[s].logits << s;
        fast |= slots[s].fast << s;
        positions[s / 2] |= slots[s].position << (16 * (s % 2));
        tokens[s / 2] |= slots[s].token << (16 * (s % 2));
    }
    tp_dut_set(bench->dut, "active_i", active);
    tp_dut_set(bench->dut, "logits_i", logits);
    tp_dut_set(bench->dut, "fast_i", fast);
    tp_port_set_words(tp_dut_port(bench->dut, "position_i"), positions);
    tp_port_set_words(tp_dut_port(bench->dut, "token_i"), tokens);
}

static void run_step(struct bench *bench, const struct program *program, const struct slot *slots)
{
    struct schedule expected;
    plan(program, slots, &expected);
    uint32_t issued[SLOTS] = {0};
    set_slots(bench, slots);
    /* The rule begins with free units. */
    for (uint32_t u = 0; u < UNITS; u++) {
        while (bench->unit_free[u] > tp_dut_cycles(bench->dut)) tp_dut_tick(bench->dut);
    }
    tp_dut_set(bench->dut, "start_i", 1);
    drive(bench, tp_dut_cycles(bench->dut));
    tp_dut_tick(bench->dut);
    tp_dut_set(bench->dut, "start_i", 0);
    /* The cycle after start_i is the activation. */
    uint64_t activation = tp_dut_cycles(bench->dut);
    for (;;) {
        ck_assert_uint_lt(tp_dut_cycles(bench->dut) - activation, CYCLE_LIMIT);
        drive(bench, tp_dut_cycles(bench->dut));
        tp_dut_settle(bench->dut);
        if (tp_port_get(bench->end_valid)) break;
        check_issues(bench, program, slots, &expected, issued, activation);
        tp_dut_tick(bench->dut);
    }
    ck_assert_uint_eq(tp_dut_get(bench->dut, "end_cycles_o"), expected.cycles);
    ck_assert_uint_eq(bench->pending_count, 0);
    for (int s = 0; s < SLOTS; s++) ck_assert_uint_eq(issued[s], expected.count[s]);
    tp_dut_tick(bench->dut);
    tp_dut_settle(bench->dut);
    ck_assert_uint_eq(tp_port_get(bench->end_valid), 0);
}

/* Between steps: words of the program, and the command points to a weight beat. */
static void check_read_back(struct bench *bench, const struct program *program,
                            struct tp_random *random)
{
    for (int i = 0; i < 8; i++) {
        uint32_t index = tp_random_below(random, program->count + 1);
        uint32_t w = tp_random_below(random, TP_INSTRUCTION_WORDS);
        uint32_t word = tp_read_word(bench->dut, TP_SPACE_PROGRAM, 8 * index + w, NULL, NULL);
        ck_assert_uint_eq(word, program->list[index].words[w]);

        uint32_t beat = tp_random_below(random, 1u << 24);
        word = tp_read_word(bench->dut, TP_SPACE_WEIGHT, 64 * beat + 5, NULL, NULL);
        ck_assert_uint_eq(word, 0);
        uint32_t words[COMMAND_WORDS * UNITS] = {0};
        struct tp_op_matvec op;
        tp_port_get_words(bench->command, words);
        tp_matvec_unpack(words, &op);
        ck_assert_uint_eq(op.weight_base, beat);
        ck_assert_uint_eq(tp_port_get(bench->valid), 0);
        for (int wait = 0; wait < 3; wait++) tp_dut_tick(bench->dut);
    }
}

static void run(uint64_t seed, uint32_t duration_max)
{
    struct bench bench = {.dut = tp_dut_open(seed)};
    struct tp_random random;
    tp_random_init(&random, seed, duration_max);
    bench.free = tp_dut_port(bench.dut, "free_i");
    bench.valid = tp_dut_port(bench.dut, "cmd_valid_o");
    bench.command = tp_dut_port(bench.dut, "cmd_o");
    bench.done_valid = tp_dut_port(bench.dut, "done_valid_i");
    bench.done_slot = tp_dut_port(bench.dut, "done_slot_i");
    bench.end_valid = tp_dut_port(bench.dut, "end_valid_o");
    static struct program program;
    for (int step = 0; step < STEPS; step++) {
        if (step % 3 == 0) {
            make_program(&program, &random, duration_max);
            write_program(&bench, &program);
        }
        struct slot slots[SLOTS] = {0};
        uint32_t any = 0;
        while (!any) {
            for (int s = 0; s < SLOTS; s++) {
                slots[s].active = (uint32_t)tp_random_chance(&random, 180);
                slots[s].logits = slots[s].active && tp_random_chance(&random, 128);
                slots[s].position = tp_random_below(&random, 65536);
                slots[s].token = tp_random_below(&random, 65536);
                slots[s].fast = (uint32_t)tp_random_chance(&random, 128);
                any |= slots[s].active;
            }
        }
        run_step(&bench, &program, slots);
        if (step % 4 == 1) check_read_back(&bench, &program, &random);
        uint32_t idle = tp_random_below(&random, 5);
        while (idle-- > 0) tp_dut_tick(bench.dut);
    }
    tp_dut_close(bench.dut);
}

/* Durations of at least one cycle: the fetch decides. */
START_TEST(sequencer_keeps_the_rule_with_short_units)
{
    run(tp_test_seed(_i), 6);
}
END_TEST

START_TEST(sequencer_keeps_the_rule_with_long_units)
{
    run(tp_test_seed(_i), 200);
}
END_TEST

/* One instruction: issued in cycle TP_CYCLES_FIRST_ISSUE, done complete cycles later. */
START_TEST(sequencer_counts_one_instruction)
{
    struct program program = {.count = 1};
    program.list[0] = (struct instruction){{TP_OP_ANGLES}, 1, 0, 0, 5, 7};
    program.list[1] = (struct instruction){{TP_OP_END}, UNITS, 0, 0, 0, 0};
    struct slot slots[SLOTS] = {{.active = 1}};
    struct schedule expected;
    plan(&program, slots, &expected);
    ck_assert_uint_eq(expected.cycles, TP_CYCLES_FIRST_ISSUE + 7 + 1);
    struct bench bench = {.dut = tp_dut_open(tp_test_seed(_i))};
    bench.free = tp_dut_port(bench.dut, "free_i");
    bench.valid = tp_dut_port(bench.dut, "cmd_valid_o");
    bench.command = tp_dut_port(bench.dut, "cmd_o");
    bench.done_valid = tp_dut_port(bench.dut, "done_valid_i");
    bench.done_slot = tp_dut_port(bench.dut, "done_slot_i");
    bench.end_valid = tp_dut_port(bench.dut, "end_valid_o");
    write_program(&bench, &program);
    run_step(&bench, &program, slots);
    tp_dut_close(bench.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sequencer");
    TCase *tcase = tcase_create("steps");
    tcase_add_loop_test(tcase, sequencer_counts_one_instruction, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, sequencer_keeps_the_rule_with_short_units, 0, 12);
    tcase_add_loop_test(tcase, sequencer_keeps_the_rule_with_long_units, 0, 12);
    suite_add_tcase(suite, tcase);
    return suite;
}

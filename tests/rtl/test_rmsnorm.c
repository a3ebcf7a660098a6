// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_rmsnorm equals the model bit for bit: the blocks (gain, then quantiser) and the
// factor registers, that both counters count what the model counts, and that every cycle is as the
// README says: a command of b blocks accepted in cycle t frees the unit in t + 8 b, sends block i
// in t + 8 i + 26 and is done in t + 8 b + 18.
//
// Random vectors of every size and corners of int32, gains and shifts that saturate, every epsilon
// size, all slots; commands back to back and apart while x of other slots is being written.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <string.h>

#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots     4
#define TP_PARAM_DimMax    64
#define TP_PARAM_GainQuads 256
#endif

enum {
    SLOTS = TP_PARAM_Slots,
    DIM_MAX = TP_PARAM_DimMax,
    BLOCKS_MAX = DIM_MAX / 32,
    GAINS = 4 * TP_PARAM_GainQuads,
    COMMANDS = 150,
    BLOCK_LATENCY = 26,
    DONE_LATENCY = 18,
    FACTOR_LATENCY = 14,
    EVENTS_MAX = 64
};

struct block {
    uint64_t cycle;
    uint32_t words[8];
    uint32_t slot;
    uint32_t index;
    uint32_t exponent;
    bool is_last;
};

struct factor {
    uint64_t cycle;
    uint32_t slot;
    struct tp_norm_factor value;
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_counters expected;
    struct tp_counters counted;
    int32_t x[SLOTS][DIM_MAX];
    uint32_t any[SLOTS];   // what or_i shows
    uint32_t edge[SLOTS];  // shift with which x and the first gains meet the edges of int32
    int16_t gain[GAINS];
    struct block blocks[EVENTS_MAX];
    uint32_t block_count;
    struct factor factors[EVENTS_MAX];
    uint32_t factor_count;
    struct tp_norm_factor registers[SLOTS];
    bool is_set[SLOTS];
    uint64_t free_cycle;
    uint32_t write_slot;  // slot whose x is written while commands run; SLOTS for none
    uint32_t write_pair;
};

// ---- checks of a cycle ----

static void check_block(struct bench *b)
{
    uint64_t now = tp_dut_cycles(b->dut);
    const struct block *e = &b->blocks[0];
    bool due = b->block_count > 0 && e->cycle == now;
    ck_assert_int_eq(tp_dut_get(b->dut, "block_valid_o") != 0, due);
    ck_assert_int_eq(tp_dut_get(b->dut, "done_valid_o") != 0, due && e->is_last);
    if (!due) return;
    uint32_t words[8];
    tp_port_get_words(tp_dut_port(b->dut, "block_data_o"), words);
    tp_compare_words("codes", e->words, words, 8, 8);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_slot_o"), e->slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_index_o"), e->index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_exponent_o"), e->exponent);
    if (e->is_last) ck_assert_uint_eq(tp_dut_get(b->dut, "done_slot_o"), e->slot);
    b->block_count--;
    memmove(b->blocks, b->blocks + 1, b->block_count * sizeof *b->blocks);
}

static uint32_t field(const uint32_t *words, uint32_t first, uint32_t width)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < width; i++) {
        value |= (words[(first + i) / 32] >> (first + i) % 32 & 1) << i;
    }
    return value;
}

static void check_factors(struct bench *b)
{
    uint32_t rm[8];
    uint32_t shift[8];
    if (b->factor_count > 0 && b->factors[0].cycle == tp_dut_cycles(b->dut)) {
        uint32_t slot = b->factors[0].slot;
        b->registers[slot] = b->factors[0].value;
        b->is_set[slot] = true;
        b->factor_count--;
        memmove(b->factors, b->factors + 1, b->factor_count * sizeof *b->factors);
    }
    tp_port_get_words(tp_dut_port(b->dut, "factor_rm_o"), rm);
    tp_port_get_words(tp_dut_port(b->dut, "factor_shift_o"), shift);
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (!b->is_set[s]) continue;
        ck_assert_uint_eq(field(rm, 17 * s, 17), b->registers[s].rm);
        ck_assert_uint_eq(field(shift, 6 * s, 6), (uint32_t)b->registers[s].shift);
    }
}

// ---- stimulus ----

// A command looks at its own blocks of x only, and so must the OR that it finds.
static void set_or(struct bench *b, uint32_t slot, uint32_t n)
{
    b->any[slot] = 0;
    for (uint32_t i = 0; i < n; i++) b->any[slot] |= tp_magnitude(b->x[slot][i]);
    tp_port_set_words(tp_dut_port(b->dut, "or_i"), b->any);
}

static void drive_write(struct bench *b, bool gap)
{
    bool valid = b->write_slot < SLOTS && !gap;
    uint32_t words[2] = {tp_random_u32(&b->random), tp_random_u32(&b->random)};
    if (valid) memcpy(words, &b->x[b->write_slot][2 * b->write_pair], sizeof words);
    tp_dut_set(b->dut, "x_valid_i", valid);
    tp_dut_set(b->dut, "x_slot_i", valid ? b->write_slot : words[0] & 7);
    tp_dut_set(b->dut, "x_pair_i", valid ? b->write_pair : words[1] & 4095);
    tp_port_set_words(tp_dut_port(b->dut, "x_data_i"), words);
    if (valid && ++b->write_pair == DIM_MAX / 2) b->write_slot = SLOTS;
}

static void cycle(struct bench *b)
{
    drive_write(b, tp_random_chance(&b->random, 64));
    tp_dut_settle(b->dut);
    ck_assert_int_eq(tp_dut_get(b->dut, "free_o") != 0, tp_dut_cycles(b->dut) >= b->free_cycle);
    check_block(b);
    check_factors(b);
    b->counted.saturations += tp_dut_get(b->dut, "saturations_o");
    b->counted.clips += tp_dut_get(b->dut, "clips_o");
    tp_dut_tick(b->dut);
    tp_dut_set(b->dut, "cmd_valid_i", 0);
}

static void put(uint32_t *words, uint32_t lsb, uint32_t width, uint64_t value)
{
    for (uint32_t i = 0; i < width; i++) {
        uint32_t bit = 1u << (lsb + i) % 32;
        if (value >> i & 1)
            words[(lsb + i) / 32] |= bit;
        else
            words[(lsb + i) / 32] &= ~bit;
    }
}

struct command {
    uint32_t slot;
    uint32_t blocks;
    int shift;
    uint32_t cap;
    uint32_t gain_base;
    uint64_t epsilon;
};

static void drive_command(struct bench *b, const struct command *c)
{
    uint32_t words[8];  // command_t: instruction, token, position, slot
    tp_random_words(&b->random, words, 8);
    put(words, 0, 4, TP_OP_NORM);
    put(words, 24, 8, (uint64_t)(int64_t)c->shift);
    put(words, 56, 8, c->blocks);
    put(words, 81, 5, c->cap);
    put(words, 112, 16, c->gain_base);
    put(words, 144, 48, c->epsilon);
    put(words, 224, 3, c->slot);
    tp_port_set_words(tp_dut_port(b->dut, "cmd_i"), words);
    tp_dut_set(b->dut, "cmd_valid_i", 1);
}

// What the model says, at the cycles of the README.
static void expect(struct bench *b, const struct command *c)
{
    int32_t h[DIM_MAX];
    uint64_t now = tp_dut_cycles(b->dut);
    uint32_t n = 32 * c->blocks;
    tp_rmsnorm_gain(b->x[c->slot], b->gain + 4 * c->gain_base, n, c->shift, h, &b->expected);
    for (uint32_t i = 0; i < c->blocks; i++) {
        int8_t q[32];
        struct block e = {.cycle = now + 8 * i + BLOCK_LATENCY, .slot = c->slot, .index = i};
        e.exponent = tp_quantise_block(h + 32 * i, 32, 0, (uint8_t)c->cap, q, &b->expected);
        e.is_last = i + 1 == c->blocks;
        memcpy(e.words, q, sizeof e.words);
        ck_assert_uint_lt(b->block_count, EVENTS_MAX);
        b->blocks[b->block_count++] = e;
    }
    ck_assert_uint_eq(b->blocks[b->block_count - 1].cycle, now + 8 * c->blocks + DONE_LATENCY);
    struct factor f = {.cycle = now + 8 * c->blocks + FACTOR_LATENCY, .slot = c->slot};
    f.value = tp_rmsnorm_factor(b->x[c->slot], n, c->epsilon);
    b->factors[b->factor_count++] = f;
    // In its own cycle a command still finds the unit free.
    b->free_cycle = now + 8 * c->blocks;
}

static int32_t random_x(struct bench *b, uint32_t bits)
{
    if (tp_random_chance(&b->random, 4)) return bits < 32 ? -(1 << (bits - 1)) : INT32_MIN;
    if (tp_random_chance(&b->random, 4)) return bits < 32 ? (1 << (bits - 1)) - 1 : INT32_MAX;
    return (int32_t)tp_random_signed(&b->random, bits);
}

static void new_x(struct bench *b, uint32_t slot)
{
    uint32_t bits = 1 + tp_random_below(&b->random, 32);
    bool zero = tp_random_chance(&b->random, 16);
    for (uint32_t i = 0; i < DIM_MAX; i++) b->x[slot][i] = zero ? 0 : random_x(b, bits);
    // Times the first gains: -(2^31 + 1/2) and 2^31 - 1/2, which round to opposite sides of the
    // edge.
    uint32_t edge = 12 + tp_random_below(&b->random, 3);
    if (!zero) b->x[slot][0] = -6700417 * (1 << (edge - 6));
    if (!zero) b->x[slot][1] = 196611 * (1 << (edge - 1));
    b->edge[slot] = edge;
    b->write_slot = slot;
    b->write_pair = 0;
}

static struct command random_command(struct bench *b, uint32_t slot)
{
    struct command c = {.slot = slot, .blocks = 1 + tp_random_below(&b->random, BLOCKS_MAX)};
    c.shift = (int)tp_random_range(&b->random, 12, 19);
    c.cap = tp_random_below(&b->random, 26);
    c.gain_base = tp_random_below(&b->random, TP_PARAM_GainQuads - 8 * c.blocks + 1);
    c.epsilon = tp_random_u64(&b->random) >> (16 + tp_random_below(&b->random, 48));
    if (tp_random_chance(&b->random, 64)) {
        c.gain_base = 0;
        c.shift = (int)b->edge[slot];
    }
    return c;
}

static void write_gains(struct bench *b)
{
    for (uint32_t i = 0; i < GAINS; i++) b->gain[i] = (int16_t)tp_random_signed(&b->random, 16);
    for (uint32_t i = 0; i < 4; i++) b->gain[tp_random_below(&b->random, GAINS)] = INT16_MIN;
    b->gain[0] = 641 << 5;
    b->gain[1] = 21845;
    for (uint32_t i = 0; i < GAINS / 2 + 2; i++) {
        uint32_t word = i < GAINS / 2 ? (uint32_t)(uint16_t)b->gain[2 * i] |
                                            (uint32_t)(uint16_t)b->gain[2 * i + 1] << 16
                                      : tp_random_u32(&b->random);
        // Other spaces and addresses past the end must not reach the gains.
        bool other = tp_random_chance(&b->random, 64);
        tp_dut_set(b->dut, "cfg_valid_i", 1);
        tp_dut_set(b->dut, "cfg_space_i", other ? TP_SPACE_BIAS : TP_SPACE_GAIN);
        tp_dut_set(b->dut, "cfg_address_i", other ? tp_random_below(&b->random, GAINS / 2) : i);
        tp_dut_set(b->dut, "cfg_data_i", other ? tp_random_u32(&b->random) : word);
        if (other) i--;
        cycle(b);
    }
    tp_dut_set(b->dut, "cfg_valid_i", 0);
}

static void wait_for_write(struct bench *b)
{
    while (b->write_slot < SLOTS) cycle(b);
    cycle(b);
}

static void run(uint64_t seed, bool apart)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.dut = tp_dut_open(seed);
    b.free_cycle = tp_dut_cycles(b.dut);
    b.write_slot = SLOTS;
    tp_random_init(&b.random, seed, 1);
    write_gains(&b);
    for (uint32_t s = 0; s < SLOTS; s++) {
        new_x(&b, s);
        wait_for_write(&b);
    }
    struct command last = {.slot = SLOTS};
    for (uint32_t i = 0; i < COMMANDS; i++) {
        uint32_t slot = tp_random_below(&b.random, SLOTS);
        // x of a slot only changes while no command of this slot is under way.
        bool renew = tp_random_chance(&b.random, 128) && b.write_slot == SLOTS;
        if (slot == b.write_slot || (renew && slot == last.slot)) {
            while (b.block_count > 0 || b.write_slot < SLOTS) cycle(&b);
        }
        struct command c = random_command(&b, slot);
        while (tp_dut_cycles(b.dut) < b.free_cycle) cycle(&b);
        while (apart && tp_random_chance(&b.random, 200)) cycle(&b);
        drive_command(&b, &c);
        set_or(&b, slot, 32 * c.blocks);
        expect(&b, &c);
        uint64_t free_cycle = b.free_cycle;
        b.free_cycle = tp_dut_cycles(b.dut);
        cycle(&b);
        b.free_cycle = free_cycle;
        uint32_t other = (slot + 1) % SLOTS;
        if (SLOTS == 1 || (renew && other != last.slot)) {
            while (SLOTS == 1 && b.block_count > 0) cycle(&b);
            new_x(&b, other);
            if (SLOTS == 1) wait_for_write(&b);
        }
        last = c;
    }
    while (b.block_count > 0) cycle(&b);
    for (int i = 0; i < 40; i++) cycle(&b);
    ck_assert_uint_eq(b.counted.clips, b.expected.clips);
    ck_assert_uint_eq(b.counted.saturations, b.expected.saturations);
    ck_assert_uint_gt(b.counted.clips, 0);
    ck_assert_uint_gt(b.counted.saturations, 0);
    tp_dut_close(b.dut);
}

START_TEST(rmsnorm_equals_model_with_commands_back_to_back)
{
    run(tp_test_seed(_i), false);
}
END_TEST

START_TEST(rmsnorm_equals_model_with_commands_apart)
{
    run(tp_test_seed(_i), true);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("rmsnorm");
    TCase *tcase = tcase_create("commands");
    tcase_add_loop_test(tcase, rmsnorm_equals_model_with_commands_back_to_back, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, rmsnorm_equals_model_with_commands_apart, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

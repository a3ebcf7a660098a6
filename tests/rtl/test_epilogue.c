// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_epilogue does to every pair of rows what the golden model does, for every
// destination, and that everything leaves at exactly the cycle that its README states: x 8 cycles
// after its pair was taken and the address of its gains 6, heads 12, blocks 29, logits 8 and 9, or
// both 8 if the command is fast.
//
// Random programs of a few slots through a bench that behaves like tp_matvec: the same commands,
// row groups at the same distances, in half of the runs with further gaps between them. The
// expected outputs of each cycle are computed beforehand; an output in any other cycle fails the
// test. Not covered: the order of slots, which is the sequencer's.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "read_word.h"
#include "tp_map.h"

#include <stdlib.h>
#include <string.h>

#ifndef TP_PARAM_Groups
#define TP_PARAM_Groups 4
#endif
#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots 4
#endif
#ifndef TP_PARAM_HeadNorm
#define TP_PARAM_HeadNorm 0
#endif

#ifndef TP_PARAM_HeadLog2Max
#define TP_PARAM_HeadLog2Max 5
#endif

enum {
    GROUPS = TP_PARAM_Groups,
    SLOTS = TP_PARAM_Slots,
    ROWS = GROUPS > 1 ? GROUPS : 2,  // that are taken together
    PAIRS = ROWS / 2,
    HEAD_NORM = TP_PARAM_HeadNorm,
    HEAD_LOG2_MAX = TP_PARAM_HeadLog2Max,
    DIM = 64,  // parameters of the unit that the variants leave alone
    CONSTANT_PAIRS = 256,
    GAIN_QUADS = 256,
    HIDDEN = 192,
    ROWS_MAX = 2 * HIDDEN,
    CYCLES = GROUPS > 1 ? 24000 : 36000,
    COMMANDS_END = CYCLES - (GROUPS > 1 ? 2000 : 6000),
    // From the last beat of a row group to its rows, and from an EMBED to its first pair, as
    // rtl/matvec/README.md states.
    MATVEC_LATENCY = TP_CYCLES_ROWS,
    EMBED_LATENCY = 30,
    // From the cycle in which a pair is taken.
    GAIN_LATENCY = 6,
    X_LATENCY = 8,
    HEAD_LATENCY = 12,
    HEAD_NORM_LATENCY = 31,  // from the last pair of a head to its first one; plus the pairs
    BLOCK_LATENCY = 29,      // a block of b < 8 elements: 8 - b more
    LOGIT_LATENCY = 8
};

struct stimulus {
    bool command;
    uint32_t words[8];
    bool row;
    bool row_last;
    int64_t acc[GROUPS];
    bool embed;
    bool embed_last;
    int32_t pair[2];
};

struct outcome {
    bool gain;
    uint32_t gain_address;
    bool x;
    bool x_last;
    uint32_t x_cap;
    uint32_t x_slot;
    uint32_t x_pair;
    int32_t x_data[2];
    bool block;
    bool gate_done;
    uint32_t block_slot;
    uint32_t block_index;
    uint32_t block_exponent;
    uint32_t block_words[8];
    bool head;
    bool head_last;
    int32_t head_data[2];
    uint32_t head_words[2];
    bool logit;
    bool logit_last;
    uint32_t logit_slot;
    uint32_t logit_index;
    uint32_t logit_count;  // 1, or 2 of a fast command
    int32_t logit_data[2];
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    uint32_t gap;  // chance of further idle cycles between row groups, of 256
    struct tp_counters counters;
    uint64_t saturations;
    uint64_t clips;
    int32_t x[SLOTS][DIM];
    bool x_known[SLOTS];
    int32_t bias[2 * CONSTANT_PAIRS];
    int32_t centre[2 * CONSTANT_PAIRS];
    int16_t gain[4 * GAIN_QUADS];
    struct tp_norm_factor factor[SLOTS];
    int32_t cosine[SLOTS][64];
    int32_t sine[SLOTS][64];
    bool head_norm;      // of the heads of this program
    uint32_t head_log2;  // same
    uint64_t kinds;      // bit mask of destinations that were tested
};

static struct stimulus stimuli[CYCLES];
static struct outcome outcomes[CYCLES];

// One command on its way through the generator.
struct job {
    struct tp_op_matvec op;
    bool fast;
    uint32_t slot;
    uint32_t position;
    uint32_t start;  // cycle of the command
    uint32_t interval;
    uint32_t delay;                     // of a row group before its first pair
    uint32_t cycle[ROWS_MAX / GROUPS];  // in which each row group comes
    int64_t acc[ROWS_MAX];
    int32_t y[ROWS_MAX];
};

// ---- expected outputs ----

static bool is_slow(const struct job *job)
{
    return job->op.dest == TP_DEST_LOGITS && !job->fast;
}

static uint32_t taken(const struct job *job, uint32_t pair)
{
    uint32_t step = is_slow(job) ? 2 : 1;
    return job->cycle[(2 * pair + 1) / GROUPS] + job->delay + pair % PAIRS * step;
}

// gain_base, cap: of the norm.
static void expect_x(struct bench *b, uint32_t slot, uint32_t cycle, uint32_t pair, bool is_last,
                     uint32_t gain_base, uint32_t cap)
{
    struct outcome *at = &outcomes[cycle + GAIN_LATENCY];
    ck_assert(!at->gain);
    at->gain = true;
    at->gain_address = 2 * gain_base + pair;
    at = &outcomes[cycle + X_LATENCY];
    ck_assert(!at->x);
    at->x = true;
    at->x_last = is_last;
    at->x_cap = cap;
    at->x_slot = slot;
    at->x_pair = pair;
    memcpy(at->x_data, &b->x[slot][2 * pair], sizeof at->x_data);
}

static void expect_residual(struct bench *b, const struct job *job)
{
    int32_t *x = b->x[job->slot];
    uint32_t pairs = job->op.rows / 2;
    for (uint32_t i = 0; i < job->op.rows; i++) {
        x[i] = tp_sat32((int64_t)x[i] + job->y[i], &b->counters);
    }
    for (uint32_t pair = 0; pair < pairs; pair++) {
        expect_x(b, job->slot, taken(job, pair), pair, pair == pairs - 1, job->op.gain_base,
                 job->op.cap);
    }
}

static void expect_gate(struct bench *b, const struct job *job)
{
    uint32_t hidden = job->op.rows / 2;
    for (uint32_t first = 0; first < hidden; first += 32) {
        uint32_t count = hidden - first < 32 ? hidden - first : 32;
        uint32_t latency = BLOCK_LATENCY + (count < 8 ? 8 - count : 0);
        struct outcome *at = &outcomes[taken(job, first + count - 1) + latency];
        int32_t h[32];
        int8_t q[32] = {0};
        for (uint32_t i = 0; i < count; i++) {
            const int32_t *y = &job->y[2 * (first + i)];
            h[i] = tp_swiglu(y[0], y[1], &b->counters);
        }
        ck_assert(!at->block);
        at->block = true;
        at->gate_done = first + count == hidden;
        at->block_slot = job->slot;
        at->block_index = first / 32;
        at->block_exponent = tp_quantise_block(h, count, 0, (uint8_t)job->op.cap, q, &b->counters);
        memcpy(at->block_words, q, sizeof q);
    }
}

// kind, slot, position, head_log2, exponent_base, kv_base from the top.
static void pack_context(const struct job *job, uint32_t *words)
{
    bool is_query = job->op.dest == TP_DEST_QUERY;
    uint64_t kind = is_query ? 0 : job->op.dest == TP_DEST_KEY ? 1 : 2;
    uint64_t context = kind << 51 | (uint64_t)job->slot << 48 | (uint64_t)job->position << 32 |
                       (uint64_t)job->op.head_log2 << 29 |
                       (uint64_t)(is_query ? 0 : job->op.exponent_base) << 24 | job->op.kv_base;
    words[0] = (uint32_t)context;
    words[1] = (uint32_t)(context >> 32);
}

static void finish_heads(struct bench *b, struct job *job)
{
    const struct tp_op_matvec *op = &job->op;
    uint32_t size = 1u << op->head_log2;
    int32_t *y = job->y;
    for (uint32_t i = 0; op->bias && i < op->rows; i++) {
        y[i] = tp_sat32((int64_t)y[i] + b->bias[2 * op->constant_base + i], &b->counters);
    }
    for (uint32_t i = 0; op->head_norm && op->dest != TP_DEST_VALUE && i < op->rows; i += size) {
        tp_head_norm(y + i, b->gain + 4 * op->gain_base, size, op->head_shift,
                     (uint32_t)op->epsilon, &b->counters);
    }
    for (uint32_t i = 0; op->dest != TP_DEST_VALUE && i < op->rows; i += 2) {
        uint32_t pair = i % size / 2;
        tp_rope_rotate(&y[i], &y[i + 1], b->cosine[job->slot][pair], b->sine[job->slot][pair],
                       &b->counters);
    }
    for (uint32_t i = 0; op->centre && i < op->rows; i++) {
        y[i] = tp_sat32((int64_t)y[i] - b->centre[2 * op->constant_base + i], &b->counters);
    }
}

static void expect_heads(struct bench *b, struct job *job)
{
    uint32_t pairs = job->op.rows / 2;
    finish_heads(b, job);
    for (uint32_t pair = 0; pair < pairs; pair++) {
        uint32_t size = 1u << job->op.head_log2 >> 1;
        uint32_t last = pair | (size - 1);
        struct outcome *at = &outcomes[taken(job, pair) + HEAD_LATENCY];
        if (job->op.head_norm) {
            at = &outcomes[taken(job, last) + HEAD_NORM_LATENCY + size + pair % size];
        }
        ck_assert(!at->head);
        at->head = true;
        at->head_last = pair == pairs - 1;
        memcpy(at->head_data, &job->y[2 * pair], sizeof at->head_data);
        pack_context(job, at->head_words);
    }
}

// The last row of the vocabulary comes where the last row of the matrix would; if the command is
// fast, its pair where the last pair would.
static uint32_t expect_logits(const struct job *job)
{
    uint32_t vocabulary = (uint32_t)job->op.epsilon;
    uint32_t step = job->fast ? 2 : 1;
    uint32_t last = taken(job, job->op.rows / 2 - 1) + LOGIT_LATENCY + 2 - step;
    for (uint32_t i = 0; i < vocabulary; i += step) {
        bool is_last = i + step >= vocabulary;
        struct outcome *at = &outcomes[is_last ? last : taken(job, i / 2) + LOGIT_LATENCY + i % 2];
        ck_assert(!at->logit);
        at->logit = true;
        at->logit_last = is_last;
        at->logit_slot = job->slot;
        at->logit_index = i;
        at->logit_count = i + step > vocabulary ? 1 : step;
        for (uint32_t k = 0; k < at->logit_count; k++) at->logit_data[k] = job->y[i + k];
    }
    return last;
}

// ---- random commands ----

static void pack_command(struct bench *b, struct stimulus *at, const uint32_t *instruction,
                         uint32_t slot, uint32_t position)
{
    ck_assert(!at->command);
    at->command = true;
    memcpy(at->words, instruction, TP_INSTRUCTION_WORDS * sizeof *instruction);
    at->words[6] = position << 16 | tp_random_below(&b->random, 65536);
    at->words[7] = slot;
}

// Returns the cycle in which the next command may come.
static uint32_t make_embed(struct bench *b, uint32_t start, uint32_t slot)
{
    struct tp_op_embed op = {.opcode = TP_OP_EMBED, .blocks = DIM / 32, .shift = -5};
    op.gain_base = tp_random_below(&b->random, 65536);
    op.cap = tp_random_below(&b->random, 26);
    uint32_t instruction[TP_INSTRUCTION_WORDS];
    tp_embed_pack(&op, instruction);
    pack_command(b, &stimuli[start], instruction, slot, tp_random_below(&b->random, 65536));
    for (uint32_t pair = 0; pair < DIM / 2; pair++) {
        struct stimulus *at = &stimuli[start + EMBED_LATENCY + pair];
        at->embed = true;
        at->embed_last = pair == DIM / 2 - 1;
        for (uint32_t i = 0; i < 2; i++) {
            at->pair[i] = (int32_t)tp_random_signed(&b->random, 32);
            b->x[slot][2 * pair + i] = at->pair[i];
        }
        expect_x(b, slot, start + EMBED_LATENCY + pair, pair, at->embed_last, op.gain_base, op.cap);
    }
    b->x_known[slot] = true;
    b->kinds |= 64;
    return start + 16 * (op.blocks + 1);
}

static uint32_t pick_rows(struct bench *b, const struct tp_op_matvec *op)
{
    uint32_t most = HEAD_LOG2_MAX > 5 ? 8 : 4;  // words
    uint32_t parts = op->head_log2 > 5 ? 1u << (op->head_log2 - 5) : 1;
    uint32_t hidden = (uint32_t)tp_random_range(&b->random, 2, HIDDEN / 4) * 4;
    switch (op->dest) {
    case TP_DEST_RESIDUAL:
        return ROWS * (uint32_t)tp_random_range(&b->random, 32 / ROWS, DIM / ROWS);
    case TP_DEST_GATE:
        return 2 * hidden;
    case TP_DEST_LOGITS:
        return ROWS * (uint32_t)tp_random_range(&b->random, 1, 40);
    default:
        return 32 * parts * (uint32_t)tp_random_range(&b->random, 1, most / parts);
    }
}

static void pick_op(struct bench *b, struct job *job)
{
    struct tp_op_matvec *op = &job->op;
    struct tp_random *random = &b->random;
    memset(op, 0, sizeof *op);
    op->opcode = TP_OP_MATVEC;
    op->dest = tp_random_below(random, 6);
    op->source = tp_random_below(random, 3);
    op->blocks = (uint32_t)tp_random_range(random, 1, 4);
    op->planes = tp_random_below(random, 2);
    op->norm = tp_random_below(random, 2);
    op->bias = tp_random_below(random, 2);
    op->centre = tp_random_below(random, 2);
    op->align = tp_random_below(random, 64);
    op->z_shift = (int32_t)tp_random_range(random, -8, 24);
    if (tp_random_chance(random, 16)) op->z_shift = (int32_t)tp_random_range(random, -128, 127);
    op->cap = (uint32_t)tp_random_range(random, 3, 25);
    op->head_log2 = b->head_norm ? b->head_log2 : 3 + tp_random_below(random, HEAD_LOG2_MAX - 2);
    op->rows = pick_rows(b, op);
    op->head_norm = b->head_norm && op->dest >= TP_DEST_QUERY && op->dest <= TP_DEST_VALUE;
    op->head_shift = (int32_t)tp_random_range(random, -31, -12);
    op->gain_base = tp_random_below(random, GAIN_QUADS - 32 + 1);
    op->exponent_base = tp_random_below(random, 11);
    op->constant_base = tp_random_below(random, CONSTANT_PAIRS - 128 + 1);
    op->kv_base = tp_random_below(random, 1u << 24);
    op->epsilon = tp_random_u32(random);
    if (op->dest == TP_DEST_LOGITS) op->epsilon = op->rows - tp_random_below(random, ROWS);
    job->position = tp_random_below(random, 65536);
    uint32_t beats = op->blocks * (op->planes + 1);
    job->fast = tp_random_chance(random, 128);
    uint32_t least = is_slow(job) ? GROUPS : PAIRS;
    job->interval = beats > least ? beats : least;
    job->delay = job->interval - beats;
}

// Large enough to saturate now and then.
static int64_t pick_acc(struct bench *b)
{
    return tp_random_signed(&b->random, tp_random_chance(&b->random, 8) ? 40 : 36);
}

// Row groups come one interval after the other, or later.
static uint32_t place_rows(struct bench *b, struct job *job)
{
    uint32_t beats = job->interval - job->delay;
    uint32_t begin = job->start;
    uint32_t groups = job->op.rows / GROUPS;
    for (uint32_t i = 0; i < groups; i++) {
        if (tp_random_chance(&b->random, b->gap)) begin += tp_random_below(&b->random, 12);
        job->cycle[i] = begin + beats + MATVEC_LATENCY;
        begin += job->interval;
        struct stimulus *at = &stimuli[job->cycle[i]];
        ck_assert(!at->row);
        at->row = true;
        at->row_last = i == groups - 1;
        memcpy(at->acc, &job->acc[i * GROUPS], sizeof at->acc);
    }
    return begin;
}

static uint32_t make_matvec(struct bench *b, uint32_t start, uint32_t slot)
{
    static struct job job;
    uint32_t instruction[TP_INSTRUCTION_WORDS];
    job.start = start;
    job.slot = slot;
    pick_op(b, &job);
    tp_matvec_pack(&job.op, instruction);
    pack_command(b, &stimuli[start], instruction, slot, job.position);
    stimuli[start].words[7] |= (uint32_t)job.fast << 3;
    const struct tp_norm_factor *factor = &b->factor[slot];
    int shift = job.op.z_shift + (job.op.norm ? factor->shift : 0);
    for (uint32_t i = 0; i < job.op.rows; i++) {
        // The padding behind the vocabulary is zero.
        bool is_padding = job.op.dest == TP_DEST_LOGITS && i >= job.op.epsilon;
        job.acc[i] = is_padding ? 0 : pick_acc(b);
        job.y[i] =
            tp_matvec_scale(job.acc[i], shift, job.op.norm ? factor->rm : 65536, &b->counters);
    }
    uint32_t next = place_rows(b, &job);
    b->kinds |= UINT64_C(1) << job.op.dest;
    switch (job.op.dest) {
    case TP_DEST_RESIDUAL:
        expect_residual(b, &job);
        break;
    case TP_DEST_GATE:
        expect_gate(b, &job);
        break;
    case TP_DEST_LOGITS:
        return expect_logits(&job) + 10;  // when the sampler has answered
    default:
        expect_heads(b, &job);
        break;
    }
    return next;
}

static void make_program(struct bench *b)
{
    memset(stimuli, 0, sizeof stimuli);
    memset(outcomes, 0, sizeof outcomes);
    uint32_t cycle = 2;
    while (cycle < COMMANDS_END) {
        uint32_t slot = tp_random_below(&b->random, SLOTS);
        bool embed = !b->x_known[slot] || tp_random_chance(&b->random, 16);
        cycle = embed ? make_embed(b, cycle, slot) : make_matvec(b, cycle, slot);
        if (tp_random_chance(&b->random, 64)) cycle += tp_random_below(&b->random, 60);
    }
}

// ---- the unit ----

static void write_word(struct bench *b, uint32_t space, uint32_t address, uint32_t data)
{
    tp_dut_set(b->dut, "cfg_valid_i", 1);
    tp_dut_set(b->dut, "cfg_space_i", space);
    tp_dut_set(b->dut, "cfg_address_i", address);
    tp_dut_set(b->dut, "cfg_data_i", data);
    tp_dut_tick(b->dut);
    tp_dut_set(b->dut, "cfg_valid_i", 0);
}

static void configure(struct bench *b)
{
    for (uint32_t i = 0; i < 2 * CONSTANT_PAIRS; i++) {
        b->bias[i] = (int32_t)tp_random_signed(&b->random, 32);
        b->centre[i] = (int32_t)tp_random_signed(&b->random, 32);
        write_word(b, TP_SPACE_BIAS, i, (uint32_t)b->bias[i]);
        write_word(b, TP_SPACE_CENTRE, i, (uint32_t)b->centre[i]);
    }
    for (uint32_t i = 0; i < 2 * GAIN_QUADS; i++) {
        uint32_t word = tp_random_u32(&b->random);
        memcpy(&b->gain[2 * i], &word, sizeof word);
        write_word(b, TP_SPACE_GAIN, i, word);
    }
}

static void set_bits(uint32_t *words, uint32_t lsb, uint32_t width, uint64_t value)
{
    for (uint32_t i = 0; i < width; i++) {
        words[(lsb + i) / 32] |= (uint32_t)(value >> i & 1) << (lsb + i) % 32;
    }
}

static void set_factors(struct bench *b)
{
    uint32_t rm[5] = {0};
    uint32_t shift[2] = {0};
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        bool is_one = tp_random_chance(&b->random, 32);
        b->factor[slot].rm = is_one ? 65536 : (uint32_t)tp_random_range(&b->random, 32768, 65536);
        b->factor[slot].shift = (int32_t)tp_random_range(&b->random, 0, 12);
        set_bits(rm, 17 * slot, 17, b->factor[slot].rm);
        set_bits(shift, 6 * slot, 6, (uint32_t)b->factor[slot].shift);
        for (uint32_t pair = 0; pair < 64; pair++) {
            uint32_t phase = tp_random_u32(&b->random);
            b->cosine[slot][pair] = tp_sine(phase + 0x40000000u);
            b->sine[slot][pair] = tp_sine(phase);
        }
    }
    tp_port_set_words(tp_dut_port(b->dut, "factor_rm_i"), rm);
    tp_port_set_words(tp_dut_port(b->dut, "factor_shift_i"), shift);
}

static void drive(struct bench *b, const struct stimulus *at)
{
    uint32_t words[(GROUPS * 40 + 31) / 32] = {0};
    uint32_t noise[8];
    tp_random_words(&b->random, noise, 8);
    tp_dut_set(b->dut, "cmd_valid_i", at->command);
    tp_port_set_words(tp_dut_port(b->dut, "cmd_i"), at->command ? at->words : noise);
    for (uint32_t i = 0; i < GROUPS; i++) {
        uint64_t value = at->row ? (uint64_t)at->acc[i] : tp_random_u64(&b->random);
        set_bits(words, 40 * i, 40, value);
    }
    tp_dut_set(b->dut, "row_valid_i", at->row);
    tp_port_set_words(tp_dut_port(b->dut, "row_data_i"), words);
    tp_dut_set(b->dut, "row_last_i", at->row ? at->row_last : noise[0] & 1);
    memcpy(noise, at->pair, at->embed ? sizeof at->pair : 0);
    tp_dut_set(b->dut, "embed_valid_i", at->embed);
    tp_port_set_words(tp_dut_port(b->dut, "embed_data_i"), noise);
    tp_dut_set(b->dut, "embed_last_i", at->embed ? at->embed_last : noise[2] & 1);
}

// The angle table: what was asked for in this cycle stands in the next one.
static void answer_angle(struct bench *b, bool valid, uint32_t slot, uint32_t pair, bool identity)
{
    int32_t cosine = (int32_t)tp_random_range(&b->random, -32768, 32768);
    int32_t sine = (int32_t)tp_random_range(&b->random, -32768, 32768);
    if (valid) {
        ck_assert_uint_lt(slot, SLOTS);
        cosine = identity ? 32768 : b->cosine[slot][pair];
        sine = identity ? 0 : b->sine[slot][pair];
    }
    tp_dut_set(b->dut, "angle_cosine_i", (uint32_t)cosine & 0x1ffff);
    tp_dut_set(b->dut, "angle_sine_i", (uint32_t)sine & 0x1ffff);
    tp_dut_set(b->dut, "angle_sum_i", (uint32_t)(cosine + sine) & 0x3ffff);
}

static void check_pair(struct bench *b, const char *port, const int32_t *expected)
{
    uint32_t words[2];
    tp_port_get_words(tp_dut_port(b->dut, port), words);
    ck_assert_int_eq((int32_t)words[0], expected[0]);
    ck_assert_int_eq((int32_t)words[1], expected[1]);
}

static void check_x(struct bench *b, const struct outcome *at)
{
    ck_assert_uint_eq(tp_dut_get(b->dut, "gain_valid_o"), at->gain);
    if (at->gain) ck_assert_uint_eq(tp_dut_get(b->dut, "gain_address_o"), at->gain_address);
    ck_assert_uint_eq(tp_dut_get(b->dut, "x_valid_o"), at->x);
    if (at->x) {
        ck_assert_uint_eq(tp_dut_get(b->dut, "x_last_o"), at->x_last);
        ck_assert_uint_eq(tp_dut_get(b->dut, "x_cap_o"), at->x_cap);
        ck_assert_uint_eq(tp_dut_get(b->dut, "x_slot_o"), at->x_slot);
        ck_assert_uint_eq(tp_dut_get(b->dut, "x_pair_o"), at->x_pair);
        check_pair(b, "x_data_o", at->x_data);
    }
}

static void check_block(struct bench *b, const struct outcome *at)
{
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_valid_o"), at->block);
    ck_assert_uint_eq(tp_dut_get(b->dut, "gate_done_valid_o"), at->gate_done);
    if (!at->block) return;
    uint32_t words[8];
    tp_port_get_words(tp_dut_port(b->dut, "block_data_o"), words);
    ck_assert_int_eq(memcmp(words, at->block_words, sizeof words), 0);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_slot_o"), at->block_slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "gate_done_slot_o"), at->block_slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_index_o"), at->block_index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_exponent_o"), at->block_exponent);
}

static void check_head(struct bench *b, const struct outcome *at)
{
    ck_assert_uint_eq(tp_dut_get(b->dut, "head_valid_o"), at->head);
    if (!at->head) return;
    uint32_t words[2];
    tp_port_get_words(tp_dut_port(b->dut, "head_context_o"), words);
    check_pair(b, "head_data_o", at->head_data);
    ck_assert_uint_eq(tp_dut_get(b->dut, "head_last_o"), at->head_last);
    ck_assert_uint_eq(words[0], at->head_words[0]);
    ck_assert_uint_eq(words[1], at->head_words[1]);
}

static void check_logit(struct bench *b, const struct outcome *at)
{
    ck_assert_uint_eq(tp_dut_get(b->dut, "logit_valid_o"), at->logit);
    if (!at->logit) return;
    ck_assert_uint_eq(tp_dut_get(b->dut, "logit_slot_o"), at->logit_slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "logit_index_o"), at->logit_index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "logit_both_o"), at->logit_count == 2);
    uint64_t data = tp_dut_get(b->dut, "logit_data_o");
    for (uint32_t k = 0; k < at->logit_count; k++) {
        ck_assert_int_eq((int32_t)(uint32_t)(data >> 32 * k), at->logit_data[k]);
    }
    ck_assert_uint_eq(tp_dut_get(b->dut, "logit_last_o"), at->logit_last);
}

static void run_program(struct bench *b)
{
    bool valid = false;
    uint32_t slot = 0;
    uint32_t pair = 0;
    bool identity = false;
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        drive(b, &stimuli[cycle]);
        answer_angle(b, valid, slot, pair, identity);
        tp_dut_settle(b->dut);
        check_x(b, &outcomes[cycle]);
        check_block(b, &outcomes[cycle]);
        check_head(b, &outcomes[cycle]);
        check_logit(b, &outcomes[cycle]);
        b->saturations += tp_dut_get(b->dut, "saturations_o");
        b->clips += tp_dut_get(b->dut, "clips_o");
        valid = tp_dut_get(b->dut, "angle_valid_o") != 0;
        slot = (uint32_t)tp_dut_get(b->dut, "angle_slot_o");
        pair = (uint32_t)tp_dut_get(b->dut, "angle_pair_o");
        identity = tp_dut_get(b->dut, "angle_identity_o") != 0;
        tp_dut_tick(b->dut);
    }
}

static uint32_t read_word(struct bench *b, uint32_t space, uint32_t address)
{
    uint32_t word = tp_read_word(b->dut, space, address, NULL, NULL);
    // The norm reads the gain; its address comes from here, and stays for a cycle or two.
    ck_assert_uint_eq(tp_dut_get(b->dut, "gain_valid_o"), space == TP_SPACE_GAIN);
    if (space == TP_SPACE_GAIN) {
        ck_assert_uint_eq(tp_dut_get(b->dut, "gain_address_o"), address);
    }
    for (int i = 0; i < 3; i++) tp_dut_tick(b->dut);
    ck_assert_uint_eq(tp_dut_get(b->dut, "gain_valid_o"), 0);
    return word;
}

// Constants are read back before and behind a program.
static void check_constants(struct bench *b)
{
    for (int i = 0; i < 12; i++) {
        uint32_t address = tp_random_below(&b->random, 2 * CONSTANT_PAIRS);
        ck_assert_uint_eq(read_word(b, TP_SPACE_BIAS, address), (uint32_t)b->bias[address]);
        ck_assert_uint_eq(read_word(b, TP_SPACE_CENTRE, address), (uint32_t)b->centre[address]);
        address = tp_random_below(&b->random, 2 * GAIN_QUADS);
        ck_assert_uint_eq(read_word(b, TP_SPACE_GAIN, address), 0);
    }
}

START_TEST(epilogue_equals_model_in_every_cycle)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    uint64_t seed = tp_test_seed(_i);
    tp_random_init(&b.random, seed, 1);
    b.dut = tp_dut_open(seed);
    b.gap = _i % 2 == 0 ? 0 : 64;
    b.head_norm = HEAD_NORM && _i % 4 < 3;
    b.head_log2 = 3 + (uint32_t)_i % (HEAD_LOG2_MAX - 2);
    configure(&b);
    set_factors(&b);
    make_program(&b);
    drive(&b, &(struct stimulus){.command = false});
    check_constants(&b);
    run_program(&b);
    check_constants(&b);
    ck_assert_uint_eq(b.kinds, 127);
    ck_assert_uint_gt(b.counters.saturations, 0);
    ck_assert_uint_gt(b.counters.clips, 0);
    ck_assert_uint_eq(b.saturations, b.counters.saturations);
    ck_assert_uint_eq(b.clips, b.counters.clips);
    tp_dut_close(b.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("epilogue");
    TCase *tcase = tcase_create("unit");
    tcase_add_loop_test(tcase, epilogue_equals_model_in_every_cycle, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that the core computes what the golden machine computes, bit for bit (tokens, candidates,
// logits, saturations, clips), and takes exactly the cycles that the library predicts, step by
// step.
//
// Random programs of the shape of a model with random weights, formats and sizes, random sampling,
// one to all slots in a step, each with a history of its own or all with one, over the link with
// its frames. The references are host/model/machine.c and host/lib/cycles.c. Not covered: real
// models (tests/system), clock speed.
//
// TP_TIME_LIMIT_S: 900

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/lib/cycles.c"
#include "check_main.h"
#include "dut.h"
#include "plain_frame.h"
#include "random.h"

/* Parameters that the variant leaves as tp_core has them. */
#ifndef TP_PARAM_Groups
#define TP_PARAM_Groups 2
#endif
#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots 4
#endif
#ifndef TP_PARAM_WeightBeats
#define TP_PARAM_WeightBeats 1024
#endif
#ifndef TP_PARAM_KvRows
#define TP_PARAM_KvRows 512
#endif
#ifndef TP_PARAM_DimMax
#define TP_PARAM_DimMax 64
#endif
#ifndef TP_PARAM_QueryMax
#define TP_PARAM_QueryMax 128
#endif
#ifndef TP_PARAM_HiddenMax
#define TP_PARAM_HiddenMax 192
#endif
#ifndef TP_PARAM_VocabMax
#define TP_PARAM_VocabMax 512
#endif
#ifndef TP_PARAM_PositionsMax
#define TP_PARAM_PositionsMax 64
#endif
#ifndef TP_PARAM_ProgramMax
#define TP_PARAM_ProgramMax 64
#endif
#ifndef TP_PARAM_GainQuads
#define TP_PARAM_GainQuads 256
#endif
#ifndef TP_PARAM_ConstantPairs
#define TP_PARAM_ConstantPairs 256
#endif
#ifndef TP_PARAM_Codebooks
#define TP_PARAM_Codebooks 2
#endif
#ifndef TP_PARAM_HeadNorm
#define TP_PARAM_HeadNorm 1
#endif
#ifndef TP_PARAM_HeadLog2Max
#define TP_PARAM_HeadLog2Max 5
#endif
#ifndef TP_PARAM_TopK
#define TP_PARAM_TopK 64
#endif
#ifndef TP_PARAM_AttentionLanes
#define TP_PARAM_AttentionLanes 64
#endif

#ifndef TP_PARAM_ReadBack
#define TP_PARAM_ReadBack 1
#endif

enum {
    SLOTS = TP_PARAM_Slots,
    GROUPS = TP_PARAM_Groups,
    PAGES_MAX = TP_PARAM_KvRows / TP_PAGE,
    PROGRAM_MAX = TP_PARAM_ProgramMax,
    HEAD_LOG2_MAX = TP_PARAM_HeadLog2Max,
    VOCAB_MAX = 160,
    EXPECTED_MAX = 64,
    CYCLE_LIMIT = 400000
};

static const struct tp_limits limits = {
    .groups = TP_PARAM_Groups,
    .slots = TP_PARAM_Slots,
    .weight_beats = TP_PARAM_WeightBeats,
    .kv_rows = TP_PARAM_KvRows,
    .dim_max = TP_PARAM_DimMax,
    .query_max = TP_PARAM_QueryMax,
    .hidden_max = TP_PARAM_HiddenMax,
    .vocab_max = TP_PARAM_VocabMax,
    .positions_max = TP_PARAM_PositionsMax,
    .program_max = TP_PARAM_ProgramMax,
    .gain_quads = TP_PARAM_GainQuads,
    .constant_pairs = TP_PARAM_ConstantPairs,
    .codebooks = TP_PARAM_Codebooks,
    .head_norm = TP_PARAM_HeadNorm,
    .head_log2_max = HEAD_LOG2_MAX,
    .attention_lanes = TP_PARAM_AttentionLanes,
    .top_k = TP_PARAM_TopK,
    .read_back = TP_PARAM_ReadBack,
};

/* One slot as the bench expects it. */
struct session {
    struct tp_sampling sampling;
    uint32_t candidates;
    struct tp_recent recent;
    uint32_t all_logits, context, position;
    uint32_t stride, distance; /* of the next step; from the token before it; 0 counts as 1 */
    uint32_t last;             /* sampled token that was not processed */
    /* the present run */
    uint32_t tokens[EXPECTED_MAX]; /* that TOKEN events will bring */
    uint32_t token_positions[EXPECTED_MAX];
    struct tp_ranking rankings[EXPECTED_MAX]; /* that CANDIDATES events will bring before them */
    int32_t keys[EXPECTED_MAX];
    uint32_t heard; /* candidates of the next token */
    uint32_t token_count, token_next;
    int32_t *logits; /* [EXPECTED_MAX][VOCAB_MAX] that LOGITS events will bring */
    uint32_t logits_steps, logits_next;
    uint32_t reason;
    int running;
};

struct bench {
    struct tp_dut *dut;
    struct tp_port *in_valid, *in_ready, *in_data, *out_valid, *out_ready, *out_data;
    struct tp_random random;
    struct tp_machine *machine;
    uint8_t out[64 * 1024];
    size_t out_count, out_first;
    uint8_t in[1024];
    size_t in_count;
    uint8_t sequence, event_sequence;
    uint32_t answers_left;
    uint32_t program[PROGRAM_MAX * TP_INSTRUCTION_WORDS];
    uint32_t program_count;
    uint32_t weight_beats, gain_quads, constant_pairs;
    uint32_t vocab, pages_per_slot, kv_rows;
    struct session sessions[SLOTS];
    uint32_t steps, tokens;
    uint64_t cycles_steps;
    uint32_t statistics[14];
    struct tp_section sections[TP_SECTIONS];
    uint32_t section_count;     /* sections of the replies so far */
    struct tp_plain_frame read; /* the latest READ_REPLY, or its ACK */
};

static struct bench bench;

static uint32_t below(struct bench *b, uint32_t limit)
{
    return tp_random_below(&b->random, limit);
}

static int32_t between(struct bench *b, int32_t low, int32_t high)
{
    return (int32_t)tp_random_range(&b->random, low, high);
}

/* ---- the link ---- */

static void send(struct bench *b, uint8_t type, const uint32_t *words, uint16_t length)
{
    struct tp_plain_frame frame = {.type = type, .sequence = b->sequence++, .length = length};
    for (uint32_t i = 0; i < length; i++) {
        frame.payload[i] = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
    }
    assert(b->out_count + TP_PLAIN_BYTES_MAX <= sizeof b->out);
    b->out_count += tp_plain_write(&frame, b->out + b->out_count);
    b->answers_left++;
}

static void take_frame(struct bench *b, const struct tp_plain_frame *frame);

static void cycle(struct bench *b)
{
    int sends = b->out_first < b->out_count;
    tp_port_set(b->in_valid, (uint64_t)sends);
    tp_port_set(b->in_data, sends ? b->out[b->out_first] : 0);
    tp_port_set(b->out_ready, 1);
    tp_dut_settle(b->dut);
    if (sends && tp_port_get(b->in_ready)) b->out_first++;
    if (tp_port_get(b->out_valid)) {
        b->in[b->in_count++] = (uint8_t)tp_port_get(b->out_data);
        struct tp_plain_frame frame;
        size_t place = 0;
        uint32_t bad = 0;
        if (tp_plain_read(b->in, b->in_count, &place, &frame, &bad)) {
            ck_assert_uint_eq(place, b->in_count);
            b->in_count = 0;
            take_frame(b, &frame);
        }
        ck_assert_uint_eq(bad, 0);
    }
    tp_dut_tick(b->dut);
}

static int busy(const struct bench *b)
{
    int running = 0;
    for (int s = 0; s < SLOTS; s++) running |= b->sessions[s].running;
    return running || b->answers_left > 0;
}

static void wait(struct bench *b)
{
    for (uint32_t i = 0; busy(b); i++) {
        ck_assert_msg(i < CYCLE_LIMIT, "the core fell silent");
        cycle(b);
    }
    ck_assert_uint_eq(b->in_count, 0);
    b->out_first = b->out_count = 0;
}

/* One word to the core and to the machine; runs of words share a frame. */
static struct {
    uint32_t space, address, next, count;
    uint32_t words[64];
} run;

static void flush(struct bench *b)
{
    if (run.count == 0) return;
    run.words[0] = run.space;
    run.words[1] = run.address;
    send(b, TP_FRAME_WRITE, run.words, (uint16_t)(8 + 4 * run.count));
    run.count = 0;
    if (b->out_count > sizeof b->out / 2) wait(b);
}

static void write_word(struct bench *b, uint32_t space, uint32_t address, uint32_t data)
{
    if (run.count == 62 || space != run.space || address != run.next) flush(b);
    if (run.count == 0) {
        run.space = space;
        run.address = address;
    }
    run.words[2 + run.count++] = data;
    run.next = tp_space_next(&limits, space, address);
    ck_assert(tp_machine_write(b->machine, space, address, &data, 1));
}

/* ---- events against the expectation ---- */

static uint32_t get16(const uint8_t *bytes)
{
    return bytes[0] | bytes[1] * 0x100u;
}

static uint32_t get32(const uint8_t *bytes)
{
    return get16(bytes) | get16(bytes + 2) << 16;
}

/* Keys and values that a slot writes in a step are complete when a higher slot attends to them. */
static void check_order(const struct bench *b, const struct tp_issue *issues, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (issues[i].unit != TP_UNIT_ATTENTION) continue;
        for (uint32_t k = 0; k < count; k++) {
            if (issues[k].slot >= issues[i].slot) continue;
            if (issues[k].instruction + 1 == issues[i].instruction) {
                ck_assert_uint_lt(issues[k].completed, issues[i].issued);
            }
        }
    }
    ck_assert_uint_le(count, SLOTS * b->program_count);
}

static void take_step(struct bench *b, const uint8_t *p)
{
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{0}};
    uint32_t cycles = get32(p + 4);
    for (int s = 0; s < SLOTS; s++) {
        slots[s].active = p[8] >> s & 1;
        slots[s].logits = p[9] >> s & 1;
        slots[s].position = get16(p + 12 + 2 * s);
        slots[s].list =
            (b->sessions[s].sampling.top_k > 0 && b->sessions[s].sampling.temperature > 0) ||
            b->sessions[s].candidates > 0;
        slots[s].fast = b->sessions[s].sampling.temperature == 0 &&
                        b->sessions[s].sampling.penalty_positive == 0 &&
                        b->sessions[s].candidates == 0 && b->sessions[s].all_logits == 0;
        b->tokens += slots[s].active;
    }
    static struct tp_issue issues[SLOTS * PROGRAM_MAX];
    uint32_t issued = 0;
    uint32_t predicted =
        tp__step_schedule(&limits, b->program, b->program_count, slots, issues, &issued);
    check_order(b, issues, issued);
    ck_assert_msg(cycles == predicted,
                  "step %u: %u cycles, predicted %u (slots %x, logits %x, position %u)", get32(p),
                  cycles, predicted, p[8], p[9], slots[0].position);
    ck_assert_uint_eq(get32(p), b->steps);
    b->steps++;
    b->cycles_steps += cycles;
}

static void take_candidates(struct session *session, const struct tp_plain_frame *frame)
{
    const uint8_t *p = frame->payload;
    ck_assert_uint_lt(session->token_next, session->token_count);
    const struct tp_ranking *ranking = &session->rankings[session->token_next];
    uint32_t count = (frame->length - 16u) / 8;
    ck_assert_uint_eq(p[1], session->heard);
    ck_assert_uint_le(session->heard + count, ranking->count);
    ck_assert_int_eq((int16_t)get16(p + 2), ranking->weights.exponent);
    ck_assert_int_eq((int32_t)get32(p + 4), session->keys[session->token_next]);
    ck_assert_uint_eq(get32(p + 8) | (uint64_t)get32(p + 12) << 32, ranking->weights.sum);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(get32(p + 16 + 8 * i), ranking->id[session->heard + i]);
        ck_assert_int_eq((int32_t)get32(p + 20 + 8 * i), ranking->key[session->heard + i]);
    }
    session->heard += count;
}

static void take_event(struct bench *b, const struct tp_plain_frame *frame)
{
    const uint8_t *p = frame->payload;
    ck_assert_uint_eq(frame->sequence, b->event_sequence);
    b->event_sequence++;
    if (frame->type == TP_FRAME_STEP) {
        take_step(b, p);
        return;
    }
    ck_assert_uint_lt(p[0], SLOTS);
    struct session *session = &b->sessions[p[0]];
    ck_assert_int_eq(session->running, 1);
    if (frame->type == TP_FRAME_TOKEN) {
        ck_assert_uint_lt(session->token_next, session->token_count);
        uint32_t next = session->token_next++;
        if (session->candidates > 0) {
            ck_assert_uint_eq(session->heard, session->rankings[next].count);
        }
        session->heard = 0;
        ck_assert_uint_eq(get16(p + 4), session->token_positions[next]);
        ck_assert_msg(get16(p + 2) == session->tokens[next],
                      "slot %u position %u: token %u, not %u", p[0], get16(p + 4), get16(p + 2),
                      session->tokens[next]);
    } else if (frame->type == TP_FRAME_CANDIDATES) {
        take_candidates(session, frame);
    } else if (frame->type == TP_FRAME_LOGITS) {
        uint32_t first = get32(p + 4);
        ck_assert_uint_lt(session->logits_next, session->logits_steps);
        const int32_t *logits = session->logits + (size_t)session->logits_next * VOCAB_MAX;
        ck_assert_uint_le(first + get16(p + 2), b->vocab);
        for (uint32_t i = 0; i < get16(p + 2); i++) {
            int32_t value = (int32_t)get32(p + 8 + 4 * i);
            ck_assert_msg(value == logits[first + i], "slot %u, %u. logits: logit %u is %d, not %d",
                          p[0], session->logits_next, first + i, value, logits[first + i]);
        }
        if (first + get16(p + 2) == b->vocab) session->logits_next++;
    } else {
        ck_assert_uint_eq(frame->type, TP_FRAME_DONE);
        ck_assert_uint_eq(p[1], session->reason);
        ck_assert_uint_eq(get16(p + 2), session->position);
        ck_assert_uint_eq(session->token_next, session->token_count);
        ck_assert_uint_eq(session->logits_next, session->logits_steps);
        session->running = 0;
    }
}

static void take_frame(struct bench *b, const struct tp_plain_frame *frame)
{
    if (frame->type >= TP_FRAME_TOKEN) {
        take_event(b, frame);
        return;
    }
    ck_assert_uint_gt(b->answers_left, 0);
    b->answers_left--;
    if (frame->type == TP_FRAME_READ_REPLY ||
        (frame->type == TP_FRAME_ACK && frame->payload[0] == TP_FRAME_READ)) {
        b->read = *frame;
    } else if (frame->type == TP_FRAME_ACK) {
        ck_assert_msg(frame->payload[1] == TP_ACK_OK, "frame %02x was refused: %u",
                      frame->payload[0], frame->payload[1]);
    } else if (frame->type == TP_FRAME_STATISTICS_REPLY) {
        for (int i = 0; i < 14; i++) b->statistics[i] = get32(frame->payload + 4 * i);
    } else if (frame->type == TP_FRAME_SECTIONS_REPLY) {
        for (uint32_t i = 0; i < TP_SECTIONS_PER_FRAME; i++) {
            const uint8_t *p = frame->payload + 16 * i;
            struct tp_section *section = &b->sections[b->section_count++];
            *section = (struct tp_section){get32(p), get32(p + 4), {p[8], p[9], p[10]}};
        }
    }
}

/* ---- random models ---- */

struct shape {
    uint32_t blocks, rows, hidden, head_log2, words, turns, sets, layers, head_norm;
};

static uint32_t *next_instruction(struct bench *b)
{
    ck_assert_uint_lt(b->program_count, PROGRAM_MAX);
    return b->program + TP_INSTRUCTION_WORDS * b->program_count++;
}

static void fill_weights(struct bench *b, uint32_t base, uint32_t beats)
{
    for (uint32_t beat = base; beat < base + beats; beat++) {
        uint32_t lane = 0;
        for (; lane < (GROUPS + 3) / 4; lane++) {
            /* Scales near the top of their range, as the compiler makes them. */
            uint32_t scales = tp_random_u32(&b->random) | 0x80808080u;
            write_word(b, TP_SPACE_WEIGHT, beat * 64 + lane, scales);
        }
        for (uint32_t end = lane + 4 * GROUPS; lane < end; lane++) {
            write_word(b, TP_SPACE_WEIGHT, beat * 64 + lane, tp_random_u32(&b->random));
        }
    }
}

static uint32_t take_weights(struct bench *b, uint32_t rows, uint32_t blocks, uint32_t planes)
{
    uint32_t base = b->weight_beats;
    b->weight_beats += rows / GROUPS * blocks * (planes + 1);
    return base;
}

/* Block-major, if it can be; the weights are random in any order. */
static uint32_t random_order(struct bench *b, const struct tp_op_matvec *op)
{
    uint32_t row_groups = op->rows / GROUPS;
    return op->dest != TP_DEST_LOGITS && row_groups >= 4 && row_groups <= TP_ACCUMULATORS &&
           op->blocks > tp_matrix_last_blocks(GROUPS, op->planes + 1) && below(b, 2);
}

static void add_matvec(struct bench *b, struct tp_op_matvec op)
{
    op.opcode = TP_OP_MATVEC;
    op.align = 40;
    op.z_shift = op.norm ? between(b, -19, -14) : between(b, 1, 6);
    op.weight_base = take_weights(b, op.rows, op.blocks, op.planes);
    op.codebook = below(b, TP_PARAM_Codebooks);
    op.order = op.drain ? random_order(b, &op) : op.order;
    tp_matvec_pack(&op, next_instruction(b));
}

static void add_heads(struct bench *b, const struct shape *shape, uint32_t dest, uint32_t layer)
{
    uint32_t words =
        dest == TP_DEST_QUERY ? shape->words * shape->turns * (shape->sets + 1) : shape->words;
    struct tp_op_matvec op = {.dest = dest, .source = TP_SOURCE_NORM, .norm = 1};
    op.blocks = shape->blocks;
    op.planes = below(b, 2);
    op.rows = 32 * words;
    op.head_log2 = shape->head_log2;
    op.drain = dest == TP_DEST_QUERY;
    op.exponent_base = dest == TP_DEST_QUERY ? 0 : 5;
    op.kv_base = layer * shape->words * b->kv_rows;
    op.bias = below(b, 2);
    op.centre = dest == TP_DEST_KEY && below(b, 2);
    op.constant_base = b->constant_pairs;
    if (op.bias || op.centre) b->constant_pairs += op.rows / 2;
    op.head_norm = shape->head_norm;
    if (op.head_norm) {
        op.gain_base = b->gain_quads;
        b->gain_quads += 1u << shape->head_log2 >> 2;
        op.head_shift = between(b, -18, -16);
        op.epsilon = below(b, 1000);
    }
    add_matvec(b, op);
}

static uint32_t take_gains(struct bench *b, const struct shape *shape)
{
    uint32_t base = b->gain_quads;
    b->gain_quads += 8 * shape->blocks;
    return base;
}

/* x += matrix, and the norm behind it. */
static void add_residual(struct bench *b, const struct shape *shape, struct tp_op_matvec op)
{
    op.dest = TP_DEST_RESIDUAL;
    op.rows = shape->rows;
    op.cap = below(b, 4) ? 25 : 9;
    op.gain_base = take_gains(b, shape);
    add_matvec(b, op);
}

static void add_layer(struct bench *b, const struct shape *shape, uint32_t layer)
{
    add_heads(b, shape, TP_DEST_QUERY, layer);
    add_heads(b, shape, TP_DEST_KEY, layer);
    add_heads(b, shape, TP_DEST_VALUE, layer);
    struct tp_op_attention attention = {.opcode = TP_OP_ATTENTION, .drain = 1};
    attention.sets = shape->sets;
    attention.shift = between(b, 8, 10);
    attention.words = shape->words;
    attention.turns = shape->turns;
    attention.cap = below(b, 4) ? 25 : 8;
    attention.head_log2 = shape->head_log2;
    attention.key_base = 5;
    attention.value_base = 5;
    attention.kv_base = layer * shape->words * b->kv_rows;
    /* As early as the rows allow, sometimes later; a context that short shows both. */
    attention.ahead = below(b, 3);
    attention.ahead_position =
        tp__early_position(&limits, next_instruction(b) - TP_INSTRUCTION_WORDS, &attention) +
        (below(b, 3) ? 0 : below(b, 8));
    b->program_count--;
    tp_attention_pack(&attention, next_instruction(b));
    struct tp_op_matvec out = {.source = TP_SOURCE_ATTENTION, .drain = 1};
    out.planes = below(b, 2);
    out.blocks = shape->words * shape->turns * (shape->sets + 1);
    add_residual(b, shape, out);
    struct tp_op_matvec gate = {.dest = TP_DEST_GATE, .source = TP_SOURCE_NORM, .norm = 1};
    gate.drain = 1;
    gate.blocks = shape->blocks;
    gate.rows = 2 * shape->hidden;
    gate.cap = 25;
    gate.planes = below(b, 2);
    add_matvec(b, gate);
    tp_matvec_unpack(next_instruction(b) - TP_INSTRUCTION_WORDS, &gate);
    b->program_count--;
    struct tp_op_matvec down = {.source = TP_SOURCE_FFN};
    down.blocks = (shape->hidden + 31) / 32;
    down.rows = shape->rows;
    down.planes = below(b, 2);
    /* Behind GATE without a gap where the blocks are there in time. */
    down.order = below(b, 4) && tp__block_major_follows(&limits, &gate, &down);
    down.drain = !down.order;
    add_residual(b, shape, down);
}

static void add_ends(struct bench *b, const struct shape *shape)
{
    struct tp_op_matvec logits = {.dest = TP_DEST_LOGITS, .source = TP_SOURCE_NORM, .norm = 1};
    logits.drain = logits.logits = 1;
    logits.planes = below(b, 2);
    logits.blocks = shape->blocks;
    logits.rows = (b->vocab + 3) / 4 * 4;
    logits.epsilon = b->vocab;
    add_matvec(b, logits);
    memset(next_instruction(b), 0, TP_INSTRUCTION_WORDS * sizeof(uint32_t));
}

static void add_start(struct bench *b, const struct shape *shape)
{
    struct tp_op_embed embed = {.opcode = TP_OP_EMBED, .planes = below(b, 2)};
    embed.codebook = below(b, TP_PARAM_Codebooks);
    embed.shift = between(b, 6, 9);
    embed.blocks = shape->blocks;
    embed.cap = below(b, 4) ? 25 : 9;
    embed.gain_base = take_gains(b, shape);
    embed.weight_base = take_weights(b, (b->vocab + 3) / 4 * 4, embed.blocks, embed.planes);
    tp_embed_pack(&embed, next_instruction(b));
    struct tp_op_angles angles = {.opcode = TP_OP_ANGLES};
    angles.pairs = 1u << shape->head_log2 >> 1;
    angles.frequency_base = below(b, 64 - angles.pairs + 1);
    tp_angles_pack(&angles, next_instruction(b));
}

static uint32_t signed16(struct bench *b)
{
    return (uint32_t)between(b, -32767, 32767) & 0xffff;
}

static void load(struct bench *b)
{
    fill_weights(b, 0, b->weight_beats);
    for (uint32_t i = 0; i < b->program_count; i++) {
        for (uint32_t w = 0; w < TP_INSTRUCTION_WORDS; w++) {
            write_word(b, TP_SPACE_PROGRAM, 8 * i + w, b->program[TP_INSTRUCTION_WORDS * i + w]);
        }
    }
    for (uint32_t i = 0; i < 2 * b->gain_quads; i++) {
        write_word(b, TP_SPACE_GAIN, i, signed16(b) | signed16(b) << 16);
    }
    for (uint32_t i = 0; i < 2 * b->constant_pairs; i++) {
        write_word(b, TP_SPACE_BIAS, i, (uint32_t)between(b, -50000, 50000));
        write_word(b, TP_SPACE_CENTRE, i, (uint32_t)between(b, -50000, 50000));
    }
    for (uint32_t i = 0; i < 64; i++) {
        write_word(b, TP_SPACE_FREQUENCY, i, tp_random_u32(&b->random));
    }
    for (uint32_t i = 0; i < 16 * TP_PARAM_Codebooks; i++) {
        write_word(b, TP_SPACE_CODEBOOK, i, (uint32_t)between(b, -127, 127) & 0xff);
    }
    write_word(b, TP_SPACE_REGISTER, TP_REGISTER_KV_STRIDE, b->kv_rows);
    write_word(b, TP_SPACE_REGISTER, TP_REGISTER_NORM_EPSILON, tp_random_u32(&b->random));
    write_word(b, TP_SPACE_REGISTER, TP_REGISTER_NORM_EPSILON_HIGH, below(b, 2));
    /* Every slot has pages of its own, in no order. */
    uint32_t pages[PAGES_MAX];
    uint32_t count = SLOTS * b->pages_per_slot;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = below(b, i + 1);
        pages[i] = pages[place];
        pages[place] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = i / b->pages_per_slot;
        write_word(b, TP_SPACE_PAGE_TABLE, 4096 * slot + i % b->pages_per_slot, pages[i]);
    }
    flush(b);
    wait(b);
    uint32_t index = 0;
    ck_assert_msg(tp_machine_prepare(b->machine, &index), "instruction %u is illegal", index);
}

static struct shape make_shape(struct bench *b, uint32_t head_log2)
{
    struct shape shape;
    /* Often whole blocks; x has 16 elements at least. */
    shape.rows = 4 * (4 + below(b, TP_PARAM_DimMax / 4 - 3));
    shape.blocks = (shape.rows + 31) / 32;
    if (below(b, 2)) shape.rows = 32 * shape.blocks;
    shape.hidden = 4 * (2 + below(b, TP_PARAM_HiddenMax / 4 - 1));
    /* A short last block has at least 8 elements. */
    if (shape.hidden % 32 != 0 && shape.hidden % 32 < 8) shape.hidden -= 4;
    uint32_t head_words = head_log2 > 5 ? 1u << (head_log2 - 5) : 1;
    shape.head_log2 = head_log2;
    do {
        shape.words = head_words * (1 + below(b, 2));
        shape.sets = below(b, tp_limits_query_sets(&limits));
        shape.turns = 1 + below(b, 4);
    } while (shape.words * shape.turns * (shape.sets + 1) > TP_PARAM_QueryMax / 32);
    shape.layers = 1 + below(b, 2);
    /* All heads of the program or none; values then pass unchanged. */
    shape.head_norm = TP_PARAM_HeadNorm && below(b, 2);
    return shape;
}

/* Programs that fit the memories; rejected ones leave nothing but used random numbers. Neighbours
 * have heads of other sizes, the first one the largest. */
static void make_model(struct bench *b, int number)
{
    uint32_t head_log2 = HEAD_LOG2_MAX - (uint32_t)number % (HEAD_LOG2_MAX - 2);
    do {
        struct shape shape = make_shape(b, head_log2);
        b->program_count = b->weight_beats = b->gain_quads = b->constant_pairs = 0;
        b->vocab = 8 + below(b, VOCAB_MAX - 8);
        uint32_t room = TP_PARAM_KvRows / TP_PAGE / (shape.layers * shape.words) / SLOTS;
        b->pages_per_slot =
            room < TP_PARAM_PositionsMax / TP_PAGE ? room : TP_PARAM_PositionsMax / TP_PAGE;
        b->kv_rows = SLOTS * b->pages_per_slot * TP_PAGE;
        add_start(b, &shape);
        for (uint32_t layer = 0; layer < shape.layers; layer++) add_layer(b, &shape, layer);
        add_ends(b, &shape);
    } while (b->weight_beats > TP_PARAM_WeightBeats || b->gain_quads > TP_PARAM_GainQuads ||
             b->constant_pairs > TP_PARAM_ConstantPairs);
    load(b);
}

/* ---- runs ---- */

static void send_slot(struct bench *b, uint32_t s)
{
    const struct session *session = &b->sessions[s];
    const struct tp_sampling *sampling = &session->sampling;
    uint32_t words[12] = {s | session->all_logits << 8 | sampling->top_k << 16,
                          sampling->temperature, (uint32_t)sampling->seed,
                          (uint32_t)(sampling->seed >> 32),
                          session->context | session->position << 16};
    words[9] = sampling->penalty_positive | sampling->penalty_negative << 16;
    words[10] = sampling->top_p_cut | session->candidates << 16 | session->stride << 24;
    words[11] = sampling->min_p_gap;
    send(b, TP_FRAME_SLOT, words, TP_SLOT_BYTES);
}

/* The slot is opened anew where it stands; it needs its last tokens for the penalty. */
static void open_again(struct bench *b, uint32_t s)
{
    const struct tp_recent *recent = &b->sessions[s].recent;
    uint32_t count = recent->count < TP_RECENT_MAX - 1 ? recent->count : TP_RECENT_MAX - 1;
    uint32_t words[TP_RECENT_MAX / 2] = {s};
    send_slot(b, s);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = recent->tokens[(recent->count - count + i) % TP_RECENT_MAX];
        words[(i + 1) / 2] |= token << (16 * ((i + 1) % 2));
    }
    send(b, TP_FRAME_RECENT, words, (uint16_t)(2 + 2 * count));
}

/* Random settings of a slot at position 0; the frame is not sent. */
static void choose_settings(struct bench *b, uint32_t s)
{
    struct session *session = &b->sessions[s];
    struct tp_sampling *sampling = &session->sampling;
    int32_t *logits = session->logits;
    memset(session, 0, sizeof *session);
    session->logits = logits;
    sampling->seed = tp_random_u64(&b->random);
    sampling->temperature = below(b, 3) ? below(b, 1u << 14) : 0;
    sampling->top_k = below(b, 2) ? 0 : below(b, limits.top_k + 1);
    if (below(b, 2)) sampling->top_p_cut = below(b, 65536);
    if (below(b, 2)) sampling->min_p_gap = 1 + below(b, 1u << 14);
    if (below(b, 2)) {
        sampling->penalty_positive = 1 + below(b, 1024);
        sampling->penalty_negative = 1024 + below(b, 3072);
    }
    session->candidates = below(b, 2) ? 0 : below(b, limits.top_k + 1);
    session->all_logits = below(b, 3) == 0;
    session->context = b->pages_per_slot * TP_PAGE;
}

static void open_slot(struct bench *b, uint32_t s)
{
    choose_settings(b, s);
    send_slot(b, s);
}

/* One step of a slot, by the machine. Returns the sampled token, if one is asked for. */
static uint32_t expect_step(struct bench *b, uint32_t s, uint32_t token, int asked)
{
    struct session *session = &b->sessions[s];
    int32_t spare[VOCAB_MAX];
    int32_t *logits = NULL;
    if (session->all_logits) {
        assert(session->logits_steps < EXPECTED_MAX);
        logits = session->logits + (size_t)session->logits_steps++ * VOCAB_MAX;
    } else if (asked) {
        logits = spare;
    }
    uint32_t vocab = tp_machine_step(b->machine, s, session->position, token, logits);
    if (logits != NULL) ck_assert_uint_eq(vocab, b->vocab);
    /* Positions between the slot's own are nobody's; only the last place of a token counts. */
    uint32_t places = session->distance > 0 ? session->distance : 1;
    for (uint32_t i = 0; i < places; i++) tp_recent_add(&session->recent, token);
    session->distance = session->stride;
    if (asked) {
        int32_t penalised[VOCAB_MAX];
        memcpy(penalised, logits, vocab * sizeof *logits);
        tp_penalise(&session->sampling, &session->recent, penalised, vocab);
        tp_rank(penalised, vocab, session->candidates, &session->rankings[session->token_count]);
        token = tp_sample(&session->sampling, session->position, penalised, vocab);
        session->keys[session->token_count] = tp_sample_key(penalised[token]);
        session->token_positions[session->token_count] = session->position;
        session->tokens[session->token_count++] = token;
    }
    session->position += session->stride > 0 ? session->stride : 1;
    return token;
}

static void expect_nothing(struct session *session)
{
    session->token_count = session->token_next = session->heard = 0;
    session->logits_steps = session->logits_next = 0;
    session->running = 1;
}

/* What the run will bring. */
static void expect_run(struct bench *b, uint32_t s, const uint32_t *tokens, uint32_t count,
                       uint32_t limit)
{
    struct session *session = &b->sessions[s];
    expect_nothing(session);
    uint32_t token = 0;
    for (uint32_t i = 0;; i++) {
        if (i < count) token = tokens[i];
        int asked = i + 1 >= count && limit > 0;
        token = expect_step(b, s, token, asked);
        session->reason = TP_REASON_LIMIT;
        if (asked && session->token_count == limit) break;
        session->reason = TP_REASON_FED;
        if (limit == 0 && i + 1 == count) break;
        session->reason = TP_REASON_CONTEXT;
        if (session->position == session->context) break;
    }
    session->last = token;
}

static void start_run(struct bench *b, uint32_t s, uint32_t hold)
{
    struct session *session = &b->sessions[s];
    uint32_t tokens[32];
    uint32_t count = 1 + below(b, 8);
    uint32_t limit = below(b, 5) ? 1 + below(b, 6) : 0;
    uint32_t words[64] = {s};
    for (uint32_t i = 0; i < count; i++) {
        tokens[i] = below(b, b->vocab);
        if (i == 0 && session->position > 0) tokens[i] = session->last;
        words[(i + 1) / 2] |= tokens[i] << (16 * ((i + 1) % 2));
    }
    send(b, TP_FRAME_FEED, words, (uint16_t)(2 + 2 * count));
    uint32_t go[2] = {s | hold << 8, limit};
    send(b, TP_FRAME_RUN, go, 8);
    expect_run(b, s, tokens, count, limit);
}

/* A history from position `first` on, each slot of the mask with every nth token of it. The slots
 * have one page table, so they attend to what the others process. A token is sampled behind the
 * last one; one slot or none sends its logits. */
static void share_history(struct bench *b, uint32_t mask, uint32_t first, uint32_t count)
{
    uint32_t slots[SLOTS], tokens[64], stride = 0;
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (mask >> s & 1) slots[stride++] = s;
    }
    uint32_t with_logits = below(b, stride + 1);
    assert(count >= stride && count <= 64);
    for (uint32_t i = 0; i < count; i++) tokens[i] = below(b, b->vocab);
    for (uint32_t k = 0; k < stride; k++) {
        uint32_t s = slots[k], words[64] = {s}, taken = 0;
        struct session *session = &b->sessions[s];
        choose_settings(b, s);
        session->all_logits = k == with_logits;
        session->context = limits.positions_max;
        session->position = first + k;
        session->stride = stride;
        send_slot(b, s);
        for (uint32_t i = k; i < count; i += stride) {
            words[(taken + 1) / 2] |= tokens[i] << (16 * ((taken + 1) % 2));
            taken++;
        }
        int last = (count - 1) % stride == k;
        uint32_t go[2] = {s | (uint32_t)(k + 1 < stride) << 8, (uint32_t)last};
        send(b, TP_FRAME_FEED, words, (uint16_t)(2 + 2 * taken));
        send(b, TP_FRAME_RUN, go, 8);
        expect_nothing(session);
        session->reason = last ? TP_REASON_LIMIT : TP_REASON_FED;
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)expect_step(b, slots[i % stride], tokens[i], i + 1 == count);
    }
    wait(b);
}

static void check_statistics(struct bench *b)
{
    send(b, TP_FRAME_STATISTICS, NULL, 0);
    wait(b);
    struct tp_counters counters = tp_machine_counters(b->machine);
    ck_assert_uint_eq(b->statistics[2] | (uint64_t)b->statistics[3] << 32, b->cycles_steps);
    ck_assert_uint_eq(b->statistics[4], b->steps);
    ck_assert_uint_eq(b->statistics[6], b->tokens);
    ck_assert_uint_eq(b->statistics[8], counters.saturations);
    ck_assert_uint_eq(b->statistics[10], counters.clips);
}

static void ask_sections(struct bench *b)
{
    b->section_count = 0;
    for (uint32_t first = 0; first < TP_SECTIONS; first += TP_SECTIONS_PER_FRAME) {
        send(b, TP_FRAME_SECTIONS, &first, 4);
        wait(b);
    }
    ck_assert_uint_eq(b->section_count, TP_SECTIONS);
}

static void check_sections(const struct bench *b)
{
    for (uint32_t i = 0; i < TP_SECTIONS; i++) {
        struct tp_section expected = tp_machine_section(b->machine, i);
        const struct tp_section *seen = &b->sections[i];
        ck_assert_msg(seen->saturations == expected.saturations && seen->clips == expected.clips,
                      "section %u: %u saturations, %u clips, not %u, %u", i, seen->saturations,
                      seen->clips, expected.saturations, expected.clips);
        for (int k = 0; k < 3; k++) {
            ck_assert_uint_eq(seen->exponent_max[k], expected.exponent_max[k]);
        }
    }
}

static void open_bench(struct bench *b, uint64_t seed)
{
    memset(b, 0, sizeof *b);
    tp_random_init(&b->random, seed, 1);
    b->dut = tp_dut_open(seed);
    b->machine = tp_machine_create(&limits);
    ck_assert_ptr_nonnull(b->machine);
    b->in_valid = tp_dut_port(b->dut, "in_valid_i");
    b->in_ready = tp_dut_port(b->dut, "in_ready_o");
    b->in_data = tp_dut_port(b->dut, "in_data_i");
    b->out_valid = tp_dut_port(b->dut, "out_valid_o");
    b->out_ready = tp_dut_port(b->dut, "out_ready_i");
    b->out_data = tp_dut_port(b->dut, "out_data_o");
    for (int s = 0; s < SLOTS; s++) {
        b->sessions[s].logits = calloc((size_t)EXPECTED_MAX * VOCAB_MAX, sizeof(int32_t));
        ck_assert_ptr_nonnull(b->sessions[s].logits);
    }
}

static void close_bench(struct bench *b)
{
    for (int s = 0; s < SLOTS; s++) free(b->sessions[s].logits);
    tp_machine_destroy(b->machine);
    tp_dut_close(b->dut);
}

/* READ of a space from an address on, against the machine: a sum, or words. */
static void read_back(struct bench *b, uint32_t space, uint32_t address, uint32_t count, int sum)
{
    static uint8_t bytes[4 * 65536];
    /* The last gain is left out: behind it the norm reads once more, which its rule forbids. */
    uint32_t gains = tp_space_size(&limits, TP_SPACE_GAIN) - 1;
    if (space == TP_SPACE_GAIN && address + count > gains) {
        if (address >= gains) return;
        count = gains - address;
    }
    uint32_t words[2] = {space | (uint32_t)sum << 8 | count << 16, address};
    send(b, TP_FRAME_READ, words, 8);
    wait(b);
    uint32_t size = tp_space_size(&limits, space);
    uint32_t found = 0;
    for (uint32_t at = address; found < count && at < size; at++) {
        uint32_t word;
        if (!tp_machine_read(b->machine, space, at, &word)) continue;
        for (uint32_t i = 0; i < 4; i++) bytes[4 * found + i] = (uint8_t)(word >> (8 * i));
        found++;
    }
    if (!limits.read_back || found < count || !tp_space_has(&limits, space, address)) {
        ck_assert_uint_eq(b->read.type, TP_FRAME_ACK);
        ck_assert_uint_eq(b->read.payload[1], limits.read_back ? TP_ACK_RANGE : TP_ACK_TYPE);
        return;
    }
    ck_assert_uint_eq(b->read.type, TP_FRAME_READ_REPLY);
    ck_assert_uint_eq(b->read.length, sum ? 4 : 4 * count);
    if (sum) {
        ck_assert_msg(get32(b->read.payload) == tp_plain_crc(bytes, 4 * (size_t)count),
                      "space %u from %u, %u words: another sum", space, address, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_msg(get32(b->read.payload + 4 * i) == get32(bytes + 4 * i),
                      "space %u, word %u behind %u: %08x, not %08x", space, i, address,
                      get32(b->read.payload + 4 * i), get32(bytes + 4 * i));
    }
}

/* All words of a space, so that none is what it was at power-up. */
static void fill_space(struct bench *b, uint32_t space)
{
    uint32_t size = tp_space_size(&limits, space);
    for (uint32_t at = 0; at < size; at++) {
        if (tp_space_has(&limits, space, at)) write_word(b, space, at, tp_random_u32(&b->random));
    }
    flush(b);
    wait(b);
}

START_TEST(core_reads_its_memories_back)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i));
    for (uint32_t space = 0; space <= TP_SPACE_FREQUENCY; space++) fill_space(b, space);
    for (uint32_t space = 0; space <= TP_SPACE_FREQUENCY; space++) {
        uint32_t size = tp_space_size(&limits, space);
        for (int i = 0; i < 12; i++) {
            uint32_t count = 1 + below(b, 64);
            uint32_t address = below(b, 4) ? below(b, size) : size - 1 - below(b, 64);
            read_back(b, space, address, count, (int)below(b, 2));
        }
        read_back(b, space, 0, 1 + below(b, 64), 0);
        uint32_t all = 0;
        for (uint32_t at = 0; at < size && all < 1500; at++)
            all += tp_space_has(&limits, space, at);
        read_back(b, space, 0, all, 1);
    }
    /* A model runs as ever behind that, and its memories stay. */
    make_model(b, _i);
    wait(b);
    for (int round = 0; round < 3; round++) {
        open_slot(b, 0);
        start_run(b, 0, 0);
        wait(b);
        for (uint32_t space = 0; space <= TP_SPACE_FREQUENCY; space++) {
            uint32_t address = below(b, tp_space_size(&limits, space));
            read_back(b, space, address, 1 + below(b, 64), (int)below(b, 2));
        }
    }
    close_bench(b);
}
END_TEST

START_TEST(core_equals_the_machine)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i));
    make_model(b, _i);
    for (int round = 0; round < 4; round++) {
        uint32_t run_mask = 0;
        while (run_mask == 0) run_mask = below(b, 1u << SLOTS);
        if (round == 0) run_mask = (1u << SLOTS) - 1;
        uint32_t left = run_mask;
        for (uint32_t s = 0; s < SLOTS; s++) {
            if (!(run_mask >> s & 1)) continue;
            struct session *session = &b->sessions[s];
            if (round == 0 || session->position == session->context || below(b, 4) == 0) {
                open_slot(b, s);
            } else if (below(b, 3) == 0) {
                open_again(b, s);
            }
            left &= ~(1u << s);
            /* Held until the last one, so that all begin in one step; sometimes not. */
            start_run(b, s, left != 0 && below(b, 4) != 0);
        }
        wait(b);
    }
    check_statistics(b);
    /* Which steps were shared is not known here; the sums are. */
    ask_sections(b);
    struct tp_counters counters = tp_machine_counters(b->machine);
    struct tp_counters sums = {0, 0};
    for (uint32_t i = 0; i < TP_SECTIONS; i++) {
        sums.saturations += b->sections[i].saturations;
        sums.clips += b->sections[i].clips;
    }
    ck_assert_uint_eq(sums.saturations, counters.saturations);
    ck_assert_uint_eq(sums.clips, counters.clips);
    close_bench(b);
}
END_TEST

/* Within a step a slot sees the keys and values that lower slots write in it. */
START_TEST(core_shares_a_history_among_slots)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i));
    make_model(b, _i);
    uint32_t pages = SLOTS * b->pages_per_slot;
    uint32_t pages_max = limits.positions_max / TP_PAGE;
    pages = pages < pages_max ? pages : pages_max;
    for (uint32_t i = 0; i < SLOTS * pages; i++) {
        write_word(b, TP_SPACE_PAGE_TABLE, 4096 * (i / pages) + i % pages, i % pages);
    }
    flush(b);
    wait(b);
    for (int round = 0; round < 4; round++) {
        uint32_t mask = (1u << SLOTS) - 1;
        if (round > 0) mask = 3u << below(b, SLOTS - 1) | below(b, 1u << SLOTS);
        uint32_t positions = pages * TP_PAGE;
        uint32_t first = round < 2 ? 0 : below(b, positions - SLOTS + 1);
        uint32_t room = positions - first;
        /* The first one goes over all positions at which ATTENTION may begin to be issued early. */
        share_history(b, mask, first, round == 0 ? room : SLOTS + below(b, room - SLOTS + 1));
    }
    check_statistics(b);
    close_bench(b);
}
END_TEST

START_TEST(core_counts_each_section_of_one_slot)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i));
    make_model(b, _i);
    for (int round = 0; round < 6; round++) {
        uint32_t s = below(b, SLOTS);
        open_slot(b, s);
        start_run(b, s, 0);
        wait(b);
        ask_sections(b);
        check_sections(b);
        if (below(b, 3) == 0) {
            write_word(b, TP_SPACE_REGISTER, TP_REGISTER_SECTIONS_CLEAR, 0);
            flush(b);
            wait(b);
        }
    }
    close_bench(b);
}
END_TEST

/* Each instruction alone: its time to completion. */
START_TEST(core_takes_the_predicted_cycles_for_each_instruction)
{
    struct bench *b = &bench;
    open_bench(b, tp_test_seed(_i));
    make_model(b, _i);
    uint32_t program[PROGRAM_MAX * TP_INSTRUCTION_WORDS];
    uint32_t count = b->program_count - 1;
    memcpy(program, b->program, sizeof program);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(b->program, program + TP_INSTRUCTION_WORDS * i, 4 * TP_INSTRUCTION_WORDS);
        memset(b->program + TP_INSTRUCTION_WORDS, 0, 4 * TP_INSTRUCTION_WORDS);
        b->program[0] &= ~0x20u; /* not part of the logits part */
        b->program_count = 2;
        for (uint32_t w = 0; w < 2 * TP_INSTRUCTION_WORDS; w++) {
            write_word(b, TP_SPACE_PROGRAM, 8 * (w / 6) + w % 6, b->program[w]);
        }
        flush(b);
        struct session *session = &b->sessions[0];
        session->context = limits.positions_max;
        session->position = 1;
        session->reason = TP_REASON_FED;
        session->running = 1;
        uint32_t slot[12] = {0, 0, 0, 0, session->context};
        uint32_t feed[1] = {0};
        uint32_t go[2] = {0, 0};
        send(b, TP_FRAME_SLOT, slot, TP_SLOT_BYTES);
        send(b, TP_FRAME_FEED, feed, 4);
        send(b, TP_FRAME_RUN, go, 8);
        wait(b);
    }
    close_bench(b);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("core");
    TCase *tcase = tcase_create("steps");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, core_reads_its_memories_back, 0, 2);
    tcase_add_loop_test(tcase, core_takes_the_predicted_cycles_for_each_instruction, 0, 2);
    tcase_add_loop_test(tcase, core_counts_each_section_of_one_slot, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, core_equals_the_machine, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("history");
    tcase_set_timeout(tcase, 300);
    if (SLOTS > 1) {
        tcase_add_loop_test(tcase, core_shares_a_history_among_slots, 0, TP_TEST_SEEDS);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

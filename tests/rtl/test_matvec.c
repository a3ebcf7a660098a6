// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_matvec sends the rows of tp_matvec_row and the elements of tp_embed_row, bit for
// bit and in the very cycle that its README states, and frees itself in the stated cycle.
//
// Random commands (one and two planes, all destinations, EMBED) with random shapes, scales and
// alignments, back to back and with gaps; a memory of random beats and blocks answers with a
// latency of two cycles and with noise when nothing was read. Not covered: tp_weights
// (test_weights.c).

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "read_word.h"
#include "tp_map.h"

#include <stdlib.h>
#include <string.h>

enum {
    GROUPS = TP_PARAM_Groups,
    PAIRS = GROUPS > 1 ? GROUPS / 2 : 1,  // of rows, in a row group
    CODEBOOKS = TP_PARAM_Codebooks,
    BLOCK = 32,
    BEATS = 4096,
    SLOTS = 8,
    SOURCES = 3,
    BLOCKS_MAX = 255,
    COMMANDS = 24,
    EVENTS_MAX = 60000,
    WEIGHT_WORDS = (GROUPS * 136 + 31) / 32,
    /* From the acceptance of a command, as rtl/matvec/README.md states. */
    ROW_LATENCY = 19,
    EMBED_LATENCY = 30
};

struct beat {
    uint8_t codes[GROUPS][BLOCK];
    uint8_t scale[GROUPS];
};

struct event {
    uint64_t cycle;
    bool is_row;
    bool last;
    int64_t data[2 * PAIRS];  // rows, or the two elements
};

struct bench {
    struct tp_random random;
    struct tp_dut *dut;
    struct beat memory[BEATS];
    int8_t q[SOURCES][SLOTS][256][BLOCK];
    uint8_t exponent[SOURCES][SLOTS][256];
    uint8_t exponent_max[SLOTS];
    uint8_t scale_max;
    int8_t table[4][16];
    struct event *events;
    uint32_t event_count;
    uint32_t event_next;
    struct tp_counters expected;
    uint64_t saturations;
    uint64_t cycle;
    uint64_t free_at;         // free_o is low until this cycle; UINT64_MAX: until logits_done_i
    uint64_t logits_done_at;  // 0: none under way
    uint32_t read_beat;
    uint32_t pipe_valid[2];
    uint32_t pipe_weight[2][WEIGHT_WORDS];
    uint32_t pipe_block[2][8];
    uint32_t pipe_exponent[2];
};

static struct bench *bench_open(uint64_t seed)
{
    struct bench *bench = calloc(1, sizeof *bench);
    ck_assert_ptr_nonnull(bench);
    bench->events = calloc(EVENTS_MAX, sizeof *bench->events);
    ck_assert_ptr_nonnull(bench->events);
    struct tp_random *random = &bench->random;
    tp_random_init(random, seed, 1);
    static const uint8_t scales[] = {15, 15, 4, 0};
    static const uint8_t exponents[] = {25, 6, 2, 0};
    bench->scale_max = scales[seed % 4];
    for (uint32_t beat = 0; beat < BEATS; beat++) {
        for (uint32_t g = 0; g < GROUPS; g++) {
            // Two beats that follow each other may be the planes of one block: same scale byte.
            bench->memory[beat].scale[g] =
                beat % 2 ? bench->memory[beat - 1].scale[g]
                         : (uint8_t)(tp_random_below(random, bench->scale_max + 1u) << 4 |
                                     tp_random_below(random, 16));
            for (uint32_t i = 0; i < BLOCK; i++) {
                bench->memory[beat].codes[g][i] = (uint8_t)tp_random_below(random, 16);
            }
        }
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) bench->exponent_max[slot] = exponents[slot % 4];
    for (uint32_t i = 0; i < SOURCES * SLOTS * 256u; i++) {
        uint32_t source = i / (SLOTS * 256);
        uint32_t slot = i / 256 % SLOTS;
        uint32_t block = i % 256;
        // An all-zero block may come with any exponent; some blocks are at the limit.
        int limit = tp_random_chance(random, 20) ? 0 : tp_random_chance(random, 40) ? 1 : 127;
        uint32_t most = limit == 0 ? 31 : bench->exponent_max[slot];
        bench->exponent[source][slot][block] = (uint8_t)tp_random_below(random, most + 1);
        for (uint32_t k = 0; k < BLOCK; k++) {
            int value = (int)tp_random_range(random, -limit, limit);
            if (tp_random_chance(random, 30)) value = value < 0 ? -limit : limit;
            bench->q[source][slot][block][k] = (int8_t)value;
        }
    }
    for (uint32_t t = 0; t < CODEBOOKS; t++) {
        for (uint32_t c = 0; c < 16; c++) {
            bench->table[t][c] = (int8_t)tp_random_range(random, -128, 127);
        }
    }
    bench->dut = tp_dut_open(seed);
    return bench;
}

static void bench_close(struct bench *bench)
{
    tp_dut_close(bench->dut);
    free(bench->events);
    free(bench);
}

static void memory_answer(struct bench *bench)
{
    uint32_t noise[WEIGHT_WORDS];
    tp_random_words(&bench->random, noise, WEIGHT_WORDS);
    bool valid = bench->pipe_valid[1] != 0;
    tp_port_set_words(tp_dut_port(bench->dut, "weight_data_i"),
                      valid ? bench->pipe_weight[1] : noise);
    tp_port_set_words(tp_dut_port(bench->dut, "block_data_i"),
                      valid ? bench->pipe_block[1] : noise);
    tp_dut_set(bench->dut, "block_exponent_i", valid ? bench->pipe_exponent[1] : noise[0] % 32);
}

static void memory_read(struct bench *bench)
{
    bench->pipe_valid[1] = bench->pipe_valid[0];
    bench->pipe_exponent[1] = bench->pipe_exponent[0];
    memcpy(bench->pipe_weight[1], bench->pipe_weight[0], sizeof bench->pipe_weight[0]);
    memcpy(bench->pipe_block[1], bench->pipe_block[0], sizeof bench->pipe_block[0]);
    uint64_t weights = tp_dut_get(bench->dut, "weight_read_o");
    uint64_t blocks = tp_dut_get(bench->dut, "read_valid_o");
    bench->pipe_valid[0] = weights != 0;
    ck_assert(!blocks || weights);
    if (!weights) return;
    ck_assert_uint_eq(tp_dut_get(bench->dut, "weight_read_o"), (1 << GROUPS) - 1);
    uint32_t words[(GROUPS * 24 + 31) / 32];
    tp_port_get_words(tp_dut_port(bench->dut, "weight_address_o"), words);
    const uint8_t *copy = (const uint8_t *)words;
    uint32_t address = (uint32_t)(copy[0] | copy[1] << 8 | copy[2] << 16);
    for (uint32_t g = 1; g < GROUPS; g++) ck_assert_mem_eq(copy + 3 * g, copy, 3);
    ck_assert_uint_lt(address, BEATS);
    const struct beat *beat = &bench->memory[address];
    memset(bench->pipe_weight[0], 0, sizeof bench->pipe_weight[0]);
    uint8_t *bytes = (uint8_t *)bench->pipe_weight[0];
    for (uint32_t g = 0; g < GROUPS; g++) {
        for (uint32_t i = 0; i < BLOCK / 2; i++) {
            bytes[17 * g + i] = (uint8_t)(beat->codes[g][2 * i] | beat->codes[g][2 * i + 1] << 4);
        }
        bytes[17 * g + 16] = beat->scale[g];
    }
    if (!blocks) return;
    uint64_t source = tp_dut_get(bench->dut, "block_source_o");
    uint64_t slot = tp_dut_get(bench->dut, "block_slot_o");
    uint64_t index = tp_dut_get(bench->dut, "block_index_o");
    // An EMBED reads no blocks; its source field is what the bits of the instruction happen to be.
    if (source >= SOURCES) source = 0;
    memcpy(bench->pipe_block[0], bench->q[source][slot][index], BLOCK);
    bench->pipe_exponent[0] = bench->exponent[source][slot][index];
}

static void check_outputs(struct bench *bench)
{
    const struct event *event = NULL;
    if (bench->event_next < bench->event_count &&
        bench->events[bench->event_next].cycle == bench->cycle) {
        event = &bench->events[bench->event_next++];
    }
    bool row = tp_dut_get(bench->dut, "row_valid_o") != 0;
    bool embed = tp_dut_get(bench->dut, "embed_valid_o") != 0;
    bench->saturations += tp_dut_get(bench->dut, "saturations_o");
    ck_assert_msg(row == (event != NULL && event->is_row), "row_valid_o in cycle %llu",
                  (unsigned long long)bench->cycle);
    ck_assert_msg(embed == (event != NULL && !event->is_row), "embed_valid_o in cycle %llu",
                  (unsigned long long)bench->cycle);
    if (row) {
        uint32_t words[(GROUPS * 40 + 31) / 32];
        tp_port_get_words(tp_dut_port(bench->dut, "row_data_o"), words);
        const uint8_t *bytes = (const uint8_t *)words;
        for (uint32_t g = 0; g < GROUPS; g++) {
            uint64_t value = 0;
            for (uint32_t i = 0; i < 5; i++) value |= (uint64_t)bytes[5 * g + i] << 8 * i;
            ck_assert_int_eq((int64_t)(value << 24) >> 24, event->data[g]);
        }
        ck_assert_int_eq((int)tp_dut_get(bench->dut, "row_last_o"), event->last);
    }
    if (embed) {
        uint64_t data = tp_dut_get(bench->dut, "embed_data_o");
        ck_assert_int_eq((int32_t)(uint32_t)data, event->data[0]);
        ck_assert_int_eq((int32_t)(uint32_t)(data >> 32), event->data[1]);
        ck_assert_int_eq((int)tp_dut_get(bench->dut, "embed_last_o"), event->last);
    }
}

// One cycle, with the command inputs as the caller set them.
static void cycle(struct bench *bench)
{
    bool done = bench->logits_done_at != 0 && bench->cycle == bench->logits_done_at;
    tp_dut_set(bench->dut, "logits_done_i", done);
    memory_answer(bench);
    tp_dut_settle(bench->dut);
    check_outputs(bench);
    bool accepted = tp_dut_get(bench->dut, "cmd_valid_i") != 0;
    ck_assert_msg((tp_dut_get(bench->dut, "free_o") != 0) ==
                      (bench->cycle >= bench->free_at || accepted),
                  "free_o in cycle %llu, expected from %llu on", (unsigned long long)bench->cycle,
                  (unsigned long long)bench->free_at);
    memory_read(bench);
    tp_dut_tick(bench->dut);
    if (done) {
        bench->free_at = bench->cycle + 1;
        bench->logits_done_at = 0;
    }
    bench->cycle++;
}

static void cfg(struct bench *bench, uint32_t space, uint32_t address, uint32_t data)
{
    tp_dut_set(bench->dut, "cfg_valid_i", 1);
    tp_dut_set(bench->dut, "cfg_space_i", space);
    tp_dut_set(bench->dut, "cfg_address_i", address);
    tp_dut_set(bench->dut, "cfg_data_i", data);
    cycle(bench);
}

static void write_codebooks(struct bench *bench)
{
    // Words of another space come first, between and after, and must leave no trace.
    for (uint32_t i = 0; i < 16 * CODEBOOKS; i++) {
        uint32_t word = (uint32_t)bench->table[i / 16][i % 16];
        cfg(bench, TP_SPACE_GAIN, i, ~word);
        cfg(bench, TP_SPACE_CODEBOOK, i, word);
        if (tp_random_chance(&bench->random, 128)) cfg(bench, TP_SPACE_GAIN, i, ~word);
    }
    tp_dut_set(bench->dut, "cfg_valid_i", 0);
    cycle(bench);
}

// Weights of one row of a group as int8; the beats of block b begin at beats[b].
static void decode(const struct bench *bench, const uint32_t *beats, uint32_t group,
                   uint32_t blocks, uint32_t planes, uint32_t codebook, int8_t *codes,
                   uint8_t *scales)
{
    for (uint32_t block = 0; block < blocks; block++) {
        const struct beat *high = &bench->memory[beats[block]];
        const struct beat *low = high + planes;
        scales[block] = low->scale[group];
        for (uint32_t i = 0; i < BLOCK; i++) {
            int value = bench->table[codebook][high->codes[group][i]];
            if (planes) {
                int upper = high->codes[group][i];
                value = 16 * (upper < 8 ? upper : upper - 16) + low->codes[group][i];
            }
            codes[BLOCK * block + i] = (int8_t)value;
        }
    }
}

static struct event *event_add(struct bench *bench, uint64_t at, bool is_row, bool last)
{
    ck_assert_uint_lt(bench->event_count, EVENTS_MAX);
    struct event *event = &bench->events[bench->event_count++];
    event->cycle = at;
    event->is_row = is_row;
    event->last = last;
    return event;
}

static uint32_t log2_ceil(uint32_t n)
{
    return (uint32_t)tp_bits(n - 1);
}

static void send(struct bench *bench, const uint32_t *instruction, bool fast, uint32_t slot,
                 uint32_t token)
{
    // fast, slot, position, token, instruction: the first member of the packed struct is the
    // highest.
    uint64_t head = (uint64_t)fast << 35 | (uint64_t)slot << 32 |
                    (uint64_t)tp_random_below(&bench->random, 65536) << 16 | token;
    uint32_t words[8];
    memcpy(words, instruction, 24);
    words[6] = (uint32_t)head;
    words[7] = (uint32_t)(head >> 32);
    tp_port_set_words(tp_dut_port(bench->dut, "cmd_i"), words);
    tp_dut_set(bench->dut, "cmd_valid_i", 1);
    cycle(bench);
    tp_dut_set(bench->dut, "cmd_valid_i", 0);
    tp_random_words(&bench->random, words, 8);
    tp_port_set_words(tp_dut_port(bench->dut, "cmd_i"), words);
}

static uint32_t random_blocks(struct tp_random *random)
{
    if (tp_random_chance(random, 20)) return BLOCKS_MAX - tp_random_below(random, 10);
    return 1 + tp_random_below(random, tp_random_chance(random, 100) ? 2 : 7);
}

// Where the beats of row group r lie: those of a block-major matrix in the order of the passes.
static void find_beats(const struct tp_op_matvec *op, uint32_t r, uint32_t *beats)
{
    const struct tp_matrix_order order = {.groups = GROUPS,
                                          .row_groups = op->rows / GROUPS,
                                          .blocks = op->blocks,
                                          .planes = op->planes + 1,
                                          .block_major = op->order != 0};
    for (uint32_t block = 0; block < op->blocks; block++) {
        beats[block] = op->weight_base + tp_matrix_beat(&order, r, block);
    }
}

static void expect_rows(struct bench *bench, const struct tp_op_matvec *op, bool fast,
                        uint32_t slot)
{
    static int8_t codes[BLOCKS_MAX * BLOCK];
    static uint8_t scales[BLOCKS_MAX];
    uint32_t beats = op->blocks * (op->planes + 1);
    uint32_t least = op->dest == TP_DEST_LOGITS && !fast ? GROUPS : PAIRS;
    uint32_t interval = beats > least ? beats : least;
    uint32_t row_groups = op->rows / GROUPS;
    uint64_t first = bench->cycle + ROW_LATENCY + beats;
    if (op->order != 0) {
        // All rows leave in the last pass, Groups / 2 cycles apart; with two planes at least two.
        uint32_t last_pass = PAIRS > op->planes + 1 ? PAIRS : op->planes + 1;
        first = bench->cycle + ROW_LATENCY + row_groups * (beats - last_pass) + last_pass;
        interval = last_pass;
    }
    for (uint32_t r = 0; r < row_groups; r++) {
        uint32_t places[BLOCKS_MAX];
        find_beats(op, r, places);
        struct event *event =
            event_add(bench, first + (uint64_t)r * interval, true, r + 1 == row_groups);
        for (uint32_t g = 0; g < GROUPS; g++) {
            decode(bench, places, g, op->blocks, op->planes, op->codebook, codes, scales);
            event->data[g] =
                tp_matvec_row(codes, scales, bench->q[op->source][slot][0],
                              bench->exponent[op->source][slot], op->blocks, (int)op->align);
        }
    }
    bench->free_at = bench->cycle + row_groups * (uint64_t)(op->order != 0 ? beats : interval);
    if (op->dest == TP_DEST_LOGITS) {
        bench->free_at = UINT64_MAX;
        bench->logits_done_at =
            first + (uint64_t)(row_groups - 1) * interval + 1 + tp_random_below(&bench->random, 40);
    }
}

static void send_matvec(struct bench *bench)
{
    struct tp_random *random = &bench->random;
    struct tp_op_matvec op;
    uint32_t words[TP_INSTRUCTION_WORDS];
    tp_random_words(random, words, TP_INSTRUCTION_WORDS);
    tp_matvec_unpack(words, &op);
    uint32_t slot = tp_random_below(random, SLOTS);
    op.opcode = TP_OP_MATVEC;
    op.dest = tp_random_below(random, 6);
    op.source = tp_random_below(random, SOURCES);
    op.planes = tp_random_below(random, 2);
    op.codebook = tp_random_below(random, CODEBOOKS);
    op.blocks = random_blocks(random);
    uint32_t beats = op.blocks * (op.planes + 1);
    uint32_t row_groups = 2 + tp_random_below(random, beats > 300 ? 4 : 15);
    op.order = op.dest != TP_DEST_LOGITS && row_groups >= 4 &&
               op.blocks > tp_matrix_last_blocks(GROUPS, op.planes + 1) &&
               tp_random_chance(random, 180);
    op.rows = row_groups * GROUPS;
    op.weight_base = 2 * tp_random_below(random, (BEATS - row_groups * beats) / 2);
    // The smallest alignment that cannot overflow, up to one that shifts everything out.
    uint32_t least = bench->scale_max + (uint32_t)bench->exponent_max[slot] + log2_ceil(op.blocks);
    uint32_t most = least + 40 < 63 ? least + 40 : 63;
    op.align =
        tp_random_chance(random, 64) ? least : (uint32_t)tp_random_range(random, least, most);
    tp_matvec_pack(&op, words);
    bool fast = tp_random_chance(random, 128);
    expect_rows(bench, &op, fast, slot);
    send(bench, words, fast, slot, tp_random_below(random, 65536));
}

static void send_embed(struct bench *bench)
{
    static int8_t codes[BLOCKS_MAX * BLOCK];
    static uint8_t scales[BLOCKS_MAX];
    static int32_t x[BLOCKS_MAX * BLOCK];
    struct tp_random *random = &bench->random;
    struct tp_op_embed op;
    uint32_t words[TP_INSTRUCTION_WORDS];
    tp_random_words(random, words, TP_INSTRUCTION_WORDS);
    tp_embed_unpack(words, &op);
    op.opcode = TP_OP_EMBED;
    op.planes = tp_random_below(random, 2);
    op.codebook = tp_random_below(random, CODEBOOKS);
    op.blocks = random_blocks(random);
    op.shift = tp_random_chance(random, 30) ? (int32_t)tp_random_range(random, -128, 127)
                                            : (int32_t)tp_random_range(random, -25, 30);
    uint32_t beats = op.blocks * (op.planes + 1);
    uint32_t row = tp_random_below(random, BEATS / beats / 2);
    uint32_t token = row * GROUPS + tp_random_below(random, GROUPS);
    op.weight_base = 2 * tp_random_below(random, (BEATS - (row + 1) * beats) / 2);
    // Both planes of a block carry its scale byte: in the memory those are pairs of beats.
    uint32_t places[BLOCKS_MAX] = {0};
    for (uint32_t block = 0; block < op.blocks; block++) {
        places[block] = op.weight_base + row * beats + block * (op.planes + 1);
    }
    decode(bench, places, token % GROUPS, op.blocks, op.planes, op.codebook, codes, scales);
    tp_embed_row(codes, scales, op.blocks, op.shift, x, &bench->expected);
    for (uint32_t pair = 0; pair < 16 * op.blocks; pair++) {
        struct event *event = event_add(bench, bench->cycle + EMBED_LATENCY + pair, false,
                                        pair + 1 == 16 * op.blocks);
        event->data[0] = x[2 * pair];
        event->data[1] = x[2 * pair + 1];
    }
    bench->free_at = bench->cycle + 16 * (op.blocks + 1);
    tp_embed_pack(&op, words);
    send(bench, words, tp_random_chance(random, 128), tp_random_below(random, SLOTS), token);
}

static void run(uint64_t seed, bool gaps)
{
    struct bench *bench = bench_open(seed);
    tp_dut_set(bench->dut, "cmd_valid_i", 0);
    // After reset the unit shows that it is free one cycle later.
    bench->free_at = tp_dut_get(bench->dut, "free_o") ? 0 : 1;
    write_codebooks(bench);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        while (bench->cycle < bench->free_at) cycle(bench);
        for (uint32_t wait = gaps ? tp_random_below(&bench->random, 40) : 0; wait > 0; wait--) {
            cycle(bench);
        }
        if (tp_random_chance(&bench->random, 90)) {
            send_embed(bench);
        } else {
            send_matvec(bench);
        }
    }
    while (bench->cycle < bench->free_at) cycle(bench);
    for (uint32_t i = 0; i < 100; i++) cycle(bench);
    ck_assert_uint_eq(bench->event_next, bench->event_count);
    ck_assert_uint_eq(bench->saturations, bench->expected.saturations);
    bench_close(bench);
}

START_TEST(matvec_equals_model_back_to_back)
{
    run(tp_test_seed(_i), false);
}
END_TEST

START_TEST(matvec_equals_model_with_gaps)
{
    run(tp_test_seed(_i), true);
}
END_TEST

START_TEST(matvec_reset_in_the_middle_leaves_no_trace)
{
    struct bench *bench = bench_open(tp_test_seed(_i));
    tp_dut_set(bench->dut, "cmd_valid_i", 0);
    bench->free_at = tp_dut_get(bench->dut, "free_o") ? 0 : 1;
    write_codebooks(bench);
    for (uint32_t i = 0; i < 4; i++) {
        if (i % 2) {
            send_embed(bench);
        } else {
            send_matvec(bench);
        }
        for (uint32_t wait = tp_random_below(&bench->random, 40); wait > 0; wait--) cycle(bench);
        tp_dut_reset(bench->dut, 4);
        bench->event_next = bench->event_count;
        bench->logits_done_at = 0;
        bench->pipe_valid[0] = bench->pipe_valid[1] = 0;
        bench->free_at = bench->cycle + !tp_dut_get(bench->dut, "free_o");
        for (uint32_t wait = 0; wait < 60; wait++) cycle(bench);
    }
    bench_close(bench);
}
END_TEST

// The command points to the beat two cycles after the read began.
static void read_cycle(void *user, uint32_t number)
{
    struct bench *bench = user;
    uint32_t instruction[8];
    tp_random_words(&bench->random, instruction, 8);
    struct tp_op_matvec op = {.weight_base = bench->read_beat};
    if (number >= 2) tp_matvec_pack(&op, instruction);
    tp_port_set_words(tp_dut_port(bench->dut, "cmd_i"), instruction);
    cycle(bench);
}

static uint32_t word_of(const struct beat *beat, uint32_t lane)
{
    uint32_t scale_lanes = (GROUPS + 3) / 4;
    uint32_t word = 0;
    if (lane < scale_lanes) {
        for (uint32_t g = 4 * lane; g < GROUPS && g < 4 * lane + 4; g++) {
            word |= (uint32_t)beat->scale[g] << 8 * (g % 4);
        }
        return word;
    }
    const uint8_t *codes = beat->codes[(lane - scale_lanes) / 4];
    for (uint32_t i = 0; i < 8; i++)
        word |= (uint32_t)codes[8 * ((lane - scale_lanes) % 4) + i] << 4 * i;
    return word;
}

START_TEST(matvec_reads_words_of_weights_back)
{
    struct bench *bench = bench_open(tp_test_seed(_i));
    tp_dut_set(bench->dut, "cmd_valid_i", 0);
    bench->free_at = tp_dut_get(bench->dut, "free_o") ? 0 : 1;
    write_codebooks(bench);
    for (uint32_t i = 0; i < 60; i++) {
        if (i % 20 == 10) {
            send_embed(bench);
            for (uint32_t wait = 0; wait < 20000 && bench->event_next < bench->event_count; wait++)
                cycle(bench);
            for (uint32_t wait = 0; wait < 60; wait++) cycle(bench);
        }
        uint32_t lane = i < 40 ? i % (4 * GROUPS + (GROUPS + 3) / 4) : i % 2;
        bench->read_beat = tp_random_below(&bench->random, BEATS);
        uint32_t word = tp_read_word(bench->dut, TP_SPACE_WEIGHT, bench->read_beat * 64 + lane,
                                     read_cycle, bench);
        ck_assert_uint_eq(word, word_of(&bench->memory[bench->read_beat], lane));
        for (uint32_t wait = 0; wait < 4; wait++) cycle(bench);
        // Other spaces read 0 here.
        word = tp_read_word(bench->dut, TP_SPACE_GAIN, lane, read_cycle, bench);
        ck_assert_uint_eq(word, 0);
    }
    bench_close(bench);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("matvec");
    TCase *tcase = tcase_create("commands");
    tcase_add_loop_test(tcase, matvec_equals_model_back_to_back, 0, 2 * TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, matvec_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, matvec_reads_words_of_weights_back, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, matvec_reset_in_the_middle_leaves_no_trace, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The instruction interpreter of the golden model. One function per opcode, in program order.
 */
#include "machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tp_map.h"

#define FREQUENCIES 64u
#define SOURCES     3u
#define CODEBOOKS   4u
#define GROUPS_MAX  8u

/* One decoded instruction. codes and scales are the matrix of a MATVEC, unpacked. */
struct instruction {
    uint32_t opcode;
    struct tp_op_any any;
    struct tp_op_embed embed;
    struct tp_op_matvec matvec;
    struct tp_op_angles angles;
    struct tp_op_attention attention;
    int8_t *codes;   /* [rows][blocks][32] */
    uint8_t *scales; /* [rows][blocks] */
    uint32_t exponent_max;
};

/* What one slot keeps between instructions of a step. */
struct slot_state {
    int32_t *x;                        /* [dim_max] */
    int8_t *block_data[SOURCES];       /* [blocks][32] */
    uint8_t *block_exponents[SOURCES]; /* [blocks] */
    int8_t *query;                     /* [query_max] */
    uint8_t *query_exponents;          /* [query_max / 32][4] */
    int8_t *key;                       /* [query_max], held until the values come */
    uint8_t *key_exponents;            /* [query_max / 32][4], relative to the base */
    int32_t cosine[FREQUENCIES];
    int32_t sine[FREQUENCIES];
    struct tp_norm_factor factor;
};

struct tp_machine {
    struct tp_limits limits;
    uint32_t lanes;       /* 32-bit words of a weight beat: */
    uint32_t scale_lanes; /* scales first, then four of codes for each group */
    uint32_t held_scales[GROUPS_MAX / 4];
    uint32_t *weights;
    uint32_t *program;
    int16_t *gains;
    int32_t *bias;
    int32_t *centre;
    uint32_t frequency[FREQUENCIES];
    int8_t codebook[CODEBOOKS][16];
    uint16_t *pages; /* [slots][positions_max / 16] */
    uint32_t kv_stride;
    uint64_t norm_epsilon; /* C of all norms */
    uint32_t x_blocks;     /* of x, by the instructions prepared so far; 0 when none wrote it */
    uint32_t x_rows;       /* the same of RESIDUAL */
    struct tp_kv_memory kv;
    struct slot_state *slots;
    int32_t *row; /* one vector of the longest kind */
    uint32_t vector_max;
    struct instruction *instructions;
    uint32_t instruction_count;
    struct tp_counters counters;
    struct tp_section sections[TP_SECTIONS];
    uint32_t section; /* of the present instruction */
    bool shared;
};

static uint32_t blocks_of(const struct tp_machine *m, uint32_t source)
{
    const uint32_t elements[SOURCES] = {m->limits.dim_max, m->limits.query_max,
                                        m->limits.hidden_max};
    return elements[source] / TP_BLOCK;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool create_slot(const struct tp_machine *m, struct slot_state *slot)
{
    slot->x = calloc(m->limits.dim_max, sizeof *slot->x);
    slot->query = calloc(m->limits.query_max, 1);
    slot->query_exponents = calloc(m->limits.query_max / TP_BLOCK, 4);
    slot->key = calloc(m->limits.query_max, 1);
    slot->key_exponents = calloc(m->limits.query_max / TP_BLOCK, 4);
    bool ok = slot->x && slot->query && slot->query_exponents && slot->key && slot->key_exponents;
    for (uint32_t s = 0; s < SOURCES; s++) {
        slot->block_data[s] = calloc(blocks_of(m, s), TP_BLOCK);
        slot->block_exponents[s] = calloc(blocks_of(m, s), 1);
        ok = ok && slot->block_data[s] && slot->block_exponents[s];
    }
    return ok;
}

/* ---- spaces ---- */

/* Words of a space lie in rows of a power of two of addresses, the first `words` of each with a
 * memory behind; `rows` of them. */
struct space_shape {
    uint32_t row;
    uint32_t words;
    uint32_t rows;
};

static struct space_shape shape_of(const struct tp_limits *l, uint32_t space)
{
    switch (space) {
    case TP_SPACE_WEIGHT:
        return (struct space_shape){64, tp_scale_lanes(l->groups) + 4 * l->groups, l->weight_beats};
    case TP_SPACE_PROGRAM:
        return (struct space_shape){8, TP_INSTRUCTION_WORDS, l->program_max};
    case TP_SPACE_GAIN:
        return (struct space_shape){2, 2, l->gain_quads};
    case TP_SPACE_BIAS:
    case TP_SPACE_CENTRE:
        return (struct space_shape){2, 2, l->constant_pairs};
    case TP_SPACE_FREQUENCY:
        return (struct space_shape){1, 1, FREQUENCIES};
    case TP_SPACE_CODEBOOK:
        return (struct space_shape){16, 16, l->codebooks};
    case TP_SPACE_PAGE_TABLE:
        return (struct space_shape){4096, 4096, l->slots};
    case TP_SPACE_REGISTER:
        return (struct space_shape){1, 1, 4};
    default:
        return (struct space_shape){1, 1, 0};
    }
}

uint32_t tp_space_size(const struct tp_limits *limits, uint32_t space)
{
    struct space_shape shape = shape_of(limits, space);
    return shape.row * shape.rows;
}

uint32_t tp_space_together(const struct tp_limits *limits, uint32_t space)
{
    struct space_shape shape = shape_of(limits, space);
    return shape.words < shape.row ? shape.words : 1;
}

bool tp_space_has(const struct tp_limits *limits, uint32_t space, uint32_t address)
{
    struct space_shape shape = shape_of(limits, space);
    return address / shape.row < shape.rows && address % shape.row < shape.words;
}

uint32_t tp_space_next(const struct tp_limits *limits, uint32_t space, uint32_t address)
{
    struct space_shape shape = shape_of(limits, space);
    return address + (address % shape.row == shape.words - 1 ? shape.row - shape.words + 1 : 1);
}

struct tp_machine *tp_machine_create(const struct tp_limits *limits)
{
    const struct tp_limits *l = limits;
    if (l->groups == 0 || l->groups > GROUPS_MAX || l->slots == 0 || l->slots > TP_SLOTS_MAX ||
        l->dim_max == 0 || l->dim_max % TP_BLOCK != 0 || l->query_max == 0 ||
        l->query_max % TP_BLOCK != 0 || l->hidden_max == 0 || l->hidden_max % TP_BLOCK != 0 ||
        l->positions_max % TP_PAGE != 0 || l->positions_max == 0 || l->kv_rows == 0 ||
        l->weight_beats == 0 || l->program_max == 0 || l->vocab_max == 0 || l->head_log2_max < 3 ||
        l->head_log2_max > 7 ||
        (l->attention_lanes != 64 && l->attention_lanes != 32 &&
         (l->attention_lanes != 16 || l->head_log2_max > 4))) {
        return NULL;
    }
    struct tp_machine *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->limits = *l;
    m->scale_lanes = tp_scale_lanes(l->groups);
    m->lanes = m->scale_lanes + 4 * l->groups;
    m->vector_max = larger(larger(l->dim_max, l->query_max), 2 * l->hidden_max);
    m->weights = calloc((size_t)l->weight_beats * m->lanes, sizeof *m->weights);
    m->program = calloc((size_t)l->program_max * TP_INSTRUCTION_WORDS, sizeof *m->program);
    m->gains = calloc((size_t)l->gain_quads * 4 + 4, sizeof *m->gains);
    m->bias = calloc((size_t)l->constant_pairs * 2 + 2, sizeof *m->bias);
    m->centre = calloc((size_t)l->constant_pairs * 2 + 2, sizeof *m->centre);
    m->pages = calloc((size_t)l->slots * (l->positions_max / TP_PAGE), sizeof *m->pages);
    m->kv.rows = l->kv_rows;
    m->kv.key = calloc(l->kv_rows, TP_BLOCK);
    m->kv.value = calloc(l->kv_rows, TP_BLOCK);
    m->kv.exponents = calloc(l->kv_rows, 4);
    m->row = calloc(m->vector_max, sizeof *m->row);
    m->instructions = calloc(l->program_max, sizeof *m->instructions);
    m->slots = calloc(l->slots, sizeof *m->slots);
    bool ok = m->weights && m->program && m->gains && m->bias && m->centre && m->pages &&
              m->kv.key && m->kv.value && m->kv.exponents && m->row && m->instructions && m->slots;
    for (uint32_t s = 0; ok && s < l->slots; s++) {
        ok = create_slot(m, &m->slots[s]);
    }
    if (!ok) {
        tp_machine_destroy(m);
        return NULL;
    }
    return m;
}

static void drop_instructions(struct tp_machine *m)
{
    for (uint32_t i = 0; i < m->instruction_count; i++) {
        free(m->instructions[i].codes);
        free(m->instructions[i].scales);
        m->instructions[i].codes = NULL;
        m->instructions[i].scales = NULL;
    }
    m->instruction_count = 0;
}

void tp_machine_destroy(struct tp_machine *machine)
{
    struct tp_machine *m = machine;
    if (m == NULL) {
        return;
    }
    drop_instructions(m);
    for (uint32_t s = 0; m->slots != NULL && s < m->limits.slots; s++) {
        struct slot_state *slot = &m->slots[s];
        free(slot->x);
        free(slot->query);
        free(slot->query_exponents);
        free(slot->key);
        free(slot->key_exponents);
        for (uint32_t i = 0; i < SOURCES; i++) {
            free(slot->block_data[i]);
            free(slot->block_exponents[i]);
        }
    }
    free(m->weights);
    free(m->program);
    free(m->gains);
    free(m->bias);
    free(m->centre);
    free(m->pages);
    free(m->kv.key);
    free(m->kv.value);
    free(m->kv.exponents);
    free(m->row);
    free(m->instructions);
    free(m->slots);
    free(m);
}

/* A word of codes takes its two scale bits of the scale word that was written last. */
static void write_weight(struct tp_machine *m, uint32_t beat, uint32_t lane, uint32_t data)
{
    uint32_t *words = m->weights + (size_t)beat * m->lanes;
    if (lane < m->scale_lanes) {
        m->held_scales[lane] = data;
        return;
    }
    uint32_t group = (lane - m->scale_lanes) / 4;
    uint32_t bits = 3u << (8 * (group % 4) + 2 * ((lane - m->scale_lanes) % 4));
    words[lane] = data;
    words[group / 4] = (words[group / 4] & ~bits) | (m->held_scales[group / 4] & bits);
}

static bool write_word(struct tp_machine *m, uint32_t space, uint32_t address, uint32_t data)
{
    const struct tp_limits *l = &m->limits;
    if (!tp_space_has(l, space, address)) {
        return false;
    }
    switch (space) {
    case TP_SPACE_WEIGHT:
        write_weight(m, address / 64, address % 64, data);
        break;
    case TP_SPACE_PROGRAM:
        m->program[(size_t)(address / 8) * TP_INSTRUCTION_WORDS + address % 8] = data;
        break;
    case TP_SPACE_GAIN:
        m->gains[2 * (size_t)address] = (int16_t)(uint16_t)data;
        m->gains[2 * (size_t)address + 1] = (int16_t)(uint16_t)(data >> 16);
        return true;
    case TP_SPACE_BIAS:
    case TP_SPACE_CENTRE:
        (space == TP_SPACE_BIAS ? m->bias : m->centre)[address] = (int32_t)data;
        return true;
    case TP_SPACE_FREQUENCY:
        m->frequency[address] = data;
        return true;
    case TP_SPACE_CODEBOOK:
        if (address / 16 >= CODEBOOKS) {
            return false;
        }
        m->codebook[address / 16][address % 16] = (int8_t)(uint8_t)data;
        break;
    case TP_SPACE_PAGE_TABLE:
        if (address % 4096 >= l->positions_max / TP_PAGE || data >= l->kv_rows / TP_PAGE) {
            return false;
        }
        m->pages[(size_t)(address / 4096) * (l->positions_max / TP_PAGE) + address % 4096] =
            (uint16_t)data;
        return true;
    case TP_SPACE_REGISTER:
        if (address == TP_REGISTER_SECTIONS_CLEAR) {
            memset(m->sections, 0, sizeof m->sections);
            return true;
        }
        if (address == TP_REGISTER_NORM_EPSILON) {
            m->norm_epsilon = m->norm_epsilon >> 32 << 32 | data;
            return true;
        }
        if (address == TP_REGISTER_NORM_EPSILON_HIGH) {
            m->norm_epsilon = (uint64_t)(data & 0xffff) << 32 | (uint32_t)m->norm_epsilon;
            return true;
        }
        m->kv_stride = data;
        break;
    default:
        return false;
    }
    drop_instructions(m); /* the decoded form of the program is stale now */
    return true;
}

bool tp_machine_write(struct tp_machine *machine, uint32_t space, uint32_t address,
                      const uint32_t *words, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        all = write_word(machine, space, address, words[i]) && all;
        address = tp_space_next(&machine->limits, space, address);
    }
    return all;
}

bool tp_machine_read(const struct tp_machine *machine, uint32_t space, uint32_t address,
                     uint32_t *word)
{
    const struct tp_machine *m = machine;
    if (!tp_space_has(&m->limits, space, address)) {
        return false;
    }
    switch (space) {
    case TP_SPACE_WEIGHT:
        *word = m->weights[(size_t)(address / 64) * m->lanes + address % 64];
        return true;
    case TP_SPACE_PROGRAM:
        *word = m->program[(size_t)(address / 8) * TP_INSTRUCTION_WORDS + address % 8];
        return true;
    case TP_SPACE_GAIN:
        *word = (uint32_t)(uint16_t)m->gains[2 * (size_t)address] |
                (uint32_t)(uint16_t)m->gains[2 * (size_t)address + 1] << 16;
        return true;
    case TP_SPACE_BIAS:
    case TP_SPACE_CENTRE:
        *word = (uint32_t)(space == TP_SPACE_BIAS ? m->bias : m->centre)[address];
        return true;
    case TP_SPACE_FREQUENCY:
        *word = m->frequency[address];
        return true;
    default:
        return false;
    }
}

/* ---- preparation ---- */

/* Codes of one block of a row as signed values, and its scale byte. */
static uint8_t read_block(const struct tp_machine *m, uint32_t base,
                          const struct tp_matrix_order *order, uint32_t codebook, uint32_t row,
                          uint32_t block, int8_t codes[TP_BLOCK])
{
    uint32_t group = row % m->limits.groups;
    size_t beat = base + (size_t)tp_matrix_beat(order, row / m->limits.groups, block);
    const uint32_t *high = m->weights + beat * m->lanes;
    const uint32_t *low = order->planes == 2 ? high + m->lanes : high;
    for (uint32_t i = 0; i < TP_BLOCK; i++) {
        uint32_t word = m->scale_lanes + 4 * group + i / 8;
        uint32_t first = (high[word] >> (4 * (i % 8))) & 15u;
        uint32_t second = (low[word] >> (4 * (i % 8))) & 15u;
        if (order->planes == 2) {
            int32_t signed_high = (int32_t)(first ^ 8u) - 8;
            codes[i] = (int8_t)(16 * signed_high + (int32_t)second);
        } else {
            codes[i] = m->codebook[codebook][first];
        }
    }
    /* Both planes carry the scale; the last beat of the block is the one that is used. */
    return (uint8_t)(low[group / 4] >> (8 * (group % 4)));
}

/* True when the beats of `rows` rows lie inside the weight memory. */
static bool weights_fit(const struct tp_machine *m, uint32_t base, uint32_t rows, uint32_t blocks,
                        uint32_t planes)
{
    uint64_t groups = (rows + m->limits.groups - 1) / m->limits.groups;
    return base + groups * blocks * (planes + 1) <= m->limits.weight_beats;
}

static struct tp_matrix_order order_of(const struct tp_machine *m, const struct tp_op_matvec *op)
{
    return (struct tp_matrix_order){.groups = m->limits.groups,
                                    .row_groups = op->rows / m->limits.groups,
                                    .blocks = op->blocks,
                                    .planes = op->planes + 1,
                                    .block_major = op->order != 0};
}

/* The sums of a row group must be kept before its next block comes, 4 row groups later at least. */
static bool order_is_possible(const struct tp_machine *m, const struct tp_op_matvec *op)
{
    uint32_t row_groups = op->rows / m->limits.groups;
    return op->order == 0 ||
           (op->dest != TP_DEST_LOGITS && row_groups >= 4 && row_groups <= TP_ACCUMULATORS &&
            op->blocks > tp_matrix_last_blocks(m->limits.groups, op->planes + 1));
}

/* True when x has the size that the instructions before have given it. rows: 0 for EMBED. */
static bool same_x(struct tp_machine *m, uint32_t blocks, uint32_t rows)
{
    bool same = (m->x_blocks == 0 || m->x_blocks == blocks) &&
                (m->x_rows == 0 || rows == 0 || m->x_rows == rows);
    m->x_blocks = blocks;
    m->x_rows = rows != 0 ? rows : m->x_rows;
    return same;
}

static bool prepare_matvec(struct tp_machine *m, struct instruction *in, bool *no_memory)
{
    const struct tp_op_matvec *op = &in->matvec;
    const struct tp_limits *l = &m->limits;
    bool head = op->dest == TP_DEST_QUERY || op->dest == TP_DEST_KEY || op->dest == TP_DEST_VALUE;
    if (op->dest > TP_DEST_LOGITS || op->source >= SOURCES || op->blocks == 0 || op->rows == 0 ||
        op->blocks > blocks_of(m, op->source) || op->rows % l->groups != 0 || op->rows % 2 != 0 ||
        !weights_fit(m, op->weight_base, op->rows, op->blocks, op->planes) ||
        (op->planes == 0 && op->codebook >= l->codebooks) || op->align < 15 ||
        !order_is_possible(m, op)) {
        return false;
    }
    if ((op->bias != 0 || op->centre != 0) &&
        op->constant_base + op->rows / 2 > l->constant_pairs) {
        return false;
    }
    if (head && (op->rows % TP_BLOCK != 0 || op->rows > l->query_max || op->head_log2 < 3 ||
                 op->head_log2 > l->head_log2_max || op->exponent_base > 10)) {
        return false;
    }
    if (op->head_norm != 0 && (l->head_norm == 0 || !head ||
                               op->gain_base + ((1u << op->head_log2) + 3) / 4 > l->gain_quads)) {
        return false;
    }
    /* The norm of x goes into the blocks of that source. */
    if ((op->dest == TP_DEST_RESIDUAL &&
         (op->rows > l->dim_max || op->rows % 4 != 0 || op->source == TP_SOURCE_NORM ||
          op->gain_base + op->rows / 4 > l->gain_quads ||
          !same_x(m, (op->rows + TP_BLOCK - 1) / TP_BLOCK, op->rows))) ||
        (op->dest == TP_DEST_GATE && op->rows / 2 > l->hidden_max) ||
        (op->dest == TP_DEST_LOGITS &&
         (op->epsilon == 0 || op->epsilon > op->rows || op->epsilon > l->vocab_max))) {
        return false;
    }
    in->codes = malloc((size_t)op->rows * op->blocks * TP_BLOCK);
    in->scales = malloc((size_t)op->rows * op->blocks);
    if (in->codes == NULL || in->scales == NULL) {
        *no_memory = true;
        return false;
    }
    const struct tp_matrix_order order = order_of(m, op);
    for (uint32_t row = 0; row < op->rows; row++) {
        for (uint32_t block = 0; block < op->blocks; block++) {
            size_t index = (size_t)row * op->blocks + block;
            in->scales[index] = read_block(m, op->weight_base, &order, op->codebook, row, block,
                                           in->codes + index * TP_BLOCK);
            if (op->align < 15u + 25u && op->align < (uint32_t)(in->scales[index] >> 4)) {
                return false; /* the aligning shift could become negative */
            }
        }
    }
    return true;
}

static bool prepare(struct tp_machine *m, struct instruction *in, bool *no_memory)
{
    const struct tp_limits *l = &m->limits;
    switch (in->opcode) {
    case TP_OP_END:
        return true;
    case TP_OP_EMBED:
        return in->embed.blocks != 0 && in->embed.blocks <= blocks_of(m, 0) &&
               weights_fit(m, in->embed.weight_base, 1, in->embed.blocks, in->embed.planes) &&
               (in->embed.planes != 0 || in->embed.codebook < l->codebooks) &&
               in->embed.gain_base + in->embed.blocks * 8 <= l->gain_quads &&
               same_x(m, in->embed.blocks, 0);
    case TP_OP_MATVEC:
        return prepare_matvec(m, in, no_memory);
    case TP_OP_ANGLES:
        return in->angles.pairs != 0 && in->angles.pairs <= FREQUENCIES &&
               in->angles.frequency_base + in->angles.pairs <= FREQUENCIES;
    case TP_OP_ATTENTION: {
        const struct tp_op_attention *op = &in->attention;
        uint64_t count = (uint64_t)op->words * op->turns * (op->sets + 1);
        uint32_t group = op->head_log2 > 5 ? 1u << (op->head_log2 - 5) : 1;
        return op->words != 0 && op->turns != 0 && op->sets < tp_limits_query_sets(l) &&
               count * TP_BLOCK <= l->query_max && op->head_log2 >= 3 &&
               op->head_log2 <= l->head_log2_max && op->words % group == 0 && op->key_base <= 10 &&
               op->value_base <= 10;
    }
    default:
        return false;
    }
}

static void unpack(const uint32_t *words, struct instruction *in)
{
    tp_any_unpack(words, &in->any);
    in->opcode = in->any.opcode;
    tp_embed_unpack(words, &in->embed);
    tp_matvec_unpack(words, &in->matvec);
    tp_angles_unpack(words, &in->angles);
    tp_attention_unpack(words, &in->attention);
    in->exponent_max = 0;
}

bool tp_machine_prepare(struct tp_machine *machine, uint32_t *index)
{
    struct tp_machine *m = machine;
    if (m->instruction_count != 0) {
        return true;
    }
    m->x_blocks = m->x_rows = 0;
    for (uint32_t i = 0; i < m->limits.program_max; i++) {
        struct instruction *in = &m->instructions[i];
        bool no_memory = false;
        unpack(m->program + (size_t)i * TP_INSTRUCTION_WORDS, in);
        m->instruction_count = i + 1;
        if (!prepare(m, in, &no_memory)) {
            *index = no_memory ? UINT32_MAX : i;
            drop_instructions(m);
            return false;
        }
        if (in->opcode == TP_OP_END) {
            return true;
        }
    }
    *index = m->limits.program_max;
    drop_instructions(m);
    return false;
}

/* ---- execution ---- */

/* Quantises a block of up to 32 elements into the slot's blocks of a source. */
static void write_block(struct tp_machine *m, struct slot_state *slot, uint32_t source,
                        uint32_t block, const int32_t *x, uint32_t count, uint32_t cap)
{
    int8_t *data = slot->block_data[source] + (size_t)block * TP_BLOCK;
    uint8_t *most = &m->sections[m->section].exponent_max[source];
    memset(data, 0, TP_BLOCK);
    uint8_t exponent = tp_quantise_block(x, count, 0, (uint8_t)cap, data, &m->counters);
    slot->block_exponents[source][block] = exponent;
    *most = exponent > *most ? exponent : *most;
}

static uint32_t count_up(uint32_t count, uint64_t events)
{
    uint64_t sum = count + events;
    return sum < TP_SECTION_COUNT_MAX ? (uint32_t)sum : TP_SECTION_COUNT_MAX;
}

/* Adds the events since `before` to the present section. */
static void count_section(struct tp_machine *m, const struct tp_counters *before)
{
    struct tp_section *section = &m->sections[m->section];
    section->saturations =
        count_up(section->saturations, m->counters.saturations - before->saturations);
    section->clips = count_up(section->clips, m->counters.clips - before->clips);
}

static void run_embed(struct tp_machine *m, struct slot_state *slot, const struct tp_op_embed *op,
                      uint32_t token)
{
    int8_t codes[TP_BLOCK];
    if (!weights_fit(m, op->weight_base, token + 1, op->blocks, op->planes)) {
        memset(slot->x, 0, (size_t)op->blocks * TP_BLOCK * sizeof *slot->x);
        return; /* no such row: the library refuses such tokens before they come here */
    }
    const struct tp_matrix_order order = {.groups = m->limits.groups,
                                          .row_groups = token / m->limits.groups + 1,
                                          .blocks = op->blocks,
                                          .planes = op->planes + 1};
    for (uint32_t block = 0; block < op->blocks; block++) {
        uint8_t scale = read_block(m, op->weight_base, &order, op->codebook, token, block, codes);
        tp_embed_row(codes, &scale, 1, op->shift, slot->x + (size_t)block * TP_BLOCK, &m->counters);
    }
}

/* The norm of the first `count` elements of x, which an instruction has just written. */
static void run_norm(struct tp_machine *m, struct slot_state *slot, uint32_t count,
                     uint32_t gain_base, uint32_t cap)
{
    slot->factor = tp_rmsnorm_factor(slot->x, count, m->norm_epsilon);
    tp_rmsnorm_gain(slot->x, m->gains + (size_t)gain_base * 4, count, TP_NORM_SHIFT, m->row,
                    &m->counters);
    for (uint32_t first = 0; first < count; first += TP_BLOCK) {
        uint32_t size = count - first < TP_BLOCK ? count - first : TP_BLOCK;
        write_block(m, slot, TP_SOURCE_NORM, first / TP_BLOCK, m->row + first, size, cap);
    }
}

/* Bias, head norm, rotation and centring of query, key and value rows, in place. */
static void finish_heads(struct tp_machine *m, struct slot_state *slot,
                         const struct tp_op_matvec *op, int32_t *y)
{
    uint32_t size = 1u << op->head_log2;
    for (uint32_t i = 0; op->bias != 0 && i < op->rows; i++) {
        y[i] = tp_sat32((int64_t)y[i] + m->bias[2 * op->constant_base + i], &m->counters);
    }
    /* Values have the bit only to stay in order behind the keys. */
    bool norm = op->head_norm != 0 && op->dest != TP_DEST_VALUE;
    for (uint32_t i = 0; norm && i < op->rows; i += size) {
        tp_head_norm(y + i, m->gains + (size_t)op->gain_base * 4, size, op->head_shift,
                     (uint32_t)op->epsilon, &m->counters);
    }
    for (uint32_t i = 0; op->dest != TP_DEST_VALUE && i < op->rows; i += 2) {
        uint32_t pair = (i & (size - 1)) / 2;
        tp_rope_rotate(&y[i], &y[i + 1], slot->cosine[pair], slot->sine[pair], &m->counters);
    }
    for (uint32_t i = 0; op->centre != 0 && i < op->rows; i++) {
        y[i] = tp_sat32((int64_t)y[i] - m->centre[2 * op->constant_base + i], &m->counters);
    }
}

/* Quantises rows per head (per 32 elements of a larger head) into words; exponents [words][4]. */
static void quantise_heads(struct tp_machine *m, const struct tp_op_matvec *op, const int32_t *y,
                           uint8_t low, uint8_t high, int8_t *data, uint8_t *exponents)
{
    uint32_t size = op->head_log2 > 5 ? TP_BLOCK : 1u << op->head_log2;
    for (uint32_t i = 0; i < op->rows; i += size) {
        exponents[i / TP_BLOCK * 4 + i % TP_BLOCK / size] =
            tp_quantise_block(y + i, size, low, high, data + i, &m->counters);
    }
}

static void store_values(struct tp_machine *m, struct slot_state *slot,
                         const struct tp_op_matvec *op, const uint16_t *pages, uint32_t position,
                         const int32_t *y)
{
    uint8_t base = (uint8_t)op->exponent_base;
    int8_t data[TP_BLOCK];
    for (uint32_t word = 0; word < op->rows / TP_BLOCK; word++) {
        struct tp_op_matvec one = *op;
        uint8_t exponents[4] = {base, base, base, base};
        one.rows = TP_BLOCK;
        quantise_heads(m, &one, y + (size_t)word * TP_BLOCK, base, (uint8_t)(base + 15), data,
                       exponents);
        uint32_t row = tp_kv_row(pages, op->kv_base, m->kv_stride, word, position);
        if (row >= m->kv.rows) {
            continue; /* the loader's fault; the device would write nothing either */
        }
        memcpy(m->kv.key + (size_t)row * TP_BLOCK, slot->key + (size_t)word * TP_BLOCK, TP_BLOCK);
        memcpy(m->kv.value + (size_t)row * TP_BLOCK, data, TP_BLOCK);
        for (uint32_t i = 0; i < 4; i++) {
            m->kv.exponents[(size_t)row * 4 + i] =
                (uint8_t)(slot->key_exponents[word * 4 + i] | (exponents[i] - base) << 4);
        }
    }
}

static void store_keys(struct tp_machine *m, struct slot_state *slot, const struct tp_op_matvec *op,
                       const int32_t *y)
{
    uint8_t base = (uint8_t)op->exponent_base;
    memset(slot->key_exponents, base, op->rows / TP_BLOCK * 4);
    quantise_heads(m, op, y, base, (uint8_t)(base + 15), slot->key, slot->key_exponents);
    for (uint32_t i = 0; i < op->rows / TP_BLOCK * 4; i++) {
        slot->key_exponents[i] = (uint8_t)(slot->key_exponents[i] - base);
    }
}

static void run_gate(struct tp_machine *m, struct slot_state *slot, const struct tp_op_matvec *op,
                     const int32_t *y)
{
    uint32_t hidden = op->rows / 2;
    for (uint32_t first = 0; first < hidden; first += TP_BLOCK) {
        uint32_t count = hidden - first < TP_BLOCK ? hidden - first : TP_BLOCK;
        int32_t h[TP_BLOCK];
        for (uint32_t i = 0; i < count; i++) {
            h[i] = tp_swiglu(y[2 * (first + i)], y[2 * (first + i) + 1], &m->counters);
        }
        write_block(m, slot, TP_SOURCE_FFN, first / TP_BLOCK, h, count, op->cap);
    }
}

/* Rows of the matrix times the slot's blocks, scaled; y [rows]. */
static void multiply(struct tp_machine *m, struct slot_state *slot, struct instruction *in,
                     int32_t *y, uint32_t rows)
{
    const struct tp_op_matvec *op = &in->matvec;
    const int8_t *q = slot->block_data[op->source];
    const uint8_t *exponents = slot->block_exponents[op->source];
    int shift = op->z_shift + (op->norm != 0 ? slot->factor.shift : 0);
    uint32_t rm = op->norm != 0 ? slot->factor.rm : 65536u;
    for (uint32_t block = 0; block < op->blocks; block++) {
        in->exponent_max = larger(in->exponent_max, exponents[block]);
    }
    for (uint32_t row = 0; row < rows; row++) {
        size_t first = (size_t)row * op->blocks;
        int64_t acc = tp_matvec_row(in->codes + first * TP_BLOCK, in->scales + first, q, exponents,
                                    op->blocks, (int)op->align);
        y[row] = tp_matvec_scale(acc, shift, rm, &m->counters);
    }
}

static void run_matvec(struct tp_machine *m, struct slot_state *slot, struct instruction *in,
                       const uint16_t *pages, uint32_t position)
{
    const struct tp_op_matvec *op = &in->matvec;
    int32_t *y = m->row;
    multiply(m, slot, in, y, op->rows);
    switch (op->dest) {
    case TP_DEST_RESIDUAL:
        for (uint32_t i = 0; i < op->rows; i++) {
            slot->x[i] = tp_sat32((int64_t)slot->x[i] + y[i], &m->counters);
        }
        break;
    case TP_DEST_GATE:
        run_gate(m, slot, op, y);
        break;
    case TP_DEST_QUERY:
        finish_heads(m, slot, op, y);
        quantise_heads(m, op, y, 0, TP_EXPONENT_MAX, slot->query, slot->query_exponents);
        break;
    case TP_DEST_KEY:
        finish_heads(m, slot, op, y);
        store_keys(m, slot, op, y);
        break;
    default:
        finish_heads(m, slot, op, y);
        store_values(m, slot, op, pages, position, y);
        break;
    }
}

/* True when the memory has every row that attention reads at this position. */
static bool rows_exist(const struct tp_machine *m, const struct tp_op_attention *op,
                       const uint16_t *pages, uint32_t position)
{
    for (uint32_t word = 0; word < op->words; word++) {
        for (uint32_t first = 0; first <= position; first += TP_PAGE) {
            uint32_t last = position - first < TP_PAGE ? position : first + TP_PAGE - 1;
            if (tp_kv_row(pages, op->kv_base, m->kv_stride, word, first) >= m->kv.rows ||
                tp_kv_row(pages, op->kv_base, m->kv_stride, word, last) >= m->kv.rows) {
                return false;
            }
        }
    }
    return true;
}

static void run_attention(struct tp_machine *m, struct slot_state *slot,
                          const struct tp_op_attention *op, const uint16_t *pages,
                          uint32_t position)
{
    const struct tp_attention_shape shape = {.head_log2 = op->head_log2,
                                             .words = op->words,
                                             .turns = op->turns,
                                             .sets = op->sets + 1,
                                             .key_base = op->key_base,
                                             .value_base = op->value_base,
                                             .shift = op->shift};
    uint32_t count = op->words * op->turns * (op->sets + 1);
    if (rows_exist(m, op, pages, position)) {
        tp_attention(&shape, &m->kv, pages, op->kv_base, m->kv_stride, position, slot->query,
                     slot->query_exponents, m->row, &m->counters);
    } else {
        /* the loader's fault; a device would read some other row */
        memset(m->row, 0, (size_t)count * TP_BLOCK * sizeof *m->row);
    }
    for (uint32_t word = 0; word < count; word++) {
        write_block(m, slot, TP_SOURCE_ATTENTION, word, m->row + (size_t)word * TP_BLOCK, TP_BLOCK,
                    op->cap);
    }
}

static bool writes_x(const struct instruction *in)
{
    return in->opcode == TP_OP_EMBED ||
           (in->opcode == TP_OP_MATVEC && in->matvec.dest == TP_DEST_RESIDUAL);
}

/* An instruction that has written x ends its section; the norm of x counts for the next one. */
static void finish_x(struct tp_machine *m, struct slot_state *slot, const struct instruction *in)
{
    struct tp_counters before = m->counters;
    m->section += m->section < TP_SECTIONS - 2 ? 1 : 0;
    if (in->opcode == TP_OP_EMBED) {
        run_norm(m, slot, in->embed.blocks * TP_BLOCK, in->embed.gain_base, in->embed.cap);
    } else {
        run_norm(m, slot, in->matvec.rows, in->matvec.gain_base, in->matvec.cap);
    }
    count_section(m, &before);
}

/* Logits written, 0 for every other instruction. */
static uint32_t run_instruction(struct tp_machine *m, struct instruction *in, uint32_t slot,
                                uint32_t position, uint32_t token, int32_t *logits)
{
    struct slot_state *state = &m->slots[slot];
    const uint16_t *pages = m->pages + (size_t)slot * (m->limits.positions_max / TP_PAGE);
    switch (in->opcode) {
    case TP_OP_EMBED:
        run_embed(m, state, &in->embed, token);
        break;
    case TP_OP_ANGLES:
        tp_rope_angles(position, m->frequency + in->angles.frequency_base, in->angles.pairs,
                       state->cosine, state->sine);
        break;
    case TP_OP_ATTENTION:
        run_attention(m, state, &in->attention, pages, position);
        break;
    default:
        if (in->matvec.dest != TP_DEST_LOGITS) {
            run_matvec(m, state, in, pages, position);
            break;
        }
        assert(logits != NULL);
        multiply(m, state, in, logits, (uint32_t)in->matvec.epsilon);
        return (uint32_t)in->matvec.epsilon;
    }
    return 0;
}

uint32_t tp_machine_step(struct tp_machine *machine, uint32_t slot, uint32_t position,
                         uint32_t token, int32_t *logits)
{
    struct tp_machine *m = machine;
    assert(m->instruction_count != 0 && slot < m->limits.slots);
    assert(position < m->limits.positions_max);
    uint32_t written = 0;
    m->section = m->shared ? TP_SECTIONS - 1 : 0;
    for (uint32_t i = 0; i < m->instruction_count; i++) {
        struct instruction *in = &m->instructions[i];
        if (in->opcode == TP_OP_END || (in->any.logits != 0 && logits == NULL)) {
            break;
        }
        struct tp_counters before = m->counters;
        uint32_t count = run_instruction(m, in, slot, position, token, logits);
        written = count != 0 ? count : written;
        count_section(m, &before);
        if (writes_x(in)) {
            finish_x(m, &m->slots[slot], in);
        }
    }
    return written;
}

struct tp_counters tp_machine_counters(const struct tp_machine *machine)
{
    return machine->counters;
}

void tp_machine_share(struct tp_machine *machine, bool shared)
{
    machine->shared = shared;
}

struct tp_section tp_machine_section(const struct tp_machine *machine, uint32_t index)
{
    assert(index < TP_SECTIONS);
    return machine->sections[index];
}

uint32_t tp_machine_exponent_max(const struct tp_machine *machine, uint32_t index)
{
    return index < machine->instruction_count ? machine->instructions[index].exponent_max : 0;
}

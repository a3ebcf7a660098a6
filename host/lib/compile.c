// SPDX-License-Identifier: Apache-2.0
//
// Lowering: matrices are packed into beats one at a time, instructions follow the equations of the
// forward pass.

#include "compile.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cycles.h"
#include "error.h"
#include "reader.h"

enum {
    KV_EXPONENT_BASE = 4,  // smallest exponent of K and V: 16 exponents reach |x| = 1,016
    ACC_SPAN = 21,         // D - e_x beyond which the accumulator loses what matters
    CAP_HEADROOM = 2,      // a calibrated cap leaves 4 times the largest value seen
    HEAD_MAX = 128,        // elements of a head that an instruction can name
    RESIDUAL_SHIFT = 16    // T - 16 of the embedding: x has 16 fraction bits
};

const struct tp_limits tp__limits_most = {.groups = 4,
                                          .slots = 1,
                                          .weight_beats = 1u << 22,
                                          .kv_rows = 1u << 20,
                                          .dim_max = 1u << 14,
                                          .query_max = 1u << 14,
                                          .hidden_max = 1u << 16,
                                          .vocab_max = 1u << 17,
                                          .positions_max = 4096,
                                          .program_max = 1u << 13,
                                          .gain_quads = 1u << 18,
                                          .constant_pairs = 1u << 20,
                                          .codebooks = TP_CODEBOOKS_MAX,
                                          .head_norm = 1,
                                          .head_log2_max = 7,
                                          .attention_lanes = 64,
                                          .top_k = TP_TOP_K_MAX};

struct compiler {
    const struct tp_quantised_model *model;
    const struct tp_model_shape *shape;
    struct tp_memory_image *image;
    struct tp_error *error;
    bool is_outline;  // no weights, no gains: the program is what counts
    uint32_t next_beat;
    uint32_t next_gain;
    uint32_t next_constant;
    tp_status status;
};

// A matrix in the weight memory and the constants of its product.
struct placed {
    uint32_t weight_base;
    uint32_t rows;
    uint32_t blocks;
    uint32_t planes;     // less one, as in the instructions
    uint32_t order;      // 1: block-major
    uint32_t codebook;   // number of its table
    int32_t exponent;    // T
    uint32_t alignment;  // D
    uint32_t cap;        // X of its input edge
};

// A norm's gains in the gain memory.
struct gain {
    uint32_t base;
    int32_t exponent;  // ge
};

// One layer in the memories.
struct placed_layer {
    struct gain attention_gain;
    uint32_t attention_cap;  // X of the edge that queries, keys and values share
    struct placed query;
    struct placed key;
    struct placed value;
    struct placed output;
    struct gain ffn_gain;
    struct placed gate;
    struct placed down;
};

// ---- weights ----

// Nibbles of one block of 32 into the beat of its group: scales first, then code i in word i / 8.
static void pack_block(const struct compiler *c, const struct placed *m, uint32_t row,
                       uint32_t block, const uint8_t *nibbles, uint8_t scale, uint32_t plane)
{
    uint32_t groups = c->image->limits.groups;
    uint32_t group = row % groups;
    const struct tp_matrix_order order = {.groups = groups,
                                          .row_groups = m->rows / groups,
                                          .blocks = m->blocks,
                                          .planes = m->planes + 1,
                                          .block_major = m->order != 0};
    uint32_t beat = m->weight_base + tp_matrix_beat(&order, row / groups, block) + plane;
    uint32_t *words = c->image->weights + (size_t)beat * c->image->lanes;
    for (uint32_t i = 0; i < TP_BLOCK / 8; i++) {
        words[tp_scale_lanes(groups) + 4 * group + i] = tp__load_u32(nibbles + 4 * i);
    }
    words[group / 4] |= (uint32_t)scale << (8 * (group % 4));
}

// 32 values to the nibbles of a plane, two in a byte, the first in the low half.
static void take_plane(const uint8_t *values, uint32_t plane, uint8_t nibbles[TP_BLOCK / 2])
{
    for (uint32_t i = 0; i < TP_BLOCK / 2; i++) {
        uint8_t low = tp__plane_code((int8_t)values[2 * i], plane);
        uint8_t high = tp__plane_code((int8_t)values[2 * i + 1], plane);
        nibbles[i] = (uint8_t)(low | high << 4);
    }
}

// Rows behind the matrix, which fill the last groups, stay zero.
static void pack_matrix(const struct compiler *c, const struct placed *m,
                        const struct tp_quantised_matrix *q)
{
    for (uint32_t row = 0; row < q->rows; row++) {
        for (uint32_t block = 0; block < m->blocks; block++) {
            size_t index = (size_t)row * m->blocks + block;
            uint8_t scale = q->scales[index];
            if (m->planes == 0) {
                pack_block(c, m, row, block, q->codes + index * (TP_BLOCK / 2), scale, 0);
                continue;
            }
            for (uint32_t plane = 0; plane < 2; plane++) {
                uint8_t nibbles[TP_BLOCK / 2];
                take_plane(q->codes + index * TP_BLOCK, plane, nibbles);
                pack_block(c, m, row, block, nibbles, scale, plane);
            }
        }
    }
}

// The table that holds the matrix's codebook: one of those in use, or the next.
static uint32_t find_codebook(struct compiler *c, const struct tp_quantised_matrix *q)
{
    struct tp_memory_image *image = c->image;
    uint32_t table = 0;
    while (table < image->codebook_count &&
           memcmp(image->codebooks[table], q->codebook, TP_CODEBOOK_CODES) != 0) {
        table++;
    }
    if (table == image->limits.codebooks || table == TP_CODEBOOKS_MAX) {
        c->status = tp__fail(c->error, TP_ERROR_TOO_LARGE,
                             "the model needs more 4-bit codebooks than the device has (%" PRIu32
                             ") - try: the same 4-bit format for all matrices of 4 bits, or "
                             "another --config",
                             image->limits.codebooks);
        return 0;
    }
    if (table == image->codebook_count) {
        memcpy(image->codebooks[table], q->codebook, TP_CODEBOOK_CODES);
        image->codebook_count++;
    }
    return table;
}

// X of an edge. The limit of 25 never clips; it is lowered only where the accumulator would lose
// precision, and then the calibration says how far.
static uint32_t choose_cap(const struct compiler *c, uint32_t alignment, uint32_t edge)
{
    uint32_t seen = c->is_outline ? TP_EXPONENT_MAX : c->model->exponent_max[edge];
    uint32_t cap = seen + CAP_HEADROOM;
    return alignment <= seen + ACC_SPAN || cap > TP_EXPONENT_MAX ? TP_EXPONENT_MAX : cap;
}

// D and X of a matrix.
static tp_status choose_alignment(struct compiler *c, const struct tp_quantised_matrix *q,
                                  uint32_t edge, const char *name, struct placed *m)
{
    m->cap = TP_EXPONENT_MAX;
    tp_status status =
        tp__accumulator_shift(q->bound, q->blocks, m->cap, name, &m->alignment, c->error);
    if (status != TP_OK) {
        return status;
    }
    m->cap = choose_cap(c, m->alignment, edge);
    return tp__accumulator_shift(q->bound, q->blocks, m->cap, name, &m->alignment, c->error);
}

// The matrix as it will be placed, row-major.
static struct placed measure(const struct compiler *c, enum tp_matrix matrix, uint32_t layer)
{
    const struct tp_quantised_matrix *q = tp__quantised_matrix(c->model, matrix, layer);
    uint32_t multiple = c->image->plan.row_multiple;
    return (struct placed){.weight_base = c->next_beat,
                           .rows = (q->rows + multiple - 1) / multiple * multiple,
                           .blocks = q->blocks,
                           .planes = q->planes - 1,
                           .exponent = q->shift};
}

// Places and packs a matrix.
static struct placed place(struct compiler *c, enum tp_matrix matrix, uint32_t layer,
                           uint32_t order)
{
    const struct tp_quantised_matrix *q = tp__quantised_matrix(c->model, matrix, layer);
    struct placed m = measure(c, matrix, layer);
    m.order = order;
    if (c->status != TP_OK) {
        return m;
    }
    if (m.planes == 0) {
        m.codebook = find_codebook(c, q);
    }
    if (c->status == TP_OK) {
        c->status = choose_alignment(c, q, tp__matrix_edge(c->shape, matrix, layer),
                                     tp__matrix_name(matrix), &m);
    }
    if (c->status == TP_OK && !c->is_outline) {
        pack_matrix(c, &m, q);
    }
    c->next_beat += m.rows / c->image->limits.groups * m.blocks * q->planes;
    return m;
}

// ---- gains and constants ----

// norm: as in tp__quantised_gains.
static struct gain place_gain(struct compiler *c, uint32_t norm)
{
    struct gain gain = {.base = c->next_gain};
    if (c->status == TP_OK && !c->is_outline) {
        c->status = tp__quantise_gains(tp__quantised_gains(c->model, norm), c->shape->dim,
                                       "norm gains", c->image->gains + 4 * (size_t)c->next_gain,
                                       &gain.exponent, c->error);
    }
    c->next_gain += c->image->plan.dim_blocks * (TP_BLOCK / 4);
    return gain;
}

// Q16.16
static int32_t constant(double real)
{
    double value = floor(real * 65536.0 + 0.5);
    return (int32_t)(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}

// Gains of the heads of queries or keys; scores become log2 units in those of the queries.
static struct gain place_head_gain(struct compiler *c, uint32_t layer, enum tp_matrix matrix)
{
    uint32_t size = c->shape->head_size;
    assert(size <= HEAD_MAX);
    double factor = matrix == TP_MATRIX_QUERY ? tp__score_multiplier(c->shape) : 1.0;
    struct gain gain = {.base = c->next_gain};
    float gains[HEAD_MAX];
    for (uint32_t i = 0; i < size && !c->is_outline; i++) {
        // The largest floats times the factor are none any more; they are out of reach anyway.
        double real = (double)tp__quantised_head_gains(c->model, layer, matrix)[i] * factor;
        gains[i] = (float)fmax(-FLT_MAX, fmin(real, FLT_MAX));
    }
    if (c->status == TP_OK && !c->is_outline) {
        c->status = tp__quantise_gains(gains, size, "norm gains of heads",
                                       c->image->gains + 4 * (size_t)c->next_gain, &gain.exponent,
                                       c->error);
    }
    c->next_gain += c->image->plan.layout.head_padded / 4;
    return gain;
}

// The constants of queries, keys or values: bias, and for keys the means. Returns their place.
static uint32_t place_constants(struct compiler *c, uint32_t layer, enum tp_matrix matrix)
{
    uint32_t rows = tp__quantised_matrix(c->model, matrix, layer)->rows;
    uint32_t base = c->next_constant;
    if (!c->shape->has_bias && matrix != TP_MATRIX_KEY) {
        return 0;
    }
    c->next_constant += rows / 2;
    if (c->is_outline) {
        return base;
    }
    const float *bias = tp__quantised_bias(c->model, layer, matrix);
    double factor = tp__matrix_multiplier(c->shape, matrix);
    for (uint32_t r = 0; bias != NULL && r < rows; r++) {
        c->image->bias[2 * (size_t)base + r] = constant((double)bias[r] * factor);
    }
    const float *means = tp__quantised_key_means(c->model, layer);
    for (uint32_t r = 0; matrix == TP_MATRIX_KEY && r < rows; r++) {
        c->image->centre[2 * (size_t)base + r] = constant((double)means[r]);
    }
    return base;
}

static void place_frequencies(struct compiler *c)
{
    for (uint32_t j = 0; j < c->shape->head_size / 2 && !c->is_outline; j++) {
        double turns = c->model->frequencies[j] / (2.0 * acos(-1.0));
        c->image->frequency[j] = (uint32_t)(uint64_t)floor(turns * 4294967296.0 + 0.5);
    }
}

// ---- instructions ----

static uint32_t *append(struct compiler *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static uint32_t *append(struct compiler *c, const char *format, ...)
{
    struct tp_memory_image *image = c->image;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(image->notes[image->program_count], TP_NOTE_BYTES, format, arguments);
    va_end(arguments);
    return image->program + (size_t)image->program_count++ * TP_INSTRUCTION_WORDS;
}

// The fields that follow from the matrix. With a norm the accumulator's unit also depends on the
// gains' exponent: docs/numbers.md, section 4.
static struct tp_op_matvec matvec(const struct placed *m, uint32_t dest, uint32_t source,
                                  const struct gain *gain)
{
    struct tp_op_matvec op = {.opcode = TP_OP_MATVEC,
                              .drain = 1,
                              .dest = dest,
                              .source = source,
                              .planes = m->planes,
                              .codebook = m->codebook,
                              .order = m->order,
                              .norm = gain != NULL,
                              .align = 15 + m->alignment,
                              .z_shift = m->exponent - (int32_t)m->alignment +
                                         (gain != NULL ? gain->exponent - 31 : 0),
                              .weight_base = m->weight_base,
                              .blocks = m->blocks,
                              .rows = m->rows};
    return op;
}

// C of a norm of n elements.
static double norm_constant(const struct compiler *c, uint32_t n)
{
    return floor((double)n * (double)c->shape->norm_epsilon * 4294967296.0 + 0.5);
}

static struct placed_layer place_layer(struct compiler *c, uint32_t layer)
{
    struct placed_layer l;
    l.attention_gain = place_gain(c, 2 * layer);
    l.query = place(c, TP_MATRIX_QUERY, layer, 0);
    l.key = place(c, TP_MATRIX_KEY, layer, 0);
    l.value = place(c, TP_MATRIX_VALUE, layer, 0);
    l.output = place(c, TP_MATRIX_OUTPUT, layer, 0);
    l.ffn_gain = place_gain(c, 2 * layer + 1);
    l.gate = place(c, TP_MATRIX_GATE_UP, layer, 0);
    // Block-major where it can follow without a gap: it reads the blocks as they are written.
    const struct placed sizes = measure(c, TP_MATRIX_DOWN, layer);
    const struct tp_op_matvec gate = matvec(&l.gate, TP_DEST_GATE, TP_SOURCE_NORM, &l.ffn_gain);
    const struct tp_op_matvec down = matvec(&sizes, TP_DEST_RESIDUAL, TP_SOURCE_FFN, NULL);
    bool follows = tp__block_major_follows(&c->image->limits, &gate, &down);
    l.down = place(c, TP_MATRIX_DOWN, layer, follows);
    // One quantised vector feeds three matrices: the smallest cap, and alignments to match it.
    l.attention_cap = l.query.cap < l.key.cap ? l.query.cap : l.key.cap;
    l.attention_cap = l.value.cap < l.attention_cap ? l.value.cap : l.attention_cap;
    return l;
}

// x += matrix, and the norm of what comes next.
static void emit_residual(struct compiler *c, const struct placed *m, uint32_t source,
                          const struct gain *next, uint32_t next_cap, const char *note,
                          uint32_t layer)
{
    struct tp_op_matvec op = matvec(m, TP_DEST_RESIDUAL, source, NULL);
    op.drain = m->order == 0;
    op.gain_base = next->base;
    op.cap = next_cap;
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": %s", layer, note));
}

// Queries, keys or values. Values have the bit of the head norm to stay in order behind the keys.
static void emit_heads(struct compiler *c, uint32_t layer, enum tp_matrix matrix,
                       const struct placed *m, const struct gain *gain)
{
    static const uint32_t dests[] = {TP_DEST_QUERY, TP_DEST_KEY, TP_DEST_VALUE};
    static const char *const notes[] = {"queries", "keys", "values"};
    const struct tp_plan *plan = &c->image->plan;
    uint32_t kind = (uint32_t)matrix - TP_MATRIX_QUERY;
    struct tp_op_matvec op = matvec(m, dests[kind], TP_SOURCE_NORM, gain);
    op.head_log2 = plan->layout.head_log2;
    op.bias = c->shape->has_bias;
    op.centre = matrix == TP_MATRIX_KEY;
    op.constant_base = place_constants(c, layer, matrix);
    op.head_norm = c->shape->has_head_norm;
    if (op.head_norm != 0 && matrix != TP_MATRIX_VALUE) {
        double epsilon = norm_constant(c, c->shape->head_size);
        struct gain own = place_head_gain(c, layer, matrix);
        op.gain_base = own.base;
        op.head_shift = own.exponent - 31;
        op.epsilon = (uint32_t)(epsilon > UINT32_MAX ? UINT32_MAX : epsilon);
    }
    if (matrix != TP_MATRIX_QUERY) {
        op.drain = 0;
        op.exponent_base = KV_EXPONENT_BASE;
        op.kv_base = layer * plan->layout.kv_words * plan->kv_stride;
    }
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": %s", layer, notes[kind]));
}

// Lets ATTENTION begin when the queries are complete, with KEY and VALUE in front of it in flight.
static void start_early(const struct compiler *c, struct tp_op_attention *op)
{
    const struct tp_memory_image *image = c->image;
    const uint32_t *value =
        image->program + (size_t)(image->program_count - 1) * TP_INSTRUCTION_WORDS;
    uint32_t position = tp__early_position(&image->limits, value, op);
    if (position < image->plan.context) {
        op->ahead = 2;
        op->ahead_position = position;
    }
}

static void emit_attention(struct compiler *c, uint32_t layer, const struct placed_layer *l)
{
    const struct tp_plan *plan = &c->image->plan;
    uint32_t kv_base = layer * plan->layout.kv_words * plan->kv_stride;
    emit_heads(c, layer, TP_MATRIX_QUERY, &l->query, &l->attention_gain);
    emit_heads(c, layer, TP_MATRIX_KEY, &l->key, &l->attention_gain);
    emit_heads(c, layer, TP_MATRIX_VALUE, &l->value, &l->attention_gain);

    // A device with one set takes the sets as more turns, which are in the same order.
    uint32_t sets_max = tp_limits_query_sets(&c->image->limits);
    uint32_t sets = plan->layout.sets <= sets_max ? plan->layout.sets : 1;
    struct tp_op_attention attention = {.opcode = TP_OP_ATTENTION,
                                        .drain = 1,
                                        .sets = sets - 1,
                                        .shift = 25,
                                        .words = plan->layout.kv_words,
                                        .turns = plan->layout.turns * plan->layout.sets / sets,
                                        .cap = l->output.cap,
                                        .head_log2 = plan->layout.head_log2,
                                        .key_base = KV_EXPONENT_BASE,
                                        .value_base = KV_EXPONENT_BASE,
                                        .kv_base = kv_base};
    start_early(c, &attention);
    tp_attention_pack(&attention, append(c, "layer %" PRIu32 ": attention", layer));

    emit_residual(c, &l->output, TP_SOURCE_ATTENTION, &l->ffn_gain, l->gate.cap,
                  "output, x +=, norm", layer);
}

static void emit_gate(struct compiler *c, uint32_t layer, const struct placed_layer *l)
{
    struct tp_op_matvec op = matvec(&l->gate, TP_DEST_GATE, TP_SOURCE_NORM, &l->ffn_gain);
    op.cap = l->down.cap;
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": gate and up, SwiGLU", layer));
}

static void emit_program(struct compiler *c)
{
    const struct tp_plan *plan = &c->image->plan;
    struct placed classifier =
        place(c, c->shape->tied ? TP_MATRIX_EMBEDDING : TP_MATRIX_CLASSIFIER, 0, 0);
    struct placed embedding = c->shape->tied ? classifier : place(c, TP_MATRIX_EMBEDDING, 0, 0);
    struct tp_op_angles angles = {.opcode = TP_OP_ANGLES, .pairs = plan->layout.head_padded / 2};
    tp_angles_pack(&angles, append(c, "rotation of this position"));
    struct tp_op_embed embed = {.opcode = TP_OP_EMBED,
                                .planes = embedding.planes,
                                .codebook = embedding.codebook,
                                .shift = embedding.exponent - RESIDUAL_SHIFT,
                                .weight_base = embedding.weight_base,
                                .blocks = embedding.blocks};
    // What writes x carries the norm that follows, so each layer is placed before it.
    struct gain final = place_gain(c, 2 * c->shape->layers);
    struct placed_layer l = place_layer(c, 0);
    embed.gain_base = l.attention_gain.base;
    embed.cap = l.attention_cap;
    tp_embed_pack(&embed, append(c, "x = embedding of the token, norm"));
    for (uint32_t layer = 0; layer < c->shape->layers && c->status == TP_OK; layer++) {
        bool is_last = layer + 1 == c->shape->layers;
        emit_attention(c, layer, &l);
        emit_gate(c, layer, &l);
        struct placed_layer next = is_last ? l : place_layer(c, layer + 1);
        emit_residual(c, &l.down, TP_SOURCE_FFN, is_last ? &final : &next.attention_gain,
                      is_last ? classifier.cap : next.attention_cap, "down, x +=, norm", layer);
        l = next;
    }
    if (c->status != TP_OK) {
        return;
    }
    struct tp_op_matvec op = matvec(&classifier, TP_DEST_LOGITS, TP_SOURCE_NORM, &final);
    op.logits = 1;
    op.epsilon = c->shape->vocab;
    tp_matvec_pack(&op, append(c, "classifier and sampler"));
    struct tp_op_any end = {.opcode = TP_OP_END, .drain = 1};
    tp_any_pack(&end, append(c, "end"));
}

// ---- the whole ----

static struct tp_memory_image *create_image(const struct tp_plan *plan,
                                            const struct tp_limits *limits,
                                            const struct tp_model_shape *shape)
{
    struct tp_memory_image *image = calloc(1, sizeof *image);
    if (image == NULL) {
        return NULL;
    }
    image->plan = *plan;
    image->limits = *limits;
    image->vocab = shape->vocab;
    image->lanes = tp_scale_lanes(limits->groups) + 4 * limits->groups;
    image->program = calloc(plan->program_count, sizeof(uint32_t) * TP_INSTRUCTION_WORDS);
    image->notes = calloc(plan->program_count, TP_NOTE_BYTES);
    image->weights = calloc((size_t)plan->weight_beats * image->lanes, sizeof *image->weights);
    image->gains = calloc((size_t)plan->gain_quads * 4, sizeof *image->gains);
    image->centre = calloc((size_t)plan->constant_pairs * 2, sizeof *image->centre);
    image->bias = calloc((size_t)plan->constant_pairs * 2, sizeof *image->bias);
    image->has_bias = shape->has_bias;
    if (!image->bias || !image->program || !image->notes || !image->weights || !image->gains ||
        !image->centre) {
        tp__memory_image_free(image);
        return NULL;
    }
    return image;
}

tp_status tp__compile(const struct tp_quantised_model *model, const struct tp_load_options *options,
                      const struct tp_limits *limits, struct tp_memory_image **image,
                      struct tp_error *error)
{
    struct tp_plan plan;
    tp_status status = tp__plan(&model->shape, model->formats, options, limits, &plan, error);
    if (status != TP_OK) {
        return status;
    }
    struct compiler c = {.model = model,
                         .shape = &model->shape,
                         .error = error,
                         .is_outline = model->payload == NULL,
                         .status = TP_OK};
    c.image = create_image(&plan, limits, &model->shape);
    if (c.image == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the image");
    }
    c.image->matrix_bytes = tp__quantised_matrix_bytes(model);
    c.image->norm_epsilon = (uint64_t)norm_constant(&c, model->shape.dim);
    place_frequencies(&c);
    emit_program(&c);
    if (c.status != TP_OK) {
        tp__memory_image_free(c.image);
        return c.status;
    }
    *image = c.image;
    return TP_OK;
}

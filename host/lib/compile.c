// SPDX-License-Identifier: Apache-2.0
//
// Lowering: tensors are laid out and quantised one matrix at a time, instructions follow the
// equations of the forward pass. The order of rows and columns is docs/architecture.md, section 3.

#include "compile.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "quantise_weights.h"

enum {
    KV_EXPONENT_BASE = 4,  // smallest exponent of K and V: 16 exponents reach |x| = 1,016
    ACC_SPAN = 21,         // D - e_x beyond which the accumulator loses what matters
    CAP_HEADROOM = 2,      // a calibrated cap leaves 4 times the largest value seen
    NORM_SHIFT = 15,       // h = rnd(x * gain, 15)
    RESIDUAL_SHIFT = 16    // T - 16 of the embedding: x has 16 fraction bits
};

struct compiler {
    const tp_context *context;
    const struct tp_source_model *model;
    const struct tp_model_shape *shape;
    const struct tp_load_options *options;
    const struct tp_calibration *calibration;
    struct tp_image *image;
    struct tp_error *error;
    float *matrix;  // one matrix, laid out
    uint32_t next_beat;
    uint32_t next_gain;
    uint32_t next_constant;
    uint32_t matrices_done;
    tp_status status;
};

// A matrix in the weight memory and the constants of its product.
struct placed {
    uint32_t weight_base;
    uint32_t rows;
    uint32_t blocks;
    uint32_t planes;
    int32_t exponent;    // T
    uint32_t alignment;  // D
    uint32_t cap;        // X of its input edge
};

// A norm's gains in the gain memory.
struct gain {
    uint32_t base;
    int32_t exponent;  // ge
};

// ---- weights ----

// Nibbles of one block of 32 into the beat of its group: code i in word i / 8.
static void pack_block(const struct compiler *c, const struct placed *m, uint32_t row,
                       uint32_t block, const uint8_t *nibbles, uint8_t scale, uint32_t plane)
{
    uint32_t groups = c->image->limits.groups;
    uint32_t group = row % groups;
    uint32_t beat = m->weight_base + (row / groups * m->blocks + block) * (m->planes + 1) + plane;
    uint32_t *words = c->image->weights + (size_t)beat * c->image->lanes;
    for (uint32_t i = 0; i < TP_BLOCK; i++) {
        words[4 * group + i / 8] |= (uint32_t)nibbles[i] << (4 * (i % 8));
    }
    words[4 * groups + group / 4] |= (uint32_t)scale << (8 * (group % 4));
}

static void pack_matrix(const struct compiler *c, const struct placed *m,
                        const struct tp_quantised *q)
{
    for (uint32_t row = 0; row < m->rows; row++) {
        for (uint32_t block = 0; block < m->blocks; block++) {
            size_t index = (size_t)row * m->blocks + block;
            uint8_t nibbles[TP_BLOCK];
            if (m->planes == 0) {
                pack_block(c, m, row, block, q->codes + index * TP_BLOCK, q->scales[index], 0);
                continue;
            }
            for (uint32_t plane = 0; plane < 2; plane++) {
                for (uint32_t i = 0; i < TP_BLOCK; i++) {
                    nibbles[i] = tp__plane_code(q->values[index * TP_BLOCK + i], plane);
                }
                pack_block(c, m, row, block, nibbles, q->scales[index], plane);
            }
        }
    }
}

// X of an edge. The limit of 25 never clips; it is lowered only where the accumulator would lose
// precision, and then the calibration says how far.
static uint32_t choose_cap(const struct compiler *c, uint32_t alignment, uint32_t edge)
{
    uint32_t seen = c->calibration == NULL ? TP_EXPONENT_MAX : c->calibration->exponent_max[edge];
    uint32_t cap = seen + CAP_HEADROOM;
    return alignment <= seen + ACC_SPAN || cap > TP_EXPONENT_MAX ? TP_EXPONENT_MAX : cap;
}

// D and X of a matrix.
static tp_status choose_alignment(struct compiler *c, const struct tp_quantised *q, uint32_t edge,
                                  const char *name, struct placed *m)
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

// Quantises c->matrix [rows][columns], places and packs it.
static struct placed place(struct compiler *c, uint32_t rows, uint32_t columns, double multiplier,
                           bool embedding, uint32_t edge, const char *name)
{
    struct placed m = {.weight_base = c->next_beat, .rows = rows};
    if (c->status != TP_OK) {
        return m;
    }
    struct tp_quantised q;
    m.planes = embedding ? c->image->plan.embedding_planes : c->image->plan.matrix_planes;
    c->status =
        tp__quantise_tensor(c->matrix, rows, columns, multiplier,
                            m.planes != 0 ? TP_FORMAT_Q8 : c->options->format, name, &q, c->error);
    if (c->status != TP_OK) {
        return m;
    }
    m.blocks = q.blocks;
    m.exponent = q.shift;
    c->status = choose_alignment(c, &q, edge, name, &m);
    if (c->status == TP_OK) {
        if (m.planes == 0) {
            memcpy(c->image->codebook, q.codebook, TP_CODEBOOK_CODES);
        }
        pack_matrix(c, &m, &q);
    }
    tp__quantised_free(&q);
    c->next_beat += rows / c->image->limits.groups * m.blocks * (m.planes + 1);
    c->matrices_done++;
    uint32_t all = 6 * c->shape->layers + (c->shape->tied ? 1 : 2);
    if (c->status == TP_OK &&
        !tp__progress(c->context, "quantising", (double)c->matrices_done / all)) {
        c->status = tp__fail(c->error, TP_ERROR_CANCELLED, "cancelled while quantising");
    }
    return m;
}

// ---- layout of tensors into c->matrix ----

static void clear(struct compiler *c, uint32_t rows, uint32_t columns)
{
    memset(c->matrix, 0, (size_t)rows * columns * sizeof *c->matrix);
}

static void copy_rows(struct compiler *c, const float *from, uint32_t rows, uint32_t columns,
                      uint32_t first, uint32_t step)
{
    for (uint32_t r = 0; r < rows; r++) {
        memcpy(c->matrix + (size_t)(first + r * step) * columns, from + (size_t)r * columns,
               columns * sizeof *from);
    }
}

// Source row of query row `row` of the layout; false for padding.
static bool query_source(const struct compiler *c, uint32_t row, uint32_t *source)
{
    const struct tp_plan *plan = &c->image->plan;
    uint32_t lane = row % TP_BLOCK;
    uint32_t span = plan->head_padded < TP_BLOCK ? plan->head_padded : TP_BLOCK;
    uint32_t head = 0;
    uint32_t first = 0;
    bool is_head = tp__plan_query_head(c->shape, plan, row / TP_BLOCK, lane / span, &head, &first);
    uint32_t element = first + lane % span;
    *source = head * c->shape->head_size + element;
    return is_head && element < c->shape->head_size;
}

// The same for key and value rows.
static bool key_source(const struct compiler *c, uint32_t row, uint32_t *source)
{
    const struct tp_plan *plan = &c->image->plan;
    uint32_t head = row / plan->head_padded;
    uint32_t element = row % plan->head_padded;
    *source = head * c->shape->head_size + element;
    return head < c->shape->kv_heads && element < c->shape->head_size;
}

static struct placed place_query(struct compiler *c, uint32_t layer)
{
    const float *from = tp__source_tensor(c->model, TP_TENSOR_QUERY, layer);
    uint32_t rows = c->image->plan.query_words * TP_BLOCK;
    uint32_t dim = c->shape->dim;
    clear(c, rows, dim);
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t source = 0;
        if (query_source(c, r, &source)) {
            memcpy(c->matrix + (size_t)r * dim, from + (size_t)source * dim, dim * sizeof *from);
        }
    }
    // Scores in log2 units: the scale of the softmax goes into the queries.
    double scale = log2(exp(1.0)) / sqrt((double)c->shape->head_size);
    return place(c, rows, dim, scale, false, TP_EDGES * layer + TP_EDGE_ATTENTION_NORM, "queries");
}

static struct placed place_key_value(struct compiler *c, uint32_t layer, enum tp_tensor tensor)
{
    const float *from = tp__source_tensor(c->model, tensor, layer);
    uint32_t rows = c->image->plan.kv_words * TP_BLOCK;
    uint32_t dim = c->shape->dim;
    clear(c, rows, dim);
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t source = 0;
        if (key_source(c, r, &source)) {
            memcpy(c->matrix + (size_t)r * dim, from + (size_t)source * dim, dim * sizeof *from);
        }
    }
    return place(c, rows, dim, 1.0, false, TP_EDGES * layer + TP_EDGE_ATTENTION_NORM,
                 tensor == TP_TENSOR_KEY ? "keys" : "values");
}

// The columns of the output matrix follow the order of the query rows.
static struct placed place_output(struct compiler *c, uint32_t layer)
{
    const float *from = tp__source_tensor(c->model, TP_TENSOR_OUTPUT, layer);
    const struct tp_plan *plan = &c->image->plan;
    uint32_t columns = plan->query_words * TP_BLOCK;
    uint32_t source_columns = c->shape->heads * c->shape->head_size;
    uint32_t span = plan->head_padded < TP_BLOCK ? plan->head_padded : TP_BLOCK;
    clear(c, plan->dim_rows, columns);
    for (uint32_t column = 0; column < columns; column++) {
        uint32_t head = 0;
        uint32_t first = 0;
        uint32_t lane = column % TP_BLOCK;
        bool is_head =
            tp__plan_query_head(c->shape, plan, column / TP_BLOCK, lane / span, &head, &first);
        uint32_t element = first + lane % span;
        if (!is_head || element >= c->shape->head_size) {
            continue;
        }
        uint32_t source = head * c->shape->head_size + element;
        for (uint32_t r = 0; r < c->shape->dim; r++) {
            c->matrix[(size_t)r * columns + column] = from[(size_t)r * source_columns + source];
        }
    }
    return place(c, plan->dim_rows, columns, 1.0, false, TP_EDGES * layer + TP_EDGE_ATTENTION,
                 "attention output");
}

static struct placed place_gate(struct compiler *c, uint32_t layer)
{
    uint32_t rows = c->image->plan.gate_rows;
    clear(c, rows, c->shape->dim);
    copy_rows(c, tp__source_tensor(c->model, TP_TENSOR_GATE, layer), c->shape->hidden,
              c->shape->dim, 0, 2);
    copy_rows(c, tp__source_tensor(c->model, TP_TENSOR_UP, layer), c->shape->hidden, c->shape->dim,
              1, 2);
    return place(c, rows, c->shape->dim, 1.0, false, TP_EDGES * layer + TP_EDGE_FFN_NORM,
                 "gate and up");
}

static struct placed place_rows(struct compiler *c, enum tp_tensor tensor, uint32_t layer,
                                uint32_t rows, bool embedding, uint32_t edge)
{
    uint32_t source_rows = 0;
    uint32_t columns = 0;
    tp__tensor_size(c->shape, tensor, &source_rows, &columns);
    clear(c, rows, columns);
    copy_rows(c, tp__source_tensor(c->model, tensor, layer), source_rows, columns, 0, 1);
    return place(c, rows, columns, 1.0, embedding, edge,
                 tensor == TP_TENSOR_DOWN ? "down" : "embedding or classifier");
}

// ---- gains and constants ----

static struct gain place_gain(struct compiler *c, enum tp_tensor tensor, uint32_t layer)
{
    struct gain gain = {.base = c->next_gain};
    const float *from = tp__source_tensor(c->model, tensor, layer);
    if (c->status == TP_OK) {
        c->status = tp__quantise_gains(from, c->shape->dim, "norm gains",
                                       c->image->gains + 4 * (size_t)c->next_gain, &gain.exponent,
                                       c->error);
    }
    c->next_gain += c->image->plan.dim_blocks * (TP_BLOCK / 4);
    return gain;
}

// K means of a layer in the order of the key rows, Q16.16. Returns their place.
static uint32_t place_means(struct compiler *c, uint32_t layer)
{
    const struct tp_plan *plan = &c->image->plan;
    uint32_t rows = plan->kv_words * TP_BLOCK;
    uint32_t base = c->next_constant;
    size_t per_layer = (size_t)c->shape->kv_heads * c->shape->head_size;
    for (uint32_t r = 0; r < rows && c->calibration != NULL; r++) {
        uint32_t source = 0;
        if (key_source(c, r, &source)) {
            double mean = (double)c->calibration->key_mean[layer * per_layer + source];
            double value = floor(mean * 65536.0 + 0.5);
            value = value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value;
            c->image->centre[2 * (size_t)base + r] = (int32_t)value;
        }
    }
    c->next_constant += rows / 2;
    return base;
}

static void place_frequencies(struct compiler *c)
{
    uint32_t pairs = c->image->plan.head_padded / 2;
    for (uint32_t j = 0; j < pairs; j++) {
        if (j >= c->shape->head_size / 2) {
            c->image->frequency[j] = 0;
            continue;
        }
        double turns = tp__source_frequency(c->model, j) / (2.0 * acos(-1.0));
        c->image->frequency[j] = (uint32_t)(uint64_t)floor(turns * 4294967296.0 + 0.5);
    }
}

// ---- instructions ----

static uint32_t *append(struct compiler *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static uint32_t *append(struct compiler *c, const char *format, ...)
{
    struct tp_image *image = c->image;
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
                              .norm = gain != NULL,
                              .align = 15 + m->alignment,
                              .z_shift = m->exponent - (int32_t)m->alignment +
                                         (gain != NULL ? gain->exponent - 31 : 0),
                              .weight_base = m->weight_base,
                              .blocks = m->blocks,
                              .rows = m->rows};
    return op;
}

static void emit_norm(struct compiler *c, const struct gain *gain, uint32_t cap, bool logits,
                      const char *note, uint32_t layer)
{
    double epsilon = (double)c->shape->dim * (double)c->shape->norm_epsilon * 4294967296.0;
    struct tp_op_norm op = {.opcode = TP_OP_NORM,
                            .drain = 1,
                            .logits = logits,
                            .shift = NORM_SHIFT,
                            .blocks = c->image->plan.dim_blocks,
                            .cap = cap,
                            .gain_base = gain->base,
                            .epsilon = (uint64_t)floor(epsilon + 0.5)};
    tp_norm_pack(&op,
                 logits ? append(c, "%s", note) : append(c, "layer %" PRIu32 ": %s", layer, note));
}

static void emit_attention(struct compiler *c, uint32_t layer)
{
    const struct tp_plan *plan = &c->image->plan;
    uint32_t kv_base = layer * plan->kv_words * plan->kv_stride;
    struct gain gain = place_gain(c, TP_TENSOR_NORM_ATTENTION, layer);
    struct placed query = place_query(c, layer);
    struct placed key = place_key_value(c, layer, TP_TENSOR_KEY);
    struct placed value = place_key_value(c, layer, TP_TENSOR_VALUE);
    struct placed output = place_output(c, layer);
    if (c->status != TP_OK) {
        return;
    }
    // One quantised vector feeds three matrices: the smallest cap, and alignments to match it.
    uint32_t cap = query.cap < key.cap ? query.cap : key.cap;
    cap = value.cap < cap ? value.cap : cap;
    emit_norm(c, &gain, cap, false, "norm", layer);

    struct tp_op_matvec op = matvec(&query, TP_DEST_QUERY, TP_SOURCE_NORM, &gain);
    op.head_log2 = plan->head_log2;
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": queries", layer));

    op = matvec(&key, TP_DEST_KEY, TP_SOURCE_NORM, &gain);
    op.drain = 0;
    op.head_log2 = plan->head_log2;
    op.exponent_base = KV_EXPONENT_BASE;
    op.centre = 1;
    op.constant_base = place_means(c, layer);
    op.kv_base = kv_base;
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": keys", layer));

    op = matvec(&value, TP_DEST_VALUE, TP_SOURCE_NORM, &gain);
    op.drain = 0;
    op.head_log2 = plan->head_log2;
    op.exponent_base = KV_EXPONENT_BASE;
    op.kv_base = kv_base;
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": values", layer));

    struct tp_op_attention attention = {.opcode = TP_OP_ATTENTION,
                                        .drain = 1,
                                        .sets = plan->sets - 1,
                                        .shift = 25,
                                        .words = plan->kv_words,
                                        .turns = plan->turns,
                                        .cap = output.cap,
                                        .head_log2 = plan->head_log2,
                                        .key_base = KV_EXPONENT_BASE,
                                        .value_base = KV_EXPONENT_BASE,
                                        .kv_base = kv_base};
    tp_attention_pack(&attention, append(c, "layer %" PRIu32 ": attention", layer));

    op = matvec(&output, TP_DEST_RESIDUAL, TP_SOURCE_ATTENTION, NULL);
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": output, x +=", layer));
}

static void emit_ffn(struct compiler *c, uint32_t layer)
{
    struct gain gain = place_gain(c, TP_TENSOR_NORM_FFN, layer);
    struct placed gate = place_gate(c, layer);
    struct placed down = place_rows(c, TP_TENSOR_DOWN, layer, c->image->plan.dim_rows, false,
                                    TP_EDGES * layer + TP_EDGE_FFN);
    if (c->status != TP_OK) {
        return;
    }
    emit_norm(c, &gain, gate.cap, false, "norm", layer);
    struct tp_op_matvec op = matvec(&gate, TP_DEST_GATE, TP_SOURCE_NORM, &gain);
    op.cap = down.cap;
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": gate and up, SwiGLU", layer));
    op = matvec(&down, TP_DEST_RESIDUAL, TP_SOURCE_FFN, NULL);
    tp_matvec_pack(&op, append(c, "layer %" PRIu32 ": down, x +=", layer));
}

static void emit_program(struct compiler *c)
{
    const struct tp_plan *plan = &c->image->plan;
    uint32_t last_edge = TP_EDGES * c->shape->layers;
    struct placed classifier =
        place_rows(c, c->shape->tied ? TP_TENSOR_EMBEDDING : TP_TENSOR_CLASSIFIER, 0,
                   plan->vocab_rows, true, last_edge);
    struct placed embedding =
        c->shape->tied ? classifier
                       : place_rows(c, TP_TENSOR_EMBEDDING, 0, plan->vocab_rows, true, last_edge);
    struct tp_op_angles angles = {.opcode = TP_OP_ANGLES, .pairs = plan->head_padded / 2};
    tp_angles_pack(&angles, append(c, "rotation of this position"));
    struct tp_op_embed embed = {.opcode = TP_OP_EMBED,
                                .planes = embedding.planes,
                                .shift = embedding.exponent - RESIDUAL_SHIFT,
                                .weight_base = embedding.weight_base,
                                .blocks = embedding.blocks};
    tp_embed_pack(&embed, append(c, "x = embedding of the token"));
    for (uint32_t layer = 0; layer < c->shape->layers && c->status == TP_OK; layer++) {
        emit_attention(c, layer);
        emit_ffn(c, layer);
    }
    if (c->status != TP_OK) {
        return;
    }
    struct gain gain = place_gain(c, TP_TENSOR_NORM_FINAL, 0);
    if (c->status != TP_OK) {
        return;
    }
    emit_norm(c, &gain, classifier.cap, true, "final norm", 0);
    struct tp_op_matvec op = matvec(&classifier, TP_DEST_LOGITS, TP_SOURCE_NORM, &gain);
    op.logits = 1;
    op.epsilon = c->shape->vocab;
    tp_matvec_pack(&op, append(c, "classifier and sampler"));
    struct tp_op_any end = {.opcode = TP_OP_END, .drain = 1};
    tp_any_pack(&end, append(c, "end"));
}

// ---- the whole ----

// Elements of the largest laid out matrix.
static size_t matrix_elements(const struct tp_model_shape *shape, const struct tp_plan *plan)
{
    size_t query_elements = (size_t)plan->query_words * TP_BLOCK;
    size_t most = (size_t)plan->vocab_rows * shape->dim;
    const size_t others[] = {query_elements * shape->dim, plan->dim_rows * query_elements,
                             (size_t)plan->gate_rows * shape->dim,
                             (size_t)plan->dim_rows * shape->hidden,
                             (size_t)plan->kv_words * TP_BLOCK * shape->dim};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        most = others[i] > most ? others[i] : most;
    }
    return most;
}

static struct tp_image *create_image(const struct tp_plan *plan, const struct tp_limits *limits,
                                     uint32_t vocab)
{
    struct tp_image *image = calloc(1, sizeof *image);
    if (image == NULL) {
        return NULL;
    }
    image->plan = *plan;
    image->limits = *limits;
    image->vocab = vocab;
    image->lanes = 4 * limits->groups + (limits->groups + 3) / 4;
    image->program = calloc(plan->program_count, sizeof(uint32_t) * TP_INSTRUCTION_WORDS);
    image->notes = calloc(plan->program_count, TP_NOTE_BYTES);
    image->weights = calloc((size_t)plan->weight_beats * image->lanes, sizeof *image->weights);
    image->gains = calloc((size_t)plan->gain_quads * 4, sizeof *image->gains);
    image->centre = calloc((size_t)plan->constant_pairs * 2, sizeof *image->centre);
    if (!image->program || !image->notes || !image->weights || !image->gains || !image->centre) {
        tp__image_free(image);
        return NULL;
    }
    return image;
}

tp_status tp__compile(const tp_context *context, const struct tp_source_model *model,
                      const struct tp_load_options *options, const struct tp_limits *limits,
                      uint32_t head_log2_max, const struct tp_calibration *calibration,
                      struct tp_image **image, struct tp_error *error)
{
    if (model->shape.has_bias || model->shape.has_head_norm) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s: architecture %s: %s cannot be compiled yet", model->name,
                        model->architecture,
                        model->shape.has_bias ? "a bias of queries" : "a norm of heads");
    }
    struct tp_plan plan;
    tp_status status = tp__plan(&model->shape, options, limits, head_log2_max, &plan, error);
    if (status != TP_OK) {
        return status;
    }
    struct compiler c = {.context = context,
                         .model = model,
                         .shape = &model->shape,
                         .options = options,
                         .calibration = calibration,
                         .error = error,
                         .status = TP_OK};
    c.image = create_image(&plan, limits, model->shape.vocab);
    c.matrix = calloc(matrix_elements(&model->shape, &plan), sizeof *c.matrix);
    if (c.image == NULL || c.matrix == NULL) {
        tp__image_free(c.image);
        free(c.matrix);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the image");
    }
    place_frequencies(&c);
    emit_program(&c);
    free(c.matrix);
    if (c.status != TP_OK) {
        tp__image_free(c.image);
        return c.status;
    }
    *image = c.image;
    return TP_OK;
}

// SPDX-License-Identifier: Apache-2.0
//
// Writing a model as a GGUF file, version 3, all numbers float32.
//
// Metadata and tensor descriptions are walked twice: once to count them, since their numbers and
// the offsets of the tensors come first in the file, and once to write them.

#include "export_gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "architecture.h"
#include "gguf.h"
#include "layout.h"

enum { VERSION = 3, ALIGNMENT = 32, KEY_BYTES = 96, FILE_TYPE_F32 = 0, TENSOR_TYPE_F32 = 0 };

struct exporter {
    const struct tp_source_model *model;
    const struct tp_tokenizer *tokenizer;  // or NULL
    float *scores;                         // [vocab] of its pieces, or NULL
    const char *architecture;
    bool is_half_split;  // files of this architecture pair elements j and j + head_size / 2
    double linear;       // frequencies are the plain ones divided by this; 0: a table of factors
    bool is_counting;    // nothing is written, only counted
    uint64_t key_count;
    uint64_t tensor_count;
    uint64_t data_offset;  // of the next tensor
    struct tp_file_writer writer;
};

// ---- numbers and strings; the host is little-endian, as loader.c asserts ----

static void put(struct exporter *e, const void *data, size_t size)
{
    if (!e->is_counting) {
        tp__writer_put(&e->writer, data, size);
    }
}

static void put_u32(struct exporter *e, uint32_t value)
{
    put(e, &value, sizeof value);
}

static void put_u64(struct exporter *e, uint64_t value)
{
    put(e, &value, sizeof value);
}

static void put_string(struct exporter *e, const char *text, size_t size)
{
    put_u64(e, size);
    put(e, text, size);
}

static void pad(struct exporter *e)
{
    static const char zeros[ALIGNMENT] = {0};
    if (!e->is_counting) {
        put(e, zeros, (ALIGNMENT - e->writer.size % ALIGNMENT) % ALIGNMENT);
    }
}

// ---- metadata ----

static void put_key(struct exporter *e, const char *key, enum tp_gguf_type type)
{
    e->key_count += e->is_counting ? 1 : 0;
    put_string(e, key, strlen(key));
    put_u32(e, type);
}

static void put_array_key(struct exporter *e, const char *key, enum tp_gguf_type type,
                          uint64_t count)
{
    put_key(e, key, TP_GGUF_ARRAY);
    put_u32(e, type);
    put_u64(e, count);
}

static void put_text(struct exporter *e, const char *key, const char *text)
{
    put_key(e, key, TP_GGUF_STRING);
    put_string(e, text, strlen(text));
}

static void put_number(struct exporter *e, const char *key, uint32_t value)
{
    put_key(e, key, TP_GGUF_U32);
    put_u32(e, value);
}

static void put_float(struct exporter *e, const char *key, float value)
{
    put_key(e, key, TP_GGUF_F32);
    put(e, &value, sizeof value);
}

static void put_flag(struct exporter *e, const char *key, bool value)
{
    uint8_t byte = value;
    put_key(e, key, TP_GGUF_BOOL);
    put(e, &byte, 1);
}

// "llama.block_count"
static const char *key_of(const struct exporter *e, const char *name, char key[KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "%s.%s", e->architecture, name);
    return key;
}

static void put_shape(struct exporter *e)
{
    const struct tp_model_shape *shape = &e->model->shape;
    const struct {
        const char *name;
        uint32_t value;
    } sizes[] = {
        {"vocab_size", shape->vocab},
        {"context_length", shape->context},
        {"embedding_length", shape->dim},
        {"block_count", shape->layers},
        {"feed_forward_length", shape->hidden},
        {"attention.head_count", shape->heads},
        {"attention.head_count_kv", shape->kv_heads},
        {"attention.key_length", shape->head_size},
        {"attention.value_length", shape->head_size},
        {"rope.dimension_count", shape->head_size},
    };
    char key[KEY_BYTES];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_number(e, key_of(e, sizes[i].name, key), sizes[i].value);
    }
    put_float(e, key_of(e, "attention.layer_norm_rms_epsilon", key), shape->norm_epsilon);
    put_float(e, key_of(e, "rope.freq_base", key), shape->rope_base);
    if (e->linear != 0 && e->linear != 1) {
        put_text(e, key_of(e, "rope.scaling.type", key), "linear");
        put_float(e, key_of(e, "rope.scaling.factor", key), (float)e->linear);
    }
}

// ---- tokenizer ----

// token_type of GGUF
static uint32_t piece_type(const struct tp_tokenizer *tokenizer, uint32_t id)
{
    if (id >= tokenizer->count) {
        return 5;  // a row of the model that the tokenizer does not name
    }
    switch ((enum tp_piece_kind)tokenizer->kinds[id]) {
    case TP_PIECE_UNKNOWN:
        return 2;
    case TP_PIECE_CONTROL:
        return 3;
    case TP_PIECE_USER:
        return 4;
    case TP_PIECE_UNUSED:
        return 5;
    case TP_PIECE_BYTE:
        return 6;
    default:
        return 1;
    }
}

// Spaces are written as U+2581.
static void put_spaced_piece(struct exporter *e, struct tp_string piece)
{
    static const char mark[] = "\xe2\x96\x81";
    size_t spaces = 0;
    for (size_t i = 0; i < piece.size; i++) {
        spaces += piece.text[i] == ' ' ? 1 : 0;
    }
    put_u64(e, piece.size + spaces * (sizeof mark - 2));
    for (size_t i = 0; i < piece.size; i++) {
        bool is_space = piece.text[i] == ' ';
        put(e, is_space ? mark : piece.text + i, is_space ? sizeof mark - 1 : 1);
    }
}

static size_t encode_bytes(struct tp_string piece, char text[2 * TP_PIECE_BYTES_MAX])
{
    return tp__byte_alphabet_encode(piece.text, piece.size, text);
}

static void put_piece(struct exporter *e, uint32_t id)
{
    const struct tp_tokenizer *t = e->tokenizer;
    char text[2 * TP_PIECE_BYTES_MAX];
    if (id >= t->count) {
        int size = snprintf(text, sizeof text, "[PAD%u]", (unsigned)id);
        put_string(e, text, (size_t)size);
        return;
    }
    struct tp_string piece = tp__tokenizer_piece(t, id);
    if (t->kind != TP_TOKENIZER_BYTE_PAIRS) {
        put_spaced_piece(e, piece);
    } else if (t->kinds[id] == TP_PIECE_NORMAL) {
        put_string(e, text, encode_bytes(piece, text));
    } else {
        put_string(e, piece.text, piece.size);
    }
}

// Ranks of character pairs become the scores that they were made from: the first merge to a piece
// has its score, and lower ranks have higher ones.
static tp_status make_scores(const struct tp_tokenizer *tokenizer, uint32_t count, float **scores,
                             struct tp_error *error)
{
    float *made = calloc(count, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the scores of %u pieces",
                        (unsigned)count);
    }
    memcpy(made, tokenizer->scores, tokenizer->count * sizeof *made);
    for (uint32_t rank = tokenizer->merges.count; rank-- > 0;) {
        made[tokenizer->merges.list[rank].result] = -(float)rank;
    }
    *scores = made;
    return TP_OK;
}

static void put_merges(struct exporter *e)
{
    const struct tp_merges *merges = &e->tokenizer->merges;
    put_array_key(e, "tokenizer.ggml.merges", TP_GGUF_STRING, merges->count);
    for (uint32_t i = 0; i < merges->count; i++) {
        char left[2 * TP_PIECE_BYTES_MAX];
        char right[2 * TP_PIECE_BYTES_MAX];
        const struct tp_merge *merge = &merges->list[i];
        size_t left_size = encode_bytes(tp__tokenizer_piece(e->tokenizer, merge->left), left);
        size_t right_size = encode_bytes(tp__tokenizer_piece(e->tokenizer, merge->right), right);
        put_u64(e, left_size + 1 + right_size);
        put(e, left, left_size);
        put(e, " ", 1);
        put(e, right, right_size);
    }
}

static void put_pieces(struct exporter *e)
{
    const struct tp_tokenizer *t = e->tokenizer;
    uint32_t count = e->model->shape.vocab;
    put_array_key(e, "tokenizer.ggml.tokens", TP_GGUF_STRING, count);
    for (uint32_t id = 0; id < count; id++) {
        put_piece(e, id);
    }
    put_array_key(e, "tokenizer.ggml.token_type", TP_GGUF_I32, count);
    for (uint32_t id = 0; id < count; id++) {
        put_u32(e, piece_type(t, id));
    }
    if (t->kind == TP_TOKENIZER_BYTE_PAIRS) {
        put_merges(e);
    } else {
        put_array_key(e, "tokenizer.ggml.scores", TP_GGUF_F32, count);
        put(e, e->scores, count * sizeof *e->scores);
    }
}

static void put_tokenizer(struct exporter *e)
{
    const struct tp_tokenizer *t = e->tokenizer;
    bool by_byte = t->kind == TP_TOKENIZER_BYTE_PAIRS;
    put_text(e, "tokenizer.ggml.model", by_byte ? "gpt2" : "llama");
    if (by_byte) {
        put_text(e, "tokenizer.ggml.pre", tp__split_name(t->split));
    }
    put_pieces(e);
    put_number(e, "tokenizer.ggml.bos_token_id", t->bos);
    put_number(e, "tokenizer.ggml.eos_token_id", t->eos);
    if (t->turn_end != TP_TOKEN_NONE) {
        put_number(e, "tokenizer.ggml.eot_token_id", t->turn_end);
    }
    if (t->unknown != TP_TOKEN_NONE) {
        put_number(e, "tokenizer.ggml.unknown_token_id", t->unknown);
    }
    put_flag(e, "tokenizer.ggml.add_bos_token", t->add_bos);
    put_flag(e, "tokenizer.ggml.add_space_prefix", t->add_space);
}

// Ours: what an image holds besides weights, in the order of its own numbers.
static void put_constants(struct exporter *e)
{
    const struct tp_model_shape *shape = &e->model->shape;
    size_t means = (size_t)shape->layers * shape->kv_heads * shape->head_size;
    put_array_key(e, TP_GGUF_KEY_MEANS, TP_GGUF_F32, means);
    put(e, e->model->key_means, means * sizeof *e->model->key_means);
    put_array_key(e, TP_GGUF_EXPONENT_MAX, TP_GGUF_U8, tp__edge_count(shape));
    put(e, e->model->exponent_max, tp__edge_count(shape));
}

static void put_metadata(struct exporter *e)
{
    put_text(e, "general.architecture", e->architecture);
    put_text(e, "general.name", e->model->name);
    put_number(e, "general.alignment", ALIGNMENT);
    put_number(e, "general.file_type", FILE_TYPE_F32);
    put_shape(e);
    if (e->tokenizer != NULL) {
        put_tokenizer(e);
    }
    if (e->model->key_means != NULL) {
        put_constants(e);
    }
}

// ---- tensors ----

typedef void (*tensor_visitor)(struct exporter *e, enum tp_tensor tensor, uint32_t layer);

static bool is_written(const struct exporter *e, enum tp_tensor tensor)
{
    return tp__tensor_exists(&e->model->shape, tensor) &&
           !(tensor == TP_TENSOR_CLASSIFIER && e->model->shape.tied);
}

// In the order of the forward pass.
static void visit_tensors(struct exporter *e, tensor_visitor visit)
{
    static const enum tp_tensor last[] = {TP_TENSOR_NORM_FINAL, TP_TENSOR_CLASSIFIER};
    visit(e, TP_TENSOR_EMBEDDING, 0);
    for (uint32_t layer = 0; layer < e->model->shape.layers; layer++) {
        for (enum tp_tensor tensor = TP_TENSOR_NORM_ATTENTION; tensor < TP_TENSOR_COUNT; tensor++) {
            if (is_written(e, tensor)) {
                visit(e, tensor, layer);
            }
        }
    }
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        if (is_written(e, last[i])) {
            visit(e, last[i], 0);
        }
    }
}

static void put_description(struct exporter *e, const char *name, uint32_t rows, uint32_t columns)
{
    e->tensor_count += e->is_counting ? 1 : 0;
    put_string(e, name, strlen(name));
    put_u32(e, rows == 1 ? 1 : 2);
    put_u64(e, columns);
    if (rows != 1) {
        put_u64(e, rows);
    }
    put_u32(e, TENSOR_TYPE_F32);
    put_u64(e, e->data_offset);
    uint64_t bytes = (uint64_t)rows * columns * sizeof(float);
    e->data_offset += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void describe(struct exporter *e, enum tp_tensor tensor, uint32_t layer)
{
    char name[TP_TENSOR_NAME_BYTES];
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__tensor_name(tensor, layer, name);
    tp__tensor_size(&e->model->shape, tensor, &rows, &columns);
    put_description(e, name, rows, columns);
}

static bool is_rotated(enum tp_tensor tensor)
{
    switch (tensor) {
    case TP_TENSOR_QUERY:
    case TP_TENSOR_KEY:
    case TP_TENSOR_QUERY_BIAS:
    case TP_TENSOR_KEY_BIAS:
    case TP_TENSOR_QUERY_NORM:
    case TP_TENSOR_KEY_NORM:
        return true;
    default:
        return false;
    }
}

// Elements of each head in half-split order: the loader's pairing backwards. unit is the floats of
// an element: the columns of a matrix, 1 in a vector.
static void put_half_split(struct exporter *e, const float *weights, uint32_t elements,
                           uint32_t unit)
{
    uint32_t size = e->model->shape.head_size;
    for (uint32_t i = 0; i < elements; i++) {
        uint32_t j = i % size;
        uint32_t paired = j < size / 2 ? 2 * j : 2 * (j - size / 2) + 1;
        size_t source = (size_t)(i - j) + paired;
        put(e, weights + source * unit, unit * sizeof *weights);
    }
}

static void put_numbers(struct exporter *e, enum tp_tensor tensor, uint32_t layer)
{
    const float *weights = tp__source_tensor(e->model, tensor, layer);
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__tensor_size(&e->model->shape, tensor, &rows, &columns);
#ifdef TP_PLANT_BUG
    bool is_split = is_rotated(tensor);
#else
    bool is_split = e->is_half_split && is_rotated(tensor);
#endif
    if (is_split) {
        bool is_vector = rows == 1;
        put_half_split(e, weights, is_vector ? columns : rows, is_vector ? 1 : columns);
    } else {
        put(e, weights, (size_t)rows * columns * sizeof *weights);
    }
    pad(e);
}

// ---- frequencies ----

static double plain_frequency(const struct tp_model_shape *shape, uint32_t pair)
{
    return pow((double)shape->rope_base, -2.0 * pair / shape->head_size);
}

static float frequency_factor(const struct tp_source_model *model, uint32_t pair)
{
    return (float)(plain_frequency(&model->shape, pair) / tp__source_frequency(model, pair));
}

// The factor that divides all frequencies alike, or 0 when they have one each.
static double linear_factor(const struct tp_source_model *model)
{
    float first = frequency_factor(model, 0);
    for (uint32_t pair = 1; pair < model->shape.head_size / 2; pair++) {
        if (frequency_factor(model, pair) != first) {
            return 0;
        }
    }
    return (double)first;
}

static const char frequencies_name[] = "rope_freqs.weight";

static void put_frequencies(struct exporter *e)
{
    for (uint32_t pair = 0; pair < e->model->shape.head_size / 2; pair++) {
        float factor = frequency_factor(e->model, pair);
        put(e, &factor, sizeof factor);
    }
    pad(e);
}

// ---- the whole ----

static void put_header(struct exporter *e)
{
    put(e, "GGUF", 4);
    put_u32(e, VERSION);
    put_u64(e, e->tensor_count);
    put_u64(e, e->key_count);
    put_metadata(e);
    e->data_offset = 0;
    visit_tensors(e, describe);
    if (e->linear == 0) {
        put_description(e, frequencies_name, 1, e->model->shape.head_size / 2);
    }
    pad(e);
}

tp_status tp__export_gguf(const struct tp_source_model *model, const struct tp_tokenizer *tokenizer,
                          const char *path, struct tp_error *error)
{
    struct exporter e = {.model = model, .tokenizer = tokenizer, .linear = linear_factor(model)};
    const struct tp_architecture *architecture = NULL;
    struct tp_string name = {model->architecture, strlen(model->architecture)};
    tp_status status = tp__architecture_find(model->name, name, &architecture, error);
    if (status != TP_OK) {
        return status;
    }
    // GGUF files of Mistral models are llama ones.
    e.architecture = strcmp(architecture->name, "mistral") == 0 ? "llama" : architecture->name;
    e.is_half_split = architecture->is_half_split;
    if (tokenizer != NULL && tokenizer->kind != TP_TOKENIZER_BYTE_PAIRS) {
        status = make_scores(tokenizer, model->shape.vocab, &e.scores, error);
        if (status != TP_OK) {
            return status;
        }
    }
    e.is_counting = true;
    put_header(&e);
    e.is_counting = false;
    tp__writer_open(&e.writer, path, error);
    put_header(&e);
    visit_tensors(&e, put_numbers);
    if (e.linear == 0) {
        put_frequencies(&e);
    }
    free(e.scores);
    return tp__writer_close(&e.writer, TP_OK);
}

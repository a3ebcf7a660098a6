// SPDX-License-Identifier: Apache-2.0
//
// Small model and tokenizer files that tests make themselves, and the way to real ones.

#define _POSIX_C_SOURCE 200809L

#include "model_files.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "random.h"

enum { NAME_BYTES = 64, FIRST_CHARACTER = 259 };

/* ---- bytes ---- */

void tp_test_put(struct tp_test_bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size > bytes->room) {
        bytes->room = 2 * (bytes->size + size) + 64;
        bytes->data = realloc(bytes->data, bytes->room);
        assert(bytes->data != NULL);
    }
    if (size > 0) memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void tp_test_put_u32(struct tp_test_bytes *bytes, uint32_t value)
{
    uint8_t data[4];
    for (int i = 0; i < 4; i++) data[i] = (uint8_t)(value >> 8 * i);
    tp_test_put(bytes, data, sizeof data);
}

void tp_test_put_u64(struct tp_test_bytes *bytes, uint64_t value)
{
    tp_test_put_u32(bytes, (uint32_t)value);
    tp_test_put_u32(bytes, (uint32_t)(value >> 32));
}

void tp_test_put_f32(struct tp_test_bytes *bytes, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    tp_test_put_u32(bytes, bits);
}

void tp_test_put_string(struct tp_test_bytes *bytes, const char *text)
{
    tp_test_put_u64(bytes, strlen(text));
    tp_test_put(bytes, text, strlen(text));
}

void tp_test_bytes_free(struct tp_test_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct tp_test_bytes){0};
}

/* ---- the model ---- */

static bool is_per_layer(enum tp_test_tensor tensor)
{
    bool is_matrix_or_norm = tensor >= TP_TEST_NORM_ATTENTION && tensor <= TP_TEST_UP;
    return is_matrix_or_norm || tensor >= TP_TEST_QUERY_BIAS;
}

uint32_t tp_test_tensor_layers(const struct tp_test_model *model, enum tp_test_tensor tensor)
{
    return is_per_layer(tensor) ? model->layers : 1;
}

bool tp_test_tensor_exists(const struct tp_test_model *model, enum tp_test_tensor tensor)
{
    if (tensor >= TP_TEST_QUERY_NORM) return model->has_head_norm;
    return tensor < TP_TEST_QUERY_BIAS || model->has_bias;
}

static uint32_t head_size(const struct tp_test_model *model)
{
    return model->head_size != 0 ? model->head_size : model->dim / model->heads;
}

void tp_test_tensor_size(const struct tp_test_model *model, enum tp_test_tensor tensor,
                         uint32_t *rows, uint32_t *columns)
{
    uint32_t query_size = head_size(model) * model->heads;
    uint32_t kv_size = head_size(model) * model->kv_heads;
    *rows = model->dim;
    *columns = model->dim;
    if (tensor == TP_TEST_EMBEDDING || tensor == TP_TEST_CLASSIFIER) *rows = model->vocab;
    if (tensor == TP_TEST_QUERY) *rows = query_size;
    if (tensor == TP_TEST_OUTPUT) *columns = query_size;
    if (tensor == TP_TEST_KEY || tensor == TP_TEST_VALUE) *rows = kv_size;
    if (tensor == TP_TEST_GATE || tensor == TP_TEST_UP) *rows = model->hidden;
    if (tensor == TP_TEST_DOWN) *columns = model->hidden;
    bool is_norm = tensor == TP_TEST_NORM_ATTENTION || tensor == TP_TEST_NORM_FFN ||
                   tensor == TP_TEST_NORM_FINAL;
    if (is_norm || tensor >= TP_TEST_QUERY_BIAS) *rows = 1;
    if (tensor == TP_TEST_QUERY_BIAS) *columns = query_size;
    if (tensor == TP_TEST_KEY_BIAS || tensor == TP_TEST_VALUE_BIAS) *columns = kv_size;
    if (tensor >= TP_TEST_QUERY_NORM) *columns = head_size(model);
}

/* Each number has a stream of its own. Tensors that came later follow behind the others, whose
 * weights stay as they were. */
static void init_random(const struct tp_test_model *model, enum tp_test_tensor tensor,
                        uint32_t layer, uint32_t row, uint32_t column, struct tp_random *random)
{
    uint64_t place = tensor < TP_TEST_QUERY_BIAS ? layer * (uint64_t)TP_TEST_QUERY_BIAS + tensor
                                                 : ((uint64_t)layer << 16) + (1u << 12) + tensor;
    tp_random_init(random, model->seed + ((uint64_t)row << 32) + column, place);
}

float tp_test_weight(const struct tp_test_model *model, enum tp_test_tensor tensor, uint32_t layer,
                     uint32_t row, uint32_t column)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    if (tensor == TP_TEST_CLASSIFIER && !model->is_untied) tensor = TP_TEST_EMBEDDING;
    struct tp_random random;
    init_random(model, tensor, layer, row, column, &random);
    double uniform = (double)tp_random_range(&random, -(1 << 24), 1 << 24) / (1 << 24);
    bool is_bias = tensor >= TP_TEST_QUERY_BIAS && tensor <= TP_TEST_VALUE_BIAS;
    if (is_bias) return (float)(0.5 * uniform);
    if (rows == 1) return (float)(1.0 + 0.25 * uniform);
    if (tensor == TP_TEST_EMBEDDING) return (float)uniform;
    return (float)(2.0 * uniform / sqrt(columns));
}

static bool is_vector(const struct tp_test_model *model, enum tp_test_tensor tensor)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    return rows == 1;
}

/* Vectors, and rows that are no whole blocks, are float32, as converters do it. */
static enum tp_number_type type_of(const struct tp_test_model *model, enum tp_number_type type,
                                   enum tp_test_tensor tensor)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    bool is_whole = columns % tp__number_format(type)->elements == 0;
    return rows == 1 || !is_whole ? TP_NUMBER_F32 : type;
}

/* A random block whose scales are around 2^-7. */
static void make_block(enum tp_number_type type, struct tp_random *random,
                       uint8_t block[TP_NUMBER_BLOCK_BYTES_MAX])
{
    const struct tp_number_format *format = tp__number_format(type);
    for (uint32_t i = 0; i < format->bytes; i++) block[i] = (uint8_t)tp_random_u32(random);
    bool has_minimum = type == TP_NUMBER_Q4_1 || type == TP_NUMBER_Q5_1 || type == TP_NUMBER_Q4_K ||
                       type == TP_NUMBER_Q5_K;
    uint32_t scale = type == TP_NUMBER_Q6_K ? 209 : 1;
    if (type == TP_NUMBER_MXFP4) {
        block[0] = (uint8_t)(120 + (block[0] & 3));
    } else {
        block[scale] = (uint8_t)(0x20 | (block[scale] & 3));
    }
    if (has_minimum) block[3] = (uint8_t)(0x20 | (block[3] & 3));
}

/* The bytes of a row with numbers of that type. */
static void put_row(const struct tp_test_model *model, enum tp_number_type type,
                    enum tp_test_tensor tensor, uint32_t layer, uint32_t row,
                    struct tp_test_bytes *file)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    type = type_of(model, type, tensor);
    uint32_t step = tp__number_format(type)->elements;
    for (uint32_t column = 0; column < columns; column += step) {
        float weight = tp_test_weight(model, tensor, layer, row, column);
        uint8_t block[TP_NUMBER_BLOCK_BYTES_MAX];
        uint16_t half = tp__half_of_float(weight);
        struct tp_random random;
        memcpy(block, &weight, sizeof weight);
        if (type == TP_NUMBER_BF16) memmove(block, block + 2, 2);
        if (type == TP_NUMBER_F16) memcpy(block, &half, sizeof half);
        if (step > 1) {
            bool is_copy = tensor == TP_TEST_CLASSIFIER && !model->is_untied;
            init_random(model, is_copy ? TP_TEST_EMBEDDING : tensor, layer, row, column, &random);
            make_block(type, &random, block);
        }
        tp_test_put(file, block, tp__number_format(type)->bytes);
    }
}

void tp_test_row(const struct tp_test_model *model, enum tp_number_type type,
                 enum tp_test_tensor tensor, uint32_t layer, uint32_t row, float *out)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    struct tp_test_bytes bytes = {0};
    put_row(model, type, tensor, layer, row, &bytes);
    tp__number_expand(type_of(model, type, tensor), bytes.data, columns, out);
    tp_test_bytes_free(&bytes);
}

/* Which row, or element of a vector, a file with the halves of heads apart has in that place. */
static uint32_t half_split_source(const struct tp_test_model *model, uint32_t place)
{
    uint32_t size = head_size(model);
    uint32_t element = place % size;
    uint32_t pair = element % (size / 2);
    return place - element + 2 * pair + (element < size / 2 ? 0 : 1);
}

static bool is_rotated(enum tp_test_tensor tensor)
{
    return tensor == TP_TEST_QUERY || tensor == TP_TEST_KEY || tensor == TP_TEST_QUERY_BIAS ||
           tensor == TP_TEST_KEY_BIAS || tensor >= TP_TEST_QUERY_NORM;
}

static void put_typed(const struct tp_test_model *model, enum tp_number_type type,
                      enum tp_test_tensor tensor, uint32_t layer, struct tp_test_bytes *file)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    for (uint32_t row = 0; row < rows; row++) put_row(model, type, tensor, layer, row, file);
}

void tp_test_put_half_split(const struct tp_test_model *model, enum tp_number_type type,
                            enum tp_test_tensor tensor, uint32_t layer, struct tp_test_bytes *file)
{
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(model, tensor, &rows, &columns);
    if (!is_rotated(tensor)) {
        put_typed(model, type, tensor, layer, file);
        return;
    }
    for (uint32_t row = 0; rows > 1 && row < rows; row++) {
        put_row(model, type, tensor, layer, half_split_source(model, row), file);
    }
    for (uint32_t i = 0; rows == 1 && i < columns; i++) {
        uint32_t source = half_split_source(model, i);
        tp_test_put_f32(file, tp_test_weight(model, tensor, layer, 0, source));
    }
}

static void put_tensor(const struct tp_test_model *model, enum tp_test_tensor tensor,
                       uint32_t layer, struct tp_test_bytes *file)
{
    put_typed(model, TP_NUMBER_F32, tensor, layer, file);
}

static void put_layers(const struct tp_test_model *model, enum tp_test_tensor tensor,
                       struct tp_test_bytes *file)
{
    uint32_t layers = tp_test_tensor_layers(model, tensor);
    for (uint32_t layer = 0; layer < layers; layer++) put_tensor(model, tensor, layer, file);
}

static void put_sizes(const struct tp_test_model *model, uint32_t vocab, struct tp_test_bytes *file)
{
    tp_test_put_u32(file, model->dim);
    tp_test_put_u32(file, model->hidden);
    tp_test_put_u32(file, model->layers);
    tp_test_put_u32(file, model->heads);
    tp_test_put_u32(file, model->kv_heads);
    tp_test_put_u32(file, vocab);
    tp_test_put_u32(file, model->context);
}

static void write_version_0(const struct tp_test_model *model, struct tp_test_bytes *file)
{
    put_sizes(model, model->is_untied ? 0u - model->vocab : model->vocab, file);
    for (enum tp_test_tensor tensor = 0; tensor <= TP_TEST_NORM_FINAL; tensor++) {
        put_layers(model, tensor, file);
    }
    // The rotation tables, which a loader must step over: numbers that would show.
    uint32_t rotations = model->context * (model->dim / model->heads / 2) * 2;
    for (uint32_t i = 0; i < rotations; i++) tp_test_put_f32(file, 1000.0f);
    if (model->is_untied) put_layers(model, TP_TEST_CLASSIFIER, file);
}

static const enum tp_test_tensor order_1[] = {
    TP_TEST_NORM_ATTENTION, TP_TEST_NORM_FFN, TP_TEST_NORM_FINAL, TP_TEST_EMBEDDING,
    TP_TEST_QUERY,          TP_TEST_KEY,      TP_TEST_VALUE,      TP_TEST_OUTPUT,
    TP_TEST_GATE,           TP_TEST_DOWN,     TP_TEST_UP,         TP_TEST_CLASSIFIER};
enum { ORDER_1_COUNT = sizeof order_1 / sizeof order_1[0] };

static void write_header(const struct tp_test_model *model, uint32_t group,
                         struct tp_test_bytes *file)
{
    static const uint8_t zeros[256] = {0};
    tp_test_put_u32(file, 0x616b3432);
    tp_test_put_u32(file, group == 0 ? 1 : 2);
    put_sizes(model, model->vocab, file);
    tp_test_put(file, model->is_untied ? "\0" : "\1", 1);
    tp_test_put_u32(file, group);
    tp_test_put(file, zeros, 256 - file->size);
}

static void write_version_1(const struct tp_test_model *model, struct tp_test_bytes *file)
{
    write_header(model, 0, file);
    for (size_t i = 0; i < ORDER_1_COUNT - (model->is_untied ? 0 : 1); i++) {
        put_layers(model, order_1[i], file);
    }
}

static void put_groups(const float *numbers, size_t count, uint32_t group,
                       struct tp_test_bytes *file, struct tp_test_bytes *expected)
{
    struct tp_test_bytes scales = {0};
    assert(count % group == 0);
    for (size_t first = 0; first < count; first += group) {
        float largest = 0.0f;
        for (size_t i = 0; i < group; i++) largest = fmaxf(largest, fabsf(numbers[first + i]));
        float scale = largest / 127.0f;
        for (size_t i = 0; i < group; i++) {
            int8_t code = (int8_t)lrintf(numbers[first + i] / scale);
            tp_test_put(file, &code, 1);
            tp_test_put_f32(expected, (float)code * scale);
        }
        tp_test_put_f32(&scales, scale);
    }
    tp_test_put(file, scales.data, scales.size);
    tp_test_bytes_free(&scales);
}

void tp_test_write_llama2c_groups(const struct tp_test_model *model, uint32_t group,
                                  struct tp_test_bytes *file, struct tp_test_bytes *expected)
{
    struct tp_test_bytes floats = {0};
    *file = (struct tp_test_bytes){0};
    write_header(model, group, file);
    write_header(model, 0, &floats);
    for (size_t i = 0; i < ORDER_1_COUNT - (model->is_untied ? 0 : 1); i++) {
        for (uint32_t layer = 0; layer < tp_test_tensor_layers(model, order_1[i]); layer++) {
            struct tp_test_bytes numbers = {0};
            put_tensor(model, order_1[i], layer, &numbers);
            if (is_vector(model, order_1[i])) {
                tp_test_put(file, numbers.data, numbers.size);
                tp_test_put(&floats, numbers.data, numbers.size);
            } else {
                const void *start = numbers.data;
                put_groups(start, numbers.size / sizeof(float), group, file, &floats);
            }
            tp_test_bytes_free(&numbers);
        }
    }
    if (expected != NULL) {
        *expected = floats;
    } else {
        tp_test_bytes_free(&floats);
    }
}

void tp_test_write_llama2c(const struct tp_test_model *model, uint32_t version,
                           struct tp_test_bytes *file)
{
    *file = (struct tp_test_bytes){0};
    if (version == 0) {
        write_version_0(model, file);
    } else {
        write_version_1(model, file);
    }
}

/* ---- GGUF ---- */

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_STRING = 8, GGUF_ARRAY = 9 };

struct gguf_keys {
    struct tp_test_bytes *bytes;
    uint64_t count;
};

static void put_key(struct gguf_keys *keys, const char *key, uint32_t type)
{
    tp_test_put_string(keys->bytes, key);
    tp_test_put_u32(keys->bytes, type);
    keys->count++;
}

static void put_number(struct gguf_keys *keys, const char *key, uint32_t value)
{
    put_key(keys, key, GGUF_U32);
    tp_test_put_u32(keys->bytes, value);
}

static void put_float(struct gguf_keys *keys, const char *key, float value)
{
    put_key(keys, key, GGUF_F32);
    tp_test_put_f32(keys->bytes, value);
}

static void put_text(struct gguf_keys *keys, const char *key, const char *value)
{
    put_key(keys, key, GGUF_STRING);
    tp_test_put_string(keys->bytes, value);
}

static void put_array(struct gguf_keys *keys, const char *key, uint32_t type, uint64_t count)
{
    put_key(keys, key, GGUF_ARRAY);
    tp_test_put_u32(keys->bytes, type);
    tp_test_put_u64(keys->bytes, count);
}

/* The piece as a GGUF file has it: spaces as U+2581, start and end without line breaks. */
static void put_gguf_piece(struct tp_test_bytes *bytes, uint32_t id)
{
    char piece[16];
    char text[64] = "";
    float score;
    tp_test_piece(id, piece, &score);
    for (size_t i = 0; piece[i] != '\0'; i++) {
        char one[2] = {piece[i], '\0'};
        strcat(text, piece[i] == ' ' ? "\xe2\x96\x81" : one);
    }
    if (id == 1) strcpy(text, "<s>");
    if (id == 2) strcpy(text, "</s>");
    tp_test_put_string(bytes, text);
}

static void put_tokenizer(struct gguf_keys *keys, uint32_t vocab)
{
    put_text(keys, "tokenizer.ggml.model", "llama");
    put_array(keys, "tokenizer.ggml.tokens", GGUF_STRING, vocab);
    for (uint32_t id = 0; id < vocab; id++) put_gguf_piece(keys->bytes, id);
    put_array(keys, "tokenizer.ggml.scores", GGUF_F32, vocab);
    for (uint32_t id = 0; id < vocab; id++) {
        char piece[16];
        float score;
        tp_test_piece(id, piece, &score);
        tp_test_put_f32(keys->bytes, score);
    }
    put_array(keys, "tokenizer.ggml.token_type", GGUF_I32, vocab);
    for (uint32_t id = 0; id < vocab; id++) {
        tp_test_put_u32(keys->bytes, id == 0 ? 2 : id < 3 ? 3 : id < FIRST_CHARACTER ? 6 : 1);
    }
    put_number(keys, "tokenizer.ggml.bos_token_id", 1);
    put_number(keys, "tokenizer.ggml.eos_token_id", 2);
    put_number(keys, "tokenizer.ggml.unknown_token_id", 0);
}

static void put_keys(const struct tp_test_model *model, const struct tp_test_gguf *options,
                     struct gguf_keys *keys)
{
    const char *architecture = options->architecture ? options->architecture : "llama";
    const struct {
        const char *name;
        uint32_t value;
    } sizes[] = {
        {"context_length", model->context},         {"embedding_length", model->dim},
        {"feed_forward_length", model->hidden},     {"block_count", model->layers},
        {"attention.head_count", model->heads},     {"attention.head_count_kv", model->kv_heads},
        {"attention.key_length", model->head_size}, {"attention.value_length", model->head_size}};
    char key[NAME_BYTES];
    put_text(keys, "general.architecture", architecture);
    if (options->has_alignment) put_number(keys, "general.alignment", options->alignment);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (i >= 6 && model->head_size == 0) continue;
        snprintf(key, sizeof key, "%s.%s", architecture, sizes[i].name);
        put_number(keys, key, sizes[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
    put_float(keys, key, 1e-5f);
    if (options->has_tokenizer) put_tokenizer(keys, model->vocab);
    if (options->extra_key) put_number(keys, options->extra_key, options->extra_value);
    if (options->extra_float_key) put_float(keys, options->extra_float_key, options->extra_float);
    if (options->extra_string_key) {
        put_text(keys, options->extra_string_key, options->extra_string);
    }
}

static void tensor_name(enum tp_test_tensor tensor, uint32_t layer, char name[NAME_BYTES])
{
    static const char *const names[TP_TEST_TENSOR_COUNT] = {
        "token_embd", "attn_norm", "attn_q",   "attn_k",      "attn_v",      "attn_output",
        "ffn_norm",   "ffn_gate",  "ffn_down", "ffn_up",      "output_norm", "output",
        "attn_q",     "attn_k",    "attn_v",   "attn_q_norm", "attn_k_norm"};
    bool is_bias = tensor >= TP_TEST_QUERY_BIAS && tensor <= TP_TEST_VALUE_BIAS;
    const char *end = is_bias ? "bias" : "weight";
    if (is_per_layer(tensor)) {
        snprintf(name, NAME_BYTES, "blk.%u.%s.%s", layer, names[tensor], end);
    } else {
        snprintf(name, NAME_BYTES, "%s.%s", names[tensor], end);
    }
}

static bool is_named(const char *option, const char *name)
{
    return option != NULL && strcmp(option, name) == 0;
}

struct gguf_tensors {
    const struct tp_test_model *model;
    const struct tp_test_gguf *options;
    struct tp_test_bytes *infos;
    struct tp_test_bytes *data;
    uint64_t count;
    size_t alignment;
    bool is_half_split;
};

static void put_info(struct gguf_tensors *tensors, const char *name, enum tp_number_type type,
                     uint32_t rows, uint32_t columns)
{
    const struct tp_test_gguf *options = tensors->options;
    bool is_odd = is_named(options->odd_tensor, name);
    uint32_t dimensions = rows == 1 ? 1 : 2;
    if (is_odd && options->odd_dimensions != 0) dimensions = options->odd_dimensions;
    tp_test_put_string(tensors->infos, is_named(options->renamed, name) ? options->new_name : name);
    tp_test_put_u32(tensors->infos, dimensions);
    for (uint32_t i = 0; i < dimensions && i < 8; i++) {
        uint64_t size = i == 0 ? columns : i == 1 ? rows : 1;
        if (i == 0 && is_odd && options->odd_first_size != 0) size = options->odd_first_size;
        tp_test_put_u64(tensors->infos, size);
    }
    bool has_odd_type = is_odd && (options->type == TP_NUMBER_F32 || options->odd_type != 0);
    tp_test_put_u32(tensors->infos,
                    has_odd_type ? options->odd_type : tp__number_format(type)->ggml_type);
    uint64_t offset = tensors->data->size;
    tp_test_put_u64(tensors->infos, offset + (uint64_t)(is_odd ? options->odd_offset : 0));
}

static void put_gguf_tensor(struct gguf_tensors *tensors, enum tp_test_tensor tensor,
                            uint32_t layer)
{
    char name[NAME_BYTES];
    tensor_name(tensor, layer, name);
    if (is_named(tensors->options->left_out, name)) return;
    uint32_t rows;
    uint32_t columns;
    tp_test_tensor_size(tensors->model, tensor, &rows, &columns);
    while (tensors->data->size % tensors->alignment != 0) tp_test_put(tensors->data, "", 1);
    enum tp_number_type type = type_of(tensors->model, tensors->options->type, tensor);
    put_info(tensors, name, type, rows, columns);
    if (tensors->is_half_split) {
        tp_test_put_half_split(tensors->model, type, tensor, layer, tensors->data);
    } else {
        put_typed(tensors->model, type, tensor, layer, tensors->data);
    }
    tensors->count++;
}

static void put_gguf_tensors(struct gguf_tensors *tensors)
{
    for (enum tp_test_tensor tensor = 0; tensor < TP_TEST_TENSOR_COUNT; tensor++) {
        bool is_written = tensor != TP_TEST_CLASSIFIER || tensors->model->is_untied ||
                          tensors->options->has_copied_tie;
        is_written = is_written && tp_test_tensor_exists(tensors->model, tensor);
        uint32_t layers = tp_test_tensor_layers(tensors->model, tensor);
        for (uint32_t layer = 0; is_written && layer < layers; layer++) {
            put_gguf_tensor(tensors, tensor, layer);
        }
    }
    if (tensors->options->divisors == NULL) return;
    while (tensors->data->size % tensors->alignment != 0) tp_test_put(tensors->data, "", 1);
    uint32_t pairs = head_size(tensors->model) / 2;
    put_info(tensors, "rope_freqs.weight", TP_NUMBER_F32, 1, pairs);
    tp_test_put(tensors->data, tensors->options->divisors, pairs * sizeof(float));
    tensors->count++;
}

void tp_test_write_gguf(const struct tp_test_model *model, const struct tp_test_gguf *options,
                        struct tp_test_bytes *file, size_t *tensor_info, size_t *data)
{
    struct tp_test_bytes key_bytes = {0};
    struct tp_test_bytes info_bytes = {0};
    struct tp_test_bytes data_bytes = {0};
    struct gguf_keys keys = {.bytes = &key_bytes};
    bool is_usable =
        options->has_alignment && options->alignment >= 4 && options->alignment <= 4096;
    struct gguf_tensors tensors = {.model = model,
                                   .options = options,
                                   .infos = &info_bytes,
                                   .data = &data_bytes,
                                   .alignment = is_usable ? options->alignment : 32,
                                   .is_half_split = options->architecture != NULL &&
                                                    strncmp(options->architecture, "qwen", 4) == 0};
    put_keys(model, options, &keys);
    put_gguf_tensors(&tensors);
    *file = (struct tp_test_bytes){0};
    tp_test_put(file, "GGUF", 4);
    tp_test_put_u32(file, options->version != 0 ? options->version : 3);
    tp_test_put_u64(file, tensors.count);
    tp_test_put_u64(file, keys.count);
    tp_test_put(file, key_bytes.data, key_bytes.size);
    if (tensor_info != NULL) *tensor_info = file->size;
    tp_test_put(file, info_bytes.data, info_bytes.size);
    while (file->size % tensors.alignment != 0) tp_test_put(file, "", 1);
    if (data != NULL) *data = file->size;
    tp_test_put(file, data_bytes.data, data_bytes.size);
    tp_test_bytes_free(&key_bytes);
    tp_test_bytes_free(&info_bytes);
    tp_test_bytes_free(&data_bytes);
}

/* ---- the tokenizer ---- */

/* Characters with a piece of their own: of one, two, three and four bytes. */
static const char *const characters[] = {" ",
                                         "e",
                                         "t",
                                         "a",
                                         "o",
                                         "n",
                                         "i",
                                         "h",
                                         "s",
                                         "r",
                                         "d",
                                         "l",
                                         ".",
                                         ",",
                                         "\n",
                                         "T",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80"};
enum { CHARACTER_COUNT = sizeof characters / sizeof characters[0] };

void tp_test_piece(uint32_t id, char piece[16], float *score)
{
    *score = 0.0f;
    if (id < 3) {
        strcpy(piece, id == 0 ? "<unk>" : id == 1 ? "\n<s>\n" : "\n</s>\n");
        return;
    }
    if (id < FIRST_CHARACTER) {
        snprintf(piece, 16, "<0x%02X>", (id - 3) & 255u);
        return;
    }
    // A piece is one character, or two, or two pairs; equal scores make ties.
    uint32_t index = id - FIRST_CHARACTER;
    *score = -(float)(index / 2);
    if (index < CHARACTER_COUNT) {
        strcpy(piece, characters[index]);
        return;
    }
    index -= CHARACTER_COUNT;
    uint32_t pair = index % (CHARACTER_COUNT * CHARACTER_COUNT);
    strcpy(piece, characters[pair % CHARACTER_COUNT]);
    strcat(piece, characters[(pair / CHARACTER_COUNT + pair) % CHARACTER_COUNT]);
}

void tp_test_write_tokenizer(uint32_t vocab, struct tp_test_bytes *file)
{
    *file = (struct tp_test_bytes){0};
    tp_test_put_u32(file, 8);
    for (uint32_t id = 0; id < vocab; id++) {
        char piece[16];
        float score;
        tp_test_piece(id, piece, &score);
        tp_test_put_f32(file, score);
        tp_test_put_u32(file, (uint32_t)strlen(piece));
        tp_test_put(file, piece, strlen(piece));
    }
}

/* ---- files ---- */

void tp_test_write_file(const struct tp_test_bytes *bytes, char *path, size_t path_bytes)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, path_bytes, "%s/tokproc-test-XXXXXX", folder != NULL ? folder : "/tmp");
    int descriptor = mkstemp(path);
    assert(descriptor >= 0);
    FILE *file = fdopen(descriptor, "wb");
    assert(file != NULL);
    size_t written = fwrite(bytes->data, 1, bytes->size, file);
    assert(written == bytes->size);
    int failed = fclose(file);
    assert(failed == 0);
}

bool tp_test_find_model(const char *name, char *path, size_t path_bytes)
{
    const char *folder = getenv("TP_MODELS");
    if (folder == NULL) folder = "../shared/models";
    snprintf(path, path_bytes, "%s/%s", folder, name);
    if (access(path, R_OK) == 0) return true;
    char reason[512];
    snprintf(reason, sizeof reason, "%s is not in %s (TP_MODELS names the folder)", name, folder);
    tp_test_skip(reason);
    return false;
}

// SPDX-License-Identifier: Apache-2.0
//
// GGUF model files of the architecture llama with F32 tensors.
//
// In such files the rows of queries and keys are ordered so that adjacent rows rotate together (the
// converter of Hugging Face models permutes them), which is llama2.c's order: nothing is permuted
// here. A tensor that a plain Llama model does not have (biases, experts, frequency factors) would
// change the numbers, so it is refused by name.

#include <assert.h>
#include <string.h>

#include "gguf.h"
#include "loader.h"

static tp_status unsupported(const struct tp_gguf *gguf, const char *key, const char *why)
{
    return tp__fail(gguf->reader.error, TP_ERROR_UNSUPPORTED,
                    "%s: metadata %s: %s; this version runs plain Llama models only",
                    gguf->reader.name, key, why);
}

static tp_status check_architecture(const struct tp_gguf *gguf)
{
    struct tp_string architecture;
    tp_status status = tp__gguf_string(gguf, "general.architecture", &architecture);
    if (status != TP_OK) return status;
    if (tp__string_is(architecture, "llama")) return TP_OK;
    return tp__fail(gguf->reader.error, TP_ERROR_UNSUPPORTED,
                    "%s: general.architecture is \"%.*s\"; this version runs \"llama\" only",
                    gguf->reader.name, tp__string_width(architecture), architecture.text);
}

/* Refuses what would need other formulas. */
static tp_status check_variants(const struct tp_gguf *gguf, const struct tp_model_shape *shape)
{
    uint32_t experts = 0;
    uint32_t rotated = shape->head_size;
    float linear = 1.0f;
    tp_status status = tp__gguf_u32_or(gguf, "llama.expert_count", &experts);
    if (status != TP_OK) return status;
    if (experts != 0) return unsupported(gguf, "llama.expert_count", "it has experts");
    status = tp__gguf_u32_or(gguf, "llama.rope.dimension_count", &rotated);
    if (status != TP_OK) return status;
    if (rotated != shape->head_size) {
        return unsupported(gguf, "llama.rope.dimension_count", "it differs from the head size");
    }
    status = tp__gguf_f32_or(gguf, "llama.rope.scale_linear", &linear);
    if (status != TP_OK) return status;
    if (linear != 1.0f) return unsupported(gguf, "llama.rope.scale_linear", "scaled positions");
    if (tp__gguf_find(gguf, "llama.rope.scaling.type") == NULL) return TP_OK;
    struct tp_string scaling;
    status = tp__gguf_string(gguf, "llama.rope.scaling.type", &scaling);
    if (status != TP_OK) return status;
    if (tp__string_is(scaling, "none")) return TP_OK;
    return unsupported(gguf, "llama.rope.scaling.type", "scaled positions");
}

static tp_status read_head_size(const struct tp_gguf *gguf, struct tp_model_shape *shape)
{
    bool is_given = tp__gguf_find(gguf, "llama.attention.key_length") != NULL;
    bool is_even = shape->heads != 0 && shape->dim % shape->heads == 0;
    if (!is_given && !is_even) {
        return tp__fail(gguf->reader.error, TP_ERROR_FORMAT,
                        "%s: metadata: embedding_length %u is not a multiple of head_count %u; the "
                        "file is damaged",
                        gguf->reader.name, shape->dim, shape->heads);
    }
    if (is_even) shape->head_size = shape->dim / shape->heads;
    tp_status status = tp__gguf_u32_or(gguf, "llama.attention.key_length", &shape->head_size);
    if (status != TP_OK) return status;
    uint32_t value_size = shape->head_size;
    status = tp__gguf_u32_or(gguf, "llama.attention.value_length", &value_size);
    if (status != TP_OK) return status;
    if (value_size == shape->head_size) return TP_OK;
    return unsupported(gguf, "llama.attention.value_length", "it differs from key_length");
}

static tp_status read_vocab(const struct tp_gguf *gguf, struct tp_model_shape *shape)
{
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        const struct tp_gguf_tensor *tensor = &gguf->tensors[i];
        if (!tp__string_is(tensor->name, "token_embd.weight")) continue;
        if (tensor->rows <= UINT32_MAX) {
            shape->vocab = (uint32_t)tensor->rows;
            return TP_OK;
        }
        return tp__fail(gguf->reader.error, TP_ERROR_TOO_LARGE,
                        "%s: byte %zu: token_embd.weight has %llu rows; the file is damaged",
                        gguf->reader.name, tensor->place, (unsigned long long)tensor->rows);
    }
    return tp__fail(gguf->reader.error, TP_ERROR_FORMAT, "%s: has no tensor token_embd.weight%s",
                    gguf->reader.name,
                    gguf->tensor_count == 0 ? " and no other: it is only a tokenizer" : "");
}

static tp_status check_constants(const struct tp_gguf *gguf, const struct tp_model_shape *shape)
{
    // Written so that a NaN is refused.
    if (!(shape->norm_epsilon >= 0.0f && shape->norm_epsilon <= 1.0f)) {
        return tp__fail(gguf->reader.error, TP_ERROR_RANGE,
                        "%s: metadata llama.attention.layer_norm_rms_epsilon is %g; 0 to 1 is "
                        "possible",
                        gguf->reader.name, (double)shape->norm_epsilon);
    }
    if (!(shape->rope_base >= 1.0f && shape->rope_base <= 1e12f)) {
        return tp__fail(gguf->reader.error, TP_ERROR_RANGE,
                        "%s: metadata llama.rope.freq_base is %g; 1 to 1e12 is possible",
                        gguf->reader.name, (double)shape->rope_base);
    }
    return TP_OK;
}

static tp_status read_shape(const struct tp_gguf *gguf, struct tp_model_shape *shape)
{
    const struct {
        const char *key;
        uint32_t *value;
    } sizes[] = {
        {"llama.embedding_length", &shape->dim},   {"llama.feed_forward_length", &shape->hidden},
        {"llama.block_count", &shape->layers},     {"llama.attention.head_count", &shape->heads},
        {"llama.context_length", &shape->context},
    };
    tp_status status;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        status = tp__gguf_u32(gguf, sizes[i].key, sizes[i].value);
        if (status != TP_OK) return status;
    }
    shape->kv_heads = shape->heads;
    status = tp__gguf_u32_or(gguf, "llama.attention.head_count_kv", &shape->kv_heads);
    if (status != TP_OK) return status;
    status = read_head_size(gguf, shape);
    if (status != TP_OK) return status;
    shape->rope_base = 10000.0f;
    status = tp__gguf_f32_or(gguf, "llama.rope.freq_base", &shape->rope_base);
    if (status != TP_OK) return status;
    status = tp__gguf_f32(gguf, "llama.attention.layer_norm_rms_epsilon", &shape->norm_epsilon);
    if (status != TP_OK) return status;
    status = check_constants(gguf, shape);
    if (status != TP_OK) return status;
    status = read_vocab(gguf, shape);
    if (status != TP_OK) return status;
    status = tp__shape_check(shape, gguf->reader.name, gguf->reader.error);
    if (status != TP_OK) return status;
    return check_variants(gguf, shape);
}

/* Reads "blk.<layer>." at the start of the name; false when it is not there. */
static bool split_layer(struct tp_string *name, uint32_t *layer)
{
    if (name->size < 4 || memcmp(name->text, "blk.", 4) != 0) return false;
    size_t i = 4;
    uint32_t number = 0;
    while (i < name->size && i < 10 && name->text[i] >= '0' && name->text[i] <= '9') {
        number = number * 10 + (uint32_t)(name->text[i++] - '0');
    }
    bool has_digits = i > 4 && (name->text[4] != '0' || i == 5);
    if (!has_digits || i == name->size || name->text[i] != '.') return false;
    *layer = number;
    return true;
}

/* Which tensor a name means; false when a plain Llama model has none of that name. */
static bool find_tensor(const struct tp_model_shape *shape, struct tp_string name,
                        enum tp_tensor *tensor, uint32_t *layer)
{
    *layer = 0;
    bool has_layer = split_layer(&name, layer);
    if (has_layer && *layer >= shape->layers) return false;
    enum tp_tensor first = has_layer ? TP_TENSOR_NORM_ATTENTION : 0;
    enum tp_tensor end = has_layer ? TP_TENSOR_COUNT : TP_TENSOR_NORM_ATTENTION;
    for (*tensor = first; *tensor < end; (*tensor)++) {
        char expected[TP_TENSOR_NAME_BYTES];
        tp__tensor_name(*tensor, *layer, expected);
        if (tp__string_is(name, expected)) return tp__tensor_exists(shape, *tensor);
    }
    return false;
}

static tp_status set_tensor(struct tp_source_model *model, const struct tp_gguf *gguf,
                            const struct tp_gguf_tensor *source)
{
    const struct tp_reader *reader = &gguf->reader;
    enum tp_tensor tensor;
    uint32_t layer;
    if (!find_tensor(&model->shape, source->name, &tensor, &layer)) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: tensor %.*s is not part of a plain Llama model of %u layers",
                        reader->name, source->place, tp__string_width(source->name),
                        source->name.text, model->shape.layers);
    }
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    if (source->rows != rows || source->columns != columns) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s is %llu x %llu, but the metadata asks for "
                        "%u x %u; the file is damaged",
                        reader->name, source->place, tp__string_width(source->name),
                        source->name.text, (unsigned long long)source->rows,
                        (unsigned long long)source->columns, rows, columns);
    }
    if (tp__source_tensor(model, tensor, layer) != NULL) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s is given twice; the file is damaged",
                        reader->name, source->place, tp__string_width(source->name),
                        source->name.text);
    }
    tp__source_tensor_set(model, tensor, layer, source->offset);
    return TP_OK;
}

static tp_status check_complete(struct tp_source_model *model, struct tp_error *error)
{
    bool has_embedding = model->tensors[TP_TENSOR_EMBEDDING] != NULL;
    if (has_embedding && model->tensors[TP_TENSOR_CLASSIFIER] == NULL) {
        tp__source_tensor_tie(model);
    }
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (!tp__tensor_exists(&model->shape, tensor)) continue;
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->shape, tensor); layer++) {
            if (tp__source_tensor(model, tensor, layer) != NULL) continue;
            char name[TP_TENSOR_NAME_BYTES];
            tp__tensor_name(tensor, layer, name);
            return tp__fail(error, TP_ERROR_FORMAT,
                            "%s: tensor %s is missing; convert the model again", model->name, name);
        }
    }
    return TP_OK;
}

static tp_status load(struct tp_source_model *model, const struct tp_gguf *gguf,
                      struct tp_error *error)
{
    tp_status status = check_architecture(gguf);
    if (status != TP_OK) return status;
    status = read_shape(gguf, &model->shape);
    if (status != TP_OK) return status;
    status = tp__gguf_check_tensors(gguf);
    if (status != TP_OK) return status;
    status = tp__source_model_prepare(model, error);
    if (status != TP_OK) return status;
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        status = set_tensor(model, gguf, &gguf->tensors[i]);
        if (status != TP_OK) return status;
    }
    model->has_tokenizer = tp__gguf_find(gguf, "tokenizer.ggml.tokens") != NULL;
    return check_complete(model, error);
}

tp_status tp__load_gguf(struct tp_source_model *model, struct tp_error *error)
{
    struct tp_gguf gguf;
    tp_status status = tp__gguf_open(model->file.data, model->file.size, model->name, &gguf, error);
    if (status != TP_OK) return status;
    model->architecture = "llama";
    model->format = gguf.version == 2 ? "GGUF version 2" : "GGUF version 3";
    status = load(model, &gguf, error);
    tp__gguf_free(&gguf);
    return status;
}

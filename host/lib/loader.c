// SPDX-License-Identifier: Apache-2.0
//
// Model files: what all formats share.

#include "loader.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "tensors are used where they lie in the file, which is little-endian");

static const char *const tensor_names[TP_TENSOR_COUNT] = {
    [TP_TENSOR_EMBEDDING] = "token_embd", [TP_TENSOR_NORM_FINAL] = "output_norm",
    [TP_TENSOR_CLASSIFIER] = "output",    [TP_TENSOR_NORM_ATTENTION] = "attn_norm",
    [TP_TENSOR_QUERY] = "attn_q",         [TP_TENSOR_KEY] = "attn_k",
    [TP_TENSOR_VALUE] = "attn_v",         [TP_TENSOR_OUTPUT] = "attn_output",
    [TP_TENSOR_NORM_FFN] = "ffn_norm",    [TP_TENSOR_GATE] = "ffn_gate",
    [TP_TENSOR_DOWN] = "ffn_down",        [TP_TENSOR_UP] = "ffn_up",
};

static bool is_per_layer(enum tp_tensor tensor)
{
    return tensor >= TP_TENSOR_NORM_ATTENTION;
}

static size_t tensor_index(const struct tp_source_model *model, enum tp_tensor tensor,
                           uint32_t layer)
{
    if (!is_per_layer(tensor)) return tensor;
    assert(layer < model->shape.layers);
    return tensor + (size_t)layer * TP_TENSOR_PER_LAYER;
}

void tp__tensor_name(enum tp_tensor tensor, uint32_t layer, char name[TP_TENSOR_NAME_BYTES])
{
    if (is_per_layer(tensor)) {
        snprintf(name, TP_TENSOR_NAME_BYTES, "blk.%u.%s.weight", layer, tensor_names[tensor]);
    } else {
        snprintf(name, TP_TENSOR_NAME_BYTES, "%s.weight", tensor_names[tensor]);
    }
}

void tp__tensor_size(const struct tp_model_shape *shape, enum tp_tensor tensor, uint32_t *rows,
                     uint32_t *columns)
{
    *rows = 1;
    *columns = shape->dim;
    switch (tensor) {
    case TP_TENSOR_NORM_FINAL:
    case TP_TENSOR_NORM_ATTENTION:
    case TP_TENSOR_NORM_FFN:
        break;
    case TP_TENSOR_EMBEDDING:
    case TP_TENSOR_CLASSIFIER:
        *rows = shape->vocab;
        break;
    case TP_TENSOR_QUERY:
        *rows = shape->heads * shape->head_size;
        break;
    case TP_TENSOR_KEY:
    case TP_TENSOR_VALUE:
        *rows = shape->kv_heads * shape->head_size;
        break;
    case TP_TENSOR_GATE:
    case TP_TENSOR_UP:
        *rows = shape->hidden;
        break;
    case TP_TENSOR_OUTPUT:
        *rows = shape->dim;
        *columns = shape->heads * shape->head_size;
        break;
    case TP_TENSOR_DOWN:
        *rows = shape->dim;
        *columns = shape->hidden;
        break;
    case TP_TENSOR_COUNT:
        assert(false);
        break;
    }
}

uint64_t tp__parameter_count(const struct tp_model_shape *shape)
{
    uint64_t count = 0;
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (tensor == TP_TENSOR_CLASSIFIER && shape->tied) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(shape, tensor, &rows, &columns);
        count += (uint64_t)rows * columns * (is_per_layer(tensor) ? shape->layers : 1);
    }
    return count;
}

const float *tp__source_tensor(const struct tp_source_model *model, enum tp_tensor tensor,
                               uint32_t layer)
{
    return model->tensors[tensor_index(model, tensor, layer)];
}

void tp__source_tensor_set(struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                           size_t offset)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    size_t bytes = (size_t)rows * columns * sizeof(float);
    assert(offset % sizeof(float) == 0);
    assert(offset <= model->file.size && bytes <= model->file.size - offset);
    const void *start = model->file.data + offset;
    model->tensors[tensor_index(model, tensor, layer)] = start;
}

tp_status tp__shape_check(const struct tp_model_shape *shape, const char *name,
                          struct tp_error *error)
{
    const struct {
        const char *name;
        uint32_t value;
        uint32_t limit;
    } sizes[] = {
        {"dimension", shape->dim, TP_MODEL_DIM_MAX},
        {"hidden dimension", shape->hidden, TP_MODEL_HIDDEN_MAX},
        {"number of layers", shape->layers, TP_MODEL_LAYERS_MAX},
        {"number of heads", shape->heads, TP_MODEL_HEADS_MAX},
        {"number of KV heads", shape->kv_heads, TP_MODEL_HEADS_MAX},
        {"head size", shape->head_size, TP_MODEL_HEAD_SIZE_MAX},
        {"vocabulary", shape->vocab, TP_MODEL_VOCAB_MAX},
        {"context", shape->context, TP_MODEL_CONTEXT_MAX},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value == 0) {
            return tp__fail(error, TP_ERROR_FORMAT, "%s: header: the %s is 0; the file is damaged",
                            name, sizes[i].name);
        }
        if (sizes[i].value > sizes[i].limit) {
            return tp__fail(error, TP_ERROR_TOO_LARGE,
                            "%s: header: the %s is %u, the limit is %u; the file is damaged or not "
                            "a model for this program",
                            name, sizes[i].name, sizes[i].value, sizes[i].limit);
        }
    }
    if (shape->heads % shape->kv_heads != 0) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: header: %u heads cannot share %u KV heads evenly; the file is damaged",
                        name, shape->heads, shape->kv_heads);
    }
    if (shape->head_size % 2 != 0) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s: header: the head size %u is odd; rotary positions need pairs", name,
                        shape->head_size);
    }
    return TP_OK;
}

tp_status tp__source_model_prepare(struct tp_source_model *model, struct tp_error *error)
{
    size_t count = TP_TENSOR_NORM_ATTENTION + (size_t)model->shape.layers * TP_TENSOR_PER_LAYER;
    model->tensors = calloc(count, sizeof model->tensors[0]);
    if (model->tensors == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for the list of %zu tensors",
                        model->name, count);
    }
    return TP_OK;
}

static tp_status check_finite(const struct tp_source_model *model, enum tp_tensor tensor,
                              uint32_t layer, struct tp_error *error)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    const float *weights = tp__source_tensor(model, tensor, layer);
    size_t count = (size_t)rows * columns;
#ifdef TP_PLANT_BUG
    count--;  // forgets the last number
#endif
    size_t bad = 0;
    while (bad < count && isfinite(weights[bad])) bad++;
    if (bad == count) return TP_OK;
    char tensor_name[TP_TENSOR_NAME_BYTES];
    tp__tensor_name(tensor, layer, tensor_name);
    size_t offset = (size_t)((const uint8_t *)(weights + bad) - model->file.data);
    return tp__fail(error, TP_ERROR_RANGE,
                    "%s: byte %zu: tensor %s, row %zu, column %zu is %s; the file is damaged or "
                    "its training failed",
                    model->name, offset, tensor_name, bad / columns, bad % columns,
                    isnan(weights[bad]) ? "not a number" : "infinite");
}

static tp_status check_tensors(const struct tp_source_model *model, struct tp_error *error)
{
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        uint32_t layers = is_per_layer(tensor) ? model->shape.layers : 1;
        for (uint32_t layer = 0; layer < layers; layer++) {
            tp_status status = check_finite(model, tensor, layer, error);
            if (status != TP_OK) return status;
        }
    }
    return TP_OK;
}

/* GGUF files often store a tied classifier a second time. */
static void find_tied(struct tp_source_model *model)
{
    const float *embedding = model->tensors[TP_TENSOR_EMBEDDING];
    const float *classifier = model->tensors[TP_TENSOR_CLASSIFIER];
    size_t bytes = (size_t)model->shape.vocab * model->shape.dim * sizeof(float);
    model->shape.tied = memcmp(embedding, classifier, bytes) == 0;
    if (model->shape.tied) model->tensors[TP_TENSOR_CLASSIFIER] = embedding;
}

/* Files that people try, and what to do about them. */
static tp_status refuse_foreign(const struct tp_source_model *model, struct tp_error *error)
{
    static const struct {
        const char *mark;
        size_t offset;
        const char *what;
    } known[] = {
        {"PK\x03\x04", 0, "a PyTorch checkpoint"},
        {"{\"", 8, "a safetensors file"},
        {"ggjt", 0, "a GGML file older than GGUF"},
        {"tjgg", 0, "a GGML file older than GGUF"},
        {"lmgg", 0, "a GGML file older than GGUF"},
        {"\x1f\x8b", 0, "a gzip archive"},
        {"version https://git-lfs", 0, "a Git LFS pointer and not the file itself"},
        {"<!DOCTYPE", 0, "a web page"},
    };
    const struct tp_bytes *file = &model->file;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t length = strlen(known[i].mark);
        if (file->size < known[i].offset + length) continue;
        if (memcmp(file->data + known[i].offset, known[i].mark, length) != 0) continue;
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: is %s; give a GGUF (F32) or llama2.c (float32) model",
                        model->name, known[i].offset, known[i].what);
    }
    return TP_OK;
}

static tp_status load(struct tp_source_model *model, struct tp_error *error)
{
    const struct tp_bytes *file = &model->file;
    if (file->size < 4) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: has only %zu bytes, which is no model; copy it again", model->name,
                        file->size);
    }
    tp_status status = refuse_foreign(model, error);
    if (status != TP_OK) return status;
    bool is_gguf = memcmp(file->data, "GGUF", 4) == 0;
    status = is_gguf ? tp__load_gguf(model, error) : tp__load_llama2c(model, error);
    if (status != TP_OK) return status;
    status = check_tensors(model, error);
    if (status == TP_OK) find_tied(model);
    return status;
}

/* Takes over the bytes of file, also when it fails. */
static tp_status load_bytes(struct tp_bytes file, const char *path, struct tp_source_model *model,
                            struct tp_error *error)
{
    const char *name = tp__short_name(path);
    struct tp_source_model result = {.file = file};
    result.name = malloc(strlen(name) + 1);
    tp_status status;
    if (result.name == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its name", name);
    } else {
        memcpy(result.name, name, strlen(name) + 1);
        status = load(&result, error);
    }
    if (status != TP_OK) {
        tp__source_model_free(&result);
        return status;
    }
    *model = result;
    return TP_OK;
}

tp_status tp__source_model_load(const char *path, struct tp_source_model *model,
                                struct tp_error *error)
{
    struct tp_bytes file;
    tp_status status = tp__file_read(path, TP_MODEL_BYTES_MAX, &file, error);
    if (status != TP_OK) return status;
    return load_bytes(file, path, model, error);
}

tp_status tp__source_model_parse(const void *data, size_t size, const char *name,
                                 struct tp_source_model *model, struct tp_error *error)
{
    struct tp_bytes file;
    tp_status status = tp__bytes_copy(data, size, &file, error);
    if (status != TP_OK) return status;
    return load_bytes(file, name, model, error);
}

void tp__source_model_free(struct tp_source_model *model)
{
    free(model->tensors);
    free(model->name);
    tp__bytes_free(&model->file);
    *model = (struct tp_source_model){0};
}

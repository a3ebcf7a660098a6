// SPDX-License-Identifier: Apache-2.0
//
// Model files: what all formats share.

#include "loader.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reader.h"
#include "safetensors.h"

enum { PATH_BYTES = 4096 };

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "tensors are used where they lie in the file, which is little-endian");

const struct tp_tensor_names tp__gguf_names = {.layer = "blk.",
                                               .names = {
                                                   [TP_TENSOR_EMBEDDING] = "token_embd.weight",
                                                   [TP_TENSOR_NORM_FINAL] = "output_norm.weight",
                                                   [TP_TENSOR_CLASSIFIER] = "output.weight",
                                                   [TP_TENSOR_NORM_ATTENTION] = "attn_norm.weight",
                                                   [TP_TENSOR_QUERY] = "attn_q.weight",
                                                   [TP_TENSOR_KEY] = "attn_k.weight",
                                                   [TP_TENSOR_VALUE] = "attn_v.weight",
                                                   [TP_TENSOR_OUTPUT] = "attn_output.weight",
                                                   [TP_TENSOR_NORM_FFN] = "ffn_norm.weight",
                                                   [TP_TENSOR_GATE] = "ffn_gate.weight",
                                                   [TP_TENSOR_DOWN] = "ffn_down.weight",
                                                   [TP_TENSOR_UP] = "ffn_up.weight",
                                                   [TP_TENSOR_QUERY_BIAS] = "attn_q.bias",
                                                   [TP_TENSOR_KEY_BIAS] = "attn_k.bias",
                                                   [TP_TENSOR_VALUE_BIAS] = "attn_v.bias",
                                                   [TP_TENSOR_QUERY_NORM] = "attn_q_norm.weight",
                                                   [TP_TENSOR_KEY_NORM] = "attn_k_norm.weight",
                                               }};

static bool is_per_layer(enum tp_tensor tensor)
{
    return tensor >= TP_TENSOR_NORM_ATTENTION;
}

uint32_t tp__tensor_layers(const struct tp_model_shape *shape, enum tp_tensor tensor)
{
    return is_per_layer(tensor) ? shape->layers : 1;
}

bool tp__tensor_exists(const struct tp_model_shape *shape, enum tp_tensor tensor)
{
    switch (tensor) {
    case TP_TENSOR_QUERY_BIAS:
    case TP_TENSOR_KEY_BIAS:
    case TP_TENSOR_VALUE_BIAS:
        return shape->has_bias;
    case TP_TENSOR_QUERY_NORM:
    case TP_TENSOR_KEY_NORM:
        return shape->has_head_norm;
    default:
        return true;
    }
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
        snprintf(name, TP_TENSOR_NAME_BYTES, "%s%u.%s", tp__gguf_names.layer, layer,
                 tp__gguf_names.names[tensor]);
    } else {
        snprintf(name, TP_TENSOR_NAME_BYTES, "%s", tp__gguf_names.names[tensor]);
    }
}

bool tp__tensor_layer(const struct tp_tensor_names *names, struct tp_string *name, uint32_t *layer)
{
    size_t first = strlen(names->layer);
    if (name->size < first || memcmp(name->text, names->layer, first) != 0) return false;
    size_t i = first;
    uint32_t number = 0;
    while (i < name->size && i < first + 6 && name->text[i] >= '0' && name->text[i] <= '9') {
        number = number * 10 + (uint32_t)(name->text[i++] - '0');
    }
    bool has_digits = i > first && (name->text[first] != '0' || i == first + 1);
    if (!has_digits || i == name->size || name->text[i] != '.') return false;
    *layer = number;
    *name = (struct tp_string){.text = name->text + i + 1, .size = name->size - i - 1};
    return true;
}

bool tp__tensor_find(const struct tp_model_shape *shape, const struct tp_tensor_names *names,
                     struct tp_string name, enum tp_tensor *tensor, uint32_t *layer)
{
    *layer = 0;
    bool has_layer = tp__tensor_layer(names, &name, layer);
    if (has_layer && *layer >= shape->layers) return false;
    enum tp_tensor end = has_layer ? TP_TENSOR_COUNT : TP_TENSOR_NORM_ATTENTION;
    for (*tensor = has_layer ? TP_TENSOR_NORM_ATTENTION : 0; *tensor < end; (*tensor)++) {
        if (tp__string_is(name, names->names[*tensor])) return tp__tensor_exists(shape, *tensor);
    }
    return false;
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
    case TP_TENSOR_QUERY_BIAS:
        *columns = shape->heads * shape->head_size;
        break;
    case TP_TENSOR_KEY_BIAS:
    case TP_TENSOR_VALUE_BIAS:
        *columns = shape->kv_heads * shape->head_size;
        break;
    case TP_TENSOR_QUERY_NORM:
    case TP_TENSOR_KEY_NORM:
        *columns = shape->head_size;
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
        if (!tp__tensor_exists(shape, tensor)) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(shape, tensor, &rows, &columns);
        count += (uint64_t)rows * columns * tp__tensor_layers(shape, tensor);
    }
    return count;
}

const float *tp__source_tensor(const struct tp_source_model *model, enum tp_tensor tensor,
                               uint32_t layer)
{
    return model->tensors[tensor_index(model, tensor, layer)];
}

double tp__source_frequency(const struct tp_source_model *model, uint32_t pair)
{
    assert(pair < model->shape.head_size / 2);
    return model->rope_frequency[pair];
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

static size_t tensor_count(const struct tp_source_model *model)
{
    return TP_TENSOR_NORM_ATTENTION + (size_t)model->shape.layers * TP_TENSOR_PER_LAYER;
}

tp_status tp__source_model_prepare(struct tp_source_model *model, struct tp_error *error)
{
    size_t count = tensor_count(model);
    uint32_t pairs = model->shape.head_size / 2;
    model->tensors = calloc(count, sizeof model->tensors[0]);
    model->owned = calloc(count, sizeof model->owned[0]);
    model->rope_frequency = calloc(pairs, sizeof model->rope_frequency[0]);
    if (model->tensors == NULL || model->owned == NULL || model->rope_frequency == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for the list of %zu tensors",
                        model->name, count);
    }
    for (uint32_t pair = 0; pair < pairs; pair++) {
        model->rope_frequency[pair] =
            pow((double)model->shape.rope_base, -2.0 * pair / model->shape.head_size);
    }
    return TP_OK;
}

/* Where the number behind element i of a tensor stands. */
struct block_place {
    const char *name;
    size_t offset;
    uint32_t elements;
    uint32_t bytes;
};

static tp_status check_finite(const struct tp_source_model *model, enum tp_tensor tensor,
                              uint32_t layer, const struct block_place *place,
                              struct tp_error *error)
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
    return tp__fail(error, TP_ERROR_RANGE,
                    "%s: byte %zu: tensor %s, row %zu, column %zu is %s; the file is damaged or "
                    "its training failed",
                    place->name, place->offset + bad / place->elements * place->bytes, tensor_name,
                    bad / columns, bad % columns,
                    isnan(weights[bad]) ? "not a number" : "infinite");
}

/* Memory of its own for a tensor. */
static tp_status take_tensor(struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                             size_t count, struct tp_error *error)
{
    size_t index = tensor_index(model, tensor, layer);
    assert(model->owned[index] == NULL);
    float *numbers = calloc(count, sizeof *numbers);
    if (numbers == NULL) {
        char tensor_name[TP_TENSOR_NAME_BYTES];
        tp__tensor_name(tensor, layer, tensor_name);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for the %zu numbers of tensor %s",
                        model->name, count, tensor_name);
    }
    model->owned[index] = numbers;
    model->tensors[index] = numbers;
    return TP_OK;
}

tp_status tp__source_tensor_take(struct tp_source_model *model, enum tp_tensor tensor,
                                 uint32_t layer, struct tp_error *error)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    return take_tensor(model, tensor, layer, (size_t)rows * columns, error);
}

tp_status tp__source_tensor_read(struct tp_source_model *model, enum tp_tensor tensor,
                                 uint32_t layer, const struct tp_tensor_place *place,
                                 struct tp_error *error)
{
    const struct tp_number_format *format = tp__number_format(place->type);
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    size_t count = (size_t)rows * columns;
    assert(count % format->elements == 0);
    size_t bytes = count / format->elements * format->bytes;
    assert(place->offset <= place->file->size && bytes <= place->file->size - place->offset);
    size_t index = tensor_index(model, tensor, layer);
    const void *start = place->file->data + place->offset;
    bool is_in_place = place->type == TP_NUMBER_F32 && place->file == &model->file &&
                       place->offset % sizeof(float) == 0;
    if (is_in_place) {
        model->tensors[index] = start;
    } else {
        tp_status status = take_tensor(model, tensor, layer, count, error);
        if (status != TP_OK) return status;
        tp__number_expand(place->type, start, count, model->owned[index]);
    }
    const struct block_place blocks = {.name = place->name,
                                       .offset = place->offset,
                                       .elements = format->elements,
                                       .bytes = format->bytes};
    return check_finite(model, tensor, layer, &blocks, error);
}

tp_status tp__source_tensor_read_groups(struct tp_source_model *model, enum tp_tensor tensor,
                                        uint32_t layer, size_t codes, size_t scales, uint32_t group,
                                        struct tp_error *error)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    size_t count = (size_t)rows * columns;
    const struct tp_bytes *file = &model->file;
    assert(count % group == 0 && codes <= file->size && count <= file->size - codes);
    assert(scales <= file->size && count / group * sizeof(float) <= file->size - scales);
    tp_status status = take_tensor(model, tensor, layer, count, error);
    if (status != TP_OK) return status;
    float *numbers = model->owned[tensor_index(model, tensor, layer)];
    for (size_t i = 0; i < count; i++) {
        float scale = tp__load_f32(file->data + scales + i / group * sizeof(float));
        numbers[i] = (float)(int8_t)file->data[codes + i] * scale;
    }
    const struct block_place blocks = {
        .name = model->name, .offset = scales, .elements = group, .bytes = sizeof(float)};
    return check_finite(model, tensor, layer, &blocks, error);
}

/* The numbers of a tensor, to be changed while the model is loaded: they lie in its own memory or
 * in its copy of the file. */
static float *writable_tensor(struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer)
{
    size_t index = tensor_index(model, tensor, layer);
    if (model->owned[index] != NULL) return model->owned[index];
    void *in_file = model->file.data + ((const uint8_t *)model->tensors[index] - model->file.data);
    return in_file;
}

/* Puts the units (rows, or elements of a vector) of each head into adjacent-pair order. */
static void pair_units(float *units, uint32_t heads, uint32_t head_size, size_t unit,
                       float *scratch)
{
    for (uint32_t head = 0; head < heads; head++) {
        float *first = units + (size_t)head * head_size * unit;
        memcpy(scratch, first, head_size * unit * sizeof(float));
        for (uint32_t i = 0; i < head_size; i++) {
            uint32_t source = i / 2 + i % 2 * (head_size / 2);
            memcpy(first + i * unit, scratch + source * unit, unit * sizeof(float));
        }
    }
}

static tp_status pair_tensors(struct tp_source_model *model, struct tp_error *error)
{
    static const enum tp_tensor rotated[] = {TP_TENSOR_QUERY,      TP_TENSOR_KEY,
                                             TP_TENSOR_QUERY_BIAS, TP_TENSOR_KEY_BIAS,
                                             TP_TENSOR_QUERY_NORM, TP_TENSOR_KEY_NORM};
    const struct tp_model_shape *shape = &model->shape;
    float *scratch = calloc((size_t)shape->head_size * shape->dim, sizeof *scratch);
    if (scratch == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for a head of %u x %u",
                        model->name, shape->head_size, shape->dim);
    }
    for (size_t i = 0; i < sizeof rotated / sizeof rotated[0]; i++) {
        if (!tp__tensor_exists(shape, rotated[i])) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(shape, rotated[i], &rows, &columns);
        uint32_t heads = (rows == 1 ? columns : rows) / shape->head_size;
        for (uint32_t layer = 0; layer < shape->layers; layer++) {
            pair_units(writable_tensor(model, rotated[i], layer), heads, shape->head_size,
                       rows == 1 ? 1 : columns, scratch);
        }
    }
    free(scratch);
    return TP_OK;
}

void tp__source_tensor_tie(struct tp_source_model *model)
{
    free(model->owned[TP_TENSOR_CLASSIFIER]);
    model->owned[TP_TENSOR_CLASSIFIER] = NULL;
    model->tensors[TP_TENSOR_CLASSIFIER] = model->tensors[TP_TENSOR_EMBEDDING];
    model->shape.tied = true;
}

bool tp__source_tensor_is_owned(const struct tp_source_model *model, enum tp_tensor tensor,
                                uint32_t layer)
{
    return model->owned[tensor_index(model, tensor, layer)] != NULL;
}

void tp__source_model_limit(struct tp_source_model *model, uint32_t window)
{
    if (window == 0 || window >= model->shape.context) return;
    model->window = window;
    model->shape.context = window;
}

tp_status tp__source_model_complete(struct tp_source_model *model, const char *name,
                                    struct tp_error *error)
{
    bool has_embedding = model->tensors[TP_TENSOR_EMBEDDING] != NULL;
    if (has_embedding && model->tensors[TP_TENSOR_CLASSIFIER] == NULL) {
        tp__source_tensor_tie(model);
    }
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (!tp__tensor_exists(&model->shape, tensor)) continue;
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->shape, tensor); layer++) {
            if (tp__source_tensor(model, tensor, layer) != NULL) continue;
            char tensor_name[TP_TENSOR_NAME_BYTES];
            tp__tensor_name(tensor, layer, tensor_name);
            return tp__fail(error, TP_ERROR_FORMAT,
                            "%s: tensor %s is missing; convert the model again", name, tensor_name);
        }
    }
    return TP_OK;
}

/* Files often store a tied classifier a second time. */
static void find_tied(struct tp_source_model *model)
{
    size_t bytes = (size_t)model->shape.vocab * model->shape.dim * sizeof(float);
    model->shape.tied = memcmp(model->tensors[TP_TENSOR_EMBEDDING],
                               model->tensors[TP_TENSOR_CLASSIFIER], bytes) == 0;
    if (model->shape.tied) tp__source_tensor_tie(model);
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
                        "%s: byte %zu: is %s; give a GGUF, safetensors or llama2.c model",
                        model->name, known[i].offset, known[i].what);
    }
    return TP_OK;
}

/* What all formats have in common at the end. */
static tp_status finish(struct tp_source_model *model, struct tp_error *error)
{
    find_tied(model);
    return model->is_half_split ? pair_tensors(model, error) : TP_OK;
}

static tp_status copy_text(const char *text, size_t size, char **copy, struct tp_error *error)
{
    *copy = malloc(size + 1);
    if (*copy == NULL) return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a name");
    memcpy(*copy, text, size);
    (*copy)[size] = '\0';
    return TP_OK;
}

/* A file that needs others beside it; path is NULL when it came as bytes. */
static tp_status load_beside(struct tp_source_model *model, const char *path,
                             struct tp_error *error)
{
    static const char end[] = ".index.json";
    size_t size = path == NULL ? 0 : strlen(path);
    bool is_safetensors = tp__safetensors_looks_like(model->file.data, model->file.size);
    bool is_index = size >= sizeof end && strcmp(path + size - (sizeof end - 1), end) == 0;
    if (path == NULL || (!is_safetensors && !is_index)) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s: byte 0: is %s; give the folder with config.json and "
                        "model.safetensors",
                        model->name, is_safetensors ? "a safetensors file alone" : "JSON text");
    }
    const char *slash = strrchr(path, '/');
    size_t folder_size = slash == path ? 1 : slash == NULL ? 1 : (size_t)(slash - path);
    tp_status status = copy_text(slash == NULL ? "." : path, folder_size, &model->folder, error);
    if (status != TP_OK) return status;
    return is_safetensors ? tp__load_safetensors_beside(model, model->folder, error)
                          : tp__load_safetensors_index(model, model->folder, error);
}

/* path is NULL when the file came as bytes. */
static tp_status load(struct tp_source_model *model, const char *path, struct tp_error *error)
{
    const struct tp_bytes *file = &model->file;
    if (file->size < 4) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: has only %zu bytes, which is no model; copy it again", model->name,
                        file->size);
    }
    tp_status status = refuse_foreign(model, error);
    if (status != TP_OK) return status;
    if (memcmp(file->data, "GGUF", 4) == 0) {
        status = tp__load_gguf(model, error);
    } else if (file->data[0] == '{' || tp__safetensors_looks_like(file->data, file->size)) {
        status = load_beside(model, path, error);
    } else {
        status = tp__load_llama2c(model, error);
    }
    return status == TP_OK ? finish(model, error) : status;
}

/* A model with nothing but the bytes of its file, which it takes over, also when this fails. */
static tp_status start(struct tp_bytes file, const char *path, struct tp_source_model *model,
                       struct tp_error *error)
{
    const char *name = tp__short_name(path);
    *model = (struct tp_source_model){.file = file};
    return copy_text(name, strlen(name), &model->name, error);
}

/* Ends each way to load: the result goes out whole or not at all. */
static tp_status hand_out(tp_status status, struct tp_source_model *result,
                          struct tp_source_model *model)
{
    if (status == TP_OK) {
        *model = *result;
    } else {
        tp__source_model_free(result);
    }
    return status;
}

tp_status tp__source_model_load(const char *path, struct tp_source_model *model,
                                struct tp_error *error)
{
    char found[PATH_BYTES];
    struct stat facts;
    if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        tp_status status = tp__find_in_folder(path, found, sizeof found, error);
        if (status != TP_OK) return status;
        path = found;
    }
    struct tp_bytes file;
    tp_status status = tp__file_read(path, TP_MODEL_BYTES_MAX, &file, error);
    if (status != TP_OK) return status;
    struct tp_source_model result;
    status = start(file, path, &result, error);
    if (status == TP_OK) status = load(&result, path, error);
    return hand_out(status, &result, model);
}

tp_status tp__source_model_parse(const void *data, size_t size, const char *name,
                                 struct tp_source_model *model, struct tp_error *error)
{
    struct tp_bytes file;
    tp_status status = tp__bytes_copy(data, size, &file, error);
    if (status != TP_OK) return status;
    struct tp_source_model result;
    status = start(file, name, &result, error);
    if (status == TP_OK) status = load(&result, NULL, error);
    return hand_out(status, &result, model);
}

tp_status tp__source_model_parse_safetensors(const void *config, size_t config_size,
                                             const void *data, size_t size, const char *name,
                                             struct tp_source_model *model, struct tp_error *error)
{
    struct tp_bytes file;
    struct tp_bytes config_file;
    tp_status status = tp__bytes_copy(data, size, &file, error);
    if (status != TP_OK) return status;
    struct tp_source_model result;
    status = start(file, name, &result, error);
    if (status != TP_OK) return hand_out(status, &result, model);
    status = tp__bytes_copy(config, config_size, &config_file, error);
    if (status != TP_OK) return hand_out(status, &result, model);
    status = tp__load_safetensors(&result, &config_file, "config.json", error);
    tp__bytes_free(&config_file);
    if (status == TP_OK) status = finish(&result, error);
    return hand_out(status, &result, model);
}

void tp__source_model_free(struct tp_source_model *model)
{
    for (size_t i = 0; model->owned != NULL && i < tensor_count(model); i++) {
        free(model->owned[i]);
    }
    free(model->owned);
    free(model->tensors);
    free(model->rope_frequency);
    free(model->key_means);
    free(model->exponent_max);
    free(model->name);
    free(model->folder);
    tp__bytes_free(&model->file);
    *model = (struct tp_source_model){0};
}

/* ---- copies ---- */

/* Copies the tensors one behind the other into the copy's memory, or, with it NULL, only counts.
 * Returns their numbers. */
static size_t copy_tensors(const struct tp_source_model *model, struct tp_source_model *copy)
{
    size_t total = 0;
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        bool is_embedding = tensor == TP_TENSOR_CLASSIFIER && model->shape.tied;
        if (is_embedding || !tp__tensor_exists(&model->shape, tensor)) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(&model->shape, tensor, &rows, &columns);
        size_t count = (size_t)rows * columns;
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->shape, tensor); layer++) {
            if (copy != NULL) {
                void *place = copy->file.data + total * sizeof(float);
                memcpy(place, tp__source_tensor(model, tensor, layer), count * sizeof(float));
                copy->tensors[tensor_index(copy, tensor, layer)] = place;
            }
            total += count;
        }
    }
    return total;
}

static tp_status fill_copy(const struct tp_source_model *model, struct tp_source_model *copy,
                           struct tp_error *error)
{
    tp_status status = tp__source_model_prepare(copy, error);
    if (status != TP_OK) return status;
    memcpy(copy->rope_frequency, model->rope_frequency,
           model->shape.head_size / 2 * sizeof model->rope_frequency[0]);
    copy->file.size = copy_tensors(model, NULL) * sizeof(float);
    copy->file.data = malloc(copy->file.size);
    if (copy->file.data == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for a copy of %zu bytes",
                        model->name, copy->file.size);
    }
    copy_tensors(model, copy);
    if (copy->shape.tied) {
        copy->tensors[TP_TENSOR_CLASSIFIER] = copy->tensors[TP_TENSOR_EMBEDDING];
    }
    return TP_OK;
}

tp_status tp__source_model_copy(const struct tp_source_model *model, struct tp_source_model *copy,
                                struct tp_error *error)
{
    struct tp_source_model result = {.shape = model->shape,
                                     .format = model->format,
                                     .architecture = model->architecture,
                                     .window = model->window,
                                     .is_half_split = model->is_half_split};
    size_t name_bytes = strlen(model->name) + 1;
    result.name = malloc(name_bytes);
    tp_status status;
    if (result.name == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its name", model->name);
    } else {
        memcpy(result.name, model->name, name_bytes);
        status = fill_copy(model, &result, error);
    }
    if (status != TP_OK) {
        tp__source_model_free(&result);
        return status;
    }
    *copy = result;
    return TP_OK;
}

float *tp__source_tensor_change(struct tp_source_model *copy, enum tp_tensor tensor, uint32_t layer)
{
    return writable_tensor(copy, tensor, layer);
}

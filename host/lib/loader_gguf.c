// SPDX-License-Identifier: Apache-2.0
//
// GGUF model files.
//
// In files of the architectures llama and mistral the rows of queries and keys are ordered so that
// adjacent rows rotate together (the converter of Hugging Face models permutes them), which is the
// order of all that follows; qwen2 and qwen3 keep the halves apart and are put into that order. A
// tensor that the architecture does not have (experts, norms elsewhere) would change the numbers,
// so it is refused by name.

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "architecture.h"
#include "gguf.h"
#include "layout.h"
#include "loader.h"
#include "rope_scaling.h"
#include "tp_map.h"

enum { KEY_BYTES = 96, PLACE_BYTES = 256 };

struct gguf_loader {
    struct tp_source_model *model;
    const struct tp_gguf *gguf;
    const struct tp_architecture *architecture;
    struct tp_rope_scaling scaling;
    const struct tp_gguf_tensor *divisors;  // of the frequencies, or NULL
    struct tp_error *error;
};

/* "llama." and the name: metadata of a model begin with its architecture. */
static const char *key_of(const struct gguf_loader *loader, const char *name, char key[KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "%s.%s", loader->architecture->name, name);
    return key;
}

static const struct tp_gguf_entry *find(const struct gguf_loader *loader, const char *name)
{
    char key[KEY_BYTES];
    return tp__gguf_find(loader->gguf, key_of(loader, name, key));
}

static tp_status u32(const struct gguf_loader *loader, const char *name, uint32_t *value)
{
    char key[KEY_BYTES];
    return tp__gguf_u32(loader->gguf, key_of(loader, name, key), value);
}

static tp_status u32_or(const struct gguf_loader *loader, const char *name, uint32_t *value)
{
    char key[KEY_BYTES];
    return tp__gguf_u32_or(loader->gguf, key_of(loader, name, key), value);
}

static tp_status f32_or(const struct gguf_loader *loader, const char *name, float *value)
{
    char key[KEY_BYTES];
    return tp__gguf_f32_or(loader->gguf, key_of(loader, name, key), value);
}

/* "model.gguf: byte 24: metadata llama.x", for messages. */
static const char *place_of(const struct gguf_loader *loader, const char *key,
                            char place[PLACE_BYTES])
{
    const struct tp_gguf_entry *entry = tp__gguf_find(loader->gguf, key);
    const char *name = loader->gguf->reader.name;
    if (entry == NULL) {
        (void)snprintf(place, PLACE_BYTES, "%s: metadata %s", name, key);
    } else {
        (void)snprintf(place, PLACE_BYTES, "%s: byte %zu: metadata %s", name, entry->offset, key);
    }
    return place;
}

static tp_status unsupported(const struct gguf_loader *loader, const char *name, const char *why)
{
    char key[KEY_BYTES];
    char place[PLACE_BYTES];
    return tp__fail(loader->error, TP_ERROR_UNSUPPORTED, "%s: %s",
                    place_of(loader, key_of(loader, name, key), place), why);
}

static tp_status find_architecture(struct gguf_loader *loader)
{
    static const char key[] = "general.architecture";
    struct tp_string name;
    tp_status status = tp__gguf_string(loader->gguf, key, &name);
    if (status != TP_OK) return status;
    char place[PLACE_BYTES];
    return tp__architecture_find(place_of(loader, key, place), name, &loader->architecture,
                                 loader->error);
}

/* Refuses what would need other formulas. */
static tp_status check_variants(const struct gguf_loader *loader)
{
    static const char *const factors[] = {
        "attention.scale",         "attention.clamp_kqv", "attention.max_alibi_bias",
        "attn_logit_softcapping",  "embedding_scale",     "residual_scale",
        "final_logit_softcapping", "logit_scale",
    };
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        float factor = 0.0f;
        tp_status status = f32_or(loader, factors[i], &factor);
        if (status != TP_OK) return status;
        if (factor != 0.0f) return unsupported(loader, factors[i], "is not supported");
    }
    uint32_t experts = 0;
    tp_status status = u32_or(loader, "expert_count", &experts);
    if (status != TP_OK) return status;
    if (experts != 0) return unsupported(loader, "expert_count", "experts are not supported");
    const struct tp_model_shape *shape = &loader->model->shape;
    uint32_t rotated = shape->head_size;
    status = u32_or(loader, "rope.dimension_count", &rotated);
    if (status != TP_OK) return status;
    if (rotated != shape->head_size) {
        return unsupported(loader, "rope.dimension_count",
                           "differs from the head size; rotation of a part is not supported");
    }
    if (find(loader, "rope.dimension_sections") != NULL) {
        return unsupported(loader, "rope.dimension_sections", "is not supported");
    }
    return TP_OK;
}

static tp_status read_scaling(struct gguf_loader *loader)
{
    struct tp_rope_scaling *scaling = &loader->scaling;
    char key[KEY_BYTES];
    char place[PLACE_BYTES];
    scaling->factor = 1.0f;
    tp_status status = f32_or(loader, "rope.scale_linear", &scaling->factor);  // older files
    if (status != TP_OK) return status;
    if (scaling->factor != 1.0f) scaling->kind = TP_ROPE_LINEAR;
    float attention_factor = 1.0f;
    status = f32_or(loader, "rope.scaling.attn_factor", &attention_factor);
    if (status != TP_OK) return status;
    if (attention_factor != 1.0f) {
        return unsupported(loader, "rope.scaling.attn_factor", "is not supported");
    }
    if (find(loader, "rope.scaling.type") == NULL) return TP_OK;
    struct tp_string name;
    status = tp__gguf_string(loader->gguf, key_of(loader, "rope.scaling.type", key), &name);
    if (status != TP_OK) return status;
    place_of(loader, key, place);
    status = tp__rope_kind_find(place, name, &scaling->kind, loader->error);
    if (status != TP_OK) return status;
    if (scaling->kind == TP_ROPE_LLAMA3) {
        return unsupported(loader, "rope.scaling.type",
                           "llama3 in a GGUF file is a tensor rope_freqs.weight");
    }
    return f32_or(loader, "rope.scaling.factor", &scaling->factor);
}

static tp_status read_head_size(const struct gguf_loader *loader)
{
    struct tp_model_shape *shape = &loader->model->shape;
    bool is_given = find(loader, "attention.key_length") != NULL;
    bool is_even = shape->heads != 0 && shape->dim % shape->heads == 0;
    if (!is_given && !is_even) {
        return tp__fail(loader->error, TP_ERROR_FORMAT,
                        "%s: metadata: embedding_length %u is not a multiple of head_count %u; the "
                        "file is damaged",
                        loader->gguf->reader.name, shape->dim, shape->heads);
    }
    if (is_even) shape->head_size = shape->dim / shape->heads;
    tp_status status = u32_or(loader, "attention.key_length", &shape->head_size);
    if (status != TP_OK) return status;
    uint32_t value_size = shape->head_size;
    status = u32_or(loader, "attention.value_length", &value_size);
    if (status != TP_OK) return status;
    if (value_size == shape->head_size) return TP_OK;
    return unsupported(loader, "attention.value_length",
                       "differs from key_length, which is not supported");
}

static const struct tp_gguf_tensor *find_tensor(const struct tp_gguf *gguf, const char *name)
{
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        if (tp__string_is(gguf->tensors[i].name, name)) return &gguf->tensors[i];
    }
    return NULL;
}

static tp_status read_vocab(const struct tp_gguf *gguf, struct tp_model_shape *shape)
{
    const struct tp_gguf_tensor *tensor = find_tensor(gguf, "token_embd.weight");
    if (tensor == NULL) {
        return tp__fail(gguf->reader.error, TP_ERROR_FORMAT,
                        "%s: has no tensor token_embd.weight%s", gguf->reader.name,
                        gguf->tensor_count == 0 ? " and no other: it is only a tokenizer" : "");
    }
    if (tensor->rows > UINT32_MAX) {
        return tp__fail(gguf->reader.error, TP_ERROR_TOO_LARGE,
                        "%s: byte %zu: token_embd.weight has %llu rows; the file is damaged",
                        gguf->reader.name, tensor->place, (unsigned long long)tensor->rows);
    }
    shape->vocab = (uint32_t)tensor->rows;
    return TP_OK;
}

static tp_status check_constant(const struct gguf_loader *loader, const char *name, float value,
                                double min, double max)
{
    // Written so that a NaN is refused.
    if ((double)value >= min && (double)value <= max) return TP_OK;
    char key[KEY_BYTES];
    char place[PLACE_BYTES];
    return tp__fail(loader->error, TP_ERROR_RANGE, "%s is %g; %g to %g is possible",
                    place_of(loader, key_of(loader, name, key), place), (double)value, min, max);
}

static tp_status read_constants(const struct gguf_loader *loader)
{
    struct tp_model_shape *shape = &loader->model->shape;
    char key[KEY_BYTES];
    shape->rope_base = 10000.0f;
    tp_status status = f32_or(loader, "rope.freq_base", &shape->rope_base);
    if (status != TP_OK) return status;
    status = check_constant(loader, "rope.freq_base", shape->rope_base, 1.0, 1e12);
    if (status != TP_OK) return status;
    static const char epsilon[] = "attention.layer_norm_rms_epsilon";
    status = tp__gguf_f32(loader->gguf, key_of(loader, epsilon, key), &shape->norm_epsilon);
    if (status != TP_OK) return status;
    return check_constant(loader, epsilon, shape->norm_epsilon, 0.0, 1.0);
}

/* A window of attention shorter than the context is a limit: up to there it changes nothing. */
static tp_status read_window(const struct gguf_loader *loader)
{
    uint32_t window = 0;
    tp_status status = u32_or(loader, "attention.sliding_window", &window);
    if (status != TP_OK) return status;
    tp__source_model_limit(loader->model, window);
    return TP_OK;
}

static tp_status read_shape(struct gguf_loader *loader)
{
    struct tp_model_shape *shape = &loader->model->shape;
    const struct {
        const char *name;
        uint32_t *value;
    } sizes[] = {
        {"embedding_length", &shape->dim},   {"feed_forward_length", &shape->hidden},
        {"block_count", &shape->layers},     {"attention.head_count", &shape->heads},
        {"context_length", &shape->context},
    };
    tp_status status;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct tp_gguf_entry *entry = find(loader, sizes[i].name);
        if (entry != NULL && entry->is_array) {
            return unsupported(loader, sizes[i].name, "layers of several sizes are not supported");
        }
        status = u32(loader, sizes[i].name, sizes[i].value);
        if (status != TP_OK) return status;
    }
    shape->kv_heads = shape->heads;
    status = u32_or(loader, "attention.head_count_kv", &shape->kv_heads);
    if (status != TP_OK) return status;
    status = read_head_size(loader);
    if (status != TP_OK) return status;
    status = read_constants(loader);
    if (status != TP_OK) return status;
    status = read_vocab(loader->gguf, shape);
    if (status != TP_OK) return status;
    status = tp__shape_check(shape, loader->gguf->reader.name, loader->error);
    if (status != TP_OK) return status;
    shape->has_head_norm = loader->architecture->has_head_norm;
    shape->has_bias = loader->architecture->has_bias;
    if (loader->architecture->may_have_bias) {
        shape->has_bias = find_tensor(loader->gguf, "blk.0.attn_q.bias") != NULL;
    }
    status = check_variants(loader);
    if (status != TP_OK) return status;
    status = read_window(loader);
    if (status != TP_OK) return status;
    return read_scaling(loader);
}

static tp_status check_size(const struct gguf_loader *loader, const struct tp_gguf_tensor *source,
                            uint32_t rows, uint32_t columns)
{
    if (source->rows == rows && source->columns == columns) return TP_OK;
    return tp__fail(loader->error, TP_ERROR_FORMAT,
                    "%s: byte %zu: tensor %.*s is %llu x %llu, but the metadata asks for "
                    "%u x %u; the file is damaged",
                    loader->gguf->reader.name, source->place, tp__string_width(source->name),
                    source->name.text, (unsigned long long)source->rows,
                    (unsigned long long)source->columns, rows, columns);
}

static tp_status given_twice(const struct gguf_loader *loader, const struct tp_gguf_tensor *source)
{
    return tp__fail(loader->error, TP_ERROR_FORMAT,
                    "%s: byte %zu: tensor %.*s is given twice; the file is damaged",
                    loader->gguf->reader.name, source->place, tp__string_width(source->name),
                    source->name.text);
}

/* Notes the table that divides the frequencies of Llama 3. */
static tp_status set_divisors(struct gguf_loader *loader, const struct tp_gguf_tensor *source)
{
    if (loader->divisors != NULL) return given_twice(loader, source);
    tp_status status = check_size(loader, source, 1, loader->model->shape.head_size / 2);
    if (status != TP_OK) return status;
    if (source->type != tp__number_format(TP_NUMBER_F32)->ggml_type) {
        return tp__fail(loader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: tensor rope_freqs.weight is not F32",
                        loader->gguf->reader.name, source->place);
    }
    loader->divisors = source;
    return TP_OK;
}

static tp_status set_tensor(struct gguf_loader *loader, const struct tp_gguf_tensor *source)
{
    struct tp_source_model *model = loader->model;
    if (tp__string_is(source->name, "rope_freqs.weight")) return set_divisors(loader, source);
    enum tp_tensor tensor;
    uint32_t layer;
    if (!tp__tensor_find(&model->shape, &tp__gguf_names, source->name, &tensor, &layer)) {
        return tp__fail(loader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: tensor %.*s is not part of a plain %s model of %u layers",
                        model->name, source->place, tp__string_width(source->name),
                        source->name.text, loader->architecture->name, model->shape.layers);
    }
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    tp_status status = check_size(loader, source, rows, columns);
    if (status != TP_OK) return status;
    if (tp__source_tensor(model, tensor, layer) != NULL) return given_twice(loader, source);
    struct tp_tensor_place place = {
        .file = &model->file, .name = model->name, .offset = source->offset};
    bool is_known = tp__number_of_ggml(source->type, &place.type);
    assert(is_known);  // tp__gguf_check_tensors
    return tp__source_tensor_read(model, tensor, layer, &place, loader->error);
}

static tp_status scale_rotation(struct gguf_loader *loader)
{
    char key[KEY_BYTES];
    char place[PLACE_BYTES];
    place_of(loader, key_of(loader, "rope.scaling.factor", key), place);
    tp_status status = tp__rope_scale(loader->model, place, &loader->scaling, loader->error);
    if (status != TP_OK || loader->divisors == NULL) return status;
    (void)snprintf(place, sizeof place, "%s: byte %zu: tensor rope_freqs.weight",
                   loader->model->name, loader->divisors->offset);
    uint32_t pairs = loader->model->shape.head_size / 2;
    float *divisors = calloc(pairs, sizeof *divisors);
    if (divisors == NULL) {
        return tp__fail(loader->error, TP_ERROR_NO_MEMORY, "%s: no memory for %u divisors",
                        loader->model->name, pairs);
    }
    tp__number_expand(TP_NUMBER_F32, loader->model->file.data + loader->divisors->offset, pairs,
                      divisors);
    status = tp__rope_divide(loader->model, place, divisors, loader->error);
    free(divisors);
    return status;
}

/* Large models come in several files, of which this is one. */
static tp_status check_whole(const struct gguf_loader *loader)
{
    static const char key[] = "split.count";
    char place[PLACE_BYTES];
    uint32_t parts = 0;
    tp_status status = tp__gguf_u32_or(loader->gguf, key, &parts);
    if (status != TP_OK || parts <= 1) return status;
    return tp__fail(loader->error, TP_ERROR_UNSUPPORTED,
                    "%s: the model lies in %u files; join them first", place_of(loader, key, place),
                    parts);
}

static tp_status bad_constant(const struct gguf_loader *loader, const char *key,
                              const struct tp_gguf_entry *entry, const char *what)
{
    return tp__fail(loader->error, TP_ERROR_FORMAT, "%s: byte %zu: metadata %s %s",
                    loader->model->name, entry->offset, key, what);
}

static tp_status copy_constants(struct gguf_loader *loader, const struct tp_gguf_entry *means,
                                const struct tp_gguf_entry *exponents)
{
    struct tp_source_model *model = loader->model;
    size_t mean_count = (size_t)means->count;
    size_t edges = (size_t)exponents->count;
    model->key_means = calloc(mean_count, sizeof *model->key_means);
    model->exponent_max = malloc(edges);
    if (model->key_means == NULL || model->exponent_max == NULL) {
        return tp__fail(loader->error, TP_ERROR_NO_MEMORY, "%s: no memory for constants",
                        model->name);
    }
    memcpy(model->exponent_max, model->file.data + exponents->offset, edges);
    tp__number_expand(TP_NUMBER_F32, model->file.data + means->offset, mean_count,
                      model->key_means);
    for (size_t i = 0; i < mean_count; i++) {
        if (!isfinite(model->key_means[i])) {
            return bad_constant(loader, TP_GGUF_KEY_MEANS, means,
                                "has a number that is not finite");
        }
    }
    for (size_t i = 0; i < edges; i++) {
        if (model->exponent_max[i] > TP_EXPONENT_MAX) {
            return bad_constant(loader, TP_GGUF_EXPONENT_MAX, exponents,
                                "has an exponent above 25");
        }
    }
    return TP_OK;
}

/* What an export of an image says about it; other files have none of it. */
static tp_status read_image_constants(struct gguf_loader *loader)
{
    const struct tp_model_shape *shape = &loader->model->shape;
    const struct tp_gguf_entry *means = NULL;
    const struct tp_gguf_entry *exponents = NULL;
    tp_status status = tp__gguf_array(loader->gguf, TP_GGUF_KEY_MEANS, TP_GGUF_F32, &means);
    if (status != TP_OK) return status;
    status = tp__gguf_array(loader->gguf, TP_GGUF_EXPONENT_MAX, TP_GGUF_U8, &exponents);
    if (status != TP_OK || means == NULL || exponents == NULL) return status;
    if (means->count != (uint64_t)shape->layers * shape->kv_heads * shape->head_size) {
        return bad_constant(loader, TP_GGUF_KEY_MEANS, means, "does not fit the model");
    }
    if (exponents->count != tp__edge_count(shape)) {
        return bad_constant(loader, TP_GGUF_EXPONENT_MAX, exponents, "does not fit the model");
    }
    return copy_constants(loader, means, exponents);
}

static tp_status load(struct gguf_loader *loader)
{
    struct tp_source_model *model = loader->model;
    tp_status status = find_architecture(loader);
    if (status != TP_OK) return status;
    status = check_whole(loader);
    if (status != TP_OK) return status;
    model->architecture = loader->architecture->name;
    model->is_half_split = loader->architecture->is_half_split;
    status = read_shape(loader);
    if (status != TP_OK) return status;
    status = tp__gguf_check_tensors(loader->gguf);
    if (status != TP_OK) return status;
    status = tp__source_model_prepare(model, loader->error);
    if (status != TP_OK) return status;
    for (uint32_t i = 0; i < loader->gguf->tensor_count; i++) {
        status = set_tensor(loader, &loader->gguf->tensors[i]);
        if (status != TP_OK) return status;
    }
    model->has_tokenizer = tp__gguf_find(loader->gguf, "tokenizer.ggml.tokens") != NULL;
    status = scale_rotation(loader);
    if (status != TP_OK) return status;
    status = read_image_constants(loader);
    if (status != TP_OK) return status;
    return tp__source_model_complete(model, model->name, loader->error);
}

tp_status tp__load_gguf(struct tp_source_model *model, struct tp_error *error)
{
    struct tp_gguf gguf;
    tp_status status = tp__gguf_open(model->file.data, model->file.size, model->name, &gguf, error);
    if (status != TP_OK) return status;
    model->format = gguf.version == 2 ? "GGUF version 2" : "GGUF version 3";
    struct gguf_loader loader = {.model = model, .gguf = &gguf, .error = error};
    status = load(&loader);
    tp__gguf_free(&gguf);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// config.json of Hugging Face models: sizes, constants and variants of a model.
//
// A field that is absent or null has the value that the model's own code gives it. A field that
// asks for other formulas is refused by name, so that a model never runs with wrong numbers.

#include "model_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

enum { VALUES_MAX = 1 << 16, PLACE_BYTES = 256 };

struct config_reader {
    const char *name;  // of the file
    json_t *root;
    struct tp_model_config *config;
    struct tp_error *error;
};

static const json_t *find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value) ? NULL : value;
}

static tp_status wrong(const struct config_reader *reader, const char *key, const char *expected)
{
    return tp__fail(reader->error, TP_ERROR_FORMAT, "%s: %s is not %s; the file is damaged",
                    reader->name, key, expected);
}

static tp_status unsupported(const struct config_reader *reader, const char *key, const char *why)
{
    return tp__fail(reader->error, TP_ERROR_UNSUPPORTED, "%s: %s: %s", reader->name, key, why);
}

/* Each _or function leaves *value as it is when the field is absent. */
static tp_status u32_or(const struct config_reader *reader, const json_t *object, const char *key,
                        uint32_t *value)
{
    const json_t *field = find(object, key);
    if (field == NULL) return TP_OK;
    json_int_t number = json_integer_value(field);
    if (!json_is_integer(field) || number < 0 || number > UINT32_MAX) {
        return wrong(reader, key, "a whole number of 32 bits");
    }
    *value = (uint32_t)number;
    return TP_OK;
}

static tp_status u32(const struct config_reader *reader, const char *key, uint32_t *value)
{
    if (find(reader->root, key) == NULL) {
        return tp__fail(reader->error, TP_ERROR_FORMAT, "%s: %s is missing; download it again",
                        reader->name, key);
    }
    return u32_or(reader, reader->root, key, value);
}

static tp_status f32_or(const struct config_reader *reader, const json_t *object, const char *key,
                        float *value)
{
    const json_t *field = find(object, key);
    if (field == NULL) return TP_OK;
    if (!json_is_number(field)) return wrong(reader, key, "a number");
    *value = (float)json_number_value(field);
    return TP_OK;
}

static tp_status bool_or(const struct config_reader *reader, const char *key, bool *value)
{
    const json_t *field = find(reader->root, key);
    if (field == NULL) return TP_OK;
    if (!json_is_boolean(field)) return wrong(reader, key, "true or false");
    *value = json_is_true(field);
    return TP_OK;
}

static tp_status text_or(const struct config_reader *reader, const json_t *object, const char *key,
                         struct tp_string *value)
{
    const json_t *field = find(object, key);
    if (field == NULL) return TP_OK;
    if (!json_is_string(field)) return wrong(reader, key, "a text");
    *value =
        (struct tp_string){.text = json_string_value(field), .size = json_string_length(field)};
    return TP_OK;
}

static tp_status check_range(const struct config_reader *reader, const char *key, float value,
                             double min, double max)
{
    // Written so that a NaN is refused.
    if ((double)value >= min && (double)value <= max) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_RANGE, "%s: %s is %g; %g to %g is possible",
                    reader->name, key, (double)value, min, max);
}

static const char *place_of(const struct config_reader *reader, const char *key,
                            char place[PLACE_BYTES])
{
    (void)snprintf(place, PLACE_BYTES, "%s: %s", reader->name, key);
    return place;
}

/* "LlamaForCausalLM": the name of the class says what the model is for. */
static tp_status check_class(const struct config_reader *reader)
{
    static const char end[] = "ForCausalLM";
    const json_t *classes = find(reader->root, "architectures");
    if (classes == NULL) return TP_OK;
    const char *name = json_string_value(json_array_get(classes, 0));
    if (name == NULL) return wrong(reader, "architectures", "a list of texts");
    size_t size = strlen(name);
    size_t end_size = sizeof end - 1;
    if (size >= end_size && strcmp(name + size - end_size, end) == 0) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                    "%s: architectures: %.64s generates no text; a ...ForCausalLM does",
                    reader->name, name);
}

static tp_status read_architecture(const struct config_reader *reader)
{
    char place[PLACE_BYTES];
    struct tp_string name = {.text = "", .size = 0};
    if (find(reader->root, "model_type") == NULL) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: model_type is missing; it is not the config.json of a model",
                        reader->name);
    }
    tp_status status = text_or(reader, reader->root, "model_type", &name);
    if (status != TP_OK) return status;
    status = tp__architecture_find(place_of(reader, "model_type", place), name,
                                   &reader->config->architecture, reader->error);
    return status == TP_OK ? check_class(reader) : status;
}

/* Refuses what would need other formulas. */
static tp_status check_variants(const struct config_reader *reader)
{
    static const struct {
        const char *key;
        const char *why;
    } flags[] = {
        {"attention_bias", "a bias of the attention's output is not supported"},
        {"mlp_bias", "biases of the feed-forward layers are not supported"},
        {"rope_interleaved", "another order of rotation pairs is not supported"},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bool value = false;
        tp_status status = bool_or(reader, flags[i].key, &value);
        if (status != TP_OK) return status;
        if (value) return unsupported(reader, flags[i].key, flags[i].why);
    }
    static const char *const experts[] = {"num_experts", "num_local_experts", "n_routed_experts"};
    for (size_t i = 0; i < sizeof experts / sizeof experts[0]; i++) {
        uint32_t count = 0;
        tp_status status = u32_or(reader, reader->root, experts[i], &count);
        if (status != TP_OK) return status;
        if (count != 0) return unsupported(reader, experts[i], "experts are not supported");
    }
    struct tp_string activation = {.text = "silu", .size = 4};
    tp_status status = text_or(reader, reader->root, "hidden_act", &activation);
    if (status != TP_OK) return status;
    if (!tp__string_is(activation, "silu") && !tp__string_is(activation, "swish")) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: hidden_act: %.*s is not supported; silu is", reader->name,
                        tp__string_width(activation), activation.text);
    }
    if (find(reader->root, "quantization_config") != NULL) {
        return unsupported(
            reader, "quantization_config",
            "weights that are quantised already are not read; F32, F16 and BF16 are");
    }
    float part = 1.0f;
    status = f32_or(reader, reader->root, "partial_rotary_factor", &part);
    if (status != TP_OK) return status;
    if (part != 1.0f) {
        return unsupported(reader, "partial_rotary_factor",
                           "rotation of a part of the head is not supported");
    }
    return TP_OK;
}

static tp_status read_sizes(const struct config_reader *reader)
{
    struct tp_model_shape *shape = &reader->config->shape;
    const struct {
        const char *key;
        uint32_t *value;
    } sizes[] = {
        {"hidden_size", &shape->dim},          {"intermediate_size", &shape->hidden},
        {"num_hidden_layers", &shape->layers}, {"num_attention_heads", &shape->heads},
        {"vocab_size", &shape->vocab},         {"max_position_embeddings", &shape->context},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        tp_status status = u32(reader, sizes[i].key, sizes[i].value);
        if (status != TP_OK) return status;
    }
    shape->kv_heads = shape->heads;
    tp_status status = u32_or(reader, reader->root, "num_key_value_heads", &shape->kv_heads);
    if (status != TP_OK) return status;
    bool is_even = shape->heads != 0 && shape->dim % shape->heads == 0;
    if (!is_even && find(reader->root, "head_dim") == NULL) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: hidden_size %u is not a multiple of num_attention_heads %u; the file "
                        "is damaged",
                        reader->name, shape->dim, shape->heads);
    }
    shape->head_size = is_even ? shape->dim / shape->heads : 0;
    // Qwen3's own code has heads of 128 unless the file says otherwise.
    if (reader->config->architecture->has_head_norm) shape->head_size = 128;
    status = u32_or(reader, reader->root, "head_dim", &shape->head_size);
    if (status != TP_OK) return status;
    return tp__shape_check(shape, reader->name, reader->error);
}

/* A window counts only where the model's code looks at it. */
static tp_status read_window(const struct config_reader *reader)
{
    bool is_used = !reader->config->architecture->window_is_asked;
    tp_status status = bool_or(reader, "use_sliding_window", &is_used);
    if (status != TP_OK || !is_used) return status;
    return u32_or(reader, reader->root, "sliding_window", &reader->config->window);
}

/* Newer files have all of the rotation in rope_parameters, older ones in rope_scaling beside
 * rope_theta. */
static tp_status read_scaling(const struct config_reader *reader)
{
    struct tp_rope_scaling *scaling = &reader->config->scaling;
    bool is_newer = find(reader->root, "rope_parameters") != NULL;
    const char *key = is_newer ? "rope_parameters" : "rope_scaling";
    reader->config->scaling_field = key;
    const json_t *object = find(reader->root, key);
    if (object == NULL) return TP_OK;
    if (!json_is_object(object)) return wrong(reader, key, "an object");
    tp_status status = f32_or(reader, object, "rope_theta", &reader->config->shape.rope_base);
    if (status != TP_OK) return status;
    struct tp_string type = {.text = "default", .size = 7};
    status = text_or(reader, object, "type", &type);
    if (status == TP_OK) status = text_or(reader, object, "rope_type", &type);
    if (status != TP_OK) return status;
    char place[PLACE_BYTES];
    status = tp__rope_kind_find(place_of(reader, key, place), type, &scaling->kind, reader->error);
    if (status != TP_OK) return status;
    float attention_factor = 1.0f;
    status = f32_or(reader, object, "attention_factor", &attention_factor);
    if (status != TP_OK) return status;
    if (attention_factor != 1.0f) {
        return unsupported(reader, "attention_factor", "is not supported");
    }
    float part = 1.0f;
    status = f32_or(reader, object, "partial_rotary_factor", &part);
    if (status != TP_OK) return status;
    if (part != 1.0f) {
        return unsupported(reader, "partial_rotary_factor",
                           "rotation of a part of the head is not supported");
    }
    status = f32_or(reader, object, "factor", &scaling->factor);
    if (status == TP_OK) {
        status = f32_or(reader, object, "low_freq_factor", &scaling->low_factor);
    }
    if (status == TP_OK) {
        status = f32_or(reader, object, "high_freq_factor", &scaling->high_factor);
    }
    if (status != TP_OK) return status;
    return u32_or(reader, object, "original_max_position_embeddings", &scaling->original_context);
}

static tp_status read_constants(const struct config_reader *reader)
{
    struct tp_model_shape *shape = &reader->config->shape;
    shape->norm_epsilon = 1e-6f;
    shape->rope_base = 10000.0f;
    tp_status status = f32_or(reader, reader->root, "rms_norm_eps", &shape->norm_epsilon);
    if (status != TP_OK) return status;
    status = check_range(reader, "rms_norm_eps", shape->norm_epsilon, 0.0, 1.0);
    if (status != TP_OK) return status;
    status = f32_or(reader, reader->root, "rope_theta", &shape->rope_base);
    if (status != TP_OK) return status;
    status = read_scaling(reader);
    if (status != TP_OK) return status;
    return check_range(reader, "rope_theta", shape->rope_base, 1.0, 1e12);
}

static tp_status read_all(const struct config_reader *reader)
{
    struct tp_model_config *config = reader->config;
    tp_status status = read_architecture(reader);
    if (status != TP_OK) return status;
    status = check_variants(reader);
    if (status != TP_OK) return status;
    status = read_sizes(reader);
    if (status != TP_OK) return status;
    status = read_constants(reader);
    if (status != TP_OK) return status;
    status = read_window(reader);
    if (status != TP_OK) return status;
    config->shape.has_bias = config->architecture->has_bias;
    config->shape.has_head_norm = config->architecture->has_head_norm;
    bool is_tied = false;
    status = bool_or(reader, "tie_word_embeddings", &is_tied);
    config->is_tied = is_tied;
    config->is_untied = !is_tied && find(reader->root, "tie_word_embeddings") != NULL;
    return status;
}

tp_status tp__model_config_parse(const struct tp_bytes *file, const char *name,
                                 struct tp_model_config *config, struct tp_error *error)
{
    struct tp_model_config result = {.architecture = NULL};
    struct config_reader reader = {.name = name, .config = &result, .error = error};
    tp_status status =
        tp__json_parse(file->data, file->size, name, 0, VALUES_MAX, &reader.root, error);
    if (status != TP_OK) return status;
    status = read_all(&reader);
    json_decref(reader.root);
    if (status == TP_OK) *config = result;
    return status;
}

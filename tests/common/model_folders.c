// SPDX-License-Identifier: Apache-2.0
//
// Safetensors models that tests make: the two files as bytes, and folders with them.

#define _POSIX_C_SOURCE 200809L

#include "model_folders.h"

#include <assert.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 96, LINE_BYTES = 512, PATH_BYTES = 4096 };

static void put_line(struct tp_test_bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put_line(struct tp_test_bytes *bytes, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    assert(size >= 0 && size < LINE_BYTES);
    tp_test_put(bytes, line, (size_t)size);
}

/* Names in the order of enum tp_test_tensor. */
static void tensor_name(enum tp_test_tensor tensor, uint32_t layer, char name[NAME_BYTES])
{
    static const char *const names[TP_TEST_TENSOR_COUNT] = {"model.embed_tokens.weight",
                                                            "input_layernorm.weight",
                                                            "self_attn.q_proj.weight",
                                                            "self_attn.k_proj.weight",
                                                            "self_attn.v_proj.weight",
                                                            "self_attn.o_proj.weight",
                                                            "post_attention_layernorm.weight",
                                                            "mlp.gate_proj.weight",
                                                            "mlp.down_proj.weight",
                                                            "mlp.up_proj.weight",
                                                            "model.norm.weight",
                                                            "lm_head.weight",
                                                            "self_attn.q_proj.bias",
                                                            "self_attn.k_proj.bias",
                                                            "self_attn.v_proj.bias",
                                                            "self_attn.q_norm.weight",
                                                            "self_attn.k_norm.weight"};
    bool is_once =
        tensor == TP_TEST_EMBEDDING || tensor == TP_TEST_NORM_FINAL || tensor == TP_TEST_CLASSIFIER;
    if (is_once) {
        snprintf(name, NAME_BYTES, "%s", names[tensor]);
    } else {
        snprintf(name, NAME_BYTES, "model.layers.%u.%s", layer, names[tensor]);
    }
}

/* Ends header and data to a file. */
static void join_parts(struct tp_test_bytes *header, size_t padding, struct tp_test_bytes *data,
                       struct tp_test_bytes *file)
{
    tp_test_put(header, "}", 1);
    while (header->size % 8 != 0) tp_test_put(header, " ", 1);
    for (size_t i = 0; i < padding; i++) tp_test_put(header, " ", 1);
    *file = (struct tp_test_bytes){0};
    tp_test_put_u64(file, header->size);
    tp_test_put(file, header->data, header->size);
    tp_test_put(file, data->data, data->size);
    tp_test_bytes_free(header);
    tp_test_bytes_free(data);
}

static bool is_named(const char *option, const char *name)
{
    return option != NULL && strcmp(option, name) == 0;
}

static void put_entry(const struct tp_test_safetensors *options, const char *name,
                      enum tp_number_type type, uint32_t rows, uint32_t columns, size_t first,
                      size_t end, struct tp_test_bytes *header)
{
    bool is_odd = is_named(options->odd_tensor, name);
    char shape[NAME_BYTES];
    snprintf(shape, sizeof shape, rows == 1 ? "[%u]" : "[%u, %u]", rows == 1 ? columns : rows,
             columns);
    put_line(header, "%s\"%s\": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": [%lld, %lld]}",
             header->size > 1 && header->data[header->size - 1] == '}' ? ", " : "",
             is_odd && options->odd_name ? options->odd_name : name,
             is_odd && options->odd_dtype ? options->odd_dtype : tp__number_format(type)->name,
             is_odd && options->odd_shape ? options->odd_shape : shape,
             (long long)((int64_t)first + (is_odd ? options->odd_first : 0)),
             (long long)((int64_t)end + (is_odd ? options->odd_end : 0)));
}

/* The tensors that the options ask for, one after the other. */
struct walk {
    enum tp_test_tensor tensor;
    uint32_t layer;
    size_t number;
    char name[NAME_BYTES];
};

static bool next(const struct tp_test_model *model, const struct tp_test_safetensors *options,
                 struct walk *walk)
{
    for (; walk->tensor < TP_TEST_TENSOR_COUNT; walk->tensor++, walk->layer = 0) {
        bool is_written = tp_test_tensor_exists(model, walk->tensor);
        if (walk->tensor == TP_TEST_CLASSIFIER) {
            is_written = model->is_untied || options->has_copied_tie;
        }
        while (is_written && walk->layer < tp_test_tensor_layers(model, walk->tensor)) {
            tensor_name(walk->tensor, walk->layer++, walk->name);
            if (is_named(options->left_out, walk->name)) continue;
            walk->number++;
            return true;
        }
    }
    return false;
}

static size_t shard_of(const struct tp_test_safetensors *options, const struct walk *walk)
{
    return options->shards > 1 ? walk->number % options->shards : options->shard;
}

void tp_test_write_safetensors(const struct tp_test_model *model,
                               const struct tp_test_safetensors *options,
                               struct tp_test_bytes *file)
{
    struct tp_test_bytes header = {0};
    struct tp_test_bytes data = {0};
    struct walk walk = {.number = 0};
    tp_test_put(&header, "{", 1);
    if (options->extra_entry != NULL) put_line(&header, "%s", options->extra_entry);
    while (next(model, options, &walk)) {
        if (shard_of(options, &walk) != options->shard) continue;
        uint32_t rows;
        uint32_t columns;
        tp_test_tensor_size(model, walk.tensor, &rows, &columns);
        enum tp_number_type type = rows == 1 ? TP_NUMBER_F32 : options->type;
        size_t first = data.size;
        tp_test_put_half_split(model, type, walk.tensor, walk.layer - 1, &data);
        put_entry(options, walk.name, type, rows, columns, first, data.size, &header);
    }
    join_parts(&header, options->padding, &data, file);
}

void tp_test_write_index(const struct tp_test_model *model,
                         const struct tp_test_safetensors *options, struct tp_test_bytes *file)
{
    struct walk walk = {.number = 0};
    *file = (struct tp_test_bytes){0};
    put_line(file, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    while (next(model, options, &walk)) {
        put_line(file, "%s\"%s\": \"model-%zu.safetensors\"", walk.number > 1 ? ", " : "",
                 walk.name, shard_of(options, &walk));
    }
    put_line(file, "}}");
}

/* "LlamaForCausalLM" */
static void put_class(const char *architecture, struct tp_test_bytes *file)
{
    put_line(file, "{\"architectures\": [\"%c%sForCausalLM\"], \"model_type\": \"%s\"",
             architecture[0] - 'a' + 'A', architecture + 1, architecture);
}

void tp_test_write_config(const struct tp_test_model *model, const char *architecture,
                          const char *more, const char *replaced, struct tp_test_bytes *file)
{
    const struct {
        const char *name;
        uint32_t value;
    } sizes[] = {{"hidden_size", model->dim},
                 {"intermediate_size", model->hidden},
                 {"num_hidden_layers", model->layers},
                 {"num_attention_heads", model->heads},
                 {"num_key_value_heads", model->kv_heads},
                 {"vocab_size", model->vocab},
                 {"max_position_embeddings", model->context},
                 {"head_dim", model->head_size}};
    *file = (struct tp_test_bytes){0};
    put_class(architecture, file);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bool is_default = i == 7 && sizes[i].value == 0 && strcmp(architecture, "qwen3") != 0;
        if (is_named(replaced, sizes[i].name) || is_default) continue;
        uint32_t value = sizes[i].value;
        if (i == 7 && value == 0) value = model->dim / model->heads;
        put_line(file, ", \"%s\": %u", sizes[i].name, value);
    }
    put_line(file, ", \"tie_word_embeddings\": %s", model->is_untied ? "false" : "true");
    if (!is_named(replaced, "rms_norm_eps")) put_line(file, ", \"rms_norm_eps\": 1e-05");
    put_line(file, ", \"hidden_act\": \"silu\", \"rope_theta\": 10000.0%s}",
             more != NULL ? more : "");
}

/* ---- folders ---- */

void tp_test_folder_make(char *path, size_t path_bytes)
{
    const char *folder = getenv("TMPDIR");
    int size = snprintf(path, path_bytes, "%s/tokproc-test-XXXXXX", folder ? folder : "/tmp");
    assert(size > 0 && (size_t)size < path_bytes);
    const char *made = mkdtemp(path);
    assert(made != NULL);
}

void tp_test_folder_put(const char *folder, const char *name, const struct tp_test_bytes *bytes)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    size_t written = fwrite(bytes->data, 1, bytes->size, file);
    assert(written == bytes->size);
    int failed = fclose(file);
    assert(failed == 0);
}

void tp_test_folder_remove(const char *folder)
{
    DIR *list = opendir(folder);
    assert(list != NULL);
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    closedir(list);
    rmdir(folder);
}

/* ---- loaded models ---- */

static const struct {
    enum tp_tensor tensor;
    enum tp_test_tensor name;
} saved[] = {
    {TP_TENSOR_EMBEDDING, TP_TEST_EMBEDDING},
    {TP_TENSOR_NORM_FINAL, TP_TEST_NORM_FINAL},
    {TP_TENSOR_CLASSIFIER, TP_TEST_CLASSIFIER},
    {TP_TENSOR_NORM_ATTENTION, TP_TEST_NORM_ATTENTION},
    {TP_TENSOR_QUERY, TP_TEST_QUERY},
    {TP_TENSOR_KEY, TP_TEST_KEY},
    {TP_TENSOR_VALUE, TP_TEST_VALUE},
    {TP_TENSOR_OUTPUT, TP_TEST_OUTPUT},
    {TP_TENSOR_NORM_FFN, TP_TEST_NORM_FFN},
    {TP_TENSOR_GATE, TP_TEST_GATE},
    {TP_TENSOR_DOWN, TP_TEST_DOWN},
    {TP_TENSOR_UP, TP_TEST_UP},
    {TP_TENSOR_QUERY_BIAS, TP_TEST_QUERY_BIAS},
    {TP_TENSOR_KEY_BIAS, TP_TEST_KEY_BIAS},
    {TP_TENSOR_VALUE_BIAS, TP_TEST_VALUE_BIAS},
    {TP_TENSOR_QUERY_NORM, TP_TEST_QUERY_NORM},
    {TP_TENSOR_KEY_NORM, TP_TEST_KEY_NORM},
};

/* Which unit of the adjacent order is in that place of the half-split order. */
static size_t source_of(enum tp_tensor tensor, uint32_t head_size, size_t place)
{
    bool is_rotated = tensor == TP_TENSOR_QUERY || tensor == TP_TENSOR_KEY ||
                      tensor == TP_TENSOR_QUERY_BIAS || tensor == TP_TENSOR_KEY_BIAS ||
                      tensor == TP_TENSOR_QUERY_NORM || tensor == TP_TENSOR_KEY_NORM;
    if (!is_rotated) return place;
    size_t element = place % head_size;
    size_t pair = element % (head_size / 2);
    return place - element + 2 * pair + (element < head_size / 2 ? 0 : 1);
}

static void save_tensor(const struct tp_source_model *model, enum tp_tensor tensor, uint32_t layer,
                        struct tp_test_bytes *data)
{
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    const float *numbers = tp__source_tensor(model, tensor, layer);
    size_t units = rows == 1 ? columns : rows;
    size_t unit = rows == 1 ? 1 : columns;
    for (size_t i = 0; i < units; i++) {
        size_t source = source_of(tensor, model->shape.head_size, i);
        tp_test_put(data, numbers + source * unit, unit * sizeof(float));
    }
}

static void save_tensors(const struct tp_source_model *model, struct tp_test_bytes *file)
{
    const struct tp_test_safetensors plain = {.type = TP_NUMBER_F32};
    struct tp_test_bytes header = {0};
    struct tp_test_bytes data = {0};
    tp_test_put(&header, "{", 1);
    for (size_t i = 0; i < sizeof saved / sizeof saved[0]; i++) {
        enum tp_tensor tensor = saved[i].tensor;
        bool is_tie = tensor == TP_TENSOR_CLASSIFIER && model->shape.tied;
        if (is_tie || !tp__tensor_exists(&model->shape, tensor)) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(&model->shape, tensor, &rows, &columns);
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->shape, tensor); layer++) {
            char name[NAME_BYTES];
            size_t first = data.size;
            tensor_name(saved[i].name, layer, name);
            save_tensor(model, tensor, layer, &data);
            put_entry(&plain, name, TP_NUMBER_F32, rows, columns, first, data.size, &header);
        }
    }
    join_parts(&header, 0, &data, file);
}

void tp_test_save_source(const struct tp_source_model *model, const char *folder)
{
    const struct tp_model_shape *shape = &model->shape;
    const struct tp_test_model sizes = {.dim = shape->dim,
                                        .hidden = shape->hidden,
                                        .layers = shape->layers,
                                        .heads = shape->heads,
                                        .kv_heads = shape->kv_heads,
                                        .vocab = shape->vocab,
                                        .context = shape->context,
                                        .is_untied = !shape->tied,
                                        .head_size = shape->head_size};
    struct tp_test_bytes tensors;
    struct tp_test_bytes config;
    char more[LINE_BYTES];
    snprintf(more, sizeof more, ", \"rms_norm_eps\": %.9g", (double)shape->norm_epsilon);
    tp_test_write_config(&sizes, model->architecture, more, "rms_norm_eps", &config);
    save_tensors(model, &tensors);
    tp_test_folder_put(folder, "model.safetensors", &tensors);
    tp_test_folder_put(folder, "config.json", &config);
    tp_test_bytes_free(&tensors);
    tp_test_bytes_free(&config);
}

// SPDX-License-Identifier: Apache-2.0
//
// Safetensors models: a folder with config.json and the tensors in one file or several.
//
// All architectures keep the rows of queries and keys with the halves of heads apart. A tensor that
// the architecture does not have would change the numbers, so it is refused by name.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader.h"
#include "model_config.h"
#include "safetensors.h"

#define INDEX_BYTES_MAX ((size_t)64 << 20)
enum { PLACE_BYTES = 256, PATH_BYTES = 4096, SHARDS_MAX = 1 << 10, INDEX_VALUES_MAX = 1 << 18 };

static const struct tp_tensor_names names = {
    .layer = "model.layers.",
    .names = {
        [TP_TENSOR_EMBEDDING] = "model.embed_tokens.weight",
        [TP_TENSOR_NORM_FINAL] = "model.norm.weight",
        [TP_TENSOR_CLASSIFIER] = "lm_head.weight",
        [TP_TENSOR_NORM_ATTENTION] = "input_layernorm.weight",
        [TP_TENSOR_QUERY] = "self_attn.q_proj.weight",
        [TP_TENSOR_KEY] = "self_attn.k_proj.weight",
        [TP_TENSOR_VALUE] = "self_attn.v_proj.weight",
        [TP_TENSOR_OUTPUT] = "self_attn.o_proj.weight",
        [TP_TENSOR_NORM_FFN] = "post_attention_layernorm.weight",
        [TP_TENSOR_GATE] = "mlp.gate_proj.weight",
        [TP_TENSOR_DOWN] = "mlp.down_proj.weight",
        [TP_TENSOR_UP] = "mlp.up_proj.weight",
        [TP_TENSOR_QUERY_BIAS] = "self_attn.q_proj.bias",
        [TP_TENSOR_KEY_BIAS] = "self_attn.k_proj.bias",
        [TP_TENSOR_VALUE_BIAS] = "self_attn.v_proj.bias",
        [TP_TENSOR_QUERY_NORM] = "self_attn.q_norm.weight",
        [TP_TENSOR_KEY_NORM] = "self_attn.k_norm.weight",
    }};

struct folder_loader {
    struct tp_source_model *model;
    struct tp_model_config config;
    const json_t *weight_map;  // tensor to file; NULL: there is one file
    struct tp_error *error;
};

/* Tables of the rotation that old files store; they follow from config.json. */
static bool is_rotation_table(struct tp_string name)
{
    uint32_t layer;
    bool has_layer = tp__tensor_layer(&names, &name, &layer);
    return has_layer && tp__string_is(name, "self_attn.rotary_emb.inv_freq");
}

static tp_status set_tensor(struct folder_loader *loader, const struct tp_bytes *file,
                            const char *file_name, const struct tp_safetensor *source)
{
    struct tp_source_model *model = loader->model;
    enum tp_tensor tensor;
    uint32_t layer;
    if (is_rotation_table(source->name)) return TP_OK;
    if (!tp__tensor_find(&model->shape, &names, source->name, &tensor, &layer)) {
        return tp__fail(loader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: tensor %.*s is not part of a plain %s model of %u layers",
                        file_name, source->offset, tp__string_width(source->name),
                        source->name.text, model->architecture, model->shape.layers);
    }
    uint32_t rows;
    uint32_t columns;
    tp__tensor_size(&model->shape, tensor, &rows, &columns);
    if (source->rows != rows || source->columns != columns) {
        return tp__fail(loader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s is %llu x %llu, but config.json asks for "
                        "%u x %u; the files do not belong together",
                        file_name, source->offset, tp__string_width(source->name),
                        source->name.text, (unsigned long long)source->rows,
                        (unsigned long long)source->columns, rows, columns);
    }
    if (tp__source_tensor(model, tensor, layer) != NULL) {
        return tp__fail(loader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s is in another file too", file_name,
                        source->offset, tp__string_width(source->name), source->name.text);
    }
    const struct tp_tensor_place place = {
        .file = file, .name = file_name, .offset = source->offset, .type = source->type};
    return tp__source_tensor_read(model, tensor, layer, &place, loader->error);
}

static tp_status set_tensors(struct folder_loader *loader, const struct tp_bytes *file,
                             const char *file_name)
{
    struct tp_safetensors container;
    tp_status status = tp__safetensors_open(file, file_name, &container, loader->error);
    if (status != TP_OK) return status;
    for (uint32_t i = 0; i < container.count && status == TP_OK; i++) {
        status = set_tensor(loader, file, file_name, &container.tensors[i]);
    }
    tp__safetensors_free(&container);
    return status;
}

static tp_status start(struct folder_loader *loader, const struct tp_bytes *config,
                       const char *config_name)
{
    struct tp_source_model *model = loader->model;
    tp_status status = tp__model_config_parse(config, config_name, &loader->config, loader->error);
    if (status != TP_OK) return status;
    model->shape = loader->config.shape;
    model->format = "safetensors";
    model->architecture = loader->config.architecture->name;
    model->is_half_split = true;
    tp__source_model_limit(model, loader->config.window);
    status = tp__source_model_prepare(model, loader->error);
    if (status != TP_OK) return status;
    char place[PLACE_BYTES];
    (void)snprintf(place, sizeof place, "%s: %s", config_name, loader->config.scaling_field);
    return tp__rope_scale(model, place, &loader->config.scaling, loader->error);
}

/* The file's bytes are not needed any more when no tensor lies in them. */
static void drop_file(struct tp_source_model *model)
{
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (!tp__tensor_exists(&model->shape, tensor)) continue;
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model->shape, tensor); layer++) {
            if (!tp__source_tensor_is_owned(model, tensor, layer)) return;
        }
    }
    tp__bytes_free(&model->file);
}

static tp_status finish(struct folder_loader *loader)
{
    struct tp_source_model *model = loader->model;
    const float *classifier = tp__source_tensor(model, TP_TENSOR_CLASSIFIER, 0);
    if (classifier == NULL && loader->config.is_untied) {
        return tp__fail(loader->error, TP_ERROR_FORMAT,
                        "%s: tensor lm_head.weight is missing, and config.json says "
                        "tie_word_embeddings false; download it again",
                        model->name);
    }
    tp_status status = tp__source_model_complete(model, model->name, loader->error);
    if (status != TP_OK) return status;
    const float *embedding = tp__source_tensor(model, TP_TENSOR_EMBEDDING, 0);
    size_t bytes = (size_t)model->shape.vocab * model->shape.dim * sizeof(float);
    bool differs = classifier != NULL && memcmp(classifier, embedding, bytes) != 0;
    if (loader->config.is_tied && differs) {
        return tp__fail(loader->error, TP_ERROR_FORMAT,
                        "%s: tensor lm_head.weight differs from the embedding, but config.json "
                        "says tie_word_embeddings true",
                        model->name);
    }
    drop_file(model);
    return TP_OK;
}

tp_status tp__load_safetensors(struct tp_source_model *model, const struct tp_bytes *config,
                               const char *config_name, struct tp_error *error)
{
    struct folder_loader loader = {.model = model, .error = error};
    tp_status status = start(&loader, config, config_name);
    if (status == TP_OK) status = set_tensors(&loader, &model->file, model->name);
    return status == TP_OK ? finish(&loader) : status;
}

/* ---- files ---- */

static tp_status path_too_long(const char *folder, struct tp_error *error)
{
    return tp__fail(error, TP_ERROR_INVALID, "%s: the path is too long", tp__short_name(folder));
}

static tp_status join(const char *folder, const char *name, char path[PATH_BYTES],
                      struct tp_error *error)
{
    int size = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    if (size > 0 && size < PATH_BYTES) return TP_OK;
    return path_too_long(folder, error);
}

static bool exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
}

static tp_status read_config(const char *folder, struct tp_bytes *config, char path[PATH_BYTES],
                             struct tp_error *error)
{
    tp_status status = join(folder, "config.json", path, error);
    if (status != TP_OK) return status;
    return tp__file_read(path, TP_CONFIG_BYTES_MAX, config, error);
}

/* One file of several: its tensors are copied, so it is not kept. */
static tp_status load_shard(struct folder_loader *loader, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    size_t size = strlen(name);
    bool is_plain = size > 12 && strcmp(name + size - 12, ".safetensors") == 0 &&
                    strchr(name, '/') == NULL && name[0] != '.';
    if (!is_plain) {
        return tp__fail(loader->error, TP_ERROR_FORMAT,
                        "%s: weight_map names \"%.64s\", which is not a safetensors file beside it",
                        loader->model->name, name);
    }
    tp_status status = join(folder, name, path, loader->error);
    if (status != TP_OK) return status;
    struct tp_bytes file;
    status = tp__file_read(path, TP_MODEL_BYTES_MAX, &file, loader->error);
    if (status != TP_OK) return status;
    status = set_tensors(loader, &file, tp__short_name(path));
    tp__bytes_free(&file);
    return status;
}

/* Loads each file that the index names, once. The table of those done has few entries. */
static tp_status load_shards(struct folder_loader *loader, const char *folder)
{
    const char *done[SHARDS_MAX];
    size_t count = 0;
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)loader->weight_map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (name == NULL) {
            return tp__fail(loader->error, TP_ERROR_FORMAT, "%s: weight_map: %.64s has no text",
                            loader->model->name, tensor);
        }
        size_t i = 0;
        while (i < count && strcmp(done[i], name) != 0) i++;
        if (i < count) continue;
        if (count == SHARDS_MAX) {
            return tp__fail(loader->error, TP_ERROR_TOO_LARGE,
                            "%s: weight_map names more than %d files", loader->model->name,
                            SHARDS_MAX);
        }
        done[count++] = name;
        tp_status status = load_shard(loader, folder, name);
        if (status != TP_OK) return status;
    }
    return TP_OK;
}

static tp_status load_index(struct folder_loader *loader, const char *folder,
                            const struct tp_bytes *index)
{
    json_t *root;
    tp_status status = tp__json_parse(index->data, index->size, loader->model->name, 0,
                                      INDEX_VALUES_MAX, &root, loader->error);
    if (status != TP_OK) return status;
    loader->weight_map = json_object_get(root, "weight_map");
    if (json_is_object(loader->weight_map)) {
        status = load_shards(loader, folder);
    } else {
        status = tp__fail(loader->error, TP_ERROR_FORMAT, "%s: weight_map is not an object",
                          loader->model->name);
    }
    json_decref(root);
    loader->weight_map = NULL;
    return status == TP_OK ? finish(loader) : status;
}

tp_status tp__load_safetensors_index(struct tp_source_model *model, const char *folder,
                                     struct tp_error *error)
{
    struct folder_loader loader = {.model = model, .error = error};
    char path[PATH_BYTES];
    struct tp_bytes config;
    tp_status status = read_config(folder, &config, path, error);
    if (status != TP_OK) return status;
    status = start(&loader, &config, tp__short_name(path));
    tp__bytes_free(&config);
    if (status != TP_OK) return status;
    struct tp_bytes index = model->file;
    model->file = (struct tp_bytes){.data = NULL};
    status = index.size > INDEX_BYTES_MAX
                 ? tp__fail(error, TP_ERROR_TOO_LARGE, "%s: has %zu bytes; the limit is %zu",
                            model->name, index.size, INDEX_BYTES_MAX)
                 : load_index(&loader, folder, &index);
    tp__bytes_free(&index);
    return status;
}

tp_status tp__load_safetensors_beside(struct tp_source_model *model, const char *folder,
                                      struct tp_error *error)
{
    char path[PATH_BYTES];
    struct tp_bytes config;
    tp_status status = read_config(folder, &config, path, error);
    if (status != TP_OK) return status;
    status = tp__load_safetensors(model, &config, tp__short_name(path), error);
    tp__bytes_free(&config);
    return status;
}

tp_status tp__find_in_folder(const char *folder, char *path, size_t path_bytes,
                             struct tp_error *error)
{
    static const char *const files[] = {"model.safetensors", "model.safetensors.index.json"};
    char candidate[PATH_BYTES];
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    if (length >= PATH_BYTES) return path_too_long(folder, error);
    char plain[PATH_BYTES];  // without slashes at the end
    memcpy(plain, folder, length);
    plain[length] = '\0';
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        tp_status status = join(plain, files[i], candidate, error);
        if (status != TP_OK) return status;
        if (!exists(candidate)) continue;
        int size = snprintf(path, path_bytes, "%s", candidate);
        assert(size > 0 && (size_t)size < path_bytes);
        return TP_OK;
    }
    return tp__fail(error, TP_ERROR_NOT_FOUND,
                    "%s: the folder has no model.safetensors and no model.safetensors.index.json; "
                    "give the model's file",
                    tp__short_name(folder));
}

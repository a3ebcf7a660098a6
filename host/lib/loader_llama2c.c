// SPDX-License-Identifier: Apache-2.0
//
// llama2.c model files: version 0 and 1 with float32 weights, version 2 with int8 weights.
//
//   version 0    byte 0   7 int32: dim, hidden, layers, heads, KV heads, vocabulary, context; a
//                         negative vocabulary says that the classifier is separate
//                     28  embedding, attention norms of all layers, queries of all layers, keys,
//                         values, outputs, FFN norms, gates, downs, ups, final norm, two tables of
//                         context * head size / 2 (rotation, not used), classifier if separate
//   version 1    byte 0   uint32 0x616b3432, int32 1
//                      8  the 7 int32, vocabulary positive
//                     36  1 if the classifier is the embedding, else 0; then zeros
//                    256  attention norms, FFN norms, final norm, embedding, queries, keys, values,
//                         outputs, gates, downs, ups, classifier if separate
//   version 2    as version 1, but
//                     37  int32 group size
//                         all weights but the norms are int8, each tensor of each layer followed by
//                         one float32 scale for every group of its numbers, counted over all rows
//
// Version 0 has no mark: it is a file whose header is sensible and whose length is exactly what the
// header asks for.

#include <assert.h>
#include <stddef.h>

#include "loader.h"
#include "reader.h"

enum {
    MAGIC = 0x616b3432,
    HEADER_1_BYTES = 256,
    HEADER_1_FLAG = 36,
    HEADER_2_GROUP = 37,
    HEADER_2_ZEROS = 41,
    HEADER_FIELDS = 7
};

/* In the order of the file; TP_TENSOR_COUNT stands for the rotation tables. */
static const enum tp_tensor order_0[] = {
    TP_TENSOR_EMBEDDING,  TP_TENSOR_NORM_ATTENTION, TP_TENSOR_QUERY,
    TP_TENSOR_KEY,        TP_TENSOR_VALUE,          TP_TENSOR_OUTPUT,
    TP_TENSOR_NORM_FFN,   TP_TENSOR_GATE,           TP_TENSOR_DOWN,
    TP_TENSOR_UP,         TP_TENSOR_NORM_FINAL,     TP_TENSOR_COUNT,
    TP_TENSOR_CLASSIFIER,
};
static const enum tp_tensor order_1[] = {
    TP_TENSOR_NORM_ATTENTION, TP_TENSOR_NORM_FFN, TP_TENSOR_NORM_FINAL, TP_TENSOR_EMBEDDING,
    TP_TENSOR_QUERY,          TP_TENSOR_KEY,      TP_TENSOR_VALUE,      TP_TENSOR_OUTPUT,
    TP_TENSOR_GATE,           TP_TENSOR_DOWN,     TP_TENSOR_UP,         TP_TENSOR_CLASSIFIER,
};

static tp_status read_shape(struct tp_reader *reader, bool is_version_0,
                            struct tp_model_shape *shape)
{
    static const char *const names[HEADER_FIELDS] = {"dim",      "hidden dim", "layers", "heads",
                                                     "KV heads", "vocabulary", "context"};
    int32_t fields[HEADER_FIELDS];
    for (size_t i = 0; i < HEADER_FIELDS; i++) {
        size_t place = reader->offset;
        tp_status status = tp__reader_i32(reader, names[i], &fields[i]);
        if (status != TP_OK) return status;
        // Text and other files give huge numbers here; within this bound tp__shape_check judges.
        int32_t size = is_version_0 && i == 5 && fields[i] != INT32_MIN && fields[i] < 0
                           ? -fields[i]
                           : fields[i];
        if (size > 0 && size <= TP_MODEL_CONTEXT_MAX) continue;
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: as a llama2.c header, %s would be %d; not a model that this "
                        "program reads (GGUF, safetensors or llama2.c), or damaged",
                        reader->name, place, names[i], fields[i]);
    }
    shape->dim = (uint32_t)fields[0];
    shape->hidden = (uint32_t)fields[1];
    shape->layers = (uint32_t)fields[2];
    shape->heads = (uint32_t)fields[3];
    shape->kv_heads = (uint32_t)fields[4];
    shape->tied = fields[5] > 0;
    shape->vocab = (uint32_t)(fields[5] > 0 ? fields[5] : -fields[5]);
    shape->context = (uint32_t)fields[6];
    shape->head_size = shape->dim / shape->heads;
    shape->rope_base = 10000.0f;
    shape->norm_epsilon = 1e-5f;
    tp_status status = tp__shape_check(shape, reader->name, reader->error);
    if (status != TP_OK) return status;
    if (shape->dim % shape->heads != 0) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: header: dimension %u is not a multiple of %u heads; the file is "
                        "damaged or not a model",
                        reader->name, shape->dim, shape->heads);
    }
    return TP_OK;
}

/* The rest of the header of versions 1 and 2; group is 0 in version 1. */
static tp_status read_rest(struct tp_reader *reader, uint32_t version, struct tp_model_shape *shape,
                           uint32_t *group)
{
    const uint8_t *rest;
    tp_status status = tp__reader_take(reader, HEADER_1_BYTES - HEADER_1_FLAG, "the header", &rest);
    if (status != TP_OK) return status;
    *group = version == 2 ? tp__load_u32(reader->bytes + HEADER_2_GROUP) : 0;
    if (version == 2 && (*group == 0 || *group > INT32_MAX)) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %d: the group size is %d; the file is damaged", reader->name,
                        HEADER_2_GROUP, (int)*group);
    }
    for (size_t i = 0; i < HEADER_1_BYTES - HEADER_1_FLAG; i++) {
        size_t place = HEADER_1_FLAG + i;
        if (version == 2 && place >= HEADER_2_GROUP && place < HEADER_2_ZEROS) continue;
        if (rest[i] <= (i == 0 ? 1 : 0)) continue;
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the header has 0x%02x where version %u has %s; the file is "
                        "damaged",
                        reader->name, place, rest[i], version, i == 0 ? "0 or 1" : "0");
    }
    shape->tied = rest[0] == 1;
    return TP_OK;
}

static tp_status read_header(struct tp_reader *reader, struct tp_source_model *model,
                             uint32_t *version, uint32_t *group)
{
    static const char *const names[] = {"llama2.c version 0", "llama2.c version 1",
                                        "llama2.c version 2"};
    *version = 0;
    *group = 0;
    bool is_version_0 = tp__load_u32(model->file.data) != MAGIC;
    if (!is_version_0) {
        reader->offset = 4;
        tp_status status = tp__reader_u32(reader, "the version", version);
        if (status != TP_OK) return status;
        if (*version != 1 && *version != 2) {
            return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                            "%s: byte 4: llama2.c version %u is unknown; export the model with "
                            "--version 1",
                            reader->name, *version);
        }
    }
    model->format = names[*version];
    tp_status status = read_shape(reader, is_version_0, &model->shape);
    if (status != TP_OK || is_version_0) return status;
    return read_rest(reader, *version, &model->shape, group);
}

static tp_status take_floats(struct tp_source_model *model, struct tp_reader *reader,
                             enum tp_tensor tensor, uint32_t layer, const char *name, size_t count)
{
    const struct tp_tensor_place place = {
        .file = &model->file, .name = model->name, .offset = reader->offset, .type = TP_NUMBER_F32};
    const uint8_t *bytes;
    tp_status status = tp__reader_take(reader, count * sizeof(float), name, &bytes);
    if (status != TP_OK || tensor == TP_TENSOR_COUNT) return status;
    return tp__source_tensor_read(model, tensor, layer, &place, reader->error);
}

static tp_status take_groups(struct tp_source_model *model, struct tp_reader *reader,
                             enum tp_tensor tensor, uint32_t layer, const char *name, size_t count,
                             uint32_t group)
{
    size_t codes = reader->offset;
    if (count % group != 0) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %d: groups of %u do not divide the %zu numbers of tensor %s; the "
                        "file is damaged",
                        reader->name, HEADER_2_GROUP, group, count, name);
    }
    const uint8_t *bytes;
    tp_status status = tp__reader_take(reader, count, name, &bytes);
    if (status != TP_OK) return status;
    size_t scales = reader->offset;
    status = tp__reader_take(reader, count / group * sizeof(float), name, &bytes);
    if (status != TP_OK) return status;
    return tp__source_tensor_read_groups(model, tensor, layer, codes, scales, group, reader->error);
}

/* Steps over one tensor of every layer, and sets it. group is 0 where numbers are float32. */
static tp_status take_tensor(struct tp_source_model *model, struct tp_reader *reader,
                             enum tp_tensor tensor, uint32_t group)
{
    const struct tp_model_shape *shape = &model->shape;
    uint32_t rows = 2 * shape->context;
    uint32_t columns = shape->head_size / 2;
    if (tensor != TP_TENSOR_COUNT) tp__tensor_size(shape, tensor, &rows, &columns);
    // The limits of the shape keep this product below 2^40.
    size_t count = (size_t)rows * columns;
    bool is_norm = tensor == TP_TENSOR_NORM_ATTENTION || tensor == TP_TENSOR_NORM_FFN ||
                   tensor == TP_TENSOR_NORM_FINAL;
    bool has_groups = group != 0 && !is_norm;
    uint32_t layers = tensor == TP_TENSOR_COUNT ? 1 : tp__tensor_layers(shape, tensor);
    for (uint32_t layer = 0; layer < layers; layer++) {
        char name[TP_TENSOR_NAME_BYTES] = "the rotation table";
        if (tensor != TP_TENSOR_COUNT) tp__tensor_name(tensor, layer, name);
        tp_status status = has_groups
                               ? take_groups(model, reader, tensor, layer, name, count, group)
                               : take_floats(model, reader, tensor, layer, name, count);
        if (status != TP_OK) return status;
    }
    return TP_OK;
}

tp_status tp__load_llama2c(struct tp_source_model *model, struct tp_error *error)
{
    struct tp_reader reader = {
        .bytes = model->file.data, .size = model->file.size, .name = model->name, .error = error};
    uint32_t version;
    uint32_t group;
    model->architecture = "llama";
    tp_status status = read_header(&reader, model, &version, &group);
    if (status != TP_OK) return status;
    status = tp__source_model_prepare(model, error);
    if (status != TP_OK) return status;
    const enum tp_tensor *order = version == 0 ? order_0 : order_1;
    size_t count =
        version == 0 ? sizeof order_0 / sizeof order_0[0] : sizeof order_1 / sizeof order_1[0];
    if (model->shape.tied) count--;  // the classifier comes last in both
    for (size_t i = 0; i < count; i++) {
        status = take_tensor(model, &reader, order[i], group);
        if (status != TP_OK) return status;
    }
    if (model->shape.tied) tp__source_tensor_tie(model);
    if (reader.offset != reader.size) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: byte %zu: a %s model with this header ends here, but the file has %zu "
                        "bytes more; it is damaged or not a model",
                        model->name, reader.offset, model->format, reader.size - reader.offset);
    }
    return TP_OK;
}

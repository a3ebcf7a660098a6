// SPDX-License-Identifier: Apache-2.0
//
// Safetensors containers.

#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, VALUES_PER_TENSOR = 16, FIELDS = 3 };

struct header_reader {
    const char *name;  // of the file
    size_t data;       // where the data begins
    size_t data_size;
    struct tp_error *error;
};

bool tp__safetensors_looks_like(const uint8_t *bytes, size_t size)
{
    if (size <= LENGTH_BYTES || bytes[LENGTH_BYTES] != '{') return false;
    // A llama2.c file of version 0 has its hidden dimension, which is not 0, in the upper half.
    return tp__load_u64(bytes) <= UINT32_MAX;
}

static tp_status damaged(const struct header_reader *reader, const char *tensor, const char *field,
                         const char *what)
{
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: byte %d: header: tensor %.64s: %s %s; the file is damaged", reader->name,
                    LENGTH_BYTES, tensor, field, what);
}

static tp_status read_type(const struct header_reader *reader, const char *tensor,
                           const json_t *value, enum tp_number_type *type)
{
    static const enum tp_number_type types[] = {TP_NUMBER_F32, TP_NUMBER_F16, TP_NUMBER_BF16};
    const char *text = json_string_value(value);
    if (text == NULL) return damaged(reader, tensor, "dtype", "is not a text");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(text, tp__number_format(types[i])->name) != 0) continue;
        *type = types[i];
        return TP_OK;
    }
    return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                    "%s: byte %d: header: tensor %.64s: dtype %.32s is not read; F32, F16 and BF16 "
                    "are",
                    reader->name, LENGTH_BYTES, tensor, text);
}

/* Sizes to rows and columns; numbers becomes their product. */
static tp_status read_shape(const struct header_reader *reader, const char *tensor,
                            const json_t *shape, struct tp_safetensor *out, uint64_t *numbers)
{
    size_t dimensions = json_array_size(shape);  // 0 when it is no array
    if (!json_is_array(shape) || dimensions > TP_SAFETENSORS_DIMENSIONS_MAX) {
        return damaged(reader, tensor, "shape", "is not a list of at most 8 sizes");
    }
    out->rows = 1;
    out->columns = 1;
    *numbers = 1;
    for (size_t i = 0; i < dimensions; i++) {
        const json_t *value = json_array_get(shape, i);
        json_int_t size = json_integer_value(value);
        if (!json_is_integer(value) || size < 0) {
            return damaged(reader, tensor, "shape", "has a size that is no whole number from 0 on");
        }
        bool is_last = i + 1 == dimensions;
        if (is_last) out->columns = (uint64_t)size;
        bool overflows = __builtin_mul_overflow(*numbers, (uint64_t)size, numbers);
        if (!is_last && !overflows) out->rows = *numbers;
        if (overflows) return damaged(reader, tensor, "shape", "has sizes whose product overflows");
    }
    return TP_OK;
}

static tp_status read_offsets(const struct header_reader *reader, const char *tensor,
                              const json_t *offsets, struct tp_safetensor *out)
{
    if (!json_is_array(offsets) || json_array_size(offsets) != 2) {
        return damaged(reader, tensor, "data_offsets", "is not a pair of numbers");
    }
    const json_t *first = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);
    json_int_t from = json_integer_value(first);
    json_int_t to = json_integer_value(end);
    if (!json_is_integer(first) || !json_is_integer(end) || from < 0 || to < from) {
        return damaged(reader, tensor, "data_offsets", "is not a pair of rising numbers from 0 on");
    }
    if ((uint64_t)to > reader->data_size) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %d: header: tensor %.64s: data_offsets end at %lld, but the data "
                        "has %zu bytes; the file is cut short or damaged",
                        reader->name, LENGTH_BYTES, tensor, (long long)to, reader->data_size);
    }
    out->offset = reader->data + (size_t)from;
    out->size = (size_t)(to - from);
    return TP_OK;
}

static tp_status read_tensor(const struct header_reader *reader, const char *name, json_t *entry,
                             struct tp_safetensor *out)
{
    if (!json_is_object(entry)) return damaged(reader, name, "the entry", "is not an object");
    if (json_object_size(entry) != FIELDS) {
        return damaged(reader, name, "the entry", "has not just dtype, shape and data_offsets");
    }
    struct tp_safetensor tensor = {.name = {.text = name, .size = strlen(name)}};
    uint64_t numbers = 0;
    tp_status status = read_type(reader, name, json_object_get(entry, "dtype"), &tensor.type);
    if (status != TP_OK) return status;
    status = read_shape(reader, name, json_object_get(entry, "shape"), &tensor, &numbers);
    if (status != TP_OK) return status;
    status = read_offsets(reader, name, json_object_get(entry, "data_offsets"), &tensor);
    if (status != TP_OK) return status;
    uint64_t bytes;
    bool fits =
        !__builtin_mul_overflow(numbers, (uint64_t)tp__number_format(tensor.type)->bytes, &bytes);
    if (!fits || bytes != tensor.size) {
        return damaged(reader, name, "data_offsets", "do not fit its shape and dtype");
    }
    *out = tensor;
    return TP_OK;
}

static tp_status check_metadata(const struct header_reader *reader, json_t *metadata)
{
    const char *key;
    json_t *value;
    bool is_sound = json_is_object(metadata);
    json_object_foreach(metadata, key, value)
    {
        is_sound = is_sound && json_is_string(value);
    }
    if (is_sound) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: byte %d: header: __metadata__ is not an object of texts; the file is "
                    "damaged",
                    reader->name, LENGTH_BYTES);
}

static int compare_offsets(const void *a, const void *b)
{
    const struct tp_safetensor *left = a;
    const struct tp_safetensor *right = b;
    if (left->offset != right->offset) return left->offset < right->offset ? -1 : 1;
    return left->size < right->size ? -1 : left->size > right->size;
}

/* The sorted tensors follow each other without a gap, to the end. */
static tp_status check_cover(const struct header_reader *reader,
                             const struct tp_safetensors *container)
{
    size_t end = reader->data;
    const char *last = "the header";
    for (uint32_t i = 0; i < container->count; i++) {
        const struct tp_safetensor *tensor = &container->tensors[i];
        if (tensor->offset < end) {
            return tp__fail(reader->error, TP_ERROR_FORMAT,
                            "%s: byte %zu: tensors %.64s and %.64s overlap; the file is damaged",
                            reader->name, tensor->offset, last, tensor->name.text);
        }
        if (tensor->offset > end) {
            return tp__fail(reader->error, TP_ERROR_FORMAT,
                            "%s: byte %zu: %zu bytes before tensor %.64s belong to none; the file "
                            "is damaged",
                            reader->name, end, tensor->offset - end, tensor->name.text);
        }
        end += tensor->size;
        last = tensor->name.text;
    }
#ifdef TP_PLANT_BUG
    return TP_OK;  // forgets the end
#endif
    if (end == reader->data + reader->data_size) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: byte %zu: the last %zu bytes belong to no tensor; the file is damaged",
                    reader->name, end, reader->data + reader->data_size - end);
}

static tp_status read_tensors(const struct header_reader *reader, struct tp_safetensors *container)
{
    const char *name;
    json_t *entry;
    json_object_foreach(container->header, name, entry)
    {
        bool is_metadata = strcmp(name, "__metadata__") == 0;
        tp_status status =
            is_metadata ? check_metadata(reader, entry)
                        : read_tensor(reader, name, entry, &container->tensors[container->count]);
        if (status != TP_OK) return status;
        if (!is_metadata) container->count++;
    }
    qsort(container->tensors, container->count, sizeof container->tensors[0], compare_offsets);
    return check_cover(reader, container);
}

static tp_status open_header(const struct tp_bytes *file, const char *name,
                             struct tp_safetensors *container, struct tp_error *error)
{
    if (file->size < LENGTH_BYTES) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: has only %zu bytes; copy it again", name,
                        file->size);
    }
    uint64_t length = tp__load_u64(file->data);
    size_t left = file->size - LENGTH_BYTES;
    if (length > left || length > TP_SAFETENSORS_HEADER_MAX) {
        bool is_cut = length > left;
        return tp__fail(error, is_cut ? TP_ERROR_FORMAT : TP_ERROR_TOO_LARGE,
                        "%s: byte 0: the header is said to have %llu bytes, %s %zu; the file is %s",
                        name, (unsigned long long)length,
                        is_cut ? "but the file ends after" : "the limit is",
                        is_cut ? left : (size_t)TP_SAFETENSORS_HEADER_MAX,
                        is_cut ? "cut short or damaged" : "damaged");
    }
    size_t values_max = (size_t)TP_SAFETENSORS_TENSORS_MAX * VALUES_PER_TENSOR;
    tp_status status = tp__json_parse(file->data + LENGTH_BYTES, (size_t)length, name, LENGTH_BYTES,
                                      values_max, &container->header, error);
    if (status != TP_OK) return status;
    size_t count = json_object_size(container->header);
    if (count > TP_SAFETENSORS_TENSORS_MAX) {
        return tp__fail(error, TP_ERROR_TOO_LARGE, "%s: byte 8: %zu tensors, the limit is %d", name,
                        count, TP_SAFETENSORS_TENSORS_MAX);
    }
    container->tensors = calloc(count + 1, sizeof container->tensors[0]);
    if (container->tensors == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for %zu tensors", name, count);
    }
    const struct header_reader reader = {.name = name,
                                         .data = LENGTH_BYTES + (size_t)length,
                                         .data_size = left - (size_t)length,
                                         .error = error};
    return read_tensors(&reader, container);
}

tp_status tp__safetensors_open(const struct tp_bytes *file, const char *name,
                               struct tp_safetensors *container, struct tp_error *error)
{
    struct tp_safetensors result = {.header = NULL};
    tp_status status = open_header(file, name, &result, error);
    if (status != TP_OK) {
        tp__safetensors_free(&result);
        return status;
    }
    *container = result;
    return TP_OK;
}

void tp__safetensors_free(struct tp_safetensors *container)
{
    json_decref(container->header);  // NULL is allowed
    free(container->tensors);
    *container = (struct tp_safetensors){.header = NULL};
}

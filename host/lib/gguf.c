// SPDX-License-Identifier: Apache-2.0
//
// GGUF containers, versions 2 and 3, little-endian: metadata and the list of tensors.

#include "gguf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ggml_formats.h"

enum {
    DEFAULT_ALIGNMENT = 32,
    KEY_BYTES_MIN = 8 + 4 + 1,             // an empty key and one byte
    TENSOR_BYTES_MIN = 8 + 4 + 8 + 4 + 8,  // an empty name and one size
};

/* Bytes of an element; 0 where they vary. */
static const uint8_t type_bytes[TP_GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static const char *tensor_type_name(uint32_t type)
{
    static const char *const names[] = {
        "F32",     "F16",   "Q4_0",   "Q4_1",  "Q4_2",  "Q4_3",   "Q5_0", "Q5_1",    "Q8_0",
        "Q8_1",    "Q2_K",  "Q3_K",   "Q4_K",  "Q5_K",  "Q6_K",   "Q8_K", "IQ2_XXS", "IQ2_XS",
        "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",   "I16",     "I32",
        "I64",     "F64",   "IQ1_M",  "BF16",  NULL,    NULL,     NULL,   "TQ1_0",   "TQ2_0",
        NULL,      NULL,    NULL,     "MXFP4", "NVFP4"};
    bool is_named = type < sizeof names / sizeof names[0] && names[type] != NULL;
    return is_named ? names[type] : "of an unknown type";
}

static tp_status read_string(struct tp_reader *reader, const char *what, struct tp_string *string)
{
    uint64_t size;
    size_t place = reader->offset;
    tp_status status = tp__reader_u64(reader, what, &size);
    if (status != TP_OK) return status;
    if (size > TP_GGUF_STRING_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: byte %zu: %s is said to have %llu bytes, the limit is %d; the file is "
                        "damaged",
                        reader->name, place, what, (unsigned long long)size, TP_GGUF_STRING_MAX);
    }
    const uint8_t *bytes;
    status = tp__reader_take(reader, size, what, &bytes);
    if (status != TP_OK) return status;
    *string = (struct tp_string){.text = (const char *)bytes, .size = (size_t)size};
    return TP_OK;
}

static tp_status read_type(struct tp_reader *reader, uint32_t *type)
{
    size_t place = reader->offset;
    tp_status status = tp__reader_u32(reader, "the type of a value", type);
    if (status != TP_OK) return status;
    if (*type >= TP_GGUF_TYPE_COUNT) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: metadata has the unknown type %u; the file is damaged",
                        reader->name, place, *type);
    }
    return TP_OK;
}

static tp_status skip_elements(struct tp_reader *reader, const struct tp_gguf_entry *entry)
{
    if (entry->type != TP_GGUF_STRING) {
        size_t size;
        const uint8_t *bytes;
        // At most 2^24 elements of 8 bytes.
        bool fits = tp__multiply((size_t)entry->count, type_bytes[entry->type], &size);
        assert(fits);
        return tp__reader_take(reader, size, "a metadata value", &bytes);
    }
    for (uint64_t i = 0; i < entry->count; i++) {
        struct tp_string string;
        tp_status status = read_string(reader, "a metadata string", &string);
        if (status != TP_OK) return status;
    }
    return TP_OK;
}

static tp_status read_array_head(struct tp_reader *reader, struct tp_gguf_entry *entry)
{
    uint32_t type;
    size_t place = reader->offset;
    tp_status status = read_type(reader, &type);
    if (status != TP_OK) return status;
    if (type == TP_GGUF_ARRAY) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: metadata %.*s is an array of arrays, which no Llama model "
                        "needs",
                        reader->name, place, tp__string_width(entry->key), entry->key.text);
    }
    status = tp__reader_u64(reader, "the length of an array", &entry->count);
    if (status != TP_OK) return status;
    if (entry->count > TP_GGUF_ARRAY_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: byte %zu: metadata %.*s is said to have %llu elements, the limit is "
                        "%d; the file is damaged",
                        reader->name, place, tp__string_width(entry->key), entry->key.text,
                        (unsigned long long)entry->count, TP_GGUF_ARRAY_MAX);
    }
    entry->type = (enum tp_gguf_type)type;
    return TP_OK;
}

static tp_status read_entry(struct tp_gguf *gguf, uint32_t index)
{
    struct tp_reader *reader = &gguf->reader;
    size_t place = reader->offset;
    struct tp_gguf_entry entry = {.count = 1};
    tp_status status = read_string(reader, "a metadata key", &entry.key);
    if (status != TP_OK) return status;
    for (uint32_t i = 0; i < index; i++) {
        const struct tp_string *other = &gguf->entries[i].key;
        if (other->size != entry.key.size) continue;
        if (memcmp(other->text, entry.key.text, other->size) != 0) continue;
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: metadata %.*s is given twice; the file is damaged",
                        reader->name, place, tp__string_width(entry.key), entry.key.text);
    }
    uint32_t type;
    status = read_type(reader, &type);
    if (status != TP_OK) return status;
    entry.type = (enum tp_gguf_type)type;
    entry.is_array = type == TP_GGUF_ARRAY;
    if (entry.is_array) status = read_array_head(reader, &entry);
    if (status != TP_OK) return status;
    entry.offset = reader->offset;
    gguf->entries[index] = entry;
    return skip_elements(reader, &entry);
}

static tp_status read_tensor(struct tp_gguf *gguf, uint32_t index)
{
    struct tp_reader *reader = &gguf->reader;
    struct tp_gguf_tensor tensor = {.rows = 1, .place = reader->offset};
    tp_status status = read_string(reader, "a tensor name", &tensor.name);
    if (status != TP_OK) return status;
    uint32_t dimensions;
    status = tp__reader_u32(reader, "the dimensions of a tensor", &dimensions);
    if (status != TP_OK) return status;
    if (dimensions < 1 || dimensions > TP_GGUF_DIMENSIONS_MAX) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s has %u dimensions, 1 to %d are possible; the "
                        "file is damaged",
                        reader->name, tensor.place, tp__string_width(tensor.name), tensor.name.text,
                        dimensions, TP_GGUF_DIMENSIONS_MAX);
    }
    for (uint32_t i = 0; i < dimensions; i++) {
        uint64_t size;
        status = tp__reader_u64(reader, "the size of a tensor", &size);
        if (status != TP_OK) return status;
        if (i == 0) tensor.columns = size;
        if (i == 0 || !__builtin_mul_overflow(tensor.rows, size, &tensor.rows)) continue;
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the sizes of tensor %.*s overflow; the file is damaged",
                        reader->name, tensor.place, tp__string_width(tensor.name),
                        tensor.name.text);
    }
    status = tp__reader_u32(reader, "the type of a tensor", &tensor.type);
    if (status != TP_OK) return status;
    uint64_t offset;
    status = tp__reader_u64(reader, "the offset of a tensor", &offset);
    if (status != TP_OK) return status;
    if (offset > reader->size) offset = reader->size;  // refused by place_tensor
    tensor.offset = (size_t)offset;
    gguf->tensors[index] = tensor;
    return TP_OK;
}

/* A count of things that take at least bytes_min each, so that it bounds the memory for them. */
static tp_status read_count(struct tp_reader *reader, const char *what, uint32_t limit,
                            size_t bytes_min, uint32_t *count)
{
    size_t place = reader->offset;
    uint64_t value;
    tp_status status = tp__reader_u64(reader, what, &value);
    if (status != TP_OK) return status;
    if (value > limit) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: byte %zu: %s is %llu, the limit is %u; the file is damaged",
                        reader->name, place, what, (unsigned long long)value, limit);
    }
    size_t left = reader->size - reader->offset;
    if (value > left / bytes_min) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: %s is %llu, but the file ends after %zu bytes more; it is "
                        "cut short or damaged",
                        reader->name, place, what, (unsigned long long)value, left);
    }
    *count = (uint32_t)value;
    return TP_OK;
}

static tp_status read_header(struct tp_gguf *gguf)
{
    struct tp_reader *reader = &gguf->reader;
    const uint8_t *mark;
    tp_status status = tp__reader_take(reader, 4, "the mark GGUF", &mark);
    if (status != TP_OK) return status;
    if (memcmp(mark, "GGUF", 4) != 0) {
        return tp__fail(reader->error, TP_ERROR_FORMAT, "%s: byte 0: not a GGUF file",
                        reader->name);
    }
    status = tp__reader_u32(reader, "the version", &gguf->version);
    if (status != TP_OK) return status;
    if (gguf->version != 2 && gguf->version != 3) {
        bool is_big_endian = gguf->version != 0 && gguf->version % 65536 == 0;
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte 4: GGUF version %u%s; convert the model again to version 3, "
                        "little-endian",
                        reader->name, gguf->version, is_big_endian ? " (big-endian)" : "");
    }
    status = read_count(reader, "the number of tensors", TP_GGUF_TENSORS_MAX, TENSOR_BYTES_MIN,
                        &gguf->tensor_count);
    if (status != TP_OK) return status;
    return read_count(reader, "the number of metadata keys", TP_GGUF_KEYS_MAX, KEY_BYTES_MIN,
                      &gguf->entry_count);
}

/* Turns offsets in the data into offsets in the file. */
static tp_status place_tensors(struct tp_gguf *gguf)
{
    struct tp_reader *reader = &gguf->reader;
    uint32_t alignment = DEFAULT_ALIGNMENT;
    tp_status status = tp__gguf_u32_or(gguf, "general.alignment", &alignment);
    if (status != TP_OK) return status;
    bool is_power = alignment != 0 && (alignment & (alignment - 1)) == 0;
    if (!is_power || alignment < 8 || alignment > TP_GGUF_ALIGNMENT_MAX) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: general.alignment is %u; it must be a power of two from 8 to %d",
                        reader->name, alignment, TP_GGUF_ALIGNMENT_MAX);
    }
    size_t padding = (alignment - reader->offset % alignment) % alignment;
    if (gguf->tensor_count == 0) return TP_OK;  // and then the padding may be missing
    const uint8_t *zeros;
    status = tp__reader_take(reader, padding, "the padding before the tensors", &zeros);
    if (status != TP_OK) return status;
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        struct tp_gguf_tensor *tensor = &gguf->tensors[i];
        bool fits = tensor->offset <= reader->size - reader->offset;
        if (fits && tensor->offset % alignment == 0) {
            tensor->offset += reader->offset;
            continue;
        }
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s starts %s; the file is %s", reader->name,
                        tensor->place, tp__string_width(tensor->name), tensor->name.text,
                        fits ? "at an unaligned offset" : "behind the end of the file",
                        fits ? "damaged" : "cut short or damaged");
    }
    return TP_OK;
}

static tp_status read_all(struct tp_gguf *gguf)
{
    tp_status status = read_header(gguf);
    if (status != TP_OK) return status;
    // One more than needed, so that no size is 0.
    gguf->entries = calloc((size_t)gguf->entry_count + 1, sizeof gguf->entries[0]);
    gguf->tensors = calloc((size_t)gguf->tensor_count + 1, sizeof gguf->tensors[0]);
    if (gguf->entries == NULL || gguf->tensors == NULL) {
        return tp__fail(gguf->reader.error, TP_ERROR_NO_MEMORY,
                        "%s: no memory for %u metadata keys and %u tensors", gguf->reader.name,
                        gguf->entry_count, gguf->tensor_count);
    }
    for (uint32_t i = 0; i < gguf->entry_count; i++) {
        status = read_entry(gguf, i);
        if (status != TP_OK) return status;
    }
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        status = read_tensor(gguf, i);
        if (status != TP_OK) return status;
    }
    return place_tensors(gguf);
}

tp_status tp__gguf_open(const uint8_t *bytes, size_t size, const char *name, struct tp_gguf *gguf,
                        struct tp_error *error)
{
    struct tp_gguf result = {
        .reader = {.bytes = bytes, .size = size, .name = name, .error = error}};
    tp_status status = read_all(&result);
    if (status != TP_OK) {
        tp__gguf_free(&result);
        return status;
    }
    *gguf = result;
    return TP_OK;
}

void tp__gguf_free(struct tp_gguf *gguf)
{
    free(gguf->entries);
    free(gguf->tensors);
    *gguf = (struct tp_gguf){0};
}

static tp_status check_tensor(const struct tp_gguf *gguf, const struct tp_gguf_tensor *tensor,
                              size_t *end)
{
    const struct tp_reader *reader = &gguf->reader;
    enum tp_number_type type;
    if (!tp__number_of_ggml(tensor->type, &type)) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %zu: tensor %.*s is %s (type %u), which this program does not "
                        "read; convert the model to F16, Q8_0 or Q4_K",
                        reader->name, tensor->place, tp__string_width(tensor->name),
                        tensor->name.text, tensor_type_name(tensor->type), tensor->type);
    }
    const struct tp_number_format *format = tp__number_format(type);
    if (tensor->columns % format->elements != 0) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s has rows of %llu numbers, which are no whole "
                        "%s blocks of %u; the file is damaged",
                        reader->name, tensor->place, tp__string_width(tensor->name),
                        tensor->name.text, (unsigned long long)tensor->columns, format->name,
                        format->elements);
    }
    size_t left = reader->size - tensor->offset;
    size_t size;
    bool fits =
        tp__multiply((size_t)tensor->rows, (size_t)tensor->columns / format->elements, &size);
    fits = fits && tp__multiply(size, format->bytes, &size) && size <= left;
    if (!fits) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensor %.*s has %llu x %llu numbers, but the file ends "
                        "after %zu bytes more; it is cut short or damaged, copy it again",
                        reader->name, tensor->offset, tp__string_width(tensor->name),
                        tensor->name.text, (unsigned long long)tensor->rows,
                        (unsigned long long)tensor->columns, left);
    }
    *end = tensor->offset + size;
    return TP_OK;
}

struct span {
    size_t start;
    size_t end;
    uint32_t tensor;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a;
    const struct span *right = b;
    if (left->start != right->start) return left->start < right->start ? -1 : 1;
    return left->tensor < right->tensor ? -1 : left->tensor > right->tensor;
}

static tp_status check_spans(const struct tp_gguf *gguf, struct span *spans)
{
    for (uint32_t i = 0; i < gguf->tensor_count; i++) {
        spans[i].start = gguf->tensors[i].offset;
        spans[i].tensor = i;
        tp_status status = check_tensor(gguf, &gguf->tensors[i], &spans[i].end);
        if (status != TP_OK) return status;
    }
    qsort(spans, gguf->tensor_count, sizeof spans[0], compare_spans);
    for (uint32_t i = 1; i < gguf->tensor_count; i++) {
        if (spans[i - 1].end <= spans[i].start) continue;
        const struct tp_string *a = &gguf->tensors[spans[i - 1].tensor].name;
        const struct tp_string *b = &gguf->tensors[spans[i].tensor].name;
        return tp__fail(gguf->reader.error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tensors %.*s and %.*s overlap; the file is damaged",
                        gguf->reader.name, spans[i].start, tp__string_width(*a), a->text,
                        tp__string_width(*b), b->text);
    }
    return TP_OK;
}

tp_status tp__gguf_check_tensors(const struct tp_gguf *gguf)
{
    struct span *spans = calloc((size_t)gguf->tensor_count + 1, sizeof spans[0]);
    if (spans == NULL) {
        return tp__fail(gguf->reader.error, TP_ERROR_NO_MEMORY, "%s: no memory for %u tensors",
                        gguf->reader.name, gguf->tensor_count);
    }
    tp_status status = check_spans(gguf, spans);
    free(spans);
    return status;
}

const struct tp_gguf_entry *tp__gguf_find(const struct tp_gguf *gguf, const char *key)
{
    for (uint32_t i = 0; i < gguf->entry_count; i++) {
        if (tp__string_is(gguf->entries[i].key, key)) return &gguf->entries[i];
    }
    return NULL;
}

static tp_status wrong_type(const struct tp_gguf *gguf, const struct tp_gguf_entry *entry,
                            const char *key, const char *expected)
{
    return tp__fail(gguf->reader.error, TP_ERROR_FORMAT,
                    "%s: byte %zu: metadata %s is not %s; the file is damaged", gguf->reader.name,
                    entry->offset, key, expected);
}

static tp_status absent(const struct tp_gguf *gguf, const char *key)
{
    return tp__fail(gguf->reader.error, TP_ERROR_FORMAT,
                    "%s: metadata %s is missing; convert the model again", gguf->reader.name, key);
}

tp_status tp__gguf_u32_or(const struct tp_gguf *gguf, const char *key, uint32_t *value)
{
    const struct tp_gguf_entry *entry = tp__gguf_find(gguf, key);
    if (entry == NULL) return TP_OK;
    const uint8_t *bytes = gguf->reader.bytes + entry->offset;
    uint64_t number = UINT64_MAX;
    if (!entry->is_array) {
        switch (entry->type) {
        case TP_GGUF_U8:
            number = bytes[0];
            break;
        case TP_GGUF_U16:
            number = bytes[0] | (uint32_t)bytes[1] << 8;
            break;
        case TP_GGUF_U32:
            number = tp__load_u32(bytes);
            break;
        case TP_GGUF_U64:
            number = tp__load_u64(bytes);
            break;
        case TP_GGUF_I32:
            number = (uint64_t)(int64_t)(int32_t)tp__load_u32(bytes);
            break;
        case TP_GGUF_I64:
            number = tp__load_u64(bytes);
            break;
        default:
            break;
        }
    }
    if (number > UINT32_MAX) return wrong_type(gguf, entry, key, "a number of 32 bits");
    *value = (uint32_t)number;
    return TP_OK;
}

tp_status tp__gguf_f32_or(const struct tp_gguf *gguf, const char *key, float *value)
{
    const struct tp_gguf_entry *entry = tp__gguf_find(gguf, key);
    if (entry == NULL) return TP_OK;
    if (entry->is_array || entry->type != TP_GGUF_F32) {
        return wrong_type(gguf, entry, key, "a float32");
    }
    *value = tp__load_f32(gguf->reader.bytes + entry->offset);
    return TP_OK;
}

tp_status tp__gguf_bool_or(const struct tp_gguf *gguf, const char *key, bool *value)
{
    const struct tp_gguf_entry *entry = tp__gguf_find(gguf, key);
    if (entry == NULL) return TP_OK;
    // The type comes first: an empty array may lie at the very end of the file.
    bool is_bool = !entry->is_array && entry->type == TP_GGUF_BOOL;
    if (!is_bool || gguf->reader.bytes[entry->offset] > 1) {
        return wrong_type(gguf, entry, key, "true or false");
    }
    *value = gguf->reader.bytes[entry->offset] == 1;
    return TP_OK;
}

tp_status tp__gguf_u32(const struct tp_gguf *gguf, const char *key, uint32_t *value)
{
    if (tp__gguf_find(gguf, key) == NULL) return absent(gguf, key);
    return tp__gguf_u32_or(gguf, key, value);
}

tp_status tp__gguf_f32(const struct tp_gguf *gguf, const char *key, float *value)
{
    if (tp__gguf_find(gguf, key) == NULL) return absent(gguf, key);
    return tp__gguf_f32_or(gguf, key, value);
}

tp_status tp__gguf_string(const struct tp_gguf *gguf, const char *key, struct tp_string *value)
{
    const struct tp_gguf_entry *entry = tp__gguf_find(gguf, key);
    if (entry == NULL) return absent(gguf, key);
    if (entry->is_array || entry->type != TP_GGUF_STRING) {
        return wrong_type(gguf, entry, key, "a string");
    }
    size_t offset = entry->offset;
    *value = tp__gguf_next_string(gguf, &offset);
    return TP_OK;
}

tp_status tp__gguf_array(const struct tp_gguf *gguf, const char *key, enum tp_gguf_type type,
                         const struct tp_gguf_entry **found)
{
    const struct tp_gguf_entry *entry = tp__gguf_find(gguf, key);
    *found = entry;
    if (entry == NULL) return TP_OK;
    if (!entry->is_array || entry->type != type) {
        return wrong_type(gguf, entry, key, "an array of the right type");
    }
    return TP_OK;
}

struct tp_string tp__gguf_next_string(const struct tp_gguf *gguf, size_t *offset)
{
    const uint8_t *bytes = gguf->reader.bytes + *offset;
    size_t size = (size_t)tp__load_u64(bytes);
    *offset += 8 + size;
    return (struct tp_string){.text = (const char *)bytes + 8, .size = size};
}

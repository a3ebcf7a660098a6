// SPDX-License-Identifier: Apache-2.0
//
// Bounded reading of little-endian numbers and strings from bytes that nobody has checked.

#include "reader.h"

#include <assert.h>
#include <string.h>

enum { STRING_SHOWN_MAX = 64 };

bool tp__multiply(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

tp_status tp__reader_take(struct tp_reader *reader, uint64_t count, const char *what,
                          const uint8_t **bytes)
{
    assert(reader->offset <= reader->size);
    size_t left = reader->size - reader->offset;
    *bytes = reader->bytes + reader->offset;
    if (count > left) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: %s needs %llu bytes, but the file ends after %zu more; it "
                        "is cut short or damaged, copy it again",
                        reader->name, reader->offset, what, (unsigned long long)count, left);
    }
    reader->offset += (size_t)count;
    return TP_OK;
}

uint32_t tp__load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

uint64_t tp__load_u64(const uint8_t *bytes)
{
    return (uint64_t)tp__load_u32(bytes) | (uint64_t)tp__load_u32(bytes + 4) << 32;
}

float tp__load_f32(const uint8_t *bytes)
{
    uint32_t bits = tp__load_u32(bytes);
    float value;
    static_assert(sizeof value == sizeof bits, "float is the 32-bit format of the files");
    memcpy(&value, &bits, sizeof value);
    return value;
}

tp_status tp__reader_u32(struct tp_reader *reader, const char *what, uint32_t *value)
{
    const uint8_t *bytes;
    tp_status status = tp__reader_take(reader, 4, what, &bytes);
    if (status == TP_OK) *value = tp__load_u32(bytes);
    return status;
}

tp_status tp__reader_u64(struct tp_reader *reader, const char *what, uint64_t *value)
{
    const uint8_t *bytes;
    tp_status status = tp__reader_take(reader, 8, what, &bytes);
    if (status == TP_OK) *value = tp__load_u64(bytes);
    return status;
}

tp_status tp__reader_i32(struct tp_reader *reader, const char *what, int32_t *value)
{
    const uint8_t *bytes;
    tp_status status = tp__reader_take(reader, 4, what, &bytes);
    if (status == TP_OK) *value = (int32_t)tp__load_u32(bytes);
    return status;
}

tp_status tp__reader_f32(struct tp_reader *reader, const char *what, float *value)
{
    const uint8_t *bytes;
    tp_status status = tp__reader_take(reader, 4, what, &bytes);
    if (status == TP_OK) *value = tp__load_f32(bytes);
    return status;
}

bool tp__string_is(struct tp_string string, const char *text)
{
    return string.size == strlen(text) && memcmp(string.text, text, string.size) == 0;
}

int tp__string_width(struct tp_string string)
{
    return (int)(string.size < STRING_SHOWN_MAX ? string.size : STRING_SHOWN_MAX);
}

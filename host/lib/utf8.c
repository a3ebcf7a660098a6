// SPDX-License-Identifier: Apache-2.0
//
// UTF-8: checking a text, and turning any bytes into valid text as they arrive.

#include "utf8.h"

#include <assert.h>
#include <string.h>

static const char replacement[3] = {'\xef', '\xbf', '\xbd'};

/* Bytes of a character that starts with this byte; 0 when none does. */
static uint32_t sequence_length(uint8_t first)
{
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;
    if (first < 0xe0) return 2;
    if (first < 0xf0) return 3;
    return first < 0xf5 ? 4 : 0;
}

/* Whether byte may stand at index 1 to 3 of a character that starts with first. */
static bool may_follow(uint8_t first, uint32_t index, uint8_t byte)
{
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (index == 1 && first == 0xe0) low = 0xa0;
    if (index == 1 && first == 0xed) high = 0x9f;
    if (index == 1 && first == 0xf0) low = 0x90;
    if (index == 1 && first == 0xf4) high = 0x8f;
    return low <= byte && byte <= high;
}

size_t tp__utf8_length(const uint8_t *text, size_t size)
{
    if (size == 0) return 0;
    uint32_t length = sequence_length(text[0]);
    if (length == 0 || length > size) return 0;
    for (uint32_t i = 1; i < length; i++) {
        if (!may_follow(text[0], i, text[i])) return 0;
    }
    return length;
}

uint32_t tp__utf8_code(const uint8_t *text)
{
    static const uint8_t first_mask[TP_UTF8_BYTES_MAX + 1] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t length = sequence_length(text[0]);
    assert(length > 0);
    uint32_t code = text[0] & first_mask[length];
    for (uint32_t i = 1; i < length; i++) code = code << 6 | (text[i] & 0x3fu);
    return code;
}

size_t tp__utf8_put(uint32_t code, char *out)
{
    static const uint8_t first_bits[TP_UTF8_BYTES_MAX + 1] = {0, 0, 0xc0, 0xe0, 0xf0};
    assert(code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff));
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(first_bits[length] | code);
    return length;
}

size_t tp__utf8_check(const uint8_t *text, size_t size)
{
    size_t offset = 0;
    while (offset < size) {
        size_t length = tp__utf8_length(text + offset, size - offset);
        if (length == 0) return offset;
        offset += length;
    }
    return size;
}

size_t tp__utf8_push(struct tp_utf8_stream *stream, uint8_t byte, char *out)
{
    assert(stream->count < TP_UTF8_BYTES_MAX);
    size_t written = 0;
    if (stream->count > 0 && !may_follow(stream->pending[0], stream->count, byte)) {
        written = tp__utf8_end(stream, out);
    }
    if (stream->count == 0 && sequence_length(byte) == 0) {
        memcpy(out + written, replacement, sizeof replacement);
        return written + sizeof replacement;
    }
    stream->pending[stream->count++] = byte;
    if (stream->count == sequence_length(stream->pending[0])) {
        memcpy(out + written, stream->pending, stream->count);
        written += stream->count;
        stream->count = 0;
    }
    return written;
}

size_t tp__utf8_end(struct tp_utf8_stream *stream, char *out)
{
    if (stream->count == 0) return 0;
    stream->count = 0;
    memcpy(out, replacement, sizeof replacement);
    return sizeof replacement;
}

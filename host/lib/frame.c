// SPDX-License-Identifier: Apache-2.0
//
// Encoding and decoding of frames. The decoder is the twin of rtl/link/tp_framer_rx.sv.

#include "frame.h"

#include <assert.h>
#include <string.h>

// Layout: marker, type, sequence, length (2), payload, crc (4); the CRC starts at the type.
enum { HEADER_BYTES = 5, CRC_BYTES = 4, CRC_FIRST = 1 };

uint32_t tp__crc32(const uint8_t *bytes, size_t count)
{
    return tp__crc32_more(0, bytes, count);
}

uint32_t tp__crc32_more(uint32_t before, const uint8_t *bytes, size_t count)
{
    // Four bits at a time: a table of 16 entries is small enough to be checked by eye.
    static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = ~before;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ nibble[crc & 15u];
        crc = (crc >> 4) ^ nibble[crc & 15u];
    }
    return ~crc;
}

size_t tp__frame_encode(const struct tp_frame *frame, uint8_t *bytes)
{
    assert(frame->length <= TP_PAYLOAD_MAX);
    size_t end = HEADER_BYTES + (size_t)frame->length;
    bytes[0] = TP_FRAME_MARKER;
    bytes[1] = frame->type;
    bytes[2] = frame->sequence;
    tp__put16(bytes + 3, frame->length);
    memcpy(bytes + HEADER_BYTES, frame->payload, frame->length);
    tp__put32(bytes + end, tp__crc32(bytes + CRC_FIRST, end - CRC_FIRST));
    return end + CRC_BYTES;
}

bool tp__frame_decode(struct tp_frame_decoder *decoder, uint8_t byte, struct tp_frame *frame)
{
    if (decoder->count == 0 && byte != TP_FRAME_MARKER) {
        return false;
    }
    decoder->bytes[decoder->count++] = byte;
    if (decoder->count < HEADER_BYTES) {
        return false;
    }
    uint16_t length = tp__get16(decoder->bytes + 3);
    if (length > TP_PAYLOAD_MAX) {
        decoder->bad++;
        decoder->count = 0;
        return false;
    }
    size_t end = HEADER_BYTES + (size_t)length;
    if (decoder->count < end + CRC_BYTES) {
        return false;
    }
    decoder->count = 0;
    if (tp__crc32(decoder->bytes + CRC_FIRST, end - CRC_FIRST) != tp__get32(decoder->bytes + end)) {
        decoder->bad++;
        return false;
    }
    frame->type = decoder->bytes[1];
    frame->sequence = decoder->bytes[2];
    frame->length = length;
    memcpy(frame->payload, decoder->bytes + HEADER_BYTES, length);
    return true;
}

bool tp__has_slot(uint8_t mask, uint32_t s)
{
    return (((uint32_t)mask >> s) & 1u) != 0;
}

uint16_t tp__get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

uint32_t tp__get32(const uint8_t *bytes)
{
    return (uint32_t)tp__get16(bytes) | (uint32_t)tp__get16(bytes + 2) << 16;
}

uint64_t tp__get64(const uint8_t *bytes)
{
    return (uint64_t)tp__get32(bytes) | (uint64_t)tp__get32(bytes + 4) << 32;
}

void tp__put16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

void tp__put32(uint8_t *bytes, uint32_t value)
{
    tp__put16(bytes, (uint16_t)value);
    tp__put16(bytes + 2, (uint16_t)(value >> 16));
}

void tp__put64(uint8_t *bytes, uint64_t value)
{
    tp__put32(bytes, (uint32_t)value);
    tp__put32(bytes + 4, (uint32_t)(value >> 32));
}

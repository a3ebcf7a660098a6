// SPDX-License-Identifier: Apache-2.0
//
// Frames of docs/link.md for tests: slow and plain.

#include "plain_frame.h"

#include <string.h>

#include "../../host/include/tp_map.h"

uint32_t tp_plain_crc(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < count; i++) {
        for (int bit = 0; bit < 8; bit++) {
            uint32_t feedback = (crc ^ (uint32_t)(bytes[i] >> bit)) & 1u;
            crc = (crc >> 1) ^ (feedback != 0 ? 0xedb88320u : 0u);
        }
    }
    return ~crc;
}

size_t tp_plain_write(const struct tp_plain_frame *frame, uint8_t *bytes)
{
    bytes[0] = TP_FRAME_MARKER;
    bytes[1] = frame->type;
    bytes[2] = frame->sequence;
    bytes[3] = (uint8_t)frame->length;
    bytes[4] = (uint8_t)(frame->length >> 8);
    memcpy(bytes + 5, frame->payload, frame->length);
    size_t count = 5u + frame->length;
    uint32_t crc = tp_plain_crc(bytes + 1, count - 1);
    for (int i = 0; i < 4; i++) bytes[count++] = (uint8_t)(crc >> (8 * i));
    return count;
}

int tp_plain_read(const uint8_t *bytes, size_t count, size_t *place, struct tp_plain_frame *frame,
                  uint32_t *bad)
{
    size_t at = *place;
    while (at < count) {
        if (bytes[at] != TP_FRAME_MARKER) {
            at++;
            continue;
        }
        if (count - at < 5) return 0;
        size_t length = bytes[at + 3] + 256u * bytes[at + 4];
        if (length > TP_PLAIN_PAYLOAD_MAX) {
            *bad += 1;
            at += 5;
            continue;
        }
        if (count - at < length + 9) return 0;
        uint32_t crc = tp_plain_crc(bytes + at + 1, length + 4);
        const uint8_t *sent = bytes + at + 5 + length;
        uint32_t got = sent[0] | sent[1] * 0x100u | sent[2] * 0x10000u | sent[3] * 0x1000000u;
        size_t start = at;
        at += length + 9;
        *place = at;
        if (crc != got) {
            *bad += 1;
            continue;
        }
        frame->type = bytes[start + 1];
        frame->sequence = bytes[start + 2];
        frame->length = (uint16_t)length;
        memset(frame->payload, 0, sizeof frame->payload);
        memcpy(frame->payload, bytes + start + 5, length);
        return 1;
    }
    return 0;
}

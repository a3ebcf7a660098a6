// SPDX-License-Identifier: Apache-2.0
//
// Frames of the link (docs/link.md): bytes to frames and back, for the library and the emulator.

#ifndef TP_LIB_FRAME_H
#define TP_LIB_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tp_map.h"

#define TP_FRAME_OVERHEAD  9u
#define TP_FRAME_BYTES_MAX (TP_FRAME_OVERHEAD + TP_PAYLOAD_MAX)
/** Words that a WRITE frame takes, behind space and address. */
#define TP_WRITE_WORDS_MAX ((TP_PAYLOAD_MAX - 8) / 4)

struct tp_frame {
    uint8_t type;
    uint8_t sequence;
    uint16_t length;
    uint8_t payload[TP_PAYLOAD_MAX];
};

/** CRC-32 of IEEE 802.3 (reflected, start and final inversion). */
uint32_t tp__crc32(const uint8_t *bytes, size_t count);
/** The CRC of bytes behind others whose CRC is `before`; 0: there are none. */
uint32_t tp__crc32_more(uint32_t before, const uint8_t *bytes, size_t count);

/** Writes the frame; bytes has room for TP_FRAME_BYTES_MAX. Returns the number of bytes. */
size_t tp__frame_encode(const struct tp_frame *frame, uint8_t *bytes);

/** Collects bytes until a frame is whole. */
struct tp_frame_decoder {
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    size_t count;
    uint64_t bad;  // frames dropped: wrong CRC or length
};

/** Takes one byte. True when it completed an intact frame, which is then in frame. */
bool tp__frame_decode(struct tp_frame_decoder *decoder, uint8_t byte, struct tp_frame *frame);

/** True when a mask of slots, as STEP frames carry them, has the bit of slot s. */
bool tp__has_slot(uint8_t mask, uint32_t s);

/** Little-endian numbers of a payload. */
uint16_t tp__get16(const uint8_t *bytes);
uint32_t tp__get32(const uint8_t *bytes);
uint64_t tp__get64(const uint8_t *bytes);
void tp__put16(uint8_t *bytes, uint16_t value);
void tp__put32(uint8_t *bytes, uint32_t value);
void tp__put64(uint8_t *bytes, uint64_t value);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Frames of docs/link.md, written down independently of the library under test.

#ifndef TP_TEST_PLAIN_FRAME_H
#define TP_TEST_PLAIN_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define TP_PLAIN_PAYLOAD_MAX 256
#define TP_PLAIN_BYTES_MAX   (TP_PLAIN_PAYLOAD_MAX + 9)

struct tp_plain_frame {
    uint8_t type;
    uint8_t sequence;
    uint16_t length;
    uint8_t payload[TP_PLAIN_PAYLOAD_MAX];
};

/** CRC-32 of IEEE 802.3, bit by bit. */
uint32_t tp_plain_crc(const uint8_t *bytes, size_t count);

/** Writes the bytes of a frame; returns their number, at most TP_PLAIN_BYTES_MAX. */
size_t tp_plain_write(const struct tp_plain_frame *frame, uint8_t *bytes);

/** Finds the next intact frame from *place on and moves *place behind it. Returns 1 with the frame,
 *  or 0 when the bytes end first. Adds the broken frames on the way to *bad. */
int tp_plain_read(const uint8_t *bytes, size_t count, size_t *place, struct tp_plain_frame *frame,
                  uint32_t *bad);

#endif

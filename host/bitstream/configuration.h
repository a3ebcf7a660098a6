// SPDX-License-Identifier: Apache-2.0
//
// What the configuration memory of an ECP5 holds: frames, contents of block RAMs, two registers.
//
// Frames are numbered as in Project Trellis, whose database has the parts' sizes: a stream begins
// with the frame of the highest number. Bit j of a frame is bit j mod 8 of byte size - 1 - j / 8.

#ifndef TP_BITSTREAM_CONFIGURATION_H
#define TP_BITSTREAM_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "error.h"

enum {
    TP_BLOCK_IDS = 1024,    // ids of block RAMs in streams
    TP_BLOCK_WORDS = 2048,  // of nine bits, in a block RAM
    TP_FRAME_BYTES_LONGEST = 142,
    TP_STREAM_TEXT_BYTES = 512
};

/** A part: what its streams must say and how long they are. */
struct tp_part {
    const char *name;  // "LFE5U-85F"
    uint32_t idcode;
    uint32_t frames;
    uint32_t frame_bytes;
    uint32_t frame_pad_bits;  // first bits of a frame, always 0
    uint32_t block_rams;
};

/** The part of an IDCODE, or NULL. */
const struct tp_part *tp__part_of_idcode(uint32_t idcode);

struct tp_configuration {
    const struct tp_part *part;  // NULL: nothing was loaded yet
    uint32_t control;            // control register 0
    uint32_t usercode;
    uint8_t *frames;                     // [part->frames][part->frame_bytes]
    uint8_t *has_frame;                  // [part->frames]
    uint16_t (*blocks)[TP_BLOCK_WORDS];  // [TP_BLOCK_IDS], 9 bits a word
    uint8_t has_block[TP_BLOCK_IDS];
};

/** Takes the memory for a part; everything is 0 and absent. *configuration is {0} before.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__configuration_begin(struct tp_configuration *configuration,
                                              const struct tp_part *part, struct tp_error *error);

/** Leaves {0}. */
void tp__configuration_free(struct tp_configuration *configuration);

uint32_t tp__configuration_frame_count(const struct tp_configuration *configuration);
uint32_t tp__configuration_block_count(const struct tp_configuration *configuration);

/** The base hash: SHA-256 of the IDCODE, most significant byte first, and of all frames from number
 *  0 on. It is that of the design whatever its block RAMs hold.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__configuration_base(const struct tp_configuration *configuration,
                                             char text[TP_DIGEST_TEXT_BYTES],
                                             struct tp_error *error);

#endif

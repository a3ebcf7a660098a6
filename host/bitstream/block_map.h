// SPDX-License-Identifier: Apache-2.0
//
// The map of a routed design: which block RAM holds which bits of which memory (docs/bitstream.md).

#ifndef TP_BITSTREAM_BLOCK_MAP_H
#define TP_BITSTREAM_BLOCK_MAP_H

#include "backend.h"
#include "configuration_stream.h"
#include "memory_image.h"

enum {
    TP_MAP_BLOCKS_MAX = 256,
    TP_MAP_NAME_BYTES = 128,
    TP_MAP_WORD_BYTES = TP_MEMORY_WORD_BYTES,
    TP_MAP_SPACES = TP_SPACE_REGISTER + 1,
    TP_SPACE_OWN = TP_MAP_SPACES  // a memory that no WRITE frame reaches: state, buffers
};

/** A memory of the design. Words and bits are those of its block RAMs: the design may use less. */
struct tp_map_memory {
    char name[TP_MAP_NAME_BYTES];  // hierarchical
    uint32_t space;                // TP_SPACE_..., or TP_SPACE_OWN
    uint32_t index;                // which of the space: docs/bitstream.md
    uint32_t first_block;          // in blocks
    uint32_t block_count;
    uint32_t words;
    uint32_t bits;
};

/** A block RAM: width bits of each of 512 * 36 / width (for 4, 2 and 1: 16384 / width) words. */
struct tp_map_block {
    uint32_t memory;  // in memories
    uint32_t id;      // in streams
    uint32_t width;   // 36, 18, 9, 4, 2 or 1
    uint32_t word;    // of the memory, its first one
    uint32_t bit;     // of these words, its lowest one
    char site[TP_MAP_NAME_BYTES];
};

struct tp_block_map {
    char board[TP_MAP_NAME_BYTES];
    const struct tp_part *part;
    uint32_t usercode;
    char base[TP_DIGEST_TEXT_BYTES];
    uint32_t groups;  // of weights; 0: the map has none
    uint32_t memory_count;
    uint32_t block_count;
    struct tp_map_memory memories[TP_MAP_BLOCKS_MAX];
    struct tp_map_block blocks[TP_MAP_BLOCKS_MAX];
};

/** Reads the text of a map.
 *  in     name  of the file, for messages
 *  out    map   written only on TP_OK
 *  error  TP_ERROR_FORMAT  which line, and what is wrong with it */
TP_MUST_USE tp_status tp__map_parse(const char *text, size_t size, const char *name,
                                    struct tp_block_map *map, struct tp_error *error);

/** Reads the file of a map.
 *  out    map    written only on TP_OK; the caller frees it
 *  error  as tp__map_parse; TP_ERROR_IO, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__map_load(const char *path, struct tp_block_map **map,
                                   struct tp_error *error);

/** "weight"; "-" of TP_SPACE_OWN. Never NULL. */
const char *tp__map_space_name(uint32_t space);

/** The memory of a space with that index, or NULL. */
const struct tp_map_memory *tp__map_find(const struct tp_block_map *map, uint32_t space,
                                         uint32_t index);

/** One word of a memory, bit 0 in the lowest bit of byte 0.
 *  in     word  < memory->words
 *  out    value [TP_MAP_WORD_BYTES] */
void tp__map_read_word(const struct tp_block_map *map, const struct tp_map_memory *memory,
                       const struct tp_configuration *configuration, uint32_t word,
                       uint8_t value[TP_MAP_WORD_BYTES]);

/** The same the other way; bits beyond the memory's are not looked at. Its block RAMs are then
 *  there. */
void tp__map_write_word(const struct tp_block_map *map, const struct tp_map_memory *memory,
                        struct tp_configuration *configuration, uint32_t word,
                        const uint8_t value[TP_MAP_WORD_BYTES]);

/** Whether a stream is one of the map's design: part, base, block RAMs; a partial one has no frames
 *  (no frame of these designs may change alone), a full one has the base's frames.
 *  in     name  of the stream's file, for messages
 *  out    stream->fault
 *  error  of the fault; TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__map_check(const struct tp_block_map *map,
                                    const struct tp_configuration *configuration, const char *name,
                                    struct tp_stream *stream, struct tp_error *error);

// ---- memory images ----

/** Writes words of memory spaces as the device's units do. The spaces that are no block RAMs are
 *  counted and left to the link. */
struct tp_map_writer {
    const struct tp_block_map *map;
    struct tp_configuration *configuration;
    uint32_t groups;                  // of the configuration that the words are for
    uint32_t scales[2];               // words of scales of the beat that is written
    uint64_t written[TP_MAP_SPACES];  // words that have a place in a block RAM
    uint64_t left[TP_MAP_SPACES];     // words that have none
};

/** A tp_memory_sink; user is a struct tp_map_writer.
 *  error  TP_ERROR_RANGE  the design has no such word */
TP_MUST_USE tp_status tp__map_write(void *user, uint32_t space, uint32_t address,
                                    const uint32_t *words, size_t count, struct tp_error *error);

/** The word at an address of a space, from the block RAMs.
 *  Returns whether it lies in one. */
bool tp__map_read(const struct tp_block_map *map, const struct tp_configuration *configuration,
                  uint32_t space, uint32_t address, uint32_t *word);

#endif

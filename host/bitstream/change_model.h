// SPDX-License-Identifier: Apache-2.0
//
// The configuration stream that brings a model to a device, and what the link brings besides.

#ifndef TP_BITSTREAM_CHANGE_MODEL_H
#define TP_BITSTREAM_CHANGE_MODEL_H

#include "block_map.h"

enum { TP_CHANGE_FILLS = 2 };  // contents that are not known are filled in two ways

/** What the host knows of the block RAMs of a device, twice: words that are not known differ. */
struct tp_known_contents {
    const struct tp_block_map *map;
    struct tp_configuration fills[TP_CHANGE_FILLS];
    bool is_written[TP_MAP_SPACES];  // spaces that tp__contents_add_image put into block RAM
};

/** Nothing is known.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__contents_begin(struct tp_known_contents *contents,
                                         const struct tp_block_map *map, struct tp_error *error);
void tp__contents_free(struct tp_known_contents *contents);

/** The block RAMs of a stream. */
void tp__contents_add_stream(struct tp_known_contents *contents,
                             const struct tp_configuration *configuration);

/** The words of a model that have a place in block RAM.
 *  error  TP_ERROR_RANGE  the design has no such word */
TP_MUST_USE tp_status tp__contents_add_image(struct tp_known_contents *contents,
                                             const struct tp_memory_image *image,
                                             struct tp_error *error);

/** The block RAMs that a model changes: contents before, after the image was added.
 *  out    is_chosen  [TP_BLOCK_IDS]
 *  Returns their number. */
uint32_t tp__contents_compare(const struct tp_known_contents *before,
                              const struct tp_known_contents *after, bool *is_chosen);

#endif

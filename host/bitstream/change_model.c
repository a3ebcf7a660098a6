// SPDX-License-Identifier: Apache-2.0
//
// What is known of block RAMs, and what a model changes in them.

#include "change_model.h"

#include <string.h>

// The second fill has ones where the first has zeros.
static void fill_with_ones(struct tp_configuration *configuration, const struct tp_block_map *map)
{
    for (uint32_t i = 0; i < map->block_count; i++) {
        for (uint32_t word = 0; word < TP_BLOCK_WORDS; word++) {
            configuration->blocks[map->blocks[i].id][word] = 0x1FF;
        }
    }
}

tp_status tp__contents_begin(struct tp_known_contents *contents, const struct tp_block_map *map,
                             struct tp_error *error)
{
    *contents = (struct tp_known_contents){.map = map};
    for (int fill = 0; fill < TP_CHANGE_FILLS; fill++) {
        struct tp_configuration *configuration = &contents->fills[fill];
        tp_status status = tp__configuration_begin(configuration, map->part, error);
        if (status != TP_OK) {
            tp__contents_free(contents);
            return status;
        }
    }
    fill_with_ones(&contents->fills[1], map);
    return TP_OK;
}

void tp__contents_free(struct tp_known_contents *contents)
{
    for (int fill = 0; fill < TP_CHANGE_FILLS; fill++) {
        tp__configuration_free(&contents->fills[fill]);
    }
}

void tp__contents_add_stream(struct tp_known_contents *contents,
                             const struct tp_configuration *configuration)
{
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        for (int fill = 0; fill < TP_CHANGE_FILLS && configuration->has_block[id] != 0; fill++) {
            memcpy(contents->fills[fill].blocks[id], configuration->blocks[id],
                   sizeof *configuration->blocks);
        }
    }
}

tp_status tp__contents_add_image(struct tp_known_contents *contents,
                                 const struct tp_memory_image *image, struct tp_error *error)
{
    tp_status status = TP_OK;
    for (int fill = 0; fill < TP_CHANGE_FILLS && status == TP_OK; fill++) {
        struct tp_map_writer writer = {.map = contents->map,
                                       .configuration = &contents->fills[fill],
                                       .groups = image->limits.groups};
        status = tp__memory_image_write(image, tp__map_write, &writer, error);
        for (uint32_t space = 0; space < TP_MAP_SPACES; space++) {
            contents->is_written[space] = writer.written[space] != 0;
        }
    }
    return status;
}

static bool is_equal(const struct tp_known_contents *a, const struct tp_known_contents *b,
                     uint32_t id)
{
    for (int fill = 0; fill < TP_CHANGE_FILLS; fill++) {
        if (memcmp(a->fills[fill].blocks[id], b->fills[fill].blocks[id],
                   sizeof *a->fills[fill].blocks) != 0) {
            return false;
        }
    }
    return true;
}

uint32_t tp__contents_compare(const struct tp_known_contents *before,
                              const struct tp_known_contents *after, bool *is_chosen)
{
    uint32_t count = 0;
    memset(is_chosen, 0, TP_BLOCK_IDS);
    for (uint32_t i = 0; i < before->map->block_count; i++) {
        uint32_t id = before->map->blocks[i].id;
        is_chosen[id] = !is_equal(before, after, id);
        count += is_chosen[id];
    }
    return count;
}

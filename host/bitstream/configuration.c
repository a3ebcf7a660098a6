// SPDX-License-Identifier: Apache-2.0
//
// Parts, and the memory of a configuration.

#include "configuration.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Sizes and IDCODEs: Project Trellis, devices.json. A 12F is a 25F of another IDCODE.
static const struct tp_part parts[] = {
    {"LFE5U-12F", 0x21111043, 7562, 74, 0, 56},
    {"LFE5U-25F", 0x41111043, 7562, 74, 0, 56},
    {"LFE5U-45F", 0x41112043, 9470, 106, 2, 108},
    {"LFE5U-85F", 0x41113043, 13294, 142, 0, 208},
    {"LFE5UM-25F", 0x01111043, 7562, 74, 0, 56},
    {"LFE5UM-45F", 0x01112043, 9470, 106, 2, 108},
    {"LFE5UM-85F", 0x01113043, 13294, 142, 0, 208},
    {"LFE5UM5G-25F", 0x81111043, 7562, 74, 0, 56},
    {"LFE5UM5G-45F", 0x81112043, 9470, 106, 2, 108},
    {"LFE5UM5G-85F", 0x81113043, 13294, 142, 0, 208},
};

const struct tp_part *tp__part_of_idcode(uint32_t idcode)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].idcode == idcode) {
            return &parts[i];
        }
    }
    return NULL;
}

tp_status tp__configuration_begin(struct tp_configuration *configuration,
                                  const struct tp_part *part, struct tp_error *error)
{
    assert(configuration->part == NULL);
    configuration->frames = calloc(part->frames, part->frame_bytes);
    configuration->has_frame = calloc(part->frames, 1);
    configuration->blocks = calloc(TP_BLOCK_IDS, sizeof *configuration->blocks);
    if (configuration->frames == NULL || configuration->has_frame == NULL ||
        configuration->blocks == NULL) {
        tp__configuration_free(configuration);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the configuration of an %s",
                        part->name);
    }
    configuration->part = part;
    return TP_OK;
}

void tp__configuration_free(struct tp_configuration *configuration)
{
    free(configuration->frames);
    free(configuration->has_frame);
    free(configuration->blocks);
    *configuration = (struct tp_configuration){0};
}

static uint32_t count_set(const uint8_t *flags, size_t count)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += flags[i];
    }
    return sum;
}

uint32_t tp__configuration_frame_count(const struct tp_configuration *configuration)
{
    return count_set(configuration->has_frame, configuration->part->frames);
}

uint32_t tp__configuration_block_count(const struct tp_configuration *configuration)
{
    return count_set(configuration->has_block, TP_BLOCK_IDS);
}

tp_status tp__configuration_base(const struct tp_configuration *configuration,
                                 char text[TP_DIGEST_TEXT_BYTES], struct tp_error *error)
{
    const struct tp_part *part = configuration->part;
    size_t size = (size_t)part->frames * part->frame_bytes;
    uint8_t digest[TP_DIGEST_BYTES];
    uint8_t *hashed = malloc(4 + size);
    if (hashed == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a base hash");
    }
    for (int i = 0; i < 4; i++) {
        hashed[i] = (uint8_t)(part->idcode >> (24 - 8 * i));
    }
    memcpy(hashed + 4, configuration->frames, size);
    tp_status status = tp__digest(hashed, 4 + size, digest, error);
    free(hashed);
    if (status == TP_OK) {
        tp__digest_text(digest, text);
    }
    return status;
}

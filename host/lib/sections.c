// SPDX-License-Identifier: Apache-2.0
//
// Ranges and losses by section: what the device counted, with the names of the program's parts.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum { SHARED = TP_SECTIONS - 1, LAST = TP_SECTIONS - 2 };

// An instruction that writes x and norms it; every field of EMBED is where MATVEC has it.
static bool writes_x(const struct tp_op_matvec *op)
{
    return op->opcode == TP_OP_EMBED ||
           (op->opcode == TP_OP_MATVEC && op->dest == TP_DEST_RESIDUAL);
}

static uint32_t norm_count(const struct tp_memory_image *image)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < image->program_count; i++) {
        struct tp_op_matvec op;
        tp_matvec_unpack(image->program + (size_t)i * TP_INSTRUCTION_WORDS, &op);
        count += writes_x(&op) ? 1 : 0;
    }
    return count;
}

// Each layer has two norms, the classifier one: docs/instructions.md, "Sections".
static void name_section(uint32_t index, uint32_t norms, struct tp_section_statistics *section)
{
    uint32_t layer = (index - 1) / 2;
    const char *part = index % 2 == 1 ? "attention" : "FFN";
    if (index == 0) {
        (void)snprintf(section->name, TP_NAME_BYTES, "embedding");
    } else if (index == norms) {
        (void)snprintf(section->name, TP_NAME_BYTES, "classifier");
    } else if (index == LAST) {
        (void)snprintf(section->name, TP_NAME_BYTES, "layer %" PRIu32 ": %s, and all behind", layer,
                       part);
    } else {
        (void)snprintf(section->name, TP_NAME_BYTES, "layer %" PRIu32 ": %s", layer, part);
    }
}

static void raise_cap(uint32_t *cap, uint32_t value)
{
    *cap = value > *cap ? value : *cap;
}

// Caps of the edges by section, from the instructions that write blocks.
static void take_caps(const struct tp_memory_image *image, struct tp_section_statistics *sections)
{
    uint32_t index = 0;
    for (uint32_t i = 0; i < image->program_count; i++) {
        const uint32_t *words = image->program + (size_t)i * TP_INSTRUCTION_WORDS;
        struct tp_op_attention attention;
        struct tp_op_matvec matvec;
        tp_attention_unpack(words, &attention);
        tp_matvec_unpack(words, &matvec);
        // The norm counts for the section behind.
        index += writes_x(&matvec) && index < LAST ? 1 : 0;
        uint32_t *caps = sections[index].exponent_cap;
        if (writes_x(&matvec)) {
            raise_cap(&caps[TP_EDGE_KIND_NORM], matvec.cap);
        } else if (matvec.opcode == TP_OP_ATTENTION) {
            raise_cap(&caps[TP_EDGE_KIND_ATTENTION], attention.cap);
        } else if (matvec.opcode == TP_OP_MATVEC && matvec.dest == TP_DEST_GATE) {
            raise_cap(&caps[TP_EDGE_KIND_FFN], matvec.cap);
        }
    }
}

static tp_status ask(tp_device *device, uint32_t first, struct tp_section_statistics *sections,
                     struct tp_error *error)
{
    const uint8_t payload[4] = {(uint8_t)first};
    struct tp_frame reply;
    tp_status status =
        tp__device_request(device, TP_FRAME_SECTIONS, payload, sizeof payload, &reply, error);
    if (status != TP_OK) {
        return status;
    }
    for (uint32_t i = 0; i < TP_SECTIONS_PER_FRAME; i++) {
        const uint8_t *p = reply.payload + 16 * (size_t)i;
        sections[i].saturations = tp__get32(p);
        sections[i].clips = tp__get32(p + 4);
        for (uint32_t k = 0; k < TP_EDGE_KIND_COUNT; k++) {
            sections[i].exponent_max[k] = p[8 + k];
        }
    }
    return TP_OK;
}

tp_status tp_device_get_sections(tp_device *device, bool clear,
                                 struct tp_section_statistics *sections, size_t max, size_t *count,
                                 struct tp_error *error)
{
    if (device == NULL || count == NULL || (sections == NULL && max != 0) ||
        device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_device_get_sections: an argument is NULL or no model is loaded");
    }
    pthread_mutex_lock(&device->mutex);
    bool runs = device->running != 0;
    pthread_mutex_unlock(&device->mutex);
    if (runs) {
        return tp__fail(error, TP_ERROR_BUSY, "sections are told between runs: a session runs");
    }
    struct tp_section_statistics all[TP_SECTIONS] = {{{0}, 0, 0, {0}, {0}}};
    tp_status status = TP_OK;
    for (uint32_t first = 0; first < TP_SECTIONS && status == TP_OK;
         first += TP_SECTIONS_PER_FRAME) {
        status = ask(device, first, all + first, error);
    }
    const uint32_t any = 0;
    if (status == TP_OK && clear) {
        status =
            tp__device_write(device, TP_SPACE_REGISTER, TP_REGISTER_SECTIONS_CLEAR, &any, 1, error);
    }
    if (status != TP_OK) {
        return status;
    }
    uint32_t norms = norm_count(device->image);
    uint32_t own = norms < LAST ? norms + 1 : LAST + 1;
    for (uint32_t i = 0; i < own; i++) {
        name_section(i, norms, &all[i]);
    }
    take_caps(device->image, all);
    all[own] = all[SHARED];
    (void)snprintf(all[own].name, TP_NAME_BYTES, "steps of several slots");
    *count = (size_t)own + 1;
    if (max != 0) {
        memcpy(sections, all, (*count < max ? *count : max) * sizeof *sections);
    }
    return TP_OK;
}

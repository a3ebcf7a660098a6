// SPDX-License-Identifier: Apache-2.0
//
// Configuration streams into the memories of a simulated device.

#include "configuration_port.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// What a stream writes, read and checked; frames have no effect.
struct intake {
    const struct tp_configuration_port *port;
    const struct tp_block_map *map;
    const char *name;
    struct tp_configuration sent;  // by the stream
    struct tp_configuration held;  // contents of block RAM, of the device and then of the stream
    struct tp_stream stream;
    struct tp_error *error;
};

static void end(struct intake *in)
{
    tp__stream_free(&in->stream);
    tp__configuration_free(&in->sent);
    tp__configuration_free(&in->held);
}

static struct tp_memory_place place_of(const struct tp_map_memory *memory)
{
    return (struct tp_memory_place){memory->name, memory->space, memory->index};
}

static tp_status other_configuration(struct intake *in, const struct tp_map_memory *memory)
{
    return tp__fail(in->error, TP_ERROR_MISMATCH,
                    "the map of %.32s is of another configuration than the device: %.64s has not "
                    "the same words in both",
                    in->map->board, memory->name);
}

// Each memory of a space is there, with no more words than the map has.
static tp_status check_device(struct intake *in)
{
    const struct tp_configuration_port *port = in->port;
    uint8_t value[TP_MEMORY_WORD_BYTES];
    for (uint32_t i = 0; i < in->map->memory_count; i++) {
        const struct tp_map_memory *memory = &in->map->memories[i];
        const struct tp_memory_place place = place_of(memory);
        if (memory->space != TP_SPACE_OWN &&
            (!port->backend->read_memory(port->state, &place, 0, value) ||
             port->backend->read_memory(port->state, &place, memory->words, value))) {
            return other_configuration(in, memory);
        }
    }
    return TP_OK;
}

static bool is_sent(const struct intake *in, const struct tp_map_memory *memory)
{
    for (uint32_t i = 0; i < memory->block_count; i++) {
        if (in->sent.has_block[in->map->blocks[memory->first_block + i].id] != 0) {
            return true;
        }
    }
    return false;
}

// A word may lie in several block RAMs, of which the stream has one: the others keep theirs.
static void write_memory(struct intake *in, const struct tp_map_memory *memory)
{
    const struct tp_configuration_port *port = in->port;
    const struct tp_memory_place place = place_of(memory);
    uint8_t value[TP_MEMORY_WORD_BYTES];
    uint32_t words = 0;
    while (words < memory->words && port->backend->read_memory(port->state, &place, words, value)) {
        tp__map_write_word(in->map, memory, &in->held, words, value);
        words++;
    }
    for (uint32_t i = 0; i < memory->block_count; i++) {
        uint32_t id = in->map->blocks[memory->first_block + i].id;
#ifdef TP_PLANT_BUG
        bool is_here = true;  // the planted fault clears what the stream has not
#else
        bool is_here = in->sent.has_block[id] != 0;
#endif
        if (is_here) {
            memcpy(in->held.blocks[id], in->sent.blocks[id], sizeof *in->held.blocks);
        }
    }
    for (uint32_t word = 0; word < words; word++) {
        tp__map_read_word(in->map, memory, &in->held, word, value);
        port->backend->write_memory(port->state, &place, word, value);
    }
}

static tp_status read_stream(struct intake *in, const uint8_t *bytes, size_t size)
{
    tp_status status = tp__stream_read(bytes, size, in->name, &in->sent, &in->stream, in->error);
    if (status == TP_OK) {
        status = tp__map_check(in->map, &in->sent, in->name, &in->stream, in->error);
    }
    return status == TP_OK ? tp__configuration_begin(&in->held, in->map->part, in->error) : status;
}

static void write_all(struct intake *in)
{
    for (uint32_t i = 0; i < in->map->memory_count; i++) {
        if (is_sent(in, &in->map->memories[i])) {
            write_memory(in, &in->map->memories[i]);
        }
    }
}

static tp_status refuse(struct intake *in, enum tp_stream_fault fault, tp_status status)
{
    in->stream.fault = fault;
    return status;
}

static tp_status boot(struct intake *in, const uint8_t *bytes, size_t size)
{
    tp_status status = check_device(in);
    status = status == TP_OK ? read_stream(in, bytes, size) : status;
    if (status == TP_OK && in->stream.is_partial) {
        status = refuse(in, TP_FAULT_NOT_CONFIGURED,
                        tp__fail(in->error, TP_ERROR_INVALID,
                                 "%s is a partial stream, and a device boots from a full one - "
                                 "try: tokproc pack without --partial",
                                 in->name));
    }
    if (status == TP_OK && !in->port->backend->is_quiescent(in->port->state)) {
        status = refuse(in, TP_FAULT_NOT_QUIESCENT,
                        tp__fail(in->error, TP_ERROR_BUSY, "%s: the device is not idle", in->name));
    }
    return status;
}

tp_status tp__port_boot(struct tp_configuration_port *port, const char *map, const uint8_t *bytes,
                        size_t size, const char *name, enum tp_stream_fault *fault,
                        struct tp_error *error)
{
    struct tp_block_map *loaded = NULL;
    struct intake in = {.port = port, .name = name, .error = error};
    *fault = TP_FAULT_NONE;
    if (port->backend->write_memory == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "this device boots by itself, not from a file - try: -d emu or -d sim, or "
                        "tokproc simulate --boot");
    }
    tp_status status = tp__map_load(map, &loaded, error);
    if (status != TP_OK) {
        return status;
    }
    in.map = loaded;
    status = boot(&in, bytes, size);
    *fault = in.stream.fault;
    if (status == TP_OK) {
        write_all(&in);
        free(port->map);
        port->map = loaded;
    } else {
        free(loaded);
    }
    end(&in);
    return status;
}

static tp_status check_partial(struct intake *in)
{
    if (!in->stream.is_partial) {
        return refuse(in, TP_FAULT_RESTARTS,
                      tp__fail(in->error, TP_ERROR_INVALID,
                               "%s is a full stream, which restarts the device - try: --boot %s, "
                               "or tokproc pack --partial",
                               in->name, in->name));
    }
    if (!in->port->backend->is_quiescent(in->port->state)) {
        return refuse(in, TP_FAULT_NOT_QUIESCENT,
                      tp__fail(in->error, TP_ERROR_BUSY,
                               "%s: a session runs: the device takes streams between runs",
                               in->name));
    }
    return TP_OK;
}

tp_status tp__port_take(const struct tp_configuration_port *port, const uint8_t *bytes, size_t size,
                        const char *name, enum tp_stream_fault *fault, uint32_t *block_rams,
                        struct tp_error *error)
{
    struct intake in = {.port = port, .map = port->map, .name = name, .error = error};
    *block_rams = 0;
    if (port->map == NULL) {
        *fault = TP_FAULT_NOT_CONFIGURED;
        return tp__fail(error, TP_ERROR_INVALID,
                        "%s: the device was not booted from a bitstream - try: --boot", name);
    }
    tp_status status = read_stream(&in, bytes, size);
    status = status == TP_OK ? check_partial(&in) : status;
    *fault = in.stream.fault;
    if (status == TP_OK) {
        write_all(&in);
        *block_rams = tp__configuration_block_count(&in.sent);
    }
    end(&in);
    return status;
}

void tp__port_free(struct tp_configuration_port *port)
{
    free(port->map);
    port->map = NULL;
}

// SPDX-License-Identifier: Apache-2.0
//
// Bitstreams for programs: what is in a file, by number and by name.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_map.h"
#include "svf.h"
#include "tokproc.h"

_Static_assert(TP_BITSTREAM_BLOCK_IDS == TP_BLOCK_IDS, "ids of block RAMs");
_Static_assert(TP_BITSTREAM_WORD_BYTES == TP_MAP_WORD_BYTES, "bytes of a word");

struct tp_bitstream {
    const char *name;  // the end of path
    char *path;
    struct tp_configuration configuration;
    struct tp_stream stream;
    struct tp_block_map *map;  // or NULL
    char base[TP_DIGEST_TEXT_BYTES];
    bool is_canonical;
    uint64_t bytes;
};

static tp_status compare_with_ecppack(tp_bitstream *bitstream, const struct tp_bytes *bytes,
                                      struct tp_error *error)
{
    struct tp_bytes again;
    const struct tp_stream *stream = &bitstream->stream;
    if (stream->is_partial) {
        return TP_OK;
    }
    tp_status status =
        tp__stream_write_full(&bitstream->configuration, stream->text, stream->text_bytes,
                              stream->is_compressed, &again, error);
    if (status == TP_OK) {
        bitstream->is_canonical =
            again.size == bytes->size && memcmp(again.data, bytes->data, bytes->size) == 0;
        tp__bytes_free(&again);
    }
    return status;
}

static tp_status read_stream(tp_bitstream *bitstream, const char **fault, struct tp_error *error)
{
    struct tp_bytes bytes;
    tp_status status = tp__file_read(bitstream->path, TP_STREAM_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    bitstream->bytes = bytes.size;
    status = tp__stream_read(bytes.data, bytes.size, bitstream->name, &bitstream->configuration,
                             &bitstream->stream, error);
    *fault = tp__stream_fault_name(bitstream->stream.fault);
    if (status == TP_OK) {
        status = compare_with_ecppack(bitstream, &bytes, error);
    }
    if (status == TP_OK && !bitstream->stream.is_partial) {
        status = tp__configuration_base(&bitstream->configuration, bitstream->base, error);
    } else if (status == TP_OK) {
        memcpy(bitstream->base, bitstream->stream.base, sizeof bitstream->base);
    }
    tp__bytes_free(&bytes);
    return status;
}

tp_status tp_bitstream_open(const char *path, tp_bitstream **bitstream, const char **fault,
                            struct tp_error *error)
{
    const char *unused;
    fault = fault != NULL ? fault : &unused;
    *fault = tp__stream_fault_name(TP_FAULT_NONE);
    if (path == NULL || bitstream == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_bitstream_open: an argument is NULL");
    }
    tp_bitstream *made = calloc(1, sizeof *made);
    char *copy = strdup(path);
    if (made == NULL || copy == NULL) {
        free(made);
        free(copy);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a bitstream");
    }
    made->path = copy;
    made->name = tp__short_name(copy);
    tp_status status = read_stream(made, fault, error);
    if (status != TP_OK) {
        tp_bitstream_close(made);
        return status;
    }
    *bitstream = made;
    return TP_OK;
}

void tp_bitstream_close(tp_bitstream *bitstream)
{
    if (bitstream != NULL) {
        tp__stream_free(&bitstream->stream);
        tp__configuration_free(&bitstream->configuration);
        free(bitstream->map);
        free(bitstream->path);
        free(bitstream);
    }
}

tp_status tp_bitstream_use_map(tp_bitstream *bitstream, const char *path, const char **fault,
                               struct tp_error *error)
{
    struct tp_block_map *map = NULL;
    if (bitstream == NULL || path == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_bitstream_use_map: an argument is NULL");
    }
    tp_status status = tp__map_load(path, &map, error);
    if (status == TP_OK) {
        status = tp__map_check(map, &bitstream->configuration, bitstream->name, &bitstream->stream,
                               error);
    }
    if (fault != NULL) {
        *fault = tp__stream_fault_name(bitstream->stream.fault);
    }
    if (status != TP_OK) {
        free(map);
        return status;
    }
    free(bitstream->map);
    bitstream->map = map;
    return TP_OK;
}

void tp_bitstream_get_facts(const tp_bitstream *bitstream, struct tp_bitstream_facts *facts)
{
    const struct tp_configuration *configuration = &bitstream->configuration;
    const struct tp_stream *stream = &bitstream->stream;
    const struct tp_block_map *map = bitstream->map;
    *facts = (struct tp_bitstream_facts){
        .idcode = configuration->part->idcode,
        .control = configuration->control,
        .usercode = configuration->usercode,
        .partial = stream->is_partial,
        .background = (configuration->control & TP_STREAM_BACKGROUND) == TP_STREAM_BACKGROUND,
        .compressed = stream->is_compressed,
        .canonical = bitstream->is_canonical,
        .frames = tp__configuration_frame_count(configuration),
        .frames_of_part = configuration->part->frames,
        .block_rams = tp__configuration_block_count(configuration),
        .block_rams_of_part = configuration->part->block_rams,
        .crcs = stream->crcs,
        .commands = (uint32_t)stream->command_count,
        .memories = map != NULL ? map->memory_count : 0,
        .bytes = bitstream->bytes,
    };
    (void)snprintf(facts->part, sizeof facts->part, "%s", configuration->part->name);
    (void)snprintf(facts->text, sizeof facts->text, "%.127s", stream->text);
    (void)snprintf(facts->base, sizeof facts->base, "%s", bitstream->base);
    (void)snprintf(facts->board, sizeof facts->board, "%.63s", map != NULL ? map->board : "");
}

tp_status tp_bitstream_get_command(const tp_bitstream *bitstream, size_t index,
                                   struct tp_bitstream_command *command)
{
    if (index >= bitstream->stream.command_count) {
        return TP_ERROR_RANGE;
    }
    const struct tp_stream_command *c = &bitstream->stream.commands[index];
    *command = (struct tp_bitstream_command){.offset = c->offset,
                                             .bytes = c->bytes,
                                             .opcode = c->opcode,
                                             .flags = c->flags,
                                             .count = c->count,
                                             .operand = c->operand,
                                             .crcs = c->crcs};
    (void)snprintf(command->text, sizeof command->text, "%s", tp__stream_command_text(c->opcode));
    return TP_OK;
}

tp_status tp_bitstream_get_memory(const tp_bitstream *bitstream, size_t index,
                                  struct tp_bitstream_memory *memory)
{
    const struct tp_block_map *map = bitstream->map;
    if (map == NULL || index >= map->memory_count) {
        return TP_ERROR_RANGE;
    }
    const struct tp_map_memory *m = &map->memories[index];
    *memory = (struct tp_bitstream_memory){
        .index = m->index, .words = m->words, .bits = m->bits, .block_rams = m->block_count};
    for (uint32_t i = 0; i < m->block_count; i++) {
        uint32_t id = map->blocks[m->first_block + i].id;
        memory->block_rams_here += bitstream->configuration.has_block[id];
    }
    (void)snprintf(memory->name, sizeof memory->name, "%s", m->name);
    (void)snprintf(memory->space, sizeof memory->space, "%s", tp__map_space_name(m->space));
    return TP_OK;
}

tp_status tp_bitstream_read_word(const tp_bitstream *bitstream, size_t memory, uint32_t word,
                                 uint8_t *value)
{
    const struct tp_block_map *map = bitstream->map;
    if (map == NULL || memory >= map->memory_count || word >= map->memories[memory].words) {
        return TP_ERROR_RANGE;
    }
    tp__map_read_word(map, &map->memories[memory], &bitstream->configuration, word, value);
    return TP_OK;
}

tp_status tp_bitstream_get_block(const tp_bitstream *bitstream, uint32_t id,
                                 struct tp_bitstream_block *block)
{
    const struct tp_block_map *map = bitstream->map;
    if (id >= TP_BLOCK_IDS) {
        return TP_ERROR_RANGE;
    }
    *block = (struct tp_bitstream_block){.here = bitstream->configuration.has_block[id] != 0};
    for (uint32_t i = 0; map != NULL && i < map->block_count; i++) {
        const struct tp_map_block *b = &map->blocks[i];
        if (b->id == id) {
            block->width = b->width;
            block->word = b->word;
            block->bit = b->bit;
            (void)snprintf(block->name, sizeof block->name, "%s", map->memories[b->memory].name);
            (void)snprintf(block->site, sizeof block->site, "%.63s", b->site);
        }
    }
    return TP_OK;
}

static void compare_frames(const struct tp_configuration *a, const struct tp_configuration *b,
                           struct tp_bitstream_difference *difference)
{
    size_t size = a->part->frame_bytes;
    for (uint32_t i = 0; i < a->part->frames; i++) {
        if (a->has_frame[i] && b->has_frame[i] &&
            memcmp(a->frames + i * size, b->frames + i * size, size) != 0) {
            difference->frame_first = difference->frames == 0 ? i : difference->frame_first;
            difference->frame_last = i;
            difference->frames++;
        }
    }
}

static uint32_t compare_block(const struct tp_configuration *a, const struct tp_configuration *b,
                              bool is_partial, uint32_t id)
{
    uint32_t words = 0;
    if (a->has_block[id] != b->has_block[id]) {
        return is_partial ? 0 : TP_BLOCK_WORDS;
    }
    for (uint32_t i = 0; i < TP_BLOCK_WORDS && a->has_block[id] != 0; i++) {
        words += a->blocks[id][i] != b->blocks[id][i];
    }
    return words;
}

tp_status tp_bitstream_compare(const tp_bitstream *a, const tp_bitstream *b,
                               struct tp_bitstream_difference *difference, struct tp_error *error)
{
    if (a == NULL || b == NULL || difference == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_bitstream_compare: an argument is NULL");
    }
    const struct tp_configuration *one = &a->configuration;
    const struct tp_configuration *two = &b->configuration;
    if (one->part != two->part) {
        return tp__fail(error, TP_ERROR_MISMATCH, "%s is for an %s, %s for an %s", a->name,
                        one->part->name, b->name, two->part->name);
    }
    bool is_partial = a->stream.is_partial || b->stream.is_partial;
    *difference =
        (struct tp_bitstream_difference){.control = !is_partial && one->control != two->control,
                                         .usercode = !is_partial && one->usercode != two->usercode};
    compare_frames(one, two, difference);
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        difference->words[id] = (uint16_t)compare_block(one, two, is_partial, id);
        difference->block_rams += difference->words[id] != 0;
    }
    return TP_OK;
}

tp_status tp_bitstream_write_svf(const tp_bitstream *bitstream, const char *path,
                                 struct tp_error *error)
{
    struct tp_bytes bytes;
    struct tp_bytes svf;
    struct tp_file_writer writer;
    if (bitstream == NULL || path == NULL || !bitstream->stream.is_partial) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_bitstream_write_svf: an argument is NULL, or the bitstream is not a "
                        "partial one");
    }
    tp_status status = tp__file_read(bitstream->path, TP_STREAM_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__svf_write(bitstream->configuration.part->idcode, &bytes, &svf, error);
    tp__bytes_free(&bytes);
    if (status == TP_OK) {
        tp__writer_open(&writer, path, error);
        tp__writer_put(&writer, svf.data, svf.size);
        status = tp__writer_close(&writer, TP_OK);
        tp__bytes_free(&svf);
    }
    return status;
}

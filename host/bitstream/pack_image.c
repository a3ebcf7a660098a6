// SPDX-License-Identifier: Apache-2.0
//
// The memory image of a loaded model as a bitstream: all of the board's, or its block RAMs alone.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_map.h"
#include "internal.h"
#include "svf.h"

struct packer {
    struct tp_block_map *map;
    struct tp_configuration configuration;  // what is written
    struct tp_stream stream;                // of the board's bitstream
    struct tp_map_writer writer;
    bool is_chosen[TP_BLOCK_IDS];
    struct tp_error *error;
};

// Reads a bitstream of the map's design.
static tp_status read_of_design(struct packer *p, const char *path,
                                struct tp_configuration *configuration, struct tp_stream *stream)
{
    struct tp_bytes bytes;
    const char *name = tp__short_name(path);
    tp_status status = tp__file_read(path, TP_STREAM_BYTES_MAX, &bytes, p->error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__stream_read(bytes.data, bytes.size, name, configuration, stream, p->error);
    if (status == TP_OK) {
        status = tp__map_check(p->map, configuration, name, stream, p->error);
    }
    tp__bytes_free(&bytes);
    return status;
}

// What the block RAMs hold before the model: the board's bitstream, or nothing that is known.
static tp_status begin(struct packer *p, const char *bits)
{
    if (bits == NULL) {
        return tp__configuration_begin(&p->configuration, p->map->part, p->error);
    }
    tp_status status = read_of_design(p, bits, &p->configuration, &p->stream);
    if (status == TP_OK && p->stream.is_partial) {
        status = tp__fail(p->error, TP_ERROR_INVALID, "%s is a partial stream, no bitstream of %s",
                          tp__short_name(bits), p->map->board);
    }
    return status;
}

// The block RAMs of the memories that the model writes.
static void choose_written(struct packer *p)
{
    for (uint32_t i = 0; i < p->map->block_count; i++) {
        const struct tp_map_block *block = &p->map->blocks[i];
        uint32_t space = p->map->memories[block->memory].space;
        p->is_chosen[block->id] = space != TP_SPACE_OWN && p->writer.written[space] != 0;
        p->configuration.has_block[block->id] |= p->is_chosen[block->id];
    }
}

// Of these, the ones that are not in the other bitstream as they are here.
static tp_status choose_changed(struct packer *p, const char *from)
{
    struct tp_configuration old = {0};
    struct tp_stream stream = {0};
    tp_status status = read_of_design(p, from, &old, &stream);
    for (uint32_t id = 0; status == TP_OK && id < TP_BLOCK_IDS; id++) {
        bool is_there =
            old.has_block[id] != 0 &&
            memcmp(old.blocks[id], p->configuration.blocks[id], sizeof *old.blocks) == 0;
        p->is_chosen[id] = p->is_chosen[id] && !is_there;
    }
    tp__stream_free(&stream);
    tp__configuration_free(&old);
    return status;
}

static tp_status make_bytes(struct packer *p, const struct tp_memory_image *image,
                            const struct tp_pack_options *options, struct tp_bytes *bytes)
{
    tp_status status = begin(p, options->bits);
    if (status == TP_OK) {
        p->writer = (struct tp_map_writer){
            .map = p->map, .configuration = &p->configuration, .groups = image->limits.groups};
        status = tp__memory_image_write(image, tp__map_write, &p->writer, p->error);
    }
    if (status != TP_OK) {
        return status;
    }
    choose_written(p);
    if (options->from != NULL) {
        status = choose_changed(p, options->from);
    }
    if (status != TP_OK) {
        return status;
    }
    return options->bits != NULL
               ? tp__stream_write_full(&p->configuration, p->stream.text, p->stream.text_bytes,
                                       p->stream.is_compressed, bytes, p->error)
               : tp__stream_write_blocks(&p->configuration, p->map->base, p->is_chosen, bytes,
                                         p->error);
}

static void fill_report(const struct packer *p, size_t bytes, struct tp_pack_report *report)
{
    report->bytes = bytes;
    memcpy(report->base, p->map->base, sizeof report->base);
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        report->block_rams += p->is_chosen[id];
    }
    for (uint32_t space = 0; space < TP_MAP_SPACES; space++) {
        uint64_t written = p->writer.written[space];
        struct tp_pack_space *s = &report->spaces[report->space_count];
        if (written + p->writer.left[space] != 0) {
            *s = (struct tp_pack_space){.words = written + p->writer.left[space],
                                        .packed = written != 0};
            (void)snprintf(s->name, sizeof s->name, "%s", tp__map_space_name(space));
            report->space_count++;
        }
    }
}

// A partial stream for a file of SVF becomes that.
static tp_status wrap(const struct packer *p, const char *path, struct tp_bytes *bytes)
{
    struct tp_bytes svf;
    if (!tp__svf_is_path(path)) {
        return TP_OK;
    }
    tp_status status = tp__svf_write(p->map->part->idcode, bytes, &svf, p->error);
    if (status == TP_OK) {
        tp__bytes_free(bytes);
        *bytes = svf;
    }
    return status;
}

static tp_status write_file(const char *path, const struct tp_bytes *bytes, struct tp_error *error)
{
    struct tp_file_writer writer;
    tp__writer_open(&writer, path, error);
    tp__writer_put(&writer, bytes->data, bytes->size);
    return tp__writer_close(&writer, TP_OK);
}

tp_status tp_device_pack(tp_device *device, const struct tp_pack_options *options,
                         struct tp_pack_report *report, struct tp_error *error)
{
    if (device == NULL || options == NULL || report == NULL || options->map == NULL ||
        options->output == NULL || (options->bits != NULL && options->from != NULL)) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_device_pack: an argument is NULL, or both bits and from are given");
    }
    if (device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_pack: no model is loaded");
    }
    if (options->bits != NULL && tp__svf_is_path(options->output)) {
        return tp__fail(
            error, TP_ERROR_INVALID,
            "%s: SVF is for partial bitstreams; openFPGALoader takes whole ones as they "
            "are - try: --partial, or a name that ends in .bit",
            options->output);
    }
    struct packer *p = calloc(1, sizeof *p);
    struct tp_bytes bytes = {NULL, 0};
    if (p == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for packing");
    }
    double start = tp__seconds();
    p->error = error;
    tp_status status = tp__map_load(options->map, &p->map, error);
    status = status == TP_OK ? make_bytes(p, device->image, options, &bytes) : status;
    status = status == TP_OK ? wrap(p, options->output, &bytes) : status;
    double seconds = tp__seconds() - start;
    status = status == TP_OK ? write_file(options->output, &bytes, error) : status;
    if (status == TP_OK) {
        *report = (struct tp_pack_report){.seconds = seconds};
        fill_report(p, bytes.size, report);
    }
    tp__bytes_free(&bytes);
    tp__stream_free(&p->stream);
    tp__configuration_free(&p->configuration);
    free(p->map);
    free(p);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// The configuration port for programs, and another model under running sessions.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change_model.h"
#include "configuration_port.h"
#include "schedule.h"

// ---- streams to the device ----

// What the device's thread does with its back end.
struct handover {
    tp_device *device;
    const char *map;  // boots; NULL: a partial stream
    const uint8_t *bytes;
    size_t size;
    const char *name;
    uint32_t fault;
    uint32_t block_rams;
    tp_status status;
    struct tp_error *error;
};

static void hand_over(void *user)
{
    struct handover *h = user;
    struct tp_configuration_port *port = h->device->port;
    enum tp_stream_fault fault = TP_FAULT_NONE;
    if (h->map != NULL) {
        h->status = tp__port_boot(port, h->map, h->bytes, h->size, h->name, &fault, h->error);
    } else {
        h->status =
            tp__port_take(port, h->bytes, h->size, h->name, &fault, &h->block_rams, h->error);
    }
    h->fault = fault;
}

static void hand_out(void *user)
{
    struct handover *h = user;
    h->status = h->device->backend->configure(h->device->state, h->bytes, h->size, h->name,
                                              &h->fault, &h->block_rams, h->error);
}

static bool has_port(const tp_device *device)
{
    return device->port != NULL || device->backend->configure != NULL;
}

static tp_status no_port(const tp_device *device, struct tp_error *error)
{
    return tp__fail(error, TP_ERROR_UNSUPPORTED,
                    device->backend->write_memory != NULL
                        ? "%s was not booted from a bitstream, so it takes none - try: --boot"
                        : "%s has no configuration port here - try: tokproc flash",
                    device->info.name);
}

static tp_status send_stream(tp_device *device, struct handover *h, struct tp_error *error)
{
    if (!has_port(device)) {
        return no_port(device, error);
    }
    h->device = device;
    h->error = error;
    tp_status status = tp__device_do(device, device->port != NULL ? hand_over : hand_out, h, error);
    return status == TP_OK ? h->status : status;
}

tp_status tp_device_boot(tp_device *device, const struct tp_boot_options *options,
                         const char **fault, struct tp_error *error)
{
    const char *unused;
    struct tp_bytes bytes;
    fault = fault != NULL ? fault : &unused;
    *fault = tp__stream_fault_name(TP_FAULT_NONE);
    if (device == NULL || options == NULL || options->bits == NULL || options->map == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_boot: an argument is NULL");
    }
    if (device->image != NULL) {
        return tp__fail(error, TP_ERROR_BUSY, "%s has a model: it boots before anything is loaded",
                        device->info.name);
    }
    tp_status status = tp__file_read(options->bits, TP_STREAM_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_configuration_port *before = device->port;
    struct tp_configuration_port *port = before != NULL ? before : calloc(1, sizeof *port);
    if (port == NULL) {
        tp__bytes_free(&bytes);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a configuration port");
    }
    port->backend = device->backend;
    port->state = device->state;
    device->port = port;
    struct handover h = {.map = options->map,
                         .bytes = bytes.data,
                         .size = bytes.size,
                         .name = tp__short_name(options->bits)};
    status = send_stream(device, &h, error);
    *fault = tp__stream_fault_name(h.fault);
    if (status != TP_OK && before == NULL) {
        device->port = NULL;
        free(port);
    }
    tp__bytes_free(&bytes);
    return status;
}

// ---- another model ----

struct change {
    tp_device *device;
    tp_model *model;
    const struct tp_reconfigure_options *options;
    struct tp_reconfigure_report *report;
    struct tp_loaded loaded;          // the new model; after the change the old one
    struct tp_block_map *own_map;     // of options, or NULL
    const struct tp_block_map *map;   // by bitstream: of the device's design
    struct tp_known_contents before;  // of the device's block RAMs
    struct tp_known_contents after;   // with the new model
    struct tp_bytes bytes;            // of the stream; size 0: none is sent
    bool has_touched;                 // the device's memories are not those of the old model
    bool writes_all;  // words over the link are also those that have a place in block RAM
    struct tp_error *error;
};

// Reads a bitstream of the device's design into what is known.
static tp_status add_file(struct change *c, const char *path, struct tp_known_contents *contents,
                          bool keeps)
{
    struct tp_configuration configuration = {0};
    struct tp_stream stream = {.fault = TP_FAULT_NONE};
    struct tp_bytes bytes;
    const char *name = tp__short_name(path);
    tp_status status = tp__file_read(path, TP_STREAM_BYTES_MAX, &bytes, c->error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__stream_read(bytes.data, bytes.size, name, &configuration, &stream, c->error);
    if (status == TP_OK) {
        status = tp__map_check(c->map, &configuration, name, &stream, c->error);
    }
    c->report->fault = tp__stream_fault_name(stream.fault);
    if (status == TP_OK) {
        tp__contents_add_stream(contents, &configuration);
    }
    if (status == TP_OK && keeps) {
        c->bytes = bytes;
    } else {
        tp__bytes_free(&bytes);
    }
    tp__stream_free(&stream);
    tp__configuration_free(&configuration);
    return status;
}

static tp_status find_map(struct change *c)
{
    const char *path = c->options->map;
    if (path == NULL && c->device->port != NULL) {
        c->map = c->device->port->map;
        return TP_OK;
    }
    if (path == NULL) {
        return tp__fail(c->error, TP_ERROR_INVALID,
                        "which map? %s does not tell its design - try: --map",
                        c->device->info.name);
    }
    tp_status status = tp__map_load(path, &c->own_map, c->error);
    c->map = c->own_map;
    return status;
}

// What the device holds, as far as the host knows.
static tp_status know_before(struct change *c, struct tp_known_contents *contents)
{
    tp_status status = tp__contents_begin(contents, c->map, c->error);
    if (status == TP_OK && c->options->from != NULL) {
        status = add_file(c, c->options->from, contents, false);
    }
    if (status == TP_OK && c->device->image != NULL) {
        status = tp__contents_add_image(contents, c->device->image, c->error);
    }
    return status;
}

// A file of the caller has all words of the model that the device has not already.
static tp_status take_file(struct change *c)
{
    bool differs[TP_BLOCK_IDS];
    tp_status status = add_file(c, c->options->bits, &c->before, true);
    status = status == TP_OK ? add_file(c, c->options->bits, &c->after, false) : status;
    status =
        status == TP_OK ? tp__contents_add_image(&c->after, c->loaded.image, c->error) : status;
    if (status != TP_OK || tp__contents_compare(&c->before, &c->after, differs) == 0) {
        return status;
    }
    for (uint32_t i = 0; i < c->map->block_count; i++) {
        const struct tp_map_block *block = &c->map->blocks[i];
        if (differs[block->id]) {
            return tp__fail(c->error, TP_ERROR_MISMATCH,
                            "%s does not hold %.64s: block RAM %" PRIu32 " of %.64s differs - try: "
                            "tokproc pack --partial with the same model and format",
                            tp__short_name(c->options->bits), c->model->name, block->id,
                            c->map->memories[block->memory].name);
        }
    }
    return TP_OK;
}

static tp_status make_stream(struct change *c)
{
    bool is_chosen[TP_BLOCK_IDS];
    tp_status status = tp__contents_add_image(&c->after, c->loaded.image, c->error);
    if (status == TP_OK && tp__contents_compare(&c->before, &c->after, is_chosen) != 0) {
        status = tp__stream_write_blocks(&c->after.fills[0], c->map->base, is_chosen, &c->bytes,
                                         c->error);
    }
    return status;
}

static tp_status prepare_stream(struct change *c)
{
    if (!has_port(c->device)) {
        return no_port(c->device, c->error);
    }
    tp_status status = find_map(c);
    status = status == TP_OK ? know_before(c, &c->before) : status;
    status = status == TP_OK ? know_before(c, &c->after) : status;
    if (status == TP_OK) {
        status = c->options->bits != NULL ? take_file(c) : make_stream(c);
    }
    return status;
}

// ---- sessions ----

// Waits until no slot runs. Events of steps until now, which may still come, are of the past.
static tp_status wait_quiet(tp_device *device, struct tp_error *error)
{
    const uint8_t first_section[4] = {0};
    struct tp_frame reply;
    tp_status status = tp__device_request_until_free(device, TP_FRAME_SECTIONS, first_section,
                                                     sizeof first_section, error);
    if (status == TP_OK) {
        status = tp__device_request(device, TP_FRAME_STATISTICS, NULL, 0, &reply, error);
    }
    if (status != TP_OK) {
        return status;
    }
    pthread_mutex_lock(&device->mutex);
    tp__device_past(device, &reply);
    pthread_mutex_unlock(&device->mutex);
    return TP_OK;
}

static bool have_same_tokens(const tp_model *a, const tp_model *b)
{
    return (a->tokenizer == NULL) == (b->tokenizer == NULL) &&
           tp_model_check_alike(a, b, NULL) == TP_OK;
}

// The device holds the new model.
static void take_model(struct change *c)
{
    tp_device *device = c->device;
    // All sessions but orphans have the tokens of the model that was loaded.
    bool is_alike = device->model != NULL && have_same_tokens(device->model, c->model);
    tp__device_exchange(device, &c->loaded);
    pthread_mutex_lock(&device->mutex);
    for (tp_session *s = device->first_session; s != NULL; s = s->next) {
        bool goes_on = tp__schedule_take_model(s, is_alike);
        c->report->sessions_kept += goes_on;
        c->report->sessions_ended += !goes_on;
    }
    pthread_mutex_unlock(&device->mutex);
}

// ---- the change ----

static bool is_in_block_ram(const struct change *c, uint32_t space)
{
    return c->map != NULL && c->after.is_written[space];
}

static tp_status write_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                             size_t count, struct tp_error *error)
{
    struct change *c = user;
    bool is_there = is_in_block_ram(c, space);
#ifdef TP_PLANT_BUG
    is_there = c->map != NULL;  // the planted fault leaves codebooks and frequencies as they were
#endif
    if (!c->writes_all && is_there) {
        return TP_OK;
    }
    c->report->link_words += count;
    return tp__device_write(c->device, space, address, words, count, error);
}

// Words over the link, and the answers to all of them.
static tp_status write_image(struct change *c, const struct tp_memory_image *image, bool all,
                             struct tp_error *error)
{
    c->writes_all = all;
    tp_status status = tp__memory_image_write(image, write_words, c, error);
    tp_status flushed = tp__device_request(c->device, TP_FRAME_STATISTICS, NULL, 0, NULL,
                                           status == TP_OK ? error : NULL);
    return status == TP_OK ? flushed : status;
}

static tp_status send_bytes(struct change *c)
{
    struct handover h = {.bytes = c->bytes.data,
                         .size = c->bytes.size,
                         .name = c->options->bits != NULL ? tp__short_name(c->options->bits)
                                                          : c->model->name};
    tp_status status = send_stream(c->device, &h, c->error);
    // What was refused has changed nothing; of any other failure that is not known.
    c->has_touched = status == TP_OK || h.fault == TP_FAULT_NONE;
    c->report->fault = tp__stream_fault_name(h.fault);
    c->report->bytes = status == TP_OK ? c->bytes.size : 0;
    c->report->block_rams = h.block_rams;
    return status;
}

// Whether the device holds an image, if it can tell.
static tp_status check_image(struct change *c, const struct tp_memory_image *image,
                             struct tp_error *error)
{
    struct tp_verify_report report = {.words = 0};
    tp_status status = TP_OK;
    if (c->device->info.read_back != 0) {
        status = tp__device_check(c->device, image, &report, error);
    }
    c->report->words_verified = report.words;
    return status;
}

static tp_status load_new(struct change *c)
{
    tp_status status = TP_OK;
    if (c->options->by_bitstream && c->bytes.size != 0) {
        status = send_bytes(c);
    }
    if (status == TP_OK) {
        c->has_touched = true;
        status = write_image(c, c->loaded.image, !c->options->by_bitstream, c->error);
    }
    return status == TP_OK ? check_image(c, c->loaded.image, c->error) : status;
}

// The old model as ever, over the link. Its keys and values are computed again.
static void load_old(struct change *c)
{
    struct tp_error unused;
    tp_device *device = c->device;
    if (!c->has_touched || device->image == NULL) {
        return;
    }
    c->report->restored = write_image(c, device->image, true, &unused) == TP_OK &&
                          check_image(c, device->image, &unused) == TP_OK;
    pthread_mutex_lock(&device->mutex);
    tp__schedule_forget(device);
    if (!c->report->restored) {
        tp__device_fail(device, TP_ERROR_DEVICE,
                        "neither the new model nor the old one could be loaded");
    }
    pthread_mutex_unlock(&device->mutex);
}

static tp_status change_model(struct change *c)
{
    double start = tp__seconds();
    pthread_mutex_lock(&c->device->mutex);
    tp__schedule_pause(c->device);
    pthread_mutex_unlock(&c->device->mutex);
    tp_status status = wait_quiet(c->device, c->error);
    if (status == TP_OK) {
        status = load_new(c);
        if (status == TP_OK) {
            take_model(c);
        } else {
            load_old(c);
        }
    }
    pthread_mutex_lock(&c->device->mutex);
    tp__schedule_resume(c->device);
    pthread_mutex_unlock(&c->device->mutex);
    c->report->seconds = tp__seconds() - start;
    return status;
}

tp_status tp_device_reconfigure(tp_device *device, tp_model *model,
                                const struct tp_reconfigure_options *options,
                                struct tp_reconfigure_report *report, struct tp_error *error)
{
    if (device == NULL || model == NULL || options == NULL || report == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_reconfigure: an argument is NULL");
    }
    struct change *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for another model");
    }
    *report = (struct tp_reconfigure_report){.fault = tp__stream_fault_name(TP_FAULT_NONE)};
    *c = (struct change){
        .device = device, .model = model, .options = options, .report = report, .error = error};
    tp_status status = tp__device_compile(device, model, &options->load, &c->loaded, error);
    if (status == TP_OK && options->by_bitstream) {
        status = prepare_stream(c);
    }
    status = status == TP_OK ? change_model(c) : status;
    tp__contents_free(&c->before);
    tp__contents_free(&c->after);
    tp__bytes_free(&c->bytes);
    tp__loaded_free(&c->loaded);
    free(c->own_map);
    free(c);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// What a device holds against what it should hold: sums that the device computes, chunk by chunk,
// and in a chunk whose sum differs the first word.

#include "block_map.h"
#include "internal.h"

#include <inttypes.h>
#include <string.h>

// Words of a sum: a large simulated device, which moves tens of thousands of cycles a second and
// takes 51 for a word, has answered before a link gives it up.
enum { CHUNK_WORDS = 256 };

struct check {
    tp_device *device;
    struct tp_verify_report *report;
    struct tp_error *error;
    uint32_t space;
    uint32_t address;  // of the first word of the chunk
    uint32_t next;     // behind its last one
    uint32_t count;
    uint8_t bytes[4 * CHUNK_WORDS];
};

// The sum of count words, or, without is_sum, the one word, from an address on.
static tp_status ask(struct check *c, uint32_t address, uint32_t count, bool is_sum,
                     uint32_t *value)
{
    uint8_t payload[8] = {(uint8_t)c->space, is_sum ? 1 : 0};
    struct tp_frame reply = {.type = 0};
    tp__put16(payload + 2, (uint16_t)count);
    tp__put32(payload + 4, address);
    tp_status status =
        tp__device_request(c->device, TP_FRAME_READ, payload, sizeof payload, &reply, c->error);
    if (status == TP_ERROR_DEVICE && reply.type == TP_FRAME_ACK &&
        reply.payload[0] == TP_FRAME_READ && reply.payload[1] == TP_ACK_BUSY) {
        return tp__fail(c->error, TP_ERROR_BUSY, "%s: a session has a run", c->device->info.name);
    }
    *value = status == TP_OK ? tp__get32(reply.payload) : 0;
    return status;
}

static uint32_t address_of(const struct check *c, uint32_t index)
{
    uint32_t address = c->address;
    for (uint32_t i = 0; i < index; i++) {
        address = tp_space_next(&c->device->limits, c->space, address);
    }
    return address;
}

// The sum of the words before `first` is right, that of those before `behind` is not.
static tp_status find_word(struct check *c)
{
    uint32_t first = 0;
    uint32_t behind = c->count;
    tp_status status = TP_OK;
    while (status == TP_OK && behind - first > 1) {
        uint32_t middle = first + (behind - first) / 2;
        uint32_t sum = 0;
        status = ask(c, address_of(c, first), middle - first, true, &sum);
        if (sum == tp__crc32(c->bytes + 4 * (size_t)first, 4 * (size_t)(middle - first))) {
            first = middle;
        } else {
            behind = middle;
        }
    }
    struct tp_verify_report *report = c->report;
    uint32_t found = 0;
    uint32_t address = address_of(c, first);
    status = status == TP_OK ? ask(c, address, 1, false, &found) : status;
    if (status != TP_OK) {
        return status;
    }
    const char *space = tp__map_space_name(c->space);
    (void)snprintf(report->space, sizeof report->space, "%s", space);
    report->address = address;
    report->expected = tp__get32(c->bytes + 4 * (size_t)first);
    report->found = found;
    return tp__fail(c->error, TP_ERROR_MISMATCH,
                    "%s does not hold the model: word %" PRIu32 " of its memory '%s' is %08" PRIx32
                    ", not %08" PRIx32 " - try: load it again",
                    c->device->info.name, address, space, found, report->expected);
}

static tp_status end_chunk(struct check *c)
{
    uint32_t sum = 0;
    if (c->count == 0) {
        return TP_OK;
    }
    tp_status status = ask(c, c->address, c->count, true, &sum);
    if (status == TP_OK && sum != tp__crc32(c->bytes, 4 * (size_t)c->count)) {
        status = find_word(c);
    }
    c->report->words += status == TP_OK ? c->count : 0;
    c->count = 0;
    return status;
}

static tp_status take_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                            size_t count, struct tp_error *error)
{
    struct check *c = user;
    (void)error;
    if (space > TP_SPACE_FREQUENCY) {
        return TP_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (c->count == CHUNK_WORDS || space != c->space || address != c->next) {
            tp_status status = end_chunk(c);
            if (status != TP_OK) {
                return status;
            }
            c->space = space;
            c->address = address;
        }
        tp__put32(c->bytes + 4 * (size_t)c->count++, words[i]);
        address = c->next = tp_space_next(&c->device->limits, space, address);
    }
    return TP_OK;
}

tp_status tp__device_check(tp_device *device, const struct tp_memory_image *image,
                           struct tp_verify_report *report, struct tp_error *error)
{
    double start = tp__seconds();
    struct check check = {.device = device, .report = report, .error = error};
    *report = (struct tp_verify_report){.words = 0};
    tp_status status = tp__memory_image_write(image, take_words, &check, error);
#ifndef TP_PLANT_BUG  // the planted fault does not compare the last words
    status = status == TP_OK ? end_chunk(&check) : status;
#endif
    report->seconds = tp__seconds() - start;
    return status;
}

tp_status tp_device_verify(tp_device *device, struct tp_verify_report *report,
                           struct tp_error *error)
{
    struct tp_verify_report own;
    report = report != NULL ? report : &own;
    *report = (struct tp_verify_report){.words = 0};
    if (device == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_verify: device is NULL");
    }
    if (device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "%s: no model is loaded", device->info.name);
    }
    if (device->info.read_back == 0) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED, "%s does not read its memories back",
                        device->info.name);
    }
    return tp__device_check(device, device->image, report, error);
}

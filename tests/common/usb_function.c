// SPDX-License-Identifier: Apache-2.0
//
// A board's USB function in front of a device's byte streams.

#include "usb_function.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_BYTES = 2 * TP_USB_PACKET_BYTES,
    TAMPERED_BYTES = 2 * TP_FRAME_BYTES_MAX,
    DESCRIPTOR_BYTES = TP_USB_DEVICE_BYTES + TP_USB_CONFIGURATION_BYTES,
    // Places in the configuration descriptor: that of the interface is the second.
    SUBCLASS_AT = TP_USB_DEVICE_BYTES + 9 + 6,
    PROTOCOL_AT = TP_USB_DEVICE_BYTES + 9 + 7,
    STRING_BYTES_MAX = 128
};
// bmRequestType and bRequest.
enum {
    GET_DESCRIPTOR = 0x8006,
    SET_CONFIGURATION = 0x0009,
    SET_INTERFACE = 0x010b,
    CLEAR_HALT = 0x0201,
    LINK = TP_USB_REQUEST_TYPE_LINK << 8 | TP_USB_REQUEST_LINK
};

struct tp_usb_function {
    struct tp_usb_function_options options;
    void *state;  // of the device
    uint8_t descriptors[DESCRIPTOR_BYTES];
    bool is_open;  // the link
    bool is_out_halted;
    bool is_in_halted;
    uint8_t out[BUFFER_BYTES];  // from the host
    size_t out_count;
    uint8_t in[BUFFER_BYTES + TAMPERED_BYTES];  // for the host
    size_t in_count;
    bool was_full;                    // the last IN packet
    struct tp_frame_decoder decoder;  // of frames that are tampered with
};

struct tp_usb_function *tp_usb_function_open(const struct tp_usb_function_options *options,
                                             struct tp_error *error)
{
    struct tp_usb_function *f = calloc(1, sizeof *f);
    if (f == NULL ||
        options->device->open(options->name, options->folder, &f->state, error) != TP_OK) {
        free(f);
        return NULL;
    }
    f->options = *options;
    memcpy(f->descriptors, tp_usb_device, TP_USB_DEVICE_BYTES);
    memcpy(f->descriptors + TP_USB_DEVICE_BYTES, tp_usb_configuration, TP_USB_CONFIGURATION_BYTES);
    if (options->version != 0) {
        f->descriptors[PROTOCOL_AT] = options->version;
    }
    if (options->subclass != 0) {
        f->descriptors[SUBCLASS_AT] = options->subclass;
    }
    return f;
}

void tp_usb_function_close(struct tp_usb_function *function)
{
    if (function != NULL) {
        function->options.device->close(function->state);
        free(function);
    }
}

const uint8_t *tp_usb_function_descriptors(const struct tp_usb_function *function, size_t *size)
{
    *size = DESCRIPTOR_BYTES;
    return function->descriptors;
}

// ---- control transfers ----

static int give(uint8_t *data, size_t room, const uint8_t *bytes, size_t size)
{
    size = size < room ? size : room;
    memcpy(data, bytes, size);
    return (int)size;
}

static int give_serial(const char *text, uint8_t *data, size_t room)
{
    uint8_t bytes[STRING_BYTES_MAX] = {0, TP_USB_DESCRIPTOR_TYPE_STRING};
    size_t size = 2;
    for (; *text != 0 && size + 2 <= STRING_BYTES_MAX; text++, size += 2) {
        bytes[size] = (uint8_t)*text;
        bytes[size + 1] = 0;
    }
    bytes[0] = (uint8_t)size;
    return give(data, room, bytes, size);
}

static int get_descriptor(const struct tp_usb_function *f, uint8_t type, uint8_t index,
                          uint8_t *data, size_t room)
{
    if (type == TP_USB_DESCRIPTOR_TYPE_DEVICE) {
        return give(data, room, f->descriptors, TP_USB_DEVICE_BYTES);
    }
    if (type == TP_USB_DESCRIPTOR_TYPE_CONFIGURATION) {
        return give(data, room, f->descriptors + TP_USB_DEVICE_BYTES, TP_USB_CONFIGURATION_BYTES);
    }
    if (type != TP_USB_DESCRIPTOR_TYPE_STRING) {
        return TP_FUNCTION_STALL;
    }
    switch (index) {
    case 0:
        return give(data, room, tp_usb_languages, TP_USB_LANGUAGES_BYTES);
    case TP_USB_STRING_MANUFACTURER:
        return give(data, room, tp_usb_manufacturer, TP_USB_MANUFACTURER_BYTES);
    case TP_USB_STRING_PRODUCT:
        return give(data, room, tp_usb_product_name, TP_USB_PRODUCT_NAME_BYTES);
    case TP_USB_STRING_SERIAL:
        return give_serial(f->options.serial, data, room);
    default:
        return TP_FUNCTION_STALL;
    }
}

int tp_usb_function_control(struct tp_usb_function *f, const uint8_t setup[8], uint8_t *data,
                            size_t room)
{
    switch (setup[0] << 8 | setup[1]) {
    case GET_DESCRIPTOR:
        return get_descriptor(f, setup[3], setup[2], data, room);
    case SET_CONFIGURATION:
    case SET_INTERFACE:
        f->is_in_halted = false;
        f->is_out_halted = false;
        return 0;
    case CLEAR_HALT:
        *(setup[4] == TP_USB_ENDPOINT_IN ? &f->is_in_halted : &f->is_out_halted) = false;
        return 0;
    case LINK:
        if (f->options.is_ignorant) {
            return TP_FUNCTION_STALL;
        }
        f->is_open = setup[2] == TP_USB_LINK_OPEN;
        f->out_count = 0;
        f->in_count = 0;
        f->was_full = false;
        return 0;
    default:
        return TP_FUNCTION_STALL;
    }
}

// ---- packets ----

bool tp_usb_function_has_in(const struct tp_usb_function *f)
{
    return f->is_open && (f->in_count != 0 || f->was_full);
}

void tp_usb_function_halt(struct tp_usb_function *f, uint8_t endpoint)
{
    *(endpoint == TP_USB_ENDPOINT_IN ? &f->is_in_halted : &f->is_out_halted) = true;
}

int tp_usb_function_out(struct tp_usb_function *f, const uint8_t *packet, size_t size)
{
    if (f->is_out_halted) {
        return TP_FUNCTION_STALL;
    }
    if (!f->is_open || size > BUFFER_BYTES - f->out_count) {
        return TP_FUNCTION_NAK;
    }
    memcpy(f->out + f->out_count, packet, size);
    f->out_count += size;
    return (int)size;
}

int tp_usb_function_in(struct tp_usb_function *f, uint8_t *packet, size_t max)
{
    if (f->is_in_halted) {
        return TP_FUNCTION_STALL;
    }
    if (!tp_usb_function_has_in(f)) {
        return TP_FUNCTION_NAK;
    }
    size_t size = f->in_count < max ? f->in_count : max;
    f->was_full = size == TP_USB_PACKET_BYTES;
    memcpy(packet, f->in, size);
    f->in_count -= size;
    memmove(f->in, f->in + size, f->in_count);
    return (int)size;
}

// Puts the device's bytes into the buffer, frame by frame where they are tampered with.
static void queue_in(struct tp_usb_function *f, const uint8_t *bytes, size_t count)
{
    struct tp_frame frame;
    for (size_t i = 0; i < count; i++) {
        if (f->options.tamper == NULL) {
            f->in[f->in_count++] = bytes[i];
        } else if (tp__frame_decode(&f->decoder, bytes[i], &frame)) {
            f->options.tamper(&frame);
            f->in_count += tp__frame_encode(&frame, f->in + f->in_count);
        }
    }
}

bool tp_usb_function_run(struct tp_usb_function *f)
{
    uint8_t bytes[TP_USB_PACKET_BYTES];
    size_t taken = 0;
    size_t got = 0;
    size_t room = f->in_count < BUFFER_BYTES ? BUFFER_BYTES - f->in_count : 0;
    room = room < sizeof bytes ? room : sizeof bytes;
    // A closed link holds the device's streams.
    if (!f->is_open || f->options.device->exchange(f->state, f->out, f->out_count, &taken, bytes,
                                                   room, &got, NULL) != TP_OK) {
        return false;
    }
    f->out_count -= taken;
    memmove(f->out, f->out + taken, f->out_count);
    queue_in(f, bytes, got);
    return taken + got != 0;
}

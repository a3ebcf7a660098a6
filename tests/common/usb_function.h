// SPDX-License-Identifier: Apache-2.0
//
// The USB function of a board at the level of transactions: a control transfer, one OUT packet, one
// IN packet. Behind its endpoints are the byte streams of a device, the emulator or simulated RTL,
// with room for two packets each way. Every host that a test makes, URBs or lines, drives these
// calls; one thread at a time.

#ifndef TP_TEST_USB_FUNCTION_H
#define TP_TEST_USB_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "frame.h"
#include "tp_usb.h"

enum { TP_FUNCTION_NAK = -1, TP_FUNCTION_STALL = -2 };

struct tp_usb_function;

struct tp_usb_function_options {
    const struct tp_backend *device;  // whose streams are behind the endpoints
    const char *name;                 // of the device, and its folder, as for its open()
    const char *folder;
    const char *serial;
    uint8_t version;                         // of the link, in the descriptors; 0: the right one
    uint8_t subclass;                        // of the interface; 0: the right one
    bool is_ignorant;                        // knows no vendor request
    void (*tamper)(struct tp_frame *frame);  // changes frames for the host; NULL: none
};

/** NULL: the device cannot be opened, error says why. */
struct tp_usb_function *tp_usb_function_open(const struct tp_usb_function_options *options,
                                             struct tp_error *error);
void tp_usb_function_close(struct tp_usb_function *function);

/** Device and configuration descriptor, one behind the other. */
const uint8_t *tp_usb_function_descriptors(const struct tp_usb_function *function, size_t *size);

/** A control transfer. data holds or receives `room` bytes at most. Returns the count or STALL. */
int tp_usb_function_control(struct tp_usb_function *function, const uint8_t setup[8], uint8_t *data,
                            size_t room);

/** One OUT packet. Returns its size, NAK or STALL. */
int tp_usb_function_out(struct tp_usb_function *function, const uint8_t *packet, size_t size);

/** One IN packet of at most max bytes. Returns its size, NAK or STALL. */
int tp_usb_function_in(struct tp_usb_function *function, uint8_t *packet, size_t max);

/** Whether an IN packet waits for the host: bytes, or an empty one after a full one, which tells
 *  that there are no more. */
bool tp_usb_function_has_in(const struct tp_usb_function *function);

/** Halts an endpoint until the host clears it. */
void tp_usb_function_halt(struct tp_usb_function *function, uint8_t endpoint);

/** Lets the device work; false when no byte moved. */
bool tp_usb_function_run(struct tp_usb_function *function);

#endif

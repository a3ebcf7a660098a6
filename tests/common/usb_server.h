// SPDX-License-Identifier: Apache-2.0
//
// Boards on an emulated USB: answers the usbdevfs calls of an unmodified libusb, live, in a test
// bed of umockdev. A board is a tp_usb_function; the server moves its packets, and injects one
// fault.
//
// Programs that shall see the boards are started after the server, as threads or as children.

#ifndef TP_TEST_USB_SERVER_H
#define TP_TEST_USB_SERVER_H

#include "usb_function.h"

struct tp_usb_server;
struct tp_usb_port;

/** Starts the program again with the preload library of umockdev, unless it has it. First of all.
 */
void tp_usb_server_preload(void);

struct tp_usb_server *tp_usb_server_start(void);
/** Unplugs everything. */
void tp_usb_server_stop(struct tp_usb_server *server);

struct tp_usb_plug {
    struct tp_usb_function_options function;
    const char *place;   // "1-1": bus and port
    bool is_forbidden;   // the user may not open it
    bool is_claimed;     // another program has its interface
    bool is_unanswered;  // vendor requests are never completed
};

/** Plugs a board in. Aborts the test when its device cannot be opened. */
struct tp_usb_port *tp_usb_server_plug(struct tp_usb_server *server,
                                       const struct tp_usb_plug *plug);
/** Does nothing when it was unplugged before. */
void tp_usb_server_unplug(struct tp_usb_port *port);

enum tp_usb_fault {
    TP_USB_NO_FAULT,
    TP_USB_STALL,           // the endpoint halts, no byte is lost
    TP_USB_STALL_FOREVER,   // and again after each time that it is cleared
    TP_USB_SHORT,           // IN: one byte, then a packet of none; the rest comes after that
    TP_USB_LATE,            // NAK for a while
    TP_USB_SILENT,          // no handshake: the transfer ends with an error, no byte is lost
    TP_USB_SILENT_FOREVER,  // likewise every transfer from then on
    TP_USB_LOST_ACK,        // a packet arrives, the transfer ends with an error that hides it
    TP_USB_LOST,            // a packet vanishes
    TP_USB_DOUBLED,         // a packet arrives twice
    TP_USB_FLIPPED,         // a bit of a packet is wrong
    TP_USB_BABBLE,          // IN: a packet is too large and lost
    TP_USB_BABBLE_FOREVER,
    TP_USB_CANCEL,  // the system ends a transfer early
    TP_USB_UNPLUG,
    TP_USB_HOOK,  // calls a function of the test
    TP_USB_FAULTS
};

/** Arms a fault for the bulk transfer of that number, of those that move bytes from now on, 0
 *  first, and forgets an older one. NO_FAULT only counts. hook is called by the board's thread. */
void tp_usb_server_fault(struct tp_usb_port *port, enum tp_usb_fault fault, uint32_t transfer,
                         void (*hook)(void *user), void *user);

/** Whether the armed fault was injected. */
bool tp_usb_server_injected(struct tp_usb_port *port);

/** Bulk transfers that have moved bytes since the last tp_usb_server_fault. */
uint32_t tp_usb_server_transfers(struct tp_usb_port *port);

/** OUT transfers that were submitted behind others though their last packet is not full. */
uint32_t tp_usb_server_gaps(struct tp_usb_port *port);

/** Name of a fault. */
const char *tp_usb_fault_name(enum tp_usb_fault fault);

#endif

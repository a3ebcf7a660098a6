// SPDX-License-Identifier: Apache-2.0
//
// Boards on USB, for lists of devices.

#ifndef TP_USB_BACKEND_H
#define TP_USB_BACKEND_H

#include <stddef.h>

struct tp_usb_board {
    char name[64];   // what tp_device_open takes
    char text[128];  // where it is, and what keeps it from being opened
};

/** Lists the boards that are plugged in, without saying hello to them, so that a program that uses
 *  one is not disturbed. 0 where USB cannot be used.
 *  out    boards [min(max, count)]
 *  Returns the count. */
size_t tp__usb_boards(struct tp_usb_board *boards, size_t max);

#endif

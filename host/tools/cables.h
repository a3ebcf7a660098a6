// SPDX-License-Identifier: Apache-2.0
//
// USB cables of boards, as the kernel lists them.

#ifndef TP_TOOLS_CABLES_H
#define TP_TOOLS_CABLES_H

#include "common.h"

enum { CABLES_MAX = 16, CABLE_TEXT_BYTES = 128 };

/** What is plugged in: US1 of a ULX3S is a bridge FT231X, US2 our own device. */
enum cable_kind { CABLE_BRIDGE, CABLE_DEVICE };

struct cable {
    char place[CABLE_TEXT_BYTES];    // "1-2"
    char serial[CABLE_TEXT_BYTES];   // may be empty, as the next two
    char product[CABLE_TEXT_BYTES];  // "ULX3S FPGA 85K v3.0.8"
    char tty[CABLE_TEXT_BYTES];      // "/dev/ttyUSB0"; empty while no serial driver holds it
    char node[CABLE_TEXT_BYTES];     // "/dev/bus/usb/001/004"
    bool may_open;                   // this user may open the node
};

/** Lists the cables of a kind.
 *  out    cables  [min(CABLES_MAX, count)]
 *  Returns the count. */
size_t cable_list(enum cable_kind kind, struct cable *cables);

/** Chooses the bridge of --cable, or the only one.
 *  out    text  where it returns false: one line that says why there is none, and what to do
 */
bool cable_choose(const struct options *options, struct cable *cable, char *text, size_t size);

/** The name of the device at the end of the cables: "usb" when it is plugged in itself, else the
 *  serial line of the bridge. False: there is none now.
 *  in     bridge  may be NULL;  has_usb  false: the board's bitstream has the serial line alone, so
 *         what is on USB is another board
 */
bool cable_find_device(const struct cable *bridge, bool has_usb, char name[TP_DEVICE_NAME_BYTES]);

#endif

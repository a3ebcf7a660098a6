// SPDX-License-Identifier: Apache-2.0
//
// The serial ports of this machine behind which a board may be.

#ifndef TP_BACKEND_SERIAL_PORTS_H
#define TP_BACKEND_SERIAL_PORTS_H

#include <stddef.h>

#define TP_SYSTEM_PORTS "/sys/class/tty"

enum { TP_PORT_NAME_BYTES = 32, TP_PORT_TEXT_BYTES = 96 };

struct tp_serial_port {
    char name[TP_PORT_NAME_BYTES];  // in /dev, "ttyUSB0"
    char text[TP_PORT_TEXT_BYTES];  // what the bridge says that it is
};

/** Lists the ports with the bridge of a ULX3S, an FT231X, in the order of their names. Nothing is
 *  opened: another program may be using them.
 *  in     folder  TP_SYSTEM_PORTS, or one like it
 *  out    ports [min(max, count)]
 *  Returns the count. */
size_t tp__serial_ports(const char *folder, struct tp_serial_port *ports, size_t max);

#endif

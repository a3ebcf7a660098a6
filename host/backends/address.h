// SPDX-License-Identifier: Apache-2.0
//
// Network addresses: HOST:PORT, with HOST a name, an IPv4 address or an IPv6 address in brackets.

#ifndef TP_BACKEND_ADDRESS_H
#define TP_BACKEND_ADDRESS_H

#include <netdb.h>
#include <stdbool.h>

#include "error.h"

enum { TP_HOST_BYTES = 256, TP_PORT_BYTES = 6 };

/** Takes "HOST:PORT" apart. False: it is not of that form, or the port is above 65535. */
bool tp__address_split(const char *address, char host[TP_HOST_BYTES], char port[TP_PORT_BYTES]);

/** The socket addresses of "HOST:PORT".
 *  in     flags  AI_PASSIVE of getaddrinfo, or 0
 *  owns   the caller; freeaddrinfo
 *  error  TP_ERROR_INVALID    not of that form
 *         TP_ERROR_NOT_FOUND  no such host */
TP_MUST_USE tp_status tp__address_resolve(const char *address, int flags, struct addrinfo **list,
                                          struct tp_error *error);

/** A socket of a device or of its client: bytes go out at once, calls do not block, and a machine
 *  that has vanished ends the connection. False: it is no socket. */
bool tp__address_prepare(int descriptor);

#endif

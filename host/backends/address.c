// SPDX-License-Identifier: Apache-2.0
//
// Network addresses, and the settings of a connection.

#define _DEFAULT_SOURCE  // TCP_KEEPIDLE and its like

#include "address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// A machine that says nothing for 15 s is asked three times whether it is there.
enum { IDLE_S = 15, INTERVAL_S = 5, PROBES = 3, PORT_MAX = 65535 };

bool tp__address_split(const char *address, char host[TP_HOST_BYTES], char port[TP_PORT_BYTES])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL) {
        return false;
    }
    const char *first = address;
    size_t size = (size_t)(colon - address);
    bool has_brackets = size >= 2 && address[0] == '[' && colon[-1] == ']';
    if (has_brackets) {
        first++;
        size -= 2;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    bool is_port = digits != 0 && digits < TP_PORT_BYTES && colon[1 + digits] == 0 &&
                   strtol(colon + 1, NULL, 10) <= PORT_MAX;
    bool is_host =
        size != 0 && size < TP_HOST_BYTES && (has_brackets || memchr(address, ':', size) == NULL);
    if (!is_port || !is_host) {
        return false;
    }
    memcpy(host, first, size);
    host[size] = 0;
    memcpy(port, colon + 1, digits + 1);
    return true;
}

tp_status tp__address_resolve(const char *address, int flags, struct addrinfo **list,
                              struct tp_error *error)
{
    char host[TP_HOST_BYTES];
    char port[TP_PORT_BYTES];
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    if (!tp__address_split(address, host, port)) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tcp:%s: an address is HOST:PORT or [IPV6]:PORT - try: tcp:127.0.0.1:7000",
                        address);
    }
    int failure = getaddrinfo(host, port, &wanted, list);
    if (failure != 0) {
        return tp__fail(error, TP_ERROR_NOT_FOUND, "tcp:%s: the host cannot be found: %s", address,
                        gai_strerror(failure));
    }
    return TP_OK;
}

bool tp__address_prepare(int descriptor)
{
    const struct {
        int level;
        int name;
        int value;
    } settings[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                    {SOL_SOCKET, SO_KEEPALIVE, 1},
                    {IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S},
                    {IPPROTO_TCP, TCP_KEEPINTVL, INTERVAL_S},
                    {IPPROTO_TCP, TCP_KEEPCNT, PROBES}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (setsockopt(descriptor, settings[i].level, settings[i].name, &settings[i].value,
                       sizeof settings[i].value) != 0) {
            return false;
        }
    }
    return fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// A device behind a TCP connection: what `tokproc simulate --listen` serves (lib/server.c).
//
// Names: HOST:PORT, see address.h.

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "backend.h"
#include "descriptor.h"
#include "stream_message.h"

enum { CONNECT_SECONDS = 5 };

struct connection {
    int descriptor;
    bool has_heard;  // a byte of the device
    char address[TP_HOST_BYTES + TP_PORT_BYTES + 3];
};

static void tcp_close(void *state)
{
    struct connection *c = state;
    if (c != NULL) {
        (void)close(c->descriptor);
        free(c);
    }
}

// Connects to one address. Returns 0 and the socket, or the number of the error.
static int connect_to(const struct addrinfo *address, int *descriptor)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    int made = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (made < 0) {
        return errno;
    }
    if (!tp__address_prepare(made) ||
        (connect(made, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)) {
        failure = errno;
    } else {
        struct pollfd waiting = {.fd = made, .events = POLLOUT};
        int ready = poll(&waiting, 1, 1000 * CONNECT_SECONDS);
        if (ready == 0) {
            failure = ETIMEDOUT;
        } else if (ready < 0 || getsockopt(made, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
            failure = errno;
        }
    }
    if (failure != 0) {
        (void)close(made);
        return failure;
    }
    *descriptor = made;
    return 0;
}

static tp_status explain(int failure, const char *name, struct tp_error *error)
{
    switch (failure) {
    case ECONNREFUSED:
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "tcp:%s: no simulated device listens there - try: tokproc simulate "
                        "--listen %s",
                        name, name);
    case ETIMEDOUT:
        return tp__fail(
            error, TP_ERROR_TIMEOUT,
            "tcp:%s: no answer in %d s - is the machine there, and no firewall between?", name,
            CONNECT_SECONDS);
    default:
        return tp__fail(error, TP_ERROR_DEVICE, "tcp:%s cannot be reached: %s", name,
                        strerror(failure));
    }
}

static tp_status connect_by_name(const char *name, int *descriptor, struct tp_error *error)
{
    struct addrinfo *list = NULL;
    int failure = 0;
    tp_status status = tp__address_resolve(name, 0, &list, error);
    if (status != TP_OK) {
        return status;
    }
    for (const struct addrinfo *address = list; address != NULL; address = address->ai_next) {
        failure = connect_to(address, descriptor);
        if (failure == 0) {
            break;
        }
    }
    freeaddrinfo(list);
    return failure == 0 ? TP_OK : explain(failure, name, error);
}

static tp_status tcp_open(const char *name, const char *folder, void **state,
                          struct tp_error *error)
{
    (void)folder;
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "tcp:%s: no memory for a connection", name);
    }
    tp_status status = connect_by_name(name, &c->descriptor, error);
    if (status != TP_OK) {
        free(c);
        return status;
    }
    memcpy(c->address, name, strlen(name));
    *state = c;
    return TP_OK;
}

static tp_status tcp_exchange(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                              uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *error)
{
    struct connection *c = state;
    bool is_there =
        tp__descriptor_exchange(c->descriptor, out, out_count, out_taken, in, in_max, in_count);
    c->has_heard = c->has_heard || *in_count != 0;
    if (is_there) {
        return TP_OK;
    }
    if (c->has_heard) {
        return tp__fail(error, TP_ERROR_DEVICE,
                        "tcp:%s: the device is gone: the connection was closed", c->address);
    }
    return tp__fail(error, TP_ERROR_BUSY,
                    "tcp:%s: the device is busy with another program, so it closed the connection "
                    "at once",
                    c->address);
}

// ---- the configuration port ----

tp_status tp__tcp_configure(const char *address, const uint8_t *bytes, size_t size,
                            const char *name, uint32_t *fault, uint32_t *block_rams,
                            struct tp_error *error)
{
    struct tp_stream_answer answer;
    int descriptor = -1;
    *fault = 0;
    *block_rams = 0;
    tp_status status = connect_by_name(address, &descriptor, error);
    if (status != TP_OK) {
        return status;
    }
    // A server that refuses early has answered, though not all was taken.
    (void)tp__message_send(descriptor, bytes, size, name);
    bool is_answered = tp__answer_take(descriptor, &answer);
    (void)close(descriptor);
    if (!is_answered) {
        return tp__fail(error, TP_ERROR_DEVICE,
                        "tcp:%s: the connection ended before the bitstream was answered: that may "
                        "be no simulated device, or one of another version",
                        address);
    }
    *fault = answer.fault;
    *block_rams = answer.block_rams;
    return answer.status == TP_OK ? TP_OK : tp__fail(error, answer.status, "%s", answer.text);
}

static tp_status tcp_configure(void *state, const uint8_t *bytes, size_t size, const char *name,
                               uint32_t *fault, uint32_t *block_rams, struct tp_error *error)
{
    const struct connection *c = state;
    return tp__tcp_configure(c->address, bytes, size, name, fault, block_rams, error);
}

const struct tp_backend tp__backend_tcp = {
    .kind = "tcp",
    .is_persistent = true,
    .open = tcp_open,
    .close = tcp_close,
    .exchange = tcp_exchange,
    .configure = tcp_configure,
};

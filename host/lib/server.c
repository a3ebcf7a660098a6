// SPDX-License-Identifier: Apache-2.0
//
// A simulated device for other programs: bytes of the link between a back end and whoever has
// connected. It knows nothing of frames. Beside that it takes configuration streams, each on a
// connection of its own (backends/stream_message.h).
//
// A pseudo terminal stands for the wires of a serial port: as a board, the device does not notice
// who opens the other end.

#define _GNU_SOURCE  // POLLRDHUP, pipe2, ptsname_r

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "address.h"
#include "configuration_port.h"
#include "descriptor.h"
#include "internal.h"
#include "stream_message.h"

enum { BUFFER_BYTES = 4096, CLIENTS_WAITING = 8 };

struct buffer {
    uint8_t bytes[BUFFER_BYTES];
    size_t count;
};

struct tp_server {
    const struct tp_backend *backend;
    void *state;  // of the back end
    char name[TP_DEVICE_NAME_BYTES];
    int stop[2];   // a pipe; readable: end
    int listener;  // -1: a pseudo terminal
    int client;    // -1: none
    int guest;     // a connection that has not said yet what it wants, or -1
    struct tp_configuration_port port;
    int terminal;         // the end of the pseudo terminal that others open, or -1
    struct buffer sent;   // by the client
    struct buffer given;  // by the device
};

const char *tp_server_name(const tp_server *server)
{
    return server->name;
}

// ---- opening ----

static tp_status fail_io(const char *what, struct tp_error *error)
{
    return tp__fail(error, TP_ERROR_IO, "%s: %s", what, strerror(errno));
}

static tp_status open_terminal(tp_server *server, struct tp_error *error)
{
    char path[TP_DEVICE_NAME_BYTES / 2];
    struct termios settings;
    server->client = posix_openpt(O_RDWR | O_NOCTTY);
    if (server->client < 0 || grantpt(server->client) != 0 || unlockpt(server->client) != 0 ||
        ptsname_r(server->client, path, sizeof path) != 0 ||
        fcntl(server->client, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(server->client, F_SETFD, FD_CLOEXEC) != 0) {
        return fail_io("no pseudo terminal can be had", error);
    }
    // Held open: the wires stay when a client goes.
    server->terminal = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (server->terminal < 0 || tcgetattr(server->terminal, &settings) != 0) {
        return fail_io(path, error);
    }
    cfmakeraw(&settings);
    if (tcsetattr(server->terminal, TCSANOW, &settings) != 0) {
        return fail_io(path, error);
    }
    (void)snprintf(server->name, sizeof server->name, "serial:%s", path);
    return TP_OK;
}

static tp_status name_listener(tp_server *server, struct tp_error *error)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[TP_DEVICE_NAME_BYTES / 2];
    char port[TP_PORT_BYTES];
    if (getsockname(server->listener, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return fail_io("the address of a socket", error);
    }
    bool is_ipv6 = strchr(host, ':') != NULL;
    (void)snprintf(server->name, sizeof server->name, is_ipv6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host,
                   port);
    return TP_OK;
}

// Listens at one address. Returns 0 and the socket, or the number of the error.
static int listen_at(const struct addrinfo *address, int *listener)
{
    const int on = 1;
    int made = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (made < 0) {
        return errno;
    }
    if (!tp__address_prepare(made) ||
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(made, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(made, CLIENTS_WAITING) != 0) {
        int failure = errno;
        (void)close(made);
        return failure;
    }
    *listener = made;
    return 0;
}

static tp_status open_listener(tp_server *server, const char *address, struct tp_error *error)
{
    struct addrinfo *list = NULL;
    tp_status status = tp__address_resolve(address, AI_PASSIVE, &list, error);
    if (status != TP_OK) {
        return status;
    }
    int failure = 0;
    for (const struct addrinfo *a = list; a != NULL && server->listener < 0; a = a->ai_next) {
        failure = listen_at(a, &server->listener);
    }
    freeaddrinfo(list);
    if (server->listener >= 0) {
        return name_listener(server, error);
    }
    return failure == EADDRINUSE
               ? tp__fail(error, TP_ERROR_BUSY,
                          "%s: another program listens there - try: port 0, which is a free one",
                          address)
               : tp__fail(error, TP_ERROR_IO, "%s: cannot listen there: %s", address,
                          strerror(failure));
}

tp_status tp_server_open(tp_context *context, const char *device, const char *address,
                         tp_server **server, struct tp_error *error)
{
    const struct tp_backend *backend = NULL;
    const char *rest = NULL;
    if (context == NULL || device == NULL || server == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_server_open: an argument is NULL");
    }
    tp_status status = tp__backend_find(device, &backend, &rest, error);
    if (status != TP_OK) {
        return status;
    }
    if (backend->has_work == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "%s is not a simulated device - try: emu, or sim",
                        device);
    }
    tp_server *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a server");
    }
    made->backend = backend;
    made->stop[0] = made->stop[1] = made->listener = made->client = made->terminal = made->guest =
        -1;
    status = pipe2(made->stop, O_CLOEXEC | O_NONBLOCK) != 0 ? fail_io("no pipe can be had", error)
             : address != NULL                              ? open_listener(made, address, error)
                                                            : open_terminal(made, error);
    if (status == TP_OK) {
        status = backend->open(rest, context->device_folder, &made->state, error);
    }
    if (status != TP_OK) {
        tp_server_close(made);
        return status;
    }
    *server = made;
    return TP_OK;
}

void tp_server_close(tp_server *server)
{
    if (server == NULL) {
        return;
    }
    const int descriptors[] = {server->stop[0], server->stop[1],  server->listener,
                               server->client,  server->terminal, server->guest};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
        if (descriptors[i] >= 0) {
            (void)close(descriptors[i]);
        }
    }
    server->backend->close(server->state);
    tp__port_free(&server->port);
    free(server);
}

tp_status tp_server_boot(tp_server *server, const struct tp_boot_options *options,
                         const char **fault, struct tp_error *error)
{
    const char *unused;
    struct tp_bytes bytes;
    enum tp_stream_fault found = TP_FAULT_NONE;
    fault = fault != NULL ? fault : &unused;
    *fault = tp__stream_fault_name(found);
    if (server == NULL || options == NULL || options->bits == NULL || options->map == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_server_boot: an argument is NULL");
    }
    tp_status status = tp__file_read(options->bits, TP_STREAM_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    server->port.backend = server->backend;
    server->port.state = server->state;
    status = tp__port_boot(&server->port, options->map, bytes.data, bytes.size,
                           tp__short_name(options->bits), &found, error);
    *fault = tp__stream_fault_name(found);
    tp__bytes_free(&bytes);
    return status;
}

tp_status tp_server_send_bitstream(const char *name, const char *path, const char **fault,
                                   uint32_t *block_rams, struct tp_error *error)
{
    static const char kind[] = "tcp:";
    const char *unused;
    struct tp_bytes bytes;
    uint32_t found = TP_FAULT_NONE;
    fault = fault != NULL ? fault : &unused;
    *fault = tp__stream_fault_name(TP_FAULT_NONE);
    if (name == NULL || path == NULL || block_rams == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_server_send_bitstream: an argument is NULL");
    }
    *block_rams = 0;
    if (strncmp(name, kind, sizeof kind - 1) != 0) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s is no device that `tokproc simulate --listen` serves - try: tcp:HOST:"
                        "PORT; for a board: tokproc flash --partial",
                        name);
    }
    tp_status status = tp__file_read(path, TP_STREAM_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__tcp_configure(name + sizeof kind - 1, bytes.data, bytes.size, tp__short_name(path),
                               &found, block_rams, error);
    *fault = tp__stream_fault_name(found);
    tp__bytes_free(&bytes);
    return status;
}

// ---- serving ----

void tp_server_stop(tp_server *server)
{
    int failure = errno;
    ssize_t done = write(server->stop[1], "", 1);
    (void)done;  // a full pipe says it already
    errno = failure;
}

static void forget(struct buffer *buffer, size_t count)
{
    buffer->count -= count;
    memmove(buffer->bytes, buffer->bytes + count, buffer->count);
}

// The device keeps its state, which is for the next client to set right (docs/link.md).
static void drop_client(tp_server *server)
{
    (void)close(server->client);
    server->client = -1;
    server->sent.count = 0;
    server->given.count = 0;
}

static void receive(tp_server *server)
{
    struct buffer *sent = &server->sent;
    size_t count = 0;
    if (tp__descriptor_read(server->client, sent->bytes + sent->count, BUFFER_BYTES - sent->count,
                            &count)) {
        sent->count += count;
    } else {
        drop_client(server);
    }
}

// A client that has left may have bytes behind that the device has not taken yet: they shall not
// keep the next one away.
static bool has_left(int client)
{
    struct pollfd state = {.fd = client, .events = POLLRDHUP};
    return poll(&state, 1, 0) == 1;
}

static void take_stream(tp_server *server, const struct tp_stream_message *message,
                        struct tp_stream_answer *answer)
{
    enum tp_stream_fault fault = TP_FAULT_NOT_QUIESCENT;
    struct tp_error error = {.status = TP_OK};
    if (server->sent.count != 0) {
        answer->status =
            tp__fail(&error, TP_ERROR_BUSY,
                     "%s: frames of another program are on their way to the device", message->name);
    } else {
        answer->status = tp__port_take(&server->port, message->bytes, message->size, message->name,
                                       &fault, &answer->block_rams, &error);
    }
    answer->fault = fault;
    memcpy(answer->text, error.text, sizeof answer->text);
}

// A configuration stream, from its first byte to the answer. The device stands still meanwhile.
static void serve_stream(tp_server *server, int guest)
{
    struct tp_stream_message message;
    struct tp_stream_answer answer = {.status = TP_OK};
    if (tp__message_take(guest, &message)) {
        take_stream(server, &message, &answer);
        (void)tp__answer_send(guest, &answer);
        tp__message_free(&message);
    }
}

// A program that wants the link.
static void admit(tp_server *server, int client)
{
    bool is_free = server->client < 0 || has_left(server->client);
#ifdef TP_PLANT_BUG
    is_free = true;
#endif
    if (server->client >= 0 && is_free) {
        drop_client(server);
    }
    if (server->client >= 0) {
        (void)close(client);
        return;
    }
    server->client = client;
}

// A connection has said its first byte, or has ended.
static void hear_guest(tp_server *server)
{
    uint8_t first = 0;
    int guest = server->guest;
    server->guest = -1;
    if (recv(guest, &first, 1, MSG_PEEK) != 1) {
        (void)close(guest);
    } else if (first == TP_MESSAGE_FIRST) {
        serve_stream(server, guest);
        (void)close(guest);
    } else {
        admit(server, guest);
    }
}

// A connection that says nothing makes room for the next one.
static void welcome(tp_server *server)
{
    int guest = accept(server->listener, NULL, NULL);
    if (guest >= 0 && !tp__address_prepare(guest)) {
        (void)close(guest);
        return;
    }
    if (guest >= 0 && server->guest >= 0) {
        (void)close(server->guest);
    }
    server->guest = guest >= 0 ? guest : server->guest;
}

// Lets the device work. Out: whether it goes on without further bytes.
static tp_status work(tp_server *server, bool *goes_on, struct tp_error *error)
{
    struct buffer *sent = &server->sent;
    struct buffer *given = &server->given;
    size_t taken = 0;
    size_t got = 0;
    tp_status status = server->backend->exchange(server->state, sent->bytes, sent->count, &taken,
                                                 given->bytes + given->count,
                                                 BUFFER_BYTES - given->count, &got, error);
    if (status != TP_OK) {
        return status;
    }
    forget(sent, taken);
    given->count += got;
    *goes_on = taken != 0 || got != 0 || server->backend->has_work(server->state);
    if (!tp__descriptor_write(server->client, given->bytes, given->count, &got)) {
        drop_client(server);
        return TP_OK;
    }
    forget(given, got);
    return TP_OK;
}

tp_status tp_server_run(tp_server *server, struct tp_error *error)
{
    bool goes_on = false;
    if (server == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_server_run: server is NULL");
    }
    for (;;) {
        bool has_room = server->sent.count < BUFFER_BYTES;
        bool waits = server->given.count != 0;
        struct pollfd ends[] = {
            {.fd = server->stop[0], .events = POLLIN},
            {.fd = server->listener, .events = POLLIN},
            {.fd = server->client,
             .events = (short)((has_room ? POLLIN : 0) | (waits ? POLLOUT : 0))},
            {.fd = server->guest, .events = POLLIN},
        };
        // A device whose bytes nobody takes stands still.
        bool is_free = server->client >= 0 && server->given.count < BUFFER_BYTES;
        (void)poll(ends, sizeof ends / sizeof *ends, is_free && goes_on ? 0 : -1);
        if (ends[0].revents != 0) {
            return TP_OK;
        }
        if (ends[2].revents & (POLLIN | POLLHUP | POLLERR)) {
            receive(server);
        }
        if (ends[3].revents != 0) {
            hear_guest(server);
        } else if (ends[1].revents != 0) {
            welcome(server);
        }
        goes_on = false;
        if (server->client >= 0) {
            tp_status status = work(server, &goes_on, error);
            if (status != TP_OK) {
                return status;
            }
        }
    }
}

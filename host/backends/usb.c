// SPDX-License-Identifier: Apache-2.0
//
// A board on USB: two bulk endpoints that carry the bytes of the link (docs/link.md).
//
// Names: "" is the only board that is plugged in; else a serial number, or a place, BUS-PORT with
// the ports of hubs behind points ("1-4.2"), where boards have the same serial number.
//
// Each endpoint has a ring of transfers that are allocated at open. As many as possible fly, IN
// always all, so that the wire never waits for the host. They complete in the order in which they
// were submitted, inside exchange(), which is the only place that handles libusb's events. Each
// device has a libusb context of its own: devices share nothing.
//
// A transfer that fails stops its ring: the others are cancelled, the endpoint is reset
// (CLEAR_FEATURE(ENDPOINT_HALT)), and the ring goes on with the bytes that were not acknowledged.
// Host controllers do not count these exactly, so bytes may be lost or doubled: the frames and
// their repetition are there for that. A second failure before any transfer succeeds is final.

#include <libusb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "tp_map.h"
#include "tp_usb.h"
#include "usb.h"

enum {
    RING_MAX = 8,
    IN_TRANSFERS = 8,  // an event ends a transfer with a short packet, 19 of them a millisecond
    OUT_TRANSFERS = 4,
    TRANSFER_BYTES = 4096,  // whole packets, so that none is too large for what is left
    FAILURES_MAX = 1,       // in a row, of one endpoint
    BOARDS_MAX = 16,
    PORTS_MAX = 7,  // by the standard
    PLACE_BYTES = 32,
    SERIAL_BYTES = 48,
    LIST_BYTES = 256,
    DRAIN_READS_MAX = 64,
    // Wall-clock limits of a board; tp__time_scale() stretches them.
    WAIT_MS = 5,
    DRAIN_MS = 2,
    CONTROL_MS = 1000,
    CLOSE_MS = 1000
};

enum phase { AT_REST, FLYING, LANDED };

struct transfer {
    struct libusb_transfer *transfer;
    enum phase phase;
    size_t first;  // bytes before it were handed on (IN) or acknowledged (OUT)
    size_t end;    // of the bytes that are there
    uint8_t bytes[TRANSFER_BYTES];
};

/** Transfers of an endpoint; `used` of them from `first` on fly or hold bytes. */
struct ring {
    uint8_t endpoint;
    uint32_t count;
    uint32_t first;
    uint32_t used;
    bool is_stopping;  // one has failed: none is submitted until all have landed
    enum libusb_transfer_status failure;
    uint32_t failures;  // since a transfer succeeded
    struct transfer transfers[RING_MAX];
};

struct usb {
    libusb_context *context;
    libusb_device_handle *handle;
    bool is_claimed;
    bool is_gone;
    char name[SERIAL_BYTES + 8];
    struct ring out;
    struct ring in;
};

/** A board that is plugged in. */
struct board {
    libusb_device *device;
    uint32_t protocol;
    int access;  // 0, or why it cannot be opened, as a number of libusb
    char place[PLACE_BYTES];
    char serial[SERIAL_BYTES];  // empty when it cannot be read
};

// At least 1: for libusb 0 is without limit.
static unsigned int scaled_ms(int ms)
{
    return 1 + (unsigned int)((double)ms * tp__time_scale());
}

// ---- which boards there are ----

// The interface tells a board from other devices with the same test numbers.
static bool is_board(libusb_device *device, uint32_t *protocol)
{
    struct libusb_device_descriptor facts;
    struct libusb_config_descriptor *configuration = NULL;
    if (libusb_get_device_descriptor(device, &facts) != 0 || facts.idVendor != TP_USB_VENDOR ||
        facts.idProduct != TP_USB_PRODUCT ||
        libusb_get_config_descriptor(device, 0, &configuration) != 0) {
        return false;
    }
    bool is = false;
    if (configuration->bNumInterfaces > TP_USB_INTERFACE &&
        configuration->interface[TP_USB_INTERFACE].num_altsetting > 0) {
        const struct libusb_interface_descriptor *interface =
            &configuration->interface[TP_USB_INTERFACE].altsetting[0];
        is = interface->bInterfaceClass == TP_USB_INTERFACE_CLASS &&
             interface->bInterfaceSubClass == TP_USB_INTERFACE_SUBCLASS;
        *protocol = interface->bInterfaceProtocol;
    }
    libusb_free_config_descriptor(configuration);
    return is;
}

static void describe_place(libusb_device *device, char *place)
{
    uint8_t ports[PORTS_MAX];
    int count = libusb_get_port_numbers(device, ports, PORTS_MAX);
    int size = snprintf(place, PLACE_BYTES, "%d", libusb_get_bus_number(device));
    for (int i = 0; i < count; i++) {
        size += snprintf(place + size, (size_t)(PLACE_BYTES - size), "%c%d", i == 0 ? '-' : '.',
                         ports[i]);
    }
}

static void read_serial(struct board *board)
{
    struct libusb_device_descriptor facts;
    libusb_device_handle *handle = NULL;
    board->access = libusb_open(board->device, &handle);
    if (board->access == 0) {
        if (libusb_get_device_descriptor(board->device, &facts) == 0 && facts.iSerialNumber != 0) {
            (void)libusb_get_string_descriptor_ascii(handle, facts.iSerialNumber,
                                                     (unsigned char *)board->serial, SERIAL_BYTES);
        }
        libusb_close(handle);
    }
}

// The caller gives the boards to forget_boards.
static size_t find_boards(libusb_context *context, struct board *boards)
{
    libusb_device **list = NULL;
    ssize_t size = libusb_get_device_list(context, &list);
    size_t count = 0;
    for (ssize_t i = 0; i < size && count < BOARDS_MAX; i++) {
        struct board board = {.device = list[i]};
        if (is_board(board.device, &board.protocol)) {
            describe_place(board.device, board.place);
            read_serial(&board);
            (void)libusb_ref_device(board.device);
            boards[count++] = board;
        }
    }
    if (size >= 0) {
        libusb_free_device_list(list, 1);
    }
    return count;
}

static void forget_boards(struct board *boards, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        libusb_unref_device(boards[i].device);
    }
}

// The serial number where it tells the board from the others, else the place.
static const char *name_of(const struct board *boards, size_t count, const struct board *board)
{
    for (size_t i = 0; i < count; i++) {
        if (&boards[i] != board && strcmp(boards[i].serial, board->serial) == 0) {
            return board->place;
        }
    }
    return board->serial[0] != 0 ? board->serial : board->place;
}

static void list_names(const struct board *boards, size_t count, char *text)
{
    size_t size = 0;
    text[0] = 0;
    for (size_t i = 0; i < count && size < LIST_BYTES; i++) {
        size += (size_t)snprintf(text + size, LIST_BYTES - size, "%susb:%s", i == 0 ? "" : ", ",
                                 name_of(boards, count, &boards[i]));
    }
}

static tp_status no_permission(const char *place, struct tp_error *error)
{
    return tp__fail(error, TP_ERROR_DEVICE,
                    "the board at usb:%s may not be opened by this user: the udev rule "
                    "70-tokproc.rules is missing - try: sudo make install (or copy it to "
                    "/etc/udev/rules.d), sudo udevadm control --reload, plug the board in again",
                    place);
}

static tp_status no_match(const struct board *boards, size_t count, const char *name,
                          size_t matches, struct tp_error *error)
{
    char names[LIST_BYTES];
    list_names(boards, count, names);
    for (size_t i = 0; i < count; i++) {
        // It may be the one that is meant.
        if (boards[i].access == LIBUSB_ERROR_ACCESS) {
            return no_permission(boards[i].place, error);
        }
    }
    if (matches > 1) {
        return tp__fail(error, TP_ERROR_NOT_FOUND, "usb%s%s means %zu boards - try one of: %s",
                        name[0] == 0 ? "" : ":", name, matches, names);
    }
    return tp__fail(error, TP_ERROR_NOT_FOUND,
                    "no board on USB has the serial number or the place %s; there is %s", name,
                    names);
}

static tp_status choose_board(const struct board *boards, size_t count, const char *name,
                              const struct board **chosen, struct tp_error *error)
{
    size_t matches = 0;
    if (count == 0) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "no board was found on USB: it is not plugged in (the port of the FPGA, "
                        "not of the programmer), or not configured - try: tokproc flash");
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(boards[i].place, name) == 0) {
            *chosen = &boards[i];
            return TP_OK;
        }
        if (name[0] == 0 || strcmp(boards[i].serial, name) == 0) {
            *chosen = &boards[i];
            matches++;
        }
    }
    return matches == 1 ? TP_OK : no_match(boards, count, name, matches, error);
}

// ---- transfers ----

static void LIBUSB_CALL landed(struct libusb_transfer *transfer)
{
    struct transfer *t = transfer->user_data;
    t->phase = LANDED;
}

static struct transfer *at(struct ring *ring, uint32_t index)
{
    return &ring->transfers[(ring->first + index) % ring->count];
}

static bool is_empty(const struct transfer *t)
{
    return t->phase == AT_REST && t->first == t->end;
}

static tp_status unplugged(struct usb *u, struct tp_error *error)
{
    u->is_gone = true;
    return tp__fail(error, TP_ERROR_DEVICE, "%s was unplugged", u->name);
}

static tp_status submit(struct usb *u, struct ring *ring, struct transfer *t,
                        struct tp_error *error)
{
    bool is_out = ring == &u->out;
    libusb_fill_bulk_transfer(t->transfer, u->handle, ring->endpoint, t->bytes + t->first,
                              is_out ? (int)(t->end - t->first) : TRANSFER_BYTES, landed, t, 0);
    int result = libusb_submit_transfer(t->transfer);
    if (result == LIBUSB_ERROR_NO_DEVICE) {
        return unplugged(u, error);
    }
    if (result != 0) {
        return tp__fail(error, TP_ERROR_DEVICE, "%s: a transfer cannot be submitted: %s", u->name,
                        libusb_error_name(result));
    }
    t->phase = FLYING;
    return TP_OK;
}

static const char *failure_text(enum libusb_transfer_status status)
{
    switch (status) {
    case LIBUSB_TRANSFER_STALL:
        return "stalls";
    case LIBUSB_TRANSFER_OVERFLOW:
        return "sends packets that are too large";
    case LIBUSB_TRANSFER_CANCELLED:
    case LIBUSB_TRANSFER_COMPLETED:
        return "is cut short by the system";
    default:
        return "does not answer";
    }
}

static bool any_flying(const struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->transfers[i].phase == FLYING) {
            return true;
        }
    }
    return false;
}

static void cancel_all(struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->transfers[i].phase == FLYING) {
            (void)libusb_cancel_transfer(ring->transfers[i].transfer);
        }
    }
}

// Takes what a transfer brought that has landed; false when it failed.
static bool take_landed(struct ring *ring, struct transfer *t, bool is_out)
{
    size_t moved = (size_t)t->transfer->actual_length;
    bool is_short = is_out && moved < t->end - t->first;
    t->first += is_out ? moved : 0;
    t->end = is_out ? t->end : moved;
    if (t->transfer->status == LIBUSB_TRANSFER_COMPLETED && !is_short) {
        ring->failures = 0;
        return true;
    }
    return false;
}

// All have landed after a failure: goes on where the acknowledged bytes end.
static tp_status restart(struct usb *u, struct ring *ring, struct tp_error *error)
{
    tp_status status = TP_OK;
    if (ring->failures++ == FAILURES_MAX) {
        return tp__fail(error, TP_ERROR_DEVICE,
                        "%s: endpoint 0x%02x %s, also after it was reset - try: plug the board in "
                        "again",
                        u->name, ring->endpoint, failure_text(ring->failure));
    }
    int result = libusb_clear_halt(u->handle, ring->endpoint);
    if (result == LIBUSB_ERROR_NO_DEVICE) {
        return unplugged(u, error);
    }
    if (result != 0) {
        return tp__fail(error, TP_ERROR_DEVICE,
                        "%s: endpoint 0x%02x %s and cannot be reset (%s): was it unplugged?",
                        u->name, ring->endpoint, failure_text(ring->failure),
                        libusb_error_name(result));
    }
    ring->is_stopping = false;
    for (uint32_t i = 0; ring == &u->out && i < ring->used && status == TP_OK; i++) {
        status = is_empty(at(ring, i)) ? TP_OK : submit(u, ring, at(ring, i), error);
    }
    return status;
}

// Looks at the transfers that have landed since the last time.
static tp_status settle(struct usb *u, struct ring *ring, struct tp_error *error)
{
    for (uint32_t i = 0; i < ring->used; i++) {
        struct transfer *t = at(ring, i);
        if (t->phase != LANDED) {
            continue;
        }
        t->phase = AT_REST;
        if (t->transfer->status == LIBUSB_TRANSFER_NO_DEVICE) {
            return unplugged(u, error);
        }
        if (!take_landed(ring, t, ring == &u->out) && !ring->is_stopping) {
            ring->is_stopping = true;
            ring->failure = t->transfer->status;
            cancel_all(ring);
        }
    }
    return ring->is_stopping && !any_flying(ring) ? restart(u, ring, error) : TP_OK;
}

// Removes transfers from the front that have nothing left to do.
static void release_front(struct ring *ring)
{
    while (ring->used > 0 && is_empty(at(ring, 0))) {
        ring->first = (ring->first + 1) % ring->count;
        ring->used--;
    }
}

static tp_status send(struct usb *u, const uint8_t *out, size_t out_count, size_t *out_taken,
                      struct tp_error *error)
{
    struct ring *ring = &u->out;
    release_front(ring);
    while (*out_taken < out_count && ring->used < ring->count && !ring->is_stopping) {
        size_t left = out_count - *out_taken;
        size_t size = left < TRANSFER_BYTES ? left : TRANSFER_BYTES;
        // A packet that is not full waits for more bytes as long as the wire is busy without it.
        size -= ring->used > 0 ? size % TP_USB_PACKET_BYTES : 0;
        if (size == 0) {
            break;
        }
        struct transfer *t = at(ring, ring->used++);
        t->first = 0;
        t->end = size;
        memcpy(t->bytes, out + *out_taken, t->end);
        *out_taken += t->end;
        tp_status status = submit(u, ring, t, error);
        if (status != TP_OK) {
            return status;
        }
    }
    return TP_OK;
}

static tp_status receive(struct usb *u, uint8_t *in, size_t in_max, size_t *in_count,
                         struct tp_error *error)
{
    struct ring *ring = &u->in;
    release_front(ring);
    while (*in_count < in_max && ring->used > 0 && at(ring, 0)->phase == AT_REST) {
        struct transfer *t = at(ring, 0);
        size_t left = t->end - t->first;
        size_t count = left < in_max - *in_count ? left : in_max - *in_count;
        memcpy(in + *in_count, t->bytes + t->first, count);
        t->first += count;
        *in_count += count;
        release_front(ring);
    }
    while (ring->used < ring->count && !ring->is_stopping) {
        struct transfer *t = at(ring, ring->used++);
        t->first = 0;
        t->end = 0;
        tp_status status = submit(u, ring, t, error);
        if (status != TP_OK) {
            return status;
        }
    }
    return TP_OK;
}

static tp_status handle_events(struct usb *u, int wait_ms, struct tp_error *error)
{
    struct timeval time = {.tv_usec = wait_ms * 1000};
    int result = libusb_handle_events_timeout_completed(u->context, &time, NULL);
    if (u->is_gone) {
        return unplugged(u, error);
    }
    return result == 0 || result == LIBUSB_ERROR_INTERRUPTED
               ? TP_OK
               : tp__fail(error, TP_ERROR_DEVICE, "%s: the events of USB cannot be read: %s",
                          u->name, libusb_error_name(result));
}

static tp_status usb_exchange(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                              uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *error)
{
    struct usb *u = state;
    tp_status status = TP_OK;
    *out_taken = 0;
    *in_count = 0;
    // Waits only when nothing could be done at once.
    for (int pass = 0; pass < 2 && status == TP_OK && *out_taken + *in_count == 0; pass++) {
        status = handle_events(u, pass == 0 ? 0 : WAIT_MS, error);
        status = status == TP_OK ? settle(u, &u->in, error) : status;
        status = status == TP_OK ? settle(u, &u->out, error) : status;
        status = status == TP_OK ? send(u, out, out_count, out_taken, error) : status;
        status = status == TP_OK ? receive(u, in, in_max, in_count, error) : status;
    }
    return status;
}

// ---- opening and closing ----

static int request_link(struct usb *u, uint16_t value)
{
    return libusb_control_transfer(u->handle, TP_USB_REQUEST_TYPE_LINK, TP_USB_REQUEST_LINK, value,
                                   TP_USB_INTERFACE, NULL, 0, scaled_ms(CONTROL_MS));
}

static void land_all(struct usb *u)
{
    int rounds = (int)(scaled_ms(CLOSE_MS) / WAIT_MS) + 1;
    cancel_all(&u->in);
    cancel_all(&u->out);
    for (int i = 0; i < rounds && (any_flying(&u->in) || any_flying(&u->out)); i++) {
        struct timeval time = {.tv_usec = WAIT_MS * 1000};
        (void)libusb_handle_events_timeout_completed(u->context, &time, NULL);
    }
}

static void free_transfers(struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        libusb_free_transfer(ring->transfers[i].transfer);
    }
}

static void usb_close(void *state)
{
    struct usb *u = state;
    if (u == NULL) {
        return;
    }
    if (u->is_claimed) {
        land_all(u);
        if (!u->is_gone) {
            (void)request_link(u, TP_USB_LINK_CLOSE);
        }
        (void)libusb_release_interface(u->handle, TP_USB_INTERFACE);
    }
    if (u->handle != NULL) {
        libusb_close(u->handle);
    }
    // Whatever the system did not give back in time is no longer its after the close.
    free_transfers(&u->in);
    free_transfers(&u->out);
    if (u->context != NULL) {
        libusb_exit(u->context);
    }
    free(u);
}

static int LIBUSB_CALL note_left(libusb_context *context, libusb_device *device,
                                 libusb_hotplug_event event, void *user)
{
    struct usb *u = user;
    (void)context;
    (void)event;
    u->is_gone = u->is_gone || device == libusb_get_device(u->handle);
    return 0;
}

static tp_status allocate(struct ring *ring, uint8_t endpoint, uint32_t count,
                          struct tp_error *error)
{
    ring->endpoint = endpoint;
    ring->count = count;
    for (uint32_t i = 0; i < count; i++) {
        ring->transfers[i].transfer = libusb_alloc_transfer(0);
        if (ring->transfers[i].transfer == NULL) {
            return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for transfers on USB");
        }
    }
    return TP_OK;
}

// What the last program left in the endpoints; a device that still runs may send on for ever.
static void drain(struct usb *u)
{
    int count = 0;
    for (int i = 0; i < DRAIN_READS_MAX; i++) {
        if (libusb_bulk_transfer(u->handle, TP_USB_ENDPOINT_IN, u->in.transfers[0].bytes,
                                 TRANSFER_BYTES, &count, scaled_ms(DRAIN_MS)) != 0) {
            return;
        }
    }
}

static tp_status open_link(struct usb *u, struct tp_error *error)
{
    int result = libusb_clear_halt(u->handle, TP_USB_ENDPOINT_IN);
    result = result == 0 ? libusb_clear_halt(u->handle, TP_USB_ENDPOINT_OUT) : result;
    result = result == 0 ? request_link(u, TP_USB_LINK_OPEN) : result;
    switch (result) {
    case 0:
        drain(u);
        return TP_OK;
    case LIBUSB_ERROR_NO_DEVICE:
        return unplugged(u, error);
    case LIBUSB_ERROR_PIPE:
        return tp__fail(error, TP_ERROR_DEVICE,
                        "%s does not know the request that opens the link - try: tokproc flash",
                        u->name);
    default:
        return tp__fail(error, result == LIBUSB_ERROR_TIMEOUT ? TP_ERROR_TIMEOUT : TP_ERROR_DEVICE,
                        "%s does not answer (%s) - try: plug the board in again", u->name,
                        libusb_error_name(result));
    }
}

static tp_status claim(struct usb *u, const struct board *board, struct tp_error *error)
{
    int result = libusb_open(board->device, &u->handle);
    result = result == 0 ? libusb_claim_interface(u->handle, TP_USB_INTERFACE) : result;
    switch (result) {
    case 0:
        u->is_claimed = true;
        return TP_OK;
    case LIBUSB_ERROR_ACCESS:
        return no_permission(board->place, error);
    case LIBUSB_ERROR_BUSY:
        return tp__fail(error, TP_ERROR_BUSY, "%s is in use by another program", u->name);
    case LIBUSB_ERROR_NO_DEVICE:
        return unplugged(u, error);
    default:
        return tp__fail(error, TP_ERROR_DEVICE, "%s cannot be opened: %s", u->name,
                        libusb_error_name(result));
    }
}

static tp_status open_board(struct usb *u, const char *name, struct tp_error *error)
{
    struct board boards[BOARDS_MAX];
    const struct board *chosen = NULL;
    size_t count = find_boards(u->context, boards);
    tp_status status = choose_board(boards, count, name, &chosen, error);
    if (status == TP_OK) {
        (void)snprintf(u->name, sizeof u->name, "usb:%s", name_of(boards, count, chosen));
        status = chosen->protocol == TP_PROTOCOL_VERSION
                     ? claim(u, chosen, error)
                     : tp__fail(error, TP_ERROR_DEVICE,
                                "%s speaks version %u of the link, this library version %u - try: "
                                "tokproc flash, with a bitstream of this version",
                                u->name, (unsigned)chosen->protocol, (unsigned)TP_PROTOCOL_VERSION);
    }
    forget_boards(boards, count);
    return status;
}

static tp_status usb_open(const char *name, const char *folder, void **state,
                          struct tp_error *error)
{
    (void)folder;
    struct usb *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a device on USB");
    }
    int result = libusb_init(&u->context);
    tp_status status = TP_OK;
    if (result != 0) {
        status = tp__fail(error, TP_ERROR_DEVICE, "USB cannot be used here: %s",
                          libusb_error_name(result));
    }
    status = status == TP_OK ? open_board(u, name, error) : status;
    status = status == TP_OK ? allocate(&u->in, TP_USB_ENDPOINT_IN, IN_TRANSFERS, error) : status;
    status =
        status == TP_OK ? allocate(&u->out, TP_USB_ENDPOINT_OUT, OUT_TRANSFERS, error) : status;
    status = status == TP_OK ? open_link(u, error) : status;
    if (status != TP_OK) {
        usb_close(u);
        return status;
    }
    // Some host controllers report a board that is gone as one that does not answer.
    (void)libusb_hotplug_register_callback(u->context, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, 0,
                                           TP_USB_VENDOR, TP_USB_PRODUCT, LIBUSB_HOTPLUG_MATCH_ANY,
                                           note_left, u, NULL);
    *state = u;
    return TP_OK;
}

size_t tp__usb_boards(struct tp_usb_board *list, size_t max)
{
    struct board boards[BOARDS_MAX];
    libusb_context *context = NULL;
    if (libusb_init(&context) != 0) {
        return 0;
    }
    size_t count = find_boards(context, boards);
    for (size_t i = 0; i < count && i < max; i++) {
        const struct board *board = &boards[i];
        (void)snprintf(list[i].name, sizeof list[i].name, "usb:%s", name_of(boards, count, board));
        (void)snprintf(list[i].text, sizeof list[i].text, "a board at %s, link version %u%s",
                       board->place, (unsigned)board->protocol,
                       board->access == 0                     ? ""
                       : board->access == LIBUSB_ERROR_ACCESS ? ", no permission to open it"
                                                              : ", it cannot be opened");
    }
    forget_boards(boards, count);
    libusb_exit(context);
    return count;
}

const struct tp_backend tp__backend_usb = {
    .kind = "usb",
    .is_persistent = true,
    .patience_s = 0.25,
    .frames_max = 32,  // of 265 bytes at 1.2 MB/s 7 ms, some times the way there and back
    .open = usb_open,
    .close = usb_close,
    .exchange = usb_exchange,
};

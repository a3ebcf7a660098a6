// SPDX-License-Identifier: Apache-2.0
//
// Plugs the RTL of the USB core into a virtual machine: the end of QEMU's usbredir protocol that
// owns the device. What the guest's host controller asks for becomes transactions on D+ and D-
// (tests/common/usb_host.h); behind the core's streams is a simulated device.
//
//   usb_redirector SOCKET SPEED DEVICE FOLDER
//
// SOCKET is the number of a connected one that QEMU has the other end of; SPEED what QEMU is told,
// "full", or "high" for a controller that takes nothing else; DEVICE the name of a simulated device
// in FOLDER. Ends when QEMU does, with a line of counts and one of the time that the bulk bytes
// took on the bus; exit status 1 and one line that says why when that is no proper end. Each time a
// program opens the link, it says so in a line.
//
// QEMU keeps the address of the device to itself, so this end enumerates the core as far as that,
// again after each reset. A request whose endpoint answers NAK waits; time passes on the lines only
// while there are transactions. Streams, isochronous and interrupt endpoints: the core has none.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usbredirparser.h>

#include "backend.h"
#include "tp_usb.h"
#include "usb_bench.h"

enum {
    CORE_KHZ = 60000,
    ADDRESS = 5,
    ATTACH_SAMPLES_MAX = 10000,
    RESET_SAMPLES = 600,  // 10 us
    PACKET = TP_USB_PACKET_BYTES,
    SINK_BYTES = 4 * PACKET,
    SOURCE_BYTES = 512,
    TRIES_MAX = 3,  // of a packet without an answer
    IDLE_MS = 2,    // between two looks at a device that is silent
    WRITE_MS = 5000
};
// bmRequestType and bRequest.
enum {
    SET_ADDRESS = 0x0005,
    SET_CONFIGURATION = 0x0009,
    SET_INTERFACE = 0x010B,
    CLEAR_FEATURE = 0x0201,
    LINK = TP_USB_REQUEST_TYPE_LINK << 8 | TP_USB_REQUEST_LINK
};

/** A bulk transfer that the guest asked for. */
struct request {
    struct request *next;
    uint64_t id;
    struct usb_redir_bulk_packet_header header;
    uint8_t *data;
    uint32_t length;
    uint32_t done;   // bytes that have moved
    uint32_t tries;  // of the present packet
};

/** Transactions of a kind; samples of 1/60 us. */
struct spent {
    uint64_t count;
    uint64_t samples;
};

struct redirector {
    int socket;
    bool is_high;
    struct usbredirparser *parser;
    struct tp_usb_bench *bench;
    void *device;
    struct request *first;
    bool is_connected;
    bool is_open;  // the link, as the guest's last LINK has it
    uint8_t configuration;
    uint64_t controls, bulks, cancels, resets, bytes_in, bytes_out;
    struct spent out, in, nak;       // bulk; nak: of both ways
    uint64_t first_byte, last_byte;  // samples: of bulk transactions that moved bytes, from the
                                     // begin of the first to the end of the last
};

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "usb_redirector: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static void *take_memory(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        fail("no memory for %zu bytes", bytes);
    }
    return memory;
}

// ---- transactions ----

static int sound(const struct redirector *r, int answer)
{
    if (answer == TP_USB_ANSWER_BROKEN) {
        fail("the core sends what no device may send: %s", r->bench->host.broken);
    }
    return answer;
}

// The streams are reset. A byte that is offered to the core stays.
static void forget_bytes(struct redirector *r)
{
    struct tp_usb_stream *from_device = &r->bench->source;
    from_device->count = from_device->done + from_device->willing;
    r->bench->sink.done = 0;
}

static int control(struct redirector *r, const uint8_t setup[8], uint8_t *data)
{
    struct tp_usb_host *host = &r->bench->host;
    int answer = sound(r, tp_usb_host_control(host, setup, data));
    if (answer < 0) {
        return answer;
    }
    // The toggles of the host's end.
    switch (setup[0] << 8 | setup[1]) {
    case SET_CONFIGURATION:
    case SET_INTERFACE:
        memset(host->toggle_out, 0, sizeof host->toggle_out);
        memset(host->toggle_in, 0, sizeof host->toggle_in);
        break;
    case CLEAR_FEATURE:
        *((setup[4] & 0x80) != 0 ? &host->toggle_in[setup[4] & 15]
                                 : &host->toggle_out[setup[4] & 15]) = false;
        break;
    case LINK:
        r->is_open = setup[2] == TP_USB_LINK_OPEN;
        forget_bytes(r);
        if (r->is_open) {
            (void)printf("the link is open\n");
            (void)fflush(stdout);
        }
        break;
    default:
        break;
    }
    return answer;
}

static int ask(struct redirector *r, uint8_t type, uint8_t request, uint16_t value, uint16_t length,
               uint8_t *data)
{
    uint8_t setup[8];
    tp_usb_host_request(setup, type, request, value, 0, length);
    return control(r, setup, data);
}

static void reset_bus(struct redirector *r)
{
    tp_usb_host_reset(&r->bench->host, RESET_SAMPLES);
    if (ask(r, SET_ADDRESS >> 8, SET_ADDRESS & 0xFF, ADDRESS, 0, NULL) != 0) {
        fail("the core takes no address");
    }
    r->bench->host.address = ADDRESS;
    r->configuration = 0;
    r->is_open = false;
}

static void attach(struct redirector *r)
{
    for (uint32_t i = 0; !tp_port_get(r->bench->pull_up); i++) {
        if (i == ATTACH_SAMPLES_MAX) {
            fail("the core does not switch its pull-up on");
        }
        tp_usb_bench_wait(r->bench, 1);
    }
    reset_bus(r);
}

// ---- the device behind the streams ----

// Moves bytes between the core's streams and the device, and lets it work; false when nothing
// happened.
static bool run_device(struct redirector *r)
{
    struct tp_usb_stream *to_device = &r->bench->sink;
    struct tp_usb_stream *from_device = &r->bench->source;
    struct tp_error error;
    size_t taken = 0;
    size_t got = 0;
    if (!tp_dut_get(r->bench->dut, "open_o")) {
        // The device's own streams are held.
        from_device->willing = false;
        forget_bytes(r);
        return false;
    }
    bool has_room = from_device->done == from_device->count;
    if (tp__backend_sim.exchange(r->device, to_device->bytes, to_device->done, &taken,
                                 from_device->bytes, has_room ? SOURCE_BYTES : 0, &got,
                                 &error) != TP_OK) {
        fail("%s", error.text);
    }
    to_device->done -= (uint32_t)taken;
    memmove(to_device->bytes, to_device->bytes + taken, to_device->done);
    if (has_room) {
        from_device->count = (uint32_t)got;
        from_device->done = 0;
    }
    return taken + got != 0 || tp__backend_sim.has_work(r->device);
}

// ---- bulk transfers ----

static bool is_in(const struct request *request)
{
    return (request->header.endpoint & 0x80) != 0;
}

// Takes a request from the list and answers it.
static void answer_request(struct redirector *r, struct request **place, uint8_t status)
{
    struct request *request = *place;
    bool has_data = is_in(request) && request->done != 0;
    *place = request->next;
    *(is_in(request) ? &r->bytes_in : &r->bytes_out) += request->done;
    request->header.status = status;
    request->header.length = (uint16_t)request->done;
    request->header.length_high = (uint16_t)(request->done >> 16);
    usbredirparser_send_bulk_packet(r->parser, request->id, &request->header,
                                    has_data ? request->data : NULL,
                                    has_data ? (int)request->done : 0);
    free(request->data);
    free(request);
}

// Counts a transaction that began at that sample.
static void count_transaction(struct redirector *r, bool is_in, int answer, uint64_t begin)
{
    uint64_t end = r->bench->host.samples;
    struct spent *spent = answer == TP_USB_ANSWER_NAK ? &r->nak : is_in ? &r->in : &r->out;
    bool has_moved = is_in ? answer > 0 : answer == 0;
    spent->count++;
    spent->samples += end - begin;
    r->first_byte = has_moved && r->first_byte == 0 ? begin : r->first_byte;
    r->last_byte = has_moved ? end : r->last_byte;
}

// One transaction of a request; NAK when it has to wait, else 0, with the status of a request that
// it ended, or -1.
static int move_packet(struct redirector *r, struct request *request, int *status)
{
    uint8_t packet[PACKET];
    uint32_t left = request->length - request->done;
    uint8_t endpoint = request->header.endpoint & 15;
    uint32_t most = left < PACKET ? left : PACKET;
    uint64_t begin = r->bench->host.samples;
    int answer = is_in(request) ? tp_usb_host_in(&r->bench->host, endpoint, packet)
                                : tp_usb_host_out(&r->bench->host, endpoint,
                                                  request->data + request->done, most);
    *status = -1;
    count_transaction(r, is_in(request), answer, begin);
    switch (sound(r, answer)) {
    case TP_USB_ANSWER_NAK:
        return answer;
    case TP_USB_ANSWER_STALL:
        *status = usb_redir_stall;
        return 0;
    case TP_USB_ANSWER_NONE:
        *status = ++request->tries == TRIES_MAX ? usb_redir_ioerror : -1;
        return 0;
    default:
        break;
    }
    uint32_t moved = is_in(request) ? (uint32_t)answer : most;
    bool is_last = moved < PACKET;
    request->tries = 0;
    if (moved > left) {
        *status = usb_redir_babble;
        moved = left;
    }
    if (is_in(request)) {
        memcpy(request->data + request->done, packet, moved);
    }
    request->done += moved;
    if (*status < 0 && (is_last || request->done == request->length)) {
        *status = usb_redir_success;
    }
    return 0;
}

// Serves every endpoint until it answers NAK or has no requests; false when no packet moved.
static bool run_bus(struct redirector *r)
{
    bool has_moved = false;
    bool is_waiting[2] = {false, false};
    for (struct request **place = &r->first; *place != NULL;) {
        int status = -1;
        bool *waits = &is_waiting[is_in(*place)];
        while (!*waits && status < 0) {
            *waits = move_packet(r, *place, &status) == TP_USB_ANSWER_NAK;
            has_moved = has_moved || !*waits;
            (void)run_device(r);
        }
        if (status >= 0) {
            answer_request(r, place, (uint8_t)status);
        } else {
            place = &(*place)->next;
        }
    }
    return has_moved;
}

// ---- what QEMU asks for ----

static void on_log(void *user, int level, const char *text)
{
    (void)user;
    if (level == usbredirparser_error) {
        fail("QEMU sends what is not usbredir: %s", text);
    }
}

static int on_read(void *user, uint8_t *bytes, int count)
{
    const struct redirector *r = user;
    ssize_t size = read(r->socket, bytes, (size_t)count);
    if (size < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    return size == 0 ? -1 : (int)size;
}

static int on_write(void *user, uint8_t *bytes, int count)
{
    const struct redirector *r = user;
    ssize_t size = write(r->socket, bytes, (size_t)count);
    return size < 0 ? (errno == EAGAIN || errno == EINTR ? 0 : -1) : (int)size;
}

static void describe_endpoints(const uint8_t *d, int size,
                               struct usb_redir_interface_info_header *interfaces,
                               struct usb_redir_ep_info_header *endpoints)
{
    memset(endpoints->type, usb_redir_type_invalid, sizeof endpoints->type);
    endpoints->type[0] = endpoints->type[16] = usb_redir_type_control;
    endpoints->max_packet_size[0] = endpoints->max_packet_size[16] = PACKET;
    for (int i = 0; i + 1 < size && d[i] >= 2 && i + d[i] <= size; i += d[i]) {
        if (d[i + 1] == 4) {
            uint32_t n = interfaces->interface_count++;
            interfaces->interface[n] = d[i + 2];
            interfaces->interface_class[n] = d[i + 5];
            interfaces->interface_subclass[n] = d[i + 6];
            interfaces->interface_protocol[n] = d[i + 7];
        } else if (d[i + 1] == 5) {
            int n = (d[i + 2] & 15) + ((d[i + 2] & 0x80) != 0 ? 16 : 0);
            endpoints->type[n] = d[i + 3] & 3;
            endpoints->interval[n] = d[i + 6];
            endpoints->max_packet_size[n] = (uint16_t)(d[i + 4] | d[i + 5] << 8);
        }
    }
}

// QEMU is there: plugs in what the core's own descriptors say.
static void on_hello(void *user, struct usb_redir_hello_header *hello)
{
    struct redirector *r = user;
    struct usb_redir_interface_info_header interfaces = {.interface_count = 0};
    struct usb_redir_ep_info_header endpoints = {.interval = {0}};
    uint8_t d[TP_USB_DEVICE_BYTES];
    uint8_t configuration[TP_USB_CONFIGURATION_BYTES];
    (void)hello;
    if (ask(r, 0x80, 6, TP_USB_DESCRIPTOR_TYPE_DEVICE << 8, sizeof d, d) != sizeof d ||
        ask(r, 0x80, 6, TP_USB_DESCRIPTOR_TYPE_CONFIGURATION << 8, sizeof configuration,
            configuration) != sizeof configuration) {
        fail("the core does not give its descriptors");
    }
    describe_endpoints(configuration, sizeof configuration, &interfaces, &endpoints);
    struct usb_redir_device_connect_header device = {
        .speed = r->is_high ? usb_redir_speed_high : usb_redir_speed_full,
        .device_class = d[4],
        .device_subclass = d[5],
        .device_protocol = d[6],
        .vendor_id = (uint16_t)(d[8] | d[9] << 8),
        .product_id = (uint16_t)(d[10] | d[11] << 8),
        .device_version_bcd = (uint16_t)(d[12] | d[13] << 8)};
    usbredirparser_send_interface_info(r->parser, &interfaces);
    usbredirparser_send_ep_info(r->parser, &endpoints);
    usbredirparser_send_device_connect(r->parser, &device);
    r->is_connected = true;
}

static void on_reset(void *user)
{
    struct redirector *r = user;
    r->resets++;
    reset_bus(r);
}

static void tell_configuration(struct redirector *r, uint64_t id, uint8_t status)
{
    struct usb_redir_configuration_status_header answer = {.status = status,
                                                           .configuration = r->configuration};
    usbredirparser_send_configuration_status(r->parser, id, &answer);
}

static void on_set_configuration(void *user, uint64_t id,
                                 struct usb_redir_set_configuration_header *header)
{
    struct redirector *r = user;
    int answer =
        ask(r, SET_CONFIGURATION >> 8, SET_CONFIGURATION & 0xFF, header->configuration, 0, NULL);
    r->configuration = answer == 0 ? header->configuration : r->configuration;
    tell_configuration(r, id, answer == 0 ? usb_redir_success : usb_redir_stall);
}

static void on_get_configuration(void *user, uint64_t id)
{
    tell_configuration(user, id, usb_redir_success);
}

static void on_set_setting(void *user, uint64_t id, struct usb_redir_set_alt_setting_header *header)
{
    struct redirector *r = user;
    uint8_t setup[8];
    tp_usb_host_request(setup, SET_INTERFACE >> 8, SET_INTERFACE & 0xFF, header->alt,
                        header->interface, 0);
    int answer = control(r, setup, NULL);
    struct usb_redir_alt_setting_status_header status = {.status = answer == 0 ? usb_redir_success
                                                                               : usb_redir_stall,
                                                         .interface = header->interface};
    usbredirparser_send_alt_setting_status(r->parser, id, &status);
}

static void on_get_setting(void *user, uint64_t id, struct usb_redir_get_alt_setting_header *header)
{
    struct redirector *r = user;
    struct usb_redir_alt_setting_status_header status = {.status = usb_redir_success,
                                                         .interface = header->interface};
    usbredirparser_send_alt_setting_status(r->parser, id, &status);
}

static void on_control(void *user, uint64_t id, struct usb_redir_control_packet_header *header,
                       uint8_t *data, int data_size)
{
    struct redirector *r = user;
    uint8_t setup[8];
    bool is_from_device = (header->requesttype & 0x80) != 0;
    uint8_t *buffer = take_memory((size_t)header->length + PACKET);
    if (!is_from_device && data_size > 0) {
        memcpy(buffer, data, (size_t)data_size);
    }
    usbredirparser_free_packet_data(r->parser, data);
    tp_usb_host_request(setup, header->requesttype, header->request, header->value, header->index,
                        header->length);
    int answer = control(r, setup, buffer);
    r->controls++;
    header->status = answer >= 0                     ? usb_redir_success
                     : answer == TP_USB_ANSWER_STALL ? usb_redir_stall
                                                     : usb_redir_ioerror;
    header->length = (uint16_t)(answer > 0 ? answer : 0);
    bool has_data = is_from_device && answer > 0;
    usbredirparser_send_control_packet(r->parser, id, header, has_data ? buffer : NULL,
                                       has_data ? answer : 0);
    free(buffer);
}

static void on_bulk(void *user, uint64_t id, struct usb_redir_bulk_packet_header *header,
                    uint8_t *data, int data_size)
{
    struct redirector *r = user;
    struct request **place = &r->first;
    struct request *request = take_memory(sizeof *request);
    request->id = id;
    request->header = *header;
    request->length = header->length | (uint32_t)header->length_high << 16;
    request->data = take_memory((size_t)request->length + PACKET);
    if (!is_in(request) && data_size > 0) {
        request->length = (uint32_t)data_size;
        memcpy(request->data, data, (size_t)data_size);
    }
    usbredirparser_free_packet_data(r->parser, data);
    for (; *place != NULL; place = &(*place)->next) {
    }
    *place = request;
    r->bulks++;
}

static void on_cancel(void *user, uint64_t id)
{
    struct redirector *r = user;
    for (struct request **place = &r->first; *place != NULL; place = &(*place)->next) {
        if ((*place)->id == id) {
            r->cancels++;
            answer_request(r, place, usb_redir_cancelled);
            return;
        }
    }
}

static void open_parser(struct redirector *r)
{
    uint32_t capabilities[USB_REDIR_CAPS_SIZE] = {0};
    struct usbredirparser *parser = usbredirparser_create();
    if (parser == NULL) {
        fail("no memory for the parser");
    }
    r->parser = parser;
    parser->priv = r;
    parser->log_func = on_log;
    parser->read_func = on_read;
    parser->write_func = on_write;
    parser->hello_func = on_hello;
    parser->reset_func = on_reset;
    parser->set_configuration_func = on_set_configuration;
    parser->get_configuration_func = on_get_configuration;
    parser->set_alt_setting_func = on_set_setting;
    parser->get_alt_setting_func = on_get_setting;
    parser->control_packet_func = on_control;
    parser->bulk_packet_func = on_bulk;
    parser->cancel_data_packet_func = on_cancel;
    usbredirparser_caps_set_cap(capabilities, usb_redir_cap_connect_device_version);
    usbredirparser_caps_set_cap(capabilities, usb_redir_cap_ep_info_max_packet_size);
    usbredirparser_caps_set_cap(capabilities, usb_redir_cap_64bits_ids);
    usbredirparser_caps_set_cap(capabilities, usb_redir_cap_32bits_bulk_length);
    usbredirparser_init(parser, "tokproc", capabilities, USB_REDIR_CAPS_SIZE,
                        usbredirparser_fl_usb_host);
}

// ---- the whole ----

static void write_all(struct redirector *r)
{
    while (usbredirparser_has_data_to_write(r->parser)) {
        struct pollfd room = {.fd = r->socket, .events = POLLOUT};
        if (poll(&room, 1, WRITE_MS) == 0) {
            fail("QEMU takes no answers for %d ms", WRITE_MS);
        }
        // A peer that is gone is seen when reading.
        if (usbredirparser_do_write(r->parser) != 0) {
            return;
        }
    }
}

// Reads what QEMU sent, after at most so many ms; false when it is gone.
static bool read_some(struct redirector *r, int wait_ms)
{
    struct pollfd input = {.fd = r->socket, .events = POLLIN};
    if (poll(&input, 1, wait_ms) <= 0) {
        return true;
    }
    // What is not usbredir does not come back: on_log.
    return usbredirparser_do_read(r->parser) == 0;
}

static void serve(struct redirector *r)
{
    bool is_busy = false;
    while (write_all(r), read_some(r, is_busy ? 0 : IDLE_MS)) {
        bool has_moved = run_bus(r);
        is_busy = (r->first != NULL && run_device(r)) || has_moved;
    }
    if (!r->is_connected) {
        fail("QEMU ended before it said hello");
    }
    if (r->is_open) {
        fail("the guest ended while a program had the link open");
    }
}

static double microseconds(uint64_t samples)
{
    return (double)samples / 60;
}

static void print_counts(const struct redirector *r)
{
    (void)printf("%llu control, %llu bulk, %llu cancelled, %llu resets, %llu transactions, %llu "
                 "NAK, %llu bytes out, %llu in, %.0f us on the bus\n",
                 (unsigned long long)r->controls, (unsigned long long)r->bulks,
                 (unsigned long long)r->cancels, (unsigned long long)r->resets,
                 (unsigned long long)(r->out.count + r->in.count + r->nak.count),
                 (unsigned long long)r->nak.count, (unsigned long long)r->bytes_out,
                 (unsigned long long)r->bytes_in, microseconds(r->bench->host.samples));
    (void)printf("bulk bytes within %.0f us; %llu OUT in %.0f us, %llu IN in %.0f us, NAK in %.0f "
                 "us\n",
                 microseconds(r->last_byte - r->first_byte), (unsigned long long)r->out.count,
                 microseconds(r->out.samples), (unsigned long long)r->in.count,
                 microseconds(r->in.samples), microseconds(r->nak.samples));
}

int main(int argc, char **argv)
{
    static struct redirector r;
    struct tp_error error;
    if (argc != 5) {
        fail("usage: usb_redirector SOCKET full|high DEVICE FOLDER");
    }
    r.socket = atoi(argv[1]);
    if (fcntl(r.socket, F_SETFL, O_NONBLOCK) != 0) {
        fail("%s is no socket that is open", argv[1]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    r.is_high = strcmp(argv[2], "high") == 0;
    if (tp__backend_sim.open(argv[3], argv[4], &r.device, &error) != TP_OK) {
        fail("%s", error.text);
    }
    r.bench = tp_usb_bench_open(1, CORE_KHZ);
    r.bench->sink.count = SINK_BYTES;
    open_parser(&r);
    attach(&r);
    serve(&r);
    print_counts(&r);
    usbredirparser_destroy(r.parser);
    tp_usb_bench_close(r.bench);
    tp__backend_sim.close(r.device);
    return 0;
}

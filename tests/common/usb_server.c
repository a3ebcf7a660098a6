// SPDX-License-Identifier: Apache-2.0
//
// The usbdevfs calls of emulated boards.
//
// umockdev's thread runs take_call(); each board has a thread that serves its URBs. They share the
// lists of URBs under the server's mutex, which the board's thread gives up while the function
// works. The memory of a client may only be touched inside one of its calls: buffers are copied
// when a URB is submitted, and written back when it is reaped.
//
// libusb polls a node for "something to reap". umockdev's plain file would always be ready, so a
// terminal of our own stands for the node: stopped, it is not writable; closed, it has hung up, as
// the kernel shows a board that was unplugged.

#define _GNU_SOURCE  // posix_openpt, cfmakeraw

#include "usb_server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <umockdev.h>
#include <unistd.h>

enum {
    NODE_FIRST = 2,
    NODES_MAX = 250,
    SETUP_BYTES = 8,
    IDLE_NS = 1000000,  // between looks at a function that has nothing to do
    LATE_NS = 200000000,
    FORGOTTEN = 1  // its client is dead
};

enum pipe { CONTROL, OUT, IN, PIPES };

struct urb {
    struct urb *next;
    UMockdevIoctlClient *client;
    UMockdevIoctlData *call;    // the client's struct usbdevfs_urb
    UMockdevIoctlData *buffer;  // NULL when it is empty
    uint8_t *data;              // the copy that the board's thread uses
    size_t length;
    size_t done;
    enum pipe pipe;
    int status;
    bool is_begun;            // it was counted
    enum tp_usb_fault fault;  // to be injected
    uint32_t fault_packets;   // that move before it
    bool is_busy;             // the board's thread uses it without the mutex
    int ending;               // meanwhile: 0, the status that ends it, or FORGOTTEN
};

struct list {
    struct urb *head;
    struct urb **tail;
};

struct tp_usb_port {
    struct tp_usb_server *server;
    struct tp_usb_port *next;
    UMockdevIoctlBase *base;
    struct tp_usb_function *function;
    struct tp_usb_plug plug;
    char system_path[64];
    char node[64];
    int master, slave;  // of the terminal; -1: a plain file
    bool is_ready;
    pthread_t thread;
    bool is_gone;
    bool is_removed;  // from the test bed too
    UMockdevIoctlClient *claimer;
    struct list pending[PIPES];
    struct list finished;
    enum tp_usb_fault fault;
    uint32_t fault_transfer;
    bool is_injected;
    enum pipe fault_pipe;  // that it met
    uint32_t transfers;
    uint32_t gaps;
    bool is_clear_asked[PIPES];
    struct timespec late_until;
    void (*hook)(void *user);
    void *hook_user;
};

struct tp_usb_server {
    UMockdevTestbed *bed;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_stopping;
    int nodes;  // numbers that were given out
    struct tp_usb_port *ports;
};

const char *tp_usb_fault_name(enum tp_usb_fault fault)
{
    static const char *const names[] = {
        "none",        "stall",           "stall for ever",  "short packets", "late",
        "silent",      "silent for ever", "lost ACK",        "lost packet",   "doubled packet",
        "flipped bit", "babble",          "babble for ever", "cancel",        "unplug",
        "hook"};
    return names[fault];
}

void tp_usb_server_preload(void)
{
    static char name[] = "test";
    char *const arguments[] = {name, NULL};
    if (getenv("TP_USB_PRELOADED") == NULL) {
        setenv("TP_USB_PRELOADED", "1", 1);
        setenv("LD_PRELOAD", "libumockdev-preload.so.0", 1);
        (void)execv("/proc/self/exe", arguments);
        perror("the test cannot be started again");
        abort();
    }
}

// ---- lists of URBs ----

static void list_init(struct list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void push(struct list *list, struct urb *urb)
{
    urb->next = NULL;
    *list->tail = urb;
    list->tail = &urb->next;
}

static struct urb *take(struct list *list, struct urb **place)
{
    struct urb *urb = *place;
    *place = urb->next;
    if (*place == NULL) {
        list->tail = place;
    }
    return urb;
}

static void drop(struct urb *urb)
{
    g_clear_object(&urb->call);
    g_clear_object(&urb->buffer);
    free(urb->data);
    free(urb);
}

static void show_ready(struct tp_usb_port *port)
{
    bool is_ready = port->finished.head != NULL;
    if (port->slave >= 0 && !port->is_gone && is_ready != port->is_ready) {
        (void)tcflow(port->slave, is_ready ? TCOON : TCOOFF);
        port->is_ready = is_ready;
    }
}

static void finish(struct tp_usb_port *port, struct urb **place, int status)
{
    struct urb *urb = take(&port->pending[(*place)->pipe], place);
    urb->status = status;
    push(&port->finished, urb);
    show_ready(port);
}

// ---- the board's thread ----

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static struct timespec from_now(long nanoseconds)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += nanoseconds;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

// Ends the URBs of a client, or of all; those that are busy end a little later.
static void end_all(struct tp_usb_port *port, struct list *list, const UMockdevIoctlClient *client,
                    int status)
{
    for (struct urb **place = &list->head; *place != NULL;) {
        struct urb *urb = *place;
        if (client != NULL && urb->client != client) {
            place = &urb->next;
        } else if (urb->is_busy) {
            urb->ending = status;
            place = &urb->next;
        } else if (status == FORGOTTEN) {
            drop(take(list, place));
        } else {
            finish(port, place, status);
        }
    }
}

static void unplug_locked(struct tp_usb_port *port)
{
    if (port->is_gone) {
        return;
    }
    for (int pipe = 0; pipe < PIPES; pipe++) {
        end_all(port, &port->pending[pipe], NULL, -ESHUTDOWN);
    }
    port->is_gone = true;
    if (port->slave >= 0) {
        (void)close(port->slave);
        (void)close(port->master);
    }
    pthread_cond_broadcast(&port->server->changed);
}

// Moves an OUT packet. Returns 0, NAK, or the status that ends the URB.
static int move_out(struct tp_usb_port *port, struct urb *urb, enum tp_usb_fault fault)
{
    uint8_t packet[TP_USB_PACKET_BYTES];
    size_t left = urb->length - urb->done;
    int moved = (int)(left < sizeof packet ? left : sizeof packet);
    memcpy(packet, urb->data + urb->done, (size_t)moved);
    if (fault == TP_USB_FLIPPED) {
        packet[moved / 2] ^= 0x10;
    }
    if (fault != TP_USB_LOST) {
        moved = tp_usb_function_out(port->function, packet, (size_t)moved);
    }
    if (moved < 0) {
        return moved == TP_FUNCTION_NAK ? TP_FUNCTION_NAK : -EPIPE;
    }
    if (fault == TP_USB_LOST_ACK) {
        return -EPROTO;
    }
    // A doubled packet is sent again.
    urb->done += fault == TP_USB_DOUBLED ? 0 : (size_t)moved;
    return 0;
}

static int move_in(struct tp_usb_port *port, struct urb *urb, enum tp_usb_fault fault)
{
    uint8_t packet[TP_USB_PACKET_BYTES];
    size_t room = urb->length - urb->done;
    size_t max = fault == TP_USB_SHORT ? port->fault_transfer % 2 : sizeof packet;
    int moved = tp_usb_function_in(port->function, packet, max);
    if (moved < 0) {
        return moved == TP_FUNCTION_NAK ? TP_FUNCTION_NAK : -EPIPE;
    }
    size_t size = (size_t)moved;
    if (fault == TP_USB_BABBLE || size > room) {
        return -EOVERFLOW;
    }
    if (fault == TP_USB_LOST_ACK) {
        return -EPROTO;
    }
    if (fault == TP_USB_FLIPPED) {
        packet[size / 2] ^= 0x10;
    }
    size_t copies = fault == TP_USB_LOST ? 0 : fault == TP_USB_DOUBLED && 2 * size <= room ? 2 : 1;
    for (size_t i = 0; i < copies; i++) {
        memcpy(urb->data + urb->done, packet, size);
        urb->done += size;
    }
    bool is_last = size < sizeof packet || urb->done == urb->length;
    return is_last ? 1 : 0;
}

// The fault that meets the next packet of a URB. Faults that last come again.
static enum tp_usb_fault next_fault(struct tp_usb_port *port, struct urb *urb)
{
    bool is_in = urb->pipe == IN;
    if (!urb->is_begun) {
        urb->is_begun = true;
        bool is_only_in = port->fault == TP_USB_SHORT || port->fault == TP_USB_BABBLE ||
                          port->fault == TP_USB_BABBLE_FOREVER;
        bool is_hit = port->transfers++ == port->fault_transfer && (is_in || !is_only_in);
        bool is_lasting =
            port->is_injected && urb->pipe == port->fault_pipe &&
            (port->fault == TP_USB_STALL_FOREVER || port->fault == TP_USB_SILENT_FOREVER ||
             port->fault == TP_USB_BABBLE_FOREVER);
        urb->fault = is_hit || is_lasting ? port->fault : TP_USB_NO_FAULT;
        urb->fault_packets = is_in ? 0 : port->fault_transfer % 3;
    }
    bool is_last = is_in || urb->length - urb->done <= TP_USB_PACKET_BYTES;
    if (urb->fault == TP_USB_NO_FAULT || (urb->fault_packets != 0 && !is_last)) {
        urb->fault_packets -= urb->fault_packets != 0 ? 1 : 0;
        return TP_USB_NO_FAULT;
    }
    enum tp_usb_fault fault = urb->fault;
    urb->fault = TP_USB_NO_FAULT;
    port->is_injected = true;
    port->fault_pipe = urb->pipe;
    return fault;
}

// Moves a packet of a URB, without the mutex. Returns NAK, 0, 1 when the URB is done, or the status
// that ends it.
static int move_packet(struct tp_usb_port *port, struct urb *urb, enum tp_usb_fault fault)
{
    uint8_t endpoint = urb->pipe == IN ? TP_USB_ENDPOINT_IN : TP_USB_ENDPOINT_OUT;
    switch (fault) {
    case TP_USB_STALL:
    case TP_USB_STALL_FOREVER:
        tp_usb_function_halt(port->function, endpoint);
        return -EPIPE;
    case TP_USB_LATE:
        port->late_until = from_now(LATE_NS);
        return TP_FUNCTION_NAK;
    case TP_USB_SILENT:
    case TP_USB_SILENT_FOREVER:
        return -EPROTO;
    case TP_USB_CANCEL:
        return -ENOENT;
    case TP_USB_UNPLUG:
        tp_usb_server_unplug(port);
        return TP_FUNCTION_NAK;
    case TP_USB_HOOK:
        port->hook(port->hook_user);
        return TP_FUNCTION_NAK;
    case TP_USB_BABBLE_FOREVER:
        fault = TP_USB_BABBLE;
        break;
    default:
        break;
    }
    int result = urb->pipe == IN ? move_in(port, urb, fault) : move_out(port, urb, fault);
    return result == 0 && urb->pipe == OUT && urb->done == urb->length ? 1 : result;
}

static int serve_control(struct tp_usb_port *port, struct urb *urb)
{
    bool is_vendor = (urb->data[0] & 0x60) == 0x40;
    if (port->plug.is_unanswered && is_vendor) {
        return TP_FUNCTION_NAK;
    }
    int result = tp_usb_function_control(port->function, urb->data, urb->data + SETUP_BYTES,
                                         urb->length - SETUP_BYTES);
    if (result < 0) {
        return -EPIPE;
    }
    bool is_in = (urb->data[0] & 0x80) != 0;
    urb->done = is_in ? (size_t)result : urb->length - SETUP_BYTES;
    return 1;
}

static void clear_halt(struct tp_usb_port *port, enum pipe pipe)
{
    uint8_t endpoint = pipe == IN ? TP_USB_ENDPOINT_IN : TP_USB_ENDPOINT_OUT;
    const uint8_t setup[SETUP_BYTES] = {0x02, 0x01, 0, 0, endpoint};
    if (port->is_clear_asked[pipe]) {
        port->is_clear_asked[pipe] = false;
        (void)tp_usb_function_control(port->function, setup, NULL, 0);
    }
}

// Serves the oldest URB of a pipe; false when nothing moved.
static bool serve(struct tp_usb_port *port, enum pipe pipe)
{
    clear_halt(port, pipe);
    struct urb *urb = port->pending[pipe].head;
    struct timespec now = from_now(0);
    bool is_late = pipe != CONTROL && is_before(&now, &port->late_until);
    if (urb == NULL || is_late || (pipe == IN && !tp_usb_function_has_in(port->function))) {
        return false;
    }
    enum tp_usb_fault fault = pipe == CONTROL ? TP_USB_NO_FAULT : next_fault(port, urb);
    urb->is_busy = true;
    pthread_mutex_unlock(&port->server->mutex);
    int result = pipe == CONTROL ? serve_control(port, urb) : move_packet(port, urb, fault);
    pthread_mutex_lock(&port->server->mutex);
    urb->is_busy = false;
    if (urb->ending == FORGOTTEN) {
        drop(take(&port->pending[pipe], &port->pending[pipe].head));
    } else if (urb->ending != 0) {
        finish(port, &port->pending[pipe].head, urb->ending);
    } else if (result != 0 && result != TP_FUNCTION_NAK) {
        finish(port, &port->pending[pipe].head, result == 1 ? 0 : result);
    }
    return result != TP_FUNCTION_NAK;
}

static void *run_port(void *user)
{
    struct tp_usb_port *port = user;
    struct tp_usb_server *server = port->server;
    pthread_mutex_lock(&server->mutex);
    while (!server->is_stopping && !port->is_gone) {
        bool moved = false;
        for (int pipe = 0; pipe < PIPES; pipe++) {
            moved = serve(port, (enum pipe)pipe) || moved;
        }
        pthread_mutex_unlock(&server->mutex);
        moved = tp_usb_function_run(port->function) || moved;
        pthread_mutex_lock(&server->mutex);
        if (!moved && !port->is_gone) {
            struct timespec until = from_now(IDLE_NS);
            (void)pthread_cond_timedwait(&server->changed, &server->mutex, &until);
        }
    }
    pthread_mutex_unlock(&server->mutex);
    return NULL;
}

// ---- the calls of clients ----

static int claim(struct tp_usb_port *port, UMockdevIoctlClient *client, uint32_t interface)
{
    if (interface != TP_USB_INTERFACE) {
        return ENOENT;
    }
    if (port->plug.is_claimed || (port->claimer != NULL && port->claimer != client)) {
        return EBUSY;
    }
    port->claimer = client;
    return 0;
}

static int submit(struct tp_usb_port *port, UMockdevIoctlClient *client, UMockdevIoctlData *call)
{
    struct urb *urb = calloc(1, sizeof *urb);
    if (urb == NULL) {
        return ENOMEM;
    }
    urb->client = client;
    urb->call = umockdev_ioctl_data_resolve(call, 0, sizeof(struct usbdevfs_urb), NULL);
    if (urb->call == NULL) {  // the client died
        drop(urb);
        return EIO;
    }
    const struct usbdevfs_urb *asked = (const void *)urb->call->data;
    urb->length = (size_t)asked->buffer_length;
    urb->pipe = asked->type == USBDEVFS_URB_TYPE_CONTROL ? CONTROL
                : asked->endpoint == TP_USB_ENDPOINT_IN  ? IN
                                                         : OUT;
    urb->data = malloc(urb->length + 1);
    urb->buffer = umockdev_ioctl_data_resolve(
        urb->call, G_STRUCT_OFFSET(struct usbdevfs_urb, buffer), urb->length, NULL);
    if (urb->data == NULL || (urb->buffer == NULL && urb->length != 0)) {
        drop(urb);
        return EIO;
    }
    if (urb->buffer != NULL) {
        memcpy(urb->data, urb->buffer->data, urb->length);
    }
    bool is_full = urb->length % TP_USB_PACKET_BYTES == 0;
    port->gaps += urb->pipe == OUT && !is_full && port->pending[OUT].head != NULL ? 1 : 0;
    push(&port->pending[urb->pipe], urb);
    pthread_cond_broadcast(&port->server->changed);
    return 0;
}

static int reap(struct tp_usb_port *port, const UMockdevIoctlClient *client,
                UMockdevIoctlData *call)
{
    struct urb **place = &port->finished.head;
    while (*place != NULL && (*place)->client != client) {
        place = &(*place)->next;
    }
    if (*place == NULL) {
        return port->is_gone ? ENODEV : EAGAIN;
    }
    g_autoptr(UMockdevIoctlData) pointer =
        umockdev_ioctl_data_resolve(call, 0, sizeof(void *), NULL);
    if (pointer == NULL) {
        return EIO;
    }
    struct urb *urb = take(&port->finished, place);
    show_ready(port);
    struct usbdevfs_urb *answer = (void *)urb->call->data;
    answer->status = urb->status;
    answer->actual_length = (int)urb->done;
    size_t header = urb->pipe == CONTROL ? SETUP_BYTES : 0;
    if (urb->pipe != OUT && urb->buffer != NULL) {
        memcpy(urb->buffer->data + header, urb->data + header, urb->done);
    }
    // Takes references of its own, and writes URB and buffer back to the client.
    (void)umockdev_ioctl_data_set_ptr(pointer, 0, urb->call);
    drop(urb);
    return 0;
}

static int discard(struct tp_usb_port *port, UMockdevIoctlData *call)
{
    gulong address = *(const gulong *)(const void *)call->data;
    for (int pipe = 0; pipe < PIPES; pipe++) {
        for (struct urb **place = &port->pending[pipe].head; *place != NULL;
             place = &(*place)->next) {
            if ((*place)->call->client_addr == address) {
                if ((*place)->is_busy) {
                    (*place)->ending = -ENOENT;
                } else {
                    finish(port, place, -ENOENT);
                }
                return 0;
            }
        }
    }
    return EINVAL;
}

// A call with a 32-bit argument.
static int call_with_number(struct tp_usb_port *port, UMockdevIoctlClient *client, gulong request,
                            UMockdevIoctlData *call)
{
    g_autoptr(UMockdevIoctlData) data = umockdev_ioctl_data_resolve(call, 0, 4, NULL);
    if (data == NULL) {
        return EIO;
    }
    guint32 *number = (void *)data->data;
    switch (request) {
    case USBDEVFS_GET_CAPABILITIES:
        // Transfers of any size in one URB, as a real xHCI has it.
        *number = USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                  USBDEVFS_CAP_BULK_SCATTER_GATHER | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
        return 0;
    case USBDEVFS_CLAIMINTERFACE:
        return claim(port, client, *number);
    case USBDEVFS_RELEASEINTERFACE:
        port->claimer = port->claimer == client ? NULL : port->claimer;
        return 0;
    default:  // USBDEVFS_CLEAR_HALT; the function is the thread's
        port->is_clear_asked[*number == TP_USB_ENDPOINT_IN ? IN : OUT] = true;
        return 0;
    }
}

static int answer(struct tp_usb_port *port, UMockdevIoctlClient *client)
{
    gulong request = umockdev_ioctl_client_get_request(client);
    UMockdevIoctlData *call = umockdev_ioctl_client_get_arg(client);
    if (port->is_gone && request != USBDEVFS_REAPURBNDELAY) {
        return ENODEV;
    }
    switch (request) {
    case USBDEVFS_GET_CAPABILITIES:
    case USBDEVFS_CLAIMINTERFACE:
    case USBDEVFS_RELEASEINTERFACE:
    case USBDEVFS_CLEAR_HALT:
        return call_with_number(port, client, request, call);
    case USBDEVFS_SUBMITURB:
        return submit(port, client, call);
    case USBDEVFS_REAPURBNDELAY:
        return reap(port, client, call);
    case USBDEVFS_DISCARDURB:
        return discard(port, call);
    case USBDEVFS_GETDRIVER:
        return ENODATA;
    default:
        return ENOTTY;
    }
}

static gboolean take_call(UMockdevIoctlBase *base, UMockdevIoctlClient *client, gpointer user)
{
    struct tp_usb_port *port = user;
    (void)base;
    pthread_mutex_lock(&port->server->mutex);
    int result = answer(port, client);
    pthread_mutex_unlock(&port->server->mutex);
    umockdev_ioctl_client_complete(client, result != 0 ? -1 : 0, result);
    return TRUE;
}

static void forget_client(struct tp_usb_port *port, const void *client)
{
    pthread_mutex_lock(&port->server->mutex);
    port->claimer = port->claimer == client ? NULL : port->claimer;
    for (int pipe = 0; pipe < PIPES; pipe++) {
        end_all(port, &port->pending[pipe], client, FORGOTTEN);
    }
    end_all(port, &port->finished, client, FORGOTTEN);
    show_ready(port);
    pthread_mutex_unlock(&port->server->mutex);
}

static void note_disconnected(GObject *client, GParamSpec *property, gpointer user)
{
    (void)property;
    gboolean is_connected = TRUE;
    g_object_get(client, "connected", &is_connected, NULL);
    if (!is_connected) {
        forget_client(user, client);
    }
}

static void note_finalized(gpointer user, GObject *client)
{
    forget_client(user, client);
}

// umockdev declares a signal "client-vanished" and never sends it.
static void note_connected(UMockdevIoctlBase *base, UMockdevIoctlClient *client, gpointer user)
{
    (void)base;
    (void)g_signal_connect(client, "notify::connected", G_CALLBACK(note_disconnected), user);
    g_object_weak_ref((GObject *)client, note_finalized, user);
}

// ---- plugging ----

static void must(bool is_true, const char *what)
{
    if (!is_true) {
        perror(what);
        abort();
    }
}

static void open_terminal(struct tp_usb_port *port, const char *node)
{
    struct termios settings;
    port->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    must(port->master >= 0 && grantpt(port->master) == 0 && unlockpt(port->master) == 0, "pty");
    const char *name = ptsname(port->master);
    port->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    must(port->slave >= 0 && tcgetattr(port->slave, &settings) == 0, name);
    cfmakeraw(&settings);
    must(tcsetattr(port->slave, TCSANOW, &settings) == 0, name);
    must(symlink(name, node) == 0, node);
    must(tcflow(port->slave, TCOOFF) == 0, name);
}

// The node must be there before the device, which is announced at once.
static void make_node(struct tp_usb_port *port)
{
    g_autofree char *root = umockdev_testbed_get_root_dir(port->server->bed);
    g_autofree char *node = g_build_filename(root, port->node, NULL);
    g_autofree char *folder = g_path_get_dirname(node);
    must(g_mkdir_with_parents(folder, 0755) == 0, folder);
    if (port->plug.is_forbidden) {
        int file = open(node, O_CREAT | O_WRONLY | O_CLOEXEC, 0);
        must(file >= 0, node);
        (void)close(file);
    } else {
        open_terminal(port, node);
    }
}

static void announce(struct tp_usb_port *port, int node)
{
    size_t size = 0;
    const uint8_t *descriptors = tp_usb_function_descriptors(port->function, &size);
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text,
                           "P: %s\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: BUSNUM=001\n"
                           "E: DEVNUM=%03d\nE: DEVNAME=%s\nE: MAJOR=189\nE: MINOR=%d\n"
                           "A: busnum=1\\n\nA: devnum=%d\\n\nA: dev=189:%d\\n\nA: speed=12\\n\n"
                           "A: bConfigurationValue=1\\n\nH: descriptors=",
                           port->system_path + strlen("/sys"), node, port->node, node - 1, node,
                           node - 1);
    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(text, "%02X", descriptors[i]);
    }
    g_string_append(text, "\n\n");
    g_autoptr(GError) error = NULL;
    if (!umockdev_testbed_add_from_string(port->server->bed, text->str, &error)) {
        fprintf(stderr, "%s\n", error->message);
        abort();
    }
}

struct tp_usb_port *tp_usb_server_plug(struct tp_usb_server *server, const struct tp_usb_plug *plug)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_usb_port *port = calloc(1, sizeof *port);
    must(port != NULL, "plug");
    port->server = server;
    port->plug = *plug;
    port->slave = -1;
    port->function = tp_usb_function_open(&plug->function, &error);
    if (port->function == NULL) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    for (int pipe = 0; pipe < PIPES; pipe++) {
        list_init(&port->pending[pipe]);
    }
    list_init(&port->finished);
    pthread_mutex_lock(&server->mutex);
    int node = NODE_FIRST + server->nodes++;
    port->next = server->ports;
    server->ports = port;
    pthread_mutex_unlock(&server->mutex);
    must(node < NODES_MAX, "too many boards");
    (void)snprintf(port->system_path, sizeof port->system_path, "/sys/devices/usb1/%s",
                   plug->place);
    (void)snprintf(port->node, sizeof port->node, "/dev/bus/usb/001/%03d", node);
    port->base = umockdev_ioctl_base_new();
    (void)g_signal_connect(port->base, "handle-ioctl", G_CALLBACK(take_call), port);
    (void)g_signal_connect(port->base, "client-connected", G_CALLBACK(note_connected), port);
    must(umockdev_testbed_attach_ioctl(server->bed, port->node, port->base, NULL), port->node);
    make_node(port);
    must(pthread_create(&port->thread, NULL, run_port, port) == 0, "thread");
    announce(port, node);
    return port;
}

void tp_usb_server_unplug(struct tp_usb_port *port)
{
    struct tp_usb_server *server = port->server;
    pthread_mutex_lock(&server->mutex);
    bool was_gone = port->is_gone;
    unplug_locked(port);
    while (was_gone && !port->is_removed) {
        (void)pthread_cond_wait(&server->changed, &server->mutex);
    }
    pthread_mutex_unlock(&server->mutex);
    if (!was_gone) {
        umockdev_testbed_uevent(server->bed, port->system_path, "remove");
        umockdev_testbed_remove_device(server->bed, port->system_path);
        pthread_mutex_lock(&server->mutex);
        port->is_removed = true;
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->mutex);
    }
}

struct tp_usb_server *tp_usb_server_start(void)
{
    struct tp_usb_server *server = calloc(1, sizeof *server);
    must(server != NULL, "server");
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->bed = umockdev_testbed_new();
    return server;
}

void tp_usb_server_stop(struct tp_usb_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->is_stopping = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
    for (struct tp_usb_port *port = server->ports; port != NULL; port = port->next) {
        (void)pthread_join(port->thread, NULL);
        tp_usb_server_unplug(port);
        (void)umockdev_testbed_detach_ioctl(server->bed, port->node, NULL);
    }
    g_object_unref(server->bed);
    while (server->ports != NULL) {
        struct tp_usb_port *port = server->ports;
        server->ports = port->next;
        end_all(port, &port->finished, NULL, FORGOTTEN);
        g_object_unref(port->base);
        tp_usb_function_close(port->function);
        free(port);
    }
    free(server);
}

// ---- faults ----

void tp_usb_server_fault(struct tp_usb_port *port, enum tp_usb_fault fault, uint32_t transfer,
                         void (*hook)(void *user), void *user)
{
    pthread_mutex_lock(&port->server->mutex);
    port->fault = fault;
    port->fault_transfer = fault == TP_USB_NO_FAULT ? UINT32_MAX : transfer;
    port->hook = hook;
    port->hook_user = user;
    port->is_injected = false;
    port->transfers = 0;
    pthread_mutex_unlock(&port->server->mutex);
}

bool tp_usb_server_injected(struct tp_usb_port *port)
{
    pthread_mutex_lock(&port->server->mutex);
    bool is_injected = port->is_injected;
    pthread_mutex_unlock(&port->server->mutex);
    return is_injected;
}

uint32_t tp_usb_server_gaps(struct tp_usb_port *port)
{
    pthread_mutex_lock(&port->server->mutex);
    uint32_t gaps = port->gaps;
    pthread_mutex_unlock(&port->server->mutex);
    return gaps;
}

uint32_t tp_usb_server_transfers(struct tp_usb_port *port)
{
    pthread_mutex_lock(&port->server->mutex);
    uint32_t transfers = port->transfers;
    pthread_mutex_unlock(&port->server->mutex);
    return transfers;
}

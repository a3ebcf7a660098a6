// SPDX-License-Identifier: Apache-2.0
//
// A device at a serial port of the kernel: 8 data bits, no parity, one stop bit, no flow control.
//
// Names: PATH or PATH@BAUD; without a rate that of the boards.

#include <asm/termbits.h>  // any rate, which <termios.h> has not
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/serial.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "descriptor.h"

enum { PATH_BYTES = 256, GROUP_BYTES = 64, RECORD_BYTES = 1024 };

// The boards have the same rate.
static const uint32_t board_bauds[] = {
#define TP_BOARD(name_, configuration_, part_, idcode_, luts_, block_rams_, multipliers_, plls_,   \
                 core_khz_, target_khz_, baud_, usb_, seed_, text_)                                \
    baud_,
#include "tp_boards.def"
#undef TP_BOARD
};

struct port {
    int descriptor;
    char path[PATH_BYTES];
};

static void serial_close(void *state)
{
    struct port *port = state;
    if (port != NULL) {
        (void)close(port->descriptor);
        free(port);
    }
}

// Takes "PATH@BAUD" apart. False: it is not of that form.
static bool split(const char *name, char path[PATH_BYTES], uint32_t *baud)
{
    const char *at = strrchr(name, '@');
    size_t size = at != NULL ? (size_t)(at - name) : strlen(name);
    size_t digits = at != NULL ? strspn(at + 1, "0123456789") : 0;
    *baud = at != NULL ? (uint32_t)strtoul(at + 1, NULL, 10) : board_bauds[0];
    if (size == 0 || size >= PATH_BYTES || *baud == 0 ||
        (at != NULL && (digits == 0 || digits > 8 || at[1 + digits] != 0))) {
        return false;
    }
    memcpy(path, name, size);
    path[size] = 0;
    return true;
}

// Who may open a port: its group.
static void group_of(const char *path, char group[GROUP_BYTES])
{
    struct stat facts;
    struct group record;
    struct group *found = NULL;
    char room[RECORD_BYTES];
    bool is_known = stat(path, &facts) == 0 &&
                    getgrgid_r(facts.st_gid, &record, room, sizeof room, &found) == 0 &&
                    found != NULL && strlen(found->gr_name) < GROUP_BYTES;
    const char *name = is_known ? found->gr_name : "dialout";
    memcpy(group, name, strlen(name) + 1);
}

static tp_status explain(int failure, const char *path, struct tp_error *error)
{
    char group[GROUP_BYTES];
    switch (failure) {
    case ENOENT:
    case ENOTDIR:
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "serial:%s is not there - is the board plugged in? try: tokproc devices",
                        path);
    case EACCES:
    case EPERM:
        group_of(path, group);
        return tp__fail(error, TP_ERROR_DEVICE,
                        "serial:%s may not be opened by you, only by group %s - try: sudo usermod "
                        "-a -G %s $USER, and log in again",
                        path, group, group);
    case EBUSY:
    case EWOULDBLOCK:
        return tp__fail(error, TP_ERROR_BUSY, "serial:%s is busy: another program has it open",
                        path);
    case ENOTTY:
    case EISDIR:
        return tp__fail(error, TP_ERROR_DEVICE,
                        "serial:%s is no serial port - try: tokproc devices", path);
    default:
        return tp__fail(error, TP_ERROR_DEVICE, "serial:%s cannot be opened: %s", path,
                        strerror(failure));
    }
}

// Bytes as they are, at that rate. False: errno says why.
static bool set_raw(int descriptor, uint32_t baud, uint32_t *reached)
{
    struct termios2 settings = {
        .c_cflag = CS8 | CREAD | CLOCAL | BOTHER, .c_ispeed = baud, .c_ospeed = baud};
    settings.c_cc[VMIN] = 1;  // no byte is an error EAGAIN, and not the end
    if (ioctl(descriptor, TCSETS2, &settings) != 0 || ioctl(descriptor, TCGETS2, &settings) != 0) {
        return false;
    }
    *reached = settings.c_ospeed;
    return true;
}

// A USB bridge then passes on what it has after 1 ms instead of 16. Ports without such a setting
// are as quick without it.
static void hurry(int descriptor)
{
    struct serial_struct facts;
    if (ioctl(descriptor, TIOCGSERIAL, &facts) == 0) {
        facts.flags = (int)((unsigned)facts.flags | ASYNC_LOW_LATENCY);
        (void)ioctl(descriptor, TIOCSSERIAL, &facts);
    }
}

// Opens the port for this program alone. Returns 0 and the port, or the number of the error.
static int open_alone(const char *path, int *descriptor)
{
    int lines;
    int made = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (made < 0) {
        return errno;
    }
    if (isatty(made) == 0 || flock(made, LOCK_EX | LOCK_NB) != 0) {
        int failure = errno;
        (void)close(made);
        return failure;
    }
    // Programs that do not ask for the lock are kept away too. A pseudo terminal, which has no
    // modem lines, would stay so after this program was killed.
    if (ioctl(made, TIOCMGET, &lines) == 0) {
        (void)ioctl(made, TIOCEXCL);
    }
    *descriptor = made;
    return 0;
}

static tp_status serial_open(const char *name, const char *folder, void **state,
                             struct tp_error *error)
{
    (void)folder;
    uint32_t baud;
    uint32_t reached;
    struct port *port = calloc(1, sizeof *port);
    if (port == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "serial:%s: no memory for a port", name);
    }
    if (!split(name, port->path, &baud)) {
        free(port);
        return tp__fail(error, TP_ERROR_INVALID,
                        "serial:%s: a port is PATH or PATH@BAUD - try: serial:/dev/ttyUSB0@%u",
                        name, (unsigned)board_bauds[0]);
    }
    int failure = open_alone(port->path, &port->descriptor);
    if (failure != 0) {
        tp_status status = explain(failure, port->path, error);
        free(port);
        return status;
    }
    if (!set_raw(port->descriptor, baud, &reached)) {
        tp_status status = explain(errno, port->path, error);
        serial_close(port);
        return status;
    }
    // A receiver of the link takes senders up to 2 % off.
    if (50 * (uint64_t)(reached > baud ? reached - baud : baud - reached) > baud) {
        serial_close(port);
        return tp__fail(error, TP_ERROR_DEVICE, "serial:%s cannot do %u baud, it offers %u", name,
                        (unsigned)baud, (unsigned)reached);
    }
    hurry(port->descriptor);
    // What came before is not for this program.
    (void)ioctl(port->descriptor, TCFLSH, TCIOFLUSH);
    *state = port;
    return TP_OK;
}

static tp_status serial_exchange(void *state, const uint8_t *out, size_t out_count,
                                 size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count,
                                 struct tp_error *error)
{
    struct port *port = state;
    if (tp__descriptor_exchange(port->descriptor, out, out_count, out_taken, in, in_max,
                                in_count)) {
        return TP_OK;
    }
    return tp__fail(error, TP_ERROR_DEVICE, "serial:%s was unplugged", port->path);
}

// Nothing holds the senders back: with two frames the device never loses a byte
// (rtl/link/README.md). The kernel keeps 4 KiB for the program, and 640 KiB before these
// (N_TTY_BUF_SIZE, TTYB_DEFAULT_MEM_LIMIT of Linux); a sixteenth leaves room for other systems.
const struct tp_backend tp__backend_serial = {
    .kind = "serial",
    .is_persistent = true,
    .patience_s = 2.0,
    .frames_max = 2,
    .credit_bytes = 40 << 10,
    .open = serial_open,
    .close = serial_close,
    .exchange = serial_exchange,
};

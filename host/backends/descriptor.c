// SPDX-License-Identifier: Apache-2.0
//
// Bytes through a descriptor that does not block.

#include "descriptor.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 5 };  // for bytes of the device; bytes for it wait as long at most

static bool is_passing(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

bool tp__descriptor_read(int descriptor, uint8_t *bytes, size_t max, size_t *count)
{
    *count = 0;
    ssize_t got = max != 0 ? read(descriptor, bytes, max) : -1;
    if (got > 0) {
        *count = (size_t)got;
    }
    return max == 0 || got > 0 || (got < 0 && is_passing());
}

bool tp__descriptor_write(int descriptor, const uint8_t *bytes, size_t size, size_t *count)
{
    *count = 0;
    if (size == 0) {
        return true;
    }
    // Only send() can do without the signal; a terminal has only write().
    ssize_t done = send(descriptor, bytes, size, MSG_NOSIGNAL);
    if (done < 0 && errno == ENOTSOCK) {
        done = write(descriptor, bytes, size);
    }
    if (done > 0) {
        *count = (size_t)done;
    }
    return done >= 0 || is_passing();
}

bool tp__descriptor_exchange(int descriptor, const uint8_t *out, size_t out_count,
                             size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count)
{
    bool takes = tp__descriptor_write(descriptor, out, out_count, out_taken);
    struct pollfd waiting = {.fd = descriptor,
                             .events = (short)(POLLIN | (*out_taken < out_count ? POLLOUT : 0))};
    (void)poll(&waiting, 1, takes ? WAIT_MS : 0);
    bool gives = tp__descriptor_read(descriptor, in, in_max, in_count);
    return (takes && gives) || *in_count != 0;
}

static bool is_ready(int descriptor, short events, int patience_ms)
{
    struct pollfd waiting = {.fd = descriptor, .events = events};
    return poll(&waiting, 1, patience_ms) == 1;
}

bool tp__descriptor_read_all(int descriptor, uint8_t *bytes, size_t size, int patience_ms)
{
    for (size_t done = 0, got = 0; done < size; done += got) {
        if (!is_ready(descriptor, POLLIN, patience_ms) ||
            !tp__descriptor_read(descriptor, bytes + done, size - done, &got)) {
            return false;
        }
    }
    return true;
}

bool tp__descriptor_write_all(int descriptor, const uint8_t *bytes, size_t size, int patience_ms)
{
    for (size_t done = 0, taken = 0; done < size; done += taken) {
        if (!is_ready(descriptor, POLLOUT, patience_ms) ||
            !tp__descriptor_write(descriptor, bytes + done, size - done, &taken)) {
            return false;
        }
    }
    return true;
}

// SPDX-License-Identifier: Apache-2.0
//
// The table that every kind of device implements: a byte stream each way (docs/link.md).

#ifndef TP_BACKEND_H
#define TP_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { TP_MEMORY_WORD_BYTES = 64 };  // of the widest memory of a design

/** A memory of a design in block RAM, as its map names it (docs/bitstream.md). */
struct tp_memory_place {
    const char *name;  // hierarchical
    uint32_t space;    // TP_SPACE_..., or another number: no WRITE frame reaches it
    uint32_t index;    // which of the space
};

struct tp_backend {
    /** First part of a device's name: "emu", "sim", "usb", "serial", "tcp". */
    const char *kind;
    /** True: the device outlives the program, so nobody knows its state when it is opened. */
    bool is_persistent;
    /** Seconds of silence after which what has no answer is repeated, and a run without events is
     *  begun anew; 0: nothing gets lost on the way, and silence is work. */
    double patience_s;
    /** Most WRITE frames under way without an answer; 0: as many as there is room for. */
    uint32_t frames_max;
    /** Bytes of the device that wait safely until exchange() takes them: more are kept back by
     *  credit; 0: the transport holds the device back. */
    uint32_t credit_bytes;

    /** Opens the device that `name` (the part after "kind:", may be empty) means. All memory that
     *  exchange() needs is taken here. `folder` is where simulated devices lie.
     *  out    state  given to the other calls, until close
     *  error  TP_ERROR_NOT_FOUND  no such device
     *         TP_ERROR_DEVICE     it exists but cannot be opened; the text says why
     *         TP_ERROR_BUSY       another program uses it
     *         TP_ERROR_TIMEOUT    it does not answer
     *         TP_ERROR_NO_MEMORY */
    tp_status (*open)(const char *name, const char *folder, void **state, struct tp_error *error);

    /** Ends the device; NULL is allowed. */
    void (*close)(void *state);

    /** Moves bytes both ways and lets the device work for a short time (some milliseconds at most;
     *  a step of the emulator may take longer). Takes up to out_count bytes, gives up to in_max.
     *  Returns early when the device has bytes for the host or can do nothing without more bytes.
     *  out    out_taken, in_count  how many moved
     *  error  TP_ERROR_DEVICE  the device is gone or broken; only close() may follow
     *         TP_ERROR_BUSY    another program uses it; likewise */
    tp_status (*exchange)(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                          uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *error);

    /** Whether the device, as the last exchange() left it, goes on without further bytes. NULL: it
     *  works by itself, outside this process. */
    bool (*has_work)(const void *state);

    /** Hands a partial configuration stream to a device outside this process, beside its link.
     *  NULL: it has no configuration port, or one that is simulated in this process.
     *  in     name  of the stream, for messages
     *  out    fault, block_rams  as tp__port_take
     *  error  of the device, as tp__port_take; TP_ERROR_DEVICE: it cannot be reached */
    tp_status (*configure)(void *state, const uint8_t *bytes, size_t size, const char *name,
                           uint32_t *fault, uint32_t *block_rams, struct tp_error *error);

    // ---- the configuration port of a simulated device; all three or none ----

    /** A word of a memory in block RAM, as configuration streams see it.
     *  out    value  bit 0 in the lowest bit of byte 0; all bytes are written
     *  Returns whether the device has that word. */
    bool (*read_memory)(void *state, const struct tp_memory_place *place, uint32_t word,
                        uint8_t value[TP_MEMORY_WORD_BYTES]);

    /** Sets such a word, which the device has; bits beyond those of the memory do not count. */
    void (*write_memory)(void *state, const struct tp_memory_place *place, uint32_t word,
                         const uint8_t value[TP_MEMORY_WORD_BYTES]);

    /** Whether no slot runs and nothing is on its way to a memory. Lets the device work for some
     *  cycles. */
    bool (*is_quiescent)(void *state);
};

extern const struct tp_backend tp__backend_emulator;
extern const struct tp_backend tp__backend_sim;
extern const struct tp_backend tp__backend_usb;
extern const struct tp_backend tp__backend_serial;
extern const struct tp_backend tp__backend_tcp;

/** Factor of all wall-clock limits, for devices that are simulated behind a real transport: that of
 *  the environment variable TP_TIME_SCALE, else 1. */
double tp__time_scale(void);

#endif

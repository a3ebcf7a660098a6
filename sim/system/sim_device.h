// SPDX-License-Identifier: Apache-2.0
//
// A simulated device: the Verilated tp_top_sim of one configuration, as a shared object with plain
// C entry points. The library finds it with dlopen and looks up TP_SIM_ENTRY.
//
// No global state: any number of devices may live side by side, each used by one thread at a time.

#ifndef TP_SIM_DEVICE_H
#define TP_SIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TP_SIM_ABI   3
#define TP_SIM_ENTRY "tp_sim_entry"

struct tp_sim;

struct tp_sim_entry {
    uint32_t abi;        // TP_SIM_ABI
    const char *config;  // name of the configuration

    /** A device after reset. seed fills what reset leaves alone. wave is the name of an FST file,
     * or NULL; devices that were built without tracing ignore it. It holds step number wave_step
     * and the one before it, because a step begins before the device has told of the last one; of
     * the first two steps all since the first RUN. NULL: no memory. */
    struct tp_sim *(*create)(uint64_t seed, const char *wave, uint32_t wave_step);
    void (*destroy)(struct tp_sim *sim);

    /** Runs at most cycles clock cycles. Offers bytes of out until all are taken, collects bytes of
     *  the device into in. Returns before the cycles are over when in is full, or, with out_count
     *  bytes taken, when the device has been idle (nothing to send, no slot running) for a while or
     *  has ended a frame.
     *  out  out_taken, in_count; returns the cycles that passed. */
    uint64_t (*run)(struct tp_sim *sim, uint64_t cycles, const uint8_t *out, size_t out_count,
                    size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count);

    /** Whether the device has been idle, as run() says, until now. */
    bool (*is_idle)(const struct tp_sim *sim);

    /** Copies a word of a memory in block RAM, between two calls of run(), as a configuration
     *  stream could: value [bytes], bit 0 in the lowest bit of byte 0, is what the memory gets
     *  (write) or has. name is hierarchical, from the core's units on: "u_rmsnorm.u_gain".
     *  Returns whether the device has that word, in no more than so many bytes. */
    bool (*memory)(struct tp_sim *sim, const char *name, uint32_t word, uint8_t *value,
                   size_t bytes, bool write);
};

/** The one exported symbol. */
extern const struct tp_sim_entry tp_sim_entry;

#ifdef __cplusplus
}
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
//
// A Verilated core as a shared object: build/sim/<config>.so, opened with dlopen.
//
// One object is one configuration; any number of devices of it live side by side and share nothing.
// A device belongs to one thread at a time. Its clock runs only inside tp_sim_run.

#ifndef TP_SIM_DEVICE_H
#define TP_SIM_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Grows with every change of this header; a loader refuses another number. */
#define TP_SIM_INTERFACE 1

struct tp_sim;

/** TP_SIM_INTERFACE of the object. */
uint32_t tp_sim_interface(void);

/** Name of the configuration that the object was built from. */
const char *tp_sim_config(void);

/** Makes a device and holds its reset. NULL without memory.
 *  in     seed   power-up state of registers and memories, where the object was built for that
 *         trace  file for the waveform (FST), or NULL; ignored unless built with TRACE=1
 *  owns   the caller destroys it
 */
struct tp_sim *tp_sim_create(uint64_t seed, const char *trace);

void tp_sim_destroy(struct tp_sim *sim);

/** Runs at most cycle_max clock cycles. Returns early when the device has filled `in`, when it has
 *  given bytes and has no more for the moment, or when it can do nothing without more bytes.
 *  in     out, out_count    bytes for the device
 *  out    out_taken         bytes that it took
 *         in, in_count      bytes that it gave, at most in_max
 *  returns cycles that were run
 */
uint64_t tp_sim_run(struct tp_sim *sim, const uint8_t *out, size_t out_count, size_t *out_taken,
                    uint8_t *in, size_t in_max, size_t *in_count, uint64_t cycle_max);

/** Clock cycles since reset. */
uint64_t tp_sim_cycles(const struct tp_sim *sim);

#ifdef __cplusplus
}
#endif

#endif

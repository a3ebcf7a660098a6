// SPDX-License-Identifier: Apache-2.0
//
// A unit with the lines of tp_usb between a host on these and, if it has them, two streams of bytes
// on its core's side, with two clocks.
//
// Time passes by the host's samples, 1/60 us each; the core's clock runs beside, at any rate.
// Nothing here needs a test program around it; misuse aborts.

#ifndef TP_TEST_USB_BENCH_H
#define TP_TEST_USB_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dut.h"
#include "random.h"
#include "usb_host.h"

enum { TP_USB_BENCH_BYTES = 32768 };

/** The core's side of a stream. A source sends the first count bytes, a sink has room for as many;
 *  chance of 256 cycles it is willing. */
struct tp_usb_stream {
    uint8_t bytes[TP_USB_BENCH_BYTES];
    uint32_t count;
    uint32_t done;  // bytes that have moved
    uint32_t chance;
    bool willing;  // valid or ready is high
};

struct tp_usb_bench {
    struct tp_usb_host host;
    struct tp_usb_stream source;
    struct tp_usb_stream sink;
    uint32_t late;     // bits of the lines that the device sees a sample late
    bool may_collide;  // host and device may drive at the same time
    // What else the unit has on the core's clock; NULL: nothing. Called with that clock low, the
    // inputs set, before its rising edge.
    void (*core_cycle)(void *context);
    void *core_context;
    struct tp_dut *dut;
    struct tp_port *clk, *clk_usb, *dp, *dn, *dp_o, *dn_o, *drive, *pull_up;
    // NULL: the unit has no such streams.
    struct tp_port *in_valid, *in_ready, *in_data, *out_valid, *out_ready, *out_data;
    struct tp_random random;
    uint32_t line;  // of the sample before
    uint64_t core_period;
    uint64_t usb_period;
    uint64_t core_next;
    uint64_t usb_next;
};

/** Opens the linked unit, out of reset; streams always willing, the source without bytes.
 *  in     core_khz  the rate of clk_i
 *  owns   the caller closes it
 */
struct tp_usb_bench *tp_usb_bench_open(uint64_t seed, uint32_t core_khz);

/** Some cycles of reset for both clocks. */
void tp_usb_bench_reset(struct tp_usb_bench *bench);

void tp_usb_bench_close(struct tp_usb_bench *bench);

/** Lets samples pass without the host driving. */
void tp_usb_bench_wait(struct tp_usb_bench *bench, uint32_t samples);

#endif

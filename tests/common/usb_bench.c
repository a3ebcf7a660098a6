// SPDX-License-Identifier: Apache-2.0

#include "usb_bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { USB_KHZ = 60000, RESET_CYCLES = 16 };

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "usb_bench: %s\n", what);
    abort();
}

static void drive_streams(struct tp_usb_bench *b)
{
    if (b->in_valid == NULL) return;
    struct tp_usb_stream *source = &b->source;
    struct tp_usb_stream *sink = &b->sink;
    // Once valid, always valid.
    if (!source->willing && source->done < source->count) {
        source->willing = tp_random_chance(&b->random, source->chance);
    }
    sink->willing = sink->done < sink->count && tp_random_chance(&b->random, sink->chance);
    tp_port_set(b->in_valid, source->willing);
    if (source->willing) tp_port_set(b->in_data, source->bytes[source->done]);
    tp_port_set(b->out_ready, sink->willing);
}

static void move_streams(struct tp_usb_bench *b)
{
    if (b->in_valid == NULL) return;
    if (b->source.willing && tp_port_get(b->in_ready)) {
        b->source.done++;
        b->source.willing = false;
    }
    if (b->sink.willing && tp_port_get(b->out_valid)) {
        b->sink.bytes[b->sink.done++] = (uint8_t)tp_port_get(b->out_data);
    }
}

// One cycle of either clock or of both: inputs change with the falling edge.
static void cycle(struct tp_usb_bench *b, bool core, bool usb)
{
    if (core) drive_streams(b);
    if (core) tp_port_set(b->clk, 0);
    if (usb) tp_port_set(b->clk_usb, 0);
    tp_dut_settle(b->dut);
    if (core) move_streams(b);
    if (core && b->core_cycle != NULL) b->core_cycle(b->core_context);
    if (core) tp_port_set(b->clk, 1);
    if (usb) tp_port_set(b->clk_usb, 1);
    tp_dut_settle(b->dut);
}

// Until the next edge of the bus's clock, with it.
static void pass_time(struct tp_usb_bench *b)
{
    while (b->core_next < b->usb_next) {
        cycle(b, true, false);
        b->core_next += b->core_period;
    }
    bool both = b->core_next == b->usb_next;
    if (both) b->core_next += b->core_period;
    b->usb_next += b->usb_period;
    cycle(b, both, true);
}

static enum tp_usb_line lines_of(struct tp_usb_bench *b, enum tp_usb_line drive)
{
    if (tp_port_get(b->drive)) {
        if (drive != TP_USB_LINE_RELEASED && !b->may_collide) fail("both drive the line");
        return (enum tp_usb_line)(tp_port_get(b->dp_o) | tp_port_get(b->dn_o) << 1);
    }
    if (drive != TP_USB_LINE_RELEASED) return drive;
    return tp_port_get(b->pull_up) ? TP_USB_LINE_J : TP_USB_LINE_SE0;
}

static enum tp_usb_line sample(void *context, enum tp_usb_line drive)
{
    struct tp_usb_bench *b = context;
    enum tp_usb_line line = lines_of(b, drive);
    uint32_t late = (line & ~b->late) | (b->line & b->late);
    b->line = line;
    tp_port_set(b->dp, late & 1);
    tp_port_set(b->dn, late >> 1 & 1);
    pass_time(b);
    return lines_of(b, drive);
}

struct tp_usb_bench *tp_usb_bench_open(uint64_t seed, uint32_t core_khz)
{
    struct tp_usb_bench *b = calloc(1, sizeof *b);
    if (b == NULL) fail("no memory");
    struct tp_dut *dut = tp_dut_open_in_reset(seed);
    b->dut = dut;
    b->clk = tp_dut_port(dut, "clk_i");
    b->clk_usb = tp_dut_port(dut, "clk_usb_i");
    b->dp = tp_dut_port(dut, "usb_dp_i");
    b->dn = tp_dut_port(dut, "usb_dn_i");
    b->dp_o = tp_dut_port(dut, "usb_dp_o");
    b->dn_o = tp_dut_port(dut, "usb_dn_o");
    b->drive = tp_dut_port(dut, "usb_drive_o");
    b->pull_up = tp_dut_port(dut, "usb_pull_up_o");
    b->in_valid = tp_dut_find_port(dut, "in_valid_i");
    if (b->in_valid != NULL) {
        b->in_ready = tp_dut_port(dut, "in_ready_o");
        b->in_data = tp_dut_port(dut, "in_data_i");
        b->out_valid = tp_dut_port(dut, "out_valid_o");
        b->out_ready = tp_dut_port(dut, "out_ready_i");
        b->out_data = tp_dut_port(dut, "out_data_o");
    }
    tp_random_init(&b->random, seed, 2);
    tp_usb_host_init(&b->host, sample, b, seed);
    // Periods in a unit of which both have whole numbers.
    b->core_period = USB_KHZ;
    b->usb_period = core_khz;
    b->source.chance = 256;
    b->sink.chance = 256;
    tp_usb_bench_reset(b);
    b->sink.count = TP_USB_BENCH_BYTES;
    return b;
}

void tp_usb_bench_reset(struct tp_usb_bench *bench)
{
    tp_dut_set(bench->dut, "rst_ni", 0);
    tp_dut_set(bench->dut, "rst_usb_ni", 0);
    for (int n = 0; n < RESET_CYCLES; n++) cycle(bench, true, true);
    tp_dut_set(bench->dut, "rst_ni", 1);
    tp_dut_set(bench->dut, "rst_usb_ni", 1);
}

void tp_usb_bench_close(struct tp_usb_bench *bench)
{
    tp_dut_close(bench->dut);
    free(bench);
}

void tp_usb_bench_wait(struct tp_usb_bench *bench, uint32_t samples)
{
    tp_usb_host_hold(&bench->host, TP_USB_LINE_RELEASED, samples);
}

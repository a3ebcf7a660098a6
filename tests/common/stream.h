// SPDX-License-Identifier: Apache-2.0
//
// Sources and sinks for the valid/ready streams of a Verilated unit, with pause patterns.
//
// A stream "in" with the fields "data,last" is the ports in_valid_i, in_ready_o, in_data_i and
// in_last_i; a sink's ports end the other way round. A beat is the fields one after the other, each
// in as many 32-bit words as its port needs, least significant first. A stream without a ready port
// is valid-only: the source makes gaps, the sink takes everything.
//
// Use: init, then per cycle tp_stream_cycle over all streams, or tp_stream_run until all are done.

#ifndef TP_TEST_STREAM_H
#define TP_TEST_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dut.h"
#include "random.h"

#define TP_STREAM_FIELDS_MAX 8

/** When a source holds valid back or a sink holds ready back. */
enum tp_pause {
    TP_PAUSE_NONE,    // never
    TP_PAUSE_RANDOM,  // every second cycle, by chance
    TP_PAUSE_BURST,   // runs of 1 to 16 cycles, on and off
    TP_PAUSE_STALL,   // mostly on, now and then off for 50 to 200 cycles
    TP_PAUSE_COUNT
};

struct tp_stream {
    const char *name;
    bool is_source;
    enum tp_pause pause;
    struct tp_random random;
    struct tp_port *valid;
    struct tp_port *ready;  // NULL in a valid-only stream
    struct tp_port *fields[TP_STREAM_FIELDS_MAX];
    uint32_t field_count;
    uint32_t words_per_beat;
    uint32_t *beats;  // of the caller; a source only reads them
    size_t beat_limit;
    size_t beat_count;  // moved so far
    uint64_t first_cycle;
    uint64_t last_cycle;  // cycles in which the first and the last beat moved
    uint32_t run_left;    // cycles left in the present run of a burst or stall
    bool paused;
    bool offered;  // source: valid is up; sink: ready is up
    bool waiting;  // sink: the last cycle ended with a beat that did not move
    uint32_t *held;
};

/** Binds a source that sends count beats. beats stays with the caller until the stream is freed. */
void tp_source_init(struct tp_stream *stream, struct tp_dut *dut, const char *name,
                    const char *fields, enum tp_pause pause, uint64_t seed, const uint32_t *beats,
                    size_t count);

/** Binds a sink for exactly count beats; one more fails the test. beats is the caller's. */
void tp_sink_init(struct tp_stream *stream, struct tp_dut *dut, const char *name,
                  const char *fields, enum tp_pause pause, uint64_t seed, uint32_t *beats,
                  size_t count);

void tp_stream_free(struct tp_stream *stream);

/** Gives a source count more beats, or a sink room for them; the old ones are done and gone. */
void tp_stream_again(struct tp_stream *stream, uint32_t *beats, size_t count);

bool tp_stream_done(const struct tp_stream *stream);

/** One clock cycle: drives all streams, settles, samples, ticks. A sink fails the test when the
 * unit takes back or changes a beat that waits, or sends one too many. */
void tp_stream_cycle(struct tp_dut *dut, struct tp_stream **streams, size_t count);

/** Cycles until every stream is done, then extra cycles in which nothing more may come. Fails the
 *  test after cycle_limit cycles. Returns the cycles without the extra ones. */
uint64_t tp_stream_run(struct tp_dut *dut, struct tp_stream **streams, size_t count,
                       uint64_t cycle_limit);

/** The pause patterns of source and sink for loop index i: all pairs in 16 steps. */
enum tp_pause tp_pause_source(int i);
enum tp_pause tp_pause_sink(int i);

#endif

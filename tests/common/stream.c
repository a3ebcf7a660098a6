// SPDX-License-Identifier: Apache-2.0
//
// Sources and sinks for the valid/ready streams of a Verilated unit, with pause patterns.

#include "stream.h"

#include <assert.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXTRA_CYCLES = 64, NAME_MAX_BYTES = 128 };

static struct tp_port *port_of(struct tp_dut *dut, const char *stream, const char *field,
                               bool is_input, bool is_needed)
{
    char name[NAME_MAX_BYTES];
    int length = snprintf(name, sizeof name, "%s_%s_%s", stream, field, is_input ? "i" : "o");
    assert(length > 0 && length < NAME_MAX_BYTES);
    return is_needed ? tp_dut_port(dut, name) : tp_dut_find_port(dut, name);
}

static void bind_fields(struct tp_stream *stream, struct tp_dut *dut, const char *fields)
{
    char list[NAME_MAX_BYTES];
    assert(strlen(fields) < sizeof list);
    strcpy(list, fields);
    char *rest = NULL;
    for (char *field = strtok_r(list, ",", &rest); field; field = strtok_r(NULL, ",", &rest)) {
        assert(stream->field_count < TP_STREAM_FIELDS_MAX);
        struct tp_port *port = port_of(dut, stream->name, field, stream->is_source, true);
        stream->fields[stream->field_count++] = port;
        stream->words_per_beat += tp_port_words(port);
    }
}

static void bind_stream(struct tp_stream *stream, struct tp_dut *dut, const char *name,
                        const char *fields, enum tp_pause pause, uint64_t seed)
{
    stream->name = name;
    stream->pause = pause;
    uint64_t number = 0;
    for (const char *c = name; *c; c++) number = number * 31 + (unsigned char)*c;
    tp_random_init(&stream->random, seed, number);
    stream->valid = port_of(dut, name, "valid", stream->is_source, true);
    stream->ready = port_of(dut, name, "ready", !stream->is_source, false);
    bind_fields(stream, dut, fields);
    stream->held = calloc(stream->words_per_beat + 1u, sizeof *stream->held);
    assert(stream->held != NULL);
}

void tp_source_init(struct tp_stream *stream, struct tp_dut *dut, const char *name,
                    const char *fields, enum tp_pause pause, uint64_t seed, const uint32_t *beats,
                    size_t count)
{
    memset(stream, 0, sizeof *stream);
    stream->is_source = true;
    bind_stream(stream, dut, name, fields, pause, seed);
    stream->beats = (uint32_t *)(uintptr_t)beats;
    stream->beat_limit = count;
}

void tp_sink_init(struct tp_stream *stream, struct tp_dut *dut, const char *name,
                  const char *fields, enum tp_pause pause, uint64_t seed, uint32_t *beats,
                  size_t count)
{
    memset(stream, 0, sizeof *stream);
    bind_stream(stream, dut, name, fields, pause, seed);
    stream->beats = beats;
    stream->beat_limit = count;
}

void tp_stream_free(struct tp_stream *stream)
{
    free(stream->held);
    stream->held = NULL;
}

void tp_stream_again(struct tp_stream *stream, uint32_t *beats, size_t count)
{
    assert(tp_stream_done(stream));
    stream->beats = beats;
    stream->beat_limit = count;
    stream->beat_count = 0;
}

bool tp_stream_done(const struct tp_stream *stream)
{
    return stream->beat_count == stream->beat_limit;
}

static void next_pause(struct tp_stream *stream)
{
    struct tp_random *random = &stream->random;
    if (stream->run_left > 0) {
        stream->run_left--;
        return;
    }
    switch (stream->pause) {
    case TP_PAUSE_RANDOM:
        stream->paused = tp_random_chance(random, 128);
        break;
    case TP_PAUSE_BURST:
        stream->paused = !stream->paused;
        stream->run_left = tp_random_below(random, 16);
        break;
    case TP_PAUSE_STALL:
        stream->paused = tp_random_chance(random, 4);
        if (stream->paused) stream->run_left = 49 + tp_random_below(random, 151);
        break;
    default:
        stream->paused = false;
        break;
    }
}

static void drive_source(struct tp_stream *stream)
{
    next_pause(stream);
    bool keep = stream->offered && stream->ready != NULL;
    if (!keep) stream->offered = !stream->paused && !tp_stream_done(stream);
    tp_port_set(stream->valid, stream->offered);
    const uint32_t *word = stream->beats + stream->beat_count * stream->words_per_beat;
    for (uint32_t i = 0; i < stream->field_count; i++) {
        uint32_t words = tp_port_words(stream->fields[i]);
        // Without valid the payload is noise: a unit that looks at it anyway must not survive.
        if (!stream->offered) tp_random_words(&stream->random, stream->held, words);
        tp_port_set_words(stream->fields[i], stream->offered ? word : stream->held);
        if (stream->offered) word += words;
    }
}

static void drive_sink(struct tp_stream *stream)
{
    next_pause(stream);
    stream->offered = stream->ready == NULL || !stream->paused;
    if (stream->ready != NULL) tp_port_set(stream->ready, stream->offered);
}

static void count_beat(struct tp_stream *stream, uint64_t cycle)
{
    if (stream->beat_count == 0) stream->first_cycle = cycle;
    stream->last_cycle = cycle;
    stream->beat_count++;
}

static void sample_source(struct tp_stream *stream, uint64_t cycle)
{
    if (!stream->offered) return;
    if (stream->ready != NULL && tp_port_get(stream->ready) == 0) return;
    count_beat(stream, cycle);
    stream->offered = false;
}

static void read_beat(const struct tp_stream *stream, uint32_t *word)
{
    for (uint32_t i = 0; i < stream->field_count; i++) {
        tp_port_get_words(stream->fields[i], word);
        word += tp_port_words(stream->fields[i]);
    }
}

static void sample_sink(struct tp_stream *stream, uint64_t cycle)
{
    bool valid = tp_port_get(stream->valid) != 0;
    if (stream->waiting && !valid) ck_abort_msg("%s: the unit took back a beat", stream->name);
    if (!valid) return;
    if (tp_stream_done(stream)) {
        ck_abort_msg("%s: a beat after the last of %zu", stream->name, stream->beat_limit);
    }
    uint32_t *beat = stream->beats + stream->beat_count * stream->words_per_beat;
    read_beat(stream, beat);
    size_t bytes = stream->words_per_beat * sizeof *beat;
    if (stream->waiting && memcmp(beat, stream->held, bytes) != 0) {
        ck_abort_msg("%s: the unit changed beat %zu while it waited", stream->name,
                     stream->beat_count);
    }
    memcpy(stream->held, beat, bytes);
    stream->waiting = !stream->offered;
    if (stream->offered) count_beat(stream, cycle);
}

void tp_stream_cycle(struct tp_dut *dut, struct tp_stream **streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (streams[i]->is_source)
            drive_source(streams[i]);
        else
            drive_sink(streams[i]);
    }
    tp_dut_settle(dut);
    for (size_t i = 0; i < count; i++) {
        if (streams[i]->is_source)
            sample_source(streams[i], tp_dut_cycles(dut));
        else
            sample_sink(streams[i], tp_dut_cycles(dut));
    }
    tp_dut_tick(dut);
}

static const struct tp_stream *first_open(struct tp_stream **streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!tp_stream_done(streams[i])) return streams[i];
    }
    return NULL;
}

uint64_t tp_stream_run(struct tp_dut *dut, struct tp_stream **streams, size_t count,
                       uint64_t cycle_limit)
{
    uint64_t start = tp_dut_cycles(dut);
    const struct tp_stream *open = first_open(streams, count);
    while (open != NULL) {
        if (tp_dut_cycles(dut) - start >= cycle_limit) {
            ck_abort_msg("%s: %zu of %zu beats after %llu cycles", open->name, open->beat_count,
                         open->beat_limit, (unsigned long long)cycle_limit);
        }
        tp_stream_cycle(dut, streams, count);
        open = first_open(streams, count);
    }
    uint64_t cycles = tp_dut_cycles(dut) - start;
    for (int i = 0; i < EXTRA_CYCLES; i++) tp_stream_cycle(dut, streams, count);
    return cycles;
}

enum tp_pause tp_pause_source(int i)
{
    return (enum tp_pause)(i % TP_PAUSE_COUNT);
}

enum tp_pause tp_pause_sink(int i)
{
    return (enum tp_pause)(i / TP_PAUSE_COUNT % TP_PAUSE_COUNT);
}

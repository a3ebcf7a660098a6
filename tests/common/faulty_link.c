// SPDX-License-Identifier: Apache-2.0

#include "faulty_link.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

enum { QUEUE_BYTES = 1 << 17, CHUNK_BYTES = 4096, IDLE_EXCHANGES = 64 };

struct queue {
    uint8_t bytes[QUEUE_BYTES];
    size_t count;
};

struct way {
    struct tp_capture captured;
    struct tp_edit edits[TP_EDITS_MAX];
    uint32_t edit_count;
    size_t seen;     // bytes since the start
    size_t to_drop;  // of an edit that removes
    struct queue held;
    bool muted;
    struct queue queue;  // passed on, not yet taken
};

static struct {
    pthread_mutex_t mutex;
    struct way ways[TP_WAYS];
    struct tp_random random;
    uint32_t one_in;
    bool noise;
    bool unplugged;
    void *kept;  // device of the persistent back end
} wire = {.mutex = PTHREAD_MUTEX_INITIALIZER};

// ---- what a test asks for ----

void tp_test_link_start(void)
{
    pthread_mutex_lock(&wire.mutex);
    for (int w = 0; w < TP_WAYS; w++) {
        struct way *way = &wire.ways[w];
        way->captured.count = 0;
        way->edit_count = 0;
        way->seen = 0;
        way->to_drop = 0;
        way->held.count = 0;
        way->muted = false;
    }
    wire.one_in = 0;
    wire.noise = false;
    wire.unplugged = false;
    pthread_mutex_unlock(&wire.mutex);
}

void tp_test_link_edit(const struct tp_edit *edit)
{
    pthread_mutex_lock(&wire.mutex);
    struct way *way = &wire.ways[edit->way];
    if (way->edit_count == TP_EDITS_MAX) abort();
    way->edits[way->edit_count++] = *edit;
    pthread_mutex_unlock(&wire.mutex);
}

void tp_test_link_random(uint64_t seed, uint32_t one_in)
{
    pthread_mutex_lock(&wire.mutex);
    tp_random_init(&wire.random, seed, 0);
    wire.one_in = one_in;
    pthread_mutex_unlock(&wire.mutex);
}

void tp_test_link_mute(enum tp_way way)
{
    pthread_mutex_lock(&wire.mutex);
    wire.ways[way].muted = true;
    pthread_mutex_unlock(&wire.mutex);
}

void tp_test_link_noise(uint64_t seed)
{
    pthread_mutex_lock(&wire.mutex);
    tp_random_init(&wire.random, seed, 1);
    wire.noise = true;
    pthread_mutex_unlock(&wire.mutex);
}

void tp_test_link_unplug(void)
{
    pthread_mutex_lock(&wire.mutex);
    wire.unplugged = true;
    pthread_mutex_unlock(&wire.mutex);
}

const struct tp_capture *tp_test_link_captured(enum tp_way way)
{
    return &wire.ways[way].captured;
}

// ---- bytes on their way ----

static void put(struct way *way, const uint8_t *bytes, size_t count)
{
    if (way->muted) return;
    if (way->queue.count + count > QUEUE_BYTES) abort();
    memcpy(way->queue.bytes + way->queue.count, bytes, count);
    way->queue.count += count;
}

static void put_at_random(struct way *way, uint8_t byte)
{
    const uint8_t other = (uint8_t)tp_random_u32(&wire.random);
    const uint8_t flipped = (uint8_t)(byte ^ 1u << other % 8);
    switch (wire.one_in == 0 || tp_random_below(&wire.random, wire.one_in) != 0
                ? 4
                : tp_random_below(&wire.random, 4)) {
    case 0:
        put(way, &flipped, 1);
        break;
    case 1:
        break;
    case 2:
        put(way, &byte, 1);
        put(way, &byte, 1);
        break;
    case 3:
        put(way, &other, 1);
        put(way, &byte, 1);
        break;
    default:
        put(way, &byte, 1);
        break;
    }
}

// One byte of the sender, with the edits of its place.
static void pass_byte(struct way *way, uint8_t byte)
{
    size_t seen = way->seen++;
    bool held = false;
    for (uint32_t e = 0; e < way->edit_count; e++) {
        const struct tp_edit *edit = &way->edits[e];
        if (seen >= edit->at && seen - edit->at < edit->hold) {
            way->held.bytes[way->held.count++] = byte;
            held = true;
        }
        if (edit->hold != 0 && seen == edit->at + edit->hold + edit->until) {
            put(way, way->held.bytes, way->held.count);
        }
        if (seen == edit->at) {
            size_t again = edit->again < seen ? edit->again : seen;
            put(way, edit->bytes, edit->insert);
            put(way, way->captured.bytes + seen - again, again);
            way->to_drop += edit->remove;
            byte ^= edit->flip;
        }
    }
    if (way->to_drop != 0) {
        way->to_drop--;
    } else if (!held) {
        put_at_random(way, byte);
    }
}

static void pass(struct way *way, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pass_byte(way, bytes[i]);
        if (way->captured.count < TP_CAPTURE_MAX) {
            way->captured.bytes[way->captured.count++] = bytes[i];
        }
    }
}

static void take(struct queue *queue, size_t count)
{
    memmove(queue->bytes, queue->bytes + count, queue->count - count);
    queue->count -= count;
}

// One exchange of the device; false: nothing moved.
static bool move(const struct tp_backend *inner, void *state, tp_status *status,
                 struct tp_error *error)
{
    struct queue *queue = &wire.ways[TP_TO_DEVICE].queue;
    uint8_t bytes[CHUNK_BYTES];
    size_t taken = 0;
    size_t got = 0;
    *status = inner->exchange(state, queue->bytes, queue->count, &taken, bytes, sizeof bytes, &got,
                              error);
    take(queue, taken);
    pass(&wire.ways[TP_TO_HOST], bytes, got);
    return taken != 0 || got != 0;
}

static tp_status exchange(const struct tp_backend *inner, void *state, const uint8_t *out,
                          size_t out_count, size_t *out_taken, uint8_t *in, size_t in_max,
                          size_t *in_count, struct tp_error *error)
{
    struct queue *heard = &wire.ways[TP_TO_HOST].queue;
    tp_status status = TP_OK;
    pthread_mutex_lock(&wire.mutex);
    if (wire.unplugged) {
        status = tp__fail(error, TP_ERROR_DEVICE, "the cable was pulled out");
    }
    pass(&wire.ways[TP_TO_DEVICE], out, out_count);
    *out_taken = out_count;
    // A simulated step lasts for several exchanges that move nothing.
    for (int idle = 0; idle < IDLE_EXCHANGES && heard->count == 0 && status == TP_OK; idle++) {
        idle = move(inner, state, &status, error) ? 0 : idle;
    }
    *in_count = heard->count < in_max ? heard->count : in_max;
    memcpy(in, heard->bytes, *in_count);
    take(heard, *in_count);
    if (wire.noise) {
        *in_count = in_max;
        for (size_t i = 0; i < in_max; i++) in[i] = (uint8_t)tp_random_u32(&wire.random);
    }
    pthread_mutex_unlock(&wire.mutex);
    return status;
}

// ---- the tables ----

static void forget_queues(void)
{
    for (int w = 0; w < TP_WAYS; w++) wire.ways[w].queue.count = 0;
}

static tp_status open_emulator(const char *name, const char *folder, void **state,
                               struct tp_error *error)
{
    forget_queues();
    return tp__backend_emulator.open(name, folder, state, error);
}

static tp_status open_sim(const char *name, const char *folder, void **state,
                          struct tp_error *error)
{
    forget_queues();
    return tp__backend_sim.open(name, folder, state, error);
}

static tp_status open_kept(const char *name, const char *folder, void **state,
                           struct tp_error *error)
{
    tp_status status = wire.kept != NULL ? TP_OK : open_emulator(name, folder, &wire.kept, error);
    *state = wire.kept;
    return status;
}

static void close_emulator(void *state)
{
    tp__backend_emulator.close(state);
}

static void close_sim(void *state)
{
    tp__backend_sim.close(state);
}

static void close_kept(void *state)
{
    (void)state;
}

void tp_test_link_end(void)
{
    tp__backend_emulator.close(wire.kept);
    wire.kept = NULL;
    forget_queues();
}

static tp_status exchange_emulator(void *state, const uint8_t *out, size_t out_count,
                                   size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count,
                                   struct tp_error *error)
{
    return exchange(&tp__backend_emulator, state, out, out_count, out_taken, in, in_max, in_count,
                    error);
}

static tp_status exchange_sim(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                              uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *error)
{
    return exchange(&tp__backend_sim, state, out, out_count, out_taken, in, in_max, in_count,
                    error);
}

const struct tp_backend tp_test_faulty_emulator = {.kind = "faulty",
                                                   .patience_s = 1e-9,
                                                   .open = open_emulator,
                                                   .close = close_emulator,
                                                   .exchange = exchange_emulator};

const struct tp_backend tp_test_faulty_sim = {.kind = "faulty",
                                              .patience_s = 1e-9,
                                              .open = open_sim,
                                              .close = close_sim,
                                              .exchange = exchange_sim};

const struct tp_backend tp_test_faulty_persistent = {.kind = "faulty",
                                                     .is_persistent = true,
                                                     .patience_s = 1e-9,
                                                     .frames_max = 2,
                                                     .credit_bytes = 1000,
                                                     .open = open_kept,
                                                     .close = close_kept,
                                                     .exchange = exchange_emulator};

// SPDX-License-Identifier: Apache-2.0
//
// Any bytes from a host, many of them as intact frames, against the emulator: what it says is
// intact frames, each host frame has one answer, events have consecutive numbers, and behind
// zeros it answers HELLO.
//
// TP_FUZZ_RUNS: 3000

#include "backend.h"
#include "frame.h"
#include "fuzz.h"

enum { ZEROS = TP_FRAME_BYTES_MAX };

static struct {
    void *device;
    struct tp_frame_decoder sent;  // as the device decodes it
    struct tp_frame_decoder heard;
    uint32_t answers_owed;
    uint8_t event_sequence;
    struct tp_frame last;
} talk;

static void hear(const struct tp_frame *frame)
{
    talk.last = *frame;
    if (frame->type >= TP_FRAME_TOKEN) {
        FUZZ_REQUIRE(frame->sequence == talk.event_sequence);
        talk.event_sequence++;
    } else {
        FUZZ_REQUIRE(talk.answers_owed-- != 0);
    }
}

// Sends the bytes and listens until the device has nothing more to do.
static void send(const uint8_t *bytes, size_t count)
{
    struct tp_error error;
    struct tp_frame frame;
    for (size_t i = 0; i < count; i++) {
        talk.answers_owed += tp__frame_decode(&talk.sent, bytes[i], &frame) ? 1u : 0u;
    }
    for (;;) {
        uint8_t in[512];
        size_t taken = 0;
        size_t got = 0;
        FUZZ_REQUIRE(tp__backend_emulator.exchange(talk.device, bytes, count, &taken, in, sizeof in,
                                                   &got, &error) == TP_OK);
        bytes += taken;
        count -= taken;
        for (size_t i = 0; i < got; i++) {
            if (tp__frame_decode(&talk.heard, in[i], &frame)) {
                hear(&frame);
            }
        }
        FUZZ_REQUIRE(talk.heard.bad == 0);
        if (count == 0 && got == 0) {
            return;
        }
    }
}

// The next frame of an input, or raw bytes. Returns the bytes of the input that it took.
static size_t send_next(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {
        TP_FRAME_WRITE,  TP_FRAME_SLOT,  TP_FRAME_FEED,     TP_FRAME_RUN,    TP_FRAME_CANCEL,
        TP_FRAME_RECENT, TP_FRAME_HELLO, TP_FRAME_SECTIONS, TP_FRAME_CREDIT, TP_FRAME_READ};
    static const uint8_t lengths[] = {12, TP_SLOT_BYTES, 6, 8, 4, 6, 0, 4, 4, 8};
    size_t kind = data[0] % sizeof types;
    size_t left = size - 1;
    if ((data[0] & 0x80) != 0) {
        size_t count = left < kind + 1 ? left : kind + 1;
        send(data + 1, count);
        return 1 + count;
    }
    struct tp_frame frame = {
        .type = types[kind], .sequence = (uint8_t)(data[0] >> 3), .length = lengths[kind]};
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    size_t given = left < frame.length ? left : frame.length;
    memcpy(frame.payload, data + 1, given);
    send(bytes, tp__frame_encode(&frame, bytes));
    return 1 + given;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[ZEROS];
    static const struct tp_frame hello = {.type = TP_FRAME_HELLO, .sequence = 7};
    struct tp_error error;
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    memset(&talk, 0, sizeof talk);
    FUZZ_REQUIRE(tp__backend_emulator.open("small", "", &talk.device, &error) == TP_OK);
    while (size != 0) {
        size_t taken = send_next(data, size);
        data += taken;
        size -= taken;
    }
    send(zeros, sizeof zeros);
    FUZZ_REQUIRE(talk.answers_owed == 0);
    send(bytes, tp__frame_encode(&hello, bytes));
    FUZZ_REQUIRE(talk.last.type == TP_FRAME_HELLO_REPLY && talk.last.sequence == hello.sequence);
    tp__backend_emulator.close(talk.device);
    return 0;
}

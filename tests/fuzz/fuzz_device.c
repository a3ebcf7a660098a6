// SPDX-License-Identifier: Apache-2.0
//
// Any answers and events of a device, most of them as intact frames, against the library's thread:
// a run brings tokens of the vocabulary and an end, or one error; nothing hangs, and no callback
// sees a position twice.
//
// TP_FUZZ_RUNS: 100

#include "frame.h"
#include "fuzz.h"
#include "session.h"

enum { VOCAB = 6, CONTEXT = 8, EVENTS_MAX = 4, OUT_BYTES = 1 << 16, FLOATS = 256 };

// A device that does what the input says once it is armed, and nothing behind its end.
static struct {
    const uint8_t *data;
    size_t size;
    bool armed;
    struct tp_frame_decoder decoder;
    uint8_t event_sequence;
    uint8_t out[OUT_BYTES];
    size_t out_count;
} stub;

static uint8_t next(void)
{
    if (stub.size == 0) {
        return 0;
    }
    stub.size--;
    return *stub.data++;
}

static void say(const struct tp_frame *frame)
{
    if (stub.out_count + TP_FRAME_BYTES_MAX <= OUT_BYTES) {
        stub.out_count += tp__frame_encode(frame, stub.out + stub.out_count);
    }
}

static void say_hello(uint8_t sequence)
{
    struct tp_frame reply = {.type = TP_FRAME_HELLO_REPLY, .sequence = sequence, .length = 40};
    uint8_t *p = reply.payload;
    tp__put16(p, TP_PROTOCOL_VERSION);
    p[2] = 2;
    p[3] = 4;
    p[4] = TP_HELLO_FULL_SAMPLING;
    p[5] = 2;
    p[6] = TP_TOP_K_MAX;
    p[7] = 7;
    tp__put32(p + 8, 1024);
    tp__put32(p + 12, 512);
    tp__put16(p + 16, 64);
    tp__put16(p + 18, 128);
    tp__put16(p + 20, 192);
    tp__put16(p + 22, 64);
    tp__put32(p + 24, 512);
    tp__put16(p + 28, 64);
    tp__put16(p + 30, 256);
    tp__put16(p + 32, 256);
    tp__put16(p + 34, 256);
    say(&reply);
}

static void answer(const struct tp_frame *frame)
{
    struct tp_frame reply = {
        .type = TP_FRAME_ACK, .sequence = frame->sequence, .length = 4, .payload = {frame->type}};
    uint8_t what = stub.armed ? next() % 8 : 0;
    if (what == 3 || (stub.armed && stub.size == 0)) {
        return;
    }
    reply.payload[1] = what == 4 ? next() % 8 : TP_ACK_OK;
    reply.sequence = (uint8_t)(reply.sequence + (what == 5 ? next() : 0));
    if (what == 6) {
        for (uint8_t left = next() % 32; left != 0 && stub.out_count < OUT_BYTES; left--) {
            stub.out[stub.out_count++] = next();
        }
    } else if (frame->type == TP_FRAME_HELLO) {
        say_hello(reply.sequence);
        return;
    } else if (frame->type == TP_FRAME_STATISTICS) {
        reply.type = TP_FRAME_STATISTICS_REPLY;
        reply.length = 56;
        memset(reply.payload, 0, sizeof reply.payload);
        reply.payload[16] = what == 7 ? next() : 0;
    }
    say(&reply);
}

// Words 0 of the payload are as a device sends them, with small numbers of the input.
static void say_event(void)
{
    static const uint8_t lengths[] = {8, 28, 4, 8 + 4 * VOCAB, 16 + 8};
    uint8_t what = next();
    struct tp_frame event = {.type = (uint8_t)(TP_FRAME_TOKEN + what % 5),
                             .length = lengths[what % 5]};
    stub.event_sequence = (uint8_t)(stub.event_sequence + ((what & 0x80) != 0 ? next() : 0));
    event.sequence = stub.event_sequence++;
    uint8_t *p = event.payload;
    uint8_t number = next();
    switch (event.type) {
    case TP_FRAME_TOKEN:
        p[2] = number % (VOCAB + 2);
        p[4] = next() % (CONTEXT + 2);
        break;
    case TP_FRAME_STEP:
        p[0] = number;
        p[8] = next() % 4;
        p[9] = p[8];
        p[12] = next() % (CONTEXT + 2);
        break;
    case TP_FRAME_DONE:
        p[1] = number % 6;
        p[2] = next() % (CONTEXT + 2);
        break;
    case TP_FRAME_LOGITS:
        p[2] = number % (VOCAB + 1);
        p[4] = next() % (VOCAB + 1);
        break;
    default:
        p[1] = number % 3;
        p[8] = 1;
        p[16] = next() % (VOCAB + 1);
        break;
    }
    say(&event);
}

static tp_status stub_open(const char *name, const char *folder, void **state,
                           struct tp_error *error)
{
    (void)name;
    (void)folder;
    (void)error;
    *state = &stub;
    return TP_OK;
}

static void stub_close(void *state)
{
    (void)state;
}

static tp_status stub_exchange(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                               uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *error)
{
    (void)state;
    (void)error;
    struct tp_frame frame;
    for (size_t i = 0; i < out_count; i++) {
        if (tp__frame_decode(&stub.decoder, out[i], &frame)) {
            answer(&frame);
        }
    }
    *out_taken = out_count;
    for (int i = 0; stub.armed && stub.size != 0 && i < EVENTS_MAX; i++) {
        say_event();
    }
    *in_count = stub.out_count < in_max ? stub.out_count : in_max;
    memcpy(in, stub.out, *in_count);
    stub.out_count -= *in_count;
    memmove(stub.out, stub.out + *in_count, stub.out_count);
    return TP_OK;
}

static const struct tp_backend stub_backend = {.kind = "stub",
                                               .patience_s = 1e-9,
                                               .open = stub_open,
                                               .close = stub_close,
                                               .exchange = stub_exchange};

// A model of zeros, for all inputs: what it says is the device's matter.
static tp_model *open_model(tp_context *context)
{
    static uint8_t bytes[4 * (7 + FLOATS)];
    static const uint32_t header[7] = {4, 4, 1, 2, 1, VOCAB, CONTEXT};
    const size_t floats = 4 * VOCAB + 4 + 16 + 8 + 8 + 16 + 4 + 3 * 16 + 4 + 2 * CONTEXT;
    struct tp_source_model source;
    struct tp_error error;
    tp_model *model = NULL;
    for (size_t i = 0; i < 7; i++) tp__put32(bytes + 4 * i, header[i]);
    FUZZ_REQUIRE(tp__source_model_parse(bytes, 4 * (7 + floats), "m", &source, &error) == TP_OK);
    FUZZ_REQUIRE(tp__model_create(context, &source, &model, &error) == TP_OK);
    return model;
}

static uint32_t last_position;

static void hear_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    (void)user;
    FUZZ_REQUIRE(logits != NULL && vocab == VOCAB && position == last_position);
    last_position++;
}

static void run(tp_device *device, uint8_t kind)
{
    static const uint32_t prompt[] = {1, 2};
    const struct tp_session_options options = {.temperature = 1.0f,
                                               .candidates = (kind & 1) != 0 ? 1 : 0,
                                               .repetition_penalty = (kind & 2) != 0 ? 2.0f : 0.0f,
                                               .on_logits = (kind & 4) != 0 ? hear_logits : NULL};
    struct tp_error error = {.status = TP_OK};
    struct tp_token token = {.end = TP_END_NONE};
    tp_session *session = NULL;
    uint32_t count = 0;
    last_position = 0;
    FUZZ_REQUIRE(tp_session_create(device, &options, &session, &error) == TP_OK);
    FUZZ_REQUIRE(tp_session_feed(session, prompt, 2, &error) == TP_OK);
    stub.armed = true;
    tp_status status = tp_session_generate(session, 5, &error);
    if (status == TP_OK && (kind & 8) != 0) {
        FUZZ_REQUIRE(tp_session_cancel(session, &error) == TP_OK);
    }
    while (status == TP_OK && token.end == TP_END_NONE) {
        status = tp_session_read(session, &token, -1, &error);
        FUZZ_REQUIRE(status != TP_OK || token.end != TP_END_NONE ||
                     (token.id < VOCAB && token.position == 2 + count && ++count <= 5));
    }
    fuzz_check(status, &error);
    tp_session_destroy(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tp_context *context;
    static tp_model *model;
    struct tp_error error = {.status = TP_OK};
    tp_device *device = NULL;
    if (context == NULL) {
        FUZZ_REQUIRE(tp_context_create(NULL, &context, &error) == TP_OK);
        model = open_model(context);
    }
    stub.armed = false;
    stub.decoder.count = 0;
    stub.out_count = 0;
    stub.event_sequence = 0;
    stub.data = data;
    stub.size = size;
    uint8_t kind = next();
    const struct tp_load_options load = {.format = TP_FORMAT_Q8};
    FUZZ_REQUIRE(tp__device_open(context, &stub_backend, "stub", "", &device, &error) == TP_OK);
    FUZZ_REQUIRE(tp_device_load(device, model, &load, &error) == TP_OK);
    run(device, kind);
    tp_device_close(device);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// A simulated device that lies: the emulator behind the entry points of a simulated device, with
// one fault that the environment variable FAULT names. test_device_faults.sh and
// test_doctor.sh build it.
//
//   cycles  the fourth step reports one cycle more than the library predicts
//   lost    the second token is not sent
//   noise   a bit of the fourth step is flipped on the link
//   token   the first token is another one
//   memory  what is read back has one bit that is wrong
//   build   hello tells the build number that the environment variable BUILD has, in hexadecimal

#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "frame.h"
#include "sim_device.h"

#ifndef ABI
#define ABI TP_SIM_ABI  // the test also builds a device of another version
#endif

enum { BUFFER_BYTES = 1 << 16 };

struct tp_sim {
    void *emulator;
    struct tp_frame_decoder decoder;
    const char *fault;
    uint32_t steps;
    uint32_t tokens;
    uint8_t bytes[BUFFER_BYTES];
    size_t count;
};

static struct tp_sim *create(uint64_t seed, const char *wave, uint32_t wave_step)
{
    (void)seed;
    (void)wave;
    (void)wave_step;
    struct tp_sim *sim = calloc(1, sizeof *sim);
    const char *fault = getenv("FAULT");
    if (sim == NULL || tp__backend_emulator.open("", "", &sim->emulator, NULL) != TP_OK) {
        free(sim);
        return NULL;
    }
    sim->fault = fault == NULL ? "" : fault;
    return sim;
}

static void destroy(struct tp_sim *sim)
{
    tp__backend_emulator.close(sim->emulator);
    free(sim);
}

// Passes one frame of the emulator on, or what the fault makes of it.
static void pass_on(struct tp_sim *sim, struct tp_frame *frame)
{
    if (frame->type == TP_FRAME_TOKEN && ++sim->tokens == 2 && strcmp(sim->fault, "lost") == 0) {
        return;
    }
    if (frame->type == TP_FRAME_TOKEN && sim->tokens == 1 && strcmp(sim->fault, "token") == 0) {
        frame->payload[2] ^= 1;
    }
    if (frame->type == TP_FRAME_HELLO_REPLY && strcmp(sim->fault, "build") == 0) {
        tp__put32(frame->payload + 36, (uint32_t)strtoul(getenv("BUILD"), NULL, 16));
    }
    if (frame->type == TP_FRAME_READ_REPLY && strcmp(sim->fault, "memory") == 0) {
        frame->payload[0] ^= 1;
    }
    bool fourth = frame->type == TP_FRAME_STEP && ++sim->steps == 4;
    if (fourth && strcmp(sim->fault, "cycles") == 0) {
        tp__put32(frame->payload + 4, 1);  // no step takes one cycle
    }
    uint8_t *bytes = sim->bytes + sim->count;
    sim->count += tp__frame_encode(frame, bytes);
    if (fourth && strcmp(sim->fault, "noise") == 0) {
        bytes[8] ^= 1;
    }
}

static uint64_t run(struct tp_sim *sim, uint64_t cycles, const uint8_t *out, size_t out_count,
                    size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count)
{
    uint8_t bytes[1024];
    size_t got = 0;
    *out_taken = 0;
    if (sim->count < BUFFER_BYTES / 2) {
        (void)tp__backend_emulator.exchange(sim->emulator, out, out_count, out_taken, bytes,
                                            sizeof bytes, &got, NULL);
    }
    struct tp_frame frame;
    for (size_t i = 0; i < got; i++) {
        if (tp__frame_decode(&sim->decoder, bytes[i], &frame)) {
            pass_on(sim, &frame);
        }
    }
    *in_count = sim->count < in_max ? sim->count : in_max;
    memcpy(in, sim->bytes, *in_count);
    sim->count -= *in_count;
    memmove(sim->bytes, sim->bytes + *in_count, sim->count);
    return cycles;
}

const struct tp_sim_entry tp_sim_entry = {
    .abi = ABI, .config = "faulty", .create = create, .destroy = destroy, .run = run};

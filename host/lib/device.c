// SPDX-License-Identifier: Apache-2.0
//
// An open device: its thread, which moves bytes, and the commands of the link (docs/link.md).

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cycles.h"
#include "internal.h"

enum { CHUNK_BYTES = 4096, WRITE_WORDS_MAX = 62, CANCEL_BYTES = 4 };
// Room that other frames leave: one CANCEL of each slot always fits.
enum { CANCEL_ROOM_BYTES = TP_SLOTS_MAX * (TP_FRAME_OVERHEAD + CANCEL_BYTES) };

static const struct tp_backend *const backends[] = {&tp__backend_sim, &tp__backend_emulator};

static const struct tp_device_info configurations[] = {
#define TP_CONFIG(name_, groups_, slots_, weight_beats_, kv_rows_, dim_max_, query_max_,           \
                  hidden_max_, vocab_max_, positions_max_, program_max_, gain_quads_,              \
                  constant_pairs_, codebooks_, head_norm_, head_log2_max_, attention_lanes_,       \
                  top_k_, text_)                                                                   \
    {.name = #name_,                                                                               \
     .text = text_,                                                                                \
     .groups = groups_,                                                                            \
     .slots = slots_,                                                                              \
     .weight_beats = weight_beats_,                                                                \
     .kv_rows = kv_rows_,                                                                          \
     .dim_max = dim_max_,                                                                          \
     .query_max = query_max_,                                                                      \
     .hidden_max = hidden_max_,                                                                    \
     .vocab_max = vocab_max_,                                                                      \
     .positions_max = positions_max_,                                                              \
     .program_max = program_max_,                                                                  \
     .gain_quads = gain_quads_,                                                                    \
     .constant_pairs = constant_pairs_,                                                            \
     .codebooks = codebooks_,                                                                      \
     .head_norm = head_norm_,                                                                      \
     .head_log2_max = head_log2_max_,                                                              \
     .attention_lanes = attention_lanes_,                                                          \
     .top_k = top_k_},
#include "tp_configs.def"
#undef TP_CONFIG
};

// ---- the thread ----

static bool works(const tp_device *device)
{
    return device->failure.status == TP_OK;
}

// With the mutex held. The first failure stays.
static void fail(tp_device *device, const struct tp_error *error)
{
    if (works(device)) {
        device->failure = *error;
        for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
            if (device->sessions[s] != NULL) {
                tp__session_failed(device->sessions[s]);
            }
        }
    }
    pthread_cond_broadcast(&device->changed);
}

// An answer to a frame of the host.
static void take_answer(tp_device *device, const struct tp_frame *frame)
{
    pthread_mutex_lock(&device->mutex);
    if (frame->type == TP_FRAME_ACK) {
        if (frame->payload[1] != TP_ACK_OK && device->ack_status == TP_ACK_OK) {
            device->ack_status = frame->payload[1];
            device->ack_type = frame->payload[0];
        }
    } else {
        device->reply = *frame;
    }
    device->outstanding -= device->outstanding != 0 ? 1 : 0;
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->mutex);
}

// Notes a step for tp_device_record.
static void record(tp_device *device, uint32_t number, uint32_t cycles,
                   const struct tp_step_slot *slots)
{
    if (device->steps == NULL || device->step_count == device->step_max) {
        return;
    }
    struct tp_step *step = &device->steps[device->step_count++];
    *step = (struct tp_step){.number = number, .cycles = cycles};
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        step->active |= (slots[s].active ? 1u : 0u) << s;
        step->logits |= (slots[s].logits ? 1u : 0u) << s;
        step->list |= (slots[s].list ? 1u : 0u) << s;
        step->fast |= (slots[s].fast ? 1u : 0u) << s;
        step->positions[s] = slots[s].position;
    }
}

// The contract of the machine: the compiler predicts each step to the cycle.
static void check_step(tp_device *device, const struct tp_frame *frame)
{
    const uint8_t *p = frame->payload;
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{0}};
    uint32_t cycles = tp__get32(p + 4);
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        slots[s].active = tp__has_slot(p[8], s);
        slots[s].logits = tp__has_slot(p[9], s);
        slots[s].position = tp__get16(p + 12 + 2 * (size_t)s);
        slots[s].list = device->sessions[s] != NULL && tp__session_has_list(device->sessions[s]);
        slots[s].fast = device->sessions[s] != NULL && tp__session_is_fast(device->sessions[s]);
        if (slots[s].active) {
            device->products += tp__shape_products(&device->model->shape, slots[s].logits);
        }
    }
    uint32_t predicted = tp__step_cycles(&device->limits, device->image->program,
                                         device->image->program_count, slots);
    device->cycles_predicted += predicted;
    record(device, tp__get32(p), cycles, slots);
    if (cycles != 0 && cycles != predicted) {
        struct tp_error error;
        error.status =
            tp__fail(&error, TP_ERROR_MISMATCH,
                     "%s: step %" PRIu32 " took %" PRIu32 " cycles, predicted were %" PRIu32
                     " (slots %02x, logits %02x, position %" PRIu32 " of the lowest slot)",
                     device->info.name, tp__get32(p), cycles, predicted, p[8], p[9],
                     (uint32_t)tp__get16(p + 12));
        fail(device, &error);
    }
}

static void take_step(tp_device *device, const struct tp_frame *frame)
{
    pthread_mutex_lock(&device->mutex);
    if (device->image != NULL) {
        check_step(device, frame);
    }
    for (uint32_t s = 0; s < device->limits.slots; s++) {
        if (tp__has_slot(frame->payload[8], s) && device->sessions[s] != NULL) {
            tp__session_step(device->sessions[s]);
        }
    }
    pthread_mutex_unlock(&device->mutex);
}

// The session of a slot, or NULL. With the mutex held; until leave_session it is not destroyed.
static tp_session *enter_session(tp_device *device, uint32_t slot)
{
    device->entered = slot < TP_SLOTS_MAX ? device->sessions[slot] : NULL;
    return device->entered;
}

// With the mutex held.
static void leave_session(tp_device *device)
{
    device->entered = NULL;
    pthread_cond_broadcast(&device->changed);
}

// Sessions take the mutex themselves: callbacks must run without it.
static void tell_session(tp_session *session, const struct tp_frame *frame)
{
    const uint8_t *p = frame->payload;
    switch (frame->type) {
    case TP_FRAME_TOKEN:
        tp__session_token(session, tp__get16(p + 2));
        break;
    case TP_FRAME_CANDIDATES:
        tp__session_candidates(session, p, frame->length);
        break;
    case TP_FRAME_LOGITS:
        tp__session_logits(session, tp__get32(p + 4), tp__get16(p + 2), p + 8);
        break;
    default:
        tp__session_done(session, p[1], tp__get16(p + 2));
        break;
    }
}

static void take_slot_event(tp_device *device, const struct tp_frame *frame)
{
    pthread_mutex_lock(&device->mutex);
    tp_session *session = enter_session(device, frame->payload[0]);
    if (session != NULL) {
        pthread_mutex_unlock(&device->mutex);
        tell_session(session, frame);
        pthread_mutex_lock(&device->mutex);
        leave_session(device);
    }
    pthread_mutex_unlock(&device->mutex);
}

// Shortest payload of a device frame; 0 for types that the library does not know.
static uint16_t least_length(uint8_t type)
{
    switch (type) {
    case TP_FRAME_ACK:
    case TP_FRAME_DONE:
        return 4;
    case TP_FRAME_HELLO_REPLY:
        return 40;
    case TP_FRAME_STATISTICS_REPLY:
        return 56;
    case TP_FRAME_SECTIONS_REPLY:
        return 16 * TP_SECTIONS_PER_FRAME;
    case TP_FRAME_TOKEN:
        return 8;
    case TP_FRAME_STEP:
        return 28;
    case TP_FRAME_LOGITS:
        return 12;
    case TP_FRAME_CANDIDATES:
        return 24;
    default:
        return 0;
    }
}

static void take_frame(tp_device *device, const struct tp_frame *frame)
{
    uint16_t least = least_length(frame->type);
    if (least == 0 || frame->length < least ||
        (frame->type == TP_FRAME_LOGITS &&
         frame->length < 8 + 4 * (size_t)tp__get16(frame->payload + 2))) {
        return;
    }
    if (frame->type < TP_FRAME_TOKEN) {
        take_answer(device, frame);
        return;
    }
    if (frame->sequence != device->event_sequence) {
        struct tp_error error;
        error.status =
            tp__fail(&error, TP_ERROR_LINK, "%s: an event of the device was lost on the link",
                     device->info.name);
        pthread_mutex_lock(&device->mutex);
        fail(device, &error);
        pthread_mutex_unlock(&device->mutex);
    }
    device->event_sequence = (uint8_t)(frame->sequence + 1);
    if (frame->type == TP_FRAME_STEP) {
        take_step(device, frame);
    } else {
        take_slot_event(device, frame);
    }
}

// With the mutex held: waits until there is something to do; false when the thread shall end.
static bool wait_for_work(tp_device *device)
{
    while (!device->quit &&
           (!works(device) ||
            (device->out_count == 0 && device->outstanding == 0 && device->running == 0))) {
        pthread_cond_wait(&device->changed, &device->mutex);
        device->moved_at = tp__seconds();
    }
    return !device->quit;
}

// With the mutex held, which is given up in between: sessions with callbacks hear of the failure.
static void tell_callbacks(tp_device *device)
{
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        tp_session *session = enter_session(device, s);
        if (session != NULL) {
            pthread_mutex_unlock(&device->mutex);
            tp__session_call_back(session);
            pthread_mutex_lock(&device->mutex);
            leave_session(device);
        }
    }
}

static void *run_thread(void *user)
{
    tp_device *device = user;
    uint8_t out[CHUNK_BYTES];
    uint8_t in[CHUNK_BYTES];
    pthread_mutex_lock(&device->mutex);
    while (wait_for_work(device)) {
        struct tp_error error = {.status = TP_OK};
        size_t count = device->out_count < CHUNK_BYTES ? device->out_count : CHUNK_BYTES;
        size_t taken = 0;
        size_t got = 0;
        memcpy(out, device->out, count);
        pthread_mutex_unlock(&device->mutex);
        tp_status status = device->backend->exchange(device->state, out, count, &taken, in,
                                                     sizeof in, &got, &error);
        struct tp_frame frame;
        for (size_t i = 0; i < got; i++) {
            if (tp__frame_decode(&device->decoder, in[i], &frame)) {
                take_frame(device, &frame);
            }
        }
        pthread_mutex_lock(&device->mutex);
        memmove(device->out, device->out + taken, device->out_count - taken);
        device->out_count -= taken;
        if (taken != 0) {
            pthread_cond_broadcast(&device->changed);
        }
        if (taken != 0 || got != 0) {
            device->moved_at = tp__seconds();
        } else if (status == TP_OK && tp__seconds() - device->moved_at > TP_DEVICE_SILENCE_S) {
            status = tp__fail(&error, TP_ERROR_TIMEOUT, "%s: no byte moved for %d s",
                              device->info.name, TP_DEVICE_SILENCE_S);
        }
        if (status != TP_OK) {
            fail(device, &error);
        }
        if (!works(device)) {
            tell_callbacks(device);
        }
    }
    pthread_mutex_unlock(&device->mutex);
    return NULL;
}

// ---- commands ----

static const char *ack_text(uint8_t status)
{
    static const char *const texts[] = {"done",
                                        "broken frame",
                                        "unknown frame type",
                                        "wrong payload length",
                                        "slot, space or address out of range",
                                        "the slot is running",
                                        "the queue is full"};
    return status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

// With the mutex held: waits for all answers and takes the first bad status.
static tp_status wait_for_answers(tp_device *device, struct tp_error *error)
{
    while (works(device) && device->outstanding != 0) {
        pthread_cond_wait(&device->changed, &device->mutex);
    }
    if (!works(device)) {
        return tp__fail(error, device->failure.status, "%s", device->failure.text);
    }
    uint8_t status = device->ack_status;
    device->ack_status = TP_ACK_OK;
    if (status != TP_ACK_OK) {
        return tp__fail(error, TP_ERROR_DEVICE, "%s: frame type 0x%02x was refused: %s",
                        device->info.name, device->ack_type, ack_text(status));
    }
    return TP_OK;
}

tp_status tp__device_send(tp_device *device, uint8_t type, const uint8_t *payload, size_t length,
                          bool wait, struct tp_error *error)
{
    struct tp_frame frame = {.type = type, .length = (uint16_t)length};
    if (length != 0) {
        memcpy(frame.payload, payload, length);
    }
    tp_status status = TP_OK;
    pthread_mutex_lock(&device->commands);
    pthread_mutex_lock(&device->mutex);
    while (works(device) &&
           device->out_count + TP_FRAME_BYTES_MAX > TP_DEVICE_OUT_BYTES - CANCEL_ROOM_BYTES) {
        pthread_cond_wait(&device->changed, &device->mutex);
    }
    frame.sequence = device->sequence++;
    if (works(device)) {
        device->out_count += tp__frame_encode(&frame, device->out + device->out_count);
        device->outstanding++;
        pthread_cond_broadcast(&device->changed);
    }
    if (wait) {
        status = wait_for_answers(device, error);
    } else if (!works(device)) {
        status = tp__fail(error, device->failure.status, "%s", device->failure.text);
    }
    pthread_mutex_unlock(&device->mutex);
    pthread_mutex_unlock(&device->commands);
    return status;
}

void tp__device_cancel(tp_device *device, uint32_t slot)
{
    struct tp_frame frame = {
        .type = TP_FRAME_CANCEL, .length = CANCEL_BYTES, .payload = {(uint8_t)slot}};
    pthread_mutex_lock(&device->mutex);
    if (works(device)) {
        frame.sequence = device->sequence++;
        device->out_count += tp__frame_encode(&frame, device->out + device->out_count);
        device->outstanding++;
        pthread_cond_broadcast(&device->changed);
    }
    pthread_mutex_unlock(&device->mutex);
}

tp_status tp__device_write(tp_device *device, uint32_t space, uint32_t address,
                           const uint32_t *words, size_t count, struct tp_error *error)
{
    tp_status status = TP_OK;
    for (size_t first = 0; first < count && status == TP_OK; first += WRITE_WORDS_MAX) {
        size_t part = count - first < WRITE_WORDS_MAX ? count - first : WRITE_WORDS_MAX;
        uint8_t payload[8 + 4 * WRITE_WORDS_MAX] = {(uint8_t)space};
        tp__put32(payload + 4, address + (uint32_t)first);
        for (size_t i = 0; i < part; i++) {
            tp__put32(payload + 8 + 4 * i, words[first + i]);
        }
        status = tp__device_send(device, TP_FRAME_WRITE, payload, 8 + 4 * part, false, error);
    }
    return status;
}

// ---- opening and closing ----

static tp_status hello(tp_device *device, struct tp_error *error)
{
    tp_status status = tp__device_send(device, TP_FRAME_HELLO, NULL, 0, true, error);
    if (status != TP_OK) {
        return status;
    }
    const uint8_t *p = device->reply.payload;
    struct tp_device_info *info = &device->info;
    if (device->reply.type != TP_FRAME_HELLO_REPLY || tp__get16(p) != TP_PROTOCOL_VERSION) {
        return tp__fail(error, TP_ERROR_DEVICE,
                        "%s speaks version %u of the link, this library version %u - try: make "
                        "build",
                        info->name, (unsigned)tp__get16(p), (unsigned)TP_PROTOCOL_VERSION);
    }
    info->link_version = tp__get16(p);
    info->groups = p[2];
    info->slots = p[3];
    info->head_norm = p[4] & 1u;
    device->has_full_sampling = (p[4] & TP_HELLO_FULL_SAMPLING) != 0;
    info->attention_lanes = 64u >> (p[4] / TP_HELLO_LANES % 4);
    info->codebooks = p[5];
    info->top_k = p[6];
    info->head_log2_max = p[7];
    info->weight_beats = tp__get32(p + 8);
    info->kv_rows = tp__get32(p + 12);
    info->dim_max = tp__get16(p + 16);
    info->query_max = tp__get16(p + 18);
    info->hidden_max = tp__get16(p + 20);
    info->positions_max = tp__get16(p + 22);
    info->vocab_max = tp__get32(p + 24);
    info->program_max = tp__get16(p + 28);
    device->queue_max = tp__get16(p + 30);
    info->gain_quads = tp__get16(p + 32);
    info->constant_pairs = tp__get16(p + 34);
    info->build = tp__get32(p + 36);
    if (info->groups == 0 || info->slots == 0 || info->slots > TP_SLOTS_MAX ||
        device->queue_max == 0) {
        return tp__fail(error, TP_ERROR_DEVICE, "%s reports impossible limits", info->name);
    }
    device->limits = tp__limits_of(info);
    return TP_OK;
}

struct tp_limits tp__limits_of(const struct tp_device_info *info)
{
    return (struct tp_limits){.groups = info->groups,
                              .slots = info->slots,
                              .weight_beats = info->weight_beats,
                              .kv_rows = info->kv_rows,
                              .dim_max = info->dim_max,
                              .query_max = info->query_max,
                              .hidden_max = info->hidden_max,
                              .vocab_max = info->vocab_max,
                              .positions_max = info->positions_max,
                              .program_max = info->program_max,
                              .gain_quads = info->gain_quads,
                              .constant_pairs = info->constant_pairs,
                              .codebooks = info->codebooks,
                              .head_norm = info->head_norm,
                              .head_log2_max = info->head_log2_max,
                              .attention_lanes = info->attention_lanes,
                              .top_k = info->top_k};
}

static const struct tp_backend *find_backend(const char *name, const char **rest)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        size_t size = strlen(backends[i]->kind);
        if (strncmp(name, backends[i]->kind, size) == 0 && (name[size] == ':' || name[size] == 0)) {
            *rest = name[size] == ':' ? name + size + 1 : name + size;
            return backends[i];
        }
    }
    return NULL;
}

tp_status tp_device_open(tp_context *context, const char *name, tp_device **device,
                         struct tp_error *error)
{
    if (context == NULL || name == NULL || device == NULL || strlen(name) >= TP_NAME_BYTES) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_open: an argument is NULL or too long");
    }
    const char *rest = NULL;
    const struct tp_backend *backend = find_backend(name, &rest);
    if (backend == NULL) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "no kind of device is called '%s' - try: tokproc devices", name);
    }
    tp_device *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a device");
    }
    made->context = context;
    made->backend = backend;
    made->moved_at = tp__seconds();
    made->info.counts_cycles = backend != &tp__backend_emulator;
    memcpy(made->info.name, name, strlen(name) + 1);
    tp_status status = backend->open(rest, context->device_folder, &made->state, error);
    if (status != TP_OK) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->commands, NULL);
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    if (pthread_create(&made->thread, NULL, run_thread, made) != 0) {
        backend->close(made->state);
        free(made);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no thread can be started", name);
    }
    status = hello(made, error);
    if (status != TP_OK) {
        tp_device_close(made);
        return status;
    }
    *device = made;
    return TP_OK;
}

void tp_device_close(tp_device *device)
{
    if (device == NULL) {
        return;
    }
    pthread_mutex_lock(&device->mutex);
    device->quit = true;
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->mutex);
    (void)pthread_join(device->thread, NULL);
    device->backend->close(device->state);
    tp__memory_image_free(device->image);
    tp__model_release(device->model);
    pthread_cond_destroy(&device->changed);
    pthread_mutex_destroy(&device->mutex);
    pthread_mutex_destroy(&device->commands);
    free(device);
}

// ---- facts ----

size_t tp_configuration_list(struct tp_device_info *infos, size_t max)
{
    size_t count = sizeof configurations / sizeof *configurations;
    for (size_t i = 0; i < count && i < max; i++) {
        infos[i] = configurations[i];
    }
    return count;
}

tp_status tp_device_list(tp_context *context, struct tp_device_info *infos, size_t max,
                         size_t *count, struct tp_error *error)
{
    if (context == NULL || count == NULL || (infos == NULL && max != 0)) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_list: an argument is NULL");
    }
    const size_t configuration_count = sizeof configurations / sizeof *configurations;
    *count = 0;
    for (size_t i = 0; i < configuration_count; i++) {
        char path[TP_PATH_BYTES + TP_NAME_BYTES];
        int size =
            snprintf(path, sizeof path, "%s/%s.so", context->device_folder, configurations[i].name);
        FILE *file = size > 0 && (size_t)size < sizeof path ? fopen(path, "rb") : NULL;
        if (file == NULL) {
            continue;
        }
        (void)fclose(file);
        if (*count < max) {
            infos[*count] = configurations[i];
            infos[*count].counts_cycles = true;
            (void)snprintf(infos[*count].name, TP_NAME_BYTES, "sim:%.*s", TP_NAME_BYTES - 8,
                           configurations[i].name);
        }
        (*count)++;
    }
    if (*count < max) {
        struct tp_device_info *info = &infos[*count];
        tp_device *emulator = NULL;
        tp_status status = tp_device_open(context, "emu", &emulator, error);
        if (status != TP_OK) {
            return status;
        }
        *info = emulator->info;
        (void)snprintf(info->text, sizeof info->text,
                       "the golden model on this machine's processor");
        tp_device_close(emulator);
    }
    (*count)++;
    return TP_OK;
}

tp_status tp_device_get_info(const tp_device *device, struct tp_device_info *info)
{
    if (device == NULL || info == NULL) {
        return TP_ERROR_INVALID;
    }
    *info = device->info;
    return TP_OK;
}

tp_status tp_device_get_statistics(tp_device *device, struct tp_device_statistics *statistics,
                                   struct tp_error *error)
{
    if (device == NULL || statistics == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_get_statistics: an argument is NULL");
    }
    tp_status status = tp__device_send(device, TP_FRAME_STATISTICS, NULL, 0, true, error);
    if (status != TP_OK) {
        return status;
    }
    pthread_mutex_lock(&device->mutex);
    const uint8_t *p = device->reply.payload;
    *statistics =
        (struct tp_device_statistics){.cycles_total = tp__get64(p),
                                      .cycles_steps = tp__get64(p + 8),
                                      .cycles_predicted = device->cycles_predicted,
                                      .steps = tp__get64(p + 16),
                                      .tokens = tp__get64(p + 24),
                                      .saturations = tp__get64(p + 32),
                                      .clips = tp__get64(p + 40),
                                      .products = device->products,
                                      .frames_bad = tp__get32(p + 48) + device->decoder.bad};
    pthread_mutex_unlock(&device->mutex);
    return TP_OK;
}

tp_status tp_device_record(tp_device *device, struct tp_step *steps, size_t max,
                           struct tp_error *error)
{
    if (device == NULL || (steps == NULL && max != 0)) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_record: an argument is NULL");
    }
    pthread_mutex_lock(&device->mutex);
    device->steps = steps;
    device->step_max = max;
    device->step_count = 0;
    pthread_mutex_unlock(&device->mutex);
    return TP_OK;
}

size_t tp_device_recorded(tp_device *device)
{
    pthread_mutex_lock(&device->mutex);
    size_t count = device->step_count;
    pthread_mutex_unlock(&device->mutex);
    return count;
}

// SPDX-License-Identifier: Apache-2.0
//
// An open device and the requests of callers (docs/link.md); its thread is device_thread.c.

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "configuration_port.h"
#include "serial_ports.h"
#include "session.h"
#include "usb.h"

enum {
    SERIAL_PORTS_MAX = 16,
    USB_BOARDS_MAX = 16,
    BUSY_POLLS_MAX = 4096,  // questions whether a slot has ended, a millisecond between two
    // Of a prompt for each of its slots: four frames wait for each other before a slot runs. In
    // this process they take no time, over wires about as long as so many tokens become quicker.
    PREFILL_MIN = 4,
    PREFILL_MIN_BOARD = 64
};

// Of back ends that lose nothing: longer than any step of a simulation.
static const double patience_long_s = 20;

static const struct tp_backend *const backends[] = {&tp__backend_sim, &tp__backend_emulator,
                                                    &tp__backend_usb, &tp__backend_serial,
                                                    &tp__backend_tcp};

static const struct tp_device_info configurations[] = {
#define TP_CONFIG(name_, groups_, slots_, weight_beats_, kv_rows_, dim_max_, query_max_,           \
                  hidden_max_, vocab_max_, positions_max_, program_max_, gain_quads_,              \
                  constant_pairs_, codebooks_, head_norm_, head_log2_max_, attention_lanes_,       \
                  top_k_, read_back_, text_)                                                       \
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
     .top_k = top_k_,                                                                              \
     .read_back = read_back_},
#include "tp_configs.def"
#undef TP_CONFIG
};

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

// With the mutex held: gives a frame to the link, when there is room; false: the device failed.
static bool push(tp_device *device, uint8_t type, const uint8_t *payload, size_t length)
{
    struct tp_frame frame = {.type = type, .length = (uint16_t)length};
    if (length != 0) {
        memcpy(frame.payload, payload, length);
    }
    while (tp__device_works(device) && !tp__link_has_room(&device->link)) {
        pthread_cond_wait(&device->changed, &device->mutex);
    }
    if (tp__device_works(device)) {
        tp__link_push(&device->link, &frame);
        device->pushed++;
        pthread_cond_broadcast(&device->changed);
    }
    return tp__device_works(device);
}

static tp_status refused(const tp_device *device, uint8_t type, uint8_t status,
                         struct tp_error *error)
{
    return tp__fail(error, TP_ERROR_DEVICE, "%s: frame type 0x%02x was refused: %s",
                    device->info.name, type, ack_text(status));
}

// Sends a frame and waits for the answer, whatever it says.
static tp_status ask(tp_device *device, uint8_t type, const uint8_t *payload, size_t length,
                     struct tp_frame *answer, struct tp_error *error)
{
    tp_status status = TP_OK;
    pthread_mutex_lock(&device->commands);
    pthread_mutex_lock(&device->mutex);
    if (push(device, type, payload, length)) {
        uint64_t number = device->pushed;
        while (tp__device_works(device) && device->link.answered < number) {
            pthread_cond_wait(&device->changed, &device->mutex);
        }
    }
    // Of a device that has failed it may be the answer to an earlier frame.
    *answer = tp__device_works(device) ? device->answer : (struct tp_frame){.type = 0};
    uint8_t write_status = device->write_status;
    device->write_status = TP_ACK_OK;
    if (!tp__device_works(device)) {
        status = tp__fail(error, device->failure.status, "%s", device->failure.text);
    } else if (write_status != TP_ACK_OK) {
        status = refused(device, TP_FRAME_WRITE, write_status, error);
    }
    pthread_mutex_unlock(&device->mutex);
    pthread_mutex_unlock(&device->commands);
    return status;
}

tp_status tp__device_request(tp_device *device, uint8_t type, const uint8_t *payload, size_t length,
                             struct tp_frame *answer, struct tp_error *error)
{
    bool has_reply = type == TP_FRAME_HELLO || type == TP_FRAME_STATISTICS ||
                     type == TP_FRAME_SECTIONS || type == TP_FRAME_READ;
    struct tp_frame own;
    answer = answer != NULL ? answer : &own;
    tp_status status = ask(device, type, payload, length, answer, error);
    if (status == TP_OK && answer->type == TP_FRAME_ACK &&
        (has_reply || answer->payload[1] != TP_ACK_OK)) {
        return refused(device, type, answer->payload[1], error);
    }
    return status;
}

// The thread lets the device work also while it owes nothing.
static void work_on(tp_device *device, bool on)
{
    pthread_mutex_lock(&device->mutex);
    device->running += on ? 1u : UINT32_MAX;
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->mutex);
}

tp_status tp__device_request_until_free(tp_device *device, uint8_t type, const uint8_t *payload,
                                        size_t length, struct tp_error *error)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct tp_frame answer;
    tp_status status = TP_ERROR_DEVICE;
    work_on(device, true);
    for (int i = 0; i < BUSY_POLLS_MAX && status == TP_ERROR_DEVICE; i++) {
        answer.payload[1] = TP_ACK_OK;
        status = tp__device_request(device, type, payload, length, &answer, error);
        if (answer.type != TP_FRAME_ACK || answer.payload[1] != TP_ACK_BUSY) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    work_on(device, false);
    return status;
}

tp_status tp__device_write(tp_device *device, uint32_t space, uint32_t address,
                           const uint32_t *words, size_t count, struct tp_error *error)
{
    tp_status status = TP_OK;
    uint8_t payload[8 + 4 * TP_WRITE_WORDS_MAX] = {(uint8_t)space};
    tp__put32(payload + 4, address);
    for (size_t i = 0; i < count; i++) {
        tp__put32(payload + 8 + 4 * i, words[i]);
    }
    pthread_mutex_lock(&device->commands);
    pthread_mutex_lock(&device->mutex);
    if (!push(device, TP_FRAME_WRITE, payload, 8 + 4 * count)) {
        status = tp__fail(error, device->failure.status, "%s", device->failure.text);
    }
    pthread_mutex_unlock(&device->mutex);
    pthread_mutex_unlock(&device->commands);
    return status;
}

// ---- opening and closing ----

static tp_status hello(tp_device *device, struct tp_error *error)
{
    struct tp_frame reply;
    tp_status status = tp__device_request(device, TP_FRAME_HELLO, NULL, 0, &reply, error);
    if (status != TP_OK) {
        return status;
    }
    const uint8_t *p = reply.payload;
    struct tp_device_info *info = &device->info;
    if (tp__get16(p) != TP_PROTOCOL_VERSION) {
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
    info->read_back = (p[4] & TP_HELLO_READ_BACK) != 0;
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
                              .top_k = info->top_k,
                              .read_back = info->read_back};
}

tp_status tp__backend_find(const char *name, const struct tp_backend **backend, const char **rest,
                           struct tp_error *error)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        size_t size = strlen(backends[i]->kind);
        if (strncmp(name, backends[i]->kind, size) == 0 && (name[size] == ':' || name[size] == 0)) {
            *rest = name[size] == ':' ? name + size + 1 : name + size;
            *backend = backends[i];
            return TP_OK;
        }
    }
    return tp__fail(error, TP_ERROR_NOT_FOUND,
                    "no kind of device is called '%s' - try: tokproc devices", name);
}

static tp_status read_counters(tp_device *device, struct tp_device_counters *counters,
                               struct tp_error *error)
{
    struct tp_frame reply;
    tp_status status = tp__device_request(device, TP_FRAME_STATISTICS, NULL, 0, &reply, error);
    if (status == TP_OK) {
        const uint8_t *p = reply.payload;
        *counters = (struct tp_device_counters){.cycles_total = tp__get64(p),
                                                .steps = tp__get64(p + 16),
                                                .saturations = tp__get64(p + 32),
                                                .clips = tp__get64(p + 40),
                                                .frames_bad = tp__get32(p + 48)};
    }
    return status;
}

// Ends whatever a device still does for the program that had it before.
static tp_status end_all_runs(tp_device *device, struct tp_error *error)
{
    for (uint32_t s = 0; s < device->info.slots; s++) {
        const uint8_t payload[4] = {(uint8_t)s};
        tp_status status =
            tp__device_request(device, TP_FRAME_CANCEL, payload, sizeof payload, NULL, error);
        if (status != TP_OK) {
            return status;
        }
    }
    // The counts of sections are told only while no slot runs.
    const uint8_t payload[4] = {0};
    return tp__device_request_until_free(device, TP_FRAME_SECTIONS, payload, sizeof payload, error);
}

// Says hello and notes how the device stands.
static tp_status greet(tp_device *device, struct tp_error *error)
{
    tp_status status = hello(device, error);
    if (status == TP_OK && device->backend->is_persistent) {
        status = end_all_runs(device, error);
    }
    if (status == TP_OK) {
        status = read_counters(device, &device->opened, error);
    }
    if (status != TP_OK) {
        return status;
    }
    pthread_mutex_lock(&device->mutex);
    device->next_step = (uint32_t)device->opened.steps;
    device->steps_made = device->next_step;
    device->credit.bytes = device->backend->credit_bytes;
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        device->past[s] = (struct tp_slot_past){.is_open = device->backend->is_persistent,
                                                .first_step = device->next_step};
    }
    pthread_mutex_unlock(&device->mutex);
    return TP_OK;
}

tp_status tp_device_open(tp_context *context, const char *name, tp_device **device,
                         struct tp_error *error)
{
    if (context == NULL || name == NULL || device == NULL || strlen(name) >= TP_DEVICE_NAME_BYTES) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_open: an argument is NULL or too long");
    }
    const char *rest = NULL;
    const struct tp_backend *backend = NULL;
    tp_status status = tp__backend_find(name, &backend, &rest, error);
    if (status != TP_OK) {
        return status;
    }
    return tp__device_open(context, backend, name, rest, device, error);
}

tp_status tp__device_open(tp_context *context, const struct tp_backend *backend, const char *name,
                          const char *rest, tp_device **device, struct tp_error *error)
{
    tp_device *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a device");
    }
    made->context = context;
    made->backend = backend;
    made->heard_at = tp__seconds();
    made->patience_s =
        tp__time_scale() * (backend->patience_s > 0 ? backend->patience_s : patience_long_s);
    made->prefill_min = backend->patience_s > 0 ? PREFILL_MIN_BOARD : PREFILL_MIN;
    // Another program may have ended in the middle of a frame, and its last answers may still come.
    made->knows_events = !backend->is_persistent;
    tp__link_start(&made->link, backend->frames_max,
                   backend->is_persistent ? (uint8_t)(tp__seconds() * 1e6) : 0);
    if (backend->is_persistent) {
        tp__link_end_frame(&made->link);
    }
    memcpy(made->info.name, name, strlen(name) + 1);
    tp_status status = backend->open(rest, context->device_folder, &made->state, error);
    if (status != TP_OK) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->commands, NULL);
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    if (pthread_create(&made->thread, NULL, tp__device_thread, made) != 0) {
        backend->close(made->state);
        free(made);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no thread can be started", name);
    }
    status = greet(made, error);
    if (status != TP_OK) {
        tp_device_close(made);
        return status;
    }
    // An emulator has no clock.
    made->info.counts_cycles = made->opened.cycles_total != 0;
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
    if (device->port != NULL) {
        tp__port_free(device->port);
        free(device->port);
    }
    tp__device_unload(device);
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

// Adds a device to a list. It was not greeted, so nothing else is known of it: whoever uses it is
// not disturbed.
__attribute__((format(printf, 5, 6))) static void add_device(struct tp_device_info *infos,
                                                             size_t max, size_t *count,
                                                             const char *text, const char *format,
                                                             ...)
{
    va_list list;
    if (*count < max) {
        struct tp_device_info *info = &infos[*count];
        *info = (struct tp_device_info){.counts_cycles = true};
        (void)snprintf(info->text, sizeof info->text, "%s", text);
        va_start(list, format);
        (void)vsnprintf(info->name, sizeof info->name, format, list);
        va_end(list);
    }
    (*count)++;
}

static void list_boards(struct tp_device_info *infos, size_t max, size_t *count)
{
    struct tp_usb_board boards[USB_BOARDS_MAX];
    size_t board_count = tp__usb_boards(boards, USB_BOARDS_MAX);
    for (size_t i = 0; i < board_count && i < USB_BOARDS_MAX; i++) {
        add_device(infos, max, count, boards[i].text, "%s", boards[i].name);
    }
}

static void list_serial_ports(struct tp_device_info *infos, size_t max, size_t *count)
{
    struct tp_serial_port ports[SERIAL_PORTS_MAX];
    size_t port_count = tp__serial_ports(TP_SYSTEM_PORTS, ports, SERIAL_PORTS_MAX);
    for (size_t i = 0; i < port_count && i < SERIAL_PORTS_MAX; i++) {
        add_device(infos, max, count, ports[i].text, "serial:/dev/%s", ports[i].name);
    }
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
            (void)snprintf(infos[*count].name, TP_DEVICE_NAME_BYTES, "sim:%.*s", TP_NAME_BYTES,
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
    list_boards(infos, max, count);
    list_serial_ports(infos, max, count);
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
    struct tp_device_counters now;
    tp_status status = read_counters(device, &now, error);
    if (status != TP_OK) {
        return status;
    }
    const struct tp_device_counters *opened = &device->opened;
    pthread_mutex_lock(&device->mutex);
    *statistics = device->totals;
    statistics->cycles_total = now.cycles_total - opened->cycles_total;
    statistics->steps_lost = now.steps - opened->steps - device->totals.steps;
    statistics->saturations = now.saturations - opened->saturations;
    statistics->clips = now.clips - opened->clips;
    statistics->frames_bad = (uint32_t)(now.frames_bad - opened->frames_bad) + device->decoder.bad;
    statistics->frames_repeated = device->link.repeated;
    statistics->prefix_tokens = device->prefix_tokens;
    statistics->pages = device->pages.count;
    statistics->pages_free = device->pages.free_count;
    statistics->pages_kept = device->pages.kept_count;
    statistics->sessions_waiting = device->waiting;
    for (const tp_session *s = device->first_session; s != NULL; s = s->next) {
        statistics->sessions++;
        statistics->sessions_in_runs += s->running ? 1 : 0;
    }
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

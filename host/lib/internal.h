// SPDX-License-Identifier: Apache-2.0
//
// What the files behind the public handles share.

#ifndef TP_LIB_INTERNAL_H
#define TP_LIB_INTERNAL_H

#include <pthread.h>

#include "backend.h"
#include "encode.h"
#include "frame.h"
#include "image_file.h"
#include "loader.h"
#include "machine.h"
#include "memory_image.h"
#include "tokenizer.h"
#include "tokproc.h"

enum { TP_PATH_BYTES = 1024 };

struct tp_context {
    char device_folder[TP_PATH_BYTES];
    tp_progress progress;
    void *progress_user;
};

/** Reports progress; false when the user cancelled. */
bool tp__progress(const tp_context *context, const char *what, double fraction);

/** A model as it came from a file, or a quantised one. */
struct tp_model {
    tp_context *context;
    struct tp_model_shape shape;
    struct tp_source_model source;  // of a quantised model: use tp__model_source
    bool is_quantised;
    struct tp_image_file image;      // when it is quantised; mapping NULL: not from a file
    struct tp_tokenizer *tokenizer;  // NULL when there is none
    tp_model *origin;                // what it was quantised from, which has the tokenizer; or NULL
    char name[TP_NAME_BYTES];
    char *path;             // of the file or folder; NULL when it came from none
    pthread_mutex_t mutex;  // guards references, and the source of a quantised model
    uint32_t references;    // the opener, models quantised from it, devices that it is loaded into
};

/** A model without a tokenizer around a source, which it takes over, also when this fails.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__model_create(tp_context *context, struct tp_source_model *source,
                                       tp_model **model, struct tp_error *error);
/** The same around a quantised model; its name is the end of path. */
TP_MUST_USE tp_status tp__model_create_quantised(tp_context *context, struct tp_image_file *image,
                                                 const char *path, tp_model **model,
                                                 struct tp_error *error);
/** Float weights: those of the file, or what the quantised ones stand for, which are made when they
 *  are first asked for and live as long as the model.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__model_source(const tp_model *model, const struct tp_source_model **source,
                                       struct tp_error *error);
/** The formats that a model has, or would get: those of an image, else what options ask for;
 *  automatic ones are chosen for the device.
 *  out    formats  [tp__matrix_count]; the caller frees it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__model_formats(const tp_model *model, const struct tp_device_info *info,
                                        const struct tp_load_options *options, tp_format **formats,
                                        struct tp_error *error);
void tp__model_retain(tp_model *model);
/** The last release frees it. NULL is allowed. */
void tp__model_release(tp_model *model);

enum {
    TP_DEVICE_OUT_BYTES = 1 << 16,  // bytes that wait for the device
    TP_DEVICE_SILENCE_S = 60        // no byte moves for so long: the device is lost
};

struct tp_device {
    tp_context *context;
    const struct tp_backend *backend;
    void *state;  // of the back end; only the thread uses it
    struct tp_device_info info;
    struct tp_limits limits;
    uint32_t queue_max;  // tokens of a slot's queue
    bool has_full_sampling;

    pthread_t thread;
    pthread_mutex_t commands;  // held by the one caller that talks to the device
    pthread_mutex_t mutex;     // guards everything below
    pthread_cond_t changed;    // anything below changed
    bool quit;
    struct tp_error failure;  // status TP_OK while the device works

    uint8_t out[TP_DEVICE_OUT_BYTES];
    size_t out_count;
    uint8_t sequence;       // of the next frame
    uint32_t outstanding;   // frames without an answer
    uint8_t ack_status;     // first answer that was not OK since the last wait
    uint8_t ack_type;       // of the frame that it answered
    struct tp_frame reply;  // last HELLO_REPLY or STATISTICS_REPLY
    double moved_at;        // when a byte last moved

    struct tp_frame_decoder decoder;  // only the thread uses it
    uint8_t event_sequence;           // expected next

    tp_model *model;                // loaded, or NULL
    struct tp_memory_image *image;  // compiled, or NULL
    tp_session *sessions[TP_SLOTS_MAX];
    tp_session *entered;  // that the device's thread uses without the mutex, or NULL
    uint32_t running;     // sessions in a run
    uint64_t cycles_predicted;
    uint64_t products;
    struct tp_step *steps;  // of tp_device_record, or NULL
    size_t step_max;
    size_t step_count;
};

/** The limits that the machine and the compiler know, from the public facts of a device. */
struct tp_limits tp__limits_of(const struct tp_device_info *info);

/** Monotonic time in seconds. */
double tp__seconds(void);

/** Sends one frame and waits for its answer, or, with wait false, only queues it; the next waiting
 *  call then reports the first bad status of all. Takes device->commands itself.
 *  error  TP_ERROR_TIMEOUT, TP_ERROR_DEVICE (an ACK that is not OK, or the device failed) */
TP_MUST_USE tp_status tp__device_send(tp_device *device, uint8_t type, const uint8_t *payload,
                                      size_t length, bool wait, struct tp_error *error);

/** Queues CANCEL, which the device never refuses. Never waits, so the device's own thread may call
 * it while another one waits for answers. At most once a run. */
void tp__device_cancel(tp_device *device, uint32_t slot);

/** Writes words to a memory space; queued, not waited for. */
TP_MUST_USE tp_status tp__device_write(tp_device *device, uint32_t space, uint32_t address,
                                       const uint32_t *words, size_t count, struct tp_error *error);

/** Events of the device's thread, for a slot that has a session. */
void tp__session_token(tp_session *session, uint32_t token);
void tp__session_step(tp_session *session);
void tp__session_done(tp_session *session, uint32_t reason, uint32_t position);
/** payload: of a CANDIDATES frame, at least 24 bytes. */
void tp__session_candidates(tp_session *session, const uint8_t *payload, size_t length);
void tp__session_logits(tp_session *session, uint32_t first, uint32_t count, const uint8_t *values);
/** The device failed: wakes readers. */
void tp__session_failed(tp_session *session);
/** Hands what waits to the session's callback, if it has one; without the mutex. */
void tp__session_call_back(tp_session *session);
/** True when the device keeps a sorted list for the session, which takes longer. */
bool tp__session_has_list(const tp_session *session);
/** True when only the largest logit counts: the device then samples twice as fast. */
bool tp__session_is_fast(const tp_session *session);

#endif

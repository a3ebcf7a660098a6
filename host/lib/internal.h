// SPDX-License-Identifier: Apache-2.0
//
// What the files behind the public handles share.

#ifndef TP_LIB_INTERNAL_H
#define TP_LIB_INTERNAL_H

#include <pthread.h>

#include "backend.h"
#include "credit.h"
#include "encode.h"
#include "frame.h"
#include "image_file.h"
#include "link.h"
#include "loader.h"
#include "machine.h"
#include "memory_image.h"
#include "pages.h"
#include "tokenizer.h"
#include "tokproc.h"

enum { TP_PATH_BYTES = 1024 };
enum { TP_TABLE_MAX = 4096 };  // entries of a page table, at the most

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

/** Counters of a device at some moment, from its STATISTICS_REPLY. */
struct tp_device_counters {
    uint64_t cycles_total;
    uint64_t steps;
    uint64_t saturations;
    uint64_t clips;
    uint64_t frames_bad;
};

/** Events of a slot that may still come, though its run is over for the host: after a loss, and
 *  from whoever had the device before. */
struct tp_slot_past {
    bool is_open;         // such events may come
    uint32_t first_step;  // they are of steps before this one
};

struct tp_configuration_port;

/** What is done when the KV memory is not trusted (docs/link.md, "Old frames"). */
enum tp_mending {
    TP_MENDING_NONE,
    TP_MENDING_CANCEL,  // ends what each slot does
    TP_MENDING_FREE,    // asks whether none does anything
    TP_MENDING_BUSY,    // one does: asks again when something is heard
    TP_MENDING_STEPS    // which steps are the past
};

struct tp_device {
    tp_context *context;
    const struct tp_backend *backend;
    void *state;  // of the back end; only the thread uses it
    struct tp_device_info info;
    struct tp_limits limits;
    uint32_t queue_max;    // tokens of a slot's queue
    uint32_t prefill_min;  // of a prompt for each of its slots, at the least (prefill.c)
    bool has_full_sampling;
    struct tp_device_counters opened;    // when it was opened
    struct tp_configuration_port *port;  // or NULL: it was not booted; only the thread uses it

    pthread_t thread;
    pthread_mutex_t commands;  // held by the one caller that talks to the device
    pthread_mutex_t mutex;     // guards everything below
    pthread_cond_t changed;    // anything below changed
    bool quit;
    void (*task)(void *user);  // that a caller has the thread do, or NULL
    void *task_user;
    bool is_paused;           // no session has its turn meanwhile
    struct tp_error failure;  // status TP_OK while the device works

    struct tp_link link;
    uint64_t pushed;          // frames of callers that were given to the link
    uint8_t write_status;     // first answer to a WRITE that was not OK since the last request
    struct tp_frame answer;   // to the last request
    tp_session *own_session;  // that the thread's own frame is about, or NULL
    enum tp_mending mending;  // no session has its turn meanwhile
    uint32_t mending_next;    // slot, or question whether all are free
    uint32_t mendings;        // since the last step
    bool own_mends;           // the thread's own frame is for that
    struct tp_credit credit;
    uint32_t credit_asked;  // limit of the CREDIT frame that is under way
    uint32_t steps_made;    // by the device, as far as known: not all were told
    bool own_credits;       // the thread's own frame is that CREDIT
    double heard_at;        // when bytes were taken, or an intact frame came
    double patience_s;      // of silence after that
    size_t quiet_bytes;     // that came since a step, or the end of a run

    struct tp_frame_decoder decoder;  // only the thread uses it
    bool knows_events;                // event_sequence counts
    uint8_t event_sequence;           // expected next
    uint32_t next_step;               // number of the next step that nobody has told of
    struct tp_slot_past past[TP_SLOTS_MAX];

    tp_model *model;                              // loaded, or NULL
    uint8_t model_digest[TP_DIGEST_BYTES];        // SHA-256 of its numbers, on whatever device
    struct tp_memory_image *image;                // compiled, or NULL
    struct tp_pages pages;                        // of the KV memory; of the model that is loaded
    uint32_t tables[TP_SLOTS_MAX][TP_TABLE_MAX];  // page tables of the slots, as far as known
    tp_session *first_session;                    // all of them
    tp_session *sessions[TP_SLOTS_MAX];           // that have their turn, by slot
    tp_session *entered;                 // that the device's thread uses without the mutex, or NULL
    uint32_t running;                    // sessions in a run
    uint32_t waiting;                    // of these, those in the queue
    uint64_t tickets;                    // given so far, for places in the queue and ages of runs
    uint64_t prefix_tokens;              // that were found in pages
    struct tp_device_statistics totals;  // of the steps that were told; recoveries
    struct tp_step *steps;               // of tp_device_record, or NULL
    size_t step_max;
    size_t step_count;
};

/** A model as a device has it; all 0: none. */
struct tp_loaded {
    tp_model *model;  // held
    uint8_t digest[TP_DIGEST_BYTES];
    struct tp_memory_image *image;
    struct tp_pages pages;
};

/** Compiles a model for the device: the part of tp_device_load that does not touch it.
 *  out    loaded  tp__loaded_free releases it; after a failure there is nothing in it
 *  error  as tp_device_load */
TP_MUST_USE tp_status tp__device_compile(const tp_device *device, tp_model *model,
                                         const struct tp_load_options *options,
                                         struct tp_loaded *loaded, struct tp_error *error);
void tp__loaded_free(struct tp_loaded *loaded);

/** Puts a model in the place of the one that the device had, which the caller gets. Pages of
 *  sessions are given up, no session is on the device. */
void tp__device_exchange(tp_device *device, struct tp_loaded *loaded);

/** Forgets what is loaded, its pages too. */
void tp__device_unload(tp_device *device);

/** The device's thread; user is the device. */
void *tp__device_thread(void *user);

/** With the mutex held: whether the device has not failed. */
bool tp__device_works(const tp_device *device);

/** With the mutex held: no slot runs, and events of the steps that a STATISTICS_REPLY counts, which
 *  may still come, are of the past. */
void tp__device_past(tp_device *device, const struct tp_frame *statistics);

/** With the mutex held: the device has made so many steps, of which events may be lost. */
void tp__device_made(tp_device *device, uint32_t steps);

/** With the mutex held: the device has failed; the first failure stays. */
void tp__device_fail(tp_device *device, tp_status status, const char *text);

/** Has the device's thread do something with the back end between two exchanges, and waits for it.
 *  error  the device has failed; nothing was done */
TP_MUST_USE tp_status tp__device_do(tp_device *device, void (*task)(void *user), void *user,
                                    struct tp_error *error);

/** Opens a device on a back end, by the part of its name that is for it.
 *  error  as tp_device_open */
TP_MUST_USE tp_status tp__device_open(tp_context *context, const struct tp_backend *backend,
                                      const char *name, const char *rest, tp_device **device,
                                      struct tp_error *error);

/** The back end of a device's name, and the part of the name that is for it.
 *  error  TP_ERROR_NOT_FOUND */
TP_MUST_USE tp_status tp__backend_find(const char *name, const struct tp_backend **backend,
                                       const char **rest, struct tp_error *error);

/** The limits that the machine and the compiler know, from the public facts of a device. */
struct tp_limits tp__limits_of(const struct tp_device_info *info);

/** Monotonic time in seconds. */
double tp__seconds(void);

/** Sends one frame and waits for its answer, behind all WRITE frames before it, of which it reports
 *  the first bad status, too. Not from the device's thread.
 *  out    answer  the frame that answered, also one that refuses; NULL is allowed
 *  error  TP_ERROR_DEVICE   an ACK that is not OK, or the device failed
 *         TP_ERROR_TIMEOUT  no answer, however often the frame was repeated
 *         TP_ERROR_LINK, TP_ERROR_MISMATCH  the device has failed before */
TP_MUST_USE tp_status tp__device_request(tp_device *device, uint8_t type, const uint8_t *payload,
                                         size_t length, struct tp_frame *answer,
                                         struct tp_error *error);

/** The same again and again, while the answer is that a slot runs, for some seconds at most. */
TP_MUST_USE tp_status tp__device_request_until_free(tp_device *device, uint8_t type,
                                                    const uint8_t *payload, size_t length,
                                                    struct tp_error *error);

/** Writes an image into the device over the link, with progress. After a failure the device holds
 *  parts of two models. */
TP_MUST_USE tp_status tp__device_upload(tp_device *device, const struct tp_memory_image *image,
                                        struct tp_error *error);

/** tp_device_verify against any image, on a device that reads back. */
TP_MUST_USE tp_status tp__device_check(tp_device *device, const struct tp_memory_image *image,
                                       struct tp_verify_report *report, struct tp_error *error);

/** Queues up to TP_WRITE_WORDS_MAX words for a memory space; the next request reports whether they
 *  were taken. */
TP_MUST_USE tp_status tp__device_write(tp_device *device, uint32_t space, uint32_t address,
                                       const uint32_t *words, size_t count, struct tp_error *error);

#endif

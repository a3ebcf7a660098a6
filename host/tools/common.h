// SPDX-License-Identifier: Apache-2.0
//
// What the verbs share: opening things, progress, interruption, figures.

#ifndef TP_TOOLS_COMMON_H
#define TP_TOOLS_COMMON_H

#include <jansson.h>

#include "options.h"

/** Context, model and device of a run, opened as the options say. */
struct work {
    tp_context *context;
    tp_model *model;
    tp_model *new_model;  // of --new-model, once it is in the device
    tp_device *device;
    struct tp_model_info model_info;
    struct tp_device_info device_info;
    char device_name[TP_DEVICE_NAME_BYTES];
};

/** True after Ctrl-C; a second one ends the program at once. */
bool interrupted(void);
/** It was dealt with: the next Ctrl-C is the first one again. */
void interrupt_forget(void);
void catch_interrupt(void);

/** A bar on a terminal, unless --quiet; fraction 1 takes it away. */
void draw_progress(const struct options *options, const char *what, double fraction);

/** Prints "tokproc: TEXT" on standard error and returns the exit status that fits. */
int failed(const struct tp_error *error);

/** Opens a context, and the model of -m. Returns an exit status. */
int work_open_model(struct work *work, const struct options *options);
/** Chooses the device's name: the n-th -d, or the default; the first configuration that fits. */
int work_choose_device(struct work *work, const struct options *options, uint32_t index,
                       const char *fallback);
/** Opens the chosen device. */
int work_open_device(struct work *work);
/** Loads the model into it, which is opened unless it is; behind a boot from --boot. */
int work_load(struct work *work, const struct options *options);
/** How the options load a model into a device. Sessions beyond its slots take turns. */
struct tp_load_options load_options(const struct options *options,
                                    const struct tp_device_info *info);
/** Gives the device the model of --new-model under its sessions: by a partial bitstream, or with
 *  bits NULL over the link. */
tp_status work_change_model(struct work *work, const struct options *options, const char *bits,
                            struct tp_error *error);
/** "nf4", or "image" of a model that has its own formats. */
const char *format_label(const struct work *work, const struct options *options);
/** All three. */
int work_open(struct work *work, const struct options *options);
void work_close(struct work *work);

/** Steps beside those of a run: positions that are computed again, by a session at most so many. */
enum { SPARE_STEPS = 4096 };

/** Has the device note its steps from here on, at most max. Returns an exit status.
 *  owns   steps  the caller, also of a failure; NULL: no memory */
int record_steps(struct work *work, size_t max, struct tp_step **steps);

/** Returns EXIT_FAILED, after a message, where a file is there that --force does not replace. */
int check_replaced(const char *path, const struct options *options);

/** The whole file, NUL-terminated; NULL after a message. The caller frees it. */
char *read_text(const char *path, size_t *size);

/** Writes one line of JSON and releases the object. */
int print_json(json_t *object);

double seconds_now(void);

#endif

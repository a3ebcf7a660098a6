// SPDX-License-Identifier: Apache-2.0
//
// Models on devices: whether they fit, and loading one.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate.h"
#include "compile.h"
#include "plan.h"
#include "schedule.h"

static bool is_load_sound(const struct tp_load_options *options)
{
    return options != NULL && (unsigned)options->format < TP_FORMAT_COUNT;
}

tp_status tp_model_check(const tp_model *model, const struct tp_device_info *info,
                         const struct tp_load_options *options, struct tp_error *error)
{
    if (model == NULL || info == NULL || !is_load_sound(options)) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_check: an argument is NULL or unknown");
    }
    const struct tp_limits limits = tp__limits_of(info);
    struct tp_plan plan;
    tp_format *formats = NULL;
    tp_status status = tp__model_formats(model, info, options, &formats, error);
    if (status == TP_OK) {
        status = tp__plan(&model->shape, formats, options, &limits, &plan, error);
    }
    free(formats);
    return status;
}

tp_status tp_model_get_needs(const tp_model *model, const struct tp_device_info *info,
                             const struct tp_load_options *options, struct tp_need *needs,
                             size_t max, size_t *count, struct tp_error *error)
{
    if (model == NULL || info == NULL || !is_load_sound(options) || count == NULL ||
        (needs == NULL && max != 0)) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_model_get_needs: an argument is NULL or unknown");
    }
    const struct tp_limits limits = tp__limits_of(info);
    struct tp_plan_need all[TP_PLAN_NEEDS];
    tp_format *formats = NULL;
    tp_status status = tp__model_formats(model, info, options, &formats, error);
    if (status != TP_OK) {
        return status;
    }
    tp__plan_needs(&model->shape, formats, options, &limits, all);
    free(formats);
    *count = TP_PLAN_NEEDS;
    for (size_t i = 0; i < TP_PLAN_NEEDS && i < max; i++) {
        needs[i] = (struct tp_need){.need = all[i].need, .have = all[i].have};
        (void)snprintf(needs[i].what, sizeof needs[i].what, "%s", all[i].what);
        (void)snprintf(needs[i].unit, sizeof needs[i].unit, "%s", all[i].unit);
    }
    return TP_OK;
}

struct upload {
    tp_device *device;
    size_t weights;  // words
    size_t weights_done;
};

static tp_status upload_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                              size_t count, struct tp_error *error)
{
    struct upload *upload = user;
    upload->weights_done += space == TP_SPACE_WEIGHT ? count : 0;
    if (!tp__progress(upload->device->context, "loading",
                      (double)upload->weights_done / (double)(upload->weights + 1))) {
        return tp__fail(error, TP_ERROR_CANCELLED, "cancelled while loading the device");
    }
    return tp__device_write(upload->device, space, address, words, count, error);
}

tp_status tp__device_upload(tp_device *device, const struct tp_memory_image *image,
                            struct tp_error *error)
{
    struct upload upload = {.device = device,
                            .weights = (size_t)image->plan.weight_beats * image->lanes};
    tp_status status = tp__memory_image_write(image, upload_words, &upload, error);
    // An empty question waits for the answers of all frames before it.
    tp_status flushed = tp__device_request(device, TP_FRAME_STATISTICS, NULL, 0, NULL,
                                           status == TP_OK ? error : NULL);
    (void)tp__progress(device->context, "loading", 1.0);
    return status == TP_OK ? flushed : status;
}

// For this load only: calibrated, rounded to the nearest.
static tp_status quantise_plainly(const tp_device *device, const tp_model *model,
                                  const struct tp_load_options *options,
                                  struct tp_quantised_model *quantised, struct tp_error *error)
{
    struct tp_calibration calibration;
    tp_format *formats = NULL;
    tp_status status = tp__model_formats(model, &device->info, options, &formats, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__calibrate(device->context, &model->source, model->tokenizer,
                           options->calibrate_path, false, &calibration, error);
    if (status == TP_OK) {
        status = tp__quantise_model(device->context, &model->source, formats, &calibration, NULL,
                                    quantised, error);
        tp__calibration_free(&calibration);
    }
    free(formats);
    return status;
}

static tp_status compile(const tp_device *device, const tp_model *model,
                         const struct tp_load_options *options, struct tp_memory_image **image,
                         uint8_t digest[TP_DIGEST_BYTES], struct tp_error *error)
{
    if (model->is_quantised) {
        memcpy(digest, model->image.digest, TP_DIGEST_BYTES);
        return tp__compile(&model->image.model, options, &device->limits, image, error);
    }
    struct tp_quantised_model quantised;
    tp_status status = quantise_plainly(device, model, options, &quantised, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__digest(quantised.payload, quantised.payload_bytes, digest, error);
    status =
        status != TP_OK ? status : tp__compile(&quantised, options, &device->limits, image, error);
    tp__quantised_model_free(&quantised);
    return status;
}

void tp__device_exchange(tp_device *device, struct tp_loaded *loaded)
{
    pthread_mutex_lock(&device->mutex);
    tp__schedule_forget(device);
    struct tp_loaded before = {
        .model = device->model, .image = device->image, .pages = device->pages};
    memcpy(before.digest, device->model_digest, sizeof before.digest);
    device->model = loaded->model;
    device->image = loaded->image;
    device->pages = loaded->pages;
    memcpy(device->model_digest, loaded->digest, sizeof loaded->digest);
    pthread_mutex_unlock(&device->mutex);
    *loaded = before;
}

void tp__loaded_free(struct tp_loaded *loaded)
{
    tp__model_release(loaded->model);
    tp__memory_image_free(loaded->image);
    tp__pages_close(&loaded->pages);
}

void tp__device_unload(tp_device *device)
{
    struct tp_loaded nothing = {.model = NULL};
    tp__device_exchange(device, &nothing);
    tp__loaded_free(&nothing);
}

tp_status tp__device_compile(const tp_device *device, tp_model *model,
                             const struct tp_load_options *options, struct tp_loaded *loaded,
                             struct tp_error *error)
{
    *loaded = (struct tp_loaded){.model = NULL};
    if (!is_load_sound(options)) {
        return tp__fail(error, TP_ERROR_INVALID, "a format is unknown");
    }
    if (options->calibrate_path != NULL && model->tokenizer == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s has no tokenizer, so it cannot be calibrated on a text", model->name);
    }
    if (options->calibrate_path != NULL && model->is_quantised) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "%s is an image: its constants are in it, and no text can change them",
                        model->name);
    }
    tp_status status = tp_model_check(model, &device->info, options, error);
    if (status == TP_OK) {
        status = compile(device, model, options, &loaded->image, loaded->digest, error);
    }
    if (status != TP_OK) {
        return status;
    }
    tp__model_retain(model);
    loaded->model = model;
    if (!tp__pages_open(&loaded->pages, loaded->image->plan.kv_stride)) {
        tp__loaded_free(loaded);
        *loaded = (struct tp_loaded){.model = NULL};
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the pages of a device");
    }
    return TP_OK;
}

tp_status tp_device_load(tp_device *device, tp_model *model, const struct tp_load_options *options,
                         struct tp_error *error)
{
    struct tp_loaded loaded;
    if (device == NULL || model == NULL || !is_load_sound(options)) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_load: an argument is NULL or unknown");
    }
    if (device->first_session != NULL) {
        return tp__fail(error, TP_ERROR_BUSY,
                        "the device has sessions: destroy them first, or change the model under "
                        "them by tp_device_reconfigure");
    }
    tp_status status = tp__device_compile(device, model, options, &loaded, error);
    if (status != TP_OK) {
        return status;
    }
    tp__device_unload(device);
    status = tp__device_upload(device, loaded.image, error);
    if (status == TP_OK) {
        tp__device_exchange(device, &loaded);
    }
    tp__loaded_free(&loaded);
    return status;
}

tp_status tp_device_get_load(const tp_device *device, struct tp_load_info *info,
                             struct tp_error *error)
{
    if (device == NULL || info == NULL || device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_device_get_load: an argument is NULL or no model is loaded");
    }
    const struct tp_plan *plan = &device->image->plan;
    *info = (struct tp_load_info){.matrix_bytes = device->image->matrix_bytes,
                                  .weight_beats = plan->weight_beats,
                                  .context = plan->context,
                                  .kv_positions = plan->kv_stride,
                                  .sessions = plan->sessions,
                                  .prefill_slots = plan->prefill_slots};
    return TP_OK;
}

tp_status tp_device_listing(tp_device *device, char *text, size_t max, size_t *size,
                            struct tp_error *error)
{
    if (device == NULL || size == NULL || (text == NULL && max != 0) || device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_device_listing: an argument is NULL or no model is loaded");
    }
    *size = tp__memory_image_listing(device->image, text, max);
    return *size <= max ? TP_OK
                        : tp__fail(error, TP_ERROR_FULL, "the listing needs %zu bytes", *size);
}

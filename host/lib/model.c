// SPDX-License-Identifier: Apache-2.0
//
// Models as the library's users see them, and loading one into a device.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calibrate.h"
#include "chat.h"
#include "compile.h"
#include "export_gguf.h"
#include "internal.h"
#include "reference.h"

// ---- opening ----

// "story.bin" has its tokenizer in "story-tok.bin" when that file exists.
static bool sibling_tokenizer(const char *path, char *sibling, size_t max)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(path, '.');
    size_t stem =
        dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - path) : strlen(path);
    int size = snprintf(sibling, max, "%.*s-tok.bin", (int)stem, path);
    struct stat facts;
    return size > 0 && (size_t)size < max && stat(sibling, &facts) == 0;
}

// A safetensors model has its tokenizer in its folder.
static bool folder_tokenizer(const struct tp_source_model *source, char *path, size_t max)
{
    if (source->folder == NULL) {
        return false;
    }
    int size = snprintf(path, max, "%s/tokenizer.json", source->folder);
    struct stat facts;
    return size > 0 && (size_t)size < max && stat(path, &facts) == 0;
}

// The folder says more of a safetensors model than "model.safetensors".
static const char *name_of(const struct tp_source_model *source)
{
    const char *path = source->folder != NULL ? source->folder : source->name;
    const char *slash = strrchr(path, '/');
    const char *last = slash == NULL ? path : slash + 1;
    bool is_told = *last != '\0' && strcmp(last, ".") != 0 && strcmp(last, "..") != 0;
    return is_told ? last : source->name;
}

static tp_status open_tokenizer(tp_model *model, const struct tp_model_options *options,
                                struct tp_error *error)
{
    char sibling[TP_PATH_BYTES];
    const char *path = options->tokenizer_path;
    if (path == NULL && !model->source.has_tokenizer) {
        if (!folder_tokenizer(&model->source, sibling, sizeof sibling) &&
            !sibling_tokenizer(options->path, sibling, sizeof sibling)) {
            return TP_OK;  // a model without text: tokens only
        }
        path = sibling;
    }
    struct tp_tokenizer tokenizer;
    tp_status status = path != NULL ? tp__tokenizer_load(path, &tokenizer, error)
                                    : tp__tokenizer_of_model(&model->source, &tokenizer, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__tokenizer_check_model(&tokenizer, &model->source, error);
    model->tokenizer = status == TP_OK ? malloc(sizeof tokenizer) : NULL;
    if (model->tokenizer == NULL) {
        tp__tokenizer_free(&tokenizer);
        return status != TP_OK ? status
                               : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a tokenizer");
    }
    *model->tokenizer = tokenizer;
    return TP_OK;
}

tp_status tp__model_create(tp_context *context, struct tp_source_model *source, tp_model **model,
                           struct tp_error *error)
{
    tp_model *made = calloc(1, sizeof *made);
    if (made == NULL) {
        tp__source_model_free(source);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a model");
    }
    made->context = context;
    made->source = *source;
    made->references = 1;
    (void)snprintf(made->name, sizeof made->name, "%s", name_of(&made->source));
    pthread_mutex_init(&made->mutex, NULL);
    *model = made;
    return TP_OK;
}

tp_status tp_model_open(tp_context *context, const struct tp_model_options *options,
                        tp_model **model, struct tp_error *error)
{
    if (context == NULL || options == NULL || options->path == NULL || model == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_open: an argument is NULL");
    }
    struct tp_source_model source;
    tp_model *made = NULL;
    tp_status status = tp__source_model_load(options->path, &source, error);
    if (status == TP_OK) {
        status = tp__model_create(context, &source, &made, error);
    }
    if (status != TP_OK) {
        return status;
    }
    status = open_tokenizer(made, options, error);
    if (status != TP_OK) {
        tp__model_release(made);
        return status;
    }
    *model = made;
    return TP_OK;
}

void tp__model_retain(tp_model *model)
{
    pthread_mutex_lock(&model->mutex);
    model->references++;
    pthread_mutex_unlock(&model->mutex);
}

void tp__model_release(tp_model *model)
{
    if (model == NULL) {
        return;
    }
    pthread_mutex_lock(&model->mutex);
    bool last = --model->references == 0;
    pthread_mutex_unlock(&model->mutex);
    if (last) {
        if (model->tokenizer != NULL) {
            tp__tokenizer_free(model->tokenizer);
            free(model->tokenizer);
        }
        tp__source_model_free(&model->source);
        pthread_mutex_destroy(&model->mutex);
        free(model);
    }
}

void tp_model_close(tp_model *model)
{
    tp__model_release(model);
}

void tp_model_get_info(const tp_model *model, struct tp_model_info *info)
{
    const struct tp_model_shape *shape = &model->source.shape;
    *info = (struct tp_model_info){.dim = shape->dim,
                                   .hidden = shape->hidden,
                                   .layers = shape->layers,
                                   .heads = shape->heads,
                                   .kv_heads = shape->kv_heads,
                                   .head_size = shape->head_size,
                                   .vocab = shape->vocab,
                                   .context = shape->context,
                                   .window = model->source.window,
                                   .tied = shape->tied,
                                   .has_tokenizer = model->tokenizer != NULL,
                                   .parameters = tp__parameter_count(shape)};
    if (model->tokenizer != NULL) {
        info->bos = model->tokenizer->bos;
        info->eos = model->tokenizer->eos;
        info->chat = tp__chat_name((enum tp_chat)model->tokenizer->chat);
    }
    memcpy(info->name, model->name, sizeof info->name);
    (void)snprintf(info->file_format, sizeof info->file_format, "%s", model->source.format);
    (void)snprintf(info->architecture, sizeof info->architecture, "%s", model->source.architecture);
}

tp_status tp_model_encode(const tp_model *model, const char *text, size_t size, uint32_t *tokens,
                          size_t max, size_t *count, struct tp_error *error)
{
    if (model == NULL || text == NULL || count == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_encode: an argument is NULL");
    }
    if (model->tokenizer == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED, "%s has no tokenizer - try: --tokenizer FILE",
                        model->name);
    }
    struct tp_encoder encoder;
    tp_status status = tp__encoder_open(model->tokenizer, tp__encoder_room(model->tokenizer, size),
                                        &encoder, error);
    if (status != TP_OK) {
        return status;
    }
    // A text is never more tokens than bytes and one space.
    size_t room = tokens == NULL ? tp__encoder_room(model->tokenizer, size) + 2 : max;
    uint32_t *out = tokens == NULL ? calloc(room, sizeof *out) : tokens;
    uint32_t got = 0;
    if (out == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for tokens");
    } else {
        status = tp__encode(&encoder, text, size, false, model->tokenizer->add_space, out,
                            room > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)room, &got, error);
    }
    *count = got;
    if (tokens == NULL) {
        free(out);
    }
    tp__encoder_close(&encoder);
    return status;
}

tp_status tp_model_reference(const tp_model *model, const uint32_t *tokens, size_t count,
                             tp_reference_callback callback, void *user, struct tp_error *error)
{
    if (model == NULL || tokens == NULL || callback == NULL || count == 0 ||
        count > model->source.shape.context) {
        return tp__fail(
            error, TP_ERROR_INVALID,
            "tp_model_reference: an argument is NULL, or the text is empty or too long");
    }
    uint32_t vocab = model->source.shape.vocab;
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= vocab) {
            return tp__fail(error, TP_ERROR_RANGE, "token %u is not of the vocabulary (%u)",
                            (unsigned)tokens[i], (unsigned)vocab);
        }
    }
    struct tp_reference *reference = NULL;
    tp_status status = tp__reference_open(&model->source, (uint32_t)count, &reference, error);
    float *logits = status == TP_OK ? calloc(vocab, sizeof *logits) : NULL;
    if (status == TP_OK && logits == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the reference");
    }
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        tp__reference_step(reference, tokens[i], i, logits);
        if (!callback(user, i, logits, vocab)) {
            status = tp__fail(error, TP_ERROR_CANCELLED, "cancelled while running the reference");
        }
    }
    free(logits);
    tp__reference_close(reference);
    return status;
}

tp_status tp_model_check_alike(const tp_model *model, const tp_model *reference,
                               struct tp_error *error)
{
    if (model == NULL || reference == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_check_alike: an argument is NULL");
    }
    uint32_t vocab = model->source.shape.vocab;
    if (vocab != reference->source.shape.vocab) {
        return tp__fail(error, TP_ERROR_MISMATCH,
                        "%s has a vocabulary of %u tokens and %s one of %u: they are not of one "
                        "origin",
                        model->name, (unsigned)vocab, reference->name,
                        (unsigned)reference->source.shape.vocab);
    }
    if (model->tokenizer == NULL || reference->tokenizer == NULL) {
        return TP_OK;
    }
    return tp__tokenizer_check_alike(model->tokenizer, reference->tokenizer, error);
}

tp_status tp_model_export(const tp_model *model, const char *path, struct tp_error *error)
{
    if (model == NULL || path == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_export: an argument is NULL");
    }
    return tp__export_gguf(&model->source, model->tokenizer, path, error);
}

// ---- loading ----

// The caller frees formats.
static tp_status choose_formats(const struct tp_model_shape *shape, tp_format format,
                                tp_format **formats, struct tp_error *error)
{
    tp_format *made = calloc(tp__matrix_count(shape), sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the formats");
    }
    tp_status status = tp__choose_formats(shape, format, NULL, 0, made, error);
    if (status != TP_OK) {
        free(made);
        return status;
    }
    *formats = made;
    return TP_OK;
}

tp_status tp_model_check(const tp_model *model, const struct tp_device_info *info,
                         const struct tp_load_options *options, struct tp_error *error)
{
    if (model == NULL || info == NULL || options == NULL ||
        (unsigned)options->format >= TP_FORMAT_COUNT) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_check: an argument is NULL or unknown");
    }
    const struct tp_limits limits = tp__limits_of(info);
    const struct tp_model_shape *shape = &model->source.shape;
    struct tp_plan plan;
    tp_format *formats = NULL;
    tp_status status = choose_formats(shape, options->format, &formats, error);
    if (status == TP_OK) {
        status = tp__plan(shape, formats, options, &limits, info->head_log2_max, &plan, error);
    }
    free(formats);
    return status;
}

struct upload {
    tp_device *device;
    size_t beats;
    size_t beats_done;
};

static tp_status upload_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                              size_t count, struct tp_error *error)
{
    struct upload *upload = user;
    upload->beats_done += space == TP_SPACE_WEIGHT ? 1 : 0;
    if (upload->beats_done % 64 == 0 &&
        !tp__progress(upload->device->context, "loading",
                      (double)upload->beats_done / (double)(upload->beats + 1))) {
        return tp__fail(error, TP_ERROR_CANCELLED, "cancelled while loading the device");
    }
    return tp__device_write(upload->device, space, address, words, count, error);
}

// Replaces what the device holds; the old image is gone also when this fails.
static tp_status upload_image(tp_device *device, const struct tp_memory_image *image,
                              struct tp_error *error)
{
    struct upload upload = {.device = device, .beats = image->plan.weight_beats};
    tp_status status = tp__memory_image_write(image, upload_words, &upload, error);
    // An empty question waits for the answers of all frames before it.
    tp_status flushed =
        tp__device_send(device, TP_FRAME_STATISTICS, NULL, 0, true, status == TP_OK ? error : NULL);
    (void)tp__progress(device->context, "loading", 1.0);
    return status == TP_OK ? flushed : status;
}

// One format, for this load only.
static tp_status quantise_plainly(const tp_context *context, const tp_model *model,
                                  const struct tp_load_options *options,
                                  struct tp_quantised_model *quantised, struct tp_error *error)
{
    struct tp_calibration calibration;
    tp_format *formats = NULL;
    tp_status status = choose_formats(&model->source.shape, options->format, &formats, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__calibrate(context, &model->source, model->tokenizer, options->calibrate_path,
                           &calibration, error);
    if (status == TP_OK) {
        status =
            tp__quantise_model(context, &model->source, formats, &calibration, quantised, error);
        tp__calibration_free(&calibration);
    }
    free(formats);
    return status;
}

tp_status tp_device_load(tp_device *device, tp_model *model, const struct tp_load_options *options,
                         struct tp_error *error)
{
    if (device == NULL || model == NULL || options == NULL ||
        (unsigned)options->format >= TP_FORMAT_COUNT) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_device_load: an argument is NULL or unknown");
    }
    if (options->calibrate_path != NULL && model->tokenizer == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s has no tokenizer, so it cannot be calibrated on a text", model->name);
    }
    for (uint32_t s = 0; s < TP_SLOTS_MAX; s++) {
        if (device->sessions[s] != NULL) {
            return tp__fail(error, TP_ERROR_BUSY, "the device has sessions: destroy them first");
        }
    }
    tp_status status = tp_model_check(model, &device->info, options, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_quantised_model quantised;
    status = quantise_plainly(device->context, model, options, &quantised, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_memory_image *image = NULL;
    status = tp__compile(&quantised, options, &device->limits, device->info.head_log2_max, &image,
                         error);
    uint64_t matrix_bytes = tp__quantised_matrix_bytes(&quantised);
    tp__quantised_model_free(&quantised);
    if (status != TP_OK) {
        return status;
    }
    tp__memory_image_free(device->image);
    tp__model_release(device->model);
    device->image = NULL;
    device->model = NULL;
    status = upload_image(device, image, error);
    if (status != TP_OK) {
        tp__memory_image_free(image);
        return status;
    }
    tp__model_retain(model);
    device->model = model;
    device->image = image;
    device->matrix_bytes = matrix_bytes;
    return TP_OK;
}

tp_status tp_device_get_load(const tp_device *device, struct tp_load_info *info,
                             struct tp_error *error)
{
    if (device == NULL || info == NULL || device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_device_get_load: an argument is NULL or no model is loaded");
    }
    const struct tp_plan *plan = &device->image->plan;
    *info = (struct tp_load_info){.matrix_bytes = device->matrix_bytes,
                                  .weight_beats = plan->weight_beats,
                                  .context = plan->context,
                                  .sessions = plan->sessions};
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

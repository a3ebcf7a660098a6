// SPDX-License-Identifier: Apache-2.0
//
// Models as the library's users see them.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chat.h"
#include "dequantise.h"
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

static tp_status tokenizer_of_image(const tp_model *model, struct tp_tokenizer *tokenizer,
                                    struct tp_error *error)
{
    return tp__tokenizer_parse(model->image.tokenizer, model->image.tokenizer_bytes, model->name,
                               tokenizer, error);
}

static tp_status open_tokenizer(tp_model *model, const struct tp_model_options *options,
                                struct tp_error *error)
{
    char sibling[TP_PATH_BYTES];
    const char *path = options->tokenizer_path;
    if (path == NULL && model->is_quantised && model->image.tokenizer == NULL) {
        return TP_OK;
    }
    if (path == NULL && !model->is_quantised && !model->source.has_tokenizer) {
        if (!folder_tokenizer(&model->source, sibling, sizeof sibling) &&
            !sibling_tokenizer(options->path, sibling, sizeof sibling)) {
            return TP_OK;  // a model without text: tokens only
        }
        path = sibling;
    }
    struct tp_tokenizer tokenizer;
    tp_status status = path != NULL ? tp__tokenizer_load(path, &tokenizer, error)
                       : model->is_quantised
                           ? tokenizer_of_image(model, &tokenizer, error)
                           : tp__tokenizer_of_model(&model->source, &tokenizer, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__tokenizer_check_model(&tokenizer, model->shape.vocab, model->name, error);
    model->tokenizer = status == TP_OK ? malloc(sizeof tokenizer) : NULL;
    if (model->tokenizer == NULL) {
        tp__tokenizer_free(&tokenizer);
        return status != TP_OK ? status
                               : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a tokenizer");
    }
    *model->tokenizer = tokenizer;
    return TP_OK;
}

// NULL: no memory.
static tp_model *create(tp_context *context, const char *path)
{
    tp_model *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->context = context;
    made->references = 1;
    const char *slash = strrchr(path, '/');
    (void)snprintf(made->name, sizeof made->name, "%s", slash == NULL ? path : slash + 1);
    pthread_mutex_init(&made->mutex, NULL);
    return made;
}

tp_status tp__model_create(tp_context *context, struct tp_source_model *source, tp_model **model,
                           struct tp_error *error)
{
    tp_model *made = create(context, name_of(source));
    if (made == NULL) {
        tp__source_model_free(source);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a model");
    }
    made->source = *source;
    made->shape = source->shape;
    *model = made;
    return TP_OK;
}

tp_status tp__model_create_quantised(tp_context *context, struct tp_image_file *image,
                                     const char *path, tp_model **model, struct tp_error *error)
{
    tp_model *made = create(context, path);
    if (made == NULL) {
        tp__image_file_close(image);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a model");
    }
    made->is_quantised = true;
    made->image = *image;
    made->shape = image->model.shape;
    *model = made;
    return TP_OK;
}

// A model of either kind, without its tokenizer.
static tp_status open_file(tp_context *context, const char *path, tp_model **model,
                           struct tp_error *error)
{
    if (tp__image_file_is_at(path)) {
        struct tp_image_file image;
        tp_status status = tp__image_file_open(path, &image, error);
        return status == TP_OK ? tp__model_create_quantised(context, &image, path, model, error)
                               : status;
    }
    struct tp_source_model source;
    tp_status status = tp__source_model_load(path, &source, error);
    return status == TP_OK ? tp__model_create(context, &source, model, error) : status;
}

tp_status tp_model_open(tp_context *context, const struct tp_model_options *options,
                        tp_model **model, struct tp_error *error)
{
    if (context == NULL || options == NULL || options->path == NULL || model == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_open: an argument is NULL");
    }
    tp_model *made = NULL;
    tp_status status = open_file(context, options->path, &made, error);
    if (status != TP_OK) {
        return status;
    }
    made->path = malloc(strlen(options->path) + 1);
    if (made->path != NULL) {
        memcpy(made->path, options->path, strlen(options->path) + 1);
        status = open_tokenizer(made, options, error);
    } else {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a path");
    }
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
        if (model->tokenizer != NULL && model->origin == NULL) {
            tp__tokenizer_free(model->tokenizer);
            free(model->tokenizer);
        }
        tp__source_model_free(&model->source);
        tp__image_file_close(&model->image);
        free(model->path);
        tp__model_release(model->origin);
        pthread_mutex_destroy(&model->mutex);
        free(model);
    }
}

void tp_model_close(tp_model *model)
{
    tp__model_release(model);
}

tp_status tp__model_source(const tp_model *model, const struct tp_source_model **source,
                           struct tp_error *error)
{
    // The source of a quantised model is kept once it was made: a cache behind a constant handle.
    tp_model *own = (tp_model *)(uintptr_t)model;
    tp_status status = TP_OK;
    pthread_mutex_lock(&own->mutex);
    if (own->is_quantised && own->source.tensors == NULL) {
        status = tp__dequantise(&own->image.model, own->name, own->image.manifest.architecture,
                                &own->source, error);
    }
    pthread_mutex_unlock(&own->mutex);
    *source = &own->source;
    return status;
}

void tp_model_get_info(const tp_model *model, struct tp_model_info *info)
{
    const struct tp_model_shape *shape = &model->shape;
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
    const char *architecture =
        model->is_quantised ? model->image.manifest.architecture : model->source.architecture;
    (void)snprintf(info->file_format, sizeof info->file_format, "%s",
                   model->is_quantised ? "image version 1" : model->source.format);
    (void)snprintf(info->architecture, sizeof info->architecture, "%s", architecture);
    if (model->is_quantised) {
        const struct tp_manifest *manifest = &model->image.manifest;
        info->quantised = true;
        info->matrix_bytes = tp__quantised_matrix_bytes(&model->image.model);
        info->quality = manifest->score;
        memcpy(info->origin, manifest->name, sizeof info->origin);
        memcpy(info->origin_digest, manifest->digest, sizeof info->origin_digest);
        memcpy(info->origin_format, manifest->file_format, sizeof info->origin_format);
        memcpy(info->method, manifest->method, sizeof info->method);
        memcpy(info->calibrated_on, manifest->calibrated_on, sizeof info->calibrated_on);
        info->calibrated_bytes = manifest->calibrated_bytes;
        memcpy(info->measured_on, manifest->measured_on, sizeof info->measured_on);
        tp__digest_text(model->image.digest, info->payload_digest);
    }
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
        count > model->shape.context) {
        return tp__fail(
            error, TP_ERROR_INVALID,
            "tp_model_reference: an argument is NULL, or the text is empty or too long");
    }
    uint32_t vocab = model->shape.vocab;
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= vocab) {
            return tp__fail(error, TP_ERROR_RANGE, "token %u is not of the vocabulary (%u)",
                            (unsigned)tokens[i], (unsigned)vocab);
        }
    }
    struct tp_reference *reference = NULL;
    const struct tp_source_model *source = NULL;
    tp_status status = tp__model_source(model, &source, error);
    if (status == TP_OK) {
        status = tp__reference_open(source, (uint32_t)count, &reference, error);
    }
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
    uint32_t vocab = model->shape.vocab;
    if (vocab != reference->shape.vocab) {
        return tp__fail(error, TP_ERROR_MISMATCH,
                        "%s has a vocabulary of %u tokens and %s one of %u: they are not of one "
                        "origin",
                        model->name, (unsigned)vocab, reference->name,
                        (unsigned)reference->shape.vocab);
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
    const struct tp_source_model *source = NULL;
    tp_status status = tp__model_source(model, &source, error);
    return status == TP_OK ? tp__export_gguf(source, model->tokenizer, path, error) : status;
}

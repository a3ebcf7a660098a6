// SPDX-License-Identifier: Apache-2.0
//
// Quantising public models: formats, calibration, measured quality, files.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auto_formats.h"
#include "calibrate.h"
#include "compile.h"
#include "internal.h"
#include "measure.h"
#include "sensitivity.h"

// ---- formats ----

static tp_status choose(const struct tp_model_shape *shape, tp_format format,
                        const char *const *keep, size_t keep_count,
                        const struct tp_device_info *info, const double *sensitivity,
                        tp_format **formats, struct tp_error *error)
{
    tp_format *made = calloc(tp__matrix_count(shape), sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the formats");
    }
    tp_status status = TP_OK;
    if (format == TP_FORMAT_AUTO) {
        const struct tp_limits limits = tp__limits_of(info);
        status = tp__choose_auto(shape, keep, keep_count, sensitivity, &limits, made, error);
    } else {
        status = tp__choose_formats(shape, format, keep, keep_count, made, error);
    }
    if (status != TP_OK) {
        free(made);
        return status;
    }
    *formats = made;
    return TP_OK;
}

tp_status tp__model_formats(const tp_model *model, const struct tp_device_info *info,
                            const struct tp_load_options *options, tp_format **formats,
                            struct tp_error *error)
{
    if (!model->is_quantised) {
        return choose(&model->shape, options->format, NULL, 0, info, NULL, formats, error);
    }
    size_t bytes = tp__matrix_count(&model->shape) * sizeof **formats;
    *formats = malloc(bytes);
    if (*formats == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the formats");
    }
    memcpy(*formats, model->image.model.formats, bytes);
    return TP_OK;
}

// Formats for quantising; fails early when the result would not fit.
static tp_status formats_that_fit(const tp_model *model, const struct tp_quantise_options *options,
                                  tp_format **formats, struct tp_error *error)
{
    const struct tp_device_info *fit = options->fit;
    if (options->format == TP_FORMAT_AUTO && fit == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "automatic formats are chosen for a device - try: --fit ulx3s-85f");
    }
    tp_status status = choose(&model->shape, options->format, options->keep, options->keep_count,
                              fit, NULL, formats, error);
    if (status != TP_OK || fit == NULL) {
        return status;
    }
    const struct tp_load_options load = {.context = 0};
    const struct tp_limits limits = tp__limits_of(fit);
    struct tp_plan plan;
    status = tp__plan(&model->shape, *formats, &load, &limits, &plan, error);
    if (status != TP_OK) {
        free(*formats);
    }
    return status;
}

static bool has_4_bits(const struct tp_model_shape *shape, const tp_format *formats)
{
    for (uint32_t i = 0; i < tp__matrix_count(shape); i++) {
        if (tp__format_planes(formats[i]) == 1) {
            return true;
        }
    }
    return false;
}

// Automatic formats were chosen by kind, to see whether the model fits at all. Where some matrices
// must have 4 bits, it is measured which.
static tp_status choose_again(const tp_model *model, const struct tp_quantise_options *options,
                              const struct tp_token_texts *texts, tp_format **formats,
                              struct tp_error *error)
{
    if (options->format != TP_FORMAT_AUTO || options->plain ||
        !has_4_bits(&model->shape, *formats)) {
        return TP_OK;
    }
    tp_format *chosen = NULL;
    double *sensitivity = calloc(tp__matrix_count(&model->shape), sizeof *sensitivity);
    if (sensitivity == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the formats");
    }
    tp_status status =
        tp__measure_sensitivity(model->context, &model->source, texts, sensitivity, error);
    if (status == TP_OK) {
        status = choose(&model->shape, options->format, options->keep, options->keep_count,
                        options->fit, sensitivity, &chosen, error);
    }
    free(sensitivity);
    if (status == TP_OK) {
        free(*formats);
        *formats = chosen;
    }
    return status;
}

// ---- manifest ----

// Names go into JSON and onto terminals: what is not printable ASCII becomes '?'.
static void take_text(char *to, size_t max, const char *from)
{
    size_t size = strlen(from) < max ? strlen(from) : max - 1;
    for (size_t i = 0; i < size; i++) {
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    }
    to[size] = 0;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

// SHA-256 of the model's file; of a folder that of its one file of weights. Weights in several
// files have none.
static tp_status digest_origin(const tp_model *model, struct tp_manifest *manifest,
                               struct tp_error *error)
{
    uint8_t digest[TP_DIGEST_BYTES];
    char path[2 * TP_PATH_BYTES];
    struct tp_bytes file;
    struct stat facts;
    if (model->path == NULL || stat(model->path, &facts) != 0) {
        return TP_OK;
    }
    int size = snprintf(path, sizeof path, "%s%s", model->path,
                        S_ISDIR(facts.st_mode) ? "/model.safetensors" : "");
    if (size < 0 || (size_t)size >= sizeof path || stat(path, &facts) != 0) {
        return TP_OK;
    }
    tp_status status = tp__file_read(path, TP_MODEL_BYTES_MAX, &file, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__digest(file.data, file.size, digest, error);
    tp__bytes_free(&file);
    if (status == TP_OK) {
        tp__digest_text(digest, manifest->digest);
    }
    return status;
}

static tp_status describe(const tp_model *model, const struct tp_quantise_options *options,
                          struct tp_manifest *manifest, struct tp_error *error)
{
    *manifest = (struct tp_manifest){.score = {.tokens = 0}};
    take_text(manifest->name, sizeof manifest->name, model->name);
    take_text(manifest->architecture, sizeof manifest->architecture, model->source.architecture);
    take_text(manifest->file_format, sizeof manifest->file_format, model->source.format);
    take_text(manifest->method, sizeof manifest->method,
              options->plain ? "nearest" : "GPTQ, layer after layer");
    if (options->calibrate_path != NULL) {
        take_text(manifest->calibrated_on, sizeof manifest->calibrated_on,
                  file_name(options->calibrate_path));
    }
    return digest_origin(model, manifest, error);
}

// ---- quantising ----

static tp_status quantise(const tp_model *model, const struct tp_quantise_options *options,
                          struct tp_image_file *image, struct tp_error *error)
{
    struct tp_calibration calibration = {.key_mean = NULL};
    tp_format *formats = NULL;
    tp_status status = formats_that_fit(model, options, &formats, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__calibrate(model->context, &model->source, model->tokenizer,
                           options->calibrate_path, !options->plain, &calibration, error);
    const struct tp_token_texts texts = {calibration.corpus.tokens, calibration.corpus.starts,
                                         calibration.corpus.count};
    if (status == TP_OK) {
        status = choose_again(model, options, &texts, &formats, error);
    }
    if (status == TP_OK) {
        status = tp__quantise_model(model->context, &model->source, formats, &calibration,
                                    options->plain ? NULL : &texts, &image->model, error);
    }
    if (status == TP_OK) {
        status = tp__digest(image->model.payload, image->model.payload_bytes, image->digest, error);
    }
    if (status == TP_OK) {
        status = describe(model, options, &image->manifest, error);
    }
    if (status == TP_OK && options->calibrate_path != NULL) {
        image->manifest.calibrated_bytes = calibration.corpus.end;
        take_text(image->manifest.measured_on, sizeof image->manifest.measured_on,
                  file_name(options->calibrate_path));
        status =
            tp__measure(model->context, &model->source, model->tokenizer, options->calibrate_path,
                        calibration.corpus.end, &image->model, &image->manifest.score, error);
    }
    tp__calibration_free(&calibration);
    free(formats);
    return status;
}

tp_status tp_model_quantise(tp_model *model, const struct tp_quantise_options *options,
                            tp_model **quantised, struct tp_error *error)
{
    if (model == NULL || options == NULL || quantised == NULL ||
        (unsigned)options->format >= TP_FORMAT_COUNT ||
        (options->keep == NULL && options->keep_count != 0)) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_model_quantise: an argument is NULL or unknown");
    }
    if (model->is_quantised) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "%s is an image: it is quantised already - try: the model it was made of",
                        model->name);
    }
    if (options->calibrate_path != NULL && model->tokenizer == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s has no tokenizer, so it cannot be calibrated on a text", model->name);
    }
    struct tp_image_file image = {.mapping = NULL};
    tp_status status = quantise(model, options, &image, error);
    if (status != TP_OK) {
        tp__image_file_close(&image);
        return status;
    }
    tp_model *made = NULL;
    status = tp__model_create_quantised(model->context, &image, model->name, &made, error);
    if (status != TP_OK) {
        return status;
    }
    tp__model_retain(model);
    made->origin = model;
    made->tokenizer = model->tokenizer;
    *quantised = made;
    return TP_OK;
}

// ---- results ----

tp_status tp_model_save(const tp_model *model, const char *path, struct tp_error *error)
{
    if (model == NULL || path == NULL || !model->is_quantised) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_model_save: an argument is NULL, or the model is not quantised");
    }
    struct tp_bytes tokenizer = {.data = NULL};
    tp_status status = TP_OK;
    if (model->tokenizer != NULL) {
        status = tp__tokenizer_write(model->tokenizer, &tokenizer, error);
    }
    if (status == TP_OK) {
        status = tp__image_file_write(&model->image.model, &model->image.manifest, tokenizer.data,
                                      tokenizer.size, path, error);
    }
    tp__bytes_free(&tokenizer);
    return status;
}

bool tp_model_get_matrix(const tp_model *model, size_t index, struct tp_matrix_info *info)
{
    if (model == NULL || info == NULL || !model->is_quantised) {
        return false;
    }
    const struct tp_quantised_model *quantised = &model->image.model;
    size_t seen = 0;
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape); i++) {
        const struct tp_quantised_matrix *matrix = &quantised->matrices[i];
        uint32_t layer = 0;
        const char *name = tp__matrix_name(tp__matrix_at(i, &layer));
        if (matrix->rows == 0 || seen++ != index) {
            continue;
        }
        *info = (struct tp_matrix_info){.format = quantised->formats[i],
                                        .rows = matrix->rows,
                                        .columns = matrix->columns,
                                        .bytes = tp__matrix_bytes(matrix)};
        if (i < TP_MATRIX_QUERY) {
            (void)snprintf(info->name, sizeof info->name, "%s", name);
        } else {
            (void)snprintf(info->name, sizeof info->name, "%u.%s", (unsigned)layer, name);
        }
        return true;
    }
    return false;
}

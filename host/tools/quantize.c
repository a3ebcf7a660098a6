// SPDX-License-Identifier: Apache-2.0
//
// tokproc quantize: a model to an image.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "facts.h"
#include "verbs.h"

enum { CONFIGURATIONS_MAX = 64 };

// The configuration of --fit.
static int find_configuration(const char *name, struct tp_device_info *info)
{
    struct tp_device_info infos[CONFIGURATIONS_MAX];
    size_t count = tp_configuration_list(infos, CONFIGURATIONS_MAX);
    for (size_t i = 0; i < count && i < CONFIGURATIONS_MAX; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            *info = infos[i];
            return EXIT_OK;
        }
    }
    fprintf(stderr, "tokproc: no configuration is called %s - try: tokproc info -m MODEL\n", name);
    return EXIT_USAGE;
}

static int check_output(const struct options *options)
{
    if (options->export_format != NULL && strcmp(options->export_format, "gguf") != 0) {
        fprintf(stderr, "tokproc quantize: --export cannot be %s - try: --export gguf\n",
                options->export_format);
        return EXIT_USAGE;
    }
    if (options->output == NULL) {
        fprintf(stderr, "tokproc: which file to write? - try: -o model.tpi\n");
        return EXIT_USAGE;
    }
    return check_replaced(options->output, options);
}

static int print_result(const struct options *options, const tp_model *quantised)
{
    struct tp_model_info info;
    tp_model_get_info(quantised, &info);
    if (options->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, options->export_format != NULL ? "export" : "image",
                                  json_string(options->output));
        (void)json_object_update_new(object, facts_of_image(quantised));
        return print_json(object);
    }
    if (!options->quiet) {
        print_image_facts(quantised);
    }
    return EXIT_OK;
}

static tp_status write_result(const struct options *options, const tp_model *model,
                              struct tp_error *error)
{
    return options->export_format != NULL ? tp_model_export(model, options->output, error)
                                          : tp_model_save(model, options->output, error);
}

int verb_quantize(const struct options *options)
{
    struct work work = {0};
    struct tp_device_info fit;
    struct tp_error error = {.status = TP_OK};
    int status = check_output(options);
    if (status == EXIT_OK && options->fit != NULL) {
        status = find_configuration(options->fit, &fit);
    }
    if (status != EXIT_OK) {
        return status;
    }
    status = work_open_model(&work, options);
    const struct tp_quantise_options quantise = {
        .format = options->fit != NULL && !options->format_given ? TP_FORMAT_AUTO : options->format,
        .keep = options->keeps,
        .keep_count = options->keep_count,
        .calibrate_path = options->calibrate,
        .fit = options->fit != NULL ? &fit : NULL,
        .plain = options->plain};
    tp_model *quantised = NULL;
    bool is_image = work.model_info.quantised && options->export_format != NULL;
    if (status == EXIT_OK && !is_image &&
        tp_model_quantise(work.model, &quantise, &quantised, &error) != TP_OK) {
        status = failed(&error);
    }
    const tp_model *result = is_image ? work.model : quantised;
    if (status == EXIT_OK && write_result(options, result, &error) != TP_OK) {
        status = failed(&error);
    }
    if (status == EXIT_OK) {
        status = print_result(options, result);
    }
    tp_model_close(quantised);
    work_close(&work);
    return status;
}

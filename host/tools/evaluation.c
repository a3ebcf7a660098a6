// SPDX-License-Identifier: Apache-2.0
//
// Models, texts and words of an evaluation.

#include "evaluation.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// ---- models ----

static int open_reference(struct evaluation *e, const struct options *options)
{
    struct tp_error error;
    if (options->reference == NULL) {
        return EXIT_OK;
    }
    const struct tp_model_options model_options = {.path = options->reference,
                                                   .tokenizer_path = options->tokenizer};
    if (tp_model_open(e->work.context, &model_options, &e->reference, &error) != TP_OK ||
        tp_model_check_alike(e->work.model, e->reference, &error) != TP_OK) {
        return failed(&error);
    }
    return EXIT_OK;
}

int evaluation_open(struct evaluation *e, const struct options *options)
{
    int status = work_open_model(&e->work, options);
    if (status == EXIT_OK && !e->work.model_info.has_tokenizer) {
        fprintf(stderr, "tokproc: %s has no tokenizer - try: --tokenizer FILE\n",
                e->work.model_info.name);
        status = EXIT_FAILED;
    }
    status = status == EXIT_OK ? open_reference(e, options) : status;
    // The emulator gives the numbers of every device and is the fastest.
    return status == EXIT_OK ? work_choose_device(&e->work, options, 0, "emu") : status;
}

void evaluation_close(struct evaluation *e)
{
    tp_model_close(e->reference);
    work_close(&e->work);
}

// ---- loading ----

static bool same_file(const char *a, const char *b)
{
    struct stat facts_a;
    struct stat facts_b;
    return a != NULL && b != NULL && stat(a, &facts_a) == 0 && stat(b, &facts_b) == 0 &&
           facts_a.st_dev == facts_b.st_dev && facts_a.st_ino == facts_b.st_ino;
}

// The beginning of the text that a quantised model was calibrated on is not scored. An image only
// knows the name of that text.
static void note_calibration(struct evaluation *e, const struct options *options,
                             const tp_model *model)
{
    struct tp_model_info info;
    tp_model_get_info(model, &info);
    const char *slash = strrchr(options->text, '/');
    const char *name = slash == NULL ? options->text : slash + 1;
    bool is_same = e->work.model_info.quantised ? strcmp(info.calibrated_on, name) == 0
                                                : same_file(options->calibrate, options->text);
    if (is_same && info.calibrated_bytes > e->calibrated_bytes) {
        e->calibrated_bytes = info.calibrated_bytes;
    }
}

static tp_status quantise(struct evaluation *e, const struct options *options, tp_format format,
                          tp_model **quantised, struct tp_error *error)
{
    const struct tp_quantise_options quantise = {
        .format = format,
        .keep = options->keeps,
        .keep_count = options->keep_count,
        .calibrate_path = options->calibrate,
        .fit = format == TP_FORMAT_AUTO ? &e->work.device_info : NULL,
        .plain = options->plain};
    return tp_model_quantise(e->work.model, &quantise, quantised, error);
}

int evaluation_load(struct evaluation *e, const struct options *options, tp_format format,
                    struct judged *judged)
{
    struct tp_error error = {.status = TP_OK};
    const struct tp_load_options load = {.format = format, .context = options->context};
    bool by_quantiser = !e->work.model_info.quantised &&
                        (options->calibrate != NULL || options->keep_count != 0 || options->plain);
    *judged = (struct judged){.device = NULL};
    tp_status status =
        tp_device_open(e->work.context, e->work.device_name, &judged->device, &error);
    if (status == TP_OK) {
        status = tp_device_get_info(judged->device, &e->work.device_info);
    }
    if (status == TP_OK && by_quantiser) {
        status = quantise(e, options, format, &judged->quantised, &error);
    }
    tp_model *model = judged->quantised != NULL ? judged->quantised : e->work.model;
    if (status == TP_OK) {
        status = tp_device_load(judged->device, model, &load, &error);
    }
    if (status != TP_OK) {
        return failed(&error);
    }
    note_calibration(e, options, model);
    return EXIT_OK;
}

void judged_close(struct judged *judged)
{
    tp_device_close(judged->device);
    tp_model_close(judged->quantised);
}

// ---- texts ----

// Positions that everything has: model, reference, device and -c.
static uint32_t common_context(const struct evaluation *e, const struct options *options)
{
    uint32_t context = e->work.model_info.context;
    uint32_t device = e->work.device_info.positions_max;
    context = device < context ? device : context;
    if (e->reference != NULL) {
        struct tp_model_info info;
        tp_model_get_info(e->reference, &info);
        context = info.context < context ? info.context : context;
    }
    return options->context != 0 && options->context < context ? options->context : context;
}

void evaluation_prepare(struct evaluation *e, const struct options *options,
                        struct predictor *predictors, uint32_t count)
{
    e->scoring = (struct scoring){.model = e->work.model,
                                  .reference = e->reference != NULL ? e->reference : e->work.model,
                                  .predictors = predictors,
                                  .predictor_count = count,
                                  .context = common_context(e, options),
                                  .skip = options->skip,
                                  .skip_bytes = options->skip_given ? 0 : e->calibrated_bytes,
                                  .tokens_max = options->tokens_given ? options->tokens : 0};
}

// ---- words ----

void evaluation_print_head(const struct evaluation *e)
{
    struct tp_model_info reference;
    tp_model_get_info(e->scoring.reference, &reference);
    printf("%s, %s, beside %s in float32: %" PRIu64 " tokens of %" PRIu32 " texts",
           e->work.model_info.name, e->work.device_name,
           e->reference != NULL ? reference.name : "itself", e->scoring.tokens, e->scoring.texts);
    if (e->scoring.texts_left_out != 0) {
        printf(", without the first %" PRIu32 "%s", e->scoring.texts_left_out,
               e->scoring.skip_bytes != 0 ? " (used for calibration)" : "");
    }
    if (e->scoring.texts_too_long != 0) {
        printf(", %" PRIu32 " longer than the context skipped", e->scoring.texts_too_long);
    }
    printf("\n");
}

json_t *evaluation_to_json(const struct evaluation *e)
{
    struct tp_model_info reference;
    tp_model_get_info(e->scoring.reference, &reference);
    return json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:i}", "model", e->work.model_info.name,
                     "reference", reference.name, "device", e->work.device_name, "tokens",
                     (json_int_t)e->scoring.tokens, "texts", (int)e->scoring.texts, "texts_skipped",
                     (int)e->scoring.texts_too_long, "texts_left_out",
                     (int)e->scoring.texts_left_out);
}

json_t *score_to_json(const struct tp_score *s)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "nats_per_token",
                     s->nats, "reference_nats_per_token", s->reference_nats, "change", s->change,
                     "change_error", s->change_error, "perplexity", exp(s->nats),
                     "reference_perplexity", exp(s->reference_nats), "perplexity_ratio",
                     s->perplexity_ratio, "kl_divergence", s->divergence, "kl_median",
                     s->divergence_median, "kl_99_percent", s->divergence_high, "top_agreement",
                     s->top_agreement);
}

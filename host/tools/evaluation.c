// SPDX-License-Identifier: Apache-2.0
//
// Models, texts and words of an evaluation.

#include "evaluation.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

// Texts that calibration takes from the beginning of its file; they are not scored.
enum { CALIBRATION_TEXTS = 8 };

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

int evaluation_open_models(struct evaluation *e, const struct options *options)
{
    int status = work_open_model(&e->work, options);
    if (status == EXIT_OK && !e->work.model_info.has_tokenizer) {
        fprintf(stderr, "tokproc: %s has no tokenizer - try: --tokenizer FILE\n",
                e->work.model_info.name);
        status = EXIT_FAILED;
    }
    return status == EXIT_OK ? open_reference(e, options) : status;
}

void evaluation_close(struct evaluation *e)
{
    tp_model_close(e->reference);
    work_close(&e->work);
}

// ---- texts ----

static bool same_file(const char *a, const char *b)
{
    struct stat facts_a;
    struct stat facts_b;
    return a != NULL && b != NULL && stat(a, &facts_a) == 0 && stat(b, &facts_b) == 0 &&
           facts_a.st_dev == facts_b.st_dev && facts_a.st_ino == facts_b.st_ino;
}

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
    bool is_calibrated_on = !options->skip_given && same_file(options->calibrate, options->text);
    e->texts_left_out = is_calibrated_on ? CALIBRATION_TEXTS : options->skip;
    e->scoring = (struct scoring){.model = e->work.model,
                                  .reference = e->reference != NULL ? e->reference : e->work.model,
                                  .predictors = predictors,
                                  .predictor_count = count,
                                  .context = common_context(e, options),
                                  .texts_left_out = e->texts_left_out,
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
    if (e->texts_left_out != 0) {
        printf(", without the first %" PRIu32, e->texts_left_out);
    }
    if (e->scoring.texts_too_long != 0) {
        printf(" (%" PRIu32 " longer than the context were skipped)", e->scoring.texts_too_long);
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
                     (int)e->scoring.texts_too_long, "texts_left_out", (int)e->texts_left_out);
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

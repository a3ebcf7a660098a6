// SPDX-License-Identifier: Apache-2.0
//
// tokproc eval: how far a device's predictions are from those of the float32 reference.

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "scoring.h"
#include "verbs.h"

// Texts of a file that calibration takes from its beginning; they are not scored.
enum { CALIBRATION_TEXTS = 8 };

// What is to be judged, and by what.
struct evaluation {
    struct work work;
    tp_model *reference;  // of --reference, or NULL: the model itself
    struct scoring scoring;
    struct predictor predictor;
};

// ---- opening ----

static bool same_file(const char *a, const char *b)
{
    struct stat facts_a;
    struct stat facts_b;
    return a != NULL && b != NULL && stat(a, &facts_a) == 0 && stat(b, &facts_b) == 0 &&
           facts_a.st_dev == facts_b.st_dev && facts_a.st_ino == facts_b.st_ino;
}

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

static int open_evaluation(struct evaluation *e, const struct options *options)
{
    int status = work_open_model(&e->work, options);
    if (status == EXIT_OK && !e->work.model_info.has_tokenizer) {
        fprintf(stderr, "tokproc: %s has no tokenizer - try: --tokenizer FILE\n",
                e->work.model_info.name);
        status = EXIT_FAILED;
    }
    status = status == EXIT_OK ? open_reference(e, options) : status;
    // The emulator gives the numbers of every device and is the fastest.
    status = status == EXIT_OK ? work_choose_device(&e->work, options, 0, "emu") : status;
    status = status == EXIT_OK ? work_load(&e->work, options) : status;
    if (status != EXIT_OK) {
        return status;
    }
    e->predictor.device = e->work.device;
    e->scoring = (struct scoring){.model = e->work.model,
                                  .reference = e->reference != NULL ? e->reference : e->work.model,
                                  .predictors = &e->predictor,
                                  .predictor_count = 1,
                                  .context = common_context(e, options),
                                  .texts_left_out = options->skip,
                                  .tokens_max = options->tokens_given ? options->tokens : 0};
    if (!options->skip_given && same_file(options->calibrate, options->text)) {
        e->scoring.texts_left_out = CALIBRATION_TEXTS;
    }
    return predictor_open(&e->predictor);
}

static void close_evaluation(struct evaluation *e)
{
    predictor_close(&e->predictor);
    tp_model_close(e->reference);
    work_close(&e->work);
}

// ---- output ----

static int print_json_score(const struct evaluation *e, const struct options *options,
                            const struct tp_score *s, uint32_t left_out)
{
    struct tp_model_info reference;
    tp_model_get_info(e->scoring.reference, &reference);
    return print_json(json_pack(
        "{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:i, "
        "s:i, s:i}",
        "model", e->work.model_info.name, "reference", reference.name, "device",
        e->work.device_name, "format", tp_format_name(options->format), "nats_per_token", s->nats,
        "reference_nats_per_token", s->reference_nats, "change", s->change, "change_error",
        s->change_error, "perplexity", exp(s->nats), "reference_perplexity", exp(s->reference_nats),
        "perplexity_ratio", s->perplexity_ratio, "kl_divergence", s->divergence, "kl_median",
        s->divergence_median, "kl_99_percent", s->divergence_high, "top_agreement",
        s->top_agreement, "tokens", (json_int_t)s->tokens, "texts", (int)e->scoring.texts,
        "texts_skipped", (int)e->scoring.texts_too_long, "texts_left_out", (int)left_out));
}

static void print_score(const struct evaluation *e, const struct options *options,
                        const struct tp_score *s, uint32_t left_out)
{
    struct tp_model_info reference;
    tp_model_get_info(e->scoring.reference, &reference);
    printf("%s, %s, %s: %" PRIu64 " tokens of %" PRIu32 " texts", e->work.model_info.name,
           e->work.device_name, tp_format_name(options->format), s->tokens, e->scoring.texts);
    if (left_out != 0) {
        printf(", without the first %" PRIu32, left_out);
    }
    printf(e->scoring.texts_too_long != 0 ? " (%" PRIu32 " longer than the context were skipped)\n"
                                          : "\n",
           e->scoring.texts_too_long);
    printf("%-12s %12s %12s\n", "", "nats/token", "perplexity");
    printf("%-12s %12.5f %12.4f   %s in float32\n", "reference", s->reference_nats,
           exp(s->reference_nats), reference.name);
    printf("%-12s %12.5f %12.4f\n", "device", s->nats, exp(s->nats));
    printf("%-12s %+12.5f %11.4fx   +- %.5f\n", "change", s->change, s->perplexity_ratio,
           s->change_error);
    printf("%-12s %12.6f                median %.6f, 99 %% below %.4f\n", "KL", s->divergence,
           s->divergence_median, s->divergence_high);
    printf("%-12s %10.2f %%\n", "same top", 100 * s->top_agreement);
}

int verb_eval(const struct options *options)
{
    struct evaluation evaluation = {.reference = NULL};
    if (options->text == NULL) {
        fprintf(stderr, "tokproc eval: which text? - try: --text models/eval.txt\n");
        return EXIT_USAGE;
    }
    int status = open_evaluation(&evaluation, options);
    uint32_t left_out = evaluation.scoring.texts_left_out;
    if (status == EXIT_OK) {
        status = score_file(&evaluation.scoring, options);
    }
    bool printed = status == EXIT_OK || status == EXIT_INTERRUPTED;
    if (printed && evaluation.scoring.texts != 0) {
        struct tp_score score;
        tp_scorer_get(evaluation.predictor.scorer, &score);
        if (options->json) {
            int written = print_json_score(&evaluation, options, &score, left_out);
            status = written == EXIT_OK ? status : written;
        } else {
            print_score(&evaluation, options, &score, left_out);
        }
    }
    close_evaluation(&evaluation);
    return status;
}

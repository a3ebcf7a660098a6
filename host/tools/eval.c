// SPDX-License-Identifier: Apache-2.0
//
// tokproc eval: how far a device's predictions are from those of the float32 reference.

#include <math.h>
#include <stdio.h>

#include "evaluation.h"
#include "verbs.h"

static int print_json_score(struct evaluation *e, const struct options *options,
                            const struct tp_score *score)
{
    struct tp_error error;
    json_t *layers = NULL;
    if (options->layers && layers_read(&e->work, &layers, &error) != TP_OK) {
        return failed(&error);
    }
    json_t *object = evaluation_to_json(e);
    json_t *figures = score_to_json(score);
    (void)json_object_set_new(object, "format", json_string(tp_format_name(options->format)));
    (void)json_object_update(object, figures);
    json_decref(figures);
    if (layers != NULL) {
        (void)json_object_set_new(object, "layers", layers);
    }
    return print_json(object);
}

static void print_score(const struct evaluation *e, const struct options *options,
                        const struct tp_score *s)
{
    evaluation_print_head(e);
    printf("%-12s %12s %12s\n", tp_format_name(options->format), "nats/token", "perplexity");
    printf("%-12s %12.5f %12.4f\n", "reference", s->reference_nats, exp(s->reference_nats));
    printf("%-12s %12.5f %12.4f\n", "device", s->nats, exp(s->nats));
    printf("%-12s %+12.5f %11.4fx   +- %.5f\n", "change", s->change, s->perplexity_ratio,
           s->change_error);
    printf("%-12s %12.6f                median %.6f, 99 %% below %.4f\n", "KL", s->divergence,
           s->divergence_median, s->divergence_high);
    printf("%-12s %10.2f %%\n", "same top", 100 * s->top_agreement);
}

static int evaluate(const struct options *options)
{
    struct evaluation evaluation = {.reference = NULL};
    struct predictor predictor = {.device = NULL};
    int status = evaluation_open_models(&evaluation, options);
    // The emulator gives the numbers of every device and is the fastest.
    status = status == EXIT_OK ? work_choose_device(&evaluation.work, options, 0, "emu") : status;
    status = status == EXIT_OK ? work_load(&evaluation.work, options) : status;
    if (status == EXIT_OK) {
        predictor.device = evaluation.work.device;
        evaluation_prepare(&evaluation, options, &predictor, 1);
        status = predictor_open(&predictor);
    }
    status = status == EXIT_OK ? score_file(&evaluation.scoring, options) : status;
    bool scored = status == EXIT_OK || status == EXIT_INTERRUPTED;
    if (scored && evaluation.scoring.texts != 0) {
        struct tp_score score;
        tp_scorer_get(predictor.scorer, &score);
        if (options->json) {
            int written = print_json_score(&evaluation, options, &score);
            status = written == EXIT_OK ? status : written;
        } else {
            struct tp_error error;
            print_score(&evaluation, options, &score);
            if (options->layers && layers_read(&evaluation.work, NULL, &error) != TP_OK) {
                status = failed(&error);
            }
        }
    }
    predictor_close(&predictor);
    evaluation_close(&evaluation);
    return status;
}

int verb_eval(const struct options *options)
{
    if (options->text == NULL) {
        fprintf(stderr, "tokproc eval: which text? - try: --text models/eval.txt\n");
        return EXIT_USAGE;
    }
    return options->compare != NULL ? compare_formats(options) : evaluate(options);
}

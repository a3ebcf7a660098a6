// SPDX-License-Identifier: Apache-2.0
//
// tokproc eval: how far a device's predictions are from those of the float32 reference.

#include <math.h>
#include <stdio.h>

#include "evaluation.h"
#include "verbs.h"

static int print_json_score(const struct evaluation *e, const struct options *options,
                            tp_device *device, const struct tp_score *score)
{
    struct tp_error error;
    json_t *layers = NULL;
    if (options->layers && layers_read(device, &layers, &error) != TP_OK) {
        return failed(&error);
    }
    json_t *object = evaluation_to_json(e);
    json_t *figures = score_to_json(score);
    (void)json_object_set_new(object, "format", json_string(format_label(&e->work, options)));
    (void)json_object_update(object, figures);
    json_decref(figures);
    if (layers != NULL) {
        (void)json_object_set_new(object, "layers", layers);
    }
    return print_json(object);
}

static int print_score(const struct evaluation *e, const struct options *options, tp_device *device,
                       const struct tp_score *s)
{
    struct tp_error error;
    evaluation_print_head(e);
    printf("%-12s %12s %12s\n", format_label(&e->work, options), "nats/token", "perplexity");
    printf("%-12s %12.5f %12.4f\n", "reference", s->reference_nats, exp(s->reference_nats));
    printf("%-12s %12.5f %12.4f\n", "device", s->nats, exp(s->nats));
    printf("%-12s %+12.5f %11.4fx   +- %.5f\n", "change", s->change, s->perplexity_ratio,
           s->change_error);
    printf("%-12s %12.6f                median %.6f, 99 %% below %.4f\n", "KL", s->divergence,
           s->divergence_median, s->divergence_high);
    printf("%-12s %10.2f %%\n", "same top", 100 * s->top_agreement);
    if (options->layers && layers_read(device, NULL, &error) != TP_OK) {
        return failed(&error);
    }
    return EXIT_OK;
}

static int evaluate(const struct options *options)
{
    struct evaluation evaluation = {.reference = NULL};
    struct judged judged = {.device = NULL};
    struct predictor predictor = {.device = NULL};
    int status = evaluation_open(&evaluation, options);
    if (status == EXIT_OK) {
        status = evaluation_load(&evaluation, options, options->format, &judged);
    }
    if (status == EXIT_OK) {
        predictor.device = judged.device;
        evaluation_prepare(&evaluation, options, &predictor, 1);
        status = predictor_open(&predictor);
    }
    status = status == EXIT_OK ? score_file(&evaluation.scoring, options) : status;
    bool scored = status == EXIT_OK || status == EXIT_INTERRUPTED;
    if (scored && evaluation.scoring.texts != 0) {
        struct tp_score score;
        tp_scorer_get(predictor.scorer, &score);
        int printed = options->json ? print_json_score(&evaluation, options, judged.device, &score)
                                    : print_score(&evaluation, options, judged.device, &score);
        status = printed == EXIT_OK ? status : printed;
    }
    predictor_close(&predictor);
    judged_close(&judged);
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

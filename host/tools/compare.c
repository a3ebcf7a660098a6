// SPDX-License-Identifier: Apache-2.0
//
// tokproc eval --compare: one table of number formats over the same texts, and beside them the same
// matrices rounded as GGUF files of Q8_0 and Q4_0 have them.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluation.h"

enum { ROUNDINGS = 2, ROWS_MAX = TP_FORMAT_COUNT + ROUNDINGS, NAME_BYTES = 24 };

struct row {
    char name[NAME_BYTES];
    tp_model *rounded;     // or NULL: it runs on a device
    struct judged judged;  // on a device
    uint64_t bytes;        // of the matrices as stored: codes and scales
    uint64_t beats;        // of the device's weight memory; 0: it runs on none
};

struct comparison {
    struct evaluation evaluation;
    struct row rows[ROWS_MAX];
    struct predictor predictors[ROWS_MAX];
    uint32_t count;
};

// ---- rows ----

// The formats of "q8,nf4", each once.
static int parse_formats(const char *list, tp_format formats[TP_FORMAT_COUNT], uint32_t *count)
{
    *count = 0;
    for (const char *start = list; start != NULL;) {
        const char *comma = strchr(start, ',');
        size_t size = comma != NULL ? (size_t)(comma - start) : strlen(start);
        char name[NAME_BYTES] = "";
        if (size < sizeof name) {
            memcpy(name, start, size);
        }
        tp_format format = tp_format_find(name);
        bool known = format != TP_FORMAT_COUNT;
        for (uint32_t i = 0; i < *count; i++) {
            known = known && formats[i] != format;
        }
        if (!known) {
            fprintf(stderr,
                    "tokproc eval: --compare cannot have %.*s - try: --compare q8,fp4,nf4,int4\n",
                    (int)size, start);
            return EXIT_USAGE;
        }
        formats[(*count)++] = format;
        start = comma != NULL ? comma + 1 : NULL;
    }
    return EXIT_OK;
}

// Each format has a device of its own, so that they run side by side.
static int open_format(struct comparison *c, const struct options *options, tp_format format)
{
    struct row *row = &c->rows[c->count++];
    struct tp_load_info info;
    struct tp_error error;
    (void)snprintf(row->name, sizeof row->name, "%s", tp_format_name(format));
    int status = evaluation_load(&c->evaluation, options, format, &row->judged);
    if (status != EXIT_OK) {
        return status;
    }
    if (tp_device_get_load(row->judged.device, &info, &error) != TP_OK) {
        return failed(&error);
    }
    row->bytes = info.matrix_bytes;
    row->beats = info.weight_beats;
    return EXIT_OK;
}

static int open_rounding(struct comparison *c, tp_rounding rounding)
{
    static const char *const names[ROUNDINGS] = {"Q8_0 rounding", "Q4_0 rounding"};
    struct row *row = &c->rows[c->count++];
    struct tp_error error;
    (void)snprintf(row->name, sizeof row->name, "%s", names[rounding]);
    if (tp_model_round(c->evaluation.work.model, rounding, &row->rounded, &row->bytes, &error) !=
        TP_OK) {
        return failed(&error);
    }
    return EXIT_OK;
}

static int check_use(const struct options *options)
{
    const char *other = options->format_given ? "--format" : options->layers ? "--layers" : NULL;
    if (other == NULL) {
        return EXIT_OK;
    }
    fprintf(stderr, "tokproc eval: --compare does not go with %s - try: without it\n", other);
    return EXIT_USAGE;
}

static int open_rows(struct comparison *c, const struct options *options)
{
    tp_format formats[TP_FORMAT_COUNT];
    uint32_t count = 0;
    int status = check_use(options);
    status = status == EXIT_OK ? parse_formats(options->compare, formats, &count) : status;
    status = status == EXIT_OK ? evaluation_open(&c->evaluation, options) : status;
    if (status == EXIT_OK && c->evaluation.work.model_info.quantised) {
        fprintf(stderr,
                "tokproc: %s is an image, which has its formats - try: --compare with the "
                "model that it was made of\n",
                c->evaluation.work.model_info.name);
        status = EXIT_USAGE;
    }
    for (uint32_t i = 0; i < count && status == EXIT_OK; i++) {
        status = open_format(c, options, formats[i]);
    }
    for (uint32_t i = 0; i < ROUNDINGS && status == EXIT_OK; i++) {
        status = open_rounding(c, (tp_rounding)i);
    }
    for (uint32_t i = 0; i < c->count && status == EXIT_OK; i++) {
        c->predictors[i].device = c->rows[i].judged.device;
        c->predictors[i].model = c->rows[i].rounded;
        status = predictor_open(&c->predictors[i]);
    }
    if (status == EXIT_OK) {
        evaluation_prepare(&c->evaluation, options, c->predictors, c->count);
    }
    return status;
}

static void close_rows(struct comparison *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        predictor_close(&c->predictors[i]);
        judged_close(&c->rows[i].judged);
        tp_model_close(c->rows[i].rounded);
    }
    evaluation_close(&c->evaluation);
}

// ---- output ----

static int print_json_table(const struct comparison *c)
{
    json_t *rows = json_array();
    for (uint32_t i = 0; i < c->count; i++) {
        struct tp_score score;
        tp_scorer_get(c->predictors[i].scorer, &score);
        json_t *row = score_to_json(&score);
        (void)json_object_set_new(row, "format", json_string(c->rows[i].name));
        (void)json_object_set_new(row, "matrix_bytes", json_integer((json_int_t)c->rows[i].bytes));
        (void)json_object_set_new(row, "weight_beats", json_integer((json_int_t)c->rows[i].beats));
        (void)json_array_append_new(rows, row);
    }
    json_t *object = evaluation_to_json(&c->evaluation);
    (void)json_object_set_new(object, "rows", rows);
    return print_json(object);
}

static void print_row(const struct row *row, const struct tp_score *s)
{
    char beats[NAME_BYTES] = "-";
    if (row->beats != 0) {
        (void)snprintf(beats, sizeof beats, "%" PRIu64, row->beats);
    }
    printf("%-14s %10" PRIu64 " %7s  %8.5f  %+8.5f +- %.5f  %7.4f  %9.6f  %6.2f %%\n", row->name,
           row->bytes, beats, s->nats, s->change, s->change_error, s->perplexity_ratio,
           s->divergence, 100 * s->top_agreement);
}

static void print_table(const struct comparison *c)
{
    struct tp_score score;
    evaluation_print_head(&c->evaluation);
    printf("%-14s %10s %7s  %8s  %19s  %7s  %9s  %8s\n", "", "bytes", "beats", "nats", "change",
           "ratio", "KL", "same top");
    tp_scorer_get(c->predictors[0].scorer, &score);
    printf("%-14s %10" PRIu64 " %7s  %8.5f\n", "float32",
           4 * c->evaluation.work.model_info.parameters, "-", score.reference_nats);
    for (uint32_t i = 0; i < c->count; i++) {
        tp_scorer_get(c->predictors[i].scorer, &score);
        print_row(&c->rows[i], &score);
    }
    printf("bytes: codes and scales of the matrices. The formats run in integers on %s; the "
           "roundings are\nthe same file's matrices, embedding and classifier too, in float32.\n",
           c->evaluation.work.device_name);
}

int compare_formats(const struct options *options)
{
    struct comparison *c = calloc(1, sizeof *c);
    if (c == NULL) {
        fprintf(stderr, "tokproc: no memory for the table\n");
        return EXIT_FAILED;
    }
    int status = open_rows(c, options);
    if (status == EXIT_OK) {
        status = score_file(&c->evaluation.scoring, options);
    }
    bool scored = status == EXIT_OK || status == EXIT_INTERRUPTED;
    if (scored && c->evaluation.scoring.texts != 0) {
        if (options->json) {
            int written = print_json_table(c);
            status = written == EXIT_OK ? status : written;
        } else {
            print_table(c);
        }
    }
    close_rows(c);
    free(c);
    return status;
}

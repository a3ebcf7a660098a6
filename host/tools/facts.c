// SPDX-License-Identifier: Apache-2.0
//
// Facts of images and costs of models.

#include "facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CONFIGURATIONS_MAX = 64, NAMES_BYTES = 512 };

// ---- images ----

static size_t count_format(const tp_model *model, tp_format format, uint64_t *bytes)
{
    struct tp_matrix_info matrix;
    size_t count = 0;
    *bytes = 0;
    for (size_t i = 0; tp_model_get_matrix(model, i, &matrix); i++) {
        count += matrix.format == format ? 1 : 0;
        *bytes += matrix.format == format ? matrix.bytes : 0;
    }
    return count;
}

// "3.down" without the layer.
static const char *kind_of(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

// Whether all layers have the format in matrices of this kind.
static bool all_have(const tp_model *model, const char *kind, tp_format format)
{
    struct tp_matrix_info matrix;
    for (size_t i = 0; tp_model_get_matrix(model, i, &matrix); i++) {
        if (strcmp(kind_of(matrix.name), kind) == 0 && matrix.format != format) {
            return false;
        }
    }
    return true;
}

// "embedding query 3.down": the matrices of a format, by layer only where layers differ.
static void list_names(const tp_model *model, tp_format format, char names[NAMES_BYTES])
{
    struct tp_matrix_info matrix;
    size_t size = 0;
    names[0] = 0;
    for (size_t i = 0; tp_model_get_matrix(model, i, &matrix) && size < NAMES_BYTES; i++) {
        const char *kind = kind_of(matrix.name);
        bool all = all_have(model, kind, format);
        bool is_first = kind == matrix.name || strncmp(matrix.name, "0.", 2) == 0;
        if (matrix.format == format && (!all || is_first)) {
            int got = snprintf(names + size, NAMES_BYTES - size, "%s%s", size == 0 ? "" : " ",
                               all ? kind : matrix.name);
            size += got > 0 ? (size_t)got : 0;
        }
    }
    if (size >= NAMES_BYTES) {
        memcpy(names + NAMES_BYTES - 4, "...", 4);
    }
}

void print_image_facts(const tp_model *model)
{
    struct tp_model_info m;
    char names[NAMES_BYTES];
    tp_model_get_info(model, &m);
    printf("origin: %s, %s, SHA-256 %.16s...\n", m.origin, m.origin_format, m.origin_digest);
    printf("numbers: %" PRIu64 " bytes of matrices, SHA-256 %.16s...\n", m.matrix_bytes,
           m.payload_digest);
    for (int format = 0; format < TP_FORMAT_COUNT; format++) {
        uint64_t bytes = 0;
        size_t count = count_format(model, (tp_format)format, &bytes);
        if (count != 0) {
            list_names(model, (tp_format)format, names);
            printf("%s: %zu matri%s, %" PRIu64 " bytes: %s\n", tp_format_name((tp_format)format),
                   count, count == 1 ? "x" : "ces", bytes, names);
        }
    }
    printf("rounding: %s; constants from %s\n", m.method,
           m.calibrated_on[0] != 0 ? m.calibrated_on : "text of the model itself");
    const struct tp_score *q = &m.quality;
    if (q->tokens != 0) {
        printf("loss on %s: %+.4f nats (%.4f, in float32 %.4f), divergence %.4f, top token the "
               "same in %.1f %% of %" PRIu64 " tokens\n",
               m.measured_on, q->change, q->nats, q->reference_nats, q->divergence,
               100 * q->top_agreement, q->tokens);
    } else {
        printf("loss: not measured\n");
    }
}

static json_t *quality_of(const struct tp_model_info *m)
{
    const struct tp_score *q = &m->quality;
    return q->tokens == 0 ? json_null()
                          : json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "measured_on",
                                      m->measured_on, "tokens", (json_int_t)q->tokens, "nats",
                                      q->nats, "reference_nats", q->reference_nats, "change",
                                      q->change, "change_error", q->change_error, "divergence",
                                      q->divergence, "top_agreement", q->top_agreement);
}

json_t *facts_of_image(const tp_model *model)
{
    struct tp_model_info m;
    struct tp_matrix_info matrix;
    tp_model_get_info(model, &m);
    json_t *formats = json_object();
    for (size_t i = 0; tp_model_get_matrix(model, i, &matrix); i++) {
        (void)json_object_set_new(formats, matrix.name, json_string(tp_format_name(matrix.format)));
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:o}", "origin", m.origin,
                     "origin_sha256", m.origin_digest, "origin_format", m.origin_format,
                     "matrix_bytes", (json_int_t)m.matrix_bytes, "payload_sha256", m.payload_digest,
                     "method", m.method, "calibrated_on", m.calibrated_on, "formats", formats,
                     "quality", quality_of(&m));
}

// ---- costs ----

struct cost_row {
    struct tp_device_info device;
    tp_format format;  // TP_FORMAT_COUNT: those of the image
    tp_status status;
    struct tp_cost cost;
    struct tp_error error;
};

// Calls row for each configuration and format.
static void each_cost(const tp_model *model, const struct options *options,
                      void (*row)(void *user, const struct cost_row *row), void *user)
{
    static const tp_format shown[] = {TP_FORMAT_Q8, TP_FORMAT_NF4, TP_FORMAT_NF4_ALL};
    struct tp_device_info infos[CONFIGURATIONS_MAX];
    struct tp_model_info m;
    tp_model_get_info(model, &m);
    size_t count = tp_configuration_list(infos, CONFIGURATIONS_MAX);
    size_t formats = m.quantised || options->format_given ? 1 : sizeof shown / sizeof *shown;
    for (size_t i = 0; i < count && i < CONFIGURATIONS_MAX; i++) {
        for (size_t f = 0; f < formats; f++) {
            struct cost_row one = {.device = infos[i], .format = shown[f]};
            one.format = m.quantised             ? TP_FORMAT_COUNT
                         : options->format_given ? options->format
                                                 : one.format;
            const struct tp_load_options load = {.format = m.quantised ? TP_FORMAT_Q8 : one.format,
                                                 .context = options->context};
            one.status = tp_model_get_cost(model, &infos[i], &load, &one.cost, &one.error);
            row(user, &one);
        }
    }
}

static const char *format_text(tp_format format)
{
    return format == TP_FORMAT_COUNT ? "image" : tp_format_name(format);
}

static void print_row(void *user, const struct cost_row *row)
{
    (void)user;
    const struct tp_cost *c = &row->cost;
    printf("%-12s %-8s ", row->device.name, format_text(row->format));
    if (row->status == TP_OK) {
        printf("%10" PRIu64 " %6" PRIu32 " of %5" PRIu32 " %8" PRIu32 " %12.0f\n", c->matrix_bytes,
               c->weight_beats, row->device.weight_beats, c->context, c->cycles_per_token);
    } else {
        const char *hint = strstr(row->error.text, " - try");
        printf("no: %.*s\n",
               hint != NULL ? (int)(hint - row->error.text) : (int)strlen(row->error.text),
               row->error.text);
    }
}

void print_costs(const tp_model *model, const struct options *options)
{
    printf("\n%-12s %-8s %10s %15s %8s %12s\n", "device", "format", "bytes", "weight beats",
           "context", "cycles/token");
    each_cost(model, options, print_row, NULL);
    printf("cycles per token: predicted, mean of the first 256 positions of one session; all 4-bit "
           "formats cost the same\n");
}

static void append_row(void *user, const struct cost_row *row)
{
    const struct tp_cost *c = &row->cost;
    json_t *object = json_pack("{s:s, s:s, s:b}", "device", row->device.name, "format",
                               format_text(row->format), "fits", row->status == TP_OK);
    if (row->status == TP_OK) {
        json_t *cost =
            json_pack("{s:I, s:i, s:i, s:i, s:f}", "matrix_bytes", (json_int_t)c->matrix_bytes,
                      "weight_beats", (int)c->weight_beats, "instructions", (int)c->instructions,
                      "context", (int)c->context, "cycles_per_token", c->cycles_per_token);
        (void)json_object_update_new(object, cost);
    } else {
        (void)json_object_set_new(object, "reason", json_string(row->error.text));
    }
    (void)json_array_append_new(user, object);
}

json_t *costs_of(const tp_model *model, const struct options *options)
{
    json_t *list = json_array();
    each_cost(model, options, append_row, list);
    return list;
}

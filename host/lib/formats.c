// SPDX-License-Identifier: Apache-2.0
//
// Names of the formats, and the choice for each matrix.

#include "formats.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[TP_FORMAT_COUNT] = {
    "q8", "fp4", "nf4", "int4", "fp4-all", "nf4-all", "int4-all", "ternary", "learned", "auto"};

const char *tp_format_name(tp_format format)
{
    return (unsigned)format < TP_FORMAT_COUNT ? format_names[format] : NULL;
}

tp_format tp_format_find(const char *name)
{
    for (int i = 0; name != NULL && i < TP_FORMAT_COUNT; i++) {
        if (strcmp(format_names[i], name) == 0) {
            return (tp_format)i;
        }
    }
    return TP_FORMAT_COUNT;
}

uint32_t tp__format_planes(tp_format format)
{
    return format == TP_FORMAT_Q8 ? 2 : 1;
}

// The format of matrices that an -all format stands for; itself for the others.
static tp_format plain(tp_format format)
{
    switch (format) {
    case TP_FORMAT_FP4_ALL:
        return TP_FORMAT_FP4;
    case TP_FORMAT_NF4_ALL:
        return TP_FORMAT_NF4;
    case TP_FORMAT_INT4_ALL:
        return TP_FORMAT_INT4;
    default:
        return format;
    }
}

bool tp__format_is_plain(uint32_t format)
{
    return format < TP_FORMAT_AUTO && plain((tp_format)format) == (tp_format)format;
}

// ---- "3.down=q8" ----

struct keep {
    bool one_layer;
    uint32_t layer;
    enum tp_matrix matrix;  // TP_MATRIX_COUNT when no matrix has the name
    tp_format format;
};

static enum tp_matrix find_matrix(const char *name, size_t size)
{
    int matrix = 0;
    while (matrix < TP_MATRIX_COUNT &&
           (strlen(tp__matrix_name((enum tp_matrix)matrix)) != size ||
            strncmp(tp__matrix_name((enum tp_matrix)matrix), name, size) != 0)) {
        matrix++;
    }
    return (enum tp_matrix)matrix;
}

static tp_status parse_keep(const struct tp_model_shape *shape, const char *text, struct keep *keep,
                            struct tp_error *error)
{
    const char *equals = strchr(text, '=');
    const char *dot = strchr(text, '.');
    const char *name = text;
    *keep = (struct keep){.matrix = TP_MATRIX_COUNT};
    if (equals != NULL && dot != NULL && dot < equals) {
        char *end = NULL;
        unsigned long layer = strtoul(text, &end, 10);
        if (end != dot || text[0] < '0' || text[0] > '9' || layer >= shape->layers) {
            return tp__fail(error, TP_ERROR_INVALID,
                            "keep %s: the model has layers 0 to %" PRIu32 " - try: 0.down=q8", text,
                            shape->layers - 1);
        }
        keep->one_layer = true;
        keep->layer = (uint32_t)layer;
        name = dot + 1;
    }
    if (equals != NULL) {
        keep->matrix = find_matrix(name, (size_t)(equals - name));
        keep->format = plain(tp_format_find(equals + 1));
    }
    if (keep->matrix == TP_MATRIX_COUNT || (keep->one_layer && keep->matrix < TP_MATRIX_QUERY)) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "keep %s: names no matrix - try: embedding=q8, or classifier, query, key, "
                        "value, output, gate, down, 3.down",
                        text);
    }
    if (!tp__format_is_plain(keep->format)) {
        return tp__fail(error, TP_ERROR_INVALID, "keep %s: a matrix has no such format - try: q8",
                        text);
    }
    if (keep->matrix == TP_MATRIX_CLASSIFIER && shape->tied) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "keep %s: the classifier of this model is its embedding - try: "
                        "embedding=%s",
                        text, equals + 1);
    }
    return TP_OK;
}

tp_status tp__choose_formats(const struct tp_model_shape *shape, tp_format format,
                             const char *const *keep, size_t count, tp_format *formats,
                             struct tp_error *error)
{
    assert(tp__format_is_plain(plain(format)));
    uint32_t matrices = tp__matrix_count(shape);
    for (uint32_t i = 0; i < matrices; i++) {
        bool is_table = i < TP_MATRIX_QUERY;
        formats[i] = is_table && plain(format) == format ? TP_FORMAT_Q8 : plain(format);
    }
    for (size_t k = 0; k < count; k++) {
        struct keep one;
        tp_status status = parse_keep(shape, keep[k], &one, error);
        if (status != TP_OK) {
            return status;
        }
        for (uint32_t i = 0; i < matrices; i++) {
            uint32_t layer = 0;
            if (tp__matrix_at(i, &layer) == one.matrix && (!one.one_layer || layer == one.layer)) {
                formats[i] = one.format;
            }
        }
    }
    return TP_OK;
}

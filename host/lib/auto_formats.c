// SPDX-License-Identifier: Apache-2.0
//
// Greedy: while the weights are too many, the 8-bit matrix that loses least per beat that it saves
// gets 4 bits.

#include "auto_formats.h"

#include <stdlib.h>

#include "plan.h"

/* Loss of 4 bits per weight, relative: tables of tokens most, wide FFN matrices least. */
static const double kind_sensitivity[TP_MATRIX_COUNT] = {
    [TP_MATRIX_EMBEDDING] = 8, [TP_MATRIX_CLASSIFIER] = 8, [TP_MATRIX_QUERY] = 1.5,
    [TP_MATRIX_KEY] = 1.5,     [TP_MATRIX_VALUE] = 3,      [TP_MATRIX_OUTPUT] = 2,
    [TP_MATRIX_GATE_UP] = 1,   [TP_MATRIX_DOWN] = 1.2};

static double loss_of(const struct tp_model_shape *shape, const double *sensitivity, uint32_t index)
{
    if (sensitivity != NULL) {
        return sensitivity[index];
    }
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    uint32_t rows = 0;
    uint32_t columns = 0;
    tp__matrix_size(shape, matrix, &rows, &columns);
    return kind_sensitivity[matrix] * rows * columns;
}

// The matrix to give 4 bits next; the count when none is left. least holds the formats of matrices
// that may not be touched, and 4 bits for the others.
static uint32_t choose_next(const struct tp_model_shape *shape, const double *sensitivity,
                            const struct tp_limits *limits, const tp_format *least,
                            const tp_format *formats)
{
    uint32_t count = tp__matrix_count(shape);
    uint32_t best = count;
    double best_loss = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t beats = tp__matrix_beats(shape, i, formats[i], limits);
        uint64_t fewer = tp__matrix_beats(shape, i, least[i], limits);
        if (beats == fewer) {
            continue;
        }
        double loss = loss_of(shape, sensitivity, i) / (double)(beats - fewer);
        if (best == count || loss < best_loss) {
            best = i;
            best_loss = loss;
        }
    }
    return best;
}

tp_status tp__choose_auto(const struct tp_model_shape *shape, const char *const *keep, size_t count,
                          const double *sensitivity, const struct tp_limits *limits,
                          tp_format *formats, struct tp_error *error)
{
    uint32_t matrices = tp__matrix_count(shape);
    tp_format *least = calloc(matrices, sizeof *least);
    if (least == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the formats");
    }
    tp_status status = tp__choose_formats(shape, TP_FORMAT_Q8, keep, count, formats, error);
    if (status == TP_OK) {
        status = tp__choose_formats(shape, TP_FORMAT_NF4_ALL, keep, count, least, error);
    }
    uint64_t beats = 0;
    for (uint32_t i = 0; i < matrices && status == TP_OK; i++) {
        beats += tp__matrix_beats(shape, i, formats[i], limits);
    }
    while (status == TP_OK && beats > limits->weight_beats) {
        uint32_t next = choose_next(shape, sensitivity, limits, least, formats);
        if (next == matrices) {
            break;
        }
        beats -= tp__matrix_beats(shape, next, formats[next], limits) -
                 tp__matrix_beats(shape, next, least[next], limits);
        formats[next] = least[next];
    }
    free(least);
    return status;
}

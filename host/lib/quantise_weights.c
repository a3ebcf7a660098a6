// SPDX-License-Identifier: Apache-2.0
//
// Float weights to the number formats of the contract.
//
// Plain rounding with a search for the scale. All arithmetic is double with exact scalings by
// powers of two; nothing depends on the order of blocks.

#include "quantise_weights.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

enum { ACCUMULATOR_BITS = 40, ALIGN_MAX = 63 };

uint8_t tp__plane_code(int8_t value, uint32_t plane)
{
    assert(plane < 2);
    // value = 16 * floor(value / 16) + (value mod 16), and two's complement is exactly that.
    uint8_t byte = (uint8_t)value;
    return plane == 0 ? byte >> 4 : byte & 15;
}

/* One block, scaled by 2^T: squared error with this scale; stops once it is not below limit. */
static double block_error(const struct tp_grid *grid, const double *weights, uint32_t scale,
                          double limit)
{
    double step = tp__scale_value(scale);
    double limit_in_steps = limit / (step * step);
    double inverse = 1.0 / step;
    double error = 0.0;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK && error < limit_in_steps; i++) {
        double weight = weights[i] * inverse;
        double difference = tp__grid_round(grid, weight) - weight;
        error += difference * difference;
    }
    return error * (step * step);
}

uint32_t tp__best_scale(const struct tp_grid *grid, const double *weights)
{
    uint32_t first;
    uint32_t last;
    tp__scales_of_block(grid, weights, &first, &last);
    uint32_t best = first;
    double best_error = INFINITY;
    for (uint32_t scale = first; scale <= last; scale++) {
        double error = block_error(grid, weights, scale, best_error);
#ifdef TP_PLANT_BUG
        error /= tp__scale_value(scale);  // favours large scales
#endif
        if (error >= best_error) continue;
        best_error = error;
        best = scale;
    }
    return best;
}

static bool is_zero(const double *weights)
{
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        if (weights[i] != 0.0) return false;
    }
    return true;
}

void tp__quantised_set(struct tp_quantised *quantised, const struct tp_grid *grid, size_t block,
                       const double values[TP_WEIGHT_BLOCK], uint8_t scale)
{
    quantised->scales[block] = scale;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        int8_t value = (int8_t)values[i];
        quantised->values[block * TP_WEIGHT_BLOCK + i] = value;
        quantised->codes[block * TP_WEIGHT_BLOCK + i] = tp__grid_code(grid, value);
    }
}

static void quantise_block(const struct tp_grid *grid, const double *weights,
                           struct tp_quantised *quantised, size_t block)
{
    if (is_zero(weights)) return;  // codes and scale stay 0
    uint32_t scale = tp__best_scale(grid, weights);
    double inverse = 1.0 / tp__scale_value(scale);
    double values[TP_WEIGHT_BLOCK];
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        values[i] = tp__grid_round(grid, weights[i] * inverse);
    }
    tp__quantised_set(quantised, grid, block, values, (uint8_t)scale);
}

static uint64_t row_bound(const struct tp_quantised *quantised, size_t row)
{
    uint64_t bound = 0;
    for (size_t block = row * quantised->blocks; block < (row + 1) * quantised->blocks; block++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
            sum += (uint64_t)abs(quantised->values[block * TP_WEIGHT_BLOCK + i]);
        }
        bound += sum * TP_Q8_MAX * (uint64_t)tp__scale_value(quantised->scales[block]);
    }
    return bound;
}

static bool has_values(const struct tp_quantised *quantised, size_t block)
{
    const int8_t *values = quantised->values + block * TP_WEIGHT_BLOCK;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        if (values[i] != 0) return true;
    }
    return false;
}

/* One form for the same numbers: blocks of zeros have scale 0, and T is as large as the scales let
 * it be. Numbers that are quantised again then come out equal, whatever T was tried first. */
static int32_t settle(struct tp_quantised *quantised)
{
    size_t blocks = (size_t)quantised->rows * quantised->blocks;
    uint32_t largest = 0;
    for (size_t block = 0; block < blocks; block++) {
        if (!has_values(quantised, block)) {
            quantised->scales[block] = 0;
        } else if (quantised->scales[block] > largest) {
            largest = quantised->scales[block];
        }
    }
    int32_t raise = (TP_SCALE_COUNT - 1 - (int32_t)largest) / 16;
    int32_t room = TP_WEIGHT_SHIFT_MAX - quantised->shift;
    raise = raise < room ? raise : room;
    quantised->shift += raise;
    for (size_t block = 0; block < blocks; block++) {
        if (has_values(quantised, block)) {
            quantised->scales[block] = (uint8_t)(quantised->scales[block] + 16 * raise);
        }
    }
    return raise;
}

int32_t tp__quantised_finish(struct tp_quantised *quantised)
{
    int32_t raise = settle(quantised);
    quantised->bound = 0;
    for (size_t row = 0; row < quantised->rows; row++) {
        uint64_t bound = row_bound(quantised, row);
        if (bound > quantised->bound) quantised->bound = bound;
    }
    return raise;
}

static void quantise_row(const struct tp_grid *grid, const float *weights, double multiplier,
                         struct tp_quantised *quantised, size_t row)
{
    for (uint32_t block = 0; block < quantised->blocks; block++) {
        double scaled[TP_WEIGHT_BLOCK] = {0};
        uint32_t first = block * TP_WEIGHT_BLOCK;
        double factor = ldexp(1.0, quantised->shift);
        for (uint32_t i = 0; i < TP_WEIGHT_BLOCK && first + i < quantised->columns; i++) {
            scaled[i] = (double)weights[first + i] * multiplier * factor;
        }
        quantise_block(grid, scaled, quantised, row * quantised->blocks + block);
    }
}

static tp_status take_memory(struct tp_quantised *quantised, const char *name,
                             struct tp_error *error)
{
    size_t blocks = (size_t)quantised->rows * quantised->blocks;
    size_t values;
    if (tp__multiply(blocks, TP_WEIGHT_BLOCK, &values)) {
        quantised->values = calloc(values, sizeof quantised->values[0]);
        quantised->codes = calloc(values, sizeof quantised->codes[0]);
        quantised->scales = calloc(blocks, sizeof quantised->scales[0]);
    }
    if (quantised->values == NULL || quantised->codes == NULL || quantised->scales == NULL) {
        tp__quantised_free(quantised);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "tensor %s: no memory for %u x %u weights", name,
                        quantised->rows, quantised->columns);
    }
    return TP_OK;
}

tp_status tp__quantised_open(const float *weights, uint32_t rows, uint32_t columns,
                             double multiplier, double room, const struct tp_weight_format *format,
                             const struct tp_grid *grid, const char *name,
                             struct tp_quantised *quantised, struct tp_error *error)
{
    assert(rows > 0 && columns > 0 && isfinite(multiplier));
    struct tp_quantised result = {.rows = rows,
                                  .columns = columns,
                                  .blocks = (columns - 1) / TP_WEIGHT_BLOCK + 1,
                                  .planes = format->is_8_bit ? 2 : 1};
    memcpy(result.codebook, format->codebook, sizeof result.codebook);
    double largest = tp__grid_shift(grid, weights, rows, columns, multiplier, room, &result.shift);
    if (result.shift < TP_WEIGHT_SHIFT_MIN) {
        return tp__fail(error, TP_ERROR_RANGE,
                        "tensor %s: its largest weight is %g, which no scale can reach; the model "
                        "is damaged or was not trained in this range",
                        name, largest);
    }
    tp_status status = take_memory(&result, name, error);
    if (status == TP_OK) *quantised = result;
    return status;
}

tp_status tp__quantise_plain(const float *weights, uint32_t rows, uint32_t columns,
                             double multiplier, const struct tp_weight_format *format,
                             const char *name, struct tp_quantised *quantised,
                             struct tp_error *error)
{
    struct tp_grid grid;
    struct tp_quantised result;
    tp__grid_make(format, &grid);
    tp_status status = tp__quantised_open(weights, rows, columns, multiplier, grid.search_high,
                                          format, &grid, name, &result, error);
    if (status != TP_OK) return status;
    // A second time with a larger T: large weights come out the same, small blocks get finer
    // scales.
    int32_t raise = 1;
    for (uint32_t pass = 0; pass < 2 && raise != 0; pass++) {
        for (size_t row = 0; row < rows; row++) {
            quantise_row(&grid, weights + row * columns, multiplier, &result, row);
        }
        raise = tp__quantised_finish(&result);
    }
    *quantised = result;
    return TP_OK;
}

tp_status tp__quantise_tensor(const float *weights, uint32_t rows, uint32_t columns,
                              double multiplier, tp_format format, const char *name,
                              struct tp_quantised *quantised, struct tp_error *error)
{
    const struct tp_weight_format numbers = tp__weight_format(format);
    return tp__quantise_plain(weights, rows, columns, multiplier, &numbers, name, quantised, error);
}

void tp__quantised_free(struct tp_quantised *quantised)
{
    free(quantised->values);
    free(quantised->codes);
    free(quantised->scales);
    *quantised = (struct tp_quantised){0};
}

double tp__quantised_weight(const struct tp_quantised *quantised, uint32_t row, uint32_t column)
{
    assert(row < quantised->rows && column < quantised->columns);
    size_t block = (size_t)row * quantised->blocks + column / TP_WEIGHT_BLOCK;
    int8_t value = quantised->values[block * TP_WEIGHT_BLOCK + column % TP_WEIGHT_BLOCK];
    return ldexp(value * tp__scale_value(quantised->scales[block]), -quantised->shift);
}

tp_status tp__accumulator_shift(uint64_t bound, uint32_t blocks, uint32_t cap, const char *name,
                                uint32_t *d, struct tp_error *error)
{
    uint64_t room = ((uint64_t)1 << (ACCUMULATOR_BITS - 1)) - blocks;
    for (uint32_t extra = 0; cap + extra + 15 <= ALIGN_MAX; extra++) {
        // bound * 2^-extra < room, without rounding; room << 25 is above every bound.
        if (extra <= 24 && bound >= room << extra) continue;
        *d = cap + extra;
        return TP_OK;
    }
    return tp__fail(error, TP_ERROR_TOO_LARGE,
                    "tensor %s: the sum of a row needs an alignment of more than %d bits; the rows "
                    "are too long for the accumulator",
                    name, ALIGN_MAX);
}

tp_status tp__quantise_gains(const float *gains, uint32_t count, const char *name,
                             int16_t *mantissas, int32_t *shift, struct tp_error *error)
{
    double factor = sqrt(count);
    double largest = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        assert(isfinite(gains[i]));
        largest = fmax(largest, fabs((double)gains[i] * factor));
    }
    int exact = TP_GAIN_SHIFT_MAX;
    int exponent;
    frexp(largest, &exponent);
    if (largest != 0.0) exact = 15 - exponent;
    if (exact < TP_GAIN_SHIFT_MIN) {
        return tp__fail(error, TP_ERROR_RANGE,
                        "tensor %s: its largest gain is %g, which is too large for this device",
                        name, largest / factor);
    }
    *shift = exact < TP_GAIN_SHIFT_MAX ? exact : TP_GAIN_SHIFT_MAX;
    for (uint32_t i = 0; i < count; i++) {
        double mantissa = floor(ldexp((double)gains[i] * factor, *shift) + 0.5);
        mantissas[i] = (int16_t)(mantissa > INT16_MAX    ? INT16_MAX
                                 : mantissa < -INT16_MAX ? -INT16_MAX
                                                         : mantissa);
    }
    return TP_OK;
}

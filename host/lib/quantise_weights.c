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

enum { SCALES = 256, SCALE_MAX = SCALES - 1, Q8_MAX = 127, ACCUMULATOR_BITS = 40, ALIGN_MAX = 63 };

/* Scales tried: those between these multiples of the one that maps the largest weight of the block
 * to the largest value. */
static const double search_low = 0.7;
static const double search_high = 1.25;
/* Room above, so that the search stays within the scales also in the block of the largest weight.
 */
static const double headroom = 1.3;

/* Codes count up from 0 and then from the most negative value, like two's complement. */
static const int8_t codebook_fp4[TP_CODEBOOK_SIZE] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                      0, -1, -2, -3, -4, -6, -8, -12};
static const int8_t codebook_nf4[TP_CODEBOOK_SIZE] = {0,   10,   20,  31,  43,  56,  71,  92,
                                                      127, -127, -88, -67, -50, -36, -23, -12};
static const int8_t codebook_int4[TP_CODEBOOK_SIZE] = {0,  1,  2,  3,  4,  5,  6,  7,
                                                       -8, -7, -6, -5, -4, -3, -2, -1};

/* A codebook in the order of its values, with the limits between neighbours. */
struct grid {
    uint32_t count;
    double values[TP_CODEBOOK_SIZE];
    double limits[TP_CODEBOOK_SIZE];  // limits[i] lies between values[i] and values[i + 1]
    uint8_t codes[TP_CODEBOOK_SIZE];
    double largest;  // what the largest weight is mapped to; 127 and count 0 in the 8-bit format
};

static bool is_8_bit(tp_format format)
{
    return format == TP_FORMAT_Q8;
}

void tp__codebook(tp_format format, int8_t codebook[TP_CODEBOOK_SIZE])
{
    const int8_t *source = NULL;
    switch (format) {
    case TP_FORMAT_FP4:
    case TP_FORMAT_FP4_ALL:
        source = codebook_fp4;
        break;
    case TP_FORMAT_NF4:
    case TP_FORMAT_NF4_ALL:
        source = codebook_nf4;
        break;
    case TP_FORMAT_INT4:
    case TP_FORMAT_INT4_ALL:
        source = codebook_int4;
        break;
    case TP_FORMAT_Q8:
    case TP_FORMAT_COUNT:
        break;
    }
    memset(codebook, 0, TP_CODEBOOK_SIZE);
    if (source != NULL) memcpy(codebook, source, TP_CODEBOOK_SIZE);
}

uint8_t tp__plane_code(int8_t value, uint32_t plane)
{
    assert(plane < 2);
    // value = 16 * floor(value / 16) + (value mod 16), and two's complement is exactly that.
    uint8_t byte = (uint8_t)value;
    return plane == 0 ? byte >> 4 : byte & 15;
}

static double scale_of(uint32_t scale)
{
    return ldexp(16 + (scale & 15), (int)(scale >> 4));
}

/* The largest scale that is not above wanted; 0 when all are. */
static uint32_t scale_below(double wanted)
{
    if (wanted <= scale_of(0)) return 0;
    if (wanted >= scale_of(SCALE_MAX)) return SCALE_MAX;
    int exponent;
    frexp(wanted, &exponent);  // wanted in 2^(exponent - 1) .. 2^exponent, exponent 5 .. 20
    uint32_t mantissa = (uint32_t)ldexp(wanted, 5 - exponent);
    return (uint32_t)(exponent - 5) * 16 + (mantissa - 16);
}

static void make_grid(tp_format format, struct grid *grid)
{
    *grid = (struct grid){.largest = Q8_MAX};
    if (is_8_bit(format)) return;
    int8_t codebook[TP_CODEBOOK_SIZE];
    tp__codebook(format, codebook);
    for (int value = -Q8_MAX - 1; value <= Q8_MAX; value++) {
        // FP4 has 0 twice; the first code is the one used.
        uint8_t code = 0;
        while (code < TP_CODEBOOK_SIZE && codebook[code] != value) code++;
        if (code == TP_CODEBOOK_SIZE) continue;
        grid->values[grid->count] = value;
        grid->codes[grid->count++] = code;
    }
    for (uint32_t i = 0; i + 1 < grid->count; i++) {
        grid->limits[i] = (grid->values[i] + grid->values[i + 1]) / 2;
    }
    grid->largest = fmax(-grid->values[0], grid->values[grid->count - 1]);
}

/* Index of the nearest value, the lower one on ties. */
static uint32_t nearest(const struct grid *grid, double weight)
{
    uint32_t index = 0;
#ifdef TP_PLANT_BUG
    weight += 0.25;  // rounds upwards too soon
#endif
    for (uint32_t i = 0; i + 1 < grid->count; i++) index += weight > grid->limits[i];
    return index;
}

static double round_8_bit(double weight)
{
    double value = floor(weight + 0.5);
    return value > Q8_MAX ? Q8_MAX : value < -Q8_MAX ? -Q8_MAX : value;
}

/* One block, scaled by 2^T: squared error with this scale; stops once it is not below limit. */
static double block_error(const struct grid *grid, const double *weights, uint32_t scale,
                          double limit)
{
    double step = scale_of(scale);
    double error = 0.0;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK && error < limit; i++) {
        double weight = weights[i] / step;
        double value = grid->count == 0 ? round_8_bit(weight) : grid->values[nearest(grid, weight)];
        double difference = (value - weight) * step;
        error += difference * difference;
    }
    return error;
}

static uint32_t best_scale(const struct grid *grid, const double *weights, double largest)
{
    double ideal = largest / grid->largest;
    uint32_t last = scale_below(ideal * search_high);
    if (last < SCALE_MAX) last++;
    uint32_t best = 0;
    double best_error = INFINITY;
    for (uint32_t scale = scale_below(ideal * search_low); scale <= last; scale++) {
        double error = block_error(grid, weights, scale, best_error);
        if (error >= best_error) continue;
        best_error = error;
        best = scale;
    }
    return best;
}

static void quantise_block(const struct grid *grid, const double *weights,
                           struct tp_quantised *quantised, size_t block)
{
    double largest = 0.0;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) largest = fmax(largest, fabs(weights[i]));
    if (largest == 0.0) return;  // codes and scale stay 0
    uint32_t scale = best_scale(grid, weights, largest);
    double step = scale_of(scale);
    quantised->scales[block] = (uint8_t)scale;
    int8_t *values = quantised->values + block * TP_WEIGHT_BLOCK;
    uint8_t *codes = quantised->codes + block * TP_WEIGHT_BLOCK;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        double weight = weights[i] / step;
        if (grid->count == 0) {
            values[i] = (int8_t)round_8_bit(weight);
            codes[i] = (uint8_t)values[i];
        } else {
            uint32_t index = nearest(grid, weight);
            values[i] = (int8_t)grid->values[index];
            codes[i] = grid->codes[index];
        }
    }
}

/* floor(log2(value)) */
static int floor_log2(double value)
{
    int exponent;
    frexp(value, &exponent);
    return exponent - 1;
}

static tp_status choose_shift(double largest, const struct grid *grid, const char *name,
                              int32_t *shift, struct tp_error *error)
{
    *shift = TP_WEIGHT_SHIFT_MAX;
    if (largest == 0.0) return TP_OK;
    int exact = floor_log2(scale_of(SCALE_MAX) / (largest / grid->largest * headroom));
    if (exact < TP_WEIGHT_SHIFT_MIN) {
        return tp__fail(error, TP_ERROR_RANGE,
                        "tensor %s: its largest weight is %g, which no scale can reach; the model "
                        "is damaged or was not trained in this range",
                        name, largest);
    }
    if (exact < TP_WEIGHT_SHIFT_MAX) *shift = exact;
    return TP_OK;
}

static uint64_t row_bound(const struct tp_quantised *quantised, size_t row)
{
    uint64_t bound = 0;
    for (size_t block = row * quantised->blocks; block < (row + 1) * quantised->blocks; block++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
            sum += (uint64_t)abs(quantised->values[block * TP_WEIGHT_BLOCK + i]);
        }
        uint32_t scale = quantised->scales[block];
        bound += sum * Q8_MAX * ((uint64_t)(16 + (scale & 15)) << (scale >> 4));
    }
    return bound;
}

static void quantise_row(const struct grid *grid, const float *weights, double multiplier,
                         struct tp_quantised *quantised, size_t row)
{
    for (uint32_t block = 0; block < quantised->blocks; block++) {
        double scaled[TP_WEIGHT_BLOCK] = {0};
        uint32_t first = block * TP_WEIGHT_BLOCK;
        for (uint32_t i = 0; i < TP_WEIGHT_BLOCK && first + i < quantised->columns; i++) {
            scaled[i] = ldexp((double)weights[first + i] * multiplier, quantised->shift);
        }
        quantise_block(grid, scaled, quantised, row * quantised->blocks + block);
    }
    uint64_t bound = row_bound(quantised, row);
    if (bound > quantised->bound) quantised->bound = bound;
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
        return tp__fail(error, TP_ERROR_NO_MEMORY, "tensor %s: no memory for %u x %u weights", name,
                        quantised->rows, quantised->columns);
    }
    return TP_OK;
}

tp_status tp__quantise_tensor(const float *weights, uint32_t rows, uint32_t columns,
                              double multiplier, tp_format format, const char *name,
                              struct tp_quantised *quantised, struct tp_error *error)
{
    assert(rows > 0 && columns > 0 && isfinite(multiplier));
    struct grid grid;
    make_grid(format, &grid);
    double largest = 0.0;
    for (size_t i = 0; i < (size_t)rows * columns; i++) {
        assert(isfinite(weights[i]));
        largest = fmax(largest, fabs((double)weights[i] * multiplier));
    }
    struct tp_quantised result = {.rows = rows,
                                  .columns = columns,
                                  .blocks = (columns - 1) / TP_WEIGHT_BLOCK + 1,
                                  .planes = is_8_bit(format) ? 2 : 1};
    tp__codebook(format, result.codebook);
    tp_status status = choose_shift(largest, &grid, name, &result.shift, error);
    if (status != TP_OK) return status;
    status = take_memory(&result, name, error);
    if (status != TP_OK) {
        tp__quantised_free(&result);
        return status;
    }
    for (size_t row = 0; row < rows; row++) {
        quantise_row(&grid, weights + row * columns, multiplier, &result, row);
    }
    *quantised = result;
    return TP_OK;
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
    return ldexp(value * scale_of(quantised->scales[block]), -quantised->shift);
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
    int exact = largest == 0.0 ? TP_GAIN_SHIFT_MAX : 14 - floor_log2(largest);
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

// SPDX-License-Identifier: Apache-2.0
//
// Grids of values, their scales, and how weights that lie on a grid already are recognised.

#include "grid.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum { SCALE_MAX = TP_SCALE_COUNT - 1, EXPONENT_MAX = 15 };

/* Relative distance that counts as none: float32 weights times a multiplier are off by 2^-23. */
static const double on_grid = 1.0 / (1 << 20);

/* Codes count up from 0 and then from the most negative value, like two's complement. */
static const int8_t codebook_fp4[TP_CODEBOOK_SIZE] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                      0, -1, -2, -3, -4, -6, -8, -12};
static const int8_t codebook_nf4[TP_CODEBOOK_SIZE] = {0,   10,   20,  31,  43,  56,  71,  92,
                                                      127, -127, -88, -67, -50, -36, -23, -12};
static const int8_t codebook_ternary[TP_CODEBOOK_SIZE] = {0, 1, 0, 0, 0, 0, 0, 0,
                                                          0, 0, 0, 0, 0, 0, 0, -1};
static const int8_t codebook_int4[TP_CODEBOOK_SIZE] = {0,  1,  2,  3,  4,  5,  6,  7,
                                                       -8, -7, -6, -5, -4, -3, -2, -1};

struct tp_weight_format tp__weight_format(tp_format format)
{
    struct tp_weight_format result = {.is_8_bit = false};
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
    case TP_FORMAT_TERNARY:
        source = codebook_ternary;
        break;
    case TP_FORMAT_Q8:
    case TP_FORMAT_LEARNED:
    case TP_FORMAT_AUTO:
    case TP_FORMAT_COUNT:
        break;
    }
    result.is_8_bit = format == TP_FORMAT_Q8;
    if (source != NULL) memcpy(result.codebook, source, TP_CODEBOOK_SIZE);
    return result;
}

/* ---- values ---- */

static void fill_nearest(struct tp_grid *grid)
{
    for (int step = 0; step < TP_GRID_STEPS; step++) {
        double weight = (step - TP_GRID_STEPS / 2) / 2.0;
#ifdef TP_PLANT_BUG
        weight += 0.5;  // rounds upwards too soon
#endif
        uint8_t index = 0;
        for (uint32_t i = 0; i + 1 < grid->count; i++) {
            if (weight > (grid->values[i] + grid->values[i + 1]) / 2) index = (uint8_t)(i + 1);
        }
        grid->nearest[step] = index;
    }
}

/* Where good scales lie depends on the values: with few of them clipping pays, and with gaps below
 * the largest one the largest weight is better mapped to the next. */
static void choose_search(struct tp_grid *grid)
{
    grid->search_low = grid->is_8_bit ? 0.9 : grid->count <= 3 ? 0.25 : 0.65;
    grid->search_high = grid->is_8_bit ? 1.25 : grid->count <= 3 ? 1.1 : 1.6;
}

void tp__grid_make(const struct tp_weight_format *format, struct tp_grid *grid)
{
    *grid = (struct tp_grid){.is_8_bit = format->is_8_bit, .largest = TP_Q8_MAX};
    if (!format->is_8_bit) {
        assert(format->codebook[0] == 0);
        for (int value = -TP_Q8_MAX; value <= TP_Q8_MAX; value++) {
            // A value may be there twice; the first code is the one used.
            uint8_t code = 0;
            while (code < TP_CODEBOOK_SIZE && format->codebook[code] != value) code++;
            if (code == TP_CODEBOOK_SIZE) continue;
            grid->values[grid->count] = value;
            grid->codes[grid->count++] = code;
        }
        assert(grid->count >= 2);
        grid->largest = fmax(-grid->values[0], grid->values[grid->count - 1]);
        fill_nearest(grid);
    }
    choose_search(grid);
}

uint8_t tp__grid_code(const struct tp_grid *grid, int8_t value)
{
    if (grid->is_8_bit) return (uint8_t)value;
    uint32_t i = 0;
    while (i + 1 < grid->count && grid->values[i] < value) i++;
    assert((int8_t)grid->values[i] == value);
    return grid->codes[i];
}

/* ---- scales ---- */

double tp__scale_value(uint32_t scale)
{
    return (double)((uint64_t)(16 + (scale & 15)) << (scale >> 4));
}

uint32_t tp__scale_below(double wanted)
{
    if (wanted <= tp__scale_value(0)) return 0;
    if (wanted >= tp__scale_value(SCALE_MAX)) return SCALE_MAX;
    int exponent;
    frexp(wanted, &exponent);  // wanted in 2^(exponent - 1) .. 2^exponent, exponent 5 .. 20
    uint32_t mantissa = (uint32_t)ldexp(wanted, 5 - exponent);
    return (uint32_t)(exponent - 5) * 16 + (mantissa - 16);
}

/* ---- blocks that lie on a grid ---- */

/* Whether all weights are values times step. */
static bool is_on_grid(const struct tp_grid *grid, const double *weights, double step)
{
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        double weight = weights[i] / step;
        if (fabs(tp__grid_round(grid, weight) - weight) > fabs(weight) * on_grid) return false;
    }
    return true;
}

/* The weight of largest size. */
static double largest_of(const double *weights)
{
    double largest = 0.0;
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        if (fabs(weights[i]) > fabs(largest)) largest = weights[i];
    }
    return largest;
}

/* step = mantissa * 2^exponent with a mantissa of 16 .. 31, if it is that close. */
static bool is_scale(double step, int *mantissa, int *exponent)
{
    double fraction = frexp(step, exponent) * 32.0;
    double nearest = floor(fraction + 0.5);
    if (fabs(fraction - nearest) > nearest * on_grid) return false;
    *exponent -= 5;
    *mantissa = (int)nearest;
    if (*mantissa == 32) {
        *mantissa = 16;
        (*exponent)++;
    }
    return true;
}

/* The exponents of all scales, of any size, on whose grid the block lies. */
struct exponents {
    bool any;
    int low;
    int high;
};

static void try_value(const struct tp_grid *grid, const double *weights, double largest,
                      double value, struct exponents *found)
{
    int mantissa;
    int exponent;
    if (value == 0.0 || value * largest < 0.0) return;
    if (!is_scale(largest / value, &mantissa, &exponent)) return;
    if (!is_on_grid(grid, weights, ldexp(mantissa, exponent))) return;
    if (!found->any || exponent < found->low) found->low = exponent;
    if (!found->any || exponent > found->high) found->high = exponent;
    found->any = true;
}

static struct exponents exponents_of(const struct tp_grid *grid, const double *weights,
                                     double largest)
{
    struct exponents found = {.any = false};
    for (uint32_t i = 0; i < grid->count; i++) {
        try_value(grid, weights, largest, grid->values[i], &found);
    }
    for (int value = 1; grid->is_8_bit && value <= TP_Q8_MAX; value++) {
        try_value(grid, weights, largest, largest < 0.0 ? -value : value, &found);
    }
    return found;
}

/* The scale on whose grid the block lies, the smallest of several. */
static bool exact_scale(const struct tp_grid *grid, const double *weights, double largest,
                        uint32_t *scale)
{
    uint32_t count = grid->is_8_bit ? TP_Q8_MAX : grid->count;
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        double value = grid->is_8_bit ? (largest < 0.0 ? -1.0 : 1.0) * (i + 1) : grid->values[i];
        int mantissa;
        int exponent;
        if (value * largest <= 0.0 || !is_scale(largest / value, &mantissa, &exponent)) continue;
        if (exponent < 0 || exponent > EXPONENT_MAX) continue;
        uint32_t candidate = (uint32_t)(16 * exponent + mantissa - 16);
        if (found && candidate >= *scale) continue;
        if (!is_on_grid(grid, weights, tp__scale_value(candidate))) continue;
        *scale = candidate;
        found = true;
    }
    return found;
}

void tp__scales_of_block(const struct tp_grid *grid, const double *weights, uint32_t *first,
                         uint32_t *last)
{
    double largest = largest_of(weights);
    uint32_t exact = 0;
    assert(largest != 0.0);
    if (exact_scale(grid, weights, largest, &exact)) {
        *first = exact;
        *last = exact;
        return;
    }
    double ideal = fabs(largest) / grid->largest;
    *first = tp__scale_below(ideal * grid->search_low);
    *last = tp__scale_below(ideal * grid->search_high);
    if (*last < SCALE_MAX) (*last)++;
}

/* ---- T ---- */

/* floor(log2(value)) */
static int floor_log2(double value)
{
    int exponent;
    frexp(value, &exponent);
    return exponent - 1;
}

/* Narrows low .. high to the T with which the row's grids can be reached; false when a block lies
 * on none. */
static bool narrow_shift(const struct tp_grid *grid, const float *row, uint32_t columns,
                         double multiplier, int *low, int *high)
{
    for (uint32_t first = 0; first < columns; first += TP_WEIGHT_BLOCK) {
        double weights[TP_WEIGHT_BLOCK] = {0};
        for (uint32_t i = 0; i < TP_WEIGHT_BLOCK && first + i < columns; i++) {
            weights[i] = (double)row[first + i] * multiplier;
        }
        double largest = largest_of(weights);
        if (largest == 0.0) continue;
        struct exponents found = exponents_of(grid, weights, largest);
        if (!found.any) return false;
        if (-found.high > *low) *low = -found.high;
        if (EXPONENT_MAX - found.low < *high) *high = EXPONENT_MAX - found.low;
    }
    return true;
}

/* The T that reach all grids of a tensor; false when there are none. */
static bool find_shifts(const struct tp_grid *grid, const float *weights, uint32_t rows,
                        uint32_t columns, double multiplier, int *low, int *high)
{
    *low = TP_WEIGHT_SHIFT_MIN;
    *high = TP_WEIGHT_SHIFT_MAX;
    for (size_t row = 0; row < rows; row++) {
        if (!narrow_shift(grid, weights + row * columns, columns, multiplier, low, high)) {
            return false;
        }
    }
    return *low <= *high;
}

bool tp__grid_holds(const struct tp_grid *grid, const float *weights, uint32_t rows,
                    uint32_t columns, double multiplier)
{
    int low;
    int high;
    return find_shifts(grid, weights, rows, columns, multiplier, &low, &high);
}

double tp__grid_shift(const struct tp_grid *grid, const float *weights, uint32_t rows,
                      uint32_t columns, double multiplier, double room, int32_t *shift)
{
    double largest = 0.0;
    for (size_t i = 0; i < (size_t)rows * columns; i++) {
        assert(isfinite(weights[i]));
        largest = fmax(largest, fabs((double)weights[i] * multiplier));
    }
    *shift = TP_WEIGHT_SHIFT_MAX;
    if (largest == 0.0) return largest;
    int exact = floor_log2(tp__scale_value(SCALE_MAX) / (largest / grid->largest * room));
    if (exact < TP_WEIGHT_SHIFT_MAX) *shift = exact;
    int low;
    int high;
    if (!find_shifts(grid, weights, rows, columns, multiplier, &low, &high)) return largest;
    if (*shift < low) *shift = low;
    if (*shift > high) *shift = high;
    return largest;
}

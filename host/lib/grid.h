// SPDX-License-Identifier: Apache-2.0
//
// The numbers that a block of weights can take: a grid of values times one of 256 scales.
//
// Plain rounding (quantise_weights.c) and GPTQ (gptq.c) share it. A block is 32 weights, already
// multiplied by 2^T, so that a weight is value * scale.

#ifndef TP_LIB_GRID_H
#define TP_LIB_GRID_H

#include <stdbool.h>
#include <stdint.h>

#include "tokproc.h"

enum {
    TP_WEIGHT_BLOCK = 32,
    TP_CODEBOOK_SIZE = 16,
    TP_WEIGHT_SHIFT_MIN = -24,  // of T; larger weights are refused
    TP_WEIGHT_SHIFT_MAX = 60,   // smaller weights use the low end of the scales
    TP_SCALE_COUNT = 256,
    TP_Q8_MAX = 127
};

/** What a tensor is rounded to: 8 bits, or the entries of a codebook. */
struct tp_weight_format {
    bool is_8_bit;
    int8_t codebook[TP_CODEBOOK_SIZE];  // value of each code, code 0 is 0; all 0 with 8 bits
};

/** Codebook of a format that has a fixed one; the -all formats mean the same as the plain ones. */
struct tp_weight_format tp__weight_format(tp_format format);

enum { TP_GRID_STEPS = 4 * TP_Q8_MAX + 7 };

/** A format prepared for rounding. */
struct tp_grid {
    bool is_8_bit;
    uint32_t count;                   // of values; 0 with 8 bits
    double values[TP_CODEBOOK_SIZE];  // ascending, each once
    uint8_t codes[TP_CODEBOOK_SIZE];  // the lowest code of each value
    uint8_t nearest[TP_GRID_STEPS];   // index of the value nearest to every multiple of 1/2
    double largest;                   // |value| that is largest: 127 with 8 bits
    double search_low;                // scales are tried between these multiples of the one that
    double search_high;               //   maps the largest weight to the largest value
};

void tp__grid_make(const struct tp_weight_format *format, struct tp_grid *grid);

/** (16 + m) * 2^e of the scale byte e * 16 + m. */
double tp__scale_value(uint32_t scale);

/** The largest scale that is not above wanted; 0 when all are. */
uint32_t tp__scale_below(double wanted);

/** The value nearest to a weight in units of the scale, the lower one on ties (8 bits: the higher).
 */
static inline double tp__grid_round(const struct tp_grid *grid, double weight)
{
    if (grid->is_8_bit) {
        double up = weight + 0.5;
        up = up > TP_Q8_MAX ? TP_Q8_MAX : up < -TP_Q8_MAX ? -TP_Q8_MAX : up;
        double value = (double)(int32_t)up;
        return value - (value > up ? 1.0 : 0.0);
    }
    // The limits between values are multiples of 1/2, and a weight on one goes to the lower value.
    const double most = TP_GRID_STEPS / 2;
    double twice = 2.0 * weight;
    twice = twice > most ? most : twice < -most ? -most : twice;
    int32_t step = (int32_t)twice;
    step += (double)step < twice ? 1 : 0;
    return grid->values[grid->nearest[step + TP_GRID_STEPS / 2]];
}

/** Code of a value of the grid. */
uint8_t tp__grid_code(const struct tp_grid *grid, int8_t value);

/** Scales worth trying for a block: first and last of a run, or one alone when the block lies on
 *  the grid of that scale exactly (up to the rounding of float32), which then loses nothing.
 *  in   weights  [32], not all zero */
void tp__scales_of_block(const struct tp_grid *grid, const double *weights, uint32_t *first,
                         uint32_t *last);

/** Whether every block of a tensor lies on a grid, and one T reaches them all: then plain rounding
 *  loses nothing.
 *  in     weights  [rows][columns], finite */
bool tp__grid_holds(const struct tp_grid *grid, const float *weights, uint32_t rows,
                    uint32_t columns, double multiplier);

/** T of a tensor: as large as its largest weight allows, with room to round it up; where every
 *  block lies on a grid, a T with which all these grids can be reached.
 *  in     weights  [rows][columns], finite
 *         room     above the largest weight; 1.3 leaves plain rounding all scales that it tries
 *  out    shift    T
 *  Returns the largest |weight * multiplier|; when T would be below TP_WEIGHT_SHIFT_MIN, shift is
 *  less than that. */
double tp__grid_shift(const struct tp_grid *grid, const float *weights, uint32_t rows,
                      uint32_t columns, double multiplier, double room, int32_t *shift);

#endif

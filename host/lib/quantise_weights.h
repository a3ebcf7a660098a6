// SPDX-License-Identifier: Apache-2.0
//
// Float weights to the number formats of the contract (docs/numbers.md, sections 2 to 4).
//
// A weight is value * (16 + m) * 2^e * 2^-T: value a small integer, the scale byte e * 16 + m
// shared by 32 neighbours of a row, T shared by the tensor. In the 8-bit format value is -127 ..
// 127, stored as two 4-bit planes: 16 * high + low, high -8 .. 7, low 0 .. 15. In a 4-bit format
// value is the entry of a codebook of 16. Code 0 is value 0 in all of them, so zero memory is
// padding.

#ifndef TP_LIB_QUANTISE_WEIGHTS_H
#define TP_LIB_QUANTISE_WEIGHTS_H

#include <stdint.h>

#include "error.h"
#include "grid.h"

enum { TP_GAIN_SHIFT_MIN = -16, TP_GAIN_SHIFT_MAX = 40 };

struct tp_quantised {
    uint32_t rows;
    uint32_t columns;
    uint32_t blocks;  // of a row: columns / 32, rounded up
    int32_t shift;    // T
    uint32_t planes;  // 2 in the 8-bit format, else 1
    int8_t *values;   // [rows][blocks][32]; 0 behind the last column
    uint8_t *codes;   // [rows][blocks][32]: 4-bit code, or in the 8-bit format the value's low byte
    uint8_t *scales;  // [rows][blocks]
    int8_t codebook[TP_CODEBOOK_SIZE];  // value of each code; all 0 in the 8-bit format
    uint64_t bound;                     // largest sum over a row of scale * 127 * |value|
};

/** 4 bits of an 8-bit value: plane 0 is the high one, plane 1 the low one. */
uint8_t tp__plane_code(int8_t value, uint32_t plane);

/** Rounds weights [rows][columns] times multiplier. For each block the scale with the least squared
 *  error is taken, the smaller one on ties; equal input gives equal output on every machine. A
 *  block that is on a grid already (value * scale * 2^-T for any scale and T, as far as float32
 *  tells) keeps its numbers; so does a tensor of such blocks, if one T reaches them all.
 *  in     weights     finite
 *         name        of the tensor, for messages
 *  out    quantised   written only on TP_OK; tp__quantised_free releases it
 *  error  TP_ERROR_NO_MEMORY
 *         TP_ERROR_RANGE  weights beyond what T can reach */
TP_MUST_USE tp_status tp__quantise_plain(const float *weights, uint32_t rows, uint32_t columns,
                                         double multiplier, const struct tp_weight_format *format,
                                         const char *name, struct tp_quantised *quantised,
                                         struct tp_error *error);

/** The same for a format with a fixed codebook; the -all formats mean the plain ones here. */
TP_MUST_USE tp_status tp__quantise_tensor(const float *weights, uint32_t rows, uint32_t columns,
                                          double multiplier, tp_format format, const char *name,
                                          struct tp_quantised *quantised, struct tp_error *error);

void tp__quantised_free(struct tp_quantised *quantised);

/** The number that stands for a weight: value * scale * 2^-T. */
double tp__quantised_weight(const struct tp_quantised *quantised, uint32_t row, uint32_t column);

/* ---- for the ways of rounding only ---- */

/** The scale with the least squared error for a block that is not all zero. */
uint32_t tp__best_scale(const struct tp_grid *grid, const double *weights);

/** Chooses T and takes the memory of an all-zero result.
 *  in     room  above the largest weight, as tp__grid_shift has it */
TP_MUST_USE tp_status tp__quantised_open(const float *weights, uint32_t rows, uint32_t columns,
                                         double multiplier, double room,
                                         const struct tp_weight_format *format,
                                         const struct tp_grid *grid, const char *name,
                                         struct tp_quantised *quantised, struct tp_error *error);

/** Sets a block, counted over all rows, to values of the grid. */
void tp__quantised_set(struct tp_quantised *quantised, const struct tp_grid *grid, size_t block,
                       const double values[TP_WEIGHT_BLOCK], uint8_t scale);

/** Once all blocks are set: computes the bound, and brings scales and T to the one form that the
 *  same numbers have whatever T was tried. Returns by how much T was raised. */
int32_t tp__quantised_finish(struct tp_quantised *quantised);

/* ---- further constants of a matrix ---- */

/** Smallest D >= cap with bound * 2^(cap - D) + blocks < 2^39, so that no input can overflow the
 *  accumulator.
 *  in     cap  X, the largest block exponent of the input
 *  error  TP_ERROR_TOO_LARGE  15 + D does not fit its six bits */
TP_MUST_USE tp_status tp__accumulator_shift(uint64_t bound, uint32_t blocks, uint32_t cap,
                                            const char *name, uint32_t *d, struct tp_error *error);

/** mantissas [count] = round(gains * sqrt(count) * 2^shift), |mantissa| < 2^15, shift (ge) as large
 *  as that allows.
 *  error  TP_ERROR_RANGE  gains beyond what the shift can reach */
TP_MUST_USE tp_status tp__quantise_gains(const float *gains, uint32_t count, const char *name,
                                         int16_t *mantissas, int32_t *shift,
                                         struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Number types of model files: blocks of bytes to float32, by the arithmetic of the ggml library.
//
//   type   numbers  bytes  block (f16: IEEE half; low nibbles hold the first half of the numbers)
//   F32       1       4    float32
//   F16       1       2    f16
//   BF16      1       2    upper half of a float32
//   Q4_0     32      18    f16 d; 16 bytes of nibbles q              (q - 8) d
//   Q4_1     32      20    f16 d, m; nibbles q                       q d + m
//   Q5_0     32      22    f16 d; 32 fifth bits; nibbles             (q - 16) d
//   Q5_1     32      24    f16 d, m; 32 fifth bits; nibbles          q d + m
//   Q8_0     32      34    f16 d; 32 int8 q                          q d
//   Q4_K    256     144    f16 d, m; 8 scales s and minima t of 6 bits; nibbles
//                                                                    (d s) q - (m t)
//   Q5_K    256     176    as Q4_K, with 256 fifth bits
//   Q6_K    256     210    nibbles; 256 upper pairs of bits; 16 int8 scales s; f16 d
//                                                                    (d s) (q - 32)
//   MXFP4    32      17    exponent e; nibbles of 0 .5 1 1.5 2 3 4 6 and their negatives
//                                                                    value 2^(e - 127)
//
// Products and sums round to float32 one by one, in the order written.

#ifndef TP_LIB_GGML_FORMATS_H
#define TP_LIB_GGML_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tp_number_type {
    TP_NUMBER_F32,
    TP_NUMBER_F16,
    TP_NUMBER_BF16,
    TP_NUMBER_Q4_0,
    TP_NUMBER_Q4_1,
    TP_NUMBER_Q5_0,
    TP_NUMBER_Q5_1,
    TP_NUMBER_Q8_0,
    TP_NUMBER_Q4_K,
    TP_NUMBER_Q5_K,
    TP_NUMBER_Q6_K,
    TP_NUMBER_MXFP4,
    TP_NUMBER_COUNT
};

enum { TP_NUMBER_BLOCK_MAX = 256, TP_NUMBER_BLOCK_BYTES_MAX = 210 };

struct tp_number_format {
    const char *name;
    uint32_t ggml_type;  // its number in GGUF files
    uint32_t elements;   // of a block
    uint32_t bytes;      // of a block
};

const struct tp_number_format *tp__number_format(enum tp_number_type type);

/** The type with that number in GGUF files; false for one that is not read. */
bool tp__number_of_ggml(uint32_t ggml_type, enum tp_number_type *type);

/** De-quantises count numbers, a multiple of the block's; blocks need no alignment. A scale that is
 *  not finite gives numbers that are not finite. */
void tp__number_expand(enum tp_number_type type, const uint8_t *blocks, size_t count, float *out);

/** A row as it comes back from Q8_0 or Q4_0: each block of 32 rounded by the library's reference
 *  arithmetic and de-quantised. A short last block counts as filled up with zeros.
 *  in     row [count], finite
 *  out    out [count], may be row */
void tp__q8_0_round(const float *row, size_t count, float *out);
void tp__q4_0_round(const float *row, size_t count, float *out);

/** IEEE half precision: exact, and rounded to nearest, ties to even. */
float tp__float_of_half(uint16_t half);
uint16_t tp__half_of_float(float value);

#endif

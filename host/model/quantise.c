/* SPDX-License-Identifier: Apache-2.0
 *
 * The block quantiser: up to 32 elements in 8 bits each with one shared exponent.
 */
#include <assert.h>

#include "model.h"

enum { BLOCK = 32, CODE_BITS = 7, CODE_MAX = 127 };

/* The OR of the magnitudes has as many bits as the largest of them. */
static int bits_needed(const int32_t *x, uint32_t n)
{
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= tp_magnitude(x[i]);
    return tp_bits(any) - CODE_BITS;
}

/* 127.5 and more round to 128 and clip; so does everything that the largest exponent cannot hold.
 */
static int8_t code_of(int32_t x, int exponent)
{
    int64_t v = tp_rnd(x, exponent);
    if (v > CODE_MAX) return CODE_MAX;
    if (v < -CODE_MAX) return -CODE_MAX;
    return (int8_t)v;
}

uint8_t tp_quantise_block(const int32_t *x, uint32_t n, uint8_t exponent_min, uint8_t exponent_max,
                          int8_t *q, struct tp_counters *counters)
{
    assert(n >= 1);
    assert(n <= BLOCK);
    assert(exponent_min <= exponent_max);
    assert(counters != NULL);
    int exponent = bits_needed(x, n);
    if (exponent < exponent_min) exponent = exponent_min;
    if (exponent > exponent_max) {
        exponent = exponent_max;
        counters->clips++;
    }
    for (uint32_t i = 0; i < n; i++) q[i] = code_of(x[i], exponent);
    return (uint8_t)exponent;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS norm, always late: the gain is applied at once, the factor of the vector after the matrix.
 */
#include <assert.h>

#include "model.h"
#include "tables.h"

enum { SQUARE_BITS = 15, INDEX_BITS = 5, FRACTION_BITS = 10 };

uint32_t tp_rsqrt(uint64_t a, int32_t *half_k)
{
    assert(a > 0);
    int k = tp_bits(a) - 1;
    /* The bits below the leading one, left-aligned in 64; a shift by 64 is not defined. */
    uint64_t f = k == 0 ? 0 : a << (64 - k);
    uint32_t odd = (uint32_t)k & 1u;
    uint32_t i = (odd << INDEX_BITS) | (uint32_t)(f >> (64 - INDEX_BITS));
    uint32_t g = (uint32_t)(f >> (64 - INDEX_BITS - FRACTION_BITS)) & ((1u << FRACTION_BITS) - 1);
    uint32_t left = (uint32_t)TP_TABLE_RSQRT[i];
    uint32_t right = (uint32_t)TP_TABLE_RSQRT[i + 1];
    *half_k = k / 2;
    return left - (((left - right) * g + (1u << (FRACTION_BITS - 1))) >> FRACTION_BITS);
}

struct tp_norm_factor tp_rmsnorm_factor(const int32_t *x, uint32_t n, uint64_t epsilon)
{
    assert(n >= 1);
    assert(n <= 8192);
    assert(epsilon < UINT64_C(1) << 48);
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= tp_magnitude(x[i]);
    int shift = tp_bits(any) - SQUARE_BITS;
    if (shift < 0) shift = 0;
    /* Each element has 16 bits signed after the shift, so the sum has 49 bits with any epsilon. */
    uint64_t sum = epsilon >> (2 * shift);
    for (uint32_t i = 0; i < n; i++) {
        int64_t v = tp_flr(x[i], shift);
        sum += (uint64_t)(v * v);
    }
    struct tp_norm_factor factor;
    factor.rm = tp_rsqrt(sum == 0 ? 1 : sum, &factor.shift);
    factor.shift += shift;
    assert(factor.shift <= 38);
    return factor;
}

void tp_rmsnorm_gain(const int32_t *x, const int16_t *gain, uint32_t n, int shift, int32_t *h,
                     struct tp_counters *counters)
{
    for (uint32_t i = 0; i < n; i++) {
        h[i] = tp_rnd_sat32((int64_t)x[i] * gain[i], shift, counters);
    }
}

void tp_head_norm(int32_t *head, const int16_t *gain, uint32_t n, int head_shift, uint32_t epsilon,
                  struct tp_counters *counters)
{
    assert(n >= 8);
    assert((n & (n - 1)) == 0);
    struct tp_norm_factor factor = tp_rmsnorm_factor(head, n, epsilon);
    for (uint32_t i = 0; i < n; i++) {
        int32_t z = tp_rnd_sat32(head[i], head_shift + factor.shift, counters);
        int32_t y = tp_sat32(tp_rnd((int64_t)z * factor.rm, 16), counters);
        head[i] = tp_rnd_sat32((int64_t)y * gain[i], 15, counters);
    }
}

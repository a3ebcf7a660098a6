/* SPDX-License-Identifier: Apache-2.0
 *
 * Rounding, shifting and saturation of the number contract; nothing else rounds or clamps to int32.
 */
#include <assert.h>

#include "model.h"

/* v * 2^s for s >= 0, wrapping like the machine word: defined for every v, and 0 for s > 63. */
static int64_t shift_left(int64_t v, int s)
{
    assert(s >= 0);
    return s > 63 ? 0 : (int64_t)((uint64_t)v << s);
}

/* v / 2^s rounded down. Right shift of a negative number is arithmetic on every compiler that this
 * library supports; the model test checks it. */
static int64_t shift_right(int64_t v, int s)
{
    assert(s >= 0);
    return v >> (s > 63 ? 63 : s);
}

int64_t tp_rnd(int64_t v, int s)
{
    if (s > 62) {
        return 0;
    }
    if (s <= 0) {
        return shift_left(v, -s);
    }
    /* The half is the highest bit that is cut off; adding it afterwards cannot overflow. */
    return shift_right(v, s) + (shift_right(v, s - 1) & 1);
}

int64_t tp_flr(int64_t v, int s)
{
    return s >= 0 ? shift_right(v, s) : shift_left(v, -s);
}

int tp_bits(uint64_t v)
{
    return v == 0 ? 0 : 64 - __builtin_clzll(v);
}

uint32_t tp_magnitude(int32_t v)
{
    return v < 0 ? 0u - (uint32_t)v : (uint32_t)v;
}

int32_t tp_sat32(int64_t v, struct tp_counters *counters)
{
    assert(counters != NULL);
    if (v > INT32_MAX) {
        counters->saturations++;
        return INT32_MAX;
    }
    if (v < INT32_MIN) {
        counters->saturations++;
        return INT32_MIN;
    }
    return (int32_t)v;
}

int32_t tp_rnd_sat32(int64_t v, int s, struct tp_counters *counters)
{
    if (s >= 0) {
        return tp_sat32(tp_rnd(v, s), counters);
    }
    /* One doubling takes everything outside of these limits, and the limits themselves where they
     * replace something, past int32; so does every further one. 32 doublings of them fit 64 bits.
     */
    const int64_t most = INT64_C(1) << 30;
    const int64_t least = -most - 1;
    int64_t cut = v > most ? most : (v < least ? least : v);
    return tp_sat32(tp_rnd(cut, s < -32 ? -32 : s), counters);
}

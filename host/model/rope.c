// SPDX-License-Identifier: Apache-2.0
//
// Rotary position: a 32-bit phase accumulator and a quarter-wave sine table.

#include "model.h"
#include "tables.h"

#include <assert.h>

/* Phase layout: bits 31:30 quadrant, 29:24 table index, 23:14 fraction; the rest is below the
 * resolution of the interpolation. */
enum { QUARTER_LOG2 = 30, INDEX_SHIFT = 24, FRACTION_SHIFT = 14, TABLE_LAST = 64 };

int32_t tp_sine(uint32_t phase)
{
    const uint32_t quarter = 1u << QUARTER_LOG2;
    uint32_t quadrant = phase >> QUARTER_LOG2;
    uint32_t r = phase & (quarter - 1);
    if (quadrant & 1) r = quarter - r;
    uint32_t i = r >> INDEX_SHIFT;
    assert(i <= TABLE_LAST);
    int32_t value = TP_TABLE_SINE[i];
    if (i < TABLE_LAST) {
        int32_t g = (int32_t)(r >> FRACTION_SHIFT & 1023);
        value += ((TP_TABLE_SINE[i + 1] - TP_TABLE_SINE[i]) * g + 512) >> 10;
    }
    return quadrant & 2 ? -value : value;
}

void tp_rope_angles(uint32_t position, const uint32_t *increment, uint32_t pairs, int32_t *cosine,
                    int32_t *sine)
{
    for (uint32_t j = 0; j < pairs; j++) {
        uint32_t phase = position * increment[j];
        cosine[j] = tp_sine(phase + (1u << QUARTER_LOG2));
        sine[j] = tp_sine(phase);
    }
}

void tp_rope_rotate(int32_t *a, int32_t *b, int32_t cosine, int32_t sine,
                    struct tp_counters *counters)
{
    assert(cosine >= -32768 && cosine <= 32768);
    assert(sine >= -32768 && sine <= 32768);
    int64_t x = *a;
    int64_t y = *b;
    *a = tp_sat32(tp_rnd(x * cosine - y * sine, 15), counters);
    *b = tp_sat32(tp_rnd(x * sine + y * cosine, 15), counters);
}

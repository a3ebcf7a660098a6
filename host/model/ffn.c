// SPDX-License-Identifier: Apache-2.0
//
// SwiGLU: silu(gate) * up with a sigmoid table and products of 18-bit mantissas.

#include "model.h"
#include "tables.h"

/* |a| layout: from bit 20 on the sigmoid is 1; bits 19:13 table index, 12:3 fraction. */
enum { FLAT_LOG2 = 20, INDEX_SHIFT = 13, FRACTION_SHIFT = 3, ONE = 65536, MANTISSA_BITS = 18 };

int32_t tp_sigmoid(int32_t a)
{
    uint32_t m = tp_magnitude(a);
    int32_t s = ONE;
    if (m >> FLAT_LOG2 == 0) {
        uint32_t i = m >> INDEX_SHIFT;
        int32_t g = (int32_t)(m >> FRACTION_SHIFT & 1023);
        s = TP_TABLE_SIGMOID[i] +
            (((TP_TABLE_SIGMOID[i + 1] - TP_TABLE_SIGMOID[i]) * g + 512) >> 10);
    }
    return a < 0 ? ONE - s : s;
}

/* Right shift that leaves a value of 18 bits, sign included. */
static int mantissa_shift(int32_t v)
{
    int shift = tp_bits(tp_magnitude(v)) - (MANTISSA_BITS - 1);
    return shift > 0 ? shift : 0;
}

int32_t tp_swiglu(int32_t gate, int32_t up, struct tp_counters *counters)
{
    int gate_shift = mantissa_shift(gate);
    int up_shift = mantissa_shift(up);
    int64_t silu = tp_rnd(tp_flr(gate, gate_shift) * tp_sigmoid(gate), 16);
    int64_t product = silu * tp_flr(up, up_shift);
    return tp_sat32(tp_rnd(product, 16 - gate_shift - up_shift), counters);
}

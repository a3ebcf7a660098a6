/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix times block-quantised vector in absolute alignment, its output scaling, the embedding.
 */
#include <assert.h>

#include "model.h"

enum { BLOCK = 32 };

/* A scale byte holds (16 + m) * 2^e: m in the low, e in the high nibble. */
static int32_t scale_mantissa(uint8_t scale)
{
    return 16 + (scale & 15);
}

static int scale_exponent(uint8_t scale)
{
    return scale >> 4;
}

TP_VECTORISED
int64_t tp_matvec_row(const int8_t *codes, const uint8_t *scales, const int8_t *q,
                      const uint8_t *exponents, uint32_t blocks, int align)
{
    assert(blocks >= 1);
    assert(align >= 0);
    assert(align < 64);
    int64_t acc = 0;
    for (uint32_t block = 0; block < blocks; block++) {
        int32_t dot = 0;
        for (uint32_t i = block * BLOCK; i < (block + 1) * BLOCK; i++) dot += codes[i] * q[i];
        /* 20 bits signed; 25 after the mantissa, 40 after the shift to the left. */
        assert(dot >= -(1 << 19));
        assert(dot < 1 << 19);
        int shift = align - scale_exponent(scales[block]) - exponents[block];
        assert(shift >= 0 || dot == 0);
        int64_t t = (int64_t)dot * scale_mantissa(scales[block]) * 32768;
        acc += tp_flr(t, shift < 0 ? 0 : shift);
    }
    /* The compiler chose align so that this holds for every input. */
    assert(acc >= -(INT64_C(1) << 39));
    assert(acc < INT64_C(1) << 39);
    return acc;
}

uint32_t tp_matrix_last_blocks(uint32_t groups, uint32_t planes)
{
    assert(planes >= 1);
    assert(planes <= 2);
    uint32_t beats = groups > 2 ? groups / 2 : 1;
    return (beats + planes - 1) / planes;
}

uint32_t tp_matrix_beat(const struct tp_matrix_order *order, uint32_t row_group, uint32_t block)
{
    const struct tp_matrix_order *o = order;
    assert(row_group < o->row_groups);
    assert(block < o->blocks);
    if (!o->block_major) {
        return (row_group * o->blocks + block) * o->planes;
    }
    uint32_t together = tp_matrix_last_blocks(o->groups, o->planes);
    assert(together < o->blocks);
    uint32_t apart = o->blocks - together;
    uint32_t place = block < apart ? block * o->row_groups + row_group
                                   : apart * o->row_groups + row_group * together + block - apart;
    return place * o->planes;
}

int32_t tp_matvec_scale(int64_t acc, int shift, uint32_t rm, struct tp_counters *counters)
{
    assert(rm <= 65536);
    int32_t z = tp_rnd_sat32(acc, shift, counters);
    return tp_sat32(tp_rnd((int64_t)z * rm, 16), counters);
}

void tp_embed_row(const int8_t *codes, const uint8_t *scales, uint32_t blocks, int shift,
                  int32_t *x, struct tp_counters *counters)
{
    for (uint32_t i = 0; i < blocks * BLOCK; i++) {
        uint8_t scale = scales[i / BLOCK];
        int64_t v = (int64_t)codes[i] * scale_mantissa(scale) * (1 << scale_exponent(scale));
        x[i] = tp_rnd_sat32(v, shift, counters);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention of one position in pages: scores in log2 units, each page against its own integer
 * maxima, pages merged in ascending order by shifts, one division at the end.
 *
 * A head of up to 32 elements lies in one KV word; a larger one spans head size / 32 words, each an
 * exponent block of its own. Everything is exact in the widths noted below; nothing wraps.
 */
#include "model.h"

#include <assert.h>
#include <string.h>

#include "tables.h"
#include "tp_map.h"

enum {
    SCORE_FRACTION = 6, /* fraction bits of a score */
    GUARD = 5,          /* bits that a page's sums get below their unit before the merge */
    BLOCKS_MAX = 4,     /* exponent blocks of the largest head, 128 */
    HEAD_MAX = 128
};

/* One query head and where its KV head lies. */
struct head {
    uint32_t blocks;            /* exponent blocks, 1..4 */
    uint32_t lanes;             /* elements of a block, 8, 16 or 32 */
    uint32_t word;              /* first KV word */
    uint32_t lane;              /* first lane of that word */
    uint32_t exponent;          /* index of its exponent in the word */
    const int8_t *q;            /* [blocks][32], at the word of the first block */
    const uint8_t *q_exponents; /* [blocks][4] */
};

/* The KV cache as one query sees it. */
struct cache {
    const struct tp_attention_shape *shape;
    const struct tp_kv_memory *kv;
    const uint16_t *pages;
    uint32_t base;
    uint32_t stride;
};

/* Sums over one page, or over all pages so far. weight counts units of 2^maximum, mix [block][lane]
 * units of 2^mix_maximum[block]; both of 2^-8 times that before the merge's guard bits. */
struct sums {
    int32_t maximum;
    int32_t mix_maximum[BLOCKS_MAX];
    int32_t weight;        /* page: 12 bits unsigned; total: 24 bits at 2,048 positions */
    int32_t mix[HEAD_MAX]; /* page: 20 bits signed; total: 32 bits signed at 2,048 positions */
};

/* What the mix needs to know of one position. */
struct scored {
    uint32_t row[BLOCKS_MAX];
    int32_t floor;    /* f: score rounded down, plus 1 */
    int32_t mantissa; /* T: 128..253, 2^(score - f) * 256 */
    int32_t exponent_v[BLOCKS_MAX];
};

static int64_t clamp24(int64_t v)
{
    const int64_t limit = (int64_t)1 << 23;
    return v >= limit ? limit - 1 : v < -limit ? -limit : v;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t not_negative(int32_t v)
{
    return v > 0 ? v : 0;
}

/* 516,128 at most, so 20 bits signed. */
static int32_t dot(const int8_t *a, const int8_t *b, uint32_t n)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (int32_t)a[i] * b[i];
    return sum;
}

static void score(const struct cache *cache, const struct head *head, uint32_t position,
                  struct scored *scored)
{
    int64_t sum = 0;
    for (uint32_t b = 0; b < head->blocks; b++) {
        uint32_t row =
            tp_kv_row(cache->pages, cache->base, cache->stride, head->word + b, position);
        assert(row < cache->kv->rows);
        uint32_t exponents = cache->kv->exponents[4 * row + head->exponent];
        int exponent_k = (int)(cache->shape->key_base + (exponents & 15));
        int exponent_q = head->q_exponents[4 * b + head->exponent];
        const int8_t *key = cache->kv->key + (size_t)TP_BLOCK * row + head->lane;
        const int8_t *query = head->q + (size_t)TP_BLOCK * b + head->lane;
        sum += tp_rnd(dot(query, key, head->lanes), 32 - SCORE_FRACTION - exponent_q - exponent_k);
        scored->row[b] = row;
        scored->exponent_v[b] = (int32_t)(cache->shape->value_base + (exponents >> 4));
    }
    int64_t s = clamp24(sum);
    scored->floor = (int32_t)(s >> SCORE_FRACTION) + 1;
    scored->mantissa = TP_TABLE_EXP2[s & ((1 << SCORE_FRACTION) - 1)];
}

/* Positions first .. first + count - 1, all of one page. */
TP_VECTORISED
static void sum_page(const struct cache *cache, const struct head *head, uint32_t first,
                     uint32_t count, struct sums *page)
{
    struct scored scored[TP_PAGE];
    assert(count >= 1 && count <= TP_PAGE);
    for (uint32_t j = 0; j < count; j++) {
        score(cache, head, first + j, &scored[j]);
        int32_t floor = scored[j].floor;
        page->maximum = j == 0 ? floor : larger(page->maximum, floor);
        for (uint32_t b = 0; b < head->blocks; b++) {
            int32_t level = floor + scored[j].exponent_v[b];
            page->mix_maximum[b] = j == 0 ? level : larger(page->mix_maximum[b], level);
        }
    }
    page->weight = 0;
    memset(page->mix, 0, sizeof page->mix);
    for (uint32_t j = 0; j < count; j++) {
        const struct scored *at = &scored[j];
        page->weight += (int32_t)tp_rnd(at->mantissa, page->maximum - at->floor);
        for (uint32_t b = 0; b < head->blocks; b++) {
            int distance = page->mix_maximum[b] - at->floor - at->exponent_v[b];
            int32_t p = (int32_t)tp_rnd(at->mantissa, distance);
            const int8_t *value = cache->kv->value + (size_t)TP_BLOCK * at->row[b] + head->lane;
            int32_t *mix = page->mix + (size_t)TP_BLOCK * b;
            for (uint32_t i = 0; i < head->lanes; i++) mix[i] += p * value[i];
        }
    }
}

/* total += page, both first brought to the larger of their units. */
static void merge(const struct head *head, const struct sums *page, bool is_first,
                  struct sums *total)
{
    if (is_first) *total = *page;
    int32_t rise = is_first ? 0 : page->maximum - total->maximum;
    int64_t old = is_first ? 0 : tp_flr(total->weight, not_negative(rise));
    int64_t added = (int64_t)page->weight * (1 << GUARD);
    total->weight = (int32_t)(old + tp_flr(added, not_negative(-rise)));
    total->maximum = larger(page->maximum, total->maximum);
    for (uint32_t b = 0; b < head->blocks; b++) {
        rise = is_first ? 0 : page->mix_maximum[b] - total->mix_maximum[b];
        for (uint32_t i = TP_BLOCK * b; i < TP_BLOCK * b + head->lanes; i++) {
            old = is_first ? 0 : tp_flr(total->mix[i], not_negative(rise));
            added = (int64_t)page->mix[i] * (1 << GUARD);
            int64_t sum = old + tp_flr(added, not_negative(-rise));
            assert(sum >= INT32_MIN && sum <= INT32_MAX);
            total->mix[i] = (int32_t)sum;
        }
        total->mix_maximum[b] = larger(page->mix_maximum[b], total->mix_maximum[b]);
    }
}

/* 2^(16 + k) / v for k = bits(v) - 1, 17 bits, by linear interpolation. */
static int32_t reciprocal(uint32_t v)
{
    int k = tp_bits(v) - 1;
    uint32_t fraction = (uint32_t)((((uint64_t)v << (32 - k)) & 0xffffffffu) >> 17);
    uint32_t index = fraction >> 10;
    int32_t low = TP_TABLE_RECIPROCAL[index];
    int32_t high = TP_TABLE_RECIPROCAL[index + 1];
    return low - (((low - high) * (int32_t)(fraction & 1023) + 512) >> 10);
}

/* out [blocks][32], at the word of the first block. */
static void normalise(const struct head *head, const struct sums *total, int shift, int32_t *out,
                      struct tp_counters *counters)
{
    assert(total->weight >= 1 << 12);
    int k = tp_bits((uint32_t)total->weight) - 1;
    int64_t factor = reciprocal((uint32_t)total->weight);
    for (uint32_t b = 0; b < head->blocks; b++) {
        int last = shift - (total->mix_maximum[b] - total->maximum);
        for (uint32_t i = 0; i < head->lanes; i++) {
            int64_t mean = tp_rnd(total->mix[TP_BLOCK * b + i], k - 9) * factor;
            out[TP_BLOCK * b + head->lane + i] = tp_rnd_sat32(mean, last, counters);
        }
    }
}

static void attend(const struct cache *cache, const struct head *head, uint32_t position,
                   int32_t *out, struct tp_counters *counters)
{
    struct sums total;
    for (uint32_t first = 0; first <= position; first += TP_PAGE) {
        struct sums page;
        uint32_t left = position + 1 - first;
        sum_page(cache, head, first, left < TP_PAGE ? left : TP_PAGE, &page);
        merge(head, &page, first == 0, &total);
    }
    normalise(head, &total, cache->shape->shift, out, counters);
}

void tp_attention(const struct tp_attention_shape *shape, const struct tp_kv_memory *kv,
                  const uint16_t *pages, uint32_t base, uint32_t stride, uint32_t position,
                  const int8_t *q, const uint8_t *q_exponents, int32_t *out,
                  struct tp_counters *counters)
{
    assert(shape->head_log2 >= 3 && shape->head_log2 <= 7);
    assert(shape->sets == 1 || shape->sets == 2);
    const uint32_t size = 1u << shape->head_log2;
    const uint32_t blocks = size > TP_BLOCK ? size / TP_BLOCK : 1;
    const uint32_t lanes = size > TP_BLOCK ? TP_BLOCK : size;
    assert(shape->words % blocks == 0);
    const struct cache cache = {shape, kv, pages, base, stride};
    const uint32_t queries = shape->turns * shape->sets; /* of a head group */
    for (uint32_t i = 0; i < shape->words / blocks * queries; i++) {
        size_t at = (size_t)i * blocks;
        for (uint32_t h = 0; h < TP_BLOCK / lanes; h++) {
            const struct head head = {blocks,
                                      lanes,
                                      i / queries * blocks,
                                      h * lanes,
                                      h,
                                      q + at * TP_BLOCK,
                                      q_exponents + at * 4};
            attend(&cache, &head, position, out + at * TP_BLOCK, counters);
        }
    }
}

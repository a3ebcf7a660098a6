/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling: counter-based random numbers, Gumbel noise in log2 units, greedy, temperature, top-k.
 */
#include <assert.h>

#include "model.h"
#include "tables.h"

enum { KEY_PARITY = 0x1BD11BDA, ROUNDS = 20, TOP_K_MAX = 64 };

static uint32_t rotate_left(uint32_t v, uint32_t places)
{
    return v << places | v >> (32 - places);
}

uint32_t tp_random(uint64_t seed, uint32_t position, uint32_t token)
{
    static const uint8_t rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    uint32_t key[3] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0};
    key[2] = KEY_PARITY ^ key[0] ^ key[1];
    uint32_t x0 = position + key[0];
    uint32_t x1 = token + key[1];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        x0 += x1;
        x1 = rotate_left(x1, rotation[round % 8]) ^ x0;
        if (round % 4 == 3) {
            uint32_t n = round / 4 + 1;
            x0 += key[n % 3];
            x1 += key[(n + 1) % 3] + n;
        }
    }
    return x0;
}

/* Table of 33 entries at a fraction of 15 bits: 5 select, 10 interpolate. */
static int32_t interpolate(const int32_t table[33], uint32_t fraction)
{
    assert(fraction < 1u << 15);
    uint32_t i = fraction >> 10;
    int32_t step = table[i + 1] - table[i];
    return table[i] + ((step * (int32_t)(fraction & 1023) + 512) >> 10);
}

/* The 15 bits below the leading one of v, padded with zeros. v is not 0. */
static uint32_t fraction_below_one(uint32_t v)
{
    uint64_t aligned = (uint64_t)v << (32 - tp_bits(v));
    return (uint32_t)(aligned >> 16) & 0x7fff;
}

int32_t tp_gumbel(uint32_t r)
{
    /* u = (2r + 1) / 2^33; a / 2^33 is the nearer of u and 1 - u to 0; L = 4096 * log2(-log2(u)).
     */
    uint32_t a = (r >> 31 ? ~r : r) << 1 | 1;
    int32_t exponent = tp_bits(a) - 1;
    int32_t log2_a = interpolate(TP_TABLE_LOG2, fraction_below_one(a));
    int32_t l;
    if (r >> 31) {
        l = (exponent - 33) * 4096 + log2_a + interpolate(TP_TABLE_GUMBEL, a >> 17);
    } else {
        /* x = -4096 * log2(u), from 4096 to 33 * 4096 */
        int32_t x = (33 - exponent) * 4096 - log2_a;
        assert(x >= 4096);
        l = (tp_bits((uint64_t)x) - 13) * 4096 +
            interpolate(TP_TABLE_LOG2, fraction_below_one((uint32_t)x));
    }
    /* 2166 = round(-log2(ln 2) * 4096) */
    return (int32_t)tp_rnd(2166 - l, 4);
}

/* The logit in log2 units with 8 fraction bits, 24 bits signed. */
static int32_t scaled(int32_t logit, uint32_t temperature)
{
    int64_t z = tp_rnd((int64_t)logit * temperature, 20);
    const int64_t most = (1 << 23) - 1;
    return (int32_t)(z > most ? most : (z < -most - 1 ? -most - 1 : z));
}

static uint32_t greedy(const int32_t *logits, uint32_t vocab)
{
    uint32_t winner = 0;
    for (uint32_t i = 1; i < vocab; i++) {
        if (logits[i] > logits[winner]) {
            winner = i;
        }
    }
    return winner;
}

/* The candidates with the largest z, in falling order, lowest id first among equals. Returns how
 * many; at most k. id, z [TOP_K_MAX]. */
static uint32_t largest(const struct tp_sampling *sampling, const int32_t *logits, uint32_t vocab,
                        uint32_t *id, int32_t *z)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        int32_t value = scaled(logits[i], sampling->temperature);
        uint32_t place = count;
        while (place > 0 && value > z[place - 1]) {
            place--;
        }
        if (place == sampling->top_k) {
            continue;
        }
        uint32_t end = count < sampling->top_k ? count : sampling->top_k - 1;
        for (uint32_t k = end; k > place; k--) {
            z[k] = z[k - 1];
            id[k] = id[k - 1];
        }
        z[place] = value;
        id[place] = i;
        count = end + 1;
    }
    return count;
}

uint32_t tp_sample(const struct tp_sampling *sampling, uint32_t position, const int32_t *logits,
                   uint32_t vocab)
{
    uint32_t id[TOP_K_MAX];
    int32_t z[TOP_K_MAX];
    assert(vocab >= 1);
    assert(sampling->temperature < 1u << 20);
    assert(sampling->top_k <= TOP_K_MAX);
    if (sampling->temperature == 0) {
        return greedy(logits, vocab);
    }
    uint32_t count = vocab;
    if (sampling->top_k > 0) {
        count = largest(sampling, logits, vocab, id, z);
    }
    uint32_t winner = 0;
    int32_t best = INT32_MIN;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = sampling->top_k > 0 ? id[i] : i;
        int32_t value = sampling->top_k > 0 ? z[i] : scaled(logits[i], sampling->temperature);
        value += tp_gumbel(tp_random(sampling->seed, position, token));
        if (value > best || (value == best && token < winner)) {
            best = value;
            winner = token;
        }
    }
    return winner;
}

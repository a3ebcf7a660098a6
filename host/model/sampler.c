/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling: counter-based random numbers, Gumbel noise in log2 units, greedy, temperature, top-k,
 * top-p, min-p, repetition penalty, and the sums that log probabilities are made of.
 */
#include <assert.h>

#include "model.h"
#include "tables.h"

enum {
    KEY_PARITY = 0x1BD11BDA,
    ROUNDS = 20,
    PENALTY_BITS = 10,
    EXPONENT_LEAST = -512, /* below that of every weight */
};

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

static int32_t clamp24(int64_t v)
{
    const int64_t most = (1 << 23) - 1;
    return (int32_t)(v > most ? most : (v < -most - 1 ? -most - 1 : v));
}

/* ---- repetition penalty ---- */

void tp_recent_add(struct tp_recent *recent, uint32_t token)
{
    recent->tokens[recent->count++ % TP_RECENT_MAX] = (uint16_t)token;
}

static bool appears_before(const struct tp_recent *recent, uint32_t place)
{
    for (uint32_t i = 0; i < place; i++) {
        if (recent->tokens[i] == recent->tokens[place]) {
            return true;
        }
    }
    return false;
}

void tp_penalise(const struct tp_sampling *sampling, const struct tp_recent *recent,
                 int32_t *logits, uint32_t vocab)
{
    uint32_t count = recent->count < TP_RECENT_MAX ? recent->count : TP_RECENT_MAX;
    if (sampling->penalty_positive == 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = recent->tokens[i];
        if (token < vocab && !appears_before(recent, i)) {
            uint32_t factor =
                logits[token] > 0 ? sampling->penalty_positive : sampling->penalty_negative;
            /* A clamp here is no event: it is not counted. */
            struct tp_counters none = {0, 0};
            logits[token] = tp_rnd_sat32((int64_t)logits[token] * factor, PENALTY_BITS, &none);
        }
    }
}

/* ---- keys, weights and candidates ---- */

int32_t tp_sample_key(int32_t logit)
{
    return clamp24(tp_rnd(logit, 4));
}

/* 2^z of a key, z in log2 units, is weight * 2^(8 * exponent - 24); weight 25 to 32 bits. */
static uint32_t weight_of(int32_t key, int32_t *exponent)
{
    /* 12 fraction bits, 25 bits signed */
    int32_t z = (int32_t)tp_rnd((int64_t)key * TP_LOG2E_Q14, 14);
    int32_t whole = (int32_t)tp_flr(z, 12);
    uint32_t mantissa =
        4096u + (uint32_t)interpolate(TP_TABLE_POWER, (uint32_t)(z - whole * 4096) << 3);
    *exponent = (int32_t)tp_flr(whole, 3);
    return mantissa << (whole & 7) << 12;
}

static uint64_t shift_bytes(uint64_t v, int32_t bytes)
{
    return bytes > 7 ? 0 : v >> (8 * bytes);
}

/* The weight of a key at an exponent that is not below its own. */
static uint64_t weight_at(int32_t key, int32_t exponent)
{
    int32_t own = 0;
    uint32_t weight = weight_of(key, &own);
    assert(own <= exponent);
    return shift_bytes(weight, exponent - own);
}

static void add_weight(struct tp_weight_sum *sum, int32_t key)
{
    int32_t own = 0;
    uint32_t weight = weight_of(key, &own);
    int32_t most = own > sum->exponent ? own : sum->exponent;
    sum->sum = shift_bytes(sum->sum, most - sum->exponent) + shift_bytes(weight, most - own);
    sum->exponent = most;
}

/* The `most` largest keys in falling order, lowest id first among equals. Returns how many. */
static uint32_t largest(const int32_t *logits, uint32_t vocab, uint32_t most, uint16_t *id,
                        int32_t *key)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        int32_t value = tp_sample_key(logits[i]);
        uint32_t place = count;
        while (place > 0 && value > key[place - 1]) {
            place--;
        }
        if (place == most) {
            continue;
        }
        uint32_t end = count < most ? count : most - 1;
        for (uint32_t k = end; k > place; k--) {
            key[k] = key[k - 1];
            id[k] = id[k - 1];
        }
        key[place] = value;
        id[place] = (uint16_t)i;
        count = end + 1;
    }
    return count;
}

void tp_rank(const int32_t *logits, uint32_t vocab, uint32_t most, struct tp_ranking *ranking)
{
    assert(most <= TP_TOP_K_MAX);
    ranking->weights = (struct tp_weight_sum){.sum = 0, .exponent = EXPONENT_LEAST};
    for (uint32_t i = 0; i < vocab; i++) {
        add_weight(&ranking->weights, tp_sample_key(logits[i]));
    }
    ranking->count = most == 0 ? 0 : largest(logits, vocab, most, ranking->id, ranking->key);
}

/* How many of the candidates stay; key [count] in falling order. */
static uint32_t cut(const struct tp_sampling *sampling, const int32_t *key, uint32_t count)
{
    int32_t exponent = 0;
    (void)weight_of(key[0], &exponent);
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += weight_at(key[i], exponent);
    }
    /* From the largest on; `rest` is the weight of a candidate and of all smaller ones. */
    uint64_t rest = total;
    uint64_t threshold = total * sampling->top_p_cut >> 16;
    uint32_t stay = 0;
    for (; stay < count; stay++) {
        bool by_p = sampling->top_p_cut == 0 || rest > threshold;
        bool by_gap =
            sampling->min_p_gap == 0 || (uint32_t)(key[0] - key[stay]) < sampling->min_p_gap;
        if (!by_p || !by_gap) {
            break;
        }
        rest -= weight_at(key[stay], exponent);
    }
    return stay;
}

/* ---- the token ---- */

/* The logit in log2 units at the temperature, 8 fraction bits, 24 bits signed. */
static int32_t scaled(int32_t logit, uint32_t temperature)
{
    return clamp24(tp_rnd((int64_t)logit * temperature, 20));
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

/* The largest z + noise so far. */
struct draw {
    int32_t best;
    uint32_t winner;
};

static void offer(struct draw *draw, const struct tp_sampling *sampling, uint32_t position,
                  uint32_t token, int32_t logit)
{
    int32_t value = scaled(logit, sampling->temperature) +
                    tp_gumbel(tp_random(sampling->seed, position, token));
    if (value > draw->best || (value == draw->best && token < draw->winner)) {
        *draw = (struct draw){.best = value, .winner = token};
    }
}

uint32_t tp_sample(const struct tp_sampling *sampling, uint32_t position, const int32_t *logits,
                   uint32_t vocab)
{
    uint16_t id[TP_TOP_K_MAX];
    int32_t key[TP_TOP_K_MAX];
    struct draw draw = {.best = INT32_MIN, .winner = 0};
    assert(vocab >= 1);
    assert(sampling->temperature < 1u << 20);
    assert(sampling->top_k <= TP_TOP_K_MAX);
    if (sampling->temperature == 0) {
        return greedy(logits, vocab);
    }
    if (sampling->top_k == 0) {
        for (uint32_t i = 0; i < vocab; i++) {
            offer(&draw, sampling, position, i, logits[i]);
        }
        return draw.winner;
    }
    uint32_t count = largest(logits, vocab, sampling->top_k, id, key);
    count = cut(sampling, key, count);
    for (uint32_t i = 0; i < count; i++) {
        offer(&draw, sampling, position, id[i], key[i] * 16);
    }
    return draw.winner;
}

// SPDX-License-Identifier: Apache-2.0
//
// Deterministic random numbers for tests: splitmix64 over a counter.

#include "random.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t tp_test_seed(int loop_index)
{
    const char *text = getenv("TP_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)loop_index + 1;
    // Standard error reaches the reader only when the program fails.
    fprintf(stderr, "TP_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

void tp_random_init(struct tp_random *random, uint64_t seed, uint64_t stream)
{
    random->key = mix(mix(seed + 0x9e3779b97f4a7c15u) ^ (stream * 0xd1342543de82ef95u));
    random->counter = 0;
}

uint64_t tp_random_u64(struct tp_random *random)
{
    random->counter++;
    return mix(random->key + random->counter * 0x9e3779b97f4a7c15u);
}

uint32_t tp_random_u32(struct tp_random *random)
{
    return (uint32_t)(tp_random_u64(random) >> 32);
}

uint32_t tp_random_below(struct tp_random *random, uint32_t limit)
{
    assert(limit > 0);
    return (uint32_t)(((uint64_t)tp_random_u32(random) * limit) >> 32);
}

int64_t tp_random_range(struct tp_random *random, int64_t low, int64_t high)
{
    assert(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;
    uint64_t offset = tp_random_u64(random);
    if (span != 0) offset %= span;
    return (int64_t)((uint64_t)low + offset);
}

int64_t tp_random_signed(struct tp_random *random, uint32_t bits)
{
    assert(bits >= 1 && bits <= 64);
    uint32_t size = tp_random_below(random, bits);
    uint64_t magnitude = size == 0 ? 0 : tp_random_u64(random) >> (64 - size);
    // The complement reaches the most negative number, which negation does not.
    return tp_random_chance(random, 128) ? (int64_t)~magnitude : (int64_t)magnitude;
}

int tp_random_chance(struct tp_random *random, uint32_t chance)
{
    return tp_random_below(random, 256) < chance;
}

void tp_random_words(struct tp_random *random, uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) words[i] = tp_random_u32(random);
}

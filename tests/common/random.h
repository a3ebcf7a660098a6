// SPDX-License-Identifier: Apache-2.0
//
// Deterministic random numbers for tests: a counter run through a mixing function.

#ifndef TP_TEST_RANDOM_H
#define TP_TEST_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct tp_random {
    uint64_t key;
    uint64_t counter;
};

/** Seed of a loop test: base + loop index, or TP_SEED of the environment when that is set. Printed,
 *  so that the output of a failing test names it. */
uint64_t tp_test_seed(int loop_index);

/** Starts a stream; equal seed and stream give equal numbers, different ones independent numbers.
 */
void tp_random_init(struct tp_random *random, uint64_t seed, uint64_t stream);

uint64_t tp_random_u64(struct tp_random *random);
uint32_t tp_random_u32(struct tp_random *random);

/** Uniform in 0 .. limit - 1; limit must not be 0. */
uint32_t tp_random_below(struct tp_random *random, uint32_t limit);

/** Uniform in low .. high, both included. */
int64_t tp_random_range(struct tp_random *random, int64_t low, int64_t high);

/** A number of random size: uniform in the count of its significant bits, up to bits, any sign. It
 *  finds the edges of shifts and saturations that uniform numbers almost never reach. */
int64_t tp_random_signed(struct tp_random *random, uint32_t bits);

/** True in chance of 256 calls. */
int tp_random_chance(struct tp_random *random, uint32_t chance);

/** Fills words with random bits. */
void tp_random_words(struct tp_random *random, uint32_t *words, size_t count);

#endif

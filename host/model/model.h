/* SPDX-License-Identifier: Apache-2.0
 *
 * The golden model: the definition of the numbers (docs/numbers.md), unit by unit, in integers.
 *
 * Pure functions without state; only stdint, stddef, string, assert and the map. Each function is
 * the twin of one RTL unit and equals it bit for bit. Widths are stated where the RTL relies on
 * them. Pointers carry their shape in brackets. Q16.16 means value * 2^16 in an int32.
 */
#ifndef TP_MODEL_H
#define TP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tp_map.h"

/* Inner loops that the emulator spends its time in: also compiled for AVX2, chosen at run time. The
 * bits are the same, these are integers. Not by clang 14, whose clones have no name to link to. */
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__clang__) &&                         \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TP_VECTORISED __attribute__((target_clones("avx2", "default")))
#else
#define TP_VECTORISED
#endif

/* Events that the device counts too: elements clamped by sat32, blocks clipped by a quantiser. */
struct tp_counters {
    uint64_t saturations;
    uint64_t clips;
};

/* ---- fixed.c: rounding and saturation, the only place ---- */

/* rnd of the contract: v / 2^s rounded half up; s <= 0 multiplies; s > 62 gives 0. */
int64_t tp_rnd(int64_t v, int s);
/* flr of the contract: v / 2^s rounded down; s >= 63 gives 0 or -1; s < 0 multiplies. */
int64_t tp_flr(int64_t v, int s);
/* Position of the highest one bit plus one; 0 for 0. */
int tp_bits(uint64_t v);
/* |v| as unsigned, right for INT32_MIN. */
uint32_t tp_magnitude(int32_t v);
/* Clamps to int32 and counts one saturation when it had to. */
int32_t tp_sat32(int64_t v, struct tp_counters *counters);
/* sat32(rnd(v, s)), exact also for left shifts that leave 64 bits. */
int32_t tp_rnd_sat32(int64_t v, int s, struct tp_counters *counters);

/* ---- quantise.c: blocks of up to 32 elements, 8 bits and a shared exponent ---- */

/* e = min(exponent_max, max(exponent_min, bits(max|x|) - 7)), q = clip(rnd(x, e), -127, 127).
 * x [n], n 1..32; q [n]. Returns e. Counts one clip when the block needed more than the maximum. */
uint8_t tp_quantise_block(const int32_t *x, uint32_t n, uint8_t exponent_min, uint8_t exponent_max,
                          int8_t *q, struct tp_counters *counters);

/* ---- matvec.c: matrix times vector in absolute alignment, and the embedding ---- */

/* One row: sum over blocks of (dot * (16 + m) << 15) >> (align - e_w - e_x), floor, 40 bits.
 * codes, q [blocks][32]; scales, exponents [blocks]; align = 15 + D. */
int64_t tp_matvec_row(const int8_t *codes, const uint8_t *scales, const int8_t *q,
                      const uint8_t *exponents, uint32_t blocks, int align);
/* y = sat32(rnd(z * rm, 16)) with z = sat32(rnd(acc, shift)); rm 17 bits, 65536 without a norm. */
/* A matrix in the weight memory. */
struct tp_matrix_order {
    uint32_t groups;
    uint32_t row_groups; /* rows / groups */
    uint32_t blocks;
    uint32_t planes; /* 1 or 2 beats of a block */
    bool block_major;
};

/* Blocks that a block-major matrix keeps together at the end of its order, so that the last row
 * groups are complete no faster than two rows a cycle. */
uint32_t tp_matrix_last_blocks(uint32_t groups, uint32_t planes);

/* The first beat of a block, counted from the matrix's first one: beats lie in the order in which
 * they are read. Row-major: all blocks of a row group, then the next row group. Block-major: a
 * block of all row groups, then the next block; in the end all last blocks of a row group, then
 * the next row group. */
uint32_t tp_matrix_beat(const struct tp_matrix_order *order, uint32_t row_group, uint32_t block);

int32_t tp_matvec_scale(int64_t acc, int shift, uint32_t rm, struct tp_counters *counters);
/* x [blocks][32] = sat32(rnd(code * (16 + m) * 2^e, shift)). */
void tp_embed_row(const int8_t *codes, const uint8_t *scales, uint32_t blocks, int shift,
                  int32_t *x, struct tp_counters *counters);

/* ---- rmsnorm.c: late norm ---- */

struct tp_norm_factor {
    uint32_t rm;   /* 32768..65536, rsqrt mantissa, 16 fraction bits */
    int32_t shift; /* k / 2 + sh, 0..38 */
};
/* rm with 1/sqrt(a) = rm * 2^-16 * 2^(-k/2), k even; a > 0. Writes k / 2. */
uint32_t tp_rsqrt(uint64_t a, int32_t *half_k);
/* Factor of x [n]; epsilon = C of the contract. */
struct tp_norm_factor tp_rmsnorm_factor(const int32_t *x, uint32_t n, uint64_t epsilon);
/* h [n] = sat32(rnd(x * gain, shift)). */
void tp_rmsnorm_gain(const int32_t *x, const int16_t *gain, uint32_t n, int shift, int32_t *h,
                     struct tp_counters *counters);
/* Norm of one head in place: z = sat32(rnd(y, head_shift + k/2 + sh)), w = sat32(rnd(z * rm, 16)),
 * y = sat32(rnd(w * gain, 15)). head [n], n a power of two. */
void tp_head_norm(int32_t *head, const int16_t *gain, uint32_t n, int head_shift, uint32_t epsilon,
                  struct tp_counters *counters);

/* ---- rope.c: rotary position, 32-bit phase, quarter-wave table ---- */

/* sin(phase * 2 pi / 2^32) in Q1.15, 32768 = 1.0. */
int32_t tp_sine(uint32_t phase);
/* cosine [pairs], sine [pairs] of position * increment [pairs]. */
void tp_rope_angles(uint32_t position, const uint32_t *increment, uint32_t pairs, int32_t *cosine,
                    int32_t *sine);
/* Rotates the pair in place: a' = sat32(rnd(a cos - b sin, 15)), b' = sat32(rnd(a sin + b cos)). */
void tp_rope_rotate(int32_t *a, int32_t *b, int32_t cosine, int32_t sine,
                    struct tp_counters *counters);

/* ---- ffn.c: SwiGLU ---- */

/* sigmoid of Q16.16 a, 0..65536. */
int32_t tp_sigmoid(int32_t a);
/* silu(gate) * up, Q16.16, 18-bit mantissas (cut). */
int32_t tp_swiglu(int32_t gate, int32_t up, struct tp_counters *counters);

/* ---- kv.c and attention.c ---- */

/* KV memory: one row = one 32-element word of K and of V of one position and layer. exponents
 * holds one byte per head of the word (32 / head size heads; one when the head size is >= 32):
 * low nibble e_K - key base, high nibble e_V - value base. */
struct tp_kv_memory {
    int8_t *key;        /* [rows][32] */
    int8_t *value;      /* [rows][32] */
    uint8_t *exponents; /* [rows][4] */
    uint32_t rows;
};
/* Row of word `word` at `position`: base + word * stride + pages[position / 16] * 16
 * + position % 16. */
uint32_t tp_kv_row(const uint16_t *pages, uint32_t base, uint32_t stride, uint32_t word,
                   uint32_t position);

struct tp_attention_shape {
    uint32_t head_log2;  /* padded head size 8 .. 128 */
    uint32_t words;      /* 32-element words of K (and of V) of a position */
    uint32_t turns;      /* query turns per KV word */
    uint32_t sets;       /* query sets per turn, 1 or 2 */
    uint32_t key_base;   /* smallest exponent of K */
    uint32_t value_base; /* smallest exponent of V */
    int32_t shift;       /* 25 - edge */
};
/* Queries and outputs are words of 32 in the order (head group, turn, set, word of the head), where
 * a head group is one KV word (head size <= 32) or the head size / 32 words of one KV head.
 * q [count][32], q_exponents [count][4], out [count][32]; count = words * turns * sets. */
void tp_attention(const struct tp_attention_shape *shape, const struct tp_kv_memory *kv,
                  const uint16_t *pages, uint32_t base, uint32_t stride, uint32_t position,
                  const int8_t *q, const uint8_t *q_exponents, int32_t *out,
                  struct tp_counters *counters);

/* ---- sampler.c ---- */

struct tp_sampling {
    uint32_t temperature; /* round(log2(e) / T * 4096), at most 20 bits; 0 = greedy */
    uint32_t top_k;       /* 0 = all, else 1..64 */
    uint64_t seed;
    uint32_t penalty_positive; /* round(2^10 / penalty), factor of logits above 0; 0 = no penalty */
    uint32_t penalty_negative; /* round(2^10 * penalty), factor of the others; below 2^12 */
    uint32_t top_p_cut;        /* round(2^16 * (1 - p)), 16 bits; 0 = off; only with top_k */
    uint32_t min_p_gap;        /* 1 + round(-ln(min_p) * 4096), 24 bits; 0 = off; only with top_k */
};
/* The last TP_RECENT_MAX tokens of a sequence: the n-th is in place n % TP_RECENT_MAX. */
struct tp_recent {
    uint32_t count; /* tokens so far */
    uint16_t tokens[TP_RECENT_MAX];
};
void tp_recent_add(struct tp_recent *recent, uint32_t token);
/* Repetition penalty, in place: the logits of the recent tokens become clamp32(rnd(logit * factor,
 * 10)). logits [vocab]. Everything below takes logits that have gone through it. */
void tp_penalise(const struct tp_sampling *sampling, const struct tp_recent *recent,
                 int32_t *logits, uint32_t vocab);
/* The logit with 12 fraction bits, 24 bits signed: clamp24(rnd(logit, 4)). What candidates are
 * ordered by. */
int32_t tp_sample_key(int32_t logit);
/* Threefry-2x32, 20 rounds (Salmon et al., SC'11): key (seed low, seed high), counter (position,
 * token); the first output word. */
uint32_t tp_random(uint64_t seed, uint32_t position, uint32_t token);
/* Gumbel noise in log2 units, 8 fraction bits, of 32 random bits. */
int32_t tp_gumbel(uint32_t r);
/* Token of logits [vocab], Q16.16, at `position` (of the token that was fed). Greedy: the largest
 * logit. Else z = clamp24(rnd(logit * temperature, 20)); with top_k only the k largest keys stay
 * (lowest id first on ties), of them what top-p and min-p leave, and their z is that of key * 2^4;
 * the largest z + noise wins, lowest id on ties. */
uint32_t tp_sample(const struct tp_sampling *sampling, uint32_t position, const int32_t *logits,
                   uint32_t vocab);

/* A sum of weights 2^z, z a key in log2 units: sum * 2^(8 * exponent - 24). */
struct tp_weight_sum {
    uint64_t sum;     /* 48 bits for up to 2^16 weights */
    int32_t exponent; /* 10 bits signed */
};
/* What log probabilities are made of: the sum over the vocabulary and the largest keys. */
struct tp_ranking {
    struct tp_weight_sum weights;
    uint32_t count;
    uint16_t id[TP_TOP_K_MAX];
    int32_t key[TP_TOP_K_MAX]; /* falling, lowest id first on ties */
};
/* The ranking of logits [vocab], with up to `most` (at most 64) candidates. */
void tp_rank(const int32_t *logits, uint32_t vocab, uint32_t most, struct tp_ranking *ranking);

#endif

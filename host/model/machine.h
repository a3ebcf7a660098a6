/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine: memories and instructions of the core, executed by the golden units.
 *
 * It defines what a program computes, instruction by instruction; the emulator device is this code.
 * It has no notion of time (host/lib/cycles.c has) and none of frames (host/backends/emulator.c).
 */
#ifndef TP_MACHINE_H
#define TP_MACHINE_H

#include "model.h"

/* Sizes of one device: the fields of TP_CONFIG. */
struct tp_limits {
    uint32_t groups;
    uint32_t slots;
    uint32_t weight_beats;
    uint32_t kv_rows;
    uint32_t dim_max;
    uint32_t query_max;
    uint32_t hidden_max;
    uint32_t vocab_max;
    uint32_t positions_max;
    uint32_t program_max;
    uint32_t gain_quads;
    uint32_t constant_pairs;
    uint32_t codebooks;
    uint32_t head_norm;
    uint32_t head_log2_max;
    uint32_t attention_lanes; /* 64, 32 or 16 */
    uint32_t top_k;           /* that the sampler sorts */
    uint32_t read_back;       /* READ is known */
};

/* Queries of a KV word that one ATTENTION can serve at a time. */
static inline uint32_t tp_limits_query_sets(const struct tp_limits *limits)
{
    return limits->attention_lanes == 64 ? 2 : 1;
}

/* What one section of the steps has met. A step of one slot begins with section 0, and each
 * EMBED and RESIDUAL ends one: the embedding, then attention and FFN of each layer, then the
 * classifier. Their norm counts for the next one. Sections from TP_SECTIONS - 2 on count as that
 * one; steps of several slots, in which sections overlap, count as section TP_SECTIONS - 1. Counts
 * stop at TP_SECTION_COUNT_MAX. */
struct tp_section {
    uint32_t saturations;
    uint32_t clips;
    uint8_t exponent_max[3]; /* largest exponent of the blocks written, by SOURCE */
};

/* The lowest lanes of a weight beat are words of scales, four groups each. */
static inline uint32_t tp_scale_lanes(uint32_t groups)
{
    return (groups + 3) / 4;
}

struct tp_machine;

/* Returns NULL when memory is short or a limit is 0 or out of its range. */
struct tp_machine *tp_machine_create(const struct tp_limits *limits);
/* NULL is allowed. */
void tp_machine_destroy(struct tp_machine *machine);
/* Addresses of a space, as the table of docs/link.md gives them; 0: there is no such space. */
uint32_t tp_space_size(const struct tp_limits *limits, uint32_t space);
/* Words of a space that belong together, and which its rows of addresses hold: of a beat, of an
 * instruction, of others 1. */
uint32_t tp_space_together(const struct tp_limits *limits, uint32_t space);
/* Whether a memory stands behind an address of a space. */
bool tp_space_has(const struct tp_limits *limits, uint32_t space, uint32_t address);
/* The address of the word behind that at `address` in a memory image. Rows of weights (a beat) and
 * of the program (an instruction) have fewer words than addresses. */
uint32_t tp_space_next(const struct tp_limits *limits, uint32_t space, uint32_t address);
/* Words of a memory image. False: some have no memory behind their address; these are ignored.
 */
bool tp_machine_write(struct tp_machine *machine, uint32_t space, uint32_t address,
                      const uint32_t *words, size_t count);
/* The word at an address of a space that can be read (weights, program, gains, bias, centre,
 * frequencies). False: there is none. */
bool tp_machine_read(const struct tp_machine *machine, uint32_t space, uint32_t address,
                     uint32_t *word);
/* Checks every instruction against the memories and unpacks the weights. Must be called after the
 * last write and before a step; takes all memory that steps need. False: the program is illegal
 * (`*index` = the instruction) or memory is short (`*index` = UINT32_MAX). */
bool tp_machine_prepare(struct tp_machine *machine, uint32_t *index);
/* Runs the program for `token` of `slot` at `position`. With `logits` not NULL the logits part runs
 * too and fills logits [vocab]. Returns the number of logits written. */
uint32_t tp_machine_step(struct tp_machine *machine, uint32_t slot, uint32_t position,
                         uint32_t token, int32_t *logits);
/* Saturations and clips since creation. */
struct tp_counters tp_machine_counters(const struct tp_machine *machine);
/* Says that the steps that follow share their cycles with others: they count as the last section.
 */
void tp_machine_share(struct tp_machine *machine, bool shared);
/* Counts of section `index` since creation or the last write to TP_REGISTER_SECTIONS_CLEAR. */
struct tp_section tp_machine_section(const struct tp_machine *machine, uint32_t index);
/* Largest block exponent that instruction `index` has read since tp_machine_prepare (MATVEC). */
uint32_t tp_machine_exponent_max(const struct tp_machine *machine, uint32_t index);

#endif

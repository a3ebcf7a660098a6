// SPDX-License-Identifier: Apache-2.0
//
// The memory image: program and memory contents of one model for one device, made by the compiler.

#ifndef TP_LIB_MEMORY_IMAGE_H
#define TP_LIB_MEMORY_IMAGE_H

#include "plan.h"
#include "tp_map.h"

enum { TP_NOTE_BYTES = 48, TP_CODEBOOK_CODES = 16, TP_CODEBOOKS_MAX = 4 };

struct tp_memory_image {
    struct tp_plan plan;
    struct tp_limits limits;
    uint32_t vocab;
    uint64_t norm_epsilon;  // C of all norms
    uint64_t matrix_bytes;  // codes and scales of the model
    uint32_t lanes;         // 32-bit words of a weight beat

    uint32_t program_count;
    uint32_t *program;             // [program_count][TP_INSTRUCTION_WORDS]
    char (*notes)[TP_NOTE_BYTES];  // [program_count], "layer 3: queries"
    uint32_t *weights;             // [plan.weight_beats][lanes]
    int16_t *gains;                // [plan.gain_quads][4]
    int32_t *centre;               // [plan.constant_pairs][2]
    int32_t *bias;                 // the same; all 0 when has_bias is false
    bool has_bias;
    uint32_t frequency[64];  // [head_padded / 2]
    uint32_t codebook_count;
    int8_t codebooks[TP_CODEBOOKS_MAX][TP_CODEBOOK_CODES];  // [codebook_count] tables
};

/** NULL is allowed. */
void tp__memory_image_free(struct tp_memory_image *image);

/** Where the words of an image go: called for each run of words, which are those of a WRITE frame:
 *  the words of the space from the address on (tp_space_next). */
typedef tp_status (*tp_memory_sink)(void *user, uint32_t space, uint32_t address,
                                    const uint32_t *words, size_t count, struct tp_error *error);

/** Gives all memory contents of the image, with a page table for slot 0, to sink.
 *  Stops at the first failure and returns it. */
TP_MUST_USE tp_status tp__memory_image_write(const struct tp_memory_image *image,
                                             tp_memory_sink sink, void *user,
                                             struct tp_error *error);

/** A golden machine that holds the image and can step. machine is written only on TP_OK;
 *  tp_machine_destroy releases it.
 *  error  TP_ERROR_NO_MEMORY
 *         TP_ERROR_DEVICE  the machine refused a word or the program */
TP_MUST_USE tp_status tp__memory_image_machine(const struct tp_memory_image *image,
                                               struct tp_machine **machine, struct tp_error *error);

/** The annotated listing: one line an instruction, fields by name, cycles of an empty context.
 *  Returns the bytes needed with the NUL; text may be NULL when max is 0. */
size_t tp__memory_image_listing(const struct tp_memory_image *image, char *text, size_t max);

#endif

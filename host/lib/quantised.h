// SPDX-License-Identifier: Apache-2.0
//
// A quantised model: all numbers that a device needs of a model, in one block of memory that is
// also the payload of an image file (docs/image.md). It knows no device.
//
// Made from a source model, or read from an image; the compiler takes it to a device.

#ifndef TP_LIB_QUANTISED_H
#define TP_LIB_QUANTISED_H

#include "calibrate.h"
#include "formats.h"
#include "layout.h"
#include "quantise_weights.h"

/** A matrix in the layout's order. What its numbers mean is in quantise_weights.h. */
struct tp_quantised_matrix {
    uint32_t rows;  // 0: absent, the classifier of a tied model
    uint32_t columns;
    uint32_t blocks;                    // of a row: columns / 32, rounded up
    uint32_t planes;                    // 2 in the 8-bit format, else 1
    int32_t shift;                      // T
    uint64_t bound;                     // largest sum over a row of scale * 127 * |value|
    int8_t codebook[TP_CODEBOOK_SIZE];  // value of each code; all 0 in the 8-bit format
    uint8_t *codes;  // [rows][blocks][16 * planes]: 4 bits: code i in half i % 2 of byte i / 2, the
                     // low half first; 8 bits: value i
    uint8_t *scales;  // [rows][blocks]
};

struct tp_quantised_model {
    struct tp_model_shape shape;
    tp_format *formats;                    // [tp__matrix_count]
    struct tp_quantised_matrix *matrices;  // [tp__matrix_count], by tp__matrix_index

    float *norm_gains;      // [layers][2][dim]: attention, FFN; then the final one [dim]
    float *head_gains;      // [layers][2][head_size]: queries, keys; NULL without norms of heads
    float *biases;          // [layers][rows of query, key, value], in the layout's order; or NULL
    float *key_means;       // [layers][rows of key], in the layout's order
    double *frequencies;    // [head_size / 2]: radians per position
    uint8_t *exponent_max;  // [tp__edge_count]: largest exponent seen, 25 when nothing was measured

    uint8_t *payload;  // holds all of the above but shape, formats and matrices; NULL: an outline
    size_t payload_bytes;
    bool owns_payload;  // else it is part of a file
};

/** A model without numbers, for planning and for the prediction of cycles.
 *  out    model  tp__quantised_model_free releases it */
TP_MUST_USE tp_status tp__quantised_outline(const struct tp_model_shape *shape,
                                            const tp_format *formats,
                                            struct tp_quantised_model *model,
                                            struct tp_error *error);

/** Quantises all matrices. progress may end it.
 *  in     formats      [tp__matrix_count]
 *         calibration  NULL: no centring, exponents of 25
 *         texts        what to round against; NULL: each weight to the nearest
 *  out    model  tp__quantised_model_free releases it
 *  error  TP_ERROR_NO_MEMORY, TP_ERROR_CANCELLED
 *         TP_ERROR_RANGE  weights that no scale reaches */
TP_MUST_USE tp_status tp__quantise_model(const tp_context *context,
                                         const struct tp_source_model *source,
                                         const tp_format *formats,
                                         const struct tp_calibration *calibration,
                                         const struct tp_token_texts *texts,
                                         struct tp_quantised_model *model, struct tp_error *error);

/** Takes the numbers of a matrix that was rounded.
 *  in     quantised  of the size and planes of matrix number index */
void tp__quantised_take(struct tp_quantised_model *model, uint32_t index,
                        const struct tp_quantised *quantised);

void tp__quantised_model_free(struct tp_quantised_model *model);

const struct tp_quantised_matrix *tp__quantised_matrix(const struct tp_quantised_model *model,
                                                       enum tp_matrix matrix, uint32_t layer);

/** Codes and scales of a matrix, and of all. */
uint64_t tp__matrix_bytes(const struct tp_quantised_matrix *matrix);
uint64_t tp__quantised_matrix_bytes(const struct tp_quantised_model *model);

/** Gains of a norm [dim]: number 2 * layer of attention, 2 * layer + 1 of FFN, 2 * layers final. */
const float *tp__quantised_gains(const struct tp_quantised_model *model, uint32_t norm);

/** Gains of the norm of heads [head_size] of queries or keys. */
const float *tp__quantised_head_gains(const struct tp_quantised_model *model, uint32_t layer,
                                      enum tp_matrix matrix);

/** Biases of queries, keys or values, [rows of the matrix]; NULL when the model has none. They are
 *  the model's: what is multiplied into the matrix (tp__matrix_multiplier) is not in them. */
const float *tp__quantised_bias(const struct tp_quantised_model *model, uint32_t layer,
                                enum tp_matrix matrix);

/** Means of the keys of a layer, [rows of key]. */
const float *tp__quantised_key_means(const struct tp_quantised_model *model, uint32_t layer);

/** Values of one block of 32, what the codes stand for. */
void tp__quantised_block(const struct tp_quantised_matrix *matrix, uint32_t row, uint32_t block,
                         int8_t values[TP_WEIGHT_BLOCK]);

/** The numbers that stand for the weights of a row, value * scale * 2^-T.
 *  out    weights [columns] */
void tp__quantised_row(const struct tp_quantised_matrix *matrix, uint32_t row, float *weights);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Calibration: the constants that the contract takes from text.

#ifndef TP_LIB_CALIBRATE_H
#define TP_LIB_CALIBRATE_H

#include "corpus.h"
#include "loader.h"
#include "tokenizer.h"
#include "tokproc.h"

/** What the contract takes from text (docs/numbers.md): made by tp__calibrate. */
struct tp_calibration {
    float *key_mean;  // [layers][kv_heads][head_size], rotated keys, as the reference gives them
    uint8_t *exponent_max;    // [tp__edge_count]: largest block exponent seen on each edge
    struct tp_corpus corpus;  // the texts used; more of them when they are for rounding too
};

/** Runs the float32 reference over text and takes means of keys and exponents of edges.
 *  in     path  text, texts separated by lines "<|endoftext|>"; NULL: text that the model generates
 *               from a fixed seed, so the same model always gives the same constants; a model
 *               that was made of an image gives those of the image
 *         tokenizer  NULL when path is NULL
 *         rounding   whether matrices will be rounded against the texts, which takes more of them
 *  out    calibration  tp__calibration_free releases it
 *  error  TP_ERROR_IO, TP_ERROR_FORMAT, TP_ERROR_NO_MEMORY, TP_ERROR_CANCELLED */
TP_MUST_USE tp_status tp__calibrate(const tp_context *context, const struct tp_source_model *model,
                                    const struct tp_tokenizer *tokenizer, const char *path,
                                    bool rounding, struct tp_calibration *calibration,
                                    struct tp_error *error);

void tp__calibration_free(struct tp_calibration *calibration);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Texts as tokens, for calibration and for measuring.

#ifndef TP_LIB_CORPUS_H
#define TP_LIB_CORPUS_H

#include <stddef.h>

#include "tokenizer.h"

/** Texts as tokens: text t is tokens[starts[t] .. starts[t + 1] - 1], its start token included. */
struct tp_token_texts {
    const uint32_t *tokens;
    const uint32_t *starts;  // [count + 1]
    uint32_t count;
};

/** The same with its memory, and where it ends in its file. */
struct tp_corpus {
    uint32_t *tokens;  // [token_max]
    uint32_t *starts;  // [text_max + 1]
    uint32_t count;    // of texts
    size_t end;        // byte of the file behind the last text
};

/** Room for texts.
 *  out    corpus  tp__corpus_free releases it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__corpus_open(uint32_t token_max, uint32_t text_max,
                                      struct tp_corpus *corpus, struct tp_error *error);
void tp__corpus_free(struct tp_corpus *corpus);

/** Reads texts of a file, which lines "<|endoftext|>" separate, until the room is full.
 *  in     start       byte where the first text may begin
 *         length_max  tokens of a text; longer ones are cut
 *         corpus      of tp__corpus_open with the same two numbers
 *  out    corpus      may have no text
 *  error  TP_ERROR_IO, TP_ERROR_FORMAT, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__corpus_read(const struct tp_tokenizer *tokenizer, const char *path,
                                      size_t start, uint32_t token_max, uint32_t text_max,
                                      uint32_t length_max, struct tp_corpus *corpus,
                                      struct tp_error *error);

#endif

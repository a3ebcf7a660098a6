// SPDX-License-Identifier: Apache-2.0
//
// Text to tokens. All memory is taken when the encoder is opened.

#ifndef TP_LIB_ENCODE_H
#define TP_LIB_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "normalise.h"
#include "tokenizer.h"

struct tp_symbol;

/** Working memory for encoding texts up to a fixed size. */
struct tp_encoder {
    const struct tp_tokenizer *tokenizer;
    size_t text_bytes_max;
    char *text;                 // part of the text, normalised, with its space in front
    struct tp_symbol *symbols;  // a list in the order of the text
    uint32_t *heap;             // symbols that can merge with the next one, the best first
    uint32_t heap_count;
    struct tp_splitter *splitter;
    struct tp_composer *composer;  // NULL: texts stay as they are
};

/** Part of a text. */
struct tp_range {
    size_t start;
    size_t end;
};

/** Takes the memory for texts of up to text_bytes_max bytes (once normalised), about 29 times as
 *  much; the tokenizer must outlive it. */
TP_MUST_USE tp_status tp__encoder_open(const struct tp_tokenizer *tokenizer, size_t text_bytes_max,
                                       struct tp_encoder *encoder, struct tp_error *error);

void tp__encoder_close(struct tp_encoder *encoder);

/** Bytes that a text of size bytes may have once it is normalised: for tp__encoder_open. */
size_t tp__encoder_room(const struct tp_tokenizer *tokenizer, size_t size);

/** Encodes size bytes of UTF-8; an empty text has no tokens but bos. Allocates nothing. Control
 *  tokens never come out of the text.
 *  in     add_bos, add_space  usually the tokenizer's
 *  out    tokens  at most token_max
 *         count   tokens of the text, on TP_ERROR_FULL more than token_max
 *  error  TP_ERROR_FORMAT     not UTF-8; the message names the byte
 *         TP_ERROR_FULL       more than token_max tokens, or more bytes than the encoder takes
 *                             (count is then TP_TOKEN_NONE)
 *         TP_ERROR_RANGE      a character that the vocabulary cannot express
 *  time   n log n */
TP_MUST_USE tp_status tp__encode(struct tp_encoder *encoder, const char *text, size_t size,
                                 bool add_bos, bool add_space, uint32_t *tokens, uint32_t token_max,
                                 uint32_t *count, struct tp_error *error);

/** The same for a text of which some parts come from a template: inside these, names of control
 *  tokens are control tokens. Adds no bos.
 *  in     ranges   [range_count], ascending, without overlap
 *         goes_on  tp__text_goes_on of the token before it; false at the start */
TP_MUST_USE tp_status tp__encode_template(struct tp_encoder *encoder, const char *text, size_t size,
                                          const struct tp_range *ranges, size_t range_count,
                                          bool goes_on, uint32_t *tokens, uint32_t token_max,
                                          uint32_t *count, struct tp_error *error);

/** Whether a text behind a token goes on without the space that the tokenizer puts in front: where
 *  there is one only at the very start, or the token does not end what gets one for itself. */
bool tp__text_goes_on(const struct tp_tokenizer *tokenizer, uint32_t token);

#endif

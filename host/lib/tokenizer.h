// SPDX-License-Identifier: Apache-2.0
//
// Text to tokens and back: vocabularies of scored pieces, as llama2.c and SentencePiece use them.
//
// Encoding is llama2.c's: a space in front, one symbol per character (or one byte piece per byte of
// a character without a piece), then the neighbours whose joint piece has the best score merge, the
// leftmost first on ties, until none has one. Pieces of control tokens never come out of text.

#ifndef TP_LIB_TOKENIZER_H
#define TP_LIB_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "loader.h"
#include "reader.h"
#include "utf8.h"

#define TP_TOKEN_NONE UINT32_MAX
enum {
    TP_PIECE_BYTES_MAX = 1024,
    TP_ENCODE_BYTES_MAX = 1 << 28  // of one text
};

enum tp_piece_kind {
    TP_PIECE_NORMAL,
    TP_PIECE_UNKNOWN,  // stands for characters that cannot be expressed
    TP_PIECE_CONTROL,  // start and end of a text; decodes to nothing
    TP_PIECE_BYTE,     // one byte
    TP_PIECE_UNUSED
};

/** A vocabulary. Constant once loaded, so any number of threads may use it. */
struct tp_tokenizer {
    uint32_t count;    // of pieces
    uint32_t bos;      // below count
    uint32_t eos;      // below count
    uint32_t unknown;  // or TP_TOKEN_NONE
    bool add_bos;      // a text starts with bos
    bool add_space;    // a text is encoded with a space in front
    uint32_t piece_bytes_max;
    uint32_t byte_ids[256];  // or TP_TOKEN_NONE
    uint32_t *offsets;       // [count + 1] into text
    char *text;              // all pieces, spaces as ' '
    float *scores;           // [count], finite
    uint8_t *kinds;          // [count], enum tp_piece_kind
    uint32_t *slots;         // hash table of normal pieces: ids or TP_TOKEN_NONE
    uint32_t slot_mask;
    char *name;  // of the file, for messages
};

/** Loads a tokenizer from a llama2.c tokenizer file or a GGUF file.
 *  out    tokenizer  written only on TP_OK; tp__tokenizer_free releases it
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY, TP_ERROR_FORMAT, TP_ERROR_TOO_LARGE
 *         TP_ERROR_UNSUPPORTED  a GGUF tokenizer of another kind */
TP_MUST_USE tp_status tp__tokenizer_load(const char *path, struct tp_tokenizer *tokenizer,
                                         struct tp_error *error);

/** The same from bytes, which are not needed afterwards. */
TP_MUST_USE tp_status tp__tokenizer_parse(const void *data, size_t size, const char *name,
                                          struct tp_tokenizer *tokenizer, struct tp_error *error);

/** The tokenizer inside a model file.
 *  error  TP_ERROR_NOT_FOUND  it has none */
TP_MUST_USE tp_status tp__tokenizer_of_model(const struct tp_source_model *model,
                                             struct tp_tokenizer *tokenizer,
                                             struct tp_error *error);

void tp__tokenizer_free(struct tp_tokenizer *tokenizer);

/** error  TP_ERROR_MISMATCH  the model has another number of tokens */
TP_MUST_USE tp_status tp__tokenizer_check_model(const struct tp_tokenizer *tokenizer,
                                                const struct tp_source_model *model,
                                                struct tp_error *error);

/** Bytes of piece id, not ended by NUL. */
struct tp_string tp__tokenizer_piece(const struct tp_tokenizer *tokenizer, uint32_t id);

/** Whether every token stands for the same text in both; texts of control tokens do not count.
 *  error  TP_ERROR_MISMATCH  the first token that differs */
TP_MUST_USE tp_status tp__tokenizer_check_alike(const struct tp_tokenizer *tokenizer,
                                                const struct tp_tokenizer *other,
                                                struct tp_error *error);

/** Id of the normal piece with exactly these bytes; TP_TOKEN_NONE when there is none. */
uint32_t tp__tokenizer_find(const struct tp_tokenizer *tokenizer, const char *text, size_t size);

/** Text longer than this is more than token_count tokens, whatever it says. */
size_t tp__tokenizer_text_bytes(const struct tp_tokenizer *tokenizer, uint32_t token_count);

/* ---- encoding ---- */

struct tp_symbol;

/** Working memory for encoding texts up to a fixed size. */
struct tp_encoder {
    const struct tp_tokenizer *tokenizer;
    size_t text_bytes_max;
    char *text;                 // the text with its space in front
    struct tp_symbol *symbols;  // a list in the order of the text
    uint32_t *heap;             // symbols that can merge with the next one, the best first
    uint32_t heap_count;
};

/** Takes the memory for texts of up to text_bytes_max bytes, about 29 times as much; the tokenizer
 *  must outlive it. */
TP_MUST_USE tp_status tp__encoder_open(const struct tp_tokenizer *tokenizer, size_t text_bytes_max,
                                       struct tp_encoder *encoder, struct tp_error *error);

void tp__encoder_close(struct tp_encoder *encoder);

/** Encodes size bytes of UTF-8; an empty text has no tokens but bos. Allocates nothing.
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

/* ---- decoding ---- */

/** A text that is built token by token. */
struct tp_decoder {
    const struct tp_tokenizer *tokenizer;
    struct tp_utf8_stream stream;
    bool is_start;  // the next piece loses its leading space
};

/** Starts a text behind token previous; TP_TOKEN_NONE when there is none. */
void tp__decoder_start(struct tp_decoder *decoder, const struct tp_tokenizer *tokenizer,
                       uint32_t previous);

/** Room that tp__decode needs, NUL included. */
size_t tp__decode_bytes_max(const struct tp_tokenizer *tokenizer);

/** Writes the whole characters that token completes, ended by NUL; the rest is held back. Bytes
 * that cannot become UTF-8 come out as U+FFFD. Returns the bytes without the NUL. in     token
 * below the tokenizer's count text   room of tp__decode_bytes_max */
size_t tp__decode(struct tp_decoder *decoder, uint32_t token, char *text);

/** Ends the text: U+FFFD when a character was left incomplete. text has room for 4 bytes. */
size_t tp__decode_end(struct tp_decoder *decoder, char *text);

/* ---- for the loaders of the formats only ---- */

/** Takes memory for count pieces of text_bytes together. */
TP_MUST_USE tp_status tp__tokenizer_prepare(struct tp_tokenizer *tokenizer, const char *name,
                                            uint32_t count, size_t text_bytes,
                                            struct tp_error *error);

/** Appends piece number id; ids come in order. */
void tp__tokenizer_add(struct tp_tokenizer *tokenizer, uint32_t id, const char *text, size_t size,
                       float score, enum tp_piece_kind kind);

/** After the last piece, with bos, eos and unknown set: checks them, makes the tables. */
TP_MUST_USE tp_status tp__tokenizer_finish(struct tp_tokenizer *tokenizer, struct tp_error *error);

/** Value of "<0x0A>"; -1 when the text is not of that form. */
int tp__byte_piece(const char *text, size_t size);

#endif

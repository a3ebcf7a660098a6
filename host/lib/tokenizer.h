// SPDX-License-Identifier: Apache-2.0
//
// Text to tokens and back: vocabularies of three kinds.
//
//   scored pieces     llama2.c and SentencePiece. A space in front, one symbol per character (or
//   one
//                     byte piece per byte of a character without a piece), then the neighbours
//                     whose joint piece has the best score merge, the leftmost first on ties.
//   byte pairs        GPT-2 and what came of it. The text is split into words by a known rule; in
//                     each word, one symbol per byte, the neighbours whose merge has the lowest
//                     rank merge first.
//   character pairs   SentencePiece as tokenizer.json writes it: ranks in place of scores, a symbol
//                     per character, bytes for characters without a piece.
//
// Pieces of control tokens never come out of text, but where a chat template wrote them.

#ifndef TP_LIB_TOKENIZER_H
#define TP_LIB_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "loader.h"
#include "merges.h"
#include "reader.h"
#include "split.h"
#include "utf8.h"

#define TP_TOKEN_NONE UINT32_MAX
enum {
    TP_PIECE_BYTES_MAX = 1024,
    TP_TOKENIZER_BYTES_MAX = 1 << 28,  // of all pieces together
    TP_JSON_BYTES_MAX = 1 << 27,       // of a tokenizer.json
    TP_ENCODE_BYTES_MAX = 1 << 28      // of one text
};

enum tp_tokenizer_kind {
    TP_TOKENIZER_SCORES,
    TP_TOKENIZER_BYTE_PAIRS,
    TP_TOKENIZER_CHARACTER_PAIRS,
    TP_TOKENIZER_KIND_COUNT
};

enum tp_piece_kind {
    TP_PIECE_NORMAL,
    TP_PIECE_UNKNOWN,  // stands for characters that cannot be expressed
    TP_PIECE_CONTROL,  // start and end of a text or a turn; decodes to nothing
    TP_PIECE_BYTE,     // one byte
    TP_PIECE_UNUSED,
    TP_PIECE_USER,  // taken out of a text before all else
    TP_PIECE_KIND_COUNT
};

/** How a control or user piece is found in a text. */
enum {
    TP_PIECE_STRIPS_LEFT = 1,   // takes the white space before it
    TP_PIECE_STRIPS_RIGHT = 2,  // and behind it
    TP_PIECE_NORMALISED = 4     // looked for in the normalised text
};

/** A vocabulary. Constant once loaded, so any number of threads may use it. */
struct tp_tokenizer {
    enum tp_tokenizer_kind kind;
    enum tp_split split;
    uint32_t count;     // of pieces
    uint32_t bos;       // below count
    uint32_t eos;       // below count
    uint32_t turn_end;  // ends an answer in a chat, or TP_TOKEN_NONE
    uint32_t unknown;   // or TP_TOKEN_NONE
    bool add_bos;       // a text starts with bos
    bool add_space;     // a text is encoded with a space in front
    bool space_once;    // ... unless it starts with one
    bool space_first;   // ... and only at the start, not behind special tokens
    bool composes;      // a text is brought to normal form C
    bool whole_words;   // a word that is a piece is not merged
    bool space_mark;    // U+2581 in a text is a space, as in SentencePiece
    bool may_grow;      // the model may have rows for tokens that the file does not name
    uint32_t chat;      // enum tp_chat: the template of the file
    bool chat_bos;      // what chat.h says of it
    char *chat_system;  // or NULL
    uint32_t piece_bytes_max;
    uint32_t byte_ids[256];  // or TP_TOKEN_NONE
    uint32_t *offsets;       // [count + 1] into text
    char *text;              // all pieces, spaces as ' ', byte pairs as bytes
    float *scores;           // [count], finite
    uint8_t *kinds;          // [count], enum tp_piece_kind
    uint8_t *flags;          // [count], TP_PIECE_STRIPS_LEFT ...
    uint32_t *slots;         // hash table of normal pieces: ids or TP_TOKEN_NONE
    uint32_t slot_mask;
    struct tp_merges merges;
    uint32_t *specials;  // [special_count], control, user and unknown pieces, by their bytes
    uint32_t special_count;
    bool special_starts[256];  // the bytes that one of them begins with
    uint8_t joins[1 << 13];    // a bit for each two bytes: side by side in a normal piece
    char *name;                // of the file, for messages
};

/** Loads a tokenizer from a llama2.c tokenizer file, a GGUF file, a tokenizer.json (which takes
 *  tokenizer_config.json beside it into account) or what tp__tokenizer_write wrote.
 *  out    tokenizer  written only on TP_OK; tp__tokenizer_free releases it
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY, TP_ERROR_FORMAT, TP_ERROR_TOO_LARGE
 *         TP_ERROR_UNSUPPORTED  a tokenizer of another kind */
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

/** A copy of everything, in a form that tp__tokenizer_parse reads.
 *  out    bytes  written only on TP_OK; tp__bytes_free releases it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__tokenizer_write(const struct tp_tokenizer *tokenizer,
                                          struct tp_bytes *bytes, struct tp_error *error);

/** in     vocab  of the model of that name
 *  error  TP_ERROR_MISMATCH  the model has another number of tokens, or fewer than a tokenizer that
 *                            may_grow */
TP_MUST_USE tp_status tp__tokenizer_check_model(const struct tp_tokenizer *tokenizer,
                                                uint32_t vocab, const char *model,
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

/** The longest user piece at the start of a text, of those with (or without) the flag
 *  TP_PIECE_NORMALISED; TP_TOKEN_NONE when there is none.
 *  in     with_control  look for control pieces and the unknown piece too */
uint32_t tp__tokenizer_special(const struct tp_tokenizer *tokenizer, const char *text, size_t size,
                               bool normalised, bool with_control);

/** Text longer than this is more than token_count tokens, whatever it says. */
size_t tp__tokenizer_text_bytes(const struct tp_tokenizer *tokenizer, uint32_t token_count);

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
 *  that cannot become UTF-8 come out as U+FFFD.
 *  in     token  below the tokenizer's count
 *  out    text   room of tp__decode_bytes_max
 *  Returns the bytes without the NUL. */
size_t tp__decode(struct tp_decoder *decoder, uint32_t token, char *text);

/** Ends the text: U+FFFD when a character was left incomplete. text has room for 4 bytes. */
size_t tp__decode_end(struct tp_decoder *decoder, char *text);

/* ---- for the encoder only ---- */

/** What two neighbouring symbols make. */
struct tp_pair {
    uint32_t piece;  // or TP_TOKEN_NONE
    uint32_t order;  // pairs of lower order merge first
};

/** Whether a piece has these two bytes side by side: else a text may be cut between them. */
bool tp__tokenizer_joins(const struct tp_tokenizer *tokenizer, char left, char right);

/** in     text, size  of both together */
struct tp_pair tp__tokenizer_pair(const struct tp_tokenizer *tokenizer, uint32_t left,
                                  uint32_t right, const char *text, size_t size);

/* ---- for the loaders of the formats only ---- */

/** Takes memory for count pieces of text_bytes together. */
TP_MUST_USE tp_status tp__tokenizer_prepare(struct tp_tokenizer *tokenizer, const char *name,
                                            uint32_t count, size_t text_bytes,
                                            struct tp_error *error);

/** Appends piece number id; ids come in order. */
void tp__tokenizer_add(struct tp_tokenizer *tokenizer, uint32_t id, const char *text, size_t size,
                       float score, enum tp_piece_kind kind);

/** After the last piece, with all fields but the tables and merges set: checks them, makes the
 *  tables. */
TP_MUST_USE tp_status tp__tokenizer_finish(struct tp_tokenizer *tokenizer, struct tp_error *error);

/** Adds merge number `rank`, written as two pieces, after tp__tokenizer_finish and
 *  tp__merges_prepare. where names the file's list for messages.
 *  error  TP_ERROR_FORMAT  a part or the whole is no piece, or the pair has a merge already */
TP_MUST_USE tp_status tp__tokenizer_merge(struct tp_tokenizer *tokenizer, const char *where,
                                          struct tp_string left, struct tp_string right,
                                          struct tp_error *error);

/** Keeps what a chat template's text says.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__tokenizer_set_chat(struct tp_tokenizer *tokenizer,
                                             struct tp_string template, struct tp_error *error);

/** Reads the two files of a Hugging Face tokenizer; config may be NULL.
 *  error  as tp__tokenizer_parse */
TP_MUST_USE tp_status tp__tokenizer_json(const struct tp_reader *reader,
                                         const struct tp_bytes *config,
                                         struct tp_tokenizer *tokenizer);

/** Reads what tp__tokenizer_write wrote. */
TP_MUST_USE tp_status tp__tokenizer_blob(struct tp_reader *reader, struct tp_tokenizer *tokenizer);

/** Whether the bytes start like it. */
bool tp__tokenizer_is_blob(const uint8_t *bytes, size_t size);

/** Value of "<0x0A>"; -1 when the text is not of that form. */
int tp__byte_piece(const char *text, size_t size);

#endif

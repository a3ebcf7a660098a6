// SPDX-License-Identifier: Apache-2.0
//
// Tokenizer files.
//
//   llama2.c   byte 0  int32 bytes of the longest piece
//              then per piece: float32 score, int32 bytes, the bytes; to the end of the file.
//              Piece 0 is the unknown token, 1 the start, 2 the end; "<0x0A>" is the byte 0x0a.
//   GGUF       tokenizer.ggml.tokens, .scores, .token_type and the numbers of the special tokens;
//              spaces are written as U+2581.

#include <assert.h>
#include <math.h>
#include <string.h>

#include "gguf.h"
#include "tokenizer.h"

enum { TOKENIZER_BYTES_MAX = 1 << 28, LLAMA2C_UNKNOWN = 0, DEFAULT_BOS = 1, DEFAULT_EOS = 2 };

/* token_type of GGUF */
enum { GGUF_NORMAL = 1, GGUF_UNKNOWN, GGUF_CONTROL, GGUF_USER_DEFINED, GGUF_UNUSED, GGUF_BYTE };

static tp_status bad_piece(const struct tp_reader *reader, size_t place, uint32_t id,
                           const char *what)
{
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: byte %zu: piece %u %s; the file is damaged or not a tokenizer",
                    reader->name, place, id, what);
}

/* ---- llama2.c ---- */

static tp_status read_piece(struct tp_reader *reader, uint32_t id, uint32_t size_max, float *score,
                            struct tp_string *piece)
{
    size_t place = reader->offset;
    uint32_t size;
    tp_status status = tp__reader_f32(reader, "the score of a piece", score);
    if (status != TP_OK) return status;
    if (!isfinite(*score)) return bad_piece(reader, place, id, "has a score that is not finite");
    status = tp__reader_u32(reader, "the length of a piece", &size);
    if (status != TP_OK) return status;
    if (size > size_max) return bad_piece(reader, place, id, "is longer than the header allows");
    const uint8_t *bytes;
    status = tp__reader_take(reader, size, "the text of a piece", &bytes);
    if (status != TP_OK) return status;
    *piece = (struct tp_string){.text = (const char *)bytes, .size = size};
    return TP_OK;
}

static enum tp_piece_kind llama2c_kind(uint32_t id, struct tp_string piece)
{
    if (id == LLAMA2C_UNKNOWN && tp__string_is(piece, "<unk>")) return TP_PIECE_UNKNOWN;
    if (id == DEFAULT_BOS || id == DEFAULT_EOS) return TP_PIECE_CONTROL;
    return tp__byte_piece(piece.text, piece.size) >= 0 ? TP_PIECE_BYTE : TP_PIECE_NORMAL;
}

static tp_status count_pieces(struct tp_reader *reader, uint32_t size_max, uint32_t *count,
                              size_t *text_bytes)
{
    *count = 0;
    *text_bytes = 0;
    while (reader->offset < reader->size) {
        float score;
        struct tp_string piece;
        if (*count == TP_MODEL_VOCAB_MAX) {
            return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                            "%s: byte %zu: more than %d pieces; not a tokenizer", reader->name,
                            reader->offset, TP_MODEL_VOCAB_MAX);
        }
        tp_status status = read_piece(reader, *count, size_max, &score, &piece);
        if (status != TP_OK) return status;
        *count += 1;
        *text_bytes += piece.size;
    }
    if (*count > DEFAULT_EOS) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: has %u pieces, a tokenizer has at least 3; copy it again", reader->name,
                    *count);
}

static tp_status load_llama2c(struct tp_reader *reader, struct tp_tokenizer *tokenizer)
{
    uint32_t size_max;
    tp_status status = tp__reader_u32(reader, "the header of a tokenizer", &size_max);
    if (status != TP_OK) return status;
    if (size_max == 0 || size_max > TP_PIECE_BYTES_MAX) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte 0: as a llama2.c tokenizer, its longest piece would have %u "
                        "bytes; give a llama2.c tokenizer or a GGUF file",
                        reader->name, size_max);
    }
    uint32_t count;
    size_t text_bytes;
    size_t first = reader->offset;
    status = count_pieces(reader, size_max, &count, &text_bytes);
    if (status != TP_OK) return status;
    status = tp__tokenizer_prepare(tokenizer, reader->name, count, text_bytes, reader->error);
    if (status != TP_OK) return status;
    tokenizer->bos = DEFAULT_BOS;
    tokenizer->eos = DEFAULT_EOS;
    reader->offset = first;
    for (uint32_t id = 0; id < count; id++) {
        float score;
        struct tp_string piece;
        status = read_piece(reader, id, size_max, &score, &piece);
        if (status != TP_OK) return status;
        enum tp_piece_kind kind = llama2c_kind(id, piece);
        if (kind == TP_PIECE_UNKNOWN) tokenizer->unknown = id;
        tp__tokenizer_add(tokenizer, id, piece.text, piece.size, score, kind);
    }
    return tp__tokenizer_finish(tokenizer, reader->error);
}

/* ---- GGUF ---- */

struct gguf_vocabulary {
    const struct tp_gguf_entry *tokens;
    const struct tp_gguf_entry *scores;
    const struct tp_gguf_entry *types;  // or NULL: all normal
};

static tp_status find_vocabulary(const struct tp_gguf *gguf, struct gguf_vocabulary *vocabulary)
{
    const struct tp_reader *reader = &gguf->reader;
    struct tp_string kind;
    tp_status status = tp__gguf_string(gguf, "tokenizer.ggml.model", &kind);
    if (status != TP_OK) return status;
    if (!tp__string_is(kind, "llama")) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: tokenizer.ggml.model is \"%.*s\"; this version reads \"llama\" "
                        "(SentencePiece) only",
                        reader->name, tp__string_width(kind), kind.text);
    }
    status = tp__gguf_array(gguf, "tokenizer.ggml.tokens", TP_GGUF_STRING, &vocabulary->tokens);
    if (status != TP_OK) return status;
    status = tp__gguf_array(gguf, "tokenizer.ggml.scores", TP_GGUF_F32, &vocabulary->scores);
    if (status != TP_OK) return status;
    status = tp__gguf_array(gguf, "tokenizer.ggml.token_type", TP_GGUF_I32, &vocabulary->types);
    if (status != TP_OK) return status;
    if (vocabulary->tokens == NULL || vocabulary->scores == NULL) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: metadata tokenizer.ggml.%s is missing; convert the model again",
                        reader->name, vocabulary->tokens == NULL ? "tokens" : "scores");
    }
    uint64_t count = vocabulary->tokens->count;
    if (count == 0 || count > TP_MODEL_VOCAB_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: the tokenizer has %llu pieces, 1 to %d are possible", reader->name,
                        (unsigned long long)count, TP_MODEL_VOCAB_MAX);
    }
    bool has_types = vocabulary->types != NULL;
    if (vocabulary->scores->count == count && (!has_types || vocabulary->types->count == count)) {
        return TP_OK;
    }
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: the tokenizer has %llu pieces, but %llu scores and %llu types; the file "
                    "is damaged",
                    reader->name, (unsigned long long)count,
                    (unsigned long long)vocabulary->scores->count,
                    (unsigned long long)(has_types ? vocabulary->types->count : count));
}

/* Copies a piece with U+2581 as spaces. Returns its size. */
static size_t plain_piece(struct tp_string piece, char *text)
{
    size_t size = 0;
    for (size_t i = 0; i < piece.size; i++) {
        bool is_space = piece.size - i >= 3 && memcmp(piece.text + i, "\xe2\x96\x81", 3) == 0;
        text[size++] = is_space ? ' ' : piece.text[i];
        if (is_space) i += 2;
    }
    return size;
}

static bool gguf_kind(uint32_t type, struct tp_string piece, enum tp_piece_kind *kind)
{
    switch (type) {
    case GGUF_NORMAL:
    case GGUF_USER_DEFINED:
        *kind = TP_PIECE_NORMAL;
        return true;
    case GGUF_UNKNOWN:
        *kind = TP_PIECE_UNKNOWN;
        return true;
    case GGUF_CONTROL:
        *kind = TP_PIECE_CONTROL;
        return true;
    case GGUF_UNUSED:
        *kind = TP_PIECE_UNUSED;
        return true;
    case GGUF_BYTE:
        *kind = TP_PIECE_BYTE;
        return tp__byte_piece(piece.text, piece.size) >= 0;
    default:
        return false;
    }
}

static tp_status add_gguf_piece(const struct tp_gguf *gguf,
                                const struct gguf_vocabulary *vocabulary, uint32_t id,
                                size_t *offset, struct tp_tokenizer *tokenizer)
{
    const struct tp_reader *reader = &gguf->reader;
    size_t place = *offset;
    struct tp_string piece = tp__gguf_next_string(gguf, offset);
    if (piece.size > TP_PIECE_BYTES_MAX) return bad_piece(reader, place, id, "is too long");
    size_t index = (size_t)id * 4;
    float score = tp__load_f32(reader->bytes + vocabulary->scores->offset + index);
    if (!isfinite(score)) return bad_piece(reader, place, id, "has a score that is not finite");
    uint32_t type = GGUF_NORMAL;
    if (vocabulary->types != NULL) {
        type = tp__load_u32(reader->bytes + vocabulary->types->offset + index);
    }
    enum tp_piece_kind kind;
    if (!gguf_kind(type, piece, &kind)) {
        return bad_piece(reader, place, id, "does not suit its token_type");
    }
    if (kind == TP_PIECE_UNKNOWN && tokenizer->unknown == TP_TOKEN_NONE) tokenizer->unknown = id;
    char text[TP_PIECE_BYTES_MAX];
    tp__tokenizer_add(tokenizer, id, text, plain_piece(piece, text), score, kind);
    return TP_OK;
}

static tp_status read_specials(const struct tp_gguf *gguf, struct tp_tokenizer *tokenizer)
{
    tokenizer->bos = DEFAULT_BOS;
    tokenizer->eos = DEFAULT_EOS;
    tp_status status = tp__gguf_u32_or(gguf, "tokenizer.ggml.bos_token_id", &tokenizer->bos);
    if (status != TP_OK) return status;
    status = tp__gguf_u32_or(gguf, "tokenizer.ggml.eos_token_id", &tokenizer->eos);
    if (status != TP_OK) return status;
    status = tp__gguf_u32_or(gguf, "tokenizer.ggml.unknown_token_id", &tokenizer->unknown);
    if (status != TP_OK) return status;
    status = tp__gguf_bool_or(gguf, "tokenizer.ggml.add_bos_token", &tokenizer->add_bos);
    if (status != TP_OK) return status;
    return tp__gguf_bool_or(gguf, "tokenizer.ggml.add_space_prefix", &tokenizer->add_space);
}

static tp_status load_gguf_pieces(const struct tp_gguf *gguf, struct tp_tokenizer *tokenizer)
{
    const struct tp_reader *reader = &gguf->reader;
    struct gguf_vocabulary vocabulary;
    tp_status status = find_vocabulary(gguf, &vocabulary);
    if (status != TP_OK) return status;
    uint32_t count = (uint32_t)vocabulary.tokens->count;
    // Pieces only get shorter, and all of them lie in the file.
    size_t text_bytes = 0;
    size_t offset = vocabulary.tokens->offset;
    for (uint32_t id = 0; id < count; id++) text_bytes += tp__gguf_next_string(gguf, &offset).size;
    if (text_bytes > TOKENIZER_BYTES_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: the pieces of the tokenizer have %zu bytes, the limit is %d",
                        reader->name, text_bytes, TOKENIZER_BYTES_MAX);
    }
    status = tp__tokenizer_prepare(tokenizer, reader->name, count, text_bytes, reader->error);
    if (status != TP_OK) return status;
    offset = vocabulary.tokens->offset;
    for (uint32_t id = 0; id < count; id++) {
        status = add_gguf_piece(gguf, &vocabulary, id, &offset, tokenizer);
        if (status != TP_OK) return status;
    }
    status = read_specials(gguf, tokenizer);
    if (status != TP_OK) return status;
    return tp__tokenizer_finish(tokenizer, reader->error);
}

static tp_status load_gguf(const struct tp_reader *reader, struct tp_tokenizer *tokenizer)
{
    struct tp_gguf gguf;
    tp_status status =
        tp__gguf_open(reader->bytes, reader->size, reader->name, &gguf, reader->error);
    if (status != TP_OK) return status;
    status = load_gguf_pieces(&gguf, tokenizer);
    tp__gguf_free(&gguf);
    return status;
}

/* ---- both ---- */

tp_status tp__tokenizer_parse(const void *data, size_t size, const char *name,
                              struct tp_tokenizer *tokenizer, struct tp_error *error)
{
    struct tp_reader reader = {
        .bytes = data, .size = size, .name = tp__short_name(name), .error = error};
    struct tp_tokenizer result = {0};
    bool is_gguf = size >= 4 && memcmp(data, "GGUF", 4) == 0;
    tp_status status = is_gguf ? load_gguf(&reader, &result) : load_llama2c(&reader, &result);
    if (status != TP_OK) {
        tp__tokenizer_free(&result);
        return status;
    }
    *tokenizer = result;
    return TP_OK;
}

tp_status tp__tokenizer_load(const char *path, struct tp_tokenizer *tokenizer,
                             struct tp_error *error)
{
    struct tp_bytes file;
    tp_status status = tp__file_read(path, TP_MODEL_BYTES_MAX, &file, error);
    if (status != TP_OK) return status;
    status = tp__tokenizer_parse(file.data, file.size, path, tokenizer, error);
    tp__bytes_free(&file);
    return status;
}

tp_status tp__tokenizer_of_model(const struct tp_source_model *model,
                                 struct tp_tokenizer *tokenizer, struct tp_error *error)
{
    if (!model->has_tokenizer) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "%s: a %s file has no tokenizer inside; name one with --tokenizer FILE",
                        model->name, model->format);
    }
    return tp__tokenizer_parse(model->file.data, model->file.size, model->name, tokenizer, error);
}

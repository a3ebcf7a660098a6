// SPDX-License-Identifier: Apache-2.0
//
// Tokenizer files.
//
//   llama2.c   byte 0  int32 bytes of the longest piece
//              then per piece: float32 score, int32 bytes, the bytes; to the end of the file.
//              Piece 0 is the unknown token, 1 the start, 2 the end; "<0x0A>" is the byte 0x0a.
//   GGUF       tokenizer.ggml.model "llama": .tokens, .scores, .token_type and the numbers of the
//              special tokens; spaces are written as U+2581.
//              "gpt2": .merges instead of .scores, .pre names the rule that splits words; pieces
//              are written in the byte alphabet, but for control and user pieces.

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gguf.h"
#include "tokenizer.h"

enum { CONFIG_BYTES_MAX = 1 << 22, LLAMA2C_UNKNOWN = 0, DEFAULT_BOS = 1, DEFAULT_EOS = 2 };

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
    enum tp_tokenizer_kind kind;
    enum tp_split split;
    const struct tp_gguf_entry *tokens;
    const struct tp_gguf_entry *scores;  // of scored pieces
    const struct tp_gguf_entry *merges;  // of byte pairs
    const struct tp_gguf_entry *types;   // or NULL: all normal
};

static tp_status find_kind(const struct tp_gguf *gguf, struct gguf_vocabulary *vocabulary)
{
    const struct tp_reader *reader = &gguf->reader;
    struct tp_string kind;
    tp_status status = tp__gguf_string(gguf, "tokenizer.ggml.model", &kind);
    if (status != TP_OK) return status;
    if (tp__string_is(kind, "llama")) return TP_OK;
    if (!tp__string_is(kind, "gpt2")) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: tokenizer.ggml.model is \"%.*s\"; this version reads \"llama\" "
                        "(SentencePiece) and \"gpt2\" (byte pairs) only",
                        reader->name, tp__string_width(kind), kind.text);
    }
    vocabulary->kind = TP_TOKENIZER_BYTE_PAIRS;
    vocabulary->split = TP_SPLIT_GPT2;
    if (tp__gguf_find(gguf, "tokenizer.ggml.pre") == NULL) return TP_OK;
    struct tp_string rule;
    status = tp__gguf_string(gguf, "tokenizer.ggml.pre", &rule);
    if (status != TP_OK) return status;
    vocabulary->split = tp__split_of_name(rule);
    if (vocabulary->split != TP_SPLIT_COUNT) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                    "%s: tokenizer.ggml.pre is \"%.*s\"; this version splits words by the rules of "
                    "%s only",
                    reader->name, tp__string_width(rule), rule.text, tp__split_names());
}

static tp_status find_vocabulary(const struct tp_gguf *gguf, struct gguf_vocabulary *vocabulary)
{
    const struct tp_reader *reader = &gguf->reader;
    *vocabulary = (struct gguf_vocabulary){0};
    tp_status status = find_kind(gguf, vocabulary);
    if (status != TP_OK) return status;
    bool has_scores = vocabulary->kind == TP_TOKENIZER_SCORES;
    status = tp__gguf_array(gguf, "tokenizer.ggml.tokens", TP_GGUF_STRING, &vocabulary->tokens);
    if (status == TP_OK && has_scores) {
        status = tp__gguf_array(gguf, "tokenizer.ggml.scores", TP_GGUF_F32, &vocabulary->scores);
    }
    if (status == TP_OK && !has_scores) {
        status = tp__gguf_array(gguf, "tokenizer.ggml.merges", TP_GGUF_STRING, &vocabulary->merges);
    }
    if (status != TP_OK) return status;
    status = tp__gguf_array(gguf, "tokenizer.ggml.token_type", TP_GGUF_I32, &vocabulary->types);
    if (status != TP_OK) return status;
    const char *missing = vocabulary->tokens == NULL                  ? "tokens"
                          : has_scores && vocabulary->scores == NULL  ? "scores"
                          : !has_scores && vocabulary->merges == NULL ? "merges"
                                                                      : NULL;
    if (missing != NULL) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: metadata tokenizer.ggml.%s is missing; convert the model again",
                        reader->name, missing);
    }
    uint64_t count = vocabulary->tokens->count;
    if (count == 0 || count > TP_MODEL_VOCAB_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: the tokenizer has %llu pieces, 1 to %d are possible", reader->name,
                        (unsigned long long)count, TP_MODEL_VOCAB_MAX);
    }
    if (!has_scores && vocabulary->merges->count > TP_MERGES_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: tokenizer.ggml.merges has %llu merges, the limit is %d", reader->name,
                        (unsigned long long)vocabulary->merges->count, TP_MERGES_MAX);
    }
    uint64_t score_count = has_scores ? vocabulary->scores->count : count;
    uint64_t type_count = vocabulary->types != NULL ? vocabulary->types->count : count;
    if (score_count == count && type_count == count) return TP_OK;
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: the tokenizer has %llu pieces, but %llu scores and %llu types; the file "
                    "is damaged",
                    reader->name, (unsigned long long)count, (unsigned long long)score_count,
                    (unsigned long long)type_count);
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
        *kind = TP_PIECE_NORMAL;
        return true;
    case GGUF_USER_DEFINED:
        *kind = TP_PIECE_USER;
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
    float score = 0.0f;
    if (vocabulary->scores != NULL) {
        score = tp__load_f32(reader->bytes + vocabulary->scores->offset + index);
    }
    if (!isfinite(score)) return bad_piece(reader, place, id, "has a score that is not finite");
    uint32_t type = GGUF_NORMAL;
    if (vocabulary->types != NULL) {
        type = tp__load_u32(reader->bytes + vocabulary->types->offset + index);
    }
    enum tp_piece_kind kind;
    if (!gguf_kind(type, piece, &kind)) {
        return bad_piece(reader, place, id, "does not suit its token_type");
    }
    bool by_byte = vocabulary->kind == TP_TOKENIZER_BYTE_PAIRS;
    if (by_byte && kind == TP_PIECE_BYTE) {
        return bad_piece(reader, place, id, "is a byte, which byte pairs do not have");
    }
    if (kind == TP_PIECE_UNKNOWN && tokenizer->unknown == TP_TOKEN_NONE) tokenizer->unknown = id;
    char text[TP_PIECE_BYTES_MAX];
    size_t size;
    if (by_byte && kind == TP_PIECE_NORMAL) {
        size = tp__byte_alphabet_decode(piece.text, piece.size, text);
        if (size == SIZE_MAX) {
            return bad_piece(reader, place, id, "has a character that stands for no byte");
        }
    } else if (by_byte) {
        size = piece.size;
        if (size > 0) memcpy(text, piece.text, size);
    } else {
        size = plain_piece(piece, text);
    }
    tp__tokenizer_add(tokenizer, id, text, size, score, kind);
    // SentencePiece looks for its user pieces in the text that it encodes, spaces included.
    if (!by_byte && kind == TP_PIECE_USER) tokenizer->flags[id] = TP_PIECE_NORMALISED;
    return TP_OK;
}

static tp_status read_specials(const struct tp_gguf *gguf, struct tp_tokenizer *tokenizer)
{
    bool by_byte = tokenizer->kind == TP_TOKENIZER_BYTE_PAIRS;
    tokenizer->bos = by_byte ? TP_TOKEN_NONE : DEFAULT_BOS;
    tokenizer->eos = by_byte ? TP_TOKEN_NONE : DEFAULT_EOS;
    tokenizer->add_bos = !by_byte || tokenizer->split == TP_SPLIT_LLAMA3;
    tokenizer->add_space = !by_byte;
    tp_status status = tp__gguf_u32_or(gguf, "tokenizer.ggml.bos_token_id", &tokenizer->bos);
    if (status != TP_OK) return status;
    status = tp__gguf_u32_or(gguf, "tokenizer.ggml.eos_token_id", &tokenizer->eos);
    if (status != TP_OK) return status;
    if (by_byte && tp__gguf_find(gguf, "tokenizer.ggml.eos_token_id") == NULL) {
        return tp__fail(gguf->reader.error, TP_ERROR_FORMAT,
                        "%s: metadata tokenizer.ggml.eos_token_id is missing; convert the model "
                        "again",
                        gguf->reader.name);
    }
    if (by_byte && tp__gguf_find(gguf, "tokenizer.ggml.bos_token_id") == NULL) {
        tokenizer->bos = tokenizer->eos;
        tokenizer->add_bos = false;
    }
    status = tp__gguf_u32_or(gguf, "tokenizer.ggml.unknown_token_id", &tokenizer->unknown);
    if (status != TP_OK) return status;
    status = tp__gguf_bool_or(gguf, "tokenizer.ggml.add_bos_token", &tokenizer->add_bos);
    if (status != TP_OK) return status;
    status = tp__gguf_u32_or(gguf, "tokenizer.ggml.eot_token_id", &tokenizer->turn_end);
    if (status == TP_OK && tp__gguf_find(gguf, "tokenizer.chat_template") != NULL) {
        struct tp_string template;
        status = tp__gguf_string(gguf, "tokenizer.chat_template", &template);
        if (status == TP_OK) {
            status = tp__tokenizer_set_chat(tokenizer, template, gguf->reader.error);
        }
    }
    if (status != TP_OK || by_byte) return status;
    return tp__gguf_bool_or(gguf, "tokenizer.ggml.add_space_prefix", &tokenizer->add_space);
}

/* "Ab cd": two pieces in the byte alphabet, which has no space. */
static tp_status add_gguf_merge(const struct tp_gguf *gguf, size_t *offset,
                                struct tp_tokenizer *tokenizer)
{
    const struct tp_reader *reader = &gguf->reader;
    size_t place = *offset;
    struct tp_string both = tp__gguf_next_string(gguf, offset);
    const char *space = both.size > 0 ? memchr(both.text, ' ', both.size) : NULL;
    char bytes[2][TP_PIECE_BYTES_MAX];
    struct tp_string parts[2] = {{bytes[0], SIZE_MAX}, {bytes[1], SIZE_MAX}};
    if (space != NULL && both.size <= TP_PIECE_BYTES_MAX) {
        size_t left = (size_t)(space - both.text);
        parts[0].size = tp__byte_alphabet_decode(both.text, left, bytes[0]);
        parts[1].size = tp__byte_alphabet_decode(space + 1, both.size - left - 1, bytes[1]);
    }
    if (parts[0].size == SIZE_MAX || parts[1].size == SIZE_MAX) {
        return tp__fail(reader->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: tokenizer.ggml.merges[%u], \"%.*s\", is not two pieces with "
                        "a space between; the file is damaged",
                        reader->name, place, tokenizer->merges.count, tp__string_width(both),
                        both.text);
    }
    char where[64];
    (void)snprintf(where, sizeof where, "byte %zu: tokenizer.ggml.merges", place);
    return tp__tokenizer_merge(tokenizer, where, parts[0], parts[1], reader->error);
}

static tp_status load_gguf_merges(const struct tp_gguf *gguf, const struct tp_gguf_entry *merges,
                                  struct tp_tokenizer *tokenizer)
{
    uint32_t count = (uint32_t)merges->count;
    tp_status status =
        tp__merges_prepare(&tokenizer->merges, gguf->reader.name, count, gguf->reader.error);
    size_t offset = merges->offset;
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        status = add_gguf_merge(gguf, &offset, tokenizer);
    }
    return status;
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
    if (text_bytes > TP_TOKENIZER_BYTES_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: the pieces of the tokenizer have %zu bytes, the limit is %d",
                        reader->name, text_bytes, TP_TOKENIZER_BYTES_MAX);
    }
    status = tp__tokenizer_prepare(tokenizer, reader->name, count, text_bytes, reader->error);
    if (status != TP_OK) return status;
    tokenizer->kind = vocabulary.kind;
    tokenizer->split = vocabulary.split;
    tokenizer->space_mark = vocabulary.kind == TP_TOKENIZER_SCORES;
    tokenizer->composes = vocabulary.split == TP_SPLIT_QWEN2;
    tokenizer->whole_words = vocabulary.split == TP_SPLIT_LLAMA3;
    offset = vocabulary.tokens->offset;
    for (uint32_t id = 0; id < count; id++) {
        status = add_gguf_piece(gguf, &vocabulary, id, &offset, tokenizer);
        if (status != TP_OK) return status;
    }
    status = read_specials(gguf, tokenizer);
    if (status == TP_OK) status = tp__tokenizer_finish(tokenizer, reader->error);
    if (status != TP_OK || vocabulary.merges == NULL) return status;
    return load_gguf_merges(gguf, vocabulary.merges, tokenizer);
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

/* ---- all ---- */

static bool is_json(const uint8_t *data, size_t size)
{
    size_t offset = 0;
    while (offset < size && strchr(" \t\r\n", data[offset]) != NULL && data[offset] != 0) offset++;
    return offset < size && data[offset] == '{';
}

static tp_status parse(const void *data, size_t size, const char *name,
                       const struct tp_bytes *config, struct tp_tokenizer *tokenizer,
                       struct tp_error *error)
{
    struct tp_reader reader = {
        .bytes = data, .size = size, .name = tp__short_name(name), .error = error};
    struct tp_tokenizer result = {0};
    tp_status status;
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        status = load_gguf(&reader, &result);
    } else if (tp__tokenizer_is_blob(data, size)) {
        status = tp__tokenizer_blob(&reader, &result);
    } else if (is_json(data, size)) {
        status = tp__tokenizer_json(&reader, config, &result);
    } else {
        status = load_llama2c(&reader, &result);
    }
    if (status != TP_OK) {
        tp__tokenizer_free(&result);
        return status;
    }
    *tokenizer = result;
    return TP_OK;
}

tp_status tp__tokenizer_parse(const void *data, size_t size, const char *name,
                              struct tp_tokenizer *tokenizer, struct tp_error *error)
{
    return parse(data, size, name, NULL, tokenizer, error);
}

/* Reads tokenizer_config.json beside path, if there is one. */
static tp_status read_config(const char *path, struct tp_bytes *config, struct tp_error *error)
{
    static const char name[] = "tokenizer_config.json";
    const char *slash = strrchr(path, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    char *beside = malloc(folder + sizeof name);
    if (beside == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory", tp__short_name(path));
    }
    memcpy(beside, path, folder);
    memcpy(beside + folder, name, sizeof name);
    struct stat facts;
    tp_status status = TP_OK;
    if (stat(beside, &facts) == 0) {
        status = tp__file_read(beside, CONFIG_BYTES_MAX, config, error);
    }
    free(beside);
    return status;
}

tp_status tp__tokenizer_load(const char *path, struct tp_tokenizer *tokenizer,
                             struct tp_error *error)
{
    struct tp_bytes file;
    struct tp_bytes config = {0};
    tp_status status = tp__file_read(path, TP_MODEL_BYTES_MAX, &file, error);
    if (status != TP_OK) return status;
    bool has_config = is_json(file.data, file.size);
    if (has_config) status = read_config(path, &config, error);
    if (status == TP_OK) {
        status = parse(file.data, file.size, path, config.data != NULL ? &config : NULL, tokenizer,
                       error);
    }
    tp__bytes_free(&config);
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

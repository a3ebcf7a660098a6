// SPDX-License-Identifier: Apache-2.0
//
// Tokenizers of all kinds in one form, for the image of a model.
//
//   byte 0   "TPTOKENS", uint32 version (1), kind, split, count of pieces, bos, eos, end of turn,
//            unknown, flags, bytes of all pieces, count of merges, chat template, bytes of its
//            system text: 13 numbers, little-endian
//   byte 60  per piece: float32 score, uint32 bytes | kind << 16 | flags << 24
//            per merge: uint32 left, right, result
//            the bytes of the pieces, the system text; nothing behind
//   flags    bit 0 add_bos, 1 add_space, 2 composes, 3 whole_words, 4 space_mark, 5 may_grow,
//            6 space_once, 7 space_first, 8 chat_bos

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "gguf.h"
#include "tokenizer.h"

static const char magic[8] = {'T', 'P', 'T', 'O', 'K', 'E', 'N', 'S'};

enum { VERSION = 1, NUMBERS = 13, PIECE_BYTES = 8, MERGE_BYTES = 12, FLAGS = 9 };

struct head {
    uint32_t version;
    uint32_t kind;
    uint32_t split;
    uint32_t count;
    uint32_t bos;
    uint32_t eos;
    uint32_t turn_end;
    uint32_t unknown;
    uint32_t flags;
    uint32_t text_bytes;
    uint32_t merge_count;
    uint32_t chat;
    uint32_t system_bytes;
};
static_assert(sizeof(struct head) == NUMBERS * sizeof(uint32_t), "the head is its numbers");

bool tp__tokenizer_is_blob(const uint8_t *bytes, size_t size)
{
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

/* ---- writing ---- */

struct writer {
    uint8_t *bytes;
    size_t offset;
};

static void put_u32(struct writer *writer, uint32_t value)
{
    for (int i = 0; i < 4; i++) writer->bytes[writer->offset++] = (uint8_t)(value >> 8 * i);
}

static void put_f32(struct writer *writer, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(writer, bits);
}

static uint32_t flags_of(const struct tp_tokenizer *tokenizer)
{
    const bool flags[FLAGS] = {tokenizer->add_bos,     tokenizer->add_space,   tokenizer->composes,
                               tokenizer->whole_words, tokenizer->space_mark,  tokenizer->may_grow,
                               tokenizer->space_once,  tokenizer->space_first, tokenizer->chat_bos};
    uint32_t bits = 0;
    for (uint32_t i = 0; i < FLAGS; i++) bits |= (flags[i] ? 1u : 0u) << i;
    return bits;
}

static void set_flags(struct tp_tokenizer *tokenizer, uint32_t bits)
{
    bool *const flags[FLAGS] = {
        &tokenizer->add_bos,     &tokenizer->add_space,   &tokenizer->composes,
        &tokenizer->whole_words, &tokenizer->space_mark,  &tokenizer->may_grow,
        &tokenizer->space_once,  &tokenizer->space_first, &tokenizer->chat_bos};
    for (uint32_t i = 0; i < FLAGS; i++) *flags[i] = (bits >> i & 1) != 0;
}

tp_status tp__tokenizer_write(const struct tp_tokenizer *tokenizer, struct tp_bytes *bytes,
                              struct tp_error *error)
{
    uint32_t count = tokenizer->count;
    size_t system_bytes = tokenizer->chat_system != NULL ? strlen(tokenizer->chat_system) : 0;
    const struct head head = {.version = VERSION,
                              .kind = tokenizer->kind,
                              .split = tokenizer->split,
                              .count = count,
                              .bos = tokenizer->bos,
                              .eos = tokenizer->eos,
                              .turn_end = tokenizer->turn_end,
                              .unknown = tokenizer->unknown,
                              .flags = flags_of(tokenizer),
                              .text_bytes = tokenizer->offsets[count],
                              .merge_count = tokenizer->merges.count,
                              .chat = tokenizer->chat,
                              .system_bytes = (uint32_t)system_bytes};
    size_t size = sizeof magic + NUMBERS * sizeof(uint32_t) + (size_t)count * PIECE_BYTES +
                  (size_t)head.merge_count * MERGE_BYTES + head.text_bytes + head.system_bytes;
    struct writer writer = {.bytes = malloc(size)};
    if (writer.bytes == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory to write the tokenizer",
                        tokenizer->name);
    }
    memcpy(writer.bytes, magic, sizeof magic);
    writer.offset = sizeof magic;
    uint32_t numbers[NUMBERS];
    memcpy(numbers, &head, sizeof numbers);
    for (int i = 0; i < NUMBERS; i++) put_u32(&writer, numbers[i]);
    for (uint32_t id = 0; id < count; id++) {
        put_f32(&writer, tokenizer->scores[id]);
        uint32_t piece_bytes = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
        put_u32(&writer, piece_bytes | (uint32_t)tokenizer->kinds[id] << 16 |
                             (uint32_t)tokenizer->flags[id] << 24);
    }
    for (uint32_t i = 0; i < head.merge_count; i++) {
        put_u32(&writer, tokenizer->merges.list[i].left);
        put_u32(&writer, tokenizer->merges.list[i].right);
        put_u32(&writer, tokenizer->merges.list[i].result);
    }
    memcpy(writer.bytes + writer.offset, tokenizer->text, head.text_bytes);
    writer.offset += head.text_bytes;
    if (system_bytes > 0) {
        memcpy(writer.bytes + writer.offset, tokenizer->chat_system, system_bytes);
    }
    assert(writer.offset + system_bytes == size);
    *bytes = (struct tp_bytes){.data = writer.bytes, .size = size};
    return TP_OK;
}

/* ---- reading ---- */

static tp_status bad(const struct tp_reader *reader, size_t place, const char *what)
{
    return tp__fail(reader->error, TP_ERROR_FORMAT,
                    "%s: byte %zu of the tokenizer: %s; the file is damaged", reader->name, place,
                    what);
}

static tp_status read_head(struct tp_reader *reader, struct head *head)
{
    uint32_t numbers[NUMBERS];
    reader->offset = sizeof magic;
    for (int i = 0; i < NUMBERS; i++) {
        tp_status status = tp__reader_u32(reader, "the head of a tokenizer", &numbers[i]);
        if (status != TP_OK) return status;
    }
    memcpy(head, numbers, sizeof numbers);
    if (head->version != VERSION) {
        return tp__fail(reader->error, TP_ERROR_UNSUPPORTED,
                        "%s: the tokenizer has version %u of its form, this program reads %d; "
                        "quantise the model again",
                        reader->name, head->version, VERSION);
    }
    if (head->kind >= TP_TOKENIZER_KIND_COUNT) return bad(reader, 12, "its kind is unknown");
    bool by_byte = head->kind == TP_TOKENIZER_BYTE_PAIRS;
    if (head->split >= TP_SPLIT_COUNT || by_byte == (head->split == TP_SPLIT_NONE)) {
        return bad(reader, 16, "its rule for words is unknown or does not suit its kind");
    }
    if (head->count == 0 || head->count > TP_MODEL_VOCAB_MAX) {
        return bad(reader, 20, "its count of pieces is impossible");
    }
    if (head->flags >> FLAGS != 0) return bad(reader, 40, "its flags are unknown");
    if (head->text_bytes > TP_TOKENIZER_BYTES_MAX) {
        return bad(reader, 44, "its pieces are too long");
    }
    if (head->merge_count > TP_MERGES_MAX) return bad(reader, 48, "it has too many merges");
    if (head->chat >= TP_CHAT_COUNT) return bad(reader, 52, "its chat template is unknown");
    if (head->system_bytes > TP_GGUF_STRING_MAX)
        return bad(reader, 56, "its system text is too long");
    size_t size = reader->offset + (size_t)head->count * PIECE_BYTES +
                  (size_t)head->merge_count * MERGE_BYTES + head->text_bytes + head->system_bytes;
    if (size != reader->size) return bad(reader, 0, "its size does not suit its head");
    return TP_OK;
}

static tp_status read_pieces(struct tp_reader *reader, const struct head *head,
                             struct tp_tokenizer *tokenizer)
{
    const uint8_t *text = reader->bytes + reader->size - head->system_bytes - head->text_bytes;
    size_t left = head->text_bytes;
    for (uint32_t id = 0; id < head->count; id++) {
        size_t place = reader->offset;
        float score;
        uint32_t word;
        tp_status status = tp__reader_f32(reader, "a score", &score);
        if (status == TP_OK) status = tp__reader_u32(reader, "a piece", &word);
        if (status != TP_OK) return status;
        size_t size = word & 0xffff;
        uint32_t kind = word >> 16 & 0xff;
        if (!isfinite(score)) return bad(reader, place, "a score is not finite");
        if (size > left || size > TP_PIECE_BYTES_MAX) return bad(reader, place, "too long a piece");
        if (kind >= TP_PIECE_KIND_COUNT) return bad(reader, place, "a piece of unknown kind");
        bool has_bytes = head->kind != TP_TOKENIZER_BYTE_PAIRS;
        if (kind == TP_PIECE_BYTE && (!has_bytes || tp__byte_piece((const char *)text, size) < 0)) {
            return bad(reader, place, "a piece for a byte that names none");
        }
        tp__tokenizer_add(tokenizer, id, (const char *)text, size, score, (enum tp_piece_kind)kind);
        tokenizer->flags[id] = (uint8_t)(word >> 24);
        text += size;
        left -= size;
    }
    return left == 0
               ? TP_OK
               : bad(reader, reader->size - head->system_bytes - left, "text that is of no piece");
}

/* A merge's result must be its parts, one behind the other. */
static bool is_whole(const struct tp_tokenizer *tokenizer, struct tp_merge merge)
{
    struct tp_string left = tp__tokenizer_piece(tokenizer, merge.left);
    struct tp_string right = tp__tokenizer_piece(tokenizer, merge.right);
    struct tp_string whole = tp__tokenizer_piece(tokenizer, merge.result);
    return left.size > 0 && right.size > 0 && whole.size == left.size + right.size &&
           memcmp(whole.text, left.text, left.size) == 0 &&
           memcmp(whole.text + left.size, right.text, right.size) == 0;
}

static tp_status read_merges(struct tp_reader *reader, const struct head *head,
                             struct tp_tokenizer *tokenizer)
{
    tp_status status =
        tp__merges_prepare(&tokenizer->merges, reader->name, head->merge_count, reader->error);
    for (uint32_t i = 0; i < head->merge_count && status == TP_OK; i++) {
        size_t place = reader->offset;
        struct tp_merge merge;
        status = tp__reader_u32(reader, "a merge", &merge.left);
        if (status == TP_OK) status = tp__reader_u32(reader, "a merge", &merge.right);
        if (status == TP_OK) status = tp__reader_u32(reader, "a merge", &merge.result);
        if (status != TP_OK) return status;
        bool exists =
            merge.left < head->count && merge.right < head->count && merge.result < head->count;
        if (!exists) return bad(reader, place, "a merge of pieces that are not there");
        if (!is_whole(tokenizer, merge)) return bad(reader, place, "a merge into another text");
        if (!tp__merges_add(&tokenizer->merges, merge)) {
            return bad(reader, place, "a merge that is there twice");
        }
    }
    return status;
}

static tp_status read_chat(struct tp_reader *reader, const struct head *head,
                           struct tp_tokenizer *tokenizer)
{
    tokenizer->chat = head->chat;
    if (head->system_bytes == 0) return TP_OK;
    size_t place = reader->size - head->system_bytes;
    const uint8_t *text = reader->bytes + place;
    if (memchr(text, 0, head->system_bytes) != NULL ||
        tp__utf8_check(text, head->system_bytes) != head->system_bytes) {
        return bad(reader, place, "a system text that is none");
    }
    tokenizer->chat_system = calloc((size_t)head->system_bytes + 1, 1);
    if (tokenizer->chat_system == NULL) {
        return tp__fail(reader->error, TP_ERROR_NO_MEMORY, "%s: no memory for a chat template",
                        reader->name);
    }
    memcpy(tokenizer->chat_system, text, head->system_bytes);
    return TP_OK;
}

tp_status tp__tokenizer_blob(struct tp_reader *reader, struct tp_tokenizer *tokenizer)
{
    struct head head = {0};
    tp_status status = read_head(reader, &head);
    if (status != TP_OK) return status;
    status =
        tp__tokenizer_prepare(tokenizer, reader->name, head.count, head.text_bytes, reader->error);
    if (status != TP_OK) return status;
    tokenizer->kind = (enum tp_tokenizer_kind)head.kind;
    tokenizer->split = (enum tp_split)head.split;
    tokenizer->bos = head.bos;
    tokenizer->eos = head.eos;
    tokenizer->turn_end = head.turn_end;
    tokenizer->unknown = head.unknown;
    set_flags(tokenizer, head.flags);
    status = read_pieces(reader, &head, tokenizer);
    if (status == TP_OK) status = tp__tokenizer_finish(tokenizer, reader->error);
    if (status == TP_OK) status = read_merges(reader, &head, tokenizer);
    return status == TP_OK ? read_chat(reader, &head, tokenizer) : status;
}

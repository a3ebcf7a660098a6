// SPDX-License-Identifier: Apache-2.0
//
// Text to tokens and back.

#include "tokenizer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- the vocabulary ---- */

static const char *piece_text(const struct tp_tokenizer *tokenizer, uint32_t id, size_t *size)
{
    *size = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
    return tokenizer->text + tokenizer->offsets[id];
}

static uint32_t hash(const char *text, size_t size)
{
    uint64_t value = size;
    for (size_t i = 0; i < size; i++) {
        value = (value ^ (uint8_t)text[i]) * 0x9e3779b97f4a7c15u;
        value ^= value >> 29;
    }
    return (uint32_t)(value >> 16);
}

/* The slot that holds this text, or the free slot where it belongs. */
static uint32_t find_slot(const struct tp_tokenizer *tokenizer, const char *text, size_t size)
{
    uint32_t slot = hash(text, size) & tokenizer->slot_mask;
    while (tokenizer->slots[slot] != TP_TOKEN_NONE) {
        size_t piece_size;
        const char *piece = piece_text(tokenizer, tokenizer->slots[slot], &piece_size);
        if (piece_size == size && memcmp(piece, text, size) == 0) break;
        slot = (slot + 1) & tokenizer->slot_mask;
    }
    return slot;
}

uint32_t tp__tokenizer_find(const struct tp_tokenizer *tokenizer, const char *text, size_t size)
{
    if (size == 0 || size > tokenizer->piece_bytes_max) return TP_TOKEN_NONE;
    return tokenizer->slots[find_slot(tokenizer, text, size)];
}

size_t tp__tokenizer_text_bytes(const struct tp_tokenizer *tokenizer, uint32_t token_count)
{
    // An unknown token stands for up to four bytes.
    size_t longest = tokenizer->piece_bytes_max;
    if (longest < TP_UTF8_BYTES_MAX) longest = TP_UTF8_BYTES_MAX;
    return longest * token_count;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

int tp__byte_piece(const char *text, size_t size)
{
    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    int high = hex_digit(text[3]);
    int low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

tp_status tp__tokenizer_prepare(struct tp_tokenizer *tokenizer, const char *name, uint32_t count,
                                size_t text_bytes, struct tp_error *error)
{
    uint32_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    *tokenizer = (struct tp_tokenizer){.count = count,
                                       .unknown = TP_TOKEN_NONE,
                                       .add_bos = true,
                                       .add_space = true,
                                       .slot_mask = slots - 1};
    tokenizer->offsets = calloc((size_t)count + 1, sizeof tokenizer->offsets[0]);
    tokenizer->scores = calloc((size_t)count + 1, sizeof tokenizer->scores[0]);
    tokenizer->kinds = calloc((size_t)count + 1, sizeof tokenizer->kinds[0]);
    tokenizer->slots = malloc(slots * sizeof tokenizer->slots[0]);
    tokenizer->text = malloc(text_bytes + 1);
    tokenizer->name = malloc(strlen(name) + 1);
    bool has_tables = tokenizer->offsets != NULL && tokenizer->scores != NULL &&
                      tokenizer->kinds != NULL && tokenizer->slots != NULL;
    if (!has_tables || tokenizer->text == NULL || tokenizer->name == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for %u pieces", name, count);
    }
    memcpy(tokenizer->name, name, strlen(name) + 1);
    memset(tokenizer->slots, 0xff, slots * sizeof tokenizer->slots[0]);
    memset(tokenizer->byte_ids, 0xff, sizeof tokenizer->byte_ids);
    return TP_OK;
}

void tp__tokenizer_add(struct tp_tokenizer *tokenizer, uint32_t id, const char *text, size_t size,
                       float score, enum tp_piece_kind kind)
{
    assert(id < tokenizer->count && size <= TP_PIECE_BYTES_MAX);
    uint32_t offset = tokenizer->offsets[id];
    if (size > 0) memcpy(tokenizer->text + offset, text, size);
    tokenizer->offsets[id + 1] = offset + (uint32_t)size;
    tokenizer->scores[id] = score;
    tokenizer->kinds[id] = (uint8_t)kind;
    if (size > tokenizer->piece_bytes_max) tokenizer->piece_bytes_max = (uint32_t)size;
}

static tp_status check_special(const struct tp_tokenizer *tokenizer, const char *what, uint32_t id,
                               struct tp_error *error)
{
    if (id < tokenizer->count) return TP_OK;
    return tp__fail(error, TP_ERROR_FORMAT,
                    "%s: the %s token is number %u of a vocabulary of only %u pieces; the file is "
                    "damaged",
                    tokenizer->name, what, id, tokenizer->count);
}

tp_status tp__tokenizer_finish(struct tp_tokenizer *tokenizer, struct tp_error *error)
{
    tp_status status = check_special(tokenizer, "start", tokenizer->bos, error);
    if (status == TP_OK) status = check_special(tokenizer, "end", tokenizer->eos, error);
    if (status == TP_OK && tokenizer->unknown != TP_TOKEN_NONE) {
        status = check_special(tokenizer, "unknown", tokenizer->unknown, error);
    }
    if (status != TP_OK) return status;
    tokenizer->kinds[tokenizer->bos] = TP_PIECE_CONTROL;
    tokenizer->kinds[tokenizer->eos] = TP_PIECE_CONTROL;
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        size_t size;
        const char *text = piece_text(tokenizer, id, &size);
        if (tokenizer->kinds[id] == TP_PIECE_BYTE) {
            int byte = tp__byte_piece(text, size);
            assert(byte >= 0);
            if (tokenizer->byte_ids[byte] == TP_TOKEN_NONE) tokenizer->byte_ids[byte] = id;
        }
        if (tokenizer->kinds[id] != TP_PIECE_NORMAL || size == 0) continue;
        uint32_t slot = find_slot(tokenizer, text, size);
        // Of equal pieces the first counts.
        if (tokenizer->slots[slot] == TP_TOKEN_NONE) tokenizer->slots[slot] = id;
    }
    return TP_OK;
}

void tp__tokenizer_free(struct tp_tokenizer *tokenizer)
{
    free(tokenizer->offsets);
    free(tokenizer->text);
    free(tokenizer->scores);
    free(tokenizer->kinds);
    free(tokenizer->slots);
    free(tokenizer->name);
    *tokenizer = (struct tp_tokenizer){0};
}

tp_status tp__tokenizer_check_model(const struct tp_tokenizer *tokenizer,
                                    const struct tp_source_model *model, struct tp_error *error)
{
    if (tokenizer->count == model->shape.vocab) return TP_OK;
    return tp__fail(error, TP_ERROR_MISMATCH,
                    "%s: the tokenizer has %u pieces, but the model %s has a vocabulary of %u; "
                    "give the tokenizer that the model was trained with",
                    tokenizer->name, tokenizer->count, model->name, model->shape.vocab);
}

struct tp_string tp__tokenizer_piece(const struct tp_tokenizer *tokenizer, uint32_t id)
{
    struct tp_string piece;
    piece.text = piece_text(tokenizer, id, &piece.size);
    return piece;
}

tp_status tp__tokenizer_check_alike(const struct tp_tokenizer *tokenizer,
                                    const struct tp_tokenizer *other, struct tp_error *error)
{
    if (tokenizer->count != other->count) {
        return tp__fail(error, TP_ERROR_MISMATCH, "the tokenizers %s and %s have %u and %u pieces",
                        tokenizer->name, other->name, tokenizer->count, other->count);
    }
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        struct tp_string a = tp__tokenizer_piece(tokenizer, id);
        struct tp_string b = tp__tokenizer_piece(other, id);
        bool has_text =
            tokenizer->kinds[id] == TP_PIECE_NORMAL || other->kinds[id] == TP_PIECE_NORMAL;
        bool is_equal = a.size == b.size && memcmp(a.text, b.text, a.size) == 0 &&
                        tokenizer->kinds[id] == other->kinds[id];
        if (has_text && !is_equal) {
            return tp__fail(error, TP_ERROR_MISMATCH,
                            "token %u is \"%.*s\" in %s and \"%.*s\" in %s: the tokenizers are not "
                            "of one origin",
                            id, tp__string_width(a), a.text, tokenizer->name, tp__string_width(b),
                            b.text, other->name);
        }
    }
    return TP_OK;
}

/* ---- encoding ---- */

struct tp_symbol {
    uint32_t start;     // offset of its text
    uint32_t previous;  // index, or TP_TOKEN_NONE
    uint32_t next;      // index of the next one, or the number of symbols
    uint32_t id;        // piece, or TP_TOKEN_NONE: comes out byte by byte
    uint32_t pair;      // piece of this symbol and the next together, or TP_TOKEN_NONE
    uint32_t heap_index;
};

/* llama2.c takes scores below this for "no pair". */
static const float score_min = -1e10f;

tp_status tp__encoder_open(const struct tp_tokenizer *tokenizer, size_t text_bytes_max,
                           struct tp_encoder *encoder, struct tp_error *error)
{
    if (text_bytes_max > TP_ENCODE_BYTES_MAX) {
        return tp__fail(error, TP_ERROR_TOO_LARGE,
                        "a text of %zu bytes is asked for, %d is the limit", text_bytes_max,
                        TP_ENCODE_BYTES_MAX);
    }
    struct tp_encoder result = {.tokenizer = tokenizer, .text_bytes_max = text_bytes_max};
    size_t room = text_bytes_max + 1;
    result.text = malloc(room);
    result.symbols = malloc((room + 1) * sizeof result.symbols[0]);
    result.heap = malloc(room * sizeof result.heap[0]);
    if (result.text == NULL || result.symbols == NULL || result.heap == NULL) {
        tp__encoder_close(&result);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to encode %zu bytes", text_bytes_max);
    }
    *encoder = result;
    return TP_OK;
}

void tp__encoder_close(struct tp_encoder *encoder)
{
    free(encoder->text);
    free(encoder->symbols);
    free(encoder->heap);
    *encoder = (struct tp_encoder){0};
}

/* Whether symbol a merges before symbol b: the better score, then the place in the text. */
static bool is_before(const struct tp_encoder *encoder, uint32_t a, uint32_t b)
{
    const float *scores = encoder->tokenizer->scores;
    float score_a = scores[encoder->symbols[a].pair];
    float score_b = scores[encoder->symbols[b].pair];
    if (score_a > score_b) return true;
#ifdef TP_PLANT_BUG
    return !(score_a < score_b) && a > b;  // the rightmost first
#else
    return !(score_a < score_b) && a < b;
#endif
}

static void heap_put(struct tp_encoder *encoder, uint32_t index, uint32_t symbol)
{
    encoder->heap[index] = symbol;
    encoder->symbols[symbol].heap_index = index;
}

/* Moves the symbol from a free place to where it belongs, up or down. */
static void heap_settle(struct tp_encoder *encoder, uint32_t index, uint32_t symbol)
{
    while (index > 0 && is_before(encoder, symbol, encoder->heap[(index - 1) / 2])) {
        heap_put(encoder, index, encoder->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= encoder->heap_count) break;
        bool has_right = child + 1 < encoder->heap_count;
        if (has_right && is_before(encoder, encoder->heap[child + 1], encoder->heap[child]))
            child++;
        if (!is_before(encoder, encoder->heap[child], symbol)) break;
        heap_put(encoder, index, encoder->heap[child]);
        index = child;
    }
    heap_put(encoder, index, symbol);
}

static void heap_remove(struct tp_encoder *encoder, uint32_t symbol)
{
    struct tp_symbol *gone = &encoder->symbols[symbol];
    if (gone->pair == TP_TOKEN_NONE) return;
    encoder->heap_count--;
    uint32_t last = encoder->heap[encoder->heap_count];
    if (last != symbol) heap_settle(encoder, gone->heap_index, last);
    gone->pair = TP_TOKEN_NONE;
}

/* Looks up what the symbol and its next one would be together. */
static void find_pair(struct tp_encoder *encoder, uint32_t symbol, uint32_t count)
{
    heap_remove(encoder, symbol);
    struct tp_symbol *left = &encoder->symbols[symbol];
    if (left->next == count || left->id == TP_TOKEN_NONE) return;
    const struct tp_symbol *right = &encoder->symbols[left->next];
    if (right->id == TP_TOKEN_NONE) return;
    uint32_t end = encoder->symbols[right->next].start;
    uint32_t pair =
        tp__tokenizer_find(encoder->tokenizer, encoder->text + left->start, end - left->start);
    if (pair == TP_TOKEN_NONE || !(encoder->tokenizer->scores[pair] > score_min)) return;
    left->pair = pair;
    encoder->heap_count++;
    heap_settle(encoder, encoder->heap_count - 1, symbol);
}

/* One symbol per character; behind the last an end mark. Returns their number. */
static uint32_t split(struct tp_encoder *encoder, size_t size)
{
    uint32_t count = 0;
    size_t offset = 0;
    while (offset < size) {
        const char *start = encoder->text + offset;
        size_t length = tp__utf8_length((const uint8_t *)start, size - offset);
        assert(length > 0);
        encoder->symbols[count] = (struct tp_symbol){
            .start = (uint32_t)offset,
            .previous = count == 0 ? TP_TOKEN_NONE : count - 1,
            .next = count + 1,
            .id = tp__tokenizer_find(encoder->tokenizer, start, length),
            .pair = TP_TOKEN_NONE,
        };
        count++;
        offset += length;
    }
    encoder->symbols[count] = (struct tp_symbol){.start = (uint32_t)size};
    return count;
}

static void merge(struct tp_encoder *encoder, uint32_t count)
{
    encoder->heap_count = 0;
    for (uint32_t i = 0; i < count; i++) find_pair(encoder, i, count);
    while (encoder->heap_count > 0) {
        uint32_t left = encoder->heap[0];
        struct tp_symbol *symbol = &encoder->symbols[left];
        uint32_t right = symbol->next;
        symbol->id = symbol->pair;
        heap_remove(encoder, right);
        symbol->next = encoder->symbols[right].next;
        if (symbol->next < count) encoder->symbols[symbol->next].previous = left;
        find_pair(encoder, left, count);
        if (symbol->previous != TP_TOKEN_NONE) find_pair(encoder, symbol->previous, count);
    }
}

struct token_list {
    uint32_t *tokens;
    uint32_t max;
    uint32_t count;
};

static void append(struct token_list *list, uint32_t token)
{
    if (list->count < list->max) list->tokens[list->count] = token;
    list->count++;
}

/* A character without a piece: its bytes, or the unknown token. */
static tp_status append_character(const struct tp_encoder *encoder, uint32_t start, uint32_t end,
                                  struct token_list *list, struct tp_error *error)
{
    const struct tp_tokenizer *tokenizer = encoder->tokenizer;
    const uint8_t *bytes = (const uint8_t *)encoder->text;
    bool has_bytes = true;
    for (uint32_t i = start; i < end; i++) {
        has_bytes = has_bytes && tokenizer->byte_ids[bytes[i]] != TP_TOKEN_NONE;
    }
    if (has_bytes) {
        for (uint32_t i = start; i < end; i++) append(list, tokenizer->byte_ids[bytes[i]]);
        return TP_OK;
    }
    if (tokenizer->unknown == TP_TOKEN_NONE) {
        return tp__fail(error, TP_ERROR_RANGE,
                        "the text has the character \"%.*s\", which the vocabulary of %s cannot "
                        "express; leave it out",
                        (int)(end - start), encoder->text + start, tokenizer->name);
    }
    append(list, tokenizer->unknown);
    return TP_OK;
}

tp_status tp__encode(struct tp_encoder *encoder, const char *text, size_t size, bool add_bos,
                     bool add_space, uint32_t *tokens, uint32_t token_max, uint32_t *count,
                     struct tp_error *error)
{
    *count = TP_TOKEN_NONE;
    size_t bad = tp__utf8_check((const uint8_t *)text, size);
    if (bad < size) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "the text is not valid UTF-8: byte %zu is 0x%02x; convert it to UTF-8", bad,
                        (unsigned)(uint8_t)text[bad]);
    }
    if (size > encoder->text_bytes_max) {
        return tp__fail(error, TP_ERROR_FULL,
                        "the text has %zu bytes, %zu are possible here; shorten it", size,
                        encoder->text_bytes_max);
    }
    size_t space = size > 0 && add_space ? 1 : 0;
    encoder->text[0] = ' ';
    if (size > 0) memcpy(encoder->text + space, text, size);
    uint32_t symbol_count = split(encoder, size + space);
    merge(encoder, symbol_count);
    struct token_list list = {.tokens = tokens, .max = token_max};
    if (add_bos) append(&list, encoder->tokenizer->bos);
    for (uint32_t i = 0; i < symbol_count; i = encoder->symbols[i].next) {
        const struct tp_symbol *symbol = &encoder->symbols[i];
        if (symbol->id != TP_TOKEN_NONE) {
            append(&list, symbol->id);
            continue;
        }
        uint32_t end = encoder->symbols[symbol->next].start;
        tp_status status = append_character(encoder, symbol->start, end, &list, error);
        if (status != TP_OK) return status;
    }
    *count = list.count;
    if (list.count <= token_max) return TP_OK;
    return tp__fail(error, TP_ERROR_FULL,
                    "the text is %u tokens, there is room for %u; shorten it or give more context",
                    list.count, token_max);
}

/* ---- decoding ---- */

void tp__decoder_start(struct tp_decoder *decoder, const struct tp_tokenizer *tokenizer,
                       uint32_t previous)
{
    *decoder = (struct tp_decoder){.tokenizer = tokenizer, .is_start = previous == tokenizer->bos};
}

size_t tp__decode_bytes_max(const struct tp_tokenizer *tokenizer)
{
    // Every byte may become U+FFFD, and so may the character before; then the NUL.
    return 3 * (size_t)tokenizer->piece_bytes_max + 3 + 1 + 1;
}

size_t tp__decode(struct tp_decoder *decoder, uint32_t token, char *text)
{
    const struct tp_tokenizer *tokenizer = decoder->tokenizer;
    assert(token < tokenizer->count);
    size_t size;
    const char *piece = piece_text(tokenizer, token, &size);
    uint8_t kind = tokenizer->kinds[token];
    bool is_start = decoder->is_start;
    decoder->is_start = token == tokenizer->bos;
    size_t written = 0;
    if (kind == TP_PIECE_BYTE) {
        written = tp__utf8_push(&decoder->stream, (uint8_t)tp__byte_piece(piece, size), text);
    } else if (kind != TP_PIECE_CONTROL) {
        size_t skipped = is_start && size > 0 && piece[0] == ' ' ? 1 : 0;
        for (size_t i = skipped; i < size; i++) {
            written += tp__utf8_push(&decoder->stream, (uint8_t)piece[i], text + written);
        }
    }
    assert(written < tp__decode_bytes_max(tokenizer));
    text[written] = '\0';
    return written;
}

size_t tp__decode_end(struct tp_decoder *decoder, char *text)
{
    size_t written = tp__utf8_end(&decoder->stream, text);
    text[written] = '\0';
    return written;
}

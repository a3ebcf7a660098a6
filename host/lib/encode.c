// SPDX-License-Identifier: Apache-2.0
//
// Text to tokens: special pieces out, normalise, split into words, merge in each word.

#include "encode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct tp_symbol {
    uint32_t start;       // offset of its text
    uint32_t previous;    // index, or TP_TOKEN_NONE
    uint32_t next;        // index of the next one, or the number of symbols
    uint32_t id;          // piece, or TP_TOKEN_NONE: comes out byte by byte
    struct tp_pair pair;  // of this symbol and the next
    uint32_t heap_index;
};

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
    bool ok = result.text != NULL && result.symbols != NULL && result.heap != NULL;
    if (tokenizer->composes) {
        result.composer = malloc(sizeof *result.composer);
        ok = ok && result.composer != NULL;
    }
    if (!ok) {
        tp__encoder_close(&result);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to encode %zu bytes", text_bytes_max);
    }
    tp_status status = tp__splitter_open(tokenizer->split, &result.splitter, error);
    if (status != TP_OK) {
        tp__encoder_close(&result);
        return status;
    }
    *encoder = result;
    return TP_OK;
}

void tp__encoder_close(struct tp_encoder *encoder)
{
    free(encoder->text);
    free(encoder->symbols);
    free(encoder->heap);
    free(encoder->composer);
    tp__splitter_close(encoder->splitter);
    *encoder = (struct tp_encoder){0};
}

size_t tp__encoder_room(const struct tp_tokenizer *tokenizer, size_t size)
{
    return tokenizer->composes ? TP_COMPOSE_GROWTH * size : size;
}

/* ---- merging the symbols of a word ---- */

/* Whether symbol a merges before symbol b: the lower order, then the place in the text. */
static bool is_before(const struct tp_encoder *encoder, uint32_t a, uint32_t b)
{
    uint32_t order_a = encoder->symbols[a].pair.order;
    uint32_t order_b = encoder->symbols[b].pair.order;
    return order_a != order_b ? order_a < order_b : a < b;
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
    if (gone->pair.piece == TP_TOKEN_NONE) return;
    encoder->heap_count--;
    uint32_t last = encoder->heap[encoder->heap_count];
    if (last != symbol) heap_settle(encoder, gone->heap_index, last);
    gone->pair.piece = TP_TOKEN_NONE;
}

/* Looks up what the symbol and its next one would be together. */
static void find_pair(struct tp_encoder *encoder, uint32_t symbol, uint32_t count)
{
    heap_remove(encoder, symbol);
    struct tp_symbol *left = &encoder->symbols[symbol];
    if (left->next == count) return;
    const struct tp_symbol *right = &encoder->symbols[left->next];
    uint32_t end = encoder->symbols[right->next].start;
    struct tp_pair pair = tp__tokenizer_pair(encoder->tokenizer, left->id, right->id,
                                             encoder->text + left->start, end - left->start);
    if (pair.piece == TP_TOKEN_NONE) return;
    left->pair = pair;
    encoder->heap_count++;
    heap_settle(encoder, encoder->heap_count - 1, symbol);
}

/* One symbol per character, or per byte; behind the last an end mark. Returns their number. */
static uint32_t split(struct tp_encoder *encoder, size_t start, size_t end)
{
    const struct tp_tokenizer *tokenizer = encoder->tokenizer;
    const uint8_t *text = (const uint8_t *)encoder->text;
    bool by_byte = tokenizer->kind == TP_TOKENIZER_BYTE_PAIRS;
    uint32_t count = 0;
    for (size_t offset = start; offset < end;) {
        size_t length = by_byte ? 1 : tp__utf8_length(text + offset, end - offset);
        assert(length > 0);
        encoder->symbols[count] = (struct tp_symbol){
            .start = (uint32_t)offset,
            .previous = count == 0 ? TP_TOKEN_NONE : count - 1,
            .next = count + 1,
            .id = by_byte ? tokenizer->byte_ids[text[offset]]
                          : tp__tokenizer_find(tokenizer, encoder->text + offset, length),
            .pair = {.piece = TP_TOKEN_NONE},
        };
        count++;
        offset += length;
    }
    encoder->symbols[count] = (struct tp_symbol){.start = (uint32_t)end};
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
        symbol->id = symbol->pair.piece;
        heap_remove(encoder, right);
        symbol->next = encoder->symbols[right].next;
        if (symbol->next < count) encoder->symbols[symbol->next].previous = left;
        find_pair(encoder, left, count);
        if (symbol->previous != TP_TOKEN_NONE) find_pair(encoder, symbol->previous, count);
    }
}

/* ---- words, runs, segments ---- */

/* A text on its way to tokens. */
struct job {
    struct tp_encoder *encoder;
    const char *text;
    size_t size;
    const struct tp_range *ranges;  // where control tokens are looked for
    size_t range_count;
    bool add_space;
    bool goes_on;  // ... but not in front of all
    uint32_t *tokens;
    uint32_t max;
    uint32_t count;
    struct tp_error *error;
};

static void append(struct job *job, uint32_t token)
{
    if (job->count < job->max) job->tokens[job->count] = token;
    job->count++;
}

/* A character without a piece: its bytes, or the unknown token. */
static tp_status append_character(struct job *job, uint32_t start, uint32_t end)
{
    const struct tp_tokenizer *tokenizer = job->encoder->tokenizer;
    const uint8_t *bytes = (const uint8_t *)job->encoder->text;
    bool has_bytes = true;
    for (uint32_t i = start; i < end; i++) {
        has_bytes = has_bytes && tokenizer->byte_ids[bytes[i]] != TP_TOKEN_NONE;
    }
    if (has_bytes) {
        for (uint32_t i = start; i < end; i++) append(job, tokenizer->byte_ids[bytes[i]]);
        return TP_OK;
    }
    if (tokenizer->unknown == TP_TOKEN_NONE) {
        return tp__fail(job->error, TP_ERROR_RANGE,
                        "the text has the character \"%.*s\" (first byte 0x%02x), which the "
                        "vocabulary of %s cannot express; leave it out",
                        (int)(end - start), (const char *)bytes + start, (unsigned)bytes[start],
                        tokenizer->name);
    }
    append(job, tokenizer->unknown);
    return TP_OK;
}

static tp_status encode_word(struct job *job, size_t start, size_t end)
{
    struct tp_encoder *encoder = job->encoder;
    if (encoder->tokenizer->whole_words) {
        uint32_t whole = tp__tokenizer_find(encoder->tokenizer, encoder->text + start, end - start);
        if (whole != TP_TOKEN_NONE) {
            append(job, whole);
            return TP_OK;
        }
    }
    uint32_t count = split(encoder, start, end);
    merge(encoder, count);
    for (uint32_t i = 0; i < count; i = encoder->symbols[i].next) {
        const struct tp_symbol *symbol = &encoder->symbols[i];
        if (symbol->id != TP_TOKEN_NONE) {
            append(job, symbol->id);
            continue;
        }
        tp_status status =
            append_character(job, symbol->start, encoder->symbols[symbol->next].start);
        if (status != TP_OK) return status;
    }
    return TP_OK;
}

/* Bytes of the part at the offset that merges on its own: no piece reaches over its end. Short
 * parts keep the symbols and the heap near each other. */
static size_t next_part(const struct tp_encoder *encoder, size_t offset, size_t end)
{
    const char *text = encoder->text;
    size_t size = 1;
    while (offset + size < end &&
           tp__tokenizer_joins(encoder->tokenizer, text[offset + size - 1], text[offset + size])) {
        size++;
    }
    // A character without a piece may have been cut.
    while (offset + size < end && ((uint8_t)text[offset + size] & 0xc0) == 0x80) size++;
    return size;
}

/* Part of encoder->text without special pieces. The words are found in it as if it were a text of
 * its own. */
static tp_status encode_run(struct job *job, size_t start, size_t end)
{
    struct tp_encoder *encoder = job->encoder;
    bool has_rule = encoder->tokenizer->split != TP_SPLIT_NONE;
    for (size_t offset = start; offset < end;) {
        size_t word = has_rule ? tp__splitter_next(encoder->splitter, encoder->text + start,
                                                   end - start, offset - start)
                               : next_part(encoder, offset, end);
        tp_status status = encode_word(job, offset, offset + word);
        if (status != TP_OK) return status;
        offset += word;
    }
    return TP_OK;
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Where the text before and behind a special piece ends and starts. */
static struct tp_range strip(const struct tp_tokenizer *tokenizer, uint32_t id, const char *text,
                             struct tp_range around, struct tp_range piece)
{
    uint8_t flags = tokenizer->flags[id];
    while ((flags & TP_PIECE_STRIPS_LEFT) != 0 && piece.start > around.start &&
           is_space(text[piece.start - 1])) {
        piece.start--;
    }
    while ((flags & TP_PIECE_STRIPS_RIGHT) != 0 && piece.end < around.end &&
           is_space(text[piece.end])) {
        piece.end++;
    }
    return piece;
}

/* All of encoder->text. */
static tp_status encode_normalised(struct job *job, size_t size)
{
    struct tp_encoder *encoder = job->encoder;
    const struct tp_tokenizer *tokenizer = encoder->tokenizer;
    struct tp_range rest = {0, size};
    for (size_t offset = 0; offset < size && tokenizer->special_count > 0;) {
        uint32_t id =
            tp__tokenizer_special(tokenizer, encoder->text + offset, size - offset, true, false);
        if (id == TP_TOKEN_NONE) {
            offset++;
            continue;
        }
        struct tp_range piece = {offset, offset + tp__tokenizer_piece(tokenizer, id).size};
        piece = strip(tokenizer, id, encoder->text, rest, piece);
        tp_status status = encode_run(job, rest.start, piece.start);
        if (status != TP_OK) return status;
        append(job, id);
        rest.start = offset = piece.end;
    }
    return encode_run(job, rest.start, size);
}

static tp_status too_long(const struct job *job)
{
    return tp__fail(job->error, TP_ERROR_FULL,
                    "the text has %zu bytes, %zu are possible here; shorten it", job->size,
                    job->encoder->text_bytes_max);
}

/* Copies text with U+2581 as spaces. Returns its size. */
static size_t copy_marked(const char *text, size_t size, char *out)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_mark = size - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        out[count++] = is_mark ? ' ' : text[i];
        if (is_mark) i += 2;
    }
    return count;
}

static bool wants_space(const struct job *job, size_t start)
{
    const struct tp_tokenizer *tokenizer = job->encoder->tokenizer;
    bool has_none = start > 0 ? tokenizer->space_first : job->goes_on;
    if (!job->add_space || has_none) return false;
    bool has_space = job->text[start] == ' ' ||
                     (job->size - start >= 3 && memcmp(job->text + start, "\xe2\x96\x81", 3) == 0);
    return !(tokenizer->space_once && has_space);
}

/* Part of the text between special pieces. */
static tp_status encode_segment(struct job *job, size_t start, size_t end)
{
    struct tp_encoder *encoder = job->encoder;
    const struct tp_tokenizer *tokenizer = encoder->tokenizer;
    if (start == end) return TP_OK;
    size_t space = wants_space(job, start) ? 1 : 0;
    size_t room = encoder->text_bytes_max + 1 - space;
    size_t size = end - start;
    encoder->text[0] = ' ';
    if (tokenizer->composes) {
        tp_status status = tp__compose(encoder->composer, job->text + start, size,
                                       encoder->text + space, room, &size, job->error);
        if (status != TP_OK) return status;
        if (size == SIZE_MAX) return too_long(job);
    } else if (size > encoder->text_bytes_max) {
        return too_long(job);
    } else if (tokenizer->space_mark) {
        size = copy_marked(job->text + start, size, encoder->text + space);
    } else {
        memcpy(encoder->text + space, job->text + start, size);
    }
    return encode_normalised(job, size + space);
}

/* Special pieces of the text as it is. */
static tp_status encode_specials(struct job *job)
{
    const struct tp_tokenizer *tokenizer = job->encoder->tokenizer;
    size_t start = 0;
    size_t range = 0;
    for (size_t offset = 0; offset < job->size && tokenizer->special_count > 0;) {
        while (range < job->range_count && job->ranges[range].end <= offset) range++;
        bool in_range = range < job->range_count && job->ranges[range].start <= offset;
        // A name of a control token that only begins in the template is none.
        size_t end = in_range ? job->ranges[range].end : job->size;
        uint32_t id =
            tp__tokenizer_special(tokenizer, job->text + offset, end - offset, false, in_range);
        if (id == TP_TOKEN_NONE) {
            offset++;
            continue;
        }
        struct tp_range piece = {offset, offset + tp__tokenizer_piece(tokenizer, id).size};
        piece = strip(tokenizer, id, job->text, (struct tp_range){start, job->size}, piece);
        tp_status status = encode_segment(job, start, piece.start);
        if (status != TP_OK) return status;
        append(job, id);
        start = offset = piece.end;
    }
    return encode_segment(job, start, job->size);
}

static tp_status run_job(struct job *job, uint32_t *count)
{
    *count = TP_TOKEN_NONE;
    size_t bad = tp__utf8_check((const uint8_t *)job->text, job->size);
    if (bad < job->size) {
        return tp__fail(job->error, TP_ERROR_FORMAT,
                        "the text is not valid UTF-8: byte %zu is 0x%02x; convert it to UTF-8", bad,
                        (unsigned)(uint8_t)job->text[bad]);
    }
    if (job->size > TP_ENCODE_BYTES_MAX) return too_long(job);
    tp_status status = encode_specials(job);
    if (status != TP_OK) return status;
    *count = job->count;
    if (job->count <= job->max) return TP_OK;
    return tp__fail(job->error, TP_ERROR_FULL,
                    "the text is %u tokens, there is room for %u; shorten it or give more context",
                    job->count, job->max);
}

tp_status tp__encode(struct tp_encoder *encoder, const char *text, size_t size, bool add_bos,
                     bool add_space, uint32_t *tokens, uint32_t token_max, uint32_t *count,
                     struct tp_error *error)
{
    struct job job = {.encoder = encoder,
                      .text = text,
                      .size = size,
                      .add_space = add_space,
                      .tokens = tokens,
                      .max = token_max,
                      .error = error};
    if (add_bos) append(&job, encoder->tokenizer->bos);
    return run_job(&job, count);
}

tp_status tp__encode_template(struct tp_encoder *encoder, const char *text, size_t size,
                              const struct tp_range *ranges, size_t range_count, bool goes_on,
                              uint32_t *tokens, uint32_t token_max, uint32_t *count,
                              struct tp_error *error)
{
    struct job job = {.encoder = encoder,
                      .text = text,
                      .size = size,
                      .ranges = ranges,
                      .range_count = range_count,
                      .add_space = encoder->tokenizer->add_space,
                      .goes_on = goes_on,
                      .tokens = tokens,
                      .max = token_max,
                      .error = error};
    return run_job(&job, count);
}

bool tp__text_goes_on(const struct tp_tokenizer *tokenizer, uint32_t token)
{
    uint8_t kind = tokenizer->kinds[token];
    bool is_special = kind == TP_PIECE_CONTROL || kind == TP_PIECE_USER;
    bool splits = is_special && (tokenizer->flags[token] & TP_PIECE_NORMALISED) == 0;
    return tokenizer->space_first || !splits;
}

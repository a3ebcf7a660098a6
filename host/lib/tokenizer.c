// SPDX-License-Identifier: Apache-2.0
//
// Vocabularies: pieces and what they make together; tokens to text.

#include "tokenizer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"

/* ---- the vocabulary ---- */

static const char *piece_text(const struct tp_tokenizer *tokenizer, uint32_t id, size_t *size)
{
    *size = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
    return tokenizer->text + tokenizer->offsets[id];
}

struct tp_string tp__tokenizer_piece(const struct tp_tokenizer *tokenizer, uint32_t id)
{
    assert(id < tokenizer->count);
    struct tp_string piece;
    piece.text = piece_text(tokenizer, id, &piece.size);
    return piece;
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
                                       .turn_end = TP_TOKEN_NONE,
                                       .unknown = TP_TOKEN_NONE,
                                       .add_bos = true,
                                       .add_space = true,
                                       .slot_mask = slots - 1};
    tokenizer->offsets = calloc((size_t)count + 1, sizeof tokenizer->offsets[0]);
    tokenizer->scores = calloc((size_t)count + 1, sizeof tokenizer->scores[0]);
    tokenizer->kinds = calloc((size_t)count + 1, sizeof tokenizer->kinds[0]);
    tokenizer->flags = calloc((size_t)count + 1, sizeof tokenizer->flags[0]);
    tokenizer->slots = malloc(slots * sizeof tokenizer->slots[0]);
    tokenizer->text = malloc(text_bytes + 1);
    tokenizer->name = malloc(strlen(name) + 1);
    bool has_tables = tokenizer->offsets != NULL && tokenizer->scores != NULL &&
                      tokenizer->kinds != NULL && tokenizer->slots != NULL;
    has_tables = has_tables && tokenizer->flags != NULL;
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

/* ---- control, user and unknown pieces ---- */

/* Those that are looked for in texts. A piece that is not made of whole characters would cut one in
 * two, so it is none. */
static bool is_special(const struct tp_tokenizer *tokenizer, uint32_t id)
{
    uint8_t kind = tokenizer->kinds[id];
    struct tp_string piece = tp__tokenizer_piece(tokenizer, id);
    bool is_named = kind == TP_PIECE_CONTROL || kind == TP_PIECE_USER || kind == TP_PIECE_UNKNOWN;
    bool is_text = tp__utf8_check((const uint8_t *)piece.text, piece.size) == piece.size;
    return is_named && piece.size > 0 && is_text;
}

/* Specials of one class are found alike: of equal texts in it, the first id counts. */
static int class_of(const struct tp_tokenizer *tokenizer, uint32_t id)
{
    int is_user = tokenizer->kinds[id] == TP_PIECE_USER ? 1 : 0;
    return is_user + ((tokenizer->flags[id] & TP_PIECE_NORMALISED) != 0 ? 2 : 0);
}

static int compare_texts(const struct tp_tokenizer *tokenizer, uint32_t a, uint32_t b)
{
    struct tp_string x = tp__tokenizer_piece(tokenizer, a);
    struct tp_string y = tp__tokenizer_piece(tokenizer, b);
    int order = memcmp(x.text, y.text, x.size < y.size ? x.size : y.size);
    if (order == 0) order = (x.size > y.size) - (x.size < y.size);
    return order != 0 ? order : class_of(tokenizer, a) - class_of(tokenizer, b);
}

static int compare_pieces(const struct tp_tokenizer *tokenizer, uint32_t a, uint32_t b)
{
    int order = compare_texts(tokenizer, a, b);
    return order != 0 ? order : (a > b) - (a < b);
}

/* Moves one piece down a heap whose top is the last in the order. */
static void sift(const struct tp_tokenizer *tokenizer, uint32_t *ids, uint32_t place,
                 uint32_t count)
{
    uint32_t moved = ids[place];
    for (uint32_t child; (child = 2 * place + 1) < count; place = child) {
        bool right = child + 1 < count && compare_pieces(tokenizer, ids[child], ids[child + 1]) < 0;
        child += right ? 1 : 0;
        if (compare_pieces(tokenizer, moved, ids[child]) >= 0) break;
        ids[place] = ids[child];
    }
    ids[place] = moved;
}

/* A heap sort: qsort cannot see the tokenizer. */
static void sort_specials(const struct tp_tokenizer *tokenizer, uint32_t *ids, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--) sift(tokenizer, ids, i - 1, count);
    for (uint32_t end = count; end > 1; end--) {
        uint32_t last = ids[0];
        ids[0] = ids[end - 1];
        ids[end - 1] = last;
        sift(tokenizer, ids, 0, end - 1);
    }
}

static void drop_equals(struct tp_tokenizer *tokenizer)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < tokenizer->special_count; i++) {
        uint32_t id = tokenizer->specials[i];
        if (kept > 0 && compare_texts(tokenizer, tokenizer->specials[kept - 1], id) == 0) continue;
        tokenizer->specials[kept++] = id;
    }
    tokenizer->special_count = kept;
}

static tp_status list_specials(struct tp_tokenizer *tokenizer, struct tp_error *error)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < tokenizer->count; id++) count += is_special(tokenizer, id) ? 1 : 0;
    tokenizer->specials = malloc(((size_t)count + 1) * sizeof tokenizer->specials[0]);
    if (tokenizer->specials == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for %u special tokens",
                        tokenizer->name, count);
    }
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        if (!is_special(tokenizer, id)) continue;
        tokenizer->specials[tokenizer->special_count++] = id;
        tokenizer->special_starts[(uint8_t)tokenizer->text[tokenizer->offsets[id]]] = true;
    }
    sort_specials(tokenizer, tokenizer->specials, count);
    drop_equals(tokenizer);
    return TP_OK;
}

/* The byte at depth of special number index; -1 when it is shorter. */
static int special_byte(const struct tp_tokenizer *tokenizer, uint32_t index, size_t depth)
{
    struct tp_string piece = tp__tokenizer_piece(tokenizer, tokenizer->specials[index]);
    return depth < piece.size ? (uint8_t)piece.text[depth] : -1;
}

/* The first special of [low, high) whose byte at depth is not below the given one. */
static uint32_t bound(const struct tp_tokenizer *tokenizer, uint32_t low, uint32_t high,
                      size_t depth, int byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (special_byte(tokenizer, middle, depth) < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t tp__tokenizer_special(const struct tp_tokenizer *tokenizer, const char *text, size_t size,
                               bool normalised, bool with_control)
{
    uint32_t found = TP_TOKEN_NONE;
    if (size == 0 || !tokenizer->special_starts[(uint8_t)text[0]]) return found;
    uint32_t low = 0;
    uint32_t high = tokenizer->special_count;
    // Specials low to high start with the first `depth` bytes of the text; those that end there
    // stand in front.
    for (size_t depth = 0; low < high; depth++) {
        for (uint32_t i = low; i < high && special_byte(tokenizer, i, depth) < 0; i++) {
            uint32_t id = tokenizer->specials[i];
            bool wanted = with_control || tokenizer->kinds[id] == TP_PIECE_USER;
            bool is_normalised = (tokenizer->flags[id] & TP_PIECE_NORMALISED) != 0;
            if (wanted && is_normalised == normalised) {
                found = id;
                break;
            }
        }
        if (depth == size) break;
        low = bound(tokenizer, low, high, depth, (uint8_t)text[depth]);
        high = bound(tokenizer, low, high, depth, (uint8_t)text[depth] + 1);
    }
    return found;
}

/* ---- tables ---- */

static uint32_t byte_pair(char left, char right)
{
    return (uint32_t)(uint8_t)left << 8 | (uint8_t)right;
}

bool tp__tokenizer_joins(const struct tp_tokenizer *tokenizer, char left, char right)
{
    uint32_t pair = byte_pair(left, right);
    return (tokenizer->joins[pair / 8] >> pair % 8 & 1) != 0;
}

static tp_status enter_piece(struct tp_tokenizer *tokenizer, uint32_t id, struct tp_error *error)
{
    struct tp_string piece = tp__tokenizer_piece(tokenizer, id);
    if (tokenizer->kinds[id] == TP_PIECE_BYTE) {
        int byte = tp__byte_piece(piece.text, piece.size);
        assert(byte >= 0);
        if (tokenizer->byte_ids[byte] == TP_TOKEN_NONE) tokenizer->byte_ids[byte] = id;
    }
    if (tokenizer->kinds[id] != TP_PIECE_NORMAL || piece.size == 0) return TP_OK;
    for (size_t i = 1; i < piece.size; i++) {
        uint32_t pair = byte_pair(piece.text[i - 1], piece.text[i]);
        tokenizer->joins[pair / 8] |= (uint8_t)(1u << pair % 8);
    }
    uint32_t slot = find_slot(tokenizer, piece.text, piece.size);
    bool is_new = tokenizer->slots[slot] == TP_TOKEN_NONE;
    if (!is_new && tokenizer->kind == TP_TOKENIZER_BYTE_PAIRS) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: pieces %u and %u have the same text; the file is damaged",
                        tokenizer->name, tokenizer->slots[slot], id);
    }
    // Of equal pieces the first counts.
    if (is_new) tokenizer->slots[slot] = id;
    if (tokenizer->kind == TP_TOKENIZER_BYTE_PAIRS && piece.size == 1) {
        tokenizer->byte_ids[(uint8_t)piece.text[0]] = id;
    }
    return TP_OK;
}

/* The end of a turn by its usual names, when the file does not say. */
static void find_turn_end(struct tp_tokenizer *tokenizer)
{
    static const char *const names[] = {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size = strlen(names[i]);
        if (tokenizer->turn_end != TP_TOKEN_NONE) return;
        uint32_t id = tp__tokenizer_special(tokenizer, names[i], size, false, true);
        bool is_it = id != TP_TOKEN_NONE && tokenizer->kinds[id] == TP_PIECE_CONTROL &&
                     tp__tokenizer_piece(tokenizer, id).size == size;
        if (is_it && id != tokenizer->eos) tokenizer->turn_end = id;
    }
}

tp_status tp__tokenizer_finish(struct tp_tokenizer *tokenizer, struct tp_error *error)
{
    tp_status status = check_special(tokenizer, "start", tokenizer->bos, error);
    if (status == TP_OK) status = check_special(tokenizer, "end", tokenizer->eos, error);
    if (status == TP_OK && tokenizer->unknown != TP_TOKEN_NONE) {
        status = check_special(tokenizer, "unknown", tokenizer->unknown, error);
    }
    if (status == TP_OK && tokenizer->turn_end != TP_TOKEN_NONE) {
        status = check_special(tokenizer, "end of turn", tokenizer->turn_end, error);
    }
    if (status != TP_OK) return status;
    tokenizer->kinds[tokenizer->bos] = TP_PIECE_CONTROL;
    tokenizer->kinds[tokenizer->eos] = TP_PIECE_CONTROL;
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        status = enter_piece(tokenizer, id, error);
        if (status != TP_OK) return status;
    }
    status = list_specials(tokenizer, error);
    if (status == TP_OK) find_turn_end(tokenizer);
    return status;
}

static tp_status bad_merge(const struct tp_tokenizer *tokenizer, const char *where,
                           struct tp_string left, struct tp_string right, const char *what,
                           struct tp_error *error)
{
    return tp__fail(error, TP_ERROR_FORMAT,
                    "%s: %s: merge %u, of \"%.*s\" and \"%.*s\", %s; the file is damaged",
                    tokenizer->name, where, tokenizer->merges.count, tp__string_width(left),
                    left.text, tp__string_width(right), right.text, what);
}

tp_status tp__tokenizer_merge(struct tp_tokenizer *tokenizer, const char *where,
                              struct tp_string left, struct tp_string right, struct tp_error *error)
{
    char whole[TP_PIECE_BYTES_MAX];
    if (left.size == 0 || right.size == 0) {
        return bad_merge(tokenizer, where, left, right, "has an empty part", error);
    }
    if (left.size + right.size > sizeof whole) {
        return bad_merge(tokenizer, where, left, right, "is too long", error);
    }
    memcpy(whole, left.text, left.size);
    memcpy(whole + left.size, right.text, right.size);
    struct tp_merge merge = {
        .left = tp__tokenizer_find(tokenizer, left.text, left.size),
        .right = tp__tokenizer_find(tokenizer, right.text, right.size),
        .result = tp__tokenizer_find(tokenizer, whole, left.size + right.size),
    };
    if (merge.left == TP_TOKEN_NONE || merge.right == TP_TOKEN_NONE) {
        return bad_merge(tokenizer, where, left, right, "has a part that is no piece", error);
    }
    if (merge.result == TP_TOKEN_NONE) {
        return bad_merge(tokenizer, where, left, right, "makes no piece", error);
    }
    if (!tp__merges_add(&tokenizer->merges, merge)) {
        return bad_merge(tokenizer, where, left, right, "is there twice", error);
    }
    return TP_OK;
}

/* A number that is lower for a better score, and equal for equal ones. */
static uint32_t order_of_score(float score)
{
    uint32_t bits;
    float positive_zero = score + 0.0f;
    memcpy(&bits, &positive_zero, sizeof bits);
    uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
#ifdef TP_PLANT_BUG
    return ~ascending & 0xff800000u;  // scores that are near count as equal
#else
    return ~ascending;
#endif
}

/* llama2.c takes scores below this for "no pair". */
static const float score_min = -1e10f;

struct tp_pair tp__tokenizer_pair(const struct tp_tokenizer *tokenizer, uint32_t left,
                                  uint32_t right, const char *text, size_t size)
{
    struct tp_pair pair = {.piece = TP_TOKEN_NONE};
    if (left == TP_TOKEN_NONE || right == TP_TOKEN_NONE) return pair;
    if (tokenizer->kind != TP_TOKENIZER_SCORES) {
        pair.order = tp__merges_find(&tokenizer->merges, left, right);
        if (pair.order != UINT32_MAX) pair.piece = tokenizer->merges.list[pair.order].result;
        return pair;
    }
    uint32_t piece = tp__tokenizer_find(tokenizer, text, size);
    if (piece == TP_TOKEN_NONE || !(tokenizer->scores[piece] > score_min)) return pair;
    return (struct tp_pair){.piece = piece, .order = order_of_score(tokenizer->scores[piece])};
}

tp_status tp__tokenizer_set_chat(struct tp_tokenizer *tokenizer, struct tp_string template,
                                 struct tp_error *error)
{
    struct tp_chat_form form = tp__chat_recognise(template);
    tokenizer->chat = form.chat;
    tokenizer->chat_bos = form.has_bos;
    if (form.system.size == 0) return TP_OK;
    tokenizer->chat_system = calloc(form.system.size + 1, 1);
    if (tokenizer->chat_system == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for a chat template",
                        tokenizer->name);
    }
    memcpy(tokenizer->chat_system, form.system.text, form.system.size);
    return TP_OK;
}

void tp__tokenizer_free(struct tp_tokenizer *tokenizer)
{
    free(tokenizer->offsets);
    free(tokenizer->text);
    free(tokenizer->scores);
    free(tokenizer->kinds);
    free(tokenizer->flags);
    free(tokenizer->slots);
    free(tokenizer->specials);
    free(tokenizer->chat_system);
    tp__merges_free(&tokenizer->merges);
    free(tokenizer->name);
    *tokenizer = (struct tp_tokenizer){0};
}

tp_status tp__tokenizer_check_model(const struct tp_tokenizer *tokenizer, uint32_t vocab,
                                    const char *model, struct tp_error *error)
{
    if (tokenizer->count == vocab) return TP_OK;
    if (tokenizer->may_grow && tokenizer->count < vocab) return TP_OK;
    return tp__fail(error, TP_ERROR_MISMATCH,
                    "%s: the tokenizer has %u pieces, but the model %s has a vocabulary of %u; "
                    "give the tokenizer that the model was trained with",
                    tokenizer->name, tokenizer->count, model, vocab);
}

/* Pieces that a file does not name stand for no text. */
static bool has_text(const struct tp_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->count && tokenizer->kinds[id] == TP_PIECE_NORMAL;
}

tp_status tp__tokenizer_check_alike(const struct tp_tokenizer *tokenizer,
                                    const struct tp_tokenizer *other, struct tp_error *error)
{
    uint32_t count = tokenizer->count > other->count ? tokenizer->count : other->count;
    for (uint32_t id = 0; id < count; id++) {
        bool in_first = has_text(tokenizer, id);
        bool in_second = has_text(other, id);
        struct tp_string a =
            in_first ? tp__tokenizer_piece(tokenizer, id) : (struct tp_string){"", 0};
        struct tp_string b = in_second ? tp__tokenizer_piece(other, id) : (struct tp_string){"", 0};
        bool is_equal = a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
        if (in_first != in_second || !is_equal) {
            return tp__fail(error, TP_ERROR_MISMATCH,
                            "token %u is \"%.*s\" in %s and \"%.*s\" in %s: the tokenizers are not "
                            "of one origin",
                            id, tp__string_width(a), a.text, tokenizer->name, tp__string_width(b),
                            b.text, other->name);
        }
    }
    return TP_OK;
}

/* ---- decoding ---- */

void tp__decoder_start(struct tp_decoder *decoder, const struct tp_tokenizer *tokenizer,
                       uint32_t previous)
{
    bool is_start = tokenizer->add_space && previous == tokenizer->bos;
    *decoder = (struct tp_decoder){.tokenizer = tokenizer, .is_start = is_start};
}

size_t tp__decode_bytes_max(const struct tp_tokenizer *tokenizer)
{
    // Every byte may become U+FFFD, and so may the character before; then the NUL.
    return 3 * (size_t)tokenizer->piece_bytes_max + 3 + 1 + 1;
}

size_t tp__decode(struct tp_decoder *decoder, uint32_t token, char *text)
{
    const struct tp_tokenizer *tokenizer = decoder->tokenizer;
    if (token >= tokenizer->count) {
        // A row of the model that the tokenizer does not name.
        assert(tokenizer->may_grow);
        text[0] = '\0';
        return 0;
    }
    size_t size;
    const char *piece = piece_text(tokenizer, token, &size);
    uint8_t kind = tokenizer->kinds[token];
    bool is_start = decoder->is_start;
    decoder->is_start = tokenizer->add_space && token == tokenizer->bos;
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

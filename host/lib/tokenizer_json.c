// SPDX-License-Identifier: Apache-2.0
//
// tokenizer.json and tokenizer_config.json of Hugging Face.
//
// Read are byte-pair models behind one of the known ways to prepare a text: the byte alphabet with
// a known rule for words (GPT-2, Llama-3, Qwen2), or U+2581 for spaces with bytes for the rest
// (Llama-2, Mistral). All else is refused by the name of its field. A regular expression is
// compared with the known ones, never run.

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

#define MARK "\xe2\x96\x81"

enum { STEPS_MAX = 4 };

/* What the files say, before the pieces are read. */
struct plan {
    const struct tp_reader *reader;
    json_t *root;
    json_t *config;  // or NULL
    json_t *model;
    json_t *vocab;
    json_t *merges;
    json_t *added;  // array or NULL
    bool byte_level;
    bool composes;
    bool prepends;   // U+2581 in front of each part of a text
    bool replaces;   // spaces by U+2581
    bool metaspace;  // both, in one step
    bool digits;
    bool byte_fallback;
    enum tp_split split;  // TP_SPLIT_COUNT: none was named
    const char *bos;      // name of the token that the template puts in front, or NULL
    uint32_t count;
};

struct entry {
    const char *text;  // NULL: no piece has this number
    size_t size;
    json_t *added;  // or NULL
};

static tp_status refuse(const struct plan *plan, const char *field, const char *what)
{
    return tp__fail(plan->reader->error, TP_ERROR_UNSUPPORTED,
                    "%s: %s: %s; this version reads byte pairs as GPT-2, Llama-3, Qwen2, SmolLM, "
                    "Llama-2 and Mistral have them - try: the model as GGUF",
                    plan->reader->name, field, what);
}

static tp_status damaged(const struct plan *plan, const char *field, const char *what)
{
    return tp__fail(plan->reader->error, TP_ERROR_FORMAT,
                    "%s: %s: %s; the file is damaged or not a tokenizer", plan->reader->name, field,
                    what);
}

static struct tp_string string_of(const json_t *value)
{
    if (!json_is_string(value)) return (struct tp_string){"", 0};
    return (struct tp_string){json_string_value(value), json_string_length(value)};
}

static struct tp_string text_field(const json_t *object, const char *key)
{
    return string_of(json_object_get(object, key));
}

/* A missing field has the value `missing`. */
static bool flag(const json_t *object, const char *key, bool missing)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

static tp_status unknown_type(const struct plan *plan, const char *field, const json_t *step)
{
    char what[128];
    struct tp_string type = text_field(step, "type");
    (void)snprintf(what, sizeof what, "\"%.*s\" in this form is not supported",
                   tp__string_width(type), type.text);
    return refuse(plan, field, what);
}

/* ---- the steps before the model ---- */

typedef tp_status step_reader(struct plan *plan, const json_t *step);

/* Reads a step, or the steps of a Sequence, which is not nested. */
static tp_status read_steps(struct plan *plan, const char *field, const char *list,
                            step_reader *read)
{
    const json_t *top = json_object_get(plan->root, field);
    if (top == NULL || json_is_null(top)) return TP_OK;
    if (!tp__string_is(text_field(top, "type"), "Sequence")) return read(plan, top);
    const json_t *steps = json_object_get(top, list);
    if (!json_is_array(steps) || json_array_size(steps) > STEPS_MAX) {
        return refuse(plan, field, "a Sequence without a list of a few steps is not supported");
    }
    tp_status status = TP_OK;
    for (size_t i = 0; i < json_array_size(steps) && status == TP_OK; i++) {
        status = read(plan, json_array_get(steps, i));
    }
    return status;
}

static tp_status read_normalizer(struct plan *plan, const json_t *step)
{
    struct tp_string type = text_field(step, "type");
    if (tp__string_is(type, "NFC") && !plan->prepends && !plan->replaces) {
        plan->composes = true;
        return TP_OK;
    }
    if (tp__string_is(type, "Prepend") && tp__string_is(text_field(step, "prepend"), MARK)) {
        plan->prepends = true;
        return TP_OK;
    }
    const json_t *pattern = json_object_get(step, "pattern");
    if (tp__string_is(type, "Replace") && tp__string_is(text_field(pattern, "String"), " ") &&
        tp__string_is(text_field(step, "content"), MARK)) {
        plan->replaces = true;
        return TP_OK;
    }
    return unknown_type(plan, "normalizer", step);
}

static tp_status read_split(struct plan *plan, const json_t *step)
{
    struct tp_string pattern = text_field(json_object_get(step, "pattern"), "Regex");
    bool is_plain = tp__string_is(text_field(step, "behavior"), "Isolated") &&
                    !flag(step, "invert", false) && plan->split == TP_SPLIT_COUNT;
    if (!is_plain) return refuse(plan, "pre_tokenizer.Split", "this form of it is not supported");
    plan->split = tp__split_of_pattern(pattern);
    if (plan->split != TP_SPLIT_COUNT) return TP_OK;
    char what[192];
    (void)snprintf(what, sizeof what,
                   "the regular expression \"%.*s\"... is none of the known ones",
                   tp__string_width(pattern), pattern.text);
    return refuse(plan, "pre_tokenizer.Split.pattern", what);
}

static tp_status read_pre_tokenizer(struct plan *plan, const json_t *step)
{
    struct tp_string type = text_field(step, "type");
    if (plan->byte_level || plan->metaspace) {
        return refuse(plan, "pre_tokenizer", "a step behind ByteLevel or Metaspace");
    }
    if (tp__string_is(type, "Split") && !plan->digits) return read_split(plan, step);
    if (tp__string_is(type, "Digits") && flag(step, "individual_digits", false) &&
        plan->split == TP_SPLIT_COUNT) {
        plan->digits = true;
        return TP_OK;
    }
    if (tp__string_is(type, "ByteLevel")) {
        if (flag(step, "add_prefix_space", true)) {
            return refuse(plan, "pre_tokenizer.ByteLevel.add_prefix_space", "it is not false");
        }
        bool by_rule = flag(step, "use_regex", true);
        if (by_rule == (plan->split != TP_SPLIT_COUNT)) {
            return refuse(plan, "pre_tokenizer.ByteLevel.use_regex",
                          "there must be one rule for words, here or in a Split");
        }
        if (by_rule) plan->split = plan->digits ? TP_SPLIT_DIGITS : TP_SPLIT_GPT2;
        plan->byte_level = true;
        return TP_OK;
    }
    if (tp__string_is(type, "Metaspace") && tp__string_is(text_field(step, "replacement"), MARK) &&
        !flag(step, "split", true) && plan->split == TP_SPLIT_COUNT && !plan->digits) {
        plan->metaspace = true;
        return TP_OK;
    }
    return unknown_type(plan, "pre_tokenizer", step);
}

/* The token that a template puts before a text. */
static tp_status read_post_processor(struct plan *plan, const json_t *step)
{
    struct tp_string type = text_field(step, "type");
    if (tp__string_is(type, "ByteLevel")) return TP_OK;
    const json_t *single = json_object_get(step, "single");
    if (!tp__string_is(type, "TemplateProcessing") || !json_is_array(single)) {
        return unknown_type(plan, "post_processor", step);
    }
    const json_t *first = json_object_get(json_array_get(single, 0), "SpecialToken");
    if (first == NULL) return TP_OK;
    plan->bos = json_string_value(json_object_get(first, "id"));
    return plan->bos != NULL ? TP_OK
                             : damaged(plan, "post_processor.single[0]", "it names no token");
}

static tp_status check_pipeline(struct plan *plan)
{
    bool marked = plan->metaspace || plan->replaces;
    plan->byte_fallback = flag(plan->model, "byte_fallback", false);
    if (plan->byte_level && !marked && !plan->prepends) {
        if (plan->byte_fallback) {
            return refuse(plan, "model.byte_fallback", "it is true although bytes are pieces");
        }
        return TP_OK;
    }
    if (plan->byte_level || !marked || plan->composes || plan->split != TP_SPLIT_COUNT ||
        plan->digits || (plan->metaspace && (plan->replaces || plan->prepends))) {
        return refuse(plan, "pre_tokenizer",
                      "these steps are neither those of a byte-level model nor SentencePiece's");
    }
    if (!plan->byte_fallback) {
        return refuse(plan, "model.byte_fallback",
                      "it is false without a byte-level pre-tokenizer");
    }
    plan->split = TP_SPLIT_NONE;
    return TP_OK;
}

static tp_status check_model(struct plan *plan)
{
    json_t *model = plan->model = json_object_get(plan->root, "model");
    struct tp_string type = text_field(model, "type");
    plan->vocab = json_object_get(model, "vocab");
    plan->merges = json_object_get(model, "merges");
    bool is_pairs = tp__string_is(type, "BPE") || (type.size == 0 && plan->merges != NULL);
    if (!json_is_object(model)) return damaged(plan, "model", "it is missing");
    if (!is_pairs) return unknown_type(plan, "model", model);
    if (!json_is_object(plan->vocab)) return damaged(plan, "model.vocab", "it is no object");
    if (!json_is_array(plan->merges)) return damaged(plan, "model.merges", "it is no array");
    if (json_array_size(plan->merges) > TP_MERGES_MAX) {
        return damaged(plan, "model.merges", "it has too many elements");
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout != NULL && !json_is_null(dropout)) {
        return refuse(plan, "model.dropout", "it is not null");
    }
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof affixes / sizeof affixes[0]; i++) {
        if (text_field(model, affixes[i]).size != 0) {
            return refuse(plan, affixes[i], "it is not empty");
        }
    }
    plan->added = json_object_get(plan->root, "added_tokens");
    if (plan->added != NULL && !json_is_null(plan->added) && !json_is_array(plan->added)) {
        return damaged(plan, "added_tokens", "it is no array");
    }
    return TP_OK;
}

/* ---- pieces ---- */

static tp_status bad_entry(const struct plan *plan, const char *field, struct tp_string text,
                           const char *what)
{
    return tp__fail(plan->reader->error, TP_ERROR_FORMAT,
                    "%s: %s: \"%.*s\" %s; the file is damaged", plan->reader->name, field,
                    tp__string_width(text), text.text, what);
}

static bool id_of(const json_t *value, uint32_t *id)
{
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number < 0 || number >= TP_MODEL_VOCAB_MAX) return false;
    *id = (uint32_t)number;
    return true;
}

/* One more than the largest id. Ids that nothing names are bounded by those that are named. */
static tp_status count_pieces(struct plan *plan)
{
    const char *key;
    json_t *value;
    size_t named = json_object_size(plan->vocab) + json_array_size(plan->added);
    uint32_t id;
    plan->count = 0;
    json_object_foreach(plan->vocab, key, value)
    {
        if (!id_of(value, &id)) {
            return bad_entry(plan, "model.vocab", (struct tp_string){key, strlen(key)},
                             "has an impossible number");
        }
        plan->count = id >= plan->count ? id + 1 : plan->count;
    }
    for (size_t i = 0; i < json_array_size(plan->added); i++) {
        const json_t *token = json_array_get(plan->added, i);
        if (!id_of(json_object_get(token, "id"), &id)) {
            return bad_entry(plan, "added_tokens", text_field(token, "content"),
                             "has an impossible number");
        }
        plan->count = id >= plan->count ? id + 1 : plan->count;
    }
    if (plan->count == 0) return damaged(plan, "model.vocab", "it is empty");
    if (plan->count > 2 * named) return damaged(plan, "model.vocab", "most numbers have no piece");
    return TP_OK;
}

static tp_status list_entries(const struct plan *plan, struct entry *entries)
{
    const char *key;
    json_t *value;
    json_object_foreach(plan->vocab, key, value)
    {
        struct entry *entry = &entries[json_integer_value(value)];
        struct tp_string text = {key, strlen(key)};
        if (entry->text != NULL) {
            return bad_entry(plan, "model.vocab", text, "has the number of another piece");
        }
        *entry = (struct entry){.text = text.text, .size = text.size};
    }
    for (size_t i = 0; i < json_array_size(plan->added); i++) {
        json_t *token = json_array_get(plan->added, i);
        struct tp_string text = text_field(token, "content");
        uint32_t id = (uint32_t)json_integer_value(json_object_get(token, "id"));
        if (text.size == 0) return bad_entry(plan, "added_tokens", text, "has no text");
        struct entry *entry = &entries[id];
        bool is_same = entry->text == NULL ||
                       (entry->size == text.size && memcmp(entry->text, text.text, text.size) == 0);
        const json_t *elsewhere = json_object_get(plan->vocab, text.text);
        if (!is_same || entry->added != NULL ||
            (elsewhere != NULL && json_integer_value(elsewhere) != (json_int_t)id)) {
            return bad_entry(plan, "added_tokens", text, "has the number of another piece");
        }
        *entry = (struct entry){.text = text.text, .size = text.size, .added = token};
    }
    return TP_OK;
}

/* A piece with U+2581 as spaces, or with its bytes; SIZE_MAX when it has no such form. */
static size_t plain_text(const struct plan *plan, struct tp_string text, char *out)
{
    if (text.size > TP_PIECE_BYTES_MAX) return SIZE_MAX;
    if (plan->byte_level) return tp__byte_alphabet_decode(text.text, text.size, out);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool is_mark = text.size - i >= 3 && memcmp(text.text + i, MARK, 3) == 0;
        out[size++] = is_mark ? ' ' : text.text[i];
        if (is_mark) i += 2;
    }
    return size;
}

static tp_status add_special(const struct plan *plan, uint32_t id, const struct entry *entry,
                             struct tp_tokenizer *tokenizer)
{
    struct tp_string text = {entry->text, entry->size};
    bool is_control = flag(entry->added, "special", false);
    bool normalised = flag(entry->added, "normalized", !is_control) && !is_control;
    if (flag(entry->added, "single_word", false)) {
        return bad_entry(plan, "added_tokens.single_word", text,
                         "is for whole words, which this "
                         "version does not do");
    }
    if (normalised && (plan->prepends || plan->replaces)) {
        return bad_entry(plan, "added_tokens.normalized", text,
                         "is looked for in changed text, which this version does not do");
    }
    bool is_unknown =
        json_is_string(json_object_get(plan->model, "unk_token")) &&
        tp__string_is(text, json_string_value(json_object_get(plan->model, "unk_token")));
    enum tp_piece_kind kind = is_control ? TP_PIECE_CONTROL : TP_PIECE_USER;
    if (is_unknown && !plan->byte_level) {
        kind = TP_PIECE_UNKNOWN;
        tokenizer->unknown = id;
    }
    tp__tokenizer_add(tokenizer, id, text.text, text.size, 0.0f, kind);
    uint32_t flags = (flag(entry->added, "lstrip", false) ? TP_PIECE_STRIPS_LEFT : 0u) |
                     (flag(entry->added, "rstrip", false) ? TP_PIECE_STRIPS_RIGHT : 0u) |
                     (normalised && plan->composes ? TP_PIECE_NORMALISED : 0u);
    tokenizer->flags[id] = (uint8_t)flags;
    return TP_OK;
}

static tp_status add_pieces(const struct plan *plan, const struct entry *entries,
                            struct tp_tokenizer *tokenizer)
{
    for (uint32_t id = 0; id < plan->count; id++) {
        const struct entry *entry = &entries[id];
        struct tp_string text = {entry->text, entry->size};
        if (text.size > TP_PIECE_BYTES_MAX) {
            return bad_entry(plan, "model.vocab", text, "is too long");
        }
        if (entry->added != NULL) {
            tp_status status = add_special(plan, id, entry, tokenizer);
            if (status != TP_OK) return status;
            continue;
        }
        char plain[TP_PIECE_BYTES_MAX];
        size_t size = text.size == 0 ? SIZE_MAX : plain_text(plan, text, plain);
        if (size == SIZE_MAX) {
            // Nothing can become this piece.
            tp__tokenizer_add(tokenizer, id, text.text, text.size, 0.0f, TP_PIECE_UNUSED);
            continue;
        }
        bool is_byte = plan->byte_fallback && tp__byte_piece(text.text, text.size) >= 0;
        tp__tokenizer_add(tokenizer, id, plain, size, 0.0f,
                          is_byte ? TP_PIECE_BYTE : TP_PIECE_NORMAL);
    }
    return TP_OK;
}

/* ---- special tokens ---- */

static uint32_t find_special(const struct plan *plan, const struct entry *entries,
                             struct tp_string name)
{
    for (uint32_t id = 0; name.size > 0 && id < plan->count; id++) {
        const struct entry *entry = &entries[id];
        if (entry->added == NULL || entry->size != name.size) continue;
        if (memcmp(entry->text, name.text, name.size) == 0) return id;
    }
    return TP_TOKEN_NONE;
}

/* "<s>", or {"content": "<s>"}. */
static struct tp_string config_token(const struct plan *plan, const char *key)
{
    const json_t *value = json_object_get(plan->config, key);
    return json_is_object(value) ? text_field(value, "content") : string_of(value);
}

static tp_status find_ends(const struct plan *plan, const struct entry *entries,
                           struct tp_tokenizer *tokenizer)
{
    static const char *const known[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>",
                                        "<|eot_id|>"};
    uint32_t eos = find_special(plan, entries, config_token(plan, "eos_token"));
    for (size_t i = 0; i < sizeof known / sizeof known[0] && eos == TP_TOKEN_NONE; i++) {
        eos = find_special(plan, entries, (struct tp_string){known[i], strlen(known[i])});
    }
    if (eos == TP_TOKEN_NONE) {
        return damaged(plan, "added_tokens",
                       "none of them is the end of a text, and no tokenizer_config.json names it");
    }
    uint32_t bos = TP_TOKEN_NONE;
    if (plan->bos != NULL) {
        bos = find_special(plan, entries, (struct tp_string){plan->bos, strlen(plan->bos)});
        if (bos == TP_TOKEN_NONE) {
            return damaged(plan, "post_processor.single[0]", "its token is not an added one");
        }
    }
    uint32_t named = find_special(plan, entries, config_token(plan, "bos_token"));
    tokenizer->add_bos = bos != TP_TOKEN_NONE;
    if (bos == TP_TOKEN_NONE) bos = named;
    if (bos != TP_TOKEN_NONE) {
        tokenizer->add_bos = flag(plan->config, "add_bos_token", tokenizer->add_bos);
    }
    tokenizer->eos = eos;
    tokenizer->bos = bos == TP_TOKEN_NONE ? eos : bos;
    return TP_OK;
}

/* A text, or a list of {"name", "template"} of which the one named default counts. */
static struct tp_string chat_template(const struct plan *plan)
{
    const json_t *value = json_object_get(plan->config, "chat_template");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (tp__string_is(text_field(item, "name"), "default")) return text_field(item, "template");
    }
    return string_of(value);
}

/* How a space gets in front of a text. */
static tp_status find_space(const struct plan *plan, struct tp_tokenizer *tokenizer)
{
    tokenizer->add_space = plan->prepends;
    if (!plan->metaspace) return TP_OK;
    struct tp_string scheme;
    const json_t *step = json_object_get(plan->root, "pre_tokenizer");
    if (tp__string_is(text_field(step, "type"), "Sequence")) {
        const json_t *steps = json_object_get(step, "pretokenizers");
        step = json_array_get(steps, json_array_size(steps) - 1);
    }
    scheme = text_field(step, "prepend_scheme");
    bool first = tp__string_is(scheme, "first");
    bool always = tp__string_is(scheme, "always") || scheme.size == 0;
    if (!first && !always && !tp__string_is(scheme, "never")) {
        return refuse(plan, "pre_tokenizer.Metaspace.prepend_scheme", "it is unknown");
    }
    tokenizer->add_space = first || always;
    tokenizer->space_once = true;
    tokenizer->space_first = first;
    return TP_OK;
}

/* ---- merges ---- */

/* "a b" or ["a", "b"]. */
static bool merge_parts(const json_t *merge, struct tp_string parts[2])
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        parts[0] = string_of(json_array_get(merge, 0));
        parts[1] = string_of(json_array_get(merge, 1));
        return parts[0].size > 0 && parts[1].size > 0;
    }
    struct tp_string both = string_of(merge);
    const char *space = both.size > 0 ? memchr(both.text, ' ', both.size) : NULL;
    if (space == NULL) return false;
    size_t left = (size_t)(space - both.text);
    parts[0] = (struct tp_string){both.text, left};
    parts[1] = (struct tp_string){space + 1, both.size - left - 1};
    return parts[1].size == 0 || memchr(parts[1].text, ' ', parts[1].size) == NULL;
}

/* Whether the two make the name of a special token: such merges are never used. */
static bool makes_special(const struct tp_tokenizer *tokenizer, struct tp_string left,
                          struct tp_string right)
{
    char whole[2 * TP_PIECE_BYTES_MAX];
    size_t size = left.size + right.size;
    memcpy(whole, left.text, left.size);
    memcpy(whole + left.size, right.text, right.size);
    uint32_t id = tp__tokenizer_special(tokenizer, whole, size, false, true);
    bool is_special = id != TP_TOKEN_NONE && tp__tokenizer_piece(tokenizer, id).size == size;
    return is_special ||
           (tokenizer->kind == TP_TOKENIZER_CHARACTER_PAIRS && tp__byte_piece(whole, size) >= 0);
}

/* The last merge as a score of its piece: a GGUF file has scores for pairs of characters. */
static void score_last(struct tp_tokenizer *tokenizer)
{
    uint32_t rank = tokenizer->merges.count - 1;
    float *score = &tokenizer->scores[tokenizer->merges.list[rank].result];
    bool is_first = !(*score < 0.0f);
    if (is_first && tokenizer->kind == TP_TOKENIZER_CHARACTER_PAIRS) *score = -1.0f - (float)rank;
}

static tp_status add_merges(const struct plan *plan, struct tp_tokenizer *tokenizer)
{
    size_t count = json_array_size(plan->merges);
    tp_status status = tp__merges_prepare(&tokenizer->merges, tokenizer->name, (uint32_t)count,
                                          plan->reader->error);
    for (size_t i = 0; i < count && status == TP_OK; i++) {
        struct tp_string parts[2];
        char text[2][TP_PIECE_BYTES_MAX];
        char where[64];
        (void)snprintf(where, sizeof where, "model.merges[%zu]", i);
        if (!merge_parts(json_array_get(plan->merges, i), parts)) {
            return damaged(plan, where, "it is not two pieces");
        }
        for (int p = 0; p < 2; p++) {
            parts[p].size = plain_text(plan, parts[p], text[p]);
            parts[p].text = text[p];
            if (parts[p].size == SIZE_MAX) return damaged(plan, where, "a part is no piece");
        }
        if (makes_special(tokenizer, parts[0], parts[1])) continue;
        status = tp__tokenizer_merge(tokenizer, where, parts[0], parts[1], plan->reader->error);
        if (status == TP_OK) score_last(tokenizer);
    }
    return status;
}

/* ---- all ---- */

static size_t text_bytes(const struct plan *plan, const struct entry *entries)
{
    size_t size = 0;
    for (uint32_t id = 0; id < plan->count; id++) size += entries[id].size;
    return size;
}

static tp_status make_tokenizer(const struct plan *plan, const struct entry *entries,
                                struct tp_tokenizer *tokenizer)
{
    size_t size = text_bytes(plan, entries);
    if (size > TP_TOKENIZER_BYTES_MAX) return damaged(plan, "model.vocab", "it is too large");
    tp_status status = tp__tokenizer_prepare(tokenizer, plan->reader->name, plan->count, size,
                                             plan->reader->error);
    if (status != TP_OK) return status;
    tokenizer->kind = plan->byte_level ? TP_TOKENIZER_BYTE_PAIRS : TP_TOKENIZER_CHARACTER_PAIRS;
    tokenizer->split = plan->split;
    tokenizer->composes = plan->composes;
    tokenizer->whole_words = flag(plan->model, "ignore_merges", false);
    tokenizer->space_mark = !plan->byte_level;
    tokenizer->may_grow = true;
    status = find_space(plan, tokenizer);
    if (status == TP_OK) status = find_ends(plan, entries, tokenizer);
    if (status == TP_OK) {
        status = tp__tokenizer_set_chat(tokenizer, chat_template(plan), plan->reader->error);
    }
    if (status == TP_OK) status = add_pieces(plan, entries, tokenizer);
    if (status == TP_OK) status = tp__tokenizer_finish(tokenizer, plan->reader->error);
    return status == TP_OK ? add_merges(plan, tokenizer) : status;
}

static tp_status read_plan(struct plan *plan, struct tp_tokenizer *tokenizer)
{
    if (!json_is_object(plan->root)) return damaged(plan, "byte 0", "it is no object");
    tp_status status = check_model(plan);
    if (status == TP_OK) status = read_steps(plan, "normalizer", "normalizers", read_normalizer);
    if (status == TP_OK) {
        status = read_steps(plan, "pre_tokenizer", "pretokenizers", read_pre_tokenizer);
    }
    if (status == TP_OK) {
        status = read_steps(plan, "post_processor", "processors", read_post_processor);
    }
    if (status == TP_OK) status = check_pipeline(plan);
    if (status == TP_OK) status = count_pieces(plan);
    if (status != TP_OK) return status;
    struct entry *entries = calloc(plan->count, sizeof entries[0]);
    if (entries == NULL) {
        return tp__fail(plan->reader->error, TP_ERROR_NO_MEMORY, "%s: no memory for %u pieces",
                        plan->reader->name, plan->count);
    }
    status = list_entries(plan, entries);
    if (status == TP_OK) status = make_tokenizer(plan, entries, tokenizer);
    free(entries);
    return status;
}

static json_t *load(const struct tp_reader *reader, const char *what, const uint8_t *bytes,
                    size_t size, tp_status *status)
{
    json_error_t problem;
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &problem);
    if (root != NULL) return root;
    bool no_memory = json_error_code(&problem) == json_error_out_of_memory;
    *status = tp__fail(reader->error, no_memory ? TP_ERROR_NO_MEMORY : TP_ERROR_FORMAT,
                       "%s: byte %d (line %d) of %s: %s; it is cut short or damaged, copy it again",
                       reader->name, problem.position, problem.line, what, problem.text);
    return NULL;
}

tp_status tp__tokenizer_json(const struct tp_reader *reader, const struct tp_bytes *config,
                             struct tp_tokenizer *tokenizer)
{
    struct plan plan = {.reader = reader, .split = TP_SPLIT_COUNT};
    tp_status status = TP_OK;
    if (reader->size > TP_JSON_BYTES_MAX) {
        return tp__fail(reader->error, TP_ERROR_TOO_LARGE,
                        "%s: %zu bytes of JSON, the limit is %d; not a tokenizer", reader->name,
                        reader->size, TP_JSON_BYTES_MAX);
    }
    plan.root = load(reader, "tokenizer.json", reader->bytes, reader->size, &status);
    if (plan.root != NULL && config != NULL) {
        plan.config = load(reader, "tokenizer_config.json", config->data, config->size, &status);
    }
    if (status == TP_OK) status = read_plan(&plan, tokenizer);
    json_decref(plan.root);
    json_decref(plan.config);
    return status;
}

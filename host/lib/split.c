// SPDX-License-Identifier: Apache-2.0
//
// Splitting text into words, by PCRE2.

#include "split.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* White space as Unicode has it. PCRE2's own \s also has U+180E. */
#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"             \
    "\\x{202f}\\x{205f}\\x{3000}"
#define SPACE     "[" SPACES "]"
#define NOT_SPACE "[^" SPACES "]"
#define OTHERS    " ?[^" SPACES "\\p{L}\\p{N}]+"
#define SHORT     "'s|'t|'re|'ve|'m|'ll|'d"
#define LAST      SPACE "+(?!" NOT_SPACE ")|" SPACE "+"
#define LLAMA3(numbers)                                                                            \
    "(?i:" SHORT ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "|" OTHERS "[\\r\\n]*|" SPACE          \
    "*[\\r\\n]+|" LAST

static const char *const expressions[TP_SPLIT_COUNT] = {
    [TP_SPLIT_GPT2] = SHORT "| ?\\p{L}+| ?\\p{N}+|" OTHERS "|" LAST,
    // Digits are set apart first, so that white space before one ends its text.
    [TP_SPLIT_DIGITS] =
        SHORT "| ?\\p{L}+|\\p{N}|" OTHERS "|" SPACE "+(?![^" SPACES "\\p{N}])|" SPACE "+",
    [TP_SPLIT_LLAMA3] = LLAMA3("\\p{N}{1,3}"),
    [TP_SPLIT_QWEN2] = LLAMA3("\\p{N}"),
};

/* ---- recognition ---- */

struct known {
    const char *text;
    enum tp_split split;
};

static const struct known names[] = {
    {"gpt-2", TP_SPLIT_GPT2},       {"default", TP_SPLIT_GPT2},
    {"phi-2", TP_SPLIT_GPT2},       {"smollm", TP_SPLIT_DIGITS},
    {"starcoder", TP_SPLIT_DIGITS}, {"llama-bpe", TP_SPLIT_LLAMA3},
    {"llama3", TP_SPLIT_LLAMA3},    {"llama-v3", TP_SPLIT_LLAMA3},
    {"qwen2", TP_SPLIT_QWEN2},      {"deepseek-r1-qwen", TP_SPLIT_QWEN2},
};

static const struct known patterns[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     TP_SPLIT_GPT2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     TP_SPLIT_GPT2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     TP_SPLIT_LLAMA3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     TP_SPLIT_QWEN2},
};

static enum tp_split find_known(const struct known *known, size_t count, struct tp_string text)
{
    for (size_t i = 0; i < count; i++) {
        if (tp__string_is(text, known[i].text)) return known[i].split;
    }
    return TP_SPLIT_COUNT;
}

enum tp_split tp__split_of_name(struct tp_string name)
{
    return find_known(names, sizeof names / sizeof names[0], name);
}

enum tp_split tp__split_of_pattern(struct tp_string pattern)
{
    return find_known(patterns, sizeof patterns / sizeof patterns[0], pattern);
}

const char *tp__split_name(enum tp_split split)
{
    size_t i = 0;
    while (names[i].split != split) i++;
    return names[i].text;
}

const char *tp__split_names(void)
{
    return "gpt-2, default, phi-2, smollm, starcoder, llama-bpe, llama3, llama-v3, qwen2, "
           "deepseek-r1-qwen";
}

/* ---- splitting ---- */

/* Steps of one match: each character of white space is tried a few times at most. */
enum { MATCH_STEPS_MAX = 1 << 30, HEAP_KIB_MAX = 64 };

struct tp_splitter {
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_code *code;  // NULL: the text is one word
    pcre2_match_data *match;
};

static void *take_memory(PCRE2_SIZE size, void *user)
{
    (void)user;
    return malloc(size);
}

static void give_memory(void *block, void *user)
{
    (void)user;
    free(block);
}

static bool compile(struct tp_splitter *splitter, const char *expression)
{
    int code = 0;
    PCRE2_SIZE place = 0;
    splitter->memory = pcre2_general_context_create(take_memory, give_memory, NULL);
    if (splitter->memory == NULL) return false;
    splitter->limits = pcre2_match_context_create(splitter->memory);
    pcre2_compile_context *context = pcre2_compile_context_create(splitter->memory);
    if (context != NULL) {
        splitter->code =
            pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &place, context);
        pcre2_compile_context_free(context);
    }
    if (splitter->limits == NULL || splitter->code == NULL) return false;
    splitter->match = pcre2_match_data_create(1, splitter->memory);
    if (splitter->match == NULL) return false;
    (void)pcre2_set_match_limit(splitter->limits, MATCH_STEPS_MAX);
    (void)pcre2_set_heap_limit(splitter->limits, HEAP_KIB_MAX);
    // The first match takes the memory that all later ones use.
    return pcre2_match(splitter->code, (PCRE2_SPTR) " a", 2, 0, 0, splitter->match,
                       splitter->limits) > 0;
}

tp_status tp__splitter_open(enum tp_split split, struct tp_splitter **splitter,
                            struct tp_error *error)
{
    assert(split < TP_SPLIT_COUNT);
    struct tp_splitter *made = calloc(1, sizeof *made);
    bool ok = made != NULL && (expressions[split] == NULL || compile(made, expressions[split]));
    if (!ok) {
        tp__splitter_close(made);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to split texts into words");
    }
    *splitter = made;
    return TP_OK;
}

void tp__splitter_close(struct tp_splitter *splitter)
{
    if (splitter == NULL) return;
    pcre2_match_data_free(splitter->match);
    pcre2_code_free(splitter->code);
    pcre2_match_context_free(splitter->limits);
    pcre2_general_context_free(splitter->memory);
    free(splitter);
}

size_t tp__splitter_next(struct tp_splitter *splitter, const char *text, size_t size, size_t offset)
{
    assert(offset < size);
    if (splitter->code == NULL) return size - offset;
    int found = pcre2_match(splitter->code, (PCRE2_SPTR)text, size, offset, PCRE2_NO_UTF_CHECK,
                            splitter->match, splitter->limits);
    // Each rule takes every character, and its steps are a small multiple of the text: no match is
    // a fault of this file.
    assert(found > 0);
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(splitter->match);
    assert(places[0] == offset && places[1] > offset && places[1] <= size);
    return places[1] - offset;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about byte-level byte pairs: ids equal those of the plain algorithm (merge the pair of the
// lowest rank until none is left, by trying all pairs each time); each rule splits words where its
// makers' does; text in form C is what Unicode says; control tokens come out of a template's own
// text only, user pieces out of any, the longest first; every piece is decoded in whole characters,
// however the tokens fall; a tokenizer written for an image is the same when read again; encoding
// allocates nothing; impossible files and each failing allocation are reported.
//
// Not covered: 10,000 texts against the makers' own programs (tests/system/
// test_tokenizer_reference.py), tokenizer.json (test_tokenizer_json.c).
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "encode.h"
#include "model_files.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 400, TOKENS = 4096, LETTERS = 8, MERGES = 120 };

/* ---- vocabularies ---- */

enum { END = 256, TURN, TOOL, TOOLS, UNUSED, FIRST_MERGED };

struct vocabulary {
    char pieces[FIRST_MERGED + MERGES][64];  // in the byte alphabet
    char merges[MERGES][64];
    uint32_t merge_count;
};

/* Bytes, some special pieces, then random merges of pieces of letters. */
static void make_vocabulary(struct tp_random *random, struct vocabulary *v)
{
    static const char *const specials[] = {"<|end|>", "<|im_end|>", "<tool>", "<tool>s",
                                           "<unused>"};
    for (uint32_t byte = 0; byte < 256; byte++) {
        char raw = (char)byte;
        v->pieces[byte][tp__byte_alphabet_encode(&raw, 1, v->pieces[byte])] = '\0';
    }
    for (uint32_t i = 0; i < 5; i++) strcpy(v->pieces[END + i], specials[i]);
    v->merge_count = 0;
    while (v->merge_count < MERGES) {
        uint32_t parts[2];
        for (int p = 0; p < 2; p++) {
            uint32_t pick = tp_random_below(random, LETTERS + v->merge_count);
            parts[p] = pick < LETTERS ? 'a' + pick : FIRST_MERGED + pick - LETTERS;
        }
        char left[24];
        char right[24];
        char *whole = v->pieces[FIRST_MERGED + v->merge_count];
        snprintf(left, sizeof left, "%.20s", v->pieces[parts[0]]);
        snprintf(right, sizeof right, "%.20s", v->pieces[parts[1]]);
        snprintf(whole, 64, "%s%s", left, right);
        bool is_new = strlen(whole) <= 12;
        for (uint32_t i = 0; i < v->merge_count; i++) {
            is_new = is_new && strcmp(whole, v->pieces[FIRST_MERGED + i]) != 0;
        }
        if (!is_new) continue;
        snprintf(v->merges[v->merge_count], 64, "%s %s", left, right);
        v->merge_count++;
    }
}

/* What to write differently; all zero is a sound file with the rule of GPT-2. */
struct oddity {
    const char *rule;
    const char *merge;     // instead of the last
    const char *piece;     // instead of the last
    uint32_t last_type;    // instead of 1, of the last piece
    uint32_t unused_type;  // instead of 5, of piece UNUSED
    bool has_no_merges;
    bool has_no_end;
    uint32_t end;  // 0: END
};

static void put_array(struct tp_test_bytes *file, const char *key, uint32_t type, uint64_t count)
{
    tp_test_put_string(file, key);
    tp_test_put_u32(file, 9);
    tp_test_put_u32(file, type);
    tp_test_put_u64(file, count);
}

static void write_gguf(const struct vocabulary *v, const struct oddity *odd,
                       struct tp_test_bytes *file)
{
    uint32_t count = FIRST_MERGED + v->merge_count;
    *file = (struct tp_test_bytes){0};
    uint32_t keys = 6u - (odd->has_no_merges ? 1u : 0u) - (odd->has_no_end ? 1u : 0u);
    tp_test_put(file, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    tp_test_put_u64(file, keys);
    tp_test_put_string(file, "tokenizer.ggml.model");
    tp_test_put_u32(file, 8);
    tp_test_put_string(file, "gpt2");
    tp_test_put_string(file, "tokenizer.ggml.pre");
    tp_test_put_u32(file, 8);
    tp_test_put_string(file, odd->rule != NULL ? odd->rule : "gpt-2");
    put_array(file, "tokenizer.ggml.tokens", 8, count);
    for (uint32_t id = 0; id < count; id++) {
        bool is_odd = id == count - 1 && odd->piece != NULL;
        tp_test_put_string(file, is_odd ? odd->piece : v->pieces[id]);
    }
    put_array(file, "tokenizer.ggml.token_type", 5, count);
    for (uint32_t id = 0; id < count; id++) {
        uint32_t type = id == END || id == TURN ? 3 : id == TOOL || id == TOOLS ? 4 : 1;
        if (id == UNUSED) type = odd->unused_type != 0 ? odd->unused_type : 5;
        tp_test_put_u32(file, id == count - 1 && odd->last_type != 0 ? odd->last_type : type);
    }
    if (!odd->has_no_merges) {
        put_array(file, "tokenizer.ggml.merges", 8, v->merge_count);
        for (uint32_t i = 0; i < v->merge_count; i++) {
            bool is_odd = i == v->merge_count - 1 && odd->merge != NULL;
            tp_test_put_string(file, is_odd ? odd->merge : v->merges[i]);
        }
    }
    if (!odd->has_no_end) {
        tp_test_put_string(file, "tokenizer.ggml.eos_token_id");
        tp_test_put_u32(file, 4);
        tp_test_put_u32(file, odd->end != 0 ? odd->end : END);
    }
}

static struct vocabulary vocabulary;

static void make_file(uint64_t seed, const struct oddity *odd, struct tp_test_bytes *file)
{
    struct tp_random random;
    tp_random_init(&random, seed, 0);
    make_vocabulary(&random, &vocabulary);
    write_gguf(&vocabulary, odd, file);
}

static void parse(const struct tp_test_bytes *file, struct tp_tokenizer *tokenizer)
{
    struct tp_error error = {0};
    tp_status status = tp__tokenizer_parse(file->data, file->size, "t.gguf", tokenizer, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

static void make_tokenizer(uint64_t seed, const char *rule, struct tp_tokenizer *tokenizer)
{
    struct tp_test_bytes file;
    make_file(seed, &(struct oddity){.rule = rule}, &file);
    parse(&file, tokenizer);
    tp_test_bytes_free(&file);
}

/* ---- encoding ---- */

static uint32_t tokens[TOKENS];

static void open_encoder(const struct tp_tokenizer *tokenizer, struct tp_encoder *encoder)
{
    struct tp_error error = {0};
    tp_status status = tp__encoder_open(tokenizer, 1 << 16, encoder, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

static uint32_t encode(struct tp_encoder *encoder, const char *text, size_t size, bool is_template)
{
    struct tp_error error = {0};
    struct tp_range all = {0, size};
    uint32_t count = 0;
    uint64_t before = tp_test_allocations();
    tp_status status =
        is_template ? tp__encode_template(encoder, text, size, &all, 1, false, tokens, TOKENS,
                                          &count, &error)
                    : tp__encode(encoder, text, size, false, false, tokens, TOKENS, &count, &error);
    // Taken before the next ck_assert, which allocates.
    uint64_t allocations = tp_test_allocations() - before;
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert_uint_eq(allocations, 0);
    return count;
}

/* ---- the plain algorithm ---- */

static uint32_t plain_rank(const char *left, const char *right)
{
    char both[64];
    snprintf(both, sizeof both, "%s %s", left, right);
    for (uint32_t i = 0; i < vocabulary.merge_count; i++) {
        if (strcmp(both, vocabulary.merges[i]) == 0) return i;
    }
    return UINT32_MAX;
}

/* One word of letters. */
static uint32_t plain_encode(const char *text, uint32_t *ids)
{
    uint32_t count = 0;
    for (const char *c = text; *c != '\0'; c++) ids[count++] = (uint8_t)*c;
    for (;;) {
        uint32_t best = UINT32_MAX;
        uint32_t place = 0;
        for (uint32_t i = 0; i + 1 < count; i++) {
            uint32_t rank = plain_rank(vocabulary.pieces[ids[i]], vocabulary.pieces[ids[i + 1]]);
            if (rank >= best) continue;
            best = rank;
            place = i;
        }
        if (best == UINT32_MAX) return count;
        ids[place] = FIRST_MERGED + best;
        memmove(ids + place + 1, ids + place + 2, (count - place - 2) * sizeof ids[0]);
        count--;
    }
}

START_TEST(merges_are_those_of_the_plain_algorithm)
{
    struct tp_random random;
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    tp_random_init(&random, tp_test_seed(_i), 1);
    make_tokenizer(tp_test_seed(_i), NULL, &tokenizer);
    open_encoder(&tokenizer, &encoder);
    uint32_t merged = 0;
    for (int run = 0; run < 60; run++) {
        char text[TEXT_BYTES];
        uint32_t expected[TEXT_BYTES];
        size_t size = 1 + tp_random_below(&random, 100);
        for (size_t i = 0; i < size; i++) text[i] = (char)('a' + tp_random_below(&random, LETTERS));
        text[size] = '\0';
        uint32_t count = encode(&encoder, text, size, false);
        ck_assert_uint_eq(count, plain_encode(text, expected));
        ck_assert_mem_eq(tokens, expected, count * sizeof tokens[0]);
        for (uint32_t i = 0; i < count; i++) merged += tokens[i] >= FIRST_MERGED ? 1 : 0;
    }
    ck_assert_uint_gt(merged, 100);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
}
END_TEST

START_TEST(merges_take_a_whole_word_where_the_rule_says_so)
{
    // No merge makes "zab": it counts only as a word of its own, where the rule has that.
    struct oddity odd = {.rule = _i == 0 ? "gpt-2" : "llama-bpe", .unused_type = 1};
    struct tp_random random;
    struct tp_test_bytes file;
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    tp_random_init(&random, 1, 0);
    make_vocabulary(&random, &vocabulary);
    strcpy(vocabulary.pieces[UNUSED], "zab");
    write_gguf(&vocabulary, &odd, &file);
    parse(&file, &tokenizer);
    open_encoder(&tokenizer, &encoder);
    uint32_t count = encode(&encoder, "zab", 3, false);
    ck_assert_int_eq(count == 1 && tokens[0] == UNUSED, _i == 1);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

/* ---- words ---- */

START_TEST(merges_stay_in_the_words_of_each_rule)
{
    static const struct {
        enum tp_split split;
        const char *words;  // with '|' between
    } cases[] = {
        {TP_SPLIT_GPT2, "I|'ve| 1234| apples|!!|\n   |\t|x|  "},
        {TP_SPLIT_GPT2, "can|'t|,| CAN|'|T| na\xc3\xafve|  | x"},
        {TP_SPLIT_GPT2, "\xc2\xa0\xe3\x80\x80"},
        {TP_SPLIT_DIGITS, "a|  |1|2| b| | c"},
        {TP_SPLIT_LLAMA3, "CAN|'T|123|456|7| |8"},
        {TP_SPLIT_LLAMA3, "(x|!\n\n|  \n|  | y|\tz"},
        {TP_SPLIT_QWEN2, "CAN|'T|1|2|3| |8|.\n"},
        {TP_SPLIT_QWEN2, "it|'S|\xe2\x80\x99s\xe4\xbd\xa0\xe5\xa5\xbd|\xef\xbc\x8c"},
        {TP_SPLIT_NONE, "all of it, 1 2 3"},
    };
    struct tp_splitter *splitter;
    struct tp_error error;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char text[128];
        size_t size = 0;
        for (const char *w = cases[c].words; *w != '\0'; w++) {
            if (*w != '|') text[size++] = *w;
        }
        ck_assert_int_eq(tp__splitter_open(cases[c].split, &splitter, &error), TP_OK);
        char found[128];
        size_t length = 0;
        for (size_t offset = 0; offset < size;) {
            size_t word = tp__splitter_next(splitter, text, size, offset);
            if (offset > 0) found[length++] = '|';
            memcpy(found + length, text + offset, word);
            length += word;
            offset += word;
        }
        found[length] = '\0';
        ck_assert_str_eq(found, cases[c].words);
        tp__splitter_close(splitter);
    }
}
END_TEST

START_TEST(merges_know_rules_by_name_and_by_text)
{
    ck_assert_int_eq(tp__split_of_name((struct tp_string){"qwen2", 5}), TP_SPLIT_QWEN2);
    ck_assert_int_eq(tp__split_of_name((struct tp_string){"qwen3", 5}), TP_SPLIT_COUNT);
    ck_assert_int_eq(tp__split_of_pattern((struct tp_string){"\\s+", 3}), TP_SPLIT_COUNT);
    for (int split = 1; split < TP_SPLIT_COUNT; split++) {
        const char *name = tp__split_name((enum tp_split)split);
        ck_assert_int_eq(tp__split_of_name((struct tp_string){name, strlen(name)}), split);
        ck_assert_ptr_nonnull(strstr(tp__split_names(), name));
    }
}
END_TEST

/* ---- normal form C ---- */

START_TEST(merges_see_text_in_form_c)
{
    static const struct {
        const char *text;
        const char *composed;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"e\xcc\x81", "\xc3\xa9"},
        {"e\xcc\xa3\xcc\x82", "\xe1\xbb\x87"},
        {"e\xcc\x82\xcc\xa3", "\xe1\xbb\x87"},                     // marks in the other order
        {"\xe2\x84\xa6", "\xce\xa9"},                              // OHM SIGN is OMEGA
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},  // Hangul
        {"\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81"},
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},  // excluded from composing
        {"\xcc\x81x", "\xcc\x81x"},
        {"\xef\xac\x81", "\xef\xac\x81"},              // a ligature stays
        {"\xe0\xa7\x87\xe0\xa6\xbe", "\xe0\xa7\x8b"},  // two of class 0
        {"\xe0\xa7\x87\xcc\x81\xe0\xa6\xbe", "\xe0\xa7\x87\xcc\x81\xe0\xa6\xbe"},
        {"\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5"},
    };
    static struct tp_composer composer;
    struct tp_error error;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char out[64];
        size_t count;
        size_t size = strlen(cases[c].text);
        ck_assert_int_eq(
            tp__compose(&composer, cases[c].text, size, out, sizeof out, &count, &error), TP_OK);
        ck_assert_uint_eq(count, strlen(cases[c].composed));
        ck_assert_mem_eq(out, cases[c].composed, count);
        ck_assert_uint_le(count, TP_COMPOSE_GROWTH * size);
        if (count == 0) continue;
        ck_assert_int_eq(
            tp__compose(&composer, cases[c].text, size, out, count - 1, &count, &error), TP_OK);
        ck_assert_uint_eq(count, SIZE_MAX);
    }
    // One mark too many.
    enum { MARKS = TP_COMPOSE_POINTS_MAX };
    static char text[2 * MARKS + 1] = "x";
    static char out[sizeof text];
    for (int i = 0; i < MARKS; i++) memcpy(text + 1 + 2 * i, i % 2 ? "\xcc\xa3" : "\xcc\x82", 2);
    size_t count;
    ck_assert_int_eq(tp__compose(&composer, text, sizeof text - 2, out, sizeof out, &count, &error),
                     TP_OK);
    ck_assert_int_eq(tp__compose(&composer, text, sizeof text, out, sizeof out, &count, &error),
                     TP_ERROR_RANGE);
    ck_assert_ptr_nonnull(strstr(error.text, "byte 2047"));
}
END_TEST

/* ---- special pieces ---- */

START_TEST(merges_leave_control_tokens_to_templates)
{
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    make_tokenizer(1, _i == 0 ? "gpt-2" : "qwen2", &tokenizer);
    ck_assert_uint_eq(tokenizer.turn_end, TURN);
    ck_assert_uint_eq(tokenizer.bos, END);
    ck_assert(!tokenizer.add_bos);
    open_encoder(&tokenizer, &encoder);
    const char *text = "<|end|>x<tool>s<tool><|im_end|>";
    size_t size = strlen(text);
    uint32_t count = encode(&encoder, text, size, false);
    uint32_t controls = 0;
    uint32_t users = 0;
    for (uint32_t i = 0; i < count; i++) {
        controls += tokens[i] == END || tokens[i] == TURN ? 1 : 0;
        users += tokens[i] == TOOL || tokens[i] == TOOLS ? 1 : 0;
    }
    ck_assert_uint_eq(controls, 0);
    ck_assert_uint_eq(users, 2);
    const uint32_t all[] = {END, 'x', TOOLS, TOOL, TURN};
    ck_assert_uint_eq(encode(&encoder, text, size, true), 5);
    ck_assert_mem_eq(tokens, all, sizeof all);
    // Only the last seven bytes are a template's: "im_end|>" alone names nothing.
    struct tp_error error;
    struct tp_range some = {size - 7, size};
    ck_assert_int_eq(
        tp__encode_template(&encoder, text, size, &some, 1, false, tokens, TOKENS, &count, &error),
        TP_OK);
    for (uint32_t i = 0; i < count; i++) ck_assert(tokens[i] != END && tokens[i] != TURN);
    struct tp_range first = {0, 7};
    ck_assert_int_eq(
        tp__encode_template(&encoder, text, size, &first, 1, false, tokens, TOKENS, &count, &error),
        TP_OK);
    ck_assert_uint_eq(tokens[0], END);
    for (uint32_t i = 1; i < count; i++) ck_assert(tokens[i] != END && tokens[i] != TURN);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
}
END_TEST

/* ---- decoding ---- */

START_TEST(merges_decode_to_whole_characters)
{
    struct tp_random random;
    struct tp_tokenizer tokenizer;
    tp_random_init(&random, tp_test_seed(_i), 0);
    make_tokenizer(1, NULL, &tokenizer);
    char *part = malloc(tp__decode_bytes_max(&tokenizer));
    // Every character of one to four bytes comes byte by byte.
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!";
    struct tp_decoder decoder;
    char whole[64] = "";
    tp__decoder_start(&decoder, &tokenizer, TP_TOKEN_NONE);
    for (const char *c = text; *c != '\0'; c++) {
        size_t size = tp__decode(&decoder, (uint8_t)*c, part);
        ck_assert_uint_eq(tp__utf8_check((uint8_t *)part, size), size);
        strcat(whole, part);
    }
    ck_assert_str_eq(whole, text);
    ck_assert_uint_eq(tp__decode_end(&decoder, part), 0);
    // Any tokens.
    for (int i = 0; i < 20000; i++) {
        size_t size = tp__decode(&decoder, tp_random_below(&random, tokenizer.count), part);
        if (tp__utf8_check((uint8_t *)part, size) != size) ck_abort_msg("half a character");
    }
    free(part);
    tp__tokenizer_free(&tokenizer);
}
END_TEST

/* ---- the form for images ---- */

START_TEST(merges_survive_the_form_for_images)
{
    struct tp_tokenizer first;
    struct tp_tokenizer second;
    struct tp_error error;
    struct tp_bytes bytes[2];
    make_tokenizer(tp_test_seed(_i), _i == 0 ? "gpt-2" : "qwen2", &first);
    ck_assert_int_eq(tp__tokenizer_write(&first, &bytes[0], &error), TP_OK);
    ck_assert_int_eq(tp__tokenizer_parse(bytes[0].data, bytes[0].size, "i.img", &second, &error),
                     TP_OK);
    ck_assert_int_eq(tp__tokenizer_write(&second, &bytes[1], &error), TP_OK);
    ck_assert_uint_eq(bytes[0].size, bytes[1].size);
    ck_assert_mem_eq(bytes[0].data, bytes[1].data, bytes[0].size);
    ck_assert_mem_eq(first.specials, second.specials, first.special_count * sizeof(uint32_t));
    tp__tokenizer_free(&second);
    for (size_t size = 8; size < bytes[0].size; size++) {
        ck_assert_int_eq(tp__tokenizer_parse(bytes[0].data, size, "i.img", &second, &error),
                         TP_ERROR_FORMAT);
    }
    // One wrong byte anywhere: refused, or another sound tokenizer.
    for (size_t i = 8; i < bytes[0].size; i++) {
        uint8_t kept = bytes[0].data[i];
        bytes[0].data[i] = (uint8_t)(kept + 1 + i % 254);
        tp_status status =
            tp__tokenizer_parse(bytes[0].data, bytes[0].size, "i.img", &second, &error);
        if (status == TP_OK) tp__tokenizer_free(&second);
        bytes[0].data[i] = kept;
    }
    tp__bytes_free(&bytes[0]);
    tp__bytes_free(&bytes[1]);
    tp__tokenizer_free(&first);
}
END_TEST

START_TEST(merges_of_a_damaged_image_are_refused)
{
    static const struct {
        size_t place;
        uint32_t value;
        tp_status status;
        const char *part;
    } cases[] = {
        {8, 2, TP_ERROR_UNSUPPORTED, "version 2"},
        {12, 9, TP_ERROR_FORMAT, "byte 12 of the tokenizer: its kind"},
        {16, 0, TP_ERROR_FORMAT, "byte 16 of the tokenizer: its rule"},
        {20, 0, TP_ERROR_FORMAT, "byte 20 of the tokenizer: its count"},
        {24, 100000, TP_ERROR_FORMAT, "the start token is number 100000"},
        {28, 100000, TP_ERROR_FORMAT, "the end token is number 100000"},
        {32, 100000, TP_ERROR_FORMAT, "the end of turn token is number 100000"},
        {44, 1u << 30, TP_ERROR_FORMAT, "byte 44 of the tokenizer: its pieces"},
        {48, 1u << 30, TP_ERROR_FORMAT, "byte 48 of the tokenizer: it has too many merges"},
        {40, 512, TP_ERROR_FORMAT, "byte 40 of the tokenizer: its flags"},
        {52, 99, TP_ERROR_FORMAT, "byte 52 of the tokenizer: its chat template"},
        {56, 1, TP_ERROR_FORMAT, "its size does not suit its head"},
        {60, 0x7fc00000, TP_ERROR_FORMAT, "byte 60 of the tokenizer: a score"},
        {64, 0xffff, TP_ERROR_FORMAT, "byte 60 of the tokenizer: too long a piece"},
        {64, 0x00ff0001, TP_ERROR_FORMAT, "byte 60 of the tokenizer: a piece of unknown kind"},
    };
    struct tp_tokenizer tokenizer;
    struct tp_error error;
    struct tp_bytes bytes;
    make_tokenizer(1, NULL, &tokenizer);
    ck_assert_int_eq(tp__tokenizer_write(&tokenizer, &bytes, &error), TP_OK);
    size_t merges = 60 + 8 * (size_t)tokenizer.count;
    tp__tokenizer_free(&tokenizer);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        uint8_t kept[4];
        memcpy(kept, bytes.data + cases[c].place, 4);
        for (int i = 0; i < 4; i++) {
            bytes.data[cases[c].place + (size_t)i] = (uint8_t)(cases[c].value >> 8 * i);
        }
        tp_status status = tp__tokenizer_parse(bytes.data, bytes.size, "i.img", &tokenizer, &error);
        ck_assert_int_eq(status, cases[c].status);
        ck_assert_msg(strstr(error.text, cases[c].part) != NULL, "%s", error.text);
        memcpy(bytes.data + cases[c].place, kept, 4);
    }
    // A merge into itself, and the same merge twice.
    uint8_t kept[12];
    memcpy(kept, bytes.data + merges, 12);
    memcpy(bytes.data + merges + 8, bytes.data + merges, 4);
    ck_assert_int_eq(tp__tokenizer_parse(bytes.data, bytes.size, "i.img", &tokenizer, &error),
                     TP_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "a merge into another text"));
    memcpy(bytes.data + merges, kept, 12);
    memcpy(bytes.data + merges + 12, kept, 12);
    ck_assert_int_eq(tp__tokenizer_parse(bytes.data, bytes.size, "i.img", &tokenizer, &error),
                     TP_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "a merge that is there twice"));
    tp__bytes_free(&bytes);
}
END_TEST

/* ---- files ---- */

START_TEST(merges_of_impossible_files_are_refused)
{
    static const struct {
        struct oddity odd;
        tp_status status;
        const char *part;
    } cases[] = {
        {{.rule = "tekken"}, TP_ERROR_UNSUPPORTED, "tokenizer.ggml.pre is \"tekken\""},
        {{.rule = "tekken"}, TP_ERROR_UNSUPPORTED, "gpt-2, default"},
        {{.has_no_merges = true}, TP_ERROR_FORMAT, "tokenizer.ggml.merges is missing"},
        {{.has_no_end = true}, TP_ERROR_FORMAT, "tokenizer.ggml.eos_token_id is missing"},
        {{.end = 5000}, TP_ERROR_FORMAT, "token is number 5000"},
        {{.merge = "ab"}, TP_ERROR_FORMAT, "tokenizer.ggml.merges[119], \"ab\", is not two"},
        {{.merge = ""}, TP_ERROR_FORMAT, "tokenizer.ggml.merges[119]"},
        {{.merge = "a b c"}, TP_ERROR_FORMAT, "is not two pieces"},
        {{.merge = "a "}, TP_ERROR_FORMAT, "has an empty part"},
        {{.merge = " a"}, TP_ERROR_FORMAT, "has an empty part"},
        {{.merge = "qq r"}, TP_ERROR_FORMAT, "has a part that is no piece"},
        {{.merge = "q r"}, TP_ERROR_FORMAT, "makes no piece"},
        {{.merge = "\xe2\x82\xac r"}, TP_ERROR_FORMAT, "is not two pieces"},
        {{.piece = "a"}, TP_ERROR_FORMAT, "pieces 97 and 380 have the same text"},
        {{.piece = "\xe2\x82\xac"}, TP_ERROR_FORMAT, "piece 380 has a character"},
        {{.piece = "<0x41>", .last_type = 6}, TP_ERROR_FORMAT, "piece 380 is a byte"},
        {{.last_type = 9}, TP_ERROR_FORMAT, "piece 380 does not suit its token_type"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct tp_test_bytes file;
        struct tp_tokenizer tokenizer;
        struct tp_error error = {0};
        make_file(1, &cases[c].odd, &file);
        tp_status status = tp__tokenizer_parse(file.data, file.size, "t.gguf", &tokenizer, &error);
        ck_assert_msg(status == cases[c].status, "case %zu: %s", c, error.text);
        ck_assert_msg(strstr(error.text, cases[c].part) != NULL, "case %zu: %s", c, error.text);
        tp_test_bytes_free(&file);
    }
    // The same merge twice.
    struct oddity twice = {.merge = vocabulary.merges[0]};
    struct tp_test_bytes file;
    struct tp_tokenizer tokenizer;
    struct tp_error error;
    make_file(1, &twice, &file);
    ck_assert_int_eq(tp__tokenizer_parse(file.data, file.size, "t.gguf", &tokenizer, &error),
                     TP_ERROR_FORMAT);
    ck_assert_msg(strstr(error.text, "is there twice") != NULL, "%s", error.text);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(merges_report_each_failing_allocation)
{
    struct tp_test_bytes file;
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    struct tp_bytes bytes;
    struct tp_error error;
    make_file(1, &(struct oddity){.rule = "qwen2"}, &file);
    tp_status status = TP_ERROR_NO_MEMORY;
    uint64_t n = 0;
    for (; status != TP_OK; n++) {
        ck_assert_uint_lt(n, 100);
        tp_test_allocation_fails(n);
        status = tp__tokenizer_parse(file.data, file.size, "t.gguf", &tokenizer, &error);
        if (status == TP_OK) {
            status = tp__encoder_open(&tokenizer, 100, &encoder, &error);
            if (status == TP_OK) {
                status = tp__tokenizer_write(&tokenizer, &bytes, &error);
                if (status != TP_OK) tp__encoder_close(&encoder);
            }
            if (status != TP_OK) tp__tokenizer_free(&tokenizer);
        }
        (void)tp_test_allocations_work();
        ck_assert(status == TP_OK || status == TP_ERROR_NO_MEMORY);
    }
    ck_assert_uint_ge(n, 20);
    tp__bytes_free(&bytes);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("merges");
    TCase *text = tcase_create("text");
    tcase_set_timeout(text, 600);
    tcase_add_loop_test(text, merges_are_those_of_the_plain_algorithm, 0, 4);
    tcase_add_loop_test(text, merges_take_a_whole_word_where_the_rule_says_so, 0, 2);
    tcase_add_test(text, merges_stay_in_the_words_of_each_rule);
    tcase_add_test(text, merges_know_rules_by_name_and_by_text);
    tcase_add_test(text, merges_see_text_in_form_c);
    tcase_add_loop_test(text, merges_leave_control_tokens_to_templates, 0, 2);
    tcase_add_loop_test(text, merges_decode_to_whole_characters, 0, 2);
    suite_add_tcase(suite, text);
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 600);
    tcase_add_loop_test(files, merges_survive_the_form_for_images, 0, 2);
    tcase_add_test(files, merges_of_a_damaged_image_are_refused);
    tcase_add_test(files, merges_of_impossible_files_are_refused);
    tcase_add_test(files, merges_report_each_failing_allocation);
    suite_add_tcase(suite, files);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about the tokenizer: ids equal those of the plain algorithm (merge the best pair until
// none is left, by trying all pairs each time); the GGUF and llama2.c forms of a vocabulary give
// the same ids; decoding gives the text back, in pieces that never split a character; text cannot
// make control tokens; bad text, full lists, other vocabularies, damaged files and each failing
// allocation are reported; encoding and decoding allocate nothing; long texts take n log n.
//
// Vocabularies that the test makes, with deep merges, ties, repeated pieces and missing bytes; the
// real ones where they are present.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "encode.h"
#include "model_files.h"
#include "random.h"
#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512, TEXT_BYTES = 400, TOKENS = 4096, VOCAB = 640, FUZZ_RUNS = 2000 };

/* ---- vocabularies ---- */

static void parse(const struct tp_test_bytes *file, struct tp_tokenizer *tokenizer)
{
    struct tp_error error = {0};
    tp_status status = tp__tokenizer_parse(file->data, file->size, "tok.bin", tokenizer, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

struct piece {
    char text[64];
    float score;
};

/* The pieces of tp_test_piece, then pieces that join two earlier ones, with random scores of which
 * many are equal. */
static void make_pieces(struct tp_random *random, struct piece *pieces, uint32_t count)
{
    for (uint32_t id = 0; id < count; id++) {
        tp_test_piece(id, pieces[id].text, &pieces[id].score);
        if (id < 3 + 256 + 19) continue;
        struct piece *joint = &pieces[id];
        do {
            const struct piece *a = &pieces[259 + tp_random_below(random, id - 259)];
            const struct piece *b = &pieces[259 + tp_random_below(random, id - 259)];
            snprintf(joint->text, sizeof joint->text, "%.30s%.30s", a->text, b->text);
        } while (strlen(joint->text) > 24);
        joint->score = (float)tp_random_range(random, -20, 20);
    }
    pieces[count - 1].score = -2e10f;  // below what the algorithm takes for a pair
}

static void write_pieces(const struct piece *pieces, uint32_t count, struct tp_test_bytes *file)
{
    *file = (struct tp_test_bytes){0};
    tp_test_put_u32(file, 64);
    for (uint32_t id = 0; id < count; id++) {
        tp_test_put_f32(file, pieces[id].score);
        tp_test_put_u32(file, (uint32_t)strlen(pieces[id].text));
        tp_test_put(file, pieces[id].text, strlen(pieces[id].text));
    }
}

/* Text from the characters of the vocabulary, and some that have no piece. */
static size_t random_text(struct tp_random *random, char *text, size_t room)
{
    static const char *const others[] = {"z", "\xc3\xa4", "\xe2\x82\xad", "\xf0\x9f\x98\x81",
                                         "<", "\x01"};
    size_t size = 0;
    while (size + 16 < room) {
        char piece[16];
        float score;
        tp_test_piece(259 + tp_random_below(random, 19), piece, &score);
        const char *one = tp_random_chance(random, 16) ? others[tp_random_below(random, 6)] : piece;
        memcpy(text + size, one, strlen(one));
        size += strlen(one);
    }
    text[size] = '\0';
    return size;
}

/* ---- the plain algorithm ---- */

static uint32_t plain_find(const struct tp_tokenizer *tokenizer, const char *text, size_t size)
{
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        uint32_t length = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
        if (length != size || tokenizer->kinds[id] != TP_PIECE_NORMAL) continue;
        if (memcmp(tokenizer->text + tokenizer->offsets[id], text, size) == 0) return id;
    }
    return TP_TOKEN_NONE;
}

static uint32_t plain_split(const struct tp_tokenizer *tokenizer, const char *text,
                            uint32_t *tokens)
{
    uint32_t count = 0;
    tokens[count++] = 1;
    char spaced[2 * TEXT_BYTES] = " ";
    strcat(spaced, text);
    for (const char *c = spaced; *c != '\0';) {
        size_t length = 1;
        while (((uint8_t)c[length] & 0xc0) == 0x80) length++;
        uint32_t id = plain_find(tokenizer, c, length);
        if (id != TP_TOKEN_NONE) tokens[count++] = id;
        for (size_t i = 0; id == TP_TOKEN_NONE && i < length; i++) {
            tokens[count++] = (uint8_t)c[i] + 3u;
        }
        c += length;
    }
    return count;
}

static uint32_t plain_encode(const struct tp_tokenizer *tokenizer, const char *text,
                             uint32_t *tokens)
{
    uint32_t count = plain_split(tokenizer, text, tokens);
    for (;;) {
        float best_score = -1e10f;
        uint32_t best_id = 0;
        uint32_t best = TP_TOKEN_NONE;
        for (uint32_t i = 1; i + 1 < count; i++) {
            char pair[128] = "";
            for (uint32_t k = i; k < i + 2; k++) {
                uint32_t offset = tokenizer->offsets[tokens[k]];
                strncat(pair, tokenizer->text + offset, tokenizer->offsets[tokens[k] + 1] - offset);
            }
            uint32_t id = plain_find(tokenizer, pair, strlen(pair));
            if (id == TP_TOKEN_NONE || !(tokenizer->scores[id] > best_score)) continue;
            best_score = tokenizer->scores[id];
            best_id = id;
            best = i;
        }
        if (best == TP_TOKEN_NONE) return count;
        tokens[best] = best_id;
        memmove(tokens + best + 1, tokens + best + 2, (count - best - 2) * sizeof tokens[0]);
        count--;
    }
}

/* ---- encoding ---- */

static uint32_t tokens[TOKENS];
static uint32_t expected[TOKENS];

static uint32_t encode(struct tp_encoder *encoder, const char *text, size_t size)
{
    uint32_t count;
    struct tp_error error = {0};
    uint64_t before = tp_test_allocations();
    tp_status status = tp__encode(encoder, text, size, true, true, tokens, TOKENS, &count, &error);
    // Taken before the next ck_assert, which allocates.
    uint64_t allocations = tp_test_allocations() - before;
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert_uint_eq(allocations, 0);
    return count;
}

static void open_encoder(const struct tp_tokenizer *tokenizer, size_t size,
                         struct tp_encoder *encoder)
{
    struct tp_error error = {0};
    tp_status status = tp__encoder_open(tokenizer, size, encoder, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

START_TEST(tokenizer_encodes_like_the_plain_algorithm)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    static struct piece pieces[VOCAB];
    make_pieces(&random, pieces, VOCAB);
    struct tp_test_bytes file;
    write_pieces(pieces, VOCAB, &file);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    ck_assert_uint_eq(tokenizer.count, VOCAB);
    struct tp_encoder encoder;
    open_encoder(&tokenizer, TEXT_BYTES, &encoder);
    uint32_t merged = 0;
    for (int run = 0; run < 20; run++) {
        char text[TEXT_BYTES];
        size_t size = random_text(&random, text, 20 + tp_random_below(&random, 180));
        uint32_t count = encode(&encoder, text, size);
        ck_assert_uint_eq(count, plain_encode(&tokenizer, text, expected));
        ck_assert_mem_eq(tokens, expected, count * sizeof tokens[0]);
        for (uint32_t i = 0; i < count; i++) merged += tokens[i] >= 3 + 256 + 19;
    }
    ck_assert_uint_gt(merged, 20);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

static const struct tp_test_model model = {.dim = 4,
                                           .hidden = 4,
                                           .layers = 1,
                                           .heads = 1,
                                           .kv_heads = 1,
                                           .vocab = VOCAB,
                                           .context = 4,
                                           .seed = 1};

START_TEST(tokenizer_is_the_same_in_gguf_and_llama2c_form)
{
    struct tp_test_gguf options = {.has_tokenizer = true};
    struct tp_test_bytes files[2];
    struct tp_tokenizer tokenizers[2];
    struct tp_encoder encoders[2];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    tp_test_write_tokenizer(VOCAB, &files[0]);
    tp_test_write_gguf(&model, &options, &files[1], NULL, NULL);
    for (int i = 0; i < 2; i++) {
        parse(&files[i], &tokenizers[i]);
        open_encoder(&tokenizers[i], TEXT_BYTES, &encoders[i]);
        ck_assert_uint_eq(tokenizers[i].bos, 1);
        ck_assert_uint_eq(tokenizers[i].eos, 2);
        ck_assert_uint_eq(tokenizers[i].unknown, 0);
    }
    for (int run = 0; run < 20; run++) {
        char text[TEXT_BYTES];
        size_t size = random_text(&random, text, TEXT_BYTES);
        uint32_t count = encode(&encoders[0], text, size);
        memcpy(expected, tokens, count * sizeof tokens[0]);
        ck_assert_uint_eq(encode(&encoders[1], text, size), count);
        ck_assert_mem_eq(tokens, expected, count * sizeof tokens[0]);
    }
    for (int i = 0; i < 2; i++) {
        tp__encoder_close(&encoders[i]);
        tp__tokenizer_free(&tokenizers[i]);
        tp_test_bytes_free(&files[i]);
    }
}
END_TEST

START_TEST(tokenizer_makes_no_control_tokens_from_text)
{
    static const char *const texts[] = {"\n<s>\n", "\n</s>\n", "<s>", "</s>", "<unk>", "<0x41>"};
    struct tp_test_gguf options = {.has_tokenizer = true};
    struct tp_test_bytes file;
    if (_i == 0) {
        tp_test_write_tokenizer(VOCAB, &file);
    } else {
        tp_test_write_gguf(&model, &options, &file, NULL, NULL);
    }
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    struct tp_encoder encoder;
    open_encoder(&tokenizer, TEXT_BYTES, &encoder);
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        ck_assert_uint_eq(tp__tokenizer_find(&tokenizer, texts[t], strlen(texts[t])),
                          TP_TOKEN_NONE);
        uint32_t count = encode(&encoder, texts[t], strlen(texts[t]));
        for (uint32_t i = 1; i < count; i++) ck_assert_uint_gt(tokens[i], 2);
        // '<' has no piece: it is the byte 0x3c.
        if (texts[t][0] == '<') ck_assert_uint_eq(tokens[2], 3 + '<');
    }
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(tokenizer_encodes_edges)
{
    struct tp_test_bytes file;
    tp_test_write_tokenizer(VOCAB, &file);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    struct tp_encoder encoder;
    open_encoder(&tokenizer, 8, &encoder);
    struct tp_error error;
    uint32_t count;
    ck_assert_uint_eq(encode(&encoder, "", 0), 1);
    ck_assert_uint_eq(tokens[0], 1);
    ck_assert_int_eq(tp__encode(&encoder, "", 0, false, true, tokens, 0, &count, &error), TP_OK);
    ck_assert_uint_eq(count, 0);
    // Without bos and space in front: only the letter. "e" is the second character.
    ck_assert_int_eq(tp__encode(&encoder, "e", 1, false, false, tokens, 1, &count, &error), TP_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(tokens[0], 260);
    // NUL is a byte like any other.
    ck_assert_int_eq(tp__encode(&encoder, "\0", 1, false, false, tokens, 1, &count, &error), TP_OK);
    ck_assert_uint_eq(tokens[0], 3);

    ck_assert_int_eq(tp__encode(&encoder, "zzzz", 4, true, true, tokens, 5, &count, &error),
                     TP_ERROR_FULL);
    ck_assert_uint_eq(count, 6);
    ck_assert_msg(strstr(error.text, "6 tokens, there is room for 5") != NULL, "%s", error.text);
    ck_assert_int_eq(tp__encode(&encoder, "zzzzzzzzz", 9, true, true, tokens, 99, &count, &error),
                     TP_ERROR_FULL);
    ck_assert_uint_eq(count, TP_TOKEN_NONE);
    ck_assert_int_eq(
        tp__encode(&encoder, "ab\xc3\xa9\xff", 5, true, true, tokens, 99, &count, &error),
        TP_ERROR_FORMAT);
    ck_assert_msg(strstr(error.text, "byte 4 is 0xff") != NULL, "%s", error.text);
    ck_assert_int_eq(tp__encode(&encoder, "ab\xc3", 3, true, true, tokens, 99, &count, &error),
                     TP_ERROR_FORMAT);
    tp__encoder_close(&encoder);
    ck_assert_int_eq(tp__encoder_open(&tokenizer, SIZE_MAX, &encoder, &error), TP_ERROR_TOO_LARGE);
    ck_assert_uint_ge(tp__tokenizer_text_bytes(&tokenizer, 10), 80);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(tokenizer_without_bytes_takes_the_unknown_token)
{
    for (int has_unknown = 0; has_unknown < 2; has_unknown++) {
        struct tp_test_bytes file = {0};
        tp_test_put_u32(&file, 8);
        const char *const pieces[] = {has_unknown ? "<unk>" : "x", "<s>", "</s>", "a", " "};
        for (int i = 0; i < 5; i++) {
            tp_test_put_f32(&file, 0.0f);
            tp_test_put_u32(&file, (uint32_t)strlen(pieces[i]));
            tp_test_put(&file, pieces[i], strlen(pieces[i]));
        }
        struct tp_tokenizer tokenizer;
        parse(&file, &tokenizer);
        struct tp_encoder encoder;
        open_encoder(&tokenizer, TEXT_BYTES, &encoder);
        struct tp_error error;
        uint32_t count;
        tp_status status = tp__encode(&encoder,
                                      "a\xe2\x82\xac"
                                      "a",
                                      5, true, true, tokens, TOKENS, &count, &error);
        if (has_unknown) {
            const uint32_t ids[] = {1, 4, 3, 0, 3};
            ck_assert_int_eq(status, TP_OK);
            ck_assert_uint_eq(count, 5);
            ck_assert_mem_eq(tokens, ids, sizeof ids);
        } else {
            ck_assert_int_eq(status, TP_ERROR_RANGE);
            ck_assert_msg(strstr(error.text, "\xe2\x82\xac") != NULL, "%s", error.text);
        }
        tp__encoder_close(&encoder);
        tp__tokenizer_free(&tokenizer);
        tp_test_bytes_free(&file);
    }
}
END_TEST

START_TEST(tokenizer_encodes_long_texts_quickly)
{
    // One letter without end makes all pairs equal: a megabyte of it would take hours in steps of
    // one pair each over the whole text.
    enum { SIZE = 1 << 20 };
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    static struct piece pieces[VOCAB];
    make_pieces(&random, pieces, VOCAB);
    struct tp_test_bytes file;
    write_pieces(pieces, VOCAB, &file);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    struct tp_encoder encoder;
    open_encoder(&tokenizer, SIZE, &encoder);
    char *text = malloc(SIZE);
    uint32_t *ids = malloc((SIZE + 2) * sizeof ids[0]);
    for (size_t i = 0; i < SIZE; i++) text[i] = "etaon"[_i == 0 ? 0 : tp_random_below(&random, 5)];
    uint32_t count;
    struct tp_error error;
    ck_assert_int_eq(tp__encode(&encoder, text, SIZE, true, true, ids, SIZE + 2, &count, &error),
                     TP_OK);
    ck_assert_uint_le(count, SIZE + 2);
    free(text);
    free(ids);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

/* ---- decoding ---- */

/* Decodes into text, checking that each part is whole characters. Returns the size. */
static size_t decode(const struct tp_tokenizer *tokenizer, const uint32_t *ids, uint32_t count,
                     char *text)
{
    struct tp_decoder decoder;
    char part[256];
    size_t size = 0;
    ck_assert_uint_le(tp__decode_bytes_max(tokenizer), sizeof part);
    tp__decoder_start(&decoder, tokenizer, TP_TOKEN_NONE);
    for (uint32_t i = 0; i <= count; i++) {
        size_t length =
            i < count ? tp__decode(&decoder, ids[i], part) : tp__decode_end(&decoder, part);
        bool is_whole = tp__utf8_check((uint8_t *)part, length) == length && part[length] == '\0';
        if (!is_whole || length >= tp__decode_bytes_max(tokenizer)) ck_abort_msg("token %u", i);
        memcpy(text + size, part, length);
        size += length;
    }
    return size;
}

START_TEST(tokenizer_decodes_what_it_encoded)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    static struct piece pieces[VOCAB];
    make_pieces(&random, pieces, VOCAB);
    struct tp_test_bytes file;
    write_pieces(pieces, VOCAB, &file);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    struct tp_encoder encoder;
    open_encoder(&tokenizer, TEXT_BYTES, &encoder);
    for (int run = 0; run < 50; run++) {
        char text[TEXT_BYTES];
        static char back[4 * TEXT_BYTES];
        size_t size = random_text(&random, text, TEXT_BYTES);
        uint32_t count = encode(&encoder, text, size);
        ck_assert_uint_eq(decode(&tokenizer, tokens, count, back), size);
        ck_assert_mem_eq(back, text, size);
    }
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(tokenizer_decodes_any_tokens_to_whole_characters)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_test_bytes file;
    tp_test_write_tokenizer(VOCAB, &file);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    static char text[256 * TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++) tokens[i] = tp_random_below(&random, VOCAB);
    decode(&tokenizer, tokens, TOKENS, text);
    struct tp_decoder decoder;
    uint64_t before = tp_test_allocations();
    tp__decoder_start(&decoder, &tokenizer, TP_TOKEN_NONE);
    for (uint32_t i = 0; i < TOKENS; i++) tp__decode(&decoder, tokens[i], text);
    uint64_t allocations = tp_test_allocations() - before;
    ck_assert_uint_eq(allocations, 0);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(tokenizer_decodes_edges)
{
    struct tp_test_bytes file;
    tp_test_write_tokenizer(VOCAB, &file);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    struct tp_decoder decoder;
    char part[256];
    const uint32_t space = 259;
    // The space behind bos is the one that encoding put there.
    tp__decoder_start(&decoder, &tokenizer, 1);
    ck_assert_uint_eq(tp__decode(&decoder, space, part), 0);
    ck_assert_uint_eq(tp__decode(&decoder, space, part), 1);
    ck_assert_uint_eq(tp__decode(&decoder, 1, part), 0);
    ck_assert_uint_eq(tp__decode(&decoder, space, part), 0);
    tp__decoder_start(&decoder, &tokenizer, 300);
    ck_assert_uint_eq(tp__decode(&decoder, space, part), 1);
    ck_assert_uint_eq(tp__decode(&decoder, 2, part), 0);
    // The euro sign in three bytes, then a part of one.
    ck_assert_uint_eq(tp__decode(&decoder, 3 + 0xe2, part), 0);
    ck_assert_uint_eq(tp__decode(&decoder, 3 + 0x82, part), 0);
    ck_assert_uint_eq(tp__decode(&decoder, 3 + 0xac, part), 3);
    ck_assert_str_eq(part, "\xe2\x82\xac");
    ck_assert_uint_eq(tp__decode(&decoder, 3 + 0xe2, part), 0);
    ck_assert_uint_eq(tp__decode(&decoder, 260, part), 4);
    ck_assert_str_eq(part, "\xef\xbf\xbd"
                           "e");
    ck_assert_uint_eq(tp__decode(&decoder, 3 + 0xff, part), 3);
    ck_assert_uint_eq(tp__decode(&decoder, 3 + 0xf0, part), 0);
    ck_assert_uint_eq(tp__decode_end(&decoder, part), 3);
    ck_assert_uint_eq(tp__decode_end(&decoder, part), 0);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

/* ---- bad files ---- */

static bool check_any(const uint8_t *data, size_t size)
{
    struct tp_tokenizer tokenizer;
    struct tp_error error = {0};
    tp_status status = tp__tokenizer_parse(data, size, "tok.bin", &tokenizer, &error);
    if (status != TP_OK) {
        bool is_sound = error.status == status && strstr(error.text, "tok.bin") != NULL;
        if (!is_sound) ck_abort_msg("%s", error.text);
        return false;
    }
    struct tp_encoder encoder;
    open_encoder(&tokenizer, TEXT_BYTES, &encoder);
    const char *text = "one e\xc3\xa9 \xe2\x82\xac tata";
    uint32_t count;
    status = tp__encode(&encoder, text, strlen(text), true, true, tokens, TOKENS, &count, &error);
    for (uint32_t i = 0; status == TP_OK && i < count; i++) {
        if (tokens[i] >= tokenizer.count) ck_abort_msg("token %u", tokens[i]);
    }
    struct tp_decoder decoder;
    char *part = malloc(tp__decode_bytes_max(&tokenizer));
    tp__decoder_start(&decoder, &tokenizer, tokenizer.bos);
    for (uint32_t id = 0; id < tokenizer.count; id++) tp__decode(&decoder, id, part);
    free(part);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    return true;
}

START_TEST(tokenizer_refuses_a_file_cut_inside_a_piece)
{
    struct tp_test_bytes file;
    tp_test_write_tokenizer(300, &file);
    // Between two pieces a shorter vocabulary is left, which the model's size gives away.
    uint32_t taken = 0;
    for (size_t size = 0; size < file.size; size++) taken += check_any(file.data, size);
    ck_assert_uint_eq(taken, 300 - 3);
    struct tp_test_gguf options = {.has_tokenizer = true};
    tp_test_bytes_free(&file);
    size_t header;
    tp_test_write_gguf(&model, &options, &file, &header, NULL);
    for (size_t size = 0; size < header; size += 1 + size / 64) {
        if (check_any(file.data, size)) ck_abort_msg("%zu bytes were taken", size);
    }
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(tokenizer_survives_random_damage)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_test_gguf options = {.has_tokenizer = true};
    struct tp_test_bytes sound;
    struct tp_test_bytes file = {0};
    struct tp_test_model small = model;
    small.vocab = 270;
    if (_i == 0) {
        tp_test_write_tokenizer(270, &sound);
    } else {
        tp_test_write_gguf(&small, &options, &sound, NULL, NULL);
    }
    tp_test_put(&file, sound.data, sound.size);
    const char *limit = getenv("TP_FUZZ_SECONDS");
    uint64_t runs = limit != NULL ? (uint64_t)(1000.0 * atof(limit)) : FUZZ_RUNS;
    for (uint64_t run = 0; run < runs; run++) {
        memcpy(file.data, sound.data, sound.size);
        for (uint32_t n = 1 + tp_random_below(&random, 4); n > 0; n--) {
            size_t place = tp_random_below(&random, (uint32_t)file.size);
            file.data[place] ^= (uint8_t)(1u << tp_random_below(&random, 8));
            if (tp_random_chance(&random, 64)) file.data[place] = 255;
        }
        bool is_cut = tp_random_chance(&random, 16);
        check_any(file.data, is_cut ? tp_random_below(&random, (uint32_t)file.size) : file.size);
    }
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&sound);
}
END_TEST

static void expect_error(const struct tp_test_bytes *file, tp_status expected_status,
                         const char *part)
{
    struct tp_tokenizer tokenizer;
    struct tp_error error = {0};
    tp_status status = tp__tokenizer_parse(file->data, file->size, "tok.bin", &tokenizer, &error);
    ck_assert_msg(status == expected_status, "%s: %s", tp_status_name(status), error.text);
    ck_assert_msg(strstr(error.text, part) != NULL, "no \"%s\" in: %s", part, error.text);
}

START_TEST(tokenizer_refuses_impossible_files)
{
    struct tp_test_bytes file;
    tp_test_write_tokenizer(VOCAB, &file);
    file.data[0] = 5;
    expect_error(&file, TP_ERROR_FORMAT, "piece 2 is longer than the header allows");
    file.data[0] = 0;
    expect_error(&file, TP_ERROR_FORMAT, "longest piece would have 0 bytes");
    file.data[3] = 1;
    expect_error(&file, TP_ERROR_FORMAT, "longest piece would have 16777216 bytes");
    tp_test_bytes_free(&file);
    tp_test_write_tokenizer(VOCAB, &file);
    memcpy(file.data + 4, "\0\0\xc0\x7f", 4);
    expect_error(&file, TP_ERROR_FORMAT, "piece 0 has a score that is not finite");
    memcpy(file.data + 4, "\0\0\0\0\xff\xff\xff\xff", 8);
    expect_error(&file, TP_ERROR_FORMAT, "piece 0 is longer");
    tp_test_bytes_free(&file);
    tp_test_write_tokenizer(2, &file);
    expect_error(&file, TP_ERROR_FORMAT, "has 2 pieces");
    tp_test_bytes_free(&file);
    tp_test_write_tokenizer(0, &file);
    expect_error(&file, TP_ERROR_FORMAT, "has 0 pieces");
    tp_test_bytes_free(&file);
    static const struct {
        struct tp_test_gguf options;
        tp_status status;
        const char *part;
    } cases[] = {
        {{.extra_key = "tokenizer.ggml.model"}, TP_ERROR_FORMAT, "is not a string"},
        {{.extra_string_key = "tokenizer.ggml.model", .extra_string = "bert"},
         TP_ERROR_UNSUPPORTED,
         "\"bert\""},
        {{.extra_string_key = "tokenizer.ggml.model", .extra_string = "gpt2"},
         TP_ERROR_FORMAT,
         "tokens is missing"},
        {{.extra_string_key = "tokenizer.ggml.model", .extra_string = "llama"},
         TP_ERROR_FORMAT,
         "tokens is missing"},
        {{.extra_string_key = "tokenizer.ggml.tokens", .extra_string = "x"},
         TP_ERROR_FORMAT,
         "model is missing"},
        {{.has_tokenizer = true,
          .extra_string_key = "tokenizer.ggml.add_bos_token",
          .extra_string = "x"},
         TP_ERROR_FORMAT,
         "true or false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tp_test_write_gguf(&model, &cases[i].options, &file, NULL, NULL);
        expect_error(&file, cases[i].status, cases[i].part);
        tp_test_bytes_free(&file);
    }
}
END_TEST

/* A GGUF vocabulary of three pieces and a bos of choice: the class of a one-token vocabulary with
 * the default bos. */
static void write_small_gguf(struct tp_test_bytes *file, uint32_t count, uint32_t score_count,
                             uint32_t type, uint32_t bos)
{
    *file = (struct tp_test_bytes){0};
    tp_test_put(file, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0", 24);
    tp_test_put_string(file, "tokenizer.ggml.model");
    tp_test_put_u32(file, 8);
    tp_test_put_string(file, "llama");
    tp_test_put_string(file, "tokenizer.ggml.tokens");
    tp_test_put_u32(file, 9);
    tp_test_put_u32(file, 8);
    tp_test_put_u64(file, count);
    for (uint32_t i = 0; i < count; i++) tp_test_put_string(file, "abc");
    tp_test_put_string(file, "tokenizer.ggml.scores");
    tp_test_put_u32(file, 9);
    tp_test_put_u32(file, 6);
    tp_test_put_u64(file, score_count);
    for (uint32_t i = 0; i < score_count; i++) tp_test_put_f32(file, 0.0f);
    tp_test_put_string(file, "tokenizer.ggml.token_type");
    tp_test_put_u32(file, 9);
    tp_test_put_u32(file, 5);
    tp_test_put_u64(file, count);
    for (uint32_t i = 0; i < count; i++) tp_test_put_u32(file, type);
    tp_test_put_string(file, "tokenizer.ggml.bos_token_id");
    tp_test_put_u32(file, 4);
    tp_test_put_u32(file, bos);
}

START_TEST(tokenizer_refuses_special_tokens_that_do_not_exist)
{
    struct tp_test_bytes file;
    write_small_gguf(&file, 3, 3, 1, 0);
    struct tp_tokenizer tokenizer;
    parse(&file, &tokenizer);
    ck_assert_uint_eq(tokenizer.unknown, TP_TOKEN_NONE);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
    static const struct {
        uint32_t count;
        uint32_t scores;
        uint32_t type;
        uint32_t bos;
        const char *part;
    } cases[] = {
        {3, 3, 1, 3, "the start token is number 3 of a vocabulary of only 3"},
        {3, 3, 1, UINT32_MAX, "the start token is number 4294967295"},
        {1, 1, 1, 0, "the end token is number 2 of a vocabulary of only 1"},
        {3, 2, 1, 0, "3 pieces, but 2 scores"},
        {3, 3, 6, 0, "does not suit its token_type"},
        {3, 3, 0, 0, "does not suit its token_type"},
        {3, 3, 0xffffffff, 0, "does not suit its token_type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_small_gguf(&file, cases[i].count, cases[i].scores, cases[i].type, cases[i].bos);
        expect_error(&file, TP_ERROR_FORMAT, cases[i].part);
        tp_test_bytes_free(&file);
    }
}
END_TEST

START_TEST(tokenizer_of_another_vocabulary_is_refused)
{
    struct tp_test_bytes model_file;
    struct tp_test_bytes file;
    struct tp_source_model source;
    struct tp_error error = {0};
    struct tp_tokenizer tokenizer;
    tp_test_write_llama2c(&model, 0, &model_file);
    ck_assert_int_eq(
        tp__source_model_parse(model_file.data, model_file.size, "m.bin", &source, &error), TP_OK);
    ck_assert_int_eq(tp__tokenizer_of_model(&source, &tokenizer, &error), TP_ERROR_NOT_FOUND);
    ck_assert_msg(strstr(error.text, "--tokenizer") != NULL, "%s", error.text);
    tp_test_write_tokenizer(VOCAB + 1, &file);
    parse(&file, &tokenizer);
    ck_assert_int_eq(tp__tokenizer_check_model(&tokenizer, source.shape.vocab, "m.bin", &error),
                     TP_ERROR_MISMATCH);
    ck_assert_msg(strstr(error.text, "641 pieces") != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, "vocabulary of 640") != NULL, "%s", error.text);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
    tp_test_write_tokenizer(VOCAB, &file);
    parse(&file, &tokenizer);
    ck_assert_int_eq(tp__tokenizer_check_model(&tokenizer, source.shape.vocab, "m.bin", &error),
                     TP_OK);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
    tp__source_model_free(&source);
    tp_test_bytes_free(&model_file);
}
END_TEST

START_TEST(tokenizer_reports_each_failing_allocation)
{
    struct tp_test_gguf options = {.has_tokenizer = true};
    struct tp_test_bytes file;
    if (_i == 0) {
        tp_test_write_tokenizer(VOCAB, &file);
    } else {
        tp_test_write_gguf(&model, &options, &file, NULL, NULL);
    }
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    struct tp_error error;
    tp_status status = TP_ERROR_NO_MEMORY;
    uint64_t n = 0;
    for (; status != TP_OK; n++) {
        ck_assert_uint_lt(n, 100);
        tp_test_allocation_fails(n);
        status = tp__tokenizer_parse(file.data, file.size, "tok.bin", &tokenizer, &error);
        if (status == TP_OK) {
            status = tp__encoder_open(&tokenizer, 100, &encoder, &error);
            if (status != TP_OK) tp__tokenizer_free(&tokenizer);
        }
        (void)tp_test_allocations_work();
        ck_assert(status == TP_OK || status == TP_ERROR_NO_MEMORY);
    }
    ck_assert_uint_ge(n, 9);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&file);
}
END_TEST

/* ---- real vocabularies ---- */

static bool load_real(const char *name, struct tp_tokenizer *tokenizer)
{
    char path[PATH_BYTES];
    struct tp_error error = {0};
    if (!tp_test_find_model(name, path, sizeof path)) return false;
    ck_assert_msg(tp__tokenizer_load(path, tokenizer, &error) == TP_OK, "%s", error.text);
    return true;
}

START_TEST(tokenizer_forms_of_real_vocabularies_agree)
{
    static const char *const names[2][2] = {{"tok512.bin", "stories260K.gguf"},
                                            {"tokenizer.bin", "ggml-vocab-llama-spm.gguf"}};
    char path[PATH_BYTES];
    struct tp_tokenizer tokenizers[2];
    struct tp_encoder encoders[2];
    struct tp_error error;
    struct tp_bytes text;
    if (!tp_test_find_model("tinystories-sample.txt", path, sizeof path)) return;
    if (!load_real(names[_i][0], &tokenizers[0]) || !load_real(names[_i][1], &tokenizers[1]))
        return;
    ck_assert_int_eq(tp__file_read(path, 1 << 24, &text, &error), TP_OK);
    uint32_t *ids[2];
    uint32_t count[2];
    for (int i = 0; i < 2; i++) {
        open_encoder(&tokenizers[i], text.size, &encoders[i]);
        ids[i] = malloc((text.size + 2) * sizeof ids[i][0]);
        ck_assert_int_eq(tp__encode(&encoders[i], (char *)text.data, text.size, true, true, ids[i],
                                    (uint32_t)text.size + 2, &count[i], &error),
                         TP_OK);
    }
    ck_assert_uint_eq(count[0], count[1]);
    ck_assert_mem_eq(ids[0], ids[1], count[0] * sizeof ids[0][0]);
    char *back = malloc(text.size + 4);
    ck_assert_uint_eq(decode(&tokenizers[0], ids[0], count[0], back), text.size);
    ck_assert_mem_eq(back, text.data, text.size);
    for (int i = 0; i < 2; i++) {
        free(ids[i]);
        tp__encoder_close(&encoders[i]);
        tp__tokenizer_free(&tokenizers[i]);
    }
    free(back);
    tp__bytes_free(&text);
}
END_TEST

START_TEST(tokenizer_encodes_known_ids)
{
    // The ids that the tools of the vocabulary's makers give.
    static const uint32_t llama[] = {1, 15043, 29892, 590, 1024, 338};
    static const uint32_t stories[] = {1, 403, 407, 261, 378};
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    const char *text = _i == 0 ? "Once upon a time" : "Hello, my name is";
    const uint32_t *ids = _i == 0 ? stories : llama;
    if (!load_real(_i == 0 ? "tok512.bin" : "tokenizer.bin", &tokenizer)) return;
    open_encoder(&tokenizer, 100, &encoder);
    uint32_t count = encode(&encoder, text, strlen(text));
    ck_assert_uint_eq(count, _i == 0 ? 5 : 6);
    for (uint32_t i = 0; i < count; i++) ck_assert_uint_eq(tokens[i], ids[i]);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *text = tcase_create("text");
    tcase_set_timeout(text, 600);
    tcase_add_loop_test(text, tokenizer_encodes_like_the_plain_algorithm, 0, 4);
    tcase_add_loop_test(text, tokenizer_is_the_same_in_gguf_and_llama2c_form, 0, 2);
    tcase_add_loop_test(text, tokenizer_makes_no_control_tokens_from_text, 0, 2);
    tcase_add_test(text, tokenizer_encodes_edges);
    tcase_add_test(text, tokenizer_without_bytes_takes_the_unknown_token);
    tcase_add_loop_test(text, tokenizer_encodes_long_texts_quickly, 0, 2);
    tcase_add_loop_test(text, tokenizer_decodes_what_it_encoded, 0, 4);
    tcase_add_loop_test(text, tokenizer_decodes_any_tokens_to_whole_characters, 0, 2);
    tcase_add_test(text, tokenizer_decodes_edges);
    tcase_add_loop_test(text, tokenizer_forms_of_real_vocabularies_agree, 0, 2);
    tcase_add_loop_test(text, tokenizer_encodes_known_ids, 0, 2);
    suite_add_tcase(suite, text);
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 100000);
    tcase_add_test(files, tokenizer_refuses_a_file_cut_inside_a_piece);
    tcase_add_loop_test(files, tokenizer_survives_random_damage, 0, 2);
    tcase_add_test(files, tokenizer_refuses_impossible_files);
    tcase_add_test(files, tokenizer_refuses_special_tokens_that_do_not_exist);
    tcase_add_test(files, tokenizer_of_another_vocabulary_is_refused);
    tcase_add_loop_test(files, tokenizer_reports_each_failing_allocation, 0, 2);
    suite_add_tcase(suite, files);
    return suite;
}

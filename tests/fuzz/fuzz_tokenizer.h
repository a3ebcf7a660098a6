// SPDX-License-Identifier: Apache-2.0
//
// What the tokenizer targets share: a sound tokenizer must survive encoding, decoding and writing.

#ifndef TP_TEST_FUZZ_TOKENIZER_H
#define TP_TEST_FUZZ_TOKENIZER_H

#include "encode.h"
#include "fuzz.h"
#include "tokenizer.h"

enum { TEXT_BYTES = 64, TOKENS_MAX = 4 * TEXT_BYTES };

static void fuzz_encode(const struct tp_tokenizer *tokenizer, const char *text, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_encoder encoder;
    uint32_t tokens[TOKENS_MAX];
    uint32_t count = 0;
    if (tp__encoder_open(tokenizer, TEXT_BYTES, &encoder, &error) != TP_OK) {
        return;
    }
    tp_status status = tp__encode(&encoder, text, size, true, tokenizer->add_space, tokens,
                                  TOKENS_MAX, &count, &error);
    if (status == TP_OK) {
        struct tp_decoder decoder;
        char *piece = malloc(tp__decode_bytes_max(tokenizer));
        tp__decoder_start(&decoder, tokenizer, TP_TOKEN_NONE);
        for (uint32_t i = 0; i < count && piece != NULL; i++) {
            (void)tp__decode(&decoder, tokens[i], piece);
        }
        if (piece != NULL) {
            (void)tp__decode_end(&decoder, piece);
        }
        free(piece);
    }
    tp__encoder_close(&encoder);
}

// What is written must be read again as it was.
static void fuzz_write(const struct tp_tokenizer *tokenizer)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_tokenizer again;
    struct tp_bytes bytes;
    if (tp__tokenizer_write(tokenizer, &bytes, &error) != TP_OK) {
        return;
    }
    FUZZ_REQUIRE(tp__tokenizer_parse(bytes.data, bytes.size, "again", &again, &error) == TP_OK);
    FUZZ_REQUIRE(again.count == tokenizer->count && again.eos == tokenizer->eos);
    tp__tokenizer_free(&again);
    tp__bytes_free(&bytes);
}

static int fuzz_tokenizer(const uint8_t *data, size_t size)
{
    static const char text[] = "Once upon a time, 12 \xc3\xa9 <s> it's";
    struct tp_error error = {.status = TP_OK};
    struct tp_tokenizer tokenizer;
    tp_status status = tp__tokenizer_parse(data, size, "fuzz-tok", &tokenizer, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        fuzz_encode(&tokenizer, text, sizeof text - 1);
        fuzz_write(&tokenizer);
        tp__tokenizer_free(&tokenizer);
    }
    return 0;
}

#endif

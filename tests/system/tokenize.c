// SPDX-License-Identifier: Apache-2.0
//
// tokenize [--template] [--blob] [--chat NAME] TOKENIZER: encodes texts for the tests that compare
// with the makers' programs.
//
// Standard input: per text a uint32 of its bytes, then the bytes. Standard output: per text int32
// status (0: encoded), uint32 tokens, the tokens as uint32, uint32 bytes of the decoded text, the
// bytes. --template takes each text as a chat template's own, so that names of control tokens
// count;
// --blob goes through the form that images hold; --no-space encodes without a space in front.
// --chat takes "role\x1ftext\x1erole\x1ftext" and answers with the template's text and its tokens;
// in front, '+' asks for the start of an answer, '-' does not; NAME auto is the tokenizer's own.

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "encode.h"

enum { TEXT_MAX = 1 << 20, MESSAGES = 16 };

static void stop(const char *text)
{
    fprintf(stderr, "tokenize: %s\n", text);
    exit(1);
}

static void put_u32(uint32_t value)
{
    if (fwrite(&value, sizeof value, 1, stdout) != 1) stop("cannot write");
}

static void through_blob(struct tp_tokenizer *tokenizer)
{
    struct tp_bytes bytes;
    struct tp_error error;
    if (tp__tokenizer_write(tokenizer, &bytes, &error) != TP_OK) stop(error.text);
    tp__tokenizer_free(tokenizer);
    tp_status status = tp__tokenizer_parse(bytes.data, bytes.size, "blob", tokenizer, &error);
    if (status != TP_OK) stop(error.text);
    tp__bytes_free(&bytes);
}

/* Decodes token by token; a part that is no whole characters is an error. */
static void put_decoded(const struct tp_tokenizer *tokenizer, const uint32_t *tokens,
                        uint32_t count)
{
    char *text = malloc((count + 1) * tp__decode_bytes_max(tokenizer));
    if (text == NULL) stop("no memory");
    struct tp_decoder decoder;
    size_t size = 0;
    tp__decoder_start(&decoder, tokenizer, tokenizer->bos);
    for (uint32_t i = 0; i <= count; i++) {
        size_t part = i < count ? tp__decode(&decoder, tokens[i], text + size)
                                : tp__decode_end(&decoder, text + size);
        if (tp__utf8_check((uint8_t *)text + size, part) != part) stop("half a character");
        size += part;
    }
    put_u32((uint32_t)size);
    if (size > 0 && fwrite(text, size, 1, stdout) != 1) stop("cannot write");
    free(text);
}

static void answer(struct tp_encoder *encoder, const char *text, size_t size, bool is_template,
                   bool add_space)
{
    static uint32_t tokens[3 * TEXT_MAX + 2];
    const uint32_t room = sizeof tokens / sizeof tokens[0];
    uint32_t count;
    struct tp_error error;
    const struct tp_range all = {0, size};
    tp_status status =
        is_template
            ? tp__encode_template(encoder, text, size, &all, 1, false, tokens, room, &count, &error)
            : tp__encode(encoder, text, size, false, add_space, tokens, room, &count, &error);
    count = status == TP_OK ? count : 0;
    put_u32((uint32_t)status);
    put_u32(count);
    if (count > 0 && fwrite(tokens, sizeof tokens[0], count, stdout) != count) stop("cannot write");
    put_decoded(encoder->tokenizer, tokens, count);
}

static size_t read_messages(char *text, size_t size, struct tp_chat_message *messages)
{
    size_t count = 0;
    text[size] = '\0';
    for (char *message = strtok(text, "\x1e"); message != NULL; message = strtok(NULL, "\x1e")) {
        char *split = strchr(message, '\x1f');
        if (split == NULL || count == MESSAGES) stop("bad messages");
        *split = '\0';
        messages[count++] = (struct tp_chat_message){.role = message, .text = split + 1};
    }
    return count;
}

static void answer_chat(struct tp_encoder *encoder, const char *name, char *text, size_t size)
{
    static char written[TEXT_MAX];
    static uint32_t tokens[TEXT_MAX];
    struct tp_range ranges[2 * MESSAGES + 2];
    struct tp_chat_message messages[MESSAGES];
    struct tp_chat_text chat = {
        .text = written, .max = TEXT_MAX, .ranges = ranges, .range_max = 2 * MESSAGES + 2};
    struct tp_error error;
    uint32_t count = 0;
    if (size == 0) stop("no messages");
    size_t message_count = read_messages(text + 1, size - 1, messages);
    tp_status status = tp__chat_write(encoder->tokenizer, name, messages, message_count,
                                      text[0] == '+', TP_CHAT_AT_START, &chat, &error);
    if (status == TP_OK) {
        status = tp__encode_template(encoder, written, chat.size, ranges, chat.range_count, false,
                                     tokens, TEXT_MAX, &count, &error);
    }
    put_u32((uint32_t)status);
    put_u32(status == TP_OK ? count : 0);
    size_t kept = status == TP_OK ? count : 0;
    if (fwrite(tokens, sizeof tokens[0], kept, stdout) != kept) stop("cannot write");
    const char *shown = status == TP_OK ? written : error.text;
    size_t shown_size = status == TP_OK ? chat.size : strlen(error.text);
    put_u32((uint32_t)shown_size);
    if (fwrite(shown, 1, shown_size, stdout) != shown_size) stop("cannot write");
}

int main(int argc, char **argv)
{
    bool is_template = false;
    bool has_blob = false;
    bool has_space = true;
    const char *chat = NULL;
    for (; argc > 2; argc--, argv++) {
        if (strcmp(argv[1], "--chat") == 0) chat = argv[2];
        is_template = is_template || strcmp(argv[1], "--template") == 0;
        has_blob = has_blob || strcmp(argv[1], "--blob") == 0;
        has_space = has_space && strcmp(argv[1], "--no-space") != 0;
    }
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    struct tp_error error;
    if (argc != 2) stop("which tokenizer?");
    if (tp__tokenizer_load(argv[1], &tokenizer, &error) != TP_OK) stop(error.text);
    if (has_blob) through_blob(&tokenizer);
    size_t room = tp__encoder_room(&tokenizer, TEXT_MAX);
    if (tp__encoder_open(&tokenizer, room, &encoder, &error) != TP_OK) stop(error.text);
    static char text[TEXT_MAX + 1];
    uint32_t size;
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        if (size > TEXT_MAX || fread(text, 1, size, stdin) != size) stop("a text is cut short");
        if (chat != NULL) {
            answer_chat(&encoder, strcmp(chat, "auto") == 0 ? NULL : chat, text, size);
            continue;
        }
        answer(&encoder, text, size, is_template, has_space && tokenizer.add_space);
    }
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
    return 0;
}

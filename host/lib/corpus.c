// SPDX-License-Identifier: Apache-2.0
//
// Files of texts to tokens.

#include "corpus.h"

#include <stdlib.h>

#include "encode.h"
#include "file.h"
#include "tokproc.h"

enum { TEXT_BYTES_MAX = 1 << 26 };

tp_status tp__corpus_open(uint32_t token_max, uint32_t text_max, struct tp_corpus *corpus,
                          struct tp_error *error)
{
    *corpus = (struct tp_corpus){.tokens = calloc(token_max, sizeof *corpus->tokens),
                                 .starts = calloc((size_t)text_max + 1, sizeof *corpus->starts)};
    if (corpus->tokens == NULL || corpus->starts == NULL) {
        tp__corpus_free(corpus);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for texts");
    }
    return TP_OK;
}

void tp__corpus_free(struct tp_corpus *corpus)
{
    free(corpus->tokens);
    free(corpus->starts);
    *corpus = (struct tp_corpus){0};
}

tp_status tp__corpus_read(const struct tp_tokenizer *tokenizer, const char *path, size_t start,
                          uint32_t token_max, uint32_t text_max, uint32_t length_max,
                          struct tp_corpus *corpus, struct tp_error *error)
{
    struct tp_bytes bytes;
    tp_status status = tp__file_read(path, TEXT_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_encoder encoder;
    status = tp__encoder_open(tokenizer, tp__encoder_room(tokenizer, bytes.size), &encoder, error);
    if (status != TP_OK) {
        tp__bytes_free(&bytes);
        return status;
    }
    const char *text = NULL;
    size_t text_size = 0;
    uint32_t used = 0;
    corpus->end = start < bytes.size ? start : bytes.size;
    while (status == TP_OK && corpus->count < text_max && used < token_max &&
           tp_text_next((const char *)bytes.data, bytes.size, &corpus->end, &text, &text_size)) {
        uint32_t room = token_max - used < length_max ? token_max - used : length_max;
        uint32_t count = 0;
        status = tp__encode(&encoder, text, text_size, true, tokenizer->add_space,
                            corpus->tokens + used, room, &count, error);
        if (status == TP_ERROR_FULL && count != TP_TOKEN_NONE) {
            status = TP_OK;  // the beginning of a text is as good
            count = room;
        }
        if (status == TP_OK && count != 0) {
            used += count;
            corpus->starts[++corpus->count] = used;
        }
    }
    tp__encoder_close(&encoder);
    tp__bytes_free(&bytes);
    return status;
}

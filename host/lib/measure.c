// SPDX-License-Identifier: Apache-2.0
//
// A golden machine that is large enough for any model, beside the reference.

#include "measure.h"

#include "compile.h"
#include "corpus.h"
#include "score.h"

enum {
    TOKENS_MAX = 2048,
    TEXTS_MAX = 64,
    LENGTH_MAX = 512,   // of one text
    WORK_MAX_LOG2 = 32  // weights * tokens: larger models get fewer tokens
};

static uint32_t token_budget(const struct tp_model_shape *shape)
{
    uint64_t tokens = ((uint64_t)1 << WORK_MAX_LOG2) / tp__parameter_count(shape);
    return tokens > TOKENS_MAX ? TOKENS_MAX : tokens < 64 ? 64 : (uint32_t)tokens;
}

tp_status tp__measure(const tp_context *context, const struct tp_source_model *origin,
                      const struct tp_tokenizer *tokenizer, const char *path, size_t start,
                      const struct tp_quantised_model *model, struct tp_score *score,
                      struct tp_error *error)
{
    uint32_t tokens = token_budget(&origin->shape);
    uint32_t length =
        origin->shape.context < LENGTH_MAX ? origin->shape.context : (uint32_t)LENGTH_MAX;
    const struct tp_load_options options = {.context = length};
    struct tp_memory_image *image = NULL;
    struct tp_corpus corpus;
    *score = (struct tp_score){.tokens = 0};
    tp_status status = tp__corpus_open(tokens, TEXTS_MAX, &corpus, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__corpus_read(tokenizer, path, start, tokens, TEXTS_MAX, length, &corpus, error);
    bool has_text = corpus.count != 0 && corpus.starts[corpus.count] > corpus.count;
    if (status == TP_OK && has_text) {
        status = tp__compile(model, &options, &tp__limits_most, &image, error);
    }
    if (status == TP_OK && has_text) {
        const struct tp_token_texts texts = {corpus.tokens, corpus.starts, corpus.count};
        status = tp__score_image(context, origin, image, &texts, score, error);
    }
    tp__memory_image_free(image);
    tp__corpus_free(&corpus);
    return status;
}

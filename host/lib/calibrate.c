// SPDX-License-Identifier: Apache-2.0
//
// Means of rotated keys by the float32 reference; exponents of the edges by the machine itself.

#include "calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "corpus.h"
#include "internal.h"
#include "reference.h"

enum {
    TOKENS_MAX = 2048,           // for means and ranges: enough, and quick for small models
    ROUNDING_TOKENS_MAX = 6144,  // for rounding against a given text
    TEXTS_MAX = 8,               // for means and ranges, from the beginning of the file
    ROUNDING_TEXTS_MAX = 256,    // for rounding
    GENERATED_TEXT_MAX = 256,    // tokens of a text of the model's own
    WORK_MAX_LOG2 = 33,          // weights * tokens: large models get fewer tokens
    ROUNDING_WORK_MAX_LOG2 = 35
};

static uint32_t token_budget(const struct tp_source_model *model, bool rounding)
{
    uint64_t work = (uint64_t)1 << (rounding ? ROUNDING_WORK_MAX_LOG2 : WORK_MAX_LOG2);
    uint64_t most = rounding ? ROUNDING_TOKENS_MAX : TOKENS_MAX;
    uint64_t tokens = work / tp__parameter_count(&model->shape);
    return tokens > most ? (uint32_t)most : tokens < 64 ? 64 : (uint32_t)tokens;
}

static tp_status read_corpus(const struct tp_source_model *model,
                             const struct tp_tokenizer *tokenizer, const char *path, bool rounding,
                             struct tp_corpus *corpus, struct tp_error *error)
{
    uint32_t length = model->shape.context < TOKENS_MAX ? model->shape.context : TOKENS_MAX;
    uint32_t texts = rounding ? ROUNDING_TEXTS_MAX : TEXTS_MAX;
    tp_status status = tp__corpus_read(tokenizer, path, 0, token_budget(model, rounding), texts,
                                       length, corpus, error);
    if (status == TP_OK && corpus->count == 0) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: there is no text in it", tp__short_name(path));
    }
    return status;
}

// ---- text that the model generates ----

// Draws from the softmax of logits with the contract's random stream, so that every machine agrees
// up to float rounding.
static uint32_t draw(const float *logits, uint32_t vocab, uint32_t text, uint32_t position)
{
    float most = logits[tp__top_token(logits, vocab)];
    double sum = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        sum += exp((double)(logits[i] - most));
    }
    double left = sum * (double)tp_random(text, position, 0) / 4294967296.0;
    uint32_t token = 0;
    for (; token + 1 < vocab; token++) {
        left -= exp((double)(logits[token] - most));
        if (left < 0) {
            break;
        }
    }
    return token;
}

static tp_status generate_corpus(const tp_context *context, struct tp_reference *reference,
                                 const struct tp_source_model *model, uint32_t bos,
                                 struct tp_corpus *corpus, struct tp_error *error)
{
    uint32_t vocab = model->shape.vocab;
    uint32_t budget = token_budget(model, false);
    uint32_t length =
        budget / TEXTS_MAX < GENERATED_TEXT_MAX ? budget / TEXTS_MAX : (uint32_t)GENERATED_TEXT_MAX;
    length = length < model->shape.context ? length : model->shape.context;
    float *logits = calloc(vocab, sizeof *logits);
    if (logits == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for calibration");
    }
    for (uint32_t text = 0; text < TEXTS_MAX; text++) {
        uint32_t token = bos < vocab ? bos : 0;
        for (uint32_t position = 0; position < length; position++) {
            corpus->tokens[text * length + position] = token;
            tp__reference_step(reference, token, position, logits);
            token = draw(logits, vocab, text, position);
        }
        corpus->starts[text + 1] = (text + 1) * length;
        corpus->count = text + 1;
        if (!tp__progress(context, "generating calibration text", (text + 1.0) / TEXTS_MAX)) {
            free(logits);
            return tp__fail(error, TP_ERROR_CANCELLED, "cancelled while calibrating");
        }
    }
    free(logits);
    return TP_OK;
}

// Means and ranges are taken from the first texts only.
static struct tp_token_texts first_texts(const struct tp_corpus *corpus, uint32_t token_max)
{
    struct tp_token_texts texts = {corpus->tokens, corpus->starts, 1};
    while (texts.count < corpus->count && corpus->starts[texts.count] < token_max) {
        texts.count++;
    }
    return texts;
}

// ---- key means ----

static void add_keys(struct tp_reference *reference, const struct tp_model_shape *shape,
                     uint32_t position, double *sums)
{
    size_t per_layer = (size_t)shape->kv_heads * shape->head_size;
    for (uint32_t layer = 0; layer < shape->layers; layer++) {
        const float *key = tp__reference_key(reference, layer, position);
        for (size_t i = 0; i < per_layer; i++) {
            sums[layer * per_layer + i] += (double)key[i];
        }
    }
}

static tp_status mean_keys(const tp_context *context, struct tp_reference *reference,
                           const struct tp_model_shape *shape, const struct tp_token_texts *texts,
                           float *means, struct tp_error *error)
{
    size_t count = (size_t)shape->layers * shape->kv_heads * shape->head_size;
    double *sums = calloc(count, sizeof *sums);
    if (sums == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for calibration");
    }
    for (uint32_t text = 0; text < texts->count; text++) {
        for (uint32_t i = texts->starts[text]; i < texts->starts[text + 1]; i++) {
            uint32_t position = i - texts->starts[text];
            tp__reference_step(reference, texts->tokens[i], position, NULL);
            add_keys(reference, shape, position, sums);
        }
        if (!tp__progress(context, "calibrating", (text + 1.0) / texts->count)) {
            free(sums);
            return tp__fail(error, TP_ERROR_CANCELLED, "cancelled while calibrating");
        }
    }
    for (size_t i = 0; i < count; i++) {
        means[i] = (float)(sums[i] / texts->starts[texts->count]);
    }
    free(sums);
    return TP_OK;
}

// ---- exponents of the edges ----

// Exponents by instruction to exponents by edge: the order of the matrices in a layer is fixed.
static void take_exponents(const struct tp_machine *machine, const struct tp_memory_image *image,
                           uint8_t *exponent_max)
{
    uint32_t layer = 0;
    for (uint32_t i = 0; i < image->program_count; i++) {
        const uint32_t *words = image->program + (size_t)i * TP_INSTRUCTION_WORDS;
        struct tp_op_matvec op;
        tp_matvec_unpack(words, &op);
        if (op.opcode != TP_OP_MATVEC) {
            continue;
        }
        uint8_t seen = (uint8_t)tp_machine_exponent_max(machine, i);
        bool is_down = op.dest == TP_DEST_RESIDUAL && op.source == TP_SOURCE_FFN;
        switch (op.dest) {
        case TP_DEST_QUERY:
            exponent_max[TP_EDGES * layer + TP_EDGE_ATTENTION_NORM] = seen;
            break;
        case TP_DEST_RESIDUAL:
            exponent_max[TP_EDGES * layer + (is_down ? TP_EDGE_FFN : TP_EDGE_ATTENTION)] = seen;
            layer += is_down ? 1 : 0;
            break;
        case TP_DEST_GATE:
            exponent_max[TP_EDGES * layer + TP_EDGE_FFN_NORM] = seen;
            break;
        case TP_DEST_LOGITS:
            exponent_max[TP_EDGES * layer] = seen;
            break;
        default:
            break;
        }
    }
}

static tp_status compile_8_bits(const tp_context *context, const struct tp_source_model *model,
                                const struct tp_calibration *calibration,
                                struct tp_memory_image **image, struct tp_error *error)
{
    const struct tp_load_options options = {.format = TP_FORMAT_Q8};
    struct tp_quantised_model quantised = {0};
    tp_format *formats = calloc(tp__matrix_count(&model->shape), sizeof *formats);
    if (formats == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for calibration");
    }
    tp_status status = tp__choose_formats(&model->shape, TP_FORMAT_Q8, NULL, 0, formats, error);
    if (status == TP_OK) {
        status = tp__quantise_model(context, model, formats, calibration, NULL, &quantised, error);
    }
    if (status == TP_OK) {
        status = tp__compile(&quantised, &options, &tp__limits_most, image, error);
    }
    tp__quantised_model_free(&quantised);
    free(formats);
    return status;
}

// Runs the 8-bit image on a machine that is just large enough.
static tp_status measure_exponents(const tp_context *context, const struct tp_source_model *model,
                                   const struct tp_token_texts *texts,
                                   struct tp_calibration *calibration, struct tp_error *error)
{
    struct tp_memory_image *image = NULL;
    tp_status status = compile_8_bits(context, model, calibration, &image, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_machine *machine = NULL;
    status = tp__memory_image_machine(image, &machine, error);
    if (status != TP_OK) {
        tp__memory_image_free(image);
        return status;
    }
    int32_t *logits = calloc(model->shape.vocab, sizeof *logits);
    if (logits == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for calibration");
    }
    for (uint32_t text = 0; text < texts->count && status == TP_OK; text++) {
        for (uint32_t i = texts->starts[text]; i < texts->starts[text + 1]; i++) {
            uint32_t position = i - texts->starts[text];
            if (position < image->plan.context) {
                (void)tp_machine_step(machine, 0, position, texts->tokens[i], logits);
            }
        }
        if (!tp__progress(context, "measuring ranges", (text + 1.0) / texts->count)) {
            status = tp__fail(error, TP_ERROR_CANCELLED, "cancelled while calibrating");
        }
    }
    take_exponents(machine, image, calibration->exponent_max);
    free(logits);
    tp_machine_destroy(machine);
    tp__memory_image_free(image);
    return status;
}

// ---- the whole ----

void tp__calibration_free(struct tp_calibration *calibration)
{
    free(calibration->key_mean);
    free(calibration->exponent_max);
    tp__corpus_free(&calibration->corpus);
    *calibration = (struct tp_calibration){0};
}

// The constants of the image that the model was made of, so that it becomes the same image again.
static void take_known(const struct tp_source_model *model, struct tp_calibration *calibration)
{
    const struct tp_model_shape *shape = &model->shape;
    size_t means = (size_t)shape->layers * shape->kv_heads * shape->head_size;
    memcpy(calibration->key_mean, model->key_means, means * sizeof *model->key_means);
    memcpy(calibration->exponent_max, model->exponent_max, tp__edge_count(shape));
}

tp_status tp__calibrate(const tp_context *context, const struct tp_source_model *model,
                        const struct tp_tokenizer *tokenizer, const char *path, bool rounding,
                        struct tp_calibration *calibration, struct tp_error *error)
{
    const struct tp_model_shape *shape = &model->shape;
    size_t edges = tp__edge_count(shape);
    struct tp_calibration made = {
        .key_mean = calloc((size_t)shape->layers * shape->kv_heads * shape->head_size,
                           sizeof *made.key_mean),
        .exponent_max = malloc(edges)};
    struct tp_corpus *corpus = &made.corpus;
    struct tp_reference *reference = NULL;
    tp_status status = TP_OK;
    uint32_t context_max = shape->context < TOKENS_MAX ? shape->context : (uint32_t)TOKENS_MAX;
    if (made.key_mean == NULL || made.exponent_max == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for calibration");
    } else {
        memset(made.exponent_max, TP_EXPONENT_MAX, edges);
        status = tp__corpus_open(ROUNDING_TOKENS_MAX, ROUNDING_TEXTS_MAX, corpus, error);
    }
    if (status == TP_OK) {
        status = tp__reference_open(model, context_max, &reference, error);
    }
    if (status == TP_OK) {
        status = path != NULL
                     ? read_corpus(model, tokenizer, path, rounding, corpus, error)
                     : generate_corpus(context, reference, model,
                                       tokenizer != NULL ? tokenizer->bos : 1, corpus, error);
    }
    if (status == TP_OK) {
        const struct tp_token_texts texts = first_texts(corpus, token_budget(model, false));
        status = mean_keys(context, reference, shape, &texts, made.key_mean, error);
        if (status == TP_OK) {
            status = measure_exponents(context, model, &texts, &made, error);
        }
    }
    if (status == TP_OK && path == NULL && model->key_means != NULL) {
        take_known(model, &made);
    }
    tp__reference_close(reference);
    if (status != TP_OK) {
        tp__calibration_free(&made);
        return status;
    }
    *calibration = made;
    return TP_OK;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claim: loader, tokenizer and float32 reference together give the known loss of stories260K on the
// sample text: 1.2577 +- 0.002 nats per token over exactly 70,397 tokens, from both of its files.
//
// The whole text with the llama2.c files, its first stories with the GGUF file, which must give the
// same numbers bit for bit. Skipped where the files are not present.
//
// TP_TIME_LIMIT_S: 900

#include "check_main.h"
#include "encode.h"
#include "model_files.h"
#include "reference.h"
#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512, CONTEXT = 512, VOCAB = 512, FEW = 5 };

static const char mark[] = "<|endoftext|>";

struct line {
    struct tp_source_model model;
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    struct tp_reference *reference;
};

static void check(tp_status status, const struct tp_error *error)
{
    ck_assert_msg(status == TP_OK, "%s", error->text);
}

/* tokenizer_path NULL: the tokenizer inside the model. */
static void open_line(const char *model_path, const char *tokenizer_path, struct line *line)
{
    struct tp_error error = {0};
    check(tp__source_model_load(model_path, &line->model, &error), &error);
    if (tokenizer_path != NULL) {
        check(tp__tokenizer_load(tokenizer_path, &line->tokenizer, &error), &error);
    } else {
        check(tp__tokenizer_of_model(&line->model, &line->tokenizer, &error), &error);
    }
    check(tp__tokenizer_check_model(&line->tokenizer, line->model.shape.vocab, model_path, &error),
          &error);
    check(tp__encoder_open(&line->tokenizer, 1 << 16, &line->encoder, &error), &error);
    check(tp__reference_open(&line->model, CONTEXT, &line->reference, &error), &error);
}

static void close_line(struct line *line)
{
    tp__reference_close(line->reference);
    tp__encoder_close(&line->encoder);
    tp__tokenizer_free(&line->tokenizer);
    tp__source_model_free(&line->model);
}

static double story_nats(struct line *line, const char *text, size_t size, uint32_t *count)
{
    static uint32_t tokens[CONTEXT + 1];
    float logits[VOCAB];
    uint32_t token_count;
    struct tp_error error = {0};
    check(tp__encode(&line->encoder, text, size, true, true, tokens, CONTEXT + 1, &token_count,
                     &error),
          &error);
    double sum = 0.0;
    for (uint32_t i = 0; i + 1 < token_count; i++) {
        tp__reference_step(line->reference, tokens[i], i, logits);
        sum += tp__nats(logits, VOCAB, tokens[i + 1]);
    }
    *count += token_count - 1;
    return sum;
}

/* Sum over at most story_max stories of the text. */
static double text_nats(struct line *line, const char *path, uint32_t story_max, uint32_t *count)
{
    struct tp_bytes file;
    struct tp_error error = {0};
    check(tp__file_read(path, 1 << 24, &file, &error), &error);
    file.data[file.size] = '\0';  // the buffer has room for it
    const char *text = (const char *)file.data;
    double sum = 0.0;
    for (uint32_t story = 0; story < story_max && *text != '\0'; story++) {
        const char *next = strstr(text, mark);
        size_t size = next != NULL ? (size_t)(next - text) : strlen(text);
        const char *rest = next != NULL ? next + strlen(mark) : text + size;
        while (size > 0 && text[size - 1] == '\n') size--;
        sum += story_nats(line, text, size, count);
        text = rest + strspn(rest, "\n");
    }
    tp__bytes_free(&file);
    return sum;
}

START_TEST(reference_gives_the_known_loss_on_the_whole_text)
{
    char model[PATH_BYTES];
    char tokenizer[PATH_BYTES];
    char text[PATH_BYTES];
    if (!tp_test_find_model("stories260K.bin", model, PATH_BYTES)) return;
    if (!tp_test_find_model("tok512.bin", tokenizer, PATH_BYTES)) return;
    if (!tp_test_find_model("tinystories-sample.txt", text, PATH_BYTES)) return;
    struct line line;
    uint32_t count = 0;
    open_line(model, tokenizer, &line);
    double sum = text_nats(&line, text, UINT32_MAX, &count);
    printf("%u tokens, %.5f nats per token\n", count, sum / count);
    ck_assert_uint_eq(count, 70397);
    ck_assert_double_eq_tol(sum / count, 1.2577, 0.002);
    close_line(&line);
}
END_TEST

START_TEST(reference_is_the_same_from_gguf)
{
    char model[2][PATH_BYTES];
    char tokenizer[PATH_BYTES];
    char text[PATH_BYTES];
    if (!tp_test_find_model("stories260K.bin", model[0], PATH_BYTES)) return;
    if (!tp_test_find_model("stories260K.gguf", model[1], PATH_BYTES)) return;
    if (!tp_test_find_model("tok512.bin", tokenizer, PATH_BYTES)) return;
    if (!tp_test_find_model("tinystories-sample.txt", text, PATH_BYTES)) return;
    double sum[2];
    uint32_t count[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        struct line line;
        open_line(model[i], i == 0 ? tokenizer : NULL, &line);
        sum[i] = text_nats(&line, text, FEW, &count[i]);
        close_line(&line);
    }
    ck_assert_uint_gt(count[0], 1000);
    ck_assert_uint_eq(count[0], count[1]);
    ck_assert_double_eq(sum[0], sum[1]);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("reference text");
    TCase *tcase = tcase_create("text");
    tcase_set_timeout(tcase, 900);
    tcase_add_test(tcase, reference_gives_the_known_loss_on_the_whole_text);
    tcase_add_test(tcase, reference_is_the_same_from_gguf);
    suite_add_tcase(suite, tcase);
    return suite;
}

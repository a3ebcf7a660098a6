// SPDX-License-Identifier: Apache-2.0

#include "made_model.h"

#include <unistd.h>

#include "check_main.h"

enum { PATH_BYTES = 512 };

void tp_test_open_made_model(tp_context *context, const struct tp_test_model *made,
                             bool has_tokenizer, tp_model **model)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_test_bytes tokenizer = {NULL, 0, 0};
    char path[PATH_BYTES];
    char tokenizer_path[PATH_BYTES];
    struct tp_error error;
    tp_test_write_llama2c(made, 0, &file);
    tp_test_write_file(&file, path, sizeof path);
    struct tp_model_options options = {.path = path};
    if (has_tokenizer) {
        tp_test_write_tokenizer(made->vocab, &tokenizer);
        tp_test_write_file(&tokenizer, tokenizer_path, sizeof tokenizer_path);
        options.tokenizer_path = tokenizer_path;
    }
    ck_assert_msg(tp_model_open(context, &options, model, &error) == TP_OK, "%s", error.text);
    (void)unlink(path);
    if (has_tokenizer) {
        (void)unlink(tokenizer_path);
    }
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&tokenizer);
}

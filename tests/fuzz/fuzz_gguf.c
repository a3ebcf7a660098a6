// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a GGUF model, with the tokenizer inside: a sound model or an error, nothing else.

#include "fuzz.h"
#include "loader.h"
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model model;
    struct tp_tokenizer tokenizer;
    // The loader goes by the contents: other files are the concern of other targets.
    if (size < 4 || memcmp(data, "GGUF", 4) != 0) {
        return -1;
    }
    tp_status status = tp__source_model_parse(data, size, "fuzz.gguf", &model, &error);
    fuzz_check(status, &error);
    if (status != TP_OK) {
        return 0;
    }
    if (model.has_tokenizer) {
        status = tp__tokenizer_of_model(&model, &tokenizer, &error);
        fuzz_check(status, &error);
        if (status == TP_OK) {
            tp__tokenizer_free(&tokenizer);
        }
    }
    tp__source_model_free(&model);
    return 0;
}

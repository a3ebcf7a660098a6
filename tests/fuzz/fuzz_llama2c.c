// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a llama2.c model of any version: a sound model or an error, nothing else.

#include "fuzz.h"
#include "loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model model;
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        return -1;
    }
    tp_status status = tp__source_model_parse(data, size, "fuzz.bin", &model, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        tp__source_model_free(&model);
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a GGUF file with a tokenizer: a sound tokenizer or an error, nothing else.

#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // Other files are the concern of other targets.
    return size >= 4 && memcmp(data, "GGUF", 4) == 0 ? fuzz_tokenizer(data, size) : -1;
}

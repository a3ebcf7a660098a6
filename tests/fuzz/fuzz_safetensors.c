// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a safetensors file beside a sound config.json: a sound model or an error.

#include "fuzz_safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_safetensors((const uint8_t *)fuzz_config, sizeof fuzz_config - 1, data, size);
}

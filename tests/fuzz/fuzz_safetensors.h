// SPDX-License-Identifier: Apache-2.0
//
// What the targets of safetensors files and their config.json share.

#ifndef TP_TEST_FUZZ_SAFETENSORS_H
#define TP_TEST_FUZZ_SAFETENSORS_H

#include "fuzz.h"
#include "loader.h"

/* The shape of the models that make_corpus writes. */
__attribute__((unused)) static const char fuzz_config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 4,"
    "\"intermediate_size\": 4, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"
    "\"num_key_value_heads\": 1, \"vocab_size\": 6, \"max_position_embeddings\": 4,"
    "\"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", \"tie_word_embeddings\": true}";

static int fuzz_safetensors(const uint8_t *config, size_t config_size, const uint8_t *data,
                            size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model model;
    tp_status status =
        tp__source_model_parse_safetensors(config, config_size, data, size, "fuzz", &model, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        tp__source_model_free(&model);
    }
    return 0;
}

#endif

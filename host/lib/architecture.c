// SPDX-License-Identifier: Apache-2.0
//
// Architectures of model files: which ones are loaded, what each has, and why others are refused.

#include "architecture.h"

#include <string.h>

static const struct tp_architecture known[] = {
    {.name = "llama", .may_have_bias = true},
    {.name = "mistral"},
    {.name = "qwen2", .has_bias = true, .is_half_split = true, .window_is_asked = true},
    {.name = "qwen3", .has_head_norm = true, .is_half_split = true, .window_is_asked = true},
};

#define EXPERTS     "experts are not supported"
#define LAYER_NORM  "LayerNorm is not supported"
#define STATE_SPACE "recurrent layers are not supported"
#define ENCODER     "an encoder generates no text"
#define IMAGES      "images and sound are not supported"
#define FACTORS     "factors of embeddings and residuals are not supported"

/* Names without '-', '_' and '.'; a '*' at the end stands for any rest. The first that fits counts.
 */
static const struct {
    const char *name;
    const char *reason;
} refused[] = {
    {"gemma*", "GeGLU is not supported"},
    {"recurrentgemma", STATE_SPACE},
    {"mixtral", EXPERTS},
    {"qwen2moe", EXPERTS},
    {"qwen3moe", EXPERTS},
    {"qwen3next", EXPERTS},
    {"llama4*", EXPERTS},
    {"deepseek*", EXPERTS},
    {"dbrx", EXPERTS},
    {"grok*", EXPERTS},
    {"arctic", EXPERTS},
    {"olmoe", EXPERTS},
    {"phimoe", EXPERTS},
    {"granitemoe*", EXPERTS},
    {"glm4moe", EXPERTS},
    {"gptoss", EXPERTS},
    {"minimax*", EXPERTS},
    {"kimi*", EXPERTS},
    {"qwen2vl", IMAGES},
    {"qwen25vl", IMAGES},
    {"qwen3vl*", IMAGES},
    {"qwen2audio", IMAGES},
    {"mllama", IMAGES},
    {"llava*", IMAGES},
    {"clip*", IMAGES},
    {"whisper", IMAGES},
    {"mistral3", "its scaling of long contexts is not supported"},
    {"qwen", "joined weights of queries, keys and values are not supported"},
    {"phi3*", "joined weights of queries, keys and values are not supported"},
    {"phi*", LAYER_NORM},
    {"gpt2", LAYER_NORM},
    {"gptj", LAYER_NORM},
    {"gptneo*", LAYER_NORM},
    {"gptbigcode", LAYER_NORM},
    {"starcoder*", LAYER_NORM},
    {"opt", LAYER_NORM},
    {"bloom", LAYER_NORM},
    {"mpt", LAYER_NORM},
    {"stablelm", LAYER_NORM},
    {"codeshell", LAYER_NORM},
    {"olmo", LAYER_NORM},
    {"cohere*", LAYER_NORM},
    {"commandr", LAYER_NORM},
    {"nemotron*", LAYER_NORM},
    {"orion", LAYER_NORM},
    {"persimmon", LAYER_NORM},
    {"falconmamba", STATE_SPACE},
    {"falconh1", STATE_SPACE},
    {"falcon*", LAYER_NORM},
    {"mamba*", STATE_SPACE},
    {"jamba", STATE_SPACE},
    {"zamba*", STATE_SPACE},
    {"rwkv*", STATE_SPACE},
    {"granitehybrid", STATE_SPACE},
    {"lfm2*", STATE_SPACE},
    {"plamo2", STATE_SPACE},
    {"bitnet*", "norms inside attention and feed-forward are not supported"},
    {"olmo2", "norms behind the layers are not supported"},
    {"exaone4", "norms behind the layers are not supported"},
    {"glm4", "norms behind the layers are not supported"},
    {"chatglm", "rotation of a part of the head is not supported"},
    {"granite", FACTORS},
    {"minicpm*", FACTORS},
    {"smollm3", "layers without rotation are not supported"},
    {"bert", ENCODER},
    {"modernbert", ENCODER},
    {"nomicbert*", ENCODER},
    {"neobert", ENCODER},
    {"jinabert*", ENCODER},
    {"roberta", ENCODER},
    {"t5*", ENCODER},
    {"bart", ENCODER},
};

/* Compares without case and the marks that only some files write. */
static bool fits(struct tp_string name, const char *pattern)
{
    size_t i = 0;
    for (; *pattern != '\0' && *pattern != '*'; pattern++) {
        while (i < name.size && memchr("-_.", name.text[i], 3) != NULL) i++;
        if (i == name.size) return false;
        char c = name.text[i++];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (c != *pattern) return false;
    }
    return *pattern == '*' || i == name.size;
}

tp_status tp__architecture_find(const char *place, struct tp_string name,
                                const struct tp_architecture **found, struct tp_error *error)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!tp__string_is(name, known[i].name)) continue;
        *found = &known[i];
        return TP_OK;
    }
    const char *reason = "is not known to this program";
    const char *colon = "";
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (!fits(name, refused[i].name)) continue;
        reason = refused[i].reason;
        colon = ":";
        break;
    }
    return tp__fail(error, TP_ERROR_UNSUPPORTED,
                    "%s: architecture %.*s%s %s; llama, mistral, qwen2 and qwen3 can be loaded",
                    place, tp__string_width(name), name.text, colon, reason);
}

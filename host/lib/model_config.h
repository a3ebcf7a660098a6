// SPDX-License-Identifier: Apache-2.0
//
// config.json of Hugging Face models: sizes, constants and variants of a model.

#ifndef TP_LIB_MODEL_CONFIG_H
#define TP_LIB_MODEL_CONFIG_H

#include "architecture.h"
#include "loader.h"
#include "rope_scaling.h"

#define TP_CONFIG_BYTES_MAX ((size_t)1 << 20)

struct tp_model_config {
    const struct tp_architecture *architecture;
    struct tp_model_shape shape;  // checked; tied is not known yet
    struct tp_rope_scaling scaling;
    const char *scaling_field;  // that holds it, for messages; static text
    uint32_t window;            // of attention; 0: none
    bool is_tied;               // says tie_word_embeddings: true
    bool is_untied;             // says tie_word_embeddings: false
};

/** Reads and checks the text of a config.json.
 *  in     name    of the file, for messages
 *  out    config  written only on TP_OK
 *  error  TP_ERROR_FORMAT, TP_ERROR_TOO_LARGE, TP_ERROR_RANGE, TP_ERROR_NO_MEMORY
 *         TP_ERROR_UNSUPPORTED  what would need other formulas, by the name of its field */
TP_MUST_USE tp_status tp__model_config_parse(const struct tp_bytes *file, const char *name,
                                             struct tp_model_config *config,
                                             struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Architectures of model files: which ones are loaded, what each has, and why others are refused.

#ifndef TP_LIB_ARCHITECTURE_H
#define TP_LIB_ARCHITECTURE_H

#include "reader.h"

struct tp_architecture {
    const char *name;      // as GGUF files and config.json have it; static text
    bool has_bias;         // of queries, keys and values, always
    bool has_head_norm;    // always
    bool is_half_split;    // GGUF files keep the rows of queries and keys in half-split order
    bool may_have_bias;    // biases are there when the file has them
    bool window_is_asked;  // a sliding window counts only where config.json says use_sliding_window
};

/** Finds an architecture that this program runs.
 *  in     place  for the message: "dir/config.json: model_type"
 *  out    found  written only on TP_OK; static
 *  error  TP_ERROR_UNSUPPORTED  the name and the reason */
TP_MUST_USE tp_status tp__architecture_find(const char *place, struct tp_string name,
                                            const struct tp_architecture **found,
                                            struct tp_error *error);

#endif

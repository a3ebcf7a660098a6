// SPDX-License-Identifier: Apache-2.0
//
// Writing a model as a GGUF file, version 3, all numbers float32.

#ifndef TP_LIB_EXPORT_GGUF_H
#define TP_LIB_EXPORT_GGUF_H

#include "loader.h"
#include "tokenizer.h"

/** Writes the model to path, which nobody sees half written. Loading the file gives the same
 *  tensors, bit by bit.
 *  in     tokenizer  or NULL
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__export_gguf(const struct tp_source_model *model,
                                      const struct tp_tokenizer *tokenizer, const char *path,
                                      struct tp_error *error);

#endif

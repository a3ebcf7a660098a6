// SPDX-License-Identifier: Apache-2.0
//
// Splitting text into the words inside which byte pairs may merge: a few known rules, by name.

#ifndef TP_LIB_SPLIT_H
#define TP_LIB_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader.h"

enum tp_split {
    TP_SPLIT_NONE,    // the text is one word
    TP_SPLIT_GPT2,    // GPT-2
    TP_SPLIT_DIGITS,  // GPT-2 with each digit apart (SmolLM)
    TP_SPLIT_LLAMA3,  // Llama-3: up to three digits, line ends with what stands before
    TP_SPLIT_QWEN2,   // Qwen2: like Llama-3 with each digit apart
    TP_SPLIT_COUNT
};

/** The rule that a GGUF file names in tokenizer.ggml.pre; TP_SPLIT_COUNT when it is not known. */
enum tp_split tp__split_of_name(struct tp_string name);

/** The rule that a tokenizer.json writes as a regular expression; TP_SPLIT_COUNT when this text is
 *  none of the known ones. A text from a file is compared, never run. */
enum tp_split tp__split_of_pattern(struct tp_string pattern);

/** The first name of a rule but TP_SPLIT_NONE, for tokenizer.ggml.pre. */
const char *tp__split_name(enum tp_split split);

/** The names that tp__split_of_name knows, for messages. */
const char *tp__split_names(void);

struct tp_splitter;

/** Takes all memory that splitting will need.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__splitter_open(enum tp_split split, struct tp_splitter **splitter,
                                        struct tp_error *error);

/** NULL is allowed. */
void tp__splitter_close(struct tp_splitter *splitter);

/** Bytes of the word at the offset of a valid UTF-8 text, at least 1; the whole text decides where
 *  it ends. Takes no memory. */
size_t tp__splitter_next(struct tp_splitter *splitter, const char *text, size_t size,
                         size_t offset);

#endif

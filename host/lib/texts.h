// SPDX-License-Identifier: Apache-2.0
//
// A file of several texts: separated by lines "<|endoftext|>".

#ifndef TP_LIB_TEXTS_H
#define TP_LIB_TEXTS_H

#include "reader.h"

struct tp_texts {
    const char *text;
    size_t size;
    size_t offset;
};

void tp__texts_start(struct tp_texts *texts, const char *text, size_t size);

/** The next text that is not empty, without line breaks and spaces around it; false at the end. */
bool tp__texts_next(struct tp_texts *texts, struct tp_string *text);

#endif

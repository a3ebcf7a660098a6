// SPDX-License-Identifier: Apache-2.0
//
// Chat templates: the texts of a talk as a model was trained to see them.
//
// Model files carry a template as a program in Jinja. It is never run: a few common forms are known
// by marks in its text, and written here by hand.

#ifndef TP_LIB_CHAT_H
#define TP_LIB_CHAT_H

#include "encode.h"
#include "tokproc.h"

enum tp_chat {
    TP_CHAT_NONE,     // the file has no template
    TP_CHAT_UNKNOWN,  // it has one that is none of the following
    TP_CHAT_PLAIN,
    TP_CHAT_CHATML,
    TP_CHAT_LLAMA2,
    TP_CHAT_LLAMA3,
    TP_CHAT_LLAMA31,
    TP_CHAT_MISTRAL,
    TP_CHAT_MISTRAL2,
    TP_CHAT_MISTRAL3,
    TP_CHAT_ZEPHYR,
    TP_CHAT_COUNT
};

/** What a text of messages goes behind. */
enum tp_chat_place {
    TP_CHAT_AT_START,         // nothing
    TP_CHAT_BEHIND_MESSAGES,  // messages, or any text
    TP_CHAT_BEHIND_ANSWER     // an answer, which is not closed
};

/** What a template's text says. */
struct tp_chat_form {
    enum tp_chat chat;
    bool has_bos;  // ChatML that starts with bos
    struct tp_string
        system;  // ChatML: system text when the messages have none; inside the template
};

struct tp_chat_form tp__chat_recognise(struct tp_string template);

/** "chatml"; NULL for TP_CHAT_NONE and TP_CHAT_UNKNOWN. */
const char *tp__chat_name(enum tp_chat chat);

/** Where a template is written to. */
struct tp_chat_text {
    char *text;
    size_t max;
    size_t size;              // needed; the text is cut at max
    struct tp_range *ranges;  // that are the template's own
    size_t range_max;         // 0: they are not kept
    size_t range_count;
};

/** Most ranges that so many messages have. */
size_t tp__chat_ranges(size_t message_count);

/** Writes messages by a template.
 *  in     name       NULL: the tokenizer's own
 *         answer     ends with the start of an answer
 *         place      behind messages there is no bos in front, behind an answer its end goes before
 *                    all else
 *  out    text
 *  error  TP_ERROR_NOT_FOUND    name is NULL and the model has no template
 *         TP_ERROR_UNSUPPORTED  the model's template, or name, is not known
 *         TP_ERROR_INVALID      a role is unknown or out of turn
 *         TP_ERROR_FULL         text is too small for text->size bytes */
TP_MUST_USE tp_status tp__chat_write(const struct tp_tokenizer *tokenizer, const char *name,
                                     const struct tp_chat_message *messages, size_t count,
                                     bool answer, enum tp_chat_place place,
                                     struct tp_chat_text *text, struct tp_error *error);

#endif

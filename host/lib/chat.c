// SPDX-License-Identifier: Apache-2.0
//
// Chat templates.

#include "chat.h"

#include <assert.h>
#include <string.h>

#include "internal.h"

static const char *const names[TP_CHAT_COUNT] = {
    [TP_CHAT_PLAIN] = "plain",         [TP_CHAT_CHATML] = "chatml",
    [TP_CHAT_LLAMA2] = "llama2",       [TP_CHAT_LLAMA3] = "llama3",
    [TP_CHAT_LLAMA31] = "llama3.1",    [TP_CHAT_MISTRAL] = "mistral",
    [TP_CHAT_MISTRAL2] = "mistral-v2", [TP_CHAT_MISTRAL3] = "mistral-v3",
    [TP_CHAT_ZEPHYR] = "zephyr"};

static const char names_text[] =
    "plain, chatml, llama2, llama3, llama3.1, mistral, mistral-v2, mistral-v3, zephyr";

const char *tp__chat_name(enum tp_chat chat)
{
    return chat < TP_CHAT_COUNT ? names[chat] : NULL;
}

/* ---- recognition ---- */

static const char *find(struct tp_string text, const char *mark)
{
    size_t size = strlen(mark);
    for (size_t i = 0; i + size <= text.size; i++) {
        if (memcmp(text.text + i, mark, size) == 0) return text.text + i;
    }
    return NULL;
}

static bool has(struct tp_string text, const char *mark)
{
    return find(text, mark) != NULL;
}

static struct tp_string behind(struct tp_string text, const char *place)
{
    return (struct tp_string){place, text.size - (size_t)(place - text.text)};
}

/* The system text that ChatML templates write when there is none: between "<|im_start|>system\n"
 * and
 * "<|im_end|>" in one string of the program. */
static struct tp_chat_form chatml_form(struct tp_string template)
{
    static const char start[] = "<|im_start|>system";
    struct tp_chat_form form = {.chat = TP_CHAT_CHATML, .has_bos = has(template, "bos_token")};
    struct tp_string rest = template;
    for (const char *place; form.system.size == 0 && (place = find(rest, start)) != NULL;) {
        rest = behind(rest, place + sizeof start - 1);
        // The end of the line, as itself or escaped.
        size_t line = rest.size > 0 && rest.text[0] == '\n'               ? 1
                      : rest.size > 1 && memcmp(rest.text, "\\n", 2) == 0 ? 2
                                                                          : 0;
        struct tp_string inside = behind(rest, rest.text + line);
        const char *end = find(inside, "<|im_end|>");
        if (line == 0 || end == NULL) continue;
        struct tp_string system = {inside.text, (size_t)(end - inside.text)};
        bool is_text = !has(system, "'") && !has(system, "\"") && !has(system, "{");
        if (is_text) form.system = system;
    }
    const uint8_t *bytes = (const uint8_t *)form.system.text;
    bool is_sound = form.system.size == 0 ||
                    (tp__utf8_check(bytes, form.system.size) == form.system.size &&
                     memchr(bytes, 0, form.system.size) == NULL && !has(form.system, "\\"));
    return is_sound ? form : (struct tp_chat_form){.chat = TP_CHAT_UNKNOWN};
}

static enum tp_chat mistral_form(struct tp_string template)
{
    if (has(template, "' [INST] ") || has(template, "\" [INST] ")) return TP_CHAT_MISTRAL2;
    bool spaced = has(template, "' [/INST]") || has(template, "\" [/INST]");
    if (spaced) return TP_CHAT_MISTRAL;
    bool tight = has(template, "'[INST] ") || has(template, "\"[INST] ");
    return tight ? TP_CHAT_MISTRAL3 : TP_CHAT_UNKNOWN;
}

struct tp_chat_form tp__chat_recognise(struct tp_string template)
{
    struct tp_chat_form form = {.chat = TP_CHAT_UNKNOWN};
    if (template.size == 0) {
        form.chat = TP_CHAT_NONE;
    } else if (has(template, "<|im_start|>")) {
        form = chatml_form(template);
    } else if (has(template, "<|start_header_id|>")) {
        form.chat = has(template, "Cutting Knowledge Date") ? TP_CHAT_LLAMA31 : TP_CHAT_LLAMA3;
    } else if (has(template, "<<SYS>>")) {
        form.chat = TP_CHAT_LLAMA2;
    } else if (has(template, "[INST]")) {
        form.chat = mistral_form(template);
    } else if (has(template, "<|user|>") && has(template, "eos_token") &&
               !has(template, "<|end|>")) {
        form.chat = TP_CHAT_ZEPHYR;
    }
    return form;
}

/* ---- writing ---- */

struct writer {
    const struct tp_tokenizer *tokenizer;
    struct tp_chat_text *out;
    const struct tp_chat_message *messages;
    size_t count;
    bool answer;
    enum tp_chat_place place;
    enum tp_chat chat;
};

static void put_bytes(struct tp_chat_text *out, struct tp_string text)
{
    size_t left = out->size < out->max ? out->max - out->size : 0;
    size_t kept = text.size < left ? text.size : left;
    if (kept > 0) memcpy(out->text + out->size, text.text, kept);
    out->size += text.size;
}

/* Text of the template. */
static void put_own(struct writer *writer, struct tp_string text)
{
    struct tp_chat_text *out = writer->out;
    size_t start = out->size;
    put_bytes(out, text);
    if (text.size == 0 || out->range_max == 0) return;
    bool joins = out->range_count > 0 && out->ranges[out->range_count - 1].end == start;
#ifdef TP_PLANT_BUG
    joins = out->range_count > 0;  // the messages between become the template's own
#endif
    if (!joins) {
        assert(out->range_count < out->range_max);
        out->ranges[out->range_count++].start = start;
    }
    out->ranges[out->range_count - 1].end = out->size;
}

static void put(struct writer *writer, const char *text)
{
    put_own(writer, (struct tp_string){text, strlen(text)});
}

static void put_bos(struct writer *writer)
{
    const struct tp_tokenizer *tokenizer = writer->tokenizer;
    bool has_bos = tokenizer->add_bos || tokenizer->bos != tokenizer->eos;
    if (has_bos) put_own(writer, tp__tokenizer_piece(tokenizer, tokenizer->bos));
}

static void put_eos(struct writer *writer)
{
    put_own(writer, tp__tokenizer_piece(writer->tokenizer, writer->tokenizer->eos));
}

/* What Python's strip takes away. */
static bool is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20) || code == 0x85 ||
           code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

static struct tp_string strip(struct tp_string text)
{
    const uint8_t *bytes = (const uint8_t *)text.text;
    while (text.size > 0 && is_space(tp__utf8_code(bytes))) {
        size_t length = tp__utf8_length(bytes, text.size);
        bytes += length;
        text.size -= length;
    }
    while (text.size > 0) {
        size_t last = text.size - 1;
        while ((bytes[last] & 0xc0) == 0x80) last--;
        if (!is_space(tp__utf8_code(bytes + last))) break;
        text.size = last;
    }
    text.text = (const char *)bytes;
    return text;
}

static struct tp_string text_of(const struct tp_chat_message *message)
{
    return (struct tp_string){message->text, strlen(message->text)};
}

static bool is_role(const struct tp_chat_message *message, const char *role)
{
    return strcmp(message->role, role) == 0;
}

static bool has_system(const struct writer *writer)
{
    return writer->count > 0 && is_role(&writer->messages[0], "system");
}

/* What is behind an answer, and in some templates behind every message. */
static void end_answer(struct writer *writer)
{
    switch (writer->chat) {
    case TP_CHAT_CHATML:
        put(writer, "<|im_end|>\n");
        break;
    case TP_CHAT_LLAMA2:
        put(writer, " ");
        put_eos(writer);
        break;
    case TP_CHAT_LLAMA3:
    case TP_CHAT_LLAMA31:
        put(writer, "<|eot_id|>");
        break;
    case TP_CHAT_ZEPHYR:
        put_eos(writer);
        put(writer, "\n");
        break;
    case TP_CHAT_PLAIN:
        break;
    default:
        put_eos(writer);
        break;
    }
}

static void write_plain(struct writer *writer)
{
    bool has_text = writer->place != TP_CHAT_AT_START;
    for (size_t i = 0; i < writer->count; i++) {
        if (has_text) put(writer, "\n");
        put_bytes(writer->out, text_of(&writer->messages[i]));
        has_text = true;
    }
    if (writer->answer && has_text) put(writer, "\n");
}

static void write_chatml(struct writer *writer, const struct tp_chat_form *form)
{
    if (form->has_bos && writer->place == TP_CHAT_AT_START) put_bos(writer);
    if (form->system.size > 0 && !has_system(writer) && writer->place == TP_CHAT_AT_START) {
        put(writer, "<|im_start|>system\n");
        put_own(writer, form->system);
        put(writer, "<|im_end|>\n");
    }
    for (size_t i = 0; i < writer->count; i++) {
        put(writer, "<|im_start|>");
        put(writer, writer->messages[i].role);
        put(writer, "\n");
        put_bytes(writer->out, text_of(&writer->messages[i]));
        end_answer(writer);
    }
    if (writer->answer) put(writer, "<|im_start|>assistant\n");
}

static void put_llama3(struct writer *writer, const char *role, const char *head,
                       struct tp_string text)
{
    put(writer, "<|start_header_id|>");
    put(writer, role);
    put(writer, "<|end_header_id|>\n\n");
    put(writer, head);
    put_bytes(writer->out, strip(text));
    end_answer(writer);
}

static void write_llama3(struct writer *writer, bool has_date)
{
    size_t first = 0;
    if (writer->place == TP_CHAT_AT_START) put_bos(writer);
    if (has_date && writer->place == TP_CHAT_AT_START) {
        struct tp_string system = {"", 0};
        if (has_system(writer)) system = text_of(&writer->messages[first++]);
        put_llama3(writer, "system",
                   "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n", system);
    }
    for (size_t i = first; i < writer->count; i++) {
        put_llama3(writer, writer->messages[i].role, "", text_of(&writer->messages[i]));
    }
    if (writer->answer) put(writer, "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

static void write_llama2(struct writer *writer)
{
    size_t first = has_system(writer) ? 1 : 0;
    for (size_t i = first; i < writer->count; i++) {
        struct tp_string text = text_of(&writer->messages[i]);
        if (is_role(&writer->messages[i], "assistant")) {
            put(writer, " ");
            put_bytes(writer->out, strip(text));
            end_answer(writer);
            continue;
        }
        put_bos(writer);
        put(writer, "[INST] ");
        if (i == 1 && first == 1) {
            put(writer, "<<SYS>>\n");
            put_bytes(writer->out, text_of(&writer->messages[0]));
            put(writer, "\n<</SYS>>\n\n");
            // The whole is stripped, of which the front is no space.
            const char *start = text.text;
            text = strip(text);
            text = (struct tp_string){start, (size_t)(text.text + text.size - start)};
        } else {
            text = strip(text);
        }
        put_bytes(writer->out, text);
        put(writer, " [/INST]");
    }
}

static void write_mistral(struct writer *writer)
{
    const enum tp_chat chat = writer->chat;
    size_t first = has_system(writer) ? 1 : 0;
    // The system text goes to the first question, in the third edition to the last.
    size_t with_system = first;
    for (size_t i = first; i < writer->count && chat == TP_CHAT_MISTRAL3; i++) {
        if (is_role(&writer->messages[i], "user")) with_system = i;
    }
    if (writer->place == TP_CHAT_AT_START) put_bos(writer);
    for (size_t i = first; i < writer->count; i++) {
        struct tp_string text = text_of(&writer->messages[i]);
        if (is_role(&writer->messages[i], "assistant")) {
            if (chat != TP_CHAT_MISTRAL) put(writer, " ");
            put_bytes(writer->out, text);
            end_answer(writer);
            continue;
        }
        put(writer, chat == TP_CHAT_MISTRAL2 ? " [INST] " : "[INST] ");
        if (first == 1 && i == with_system) {
            put_bytes(writer->out, text_of(&writer->messages[0]));
            put(writer, "\n\n");
        }
        put_bytes(writer->out, text);
        put(writer, chat == TP_CHAT_MISTRAL3 ? "[/INST]" : " [/INST]");
    }
}

static void write_zephyr(struct writer *writer)
{
    for (size_t i = 0; i < writer->count; i++) {
        put(writer, "<|");
        put(writer, writer->messages[i].role);
        put(writer, "|>\n");
        put_bytes(writer->out, text_of(&writer->messages[i]));
        end_answer(writer);
    }
    if (writer->answer) put(writer, "<|assistant|>\n");
}

/* ---- checks ---- */

static bool is_paired(enum tp_chat chat)
{
    return chat == TP_CHAT_LLAMA2 || chat == TP_CHAT_MISTRAL || chat == TP_CHAT_MISTRAL2 ||
           chat == TP_CHAT_MISTRAL3;
}

static tp_status check_messages(enum tp_chat chat, const struct tp_chat_message *messages,
                                size_t count, struct tp_error *error)
{
    if (count > TP_CHAT_MESSAGES_MAX) {
        return tp__fail(error, TP_ERROR_TOO_LARGE, "%zu messages, the limit is %d", count,
                        TP_CHAT_MESSAGES_MAX);
    }
    size_t turn = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tp_chat_message *message = &messages[i];
        if (message->role == NULL || message->text == NULL) {
            return tp__fail(error, TP_ERROR_INVALID, "message %zu has no role or no text", i);
        }
        size_t size = strlen(message->text);
        size_t bad = tp__utf8_check((const uint8_t *)message->text, size);
        if (bad < size) {
            return tp__fail(error, TP_ERROR_FORMAT,
                            "message %zu is not valid UTF-8: byte %zu is 0x%02x; convert it", i,
                            bad, (unsigned)(uint8_t)message->text[bad]);
        }
        bool is_system = is_role(message, "system");
        bool is_user = is_role(message, "user");
        if (!is_system && !is_user && !is_role(message, "assistant")) {
            return tp__fail(error, TP_ERROR_INVALID,
                            "message %zu has the role \"%.32s\"; known are system, user and "
                            "assistant",
                            i, message->role);
        }
        if (!is_paired(chat) || (is_system && i == 0)) continue;
        if (is_system || is_user != (turn % 2 == 0)) {
            return tp__fail(error, TP_ERROR_INVALID,
                            "message %zu is the %s's; the template %s takes at most one of system, "
                            "then user and assistant in turn",
                            i, message->role, names[chat]);
        }
        turn++;
    }
    return TP_OK;
}

static tp_status find_form(const struct tp_tokenizer *tokenizer, const char *name,
                           struct tp_chat_form *form, struct tp_error *error)
{
    *form = (struct tp_chat_form){.chat = tokenizer->chat, .has_bos = tokenizer->chat_bos};
    if (tokenizer->chat_system != NULL) {
        form->system = (struct tp_string){tokenizer->chat_system, strlen(tokenizer->chat_system)};
    }
    if (name == NULL && form->chat == TP_CHAT_NONE) {
        return tp__fail(error, TP_ERROR_NOT_FOUND, "%s has no chat template - try to name one: %s",
                        tokenizer->name, names_text);
    }
    if (name == NULL && form->chat == TP_CHAT_UNKNOWN) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "the chat template of %s is none of the known ones - try to name one: %s",
                        tokenizer->name, names_text);
    }
    if (name == NULL) return TP_OK;
    for (int chat = TP_CHAT_PLAIN; chat < TP_CHAT_COUNT; chat++) {
        if (strcmp(names[chat], name) != 0) continue;
        // What the file's own template says more counts only for that one.
        if ((enum tp_chat)chat != form->chat) *form = (struct tp_chat_form){0};
        form->chat = (enum tp_chat)chat;
        return TP_OK;
    }
    return tp__fail(error, TP_ERROR_UNSUPPORTED,
                    "no chat template is named \"%.32s\"; there are %s", name, names_text);
}

size_t tp__chat_ranges(size_t message_count)
{
    // One before each message, its system text included, and one behind the last.
    return 2 * message_count + 2;
}

tp_status tp__chat_write(const struct tp_tokenizer *tokenizer, const char *name,
                         const struct tp_chat_message *messages, size_t count, bool answer,
                         enum tp_chat_place place, struct tp_chat_text *text,
                         struct tp_error *error)
{
    struct tp_chat_form form;
    tp_status status = find_form(tokenizer, name, &form, error);
    if (status == TP_OK) status = check_messages(form.chat, messages, count, error);
    if (status != TP_OK) return status;
    struct writer writer = {.tokenizer = tokenizer,
                            .out = text,
                            .messages = messages,
                            .count = count,
                            .answer = answer,
                            .place = place,
                            .chat = form.chat};
    text->size = 0;
    text->range_count = 0;
    if (place == TP_CHAT_BEHIND_ANSWER) end_answer(&writer);
    switch (form.chat) {
    case TP_CHAT_PLAIN:
        write_plain(&writer);
        break;
    case TP_CHAT_CHATML:
        write_chatml(&writer, &form);
        break;
    case TP_CHAT_LLAMA2:
        write_llama2(&writer);
        break;
    case TP_CHAT_LLAMA3:
    case TP_CHAT_LLAMA31:
        write_llama3(&writer, form.chat == TP_CHAT_LLAMA31);
        break;
    case TP_CHAT_ZEPHYR:
        write_zephyr(&writer);
        break;
    default:
        write_mistral(&writer);
        break;
    }
    if (text->size <= text->max) return TP_OK;
    return tp__fail(error, TP_ERROR_FULL, "the messages are %zu bytes long, there is room for %zu",
                    text->size, text->max);
}

/* ---- public ---- */

tp_status tp_model_chat(const tp_model *model, const char *name,
                        const struct tp_chat_message *messages, size_t count, bool answer,
                        char *text, size_t max, size_t *size, struct tp_error *error)
{
    if (model == NULL || (messages == NULL && count != 0) || (text == NULL && max != 0) ||
        size == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_model_chat: an argument is NULL");
    }
    if (model->tokenizer == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED, "%s has no tokenizer - try: --tokenizer FILE",
                        model->name);
    }
    struct tp_chat_text out = {.text = text, .max = max > 0 ? max - 1 : 0};
    tp_status status = tp__chat_write(model->tokenizer, name, messages, count, answer,
                                      TP_CHAT_AT_START, &out, error);
    *size = out.size + 1;
    if (max > 0) text[out.size < max ? out.size : max - 1] = '\0';
    return status;
}

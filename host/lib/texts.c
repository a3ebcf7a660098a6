// SPDX-License-Identifier: Apache-2.0
//
// Splitting a file into texts.

#include "texts.h"

#include <string.h>

#include "tokproc.h"

static const char separator[] = "<|endoftext|>";

void tp__texts_start(struct tp_texts *texts, const char *text, size_t size)
{
    *texts = (struct tp_texts){.text = text, .size = size, .offset = 0};
}

bool tp_text_next(const char *data, size_t size, size_t *offset, const char **text,
                  size_t *text_size)
{
    struct tp_texts texts = {.text = data, .size = size, .offset = *offset};
    struct tp_string found;
    bool is_found = tp__texts_next(&texts, &found);
    *offset = texts.offset;
    if (is_found) {
        *text = found.text;
        *text_size = found.size;
    }
    return is_found;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct tp_string trim(struct tp_string s)
{
    while (s.size != 0 && is_space(s.text[0])) {
        s.text++;
        s.size--;
    }
    while (s.size != 0 && is_space(s.text[s.size - 1])) {
        s.size--;
    }
    return s;
}

// The line at the offset, without its end; moves the offset behind it.
static struct tp_string next_line(struct tp_texts *texts)
{
    const char *start = texts->text + texts->offset;
    size_t left = texts->size - texts->offset;
    const char *end = memchr(start, '\n', left);
    size_t size = end == NULL ? left : (size_t)(end - start);
    texts->offset += end == NULL ? left : size + 1;
    return (struct tp_string){start, size};
}

bool tp__texts_next(struct tp_texts *texts, struct tp_string *text)
{
    size_t first = texts->offset;
    while (texts->offset < texts->size) {
        size_t line_at = texts->offset;
        struct tp_string line = trim(next_line(texts));
        bool separates = tp__string_is(line, separator);
        if (!separates && texts->offset < texts->size) {
            continue;
        }
        size_t end = separates ? line_at : texts->offset;
        *text = trim((struct tp_string){texts->text + first, end - first});
        if (text->size != 0) {
            return true;
        }
        first = texts->offset;
    }
    return false;
}

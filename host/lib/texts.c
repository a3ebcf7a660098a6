// SPDX-License-Identifier: Apache-2.0
//
// Splitting a file into texts.

#include <string.h>

#include "reader.h"
#include "tokproc.h"

static const char separator[] = "<|endoftext|>";

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
static struct tp_string next_line(const char *data, size_t size, size_t *offset)
{
    const char *start = data + *offset;
    size_t left = size - *offset;
    const char *end = memchr(start, '\n', left);
    size_t line_size = end == NULL ? left : (size_t)(end - start);
    *offset += end == NULL ? left : line_size + 1;
    return (struct tp_string){start, line_size};
}

bool tp_text_next(const char *data, size_t size, size_t *offset, const char **text,
                  size_t *text_size)
{
    size_t first = *offset;
    while (*offset < size) {
        size_t line_at = *offset;
        struct tp_string line = trim(next_line(data, size, offset));
        bool separates = tp__string_is(line, separator);
        if (!separates && *offset < size) {
            continue;
        }
        size_t end = separates ? line_at : *offset;
        struct tp_string found = trim((struct tp_string){data + first, end - first});
        if (found.size != 0) {
            *text = found.text;
            *text_size = found.size;
            return true;
        }
        first = *offset;
    }
    return false;
}

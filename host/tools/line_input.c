// SPDX-License-Identifier: Apache-2.0
//
// Lines from standard input. Whoever waits here looks for Ctrl-C ten times a second: a signal may
// come before the wait for input begins.

#include "line_input.h"

#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "common.h"

enum { POLL_MS = 100, HISTORY_LINES = 1000, CHUNK_BYTES = 4096 };

// False after Ctrl-C.
static bool wait_for_input(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!interrupted()) {
        if (poll(&input, 1, POLL_MS) > 0) {
            return true;
        }
    }
    return false;
}

// ---- at a terminal ----

static char *prompt_of(EditLine *editor)
{
    static char prompt[] = "> ";
    (void)editor;
    return prompt;
}

// One character of UTF-8: 1, at the end 0, after Ctrl-C -1.
static int next_character(EditLine *editor, wchar_t *character)
{
    mbstate_t state = {0};
    (void)editor;
    while (wait_for_input()) {
        char byte = 0;
        if (read(STDIN_FILENO, &byte, 1) != 1) {
            return 0;
        }
        size_t size = mbrtowc(character, &byte, 1, &state);
        if (size == (size_t)-1) {
            state = (mbstate_t){0};
        } else if (size != (size_t)-2) {
            return 1;
        }
    }
    return -1;
}

bool line_input_open(struct line_input *input)
{
    if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
        return false;
    }
    // Texts are UTF-8, whatever the terminal calls itself.
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    input->editor = el_init("tokproc", stdin, stdout, stderr);
    input->history = history_init();
    if (input->editor == NULL || input->history == NULL) {
        line_input_close(input);
        return false;
    }
    HistEvent event;
    (void)history(input->history, &event, H_SETSIZE, HISTORY_LINES);
    (void)history(input->history, &event, H_SETUNIQUE, 1);
    (void)el_set(input->editor, EL_PROMPT, prompt_of);
    (void)el_set(input->editor, EL_EDITOR, "emacs");
    (void)el_set(input->editor, EL_HIST, history, input->history);
    (void)el_set(input->editor, EL_GETCFN, next_character);
    (void)el_source(input->editor, NULL);  // ~/.editrc
    return true;
}

void line_input_close(struct line_input *input)
{
    if (input->editor != NULL) {
        el_end(input->editor);
    }
    if (input->history != NULL) {
        history_end(input->history);
    }
    free(input->bytes);
    *input = (struct line_input){0};
}

// Whether something stood in the line when it was left.
static bool has_text(EditLine *editor)
{
    const LineInfo *line = el_line(editor);
    return line->lastchar > line->buffer;
}

static const char *edit(struct line_input *input)
{
    for (;;) {
        int count = 0;
        el_resize(input->editor);
        const char *line = el_gets(input->editor, &count);
        if (line != NULL && count > 0) {
            HistEvent event;
            size_t size = strcspn(line, "\n");
            if (size != 0) {
                (void)history(input->history, &event, H_ENTER, line);
            }
            free(input->bytes);
            input->bytes = strndup(line, size);
            return input->bytes;
        }
        printf("\n");
        (void)fflush(stdout);
        if (!interrupted() || !has_text(input->editor)) {
            return NULL;
        }
        interrupt_forget();
        el_reset(input->editor);
    }
}

// ---- from a pipe ----

// Reads more bytes: false at the end, after Ctrl-C and without memory.
static bool read_more(struct line_input *input)
{
    if (input->room - input->count <= CHUNK_BYTES) {
        char *larger = realloc(input->bytes, input->room + 2 * (size_t)CHUNK_BYTES);
        if (larger == NULL) {
            return false;
        }
        input->bytes = larger;
        input->room += 2 * (size_t)CHUNK_BYTES;
    }
    if (!wait_for_input()) {
        return false;
    }
    ssize_t got = read(STDIN_FILENO, input->bytes + input->count, CHUNK_BYTES);
    input->count += got > 0 ? (size_t)got : 0;
    return got > 0;
}

static const char *split(struct line_input *input)
{
    input->count -= input->given;
    if (input->given != 0) {
        memmove(input->bytes, input->bytes + input->given, input->count);
        input->given = 0;
    }
    for (size_t seen = 0;;) {
        char *end =
            input->count == seen ? NULL : memchr(input->bytes + seen, '\n', input->count - seen);
        seen = input->count;
        if (end == NULL && read_more(input)) {
            continue;
        }
        if (interrupted() || input->count == 0) {
            return NULL;
        }
        // The last line may have no end.
        size_t size = end != NULL ? (size_t)(end - input->bytes) : input->count;
        input->given = end != NULL ? size + 1 : size;
        input->bytes[size] = 0;
        return input->bytes;
    }
}

const char *line_input_next(struct line_input *input)
{
    return input->editor != NULL ? edit(input) : split(input);
}

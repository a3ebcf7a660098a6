// SPDX-License-Identifier: Apache-2.0
//
// Lines of a person or of a pipe: with editing and history at a terminal, by libedit.

#ifndef TP_TOOLS_LINE_INPUT_H
#define TP_TOOLS_LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

/** Of standard input; starts with all 0. */
struct line_input {
    struct editline *editor;  // NULL: standard input or output is no terminal
    struct history *history;
    char *bytes;
    size_t room;
    size_t count;  // that were read
    size_t given;  // of these the last line, with its end
};

/** Says whether it edits lines. */
bool line_input_open(struct line_input *input);
void line_input_close(struct line_input *input);

/** The next line without its end, until the next call; NULL at the end of the input and after
 *  Ctrl-C, which interrupted() tells. At a terminal Ctrl-C behind some text only forgets that. */
const char *line_input_next(struct line_input *input);

#endif

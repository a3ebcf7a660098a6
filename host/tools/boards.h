// SPDX-License-Identifier: Apache-2.0
//
// Boards, and the bitstreams that were built for them.

#ifndef TP_TOOLS_BOARDS_H
#define TP_TOOLS_BOARDS_H

#include "common.h"

enum { BOARDS_MAX = 16 };

/** The clock of a board's core. */
struct board_clock {
    double mhz;
    char origin[TP_NAME_BYTES];  // where the figure comes from
};

/** The board of that name; false after a message. */
bool find_board(const char *name, struct tp_board_info *info);

/** What the bitstream of this tree is; an exit status after a message when there is none, or when
 *  it was built from other sources. */
int read_bitstream(const struct options *options, const char *board,
                   struct tp_bitstream_info *info);

/** The clock that the bitstream of this tree reached; where there is none, the required one. */
void board_clock(const struct tp_board_info *board, const struct options *options,
                 struct board_clock *clock);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Boards, and the bitstreams that were built for them.

#include <stdio.h>
#include <string.h>

#include "boards.h"

bool find_board(const char *name, struct tp_board_info *info)
{
    struct tp_board_info boards[BOARDS_MAX];
    char names[BOARDS_MAX * (TP_NAME_BYTES + 2)] = "";
    size_t count = tp_board_list(boards, BOARDS_MAX);
    for (size_t i = 0; i < count && i < BOARDS_MAX; i++) {
        if (strcmp(boards[i].name, name) == 0) {
            *info = boards[i];
            return true;
        }
        (void)strcat(strcat(names, i == 0 ? "" : ", "), boards[i].name);
    }
    fprintf(stderr, "tokproc: no board is called '%s' - there are: %s\n", name, names);
    return false;
}

void board_clock(const struct tp_board_info *board, const struct options *options,
                 struct board_clock *clock)
{
    (void)options;
    clock->mhz = board->clock_khz / 1e3;
    (void)snprintf(clock->origin, sizeof clock->origin, "required; no bitstream was built yet");
}

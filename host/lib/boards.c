// SPDX-License-Identifier: Apache-2.0
//
// The boards of tp_boards.def.

#include "tokproc.h"

static const struct tp_board_info boards[] = {
#define TP_BOARD(name_, configuration_, part_, idcode_, luts_, block_rams_, multipliers_, plls_,   \
                 core_khz_, target_khz_, baud_, usb_, seed_, text_)                                \
    {.name = #name_,                                                                               \
     .text = text_,                                                                                \
     .configuration = #configuration_,                                                             \
     .part = #part_,                                                                               \
     .idcode = idcode_,                                                                            \
     .luts = luts_,                                                                                \
     .block_rams = block_rams_,                                                                    \
     .multipliers = multipliers_,                                                                  \
     .clock_khz = core_khz_,                                                                       \
     .baud = baud_,                                                                                \
     .has_usb = usb_ != 0,                                                                         \
     .seed = seed_},
#include "tp_boards.def"
#undef TP_BOARD
};

size_t tp_board_list(struct tp_board_info *infos, size_t max)
{
    size_t count = sizeof boards / sizeof *boards;
    for (size_t i = 0; i < count && i < max; i++) {
        infos[i] = boards[i];
    }
    return count;
}

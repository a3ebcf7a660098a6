// SPDX-License-Identifier: Apache-2.0
//
// Boards, and the bitstreams that were built for them.

#ifndef TP_TOOLS_BOARDS_H
#define TP_TOOLS_BOARDS_H

#include "common.h"

enum {
    BOARDS_MAX = 16,
    SHIPPED_BYTES = 1200,
    MAP_PATH_BYTES = SHIPPED_BYTES + TP_NAME_BYTES,
    SERIAL_BITS_OF_BYTE = 10,
    JTAG_HZ = 25000000,  // that load times are told for; a cable may be slower
    // At full speed 19 bulk packets of 64 bytes fit a frame of a millisecond (USB 2.0, table 5-9).
    USB_BYTES_PER_SECOND = 19 * 64 * 1000
};

/** The clock of a board's core. */
struct board_clock {
    double mhz;
    char origin[TP_NAME_BYTES];  // where the figure comes from
};

/** A folder or file of the tree, such as "models/tokproc-stories.bin": here, beside the folder of
 *  the program, or where it was installed.
 *  out    root  the tree that it lies in; "": it is installed
 *  Returns whether it is there. */
bool find_shipped(const char *name, char path[SHIPPED_BYTES], char root[SHIPPED_BYTES]);

/** Where bitstreams lie, and the tree that their sources are compared with ("": none): --bitstreams
 *  or shipped ones. */
void find_bitstreams(const struct options *options, char folder[SHIPPED_BYTES],
                     char root[SHIPPED_BYTES]);

/** The map of a board's design: --map, else the one beside the bitstream of --board. */
void find_map(const struct options *options, char path[MAP_PATH_BYTES]);

/** The map of the design that a simulated device ("sim:ulx3s-45f") boots with: --map, that of
 *  --board, else of the board of its configuration. An exit status, after a message when there is
 *  none. */
int find_map_of_device(const struct options *options, const char *device,
                       char path[MAP_PATH_BYTES]);

/** Whether that map is there; false after a message that says how to make it. */
bool has_map(const char *path, const char *board);

/** The board of that name; false after a message. */
bool find_board(const char *name, struct tp_board_info *info);

/** What the bitstream of this tree is; an exit status after a message when there is none, or when
 *  it was built from other sources. */
int read_bitstream(const struct options *options, const char *board,
                   struct tp_bitstream_info *info);

/** The board whose part has that IDCODE; false: none has. */
bool board_of_idcode(uint32_t idcode, struct tp_board_info *info);

/** Whether bitstreams are made for the board; false after a message. */
bool has_core(const struct tp_board_info *board);

/** A bitstream that can be written. */
struct board_bits {
    struct tp_bitstream_info info;
    char path[SHIPPED_BYTES + TP_NAME_BYTES * 2];
    char stale[TP_ERROR_TEXT_BYTES];  // how the sources of this tree differ; empty: they do not
};

/** Reads manifest and bits of a board and holds them against each other.
 *  error  as tp_bitstream_read without a tree, and as tp_bitstream_check_bits */
tp_status read_bits(const struct options *options, const char *board, struct board_bits *bits,
                    struct tp_error *error);

/** The clock that the bitstream of this tree reached; where there is none, the required one. */
void board_clock(const struct tp_board_info *board, const struct options *options,
                 struct board_clock *clock);

#endif

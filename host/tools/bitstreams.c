// SPDX-License-Identifier: Apache-2.0
//
// Boards, and the bitstreams that were built for them.

#define _GNU_SOURCE  // realpath

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boards.h"

enum { PATH_BYTES = 1200 };

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

// Where bitstreams lie, and the tree that their sources are compared with ("": none, they are
// installed): --bitstreams, beside the folder of the program, here, or where they were installed.
static void find_folder(const struct options *options, char folder[PATH_BYTES],
                        char root[PATH_BYTES])
{
    static const char *const places[] = {"..", "../..", "../share/tokproc"};
    char *program = realpath("/proc/self/exe", NULL);
    char *slash = program != NULL ? strrchr(program, '/') : NULL;
    if (slash != NULL) {
        *slash = 0;
    }
    (void)snprintf(folder, PATH_BYTES, "%s",
                   options->bitstreams != NULL ? options->bitstreams : "bitstreams");
    if (options->bitstreams != NULL || access("bitstreams", R_OK) == 0) {
        (void)snprintf(root, PATH_BYTES, "%s/..", folder);
        free(program);
        return;
    }
    root[0] = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places && slash != NULL; i++) {
        int size = snprintf(folder, PATH_BYTES, "%s/%s/bitstreams", program, places[i]);
        if (size > 0 && size < PATH_BYTES && access(folder, R_OK) == 0) {
            bool is_installed = strstr(places[i], "share") != NULL;
            (void)snprintf(root, PATH_BYTES, "%s", is_installed ? "" : folder);
            (void)strncat(root, is_installed ? "" : "/..", PATH_BYTES - strlen(root) - 1);
            break;
        }
    }
    free(program);
}

static tp_status read_quietly(const struct options *options, const char *board,
                              struct tp_bitstream_info *info, struct tp_error *error)
{
    char folder[PATH_BYTES];
    char root[PATH_BYTES];
    find_folder(options, folder, root);
    return tp_bitstream_read(folder, root[0] != 0 ? root : NULL, board, info, error);
}

int read_bitstream(const struct options *options, const char *board, struct tp_bitstream_info *info)
{
    struct tp_error error = {.status = TP_OK};
    return read_quietly(options, board, info, &error) == TP_OK ? EXIT_OK : failed(&error);
}

void board_clock(const struct tp_board_info *board, const struct options *options,
                 struct board_clock *clock)
{
    struct tp_bitstream_info info;
    struct tp_error error = {.status = TP_OK};
    tp_status status = read_quietly(options, board->name, &info, &error);
    clock->mhz = status == TP_OK ? info.clock_achieved_mhz : board->clock_khz / 1e3;
    (void)snprintf(clock->origin, sizeof clock->origin, "%s",
                   status == TP_OK                ? "reached by its bitstream"
                   : status == TP_ERROR_NOT_FOUND ? "required; no bitstream was built yet"
                                                  : "required; its bitstream is of other sources");
}

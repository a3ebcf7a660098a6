// SPDX-License-Identifier: Apache-2.0
//
// Boards, and the bitstreams that were built for them.

#define _GNU_SOURCE  // realpath

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

bool board_of_idcode(uint32_t idcode, struct tp_board_info *info)
{
    struct tp_board_info boards[BOARDS_MAX];
    size_t count = tp_board_list(boards, BOARDS_MAX);
    for (size_t i = 0; i < count && i < BOARDS_MAX; i++) {
        if (boards[i].idcode == idcode) {
            *info = boards[i];
            return true;
        }
    }
    return false;
}

bool has_core(const struct tp_board_info *board)
{
    bool has = strcmp(board->configuration, "none") != 0;
    if (!has) {
        fprintf(stderr, "tokproc: no core fits %s - try: tokproc plan --board %s\n", board->name,
                board->name);
    }
    return has;
}

bool find_shipped(const char *name, char path[SHIPPED_BYTES], char root[SHIPPED_BYTES])
{
    static const char *const places[] = {".", "..", "../..", "../share/tokproc"};
    const char *slash = strrchr(name, '/');
    char *program = realpath("/proc/self/exe", NULL);
    char *end = program != NULL ? strrchr(program, '/') : NULL;
    bool found = false;
    if (end != NULL) {
        *end = 0;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places && !found; i++) {
        bool is_installed = strstr(places[i], "share") != NULL;
        const char *file = is_installed && slash != NULL ? slash + 1 : name;
        int size = i == 0 ? snprintf(path, SHIPPED_BYTES, "%s", file)
                          : snprintf(path, SHIPPED_BYTES, "%s/%s/%s", program, places[i], file);
        found =
            size > 0 && size < SHIPPED_BYTES && (i == 0 || end != NULL) && access(path, R_OK) == 0;
        (void)snprintf(root, SHIPPED_BYTES, "%.*s", is_installed ? 0 : size - (int)strlen(file),
                       path);
        (void)strncat(root, !is_installed && root[0] == 0 ? "." : "",
                      SHIPPED_BYTES - strlen(root) - 1);
    }
    free(program);
    return found;
}

void find_bitstreams(const struct options *options, char folder[SHIPPED_BYTES],
                     char root[SHIPPED_BYTES])
{
    if (options->bitstreams != NULL) {
        (void)snprintf(folder, SHIPPED_BYTES, "%s", options->bitstreams);
        (void)snprintf(root, SHIPPED_BYTES, "%s/..", folder);
    } else if (!find_shipped("bitstreams", folder, root)) {
        (void)snprintf(folder, SHIPPED_BYTES, "bitstreams");
        root[0] = 0;
    }
}

void find_map(const struct options *options, char path[MAP_PATH_BYTES])
{
    char folder[SHIPPED_BYTES];
    char root[SHIPPED_BYTES];
    find_bitstreams(options, folder, root);
    if (options->map != NULL) {
        (void)snprintf(path, MAP_PATH_BYTES, "%s", options->map);
    } else {
        (void)snprintf(path, MAP_PATH_BYTES, "%s/%s/map", folder, options->board);
    }
}

bool has_map(const char *path, const char *board)
{
    bool is_there = access(path, R_OK) == 0;
    if (!is_there) {
        fprintf(stderr,
                "tokproc: there is no map %s, which says where the memories of the design lie - "
                "try: make bitstream-map BOARD=%s behind make bitstream BOARD=%s, or --map\n",
                path, board, board);
    }
    return is_there;
}

int find_map_of_device(const struct options *options, const char *device, char path[MAP_PATH_BYTES])
{
    struct tp_board_info boards[BOARDS_MAX];
    struct options with_board = *options;
    const char *configuration = strchr(device, ':');
    size_t count = tp_board_list(boards, BOARDS_MAX);
    for (size_t i = 0; i < count && i < BOARDS_MAX && configuration != NULL; i++) {
        if (with_board.board == NULL && strcmp(boards[i].configuration, configuration + 1) == 0) {
            with_board.board = boards[i].name;
        }
    }
    if (with_board.board == NULL && options->map == NULL) {
        fprintf(stderr,
                "tokproc: %s is the configuration of no board, so nobody knows its map - try: "
                "--map FILE, or --config ulx3s-45f\n",
                device);
        return EXIT_USAGE;
    }
    find_map(&with_board, path);
    return has_map(path, with_board.board != NULL ? with_board.board : "NAME") ? EXIT_OK
                                                                               : EXIT_FAILED;
}

static tp_status read_quietly(const struct options *options, const char *board,
                              struct tp_bitstream_info *info, struct tp_error *error)
{
    char folder[SHIPPED_BYTES];
    char root[SHIPPED_BYTES];
    find_bitstreams(options, folder, root);
    return tp_bitstream_read(folder, root[0] != 0 ? root : NULL, board, info, error);
}

tp_status read_bits(const struct options *options, const char *board, struct board_bits *bits,
                    struct tp_error *error)
{
    char folder[SHIPPED_BYTES];
    char root[SHIPPED_BYTES];
    char sources[SHIPPED_BYTES + TP_NAME_BYTES];
    struct tp_error stale = {.status = TP_OK};
    find_bitstreams(options, folder, root);
    if (tp_bitstream_read(folder, NULL, board, &bits->info, error) != TP_OK ||
        tp_bitstream_check_bits(folder, board, &bits->info, error) != TP_OK) {
        return error->status;
    }
    (void)snprintf(bits->path, sizeof bits->path, "%s/%s/%s", folder, board, bits->info.bits);
    // Where there is a tree of sources, the bits may be older.
    (void)snprintf(sources, sizeof sources, "%s/rtl", root);
    bool is_tree = root[0] != 0 && access(sources, R_OK) == 0;
    if (is_tree && tp_bitstream_read(folder, root, board, &bits->info, &stale) == TP_OK) {
        stale.text[0] = 0;
    }
    (void)snprintf(bits->stale, sizeof bits->stale, "%s", stale.text);
    return TP_OK;
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

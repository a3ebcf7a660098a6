// SPDX-License-Identifier: Apache-2.0
//
// Whole files in memory, and files that are written whole or not at all.

#ifndef TP_LIB_FILE_H
#define TP_LIB_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

/** Bytes on the heap, at an address that suits every type. */
struct tp_bytes {
    uint8_t *data;
    size_t size;
};

/** Reads a regular file of at most size_max bytes.
 *  out    bytes  written only on TP_OK; tp__bytes_free releases it
 *  error  TP_ERROR_IO         the path names no readable regular file, or the file changed while
 *                             it was read
 *         TP_ERROR_TOO_LARGE  more than size_max bytes
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__file_read(const char *path, size_t size_max, struct tp_bytes *bytes,
                                    struct tp_error *error);

/** A copy of size bytes. */
TP_MUST_USE tp_status tp__bytes_copy(const void *data, size_t size, struct tp_bytes *bytes,
                                     struct tp_error *error);

void tp__bytes_free(struct tp_bytes *bytes);

/** A file under way: bytes go to a new file beside the path, which takes its name at the end, so
 *  nobody ever sees half a file and what was there before stays until then. */
struct tp_file_writer {
    FILE *stream;
    char *path;
    char *temporary;
    size_t size;       // bytes so far
    tp_status status;  // of the first failure; later bytes are dropped
    struct tp_error *error;
};

/** Starts a file.
 *  out    writer  also after a failure to be ended by tp__writer_close
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY; kept in the writer */
void tp__writer_open(struct tp_file_writer *writer, const char *path, struct tp_error *error);

/** Appends bytes; a failure is kept. */
void tp__writer_put(struct tp_file_writer *writer, const void *data, size_t size);

/** Ends the file: gives it its name when status and the writer's are TP_OK, else removes it.
 *  Returns status if that is a failure, else the writer's. */
TP_MUST_USE tp_status tp__writer_close(struct tp_file_writer *writer, tp_status status);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Whole files in memory.

#ifndef TP_LIB_FILE_H
#define TP_LIB_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/** Bytes on the heap, at an address that suits every type. */
struct tp_bytes {
    uint8_t *data;
    size_t size;
};

/** Reads a regular file of at most size_max bytes.
 *  out    bytes  written only on TP_OK; tp__bytes_free releases it
 *  error  TP_ERROR_IO         the path names no readable regular file, or the file changed while
 * read TP_ERROR_TOO_LARGE  more than size_max bytes TP_ERROR_NO_MEMORY
 */
TP_MUST_USE tp_status tp__file_read(const char *path, size_t size_max, struct tp_bytes *bytes,
                                    struct tp_error *error);

/** A copy of size bytes. */
TP_MUST_USE tp_status tp__bytes_copy(const void *data, size_t size, struct tp_bytes *bytes,
                                     struct tp_error *error);

void tp__bytes_free(struct tp_bytes *bytes);

#endif

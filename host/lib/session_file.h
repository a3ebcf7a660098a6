// SPDX-License-Identifier: Apache-2.0
//
// Saved sessions: how a session samples and its tokens. Not its keys and values: they are computed
// again, and are the same (docs/sessions.md draws the file).

#ifndef TP_LIB_SESSION_FILE_H
#define TP_LIB_SESSION_FILE_H

#include "digest.h"
#include "tokproc.h"

enum { TP_SESSION_TOKENS_MAX = 1 << 16 };

struct tp_session_file {
    struct tp_session_options options;  // without callbacks
    char stop_text[TP_STOP_STRINGS_MAX][TP_STOP_BYTES_MAX];
    uint8_t model[TP_DIGEST_BYTES];  // SHA-256 of the model's numbers
    uint32_t answer_at;              // token that an open answer begins with; 0: none
    uint32_t token_count;
    uint32_t *tokens;  // [token_count], on the heap
};

/** Reads what a file holds and checks it, but not whether the options suit a device.
 *  in     name   of the file, for messages
 *  out    file   written only on TP_OK; tp__session_file_close releases it
 *  error  TP_ERROR_FORMAT       damaged, or no saved session; says where
 *         TP_ERROR_UNSUPPORTED  of another version
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__session_file_parse(const uint8_t *bytes, size_t size, const char *name,
                                             struct tp_session_file *file, struct tp_error *error);
void tp__session_file_close(struct tp_session_file *file);

/** The same of a file on disk.
 *  error  also TP_ERROR_IO, TP_ERROR_TOO_LARGE */
TP_MUST_USE tp_status tp__session_file_read(const char *path, struct tp_session_file *file,
                                            struct tp_error *error);

/** Writes a file, whole or not at all.
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__session_file_write(const struct tp_session_file *file, const char *path,
                                             struct tp_error *error);

#endif

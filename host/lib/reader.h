// SPDX-License-Identifier: Apache-2.0
//
// Bounded reading of little-endian numbers and strings from bytes that nobody has checked.
//
// Every length of a file format goes through tp__reader_take: the one place that compares it with
// the bytes that are left.

#ifndef TP_LIB_READER_H
#define TP_LIB_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct tp_reader {
    const uint8_t *bytes;
    size_t size;
    size_t offset;     // never above size
    const char *name;  // of the file, for messages
    struct tp_error *error;
};

/** Text in the file, not ended by NUL. */
struct tp_string {
    const char *text;
    size_t size;
};

/** a * b; false when it does not fit. */
bool tp__multiply(size_t a, size_t b, size_t *product);

/** Steps over count bytes and points to the first; what names them for the message.
 *  error  TP_ERROR_FORMAT  fewer than count bytes are left */
TP_MUST_USE tp_status tp__reader_take(struct tp_reader *reader, uint64_t count, const char *what,
                                      const uint8_t **bytes);

TP_MUST_USE tp_status tp__reader_u32(struct tp_reader *reader, const char *what, uint32_t *value);
TP_MUST_USE tp_status tp__reader_u64(struct tp_reader *reader, const char *what, uint64_t *value);
TP_MUST_USE tp_status tp__reader_i32(struct tp_reader *reader, const char *what, int32_t *value);
TP_MUST_USE tp_status tp__reader_f32(struct tp_reader *reader, const char *what, float *value);

/** Numbers at bytes that are known to exist; any alignment. */
uint32_t tp__load_u32(const uint8_t *bytes);
uint64_t tp__load_u64(const uint8_t *bytes);
float tp__load_f32(const uint8_t *bytes);

bool tp__string_is(struct tp_string string, const char *text);

/** Arguments for "%.*s": at most 64 bytes of the string. */
int tp__string_width(struct tp_string string);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// How the library's functions report a failure: status code, and one line in the caller's record.

#ifndef TP_LIB_ERROR_H
#define TP_LIB_ERROR_H

#include "tp_status.h"

/** Writes status and the formatted line to error (which may be NULL) and returns status, so that a
 *  failing function ends with `return tp__fail(...)`. Control characters and bytes that are not
 *  UTF-8 become '?': text from a file cannot break the line or the terminal. */
TP_MUST_USE tp_status tp__fail(struct tp_error *error, tp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The end of a path that is short enough to leave room for the message. */
const char *tp__short_name(const char *path);

#endif

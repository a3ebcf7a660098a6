// SPDX-License-Identifier: Apache-2.0
//
// JSON from bytes that nobody has checked, with bounds on depth and number of values.

#ifndef TP_LIB_JSON_H
#define TP_LIB_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { TP_JSON_DEPTH_MAX = 64 };

/** Parses one JSON object.
 *  in     name        of the file, for messages
 *         start       of the text in the file, for the offsets in messages
 *         values_max  most values, so that a small text cannot ask for much memory
 *  out    root        written only on TP_OK; json_decref releases it
 *  error  TP_ERROR_FORMAT     no JSON, no object, a key twice in one object
 *         TP_ERROR_TOO_LARGE  too deep or too many values
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__json_parse(const uint8_t *text, size_t size, const char *name,
                                     size_t start, size_t values_max, json_t **root,
                                     struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Logs of steps: lines of JSON (docs/performance.md, "Logs of steps").

#ifndef TP_LIB_STEP_LOG_H
#define TP_LIB_STEP_LOG_H

#include "error.h"
#include "tokproc.h"

/** Steps from the bytes of a log.
 *  in     name   of the file, for messages
 *  out    steps  [*count]; written only on TP_OK; free releases it
 *  error  as tp_steps_read */
TP_MUST_USE tp_status tp__step_log_parse(const uint8_t *bytes, size_t size, const char *name,
                                         struct tp_step **steps, size_t *count,
                                         struct tp_error *error);

#endif

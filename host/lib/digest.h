// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 of bytes, by OpenSSL's libcrypto.

#ifndef TP_LIB_DIGEST_H
#define TP_LIB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { TP_DIGEST_BYTES = 32, TP_DIGEST_TEXT_BYTES = 2 * TP_DIGEST_BYTES + 1 };

/** error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__digest(const void *data, size_t size, uint8_t digest[TP_DIGEST_BYTES],
                                 struct tp_error *error);

/** As hexadecimal digits, NUL-terminated. */
void tp__digest_text(const uint8_t digest[TP_DIGEST_BYTES], char text[TP_DIGEST_TEXT_BYTES]);

#endif

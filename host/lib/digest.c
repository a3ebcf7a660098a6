// SPDX-License-Identifier: Apache-2.0
//
// The one place that calls libcrypto.

#include "digest.h"

#include <openssl/evp.h>
#include <stdio.h>

tp_status tp__digest(const void *data, size_t size, uint8_t digest[TP_DIGEST_BYTES],
                     struct tp_error *error)
{
    // It fails only when libcrypto finds no memory.
    return EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) == 1
               ? TP_OK
               : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a checksum");
}

void tp__digest_text(const uint8_t digest[TP_DIGEST_BYTES], char text[TP_DIGEST_TEXT_BYTES])
{
    for (size_t i = 0; i < TP_DIGEST_BYTES; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a saved session, with a right checksum where it has its place: a session whose
// tokens and stop strings lie in them, or an error, nothing else.

#include "digest.h"
#include "fuzz.h"
#include "session_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_session_file file;
    uint8_t *bytes = malloc(size == 0 ? 1 : size);
    FUZZ_REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    // Mutations would never pass the checksum.
    if (size >= TP_DIGEST_BYTES) {
        size_t at = size - TP_DIGEST_BYTES;
        FUZZ_REQUIRE(tp__digest(bytes, at, bytes + at, &error) == TP_OK);
    }
    tp_status status = tp__session_file_parse(bytes, size, "fuzz", &file, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        FUZZ_REQUIRE(4 * (size_t)file.token_count < size);
        FUZZ_REQUIRE(file.answer_at <= file.token_count);
        for (uint32_t i = 0; i < file.options.stop_string_count; i++) {
            FUZZ_REQUIRE(strlen(file.stop_text[i]) < TP_STOP_BYTES_MAX);
        }
        tp__session_file_close(&file);
    }
    free(bytes);
    return 0;
}

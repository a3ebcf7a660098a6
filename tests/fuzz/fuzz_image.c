// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an image file: a sound model or an error, nothing else. The checksums are made right
// first, since a guess would never find them; whatever stands behind them must still be checked.

#include "digest.h"
#include "fuzz.h"
#include "image_file.h"
#include "reader.h"

enum { AT_BYTES = 16, AT_PAYLOAD_DIGEST = 32, AT_REST_DIGEST = 64, AT_PAYLOAD = 96 + 3 * 24 + 8 };

static void repair(uint8_t *file, size_t size)
{
    struct tp_error error;
    uint64_t payload = tp__load_u64(file + AT_PAYLOAD);
    if (payload < 256 || payload > size) {
        return;
    }
    for (uint32_t i = 0; i < 8; i++) {
        file[AT_BYTES + i] = (uint8_t)((uint64_t)size >> (8 * i));
    }
    uint8_t *digest = file + AT_PAYLOAD_DIGEST;
    uint8_t rest[TP_DIGEST_BYTES];
    FUZZ_REQUIRE(tp__digest(file + payload, size - (size_t)payload, digest, &error) == TP_OK);
    memset(file + AT_REST_DIGEST, 0, TP_DIGEST_BYTES);
    FUZZ_REQUIRE(tp__digest(file, (size_t)payload, rest, &error) == TP_OK);
    memcpy(file + AT_REST_DIGEST, rest, sizeof rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_image_file image;
    uint8_t *file = malloc(size + 1);  // aligned, and to be changed
    if (file == NULL) {
        return -1;
    }
    if (size != 0) {
        memcpy(file, data, size);
    }
    if (size >= 256) {
        repair(file, size);
    }
    tp_status status = tp__image_file_parse(file, size, "fuzz.tpi", &image, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        tp__image_file_close(&image);
    }
    free(file);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an image file, with right checksums where they have a place: a sound image, which
// can be compiled and de-quantised, or an error, nothing else.

#include "compile.h"
#include "dequantise.h"
#include "digest.h"
#include "frame.h"
#include "fuzz.h"
#include "image_file.h"
#include "reader.h"

enum {
    HEADER_BYTES = 256,
    AT_FILE_BYTES = 16,
    AT_PAYLOAD_DIGEST = 32,
    AT_REST_DIGEST = 64,
    AT_PAYLOAD_OFFSET = 176
};

// Mutations would never pass the checksums, and rarely the size.
static void repair(uint8_t *bytes, size_t size)
{
    struct tp_error error;
    uint8_t digest[TP_DIGEST_BYTES];
    if (size < HEADER_BYTES || tp__load_u64(bytes + AT_PAYLOAD_OFFSET) > size) {
        return;
    }
    tp__put64(bytes + AT_FILE_BYTES, size);
    size_t payload = (size_t)tp__load_u64(bytes + AT_PAYLOAD_OFFSET);
    FUZZ_REQUIRE(tp__digest(bytes + payload, size - payload, digest, &error) == TP_OK);
    memcpy(bytes + AT_PAYLOAD_DIGEST, digest, sizeof digest);
    memset(bytes + AT_REST_DIGEST, 0, sizeof digest);
    FUZZ_REQUIRE(tp__digest(bytes, payload, digest, &error) == TP_OK);
    memcpy(bytes + AT_REST_DIGEST, digest, sizeof digest);
}

static void use(const struct tp_image_file *image)
{
    const struct tp_load_options options = {.context = 0};
    struct tp_error error = {.status = TP_OK};
    struct tp_memory_image *memory = NULL;
    struct tp_source_model source;
    tp_status status = tp__compile(&image->model, &options, &tp__limits_most, &memory, &error);
    if (status != TP_OK) {
        FUZZ_REQUIRE(error.text[0] != 0);
    }
    tp__memory_image_free(memory);
    if (tp__dequantise(&image->model, "fuzz", "llama", &source, &error) == TP_OK) {
        tp__source_model_free(&source);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_image_file image;
    uint8_t *bytes = malloc(size == 0 ? 1 : size);
    FUZZ_REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    repair(bytes, size);
    tp_status status = tp__image_file_parse(bytes, size, "fuzz.tpi", &image, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        use(&image);
        tp__image_file_close(&image);
    }
    free(bytes);
    return 0;
}

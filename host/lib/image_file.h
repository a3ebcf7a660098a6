// SPDX-License-Identifier: Apache-2.0
//
// Image files: a quantised model with its tokenizer, its origin and its measured quality.
//
// docs/image.md draws the layout. A file is mapped and everything in it is checked before use, so
// any bytes at all give either a sound model or an error that names field and offset.

#ifndef TP_LIB_IMAGE_FILE_H
#define TP_LIB_IMAGE_FILE_H

#include "digest.h"
#include "file.h"
#include "quantised.h"

/* An image cannot ask for more than a model file. */
#define TP_IMAGE_BYTES_MAX TP_MODEL_BYTES_MAX

/** Where a model came from and what quantising cost it: the manifest. Texts from a file are at most
 *  this long, of printable characters; empty when unknown. */
enum { TP_MANIFEST_TEXT_BYTES = 128 };
struct tp_manifest {
    char name[TP_MANIFEST_TEXT_BYTES];           // of the model's file, without folders
    char digest[TP_DIGEST_TEXT_BYTES];           // SHA-256 of that file, or of the weight files
    char architecture[TP_NAME_BYTES];            // "llama"
    char file_format[TP_MANIFEST_TEXT_BYTES];    // "GGUF version 3"
    char method[TP_MANIFEST_TEXT_BYTES];         // "plain rounding"
    char calibrated_on[TP_MANIFEST_TEXT_BYTES];  // name of the text
    uint64_t calibrated_bytes;                   // of it, from its beginning
    char measured_on[TP_MANIFEST_TEXT_BYTES];    // name of the text of the score
    struct tp_score score;                       // tokens 0: not measured
};

/** An image in memory. */
struct tp_image_file {
    struct tp_quantised_model model;
    struct tp_manifest manifest;
    const uint8_t *tokenizer;  // for tp__tokenizer_parse; NULL: none
    size_t tokenizer_bytes;
    uint8_t digest[TP_DIGEST_BYTES];  // SHA-256 of the payload
    const uint8_t *bytes;             // of the whole file
    size_t size;
    void *mapping;  // of the file, or NULL
};

/** True when the bytes begin like an image file. */
bool tp__image_file_is(const void *bytes, size_t size);

/** The same of a file; false also when it cannot be read. */
bool tp__image_file_is_at(const char *path);

/** Maps an image file.
 *  out    image  written only on TP_OK; tp__image_file_close releases it
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY
 *         TP_ERROR_FORMAT       damaged; names field and offset
 *         TP_ERROR_UNSUPPORTED  of another version
 *         TP_ERROR_TOO_LARGE */
TP_MUST_USE tp_status tp__image_file_open(const char *path, struct tp_image_file *image,
                                          struct tp_error *error);

/** The same of bytes in memory, which stay the caller's and must live as long as the image.
 *  in     bytes  at a multiple of 8
 *         name   stands for the path in messages */
TP_MUST_USE tp_status tp__image_file_parse(const uint8_t *bytes, size_t size, const char *name,
                                           struct tp_image_file *image, struct tp_error *error);

void tp__image_file_close(struct tp_image_file *image);

/** Writes an image file; it appears whole or not at all.
 *  in     tokenizer  [tokenizer_bytes] of tp__tokenizer_write; NULL and 0: none
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__image_file_write(const struct tp_quantised_model *model,
                                           const struct tp_manifest *manifest,
                                           const uint8_t *tokenizer, size_t tokenizer_bytes,
                                           const char *path, struct tp_error *error);

#endif

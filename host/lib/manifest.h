// SPDX-License-Identifier: Apache-2.0
//
// The manifest of an image: JSON that people and other programs can read.

#ifndef TP_LIB_MANIFEST_H
#define TP_LIB_MANIFEST_H

#include "image_file.h"

/** out    text  NUL-terminated, without a line feed; the caller frees it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__manifest_write(const struct tp_manifest *manifest, char **text,
                                         struct tp_error *error);

/** Reads what tp__manifest_write wrote. Fields that it does not know are left alone, so that later
 *  versions may add some.
 *  in     offset  of the bytes in the file, for messages; name is the file's
 *  error  TP_ERROR_FORMAT  names the byte or the field
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__manifest_read(const uint8_t *bytes, size_t size, size_t offset,
                                        const char *name, struct tp_manifest *manifest,
                                        struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Safetensors containers.
//
//   byte 0   uint64 size of the header
//        8   JSON: {"name": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [first,
//        end]},
//            "__metadata__": {texts}}, then maybe spaces
//            the data: every byte of it belongs to exactly one tensor

#ifndef TP_LIB_SAFETENSORS_H
#define TP_LIB_SAFETENSORS_H

#include "file.h"
#include "ggml_formats.h"
#include "json.h"
#include "reader.h"

enum {
    TP_SAFETENSORS_HEADER_MAX = 100 * 1000 * 1000,
    TP_SAFETENSORS_TENSORS_MAX = 1 << 16,
    TP_SAFETENSORS_DIMENSIONS_MAX = 8
};

struct tp_safetensor {
    struct tp_string name;
    enum tp_number_type type;
    uint64_t rows;     // product of all sizes but the last
    uint64_t columns;  // last size
    size_t offset;     // in the file
    size_t size;       // bytes
};

struct tp_safetensors {
    json_t *header;  // the names lie in it
    uint32_t count;
    struct tp_safetensor *tensors;  // in the order of the data
};

/** Whether the bytes could begin such a file. */
bool tp__safetensors_looks_like(const uint8_t *bytes, size_t size);

/** Reads the header and checks that the tensors cover the data exactly.
 *  out    container  written only on TP_OK; tp__safetensors_free releases it
 *  error  TP_ERROR_FORMAT, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY
 *         TP_ERROR_UNSUPPORTED  a number type that is not read */
TP_MUST_USE tp_status tp__safetensors_open(const struct tp_bytes *file, const char *name,
                                           struct tp_safetensors *container,
                                           struct tp_error *error);

void tp__safetensors_free(struct tp_safetensors *container);

#endif

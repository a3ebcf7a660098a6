// SPDX-License-Identifier: Apache-2.0
//
// GGUF containers, versions 2 and 3, little-endian: metadata and the list of tensors.
//
//   byte 0   "GGUF", uint32 version, uint64 tensor count, uint64 metadata count
//            metadata: string key, uint32 type, value
//            tensors: string name, uint32 dimensions, uint64 size of each (the fastest first),
//                     uint32 number type, uint64 offset from the start of the data
//            zeros up to a multiple of general.alignment (32 unless given), then the data
//   string   uint64 length, bytes          array   uint32 element type, uint64 count, elements

#ifndef TP_LIB_GGUF_H
#define TP_LIB_GGUF_H

#include "reader.h"

/* Metadata of our own, in exports of images: constants of the quantised model. */
#define TP_GGUF_KEY_MEANS    "tokproc.key_means"     // F32 [layers][kv_heads][head_size]
#define TP_GGUF_EXPONENT_MAX "tokproc.exponent_max"  // U8 [tp__edge_count]

/* Most that a file may ask for. */
enum {
    TP_GGUF_KEYS_MAX = 1 << 12,
    TP_GGUF_TENSORS_MAX = 1 << 16,
    TP_GGUF_DIMENSIONS_MAX = 4,
    TP_GGUF_STRING_MAX = 1 << 20,
    TP_GGUF_ARRAY_MAX = 1 << 24,
    TP_GGUF_ALIGNMENT_MAX = 1 << 16
};

enum tp_gguf_type {
    TP_GGUF_U8,
    TP_GGUF_I8,
    TP_GGUF_U16,
    TP_GGUF_I16,
    TP_GGUF_U32,
    TP_GGUF_I32,
    TP_GGUF_F32,
    TP_GGUF_BOOL,
    TP_GGUF_STRING,
    TP_GGUF_ARRAY,
    TP_GGUF_U64,
    TP_GGUF_I64,
    TP_GGUF_F64,
    TP_GGUF_TYPE_COUNT
};

/** A value of the metadata; its bytes were checked to lie in the file. */
struct tp_gguf_entry {
    struct tp_string key;
    enum tp_gguf_type type;  // of the elements when it is an array
    bool is_array;
    uint64_t count;  // elements; 1 unless an array
    size_t offset;   // of the first element
};

struct tp_gguf_tensor {
    struct tp_string name;
    uint64_t columns;  // first size
    uint64_t rows;     // product of the others
    uint32_t type;     // tp__number_of_ggml
    size_t offset;     // in the file
    size_t place;      // of the description
};

struct tp_gguf {
    struct tp_reader reader;  // on the whole file
    uint32_t version;
    uint32_t entry_count;
    uint32_t tensor_count;
    struct tp_gguf_entry *entries;
    struct tp_gguf_tensor *tensors;
};

/** Reads the container; bytes, name and error must outlive it.
 *  out    gguf  written only on TP_OK; tp__gguf_free releases it
 *  error  TP_ERROR_FORMAT, TP_ERROR_UNSUPPORTED, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__gguf_open(const uint8_t *bytes, size_t size, const char *name,
                                    struct tp_gguf *gguf, struct tp_error *error);

void tp__gguf_free(struct tp_gguf *gguf);

/** Checks that all tensors are of a known type, have whole blocks, lie in the file and do not
 *  overlap; sets nothing. */
TP_MUST_USE tp_status tp__gguf_check_tensors(const struct tp_gguf *gguf);

/** The entry of that key, or NULL. */
const struct tp_gguf_entry *tp__gguf_find(const struct tp_gguf *gguf, const char *key);

/** Values of a type that suits, of a key that must exist.
 *  error  TP_ERROR_FORMAT when it is absent or of another type or does not fit */
TP_MUST_USE tp_status tp__gguf_u32(const struct tp_gguf *gguf, const char *key, uint32_t *value);
TP_MUST_USE tp_status tp__gguf_f32(const struct tp_gguf *gguf, const char *key, float *value);
TP_MUST_USE tp_status tp__gguf_string(const struct tp_gguf *gguf, const char *key,
                                      struct tp_string *value);
/** The same, but *value stays as it is when the key is absent. */
TP_MUST_USE tp_status tp__gguf_u32_or(const struct tp_gguf *gguf, const char *key, uint32_t *value);
TP_MUST_USE tp_status tp__gguf_f32_or(const struct tp_gguf *gguf, const char *key, float *value);
TP_MUST_USE tp_status tp__gguf_bool_or(const struct tp_gguf *gguf, const char *key, bool *value);

/** An array with elements of one type; found is NULL when the key is absent. */
TP_MUST_USE tp_status tp__gguf_array(const struct tp_gguf *gguf, const char *key,
                                     enum tp_gguf_type type, const struct tp_gguf_entry **found);

/** Steps through an array of strings: offset starts as entry->offset. */
struct tp_string tp__gguf_next_string(const struct tp_gguf *gguf, size_t *offset);

#endif

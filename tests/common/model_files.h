// SPDX-License-Identifier: Apache-2.0
//
// Small model and tokenizer files that tests make themselves, and the way to real ones.
//
// The weights of a made model depend only on seed, tensor and place, not on the file format, so the
// same model can be written in every format and must load equal.

#ifndef TP_TEST_MODEL_FILES_H
#define TP_TEST_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ggml_formats.h"

// Tests list models by position; the fields that they leave out at the end are 0.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/** Bytes that grow; free with tp_test_bytes_free. */
struct tp_test_bytes {
    uint8_t *data;
    size_t size;
    size_t room;
};

void tp_test_put(struct tp_test_bytes *bytes, const void *data, size_t size);
void tp_test_put_u32(struct tp_test_bytes *bytes, uint32_t value);
void tp_test_put_u64(struct tp_test_bytes *bytes, uint64_t value);
void tp_test_put_f32(struct tp_test_bytes *bytes, float value);
/** GGUF string: 64-bit length and text. */
void tp_test_put_string(struct tp_test_bytes *bytes, const char *text);
void tp_test_bytes_free(struct tp_test_bytes *bytes);

/** A model of random weights. */
struct tp_test_model {
    uint32_t dim;
    uint32_t hidden;
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t vocab;
    uint32_t context;
    bool is_untied;
    uint64_t seed;
    uint32_t head_size;  // 0: dim / heads; else only for GGUF and safetensors
    bool has_bias;       // of queries, keys and values; as head_size
    bool has_head_norm;  // as head_size
};

/** Its tensors, the first in the order of llama2.c version 0. */
enum tp_test_tensor {
    TP_TEST_EMBEDDING,
    TP_TEST_NORM_ATTENTION,
    TP_TEST_QUERY,
    TP_TEST_KEY,
    TP_TEST_VALUE,
    TP_TEST_OUTPUT,
    TP_TEST_NORM_FFN,
    TP_TEST_GATE,
    TP_TEST_DOWN,
    TP_TEST_UP,
    TP_TEST_NORM_FINAL,
    TP_TEST_CLASSIFIER,
    TP_TEST_QUERY_BIAS,
    TP_TEST_KEY_BIAS,
    TP_TEST_VALUE_BIAS,
    TP_TEST_QUERY_NORM,
    TP_TEST_KEY_NORM,
    TP_TEST_TENSOR_COUNT
};

/** One weight: around 1 in norms, else of a size that keeps the activations near 1. */
float tp_test_weight(const struct tp_test_model *model, enum tp_test_tensor tensor, uint32_t layer,
                     uint32_t row, uint32_t column);

/** Whether the model has the tensor, and how often. */
bool tp_test_tensor_exists(const struct tp_test_model *model, enum tp_test_tensor tensor);
uint32_t tp_test_tensor_layers(const struct tp_test_model *model, enum tp_test_tensor tensor);

/** A row as a file with matrices of that number type holds it: [columns]. Vectors and rows that
 *  are no whole blocks are float32. The
 *  numbers of block types are random blocks, not the rounded weights. */
void tp_test_row(const struct tp_test_model *model, enum tp_number_type type,
                 enum tp_test_tensor tensor, uint32_t layer, uint32_t row, float *out);

/** The bytes of a tensor as files that keep the halves of heads apart have it: rows of queries and
 *  keys, their biases and norms are in another order. */
void tp_test_put_half_split(const struct tp_test_model *model, enum tp_number_type type,
                            enum tp_test_tensor tensor, uint32_t layer, struct tp_test_bytes *file);

/** Rows and columns of a tensor. */
void tp_test_tensor_size(const struct tp_test_model *model, enum tp_test_tensor tensor,
                         uint32_t *rows, uint32_t *columns);

/** Writes the model as a llama2.c file of version 0 or 1. */
void tp_test_write_llama2c(const struct tp_test_model *model, uint32_t version,
                           struct tp_test_bytes *file);

/** The same as version 2: int8 codes and scales for groups of that many numbers. expected, where
 * not NULL, becomes the float32 file of version 1 that must load equal. */
void tp_test_write_llama2c_groups(const struct tp_test_model *model, uint32_t group,
                                  struct tp_test_bytes *file, struct tp_test_bytes *expected);

/** What to write differently into a GGUF file; all zero is a sound file of version 3. */
struct tp_test_gguf {
    uint32_t version;          // 0: 3
    const char *architecture;  // NULL: "llama"; qwen2 and qwen3 have the halves of heads apart
    enum tp_number_type type;  // of the matrices
    bool has_alignment;        // write general.alignment
    uint32_t alignment;
    bool has_tokenizer;     // the pieces of tp_test_piece; vocab must be at least 3
    bool has_copied_tie;    // writes the classifier although it is the embedding
    const char *extra_key;  // one more key with extra_value, a uint32
    uint32_t extra_value;
    const char *extra_float_key;
    float extra_float;
    const char *extra_string_key;
    const char *extra_string;
    const float
        *divisors;         // of the frequencies, [head size / 2]; NULL: no tensor rope_freqs.weight
    const char *left_out;  // name of a tensor that is not written
    const char *renamed;   // name of a tensor ...
    const char *new_name;  // ... and what is written instead
    const char *odd_tensor;  // name of a tensor with one of the following
    uint32_t odd_type;
    uint32_t odd_dimensions;  // 0: as they are; else that number, further sizes are 1
    uint64_t odd_first_size;  // 0: as it is
    int64_t odd_offset;       // added to its offset
};

/** Writes the model as a GGUF file. tensor_info and data, where not NULL, are set to the offsets of
 *  the list of tensors and of the data. */
void tp_test_write_gguf(const struct tp_test_model *model, const struct tp_test_gguf *options,
                        struct tp_test_bytes *file, size_t *tensor_info, size_t *data);

/** Piece `id` of the made vocabulary, with plain spaces, as in a llama2.c file: "<unk>", start,
 * end, 256 bytes, then single characters and pairs of them. */
void tp_test_piece(uint32_t id, char piece[16], float *score);

/** Writes `vocab` pieces as a llama2.c tokenizer file. */
void tp_test_write_tokenizer(uint32_t vocab, struct tp_test_bytes *file);

/** Writes the bytes to a new file and its path to path. The test removes it. */
void tp_test_write_file(const struct tp_test_bytes *bytes, char *path, size_t path_bytes);

/** Path of a real model file, in $TP_MODELS or ../shared/models; false, with the test marked as
 *  skipped, when it is not there. */
bool tp_test_find_model(const char *name, char *path, size_t path_bytes);

#endif

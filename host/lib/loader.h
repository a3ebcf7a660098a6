// SPDX-License-Identifier: Apache-2.0
//
// Model files: a Llama-shaped model with float32 tensors, from llama2.c, GGUF and safetensors files
// whose numbers may be of other types.
//
// The format is found from the contents. Every length is compared with the file before it is used,
// so any bytes at all give either a sound model or an error that names file, place and reason.

#ifndef TP_LIB_LOADER_H
#define TP_LIB_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file.h"
#include "ggml_formats.h"
#include "reader.h"

/* Most that a model file may ask for. What a device can hold is far less; the compiler says so. */
#define TP_MODEL_BYTES_MAX ((size_t)16 << 30)
enum {
    TP_MODEL_DIM_MAX = 1 << 16,
    TP_MODEL_HIDDEN_MAX = 1 << 18,
    TP_MODEL_LAYERS_MAX = 1 << 10,
    TP_MODEL_HEADS_MAX = 1 << 10,
    TP_MODEL_HEAD_SIZE_MAX = 1 << 10,
    TP_MODEL_VOCAB_MAX = 1 << 20,
    TP_MODEL_CONTEXT_MAX = 1 << 24
};

/** Sizes and constants of a model. */
struct tp_model_shape {
    uint32_t dim;
    uint32_t hidden;
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads;   // divides heads
    uint32_t head_size;  // even; heads * head_size need not be dim
    uint32_t vocab;      // at least 1
    uint32_t context;    // positions that the model was made for
    float rope_base;     // before scaling; the frequencies are tp__source_frequency
    float norm_epsilon;
    bool tied;           // the classifier is the embedding
    bool has_bias;       // queries, keys and values have a bias
    bool has_head_norm;  // heads of queries and keys are normed before they are rotated
};

/** The tensors of a model; those from TP_TENSOR_NORM_ATTENTION on exist once per layer. */
enum tp_tensor {
    TP_TENSOR_EMBEDDING,       // vocab x dim
    TP_TENSOR_NORM_FINAL,      // dim
    TP_TENSOR_CLASSIFIER,      // vocab x dim
    TP_TENSOR_NORM_ATTENTION,  // dim
    TP_TENSOR_QUERY,           // heads * head_size x dim
    TP_TENSOR_KEY,             // kv_heads * head_size x dim
    TP_TENSOR_VALUE,           // kv_heads * head_size x dim
    TP_TENSOR_OUTPUT,          // dim x heads * head_size
    TP_TENSOR_NORM_FFN,        // dim
    TP_TENSOR_GATE,            // hidden x dim
    TP_TENSOR_DOWN,            // dim x hidden
    TP_TENSOR_UP,              // hidden x dim
    TP_TENSOR_QUERY_BIAS,      // heads * head_size; the biases exist with has_bias
    TP_TENSOR_KEY_BIAS,        // kv_heads * head_size
    TP_TENSOR_VALUE_BIAS,      // kv_heads * head_size
    TP_TENSOR_QUERY_NORM,      // head_size; the norms exist with has_head_norm
    TP_TENSOR_KEY_NORM,        // head_size
    TP_TENSOR_COUNT
};
enum { TP_TENSOR_PER_LAYER = TP_TENSOR_COUNT - TP_TENSOR_NORM_ATTENTION };

/** A model as it is in its file. Everything in it belongs to it.
 *
 *  Pairs that rotate together are adjacent elements of a head: rows of queries and keys that a file
 *  has in another order are moved, with their biases and norms, when it is loaded. */
struct tp_source_model {
    struct tp_model_shape shape;
    const char *format;        // "llama2.c version 0", "GGUF version 3"; static text
    const char *architecture;  // "llama", "qwen3"; static text
    bool has_tokenizer;        // the file holds one: tp__tokenizer_of_model
    uint32_t window;           // of attention, which limits the context; 0: none does
    bool is_half_split;        // the file pairs elements j and j + head_size / 2
    double *rope_frequency;    // use tp__source_frequency
    const float **tensors;     // use tp__source_tensor
    float **owned;             // de-quantised tensors, in the same order; else NULL
    // Constants of the image that the model was made of, which calibration gives back; or NULL.
    float *key_means;       // [layers][kv_heads][head_size]
    uint8_t *exponent_max;  // [tp__edge_count]
    struct tp_bytes
        file;      // float32 tensors lie in it; empty when none does and it has no tokenizer
    char *folder;  // of a safetensors model: there may be a tokenizer.json; else NULL
    char *name;    // of the file, for messages
};

/** Loads a model: a file of any format, or the folder of a safetensors model.
 *  out    model  written only on TP_OK; tp__source_model_free releases it
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY
 *         TP_ERROR_NOT_FOUND    the folder has no model
 *         TP_ERROR_FORMAT       cut short, damaged or no model at all
 *         TP_ERROR_UNSUPPORTED  a sound model of another architecture, version or number type
 *         TP_ERROR_TOO_LARGE    above a limit of this header
 *         TP_ERROR_RANGE        a weight is not finite
 */
TP_MUST_USE tp_status tp__source_model_load(const char *path, struct tp_source_model *model,
                                            struct tp_error *error);

/** The same from bytes, which are copied; name stands for the path in messages. A safetensors file
 *  needs its config.json beside it: tp__source_model_parse_safetensors. */
TP_MUST_USE tp_status tp__source_model_parse(const void *data, size_t size, const char *name,
                                             struct tp_source_model *model, struct tp_error *error);

TP_MUST_USE tp_status tp__source_model_parse_safetensors(const void *config, size_t config_size,
                                                         const void *data, size_t size,
                                                         const char *name,
                                                         struct tp_source_model *model,
                                                         struct tp_error *error);

void tp__source_model_free(struct tp_source_model *model);

/** A copy with tensors of its own, without a tokenizer. tp__source_tensor_change may change tensors
 *  of a copy, and those of tp__source_tensor_take.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__source_model_copy(const struct tp_source_model *model,
                                            struct tp_source_model *copy, struct tp_error *error);

/** The numbers of a tensor of a copy. */
float *tp__source_tensor_change(struct tp_source_model *copy, enum tp_tensor tensor,
                                uint32_t layer);

/** A tensor, row by row, all numbers finite; NULL for one that a model of this shape lacks. layer
 * is ignored for tensors that exist once. */
const float *tp__source_tensor(const struct tp_source_model *model, enum tp_tensor tensor,
                               uint32_t layer);

/** Rotation of a pair of elements 2 pair, 2 pair + 1 of each head, in radians per position. */
double tp__source_frequency(const struct tp_source_model *model, uint32_t pair);

/** Whether a model of this shape has the tensor. */
bool tp__tensor_exists(const struct tp_model_shape *shape, enum tp_tensor tensor);

/** Copies of a tensor: the number of layers, or 1. */
uint32_t tp__tensor_layers(const struct tp_model_shape *shape, enum tp_tensor tensor);

/** Rows and columns of a tensor; a vector is one row. */
void tp__tensor_size(const struct tp_model_shape *shape, enum tp_tensor tensor, uint32_t *rows,
                     uint32_t *columns);

/** Weights of the model: all tensors, a tied classifier not counted twice. */
uint64_t tp__parameter_count(const struct tp_model_shape *shape);

/* ---- for the loaders of the formats only ---- */

enum { TP_TENSOR_NAME_BYTES = 48 };

/** Names of tensors in files of a format; those of a layer follow "<layer><number>.". */
struct tp_tensor_names {
    const char *layer;
    const char *names[TP_TENSOR_COUNT];
};
extern const struct tp_tensor_names tp__gguf_names;

/** Steps over the layer at the start of a name; false when there is none. */
bool tp__tensor_layer(const struct tp_tensor_names *names, struct tp_string *name, uint32_t *layer);

/** Which tensor a name means; false when a model of this shape has none of that name. */
bool tp__tensor_find(const struct tp_model_shape *shape, const struct tp_tensor_names *names,
                     struct tp_string name, enum tp_tensor *tensor, uint32_t *layer);

/** "blk.3.attn_q.weight": the GGUF name, used in all messages. */
void tp__tensor_name(enum tp_tensor tensor, uint32_t layer, char name[TP_TENSOR_NAME_BYTES]);

/** Checks every size against the limits of this header. */
TP_MUST_USE tp_status tp__shape_check(const struct tp_model_shape *shape, const char *name,
                                      struct tp_error *error);

/** Takes the tables of tensors and frequencies and fills the latter from rope_base; the shape must
 *  have been checked. */
TP_MUST_USE tp_status tp__source_model_prepare(struct tp_source_model *model,
                                               struct tp_error *error);

/** Numbers of a tensor in a file. */
struct tp_tensor_place {
    const struct tp_bytes *file;
    const char *name;  // of the file, for messages
    size_t offset;     // of the first block; the whole tensor was checked to lie in the file
    enum tp_number_type type;
};

/** Gives a tensor memory of its own, which tp__source_tensor_change may change.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__source_tensor_take(struct tp_source_model *model, enum tp_tensor tensor,
                                             uint32_t layer, struct tp_error *error);

/** Sets a tensor: to the numbers where they lie, or to a de-quantised copy.
 *  error  TP_ERROR_NO_MEMORY
 *         TP_ERROR_RANGE  a number is not finite */
TP_MUST_USE tp_status tp__source_tensor_read(struct tp_source_model *model, enum tp_tensor tensor,
                                             uint32_t layer, const struct tp_tensor_place *place,
                                             struct tp_error *error);

/** The same from int8 codes in groups that run over the ends of rows, and a float32 scale for each
 *  group; the number of codes is a multiple of group. */
TP_MUST_USE tp_status tp__source_tensor_read_groups(struct tp_source_model *model,
                                                    enum tp_tensor tensor, uint32_t layer,
                                                    size_t codes, size_t scales, uint32_t group,
                                                    struct tp_error *error);

/** Limits the context to a window of attention: up to there the window changes nothing. 0: none. */
void tp__source_model_limit(struct tp_source_model *model, uint32_t window);

/** Checks that every tensor is there; without a classifier, the embedding is it.
 *  in     name  of the file, for the message */
TP_MUST_USE tp_status tp__source_model_complete(struct tp_source_model *model, const char *name,
                                                struct tp_error *error);

/** Makes the embedding the classifier too. */
void tp__source_tensor_tie(struct tp_source_model *model);

/** Each reads model->file, sets shape and tensors; on failure the caller frees the model. */
TP_MUST_USE tp_status tp__load_llama2c(struct tp_source_model *model, struct tp_error *error);
TP_MUST_USE tp_status tp__load_gguf(struct tp_source_model *model, struct tp_error *error);

/** Whether a tensor has memory of its own. */
bool tp__source_tensor_is_owned(const struct tp_source_model *model, enum tp_tensor tensor,
                                uint32_t layer);

/** model->file is the one file of the tensors. */
TP_MUST_USE tp_status tp__load_safetensors(struct tp_source_model *model,
                                           const struct tp_bytes *config, const char *config_name,
                                           struct tp_error *error);
/** The same with the config.json of the folder. */
TP_MUST_USE tp_status tp__load_safetensors_beside(struct tp_source_model *model, const char *folder,
                                                  struct tp_error *error);
/** model->file is the index of several files in the folder. */
TP_MUST_USE tp_status tp__load_safetensors_index(struct tp_source_model *model, const char *folder,
                                                 struct tp_error *error);
/** Path of the file to load of a folder.
 *  error  TP_ERROR_NOT_FOUND, TP_ERROR_INVALID (the path is too long) */
TP_MUST_USE tp_status tp__find_in_folder(const char *folder, char *path, size_t path_bytes,
                                         struct tp_error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Safetensors models that tests make: the two files as bytes, and folders with them.

#ifndef TP_TEST_MODEL_FOLDERS_H
#define TP_TEST_MODEL_FOLDERS_H

#include "loader.h"
#include "model_files.h"

/** What to write differently into a safetensors file; all zero is a sound file. */
struct tp_test_safetensors {
    enum tp_number_type type;  // of the matrices: F32, F16 or BF16
    bool has_copied_tie;       // writes the classifier although it is the embedding
    const char *left_out;      // name of a tensor that is not written
    const char *odd_tensor;    // name of a tensor with one of the following instead
    const char *odd_name;
    const char *odd_dtype;
    const char *odd_shape;    // "[4, 4]"
    int64_t odd_first;        // added to its first offset
    int64_t odd_end;          // added to its second offset
    const char *extra_entry;  // text in front of the first entry, with its comma
    size_t padding;           // spaces behind the header, so that data is not aligned
    size_t shard;             // with shards above 1: which of them
    size_t shards;            // the tensors are dealt out to so many files; 0: one
};

void tp_test_write_safetensors(const struct tp_test_model *model,
                               const struct tp_test_safetensors *options,
                               struct tp_test_bytes *file);

/** Writes the model's config.json. more is text behind the last field, with a comma in front, or
 *  NULL; replaced, where not NULL, is the name of a field that is left out. */
void tp_test_write_config(const struct tp_test_model *model, const char *architecture,
                          const char *more, const char *replaced, struct tp_test_bytes *file);

/** Writes the index of the files model-0.safetensors, model-1.safetensors, ... */
void tp_test_write_index(const struct tp_test_model *model,
                         const struct tp_test_safetensors *options, struct tp_test_bytes *file);

/** A new folder, a file in it, and the end of both. */
void tp_test_folder_make(char *path, size_t path_bytes);
void tp_test_folder_put(const char *folder, const char *name, const struct tp_test_bytes *bytes);
void tp_test_folder_remove(const char *folder);

/** Writes a loaded model, with float32 numbers, as model.safetensors and config.json into a folder.
 *  Its rotation must be plain. */
void tp_test_save_source(const struct tp_source_model *model, const char *folder);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// make_corpus FOLDER: sound small files of every kind, one folder for each fuzz target, to start
// from. The corpora grow beside them; inputs that once failed are kept in tests/fuzz/found.

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "check_main.h"
#include "frame.h"
#include "model_files.h"

enum { PATH_BYTES = 512 };

// Tiny, so that a mutation is likely to hit what matters.
static const struct tp_test_model tiny = {.dim = 4,
                                          .hidden = 4,
                                          .layers = 1,
                                          .heads = 2,
                                          .kv_heads = 1,
                                          .vocab = 6,
                                          .context = 4,
                                          .seed = 1};
static const struct tp_test_model untied = {.dim = 8,
                                            .hidden = 4,
                                            .layers = 2,
                                            .heads = 2,
                                            .kv_heads = 2,
                                            .vocab = 5,
                                            .context = 8,
                                            .is_untied = true,
                                            .seed = 2};

static void save(const char *folder, const char *target, const char *name,
                 struct tp_test_bytes *bytes)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, target);
    (void)mkdir(folder, 0777);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes->data, 1, bytes->size, file) != bytes->size ||
        fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    tp_test_bytes_free(bytes);
    *bytes = (struct tp_test_bytes){0};
}

static void save_frames(const char *folder)
{
    struct tp_test_bytes bytes = {0};
    for (uint8_t type = TP_FRAME_HELLO; type <= TP_FRAME_STATISTICS; type++) {
        struct tp_frame frame = {.type = type, .sequence = type, .length = (uint16_t)(4 * type)};
        uint8_t encoded[TP_FRAME_BYTES_MAX];
        tp_test_put(&bytes, encoded, tp__frame_encode(&frame, encoded));
    }
    save(folder, "frame", "frames", &bytes);
}

// What the makers of files call when a real model is absent; none is needed here.
void tp_test_skip(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus FOLDER\n");
        return EXIT_FAILURE;
    }
    const char *folder = argv[1];
    struct tp_test_bytes bytes = {0};
    const struct tp_test_gguf plain = {.version = 3};
    const struct tp_test_gguf tokenizer = {
        .version = 2, .has_tokenizer = true, .has_alignment = true, .alignment = 64};
    tp_test_write_gguf(&tiny, &plain, &bytes, NULL, NULL);
    save(folder, "gguf", "plain", &bytes);
    tp_test_write_gguf(&untied, &tokenizer, &bytes, NULL, NULL);
    save(folder, "gguf", "tokenizer", &bytes);
    for (uint32_t version = 0; version < 2; version++) {
        tp_test_write_llama2c(version == 0 ? &tiny : &untied, version, &bytes);
        save(folder, "llama2c", version == 0 ? "version-0" : "version-1", &bytes);
    }
    tp_test_write_tokenizer(300, &bytes);
    save(folder, "tokenizer", "llama2c", &bytes);
    tp_test_write_gguf(&tiny, &tokenizer, &bytes, NULL, NULL);
    save(folder, "tokenizer", "gguf", &bytes);
    save_frames(folder);
    return EXIT_SUCCESS;
}

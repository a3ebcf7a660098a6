// SPDX-License-Identifier: Apache-2.0
//
// make_corpus FOLDER: sound small files of every kind, one folder for each fuzz target, to start
// from. The corpora grow beside them; inputs that once failed are kept in tests/fuzz/found.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check_main.h"
#include "configuration_stream.h"
#include "frame.h"
#include "image_file.h"
#include "internal.h"
#include "model_files.h"
#include "model_folders.h"
#include "session_file.h"
#include "stream_message.h"
#include "tokenizer.h"

enum { PATH_BYTES = 512, FORMATS_MAX = 16 };

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

// With rows of one block.
static const struct tp_test_model blocks = {.dim = 32,
                                            .hidden = 2,
                                            .layers = 1,
                                            .heads = 1,
                                            .kv_heads = 1,
                                            .vocab = 3,
                                            .context = 4,
                                            .seed = 3,
                                            .head_size = 2};

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
    for (uint8_t type = TP_FRAME_HELLO; type <= TP_FRAME_READ; type++) {
        struct tp_frame frame = {.type = type, .sequence = type, .length = (uint16_t)(4 * type)};
        uint8_t encoded[TP_FRAME_BYTES_MAX];
        tp_test_put(&bytes, encoded, tp__frame_encode(&frame, encoded));
    }
    save(folder, "frame", "frames", &bytes);
}

static void give_up(const struct tp_error *error)
{
    fprintf(stderr, "make_corpus: %s\n", error->text);
    exit(EXIT_FAILURE);
}

// Of a session with tokens, stop tokens and stop strings.
static void save_session(const char *folder)
{
    uint32_t tokens[] = {1, 5, 300};
    const struct tp_session_file file = {.options = {.temperature = 0.8f,
                                                     .seed = 7,
                                                     .stop_tokens = {2},
                                                     .stop_token_count = 1,
                                                     .stop_string_count = 1},
                                         .stop_text = {"end"},
                                         .token_count = 3,
                                         .tokens = tokens};
    char path[PATH_BYTES];
    struct tp_error error;
    (void)snprintf(path, sizeof path, "%s/session", folder);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/session/saved", folder);
    if (tp__session_file_write(&file, path, &error) != TP_OK) give_up(&error);
}

static void save_step_log(const char *folder)
{
    static const struct tp_step steps[] = {
        {.number = 4, .cycles = 900, .predicted = 900, .active = 1, .fast = 1, .positions = {7}},
        {.number = 5,
         .predicted = 950,
         .active = 6,
         .logits = 2,
         .list = 4,
         .positions = {0, 8, 65535}}};
    char path[PATH_BYTES];
    struct tp_error error;
    (void)snprintf(path, sizeof path, "%s/step_log", folder);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/step_log/steps", folder);
    if (tp_steps_write(path, steps, sizeof steps / sizeof *steps, &error) != TP_OK) {
        give_up(&error);
    }
}

// What fuzz_device.c makes of an input: a run of five tokens that all comes as it should.
static void save_run(const char *folder)
{
    struct tp_test_bytes bytes = {0};
    static const uint8_t answers[] = {0, 0, 0};  // kind of session, SLOT, ...
    tp_test_put(&bytes, answers, sizeof answers);
    for (uint8_t i = 0; i < 6; i++) {
        const uint8_t token[] = {0, 3, i};
        const uint8_t step[] = {1, i, 1, i};
        if (i > 0) tp_test_put(&bytes, token, sizeof token);
        tp_test_put(&bytes, step, sizeof step);
    }
    const uint8_t done[] = {2, TP_REASON_LIMIT, 6, 0};
    tp_test_put(&bytes, done, sizeof done);
    save(folder, "device", "run", &bytes);
}

// What fuzz_emulator.c makes of an input: a slot is opened, fed, run and cancelled.
static void save_conversation(const char *folder)
{
    struct tp_test_bytes bytes = {0};
    const uint8_t slot[1 + TP_SLOT_BYTES] = {1, 0, 0, 0, 0, [17] = 8};
    static const uint8_t rest[] = {2 | 1 << 3, 0, 0, 1, 0, 2, 0, 3 | 2 << 3, 0, 0,    0,    0,
                                   3,          0, 0, 0, 4, 0, 0, 0,          0, 0x81, 0xa7, 1};
    tp_test_put(&bytes, slot, sizeof slot);
    tp_test_put(&bytes, rest, sizeof rest);
    save(folder, "emulator", "conversation", &bytes);
}

// A configuration stream for a served device, and the answer that refuses it.
static void save_messages(const char *folder)
{
    static const char stream[] = "not a bitstream";
    static const char text[] = "a.bit: no preamble";
    struct tp_test_bytes bytes = {0};
    tp_test_put(&bytes, TP_MESSAGE_MAGIC, 4);
    tp_test_put_u32(&bytes, 5);
    tp_test_put_u32(&bytes, sizeof stream);
    tp_test_put(&bytes, "a.bit", 5);
    tp_test_put(&bytes, stream, sizeof stream);
    save(folder, "stream_message", "message", &bytes);
    tp_test_put_u32(&bytes, (uint32_t)TP_ERROR_FORMAT);
    tp_test_put_u32(&bytes, TP_FAULT_PREAMBLE);
    tp_test_put_u32(&bytes, 0);
    tp_test_put_u32(&bytes, sizeof text - 1);
    tp_test_put(&bytes, text, sizeof text - 1);
    save(folder, "stream_message", "answer", &bytes);
}

/* A tokenizer of byte pairs, with a chat template. */
static void write_pairs_gguf(struct tp_test_bytes *bytes)
{
    static const char *const pieces[] = {"a", "b", "ab", "\xc4\xa0", "</s>", "<u>"};
    enum { PIECES = sizeof pieces / sizeof pieces[0], TEXT = 8, ARRAY = 9, NUMBER = 4, SIGNED = 5 };
    const uint32_t types[PIECES] = {1, 1, 1, 1, 3, 4};
    tp_test_put(bytes, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    tp_test_put_u64(bytes, 7);
    static const char *const texts[][2] = {
        {"tokenizer.ggml.model", "gpt2"},
        {"tokenizer.ggml.pre", "qwen2"},
        {"tokenizer.chat_template", "<|im_start|>system\\nx<|im_end|>"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tp_test_put_string(bytes, texts[i][0]);
        tp_test_put_u32(bytes, TEXT);
        tp_test_put_string(bytes, texts[i][1]);
    }
    tp_test_put_string(bytes, "tokenizer.ggml.tokens");
    tp_test_put_u32(bytes, ARRAY);
    tp_test_put_u32(bytes, TEXT);
    tp_test_put_u64(bytes, PIECES);
    for (int i = 0; i < PIECES; i++) tp_test_put_string(bytes, pieces[i]);
    tp_test_put_string(bytes, "tokenizer.ggml.token_type");
    tp_test_put_u32(bytes, ARRAY);
    tp_test_put_u32(bytes, SIGNED);
    tp_test_put_u64(bytes, PIECES);
    for (int i = 0; i < PIECES; i++) tp_test_put_u32(bytes, types[i]);
    tp_test_put_string(bytes, "tokenizer.ggml.merges");
    tp_test_put_u32(bytes, ARRAY);
    tp_test_put_u32(bytes, TEXT);
    tp_test_put_u64(bytes, 1);
    tp_test_put_string(bytes, "a b");
    tp_test_put_string(bytes, "tokenizer.ggml.eos_token_id");
    tp_test_put_u32(bytes, NUMBER);
    tp_test_put_u32(bytes, 4);
}

static void save_tokenizers(const char *folder)
{
    static const char json[] =
        "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 5, \"content\": \"</s>\", \"special\": "
        "true}],"
        "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
        "false,"
        " \"trim_offsets\": true, \"use_regex\": true}, \"decoder\": {\"type\": \"ByteLevel\"},"
        "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"c\": 3, "
        "\"abc\": 4},"
        "\"merges\": [\"a b\", \"ab c\"]}}";
    const struct tp_test_gguf gguf = {
        .version = 2, .has_tokenizer = true, .has_alignment = true, .alignment = 64};
    struct tp_error error;
    struct tp_tokenizer tokenizer;
    struct tp_bytes blob;
    struct tp_test_bytes bytes = {0};
    tp_test_write_tokenizer(270, &bytes);
    if (tp__tokenizer_parse(bytes.data, bytes.size, "corpus", &tokenizer, &error) != TP_OK ||
        tp__tokenizer_write(&tokenizer, &blob, &error) != TP_OK) {
        give_up(&error);
    }
    save(folder, "tokenizer_llama2c", "pieces", &bytes);
    tp_test_put(&bytes, blob.data, blob.size);
    save(folder, "tokenizer_blob", "pieces", &bytes);
    tp__tokenizer_free(&tokenizer);
    tp__bytes_free(&blob);
    tp_test_put(&bytes, json, sizeof json - 1);
    save(folder, "tokenizer_json", "pairs", &bytes);
    tp_test_write_gguf(&tiny, &gguf, &bytes, NULL, NULL);
    save(folder, "tokenizer_gguf", "pieces", &bytes);
    write_pairs_gguf(&bytes);
    if (tp__tokenizer_parse(bytes.data, bytes.size, "corpus", &tokenizer, &error) != TP_OK ||
        tp__tokenizer_write(&tokenizer, &blob, &error) != TP_OK) {
        give_up(&error);
    }
    save(folder, "tokenizer_gguf", "pairs", &bytes);
    tp_test_put(&bytes, blob.data, blob.size);
    save(folder, "tokenizer_blob", "pairs", &bytes);
    tp__tokenizer_free(&tokenizer);
    tp__bytes_free(&blob);
}

// What the makers of files call when a real model is absent; none is needed here.
void tp_test_skip(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
}

static void save_gguf_kinds(const char *folder)
{
    static const float divisors[] = {2.0f, 3.0f};
    struct tp_test_bytes bytes = {0};
    struct tp_test_model made = blocks;
    for (enum tp_number_type type = 0; type < TP_NUMBER_COUNT; type++) {
        const struct tp_test_gguf options = {.type = type, .divisors = divisors};
        if (tp__number_format(type)->elements > 32) continue;
        tp_test_write_gguf(&made, &options, &bytes, NULL, NULL);
        save(folder, "gguf", tp__number_format(type)->name, &bytes);
    }
    const struct tp_test_gguf biased = {.architecture = "qwen2",
                                        .extra_string_key = "qwen2.rope.scaling.type",
                                        .extra_string = "linear",
                                        .extra_float_key = "qwen2.rope.scaling.factor",
                                        .extra_float = 4.0f};
    made = tiny;
    made.has_bias = true;
    tp_test_write_gguf(&made, &biased, &bytes, NULL, NULL);
    save(folder, "gguf", "biased", &bytes);
    const struct tp_test_gguf normed = {
        .architecture = "qwen3", .extra_key = "qwen3.attention.sliding_window", .extra_value = 2};
    made = tiny;
    made.has_head_norm = true;
    tp_test_write_gguf(&made, &normed, &bytes, NULL, NULL);
    save(folder, "gguf", "normed", &bytes);
}

// As images, without a tokenizer; small enough for the inputs of the target.
static void save_image(const char *folder, const struct tp_test_model *made, tp_format format,
                       bool has_vectors)
{
    static const tp_context context;
    static const struct tp_manifest manifest = {.name = "m", .score = {.tokens = 2}};
    static float vector[64];
    struct tp_error error = {.status = TP_OK};
    struct tp_test_bytes bytes = {0};
    struct tp_source_model source;
    struct tp_quantised_model model;
    tp_format formats[32];
    char path[PATH_BYTES];
    tp_test_write_llama2c(made, 1, &bytes);
    tp_status status = tp__source_model_parse(bytes.data, bytes.size, "m", &source, &error);
    tp_test_bytes_free(&bytes);
    for (uint32_t i = 0; status == TP_OK && has_vectors && i < 5; i++) {
        source.shape.has_bias = true;
        source.shape.has_head_norm = true;
        source.tensors[TP_TENSOR_QUERY_BIAS + i] = vector;
    }
    if (status == TP_OK) {
        status = tp__choose_formats(&source.shape, format, NULL, 0, formats, &error);
    }
    if (status == TP_OK) {
        status = tp__quantise_model(&context, &source, formats, NULL, NULL, &model, &error);
    }
    (void)snprintf(path, sizeof path, "%s/image", folder);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/image/%s", folder, tp_format_name(format));
    if (status == TP_OK) {
        status = tp__image_file_write(&model, &manifest, NULL, 0, path, &error);
    }
    if (status != TP_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(EXIT_FAILURE);
    }
    tp__quantised_model_free(&model);
    tp__source_model_free(&source);
}

// A partial stream of one block RAM, as it is packed; frames in both forms, without right CRCs,
// which fuzz_bitstream.c repairs.
static void save_bitstreams(const char *folder)
{
    static const uint8_t head[] = {0xFF, 0xFF, 0xBD, 0xB3, 0xFF, 0xFF, 0xFF, 0xFF, 0x3B, 0, 0, 0,
                                   0xE2, 0,    0,    0,    0x41, 0x11, 0x10, 0x43, 0x46, 0, 0, 0};
    static const uint8_t compressed[] = {0x02, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xB8, 0x91, 0, 1};
    static const uint8_t plain[] = {0x82, 0x91, 0, 1};
    static const uint8_t zeros[74] = {0};
    static const uint8_t end[] = {0, 0, 0xFF, 0x5E, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    struct tp_error error;
    struct tp_bytes partial;
    struct tp_test_bytes bytes = {0};
    struct tp_configuration made = {0};
    bool is_chosen[TP_BLOCK_IDS] = {[3] = true};
    char base[TP_DIGEST_TEXT_BYTES] = "";
    memset(base, '0', sizeof base - 1);
    if (tp__configuration_begin(&made, tp__part_of_idcode(0x41111043), &error) != TP_OK ||
        tp__stream_write_blocks(&made, base, is_chosen, &partial, &error) != TP_OK) {
        give_up(&error);
    }
    tp_test_put(&bytes, partial.data, partial.size);
    save(folder, "bitstream", "partial", &bytes);
    tp__bytes_free(&partial);
    tp__configuration_free(&made);
    tp_test_put(&bytes, head, sizeof head);
    tp_test_put(&bytes, compressed, sizeof compressed);
    tp_test_put(&bytes, zeros, 10);  // 80 bits, one for each byte of a frame and those before it
    tp_test_put(&bytes, end, sizeof end);
    save(folder, "bitstream", "compressed", &bytes);
    tp_test_put(&bytes, head, sizeof head);
    tp_test_put(&bytes, plain, sizeof plain);
    tp_test_put(&bytes, zeros, sizeof zeros);
    tp_test_put(&bytes, end, sizeof end);
    save(folder, "bitstream", "frames", &bytes);
}

static void save_map(const char *folder)
{
    static const char text[] =
        "# Block RAMs\nversion 1\nboard b\npart LFE5U-25F 41111043\nusercode 0000000a\nbase "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
        "memory weight 0 a\nblock 3 9 X4/Y1/EBR0 0 0\nblock 4 36 X6/Y1/EBR0 2048 0\n"
        "memory gain 0 b\nblock 5 1 X8/Y1/EBR0 0 35\nmemory - 0 c\nblock 6 18 X 0 0\n";
    struct tp_test_bytes bytes = {0};
    tp_test_put(&bytes, text, sizeof text - 1);
    save(folder, "map", "map", &bytes);
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
    tp_test_write_llama2c_groups(&tiny, 4, &bytes, NULL);
    save(folder, "llama2c", "version-2", &bytes);
    save_gguf_kinds(folder);
    save_tokenizers(folder);
    const struct tp_test_safetensors numbers = {.type = TP_NUMBER_BF16};
    tp_test_write_safetensors(&tiny, &numbers, &bytes);
    save(folder, "safetensors", "bf16", &bytes);
    tp_test_write_config(&tiny, "llama",
                         ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
                         " \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
                         " \"original_max_position_embeddings\": 8192}",
                         NULL, &bytes);
    save(folder, "config", "llama", &bytes);
    tp_test_write_config(&tiny, "mistral", ", \"sliding_window\": 2", NULL, &bytes);
    save(folder, "config", "mistral", &bytes);
    tp_test_write_config(&untied, "qwen3",
                         ", \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}", NULL,
                         &bytes);
    save(folder, "config", "qwen3", &bytes);
    save_frames(folder);
    save_run(folder);
    save_session(folder);
    save_step_log(folder);
    save_conversation(folder);
    save_messages(folder);
    save_bitstreams(folder);
    save_map(folder);
    struct tp_test_model single = tiny;
    single.heads = 1;
    save_image(folder, &single, TP_FORMAT_FP4, true);
    save_image(folder, &single, TP_FORMAT_NF4_ALL, false);
    return EXIT_SUCCESS;
}

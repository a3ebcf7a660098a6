// SPDX-License-Identifier: Apache-2.0
//
// Saved sessions, byte by byte. The checksum is over all that goes before it, so a file that was
// cut off, overwritten or damaged is told from one of another kind.

#include "session_file.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "frame.h"
#include "reader.h"
#include "tp_map.h"

// "TPSESSN", a line feed; the rest of the header; tokens; checksum (docs/sessions.md).
enum {
    VERSION = 1,
    AT_VERSION = 8,
    AT_TOKEN_COUNT = 12,
    AT_MODEL = 16,
    AT_TEMPERATURE = 48,
    AT_TOP_K = 52,
    AT_SEED = 56,
    AT_PENALTY = 64,
    AT_TOP_P = 68,
    AT_MIN_P = 72,
    AT_CANDIDATES = 76,
    AT_FLAGS = 80,
    AT_STOP_TOKEN_COUNT = 84,
    AT_STOP_TOKENS = 88,
    AT_STOP_STRING_COUNT = 120,
    AT_ANSWER = 124,
    AT_STOP_STRINGS = 128,
    HEADER_BYTES = AT_STOP_STRINGS + TP_STOP_STRINGS_MAX * TP_STOP_BYTES_MAX,
    TOKEN_BYTES = 4,
    FILE_BYTES_MAX = HEADER_BYTES + TOKEN_BYTES * TP_SESSION_TOKENS_MAX + TP_DIGEST_BYTES
};
enum { FLAG_IGNORE_EOS = 1, FLAG_FAILS_WITHOUT_PAGES = 2 };

static const uint8_t magic[AT_VERSION] = {'T', 'P', 'S', 'E', 'S', 'S', 'N', '\n'};

// ---- reading ----

static tp_status check_whole(const uint8_t *bytes, size_t size, const char *name,
                             struct tp_error *error)
{
    if (size < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: not a saved session", name);
    }
    if (size < HEADER_BYTES + TP_DIGEST_BYTES) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: cut off: %zu bytes, a saved session has %d",
                        name, size, HEADER_BYTES + TP_DIGEST_BYTES);
    }
    uint32_t version = tp__load_u32(bytes + AT_VERSION);
    if (version != VERSION) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s: a saved session of version %u; this library reads version %d", name,
                        (unsigned)version, VERSION);
    }
    uint64_t must = HEADER_BYTES + TP_DIGEST_BYTES +
                    (uint64_t)TOKEN_BYTES * tp__load_u32(bytes + AT_TOKEN_COUNT);
    if (size != must) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: %zu bytes, its %u tokens make %llu: cut off or damaged", name, size,
                        (unsigned)tp__load_u32(bytes + AT_TOKEN_COUNT), (unsigned long long)must);
    }
    uint8_t digest[TP_DIGEST_BYTES];
    tp_status status = tp__digest(bytes, size - TP_DIGEST_BYTES, digest, error);
    if (status == TP_OK && memcmp(digest, bytes + size - TP_DIGEST_BYTES, sizeof digest) != 0) {
        status = tp__fail(error, TP_ERROR_FORMAT, "%s: its checksum is wrong: damaged", name);
    }
    return status;
}

static tp_status read_stops(const uint8_t *bytes, const char *name, struct tp_session_file *file,
                            struct tp_error *error)
{
    struct tp_session_options *options = &file->options;
    options->stop_token_count = tp__load_u32(bytes + AT_STOP_TOKEN_COUNT);
    options->stop_string_count = tp__load_u32(bytes + AT_STOP_STRING_COUNT);
    if (options->stop_token_count > TP_STOP_MAX ||
        options->stop_string_count > TP_STOP_STRINGS_MAX) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s: %u stop tokens and %u stop strings", name,
                        (unsigned)options->stop_token_count, (unsigned)options->stop_string_count);
    }
    for (uint32_t i = 0; i < options->stop_token_count; i++) {
        options->stop_tokens[i] = tp__load_u32(bytes + AT_STOP_TOKENS + 4 * (size_t)i);
    }
    memcpy(file->stop_text, bytes + AT_STOP_STRINGS, sizeof file->stop_text);
    for (uint32_t i = 0; i < options->stop_string_count; i++) {
        if (memchr(file->stop_text[i], 0, TP_STOP_BYTES_MAX) == NULL) {
            return tp__fail(error, TP_ERROR_FORMAT, "%s: stop string %u does not end", name,
                            (unsigned)i);
        }
    }
    return TP_OK;
}

tp_status tp__session_file_parse(const uint8_t *bytes, size_t size, const char *name,
                                 struct tp_session_file *file, struct tp_error *error)
{
    tp_status status = check_whole(bytes, size, name, error);
    if (status != TP_OK) {
        return status;
    }
    uint32_t flags = tp__load_u32(bytes + AT_FLAGS);
    struct tp_session_file made = {
        .options = {.temperature = tp__load_f32(bytes + AT_TEMPERATURE),
                    .top_k = tp__load_u32(bytes + AT_TOP_K),
                    .seed = tp__load_u64(bytes + AT_SEED),
                    .repetition_penalty = tp__load_f32(bytes + AT_PENALTY),
                    .top_p = tp__load_f32(bytes + AT_TOP_P),
                    .min_p = tp__load_f32(bytes + AT_MIN_P),
                    .candidates = tp__load_u32(bytes + AT_CANDIDATES),
                    .ignore_eos = (flags & FLAG_IGNORE_EOS) != 0,
                    .fails_without_pages = (flags & FLAG_FAILS_WITHOUT_PAGES) != 0},
        .answer_at = tp__load_u32(bytes + AT_ANSWER),
        .token_count = tp__load_u32(bytes + AT_TOKEN_COUNT)};
    memcpy(made.model, bytes + AT_MODEL, sizeof made.model);
    status = read_stops(bytes, name, &made, error);
    if (status == TP_OK && made.answer_at > made.token_count) {
        status = tp__fail(error, TP_ERROR_FORMAT, "%s: an answer begins at token %u, there are %u",
                          name, (unsigned)made.answer_at, (unsigned)made.token_count);
    }
    if (status != TP_OK) {
        return status;
    }
    made.tokens = malloc((size_t)made.token_count * sizeof *made.tokens + 1);
    if (made.tokens == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its %u tokens", name,
                        (unsigned)made.token_count);
    }
    for (uint32_t i = 0; i < made.token_count; i++) {
        made.tokens[i] = tp__load_u32(bytes + HEADER_BYTES + TOKEN_BYTES * (size_t)i);
    }
    *file = made;
    return TP_OK;
}

tp_status tp__session_file_read(const char *path, struct tp_session_file *file,
                                struct tp_error *error)
{
    struct tp_bytes bytes;
    tp_status status = tp__file_read(path, FILE_BYTES_MAX, &bytes, error);
    if (status != TP_OK) {
        return status;
    }
    status = tp__session_file_parse(bytes.data, bytes.size, tp__short_name(path), file, error);
    tp__bytes_free(&bytes);
    return status;
}

void tp__session_file_close(struct tp_session_file *file)
{
    free(file->tokens);
    file->tokens = NULL;
}

// ---- writing ----

static void put_f32(uint8_t *bytes, float value)
{
    uint32_t word = 0;
    memcpy(&word, &value, sizeof word);
    tp__put32(bytes, word);
}

static void put_options(uint8_t *bytes, const struct tp_session_file *file)
{
    const struct tp_session_options *options = &file->options;
    put_f32(bytes + AT_TEMPERATURE, options->temperature);
    tp__put32(bytes + AT_TOP_K, options->top_k);
    tp__put64(bytes + AT_SEED, options->seed);
    put_f32(bytes + AT_PENALTY, options->repetition_penalty);
    put_f32(bytes + AT_TOP_P, options->top_p);
    put_f32(bytes + AT_MIN_P, options->min_p);
    tp__put32(bytes + AT_CANDIDATES, options->candidates);
    tp__put32(bytes + AT_FLAGS, (options->ignore_eos ? FLAG_IGNORE_EOS : 0u) |
                                    (options->fails_without_pages ? FLAG_FAILS_WITHOUT_PAGES : 0u));
    tp__put32(bytes + AT_STOP_TOKEN_COUNT, options->stop_token_count);
    for (uint32_t i = 0; i < options->stop_token_count; i++) {
        tp__put32(bytes + AT_STOP_TOKENS + 4 * (size_t)i, options->stop_tokens[i]);
    }
    tp__put32(bytes + AT_STOP_STRING_COUNT, options->stop_string_count);
    memcpy(bytes + AT_STOP_STRINGS, file->stop_text, sizeof file->stop_text);
}

tp_status tp__session_file_write(const struct tp_session_file *file, const char *path,
                                 struct tp_error *error)
{
    size_t size = HEADER_BYTES + TOKEN_BYTES * (size_t)file->token_count;
    uint8_t *bytes = calloc(size + TP_DIGEST_BYTES, 1);
    if (bytes == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for a saved session",
                        tp__short_name(path));
    }
    memcpy(bytes, magic, sizeof magic);
    tp__put32(bytes + AT_VERSION, VERSION);
    tp__put32(bytes + AT_TOKEN_COUNT, file->token_count);
    memcpy(bytes + AT_MODEL, file->model, sizeof file->model);
    put_options(bytes, file);
    tp__put32(bytes + AT_ANSWER, file->answer_at);
    for (uint32_t i = 0; i < file->token_count; i++) {
        tp__put32(bytes + HEADER_BYTES + TOKEN_BYTES * (size_t)i, file->tokens[i]);
    }
    tp_status status = tp__digest(bytes, size, bytes + size, error);
    if (status == TP_OK) {
        struct tp_file_writer writer;
        tp__writer_open(&writer, path, error);
        tp__writer_put(&writer, bytes, size + TP_DIGEST_BYTES);
        status = tp__writer_close(&writer, TP_OK);
    }
    free(bytes);
    return status;
}

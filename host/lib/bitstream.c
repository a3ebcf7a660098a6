// SPDX-License-Identifier: Apache-2.0
//
// What a bitstream was built from and what it reached: its manifest (bitstreams/README.md).

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "file.h"
#include "internal.h"
#include "json.h"

enum { MANIFEST_BYTES_MAX = 1 << 20, SOURCE_BYTES_MAX = 1 << 24, MANIFEST_VALUES_MAX = 4096 };
enum { BITS_BYTES_MAX = 1 << 25 };

// ---- the hash over files and definition ----

struct text {
    char *data;
    size_t size;
    size_t room;
};

static bool append(struct text *text, const char *piece)
{
    size_t size = strlen(piece);
    if (text->size + size + 1 > text->room) {
        size_t room = 2 * (text->size + size + 1);
        char *larger = realloc(text->data, room);
        if (larger == NULL) {
            return false;
        }
        text->data = larger;
        text->room = room;
    }
    memcpy(text->data + text->size, piece, size + 1);
    text->size += size;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tp_status digest_text(const void *data, size_t size, char text[TP_DIGEST_TEXT_BYTES],
                             struct tp_error *error)
{
    uint8_t digest[TP_DIGEST_BYTES];
    tp_status status = tp__digest(data, size, digest, error);
    if (status == TP_OK) {
        tp__digest_text(digest, text);
    }
    return status;
}

// A line "HASH  PATH" for each file in the order of the paths, "top=NAME", the definition.
static bool write_sources(const json_t *manifest, const char **names, struct text *text)
{
    const json_t *files = json_object_get(manifest, "files");
    const json_t *definition = json_object_get(manifest, "definition");
    bool ok = append(text, "");
    for (size_t i = 0; i < json_object_size(files) && ok; i++) {
        ok = append(text, json_string_value(json_object_get(files, names[i]))) &&
             append(text, "  ") && append(text, names[i]) && append(text, "\n");
    }
    ok = ok && append(text, "top=") &&
         append(text, json_string_value(json_object_get(manifest, "top"))) && append(text, "\n");
    for (size_t i = 0; i < json_array_size(definition) && ok; i++) {
        ok = append(text, json_string_value(json_array_get(definition, i))) && append(text, "\n");
    }
    return ok;
}

// ---- what must hold ----

// All values that the functions above read are there and have their types.
static bool is_whole(const json_t *manifest)
{
    static const char *const texts[] = {"board",       "configuration", "top",
                                        "source_hash", "bits",          "bits_sha256"};
    static const char *const numbers[] = {"clock_required_mhz", "clock_achieved_mhz", "bits_bytes"};
    const json_t *files = json_object_get(manifest, "files");
    const json_t *definition = json_object_get(manifest, "definition");
    bool ok = json_is_object(files) && json_is_array(definition) &&
              json_is_object(json_object_get(manifest, "resources"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ok = ok && json_is_string(json_object_get(manifest, texts[i]));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ok = ok && json_is_number(json_object_get(manifest, numbers[i]));
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)files, key, value)
    {
        ok = ok && json_is_string(value);
    }
    for (size_t i = 0; i < json_array_size(definition); i++) {
        ok = ok && json_is_string(json_array_get(definition, i));
    }
    return ok;
}

// The number behind "KEY=" in the definition; 0: it is not there.
static uint32_t defined(const json_t *manifest, const char *key)
{
    const json_t *definition = json_object_get(manifest, "definition");
    size_t size = strlen(key);
    for (size_t i = 0; i < json_array_size(definition); i++) {
        const char *line = json_string_value(json_array_get(definition, i));
        if (strncmp(line, key, size) == 0 && line[size] == '=') {
            return (uint32_t)strtoul(line + size + 1, NULL, 0);
        }
    }
    return 0;
}

// The definition is that of this library.
static bool is_defined_alike(const json_t *manifest, const struct tp_board_info *board,
                             const struct tp_device_info *device)
{
    const struct {
        const char *key;
        uint32_t value;
    } pairs[] = {
        {"idcode", board->idcode},
        {"CoreKhz", board->clock_khz},
        {"Baud", board->baud},
        {"seed", board->seed},
        {"Groups", device->groups},
        {"Slots", device->slots},
        {"WeightBeats", device->weight_beats},
        {"KvRows", device->kv_rows},
        {"DimMax", device->dim_max},
        {"QueryMax", device->query_max},
        {"HiddenMax", device->hidden_max},
        {"VocabMax", device->vocab_max},
        {"PositionsMax", device->positions_max},
        {"ProgramMax", device->program_max},
        {"GainQuads", device->gain_quads},
        {"ConstantPairs", device->constant_pairs},
        {"Codebooks", device->codebooks},
        {"HeadNorm", device->head_norm},
        {"HeadLog2Max", device->head_log2_max},
        {"AttentionLanes", device->attention_lanes},
        {"TopK", device->top_k},
        {"ReadBack", device->read_back},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (defined(manifest, pairs[i].key) != pairs[i].value) {
            return false;
        }
    }
    return strcmp(json_string_value(json_object_get(manifest, "configuration")), device->name) == 0;
}

// Each file of the manifest lies under root with its hash.
static tp_status compare_files(const json_t *manifest, const char *root, const char *board,
                               struct tp_error *error)
{
    const char *key;
    json_t *value;
    tp_status status = TP_OK;
    json_object_foreach(json_object_get(manifest, "files"), key, value)
    {
        char path[TP_PATH_BYTES];
        char digest[TP_DIGEST_TEXT_BYTES] = "";
        struct tp_bytes bytes = {NULL, 0};
        int size = snprintf(path, sizeof path, "%s/%s", root, key);
        if (size < 0 || (size_t)size >= sizeof path || strstr(key, "..") != NULL) {
            return tp__fail(error, TP_ERROR_FORMAT, "the manifest names an impossible file");
        }
        if (tp__file_read(path, SOURCE_BYTES_MAX, &bytes, NULL) == TP_OK) {
            status = digest_text(bytes.data, bytes.size, digest, error);
            tp__bytes_free(&bytes);
        }
        if (status == TP_OK && strcmp(digest, json_string_value(value)) != 0) {
            status =
                tp__fail(error, TP_ERROR_MISMATCH,
                         "the bitstream was built from other sources: %s %s - try: make bitstream "
                         "BOARD=%s",
                         key, digest[0] == 0 ? "is not there" : "has changed since", board);
        }
        if (status != TP_OK) {
            return status;
        }
    }
    return TP_OK;
}

// The source hash is that of the files and the definition that the manifest lists.
static tp_status check_hash(const json_t *manifest, const char *path, struct tp_error *error)
{
    const json_t *files = json_object_get(manifest, "files");
    size_t count = json_object_size(files);
    const char **names = calloc(count + 1, sizeof *names);
    struct text text = {NULL, 0, 0};
    char digest[TP_DIGEST_TEXT_BYTES];
    const char *key;
    json_t *value;
    size_t i = 0;
    if (names == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a manifest");
    }
    json_object_foreach((json_t *)(uintptr_t)files, key, value)
    {
        (void)value;
        names[i++] = key;
    }
    qsort(names, count, sizeof *names, compare_names);
    tp_status status = write_sources(manifest, names, &text)
                           ? digest_text(text.data, text.size, digest, error)
                           : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a manifest");
    free(names);
    free(text.data);
    if (status == TP_OK &&
        strcmp(digest, json_string_value(json_object_get(manifest, "source_hash"))) != 0) {
        status = tp__fail(error, TP_ERROR_FORMAT,
                          "%s: the source hash is not that of the files and the definition", path);
    }
    return status;
}

// ---- reading ----

static const struct tp_board_info *find_board(const char *name, struct tp_board_info *infos,
                                              size_t max)
{
    size_t count = tp_board_list(infos, max);
    for (size_t i = 0; i < count && i < max; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            return &infos[i];
        }
    }
    return NULL;
}

static uint32_t used(const json_t *manifest, const char *resource)
{
    const json_t *use = json_object_get(json_object_get(manifest, "resources"), resource);
    return (uint32_t)json_integer_value(json_object_get(use, "used"));
}

static void take_facts(const json_t *manifest, struct tp_bitstream_info *info)
{
    const char *configuration = json_string_value(json_object_get(manifest, "configuration"));
    const char *hash = json_string_value(json_object_get(manifest, "source_hash"));
    const char *bits = json_string_value(json_object_get(manifest, "bits"));
    const char *digest = json_string_value(json_object_get(manifest, "bits_sha256"));
    const char *own = json_string_value(json_object_get(manifest, "build_id"));
    char build[9];
    (void)snprintf(build, sizeof build, "%.8s", own != NULL ? own : hash);
    *info = (struct tp_bitstream_info){
        .build = (uint32_t)strtoul(build, NULL, 16),
        .clock_required_mhz = json_number_value(json_object_get(manifest, "clock_required_mhz")),
        .clock_achieved_mhz = json_number_value(json_object_get(manifest, "clock_achieved_mhz")),
        .luts = used(manifest, "lut"),
        .flip_flops = used(manifest, "flip_flop"),
        .block_rams = used(manifest, "block_ram"),
        .multipliers = used(manifest, "multiplier"),
        .bits_bytes = (uint64_t)json_integer_value(json_object_get(manifest, "bits_bytes"))};
    (void)snprintf(info->configuration, sizeof info->configuration, "%s", configuration);
    (void)snprintf(info->source_hash, sizeof info->source_hash, "%s", hash);
    (void)snprintf(info->bits, sizeof info->bits, "%s", bits);
    (void)snprintf(info->bits_digest, sizeof info->bits_digest, "%s", digest);
}

static tp_status check(const json_t *manifest, const char *path, const char *root,
                       const struct tp_board_info *board, struct tp_error *error)
{
    struct tp_device_info devices[64];
    size_t count = tp_configuration_list(devices, 64);
    const struct tp_device_info *device = NULL;
    if (!is_whole(manifest) ||
        strcmp(json_string_value(json_object_get(manifest, "board")), board->name) != 0) {
        return tp__fail(error, TP_ERROR_FORMAT, "%s is not a manifest of %s", path, board->name);
    }
    for (size_t i = 0; i < count && i < 64; i++) {
        device = strcmp(devices[i].name, board->configuration) == 0 ? &devices[i] : device;
    }
    tp_status status = check_hash(manifest, path, error);
    if (status == TP_OK && (device == NULL || !is_defined_alike(manifest, board, device))) {
        status = tp__fail(error, TP_ERROR_MISMATCH,
                          "the bitstream of %s was built for another configuration or clock - try: "
                          "make bitstream BOARD=%s",
                          board->name, board->name);
    }
    return status == TP_OK && root != NULL ? compare_files(manifest, root, board->name, error)
                                           : status;
}

tp_status tp_bitstream_read(const char *folder, const char *root, const char *board,
                            struct tp_bitstream_info *info, struct tp_error *error)
{
    struct tp_board_info boards[16];
    char path[TP_PATH_BYTES];
    struct tp_bytes bytes = {NULL, 0};
    json_t *manifest = NULL;
    if (folder == NULL || board == NULL || info == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_bitstream_read: an argument is NULL");
    }
    const struct tp_board_info *facts = find_board(board, boards, sizeof boards / sizeof *boards);
    if (facts == NULL) {
        return tp__fail(error, TP_ERROR_NOT_FOUND, "no board is called '%s'", board);
    }
    int size = snprintf(path, sizeof path, "%s/%s/manifest.json", folder, board);
    if (size < 0 || (size_t)size >= sizeof path) {
        return tp__fail(error, TP_ERROR_INVALID, "the name of the bitstreams' folder is too long");
    }
    if (tp__file_read(path, MANIFEST_BYTES_MAX, &bytes, NULL) != TP_OK) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "there is no bitstream of %s (%s) - try: make bitstream BOARD=%s", board,
                        path, board);
    }
    tp_status status =
        tp__json_parse(bytes.data, bytes.size, path, 0, MANIFEST_VALUES_MAX, &manifest, error);
    tp__bytes_free(&bytes);
    if (status != TP_OK) {
        return status;
    }
    status = check(manifest, path, root, facts, error);
    if (status == TP_OK) {
        take_facts(manifest, info);
    }
    json_decref(manifest);
    return status;
}

tp_status tp_bitstream_check_bits(const char *folder, const char *board,
                                  const struct tp_bitstream_info *info, struct tp_error *error)
{
    char path[TP_PATH_BYTES];
    char digest[TP_DIGEST_TEXT_BYTES];
    struct tp_bytes bytes = {NULL, 0};
    if (folder == NULL || board == NULL || info == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_bitstream_check_bits: an argument is NULL");
    }
    int size = snprintf(path, sizeof path, "%s/%s/%s", folder, board, info->bits);
    if (size < 0 || (size_t)size >= sizeof path || strchr(info->bits, '/') != NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "the manifest of %s names an impossible file",
                        board);
    }
    if (tp__file_read(path, BITS_BYTES_MAX, &bytes, NULL) != TP_OK) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "the manifest of %s is there, but not its bits (%s) - try: make bitstream "
                        "BOARD=%s",
                        board, path, board);
    }
    tp_status status = digest_text(bytes.data, bytes.size, digest, error);
    if (status == TP_OK &&
        (bytes.size != info->bits_bytes || strcmp(digest, info->bits_digest) != 0)) {
        status = tp__fail(error, TP_ERROR_MISMATCH,
                          "%s is damaged: %zu bytes with SHA-256 %.8s..., its manifest says "
                          "%" PRIu64 " with %.8s... - try: git checkout %s",
                          path, bytes.size, digest, info->bits_bytes, info->bits_digest, path);
    }
    tp__bytes_free(&bytes);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about exported GGUF files: loading one gives the shape, every weight bit by bit and the
// tokenizer that went in, for models of both orders of rotation pairs, and exporting that again
// gives the same bytes; a file that cannot be written leaves what was there and nothing beside it.
//
// Models that the test makes itself, and the shipped one. Not covered: what other programs make of
// the files.

#include "export_gguf.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check_main.h"
#include "encode.h"
#include "layout.h"
#include "model_files.h"

enum { PATH_BYTES = 512, VOCAB = 300 };

static struct tp_error error;
#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- a folder of its own ----

static char folder[] = "/tmp/tokproc-export-XXXXXX";

static void setup(void)
{
    ck_assert(mkdtemp(folder) != NULL);
}

static uint32_t files_in_folder(void)
{
    uint32_t count = 0;
    DIR *directory = opendir(folder);
    ck_assert(directory != NULL);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

static void path_in_folder(const char *name, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

static void remove_file(const char *name)
{
    char path[PATH_BYTES];
    path_in_folder(name, path);
    (void)unlink(path);
}

static void teardown(void)
{
    remove_file("a.gguf");
    remove_file("b.gguf");
    ck_assert_int_eq(rmdir(folder), 0);
}

// ---- comparison ----

static void compare_models(const struct tp_source_model *a, const struct tp_source_model *b)
{
    ck_assert_uint_eq(a->shape.dim, b->shape.dim);
    ck_assert_uint_eq(a->shape.hidden, b->shape.hidden);
    ck_assert_uint_eq(a->shape.layers, b->shape.layers);
    ck_assert_uint_eq(a->shape.heads, b->shape.heads);
    ck_assert_uint_eq(a->shape.kv_heads, b->shape.kv_heads);
    ck_assert_uint_eq(a->shape.head_size, b->shape.head_size);
    ck_assert_uint_eq(a->shape.vocab, b->shape.vocab);
    ck_assert_uint_eq(a->shape.context, b->shape.context);
    ck_assert_uint_eq(a->shape.tied, b->shape.tied);
    ck_assert(a->shape.rope_base == b->shape.rope_base);
    ck_assert(a->shape.norm_epsilon == b->shape.norm_epsilon);
    for (uint32_t pair = 0; pair < a->shape.head_size / 2; pair++) {
        ck_assert(tp__source_frequency(a, pair) == tp__source_frequency(b, pair));
    }
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        ck_assert(tp__tensor_exists(&a->shape, tensor) == tp__tensor_exists(&b->shape, tensor));
        if (!tp__tensor_exists(&a->shape, tensor)) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(&a->shape, tensor, &rows, &columns);
        for (uint32_t layer = 0; layer < tp__tensor_layers(&a->shape, tensor); layer++) {
            ck_assert_int_eq(memcmp(tp__source_tensor(a, tensor, layer),
                                    tp__source_tensor(b, tensor, layer),
                                    (size_t)rows * columns * sizeof(float)),
                             0);
        }
    }
}

static void compare_tokenizers(const struct tp_tokenizer *a, const struct tp_tokenizer *b)
{
    ck_assert_uint_le(a->count, b->count);  // of rows without a name
    ck_assert_uint_eq(a->turn_end, b->turn_end);
    ck_assert(a->kind == b->kind && a->split == b->split);
    ck_assert_uint_eq(a->merges.count, b->merges.count);
    ck_assert(a->merges.count == 0 || memcmp(a->merges.list, b->merges.list,
                                             a->merges.count * sizeof a->merges.list[0]) == 0);
    ck_assert_uint_eq(a->bos, b->bos);
    ck_assert_uint_eq(a->eos, b->eos);
    ck_assert_uint_eq(a->unknown, b->unknown);
    ck_assert(a->add_bos == b->add_bos && a->add_space == b->add_space);
    for (uint32_t id = 0; id < a->count; id++) {
        struct tp_string x = tp__tokenizer_piece(a, id);
        struct tp_string y = tp__tokenizer_piece(b, id);
        ck_assert(x.size == y.size && memcmp(x.text, y.text, x.size) == 0);
        ck_assert(a->kinds[id] == b->kinds[id] && a->scores[id] == b->scores[id]);
    }
    for (uint32_t id = a->count; id < b->count; id++) {
        ck_assert_uint_eq(b->kinds[id], TP_PIECE_UNUSED);
    }
}

static void check_same_bytes(const char *path, const char *other)
{
    struct tp_bytes a;
    struct tp_bytes b;
    OK(tp__file_read(path, 1 << 28, &a, &error));
    OK(tp__file_read(other, 1 << 28, &b, &error));
    ck_assert(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
    tp__bytes_free(&a);
    tp__bytes_free(&b);
}

// Exports, loads, compares, and exports what was loaded.
static void check_round_trip(const struct tp_source_model *model,
                             const struct tp_tokenizer *tokenizer)
{
    char path[PATH_BYTES];
    char again[PATH_BYTES];
    path_in_folder("a.gguf", path);
    path_in_folder("b.gguf", again);
    struct tp_source_model loaded;
    struct tp_tokenizer loaded_tokenizer;
    OK(tp__export_gguf(model, tokenizer, path, &error));
    OK(tp__source_model_load(path, &loaded, &error));
    compare_models(model, &loaded);
    ck_assert(loaded.has_tokenizer == (tokenizer != NULL));
    if (tokenizer != NULL) {
        OK(tp__tokenizer_of_model(&loaded, &loaded_tokenizer, &error));
        compare_tokenizers(tokenizer, &loaded_tokenizer);
    }
    // The files differ in general.name alone, which is the name of what was exported.
    (void)snprintf(loaded.name, strlen(loaded.name) + 1, "%s", model->name);
    OK(tp__export_gguf(&loaded, tokenizer == NULL ? NULL : &loaded_tokenizer, again, &error));
    if (strcmp(model->name, loaded.name) == 0) check_same_bytes(path, again);
    ck_assert_uint_eq(files_in_folder(), 2);
    if (tokenizer != NULL) tp__tokenizer_free(&loaded_tokenizer);
    tp__source_model_free(&loaded);
}

// ---- models ----

static const struct tp_test_model shapes[] = {
    {64, 96, 2, 8, 4, VOCAB, 48, false, 7},
    {40, 52, 3, 5, 1, VOCAB, 16, true, 9},
    {8, 12, 1, 1, 1, VOCAB, 4, false, 11},
};

START_TEST(an_export_loads_equal)
{
    struct tp_test_bytes model_file = {NULL, 0, 0};
    struct tp_test_bytes tokenizer_file = {NULL, 0, 0};
    struct tp_source_model model;
    struct tp_tokenizer tokenizer;
    tp_test_write_llama2c(&shapes[_i], 1, &model_file);
    tp_test_write_tokenizer(VOCAB, &tokenizer_file);
    OK(tp__source_model_parse(model_file.data, model_file.size, "m.llam", &model, &error));
    OK(tp__tokenizer_parse(tokenizer_file.data, tokenizer_file.size, "t.bin", &tokenizer, &error));
    check_round_trip(&model, &tokenizer);
    check_round_trip(&model, NULL);
    tp__source_model_free(&model);
    tp__tokenizer_free(&tokenizer);
    tp_test_bytes_free(&model_file);
    tp_test_bytes_free(&tokenizer_file);
}
END_TEST

// ---- tokenizers of ranked merges ----

enum { END = 256, TURN, USER, FIRST_MERGED, MERGES = 6, PIECES = FIRST_MERGED + MERGES };

// Every byte, three special pieces, and "the", " the", "at" ... by merges.
static void make_pairs(enum tp_tokenizer_kind kind, struct tp_tokenizer *tokenizer)
{
    static const char *const specials[] = {"<|end|>", "<|turn|>", "<tool>"};
    static const enum tp_piece_kind kinds[] = {TP_PIECE_CONTROL, TP_PIECE_CONTROL, TP_PIECE_USER};
    static const char *const merges[MERGES][2] = {{"t", "h"}, {"th", "e"}, {" ", "the"},
                                                  {"a", "t"}, {"c", "at"}, {" ", "t"}};
    OK(tp__tokenizer_prepare(tokenizer, "pairs", PIECES, 4096, &error));
    tokenizer->kind = kind;
    tokenizer->split = kind == TP_TOKENIZER_BYTE_PAIRS ? TP_SPLIT_LLAMA3 : TP_SPLIT_NONE;
    tokenizer->whole_words = kind == TP_TOKENIZER_BYTE_PAIRS;
    tokenizer->may_grow = true;
    tokenizer->add_space = false;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const char text = (char)byte;
        tp__tokenizer_add(tokenizer, byte, &text, 1, 0.0f, TP_PIECE_NORMAL);
    }
    for (uint32_t i = 0; i < 3; i++) {
        tp__tokenizer_add(tokenizer, END + i, specials[i], strlen(specials[i]), 0.0f, kinds[i]);
    }
    for (uint32_t i = 0; i < MERGES; i++) {
        char whole[8];
        int size = snprintf(whole, sizeof whole, "%s%s", merges[i][0], merges[i][1]);
        tp__tokenizer_add(tokenizer, FIRST_MERGED + i, whole, (size_t)size, 0.0f, TP_PIECE_NORMAL);
    }
    tokenizer->bos = END;
    tokenizer->eos = END;
    tokenizer->turn_end = TURN;
    OK(tp__tokenizer_finish(tokenizer, &error));
    OK(tp__merges_prepare(&tokenizer->merges, "pairs", MERGES, &error));
    for (uint32_t i = 0; i < MERGES; i++) {
        OK(tp__tokenizer_merge(tokenizer, "merges",
                               (struct tp_string){merges[i][0], strlen(merges[i][0])},
                               (struct tp_string){merges[i][1], strlen(merges[i][1])}, &error));
    }
}

static uint32_t encode(const struct tp_tokenizer *tokenizer, uint32_t tokens[64])
{
    static const char text[] = "cat the <tool>at the\n12345 cthat";
    struct tp_encoder encoder;
    uint32_t count = 0;
    OK(tp__encoder_open(tokenizer, 256, &encoder, &error));
    OK(tp__encode(&encoder, text, sizeof text - 1, true, tokenizer->add_space, tokens, 64, &count,
                  &error));
    tp__encoder_close(&encoder);
    return count;
}

START_TEST(byte_pairs_export_equal)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_source_model model;
    struct tp_tokenizer tokenizer;
    tp_test_write_llama2c(&shapes[0], 1, &file);
    OK(tp__source_model_parse(file.data, file.size, "m.llam", &model, &error));
    make_pairs(TP_TOKENIZER_BYTE_PAIRS, &tokenizer);
    check_round_trip(&model, &tokenizer);

    char path[PATH_BYTES];
    uint32_t expected[64];
    uint32_t actual[64];
    struct tp_tokenizer loaded;
    path_in_folder("a.gguf", path);
    OK(tp__tokenizer_load(path, &loaded, &error));
    uint32_t count = encode(&tokenizer, expected);
    ck_assert_uint_gt(count, 10);
    ck_assert_uint_eq(encode(&loaded, actual), count);
    ck_assert_int_eq(memcmp(actual, expected, count * sizeof *actual), 0);
    tp__tokenizer_free(&loaded);
    tp__tokenizer_free(&tokenizer);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

// Ranked character pairs become scored pieces, which GGUF has; texts keep their tokens.
START_TEST(character_pairs_export_as_scores)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_source_model model;
    struct tp_tokenizer tokenizer;
    struct tp_tokenizer loaded;
    char path[PATH_BYTES];
    uint32_t expected[64];
    uint32_t actual[64];
    tp_test_write_llama2c(&shapes[0], 1, &file);
    OK(tp__source_model_parse(file.data, file.size, "m.llam", &model, &error));
    make_pairs(TP_TOKENIZER_CHARACTER_PAIRS, &tokenizer);
    path_in_folder("a.gguf", path);
    OK(tp__export_gguf(&model, &tokenizer, path, &error));
    OK(tp__tokenizer_load(path, &loaded, &error));
    ck_assert_int_eq(loaded.kind, TP_TOKENIZER_SCORES);
    OK(tp__tokenizer_check_alike(&tokenizer, &loaded, &error));
    uint32_t count = encode(&tokenizer, expected);
    ck_assert_uint_gt(count, 10);
    ck_assert_uint_eq(encode(&loaded, actual), count);
    ck_assert_int_eq(memcmp(actual, expected, count * sizeof *actual), 0);
    tp__tokenizer_free(&loaded);
    tp__tokenizer_free(&tokenizer);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

// What an image holds besides weights goes with them; numbers that no image has are refused.
START_TEST(constants_of_an_image_export_equal)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_source_model model;
    struct tp_source_model loaded;
    char path[PATH_BYTES];
    const uint32_t means = 2 * 4 * 8;
    tp_test_write_llama2c(&shapes[0], 1, &file);
    OK(tp__source_model_parse(file.data, file.size, "m.llam", &model, &error));
    uint32_t edges = tp__edge_count(&model.shape);
    model.key_means = calloc(means, sizeof *model.key_means);
    model.exponent_max = calloc(edges, 1);
    ck_assert(model.key_means != NULL && model.exponent_max != NULL);
    for (uint32_t i = 0; i < means; i++) model.key_means[i] = (float)i / 7.0f;
    for (uint32_t i = 0; i < edges; i++) model.exponent_max[i] = (uint8_t)(i + 3);
    check_round_trip(&model, NULL);
    path_in_folder("a.gguf", path);
    OK(tp__source_model_load(path, &loaded, &error));
    ck_assert(loaded.key_means != NULL && loaded.exponent_max != NULL);
    ck_assert_int_eq(memcmp(loaded.key_means, model.key_means, means * sizeof(float)), 0);
    ck_assert_int_eq(memcmp(loaded.exponent_max, model.exponent_max, edges), 0);
    tp__source_model_free(&loaded);

    model.exponent_max[1] = 26;
    OK(tp__export_gguf(&model, NULL, path, &error));
    ck_assert_int_eq(tp__source_model_load(path, &loaded, &error), TP_ERROR_FORMAT);
    ck_assert(strstr(error.text, "tokproc.exponent_max") != NULL);
    model.exponent_max[1] = 25;
    model.key_means[means - 1] = NAN;
    OK(tp__export_gguf(&model, NULL, path, &error));
    ck_assert_int_eq(tp__source_model_load(path, &loaded, &error), TP_ERROR_FORMAT);
    ck_assert(strstr(error.text, "tokproc.key_means") != NULL);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

// Rows of queries and keys go back to the order of the architecture; frequencies come back from a
// factor or from the table of divisors.
START_TEST(other_architectures_export_equal)
{
    static const float llama3[8] = {1, 1, 1, 1.5f, 3, 7.25f, 8, 8};
    static const float linear[8] = {4, 4, 4, 4, 4, 4, 4, 4};
    static const struct {
        struct tp_test_model model;
        struct tp_test_gguf file;
    } cases[] = {
        {{.head_size = 16, .has_bias = true}, {.architecture = "qwen2"}},
        {{.head_size = 16, .has_head_norm = true}, {.architecture = "qwen3"}},
        {{.head_size = 16, .is_untied = true}, {.divisors = llama3}},
        {{.head_size = 16, .has_bias = true}, {.divisors = linear}},
    };
    struct tp_test_model made = cases[_i].model;
    made.dim = 40;
    made.hidden = 52;
    made.layers = 2;
    made.heads = 4;
    made.kv_heads = 2;
    made.vocab = VOCAB;
    made.context = 16;
    made.seed = 5;
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_source_model model;
    tp_test_write_gguf(&made, &cases[_i].file, &file, NULL, NULL);
    OK(tp__source_model_parse(file.data, file.size, "m.gguf", &model, &error));
    check_round_trip(&model, NULL);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(real_models_export_equal)
{
    static const char *const names[] = {"stories260K.gguf", "stories260K.bin"};
    char path[PATH_BYTES];
    struct tp_source_model model;
    struct tp_tokenizer tokenizer;
    if (!tp_test_find_model(names[_i], path, sizeof path)) return;
    OK(tp__source_model_load(path, &model, &error));
    if (model.has_tokenizer) OK(tp__tokenizer_of_model(&model, &tokenizer, &error));
    check_round_trip(&model, model.has_tokenizer ? &tokenizer : NULL);
    if (model.has_tokenizer) tp__tokenizer_free(&tokenizer);
    tp__source_model_free(&model);
}
END_TEST

// ---- files that cannot be written ----

START_TEST(a_failed_export_changes_nothing)
{
    char path[PATH_BYTES];
    char missing[PATH_BYTES];
    struct tp_test_bytes model_file = {NULL, 0, 0};
    struct tp_source_model model;
    struct tp_bytes before;
    path_in_folder("a.gguf", path);
    path_in_folder("no/a.gguf", missing);
    tp_test_write_llama2c(&shapes[0], 1, &model_file);
    OK(tp__source_model_parse(model_file.data, model_file.size, "m", &model, &error));
    OK(tp__export_gguf(&model, NULL, path, &error));
    OK(tp__file_read(path, 1 << 28, &before, &error));
    ck_assert_int_eq(tp__export_gguf(&model, NULL, missing, &error), TP_ERROR_IO);
    ck_assert(strstr(error.text, "a.gguf") != NULL);

    // A full disk: the limit of the process stands for it.
    const struct rlimit small = {.rlim_cur = before.size / 2, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    tp_status status = tp__export_gguf(&model, NULL, path, &error);
    const struct rlimit open = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &open), 0);
    ck_assert_int_eq(status, TP_ERROR_IO);
    ck_assert(strstr(error.text, "write") != NULL);

    struct tp_bytes after;
    OK(tp__file_read(path, 1 << 28, &after, &error));
    ck_assert(after.size == before.size && memcmp(after.data, before.data, after.size) == 0);
    ck_assert_uint_eq(files_in_folder(), 1);
    tp__bytes_free(&before);
    tp__bytes_free(&after);
    tp__source_model_free(&model);
    tp_test_bytes_free(&model_file);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("export_gguf");
    TCase *tcase = tcase_create("export");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, an_export_loads_equal, 0, sizeof shapes / sizeof *shapes);
    tcase_add_test(tcase, constants_of_an_image_export_equal);
    tcase_add_test(tcase, byte_pairs_export_equal);
    tcase_add_test(tcase, character_pairs_export_as_scores);
    tcase_add_loop_test(tcase, other_architectures_export_equal, 0, 4);
    tcase_add_loop_test(tcase, real_models_export_equal, 0, 2);
    tcase_add_test(tcase, a_failed_export_changes_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about model files: the same model loads equal from every format that can hold it; a file
// that is cut short anywhere, has a header bit flipped, is damaged at random or is none of ours
// gives one line that names the file, what is wrong and where, and never a crash, a leak or an
// endless wait; weights that are not finite are refused by name; each failing allocation is
// reported.
//
// Models of a few hundred weights that the test makes itself, under the sanitizers; the real files
// where they are present. Not covered: files above 4 GiB.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "loader.h"
#include "model_compare.h"
#include "model_files.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 512, FORMATS = 4, FUZZ_SECONDS = 2 };

static const struct tp_test_model tiny = {.dim = 4,
                                          .hidden = 6,
                                          .layers = 2,
                                          .heads = 2,
                                          .kv_heads = 1,
                                          .vocab = 5,
                                          .context = 4,
                                          .seed = 1};

/* ---- helpers ---- */

static void write_format(const struct tp_test_model *model, int format, struct tp_test_bytes *file)
{
    struct tp_test_gguf options = {.version = format == 2 ? 2 : 3, .has_copied_tie = format == 3};
    if (format < 2) {
        tp_test_write_llama2c(model, (uint32_t)format, file);
    } else {
        tp_test_write_gguf(model, &options, file, NULL, NULL);
    }
}

static tp_status parse(const struct tp_test_bytes *file, size_t size, struct tp_source_model *model,
                       struct tp_error *error)
{
    memset(error, 0, sizeof *error);
    return tp__source_model_parse(file->data, size, "some/model.bin", model, error);
}

/* One line that names the file and fits the status. */
static void check_error(tp_status status, const struct tp_error *error)
{
    // Each ck_assert is a system call, which is slow in a loop of many files.
    bool is_sound = status < 0 && error->status == status;
    is_sound = is_sound && strstr(error->text, "model.bin") != NULL;
    is_sound = is_sound && strlen(error->text) < sizeof error->text - 1;
    for (const char *c = error->text; *c != '\0'; c++) {
        is_sound = is_sound && (unsigned char)*c >= ' ';
    }
    if (!is_sound) ck_abort_msg("%s: %s", tp_status_name(status), error->text);
}

/* A model from damaged bytes is either refused or within the limits, and all its tensors can be
 * read: the sanitizers see any byte outside the file. */
static bool check_any(const struct tp_test_bytes *file, size_t size)
{
    struct tp_source_model model;
    struct tp_error error;
    tp_status status = parse(file, size, &model, &error);
    if (status != TP_OK) {
        check_error(status, &error);
        return false;
    }
    double sum = 0.0;
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_COUNT; tensor++) {
        if (!tp__tensor_exists(&model.shape, tensor)) continue;
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(&model.shape, tensor, &rows, &columns);
        for (uint32_t layer = 0; layer < tp__tensor_layers(&model.shape, tensor); layer++) {
            const float *weights = tp__source_tensor(&model, tensor, layer);
            for (size_t i = 0; i < (size_t)rows * columns; i++) sum += (double)weights[i];
        }
    }
    if (!isfinite(sum)) ck_abort_msg("a weight is not finite");
    tp__source_model_free(&model);
    return true;
}

static void expect_error(const struct tp_test_bytes *file, tp_status expected, const char *part)
{
    struct tp_source_model model;
    struct tp_error error;
    tp_status status = parse(file, file->size, &model, &error);
    ck_assert_msg(status == expected, "%s instead of %s, part \"%s\": %s", tp_status_name(status),
                  tp_status_name(expected), part, error.text);
    check_error(status, &error);
    ck_assert_msg(strstr(error.text, part) != NULL, "no \"%s\" in: %s", part, error.text);
}

static void expect_gguf_error(const struct tp_test_gguf *options, tp_status expected,
                              const char *part)
{
    struct tp_test_bytes file;
    tp_test_write_gguf(&tiny, options, &file, NULL, NULL);
    expect_error(&file, expected, part);
    tp_test_bytes_free(&file);
}

/* ---- sound files ---- */

static const enum tp_tensor library_tensor[TP_TEST_TENSOR_COUNT] = {
    TP_TENSOR_EMBEDDING,  TP_TENSOR_NORM_ATTENTION, TP_TENSOR_QUERY,
    TP_TENSOR_KEY,        TP_TENSOR_VALUE,          TP_TENSOR_OUTPUT,
    TP_TENSOR_NORM_FFN,   TP_TENSOR_GATE,           TP_TENSOR_DOWN,
    TP_TENSOR_UP,         TP_TENSOR_NORM_FINAL,     TP_TENSOR_CLASSIFIER,
    TP_TENSOR_QUERY_BIAS, TP_TENSOR_KEY_BIAS,       TP_TENSOR_VALUE_BIAS,
    TP_TENSOR_QUERY_NORM, TP_TENSOR_KEY_NORM,
};

static void compare_tensor(const struct tp_source_model *model, const struct tp_test_model *made,
                           enum tp_number_type type, enum tp_test_tensor tensor, uint32_t layer)
{
    uint32_t rows;
    uint32_t columns;
    uint32_t own_rows;
    uint32_t own_columns;
    tp__tensor_size(&model->shape, library_tensor[tensor], &rows, &columns);
    tp_test_tensor_size(made, tensor, &own_rows, &own_columns);
    ck_assert_uint_eq(rows, own_rows);
    ck_assert_uint_eq(columns, own_columns);
    const float *weights = tp__source_tensor(model, library_tensor[tensor], layer);
    float *expected = malloc(columns * sizeof *expected);
    for (uint32_t row = 0; row < rows; row++) {
        tp_test_row(made, type, tensor, layer, row, expected);
        const float *loaded = weights + (size_t)row * columns;
        if (memcmp(loaded, expected, columns * sizeof *expected) == 0) continue;
        uint32_t column = 0;
        while (loaded[column] == expected[column]) column++;
        ck_abort_msg("tensor %d, layer %u, row %u, column %u: %g instead of %g", (int)tensor, layer,
                     row, column, (double)loaded[column], (double)expected[column]);
    }
    free(expected);
}

static void compare_model(const struct tp_source_model *model, const struct tp_test_model *made,
                          enum tp_number_type type)
{
    ck_assert_uint_eq(model->shape.dim, made->dim);
    ck_assert_uint_eq(model->shape.hidden, made->hidden);
    ck_assert_uint_eq(model->shape.layers, made->layers);
    ck_assert_uint_eq(model->shape.heads, made->heads);
    ck_assert_uint_eq(model->shape.kv_heads, made->kv_heads);
    uint32_t head_size = made->head_size != 0 ? made->head_size : made->dim / made->heads;
    ck_assert_uint_eq(model->shape.head_size, head_size);
    ck_assert_uint_eq(model->shape.vocab, made->vocab);
    ck_assert_uint_eq(model->shape.context, made->context);
    ck_assert_int_eq(model->shape.tied, !made->is_untied);
    ck_assert_int_eq(model->shape.has_bias, made->has_bias);
    ck_assert_int_eq(model->shape.has_head_norm, made->has_head_norm);
    for (enum tp_test_tensor tensor = 0; tensor < TP_TEST_TENSOR_COUNT; tensor++) {
        bool exists = tp_test_tensor_exists(made, tensor);
        ck_assert_int_eq(tp__tensor_exists(&model->shape, library_tensor[tensor]), exists);
        for (uint32_t layer = 0; layer < tp_test_tensor_layers(made, tensor); layer++) {
            if (exists) {
                compare_tensor(model, made, type, tensor, layer);
            } else {
                ck_assert_ptr_null(tp__source_tensor(model, library_tensor[tensor], layer));
            }
        }
    }
}

static void parse_sound(const struct tp_test_bytes *file, struct tp_source_model *model)
{
    struct tp_error error;
    tp_status status = parse(file, file->size, model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

START_TEST(loader_reads_the_same_model_from_every_format)
{
    struct tp_test_model made = tiny;
    made.is_untied = _i / FORMATS == 1;
    struct tp_test_bytes file;
    write_format(&made, _i % FORMATS, &file);
    struct tp_source_model model;
    parse_sound(&file, &model);
    static const char *const names[FORMATS] = {"llama2.c version 0", "llama2.c version 1",
                                               "GGUF version 2", "GGUF version 3"};
    ck_assert_str_eq(model.format, names[_i % FORMATS]);
    ck_assert_str_eq(model.architecture, "llama");
    ck_assert_float_eq(model.shape.norm_epsilon, 1e-5f);
    ck_assert_float_eq(model.shape.rope_base, 10000.0f);
    compare_model(&model, &made, TP_NUMBER_F32);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_reads_every_number_type)
{
    const struct tp_test_model made = {.dim = 256,
                                       .hidden = 256,
                                       .layers = 2,
                                       .heads = 4,
                                       .kv_heads = 2,
                                       .vocab = 7,
                                       .context = 4,
                                       .seed = 2,
                                       .has_head_norm = _i % 2 == 1};
    const struct tp_test_gguf options = {.type = (enum tp_number_type)(_i / 2),
                                         .architecture = _i % 2 == 1 ? "qwen3" : "llama",
                                         .has_copied_tie = true};
    struct tp_test_bytes file;
    struct tp_source_model model;
    tp_test_write_gguf(&made, &options, &file, NULL, NULL);
    parse_sound(&file, &model);
    compare_model(&model, &made, options.type);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

/* Shapes of the other architectures: heads apart from dim, biases, norms of heads. */
static const struct tp_test_model other_shapes[] = {
    {.dim = 12, .hidden = 10, .layers = 2, .heads = 3, .kv_heads = 1, .vocab = 9, .head_size = 10},
    {.dim = 10, .hidden = 7, .layers = 2, .heads = 3, .kv_heads = 3, .vocab = 9, .head_size = 6},
    {.dim = 16, .hidden = 7, .layers = 3, .heads = 4, .kv_heads = 2, .vocab = 9},
};
enum { OTHER_SHAPES = sizeof other_shapes / sizeof other_shapes[0] };
static const char *const architectures[] = {"llama", "mistral", "qwen2", "qwen3"};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

/* A shape as that architecture has it; llama once with and once without biases. */
static struct tp_test_model made_for(int architecture, int shape)
{
    struct tp_test_model made = other_shapes[shape];
    made.context = 20;
    made.seed = (uint64_t)(10 * shape + architecture);
    made.is_untied = shape == 1;
    made.has_bias = architecture == 2 || (architecture == 0 && shape == 2);
    made.has_head_norm = architecture == 3;
    return made;
}

START_TEST(loader_reads_every_architecture_in_one_order)
{
    int architecture = _i % ARCHITECTURES;
    struct tp_test_model made = made_for(architecture, _i / ARCHITECTURES);
    const struct tp_test_gguf options = {.architecture = architectures[architecture]};
    struct tp_test_bytes file;
    struct tp_source_model model;
    tp_test_write_gguf(&made, &options, &file, NULL, NULL);
    parse_sound(&file, &model);
    ck_assert_str_eq(model.architecture, architectures[architecture]);
    compare_model(&model, &made, TP_NUMBER_F32);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_reads_groups_of_any_size)
{
    static const uint32_t groups[] = {1, 2, 4, 8};
    struct tp_test_model made = tiny;
    made.hidden = 6;  // groups of 4 and 8 run over the ends of rows
    made.vocab = 6;
    made.is_untied = _i / 4 == 1;
    struct tp_test_bytes file;
    struct tp_test_bytes floats;
    tp_test_write_llama2c_groups(&made, groups[_i % 4], &file, &floats);
    struct tp_source_model model;
    struct tp_source_model expected;
    parse_sound(&file, &model);
    parse_sound(&floats, &expected);
    ck_assert_str_eq(model.format, "llama2.c version 2");
    ck_assert_int_eq(model.shape.tied, expected.shape.tied);
    tp_test_expect_same_model(&model, &expected);
    tp__source_model_free(&model);
    tp__source_model_free(&expected);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&floats);
}
END_TEST

/* ---- rotation ---- */

static void check_frequencies(const struct tp_source_model *model, const double *expected)
{
    for (uint32_t pair = 0; pair < model->shape.head_size / 2; pair++) {
        double frequency = tp__source_frequency(model, pair);
        bool is_near = fabs(frequency - expected[pair]) <= 1e-7 * expected[pair];
        ck_assert_msg(is_near, "pair %u: %.9g instead of %.9g", pair, frequency, expected[pair]);
    }
}

static const struct tp_test_model rotated = {
    .dim = 16, .hidden = 6, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 5, .context = 4096};

START_TEST(loader_scales_the_rotation_of_gguf_files)
{
    static const float divisors[4] = {1.0f, 1.5f, 4.0f, 8.0f};
    const struct tp_test_gguf options[] = {
        {.extra_string_key = "llama.rope.scaling.type",
         .extra_string = "linear",
         .extra_float_key = "llama.rope.scaling.factor",
         .extra_float = 4.0f},
        {.extra_float_key = "llama.rope.scale_linear", .extra_float = 4.0f},
        {.divisors = divisors},
        {.extra_string_key = "llama.rope.scaling.type", .extra_string = "none"},
    };
    struct tp_test_bytes file;
    struct tp_source_model model;
    tp_test_write_gguf(&rotated, &options[_i], &file, NULL, NULL);
    parse_sound(&file, &model);
    double expected[4];
    for (int pair = 0; pair < 4; pair++) {
        double divisor = _i < 2 ? 4.0 : _i == 2 ? (double)divisors[pair] : 1.0;
        expected[pair] = pow(10000.0, -pair / 4.0) / divisor;
    }
    check_frequencies(&model, expected);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_limits_the_context_to_a_window)
{
    static const uint32_t windows[] = {1000, 4096, 5000, 0};
    for (int i = 0; i < 4; i++) {
        const struct tp_test_gguf options = {.architecture = "mistral",
                                             .extra_key = "mistral.attention.sliding_window",
                                             .extra_value = windows[i]};
        struct tp_test_bytes file;
        struct tp_source_model model;
        tp_test_write_gguf(&rotated, &options, &file, NULL, NULL);
        parse_sound(&file, &model);
        ck_assert_uint_eq(model.shape.context, i == 0 ? 1000 : 4096);
        ck_assert_uint_eq(model.window, i == 0 ? 1000 : 0);
        tp__source_model_free(&model);
        tp_test_bytes_free(&file);
    }
}
END_TEST

START_TEST(loader_takes_constants_from_gguf)
{
    struct tp_test_gguf options = {.has_alignment = true,
                                   .alignment = 8,
                                   .extra_key = "llama.rope.dimension_count",
                                   .extra_value = 2,
                                   .extra_float_key = "llama.rope.freq_base",
                                   .extra_float = 500000.0f,
                                   .extra_string_key = "llama.rope.scaling.type",
                                   .extra_string = "none"};
    struct tp_test_bytes file;
    tp_test_write_gguf(&tiny, &options, &file, NULL, NULL);
    struct tp_source_model model;
    struct tp_error error;
    tp_status status = parse(&file, file.size, &model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert_float_eq(model.shape.rope_base, 500000.0f);
    ck_assert(!model.has_tokenizer);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_reads_real_8_bit_weights)
{
    char path[2][PATH_BYTES];
    struct tp_source_model model[2];
    struct tp_error error;
    if (!tp_test_find_model("stories260K.bin", path[0], PATH_BYTES)) return;
    if (!tp_test_find_model("stories260K_q80_gs32.bin", path[1], PATH_BYTES)) return;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tp__source_model_load(path[i], &model[i], &error), TP_OK);
    }
    ck_assert_str_eq(model[1].format, "llama2.c version 2");
    for (enum tp_tensor tensor = 0; tensor < TP_TENSOR_QUERY_BIAS; tensor++) {
        uint32_t rows;
        uint32_t columns;
        tp__tensor_size(&model[0].shape, tensor, &rows, &columns);
        const float *exact = tp__source_tensor(&model[0], tensor, 4);
        const float *coded = tp__source_tensor(&model[1], tensor, 4);
        for (size_t first = 0; first < (size_t)rows * columns; first += 32) {
            // The file's codes are the nearest of 255 over the range of each group.
            float largest = 0.0f;
            for (size_t i = first; i < first + 32; i++) largest = fmaxf(largest, fabsf(exact[i]));
            for (size_t i = first; i < first + 32; i++) {
                ck_assert_float_le(fabsf(coded[i] - exact[i]), largest * 0.501f / 127.0f);
            }
        }
    }
    tp__source_model_free(&model[0]);
    tp__source_model_free(&model[1]);
}
END_TEST

static void check_real(const char *name, const char *format, uint32_t dim, uint64_t parameters)
{
    char path[PATH_BYTES];
    if (!tp_test_find_model(name, path, sizeof path)) return;
    struct tp_source_model model;
    struct tp_error error;
    tp_status status = tp__source_model_load(path, &model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert_str_eq(model.format, format);
    ck_assert_uint_eq(model.shape.dim, dim);
    ck_assert_uint_eq(tp__parameter_count(&model.shape), parameters);
    ck_assert(model.shape.tied);
    tp__source_model_free(&model);
}

START_TEST(loader_reads_real_models)
{
    check_real("stories260K.bin", "llama2.c version 0", 64, 260032);
    check_real("stories260K.gguf", "GGUF version 3", 64, 260032);
    check_real("babyllama-tok361.bin", "llama2.c version 0", 128, 969216);
}
END_TEST

START_TEST(loader_finds_real_gguf_and_llama2c_equal)
{
    char path[2][PATH_BYTES];
    struct tp_source_model model[2];
    struct tp_error error;
    if (!tp_test_find_model("stories260K.bin", path[0], PATH_BYTES)) return;
    if (!tp_test_find_model("stories260K.gguf", path[1], PATH_BYTES)) return;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tp__source_model_load(path[i], &model[i], &error), TP_OK);
    }
    ck_assert(model[1].has_tokenizer);
    tp_test_expect_same_model(&model[0], &model[1]);
    tp__source_model_free(&model[0]);
    tp__source_model_free(&model[1]);
}
END_TEST

/* ---- damaged files ---- */

START_TEST(loader_refuses_a_file_cut_at_any_byte)
{
    struct tp_test_model made = tiny;
    made.is_untied = _i / FORMATS == 1;
    struct tp_test_bytes file;
    write_format(&made, _i % FORMATS, &file);
    for (size_t size = 0; size < file.size; size++) {
        if (check_any(&file, size)) ck_abort_msg("%zu of %zu bytes were taken", size, file.size);
    }
    ck_assert(check_any(&file, file.size));
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_survives_every_flipped_header_bit)
{
    struct tp_test_bytes file;
    size_t header = 28;
    struct tp_test_gguf options = {.has_alignment = true, .alignment = 32};
    if (_i == 2) {
        tp_test_write_gguf(&tiny, &options, &file, NULL, &header);
    } else {
        write_format(&tiny, _i, &file);
        if (_i == 1) header = 256;
    }
    for (size_t bit = 0; bit < 8 * header; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bool is_taken = check_any(&file, file.size);
        // In llama2.c headers every field changes the length that the file must have, but the
        // context in version 1.
        bool is_free = _i == 2 || (_i == 1 && bit / 32 == 8);
        if (!is_free && is_taken) ck_abort_msg("bit %zu", bit);
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert(check_any(&file, file.size));
    tp_test_bytes_free(&file);
}
END_TEST

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Some bytes replaced, by edge values mostly, or the end cut off. */
static size_t damage(struct tp_random *random, struct tp_test_bytes *file, size_t header)
{
    static const uint8_t edges[] = {0, 1, 2, 4, 8, 9, 127, 128, 255};
    uint32_t count = 1 + tp_random_below(random, 4);
    for (uint32_t i = 0; i < count; i++) {
        size_t limit = tp_random_chance(random, 224) ? header : file->size;
        size_t place = tp_random_below(random, (uint32_t)limit);
        uint8_t byte = edges[tp_random_below(random, sizeof edges)];
        uint32_t length = tp_random_chance(random, 64) ? 8 : 1;
        for (uint32_t k = 0; k < length && place + k < file->size; k++) {
            file->data[place + k] =
                tp_random_chance(random, 64) ? (uint8_t)tp_random_u32(random) : byte;
        }
    }
    bool is_cut = tp_random_chance(random, 32);
    return is_cut ? tp_random_below(random, (uint32_t)file->size) : file->size;
}

START_TEST(loader_survives_random_damage)
{
    const char *limit = getenv("TP_FUZZ_SECONDS");
    double end = seconds() + (limit != NULL ? atof(limit) : FUZZ_SECONDS);
    struct tp_test_model made = tiny;
    made.vocab = 263;
    struct tp_test_gguf options = {.has_alignment = true, .alignment = 32, .has_tokenizer = true};
    struct tp_test_bytes sound;
    size_t header = 256;
    if (_i < 2) {
        write_format(&tiny, _i, &sound);
    } else {
        if (_i == 2) options.has_tokenizer = false;
        tp_test_write_gguf(_i == 2 ? &tiny : &made, &options, &sound, NULL, &header);
    }
    struct tp_test_bytes file = {0};
    tp_test_put(&file, sound.data, sound.size);
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    uint64_t runs = 0;
    for (; runs < 100 || seconds() < end; runs++) {
        memcpy(file.data, sound.data, sound.size);
        size_t size = damage(&random, &file, header);
        check_any(&file, size);
    }
    fprintf(stderr, "%llu damaged files\n", (unsigned long long)runs);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&sound);
}
END_TEST

static void set_weight(struct tp_test_bytes *file, size_t offset, float value)
{
    memcpy(file->data + offset, &value, sizeof value);
}

START_TEST(loader_refuses_weights_that_are_not_finite)
{
    struct tp_test_bytes file;
    tp_test_write_llama2c(&tiny, 1, &file);
    // Version 1: after the norms, 5 rows of 4 of the embedding, then the queries of both layers.
    size_t norms = 256 + (2 * 2 + 1) * 4 * sizeof(float);
    set_weight(&file, norms + (3 * 4 + 2) * sizeof(float), NAN);
    expect_error(&file, TP_ERROR_RANGE, "token_embd.weight, row 3, column 2 is not a number");
    set_weight(&file, norms + (3 * 4 + 2) * sizeof(float), 0.0f);
    set_weight(&file, norms + (5 + 4) * 4 * sizeof(float), -INFINITY);
    expect_error(&file, TP_ERROR_RANGE, "blk.1.attn_q.weight, row 0, column 0 is infinite");
    set_weight(&file, norms + (5 + 4) * 4 * sizeof(float), 0.0f);
    ck_assert(check_any(&file, file.size));
    // The last number of the last tensor in the order of the check.
    set_weight(&file, file.size - sizeof(float), INFINITY);
    expect_error(&file, TP_ERROR_RANGE, "blk.1.ffn_up.weight, row 5, column 3 is infinite");
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_refuses_every_weight_that_is_not_finite)
{
    struct tp_test_bytes file;
    tp_test_write_llama2c(&tiny, 1, &file);
    for (size_t offset = 256; offset < file.size; offset += sizeof(float)) {
        float kept;
        memcpy(&kept, file.data + offset, sizeof kept);
        set_weight(&file, offset, NAN);
        char place[64];
        snprintf(place, sizeof place, "byte %zu: tensor", offset);
        expect_error(&file, TP_ERROR_RANGE, place);
        set_weight(&file, offset, kept);
    }
    tp_test_bytes_free(&file);
}
END_TEST

/* ---- llama2.c headers that cannot be ---- */

static void expect_header_error(uint32_t version, uint32_t field, uint32_t value,
                                tp_status expected, const char *part)
{
    struct tp_test_bytes file;
    tp_test_write_llama2c(&tiny, version, &file);
    size_t offset = (version == 0 ? 0 : 8) + 4 * (size_t)field;
    for (int i = 0; i < 4; i++) file.data[offset + (size_t)i] = (uint8_t)(value >> 8 * i);
    expect_error(&file, expected, part);
    tp_test_bytes_free(&file);
}

START_TEST(loader_refuses_impossible_llama2c_headers)
{
    for (uint32_t version = 0; version < 2; version++) {
        for (uint32_t field = 0; field < 7; field++) {
            expect_header_error(version, field, 0, TP_ERROR_FORMAT, "would be 0");
            expect_header_error(version, field, 0x80000000u, TP_ERROR_FORMAT, "would be -");
            expect_header_error(version, field, 0x7fffffff, TP_ERROR_FORMAT, "would be 2147483647");
        }
        expect_header_error(version, 0, 65544, TP_ERROR_TOO_LARGE, "the dimension is 65544");
        expect_header_error(version, 2, 1025, TP_ERROR_TOO_LARGE, "the number of layers is 1025");
        expect_header_error(version, 5, 1 << 21, TP_ERROR_TOO_LARGE, "the vocabulary is 2097152");
        expect_header_error(version, 0, 5, TP_ERROR_FORMAT, "not a multiple of 2 heads");
        expect_header_error(version, 0, 6, TP_ERROR_UNSUPPORTED, "the head size 3 is odd");
        expect_header_error(version, 4, 3, TP_ERROR_FORMAT, "cannot share 3 KV heads");
        expect_header_error(version, 1, 1 << 18, TP_ERROR_FORMAT, "cut short");
    }
    expect_header_error(1, 5, (uint32_t)-5, TP_ERROR_FORMAT, "vocabulary would be -5");
    expect_header_error(1, 7, 2, TP_ERROR_FORMAT, "byte 36");
    expect_header_error(1, 8, 1, TP_ERROR_FORMAT, "byte 40");
    struct tp_test_bytes file;
    for (uint32_t version = 0; version < 2; version++) {
        tp_test_write_llama2c(&tiny, version, &file);
        tp_test_put(&file, "12345", 5);
        expect_error(&file, TP_ERROR_FORMAT, "the file has 5 bytes more");
        tp_test_bytes_free(&file);
    }
    tp_test_write_llama2c(&tiny, 1, &file);
    file.data[4] = 2;
    expect_error(&file, TP_ERROR_FORMAT, "byte 37: the group size is 0");
    file.data[40] = 0x80;
    expect_error(&file, TP_ERROR_FORMAT, "byte 37: the group size is -");
    file.data[37] = 3;
    file.data[40] = 0;
    expect_error(&file, TP_ERROR_FORMAT, "groups of 3 do not divide the 20 numbers");
    file.data[4] = 3;
    expect_error(&file, TP_ERROR_UNSUPPORTED, "version 3 is unknown");
    tp_test_bytes_free(&file);
}
END_TEST

/* ---- GGUF files that cannot be or are not ours ---- */

START_TEST(loader_refuses_gguf_models_of_other_kinds)
{
    static const float no_divisor = NAN;
    static const float zero_divisor = 0.0f;
    static const struct {
        struct tp_test_gguf options;
        tp_status status;
        const char *part;
    } cases[] = {
        {{.architecture = "gemma"},
         TP_ERROR_UNSUPPORTED,
         "metadata general.architecture: architecture gemma: GeGLU is not supported"},
        {{.architecture = "Gemma-3"}, TP_ERROR_UNSUPPORTED, "architecture Gemma-3: GeGLU"},
        {{.architecture = "phi3"}, TP_ERROR_UNSUPPORTED, "architecture phi3: joined"},
        {{.architecture = "phi2"}, TP_ERROR_UNSUPPORTED, "architecture phi2: LayerNorm"},
        {{.architecture = "falcon"}, TP_ERROR_UNSUPPORTED, "architecture falcon: LayerNorm"},
        {{.architecture = "falcon_mamba"}, TP_ERROR_UNSUPPORTED, "recurrent layers"},
        {{.architecture = "qwen3moe"}, TP_ERROR_UNSUPPORTED, "experts are not supported"},
        {{.architecture = "deepseek2"}, TP_ERROR_UNSUPPORTED, "experts are not supported"},
        {{.architecture = "bert"}, TP_ERROR_UNSUPPORTED, "an encoder generates no text"},
        {{.architecture = "llam"}, TP_ERROR_UNSUPPORTED, "llam is not known to this program"},
        {{.architecture = ""}, TP_ERROR_UNSUPPORTED, "is not known to this program"},
        {{.architecture = "bad\nname\x1b[2J"},
         TP_ERROR_UNSUPPORTED,
         "architecture bad?name?[2J is not known"},
        {{.architecture = "qwen2"}, TP_ERROR_FORMAT, "tensor blk.0.attn_q.bias is missing"},
        {{.architecture = "qwen3"}, TP_ERROR_FORMAT, "tensor blk.0.attn_q_norm.weight is missing"},
        {{.extra_key = "llama.attention.scale", .extra_value = 1}, TP_ERROR_FORMAT, "a float32"},
        {{.extra_float_key = "llama.logit_scale", .extra_float = 2.0f},
         TP_ERROR_UNSUPPORTED,
         "llama.logit_scale: is not supported"},
        {{.extra_key = "split.count", .extra_value = 3}, TP_ERROR_UNSUPPORTED, "lies in 3 files"},
        {{.extra_key = "llama.rope.dimension_sections", .extra_value = 2},
         TP_ERROR_UNSUPPORTED,
         "dimension_sections"},
        {{.version = 1}, TP_ERROR_UNSUPPORTED, "GGUF version 1"},
        {{.version = 4}, TP_ERROR_UNSUPPORTED, "GGUF version 4"},
        {{.version = 0x03000000}, TP_ERROR_UNSUPPORTED, "big-endian"},
        {{.extra_key = "llama.expert_count", .extra_value = 8}, TP_ERROR_UNSUPPORTED, "experts"},
        {{.extra_key = "llama.rope.dimension_count", .extra_value = 4},
         TP_ERROR_UNSUPPORTED,
         "dimension_count"},
        {{.extra_key = "llama.attention.value_length", .extra_value = 4},
         TP_ERROR_UNSUPPORTED,
         "value_length"},
        {{.extra_string_key = "llama.rope.scaling.type", .extra_string = "yarn"},
         TP_ERROR_UNSUPPORTED,
         "llama.rope.scaling.type: scaling yarn of the rotation is not supported"},
        {{.extra_string_key = "llama.rope.scaling.type", .extra_string = "longrope"},
         TP_ERROR_UNSUPPORTED,
         "scaling longrope"},
        {{.extra_string_key = "llama.rope.scaling.type", .extra_string = "magic"},
         TP_ERROR_UNSUPPORTED,
         "scaling magic of the rotation is not supported: it is not known"},
        {{.extra_string_key = "llama.rope.scaling.type", .extra_string = "llama3"},
         TP_ERROR_UNSUPPORTED,
         "rope_freqs.weight"},
        {{.extra_string_key = "llama.rope.scaling.type",
          .extra_string = "linear",
          .extra_float_key = "llama.rope.scaling.factor",
          .extra_float = 0.0f},
         TP_ERROR_RANGE,
         "llama.rope.scaling.factor: factor is 0"},
        {{.extra_float_key = "llama.rope.scaling.attn_factor", .extra_float = 2.0f},
         TP_ERROR_UNSUPPORTED,
         "attn_factor"},
        {{.divisors = &no_divisor}, TP_ERROR_RANGE, "rope_freqs.weight: a divisor is nan"},
        {{.divisors = &zero_divisor}, TP_ERROR_RANGE, "rope_freqs.weight: a divisor is 0"},
        {{.extra_float_key = "llama.rope.freq_base", .extra_float = NAN},
         TP_ERROR_RANGE,
         "freq_base"},
        {{.extra_float_key = "llama.rope.freq_base", .extra_float = -1.0f},
         TP_ERROR_RANGE,
         "freq_base"},
        {{.extra_key = "llama.rope.freq_base", .extra_value = 1}, TP_ERROR_FORMAT, "float32"},
        {{.extra_float_key = "llama.expert_count", .extra_float = 1}, TP_ERROR_FORMAT, "a number"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_type = 12},
         TP_ERROR_FORMAT,
         "blk.1.attn_k.weight has rows of 4 numbers, which are no whole Q4_K blocks of 256"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_type = 10}, TP_ERROR_UNSUPPORTED, "is Q2_K"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_type = 31}, TP_ERROR_UNSUPPORTED, "type 31"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_type = 0xffffffff},
         TP_ERROR_UNSUPPORTED,
         "unknown type"},
        {{.renamed = "blk.1.attn_k.weight", .new_name = "blk.1.attn_k.bias"},
         TP_ERROR_UNSUPPORTED,
         "blk.1.attn_k.bias is not part"},
        {{.renamed = "blk.1.attn_k.weight", .new_name = "rope_freqs.weight"},
         TP_ERROR_FORMAT,
         "tensor rope_freqs.weight is 2 x 4, but the metadata asks for 1 x 1"},
        {{.renamed = "blk.1.attn_k.weight", .new_name = "blk.2.attn_k.weight"},
         TP_ERROR_UNSUPPORTED,
         "blk.2.attn_k.weight is not part"},
        {{.renamed = "blk.1.attn_k.weight", .new_name = "blk.01.attn_k.weight"},
         TP_ERROR_UNSUPPORTED,
         "is not part"},
        {{.renamed = "blk.1.attn_k.weight", .new_name = "blk.99999999999.attn_k.weight"},
         TP_ERROR_UNSUPPORTED,
         "is not part"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_gguf_error(&cases[i].options, cases[i].status, cases[i].part);
    }
}
END_TEST

START_TEST(loader_refuses_damaged_gguf_tensors)
{
    static const struct {
        struct tp_test_gguf options;
        const char *part;
    } cases[] = {
        {{.left_out = "blk.1.attn_k.weight"}, "blk.1.attn_k.weight is missing"},
        {{.left_out = "token_embd.weight"}, "token_embd.weight"},
        {{.renamed = "blk.1.attn_k.weight", .new_name = "blk.0.attn_k.weight"}, "given twice"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_dimensions = 5}, "5 dimensions"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_dimensions = 0x80000000u}, "dimensions"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_first_size = 16}, "overlap"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_dimensions = 1}, "the metadata asks for"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_first_size = 1ull << 62}, "the file ends"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_first_size = UINT64_MAX}, "the file ends"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_offset = 4}, "unaligned"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_offset = -32}, "overlap"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_offset = 1 << 20}, "behind the end"},
        {{.odd_tensor = "blk.1.attn_k.weight", .odd_offset = INT64_MIN}, "behind the end"},
        {{.has_alignment = true, .alignment = 0}, "general.alignment is 0"},
        {{.has_alignment = true, .alignment = 4}, "general.alignment is 4"},
        {{.has_alignment = true, .alignment = 48}, "general.alignment is 48"},
        {{.has_alignment = true, .alignment = 0x80000000u}, "general.alignment is 2147483648"},
        {{.extra_key = "llama.block_count", .extra_value = 2}, "given twice"},
        {{.extra_string_key = "llama.expert_count", .extra_string = "8"}, "a number of 32 bits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_gguf_error(&cases[i].options, TP_ERROR_FORMAT, cases[i].part);
    }
}
END_TEST

/* A GGUF head of chosen counts, and one key. */
static void start_gguf(struct tp_test_bytes *file, uint64_t tensors, uint64_t keys)
{
    *file = (struct tp_test_bytes){0};
    tp_test_put(file, "GGUF", 4);
    tp_test_put_u32(file, 3);
    tp_test_put_u64(file, tensors);
    tp_test_put_u64(file, keys);
}

static void expect_and_free(struct tp_test_bytes *file, tp_status status, const char *part)
{
    expect_error(file, status, part);
    tp_test_bytes_free(file);
}

START_TEST(loader_refuses_gguf_counts_that_wrap)
{
    static const uint64_t counts[] = {65537, 1ull << 32, 1ull << 60, UINT64_MAX / 2, UINT64_MAX};
    struct tp_test_bytes file;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t count = counts[i];
        uint64_t size = count < 1ull << 33 ? count << 9 : count;
        start_gguf(&file, count, 0);
        expect_and_free(&file, TP_ERROR_TOO_LARGE, "byte 8: the number of tensors");
        start_gguf(&file, 0, count);
        expect_and_free(&file, TP_ERROR_TOO_LARGE, "byte 16: the number of metadata keys");
        start_gguf(&file, 0, 1);
        tp_test_put_u64(&file, size);  // length of the key
        tp_test_put_u64(&file, 0);
        expect_and_free(&file, TP_ERROR_TOO_LARGE, "byte 24: a metadata key");
        start_gguf(&file, 0, 1);
        tp_test_put_string(&file, "k");
        tp_test_put_u32(&file, 9);
        tp_test_put_u32(&file, 4);
        tp_test_put_u64(&file, size);  // elements of an array
        expect_and_free(&file, TP_ERROR_TOO_LARGE, "elements");
        start_gguf(&file, 1, 0);
        tp_test_put_string(&file, "t");
        tp_test_put_u32(&file, 3);
        tp_test_put_u64(&file, count);
        tp_test_put_u64(&file, count);
        tp_test_put_u64(&file, 1ull << 63);
        expect_and_free(&file, TP_ERROR_FORMAT, "byte 24");
    }
    start_gguf(&file, 0, 1);
    tp_test_put_u64(&file, 1 << 20);  // a string that may be so long, but is not there
    tp_test_put_u64(&file, 0);
    expect_and_free(&file, TP_ERROR_FORMAT, "the file ends after 8 more");
    start_gguf(&file, 0, 1);
    tp_test_put_string(&file, "k");
    expect_and_free(&file, TP_ERROR_FORMAT, "byte 16: the number of metadata keys is 1, but");
    start_gguf(&file, 0, 1);
    tp_test_put_string(&file, "k");
    tp_test_put_u32(&file, 13);
    expect_and_free(&file, TP_ERROR_FORMAT, "unknown type 13");
    start_gguf(&file, 0, 1);
    tp_test_put_string(&file, "nested");
    tp_test_put_u32(&file, 9);
    tp_test_put_u32(&file, 9);
    expect_and_free(&file, TP_ERROR_UNSUPPORTED, "nested is an array of arrays");
    start_gguf(&file, 0, 0);
    expect_and_free(&file, TP_ERROR_FORMAT, "general.architecture is missing");
    // An empty array of truth values at the very end of the file.
    start_gguf(&file, 0, 1);
    tp_test_put_string(&file, "general.architecture");
    tp_test_put_u32(&file, 9);
    tp_test_put_u32(&file, 7);
    tp_test_put_u64(&file, 0);
    expect_and_free(&file, TP_ERROR_FORMAT, "is not a string");
}
END_TEST

/* ---- what is no model at all ---- */

START_TEST(loader_refuses_foreign_files)
{
    static const struct {
        const char *text;
        size_t size;
        tp_status status;
        const char *part;
    } cases[] = {
        {"", 0, TP_ERROR_FORMAT, "has only 0 bytes"},
        {"GGU", 3, TP_ERROR_FORMAT, "has only 3 bytes"},
        {"PK\x03\x04 and more", 12, TP_ERROR_UNSUPPORTED, "PyTorch"},
        {"\x07\0\0\0\0\0\0\0{\"a\":1}", 15, TP_ERROR_UNSUPPORTED, "safetensors file alone"},
        {"{\"a\": 1}", 8, TP_ERROR_UNSUPPORTED, "JSON text"},
        {"version https://git-lfs.github.com", 34, TP_ERROR_UNSUPPORTED, "Git LFS"},
        {"Once upon a time, there was", 27, TP_ERROR_FORMAT, "not a model"},
        {"\x7f\x45\x4c\x46\x02\x01\x01\0\0\0\0\0", 12, TP_ERROR_FORMAT, "not a model"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tp_test_bytes file = {0};
        tp_test_put(&file, cases[i].text, cases[i].size);
        expect_error(&file, cases[i].status, cases[i].part);
        tp_test_bytes_free(&file);
    }
}
END_TEST

START_TEST(loader_refuses_what_is_no_file)
{
    struct tp_source_model model;
    struct tp_error error;
    ck_assert_int_eq(tp__source_model_load("/nowhere/model.bin", &model, &error), TP_ERROR_IO);
    ck_assert(strstr(error.text, "/nowhere/model.bin: cannot open") != NULL);
    ck_assert_int_eq(tp__source_model_load("/dev", &model, &error), TP_ERROR_NOT_FOUND);
    ck_assert(strstr(error.text, "/dev: the folder has no model.safetensors") != NULL);
    ck_assert_int_eq(tp__source_model_load("/dev/zero", &model, &error), TP_ERROR_IO);
    ck_assert(strstr(error.text, "not a file") != NULL);
    char pipe[PATH_BYTES];
    struct tp_test_bytes empty = {0};
    tp_test_put_u32(&empty, 0);
    tp_test_write_file(&empty, pipe, sizeof pipe);
    unlink(pipe);
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    ck_assert_int_eq(tp__source_model_load(pipe, &model, &error), TP_ERROR_IO);
    unlink(pipe);
    tp_test_bytes_free(&empty);
}
END_TEST

START_TEST(loader_refuses_other_real_files)
{
    static const struct {
        const char *name;
        tp_status status;
        const char *part;
    } cases[] = {
        {"ggml-vocab-llama-spm.gguf", TP_ERROR_FORMAT, "only a tokenizer"},
        {"tok512.bin", TP_ERROR_FORMAT, "not a model"},
        {"tok512.model", TP_ERROR_FORMAT, "not a model"},
        {"tinystories-sample.txt", TP_ERROR_FORMAT, "not a model"},
    };
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (!tp_test_find_model(cases[i].name, path, sizeof path)) return;
        struct tp_source_model model;
        struct tp_error error;
        ck_assert_int_eq(tp__source_model_load(path, &model, &error), cases[i].status);
        ck_assert_msg(strstr(error.text, cases[i].part) != NULL, "%s", error.text);
    }
}
END_TEST

START_TEST(loader_reads_a_file_with_a_long_path)
{
    struct tp_test_bytes file;
    char path[PATH_BYTES];
    tp_test_write_llama2c(&tiny, 0, &file);
    tp_test_write_file(&file, path, sizeof path);
    struct tp_source_model model;
    struct tp_error error;
    char long_path[4096] = "";
    for (int i = 0; i < 400; i++) strcat(long_path, "/.");
    strcat(long_path, path);
    ck_assert_int_eq(tp__source_model_load(long_path, &model, &error), TP_OK);
    ck_assert(strlen(model.name) < 200);
    tp__source_model_free(&model);
    strcat(long_path, "-absent");
    ck_assert_int_eq(tp__source_model_load(long_path, &model, &error), TP_ERROR_IO);
    ck_assert(strstr(error.text, "No such file") != NULL);
    unlink(path);
    tp_test_bytes_free(&file);
}
END_TEST

START_TEST(loader_reports_each_failing_allocation)
{
    struct tp_test_bytes file;
    char path[PATH_BYTES];
    write_format(&tiny, _i, &file);
    tp_test_write_file(&file, path, sizeof path);
    struct tp_source_model model;
    struct tp_error error;
    tp_status status = TP_ERROR_NO_MEMORY;
    uint64_t n = 0;
    for (; status != TP_OK; n++) {
        ck_assert_uint_lt(n, 100);
        tp_test_allocation_fails(n);
        status = tp__source_model_load(path, &model, &error);
        (void)tp_test_allocations_work();
        ck_assert(status == TP_OK || status == TP_ERROR_NO_MEMORY);
        if (status != TP_OK) ck_assert(strstr(error.text, "no memory") != NULL);
    }
    ck_assert_uint_ge(n, 4);
    tp__source_model_free(&model);
    unlink(path);
    tp_test_bytes_free(&file);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("loader");
    TCase *sound = tcase_create("sound files");
    tcase_add_loop_test(sound, loader_reads_the_same_model_from_every_format, 0, 2 * FORMATS);
    tcase_add_loop_test(sound, loader_reads_every_number_type, 0, 2 * TP_NUMBER_COUNT);
    tcase_add_loop_test(sound, loader_reads_every_architecture_in_one_order, 0,
                        ARCHITECTURES * OTHER_SHAPES);
    tcase_add_loop_test(sound, loader_reads_groups_of_any_size, 0, 8);
    tcase_add_loop_test(sound, loader_scales_the_rotation_of_gguf_files, 0, 4);
    tcase_add_test(sound, loader_limits_the_context_to_a_window);
    tcase_add_test(sound, loader_reads_real_8_bit_weights);
    tcase_add_test(sound, loader_takes_constants_from_gguf);
    tcase_add_test(sound, loader_reads_real_models);
    tcase_add_test(sound, loader_finds_real_gguf_and_llama2c_equal);
    tcase_add_test(sound, loader_reads_a_file_with_a_long_path);
    suite_add_tcase(suite, sound);
    TCase *damaged = tcase_create("damaged files");
    tcase_set_timeout(damaged, 100000);
    tcase_add_loop_test(damaged, loader_refuses_a_file_cut_at_any_byte, 0, 2 * FORMATS);
    tcase_add_loop_test(damaged, loader_survives_every_flipped_header_bit, 0, 3);
    tcase_add_loop_test(damaged, loader_survives_random_damage, 0, 4);
    tcase_add_test(damaged, loader_refuses_weights_that_are_not_finite);
    tcase_add_test(damaged, loader_refuses_every_weight_that_is_not_finite);
    tcase_add_test(damaged, loader_refuses_impossible_llama2c_headers);
    tcase_add_test(damaged, loader_refuses_damaged_gguf_tensors);
    tcase_add_test(damaged, loader_refuses_gguf_counts_that_wrap);
    suite_add_tcase(suite, damaged);
    TCase *foreign = tcase_create("other files");
    tcase_add_test(foreign, loader_refuses_gguf_models_of_other_kinds);
    tcase_add_test(foreign, loader_refuses_foreign_files);
    tcase_add_test(foreign, loader_refuses_what_is_no_file);
    tcase_add_test(foreign, loader_refuses_other_real_files);
    tcase_add_loop_test(foreign, loader_reports_each_failing_allocation, 0, FORMATS);
    suite_add_tcase(suite, foreign);
    return suite;
}

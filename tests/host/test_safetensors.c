// SPDX-License-Identifier: Apache-2.0
//
// Claims about safetensors models: the same tensors load bit for bit equal from safetensors, GGUF
// and llama2.c, for every architecture and number type; a model is found by its folder, its file or
// its index of several files; scalings of the rotation give the frequencies of their formulas; what
// config.json asks for and this program cannot do is refused by the name of its field; files that
// are damaged, cut short anywhere or have any bit of header or config.json flipped give one line
// that names the file and what is wrong, and nothing else; each failing allocation of this
// library's own is reported.
//
// Models of a few hundred weights that the test makes itself, under the sanitizers; the real model
// where it is present. Not covered: files above 4 GiB, allocations of
// jansson that fail (it may then take a shorter word for the right one).
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#include "allocation.h"
#include "check_main.h"
#include "loader.h"
#include "model_compare.h"
#include "model_files.h"
#include "model_folders.h"
#include "random.h"
#include "tokproc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512, RANDOM_RUNS = 3000 };

static const struct tp_test_model tiny = {.dim = 4,
                                          .hidden = 6,
                                          .layers = 2,
                                          .heads = 2,
                                          .kv_heads = 1,
                                          .vocab = 5,
                                          .context = 4,
                                          .is_untied = true,
                                          .seed = 1};
static const struct tp_test_safetensors plain = {.type = TP_NUMBER_F32};

/* ---- helpers ---- */

static tp_status parse(const struct tp_test_bytes *config, size_t config_size,
                       const struct tp_test_bytes *file, size_t size, struct tp_source_model *model,
                       struct tp_error *error)
{
    memset(error, 0, sizeof *error);
    return tp__source_model_parse_safetensors(config->data, config_size, file->data, size,
                                              "some/model.safetensors", model, error);
}

static void parse_sound(const struct tp_test_bytes *config, const struct tp_test_bytes *file,
                        struct tp_source_model *model)
{
    struct tp_error error;
    tp_status status = parse(config, config->size, file, file->size, model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

/* One line that names a file and fits the status. */
static void check_error(tp_status status, const struct tp_error *error)
{
    bool is_sound = status < 0 && error->status == status;
    bool is_named = strncmp(error->text, "config.json: ", 13) == 0 ||
                    strncmp(error->text, "some/model.safetensors: ", 24) == 0;
    is_sound = is_sound && is_named && strlen(error->text) < sizeof error->text - 1;
    for (const char *c = error->text; *c != '\0'; c++) {
        is_sound = is_sound && (unsigned char)*c >= ' ';
    }
    if (!is_sound) ck_abort_msg("%s: %s", tp_status_name(status), error->text);
}

/* Any bytes are refused with a message, or give a model whose tensors can be read. */
static bool check_any(const struct tp_test_bytes *config, size_t config_size,
                      const struct tp_test_bytes *file, size_t size)
{
    struct tp_source_model model;
    struct tp_error error;
    tp_status status = parse(config, config_size, file, size, &model, &error);
    if (status != TP_OK) {
        check_error(status, &error);
        return false;
    }
    tp_test_expect_same_model(&model, &model);
    tp__source_model_free(&model);
    return true;
}

static void expect_error(const struct tp_test_bytes *config, const struct tp_test_bytes *file,
                         tp_status expected, const char *part)
{
    struct tp_source_model model;
    struct tp_source_model untouched;
    struct tp_error error;
    memset(&model, 0xa5, sizeof model);
    memcpy(&untouched, &model, sizeof model);
    tp_status status = parse(config, config->size, file, file->size, &model, &error);
    ck_assert_msg(status == expected, "%s instead of %s, part \"%s\": %s", tp_status_name(status),
                  tp_status_name(expected), part, error.text);
    check_error(status, &error);
    ck_assert_msg(strstr(error.text, part) != NULL, "no \"%s\" in: %s", part, error.text);
    ck_assert_mem_eq(&model, &untouched, sizeof model);
}

/* ---- sound files ---- */

static const struct tp_test_model shapes[] = {
    {.dim = 12, .hidden = 10, .layers = 2, .heads = 3, .kv_heads = 1, .vocab = 9, .head_size = 10},
    {.dim = 16, .hidden = 7, .layers = 3, .heads = 4, .kv_heads = 2, .vocab = 9},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
static const char *const architectures[] = {"llama", "mistral", "qwen2", "qwen3"};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

static struct tp_test_model made_for(int architecture, int shape)
{
    struct tp_test_model made = shapes[shape];
    made.context = 20;
    made.seed = (uint64_t)(10 * shape + architecture);
    made.is_untied = shape == 1;
    made.has_bias = architecture == 2;
    made.has_head_norm = architecture == 3;
    return made;
}

static void load_gguf(const struct tp_test_model *made, const char *architecture,
                      enum tp_number_type type, struct tp_source_model *model)
{
    const struct tp_test_gguf options = {.architecture = architecture, .type = type};
    struct tp_test_bytes file;
    struct tp_error error = {.status = TP_OK};
    tp_test_write_gguf(made, &options, &file, NULL, NULL);
    tp_status status = tp__source_model_parse(file.data, file.size, "m.gguf", model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp_test_bytes_free(&file);
}

START_TEST(safetensors_and_gguf_give_the_same_model)
{
    int architecture = _i % ARCHITECTURES;
    enum tp_number_type type = (enum tp_number_type)(_i / ARCHITECTURES / SHAPES);
    struct tp_test_model made = made_for(architecture, _i / ARCHITECTURES % SHAPES);
    struct tp_test_safetensors options = {
        .type = type,
        .has_copied_tie = architecture % 2 == 0,
        .extra_entry = "\"__metadata__\": {\"format\": \"pt\"}, ",
        .padding = (size_t)_i % 3,
    };
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    struct tp_source_model model;
    struct tp_source_model expected;
    tp_test_write_safetensors(&made, &options, &file);
    tp_test_write_config(&made, architectures[architecture], NULL, NULL, &config);
    parse_sound(&config, &file, &model);
    load_gguf(&made, architectures[architecture], type, &expected);
    ck_assert_str_eq(model.format, "safetensors");
    ck_assert_str_eq(model.architecture, architectures[architecture]);
    ck_assert_uint_eq(model.shape.context, made.context);
    tp_test_expect_same_model(&model, &expected);
    tp__source_model_free(&model);
    tp__source_model_free(&expected);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

START_TEST(the_real_model_gives_the_same_from_three_formats)
{
    static const char *const files[] = {"stories260K.bin", "stories260K.gguf"};
    struct tp_source_model model[3];
    struct tp_error error = {.status = TP_OK};
    char path[PATH_BYTES];
    for (int i = 0; i < 2; i++) {
        if (!tp_test_find_model(files[i], path, sizeof path)) return;
        tp_status status = tp__source_model_load(path, &model[i], &error);
        ck_assert_msg(status == TP_OK, "%s", error.text);
    }
    tp_test_folder_make(path, sizeof path);
    tp_test_save_source(&model[0], path);
    tp_status status = tp__source_model_load(path, &model[2], &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert_str_eq(model[2].folder, path);
    tp_test_folder_remove(path);
    tp_test_expect_same_model(&model[0], &model[1]);
    tp_test_expect_same_model(&model[0], &model[2]);
    for (int i = 0; i < 3; i++) tp__source_model_free(&model[i]);
}
END_TEST

START_TEST(a_model_is_found_by_folder_file_or_index)
{
    struct tp_test_model made = made_for(3, 0);
    struct tp_source_model expected;
    load_gguf(&made, "qwen3", TP_NUMBER_BF16, &expected);
    for (size_t shards = 1; shards <= 3; shards++) {
        struct tp_test_safetensors options = {.type = TP_NUMBER_BF16, .shards = shards};
        struct tp_test_bytes bytes;
        char folder[PATH_BYTES];
        char path[2 * PATH_BYTES];
        tp_test_folder_make(folder, sizeof folder);
        for (options.shard = 0; options.shard < shards; options.shard++) {
            snprintf(path, sizeof path, "model-%zu.safetensors", options.shard);
            tp_test_write_safetensors(&made, &options, &bytes);
            tp_test_folder_put(folder, shards == 1 ? "model.safetensors" : path, &bytes);
            tp_test_bytes_free(&bytes);
        }
        tp_test_write_config(&made, "qwen3", NULL, NULL, &bytes);
        tp_test_folder_put(folder, "config.json", &bytes);
        tp_test_bytes_free(&bytes);
        if (shards > 1) {
            tp_test_write_index(&made, &options, &bytes);
            tp_test_folder_put(folder, "model.safetensors.index.json", &bytes);
            tp_test_bytes_free(&bytes);
        }
        for (int way = 0; way < 2; way++) {
            const char *file = shards == 1 ? "/model.safetensors" : "/model.safetensors.index.json";
            snprintf(path, sizeof path, "%s%s", folder, way == 0 ? "" : file);
            struct tp_source_model model;
            struct tp_error error = {.status = TP_OK};
            tp_status status = tp__source_model_load(path, &model, &error);
            ck_assert_msg(status == TP_OK, "%s", error.text);
            ck_assert_str_eq(model.folder, folder);
            ck_assert(!model.has_tokenizer);
            tp_test_expect_same_model(&model, &expected);
            tp__source_model_free(&model);
        }
        tp_test_folder_remove(folder);
    }
    tp__source_model_free(&expected);
}
END_TEST

START_TEST(the_public_facts_name_folder_architecture_and_window)
{
    const struct tp_test_model made = made_for(1, 1);
    struct tp_test_bytes bytes;
    char folder[PATH_BYTES];
    tp_test_folder_make(folder, sizeof folder);
    tp_test_write_safetensors(&made, &plain, &bytes);
    tp_test_folder_put(folder, "model.safetensors", &bytes);
    tp_test_bytes_free(&bytes);
    tp_test_write_config(&made, "mistral", ", \"sliding_window\": 7", NULL, &bytes);
    tp_test_folder_put(folder, "config.json", &bytes);
    tp_test_bytes_free(&bytes);
    tp_context *context = NULL;
    tp_model *model = NULL;
    struct tp_model_info info;
    struct tp_error error = {.status = TP_OK};
    char path[PATH_BYTES + 2];
    snprintf(path, sizeof path, "%s//", folder);
    const struct tp_model_options options = {.path = path};
    ck_assert_int_eq(tp_context_create(NULL, &context, &error), TP_OK);
    tp_status status = tp_model_open(context, &options, &model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp_model_get_info(model, &info);
    ck_assert_str_eq(info.name, strrchr(folder, '/') + 1);
    ck_assert_str_eq(info.architecture, "mistral");
    ck_assert_str_eq(info.file_format, "safetensors");
    ck_assert_uint_eq(info.window, 7);
    ck_assert_uint_eq(info.context, 7);
    ck_assert(!info.has_tokenizer);
    tp_model_close(model);
    tp_context_destroy(context);
    tp_test_folder_remove(folder);
}
END_TEST

/* ---- rotation ---- */

static void expect_frequencies(const char *more, const double expected[4])
{
    const struct tp_test_model made = {.dim = 16,
                                       .hidden = 4,
                                       .layers = 1,
                                       .heads = 2,
                                       .kv_heads = 1,
                                       .vocab = 3,
                                       .context = 65536};
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    struct tp_source_model model;
    tp_test_write_safetensors(&made, &plain, &file);
    tp_test_write_config(&made, "llama", more, NULL, &config);
    parse_sound(&config, &file, &model);
    for (uint32_t pair = 0; pair < 4; pair++) {
        double frequency = tp__source_frequency(&model, pair);
        bool is_near = fabs(frequency - expected[pair]) <= 1e-7 * expected[pair];
        ck_assert_msg(is_near, "%s: pair %u: %.9g instead of %.9g", more, pair, frequency,
                      expected[pair]);
    }
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}

START_TEST(scalings_give_the_frequencies_of_their_formulas)
{
    // Frequencies 1, 0.1, 0.01, 0.001.
    const double unscaled[4] = {1.0, 0.1, 0.01, 0.001};
    const double halved[4] = {0.5, 0.05, 0.005, 0.0005};
    expect_frequencies("", unscaled);
    expect_frequencies(", \"rope_scaling\": null", unscaled);
    expect_frequencies(", \"rope_scaling\": {\"rope_type\": \"default\"}", unscaled);
    expect_frequencies(", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}", halved);
    expect_frequencies(", \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2,"
                       " \"rope_theta\": 10000.0}",
                       halved);
    const double other[4] = {1.0, pow(500.0, -0.25), pow(500.0, -0.5), pow(500.0, -0.75)};
    expect_frequencies(", \"rope_parameters\": {\"rope_theta\": 500.0}", other);
    // Wave lengths are 6.28, 62.8, 628 and 6283; with 1000 positions of before, longer than
    // 1000 / 1 is low, shorter than 1000 / 10 is high, and 628 lies between.
    double part = (1000.0 * 0.01 / (2.0 * acos(-1.0)) - 1.0) / 9.0;
    const double llama3[4] = {1.0, 0.1, (1.0 - part) * 0.01 / 8.0 + part * 0.01, 0.001 / 8.0};
    expect_frequencies(", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
                       " \"low_freq_factor\": 1.0, \"high_freq_factor\": 10.0,"
                       " \"original_max_position_embeddings\": 1000}",
                       llama3);
}
END_TEST

START_TEST(a_window_limits_the_context_where_the_model_looks_at_it)
{
    static const struct {
        const char *architecture;
        const char *more;
        uint32_t context;
    } cases[] = {
        {"mistral", ", \"sliding_window\": 7", 7},
        {"mistral", ", \"sliding_window\": null", 20},
        {"mistral", ", \"sliding_window\": 4096", 20},
        {"qwen2", ", \"sliding_window\": 7", 20},
        {"qwen2", ", \"sliding_window\": 7, \"use_sliding_window\": false", 20},
        {"qwen2", ", \"sliding_window\": 7, \"use_sliding_window\": true", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tp_test_model made = made_for(cases[i].architecture[0] == 'q' ? 2 : 1, 1);
        struct tp_test_bytes file;
        struct tp_test_bytes config;
        struct tp_source_model model;
        tp_test_write_safetensors(&made, &plain, &file);
        tp_test_write_config(&made, cases[i].architecture, cases[i].more, NULL, &config);
        parse_sound(&config, &file, &model);
        ck_assert_uint_eq(model.shape.context, cases[i].context);
        ck_assert_uint_eq(model.window, cases[i].context == 7 ? 7 : 0);
        tp__source_model_free(&model);
        tp_test_bytes_free(&file);
        tp_test_bytes_free(&config);
    }
}
END_TEST

/* ---- what is refused ---- */

START_TEST(configurations_of_other_models_are_refused_by_name)
{
    static const struct {
        const char *architecture;
        const char *replaced;
        const char *more;
        tp_status status;
        const char *part;
    } cases[] = {
        {"gemma", NULL, "", TP_ERROR_UNSUPPORTED,
         "config.json: model_type: architecture gemma: GeGLU is not supported"},
        {"qwen3_moe", NULL, "", TP_ERROR_UNSUPPORTED, "architecture qwen3_moe: experts"},
        {"gpt_neox", NULL, "", TP_ERROR_UNSUPPORTED, "architecture gpt_neox: LayerNorm"},
        {"other", NULL, "", TP_ERROR_UNSUPPORTED, "architecture other is not known"},
        {"llama", NULL, ", \"attention_bias\": true", TP_ERROR_UNSUPPORTED, "attention_bias"},
        {"llama", NULL, ", \"mlp_bias\": true", TP_ERROR_UNSUPPORTED, "mlp_bias"},
        {"llama", NULL, ", \"mlp_bias\": 1", TP_ERROR_FORMAT, "mlp_bias is not true or false"},
        {"llama", NULL, ", \"rope_interleaved\": true", TP_ERROR_UNSUPPORTED, "rope_interleaved"},
        {"llama", NULL, ", \"num_local_experts\": 8", TP_ERROR_UNSUPPORTED, "num_local_experts"},
        {"llama", NULL, ", \"quantization_config\": {}", TP_ERROR_UNSUPPORTED, "quantization_"},
        {"llama", NULL, ", \"partial_rotary_factor\": 0.5", TP_ERROR_UNSUPPORTED, "partial_"},
        {"llama", NULL, ", \"hidden_size\": 4", TP_ERROR_FORMAT, "duplicate"},
        {"llama", "hidden_size", "", TP_ERROR_FORMAT, "hidden_size is missing"},
        {"llama", "hidden_size", ", \"hidden_size\": \"4\"", TP_ERROR_FORMAT, "hidden_size is not"},
        {"llama", "hidden_size", ", \"hidden_size\": -4", TP_ERROR_FORMAT, "hidden_size is not"},
        {"llama", "hidden_size", ", \"hidden_size\": 4.0", TP_ERROR_FORMAT, "hidden_size is not"},
        {"llama", "hidden_size", ", \"hidden_size\": 4294967300", TP_ERROR_FORMAT, "hidden_size"},
        {"llama", "hidden_size", ", \"hidden_size\": 99999999999999999999", TP_ERROR_FORMAT, "big"},
        {"llama", "hidden_size", ", \"hidden_size\": 65544", TP_ERROR_TOO_LARGE, "65544"},
        {"llama", "hidden_size", ", \"hidden_size\": 5", TP_ERROR_FORMAT, "not a multiple"},
        {"llama", "vocab_size", ", \"vocab_size\": 6", TP_ERROR_FORMAT,
         "model.embed_tokens.weight is 5 x 4, but config.json asks for 6 x 4"},
        {"llama", "vocab_size", ", \"vocab_size\": 0", TP_ERROR_FORMAT, "vocabulary is 0"},
        {"llama", "num_hidden_layers", ", \"num_hidden_layers\": 1", TP_ERROR_UNSUPPORTED,
         "model.layers.1."},
        {"llama", "num_hidden_layers", ", \"num_hidden_layers\": 3", TP_ERROR_FORMAT,
         "blk.2.attn_norm.weight is missing"},
        {"llama", "rms_norm_eps", ", \"rms_norm_eps\": 2", TP_ERROR_RANGE, "rms_norm_eps is 2"},
        {"llama", NULL, ", \"rope_scaling\": 3", TP_ERROR_FORMAT, "rope_scaling is not an object"},
        {"llama", NULL, ", \"rope_scaling\": {\"type\": \"yarn\"}", TP_ERROR_UNSUPPORTED,
         "config.json: rope_scaling: scaling yarn of the rotation is not supported"},
        {"llama", NULL, ", \"rope_scaling\": {\"type\": \"dynamic\"}", TP_ERROR_UNSUPPORTED,
         "scaling dynamic"},
        {"llama", NULL, ", \"rope_scaling\": {\"type\": \"longrope\"}", TP_ERROR_UNSUPPORTED,
         "scaling longrope"},
        {"llama", NULL, ", \"rope_scaling\": {\"type\": \"linear\"}", TP_ERROR_RANGE,
         "factor is 0"},
        {"llama", NULL,
         ", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 1, \"original_max_position_embeddings\": 9}",
         TP_ERROR_RANGE, "high_freq_factor 1 is not above low_freq_factor 4"},
        {"llama", NULL, ", \"rope_parameters\": {\"attention_factor\": 1.5}", TP_ERROR_UNSUPPORTED,
         "attention_factor"},
        {"qwen2", NULL, "", TP_ERROR_FORMAT, "blk.0.attn_q.bias is missing"},
    };
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    tp_test_write_safetensors(&tiny, &plain, &file);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tp_test_write_config(&tiny, cases[i].architecture, cases[i].more, cases[i].replaced,
                             &config);
        expect_error(&config, &file, cases[i].status, cases[i].part);
        tp_test_bytes_free(&config);
    }
    static const struct {
        const char *text;
        const char *part;
    } texts[] = {
        {"", "JSON"},
        {"[]", "byte 0: JSON: not an object"},
        {"{}", "model_type is missing"},
        {"{\"model_type\": 3}", "model_type is not a text"},
        {"{\"model_type\": \"llama\", \"architectures\": [3]}", "architectures is not"},
        {"{\"a\": 1,}", "byte 9: JSON"},
        {"{\"a\": \"\xff\"}", "JSON"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        config = (struct tp_test_bytes){0};
        tp_test_put(&config, texts[i].text, strlen(texts[i].text));
        expect_error(&config, &file, TP_ERROR_FORMAT, texts[i].part);
        tp_test_bytes_free(&config);
    }
    static const char head[] =
        "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForSequenceClassification\"]}";
    config = (struct tp_test_bytes){0};
    tp_test_put(&config, head, strlen(head));
    expect_error(&config, &file, TP_ERROR_UNSUPPORTED, "LlamaForSequenceClassification generates");
    tp_test_bytes_free(&config);
    config = (struct tp_test_bytes){0};
    tp_test_put(&config, "{\"a\":", 5);
    for (int i = 0; i < 70; i++) tp_test_put(&config, "[", 1);
    expect_error(&config, &file, TP_ERROR_TOO_LARGE, "byte 68: JSON is nested deeper than 64");
    tp_test_bytes_free(&config);
    config = (struct tp_test_bytes){0};
    tp_test_put(&config, "[", 1);
    for (int i = 0; i < 70000; i++) tp_test_put(&config, "1,", 2);
    expect_error(&config, &file, TP_ERROR_TOO_LARGE, "JSON has more than 65536 values");
    tp_test_bytes_free(&config);
    tp_test_bytes_free(&file);
}
END_TEST

#define KEY "model.layers.1.self_attn.k_proj.weight"

START_TEST(damaged_headers_are_refused)
{
    static const struct {
        struct tp_test_safetensors options;
        tp_status status;
        const char *part;
    } cases[] = {
        {{.left_out = KEY}, TP_ERROR_FORMAT, "blk.1.attn_k.weight is missing"},
        {{.left_out = "lm_head.weight"}, TP_ERROR_FORMAT, "lm_head.weight is missing"},
        {{.odd_tensor = KEY, .odd_name = "model.layers.1.self_attn.qkv.weight"},
         TP_ERROR_UNSUPPORTED,
         "model.layers.1.self_attn.qkv.weight is not part of a plain llama model of 2 layers"},
        {{.odd_tensor = KEY, .odd_name = "model.layers.2.self_attn.k_proj.weight"},
         TP_ERROR_UNSUPPORTED,
         "is not part"},
        {{.odd_tensor = KEY, .odd_name = "model.layers.01.self_attn.k_proj.weight"},
         TP_ERROR_UNSUPPORTED,
         "is not part"},
        {{.odd_tensor = KEY, .odd_name = "model.layers.0.self_attn.k_proj.weight"},
         TP_ERROR_FORMAT,
         "duplicate"},
        {{.odd_tensor = KEY, .odd_dtype = "F64"}, TP_ERROR_UNSUPPORTED, "dtype F64 is not read"},
        {{.odd_tensor = KEY, .odd_dtype = "BF16"}, TP_ERROR_FORMAT, "do not fit its shape"},
        {{.odd_tensor = KEY, .odd_shape = "[2, 5]"}, TP_ERROR_FORMAT, "do not fit its shape"},
        {{.odd_tensor = KEY, .odd_shape = "[4, 2]"}, TP_ERROR_FORMAT, "is 4 x 2, but config.json"},
        {{.odd_tensor = KEY, .odd_shape = "[8]"}, TP_ERROR_FORMAT, "is 1 x 8"},
        {{.odd_tensor = KEY, .odd_shape = "8"}, TP_ERROR_FORMAT, "shape is not a list"},
        {{.odd_tensor = KEY, .odd_shape = "[1,1,1,1,1,1,1,2,4]"}, TP_ERROR_FORMAT, "at most 8"},
        {{.odd_tensor = KEY, .odd_shape = "[-2, -4]"}, TP_ERROR_FORMAT, "no whole number"},
        {{.odd_tensor = KEY, .odd_shape = "[2.0, 4]"}, TP_ERROR_FORMAT, "no whole number"},
        {{.odd_tensor = KEY, .odd_shape = "[4294967296, 4294967296]"}, TP_ERROR_FORMAT, "overflow"},
        {{.odd_tensor = KEY, .odd_shape = "[4611686018427387904, 1]"}, TP_ERROR_FORMAT, "not fit"},
        {{.odd_tensor = KEY, .odd_first = -32, .odd_end = -32}, TP_ERROR_FORMAT, "overlap"},
        {{.odd_tensor = KEY, .odd_first = 4}, TP_ERROR_FORMAT, "do not fit its shape"},
        {{.odd_tensor = KEY, .odd_first = -100000}, TP_ERROR_FORMAT, "rising numbers from 0 on"},
        {{.odd_tensor = KEY, .odd_end = -100000}, TP_ERROR_FORMAT, "rising numbers from 0 on"},
        {{.odd_tensor = KEY, .odd_end = 100000}, TP_ERROR_FORMAT, "data_offsets end at"},
        {{.odd_tensor = KEY, .odd_end = INT64_MAX / 2}, TP_ERROR_FORMAT, "data_offsets end at"},
        {{.extra_entry = "\"__metadata__\": [], "}, TP_ERROR_FORMAT, "__metadata__"},
        {{.extra_entry = "\"__metadata__\": {\"a\": 1}, "}, TP_ERROR_FORMAT, "__metadata__"},
        {{.extra_entry = "\"a\": 1, "}, TP_ERROR_FORMAT, "tensor a: the entry is not an object"},
        {{.extra_entry = "\"a\": {}, "}, TP_ERROR_FORMAT, "has not just dtype, shape"},
        {{.extra_entry = "\"a\": {\"dtype\": \"F32\", \"shape\": [], \"x\": 1}, "},
         TP_ERROR_FORMAT,
         "data_offsets is not a pair"},
        {{.extra_entry = "\"a\": {\"dtype\": 1, \"shape\": [], \"x\": 1}, "},
         TP_ERROR_FORMAT,
         "dtype is not a text"},
        {{.extra_entry = "\"a\\n\\u001b[2J\": 1, "}, TP_ERROR_FORMAT, "tensor a??[2J:"},
    };
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    tp_test_write_config(&tiny, "llama", NULL, NULL, &config);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tp_test_write_safetensors(&tiny, &cases[i].options, &file);
        expect_error(&config, &file, cases[i].status, cases[i].part);
        tp_test_bytes_free(&file);
    }
    tp_test_write_safetensors(&tiny, &plain, &file);
    tp_test_put(&file, "1234", 4);
    expect_error(&config, &file, TP_ERROR_FORMAT, "the last 4 bytes belong to no tensor");
    memset(file.data, 0xff, 8);
    expect_error(&config, &file, TP_ERROR_FORMAT, "byte 0: the header is said to have 18446744073");
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

START_TEST(a_hole_between_tensors_is_refused)
{
    // Two tensors of which the first is said to be shorter.
    static const char header[] =
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
        " \"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [8, 12]}}";
    struct tp_test_bytes file = {0};
    struct tp_test_bytes config;
    tp_test_write_config(&tiny, "llama", NULL, NULL, &config);
    tp_test_put_u64(&file, sizeof header - 1);
    tp_test_put(&file, header, sizeof header - 1);
    tp_test_put(&file, "123456789012", 12);
    expect_error(&config, &file, TP_ERROR_FORMAT, "4 bytes before tensor b belong to none");
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

START_TEST(a_classifier_that_contradicts_the_tie_is_refused)
{
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    struct tp_test_model tied = tiny;
    tied.is_untied = false;
    tp_test_write_safetensors(&tiny, &plain, &file);
    tp_test_write_config(&tied, "llama", NULL, NULL, &config);
    expect_error(&config, &file, TP_ERROR_FORMAT, "lm_head.weight differs from the embedding");
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

START_TEST(numbers_that_are_not_finite_are_refused)
{
    const struct tp_test_safetensors halves = {.type = TP_NUMBER_F16};
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    tp_test_write_config(&tiny, "llama", NULL, NULL, &config);
    tp_test_write_safetensors(&tiny, &halves, &file);
    // The classifier is last: the end of its rows of halves.
    memcpy(file.data + file.size - 2, "\x00\x7c", 2);
    char place[64];
    snprintf(place, sizeof place, "byte %zu: tensor output.weight, row 4, column 3 is infinite",
             file.size - 2);
    expect_error(&config, &file, TP_ERROR_RANGE, place);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

/* ---- damage everywhere ---- */

START_TEST(files_cut_short_anywhere_are_refused)
{
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    tp_test_write_safetensors(&tiny, &plain, &file);
    tp_test_write_config(&tiny, "llama", NULL, NULL, &config);
    for (size_t size = 0; size < file.size; size++) {
        if (check_any(&config, config.size, &file, size)) ck_abort_msg("%zu bytes", size);
    }
    for (size_t size = 0; size < config.size; size++) {
        if (check_any(&config, size, &file, file.size)) ck_abort_msg("%zu of config.json", size);
    }
    ck_assert(check_any(&config, config.size, &file, file.size));
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

START_TEST(any_flipped_bit_of_the_texts_is_survived)
{
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    tp_test_write_safetensors(&tiny, &plain, &file);
    tp_test_write_config(&tiny, "llama", NULL, NULL, &config);
    size_t header = 8 + (size_t)file.data[0] + 256 * (size_t)file.data[1];
    struct tp_test_bytes *damaged = _i == 0 ? &file : &config;
    for (size_t bit = 0; bit < 8 * (_i == 0 ? header : config.size); bit++) {
        damaged->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_any(&config, config.size, &file, file.size);
        damaged->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert(check_any(&config, config.size, &file, file.size));
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

START_TEST(random_damage_is_survived)
{
    static const char edges[] = "{}[]\",:-0129eE. \\u\xff\x00";
    struct tp_test_bytes sound[2];
    tp_test_write_safetensors(&tiny, &plain, &sound[0]);
    tp_test_write_config(&tiny, "llama",
                         ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}", NULL,
                         &sound[1]);
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int run = 0; run < RANDOM_RUNS; run++) {
        struct tp_test_bytes damaged[2] = {{0}, {0}};
        for (int k = 0; k < 2; k++) tp_test_put(&damaged[k], sound[k].data, sound[k].size);
        struct tp_test_bytes *target = &damaged[run % 2];
        uint32_t count = 1 + tp_random_below(&random, 4);
        for (uint32_t i = 0; i < count; i++) {
            size_t place = tp_random_below(&random, (uint32_t)target->size);
            target->data[place] = (uint8_t)edges[tp_random_below(&random, sizeof edges)];
        }
        check_any(&damaged[1], damaged[1].size, &damaged[0], damaged[0].size);
        for (int k = 0; k < 2; k++) tp_test_bytes_free(&damaged[k]);
    }
    for (int k = 0; k < 2; k++) tp_test_bytes_free(&sound[k]);
}
END_TEST

/* ---- folders ---- */

static void expect_folder_error(const char *path, tp_status expected, const char *part)
{
    struct tp_source_model model;
    struct tp_error error = {.status = TP_OK};
    tp_status status = tp__source_model_load(path, &model, &error);
    ck_assert_msg(status == expected, "%s: %s", tp_status_name(status), error.text);
    ck_assert_msg(strstr(error.text, part) != NULL, "no \"%s\" in: %s", part, error.text);
}

START_TEST(folders_that_lack_something_are_refused)
{
    static const char *const indices[] = {
        "{\"a\": {}}",
        "{\"weight_map\": {\"a\": 3}}",
        "{\"weight_map\": {\"a\": \"../model.safetensors\"}}",
        "{\"weight_map\": {\"a\": \"/etc/passwd\"}}",
        "{\"weight_map\": {\"a\": \"absent.safetensors\"}}",
        "{\"weight_map\": {}}",
        "{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"two.safetensors\"}}",
    };
    static const struct {
        tp_status status;
        const char *part;
    } answers[] = {
        {TP_ERROR_FORMAT, "weight_map is not an object"},
        {TP_ERROR_FORMAT, "a has no text"},
        {TP_ERROR_FORMAT, "not a safetensors file beside it"},
        {TP_ERROR_FORMAT, "not a safetensors file beside it"},
        {TP_ERROR_IO, "absent.safetensors: cannot open"},
        {TP_ERROR_FORMAT, "lm_head.weight is missing"},
        {TP_ERROR_FORMAT, "two.safetensors: byte "},
    };
    char folder[PATH_BYTES];
    char path[2 * PATH_BYTES];
    struct tp_test_bytes bytes;
    tp_test_folder_make(folder, sizeof folder);
    expect_folder_error(folder, TP_ERROR_NOT_FOUND, "has no model.safetensors and no");
    tp_test_write_safetensors(&tiny, &plain, &bytes);
    tp_test_folder_put(folder, "model.safetensors", &bytes);
    tp_test_folder_put(folder, "one.safetensors", &bytes);
    tp_test_folder_put(folder, "two.safetensors", &bytes);
    expect_folder_error(folder, TP_ERROR_IO, "config.json: cannot open");
    struct tp_source_model model;
    struct tp_error error;
    ck_assert_int_eq(tp__source_model_parse(bytes.data, bytes.size, "m", &model, &error),
                     TP_ERROR_UNSUPPORTED);
    ck_assert(strstr(error.text, "m: byte 0: is a safetensors file alone") != NULL);
    tp_test_bytes_free(&bytes);
    tp_test_write_config(&tiny, "llama", NULL, NULL, &bytes);
    tp_test_folder_put(folder, "config.json", &bytes);
    tp_test_bytes_free(&bytes);
    snprintf(path, sizeof path, "%s/config.json", folder);
    expect_folder_error(path, TP_ERROR_UNSUPPORTED, "is JSON text; give the folder");
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        bytes = (struct tp_test_bytes){0};
        tp_test_put(&bytes, indices[i], strlen(indices[i]));
        tp_test_folder_put(folder, "model.safetensors.index.json", &bytes);
        tp_test_bytes_free(&bytes);
        expect_folder_error(path, answers[i].status, answers[i].part);
    }
    tp_test_folder_remove(folder);
}
END_TEST

/* ---- memory ---- */

START_TEST(each_failing_allocation_is_reported)
{
    struct tp_test_bytes file;
    struct tp_test_bytes config;
    const struct tp_test_safetensors halves = {.type = TP_NUMBER_F16};
    tp_test_write_safetensors(&tiny, &halves, &file);
    tp_test_write_config(&tiny, "llama", NULL, NULL, &config);
    tp_status status = TP_ERROR_NO_MEMORY;
    uint64_t n = 0;
    for (; status != TP_OK; n++) {
        ck_assert_uint_lt(n, 2000);
        struct tp_source_model model;
        struct tp_error error;
        tp_test_allocation_fails(n);
        status = parse(&config, config.size, &file, file.size, &model, &error);
        (void)tp_test_allocations_work();
        bool is_reported = status == TP_ERROR_NO_MEMORY;
        ck_assert_msg(status == TP_OK || is_reported, "allocation %llu: %s", (unsigned long long)n,
                      error.text);
        if (status == TP_OK) tp__source_model_free(&model);
    }
    ck_assert_uint_ge(n, 10);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&config);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *sound = tcase_create("sound files");
    tcase_add_loop_test(sound, safetensors_and_gguf_give_the_same_model, 0,
                        ARCHITECTURES * SHAPES * 3);
    tcase_add_test(sound, the_real_model_gives_the_same_from_three_formats);
    tcase_add_test(sound, a_model_is_found_by_folder_file_or_index);
    tcase_add_test(sound, the_public_facts_name_folder_architecture_and_window);
    tcase_add_test(sound, scalings_give_the_frequencies_of_their_formulas);
    tcase_add_test(sound, a_window_limits_the_context_where_the_model_looks_at_it);
    suite_add_tcase(suite, sound);
    TCase *refused = tcase_create("refused files");
    tcase_set_timeout(refused, 1000);
    tcase_add_test(refused, configurations_of_other_models_are_refused_by_name);
    tcase_add_test(refused, damaged_headers_are_refused);
    tcase_add_test(refused, a_hole_between_tensors_is_refused);
    tcase_add_test(refused, a_classifier_that_contradicts_the_tie_is_refused);
    tcase_add_test(refused, numbers_that_are_not_finite_are_refused);
    tcase_add_test(refused, files_cut_short_anywhere_are_refused);
    tcase_add_loop_test(refused, any_flipped_bit_of_the_texts_is_survived, 0, 2);
    tcase_add_loop_test(refused, random_damage_is_survived, 0, 2);
    tcase_add_test(refused, folders_that_lack_something_are_refused);
    tcase_add_test(refused, each_failing_allocation_is_reported);
    suite_add_tcase(suite, refused);
    return suite;
}

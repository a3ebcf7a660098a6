// SPDX-License-Identifier: Apache-2.0
//
// Claims about the compiler: a compiled model computes what the float32 reference computes, for any
// shape: grouped queries of any ratio, head sizes that need padding or several words, dim, hidden
// and vocabulary that are no multiples of anything, tied or not,
// with biases and norms of heads, 1, 2, 4 and 8 groups. A model that does not fit is refused
// with the limit, the need and the excess.
//
// Models of random weights, run on the golden machine; the measure is the distance of the logits
// relative to their size. A wrong row, column, head or exponent gives a distance near 1.
//
// Not covered: trained models (tests/system), the RTL (tests/rtl/test_core.c).
//
// TP_TIME_LIMIT_S: 600

#include "compile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate.h"
#include "check_main.h"
#include "cycles.h"
#include "internal.h"
#include "machine.h"
#include "model_files.h"
#include "random.h"
#include "reference.h"

enum { POSITIONS = 20 };

// The emulator's room, and what a test changes of it.
static const struct tp_limits roomy = {.groups = 4,
                                       .slots = 1,
                                       .weight_beats = 1 << 16,
                                       .kv_rows = 1 << 14,
                                       .dim_max = 512,
                                       .query_max = 1024,
                                       .hidden_max = 1024,
                                       .vocab_max = 1024,
                                       .positions_max = 64,
                                       .program_max = 128,
                                       .gain_quads = 4096,
                                       .constant_pairs = 4096,
                                       .codebooks = 1,
                                       .head_norm = 1,
                                       .head_log2_max = 7,
                                       .attention_lanes = 64,
                                       .top_k = TP_TOP_K_MAX};

static tp_status write_machine(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                               size_t count, struct tp_error *error)
{
    (void)error;
    ck_assert(tp_machine_write(user, space, address, words, count));
    return TP_OK;
}

static void load(const struct tp_test_model *made, struct tp_source_model *source)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_error error = {.status = TP_OK};
    tp_test_write_llama2c(made, 1, &file);
    ck_assert_msg(tp__source_model_parse(file.data, file.size, "test", source, &error) == TP_OK,
                  "%s", error.text);
    tp_test_bytes_free(&file);
}

// A way to quantise: the format of all matrices but those that are named.
struct recipe {
    tp_format format;
    const char *keep[2];
    size_t keep_count;
};

static tp_format *choose(const struct tp_source_model *source, const struct recipe *recipe)
{
    struct tp_error error = {.status = TP_OK};
    tp_format *formats = calloc(tp__matrix_count(&source->shape), sizeof *formats);
    ck_assert_ptr_nonnull(formats);
    tp_status status = tp__choose_formats(&source->shape, recipe->format, recipe->keep,
                                          recipe->keep_count, formats, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    return formats;
}

static void quantise(const struct tp_source_model *source, const struct recipe *recipe,
                     struct tp_quantised_model *model)
{
    const tp_context context = {.progress = NULL};
    struct tp_error error = {.status = TP_OK};
    struct tp_calibration calibration;
    tp_status status = tp__calibrate(&context, source, NULL, NULL, false, &calibration, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp_format *formats = choose(source, recipe);
    status = tp__quantise_model(&context, source, formats, &calibration, NULL, model, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    free(formats);
    tp__calibration_free(&calibration);
}

static struct tp_memory_image *compile(const struct tp_source_model *source,
                                       const struct recipe *recipe, const struct tp_limits *limits)
{
    const struct tp_load_options options = {.context = 0};
    struct tp_error error = {.status = TP_OK};
    struct tp_quantised_model model;
    struct tp_memory_image *image = NULL;
    quantise(source, recipe, &model);
    tp_status status = tp__compile(&model, &options, limits, &image, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp__quantised_model_free(&model);
    return image;
}

// Distance of the machine's logits from the reference's, relative, over a few positions.
static double distance_of(const struct tp_source_model *source, const struct tp_limits *limits,
                          const struct recipe *recipe)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_memory_image *image = compile(source, recipe, limits);
    struct tp_machine *machine = tp_machine_create(limits);
    ck_assert_ptr_nonnull(machine);
    ck_assert_int_eq(tp__memory_image_write(image, write_machine, machine, &error), TP_OK);
    uint32_t index = 0;
    ck_assert_msg(tp_machine_prepare(machine, &index), "instruction %u is illegal", index);

    struct tp_reference *reference = NULL;
    ck_assert_int_eq(tp__reference_open(source, POSITIONS, &reference, &error), TP_OK);
    uint32_t vocab = source->shape.vocab;
    float *expected = calloc(vocab, sizeof *expected);
    int32_t *logits = calloc(vocab, sizeof *logits);
    double squares = 0;
    double errors = 0;
    for (uint32_t position = 0; position < POSITIONS; position++) {
        uint32_t token = (position * 7 + 1) % vocab;
        tp__reference_step(reference, token, position, expected);
        ck_assert_uint_eq(tp_machine_step(machine, 0, position, token, logits), vocab);
        for (uint32_t i = 0; i < vocab; i++) {
            double e = (double)logits[i] / 65536.0 - (double)expected[i];
            errors += e * e;
            squares += (double)expected[i] * (double)expected[i];
        }
    }
    free(expected);
    free(logits);
    tp__reference_close(reference);
    tp_machine_destroy(machine);
    tp__memory_image_free(image);
    return sqrt(errors / squares);
}

static double distance(const struct tp_source_model *source, const struct tp_limits *limits,
                       tp_format format)
{
    const struct recipe recipe = {.format = format};
    return distance_of(source, limits, &recipe);
}

// Shapes that each need another rule of the layout.
static const struct tp_test_model shapes[] = {
    {64, 172, 2, 8, 4, 70, 32, false, 1},   // pairs of queries share a KV head of 8
    {32, 40, 2, 4, 4, 33, 32, false, 2},    // no grouping: one query set
    {48, 20, 1, 6, 2, 50, 32, true, 3},     // three queries of a KV head: a missing head
    {96, 64, 1, 12, 3, 64, 32, false, 4},   // KV heads do not fill the word
    {64, 96, 2, 4, 2, 65, 32, true, 5},     // heads of 16
    {64, 32, 1, 2, 1, 64, 32, false, 6},    // heads of 32, one KV head
    {60, 50, 2, 5, 5, 61, 32, false, 7},    // heads of 12: padded to 16
    {96, 33, 1, 2, 1, 40, 32, false, 8},    // heads of 48: two words, padded
    {128, 64, 1, 2, 2, 40, 32, true, 9},    // heads of 64
    {256, 40, 1, 2, 1, 40, 32, false, 10},  // heads of 128
    {30, 18, 1, 3, 1, 17, 32, false, 11},   // nothing is a multiple of anything
    {40, 64, 1, 5, 1, 64, 32, false, 12},   // five queries of one KV head
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(compiled_model_computes_what_the_reference_computes)
{
    struct tp_source_model source;
    load(&shapes[_i], &source);
    struct tp_limits limits = roomy;
    limits.groups = 1u << (_i % 4);
    double q8 = distance(&source, &limits, TP_FORMAT_Q8);
#ifdef TP_PLANT_BUG
    q8 += _i == 3 ? 0.1 : 0;
#endif
    ck_assert_msg(q8 < 0.04, "shape %d: distance %.4f", _i, q8);
    tp__source_model_free(&source);
}
END_TEST

static float vectors[5][1024];

// Bit 0 of kind gives biases, bit 1 norms of heads, to the same model.
static void add_vectors(struct tp_source_model *model, int kind)
{
    struct tp_random random;
    tp_random_init(&random, 78, (uint64_t)kind);
    model->shape.has_bias = kind % 2 == 1;
    model->shape.has_head_norm = kind / 2 == 1;
    for (uint32_t i = 0; i < 5; i++) {
        enum tp_tensor tensor = TP_TENSOR_QUERY_BIAS + i;
        for (uint32_t k = 0; k < 1024; k++) {
            float around = tensor >= TP_TENSOR_QUERY_NORM ? 1.0f : 0.0f;
            vectors[i][k] = around + (float)tp_random_range(&random, -800, 800) / 1000.0f;
        }
        for (uint32_t layer = 0; layer < model->shape.layers; layer++) {
            model->tensors[tensor + layer * TP_TENSOR_PER_LAYER] =
                tp__tensor_exists(&model->shape, tensor) ? vectors[i] : NULL;
        }
    }
}

START_TEST(biases_and_norms_of_heads_are_those_of_the_reference)
{
    struct tp_source_model source;
    load(&shapes[_i], &source);
    add_vectors(&source, 1 + _i % 3);
    struct tp_limits limits = roomy;
    limits.groups = 1u << (_i % 4);
    double q8 = distance(&source, &limits, TP_FORMAT_Q8);
    ck_assert_msg(q8 < 0.05, "shape %d, kind %d: distance %.4f", _i, 1 + _i % 3, q8);
    tp__source_model_free(&source);
}
END_TEST

static struct tp_machine *machine_with(const struct tp_source_model *source,
                                       const struct tp_limits *limits)
{
    const struct recipe recipe = {.format = TP_FORMAT_Q8};
    struct tp_error error = {.status = TP_OK};
    struct tp_memory_image *image = compile(source, &recipe, limits);
    struct tp_machine *machine = tp_machine_create(limits);
    uint32_t index = 0;
    ck_assert_ptr_nonnull(machine);
    ck_assert_int_eq(tp__memory_image_write(image, write_machine, machine, &error), TP_OK);
    ck_assert_msg(tp_machine_prepare(machine, &index), "instruction %u is illegal", index);
    tp__memory_image_free(image);
    return machine;
}

// The machine takes no instruction with more sets than it has.
START_TEST(one_query_set_computes_the_bits_of_two)
{
    struct tp_source_model source;
    load(&shapes[_i], &source);
    struct tp_limits one_set = roomy;
    one_set.attention_lanes = 32;
    struct tp_machine *one = machine_with(&source, &one_set);
    struct tp_machine *two = machine_with(&source, &roomy);
    uint32_t vocab = source.shape.vocab;
    int32_t logits[2][80];
    ck_assert_uint_le(vocab, 80);
    for (uint32_t position = 0; position < POSITIONS; position++) {
        uint32_t token = (position * 7 + 1) % vocab;
        ck_assert_uint_eq(tp_machine_step(one, 0, position, token, logits[0]), vocab);
        ck_assert_uint_eq(tp_machine_step(two, 0, position, token, logits[1]), vocab);
        ck_assert_mem_eq(logits[0], logits[1], vocab * sizeof logits[0][0]);
    }
    tp_machine_destroy(one);
    tp_machine_destroy(two);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(devices_without_norms_of_heads_say_so)
{
    const struct tp_load_options options = {.context = 0};
    const struct recipe recipe = {.format = TP_FORMAT_Q8};
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model source;
    struct tp_plan plan;
    struct tp_limits limits = roomy;
    limits.head_norm = 0;
    load(&shapes[0], &source);
    tp_format *formats = choose(&source, &recipe);
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &limits, &plan, &error), TP_OK);
    source.shape.has_head_norm = true;
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &limits, &plan, &error),
                     TP_ERROR_UNSUPPORTED);
    ck_assert_msg(strstr(error.text, "QK norm") != NULL, "%s", error.text);
    source.shape.has_head_norm = false;
    free(formats);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(four_bits_lose_more_and_eight_bit_embeddings_less)
{
    struct tp_source_model source;
    load(&shapes[0], &source);
    double q8 = distance(&source, &roomy, TP_FORMAT_Q8);
    for (tp_format format = TP_FORMAT_FP4; format <= TP_FORMAT_INT4; format++) {
        double plain = distance(&source, &roomy, format);
        double all =
            distance(&source, &roomy, (tp_format)(format - TP_FORMAT_FP4 + TP_FORMAT_FP4_ALL));
        ck_assert_msg(q8 < plain && plain < all && all < 0.5, "%s: %.4f %.4f %.4f",
                      tp_format_name(format), q8, plain, all);
    }
    tp__source_model_free(&source);
}
END_TEST

START_TEST(images_are_deterministic)
{
    const struct recipe recipe = {.format = TP_FORMAT_NF4};
    struct tp_source_model source;
    struct tp_memory_image *images[2] = {NULL, NULL};
    load(&shapes[2], &source);
    for (int i = 0; i < 2; i++) {
        images[i] = compile(&source, &recipe, &roomy);
    }
    ck_assert_mem_eq(images[0]->weights, images[1]->weights,
                     (size_t)images[0]->plan.weight_beats * images[0]->lanes * 4);
    ck_assert_mem_eq(images[0]->program, images[1]->program,
                     (size_t)images[0]->program_count * TP_INSTRUCTION_WORDS * 4);
    ck_assert_mem_eq(images[0]->centre, images[1]->centre,
                     (size_t)images[0]->plan.constant_pairs * 8);
    tp__memory_image_free(images[0]);
    tp__memory_image_free(images[1]);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(matrices_may_have_different_formats)
{
    static const struct recipe mixed = {TP_FORMAT_FP4, {"down=nf4", "1.query=q8"}, 2};
    static const struct recipe plain = {TP_FORMAT_FP4, {NULL}, 0};
    struct tp_limits limits = roomy;
    limits.codebooks = 2;
    struct tp_source_model source;
    load(&shapes[0], &source);
    struct tp_memory_image *image = compile(&source, &mixed, &limits);
    ck_assert_uint_eq(image->codebook_count, 2);
    tp__memory_image_free(image);
    double distances[2] = {distance_of(&source, &limits, &mixed),
                           distance_of(&source, &limits, &plain)};
    // A wrong table would put it near 1.
    ck_assert_msg(distances[0] < 1.1 * distances[1], "%.4f %.4f", distances[0], distances[1]);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(more_codebooks_than_the_device_has_are_refused)
{
    static const struct recipe mixed = {TP_FORMAT_FP4, {"down=nf4"}, 1};
    const struct tp_load_options options = {.context = 0};
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model source;
    struct tp_quantised_model model;
    struct tp_memory_image *image = NULL;
    load(&shapes[0], &source);
    quantise(&source, &mixed, &model);
    ck_assert_int_eq(tp__compile(&model, &options, &roomy, &image, &error), TP_ERROR_TOO_LARGE);
    ck_assert_msg(strstr(error.text, "codebooks") != NULL, "%s", error.text);
    tp__quantised_model_free(&model);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(kept_matrices_that_do_not_exist_are_named)
{
    static const char *const bad[] = {"down",      "down=q9",   "up=q8",         "2.down=q8",
                                      "x.down=q8", "=q8",       "0.=q8",         "0.embedding=q8",
                                      "",          "-1.key=q8", "classifier=q8", "3="};
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model source;
    load(&shapes[0], &source);
    ck_assert(source.shape.tied);
    tp_format formats[16];
    ck_assert_uint_le(tp__matrix_count(&source.shape), 16);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error.text[0] = 0;
        ck_assert_msg(tp__choose_formats(&source.shape, TP_FORMAT_NF4, &bad[i], 1, formats,
                                         &error) == TP_ERROR_INVALID,
                      "'%s' was taken", bad[i]);
        ck_assert_msg(strstr(error.text, bad[i]) != NULL, "%s", error.text);
    }
    tp__source_model_free(&source);
}
END_TEST

START_TEST(outline_gives_the_program)
{
    const struct recipe recipe = {.format = TP_FORMAT_NF4};
    const struct tp_load_options options = {.context = 0};
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model source;
    load(&shapes[1], &source);
    struct tp_memory_image *whole = compile(&source, &recipe, &roomy);
    struct tp_quantised_model outline;
    struct tp_memory_image *image = NULL;
    tp_format *formats = choose(&source, &recipe);
    ck_assert_int_eq(tp__quantised_outline(&source.shape, formats, &outline, &error), TP_OK);
    ck_assert_int_eq(tp__compile(&outline, &options, &roomy, &image, &error), TP_OK);
    const struct tp_step_slot slots[1] = {{.active = true, .logits = true, .position = 3}};
    ck_assert_uint_eq(image->program_count, whole->program_count);
    ck_assert_uint_eq(tp__step_cycles(&roomy, image->program, image->program_count, slots),
                      tp__step_cycles(&roomy, whole->program, whole->program_count, slots));
    free(formats);
    tp__memory_image_free(whole);
    tp__memory_image_free(image);
    tp__quantised_model_free(&outline);
    tp__source_model_free(&source);
}
END_TEST

// Each limit, one below what the model needs.
static void lower_limit(struct tp_limits *limits, const struct tp_plan *plan, int which)
{
    switch (which) {
    case 0:
        limits->weight_beats = plan->weight_beats - 1;
        break;
    case 1:
        limits->dim_max = 32;
        break;
    case 2:
        limits->query_max = 32;
        break;
    case 3:
        limits->hidden_max = 160;
        break;
    case 4:
        limits->vocab_max = 69;
        break;
    case 5:
        limits->program_max = plan->program_count - 1;
        break;
    case 6:
        limits->gain_quads = plan->gain_quads - 1;
        break;
    case 7:
        limits->constant_pairs = plan->constant_pairs - 1;
        break;
    default:
        limits->kv_rows = 16;
        break;
    }
}

START_TEST(each_limit_is_named)
{
    static const char *const names[] = {"weights",    "dim",        "queries",
                                        "hidden",     "vocabulary", "program",
                                        "norm gains", "constants",  "KV memory"};
    const struct tp_load_options options = {.context = 0};
    const struct recipe recipe = {.format = TP_FORMAT_Q8};
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model source;
    struct tp_plan plan;
    struct tp_limits limits = roomy;
    load(&shapes[0], &source);
    tp_format *formats = choose(&source, &recipe);
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &limits, &plan, &error), TP_OK);
    lower_limit(&limits, &plan, _i);
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &limits, &plan, &error),
                     TP_ERROR_TOO_LARGE);
    ck_assert_msg(strstr(error.text, names[_i]) != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, "too many") != NULL, "%s", error.text);
    free(formats);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(head_sizes_and_contexts_beyond_the_device_are_refused)
{
    struct tp_limits narrow = roomy;
    narrow.head_log2_max = 5;
    struct tp_load_options options = {.context = 0};
    const struct recipe recipe = {.format = TP_FORMAT_Q8};
    struct tp_error error = {.status = TP_OK};
    struct tp_source_model source;
    struct tp_plan plan;
    load(&shapes[8], &source);
    tp_format *formats = choose(&source, &recipe);
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &narrow, &plan, &error),
                     TP_ERROR_UNSUPPORTED);
    ck_assert_msg(strstr(error.text, "64") != NULL, "%s", error.text);
    options.context = 33;
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &roomy, &plan, &error),
                     TP_ERROR_TOO_LARGE);
    options.context = 0;
    options.sessions = 2;
    ck_assert_int_eq(tp__plan(&source.shape, formats, &options, &roomy, &plan, &error),
                     TP_ERROR_TOO_LARGE);
    free(formats);
    tp__source_model_free(&source);
}
END_TEST

START_TEST(listing_names_every_instruction)
{
    const struct recipe recipe = {.format = TP_FORMAT_FP4};
    struct tp_source_model source;
    load(&shapes[0], &source);
    struct tp_memory_image *image = compile(&source, &recipe, &roomy);
    size_t size = tp__memory_image_listing(image, NULL, 0);
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(tp__memory_image_listing(image, text, size), size);
    ck_assert_uint_eq(strlen(text) + 1, size);
    static const char *const words[] = {
        "EMBED",     "ANGLES",    "dest=RESIDUAL", "dest=QUERY", "dest=KEY",         "dest=VALUE",
        "ATTENTION", "dest=GATE", "dest=LOGITS",   "END",        "order=block-major"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ck_assert_msg(strstr(text, words[i]) != NULL, "%s is missing", words[i]);
    }
    free(text);
    tp__memory_image_free(image);
    tp__source_model_free(&source);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("compile");
    TCase *tc = tcase_create("compile");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, compiled_model_computes_what_the_reference_computes, 0, SHAPES);
    tcase_add_loop_test(tc, biases_and_norms_of_heads_are_those_of_the_reference, 0, SHAPES);
    tcase_add_loop_test(tc, one_query_set_computes_the_bits_of_two, 0, SHAPES);
    tcase_add_test(tc, devices_without_norms_of_heads_say_so);
    tcase_add_test(tc, four_bits_lose_more_and_eight_bit_embeddings_less);
    tcase_add_test(tc, images_are_deterministic);
    tcase_add_test(tc, matrices_may_have_different_formats);
    tcase_add_test(tc, more_codebooks_than_the_device_has_are_refused);
    tcase_add_test(tc, kept_matrices_that_do_not_exist_are_named);
    tcase_add_test(tc, outline_gives_the_program);
    tcase_add_loop_test(tc, each_limit_is_named, 0, 9);
    tcase_add_test(tc, head_sizes_and_contexts_beyond_the_device_are_refused);
    tcase_add_test(tc, listing_names_every_instruction);
    suite_add_tcase(suite, tc);
    return suite;
}

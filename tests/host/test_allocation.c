// SPDX-License-Identifier: Apache-2.0
//
// Claims that every public call survives a failing allocation: it returns TP_ERROR_NO_MEMORY with
// one line of text, loses nothing, and everything can be released.
//
// A whole use of the library is repeated with the first, the second, ... allocation failing, until
// it runs through without a failure; sanitizers watch for leaks and for use after free. Not
// covered: allocations inside other libraries.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
// TP_TIME_LIMIT_S: 600

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocation.h"
#include "check_main.h"
#include "model_files.h"
#include "tokproc.h"

enum { VOCAB = 270, PATH_BYTES = 512, TEXT_BYTES = 1 << 16, FAILURES_MAX = 5000 };

static struct {
    char model[PATH_BYTES];
    char tokenizer[PATH_BYTES];
    char text[PATH_BYTES];
    char out[PATH_BYTES + 8];
} path;

static struct tp_error error;

// ---- files, once ----

static void write_file(struct tp_test_bytes *bytes, char name[PATH_BYTES])
{
    tp_test_write_file(bytes, name, PATH_BYTES);
    tp_test_bytes_free(bytes);
    *bytes = (struct tp_test_bytes){0};
}

static void setup(void)
{
    static const char text[] = "Once upon a time\n<|endoftext|>\nthere was\n";
    const struct tp_test_model made = {.dim = 8,
                                       .hidden = 8,
                                       .layers = 1,
                                       .heads = 2,
                                       .kv_heads = 1,
                                       .vocab = VOCAB,
                                       .context = 32,
                                       .seed = 5};
    struct tp_test_bytes bytes = {0};
    tp_test_write_llama2c(&made, 0, &bytes);
    write_file(&bytes, path.model);
    tp_test_write_tokenizer(VOCAB, &bytes);
    write_file(&bytes, path.tokenizer);
    tp_test_put(&bytes, text, sizeof text - 1);
    write_file(&bytes, path.text);
    (void)snprintf(path.out, sizeof path.out, "%s.out", path.model);
}

static void teardown(void)
{
    (void)unlink(path.model);
    (void)unlink(path.tokenizer);
    (void)unlink(path.text);
    (void)unlink(path.out);
}

// ---- uses of the library; each releases what it took, whatever failed ----

static bool ignore_logits(void *user, uint32_t position, const float *logits, uint32_t vocab)
{
    (void)user;
    (void)position;
    (void)logits;
    (void)vocab;
    return true;
}

static tp_status open_model(tp_context *context, tp_model **model)
{
    const struct tp_model_options options = {.path = path.model, .tokenizer_path = path.tokenizer};
    return tp_model_open(context, &options, model, &error);
}

static tp_status use_model(tp_context *context, tp_model *model)
{
    static const char text[] = "Once upon";
    uint32_t tokens[64];
    size_t count = 0;
    tp_model *rounded = NULL;
    tp_scorer *scorer = NULL;
    tp_status status = tp_model_encode(model, text, sizeof text - 1, tokens, 64, &count, &error);
    (void)context;
    if (status == TP_OK) {
        status = tp_model_reference(model, tokens, count, ignore_logits, NULL, &error);
    }
    if (status == TP_OK) {
        status = tp_model_round(model, TP_ROUNDING_Q4_0, &rounded, NULL, &error);
    }
    if (status == TP_OK) {
        status = tp_model_export(model, path.out, &error);
        if (status != TP_OK) {
            ck_assert_msg(access(path.out, F_OK) != 0, "a partial file was left");
        }
        (void)unlink(path.out);
    }
    if (status == TP_OK) {
        status = tp_scorer_create(&scorer, &error);
    }
    tp_scorer_destroy(scorer);
    tp_model_close(rounded);
    return status;
}

static tp_status use_models(tp_context *context)
{
    tp_model *model = NULL;
    tp_status status = open_model(context, &model);
    if (status == TP_OK) {
        status = use_model(context, model);
    }
    tp_model_close(model);
    return status;
}

// Quantises, writes an image, opens it again and uses what it stands for.
static tp_status use_images(tp_context *context)
{
    static const char *const keep[] = {"down=q8"};
    const struct tp_model_options image_options = {.path = path.out};
    struct tp_device_info infos[16];
    (void)tp_configuration_list(infos, 16);
    const struct tp_quantise_options options = {.format = TP_FORMAT_AUTO,
                                                .keep = keep,
                                                .keep_count = 1,
                                                .calibrate_path = path.text,
                                                .fit = &infos[0]};
    const struct tp_load_options load = {.context = 0};
    static const uint32_t tokens[] = {1, 2};
    struct tp_cost cost;
    tp_model *model = NULL;
    tp_model *quantised = NULL;
    tp_model *image = NULL;
    tp_status status = open_model(context, &model);
    if (status == TP_OK) {
        status = tp_model_quantise(model, &options, &quantised, &error);
    }
    if (status == TP_OK) {
        status = tp_model_save(quantised, path.out, &error);
        if (status != TP_OK) {
            ck_assert_msg(access(path.out, F_OK) != 0, "a partial file was left");
        }
    }
    if (status == TP_OK) {
        status = tp_model_open(context, &image_options, &image, &error);
    }
    if (status == TP_OK) {
        status = tp_model_get_cost(image, &infos[0], &load, &cost, &error);
    }
    if (status == TP_OK) {
        status = tp_model_reference(image, tokens, 2, ignore_logits, NULL, &error);
    }
    (void)unlink(path.out);
    tp_model_close(image);
    tp_model_close(quantised);
    tp_model_close(model);
    return status;
}

static tp_status run_session(tp_device *device)
{
    const struct tp_session_options options = {.temperature = 0.5f, .top_k = 5};
    tp_session *session = NULL;
    struct tp_token token = {.end = TP_END_NONE};
    tp_status status = tp_session_create(device, &options, &session, &error);
    if (status == TP_OK) {
        status = tp_session_feed_text(session, "Once", &error);
    }
    if (status == TP_OK) {
        status = tp_session_generate(session, 3, &error);
    }
    while (status == TP_OK && token.end == TP_END_NONE) {
        status = tp_session_read(session, &token, -1, &error);
    }
    tp_session_destroy(session);
    return status;
}

static tp_status ask_device(tp_device *device)
{
    static struct tp_section_statistics sections[64];
    struct tp_device_statistics statistics;
    struct tp_load_info load;
    static char listing[TEXT_BYTES];
    size_t count = 0;
    tp_status status = tp_device_get_statistics(device, &statistics, &error);
    if (status == TP_OK) {
        status = tp_device_get_load(device, &load, &error);
    }
    if (status == TP_OK) {
        status = tp_device_get_sections(device, true, sections, 64, &count, &error);
    }
    if (status == TP_OK) {
        status = tp_device_listing(device, listing, TEXT_BYTES, &count, &error);
    }
    return status;
}

static tp_status use_device(tp_context *context)
{
    tp_model *model = NULL;
    tp_device *device = NULL;
    const struct tp_load_options load = {.format = TP_FORMAT_NF4, .calibrate_path = path.text};
    tp_status status = open_model(context, &model);
    if (status == TP_OK) {
        status = tp_device_open(context, "emu:small-1", &device, &error);
    }
    if (status == TP_OK) {
        status = tp_device_load(device, model, &load, &error);
    }
    if (status == TP_OK) {
        status = run_session(device);
    }
    if (status == TP_OK) {
        status = ask_device(device);
    }
    tp_device_close(device);
    tp_model_close(model);
    return status;
}

static tp_status list_devices(tp_context *context)
{
    struct tp_device_info infos[8];
    size_t count = 0;
    return tp_device_list(context, infos, 8, &count, &error);
}

// ---- the loop ----

static tp_status use(tp_status (*what)(tp_context *context))
{
    tp_context *context = NULL;
    tp_status status = tp_context_create(NULL, &context, &error);
    if (status == TP_OK) {
        status = what(context);
    }
    tp_context_destroy(context);
    return status;
}

static void fail_each(tp_status (*what)(tp_context *context), uint32_t least)
{
    uint32_t number = 0;
    ck_assert_int_eq(use(what), TP_OK);
    for (;; number++) {
        ck_assert_uint_lt(number, FAILURES_MAX);
        memset(&error, 0, sizeof error);
        tp_test_allocation_fails(number);
        tp_status status = use(what);
        uint64_t failed = tp_test_allocations_work();
        if (failed == 0) {
            ck_assert_int_eq(status, TP_OK);
            break;
        }
#ifdef TP_PLANT_BUG
        status = TP_ERROR_IO;  // as if a call mistook the reason
#endif
        ck_assert_msg(status == TP_ERROR_NO_MEMORY, "allocation %u: %s: %s", number,
                      tp_status_name(status), error.text);
        ck_assert_msg(error.text[0] != 0 && strchr(error.text, '\n') == NULL,
                      "allocation %u: no line of text", number);
    }
    ck_assert_uint_ge(number, least);
}

START_TEST(models_survive_every_failing_allocation)
{
    fail_each(use_models, 20);
}
END_TEST

START_TEST(images_survive_every_failing_allocation)
{
    fail_each(use_images, 50);
}
END_TEST

START_TEST(devices_and_sessions_survive_every_failing_allocation)
{
    fail_each(use_device, 50);
}
END_TEST

START_TEST(the_list_of_devices_survives_every_failing_allocation)
{
    fail_each(list_devices, 5);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("allocation");
    TCase *tcase = tcase_create("failures");
    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, models_survive_every_failing_allocation);
    tcase_add_test(tcase, images_survive_every_failing_allocation);
    tcase_add_test(tcase, devices_and_sessions_survive_every_failing_allocation);
    tcase_add_test(tcase, the_list_of_devices_survives_every_failing_allocation);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about plans: what tp_model_get_needs, tp_forecast and tp_model_get_cost say of a model is
// what loading and running it gives, to the cycle: whether it fits and what is short, the beats,
// the context of each session, the cycles of every step of any company of sessions. For models of
// many shapes on all configurations, and for the real ones where they are there. A single session
// may use a KV memory to its last row; its tokens are those of a device with room.
//
// With the emulator, which predicts the steps that it made; tests/system/test_same_tokens.c holds
// forecasts against the cycles that simulated RTL counts.
//
// TP_TIME_LIMIT_S: 600

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "model_files.h"
#include "tokproc.h"

enum {
    PATH_BYTES = 512,
    CONFIGURATIONS_MAX = 32,
    NEEDS_MAX = 32,
    STEPS_MAX = 512,
    ITEMS_MAX = 2048
};

static tp_context *context;
static tp_model *model;
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static const struct tp_test_model made[] = {
    {64, 172, 2, 8, 4, 240, 300, false, 1},
    {32, 64, 1, 4, 2, 100, 64, true, 2},
    {48, 90, 1, 6, 6, 101, 32, false, 3},
    {36, 90, 3, 3, 1, 45, 48, false, 4},
    {64, 40, 1, 1, 1, 33, 32, false, 5},
    {40, 44, 1, 2, 1, 50, 32, false, 6, 24, true},
    {48, 40, 1, 1, 1, 60, 32, false, 7, 96, false, true},
    {256, 90, 1, 2, 1, 99, 32, false, 8},
};
enum { MADE = sizeof made / sizeof *made };
static const char *const real[] = {"models/tokproc-stories.bin", "models/tokproc-weather.bin",
                                   "stories260K.gguf", "babyllama-tok361.bin"};
enum { REAL = sizeof real / sizeof *real };
static const tp_format formats[] = {TP_FORMAT_Q8, TP_FORMAT_NF4, TP_FORMAT_INT4_ALL};
enum { FORMATS = sizeof formats / sizeof *formats };

static void setup(void)
{
    OK(tp_context_create(NULL, &context, &error));
}

static void teardown(void)
{
    tp_model_close(model);
    model = NULL;
    tp_context_destroy(context);
}

static void open_path(const char *path)
{
    const struct tp_model_options options = {.path = path};
    OK(tp_model_open(context, &options, &model, &error));
}

static void open_made(const struct tp_test_model *shape)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    char path[PATH_BYTES];
    if (shape->head_size != 0) {
        const struct tp_test_gguf options = {.architecture = shape->has_bias ? "qwen2" : "qwen3"};
        tp_test_write_gguf(shape, &options, &file, NULL, NULL);
    } else {
        tp_test_write_llama2c(shape, 0, &file);
    }
    tp_test_write_file(&file, path, sizeof path);
    open_path(path);
    (void)unlink(path);
    tp_test_bytes_free(&file);
}

// False: the model is not here.
static bool open_number(int index)
{
    char path[PATH_BYTES];
    if (index < MADE) {
        open_made(&made[index]);
        return true;
    }
    const char *name = real[index - MADE];
    if (strchr(name, '/') == NULL) {
        if (!tp_test_find_model(name, path, sizeof path)) {
            return false;
        }
        name = path;
    }
    open_path(name);
    return true;
}

// ---- needs ----

static bool all_fit(const struct tp_need *needs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (needs[i].need > needs[i].have) {
            return false;
        }
    }
    return true;
}

static uint64_t need_of(const struct tp_need *needs, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(needs[i].what, what) == 0) {
            return needs[i].need;
        }
    }
    ck_abort_msg("no need is called %s", what);
    return 0;
}

// One format on one configuration: needs, cost and what loading would say. Returns whether it fits.
static bool check_fit(const struct tp_device_info *info, const struct tp_load_options *load,
                      struct tp_cost *cost)
{
    struct tp_need needs[NEEDS_MAX];
    size_t count = 0;
    OK(tp_model_get_needs(model, info, load, needs, NEEDS_MAX, &count, &error));
    ck_assert_uint_le(count, NEEDS_MAX);
    tp_status status = tp_model_get_cost(model, info, load, cost, &error);
    ck_assert_int_eq(status, tp_model_check(model, info, load, &error));
    ck_assert_msg(all_fit(needs, count) == (status == TP_OK), "%s: %s", info->name, error.text);
    if (status != TP_OK) {
        return false;
    }
    ck_assert_uint_eq(cost->weight_beats, need_of(needs, count, "weights"));
    ck_assert_uint_eq(cost->instructions, need_of(needs, count, "program"));
    // Words of a beat: four of codes a group, and a byte of scale. Frames take whole beats, or
    // whole instructions; others are full but for the last one of each of nine spaces.
    uint32_t beat = 4 * info->groups + (info->groups + 3) / 4;
    uint32_t beats = 62 / beat;
    uint32_t instructions = 62 / 6;
    uint64_t weight_words = (uint64_t)cost->weight_beats * beat;
    uint64_t words = weight_words + 6u * cost->instructions;
    uint64_t others = 4 * (2 * need_of(needs, count, "norm gains") + 8192);
    uint64_t frames = (cost->weight_beats + beats - 1) / beats +
                      (cost->instructions + instructions - 1) / instructions +
                      (cost->load_bytes - 4 * words) / (4 * 62);
    ck_assert_uint_gt(cost->load_bytes, 4 * words);
    ck_assert_uint_lt(cost->load_bytes, 4 * words + others);
    ck_assert_uint_ge(cost->link_bytes, cost->load_bytes + 17 * frames);
    ck_assert_uint_le(cost->link_bytes, cost->load_bytes + 17 * (frames + 11));
    // The largest context fits, and one more position does not.
    struct tp_load_options exact = *load;
    exact.context = cost->context;
    OK(tp_model_check(model, info, &exact, &error));
    OK(tp_model_get_needs(model, info, &exact, needs, NEEDS_MAX, &count, &error));
    ck_assert(all_fit(needs, count));
    exact.context++;
    ck_assert_int_eq(tp_model_check(model, info, &exact, &error), TP_ERROR_TOO_LARGE);
    return true;
}

START_TEST(needs_say_what_loading_says)
{
    struct tp_device_info infos[CONFIGURATIONS_MAX];
    struct tp_cost cost;
    size_t count = tp_configuration_list(infos, CONFIGURATIONS_MAX);
    uint32_t fitting = 0;
    if (!open_number(_i)) {
        return;
    }
    for (size_t c = 0; c < count && c < CONFIGURATIONS_MAX; c++) {
        for (size_t f = 0; f < FORMATS; f++) {
            for (uint32_t sessions = 1; sessions <= infos[c].slots; sessions++) {
                const struct tp_load_options load = {.format = formats[f], .sessions = sessions};
                fitting += check_fit(&infos[c], &load, &cost) ? 1 : 0;
            }
        }
    }
    ck_assert_uint_ne(fitting, 0);
}
END_TEST

// ---- steps ----

static void run_session(tp_session *session, uint32_t vocab, uint32_t which, uint32_t tokens)
{
    for (uint32_t i = 0; i < 1 + 5 * which; i++) {
        uint32_t token = (3 + 7 * i + which) % vocab;
        OK(tp_session_feed(session, &token, 1, &error));
    }
    OK(tp_session_generate(session, tokens, &error));
}

static void drain(tp_session *session)
{
    struct tp_token token = {.end = TP_END_NONE};
    while (token.end == TP_END_NONE) {
        OK(tp_session_read(session, &token, -1, &error));
    }
    tp_session_destroy(session);
}

// Every step is the forecast's, and so are their sums.
static void check_steps(tp_device *device, const struct tp_load_options *load,
                        const struct tp_step *steps, size_t count)
{
    struct tp_device_info info;
    struct tp_device_statistics statistics;
    struct tp_load_info loaded;
    struct tp_cost cost;
    struct tp_ledger ledger = {0};
    static struct tp_item items[ITEMS_MAX];
    tp_forecast *forecast = NULL;
    OK(tp_device_get_info(device, &info));
    OK(tp_forecast_create(model, &info, load, &forecast, &error));
    OK(tp_device_get_load(device, &loaded, &error));
    tp_forecast_get_cost(forecast, &cost);
    ck_assert_uint_eq(cost.context, loaded.context);
    ck_assert_uint_eq(cost.weight_beats, loaded.weight_beats);
    ck_assert_uint_eq(cost.matrix_bytes, loaded.matrix_bytes);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t item_count = 0;
        uint32_t cycles = tp_forecast_step(forecast, &steps[i], items, ITEMS_MAX, &item_count);
        ck_assert_uint_ne(cycles, 0);
        ck_assert_uint_eq(cycles, tp_forecast_add(forecast, &steps[i], &ledger));
        ck_assert_uint_le(item_count, ITEMS_MAX);
        uint32_t last = 0;
        for (size_t k = 0; k < item_count; k++) {
            ck_assert_uint_ge(items[k].issued, k == 0 ? 0 : items[k - 1].issued);
            ck_assert_ptr_nonnull(items[k].note);
            last = items[k].completed > last ? items[k].completed : last;
        }
        ck_assert_uint_eq(last + 1, cycles);
        sum += cycles;
    }
    OK(tp_device_get_statistics(device, &statistics, &error));
#ifdef TP_PLANT_BUG
    sum++;
#endif
    ck_assert_uint_eq(sum, statistics.cycles_predicted);
    ck_assert_uint_eq(ledger.cycles, statistics.cycles_predicted);
    ck_assert_uint_eq(ledger.steps, statistics.steps);
    ck_assert_uint_eq(ledger.tokens, statistics.tokens);
    ck_assert_uint_eq(ledger.products, statistics.products);
    tp_forecast_destroy(forecast);
}

static void run_on(const char *config, const struct tp_load_options *load)
{
    static const struct tp_session_options settings[] = {
        {.ignore_eos = true},
        {.temperature = 1.0f, .top_k = 5, .seed = 2, .ignore_eos = true},
        {.temperature = 0.8f, .seed = 3, .ignore_eos = true},
        {.ignore_eos = true, .candidates = 3},
    };
    static struct tp_step steps[STEPS_MAX];
    char name[TP_NAME_BYTES];
    tp_device *device = NULL;
    tp_session *sessions[4] = {NULL};
    struct tp_model_info info;
    tp_model_get_info(model, &info);
    (void)snprintf(name, sizeof name, "emu:%s", config);
    OK(tp_device_open(context, name, &device, &error));
    OK(tp_device_load(device, model, load, &error));
    OK(tp_device_record(device, steps, STEPS_MAX, &error));
    for (uint32_t i = 0; i < load->sessions; i++) {
        OK(tp_session_create(device, &settings[i], &sessions[i], &error));
        run_session(sessions[i], info.vocab, i, 8 + i);
    }
    for (uint32_t i = 0; i < load->sessions; i++) {
        drain(sessions[i]);
    }
    size_t count = tp_device_recorded(device);
    ck_assert_uint_ne(count, 0);
    ck_assert_uint_lt(count, STEPS_MAX);
    check_steps(device, load, steps, count);
    tp_device_close(device);
}

START_TEST(forecasts_are_the_steps_that_are_made)
{
    struct tp_device_info infos[CONFIGURATIONS_MAX];
    struct tp_cost cost;
    size_t count = tp_configuration_list(infos, CONFIGURATIONS_MAX);
    if (!open_number(_i)) {
        return;
    }
    // Loading with sanitizers takes its time: not every model on every configuration.
    for (size_t c = (size_t)_i % 2; c < count && c < CONFIGURATIONS_MAX; c += 2) {
        for (uint32_t sessions = 1; sessions <= infos[c].slots; sessions += 3) {
            const struct tp_load_options load = {.format = formats[(c + (size_t)_i) % FORMATS],
                                                 .sessions = sessions};
            if (tp_model_get_cost(model, &infos[c], &load, &cost, &error) == TP_OK &&
                cost.context >= 30) {
                run_on(infos[c].name, &load);
            }
        }
    }
}
END_TEST

START_TEST(cost_is_the_mean_of_the_first_steps)
{
    struct tp_device_info infos[CONFIGURATIONS_MAX];
    struct tp_cost cost;
    tp_forecast *forecast = NULL;
    const struct tp_load_options load = {.format = TP_FORMAT_NF4};
    (void)tp_configuration_list(infos, CONFIGURATIONS_MAX);
    open_made(&made[0]);
    OK(tp_forecast_create(model, &infos[0], &load, &forecast, &error));
    tp_forecast_get_cost(forecast, &cost);
    struct tp_step step = {.active = 1, .logits = 1, .fast = 1};
    uint64_t sum = 0;
    size_t items = 0;
    for (uint32_t position = 0; position < 256; position++) {
        step.positions[0] = position;
        sum += tp_forecast_step(forecast, &step, NULL, 0, &items);
        ck_assert_uint_ne(items, 0);
    }
    ck_assert_double_eq(cost.cycles_per_token, (double)sum / 256);
    // What no device could do has no cycles.
    step.positions[0] = cost.context;
    ck_assert_uint_eq(tp_forecast_step(forecast, &step, NULL, 0, &items), 0);
    step = (struct tp_step){.active = 0};
    ck_assert_uint_eq(tp_forecast_step(forecast, &step, NULL, 0, &items), 0);
    step = (struct tp_step){.active = 1, .logits = 2};
    ck_assert_uint_eq(tp_forecast_step(forecast, &step, NULL, 0, &items), 0);
    step = (struct tp_step){.active = 1u << infos[0].slots};
    ck_assert_uint_eq(tp_forecast_step(forecast, &step, NULL, 0, &items), 0);
    tp_forecast_destroy(forecast);
}
END_TEST

// ---- a KV memory to its last row ----

static void story(const char *device_name, uint32_t *tokens, uint32_t most, uint32_t *context_of)
{
    const struct tp_load_options load = {.format = TP_FORMAT_NF4};
    const struct tp_session_options settings = {.temperature = 1.0f, .seed = 5, .ignore_eos = true};
    tp_device *device = NULL;
    tp_session *session = NULL;
    struct tp_load_info loaded;
    struct tp_token token;
    uint32_t first = 1;
    uint32_t count = 0;
    OK(tp_device_open(context, device_name, &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    OK(tp_device_get_load(device, &loaded, &error));
    *context_of = loaded.context;
    OK(tp_session_create(device, &settings, &session, &error));
    OK(tp_session_feed(session, &first, 1, &error));
    OK(tp_session_generate(session, most, &error));
    for (;;) {
        OK(tp_session_read(session, &token, -1, &error));
        if (token.end != TP_END_NONE) {
            break;
        }
        ck_assert_uint_lt(count, most);
        tokens[count++] = token.id;
    }
    ck_assert_uint_eq(count, most);
    tp_session_destroy(session);
    tp_device_close(device);
}

// 1,024 rows for 5 layers: 204 positions, 12 whole pages and 12 rows.
START_TEST(a_single_session_has_the_kv_memory_to_its_last_row)
{
    static const struct tp_test_model five = {32, 64, 5, 4, 2, 100, 300, false, 9};
    uint32_t narrow[203];
    uint32_t roomy[203];
    uint32_t positions = 0;
    open_made(&five);
    story("emu:ulx3s-85f-q8", narrow, 203, &positions);
    ck_assert_uint_eq(positions, 204);
    story("emu:ulx3s-85f", roomy, 203, &positions);
    ck_assert_uint_eq(positions, 300);
    ck_assert_int_eq(memcmp(narrow, roomy, sizeof narrow), 0);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("forecast");
    TCase *tc = tcase_create("forecast");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, needs_say_what_loading_says, 0, MADE + REAL);
    tcase_add_loop_test(tc, forecasts_are_the_steps_that_are_made, 0, MADE);
    tcase_add_test(tc, cost_is_the_mean_of_the_first_steps);
    tcase_add_test(tc, a_single_session_has_the_kv_memory_to_its_last_row);
    suite_add_tcase(suite, tc);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims: a model gives the same tokens, logits and log probabilities on the simulated RTL as on
// the emulator, whatever its shape, format and sampling; a session gives the same alone and beside
// others, with one slot or four, in turns with others, behind a page that others computed, and with
// its prompt over 2 to 4 slots; both
// devices count the same positions, products, saturations and clips; the cycles that the device
// counts are those that the compiler predicts, in sum here and in each step by the library.
//
// The shipped model and stories260K in 4 bits on ulx3s-85f and in 8 bits on large, the former on
// ulx3s-45f, and a model of random weights on small and small-1; tiny models of odd shapes: heads
// of 8 to 128 and of sizes between, dims that are no multiple of 32, odd vocabularies, 1 to 7 query
// heads for a KV head. Simulated devices are looked for in $TP_DEVICES, else in the folder sim of
// the build; what is not there is skipped.
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
    SESSIONS = 4,
    CROWD = 3,  // sessions for each slot, taking turns
    TOKENS = 10,
    STEPS_MAX = 512,
    PATH_BYTES = 512,
    SHORT_CONTEXT = 64,
    SHORTER_CONTEXT = 32
};

static tp_context *context;
static tp_model *model;
static uint32_t vocabulary;
static uint32_t context_length;
static const char *calibrate_path;  // a text makes loading quicker
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// One way of sampling and one length of prompt for each session; the longest goes past a page.
static const struct tp_session_options settings[SESSIONS] = {
    {.ignore_eos = true},
    {.temperature = 0.8f, .seed = 1, .candidates = 64, .ignore_eos = true},
    {.temperature = 1.0f, .top_k = 5, .seed = 2, .repetition_penalty = 1.3f, .ignore_eos = true},
    {.temperature = 1.5f,
     .seed = 3,
     .repetition_penalty = 2.0f,
     .top_p = 0.95f,
     .min_p = 0.001f,
     .candidates = 3,
     .ignore_eos = true},
};
static const uint32_t prompt_lengths[SESSIONS] = {1, 2, 3, 18};

struct story {
    uint32_t tokens[TOKENS];
    bool has_logits;      // of slots that ask for logits only one takes part in a step
    uint64_t logits;      // hash of those of all positions
    uint64_t candidates;  // hash of all log probabilities
};

// ---- devices and models ----

static const char *device_folder(void)
{
    static char folder[PATH_BYTES];
    const char *devices = getenv("TP_DEVICES");
    const char *build = getenv("TP_BUILD");
    if (devices != NULL) {
        return devices;
    }
    (void)snprintf(folder, sizeof folder, "%s/sim", build != NULL ? build : "build");
    return folder;
}

// False, with the test marked as skipped: the device was not built.
static bool have_simulated(const char *config)
{
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s.so", device_folder(), config);
    if (access(path, R_OK) == 0) {
        return true;
    }
    (void)snprintf(path, sizeof path, "sim:%s was not built", config);
    tp_test_skip(path);
    return false;
}

static void open_context(void)
{
    const struct tp_context_options options = {.device_folder = device_folder()};
    OK(tp_context_create(&options, &context, &error));
}

static void close_context(void)
{
    tp_model_close(model);
    model = NULL;
    tp_context_destroy(context);
}

static void open_model(const char *path)
{
    const struct tp_model_options options = {.path = path};
    struct tp_model_info info;
    OK(tp_model_open(context, &options, &model, &error));
    tp_model_get_info(model, &info);
    vocabulary = info.vocab;
    context_length = info.context < SHORT_CONTEXT ? info.context : SHORT_CONTEXT;
    calibrate_path = info.has_tokenizer ? "models/prompts.txt" : NULL;
}

static void open_random_model(const struct tp_test_model *made)
{
    struct tp_test_bytes file = {NULL, 0, 0};
    char path[PATH_BYTES];
    if (made->head_size != 0) {
        const struct tp_test_gguf options = {.architecture = made->has_bias        ? "qwen2"
                                                             : made->has_head_norm ? "qwen3"
                                                                                   : "llama"};
        tp_test_write_gguf(made, &options, &file, NULL, NULL);
    } else {
        tp_test_write_llama2c(made, 0, &file);
    }
    tp_test_write_file(&file, path, sizeof path);
    open_model(path);
    (void)unlink(path);
    tp_test_bytes_free(&file);
}

static tp_device *open_for_prompts(const char *kind, const char *config, tp_format format,
                                   uint32_t sessions, uint32_t prefill_slots)
{
    char name[TP_NAME_BYTES];
    tp_device *device = NULL;
    const struct tp_load_options load = {.format = format,
                                         .context = context_length,
                                         .sessions = sessions,
                                         .prefill_slots = prefill_slots,
                                         .calibrate_path = calibrate_path};
    (void)snprintf(name, sizeof name, "%s:%s", kind, config);
    OK(tp_device_open(context, name, &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    return device;
}

static tp_device *open_device(const char *kind, const char *config, tp_format format,
                              uint32_t sessions)
{
    return open_for_prompts(kind, config, format, sessions, 0);
}

// ---- runs ----

// FNV-1a over 32-bit words.
static void take_word(uint64_t *hash, uint32_t word)
{
    *hash = (*hash ^ word) * UINT64_C(0x100000001b3);
}

static void take_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct story *story = user;
    (void)position;
    for (uint32_t i = 0; i < vocab; i++) {
        take_word(&story->logits, (uint32_t)logits[i]);
    }
}

static void take_candidate(struct story *story, uint32_t id, float log_probability)
{
    uint32_t word = 0;
    memcpy(&word, &log_probability, sizeof word);
    take_word(&story->candidates, id);
    take_word(&story->candidates, word);
}

static tp_session *start(tp_device *device, uint32_t which, bool has_logits, struct story *story)
{
    tp_session *session = NULL;
    struct tp_session_options options = settings[which];
    struct tp_device_info info;
    ck_assert_int_eq(tp_device_get_info(device, &info), TP_OK);
    if (info.top_k == 0) {
        options.top_k = options.candidates = 0;
        options.top_p = options.min_p = 0.0f;
    }
    options.on_logits = has_logits ? take_logits : NULL;
    options.user = story;
    story->has_logits = has_logits;
    story->logits = story->candidates = UINT64_C(0xcbf29ce484222325);
    OK(tp_session_create(device, &options, &session, &error));
    for (uint32_t i = 0; i < prompt_lengths[which]; i++) {
        uint32_t token = (1 + 37 * which + 11 * i) % vocabulary;
        OK(tp_session_feed(session, &token, 1, &error));
    }
    OK(tp_session_generate(session, TOKENS / 2, &error));
    return session;
}

// The second half is a run of its own.
static void finish(tp_session *session, struct story *story)
{
    struct tp_token token;
    uint32_t count = 0;
    for (;;) {
        OK(tp_session_read(session, &token, -1, &error));
        if (token.end == TP_END_LIMIT && count < TOKENS) {
            OK(tp_session_generate(session, TOKENS - count, &error));
            continue;
        }
        if (token.end != TP_END_NONE) {
            break;
        }
        ck_assert_uint_lt(count, TOKENS);
        story->tokens[count++] = token.id;
        take_candidate(story, token.id, token.log_probability);
        for (uint32_t i = 0; i < token.candidate_count; i++) {
            take_candidate(story, token.candidates[i].id, token.candidates[i].log_probability);
        }
    }
    ck_assert_int_eq(token.end, TP_END_LIMIT);
    ck_assert_uint_eq(count, TOKENS);
    tp_session_destroy(session);
}

static void run_alone(tp_device *device, struct story stories[SESSIONS])
{
    for (uint32_t i = 0; i < SESSIONS; i++) {
        finish(start(device, i, true, &stories[i]), &stories[i]);
    }
}

static void run_together(tp_device *device, struct story stories[SESSIONS])
{
    tp_session *sessions[SESSIONS];
    for (uint32_t i = 0; i < SESSIONS; i++) {
        sessions[i] = start(device, i, i == 1, &stories[i]);
    }
    for (uint32_t i = 0; i < SESSIONS; i++) {
        finish(sessions[i], &stories[i]);
    }
}

static void same(const struct story *expected, const struct story *stories, const char *what)
{
    for (uint32_t i = 0; i < SESSIONS; i++) {
        for (uint32_t t = 0; t < TOKENS; t++) {
            ck_assert_msg(stories[i].tokens[t] == expected[i].tokens[t],
                          "%s, session %u, token %u: %u instead of %u", what, i, t,
                          stories[i].tokens[t], expected[i].tokens[t]);
        }
        ck_assert_msg(stories[i].candidates == expected[i].candidates,
                      "%s, session %u: other log probabilities", what, i);
        ck_assert_msg(!stories[i].has_logits || stories[i].logits == expected[i].logits,
                      "%s, session %u: other logits", what, i);
    }
}

static void same_counts(tp_device *emulated, tp_device *simulated)
{
    struct tp_device_statistics e;
    struct tp_device_statistics s;
    OK(tp_device_get_statistics(emulated, &e, &error));
    OK(tp_device_get_statistics(simulated, &s, &error));
    ck_assert_uint_ne(s.tokens, 0);
    ck_assert_uint_eq(s.tokens, e.tokens);
    ck_assert_uint_ne(s.products, 0);
    ck_assert_uint_eq(s.products, e.products);
    ck_assert_uint_eq(s.saturations, e.saturations);
    ck_assert_uint_eq(s.clips, e.clips);
    ck_assert_uint_ne(s.cycles_steps, 0);
    ck_assert_uint_eq(s.cycles_steps, s.cycles_predicted);
    ck_assert_uint_gt(s.cycles_total, s.cycles_steps);
    ck_assert_uint_eq(e.cycles_steps, 0);
    ck_assert_uint_ne(e.cycles_predicted, 0);
    ck_assert_uint_eq(s.frames_bad, 0);
}

// Three times as many sessions as slots; some begin with a page that others have computed.
static void run_crowd(const char *kind, const char *config, tp_format format,
                      const struct story expected[SESSIONS])
{
    static struct story stories[CROWD][SESSIONS];
    tp_session *sessions[CROWD][SESSIONS];
    struct tp_device_statistics facts;
    tp_device *device = open_device(kind, config, format, SESSIONS);
    for (uint32_t k = 0; k < CROWD; k++) {
        for (uint32_t i = 0; i < SESSIONS; i++) {
            sessions[k][i] = start(device, i, false, &stories[k][i]);
        }
    }
    for (uint32_t k = 0; k < CROWD; k++) {
        for (uint32_t i = 0; i < SESSIONS; i++) {
            finish(sessions[k][i], &stories[k][i]);
        }
        same(expected, stories[k], kind);
    }
    OK(tp_device_get_statistics(device, &facts, &error));
    ck_assert_uint_gt(facts.prefix_tokens, 0);
    ck_assert(facts.cycles_steps == 0 || facts.cycles_steps == facts.cycles_predicted);
    ck_assert_uint_eq(facts.pages_free + facts.pages_kept, facts.pages);
    tp_device_close(device);
}

// Each step that the device counted is the one that was forecast without it.
static void same_forecast(tp_device *simulated, tp_format format, const struct tp_step *steps)
{
    const struct tp_load_options load = {
        .format = format, .context = context_length, .sessions = SESSIONS};
    struct tp_device_info info;
    struct tp_ledger ledger = {0};
    tp_forecast *forecast = NULL;
    size_t count = tp_device_recorded(simulated);
    uint64_t counted = 0;
    OK(tp_device_get_info(simulated, &info));
    OK(tp_forecast_create(model, &info, &load, &forecast, &error));
    ck_assert_uint_gt(count, SESSIONS);
    ck_assert_uint_lt(count, STEPS_MAX);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(tp_forecast_add(forecast, &steps[i], &ledger), steps[i].cycles);
        counted += steps[i].cycles;
    }
    for (int work = 0; work < TP_WORK_COUNT; work++) {
        const struct tp_ledger_line *line = &ledger.lines[work];
        counted -= line->busy + line->filling + line->draining + line->waiting;
    }
    ck_assert_uint_eq(counted, 0);
    tp_forecast_destroy(forecast);
}

// The session with the longest prompt, over so many slots. Its steps are the forecast ones.
static void run_prompt(const char *kind, const char *config, tp_format format, uint32_t slots,
                       const struct story *expected)
{
    static struct tp_step steps[STEPS_MAX];
    const uint32_t which = SESSIONS - 1;
    const uint32_t quiet = prompt_lengths[which] - 1;  // its last token gives a token
    struct tp_device_statistics facts;
    struct story story;
    tp_device *device = open_for_prompts(kind, config, format, 1, slots);
    OK(tp_device_record(device, steps, STEPS_MAX, &error));
    finish(start(device, which, false, &story), &story);
    ck_assert_msg(memcmp(story.tokens, expected[which].tokens, sizeof story.tokens) == 0,
                  "%s, a prompt over %u slots: other tokens", kind, slots);
    ck_assert(story.candidates == expected[which].candidates);
    OK(tp_device_get_statistics(device, &facts, &error));
    // The second run begins behind the last token of the first.
    ck_assert_uint_eq(facts.tokens, quiet + TOKENS);
    ck_assert_uint_eq(facts.steps, (quiet + slots - 1) / slots + TOKENS);
    ck_assert(facts.cycles_steps == 0 || facts.cycles_steps == facts.cycles_predicted);
    if (facts.cycles_steps != 0) {
        same_forecast(device, format, steps);
    }
    tp_device_close(device);
}

// Everything about one model on one configuration of several slots; expected is given out. Returns
// how many steps the sessions side by side shared.
static uint64_t compare(const char *config, tp_format format, struct story expected[SESSIONS])
{
    static struct tp_step steps[STEPS_MAX];
    struct story heard[SESSIONS];
    tp_device *emulated = open_device("emu", config, format, SESSIONS);
    tp_device *simulated = open_device("sim", config, format, SESSIONS);
    OK(tp_device_record(simulated, steps, STEPS_MAX, &error));
    run_alone(emulated, expected);
    run_alone(simulated, heard);
    same(expected, heard, "sim, alone");
    ck_assert_int_ne(memcmp(expected[0].tokens, expected[3].tokens, sizeof expected[0].tokens), 0);
    same_counts(emulated, simulated);

    struct tp_device_statistics before;
    struct tp_device_statistics after;
    OK(tp_device_get_statistics(simulated, &before, &error));
    run_together(emulated, heard);
    same(expected, heard, "emu, side by side");
    run_together(simulated, heard);
    same(expected, heard, "sim, side by side");
    same_counts(emulated, simulated);
    same_forecast(simulated, format, steps);
    OK(tp_device_get_statistics(simulated, &after, &error));
    tp_device_close(emulated);
    tp_device_close(simulated);
    return after.tokens - before.tokens - (after.steps - before.steps);
}

// ---- the cases ----

static const struct {
    const char *config;
    tp_format format;
} real_cases[] = {
    {"ulx3s-85f", TP_FORMAT_FP4},
    {"ulx3s-85f", TP_FORMAT_NF4_ALL},
    {"large", TP_FORMAT_Q8},
};
enum { REAL_CASES = sizeof real_cases / sizeof *real_cases };

START_TEST(shipped_model_gives_the_same_tokens)
{
    struct story stories[SESSIONS];
    if (have_simulated(real_cases[_i].config)) {
        open_model("models/tokproc-stories.bin");
        ck_assert_uint_ne(compare(real_cases[_i].config, real_cases[_i].format, stories), 0);
    }
}
END_TEST

// One group of matrix lanes, 16 attention lanes, no sorted list.
START_TEST(smallest_board_gives_the_same_tokens)
{
    struct story expected[SESSIONS];
    struct story heard[SESSIONS];
    if (have_simulated("ulx3s-45f")) {
        open_model("models/tokproc-stories.bin");
        tp_device *emulated = open_device("emu", "ulx3s-45f", TP_FORMAT_NF4_ALL, 1);
        tp_device *simulated = open_device("sim", "ulx3s-45f", TP_FORMAT_NF4_ALL, 1);
        run_alone(emulated, expected);
        run_alone(simulated, heard);
        same(expected, heard, "sim");
        same_counts(emulated, simulated);
        tp_device_close(emulated);
        tp_device_close(simulated);
    }
}
END_TEST

START_TEST(stories260k_gives_the_same_tokens)
{
    struct story stories[SESSIONS];
    char path[PATH_BYTES];
    if (have_simulated(real_cases[_i].config) &&
        tp_test_find_model("stories260K.gguf", path, sizeof path)) {
        open_model(path);
        ck_assert_uint_ne(compare(real_cases[_i].config, real_cases[_i].format, stories), 0);
        run_prompt("emu", real_cases[_i].config, real_cases[_i].format, SESSIONS, stories);
        run_prompt("sim", real_cases[_i].config, real_cases[_i].format, SESSIONS, stories);
    }
}
END_TEST

// As large as the configuration small allows.
static const struct {
    tp_format format;
    struct tp_test_model model;
} random_cases[] = {
    {TP_FORMAT_Q8, {32, 64, 2, 4, 2, 240, SHORT_CONTEXT, false, 7}},
    {TP_FORMAT_INT4_ALL, {64, 96, 1, 8, 4, 240, SHORT_CONTEXT, false, 8}},
};
enum { RANDOM_CASES = sizeof random_cases / sizeof *random_cases };

START_TEST(random_model_gives_the_same_tokens_with_one_and_four_slots)
{
    struct story four[SESSIONS];
    struct story one[SESSIONS];
    if (have_simulated("small") && have_simulated("small-1")) {
        const tp_format format = random_cases[_i].format;
        open_random_model(&random_cases[_i].model);
        ck_assert_uint_ne(compare("small", format, four), 0);
        tp_device *emulated = open_device("emu", "small-1", format, 1);
        tp_device *simulated = open_device("sim", "small-1", format, 1);
        run_alone(emulated, one);
        same(four, one, "emu, one slot");
        run_alone(simulated, one);
        same(four, one, "sim, one slot");
        same_counts(emulated, simulated);
        run_together(emulated, one);
        same(four, one, "emu, one slot in turns");
        run_together(simulated, one);
        same(four, one, "sim, one slot in turns");
        run_crowd("emu", "small", format, four);
        run_crowd("sim", "small", format, four);
        for (uint32_t slots = 2; slots <= SESSIONS; slots++) {
            run_prompt("emu", "small", format, slots, four);
            run_prompt("sim", "small", format, slots, four);
        }
        tp_device_close(emulated);
        tp_device_close(simulated);
    }
}
END_TEST

// dim, hidden, layers, heads, KV heads, vocabulary, context, untied, seed, head size, biases, norms
// of heads.
static const struct {
    const char *config;
    tp_format format;
    struct tp_test_model model;
} shapes[] = {
    {"small", TP_FORMAT_INT4, {48, 172, 1, 6, 6, 101, SHORTER_CONTEXT, false, 20}},
    {"small", TP_FORMAT_NF4, {36, 90, 1, 3, 1, 45, SHORTER_CONTEXT, false, 21}},
    {"small", TP_FORMAT_FP4, {48, 90, 1, 1, 1, 60, SHORTER_CONTEXT, false, 22}},
    {"small", TP_FORMAT_Q8, {64, 40, 1, 1, 1, 33, SHORTER_CONTEXT, false, 23}},
    {"small", TP_FORMAT_INT4, {40, 44, 1, 2, 1, 50, SHORTER_CONTEXT, false, 31, 24, true}},
    {"small", TP_FORMAT_NF4, {48, 40, 1, 1, 1, 60, SHORTER_CONTEXT, false, 32, 96, false, true}},
    {"large", TP_FORMAT_Q8, {72, 172, 2, 6, 1, 131, SHORTER_CONTEXT, true, 24}},
    {"large", TP_FORMAT_NF4, {100, 90, 2, 2, 1, 203, SHORTER_CONTEXT, false, 25}},
    {"large", TP_FORMAT_INT4, {112, 90, 1, 7, 1, 150, SHORTER_CONTEXT, false, 26}},
    {"large", TP_FORMAT_FP4_ALL, {96, 172, 2, 4, 1, 97, SHORTER_CONTEXT, true, 27}},
    {"large", TP_FORMAT_FP4, {192, 172, 1, 2, 2, 110, SHORTER_CONTEXT, false, 28}},
    {"large", TP_FORMAT_NF4, {144, 64, 1, 3, 1, 70, SHORTER_CONTEXT, false, 29}},
    {"large", TP_FORMAT_Q8, {256, 90, 1, 2, 1, 99, SHORTER_CONTEXT, false, 30}},
    {"large", TP_FORMAT_Q8, {72, 90, 2, 2, 1, 61, SHORTER_CONTEXT, false, 33, 128, false, true}},
    {"large", TP_FORMAT_FP4, {100, 44, 1, 6, 2, 77, SHORTER_CONTEXT, false, 34, 48, true}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(odd_shape_gives_the_same_tokens)
{
    struct story stories[SESSIONS];
    if (have_simulated(shapes[_i].config)) {
        open_random_model(&shapes[_i].model);
        // A session of so small a model may end before the next one begins: no step need be shared.
        (void)compare(shapes[_i].config, shapes[_i].format, stories);
    }
}
END_TEST

// Heads of 64; the emulator of a configuration refuses what its RTL does not have.
START_TEST(a_configuration_without_large_heads_refuses_them)
{
    const struct tp_test_model made = {64, 40, 1, 1, 1, 33, SHORTER_CONTEXT, false, 23};
    const struct tp_load_options load = {.format = TP_FORMAT_Q8};
    tp_device *device = NULL;
    open_random_model(&made);
    OK(tp_device_open(context, "emu:ulx3s-85f", &device, &error));
    ck_assert_int_eq(tp_device_load(device, model, &load, &error), TP_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "head size 64"));
    ck_assert_ptr_nonnull(strstr(error.text, "largest is 32"));
    tp_device_close(device);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("same tokens");
    TCase *tc = tcase_create("devices");
    tcase_add_checked_fixture(tc, open_context, close_context);
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, random_model_gives_the_same_tokens_with_one_and_four_slots, 0,
                        RANDOM_CASES);
    tcase_add_loop_test(tc, odd_shape_gives_the_same_tokens, 0, SHAPES);
    tcase_add_test(tc, a_configuration_without_large_heads_refuses_them);
    tcase_add_loop_test(tc, shipped_model_gives_the_same_tokens, 0, REAL_CASES);
    tcase_add_test(tc, smallest_board_gives_the_same_tokens);
    tcase_add_loop_test(tc, stories260k_gives_the_same_tokens, 0, REAL_CASES);
    suite_add_tcase(suite, tc);
    return suite;
}

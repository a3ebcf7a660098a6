// SPDX-License-Identifier: Apache-2.0
//
// Claims about sessions on a bad link, on the simulated RTL: with any single bit flipped, and with
// any bytes cut or doubled, in either direction, they bring what they bring on a sound link, which
// is what the emulator brings. In the RTL answers overtake events, and steps go on while the host
// is busy, which the emulator does not show (tests/host/test_session_run.c).
//
// A sample of the places; TP_EVERY=1 takes all. On ulx3s-45f, and with a prompt over several slots
// on small; skipped where that was not built.
//
// TP_TIME_LIMIT_S: 7200

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "faulty_link.h"
#include "heard_session.h"
#include "internal.h"
#include "random.h"

enum { PATH_BYTES = 512, PREFILL_MIN = 4 };

static tp_context *context;
static tp_model *model;
static tp_device *device;
static struct tp_error error;
static struct tp_heard reference[TP_HEARD_KINDS];

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static const char *device_folder(void)
{
    static char folder[PATH_BYTES];
    const char *devices = getenv("TP_DEVICES");
    const char *build = getenv("TP_BUILD");
    (void)snprintf(folder, sizeof folder, "%s/sim", build != NULL ? build : "build");
    return devices != NULL ? devices : folder;
}

static const char *config_of(enum tp_heard_kind kind)
{
    return kind == TP_HEARD_LONG ? "small" : "ulx3s-45f";
}

static void run_session(enum tp_heard_kind kind, struct tp_heard *heard)
{
    // Each computes its prompt.
    pthread_mutex_lock(&device->mutex);
    tp__pages_forget(&device->pages);
    pthread_mutex_unlock(&device->mutex);
    tp_heard_run(device, kind, reference[TP_HEARD_PLAIN].tokens[3], heard);
}

// References come from the emulator of the same configuration.
static void setup(void)
{
    const struct tp_context_options options = {.device_folder = device_folder()};
    OK(tp_context_create(&options, &context, &error));
    tp_heard_open_model(context, &model);
    tp_test_link_start();
    for (int kind = 0; kind < TP_HEARD_KINDS; kind++) {
        char name[TP_NAME_BYTES];
        (void)snprintf(name, sizeof name, "emu:%s", config_of(kind));
        OK(tp_device_open(context, name, &device, &error));
        tp_heard_load(device, model);
        run_session(kind, &reference[kind]);
        OK(reference[kind].status);
        tp_device_close(device);
    }
    device = NULL;
}

static void teardown(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
}

static bool open_simulated(enum tp_heard_kind kind)
{
    const char *config = config_of(kind);
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s.so", device_folder(), config);
    if (access(path, R_OK) != 0) {
        (void)snprintf(path, sizeof path, "sim:%s was not built", config);
        tp_test_skip(path);
        return false;
    }
    OK(tp__device_open(context, &tp_test_faulty_sim, "faulty", config, &device, &error));
    device->prefill_min = PREFILL_MIN;
    tp_heard_load(device, model);
    return true;
}

// Bytes of both ways of a session on a sound link.
static void measure(enum tp_heard_kind kind, size_t counts[TP_WAYS])
{
    struct tp_heard heard;
    tp_test_link_start();
    run_session(kind, &heard);
    ck_assert(tp_heard_same(&heard, &reference[kind]));
    for (int way = 0; way < TP_WAYS; way++) counts[way] = tp_test_link_captured(way)->count;
}

static void damage(enum tp_heard_kind kind, const struct tp_edit *edit)
{
    struct tp_heard heard;
    tp_test_link_start();
    tp_test_link_edit(edit);
    run_session(kind, &heard);
    ck_assert_msg(tp_heard_same(&heard, &reference[kind]),
                  "kind %d, way %d, byte %zu: flip %02x, %zu removed, %zu again: %u tokens, end "
                  "%s, %s",
                  kind, edit->way, edit->at, edit->flip, edit->remove, edit->again, heard.count,
                  tp_end_name(heard.end), heard.status == TP_OK ? "no error" : heard.error.text);
}

START_TEST(a_damaged_link_changes_nothing)
{
    const char *every = getenv("TP_EVERY");
    const enum tp_heard_kind kind = _i;
    const uint32_t count = every != NULL && every[0] == '1' ? 4000 : 24;
    struct tp_random random;
    size_t counts[TP_WAYS];
    tp_random_init(&random, tp_test_seed(_i), 0);
    if (!open_simulated(kind)) return;
    measure(kind, counts);
    for (uint32_t i = 0; i < count; i++) {
        // Each way in turn; of three faults two are flips.
        enum tp_way way = i % 2 == 0 ? TP_TO_DEVICE : TP_TO_HOST;
        struct tp_edit edit = {.way = way, .at = tp_random_below(&random, (uint32_t)counts[way])};
        uint32_t what = i / 2 % 6;
        edit.flip = what < 4 ? (uint8_t)(1u << tp_random_below(&random, 8)) : 0;
        edit.remove = what == 4 ? 1 + tp_random_below(&random, 80) : 0;
        edit.again = what == 5 ? 1 + tp_random_below(&random, 80) : 0;
        damage(kind, &edit);
    }
    struct tp_device_statistics facts;
    tp_test_link_start();
    OK(tp_device_get_statistics(device, &facts, &error));
    ck_assert_uint_gt(facts.recoveries, 0);
    ck_assert_uint_gt(facts.frames_repeated, 0);
    ck_assert_uint_eq(facts.cycles_steps, facts.cycles_predicted);
    printf("# %u faults, session intact each time; %llu runs begun anew, %llu frames repeated, "
           "%llu steps not told\n",
           count, (unsigned long long)facts.recoveries, (unsigned long long)facts.frames_repeated,
           (unsigned long long)facts.steps_lost);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("link_faults");
    TCase *tc = tcase_create("link_faults");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, getenv("TP_EVERY") != NULL ? 7000 : 240);
    tcase_add_loop_test(tc, a_damaged_link_changes_nothing, 0, TP_HEARD_KINDS);
    suite_add_tcase(suite, tc);
    return suite;
}

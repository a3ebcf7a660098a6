// SPDX-License-Identifier: Apache-2.0
//
// Claims about logs of steps: what is written is read again, field by field, whatever slots take
// part; every line that is none of a log is refused with its number and with what is wrong, and a
// file that cannot be written or read is told.
//
// That a log makes the prediction again is tested with the program: tests/system/test_sessions.py.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "random.h"
#include "step_log.h"

enum { STEPS = 300, SLOTS = 8, TEXT_BYTES = 512 };

static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static struct tp_step random_step(struct tp_random *random, uint32_t number)
{
    struct tp_step step = {.number = number,
                           .cycles = tp_random_below(random, 2) * UINT32_MAX,
                           .predicted = tp_random_below(random, 100000),
                           .active = 1 + tp_random_below(random, (1u << SLOTS) - 1)};
    for (uint32_t s = 0; s < SLOTS; s++) {
        step.positions[s] = (step.active >> s & 1u) != 0 ? tp_random_below(random, 65536) : 0;
    }
    step.logits = tp_random_below(random, 256) & step.active;
    step.list = tp_random_below(random, 256) & step.active;
    step.fast = ~step.list & tp_random_below(random, 256) & step.active;
    return step;
}

START_TEST(a_log_is_read_as_it_was_written)
{
    static struct tp_step steps[STEPS];
    struct tp_step *read = NULL;
    size_t count = 0;
    struct tp_random random;
    char folder[] = "/tmp/tokproc-steps-XXXXXX";
    char path[64];
    tp_random_init(&random, (uint64_t)_i, 0);
    for (uint32_t i = 0; i < STEPS; i++) {
        steps[i] = random_step(&random, 3 * i);
    }
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/steps", folder);
    // Sizes around those at which room is made.
    const size_t sizes[] = {1, 63, 64, 65, 128, 129, STEPS};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        OK(tp_steps_write(path, steps, sizes[i], &error));
        OK(tp_steps_read(path, &read, &count, &error));
        ck_assert_uint_eq(count, sizes[i]);
        ck_assert_int_eq(memcmp(read, steps, count * sizeof *read), 0);
        free(read);
    }
    (void)unlink(path);
    ck_assert_int_eq(tp_steps_read(path, &read, &count, &error), TP_ERROR_IO);
    ck_assert_int_eq(tp_steps_read(NULL, &read, &count, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_steps_write(path, NULL, 1, &error), TP_ERROR_INVALID);
    (void)rmdir(folder);
    ck_assert_int_eq(tp_steps_write(path, steps, 1, &error), TP_ERROR_IO);
}
END_TEST

#define SLOT(slot, position, list, fast)                                                           \
    "{\"slot\":" slot ",\"position\":" position ",\"logits\":true,\"list\":" list                  \
    ",\"fast\":" fast "}"
#define STEP(number, cycles, slots)                                                                \
    "{\"step\":" number ",\"cycles_counted\":" cycles ",\"cycles_predicted\":7,\"slots\":" slots   \
    "}\n"
#define GOOD STEP("4", "7", "[" SLOT("0", "5", "false", "true") "]")

static const struct {
    const char *text;
    const char *message;
} bad[] = {
    {"", "this one has none"},
    {"\n", "line 1"},
    {GOOD "\n" GOOD, "line 2: byte"},
    {GOOD "[]\n", "line 2"},
    {GOOD "{\"step\":", "line 2: byte"},
    {GOOD GOOD, "line 2: step 4 does not come behind step 4"},
    {GOOD GOOD "{}\n", "line 2: step 4"},
    {STEP("-1", "7", "[]"), "line 1: numbers are 0 to 4294967295"},
    {STEP("1", "4294967296", "[]"), "numbers are 0 to"},
    {STEP("1", "7.5", "[]"), "line 1: no step: Expected integer"},
    {STEP("1", "7", "[]"), "a list of slots, at least one"},
    {STEP("1", "7", "{}"), "a list of slots"},
    {STEP("1", "7", "[7]"), "line 1: no slot of a step"},
    {STEP("1", "7", "[" SLOT("8", "5", "false", "true") "]"), "slot 8: slots are 0 to 7"},
    {STEP("1", "7", "[" SLOT("-1", "5", "false", "true") "]"), "slot -1: slots are 0 to 7"},
    {STEP("1", "7", "[" SLOT("3", "5", "false", "true") "," SLOT("3", "6", "false", "true") "]"),
     "slot 3: slots are 0 to 7, each above the one before"},
    {STEP("1", "7", "[" SLOT("0", "65536", "false", "true") "]"), "slot 0: positions are 0 to"},
    {STEP("1", "7", "[" SLOT("0", "5", "true", "true") "]"), "slot 0: list and fast do not go"},
    {STEP("1", "7", "[" SLOT("0", "5", "0", "true") "]"), "no slot of a step: Expected true or"},
    {"{\"step\":1,\"cycles_counted\":1,\"slots\":[]}\n",
     "no step: Object item not found: cycles_p"},
    {"{\"step\":1,\"step\":2,\"cycles_counted\":1,\"cycles_predicted\":1,\"slots\":[]}\n",
     "duplicate"},
    {STEP("1", "7", "[],\"more\":1"), "left unpacked: more"},
};

START_TEST(what_is_no_log_is_refused_with_the_line)
{
    struct tp_step *steps = NULL;
    size_t count = 0;
    OK(tp__step_log_parse((const uint8_t *)GOOD, strlen(GOOD), "log", &steps, &count, &error));
    ck_assert_uint_eq(count, 1);
    free(steps);
    // A last line without its end is one.
    OK(tp__step_log_parse((const uint8_t *)GOOD, strlen(GOOD) - 1, "log", &steps, &count, &error));
    free(steps);
    const char *text = bad[_i].text;
    tp_status status =
        tp__step_log_parse((const uint8_t *)text, strlen(text), "log", &steps, &count, &error);
    ck_assert_int_eq(status, TP_ERROR_FORMAT);
    ck_assert_msg(strstr(error.text, bad[_i].message) != NULL, "%s", error.text);
    ck_assert_int_eq(strncmp(error.text, "log: ", 5), 0);
}
END_TEST

START_TEST(a_line_without_end_asks_for_no_memory)
{
    static char text[TEXT_BYTES];
    struct tp_step *steps = NULL;
    size_t count = 0;
    memset(text, '[', sizeof text);
    ck_assert_int_eq(
        tp__step_log_parse((const uint8_t *)text, sizeof text, "log", &steps, &count, &error),
        TP_ERROR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(error.text, "log: line 1: byte 63"));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("step_log");
    TCase *tc = tcase_create("step_log");
    tcase_add_loop_test(tc, a_log_is_read_as_it_was_written, 0, 4);
    tcase_add_loop_test(tc, what_is_no_log_is_refused_with_the_line, 0,
                        (int)(sizeof bad / sizeof *bad));
    tcase_add_test(tc, a_line_without_end_asks_for_no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}

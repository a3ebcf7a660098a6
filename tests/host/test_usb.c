// SPDX-License-Identifier: Apache-2.0
//
// Claims about boards on USB, with the real libusb on emulated boards (tests/common/usb_server.h,
// the emulator behind their endpoints): a session gives the tokens that the emulator gives, several
// boards at once give each its own; packets to the board are full while others are on their way;
// whatever happens to any bulk transfer of a short run, and wherever a program that uses a board is
// killed, the run gives these tokens or, where the fault stays, ends with one clear error, and the
// next run gives them; nothing hangs. Each reason why a board cannot be opened has a message that
// names it and says what to do; the udev rule names the device.
//
// A model of random weights. The planted fault is a device that changes a token and has the frame's
// CRC right. Not covered: the RTL behind the endpoints (test_usb_story.c), a kernel's own drivers.
//
// TP_TIME_LIMIT_S: 900
// TP_LINK: -static-libasan $(pkg-config --libs umockdev-1.0)

#define _GNU_SOURCE  // syscall, MAP_ANONYMOUS

#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"
#include "internal.h"
#include "made_model.h"
#include "tokproc.h"
#include "usb.h"
#include "usb_server.h"

enum {
    VOCAB = 33,
    CONTEXT = 16,
    TOKENS = 5,
    PROMPT = 2,
    BOARDS = 3,
    SPARSE = 3,
    POLL_MS = 50,
    CASE_LIMIT_S = 60,
    FAULTS_LEAST = 200
};

static tp_context *context;
static tp_model *model;  // quantised once
static struct tp_usb_server *server;
static struct tp_error error;

// Faults of all tests, which run in processes of their own.
static atomic_uint *total;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- runs ----

static const uint32_t prompts[BOARDS][PROMPT] = {{1, 20}, {1, 7}, {1, 30}};

struct run {
    uint32_t prompt;  // index
    tp_status status;
    struct tp_error error;
    uint32_t count;
    uint32_t tokens[TOKENS];
};

static struct run expected[BOARDS];

// Makes a program give up at its next opportunity.
static atomic_bool must_close;

static bool go_on(void *user, const char *what, double fraction)
{
    (void)user;
    (void)what;
    (void)fraction;
    return !must_close;
}

static tp_status read_tokens(tp_session *session, struct run *run)
{
    struct tp_token token = {.end = TP_END_NONE};
    while (token.end == TP_END_NONE) {
        tp_status status = tp_session_read(session, &token, POLL_MS, &run->error);
        if (must_close) {
            return TP_ERROR_CANCELLED;
        }
        if (status == TP_OK && token.end == TP_END_NONE) {
            ck_assert_uint_lt(run->count, TOKENS);
            run->tokens[run->count++] = token.id;
        } else if (status != TP_OK && status != TP_ERROR_TIMEOUT) {
            return status;
        }
    }
    return token.end == TP_END_LIMIT ? TP_OK : TP_ERROR_DEVICE;
}

static tp_status run_session(tp_device *device, struct run *run)
{
    const struct tp_session_options options = {.temperature = 4.0f, .seed = 5, .ignore_eos = true};
    tp_session *session = NULL;
    tp_status status = tp_session_create(device, &options, &session, &run->error);
    if (status != TP_OK) {
        return status;
    }
    status = tp_session_feed(session, prompts[run->prompt], PROMPT, &run->error);
    status = status == TP_OK ? tp_session_generate(session, TOKENS, &run->error) : status;
    status = status == TP_OK ? read_tokens(session, run) : status;
    tp_session_destroy(session);
    return status;
}

static tp_device *open_loaded(const char *name, struct run *run)
{
    const struct tp_load_options load = {.sessions = 1};
    tp_device *device = NULL;
    run->status = tp_device_open(context, name, &device, &run->error);
    if (run->status == TP_OK) {
        run->status = tp_device_load(device, model, &load, &run->error);
    }
    if (run->status != TP_OK) {
        tp_device_close(device);
        return NULL;
    }
    return device;
}

// A whole short run: opens, loads, streams, closes.
static struct run play(const char *name, uint32_t prompt)
{
    struct run run = {.prompt = prompt};
    tp_device *device = open_loaded(name, &run);
    if (device != NULL) {
        run.status = run_session(device, &run);
        tp_device_close(device);
    }
    return run;
}

static void is_expected(const struct run *run)
{
    ck_assert_msg(run->status == TP_OK, "%s", run->error.text);
    ck_assert_uint_eq(run->count, TOKENS);
    ck_assert_mem_eq(run->tokens, expected[run->prompt].tokens, sizeof run->tokens);
}

// ---- boards ----

#ifdef TP_PLANT_BUG
static void lie(struct tp_frame *frame)
{
    if (frame->type == TP_FRAME_TOKEN && tp__get16(frame->payload + 4) == 3) {
        frame->payload[2] ^= 1;
    }
}
#else
#define lie NULL
#endif

static struct tp_usb_port *plug(const struct tp_usb_plug *how)
{
    struct tp_usb_plug plug = *how;
    plug.place = plug.place == NULL ? "1-1" : plug.place;
    plug.function.device = &tp__backend_emulator;
    plug.function.name = "ulx3s-85f";
    plug.function.serial = plug.function.serial == NULL ? "A1" : plug.function.serial;
    plug.function.tamper = lie;
    return tp_usb_server_plug(server, &plug);
}

static const struct tp_usb_plug plain;

// Once: all tests inherit model and expectations.
static void prepare(void)
{
    const struct tp_test_model made = {32, 32, 1, 1, 1, VOCAB, CONTEXT, false, 7};
    const struct tp_context_options hooks = {.progress = go_on};
    OK(tp_context_create(&hooks, &context, &error));
    const struct tp_quantise_options quantise = {.format = TP_FORMAT_NF4, .plain = true};
    tp_model *origin = NULL;
    tp_test_open_made_model(context, &made, false, &origin);
    OK(tp_model_quantise(origin, &quantise, &model, &error));
    tp_model_close(origin);
    for (uint32_t i = 0; i < BOARDS; i++) {
        expected[i] = play("emu:ulx3s-85f", i);
        ck_assert_uint_eq(expected[i].count, TOKENS);
    }
}

static void clean_up(void)
{
    tp_model_close(model);
    tp_context_destroy(context);
}

static void setup(void)
{
    server = tp_usb_server_start();
}

static void teardown(void)
{
    tp_usb_server_stop(server);
}

START_TEST(a_board_gives_the_tokens_of_the_emulator)
{
    (void)plug(&plain);
    for (int i = 0; i < 2; i++) {
        const struct run run = play(i == 0 ? "usb" : "usb:A1", 0);
        is_expected(&run);
    }
}
END_TEST

// A transfer that is late has others behind it.
START_TEST(packets_behind_others_are_full)
{
    struct tp_usb_port *port = plug(&plain);
    for (uint32_t transfer = 0; transfer < 20; transfer += 4) {
        tp_usb_server_fault(port, TP_USB_LATE, transfer, NULL, NULL);
        const struct run run = play("usb", 0);
        is_expected(&run);
        ck_assert_uint_eq(tp_usb_server_gaps(port), 0);
    }
}
END_TEST

// ---- faults ----

// Whether fault number `which` meets transfer i. A transfer meets a third of the faults, which
// ones changes from one to the next; TP_USB_ALL=1: all faults at all transfers, which takes
// minutes.
static bool is_met(uint32_t transfer, int which)
{
    return getenv("TP_USB_ALL") != NULL || (transfer + (uint32_t)which) % SPARSE == 0;
}

// What a fault leads to: the words of an error, or NULL, the run goes on.
static const struct {
    enum tp_usb_fault fault;
    const char *words;
} faults[] = {
    {TP_USB_STALL, NULL},
    {TP_USB_SHORT, NULL},
    {TP_USB_SILENT, NULL},
    {TP_USB_CANCEL, NULL},
    {TP_USB_LATE, NULL},
    {TP_USB_LOST_ACK, NULL},
    {TP_USB_LOST, NULL},
    {TP_USB_DOUBLED, NULL},
    {TP_USB_FLIPPED, NULL},
    {TP_USB_BABBLE, NULL},
    {TP_USB_STALL_FOREVER, "stalls, also after it was reset"},
    {TP_USB_SILENT_FOREVER, "does not answer, also after it was reset"},
    {TP_USB_BABBLE_FOREVER, "too large, also after it was reset"},
    {TP_USB_UNPLUG, "was unplugged"},
};

static void judge(const struct run *run, const char *words, uint32_t transfer)
{
    if (words == NULL) {
        ck_assert_msg(run->status == TP_OK, "transfer %u: %s", transfer, run->error.text);
        is_expected(run);
    } else {
        ck_assert_msg(run->status != TP_OK && strstr(run->error.text, words) != NULL,
                      "transfer %u: %s", transfer, run->error.text);
    }
}

START_TEST(a_fault_of_any_transfer_ends_well)
{
    struct tp_usb_port *port = plug(&plain);
    uint32_t injected = 0;
    tp_usb_server_fault(port, TP_USB_NO_FAULT, 0, NULL, NULL);
    struct run run = play("usb", 0);
    is_expected(&run);
    uint32_t transfers = tp_usb_server_transfers(port);
    for (uint32_t i = 0; i < transfers; i++) {
        if (!is_met(i, _i)) {
            continue;
        }
        double start = tp__seconds();
        tp_usb_server_fault(port, faults[_i].fault, i, NULL, NULL);
        run = play("usb", 0);
        ck_assert_msg(tp__seconds() - start < CASE_LIMIT_S, "transfer %u: %s", i, run.error.text);
        if (!tp_usb_server_injected(port)) {
            continue;
        }
        injected++;
        judge(&run, faults[_i].words, i);
        if (run.status != TP_OK) {
            tp_usb_server_fault(port, TP_USB_NO_FAULT, 0, NULL, NULL);
            if (faults[_i].fault == TP_USB_UNPLUG) {
                tp_usb_server_unplug(port);  // waits until it is out of the bed
                port = plug(&plain);
            }
            run = play("usb", 0);
            is_expected(&run);
        }
    }
    printf("USB: %s at some of %u transfers: %u times, and each time %s\n",
           tp_usb_fault_name(faults[_i].fault), transfers, injected,
           faults[_i].words == NULL ? "the run went on"
                                    : "it ended with an error, the next went on");
    *total += injected;
}
END_TEST

// The program that uses the board is killed, or gives up, at a transfer; another one follows.
static pid_t victim;

static void kill_victim(void *user)
{
    (void)user;
    (void)kill(victim, SIGKILL);
}

static void give_up(void *user)
{
    (void)user;
    must_close = true;
}

static struct run play_when_free(void)
{
    double until = tp__seconds() + CASE_LIMIT_S;
    struct run run = {.status = TP_ERROR_BUSY};
    // The test bed hears a little later than a kernel that a program has died.
    while (run.status == TP_ERROR_BUSY && tp__seconds() < until) {
        run = play("usb", 1);
    }
    return run;
}

// Returns whether it was still running.
static bool play_in_a_victim(struct tp_usb_port *port, uint32_t transfer)
{
    int status = 0;
    int armed[2];
    char byte = 0;
    ck_assert_int_eq(pipe(armed), 0);
    victim = fork();
    if (victim == 0) {
        (void)!read(armed[0], &byte, 1);
        const struct run run = play("usb", 0);
        _exit(run.status == TP_OK ? 0 : 1);
    }
    tp_usb_server_fault(port, TP_USB_HOOK, transfer, kill_victim, NULL);
    ck_assert_int_eq(write(armed[1], &byte, 1), 1);
    (void)waitpid(victim, &status, 0);
    (void)close(armed[0]);
    (void)close(armed[1]);
    return WIFSIGNALED(status);
}

START_TEST(a_program_that_ends_at_any_transfer_leaves_a_usable_board)
{
    struct tp_usb_port *port = plug(&plain);
    uint32_t injected = 0;
    bool is_killed = _i == 0;
    tp_usb_server_fault(port, TP_USB_NO_FAULT, 0, NULL, NULL);
    struct run run = play("usb", 0);
    is_expected(&run);
    uint32_t transfers = tp_usb_server_transfers(port);
    for (uint32_t i = 0; i < transfers; i++) {
        if (!is_met(i, _i)) {
            continue;
        }
        must_close = false;
        if (is_killed) {
            injected += play_in_a_victim(port, i);
        } else {
            tp_usb_server_fault(port, TP_USB_HOOK, i, give_up, NULL);
            run = play("usb", 0);
            injected += tp_usb_server_injected(port);
        }
        must_close = false;
        tp_usb_server_fault(port, TP_USB_NO_FAULT, 0, NULL, NULL);
        run = play_when_free();
        is_expected(&run);
    }
    printf("USB: a program %s at some of %u transfers: %u times, and each time the next went on\n",
           is_killed ? "is killed" : "gives up", transfers, injected);
    *total += injected;
}
END_TEST

START_TEST(enough_faults_were_injected)
{
    printf("USB: %u faults were injected\n", *total);
    ck_assert_uint_ge(*total, FAULTS_LEAST);
}
END_TEST

// ---- several boards ----

static void *play_beside_others(void *user)
{
    struct run *run = user;
    static const char *const names[BOARDS] = {"usb:A1", "usb:B2", "usb:1-3"};
    *run = play(names[run->prompt], run->prompt);
    return NULL;
}

START_TEST(boards_at_once_share_nothing)
{
    static const struct tp_usb_plug plugs[BOARDS] = {
        {.place = "1-1"},
        {.place = "1-2", .function.serial = "B2"},
        {.place = "1-3", .function.serial = "C3"},
    };
    pthread_t threads[BOARDS];
    struct run runs[BOARDS];
    for (uint32_t i = 0; i < BOARDS; i++) {
        (void)plug(&plugs[i]);
        runs[i].prompt = i;
    }
    for (uint32_t i = 0; i < BOARDS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, play_beside_others, &runs[i]), 0);
    }
    for (uint32_t i = 0; i < BOARDS; i++) {
        (void)pthread_join(threads[i], NULL);
        is_expected(&runs[i]);
    }
}
END_TEST

// ---- what is said when a board cannot be opened ----

static void says(const char *name, tp_status status, const char *words)
{
    tp_device *device = NULL;
    struct tp_error said = {.status = TP_OK};
    ck_assert_int_eq(tp_device_open(context, name, &device, &said), status);
    ck_assert_msg(strstr(said.text, words) != NULL, "%s", said.text);
    ck_assert_ptr_null(strchr(said.text, '\n'));
}

START_TEST(no_board_is_found)
{
    says("usb", TP_ERROR_NOT_FOUND, "not plugged in");
    says("usb:A1", TP_ERROR_NOT_FOUND, "tokproc flash");
    // The numbers are for tests: whoever makes a device may use them.
    (void)plug(&(struct tp_usb_plug){.function.subclass = 1});
    says("usb", TP_ERROR_NOT_FOUND, "not plugged in");
    (void)plug(&(struct tp_usb_plug){.place = "1-2"});
    const struct run run = play("usb", 0);
    is_expected(&run);
}
END_TEST

// The owner of a file may open it without this capability only when its mode says so.
static void give_up_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

START_TEST(a_user_without_permission_is_told_of_the_rule)
{
    struct tp_usb_board board;
    (void)plug(&(struct tp_usb_plug){.is_forbidden = true});
    give_up_capabilities();
    says("usb", TP_ERROR_DEVICE, "usb:1-1 may not be opened");
    says("usb:A1", TP_ERROR_DEVICE, "70-tokproc.rules");
    ck_assert_uint_eq(tp__usb_boards(&board, 1), 1);
    ck_assert_str_eq(board.name, "usb:1-1");
    ck_assert_ptr_nonnull(strstr(board.text, "no permission"));
}
END_TEST

START_TEST(a_board_that_is_in_use_is_busy)
{
    struct run run = {.prompt = 0};
    (void)plug(&(struct tp_usb_plug){.is_claimed = true});
    says("usb", TP_ERROR_BUSY, "usb:A1 is in use by another program");
    (void)plug(&(struct tp_usb_plug){.place = "1-2", .function.serial = "B2"});
    tp_device *device = open_loaded("usb:B2", &run);
    says("usb:B2", TP_ERROR_BUSY, "in use");
    run.status = run_session(device, &run);  // not disturbed
    is_expected(&run);
    tp_device_close(device);
}
END_TEST

START_TEST(another_version_of_the_link_is_named)
{
    (void)plug(&(struct tp_usb_plug){.function.version = 9});
    says("usb", TP_ERROR_DEVICE, "usb:A1 speaks version 9 of the link, this library version 3");
}
END_TEST

START_TEST(several_boards_are_listed)
{
    struct tp_usb_board boards[2];
    (void)plug(&plain);
    (void)plug(&(struct tp_usb_plug){.place = "1-2", .function.serial = "B2"});
    says("usb", TP_ERROR_NOT_FOUND, "means 2 boards");
    says("usb", TP_ERROR_NOT_FOUND, "usb:A1");
    says("usb", TP_ERROR_NOT_FOUND, "usb:B2");
    says("usb:C3", TP_ERROR_NOT_FOUND, "has the serial number or the place C3");
    ck_assert_uint_eq(tp__usb_boards(boards, 1), 2);
    ck_assert_uint_eq(tp__usb_boards(boards, 2), 2);
    ck_assert_ptr_nonnull(strstr(boards[0].text, "link version 3"));
}
END_TEST

START_TEST(boards_with_one_serial_number_are_told_by_place)
{
    (void)plug(&plain);
    (void)plug(&(struct tp_usb_plug){.place = "1-2"});
    says("usb:A1", TP_ERROR_NOT_FOUND, "usb:1-1");
    says("usb:A1", TP_ERROR_NOT_FOUND, "usb:1-2");
    const struct run run = play("usb:1-2", 0);
    is_expected(&run);
}
END_TEST

// Other devices stand for the hubs.
START_TEST(a_place_behind_a_hub_has_all_ports)
{
    (void)plug(&(struct tp_usb_plug){.place = "usb1", .function.subclass = 1});
    (void)plug(&(struct tp_usb_plug){.place = "1-1", .function.subclass = 1});
    (void)plug(&(struct tp_usb_plug){.place = "1-1.2"});
    (void)plug(&(struct tp_usb_plug){.place = "1-1.4"});
    says("usb:1-1", TP_ERROR_NOT_FOUND, "usb:1-1.2");
    says("usb:1-1", TP_ERROR_NOT_FOUND, "usb:1-1.4");
    const struct run run = play("usb:1-1.4", 0);
    is_expected(&run);
}
END_TEST

START_TEST(a_board_that_does_not_open_the_link_is_named)
{
    (void)plug(&(struct tp_usb_plug){.function.is_ignorant = true});
    (void)plug(
        &(struct tp_usb_plug){.place = "1-2", .function.serial = "B2", .is_unanswered = true});
    says("usb:A1", TP_ERROR_DEVICE, "usb:A1 does not know the request");
    says("usb:B2", TP_ERROR_TIMEOUT, "usb:B2 does not answer");
}
END_TEST

START_TEST(the_rule_names_the_device)
{
    char text[1024] = {0};
    char words[64];
    FILE *file = fopen("host/usb/70-tokproc.rules", "rb");
    ck_assert_ptr_nonnull(file);
    (void)fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    (void)snprintf(words, sizeof words, "ATTR{idVendor}==\"%04x\"", TP_USB_VENDOR);
    ck_assert_ptr_nonnull(strstr(text, words));
    (void)snprintf(words, sizeof words, "ATTR{idProduct}==\"%04x\"", TP_USB_PRODUCT);
    ck_assert_ptr_nonnull(strstr(text, words));
}
END_TEST

Suite *tp_test_suite(void)
{
    tp_usb_server_preload();
    total = mmap(NULL, sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    setenv("TP_TIME_SCALE", "0.4", 0);  // of a board's limits
    Suite *suite = suite_create("usb");
    TCase *tc = tcase_create("boards");
    tcase_add_unchecked_fixture(tc, prepare, clean_up);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, a_board_gives_the_tokens_of_the_emulator);
    tcase_add_test(tc, packets_behind_others_are_full);
    tcase_add_test(tc, boards_at_once_share_nothing);
    tcase_add_test(tc, no_board_is_found);
    tcase_add_test(tc, a_user_without_permission_is_told_of_the_rule);
    tcase_add_test(tc, a_board_that_is_in_use_is_busy);
    tcase_add_test(tc, another_version_of_the_link_is_named);
    tcase_add_test(tc, several_boards_are_listed);
    tcase_add_test(tc, boards_with_one_serial_number_are_told_by_place);
    tcase_add_test(tc, a_place_behind_a_hub_has_all_ports);
    tcase_add_test(tc, a_board_that_does_not_open_the_link_is_named);
    tcase_add_test(tc, the_rule_names_the_device);
    tcase_add_loop_test(tc, a_fault_of_any_transfer_ends_well, 0, sizeof faults / sizeof *faults);
    tcase_add_loop_test(tc, a_program_that_ends_at_any_transfer_leaves_a_usable_board, 0, 2);
    tcase_add_test(tc, enough_faults_were_injected);
    suite_add_tcase(suite, tc);
    return suite;
}

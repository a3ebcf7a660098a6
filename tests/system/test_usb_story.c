// SPDX-License-Identifier: Apache-2.0
//
// Claims about the unmodified program and a board on USB with the simulated RTL behind its
// endpoints (tests/common/usb_server.h): `tokproc run -d usb` streams the story that `-d emu`
// streams, also after another run was killed in the middle of it; `tokproc devices` lists the
// board; without one, one line says what to do.
//
// The shipped model on ulx3s-85f. Skipped where the simulated device was not built. Not covered:
// faults of the bus (tests/host/test_usb.c), the USB core (tests/rtl).
//
// TP_TIME_LIMIT_S: 600
// TP_LINK: $(pkg-config --libs umockdev-1.0)

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"
#include "usb_server.h"

enum { TEXT_BYTES = 1 << 16, TRANSFERS_OF_LOADING = 1000, STORY_BYTES_LEAST = 400 };

#define CONFIG "ulx3s-85f"
static char image[] = "/tmp/tp_story_XXXXXX";  // the shipped model, quantised once
static char story[128];                        // the arguments of a run

static struct tp_usb_server *server;

static const char *build_folder(void)
{
    const char *folder = getenv("TP_BUILD");
    return folder != NULL ? folder : "build";
}

static const char *program(void)
{
    static char path[512];
    const char *name = getenv("TOKPROC");
    (void)snprintf(path, sizeof path, "%s/tokproc", build_folder());
    return name != NULL ? name : path;
}

// Runs the program; text becomes what it prints, errors too. Returns its exit status.
static int run(const char *arguments, char *text)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "'%s' %s 2>&1", program(), arguments);
    FILE *output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    size_t size = fread(text, 1, TEXT_BYTES - 1, output);
    text[size] = 0;
    int status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// False, with the test marked as skipped: the device was not built.
static bool plug(struct tp_usb_port **port)
{
    static char folder[512];
    char path[600];
    (void)snprintf(folder, sizeof folder, "%s/sim", build_folder());
    (void)snprintf(path, sizeof path, "%s/" CONFIG ".so", folder);
    if (access(path, R_OK) != 0) {
        tp_test_skip("sim:" CONFIG " was not built");
        return false;
    }
    const struct tp_usb_plug plug = {.function = {.device = &tp__backend_sim,
                                                  .name = CONFIG,
                                                  .folder = folder,
                                                  .serial = "0000A001"},
                                     .place = "1-4"};
    *port = tp_usb_server_plug(server, &plug);
    return true;
}

static void setup(void)
{
    static char text[TEXT_BYTES];
    char arguments[256];
    int file = mkstemp(image);
    ck_assert_int_ge(file, 0);
    (void)close(file);
    (void)snprintf(arguments, sizeof arguments,
                   "quantize -m models/tokproc-stories.bin --format nf4 --force -q "
                   "--plain --calibrate models/prompts.txt -o %s",
                   image);
    ck_assert_msg(run(arguments, text) == 0, "%s", text);
    (void)snprintf(story, sizeof story, "run -m %s --temp 0.3 -n 400 -q -p 'Once upon a time'",
                   image);
    server = tp_usb_server_start();
}

static void teardown(void)
{
    tp_usb_server_stop(server);
    (void)unlink(image);
}

static void kill_program(void *user)
{
    (void)kill(*(const pid_t *)user, SIGKILL);
}

static int run_story(const char *device, char *text)
{
    char arguments[256];
    (void)snprintf(arguments, sizeof arguments, "%s -d %s", story, device);
    return run(arguments, text);
}

// Starts a story, and kills the program when it has begun to stream.
static void kill_a_story(struct tp_usb_port *port)
{
    int status = 0;
    int go[2];
    char byte = 0;
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!read(go[0], &byte, 1);
        char command[1024];
        (void)snprintf(command, sizeof command, "exec '%s' %s -d usb > /dev/null", program(),
                       story);
        (void)execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    tp_usb_server_fault(port, TP_USB_HOOK, TRANSFERS_OF_LOADING, kill_program, &pid);
    ck_assert_int_eq(write(go[1], &byte, 1), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status), "the story ended before it was killed");
}

START_TEST(a_story_through_the_rtl_is_that_of_the_emulator)
{
    static char expected[TEXT_BYTES];
    static char text[TEXT_BYTES];
    struct tp_usb_port *port = NULL;
    if (!plug(&port)) {
        return;
    }
    ck_assert_int_eq(run_story("emu", expected), 0);
    ck_assert_uint_ge(strlen(expected), STORY_BYTES_LEAST);
    kill_a_story(port);
    ck_assert_int_eq(run_story("usb:0000A001", text), 0);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(run("devices", text), 0);
    ck_assert_msg(strstr(text, "usb:0000A001") != NULL && strstr(text, "at 1-4") != NULL, "%s",
                  text);
}
END_TEST

START_TEST(without_a_board_one_line_says_what_to_do)
{
    static char text[TEXT_BYTES];
    ck_assert_int_eq(run_story("usb", text), 1);
    ck_assert_msg(strstr(text, "try: tokproc flash") != NULL, "%s", text);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

Suite *tp_test_suite(void)
{
    tp_usb_server_preload();
    setenv("TP_TIME_SCALE", "40", 0);  // a simulated step takes longer than a board's
    Suite *suite = suite_create("USB story");
    TCase *tc = tcase_create("program");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 550);
    tcase_add_test(tc, a_story_through_the_rtl_is_that_of_the_emulator);
    tcase_add_test(tc, without_a_board_one_line_says_what_to_do);
    suite_add_tcase(suite, tc);
    return suite;
}

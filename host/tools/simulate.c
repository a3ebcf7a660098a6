// SPDX-License-Identifier: Apache-2.0
//
// tokproc simulate: a device that outlives a command.

#include <signal.h>
#include <stdio.h>

#include "boards.h"
#include "verbs.h"

static tp_server *server;  // for the signal handler

static void on_end(int number)
{
    (void)number;
    tp_server_stop(server);
}

static void catch_end(void)
{
    struct sigaction action = {.sa_handler = on_end};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static int announce(const struct options *options, const char *device)
{
    if (options->json) {
        return print_json(
            json_pack("{s:s, s:s}", "device", device, "listening", tp_server_name(server)));
    }
    printf("listening on %s\n", tp_server_name(server));
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int boot(const struct work *work, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    char map[MAP_PATH_BYTES];
    const struct tp_boot_options boot_options = {.bits = options->boot, .map = map};
    int status = find_map_of_device(options, work->device_name, map);
    if (status != EXIT_OK) {
        return status;
    }
    return tp_server_boot(server, &boot_options, NULL, &error) == TP_OK ? EXIT_OK : failed(&error);
}

int verb_simulate(const struct options *options)
{
    struct work work = {.device_name = ""};
    struct tp_error error = {.status = TP_OK};
    const struct tp_context_options context_options = {.device_folder = options->device_folder};
    const char *address = options->listen != NULL ? options->listen : "127.0.0.1:0";
    if (options->listen != NULL && options->pty) {
        fprintf(stderr, "tokproc: --listen and --pty are two devices - try: one of them\n");
        return EXIT_USAGE;
    }
    if (tp_context_create(&context_options, &work.context, &error) != TP_OK) {
        return failed(&error);
    }
    int status = work_choose_device(&work, options, 0, NULL);
    if (status == EXIT_OK && tp_server_open(work.context, work.device_name,
                                            options->pty ? NULL : address, &server, &error)) {
        status = failed(&error);
    }
    if (status == EXIT_OK && options->boot != NULL) {
        status = boot(&work, options);
    }
    if (status == EXIT_OK) {
        catch_end();
        status = announce(options, work.device_name);
    }
    if (status == EXIT_OK && tp_server_run(server, &error) != TP_OK) {
        status = failed(&error);
    }
    tp_server_close(server);
    work_close(&work);
    return status;
}

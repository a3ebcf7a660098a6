// SPDX-License-Identifier: Apache-2.0
//
// Runs openFPGALoader and understands what it says (versions 0.10 to 1.1).

#include "programmer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char program[] = "openFPGALoader";

// It may not take longer; erasing, writing and reading back a flash takes minutes.
enum { ASK_S = 10, WRITE_S = 3600, POLL_MS = 100, CHUNK_BYTES = 512, LINE_BYTES = 160 };
enum { ARGUMENTS_MAX = 12, STATUS_NOT_FOUND = 127, LINES_SHOWN = 8 };

// ---- a child that is heard ----

// The child is a group of its own: Ctrl-C reaches it through us, so that we can tell what it left.
static pid_t start(const char *const *arguments, int *output)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        (void)setpgid(0, 0);
        int nothing = open("/dev/null", O_RDONLY);
        (void)dup2(nothing, STDIN_FILENO);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(STATUS_NOT_FOUND);
    }
    (void)setpgid(child, child);
    (void)close(ends[1]);
    *output = ends[0];
    return child;
}

// Keeps the end of what comes.
static void keep(struct programmer_run *run, const char *data, size_t size)
{
    size_t room = sizeof run->output - 1;
    if (run->output_bytes + size > room) {
        size_t lost = run->output_bytes + size - room;
        memmove(run->output, run->output + lost, run->output_bytes - lost);
        run->output_bytes -= lost;
    }
    memcpy(run->output + run->output_bytes, data, size);
    run->output_bytes += size;
    run->output[run->output_bytes] = 0;
}

// Its progress is a line "Loading: [====    ] 50.00%", written over and over.
static void follow(const struct options *options, char line[LINE_BYTES], const char *data,
                   size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char label[32];
        double percent = 0;
        size_t used = strlen(line);
        if (data[i] == '\r' || data[i] == '\n') {
            line[0] = 0;
        } else if (data[i] == '%' && sscanf(line, "%31[^:]: [%*[= ]] %lf", label, &percent) == 2) {
            draw_progress(options, label, percent / 100);
        } else if (used + 1 < LINE_BYTES) {
            line[used] = data[i];
            line[used + 1] = 0;
        }
    }
}

static void run_program(const struct options *options, const char *const *arguments, double limit_s,
                        struct programmer_run *run)
{
    int output = -1;
    char line[LINE_BYTES] = "";
    char chunk[CHUNK_BYTES];
    double started = seconds_now();
    bool told = false;
    *run = (struct programmer_run){.status = STATUS_NOT_FOUND};
    pid_t child = start(arguments, &output);
    if (child < 0) {
        return;
    }
    for (;;) {
        struct pollfd ready = {.fd = output, .events = POLLIN};
        if (!told && (interrupted() || seconds_now() - started > limit_s)) {
            told = true;
            (void)kill(-child, interrupted() ? SIGINT : SIGKILL);
        }
        if (poll(&ready, 1, POLL_MS) <= 0) {
            continue;
        }
        ssize_t got = read(output, chunk, sizeof chunk);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        keep(run, chunk, got > 0 ? (size_t)got : 0);
        follow(options, line, chunk, got > 0 ? (size_t)got : 0);
    }
    (void)close(output);
    draw_progress(options, "", 1);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (told && !interrupted()) {
        (void)snprintf(run->text, sizeof run->text, "%s did not end within %.0f s", program,
                       limit_s);
    }
}

// ---- what it says ----

static bool says(const struct programmer_run *run, const char *text)
{
    return strstr(run->output, text) != NULL;
}

static void read_last_line(const struct programmer_run *run, char line[LINE_BYTES])
{
    line[0] = 0;
    for (const char *at = run->output; *at != 0; at += strspn(at, "\r\n")) {
        size_t size = strcspn(at, "\r\n");
        (void)snprintf(line, size != 0 ? LINE_BYTES : 0, "%.*s", (int)size, at);
        at += size;
    }
}

// Why it failed, where nobody knew better.
static void explain(const struct cable *cable, struct programmer_run *run)
{
    const char *what = NULL;
    if (run->text[0] != 0) {
        return;
    }
    if (says(run, "device not found")) {
        what = "the cable is gone - try: plug it in again";
    } else if (says(run, "device: -4") || says(run, "device: -8")) {
        what = "the cable cannot be opened - try: the udev rule of the package openfpgaloader, "
               "sudo usermod -aG plugdev $USER, and a new login (docs/boards.md)";
    } else if (says(run, "device: -5")) {
        what = "another program holds the cable - try: end it";
    } else if (says(run, "stuck at 0")) {
        what = "no FPGA answers on the cable - try: the power of the board, another cable";
    }
    if (what != NULL) {
        (void)snprintf(run->text, sizeof run->text, "%s (%s): %s", cable->place, cable->serial,
                       what);
    } else {
        char line[LINE_BYTES];
        read_last_line(run, line);
        (void)snprintf(run->text, sizeof run->text, "%s failed (exit status %d): %s", program,
                       run->status, line);
    }
}

void programmer_show(const struct programmer_run *run)
{
    const char *first = run->output + run->output_bytes;
    for (int lines = 0; first > run->output; first--) {
        lines += first[-1] == '\n' && first[0] != 0;
        if (lines == LINES_SHOWN) {
            break;
        }
    }
    bool at_start = true;
    for (; *first != 0; first++) {
        bool ends = *first == '\n' || *first == '\r';
        if (!ends || !at_start) {
            fprintf(stderr, "%s%c", at_start ? "  | " : "", ends ? '\n' : *first);
        }
        at_start = ends;
    }
    fprintf(stderr, "%s", at_start ? "" : "\n");
}

// ---- calls ----

bool programmer_find(char version[TP_NAME_BYTES], struct programmer_run *run)
{
    static const struct options quiet = {.quiet = true};
    const char *const arguments[] = {program, "--Version", NULL};
    run_program(&quiet, arguments, ASK_S, run);
    if (run->status == STATUS_NOT_FOUND) {
        (void)snprintf(run->text, sizeof run->text,
                       "%s is not installed - try: sudo apt install openfpgaloader", program);
    } else if (run->status != 0) {
        explain(&(struct cable){.place = ""}, run);
    }
    (void)snprintf(version, TP_NAME_BYTES, "%.*s", (int)strcspn(run->output, "\r\n"), run->output);
    return run->status == 0;
}

// The words that all calls begin with; returns their number.
static size_t begin(const struct cable *cable, const char **arguments)
{
    size_t count = 0;
    arguments[count++] = program;
    arguments[count++] = "--board";
    arguments[count++] = "ulx3s";
    if (cable->serial[0] != 0) {
        arguments[count++] = "--ftdi-serial";
        arguments[count++] = cable->serial;
    }
    return count;
}

// With --verbose-level it prints each IDCODE as it comes, "- 0 -> 0x41113043"; the list behind that
// has those of related parts in some versions. 0 and all ones: nobody there.
static uint32_t read_idcodes(const struct programmer_run *run, uint32_t *idcode)
{
    uint32_t count = 0;
    for (const char *at = run->output; (at = strstr(at, "-> 0x")) != NULL; at++) {
        uint32_t value = (uint32_t)strtoul(at + strlen("-> "), NULL, 16);
        if (value != 0 && value != UINT32_MAX) {
            *idcode = value;
            count++;
        }
    }
    return count;
}

bool programmer_detect(const struct options *options, const struct cable *cable, uint32_t *idcode,
                       struct programmer_run *run)
{
    const char *arguments[ARGUMENTS_MAX] = {NULL};
    size_t count = begin(cable, arguments);
    arguments[count++] = "--detect";
    arguments[count++] = "--verbose-level";
    arguments[count++] = "1";
    run_program(options, arguments, ASK_S, run);
    uint32_t parts = read_idcodes(run, idcode);
    if (run->status == 0 && run->text[0] == 0 && parts != 1) {
        (void)snprintf(run->text, sizeof run->text,
                       parts == 0 ? "no FPGA answers on the cable - try: the power of the board, "
                                    "another cable"
                                  : "%" PRIu32 " parts answer on the cable, which is no ULX3S",
                       parts);
        return false;
    }
    if (run->status != 0) {
        explain(cable, run);
    }
    return run->status == 0 && run->text[0] == 0;
}

static void write_arguments(const struct options *options, const struct cable *cable,
                            const char *bits, const char **arguments)
{
    size_t count = begin(cable, arguments);
    // It plays SVF by the name of the file.
    if (!options->partial) {
        arguments[count++] = options->permanent ? "--write-flash" : "--write-sram";
    }
    if (options->permanent) {
        arguments[count++] = "--verify";
    }
    arguments[count++] = bits;
}

bool programmer_write(const struct options *options, const struct cable *cable, const char *bits,
                      struct programmer_run *run)
{
    const char *arguments[ARGUMENTS_MAX] = {NULL};
    write_arguments(options, cable, bits, arguments);
    run_program(options, arguments, WRITE_S, run);
    if (run->status != 0) {
        explain(cable, run);
    }
    return run->status == 0 && run->text[0] == 0;
}

void programmer_command(const struct options *options, const struct cable *cable, const char *bits,
                        char *text, size_t size)
{
    const char *arguments[ARGUMENTS_MAX] = {NULL};
    write_arguments(options, cable, bits, arguments);
    size_t used = 0;
    for (size_t i = 0; arguments[i] != NULL && used < size; i++) {
        int more = snprintf(text + used, size - used, "%s%s", i == 0 ? "" : " ", arguments[i]);
        used += more > 0 ? (size_t)more : 0;
    }
}

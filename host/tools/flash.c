// SPDX-License-Identifier: Apache-2.0
//
// tokproc flash: a bitstream into a board, from the file to the device's hello.

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boards.h"
#include "flash_partial.h"
#include "programmer.h"
#include "verbs.h"

// The serial driver comes back, or the device is enumerated, in less.
enum { DEVICE_WAIT_S = 10, WAIT_MS = 200, TEXT_BYTES = 2 * SHIPPED_BYTES };

struct flash {
    struct tp_board_info board;
    struct board_bits bits;
    struct cable cable;
    uint32_t idcode;
    struct programmer_run run;
    struct tp_device_info device;
    char device_name[TP_DEVICE_NAME_BYTES];
    double seconds;
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "tokproc: ");
    (void)vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    return EXIT_FAILED;
}

// One line for each step.
__attribute__((format(printf, 3, 4))) static void tell(const struct options *options,
                                                       const char *step, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!options->quiet) {
        fprintf(stderr, "%-10s ", step);
        (void)vfprintf(stderr, format, list);
        fprintf(stderr, "\n");
    }
    va_end(list);
}

// ---- before anything is written ----

static int check_bits(struct flash *f, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    if (!has_core(&f->board)) {
        return EXIT_FAILED;
    }
    if (read_bits(options, f->board.name, &f->bits, &error) != TP_OK) {
        return failed(&error);
    }
    tell(options, "bitstream", "%s, %" PRIu64 " bytes as its manifest says, build %08" PRIx32,
         f->bits.path, f->bits.info.bits_bytes, f->bits.info.build);
    if (f->bits.stale[0] != 0) {
        tell(options, "", "note: %s", f->bits.stale);
    }
    return EXIT_OK;
}

// A bitstream for another FPGA is never offered to the loader.
static int compare_parts(struct flash *f, const struct options *options)
{
    struct tp_board_info there;
    if (!board_of_idcode(f->idcode, &there)) {
        return complain("the FPGA on the cable has IDCODE 0x%08" PRIx32
                        ", which is of no board here - try: tokproc plan lists the boards",
                        f->idcode);
    }
    tell(options, "FPGA", "IDCODE 0x%08" PRIx32 ", %s", f->idcode, there.text);
    if (options->board == NULL) {
        f->board = there;
        return check_bits(f, options);
    }
    if (there.idcode != f->board.idcode) {
        bool can_have_bits = strcmp(there.configuration, "none") != 0;
        return complain("the board has an %.9s, this bitstream is for an %.9s; nothing was written "
                        "- try: tokproc %s --board %s",
                        there.part, f->board.part, can_have_bits ? "flash" : "plan", there.name);
    }
    return EXIT_OK;
}

// The loader did not do what it was asked before the write.
static int give_up(const struct programmer_run *run)
{
    if (interrupted()) {
        (void)complain("interrupted; nothing was written");
        return EXIT_INTERRUPTED;
    }
    programmer_show(run);
    return complain("%s", run->text);
}

static int prepare(struct flash *f, const struct options *options)
{
    char version[TP_NAME_BYTES];
    char text[PROGRAMMER_TEXT_BYTES];
    if (options->board != NULL) {
        if (!find_board(options->board, &f->board)) {
            return EXIT_USAGE;
        }
        int status = check_bits(f, options);
        if (status != EXIT_OK) {
            return status;
        }
    }
    if (!programmer_find(version, &f->run)) {
        return give_up(&f->run);
    }
    tell(options, "loader", "%s", version);
    if (!cable_choose(options, &f->cable, text, sizeof text)) {
        return complain("%s", text);
    }
    tell(options, "cable", "%s (%s), %s", f->cable.serial, f->cable.product, f->cable.place);
    if (!programmer_detect(options, &f->cable, &f->idcode, &f->run)) {
        return give_up(&f->run);
    }
    return compare_parts(f, options);
}

// ---- writing ----

// What a write that did not end well has left.
static const char *left_behind(const struct options *options)
{
    return options->permanent
               ? "the flash may hold a part of the bits: without new ones the board starts "
                 "without a design, which harms nothing - try: the same command again"
               : "the FPGA may hold no design; power-off brings back what is in its flash - try: "
                 "the same command again";
}

static int write_bits(struct flash *f, const struct options *options)
{
    double started = seconds_now();
    bool written = programmer_write(options, &f->cable, f->bits.path, &f->run);
    f->seconds = seconds_now() - started;
    if (interrupted()) {
        (void)complain("interrupted: %s", left_behind(options));
        return EXIT_INTERRUPTED;
    }
    if (!written) {
        programmer_show(&f->run);
        return complain("%s; %s", f->run.text, left_behind(options));
    }
    tell(options, "written", "%s, %.1f s",
         options->permanent ? "into the flash, and read back" : "until power-off", f->seconds);
    return EXIT_OK;
}

// ---- the device ----

static bool find_device(struct flash *f, const struct options *options)
{
    if (options->device_count != 0) {
        (void)snprintf(f->device_name, sizeof f->device_name, "%s", options->devices[0]);
        return true;
    }
    return cable_find_device(&f->cable, f->board.has_usb, f->device_name);
}

// Opens it until it answers, or the time is over.
static int greet(struct flash *f, const struct options *options)
{
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000};
    const struct tp_context_options context_options = {.device_folder = options->device_folder};
    struct tp_error error = {.status = TP_ERROR_NOT_FOUND};
    tp_context *context = NULL;
    tp_device *device = NULL;
    double started = seconds_now();
    if (tp_context_create(&context_options, &context, &error) != TP_OK) {
        return failed(&error);
    }
    error = (struct tp_error){.status = TP_ERROR_NOT_FOUND,
                              .text = "no device has appeared - try: tokproc doctor"};
    tell(options, "waiting", "for the device's hello");
    while (device == NULL && !interrupted() && seconds_now() - started < DEVICE_WAIT_S) {
        if (!find_device(f, options) ||
            tp_device_open(context, f->device_name, &device, &error) != TP_OK) {
            (void)nanosleep(&pause, NULL);
        }
    }
    bool answered = device != NULL && tp_device_get_info(device, &f->device) == TP_OK;
    tp_device_close(device);
    tp_context_destroy(context);
    return answered ? EXIT_OK : failed(&error);
}

static int report(const struct flash *f, const struct options *options)
{
    const struct tp_device_info *d = &f->device;
    char build[TP_NAME_BYTES];
    if (d->build != 0 && d->build != f->bits.info.build) {
        return complain("%s answers as build %08" PRIx32 ", written was %08" PRIx32
                        " - try: another cable, or -d",
                        f->device_name, d->build, f->bits.info.build);
    }
    (void)snprintf(build, sizeof build, "%08" PRIx32, d->build);
    if (options->json) {
        return print_json(json_pack("{s:s, s:s, s:s, s:b, s:f, s:s, s:I, s:s, s:I, s:I}", "board",
                                    f->board.name, "bits", f->bits.path, "source_hash",
                                    f->bits.info.source_hash, "permanent", (int)options->permanent,
                                    "seconds", f->seconds, "device", f->device_name, "link_version",
                                    (json_int_t)d->link_version, "build", build, "groups",
                                    (json_int_t)d->groups, "slots", (json_int_t)d->slots));
    }
    printf("%s: %s answers: link version %" PRIu32 ", build %s, %" PRIu32 " groups, %" PRIu32
           " slots; %s\n",
           f->board.name, f->device_name, d->link_version, d->build != 0 ? build : "not told",
           d->groups, d->slots, options->permanent ? "in its flash" : "until power-off");
    return EXIT_OK;
}

// What would be done, for --dry-run.
static int announce(const struct flash *f, const struct options *options)
{
    char command[TEXT_BYTES];
    programmer_command(options, &f->cable, f->bits.path, command, sizeof command);
    if (options->json) {
        return print_json(json_pack("{s:s, s:s, s:s}", "board", f->board.name, "bits", f->bits.path,
                                    "command", command));
    }
    printf("%s: all is right, nothing was written; would run: %s\n", f->board.name, command);
    return EXIT_OK;
}

int verb_flash(const struct options *options)
{
    struct flash f = {.device_name = ""};
    if (options->partial) {
        return flash_partial(options);
    }
    if (options->argument_count != 0) {
        (void)complain("a file is for --partial; else the bits are the board's - try: tokproc "
                       "flash --help");
        return EXIT_USAGE;
    }
    int status = prepare(&f, options);
    if (status != EXIT_OK) {
        return status;
    }
    if (options->dry_run) {
        return announce(&f, options);
    }
    status = write_bits(&f, options);
    if (status == EXIT_OK) {
        status = greet(&f, options);
    }
    return status == EXIT_OK ? report(&f, options) : status;
}

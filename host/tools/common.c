// SPDX-License-Identifier: Apache-2.0
//
// Shared parts of the verbs.

#include "boards.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEVICES_MAX = 32, TEXT_BYTES_MAX = 1 << 28 };

// ---- interruption and errors ----

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
    interrupts++;
    if (interrupts > 1) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
}

void catch_interrupt(void)
{
    // A write to a slow terminal or pipe goes on; what waits for input looks for itself.
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool interrupted(void)
{
    return interrupts != 0;
}

void interrupt_forget(void)
{
    interrupts = 0;
}

int failed(const struct tp_error *error)
{
    if (interrupted()) {
        fprintf(stderr, "tokproc: interrupted\n");
        return EXIT_INTERRUPTED;
    }
    fprintf(stderr, "tokproc: %s\n", error->text);
    return error->status == TP_ERROR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// ---- progress: a line on a terminal, for work of more than a second ----

void draw_progress(const struct options *options, const char *what, double fraction)
{
    static bool shown;
    if (fraction >= 1.0 || options->quiet || isatty(STDERR_FILENO) == 0) {
        if (shown) {
            fprintf(stderr, "\r\033[K");
        }
        shown = false;
        return;
    }
    int bars = (int)(fraction * 30);
    fprintf(stderr, "\r%s [%.*s%.*s] %3.0f %%", what, bars, "##############################",
            30 - bars, "..............................", 100 * fraction);
    (void)fflush(stderr);
    shown = true;
}

static bool on_progress(void *user, const char *what, double fraction)
{
    static double started;
    double now = seconds_now();
    started = started == 0 ? now : started;
    if (fraction >= 1.0 || now - started > 1.0) {
        draw_progress(user, what, fraction);
    }
    started = fraction >= 1.0 ? 0 : started;
    return !interrupted();
}

// ---- opening ----

int work_open_model(struct work *work, const struct options *options)
{
    *work = (struct work){0};
    struct tp_error error = {.status = TP_OK};
    const struct tp_context_options context_options = {.device_folder = options->device_folder,
                                                       .progress = on_progress,
                                                       .progress_user = (void *)(uintptr_t)options};
    if (tp_context_create(&context_options, &work->context, &error) != TP_OK) {
        return failed(&error);
    }
    if (options->model == NULL) {
        fprintf(stderr, "tokproc: which model? - try: -m models/tokproc-stories.bin\n");
        return EXIT_USAGE;
    }
    const struct tp_model_options model_options = {.path = options->model,
                                                   .tokenizer_path = options->tokenizer};
    if (tp_model_open(work->context, &model_options, &work->model, &error) != TP_OK) {
        return failed(&error);
    }
    tp_model_get_info(work->model, &work->model_info);
    if (work->model_info.quantised && options->format_given) {
        fprintf(stderr, "tokproc: %s is an image, which has its formats - try: without --format\n",
                work->model_info.name);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

struct tp_load_options load_options(const struct options *options,
                                    const struct tp_device_info *info)
{
    uint32_t sessions = options->sessions < info->slots ? options->sessions : info->slots;
    return (struct tp_load_options){.format = options->format,
                                    .context = options->context,
                                    .sessions = sessions,
                                    .prefill_slots = options->prefill_slots,
                                    .calibrate_path = options->calibrate};
}

// The first simulated device that holds the model, if there is one to hold. When none does, says
// what the last, largest limit was.
static int choose_simulated(struct work *work, const struct options *options,
                            const struct tp_device_info *infos, size_t count)
{
    struct tp_error error = {.status = TP_OK};
    const struct tp_device_info *largest = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(infos[i].name, "sim:", 4) != 0) {
            continue;
        }
        const struct tp_load_options load = load_options(options, &infos[i]);
        if (work->model == NULL || tp_model_check(work->model, &infos[i], &load, &error) == TP_OK) {
            memcpy(work->device_name, infos[i].name, TP_DEVICE_NAME_BYTES);
            return EXIT_OK;
        }
        if (largest == NULL || infos[i].weight_beats > largest->weight_beats) {
            largest = &infos[i];
        }
    }
    if (largest == NULL) {
        fprintf(stderr, "tokproc: no simulated device was found - try: make build, or -d emu\n");
        return EXIT_FAILED;
    }
    const struct tp_load_options load = load_options(options, largest);
    if (tp_model_check(work->model, largest, &load, &error) != TP_OK) {
        fprintf(stderr, "tokproc: %s: %s; or: -d emu\n", largest->name, error.text);
    }
    return EXIT_FAILED;
}

int work_choose_device(struct work *work, const struct options *options, uint32_t index,
                       const char *fallback)
{
    struct tp_device_info infos[DEVICES_MAX];
    size_t count = 0;
    struct tp_error error = {.status = TP_OK};
    const char *name = index < options->device_count ? options->devices[index] : fallback;
    // A list asks USB too, so it is made only where it chooses.
    bool has_choice = name == NULL || (strcmp(name, "sim") == 0 && options->config == NULL);
    if (has_choice && tp_device_list(work->context, infos, DEVICES_MAX, &count, &error) != TP_OK) {
        return failed(&error);
    }
    count = count < DEVICES_MAX ? count : (size_t)DEVICES_MAX;
    if (name == NULL) {
        name = count > 0 && strncmp(infos[0].name, "sim:", 4) == 0 ? "sim" : "emu";
    }
    // What a board is made of is told by the board.
    bool bare = strchr(name, ':') == NULL && strcmp(name, "usb") != 0;
    if (bare && options->config == NULL && strcmp(name, "sim") == 0) {
        return choose_simulated(work, options, infos, count);
    }
    int size =
        bare && options->config != NULL
            ? snprintf(work->device_name, TP_DEVICE_NAME_BYTES, "%s:%s", name, options->config)
            : snprintf(work->device_name, TP_DEVICE_NAME_BYTES, "%s", name);
    if (size < 0 || size >= TP_DEVICE_NAME_BYTES) {
        fprintf(stderr, "tokproc: no device has the name %s - try: tokproc devices\n", name);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

const char *format_label(const struct work *work, const struct options *options)
{
    return work->model_info.quantised ? "image" : tp_format_name(options->format);
}

// From a bitstream; what of the model it has not comes behind it.
static int boot(struct work *work, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_reconfigure_report report;
    char map[MAP_PATH_BYTES];
    int status = find_map_of_device(options, work->device_name, map);
    const struct tp_boot_options boot_options = {.bits = options->boot, .map = map};
    const struct tp_reconfigure_options rest = {.load = load_options(options, &work->device_info),
                                                .by_bitstream = true,
                                                .from = options->boot};
    if (status != EXIT_OK) {
        return status;
    }
    if (tp_device_boot(work->device, &boot_options, NULL, &error) != TP_OK ||
        tp_device_reconfigure(work->device, work->model, &rest, &report, &error) != TP_OK) {
        return failed(&error);
    }
    if (!options->quiet) {
        fprintf(stderr,
                "booted from %s; %" PRIu32 " further block RAMs and %" PRIu64
                " words over the link\n",
                options->boot, report.block_rams, report.link_words);
    }
    return EXIT_OK;
}

int work_open_device(struct work *work)
{
    struct tp_error error = {.status = TP_OK};
    if (tp_device_open(work->context, work->device_name, &work->device, &error) != TP_OK ||
        tp_device_get_info(work->device, &work->device_info) != TP_OK) {
        return failed(&error);
    }
    return EXIT_OK;
}

int work_load(struct work *work, const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    int status = work->device == NULL ? work_open_device(work) : EXIT_OK;
    const struct tp_load_options load = load_options(options, &work->device_info);
    if (status == EXIT_OK && options->boot != NULL) {
        return boot(work, options);
    }
    if (status == EXIT_OK && tp_device_load(work->device, work->model, &load, &error) != TP_OK) {
        return failed(&error);
    }
    return status;
}

tp_status work_change_model(struct work *work, const struct options *options, const char *bits,
                            struct tp_error *error)
{
    struct tp_reconfigure_report report;
    const struct tp_reconfigure_options change = {.load = load_options(options, &work->device_info),
                                                  .by_bitstream = bits != NULL,
                                                  .map = options->map,
                                                  .bits = bits};
    const struct tp_model_options model_options = {.path = options->new_model,
                                                   .tokenizer_path = options->tokenizer};
    if (options->new_model != NULL &&
        tp_model_open(work->context, &model_options, &work->new_model, error) != TP_OK) {
        return error->status;
    }
    tp_model *model = work->new_model != NULL ? work->new_model : work->model;
    if (tp_device_reconfigure(work->device, model, &change, &report, error) != TP_OK) {
        return error->status;
    }
    tp_model_get_info(model, &work->model_info);
    if (!options->quiet) {
        fprintf(stderr,
                "\nreconfigured: %" PRIu32 " block RAMs, %" PRIu64 " words over the link, %" PRIu64
                " verified; the sessions stood still for %.1f ms\n",
                report.block_rams, report.link_words, report.words_verified, 1e3 * report.seconds);
    }
    return TP_OK;
}

int work_open(struct work *work, const struct options *options)
{
    int status = work_open_model(work, options);
    if (status == EXIT_OK) {
        status = work_choose_device(work, options, 0, NULL);
    }
    return status == EXIT_OK ? work_load(work, options) : status;
}

void work_close(struct work *work)
{
    tp_device_close(work->device);
    tp_model_close(work->new_model);
    tp_model_close(work->model);
    tp_context_destroy(work->context);
}

// ---- files and output ----

int record_steps(struct work *work, size_t max, struct tp_step **steps)
{
    struct tp_error error = {.status = TP_OK};
    *steps = calloc(max, sizeof **steps);
    if (*steps == NULL) {
        fprintf(stderr, "tokproc: no memory for so many steps\n");
        return EXIT_FAILED;
    }
    return tp_device_record(work->device, *steps, max, &error) == TP_OK ? EXIT_OK : failed(&error);
}

int check_replaced(const char *path, const struct options *options)
{
    if (!options->force && access(path, F_OK) == 0) {
        fprintf(stderr, "tokproc: %s is there already - try: --force\n", path);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

char *read_text(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "tokproc: %s cannot be opened: %s\n", path, strerror(errno));
        return NULL;
    }
    char *text = NULL;
    size_t room = 0;
    *size = 0;
    for (;;) {
        if (*size + 1 >= room) {
            room = room == 0 ? 1 << 16 : 2 * room;
            char *larger = room <= TEXT_BYTES_MAX ? realloc(text, room) : NULL;
            if (larger == NULL) {
                fprintf(stderr, "tokproc: %s is too large\n", path);
                break;
            }
            text = larger;
        }
        size_t got = fread(text + *size, 1, room - *size - 1, file);
        *size += got;
        if (got == 0) {
            text[*size] = 0;
            if (ferror(file) == 0) {
                (void)fclose(file);
                return text;
            }
            fprintf(stderr, "tokproc: %s cannot be read: %s\n", path, strerror(errno));
            break;
        }
    }
    (void)fclose(file);
    free(text);
    return NULL;
}

int print_json(json_t *object)
{
    int bad = object == NULL || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(object);
    if (bad || printf("\n") < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "tokproc: the result cannot be written\n");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

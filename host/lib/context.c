// SPDX-License-Identifier: Apache-2.0
//
// The context: where devices are found, and who hears of progress.

#define _GNU_SOURCE  // dladdr

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

const char *tp_version(void)
{
    return TP_VERSION;
}

// Where a folder of devices lies, seen from the file that holds this code: the shared library or,
// linked statically, the program. After `make build` it is "sim" beside either; installed it is
// "tokproc" beside the library, which the program sees as "../lib/tokproc".
static tp_status default_folder(char *folder, struct tp_error *error)
{
    static const char *const places[] = {"sim", "tokproc", "../lib/tokproc"};
    enum { ROOM = 20 };  // for each place
    char path[TP_PATH_BYTES];
    struct stat facts;
    Dl_info self;
    // A program may be known under a relative name: its link in /proc is always whole.
    bool is_known = dladdr((void *)(uintptr_t)&tp_version, &self) != 0;
    bool is_library = is_known && strstr(self.dli_fname, "libtokproc.so") != NULL;
    const char *name = is_library ? self.dli_fname : "/proc/self/exe";
    char *whole = realpath(name, NULL);
    bool fits = whole != NULL && strlen(whole) < sizeof path - ROOM;
    if (!fits) {
        free(whole);
        return tp__fail(error, TP_ERROR_INVALID, "the path of the library (%s) cannot be read",
                        name);
    }
    memcpy(path, whole, strlen(whole) + 1);
    free(whole);
    char *slash = strrchr(path, '/');
    *(slash != NULL ? slash : path) = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        (void)snprintf(folder, TP_PATH_BYTES, "%.*s/%s", TP_PATH_BYTES - ROOM, path, places[i]);
        // The program itself may be called "tokproc" too.
        if (stat(folder, &facts) == 0 && S_ISDIR(facts.st_mode)) {
            break;
        }
    }
    return TP_OK;
}

tp_status tp_context_create(const struct tp_context_options *options, tp_context **context,
                            struct tp_error *error)
{
    static const struct tp_context_options none;
    options = options == NULL ? &none : options;
    if (context == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_context_create: context is NULL");
    }
    const char *folder = options->device_folder;
    if (folder != NULL && strlen(folder) >= TP_PATH_BYTES) {
        return tp__fail(error, TP_ERROR_INVALID, "the name of the device folder is too long");
    }
    tp_context *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a context");
    }
    made->progress = options->progress;
    made->progress_user = options->progress_user;
    if (folder != NULL) {
        memcpy(made->device_folder, folder, strlen(folder) + 1);
    } else {
        tp_status status = default_folder(made->device_folder, error);
        if (status != TP_OK) {
            free(made);
            return status;
        }
    }
    *context = made;
    return TP_OK;
}

void tp_context_destroy(tp_context *context)
{
    free(context);
}

bool tp__progress(const tp_context *context, const char *what, double fraction)
{
    return context->progress == NULL || context->progress(context->progress_user, what, fraction);
}

double tp__seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double tp__time_scale(void)
{
    const char *text = getenv("TP_TIME_SCALE");
    double scale = text == NULL ? 1 : strtod(text, NULL);
    return scale > 0 ? scale : 1;
}

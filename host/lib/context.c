// SPDX-License-Identifier: Apache-2.0
//
// The context: where devices are found, and who hears of progress.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

// Simulated devices lie in the folder "sim" beside the running program after `make build`, in
// "../lib/tokproc" after `make install`.
static tp_status default_folder(char *folder, struct tp_error *error)
{
    enum { ROOM = 20 };  // for either folder
    char path[TP_PATH_BYTES];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - ROOM);
    if (size < 0) {
        return tp__fail(error, TP_ERROR_INVALID, "the program's own path cannot be read");
    }
    path[size] = 0;
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = 0;
    }
    (void)snprintf(folder, TP_PATH_BYTES, "%.*s/sim", TP_PATH_BYTES - ROOM, path);
    if (access(folder, F_OK) != 0) {
        (void)snprintf(folder, TP_PATH_BYTES, "%.*s/../lib/tokproc", TP_PATH_BYTES - ROOM, path);
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

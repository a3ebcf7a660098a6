// SPDX-License-Identifier: Apache-2.0
//
// Whole files in memory, and files that are written whole or not at all.
//
// The file is read and not mapped: a mapped file that somebody cuts short meanwhile would end the
// process with a signal.

#define _POSIX_C_SOURCE 200809L

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads exactly size bytes and then the end of the file. */
static tp_status read_all(int descriptor, const char *name, struct tp_bytes *bytes,
                          struct tp_error *error)
{
    size_t done = 0;
    while (done < bytes->size) {
        ssize_t count = read(descriptor, bytes->data + done, bytes->size - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            return tp__fail(error, TP_ERROR_IO, "%s: byte %zu: cannot read: %s", name, done,
                            strerror(errno));
        }
        if (count == 0) break;
        done += (size_t)count;
    }
    uint8_t extra;
    if (done < bytes->size || read(descriptor, &extra, 1) > 0) {
        return tp__fail(error, TP_ERROR_IO,
                        "%s: the file changed while it was read; wait for its writer and try again",
                        name);
    }
    return TP_OK;
}

static tp_status read_open(int descriptor, const char *name, size_t size_max,
                           struct tp_bytes *bytes, struct tp_error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        return tp__fail(error, TP_ERROR_IO, "%s: cannot read: %s", name, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return tp__fail(error, TP_ERROR_IO, "%s: is %s; give a regular file", name,
                        S_ISDIR(status.st_mode) ? "a folder" : "not a file");
    }
    if (status.st_size < 0 || (uintmax_t)status.st_size > size_max) {
        return tp__fail(error, TP_ERROR_TOO_LARGE, "%s: has %jd bytes; the limit is %zu", name,
                        (intmax_t)status.st_size, size_max);
    }
    struct tp_bytes result = {.size = (size_t)status.st_size};
    result.data = malloc(result.size + 1);
    if (result.data == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its %zu bytes", name,
                        result.size);
    }
    tp_status read_status = read_all(descriptor, name, &result, error);
    if (read_status != TP_OK) {
        tp__bytes_free(&result);
        return read_status;
    }
    *bytes = result;
    return TP_OK;
}

tp_status tp__file_read(const char *path, size_t size_max, struct tp_bytes *bytes,
                        struct tp_error *error)
{
    const char *name = tp__short_name(path);
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        return tp__fail(error, TP_ERROR_IO, "%s: cannot open: %s", name, strerror(errno));
    }
    tp_status status = read_open(descriptor, name, size_max, bytes, error);
    close(descriptor);
    return status;
}

tp_status tp__bytes_copy(const void *data, size_t size, struct tp_bytes *bytes,
                         struct tp_error *error)
{
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL) return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for %zu bytes", size);
    if (size > 0) memcpy(copy, data, size);
    *bytes = (struct tp_bytes){.data = copy, .size = size};
    return TP_OK;
}

void tp__bytes_free(struct tp_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct tp_bytes){0};
}

/* ---- writing ---- */

enum { TEMPORARY_TRIES = 16, SUFFIX_BYTES = 40 };

static tp_status writer_failed(struct tp_file_writer *writer, const char *what)
{
    writer->status = tp__fail(writer->error, TP_ERROR_IO, "%s: cannot %s: %s",
                              tp__short_name(writer->path), what, strerror(errno));
    return writer->status;
}

/* A new file beside the path, with the rights that the path would get. */
static FILE *create_temporary(struct tp_file_writer *writer, size_t room)
{
    int descriptor = -1;
    for (int i = 0; i < TEMPORARY_TRIES && descriptor < 0; i++) {
        snprintf(writer->temporary, room, "%s.%ld-%d.tmp", writer->path, (long)getpid(), i);
        descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno != EEXIST) return NULL;
    }
    FILE *stream = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (descriptor >= 0 && stream == NULL) close(descriptor);
    return stream;
}

void tp__writer_open(struct tp_file_writer *writer, const char *path, struct tp_error *error)
{
    *writer = (struct tp_file_writer){.status = TP_OK, .error = error};
    size_t size = strlen(path) + 1;
    writer->path = malloc(size);
    writer->temporary = malloc(size + SUFFIX_BYTES);
    if (writer->path == NULL || writer->temporary == NULL) {
        writer->status = tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its name", path);
        return;
    }
    memcpy(writer->path, path, size);
    writer->stream = create_temporary(writer, size + SUFFIX_BYTES);
    if (writer->stream == NULL) writer_failed(writer, "create a file beside it");
}

void tp__writer_put(struct tp_file_writer *writer, const void *data, size_t size)
{
    if (writer->status != TP_OK || size == 0) return;
    if (fwrite(data, 1, size, writer->stream) != size) {
        writer_failed(writer, "write");
        return;
    }
    writer->size += size;
}

tp_status tp__writer_close(struct tp_file_writer *writer, tp_status status)
{
    bool was_open = writer->stream != NULL;
    if (was_open) {
        bool written = fflush(writer->stream) == 0 && fsync(fileno(writer->stream)) == 0;
        if (!written && writer->status == TP_OK) writer_failed(writer, "write");
        if (fclose(writer->stream) != 0 && writer->status == TP_OK) writer_failed(writer, "write");
    }
    status = status == TP_OK ? writer->status : status;
    if (status == TP_OK && rename(writer->temporary, writer->path) != 0) {
        status = writer_failed(writer, "replace");
    }
    if (was_open && status != TP_OK) unlink(writer->temporary);
    free(writer->path);
    free(writer->temporary);
    *writer = (struct tp_file_writer){.status = status};
    return status;
}

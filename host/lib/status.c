// SPDX-License-Identifier: Apache-2.0
//
// Names and texts of the status codes, and the writing of error records.

#include "error.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

enum { SHORT_NAME_BYTES = 160 };

const char *tp_status_name(tp_status status)
{
#define TP_STATUS_CASE(name, value, text)                                                          \
    case name:                                                                                     \
        return #name;
    switch (status) {
        TP_STATUS_LIST(TP_STATUS_CASE)
    }
#undef TP_STATUS_CASE
    return "TP_ERROR_UNKNOWN";
}

const char *tp_status_text(tp_status status)
{
#define TP_STATUS_CASE(name, value, text)                                                          \
    case name:                                                                                     \
        return text;
    switch (status) {
        TP_STATUS_LIST(TP_STATUS_CASE)
    }
#undef TP_STATUS_CASE
    return "unknown status";
}

static void clean_line(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = tp__utf8_length((const uint8_t *)text, left);
        unsigned char first = (unsigned char)*text;
        if (length == 0 || first < 0x20 || first == 0x7f) {
            *text = '?';
            length = 1;
        }
        text += length;
        left -= length;
    }
}

tp_status tp__fail(struct tp_error *error, tp_status status, const char *format, ...)
{
    assert(status != TP_OK);
    if (error == NULL) return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    clean_line(error->text);
    error->status = status;
    return status;
}

const char *tp__short_name(const char *path)
{
    size_t length = strlen(path);
    if (length <= SHORT_NAME_BYTES) return path;
    const char *end = path + length - SHORT_NAME_BYTES;
    const char *slash = strchr(end, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : end;
}

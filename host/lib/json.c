// SPDX-License-Identifier: Apache-2.0
//
// JSON from bytes that nobody has checked, with bounds on depth and number of values.

#include "json.h"

#include <stdbool.h>

/* Counts what the parser would build. Text that is no JSON is left to the parser. */
static tp_status check_bounds(const uint8_t *text, size_t size, const char *name, size_t start,
                              size_t values_max, struct tp_error *error)
{
    size_t depth = 0;
    size_t values = 1;
    bool is_string = false;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text[i];
        if (is_string) {
            if (c == '\\') i++;
            if (c == '"') is_string = false;
            continue;
        }
        if (c == '"') is_string = true;
        bool is_open = c == '{' || c == '[';
        if (is_open) depth++;
        if ((c == '}' || c == ']') && depth > 0) depth--;
        if (is_open || c == ',') values++;
        if (depth > TP_JSON_DEPTH_MAX) {
            return tp__fail(error, TP_ERROR_TOO_LARGE,
                            "%s: byte %zu: JSON is nested deeper than %d; the file is damaged",
                            name, start + i, TP_JSON_DEPTH_MAX);
        }
        if (values > values_max) {
            return tp__fail(error, TP_ERROR_TOO_LARGE,
                            "%s: byte %zu: JSON has more than %zu values; the file is damaged",
                            name, start + i, values_max);
        }
    }
    return TP_OK;
}

tp_status tp__json_parse(const uint8_t *text, size_t size, const char *name, size_t start,
                         size_t values_max, json_t **root, struct tp_error *error)
{
    tp_status status = check_bounds(text, size, name, start, values_max, error);
    if (status != TP_OK) return status;
    json_error_t fault;
    json_t *parsed = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, &fault);
    if (parsed == NULL) {
        // A failing allocation within the parser leaves no text.
        bool is_memory = json_error_code(&fault) == json_error_out_of_memory;
        if (is_memory || fault.text[0] == '\0') {
            return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for its JSON", name);
        }
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: byte %zu: JSON: %s; the file is damaged, copy it again", name,
                        start + (size_t)(fault.position > 0 ? fault.position : 0), fault.text);
    }
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return tp__fail(error, TP_ERROR_FORMAT, "%s: byte %zu: JSON: not an object", name, start);
    }
    *root = parsed;
    return TP_OK;
}

// SPDX-License-Identifier: Apache-2.0
//
// One table of fields for both directions.

#include "manifest.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MANIFEST_BYTES_MAX = 1 << 16 };

enum kind { KIND_TEXT, KIND_COUNT, KIND_REAL };

struct field {
    const char *group;
    const char *name;
    enum kind kind;
    size_t offset;
    size_t bytes;  // of a text
};

#define TEXT(group, name, member)                                                                  \
    {                                                                                              \
        group, name, KIND_TEXT, offsetof(struct tp_manifest, member),                              \
            sizeof((struct tp_manifest *)0)->member                                                \
    }
#define REAL(name, member)                                                                         \
    {                                                                                              \
        "quality", name, KIND_REAL, offsetof(struct tp_manifest, score.member), 0                  \
    }
static const struct field fields[] = {
    TEXT("origin", "name", name),
    TEXT("origin", "sha256", digest),
    TEXT("origin", "architecture", architecture),
    TEXT("origin", "file_format", file_format),
    TEXT("quantiser", "method", method),
    TEXT("quantiser", "calibrated_on", calibrated_on),
    {"quantiser", "calibrated_bytes", KIND_COUNT, offsetof(struct tp_manifest, calibrated_bytes),
     0},
    TEXT("quality", "measured_on", measured_on),
    {"quality", "tokens", KIND_COUNT, offsetof(struct tp_manifest, score.tokens), 0},
    REAL("nats", nats),
    REAL("reference_nats", reference_nats),
    REAL("change", change),
    REAL("change_error", change_error),
    REAL("perplexity_ratio", perplexity_ratio),
    REAL("divergence", divergence),
    REAL("divergence_median", divergence_median),
    REAL("divergence_high", divergence_high),
    REAL("top_agreement", top_agreement),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static json_t *field_value(const struct tp_manifest *manifest, const struct field *field)
{
    const char *at = (const char *)manifest + field->offset;
    uint64_t count = 0;
    double real = 0;
    switch (field->kind) {
    case KIND_TEXT:
        return json_string(at);
    case KIND_COUNT:
        memcpy(&count, at, sizeof count);
        return json_integer((json_int_t)count);
    default:
        memcpy(&real, at, sizeof real);
        return json_real(real);
    }
}

tp_status tp__manifest_write(const struct tp_manifest *manifest, char **text,
                             struct tp_error *error)
{
    json_t *root = json_object();
    int bad = root == NULL;
    for (int i = 0; i < FIELDS && bad == 0; i++) {
        json_t *group = json_object_get(root, fields[i].group);
        if (strcmp(fields[i].group, "quality") == 0 && manifest->score.tokens == 0) {
            continue;  // nothing was measured
        }
        if (group == NULL) {
            group = json_object();
            bad = json_object_set_new(root, fields[i].group, group);
        }
        bad = bad != 0
                  ? bad
                  : json_object_set_new(group, fields[i].name, field_value(manifest, &fields[i]));
    }
    *text = bad == 0 ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(root);
    return *text != NULL ? TP_OK : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a manifest");
}

struct reader {
    const char *name;
    size_t offset;
    struct tp_manifest *manifest;
    struct tp_error *error;
};

static tp_status bad_field(const struct reader *r, const struct field *field, const char *what)
{
    return tp__fail(r->error, TP_ERROR_FORMAT, "%s: byte %zu: manifest: %s.%s %s", r->name,
                    r->offset, field->group, field->name, what);
}

static tp_status read_field(const struct reader *r, const struct field *field, const json_t *value)
{
    char *at = (char *)r->manifest + field->offset;
    if (field->kind == KIND_TEXT) {
        const char *text = json_string_value(value);
        if (text == NULL || strlen(text) >= field->bytes) {
            return bad_field(r, field, "is no text, or too long");
        }
        for (const char *c = text; *c != 0; c++) {
            if ((unsigned char)*c < ' ' || *c == 127) {
                return bad_field(r, field, "has a control character");
            }
        }
        memcpy(at, text, strlen(text) + 1);
        return TP_OK;
    }
    if (field->kind == KIND_COUNT) {
        uint64_t count = (uint64_t)json_integer_value(value);
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            return bad_field(r, field, "is no count");
        }
        memcpy(at, &count, sizeof count);
        return TP_OK;
    }
    double real = json_number_value(value);
    if (!json_is_number(value) || !isfinite(real)) {
        return bad_field(r, field, "is no number");
    }
    memcpy(at, &real, sizeof real);
    return TP_OK;
}

tp_status tp__manifest_read(const uint8_t *bytes, size_t size, size_t offset, const char *name,
                            struct tp_manifest *manifest, struct tp_error *error)
{
    struct tp_manifest made = {.score = {.tokens = 0}};
    const struct reader r = {name, offset, &made, error};
    json_error_t at;
    if (size > MANIFEST_BYTES_MAX) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the manifest has %zu bytes; the limit is %d", name, offset,
                        size, MANIFEST_BYTES_MAX);
    }
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(root)) {
        bool is_memory = root == NULL && json_error_code(&at) == json_error_out_of_memory;
        size_t place = root == NULL && at.position > 0 ? (size_t)at.position : 0;
        json_decref(root);
        if (is_memory) {
            return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for the manifest", name);
        }
        return tp__fail(error, TP_ERROR_FORMAT, "%s: byte %zu: the manifest is no JSON object: %s",
                        name, offset + place, root == NULL ? at.text : "another value");
    }
    tp_status status = TP_OK;
    for (int i = 0; i < FIELDS && status == TP_OK; i++) {
        const json_t *group = json_object_get(root, fields[i].group);
        const json_t *value = json_object_get(group, fields[i].name);
        if (value != NULL) {
            status = read_field(&r, &fields[i], value);
        }
    }
    json_decref(root);
    *manifest = status == TP_OK ? made : *manifest;
    return status;
}

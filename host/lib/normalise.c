// SPDX-License-Identifier: Apache-2.0
//
// Normal form C, one character with its marks at a time, with the tables of utf8proc.
//
// A group begins with a character of combining class 0 that does not compose with what stands
// before it. The group is decomposed, its marks ordered, then composed.

#include "normalise.h"

#include <assert.h>
#include <string.h>

#include <utf8proc.h>

#include "utf8.h"

/* All characters below are in form C and begin a group. */
enum { FIRST_MARK = 0x300, DECOMPOSED_MAX = 16 };

struct output {
    char *text;
    size_t max;
    size_t count;
    bool is_full;
};

static void put(struct output *output, uint32_t code)
{
    char bytes[TP_UTF8_BYTES_MAX];
    size_t size = tp__utf8_put(code, bytes);
    output->is_full = output->is_full || size > output->max - output->count;
    if (output->is_full) return;
    memcpy(output->text + output->count, bytes, size);
    output->count += size;
}

static uint32_t compose_points(int32_t *points, uint32_t count)
{
    utf8proc_ssize_t left = utf8proc_normalize_utf32(
        points, (utf8proc_ssize_t)count, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    assert(left >= 0 && left <= (utf8proc_ssize_t)count);
    return (uint32_t)left;
}

static void flush(struct tp_composer *composer, struct output *output)
{
    uint32_t count = composer->count;
    if (count > 1) count = compose_points(composer->points, count);
    for (uint32_t i = 0; i < count; i++) put(output, (uint32_t)composer->points[i]);
    composer->count = 0;
}

/* Whether the group and this character make one. */
static bool joins(struct tp_composer *composer, int32_t point)
{
    memcpy(composer->copy, composer->points, composer->count * sizeof composer->copy[0]);
    if (compose_points(composer->copy, composer->count) != 1) return false;
    composer->copy[1] = point;
    return compose_points(composer->copy, 2) == 1;
}

static int class_of(int32_t point)
{
    return utf8proc_get_property(point)->combining_class;
}

/* Adds a decomposed character; a mark goes before marks of a higher class. */
static bool add(struct tp_composer *composer, int32_t point, struct output *output)
{
    int class = class_of(point);
    if (class == 0 && composer->count > 0 && !joins(composer, point)) flush(composer, output);
    if (composer->count == TP_COMPOSE_POINTS_MAX) return false;
    uint32_t place = composer->count++;
    for (; class != 0 && place > 0 && class_of(composer->points[place - 1]) > class; place--) {
        composer->points[place] = composer->points[place - 1];
    }
    composer->points[place] = point;
    return true;
}

tp_status tp__compose(struct tp_composer *composer, const char *text, size_t size, char *out,
                      size_t out_max, size_t *count, struct tp_error *error)
{
    struct output output = {.text = out, .max = out_max};
    composer->count = 0;
    for (size_t offset = 0; offset < size;) {
        size_t length = tp__utf8_length((const uint8_t *)text + offset, size - offset);
        assert(length > 0);
        uint32_t code = tp__utf8_code((const uint8_t *)text + offset);
        int32_t parts[DECOMPOSED_MAX] = {(int32_t)code};
        utf8proc_ssize_t part_count = 1;
        if (code >= 0xc0) {
            int last = 0;
            part_count = utf8proc_decompose_char((int32_t)code, parts, DECOMPOSED_MAX,
                                                 UTF8PROC_DECOMPOSE, &last);
            assert(part_count > 0 && part_count <= DECOMPOSED_MAX);
        }
        if (code < FIRST_MARK && composer->count > 0) flush(composer, &output);
        for (utf8proc_ssize_t i = 0; i < part_count; i++) {
            if (!add(composer, parts[i], &output)) {
                return tp__fail(error, TP_ERROR_RANGE,
                                "byte %zu of the text: more than %d marks on one character; leave "
                                "some out",
                                offset, TP_COMPOSE_POINTS_MAX);
            }
        }
        offset += length;
    }
    flush(composer, &output);
    *count = output.is_full ? SIZE_MAX : output.count;
    return TP_OK;
}

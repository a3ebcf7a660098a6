// SPDX-License-Identifier: Apache-2.0
//
// The table of ranges and losses by layer, as the device counted them.

#include <inttypes.h>
#include <stdio.h>

#include "verbs.h"

enum { SECTIONS_MAX = 64 };

// "12 of 25", or "-" where no such block is written.
static void print_edge(const struct tp_section_statistics *section, tp_edge_kind kind)
{
    char text[32] = "-";
    if (section->exponent_cap[kind] != 0) {
        (void)snprintf(text, sizeof text, "%" PRIu32 " of %" PRIu32, section->exponent_max[kind],
                       section->exponent_cap[kind]);
    }
    printf(" %10s", text);
}

static json_t *edges_json(const uint32_t values[TP_EDGE_KIND_COUNT])
{
    return json_pack("{s:i, s:i, s:i}", "norm", (int)values[TP_EDGE_KIND_NORM], "attention",
                     (int)values[TP_EDGE_KIND_ATTENTION], "ffn", (int)values[TP_EDGE_KIND_FFN]);
}

tp_status layers_read(tp_device *device, json_t **json, struct tp_error *error)
{
    struct tp_section_statistics sections[SECTIONS_MAX];
    size_t count = 0;
    tp_status status = tp_device_get_sections(device, false, sections, SECTIONS_MAX, &count, error);
    if (status != TP_OK) {
        return status;
    }
    if (json != NULL) {
        *json = json_array();
        for (size_t i = 0; i < count; i++) {
            const struct tp_section_statistics *s = &sections[i];
            (void)json_array_append_new(
                *json, json_pack("{s:s, s:I, s:I, s:o, s:o}", "name", s->name, "saturations",
                                 (json_int_t)s->saturations, "clips", (json_int_t)s->clips,
                                 "exponent_max", edges_json(s->exponent_max), "exponent_cap",
                                 edges_json(s->exponent_cap)));
        }
        return TP_OK;
    }
    printf("\n%-26s %11s %8s %10s %10s %10s\n", "", "saturations", "clips", "norm", "attention",
           "FFN");
    for (size_t i = 0; i < count; i++) {
        printf("%-26s %11" PRIu32 " %8" PRIu32, sections[i].name, sections[i].saturations,
               sections[i].clips);
        for (int kind = 0; kind < TP_EDGE_KIND_COUNT; kind++) {
            print_edge(&sections[i], (tp_edge_kind)kind);
        }
        printf("\n");
    }
    printf("largest block exponents e of each edge, and where clipping begins: |x| < 2^(e + 7) / "
           "65536\n");
    return TP_OK;
}

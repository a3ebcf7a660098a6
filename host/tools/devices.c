// SPDX-License-Identifier: Apache-2.0
//
// tokproc devices: what can be opened here.

#include <inttypes.h>
#include <stdio.h>

#include "verbs.h"

enum { DEVICES_MAX = 32 };

static json_t *describe(const struct tp_device_info *info)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "name", info->name,
                     "text", info->text, "groups", (int)info->groups, "slots", (int)info->slots,
                     "weight_beats", (int)info->weight_beats, "kv_rows", (int)info->kv_rows,
                     "dim_max", (int)info->dim_max, "hidden_max", (int)info->hidden_max,
                     "vocab_max", (int)info->vocab_max, "positions_max", (int)info->positions_max,
                     "counts_cycles", (int)info->counts_cycles);
}

int verb_devices(const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_device_info infos[DEVICES_MAX];
    size_t count = 0;
    tp_context *context = NULL;
    const struct tp_context_options context_options = {.device_folder = options->device_folder};
    if (tp_context_create(&context_options, &context, &error) != TP_OK) {
        return failed(&error);
    }
    if (tp_device_list(context, infos, DEVICES_MAX, &count, &error) != TP_OK) {
        tp_context_destroy(context);
        return failed(&error);
    }
    json_t *list = json_array();
    if (!options->json) {
        printf("%-16s %6s %5s %8s %8s %5s %6s %6s %9s  %s\n", "name", "groups", "slots", "beats",
               "kv rows", "dim", "hidden", "vocab", "positions", "");
    }
    for (size_t i = 0; i < count && i < DEVICES_MAX; i++) {
        const struct tp_device_info *d = &infos[i];
        (void)json_array_append_new(list, describe(d));
        if (!options->json && d->slots == 0) {
            printf("%-16s  %s\n", d->name, d->text);
        } else if (!options->json) {
            printf("%-16s %6" PRIu32 " %5" PRIu32 " %8" PRIu32 " %8" PRIu32 " %5" PRIu32
                   " %6" PRIu32 " %6" PRIu32 " %9" PRIu32 "  %s\n",
                   d->name, d->groups, d->slots, d->weight_beats, d->kv_rows, d->dim_max,
                   d->hidden_max, d->vocab_max, d->positions_max, d->text);
        }
    }
    tp_context_destroy(context);
    if (options->json) {
        return print_json(json_pack("{s:o}", "devices", list));
    }
    json_decref(list);
    return EXIT_OK;
}

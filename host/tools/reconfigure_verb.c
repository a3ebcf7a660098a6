// SPDX-License-Identifier: Apache-2.0
//
// tokproc reconfigure: a partial bitstream into a device that another command runs.

#include <inttypes.h>
#include <stdio.h>

#include "verbs.h"

static int print_outcome(const struct options *options, tp_status status, const char *fault,
                         uint32_t block_rams)
{
    if (options->json) {
        return print_json(json_pack("{s:s, s:s, s:b, s:s, s:i}", "file", options->arguments[0],
                                    "device", options->devices[0], "taken", status == TP_OK,
                                    "fault", fault, "block_rams", (int)block_rams));
    }
    if (!options->quiet && status == TP_OK) {
        printf("%s: %" PRIu32 " block RAMs were written\n", options->devices[0], block_rams);
    }
    return EXIT_OK;
}

int verb_reconfigure(const struct options *options)
{
    struct tp_error error = {.status = TP_OK};
    const char *fault = "";
    uint32_t block_rams = 0;
    if (options->argument_count != 1 || options->device_count != 1) {
        fprintf(stderr, "tokproc: which device, and which file? - try: tokproc reconfigure -d "
                        "tcp:127.0.0.1:7000 part.bit\n");
        return EXIT_USAGE;
    }
    tp_status status = tp_server_send_bitstream(options->devices[0], options->arguments[0], &fault,
                                                &block_rams, &error);
    int printed = print_outcome(options, status, fault, block_rams);
    return status == TP_OK ? printed : failed(&error);
}

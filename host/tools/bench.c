// SPDX-License-Identifier: Apache-2.0
//
// tokproc bench: cycles and speed of generating from an empty context.

#include <inttypes.h>
#include <stdio.h>

#include "generate.h"
#include "verbs.h"

enum { LANES_OF_GROUP = 32 };

int verb_bench(const struct options *options)
{
    struct work work;
    struct answer a = {0};
    int status = work_open(&work, options);
    if (status == EXIT_OK) {
        status = generate(&work, options, true, false, &a);
    }
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    if (status != EXIT_OK) {
        answer_free(&a);
        work_close(&work);
        return status;
    }
    const struct tp_device_statistics *u = &a.used;
    bool counted = u->cycles_steps != 0;
    uint64_t cycles = counted ? u->cycles_steps : u->cycles_predicted;
    double tokens = u->tokens == 0 ? 1 : (double)u->tokens;
    double per_token = (double)cycles / tokens;
    double use = (double)u->products / ((double)cycles * work.device_info.groups * LANES_OF_GROUP);
    double khz = (double)u->cycles_total / a.seconds / 1e3;
    double per_second = tokens / a.seconds;
    double outside = counted ? (double)(u->cycles_total - u->cycles_steps) / tokens : 0;
    if (!options->json) {
        printf("%-22s %s, %s, %" PRIu32 " session%s\n", work.model_info.name, work.device_name,
               format_label(&work, options), options->sessions, options->sessions == 1 ? "" : "s");
        printf("%-22s %" PRIu64 " in %" PRIu64 " steps\n", "tokens", u->tokens, u->steps);
        printf("%-22s %.1f (%" PRIu64 " predicted, %s%" PRIu64 " counted)\n", "cycles per token",
               per_token, u->cycles_predicted, counted ? "" : "none counted: ", u->cycles_steps);
        printf("%-22s %.1f %%\n", "multiplier use", 100 * use);
        if (counted) {
            printf("%-22s %.1f cycles per token\n", "between steps", outside);
            printf("%-22s %.0f kHz\n", "simulated clock", khz);
        }
        printf("%-22s %.1f\n", "tokens per second", per_second);
        printf("%-22s %" PRIu64 " saturations, %" PRIu64 " clips\n", "numbers", u->saturations,
               u->clips);
    } else {
        status = print_json(
            json_pack("{s:s, s:s, s:s, s:i, s:I, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I}",
                      "model", work.model_info.name, "device", work.device_name, "format",
                      format_label(&work, options), "sessions", (int)options->sessions, "tokens",
                      (json_int_t)u->tokens, "cycles_per_token", per_token, "cycles_predicted",
                      (json_int_t)u->cycles_predicted, "cycles_counted",
                      (json_int_t)u->cycles_steps, "cycles_between_steps_per_token", outside,
                      "simulated_khz", khz, "tokens_per_second", per_second, "multiplier_use", use,
                      "saturations", (json_int_t)u->saturations, "clips", (json_int_t)u->clips));
    }
    answer_free(&a);
    work_close(&work);
    return status;
}

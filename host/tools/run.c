// SPDX-License-Identifier: Apache-2.0
//
// tokproc run: text from a prompt, streamed.

#include <inttypes.h>
#include <stdio.h>

#include "generate.h"
#include "verbs.h"

static void print_figures(const struct work *work, const struct answer *a)
{
    fprintf(stderr, "%zu tokens in %.2f s, %.1f tokens per second (%s, end: %s)", a->count,
            a->seconds, (double)a->count / a->seconds, work->device_name, tp_end_name(a->end));
    double tokens = a->used.tokens == 0 ? 1 : (double)a->used.tokens;
    if (a->used.cycles_steps != 0) {
        fprintf(stderr,
                "; cycles per token: %.1f counted, %.1f predicted; simulated clock %.0f kHz",
                (double)a->used.cycles_steps / tokens, (double)a->used.cycles_predicted / tokens,
                (double)a->used.cycles_total / a->seconds / 1e3);
    } else {
        fprintf(stderr, "; cycles per token: %.1f predicted, none counted",
                (double)a->used.cycles_predicted / tokens);
    }
    if (a->used.saturations + a->used.clips != 0) {
        fprintf(stderr, "; %" PRIu64 " saturations, %" PRIu64 " clips", a->used.saturations,
                a->used.clips);
    }
    fprintf(stderr, "\n");
}

static int print_result(const struct work *work, const struct answer *a)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < a->count; i++) {
        (void)json_array_append_new(ids, json_integer(a->tokens[i]));
    }
    double tokens = a->used.tokens == 0 ? 1 : (double)a->used.tokens;
    return print_json(json_pack(
        "{s:o, s:s, s:I, s:s, s:s, s:f, s:f, s:f, s:I, s:I}", "tokens", ids, "text",
        a->text == NULL ? "" : a->text, "prompt_tokens", (json_int_t)a->prompt_tokens, "end",
        tp_end_name(a->end), "device", work->device_name, "seconds", a->seconds,
        "tokens_per_second", (double)a->count / a->seconds, "cycles_per_token",
        (double)a->used.cycles_steps / tokens, "cycles_counted", (json_int_t)a->used.cycles_steps,
        "cycles_predicted", (json_int_t)a->used.cycles_predicted));
}

int verb_run(const struct options *options)
{
    struct work work;
    struct answer answer = {0};
    int status = work_open(&work, options);
    if (status == EXIT_OK && options->prompt != NULL) {
        printf("%s", options->prompt);
    }
    if (status == EXIT_OK) {
        status = generate(&work, options, options->ignore_eos, true, &answer);
    }
    if (status == EXIT_OK) {
        printf("\n");
        (void)fflush(stdout);
        if (!options->quiet) {
            print_figures(&work, &answer);
        }
        status = options->json ? print_result(&work, &answer) : EXIT_OK;
    }
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    answer_free(&answer);
    work_close(&work);
    return status;
}

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
    if (a->used.frames_bad + a->used.frames_repeated + a->used.recoveries != 0) {
        fprintf(stderr,
                "; the link: %" PRIu64 " broken frame%s, %" PRIu64 " repeated, %" PRIu64
                " run%s begun anew",
                a->used.frames_bad, a->used.frames_bad == 1 ? "" : "s", a->used.frames_repeated,
                a->used.recoveries, a->used.recoveries == 1 ? "" : "s");
    }
    fprintf(stderr, "\n");
}

static void print_log_probabilities(const struct answer *a)
{
    fprintf(stderr, "log probabilities: token, its own; the likeliest tokens\n");
    for (size_t i = 0; i < a->count; i++) {
        const struct tp_candidate *candidates = a->candidates + i * a->candidates_max;
        fprintf(stderr, "%6" PRIu32 " %8.4f ;", a->tokens[i], (double)a->log_probabilities[i]);
        for (uint32_t k = 0; k < a->candidate_count; k++) {
            fprintf(stderr, " %" PRIu32 " %.4f%s", candidates[k].id,
                    (double)candidates[k].log_probability, k + 1 < a->candidate_count ? "," : "\n");
        }
    }
}

static json_t *pack_log_probabilities(const struct answer *a)
{
    if (a->log_probabilities == NULL) {
        return NULL;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < a->count; i++) {
        const struct tp_candidate *candidates = a->candidates + i * a->candidates_max;
        json_t *top = json_array();
        for (uint32_t k = 0; k < a->candidate_count; k++) {
            (void)json_array_append_new(top, json_pack("{s:I, s:f}", "id",
                                                       (json_int_t)candidates[k].id, "logprob",
                                                       (double)candidates[k].log_probability));
        }
        (void)json_array_append_new(list, json_pack("{s:I, s:f, s:o}", "id",
                                                    (json_int_t)a->tokens[i], "logprob",
                                                    (double)a->log_probabilities[i], "top", top));
    }
    return list;
}

static int print_result(const struct work *work, const struct answer *a)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < a->count; i++) {
        (void)json_array_append_new(ids, json_integer(a->tokens[i]));
    }
    double tokens = a->used.tokens == 0 ? 1 : (double)a->used.tokens;
    return print_json(json_pack(
        "{s:o, s:o*, s:s, s:I, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "tokens", ids,
        "logprobs", pack_log_probabilities(a), "text", a->text == NULL ? "" : a->text,
        "prompt_tokens", (json_int_t)a->prompt_tokens, "end", tp_end_name(a->end), "device",
        work->device_name, "seconds", a->seconds, "tokens_per_second",
        (double)a->count / a->seconds, "cycles_per_token", (double)a->used.cycles_steps / tokens,
        "cycles_counted", (json_int_t)a->used.cycles_steps, "cycles_predicted",
        (json_int_t)a->used.cycles_predicted, "frames_bad", (json_int_t)a->used.frames_bad,
        "frames_repeated", (json_int_t)a->used.frames_repeated, "recoveries",
        (json_int_t)a->used.recoveries));
}

int verb_run(const struct options *options)
{
    struct work work;
    struct answer answer = {0};
    int status = work_open(&work, options);
    if (status == EXIT_OK && options->prompt != NULL && options->chat == NULL) {
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
        if (answer.log_probabilities != NULL && !options->json) {
            print_log_probabilities(&answer);
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

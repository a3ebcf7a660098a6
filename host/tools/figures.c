// SPDX-License-Identifier: Apache-2.0
//
// Figures of answers.

#include "figures.h"

#include <inttypes.h>
#include <stdio.h>

// ---- the device ----

static double per_token(uint64_t sum, const struct spent *spent)
{
    return (double)sum / (spent->used.tokens == 0 ? 1 : (double)spent->used.tokens);
}

void print_spent(const struct work *work, const struct spent *spent, size_t tokens, const char *end)
{
    const struct tp_device_statistics *u = &spent->used;
    fprintf(stderr, "%zu tokens in %.2f s, %.1f tokens per second (%s%s%s)", tokens, spent->seconds,
            (double)tokens / spent->seconds, work->device_name,
            end == NULL ? "" : ", end: ", end == NULL ? "" : end);
    if (u->cycles_steps != 0) {
        fprintf(stderr,
                "; cycles per token: %.1f counted, %.1f predicted; simulated clock %.0f kHz",
                per_token(u->cycles_steps, spent), per_token(u->cycles_predicted, spent),
                (double)u->cycles_total / spent->seconds / 1e3);
    } else {
        fprintf(stderr, "; cycles per token: %.1f predicted, none counted",
                per_token(u->cycles_predicted, spent));
    }
    if (u->saturations + u->clips != 0) {
        fprintf(stderr, "; %" PRIu64 " saturations, %" PRIu64 " clips", u->saturations, u->clips);
    }
    if (u->prefix_tokens != 0) {
        fprintf(stderr, "; %" PRIu64 " fed tokens were found in pages", u->prefix_tokens);
    }
    if (spent->recomputed_tokens != 0) {
        fprintf(stderr, "; %" PRIu64 " were computed again, as their pages were given up",
                spent->recomputed_tokens);
    }
    if (u->frames_bad + u->frames_repeated + u->recoveries != 0) {
        fprintf(stderr,
                "; the link: %" PRIu64 " broken frame%s, %" PRIu64 " repeated, %" PRIu64
                " run%s begun anew",
                u->frames_bad, u->frames_bad == 1 ? "" : "s", u->frames_repeated, u->recoveries,
                u->recoveries == 1 ? "" : "s");
    }
    fprintf(stderr, "\n");
}

void pack_spent(json_t *object, const struct work *work, const struct spent *spent, size_t tokens)
{
    const struct tp_device_statistics *u = &spent->used;
    json_t *own = json_pack(
        "{s:s, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "device", work->device_name,
        "seconds", spent->seconds, "tokens_per_second", (double)tokens / spent->seconds,
        "cycles_per_token", per_token(u->cycles_steps, spent), "cycles_counted",
        (json_int_t)u->cycles_steps, "cycles_predicted", (json_int_t)u->cycles_predicted,
        "prefix_tokens", (json_int_t)u->prefix_tokens, "frames_bad", (json_int_t)u->frames_bad,
        "frames_repeated", (json_int_t)u->frames_repeated, "recoveries", (json_int_t)u->recoveries);
    (void)json_object_update_missing(object, own);
    json_decref(own);
}

// ---- an answer ----

void print_session(const struct answer *answer, size_t number)
{
    fprintf(stderr,
            "session %zu: %zu tokens, end: %s; of %" PRIu64 " fed tokens %" PRIu64
            " were found in pages, waited %.3f s, first token after %.1f ms, then %.2f ms each, at "
            "most %.2f\n",
            number, answer->count, tp_end_name(answer->end), answer->prompt_tokens,
            answer->prefix_tokens, answer->seconds_queued, 1e3 * answer->seconds_to_first,
            1e3 * answer_gap(answer), 1e3 * answer->gap_longest);
}

void print_log_probabilities(const struct answer *a)
{
    if (a->log_probabilities == NULL) {
        return;
    }
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

json_t *pack_log_probability(const struct answer *a, size_t index)
{
    if (a->log_probabilities == NULL) {
        return NULL;
    }
    const struct tp_candidate *candidates = a->candidates + index * a->candidates_max;
    json_t *top = json_array();
    for (uint32_t k = 0; k < a->candidate_count; k++) {
        (void)json_array_append_new(top,
                                    json_pack("{s:I, s:f}", "id", (json_int_t)candidates[k].id,
                                              "logprob", (double)candidates[k].log_probability));
    }
    return json_pack("{s:I, s:f, s:o}", "id", (json_int_t)a->tokens[index], "logprob",
                     (double)a->log_probabilities[index], "top", top);
}

json_t *pack_answer(const struct answer *a)
{
    json_t *ids = json_array();
    json_t *logprobs = a->log_probabilities == NULL ? NULL : json_array();
    for (size_t i = 0; i < a->count; i++) {
        (void)json_array_append_new(ids, json_integer(a->tokens[i]));
        if (logprobs != NULL) {
            (void)json_array_append_new(logprobs, pack_log_probability(a, i));
        }
    }
    return json_pack("{s:o, s:o*, s:s, s:I, s:s}", "tokens", ids, "logprobs", logprobs, "text",
                     a->text == NULL ? "" : a->text, "prompt_tokens", (json_int_t)a->prompt_tokens,
                     "end", tp_end_name(a->end));
}

void pack_times(json_t *object, const struct answer *a)
{
    json_t *own =
        json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "prefix_tokens", (json_int_t)a->prefix_tokens,
                  "seconds_queued", a->seconds_queued, "seconds_to_first", a->seconds_to_first,
                  "seconds", a->seconds, "seconds_between_tokens", answer_gap(a),
                  "seconds_between_longest", a->gap_longest);
    (void)json_object_update_missing(object, own);
    json_decref(own);
}

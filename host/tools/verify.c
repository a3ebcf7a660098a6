// SPDX-License-Identifier: Apache-2.0
//
// tokproc verify: the same prompt on two devices, token by token, behind a look at their memories.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "generate.h"
#include "verbs.h"

static const char *const default_devices[2] = {"sim", "emu"};

// Whether the memories hold the model, where the device can tell. Out: words that it summed.
static int verify_memories(const struct work *work, uint64_t *words)
{
    struct tp_device_info info;
    struct tp_verify_report report = {.words = 0};
    struct tp_error error = {.status = TP_OK};
    tp_status status = tp_device_get_info(work->device, &info);
    if (status == TP_OK && info.read_back != 0) {
        status = tp_device_verify(work->device, &report, &error);
    }
    *words = report.words;
    return status == TP_OK ? EXIT_OK : failed(&error);
}

static int run_on(const struct options *options, uint32_t index, struct answer *answer,
                  struct spent *spent, char name[TP_DEVICE_NAME_BYTES], uint64_t *words)
{
    struct work work;
    int status = work_open_model(&work, options);
    if (status == EXIT_OK) {
        status = work_choose_device(&work, options, index, default_devices[index]);
    }
    if (status == EXIT_OK) {
        status = work_load(&work, options);
    }
    if (status == EXIT_OK) {
        status = verify_memories(&work, words);
    }
    if (status == EXIT_OK) {
        status = generate(&work, options, false, false, answer, spent);
    }
    (void)snprintf(name, TP_DEVICE_NAME_BYTES, "%s", work.device_name);
    work_close(&work);
    return status;
}

// The same token with the same log probabilities.
static bool equal_at(const struct answer *a, const struct answer *b, size_t i)
{
    if (a->tokens[i] != b->tokens[i] || a->candidate_count != b->candidate_count) {
        return false;
    }
    size_t size = a->candidates_max * sizeof *a->candidates;
    return a->log_probabilities == NULL ||
           (memcmp(&a->log_probabilities[i], &b->log_probabilities[i], sizeof(float)) == 0 &&
            memcmp(a->candidates + i * a->candidates_max, b->candidates + i * b->candidates_max,
                   size) == 0);
}

int verb_verify(const struct options *options)
{
    struct answer answers[2] = {{0}, {0}};
    struct spent spent[2] = {{.seconds = 0}, {.seconds = 0}};
    char names[2][TP_DEVICE_NAME_BYTES] = {"", ""};
    uint64_t words[2] = {0, 0};
    int status = EXIT_OK;
    for (uint32_t i = 0; i < 2 && status == EXIT_OK; i++) {
        status = run_on(options, i, &answers[i], &spent[i], names[i], &words[i]);
    }
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    if (status == EXIT_OK) {
        const struct answer *a = &answers[0];
        const struct answer *b = &answers[1];
        size_t same = 0;
        while (same < a->count && same < b->count && equal_at(a, b, same)) {
            same++;
        }
        bool equal = same == a->count && same == b->count && a->end == b->end;
        if (options->json) {
            status = print_json(
                json_pack("{s:b, s:I, s:I, s:I, s:[s,s], s:[I,I], s:I, s:I}", "equal", (int)equal,
                          "same_tokens", (json_int_t)same, "tokens", (json_int_t)a->count,
                          "other_tokens", (json_int_t)b->count, "devices", names[0], names[1],
                          "words_verified", (json_int_t)words[0], (json_int_t)words[1],
                          "cycles_counted", (json_int_t)spent[0].used.cycles_steps,
                          "cycles_predicted", (json_int_t)spent[0].used.cycles_predicted));
        } else if (equal) {
            printf("%s and %s: all %zu tokens are equal", names[0], names[1], same);
            for (uint32_t i = 0; i < 2; i++) {
                if (words[i] != 0) {
                    printf("; %s holds all %" PRIu64 " words of the model", names[i], words[i]);
                }
            }
            printf("\n");
        } else if (same < a->count && same < b->count) {
            printf("%s and %s: first difference at token %zu: %" PRIu32 " and %" PRIu32 "%s\n",
                   names[0], names[1], same, a->tokens[same], b->tokens[same],
                   a->tokens[same] == b->tokens[same] ? " (log probabilities)" : "");
        } else {
            printf("%s and %s: equal for %zu tokens, then %s ended (%s) and %s did not (%s)\n",
                   names[0], names[1], same, a->count < b->count ? names[0] : names[1],
                   tp_end_name(a->end), a->count < b->count ? names[1] : names[0],
                   tp_end_name(b->end));
        }
        status = status == EXIT_OK && !equal ? EXIT_FAILED : status;
    }
    answer_free(&answers[0]);
    answer_free(&answers[1]);
    return status;
}

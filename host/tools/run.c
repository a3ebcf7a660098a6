// SPDX-License-Identifier: Apache-2.0
//
// tokproc run: text from a prompt, streamed; or from several sessions side by side.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "verbs.h"

// ---- the log of steps ----

struct step_log {
    struct tp_step *steps;  // [max]; NULL: none is written
    size_t max;
};

// Each step processes at least one position of one of the sessions.
static int start_log(struct work *work, const struct options *options, size_t sessions,
                     struct step_log *log)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_load_info load;
    if (options->steps_log == NULL) {
        return EXIT_OK;
    }
    if (tp_device_get_load(work->device, &load, &error) != TP_OK) {
        return failed(&error);
    }
    log->max = sessions * load.context + SPARE_STEPS;
    return record_steps(work, log->max, &log->steps);
}

// Also behind a run that failed: its last step may say why.
static int end_log(struct work *work, const struct options *options, struct step_log *log,
                   int status)
{
    struct tp_error error = {.status = TP_OK};
    if (log->steps == NULL) {
        return status;
    }
    size_t count = tp_device_recorded(work->device);
    if (tp_steps_write(options->steps_log, log->steps, count, &error) != TP_OK) {
        status = status == EXIT_OK ? failed(&error) : status;
    } else if (count == log->max) {
        fprintf(stderr, "tokproc: %s has only the first %zu steps\n", options->steps_log, count);
        status = status == EXIT_OK ? EXIT_FAILED : status;
    }
    if (tp_device_record(work->device, NULL, 0, &error) != TP_OK) {
        status = failed(&error);
    }
    free(log->steps);
    return status;
}

// ---- one session ----

static int run_one(struct work *work, const struct options *options)
{
    struct answer answer = {0};
    struct spent spent = {.seconds = 0};
    if (options->prompt != NULL && options->chat == NULL) {
        printf("%s", options->prompt);
    }
    int status = generate(work, options, options->ignore_eos, true, &answer, &spent);
    if (status == EXIT_OK) {
        printf("\n");
        (void)fflush(stdout);
        if (!options->quiet) {
            print_spent(work, &spent, answer.count, tp_end_name(answer.end));
        }
        if (options->json) {
            json_t *object = pack_answer(&answer);
            pack_spent(object, work, &spent, answer.count);
            status = print_json(object);
        } else {
            print_log_probabilities(&answer);
        }
    }
    answer_free(&answer);
    return status;
}

// ---- several sessions ----

struct several {
    const struct options *options;
    struct request *requests;  // [count]
    struct answer *answers;    // [count]
    size_t count;
    char *file;  // of the prompts
    // Text comes in the order of the sessions: the first that has not ended is shown as it comes.
    size_t shown;
    size_t shown_bytes;
    bool headed;
};

static bool is_several(const struct options *options)
{
    return options->parallel != 0 || options->prompts_file != NULL || options->prompt_count > 1;
}

static bool print_head(struct several *s)
{
    const char *prompt = s->requests[s->shown].prompt;
    bool echo = prompt != NULL && s->options->chat == NULL;
    s->headed = true;
    printf("%s== session %zu, seed %" PRIu64 " ==\n", s->shown == 0 ? "" : "\n", s->shown + 1,
           s->requests[s->shown].seed);
    return stream_text(echo ? prompt : "", echo ? strlen(prompt) : 0);
}

static bool show_text(struct several *s)
{
    bool good = true;
    while (good && s->shown < s->count) {
        const struct answer *answer = &s->answers[s->shown];
        if (answer->count == 0 && !answer->ended) {
            break;
        }
        good = (s->headed || print_head(s)) &&
               stream_text(answer->text + s->shown_bytes, answer->text_bytes - s->shown_bytes);
        s->shown_bytes = answer->text_bytes;
        if (!answer->ended) {
            break;
        }
        good = good && stream_text("\n", 1);
        s->shown++;
        s->shown_bytes = 0;
        s->headed = false;
    }
    return good;
}

static bool print_line(const struct several *s, size_t index)
{
    const struct request *request = &s->requests[index];
    json_t *object = json_pack("{s:I, s:I, s:s*}", "session", (json_int_t)index + 1, "seed",
                               (json_int_t)request->seed, "prompt", request->prompt);
    json_t *answer = pack_answer(&s->answers[index]);
    (void)json_object_update_missing(object, answer);
    json_decref(answer);
    pack_times(object, &s->answers[index]);
    return print_json(object) == EXIT_OK;
}

static bool on_token(void *user, size_t index, const struct answer *answer,
                     const struct tp_token *token)
{
    struct several *s = user;
    (void)token;
    if (s->options->json) {
        return !answer->ended || print_line(s, index);
    }
    return show_text(s);
}

static int print_several(const struct several *s, const struct work *work,
                         const struct spent *spent)
{
    size_t tokens = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct answer *answer = &s->answers[i];
        tokens += answer->count;
        if (answer->ended && !s->options->quiet) {
            print_session(answer, i + 1);
        }
        if (answer->ended && !s->options->json) {
            print_log_probabilities(answer);
        }
    }
    if (!s->options->quiet) {
        print_spent(work, spent, tokens, NULL);
    }
    if (!s->options->json) {
        return EXIT_OK;
    }
    json_t *object =
        json_pack("{s:I, s:I, s:I}", "sessions", (json_int_t)s->count, "parallel",
                  (json_int_t)s->options->sessions, "generated_tokens", (json_int_t)tokens);
    pack_spent(object, work, spent, tokens);
    return print_json(object);
}

// Lines of a file; empty ones are none.
static int read_prompts(struct several *s)
{
    size_t size = 0;
    s->file = read_text(s->options->prompts_file, &size);
    if (s->file == NULL) {
        return EXIT_FAILED;
    }
    if (strlen(s->file) != size) {
        fprintf(stderr, "tokproc: %s has a byte of 0 - try: a text file, one prompt a line\n",
                s->options->prompts_file);
        return EXIT_FAILED;
    }
    for (char *line = s->file, *next = NULL; line != NULL; line = next) {
        size_t bytes = strcspn(line, "\r\n");
        next = line[bytes] == 0 ? NULL : line + bytes + 1;
        line[bytes] = 0;
        if (bytes == 0) {
            continue;
        }
        struct request *more = realloc(s->requests, (s->count + 1) * sizeof *more);
        if (more == NULL) {
            fprintf(stderr, "tokproc: no memory for so many prompts\n");
            return EXIT_FAILED;
        }
        s->requests = more;
        s->requests[s->count++] = (struct request){line, s->options->seed};
    }
    if (s->count == 0) {
        fprintf(stderr, "tokproc: %s has no prompt - try: one a line\n", s->options->prompts_file);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

// One session for each prompt, or several of the only one, which differ by their seeds.
static int make_requests(struct several *s)
{
    const struct options *o = s->options;
    if (o->prompts_file != NULL && o->prompt_count != 0) {
        fprintf(stderr, "tokproc: --prompts does not go with --prompt - try: one of them\n");
        return EXIT_USAGE;
    }
    if (o->prompts_file != NULL) {
        return read_prompts(s);
    }
    s->count = o->prompt_count > 1 ? o->prompt_count : o->parallel;
    s->requests = calloc(s->count, sizeof *s->requests);
    if (s->requests == NULL) {
        fprintf(stderr, "tokproc: no memory for so many sessions\n");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < s->count; i++) {
        s->requests[i] = o->prompt_count > 1 ? (struct request){o->prompts[i], o->seed}
                                             : (struct request){o->prompt, o->seed + i};
    }
    return EXIT_OK;
}

static int run_several(struct work *work, struct several *s)
{
    struct spent spent = {.seconds = 0};
    const struct batch batch = {.requests = s->requests,
                                .count = s->count,
                                .parallel = s->options->sessions,
                                .ignore_eos = s->options->ignore_eos,
                                .on_token = on_token,
                                .user = s};
    s->answers = calloc(s->count, sizeof *s->answers);
    if (s->answers == NULL) {
        fprintf(stderr, "tokproc: no memory for so many sessions\n");
        return EXIT_FAILED;
    }
    int status = generate_batch(work, s->options, &batch, s->answers, &spent);
    return status == EXIT_OK ? print_several(s, work, &spent) : status;
}

// ---- both ----

int verb_run(const struct options *options)
{
    struct work work = {0};
    struct options own = *options;
    struct several several = {.options = &own};
    struct step_log log = {.steps = NULL};
    int status = options->steps_log == NULL ? EXIT_OK : check_replaced(options->steps_log, options);
    if (status == EXIT_OK && is_several(options)) {
        status = make_requests(&several);
    }
    if (status == EXIT_OK && is_several(options)) {
        own.sessions = own.parallel == 0 ? 1 : own.parallel;
        own.sessions = own.sessions < several.count ? own.sessions : (uint32_t)several.count;
    }
    if (status == EXIT_OK) {
        status = work_open(&work, &own);
    }
    if (status == EXIT_OK) {
        status = start_log(&work, &own, is_several(options) ? several.count : 1, &log);
    }
    if (status == EXIT_OK) {
        status = is_several(options) ? run_several(&work, &several) : run_one(&work, &own);
    }
    status = end_log(&work, &own, &log, status);
    if (status == EXIT_OK && interrupted()) {
        status = EXIT_INTERRUPTED;
    }
    answers_free(several.answers, several.count);
    free(several.requests);
    free(several.file);
    work_close(&work);
    return status;
}

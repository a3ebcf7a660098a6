// SPDX-License-Identifier: Apache-2.0
//
// tokproc chat: a talk, turn by turn, in one session that keeps its keys and values: of each turn
// only what is new is fed.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "line_input.h"
#include "verbs.h"

struct message {
    const char *role;
    char *text;
};

struct talk {
    const struct options *options;
    struct work work;
    uint32_t context;  // positions
    tp_session *session;
    struct tp_session_statistics before;  // the turn, of the session
    char *system;                         // or NULL
    struct message *messages;
    size_t message_count;
    char *saved;  // the file that /save wrote last, or NULL
    // Sums.
    uint32_t turns;
    size_t tokens;
    uint64_t fed;        // tokens, by all sessions
    uint64_t found;      // of these, in pages
    double queued;       // seconds
    struct spent spent;  // since the beginning
    double seconds;      // of answers
    struct answer last;
};

// ---- what was said ----

static tp_status no_memory(struct tp_error *error)
{
    error->status = TP_ERROR_NO_MEMORY;
    (void)snprintf(error->text, sizeof error->text, "no memory for the talk");
    return error->status;
}

static tp_status note(struct talk *t, const char *role, const char *text, struct tp_error *error)
{
    struct message *more = realloc(t->messages, (t->message_count + 1) * sizeof *more);
    t->messages = more != NULL ? more : t->messages;
    char *copy = strdup(text);
    if (more == NULL || copy == NULL) {
        free(copy);
        return no_memory(error);
    }
    t->messages[t->message_count++] = (struct message){role, copy};
    return TP_OK;
}

static void forget_messages(struct talk *t)
{
    for (size_t i = 0; i < t->message_count; i++) {
        free(t->messages[i].text);
    }
    free(t->messages);
    t->messages = NULL;
    t->message_count = 0;
}

// A session that knows nothing yet.
static tp_status begin(struct talk *t, struct tp_error *error)
{
    const struct tp_session_options settings = session_settings(t->options);
    tp_session_destroy(t->session);
    t->session = NULL;
    t->before = (struct tp_session_statistics){0};
    forget_messages(t);
    return tp_session_create(t->work.device, &settings, &t->session, error);
}

// ---- the template ----

// Says what to do where there is none.
static int check_template(const struct talk *t)
{
    const struct tp_chat_message message = {"user", "a"};
    struct tp_error error = {.status = TP_OK};
    size_t size = 0;
    tp_status status = tp_model_chat(t->work.model, chat_template(t->options), &message, 1, true,
                                     NULL, 0, &size, &error);
    if (status == TP_ERROR_FULL) {
        return EXIT_OK;
    }
    bool missing = status == TP_ERROR_NOT_FOUND || status == TP_ERROR_UNSUPPORTED;
    fprintf(stderr, "tokproc: %s%s\n", error.text,
            missing && t->work.model_info.has_tokenizer
                ? "; --chat plain takes the texts as they are"
                : "");
    return EXIT_FAILED;
}

// ---- a turn ----

static bool on_token(void *user, size_t index, const struct answer *answer,
                     const struct tp_token *token)
{
    const struct talk *t = user;
    if (!t->options->json) {
        return stream_text(token->text, token->text_bytes);
    }
    json_t *object = json_pack("{s:I}", "turn", (json_int_t)index);
    json_t *more = NULL;
    if (!answer->ended) {
        more = pack_log_probability(answer, answer->count - 1);
        (void)json_object_set_new(object, "id", json_integer((json_int_t)token->id));
        (void)json_object_set_new(object, "text", json_string(token->text));
    } else {
        more = pack_answer(answer);
        (void)json_object_del(more, "logprobs");  // the tokens had them
        pack_times(object, answer);
        (void)json_object_set_new(object, "position", json_integer((json_int_t)token->position));
        (void)json_object_set_new(object, "context", json_integer((json_int_t)t->context));
    }
    (void)json_object_update_missing(object, more);
    json_decref(more);
    return print_json(object) == EXIT_OK;
}

static tp_status feed(struct talk *t, const char *text, struct tp_error *error)
{
    struct tp_chat_message messages[2] = {{"system", t->system}};
    size_t count = t->message_count == 0 && t->system != NULL ? 1 : 0;
    messages[count++] = (struct tp_chat_message){"user", text};
    return tp_session_feed_chat(t->session, chat_template(t->options), messages, count, true,
                                error);
}

static tp_status note_turn(struct talk *t, const char *text, struct tp_error *error)
{
    tp_status status = TP_OK;
    if (t->message_count == 0 && t->system != NULL) {
        status = note(t, "system", t->system, error);
    }
    if (status == TP_OK) {
        status = note(t, "user", text, error);
    }
    if (status == TP_OK) {
        status = note(t, "assistant", t->last.text == NULL ? "" : t->last.text, error);
    }
    return status;
}

static void say_full(const struct talk *t)
{
    fprintf(stderr,
            "tokproc: the context of %" PRIu32 " positions is full - try: /reset, which forgets "
            "the talk; or a new one with a larger --context or --config\n",
            t->context);
}

static tp_status answer_to(struct talk *t, const char *text, struct tp_error *error)
{
    tp_status status = tp_session_generate(t->session, t->options->tokens, error);
    if (status != TP_OK) {
        return status;
    }
    answer_free(&t->last);
    t->last = (struct answer){.candidates_max = t->options->logprobs, .before = t->before};
    t->turns++;
    status = answer_read(t->session, &t->last, on_token, t, t->turns, error);
    if (status != TP_OK) {
        return status;
    }
    tp_session_get_statistics(t->session, &t->before);
    t->fed += t->last.prompt_tokens;
    t->found += t->last.prefix_tokens;
    t->queued += t->last.seconds_queued;
    t->tokens += t->last.count;
    t->seconds += t->last.seconds;
    if (!t->options->json) {
        (void)stream_text("\n", 1);
        print_log_probabilities(&t->last);
    }
    if (t->last.end == TP_END_CONTEXT) {
        say_full(t);
    }
    return note_turn(t, text, error);
}

// One question and its answer. What is only wrong with the question is said, and the talk goes on.
static tp_status say(struct talk *t, const char *text, struct tp_error *error)
{
    tp_status status = feed(t, text, error);
    if (status == TP_OK) {
        status = answer_to(t, text, error);
    }
    interrupt_forget();
    if (status == TP_ERROR_FULL || status == TP_ERROR_FORMAT) {
        fprintf(stderr, "tokproc: %s%s\n", error->text,
                status == TP_ERROR_FULL ? ", or /reset, which forgets the talk" : "");
        status = TP_OK;
    }
    return status;
}

// ---- commands ----

static tp_status count_spent(struct talk *t, struct spent *spent, struct tp_error *error)
{
    *spent = t->spent;
    tp_status status = spent_stop(&t->work, spent, error);
    spent->seconds = t->seconds;
    return status;
}

static tp_status print_stats(struct talk *t, struct tp_error *error)
{
    struct spent spent;
    tp_status status = count_spent(t, &spent, error);
    if (status != TP_OK) {
        return status;
    }
    if (t->turns == 0) {
        fprintf(stderr, "no answer yet; %" PRIu32 " positions\n", t->context);
        return TP_OK;
    }
    struct tp_session_statistics facts;
    tp_session_get_statistics(t->session, &facts);
    fprintf(stderr,
            "%" PRIu32 " turn%s, %" PRIu32 " of %" PRIu32 " positions, of %" PRIu64
            " fed tokens %" PRIu64 " were found in pages, waited %.3f s; the last: first token "
            "after %.1f ms, then %.2f ms each, at most %.2f\n",
            t->turns, t->turns == 1 ? "" : "s", facts.position, t->context, t->fed, t->found,
            t->queued, 1e3 * t->last.seconds_to_first, 1e3 * answer_gap(&t->last),
            1e3 * t->last.gap_longest);
    print_spent(&t->work, &spent, t->tokens, tp_end_name(t->last.end));
    return TP_OK;
}

static json_t *pack_talk(const struct talk *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->message_count; i++) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "role", t->messages[i].role,
                                                    "content", t->messages[i].text));
    }
    const char *name = chat_template(t->options);
    name = name == NULL ? t->work.model_info.chat : name;
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "model", t->work.model_info.name, "device",
                     t->work.device_name, "format", format_label(&t->work, t->options), "chat",
                     name == NULL ? "" : name, "messages", list);
}

// Replaces no file but what this talk wrote.
static void save(struct talk *t, const char *path)
{
    bool again = t->saved != NULL && strcmp(t->saved, path) == 0;
    FILE *file = fopen(path, again ? "w" : "wx");
    if (file == NULL) {
        fprintf(stderr, "tokproc: %s %s%s\n", path,
                errno == EEXIST ? "is there already" : "cannot be written: ",
                errno == EEXIST ? " - try: another name" : strerror(errno));
        return;
    }
    json_t *object = pack_talk(t);
    bool bad = object == NULL || json_dumpf(object, file, JSON_INDENT(2)) != 0;
    bad = fputc('\n', file) == EOF || bad;
    bad = fclose(file) != 0 || bad;
    json_decref(object);
    if (bad) {
        fprintf(stderr, "tokproc: %s cannot be written\n", path);
        return;
    }
    free(t->saved);
    t->saved = strdup(path);
    fprintf(stderr, "%zu messages are in %s\n", t->message_count, path);
}

static tp_status set_system(struct talk *t, const char *text, struct tp_error *error)
{
    char *copy = text[0] == 0 ? NULL : strdup(text);
    if (copy == NULL && text[0] != 0) {
        return no_memory(error);
    }
    free(t->system);
    t->system = copy;
    fprintf(stderr, "%s; the talk begins anew\n",
            copy == NULL ? "no system text" : "the system text is set");
    return begin(t, error);
}

static void print_help(void)
{
    fprintf(stderr,
            "/reset        forgets the talk\n"
            "/system TEXT  what the model is told before a talk, which begins anew; without TEXT "
            "nothing\n"
            "/stats        positions, times, cycles\n"
            "/save FILE    writes the talk as JSON\n"
            "/quit         ends, as Ctrl-D; Ctrl-C ends an answer\n"
            "/help         this text\n"
            "A line that begins with a space is no command.\n");
}

// What begins with a slash. quit says that it was the last.
static tp_status command(struct talk *t, const char *line, bool *quit, struct tp_error *error)
{
    size_t size = strcspn(line, " ");
    const char *rest = line + size + strspn(line + size, " ");
    static const char *const names[] = {"/help", "/reset", "/stats", "/system", "/save", "/quit"};
    enum { HELP, RESET, STATS, SYSTEM, SAVE, QUIT, COMMANDS } which = HELP;
    while (which < COMMANDS &&
           (strlen(names[which]) != size || strncmp(names[which], line, size) != 0)) {
        which++;
    }
    bool takes_text = which == SYSTEM || which == SAVE;
    if (which == COMMANDS || (!takes_text && rest[0] != 0) || (which == SAVE && rest[0] == 0)) {
        fprintf(stderr, "tokproc: %s is no command - try: %s\n", line,
                which == SAVE ? "/save FILE" : "/help");
        return TP_OK;
    }
    switch (which) {
    case HELP:
        print_help();
        return TP_OK;
    case RESET:
        fprintf(stderr, "the talk begins anew\n");
        return begin(t, error);
    case STATS:
        return print_stats(t, error);
    case SYSTEM:
        return set_system(t, rest, error);
    case SAVE:
        save(t, rest);
        return TP_OK;
    default:
        *quit = true;
        return TP_OK;
    }
}

// ---- all of it ----

static tp_status talk_until_end(struct talk *t, struct tp_error *error)
{
    struct line_input input = {0};
    tp_status status = TP_OK;
    bool quit = false;
    if (line_input_open(&input) && !t->options->quiet) {
        fprintf(stderr, "%s on %s, %" PRIu32 " positions; /help lists commands\n",
                t->work.model_info.name, t->work.device_name, t->context);
    }
    while (status == TP_OK && !quit) {
        const char *line = line_input_next(&input);
        if (line == NULL) {
            break;
        }
        if (line[0] == '/') {
            status = command(t, line, &quit, error);
        } else if (line[strspn(line, " \t\r")] != 0) {
            status = say(t, line, error);
        }
    }
    line_input_close(&input);
    return status;
}

static int finish(struct talk *t)
{
    struct tp_error error = {.status = TP_OK};
    struct spent spent;
    if (!t->options->quiet && t->turns != 0 && print_stats(t, &error) != TP_OK) {
        return failed(&error);
    }
    if (t->options->json) {
        if (count_spent(t, &spent, &error) != TP_OK) {
            return failed(&error);
        }
        json_t *object = json_pack("{s:I, s:I, s:I, s:f}", "turns", (json_int_t)t->turns,
                                   "prompt_tokens", (json_int_t)t->fed, "generated_tokens",
                                   (json_int_t)t->tokens, "seconds_queued", t->queued);
        pack_spent(object, &t->work, &spent, t->tokens);
        return print_json(object);
    }
    return EXIT_OK;
}

static int converse(struct talk *t)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_load_info load;
    tp_status status = tp_device_get_load(t->work.device, &load, &error);
    t->context = status == TP_OK ? load.context : 0;
    t->system = t->options->system == NULL ? NULL : strdup(t->options->system);
    if (status == TP_OK) {
        status = begin(t, &error);
    }
    if (status == TP_OK) {
        status = spent_start(&t->work, &t->spent, &error);
    }
    if (status == TP_OK) {
        status = talk_until_end(t, &error);
    }
    if (status != TP_OK) {
        return failed(&error);
    }
    int result = finish(t);
    return result == EXIT_OK && interrupted() ? EXIT_INTERRUPTED : result;
}

int verb_chat(const struct options *options)
{
    struct talk t = {.options = options};
    int status = work_open_model(&t.work, options);
    if (status == EXIT_OK) {
        status = check_template(&t);
    }
    if (status == EXIT_OK) {
        status = work_choose_device(&t.work, options, 0, NULL);
    }
    if (status == EXIT_OK) {
        status = work_load(&t.work, options);
    }
    if (status == EXIT_OK) {
        status = converse(&t);
    }
    tp_session_destroy(t.session);
    forget_messages(&t);
    answer_free(&t.last);
    free(t.system);
    free(t.saved);
    work_close(&t.work);
    return status;
}

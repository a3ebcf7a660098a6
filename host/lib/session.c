// SPDX-License-Identifier: Apache-2.0
//
// Sessions: making them, starting runs, reading. feed.c gives them input; the device's thread gives
// them turns (schedule.c), appends sampled tokens and the reason of the end (session_run.c); the
// reader turns them into text. All fields are guarded by the device's mutex, but for those of the
// reader's side.

#include "schedule.h"
#include "session_file.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const double penalty_most = 3.9;  // factors have 12 bits, 10 of them fractions

void tp__session_signal(tp_session *session)
{
    if (session->descriptor >= 0) {
        const uint64_t one = 1;
        ssize_t ignored = write(session->descriptor, &one, sizeof one);
        (void)ignored;
    }
    pthread_cond_broadcast(&session->device->changed);
}

bool tp__session_has_list(const tp_session *session)
{
    return (session->sampling.top_k != 0 && session->sampling.temperature != 0) ||
           session->options.candidates != 0;
}

bool tp__session_is_fast(const tp_session *session)
{
    return session->sampling.temperature == 0 && session->sampling.penalty_positive == 0 &&
           session->options.candidates == 0 && session->logits == NULL;
}

uint32_t tp__session_event_bytes(const tp_session *session)
{
    enum { TOKEN_AND_DONE = 8 + 4 + 2 * TP_FRAME_OVERHEAD, LOGITS_OF_FRAME = 60 };
    uint32_t candidates = session->options.candidates;
    uint32_t logits = session->logits == NULL ? 0 : session->vocab;
    uint32_t candidate_frames = (candidates + TP_CANDIDATES_MAX - 1) / TP_CANDIDATES_MAX;
    uint32_t logit_frames = (logits + LOGITS_OF_FRAME - 1) / LOGITS_OF_FRAME;
    return TOKEN_AND_DONE + candidate_frames * (TP_FRAME_OVERHEAD + 16) + candidates * 8 +
           logit_frames * (TP_FRAME_OVERHEAD + 8) + logits * 4;
}

// The device's thread asks the device once to end the run.
static void cancel_run(tp_session *session)
{
    pthread_mutex_lock(&session->device->mutex);
    session->cancel_wanted = session->running;
    pthread_cond_broadcast(&session->device->changed);
    pthread_mutex_unlock(&session->device->mutex);
}

// ---- creation ----

static bool between(float value, double least, double most)
{
    return (double)value >= least && (double)value <= most;
}

static tp_status check_sampling(const tp_device *device, const struct tp_session_options *options,
                                struct tp_error *error)
{
    if (!(options->temperature == 0.0f ||
          (options->temperature >= 0.01f && options->temperature <= 100.0f))) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "the temperature must be 0 (greedy) or 0.01 to 100");
    }
    bool cuts = options->min_p > 0.0f || (options->top_p > 0.0f && options->top_p < 1.0f);
    bool sorts = options->top_k != 0 || cuts || options->candidates != 0;
    if (sorts && device->limits.top_k == 0) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s does not sort tokens: it has no top-k, top-p, min-p and candidates",
                        device->info.name);
    }
    if (options->top_k > device->limits.top_k) {
        return tp__fail(error, TP_ERROR_INVALID, "top-k must be 0 (off) or 1 to %" PRIu32 " on %s",
                        device->limits.top_k, device->info.name);
    }
    if (options->repetition_penalty != 0.0f &&
        !between(options->repetition_penalty, 1.0, penalty_most + 1e-6)) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "the repetition penalty must be 0 (off) or 1 to %g", penalty_most);
    }
    if (!between(options->top_p, 0.0, 1.0)) {
        return tp__fail(error, TP_ERROR_INVALID, "top-p must be 0 (off) to 1");
    }
    if (!between(options->min_p, 0.0, 1.0)) {
        return tp__fail(error, TP_ERROR_INVALID, "min-p must be 0 (off) to 1");
    }
    if (options->candidates > device->limits.top_k) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "at most %" PRIu32 " candidates can be asked for on %s",
                        device->limits.top_k, device->info.name);
    }
    bool full = options->repetition_penalty > 1.0f || cuts || options->candidates != 0;
    if (full && !device->has_full_sampling) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED,
                        "%s has no repetition penalty, top-p, min-p and candidates - try: -d emu",
                        device->info.name);
    }
    return TP_OK;
}

// Tokens that end a text or a turn; stops may be NULL. Returns their number.
static uint32_t own_stops(const struct tp_tokenizer *tokenizer, uint16_t *stops)
{
    const uint32_t ends[] = {tokenizer->eos, tokenizer->bos, tokenizer->turn_end};
    uint32_t count = 0;
    for (uint32_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        bool is_new = ends[i] != TP_TOKEN_NONE && (i == 0 || ends[i] != ends[0]);
        if (is_new && stops != NULL) {
            stops[count] = (uint16_t)ends[i];
        }
        count += is_new ? 1 : 0;
    }
    return count;
}

static tp_status check_options(const tp_device *device, const struct tp_session_options *options,
                               struct tp_error *error)
{
    tp_status status = check_sampling(device, options, error);
    if (status != TP_OK) {
        return status;
    }
    bool stops = !options->ignore_eos && device->model->tokenizer != NULL;
    uint32_t own = stops ? own_stops(device->model->tokenizer, NULL) : 0;
    if (options->stop_token_count > TP_STOP_MAX - own) {
        return tp__fail(error, TP_ERROR_INVALID, "at most %u stop tokens can be given",
                        (unsigned)(TP_STOP_MAX - own));
    }
    if (options->stop_string_count > TP_STOP_STRINGS_MAX) {
        return tp__fail(error, TP_ERROR_INVALID, "at most %d stop strings can be given",
                        TP_STOP_STRINGS_MAX);
    }
    for (uint32_t i = 0; i < options->stop_string_count; i++) {
        const char *text = options->stop_strings[i];
        if (text == NULL || text[0] == 0 || strlen(text) >= TP_STOP_BYTES_MAX) {
            return tp__fail(error, TP_ERROR_INVALID, "a stop string must have 1 to %d bytes",
                            TP_STOP_BYTES_MAX - 1);
        }
    }
    for (uint32_t i = 0; i < options->stop_token_count; i++) {
        if (options->stop_tokens[i] >= device->image->vocab) {
            return tp__fail(error, TP_ERROR_INVALID, "stop token %u is not of the vocabulary (%u)",
                            (unsigned)options->stop_tokens[i], (unsigned)device->image->vocab);
        }
    }
    return TP_OK;
}

// The numbers that the device takes (docs/numbers.md, section 6).
static struct tp_sampling sampling_of(const tp_device *device,
                                      const struct tp_session_options *options)
{
    struct tp_sampling sampling = {.top_k = options->top_k, .seed = options->seed};
    if (options->temperature > 0.0f) {
        double factor = log2(exp(1.0)) / (double)options->temperature;
        sampling.temperature = (uint32_t)lround(factor * 4096.0);
    }
    if (options->repetition_penalty > 1.0f) {
        double penalty = (double)options->repetition_penalty;
        sampling.penalty_positive = (uint32_t)lround(1024.0 / penalty);
        sampling.penalty_negative = (uint32_t)lround(1024.0 * penalty);
    }
    if (options->top_p > 0.0f) {
        long cut = lround(65536.0 * (1.0 - (double)options->top_p));
        sampling.top_p_cut = cut < 65536 ? (uint32_t)cut : 65535u;
    }
    if (options->min_p > 0.0f) {
        sampling.min_p_gap = (uint32_t)lround(-log((double)options->min_p) * 4096.0) + 1;
    }
    if (sampling.top_k == 0 && (sampling.top_p_cut != 0 || sampling.min_p_gap != 0)) {
        sampling.top_k = device->limits.top_k;
    }
    return sampling;
}

static void take_options(tp_session *session, const struct tp_session_options *options)
{
    const struct tp_tokenizer *tokenizer = session->model->tokenizer;
    session->options = *options;
    for (uint32_t i = 0; i < options->stop_string_count; i++) {
        session->stop_bytes[i] = strlen(options->stop_strings[i]);
        memcpy(session->stop_text[i], options->stop_strings[i], session->stop_bytes[i]);
    }
    for (uint32_t i = 0; i < options->stop_token_count; i++) {
        session->stop_tokens[session->stop_token_count++] = (uint16_t)options->stop_tokens[i];
    }
    if (!options->ignore_eos && tokenizer != NULL) {
        session->stop_token_count +=
            own_stops(tokenizer, session->stop_tokens + session->stop_token_count);
    }
    session->sampling = sampling_of(session->device, options);
}

static bool take_candidate_memory(tp_session *session)
{
    size_t places = (size_t)session->context + 1;
    if (session->options.candidates == 0) {
        return true;
    }
    session->log_probabilities = calloc(places, sizeof *session->log_probabilities);
    session->candidate_counts = calloc(places, sizeof *session->candidate_counts);
    session->candidates = calloc(places * session->options.candidates, sizeof *session->candidates);
    return session->log_probabilities != NULL && session->candidate_counts != NULL &&
           session->candidates != NULL;
}

static tp_status take_memory(tp_session *session, struct tp_error *error)
{
    const struct tp_tokenizer *tokenizer = session->model->tokenizer;
    size_t pages = (session->context + TP_PAGE - 1) / TP_PAGE;
    session->history = calloc((size_t)session->context + 1, sizeof *session->history);
    session->pages = calloc(pages, sizeof *session->pages);
    session->prefixes = calloc(pages, sizeof *session->prefixes);
    bool ok = session->history != NULL && session->pages != NULL && session->prefixes != NULL &&
              take_candidate_memory(session);
    if (session->options.on_logits != NULL) {
        session->logits = calloc(session->vocab, sizeof *session->logits);
        ok = ok && session->logits != NULL;
    }
    // Held back: less than the longest stop string; new: one token's text.
    session->text_max = 2 * TP_STOP_BYTES_MAX + 8;
    session->text_max += tokenizer != NULL ? tp__decode_bytes_max(tokenizer) : 0;
    session->text = calloc(session->text_max, 1);
    if (!ok || session->text == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a session");
    }
    if (tokenizer != NULL) {
        tp__decoder_start(&session->decoder, tokenizer, TP_TOKEN_NONE);
        size_t bytes = tp__tokenizer_text_bytes(tokenizer, session->context);
        size_t ranges = tp__chat_ranges(TP_CHAT_MESSAGES_MAX);
        session->chat = (struct tp_chat_text){.text = malloc(bytes),
                                              .max = bytes,
                                              .ranges = calloc(ranges, sizeof(struct tp_range)),
                                              .range_max = ranges};
        if (session->chat.text == NULL || session->chat.ranges == NULL) {
            return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a session");
        }
        return tp__encoder_open(tokenizer, bytes, &session->encoder, error);
    }
    return TP_OK;
}

static void free_session(tp_session *session)
{
    if (session->model->tokenizer != NULL) {
        tp__encoder_close(&session->encoder);
    }
    if (session->descriptor >= 0) {
        (void)close(session->descriptor);
    }
    free(session->history);
    free(session->pages);
    free(session->prefixes);
    free(session->log_probabilities);
    free(session->candidate_counts);
    free(session->candidates);
    free(session->logits);
    free(session->text);
    free(session->chat.text);
    free(session->chat.ranges);
    tp__model_release(session->model);
    free(session);
}

// To the device's list.
static void join(tp_session *session)
{
    tp_device *device = session->device;
    pthread_mutex_lock(&device->mutex);
    session->next = device->first_session;
    if (session->next != NULL) {
        session->next->previous = session;
    }
    device->first_session = session;
    pthread_mutex_unlock(&device->mutex);
}

// With the mutex held.
static void part(tp_session *session)
{
    tp_device *device = session->device;
    tp__schedule_leave(session, 0);
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
    *(session->previous != NULL ? &session->previous->next : &device->first_session) =
        session->next;
    pthread_cond_broadcast(&device->changed);  // its pages
}

tp_status tp_session_create(tp_device *device, const struct tp_session_options *options,
                            tp_session **session, struct tp_error *error)
{
    static const struct tp_session_options none;
    options = options == NULL ? &none : options;
    if (device == NULL || session == NULL || device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_session_create: an argument is NULL or no model is loaded");
    }
    tp_status status = check_options(device, options, error);
    if (status != TP_OK) {
        return status;
    }
    tp_session *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a session");
    }
    made->device = device;
    made->model = device->model;
    tp__model_retain(made->model);
    made->context = device->image->plan.context;
    made->vocab = device->image->vocab;
    made->last_slot = TP_SLOT_NONE;
    made->descriptor = -1;
    take_options(made, options);
    status = take_memory(made, error);
    if (status == TP_OK && options->on_token == NULL) {
        made->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (made->descriptor < 0) {
            status = tp__fail(error, TP_ERROR_NO_MEMORY, "no descriptor for a session");
        }
    }
    if (status != TP_OK) {
        free_session(made);
        return status;
    }
    join(made);
    *session = made;
    return TP_OK;
}

void tp_session_destroy(tp_session *session)
{
    if (session == NULL) {
        return;
    }
    tp_device *device = session->device;
    cancel_run(session);
    pthread_mutex_lock(&device->mutex);
    while (device->entered == session || (session->running && device->failure.status == TP_OK)) {
        pthread_cond_wait(&device->changed, &device->mutex);
    }
    device->running -= session->running ? 1 : 0;
    part(session);
    pthread_mutex_unlock(&device->mutex);
    free_session(session);
}

tp_status tp__session_check_rest(const tp_session *session, struct tp_error *error)
{
    if (session->reading) {
        return tp__fail(error, TP_ERROR_BUSY, "the session's run has not been read to its end");
    }
    if (session->is_orphan) {
        return tp__fail(error, TP_ERROR_MISMATCH,
                        "the device got a model that cannot go on with this session: destroy it");
    }
    return TP_OK;
}

tp_status tp_session_fork(tp_session *session, const struct tp_session_options *options,
                          tp_session **fork, struct tp_error *error)
{
    if (session == NULL || fork == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_session_fork: an argument is NULL");
    }
    tp_status status = tp__session_check_rest(session, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_session_options same = session->options;
    for (uint32_t i = 0; i < same.stop_string_count; i++) {
        same.stop_strings[i] = session->stop_text[i];
    }
    tp_session *made = NULL;
    status = tp_session_create(session->device, options == NULL ? &same : options, &made, error);
    if (status != TP_OK) {
        return status;
    }
    pthread_mutex_lock(&session->device->mutex);
    memcpy(made->history, session->history, session->length * sizeof *made->history);
    made->length = session->length;
    made->read = session->length;
    made->answer_at = session->answer_at;
    tp__schedule_share(session, made);
    pthread_mutex_unlock(&session->device->mutex);
    *fork = made;
    return TP_OK;
}

tp_status tp_session_save(const tp_session *session, const char *path, struct tp_error *error)
{
    if (session == NULL || path == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_session_save: an argument is NULL");
    }
    tp_status status = tp__session_check_rest(session, error);
    if (status != TP_OK) {
        return status;
    }
    struct tp_session_file file = {.options = session->options,
                                   .answer_at = session->answer_at,
                                   .token_count = session->length,
                                   .tokens = session->history};
    memcpy(file.stop_text, session->stop_text, sizeof file.stop_text);
    memcpy(file.model, session->device->model_digest, sizeof file.model);
    return tp__session_file_write(&file, path, error);
}

// Whether the session of a file can go on here.
static tp_status check_file(const tp_device *device, const struct tp_session_file *file,
                            const char *name, struct tp_error *error)
{
    if (memcmp(file->model, device->model_digest, sizeof file->model) != 0) {
        return tp__fail(error, TP_ERROR_MISMATCH,
                        "%s: saved with another model or format than %s - try: load the one that "
                        "it was saved with",
                        name, device->model->name);
    }
    // One token more than the context: sampled at its end.
    if (file->token_count > device->image->plan.context + 1) {
        return tp__fail(error, TP_ERROR_FULL, "%s: %u tokens, the context has room for %u", name,
                        (unsigned)file->token_count, (unsigned)device->image->plan.context);
    }
    for (uint32_t i = 0; i < file->token_count; i++) {
        if (file->tokens[i] >= device->image->vocab) {
            return tp__fail(error, TP_ERROR_FORMAT, "%s: token %u is not of the vocabulary (%u)",
                            name, (unsigned)file->tokens[i], (unsigned)device->image->vocab);
        }
    }
    return TP_OK;
}

static tp_status restore(tp_device *device, struct tp_session_file *file, const char *name,
                         const struct tp_session_options *options, tp_session **session,
                         struct tp_error *error)
{
    tp_session *made = NULL;
    for (uint32_t i = 0; i < file->options.stop_string_count; i++) {
        file->options.stop_strings[i] = file->stop_text[i];
    }
    tp_status status = check_file(device, file, name, error);
    if (status == TP_OK) {
        status =
            tp_session_create(device, options == NULL ? &file->options : options, &made, error);
    }
    if (status != TP_OK) {
        return status;
    }
    memcpy(made->history, file->tokens, file->token_count * sizeof *made->history);
    made->length = file->token_count;
    made->read = file->token_count;
    made->heard = file->token_count == 0 ? 0 : file->token_count - 1;
    made->answer_at = file->answer_at;
    *session = made;
    return TP_OK;
}

tp_status tp_session_restore(tp_device *device, const char *path,
                             const struct tp_session_options *options, tp_session **session,
                             struct tp_error *error)
{
    if (device == NULL || path == NULL || session == NULL || device->image == NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_session_restore: an argument is NULL or no model is loaded");
    }
    struct tp_session_file file;
    tp_status status = tp__session_file_read(path, &file, error);
    if (status == TP_OK) {
        status = restore(device, &file, tp__short_name(path), options, session, error);
        tp__session_file_close(&file);
    }
    return status;
}

tp_status tp_session_rewind(tp_session *session, uint32_t position, struct tp_error *error)
{
    if (session == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_session_rewind: session is NULL");
    }
    tp_status status = tp__session_check_rest(session, error);
    if (status != TP_OK) {
        return status;
    }
    if (position > session->length) {
        return tp__fail(error, TP_ERROR_RANGE, "position %u is behind the session's %u tokens",
                        (unsigned)position, (unsigned)session->length);
    }
    pthread_mutex_lock(&session->device->mutex);
    session->length = position;
    session->read = position;
    session->answer_at = position < session->answer_at ? 0 : session->answer_at;
    tp__schedule_cut(session, position == 0 ? 0 : position - 1);
    pthread_mutex_unlock(&session->device->mutex);
    return TP_OK;
}

// ---- runs ----

// The run goes on in the device's thread, as soon as the session has its turn.
static void begin_run(tp_session *session, uint32_t count)
{
    tp_device *device = session->device;
    session->read = session->length;
    session->fed = session->length;
    session->count = count;
    session->running = true;
    session->ended = false;
    session->cancel_wanted = false;
    session->lacks_pages = false;
    session->recovery = TP_RECOVERY_NONE;
    session->failures = 0;
    session->started_at = tp__seconds();
    session->first_at = 0;
    session->age = ++device->tickets;
    session->reading = true;
    session->stop_found = false;
    session->text_count = 0;
    session->text_given = 0;
    if (session->model->tokenizer != NULL) {
        tp__decoder_start(&session->decoder, session->model->tokenizer,
                          session->history[session->length - 1]);
    }
    device->running++;
    tp__schedule_enter(session);
    pthread_cond_broadcast(&device->changed);
}

// With the mutex held.
static tp_status start_run(tp_session *session, uint32_t count, struct tp_error *error)
{
    tp_device *device = session->device;
    if (device->failure.status != TP_OK) {
        return tp__fail(error, device->failure.status, "%s", device->failure.text);
    }
    if (session->options.fails_without_pages && !tp__schedule_reserve(session, session->length)) {
        tp__schedule_cut(session, session->heard);
        return tp__fail(error, TP_ERROR_FULL,
                        "the KV memory has no page for %u more tokens: all %u pages are held by "
                        "runs - try: when another run has ended, or a session that waits",
                        (unsigned)(session->length - session->processed),
                        (unsigned)device->pages.count);
    }
    begin_run(session, count);
    return TP_OK;
}

tp_status tp_session_generate(tp_session *session, uint32_t count, struct tp_error *error)
{
    if (session == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_session_generate: session is NULL");
    }
    tp_status status = tp__session_check_rest(session, error);
    if (status != TP_OK) {
        return status;
    }
    if (session->length == session->heard) {
        return tp__fail(error, TP_ERROR_INVALID, "nothing to process: feed a token first");
    }
    if (session->heard >= session->context) {
        return tp__fail(error, TP_ERROR_FULL, "the context of %u positions is full",
                        (unsigned)session->context);
    }
    pthread_mutex_lock(&session->device->mutex);
    status = start_run(session, count, error);
    pthread_mutex_unlock(&session->device->mutex);
    return status;
}

tp_status tp_session_cancel(tp_session *session, struct tp_error *error)
{
    if (session == NULL) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_session_cancel: session is NULL");
    }
    cancel_run(session);
    return TP_OK;
}

// ---- reading ----

// Bytes at the end of the text that could become a stop string; found says that one is complete, at
// the returned distance from the end.
static size_t held_back(const tp_session *session, bool *found)
{
    size_t most = 0;
    *found = false;
    for (uint32_t i = 0; i < session->options.stop_string_count; i++) {
        size_t size = session->stop_bytes[i];
        for (size_t at = 0; at < session->text_count; at++) {
            size_t rest = session->text_count - at;
            size_t part = rest < size ? rest : size;
            if (memcmp(session->text + at, session->stop_text[i], part) != 0) {
                continue;
            }
            if (part == size) {
                // The earliest complete one ends the text; none before it can be completed later.
                if (!*found || rest > most) {
                    most = rest;
                }
                *found = true;
                break;
            }
            most = !*found && rest > most ? rest : most;
            break;
        }
    }
    return most;
}

// Gives out what cannot belong to a stop string any more; all of it at the end of a run.
static void give_text(tp_session *session, struct tp_token *token, bool all)
{
    bool found = false;
    size_t held = all ? 0 : held_back(session, &found);
    size_t give = session->text_count - held;
    // The text is shifted at the next read; a NUL needs a place between given and held bytes.
    memmove(session->text + give + 1, session->text + give, held);
    session->text[give] = 0;
    session->text_given = give + 1;
    session->text_count = held;
    token->text = session->text;
    token->text_bytes = (uint32_t)give;
    if (found) {
        session->stop_found = true;
        session->text_count = 0;
    }
}

static void drop_given_text(tp_session *session)
{
    memmove(session->text, session->text + session->text_given, session->text_count);
    session->text_given = 0;
}

static void read_end(tp_session *session, struct tp_token *token)
{
    drop_given_text(session);
    if (session->model->tokenizer != NULL && !session->stop_found) {
        session->text_count +=
            tp__decode_end(&session->decoder, session->text + session->text_count);
    }
    if (session->stop_found) {
        session->text_count = 0;
    }
    give_text(session, token, true);
    token->end = session->stop_found ? TP_END_STOP_TEXT : session->end;
    token->position = session->length;
    session->reading = false;
}

bool tp__session_is_stop(const tp_session *session, uint32_t token)
{
    for (uint32_t i = 0; i < session->stop_token_count; i++) {
        if (session->stop_tokens[i] == token) {
            return true;
        }
    }
    return false;
}

// Of the token that is read next.
static void give_candidates(const tp_session *session, struct tp_token *token)
{
    token->log_probability = NAN;
    if (session->options.candidates != 0) {
        size_t place = session->read;
        token->log_probability = session->log_probabilities[place];
        token->candidate_count = session->candidate_counts[place];
        token->candidates = session->candidates + place * session->options.candidates;
    }
}

// Takes one token or the end without waiting. With the mutex held. False: nothing is there.
static bool take_next(tp_session *session, struct tp_token *token, bool *cancel)
{
    while (session->stop_found && session->read < session->length) {
        session->read++;  // sampled before the cancel arrived
    }
    if (session->read < session->length) {
        *token = (struct tp_token){.end = TP_END_NONE, .position = session->read};
        give_candidates(session, token);
        token->id = session->history[session->read++];
        drop_given_text(session);
        if (session->model->tokenizer != NULL && !tp__session_is_stop(session, token->id)) {
            session->text_count +=
                tp__decode(&session->decoder, token->id, session->text + session->text_count);
        }
        give_text(session, token, false);
        if (session->stop_found) {
            session->stop_length = session->read;
            *cancel = true;
        }
        return true;
    }
    if (!session->ended) {
        return false;
    }
    if (session->stop_found) {
        // What came after the stop string never happened.
        session->length = session->stop_length;
        session->read = session->length;
        tp__schedule_cut(session, session->length - 1);
    }
    session->ended = false;
    *token = (struct tp_token){.end = session->end, .log_probability = NAN};
    read_end(session, token);
    return true;
}

// With the mutex held: keeps the descriptor readable exactly while a read would not wait.
static void settle_descriptor(tp_session *session)
{
    if (session->descriptor >= 0 && session->read == session->length && !session->ended) {
        uint64_t count = 0;
        ssize_t ignored = read(session->descriptor, &count, sizeof count);
        (void)ignored;
    }
}

static bool wait_changed(tp_device *device, double until)
{
    if (until < 0) {
        pthread_cond_wait(&device->changed, &device->mutex);
        return true;
    }
    double left = until - tp__seconds();
    if (left <= 0) {
        return false;
    }
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    double end = (double)at.tv_nsec * 1e-9 + left;
    at.tv_sec += (time_t)end;
    at.tv_nsec = (long)((end - floor(end)) * 1e9);
    (void)pthread_cond_timedwait(&device->changed, &device->mutex, &at);
    return true;
}

tp_status tp_session_read(tp_session *session, struct tp_token *token, int timeout_ms,
                          struct tp_error *error)
{
    if (session == NULL || token == NULL || session->options.on_token != NULL) {
        return tp__fail(error, TP_ERROR_INVALID,
                        "tp_session_read: an argument is NULL, or the session has a callback");
    }
    if (!session->reading) {
        return tp__fail(error, TP_ERROR_INVALID, "no run is under way: tp_session_generate first");
    }
    tp_device *device = session->device;
    double until = timeout_ms < 0 ? -1 : tp__seconds() + timeout_ms * 1e-3;
    tp_status status = TP_OK;
    bool cancel = false;
    pthread_mutex_lock(&device->mutex);
    while (!take_next(session, token, &cancel)) {
        if (device->failure.status != TP_OK) {
            status = tp__fail(error, device->failure.status, "%s", device->failure.text);
            break;
        }
        if (!wait_changed(device, until)) {
            status = tp__fail(error, TP_ERROR_TIMEOUT, "no token yet");
            break;
        }
    }
    settle_descriptor(session);
    pthread_mutex_unlock(&device->mutex);
    if (cancel) {
        cancel_run(session);
    }
    return status;
}

int tp_session_descriptor(const tp_session *session)
{
    return session == NULL ? -1 : session->descriptor;
}

void tp__session_call_back(tp_session *session)
{
    tp_device *device = session->device;
    struct tp_token token;
    while (session->options.on_token != NULL) {
        bool cancel = false;
        pthread_mutex_lock(&device->mutex);
        bool got = session->reading && take_next(session, &token, &cancel);
        pthread_mutex_unlock(&device->mutex);
        if (!got) {
            return;
        }
        if (cancel) {
            cancel_run(session);
        }
        session->options.on_token(session->options.user, &token);
    }
}

// ---- facts ----

const char *tp_end_name(tp_end end)
{
    static const char *const names[] = {"none",    "fed",    "limit",  "stop",  "stop text",
                                        "context", "cancel", "failed", "pages", "model"};
    return (size_t)end < sizeof names / sizeof *names ? names[end] : "unknown";
}

void tp_session_get_statistics(const tp_session *session, struct tp_session_statistics *statistics)
{
    pthread_mutex_lock(&session->device->mutex);
    *statistics = (struct tp_session_statistics){
        .position = session->heard,
        .prompt_tokens = session->prompt_tokens,
        .generated_tokens = session->generated_tokens,
        .seconds_to_first = session->first_at == 0 ? 0 : session->first_at - session->started_at,
        .seconds_run = (session->running ? tp__seconds() : session->done_at) - session->started_at,
        .seconds_queued = session->seconds_queued +
                          (session->is_waiting ? tp__seconds() - session->entered_at : 0),
        .seconds_between_mean = session->between_count == 0
                                    ? 0
                                    : session->seconds_between_sum / (double)session->between_count,
        .seconds_between_max = session->seconds_between_max,
        .prefix_tokens = session->prefix_tokens,
        .recomputed_tokens = session->recomputed_tokens,
        .prefill_tokens = session->prefill_tokens};
    pthread_mutex_unlock(&session->device->mutex);
}

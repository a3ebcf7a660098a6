// SPDX-License-Identifier: Apache-2.0
//
// Claims about many sessions on one device, on the emulator: whatever is created, fed, generated,
// read, cancelled, forked, rewound, saved, restored and destroyed in whatever order, with more
// sessions than slots and more positions than the KV memory has, each session's tokens and logits
// are those of the golden machine that knows nothing but its history; every wait ends; a session
// that does not wait for pages is told; and after each operation the pages and sessions are in
// order; prompts go over up to 4 slots. Ten thousand sessions leave no page behind. Sessions of
// several threads do not meet. A session waits no longer than docs/sessions.md says. A saved
// session that is damaged, or of another model, is refused.
//
// Not covered: the simulated RTL (tests/system/test_same_tokens.c), losses on the link
// (tests/host/test_session_run.c).

#include "schedule.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "held_device.h"
#include "made_model.h"
#include "random.h"

enum {
    VOCAB = 70,
    CONTEXT = 64,
    LAYERS = 3,  // ten pages in 512 rows
    PAGES = 10,
    SESSIONS = 9,
    FEED_MAX = 20,
    THREADS = 3,
    OPERATIONS = 1500,
    LIFETIMES = 10000
};

static tp_context *context;
static tp_model *model;
static tp_device *device;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static void setup(void)
{
    const struct tp_test_model made = {32, 32, LAYERS, 2, 1, VOCAB, CONTEXT, false, 7};
    const struct tp_load_options load = {.format = TP_FORMAT_Q8, .sessions = 4};
    struct tp_error error;
    OK(tp_context_create(NULL, &context, &error));
    tp_test_open_made_model(context, &made, false, &model);
    OK(tp_device_open(context, "emu:small", &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    ck_assert_uint_eq(device->pages.count, PAGES);
}

static void teardown(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
}

// ---- one session, and what is known of it ----

struct known {
    tp_session *session;  // NULL: there is none
    struct tp_session_options options;
    uint32_t tokens[CONTEXT + 1];
    bool is_sampled[CONTEXT + 1];
    uint32_t length;
    bool has_input;  // tokens that no run has processed
    bool is_running;
    bool is_cancelled;
    uint32_t asked;
    uint32_t got;
    uint64_t logits[CONTEXT + 1];  // hash of those that were told; 0: none were
    uint32_t repeated;             // positions that were told twice
};

// Sessions of one thread, and the machine that they are compared with.
struct company {
    struct known all[SESSIONS];
    struct tp_machine *machine;
    struct tp_random random;
    uint32_t tokens;  // that were compared
    uint64_t prefix_tokens;
    uint64_t recomputed_tokens;
    uint64_t prefill_tokens;
    uint32_t refused;  // for want of pages
};

static uint64_t hash_of(const int32_t *logits)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < VOCAB; i++) {
        hash = (hash ^ (uint32_t)logits[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void hear_logits(void *user, uint32_t position, const int32_t *logits, uint32_t vocab)
{
    struct known *known = user;
    known->repeated += vocab != VOCAB || known->logits[position] != 0 ? 1 : 0;
    known->logits[position] = hash_of(logits);
}

// Every token that was sampled, from the history before it and nothing else.
static void compare(struct company *company, const struct known *known)
{
    const struct tp_sampling *sampling = &known->session->sampling;
    struct tp_recent recent = {.count = 0};
    int32_t logits[VOCAB];
    uint32_t last = known->length;
    while (last != 0 && !known->is_sampled[last - 1] && known->logits[last - 1] == 0) last--;
    for (uint32_t p = 0; p < last && p < CONTEXT; p++) {
        bool samples = p + 1 < known->length && known->is_sampled[p + 1];
        bool wanted = samples || known->logits[p] != 0;
        (void)tp_machine_step(company->machine, 0, p, known->tokens[p], wanted ? logits : NULL);
        tp_recent_add(&recent, known->tokens[p]);
        if (known->logits[p] != 0) {
            ck_assert_msg(known->logits[p] == hash_of(logits), "other logits at %u", p);
        }
        if (samples) {
            tp_penalise(sampling, &recent, logits, VOCAB);
            uint32_t token = tp_sample(sampling, p, logits, VOCAB);
            ck_assert_msg(token == known->tokens[p + 1], "token %u is %u instead of %u", p + 1,
                          known->tokens[p + 1], token);
            company->tokens++;
        }
    }
    ck_assert_uint_eq(known->repeated, 0);
}

static struct tp_session_options options_of(struct tp_random *random, struct known *known)
{
    struct tp_session_options options = {
        .temperature = 1.0f, .seed = tp_random_below(random, 3), .ignore_eos = true, .user = known};
    options.repetition_penalty = tp_random_below(random, 4) == 0 ? 1.7f : 0.0f;
    options.on_logits = tp_random_below(random, 5) == 0 ? hear_logits : NULL;
    options.fails_without_pages = tp_random_below(random, 4) == 0;
    if (tp_random_below(random, 4) == 0) {
        options.stop_tokens[options.stop_token_count++] = tp_random_below(random, VOCAB);
    }
    return options;
}

static void end_session(struct company *company, struct known *known)
{
    struct tp_session_statistics facts;
    tp_session_get_statistics(known->session, &facts);
    company->prefix_tokens += facts.prefix_tokens;
    company->recomputed_tokens += facts.recomputed_tokens;
    company->prefill_tokens += facts.prefill_tokens;
    if (!known->is_running) compare(company, known);
    tp_session_destroy(known->session);
    known->session = NULL;
}

// ---- operations ----

static void create(struct company *company, struct known *known)
{
    struct tp_error error;
    *known = (struct known){.options = options_of(&company->random, known)};
    OK(tp_session_create(device, &known->options, &known->session, &error));
}

// Most texts have a beginning of some page or two in common.
static void feed(struct company *company, struct known *known, uint32_t count)
{
    struct tp_error error;
    uint32_t tokens[FEED_MAX];
    for (uint32_t i = 0; i < count; i++) {
        bool differs = tp_random_below(&company->random, 60) == 0;
        tokens[i] = differs ? tp_random_below(&company->random, VOCAB)
                            : (11 * (known->length + i) + 5) % VOCAB;
    }
    tp_status status = tp_session_feed(known->session, tokens, count, &error);
    bool fits = known->length + count <= CONTEXT;
    ck_assert_int_eq(status, known->is_running ? TP_ERROR_BUSY : fits ? TP_OK : TP_ERROR_FULL);
    if (status == TP_OK) {
        memcpy(known->tokens + known->length, tokens, count * sizeof *tokens);
        memset(known->is_sampled + known->length, 0, count * sizeof(bool));
        known->length += count;
        known->has_input = true;
    }
}

static void start(struct company *company, struct known *known)
{
    struct tp_error error;
    uint32_t count =
        tp_random_below(&company->random, 5) == 0 ? 0 : tp_random_below(&company->random, 60);
    tp_status status = tp_session_generate(known->session, count, &error);
    if (known->is_running) {
        ck_assert_int_eq(status, TP_ERROR_BUSY);
    } else if (known->length > CONTEXT) {
        ck_assert_int_eq(status, TP_ERROR_FULL);
    } else if (!known->has_input) {
        ck_assert_int_eq(status, TP_ERROR_INVALID);
    } else if (status != TP_OK) {
        ck_assert_int_eq(status, TP_ERROR_FULL);
        ck_assert(known->options.fails_without_pages);
        ck_assert_ptr_nonnull(strstr(error.text, "pages are held"));
        company->refused++;
    } else {
        known->is_running = true;
        known->is_cancelled = false;
        known->asked = count;
        known->got = 0;
    }
}

static void hear_end(struct company *company, struct known *known, tp_end end)
{
    known->is_running = false;
    known->has_input = true;
    uint32_t last = known->length == 0 ? VOCAB : known->tokens[known->length - 1];
    switch (end) {
    case TP_END_FED:
        ck_assert_uint_eq(known->asked, 0);
        known->has_input = false;
        break;
    case TP_END_LIMIT:
        ck_assert_uint_eq(known->got, known->asked);
        break;
    case TP_END_STOP:
        ck_assert_uint_eq(last, known->options.stop_tokens[0]);
        break;
    case TP_END_CONTEXT:
        ck_assert_uint_eq(known->length, CONTEXT + 1);
        break;
    case TP_END_PAGES:
        ck_assert(known->options.fails_without_pages);
        company->refused++;
        break;
    default:
        ck_assert_int_eq(end, TP_END_CANCEL);
        ck_assert(known->is_cancelled);
        break;
    }
}

// True: a token or the end came.
static bool read_one(struct company *company, struct known *known, int timeout_ms)
{
    struct tp_error error;
    struct tp_token token;
    tp_status status = tp_session_read(known->session, &token, timeout_ms, &error);
    if (status == TP_ERROR_TIMEOUT && timeout_ms == 0) return false;
    OK(status);
    if (token.end != TP_END_NONE) {
        hear_end(company, known, token.end);
        return true;
    }
    ck_assert_uint_lt(known->got, known->asked);
    ck_assert_uint_eq(token.position, known->length);
    ck_assert_uint_le(known->length, CONTEXT);
    known->is_sampled[known->length] = true;
    known->tokens[known->length++] = token.id;
    known->got++;
    return true;
}

static void read_all(struct company *company, struct known *known)
{
    while (known->is_running) (void)read_one(company, known, -1);
}

static void forget_behind(struct known *known, uint32_t length)
{
    known->length = length;
    known->has_input = length != 0;
    for (uint32_t p = length == 0 ? 0 : length - 1; p < CONTEXT; p++) known->logits[p] = 0;
}

static void rewind_session(struct company *company, struct known *known)
{
    struct tp_error error;
    uint32_t position = tp_random_below(&company->random, known->length + 2);
    tp_status status = TP_OK;
    if (!known->is_running) compare(company, known);
    status = tp_session_rewind(known->session, position, &error);
    if (known->is_running) {
        ck_assert_int_eq(status, TP_ERROR_BUSY);
    } else if (position > known->length) {
        ck_assert_int_eq(status, TP_ERROR_RANGE);
    } else {
        OK(status);
        forget_behind(known, position);
    }
}

static void fork_session(struct company *company, const struct known *known, struct known *fork)
{
    struct tp_error error;
    tp_session *session = NULL;
    struct tp_session_options options = options_of(&company->random, fork);
    bool same = tp_random_below(&company->random, 2) == 0 && known->options.on_logits == NULL;
    tp_status status = tp_session_fork(known->session, same ? NULL : &options, &session, &error);
    if (known->is_running) {
        ck_assert_int_eq(status, TP_ERROR_BUSY);
        return;
    }
    OK(status);
    *fork = *known;
    fork->session = session;
    fork->options = same ? known->options : options;
    // What was sampled so far, the other session answers for.
    memset(fork->is_sampled, 0, sizeof fork->is_sampled);
    memset(fork->logits, 0, sizeof fork->logits);
}

// Saves a session and goes on with the restored one.
static void change_to_file(struct company *company, struct known *known)
{
    char path[64];
    struct tp_error error;
    (void)snprintf(path, sizeof path, "/tmp/tokproc-%ld-%p", (long)getpid(), (void *)company);
    tp_status status = tp_session_save(known->session, path, &error);
    if (known->is_running) {
        ck_assert_int_eq(status, TP_ERROR_BUSY);
        return;
    }
    OK(status);
    end_session(company, known);
    const struct tp_session_options *options =
        known->options.on_logits == NULL ? NULL : &known->options;
    OK(tp_session_restore(device, path, options, &known->session, &error));
    forget_behind(known, known->length);
    (void)unlink(path);
}

static void operate(struct company *company)
{
    struct tp_random *random = &company->random;
    struct tp_error error;
    struct known *known = &company->all[tp_random_below(random, SESSIONS)];
    struct known *other = &company->all[tp_random_below(random, SESSIONS)];
    if (known->session == NULL) {
        create(company, known);
        return;
    }
    switch (tp_random_below(random, 13)) {
    case 0:
    case 1:
    case 2:
        feed(company, known, 1 + tp_random_below(random, FEED_MAX));
        break;
    case 3:
    case 4:
    case 5:
        start(company, known);
        break;
    case 6:
        for (int i = 0; i < 5 && known->is_running; i++) (void)read_one(company, known, 0);
        break;
    case 7:
        read_all(company, known);
        break;
    case 8:
        OK(tp_session_cancel(known->session, &error));
        known->is_cancelled = true;
        break;
    case 9:
        if (other->session == NULL) fork_session(company, known, other);
        break;
    case 10:
        rewind_session(company, known);
        break;
    case 11:
        change_to_file(company, known);
        break;
    default:
        end_session(company, known);
        break;
    }
}

static void open_company(struct company *company, uint64_t seed)
{
    struct tp_error error;
    memset(company, 0, sizeof *company);
    tp_random_init(&company->random, seed, 0);
    OK(tp__memory_image_machine(device->image, &company->machine, &error));
}

static void close_company(struct company *company)
{
    for (uint32_t i = 0; i < SESSIONS; i++) {
        if (company->all[i].session == NULL) continue;
        read_all(company, &company->all[i]);
        end_session(company, &company->all[i]);
    }
    tp_machine_destroy(company->machine);
}

static void check_all_pages_are_back(void)
{
    pthread_mutex_lock(&device->mutex);
    uint32_t available = tp__pages_available(&device->pages);
    pthread_mutex_unlock(&device->mutex);
    ck_assert_uint_eq(available, PAGES);
    tp_test_check_device(device);
}

// ---- the tests ----

// Prompts have one slot, or up to 2, 3 or 4.
START_TEST(any_schedule_gives_each_session_its_own_tokens)
{
    static struct company company;
    const uint32_t slots = 4 - (uint32_t)_i % 4;
    const struct tp_load_options load = {
        .format = TP_FORMAT_Q8, .sessions = 4, .prefill_slots = slots};
    struct tp_error error;
    OK(tp_device_load(device, model, &load, &error));
    open_company(&company, tp_test_seed(_i));
    for (int i = 0; i < OPERATIONS; i++) {
        operate(&company);
        tp_test_check_device(device);
    }
    close_company(&company);
    check_all_pages_are_back();
    printf("# %u sampled tokens equal; %llu fed tokens found in pages, %llu positions computed "
           "again, %u times no page\n",
           company.tokens, (unsigned long long)company.prefix_tokens,
           (unsigned long long)company.recomputed_tokens, company.refused);
    printf("# %llu positions several in a step, of up to %u slots\n",
           (unsigned long long)company.prefill_tokens, slots);
    ck_assert(slots == 1 ? company.prefill_tokens == 0 : company.prefill_tokens > OPERATIONS / 10);
    ck_assert_uint_gt(company.tokens, OPERATIONS / 10);
    ck_assert_uint_gt(company.prefix_tokens, 0);
    ck_assert_uint_gt(company.recomputed_tokens, 0);
}
END_TEST

static void *run_company(void *user)
{
    struct company *company = user;
    for (int i = 0; i < OPERATIONS / THREADS; i++) operate(company);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        if (company->all[i].session != NULL) read_all(company, &company->all[i]);
    }
    return NULL;
}

START_TEST(threads_with_sessions_of_their_own_do_not_meet)
{
    static struct company companies[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) open_company(&companies[t], tp_test_seed(t + 100));
    for (int t = 0; t < THREADS; t++) {
        ck_assert_int_eq(pthread_create(&threads[t], NULL, run_company, &companies[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
    for (int t = 0; t < THREADS; t++) close_company(&companies[t]);
    check_all_pages_are_back();
}
END_TEST

// A session in the middle of a run that does not get on, with pages for so many positions.
static tp_session *hold_pages(uint32_t positions)
{
    const struct tp_session_options options = {.fails_without_pages = true};
    tp_session *session = NULL;
    struct tp_error error;
    OK(tp_session_create(device, &options, &session, &error));
    pthread_mutex_lock(&device->mutex);
    session->running = true;
    bool got = tp__schedule_reserve(session, positions);
    pthread_mutex_unlock(&device->mutex);
    ck_assert(got);
    return session;
}

static void release_pages(tp_session *session)
{
    pthread_mutex_lock(&device->mutex);
    session->running = false;
    pthread_mutex_unlock(&device->mutex);
    tp_session_destroy(session);
}

START_TEST(out_of_pages_is_told_or_waited_for)
{
    tp_session *holders[2] = {hold_pages(CONTEXT), hold_pages(CONTEXT)};
    static struct company company;
    struct known *told = &company.all[0];
    struct known *waits = &company.all[1];
    struct tp_error error;
    open_company(&company, 1);
    told->options = (struct tp_session_options){.ignore_eos = true, .fails_without_pages = true};
    OK(tp_session_create(device, &told->options, &told->session, &error));
    waits->options = (struct tp_session_options){.ignore_eos = true, .seed = 3, .temperature = 1};
    OK(tp_session_create(device, &waits->options, &waits->session, &error));
    // Two pages are left: the third ends the run.
    feed(&company, told, FEED_MAX);
    OK(tp_session_generate(told->session, 50, &error));
    told->is_running = true;
    told->asked = 50;
    read_all(&company, told);
    ck_assert_uint_eq(company.refused, 1);
    ck_assert_uint_eq(told->length, 2 * TP_PAGE + 1);
    // An idle session gives its pages; after that there are none.
    pthread_mutex_lock(&device->mutex);
    told->session->running = true;
    pthread_mutex_unlock(&device->mutex);
    feed(&company, waits, FEED_MAX);
    OK(tp_session_generate(waits->session, 10, &error));
    waits->is_running = true;
    waits->asked = 10;
    ck_assert(!read_one(&company, waits, 0));
    struct tp_session_statistics facts;
    struct tp_token token;
    ck_assert_int_eq(tp_session_read(waits->session, &token, 20, &error), TP_ERROR_TIMEOUT);
    tp_test_check_device(device);
    pthread_mutex_lock(&device->mutex);
    told->session->running = false;
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->mutex);
    read_all(&company, waits);
    ck_assert_uint_eq(waits->got, 10);
    tp_session_get_statistics(waits->session, &facts);
    ck_assert_double_ge(facts.seconds_queued, 0.02);
    // The other one comes back when there is room, and computes again what it gave.
    release_pages(holders[0]);
    OK(tp_session_generate(told->session, 10, &error));
    told->is_running = true;
    told->asked = 10;
    told->got = 0;
    read_all(&company, told);
    ck_assert_uint_eq(told->got, 10);
    tp_session_get_statistics(told->session, &facts);
    ck_assert_uint_gt(facts.recomputed_tokens, 0);
    // One that does not wait is refused where not even its prompt has room.
    tp_session *third = hold_pages(CONTEXT);
    tp_session *fourth = hold_pages(2 * TP_PAGE);
    ck_assert_int_eq(tp_session_generate(told->session, 10, &error), TP_ERROR_FULL);
    ck_assert_ptr_nonnull(strstr(error.text, "all 10 pages are held by runs - try: "));
    tp_test_check_device(device);
    release_pages(fourth);
    release_pages(third);
    release_pages(holders[1]);
    close_company(&company);
    check_all_pages_are_back();
}
END_TEST

// ---- shared beginnings ----

enum { PROMPT = 40 };  // two pages and a half

// Its one token; positions that the device processed for it.
static uint32_t run_prompt(tp_logits_callback on_logits, struct known *known, uint64_t *positions)
{
    const struct tp_session_options options = {
        .ignore_eos = true, .on_logits = on_logits, .user = known};
    struct tp_device_statistics before;
    struct tp_device_statistics after;
    struct tp_token token;
    struct tp_token end;
    struct tp_error error;
    tp_session *session = NULL;
    OK(tp_device_get_statistics(device, &before, &error));
    OK(tp_session_create(device, &options, &session, &error));
    for (uint32_t i = 0; i < PROMPT; i++) {
        const uint32_t fed = (7 * i + 3) % VOCAB;
        OK(tp_session_feed(session, &fed, 1, &error));
    }
    OK(tp_session_generate(session, 1, &error));
    OK(tp_session_read(session, &token, -1, &error));
    OK(tp_session_read(session, &end, -1, &error));
    ck_assert_int_eq(end.end, TP_END_LIMIT);
    tp_session_destroy(session);
    OK(tp_device_get_statistics(device, &after, &error));
    *positions = after.tokens - before.tokens;
    ck_assert_uint_eq(after.prefix_tokens - before.prefix_tokens, PROMPT - *positions);
    ck_assert_uint_eq(after.sessions, before.sessions);
    ck_assert_uint_eq(after.pages_free + after.pages_kept, PAGES);
    return token.id;
}

START_TEST(a_beginning_that_was_computed_is_not_computed_again)
{
    struct known known = {.length = 0};
    uint64_t positions;
    uint32_t token = run_prompt(NULL, NULL, &positions);
    ck_assert_uint_eq(positions, PROMPT);
    ck_assert_uint_eq(run_prompt(NULL, NULL, &positions), token);
    ck_assert_uint_eq(positions, PROMPT % TP_PAGE);
    // Who wants logits gets those of each position.
    ck_assert_uint_eq(run_prompt(hear_logits, &known, &positions), token);
    ck_assert_uint_eq(positions, PROMPT);
    for (uint32_t p = 0; p < PROMPT; p++) ck_assert_uint_ne(known.logits[p], 0);
    ck_assert_uint_eq(known.repeated, 0);
}
END_TEST

// ---- fairness ----

// Which session each token came for, in the order of the device.
static struct {
    uint32_t sessions[1024];
    uint32_t count;
    atomic_uint ended;
} heard;

struct listener {
    uint32_t index;
};

static void hear_token(void *user, const struct tp_token *token)
{
    const struct listener *listener = user;
    if (token->end == TP_END_NONE && heard.count < 1024) {
        heard.sessions[heard.count++] = listener->index;
    }
    if (token->end != TP_END_NONE) atomic_fetch_add(&heard.ended, 1);
}

START_TEST(no_session_waits_longer_than_is_said)
{
    enum { RUNS = 8, TOKENS = 60, LATE = 4 };  // a turn is ended so many steps late at most
    const uint32_t slots = _i == 0 ? 1 : 4;
    const struct tp_test_model made = {32, 32, 1, 2, 1, VOCAB, CONTEXT, false, 7};
    const struct tp_load_options load = {.format = TP_FORMAT_Q8, .sessions = slots};
    struct listener listeners[RUNS];
    tp_session *sessions[RUNS];
    tp_model *small = NULL;
    struct tp_error error;
    tp_test_open_made_model(context, &made, false, &small);
    OK(tp_device_load(device, small, &load, &error));
    ck_assert_uint_ge(device->pages.count, RUNS * (CONTEXT / TP_PAGE));
    tp_test_pause_device(device, true);  // none ends before all have begun
    for (uint32_t i = 0; i < RUNS; i++) {
        const struct tp_session_options options = {.temperature = 1.0f,
                                                   .seed = i,
                                                   .ignore_eos = true,
                                                   .on_token = hear_token,
                                                   .user = &listeners[i]};
        const uint32_t token = i;
        listeners[i].index = i;
        OK(tp_session_create(device, &options, &sessions[i], &error));
        OK(tp_session_feed(sessions[i], &token, 1, &error));
        OK(tp_session_generate(sessions[i], TOKENS, &error));
    }
    tp_test_pause_device(device, false);
    while (atomic_load(&heard.ended) != RUNS) (void)poll(NULL, 0, 1);
    uint32_t last[RUNS] = {0};
    uint32_t turns[RUNS] = {0};
    ck_assert_uint_eq(heard.count, RUNS * TOKENS);
    for (uint32_t at = 1; at <= heard.count; at++) {
        uint32_t s = heard.sessions[at - 1];
        uint32_t waited = last[s] == 0 ? 0 : at - last[s] - 1;
        ck_assert_uint_le(waited, (RUNS - 1) * (TP_TURN + LATE));
        turns[s] += waited > slots ? 1 : 0;
        last[s] = at;
    }
    // Whoever was there from the beginning had to wait in the middle.
    ck_assert_uint_ge(turns[0], 1);
    for (uint32_t i = 0; i < RUNS; i++) tp_session_destroy(sessions[i]);
    tp_model_close(small);
}
END_TEST

// ---- files ----

static void restore_fails(const uint8_t *bytes, size_t size, const char *path, tp_status expected,
                          const char *text)
{
    tp_session *session = NULL;
    struct tp_error error;
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(tp_session_restore(device, path, NULL, &session, &error), expected);
    ck_assert_msg(strstr(error.text, text) != NULL, "%s", error.text);
    ck_assert_ptr_null(session);
}

START_TEST(a_saved_session_that_is_damaged_or_foreign_is_refused)
{
    const struct tp_session_options options = {
        .stop_tokens = {3}, .stop_token_count = 1, .stop_strings = {"x"}, .stop_string_count = 1};
    tp_session *session = NULL;
    tp_model *other = NULL;
    struct tp_error error;
    char path[64];
    uint8_t bytes[2048];
    const uint32_t tokens[3] = {1, 2, VOCAB - 1};
    (void)snprintf(path, sizeof path, "/tmp/tokproc-%ld-saved", (long)getpid());
    OK(tp_session_create(device, &options, &session, &error));
    OK(tp_session_feed(session, tokens, 3, &error));
    ck_assert_int_eq(tp_session_save(session, "/nowhere/saved", &error), TP_ERROR_IO);
    OK(tp_session_save(session, path, &error));
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    ck_assert_uint_eq(size, 640 + 3 * 4 + 32);
    for (size_t at = 0; at < size; at += at < 16 ? 1 : 37) {
        bytes[at] ^= 0x10;
        restore_fails(bytes, size, path,
                      at >= 8 && at < 12 ? TP_ERROR_UNSUPPORTED : TP_ERROR_FORMAT,
                      at < 8    ? "not a saved session"
                      : at < 12 ? "version"
                      : at < 16 ? "cut off or damaged"
                                : "checksum");
        bytes[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < size; cut += 97) {
        restore_fails(bytes, cut, path, TP_ERROR_FORMAT,
                      cut < 8 ? "not a saved session" : "cut off");
    }
    tp_session_destroy(session);
    // The whole file again, for a model with other numbers, then for a context that is too short.
    const struct tp_test_model made = {32, 32, LAYERS, 2, 1, VOCAB, CONTEXT, false, 8};
    struct tp_load_options load = {.format = TP_FORMAT_Q8};
    tp_test_open_made_model(context, &made, false, &other);
    OK(tp_device_load(device, other, &load, &error));
    restore_fails(bytes, size, path, TP_ERROR_MISMATCH, "another model");
    load.context = 1;
    OK(tp_device_load(device, model, &load, &error));
    restore_fails(bytes, size, path, TP_ERROR_FULL, "3 tokens");
    // On another device, with the same model, it is welcome.
    load.context = 0;
    tp_device_close(device);
    OK(tp_device_open(context, "emu:small-1", &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    OK(tp_session_restore(device, path, NULL, &session, &error));
    ck_assert_uint_eq(session->length, 3);
    ck_assert_str_eq(session->stop_text[0], "x");
    ck_assert_uint_eq(session->stop_tokens[0], 3);
    tp_session_destroy(session);
    (void)unlink(path);
    tp_model_close(other);
}
END_TEST

START_TEST(ten_thousand_sessions_leave_no_page_behind)
{
    tp_session *sessions[SESSIONS] = {NULL};
    struct tp_random random;
    struct tp_error error;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int i = 0; i < LIFETIMES; i++) {
        uint32_t place = tp_random_below(&random, SESSIONS);
        struct tp_session_options options = {.seed = (uint64_t)i, .ignore_eos = true};
        uint32_t tokens[40];
        uint32_t count = 1 + tp_random_below(&random, tp_random_below(&random, 20) == 0 ? 40 : 3);
        for (uint32_t t = 0; t < count; t++) tokens[t] = tp_random_below(&random, 2);
        tp_session_destroy(sessions[place]);
        OK(tp_session_create(device, &options, &sessions[place], &error));
        OK(tp_session_feed(sessions[place], tokens, count, &error));
        // Some are destroyed before their run, or in the middle of it.
        if (tp_random_below(&random, 4) != 0) {
            OK(tp_session_generate(sessions[place], 2, &error));
        }
    }
    for (uint32_t i = 0; i < SESSIONS; i++) tp_session_destroy(sessions[i]);
    check_all_pages_are_back();
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tc = tcase_create("schedule");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, any_schedule_gives_each_session_its_own_tokens, 0, 4);
    tcase_add_test(tc, a_beginning_that_was_computed_is_not_computed_again);
    tcase_add_test(tc, out_of_pages_is_told_or_waited_for);
    tcase_add_test(tc, threads_with_sessions_of_their_own_do_not_meet);
    tcase_add_loop_test(tc, no_session_waits_longer_than_is_said, 0, 2);
    tcase_add_test(tc, a_saved_session_that_is_damaged_or_foreign_is_refused);
    tcase_add_test(tc, ten_thousand_sessions_leave_no_page_behind);
    suite_add_tcase(suite, tc);
    return suite;
}

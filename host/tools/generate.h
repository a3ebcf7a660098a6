// SPDX-License-Identifier: Apache-2.0
//
// Answers: sessions from prompt to end, with what run, chat, bench, trace and verify want to know
// of them.

#ifndef TP_TOOLS_GENERATE_H
#define TP_TOOLS_GENERATE_H

#include "common.h"

/** What a session is asked. */
struct request {
    const char *prompt;  // NULL: nothing
    uint64_t seed;
};

/** What it said. */
struct answer {
    uint32_t *tokens;  // ids of the answer
    size_t count;
    float *log_probabilities;         // [count], or NULL
    struct tp_candidate *candidates;  // [count][candidates_max], or NULL
    uint32_t candidates_max;
    uint32_t candidate_count;  // of each token: fewer in a small vocabulary
    char *text;                // NUL-terminated; NULL: none yet
    size_t text_bytes;
    bool goes_on;  // behind the limit of its run, with another model
    bool ended;
    tp_end end;                           // of its run
    struct tp_session_statistics before;  // this answer; all 0: it is the session's first
    uint64_t prompt_tokens;
    uint64_t prefix_tokens;      // fed tokens that were found in pages
    uint64_t recomputed_tokens;  // positions that were processed again
    double seconds_joined;       // when it got a place
    double seconds_queued;       // until then, and for its turns and pages
    double seconds_to_first;     // from seconds_joined on
    double seconds;              // of its runs
    double token_at;             // when the last token came
    double gap_longest;          // between two tokens, in seconds
};

/** What the device did for all of them. */
struct spent {
    double seconds;
    struct tp_device_statistics used;  // differences
    uint64_t recomputed_tokens;        // of used.tokens
};

/** Hears of each token, and of the end; answer has it already. False: standard output cannot be
 *  written. */
typedef bool (*token_listener)(void *user, size_t index, const struct answer *answer,
                               const struct tp_token *token);

/** Sessions side by side. */
struct batch {
    const struct request *requests;  // [count]
    size_t count;
    uint32_t parallel;  // so many at a time; the next joins when one has ended
    bool ignore_eos;
    token_listener on_token;  // or NULL
    void *user;
};

/** Name of the template of --chat; NULL: the model's own. */
const char *chat_template(const struct options *options);
/** Settings of a session as the options say. */
struct tp_session_options session_settings(const struct options *options);

/** Runs all sessions of the batch.
 *  out    answers  [count], which start with all 0; answers_free releases them in any case
 *  Returns an exit status. */
int generate_batch(struct work *work, const struct options *options, const struct batch *batch,
                   struct answer *answers, struct spent *spent);

/** Runs options->sessions sessions with the same prompt and seeds seed, seed + 1, ...; the answer
 * is that of the first. stream writes its text to standard output as it comes. Returns an exit
 * status; answer_free releases the answer in any case. */
int generate(struct work *work, const struct options *options, bool ignore_eos, bool stream,
             struct answer *answer, struct spent *spent);

/** Has a session process options->prompt_tokens tokens and sample one. Returns an exit status. */
int process_prompt(struct work *work, const struct options *options, struct spent *spent);

/** Reads the run of a session to its end, which Ctrl-C brings on. index is for on_token. */
tp_status answer_read(tp_session *session, struct answer *answer, token_listener on_token,
                      void *user, size_t index, struct tp_error *error);
/** Mean seconds between two tokens; 0 where there are not two. */
double answer_gap(const struct answer *answer);
void answer_free(struct answer *answer);
void answers_free(struct answer *answers, size_t count);

/** Starts to count what a device does, and ends it. */
tp_status spent_start(struct work *work, struct spent *spent, struct tp_error *error);
tp_status spent_stop(struct work *work, struct spent *spent, struct tp_error *error);

/** Writes text to standard output at once. False: it cannot be written. */
bool stream_text(const char *text, size_t bytes);

#endif

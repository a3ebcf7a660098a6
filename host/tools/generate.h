// SPDX-License-Identifier: Apache-2.0
//
// One answer: a session from prompt to end, with what run, bench and verify want to know of it.

#ifndef TP_TOOLS_GENERATE_H
#define TP_TOOLS_GENERATE_H

#include "common.h"

struct answer {
    uint32_t *tokens;  // ids of the answer
    size_t count;
    float *log_probabilities;         // [count], or NULL
    struct tp_candidate *candidates;  // [count][candidates_max], or NULL
    uint32_t candidates_max;
    uint32_t candidate_count;  // of each token: fewer in a small vocabulary
    char *text;                // NUL-terminated
    size_t text_bytes;
    tp_end end;
    uint64_t prompt_tokens;
    double seconds;
    double seconds_to_first;
    struct tp_device_statistics used;  // differences over the run
};

/** Runs options->sessions sessions with the same prompt and seeds seed, seed + 1, ...; the answer
 * is that of the first. stream writes its text to standard output as it comes. Returns an exit
 * status; answer_free releases the answer in any case. */
int generate(struct work *work, const struct options *options, bool ignore_eos, bool stream,
             struct answer *answer);

void answer_free(struct answer *answer);

#endif

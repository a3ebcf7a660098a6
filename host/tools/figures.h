// SPDX-License-Identifier: Apache-2.0
//
// What run and chat tell of answers and of the device, as text and as JSON.

#ifndef TP_TOOLS_FIGURES_H
#define TP_TOOLS_FIGURES_H

#include "generate.h"

/** Tokens, speed, cycles and what went wrong, as one line on standard error.
 *  in     end  how it ended, or NULL */
void print_spent(const struct work *work, const struct spent *spent, size_t tokens,
                 const char *end);

/** Adds them to an object. */
void pack_spent(json_t *object, const struct work *work, const struct spent *spent, size_t tokens);

/** Prefix and times of a session among others, as one line on standard error. number: 1 is the
 *  first. */
void print_session(const struct answer *answer, size_t number);

/** Log probabilities of each token on standard error; nothing where the session had none. */
void print_log_probabilities(const struct answer *answer);

/** Tokens, log probabilities if there are some, text, prompt_tokens, end. */
json_t *pack_answer(const struct answer *answer);
/** Adds the prefix that was found for a session, and its times, to an object. */
void pack_times(json_t *object, const struct answer *answer);
/** Log probability of a token and the likeliest ones; NULL: the session had none. */
json_t *pack_log_probability(const struct answer *answer, size_t index);

#endif

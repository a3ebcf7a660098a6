// SPDX-License-Identifier: Apache-2.0
//
// A session of two runs, and all that is heard of it, for comparison with the same on a sound link.

#ifndef TP_TEST_HEARD_SESSION_H
#define TP_TEST_HEARD_SESSION_H

#include "tokproc.h"

enum {
    TP_HEARD_TOKENS_MAX = 64,
    TP_HEARD_PROMPT = 4,
    TP_HEARD_LONG_PROMPT = 24,
    TP_HEARD_TOKENS = 6,  // of the first run; the second has 2
    TP_HEARD_CONTEXT = 48,
    TP_HEARD_VOCAB = 70
};

struct tp_heard {
    uint32_t tokens[TP_HEARD_TOKENS_MAX];
    float log_probabilities[TP_HEARD_TOKENS_MAX];
    uint32_t count;
    uint32_t positions;  // whose logits came
    uint64_t logits;     // a sum over all of them
    uint32_t disorder;   // logits of a position that was not the next
    tp_end end;
    tp_status status;
    struct tp_error error;
};

/** PLAIN samples; RICH uses a penalty, logits, and where the device sorts, top-k and candidates;
 *  STOPPED stops at a token that PLAIN brings; LONG has a prompt that goes over several slots, and
 *  a penalty. */
enum tp_heard_kind {
    TP_HEARD_PLAIN,
    TP_HEARD_RICH,
    TP_HEARD_STOPPED,
    TP_HEARD_LONG,
    TP_HEARD_KINDS
};

extern const uint32_t tp_heard_prompt[TP_HEARD_PROMPT];

/** A tiny model of random weights, in a device for four sessions. */
void tp_heard_open_model(tp_context *context, tp_model **model);
void tp_heard_load(tp_device *device, tp_model *model);

/** What a session of this kind is created with; heard hears the logits. */
struct tp_session_options tp_heard_options(const tp_device *device, enum tp_heard_kind kind,
                                           struct tp_heard *heard);

/** Feeds the prompt of this kind. */
void tp_heard_feed(tp_session *session, enum tp_heard_kind kind);

/** Reads a run to its end, or to the error. */
void tp_heard_read(tp_session *session, struct tp_heard *heard);

/** Both runs. stop: the token of STOPPED. */
void tp_heard_run(tp_device *device, enum tp_heard_kind kind, uint32_t stop,
                  struct tp_heard *heard);

bool tp_heard_same(const struct tp_heard *a, const struct tp_heard *b);

#endif

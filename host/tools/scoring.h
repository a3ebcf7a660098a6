// SPDX-License-Identifier: Apache-2.0
//
// Texts of a file, predicted by several things at once and scored against one float32 reference.

#ifndef TP_TOOLS_SCORING_H
#define TP_TOOLS_SCORING_H

#include "common.h"

/** One text under way, with the reference's logits behind each token but the last. */
struct scored_text {
    uint32_t *tokens;  // [context + 1], the start token first
    size_t count;
    float *logits;  // [count - 1][vocab]
    size_t room;    // positions that logits has memory for
    uint32_t vocab;
};

/** What predicts: a device that a model was loaded into, or a model by its float32 forward pass. */
struct predictor {
    tp_device *device;      // or NULL
    const tp_model *model;  // or NULL: device
    tp_scorer *scorer;
    const struct scored_text *text;  // under way
    tp_session *session;             // of that text
};

struct scoring {
    const tp_model *model;      // whose tokenizer reads the texts
    const tp_model *reference;  // whose float32 forward pass is right
    struct predictor *predictors;
    uint32_t predictor_count;
    uint32_t context;         // of all of them, the smallest
    uint32_t skip;            // in: the first texts that are not scored
    uint64_t skip_bytes;      // in: nor those that begin in the first bytes of the file
    uint32_t texts_left_out;  // for these reasons
    uint64_t tokens_max;      // in: no text is begun once there are so many; 0: no limit
    uint64_t tokens;
    uint32_t texts;
    uint32_t texts_too_long;
};

/** Takes the scorer of a predictor. Returns an exit status. */
int predictor_open(struct predictor *predictor);
void predictor_close(struct predictor *predictor);

/** Scores the texts of a file; Ctrl-C ends it with what there is. Each text is run by all devices
 *  side by side, and by the reference once. Returns an exit status; without a scored text, 1. */
int score_file(struct scoring *scoring, const struct options *options);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What eval and its table of formats share: which models, which texts, and the words around them.

#ifndef TP_TOOLS_EVALUATION_H
#define TP_TOOLS_EVALUATION_H

#include "scoring.h"

/** What is to be judged, and by what. */
struct evaluation {
    struct work work;
    tp_model *reference;  // of --reference, or NULL: the model of -m itself
    struct scoring scoring;
    uint32_t texts_left_out;  // the first of the file, not scored
};

/** Opens the model of -m and the one of --reference. Returns an exit status. */
int evaluation_open_models(struct evaluation *evaluation, const struct options *options);

/** Fills scoring; after the last device was opened. */
void evaluation_prepare(struct evaluation *evaluation, const struct options *options,
                        struct predictor *predictors, uint32_t count);
void evaluation_close(struct evaluation *evaluation);

/** "stories260K.gguf, emu: 70397 tokens of 213 texts", with what was left out. */
void evaluation_print_head(const struct evaluation *evaluation);

/** Models, device and texts; the caller adds figures. */
json_t *evaluation_to_json(const struct evaluation *evaluation);
json_t *score_to_json(const struct tp_score *score);

/** The table of --compare. Returns an exit status. */
int compare_formats(const struct options *options);

#endif

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
    uint64_t calibrated_bytes;  // of the text, from its beginning; not scored
};

/** A model on a device. */
struct judged {
    tp_model *quantised;  // or NULL: the model of -m
    tp_device *device;    // or NULL: not opened
};

/** Opens the model of -m and the one of --reference, and chooses the device. Returns an exit
 *  status. */
int evaluation_open(struct evaluation *evaluation, const struct options *options);

/** Opens a device of its own and loads the model in a format (an image in its own formats). With
 *  --calibrate, --keep or --plain the model is quantised as `tokproc quantize` does it, else by
 *  rounding each weight to the nearest. Returns an exit status; judged_close ends it in any case.
 */
int evaluation_load(struct evaluation *evaluation, const struct options *options, tp_format format,
                    struct judged *judged);
void judged_close(struct judged *judged);

/** Fills scoring; after everything was loaded. */
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

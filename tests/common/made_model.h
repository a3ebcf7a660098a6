// SPDX-License-Identifier: Apache-2.0
//
// Opens models that tests make themselves.

#ifndef TP_TEST_MADE_MODEL_H
#define TP_TEST_MADE_MODEL_H

#include "model_files.h"
#include "tokproc.h"

/** Opens a model of random weights, with a made tokenizer of its vocabulary where it shall have
 *  one. The files that it comes from are gone again. Fails the test where it cannot. The caller
 *  closes the model. */
void tp_test_open_made_model(tp_context *context, const struct tp_test_model *made,
                             bool has_tokenizer, tp_model **model);

#endif

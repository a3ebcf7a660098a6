// SPDX-License-Identifier: Apache-2.0
//
// Facts of images and costs of models, as text and as JSON.

#ifndef TP_TOOLS_FACTS_H
#define TP_TOOLS_FACTS_H

#include "common.h"

/** Origin, formats and measured loss of a quantised model. */
void print_image_facts(const tp_model *model);
json_t *facts_of_image(const tp_model *model);

/** What a model costs on each configuration, in its formats or in some. */
void print_costs(const tp_model *model, const struct options *options);
json_t *costs_of(const tp_model *model, const struct options *options);

#endif

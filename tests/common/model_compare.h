// SPDX-License-Identifier: Apache-2.0
//
// Comparison of loaded models.

#ifndef TP_TEST_MODEL_COMPARE_H
#define TP_TEST_MODEL_COMPARE_H

#include "loader.h"

/** Fails the test unless both have the same shape (the context aside), and bit for bit the same
 *  frequencies and tensors. */
void tp_test_expect_same_model(const struct tp_source_model *a, const struct tp_source_model *b);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The float32 forward pass that a device is compared with on a processor: the equations of
// host/reference, written for speed on one thread.
//
// forward.c is compiled four times from one source (Makefile), with -O3 -march=native. "rows" has
// matrices by rows, a product being the plain loop over a row: its sums keep their order, so only
// -ffast-math ("fast") lets a compiler vectorise them. "columns" has them by columns, so that the
// loop runs over neighbouring rows: it is vectorised as it is.

#ifndef TP_BENCH_FORWARD_H
#define TP_BENCH_FORWARD_H

#include "loader.h"

struct forward;

/* open takes all memory; NULL: there is none, or the model has biases or norms of heads.
 * step returns the logits [vocab] of the next token, valid until the next step. */
#define TP_FORWARD_DECLARE(suffix)                                                                 \
    struct forward *forward_open_##suffix(const struct tp_source_model *model, uint32_t context);  \
    void forward_close_##suffix(struct forward *forward);                                          \
    const float *forward_step_##suffix(struct forward *forward, uint32_t token, uint32_t position)

TP_FORWARD_DECLARE(rows);
TP_FORWARD_DECLARE(rows_fast);
TP_FORWARD_DECLARE(columns);
TP_FORWARD_DECLARE(columns_fast);

#endif

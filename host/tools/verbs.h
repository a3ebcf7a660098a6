// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the program; each file of that name holds one. They return an exit status.

#ifndef TP_TOOLS_VERBS_H
#define TP_TOOLS_VERBS_H

#include "boards.h"

int verb_devices(const struct options *options);
int verb_quantize(const struct options *options);
int verb_info(const struct options *options);
int verb_plan(const struct options *options);
int verb_run(const struct options *options);
int verb_chat(const struct options *options);
int verb_eval(const struct options *options);
int verb_bench(const struct options *options);
int verb_simulate(const struct options *options);
int verb_reconfigure(const struct options *options);
int verb_trace(const struct options *options);
int verb_verify(const struct options *options);
int verb_flash(const struct options *options);
int verb_bitstream(const struct options *options);
int verb_pack(const struct options *options);
int verb_doctor(const struct options *options);

/** bench --parallel: a row for each number of sessions. Returns an exit status. */
int bench_parallel(const struct options *options, const struct board_clock *clock);

/** Ranges and losses by layer: as a table on standard output, or with json not NULL as an array. */
tp_status layers_read(tp_device *device, json_t **json, struct tp_error *error);

#endif

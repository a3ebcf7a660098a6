// SPDX-License-Identifier: Apache-2.0
//
// Partial streams as SVF, the text that JTAG programs play.

#ifndef TP_BITSTREAM_SVF_H
#define TP_BITSTREAM_SVF_H

#include "configuration_stream.h"

/** Writes a partial stream as SVF: docs/bitstream.md has the recipe, which is that of Project
 * Trellis (ecppack --svf with --delta). It ends at an FPGA with another IDCODE before anything
 * changes. in     idcode  of the part out    svf     written only on TP_OK; tp__bytes_free releases
 * it error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__svf_write(uint32_t idcode, const struct tp_bytes *stream,
                                    struct tp_bytes *svf, struct tp_error *error);

/** Whether a path ends as those of SVF files do. */
bool tp__svf_is_path(const char *path);

#endif

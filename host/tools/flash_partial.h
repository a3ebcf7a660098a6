// SPDX-License-Identifier: Apache-2.0
//
// tokproc flash --partial.

#ifndef TP_TOOLS_FLASH_PARTIAL_H
#define TP_TOOLS_FLASH_PARTIAL_H

#include "options.h"

/** Plays a partial bitstream through openFPGALoader. Returns an exit status. */
int flash_partial(const struct options *options);

#endif

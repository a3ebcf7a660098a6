// SPDX-License-Identifier: Apache-2.0
//
// Reads a word back at the ports of a unit, in the cycles in which the core does.

#ifndef TP_TEST_READ_WORD_H
#define TP_TEST_READ_WORD_H

#include <stdint.h>

#include "dut.h"

/** The word behind cfg_*_i and read_o. cycle drives what else the unit needs in this cycle, counted
 *  from the one in which cfg_read_i rises, and ticks; NULL: only ticks. */
uint32_t tp_read_word(struct tp_dut *dut, uint32_t space, uint32_t address,
                      void (*cycle)(void *user, uint32_t number), void *user);

#endif

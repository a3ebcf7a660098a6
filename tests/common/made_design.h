// SPDX-License-Identifier: Apache-2.0
//
// A routed design that tests make themselves: its bitstream and its map.

#ifndef TP_TEST_MADE_DESIGN_H
#define TP_TEST_MADE_DESIGN_H

#include <stdint.h>

/** Writes the bitstream and the map of a design of a configuration ("small"): any frames, memories
 *  in block RAMs as the core has them and in any order of ids, and one block RAM that belongs to no
 *  memory space, with id TP_TEST_OWN_ID. Two designs of other seeds have other bases. Fails the
 *  test where it cannot. */
enum { TP_TEST_OWN_ID = 1000 };
void tp_test_make_design(const char *configuration, uint32_t idcode, uint64_t seed,
                         const char *bits, const char *map);

#endif

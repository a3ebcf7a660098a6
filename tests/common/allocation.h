// SPDX-License-Identifier: Apache-2.0
//
// Allocations of a test program, counted and made to fail on purpose.
//
// The program is linked with TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc; calls
// inside shared libraries are not seen.

#ifndef TP_TEST_ALLOCATION_H
#define TP_TEST_ALLOCATION_H

#include <stdint.h>

/** Allocations so far, of all threads. */
uint64_t tp_test_allocations(void);

/** Lets the allocation behind the next `after` ones fail, once. */
void tp_test_allocation_fails(uint64_t after);

/** Lets all allocations work again. Returns how many have failed since the last call. */
uint64_t tp_test_allocations_work(void);

#endif

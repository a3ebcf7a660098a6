// SPDX-License-Identifier: Apache-2.0
//
// Work that splits into parts of its own. Who uses it gives the same result for any number of
// threads: each part writes what no other reads.

#ifndef TP_LIB_PARALLEL_H
#define TP_LIB_PARALLEL_H

#include <stdint.h>

enum { TP_THREADS_MAX = 16 };

/** Threads that are worth starting here: one for each processor, at most TP_THREADS_MAX. */
uint32_t tp__thread_count(void);

/** Calls part(user, thread, threads) once for each thread of 0 .. threads - 1, at the same time
 *  where that is possible, and returns when all have ended. Takes no memory of its own. */
void tp__parallel(uint32_t threads, void (*part)(void *user, uint32_t thread, uint32_t threads),
                  void *user);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Threads for a while.

#include "parallel.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

struct share {
    void (*part)(void *user, uint32_t thread, uint32_t threads);
    void *user;
    uint32_t thread;
    uint32_t threads;
};

uint32_t tp__thread_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : processors > TP_THREADS_MAX ? TP_THREADS_MAX : (uint32_t)processors;
}

static void *run(void *argument)
{
    const struct share *share = argument;
    share->part(share->user, share->thread, share->threads);
    return NULL;
}

void tp__parallel(uint32_t threads, void (*part)(void *user, uint32_t thread, uint32_t threads),
                  void *user)
{
    assert(threads >= 1 && threads <= TP_THREADS_MAX);
    struct share shares[TP_THREADS_MAX];
    pthread_t handles[TP_THREADS_MAX];
    bool started[TP_THREADS_MAX] = {false};
    for (uint32_t i = 0; i < threads; i++) shares[i] = (struct share){part, user, i, threads};
    for (uint32_t i = 1; i < threads; i++) {
        started[i] = pthread_create(&handles[i], NULL, run, &shares[i]) == 0;
    }
    (void)run(&shares[0]);
    for (uint32_t i = 1; i < threads; i++) {
        // A thread that did not start only costs time.
        if (started[i]) {
            (void)pthread_join(handles[i], NULL);
        } else {
            (void)run(&shares[i]);
        }
    }
}

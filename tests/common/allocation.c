// SPDX-License-Identifier: Apache-2.0
//
// The linker's --wrap puts these in place of malloc, calloc and realloc.

#include "allocation.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static atomic_ullong count;
static atomic_ullong failed;
static atomic_ullong fails_at;
static atomic_bool armed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *old, size_t size);

uint64_t tp_test_allocations(void)
{
    return atomic_load(&count);
}

void tp_test_allocation_fails(uint64_t after)
{
    atomic_store(&fails_at, atomic_load(&count) + after);
    atomic_store(&armed, true);
}

uint64_t tp_test_allocations_work(void)
{
    atomic_store(&armed, false);
    return atomic_exchange(&failed, 0);
}

static bool fails(void)
{
    uint64_t number = atomic_fetch_add(&count, 1);
    if (!atomic_load(&armed) || number != atomic_load(&fails_at)) return false;
    atomic_fetch_add(&failed, 1);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    return fails() ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

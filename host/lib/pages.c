// SPDX-License-Identifier: Apache-2.0
//
// Lists and a hash table over one array of pages. Every operation takes a few memory accesses but
// those that look at all pages, which are for tests and for a memory that is no longer trusted.

#include "pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void empty_buckets(struct tp_pages *pages)
{
    for (uint32_t i = 0; i < pages->bucket_count; i++) {
        pages->buckets[i] = TP_PAGE_NONE;
    }
}

bool tp__pages_open(struct tp_pages *pages, uint32_t positions)
{
    uint32_t whole = positions / TP_PAGE;
    uint32_t count = whole + (positions % TP_PAGE != 0 ? 1 : 0);
    assert(count <= TP_PAGES_MAX);
    *pages = (struct tp_pages){.count = count,
                               .tail = count == whole ? TP_PAGE_NONE : whole,
                               .free_count = whole,
                               .free_first = TP_PAGE_NONE,
                               .kept_first = TP_PAGE_NONE,
                               .kept_last = TP_PAGE_NONE,
                               .bucket_count = 1};
    while (pages->bucket_count < count) {
        pages->bucket_count *= 2;
    }
    pages->pages = calloc((size_t)count + 1, sizeof *pages->pages);
    pages->buckets = malloc(pages->bucket_count * sizeof *pages->buckets);
    if (pages->pages == NULL || pages->buckets == NULL) {
        tp__pages_close(pages);
        return false;
    }
    empty_buckets(pages);
    return true;
}

void tp__pages_close(struct tp_pages *pages)
{
    free(pages->pages);
    free(pages->buckets);
    *pages = (struct tp_pages){.count = 0};
}

uint32_t tp__pages_available(const struct tp_pages *pages)
{
    return pages->free_count + pages->kept_count;
}

// ---- prefixes ----

static bool is_prefix(const struct tp_page *page, uint64_t parent, const uint32_t *tokens)
{
#ifdef TP_PLANT_BUG
    // The planted fault looks only at the page's own tokens.
    return page->name != 0 && parent != UINT64_MAX &&
           memcmp(page->tokens, tokens, sizeof page->tokens) == 0;
#else
    return page->name != 0 && page->parent == parent &&
           memcmp(page->tokens, tokens, sizeof page->tokens) == 0;
#endif
}

// FNV-1a over words, and its high bits mixed down.
static uint32_t *bucket_of(const struct tp_pages *pages, uint64_t parent, const uint32_t *tokens)
{
    uint64_t hash = (UINT64_C(0xcbf29ce484222325) ^ parent) * UINT64_C(0x100000001b3);
    for (uint32_t i = 0; i < TP_PAGE; i++) {
        hash = (hash ^ tokens[i]) * UINT64_C(0x100000001b3);
    }
    return &pages->buckets[(hash ^ hash >> 32) & (pages->bucket_count - 1)];
}

uint32_t tp__pages_find(const struct tp_pages *pages, uint64_t parent, const uint32_t *tokens)
{
    uint32_t page = *bucket_of(pages, parent, tokens);
    while (page != TP_PAGE_NONE && !is_prefix(&pages->pages[page], parent, tokens)) {
        page = pages->pages[page].bucket_next;
    }
    return page;
}

uint64_t tp__pages_name(struct tp_pages *pages, uint32_t page, uint64_t parent,
                        const uint32_t *tokens)
{
    struct tp_page *p = &pages->pages[page];
    assert(p->references == 1 && p->name == 0);
    uint32_t other = tp__pages_find(pages, parent, tokens);
    if (other != TP_PAGE_NONE) {
        return pages->pages[other].name;
    }
    uint32_t *bucket = bucket_of(pages, parent, tokens);
    p->name = ++pages->names;
    p->parent = parent;
    memcpy(p->tokens, tokens, sizeof p->tokens);
    p->bucket_next = *bucket;
    *bucket = page;
    return p->name;
}

static void forget(struct tp_pages *pages, uint32_t page)
{
    struct tp_page *p = &pages->pages[page];
    uint32_t *at = bucket_of(pages, p->parent, p->tokens);
    while (*at != page) {
        at = &pages->pages[*at].bucket_next;
    }
    *at = p->bucket_next;
    p->name = 0;
}

// ---- lists ----

static void put_free(struct tp_pages *pages, uint32_t page)
{
    pages->pages[page].next = pages->free_first;
    pages->free_first = page;
    pages->free_count++;
}

static void put_kept(struct tp_pages *pages, uint32_t page)
{
    struct tp_page *p = &pages->pages[page];
    p->previous = pages->kept_last;
    p->next = TP_PAGE_NONE;
    *(p->previous == TP_PAGE_NONE ? &pages->kept_first : &pages->pages[p->previous].next) = page;
    pages->kept_last = page;
    pages->kept_count++;
}

static void unkeep(struct tp_pages *pages, uint32_t page)
{
    const struct tp_page *p = &pages->pages[page];
    *(p->previous == TP_PAGE_NONE ? &pages->kept_first : &pages->pages[p->previous].next) = p->next;
    *(p->next == TP_PAGE_NONE ? &pages->kept_last : &pages->pages[p->next].previous) = p->previous;
    pages->kept_count--;
}

// Pages of TP_PAGE positions.
static uint32_t whole_of(const struct tp_pages *pages)
{
    return pages->tail == TP_PAGE_NONE ? pages->count : pages->tail;
}

uint32_t tp__pages_take_tail(struct tp_pages *pages)
{
    if (pages->tail == TP_PAGE_NONE || pages->pages[pages->tail].references != 0) {
        return TP_PAGE_NONE;
    }
    pages->pages[pages->tail].references = 1;
    return pages->tail;
}

uint32_t tp__pages_take(struct tp_pages *pages)
{
    uint32_t page = pages->free_first;
    if (page != TP_PAGE_NONE) {
        pages->free_first = pages->pages[page].next;
        pages->free_count--;
    } else if (pages->touched < whole_of(pages)) {
        page = pages->touched++;
        pages->free_count--;
    } else if (pages->kept_first != TP_PAGE_NONE) {
        page = pages->kept_first;
        unkeep(pages, page);
        forget(pages, page);
    } else {
        return TP_PAGE_NONE;
    }
    pages->pages[page].references = 1;
    return page;
}

void tp__pages_hold(struct tp_pages *pages, uint32_t page)
{
    struct tp_page *p = &pages->pages[page];
    if (p->references == 0) {
        unkeep(pages, page);
    }
    p->references++;
}

void tp__pages_drop(struct tp_pages *pages, uint32_t page)
{
    struct tp_page *p = &pages->pages[page];
    assert(p->references != 0);
    p->references--;
    if (p->references == 0 && p->name != 0) {
        put_kept(pages, page);
    } else if (p->references == 0 && page != pages->tail) {
        put_free(pages, page);
    }
}

void tp__pages_forget(struct tp_pages *pages)
{
    for (uint32_t page = 0; page < pages->touched; page++) {
        struct tp_page *p = &pages->pages[page];
        if (p->name != 0 && p->references == 0) {
            unkeep(pages, page);
            put_free(pages, page);
        }
        p->name = 0;
    }
    empty_buckets(pages);
}

// ---- invariants ----

static const char *list_fault(const struct tp_pages *pages)
{
    uint32_t count = whole_of(pages) - pages->touched;
    for (uint32_t page = pages->free_first; page != TP_PAGE_NONE; page = pages->pages[page].next) {
        if (pages->pages[page].references != 0 || pages->pages[page].name != 0) {
            return "a page is free that is held or named";
        }
        if (count++ == pages->free_count) {
            break;
        }
    }
    if (count != pages->free_count) {
        return "the list of free pages has another length";
    }
    uint32_t previous = TP_PAGE_NONE;
    count = 0;
    for (uint32_t page = pages->kept_first; page != TP_PAGE_NONE; page = pages->pages[page].next) {
        const struct tp_page *p = &pages->pages[page];
        if (p->references != 0 || p->name == 0 || p->previous != previous) {
            return "a page is kept that is held, without a name, or out of the list";
        }
        previous = page;
        if (count++ == pages->kept_count) {
            break;
        }
    }
    return count == pages->kept_count && pages->kept_last == previous
               ? NULL
               : "the list of kept pages has another length";
}

const char *tp__pages_fault(const struct tp_pages *pages, const uint32_t *holders)
{
    uint32_t held = 0;
    for (uint32_t page = 0; page < pages->count; page++) {
        const struct tp_page *p = &pages->pages[page];
        if (p->references != holders[page]) {
            return "a page has another number of holders";
        }
        held += p->references != 0 && page != pages->tail ? 1 : 0;
        if (p->name != 0 && tp__pages_find(pages, p->parent, p->tokens) != page) {
            return "a prefix is not found, or two pages have it";
        }
    }
    if (held + tp__pages_available(pages) != whole_of(pages)) {
        return "pages are lost";
    }
    return list_fault(pages);
}

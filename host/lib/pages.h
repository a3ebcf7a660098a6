// SPDX-License-Identifier: Apache-2.0
//
// The pages of a device's KV memory: who holds them, and which keep the beginning of a history
// that another session can go on from (docs/sessions.md).
//
// A page has TP_PAGE positions of all layers. Its contents are a function of the tokens up to its
// end, so a full one can be shared by all sessions that begin with these tokens. Such a prefix has
// a name, a number that is given once: it stands for the name of the prefix a page shorter and the
// tokens of this page, which is how whole prefixes are compared. A page whose prefix is named and
// that nobody holds is kept until its space is needed, the least recently used first.
//
// No lock: the device's mutex is held. Memory is taken by tp__pages_open only.

#ifndef TP_LIB_PAGES_H
#define TP_LIB_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "tp_map.h"

enum { TP_PAGES_MAX = 1 << 16 };

#define TP_PAGE_NONE UINT32_MAX

struct tp_page {
    uint64_t name;    // of the prefix that ends with it; 0: none
    uint64_t parent;  // name of the prefix a page shorter; 0: this is the first page
    uint32_t tokens[TP_PAGE];
    uint32_t references;  // sessions that hold it
    uint32_t bucket_next;
    uint32_t previous;  // in the list of kept pages
    uint32_t next;      // there, or in that of free ones
};

struct tp_pages {
    struct tp_page *pages;  // [count]
    uint32_t count;
    uint32_t tail;     // the last page, when it has fewer positions; in no list. Else TP_PAGE_NONE
    uint32_t touched;  // pages from here on were never used, and are in no list
    uint32_t free_first;  // of those that are free again
    uint32_t free_count;  // of both kinds
    uint32_t kept_first;  // least recently used
    uint32_t kept_last;
    uint32_t kept_count;
    uint64_t names;     // given so far
    uint32_t *buckets;  // [bucket_count] first page with such a hash
    uint32_t bucket_count;
};

/** Makes pages for so many positions, at most TP_PAGES_MAX * TP_PAGE, all free. False: no memory.
 */
bool tp__pages_open(struct tp_pages *pages, uint32_t positions);
/** Also of pages that were never opened, all 0. */
void tp__pages_close(struct tp_pages *pages);

/** Pages that nobody holds. */
uint32_t tp__pages_available(const struct tp_pages *pages);

/** Takes a page for one holder: a free one, else the one that was kept for longest without use,
 *  whose prefix is forgotten. TP_PAGE_NONE: all are held. */
uint32_t tp__pages_take(struct tp_pages *pages);
/** The last page, when it has fewer positions: it can only be the last one of a session that holds
 *  all others. TP_PAGE_NONE: there is no such page, or it is held. */
uint32_t tp__pages_take_tail(struct tp_pages *pages);
/** One holder more. */
void tp__pages_hold(struct tp_pages *pages, uint32_t page);
/** One holder less; the last one's page is kept when its prefix is named, else it is free. */
void tp__pages_drop(struct tp_pages *pages, uint32_t page);

/** The page of a prefix: parent is the name of what is before it, tokens [TP_PAGE] are its own.
 *  TP_PAGE_NONE: there is none. It must be held before anything else is taken. */
uint32_t tp__pages_find(const struct tp_pages *pages, uint64_t parent, const uint32_t *tokens);
/** Names the prefix of a full page. Returns the name, that of another page when there is one for
 *  the prefix. */
uint64_t tp__pages_name(struct tp_pages *pages, uint32_t page, uint64_t parent,
                        const uint32_t *tokens);
/** Forgets all prefixes: what was kept is free. Also of pages that were never opened. */
void tp__pages_forget(struct tp_pages *pages);

/** What must always hold. holders [count]: how many hold each page. NULL: all is well, else what is
 *  not. */
const char *tp__pages_fault(const struct tp_pages *pages, const uint32_t *holders);

#endif

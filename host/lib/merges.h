// SPDX-License-Identifier: Apache-2.0
//
// Merges of byte-pair vocabularies: which two pieces make one, and which of them first.

#ifndef TP_LIB_MERGES_H
#define TP_LIB_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { TP_MERGES_MAX = 1 << 21 };

struct tp_merge {
    uint32_t left;
    uint32_t right;
    uint32_t result;
};

/** Merges in the order of their rank, the first counts most. All zero is the empty list. */
struct tp_merges {
    uint32_t count;
    uint32_t room;
    uint32_t slot_mask;
    struct tp_merge *list;  // [room]
    uint32_t *slots;        // hash table of the pairs: indices into list or UINT32_MAX
};

/** Takes memory for count merges, at most TP_MERGES_MAX.
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__merges_prepare(struct tp_merges *merges, const char *name, uint32_t count,
                                         struct tp_error *error);

void tp__merges_free(struct tp_merges *merges);

/** Appends a merge; false when its pair is in the list already. */
bool tp__merges_add(struct tp_merges *merges, struct tp_merge merge);

/** Rank of the merge of this pair; UINT32_MAX when the two do not merge. */
uint32_t tp__merges_find(const struct tp_merges *merges, uint32_t left, uint32_t right);

/* ---- the byte alphabet ---- */

/** Byte-level vocabularies write every byte as a printable character: printable ones of Latin-1 as
 *  themselves, the other 68 as U+0100 on. Turns such text into its bytes (room of size), and
 *  returns their number; SIZE_MAX when a character is not of the alphabet. */
size_t tp__byte_alphabet_decode(const char *text, size_t size, char *bytes);

/** The other way; text has room for twice the size. Returns the bytes written. */
size_t tp__byte_alphabet_encode(const char *bytes, size_t size, char *text);

#endif

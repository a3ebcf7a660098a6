// SPDX-License-Identifier: Apache-2.0
//
// Merges of byte-pair vocabularies.

#include "merges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t value = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    value ^= value >> 29;
    return (uint32_t)((value * 0xbf58476d1ce4e5b9u) >> 32);
}

/* The slot that holds this pair, or the free slot where it belongs. */
static uint32_t find_slot(const struct tp_merges *merges, uint32_t left, uint32_t right)
{
    uint32_t slot = hash_pair(left, right) & merges->slot_mask;
    for (; merges->slots[slot] != UINT32_MAX; slot = (slot + 1) & merges->slot_mask) {
        const struct tp_merge *merge = &merges->list[merges->slots[slot]];
        if (merge->left == left && merge->right == right) break;
    }
    return slot;
}

tp_status tp__merges_prepare(struct tp_merges *merges, const char *name, uint32_t count,
                             struct tp_error *error)
{
    assert(count <= TP_MERGES_MAX);
    uint32_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    *merges = (struct tp_merges){.room = count, .slot_mask = slots - 1};
    merges->list = malloc(((size_t)count + 1) * sizeof merges->list[0]);
    merges->slots = malloc(slots * sizeof merges->slots[0]);
    if (merges->list == NULL || merges->slots == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for %u merges", name, count);
    }
    memset(merges->slots, 0xff, slots * sizeof merges->slots[0]);
    return TP_OK;
}

void tp__merges_free(struct tp_merges *merges)
{
    free(merges->list);
    free(merges->slots);
    *merges = (struct tp_merges){0};
}

bool tp__merges_add(struct tp_merges *merges, struct tp_merge merge)
{
    assert(merges->count < merges->room);
    uint32_t slot = find_slot(merges, merge.left, merge.right);
    if (merges->slots[slot] != UINT32_MAX) return false;
    merges->slots[slot] = merges->count;
    merges->list[merges->count++] = merge;
    return true;
}

uint32_t tp__merges_find(const struct tp_merges *merges, uint32_t left, uint32_t right)
{
    uint32_t rank = merges->slots[find_slot(merges, left, right)];
#ifdef TP_PLANT_BUG
    if (rank != UINT32_MAX) rank ^= 1;  // two neighbours of the list swapped
    if (rank >= merges->count) return UINT32_MAX;
#endif
    return rank;
}

/* ---- the byte alphabet ---- */

enum {
    CONTROL_COUNT = 0x21,       // 0x00 to the space
    HIGH_CONTROL_FIRST = 0x7f,  // to 0xa0
    HIGH_CONTROL_COUNT = 0x22,
    SOFT_HYPHEN = 0xad,
    SHIFTED = CONTROL_COUNT + HIGH_CONTROL_COUNT + 1
};

static bool is_printable(uint32_t code)
{
    bool is_ascii = code >= 0x21 && code <= 0x7e;
    bool is_latin = code >= 0xa1 && code <= 0xff && code != SOFT_HYPHEN;
    return is_ascii || is_latin;
}

/* Byte that a character stands for; -1 for none. */
static int byte_of(uint32_t code)
{
    if (is_printable(code)) return (int)code;
    if (code < 0x100 || code >= 0x100 + SHIFTED) return -1;
    uint32_t index = code - 0x100;
    if (index < CONTROL_COUNT) return (int)index;
    index -= CONTROL_COUNT;
    return index < HIGH_CONTROL_COUNT ? (int)(index + HIGH_CONTROL_FIRST) : SOFT_HYPHEN;
}

size_t tp__byte_alphabet_decode(const char *text, size_t size, char *bytes)
{
    size_t count = 0;
    for (size_t offset = 0; offset < size;) {
        size_t length = tp__utf8_length((const uint8_t *)text + offset, size - offset);
        int byte = length == 0 ? -1 : byte_of(tp__utf8_code((const uint8_t *)text + offset));
        if (byte < 0) return SIZE_MAX;
        bytes[count++] = (char)byte;
        offset += length;
    }
    return count;
}

static uint32_t character_of(uint8_t byte)
{
    if (is_printable(byte)) return byte;
    if (byte < CONTROL_COUNT) return 0x100u + byte;
    uint32_t shifted =
        byte == SOFT_HYPHEN ? HIGH_CONTROL_COUNT : (uint32_t)byte - HIGH_CONTROL_FIRST;
    return 0x100u + CONTROL_COUNT + shifted;
}

size_t tp__byte_alphabet_encode(const char *bytes, size_t size, char *text)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += tp__utf8_put(character_of((uint8_t)bytes[i]), text + count);
    }
    return count;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_kv stores the words of K and V at the rows of tp_kv_row with both exponents as
// nibbles, whatever the order of slots, layers and gaps; that a read answers after 4 cycles with
// what was written up to the word before it; that query words leave after 1 cycle, and done comes 1
// cycle after the last word of an instruction.
//
// Random programs of several slots with random page tables, reads in every cycle, random power-up
// state. Not covered: reads of a row in the very cycle of its write, which the schedule excludes.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <stdio.h>
#include <string.h>

enum {
    SLOTS = TP_PARAM_Slots,
    ROWS = TP_PARAM_KvRows,
    PAGES = TP_PARAM_PagesPerSlot,
    WORDS_MAX = TP_PARAM_KvWordsMax,
    READ_LATENCY = 4,
    CYCLES = 6000
};

enum kind { QUERY, KEY, VALUE, KINDS };

struct word {
    uint32_t data[8];
    uint32_t exponents[4];
};

struct row {
    bool written;
    uint32_t key[8];
    uint32_t value[8];
    uint8_t exponents[4];
};

// What one slot does: kinds in order, then the next layer or position.
struct slot {
    uint16_t pages[PAGES];
    uint32_t layer;
    uint32_t position;
    uint32_t position_end;  // positions below this are written in every layer
    enum kind kind;
    uint32_t key_base;
    struct word keys[WORDS_MAX];
};

// A read under way.
struct expected_read {
    bool checked;
    struct row row;
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    uint32_t words;
    uint32_t layers;
    uint32_t stride;
    struct slot slots[SLOTS];
    struct row rows[ROWS];
    // the instruction whose words come now
    struct slot *active;
    uint32_t word;
    uint32_t base;
    // of the last cycle
    bool word_sent;
    bool last_sent;
    enum kind kind_sent;
    uint32_t slot_sent;
    uint32_t index_sent;
    struct word sent;
    struct expected_read reads[2][READ_LATENCY + 1];
    uint32_t checked_reads;
};

static void configure(struct bench *b, uint32_t space, uint32_t address, uint32_t data)
{
    tp_dut_set(b->dut, "cfg_valid_i", 1);
    tp_dut_set(b->dut, "cfg_space_i", space);
    tp_dut_set(b->dut, "cfg_address_i", address);
    tp_dut_set(b->dut, "cfg_data_i", data);
    tp_dut_tick(b->dut);
    tp_dut_set(b->dut, "cfg_valid_i", 0);
}

// A layout that fills the memory as far as the parameters allow, and pages in random order.
static void lay_out(struct bench *b)
{
    uint32_t pages_all = SLOTS * PAGES;
    uint32_t pages_memory = ROWS / TP_PAGE;
    b->words = 1 + tp_random_below(&b->random, WORDS_MAX);
    while (b->words > 1 && b->words > pages_memory / 2) b->words--;
    b->layers = pages_memory / b->words >= 4 ? 2 : 1;
    uint32_t pages = pages_memory / (b->words * b->layers);
    ck_assert_uint_ge(pages, 1);
    b->stride = pages * TP_PAGE;
    uint16_t order[ROWS / TP_PAGE];
    for (uint32_t i = 0; i < pages; i++) order[i] = (uint16_t)i;
    for (uint32_t i = pages - 1; i > 0; i--) {
        uint32_t j = tp_random_below(&b->random, i + 1);
        uint16_t moved = order[i];
        order[i] = order[j];
        order[j] = moved;
    }
    // Slots take pages one after the other; a slot ends where they run out.
    uint32_t next = 0;
    uint32_t each = pages / SLOTS < PAGES ? pages / SLOTS : PAGES;
    ck_assert_uint_ge(each, 1);
    ck_assert_uint_le(each * SLOTS, pages_all);
    configure(b, TP_SPACE_REGISTER, TP_REGISTER_KV_STRIDE, b->stride);
    for (uint32_t s = 0; s < SLOTS; s++) {
        for (uint32_t p = 0; p < PAGES; p++) {
            b->slots[s].pages[p] = p < each ? order[next++] : 0;
            configure(b, TP_SPACE_PAGE_TABLE, s * 4096 + p, b->slots[s].pages[p]);
            // Writes that concern others must not disturb.
            configure(b, TP_SPACE_BIAS, s * 4096 + p, tp_random_u32(&b->random));
            configure(b, TP_SPACE_PAGE_TABLE, (s + 8) * 4096 + p, tp_random_u32(&b->random));
        }
        b->slots[s].position_end = each * TP_PAGE;
        b->slots[s].position = tp_random_below(&b->random, each * TP_PAGE);
    }
    configure(b, TP_SPACE_REGISTER, 1, tp_random_u32(&b->random));
    for (uint32_t i = 0; i < WORDS_MAX; i++) tp_dut_tick(b->dut);
}

static uint32_t row_of(const struct bench *b, const struct slot *slot, uint32_t layer,
                       uint32_t word, uint32_t position)
{
    return tp_kv_row(slot->pages, layer * b->words * b->stride, b->stride, word, position);
}

static void random_word(struct bench *b, struct word *word)
{
    tp_random_words(&b->random, word->data, 8);
    for (uint32_t h = 0; h < 4; h++) {
        word->exponents[h] = b->base + tp_random_below(&b->random, 16);
    }
}

static void store(struct bench *b, const struct slot *slot, uint32_t index,
                  const struct word *value)
{
    struct row *row = &b->rows[row_of(b, slot, slot->layer, index, slot->position)];
    row->written = true;
    memcpy(row->key, slot->keys[index].data, sizeof row->key);
    memcpy(row->value, value->data, sizeof row->value);
    for (uint32_t h = 0; h < 4; h++) {
        row->exponents[h] = (uint8_t)((slot->keys[index].exponents[h] - slot->key_base) |
                                      (value->exponents[h] - b->base) << 4);
    }
}

static void next_instruction(struct bench *b, struct slot *slot)
{
    slot->kind = (enum kind)((slot->kind + 1) % KINDS);
    if (slot->kind != QUERY) return;
    slot->layer = (slot->layer + 1) % b->layers;
    if (slot->layer == 0) slot->position = (slot->position + 1) % slot->position_end;
}

// Drives a word or a gap. Returns the row that it stores, or ROWS.
static uint32_t drive_word(struct bench *b)
{
    b->word_sent = b->last_sent = false;
    tp_dut_set(b->dut, "word_valid_i", 0);
    if (!b->active) {
        if (!tp_random_chance(&b->random, 128)) return ROWS;
        b->active = &b->slots[tp_random_below(&b->random, SLOTS)];
        b->word = 0;
        b->base = b->active->kind == QUERY ? 0 : tp_random_below(&b->random, 17);
    } else if (tp_random_chance(&b->random, 100)) {
        return ROWS;
    }
    struct slot *slot = b->active;
    uint32_t layer_base = slot->layer * b->words * b->stride;
    random_word(b, &b->sent);
    b->word_sent = true;
    b->last_sent = b->word == b->words - 1;
    b->kind_sent = slot->kind;
    b->slot_sent = (uint32_t)(slot - b->slots);
    b->index_sent = b->word;
    uint64_t exponents = 0;
    for (uint32_t h = 0; h < 4; h++) exponents |= (uint64_t)b->sent.exponents[h] << (5 * h);
    uint64_t context = (uint64_t)slot->kind << 51 | (uint64_t)b->slot_sent << 48 |
                       (uint64_t)slot->position << 32 | 3u << 29 | (uint64_t)b->base << 24 |
                       layer_base;
    tp_dut_set(b->dut, "word_valid_i", 1);
    tp_port_set_words(tp_dut_port(b->dut, "word_data_i"), b->sent.data);
    tp_dut_set(b->dut, "word_exponents_i", exponents);
    tp_dut_set(b->dut, "word_context_i", context);
    tp_dut_set(b->dut, "word_index_i", b->word);
    tp_dut_set(b->dut, "word_last_i", b->last_sent);
    if (slot->kind == VALUE) return row_of(b, slot, slot->layer, b->word, slot->position);
    return ROWS;
}

static void commit_word(struct bench *b)
{
    if (!b->word_sent) return;
    struct slot *slot = b->active;
    if (slot->kind == KEY) {
        slot->keys[b->word] = b->sent;
        slot->key_base = b->base;
    }
    if (slot->kind == VALUE) store(b, slot, b->word, &b->sent);
    if (++b->word == b->words) {
        next_instruction(b, slot);
        b->active = NULL;
    }
}

// Near the last written positions, where a row that comes too late would show.
static void drive_read(struct bench *b, const char *kind, struct expected_read *read,
                       uint32_t row_in_write)
{
    char name[32];
    struct tp_dut *dut = b->dut;
    read->checked = false;
    snprintf(name, sizeof name, "%s_valid_i", kind);
    bool valid = tp_random_chance(&b->random, 200);
    tp_dut_set(dut, name, valid);
    if (!valid) return;
    uint32_t s = b->word_sent ? b->slot_sent : tp_random_below(&b->random, SLOTS);
    const struct slot *slot = &b->slots[s];
    uint32_t layer = tp_random_below(&b->random, b->layers);
    uint32_t word = tp_random_below(&b->random, b->words);
    uint32_t back = tp_random_below(&b->random, tp_random_chance(&b->random, 128) ? 2 : 16);
    uint32_t position =
        (slot->position + slot->position_end - back % slot->position_end) % slot->position_end;
    uint32_t row = row_of(b, slot, layer, word, position);
    snprintf(name, sizeof name, "%s_slot_i", kind);
    tp_dut_set(dut, name, s);
    snprintf(name, sizeof name, "%s_position_i", kind);
    tp_dut_set(dut, name, position);
    snprintf(name, sizeof name, "%s_base_i", kind);
    tp_dut_set(dut, name, layer * b->words * b->stride);
    snprintf(name, sizeof name, "%s_word_i", kind);
    tp_dut_set(dut, name, word);
    read->checked = b->rows[row].written && row != row_in_write;
    read->row = b->rows[row];
}

static void check_outputs(struct bench *b)
{
    uint32_t data[8];
    const struct row *key = &b->reads[0][READ_LATENCY].row;
    if (b->reads[0][READ_LATENCY].checked) {
        tp_port_get_words(tp_dut_port(b->dut, "key_data_o"), data);
        tp_compare_words("key", key->key, data, 8, 8);
        uint64_t exponents = tp_dut_get(b->dut, "key_exponents_o");
        for (uint32_t h = 0; h < 4; h++) {
            ck_assert_uint_eq(exponents >> (8 * h) & 255, key->exponents[h]);
        }
        b->checked_reads++;
    }
    if (b->reads[1][READ_LATENCY].checked) {
        tp_port_get_words(tp_dut_port(b->dut, "value_data_o"), data);
        tp_compare_words("value", b->reads[1][READ_LATENCY].row.value, data, 8, 8);
    }
}

// One cycle after a word: its done and its query word.
static void check_word_outputs(struct bench *b)
{
    ck_assert_uint_eq(tp_dut_get(b->dut, "done_valid_o"), b->last_sent);
    if (b->last_sent) ck_assert_uint_eq(tp_dut_get(b->dut, "done_slot_o"), b->slot_sent);
    bool is_query = b->word_sent && b->kind_sent == QUERY;
    ck_assert_uint_eq(tp_dut_get(b->dut, "query_valid_o"), is_query);
    if (!is_query) return;
    uint32_t data[8];
    tp_port_get_words(tp_dut_port(b->dut, "query_data_o"), data);
    tp_compare_words("query", b->sent.data, data, 8, 8);
    uint64_t exponents = tp_dut_get(b->dut, "query_exponents_o");
    for (uint32_t h = 0; h < 4; h++) {
        ck_assert_uint_eq(exponents >> (5 * h) & 31, b->sent.exponents[h]);
    }
    ck_assert_uint_eq(tp_dut_get(b->dut, "query_slot_o"), b->slot_sent);
    ck_assert_uint_eq(tp_dut_get(b->dut, "query_index_o"), b->index_sent);
}

START_TEST(words_come_back_from_their_rows)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    uint64_t seed = tp_test_seed(_i);
    tp_random_init(&b.random, seed, 0);
    b.dut = tp_dut_open(seed);
    lay_out(&b);
    for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
        for (uint32_t r = 0; r < 2; r++) {
            for (uint32_t i = READ_LATENCY; i > 0; i--) b.reads[r][i] = b.reads[r][i - 1];
        }
        uint32_t row_in_write = drive_word(&b);
        drive_read(&b, "key", &b.reads[0][0], row_in_write);
        drive_read(&b, "value", &b.reads[1][0], row_in_write);
        // Data of the request 4 cycles ago stand in this cycle, before its edge.
        tp_dut_settle(b.dut);
        check_outputs(&b);
        tp_dut_tick(b.dut);
        check_word_outputs(&b);
        commit_word(&b);
    }
    ck_assert_uint_gt(b.checked_reads, CYCLES / 8);
    tp_dut_close(b.dut);
}
END_TEST

START_TEST(stride_is_ready_after_one_cycle_for_each_word)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    uint64_t seed = tp_test_seed(_i);
    tp_random_init(&b.random, seed, 1);
    b.dut = tp_dut_open(seed);
    configure(&b, TP_SPACE_PAGE_TABLE, 0, 1);
    configure(&b, TP_SPACE_REGISTER, TP_REGISTER_KV_STRIDE, 16);
    for (uint32_t i = 0; i < WORDS_MAX; i++) tp_dut_tick(b.dut);
    // A store to the last word and a read of it right behind.
    uint32_t sent[2][8];
    for (uint32_t kind = KEY; kind <= VALUE; kind++) {
        tp_random_words(&b.random, sent[kind - KEY], 8);
        tp_dut_set(b.dut, "word_valid_i", 1);
        tp_port_set_words(tp_dut_port(b.dut, "word_data_i"), sent[kind - KEY]);
        tp_dut_set(b.dut, "word_context_i", (uint64_t)kind << 51 | (uint64_t)3 << 32);
        tp_dut_set(b.dut, "word_index_i", WORDS_MAX - 1);
        tp_dut_tick(b.dut);
    }
    tp_dut_set(b.dut, "word_valid_i", 0);
    tp_dut_set(b.dut, "key_valid_i", 1);
    tp_dut_set(b.dut, "key_position_i", 3);
    tp_dut_set(b.dut, "key_word_i", WORDS_MAX - 1);
    tp_dut_tick(b.dut);
    tp_dut_set(b.dut, "key_valid_i", 0);
    for (uint32_t i = 1; i < READ_LATENCY; i++) tp_dut_tick(b.dut);
    uint32_t data[8];
    tp_port_get_words(tp_dut_port(b.dut, "key_data_o"), data);
    tp_compare_words("key", sent[0], data, 8, 8);
    tp_dut_close(b.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("kv");
    TCase *tcase = tcase_create("kv");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, words_come_back_from_their_rows, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, stride_is_ready_after_one_cycle_for_each_word, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

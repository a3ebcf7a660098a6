// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_attention gives the blocks of tp_attention() and tp_quantise_block(), bit for bit,
// with their counts of saturations and clips, for every shape that the parameters allow; that it
// takes exactly 16 * columns * pages + 80 cycles, 8 less with one set, 16 or 48 more with heads of
// 64 or 128, with 16 lanes 32 * columns * pages + 72; and that neither rows after the current
// position nor query words of other slots matter.
//
// Random codes and exponents with scores from flat to clamped, against a KV memory in C with the
// read latency of tp_kv; longest context with the largest numbers; several commands one after the
// other; random power-up state; scores of large heads whose parts cancel.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <stdlib.h>
#include <string.h>

#ifndef TP_PARAM_Lanes
#define TP_PARAM_Lanes 64
#endif

enum {
    SLOTS = TP_PARAM_Slots,
    QUERY_WORDS = TP_PARAM_QueryWords,
    COLUMNS_MAX = TP_PARAM_ColumnsMax,
    HEAD_LOG2_MAX = TP_PARAM_HeadLog2Max,
    LANES = TP_PARAM_Lanes,
    QUERY_SETS = LANES == 64 ? 2 : 1,
    HALVES = LANES == 16 ? 2 : 1,  // chunks of a word
    READ_LATENCY = 4,
    LATENCY = 80,
    POSITIONS_MAX = 2048,
    ROWS = 8 * POSITIONS_MAX
};

struct request {
    bool valid;
    uint32_t row;
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_kv_memory kv;
    uint16_t pages[POSITIONS_MAX / 16];
    uint32_t base;
    uint32_t stride;
    uint32_t slot;
    uint32_t position;
    uint32_t cap;
    struct tp_attention_shape shape;
    int8_t q[QUERY_WORDS][32];
    uint8_t q_exponents[QUERY_WORDS][4];
    struct request key[READ_LATENCY + 1];
    struct request value[READ_LATENCY + 1];
    struct tp_counters counted;
    // ports of every cycle
    struct tp_port *key_valid, *key_data, *key_exponents, *value_valid, *value_data;
};

static uint32_t query_count(const struct bench *b)
{
    return b->shape.words * b->shape.turns * b->shape.sets;
}

// Words of a head.
static uint32_t parts_of(const struct bench *b)
{
    return b->shape.head_log2 > 5 ? 1u << (b->shape.head_log2 - 5) : 1;
}

static void bench_open(struct bench *b, uint64_t seed)
{
    memset(b, 0, sizeof *b);
    tp_random_init(&b->random, seed, 0);
    b->dut = tp_dut_open(seed);
    b->key_valid = tp_dut_port(b->dut, "key_valid_o");
    b->key_data = tp_dut_port(b->dut, "key_data_i");
    b->key_exponents = tp_dut_port(b->dut, "key_exponents_i");
    b->value_valid = tp_dut_port(b->dut, "value_valid_o");
    b->value_data = tp_dut_port(b->dut, "value_data_i");
    b->kv.rows = ROWS;
    b->kv.key = malloc(ROWS * 32);
    b->kv.value = malloc(ROWS * 32);
    b->kv.exponents = malloc(ROWS * 4);
    ck_assert(b->kv.key && b->kv.value && b->kv.exponents);
}

static void bench_close(struct bench *b)
{
    tp_dut_close(b->dut);
    free(b->kv.key);
    free(b->kv.value);
    free(b->kv.exponents);
}

// ---- the KV memory
// ---------------------------------------------------------------------------------

static struct request request_of(struct bench *b, const char *position, const char *base,
                                 const char *word, const char *slot)
{
    struct request request = {true, 0};
    ck_assert_uint_eq(tp_dut_get(b->dut, slot), b->slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, base), b->base);
    uint32_t at = (uint32_t)tp_dut_get(b->dut, position);
    ck_assert_uint_le(at, b->position | 15);
    request.row = tp_kv_row(b->pages, b->base, b->stride, (uint32_t)tp_dut_get(b->dut, word), at);
    return request;
}

static void words_of(const int8_t *codes, uint32_t words[8])
{
    for (uint32_t i = 0; i < 8; i++) {
        words[i] = 0;
        for (uint32_t j = 0; j < 4; j++) {
            words[i] |= (uint32_t)(uint8_t)codes[4 * i + j] << (8 * j);
        }
    }
}

// Answers the requests of 4 cycles ago, random bits without one; then takes those of this cycle.
static void serve_memory(struct bench *b)
{
    static const struct request none = {false, 0};
    for (uint32_t i = READ_LATENCY; i > 0; i--) {
        b->key[i] = b->key[i - 1];
        b->value[i] = b->value[i - 1];
    }
    uint32_t words[8];
    uint64_t exponents = tp_random_u32(&b->random);
    tp_random_words(&b->random, words, 8);
    if (b->key[READ_LATENCY].valid) {
        uint32_t row = b->key[READ_LATENCY].row;
        words_of(b->kv.key + 32 * row, words);
        exponents = 0;
        for (uint32_t h = 0; h < 4; h++) {
            exponents |= (uint64_t)b->kv.exponents[4 * row + h] << (8 * h);
        }
    }
    tp_port_set_words(b->key_data, words);
    tp_port_set(b->key_exponents, exponents);
    tp_random_words(&b->random, words, 8);
    if (b->value[READ_LATENCY].valid) {
        words_of(b->kv.value + 32 * b->value[READ_LATENCY].row, words);
    }
    tp_port_set_words(b->value_data, words);
    tp_dut_settle(b->dut);
    b->key[0] = b->value[0] = none;
    if (tp_port_get(b->key_valid)) {
        b->key[0] = request_of(b, "key_position_o", "key_base_o", "key_word_o", "key_slot_o");
    }
    if (tp_port_get(b->value_valid)) {
        b->value[0] =
            request_of(b, "value_position_o", "value_base_o", "value_word_o", "value_slot_o");
    }
}

static void cycle(struct bench *b)
{
    serve_memory(b);
    tp_dut_tick(b->dut);
    b->counted.saturations += tp_dut_get(b->dut, "saturations_o");
    b->counted.clips += tp_dut_get(b->dut, "clips_o");
}

// ---- inputs
// ----------------------------------------------------------------------------------------

static void random_codes(struct bench *b, int8_t *codes, size_t count)
{
    for (size_t i = 0; i < count; i++) codes[i] = (int8_t)tp_random_range(&b->random, -127, 127);
}

static void random_memory(struct bench *b)
{
    random_codes(b, b->kv.key, ROWS * 32);
    random_codes(b, b->kv.value, ROWS * 32);
    for (uint32_t i = 0; i < ROWS * 4; i++) {
        b->kv.exponents[i] = (uint8_t)tp_random_u32(&b->random);
    }
}

// Shape and place at random. heat decides how far apart the scores are: 0 flat, 20 clamped.
static void random_scene(struct bench *b, uint32_t heat)
{
    b->slot = tp_random_below(&b->random, SLOTS);
    do {
        b->shape.head_log2 = 3 + tp_random_below(&b->random, HEAD_LOG2_MAX - 2);
        b->shape.words = parts_of(b) * (1 + tp_random_below(&b->random, COLUMNS_MAX));
        b->shape.turns = 1 + tp_random_below(&b->random, 3);
        b->shape.sets = 1 + tp_random_below(&b->random, QUERY_SETS);
    } while (b->shape.words * b->shape.turns > COLUMNS_MAX || query_count(b) > QUERY_WORDS);
    b->shape.key_base = tp_random_below(&b->random, 8);
    b->shape.value_base = tp_random_below(&b->random, 8);
    b->shape.shift = (int32_t)tp_random_range(&b->random, 12, 28);
    b->cap = tp_random_chance(&b->random, 64) ? tp_random_below(&b->random, 20) : 25;
    for (uint32_t i = 0; i < POSITIONS_MAX / 16; i++) b->pages[i] = (uint16_t)i;
    uint32_t pages = b->position / 16 + 1;
    uint32_t rows_most = ROWS / b->shape.words / 16;
    for (uint32_t i = 0; i < pages; i++) {
        uint32_t j = tp_random_below(&b->random, pages);
        uint16_t moved = b->pages[i];
        b->pages[i] = b->pages[j];
        b->pages[j] = moved;
    }
    ck_assert_uint_le(pages, rows_most);
    b->stride = 16 * pages;
    b->base = tp_random_below(&b->random, ROWS - b->shape.words * b->stride + 1);
    random_codes(b, &b->q[0][0], sizeof b->q);
    for (uint32_t i = 0; i < QUERY_WORDS; i++) {
        for (uint32_t h = 0; h < 4; h++) {
            uint32_t exponent = heat + tp_random_below(&b->random, 6);
            b->q_exponents[i][h] = (uint8_t)(exponent > 25 ? 25 : exponent);
        }
    }
}

static void send_query(struct bench *b, uint32_t slot, uint32_t index, const int8_t *codes,
                       const uint8_t *exponents)
{
    uint32_t words[8];
    uint64_t packed = 0;
    words_of(codes, words);
    for (uint32_t h = 0; h < 4; h++) packed |= (uint64_t)exponents[h] << (5 * h);
    tp_dut_set(b->dut, "query_valid_i", 1);
    tp_dut_set(b->dut, "query_slot_i", slot);
    tp_dut_set(b->dut, "query_index_i", index);
    tp_port_set_words(tp_dut_port(b->dut, "query_data_i"), words);
    tp_dut_set(b->dut, "query_exponents_i", packed);
}

static void send_queries(struct bench *b)
{
    for (uint32_t i = 0; i < query_count(b); i++) {
        send_query(b, b->slot, i, b->q[i], b->q_exponents[i]);
        cycle(b);
        tp_dut_set(b->dut, "query_valid_i", 0);
        while (tp_random_chance(&b->random, 64)) cycle(b);
    }
}

// Query words of another slot, now and then.
static void disturb(struct bench *b)
{
    tp_dut_set(b->dut, "query_valid_i", 0);
    if (SLOTS == 1 || !tp_random_chance(&b->random, 100)) return;
    int8_t codes[32];
    uint8_t exponents[4] = {1, 2, 3, 4};
    random_codes(b, codes, 32);
    uint32_t other = (b->slot + 1 + tp_random_below(&b->random, SLOTS > 1 ? SLOTS - 1 : 1)) % SLOTS;
    send_query(b, other, tp_random_below(&b->random, QUERY_WORDS), codes, exponents);
}

static void put(uint32_t words[8], uint32_t lsb, uint32_t value)
{
    words[lsb / 32] |= value << lsb % 32;
    if (lsb % 32 != 0) words[lsb / 32 + 1] |= (uint32_t)((uint64_t)value << lsb % 32 >> 32);
}

// The packed command of tp_pkg: instruction, token, position, slot from the least significant end.
static void send_command(struct bench *b)
{
    uint32_t words[9] = {0};
    put(words, 0, TP_OP_ATTENTION);
    put(words, 11, b->shape.sets - 1);
    put(words, 24, (uint32_t)b->shape.shift & 255);
    put(words, 56, b->shape.words);
    put(words, 64, b->shape.turns);
    put(words, 81, b->cap);
    put(words, 86, b->shape.head_log2);
    put(words, 96, b->shape.key_base);
    put(words, 101, b->shape.value_base);
    put(words, 128, b->base);
    put(words, 192, tp_random_u32(&b->random) & 0xffff);
    put(words, 208, b->position);
    put(words, 224, b->slot);
    tp_port_set_words(tp_dut_port(b->dut, "cmd_i"), words);
    tp_dut_set(b->dut, "cmd_valid_i", 1);
}

// Half of the keys of a large head the negative of the other half, so that its score is small.
static void cancel_parts(struct bench *b)
{
    for (uint32_t word = 0; word < b->shape.words; word += 2) {
        for (uint32_t position = 0; position <= b->position; position++) {
            uint32_t from = tp_kv_row(b->pages, b->base, b->stride, word, position);
            uint32_t to = tp_kv_row(b->pages, b->base, b->stride, word + 1, position);
            for (uint32_t i = 0; i < 32; i++) {
                b->kv.key[32 * to + i] = (int8_t)-b->kv.key[32 * from + i];
            }
            uint32_t first = tp_random_below(&b->random, 32);
            if (b->kv.key[32 * to + first] != 127) b->kv.key[32 * to + first]++;
            b->kv.exponents[4 * to] = b->kv.exponents[4 * from];
        }
    }
    for (uint32_t i = 0; i < query_count(b); i += 2) {
        memcpy(b->q[i + 1], b->q[i], 32);
        memcpy(b->q_exponents[i + 1], b->q_exponents[i], 4);
    }
}

// ---- one attention
// ---------------------------------------------------------------------------------

static void compare_block(struct bench *b, uint32_t index, const int32_t *x,
                          struct tp_counters *expected)
{
    int8_t codes[32];
    uint32_t words[8], got[8];
    uint32_t exponent = tp_quantise_block(x, 32, 0, (uint8_t)b->cap, codes, expected);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_slot_o"), b->slot);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_index_o"), index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "block_exponent_o"), exponent);
    words_of(codes, words);
    tp_port_get_words(tp_dut_port(b->dut, "block_data_o"), got);
    tp_compare_words("block", words, got, 8, 8);
}

// Number of the block that leaves as the n-th one: sets come together, words of a head do not.
static uint32_t block_index(const struct bench *b, uint32_t n)
{
    uint32_t parts = parts_of(b), sets = b->shape.sets;
    uint32_t set = n % sets, part = n / sets % parts, query = n / sets / parts;
    return (query * sets + set) * parts + part;
}

static void attend(struct bench *b)
{
    static int32_t out[QUERY_WORDS][32];
    struct tp_counters expected = {0, 0};
    tp_attention(&b->shape, &b->kv, b->pages, b->base, b->stride, b->position, &b->q[0][0],
                 &b->q_exponents[0][0], &out[0][0], &expected);
    send_queries(b);
    memset(&b->counted, 0, sizeof b->counted);
    uint32_t columns = HALVES * b->shape.words * b->shape.turns;
    uint32_t complete = 16 * (columns * (b->position / 16 + 1) + parts_of(b) - 1) + LATENCY -
                        8 * (2 - b->shape.sets);
    uint32_t blocks = 0;
    ck_assert_uint_eq(tp_dut_get(b->dut, "free_o"), 1);
    send_command(b);
    // cycle() leaves the bench in the cycle after the one that it ran.
    for (uint32_t t = 1; t <= complete + 1; t++) {
        cycle(b);
        tp_dut_set(b->dut, "cmd_valid_i", 0);
        disturb(b);
        tp_dut_settle(b->dut);
        ck_assert_uint_eq(tp_dut_get(b->dut, "free_o"), t > complete);
        ck_assert_msg(tp_dut_get(b->dut, "done_valid_o") == (t == complete),
                      "cycle %u of %u: done is %u", t, complete,
                      (uint32_t)tp_dut_get(b->dut, "done_valid_o"));
        if (t == complete) ck_assert_uint_eq(tp_dut_get(b->dut, "done_slot_o"), b->slot);
        if (tp_dut_get(b->dut, "block_valid_o")) {
            ck_assert_uint_lt(blocks, query_count(b));
            uint32_t index = block_index(b, blocks);
            compare_block(b, index, out[index], &expected);
            blocks++;
        }
    }
    tp_dut_set(b->dut, "query_valid_i", 0);
    ck_assert_uint_eq(blocks, query_count(b));
    ck_assert_uint_eq(b->counted.saturations, expected.saturations);
    ck_assert_uint_eq(b->counted.clips, expected.clips);
}

START_TEST(blocks_equal_the_model)
{
    static struct bench b;
    bench_open(&b, tp_test_seed(_i));
    random_memory(&b);
    for (uint32_t run = 0; run < 42; run++) {
        b.position = tp_random_below(&b.random, run % 3 == 0 ? 160 : 34);
        random_scene(&b, run % 21);
        if (b.shape.head_log2 > 5 && run % 2 == 0) cancel_parts(&b);
        attend(&b);
        while (tp_random_chance(&b.random, 128)) cycle(&b);
    }
    bench_close(&b);
}
END_TEST

START_TEST(every_last_position_of_a_page_is_right)
{
    static struct bench b;
    bench_open(&b, tp_test_seed(_i));
    random_memory(&b);
    for (uint32_t position = 0; position <= 33; position++) {
        b.position = position;
        random_scene(&b, 8);
        attend(&b);
    }
    bench_close(&b);
}
END_TEST

START_TEST(longest_context_with_the_largest_numbers)
{
    static struct bench b;
    bench_open(&b, tp_test_seed(_i));
    b.position = POSITIONS_MAX - 1;
    for (int sign = -1; sign <= 1; sign++) {
        random_scene(&b, 25);
        b.shape.words = parts_of(&b);
        b.shape.turns = b.shape.sets = 1;
        if (2 * query_count(&b) <= QUERY_WORDS) b.shape.sets = QUERY_SETS;
        // The sum of several parts has room for the bases that a program may have.
        b.shape.key_base = parts_of(&b) > 1 ? 10 : 31;
        b.shape.value_base = 31;
        b.shape.shift = (int32_t)tp_random_range(&b.random, -128, 127);
        b.base = 0;
        memset(b.kv.key, 127, ROWS * 32);
        memset(b.kv.value, sign == 0 ? -127 : 127, ROWS * 32);
        memset(b.kv.exponents, sign == 0 ? 0x00 : 0xff, ROWS * 4);
        memset(b.q, 127 * sign, sizeof b.q);
        memset(b.q_exponents, 25, sizeof b.q_exponents);
        attend(&b);
    }
    bench_close(&b);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("attention");
    TCase *tcase = tcase_create("attention");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, blocks_equal_the_model, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, every_last_position_of_a_page_is_right, 0, 3);
    tcase_add_loop_test(tcase, longest_context_with_the_largest_numbers, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}

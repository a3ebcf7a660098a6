// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_head_quantise equals tp_quantise_block() for each head of a word bit for bit, with
// the exponent limits of queries, keys and values; that a word leaves exactly 4 + H / 4 cycles
// after its last pair and at no other time, with its own context, index and last; and that clipped
// heads are counted once.
//
// Instructions of random length, kind, head size and exponent base, elements of every size, back to
// back while the head size stays, with and without gaps.

#include "check_main.h"
#include "compare.h"
#include "dut.h"
#include "model.h"
#include "random.h"

#include <string.h>

enum { WORDS_MOST = 8, INSTRUCTIONS = 120, WAITING_MAX = 4, PAUSE = 8, CONTEXT_BITS = 53 };
enum { KIND_QUERY, KIND_KEY, KIND_VALUE, KINDS };

struct word {
    uint64_t cycle;  // when it must leave
    uint32_t codes[8];
    uint32_t exponents;  // 4 of 5 bits
    uint32_t context[2];
    uint32_t index;
    bool is_last;
};

struct instruction {
    uint32_t kind;
    uint32_t head_log2;
    uint32_t base;
    uint32_t words;
    uint32_t context[2];
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_counters expected;
    uint64_t clips;
    struct word waiting[WAITING_MAX];
    uint32_t waiting_count;
};

static void check_word(struct bench *b)
{
    const struct word *e = &b->waiting[0];
    bool due = b->waiting_count > 0 && e->cycle == tp_dut_cycles(b->dut);
    ck_assert_int_eq(tp_dut_get(b->dut, "word_valid_o") != 0, due);
    if (!due) return;
    uint32_t codes[8];
    uint32_t context[2];
    tp_port_get_words(tp_dut_port(b->dut, "word_data_o"), codes);
    tp_port_get_words(tp_dut_port(b->dut, "word_context_o"), context);
    tp_compare_words("codes", e->codes, codes, 8, 8);
    tp_compare_words("context", e->context, context, 2, 2);
    ck_assert_uint_eq(tp_dut_get(b->dut, "word_exponents_o"), e->exponents);
    ck_assert_uint_eq(tp_dut_get(b->dut, "word_index_o"), e->index);
    ck_assert_uint_eq(tp_dut_get(b->dut, "word_last_o"), e->is_last);
    b->waiting_count--;
    memmove(b->waiting, b->waiting + 1, b->waiting_count * sizeof *b->waiting);
}

static void cycle(struct bench *b)
{
    tp_dut_settle(b->dut);
    check_word(b);
    b->clips += tp_dut_get(b->dut, "clips_o");
    tp_dut_tick(b->dut);
}

static void idle(struct bench *b)
{
    uint32_t noise[4];
    tp_random_words(&b->random, noise, 4);
    tp_dut_set(b->dut, "head_valid_i", 0);
    tp_port_set_words(tp_dut_port(b->dut, "head_data_i"), noise);
    tp_port_set_words(tp_dut_port(b->dut, "head_context_i"), noise + 2);
    tp_dut_set(b->dut, "head_last_i", noise[0] & 1);
    cycle(b);
}

static void pair(struct bench *b, const int32_t *x, const uint32_t *context, bool is_last)
{
    uint32_t words[2];
    memcpy(words, x, sizeof words);
    tp_dut_set(b->dut, "head_valid_i", 1);
    tp_port_set_words(tp_dut_port(b->dut, "head_data_i"), words);
    tp_port_set_words(tp_dut_port(b->dut, "head_context_i"), context);
    tp_dut_set(b->dut, "head_last_i", is_last);
    cycle(b);
}

static uint32_t block_size(const struct instruction *in)
{
    return in->head_log2 < 5 ? 1u << in->head_log2 : 32;
}

// To be called in the cycle of the word's last pair, before it.
static void expect(struct bench *b, const struct instruction *in, const int32_t *x, uint32_t index)
{
    int8_t q[32];
    uint32_t size = block_size(in);
    uint8_t least = in->kind == KIND_QUERY ? 0 : (uint8_t)in->base;
    uint8_t most = in->kind == KIND_QUERY ? 25 : (uint8_t)(in->base + 15);
    struct word w = {.index = index, .is_last = index + 1 == in->words};
    for (uint32_t i = 0; i < 32; i += size) {
        uint32_t e = tp_quantise_block(x + i, size, least, most, q + i, &b->expected);
        w.exponents |= e << 5 * (i / size);
    }
    memcpy(w.codes, q, sizeof q);
    memcpy(w.context, in->context, sizeof w.context);
    w.cycle = tp_dut_cycles(b->dut) + 4 + size / 4;
    ck_assert_uint_lt(b->waiting_count, WAITING_MAX);
    b->waiting[b->waiting_count++] = w;
}

static struct instruction random_instruction(struct bench *b, uint32_t head_log2)
{
    struct instruction in = {.head_log2 = head_log2};
    in.kind = tp_random_below(&b->random, KINDS);
    in.base = tp_random_below(&b->random, 26);
    in.words = 1 + tp_random_below(&b->random, WORDS_MOST);
    // word_context_t, highest first: kind, slot, position, head_log2, exponent_base, kv_base.
    uint64_t context = tp_random_u64(&b->random) >> (64 - CONTEXT_BITS);
    context &= ~((UINT64_C(3) << 51) | (UINT64_C(0xff) << 24));
    context |= (uint64_t)in.kind << 51 | (uint64_t)head_log2 << 29 | (uint64_t)in.base << 24;
    in.context[0] = (uint32_t)context;
    in.context[1] = (uint32_t)(context >> 32);
    return in;
}

static void send(struct bench *b, const struct instruction *in, uint32_t gap)
{
    for (uint32_t word = 0; word < in->words; word++) {
        int32_t x[32];
        for (uint32_t i = 0; i < 32; i++) {
            x[i] = (int32_t)tp_random_signed(&b->random, 1 + tp_random_below(&b->random, 32));
            if (tp_random_chance(&b->random, 4)) x[i] = INT32_MIN;
        }
        // Half of the words small, so that exponents differ.
        if (tp_random_chance(&b->random, 128)) {
            uint32_t shift = 8 + tp_random_below(&b->random, 22);
            for (uint32_t i = 0; i < 32; i++) x[i] >>= shift;
        }
        for (uint32_t i = 0; i < 32; i += 2) {
            while (tp_random_chance(&b->random, gap)) idle(b);
            if (i == 30) expect(b, in, x, word);
            pair(b, x + i, in->context, i == 30 && word + 1 == in->words);
        }
    }
}

static void run(uint64_t seed, uint32_t gap)
{
    struct bench b = {.dut = tp_dut_open(seed)};
    tp_random_init(&b.random, seed, 1);
    uint32_t head_log2 = 3;
    for (int i = 0; i < INSTRUCTIONS; i++) {
        if (tp_random_chance(&b.random, 64)) {
            head_log2 = 3 + tp_random_below(&b.random, 5);
            for (int k = 0; k < PAUSE; k++) idle(&b);
        }
        struct instruction in = random_instruction(&b, head_log2);
        send(&b, &in, gap);
    }
    for (int k = 0; k < 20; k++) idle(&b);
    ck_assert_uint_eq(b.waiting_count, 0);
    ck_assert_uint_eq(b.clips, b.expected.clips);
    ck_assert_uint_gt(b.clips, 0);
    tp_dut_close(b.dut);
}

START_TEST(head_quantise_equals_model_at_one_pair_per_cycle)
{
    run(tp_test_seed(_i), 0);
}
END_TEST

START_TEST(head_quantise_equals_model_with_gaps)
{
    run(tp_test_seed(_i), 32u << (_i % 3));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("head_quantise");
    TCase *tcase = tcase_create("words");
    tcase_add_loop_test(tcase, head_quantise_equals_model_at_one_pair_per_cycle, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, head_quantise_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_head_norm equals the model's tp_head_norm() bit for bit, that a head without
// enable passes unchanged with the same latency, that pair j of a head of P pairs leaves exactly P
// + 19 + j cycles after the head's last pair came and nothing leaves at another time, that gains
// are asked for one cycle before they are used, and that clamped elements are counted.
//
// Heads of 8 to 128 elements of every size, corners of int32, every shift and epsilon size,
// back to back and with gaps; the gain memory is an array here.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"

#include <string.h>

enum {
    GAINS = 1 << 18,  // all that an address can name
    HEADS = 300,
    LATENCY = 19,
    HEAD_LOG2_MAX = TP_PARAM_HeadLog2Max,
    PAIRS_MAX = 1 << (HEAD_LOG2_MAX - 1),
    WAITING_MAX = 4 * PAIRS_MAX + 64
};

struct pair {
    uint64_t cycle;  // when it must leave
    int32_t data[2];
};

struct head {
    uint32_t size;
    uint32_t head_log2;
    bool enable;
    int shift;
    uint32_t epsilon;
    uint32_t gain_base;
    int32_t x[2 * PAIRS_MAX];
};

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_counters expected;
    uint64_t saturations;
    struct pair waiting[WAITING_MAX];
    uint32_t first;
    uint32_t count;
    uint32_t gain_word;  // answer to the address of the cycle before
};

static int16_t gains[GAINS];

static void check_output(struct bench *b)
{
    const struct pair *e = &b->waiting[b->first % WAITING_MAX];
    bool due = b->count > 0 && e->cycle == tp_dut_cycles(b->dut);
    ck_assert_int_eq(tp_dut_get(b->dut, "out_valid_o") != 0, due);
    if (!due) return;
    uint64_t data = tp_dut_get(b->dut, "out_data_o");
    ck_assert_int_eq((int32_t)(uint32_t)data, e->data[0]);
    ck_assert_int_eq((int32_t)(uint32_t)(data >> 32), e->data[1]);
    b->first++;
    b->count--;
}

static void cycle(struct bench *b)
{
    tp_dut_set(b->dut, "gain_i", b->gain_word);
    tp_dut_settle(b->dut);
    check_output(b);
    b->saturations += tp_dut_get(b->dut, "saturations_o");
    const int16_t *gain = gains + 2 * tp_dut_get(b->dut, "gain_address_o");
    b->gain_word = (uint16_t)gain[0] | (uint32_t)(uint16_t)gain[1] << 16;
    tp_dut_tick(b->dut);
}

static void idle(struct bench *b)
{
    tp_dut_set(b->dut, "in_valid_i", 0);
    tp_dut_set(b->dut, "in_data_i", tp_random_u64(&b->random));
    tp_dut_set(b->dut, "in_head_log2_i", tp_random_u32(&b->random) & 7);
    tp_dut_set(b->dut, "in_epsilon_i", tp_random_u32(&b->random));
    tp_dut_set(b->dut, "in_enable_i", tp_random_u32(&b->random) & 1);
    cycle(b);
}

// To be called in the cycle of the head's last pair, before it.
static void expect(struct bench *b, const struct head *h)
{
    int32_t x[2 * PAIRS_MAX];
    memcpy(x, h->x, sizeof x);
    if (h->enable) {
        tp_head_norm(x, gains + 4 * h->gain_base, h->size, h->shift, h->epsilon, &b->expected);
    }
    for (uint32_t j = 0; j < h->size / 2; j++) {
        ck_assert_uint_lt(b->count, WAITING_MAX);
        struct pair *p = &b->waiting[(b->first + b->count++) % WAITING_MAX];
        p->cycle = tp_dut_cycles(b->dut) + h->size / 2 + LATENCY + j;
        memcpy(p->data, x + 2 * j, sizeof p->data);
    }
}

static void send(struct bench *b, const struct head *h, uint32_t gap)
{
    for (uint32_t i = 0; i < h->size; i += 2) {
        while (tp_random_chance(&b->random, gap)) idle(b);
        if (i + 2 == h->size) expect(b, h);
        tp_dut_set(b->dut, "in_valid_i", 1);
        tp_dut_set(b->dut, "in_data_i", (uint32_t)h->x[i] | (uint64_t)(uint32_t)h->x[i + 1] << 32);
        tp_dut_set(b->dut, "in_head_log2_i", h->head_log2);
        tp_dut_set(b->dut, "in_enable_i", h->enable);
        tp_dut_set(b->dut, "in_head_shift_i", (uint8_t)(int8_t)h->shift);
        tp_dut_set(b->dut, "in_epsilon_i", h->epsilon);
        tp_dut_set(b->dut, "in_gain_base_i", h->gain_base);
        cycle(b);
    }
}

static struct head random_head(struct bench *b, uint32_t head_log2)
{
    struct head h = {.size = 1u << head_log2, .head_log2 = head_log2};
    uint32_t bits = 1 + tp_random_below(&b->random, 32);
    bool zero = tp_random_chance(&b->random, 8);
    for (uint32_t i = 0; i < h.size; i++) {
        h.x[i] = zero ? 0 : (int32_t)tp_random_signed(&b->random, bits);
        if (tp_random_chance(&b->random, 2)) h.x[i] = INT32_MIN;
        if (tp_random_chance(&b->random, 2)) h.x[i] = INT32_MAX;
    }
    h.enable = tp_random_chance(&b->random, 220);
    // Mostly as a compiler sets it, now and then anything.
    bool any = tp_random_chance(&b->random, 64);
    h.shift =
        (int)(any ? tp_random_range(&b->random, -128, 127) : tp_random_range(&b->random, -31, -14));
    h.epsilon = tp_random_u32(&b->random) >> tp_random_below(&b->random, 32);
    h.gain_base = tp_random_below(&b->random, GAINS / 4 - PAIRS_MAX / 2);
    return h;
}

static void run(uint64_t seed, uint32_t gap)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.dut = tp_dut_open(seed);
    tp_random_init(&b.random, seed, 1);
    for (uint32_t i = 0; i < GAINS; i++) gains[i] = (int16_t)tp_random_signed(&b.random, 16);
    uint32_t head_log2 = 3 + (uint32_t)seed % (HEAD_LOG2_MAX - 2);
    for (int i = 0; i < HEADS; i++) {
        if (tp_random_chance(&b.random, 16)) {
            head_log2 = 3 + tp_random_below(&b.random, HEAD_LOG2_MAX - 2);
            for (int k = 0; k < 2 * PAIRS_MAX - 8; k++) idle(&b);
        }
        struct head h = random_head(&b, head_log2);
        send(&b, &h, gap);
    }
    for (int k = 0; k < 2 * PAIRS_MAX + LATENCY; k++) idle(&b);
    ck_assert_uint_eq(b.count, 0);
    ck_assert_uint_eq(b.saturations, b.expected.saturations);
    ck_assert_uint_gt(b.saturations, 0);
    tp_dut_close(b.dut);
}

START_TEST(head_norm_equals_model_at_one_pair_per_cycle)
{
    run(tp_test_seed(_i), 0);
}
END_TEST

START_TEST(head_norm_equals_model_with_gaps)
{
    run(tp_test_seed(_i), 32u << (_i % 3));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("head_norm");
    TCase *tcase = tcase_create("heads");
    tcase_add_loop_test(tcase, head_norm_equals_model_at_one_pair_per_cycle, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, head_norm_equals_model_with_gaps, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}

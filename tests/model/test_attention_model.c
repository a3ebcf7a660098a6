// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_attention stays within a bound, computed per element from the contract's
// roundings, of attention in double; that its error is below 1 % of the output's size on the whole;
// and that only what the contract names decides the bits: not where pages lie, not the order of
// positions in a page, not later positions, not how far a head is padded, not the place of a query
// in its group.
//
// Random codes and exponents over all head sizes, scores from flat to a single winner, and the
// largest codes and exponents over 2,048 positions.

#include "check_main.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POSITIONS_MAX = 2048, PAGES_MAX = POSITIONS_MAX / 16, WORDS_MAX = 9, COUNT_MAX = 64 };
enum { ROWS_MAX = WORDS_MAX * POSITIONS_MAX + 1024 };

struct scene {
    struct tp_attention_shape shape;
    struct tp_kv_memory kv;
    uint16_t pages[PAGES_MAX];
    uint32_t page_count;
    uint32_t base;
    uint32_t stride;
    uint32_t position;
    int8_t q[COUNT_MAX][32];
    uint8_t q_exponents[COUNT_MAX][4];
    struct tp_random random;
};

// The comparisons must be able to fail: with the fault planted, positions after the last one count.
static void attend(const struct scene *s, int32_t out[COUNT_MAX][32], struct tp_counters *counters)
{
#ifdef TP_PLANT_BUG
    uint32_t position = s->position | 15;
#else
    uint32_t position = s->position;
#endif
    tp_attention(&s->shape, &s->kv, s->pages, s->base, s->stride, position, &s->q[0][0],
                 &s->q_exponents[0][0], &out[0][0], counters);
}

static uint32_t query_count(const struct scene *s)
{
    return s->shape.words * s->shape.turns * s->shape.sets;
}

static uint32_t blocks_of(const struct scene *s)
{
    return s->shape.head_log2 > 5 ? 1u << (s->shape.head_log2 - 5) : 1;
}

static uint32_t lanes_of(const struct scene *s)
{
    return s->shape.head_log2 > 5 ? 32 : 1u << s->shape.head_log2;
}

static int8_t random_code(struct tp_random *random)
{
    return (int8_t)tp_random_range(random, -127, 127);
}

static void scene_memory(struct scene *s)
{
    s->kv.rows = ROWS_MAX;
    s->kv.key = malloc((size_t)ROWS_MAX * 32);
    s->kv.value = malloc((size_t)ROWS_MAX * 32);
    s->kv.exponents = malloc((size_t)ROWS_MAX * 4);
    ck_assert(s->kv.key && s->kv.value && s->kv.exponents);
}

static void scene_free(struct scene *s)
{
    free(s->kv.key);
    free(s->kv.value);
    free(s->kv.exponents);
}

// The rows that the scene and one more word can reach.
static void random_rows(struct scene *s)
{
    size_t rows = 1024 + (s->shape.words + 1) * (s->position / 16 + 1) * 16;
    ck_assert_uint_le(rows, ROWS_MAX);
    for (size_t i = 0; i < rows * 32; i++) s->kv.key[i] = random_code(&s->random);
    for (size_t i = 0; i < rows * 32; i++) s->kv.value[i] = random_code(&s->random);
    for (size_t i = 0; i < rows * 4; i++) {
        s->kv.exponents[i] =
            (uint8_t)(tp_random_below(&s->random, 8) | tp_random_below(&s->random, 16) << 4);
    }
    s->kv.rows = (uint32_t)rows;
}

static void random_pages(struct scene *s)
{
    s->page_count = s->position / 16 + 1;
    for (uint32_t i = 0; i < s->page_count; i++) s->pages[i] = (uint16_t)i;
    for (uint32_t i = s->page_count - 1; i > 0; i--) {
        uint32_t j = tp_random_below(&s->random, i + 1);
        uint16_t moved = s->pages[i];
        s->pages[i] = s->pages[j];
        s->pages[j] = moved;
    }
    s->stride = s->page_count * 16;
    s->base = tp_random_below(&s->random, 1024);
}

// heat: the larger, the further apart the scores; 6 is flat, 12 a few winners, 16 one winner.
static void scene_init(struct scene *s, uint64_t seed, uint32_t head_log2, uint32_t position,
                       uint32_t heat)
{
    memset(s, 0, sizeof *s);
    tp_random_init(&s->random, seed, head_log2 * 100 + heat);
    scene_memory(s);
    s->position = position;
    s->shape.head_log2 = head_log2;
    s->shape.words = blocks_of(s) * (1 + tp_random_below(&s->random, blocks_of(s) > 1 ? 2 : 3));
    random_rows(s);
    s->shape.turns = 1 + tp_random_below(&s->random, 2);
    s->shape.sets = 1 + tp_random_below(&s->random, 2);
    s->shape.key_base = tp_random_below(&s->random, 5);
    s->shape.value_base = tp_random_below(&s->random, 7);
    s->shape.shift = 25 - (int32_t)tp_random_below(&s->random, 3);
    random_pages(s);
    for (uint32_t i = 0; i < query_count(s); i++) {
        for (uint32_t j = 0; j < 32; j++) s->q[i][j] = random_code(&s->random);
        for (uint32_t j = 0; j < 4; j++) {
            s->q_exponents[i][j] = (uint8_t)(heat + tp_random_below(&s->random, 4));
        }
    }
}

// ---- the double-precision twin, with the bound
// -----------------------------------------------------

struct heads_view {
    uint32_t word;   // first KV word
    uint32_t query;  // first query word
    uint32_t lane;
    uint32_t index;  // of the exponent
};

static double exact_score(const struct scene *s, const struct heads_view *v, uint32_t position)
{
    double sum = 0;
    for (uint32_t b = 0; b < blocks_of(s); b++) {
        uint32_t row = tp_kv_row(s->pages, s->base, s->stride, v->word + b, position);
        int exponent = (int)s->shape.key_base + (s->kv.exponents[4 * row + v->index] & 15) +
                       s->q_exponents[v->query + b][v->index];
        double dot = 0;
        for (uint32_t i = v->lane; i < v->lane + lanes_of(s); i++) {
            dot += (double)s->q[v->query + b][i] * s->kv.key[32 * row + i];
        }
        sum += ldexp(dot, exponent - 32);
    }
    return sum;
}

struct error_sums {
    double squares;
    double error_squares;
};

// One head: out is compared element by element with the bound from the roundings of the contract:
// the score's (1/128 per block), the table's (1/256), those of p (half a unit of 2^-8 of the page's
// largest), one unit per merge, and the reciprocal's.
static void compare_head(const struct scene *s, const struct heads_view *v,
                         int32_t out[COUNT_MAX][32], struct error_sums *sums)
{
    static double score[POSITIONS_MAX];
    uint32_t count = s->position + 1;
    double largest = -1e30;
    for (uint32_t j = 0; j < count; j++) {
        score[j] = exact_score(s, v, j);
        if (score[j] > largest) largest = score[j];
    }
    double relative = pow(2, blocks_of(s) / 128.0) * (1 + 1 / 256.0) - 1;
    double slack = blocks_of(s) / 128.0;
    for (uint32_t b = 0; b < blocks_of(s); b++) {
        for (uint32_t i = v->lane; i < v->lane + lanes_of(s); i++) {
            double weight = 0, mix = 0, size = 0, weight_error = 0, mix_error = 0;
            double page_m = 0, page_n = 0, top_n = -1e30, top_m = -1e30;
            for (uint32_t j = 0; j < count; j++) {
                uint32_t row = tp_kv_row(s->pages, s->base, s->stride, v->word + b, j);
                int ev = (int)s->shape.value_base + (s->kv.exponents[4 * row + v->index] >> 4);
                double p = exp2(score[j] - largest);
                double x = ldexp(s->kv.value[32 * row + i], ev);
                double m = floor(score[j] + slack) + 1 - largest;
                weight += p;
                mix += p * x;
                size += p * fabs(x);
                page_m = j % 16 == 0 ? m : fmax(page_m, m);
                page_n = j % 16 == 0 ? m + ev : fmax(page_n, m + ev);
                top_m = fmax(top_m, m);
                top_n = fmax(top_n, m + ev);
                if (j % 16 == 15 || j == count - 1) {
                    weight_error += (j % 16 + 1) * exp2(page_m - 9);
                    mix_error += (j % 16 + 1) * 127 * exp2(page_n - 9);
                }
            }
            double pages = (count + 15) / 16;
            weight_error += relative * weight + pages * exp2(top_m - 13);
            mix_error += relative * size + pages * exp2(top_n - 13);
            double exact = mix / weight;
            double bound = (mix_error + fabs(exact) * weight_error) /
                               fmax(weight - weight_error, exp2(top_m - 1) * 0.9) +
                           fabs(exact) * exp2(-11) + exp2(top_n - top_m - 9);
            int edge = 25 - s->shape.shift;
            double got = ldexp(out[v->query + b][i], -edge);
            ck_assert_msg(fabs(got - exact) <= bound + 1,
                          "query %u element %u: %.6g, exact %.6g, bound %.6g", v->query + b, i, got,
                          exact, bound);
            sums->squares += exact * exact;
            sums->error_squares += (got - exact) * (got - exact);
        }
    }
}

static void compare_scene(const struct scene *s, struct error_sums *sums)
{
    static int32_t out[COUNT_MAX][32];
    struct tp_counters counters = {0, 0};
    attend(s, out, &counters);
    ck_assert_uint_eq(counters.saturations, 0);
    uint32_t queries = s->shape.turns * s->shape.sets;
    for (uint32_t i = 0; i < query_count(s) / blocks_of(s); i++) {
        for (uint32_t h = 0; h < 32 / lanes_of(s); h++) {
            struct heads_view view = {i / queries * blocks_of(s), i * blocks_of(s), h * lanes_of(s),
                                      h};
            compare_head(s, &view, out, sums);
        }
    }
}

START_TEST(output_is_within_the_bound_of_the_roundings)
{
    static const uint32_t positions[] = {0, 1, 14, 15, 16, 17, 31, 32, 100, 255};
    struct error_sums sums = {0, 0};
    for (uint32_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        for (uint32_t heat = 6; heat <= 16; heat += 2) {
            static struct scene s;
            scene_init(&s, tp_test_seed(_i) * 16 + i, 3 + (uint32_t)_i, positions[i], heat);
            compare_scene(&s, &sums);
            scene_free(&s);
        }
    }
    double relative = sqrt(sums.error_squares / sums.squares);
    ck_assert_msg(relative < 0.01, "error is %.4f of the output", relative);
}
END_TEST

// ---- what must not change a bit
// --------------------------------------------------------------------

static void expect_same(const struct scene *a, const struct scene *b)
{
    static int32_t out_a[COUNT_MAX][32];
    static int32_t out_b[COUNT_MAX][32];
    struct tp_counters counters = {0, 0};
    attend(a, out_a, &counters);
    attend(b, out_b, &counters);
    ck_assert_int_eq(memcmp(out_a, out_b, sizeof out_a[0] * query_count(a)), 0);
}

static void copy_row(const struct scene *from, uint32_t from_row, struct scene *to, uint32_t to_row)
{
    memcpy(to->kv.key + 32 * to_row, from->kv.key + 32 * from_row, 32);
    memcpy(to->kv.value + 32 * to_row, from->kv.value + 32 * from_row, 32);
    memcpy(to->kv.exponents + 4 * to_row, from->kv.exponents + 4 * from_row, 4);
}

// The same sequence elsewhere, positions of a page in any order, other rows random.
static void scene_moved(const struct scene *from, struct scene *to, bool shuffle)
{
    *to = *from;
    tp_random_init(&to->random, 99, shuffle);
    scene_memory(to);
    random_rows(to);
    random_pages(to);
    for (uint32_t j = 0; j <= to->position; j++) {
        uint32_t end = (j | 15) < to->position ? j | 15 : to->position;
        uint32_t to_j = shuffle ? (j & ~15u) + end - j : j;
        for (uint32_t word = 0; word < to->shape.words; word++) {
            copy_row(from, tp_kv_row(from->pages, from->base, from->stride, word, j), to,
                     tp_kv_row(to->pages, to->base, to->stride, word, to_j));
        }
    }
}

START_TEST(place_and_order_in_a_page_and_later_positions_change_nothing)
{
    for (uint32_t head_log2 = 3; head_log2 <= 7; head_log2++) {
        static struct scene a, b;
        scene_init(&a, tp_test_seed(_i), head_log2, 40 + (uint32_t)_i, 11);
        for (int shuffle = 0; shuffle < 2; shuffle++) {
            scene_moved(&a, &b, shuffle);
            expect_same(&a, &b);
            scene_free(&b);
        }
        scene_free(&a);
    }
}
END_TEST

// A head of n elements and zeros behind it, as one head of 2 n elements.
static void scene_padded(const struct scene *from, struct scene *to)
{
    uint32_t lanes = lanes_of(from), is_wide = from->shape.head_log2 >= 5;
    *to = *from;
    scene_memory(to);
    to->shape.head_log2++;
    to->shape.words = is_wide ? 2 : 1;
    for (uint32_t row = 0; row < from->kv.rows; row++) {
        memset(to->kv.key + 32 * row, 0, 32);
        memset(to->kv.value + 32 * row, 0, 32);
        memcpy(to->kv.key + 32 * row, from->kv.key + 32 * row, lanes);
        memcpy(to->kv.value + 32 * row, from->kv.value + 32 * row, lanes);
        memcpy(to->kv.exponents + 4 * row, from->kv.exponents + 4 * row, 4);
        if (is_wide && row >= from->base + from->stride) {
            memset(to->kv.key + 32 * row, 0, 32);
            memset(to->kv.value + 32 * row, 0, 32);
        }
    }
    uint32_t count = query_count(from);
    memset(to->q, 0, sizeof to->q);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = is_wide ? 2 * i : i;
        memcpy(to->q[at], from->q[i], lanes);
        memcpy(to->q_exponents[at], from->q_exponents[i], 4);
    }
}

START_TEST(padding_of_a_head_changes_nothing)
{
    for (uint32_t head_log2 = 3; head_log2 <= 5; head_log2++) {
        static struct scene a, b;
        static int32_t out_a[COUNT_MAX][32], out_b[COUNT_MAX][32];
        struct tp_counters counters = {0, 0};
        scene_init(&a, tp_test_seed(_i), head_log2, 70, 11);
        a.shape.words = 1;
        scene_padded(&a, &b);
        attend(&a, out_a, &counters);
        attend(&b, out_b, &counters);
        uint32_t step = head_log2 == 5 ? 2 : 1;
        for (uint32_t i = 0; i < query_count(&a); i++) {
            ck_assert_int_eq(memcmp(out_a[i], out_b[step * i], 4 * lanes_of(&a)), 0);
        }
        scene_free(&a);
        scene_free(&b);
    }
}
END_TEST

START_TEST(equal_queries_of_a_group_get_equal_outputs)
{
    for (uint32_t head_log2 = 3; head_log2 <= 7; head_log2++) {
        static struct scene s;
        static int32_t out[COUNT_MAX][32];
        struct tp_counters counters = {0, 0};
        scene_init(&s, tp_test_seed(_i), head_log2, 50, 11);
        s.shape.turns = 2;
        s.shape.sets = 2;
        uint32_t group = 4 * blocks_of(&s);
        for (uint32_t i = 0; i < query_count(&s); i++) {
            uint32_t first = i - i % group + i % blocks_of(&s);
            memcpy(s.q[i], s.q[first], 32);
            memcpy(s.q_exponents[i], s.q_exponents[first], 4);
        }
        attend(&s, out, &counters);
        for (uint32_t i = 0; i < query_count(&s); i++) {
            uint32_t first = i - i % group + i % blocks_of(&s);
            ck_assert_int_eq(memcmp(out[i], out[first], sizeof out[i]), 0);
        }
        scene_free(&s);
    }
}
END_TEST

START_TEST(largest_numbers_stay_in_range)
{
    static struct scene s;
    static int32_t out[COUNT_MAX][32];
    struct tp_counters counters = {0, 0};
    scene_init(&s, 1, 3 + (uint32_t)_i, POSITIONS_MAX - 1, 25);
    s.kv.rows = ROWS_MAX;
    s.shape.words = blocks_of(&s);
    s.shape.key_base = 31;
    s.shape.value_base = 31;
    s.shape.shift = 25;
    for (int sign = -1; sign <= 1; sign++) {
        memset(s.kv.key, 127, (size_t)ROWS_MAX * 32);
        memset(s.kv.value, 127, (size_t)ROWS_MAX * 32);
        memset(s.kv.exponents, sign == 0 ? 0xf0 : 0xff, (size_t)ROWS_MAX * 4);
        memset(s.q, 127 * sign, sizeof s.q);
        memset(s.q_exponents, 25, sizeof s.q_exponents);
        counters.saturations = 0;
        attend(&s, out, &counters);
        // The mean of 127 * 2^46 leaves int32 at every element.
        ck_assert_uint_eq(counters.saturations, 32 * query_count(&s));
        ck_assert_int_eq(out[0][0], INT32_MAX);
    }
    scene_free(&s);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("attention_model");
    TCase *tcase = tcase_create("attention");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, output_is_within_the_bound_of_the_roundings, 0, 5);
    tcase_add_loop_test(tcase, place_and_order_in_a_page_and_later_positions_change_nothing, 0, 8);
    tcase_add_loop_test(tcase, padding_of_a_head_changes_nothing, 0, 4);
    tcase_add_loop_test(tcase, equal_queries_of_a_group_get_equal_outputs, 0, 4);
    tcase_add_loop_test(tcase, largest_numbers_stay_in_range, 0, 5);
    suite_add_tcase(suite, tcase);
    return suite;
}

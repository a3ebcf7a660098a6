// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_kv_row gives every (layer, word, position) of several sequences a row of its own
// when their page tables share no page, and consecutive rows inside a page.
//
// Random page tables over a full memory, every row marked once.

#include "check_main.h"
#include "model.h"
#include "random.h"
#include "tp_map.h"

#include <string.h>

enum { LAYERS = 3, WORDS = 2, SEQUENCES = 3, PAGES = 5, STRIDE = SEQUENCES * PAGES * TP_PAGE };
enum { ROWS = LAYERS * WORDS * STRIDE };

// The comparisons must be able to fail: with the fault planted, this stands in for the model.
static uint32_t kv_row(const uint16_t *pages, uint32_t base, uint32_t word, uint32_t position)
{
#ifdef TP_PLANT_BUG
    return tp_kv_row(pages, base, STRIDE, word, position ^ (position >> 4 & 1));
#else
    return tp_kv_row(pages, base, STRIDE, word, position);
#endif
}

static void shuffled(struct tp_random *random, uint16_t *order, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) order[i] = (uint16_t)i;
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = tp_random_below(random, i + 1);
        uint16_t moved = order[i];
        order[i] = order[j];
        order[j] = moved;
    }
}

START_TEST(rows_are_all_different_and_in_page_order)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    uint16_t pages[SEQUENCES * PAGES];
    shuffled(&random, pages, SEQUENCES * PAGES);
    static uint8_t used[ROWS];
    memset(used, 0, sizeof used);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        uint32_t base = layer * WORDS * STRIDE;
        for (uint32_t word = 0; word < WORDS; word++) {
            for (uint32_t i = 0; i < SEQUENCES * PAGES * TP_PAGE; i++) {
                const uint16_t *table = pages + i / (PAGES * TP_PAGE) * PAGES;
                uint32_t position = i % (PAGES * TP_PAGE);
                uint32_t row = kv_row(table, base, word, position);
                ck_assert_uint_lt(row, ROWS);
                ck_assert_uint_eq(row / STRIDE, layer * WORDS + word);
                ck_assert_uint_eq(row % TP_PAGE, position % TP_PAGE);
                ck_assert_uint_eq(row % STRIDE / TP_PAGE, table[position / TP_PAGE]);
                ck_assert_uint_eq(used[row], 0);
                used[row] = 1;
            }
        }
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("kv_model");
    TCase *tcase = tcase_create("rows");
    tcase_add_loop_test(tcase, rows_are_all_different_and_in_page_order, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite;
}

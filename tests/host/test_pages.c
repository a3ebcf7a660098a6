// SPDX-License-Identifier: Apache-2.0
//
// Claims about the pool of pages, without a device: whatever is taken, held, named, found, dropped
// and forgotten, every page is free, kept or held, by as many as hold it; a prefix is found exactly
// while its page is kept or held, whatever other prefixes end with the same tokens; of pages that
// are kept the one without use for longest goes first.

#include "pages.h"

#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "random.h"

enum { PAGES = 24, HOLDERS = 40, DEPTH = 4, OPERATIONS = 20000 };

static struct tp_pages pages;

static void setup(void)
{
    ck_assert(tp__pages_open(&pages, PAGES * TP_PAGE));
}

static void teardown(void)
{
    tp__pages_close(&pages);
}

// A beginning of a history, as a session holds it.
struct holder {
    uint32_t count;
    uint32_t page[DEPTH];
    uint64_t name[DEPTH];
};

static void check(const struct holder *holders)
{
    uint32_t counts[PAGES] = {0};
    for (uint32_t h = 0; h < HOLDERS; h++) {
        for (uint32_t i = 0; i < holders[h].count; i++) counts[holders[h].page[i]]++;
    }
    const char *fault = tp__pages_fault(&pages, counts);
    ck_assert_msg(fault == NULL, "%s", fault);
}

// Few prefixes, so that they meet.
static void make_tokens(struct tp_random *random, uint32_t tokens[TP_PAGE])
{
    for (uint32_t i = 0; i < TP_PAGE; i++) tokens[i] = 7;
    tokens[tp_random_below(random, 3)] = tp_random_below(random, 2);
}

// One page more, found or taken. False: there is none.
static bool extend(struct holder *holder, const uint32_t *tokens)
{
    uint32_t at = holder->count;
    uint64_t parent = at == 0 ? 0 : holder->name[at - 1];
    uint32_t page = tp__pages_find(&pages, parent, tokens);
    if (page != TP_PAGE_NONE) {
        ck_assert_uint_eq(pages.pages[page].parent, parent);
        ck_assert_mem_eq(pages.pages[page].tokens, tokens, sizeof pages.pages[page].tokens);
        tp__pages_hold(&pages, page);
        holder->name[at] = pages.pages[page].name;
    } else {
        page = tp__pages_take(&pages);
        if (page == TP_PAGE_NONE) return false;
        holder->name[at] = tp__pages_name(&pages, page, parent, tokens);
    }
    holder->page[holder->count++] = page;
    return true;
}

START_TEST(no_page_is_lost_or_held_twice)
{
    static struct holder holders[HOLDERS];
    struct tp_random random;
    uint32_t tokens[TP_PAGE];
    uint32_t short_of = 0;
    tp_random_init(&random, (uint64_t)_i + 1, 0);
    memset(holders, 0, sizeof holders);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        struct holder *holder = &holders[tp_random_below(&random, HOLDERS)];
        if (tp_random_below(&random, 2) == 0 && holder->count < DEPTH) {
            make_tokens(&random, tokens);
            uint32_t available = tp__pages_available(&pages);
            bool got = extend(holder, tokens);
            ck_assert(got || available == 0);
            short_of += got ? 0 : 1;
        } else if (holder->count != 0) {
            tp__pages_drop(&pages, holder->page[--holder->count]);
        }
        if (tp_random_below(&random, 2000) == 0) {
            // Nothing is trusted any more, so nobody goes on from what it holds.
            tp__pages_forget(&pages);
            for (uint32_t h = 0; h < HOLDERS; h++) {
                while (holders[h].count != 0) {
                    tp__pages_drop(&pages, holders[h].page[--holders[h].count]);
                }
            }
            ck_assert_uint_eq(pages.free_count, PAGES);
        }
        check(holders);
    }
    ck_assert_uint_gt(short_of, 0);
    for (uint32_t h = 0; h < HOLDERS; h++) {
        while (holders[h].count != 0) tp__pages_drop(&pages, holders[h].page[--holders[h].count]);
    }
    ck_assert_uint_eq(tp__pages_available(&pages), PAGES);
}
END_TEST

START_TEST(the_page_without_use_for_longest_goes_first)
{
    uint32_t tokens[TP_PAGE] = {0};
    uint32_t held[PAGES];
    for (uint32_t i = 0; i < PAGES; i++) {
        held[i] = tp__pages_take(&pages);
        tokens[0] = i;
        ck_assert_uint_ne(tp__pages_name(&pages, held[i], 0, tokens), 0);
    }
    ck_assert_uint_eq(tp__pages_take(&pages), TP_PAGE_NONE);
    for (uint32_t i = 0; i < PAGES; i++) tp__pages_drop(&pages, held[i]);
    // Use of the first one makes it the last.
    tokens[0] = 0;
    ck_assert_uint_eq(tp__pages_find(&pages, 0, tokens), held[0]);
    ck_assert_uint_eq(tp__pages_find(&pages, 1, tokens), TP_PAGE_NONE);
    tp__pages_hold(&pages, held[0]);
    tp__pages_drop(&pages, held[0]);
    for (uint32_t i = 1; i <= PAGES; i++) {
        ck_assert_uint_eq(tp__pages_take(&pages), held[i % PAGES]);
        tokens[0] = i % PAGES;
        ck_assert_uint_eq(tp__pages_find(&pages, 0, tokens), TP_PAGE_NONE);
    }
}
END_TEST

START_TEST(a_prefix_that_two_have_filled_has_one_name)
{
    const uint32_t tokens[TP_PAGE] = {1, 2, 3};
    uint32_t first = tp__pages_take(&pages);
    uint32_t second = tp__pages_take(&pages);
    uint64_t name = tp__pages_name(&pages, first, 0, tokens);
    ck_assert_uint_eq(tp__pages_name(&pages, second, 0, tokens), name);
    ck_assert_uint_eq(tp__pages_find(&pages, 0, tokens), first);
    // What has no name of its own is free when nobody holds it.
    tp__pages_drop(&pages, second);
    ck_assert_uint_eq(pages.free_count, PAGES - 1);
    tp__pages_drop(&pages, first);
    ck_assert_uint_eq(pages.kept_count, 1);
}
END_TEST

START_TEST(a_tail_is_taken_apart_from_all_others)
{
    uint32_t holders[3] = {0};
    tp__pages_close(&pages);
    ck_assert(tp__pages_open(&pages, 2 * TP_PAGE + 5));
    ck_assert_uint_eq(pages.count, 3);
    ck_assert_uint_eq(tp__pages_available(&pages), 2);
    holders[tp__pages_take(&pages)]++;
    holders[tp__pages_take(&pages)]++;
    ck_assert_uint_eq(tp__pages_take(&pages), TP_PAGE_NONE);
    ck_assert_uint_eq(tp__pages_take_tail(&pages), 2);
    holders[2]++;
    ck_assert_uint_eq(tp__pages_take_tail(&pages), TP_PAGE_NONE);
    ck_assert_ptr_null(tp__pages_fault(&pages, holders));
    for (uint32_t i = 0; i < 3; i++) tp__pages_drop(&pages, i);
    memset(holders, 0, sizeof holders);
    ck_assert_ptr_null(tp__pages_fault(&pages, holders));
    ck_assert_uint_eq(tp__pages_available(&pages), 2);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("pages");
    TCase *tc = tcase_create("pages");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, no_page_is_lost_or_held_twice, 0, 2);
    tcase_add_test(tc, the_page_without_use_for_longest_goes_first);
    tcase_add_test(tc, a_tail_is_taken_apart_from_all_others);
    tcase_add_test(tc, a_prefix_that_two_have_filled_has_one_name);
    suite_add_tcase(suite, tc);
    return suite;
}

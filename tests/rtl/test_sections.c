// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_sections counts each event in the section of its cycle, sums over steps, stops at
// the largest count, keeps maxima, puts shared steps into the last section and forgets when told.
//
// Random steps with random borders, at least as far apart as the sequencer makes them, and events
// in every cycle, against plain counting. Where in the core events lie is tests/rtl/test_core.c's
// part.

#include <string.h>

#include "check_main.h"
#include "dut.h"
#include "machine.h"
#include "random.h"
#include "tp_map.h"

// Index 0 of the ports and of the sources is the norm, whose events count for the next section.
enum { LAG = 3, STEPS = 40, BORDERS_MAX = 40, PORTS = 4, SOURCES = 3 };

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    struct tp_section expected[TP_SECTIONS];
    struct tp_section norm;  // of index 0 since the last border
    uint32_t section;
    uint32_t countdown;  // cycles until the border counts; 0: none is on its way
    uint32_t next;       // section behind the border; TP_SECTIONS: no section
    bool x_done;         // the border is a completion
    bool counting;
};

static uint32_t add(uint32_t sum, uint32_t more)
{
    return sum + more < TP_SECTION_COUNT_MAX ? sum + more : TP_SECTION_COUNT_MAX;
}

// Events of this cycle at the ports, and in the expectation.
static void drive_events(struct bench *b, bool many)
{
    uint64_t saturations = 0;
    uint64_t clips = 0;
    uint64_t exponents = 0;
    uint64_t valid = 0;
    struct tp_section *section = &b->expected[b->section];
    for (uint32_t i = 0; i < PORTS; i++) {
        // A norm has at most as many events as x has elements.
        uint32_t saturated = many && i != 0 ? 15 : tp_random_below(&b->random, many ? 1 : 3);
        uint32_t clipped = tp_random_chance(&b->random, 32) ? 1 : 0;
        clipped = many && i == 0 ? 0 : clipped;
        saturations |= (uint64_t)saturated << (4 * i);
        clips |= (uint64_t)clipped << (2 * i);
        struct tp_section *to = i == 0 ? &b->norm : section;
        if (b->counting || i == 0) {
            to->saturations = add(to->saturations, saturated);
            to->clips = add(to->clips, clipped);
        }
    }
    for (uint32_t i = 0; i < SOURCES; i++) {
        uint8_t exponent = (uint8_t)tp_random_below(&b->random, 26);
        bool written = tp_random_chance(&b->random, 24);
        valid |= (uint64_t)written << i;
        exponents |= (uint64_t)exponent << (5 * i);
        struct tp_section *to = i == 0 ? &b->norm : section;
        if ((b->counting || i == 0) && written && exponent > to->exponent_max[i]) {
            to->exponent_max[i] = exponent;
        }
    }
    tp_dut_set(b->dut, "saturations_i", saturations);
    tp_dut_set(b->dut, "clips_i", clips);
    tp_dut_set(b->dut, "block_valid_i", valid);
    tp_dut_set(b->dut, "block_exponent_i", exponents);
}

// The events of a norm go into the section behind its border.
static void take_norm(struct bench *b)
{
    struct tp_section *section = &b->expected[b->section];
    section->saturations = add(section->saturations, b->norm.saturations);
    section->clips = add(section->clips, b->norm.clips);
    if (b->norm.exponent_max[0] > section->exponent_max[0]) {
        section->exponent_max[0] = b->norm.exponent_max[0];
    }
}

static void cycle(struct bench *b, const char *border, bool many)
{
    // A border of cycle t divides the events of t + Lag - 2 and t + Lag - 1.
    if (b->countdown != 0 && --b->countdown == 0) {
        b->counting = b->next != TP_SECTIONS;
        b->section = b->counting ? b->next : 0;
        if (b->x_done) take_norm(b);
        // What a norm counts outside of steps, or behind the last completion, is forgotten.
        if (b->counting) memset(&b->norm, 0, sizeof b->norm);
    }
    drive_events(b, many);
    tp_dut_set(b->dut, "start_i", strcmp(border, "start") == 0);
    tp_dut_set(b->dut, "x_done_i", strcmp(border, "x_done") == 0);
    tp_dut_set(b->dut, "end_i", strcmp(border, "end") == 0);
    if (border[0] != 0) b->countdown = LAG - 1;
    if (border[0] != 0) b->x_done = border[0] == 'x';
    tp_dut_tick(b->dut);
}

static void idle(struct bench *b, uint32_t cycles)
{
    for (uint32_t i = 0; i < cycles; i++) cycle(b, "", false);
}

static void run_step(struct bench *b, bool shared, uint32_t borders, bool many)
{
    uint32_t section = shared ? TP_SECTIONS - 1 : 0;
    tp_dut_set(b->dut, "shared_i", shared);
    b->next = section;
    cycle(b, "start", many);
    for (uint32_t i = 0; i < borders; i++) {
        idle(b, TP_CYCLES_NEXT_ISSUE - 1 + tp_random_below(&b->random, 20));
        section = shared || section == TP_SECTIONS - 2 ? section : section + 1;
        b->next = section;
        cycle(b, "x_done", many);
    }
    for (uint32_t i = 0; i < (many ? 380000u : 10u); i++) cycle(b, "", many);
    b->next = TP_SECTIONS;
    cycle(b, "end", many);
}

static void compare(struct bench *b)
{
    uint32_t waited = 0;
    while (tp_dut_get(b->dut, "busy_o") != 0) {
        ck_assert_uint_lt(waited++, 100);
        idle(b, 1);
    }
    for (uint32_t i = 0; i < TP_SECTIONS; i++) {
        tp_dut_set(b->dut, "section_i", i);
        idle(b, 1);
        uint64_t value = tp_dut_get(b->dut, "section_o");
        const struct tp_section *expected = &b->expected[i];
        ck_assert_msg((value & 0xffffff) == expected->saturations &&
                          (value >> 24 & 0xffffff) == expected->clips,
                      "section %u: %u saturations, %u clips expected, %llx seen", i,
                      expected->saturations, expected->clips, (unsigned long long)value);
        for (uint32_t k = 0; k < SOURCES; k++) {
            ck_assert_uint_eq(value >> (48 + 5 * k) & 31, expected->exponent_max[k]);
        }
    }
}

static struct bench open_bench(uint64_t seed)
{
    struct bench b = {.dut = tp_dut_open(seed)};
    tp_random_init(&b.random, seed, 3);
    return b;
}

START_TEST(sections_sum_over_random_steps)
{
    struct bench b = open_bench(tp_test_seed(_i));
    for (int i = 0; i < STEPS; i++) {
        run_step(&b, tp_random_chance(&b.random, 64), tp_random_below(&b.random, BORDERS_MAX),
                 false);
        if (i % 8 == 7) compare(&b);
        idle(&b, LAG + 1 + tp_random_below(&b.random, 12));  // the barrier is longer
    }
    compare(&b);
    tp_dut_set(b.dut, "clear_i", 1);
    idle(&b, 1);
    tp_dut_set(b.dut, "clear_i", 0);
    memset(b.expected, 0, sizeof b.expected);
    compare(&b);
    run_step(&b, false, 3, false);
    compare(&b);
    tp_dut_close(b.dut);
}
END_TEST

START_TEST(sections_stop_at_the_largest_count)
{
    struct bench b = open_bench(tp_test_seed(0));
    run_step(&b, false, 0, true);
    compare(&b);
    ck_assert_uint_eq(b.expected[0].saturations, TP_SECTION_COUNT_MAX);
    run_step(&b, false, 1, false);
    compare(&b);
    tp_dut_close(b.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sections");
    TCase *tcase = tcase_create("counts");
    tcase_add_loop_test(tcase, sections_sum_over_random_steps, 0, TP_TEST_SEEDS);
    tcase_add_test(tcase, sections_stop_at_the_largest_count);
    suite_add_tcase(suite, tcase);
    return suite;
}

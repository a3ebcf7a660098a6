// SPDX-License-Identifier: Apache-2.0
//
// Claims about the ledger (docs/performance.md): every cycle of a step is in exactly one of its
// classes, and in the one that the definition says, for programs of many shapes and any set of
// slots. The definition is played here cycle by cycle on the schedule; that the schedule is right
// is the claim of test_cycles.c.

#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "compile.h"
#include "random.h"
#include "tp_map.h"

enum { FORMATS_MAX = 64, CYCLES_MAX = 1 << 16 };

static const struct tp_model_shape shapes[] = {
    {.dim = 64, .hidden = 172, .layers = 2, .heads = 8, .kv_heads = 4, .head_size = 8},
    {.dim = 36, .hidden = 90, .layers = 1, .heads = 3, .kv_heads = 1, .head_size = 12},
    {.dim = 128, .hidden = 64, .layers = 3, .heads = 2, .kv_heads = 2, .head_size = 64},
    {.dim = 32, .hidden = 40, .layers = 1, .heads = 4, .kv_heads = 2, .head_size = 8},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct sums {
    struct tp_ledger_line lines[TP_WORK_COUNT];
};

static bool in_flight(const struct tp_issue *issue, uint32_t cycle)
{
    return issue->issued <= cycle && cycle <= issue->completed;
}

// The class of one cycle in which the matrix unit is free.
static void class_gap(const struct tp_memory_image *image, const struct tp_issue *issues,
                      uint32_t count, uint32_t cycle, struct sums *sums)
{
    // Whose instruction the unit takes next.
    uint32_t next = 0;
    while (next < count && (issues[next].unit != TP_UNIT_MATRIX || issues[next].issued <= cycle)) {
        next++;
    }
    bool any = next == count;
    uint32_t slot = any ? 0 : issues[next].slot;
    const struct tp_issue *cause = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if ((any || issues[i].slot == slot) && in_flight(&issues[i], cycle) &&
            (cause == NULL || issues[i].completed > cause->completed)) {
            cause = &issues[i];
        }
    }
    // Nothing of the slot is in flight: another unit that its next instruction needs is taken.
    for (uint32_t i = 0; cause == NULL && i < count; i++) {
        if (issues[i].slot == slot && issues[i].issued > cycle) {
            for (uint32_t j = 0; j < count && issues[i].unit != TP_UNIT_MATRIX; j++) {
                if (issues[j].unit == issues[i].unit && issues[j].issued <= cycle &&
                    cycle < issues[j].free) {
                    cause = &issues[j];
                }
            }
            break;
        }
    }
    if (cause == NULL) {
        sums->lines[TP_WORK_ISSUE].waiting++;
        return;
    }
    tp_work work =
        tp__instruction_work(image->program + (size_t)cause->instruction * TP_INSTRUCTION_WORDS);
    if (cause->unit == TP_UNIT_MATRIX) {
        sums->lines[work].draining++;
    } else {
        sums->lines[work].waiting++;
    }
}

static void play(const struct tp_memory_image *image, const struct tp_step_slot *slots,
                 const struct tp_issue *issues, uint32_t count, uint32_t cycles, struct sums *sums)
{
    for (uint32_t cycle = 0; cycle < cycles; cycle++) {
        const struct tp_issue *taken = NULL;
        for (uint32_t i = 0; i < count; i++) {
            if (issues[i].unit == TP_UNIT_MATRIX && issues[i].issued <= cycle &&
                cycle < issues[i].free) {
                ck_assert_ptr_null(taken);  // one instruction at a time
                taken = &issues[i];
            }
        }
        if (taken == NULL) {
            class_gap(image, issues, count, cycle, sums);
            continue;
        }
        const uint32_t *words = image->program + (size_t)taken->instruction * TP_INSTRUCTION_WORDS;
        struct tp_ledger_line *line = &sums->lines[tp__instruction_work(words)];
        uint32_t at = cycle - taken->issued;
        if (at < tp__instruction_beats(&image->limits, words)) {
            line->busy++;
        } else if (at < tp__instruction_cycles(&image->limits, words, &slots[taken->slot]).pace) {
            line->filling++;
        } else {
            line->draining++;
        }
    }
}

static struct tp_memory_image *compile(struct tp_random *random, const struct tp_limits *limits,
                                       struct tp_model_shape *shape)
{
    tp_format formats[FORMATS_MAX];
    struct tp_quantised_model outline;
    struct tp_memory_image *image = NULL;
    struct tp_error error;
    const struct tp_load_options options = {.sessions = limits->slots};
    shape->vocab = 40 + tp_random_below(random, 300);
    shape->context = 200;
    shape->norm_epsilon = 1e-5f;
    shape->rope_base = 10000.0f;
    shape->tied = tp_random_below(random, 2) != 0;
    ck_assert_uint_le(tp__matrix_count(shape), FORMATS_MAX);
    for (uint32_t i = 0; i < tp__matrix_count(shape); i++) {
        formats[i] = tp_random_below(random, 2) != 0 ? TP_FORMAT_Q8 : TP_FORMAT_NF4;
    }
    ck_assert_int_eq(tp__quantised_outline(shape, formats, &outline, &error), TP_OK);
    tp_status status = tp__compile(&outline, &options, limits, &image, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    tp__quantised_model_free(&outline);
    return image;
}

START_TEST(each_cycle_is_in_the_class_that_the_definition_says)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    struct tp_limits limits = tp__limits_most;
    limits.groups = 1u << tp_random_below(&random, 4);
    limits.slots = 1 + tp_random_below(&random, 4);
    struct tp_model_shape shape = shapes[_i % SHAPES];
    struct tp_memory_image *image = compile(&random, &limits, &shape);
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{0}};
    for (uint32_t s = 0; s < limits.slots; s++) {
        slots[s].active = s == 0 || tp_random_below(&random, 4) != 0;
        slots[s].logits = tp_random_below(&random, 2) != 0;
        slots[s].list = tp_random_below(&random, 2) != 0;
        slots[s].fast = !slots[s].list && tp_random_below(&random, 2) != 0;
        slots[s].position = tp_random_below(&random, image->plan.context);
    }
    struct tp_issue *issues = calloc((size_t)image->program_count * limits.slots, sizeof *issues);
    ck_assert_ptr_nonnull(issues);
    uint32_t count = 0;
    uint32_t cycles =
        tp__step_schedule(&limits, image->program, image->program_count, slots, issues, &count);
    ck_assert_uint_eq(cycles,
                      tp__step_cycles(&limits, image->program, image->program_count, slots));

    struct tp_ledger ledger = {0};
    struct sums played = {0};
    tp__ledger_add(&limits, image->program, slots, issues, count, cycles, &ledger);
    play(image, slots, issues, count, cycles, &played);
#ifdef TP_PLANT_BUG
    ledger.lines[TP_WORK_GATE].draining++;
#endif
    uint64_t sum = 0;
    uint64_t instructions = 0;
    for (int work = 0; work < TP_WORK_COUNT; work++) {
        const struct tp_ledger_line *line = &ledger.lines[work];
        const struct tp_ledger_line *p = &played.lines[work];
        ck_assert_msg(line->busy == p->busy && line->filling == p->filling &&
                          line->draining == p->draining && line->waiting == p->waiting,
                      "%s: %lu %lu %lu %lu, played %lu %lu %lu %lu", tp_work_name((tp_work)work),
                      line->busy, line->filling, line->draining, line->waiting, p->busy, p->filling,
                      p->draining, p->waiting);
        sum += line->busy + line->filling + line->draining + line->waiting;
        instructions += line->instructions;
    }
    ck_assert_uint_eq(sum, cycles);
    ck_assert_uint_eq(ledger.cycles, cycles);
    ck_assert_uint_eq(instructions, count);
    ck_assert_uint_gt(ledger.occupied[TP_UNIT_ATTENTION], 0);
    free(issues);
    tp__memory_image_free(image);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tc = tcase_create("ledger");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, each_cycle_is_in_the_class_that_the_definition_says, 0, 40);
    suite_add_tcase(suite, tc);
    return suite;
}

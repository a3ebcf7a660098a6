// SPDX-License-Identifier: Apache-2.0
//
// Credit against a device that sends whenever it may and a program that reads when it likes: what
// waits between them never exceeds what finds a place, and the device always goes on.

#include "check_main.h"
#include "credit.h"
#include "random.h"

enum { DELAY_MAX = 40, EVENTS = 4000 };

struct scene {
    struct tp_random random;
    struct tp_credit credit;  // as the host has it
    uint32_t step_bytes;
    uint32_t made;    // steps of the device
    uint32_t heard;   // of them by the host
    bool is_limited;  // as the device has it
    uint32_t limit;
    bool is_asked;  // a CREDIT frame is on its way
    uint32_t asked;
    uint32_t arrives;  // events until it is there
};

static void let_device_step(struct scene *scene)
{
    bool may = !scene->is_limited || (int16_t)(uint16_t)(scene->limit - scene->made) > 0;
    scene->made += may ? 1 : 0;
}

static void let_host_read(struct scene *scene)
{
    scene->heard += scene->heard != scene->made ? 1 : 0;
    uint32_t limit = 0;
    if (!scene->is_asked &&
        tp__credit_is_due(&scene->credit, scene->heard, scene->step_bytes, &limit)) {
        scene->is_asked = true;
        scene->asked = limit;
        scene->arrives = tp_random_below(&scene->random, DELAY_MAX);
    }
}

static void let_time_pass(struct scene *scene)
{
    if (scene->is_asked && scene->arrives-- == 0) {
        scene->is_asked = false;
        scene->is_limited = true;
        scene->limit = scene->asked;
        scene->credit.is_limited = true;
        scene->credit.limit = scene->asked;
    }
}

START_TEST(what_waits_finds_a_place_and_the_device_goes_on)
{
    struct scene scene = {.credit.bytes = 4096};
    tp_random_init(&scene.random, tp_test_seed(_i), 1);
    scene.step_bytes = 40 + tp_random_below(&scene.random, _i % 2 == 0 ? 200 : 8000);
    // The number of steps passes 16 and 32 bits.
    scene.made = scene.heard = _i % 3 == 0 ? UINT32_MAX - 100 : _i % 3 == 1 ? 65500 : 0;
    uint32_t first = scene.made;
    // No run begins before the first credit.
    let_host_read(&scene);
    while (!scene.is_limited) {
        let_time_pass(&scene);
    }
    uint32_t most = scene.credit.bytes / scene.step_bytes;
    most = most == 0 ? 1 : most;
    uint32_t waited = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        // In turn a program that does not read, one that reads all at once, and both mixed.
        uint32_t reads = (i / 500) % 4 == 0 ? 0 : (i / 500) % 4 == 1 ? 90 : 50;
        if (tp_random_below(&scene.random, 100) < reads) {
            let_host_read(&scene);
        } else {
            let_device_step(&scene);
        }
        let_time_pass(&scene);
        ck_assert_uint_le(scene.made - scene.heard, most);
        waited = scene.made - scene.heard > waited ? scene.made - scene.heard : waited;
    }
    ck_assert_uint_eq(waited, most);
    // Whoever has heard all gets the next step.
    for (int i = 0; i < 200; i++) {
        while (scene.heard != scene.made || scene.is_asked) {
            let_host_read(&scene);
            let_time_pass(&scene);
        }
        uint32_t before = scene.made;
        let_device_step(&scene);
        ck_assert_uint_eq(scene.made, before + 1);
    }
    ck_assert_uint_gt(scene.made - first, 300);
}
END_TEST

START_TEST(steps_that_become_larger_are_allowed_anew)
{
    const struct tp_credit credit = {.bytes = 4000, .limit = 200, .is_limited = true};
    uint32_t limit = 0;
    ck_assert(!tp__credit_is_due(&credit, 100, 40, &limit));
    ck_assert(tp__credit_is_due(&credit, 100, 1000, &limit));
    ck_assert_uint_eq(limit, 104);
}
END_TEST

START_TEST(a_link_that_holds_back_needs_none)
{
    struct tp_credit credit = {.bytes = 0};
    uint32_t limit = 0;
    ck_assert(!tp__credit_is_due(&credit, 0, 100, &limit));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("credit");
    TCase *tcase = tcase_create("credit");
    tcase_add_loop_test(tcase, what_waits_finds_a_place_and_the_device_goes_on, 0, 24);
    tcase_add_test(tcase, steps_that_become_larger_are_allowed_anew);
    tcase_add_test(tcase, a_link_that_holds_back_needs_none);
    suite_add_tcase(suite, tcase);
    return suite;
}

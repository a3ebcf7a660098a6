// SPDX-License-Identifier: Apache-2.0
//
// Claims about formats chosen for a device: everything has 8 bits where there is room; else as many
// matrices as needed get 4, those that lose least for what they save first; what is kept is kept;
// the result fits whenever 4 bits for all that may change would.
//
// Not covered: how much a choice loses (it is measured where images are made).

#include "auto_formats.h"

#include <stdlib.h>

#include "check_main.h"
#include "plan.h"
#include "random.h"

enum { LAYERS = 5, MATRICES = 2 + 6 * LAYERS };

static const struct tp_model_shape shape = {.dim = 64,
                                            .hidden = 172,
                                            .layers = LAYERS,
                                            .heads = 8,
                                            .kv_heads = 4,
                                            .head_size = 8,
                                            .vocab = 512,
                                            .context = 64,
                                            .tied = true};
static struct tp_limits limits = {.groups = 4};
static struct tp_error error;

static uint64_t beats_of(const tp_format *formats)
{
    uint64_t beats = 0;
    for (uint32_t i = 0; i < MATRICES; i++) {
        beats += tp__matrix_beats(&shape, i, formats[i], &limits);
    }
    return beats;
}

static uint64_t beats_of_all(tp_format format)
{
    tp_format formats[MATRICES];
    ck_assert_uint_eq(tp__matrix_count(&shape), MATRICES);
    ck_assert_int_eq(tp__choose_formats(&shape, format, NULL, 0, formats, &error), TP_OK);
    return beats_of(formats);
}

static void choose(uint64_t beats, const char *const *keep, size_t count, const double *sensitivity,
                   tp_format *formats)
{
    limits.weight_beats = (uint32_t)beats;
    ck_assert_int_eq(tp__choose_auto(&shape, keep, count, sensitivity, &limits, formats, &error),
                     TP_OK);
}

START_TEST(eight_bits_where_there_is_room)
{
    tp_format formats[MATRICES];
    choose(beats_of_all(TP_FORMAT_Q8), NULL, 0, NULL, formats);
    for (uint32_t i = 0; i < MATRICES; i++) {
        ck_assert_int_eq(formats[i], TP_FORMAT_Q8);
    }
}
END_TEST

START_TEST(it_fits_and_gives_up_no_more_than_it_must)
{
    tp_format formats[MATRICES];
    uint64_t most = beats_of_all(TP_FORMAT_Q8);
    uint64_t least = beats_of_all(TP_FORMAT_NF4_ALL);
    for (uint64_t room = least; room <= most; room += 97) {
        choose(room, NULL, 0, NULL, formats);
        uint64_t used = beats_of(formats);
        ck_assert_uint_le(used, room);
        // Another matrix in 8 bits would not fit, if the last one to change were the smallest.
        ck_assert_uint_lt(room - used, tp__matrix_beats(&shape, 0, TP_FORMAT_Q8, &limits));
    }
}
END_TEST

START_TEST(the_least_sensitive_change_first)
{
    tp_format formats[MATRICES];
    double sensitivity[MATRICES];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (uint32_t i = 0; i < MATRICES; i++) {
        sensitivity[i] = 1.0 + tp_random_below(&random, 1000);
    }
    choose((beats_of_all(TP_FORMAT_Q8) + beats_of_all(TP_FORMAT_NF4_ALL)) / 2, NULL, 0, sensitivity,
           formats);
    double largest = 0;
    double smallest = 1e9;
    for (uint32_t i = 0; i < MATRICES; i++) {
        double saved = (double)(tp__matrix_beats(&shape, i, TP_FORMAT_Q8, &limits) -
                                tp__matrix_beats(&shape, i, TP_FORMAT_NF4, &limits));
        if (saved == 0) {
            continue;
        }
        double loss = sensitivity[i] / saved;
        if (formats[i] == TP_FORMAT_Q8) {
            smallest = loss < smallest ? loss : smallest;
        } else {
            largest = loss > largest ? loss : largest;
        }
    }
    ck_assert_msg(largest <= smallest, "%g changed, %g not", largest, smallest);
}
END_TEST

START_TEST(what_is_kept_is_kept)
{
    static const char *const keep[] = {"down=q8", "2.gate=fp4"};
    tp_format formats[MATRICES];
    choose(1, keep, 2, NULL, formats);
    for (uint32_t i = 0; i < MATRICES; i++) {
        uint32_t layer = 0;
        enum tp_matrix matrix = tp__matrix_at(i, &layer);
        tp_format expected = matrix == TP_MATRIX_DOWN                    ? TP_FORMAT_Q8
                             : matrix == TP_MATRIX_GATE_UP && layer == 2 ? TP_FORMAT_FP4
                                                                         : formats[i];
        ck_assert_int_eq(formats[i], expected);
    }
    static const char *const wrong[] = {"moon=q8"};
    ck_assert_int_eq(tp__choose_auto(&shape, wrong, 1, NULL, &limits, formats, &error),
                     TP_ERROR_INVALID);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("auto_formats");
    TCase *tc = tcase_create("auto_formats");
    tcase_add_test(tc, eight_bits_where_there_is_room);
    tcase_add_test(tc, it_fits_and_gives_up_no_more_than_it_must);
    tcase_add_loop_test(tc, the_least_sensitive_change_first, 0, 10);
    tcase_add_test(tc, what_is_kept_is_kept);
    suite_add_tcase(suite, tc);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about tp_device_verify, on the emulator: what was loaded is right, each word of each space
// that can be read is compared, and one wrong word anywhere is found and named; a device with a
// running slot, without a model or without the frame is told apart.
//
// Planted: the last words of a space are not compared.
//
// Not covered: the RTL's sums (tests/rtl/test_control.c, test_core.c), damage by a change of the
// model (test_reconfigure.c).

#include <stdio.h>
#include <string.h>

#include "check_main.h"
#include "internal.h"
#include "made_model.h"
#include "random.h"

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

enum { VOCAB = 62, CONTEXT = 48 };
static const char *const names[] = {"weight", "program", "gain", "bias", "centre", "frequency"};

static tp_context *context;
static tp_model *model;
static tp_device *device;
static struct tp_error error;

static void set_up(void)
{
    static const struct tp_test_model made = {64, 96, 1, 4, 2, VOCAB, CONTEXT, false, 3};
    const struct tp_load_options load = {.format = TP_FORMAT_NF4, .sessions = 2};
    OK(tp_context_create(NULL, &context, &error));
    tp_test_open_made_model(context, &made, true, &model);
    OK(tp_device_open(context, "emu:small", &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    // The model has none; all of them are 0 then, as the memory is.
    device->image->has_bias = true;
}

static void tear_down(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
}

// The words of a space in the image: their number, and the one of an index.
struct count {
    uint32_t space;
    uint32_t wanted;
    uint32_t count;
    uint32_t address;
    uint32_t word;
};

static tp_status count_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                             size_t count, struct tp_error *unused)
{
    struct count *c = user;
    (void)unused;
    for (size_t i = 0; i < count && space == c->space; i++) {
        if (c->count++ == c->wanted) {
            c->address = address;
            c->word = words[i];
        }
        address = tp_space_next(&device->limits, space, address);
    }
    return TP_OK;
}

static struct count find(uint32_t space, uint32_t wanted)
{
    struct count count = {.space = space, .wanted = wanted};
    OK(tp__memory_image_write(device->image, count_words, &count, &error));
    return count;
}

// Writes the words of the image again, those of a beat together; one of them with other bits.
static struct {
    uint32_t space;
    uint32_t address;
    uint32_t change;
} damage;

static tp_status write_words(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                             size_t count, struct tp_error *unused)
{
    uint32_t changed[TP_WRITE_WORDS_MAX];
    (void)user;
    (void)unused;
    memcpy(changed, words, count * sizeof *words);
    uint32_t at = address;
    for (size_t i = 0; i < count; i++) {
        if (space == damage.space && at == damage.address) changed[i] ^= damage.change;
        at = tp_space_next(&device->limits, space, at);
    }
    return tp__device_write(device, space, address, changed, count, &error);
}

static void write_image(void)
{
    OK(tp__memory_image_write(device->image, write_words, NULL, &error));
    OK(tp__device_request(device, TP_FRAME_STATISTICS, NULL, 0, NULL, &error));
}

START_TEST(what_was_loaded_is_right)
{
    struct tp_verify_report report;
    uint32_t words = 0;
    for (uint32_t space = 0; space <= TP_SPACE_FREQUENCY; space++) words += find(space, 0).count;
    OK(tp_device_verify(device, &report, &error));
    ck_assert_uint_eq(report.words, words);
    ck_assert_uint_gt(words, 4096);
    ck_assert_str_eq(report.space, "");
    OK(tp_device_verify(device, NULL, &error));
}
END_TEST

START_TEST(one_wrong_word_is_found_and_named)
{
    uint32_t space = (uint32_t)_i;
    struct tp_random random;
    struct tp_verify_report report;
    char text[32];
    tp_random_init(&random, tp_test_seed(_i), 0);
    uint32_t count = find(space, 0).count;
    ck_assert_uint_gt(count, 0);
    // The first, the last, and some between.
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t index = i == 0 ? 0 : i == 1 ? count - 1 : tp_random_below(&random, count);
        struct count word = find(space, index);
        uint32_t bits = 1u << tp_random_below(&random, 32);
        // Bytes of scales that no group has are 0 whatever is written.
        if (space == TP_SPACE_WEIGHT && word.address % 64 == 0) bits = 1u << (index % 16);
        damage.space = space;
        damage.address = word.address;
        damage.change = bits;
        write_image();
        ck_assert_int_eq(tp_device_verify(device, &report, &error), TP_ERROR_MISMATCH);
        ck_assert_str_eq(report.space, names[space]);
        ck_assert_uint_eq(report.address, word.address);
        ck_assert_uint_eq(report.expected, word.word);
        ck_assert_uint_eq(report.found, word.word ^ bits);
        ck_assert_ptr_nonnull(strstr(error.text, names[space]));
        (void)snprintf(text, sizeof text, "word %u ", word.address);
        ck_assert_msg(strstr(error.text, text) != NULL, "%s", error.text);
    }
    damage.change = 0;
    write_image();
    OK(tp_device_verify(device, &report, &error));
}
END_TEST

START_TEST(what_cannot_be_compared_is_told_apart)
{
    struct tp_verify_report report = {.words = 7};
    tp_device *other = NULL;
    ck_assert_int_eq(tp_device_verify(NULL, &report, &error), TP_ERROR_INVALID);
    ck_assert_uint_eq(report.words, 0);
    OK(tp_device_open(context, "emu:small", &other, &error));
    ck_assert_int_eq(tp_device_verify(other, &report, &error), TP_ERROR_INVALID);
    tp_device_close(other);

    device->info.read_back = 0;
    ck_assert_int_eq(tp_device_verify(device, &report, &error), TP_ERROR_UNSUPPORTED);
    device->info.read_back = 1;

    uint8_t slot[TP_SLOT_BYTES] = {1};
    tp__put16(slot + 16, 16);
    const uint8_t feed[4] = {1, 0, 1, 0};
    const uint8_t hold[8] = {1, 1, 0, 0, 4};
    const uint8_t cancel[4] = {1};
    const uint8_t section[4] = {0};
    OK(tp__device_request(device, TP_FRAME_SLOT, slot, sizeof slot, NULL, &error));
    OK(tp__device_request(device, TP_FRAME_FEED, feed, sizeof feed, NULL, &error));
    OK(tp__device_request(device, TP_FRAME_RUN, hold, sizeof hold, NULL, &error));
    ck_assert_int_eq(tp_device_verify(device, &report, &error), TP_ERROR_BUSY);
    OK(tp__device_request(device, TP_FRAME_CANCEL, cancel, sizeof cancel, NULL, &error));
    OK(tp__device_request_until_free(device, TP_FRAME_SECTIONS, section, sizeof section, &error));
    OK(tp_device_verify(device, &report, &error));
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("read_back");
    TCase *tc = tcase_create("verify");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_was_loaded_is_right);
    tcase_add_loop_test(tc, one_wrong_word_is_found_and_named, 0, TP_SPACE_FREQUENCY + 1);
    tcase_add_test(tc, what_cannot_be_compared_is_told_apart);
    suite_add_tcase(suite, tc);
    return suite;
}

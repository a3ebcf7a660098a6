// SPDX-License-Identifier: Apache-2.0
//
// Claims about status codes and error records: every code has its own negative number, name and
// text; a record is always one line of clean text that fits; numbers that are no code have a name
// too.

#include "check_main.h"
#include "error.h"

#include <string.h>

static const struct {
    tp_status status;
    const char *name;
    int value;
} codes[] = {
    {TP_OK, "TP_OK", 0},
    {TP_ERROR_INVALID, "TP_ERROR_INVALID", -1},
    {TP_ERROR_NO_MEMORY, "TP_ERROR_NO_MEMORY", -2},
    {TP_ERROR_IO, "TP_ERROR_IO", -3},
    {TP_ERROR_FORMAT, "TP_ERROR_FORMAT", -4},
    {TP_ERROR_UNSUPPORTED, "TP_ERROR_UNSUPPORTED", -5},
    {TP_ERROR_TOO_LARGE, "TP_ERROR_TOO_LARGE", -6},
    {TP_ERROR_FULL, "TP_ERROR_FULL", -7},
    {TP_ERROR_TIMEOUT, "TP_ERROR_TIMEOUT", -8},
    {TP_ERROR_LINK, "TP_ERROR_LINK", -9},
    {TP_ERROR_DEVICE, "TP_ERROR_DEVICE", -10},
    {TP_ERROR_CANCELLED, "TP_ERROR_CANCELLED", -11},
    {TP_ERROR_MISMATCH, "TP_ERROR_MISMATCH", -12},
    {TP_ERROR_RANGE, "TP_ERROR_RANGE", -13},
    {TP_ERROR_NOT_FOUND, "TP_ERROR_NOT_FOUND", -14},
    {TP_ERROR_BUSY, "TP_ERROR_BUSY", -15},
};
enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

START_TEST(status_codes_have_fixed_numbers_names_and_texts)
{
#define COUNT_ONE(name, value, text) +1
    ck_assert_int_eq(CODE_COUNT, 0 TP_STATUS_LIST(COUNT_ONE));
#undef COUNT_ONE
    for (int i = 0; i < CODE_COUNT; i++) {
        ck_assert_int_eq((int)codes[i].status, codes[i].value);
        ck_assert_str_eq(tp_status_name(codes[i].status), codes[i].name);
        const char *text = tp_status_text(codes[i].status);
        ck_assert_uint_gt(strlen(text), 5);
        for (int k = 0; k < i; k++) ck_assert_str_ne(text, tp_status_text(codes[k].status));
    }
    ck_assert_str_eq(tp_status_name((tp_status)-1000), "TP_ERROR_UNKNOWN");
    ck_assert_str_eq(tp_status_text((tp_status)-1000), "unknown status");
}
END_TEST

START_TEST(status_record_is_one_clean_line)
{
    struct tp_error error = {0};
    ck_assert_int_eq(tp__fail(&error, TP_ERROR_IO, "%s: %d", "a\nb\x1b[31m\x7f\xff\xc3", 7),
                     TP_ERROR_IO);
    ck_assert_int_eq(error.status, TP_ERROR_IO);
    ck_assert_str_eq(error.text, "a?b?[31m???: 7");
    ck_assert_int_eq(tp__fail(&error, TP_ERROR_FULL, "gr\xc3\xbc\xc3\x9f"), TP_ERROR_FULL);
    ck_assert_str_eq(error.text, "gr\xc3\xbc\xc3\x9f");
    ck_assert_int_eq(tp__fail(NULL, TP_ERROR_FULL, "no record"), TP_ERROR_FULL);
}
END_TEST

START_TEST(status_record_cuts_what_does_not_fit)
{
    char text[2000];
    struct tp_error error = {0};
    for (size_t size = 0; size < sizeof text; size++) {
        memset(text, 'x', size);
        text[size] = '\0';
        // A character of two bytes may be cut in the middle at the end.
        if (size >= 2) memcpy(text + (size & ~(size_t)1) - 2, "\xc3\xa9", 2);
        ck_assert_int_eq(tp__fail(&error, TP_ERROR_IO, "%s", text), TP_ERROR_IO);
        size_t kept = size < sizeof error.text ? size : sizeof error.text - 1;
        ck_assert_uint_eq(strlen(error.text), kept);
    }
}
END_TEST

START_TEST(status_short_name_keeps_the_end_of_a_path)
{
    ck_assert_str_eq(tp__short_name("models/a.bin"), "models/a.bin");
    char path[1000] = "";
    for (int i = 0; i < 60; i++) strcat(path, "/folder");
    strcat(path, "/model.bin");
    const char *name = tp__short_name(path);
    ck_assert_uint_le(strlen(name), 160);
    ck_assert_str_eq(name + strlen(name) - 17, "/folder/model.bin");
    memset(path, 'x', 500);
    path[500] = '\0';
    ck_assert_uint_eq(strlen(tp__short_name(path)), 160);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("status");
    TCase *tcase = tcase_create("status");
    tcase_add_test(tcase, status_codes_have_fixed_numbers_names_and_texts);
    tcase_add_test(tcase, status_record_is_one_clean_line);
    tcase_add_test(tcase, status_record_cuts_what_does_not_fit);
    tcase_add_test(tcase, status_short_name_keeps_the_end_of_a_path);
    suite_add_tcase(suite, tcase);
    return suite;
}

// SPDX-License-Identifier: Apache-2.0
//
// Claims about UTF-8: exactly the characters of Unicode are taken, at their exact length; the
// stream gives valid text for any bytes, valid text unchanged, and never part of a character.
//
// All characters, all pairs of bytes and random bytes; the reference encodes characters by the
// definition.

#include "check_main.h"
#include "random.h"
#include "utf8.h"

#include <string.h>

enum { CHARACTER_MAX = 0x10ffff, TEXT_BYTES = 1024 };

/* The bytes of a character by the definition, 0 for surrogates. */
static size_t encode(uint32_t character, uint8_t bytes[4])
{
    if (character >= 0xd800 && character < 0xe000) return 0;
    if (character < 0x80) {
        bytes[0] = (uint8_t)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t marks[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80 | (character & 63));
        character >>= 6;
    }
    bytes[0] = (uint8_t)(marks[length] | character);
    return length;
}

START_TEST(utf8_takes_every_character_and_no_part_of_one)
{
    uint8_t bytes[4];
    for (uint32_t character = 0; character <= CHARACTER_MAX; character++) {
        size_t length = encode(character, bytes);
        if (length == 0) continue;
        bool is_right = tp__utf8_length(bytes, length) == length;
        for (size_t cut = 0; cut < length; cut++) {
            is_right = is_right && tp__utf8_length(bytes, cut) == 0;
        }
        // Each ck_assert is a system call, too slow for a million characters.
        if (!is_right) ck_abort_msg("U+%04X", character);
    }
}
END_TEST

START_TEST(utf8_refuses_what_is_no_character)
{
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "\xc3(",
                                      "\xe2\x82(",
                                      "\xf0\x9f\x98("};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)bad[i];
        ck_assert_msg(tp__utf8_length(bytes, strlen(bad[i])) == 0, "number %zu", i);
        char text[32] = "ab\xc3\xa9";
        strcat(text, bad[i]);
        ck_assert_uint_eq(tp__utf8_check((const uint8_t *)text, strlen(text)), 4);
    }
    // Of all pairs of bytes, those that are one character are the ones of 0x80 to 0x7ff.
    uint32_t count = 0;
    for (uint32_t pair = 0; pair < 65536; pair++) {
        uint8_t bytes[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        count += tp__utf8_length(bytes, 2) == 2;
    }
    ck_assert_uint_eq(count, 0x800 - 0x80);
}
END_TEST

/* Random bytes, of which many begin or continue characters. */
static size_t random_bytes(struct tp_random *random, uint8_t *bytes, size_t room)
{
    size_t size = 0;
    while (size + 4 <= room) {
        uint32_t kind = tp_random_below(random, 4);
        if (kind == 0) {
            bytes[size++] = (uint8_t)tp_random_u32(random);
        } else {
            size_t length = encode(tp_random_below(random, CHARACTER_MAX + 1), bytes + size);
            if (kind == 1 && length > 1) length--;
            size += length;
        }
    }
    return size;
}

START_TEST(utf8_stream_gives_whole_characters_for_any_bytes)
{
    static uint8_t bytes[TEXT_BYTES];
    static char joined[7 * TEXT_BYTES];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    size_t size = random_bytes(&random, bytes, sizeof bytes);
    struct tp_utf8_stream stream = {0};
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        size_t count = tp__utf8_push(&stream, bytes[i], joined + written);
        bool is_whole = tp__utf8_check((uint8_t *)joined + written, count) == count;
        if (count > 7 || !is_whole) ck_abort_msg("byte %zu", i);
        written += count;
    }
    written += tp__utf8_end(&stream, joined + written);
    // The same from the whole text: every longest start of a character that fails is one U+FFFD.
    size_t place = 0;
    for (size_t i = 0; i < size;) {
        size_t length = tp__utf8_length(bytes + i, size - i);
        if (length > 0) {
            if (memcmp(joined + place, bytes + i, length) != 0) ck_abort_msg("byte %zu", i);
            place += length;
            i += length;
            continue;
        }
        if (memcmp(joined + place, "\xef\xbf\xbd", 3) != 0) ck_abort_msg("byte %zu", i);
        place += 3;
        // How far some character begins like this.
        size_t common = 1;
        for (size_t n = 2; n < 4 && i + n <= size; n++) {
            uint8_t whole[4];
            memcpy(whole, bytes + i, n);
            bool is_start = false;
            for (uint32_t tail = 0; tail < 4096 && !is_start; tail++) {
                whole[n] = (uint8_t)(0x80 | (tail & 63));
                if (n < 3) whole[n + 1] = (uint8_t)(0x80 | tail >> 6);
                is_start = tp__utf8_length(whole, 4) > n;
            }
            if (is_start) common = n;
        }
        i += common;
    }
    ck_assert_uint_eq(place, written);
}
END_TEST

START_TEST(utf8_stream_keeps_valid_text)
{
    uint8_t bytes[4];
    struct tp_utf8_stream stream = {0};
    for (uint32_t character = 0; character <= CHARACTER_MAX; character++) {
        size_t length = encode(character, bytes);
        char out[8];
        size_t count = 0;
        bool is_early = false;
        for (size_t i = 0; i < length; i++) {
            is_early = is_early || count > 0;
            count = tp__utf8_push(&stream, bytes[i], out);
        }
        bool is_right = !is_early && count == length && memcmp(out, bytes, length) == 0;
        if (!is_right) ck_abort_msg("U+%04X", character);
    }
    char rest[4];
    ck_assert_uint_eq(tp__utf8_end(&stream, rest), 0);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tcase = tcase_create("utf8");
    tcase_add_test(tcase, utf8_takes_every_character_and_no_part_of_one);
    tcase_add_test(tcase, utf8_refuses_what_is_no_character);
    tcase_add_loop_test(tcase, utf8_stream_gives_whole_characters_for_any_bytes, 0, 8);
    tcase_add_test(tcase, utf8_stream_keeps_valid_text);
    suite_add_tcase(suite, tcase);
    return suite;
}

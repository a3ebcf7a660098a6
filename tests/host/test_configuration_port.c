// SPDX-License-Identifier: Apache-2.0
//
// Claims about the simulated configuration port, on the emulator: the words of a stream arrive in
// the memories that the map names, and other bits of the same words stay; a stream that is refused,
// for whatever reason, each with its own name, and with any single bit of it wrong, changes
// nothing; a device takes what is of its own design and configuration alone.
//
// Of bit errors a sample; TP_EVERY=1 takes all. TP_REFUSED=FOLDER keeps the streams that are
// refused, one for each reason. Not covered: faults inside frames and rarer ones of the format,
// which the reader finds (test_stream_reader.c); that the units read the words
// (test_reconfigure.c).
//
// TP_TIME_LIMIT_S: 1800

#include "configuration_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "frame.h"
#include "made_design.h"
#include "random.h"

enum { IDCODE = 0x41111043, PATH_BYTES = 64 };

static const char *const names[] = {"bits", "map", "other_bits", "other_map"};
enum file { BITS, MAP, OTHER_BITS, OTHER_MAP, FILES };
static char paths[FILES][PATH_BYTES];
static struct tp_configuration_port port;
static struct tp_block_map *map;
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

static tp_status boot(enum file bits, enum file map_file, enum tp_stream_fault *fault)
{
    struct tp_bytes bytes;
    OK(tp__file_read(paths[bits], TP_STREAM_BYTES_MAX, &bytes, &error));
    tp_status status =
        tp__port_boot(&port, paths[map_file], bytes.data, bytes.size, names[bits], fault, &error);
    tp__bytes_free(&bytes);
    return status;
}

static void open_port(const char *configuration)
{
    port = (struct tp_configuration_port){.backend = &tp__backend_emulator};
    OK(tp__backend_emulator.open(configuration, NULL, &port.state, &error));
}

static void close_port(void)
{
    tp__port_free(&port);
    tp__backend_emulator.close(port.state);
}

static void set_up(void)
{
    enum tp_stream_fault fault;
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(paths[i], PATH_BYTES, "/tmp/tp_port_%d_%s", getpid(), names[i]);
    }
    tp_test_make_design("small", IDCODE, 1, paths[BITS], paths[MAP]);
    open_port("small");
    OK(boot(BITS, MAP, &fault));
    OK(tp__map_load(paths[MAP], &map, &error));
}

static void tear_down(void)
{
    free(map);
    close_port();
    for (int i = 0; i < FILES; i++) (void)unlink(paths[i]);
}

// ---- contents ----

// All block RAMs that the device has, from its memories.
static void read_device(struct tp_configuration *configuration)
{
    uint8_t value[TP_MEMORY_WORD_BYTES];
    *configuration = (struct tp_configuration){0};
    OK(tp__configuration_begin(configuration, map->part, &error));
    for (uint32_t i = 0; i < map->memory_count; i++) {
        const struct tp_map_memory *memory = &map->memories[i];
        const struct tp_memory_place place = {memory->name, memory->space, memory->index};
        for (uint32_t word = 0; port.backend->read_memory(port.state, &place, word, value);
             word++) {
            tp__map_write_word(map, memory, configuration, word, value);
        }
    }
}

// Gains that the norm of heads has a copy of are the same in both.
static void fill(struct tp_configuration *made, uint64_t seed)
{
    struct tp_random random;
    tp_random_init(&random, seed, 0);
    OK(tp__configuration_begin(made, map->part, &error));
    for (uint32_t i = 0; i < map->memory_count; i++) {
        const struct tp_map_memory *memory = &map->memories[i];
        bool is_copy = memory->space == TP_SPACE_GAIN && memory->index == 1;
        for (uint32_t word = 0; word < memory->words; word++) {
            uint8_t value[TP_MEMORY_WORD_BYTES];
            tp_random_words(&random, (uint32_t *)(void *)value, TP_MEMORY_WORD_BYTES / 4);
            if (is_copy) {
                tp__map_read_word(map, tp__map_find(map, TP_SPACE_GAIN, 0), made, word, value);
            }
            tp__map_write_word(map, memory, made, word, value);
        }
    }
}

// Bits of a word that the golden machine has: of weights codes and scale, else 32.
static bool same_word(const struct tp_map_memory *memory, const struct tp_configuration *a,
                      const struct tp_configuration *b, uint32_t word)
{
    uint8_t one[TP_MEMORY_WORD_BYTES];
    uint8_t two[TP_MEMORY_WORD_BYTES];
    uint8_t most = memory->space == TP_SPACE_WEIGHT ? 3 : 0;
    tp__map_read_word(map, memory, a, word, one);
    tp__map_read_word(map, memory, b, word, two);
    return memcmp(one, two, 4) == 0 && (one[4] & most) == (two[4] & most);
}

static uint32_t words_of_device(const struct tp_map_memory *memory)
{
    const struct tp_memory_place place = {memory->name, memory->space, memory->index};
    uint8_t value[TP_MEMORY_WORD_BYTES];
    uint32_t words = 0;
    while (port.backend->read_memory(port.state, &place, words, value)) words++;
    return words;
}

static void expect_contents(const struct tp_configuration *expected)
{
    struct tp_configuration held;
    uint32_t seen = 0;
    read_device(&held);
    for (uint32_t i = 0; i < map->memory_count; i++) {
        const struct tp_map_memory *memory = &map->memories[i];
        uint32_t words = words_of_device(memory);
        for (uint32_t word = 0; word < words; word++) {
            ck_assert_msg(same_word(memory, &held, expected, word), "%s, word %u", memory->name,
                          word);
        }
        seen += words;
    }
    ck_assert_uint_gt(seen, 10000);
    tp__configuration_free(&held);
}

static tp_status take(const struct tp_bytes *bytes, enum tp_stream_fault *fault)
{
    uint32_t block_rams = 0;
    tp_status status =
        tp__port_take(&port, bytes->data, bytes->size, "stream", fault, &block_rams, &error);
    ck_assert_int_eq(status == TP_OK, *fault == TP_FAULT_NONE);
    ck_assert_int_eq(status == TP_OK, block_rams != 0);
    return status;
}

// A partial stream of the chosen block RAMs, or all that have a place on the device.
static void make_stream(const struct tp_configuration *made, const bool *is_chosen,
                        struct tp_bytes *bytes)
{
    bool all[TP_BLOCK_IDS] = {false};
    for (uint32_t i = 0; i < map->block_count; i++) all[map->blocks[i].id] = true;
    OK(tp__stream_write_blocks(made, map->base, is_chosen != NULL ? is_chosen : all, bytes,
                               &error));
}

START_TEST(words_arrive_where_the_map_says)
{
    struct tp_configuration made = {0};
    struct tp_bytes bytes;
    enum tp_stream_fault fault;
    struct tp_configuration booted;
    struct tp_stream stream;
    OK(tp__file_read(paths[BITS], TP_STREAM_BYTES_MAX, &bytes, &error));
    booted = (struct tp_configuration){0};
    OK(tp__stream_read(bytes.data, bytes.size, "bits", &booted, &stream, &error));
    expect_contents(&booted);
    tp__bytes_free(&bytes);
    tp__stream_free(&stream);
    tp__configuration_free(&booted);
    fill(&made, 7);
    make_stream(&made, NULL, &bytes);
    OK(take(&bytes, &fault));
    expect_contents(&made);
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
}
END_TEST

START_TEST(a_block_ram_that_is_not_in_the_stream_keeps_its_bits)
{
    struct tp_configuration made = {0};
    struct tp_configuration other = {0};
    struct tp_bytes bytes;
    enum tp_stream_fault fault;
    bool is_chosen[TP_BLOCK_IDS] = {false};
    fill(&made, 7);
    fill(&other, 8);
    make_stream(&made, NULL, &bytes);
    OK(take(&bytes, &fault));
    tp__bytes_free(&bytes);
    // The upper halves of the words of a program memory, and one of the others.
    const struct tp_map_memory *program = tp__map_find(map, TP_SPACE_PROGRAM, 2);
    const struct tp_map_memory *weight = tp__map_find(map, TP_SPACE_WEIGHT, 5);
    ck_assert_uint_eq(map->blocks[program->first_block + 1].bit, 18);
    const uint32_t ids[] = {map->blocks[program->first_block + 1].id,
                            map->blocks[weight->first_block + 1].id};
    for (int i = 0; i < 2; i++) {
        is_chosen[ids[i]] = true;
        memcpy(made.blocks[ids[i]], other.blocks[ids[i]], sizeof *made.blocks);
    }
    make_stream(&other, is_chosen, &bytes);
    OK(take(&bytes, &fault));
    expect_contents(&made);
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
    tp__configuration_free(&other);
}
END_TEST

// ---- refusals ----

static void keep(const char *name, const struct tp_bytes *bytes)
{
    const char *folder = getenv("TP_REFUSED");
    char path[256];
    if (folder == NULL) return;
    (void)snprintf(path, sizeof path, "%s/%s.bit", folder, name);
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(bytes->data, 1, bytes->size, stream), bytes->size);
    ck_assert_int_eq(fclose(stream), 0);
}

static void expect_fault(const struct tp_bytes *bytes, const char *name)
{
    enum tp_stream_fault fault = TP_FAULT_NONE;
    ck_assert_int_ne(take(bytes, &fault), TP_OK);
    ck_assert_msg(strcmp(tp__stream_fault_name(fault), name) == 0, "%s instead of %s: %s",
                  tp__stream_fault_name(fault), name, error.text);
    ck_assert_uint_gt(strlen(error.text), 10);
    keep(name, bytes);
}

// A sound partial stream of one block RAM: its header, 19 bytes of preamble, CRC reset and opcode,
// IDCODE at 20 behind the header, the address at 24, contents at 32.
enum {
    HEADER = 2 + sizeof TP_STREAM_BASE_TEXT + 64 + 1,
    AT_RESET = 8,
    AT_ID = 12,
    AT_ADDRESS = 20
};
enum { AT_CONTENTS = 32 };

static void expect_edit(const struct tp_bytes *sound, size_t at, uint8_t value, const char *name)
{
    struct tp_bytes bytes;
    OK(tp__bytes_copy(sound->data, sound->size, &bytes, &error));
    bytes.data[at] = value;
    expect_fault(&bytes, name);
    tp__bytes_free(&bytes);
}

// Without count bytes from at on.
static void expect_cut(const struct tp_bytes *sound, size_t at, size_t count, const char *name)
{
    struct tp_bytes bytes;
    OK(tp__bytes_copy(sound->data, sound->size, &bytes, &error));
    memmove(bytes.data + at, bytes.data + at + count, bytes.size - at - count);
    bytes.size -= count;
    expect_fault(&bytes, name);
    tp__bytes_free(&bytes);
}

static void refuse_edits(const struct tp_bytes *sound)
{
    const uint8_t *body = sound->data + HEADER;
    ck_assert_uint_eq(body[AT_RESET], TP_STREAM_RESET_CRC);
    ck_assert_uint_eq(body[AT_ID], TP_STREAM_VERIFY_ID);
    ck_assert_uint_eq(body[AT_ADDRESS], TP_STREAM_BLOCK_ADDRESS);
    expect_edit(sound, 9, 0x80, "header");
    expect_edit(sound, 2, 'p', "no-base");
    expect_edit(sound, 2 + sizeof TP_STREAM_BASE_TEXT, '#', "other-base");
    expect_edit(sound, HEADER + 2, 0xBC, "no-preamble");
    expect_edit(sound, HEADER + AT_RESET, 0x3C, "unknown-command");
    expect_edit(sound, HEADER + AT_RESET + 1, 1, "reserved-bits");
    expect_edit(sound, HEADER + AT_ID, TP_STREAM_CONTROL, "before-idcode");
    expect_edit(sound, HEADER + AT_ID + 5, 0x22, "unknown-idcode");
    expect_edit(sound, HEADER + AT_ADDRESS + 4, 0x7F, "block-ram-range");
    expect_edit(sound, HEADER + AT_CONTENTS + 100, body[AT_CONTENTS + 100] ^ 4, "crc-block-ram");
    expect_cut(sound, HEADER + AT_ADDRESS, 8, "no-address");
    expect_cut(sound, sound->size - 2000, 2000, "truncated");
    expect_cut(sound, sound->size - 8, 8, "no-done");
    expect_edit(sound, sound->size - 1, 0, "after-done");
}

// Streams that are sound in themselves.
static void refuse_others(struct tp_configuration *made, uint32_t id)
{
    struct tp_bytes bytes;
    struct tp_configuration part = {0};
    bool is_chosen[TP_BLOCK_IDS] = {false};
    is_chosen[id] = true;
    OK(tp__configuration_begin(&part, tp__part_of_idcode(0x41112043), &error));
    make_stream(&part, is_chosen, &bytes);
    expect_fault(&bytes, "other-device");
    tp__bytes_free(&bytes);
    tp__configuration_free(&part);
    is_chosen[999] = true;  // the map has 1000
    make_stream(made, is_chosen, &bytes);
    expect_fault(&bytes, "block-ram-not-in-map");
    tp__bytes_free(&bytes);
    OK(tp__file_read(paths[BITS], TP_STREAM_BYTES_MAX, &bytes, &error));
    expect_fault(&bytes, "restarts-device");
    tp__bytes_free(&bytes);
    char text[TP_STREAM_TEXT_BYTES];
    int size = snprintf(text, sizeof text, TP_STREAM_BASE_TEXT "%s", map->base);
    OK(tp__stream_write_full(made, text, (size_t)size + 1, true, &bytes, &error));
    expect_fault(&bytes, "frame-not-allowed");
    tp__bytes_free(&bytes);
}

// One block RAM that is written twice: as many rows as two have.
static void refuse_twice(const struct tp_bytes *sound)
{
    enum { RECORD = TP_STREAM_RECORD_BYTES };
    struct tp_bytes bytes = {.size = sound->size + RECORD};
    bytes.data = malloc(bytes.size);
    ck_assert_ptr_nonnull(bytes.data);
    size_t first = HEADER + AT_ADDRESS;
    memcpy(bytes.data, sound->data, first + RECORD);
    // The CRC of the second one is not over the IDCODE: written behind a reset, in a stream alone.
    uint16_t crc = 0;
    memcpy(bytes.data + first + RECORD, sound->data + first, sound->size - first);
    for (size_t i = 0; i + 2 < RECORD; i++) {
        crc = tp__stream_crc(crc, bytes.data[first + RECORD + i]);
    }
    bytes.data[first + 2 * RECORD - 2] = (uint8_t)(crc >> 8);
    bytes.data[first + 2 * RECORD - 1] = (uint8_t)crc;
    expect_fault(&bytes, "block-ram-part");
    tp__bytes_free(&bytes);
}

START_TEST(a_stream_that_is_refused_changes_nothing)
{
    struct tp_configuration before;
    struct tp_configuration made = {0};
    struct tp_bytes sound;
    enum tp_stream_fault fault;
    bool is_chosen[TP_BLOCK_IDS] = {false};
    read_device(&before);
    fill(&made, 3);
    uint32_t id = map->blocks[0].id;
    is_chosen[id] = true;
    make_stream(&made, is_chosen, &sound);
    refuse_edits(&sound);
    refuse_others(&made, id);
    refuse_twice(&sound);
    expect_contents(&before);
    OK(take(&sound, &fault));
    tp__bytes_free(&sound);
    tp__configuration_free(&made);
    tp__configuration_free(&before);
}
END_TEST

START_TEST(no_single_bit_error_is_taken)
{
    const char *every = getenv("TP_EVERY");
    size_t stride = every != NULL && every[0] == '1' ? 1 : 97;
    struct tp_configuration before;
    struct tp_configuration made = {0};
    struct tp_bytes bytes;
    enum tp_stream_fault fault;
    bool is_chosen[TP_BLOCK_IDS] = {false};
    uint32_t taken = 0;
    read_device(&before);
    fill(&made, 3);
    is_chosen[map->blocks[2].id] = true;
    make_stream(&made, is_chosen, &bytes);
    // From the base hash on: the rest of the text is for people.
    for (size_t bit = 8 * (1 + sizeof TP_STREAM_BASE_TEXT); bit < 8 * bytes.size; bit += stride) {
        bool is_padding = bit / 8 == HEADER - 1 || (bit / 8 >= HEADER + 4 && bit / 8 < HEADER + 8);
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        taken += !is_padding && take(&bytes, &fault) == TP_OK;
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_uint_eq(taken, 0);
    expect_contents(&before);
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
    tp__configuration_free(&before);
}
END_TEST

static void send(uint8_t type, const uint8_t *payload, size_t length)
{
    struct tp_frame frame = {.type = type, .length = (uint16_t)length};
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    size_t taken = 0;
    size_t got = 0;
    memcpy(frame.payload, payload, length);
    size_t size = tp__frame_encode(&frame, bytes);
    OK(port.backend->exchange(port.state, bytes, size, &taken, bytes, 1, &got, &error));
    ck_assert_uint_eq(taken, size);
}

START_TEST(a_device_that_is_not_idle_takes_nothing)
{
    struct tp_configuration made = {0};
    struct tp_bytes bytes;
    enum tp_stream_fault fault;
    const uint8_t question[1] = {0};
    fill(&made, 3);
    make_stream(&made, NULL, &bytes);
    send(TP_FRAME_STATISTICS, question, 0);  // of whose answer one byte was taken
    expect_fault(&bytes, "not-quiescent");
    ck_assert_int_eq(boot(BITS, MAP, &fault), TP_ERROR_BUSY);
    ck_assert_int_eq(fault, TP_FAULT_NOT_QUIESCENT);
    tp__bytes_free(&bytes);
    tp__configuration_free(&made);
}
END_TEST

START_TEST(a_device_boots_from_its_own_design_alone)
{
    enum tp_stream_fault fault = TP_FAULT_NONE;
    struct tp_configuration made = {0};
    struct tp_bytes bytes;
    // Of other frames, and so of another base.
    tp_test_make_design("small", IDCODE, 2, paths[OTHER_BITS], paths[OTHER_MAP]);
    ck_assert_int_eq(boot(OTHER_BITS, MAP, &fault), TP_ERROR_MISMATCH);
    ck_assert_int_eq(fault, TP_FAULT_BASE_OTHER);
    ck_assert_int_eq(boot(MAP, MAP, &fault), TP_ERROR_FORMAT);
    ck_assert_int_eq(fault, TP_FAULT_PREAMBLE);
    ck_assert_int_eq(boot(BITS, BITS, &fault), TP_ERROR_FORMAT);
    ck_assert_int_eq(fault, TP_FAULT_NONE);
    // It is still what it was: partial streams of the first design are taken.
    fill(&made, 3);
    make_stream(&made, NULL, &bytes);
    OK(take(&bytes, &fault));
    tp__configuration_free(&made);
    // Of other configurations: fewer words, and more.
    const char *const others[] = {"ulx3s-45f", "large"};
    close_port();
    for (int i = 0; i < 2; i++) {
        open_port(others[i]);
        ck_assert_int_eq(boot(BITS, MAP, &fault), TP_ERROR_MISMATCH);
        ck_assert_ptr_nonnull(strstr(error.text, "another configuration"));
        close_port();
    }
    open_port("small");
    // A device that was not booted, and one that shall boot from a partial stream.
    expect_fault(&bytes, "not-configured");
    ck_assert_int_eq(tp__port_boot(&port, paths[MAP], bytes.data, bytes.size, "s", &fault, &error),
                     TP_ERROR_INVALID);
    ck_assert_int_eq(fault, TP_FAULT_NOT_CONFIGURED);
    port.backend = &tp__backend_tcp;
    ck_assert_int_eq(tp__port_boot(&port, paths[MAP], bytes.data, bytes.size, "s", &fault, &error),
                     TP_ERROR_UNSUPPORTED);
    port.backend = &tp__backend_emulator;
    tp__bytes_free(&bytes);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("configuration_port");
    TCase *tc = tcase_create("configuration_port");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 1500);
    tcase_add_test(tc, words_arrive_where_the_map_says);
    tcase_add_test(tc, a_block_ram_that_is_not_in_the_stream_keeps_its_bits);
    tcase_add_test(tc, a_stream_that_is_refused_changes_nothing);
    tcase_add_test(tc, no_single_bit_error_is_taken);
    tcase_add_test(tc, a_device_that_is_not_idle_takes_nothing);
    tcase_add_test(tc, a_device_boots_from_its_own_design_alone);
    suite_add_tcase(suite, tc);
    return suite;
}

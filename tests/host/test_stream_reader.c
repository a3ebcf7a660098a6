// SPDX-License-Identifier: Apache-2.0
//
// Claims about bitstreams: reading and writing again gives the bytes that ecppack wrote, for the
// bitstreams of the boards; what is written is read back for every part, compressed or not; each
// fault has its own name, in a stream that has nothing else wrong; every single bit error from the
// preamble on, and every cut, of a partial stream is refused.
//
// Faults are made in streams that the test lays by itself, command by command. Of bit errors and
// cuts a sample; TP_EVERY=1 takes all. That contents arrive in the right block RAM and bits is the
// claim of test_ecp5_contents.py. Not covered: what a device does with a stream.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "configuration_stream.h"
#include "random.h"

enum { TAPE_BYTES = 1 << 20, FRAMES_25F = 7562, FRAME_25F = 74, FRAME_45F = 106 };
static const uint32_t idcodes[] = {0x21111043, 0x41111043, 0x41112043, 0x41113043, 0x01111043,
                                   0x01112043, 0x01113043, 0x81111043, 0x81112043, 0x81113043};
enum { PARTS = sizeof idcodes / sizeof *idcodes };

static struct tp_error error;

// ---- streams laid by hand ----

struct tape {
    uint8_t data[TAPE_BYTES];
    size_t size;
    uint16_t crc;
};
static struct tape tape;

static void lay(uint8_t byte)
{
    assert(tape.size < TAPE_BYTES);
    tape.data[tape.size++] = byte;
    tape.crc = tp__stream_crc(tape.crc, byte);
}

static void lay_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) lay((uint8_t)text[i]);
}

static void lay_number(uint32_t number)
{
    for (int i = 24; i >= 0; i -= 8) lay((uint8_t)(number >> i));
}

static void lay_command(uint8_t opcode, uint8_t flags, uint16_t count)
{
    lay_number((uint32_t)opcode << 24 | (uint32_t)flags << 16 | count);
}

static void lay_crc(void)
{
    uint16_t crc = tape.crc;
    lay((uint8_t)(crc >> 8));
    lay((uint8_t)crc);
    tape.crc = 0;
}

static void lay_head(uint32_t idcode)
{
    tape.size = 0;
    lay_text("\xFF\0Part: X\0\xFF\xFF\xFF\xBD\xB3\xFF\xFF\xFF\xFF", 19);
    lay_command(0x3B, 0, 0);
    tape.crc = 0;
    lay_command(0xE2, 0, 0);
    lay_number(idcode);
}

static void lay_block(uint32_t address, uint8_t flags, uint16_t rows)
{
    lay_command(0xF6, 0, 0);
    lay_number(address);
    lay_command(0xB2, flags, rows);
    for (unsigned i = 0; i < rows * 9u; i++) lay((uint8_t)(7 * i));
    lay_crc();
}

static void lay_frames(uint8_t flags, uint16_t count, size_t frame_bytes)
{
    lay_command(0x82, flags, count);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < frame_bytes; j++) lay(j == 0 ? 0 : (uint8_t)(i + j));
        lay_crc();
        lay(0xFF);
    }
}

static void lay_end(void)
{
    lay_command(0x5E, 0, 0);
    lay_text("\xFF\xFF\xFF\xFF", 4);
}

// A sound stream: one row of block RAM 3.
static void lay_one_row(uint32_t idcode)
{
    lay_head(idcode);
    lay_block(3 << 11, 0xD0, 1);
    lay_end();
}

// Reads the tape and gives the fault; what was read is in the two records.
static struct tp_configuration configuration;
static struct tp_stream stream;

static enum tp_stream_fault read_bytes(const uint8_t *data, size_t size)
{
    configuration = (struct tp_configuration){0};
    error.status = TP_OK;
    tp_status status = tp__stream_read(data, size, "tape", &configuration, &stream, &error);
    ck_assert_int_eq(status == TP_OK, stream.fault == TP_FAULT_NONE);
    ck_assert_int_eq(status, error.status);
    return stream.fault;
}

static void release(void)
{
    tp__stream_free(&stream);
    tp__configuration_free(&configuration);
}

static void expect(enum tp_stream_fault fault, const char *words)
{
    enum tp_stream_fault found = read_bytes(tape.data, tape.size);
    ck_assert_msg(found == fault, "%s instead of %s: %s", tp__stream_fault_name(found),
                  tp__stream_fault_name(fault), error.text);
    ck_assert_msg(fault == TP_FAULT_NONE || strstr(error.text, words) != NULL, "no '%s' in: %s",
                  words, error.text);
    release();
}

// ---- reading and writing ----

START_TEST(crc_has_its_check_value)
{
    uint16_t crc = 0;
    for (const char *c = "123456789"; *c != 0; c++) crc = tp__stream_crc(crc, (uint8_t)*c);
    ck_assert_uint_eq(crc, 0xFEE8);  // CRC-16/UMTS in the catalogue of parametrised CRCs
}
END_TEST

START_TEST(bitstreams_of_boards_are_written_again_byte_for_byte)
{
    static const char *const names[] = {"ulx3s-85f", "ulx3s-45f"};
    char path[64];
    struct tp_bytes bytes;
    struct tp_bytes again;
    (void)snprintf(path, sizeof path, "bitstreams/%s/tokproc.bit", names[_i]);
    ck_assert_int_eq(tp__file_read(path, 1 << 25, &bytes, &error), TP_OK);
    ck_assert_msg(read_bytes(bytes.data, bytes.size) == TP_FAULT_NONE, "%s", error.text);
    ck_assert_str_eq(configuration.part->name, _i == 0 ? "LFE5U-85F" : "LFE5U-45F");
    ck_assert(!stream.is_partial && stream.is_compressed);
    // All frames, USERCODE and all block RAMs have a CRC.
    ck_assert_uint_eq(stream.crcs, configuration.part->frames + 1 +
                                       tp__configuration_block_count(&configuration));
    ck_assert_int_eq(
        tp__stream_write_full(&configuration, stream.text, stream.text_bytes, true, &again, &error),
        TP_OK);
    ck_assert_uint_eq(again.size, bytes.size);
    ck_assert_mem_eq(again.data, bytes.data, bytes.size);
    tp__bytes_free(&again);
    tp__bytes_free(&bytes);
    release();
}
END_TEST

static void fill(struct tp_random *random, struct tp_configuration *made)
{
    const struct tp_part *part = made->part;
    made->control = tp_random_u32(random);
    made->usercode = tp_random_u32(random);
    for (uint32_t i = 0; i < part->frames; i++) {
        uint8_t *frame = made->frames + (size_t)i * part->frame_bytes;
        for (uint32_t j = 1; j + 8 <= part->frame_bytes; j += 24) {  // as sparse as frames are
            uint64_t bits = tp_random_u64(random) & tp_random_u64(random);
            memcpy(frame + j, &bits, sizeof bits);
        }
        frame[0] = (uint8_t)(0xFF >> part->frame_pad_bits);
    }
    for (int i = 0; i < 3; i++) {
        uint32_t id = i == 2 ? TP_BLOCK_IDS - 1 : tp_random_below(random, TP_BLOCK_IDS);
        made->has_block[id] = 1;
        for (uint32_t j = 0; j < TP_BLOCK_WORDS; j++) {
            made->blocks[id][j] = (uint16_t)tp_random_below(random, 512);
        }
    }
}

START_TEST(what_is_written_is_read_back)
{
    struct tp_random random;
    struct tp_configuration made = {0};
    struct tp_bytes bytes;
    const struct tp_part *part = tp__part_of_idcode(idcodes[_i]);
    bool is_compressed = _i % 2 != 0;
    tp_random_init(&random, tp_test_seed(_i), 0);
    ck_assert_int_eq(tp__configuration_begin(&made, part, &error), TP_OK);
    fill(&random, &made);
    ck_assert_int_eq(tp__stream_write_full(&made, "a\0b", 4, is_compressed, &bytes, &error), TP_OK);
    ck_assert_msg(read_bytes(bytes.data, bytes.size) == TP_FAULT_NONE, "%s", error.text);
    ck_assert(stream.is_compressed == is_compressed && !stream.is_partial);
    ck_assert_uint_eq(stream.text_bytes, 4);
    ck_assert_mem_eq(stream.text, "a\0b", 4);
    ck_assert_ptr_eq(configuration.part, part);
    ck_assert_uint_eq(configuration.control, made.control);
    ck_assert_uint_eq(configuration.usercode, made.usercode);
    ck_assert_mem_eq(configuration.frames, made.frames, (size_t)part->frames * part->frame_bytes);
    ck_assert_mem_eq(configuration.has_block, made.has_block, sizeof made.has_block);
    ck_assert_mem_eq(configuration.blocks, made.blocks, TP_BLOCK_IDS * sizeof *made.blocks);
    tp__configuration_free(&made);
    tp__bytes_free(&bytes);
    release();
}
END_TEST

START_TEST(the_base_hash_is_that_of_the_frames_alone)
{
    struct tp_random random;
    struct tp_configuration made = {0};
    char before[TP_DIGEST_TEXT_BYTES];
    char after[TP_DIGEST_TEXT_BYTES];
    tp_random_init(&random, 1, 0);
    ck_assert_int_eq(tp__configuration_begin(&made, tp__part_of_idcode(idcodes[0]), &error), TP_OK);
    fill(&random, &made);
    ck_assert_int_eq(tp__configuration_base(&made, before, &error), TP_OK);
    made.blocks[TP_BLOCK_IDS - 1][5] ^= 1;
    made.usercode ^= 1;
    ck_assert_int_eq(tp__configuration_base(&made, after, &error), TP_OK);
    ck_assert_str_eq(before, after);
    made.frames[FRAMES_25F * FRAME_25F - 1] ^= 1;
    ck_assert_int_eq(tp__configuration_base(&made, after, &error), TP_OK);
    ck_assert_str_ne(before, after);
    tp__configuration_free(&made);
}
END_TEST

START_TEST(a_frame_with_an_address_goes_to_its_place)
{
    lay_head(0x41112043);
    lay_command(0xB4, 0, 0);
    lay_number(0x1085);  // column 12 + 1, frame 5 of it
    lay_frames(0x91, 1, FRAME_45F);
    lay_end();
    ck_assert_msg(read_bytes(tape.data, tape.size) == TP_FAULT_NONE, "%s", error.text);
    uint32_t number = 9470 - 1 - (13 * 106 + 5);
    ck_assert(stream.is_partial);
    ck_assert_uint_eq(tp__configuration_frame_count(&configuration), 1);
    ck_assert_uint_eq(configuration.has_frame[number], 1);
    ck_assert_uint_eq(configuration.frames[number * FRAME_45F + 2], 2);
    release();
}
END_TEST

START_TEST(contents_run_on_into_the_next_block_ram)
{
    lay_head(0x41111043);
    lay_block(5u << 11 | 2040, 0xD0, 2);
    lay_end();
    ck_assert_msg(read_bytes(tape.data, tape.size) == TP_FAULT_NONE, "%s", error.text);
    // Bytes 0, 7, 14: the first word is 0, the second one the seven bits behind it and two more.
    ck_assert_uint_eq(configuration.blocks[5][2040], 0);
    ck_assert_uint_eq(configuration.blocks[5][2041], 7 << 2);
    ck_assert_uint_eq(configuration.blocks[6][0], 7 * 9 << 1);
    ck_assert(configuration.has_block[5] && configuration.has_block[6]);
    ck_assert_uint_eq(tp__configuration_block_count(&configuration), 2);
    release();
}
END_TEST

// ---- refusals ----

START_TEST(each_fault_has_its_name)
{
    const uint32_t id = 0x41111043;
    lay_one_row(id);
    expect(TP_FAULT_NONE, "");
    tape.data[5] = 0x80;
    expect(TP_FAULT_HEADER, "byte 80 at 0x5");
    tape.data[5] = 'x';
    tape.data[13] = 0xBC;
    expect(TP_FAULT_PREAMBLE, "no preamble");

    lay_head(id);
    lay_command(0x33, 0, 0);
    expect(TP_FAULT_COMMAND, "unknown command 33 at 0x1f");
    lay_head(id);
    lay_command(0x22, 1, 0);
    expect(TP_FAULT_RESERVED, "command 22 at 0x1f");
    lay_head(id);
    lay_command(0x79, 0x50, 0);
    expect(TP_FAULT_RESERVED, "command 79");
    tape.size = 23;
    lay_command(0x46, 0, 0);
    expect(TP_FAULT_BEFORE_ID, "command 46 at 0x17");
    tape.size = 23;
    expect(TP_FAULT_NO_DONE, "without the command 5E");
    lay_head(0x41110043);
    expect(TP_FAULT_ID_UNKNOWN, "IDCODE 41110043");
    lay_head(id);
    lay_command(0xE2, 0, 0);
    lay_number(0x41113043);
    expect(TP_FAULT_ID_OTHER, "LFE5U-85F");

    lay_head(id);
    lay_frames(0x91, 1, FRAME_25F);
    expect(TP_FAULT_NO_ADDRESS, "frames at 0x1f");
    lay_head(id);
    lay_command(0xB2, 0xD0, 1);
    expect(TP_FAULT_NO_ADDRESS, "contents of block RAM");
    lay_head(id);
    lay_command(0x46, 0, 0);
    lay_command(0xB8, 0x91, 1);
    expect(TP_FAULT_NO_DICTIONARY, "no dictionary");
    lay_head(id);
    lay_command(0x46, 0, 0);
    lay_frames(0x11, 1, FRAME_25F);
    expect(TP_FAULT_NO_CRC, "frames at 0x23");
    lay_head(id);
    lay_block(3 << 11, 0x50, 1);
    expect(TP_FAULT_NO_CRC, "block RAM");
    lay_head(id);
    lay_command(0xC2, 0, 0);
    lay_number(1);
    expect(TP_FAULT_NO_CRC, "USERCODE");
    lay_head(id);
    lay_block(3 << 11, 0xD1, 1);
    expect(TP_FAULT_RESERVED, "flags d1");

    lay_head(id);
    lay_command(0xB4, 0, 0);
    lay_number(0);
    expect(TP_FAULT_FRAME_ADDRESS, "LFE5U-25F");
    lay_head(0x41112043);
    lay_command(0xB4, 0, 0);
    lay_number(0x6000);
    expect(TP_FAULT_FRAME_ADDRESS, "00006000");
    lay_head(id);
    lay_block(1024u << 11, 0xD0, 1);
    expect(TP_FAULT_BLOCK_RANGE, "id 1024");
    lay_head(id);
    lay_block(3u << 11 | 4, 0xD0, 1);
    expect(TP_FAULT_BLOCK_RANGE, "word 4");
    lay_head(id);
    lay_block(1023u << 11 | 2040, 0xD0, 2);
    expect(TP_FAULT_BLOCK_RANGE, "beyond block RAM 1023");

    lay_one_row(id);
    lay(0);
    expect(TP_FAULT_AFTER_DONE, "byte 00");
    tape.size -= 2;
    expect(TP_FAULT_TRUNCATED, "1 of 4 bytes FF");
}
END_TEST

START_TEST(a_wrong_crc_is_found_in_each_kind_of_record)
{
    const uint32_t id = 0x41111043;
    lay_one_row(id);
    tape.data[50] ^= 4;
    expect(TP_FAULT_CRC_BLOCK, "CRC of block RAM 3 at 0x34");
    lay_head(id);
    lay_command(0xC2, 0x80, 0);
    lay_number(1);
    lay_crc();
    lay_end();
    tape.data[36] ^= 4;
    expect(TP_FAULT_CRC_USERCODE, "CRC of USERCODE");
    lay_head(id);
    lay_command(0x02, 0x80, 0);
    lay_text("abcdefgh", 8);
    lay_crc();
    lay_end();
    expect(TP_FAULT_NONE, "");
    tape.data[36] ^= 4;
    expect(TP_FAULT_CRC_DICTIONARY, "CRC of dictionary");
    lay_head(id);
    lay_command(0x46, 0, 0);
    lay_frames(0x91, 2, FRAME_25F);
    lay_end();
    tape.data[0x27 + FRAME_25F + 10] ^= 4;
    expect(TP_FAULT_CRC_FRAME, "CRC of frame 7560");
}
END_TEST

START_TEST(frames_that_are_too_many_or_missing_are_refused)
{
    const uint32_t id = 0x41111043;
    lay_head(id);
    lay_command(0x46, 0, 0);
    lay_frames(0x91, FRAMES_25F, FRAME_25F);
    size_t size = tape.size;
    lay_end();
    expect(TP_FAULT_NONE, "");
    tape.size = size;
    lay_frames(0x91, 1, FRAME_25F);
    expect(TP_FAULT_FRAME_RANGE, "more frames");
    lay_head(id);
    lay_command(0x46, 0, 0);
    lay_frames(0x91, FRAMES_25F - 2, FRAME_25F);
    lay_end();
    expect(TP_FAULT_FRAMES_MISSING, "2 of the 7562");
    lay_head(0x41112043);
    lay_command(0x46, 0, 0);
    lay_frames(0x91, 1, FRAME_45F);
    tape.data[0x27] = 0x80;
    expect(TP_FAULT_CRC_FRAME, "frame 9469");
}
END_TEST

// ---- every bit, every cut ----

static const char base[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void make_partial(struct tp_bytes *bytes)
{
    struct tp_random random;
    struct tp_configuration made = {0};
    static bool is_chosen[TP_BLOCK_IDS];
    tp_random_init(&random, 3, 0);
    ck_assert_int_eq(tp__configuration_begin(&made, tp__part_of_idcode(idcodes[0]), &error), TP_OK);
    fill(&random, &made);
    is_chosen[TP_BLOCK_IDS - 1] = true;
    ck_assert_int_eq(tp__stream_write_blocks(&made, base, is_chosen, bytes, &error), TP_OK);
    ck_assert_msg(read_bytes(bytes->data, bytes->size) == TP_FAULT_NONE, "%s", error.text);
    ck_assert(stream.is_partial);
    ck_assert_str_eq(stream.base, base);
    ck_assert_uint_eq(tp__configuration_frame_count(&configuration), 0);
    ck_assert_uint_eq(tp__configuration_block_count(&configuration), 1);
    ck_assert_mem_eq(configuration.blocks[TP_BLOCK_IDS - 1], made.blocks[TP_BLOCK_IDS - 1],
                     sizeof *made.blocks);
    // 113 bytes around one record of 2318.
    ck_assert_uint_eq(bytes->size, 113 + 2318);
    release();
    tp__configuration_free(&made);
}

static size_t stride(size_t sample)
{
    return getenv("TP_EVERY") != NULL ? 1 : sample;
}

START_TEST(every_bit_error_of_a_partial_is_refused)
{
    struct tp_bytes bytes;
    make_partial(&bytes);
    size_t preamble = 2 + sizeof TP_STREAM_BASE_TEXT - 1 + sizeof base + 1;
    ck_assert_uint_eq(bytes.data[preamble + 2], 0xBD);
    for (size_t bit = 8 * preamble; bit < 8 * bytes.size; bit += stride(37)) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(read_bytes(bytes.data, bytes.size) != TP_FAULT_NONE, "bit %zu", bit);
        release();
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    tp__bytes_free(&bytes);
}
END_TEST

START_TEST(every_cut_of_a_partial_is_refused)
{
    struct tp_bytes bytes;
    make_partial(&bytes);
    for (size_t size = 0; size < bytes.size; size += size < 140 ? 1 : stride(23)) {
        struct tp_bytes part;
        ck_assert_int_eq(tp__bytes_copy(bytes.data, size, &part, &error), TP_OK);  // for ASan
        enum tp_stream_fault fault = read_bytes(part.data, size);
        ck_assert_msg(fault == TP_FAULT_TRUNCATED || fault == TP_FAULT_NO_DONE ||
                          fault == TP_FAULT_PREAMBLE,
                      "%zu bytes: %s", size, tp__stream_fault_name(fault));
        release();
        tp__bytes_free(&part);
    }
    tp__bytes_free(&bytes);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("stream_reader");
    TCase *tc = tcase_create("stream_reader");
    tcase_set_timeout(tc, getenv("TP_EVERY") != NULL ? 3600 : 120);
    tcase_add_test(tc, crc_has_its_check_value);
    tcase_add_loop_test(tc, bitstreams_of_boards_are_written_again_byte_for_byte, 0, 2);
    tcase_add_loop_test(tc, what_is_written_is_read_back, 0, PARTS);
    tcase_add_test(tc, the_base_hash_is_that_of_the_frames_alone);
    tcase_add_test(tc, a_frame_with_an_address_goes_to_its_place);
    tcase_add_test(tc, contents_run_on_into_the_next_block_ram);
    tcase_add_test(tc, each_fault_has_its_name);
    tcase_add_test(tc, a_wrong_crc_is_found_in_each_kind_of_record);
    tcase_add_test(tc, frames_that_are_too_many_or_missing_are_refused);
    tcase_add_test(tc, every_bit_error_of_a_partial_is_refused);
    tcase_add_test(tc, every_cut_of_a_partial_is_refused);
    suite_add_tcase(suite, tc);
    return suite;
}

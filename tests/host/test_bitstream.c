// SPDX-License-Identifier: Apache-2.0
//
// Claims about manifests of bitstreams: one that belongs to a tree, a board and its configuration
// is read; one of another tree, clock, configuration or board is refused, with what differs; a
// damaged one is refused, cut at any byte. Bits that are not those of the manifest are refused.
//
// With a tree and a manifest that the test makes by the rule of bitstreams/README.md.

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_main.h"
#include "tokproc.h"

enum { PATH_BYTES = 256, TEXT_BYTES = 8192 };

static char room[] = "/tmp/tp_bitstream_XXXXXX";
static char manifest[TEXT_BYTES];
static const char bits[] = "abcdef";
static struct tp_board_info board;
static struct tp_device_info device;
static struct tp_bitstream_info info;
static struct tp_error error;

static void write_text(const char *name, const char *text, size_t size)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", room, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void digest_of(const char *text, char hex[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)text, strlen(text), digest);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

// Lines of the definition, each behind before and followed by after.
static void define(char *text, size_t size, const char *before, const char *after,
                   uint32_t clock_khz)
{
    const struct {
        const char *key;
        uint32_t value;
    } pairs[] = {{"seed", board.seed},
                 {"idcode", board.idcode},
                 {"CoreKhz", clock_khz},
                 {"Baud", board.baud},
                 {"Groups", device.groups},
                 {"Slots", device.slots},
                 {"WeightBeats", device.weight_beats},
                 {"KvRows", device.kv_rows},
                 {"DimMax", device.dim_max},
                 {"QueryMax", device.query_max},
                 {"HiddenMax", device.hidden_max},
                 {"VocabMax", device.vocab_max},
                 {"PositionsMax", device.positions_max},
                 {"ProgramMax", device.program_max},
                 {"GainQuads", device.gain_quads},
                 {"ConstantPairs", device.constant_pairs},
                 {"Codebooks", device.codebooks},
                 {"HeadNorm", device.head_norm},
                 {"HeadLog2Max", device.head_log2_max},
                 {"AttentionLanes", device.attention_lanes},
                 {"TopK", device.top_k},
                 {"ReadBack", device.read_back}};
    size_t used = (size_t)snprintf(text, size, "%sboard=%s%s", before, board.name, after);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s=%u%s", before, pairs[i].key,
                                 pairs[i].value, after);
    }
    ck_assert_uint_lt(used, size);
}

// Two files under room/tree/rtl, and the manifest of a bitstream that was built from them.
static void make_tree(uint32_t clock_khz)
{
    static const char a[] = "module a;\nendmodule\n";
    static const char b[] = "module b;\nendmodule\n";
    char definition[TEXT_BYTES / 4];
    char lines[TEXT_BYTES / 4];
    char sources[TEXT_BYTES];
    char hash_a[65];
    char hash_b[65];
    char hash_bits[65];
    char hash[65];
    digest_of(bits, hash_bits);
    write_text("bits/ulx3s-85f/tokproc.bit", bits, strlen(bits));
    write_text("tree/rtl/a.sv", a, strlen(a));
    write_text("tree/rtl/b.sv", b, strlen(b));
    digest_of(a, hash_a);
    digest_of(b, hash_b);
    define(lines, sizeof lines, "", "\n", clock_khz);
    define(definition, sizeof definition, "\"", "\",\n", clock_khz);
    definition[strlen(definition) - 2] = ' ';  // the last comma
    (void)snprintf(sources, sizeof sources, "%s  rtl/a.sv\n%s  rtl/b.sv\ntop=tp_top\n%s", hash_a,
                   hash_b, lines);
    digest_of(sources, hash);
    // Files stand in another order than in the hash.
    (void)snprintf(manifest, sizeof manifest,
                   "{\"board\": \"%s\", \"configuration\": \"%s\", \"top\": \"tp_top\",\n"
                   "\"clock_required_mhz\": 100.0, \"clock_achieved_mhz\": 112.5,\n"
                   "\"resources\": {\"lut\": {\"used\": 61000, \"available\": 83640},\n"
                   "\"flip_flop\": {\"used\": 50000}, \"block_ram\": {\"used\": 200},\n"
                   "\"multiplier\": {\"used\": 154}},\n"
                   "\"files\": {\"rtl/b.sv\": \"%s\", \"rtl/a.sv\": \"%s\"},\n"
                   "\"bits\": \"tokproc.bit\", \"bits_bytes\": 6, \"bits_sha256\": \"%s\",\n"
                   "\"definition\": [%s], \"source_hash\": \"%s\", \"build_id\": \"9abc0def\"}\n",
                   board.name, board.configuration, hash_b, hash_a, hash_bits, definition, hash);
}

static void make_folder(const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", room, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void setup(void)
{
    struct tp_board_info boards[16];
    struct tp_device_info devices[32];
    ck_assert_uint_ge(tp_board_list(boards, 16), 1);
    board = boards[0];
    size_t count = tp_configuration_list(devices, 32);
    for (size_t i = 0; i < count && i < 32; i++) {
        if (strcmp(devices[i].name, board.configuration) == 0) {
            device = devices[i];
        }
    }
    ck_assert_uint_ne(device.groups, 0);
    (void)snprintf(room, sizeof room, "/tmp/tp_bitstream_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(room));
    make_folder("tree");
    make_folder("tree/rtl");
    make_folder("bits");
    make_folder("bits/ulx3s-85f");
    make_folder("bits/ulx3s-45f");
    ck_assert_str_eq(board.name, "ulx3s-85f");
    make_tree(board.clock_khz);
}

static void teardown(void)
{
    static const char *const names[] = {"tree/rtl/a.sv",
                                        "tree/rtl/b.sv",
                                        "bits/ulx3s-85f/manifest.json",
                                        "bits/ulx3s-85f/tokproc.bit",
                                        "bits/ulx3s-45f/manifest.json",
                                        "tree/rtl",
                                        "tree",
                                        "bits/ulx3s-85f",
                                        "bits/ulx3s-45f",
                                        "bits",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", room, names[i]);
        (void)remove(path);
    }
}

static tp_status read_manifest(bool with_tree, const char *name)
{
    char folder[PATH_BYTES];
    char root[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/bits", room);
    (void)snprintf(root, sizeof root, "%s/tree", room);
    return tp_bitstream_read(folder, with_tree ? root : NULL, name, &info, &error);
}

static void put_manifest(void)
{
    write_text("bits/ulx3s-85f/manifest.json", manifest, strlen(manifest));
}

START_TEST(a_manifest_of_this_tree_is_read)
{
    put_manifest();
    ck_assert_msg(read_manifest(true, board.name) == TP_OK, "%s", error.text);
    ck_assert_double_eq(info.clock_achieved_mhz, 112.5);
    ck_assert_double_eq(info.clock_required_mhz, 100.0);
    ck_assert_str_eq(info.configuration, board.configuration);
    ck_assert_uint_eq(info.luts, 61000);
    ck_assert_uint_eq(info.flip_flops, 50000);
    ck_assert_uint_eq(info.block_rams, 200);
    ck_assert_uint_eq(info.multipliers, 154);
    ck_assert_uint_eq(strlen(info.source_hash), 64);
    ck_assert_uint_eq(info.build, 0x9abc0def);
    // Bits without a number of their own are told by their sources.
    char first[9];
    char *own = strstr(manifest, ", \"build_id\"");
    ck_assert_ptr_nonnull(own);
    memcpy(own, "}\n", sizeof "}\n");
    put_manifest();
    ck_assert_msg(read_manifest(true, board.name) == TP_OK, "%s", error.text);
    (void)snprintf(first, sizeof first, "%08" PRIx32, info.build);
    ck_assert_mem_eq(first, info.source_hash, 8);
}
END_TEST

START_TEST(other_sources_are_refused)
{
    static const char changed[] = "module a;\nendmodule \n";
    char path[PATH_BYTES];
    put_manifest();
#ifndef TP_PLANT_BUG
    write_text("tree/rtl/a.sv", changed, strlen(changed));
#else
    (void)changed;
#endif
    ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_MISMATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "rtl/a.sv has changed"));
    ck_assert_ptr_nonnull(strstr(error.text, "make bitstream BOARD=ulx3s-85f"));
    // Where there are no sources nothing can be compared.
    ck_assert_int_eq(read_manifest(false, board.name), TP_OK);
    (void)snprintf(path, sizeof path, "%s/tree/rtl/a.sv", room);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_MISMATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "rtl/a.sv is not there"));
}
END_TEST

START_TEST(another_clock_is_refused)
{
    make_tree(board.clock_khz + 1000);
    put_manifest();
    ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_MISMATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "configuration or clock"));
}
END_TEST

START_TEST(a_hash_of_something_else_is_refused)
{
    char *hash = strstr(manifest, "\"source_hash\": \"");
    ck_assert_ptr_nonnull(hash);
    hash[20] = hash[20] == '0' ? '1' : '0';
    put_manifest();
    ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "source hash"));
}
END_TEST

START_TEST(what_is_not_there_is_said)
{
    ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "make bitstream BOARD=ulx3s-85f"));
    ck_assert_int_eq(read_manifest(true, "ulx4"), TP_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "ulx4"));
    ck_assert_int_eq(tp_bitstream_read(NULL, NULL, "ulx3s-85f", &info, &error), TP_ERROR_INVALID);
    // The manifest of another board.
    write_text("bits/ulx3s-45f/manifest.json", manifest, strlen(manifest));
    ck_assert_int_eq(read_manifest(true, "ulx3s-45f"), TP_ERROR_FORMAT);
}
END_TEST

START_TEST(bits_are_held_against_their_manifest)
{
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/bits", room);
    (void)snprintf(path, sizeof path, "%s/bits/ulx3s-85f/tokproc.bit", room);
    put_manifest();
    ck_assert_int_eq(read_manifest(true, board.name), TP_OK);
    ck_assert_str_eq(info.bits, "tokproc.bit");
    ck_assert_uint_eq(info.bits_bytes, 6);
    ck_assert_int_eq(tp_bitstream_check_bits(folder, board.name, &info, &error), TP_OK);
    write_text("bits/ulx3s-85f/tokproc.bit", "abcdeg", 6);
    ck_assert_int_eq(tp_bitstream_check_bits(folder, board.name, &info, &error), TP_ERROR_MISMATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "tokproc.bit is damaged"));
    write_text("bits/ulx3s-85f/tokproc.bit", bits, 5);
    ck_assert_int_eq(tp_bitstream_check_bits(folder, board.name, &info, &error), TP_ERROR_MISMATCH);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(tp_bitstream_check_bits(folder, board.name, &info, &error),
                     TP_ERROR_NOT_FOUND);
    (void)snprintf(info.bits, sizeof info.bits, "../tokproc.bit");
    ck_assert_int_eq(tp_bitstream_check_bits(folder, board.name, &info, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_bitstream_check_bits(NULL, board.name, &info, &error), TP_ERROR_INVALID);
}
END_TEST

START_TEST(a_manifest_cut_anywhere_is_refused)
{
    size_t size = strlen(manifest);
    for (size_t cut = 0; cut + 2 < size; cut += 7) {
        write_text("bits/ulx3s-85f/manifest.json", manifest, cut);
        ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_FORMAT);
    }
    write_text("bits/ulx3s-85f/manifest.json", "{\"board\": 5}", 12);
    ck_assert_int_eq(read_manifest(true, board.name), TP_ERROR_FORMAT);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("bitstream");
    TCase *tc = tcase_create("bitstream");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_manifest_of_this_tree_is_read);
    tcase_add_test(tc, other_sources_are_refused);
    tcase_add_test(tc, another_clock_is_refused);
    tcase_add_test(tc, a_hash_of_something_else_is_refused);
    tcase_add_test(tc, what_is_not_there_is_said);
    tcase_add_test(tc, bits_are_held_against_their_manifest);
    tcase_add_test(tc, a_manifest_cut_anywhere_is_refused);
    suite_add_tcase(suite, tc);
    return suite;
}

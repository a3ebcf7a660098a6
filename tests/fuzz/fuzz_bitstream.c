// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a bitstream, with right CRCs where they have a place: what is read can be held
// against a map, and a partial stream of block RAMs written again and read back; or an error.
//
// TP_FUZZ_RUNS: 1500

#include "block_map.h"
#include "fuzz.h"

enum { CRCS_MAX = 24 };

static const char map_text[] =
    "version 1\nboard b\npart LFE5U-25F 41111043\nusercode 0\n"
    "base 0000000000000000000000000000000000000000000000000000000000000000\n"
    "memory - 0 m\nblock 3 36 X 0 0\nblock 4 9 X 512 0\n";

static bool is_wrong_crc(enum tp_stream_fault fault)
{
    return fault == TP_FAULT_CRC_FRAME || fault == TP_FAULT_CRC_BLOCK ||
           fault == TP_FAULT_CRC_USERCODE || fault == TP_FAULT_CRC_DICTIONARY;
}

// Mutations would never pass a CRC.
static tp_status read_repaired(uint8_t *bytes, size_t size, struct tp_configuration *configuration,
                               struct tp_stream *stream, struct tp_error *error)
{
    for (int i = 0;; i++) {
        tp_status status = tp__stream_read(bytes, size, "f", configuration, stream, error);
        fuzz_check(status, error);
        FUZZ_REQUIRE((status == TP_OK) == (stream->fault == TP_FAULT_NONE));
        if (!is_wrong_crc(stream->fault) || i == CRCS_MAX) {
            return status;
        }
        FUZZ_REQUIRE(stream->fault_offset >= 2 && stream->fault_offset <= size);
        bytes[stream->fault_offset - 2] = (uint8_t)(stream->crc >> 8);
        bytes[stream->fault_offset - 1] = (uint8_t)stream->crc;
        tp__stream_free(stream);
        tp__configuration_free(configuration);
    }
}

static void write_again(const struct tp_configuration *configuration)
{
    struct tp_error error;
    struct tp_bytes bytes;
    struct tp_configuration again = {0};
    struct tp_stream stream;
    bool is_chosen[TP_BLOCK_IDS];
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        is_chosen[id] = configuration->has_block[id] != 0;
    }
    FUZZ_REQUIRE(tp__stream_write_blocks(configuration, "b", is_chosen, &bytes, &error) == TP_OK);
    FUZZ_REQUIRE(tp__stream_read(bytes.data, bytes.size, "f", &again, &stream, &error) == TP_OK);
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        FUZZ_REQUIRE(again.has_block[id] == configuration->has_block[id]);
        FUZZ_REQUIRE(!is_chosen[id] || memcmp(again.blocks[id], configuration->blocks[id],
                                              sizeof *again.blocks) == 0);
    }
    tp__stream_free(&stream);
    tp__configuration_free(&again);
    tp__bytes_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tp_block_map map;
    struct tp_error error;
    struct tp_bytes bytes;
    struct tp_configuration configuration = {0};
    struct tp_stream stream;
    FUZZ_REQUIRE(tp__map_parse(map_text, sizeof map_text - 1, "m", &map, &error) == TP_OK);
    FUZZ_REQUIRE(tp__bytes_copy(data, size, &bytes, &error) == TP_OK);
    if (read_repaired(bytes.data, size, &configuration, &stream, &error) == TP_OK) {
        fuzz_check(tp__map_check(&map, &configuration, "f", &stream, &error), &error);
        write_again(&configuration);
    }
    tp__stream_free(&stream);
    tp__configuration_free(&configuration);
    tp__bytes_free(&bytes);
    return 0;
}

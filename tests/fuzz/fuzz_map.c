// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the map of a design: a map whose words can be written and read back, or an error.
//
// TP_FUZZ_RUNS: 5000

#include "block_map.h"
#include "fuzz.h"

// The first and the last word of each memory; a model's word in each space.
static void use(const struct tp_block_map *map, struct tp_configuration *configuration)
{
    struct tp_error error;
    struct tp_map_writer writer = {.map = map, .configuration = configuration};
    uint8_t set[TP_MAP_WORD_BYTES];
    uint8_t got[TP_MAP_WORD_BYTES];
    uint32_t word = 0x12345678;
    memset(set, 0xA5, sizeof set);
    for (uint32_t i = 0; i < map->memory_count; i++) {
        const struct tp_map_memory *memory = &map->memories[i];
        FUZZ_REQUIRE(memory->words > 0 && memory->bits > 0 && memory->bits <= 8 * sizeof set);
        for (uint32_t n = 0; n<memory->words; n += memory->words> 1 ? memory->words - 1 : 1) {
            tp__map_write_word(map, memory, configuration, n, set);
            tp__map_read_word(map, memory, configuration, n, got);
            // Bits that no block holds are 0.
            for (size_t b = 0; b < sizeof set; b++) {
                FUZZ_REQUIRE((got[b] & ~set[b]) == 0);
            }
        }
    }
    for (uint32_t space = 0; space < TP_MAP_SPACES; space++) {
        for (uint32_t address = 0; address < 70; address += 3) {
            tp_status status = tp__map_write(&writer, space, address, &word, 1, &error);
            fuzz_check(status, &error);
            (void)tp__map_read(map, configuration, space, address, &word);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tp_block_map map;
    struct tp_error error;
    struct tp_configuration configuration = {0};
    tp_status status = tp__map_parse((const char *)data, size, "m", &map, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        FUZZ_REQUIRE(tp__configuration_begin(&configuration, map.part, &error) == TP_OK);
        use(&map, &configuration);
        tp__configuration_free(&configuration);
    }
    return 0;
}

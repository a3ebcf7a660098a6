// SPDX-License-Identifier: Apache-2.0

#include "read_word.h"

#include "tp_map.h"

// From the address to the number of the first bit, and from a number to its bit.
enum { MEMORY_CYCLES = 8, BIT_CYCLES = 3, BITS = 32 };

uint32_t tp_read_word(struct tp_dut *dut, uint32_t space, uint32_t address,
                      void (*cycle)(void *user, uint32_t number), void *user)
{
    uint32_t word = 0;
    tp_dut_set(dut, "cfg_valid_i", 0);
    tp_dut_set(dut, "cfg_space_i", space);
    tp_dut_set(dut, "cfg_address_i", address);
    for (uint32_t i = 0; i < MEMORY_CYCLES + BITS + BIT_CYCLES; i++) {
        // Numbers come before the address has reached the memory, and behind the last one.
        tp_dut_set(dut, "cfg_data_i", 0xabcdef00u | (i - MEMORY_CYCLES) % BITS);
        tp_dut_set(dut, "cfg_read_i", 1);
        tp_dut_settle(dut);
        if (i >= MEMORY_CYCLES + BIT_CYCLES) {
            word |= (uint32_t)tp_dut_get(dut, "read_o") << (i - MEMORY_CYCLES - BIT_CYCLES);
        }
        if (cycle != 0) {
            cycle(user, i);
        } else {
            tp_dut_tick(dut);
        }
    }
    tp_dut_set(dut, "cfg_read_i", 0);
    return word;
}

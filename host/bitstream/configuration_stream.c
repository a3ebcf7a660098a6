// SPDX-License-Identifier: Apache-2.0
//
// Names of faults and commands, and the CRC of streams.

#include "configuration_stream.h"

const char *tp__stream_fault_name(uint32_t fault)
{
#define NAME(member, name, status) name,
    static const char *const names[] = {TP_STREAM_FAULT_LIST(NAME)};
#undef NAME
    return fault < sizeof names / sizeof *names ? names[fault] : "unknown";
}

const char *tp__stream_command_text(uint8_t opcode)
{
    switch (opcode) {
#define CASE(name, value, text)                                                                    \
    case value:                                                                                    \
        return text;
        TP_STREAM_COMMAND_LIST(CASE)
#undef CASE
    default:
        return NULL;
    }
}

// Four bits at a time.
uint16_t tp__stream_crc(uint16_t crc, uint8_t byte)
{
    static const uint16_t nibbles[16] = {0x0000, 0x8005, 0x800F, 0x000A, 0x801B, 0x001E,
                                         0x0014, 0x8011, 0x8033, 0x0036, 0x003C, 0x8039,
                                         0x0028, 0x802D, 0x8027, 0x0022};
    crc = (uint16_t)(crc << 4) ^ nibbles[(crc >> 12) ^ (byte >> 4)];
    return (uint16_t)(crc << 4) ^ nibbles[(crc >> 12) ^ (byte & 15)];
}

// SPDX-License-Identifier: Apache-2.0
//
// Streams that configure an ECP5 (docs/bitstream.md): bytes to a configuration and back.

#ifndef TP_BITSTREAM_CONFIGURATION_STREAM_H
#define TP_BITSTREAM_CONFIGURATION_STREAM_H

#include "configuration.h"
#include "file.h"

/* Opcodes of the commands. X(name, value, text) */
#define TP_STREAM_COMMAND_LIST(X)                                                                  \
    X(JUMP, 0x7E, "jump")                                                                          \
    X(SPI_MODE, 0x79, "SPI mode")                                                                  \
    X(RESET_CRC, 0x3B, "reset CRC")                                                                \
    X(VERIFY_ID, 0xE2, "verify IDCODE")                                                            \
    X(CONTROL, 0x22, "control register 0")                                                         \
    X(INIT_ADDRESS, 0x46, "first frame address")                                                   \
    X(WRITE_ADDRESS, 0xB4, "frame address")                                                        \
    X(DICTIONARY, 0x02, "compression dictionary")                                                  \
    X(FRAMES, 0x82, "frames")                                                                      \
    X(FRAMES_COMPRESSED, 0xB8, "compressed frames")                                                \
    X(USERCODE, 0xC2, "USERCODE")                                                                  \
    X(BLOCK_ADDRESS, 0xF6, "block RAM address")                                                    \
    X(BLOCK_WRITE, 0xB2, "block RAM contents")                                                     \
    X(SECURITY, 0xCE, "security")                                                                  \
    X(SED_CRC, 0xA2, "CRC of soft error detection")                                                \
    X(DONE, 0x5E, "done")

#define TP_STREAM_MEMBER(name, value, text) TP_STREAM_##name = (value),
enum tp_stream_opcode { TP_STREAM_COMMAND_LIST(TP_STREAM_MEMBER) };
#undef TP_STREAM_MEMBER

enum {
    TP_STREAM_CRC = 0x80,          // flags: a CRC stands behind the data
    TP_STREAM_CRC_ONCE = 0x40,     // one behind all, instead of one behind each frame
    TP_STREAM_DUMMY_BYTES = 0x10,  // as many as the low four bits say, behind each frame
    TP_STREAM_FRAME_FLAGS = TP_STREAM_CRC | TP_STREAM_DUMMY_BYTES | 1,
    TP_STREAM_BLOCK_FLAGS = 0xD0,  // what all tools write
    TP_STREAM_ROW_BYTES = 9,       // of block RAM contents: eight words
    TP_STREAM_ROWS = TP_BLOCK_WORDS / 8,
    TP_STREAM_RECORD_BYTES = 8 + 4 + TP_STREAM_ROWS * TP_STREAM_ROW_BYTES + 2,  // of a block RAM
    TP_STREAM_PARTIAL_BYTES = 113,      // of a partial stream of ours, besides
    TP_STREAM_BACKGROUND = 0x2E000000,  // of control register 0: ecppack --background
    TP_STREAM_BYTES_MAX = 1 << 25       // of a file: ten times the longest stream
};

/** Before the base hash in the text of a partial stream. */
#define TP_STREAM_BASE_TEXT "Partial for base "

/* Why a stream is refused. X(member, name, status): status is what the call returns, name is for
 * programs, the message has the rest. */
#define TP_STREAM_FAULT_LIST(X)                                                                    \
    X(NONE, "none", TP_OK)                                                                         \
    X(HEADER, "header", TP_ERROR_FORMAT)                                                           \
    X(PREAMBLE, "no-preamble", TP_ERROR_FORMAT)                                                    \
    X(COMMAND, "unknown-command", TP_ERROR_FORMAT)                                                 \
    X(RESERVED, "reserved-bits", TP_ERROR_FORMAT)                                                  \
    X(BEFORE_ID, "before-idcode", TP_ERROR_FORMAT)                                                 \
    X(ID_UNKNOWN, "unknown-idcode", TP_ERROR_UNSUPPORTED)                                          \
    X(ID_OTHER, "other-device", TP_ERROR_MISMATCH)                                                 \
    X(NO_ADDRESS, "no-address", TP_ERROR_FORMAT)                                                   \
    X(NO_DICTIONARY, "no-dictionary", TP_ERROR_FORMAT)                                             \
    X(NO_CRC, "no-crc", TP_ERROR_FORMAT)                                                           \
    X(CRC_FRAME, "crc-frame", TP_ERROR_FORMAT)                                                     \
    X(CRC_BLOCK, "crc-block-ram", TP_ERROR_FORMAT)                                                 \
    X(CRC_USERCODE, "crc-usercode", TP_ERROR_FORMAT)                                               \
    X(CRC_DICTIONARY, "crc-dictionary", TP_ERROR_FORMAT)                                           \
    X(FRAME_ADDRESS, "frame-address", TP_ERROR_UNSUPPORTED)                                        \
    X(FRAME_RANGE, "frame-range", TP_ERROR_RANGE)                                                  \
    X(BLOCK_RANGE, "block-ram-range", TP_ERROR_RANGE)                                              \
    X(AFTER_DONE, "after-done", TP_ERROR_FORMAT)                                                   \
    X(TRUNCATED, "truncated", TP_ERROR_FORMAT)                                                     \
    X(NO_DONE, "no-done", TP_ERROR_FORMAT)                                                         \
    X(FRAMES_MISSING, "frames-missing", TP_ERROR_FORMAT)                                           \
    X(BASE_NONE, "no-base", TP_ERROR_FORMAT)                                                       \
    X(BASE_OTHER, "other-base", TP_ERROR_MISMATCH)                                                 \
    X(BLOCK_UNKNOWN, "block-ram-not-in-map", TP_ERROR_NOT_FOUND)                                   \
    X(BLOCK_PART, "block-ram-part", TP_ERROR_UNSUPPORTED)                                          \
    X(FRAME_UNSAFE, "frame-not-allowed", TP_ERROR_UNSUPPORTED)                                     \
    X(NOT_CONFIGURED, "not-configured", TP_ERROR_INVALID)                                          \
    X(RESTARTS, "restarts-device", TP_ERROR_INVALID)                                               \
    X(NOT_QUIESCENT, "not-quiescent", TP_ERROR_BUSY)

#define TP_STREAM_MEMBER(member, name, status) TP_FAULT_##member,
enum tp_stream_fault { TP_STREAM_FAULT_LIST(TP_STREAM_MEMBER) };
#undef TP_STREAM_MEMBER

/** "crc-frame"; "unknown" for numbers that are none, which a server may send. Never NULL. */
const char *tp__stream_fault_name(uint32_t fault);

/** The command in words, or NULL: no such opcode. */
const char *tp__stream_command_text(uint8_t opcode);

/** One command of a stream. */
struct tp_stream_command {
    size_t offset;
    size_t bytes;  // with operand, data and CRCs
    uint8_t opcode;
    uint8_t flags;
    uint16_t count;
    uint32_t operand;  // 0 where it has none
    uint32_t crcs;
};

/** What a stream says besides the configuration. */
struct tp_stream {
    char text[TP_STREAM_TEXT_BYTES];  // texts of the header, one NUL behind each
    size_t text_bytes;                // of all, with their NULs
    char base[TP_DIGEST_TEXT_BYTES];  // of a partial stream's text; "": it names none
    bool is_partial;
    bool is_compressed;
    struct tp_stream_command *commands;
    size_t command_count;
    uint32_t crcs;  // that were checked
    enum tp_stream_fault fault;
    size_t fault_offset;  // of the byte behind the last one that was looked at
    uint16_t crc;         // that was computed last: what a wrong one should be
};

/** Reads a stream, strictly: what no tool writes is refused.
 *  in     name           of the file, for messages
 *  out    configuration  what the stream writes; {0} before; the caller frees it, after a failure
 *                        too
 *         stream         always, with the fault; tp__stream_free releases it
 *  error  the status of the fault (TP_STREAM_FAULT_LIST), with offset and what is wrong
 *         TP_ERROR_NO_MEMORY, without a fault */
TP_MUST_USE tp_status tp__stream_read(const uint8_t *bytes, size_t size, const char *name,
                                      struct tp_configuration *configuration,
                                      struct tp_stream *stream, struct tp_error *error);

void tp__stream_free(struct tp_stream *stream);

/** Writes all frames and the block RAMs that the configuration has, as ecppack does, byte for byte.
 *  in     text  of the header: text_bytes, each text with its NUL
 *  out    bytes  written only on TP_OK; tp__bytes_free releases it
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__stream_write_full(const struct tp_configuration *configuration,
                                            const char *text, size_t text_bytes, bool is_compressed,
                                            struct tp_bytes *bytes, struct tp_error *error);

/** Writes a partial stream for the base of that hash: the chosen block RAMs, nothing else.
 *  in     is_chosen  [TP_BLOCK_IDS]
 *  error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__stream_write_blocks(const struct tp_configuration *configuration,
                                              const char *base, const bool *is_chosen,
                                              struct tp_bytes *bytes, struct tp_error *error);

/** One byte into the CRC of a stream: polynomial 0x8005, most significant bit first, from 0. */
uint16_t tp__stream_crc(uint16_t crc, uint8_t byte);

#endif

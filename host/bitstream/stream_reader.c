// SPDX-License-Identifier: Apache-2.0
//
// A stream to a configuration. Every byte behind the header is a dummy that is known to be one, or
// belongs to a command whose bits are all looked at; data without a CRC are refused.

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration_stream.h"

enum { DUMMY = 0xFF, DUMMIES_AT_END = 4, MESSAGE_BYTES = 200 };

struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t offset;
    uint16_t crc;
    const char *name;
    struct tp_configuration *configuration;
    struct tp_stream *stream;
    struct tp_stream_command command;  // the one that is read
    bool has_address;
    uint32_t sent;  // place of the next frame in the order of sending
    bool has_block;
    uint32_t block;
    uint32_t word;
    bool has_dictionary;
    uint8_t dictionary[8];
    struct tp_error *error;
};

static tp_status refuse(struct reader *r, enum tp_stream_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static tp_status refuse(struct reader *r, enum tp_stream_fault fault, const char *format, ...)
{
#define STATUS(member, name, status) status,
    static const tp_status statuses[] = {TP_STREAM_FAULT_LIST(STATUS)};
#undef STATUS
    char text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->stream->fault = fault;
    r->stream->fault_offset = r->offset;
    return tp__fail(r->error, statuses[fault], "%s: %s", r->name, text);
}

// ---- bytes ----

static tp_status need(struct reader *r, size_t count, const char *what)
{
    if (r->size - r->offset >= count) {
        return TP_OK;
    }
    return refuse(r, TP_FAULT_TRUNCATED,
                  "the file ends inside %s at 0x%zx: %zu bytes wanted, %zu are left", what,
                  r->offset, count, r->size - r->offset);
}

static uint8_t take(struct reader *r)
{
    uint8_t byte = r->bytes[r->offset++];
    r->crc = tp__stream_crc(r->crc, byte);
    return byte;
}

static uint32_t take_number(struct reader *r, int bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < bytes; i++) {
        number = number << 8 | take(r);
    }
    return number;
}

static tp_status take_operand(struct reader *r)
{
    tp_status status = need(r, 4, tp__stream_command_text(r->command.opcode));
    if (status == TP_OK) {
        r->command.operand = take_number(r, 4);
    }
    return status;
}

static tp_status check_crc(struct reader *r, enum tp_stream_fault fault, const char *what,
                           uint32_t number)
{
    uint16_t computed = r->crc;
    tp_status status = need(r, 2, "a CRC");
    if (status != TP_OK) {
        return status;
    }
    uint16_t stored = (uint16_t)take_number(r, 2);
    r->stream->crc = computed;
    r->crc = 0;
#ifdef TP_PLANT_BUG
    // The planted fault believes the contents of block RAMs.
    stored = fault == TP_FAULT_CRC_BLOCK ? computed : stored;
#endif
    if (stored != computed) {
        return refuse(r, fault,
                      "the CRC of %s %" PRIu32 " at 0x%zx is wrong: it is %04x, computed %04x - "
                      "the file is damaged",
                      what, number, r->offset - 2, stored, computed);
    }
    r->stream->crcs++;
    r->command.crcs++;
    return TP_OK;
}

// ---- what stands before the commands ----

// "FF 00", texts that end in NUL, "FF". Without these two bytes there is no header.
static tp_status read_header(struct reader *r)
{
    struct tp_stream *stream = r->stream;
    size_t base_bytes = sizeof TP_STREAM_BASE_TEXT - 1;
    if (r->size < 2 || r->bytes[0] != 0xFF || r->bytes[1] != 0) {
        return TP_OK;
    }
    size_t begin = 2;
    for (size_t i = begin; i < r->size; i++) {
        uint8_t byte = r->bytes[i];
        if (byte == DUMMY && i == begin) {
            stream->text_bytes = begin - 2;
            memcpy(stream->text, r->bytes + 2, stream->text_bytes);
            r->offset = i + 1;
            return TP_OK;
        }
        if ((byte != 0 && (byte < 0x20 || byte > 0x7E)) || i - 2 >= TP_STREAM_TEXT_BYTES) {
            return refuse(r, TP_FAULT_HEADER, "byte %02x at 0x%zx is no text of a header", byte, i);
        }
        if (byte == 0) {
            size_t size = i - begin;
            const char *text = (const char *)r->bytes + begin;
            if (size >= base_bytes && memcmp(text, TP_STREAM_BASE_TEXT, base_bytes) == 0) {
                stream->is_partial = true;
                (void)snprintf(stream->base, sizeof stream->base, "%s", text + base_bytes);
            }
            begin = i + 1;
        }
    }
    return refuse(r, TP_FAULT_TRUNCATED, "the file ends inside its header");
}

static tp_status read_preamble(struct reader *r)
{
    size_t begin = r->offset;
    while (r->offset < r->size && r->bytes[r->offset] == DUMMY) {
        r->offset++;
    }
    bool is_there = r->offset - begin >= 2 && r->size - r->offset >= 2 &&
                    r->bytes[r->offset] == 0xBD && r->bytes[r->offset + 1] == 0xB3;
    if (!is_there) {
        return refuse(r, TP_FAULT_PREAMBLE,
                      "no preamble FF FF BD B3 at 0x%zx: this is no bitstream of an ECP5", begin);
    }
    r->offset += 2;
    return TP_OK;
}

// ---- frames ----

// The encoding of frame addresses is known for the 45F alone (Project Trellis, partial bitstreams):
// columns of 106 frames, in regions that begin at these columns.
static bool frame_of_address(const struct tp_part *part, uint32_t address, uint32_t *sent)
{
    static const uint32_t regions[] = {0, 12, 30, 49, 68, 95};
    enum { REGIONS = sizeof regions / sizeof *regions, COLUMN = 106 };
    uint32_t region = address >> 12;
    uint32_t column = address >> 7 & 31;
    uint32_t low = address & 127;
    if (part->frames != 9470 || region >= REGIONS || low >= COLUMN ||
        (region + 1 < REGIONS && regions[region] + column >= regions[region + 1])) {
        return false;
    }
    *sent = (regions[region] + column) * COLUMN + low;
    return *sent < part->frames;
}

static tp_status take_bits(struct reader *r, unsigned count, uint32_t *buffer, unsigned *held,
                           uint32_t *value)
{
    while (*held < count) {
        tp_status status = need(r, 1, "a compressed frame");
        if (status != TP_OK) {
            return status;
        }
        *buffer = *buffer << 8 | take(r);
        *held += 8;
    }
    *held -= count;
    *value = *buffer >> *held & ((1u << count) - 1);
    return TP_OK;
}

// 0: a zero; 100 and three bits: that bit alone; 101 and three bits: of the dictionary; 11 and
// eight bits: as they are. Zeros before the frame fill it to a multiple of eight bytes.
static tp_status inflate(struct reader *r, uint8_t *frame)
{
    uint32_t size = r->configuration->part->frame_bytes;
    uint32_t padding = (8 - size % 8) % 8;
    uint32_t buffer = 0;
    unsigned held = 0;
    for (uint32_t i = 0; i < padding + size; i++) {
        uint32_t value = 0;
        tp_status status = take_bits(r, 1, &buffer, &held, &value);
        if (status == TP_OK && value != 0) {
            status = take_bits(r, 1, &buffer, &held, &value);
            bool is_literal = value != 0;
            if (status == TP_OK) {
                status = take_bits(r, is_literal ? 8 : 4, &buffer, &held, &value);
            }
            if (!is_literal) {
                value = value & 8 ? r->dictionary[value & 7] : 1u << (value & 7);
            }
        }
        if (status != TP_OK) {
            return status;
        }
        if (i < padding && value != 0) {
            return refuse(r, TP_FAULT_RESERVED, "bits before a compressed frame at 0x%zx are set",
                          r->offset);
        }
        if (i >= padding) {
            frame[i - padding] = (uint8_t)value;
        }
    }
    if ((buffer & ((1u << held) - 1)) != 0) {
        return refuse(r, TP_FAULT_RESERVED, "bits behind a compressed frame at 0x%zx are set",
                      r->offset - 1);
    }
    return TP_OK;
}

static tp_status read_frame(struct reader *r, bool is_last)
{
    const struct tp_part *part = r->configuration->part;
    bool is_compressed = r->command.opcode == TP_STREAM_FRAMES_COMPRESSED;
    uint8_t frame[TP_FRAME_BYTES_LONGEST];
    if (r->sent >= part->frames) {
        return refuse(r, TP_FAULT_FRAME_RANGE, "more frames at 0x%zx than the %" PRIu32 " of an %s",
                      r->offset, part->frames, part->name);
    }
    uint32_t number = part->frames - 1 - r->sent;
    tp_status status = is_compressed ? inflate(r, frame) : need(r, part->frame_bytes, "a frame");
    for (uint32_t i = 0; !is_compressed && status == TP_OK && i < part->frame_bytes; i++) {
        frame[i] = take(r);
    }
    if (status == TP_OK && ((r->command.flags & TP_STREAM_CRC_ONCE) == 0 || is_last)) {
        status = check_crc(r, TP_FAULT_CRC_FRAME, "frame", number);
    }
    if (status == TP_OK && frame[0] >> (8 - part->frame_pad_bits) != 0) {
        status = refuse(r, TP_FAULT_RESERVED, "padding of frame %" PRIu32 " is set", number);
    }
    unsigned dummies = r->command.flags & TP_STREAM_DUMMY_BYTES ? r->command.flags & 15 : 0;
    if (status == TP_OK) {
        status = need(r, dummies, "the bytes behind a frame");
    }
    for (unsigned i = 0; status == TP_OK && i < dummies; i++) {
        if (take(r) != DUMMY) {
            status = refuse(r, TP_FAULT_RESERVED, "no dummy byte behind frame %" PRIu32 " at 0x%zx",
                            number, r->offset - 1);
        }
    }
    if (status == TP_OK) {
        memcpy(r->configuration->frames + (size_t)number * part->frame_bytes, frame,
               part->frame_bytes);
        r->configuration->has_frame[number] = 1;
        r->sent++;
    }
    return status;
}

static tp_status read_frames(struct reader *r)
{
    uint8_t flags = r->command.flags;
    size_t at = r->command.offset;
    bool is_compressed = r->command.opcode == TP_STREAM_FRAMES_COMPRESSED;
    if ((flags & TP_STREAM_CRC) == 0) {
        return refuse(r, TP_FAULT_NO_CRC, "frames at 0x%zx have no CRC", at);
    }
    if ((flags & 0x20) != 0 || r->command.count == 0) {
        return refuse(r, TP_FAULT_RESERVED, "frames at 0x%zx: flags %02x, count %u are of no kind",
                      at, flags, r->command.count);
    }
    if (!r->has_address) {
        return refuse(r, TP_FAULT_NO_ADDRESS, "frames at 0x%zx have no address before them", at);
    }
    if (is_compressed && !r->has_dictionary) {
        return refuse(r, TP_FAULT_NO_DICTIONARY, "compressed frames at 0x%zx have no dictionary",
                      at);
    }
    r->stream->is_compressed = r->stream->is_compressed || is_compressed;
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < r->command.count && status == TP_OK; i++) {
        status = read_frame(r, i + 1u == r->command.count);
    }
    return status;
}

// ---- block RAMs ----

static tp_status read_block_address(struct reader *r)
{
    r->block = r->command.operand >> 11;
    r->word = r->command.operand % TP_BLOCK_WORDS;
    r->has_block = true;
    if (r->block >= TP_BLOCK_IDS || r->word % 8 != 0) {
        return refuse(r, TP_FAULT_BLOCK_RANGE,
                      "block RAM address %08" PRIx32 " at 0x%zx: id %" PRIu32 ", word %" PRIu32
                      " is none",
                      r->command.operand, r->command.offset, r->block, r->word);
    }
    return TP_OK;
}

// A row holds eight words of nine bits, the lowest one in the highest bits. Behind the last word of
// a block RAM the next id follows.
static tp_status read_row(struct reader *r)
{
    uint8_t row[TP_STREAM_ROW_BYTES];
    if (r->word == TP_BLOCK_WORDS) {
        r->word = 0;
        r->block++;
    }
    if (r->block >= TP_BLOCK_IDS) {
        return refuse(r, TP_FAULT_BLOCK_RANGE, "contents at 0x%zx run beyond block RAM %d",
                      r->offset, TP_BLOCK_IDS - 1);
    }
    for (size_t i = 0; i < sizeof row; i++) {
        row[i] = take(r);
    }
    uint16_t *words = r->configuration->blocks[r->block] + r->word;
    for (int i = 0; i < 8; i++) {
        words[i] = (uint16_t)((row[i] << (i + 1) | row[i + 1] >> (7 - i)) & 0x1FF);
    }
    r->configuration->has_block[r->block] = 1;
    r->word += 8;
    return TP_OK;
}

static tp_status read_block(struct reader *r)
{
    uint8_t flags = r->command.flags;
    size_t at = r->command.offset;
    if ((flags & TP_STREAM_CRC) == 0) {
        return refuse(r, TP_FAULT_NO_CRC, "contents of block RAM at 0x%zx have no CRC", at);
    }
    if (flags != TP_STREAM_BLOCK_FLAGS || r->command.count == 0) {
        return refuse(r, TP_FAULT_RESERVED,
                      "contents of block RAM at 0x%zx: flags %02x, count %u are of no kind", at,
                      flags, r->command.count);
    }
    if (!r->has_block) {
        return refuse(r, TP_FAULT_NO_ADDRESS,
                      "contents of block RAM at 0x%zx have no address before them", at);
    }
    uint32_t first = r->block;
    tp_status status =
        need(r, (size_t)r->command.count * TP_STREAM_ROW_BYTES, "contents of block RAM");
    for (uint32_t i = 0; i < r->command.count && status == TP_OK; i++) {
        status = read_row(r);
    }
    return status == TP_OK ? check_crc(r, TP_FAULT_CRC_BLOCK, "block RAM", first) : status;
}

// ---- the other commands ----

static tp_status read_idcode(struct reader *r)
{
    const struct tp_part *part = tp__part_of_idcode(r->command.operand);
    if (part == NULL) {
        return refuse(r, TP_FAULT_ID_UNKNOWN, "IDCODE %08" PRIx32 " at 0x%zx is that of no ECP5",
                      r->command.operand, r->command.offset);
    }
    if (r->configuration->part == NULL) {
        return tp__configuration_begin(r->configuration, part, r->error);
    }
    if (r->configuration->part != part) {
        return refuse(r, TP_FAULT_ID_OTHER, "IDCODE of an %s at 0x%zx in a stream for an %s",
                      part->name, r->command.offset, r->configuration->part->name);
    }
    return TP_OK;
}

static tp_status read_usercode(struct reader *r)
{
    if (r->command.flags != TP_STREAM_CRC || r->command.count != 0) {
        return refuse(r, r->command.flags & TP_STREAM_CRC ? TP_FAULT_RESERVED : TP_FAULT_NO_CRC,
                      "USERCODE at 0x%zx: flags %02x are of no kind", r->command.offset,
                      r->command.flags);
    }
    r->configuration->usercode = r->command.operand;
    return check_crc(r, TP_FAULT_CRC_USERCODE, "USERCODE", r->command.operand);
}

static tp_status read_dictionary(struct reader *r)
{
    if ((r->command.flags & ~TP_STREAM_CRC) != 0 || r->command.count != 0) {
        return refuse(r, TP_FAULT_RESERVED, "dictionary at 0x%zx: flags %02x are of no kind",
                      r->command.offset, r->command.flags);
    }
    tp_status status = need(r, sizeof r->dictionary, "a dictionary");
    for (size_t i = sizeof r->dictionary; status == TP_OK && i > 0; i--) {
        r->dictionary[i - 1] = take(r);
    }
    r->has_dictionary = true;
    if (status == TP_OK && r->command.flags != 0) {
        status = check_crc(r, TP_FAULT_CRC_DICTIONARY, "dictionary", 0);
    }
    return status;
}

static tp_status read_address(struct reader *r)
{
    r->has_address = true;
    r->stream->is_partial = true;
    if (!frame_of_address(r->configuration->part, r->command.operand, &r->sent)) {
        return refuse(r, TP_FAULT_FRAME_ADDRESS,
                      "frame address %08" PRIx32 " at 0x%zx: none that is known of an %s",
                      r->command.operand, r->command.offset, r->configuration->part->name);
    }
    return TP_OK;
}

// ---- one command ----

static bool has_operand(uint8_t opcode)
{
    return opcode == TP_STREAM_VERIFY_ID || opcode == TP_STREAM_CONTROL ||
           opcode == TP_STREAM_USERCODE || opcode == TP_STREAM_WRITE_ADDRESS ||
           opcode == TP_STREAM_BLOCK_ADDRESS || opcode == TP_STREAM_SED_CRC ||
           opcode == TP_STREAM_JUMP;
}

// Flags and count mean something in these commands; else they are 0.
static bool has_flags(uint8_t opcode)
{
    return opcode == TP_STREAM_FRAMES || opcode == TP_STREAM_FRAMES_COMPRESSED ||
           opcode == TP_STREAM_BLOCK_WRITE || opcode == TP_STREAM_USERCODE ||
           opcode == TP_STREAM_DICTIONARY;
}

static tp_status execute(struct reader *r)
{
    const struct tp_stream_command *c = &r->command;
    switch (c->opcode) {
    case TP_STREAM_RESET_CRC:
        r->crc = 0;
        return TP_OK;
    case TP_STREAM_VERIFY_ID:
        return read_idcode(r);
    case TP_STREAM_CONTROL:
        r->configuration->control = c->operand;
        return TP_OK;
    case TP_STREAM_INIT_ADDRESS:
        r->has_address = true;
        r->sent = 0;
        return TP_OK;
    case TP_STREAM_WRITE_ADDRESS:
        return read_address(r);
    case TP_STREAM_DICTIONARY:
        return read_dictionary(r);
    case TP_STREAM_FRAMES:
    case TP_STREAM_FRAMES_COMPRESSED:
        return read_frames(r);
    case TP_STREAM_USERCODE:
        return read_usercode(r);
    case TP_STREAM_BLOCK_ADDRESS:
        return read_block_address(r);
    case TP_STREAM_BLOCK_WRITE:
        return read_block(r);
    default:  // nothing to do for the others
        return TP_OK;
    }
}

static bool is_spi_mode(uint8_t flags)
{
    return flags == 0x49 || flags == 0x51 || flags == 0x59;  // fast read, dual, quad
}

static tp_status read_command(struct reader *r)
{
    size_t at = r->offset;
    tp_status status = need(r, 4, "a command");
    if (status != TP_OK) {
        return status;
    }
    r->command = (struct tp_stream_command){.offset = at};
    r->command.opcode = take(r);
    r->command.flags = take(r);
    r->command.count = (uint16_t)take_number(r, 2);
    uint8_t opcode = r->command.opcode;
    if (tp__stream_command_text(opcode) == NULL) {
        return refuse(r, TP_FAULT_COMMAND, "unknown command %02x at 0x%zx", opcode, at);
    }
    bool is_spi = opcode == TP_STREAM_SPI_MODE;
    if ((!has_flags(opcode) && (r->command.count != 0 || (!is_spi && r->command.flags != 0))) ||
        (is_spi && !is_spi_mode(r->command.flags))) {
        return refuse(r, TP_FAULT_RESERVED, "command %02x at 0x%zx has reserved bits set", opcode,
                      at);
    }
    if (r->configuration->part == NULL && opcode != TP_STREAM_RESET_CRC && !is_spi &&
        opcode != TP_STREAM_VERIFY_ID) {
        return refuse(r, TP_FAULT_BEFORE_ID, "command %02x at 0x%zx comes before the IDCODE",
                      opcode, at);
    }
    if (has_operand(opcode)) {
        status = take_operand(r);
    }
    status = status == TP_OK ? execute(r) : status;
    r->command.bytes = r->offset - at;
    return status;
}

static tp_status note_command(struct reader *r)
{
    struct tp_stream *stream = r->stream;
    if ((stream->command_count & (stream->command_count - 1)) == 0) {  // full at powers of two
        size_t room = stream->command_count == 0 ? 1 : 2 * stream->command_count;
        struct tp_stream_command *larger =
            realloc(stream->commands, room * sizeof *stream->commands);
        if (larger == NULL) {
            return tp__fail(r->error, TP_ERROR_NO_MEMORY, "no memory for the commands of %s",
                            r->name);
        }
        stream->commands = larger;
    }
    stream->commands[stream->command_count++] = r->command;
    return TP_OK;
}

static tp_status read_commands(struct reader *r)
{
    tp_status status = TP_OK;
    while (status == TP_OK && r->offset < r->size) {
        if (r->bytes[r->offset] == DUMMY) {
            r->offset++;  // between commands: outside the CRC
            continue;
        }
        status = read_command(r);
        status = status == TP_OK ? note_command(r) : status;
        if (status == TP_OK && r->command.opcode == TP_STREAM_DONE) {
            break;
        }
    }
    if (status == TP_OK && r->command.opcode != TP_STREAM_DONE) {
        status =
            refuse(r, TP_FAULT_NO_DONE,
                   "the file ends at 0x%zx without the command 5E (done): it is cut off", r->size);
    }
    return status;
}

static tp_status read_end(struct reader *r)
{
    size_t begin = r->offset;
    for (; r->offset < r->size; r->offset++) {
        if (r->bytes[r->offset] != DUMMY) {
            return refuse(r, TP_FAULT_AFTER_DONE, "byte %02x at 0x%zx stands behind the end",
                          r->bytes[r->offset], r->offset);
        }
    }
    if (r->size - begin < DUMMIES_AT_END) {
        return refuse(r, TP_FAULT_TRUNCATED,
                      "the file ends at 0x%zx: %zu of %d bytes FF behind "
                      "the last command are missing",
                      r->size, DUMMIES_AT_END - (r->size - begin), DUMMIES_AT_END);
    }
    return TP_OK;
}

// A stream with frames that does not call itself partial has all of them.
static tp_status check_whole(struct reader *r)
{
    uint32_t count = tp__configuration_frame_count(r->configuration);
    r->stream->is_partial = r->stream->is_partial || count == 0;
    if (!r->stream->is_partial && count != r->configuration->part->frames) {
        return refuse(r, TP_FAULT_FRAMES_MISSING,
                      "%" PRIu32 " of the %" PRIu32 " frames of an %s are missing",
                      r->configuration->part->frames - count, r->configuration->part->frames,
                      r->configuration->part->name);
    }
    return TP_OK;
}

tp_status tp__stream_read(const uint8_t *bytes, size_t size, const char *name,
                          struct tp_configuration *configuration, struct tp_stream *stream,
                          struct tp_error *error)
{
    assert(configuration->part == NULL);
    *stream = (struct tp_stream){.fault = TP_FAULT_NONE};
    struct reader r = {.bytes = bytes,
                       .size = size,
                       .name = name,
                       .configuration = configuration,
                       .stream = stream,
                       .error = error};
    tp_status status = read_header(&r);
    status = status == TP_OK ? read_preamble(&r) : status;
    status = status == TP_OK ? read_commands(&r) : status;
    status = status == TP_OK ? read_end(&r) : status;
    if (status == TP_OK && configuration->part == NULL) {
        status = refuse(&r, TP_FAULT_BEFORE_ID, "the stream names no IDCODE");
    }
    return status == TP_OK ? check_whole(&r) : status;
}

void tp__stream_free(struct tp_stream *stream)
{
    free(stream->commands);
    *stream = (struct tp_stream){0};
}

// SPDX-License-Identifier: Apache-2.0
//
// A configuration to a stream. Full streams equal those of ecppack byte for byte; what it does was
// taken from Project Trellis' documentation and Bitstream.cpp.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "configuration_stream.h"

enum { DUMMIES_AFTER_FRAMES = 12, HEAD_BYTES_MAX = 256, FRAME_BYTES_MAX = 184 };

struct writer {
    uint8_t *data;
    size_t size;
    size_t room;  // computed before: it never ends
    uint16_t crc;
};

static void put(struct writer *w, uint8_t byte)
{
    assert(w->size < w->room);
    w->data[w->size++] = byte;
    w->crc = tp__stream_crc(w->crc, byte);
}

static void put_number(struct writer *w, uint32_t number, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        put(w, (uint8_t)(number >> (8 * i)));
    }
}

static void put_command(struct writer *w, enum tp_stream_opcode opcode, uint8_t flags,
                        uint32_t count)
{
    put(w, (uint8_t)opcode);
    put(w, flags);
    put_number(w, count, 2);
}

static void put_operand(struct writer *w, enum tp_stream_opcode opcode, uint32_t operand)
{
    put_command(w, opcode, 0, 0);
    put_number(w, operand, 4);
}

static void put_crc(struct writer *w)
{
    put_number(w, w->crc, 2);
    w->crc = 0;
}

// Outside the CRC.
static void put_plain(struct writer *w, const void *data, size_t size)
{
    assert(w->room - w->size >= size);
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

static void put_dummies(struct writer *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_plain(w, "\xFF", 1);
    }
}

static void put_head(struct writer *w, const struct tp_part *part, const char *text,
                     size_t text_bytes)
{
    put_plain(w, "\xFF", 2);
    put_plain(w, text, text_bytes);
    put_plain(w, "\xFF\xFF\xFF\xBD\xB3", 5);
    put_dummies(w, 4);
    put_command(w, TP_STREAM_RESET_CRC, 0, 0);
    w->crc = 0;
    put_operand(w, TP_STREAM_VERIFY_ID, part->idcode);
}

static void put_end(struct writer *w)
{
    put_command(w, TP_STREAM_DONE, 0, 0);
    put_dummies(w, 4);
}

static void put_block(struct writer *w, uint32_t id, const uint16_t *words)
{
    put_operand(w, TP_STREAM_BLOCK_ADDRESS, id << 11);
    put_command(w, TP_STREAM_BLOCK_WRITE, TP_STREAM_BLOCK_FLAGS, TP_STREAM_ROWS);
    for (uint32_t row = 0; row < TP_STREAM_ROWS; row++, words += 8) {
        for (int i = 0; i <= 8; i++) {
            unsigned high = i > 0 ? (unsigned)words[i - 1] << (8 - i) : 0;
            unsigned low = i < 8 ? (unsigned)words[i] >> (i + 1) : 0;
            put(w, (uint8_t)(high | low));
        }
    }
    put_crc(w);
}

// ---- compressed frames ----

static bool is_one_bit(unsigned byte)
{
    return byte != 0 && (byte & (byte - 1)) == 0;
}

// The eight bytes that are most frequent among those without a code of their own; of equals the
// largest.
static void choose_dictionary(const struct tp_configuration *configuration, uint8_t dictionary[8])
{
    const struct tp_part *part = configuration->part;
    uint32_t counts[256] = {0};
    for (size_t i = 0; i < (size_t)part->frames * part->frame_bytes; i++) {
        counts[configuration->frames[i]]++;
    }
    bool is_taken[256] = {false};
    for (int i = 0; i < 8; i++) {
        int best = -1;
        for (int byte = 255; byte > 0; byte--) {
            if (!is_taken[byte] && !is_one_bit((unsigned)byte) &&
                (best < 0 || counts[byte] > counts[best])) {
                best = byte;
            }
        }
        is_taken[best] = true;
        dictionary[i] = (uint8_t)best;
    }
}

struct bits {
    uint32_t buffer;
    unsigned held;
};

static void put_bits(struct writer *w, struct bits *bits, uint32_t value, unsigned count)
{
    bits->buffer = bits->buffer << count | value;
    bits->held += count;
    while (bits->held >= 8) {
        bits->held -= 8;
        put(w, (uint8_t)(bits->buffer >> bits->held));
    }
}

// code [256]: the bits of each byte, and how many behind them in the low byte
static void put_compressed(struct writer *w, const uint8_t *frame, uint32_t size,
                           const uint32_t *code)
{
    struct bits bits = {0, 0};
    put_bits(w, &bits, 0, (8 - size % 8) % 8);
    for (uint32_t i = 0; i < size; i++) {
        put_bits(w, &bits, code[frame[i]] >> 8, code[frame[i]] & 0xFF);
    }
    if (bits.held != 0) {
        put_bits(w, &bits, 0, 8 - bits.held);
    }
}

static void make_code(const uint8_t dictionary[8], uint32_t code[256])
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        code[byte] = (3u << 8 | byte) << 8 | 10;
    }
    for (uint32_t i = 0; i < 8; i++) {
        code[dictionary[i]] = (5u << 3 | i) << 8 | 6;
        code[1u << i] = (4u << 3 | i) << 8 | 6;
    }
    code[0] = 1;
}

static void put_frames(struct writer *w, const struct tp_configuration *configuration,
                       bool is_compressed)
{
    const struct tp_part *part = configuration->part;
    uint8_t dictionary[8];
    uint32_t code[256];
    put_command(w, TP_STREAM_INIT_ADDRESS, 0, 0);
    if (is_compressed) {
        choose_dictionary(configuration, dictionary);
        make_code(dictionary, code);
        put_command(w, TP_STREAM_DICTIONARY, 0, 0);
        for (int i = 7; i >= 0; i--) {
            put(w, dictionary[i]);
        }
    }
    put_command(w, is_compressed ? TP_STREAM_FRAMES_COMPRESSED : TP_STREAM_FRAMES,
                TP_STREAM_FRAME_FLAGS, part->frames);
    for (uint32_t number = part->frames; number-- > 0;) {
        const uint8_t *frame = configuration->frames + (size_t)number * part->frame_bytes;
        if (is_compressed) {
            put_compressed(w, frame, part->frame_bytes, code);
        } else {
            for (uint32_t i = 0; i < part->frame_bytes; i++) {
                put(w, frame[i]);
            }
        }
        put_crc(w);
        put(w, 0xFF);  // in the CRC of the next frame
    }
}

// ---- streams ----

static tp_status begin(struct writer *w, size_t room, struct tp_error *error)
{
    *w = (struct writer){.data = malloc(room), .room = room};
    return w->data != NULL ? TP_OK
                           : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a bitstream");
}

tp_status tp__stream_write_full(const struct tp_configuration *configuration, const char *text,
                                size_t text_bytes, bool is_compressed, struct tp_bytes *bytes,
                                struct tp_error *error)
{
    struct writer w;
    size_t room = HEAD_BYTES_MAX + text_bytes +
                  (size_t)configuration->part->frames * FRAME_BYTES_MAX +
                  (size_t)tp__configuration_block_count(configuration) * TP_STREAM_RECORD_BYTES;
    tp_status status = begin(&w, room, error);
    if (status != TP_OK) {
        return status;
    }
    put_head(&w, configuration->part, text, text_bytes);
    put_operand(&w, TP_STREAM_CONTROL, configuration->control);
    put_frames(&w, configuration, is_compressed);
    put_dummies(&w, DUMMIES_AFTER_FRAMES);
    put_command(&w, TP_STREAM_USERCODE, TP_STREAM_CRC, 0);
    put_number(&w, configuration->usercode, 4);
    put_crc(&w);
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        if (configuration->has_block[id] != 0) {
            put_block(&w, id, configuration->blocks[id]);
        }
    }
    put_end(&w);
    *bytes = (struct tp_bytes){w.data, w.size};
    return TP_OK;
}

tp_status tp__stream_write_blocks(const struct tp_configuration *configuration, const char *base,
                                  const bool *is_chosen, struct tp_bytes *bytes,
                                  struct tp_error *error)
{
    struct writer w;
    char text[sizeof TP_STREAM_BASE_TEXT + TP_DIGEST_TEXT_BYTES] = TP_STREAM_BASE_TEXT;
    assert(strlen(base) < TP_DIGEST_TEXT_BYTES);
    (void)strcat(text, base);
    size_t count = 0;
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        count += is_chosen[id];
    }
    tp_status status =
        begin(&w, HEAD_BYTES_MAX + sizeof text + count * TP_STREAM_RECORD_BYTES, error);
    if (status != TP_OK) {
        return status;
    }
    put_head(&w, configuration->part, text, strlen(text) + 1);
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        if (is_chosen[id]) {
            put_block(&w, id, configuration->blocks[id]);
        }
    }
    put_end(&w);
    *bytes = (struct tp_bytes){w.data, w.size};
    return TP_OK;
}

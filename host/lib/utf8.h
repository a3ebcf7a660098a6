// SPDX-License-Identifier: Apache-2.0
//
// UTF-8: checking a text, and turning any bytes into valid text as they arrive.

#ifndef TP_LIB_UTF8_H
#define TP_LIB_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TP_UTF8_BYTES_MAX = 4 };

/** Bytes of the character at the start of text, 1 to 4; 0 when it is not valid UTF-8 (overlong
 *  forms, surrogates and numbers above U+10FFFF are not) or when size is 0 or cuts it. */
size_t tp__utf8_length(const uint8_t *text, size_t size);

/** Number of the character at the start of text, which tp__utf8_length found valid. */
uint32_t tp__utf8_code(const uint8_t *text);

/** Writes a character, at most U+10FFFF and no surrogate, as 1 to 4 bytes. Returns their number. */
size_t tp__utf8_put(uint32_t code, char *out);

/** Offset of the first byte that does not belong to valid UTF-8; size when there is none. */
size_t tp__utf8_check(const uint8_t *text, size_t size);

/** Bytes of a character that has not ended yet. All zero is the start. */
struct tp_utf8_stream {
    uint8_t pending[TP_UTF8_BYTES_MAX];
    uint32_t count;
};

/** Takes one byte and writes the characters that are complete: 0 to 7 bytes to out (not ended by
 *  NUL). A sequence that cannot become valid is one U+FFFD. Returns the bytes written. */
size_t tp__utf8_push(struct tp_utf8_stream *stream, uint8_t byte, char *out);

/** Ends the stream: one U+FFFD (3 bytes) when a character was left incomplete, else nothing. */
size_t tp__utf8_end(struct tp_utf8_stream *stream, char *out);

#endif

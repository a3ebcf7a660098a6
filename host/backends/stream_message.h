// SPDX-License-Identifier: Apache-2.0
//
// A configuration stream for a served device, on a connection of its own beside the link's.
//
//   program  "TPC1", u32 bytes of the name, u32 bytes of the stream, name, stream
//   server   u32 status (tp_status), u32 fault, u32 block RAMs, u32 bytes of the text, text
//
// Numbers are little-endian. The server tells such a connection from one of the link, which begins
// with zeros, by its first byte, and closes it behind the answer. Neither side trusts the other:
// what is taken has the sizes below and a known status; its text may be any.

#ifndef TP_BACKEND_STREAM_MESSAGE_H
#define TP_BACKEND_STREAM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum {
    TP_MESSAGE_FIRST = 'T',
    TP_MESSAGE_HEAD_BYTES = 12,
    TP_MESSAGE_ANSWER_BYTES = 16,
    TP_MESSAGE_NAME_BYTES = 256,
    TP_MESSAGE_STREAM_BYTES = 1 << 25,
    TP_MESSAGE_PATIENCE_MS = 10000  // of silence in the middle of one
};
#define TP_MESSAGE_MAGIC "TPC1"

struct tp_stream_message {
    char name[TP_MESSAGE_NAME_BYTES + 1];  // for errors
    uint8_t *bytes;                        // [size]
    uint32_t size;
};

struct tp_stream_answer {
    tp_status status;
    uint32_t fault;  // of the sender, for tp__stream_fault_name
    uint32_t block_rams;
    char text[TP_ERROR_TEXT_BYTES];  // of an error; not empty then
};

/** Over a descriptor that does not block. False: the connection ended, or was silent too long. */
bool tp__message_send(int descriptor, const uint8_t *bytes, size_t size, const char *name);
bool tp__answer_send(int descriptor, const struct tp_stream_answer *answer);

/** Takes what the other side sends. False also: that is no message, or there is no memory for it.
 *  owns   message  the caller, to be freed when it was taken */
bool tp__message_take(int descriptor, struct tp_stream_message *message);
bool tp__answer_take(int descriptor, struct tp_stream_answer *answer);
void tp__message_free(struct tp_stream_message *message);

/** Sends a stream to HOST:PORT and takes the answer.
 *  out    fault, block_rams  of the server
 *  error  of the server, with its text
 *         TP_ERROR_DEVICE  the connection ended; TP_ERROR_NOT_FOUND, TP_ERROR_TIMEOUT, as tcp's */
TP_MUST_USE tp_status tp__tcp_configure(const char *address, const uint8_t *bytes, size_t size,
                                        const char *name, uint32_t *fault, uint32_t *block_rams,
                                        struct tp_error *error);

#endif

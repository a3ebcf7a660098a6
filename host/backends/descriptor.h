// SPDX-License-Identifier: Apache-2.0
//
// Bytes through a descriptor that does not block: a socket or a terminal.

#ifndef TP_BACKEND_DESCRIPTOR_H
#define TP_BACKEND_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Reads what is there, at most max bytes. False: the other side is gone. */
bool tp__descriptor_read(int descriptor, uint8_t *bytes, size_t max, size_t *count);

/** Writes as much as there is room for. False: the other side is gone; no signal is raised. */
bool tp__descriptor_write(int descriptor, const uint8_t *bytes, size_t size, size_t *count);

/** exchange() of a back end (backend.h). False: the other side is gone, and what it had sent was
 *  given before. */
bool tp__descriptor_exchange(int descriptor, const uint8_t *out, size_t out_count,
                             size_t *out_taken, uint8_t *in, size_t in_max, size_t *in_count);

/** All bytes, or false: the connection ended, or for so long none came. */
bool tp__descriptor_read_all(int descriptor, uint8_t *bytes, size_t size, int patience_ms);
bool tp__descriptor_write_all(int descriptor, const uint8_t *bytes, size_t size, int patience_ms);

#endif

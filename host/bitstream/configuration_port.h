// SPDX-License-Identifier: Apache-2.0
//
// The configuration port of a simulated device: what JTAG is for a board.
//
// It takes the streams that a board would take. Simulated are the checks of the device and of the
// host, and the contents of block RAM; frames are checked, but have no effect: the RTL that is
// simulated, or the golden model, is the base design, which the base hash ties to the stream.

#ifndef TP_BITSTREAM_CONFIGURATION_PORT_H
#define TP_BITSTREAM_CONFIGURATION_PORT_H

#include "backend.h"
#include "block_map.h"

struct tp_configuration_port {
    const struct tp_backend *backend;
    void *state;               // of the back end
    struct tp_block_map *map;  // of the design that it was booted with; NULL: it was not
};

/** Configures the device with a full stream of the map's design. The block RAMs get the contents
 *  that the stream has; the device is then as it was for the rest.
 *  in     port  with back end and state; booted again, it keeps what it was when this fails
 *         name  of the stream, for messages
 *  out    fault  always; TP_FAULT_NONE also when the map or the device is at fault
 *  error  of the fault; of tp__map_load
 *         TP_ERROR_UNSUPPORTED  the back end simulates no configuration port
 *         TP_ERROR_MISMATCH     the map is of another configuration than the device
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__port_boot(struct tp_configuration_port *port, const char *map,
                                    const uint8_t *bytes, size_t size, const char *name,
                                    enum tp_stream_fault *fault, struct tp_error *error);

/** Takes a partial stream while the device stands between steps: all of it, or nothing.
 *  out    fault  always
 *         block_rams  that it has written
 *  error  of the fault; TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__port_take(const struct tp_configuration_port *port, const uint8_t *bytes,
                                    size_t size, const char *name, enum tp_stream_fault *fault,
                                    uint32_t *block_rams, struct tp_error *error);

/** Leaves a port that was not booted. */
void tp__port_free(struct tp_configuration_port *port);

#endif

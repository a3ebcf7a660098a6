// SPDX-License-Identifier: Apache-2.0
//
// A Verilated unit as a C library: open, ports by name, clock.
//
// Every unit test links one unit, so one header serves all of them; the table of ports is made from
// the header that Verilator writes. Names are the names in the RTL ("in_valid_i"). A cycle is: set
// inputs, tp_dut_settle (outputs that depend on inputs are now right), look at outputs, tp_dut_tick
// (rising and falling edge). Inputs thus change after the falling edge and are settled before the
// rising one, which is what the assertions in the RTL expect. Misuse aborts.

#ifndef TP_DUT_H
#define TP_DUT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tp_dut;
struct tp_port;

/** Opens the unit with random power-up state and holds reset for some cycles.
 *  in     seed  selects the power-up bits of every register and memory
 *  owns   the caller closes it
 */
struct tp_dut *tp_dut_open(uint64_t seed);

/** As tp_dut_open, but leaves rst_ni low and runs no clock. */
struct tp_dut *tp_dut_open_in_reset(uint64_t seed);

void tp_dut_close(struct tp_dut *dut);

/** Drives rst_ni low for cycles clock edges, then high. */
void tp_dut_reset(struct tp_dut *dut, uint32_t cycles);

/** Evaluates combinational logic with the clock low. */
void tp_dut_settle(struct tp_dut *dut);

/** Settles, then one rising and one falling edge of clk_i. */
void tp_dut_tick(struct tp_dut *dut);

/** Rising edges since open. */
uint64_t tp_dut_cycles(const struct tp_dut *dut);

/** Looks a port up; aborts with a message when the unit has none of that name. */
struct tp_port *tp_dut_port(struct tp_dut *dut, const char *name);

/** As tp_dut_port, but returns NULL when the unit has none of that name. */
struct tp_port *tp_dut_find_port(struct tp_dut *dut, const char *name);

/** Bits of a port. */
uint32_t tp_port_width(const struct tp_port *port);

/** 32-bit words that hold a port. */
uint32_t tp_port_words(const struct tp_port *port);

/** Sets a port of at most 64 bits; bits beyond the width must be zero. */
void tp_port_set(struct tp_port *port, uint64_t value);

/** Reads a port of at most 64 bits. */
uint64_t tp_port_get(const struct tp_port *port);

/** Reads a port of at most 64 bits as a two's complement number. */
int64_t tp_port_get_signed(const struct tp_port *port);

/** Sets any port from tp_port_words words, least significant first; bits beyond the width are
 *  ignored. */
void tp_port_set_words(struct tp_port *port, const uint32_t *words);

/** Reads any port into tp_port_words words, least significant first; bits beyond the width are
 *  zero. */
void tp_port_get_words(const struct tp_port *port, uint32_t *words);

/** Short forms for tests that touch a port once. */
void tp_dut_set(struct tp_dut *dut, const char *name, uint64_t value);
uint64_t tp_dut_get(struct tp_dut *dut, const char *name);

#ifdef __cplusplus
}
#endif

#endif

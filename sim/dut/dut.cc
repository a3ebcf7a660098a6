// SPDX-License-Identifier: Apache-2.0
//
// The generic shim: the Verilated unit Vdut behind the C functions of dut.h.
//
// unit.inc includes all files that Verilator made of the unit.
// ports.inc is made by make_ports.py from Vdut.h. With tracing built in, TP_WAVE names the FST
// file.

#include "dut.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "unit.inc"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#include <unistd.h>
#endif

struct tp_port {
    const char *name;
    void *data;
    uint32_t width;
    uint32_t bytes;  // of the C++ type, or of one word of a wide port
    bool is_wide;
    bool is_input;
};

struct tp_dut {
    VerilatedContext context;
    std::unique_ptr<Vdut> model;
    std::vector<tp_port> ports;
    tp_port *clock;
    tp_port *reset;  // absent in cells without reset
    uint64_t cycles;
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
#endif
};

namespace
{

[[noreturn]] void fail(const char *what, const char *name)
{
    std::fprintf(stderr, "dut: %s: %s\n", what, name);
    std::abort();
}

uint64_t load(const tp_port &port)
{
    if (port.bytes == 1) return *static_cast<uint8_t *>(port.data);
    if (port.bytes == 2) return *static_cast<uint16_t *>(port.data);
    if (port.bytes == 4) return *static_cast<uint32_t *>(port.data);
    return *static_cast<uint64_t *>(port.data);
}

void store(const tp_port &port, uint64_t value)
{
    if (port.bytes == 1)
        *static_cast<uint8_t *>(port.data) = static_cast<uint8_t>(value);
    else if (port.bytes == 2)
        *static_cast<uint16_t *>(port.data) = static_cast<uint16_t>(value);
    else if (port.bytes == 4)
        *static_cast<uint32_t *>(port.data) = static_cast<uint32_t>(value);
    else
        *static_cast<uint64_t *>(port.data) = value;
}

uint64_t mask(uint32_t width)
{
    return width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
}

void evaluate(tp_dut *dut)
{
    dut->model->eval();
#if VM_TRACE
    if (dut->trace) dut->trace->dump(dut->context.time());
#endif
    dut->context.timeInc(1);
}

}  // namespace

extern "C" {

tp_dut *tp_dut_open_in_reset(uint64_t seed)
{
    tp_dut *self = new tp_dut();
    self->context.randReset(2);
    // Verilator wants a positive 31-bit seed; 0 would mean "take the time".
    self->context.randSeed(static_cast<int>(1 + (seed * 2654435761u) % 2147483646u));
    self->context.assertOn(true);
#if VM_TRACE
    const char *wave = std::getenv("TP_WAVE");
    if (wave) self->context.traceEverOn(true);
#endif
    self->model = std::make_unique<Vdut>(&self->context, "dut");
    Vdut *dut = self->model.get();
    self->ports = {
#include "ports.inc"
    };
    self->clock = tp_dut_find_port(self, "clk_i");
    self->reset = tp_dut_find_port(self, "rst_ni");
    if (!self->clock) fail("the unit has no clock", "clk_i");
    for (tp_port &port : self->ports) {
        if (!port.is_input) continue;
        if (!port.is_wide)
            store(port, 0);
        else
            std::memset(port.data, 0, 4 * tp_port_words(&port));
    }
#if VM_TRACE
    if (wave) {
        self->trace = std::make_unique<VerilatedFstC>();
        self->model->trace(self->trace.get(), 99);
        self->trace->open(wave);
    }
#endif
    return self;
}

tp_dut *tp_dut_open(uint64_t seed)
{
    tp_dut *dut = tp_dut_open_in_reset(seed);
    if (dut->reset) tp_dut_reset(dut, 4);
    return dut;
}

void tp_dut_close(tp_dut *dut)
{
    if (!dut) return;
    dut->model->final();
#if VM_TRACE
    if (dut->trace) dut->trace->close();
#endif
#if VM_COVERAGE
    // Tests run forked, so each open unit leaves a file of its own.
    const char *folder = std::getenv("TP_COVERAGE");
    static int serial = 0;
    if (folder) {
        std::string name = std::string(folder) + "/" + std::to_string(getpid()) + "_" +
                           std::to_string(serial++) + ".dat";
        dut->context.coveragep()->write(name.c_str());
    }
#endif
    delete dut;
}

void tp_dut_reset(tp_dut *dut, uint32_t cycles)
{
    if (!dut->reset) fail("the unit has no reset", "rst_ni");
    store(*dut->reset, 0);
    for (uint32_t i = 0; i < cycles; i++) tp_dut_tick(dut);
    store(*dut->reset, 1);
    evaluate(dut);
}

void tp_dut_settle(tp_dut *dut)
{
    evaluate(dut);
}

void tp_dut_tick(tp_dut *dut)
{
    evaluate(dut);
    store(*dut->clock, 1);
    evaluate(dut);
    store(*dut->clock, 0);
    evaluate(dut);
    dut->cycles++;
}

uint64_t tp_dut_cycles(const tp_dut *dut)
{
    return dut->cycles;
}

tp_port *tp_dut_find_port(tp_dut *dut, const char *name)
{
    for (tp_port &port : dut->ports) {
        if (std::strcmp(port.name, name) == 0) return &port;
    }
    return nullptr;
}

tp_port *tp_dut_port(tp_dut *dut, const char *name)
{
    tp_port *port = tp_dut_find_port(dut, name);
    if (!port) fail("no such port", name);
    return port;
}

uint32_t tp_port_width(const tp_port *port)
{
    return port->width;
}

uint32_t tp_port_words(const tp_port *port)
{
    return (port->width + 31) / 32;
}

void tp_port_set(tp_port *port, uint64_t value)
{
    if (!port->is_input) fail("set of an output", port->name);
    if (port->width > 64 || (value & ~mask(port->width))) fail("value too wide", port->name);
    if (!port->is_wide) {
        store(*port, value);
        return;
    }
    uint32_t words[2] = {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)};
    tp_port_set_words(port, words);
}

uint64_t tp_port_get(const tp_port *port)
{
    if (port->width > 64) fail("get of a port wider than 64 bits", port->name);
    if (!port->is_wide) return load(*port) & mask(port->width);
    uint32_t words[2] = {0, 0};
    tp_port_get_words(port, words);
    return words[0] | (static_cast<uint64_t>(words[1]) << 32);
}

int64_t tp_port_get_signed(const tp_port *port)
{
    uint64_t value = tp_port_get(port);
    uint64_t sign = uint64_t{1} << (port->width - 1);
    return static_cast<int64_t>((value ^ sign) - sign);
}

void tp_port_set_words(tp_port *port, const uint32_t *words)
{
    if (!port->is_input) fail("set of an output", port->name);
    uint32_t count = tp_port_words(port);
    if (!port->is_wide) {
        uint64_t value = words[0];
        if (count > 1) value |= static_cast<uint64_t>(words[1]) << 32;
        store(*port, value & mask(port->width));
        return;
    }
    uint32_t *data = static_cast<uint32_t *>(port->data);
    std::memcpy(data, words, 4 * count);
    if (port->width % 32) data[count - 1] &= static_cast<uint32_t>(mask(port->width % 32));
}

void tp_port_get_words(const tp_port *port, uint32_t *words)
{
    uint32_t count = tp_port_words(port);
    if (!port->is_wide) {
        uint64_t value = load(*port) & mask(port->width);
        words[0] = static_cast<uint32_t>(value);
        if (count > 1) words[1] = static_cast<uint32_t>(value >> 32);
        return;
    }
    std::memcpy(words, port->data, 4 * count);
    if (port->width % 32) words[count - 1] &= static_cast<uint32_t>(mask(port->width % 32));
}

void tp_dut_set(tp_dut *dut, const char *name, uint64_t value)
{
    tp_port_set(tp_dut_port(dut, name), value);
}

uint64_t tp_dut_get(tp_dut *dut, const char *name)
{
    return tp_port_get(tp_dut_port(dut, name));
}

}  // extern "C"

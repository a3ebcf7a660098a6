#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the ECP5 netlist that yosys wrote as Verilog that simulates fast.

Usage: netlist.py NETLIST.json TOP [--plant] > netlist.v

The same file goes to place and route. Every bit becomes a net of its own, so that no vector makes
loops where there are none. LUTs, their multiplexers, carry cells and flip-flops become the
expressions that they are, flip-flops with the same clock, enable and reset in one process; every
other cell stays an instance of the module of its name: TRELLIS_DPR16X4 of yosys' models, the rest
of sim/ecp5. What is not known is refused. Flip-flops power up as the device's do. Bits that
synthesis left open are zero, as in the bitstream.

--plant inverts one LUT in the middle of the netlist: the fault that a test of it must find.
"""

import argparse
import collections
import json
import re
import sys

INSTANCES = ("TRELLIS_DPR16X4", "DP16KD", "MULT18X18D", "EHXPLLL")


def fail(message):
    sys.exit(f"netlist: {message}")


def name_of(bit):
    """A net or a constant."""
    if isinstance(bit, int):
        return f"n{bit}"
    return "1'b1" if bit == "1" else "1'b0"


def vector(bits):
    names = [name_of(b) for b in reversed(bits)]
    return names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"


def number(bits):
    return int(re.sub(r"[xz]", "0", bits), 2)


def parameter(value):
    """Yosys writes numbers as strings of bits, and a string that looks like bits with a space after
    it."""
    if isinstance(value, int):
        return str(value)
    if re.fullmatch(r"[01xz]+", value):
        return f"{len(value)}'h{number(value):x}"
    return f'"{value[:-1] if re.fullmatch("[01xz]* +", value) else value}"'


def text(cell, name, default):
    return cell["parameters"].get(name, default).strip()


def pin(cell, name):
    return name_of(cell["connections"].get(name, ["0"])[0])


def look_up(bits, table, pins):
    return f"1'({bits}'h{table:x} >> {{{', '.join(pins)}}})"


def lut(cell, flip=0):
    table = number(cell["parameters"]["INIT"]) ^ flip
    return look_up(16, table, [pin(cell, p) for p in "DCBA"])


def assign(cell, output, expression):
    """An output that nothing reads has no net."""
    for bit in cell["connections"].get(output, []):
        if isinstance(bit, int):
            print(f"  assign n{bit} = {expression};")


def print_carry(key, cell):
    """Two bits of a carry chain. INJECT cuts the carry off from the sums, which logic may use."""
    carry = pin(cell, "CIN")
    for i, output in enumerate(("mid", "COUT")):
        table = number(cell["parameters"][f"INIT{i}"])
        pins = [pin(cell, f"{p}{i}") for p in "DCBA"]
        is_cut = text(cell, f"INJECT1_{i}", "YES") == "YES"
        four = f"c{key}_{i}"
        two = "1'b0" if is_cut else look_up(4, table & 15, pins[2:])
        print(f"  wire {four} = {look_up(16, table, pins)};")
        assign(cell, f"S{i}", four if is_cut else f"{four} ^ {carry}")
        expression = f"{four} ? {carry} : {two}"
        if output == "mid":
            print(f"  wire m{key} = {expression};")
            carry = f"m{key}"
        else:
            assign(cell, output, expression)


def flip_flop(key, cell):
    """What its process waits for: clock edge, reset, enable; and its line: net, input, value after
    reset and at power-up."""
    known = {"CLKMUX": ("CLK", "INV"), "LSRMUX": ("LSR", "INV"), "CEMUX": ("1", "0", "CE", "INV"),
             "SRMODE": ("LSR_OVER_CE", "ASYNC"), "REGSET": ("SET", "RESET"), "LSRMODE": ("LSR",)}
    defaults = {"CEMUX": "1", "SRMODE": "LSR_OVER_CE", "REGSET": "RESET"}
    value = {}
    for name, values in known.items():
        value[name] = text(cell, name, defaults.get(name, values[0]))
        if value[name] not in values:
            fail(f"{key}: {name} is {value[name]}")
    reset = pin(cell, "LSR")
    if value["LSRMUX"] == "INV":
        reset = "~" + reset
    if value["SRMODE"] == "ASYNC" and reset != "1'b0":
        fail(f"{key}: asynchronous reset")
    enable = {"1": "1'b1", "0": "1'b0", "CE": pin(cell, "CE"),
              "INV": "~" + pin(cell, "CE")}[value["CEMUX"]]
    edge = ("negedge " if value["CLKMUX"] == "INV" else "posedge ") + pin(cell, "CLK")
    after = "1'b1" if value["REGSET"] == "SET" else "1'b0"
    return (edge, reset, enable), (pin(cell, "Q"), pin(cell, "DI"), after)


def print_flip_flops(groups):
    for (edge, reset, enable), flops in groups.items():
        print(f"  always @({edge})")
        if reset != "1'b0":
            print(f"    if ({reset}) begin")
            for q, _, after in flops:
                print(f"      {q} <= {after};")
            print("    end else")
        print(f"    if ({enable}) begin")
        for q, data, _ in flops:
            print(f"      {q} <= {data};")
        print("    end")


def print_instance(key, cell):
    """Parameters that are zero are left to their defaults: fewer kinds for the simulator."""
    if cell["type"] not in INSTANCES:
        fail(f"{key}: no model of {cell['type']}")
    parameters = ", ".join(f".{name}({parameter(value)})"
                           for name, value in cell["parameters"].items()
                           if not (name.startswith("INIT") and number(value) == 0))
    pins = ", ".join(f".{name}({vector(bits)})" for name, bits in cell["connections"].items())
    print(f"  {cell['type']} " + (f"#({parameters}) " if parameters else "") + f"u{key} ({pins});")


def print_cells(cells, planted):
    groups = collections.defaultdict(list)
    for key, cell in enumerate(cells):
        kind = cell["type"]
        if kind == "LUT4":
            assign(cell, "Z", lut(cell, 0xffff if key == planted else 0))
        elif kind == "PFUMX":
            assign(cell, "Z", f"{pin(cell, 'C0')} ? {pin(cell, 'ALUT')} : {pin(cell, 'BLUT')}")
        elif kind == "L6MUX21":
            assign(cell, "Z", f"{pin(cell, 'SD')} ? {pin(cell, 'D1')} : {pin(cell, 'D0')}")
        elif kind == "CCU2C":
            print_carry(key, cell)
        elif kind == "TRELLIS_FF":
            control, line = flip_flop(key, cell)
            groups[control].append(line)
        else:
            print_instance(key, cell)
    print_flip_flops(groups)


def print_nets(ports, cells):
    flops = {}
    for key, cell in enumerate(cells):
        if cell["type"] == "TRELLIS_FF":
            q, _, after = flip_flop(key, cell)[1]
            flops[q] = after
    nets = {b for p in ports.values() for b in p["bits"] if isinstance(b, int)}
    for cell in cells:
        for bits in cell["connections"].values():
            nets.update(b for b in bits if isinstance(b, int))
    for net in sorted(nets):
        after = flops.get(f"n{net}")
        print(f"  reg n{net} = {after};" if after else f"  wire n{net};")


def print_module(top, ports, cells, plant):
    luts = [key for key, cell in enumerate(cells) if cell["type"] == "LUT4"]
    if plant and not luts:
        fail(f"{top} has no LUT to plant a fault in")
    print(f"module {top} (")
    print(",\n".join(f"  {p['direction']} wire [{len(p['bits']) - 1}:0] {port}"
                     for port, p in ports.items()))
    print(");")
    print_nets(ports, cells)
    for port, p in ports.items():
        if p["direction"] == "output":
            print(f"  assign {port} = {vector(p['bits'])};")
            continue
        for i, bit in enumerate(p["bits"]):
            print(f"  assign {name_of(bit)} = {port}[{i}];")
    print_cells(cells, luts[len(luts) // 2] if plant else None)
    print("endmodule")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("top")
    parser.add_argument("--plant", action="store_true")
    args = parser.parse_args()
    with open(args.file, encoding="utf-8") as source:
        modules = json.load(source)["modules"]
    if args.top not in modules:
        fail(f"{args.file} has no module {args.top}")
    module = modules[args.top]
    print_module(args.top, module["ports"], list(module["cells"].values()), args.plant)


main()

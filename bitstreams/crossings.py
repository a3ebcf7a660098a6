#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finds the ways from one clock to another in a netlist, and fails if one is outside the cells that
are made for it: into the first register of tp_sync, straight from a register; or through a block
RAM whose ports have a clock each (tp_ram_crossing).

  crossings.py synth.json

The netlist is that of make_bitstream.py, flat and of cells of the ECP5.
"""

import argparse
import collections
import json
import pathlib
import sys

# The first register of tp_sync; the name of its net is that of the register.
FIRST = ".chain_q[0]"
SHOWN = 20


def fail(text):
    sys.exit(f"crossings: {text}")


def clocks_of_ram(ports):
    """The two ports of a DP16KD: a port's letter is the last one of its pins' names, but for the
    number of the bit."""
    return {side: ports[f"CLK{side}"] for side in "AB" if is_net(ports.get(f"CLK{side}"))}


def is_net(bit):
    return isinstance(bit, int)


class Netlist:
    """Bits are numbers; constants are texts and have no clock."""

    def __init__(self, module):
        self.names = {}
        for name, net in module["netnames"].items():
            for i, bit in enumerate(net["bits"]):
                if is_net(bit) and (net["hide_name"] == 0 or bit not in self.names):
                    self.names.setdefault(bit, []).append(
                        f"{name}[{i + net.get('offset', 0)}]" if len(net["bits"]) > 1 else name)
        self.clocked = {}  # bit: the clock that it changes with, of a register or RAM
        self.register = set()  # bits that are a register's output
        self.reads = {}  # bit: the inputs of the logic that makes it
        self.ends = []  # cell, pin, bit, clock, and for a register its output
        for name, cell in module["cells"].items():
            self.add(name, cell)

    def add(self, name, cell):
        kind = cell["type"]
        inputs = collections.defaultdict(list)
        outputs = []
        ports = {}
        for pin, bits in cell["connections"].items():
            ports[pin] = bits[0] if bits else None
            if cell["port_directions"][pin] == "input":
                inputs[pin] = [bit for bit in bits if is_net(bit)]
            else:
                outputs += [(pin, bit) for bit in bits if is_net(bit)]
        if kind == "TRELLIS_FF":
            for _, bit in outputs:
                self.clocked[bit] = ports["CLK"]
                self.register.add(bit)
                self.ends += [(name, pin, end, ports["CLK"], bit)
                              for pin in inputs if pin != "CLK" for end in inputs[pin]]
        elif kind == "DP16KD":
            clocks = clocks_of_ram(ports)
            for pin, bit in outputs:
                if side_of(pin) in clocks:
                    self.clocked[bit] = clocks[side_of(pin)]
            self.ends += [(name, pin, end, clocks[side_of(pin)], None) for pin in inputs
                          if not pin.startswith("CLK") and side_of(pin) in clocks
                          for end in inputs[pin]]
        elif kind == "TRELLIS_DPR16X4":
            # What is written changes what is read, so both have its clock.
            clock = ports["WCK"]
            self.ends += [(name, pin, end, clock, None) for pin in inputs
                          if pin not in ("WCK", "RAD") for end in inputs[pin]]
            for _, bit in outputs:
                self.reads[bit] = (inputs["RAD"], clock)
        elif kind in ("MULT18X18D", "ALU54B"):
            clocks = {bit for pin in inputs if pin.startswith("CLK") for bit in inputs[pin]}
            if len(clocks) > 1:
                fail(f"{name} has several clocks")
            clock = clocks.pop() if clocks else None
            ends = [bit for pin in inputs if not pin.startswith("CLK") for bit in inputs[pin]]
            if clock is not None:
                self.ends += [(name, "inputs", bit, clock, None) for bit in ends]
            for _, bit in outputs:
                self.reads[bit] = (ends, clock)
        elif kind not in ("EHXPLLL", "TRELLIS_IO", "$scopeinfo"):
            # Logic: LUT4, PFUMX, L6MUX21, CCU2C.
            ends = [bit for pin in inputs for bit in inputs[pin]]
            for _, bit in outputs:
                self.reads[bit] = (ends, None)

    def name(self, bit):
        """The one that is nearest to the top, as place and route has it."""
        names = self.names.get(bit, [f"net {bit}"])
        return min(names, key=lambda text: (text.count("."), text))

    def clocks_behind(self):
        """A function of a bit: the clocks of all registers that reach it through logic."""
        known = {bit: frozenset([clock]) for bit, clock in self.clocked.items()}

        def clocks(bit):
            stack = [bit]
            while stack:
                top = stack[-1]
                if top in known:
                    stack.pop()
                    continue
                ends, own = self.reads.get(top, ((), None))
                todo = [end for end in ends if end not in known]
                # A loop of logic would never end; lint allows none.
                if todo:
                    stack += todo
                    continue
                all_clocks = set() if own is None else {own}
                for end in ends:
                    all_clocks |= known[end]
                known[top] = frozenset(all_clocks)
                stack.pop()
            return known[bit]

        return clocks


def side_of(pin):
    """DIA3, CLKA, CSB0, ADB12: the port of a block RAM's pin."""
    return pin.rstrip("0123456789")[-1]


def crossings(netlist):
    """The ways that are allowed, counted by their end, and the others."""
    clocks = netlist.clocks_behind()
    allowed = []
    wrong = []
    for name, pin, bit, clock, output in netlist.ends:
        foreign = clocks(bit) - {clock}
        if not foreign:
            continue
        end = netlist.names.get(output, [])
        # Not its enable and its reset.
        is_data = pin in ("DI", "M")
        if is_data and bit in netlist.register and any(text.endswith(FIRST) for text in end):
            allowed.append(netlist.name(output))
        else:
            wrong.append(f"{netlist.name(bit)} ({', '.join(map(netlist.name, foreign))}) to "
                         f"{end[0] if end else name} {pin} ({netlist.name(clock)})")
    return allowed, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("netlist", type=pathlib.Path)
    args = parser.parse_args()
    try:
        modules = json.loads(args.netlist.read_text(encoding="utf-8"))["modules"]
        top = [m for m in modules.values() if int(m["attributes"].get("top", "0"), 2)]
        netlist = Netlist(top[0])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        fail(f"{args.netlist} is no netlist of make_bitstream.py: {error!r}")
    allowed, wrong = crossings(netlist)
    names = sorted({netlist.name(clock) for _, _, _, clock, _ in netlist.ends})
    print(f"clocks {', '.join(names)}: {len(allowed)} ways through tp_sync")
    for text in allowed:
        print(f"  {text}")
    for text in wrong[:SHOWN]:
        print(f"error: {text}")
    if wrong:
        fail(f"error: {len(wrong)} ways from clock to clock outside tp_sync and tp_ram_crossing")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the header that Verilator made for a unit and prints its ports as a C++ table for dut.cc.

Usage: make_ports.py Vdut.h > ports.inc
"""

import re
import sys

PORT = re.compile(r"VL_(IN|OUT)(8|16|64|W|)\(&(\w+),(\d+),(\d+)(?:,(\d+))?\);")
BYTES = {"8": 1, "16": 2, "": 4, "64": 8, "W": 4}

with open(sys.argv[1], encoding="ascii") as header:
    ports = PORT.findall(header.read())
if not ports:
    sys.exit(f"make_ports: no ports in {sys.argv[1]}")
for direction, kind, name, msb, lsb, _ in ports:
    width = int(msb) - int(lsb) + 1
    address = f"&dut->{name}[0]" if kind == "W" else f"&dut->{name}"
    is_input = int(direction == "IN")
    print(f'{{"{name}", {address}, {width}, {BYTES[kind]}, {int(kind == "W")}, {is_input}}},')

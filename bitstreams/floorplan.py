#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws a routed design as SVG: each used slice, block RAM and multiplier in its unit's colour.

Usage: floorplan.py build/bitstream/ulx3s-85f/routed.json > floorplan.svg

The unit of a cell is the first instance in its name below the board and the core
(u_board.u_core.u_matvec.x is matvec's); synthesis names a LUT by the net that it drives, so what
drives a unit's output counts for the core. The file is read line by line: that of a full device has
hundreds of megabytes.
"""

import collections
import json
import re
import sys

TILE = 8  # drawn size of a tile, of two by two slices
SHELLS = ("u_board", "u_core")
UNITS_MAX = 18
LEGEND = 340
LINE = 18
# Big cells take more than the tile that they are named by.
BIG = {"DP16KD": ("block RAM", 2, 1), "MULT18X18D": ("multiplier", 1, 1),
       "ALU54B": ("adder", 1, 1), "EHXPLLL": ("PLL", 2, 1)}
SMALL = ("TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW")
CELLS = re.compile(r'^(\s*)"cells": \{\s*$')
NAME = re.compile(r'^\s*("(?:[^"\\]|\\.)*"): \{\s*$')
VALUE = re.compile(r'^\s*"(type|NEXTPNR_BEL)": "([^"]*)",?\s*$')
PLACE = re.compile(r"X(\d+)/Y(\d+)/(?:SLICE([A-D]))?")


def placed_cells(lines):
    """Yields name, type and place of each cell of the one module."""
    inner = None
    name = None
    cell = {}
    for line in lines:
        if inner is None:
            found = CELLS.match(line)
            if found:
                inner = len(found[1]) + 2
            continue
        indent = len(line) - len(line.lstrip())
        if indent < inner:
            return
        if indent == inner:
            found = NAME.match(line)
            if found:
                name = json.loads(found[1])
                cell = {}
            elif "type" in cell and "NEXTPNR_BEL" in cell:
                yield name, cell["type"], cell["NEXTPNR_BEL"]
        else:
            found = VALUE.match(line)
            if found:
                cell[found[1]] = found[2]


def unit_of(name):
    parts = name.lstrip("$").split(".")
    if parts[0] == "gbuf" or len(parts) == 1 or not parts[0].startswith("u_"):
        return "board" if parts[0].startswith(("led", "uart")) else "other"
    while parts and parts[0] in SHELLS:
        shell = parts.pop(0)
        if not parts or not parts[0].startswith("u_"):
            return shell[2:]
    return parts[0][2:]


class Floor:
    """Units of slices and big cells by place, and counts by unit."""

    def __init__(self):
        self.slices = collections.defaultdict(collections.Counter)
        self.big = []
        self.counts = collections.defaultdict(collections.Counter)
        self.width = self.height = 0

    def add(self, name, kind, bel):
        found = PLACE.match(bel)
        if found is None:
            return
        x, y = int(found[1]), int(found[2])
        self.width = max(self.width, x + 1)
        self.height = max(self.height, y + 1)
        unit = unit_of(name)
        self.counts[unit][kind] += 1
        if kind in SMALL and found[3]:
            corner = ord(found[3]) - ord("A")
            self.slices[2 * x + corner % 2, 2 * y + corner // 2][unit] += 1
        elif kind in BIG:
            self.big.append((x, y, kind, unit))

    def units(self):
        """Units by LUTs, the largest first; the small ones are not named."""
        order = sorted(self.counts, key=lambda u: (-self.counts[u]["TRELLIS_COMB"], u))
        return order[:UNITS_MAX]


def colour(number):
    """Hues by the golden angle lie far apart, however many there are."""
    return f"hsl({number * 137.508 % 360:.0f},{70 - number % 3 * 12}%,{46 + number % 2 * 14}%)"


def slice_path(floor, unit, units):
    """Runs of slices of a unit; unit None stands for all that are not named."""
    mine = set()
    for place, owners in floor.slices.items():
        owner = max(sorted(owners), key=lambda u: owners[u])
        if owner == unit or unit is None and owner not in units:
            mine.add(place)
    parts = []
    for x, y in sorted(mine, key=lambda p: (p[1], p[0])):
        if (x - 1, y) in mine:
            continue
        run = 1
        while (x + run, y) in mine:
            run += 1
        parts.append(f"M{x} {y}h{run}v1h-{run}z")
    return "".join(parts)


def draw(floor, out):
    units = floor.units()
    total = sum(c["TRELLIS_COMB"] for c in floor.counts.values()) or 1
    width, height = floor.width * TILE, max(floor.height * TILE, LINE * (len(units) + 4))
    out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + LEGEND}" '
              f'height="{height}" font-family="sans-serif" font-size="13">\n'
              f'<rect width="100%" height="100%" fill="white"/>\n'
              f'<rect width="{width}" height="{floor.height * TILE}" fill="#eeeeee"/>\n')
    rows = [(unit, colour(i)) for i, unit in enumerate(units)] + [(None, "#999999")]
    for unit, fill in rows:
        path = slice_path(floor, unit, units)
        if path:
            out.write(f'<path transform="scale({TILE / 2})" fill="{fill}" d="{path}"/>\n')
        for x, y, kind, owner in floor.big:
            if owner == unit or unit is None and owner not in units:
                _, wide, high = BIG[kind]
                out.write(f'<rect x="{x * TILE}" y="{y * TILE}" width="{wide * TILE - 1}" '
                          f'height="{high * TILE - 1}" fill="{fill}" stroke="black" '
                          f'stroke-width="{0.8 if kind == "DP16KD" else 0.3}"/>\n')
    for i, (unit, fill) in enumerate(rows):
        members = [unit] if unit else [u for u in floor.counts if u not in units]
        count = collections.Counter()
        for member in members:
            count.update(floor.counts[member])
        if not count:
            continue
        text = f'{unit or "rest"}: {count["TRELLIS_COMB"]} LUT, ' \
               f'{100 * count["TRELLIS_COMB"] / total:.1f} %'
        for kind, (name, _, _) in BIG.items():
            if count[kind] and kind in ("DP16KD", "MULT18X18D"):
                text += f", {count[kind]} {'RAM' if name == 'block RAM' else 'mul'}"
        y = LINE * (i + 1)
        out.write(f'<rect x="{width + 12}" y="{y - 11}" width="12" height="12" fill="{fill}"/>\n'
                  f'<text x="{width + 32}" y="{y}">{text}</text>\n')
    out.write("</svg>\n")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: floorplan.py routed.json > floorplan.svg")
    floor = Floor()
    try:
        with open(sys.argv[1], encoding="utf-8") as lines:
            for cell in placed_cells(lines):
                floor.add(*cell)
    except OSError as error:
        sys.exit(f"floorplan: {error}")
    if not floor.counts:
        sys.exit(f"floorplan: {sys.argv[1]} holds no placed cell: it is what nextpnr --write makes")
    draw(floor, sys.stdout)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives block RAMs and multipliers of a netlist their places, before place and route.

  sites.py --part 85 --rules constraints/ulx3s-85f.sites synth.json placed.json

The placer moves the few hard blocks last, and away from the logic around them; what is wide and
regular (matrix lanes, weights, keys and values) has a better place by construction. A line of the
rules is

  multiplier|block_ram  COLUMN  ROW[,ROW...]  PATTERN

The cells of that kind whose whole name matches PATTERN (a regular expression with groups of digits)
are put in the order of these numbers into the sites from block column COLUMN on: four sites a
block; the rows from top to bottom, in every second column from bottom to top, then the next column.
Cells keep the order, so neighbours in name are neighbours in place. `#` begins a comment.
"""

import argparse
import json
import re
import sys

CELLS = {"multiplier": "MULT18X18D", "block_ram": "DP16KD"}
# By thousands of LUTs: X of the block columns, Y of the rows with multipliers, with block RAMs
# (Project Trellis, tilegrid.json of the part: tiles MIB_DSP0, MIB_EBR0).
PARTS = {
    "85": {
        "columns": [4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114],
        "multiplier": [10, 34, 58],
        "block_ram": [22, 46, 70, 82],
    },
    "45": {
        "columns": [4, 13, 22, 31, 42, 51, 60, 69, 78],
        "multiplier": [22, 46],
        "block_ram": [10, 34, 58],
    },
}


class Bad(Exception):
    """A rule or a netlist that cannot be used; the text says where."""


def site(kind, x, y, n):
    if kind == "multiplier":
        place = (0, 1, 4, 5)[n]
        return f"X{x + place}/Y{y}/MULT18_{place}"
    return f"X{x + 2 * n}/Y{y}/EBR{n}"


def read_rules(text, part):
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        if len(fields) != 4 or fields[0] not in CELLS:
            raise Bad(f"line {number}: not 'multiplier|block_ram COLUMN ROW[,ROW...] PATTERN'")
        kind, column, rows, pattern = fields
        try:
            column = int(column)
            rows = [int(row) for row in rows.split(",")]
            pattern = re.compile(pattern)
        except (ValueError, re.error) as error:
            raise Bad(f"line {number}: {error}") from error
        if not 0 <= column < len(part["columns"]):
            raise Bad(f"line {number}: no block column {column}, there are {len(part['columns'])}")
        for row in rows:
            if row not in part[kind]:
                raise Bad(f"line {number}: no {kind} in row {row}, but in {part[kind]}")
        rules.append((number, kind, column, rows, pattern))
    return rules


def sites_of(kind, column, rows, part):
    for n, x in enumerate(part["columns"][column:]):
        for y in rows if n % 2 == 0 else rows[::-1]:
            for place in range(4):
                yield site(kind, x, y, place)


def place(cells, rules, part):
    """Sets the attribute BEL of the cells that a rule names; returns how many each rule placed."""
    taken = {}
    counts = []
    for number, kind, column, rows, pattern in rules:
        found = []
        for name, cell in cells.items():
            match = pattern.fullmatch(name) if cell["type"] == CELLS[kind] else None
            if match:
                found.append((tuple(int(x) for x in match.groups()), name))
        if not found:
            raise Bad(f"line {number}: no {kind} has a name like {pattern.pattern}")
        free = sites_of(kind, column, rows, part)
        for _, name in sorted(found):
            where = next(free, None)
            if where is None:
                raise Bad(f"line {number}: no site is left for {name}")
            if where in taken:
                raise Bad(f"line {number}: {where} for {name} is taken by {taken[where]}")
            taken[where] = name
            cells[name].setdefault("attributes", {})["BEL"] = where
        counts.append(len(found))
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", required=True, choices=sorted(PARTS))
    parser.add_argument("--rules", required=True)
    parser.add_argument("netlist")
    parser.add_argument("output")
    args = parser.parse_args()
    part = PARTS[args.part]
    try:
        with open(args.rules, encoding="ascii") as file:
            rules = read_rules(file.read(), part)
        with open(args.netlist, encoding="utf-8") as file:
            netlist = json.load(file)
        tops = [m for m in netlist["modules"].values()
                if int(m.get("attributes", {}).get("top", "0"), 2)]
        if len(tops) != 1:
            raise Bad(f"{args.netlist}: {len(tops)} top modules, not one")
        counts = place(tops[0]["cells"], rules, part)
    except Bad as error:
        sys.exit(f"sites: {args.rules}: {error}")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"sites: {error}")
    with open(args.output, "w", encoding="utf-8") as file:
        json.dump(netlist, file)
    print(f"sites: {sum(counts)} cells placed by {len(rules)} rules")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the map of a routed design: which block RAM holds which bits of which memory.

  make_map.py --board ulx3s-85f --routed build/bitstream/ulx3s-85f/routed.json
      --config build/bitstream/ulx3s-85f/design.config --bits bitstreams/ulx3s-85f/tokproc.bit
      --tokproc build/tokproc --output bitstreams/ulx3s-85f/map

From what place and route wrote: names, places, ids and widths of the block RAMs in routed.json; the
same ids must be in design.config and in the bits. How tp_ecp5_ram cuts a memory into blocks follows
from the names of its generate blocks and their widths (rtl/ecp5/README.md); any other block RAM is
a memory of its own. The format is in docs/bitstream.md.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

# Words of a block RAM, by its width.
WORDS = {36: 512, 18: 1024, 9: 2048, 4: 4096, 2: 8192, 1: 16384}
COLUMN = 36  # bits of a column of tp_ecp5_ram
BLOCK = re.compile(r"(.*)\.gen_column\[(\d+)\]\.gen_segment\[(\d+)\]\.gen_block\[(\d+)\]\.u_block")
# The units that take words of a memory space, and which of the space's memories they hold.
SPACES = [
    ("weight", re.compile(r".*\.u_weights\.gen_group\[(\d+)\]\.gen_part\[(\d+)\]\.u_ram"),
     lambda group, part: 4 * int(group) + int(part)),
    ("program", re.compile(r".*\.u_sequencer\.gen_program\[(\d+)\]\.u_program"), int),
    ("gain", re.compile(r".*\.u_rmsnorm\.u_gain"), lambda: 0),
    ("gain", re.compile(r".*\.u_heads\..*\bu_gain"), lambda: 1),
    ("bias", re.compile(r".*\.u_scale\.gen_bias\[(\d+)\]\.u_bias"), int),
    ("centre", re.compile(r".*\.u_heads\.gen_centre\[(\d+)\]\.u_centre"), int),
]


class Bad(Exception):
    """A design that cannot be mapped; the text says why."""


def block_rams(routed):
    """Name, id, width and site of each block RAM."""
    modules = [m for m in routed["modules"].values() if m["cells"]]
    if len(modules) != 1:
        raise Bad(f"{len(modules)} modules with cells, not one: this is no routed design")
    for name, cell in modules[0]["cells"].items():
        if cell["type"] != "DP16KD":
            continue
        attributes, parameters = cell["attributes"], cell["parameters"]
        if "WID" not in attributes or "NEXTPNR_BEL" not in attributes:
            raise Bad(f"{name} has no id and place: this is no routed design")
        widths = {int(parameters[f"DATA_WIDTH_{port}"], 2) for port in "AB"}
        if len(widths) != 1 or not widths <= set(WORDS):
            raise Bad(f"{name} has ports of {sorted(widths)} bits, which a map cannot say")
        yield name, int(attributes["WID"], 2), widths.pop(), attributes["NEXTPNR_BEL"]


def space_of(memory):
    for space, pattern, index in SPACES:
        match = pattern.fullmatch(memory)
        if match:
            return space, index(*match.groups())
    return "-", 0


def memories(routed):
    """Name of each memory, and its blocks: (id, width, site, first word, lowest bit)."""
    cut = {}
    for name, number, width, site in block_rams(routed):
        match = BLOCK.fullmatch(name)
        if match:
            # tp_ram has its memory in a generate block.
            memory = match[1].removesuffix(".gen_block.u_ram")
            column, segment, block = (int(x) for x in match.groups()[1:])
        else:
            memory, column, segment, block = name, 0, 0, 0
        cut.setdefault(memory, {}).setdefault(column, {}).setdefault(segment, {})[block] = \
            number, width, site
    return {memory: list(place(memory, columns)) for memory, columns in sorted(cut.items())}


def place(memory, columns):
    for column, segments in sorted(columns.items()):
        word = 0
        if sorted(segments) != list(range(len(segments))):
            raise Bad(f"{memory}: segments {sorted(segments)} of column {column}: one is missing")
        for _, blocks in sorted(segments.items()):
            widths = {width for _, width, _ in blocks.values()}
            if len(widths) != 1:
                raise Bad(f"{memory}: blocks of {sorted(widths)} bits in one segment")
            width = widths.pop()
            for block, (number, _, site) in sorted(blocks.items()):
                yield number, width, site, word, COLUMN * column + width * block
            word += WORDS[width]


def check_ids(found, config, facts):
    """The ids of the map are those that are packed, and no two are equal."""
    numbers = [block[0] for blocks in found.values() for block in blocks]
    packed = [int(x) for x in re.findall(r"^\.bram_init (\d+)$", config, re.M)]
    written = [c["operand"] >> 11 for c in facts["commands"] if c["opcode"] == 0xf6]
    if len(set(numbers)) != len(numbers):
        raise Bad("two block RAMs have one id")
    for what, others in (("the configuration", packed), ("the bits", written)):
        if sorted(numbers) != sorted(others):
            differing = sorted(set(numbers) ^ set(others))[:8]
            raise Bad(f"the design has {len(numbers)} block RAMs, {what} {len(others)}; ids that "
                      f"only one has: {differing}")


def text_of(board, facts, found):
    yield "# SPDX-License-Identifier: Apache-2.0"
    yield f"# Block RAMs of {board}, by bitstreams/make_map.py; docs/bitstream.md has the format."
    yield "version 1"
    yield f"board {board}"
    yield f"part {facts['part']} {facts['idcode']:08x}"
    yield f"usercode {facts['usercode']:08x}"
    yield f"base {facts['base']}"
    for memory, blocks in found.items():
        space, index = space_of(memory)
        yield f"memory {space} {index} {memory}"
        for number, width, site, word, bit in blocks:
            yield f"block {number} {width} {site} {word} {bit}"


def facts_of(tokproc, bits):
    """What tokproc reads in a bitstream. Whatever map lies beside it is not asked for."""
    done = subprocess.run([str(tokproc), "bitstream", "info", "--json", "--no-map", str(bits)],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", required=True)
    parser.add_argument("--tokproc", default="build/tokproc", help="reads the bits")
    for name in ("routed", "config", "bits", "output"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    args = parser.parse_args()
    try:
        facts = facts_of(args.tokproc, args.bits)
        if facts["partial"]:
            raise Bad(f"{args.bits} is a partial stream")
        found = memories(json.loads(args.routed.read_text(encoding="utf-8")))
        if not found:
            raise Bad("the design has no block RAM")
        check_ids(found, args.config.read_text(encoding="ascii"), facts)
        lines = list(text_of(args.board, facts, found))
    except (Bad, OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
        sys.exit(f"make_map: {args.routed}: {error}")
    args.output.write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{args.output}: {len(found)} memories in {sum(map(len, found.values()))} block RAMs")


if __name__ == "__main__":
    main()

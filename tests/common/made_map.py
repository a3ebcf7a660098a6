# SPDX-License-Identifier: Apache-2.0
"""A map for a bitstream that is there: its block RAMs, in the order of their ids, get the memories
of a configuration. So a bitstream can be packed and booted from, whatever design it is of."""

import json
import subprocess

CORE = "u_board.u_core"


def memories(sizes):
    """Space, index, name and words of each memory that a model writes (bitstreams/make_map.py)."""
    for i in range(4 * sizes["Groups"]):
        yield ("weight", i, f"{CORE}.u_weights.gen_group[{i // 4}].gen_part[{i % 4}].u_ram",
               sizes["WeightBeats"])
    for i in range(6):
        yield "program", i, f"{CORE}.u_sequencer.gen_program[{i}].u_program", sizes["ProgramMax"]
    yield "gain", 0, f"{CORE}.u_rmsnorm.u_gain", 2 * sizes["GainQuads"]
    for i in range(2):
        yield "bias", i, f"{CORE}.u_epilogue.u_scale.gen_bias[{i}].u_bias", sizes["ConstantPairs"]
        yield ("centre", i, f"{CORE}.u_epilogue.u_heads.gen_centre[{i}].u_centre",
               sizes["ConstantPairs"])


def sizes_of(genmap, board):
    lines = subprocess.run([genmap, "--board", board], stdout=subprocess.PIPE,
                           check=True).stdout.decode().splitlines()
    pairs = (line.split("=", 1) for line in lines)
    return {name: int(value) for name, value in pairs if value.isdigit()}


def facts_of(tokproc, bits):
    done = subprocess.run([tokproc, "bitstream", "info", "--json", "--no-map", str(bits)],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def made_map(tokproc, genmap, board, bits):
    """The text of the map."""
    facts = facts_of(tokproc, bits)
    ids = sorted(c["operand"] >> 11 for c in facts["commands"] if c["opcode"] == 0xf6)
    lines = ["version 1", f"board {board}", f"part {facts['part']} {facts['idcode']:08x}",
             f"usercode {facts['usercode']:08x}", f"base {facts['base']}"]
    for space, index, name, words in memories(sizes_of(genmap, board)):
        lines.append(f"memory {space} {index} {name}")
        for word in range(0, words, 512):
            lines.append(f"block {ids.pop(0)} 36 X{len(ids)} {word} 0")
    for i, number in enumerate(ids):
        lines += [f"memory - {i} u_board.u_other[{i}]", f"block {number} 36 X0 0 0"]
    return "\n".join(lines) + "\n"


def crc(data):
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8005 if value & 0x8000 else value << 1) & 0xffff
    return value


def not_for_background(data):
    """The same bitstream, but with the control register of ecppack without --background."""
    data = bytearray(data)
    begin = data.index(b"\xe2\x00\x00\x00")  # behind the command that sets the CRC to 0
    at = data.index(b"\x22\x00\x00\x00", begin) + 4
    end = data.index(b"\xb8\x91", at) + 4
    value = crc(data[begin:end])
    while value != int.from_bytes(data[end:end + 2], "big"):
        value ^= data[end] << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8005 if value & 0x8000 else value << 1) & 0xffff
        end += 1
    data[at] &= ~0x2e
    data[end:end + 2] = crc(data[begin:end]).to_bytes(2, "big")
    return bytes(data)

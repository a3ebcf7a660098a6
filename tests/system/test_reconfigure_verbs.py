#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims about the command line around partial bitstreams: a simulated device that boots from a
packed bitstream, and one that gets a model by a partial one behind some tokens, print what the
same over the link prints; a served device takes a partial bitstream beside its link, or says why
not and has the old model; SVF brings the bytes of the stream, and is only played into a board of
its own, whose design is built for it; a missing map is named with what makes it.

With the bitstream of the ULX3S-45F, a map that is made up, and a board that is made up. Not
covered: the library (tests/host/test_reconfigure.c), other configurations.

TP_TIME_LIMIT_S: 600
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests/common")
from made_map import facts_of, made_map, not_for_background  # noqa: E402
from tap import finish, report  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build"))
TOKPROC = os.environ.get("TOKPROC", str(BUILD / "tokproc"))
GENMAP = str(BUILD / "tp_genmap")
BOARD = "ulx3s-45f"
MODEL = "models/tokproc-stories.bin"
STORY = ["--temp", "0", "-n", "9", "-p", "Once upon a time", "-c", "40", "--json", "-q"]


class Room:
    """Files of the test: two images, a map, bitstreams."""

    def __init__(self, folder):
        self.folder = folder
        self.bits = folder / "bits" / BOARD / "tokproc.bit"
        self.map = folder / "map"

    def path(self, name):
        return str(self.folder / name)

    def run(self, *arguments, env=None):
        done = subprocess.run([TOKPROC, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, env=env)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def story(self, *arguments):
        """Tokens of a story, and cycles as they were counted and predicted; or the error."""
        status, out, err = self.run("run", *STORY, *arguments)
        if status != 0:
            return err.splitlines()
        value = json.loads(out.splitlines()[-1])
        return value["tokens"], value["cycles_counted"], value["cycles_predicted"]


def said(result, pattern, status=1):
    """What speaks against a refusal with that line."""
    lines = result[2].splitlines()
    good = result[0] == status and lines and re.search(pattern, lines[-1])
    return [] if good else [f"exit status {result[0]}", *lines]


def prepare(room):
    room.bits.parent.mkdir(parents=True)
    room.bits.write_bytes(pathlib.Path(f"bitstreams/{BOARD}/tokproc.bit").read_bytes())
    room.map.write_text(made_map(TOKPROC, GENMAP, BOARD, room.bits))
    for name, form in (("a", "nf4-all"), ("b", "int4-all")):
        room.run("quantize", "-m", MODEL, "--format", form, "--plain", "--calibrate",
                 "models/prompts.txt", "-o", room.path(name), "-q")
    pack = ["--board", BOARD, "--bitstreams", room.path("bits"), "--map", str(room.map)]
    wrong = []
    for arguments in (["-m", room.path("a"), "-o", room.path("a.bit")],
                      ["-m", room.path("b"), "--partial", "-o", room.path("b.bit")],
                      ["-m", room.path("b"), "--partial", "-o", room.path("b.svf")]):
        status, _, err = room.run("pack", *pack, *arguments)
        wrong += err.splitlines() if status != 0 else []
    report("models are packed for the board", wrong)
    done = room.run("pack", *pack, "-m", room.path("b"), "--partial", "--force", "--json", "-o",
                    room.path("b.bit"))
    plan = room.run("plan", "-m", room.path("b"), "--board", BOARD, "--json")
    packed, planned = json.loads(done[1]), json.loads(plan[1])["places"][0]["formats"][0]
    wrong = [(packed[name], planned[other]) for name, other in
             (("block_rams", "block_rams"), ("bytes", "stream_bytes"))]
    report("plan knows how many block RAMs and bytes",
           [str(pair) for pair in wrong if pair[0] != pair[1]])
    result = room.run("pack", *pack[:4], "-m", room.path("a"), "-o", room.path("c.bit"))
    report("a missing map is named, and what makes it",
           said(result, f"no map .*try: make bitstream-map BOARD={BOARD}"))
    result = room.run("pack", *pack, "-m", room.path("a"), "-o", room.path("c.svf"))
    report("a whole bitstream is not for SVF", said(result, "SVF is for partial", 2))


def booted(room):
    emulator = ["-d", "emu", "--config", BOARD]
    boot = ["--boot", room.path("a.bit"), "--map", str(room.map)]
    plain = room.story("-m", room.path("a"), *emulator)
    report("the emulator boots with the model in its bitstream",
           [] if room.story("-m", room.path("a"), *emulator, *boot) == plain else [str(plain)])
    status, _, err = room.run("run", *STORY[:-1], "-m", room.path("a"), *emulator, *boot)
    report("then the link brings a few words",
           [] if status == 0 and "; 0 further block RAMs" in err else err.splitlines())
    simulated = room.story("-m", room.path("a"), "-d", f"sim:{BOARD}", *boot)
    wrong = simulated[0] != plain[0] or simulated[1] == 0 or simulated[1] != simulated[2]
    report("so does the simulated RTL, with the predicted cycles",
           [f"{simulated}, {plain}"] if wrong else [])
    change = ["--new-model", room.path("b"), "-m", room.path("a")]
    by_link = room.story(*change, *emulator, "--reconfigure", "@4")
    wrong = by_link[0][:4] != plain[0][:4] or by_link[0] == plain[0]
    report("another model behind four tokens", [f"{by_link}, {plain}"] if wrong else [])
    part = ["--reconfigure", room.path("b.bit") + "@4"]
    for device in ("emu", "sim"):
        by_bits = room.story(*change, "-d", f"{device}:{BOARD}", *boot, *part)
        report(f"the same by a bitstream ({device})",
               [] if by_bits[0] == by_link[0] else [f"{by_bits}, {by_link}"])
    result = room.run("run", *STORY, *change, *emulator, *part)
    report("a device that was not booted takes none", said(result, "not booted.*try: --boot"))
    result = room.run("run", *STORY, "-m", room.path("a"), *emulator, *boot, *part)
    report("a bitstream of another model is none of it", said(result, "b.bit does not hold"))
    result = room.run("run", *STORY, *change, *emulator, "--reconfigure", "b.bit")
    report("a change that is none", said(result, "wants FILE@N", 2))
    result = room.run("run", *STORY, "-m", room.path("a"), "-d", "emu", *boot[:2])
    report("a device of no board has no map", said(result, "nobody knows its map", 2))
    return by_link[0]


def served(room, expected):
    def start(*arguments):
        process = subprocess.Popen([TOKPROC, "simulate", "-d", "emu", "--config", BOARD,
                                    *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return process, process.stdout.readline().decode().split()[-1]

    process, name = start("--boot", room.path("a.bit"), "--map", str(room.map))
    try:
        def send(file):
            return room.run("reconfigure", "-d", name, room.path(file))

        status, out, err = send("b.bit")
        wrong = status != 0 or "block RAMs were written" not in out
        report("a served device takes a partial bitstream", err.splitlines() if wrong else [])
        host, port = name.split(":")[1:]
        with socket.create_connection((host, int(port))) as client:
            client.sendall(bytes(265))
            status, _, err = send("b.bit")
            report("also while a program has its link", err.splitlines() if status else [])
        data = bytearray(pathlib.Path(room.path("b.bit")).read_bytes())
        data[5000] ^= 1
        pathlib.Path(room.path("bad.bit")).write_bytes(data)
        result = room.run("reconfigure", "-d", name, "--json", room.path("bad.bit"))
        wrong = said(result, "the CRC of block RAM")
        if json.loads(result[1])["fault"] != "crc-block-ram":
            wrong.append(result[1])
        report("one that is damaged is refused", wrong)
        report("a whole one is refused", said(send("a.bit"), "restarts the device", 2))
        tokens = room.story("-m", room.path("a"), "--new-model", room.path("b"), "-d", name,
                            "--map", str(room.map), "--reconfigure", room.path("b.bit") + "@4")
        report("a program reconfigures the device that it uses",
               [] if tokens[0] == expected else [f"{tokens}, {expected}"])
    finally:
        process.terminate()
        process.communicate()
    process, name = start()
    report("a device that was not booted takes none",
           said(room.run("reconfigure", "-d", name, room.path("b.bit")), "not booted", 2))
    process.terminate()
    process.communicate()
    result = room.run("reconfigure", "-d", "emu", room.path("b.bit"))
    report("nor does one that nobody serves", said(result, "no device that .tokproc simulate"))


def played(text):
    """What a JTAG player sends: the IDCODE that it wants, instructions, the bytes of the burst."""
    wanted, instructions, burst = None, [], b""
    for line in text.splitlines():
        shift = re.fullmatch(r"(S[ID]R) (\d+) TDI \(([0-9A-F]+)\)(?: TDO \((\w+)\).*)?;", line)
        if not shift:
            continue
        kind, bits, digits = shift[1], int(shift[2]), shift[3]
        value = int(digits, 16)
        if kind == "SIR":
            instructions.append(digits)
        elif instructions[-1] == "E0":
            wanted = shift[4]
        elif instructions[-1] == "7A":
            # The lowest bit goes first; the device puts the first one on top of a byte.
            order = f"{value:0{bits}b}"[::-1]
            burst += int(order, 2).to_bytes(bits // 8, "big")
    return wanted, instructions, burst


def svf(room):
    text = pathlib.Path(room.path("b.svf")).read_text(encoding="ascii")
    wanted, instructions, burst = played(text)
    wrong = []
    if wanted != "41112043" or instructions != ["E0", "79", "74", "46", "7A", "26", "FF"]:
        wrong.append(f"{wanted}, {instructions}")
    if burst != pathlib.Path(room.path("b.bit")).read_bytes():
        wrong.append("the burst is not the stream")
    if any(len(line) == 0 or line[0] == " " or "  " in line for line in text.splitlines()):
        wrong.append("lines that simple players do not take")
    report("SVF brings the stream by the recipe", wrong)


def flashed(room):
    setup = ". tests/common/fake_board.sh; plug 1-2 0403 6015 D00123 4"
    room.bits.rename(room.path("board.bit"))
    env = dict(os.environ, ROOM=str(room.folder), TOKPROC=TOKPROC, TP_BUILD=str(BUILD))
    for board in (BOARD, "ulx3s-85f"):  # made by the script below
        folder = room.folder / "bits" / board
        if folder.exists():
            folder.rmdir()
    subprocess.run(["sh", "-c", setup], env=env, check=True)
    env.update(PATH=f"{room.folder}/bin:{os.environ['PATH']}", IDCODE="0x41112043", FAKE="",
               CALLS=room.path("calls"), TOKPROC_ROOT=room.path("root"))

    def use(data):
        room.bits.write_bytes(data)
        digest = subprocess.run(["sha256sum", str(room.bits)], stdout=subprocess.PIPE, check=True)
        path = room.bits.with_name("manifest.json")
        manifest = json.loads(path.read_text())
        manifest.update(bits_bytes=len(data), bits_sha256=digest.stdout.decode().split()[0])
        path.write_text(json.dumps(manifest))

    def flash(*arguments, **changed):
        return room.run("flash", "--partial", "--bitstreams", room.path("bits"), "--map",
                        str(room.map), *arguments, env={**env, **changed})

    data = pathlib.Path(room.path("board.bit")).read_bytes()
    use(not_for_background(data))
    wrong = [] if facts_of(TOKPROC, room.bits)["sound"] else ["the bitstream is not sound"]
    part = room.path("b.bit")
    report("a design that is not built for it is left alone",
           wrong + said(flash(part), "not built for background.*4000003b"))
    use(data)
    status, out, err = flash(part)
    wrong = err.splitlines() if status != 0 or "unproven on silicon" not in out + err else []
    done = pathlib.Path(room.path("played.svf"))
    if not done.exists() or done.read_text() != pathlib.Path(room.path("b.svf")).read_text():
        wrong.append("not the SVF of pack was played")
    report("a partial bitstream is played into its board", wrong)
    report("another FPGA gets nothing",
           said(flash(part, IDCODE="0x41113043"), "IDCODE 0x41113043.*nothing was written"))
    report("another board that is named gets nothing",
           said(flash("--board", "ulx3s-85f", part), "is for ulx3s-45f"))
    report("a whole bitstream is none", said(flash(room.path("a.bit")), "a whole bitstream"))
    report("a damaged one is not offered",
           said(flash(room.path("bad.bit")), "the CRC of block RAM"))
    report("a player that fails is told", said(flash(part, FAKE="fails"), "is not known.*flash"))
    status, out, _ = flash("--dry-run", part)
    report("--dry-run plays nothing",
           [] if status == 0 and "would run: openFPGALoader --board ulx3s" in out else [out])
    report("a file is wanted", said(flash(), "wants one file", 2))


def main():
    if not (BUILD / "sim" / f"{BOARD}.so").exists():
        print(f"skipped: build/sim/{BOARD}.so was not built")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        room = Room(pathlib.Path(name))
        prepare(room)
        expected = booted(room)
        served(room, expected)
        svf(room)
        flashed(room)
    return finish()


sys.exit(main())

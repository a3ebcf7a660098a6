#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a program can judge of the house style, and prints TAP: one test per rule.

Usage: check_style.py, from the repository root. It looks at the files that git tracks.
"""

import os
import pathlib
import re
import subprocess
import sys

COLUMNS = 100
BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build"))
SPDX = "SPDX-License-Identifier: Apache-2.0"
SOURCE = (".c", ".h", ".cc", ".sv", ".svh", ".v", ".def", ".py", ".sh", ".vlt", ".sby", ".params",
          ".lpf", ".txt", ".f", ".ys")
NAMED = ("Makefile", ".gitignore", ".clang-format", "run")
# Data, and formats that have no comments.
NO_SPDX = ("LICENSE",)


def tracked():
    names = subprocess.run(["git", "ls-files"], stdout=subprocess.PIPE, check=True).stdout
    paths = [pathlib.Path(name) for name in names.decode().splitlines()]
    return [p for p in paths if p.is_file()]


def is_source(path):
    if path.parts[0] == "models" and path.suffix == ".txt" or "vectors" in path.parts:
        return False
    return path.suffix in SOURCE or path.name in NAMED


FILES = tracked()
SOURCES = [p for p in FILES if is_source(p)]
PROSE = [p for p in FILES if p.suffix == ".md"]


def lines_of(path):
    return path.read_text(encoding="utf-8").split("\n")


def columns():
    """No line is longer than 100 columns (tables and addresses in prose may be)."""
    for path in SOURCES:
        for number, line in enumerate(lines_of(path), 1):
            if len(line) > COLUMNS and not (path.name == "requirements.txt"):
                yield f"{path}:{number}: {len(line)} columns"


def ascii_text():
    """Sources and prose are ASCII with LF line ends and one final newline; no tabs but in make."""
    for path in SOURCES + PROSE:
        data = path.read_bytes()
        if any(byte > 126 for byte in data):
            yield f"{path}: not ASCII"
        if b"\r" in data:
            yield f"{path}: CR"
        if b"\t" in data and path.name != "Makefile":
            yield f"{path}: tab"
        if data and (not data.endswith(b"\n") or data.endswith(b"\n\n")):
            yield f"{path}: does not end in one newline"
        if re.search(rb"[ \t]\n", data):
            yield f"{path}: space at the end of a line"


def whole_comments():
    """No comment of a declaration was reflowed: in, out, owns, error have lines of their own."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8") if path.suffix in (".h", ".c", ".cc") else ""
        for comment in re.finditer(r"/\*\*.*?\*/", text, re.DOTALL):
            lines = [line for line in comment[0].split("\n")[1:] if line not in (" *", " */")]
            if len({line.startswith(" *  ") for line in lines}) > 1:
                number = 1 + text.count("\n", 0, comment.start())
                yield f"{path}:{number}: lines with one space and with two behind the *"


def spdx():
    """Every source file names the licence in its first lines."""
    for path in SOURCES:
        if path.name not in NO_SPDX and SPDX not in "\n".join(lines_of(path)[:3]):
            yield f"{path}: no SPDX line"


def one_module():
    """One module or package per file, named as the file; module names are unique."""
    seen = {}
    for path in FILES:
        if path.suffix != ".sv":
            continue
        names = re.findall(r"^\s*(?:module|package)\s+(\w+)", path.read_text(encoding="utf-8"),
                           re.M)
        if path.parts[1] == "ecp5":
            # A wrapper may hold the simulation twin of the primitive that it wraps.
            names = [name for name in names if not name.isupper()]
        if names != [path.stem]:
            yield f"{path}: holds {', '.join(names) or 'no module'}"
        if path.stem in seen:
            yield f"{path}: same name as {seen[path.stem]}"
        seen[path.stem] = path


def base_names():
    """Base names of C sources are unique below host/, those of headers everywhere."""
    seen = {}
    for path in FILES:
        if path.suffix == ".h" or path.suffix == ".c" and path.parts[0] == "host":
            if path.name in seen:
                yield f"{path}: same base name as {seen[path.name]}"
            seen[path.name] = path


def rtl_language():
    """RTL keeps to the agreed subset: what the tools refuse or the style forbids is not there."""
    forbidden = [
        (r"\|->|\|=>", "implication in a property"),
        (r"##\d", "cycle delay"),
        (r"^\s*interface\b", "interface"),
        (r"\.\*", "wildcard connection"),
        (r"verilator\s+lint_(off|on)", "lint pragma: waivers live in sim/waivers.vlt"),
        (r"always_latch|always\s*@", "latch or untyped always"),
        (r"(?:posedge|negedge)\s+rst|negedge\s+clk", "asynchronous reset or falling clock edge"),
    ]
    for path in FILES:
        if path.suffix != ".sv":
            continue
        text = path.read_text(encoding="utf-8")
        for pattern, what in forbidden:
            if re.search(pattern, text, re.M):
                yield f"{path}: {what}"


def error_codes():
    """Every TP_ERROR_ code is named in a test."""
    codes = set()
    for path in FILES:
        if path.parts[:2] == ("host", "include"):
            codes |= set(re.findall(r"\bTP_ERROR_[A-Z0-9_]+\b", path.read_text(encoding="utf-8")))
    tests = "\n".join(p.read_text(encoding="utf-8") for p in SOURCES if p.parts[0] == "tests")
    for code in sorted(codes):
        if not code.endswith("_BYTES") and not re.search(rf"\b{code}\b", tests):
            yield f"{code}: no test names it"


def everything_built():
    """Every C source lies where the Makefile builds it; every RTL file is used by some top."""
    built = re.compile(
        r"host/(model|lib|bitstream|backends|reference|tools)/\w+\.c|sim/dut/dut(_\w+)?\.cc"
        r"|sim/(system|models)/\w+\.(c|cc)|tests/(common|deep|model|rtl|host|system|fuzz)/\w+\.c"
        r"|bench/\w+\.c|models/trainer\.c")  # which train.py builds
    texts = {p: p.read_text(encoding="utf-8") for p in FILES if p.suffix == ".sv"}
    proofs = {p: p.read_text(encoding="utf-8") for p in FILES if p.suffix == ".sby"}
    for path in FILES:
        if path.suffix in (".c", ".cc") and not built.fullmatch(str(path)):
            yield f"{path}: no rule builds it"
        if path.suffix == ".sv":
            has_test = pathlib.Path(f"tests/rtl/test_{path.stem.removeprefix('tp_')}.c").exists()
            # What only a proof uses lies beside the proofs.
            users = proofs if path.parts[0] == "tests" else texts
            used = any(re.search(rf"\b{path.stem}\b", text) for other, text in users.items()
                       if other != path)
            if not (has_test or used or path.parts[1] == "boards"):
                yield f"{path}: nothing uses it"
    for path in FILES:
        if path.parts[:2] == ("tests", "rtl") and path.suffix == ".c":
            unit = path.stem.removeprefix("test_")
            if not any(p.stem == f"tp_{unit}" for p in texts):
                yield f"{path}: no module tp_{unit}"


def unit_readmes():
    """Every folder of RTL has a README."""
    folders = {p.parent for p in FILES if p.suffix == ".sv" and p.parts[0] == "rtl"}
    for folder in sorted(folders):
        if folder / "README.md" not in FILES and folder.name not in ("boards", "ecp5"):
            yield f"{folder}: no README.md"


def prose_links():
    """Every relative link in prose leads to a file of the repository."""
    for path in PROSE:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                yield f"{path}: link to {target}"


def map_fresh():
    """The generated map equals a fresh generation."""
    program = BUILD / "tp_genmap"
    if not pathlib.Path("host/tools/tp_genmap.c").exists():
        return
    if not program.exists():
        yield f"{program}: not built"
        return
    for option, name in (("--header", "host/include/tp_map.h"),
                         ("--package", "rtl/common/tp_map_pkg.sv"),
                         ("--tables-header", "host/model/tables.h"),
                         ("--tables-source", "host/model/tables.c"),
                         ("--tables-package", "rtl/common/tp_tables_pkg.sv"),
                         ("--usb-header", "host/include/tp_usb.h"),
                         ("--usb-package", "rtl/link/tp_usb_pkg.sv")):
        fresh = subprocess.run([str(program), option], stdout=subprocess.PIPE, check=True).stdout
        if fresh != pathlib.Path(name).read_bytes():
            yield f"{name}: stale; run make map"


def api_fresh():
    """The API reference equals what the public header says."""
    headers = ["host/include/tokproc.h", "host/include/tp_status.h"]
    fresh = subprocess.run([sys.executable, "docs/make_api.py", *headers],
                           stdout=subprocess.PIPE, check=True).stdout
    if fresh != pathlib.Path("docs/api.md").read_bytes():
        yield "docs/api.md: stale; run make api"


RULES = [columns, ascii_text, whole_comments, spdx, one_module, base_names, rtl_language,
         error_codes, everything_built, unit_readmes, prose_links, map_fresh, api_fresh]


def main():
    failed = 0
    for number, rule in enumerate(RULES, 1):
        problems = sorted(set(rule()))
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {rule.__name__}: {rule.__doc__}")
        for problem in problems:
            print(f"# {problem}")
    print(f"1..{len(RULES)}")
    sys.exit(int(failed > 0))


main()

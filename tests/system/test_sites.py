#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims: bitstreams/sites.py gives cells the sites of its rules, in the order of the numbers in
their names, each site once; everything else of the netlist stays; bad rules are refused with their
line and leave no netlist; the rules of each board are ones that its part can follow.

Not covered: that the places are good ones (docs/performance.md), and that the rules name the cells
of the present core, which the flow finds out.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

sys.path[:0] = ["bitstreams", "tests/common"]
import sites  # noqa: E402
from tap import finish, report  # noqa: E402


def cell(kind, **attributes):
    return {"type": kind, "attributes": attributes, "connections": {}}


def netlist():
    cells = {f"a.lane[{i}].m": cell("MULT18X18D", keep="1") for i in (10, 0, 9, 2, 1, 3, 4, 5, 6, 8,
                                                                     7, 11, 12)}
    cells.update({f"w[{i}].b[{j}].r": cell("DP16KD") for j in (1, 0) for i in (1, 0)})
    cells["a.lane[3].f"] = cell("TRELLIS_FF")
    return {"modules": {"box": {"cells": {}},
                        "top": {"attributes": {"top": "00000001"}, "cells": cells}}}


def run(folder, rules, text=None):
    (folder / "rules").write_text(rules, encoding="ascii")
    (folder / "in.json").write_text(text or json.dumps(netlist()), encoding="ascii")
    out = folder / "out.json"
    out.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "bitstreams/sites.py", "--part", "85", "--rules",
                           str(folder / "rules"), str(folder / "in.json"), str(out)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    placed = json.loads(out.read_text(encoding="ascii")) if out.exists() else None
    return done.returncode, done.stdout.decode(), placed


def places(placed):
    cells = placed["modules"]["top"]["cells"]
    return {n: c["attributes"].pop("BEL") for n, c in cells.items() if "BEL" in c["attributes"]}


def followed(folder):
    rules = (r"# a comment" "\n"
             r"multiplier 1 10,58 a\.lane\[(\d+)\]\..*  # two rows" "\n\n"
             r"block_ram 12 22 w\[(\d+)\]\.b\[(\d+)\]\.r" "\n")
    status, output, placed = run(folder, rules)
    if status != 0:
        report("cells get their sites in order", [output])
        return
    got = places(placed)
    # Block columns 1 and 2 begin at X 13 and 22; the second one is filled from below.
    want = [f"X{13 + n}/Y{y}/MULT18_{n}" for y in (10, 58) for n in (0, 1, 4, 5)]
    want += [f"X{22 + n}/Y{y}/MULT18_{n}" for y in (58, 10) for n in (0, 1, 4, 5)]
    expected = {f"a.lane[{i}].m": want[i] for i in range(13)}
    expected.update({f"w[{i // 2}].b[{i % 2}].r": f"X{114 + 2 * i}/Y22/EBR{i}" for i in range(4)})
    report("cells get their sites in order", [] if got == expected else [str(got), str(expected)])
    report("nothing else is changed", [] if placed == netlist() else [json.dumps(placed)])
    # The planted fault: one more column shifts every site, and the comparison must see it.
    _, _, placed = run(folder, rules.replace("multiplier 1", "multiplier 2"))
    report("a shifted column is seen", ["it was not"] if places(placed) == expected else [])


def refused(folder):
    lanes = r"a\.lane\[(\d+)\]\..*"
    for name, rules, message in (
            ("another kind", "lut 0 10 x", "line 1: not 'multiplier"),
            ("a field too few", "# x\nmultiplier 0 10", "line 2: not 'multiplier"),
            ("no number for a column", "multiplier a 10 x", "line 1: invalid literal"),
            ("a column that is not there", f"multiplier 13 10 {lanes}", "no block column 13"),
            ("a row of the other kind", f"multiplier 0 22 {lanes}", "no multiplier in row 22"),
            ("a pattern that is none", "multiplier 0 10 (", "line 1: missing )"),
            ("a name that is not there", r"multiplier 0 10 b\.(\d+)", "no multiplier has a name"),
            ("too few sites", f"multiplier 11 10 {lanes}", "no site is left for a.lane[8].m"),
            ("a site taken twice", f"multiplier 0 10 {lanes}\nmultiplier 0 10 {lanes}",
             "line 2: X4/Y10/MULT18_0 for a.lane[0].m is taken by a.lane[0].m")):
        status, output, placed = run(folder, rules)
        right = status == 1 and message in output and placed is None
        report(f"refused: {name}", [] if right else [f"{status} {output}"])
    for name, text in (("no netlist", "{"), ("no top module", '{"modules": {}}')):
        status, output, placed = run(folder, f"multiplier 0 10 {lanes}", text=text)
        report(f"refused: {name}", [] if status == 1 and "sites:" in output and placed is None
               and "Traceback" not in output else [f"{status} {output}"])


def boards():
    for path in sorted(pathlib.Path("constraints").glob("*.sites")):
        wrong = []
        try:
            part = sites.PARTS[path.stem.split("-")[-1].rstrip("f")]
            if not sites.read_rules(path.read_text(encoding="ascii"), part):
                wrong = ["no rules"]
        except (KeyError, sites.Bad) as error:
            wrong = [repr(error)]
        report(f"{path}", wrong)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        followed(folder)
        refused(folder)
    boards()
    return finish()


sys.exit(main())

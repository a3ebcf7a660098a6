#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the test runner counts what it should, with small scripts in place of test programs.

Usage: check_runner.py, from the repository root. Prints TAP.
"""

import pathlib
import subprocess
import sys
import tempfile

GOOD = 'echo "ok 1 - a" > "$TP_TAP"; echo "ok 2 - b" >> "$TP_TAP"'
BAD = 'echo "ok 1 - a" > "$TP_TAP"; echo "not ok 2 - b" >> "$TP_TAP"; exit 1'
SKIP = GOOD + '; echo "no board" > "$TP_TAP.skip"'
# Name of the program, its script (None: not built), and the last line that the runner must print.
CASES = [
    ("rtl/good", GOOD, "2 passed, 0 failed"),
    ("rtl/bad", BAD, "1 passed, 1 failed"),
    ("rtl/skipped", SKIP, "1 passed, 0 failed, 1 skipped"),
    ("rtl/missing", None, "0 passed, 1 failed"),
    ("rtl/crash", GOOD + "; kill -SEGV $$", "2 passed, 1 failed"),
    ("rtl/silent", "exit 0", "0 passed, 1 failed"),
    ("rtl/found.planted", BAD, "1 passed, 0 failed"),
    ("rtl/unfound.planted", GOOD, "0 passed, 1 failed"),
    ("rtl/crash.planted", "kill -SEGV $$", "0 passed, 1 failed"),
    ("rtl/missing.planted", None, "0 passed, 1 failed"),
]


def last_line(name, script):
    with tempfile.TemporaryDirectory() as folder:
        build = pathlib.Path(folder)
        program = build / "test" / name
        program.parent.mkdir(parents=True)
        if script is not None:
            program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
            program.chmod(0o755)
        done = subprocess.run([sys.executable, "tests/run.py", "--build", folder, name],
                              stdout=subprocess.PIPE, check=False)
        line = done.stdout.decode().splitlines()[-1]
        good = done.returncode == 0
        return line, good == (" 0 failed" in line)


def main():
    failed = 0
    for number, (name, script, wanted) in enumerate(CASES, 1):
        line, status_fits = last_line(name, script)
        good = line == wanted and status_fits
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}: {line}")
    print(f"1..{len(CASES)}")
    sys.exit(int(failed > 0))


main()

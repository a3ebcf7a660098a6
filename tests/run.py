#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs, prints one line for each and one last line that counts the tests.

Usage: run.py --build build NAME...   with names like rtl/skid.w8, rtl/skid.planted, style/x.py

A Check program counts as many tests as its TAP file has lines; a script as many as the TAP lines of
its output, or one. A planted variant counts as one test, which passes when the program reports a
failing test: a comparison that cannot fail proves nothing. A program that is missing, crashes or
runs out of time is a failed test. Scripts exit 77 to say "skipped"; Check tests call tp_test_skip.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

TIME_LIMIT_S = 300
POLL_S = 0.2
# A netlist simulates slowly.
NETLIST_FACTOR = 10
SHOWN_LINES = 60
SCRIPTS = (".sh", ".py", ".sby")


class Result:
    def __init__(self, name):
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.note = ""
        self.output = ""
        self.seconds = 0.0


def source_of(name):
    kind, base = name.split("/", 1)
    if name.endswith(SCRIPTS):
        return pathlib.Path("tests") / name
    return pathlib.Path("tests") / kind / f"test_{base.split('.')[0]}.c"


def time_limit(source):
    try:
        found = re.search(r"TP_TIME_LIMIT_S: (\d+)", source.read_text(encoding="utf-8"))
    except OSError:
        return TIME_LIMIT_S
    return int(found.group(1)) if found else TIME_LIMIT_S


def run_process(command, limit_s, environment, enough=lambda: False):
    """Returns status (None after the time limit) and output; ends the whole process group, also
    as soon as there is enough."""
    end = time.monotonic() + limit_s
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, env=environment,
                          start_new_session=True) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=POLL_S)
                return process.returncode, output.decode("utf-8", "replace")
            except subprocess.TimeoutExpired:
                stop = enough()
                if not stop and time.monotonic() < end:
                    continue
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                return process.returncode if stop else None, output.decode("utf-8", "replace")


def count_tap(text):
    passed = len(re.findall(r"^ok\b", text, re.M))
    skipped = len(re.findall(r"^ok\b[^\n]*# SKIP", text, re.M))
    failed = len(re.findall(r"^not ok\b", text, re.M))
    return passed - skipped, failed, skipped


def read(path):
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def run_one(name, build):
    result = Result(name)
    source = source_of(name)
    is_script = name.endswith(SCRIPTS)
    program = source if is_script else build / "test" / name
    if not program.exists():
        result.failed = 1
        result.note = "not built"
        return result
    tap = build / "test" / f"{name}.tap"
    tap.parent.mkdir(parents=True, exist_ok=True)
    skip = tap.with_name(tap.name + ".skip")
    tap.unlink(missing_ok=True)
    skip.unlink(missing_ok=True)
    environment = dict(os.environ, TP_TAP=str(tap), TP_BUILD=str(build),
                       TOKPROC=str(build / "tokproc"), TOKPROC_SAN=str(build / "san" / "tokproc"))
    limit_s = time_limit(source)
    if ".netlist" in name:
        limit_s *= NETLIST_FACTOR
        environment["CK_TIMEOUT_MULTIPLIER"] = str(NETLIST_FACTOR)
    start = time.monotonic()
    command = [str(program.absolute())]
    if name.endswith(".sby"):
        command = ["tests/formal/prove.py", str(program)]
    # One failing test is what a planted fault is for; the others need not run.
    enough = (lambda: count_tap(read(tap))[1] > 0) if name.endswith(".planted") else lambda: False
    status, result.output = run_process(command, limit_s, environment, enough)
    result.seconds = time.monotonic() - start

    if is_script:
        tap.write_text(result.output, encoding="utf-8")
    passed, failed, skipped = count_tap(read(tap))
    if not is_script:
        skipped = len(read(skip).splitlines())
        passed -= skipped
    if status is None:
        failed += 1
        result.note = "time limit"
    elif status == 77 and is_script and passed + failed == 0:
        skipped = 1
        tap.write_text("ok 1 # SKIP\n", encoding="utf-8")
    elif status != 0 and failed == 0:
        failed = 1
        result.note = f"exit status {status}"
    elif status == 0 and passed + failed + skipped == 0:
        passed = int(is_script)
        failed = int(not is_script)
        result.note = "" if is_script else "no tests"

    if name.endswith(".planted"):
        # Only a test that ran and failed has found the fault; a time limit of the whole program or
        # a program without tests has not.
        found = status not in (None, 0) and count_tap(read(tap))[1] > 0
        result.note = "fault found" if found else f"planted fault NOT found ({result.note})"
        passed, failed, skipped = int(found), int(not found), 0
    result.passed, result.failed, result.skipped = passed, failed, skipped
    return result


def show(result):
    word = "FAIL" if result.failed else "skip" if result.passed == 0 else "ok"
    counts = f"{result.passed} passed"
    if result.failed:
        counts += f", {result.failed} failed"
    if result.skipped:
        counts += f", {result.skipped} skipped"
    note = f"  ({result.note})" if result.note else ""
    print(f"{word:4} {result.name:36} {result.seconds:6.1f} s  {counts}{note}")
    lines = result.output.splitlines()
    if result.failed:
        for line in lines[-SHOWN_LINES:]:
            print(f"     | {line}")
    else:
        for line in lines:
            if line.startswith("skipped: "):
                print(f"     {line}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()

    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for result in pool.map(lambda name: run_one(name, args.build), args.names):
            show(result)
            passed += result.passed
            failed += result.failed
            skipped += result.skipped
    tail = f", {skipped} skipped" if skipped else ""
    print(f"{passed} passed, {failed} failed{tail}")
    sys.exit(0 if failed == 0 and passed > 0 else 1)


main()

# SPDX-License-Identifier: Apache-2.0
"""Results of a system test in the form that tests/run.py reads (TAP): a line for each claim."""

SHOWN = 20
reported = failures = 0


def report(name, wrong):
    """A claim; wrong has what speaks against it, and is empty where nothing does."""
    global reported, failures
    reported += 1
    failures += 1 if wrong else 0
    print(f"{'not ok' if wrong else 'ok'} {reported} - {name}")
    for line in wrong[:SHOWN]:
        print("# " + line, flush=True)


def finish():
    """The number of claims; returns the exit status of the test."""
    print(f"1..{reported}", flush=True)
    return 1 if failures else 0

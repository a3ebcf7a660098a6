#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists where the slow ways of a routed design end: not only the slowest one, which place and route
prints, but each that is later than asked for, grouped by the register or memory that it ends in.

Usage: slow_ends.py build/bitstream/ulx3s-85f/report.json [--ns 10] [--clock core] [--top 40]

A group is printed with its slowest end in nanoseconds, the number of its ends, and its port. Ways
between two clocks and from pins are left out: nothing there has to be in time. The report knows no
setup times here: a way to an enable or reset (CE, LSR) needs up to 0.5 ns more, one to DI none.
"""

import argparse
import collections
import json
import pathlib
import re
import signal
import sys

# Bits and copies of one thing: synthesis appends what it made of it.
BITS = re.compile(r"(_TRELLIS_FF\w*|_DI_CCU2C\w*|\$CCU2_\w+|\[\d+\]|_\d+)+$")


def ends_of(report, clock):
    """Yields nanoseconds, cell and port of each end of a way within the clock."""
    for net in report["detailed_net_timings"]:
        for end in net["endpoints"]:
            edge = end["event"]
            if edge == net["event"] and edge.split()[-1] == clock:
                yield end["delay"][1], end["cell"], end["port"]


def clock_net(report, name):
    """The net that make_bitstream.py calls so."""
    for net in report["fmax"]:
        is_usb = "usb" in net
        if "clk_25mhz" not in net and is_usb == (name == "usb"):
            return net
    sys.exit(f"slow_ends: no {name} clock in the report: it has {', '.join(report['fmax'])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--ns", type=float, help="later than this; default: 0.9 of the slowest")
    parser.add_argument("--clock", default="core", choices=("core", "usb"))
    parser.add_argument("--top", type=int, default=40, help="groups")
    args = parser.parse_args()
    try:
        report = json.loads(args.report.read_text(encoding="utf-8"))
        ends = sorted(ends_of(report, clock_net(report, args.clock)), reverse=True)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        sys.exit(f"slow_ends: {args.report} is no report of make_bitstream.py: {error!r}")
    if not ends:
        sys.exit(f"slow_ends: {args.report} tells no ways of the {args.clock} clock")
    limit = args.ns if args.ns is not None else 0.9 * ends[0][0]
    late = [end for end in ends if end[0] > limit]
    print(f"{len(late)} of {len(ends)} ends are later than {limit:.2f} ns, "
          f"the slowest takes {ends[0][0]:.2f} ns: {1000 / ends[0][0]:.2f} MHz")
    groups = collections.defaultdict(list)
    for end in late:
        groups[BITS.sub("", end[1])].append(end)
    for name, group in list(groups.items())[:args.top]:
        print(f"{group[0][0]:6.2f} {len(group):5}  {name} {group[0][2]}")
    if len(groups) > args.top:
        print(f"and {len(groups) - args.top} groups more: --top")


signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # of a pager that is left
main()

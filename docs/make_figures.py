#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/timeline.svg and docs/roofline.svg from what `tokproc trace` and `tokproc bench` say.

  make_figures.py --build build --model MODEL --format F --config C [--output docs]

The emulator makes the steps, the schedule is the predicted one, which simulated devices count.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

COLOURS = {"rotation": "#8d8d8d", "embedding": "#b07aa1", "queries": "#4e79a7",
           "keys": "#76a5d0", "values": "#a0cbe8", "attention": "#e15759", "output": "#59a14f",
           "gate and up": "#f28e2b", "down": "#9c755f", "classifier": "#b5377a"}
POSITION = 128
STYLE = 'font-family="sans-serif" font-size="11" fill="#222"'


def call(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"make_figures: {' '.join(map(str, command))} failed")
    return json.loads(done.stdout.decode().splitlines()[-1])


def svg(width, height, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}">\n'
            "<!-- SPDX-License-Identifier: Apache-2.0; made by docs/make_figures.py -->\n"
            f'<rect width="{width}" height="{height}" fill="#fff"/>\n')
    return head + "\n".join(parts) + "\n</svg>\n"


def text(x, y, what, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {STYLE}{extra}>{what}</text>'


def bar(x, y, width, height, colour):
    return (f'<rect x="{x:.2f}" y="{y:.1f}" width="{max(width, 0.3):.2f}" height="{height}" '
            f'fill="{colour}"/>')


def timeline(args, title):
    """Units of the last step of a run, from issue until free; what drains behind it is lighter."""
    with tempfile.TemporaryDirectory() as room:
        path = pathlib.Path(room) / "trace.json"
        call(args.build / "tokproc", "trace", "-m", args.model, "-d", "emu", "--config",
             args.config, "--format", args.format, "-n", POSITION + 1, "--temp", "0", "-o", path,
             "--json")
        events = json.loads(path.read_text(encoding="ascii"))["traceEvents"]
    step = [e for e in events if e["ph"] == "X" and e["pid"] == 1][-1]
    units = {e["tid"]: e["args"]["name"] for e in events
             if e["name"] == "thread_name" and e["pid"] == 2}
    items = [e for e in events if e["ph"] == "X" and e["pid"] == 2 and e["ts"] >= step["ts"]]
    left, width, row = 70, 1000, 30
    scale = width / step["dur"]
    parts = [text(left, 18, f"{title}: one step at position {POSITION}, {step['dur']} cycles")]
    for unit, name in units.items():
        y = 30 + unit * row
        parts.append(text(left - 6, y + 14, name, "end"))
        for item in (e for e in items if e["tid"] == unit):
            facts = item["args"]
            x = left + facts["issued"] * scale
            colour = COLOURS[item["cat"]]
            parts.append(bar(x, y + 7, (facts["completed"] + 1 - facts["issued"]) * scale, 6,
                             colour))
            parts.append(bar(x, y, item["dur"] * scale, 20, colour))
    bottom = 30 + len(units) * row
    for tick in range(0, step["dur"] + 1, 500):
        x = left + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}" '
                     'stroke="#222"/>')
        parts.append(text(x, bottom + 18, str(tick), "middle"))
    x = left
    for name, colour in COLOURS.items():
        parts.append(bar(x, bottom + 30, 12, 12, colour))
        parts.append(text(x + 16, bottom + 40, name))
        x += 26 + 7 * len(name)
    return svg(left + width + 30, bottom + 54, parts)


def roofline(args, title):
    """Useful multiply-accumulates a cycle over those of a weight beat."""
    bench = call(args.build / "tokproc", "bench", "-m", args.model, "-d", "emu", "--config",
                 args.config, "--format", args.format, "-n", 256, "--temp", "0", "--ledger",
                 "--contexts", "--json")
    roof = bench["roofline"]
    lanes = roof["products_per_cycle"] / bench["multiplier_use"]
    points = [("one session, mean of 256 tokens", roof["products_per_cycle"])]
    for one in bench["contexts"]:
        if one["context"] == 128:
            slots = "one slot" if one["slots"] == 1 else f"{one['slots']} slots"
            points.append((f"{slots} at context 128", one["multiplier_use"] * lanes))
    left, top, width, height = 70, 40, 620, 300
    low, high = 8.0, 512.0

    def at_x(value):
        return left + width * math.log(value / low) / math.log(high / low)

    def at_y(value):
        return top + height * (1 - math.log(value / low) / math.log(2 * lanes / low))

    parts = [text(left, 20, f"{title}: roofline, {lanes:.0f} lanes, one weight beat a cycle")]
    parts.append(f'<path d="M{at_x(low):.1f} {at_y(low):.1f} L{at_x(lanes):.1f} {at_y(lanes):.1f} '
                 f'L{at_x(high):.1f} {at_y(lanes):.1f}" fill="none" stroke="#222" '
                 'stroke-width="2"/>')
    parts.append(f'<path d="M{left} {top} V{top + height} H{left + width}" fill="none" '
                 'stroke="#222"/>')
    for value in (8, 16, 32, 64, 128, 256, 512):
        parts.append(text(at_x(value), top + height + 16, str(value), "middle"))
        if value <= 2 * lanes:
            parts.append(text(left - 6, at_y(value) + 4, str(value), "end"))
    parts.append(text(left + width / 2, top + height + 34,
                      "useful multiply-accumulates of a weight beat", "middle"))
    parts.append(text(left, top - 6, "useful multiply-accumulates a cycle"))
    x = at_x(roof["products_per_beat"])
    parts.append(f'<path d="M{x:.1f} {at_y(roof["products_per_beat"]):.1f} V{top + height - 80}" '
                 'stroke="#999" stroke-dasharray="4 4"/>')
    for number, (name, value) in enumerate(points):
        colour = ("#4e79a7", "#e15759", "#59a14f")[number % 3]
        parts.append(f'<circle cx="{x:.1f}" cy="{at_y(value):.1f}" r="5" fill="{colour}"/>')
        y = top + height - 70 + 18 * number
        x_legend = left + width - 310
        parts.append(f'<circle cx="{x_legend}" cy="{y - 4}" r="5" fill="{colour}"/>')
        share = 100 * value / lanes
        parts.append(text(x_legend + 12, y, f"{name}: {value:.1f}, {share:.1f} % of the lanes"))
    return svg(left + width + 30, top + height + 46, parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--output", default="docs", type=pathlib.Path)
    for name in ("model", "format", "config"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    title = f"{pathlib.Path(args.model).stem}, {args.format}, {args.config}"
    (args.output / "timeline.svg").write_text(timeline(args, title), encoding="ascii")
    (args.output / "roofline.svg").write_text(roofline(args, title), encoding="ascii")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw the training curves of a model as SVG, from the two logs that train.py wrote.

    curves.py curves/stories-float.csv curves/stories-rounded.csv > curves/stories.svg
"""

import csv
import math
import sys

WIDTH, HEIGHT, LEFT, TOP = 360, 240, 52, 34
FLOAT, ROUNDED, TRAINING = "#0072b2", "#d55e00", "#999999"


def read(path):
    with open(path, newline="") as source:
        rows = [{key: float(value or "nan") for key, value in row.items()}
                for row in csv.DictReader(source)]
    return rows


class Panel:
    """One plot: a frame, ticks, and lines of (x, y)."""

    def __init__(self, left, title, x_range, y_range, logarithmic):
        self.left, self.x_range, self.logarithmic = left, x_range, logarithmic
        self.low, self.high = (self.scale(y) for y in y_range)
        self.parts = ['<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>'
                      % (left, TOP, WIDTH, HEIGHT)]
        self.text(left + WIDTH / 2, TOP - 12, title, "middle")
        self.text(left + WIDTH / 2, TOP + HEIGHT + 34, "million tokens", "middle")

    def scale(self, y):
        return math.log(y) if self.logarithmic else y

    def place(self, x, y):
        low, high = self.x_range
        return (self.left + WIDTH * (x - low) / (high - low),
                TOP + HEIGHT * (self.high - self.scale(y)) / (self.high - self.low))

    def text(self, x, y, words, anchor="start", color="#444"):
        self.parts.append('<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>'
                          % (x, y, anchor, color, words))

    def ticks(self, xs, ys):
        for x in xs:
            at, _ = self.place(x, math.exp(self.low) if self.logarithmic else self.low)
            self.parts.append('<path d="M%.1f %dv5" stroke="#888"/>' % (at, TOP + HEIGHT))
            self.text(at, TOP + HEIGHT + 18, "%g" % x, "middle")
        for y in ys:
            _, at = self.place(self.x_range[0], y)
            self.parts.append('<path d="M%d %.1fh%d" stroke="#ddd"/>' % (self.left, at, WIDTH))
            self.text(self.left - 6, at + 4, "%g" % y, "end")

    def line(self, points, color, dashes=""):
        low, high = self.low, self.high
        inside = [self.place(x, y) for x, y in points if low <= self.scale(y) <= high]
        self.parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>'
                          % (" ".join("%.1f,%.1f" % point for point in inside), color,
                             ' stroke-dasharray="%s"' % dashes if dashes else ""))


def steps(low, high, size):
    return [round(size * i, 6) for i in range(math.ceil(low / size), int(high / size) + 1)]


def round_step(span):
    """A step of 1, 2 or 5 times a power of ten that gives four to eight ticks."""
    power = 10 ** math.floor(math.log10(span / 4))
    return max(power * factor for factor in (1, 2, 5) if power * factor <= span / 3)


def main():
    first, second = read(sys.argv[1])[1:], read(sys.argv[2])
    shift = first[-1]["tokens"]
    million = [[((row["tokens"] + start) / 1e6, row) for row in rows]
               for rows, start in ((first, 0), (second, shift))]
    end, final = million[1][-1][0], first[-1]["validation"]
    curve = [[(x, row["validation"]) for x, row in part] for part in million]

    whole = Panel(LEFT, "validation loss, nats per token", (0, end), (final * 0.8, 2.5), True)
    whole.ticks(steps(0, end, round_step(end)),
                [y for y in (0.1, 0.15, 0.2, 0.3, 0.5, 1, 2) if y > final * 0.8])
    whole.line([(x, row["training"]) for x, row in million[0] if row["training"] > 0], TRAINING)
    whole.line(curve[0], FLOAT)
    whole.line(curve[1], ROUNDED)
    whole.text(LEFT + WIDTH - 10, TOP + 22, "float training", "end", FLOAT)
    whole.text(LEFT + WIDTH - 10, TOP + 40, "4-bit weights in the loop", "end", ROUNDED)
    whole.text(LEFT + WIDTH - 10, TOP + 58, "training loss", "end", TRAINING)

    top = max(y for _, y in curve[1])
    low = min(min(y for _, y in curve[1]), final)
    margin = (top - low) * 0.1
    left = 2 * LEFT + WIDTH + 10
    zoom = Panel(left, "the second part", (shift / 1e6, end), (low - margin, top + margin), False)
    zoom.ticks(steps(shift / 1e6, end, round_step(end - shift / 1e6)),
               steps(low - margin, top + margin, round_step(top - low)))
    zoom.line([(shift / 1e6, final), (end, final)], FLOAT, "5 4")
    zoom.line(curve[1], ROUNDED)
    zoom.text(left + WIDTH - 10, TOP + 22, "end of the float training: %.4f" % final, "end", FLOAT)
    zoom.text(left + WIDTH - 10, TOP + 40, "rounded weights, end: %.4f" % curve[1][-1][1], "end",
              ROUNDED)

    print('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-size="12" '
          'font-family="sans-serif">' % (left + WIDTH + 20, TOP + HEIGHT + 46))
    print('<rect width="100%" height="100%" fill="white"/>')
    print("\n".join(whole.parts + zoom.parts))
    print("</svg>")


if __name__ == "__main__":
    main()

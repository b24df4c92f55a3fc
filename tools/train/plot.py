# SPDX-License-Identifier: Apache-2.0
"""Draws log/train.jsonl as an SVG: `python3 tools/train/plot.py`."""

import json
import math
from pathlib import Path

from train import LEVELS

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 420, 60, 30, 40
COLOURS = ("#1f77b4", "#2ca02c", "#ff7f0e", "#d62728", "#9467bd")


def read(path):
    """Training and held-out records by step; a resumed run overwrites what it repeats."""
    train, held = {}, {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        (held if "held_out" in record else train)[record["step"]] = record
    return [train[k] for k in sorted(train)], [held[k] for k in sorted(held)]


def draw(train, held):
    last = train[-1]["step"]
    values = [r["loss"] for r in train] + [v for r in held for v in r["held_out"]]
    low, high = math.log10(min(values)), math.log10(max(values))

    def x(step):
        return LEFT + (WIDTH - LEFT - 150) * step / last

    def y(value):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(value)) / (high - low)

    def text(px, py, words, anchor="start", fill="#333"):
        return f'<text x="{px:.1f}" y="{py:.1f}" text-anchor="{anchor}" fill="{fill}">{words}</text>'

    def line(points, colour, width):
        joined = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>']
    for value in (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005):
        if low <= math.log10(value) <= high:
            parts.append(line([(LEFT, y(value)), (x(last), y(value))], "#ddd", 1))
            parts.append(text(LEFT - 6, y(value) + 4, f"{value:g}", "end"))
    parts += stage_marks(train, x, text, line)
    parts.append(line([(x(r["step"]), y(r["loss"])) for r in train], "#999", 1))
    parts.append(text(x(last) + 6, y(train[-1]["loss"]) - 8, "training", fill="#777"))
    for i, level in enumerate(LEVELS):
        points = [(x(r["step"]), y(r["held_out"][i])) for r in held]
        parts.append(line(points, COLOURS[i], 2))
        parts.append(text(WIDTH - 110, TOP + 16 * i, f"held out, s = {level:g}", fill=COLOURS[i]))
    parts.append(text(x(last / 2), HEIGHT - 6, "step", "middle"))
    return "\n".join(parts + ["</svg>\n"])


def stage_marks(train, x, text, line):
    parts, name = [], None
    for record in train:
        if record["stage"] != name:
            name = record["stage"]
            at = x(record["step"])
            parts.append(line([(at, TOP), (at, HEIGHT - BOTTOM)], "#bbb", 1))
            parts.append(text(at + 3, TOP - 8, name))
            parts.append(text(at, HEIGHT - BOTTOM + 16, str(record["step"]), "middle"))
    return parts


if __name__ == "__main__":
    (HERE / "log" / "loss.svg").write_text(draw(*read(HERE / "log" / "train.jsonl")))

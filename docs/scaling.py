"""The table and the figure of docs/scaling.md, from what `tests/speed/scaling.py` measured."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from not_so_clevr.report import charts
from not_so_clevr.results import tables

FITTED = 3  # Largest sizes, from which the exponents are taken: what a program costs before it begins weighs little there.

Sizes = Mapping[int, Mapping[str, float]]

# What is done: its key, and how a figure shows it
_LOOKS = {
    "generate": ("generate", "o", "-"),
    "read": ("read from disk", "s", "--"),
    "stream": ("stream", "^", "-"),
    "classification": ("train classification", "D", "-"),
    "regression": ("train regression", "v", "--"),
}


def load(file: pathlib.Path) -> Sizes:
    """Returns what was measured, by canvas size: seconds of an example (of all in `generate_seconds`) and bytes of memory."""
    return {
        int(size): row for size, row in sorted(json.loads(file.read_text())["sizes"].items(), key=lambda item: int(item[0]))
    }


def table(sizes: Sizes) -> str:
    """Returns two tables in Markdown, of time and of memory, the last row of each the exponents."""
    columns = [
        "canvas",
        "examples",
        "size of the examples",
        "generate all, core time",
        *(f"{_LOOKS[name][0]}, /s" for name in ("read", "stream")),
    ]
    columns += [f"{_LOOKS[name][0]}, /s" for name in ("classification", "regression")]
    rows = []
    for size, row in sizes.items():
        rates = [_significant(1 / row[f"{name}_seconds"]) for name in ("read", "stream", "classification", "regression")]
        disk = f"{row['disk_bytes'] / 1e6:,.1f} MB"
        rows.append([_canvas(size), f"{row['examples']:,.0f}", disk, _duration(row["generate_seconds"]), *rates])
    keys = ["examples", "disk_bytes", "generate_seconds"]
    powers = [exponent(sizes, key) for key in keys]
    powers += [-exponent(sizes, f"{name}_seconds") for name in ("read", "stream", "classification", "regression")]
    rows.append(["**exponent**", *(f"{power:.1f}" for power in powers)])
    memory = [[_canvas(size), *(f"{row[f'{name}_bytes'] / 1e6:,.0f} MB" for name in _LOOKS)] for size, row in sizes.items()]
    memory.append(["**exponent**", *(f"{exponent(sizes, f'{name}_bytes'):.1f}" for name in _LOOKS)])
    names = ["generate all", *(words for name, (words, *_) in _LOOKS.items() if name != "generate")]
    return f"{tables.markdown(columns, rows)}\nMemory:\n\n{tables.markdown(['canvas', *names], memory)}"


def figure(sizes: Sizes) -> Figure:
    """Returns time for an example, and memory, over the size of the canvas."""
    picture = Figure(figsize=(9, 4), layout="constrained")
    times, memory = picture.subplots(1, 2)
    for color, (name, (words, marker, line)) in zip(charts.COLORS, _LOOKS.items(), strict=False):
        seconds = [row[f"{name}_seconds"] / (row["examples"] if name == "generate" else 1) for row in sizes.values()]
        style = {"color": color, "marker": marker, "linestyle": line, "markerfacecolor": "none", "linewidth": 1.3}
        times.plot(list(sizes), [1e3 * each for each in seconds], label=words, **style)
        memory.plot(list(sizes), [row[f"{name}_bytes"] / 1e6 for row in sizes.values()], label=words, **style)
    for axes, label in ((times, "time for an example, ms"), (memory, "memory beyond what the program takes, MB")):
        axes.set(xscale="log", yscale="log", xlabel="size of the canvas, pixels", ylabel=label, xticks=list(sizes))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xticklabels(list(map(str, sizes)))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return picture


def exponent(sizes: Sizes, key: str) -> float:
    """Returns p of the power law S^p through the largest sizes, by least squares of logarithms."""
    largest: Sequence[int] = list(sizes)[-FITTED:]
    slope, _ = np.polyfit([math.log(size) for size in largest], [math.log(sizes[size][key]) for size in largest], 1)
    return float(slope)


def _canvas(size: int) -> str:
    return f"{size} x {size}"


def _duration(seconds: float) -> str:
    return f"{_significant(seconds)} s" if seconds < 10 else tables.duration(seconds)


def _significant(number: float) -> str:
    """Returns a number with two significant digits, or all before the point."""
    digits = max(0, 1 - math.floor(math.log10(number)))
    return f"{round(number, 1 - math.floor(math.log10(number))):,.{digits}f}"

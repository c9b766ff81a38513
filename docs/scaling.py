"""The tables and the figure of docs/scaling.md, from the output of `tests/speed/scaling.py`."""

from __future__ import annotations

import json
import math
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from not_so_clevr.report import charts
from not_so_clevr.results import tables

FITTED = 3  # The exponents are fitted to the largest sizes, where start-up costs matter little.

Sizes = Mapping[int, Mapping[str, float]]

# What was measured: its name, and its marker and line in the figure
_LOOKS = {
    "generate": ("generate", "o", "-"),
    "read": ("read from disk", "s", "--"),
    "stream": ("stream", "^", "-"),
    "classification": ("train classification", "D", "-"),
    "regression": ("train regression", "v", "--"),
}
_RATES = ("read", "stream", "classification", "regression")
_TOTALS = {
    "examples": "examples",
    "disk_bytes": "size of the examples",
    "generate_seconds": "generate all, core time",
}


def load(file: pathlib.Path) -> Sizes:
    """Returns canvas size -> seconds per example (`generate_seconds`: of all) and bytes."""
    found = json.loads(file.read_text())["sizes"]
    return {size: found[str(size)] for size in sorted(map(int, found))}


def table(sizes: Sizes) -> str:
    """Returns a table of time and one of memory in Markdown, with the exponents in the last row."""
    times = []
    for size, row in sizes.items():
        rates = [_significant(1 / row[f"{name}_seconds"]) for name in _RATES]
        disk, time = f"{row['disk_bytes'] / 1e6:,.1f} MB", _duration(row["generate_seconds"])
        times.append([_canvas(size), f"{row['examples']:,.0f}", disk, time, *rates])
    powers = [exponent(sizes, key) for key in _TOTALS]
    powers += [-exponent(sizes, f"{name}_seconds") for name in _RATES]
    times.append(_exponents(powers))

    keys = [f"{name}_bytes" for name in _LOOKS]
    memory = [
        [_canvas(size), *(f"{row[key] / 1e6:,.0f} MB" for key in keys)]
        for size, row in sizes.items()
    ]
    memory.append(_exponents([exponent(sizes, key) for key in keys]))

    names = [_LOOKS[name][0] for name in _RATES]
    of_times = tables.markdown(
        ["canvas", *_TOTALS.values(), *(f"{name}, /s" for name in names)], times
    )
    return f"{of_times}\nMemory:\n\n{tables.markdown(['canvas', 'generate all', *names], memory)}"


def figure(sizes: Sizes) -> Figure:
    """Draws time per example and memory over the canvas size."""
    picture = Figure(figsize=(9, 4), layout="constrained")
    times, memory = picture.subplots(1, 2)
    for color, (key, (name, marker, line)) in zip(charts.COLORS, _LOOKS.items(), strict=False):
        style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": line, "label": name}
        style |= {"markerfacecolor": "none", "linewidth": 1.3}
        examples = [row["examples"] if key == "generate" else 1 for row in sizes.values()]
        seconds = [row[f"{key}_seconds"] for row in sizes.values()]
        milliseconds = [1e3 * time / n for time, n in zip(seconds, examples, strict=True)]
        times.plot(list(sizes), milliseconds, **style)
        memory.plot(list(sizes), [row[f"{key}_bytes"] / 1e6 for row in sizes.values()], **style)

    times.set_ylabel("time per example, ms")
    memory.set_ylabel("memory beyond that of the program, MB")
    for axes in (times, memory):
        axes.set(xscale="log", yscale="log", xlabel="canvas size, pixels")
        axes.set_xticks(list(sizes), list(map(str, sizes)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return picture


def exponent(sizes: Sizes, key: str) -> float:
    """Returns p of the power law S^p, fitted to the logarithms at the largest sizes."""
    largest = list(sizes)[-FITTED:]
    logarithms = [math.log(sizes[size][key]) for size in largest]
    return statistics.linear_regression(list(map(math.log, largest)), logarithms).slope


def _exponents(powers: list[float]) -> list[str]:
    return ["**exponent**", *(f"{power:.1f}" for power in powers)]


def _canvas(size: int) -> str:
    return f"{size} x {size}"


def _duration(seconds: float) -> str:
    return f"{_significant(seconds)} s" if seconds < 10 else tables.duration(seconds)


def _significant(number: float) -> str:
    """Returns a number with two significant digits."""
    decimals = 1 - math.floor(math.log10(number))
    return f"{round(number, decimals):,.{max(0, decimals)}f}"

"""Figures of how models learn and what they cost: learning curves, and results over parameters and seconds.

Each is of one task and one data set. A model keeps its colour, line and marker in every chart that is given the same `order`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from not_so_clevr import results
from not_so_clevr.report import style
from not_so_clevr.results import Result

COLORS = ("#0072B2", "#D55E00", "#009E73", "#B8659A", "#8A6D00", "#777777")  # After Okabe and Ito, for white and black pages
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
_MARKERS = "osD^vPX<>hp"
_FILLS = ("full", "none", "left")


def labels(runs: Iterable[Result]) -> list[str]:
    """Returns the labels of runs, those with the default recipe first, so that these differ most in their looks."""
    return [label for _, label in sorted({(run.recipe != "", run.label) for run in runs})]


def history(runs: Sequence[Result], metric: str = "") -> dict[int, list[float]]:
    """Returns for each epoch a metric of test after it, by default the share that was right, of all runs with a history."""
    values: dict[int, list[float]] = {}
    for run in runs:
        for epoch in run.history:
            values.setdefault(epoch["epoch"], []).append(epoch["test"][metric or run.accuracy_metric])
    return dict(sorted(values.items()))


def curves(runs: Sequence[Result], order: Sequence[str] = (), metric: str = "") -> Figure | None:
    """Returns how a metric of test changes from epoch to epoch: the mean over seeds, and from the worst to the best.

    None if no run has a history.

    Args:
        runs: of one task and one data set.
        order: the labels of all models, so that each looks the same in every chart.
        metric: one that says how far off answers are, in pixels; if "", the share that is right.
    """
    models = {label: found for label, same in style.by_label(runs).items() if (found := history(same, metric))}
    if not models:
        return None
    figure = Figure(figsize=(4.8, 3 + 0.25 * len(models)), layout="constrained")
    axes = figure.subplots()
    handles = {}
    faint = 0.2 if len(models) <= 4 else 0.08
    for label, found in reversed(models.items()):  # So that the first is on top.
        look = _look(label, order or sorted(models))
        epochs, values = list(found), [[value if metric else 100 * value for value in each] for each in found.values()]
        marked = sorted({*np.searchsorted(epochs, np.geomspace(epochs[0], epochs[-1], 8).round()).tolist()})
        handles[label] = axes.plot(epochs, [sum(each) / len(each) for each in values], markevery=marked, **look)[0]
        axes.fill_between(epochs, [*map(min, values)], [*map(max, values)], color=look["color"], alpha=faint, linewidth=0)
    last = max(map(max, models.values()))
    axes.set(xlabel="epoch", ylabel="right on test, %", ylim=(-3, 103), xscale="log", xlim=(0.9, 1.1 * last))
    if metric:
        axes.set(ylabel=f"{metric} on test, px")
        axes.autoscale(axis="y")
    _logarithmic(axes, (1, 2, 5))
    _legend(figure, dict(reversed(handles.items())))
    return figure


def costs(runs: Sequence[Result], order: Sequence[str] = ()) -> Figure | None:
    """Returns the share of test that is right against parameters and against seconds, from the worst to the best seed.

    None if no run tells either.
    """
    models = style.by_label(run for run in runs if _positive(run.parameters) or _positive(run.seconds))
    if not models:
        return None
    figure = Figure(figsize=(4.8, 3 + 0.25 * len(models)), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    handles = {}
    for label, same in reversed(models.items()):  # So that the first is on top.
        look = _look(label, order or sorted(models)) | {"linestyle": "none"}
        shares = [100 * run.metrics["test"][run.accuracy_metric] for run in same]
        mean = sum(shares) / len(shares)
        spread = [[max(0.0, mean - min(shares))], [max(0.0, max(shares) - mean)]]  # A mean is rounded.
        handles[label] = Line2D([], [], **look)
        for axes, cost in zip(both, (same[0].parameters, results.median(run.seconds for run in same)), strict=True):
            if _positive(cost):
                axes.errorbar([cost], [mean], spread, **look, elinewidth=1)
    both[0].set(xlabel="parameters", ylabel="right on test, %", ylim=(-3, 103))
    both[1].set(xlabel="time of a run, s")
    for axes in both:
        axes.set(xscale="log")
        axes.margins(x=0.2)
        low, high = axes.get_xlim()
        _logarithmic(axes, (1,) if high > 20 * low else (1, 2, 5))
    _legend(figure, dict(reversed(handles.items())))
    return figure


def _look(label: str, order: Sequence[str]) -> dict[str, Any]:
    k = order.index(label)
    return {
        "color": COLORS[k % len(COLORS)],
        "linestyle": _DASHES[k % len(_DASHES)],
        "marker": _MARKERS[k % len(_MARKERS)],
        "fillstyle": _FILLS[k // len(_MARKERS) % len(_FILLS)],
        "markersize": 5,
    }


def _legend(figure: Figure, handles: Mapping[str, Line2D]) -> None:
    legend = figure.legend(handles.values(), [" "] * len(handles), loc="outside lower left", frameon=False, handlelength=4)
    for text, label in zip(legend.get_texts(), handles, strict=True):
        text.set_text(style.wrapped(label, 45))  # Set afterwards, as matplotlib leaves out names that begin with _.


def _logarithmic(axes: Axes, ticks: tuple[int, ...]) -> None:
    """Has the x-axis, which is logarithmic, show these digits of each decade, as 500, 1k, 2M."""
    axes.xaxis.set_major_locator(LogLocator(subs=ticks, numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _positive(number: float | None) -> bool:
    return number is not None and 0 < number < 1e18

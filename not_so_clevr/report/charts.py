"""Figures of training and cost: learning curves, and accuracy over parameters and time.

Each shows one task and one data set. A reference model looks the same in every chart; so does any
other in those with the same `order`.
"""

from __future__ import annotations

import functools
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

# After Okabe and Ito, for white and black pages
COLORS = ("#0072B2", "#D55E00", "#009E73", "#B8659A", "#8A6D00", "#777777")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
_MARKERS = "osD^vPX<>hp"
_FILLS = ("full", "none", "left")
_FIRST_COLOR = 3  # Of a user's models: neither that of coordconv nor those of conv and deconv

_ACCURACY = {"ylabel": "test examples right, %", "ylim": (-3, 103)}


def labels(runs: Iterable[Result]) -> list[str]:
    """Returns the labels of runs, default recipes first so that they look most different."""
    return [label for _, label in sorted({(run.recipe != "", run.label) for run in runs})]


def history(runs: Sequence[Result], metric: str = "") -> dict[int, list[float]]:
    """Returns epoch -> a metric on test after it, for each run; accuracy by default."""
    values: dict[int, list[float]] = {}
    for run in runs:
        for epoch in run.history:
            value = epoch["test"][metric or run.accuracy_metric]
            values.setdefault(epoch["epoch"], []).append(value)
    return dict(sorted(values.items()))


def curves(runs: Sequence[Result], order: Sequence[str] = (), metric: str = "") -> Figure | None:
    """Draws a metric on test over the epochs: the mean over seeds, and the range.

    None if no run has a history.

    Args:
        runs: of one task and one data set.
        order: the labels of all models, so that each looks the same in every chart.
        metric: a distance metric in pixels; accuracy if "".
    """
    by_label = style.by_label(runs)
    models = {label: found for label, same in by_label.items() if (found := history(same, metric))}
    if not models:
        return None
    figure, looks = _chart(list(models), order)
    axes = figure.subplots()
    scale = 1 if metric else 100

    for label, found in reversed(models.items()):  # The first model is on top.
        epochs = list(found)
        values = [scale * np.array(each) for each in found.values()]
        even = np.geomspace(epochs[0], epochs[-1], 8).round()
        marked = sorted(set(np.searchsorted(epochs, even).tolist()))
        axes.plot(epochs, [each.mean() for each in values], markevery=marked, **looks[label])
        low, high = [each.min() for each in values], [each.max() for each in values]
        faint = 0.2 if len(models) <= 4 else 0.08
        look = {name: looks[label][name] for name in ("color", "gid")}
        axes.fill_between(epochs, low, high, alpha=faint, linewidth=0, **look)

    last = max(map(max, models.values()))
    axes.set(xlabel="epoch", xscale="log", xlim=(0.9, 1.1 * last), **_ACCURACY)
    if metric:
        axes.set(ylabel=f"{metric} on test, px")
        axes.autoscale(axis="y")
    _logarithmic(axes, (1, 2, 5))
    return figure


def costs(runs: Sequence[Result], order: Sequence[str] = ()) -> Figure | None:
    """Draws test accuracy over parameters and over time: the mean over seeds, and the range.

    None if no run has either.
    """
    models = style.by_label(
        run for run in runs if _positive(run.parameters) or _positive(run.seconds)
    )
    if not models:
        return None
    figure, looks = _chart(list(models), order, linestyle="none")
    both = figure.subplots(1, 2, sharey=True)

    for label, same in reversed(models.items()):  # The first model is on top.
        shares = np.array([100 * run.accuracy("test") for run in same])
        mean = shares.mean()
        spread = np.maximum(0, [[mean - shares.min()], [shares.max() - mean]])  # It is rounded.
        found = same[0].parameters, results.median(run.seconds for run in same)
        for axes, cost in zip(both, found, strict=True):
            if _positive(cost):
                point = axes.errorbar([cost], [mean], spread, elinewidth=1, **looks[label])
                for bar in point.lines[2]:
                    bar.set_gid(looks[label]["gid"])

    both[0].set(xlabel="parameters", **_ACCURACY)
    both[1].set(xlabel="time of a run, s")
    for axes in both:
        axes.set(xscale="log")
        axes.margins(x=0.2)
        low, high = axes.get_xlim()
        _logarithmic(axes, (1,) if high > 20 * low else (1, 2, 5))
    return figure


def _chart(
    labels: Sequence[str], order: Sequence[str], **changes: Any
) -> tuple[Figure, Mapping[str, dict[str, Any]]]:
    """Returns a figure with a legend of the models, and how to draw each."""
    order = order or sorted(labels)
    gids = {label: {"gid": style.model(k)} for k, label in enumerate(order)}
    looks = {label: _look(label, order) | gids[label] | changes for label in labels}
    figure = Figure(figsize=(4.8, 3 + 0.25 * len(labels)), layout="constrained")
    legend = figure.legend(
        [Line2D([], [], **look) for look in looks.values()],
        [" "] * len(labels),  # Set below, because matplotlib skips labels that begin with _.
        loc="outside lower left",
        frameon=False,
        handlelength=4,
    )
    for line, text, label in zip(legend.legend_handles, legend.get_texts(), labels, strict=True):
        text.set_text(style.wrapped(label, 45))
        for artist in filter(None, (line, text)):
            artist.set_gid(looks[label]["gid"])
    return figure, looks


def _look(label: str, order: Sequence[str]) -> dict[str, Any]:
    k = _number(label, order)
    return {
        "color": COLORS[k % len(COLORS)],
        "linestyle": _DASHES[k % len(_DASHES)],
        "marker": _MARKERS[k % len(_MARKERS)],
        "fillstyle": _FILLS[k // len(_MARKERS) % len(_FILLS)],
        "markersize": 5,
    }


def color(label: str, order: Sequence[str]) -> str:
    """Returns the colour of a model in charts of this order."""
    return COLORS[_number(label, order) % len(COLORS)]


def _number(label: str, order: Sequence[str]) -> int:
    """Returns a number for each model: first the reference models, then those of the order."""
    reference = _reference()
    if label in reference:
        return reference.index(label)
    first = len(reference) + -len(reference) % len(COLORS) + _FIRST_COLOR
    return first + [each for each in order if each not in reference].index(label)


@functools.cache
def _reference() -> list[str]:
    return labels(results.reference())


def _logarithmic(axes: Axes, ticks: tuple[int, ...]) -> None:
    """Labels a logarithmic x-axis at these digits of each decade, e.g. 500, 1k, 2M."""
    axes.xaxis.set_major_locator(LogLocator(subs=ticks, numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _positive(number: float | None) -> bool:
    return number is not None and 0 < number < 1e18

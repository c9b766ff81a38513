"""The triangle: which of the six arrows between coordinates, one-hot and canvas a model computes.

Each model has two triangles side by side: one for a data set that holds out a region of the canvas,
and one whose test examples are scattered among those of train.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from not_so_clevr import results
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import splits
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.tasks import TASKS, Task
from not_so_clevr.report import style
from not_so_clevr.results import Result, tables
from not_so_clevr.results.leaderboard import Row

Rows = Mapping[tuple[str, str], Row]  # (task, config) -> the row of a model

_NAMES = {"coordinates": "coordinates", "one_hot": "one-hot", "image": "canvas"}
_USUAL = ("quadrant", "uniform")
_PERFECT, _OTHER, _MISSING = "#009E73", "#D55E00", "#8C8C8C"

# In inches: of a model, which can be read on a phone; and within one of its triangles
_WIDTH, _HEIGHT = 4.6, 2.3
_CORNERS = {"coordinates": (1.15, 1.9), "one_hot": (0.28, 0.35), "image": (2.02, 0.35)}
_MIDDLE = np.mean(list(_CORNERS.values()), axis=0)
_APART = 0.045  # Of an arrow from the middle of its side
_FREE = 0.26  # Between an arrow and its corner


def models(runs: Iterable[Result]) -> dict[str, Rows]:
    """Returns label -> the rows of a model on `configs`, those with the most right first."""
    runs = list(runs)
    shown = configs(runs)
    rows = [row for row in results.leaderboard(runs) if row.config in shown and not row.also]
    by_model = results.grouped(rows, lambda row: row.model)
    best = sorted(
        by_model, key=lambda label: (-sum(row.test or 0 for row in by_model[label]), label)
    )
    return {label: {(row.task, row.config): row for row in by_model[label]} for label in best}


def configs(runs: Iterable[Result]) -> list[str]:
    """Returns at most two configs: one with a held-out region, and one with scattered examples.

    Of several of a kind, the one with the most tasks and models; then `quadrant` and `uniform`.
    """
    counts = collections.Counter(config for _, config, _ in {run.row for run in runs})
    kinds: dict[bool, list[str]] = {}
    for config in sorted(counts, key=lambda name: (-counts[name], name not in _USUAL, name)):
        try:
            split = as_config(config).split
        except UserError:  # There is no data set of this name.
            continue
        kinds.setdefault(split in splits.SCATTERED, []).append(config)
    return [kinds[scattered][0] for scattered in (False, True) if scattered in kinds]


def triangles(drawn: Mapping[str, Rows], shown: Sequence[str]) -> Figure:
    """Draws two triangles for each model, in up to three columns; titled if several.

    An arrow is a task. It has the mean share of test that is right over seeds, and the number of
    seeds that are perfect (train and test all right); it is green if all are, grey and dashed if
    there is no run.

    Args:
        drawn: of `models`.
        shown: of `configs`.
    """
    columns = min(3, len(drawn))
    title = 0.25 * (len(drawn) > 1)
    width, height = _WIDTH * columns, (_HEIGHT + title) * -(-len(drawn) // columns)
    figure = Figure(figsize=(width, height))

    for k, (label, rows) in enumerate(drawn.items()):
        line, column = divmod(k, columns)
        left, top = _WIDTH * column, height - (_HEIGHT + title) * line
        for place, config in enumerate(shown):
            x, y = left + _WIDTH / 2 * place, top - title - _HEIGHT
            box = (x / width, y / height, _WIDTH / 2 / width, _HEIGHT / height)
            axes = figure.add_axes(box)
            axes.set_gid(style.config(config))
            _draw(axes, rows, config)
        if title:
            middle, name = left + _WIDTH / 4 * len(shown), tables.plain(label)
            look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 9, "weight": "bold"}
            figure.text(middle / width, (top - 0.04) / height, style.wrapped(name, 50), **look)
    return figure


def text(rows: Rows, shown: Sequence[str]) -> str:
    """Returns the numbers of the triangles of a model in words."""
    return "; ".join(
        f"{config}: "
        + ", ".join(f"{task} {_share(rows.get((task, config)), ' ')}" for task in TASKS)
        for config in shown
    )


def _share(row: Row | None, between: str) -> str:
    if row is None:
        return "not run"
    return f"{tables.percent(row.test)}{between}{row.perfect} of {row.seeds}"


def _draw(axes: Axes, rows: Rows, config: str) -> None:
    """Draws a triangle; the axes are in inches."""
    axes.set(xlim=(0, _WIDTH / 2), ylim=(0, _HEIGHT))
    axes.axis("off")
    axes.text(_WIDTH / 4, _HEIGHT - 0.05, config, ha="center", va="top", fontsize=8)
    for name, (x, y) in _CORNERS.items():
        axes.text(x, y, _NAMES[name], ha="center", va="center", fontsize=8)
    for name, task in TASKS.items():
        _arrow(axes, task, rows.get((name, config)))


def _arrow(axes: Axes, task: type[Task], row: Row | None) -> None:
    """Draws an arrow on the left of its side, seen along it, and its label there."""
    start, end = (np.array(_CORNERS[name]) for name in (task.source, task.target))
    along = (end - start) / np.hypot(*(end - start))
    left = np.array([-along[1], along[0]])
    free = _FREE * along
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
    if row is None:
        look |= {"color": _MISSING, "linewidth": 0.8, "linestyle": (0, (2, 2))}
    else:
        look |= {"color": _PERFECT if row.perfect == row.seeds else _OTHER, "linewidth": 1.4}
    tip, tail = end - free + _APART * left, start + free + _APART * left
    arrow = axes.annotate("", tip, tail, arrowprops=look)
    assert arrow.arrow_patch is not None
    arrow.arrow_patch.set_gid(style.task(task.name))
    if row is None:
        return

    is_bottom = "coordinates" not in (task.source, task.target)
    inside = left @ (_MIDDLE - start) > 0
    low, high = sorted((start, end), key=lambda corner: corner[1])
    share = 0.5 if is_bottom else 0.34 if inside else 0.55  # There is more room further down.
    x, y = low + share * (high - low) + (_APART + (0.04 if is_bottom else 0.11)) * left
    place: dict[str, Any] = {"ha": "center", "va": "bottom" if inside else "top"}
    if not is_bottom:
        place = {"ha": "left" if left[0] > 0 else "right", "va": "center"}
    label = _share(row, "\n")
    place |= {"multialignment": "center", "gid": style.task(task.name)}
    axes.text(x, y, label, fontsize=6.5, linespacing=1.1, **place)

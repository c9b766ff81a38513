"""The figure for a paper: where models are wrong, a row for each model and a column for each task.

Lengths are in inches. The figure is exactly as wide as asked for, so text keeps its size in print.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from not_so_clevr import results
from not_so_clevr.checks import UserError, as_list, did_you_mean
from not_so_clevr.dataset.config import as_config
from not_so_clevr.report import maps, style
from not_so_clevr.results import Result

WIDTH = 7.0  # Both columns of most papers
NARROWEST, WIDEST = 3.0, 20.0

_PAGE = 9.0  # The height of a page, less a caption
_LARGEST, _SMALLEST = 2.6, 1.0  # The side of a map, where there is a choice
_MARGIN, _GAP, _BLOCK_GAP, _ROW_GAP = 0.04, 0.08, 0.3, 0.12
_BAR = 0.1  # The height of a colour bar
_LETTER = 0.0099  # The width of a bold letter per point of its size


def errors_figure(
    models: Sequence[str],
    runs: Sequence[Result],
    *,
    config: str = "quadrant",
    width: float = WIDTH,
) -> Figure:
    """Draws where models are wrong: a row for each model, a column for each task.

    A map shows the mean error over seeds for the example centred at each pixel, and the share of
    test that is right above it. The maps of a task share a colour scale; the outline divides test
    from train, unless test is scattered. Many models are set side by side to fit a page, if the
    width allows.

    Args:
        models: labels as in the leaderboard: the model, its recipe and the changed settings.
        runs: with their examples, e.g. from `report.load` or `benchmark.evaluate`.
        config: the data set.
        width: of the figure in inches, from 3 (a column of a paper) to 20.

    Raises:
        UserError: if a model has no runs on the config, or only runs without examples, like the
            reference results; if the width or the config is invalid, or there is less than an inch
            for each task.
    """
    if not (isinstance(width, numbers.Real) and NARROWEST <= width <= WIDEST):
        expected = f"expected a number of inches from {NARROWEST:g} to {WIDEST:g}"
        raise UserError(f"width={width!r} is out of range; {expected}.")
    models = as_list("models", models)
    if not models:
        raise UserError("There is no model to draw; name at least one.")
    name = as_config(config).name

    own = {run.label for run in runs if run.config == name}
    known = [*runs, *(run for run in results.reference() if run.label not in own)]
    by_label = style.by_label(run for run in known if run.config == name)
    rows = {model: _by_task(model, by_label, name) for model in models}
    tasks = {task for row in rows.values() for task in row}
    if len(tasks) > width:
        raise UserError(
            f"width={width:g} is too narrow for the {len(tasks)} tasks of these runs; expected an "
            f"inch for each: {len(tasks)}, or runs of fewer tasks."
        )
    return comparison(rows, width)


def _by_task(
    model: str, by_label: Mapping[str, Sequence[Result]], config: str
) -> dict[str, list[Result]]:
    """Returns the runs of a model for each task. Raises UserError unless all have examples."""
    if model not in by_label:
        others = f"models with runs: {', '.join(by_label)}" if by_label else "nor has any other"
        raise UserError(
            f"{model} has no runs on {config}{did_you_mean(model, by_label)}; {others}."
        )

    runs = by_label[model]
    drawable = {run.id for run in maps.having("coordinates", runs)}
    if missing := [run for run in runs if run.id not in drawable]:
        every = [run for same in by_label.values() for run in same]
        drawn = {run.task for run in maps.having("coordinates", every)}
        run = next((run for run in missing if run.task in drawn), missing[0])
        what = f"{run.id} has only mean errors, without those of single examples"
        raise UserError(f"{what}; train it again: {run.command or 'not-so-clevr train'}")
    return results.grouped(runs, lambda run: run.task)


def comparison(rows: Mapping[str, Mapping[str, Sequence[Result]]], width: float = WIDTH) -> Figure:
    """Draws maps of errors: a column for each task, a titled row for each model.

    Args:
        rows: title -> task -> runs of one model. A task may be missing.
        width: of the figure in inches.
    """
    tasks = sorted({task for row in rows.values() for task in row})
    layout = _laid_out(list(rows), len(tasks), width)
    figure = Figure(figsize=(width, layout.height))
    highest = {
        task: max(maps.peak(row[task]) for row in rows.values() if task in row) for task in tasks
    }
    images: dict[str, AxesImage] = {}

    for k, row in enumerate(rows.values()):
        title = "\n".join(layout.wrapped[k])
        layout.text(figure, layout.left(k, 0), layout.top(k), title, weight="bold")
        for column, task in enumerate(tasks):
            left, top = layout.left(k, column), layout.map_top(k)
            cell = layout.axes(figure, left, top, layout.side)
            cell.set(xticks=[], yticks=[])
            middle = left + layout.side / 2
            if task not in row:
                cell.set_axis_off()
                cell.text(0.5, 0.5, "not run", size=layout.size, ha="center", va="center")
                continue
            images[task] = maps.draw_map(
                cell, maps.error_map(row[task]), row[task][0], highest[task]
            )
            right = f"{style.accuracy(row[task])} of test right"
            layout.text(figure, middle, top - layout.line, right, ha="center")

    for block in range(layout.blocks):
        for column, task in enumerate(tasks):
            left = layout.left(block, column)
            layout.text(figure, left + layout.side / 2, _MARGIN, task, ha="center")
            bar = figure.colorbar(
                images[task],
                cax=layout.axes(figure, left, layout.tops[-1], _BAR),
                orientation="horizontal",
            )
            run = next(row[task][0] for row in rows.values() if task in row)
            maps.label_bar(bar, run, layout.size, layout.side)
            labels = bar.ax.get_xticklabels()
            labels[0].set_horizontalalignment("left")  # Inside the figure
            if bar.ax.get_xticks()[-1] > 0.97 * highest[task]:
                labels[-1].set_horizontalalignment("right")
    return figure


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where everything is, in inches from the upper left corner.

    Models fill `blocks` blocks from left to right, then the next row; each has all `columns`.
    """

    titles: Sequence[str]
    columns: int
    width: float
    blocks: int

    @property
    def block(self) -> float:
        return (self.width - 2 * _MARGIN - (self.blocks - 1) * _BLOCK_GAP) / self.blocks

    @property
    def side(self) -> float:
        """The side of a map."""
        return (self.block - (self.columns - 1) * _GAP) / self.columns

    @property
    def size(self) -> float:
        """The size of text in points: 7 in a column of a paper, up to 9."""
        return min(9.0, max(7.0, 6.5 * self.side))

    @property
    def line(self) -> float:
        return 1.35 * self.size / 72

    @functools.cached_property
    def wrapped(self) -> list[list[str]]:
        """The lines of each title."""
        letters = int(self.block / (_LETTER * self.size))
        return [textwrap.wrap(title, letters) for title in self.titles]

    @functools.cached_property
    def tops(self) -> list[float]:
        """The top of each row, and the bottom of the last one."""
        tops = [_MARGIN + self.line]
        for k in range(0, len(self.titles), self.blocks):
            lines = max(map(len, self.wrapped[k : k + self.blocks]))
            tops.append(tops[-1] + (lines + 1) * self.line + self.side + _ROW_GAP)
        return tops

    @property
    def height(self) -> float:
        return self.tops[-1] + _BAR + 2.4 * self.line + _MARGIN

    def left(self, k: int, column: int) -> float:
        block = k % self.blocks * (self.block + _BLOCK_GAP)
        return _MARGIN + block + column * (self.side + _GAP)

    def top(self, k: int) -> float:
        return self.tops[k // self.blocks]

    def map_top(self, k: int) -> float:
        return self.tops[k // self.blocks + 1] - _ROW_GAP - self.side

    def axes(self, figure: Figure, left: float, top: float, height: float) -> Axes:
        below = self.height - top - height
        return figure.add_axes(
            (left / self.width, below / self.height, self.side / self.width, height / self.height)
        )

    def text(self, figure: Figure, left: float, top: float, text: str, **look: Any) -> None:
        x, y = left / self.width, 1 - top / self.height
        figure.text(x, y, text, size=self.size, va="top", parse_math=False, **look)


def _laid_out(titles: Sequence[str], columns: int, width: float) -> _Layout:
    """Returns the layout with the fewest blocks side by side that fits a page, or the closest."""
    layout = _Layout(titles, columns, width, 1)
    for blocks in range(2, len(titles) + 1):
        fits = layout.side <= _LARGEST and layout.height <= _PAGE
        more = _Layout(titles, columns, width, blocks)
        if fits or more.side < _SMALLEST:
            break
        layout = more
    return layout

"""Figures of where models are wrong: maps of errors, predictions, paintings.

Each is of one data set, and all but `comparison` are of one task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from not_so_clevr import results
from not_so_clevr.dataset import drawing
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.metrics import METRICS, Metric
from not_so_clevr.report import style
from not_so_clevr.results import Result, tables

ARROWS = 100  # Predictions that are drawn: more would hide each other.

_RIGHT = "#009E73"
_WRONG = "#D55E00"
_OUTLINE = "#111111"  # `figures.svg` leaves it alone: it lies on colours that are the same on any page.
_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # Of the scale of errors, in pixels


def error_map(runs: Sequence[Result]) -> npt.NDArray[np.float64]:
    """Returns for each pixel how far off an example is that has its centre there, in the mean over the runs.

    Returns:
        float64 `[S, S]`: pixels, or 1 - IoU for rendering; NaN where no example has its centre.
    """
    size = as_config(runs[0].config).canvas_size
    total, count = np.zeros((2, size, size))
    for run in runs:
        for columns in run.examples.values():
            pixels = tuple(columns["coordinates"].T)
            np.add.at(total, pixels, distance(run).shortfall(columns[run.distance_metric]))
            np.add.at(count, pixels, 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def distance(run: Result) -> Metric:
    """Returns the distance metric of a run."""
    return METRICS[run.distance_metric]


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Returns the border of the pixels of a mask `[S, S]`: straight lines `[E, 2, 2]`, each from (x, y) to (x, y).

    The centre of a pixel (i, j) is at x = j, y = i.
    """
    across, down = _level_borders(mask), _level_borders(mask.T)
    return np.concatenate([across[..., ::-1], down]) - 0.5


def _level_borders(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Returns the lines between unlike rows, each as long as it can be, from (row, column) to (row, column)."""
    rows = np.pad(mask, ((1, 1), (0, 0)))
    turns = np.diff(np.pad(rows[1:] != rows[:-1], ((0, 0), (1, 1))).astype(int), axis=1)
    return np.stack([np.argwhere(turns == 1), np.argwhere(turns == -1)], axis=1)


def outlined(config: str) -> bool:
    """Returns whether the test examples of a data set are a region that can be outlined, and not scattered."""
    return as_config(config).split.startswith("quadrant")


def errors(runs: Sequence[Result], highest: float = 0) -> Figure | None:
    """Returns a map of errors for each model, on one scale; None if no run has its examples.

    Args:
        runs: of one task and config.
        highest: what the scale reaches at least, so that maps in several figures can have one scale.
    """
    models = style.by_label(having("coordinates", runs))
    if not models:
        return None
    maps = [error_map(same) for same in models.values()]
    highest = max(highest, *map(np.nanmax, maps), _least(runs[0]))
    figure, cells = _cells(models, height=2.8)
    for cell, each in zip(cells, maps, strict=True):
        image = _map(cell, each, runs[0], highest)
    _bar(figure, cells, image, runs[0])
    return figure


def comparison(tasks: Sequence[Sequence[Sequence[Result]]]) -> Figure:
    """Returns maps of errors: a column for each task, a row for each model, with the share of test that is right.

    Args:
        tasks: for each task, for each model, its runs.
    """
    rows = len(tasks[0])
    figure = Figure(figsize=(2.5 * len(tasks), 2.9 * rows + 0.7), layout="constrained")
    cells = figure.subplots(rows, len(tasks), squeeze=False)
    for column, models in zip(cells.T, tasks, strict=True):
        maps = [error_map(runs) for runs in models]
        highest = max(*map(np.nanmax, maps), _least(models[0][0]))
        for cell, runs, each in zip(column, models, maps, strict=True):
            image = _map(cell, each, runs[0], highest)
            right = sum(run.metrics["test"][run.accuracy_metric] for run in runs) / len(runs)
            cell.set(
                title=f"{runs[0].task}\n{style.wrapped(runs[0].label, 26)}: {tables.percent(right)} of test right",
                xticks=[],
                yticks=[],
            )
            cell.title.set_fontsize(9)
        _bar(figure, list(column), image, models[0][0])
    return figure


def predictions(runs: Sequence[Result]) -> Figure | None:
    """Returns for each model lines from true to predicted pixels of `ARROWS` test examples, of its worst run.

    None if no run has them.
    """
    models = style.by_label(having(results.PREDICTED, runs))
    if not models:
        return None
    figure, cells = _cells(models, height=2.4)
    size = as_config(runs[0].config).canvas_size
    for cell, same in zip(cells, models.values(), strict=True):
        run = worst(same)
        test = run.examples["test"]
        chosen = np.random.RandomState(0).permutation(len(test["coordinates"]))[:ARROWS]
        true, predicted = test["coordinates"][chosen], test[results.PREDICTED][chosen]
        right = test[run.accuracy_metric][chosen] == 1
        _held_out(cell, run.config, linewidth=1)
        lines = np.stack([true, predicted, np.full_like(predicted, np.nan)], axis=1).reshape(-1, 2)
        cell.plot(*lines.T[::-1], color=_WRONG, linewidth=0.7, alpha=0.6)
        cell.plot(*true.T[::-1], "o", color="#000000", markersize=2.5, markerfacecolor="none", markeredgewidth=0.6)
        for which, color, marker in ((~right, _WRONG, "x"), (right, _RIGHT, ".")):
            cell.plot(*predicted[which].T[::-1], marker, color=color, markersize=3)
        cell.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    return figure


def paintings(runs: Sequence[Result]) -> Figure | None:
    """Returns for each model true and painted canvases, of its worst run; None if no run has any."""
    models = style.by_label(having(results.PAINTED, runs))
    if not models:
        return None
    figure = Figure(figsize=(4.8, 5.2 * len(models)), layout="constrained")
    parts = figure.subfigures(len(models), 1, squeeze=False)[:, 0]
    for part, (label, same) in zip(parts, models.items(), strict=True):
        test, config = worst(same).examples["test"], as_config(runs[0].config)
        centres = test["coordinates"][test[results.SHOWN]]
        true = drawing.draw(centres, config.canvas_size, config.square_size)[..., 0]
        if len(models) > 1:
            part.suptitle(style.wrapped(label, 60), fontsize=10)
        half = -(-len(centres) // 2)
        grid = part.subplots(4, half, squeeze=False)
        for k, (i, j) in enumerate(centres.tolist()):
            above, below = grid[2 * (k // half) : 2 * (k // half) + 2, k % half]
            above.set_title(f"({i}, {j})", fontsize=9)
            below.set_xlabel(f"IoU {test['iou'][test[results.SHOWN][k]]:.2f}", fontsize=9)
            for cell, image in ((above, true[k]), (below, test[results.PAINTED][k])):
                cell.imshow(image, cmap="gray", vmin=0, vmax=drawing.WHITE, interpolation="none")
                cell.set(xticks=[], yticks=[])
        for row, name in enumerate(("true", "painted") * 2):
            grid[row, 0].set_ylabel(name)
    return figure


def having(column: str, runs: Iterable[Result]) -> list[Result]:
    """Returns the runs that have such a column for the examples of test."""
    return [run for run in runs if column in run.examples.get("test", ())]


def worst(runs: Iterable[Result]) -> Result:
    """Returns the run that is least often right on test, and of several of them the one that is the farthest off."""

    def rank(run: Result) -> tuple[float, float]:
        test = run.metrics["test"]
        return test[run.accuracy_metric], -distance(run).shortfall(test[run.distance_metric])

    return min(runs, key=rank)


def _map(cell: Axes, errors: npt.NDArray[np.float64], run: Result, highest: float) -> AxesImage:
    """Paints a map of errors, and outlines the test examples.

    Distances are on a scale that is linear below a pixel and logarithmic above: on one that is linear up to the 80 pixels of
    the worst model of a page, one that is 2 pixels off looks perfect.
    """
    scale = Normalize(0, highest) if distance(run).higher_is_better else AsinhNorm(1, 0, highest)
    image = cell.imshow(errors, cmap="cividis_r", norm=scale, interpolation="none")
    _held_out(cell, run.config)
    return image


def _bar(figure: Figure, cells: list[Axes], image: AxesImage, run: Result) -> None:
    """Draws the scale of some maps below them."""
    metric = distance(run)
    label = f"1 - {metric.label}" if metric.higher_is_better else f"{metric.label}, {metric.unit}"
    bar = figure.colorbar(image, ax=cells, location="bottom", aspect=25, label=label)
    if not metric.higher_is_better:
        ticks = np.array([tick for tick in _TICKS if tick <= image.get_clim()[1]])
        distances = np.diff(np.asarray(image.norm(ticks)), prepend=-1)
        has_room = distances >= [0.05 * len(str(tick)) for tick in ticks]
        bar.set_ticks(ticks[has_room].tolist())
        bar.minorticks_off()
        bar.ax.xaxis.set_major_formatter("{x:g}")
    bar.ax.collections[0].set_rasterized(True)  # Else it is 256 polygons.


def _least(run: Result) -> float:
    """Returns what a scale reaches at least: one up to the noise of float32 would paint a perfect model as a bad one."""
    return 0.1 if distance(run).higher_is_better else 1


def _cells(models: Mapping[str, Sequence[Result]], height: float) -> tuple[Figure, list[Axes]]:
    """Returns a figure with a canvas for each model, four in a row at most; named, if there are several."""
    config = next(iter(models.values()))[0].config
    size = as_config(config).canvas_size
    rows, columns = -(-len(models) // 4), min(len(models), 4)
    figure = Figure(figsize=(2.5 * columns, height * rows), layout="constrained")
    cells = list(figure.subplots(rows, columns, squeeze=False).flat)
    for cell in cells[len(models) :]:
        cell.remove()
    for cell, label in zip(cells, models, strict=False):
        ticks = sorted({0, size // 2, size - 1})
        cell.set(title=style.wrapped(label, 26) if len(models) > 1 else "", xticks=ticks, yticks=ticks)
        cell.title.set_fontsize(9)
        cell.set(xlabel="column j", ylabel="row i")
    return figure, cells[: len(models)]


def _held_out(axes: Axes, config: str, linewidth: float = 1.5) -> None:
    """Outlines the test examples, unless they are scattered."""
    if not outlined(config):
        return
    about = as_config(config)
    mask = np.zeros((about.canvas_size, about.canvas_size), bool)
    mask[tuple(about.split_centres()["test"].T)] = True
    segments = np.pad(outline(mask), ((0, 0), (0, 1), (0, 0)), constant_values=np.nan)  # One line with gaps: a small file
    for color, width in (("#FFFFFF", 2 * linewidth), (_OUTLINE, linewidth)):
        axes.plot(*segments.reshape(-1, 2).T, color=color, linewidth=width, solid_capstyle="projecting", snap=False)

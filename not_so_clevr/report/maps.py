"""Figures of where models are wrong: maps of errors, predictions, paintings.

Each shows one task and one data set; `paper` puts maps of several tasks into one figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from not_so_clevr import results
from not_so_clevr.dataset import drawing, splits
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.metrics import METRICS, Metric
from not_so_clevr.report import style
from not_so_clevr.results import Result

ARROWS = 50  # More predictions would hide each other.

_RIGHT = "#009E73"
_WRONG = "#D55E00"
_COLORS = "cividis_r"
_OUTLINE = "#111111"  # Not black, so `style.svg` keeps it: the maps look the same on any page.
_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # Of the color bar, in pixels


def error_map(runs: Sequence[Result]) -> npt.NDArray[np.float64]:
    """Returns the mean error over the runs for the example centred at each pixel.

    Returns:
        float64 `[H, W]`: pixels, or 1 - IoU of canvases; NaN where no example has its centre.
    """
    config = as_config(runs[0].config)
    total, count = np.zeros((2, config.height, config.width))
    for run in runs:
        for columns in run.examples.values():
            pixels = tuple(columns["coordinates"].T)
            np.add.at(total, pixels, distance(run).shortfall(columns[run.distance_metric]))
            np.add.at(count, pixels, 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def distance(run: Result) -> Metric:
    """Returns the distance metric of a run."""
    return METRICS[run.distance_metric]


def errors(runs: Sequence[Result], highest: float = 0, bar: bool = True) -> Figure | None:
    """Draws a map of errors for each model, on one scale; None if no run has its examples.

    Args:
        runs: of one task and config.
        highest: the least end of the scale, so that several figures can share one.
        bar: whether there is a colour bar; `scale` draws the one of several figures.
    """
    models = style.by_label(having("coordinates", runs))
    if not models:
        return None
    maps = [error_map(same) for same in models.values()]
    highest = max(highest, *map(peak, models.values()))

    figure, cells = _cells(list(models), runs[0].config, height=2.8 if bar else 2.4)
    for cell, each in zip(cells, maps, strict=True):
        image = draw_map(cell, each, runs[0], highest)
    if bar:
        below = figure.colorbar(image, ax=cells, location="bottom", aspect=25)
        label_bar(below, runs[0], 10, 2.4)
    return figure


def scale(run: Result, highest: float) -> Figure:
    """Draws the colour bar of maps that end at `highest`, of the task of a run."""
    figure = Figure(figsize=(4, 0.6), layout="constrained")
    colors = ScalarMappable(_scale(run, highest), _COLORS)
    bar = figure.colorbar(colors, cax=figure.subplots(), orientation="horizontal")
    label_bar(bar, run, 10, 4)
    return figure


def predictions(runs: Sequence[Result]) -> Figure | None:
    """Draws lines from true to predicted pixels for each model, of `ARROWS` test examples.

    The run is the model's worst. None if no run has predictions.
    """
    models = style.by_label(having(results.PREDICTED, runs))
    if not models:
        return None
    figure, cells = _cells(list(models), runs[0].config, height=2.4)
    for cell, same in zip(cells, models.values(), strict=True):
        _lines(cell, worst(same))
    return figure


def _lines(cell: Axes, run: Result) -> None:
    test = run.examples["test"]
    chosen = np.random.RandomState(0).permutation(len(test["coordinates"]))[:ARROWS]
    true, predicted = test["coordinates"][chosen], test[results.PREDICTED][chosen]
    right = test[run.accuracy_metric][chosen] == 1

    _outline_test(cell, run.config, linewidth=1)
    gaps = np.full_like(predicted, np.nan)
    lines = np.stack([true, predicted, gaps], axis=1).reshape(-1, 2)
    cell.plot(*lines.T[::-1], color=_WRONG, linewidth=0.7, alpha=0.6)
    cell.plot(*true.T[::-1], "o", color="#000000", ms=2.5, mfc="none", mew=0.6)
    cell.plot(*predicted[~right].T[::-1], "x", color=_WRONG, ms=3)
    cell.plot(*predicted[right].T[::-1], ".", color=_RIGHT, ms=3)

    config = as_config(run.config)
    cell.set(xlim=(-0.5, config.width - 0.5), ylim=(config.height - 0.5, -0.5), aspect="equal")


def paintings(runs: Sequence[Result]) -> Figure | None:
    """Draws true and painted canvases of each model's worst run; None if no run has any."""
    models = style.by_label(having(results.PAINTED, runs))
    if not models:
        return None
    figure = Figure(figsize=(4.8, 5.2 * len(models)), layout="constrained")
    parts = figure.subfigures(len(models), 1, squeeze=False)[:, 0]
    for part, (label, same) in zip(parts, models.items(), strict=True):
        _canvases(part, worst(same))
        if len(models) > 1:
            part.suptitle(style.wrapped(label, 60), fontsize=10)
    return figure


def _canvases(part: SubFigure, run: Result) -> None:
    """Draws two pairs of rows: true canvases, and below them the painted ones."""
    test, config = run.examples["test"], as_config(run.config)
    shown = test[results.SHOWN]
    centres = test["coordinates"][shown]
    true = drawing.draw(centres, config.canvas_size, config.shape)[..., 0]

    columns = -(-len(shown) // 2)
    grid = part.subplots(4, columns, squeeze=False)
    for k, (i, j) in enumerate(centres.tolist()):
        row, column = divmod(k, columns)
        above, below = grid[2 * row : 2 * row + 2, column]
        above.set_title(f"({i}, {j})", fontsize=9)
        iou = float(test["iou"][shown[k]])
        iou = iou if iou == 1 else min(iou, 0.99)  # Only a right canvas has 1.
        below.set_xlabel(f"IoU {iou:.2f}", fontsize=9)
        for cell, image in ((above, true[k]), (below, test[results.PAINTED][k])):
            look = {"cmap": "gray", "vmin": 0, "vmax": drawing.WHITE, "interpolation": "none"}
            cell.imshow(image, clip_on=False, **look)
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)  # Canvases are black; frames double the figure.
    for cell, name in zip(grid[:, 0], ("true", "painted") * 2, strict=True):
        cell.set_ylabel(name)


def having(column: str, runs: Iterable[Result]) -> list[Result]:
    """Returns the runs that have this column for their test examples."""
    return [run for run in runs if column in run.examples.get("test", ())]


def worst(runs: Iterable[Result]) -> Result:
    """Returns the run with the lowest test accuracy; among equals, the one with the most error."""

    def rank(run: Result) -> tuple[float, float]:
        return run.accuracy("test"), -distance(run).shortfall(run.distance("test"))

    return min(runs, key=rank)


def draw_map(cell: Axes, errors: npt.NDArray[np.float64], run: Result, highest: float) -> AxesImage:
    """Draws a map of errors and outlines the test examples.

    Distances are on a scale that is linear below a pixel and logarithmic above. On a linear one,
    up to the 80 pixels of a very bad model, an error of 2 pixels would look perfect.
    """
    norm = _scale(run, highest)
    image = cell.imshow(errors, cmap=_COLORS, norm=norm, interpolation="none")
    _outline_test(cell, run.config)
    return image


def _scale(run: Result, highest: float) -> Normalize:
    return Normalize(0, highest) if distance(run).higher_is_better else AsinhNorm(1, 0, highest)


def label_bar(bar: Colorbar, run: Result, size: float, width: float) -> None:
    """Labels the colour bar of a map with the metric of its run.

    Args:
        bar: horizontal.
        run: one of the map.
        size: of the text, in points.
        width: of the bar, in inches.
    """
    metric = distance(run)
    label = f"1 - {metric.label}" if metric.higher_is_better else f"{metric.label}, {metric.unit}"
    bar.set_label(label, size=size)
    bar.ax.tick_params(labelsize=size)

    digit = 0.012 * size / width  # With some room, as a share of the bar
    if metric.higher_is_better:
        bar.set_ticks(MaxNLocator(max(1, int(0.2 / digit)), steps=[1, 2, 5]))
    else:
        bar.set_ticks(_readable(bar.norm, digit))
        bar.minorticks_off()
        bar.ax.xaxis.set_major_formatter("{x:g}")
    bar.ax.collections[0].set_rasterized(True)  # Otherwise it is 256 polygons.


def _readable(scale: Normalize, digit: float) -> list[int]:
    """Returns those of `_TICKS` that have room; `digit` is the width of one, of a bar of 1."""
    kept: list[int] = []
    for tick in _TICKS:
        room = digit * (len(str(tick)) + 0.5)
        if tick <= (scale.vmax or 0) and (not kept or scale(tick) - scale(kept[-1]) >= room):
            kept.append(tick)
    return kept


def peak(runs: Sequence[Result]) -> float:
    """Returns the end of the scale of a map: its largest error, and at least a pixel or 0.1.

    Rounding errors would make a perfect model look bad.
    """
    least = 0.1 if distance(runs[0]).higher_is_better else 1
    return max(least, float(np.nanmax(error_map(runs))))


def _cells(labels: Sequence[str], config: str, height: float) -> tuple[Figure, list[Axes]]:
    """Returns a figure with a canvas for each model, up to four in a row, titled if several."""
    about = as_config(config)
    xticks, yticks = (sorted({0, n // 2, n - 1}) for n in (about.width, about.height))
    rows, columns = -(-len(labels) // 4), min(len(labels), 4)
    figure = Figure(figsize=(2.5 * columns, height * rows), layout="constrained")
    cells = list(figure.subplots(rows, columns, squeeze=False).flat)

    for cell, label in zip(cells, labels, strict=False):
        cell.set(xticks=xticks, yticks=yticks, xlabel="column j", ylabel="row i")
        if len(labels) > 1:
            cell.set_title(style.wrapped(label, 26), fontsize=9)
    for cell in cells[len(labels) :]:
        cell.remove()
    return figure, cells[: len(labels)]


def _outline_test(axes: Axes, config: str, linewidth: float = 1.5) -> None:
    """Outlines the test examples unless they are scattered.

    They fill a rectangle, except for those of `border`, around one that train fills.
    """
    about = as_config(config)
    if about.split in splits.SCATTERED:
        return
    inside = "train" if about.split == "border" else "test"
    centres = about.split_centres()[inside]
    (top, left), (bottom, right) = centres.min(axis=0) - 0.5, centres.max(axis=0) + 0.5
    halo = patheffects.withStroke(linewidth=2 * linewidth, foreground="#FFFFFF")
    box = Rectangle((left, top), right - left, bottom - top, fill=False, path_effects=[halo])
    box.set(edgecolor=_OUTLINE, linewidth=linewidth, snap=False)
    axes.add_patch(box)

"""Figures of results: maps of errors, predictions, learning curves, cost. Each is of one task and one data set.

They are drawn in matplotlib's default black on white, for papers; in `svg` what is black takes the colour of the page's text.
A model keeps its colour, line and marker in every figure that is given the same `order`.
"""

from __future__ import annotations

import io
import pathlib
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from not_so_clevr import canvas, disk, results
from not_so_clevr.config import as_config
from not_so_clevr.results import Result

ARROWS = 100  # Predictions that are drawn: more would hide each other.

_RIGHT = "#009E73"
_WRONG = "#D55E00"
_OUTLINE = "#111111"  # `svg` leaves it alone: it lies on colours that are the same on any page.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#B8659A", "#8A6D00", "#777777")  # After Okabe and Ito, for white and black pages
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
_MARKERS = "osD^vPX<>hp"
_FILLS = ("full", "none", "left")
_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # Of the scale of errors, in pixels
_METADATA = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


def by_label(runs: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns the runs of each model, in the order in which the models come first."""
    models: dict[str, list[Result]] = {}
    for run in runs:
        models.setdefault(run.label, []).append(run)
    return models


def labels(runs: Iterable[Result]) -> list[str]:
    """Returns the labels of runs, those with the default recipe first, so that these differ most in their looks."""
    return [label for _, label in sorted({(run.recipe != "", run.label) for run in runs})]


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
            np.add.at(total, pixels, off(run, columns[run.closeness]))
            np.add.at(count, pixels, 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def off(run: Result, closeness: Any) -> Any:
    """Returns how far off answers are, 0 if not at all: pixels, or 1 - IoU."""
    return 1 - closeness if run.closeness == "iou" else closeness


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


def history(runs: Sequence[Result]) -> dict[int, list[float]]:
    """Returns for each epoch the shares of test that were right after it, of every run that has a history."""
    shares: dict[int, list[float]] = {}
    for run in runs:
        for epoch in run.history:
            shares.setdefault(epoch["epoch"], []).append(epoch["test"][run.right])
    return dict(sorted(shares.items()))


def errors(runs: Sequence[Result], highest: float = 0) -> Figure | None:
    """Returns a map of errors for each model, on one scale; None if no run has its examples.

    Args:
        runs: of one task and config.
        highest: what the scale reaches at least, so that maps in several figures can have one scale.
    """
    models = by_label(having("coordinates", runs))
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
            right = sum(run.metrics["test"][run.right] for run in runs) / len(runs)
            cell.set(
                title=f"{runs[0].task}\n{_wrapped(runs[0].label, 26)}: {results.percent(right)} of test right",
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
    models = by_label(having(results.PREDICTED, runs))
    if not models:
        return None
    figure, cells = _cells(models, height=2.4)
    size = as_config(runs[0].config).canvas_size
    for cell, same in zip(cells, models.values(), strict=True):
        run = worst(same)
        test = run.examples["test"]
        chosen = np.random.RandomState(0).permutation(len(test["coordinates"]))[:ARROWS]
        true, predicted = test["coordinates"][chosen], test[results.PREDICTED][chosen]
        right = test[run.right][chosen] == 1
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
    models = by_label(having(results.PAINTED, runs))
    if not models:
        return None
    figure = Figure(figsize=(4.8, 5.2 * len(models)), layout="constrained")
    parts = figure.subfigures(len(models), 1, squeeze=False)[:, 0]
    for part, (label, same) in zip(parts, models.items(), strict=True):
        test, config = worst(same).examples["test"], as_config(runs[0].config)
        centres = test["coordinates"][test[results.SHOWN]]
        true = canvas.draw(centres, config.canvas_size, config.square_size)[..., 0]
        if len(models) > 1:
            part.suptitle(_wrapped(label, 60), fontsize=10)
        half = -(-len(centres) // 2)
        grid = part.subplots(4, half, squeeze=False)
        for k, (i, j) in enumerate(centres.tolist()):
            above, below = grid[2 * (k // half) : 2 * (k // half) + 2, k % half]
            above.set_title(f"({i}, {j})", fontsize=9)
            below.set_xlabel(f"IoU {test['iou'][test[results.SHOWN][k]]:.2f}", fontsize=9)
            for cell, image in ((above, true[k]), (below, test[results.PAINTED][k])):
                cell.imshow(image, cmap="gray", vmin=0, vmax=canvas.WHITE, interpolation="none")
                cell.set(xticks=[], yticks=[])
        for row, name in enumerate(("true", "painted") * 2):
            grid[row, 0].set_ylabel(name)
    return figure


def curves(runs: Sequence[Result], order: Sequence[str] = ()) -> Figure | None:
    """Returns the share of test that is right after each epoch: the mean over seeds, and from the worst to the best.

    None if no run has a history.
    """
    models = {label: shares for label, same in by_label(runs).items() if (shares := history(same))}
    if not models:
        return None
    figure = Figure(figsize=(4.8, 3 + 0.25 * len(models)), layout="constrained")
    axes = figure.subplots()
    handles = {}
    faint = 0.2 if len(models) <= 4 else 0.08
    for label, shares in reversed(models.items()):  # So that the first is on top.
        look = _look(label, order or sorted(models))
        epochs, values = list(shares), [[100 * share for share in shares[epoch]] for epoch in shares]
        marked = sorted({*np.searchsorted(epochs, np.geomspace(epochs[0], epochs[-1], 8).round()).tolist()})
        handles[label] = axes.plot(epochs, [sum(each) / len(each) for each in values], markevery=marked, **look)[0]
        axes.fill_between(epochs, [*map(min, values)], [*map(max, values)], color=look["color"], alpha=faint, linewidth=0)
    last = max(map(max, models.values()))
    axes.set(xlabel="epoch", ylabel="right on test, %", ylim=(-3, 103), xscale="log", xlim=(0.9, 1.1 * last))
    _logarithmic(axes, (1, 2, 5))
    _legend(figure, dict(reversed(handles.items())))
    return figure


def costs(runs: Sequence[Result], order: Sequence[str] = ()) -> Figure | None:
    """Returns the share of test that is right against parameters and against seconds, from the worst to the best seed.

    None if no run tells either.
    """
    models = by_label(run for run in runs if _positive(run.parameters) or _positive(run.seconds))
    if not models:
        return None
    figure = Figure(figsize=(4.8, 3 + 0.25 * len(models)), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    handles = {}
    for label, same in reversed(models.items()):  # So that the first is on top.
        look = _look(label, order or sorted(models)) | {"linestyle": "none"}
        shares = [100 * run.metrics["test"][run.right] for run in same]
        mean = sum(shares) / len(shares)
        spread = [[mean - min(shares)], [max(shares) - mean]]
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


def having(column: str, runs: Iterable[Result]) -> list[Result]:
    """Returns the runs that have such a column for the examples of test."""
    return [run for run in runs if column in run.examples.get("test", ())]


def worst(runs: Iterable[Result]) -> Result:
    """Returns the run that is least often right on test, and of several of them the one that is the farthest off."""
    return min(runs, key=lambda run: (run.metrics["test"][run.right], -off(run, run.metrics["test"][run.closeness])))


def svg(figure: Figure, name: str) -> str:
    """Returns a figure as an SVG element for a page: transparent, and what is black in the colour of the text around it.

    Args:
        figure: what to draw.
        name: tells apart the ids of the figures of a page.
    """
    stream = io.StringIO()
    _save(figure, stream, "svg", {"svg.fonttype": "none", "svg.hashsalt": name}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<style.*?</style>", "", text)  # It would hold for the whole page.
    text = re.sub(r'(<g|<image[^>]*) id="[^"]*"', r"\1", text)  # Ids that nothing refers to, the same in every figure
    return re.sub(r" font-family: [^;\"]*;", "", text)


def write(figure: Figure, file: pathlib.Path, dpi: int = 300, **metadata: str) -> None:
    """Writes a figure as PNG or PDF, by the ending of the file's name. Raises OSError, one sentence, if it cannot."""
    with disk.replacing(file) as temporary:
        _save(figure, temporary, file.suffix[1:], {"pdf.fonttype": 42}, metadata, dpi=dpi)


def _save(
    figure: Figure, target: Any, ending: str, settings: dict[str, Any], metadata: Mapping[str, str] = {}, **options: Any
) -> None:
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # A model may have a name in any script.
        figure.savefig(target, format=ending, metadata={**_METADATA[ending], **metadata}, **options)


def _map(cell: Axes, errors: npt.NDArray[np.float64], run: Result, highest: float) -> AxesImage:
    """Paints a map of errors, and outlines the test examples.

    Distances are on a scale that is linear below a pixel and logarithmic above: on one that is linear up to the 80 pixels of
    the worst model of a page, one that is 2 pixels off looks perfect.
    """
    scale = Normalize(0, highest) if run.closeness == "iou" else AsinhNorm(1, 0, highest)
    image = cell.imshow(errors, cmap="cividis_r", norm=scale, interpolation="none")
    _held_out(cell, run.config)
    return image


def _bar(figure: Figure, cells: list[Axes], image: AxesImage, run: Result) -> None:
    """Draws the scale of some maps below them."""
    is_iou = run.closeness == "iou"
    bar = figure.colorbar(image, ax=cells, location="bottom", aspect=25, label="1 - IoU" if is_iou else f"{run.closeness}, px")
    if not is_iou:
        ticks = np.array([tick for tick in _TICKS if tick <= image.get_clim()[1]])
        distances = np.diff(np.asarray(image.norm(ticks)), prepend=-1)
        has_room = distances >= [0.05 * len(str(tick)) for tick in ticks]
        bar.set_ticks(ticks[has_room].tolist())
        bar.minorticks_off()
        bar.ax.xaxis.set_major_formatter("{x:g}")
    bar.ax.collections[0].set_rasterized(True)  # Else it is 256 polygons.


def _least(run: Result) -> float:
    """Returns what a scale reaches at least: one up to the noise of float32 would paint a perfect model as a bad one."""
    return 0.1 if run.closeness == "iou" else 1


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
        cell.set(title=_wrapped(label, 26) if len(models) > 1 else "", xticks=ticks, yticks=ticks)
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
        text.set_text(_wrapped(label, 45))  # Set afterwards, as matplotlib leaves out names that begin with _.


def _logarithmic(axes: Axes, ticks: tuple[int, ...]) -> None:
    """Has the x-axis, which is logarithmic, show these digits of each decade, as 500, 1k, 2M."""
    axes.xaxis.set_major_locator(LogLocator(subs=ticks, numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _wrapped(label: str, width: int) -> str:
    return textwrap.fill(label, width, max_lines=3, placeholder="…")


def _positive(number: float | None) -> bool:
    return number is not None and 0 < number < 1e18

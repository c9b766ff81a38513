"""The explorer: where each model puts the shape, for every place on the canvas, as data.

The script of the page draws it. Arrays are int16, compressed by zlib, in base64, which fits into an
attribute of an element.
"""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr import results
from not_so_clevr.dataset import shapes
from not_so_clevr.dataset.config import as_config
from not_so_clevr.report import charts, maps, style
from not_so_clevr.results import Result

STEPS = 8  # Of a pixel: positions and distances are multiples of 1/8 px.
_SHARES = 1000  # An IoU is a multiple of 1/1000.
_MOST = 4096  # Places on a canvas; a larger one has every second, third, ... row and column.
_NONE, _TRAIN, _TEST = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers of a model's worst seed.

    Attributes:
        values: packed int16 `[3, P]`: the rows and columns from the true place to the answer in
            `1 / STEPS` px, and whether it is right; or `[2, P]`: the distance metric and that.
        scale: the number in `values` for 1 px, or for an IoU of 1.
    """

    model: str
    seed: int
    color: str
    link: tuple[str, str, str]
    unit: str
    scale: int
    has_place: bool
    values: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """A task and config: its places, R rows of C, and the answers of each model there.

    Attributes:
        step: the pixels between two neighbouring places.
        top: the row of the first place.
        left: the column of the first place.
        places: packed int16 `[R * C]`: 1 for train, 2 for test, 0 for neither.
        kernel: packed int16 `[k * k]`: the pixels of the shape.
    """

    task: str
    config: str
    height: int
    width: int
    step: int
    top: int
    left: int
    rows: int
    columns: int
    size: int
    places: str
    kernel: str
    answers: Sequence[Answers]


def panel(runs: Iterable[Result], order: Sequence[str]) -> Panel | None:
    """Returns the panel of the models of a task and config; None if no run has its examples.

    Args:
        runs: of one task and config.
        order: the labels of all models, so that each has the colour that it has in the charts.
    """
    models = style.by_label(maps.having("coordinates", runs))
    if not models:
        return None
    first = next(iter(models.values()))[0]
    config = as_config(first.config)
    splits = config.split_centres()
    centres = np.concatenate(list(splits.values()))
    (top, left), (bottom, right) = centres.min(axis=0), centres.max(axis=0)
    step = int(np.ceil(np.sqrt((bottom - top + 1) * (right - left + 1) / _MOST)))
    step += step % 2 == 0  # With an even one, a checkerboard would have one colour.
    grid = _Grid(int(top), int(left), int(bottom), int(right), step)

    places = grid.filled(_NONE)
    for split, number in (("train", _TRAIN), ("test", _TEST)):
        grid.put(places, splits[split], number)
    return Panel(
        task=first.task,
        config=first.config,
        height=config.height,
        width=config.width,
        step=step,
        top=grid.top,
        left=grid.left,
        rows=places.shape[0],
        columns=places.shape[1],
        size=config.shape_size,
        places=packed(places),
        kernel=packed(shapes.kernel(config.shape)),
        answers=[
            _answers(maps.worst(same), grid, charts.color(label, order))
            for label, same in models.items()
        ],
    )


@dataclasses.dataclass(frozen=True)
class _Grid:
    top: int
    left: int
    bottom: int
    right: int
    step: int

    def filled(self, value: int) -> npt.NDArray[np.int16]:
        """Returns an array with a number for each place."""
        rows, columns = self.bottom - self.top, self.right - self.left
        return np.full((rows // self.step + 1, columns // self.step + 1), value, np.int16)

    def put(self, values: npt.NDArray[np.int16], centres: Any, numbers: Any) -> None:
        """Sets the numbers of those centres that are places."""
        cells, rest = np.divmod(centres - np.array([self.top, self.left]), self.step)
        kept = (rest == 0).all(axis=1) & (cells >= 0).all(axis=1) & (cells < values.shape).all(1)
        values[tuple(cells[kept].T)] = np.broadcast_to(numbers, len(centres))[kept]


def _answers(run: Result, grid: _Grid, color: str) -> Answers:
    metric = maps.distance(run)
    scale = STEPS if metric.unit else _SHARES
    has_place = all(results.PREDICTED in columns for columns in run.examples.values())
    planes = [grid.filled(0) for _ in range(2 if has_place else 1)]
    right = grid.filled(-1)  # Where there is no example

    for columns in run.examples.values():
        centres = columns["coordinates"]
        if has_place:
            values = (columns[results.PREDICTED].astype(np.float64) - centres).T
        else:
            values = columns[run.distance_metric].astype(np.float64)[None]
        for plane, numbers in zip(planes, values, strict=True):
            grid.put(plane, centres, np.clip(np.round(scale * numbers), -32767, 32767))
        grid.put(right, centres, columns[run.accuracy_metric] == 1)
    return Answers(
        model=run.label,
        seed=run.seed,
        color=color,
        link=run.row,
        unit=metric.unit or metric.label,
        scale=scale,
        has_place=has_place,
        values=packed(np.stack([*planes, right])),
    )


def packed(values: npt.NDArray[Any]) -> str:
    """Returns an array as base64 of zlib of little-endian int16."""
    return base64.b64encode(zlib.compress(values.astype("<i2").tobytes(), 9)).decode()

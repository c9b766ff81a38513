"""The figures of the pages that are drawn from run files, and whether they are up to date."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import scaling
from matplotlib.figure import Figure
from PIL import Image

from not_so_clevr import results
from not_so_clevr.report import charts, maps, paper, style
from not_so_clevr.results import Result

ROOT = pathlib.Path(__file__).parents[1]
COST = pathlib.Path("docs", "scaling.json")

_DIGEST = "Run files"  # The metadata of a figure that identifies the data it was drawn from
_RIVALS = {"classification": "deconv", "regression": "conv", "rendering": "deconv"}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure and its data.

    Attributes:
        draw: makes the figure from runs, or returns None if they lack what it shows.
        ids: the beginnings of the ids of the runs.
        file: drawn instead of runs, or None.
        of_examples: whether it shows single examples.
    """

    draw: Callable[[Sequence[Result]], Figure | None]
    ids: Sequence[str] = ()
    file: pathlib.Path | None = None
    of_examples: bool = False

    def shows(self, run: Result) -> bool:
        return f"{run.id}/".startswith(tuple(f"{each}/" for each in self.ids))

    def digest(self, runs: Sequence[Result]) -> str:
        """Returns the SHA-256 of all data that the figure is drawn from."""
        digest = hashlib.sha256(self.file.read_bytes() if self.file else b"")
        for run in filter(self.shows, runs):
            digest.update(json.dumps(run.values()).encode())
            for columns in run.examples.values():
                for name, array in columns.items():
                    digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def write(self, file: pathlib.Path, runs: Sequence[Result]) -> None:
        """Writes the figure as PNG. Raises ValueError, one sentence, if the runs lack its data."""
        shown = list(filter(self.shows, runs))
        figure = self.draw(shown) if shown or self.file else None
        if figure is None:
            names = ", ".join(self.ids)
            raise ValueError(f"{file.name} needs examples or histories of {names}; train again.")
        style.write(figure, file, dpi=120, **{_DIGEST: self.digest(runs)})


def _maps(*ids: str) -> Drawing:
    return Drawing(maps.errors, ids, of_examples=True)


def _comparison(runs: Sequence[Result]) -> Figure:
    """Draws CoordConv below an ordinary network, for each task."""
    models = results.grouped(runs, lambda run: (run.task, run.label))
    rivals = ", ".join(_RIVALS.values())
    rows = {
        f"ordinary convolution ({rivals})": {task: models[task, _RIVALS[task]] for task in _RIVALS},
        "coordconv": {task: models[task, "coordconv"] for task in _RIVALS},
    }
    return paper.comparison(rows, width=7.5)


_COMPARED = [
    f"{task}/quadrant/{model}" for task, rival in _RIVALS.items() for model in (rival, "coordconv")
]
_ARTICLE = "regression/uniform/coordconv-article"

FIGURES = {
    "docs/figures/errors.png": Drawing(_comparison, _COMPARED, of_examples=True),
    "docs/figures/mean-pooling.png": _maps(f"{_ARTICLE}-pooling=mean"),
    "docs/figures/low-rate.png": Drawing(
        functools.partial(charts.curves, metric="error"),
        [_ARTICLE, f"{_ARTICLE}-learning_rate=0.0001"],
    ),
    "docs/figures/too-long.png": Drawing(
        charts.curves, [f"{_ARTICLE}-epochs=200-learning_rate=0.01"]
    ),
    "docs/figures/tiled.png": _maps("classification/quadrant/tiled_conv"),
    "docs/figures/deconv.png": _maps("classification/quadrant/deconv-article"),
    "docs/figures/small-filters.png": Drawing(
        maps.paintings, ["rendering/quadrant/coordconv-article/seed0"], of_examples=True
    ),  # Seed 2 is black.
    "docs/figures/no-decay.png": _maps("classification/quadrant/coordconv-weight_decay=0.0"),
    "docs/figures/scaling.png": Drawing(
        lambda _: scaling.figure(scaling.load(ROOT / COST)), file=ROOT / COST
    ),
}


def stale(root: pathlib.Path, runs: Sequence[Result]) -> list[str]:
    """Returns the names of the figures that were not drawn from the runs as they are now."""
    return [name for name, each in FIGURES.items() if _drawn_from(root / name) != each.digest(runs)]


def _drawn_from(file: pathlib.Path) -> str | None:
    try:
        with Image.open(file) as image:
            return str(image.info.get(_DIGEST))
    except OSError:  # Not there, or only half of it after a kill
        return None

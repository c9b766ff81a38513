"""The picture of one or more data sets: maps of their splits, and examples."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import drawing, shapes
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.patches import Patch

# From Okabe and Ito's palette, which colour-blind people can tell apart, as can a grey print.
COLORS = {"train": "#0072B2", "test": "#E69F00"}
_NO_CENTRE = "#DDDDDD"
_EXAMPLES = 4
_COLUMNS = 5  # At most, where a figure shows several data sets

_Centres = dict[str, npt.NDArray[np.int64]]


def figure(*configs: str | NotSoClevrConfig) -> Figure:
    """Returns a figure with the map of train and test centres, and examples.

    One config has four examples of train and of test beside its map; each of several has one test
    example below its map.

    Needs matplotlib, and imports neither TensorFlow nor Keras. Draws only the examples it shows.

    Args:
        *configs: one or more configs or their names.

    Raises:
        UserError: if there is no config, or one is unknown.
    """
    if not configs:
        raise UserError("There is no config to show; expected one or more, e.g. 'quadrant'.")
    checked = [as_config(config) for config in configs]
    return _of_one(*checked) if len(checked) == 1 else _of_several(checked)


def _of_one(config: NotSoClevrConfig) -> Figure:
    import matplotlib.pyplot as plt

    centres = config.split_centres()
    result = plt.figure(figsize=(12, 5.2), layout="constrained")
    result.suptitle(
        f"not_so_clevr/{textwrap.fill(config.name, 70)}", fontsize=15, fontweight="bold"
    )

    left, right = result.subfigures(1, 2, width_ratios=[1, 1.5])
    axes = left.subplots()
    _plot_map(axes, config, centres)
    axes.set(title=f"Centres of the {shapes.word(config.shape)}", xlabel="column j", ylabel="row i")

    texts = [f"{split}: {len(centres[split]):,} examples" for split in COLORS]
    handles = _patches(f"none: the {shapes.word(config.shape)} would not fit", *texts)
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    _plot_examples(right, config, centres)
    return result


def _of_several(configs: Sequence[NotSoClevrConfig]) -> Figure:
    import matplotlib.pyplot as plt

    rows = -(-len(configs) // _COLUMNS)
    columns = -(-len(configs) // rows)
    result = plt.figure(figsize=(2.2 * columns, 4 * rows + 0.5), layout="constrained")
    grid = result.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.4, 1] * rows)
    maps, examples = grid[::2].ravel(), grid[1::2].ravel()

    for config, above, below in zip(configs, maps, examples, strict=False):
        centres = config.split_centres()
        _plot_map(above, config, centres)
        counts = " / ".join(f"{len(centres[split]):,}" for split in COLORS)
        above.set_title(f"{_short(config.name)}\n{counts}", fontsize=10)

        above.set(xticks=[], yticks=[])
        _plot_row([below], config, centres["test"], "test", np.random.RandomState(0))

    for cell in (*maps[len(configs) :], *examples[len(configs) :]):
        cell.set_axis_off()
    handles = _patches("no centre: the shape would not fit", *COLORS)
    result.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return result


def _short(name: str) -> str:
    """Returns a name in two lines at most, as that of a large bitmap has hundreds of letters."""
    return textwrap.fill(name, 24, max_lines=2, placeholder="...")


def _plot_map(axes: Axes, config: NotSoClevrConfig, centres: _Centres) -> None:
    from matplotlib.colors import ListedColormap

    split_map = np.zeros((config.height, config.width), np.uint8)
    for value, split in enumerate(COLORS, start=1):
        split_map[tuple(centres[split].T)] = value
    colors = ListedColormap([_NO_CENTRE, *COLORS.values()])
    axes.imshow(split_map, cmap=colors, vmin=0, vmax=2, interpolation="nearest")


def _patches(*texts: str) -> list[Patch]:
    """Returns the entries of a legend: pixels without a centre, then each split."""
    from matplotlib.patches import Patch

    colors = [_NO_CENTRE, *COLORS.values()]
    return [Patch(color=color, label=text) for color, text in zip(colors, texts, strict=True)]


def _plot_examples(figure: SubFigure, config: NotSoClevrConfig, centres: _Centres) -> None:
    figure.suptitle(
        "Examples: canvas, the pixel at the centre, its coordinates (i, j)", fontsize=12
    )
    random = np.random.RandomState(0)
    grid = figure.subplots(len(COLORS), _EXAMPLES, squeeze=False)
    for row, split in zip(grid, COLORS, strict=True):
        row[0].set_ylabel(split, fontsize=13)
        _plot_row(row, config, centres[split], split, random)


def _plot_row(
    row: Sequence[Axes],
    config: NotSoClevrConfig,
    centres: npt.NDArray[np.int64],
    split: str,
    random: np.random.RandomState,
) -> None:
    """Draws an example of a split into each cell, as long as there are any."""
    chosen = centres[random.permutation(len(centres))[: len(row)]]
    images = drawing.draw(chosen, config.canvas_size, config.shape)

    for cell, (i, j), image in zip(row, chosen.tolist(), images, strict=False):
        cell.imshow(image, cmap="gray", vmin=0, vmax=drawing.WHITE, interpolation="nearest")
        cell.plot(j, i, marker="s", markersize=3, color=COLORS[split])
        cell.set(title=f"({i}, {j})", xticks=[], yticks=[])
        cell.spines[:].set(color=COLORS[split], linewidth=3)
    for cell in row[len(chosen) :]:
        cell.set_axis_off()

"""The picture of a data set: the map of its split and some examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from not_so_clevr.dataset import drawing, shapes
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

# From Okabe and Ito's palette, which colour-blind people can tell apart, as can a grey print.
COLORS = {"train": "#0072B2", "test": "#E69F00"}
_NO_CENTRE = "#DDDDDD"
_EXAMPLES = 4

_Centres = dict[str, npt.NDArray[np.int64]]


def figure(config: str | NotSoClevrConfig) -> Figure:
    """Returns a figure with the map of train and test centres, and four examples of each.

    Needs matplotlib, and imports neither TensorFlow nor Keras. Draws only the examples it shows.

    Args:
        config: a config or its name.

    Raises:
        UserError: if the config is unknown.
    """
    import matplotlib.pyplot as plt

    config = as_config(config)
    centres = config.split_centres()
    result = plt.figure(figsize=(12, 5.2), layout="constrained")
    result.suptitle(f"not_so_clevr/{config.name}", fontsize=15, fontweight="bold")

    left, right = result.subfigures(1, 2, width_ratios=[1, 1.5])
    _plot_map(left, config, centres)
    _plot_examples(right, config, centres)
    return result


def _plot_map(figure: SubFigure, config: NotSoClevrConfig, centres: _Centres) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    split_map = np.zeros((config.height, config.width), np.uint8)
    for value, split in enumerate(COLORS, start=1):
        split_map[tuple(centres[split].T)] = value

    axes = figure.subplots()
    colors = [_NO_CENTRE, *COLORS.values()]
    axes.imshow(split_map, cmap=ListedColormap(colors), vmin=0, vmax=2, interpolation="nearest")
    axes.set(title=f"Centres of the {shapes.word(config.shape)}", xlabel="column j", ylabel="row i")

    texts = [f"{split}: {len(centres[split]):,} examples" for split in COLORS]
    texts.insert(0, f"none: the {shapes.word(config.shape)} would not fit")
    handles = [Patch(color=color, label=text) for color, text in zip(colors, texts, strict=True)]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)


def _plot_examples(figure: SubFigure, config: NotSoClevrConfig, centres: _Centres) -> None:
    figure.suptitle(
        "Examples: canvas, the pixel at the centre, its coordinates (i, j)", fontsize=12
    )
    random = np.random.RandomState(0)
    grid = figure.subplots(len(COLORS), _EXAMPLES, squeeze=False)
    for row, (split, color) in zip(grid, COLORS.items(), strict=True):
        row[0].set_ylabel(split, fontsize=13)
        chosen = centres[split][random.permutation(len(centres[split]))[:_EXAMPLES]]
        images = drawing.draw(chosen, config.canvas_size, config.shape)

        for cell, (i, j), image in zip(row, chosen.tolist(), images, strict=False):
            cell.imshow(image, cmap="gray", vmin=0, vmax=drawing.WHITE, interpolation="nearest")
            cell.plot(j, i, marker="s", markersize=3, color=color)
            cell.set(title=f"({i}, {j})", xticks=[], yticks=[])
            cell.spines[:].set(color=color, linewidth=3)
        for cell in row[len(chosen) :]:
            cell.set_axis_off()

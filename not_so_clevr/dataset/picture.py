"""The picture of a data set: the map of its split, and some of its examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from not_so_clevr.dataset import drawing
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# From Okabe and Ito's palette: told apart by colour-blind people, and by their lightness in black and white.
COLORS = {"train": "#0072B2", "test": "#E69F00"}
_NO_CENTRE = "#DDDDDD"
_EXAMPLES = 4


def figure(config: str | NotSoClevrConfig) -> Figure:
    """Returns a figure of which centres are train and which test, beside four examples of each.

    Needs matplotlib, and imports neither TensorFlow nor Keras. Draws only the examples that it shows, whatever the size of
    the data set.

    Args:
        config: a config or its name.

    Raises:
        UserError: if no config has that name.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    config = as_config(config)
    size = config.canvas_size
    centres = config.split_centres()
    result = plt.figure(figsize=(12, 5.2), layout="constrained")
    result.suptitle(f"not_so_clevr/{config.name}", fontsize=15, fontweight="bold")
    left, right = result.subfigures(1, 2, width_ratios=[1, 1.5])

    split_map = np.zeros((size, size), np.uint8)
    for value, split in enumerate(COLORS, start=1):
        split_map[tuple(centres[split].T)] = value
    axes = left.subplots()
    colors = [_NO_CENTRE, *COLORS.values()]
    axes.imshow(split_map, cmap=ListedColormap(colors), vmin=0, vmax=2, interpolation="nearest")
    axes.set(title="Where the centre of the square may stand", xlabel="column j", ylabel="row i")
    texts = ["nowhere: the square would not fit", *(f"{split}: {len(centres[split]):,} examples" for split in COLORS)]
    handles = [Patch(color=color, label=text) for color, text in zip(colors, texts, strict=True)]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)

    random = np.random.RandomState(0)
    grid = right.subplots(len(COLORS), _EXAMPLES, squeeze=False)
    for row, split in zip(grid, COLORS, strict=True):
        chosen = centres[split][random.permutation(len(centres[split]))[:_EXAMPLES]]
        images = drawing.draw(chosen, size, config.square_size)[..., 0]
        for cell in row[len(chosen) :]:
            cell.set_axis_off()
        for cell, (i, j), image in zip(row, chosen.tolist(), images, strict=False):
            cell.imshow(image, cmap="gray", vmin=0, vmax=drawing.WHITE, interpolation="nearest")
            cell.plot(j, i, marker="s", markersize=3, color=COLORS[split])
            cell.set(title=f"({i}, {j})", xticks=[], yticks=[])
            for spine in cell.spines.values():
                spine.set(color=COLORS[split], linewidth=3)
        row[0].set_ylabel(split, fontsize=13)
    right.suptitle("Examples: canvas, the pixel at the centre, its coordinates (i, j)", fontsize=12)
    return result

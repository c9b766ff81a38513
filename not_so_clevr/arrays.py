"""The data set in memory, as NumPy arrays: no disk, no TensorFlow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from not_so_clevr import canvas
from not_so_clevr.not_so_clevr_dataset_builder import NotSoClevrConfig, as_config


def load_arrays(config: str | NotSoClevrConfig = "uniform") -> dict[str, dict[str, npt.NDArray[np.generic]]]:
    """Returns the examples that `tfds.load` yields, drawn anew from the geometry, in row-major order of their centres.

    Args:
        config: a config or its name.

    Returns:
        For "train" and "test" each, of n examples on canvases of S x S pixels:

        - `image`: uint8 `[n, S, S, 1]`, a white square (255) on black (0);
        - `one_hot`: uint8 `[n, S * S]`, 1 at the pixel of the centre;
        - `label`: int64 `[n]`, the index of that pixel, i * S + j;
        - `coordinates`: int64 `[n, 2]`, the centre (row i, column j) in pixels.

    Raises:
        ValueError: if no config has that name.
    """
    config = as_config(config)
    return {split: draw_arrays(config, centres) for split, centres in config.split_centres().items()}


def draw_arrays(config: NotSoClevrConfig, centres: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.generic]]:
    """Returns what `load_arrays` has of a split, for the examples with some centres (row i, column j) in pixels, `[n, 2]`."""
    size = config.canvas_size
    return {
        "image": canvas.draw(centres, size, config.square_size),
        "one_hot": canvas.one_hot(centres, size),
        "label": canvas.labels(centres, size),
        "coordinates": centres,
    }

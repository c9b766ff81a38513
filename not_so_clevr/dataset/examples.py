"""The data set in memory, as NumPy arrays: no disk, no TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import drawing, geometry
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config


@dataclasses.dataclass(eq=False)
class Drawn(Mapping[str, Any]):
    """The examples at some centres, as in a split of `load_arrays`, but drawn on access.

    Attributes:
        centres: (row i, column j) in pixels, int64 `[n, 2]`.
        config: the data set.
        on_device: draw images and one-hot targets as tensors on the device of Keras' backend.
    """

    centres: npt.NDArray[np.int64]
    config: NotSoClevrConfig
    on_device: bool = False

    def at(self, chosen: Any) -> Drawn:
        """Returns the examples at a slice or an array of indices."""
        return dataclasses.replace(self, centres=self.centres[chosen])

    def __getitem__(self, name: str) -> Any:
        size = self.config.canvas_size
        draw = drawing.draw_on_device if self.on_device else drawing.draw
        if name == "image":
            return draw(self.centres, size, self.config.shape)
        if name == "one_hot" and self.on_device:
            return drawing.one_hots_on_device(self.centres, size)
        if name == "one_hot":
            return geometry.one_hot(self.centres, size)
        return {"label": geometry.labels(self.centres, size), "coordinates": self.centres}[name]

    def __contains__(self, name: object) -> bool:
        return name in tuple(self)  # Mapping would draw it.

    def __iter__(self) -> Iterator[str]:
        return iter(("image", "one_hot", "label", "coordinates"))

    def __len__(self) -> int:
        return 4


def memory() -> int | None:
    """Returns the bytes of memory of the machine, None if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_memory(needed: int, what: str, advice: str) -> None:
    """Raises UserError, one sentence, if the machine has less memory than needed, in bytes."""
    available = memory()
    if available is not None and needed > available:
        raise UserError(
            f"{what} needs {needed / 1e9:.0f} GB of memory, and this machine has "
            f"{available / 1e9:.0f} GB; {advice} at a time."
        )


def load_arrays(
    config: str | NotSoClevrConfig = "uniform",
) -> dict[str, dict[str, npt.NDArray[np.generic]]]:
    """Returns the examples that `tfds.load` yields, in row-major order of their centres.

    Args:
        config: a config or its name.

    Returns:
        "train" and "test", each with n examples on canvases of H x W pixels:

        - `image`: uint8 `[n, H, W, 1]`, a white shape (255) on black (0);
        - `one_hot`: uint8 `[n, H * W]`, 1 at the pixel of the centre;
        - `label`: int64 `[n]`, the index of that pixel, i * W + j;
        - `coordinates`: int64 `[n, 2]`, the centre (row i, column j) in pixels.

        Both splits together take 2 N H W bytes for N examples: 26 MB for the default, 8 GB for
        `quadrant_256`. `streaming.stream_batches` draws one batch at a time.

    Raises:
        UserError: if the config is unknown, or the machine has less memory.
    """
    config = as_config(config)
    needed = 2 * config.num_examples * config.height * config.width
    check_memory(needed, f"{config.name} as arrays", "use stream_batches, which draws one batch")
    splits = config.split_centres().items()
    return {split: dict(Drawn(centres, config)) for split, centres in splits}

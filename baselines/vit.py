"""The vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929).

Tests which kind of positions lets attention tell where a patch is.

| recipe     | positions                                  | source                          |
|------------|--------------------------------------------|---------------------------------|
| `sinusoid` | sines and cosines of row and column, added | Beyer et al. 2022, 2205.01580   |
| `learned`  | a table, added                             | Dosovitskiy et al. 2021         |
| `rotary`   | queries and keys turned by row and column  | Heo et al. 2024, 2403.13298     |
| `none`     | none: the order of patches has no effect   |                                 |

    not-so-clevr train vit --task regression --config quadrant --recipe rotary

Two blocks of width 64 on patches of 4x4 pixels: about 70,000 parameters. `none` must fail
everywhere; `learned` should, where a region is held out. Training is slow to leave the mean of the
coordinates: 30 epochs are too few. The recipes are a start; `rule` is the outcome of a search
(docs/board.md).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from not_so_clevr.benchmark import Recipe, Task, with_recipes

_POSITIONS = ("none", "learned", "sinusoid", "rotary")
_TASKS = ("regression", "localisation")
_START = Recipe(epochs=60, steps=4366, schedule="cosine")


@keras.saving.register_keras_serializable(package="not_so_clevr")
class AddPositions(keras.layers.Layer):
    """Adds a vector to each patch: learned, or the sinusoid of its row and column.

    Args:
        rows, columns: of the grid of patches.
        learned: whether the vectors are learned, from a normal distribution of standard deviation
            0.02; otherwise they are `sinusoid`.

    Input shape:
        `[B, rows * columns, C]`. The output has the same.
    """

    def __init__(self, rows: int, columns: int, learned: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.columns = columns
        self.learned = learned

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1] or 0
        if self.learned:
            self.positions = self.add_weight(
                name="positions",
                shape=(self.rows * self.columns, channels),
                initializer=keras.initializers.RandomNormal(0.0, 0.02),
            )
        else:
            self.positions = sinusoid(self.rows, self.columns, channels)

    def call(self, inputs: Any) -> Any:
        return inputs + ops.cast(self.positions, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"rows": self.rows, "columns": self.columns, "learned": self.learned}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="not_so_clevr")
class Attention(keras.layers.Layer):
    """Multi-head self-attention, with or without axial rotary positions (base 100).

    Args:
        heads: the number of heads; divides the number of channels C.
        grid: rows and columns of the patches, for rotary positions; None for none.

    Input shape:
        `[B, T, C]`, of T patches. The output has the same.
    """

    def __init__(self, heads: int, grid: tuple[int, int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.grid = grid

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1] or 0
        self.qkv = layers.Dense(3 * channels, name="qkv")
        self.qkv.build(input_shape)
        self.out = layers.Dense(channels, name="out")
        self.out.build(input_shape)

    def call(self, inputs: Any) -> Any:
        _, patches, channels = inputs.shape
        size = channels // self.heads
        qkv = ops.reshape(self.qkv(inputs), (-1, patches, 3, self.heads, size))
        q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), num=3)  # [B, heads, T, size]
        if self.grid is not None:
            angles = rotary_angles(*self.grid, size)
            q, k = rotate(q, angles), rotate(k, angles)

        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / size**0.5
        mixed = ops.matmul(ops.softmax(scores, axis=-1), v)
        mixed = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, patches, channels))
        return self.out(mixed)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"heads": self.heads, "grid": self.grid}


def sinusoid(rows: int, columns: int, channels: int) -> npt.NDArray[np.float32]:
    """Returns `[rows * columns, channels]`: sin and cos of the column, then of the row.

    There are channels / 4 frequencies from 1 to 1 / 10,000, as in the code of Beyer et al. 2022.
    """
    frequencies = 10_000.0 ** -np.linspace(0, 1, channels // 4)
    i, j = (place.ravel()[:, None] * frequencies for place in np.mgrid[:rows, :columns])
    return np.concatenate([np.sin(j), np.cos(j), np.sin(i), np.cos(i)], -1).astype(np.float32)


def rotary_angles(rows: int, columns: int, size: int) -> npt.NDArray[np.float32]:
    """Returns the angles of the pairs of channels of a head, `[rows * columns, size / 2]`.

    Half of the pairs turn with the row, half with the column, at frequencies 100^(-4t / size).
    """
    frequencies = 100.0 ** (-np.arange(size // 4) / (size // 4))
    i, j = (place.ravel()[:, None] * frequencies for place in np.mgrid[:rows, :columns])
    return np.concatenate([i, j], -1).astype(np.float32)


def rotate(x: Any, angles: npt.NDArray[np.float32]) -> Any:
    """Rotates channels t and t + size / 2 of `[..., T, size]` by the angles, `[T, size / 2]`."""
    a, b = ops.split(x, 2, axis=-1)
    cos, sin = (ops.cast(each, x.dtype) for each in (np.cos(angles), np.sin(angles)))
    return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


@with_recipes(
    source="Dosovitskiy et al. 2021",
    sinusoid=dict.fromkeys(_TASKS, _START),
    learned=dict.fromkeys(_TASKS, _START.replace({"positions": "learned"})),
    rotary=dict.fromkeys(_TASKS, _START.replace({"positions": "rotary"})),
    none=dict.fromkeys(_TASKS, _START.replace({"positions": "none"})),
)
def build(
    task: Task,
    *,
    positions: str = "sinusoid",
    patch: int = 4,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
) -> keras.Model:
    """Returns the network: patches, blocks of attention and MLP, the mean, two coordinates.

    Args:
        task: regression or localisation, on a canvas whose height and width are multiples of
            `patch`.
        positions: "none", "learned", "sinusoid" or "rotary".
        patch: height and width of a patch, in pixels.
        width: channels of a patch; a multiple of 4 x `heads`.
        depth: the number of blocks, each with an MLP of 2 x `width` hidden units (GELU).
        heads: of the attention.

    Raises:
        ValueError: if an argument has another value, or the canvas has another size.
    """
    if positions not in _POSITIONS:
        expected = ", ".join(_POSITIONS)
        raise ValueError(f"positions={positions!r} is unknown; expected one of {expected}")
    if width % (4 * heads):
        raise ValueError(f"width={width} is not a multiple of 4 x heads, {4 * heads}")
    if task.height % patch or task.width % patch:
        wrong = f"canvas_size={task.canvas_size} cannot be cut into patches of {patch}x{patch}"
        raise ValueError(f"{wrong} pixels; expected multiples of {patch}")
    rows, columns = task.height // patch, task.width // patch

    inputs = keras.Input(task.input_shape)
    x = layers.Conv2D(width, patch, patch)(inputs)
    x = layers.Reshape((rows * columns, width))(x)
    if positions in ("learned", "sinusoid"):
        x = AddPositions(rows, columns, positions == "learned")(x)
    grid = (rows, columns) if positions == "rotary" else None
    for _ in range(depth):
        x = layers.Add()([x, Attention(heads, grid)(_normalize(x))])
        y = layers.Dense(2 * width, activation="gelu")(_normalize(x))
        x = layers.Add()([x, layers.Dense(width)(y)])
    x = layers.GlobalAveragePooling1D()(_normalize(x))
    return keras.Model(inputs, layers.Dense(2)(x))


def _normalize(x: Any) -> Any:
    return layers.LayerNormalization(epsilon=1e-6)(x)

"""Geometry: canvas sizes, centres, labels and one-hot targets.

A canvas has H x W pixels. A shape has k x k pixels, k odd, and lies wholly on the canvas, so its
centre (row i, column j) is in r..H-1-r and r..W-1-r with r = k // 2. There are
N = (H - 2r)(W - 2r) centres.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, integer

#: A canvas in pixels: one number for a square one, or (height, width).
CanvasSize: TypeAlias = "int | tuple[int, int]"

CANVAS_SIZE = 64
SHAPE_SIZE = 9
MAX_CANVAS_SIZE = 4096


def height_width(canvas_size: CanvasSize) -> tuple[int, int]:
    """Returns height H and width W in pixels as Python ints.

    Raises UserError unless `canvas_size` is an integer from 1 to 4096 or a pair of them.
    """
    if isinstance(canvas_size, (tuple, list)):
        if len(canvas_size) != 2:
            raise UserError(
                f"canvas_size={canvas_size!r} has {len(canvas_size)} numbers; expected one, or "
                "(height, width)."
            )
        height, width = (
            integer(f"canvas_size={canvas_size!r}: {name}", value, 1, MAX_CANVAS_SIZE)
            for name, value in zip(("height", "width"), canvas_size, strict=True)
        )
        return height, width
    side = integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)
    return side, side


class OnCanvas:
    """Has a valid `canvas_size`, and from it the height and the width."""

    canvas_size: CanvasSize

    @property
    def height(self) -> int:
        """H, in pixels."""
        return height_width(self.canvas_size)[0]

    @property
    def width(self) -> int:
        """W, in pixels."""
        return height_width(self.canvas_size)[1]


def check_canvas_size(canvas_size: CanvasSize) -> CanvasSize:
    """Returns one number for a square canvas, else (height, width). Raises as `height_width`."""
    height, width = height_width(canvas_size)
    return height if height == width else (height, width)


def size_text(canvas_size: CanvasSize) -> str:
    """Returns a valid canvas size as names and messages have it: "64" or "48x80"."""
    height, width = height_width(canvas_size)
    return str(height) if height == width else f"{height}x{width}"


def check_sizes(canvas_size: CanvasSize, shape_size: int) -> tuple[tuple[int, int], int]:
    """Returns (height, width) and the size of the shape, in pixels, as Python ints.

    Raises UserError unless `shape_size` is odd and the shape fits on the canvas.
    """
    height, width = height_width(canvas_size)
    shape_size = integer("shape_size", shape_size, 1, MAX_CANVAS_SIZE)
    if shape_size > min(height, width):
        most = min(height, width)
        raise UserError(
            f"shape_size={shape_size} does not fit on a canvas of {size_text(canvas_size)} pixels; "
            f"expected an odd number up to {most - (most % 2 == 0)}."
        )
    if shape_size % 2 == 0:
        raise UserError(
            f"shape_size={shape_size} is even; expected an odd number, so that the shape has a "
            "centre pixel."
        )
    return (height, width), shape_size


def centres(
    canvas_size: CanvasSize = CANVAS_SIZE, shape_size: int = SHAPE_SIZE
) -> npt.NDArray[np.int64]:
    """Returns every centre (row i, column j) in pixels, row-major: int64 `[N, 2]`.

    Raises:
        UserError: as for `check_sizes`.
    """
    (height, width), shape_size = check_sizes(canvas_size, shape_size)
    radius = shape_size // 2
    rows, columns = (np.arange(radius, n - radius, dtype=np.int64) for n in (height, width))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def labels(centres: npt.ArrayLike, canvas_size: CanvasSize = CANVAS_SIZE) -> npt.NDArray[np.int64]:
    """Returns the index i * W + j of each centre's pixel: int64 `[N]` from centres `[N, 2]`.

    Raises:
        UserError: unless `centres` holds integer pixels of the canvas.
    """
    _, width = height_width(canvas_size)
    rows, columns = check_centres(centres, canvas_size).T
    return rows * width + columns


def one_hot(centres: npt.ArrayLike, canvas_size: CanvasSize = CANVAS_SIZE) -> npt.NDArray[np.uint8]:
    """Returns one-hot targets, 1 at index i * W + j: uint8 `[N, H * W]` from centres `[N, 2]`.

    Raises:
        UserError: as for `labels`.
    """
    hot = labels(centres, canvas_size)
    height, width = height_width(canvas_size)
    targets = np.zeros((len(hot), height * width), np.uint8)
    targets[np.arange(len(hot)), hot] = 1
    return targets


def check_centres(centres: npt.ArrayLike, canvas_size: CanvasSize) -> npt.NDArray[np.int64]:
    """Returns centres as int64 `[N, 2]`. Raises UserError unless they are pixels of the canvas."""
    size = height_width(canvas_size)
    expected = "centres must be integers of shape [N, 2]"
    try:
        array = np.asarray(centres)
    except ValueError:
        raise UserError(f"{expected}, got rows of different lengths.") from None
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{expected}, got shape {array.shape} and dtype {array.dtype}.")
    for name, length, line in zip(("rows", "columns"), size, array.T, strict=True):
        if line.size and not 0 <= line.min() <= line.max() < length:
            raise UserError(
                f"centres must be pixels of the canvas, {name} 0 to {length - 1}, "
                f"got {line.min()} to {line.max()}."
            )
    return array.astype(np.int64)

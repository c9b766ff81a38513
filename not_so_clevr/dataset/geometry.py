"""Geometry: canvas and square sizes, centres, labels and one-hot targets.

A canvas has S x S pixels. A square has k x k pixels, k odd, and lies wholly on the canvas, so its
centre (row i, column j) is in r..S-1-r with r = k // 2. There are N = (S - 2r)^2 centres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, integer

CANVAS_SIZE = 64
SQUARE_SIZE = 9
MAX_CANVAS_SIZE = 4096


def check_sizes(canvas_size: int, square_size: int) -> tuple[int, int]:
    """Returns both sizes in pixels as Python ints.

    Raises UserError unless `square_size` is odd and 1 <= square_size <= canvas_size <= 4096.
    """
    canvas_size = integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)
    square_size = integer("square_size", square_size, 1, MAX_CANVAS_SIZE)
    if square_size > canvas_size:
        raise UserError(
            f"square_size={square_size} does not fit on a canvas of {canvas_size} pixels; expected "
            f"an odd number up to {canvas_size}, e.g. config 'quadrant_{canvas_size}_square1'."
        )
    if square_size % 2 == 0:
        raise UserError(
            f"square_size={square_size} is even; expected an odd number, so that the square has a "
            "centre pixel."
        )
    return canvas_size, square_size


def centres(
    canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE
) -> npt.NDArray[np.int64]:
    """Returns every centre (row i, column j) in pixels, row-major: int64 `[N, 2]`.

    Raises:
        UserError: as for `check_sizes`.
    """
    canvas_size, square_size = check_sizes(canvas_size, square_size)
    radius = square_size // 2
    line = np.arange(radius, canvas_size - radius, dtype=np.int64)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def labels(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE) -> npt.NDArray[np.int64]:
    """Returns the index i * S + j of each centre's pixel: int64 `[N]` from centres `[N, 2]`.

    Raises:
        UserError: unless `centres` holds integer pixels of the canvas.
    """
    canvas_size = integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)
    rows, columns = check_centres(centres, canvas_size).T
    return rows * canvas_size + columns


def one_hot(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE) -> npt.NDArray[np.uint8]:
    """Returns one-hot targets, 1 at index i * S + j: uint8 `[N, S * S]` from centres `[N, 2]`.

    Raises:
        UserError: as for `labels`.
    """
    hot = labels(centres, canvas_size)
    targets = np.zeros((len(hot), int(canvas_size) ** 2), np.uint8)  # NumPy's integers overflow.
    targets[np.arange(len(hot)), hot] = 1
    return targets


def check_centres(centres: npt.ArrayLike, canvas_size: int) -> npt.NDArray[np.int64]:
    """Returns centres as int64 `[N, 2]`. Raises UserError unless they are pixels of the canvas."""
    expected = "centres must be integers of shape [N, 2]"
    try:
        array = np.asarray(centres)
    except ValueError:
        raise UserError(f"{expected}, got rows of different lengths.") from None
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{expected}, got shape {array.shape} and dtype {array.dtype}.")
    if array.size and not 0 <= array.min() <= array.max() < canvas_size:
        raise UserError(
            f"centres must be pixels of the canvas, 0 to {canvas_size - 1}, "
            f"got {array.min()} to {array.max()}."
        )
    return array.astype(np.int64)

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

    Raises:
        UserError: unless `square_size` is odd and 1 <= square_size <= canvas_size <= 4096, all integers.
    """
    canvas_size = integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)
    square_size = integer("square_size", square_size, 1, MAX_CANVAS_SIZE)
    if square_size > canvas_size:
        raise UserError(
            f"square_size={square_size} does not fit on a canvas of {canvas_size}; expected an odd number up to {canvas_size}, "
            f"in the name of a config such as quadrant_{canvas_size}_square1."
        )
    if square_size % 2 == 0:
        raise UserError(f"square_size={square_size} is even; expected an odd number, so that the square has a centre pixel.")
    return canvas_size, square_size


def centres(canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE) -> npt.NDArray[np.int64]:
    """Returns every centre (row i, column j) in pixels, row-major: int64 `[N, 2]`.

    Raises:
        UserError: see `check_sizes`.
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
    canvas_size = _check_size(canvas_size)
    rows, columns = check_centres(centres, canvas_size).T
    return rows * canvas_size + columns


def one_hot(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE) -> npt.NDArray[np.uint8]:
    """Returns the one-hot target of each centre, 1 at index i * S + j: uint8 `[N, S * S]` from centres `[N, 2]`.

    Raises:
        UserError: unless `centres` holds integer pixels of the canvas.
    """
    canvas_size = _check_size(canvas_size)
    hot = labels(centres, canvas_size)
    targets = np.zeros((len(hot), canvas_size**2), np.uint8)
    targets[np.arange(len(hot)), hot] = 1
    return targets


def _check_size(canvas_size: int) -> int:
    """Returns the size as a Python int, which does not overflow as NumPy's do. Raises UserError if it is none."""
    return integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)


def check_centres(centres: npt.ArrayLike, canvas_size: int) -> npt.NDArray[np.int64]:
    """Returns centres as int64 `[N, 2]`.

    Raises:
        UserError: unless they are integers of that shape, in pixels of the canvas.
    """
    try:
        array = np.asarray(centres)
    except ValueError:
        raise UserError("centres has rows of different lengths; expected integers of shape [N, 2].") from None
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"centres has shape {array.shape} and dtype {array.dtype}; expected integers of shape [N, 2].")
    if array.size and not 0 <= array.min() <= array.max() < canvas_size:
        raise UserError(
            f"centres reaches from {array.min()} to {array.max()}; expected pixels of the canvas, 0 to {canvas_size - 1}."
        )
    return array.astype(np.int64)

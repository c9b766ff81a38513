"""Geometry: where the squares stand and how they are drawn.

A canvas has S x S pixels; a square has k x k, k odd, and stands wholly on the canvas, so that its centre (row i, column j)
lies in r..S-1-r with r = k // 2. There are N = (S - 2r)^2 centres.

A canvas is the "same" convolution of the S x S one-hot at the centre with a k x k kernel of ones (Liu et al. 2018,
arXiv 1807.03247, section 3). Both are separable, so a canvas is the outer product of two convolutions in one dimension:
one of the one-hot at row i, one of the one-hot at column j. There are only S of these, shifts of one another. `draw` takes
the products with NumPy and imports no framework; `draw_on_device` with `keras.ops`, on a GPU where Keras' backend has one.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

CANVAS_SIZE = 64
SQUARE_SIZE = 9
MAX_CANVAS_SIZE = 4096
WHITE = 255

_CHUNK_BYTES = 64 * 2**20


def check_sizes(canvas_size: int, square_size: int) -> tuple[int, int]:
    """Returns both sizes in pixels as Python ints.

    Raises:
        ValueError: unless `square_size` is odd and 1 <= square_size <= canvas_size <= 4096, all integers.
    """
    canvas_size = integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)
    square_size = integer("square_size", square_size, 1, MAX_CANVAS_SIZE)
    if square_size > canvas_size:
        raise ValueError(
            f"square_size={square_size} does not fit on a canvas of {canvas_size}; expected an odd number up to {canvas_size}, "
            f"in the name of a config such as quadrant_{canvas_size}_square1."
        )
    if square_size % 2 == 0:
        raise ValueError(f"square_size={square_size} is even; expected an odd number, so that the square has a centre pixel.")
    return canvas_size, square_size


def integer(name: str, value: object, low: int, high: int) -> int:
    """Returns `value` as a Python int. Raises ValueError, naming `name`, unless it is an integer in low..high."""
    expected = f"expected an integer from {low} to {high}"
    if isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={value} is a bool; {expected}.")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name}={value!r} is a {type(value).__name__}; {expected}.") from None
    if not low <= number <= high:
        shown = number if abs(number) < 10**20 else "(more than 20 digits)"
        raise ValueError(f"{name}={shown} is out of range; {expected}.")
    return number


def centres(canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE) -> npt.NDArray[np.int64]:
    """Returns every centre (row i, column j) in pixels, row-major: int64 `[N, 2]`.

    Raises:
        ValueError: see `check_sizes`.
    """
    canvas_size, square_size = check_sizes(canvas_size, square_size)
    radius = square_size // 2
    line = np.arange(radius, canvas_size - radius, dtype=np.int64)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def labels(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE) -> npt.NDArray[np.int64]:
    """Returns the index i * S + j of each centre's pixel: int64 `[N]` from centres `[N, 2]`.

    Raises:
        ValueError: unless `centres` holds integer pixels of the canvas.
    """
    canvas_size = _check_size(canvas_size)
    rows, columns = _check_centres(centres, canvas_size).T
    return rows * canvas_size + columns


def one_hot(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE) -> npt.NDArray[np.uint8]:
    """Returns the one-hot target of each centre, 1 at index i * S + j: uint8 `[N, S * S]` from centres `[N, 2]`.

    Raises:
        ValueError: unless `centres` holds integer pixels of the canvas.
    """
    canvas_size = _check_size(canvas_size)
    hot = labels(centres, canvas_size)
    targets = np.zeros((len(hot), canvas_size**2), np.uint8)
    targets[np.arange(len(hot)), hot] = 1
    return targets


def draw(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE) -> npt.NDArray[np.uint8]:
    """Draws a white square (255) on a black canvas (0) around each centre, with NumPy.

    A square that reaches over the border is cut off there, as by any "same" convolution; none of the data set's does.

    Args:
        centres: integer pixels (row i, column j), `[N, 2]`.
        canvas_size: S, in pixels.
        square_size: k, in pixels, odd.

    Returns:
        uint8 `[N, S, S, 1]`.

    Raises:
        ValueError: see `check_sizes`; or unless `centres` holds integer pixels of the canvas.
    """
    canvas_size, square_size = check_sizes(canvas_size, square_size)
    rows, columns = _check_centres(centres, canvas_size).T
    return outer_products(np, convolved_lines(canvas_size, square_size), rows, columns)


def draw_on_device(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE) -> Any:
    """Draws what `draw` draws, with `keras.ops`, on the default device of Keras' backend (the GPU where there is one).

    Returns:
        A tensor of the backend, uint8 `[N, S, S, 1]`. It lives in the device's memory: give it `chunk_length` at a time.

    Raises:
        ValueError: as `draw` does.
    """
    from keras import ops

    canvas_size, square_size = check_sizes(canvas_size, square_size)
    rows, columns = _check_centres(centres, canvas_size).astype(np.int32).T
    return outer_products(ops, convolved_lines(canvas_size, square_size), rows, columns)


def chunk_length(canvas_size: int = CANVAS_SIZE) -> int:
    """Returns how many canvases take 64 MiB at most. Raises ValueError unless `canvas_size` is an integer from 1 to 4096."""
    return _CHUNK_BYTES // _check_size(canvas_size) ** 2


@functools.lru_cache(maxsize=8)
def convolved_lines(canvas_size: int, square_size: int) -> npt.NDArray[np.uint8]:
    """Returns the one-hot at each pixel of a line, and an empty line, each convolved with k whites: uint8 `[S + 1, S, 1]`."""
    one_hot = np.zeros(2 * canvas_size - 1, np.uint8)
    one_hot[canvas_size - 1] = 1
    line = np.convolve(one_hot, np.full(square_size, WHITE, np.uint8), mode="same")
    shifted = np.lib.stride_tricks.sliding_window_view(line, canvas_size)[::-1]  # The same line, wherever the one stands
    lines = np.concatenate([shifted, np.zeros((1, canvas_size), np.uint8)])[..., None]
    lines.setflags(write=False)
    return lines


def outer_products(ops: Any, lines: Any, rows: Any, columns: Any) -> Any:
    """Returns the outer product of the lines at `rows` and at `columns`.

    It is computed by `ops`: NumPy, `keras.ops` or `tf.experimental.numpy`.

    A pixel of a line is white or black. So row p of the product is the line at the column, where the line at the row is
    white in p, and the black line, which is the last, elsewhere: copies of whole lines, as fast as memory takes them.
    """
    white = ops.take(lines[..., 0], rows, axis=0) > 0  # [N, S]
    return ops.take(lines, ops.where(white, columns[:, None], lines.shape[0] - 1), axis=0)


def _check_size(canvas_size: int) -> int:
    """Returns the size as a Python int, which does not overflow as NumPy's do. Raises ValueError if it is none."""
    return integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE)


def _check_centres(centres: npt.ArrayLike, canvas_size: int) -> npt.NDArray[np.int64]:
    try:
        array = np.asarray(centres)
    except ValueError:
        raise ValueError("centres has rows of different lengths; expected integers of shape [N, 2].") from None
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"centres has shape {array.shape} and dtype {array.dtype}; expected integers of shape [N, 2].")
    if array.size and not 0 <= array.min() <= array.max() < canvas_size:
        raise ValueError(
            f"centres reaches from {array.min()} to {array.max()}; expected pixels of the canvas, 0 to {canvas_size - 1}."
        )
    return array.astype(np.int64)

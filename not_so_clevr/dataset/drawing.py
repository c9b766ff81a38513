"""Drawing: from one-hot pixels to canvases, by convolution.

A canvas is the "same" convolution of a one-hot pixel with a kernel (Liu et al. 2018, arXiv
1807.03247, section 3). `convolve` is that definition, for any one-hots and any kernel.

The data set has one square per canvas. One-hot and square are separable, so the canvas is the outer
product of two one-dimensional convolutions. Two ways to compute it give the same bits:

- `convolved_squares` convolves and multiplies. It reads almost nothing and writes each canvas
  once. Used on a GPU.
- `copied_squares` copies the convolved lines from a table of S lines, shifts of one another. Used
  on a CPU, where copying is faster than multiplying.

`draw` copies with NumPy and imports no framework. `draw_on_device` uses `keras.ops` and picks the
faster way for the device.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, integer
from not_so_clevr.dataset import devices, geometry

WHITE = 255

_CHUNK_BYTES = 64 * 2**20


def convolve(one_hots: Any, kernel: npt.ArrayLike) -> Any:
    """Returns the "same" convolution of each image with a kernel, as `scipy.signal.convolve2d`.

    An array is convolved with NumPy; a tensor of Keras' backend with `keras.ops`, on its device; a
    tensor of TensorFlow with TensorFlow, also inside `tf.data`. A kernel of rank 1 takes two
    one-dimensional convolutions, any other kernel one two-dimensional convolution.

    Args:
        one_hots: `[N, H, W, 1]`, booleans or real numbers; any number of ones, or any values.
        kernel: `[k, k]`, k odd, booleans or finite numbers, on the host.

    Returns:
        float32 `[N, H, W, 1]`. If both arguments are booleans or integers, whole numbers, exact
        while all sums stay below 2^23. (On a GPU, TensorFlow rounds the inputs of a convolution to
        11 significant bits unless `tf.config.experimental.enable_tensor_float_32_execution` is
        off. JAX and PyTorch are asked for full precision.)

    Raises:
        UserError: if an argument is not as above, or the kernel is larger than the image.
    """
    library, images = _checked_images(one_hots)
    weights = _checked_kernel(kernel, *images.shape[1:3])

    canvases = library.array(images, "float32")
    for factor in _factors(weights.astype(np.float64)):
        canvases = _convolved(library, canvases, factor.astype(np.float32))

    if _dtype(images).startswith(("bool", "int", "uint")) and weights.dtype.kind in "bui":
        return library.floor(canvases + 0.5)  # `round` of TensorFlow's NumPy does not work.
    return canvases


def draw(
    centres: npt.ArrayLike,
    canvas_size: int = geometry.CANVAS_SIZE,
    square_size: int = geometry.SQUARE_SIZE,
) -> npt.NDArray[np.uint8]:
    """Draws a white square (255) on a black canvas (0) around each centre, with NumPy.

    A square that crosses the border is cut off there, as in any "same" convolution. The squares of
    the data set never do.

    Args:
        centres: integer pixels (row i, column j), `[N, 2]`.
        canvas_size: S, in pixels.
        square_size: k, in pixels, odd.

    Returns:
        uint8 `[N, S, S, 1]`.

    Raises:
        UserError: if a size is bad, or `centres` holds anything but integer pixels of the canvas.
    """
    canvas_size, square_size = geometry.check_sizes(canvas_size, square_size)
    rows, columns = geometry.check_centres(centres, canvas_size).T
    return copied_squares(np, rows, columns, canvas_size, square_size)


def draw_on_device(
    centres: npt.ArrayLike,
    canvas_size: int = geometry.CANVAS_SIZE,
    square_size: int = geometry.SQUARE_SIZE,
) -> Any:
    """Draws the same squares as `draw` with `keras.ops`, on the default device of Keras' backend.

    Convolves on a GPU and copies on a CPU. Compiled on TensorFlow and JAX.

    Returns:
        A tensor of the backend, uint8 `[N, S, S, 1]`, in the device's memory: pass at most
        `chunk_length` centres at a time.

    Raises:
        UserError: as for `draw`.
    """
    import keras

    canvas_size, square_size = geometry.check_sizes(canvas_size, square_size)
    rows, columns = geometry.check_centres(centres, canvas_size).astype(np.int32).T
    way = convolved_squares if devices.keras_gpu() else copied_squares
    return _compiled(keras.backend.backend(), way, canvas_size, square_size)(rows, columns)


def draw_for_disk(
    centres: npt.NDArray[np.int64], canvas_size: int, square_size: int, drawer: str
) -> npt.NDArray[np.uint8]:
    """Draws the same squares as `draw`, with what `devices.drawer` chose, into host memory."""
    if drawer == "numpy":
        return draw(centres, canvas_size, square_size)
    if drawer == "keras":
        from keras import ops

        return ops.convert_to_numpy(draw_on_device(centres, canvas_size, square_size))

    import tensorflow as tf

    library, (rows, columns) = tf.experimental.numpy, centres.T
    with tf.device(devices.tensorflow_device()):
        squares = convolved_squares(library, rows, columns, canvas_size, square_size)
        return squares.numpy()


def chunk_length(canvas_size: int = geometry.CANVAS_SIZE) -> int:
    """Returns how many canvases fit in 64 MiB. Raises UserError if `canvas_size` is bad."""
    return _CHUNK_BYTES // integer("canvas_size", canvas_size, 1, geometry.MAX_CANVAS_SIZE) ** 2


def convolved_squares(
    library: Any, rows: Any, columns: Any, canvas_size: int, square_size: int
) -> Any:
    """Draws white squares as outer products of convolved lines: uint8 `[N, S, S, 1]`.

    `library` is NumPy, `keras.ops` or `tf.experimental.numpy`; `rows` and `columns` are the
    coordinates of the centres in pixels, integers `[N]`.
    """
    pixels = np.arange(canvas_size, dtype=np.int32)
    row_hot = library.equal(rows[:, None], pixels)[:, :, None, None]
    column_hot = library.equal(columns[:, None], pixels)[:, None, :, None]

    vertical = np.ones((square_size, 1), np.float32)
    row_lines = _convolved(library, library.array(row_hot, "float32"), vertical)
    column_lines = _convolved(library, library.array(column_hot, "float32"), vertical.T)

    # Some GPU algorithms round, and a one may come out as 0.9999999: add 0.5 before truncating.
    row_lines = library.array(row_lines + 0.5, "uint8")
    column_lines = library.array(WHITE * column_lines + 0.5, "uint8")
    return row_lines * column_lines  # [N, S, 1, 1] * [N, 1, S, 1]


def copied_squares(
    library: Any, rows: Any, columns: Any, canvas_size: int, square_size: int
) -> Any:
    """Draws squares by copying lines. Arguments and result as for `convolved_squares`.

    Row p of a canvas is a line of the table: the square's white columns if p is a row of the
    square, else the last line, which is black.
    """
    lines = _convolved_lines(canvas_size, square_size)
    white_rows = library.take(lines[..., 0] > 0, rows, axis=0)  # [N, S]
    chosen = library.where(white_rows, columns[:, None], canvas_size)
    return library.take(lines, chosen, axis=0)


@functools.lru_cache(maxsize=8)
def _convolved_lines(canvas_size: int, square_size: int) -> npt.NDArray[np.uint8]:
    """Returns each one-hot line convolved with k whites, then a black line: `[S + 1, S, 1]`."""
    radius = square_size // 2
    lines = np.zeros((canvas_size + 1, canvas_size, 1), np.uint8)
    for pixel in range(canvas_size):
        lines[pixel, max(pixel - radius, 0) : pixel + radius + 1] = WHITE
    lines.setflags(write=False)
    return lines


@functools.lru_cache(maxsize=16)
def _compiled(
    backend: str, way: Callable[..., Any], canvas_size: int, square_size: int
) -> Callable[[Any, Any], Any]:
    """Returns a function of int32 rows and columns that draws, compiled where the backend can."""
    from keras import ops

    library: Any = ops
    if backend == "tensorflow":
        import tensorflow as tf

        library = tf.experimental.numpy  # Its `take` is faster: no check for negative indices.

    def draw_squares(rows: Any, columns: Any) -> Any:
        return way(library, rows, columns, canvas_size, square_size)

    if backend == "tensorflow":
        line = tf.TensorSpec([None], tf.int32)
        return tf.function(draw_squares, input_signature=[line, line])
    if backend == "jax":
        import jax

        return jax.jit(draw_squares)
    return lambda rows, columns: draw_squares(*map(ops.convert_to_tensor, (rows, columns)))


def _convolved(library: Any, images: Any, kernel: npt.NDArray[np.float32]) -> Any:
    """Returns the "same" convolution of float32 images `[N, H, W, 1]` with a kernel `[a, b]`."""
    flipped = kernel[::-1, ::-1]
    if library is np:
        pads = [(length // 2, length // 2) for length in kernel.shape]
        padded = np.pad(images[..., 0], [(0, 0), *pads])
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape, axis=(1, 2))
        return np.einsum("nhwab,ab->nhw", windows, flipped)[..., None]

    filters = np.ascontiguousarray(flipped)[:, :, None, None]
    if hasattr(library, "conv"):  # keras.ops
        with _full_precision():
            return library.conv(images, filters, padding="same", data_format="channels_last")

    import tensorflow as tf

    return tf.nn.conv2d(images, filters, strides=1, padding="SAME")


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Stops JAX and PyTorch from rounding the inputs of a convolution to 11 bits on a GPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif keras.backend.backend() == "torch":
        from torch.backends import cudnn

        before, cudnn.allow_tf32 = cudnn.allow_tf32, False
        try:
            yield
        finally:
            cudnn.allow_tf32 = before
    else:
        yield


def _factors(kernel: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Returns kernels to convolve with in turn: `[k, 1]` and `[1, k]` for rank 1, else `kernel`."""
    i, j = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    largest = kernel[i, j]
    if largest != 0:
        column, row = kernel[:, j : j + 1], kernel[i : i + 1] / largest
        if np.allclose(column * row, kernel, rtol=0, atol=1e-9 * abs(largest)):
            return column, row
    return (kernel,)


def _checked_images(one_hots: Any) -> tuple[Any, Any]:
    """Returns the library that computes with `one_hots`, and `one_hots` as its array or tensor."""
    library, images = _with_library(one_hots)
    if not _dtype(images).startswith(("bool", "int", "uint", "float", "bfloat")):
        raise UserError(f"one_hots must hold booleans or real numbers, got dtype {_dtype(images)}.")

    try:
        shape = tuple(images.shape)
    except ValueError:  # A traced tensor of unknown rank
        shape = ()
    if len(shape) != 4 or shape[3] != 1 or 0 in shape[1:3]:
        raise UserError(
            f"one_hots must have shape [N, H, W, 1], got {shape}; add the missing axes, as in "
            "one_hots[..., None]."
        )
    if None in shape[1:3]:
        raise UserError(f"H and W of one_hots must be known, got {shape}; use tf.ensure_shape.")
    return library, images


def _with_library(one_hots: Any) -> tuple[Any, Any]:
    package = type(one_hots).__module__.partition(".")[0]
    if package in ("builtins", "numpy"):
        try:
            return np, np.asarray(one_hots)
        except ValueError:
            raise UserError("one_hots must have shape [N, H, W, 1], got a ragged list.") from None

    import keras

    if isinstance(one_hots, keras.Variable):
        one_hots = one_hots.value
    if keras.ops.is_tensor(one_hots) and "Sparse" not in type(one_hots).__name__:
        return keras.ops, one_hots
    if package == "tensorflow":
        import tensorflow as tf

        if isinstance(one_hots, tf.Tensor):
            return tf.experimental.numpy, one_hots

    raise UserError(
        "one_hots must be an array, or a tensor of TensorFlow or of Keras' backend "
        f"({keras.backend.backend()}), got {type(one_hots).__name__}."
    )


def _dtype(array: Any) -> str:
    """Returns the dtype of an array or tensor by its NumPy name."""
    return str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")


def _checked_kernel(kernel: npt.ArrayLike, height: int, width: int) -> npt.NDArray[Any]:
    try:
        array = np.asarray(kernel)
    except Exception:  # Ragged lists, and whatever traced tensors raise
        raise UserError("kernel must be an array of shape [k, k] on the host.") from None
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) % 2 == 0:
        raise UserError(
            f"kernel must have shape [k, k] with k odd, got {array.shape}; pad it with zeros."
        )
    if len(array) > min(height, width):
        raise UserError(
            f"kernel of {len(array)}x{len(array)} pixels is larger than the image of "
            f"{height}x{width}; use a smaller kernel or a larger image."
        )

    if array.dtype.kind not in "buif":
        raise UserError(f"kernel must hold finite real numbers, got dtype {array.dtype}.")
    with np.errstate(over="ignore"):
        if not np.isfinite(array.astype(np.float32)).all():
            raise UserError("kernel must hold finite real numbers (float32), got NaN or infinity.")
    return array

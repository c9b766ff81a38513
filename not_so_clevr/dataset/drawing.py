"""Drawing: from one-hot pixels to canvases, by convolution.

A canvas is the "same" convolution of a one-hot pixel with a kernel (Liu et al. 2018, arXiv
1807.03247, section 3). `convolve` is that definition, for any one-hots and any kernel.

The data set has one shape per canvas, whose rows are D different lines (`shapes.factors`), one for
a square. The one-hot is separable, so the canvas is the sum of D outer products of one-dimensional
convolutions. Two ways to compute it give the same bits:

- `convolved` convolves and multiplies. It reads almost nothing and writes each canvas once. Used on
  a GPU.
- `copied` copies the convolved lines from a table of D x W lines, shifts of one another. Used on a
  CPU, where it is about twice as fast. On an H200 the two differ less (docs/gpu.md).

`draw` copies with NumPy and imports no framework. `draw_on_device` uses `keras.ops`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices, geometry, shapes
from not_so_clevr.dataset.geometry import CanvasSize

WHITE = 255

_CHUNK_BYTES = 64 * 2**20
_TABLE_BYTES = 64 * 2**20  # Of `copied`, at most


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
        canvases = _convolved(library, canvases, factor.astype(np.float32)[..., None])

    if _dtype(images).startswith(("bool", "int", "uint")) and weights.dtype.kind in "bui":
        return library.floor(canvases + 0.5)  # `round` of TensorFlow's NumPy does not work.
    return canvases


def draw(
    centres: npt.ArrayLike,
    canvas_size: CanvasSize = geometry.CANVAS_SIZE,
    shape: str | npt.ArrayLike = shapes.SHAPE,
) -> npt.NDArray[np.uint8]:
    """Draws a white shape (255) on a black canvas (0) around each centre, with NumPy.

    A shape that crosses the border is cut off there, as in any "same" convolution. The shapes of
    the data set never do.

    Args:
        centres: integer pixels (row i, column j), `[N, 2]`.
        canvas_size: in pixels, one number or (height H, width W).
        shape: a name, e.g. "disc9", or booleans `[k, k]`, k odd; see `shapes`.

    Returns:
        uint8 `[N, H, W, 1]`.

    Raises:
        UserError: if a size or the shape is bad, or `centres` holds anything but integer pixels of
            the canvas.
    """
    size, shape = _checked_sizes(canvas_size, shape)
    rows, columns = geometry.check_centres(centres, size).astype(np.int32).T
    return copied(np, rows, columns, size, shape)


def draw_on_device(
    centres: npt.ArrayLike,
    canvas_size: CanvasSize = geometry.CANVAS_SIZE,
    shape: str | npt.ArrayLike = shapes.SHAPE,
) -> Any:
    """Draws the same canvases as `draw` with `keras.ops`, on the default device of Keras' backend.

    Convolves on a GPU and copies on a CPU. Compiled on TensorFlow and JAX.

    Returns:
        A tensor of the backend, uint8 `[N, H, W, 1]`, in the device's memory: pass at most
        `chunk_length` centres at a time.

    Raises:
        UserError: as for `draw`.
    """
    way = convolved if devices.keras_gpu() else copied
    return _on_device(way, centres, canvas_size, shape)


def one_hots_on_device(centres: npt.ArrayLike, canvas_size: CanvasSize) -> Any:
    """Returns the one-hots of centres as a tensor on the default device: uint8 `[N, H * W]`.

    Compiled as `draw_on_device`, for one call of the device instead of several. Raises UserError as
    for `draw`.
    """
    return _on_device(_one_hots, centres, canvas_size, "square1")


def _on_device(
    way: Callable[..., Any],
    centres: npt.ArrayLike,
    canvas_size: CanvasSize,
    shape: str | npt.ArrayLike,
) -> Any:
    """Returns what a way to draw makes of centres. Raises UserError as for `draw`."""
    import keras

    size, shape = _checked_sizes(canvas_size, shape)
    rows, columns = geometry.check_centres(centres, size).astype(np.int32).T
    return _compiled(keras.backend.backend(), way, size, shape)(rows, columns)


def draw_for_disk(
    centres: npt.NDArray[np.int64], canvas_size: CanvasSize, shape: str, drawer: str
) -> npt.NDArray[np.uint8]:
    """Draws the same canvases as `draw`, with what `devices.drawer` chose, into host memory."""
    if drawer == "numpy":
        return draw(centres, canvas_size, shape)
    if drawer == "keras":
        from keras import ops

        return ops.convert_to_numpy(draw_on_device(centres, canvas_size, shape))

    import tensorflow as tf

    size, (rows, columns) = geometry.height_width(canvas_size), centres.T
    with tf.device(devices.tensorflow_device()):
        return convolved(tf.experimental.numpy, rows, columns, size, shape).numpy()


def chunk_length(canvas_size: CanvasSize = geometry.CANVAS_SIZE) -> int:
    """Returns how many canvases fit in 64 MiB. Raises UserError if `canvas_size` is bad."""
    height, width = geometry.height_width(canvas_size)
    return _CHUNK_BYTES // (height * width)


def convolved(library: Any, rows: Any, columns: Any, size: tuple[int, int], shape: str) -> Any:
    """Draws white shapes as outer products of convolved lines: uint8 `[N, H, W, 1]`.

    `library` is NumPy, `keras.ops` or `tf.experimental.numpy`; `rows` and `columns` are the
    coordinates of the centres in pixels, integers `[N]`; `size` is (H, W); `shape` a valid name.
    """
    height, width = (np.arange(length, dtype=np.int32) for length in size)
    row_hot = library.equal(rows[:, None], height)[:, :, None, None]
    column_hot = library.equal(columns[:, None], width)[:, None, :, None]

    shape_rows, shape_lines = shapes.factors(shape)  # [k, D], [D, k]
    row_lines = _convolved(library, library.array(row_hot, "float32"), shape_rows[:, None])
    column_lines = _convolved(library, library.array(column_hot, "float32"), shape_lines.T[None])

    # Some GPU algorithms round, and a one may come out as 0.9999999: add 0.5 before truncating.
    row_lines = library.array(row_lines + 0.5, "uint8")  # [N, H, 1, D]
    column_lines = library.array(WHITE * column_lines + 0.5, "uint8")  # [N, 1, W, D]
    if len(shape_lines) == 1:
        return row_lines * column_lines

    left = library.array(row_lines[:, :, 0], "float32")
    right = library.transpose(library.array(column_lines[:, 0], "float32"), (0, 2, 1))
    return library.array(library.matmul(left, right) + 0.5, "uint8")[..., None]


def copied(library: Any, rows: Any, columns: Any, size: tuple[int, int], shape: str) -> Any:
    """Draws white shapes by copying lines. Arguments and result as for `convolved`.

    Row p of a canvas is a line of the table: that of the shape's row there, shifted to the centre,
    or a black one.
    """
    _, width = size
    if (len(shapes.factors(shape)[1]) + 1) * width**2 > _TABLE_BYTES:
        return convolved(library, rows, columns, size, shape)

    lines, starts = _convolved_lines(width, shape), _line_starts(size, shape)
    chosen = library.add(library.take(starts, rows, axis=0), columns[:, None])  # [N, H]
    return library.take(lines, chosen, axis=0)


def _one_hots(library: Any, rows: Any, columns: Any, size: tuple[int, int], shape: str) -> Any:
    """Returns uint8 `[N, H * W]`. Arguments as for `convolved`; the shape makes no difference."""
    height, width = size
    pixels = np.arange(height * width, dtype=np.int32)
    labels = rows * width + columns
    return library.array(library.equal(labels[:, None], pixels), "uint8")


@functools.lru_cache(maxsize=8)
def _convolved_lines(width: int, shape: str) -> npt.NDArray[np.uint8]:
    """Returns the D lines of a shape, and a black one, around each column: `[(D + 1) * W, W, 1]`.

    Line d * W + j is the convolution of the d-th line with the one-hot line of column j.
    """
    _, shape_lines = shapes.factors(shape)
    kinds, size = shape_lines.shape
    wide = np.zeros((kinds + 1, width, width + size - 1), np.uint8)
    for column in range(width):
        wide[:kinds, column, column : column + size] = WHITE * shape_lines

    lines = wide[..., size // 2 : size // 2 + width].reshape(-1, width, 1)
    lines.setflags(write=False)
    return lines


@functools.lru_cache(maxsize=8)
def _line_starts(size: tuple[int, int], shape: str) -> npt.NDArray[np.int32]:
    """Returns where the lines of row p of a canvas begin in the table, by centre row: `[H, H]`.

    It is d * W if row p is the d-th line of a shape centred in that row, or D * W if it is black.
    """
    height, width = size
    shape_rows, shape_lines = shapes.factors(shape)
    radius = len(shape_rows) // 2
    kinds = np.where(shape_rows.any(axis=1), shape_rows.argmax(axis=1), len(shape_lines))

    starts = np.full((height, height), len(shape_lines) * width, np.int32)
    for row in range(height):
        first, end = max(row - radius, 0), min(row + radius + 1, height)
        starts[row, first:end] = width * kinds[first - row + radius : end - row + radius]
    starts.setflags(write=False)
    return starts


@functools.lru_cache(maxsize=16)
def _compiled(
    backend: str, way: Callable[..., Any], size: tuple[int, int], shape: str
) -> Callable[[Any, Any], Any]:
    """Returns a function of int32 rows and columns that draws, compiled where the backend can."""
    from keras import ops

    library: Any = ops
    if backend == "tensorflow":
        import tensorflow as tf

        library = tf.experimental.numpy  # Its `take` is faster: no check for negative indices.

    def draw_shapes(rows: Any, columns: Any) -> Any:
        return way(library, rows, columns, size, shape)

    if backend == "tensorflow":
        line = tf.TensorSpec([None], tf.int32)
        return tf.function(draw_shapes, input_signature=[line, line])
    if backend == "jax":
        import jax

        return jax.jit(draw_shapes)
    return lambda rows, columns: draw_shapes(*map(ops.convert_to_tensor, (rows, columns)))


def _checked_sizes(
    canvas_size: CanvasSize, shape: str | npt.ArrayLike
) -> tuple[tuple[int, int], str]:
    """Returns (H, W) and the name of the shape. Raises UserError if one is bad, or it is larger."""
    shape = shapes.as_shape(shape)
    size, _ = geometry.check_sizes(canvas_size, shapes.size(shape))
    return size, shape


def _convolved(library: Any, images: Any, kernel: npt.NDArray[np.float32]) -> Any:
    """Returns the "same" convolution of float32 images with D kernels: `[N, H, W, D]`.

    Args:
        library: as for `convolved`.
        images: `[N, H, W, 1]`.
        kernel: `[a, b, D]`, a and b odd.
    """
    flipped = kernel[::-1, ::-1]
    if library is np:
        pads = [(length // 2, length // 2) for length in kernel.shape[:2]]
        padded = np.pad(images[..., 0], [(0, 0), *pads])
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
        return np.einsum("nhwab,abd->nhwd", windows, flipped)

    filters = np.ascontiguousarray(flipped)[:, :, None]
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
        raise UserError(
            f"kernel must be an array of shape [k, k] on the host, got {type(kernel).__name__}; "
            "convert it with np.asarray."
        ) from None
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

"""Drawing: from one-hot pixels to canvases, by convolution.

A canvas is the "same" convolution of a one-hot pixel with a kernel (Liu et al. 2018, arXiv
1807.03247, section 3). `convolve` is that definition, for any one-hots and any kernel, in NumPy,
in `tf.data` and on the device of Keras' backend.

The data set has one square per canvas. One-hot and square are both separable, so the canvas is an
outer product of two one-dimensional convolutions: of the one-hot row and of the one-hot column.
There are two ways to compute it, equal bit by bit:

- `convolved_squares` convolves and multiplies. It reads almost nothing and writes each canvas
  once. Used on a GPU.
- `copied_squares` looks the convolved lines up in a table (there are only S of them, shifts of
  one another) and copies them. Used on a CPU, where copying is faster than multiplying.

`draw` copies with NumPy and imports no framework; `draw_on_device` uses `keras.ops` and picks the
way that suits the device.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, integer
from not_so_clevr.dataset import devices
from not_so_clevr.dataset.geometry import (
    CANVAS_SIZE,
    MAX_CANVAS_SIZE,
    SQUARE_SIZE,
    check_centres,
    check_sizes,
)

WHITE = 255

_CHUNK_BYTES = 64 * 2**20


def convolve(one_hots: Any, kernel: npt.ArrayLike) -> Any:
    """Returns the "same" convolution of each image with a kernel, as `scipy.signal.convolve2d`.

    The type of `one_hots` decides where it is computed: NumPy for an array; `keras.ops`, on the
    tensor's device, for a tensor of Keras' backend; TensorFlow for a tensor of TensorFlow, also
    inside `tf.data`. A kernel of rank 1 takes two one-dimensional convolutions, any other kernel
    one two-dimensional convolution.

    Args:
        one_hots: `[N, H, W, 1]`, booleans or real numbers; any number of ones, or any values.
        kernel: `[k, k]`, k odd, booleans or finite numbers, on the host.

    Returns:
        float32 `[N, H, W, 1]`. If both arguments are booleans or integers, whole numbers, exact
        while all sums stay below 2^23. (On a GPU, TensorFlow rounds the inputs of a convolution to
        11 significant bits, unless `tf.config.experimental.enable_tensor_float_32_execution` is
        off. JAX and PyTorch are asked not to.)

    Raises:
        UserError: if an argument is not as above, or the kernel is larger than the image.
    """
    library, images = _with_library(one_hots)
    height, width = _checked_shape(images)
    weights = _checked_kernel(kernel, height, width)

    whole = _is_whole(images) and weights.dtype.kind in "bui"
    canvases = _cast(library, images, "float32")
    for factor in _factors(weights.astype(np.float64)):
        canvases = _convolved(library, canvases, factor.astype(np.float32))

    return _nearest_whole(library, canvases) if whole else canvases


def draw(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE) -> npt.NDArray[np.uint8]:
    """Draws a white square (255) on a black canvas (0) around each centre, with NumPy.

    A square that reaches over the border is cut off there, as in any "same" convolution; none of
    the data set's does.

    Args:
        centres: integer pixels (row i, column j), `[N, 2]`.
        canvas_size: S, in pixels.
        square_size: k, in pixels, odd.

    Returns:
        uint8 `[N, S, S, 1]`.

    Raises:
        UserError: see `check_sizes`; or unless `centres` holds integer pixels of the canvas.
    """
    canvas_size, square_size = check_sizes(canvas_size, square_size)
    rows, columns = check_centres(centres, canvas_size).T
    return copied_squares(np, rows, columns, canvas_size, square_size)


def draw_on_device(centres: npt.ArrayLike, canvas_size: int = CANVAS_SIZE, square_size: int = SQUARE_SIZE) -> Any:
    """Draws the same squares as `draw` with `keras.ops`, on the default device of Keras' backend.

    On a GPU they are convolved, on a CPU copied. The function is compiled with TensorFlow and JAX.

    Returns:
        A tensor of the backend, uint8 `[N, S, S, 1]`, in the device's memory: pass at most
        `chunk_length` centres at a time.

    Raises:
        UserError: as `draw` does.
    """
    import keras

    canvas_size, square_size = check_sizes(canvas_size, square_size)
    rows, columns = check_centres(centres, canvas_size).astype(np.int32).T
    way = convolved_squares if devices.keras_gpu() else copied_squares
    return _compiled(keras.backend.backend(), way, canvas_size, square_size)(rows, columns)


def draw_for_disk(centres: npt.NDArray[np.int64], canvas_size: int, square_size: int, drawer: str) -> npt.NDArray[np.uint8]:
    """Draws the same squares as `draw`, where `devices.drawer` says, into memory of the host."""
    if drawer == "numpy":
        return draw(centres, canvas_size, square_size)
    if drawer == "keras":
        from keras import ops

        return ops.convert_to_numpy(draw_on_device(centres, canvas_size, square_size))

    import tensorflow as tf

    rows, columns = centres.T
    with tf.device(devices.tensorflow_device()):
        return convolved_squares(tf.experimental.numpy, rows, columns, canvas_size, square_size).numpy()


def chunk_length(canvas_size: int = CANVAS_SIZE) -> int:
    """Returns how many canvases take 64 MiB at most.

    Raises:
        UserError: unless `canvas_size` is an integer from 1 to 4096.
    """
    return _CHUNK_BYTES // integer("canvas_size", canvas_size, 1, MAX_CANVAS_SIZE) ** 2


def convolved_squares(library: Any, rows: Any, columns: Any, canvas_size: int, square_size: int) -> Any:
    """Draws squares as outer products of two one-dimensional convolutions.

    Args:
        library: NumPy, `keras.ops` or `tf.experimental.numpy`.
        rows: i of each centre, integers `[N]`.
        columns: j of each centre, integers `[N]`.
        canvas_size: S, in pixels.
        square_size: k, in pixels, odd.

    Returns:
        uint8 `[N, S, S, 1]`.
    """
    pixels = np.arange(canvas_size, dtype=np.int32)
    row_hot = library.equal(rows[:, None], pixels)[:, :, None, None]
    column_hot = library.equal(columns[:, None], pixels)[:, None, :, None]

    vertical = np.ones((square_size, 1), np.float32)
    row_lines = _convolved(library, _cast(library, row_hot, "float32"), vertical)
    column_lines = _convolved(library, _cast(library, column_hot, "float32"), vertical.T)

    # Some algorithms of GPUs round, so that a one may come out as 0.9999999.
    row_lines = _cast(library, _nearest_whole(library, row_lines), "uint8")
    column_lines = _cast(library, _nearest_whole(library, WHITE * column_lines), "uint8")
    return row_lines * column_lines  # [N, S, 1, 1] * [N, 1, S, 1]


def copied_squares(library: Any, rows: Any, columns: Any, canvas_size: int, square_size: int) -> Any:
    """Draws squares by copying lines. Arguments and result as for `convolved_squares`.

    Row p of a canvas is the white line of the square's columns where p is a row of the square, and
    the black line, the last of the table, elsewhere.
    """
    lines = _convolved_lines(canvas_size, square_size)
    white_rows = library.take(lines[..., 0] > 0, rows, axis=0)  # [N, S]
    chosen = library.where(white_rows, columns[:, None], canvas_size)
    return library.take(lines, chosen, axis=0)


@functools.lru_cache(maxsize=8)
def _convolved_lines(canvas_size: int, square_size: int) -> npt.NDArray[np.uint8]:
    """Returns the convolution of each one-hot line with k whites, then a black line: `[S + 1, S, 1]`."""
    one_hot = np.zeros(2 * canvas_size - 1, np.uint8)
    one_hot[canvas_size - 1] = 1
    line = np.convolve(one_hot, np.full(square_size, WHITE, np.uint8), mode="same")

    shifts = np.lib.stride_tricks.sliding_window_view(line, canvas_size)[::-1]
    lines = np.concatenate([shifts, np.zeros((1, canvas_size), np.uint8)])[..., None]
    lines.setflags(write=False)
    return lines


@functools.lru_cache(maxsize=16)
def _compiled(backend: str, way: Callable[..., Any], canvas_size: int, square_size: int) -> Callable[[Any, Any], Any]:
    """Returns a function of int32 rows and columns that draws, compiled where the backend can."""
    from keras import ops

    library: Any = ops
    if backend == "tensorflow":
        import tensorflow as tf

        library = tf.experimental.numpy  # Its `take` is faster: it looks for no negative indices.

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
    if _is_keras(library):
        with _full_precision():
            return library.conv(images, filters, padding="same", data_format="channels_last")

    import tensorflow as tf

    return tf.nn.conv2d(images, filters, strides=1, padding="SAME")


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Keeps a GPU from rounding the inputs of a convolution to 11 bits, on JAX and PyTorch."""
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


def _checked_shape(images: Any) -> tuple[int, int]:
    """Returns the height and width of images."""
    rank = getattr(images.shape, "rank", None) if _is_tensorflow(images) else len(images.shape)
    shape = tuple(images.shape) if rank else ()
    if len(shape) != 4 or shape[3] != 1 or 0 in shape[1:3]:
        raise UserError(f"one_hots must have shape [N, H, W, 1], got {shape}; add what is missing, as in one_hots[..., None].")
    if None in shape[1:3]:
        raise UserError(f"H and W of one_hots must be known, got {shape}; use tf.ensure_shape.")
    return shape[1], shape[2]


def _checked_kernel(kernel: npt.ArrayLike, height: int, width: int) -> npt.NDArray[Any]:
    try:
        array = np.asarray(kernel)
    except Exception:  # Ragged lists, and whatever traced tensors raise
        raise UserError("kernel must be an array of shape [k, k] on the host.") from None
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise UserError(f"kernel must be square, of shape [k, k] with k odd, got shape {array.shape}; pad it with zeros.")
    if len(array) % 2 == 0:
        raise UserError(f"kernel must have an odd size, so that it has a centre, got {len(array)}; pad it with zeros.")
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


def _with_library(one_hots: Any) -> tuple[Any, Any]:
    """Returns the library that computes with `one_hots`, and `one_hots` as its array or tensor."""
    if type(one_hots).__module__.partition(".")[0] in ("builtins", "numpy"):
        try:
            return np, _checked_dtype(np.asarray(one_hots))
        except UserError:
            raise
        except ValueError:
            raise UserError("one_hots must have shape [N, H, W, 1], got a ragged list.") from None

    import keras

    if isinstance(one_hots, keras.Variable):
        one_hots = one_hots.value
    if keras.ops.is_tensor(one_hots) and "Sparse" not in type(one_hots).__name__:
        return keras.ops, _checked_dtype(one_hots)
    if _is_tensorflow(one_hots):
        import tensorflow as tf

        return tf.experimental.numpy, _checked_dtype(one_hots)
    raise UserError(
        "one_hots must be an array, or a tensor of TensorFlow or of Keras' backend "
        f"({keras.backend.backend()}), got {type(one_hots).__name__}."
    )


def _is_tensorflow(one_hots: Any) -> bool:
    if type(one_hots).__module__.partition(".")[0] != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(one_hots, tf.Tensor)


def _checked_dtype(array: Any) -> Any:
    if not _dtype(array).startswith(("bool", "int", "uint", "float", "bfloat")):
        raise UserError(f"one_hots must hold booleans or real numbers, got dtype {_dtype(array)}.")
    return array


def _dtype(array: Any) -> str:
    """Returns the name of the dtype of an array or tensor, as NumPy has it."""
    return str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")


def _is_whole(array: Any) -> bool:
    return _dtype(array).startswith(("bool", "int", "uint"))


def _nearest_whole(library: Any, numbers: Any) -> Any:
    return library.floor(numbers + 0.5)  # TensorFlow's NumPy has no `round` that works.


def _is_keras(library: Any) -> bool:
    return str(library.__name__).startswith("keras")


def _cast(library: Any, array: Any, dtype: str) -> Any:
    return library.cast(array, dtype) if _is_keras(library) else library.asarray(array, dtype)

"""Shapes: the kernel that turns a one-hot pixel into a canvas.

A shape is a word and a size k in pixels, odd, e.g. "disc9". With r = k // 2, and a pixel that lies
a rows below the centre and b columns to its right:

| shape      | white pixels                     | of 9x9 pixels |
|------------|----------------------------------|---------------|
| `square`   | all                              | 81            |
| `disc`     | a² + b² <= r²                    | 49            |
| `cross`    | a = 0 or b = 0                   | 17            |
| `ring`     | those of the disc, but not of    | 20            |
|            | the disc of radius r - 1         |               |
| `triangle` | a >= b                           | 45            |

A shape of your own is a boolean array `[k, k]`. Its name, e.g. "bitmap3_5a80", has its pixels: rows
one after the other, eight pixels to a byte, in hexadecimal.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, did_you_mean, integer

MAX_SIZE = 4095
MAX_BITMAP_SIZE = 27  # The name of a config must fit into that of a folder, 255 bytes.

Kernel = npt.NDArray[np.bool_]

_BITMAP = "bitmap"


def _disc(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], radius: int) -> Kernel:
    return a**2 + b**2 <= radius**2 if radius >= 0 else np.zeros((a + b).shape, bool)


# Functions of a `[k, 1]`, b `[1, k]` and r. Of two that draw the same, the first names the shape.
_PIXELS: dict[str, Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64], int], Kernel]] = {
    "square": lambda a, b, r: np.ones((a + b).shape, bool),
    "disc": _disc,
    "cross": lambda a, b, r: (a == 0) | (b == 0),
    "ring": lambda a, b, r: _disc(a, b, r) & ~_disc(a, b, r - 1),
    "triangle": lambda a, b, r: a >= b,
}

SHAPES = tuple(_PIXELS)
SHAPE = "square9"

#: What a name of a shape matches, valid or not.
PATTERN = rf"(?:{'|'.join(SHAPES)})\d{{1,10}}|{_BITMAP}\d{{1,10}}_[0-9a-f]+"


def as_shape(shape: str | npt.ArrayLike) -> str:
    """Returns the name of a shape, given its name or its pixels.

    Of several names that draw the same pixels, it is the first of `SHAPES`: "disc3" for "cross3".

    Args:
        shape: a name, e.g. "disc9", or booleans `[k, k]`, k odd, at least one of them true.

    Raises:
        UserError: if it is neither.
    """
    return _canonical(shape) if isinstance(shape, str) else _name(_checked_bitmap(shape))


@functools.lru_cache(maxsize=64)
def _canonical(shape: str) -> str:
    match = re.fullmatch(r"([a-z]+)(\d{1,10})(?:_([0-9a-f]+))?", shape)
    word, digits, pixels = match.groups() if match else (shape, "0", None)
    expected = (
        f"expected {', '.join(SHAPES)} and an odd number of pixels, e.g. 'disc9', "
        "or a boolean array [k, k]"
    )
    if not match or word not in (*SHAPES, _BITMAP) or (word == _BITMAP) != bool(pixels):
        hint = did_you_mean(word.rstrip("0123456789"), SHAPES)
        raise UserError(f"shape={shape!r} is unknown{hint}; {expected}.")
    if int(digits) % 2 == 0:
        raise UserError(
            f"shape={shape!r} has an even size; expected an odd one, so that there is a centre "
            "pixel."
        )
    size = integer(f"shape={shape!r}: size", int(digits), 1, _largest(word))
    return _name(_bitmap(shape, size, pixels) if pixels else _drawn(word, size))


@functools.lru_cache(maxsize=64)
def kernel(shape: str) -> Kernel:
    """Returns the white pixels of a shape: bool `[k, k]`, read-only. `shape` is a valid name."""
    match = re.fullmatch(r"([a-z]+)(\d+)(?:_([0-9a-f]+))?", shape)
    assert match, shape
    word, digits, pixels = match.groups()
    found = _bitmap(shape, int(digits), pixels) if pixels else _drawn(word, int(digits))
    found.setflags(write=False)
    return found


def size(shape: str) -> int:
    """Returns k, in pixels, of a valid name."""
    match = re.match(r"[a-z]+(\d+)", shape)
    assert match, shape
    return int(match[1])


def word(shape: str) -> str:
    """Returns the word of a valid name: "disc" of "disc9"."""
    match = re.match(r"[a-z]+", shape)
    assert match, shape
    return match[0]


@functools.lru_cache(maxsize=64)
def factors(shape: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Returns a kernel as the product of two matrices of zeros and ones, float32, read-only.

    Returns:
        rows: `[k, D]`, which of the D different lines a row of the shape is; none if it is black.
        lines: `[D, k]`, the white pixels of each line. A square has one line.
    """
    pixels = kernel(shape)
    lines = np.unique(pixels[pixels.any(axis=1)], axis=0)
    rows = (pixels[:, None, :] == lines).all(axis=-1)
    result = rows.astype(np.float32), lines.astype(np.float32)
    for matrix in result:
        matrix.setflags(write=False)
    return result


def _drawn(word: str, size: int) -> Kernel:
    offsets = np.arange(size, dtype=np.int64) - size // 2
    return _PIXELS[word](offsets[:, None], offsets[None, :], size // 2)


def _bitmap(shape: str, size: int, pixels: str) -> Kernel:
    """Returns the pixels that a name spells. Raises UserError if it does not spell them exactly."""
    wrong = f"shape={shape!r} does not spell {size}x{size} pixels; use the name of a config"
    if len(pixels) != 2 * -(-(size**2) // 8):
        raise UserError(f"{wrong}; expected {2 * -(-(size**2) // 8)} hexadecimal digits.")
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(pixels), np.uint8)).astype(bool)
    if bits[size**2 :].any() or not bits.any():
        raise UserError(f"{wrong}; expected one or more white pixels, and zeros after the last.")
    return bits[: size**2].reshape(size, size)


def _checked_bitmap(shape: npt.ArrayLike) -> Kernel:
    expected = (
        f"expected a name, e.g. 'disc9', or a boolean array [k, k], k odd, 1 to {MAX_BITMAP_SIZE}"
    )
    try:
        array = np.asarray(shape)
    except ValueError:
        raise UserError(f"shape={shape!r} has rows of different lengths; {expected}.") from None
    if array.ndim != 2 or array.dtype != bool:
        shown = repr(shape) if array.ndim < 2 else f"array of {array.dtype} {array.shape}"
        raise UserError(f"shape={shown} is not an array of booleans; {expected}.")
    height, width = array.shape
    if height != width or height % 2 == 0 or height > MAX_BITMAP_SIZE:
        raise UserError(f"shape=array of {height}x{width} booleans does not fit; {expected}.")
    if not array.any():
        raise UserError(f"shape=array of {height}x{width} booleans is all false; {expected}.")
    return array


def _name(pixels: Kernel) -> str:
    """Returns the name of a kernel `[k, k]`."""
    size = len(pixels)
    for word in SHAPES:
        if np.array_equal(_drawn(word, size), pixels):
            return f"{word}{size}"
    return f"{_BITMAP}{size}_{np.packbits(pixels).tobytes().hex()}"


def _largest(word: str) -> int:
    return MAX_BITMAP_SIZE if word == _BITMAP else MAX_SIZE

"""PNG files of grey images, small and fast for canvases (`deflate`).

Specification: https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import deflate

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = (8, 0, 0, 0, 0)  # Bit depth, colour type, compression, filters, interlace
_NONE, _UP = 0, 2  # Filters: a line as it is, and its difference from the line above


def encode(image: npt.NDArray[np.uint8]) -> bytes:
    """Encodes a grey image as an 8-bit PNG file, without loss.

    Args:
        image: uint8 `[H, W]` or `[H, W, 1]`, H and W at least 1.

    Raises:
        UserError: if the image has another shape or dtype.
    """
    grey = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if grey.dtype != np.uint8 or grey.ndim != 2 or grey.size == 0:
        raise UserError(
            f"image must be uint8 [H, W] or [H, W, 1], got {image.dtype} {list(image.shape)}."
        )
    height, width = grey.shape
    header = struct.pack(">2I5B", width, height, *_GREY)
    chunks = (b"IHDR" + header, b"IDAT" + _pixels(grey), b"IEND")
    return _SIGNATURE + b"".join(map(_chunk, chunks))


def _pixels(grey: npt.NDArray[np.uint8]) -> bytes:
    """Returns the compressed lines of an image, each with its filter before it.

    If the image is large, a line equal to the one above becomes zeros, and the black lines above
    and below all others are only counted.
    """
    height, width = grey.shape
    is_large = grey.size >= deflate.SMALL
    drawn = np.flatnonzero(grey.max(axis=1)).tolist() if is_large else range(height)
    top, bottom = (drawn[0], drawn[-1] + 1) if drawn else (0, 0)
    grey = grey[top:bottom]

    lines = np.empty((len(grey), 1 + width), np.uint8)
    lines[:, 0] = _NONE
    lines[:, 1:] = grey
    if is_large:
        repeated = 1 + np.flatnonzero((grey[1:] == grey[:-1]).all(axis=1))
        lines[repeated] = 0
        lines[repeated, 0] = _UP
    return deflate.compress(lines, top * (1 + width), (height - bottom) * (1 + width))


def _chunk(content: bytes) -> bytes:
    """Returns a chunk from its type and data: their length and checksum around them."""
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

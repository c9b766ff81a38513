"""Compression of data with long runs of equal bytes: smaller than zlib's, and faster if large.

Canvases and one-hots are such data. zlib looks at every byte of a run, which is nearly all the time
of generating a large data set; here, a run takes as long as a byte.

The stream is one block of deflate (RFC 1951, https://www.rfc-editor.org/rfc/rfc1951) in the zlib
format (RFC 1950). It repeats nothing but the last byte, so it has a single distance. Bits are
written as text, in the order of the stream.
"""

from __future__ import annotations

import collections
import functools
import heapq
import operator
import struct
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

_ZLIB = b"\x78\xda"  # A window of 32 KiB, best compression
_MODULUS = 65521  # Of Adler-32

_END = 256  # The symbols after the 256 bytes: the end, then lengths
_LONGEST = 258  # The longest length, which has a symbol of its own,
_LONGEST_SYMBOL = 285
_REPEAT = "0"  # and the code of the only distance: 1

#: zlib compresses less data than this in bytes faster.
SMALL = 20_000

# Larger data, too, unless its runs are longer than this on average.
_LONG_RUN = 700
_BLOCK_RUNS = 40  # Added to their number, for the codes at the start of a stream


def compress(data: npt.NDArray[np.uint8], before: int = 0, after: int = 0) -> bytes:
    """Returns a zlib stream of `before` zeros, the bytes of an array, and `after` zeros.

    Data that is small or has short runs is left to zlib.
    """
    data = data.ravel()
    size = before + len(data) + after
    edges = [] if size < SMALL else (np.flatnonzero(data[1:] != data[:-1]) + 1).tolist()
    if size < SMALL or size < _LONG_RUN * (len(edges) + _BLOCK_RUNS):
        return zlib.compress(bytes(before) + data.tobytes() + bytes(after), 8)

    starts, ends = [0, *edges], [*edges, len(data)]
    lengths = map(operator.sub, ends, starts)
    found = zip(data[starts].tolist(), lengths, strict=True) if len(data) else ()
    runs = [run for run in ((0, before), *found, (0, after)) if run[1]]
    checksum = _adler32(before, data.tobytes(), after)
    return _ZLIB + _block(runs) + struct.pack(">I", checksum)


def _adler32(before: int, data: bytes, after: int) -> int:
    """Returns the Adler-32 of zeros, data and zeros: a zero adds the low half to the high half."""
    checksum = zlib.adler32(data, before % _MODULUS << 16 | 1)
    high, low = checksum >> 16, checksum & 0xFFFF
    return (high + after * low) % _MODULUS << 16 | low


def _block(runs: list[tuple[int, int]]) -> bytes:
    """Returns a block, the last of its stream, from pairs of a byte and how often it occurs."""
    distinct = collections.Counter(runs)
    counts = collections.Counter([_END])
    for run, times in distinct.items():
        for symbol, count, _ in _symbols(*run):
            counts[symbol] += times * count

    header, codes = _code(tuple(sorted(_code_sizes(counts, 15).items())))
    bits = {
        run: "".join([(codes[symbol] + more) * count for symbol, count, more in _symbols(*run)])
        for run in distinct
    }
    return _bytes(header + "".join(map(bits.__getitem__, runs)) + codes[_END])


@functools.lru_cache(maxsize=4096)
def _symbols(byte: int, length: int) -> list[tuple[int, int, str]]:
    """Returns the symbols of a run, how often each is repeated, and the bits after each."""
    longest, rest = divmod(length - 1, _LONGEST)
    found = [(byte, 1, "")]
    if longest:
        found.append((_LONGEST_SYMBOL, longest, _REPEAT))
    if rest in _LENGTHS:
        symbol, extra = _LENGTHS[rest]
        found.append((symbol, 1, extra + _REPEAT))
    elif rest:
        found.append((byte, rest, ""))
    return found


def _code_sizes(counts: Mapping[int, int], limit: int) -> dict[int, int]:
    """Returns how many bits each symbol gets in a Huffman code, from how often it occurs."""
    if len(counts) == 1:
        return dict.fromkeys(counts, 1)
    sizes = dict.fromkeys(counts, 0)
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (count, symbol, (symbol,)) for symbol, count in counts.items()
    ]
    heapq.heapify(heap)
    while len(heap) > 1:
        count, symbol, members = heapq.heappop(heap)
        other_count, _, other_members = heap[0]
        members += other_members
        for member in members:
            sizes[member] += 1
        heapq.heapreplace(heap, (count + other_count, symbol, members))

    if max(sizes.values()) > limit:  # Rare: flatter counts make a flatter tree.
        return _code_sizes({symbol: -(-count // 2) for symbol, count in counts.items()}, limit)
    return sizes


def _codes(sizes: Mapping[int, int]) -> dict[int, str]:
    """Returns the canonical code of each symbol (RFC 1951, section 3.2.2)."""
    codes, code, last = {}, 0, 0
    for size, symbol in sorted((size, symbol) for symbol, size in sizes.items()):
        code <<= size - last
        codes[symbol] = f"{code:0{size}b}"
        code, last = code + 1, size
    return codes


@functools.lru_cache(maxsize=1024)
def _code(items: tuple[tuple[int, int], ...]) -> tuple[str, dict[int, str]]:
    """Returns the start of a block (section 3.2.7) and its code, from the sizes of the code."""
    sizes = dict(items)
    symbols: list[tuple[int, str]] = []
    zeros = 0
    for size in [*(sizes.get(symbol, 0) for symbol in range(max(sizes) + 1)), len(_REPEAT)]:
        if size == 0:
            zeros += 1
            continue
        while zeros > 2:
            chunk = min(zeros, 138)
            symbols.append(
                (17, _number(chunk - 3, 3)) if chunk < 11 else (18, _number(chunk - 11, 7))
            )
            zeros -= chunk
        symbols += [(0, "")] * zeros + [(size, "")]
        zeros = 0

    code_sizes = _code_sizes(collections.Counter(symbol for symbol, _ in symbols), 7)
    codes = _codes(code_sizes)
    listed = [code_sizes.get(symbol, 0) for symbol in _HEADER_ORDER]
    while listed[-1] == 0:
        listed.pop()
    header = (
        "101"  # The last block, with its own codes
        + _number(max(sizes) - _END, 5)
        + _number(0, 5)
        + _number(len(listed) - 4, 4)
        + "".join(_number(size, 3) for size in listed)
        + "".join(codes[symbol] + extra for symbol, extra in symbols)
    )
    return header, _codes(sizes)


_HEADER_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def _number(value: int, size: int) -> str:
    """Returns a number as bits, the lowest first."""
    return f"{value:0{size}b}"[::-1] if size else ""


def _bytes(bits: str) -> bytes:
    return int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


def _length_symbols() -> dict[int, tuple[int, str]]:
    """Returns the symbol of each length below the longest, and its extra bits (section 3.2.5)."""
    extras = [0] * 4 + [size for size in range(6) for _ in range(4)]
    numbered = enumerate(extras, start=_END + 1)
    found = [(symbol, _number(k, extra)) for symbol, extra in numbered for k in range(2**extra)]
    return dict(enumerate(found[: _LONGEST - 3], start=3))


_LENGTHS = _length_symbols()

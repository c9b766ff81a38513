"""Splits: which centres are training examples and which are test examples.

Of n x m centres, n rows and m columns; q(n) = (n + 2) // 4 is the integer nearest to n / 4. The
counts are for 56 x 56 centres: canvases of 64 x 64 pixels, shapes of 9 x 9.

| split           | test examples                                     | asks for      | train/test |
|-----------------|---------------------------------------------------|---------------|------------|
| `uniform`       | `test_percent` of all (20), drawn at random       | interpolation | 2509/627   |
| `quadrant`      | one quadrant, `held_out` (lower right)            | recombination | 2352/784   |
| `rows`          | the last q(n) rows                                | extrapolation | 2352/784   |
| `columns`       | the last q(m) columns                             | extrapolation | 2352/784   |
| `border`        | the outermost ring, of the width nearest to 20 %  | extrapolation | 2500/636   |
| `centre`        | all but q(n) rows and q(m) columns on every side  | recombination | 2352/784   |
| `checkerboard`  | i + j odd                                         | interpolation | 1568/1568  |
| `uniform_uber`  | draws below 0.25, seed 20202, column by column    | interpolation | 2368/768   |
| `quadrant_uber` | i > H/2 and j > W/2: one row and column fewer     | recombination | 2407/729   |

Interpolation is between positions seen in training. Recombination is of a row and a column that
were seen, but never together (Montero et al. 2021; Schott et al. 2021, arXiv 2107.08221).
Extrapolation is to rows or columns never seen.

`uniform` and `quadrant` are those of the paper (Liu et al. 2018, arXiv 1807.03247, section 3) as
its text and the article define them, `uniform_uber` and `quadrant_uber` those of its released code,
uber-research/CoordConv. `centre` follows Liang et al. (2025, arXiv 2501.18797). Random numbers come
from `numpy.random.RandomState`, whose stream NumPy froze (NEP 19).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, integer, one_of
from not_so_clevr.dataset import geometry

SPLITS = (
    "uniform",
    "quadrant",
    "rows",
    "columns",
    "border",
    "centre",
    "checkerboard",
    "uniform_uber",
    "quadrant_uber",
)
QUADRANTS = ("lower_right", "lower_left", "upper_right", "upper_left")
HELD_OUT = QUADRANTS[0]
SEED = 0
TEST_PERCENT = 20  # Of `uniform`, and about that of `border`

#: Splits whose test examples are scattered, so that no line divides them from train.
SCATTERED = ("uniform", "checkerboard", "uniform_uber")

Mask = npt.NDArray[np.bool_]


def check_split(split: str, held_out: str, test_percent: int, seed: int) -> tuple[int, int]:
    """Returns `test_percent` and `seed` as Python ints.

    Raises UserError if a value is not allowed, or is set for a split that does not use it.
    """
    one_of("split", split, SPLITS)
    one_of("held_out", held_out, QUADRANTS)
    test_percent = integer("test_percent", test_percent, 1, 99)
    seed = integer("seed", seed, 0, 2**32 - 1)

    unused = f"has no meaning for split={split!r}; leave it out, or use"
    if held_out != HELD_OUT and split != "quadrant":
        raise UserError(f"held_out={held_out!r} {unused} split='quadrant'.")
    if test_percent != TEST_PERCENT and split != "uniform":
        raise UserError(f"test_percent={test_percent!r} {unused} split='uniform'.")
    if seed != SEED and split != "uniform":
        raise UserError(f"seed={seed!r} {unused} split='uniform'.")
    return test_percent, seed


def is_test(
    split: str = SPLITS[0],
    *,
    canvas_size: geometry.CanvasSize = geometry.CANVAS_SIZE,
    shape_size: int = geometry.SHAPE_SIZE,
    held_out: str = HELD_OUT,
    test_percent: int = TEST_PERCENT,
    seed: int = SEED,
) -> Mask:
    """Returns which of `geometry.centres(canvas_size, shape_size)` are test examples: bool `[N]`.

    Arguments as for `NotSoClevrConfig`. Raises UserError if one is bad, or train or test is empty.
    """
    test_percent, seed = check_split(split, held_out, test_percent, seed)
    (height, width), shape_size = geometry.check_sizes(canvas_size, shape_size)
    rows, columns = height - shape_size + 1, width - shape_size + 1  # Of centres
    i, j = geometry.centres(canvas_size, shape_size).T
    row, column = i - shape_size // 2, j - shape_size // 2  # From 0, of centres

    if split == "uniform":
        test = _uniform(len(i), test_percent, seed)
    elif split == "quadrant":
        vertical, horizontal = held_out.split("_")
        lower, right = 2 * i >= height, 2 * j >= width
        test = (lower == (vertical == "lower")) & (right == (horizontal == "right"))
    elif split == "rows":
        test = row >= rows - _quarter(rows)
    elif split == "columns":
        test = column >= columns - _quarter(columns)
    elif split == "border":
        test = _from_border(row, column, rows, columns) < _border_width(rows, columns)
    elif split == "centre":
        inner_row = np.minimum(row, rows - 1 - row) >= _quarter(rows)
        test = inner_row & (np.minimum(column, columns - 1 - column) >= _quarter(columns))
    elif split == "checkerboard":
        test = (i + j) % 2 == 1
    elif split == "uniform_uber":
        test = _uniform_uber(rows, columns)
    else:
        test = (2 * i > height) & (2 * j > width)

    if test.all() or not test.any():
        canvas, missing = geometry.size_text(canvas_size), "train" if test.all() else "test"
        percent = f" and test_percent={test_percent}" if split == "uniform" else ""
        raise UserError(
            f"canvas_size={canvas} and shape_size={shape_size} leave {len(test)} centre(s), and "
            f"split={split!r}{percent} has no {missing} example; expected a larger canvas or a "
            "smaller shape."
        )
    return test


def _quarter(n: int) -> int:
    """Returns the integer nearest to a quarter of n, the larger one of two."""
    return (n + 2) // 4


def _from_border(
    row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], rows: int, columns: int
) -> npt.NDArray[np.int64]:
    """Returns how many centres lie between each centre and the nearest border: int64 `[N]`."""
    return np.minimum(np.minimum(row, rows - 1 - row), np.minimum(column, columns - 1 - column))


def _border_width(rows: int, columns: int) -> int:
    """Returns the width of the ring nearest to a fifth of all centres, the narrower one of two."""

    def error(width: int) -> int:
        inside = max(0, rows - 2 * width) * max(0, columns - 2 * width)
        return abs(100 * (rows * columns - inside) - TEST_PERCENT * rows * columns)

    return min(range(1, min(rows, columns) // 2 + 2), key=error)


def _uniform(n: int, test_percent: int, seed: int) -> Mask:
    order = np.random.RandomState(seed).permutation(n)
    test = np.zeros(n, bool)
    test[order[: round(test_percent * n / 100)]] = True
    return test


def _uniform_uber(rows: int, columns: int) -> Mask:
    by_column = np.random.RandomState(20202).random_sample(rows * columns) < 0.25
    return by_column.reshape(columns, rows).T.ravel()

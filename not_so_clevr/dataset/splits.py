"""Splits: which centres are training examples and which are test examples.

| split           | test examples                                         | train/test, S=64 |
|-----------------|-------------------------------------------------------|------------------|
| `uniform`       | 20 %, rounded to a whole number, drawn with `seed`    | 2509/627         |
| `quadrant`      | one quadrant, `held_out` (by default the lower right) | 2352/784         |
| `uniform_uber`  | draws below 0.25, NumPy seed 20202, column by column  | 2368/768         |
| `quadrant_uber` | i > S/2 and j > S/2: one row and one column less      | 2407/729         |

The first two are the paper's (arXiv 1807.03247, section 3), as its text and the article define
them. The last two are those of its released code, uber-research/CoordConv. Random numbers come from
`numpy.random.RandomState`, whose stream NumPy froze (NEP 19).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, integer, one_of
from not_so_clevr.dataset import geometry

SPLITS = ("uniform", "quadrant", "uniform_uber", "quadrant_uber")
QUADRANTS = ("lower_right", "lower_left", "upper_right", "upper_left")
HELD_OUT = QUADRANTS[0]
SEED = 0
TEST_FRACTION = 0.2


def check_split(split: str, held_out: str, seed: int) -> int:
    """Returns `seed` as a Python int.

    Raises UserError if a value is not allowed, or is set for a split that does not use it.
    """
    one_of("split", split, SPLITS)
    one_of("held_out", held_out, QUADRANTS)
    seed = integer("seed", seed, 0, 2**32 - 1)

    unused = f"has no meaning for split={split!r}; leave it out, or use"
    if held_out != HELD_OUT and split != "quadrant":
        raise UserError(f"held_out={held_out!r} {unused} split='quadrant'.")
    if seed != SEED and split != "uniform":
        raise UserError(f"seed={seed!r} {unused} split='uniform'.")
    return seed


def is_test(
    split: str = SPLITS[0],
    *,
    canvas_size: int = geometry.CANVAS_SIZE,
    square_size: int = geometry.SQUARE_SIZE,
    held_out: str = HELD_OUT,
    seed: int = SEED,
) -> npt.NDArray[np.bool_]:
    """Returns which of `geometry.centres(canvas_size, square_size)` are test examples: bool `[N]`.

    Arguments as for `NotSoClevrConfig`. Raises UserError if one is bad, or train or test is empty.
    """
    seed = check_split(split, held_out, seed)
    centres = geometry.centres(canvas_size, square_size)
    i, j = centres.T

    if split == "uniform":
        test = _uniform(len(centres), seed)
    elif split == "quadrant":
        vertical, horizontal = held_out.split("_")
        lower, right = 2 * i >= canvas_size, 2 * j >= canvas_size
        test = (lower == (vertical == "lower")) & (right == (horizontal == "right"))
    elif split == "uniform_uber":
        test = _uniform_uber(len(centres))
    else:
        test = (2 * i > canvas_size) & (2 * j > canvas_size)

    if test.all() or not test.any():
        raise UserError(
            f"canvas_size={canvas_size} and square_size={square_size} leave {len(centres)} "
            f"centre(s), and split={split!r} has no {'train' if test.all() else 'test'} example; "
            "expected a larger canvas or a smaller square."
        )
    return test


def _uniform(n: int, seed: int) -> npt.NDArray[np.bool_]:
    order = np.random.RandomState(seed).permutation(n)
    test = np.zeros(n, bool)
    test[order[: round(TEST_FRACTION * n)]] = True
    return test


def _uniform_uber(n: int) -> npt.NDArray[np.bool_]:
    side = round(n**0.5)
    by_column = np.random.RandomState(20202).random_sample(n) < 0.25
    return by_column.reshape(side, side).T.ravel()

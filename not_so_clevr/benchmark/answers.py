"""The answers of a function: whether they have the right shape, and stay the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Examples

_MOST = 128  # Answers of a split to ask for again, if they fit into
_BYTES = 2**25
_BATCH = 37  # Another size than that of the first time, which few sizes divide
_NOISE = 0.01  # Of the largest answer: what half precision makes of another order of sums


class Unstable(UserError):  # noqa: N818 - an answer is, not the error
    """A function answers an example differently when asked again."""


def check(predictions: Any, examples: Examples, chosen: Any, name: str) -> npt.NDArray[np.float32]:
    """Returns predictions as an array.

    Raises:
        UserError: one sentence, unless they have the shape of the task and are finite.
    """
    task, coordinates = examples.task, examples.coordinates[chosen]
    shape = f"array of shape [B, {', '.join(map(str, task.output_shape))}]"
    if predictions is None:
        raise UserError(f"{name} returns None; expected an {shape}; is its return missing?")
    try:
        array = _array(predictions)
    except (TypeError, ValueError, RuntimeError):
        kind = type(predictions).__name__
        raise UserError(f"{name} returns {kind}; expected one {shape}.") from None

    expected = (len(coordinates), *task.output_shape)
    if array.shape != expected:
        raise UserError(
            f"{name} returns shape {array.shape} for {task.name}; "
            f"expected {expected} for a batch of {len(coordinates)}."
        )
    wrong = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if wrong.any():
        i, j = coordinates[wrong][0].tolist()
        raise UserError(
            f"{name} returns NaN or infinity for the example ({i}, {j}); expected finite numbers."
        )
    return array


def _array(predictions: Any) -> npt.NDArray[np.float32]:
    """Returns predictions of any framework as an array."""
    if hasattr(predictions, "detach"):  # A tensor of PyTorch, on any backend of Keras
        predictions = predictions.detach().cpu().float().numpy()
    return np.asarray(keras.ops.convert_to_numpy(predictions), np.float32)


class Kept:
    """Some answers of a function, kept to be compared with those to the same questions later.

    Args:
        examples: of a split. The first and the last are among those that are kept.
    """

    def __init__(self, examples: Examples) -> None:
        size = 4 * int(np.prod(examples.task.output_shape))
        most = max(2, min(_MOST, _BYTES // size))
        inner = np.random.RandomState(0).permutation(np.arange(1, len(examples) - 1))
        ends = [0, len(examples) - 1]
        self.examples = examples
        self.rows = np.unique(np.concatenate([ends, inner[: most - len(ends)]]))
        self.answers: list[npt.NDArray[np.float32]] = []

    def keep(self, start: int, predictions: npt.NDArray[np.float32]) -> None:
        """Keeps the wanted of some answers, to the examples from `start` on."""
        end = start + len(predictions)
        self.answers.append(
            predictions[self.rows[(start <= self.rows) & (self.rows < end)] - start]
        )


def check_again(predict: Callable[..., Any], kept: Sequence[Kept], name: str) -> None:
    """Asks for the kept answers again: all splits mixed, in another order and batch size.

    Raises:
        Unstable: one sentence, with the first example whose answer differs by more than 1 % of the
            largest answer.
    """
    questions = [(each.examples, row) for each in kept for row in each.rows]
    before = np.concatenate([answer for each in kept for answer in each.answers])
    largest = np.abs(before).max()

    order = np.random.RandomState(1).permutation(len(questions))
    for chosen in np.split(order, range(_BATCH, len(order), _BATCH)):
        asked = [questions[k] for k in chosen]
        x = np.concatenate([examples.xy(slice(row, row + 1))[0] for examples, row in asked])
        after = _array(predict(x))
        is_same = _same(after, before[chosen], _NOISE * largest)
        if not is_same.all():
            examples, row = asked[is_same.argmin()]
            i, j = examples.coordinates[row].tolist()
            raise Unstable(
                f"{name} answers the example ({i}, {j}) differently when asked again, in another "
                "order and batch; expected an answer that depends on the example only "
                "(is dropout or batch normalization in training mode?)."
            )


def _same(after: npt.NDArray[Any], before: npt.NDArray[Any], noise: float) -> npt.NDArray[Any]:
    """Returns whether each answer is the same as before, up to noise."""
    if after.shape != before.shape:
        return np.zeros(len(before), bool)
    difference = np.abs(after - before).reshape(len(before), -1)
    return difference.max(axis=1) <= noise  # False for NaN

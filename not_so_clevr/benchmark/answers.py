"""The answers of a function: whether they have the right shape, and stay the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.dataset.tasks import Task

_MOST = 128  # Answers of a split to ask for again, if they fit into
_BYTES = 2**25
_BATCH = 37  # Another size than that of the first time, which few sizes divide
# What half precision makes of another order of sums
_NOISE = 0.02  # Of the largest number of an answer; of the scale of coordinates, at least
_WORSE = 0.05  # Of the mean of a metric, and in shares, pixels or IoU: as rounding goes both ways
_NOT_REAL = "cSUmMO"  # Kinds of NumPy's types that it would make numbers of
_CAUSE = (
    "expected an answer that depends on the example only (is dropout or batch normalization in "
    "training mode?)."
)


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
        kind = getattr(predictions, "dtype", type(predictions).__name__)
        raise UserError(f"{name} returns {kind}; expected one {shape} of real numbers.") from None

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
    """Returns predictions of any framework as an array. Raises TypeError if one is not real."""
    if hasattr(predictions, "detach"):  # A tensor of PyTorch, on any backend of Keras
        predictions = predictions.detach().cpu()
        if not predictions.is_complex():
            predictions = predictions.float().numpy()  # NumPy has no bfloat16.
    array = np.asarray(keras.ops.convert_to_numpy(predictions))
    if array.dtype.kind in _NOT_REAL:
        raise TypeError(f"not real numbers: {array.dtype}")
    return array.astype(np.float32, copy=False)


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
        Unstable: one sentence, with the first example whose answer differs by more than half
            precision explains; or if the answers are worse, however little they differ.
    """
    questions = [(each.examples, row) for each in kept for row in each.rows]
    before = np.concatenate([answer for each in kept for answer in each.answers])
    after = np.empty_like(before)
    task = kept[0].examples.task

    order = np.random.RandomState(1).permutation(len(questions))
    for chosen in np.split(order, range(_BATCH, len(order), _BATCH)):
        asked = [questions[k] for k in chosen]
        x = np.concatenate([examples.xy(slice(row, row + 1))[0] for examples, row in asked])
        answers = _array(predict(x))
        is_same = _same(answers, before[chosen], 1.0 if task.target == "coordinates" else 0.0)
        if not is_same.all():
            examples, row = asked[is_same.argmin()]
            i, j = examples.coordinates[row].tolist()
            raise Unstable(
                f"{name} answers the example ({i}, {j}) differently when asked again, in another "
                f"order and batch; {_CAUSE}"
            )
        after[chosen] = answers

    y = np.concatenate([each.examples.xy(each.rows)[1] for each in kept])
    for metric in (task.accuracy_metric, task.distance_metric):
        first, again = (_mean(task, metric, y, answers) for answers in (before, after))
        worse = METRICS[metric].shortfall(again) - METRICS[metric].shortfall(first)
        if worse > _WORSE * (1 + METRICS[metric].shortfall(first)):
            raise Unstable(
                f"{name} answers worse when asked again, in another order and batch: {metric} of "
                f"{len(questions)} examples is {again:.4g} instead of {first:.4g}; {_CAUSE}"
            )


def _same(after: npt.NDArray[Any], before: npt.NDArray[Any], least: float) -> npt.NDArray[Any]:
    """Returns whether each answer is the same as before, up to noise of its own size.

    Args:
        after: the answers now.
        before: those of the first time.
        least: the size of an answer whose numbers are smaller.
    """
    if after.shape != before.shape:
        return np.zeros(len(before), bool)
    size, difference = (
        np.abs(each).reshape(len(before), -1).max(axis=1) for each in (before, after - before)
    )
    return difference <= _NOISE * np.maximum(size, least)  # False for NaN


def _mean(task: Task, metric: str, y: npt.NDArray[Any], answers: npt.NDArray[Any]) -> float:
    """Returns the mean of a metric over some answers."""
    return float(np.mean(keras.ops.convert_to_numpy(task.metrics[metric](y, answers))))

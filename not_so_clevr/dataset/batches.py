"""Examples as a task sees them, and batches of them for Keras on any backend."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr.dataset.examples import Drawn
from not_so_clevr.dataset.pipelines import untuned
from not_so_clevr.dataset.tasks import Task

if TYPE_CHECKING:
    import tensorflow as tf

Arrays = Mapping[str, npt.NDArray[Any]]


class Examples:
    """The examples of a split as a task sees them, from arrays or drawn on access."""

    def __init__(self, arrays: Arrays | Drawn, task: Task) -> None:
        self.coordinates = np.asarray(arrays["coordinates"])
        self.arrays = arrays
        self.task = task

    def __len__(self) -> int:
        return len(self.coordinates)

    def xy(self, chosen: Any) -> tuple[Any, Any]:
        """Returns (x, y) of the examples at a slice or an array of indices."""
        if isinstance(self.arrays, Drawn):
            return self.task.xy(self.arrays.at(chosen))
        return self.task.xy({name: values[chosen] for name, values in self.arrays.items()})


@dataclasses.dataclass(eq=False, repr=False)
class Batches(keras.utils.PyDataset):
    """Batches in an order that follows from the seed and the step alone, epoch after epoch.

    For `Model.fit(shuffle=False)`, with any `steps_per_epoch` if they are endless.

    Attributes:
        examples: the examples to draw from.
        batch_size: examples in a batch. The last batch of an epoch may be smaller.
        seed: seed of the order, 0 to 2^32 - 1; if None, every epoch is in row-major order.
        epochs: number of epochs; endless if None.
        first_step: the step to start from, to resume training.
        parts: number of devices that share a batch. If more than 1, batches are padded to divide
            evenly and are (x, y, sample weights); the weights leave out the padding.
    """

    examples: Examples
    batch_size: int
    seed: int | None
    _: dataclasses.KW_ONLY
    epochs: int | None = None
    first_step: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        super().__init__()
        self.steps_per_epoch = -(-len(self.examples) // self.batch_size)

    @property
    def sizes(self) -> set[int]:
        """The batch sizes of an epoch before padding: one, or two if the last batch is smaller."""
        return sizes(len(self.examples), self.batch_size)

    @property
    def num_batches(self) -> int | None:
        if self.epochs is None:
            return None
        return max(0, self.steps_per_epoch * self.epochs - self.first_step)

    def __len__(self) -> int:
        if self.num_batches is None:
            raise TypeError("Endless batches have no length; set epochs or fit's steps_per_epoch.")
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        end = math.inf if self.num_batches is None else self.num_batches
        if not 0 <= index < end:
            raise IndexError(f"There is no batch {index}; expected 0 or more and less than {end}.")

        epoch, step = divmod(self.first_step + index, self.steps_per_epoch)
        order = _order(self.seed, epoch, len(self.examples))
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        if self.parts == 1:
            return self.examples.xy(chosen)
        x, y = self.examples.xy(padded(chosen, self.parts))
        return x, y, weights(len(chosen), y)

    def for_fit(self) -> Batches | tf.data.Dataset:
        """Returns the batches as `Model.fit` reads them best: `untuned` if on TensorFlow.

        There Keras would add a `prefetch` whose buffer grows with every pause, e.g. a validation.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        steps = self.num_batches

        def generate() -> Iterator[tuple[Any, ...]]:
            return map(self.__getitem__, itertools.count() if steps is None else range(steps))

        signature = tuple(tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in self[0])
        batches = tf.data.Dataset.from_generator(generate, output_signature=signature)
        count = tf.data.INFINITE_CARDINALITY if steps is None else steps
        return untuned(batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(1))


def sizes(count: int, batch_size: int) -> set[int]:
    """Returns the batch sizes of an epoch of `count` examples."""
    return {min(count, batch_size), count % batch_size or batch_size}


@functools.lru_cache(maxsize=4)
def _order(seed: int | None, epoch: int, count: int) -> npt.NDArray[np.int64]:
    if seed is None:
        return np.arange(count)
    return np.random.RandomState([seed, epoch]).permutation(count)


def padded(array: npt.NDArray[Any], parts: int) -> npt.NDArray[Any]:
    """Returns an array `[n, ...]` with its last row repeated until it divides into equal parts."""
    missing = -len(array) % parts
    if not missing:
        return array
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])


def weights(count: int, y: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Returns sample weights that make the mean loss of a padded batch that of its first `count`.

    Their shape is `[n, 1, ...]`, with one axis less than `y`, like Keras' losses.
    """
    weight = np.zeros((len(y), *(1,) * (y.ndim - 2)), np.float32)
    weight[:count] = len(y) / count
    return weight

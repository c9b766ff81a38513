"""Examples as a task sees them, and batches of them for Keras, on whatever backend it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr.arrays import Drawn
from not_so_clevr.distribution import padded, weights
from not_so_clevr.tasks import Task

Arrays = Mapping[str, npt.NDArray[Any]]


class Examples:
    """The examples of a split, in arrays or drawn when they are asked for, as a task sees them."""

    def __init__(self, arrays: Arrays | Drawn, task: Task) -> None:
        self.coordinates = np.asarray(arrays["coordinates"])
        self.arrays = arrays
        self.task = task

    def __len__(self) -> int:
        return len(self.coordinates)

    def xy(self, chosen: Any) -> tuple[Any, Any]:
        """Returns (x, y) of the examples at an index, a slice or an array of indices."""
        if isinstance(self.arrays, Drawn):
            return self.task.xy(self.arrays.at(chosen))
        return self.task.xy({name: values[chosen] for name, values in self.arrays.items()})


class Batches(keras.utils.PyDataset):
    """Batches of examples in an order that follows from the seed and the epoch alone, so that a run can be resumed.

    Args:
        examples: what to draw from.
        batch_size: examples in a batch; the last one of an epoch is smaller if they do not divide evenly.
        seed: of the order, 0 to 2^32 - 1; row-major in every epoch if None.
        parts: on how many devices a batch is to be distributed. If several, batches are padded to divide evenly, and are
            (x, y, sample weights), where the weights leave out what was padded.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int | None, parts: int = 1) -> None:
        super().__init__()
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.parts = parts
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Puts the examples in the order of an epoch, the first of which is 0."""
        self.epoch, count = epoch, len(self.examples)
        self.order = np.arange(count) if self.seed is None else np.random.RandomState([self.seed, epoch]).permutation(count)

    def on_epoch_end(self) -> None:
        self.begin(self.epoch + 1)

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        if self.parts == 1:
            return self.examples.xy(chosen)
        x, y = self.examples.xy(padded(chosen, self.parts))
        return x, y, weights(len(chosen), y)

"""One training on several devices: each has all weights and a part of every batch, which together give one step.

With JAX this is `keras.distribution.DataParallel`, with TensorFlow `tf.distribute.MirroredStrategy`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy.typing as npt

from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.dataset.batches import padded


def devices() -> list[str]:
    """Returns the GPUs of Keras' backend, or its CPUs if there are none.

    Raises:
        UserError: one sentence, if the backend cannot distribute, or if there are not two of them.
        MissingPackageError: one sentence, if Keras is too old.
    """
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise UserError(f"distribute is for the backends tensorflow and jax, and this is {backend}; set KERAS_BACKEND=jax.")
    if backend == "tensorflow" and tuple(map(int, keras.__version__.split(".")[:2])) < (3, 10):
        raise MissingPackageError(  # 3.6 gives other weights, 3.8 and 3.9 another loss.
            f"distribute on TensorFlow needs Keras 3.10 or later, and this is {keras.__version__}; run: pip install -U keras"
        )
    found = keras.distribution.list_devices()
    if len(found) < 2:
        raise UserError(f"distribute needs two devices or more, and {backend} has {', '.join(found)}; leave it out.")
    return found


@contextlib.contextmanager
def over(names: list[str]) -> Iterator[None]:
    """Distributes the models that are built, trained and asked for predictions within; does nothing if there are no devices."""
    if not names:
        yield
        return
    if keras.backend.backend() == "tensorflow":
        with _strategy(*names).scope():
            yield
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@functools.cache  # Two of them in a process get in each other's way: TensorFlow counts their reductions as one.
def _strategy(*names: str) -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([name.upper() for name in names])


def check(network: keras.Model, name: str, parts: int, sizes: Iterable[int]) -> None:
    """Raises UserError, one sentence, if a network cannot give on several devices what it gives on one.

    Args:
        network: that is to be distributed, built.
        name: of it.
        parts: the number of devices.
        sizes: of the batches of an epoch.
    """
    if not any(variable.name == "moving_mean" for variable in network.non_trainable_variables):  # However deep it is
        return
    if keras.backend.backend() == "tensorflow":
        raise UserError(
            f"{name} has batch normalization, of which each device would take the statistics of its own part of a batch; "
            "set KERAS_BACKEND=jax, where they are those of the whole batch."
        )
    for size in sizes:
        if size % parts:
            raise UserError(
                f"{name} has batch normalization, and an epoch has a batch of {size} examples, which do not divide evenly "
                f"among {parts} devices; choose another batch_size, or another number of devices."
            )


def predictor(network: keras.Model, parts: int) -> Callable[[npt.NDArray[Any]], Any]:
    """Returns a function from x to predictions; every device of TensorFlow predicts all, those of JAX a part each."""
    if parts == 1:
        return network.predict_on_batch
    return lambda x: network.predict_on_batch(padded(x, parts))[: len(x)]

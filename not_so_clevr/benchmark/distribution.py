"""One training on several devices: each has all weights, and a part of every batch.

JAX uses `keras.distribution.DataParallel`, TensorFlow `tf.distribute.MirroredStrategy`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy.typing as npt

from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.dataset.batches import padded


def devices() -> list[str]:
    """Returns the GPUs of Keras' backend, or its CPUs if there are none.

    Raises:
        UserError: one sentence, if the backend cannot distribute, or has fewer than two devices.
        MissingPackageError: one sentence, if Keras is too old.
    """
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise UserError(
            f"distribute needs TensorFlow or JAX, not {backend}; set KERAS_BACKEND=jax."
        )
    if backend == "tensorflow" and tuple(map(int, keras.__version__.split(".")[:2])) < (3, 10):
        raise MissingPackageError(  # 3.6 gives other weights, 3.8 and 3.9 another loss.
            f"distribute on TensorFlow needs Keras 3.10 or later, not {keras.__version__}; "
            "run: pip install -U keras"
        )
    found = keras.distribution.list_devices()
    if len(found) < 2:
        names = ", ".join(found)
        raise UserError(f"distribute needs two or more devices, {backend} has {names}; omit it.")
    return found


def scope(names: list[str]) -> contextlib.AbstractContextManager[Any]:
    """Distributes models that are built, trained and evaluated within, if there are devices."""
    if not names:
        return contextlib.nullcontext()
    if keras.backend.backend() == "tensorflow":
        return _strategy(*names).scope()
    return keras.distribution.DataParallel(devices=names).scope()


@functools.cache  # TensorFlow mixes up the reductions of two strategies in one process.
def _strategy(*names: str) -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([name.upper() for name in names])


def check(network: keras.Model, name: str, parts: int, sizes: Iterable[int]) -> None:
    """Raises UserError, one sentence, if a network would train differently on several devices.

    Args:
        network: the network, built.
        name: the name of its model.
        parts: the number of devices.
        sizes: the batch sizes of an epoch.
    """
    # Of batch normalization, at any depth
    if not any(variable.name == "moving_mean" for variable in network.non_trainable_variables):
        return
    if keras.backend.backend() == "tensorflow":
        raise UserError(
            f"{name} has batch normalization, and TensorFlow would normalize each device's part of "
            "a batch separately; set KERAS_BACKEND=jax, which normalizes the whole batch."
        )
    for size in sizes:
        if size % parts:
            raise UserError(
                f"{name} has batch normalization, and a batch of {size} examples cannot be split "
                f"evenly among {parts} devices; change batch_size or the number of devices."
            )


def predictor(network: keras.Model, parts: int) -> Callable[[npt.NDArray[Any]], Any]:
    """Returns a function from x to predictions. Only JAX splits x among its devices."""
    if parts == 1:
        return network.predict_on_batch
    return lambda x: network.predict_on_batch(padded(x, parts))[: len(x)]

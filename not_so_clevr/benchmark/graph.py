"""The graph that TensorFlow computes for a network: what it gets wrong."""

from __future__ import annotations

import inspect
import os
from typing import Any

import keras
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices


def check_convolutions(network: keras.Model, x: npt.NDArray[Any], name: str) -> None:
    """Raises UserError, one sentence, if TensorFlow would convolve wrongly (docs/layers.md)."""
    if keras.backend.backend() != "tensorflow" or devices.keras_gpu():
        return
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" or (graph := _graph(network, x)) is None:
        return
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "Conv3D") and _is_wrong(operation):
            raise UserError(
                f"{name} has a convolution ({operation.name}) of one channel to one column with "
                f"strides {_strides(operation)}, which TensorFlow with oneDNN computes wrongly; "
                "set TF_ENABLE_ONEDNN_OPTS=0 before it is imported, or change the strides."
            )


def _is_wrong(operation: Any) -> bool:
    """Returns whether oneDNN computes a convolution wrongly: measured with TensorFlow 2.21."""
    *others, last = _strides(operation)
    rows_last = operation.get_attr("data_format").decode().endswith("C")
    columns = operation.outputs[0].shape[-2 if rows_last else -1]
    channels = operation.inputs[1].shape[-2]
    return channels == 1 and last > 1 and set(others) == {1} and columns == 1


def _strides(operation: Any) -> tuple[int, ...]:
    every = tuple(operation.get_attr("strides"))
    return every[1:-1] if operation.get_attr("data_format").decode().endswith("C") else every[2:]


def _graph(network: keras.Model, x: npt.NDArray[Any]) -> Any:
    """Returns the graph of a network in training; None if it has none."""
    import tensorflow as tf

    parameters = inspect.signature(network.call).parameters
    training = {"training": True} if "training" in parameters else {}
    try:
        return tf.function(lambda x: network(x, **training)).get_concrete_function(x).graph
    except Exception:  # It may run eagerly only; or training raises the same error, and explains.
        return None

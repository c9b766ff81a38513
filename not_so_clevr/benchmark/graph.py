"""The graph that TensorFlow computes for a network: what it gets wrong, and what is not saved."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy.typing as npt

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices

_DRAWS = ("Random", "Multinomial", "TruncatedNormal", "ParameterizedTruncatedNormal")


def check_convolutions(network: keras.Model, x: npt.NDArray[Any], name: str) -> None:
    """Raises UserError, one sentence, if TensorFlow would convolve wrongly (docs/layers.md)."""
    if keras.backend.backend() != "tensorflow" or devices.keras_gpu():
        return
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return
    # Not in training: what a model does only then must not run, or fail, before the training.
    graph = _graph(network, x, training=False)
    for operation in graph.get_operations() if graph else ():
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


def check_resumable(
    network: keras.Model, x: npt.NDArray[Any], name: str, saved: Iterable[keras.Variable]
) -> None:
    """Raises UserError, one sentence, if a network has a state that checkpoints do not save."""
    if (
        keras.backend.backend() != "tensorflow"
        or (graph := _graph(network, x, training=True)) is None
    ):
        return
    nodes = list(graph.as_graph_def().node)
    for function in graph.as_graph_def().library.function:
        nodes += function.node_def
    unsaved = {node.op for node in nodes if node.op.startswith(_DRAWS)}

    values = [variable.value for variable in saved]
    copies = [copy for value in values for copy in getattr(value, "values", [])]  # Of each device
    known = {variable.ref() for variable in (*values, *copies)}
    unsaved |= {each.name for each in graph.variables if each.ref() not in known}
    if unsaved:
        raise UserError(
            f"{name} cannot be resumed exactly, because it has a state of TensorFlow's own "
            f"({', '.join(sorted(unsaved))}); use keras.random and Keras variables, "
            "or replace or delete the run."
        )


def _graph(network: keras.Model, x: npt.NDArray[Any], *, training: bool) -> Any:
    """Returns the graph of a network, in training or not; None if it has none."""
    import tensorflow as tf

    parameters = inspect.signature(network.call).parameters
    options = {"training": training} if "training" in parameters else {}
    try:
        return tf.function(lambda x: network(x, **options)).get_concrete_function(x).graph
    except Exception:  # It may run eagerly only; or training raises the same error, and explains.
        return None

"""Metrics of each example, from the predictions of any function, which are checked: shape, and finite numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr import results
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Arrays, Examples
from not_so_clevr.dataset.tasks import Task

_PREDICT_BATCH = 64
_PAINTED = 8  # Canvases that are kept as they were painted


def measured(predict: Callable[..., Any], examples: Examples, name: str) -> dict[str, npt.NDArray[Any]]:
    """Returns each metric of each example, and the coordinates of its centre in pixels."""
    task = examples.task
    columns: dict[str, list[Any]] = {metric: [] for metric in task.metrics}
    for start in range(0, len(examples), _PREDICT_BATCH):
        chosen = slice(start, start + _PREDICT_BATCH)
        x, y = examples.xy(chosen)
        predictions = checked(predict(x), examples, chosen, name)
        for metric, function in task.metrics.items():
            columns[metric].append(keras.ops.convert_to_numpy(function(y, predictions)))
        if (pixels := task.pixels(predictions)) is not None:
            columns.setdefault(results.PREDICTED, []).append(pixels)
    whole = {column: np.concatenate(values) for column, values in columns.items()}
    for metric in task.metrics:
        if (wrong := ~np.isfinite(whole[metric])).any():
            i, j = examples.coordinates[wrong][0].tolist()
            raise UserError(f"{name} is so far off for the example ({i}, {j}) that its {metric} overflows; lower its answers.")
    return {"coordinates": examples.coordinates, **whole}


def paint(predict: Callable[..., Any], examples: Examples, measured: dict[str, npt.NDArray[Any]], name: str) -> None:
    """Adds, if it is rendering, some canvases as they were painted: those with the lowest IoU, and others spread evenly."""
    if examples.task.name != "rendering":
        return
    lowest = np.argsort(measured["iou"], kind="stable")[: _PAINTED // 2]
    shown = np.concatenate([lowest, np.linspace(0, len(examples) - 1, _PAINTED - len(lowest)).astype(int)])
    logits = checked(predict(examples.xy(shown)[0]), examples, shown, name)[..., 0]
    measured[results.SHOWN] = shown
    measured[results.PAINTED] = np.rint(127.5 * (1 + np.tanh(logits / 2))).astype(np.uint8)


def checked(predictions: Any, examples: Examples, chosen: Any, name: str) -> npt.NDArray[np.float32]:
    """Returns predictions as an array. Raises UserError, one sentence, unless they have the task's shape and are finite."""
    task, coordinates = examples.task, examples.coordinates[chosen]
    if predictions is None:
        raise UserError(f"{name} returns None; expected an array of shape [B, {_shape(task)}]; is its return missing?")
    if hasattr(predictions, "detach"):  # A tensor of PyTorch, whatever backend Keras has
        predictions = predictions.detach().cpu().float().numpy()
    try:
        array = np.asarray(keras.ops.convert_to_numpy(predictions), np.float32)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"{name} returns {type(predictions).__name__}; expected one array of shape [B, {_shape(task)}]."
        ) from None
    expected = (len(coordinates), *task.output_shape)
    if array.shape != expected:
        raise UserError(
            f"{name} returns shape {array.shape} for {task.name}; expected {expected} for a batch of {len(coordinates)}."
        )
    wrong = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if wrong.any():
        i, j = coordinates[wrong][0].tolist()
        raise UserError(f"{name} returns NaN or infinity for the example ({i}, {j}); expected finite numbers.")
    return array


def _shape(task: Task) -> str:
    return ", ".join(map(str, task.output_shape))


def means(examples: results.Examples, task: Task) -> dict[str, dict[str, float]]:
    """Returns for each split the mean of each metric of the task over its examples."""
    return {
        split: {metric: float(np.mean(columns[metric], dtype=np.float64)) for metric in task.metrics}
        for split, columns in examples.items()
    }


def all_white(columns: Arrays) -> bool:
    """Returns whether every canvas was painted white all over: its union with the true one is all of it, and some is right."""
    same = columns["iou"] == columns["pixel_accuracy"]
    return bool((same & (columns["iou"] > 0) & (columns["exact"] == 0)).all())

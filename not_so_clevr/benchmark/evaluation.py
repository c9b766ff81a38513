"""Measuring any function: metrics of each example, from predictions that are checked."""

from __future__ import annotations

import inspect
import math
import numbers
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr import results
from not_so_clevr.benchmark import environment, loading
from not_so_clevr.benchmark.run_folder import claimed
from not_so_clevr.checks import UserError, integer
from not_so_clevr.dataset.batches import Arrays, Examples
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.tasks import Task, as_task
from not_so_clevr.results import Result, naming

_PREDICT_BATCH = 64
_PAINTED = 8  # Canvases that are kept as they were painted

SEVERAL = "{name} may be one of several; give it a name with {argument}=, to tell its runs apart."


def evaluate(
    predict: Callable[[npt.NDArray[np.float32]], Any],
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    model: str | None = None,
    seed: int = 0,
    parameters: int | None = None,
    seconds: float | None = None,
    runs: str | pathlib.Path | None = None,
    replace: bool = False,
) -> Result:
    """Measures a function from array to array, whatever framework made it, on every example of train and test.

    Args:
        predict: from x, float32 `[B, *task.input_shape]`, to predictions, `[B, *task.output_shape]`: logits for classification
            and rendering, coordinates from -1 to 1 for regression; see `tasks`. B is 64, less for the last batch, and once
            more 8 for rendering, for the canvases that are kept.
        task: "classification", "regression" or "rendering".
        config: a config of the data set or its name.
        model: its name; if None, that of the function. What has none of its own (a method, a lambda) needs one to be written.
        seed: with which the model was trained, to tell several apart.
        parameters: the number of trainable weights, if it is to be shown.
        seconds: of training, if they are to be shown.
        runs: the folder of all runs, in which this one is written; if None, nothing is written.
        replace: replace the run with the same id.

    Raises:
        UserError: one sentence, if an argument or a prediction is not as above.
        FileExistsError: one sentence, if there is a run with the same id and it is not to be replaced.
        OSError: one sentence, if the run's folder cannot be written.
    """
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    seed = integer("seed", seed, 0, 2**32 - 1)
    parameters = None if parameters is None else integer("parameters", parameters, 0, 2**63)
    if seconds is not None and not (isinstance(seconds, numbers.Real) and 0 <= seconds < math.inf):
        raise UserError(f"seconds={seconds!r} is no time; expected a number of 0 or more, or None.")
    if not callable(predict):
        raise UserError(f"predict={predict!r} is no function; expected one from x to predictions, such as model.predict.")
    name = str(model or getattr(predict, "__name__", type(predict).__name__))
    if runs is not None and not model and (not inspect.isfunction(predict) or name == "<lambda>"):
        raise UserError(SEVERAL.format(name=name, argument="model"))
    run_id = naming.run_id(task.name, config.name, naming.label(name, ""), seed)
    with claimed(runs, run_id, replace=replace, trained=False) as folder:
        splits = {split: Examples(arrays, task) for split, arrays in loading.load(config, task, "memory").items()}
        found = {split: measured(predict, each, name) for split, each in splits.items()}
        if task.name == "rendering" and all(all_white(columns) for columns in found.values()):
            raise UserError(f"{name} paints every pixel white; expected logits, below 0 for black, and not probabilities.")
        paint(predict, splits["test"], found["test"], name)
        result = Result(
            model=name,
            recipe="",
            task=task.name,
            config=config.name,
            seed=seed,
            metrics=means(found, task),
            accuracy_metric=task.accuracy_metric,
            distance_metric=task.distance_metric,
            parameters=parameters,
            seconds=None if seconds is None else float(seconds),
            environment={key: value for key, value in environment.describe().items() if key != "backend"},
            examples=found,
        )
        if folder is not None:
            folder.clear()
            folder.finish(result)
        return result


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

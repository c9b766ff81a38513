"""Measuring any function on every example of train and test."""

from __future__ import annotations

import inspect
import json
import numbers
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr import files, results
from not_so_clevr.benchmark import answers, environment, loading
from not_so_clevr.benchmark.run_folder import RunFolder, claim
from not_so_clevr.checks import UserError, boolean, integer
from not_so_clevr.dataset.batches import Arrays, Examples
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.tasks import Task, as_task
from not_so_clevr.results import Result, naming, record

Predict = Callable[[npt.NDArray[np.float32]], Any]

_PREDICT_BATCH = 64
_MEASURED_BYTES = 2**23  # Of predictions, measured at a time
_PAINTED = 8  # Canvases whose pixels are kept

NO_NAME = "Cannot derive a unique name from {name}; pass {argument}=."


def evaluate(
    predict: Predict,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    model: str | None = None,
    seed: int = 0,
    parameters: int | None = None,
    seconds: float | None = None,
    settings: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    framework: str | None = None,
    runs: str | pathlib.Path | None = None,
    replace: bool = False,
) -> Result:
    """Measures a function of any framework on every example of train and test.

    At the end it asks for some answers again, in another order and in batches of another size, and
    refuses a function whose answers depend on those. It cannot detect a function that was trained
    on examples of test, that holds their answers, that remembers its first answer to each example,
    or that cheats for few examples only.

    Args:
        predict: maps x, float32 `[B, *task.input_shape]` with B up to 64, to predictions
            `[B, *task.output_shape]`: coordinates from -1 to 1 for regression and localisation,
            logits for the others; see `tasks`. It is called again for 8 canvases to keep if the
            task is rendering or painting, and for at most 256 examples to ask for again.
        task: the name of one of the six `tasks`, or a task.
        config: a config of the data set, or its name.
        model: the name of the model; the name of the function if None. Required with `runs` if the
            function has no name of its own (a method, a lambda).
        seed: the seed that the model was trained with.
        parameters: the number of trainable weights, if known.
        seconds: the duration of the training, if known.
        settings: what it was trained with, e.g. `{"epochs": 20, "batch_size": 32}`, which make the
            number of steps on the leaderboard, or `{"steps": 1000}`; anything that JSON holds.
        history: of each measured epoch, in order, `{"loss": ..., "test": {...}}`, where `test` has
            at least the first metric of the task. Also, if known, the `"seconds"` of training since
            the entry before, and the `"epoch"`, 1 for the first, unless every epoch has an entry.
        framework: the name of the package that it was trained with, e.g. "torch"; the result
            records its version.
        runs: the folder of all runs, to which this one is written; nothing is written if None.
        replace: replace the run with the same id.

    Raises:
        UserError: one sentence, if an argument or a prediction is not as described, e.g. if
            coordinates are in pixels; or if an answer depends on the other examples, their order or
            earlier calls.
        FileExistsError: one sentence, if the run exists, unless `replace`.
        OSError: one sentence, if the folder of the run cannot be written.
    """
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    seed = integer("seed", seed, 0, 2**32 - 1)
    if parameters is not None:
        parameters = integer("parameters", parameters, 0, 2**63)
    if seconds is not None:
        if not (isinstance(seconds, numbers.Real) and 0 <= seconds < record.MOST):
            expected = f"a number from 0 to below {record.MOST:g} or None"
            raise UserError(f"seconds must be {expected}, got {seconds!r}.")
        seconds = float(seconds)
    if boolean("replace", replace) and runs is None:
        raise UserError("replace needs the folder of all runs; give runs=, or omit it.")
    name = _name(predict, model, required=runs is not None)
    settings = _settings(settings or {})
    epochs = _history(history, task)
    _check_together(settings, epochs, seconds)
    about = environment.of_framework(_framework(framework))

    run_id = naming.run_id(task.name, config.name, naming.label(name, ""), seed)
    if runs is not None:
        files.check_folder(files.expanded(runs))
        if not replace:
            RunFolder(runs, run_id).check_free(trained=False)
    arrays = loading.load(config, task, "memory")
    splits = {split: Examples(each, task) for split, each in arrays.items()}
    examples = measure(predict, splits, name, again=True)
    result = Result(
        model=name,
        recipe="",
        task=task.name,
        config=config.name,
        seed=seed,
        metrics=summary(examples, task),
        accuracy_metric=task.accuracy_metric,
        distance_metric=task.distance_metric,
        examples=examples,
        parameters=parameters,
        seconds=seconds,
        settings=settings,
        history=epochs,
        environment=about,
    )
    _check_answers(result, task, name)

    with claim(runs, run_id) as folder:  # Only now: bad answers leave no file.
        if folder is not None:
            if not replace:
                folder.check_free(trained=False)
            folder.clear()
            folder.finish(result)
    return result


def _framework(framework: str | None) -> str | None:
    if framework is not None and not (isinstance(framework, str) and framework):
        raise UserError(f"framework must be the name of a package, got {framework!r}.")
    return framework


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings as they are read back. Raises UserError if one is not as described."""
    try:
        given = dict(settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"settings must be a dict, got {settings!r}.") from error
    known = {str(name): _as_json(name, value) for name, value in given.items()}
    for name in ("epochs", "steps", "batch_size"):
        if name in known:
            integer(f"{name} in settings", known[name], 1, 10**9)
    return known


def _as_json(name: object, value: Any) -> Any:
    """Returns a setting as it is read back from JSON, a number of NumPy as one of Python."""

    def number(other: Any) -> Any:
        if isinstance(other, np.generic):
            return other.item()
        raise TypeError

    try:
        return json.loads(json.dumps(value, allow_nan=False, default=number))
    except (TypeError, ValueError) as error:
        expected = "expected finite numbers, text, lists and dicts"
        raise UserError(
            f"settings: {name}={value!r} is nothing that JSON can hold; {expected}."
        ) from error


def _check_together(
    settings: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]], seconds: float | None
) -> None:
    """Raises UserError if the history has other epochs than the settings, or takes longer."""
    if not epochs:
        return
    last, expected = epochs[-1]["epoch"], settings.get("epochs")
    if expected not in (None, last):
        raise UserError(
            f"history ends with epoch {last}, and settings has epochs={expected}; "
            'give each entry of history its "epoch", or correct one of the two.'
        )
    total = sum(epoch["seconds"] or 0.0 for epoch in epochs)
    if seconds is not None and total > 1.001 * seconds:
        raise UserError(
            f"The seconds of history are {total:.6g} in all, more than seconds={seconds:.6g}; "
            "give each entry those since the entry before."
        )


def _history(history: Sequence[Mapping[str, Any]], task: Task) -> list[dict[str, Any]]:
    """Returns the epochs of a history, numbered. Raises UserError if one is not as described."""
    if isinstance(history, Mapping) or not isinstance(history, Iterable):
        raise UserError(
            'history must be a list with a dict of each epoch, {"loss": ..., "test": {...}}, got '
            f"{history!r}."
        )
    epochs: list[dict[str, Any]] = []
    for place, values in enumerate(history, 1):
        number, last = place, epochs[-1]["epoch"] if epochs else 0
        if isinstance(values, Mapping):
            number = integer('"epoch" in history', values.get("epoch", place), last + 1, 10**9)
        try:
            epoch = record.Epoch.model_validate({**values, "epoch": number})
            if task.accuracy_metric not in epoch.test:
                raise ValueError(f"test: metric {task.accuracy_metric!r} is missing")
        except (TypeError, ValueError) as error:
            reason = record.reason(error)
            raise UserError(f"history of epoch {number}: {reason}.") from error
        epochs.append(epoch.model_dump())
    return epochs


def _check_answers(result: Result, task: Task, name: str) -> None:
    """Raises UserError, one sentence, if the answers are good, but on another scale."""
    if task.target == "image" and all(map(_all_white, result.examples.values())):
        raise UserError(
            f"{name} paints every pixel white; expected logits, below 0 for black, "
            "not probabilities."
        )
    if task.target != "coordinates":
        return
    last = np.maximum([task.height - 1, task.width - 1], 1)
    predicted, centres = (
        np.concatenate([columns[column] for columns in result.examples.values()])
        for column in (results.PREDICTED, "coordinates")
    )
    answers = 2 * predicted / last - 1
    readings = {
        "in pixels": answers,
        "on a scale from 0 to 1": answers * last,
        "in the order (column, row)": predicted[:, ::-1] * last / last[::-1],
    }
    error = _mean_distance(predicted, centres)
    for reading, pixels in readings.items():
        if _mean_distance(pixels, centres) < min(error / 4, min(task.height, task.width) / 8):
            raise UserError(
                f"{name} answers {reading}: {error:.3g} px off as it is; "
                "expected (row, column) from -1 to 1."
            )


def _mean_distance(pixels: npt.NDArray[Any], centres: npt.NDArray[Any]) -> float:
    return float(np.hypot(*(pixels - centres).T).mean())


def _name(predict: Predict, model: str | None, *, required: bool) -> str:
    """Returns the name of the model that a function is. Raises UserError if it is not unique."""
    if not callable(predict):
        raise UserError(f"predict must be a function from x to predictions, got {predict!r}.")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(predict, torch.nn.Module):
        raise UserError(
            f"{type(predict).__name__} is a torch.nn.Module, which takes tensors; pass a function "
            "of arrays, e.g. lambda x: module(torch.from_numpy(x)), after module.eval()."
        )
    if model is not None:
        return naming.check_model("model", model)
    name = str(getattr(predict, "__name__", type(predict).__name__))
    if required and (not inspect.isfunction(predict) or name == "<lambda>"):
        raise UserError(NO_NAME.format(name=name, argument="model"))
    return name


def measure(
    predict: Predict, splits: Mapping[str, Examples], name: str, *, again: bool = False
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Returns what a result keeps of the examples of each split: every metric of every one.

    Args:
        predict: the function to measure.
        splits: "train" and "test" -> examples.
        name: the name of the model.
        again: ask for some answers again, in another order and batch.

    Raises:
        UserError: one sentence, if a prediction is not as described, or not the same again.
    """
    task = splits["test"].task
    kept = {split: answers.Kept(each) for split, each in splits.items()} if again else {}
    examples = {
        split: measure_split(predict, each, name, kept.get(split)) for split, each in splits.items()
    }
    if task.target == "image":
        examples["test"] |= _painted(predict, splits["test"], examples["test"]["iou"], name)
    if again:
        answers.check_again(predict, list(kept.values()), name)
    return examples


def measure_split(
    predict: Predict, examples: Examples, name: str, kept: answers.Kept | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Returns the coordinates, metrics and predicted coordinates (pixels) of each example."""
    task = examples.task
    parts: dict[str, list[Any]] = {}
    for y, predictions in _predictions(predict, examples, name, kept):
        for metric, function in task.metrics.items():
            values = keras.ops.convert_to_numpy(function(y, predictions))
            parts.setdefault(metric, []).append(values)
        if (pixels := task.pixels(predictions)) is not None:
            parts.setdefault(results.PREDICTED, []).append(pixels)
    columns = {column: np.concatenate(values) for column, values in parts.items()}

    for metric in task.metrics:
        if (wrong := ~np.isfinite(columns[metric])).any():
            i, j = examples.coordinates[wrong][0].tolist()
            raise UserError(
                f"The {metric} of {name} overflows for the example ({i}, {j}); "
                "return smaller predictions."
            )
    return {"coordinates": examples.coordinates, **columns}


def _predictions(
    predict: Predict, examples: Examples, name: str, kept: answers.Kept | None
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yields y and predictions of many batches at a time: metrics cost most per call."""
    batches: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []
    for start in range(0, len(examples), _PREDICT_BATCH):
        chosen = slice(start, start + _PREDICT_BATCH)
        x, y = examples.xy(chosen)
        predictions = answers.check(predict(x), examples, chosen, name)
        if kept is not None:
            kept.keep(start, predictions)
        batches.append((keras.ops.convert_to_numpy(y), predictions))
        if sum(each.nbytes for _, each in batches) >= _MEASURED_BYTES:
            yield _joined(batches)
            batches = []
    if batches:
        yield _joined(batches)


def _joined(
    batches: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    y, predictions = zip(*batches, strict=True)
    return np.concatenate(y), np.concatenate(predictions)


def _painted(
    predict: Predict, examples: Examples, iou: npt.NDArray[Any], name: str
) -> dict[str, npt.NDArray[Any]]:
    """Returns some painted canvases: those with the lowest IOU, and others spread evenly."""
    lowest = np.argsort(iou, kind="stable")[: _PAINTED // 2]
    spread = np.linspace(0, len(examples) - 1, _PAINTED - len(lowest)).astype(int)
    shown = np.concatenate([lowest, spread])

    logits = answers.check(predict(examples.xy(shown)[0]), examples, shown, name)[..., 0]
    probabilities = (1 + np.tanh(logits / 2)) / 2
    return {results.SHOWN: shown, results.PAINTED: np.rint(255 * probabilities).astype(np.uint8)}


def summary(examples: Mapping[str, Arrays], task: Task) -> dict[str, dict[str, float]]:
    """Returns the mean of each metric over the examples of each split."""
    return {split: means(columns, task) for split, columns in examples.items()}


def means(columns: Arrays, task: Task) -> dict[str, float]:
    """Returns the mean of each metric over the examples."""
    return {metric: float(np.mean(columns[metric], dtype=np.float64)) for metric in task.metrics}


def _all_white(columns: Arrays) -> bool:
    """Returns whether every canvas is all white: then its IOU equals its pixel accuracy."""
    same = columns["iou"] == columns["pixel_accuracy"]
    return bool((same & (columns["iou"] > 0) & (columns["exact"] == 0)).all())

"""Whether the numbers of a result can all be true: shares of whole examples, and their limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results.result import Result

# Metric -> the parts of an example that are right or wrong, each; their mean is a share of all
_PARTS = {
    "accuracy": 1,
    "within_half_pixel": 1,
    "pair_accuracy": 1,
    "exact": 1,
    "coordinate_accuracy": 2,
}
# Pairs of metrics: the first is never above the second
_ORDERED = (
    ("within_half_pixel", "pair_accuracy"),
    ("pair_accuracy", "coordinate_accuracy"),
    ("exact", "iou"),
    ("exact", "pixel_accuracy"),
)
# Distance -> the least and, of a right example, the most that it can be
_OF_WRONG = {"distance": (1.0, 0.0), "error": (0.5, 0.5)}
_ROUNDING = 1e-4  # Relative; means of float32


def contradictions(result: Result) -> Iterator[tuple[str, float, str]]:
    """Yields what contradicts the rest of a result: its name, its value and a reason.

    Raises:
        UserError: one sentence, if the data set is unknown.
    """
    elsewhere = {name: each for name, each in result.also.items() if isinstance(each, Mapping)}
    for name, splits in {result.config: result.metrics, **elsewhere}.items():
        config = as_config(name)
        for split, centres in config.split_centres().items():
            where = f"{split} " if name == result.config else f"{name} {split} "
            for metric, reason in _of_split(splits[split], result, config, len(centres)):
                yield where + metric, splits[split][metric], reason
    yield from _of_epochs(result)


def _of_split(
    values: Mapping[str, float], result: Result, config: NotSoClevrConfig, count: int
) -> Iterator[tuple[str, str]]:
    """Yields each metric that cannot have its value for so many examples, and why."""
    known = TASKS[result.task](config.canvas_size).metrics
    yield from ((name, f"{result.task} has no such metric") for name in values if name not in known)

    for name in values.keys() & _PARTS.keys():
        parts = count * _PARTS[name]
        whole = round(values[name] * parts)
        if abs(values[name] * parts - whole) > 1e-6 * parts:
            yield name, f"it is not a share of {parts}; {whole} of them are {whole / parts:.6g}"

    for lower, higher in _ORDERED:
        if lower in values and higher in values and values[lower] > values[higher] + _ROUNDING:
            yield lower, f"it is above {higher}, {values[higher]:.6g}"

    right, metric = values[result.accuracy_metric], result.distance_metric
    if metric in _OF_WRONG:
        least, most = _OF_WRONG[metric]
        farthest = math.hypot(config.height - 1, config.width - 1)
        if metric == "error":  # Coordinates may lie outside the canvas.
            farthest = math.inf if right < 1 else most
        low, high = (1 - right) * least, right * most + ((1 - right) * farthest if right < 1 else 0)
        if not low * (1 - _ROUNDING) <= values[metric] <= high * (1 + _ROUNDING):
            limits = f"{low:.6g} to {high:.6g} px"
            yield metric, f"expected {limits}, as {result.accuracy_metric} is {right:.6g}"
    elif values[metric] == 1 and right < 1:
        yield metric, f"it is perfect, and {result.accuracy_metric} is {right:.6g}"


def _of_epochs(result: Result) -> Iterator[tuple[str, float, str]]:
    """Yields what contradicts the history, or the number of epochs."""
    if "schedule" not in result.settings:  # It was trained elsewhere, with a history of its own.
        return
    test = result.metrics["test"]
    for metric, value in result.history[-1]["test"].items() if result.history else ():
        if metric in test and not math.isclose(value, test[metric], rel_tol=_ROUNDING):
            yield f"test {metric}", test[metric], f"it is {value:.6g} after the last epoch"
    yield from _of_steps(result)
    if result.solved is not None:
        yield from _of_solved(result, result.solved)


def _of_steps(result: Result) -> Iterator[tuple[str, float, str]]:
    """Yields the number of steps unless it is a multiple of that of the batches.

    A `train_step` may update the weights several times; a callback, which leaves no command, may
    stop early; and an optimizer that came with the model may count in its own way.
    """
    steps, planned = result.steps, result.planned_steps
    if result.settings["schedule"] is None or result.command is None:
        return
    if steps is None or not planned:  # It is not known.
        return
    if steps % planned or (steps == 0 and result.parameters != 0):
        yield "steps", steps, f"{result.epochs} epochs have {planned}"


def _of_solved(result: Result, solved: Mapping[str, float]) -> Iterator[tuple[str, float, str]]:
    """Yields the epoch and the seconds of `solved` that cannot be."""
    epoch, epochs = solved["epoch"], result.epochs
    reached = result.reached(1.0)
    if epoch > epochs:
        yield "solved", epoch, f"it has {epochs} epochs"
    elif result.history and (reached is None or reached["epoch"] != epoch):
        yield "solved", epoch, "its history has another epoch, or none"
    elif epoch == epochs and (right := result.accuracy("test")) < 1:
        reason = f"{result.accuracy_metric} is {right:.6g} after this epoch, the last"
        yield "solved", epoch, reason
    seconds = result.training_seconds
    if seconds is not None and solved["seconds"] > seconds * (1 + _ROUNDING):
        yield "seconds of solved", solved["seconds"], f"the whole training took {seconds:.6g}"

"""Canvas transfer: the weights of a run, measured on other data sets without training there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy.typing as npt

from not_so_clevr.benchmark import (
    answers,
    distribution,
    environment,
    evaluation,
    loading,
    networks,
)
from not_so_clevr.benchmark import progress as bars
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.run_folder import RunFolder
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.results import Result

Metrics = Mapping[str, Mapping[str, float]]  # "train" and "test" -> metric -> mean
Progress = Callable[[str, int, int], None]  # Of a name: so many done, of so many


def complete(
    result: Result,
    run: Run,
    options: RunOptions,
    network: keras.Model | None,
    parts: int,
    folder: RunFolder | None,
) -> Result:
    """Measures a run on those data sets of `options.also` that its result lacks.

    Examples are drawn a batch at a time. The result is written to the folder of the run.

    Args:
        result: of the complete run.
        run: the run.
        options: its options.
        network: the trained network; None to load its weights from the folder.
        parts: the number of devices.
        folder: of the run, if it has one.

    Returns:
        The result with what was measured, in `also`.

    Raises:
        UserError: one sentence, if the weights in the folder are missing or damaged.
        OSError: one sentence, if the result cannot be written.
    """
    others = [config for config in map(as_config, options.also) if not _is_known(result, config)]
    if not others:
        return result
    environment.make_deterministic()
    if network is None:
        assert folder is not None
        network = networks.build(run)
        folder.load_weights(network)

    found: dict[str, Metrics | str] = {}
    with bars.examples(options.verbose) as on_progress:
        for config in others:
            found[config.name] = outcome(network, run, config, parts, on_progress)

    command = result.command
    for name in found if command else ():
        if name not in result.also:
            command = f"{command} --also {name}"
    result = dataclasses.replace(result, also={**result.also, **found}, command=command)
    if folder is not None:
        folder.amend(result)
    return result


def _is_known(result: Result, config: NotSoClevrConfig) -> bool:
    """Returns whether there are metrics; a model that did not fit may have been changed."""
    return isinstance(result.also.get(config.name), Mapping)


def outcome(
    network: keras.Model,
    run: Run,
    config: NotSoClevrConfig,
    parts: int,
    on_progress: Progress,
    *,
    again: bool = False,
) -> Metrics | str:
    """Returns the metrics of trained weights on a data set, or why the model does not fit.

    Raises:
        Unstable: one sentence, if some answers are not the same again, and `again` asks for that.
    """
    there = run.on(config)
    try:
        moved = networks.build(there)
        _check_shapes(network, moved, run, config)
        moved.set_weights(network.get_weights())
        return measure(distribution.predictor(moved, parts), there, on_progress, again=again)
    except answers.Unstable:
        raise
    except UserError as error:
        return str(error).partition("\n")[0]  # Frames of the user's code may follow.


def _check_shapes(
    network: keras.Model, moved: keras.Model, run: Run, config: NotSoClevrConfig
) -> None:
    """Raises UserError, one sentence, unless two networks have weights of the same shapes."""
    name = run.model.name
    ours, theirs = network.weights, moved.weights
    if len(ours) != len(theirs):
        raise UserError(
            f"{name} does not fit: it has {len(theirs)} weights on {config.name}, "
            f"{len(ours)} on {run.config.name}."
        )
    for one, other in zip(ours, theirs, strict=True):
        if tuple(one.shape) != tuple(other.shape):
            raise UserError(
                f"{name} does not fit: {one.path} has the shape {tuple(other.shape)} on "
                f"{config.name}, {tuple(one.shape)} on {run.config.name}."
            )


def measure(
    predict: evaluation.Predict, run: Run, on_progress: Progress, *, again: bool = False
) -> Metrics:
    """Returns the metrics of a function on every example of a run's data set.

    Raises:
        UserError: one sentence, as `evaluation.measure`.
    """
    counting = counted(predict, run.config.name, run.config.num_examples, on_progress)
    arrays = loading.load(run.config, run.task, "memory")
    splits = {split: Examples(each, run.task) for split, each in arrays.items()}
    examples = evaluation.measure(counting, splits, run.model.name, again=again)
    return evaluation.summary(examples, run.task)


def counted(
    predict: evaluation.Predict, name: str, total: int, on_progress: Progress
) -> evaluation.Predict:
    """Returns a function that also reports for how many examples it was called."""
    done = 0

    def counting(x: npt.NDArray[Any]) -> Any:
        nonlocal done
        predictions = predict(x)
        done += len(x)
        on_progress(name, min(done, total), total)
        return predictions

    return counting

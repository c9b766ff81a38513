"""The network of a run, checked before anything takes long."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr import results
from not_so_clevr.benchmark import answers, distribution, environment, graph, registry, tracebacks
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.benchmark.run_folder import RunFolder
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import batches
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.examples import Drawn

# The settings of a recipe that a compiled model ignores
OF_THE_OPTIMIZER = set(Recipe.names()) - {"epochs", "steps", "batch_size"}


def check_models(
    runs: Iterable[Run], parts: int = 1, resumed: str | pathlib.Path | None = None
) -> None:
    """Builds each distinct model of some runs once.

    Args:
        runs: the runs.
        parts: the number of devices.
        resumed: the folder of complete runs that are not made again; None if all are.

    Raises:
        UserError: one sentence, as `build` and `distribution.check`; or if a complete run has
            another number of parameters than the model has now.
    """

    def kind(run: Run) -> tuple[Any, ...]:
        return run.model.name, run.task, repr(run.recipe.model), run.recipe.l2 > 0

    for same in results.grouped(runs, kind).values():
        run = same[0]
        with environment.restored():
            network = build(run)
        if resumed is not None:
            for each in same:
                _check_unchanged(RunFolder(resumed, each.id), network, run.model.name)
        if parts > 1:
            count = len(run.config.split_centres()["train"])
            sizes = batches.sizes(count, run.recipe.batch_size)
            distribution.check(network, run.model.name, parts, sizes)


def _check_unchanged(folder: RunFolder, network: keras.Model, name: str) -> None:
    """Raises UserError if a complete run was made by a model of another size."""
    if not folder.complete:
        return
    then, now = folder.read().parameters, registry.parameters(network)
    if then not in (None, now):
        raise UserError(
            f"{folder.final} has {then:,} parameters, and {name} has {now:,} now; "
            "replace or delete the run, or give the changed model another name."
        )


def build(run: Run) -> keras.Model:
    """Returns the network of a run, checked on two training examples.

    Raises:
        UserError: one sentence, unless it returns finite logits or coordinates of the right shape;
            or if TensorFlow would compute a convolution wrongly.
    """
    if keras.config.image_data_format() != "channels_last":
        raise UserError(
            "Keras' image_data_format is channels_first, but the tasks have channels last; "
            "change it in ~/.keras/keras.json, "
            "or call keras.config.set_image_data_format('channels_last')."
        )
    name, task = run.model.name, run.task
    two = run.config.split_centres()["train"][:2]
    examples = Examples(Drawn(two, run.config), task)
    x, _ = examples.xy(slice(2))
    try:
        network = run.model.build(task, **run.arguments)
        predictions = network(x) if isinstance(network, keras.Model) else None
    except (Exception, SystemExit) as error:
        raise _not_built(run, error) from error
    if not isinstance(network, keras.Model):
        raise UserError(f"{name} returns {type(network).__name__}; expected a keras.Model.")

    graph.check_convolutions(network, x, name)  # First: what it computes wrongly can be NaN.
    predictions = answers.check(predictions, examples, slice(2), name)
    _check_logits(network, predictions, run)
    if network.compiled:
        _check_compiled(network, run)
    else:
        run.recipe.check(network)
    return network


def _not_built(run: Run, error: BaseException) -> UserError:
    """Returns the error to raise instead of one that came from the model."""
    what = f"{run.model.name} cannot be built for {run.task.name}"
    entered = error.__traceback__ and error.__traceback__.tb_next  # The body of the function
    takes_no_task = isinstance(error, TypeError) and not entered
    hint = " (benchmark.evaluate measures a function from array to array.)" if takes_no_task else ""
    return UserError(tracebacks.explain(what, error, hint))


def _check_compiled(network: keras.Model, run: Run) -> None:
    """Raises UserError if a compiled network is already trained, or ignores changed settings."""
    ignored = sorted(OF_THE_OPTIMIZER & set(run.settings))
    if ignored:
        raise UserError(
            f"{run.model.name} is already compiled, so {', '.join(ignored)} would have no effect; "
            "leave that out, or return a network that is not compiled."
        )
    if int(network.optimizer.iterations) > 0:
        raise UserError(
            f"{run.model.name} is already trained; "
            "expected a new network at each call of the function."
        )


def _check_logits(network: keras.Model, predictions: npt.NDArray[np.float32], run: Run) -> None:
    """Raises UserError, one sentence, if a network ends in a softmax or a sigmoid."""
    flat = predictions.reshape(len(predictions), -1)
    last = None
    if run.task.target == "one_hot":
        if (flat >= 0).all() and np.allclose(flat.sum(axis=1), 1, atol=1e-3):
            last = "softmax"
    elif run.task.target == "image":
        activations = [getattr(layer, "activation", None) for layer in network.layers]
        if keras.activations.sigmoid in activations and ((flat > 0) & (flat < 1)).all():
            last = "sigmoid"
    if last is not None:
        raise UserError(
            f"{run.model.name} returns probabilities; "
            f"expected logits: remove the {last} at the end."
        )

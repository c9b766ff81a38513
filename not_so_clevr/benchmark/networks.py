"""The network of a run, checked before anything takes long."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr.benchmark import evaluation, tracebacks
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.examples import Drawn


def check_model(run: Run) -> None:
    """Raises UserError, one sentence, unless the model can be built, and gives finite numbers of the right shape."""
    network = build(run)
    if network.compiled:
        check_compiled(network, run)


def check_models(runs: Iterable[Run]) -> None:
    """Checks the model of each run, once where runs share one. Raises UserError as `check_model`."""
    different = {(run.model.name, run.task, repr(run.recipe.model), run.recipe.l2 > 0): run for run in runs}
    for run in different.values():
        check_model(run)


def of_the_optimizer() -> set[str]:
    """Returns the settings of a recipe that a model ignores if it comes compiled."""
    return set(Recipe.names()) - {"epochs", "batch_size"}


def check_compiled(network: keras.Model, run: Run) -> None:
    """Raises UserError if a network that comes compiled was trained before, or is to be trained by settings it ignores."""
    ignored = sorted(of_the_optimizer() & set(run.settings))
    if ignored:
        raise UserError(f"{run.model.name} comes compiled, so {', '.join(ignored)} would change nothing; leave it out.")
    if int(network.optimizer.iterations) > 0:
        raise UserError(f"{run.model.name} has been trained already; expected a new network at each call of the function.")


def build(run: Run) -> keras.Model:
    """Returns the network, once it was seen to give finite numbers of the right shape for two examples of train.

    Raises:
        UserError: one sentence, if it does not.
    """
    if keras.config.image_data_format() != "channels_last":
        raise UserError(
            "Keras' image_data_format is channels_first, and the tasks have channels last; change it in ~/.keras/keras.json, "
            "or call keras.config.set_image_data_format('channels_last')."
        )
    examples = Examples(Drawn(run.config.split_centres()["train"][:2], run.config), run.task)
    x, _ = examples.xy(slice(2))
    try:
        network = run.model.build(run.task, **run.recipe.model)
        predictions = network(x) if isinstance(network, keras.Model) else None
    except (Exception, SystemExit) as error:
        within = error.__traceback__ and error.__traceback__.tb_next  # The function's body, if it was entered
        takes_no_task = isinstance(error, TypeError) and not within
        hint = " (A function from array to array is measured by benchmark.evaluate.)" if takes_no_task else ""
        text = f"{run.model.name} cannot be built for {run.task.name}: {tracebacks.sentence(error)}.{hint}"
        raise UserError(tracebacks.with_frames(text, error)) from error
    if not isinstance(network, keras.Model):
        raise UserError(f"{run.model.name} returns {type(network).__name__}; expected a keras.Model.")
    _check_logits(network, evaluation.checked(predictions, examples, slice(2), run.model.name), run)
    if not network.compiled:
        run.recipe.check(network)
    return network


def _check_logits(network: keras.Model, predictions: npt.NDArray[np.float32], run: Run) -> None:
    """Raises UserError, one sentence, if a network gives probabilities, as one does that ends in a softmax or a sigmoid."""
    flat = predictions.reshape(len(predictions), -1)
    squashed = any(getattr(layer, "activation", None) is keras.activations.sigmoid for layer in network.layers)
    are_shares = (flat >= 0).all() and np.allclose(flat.sum(axis=1), 1, atol=1e-3)
    are_probabilities = squashed and ((flat > 0) & (flat < 1)).all()
    if (run.task.name == "classification" and are_shares) or (run.task.name == "rendering" and are_probabilities):
        last = "softmax" if are_shares else "sigmoid"
        raise UserError(f"{run.model.name} returns probabilities; expected logits: leave out the {last} at the end.")

"""A run: model, task, data set, recipe, settings and seed, checked before anything is built."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.checks import UserError, integer
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.tasks import Task, as_task
from not_so_clevr.results import naming

Build = Callable[..., keras.Model]


@dataclasses.dataclass(frozen=True)
class Run:
    """A checked experiment and a seed; `plan` returns it.

    Attributes:
        model: the model.
        task: the task.
        config: the data set.
        recipe: all hyper-parameters.
        recipe_name: of the recipe, with the settings that were changed; "" for the default recipe.
        settings: the changes that the user made.
        arguments: the words of the command line that stand for recipe and settings.
        seed: of the weights and of the order of the examples.
    """

    model: registry.Model
    task: Task
    config: NotSoClevrConfig
    recipe: Recipe
    recipe_name: str
    settings: Mapping[str, Any]
    arguments: Sequence[str]
    seed: int = 0

    @property
    def id(self) -> str:
        """The id: task, config, model with changed settings, and seed."""
        label = naming.label(self.model.name, self.recipe_name)
        return naming.run_id(self.task.name, self.config.name, label, self.seed)

    @functools.cached_property
    def saved_recipe(self) -> dict[str, Any]:
        """The recipe's values as a file gives them back."""
        return json.loads(json.dumps(dataclasses.asdict(self.recipe)))

    def with_seed(self, seed: int) -> Run:
        """Returns the same run with another seed. Raises UserError unless it is 0 to 2^32 - 1."""
        return dataclasses.replace(self, seed=integer("seed", seed, 0, 2**32 - 1))

    def command(self, data: str = "tfds", distribute: bool = False) -> str | None:
        """Returns the command line that makes the run; None if its model cannot be found by name."""
        if not self.model.findable:
            return None
        seed = ["--seed", str(self.seed)]
        what = ["--task", self.task.name, "--config", self.config.name, *seed, *self.arguments]
        where = [*["--data", data] * (data != "tfds"), *["--distribute"] * distribute]
        return shlex.join(["not-so-clevr", "train", self.model.name, *what, *where])


def plan(
    build: str | registry.Model | Build,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Run:
    """Returns the run that `benchmark.run` would make with these arguments, which it describes.

    Raises:
        UserError: one sentence, if one of them is wrong.
    """
    model = as_model(build)
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    name, chosen = model.recipe(recipe, task.name)

    if not isinstance(settings, (Mapping, type(None))):
        raise UserError(f"settings={settings!r} is no dict; give one, such as {{'epochs': 3}}.")
    settings = {key: _plain(value) for key, value in (settings or {}).items()}
    whole = chosen.replace(settings)
    own = {key: _plain(value) for key, value in whole.model.items()}
    whole = dataclasses.replace(whole, model=own)
    _check_whole(model, task, whole, settings)

    changed_recipe = "" if name == next(iter(model.recipes)) else name
    arguments = ["--recipe", name] if changed_recipe else []
    for key, value in sorted(settings.items()):
        arguments += ["--set", naming.write(key, value)]
    recipe_name = naming.changed(changed_recipe, settings)
    return Run(model, task, config, whole, recipe_name, settings, arguments).with_seed(seed)


def _check_whole(model: registry.Model, task: Task, recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Raises UserError, one sentence, unless the model and the task can have the recipe."""
    _check_savable(recipe.model)
    if recipe.loss != "task" and task.name != "rendering":
        raise UserError(f"loss={recipe.loss!r} is for rendering; leave it out for {task.name}.")
    if (signature := _signature(model)) is not None:
        _check_settings(model, signature, settings)
        _check_arguments(model, signature, task, recipe.model)


def _check_savable(settings: Mapping[str, Any]) -> None:
    """Raises UserError, one sentence, if a setting of the model is none that a file can give back."""
    for name, value in settings.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            words = naming.write(name, value)
            raise UserError(f"setting {words} cannot be saved; expected a number, a string, true, false or a list.") from None


def _signature(model: registry.Model) -> inspect.Signature | None:
    """Returns the signature of the model's function; None if it does not tell."""
    try:
        return inspect.signature(model.build)
    except (TypeError, ValueError):
        return None


def _check_settings(model: registry.Model, signature: inspect.Signature, settings: Mapping[str, Any]) -> None:
    """Raises UserError, one sentence, if a setting is neither one of a recipe nor an argument of the model's function."""
    parameters = list(signature.parameters.values())[1:]
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return
    of_recipes = Recipe.names()
    own = [each.name for each in parameters if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)]
    for name in settings:
        if name not in (*of_recipes, *own):
            arguments = f", or an argument of its function: {', '.join(own)}" if own else "; its function takes the task alone"
            raise UserError(f"{model.name} has no setting {name!r}; expected one of {', '.join(of_recipes)}{arguments}.")


def _check_arguments(model: registry.Model, signature: inspect.Signature, task: Task, settings: Mapping[str, Any]) -> None:
    """Raises UserError, one sentence, unless a model's function can be called with a task and the settings."""
    try:
        signature.bind(task, **settings)
    except TypeError as error:
        raise UserError(
            f"{model.name} cannot be called with {', '.join(['a task', *settings])}: {error}; give a missing argument a "
            "default, or a value with --set. (A function from array to array is measured by benchmark.evaluate.)"
        ) from error


def as_model(build: str | registry.Model | Build) -> registry.Model:
    """Returns the model that `build` is, names, or builds. Raises UserError, one sentence, if it is none."""
    if isinstance(build, str):
        return registry.find(build)
    return build if isinstance(build, registry.Model) else registry.describe(build)


def _plain(value: Any) -> Any:
    """Returns a setting with Python's numbers instead of NumPy's."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value

"""A run: model, task, data set, recipe, settings and seed, checked before anything is built."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from not_so_clevr.benchmark import recipe_file, registry
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.checks import UserError, did_you_mean, integer
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
        chosen: the name of the recipe before the changes; "" for the default recipe.
        settings: the changes that the user made to the recipe.
        file: the file that the recipe was read from; "" if the model has it.
        search: how the recipe was found, for `Result.search`; None if that is not known.
        seed: the seed of the weights and of the order of the examples.
    """

    model: registry.Model
    task: Task
    config: NotSoClevrConfig
    recipe: Recipe
    chosen: str
    settings: Mapping[str, Any]
    seed: int = 0
    file: str = ""
    search: Mapping[str, Any] | None = None

    @property
    def recipe_name(self) -> str:
        """The name of the recipe with the changed settings; "" for the default recipe."""
        return naming.changed(self.chosen, self.settings)

    @property
    def id(self) -> str:
        """The id: task, config, model with changed settings, and seed."""
        label = naming.label(self.model.name, self.recipe_name)
        return naming.run_id(self.task.name, self.config.name, label, self.seed)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the model's function; `steps` if it takes them."""
        arguments = dict(self.recipe.model)
        if registry.takes_steps(self.model.build):
            count = len(self.config.split_centres()["train"])
            arguments["steps"] = self.recipe.epochs * self.recipe.steps_per_epoch(count)
        return arguments

    @functools.cached_property
    def saved_recipe(self) -> dict[str, Any]:
        """The recipe as it is read back from a file."""
        return json.loads(json.dumps(dataclasses.asdict(self.recipe)))

    def with_seed(self, seed: int) -> Run:
        """Returns the same run with another seed. Raises UserError unless it is 0 to 2^32 - 1."""
        return dataclasses.replace(self, seed=integer("seed", seed, 0, 2**32 - 1))

    def on(self, config: NotSoClevrConfig) -> Run:
        """Returns the same run on another data set."""
        task = as_task(self.task.name, config.canvas_size)
        return dataclasses.replace(self, config=config, task=task)

    def command(self, data: str = "tfds", distribute: bool = False) -> str | None:
        """Returns the command that makes the run; None if the model cannot be found by name."""
        if not self.model.findable:
            return None
        words = ["not-so-clevr", "train", self.model.name]
        words += ["--task", self.task.name, "--config", self.config.name, "--seed", str(self.seed)]
        if self.file or self.chosen:
            words += ["--recipe", self.file or self.chosen]
        words += naming.as_options(self.settings)
        if data != "tfds":
            words += ["--data", data]
        if distribute:
            words.append("--distribute")
        return shlex.join(words)


def plan(
    build: str | registry.Model | Build,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    recipe: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Run:
    """Returns the run that `benchmark.run` makes with the same arguments.

    Raises:
        UserError: one sentence, if an argument is wrong.
    """
    model = as_model(build, name)
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    file, search = "", None
    given = None if recipe is None else recipe_file.as_text(recipe)
    if given is not None and given.endswith(recipe_file.SUFFIX):
        file = given
        chosen, values, search = recipe_file.read(file, model.name, task.name)
    else:
        found, values = model.recipe(given, task.name)
        chosen = "" if found == next(iter(model.recipes)) else found
        search = model.searches.get((found, task.name))

    settings = as_settings(settings)
    values = values.replace(settings)
    values = dataclasses.replace(values, model=_plain(values.model))
    values = values.for_examples(len(config.split_centres()["train"]))
    _check(model, task, values, settings)
    search = None if settings else search  # It found another recipe.
    run = Run(model, task, config, values, chosen, settings, file=file, search=search)
    return run.with_seed(seed)


def as_model(build: str | registry.Model | Build, name: str | None = None) -> registry.Model:
    """Returns a model, under another name if one is given. Raises UserError as `plan`."""
    if isinstance(build, str):
        model = registry.find(build)
    else:
        model = build if isinstance(build, registry.Model) else registry.describe(build)
    if name is None:
        return model
    name = naming.check_model("name", name)
    findable = model.findable and model.name == name
    return dataclasses.replace(model, name=name, findable=findable, named=True)


def as_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns a user's settings with Python's numbers. Raises UserError if they are not a dict."""
    if not isinstance(settings, (Mapping, type(None))):
        raise UserError(f"settings must be a dict, got {settings!r}; e.g. {{'epochs': 3}}.")
    return {name: _plain(value) for name, value in (settings or {}).items()}


def _plain(value: Any) -> Any:
    """Returns a setting, or a dict of them, with Python's numbers instead of NumPy's."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _check(model: registry.Model, task: Task, recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Raises UserError, one sentence, unless model, task and recipe go together."""
    for name, value in recipe.model.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise UserError(
                f"setting {naming.write(name, value)} cannot be saved; "
                "expected a number, a string, true, false or a list."
            ) from None
    if recipe.loss != "task" and task.target != "image":
        raise UserError(
            f"loss={recipe.loss!r} is for rendering and painting; omit it for {task.name}."
        )

    try:
        signature = inspect.signature(model.build)
    except (TypeError, ValueError):  # Some built-in functions have none.
        return
    _check_settings(model, signature, settings)
    try:
        steps = {"steps": 1} if registry.takes_steps(model.build) else {}
        signature.bind(task, **steps, **recipe.model)
    except TypeError as error:
        arguments = ", ".join(["a task", *recipe.model])
        raise UserError(
            f"{model.name} cannot be called with {arguments}: {error}; give a missing argument a "
            "default, or a value with --set. "
            "(benchmark.evaluate measures a function from array to array.)"
        ) from error


def _check_settings(
    model: registry.Model, signature: inspect.Signature, settings: Mapping[str, Any]
) -> None:
    """Raises UserError, one sentence, if neither the recipe nor the function has a setting."""
    parameters = list(signature.parameters.values())[1:]
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return
    keywords = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [each.name for each in parameters if each.kind in keywords]
    known = Recipe.names()
    for name in settings:
        if name not in (*known, *own):
            arguments = "; its function takes only the task"
            if own:
                arguments = f", or an argument of its function: {', '.join(own)}"
            expected = f"expected one of {', '.join(known)}{arguments}"
            hint = did_you_mean(name, [*known, *own])
            raise UserError(f"{model.name} has no setting {name!r}{hint}; {expected}.")

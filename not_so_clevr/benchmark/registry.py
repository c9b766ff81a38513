"""Finding models: bundled ones and others by their entry point (`coordconv`), any by its path (`my_pkg.my_module:build`).

A package names its models in its pyproject.toml:

    [project.entry-points."not_so_clevr.models"]
    my_model = "my_pkg.my_module:build"

`build(task)` returns a `keras.Model` from `task.input_shape` to `task.output_shape`. It may be decorated with
`recipe.with_recipes`; else it has one recipe, `default`, for every task.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import math
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from not_so_clevr.benchmark import tracebacks
from not_so_clevr.checks import UserError

if TYPE_CHECKING:
    import keras

    from not_so_clevr.benchmark.recipe import Recipe

GROUP = "not_so_clevr.models"


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that can be trained.

    Attributes:
        name: as on the command line, and in the id of a run.
        build: task -> `keras.Model`.
        source: where the architecture comes from.
        recipes: name of the recipe -> name of the task -> recipe; the first is the default.
        findable: whether `find` returns the model for its name.
    """

    name: str
    build: Callable[..., keras.Model]
    source: str
    recipes: Mapping[str, Mapping[str, Recipe]]
    findable: bool

    def recipe(self, name: str | None, task: str) -> tuple[str, Recipe]:
        """Returns the name of a recipe, the default if `name` is None, and the recipe for a task.

        Raises:
            UserError: if the model has none of that name, or none for the task.
        """
        name = next(iter(self.recipes)) if name is None else name
        if name not in self.recipes:
            raise UserError(f"{self.name} has no recipe {name!r}; expected one of {', '.join(self.recipes)}.")
        if task not in self.tasks:
            raise UserError(f"{self.name} is no model for {task}; expected one of {', '.join(self.tasks)}.")
        if task not in self.recipes[name]:
            raise UserError(f"{self.name} has no recipe {name!r} for {task}; expected one of {', '.join(self.recipes[name])}.")
        return name, self.recipes[name][task]

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks for which the model has a recipe."""
        return list(dict.fromkeys(task for recipe in self.recipes.values() for task in recipe))


def parameters(network: keras.Model) -> int:
    """Returns the number of trainable weights."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


def names() -> list[str]:
    """Returns the names of all models of installed packages, by their entry points."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)})


def find(name: str) -> Model:
    """Returns the model of that name or path. Modules of the current folder are found, too, after installed ones.

    Raises:
        UserError: one sentence, if there is none, or if its module cannot be imported.
    """
    if not isinstance(name, str):
        raise UserError(f"model={name!r} is no name; expected one of {', '.join(names())}, or a path, or a function.")
    points = {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}
    path = points.get(name, name)
    module_name, colon, function_name = path.rpartition(":")
    if module_name.endswith(".py") or any(each in module_name for each in "/\\"):
        module = pathlib.PureWindowsPath(module_name).stem  # Which knows both separators
        raise UserError(f"{module_name} is a file; expected a module: go to its folder, and give {module}:{function_name}.")
    if not (colon and all(map(str.isidentifier, [*module_name.split("."), function_name]))):
        raise UserError(
            f"Unknown model {name!r}; expected one of {', '.join(names())}, or a path such as my_pkg.my_module:build."
        )
    build = getattr(_module(module_name), function_name, None)
    if not callable(build):
        hint = _shadow(module_name)
        raise UserError(f"Module {module_name!r} has no function {function_name!r}; expected one that takes a task.{hint}")
    return dataclasses.replace(describe(build, name), findable=True)


def describe(build: Callable[..., keras.Model], name: str | None = None) -> Model:
    """Returns the model that a function builds, named after it if no name is given.

    Raises:
        UserError: one sentence, if it is no function, or if what it has as `recipes` are none.
    """
    import keras

    from not_so_clevr.benchmark.recipe import Recipe, check_recipes
    from not_so_clevr.dataset.tasks import TASKS

    if not callable(build) or isinstance(build, keras.Model):
        raise UserError(f"{type(build).__name__} is no function; expected one that takes a task and returns a keras.Model.")
    function: Any = build
    module, function_name = getattr(build, "__module__", "?"), getattr(build, "__qualname__", type(build).__name__)
    path = f"{module}:{function_name}"
    findable = module != "__main__" and getattr(sys.modules.get(module), function_name, None) is build
    recipes = getattr(function, "recipes", {"default": dict.fromkeys(TASKS, Recipe())})
    check_recipes(recipes, path)
    return Model(name or path, build, str(getattr(function, "source", path)), recipes, findable and name in (None, path))


def _module(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # At the end: what is installed is not to be shadowed by what lies here.
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        missing = absent is not None and f"{name}.".startswith(f"{absent}.")
        if missing:
            reason = f"there is no module {absent!r}, neither installed nor in {here}"
            raise UserError(f"Cannot import {name!r}: {reason}.{_shadow(name)}") from error
        text = f"Cannot import {name!r}: {tracebacks.sentence(error)}.{_shadow(name)}"
        raise UserError(tracebacks.with_frames(text, error)) from error


def _shadow(name: str) -> str:
    """Returns a hint if the current folder has the module, but another one of that name comes first."""
    top = name.partition(".")[0]
    spec = importlib.util.find_spec(top) if top not in ("", "__main__") else None
    mine = [path for path in (pathlib.Path(f"{top}.py"), pathlib.Path(top, "__init__.py")) if path.exists()]
    if not mine or spec is None or spec.origin is None or pathlib.Path(spec.origin).resolve() == mine[0].resolve():
        return ""
    return f" {mine[0]} here is hidden by {spec.origin}; give it another name."

"""Finding models: by entry point (`coordconv`), or by path (`my_pkg.my_module:build`).

A package names its models in its pyproject.toml:

    [project.entry-points."not_so_clevr.models"]
    my_model = "my_pkg.my_module:build"

`build(task)` returns a `keras.Model` from `task.input_shape` to `task.output_shape`. It may be
decorated with `recipe.with_recipes`; otherwise it has one recipe for every task, `default`.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import math
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from not_so_clevr.benchmark import searches, tracebacks
from not_so_clevr.checks import UserError, did_you_mean

if TYPE_CHECKING:
    import keras

    from not_so_clevr.benchmark.recipe import Recipe

GROUP = "not_so_clevr.models"


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that can be trained.

    Attributes:
        name: the name on the command line, and in the id of a run.
        build: task -> `keras.Model`; it may take the number of steps of the training as `steps`.
        source: the source of the architecture, e.g. a paper.
        recipes: name of the recipe -> name of the task -> recipe; the first is the default.
        findable: whether `find` returns the model for its name.
        searches: name of the recipe and of the task -> how it was found, see `Result.search`.
        named: whether the name tells the model from others: it is the user's, or findable.
    """

    name: str
    build: Callable[..., keras.Model]
    source: str
    recipes: Mapping[str, Mapping[str, Recipe]]
    findable: bool
    searches: Mapping[tuple[str, str], Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    named: bool = True

    def recipe(self, name: str | None, task: str) -> tuple[str, Recipe]:
        """Returns the name and the recipe for a task; the default recipe if `name` is None.

        Raises:
            UserError: one sentence, if the model has no recipe of that name for the task.
        """
        name = next(iter(self.recipes)) if name is None else name
        if name not in self.recipes:
            expected = ", ".join(self.recipes)
            hint = did_you_mean(name, self.recipes)
            raise UserError(
                f"{self.name} has no recipe {name!r}{hint}; expected one of {expected}."
            )
        if task not in self.tasks:
            expected = ", ".join(self.tasks)
            raise UserError(f"{self.name} is not a model for {task}; expected one of {expected}.")
        if task not in self.recipes[name]:
            expected = ", ".join(self.recipes[name])
            raise UserError(
                f"{self.name} has no recipe {name!r} for {task}; expected one of {expected}."
            )
        return name, self.recipes[name][task]

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks that the model has a recipe for."""
        return list(dict.fromkeys(task for recipe in self.recipes.values() for task in recipe))


def takes_steps(build: Callable[..., Any]) -> bool:
    """Returns whether a function that builds a model takes the number of training steps."""
    try:
        return "steps" in list(inspect.signature(build).parameters)[1:]
    except (TypeError, ValueError):  # Some built-in functions have no signature.
        return False


def parameters(network: keras.Model) -> int:
    """Returns the number of trainable weights."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


def names() -> list[str]:
    """Returns the names of all entry points of installed packages."""
    return sorted(_entry_points())


def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}


def recipe_names(name: str) -> list[str]:
    """Returns the recipes of a bundled model, from its source: importing it imports Keras."""
    module, _, function = _entry_points().get(name, "").partition(":")
    if not module.startswith("not_so_clevr.baselines."):
        return []
    spec = importlib.util.find_spec(module)
    source = pathlib.Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    decorators = [
        decorator
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == function
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
    ]
    keywords = [keyword.arg for decorator in decorators for keyword in decorator.keywords]
    own = [keyword for keyword in keywords if keyword not in (None, "source")]
    return list(dict.fromkeys([*own, *(each["name"] for each in searches.of(name))]))


def find(name: str) -> Model:
    """Returns the model of a name or path.

    Modules of the current folder are found, too, after installed ones.

    Raises:
        UserError: one sentence, if there is no such model, or its module cannot be imported.
    """
    points = _entry_points()
    expected = f"expected one of {', '.join(sorted(points))}"
    if not isinstance(name, str):
        raise UserError(f"model={name!r} is not a name; {expected}, or a path, or a function.")

    module, colon, function = points.get(name, name).rpartition(":")
    if module.endswith(".py") or any(each in module for each in "/\\"):
        stem = pathlib.PureWindowsPath(module).stem  # Understands both separators
        raise UserError(
            f"{module} is a file; expected a module: go to its folder, and give {stem}:{function}."
        )
    if not (colon and all(map(str.isidentifier, [*module.split("."), function]))):
        hint = did_you_mean(name, sorted(points))
        raise UserError(
            f"Unknown model {name!r}{hint}; {expected}, or a path like my_pkg.my_module:build."
        )

    build = getattr(_module(module), function, None)
    if not callable(build):
        raise UserError(
            f"Module {module!r} has no function {function!r}; expected one that takes a task."
            f"{_shadow(module)}"
        )
    model = dataclasses.replace(describe(build, name), findable=True)
    return _with_searches(model) if name in points else model


def _with_searches(model: Model) -> Model:
    """Returns a model with the recipes of the bundled searches, after its own."""
    recipes: dict[str, dict[str, Recipe]] = {
        name: dict(by_task) for name, by_task in model.recipes.items()
    }
    found = {}
    for search in searches.of(model.name):
        name, task = search["name"], search["task"]
        recipes.setdefault(name, {})[task] = searches.recipe(search)
        found[name, task] = searches.summary(search)
    return dataclasses.replace(model, recipes=recipes, searches=found)


def describe(build: Callable[..., keras.Model], name: str | None = None) -> Model:
    """Returns the model that a function builds, named after the function if no name is given.

    Raises:
        UserError: one sentence, if it is not a function, or its recipes are not recipes.
    """
    import keras

    from not_so_clevr.benchmark.recipe import Recipe, check_recipes
    from not_so_clevr.dataset.tasks import TASKS

    if not callable(build) or isinstance(build, keras.Model):
        raise UserError(
            f"{type(build).__name__} is not a function; "
            "expected one that takes a task and returns a keras.Model."
        )
    module = getattr(build, "__module__", "?")
    function = getattr(build, "__qualname__", type(build).__name__)
    path = f"{module}:{function}"
    is_importable = module != "__main__" and (
        getattr(sys.modules.get(module), function, None) is build
    )
    source = getattr(build, "source", path)
    recipes = getattr(build, "recipes", {"default": dict.fromkeys(TASKS, Recipe())})
    check_recipes(recipes, path)
    findable = is_importable and name in (None, path)
    named = is_importable or name is not None
    return Model(name or path, build, str(source), recipes, findable, named=named)


def _module(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # At the end, so that it does not shadow installed modules
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and f"{name}.".startswith(f"{absent}."):
            reason = f"there is no module {absent!r}, neither installed nor in {here}"
            raise UserError(f"Cannot import {name!r}: {reason}.{_shadow(name)}") from error
        text = tracebacks.explain(f"Cannot import {name!r}", error, _shadow(name))
        raise UserError(text) from error


def _shadow(name: str) -> str:
    """Returns a hint if a module in the current folder is hidden by one of the same name."""
    top = name.partition(".")[0]
    spec = importlib.util.find_spec(top) if top not in ("", "__main__") else None
    candidates = (pathlib.Path(f"{top}.py"), pathlib.Path(top, "__init__.py"))
    local = next((path for path in candidates if path.exists()), None)
    if local is None or spec is None or spec.origin is None:
        return ""
    if pathlib.Path(spec.origin).resolve() == local.resolve():
        return ""
    return f" {local} here is hidden by {spec.origin}; rename it."

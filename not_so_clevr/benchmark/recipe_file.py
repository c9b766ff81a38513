"""Recipes in files, as `tune` writes them: the settings, and how they were found."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from not_so_clevr import files
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.checks import UserError, one_of
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results import naming, record, toml

SUFFIX = ".toml"

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # A key of TOML without quotes
_NEEDED = ("name", "model", "task", "settings")
_KEYS = (*_NEEDED, "search")


def as_text(recipe: str | os.PathLike[str]) -> str:
    """Returns the name or the file of a recipe as a string. Raises UserError if it is neither."""
    text = os.fspath(recipe) if isinstance(recipe, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise UserError(
            f"recipe={recipe!r} is neither a name nor a file; expected e.g. 'net.toml'."
        )
    return text


def read(
    file: str | pathlib.Path, model: str, task: str
) -> tuple[str, Recipe, Mapping[str, Any] | None]:
    """Returns the name of the recipe in a file, the recipe, and how it was found, if known.

    Args:
        file: the file.
        model: the name of the model that the recipe must be for.
        task: the name of the task that it must be for.

    Raises:
        UserError: one sentence, if the file is no recipe, or it is for another model or task.
        OSError: one sentence, if the file cannot be read.
    """
    table = _table(file)
    if (table["model"], table["task"]) != (model, task):
        raise UserError(
            f"{file} is a recipe of {table['model']} for {table['task']}, "
            f"not of {model} for {task}."
        )
    name, settings, search = table["name"], table["settings"], table.get("search")
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise UserError(
            f"{file}: name must be a string, and settings a table; got {name!r} and {settings!r}."
        )
    if search is not None:
        try:
            record.Search.model_validate(search)
        except pydantic.ValidationError as error:
            raise UserError(f"{file}: search.{record.reason(error)}.") from error
    try:
        return name, Recipe().replace(settings), search
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def task(file: str | pathlib.Path) -> str:
    """Returns the name of the task that the recipe in a file is for. Raises as `read`."""
    return str(_table(file)["task"])


def _table(file: str | pathlib.Path) -> dict[str, Any]:
    table = toml.read(files.expanded(file))
    toml.check_keys(str(file), table, _KEYS, needed=_NEEDED)
    try:
        one_of("task", table["task"], TASKS)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return table


def check(recipe: Recipe) -> None:
    """Raises UserError, one sentence, if a file cannot hold an argument of the recipe's model."""
    for name, value in recipe.model.items():
        if name in Recipe.names():
            raise UserError(
                f"argument {name} of the model has the name of a setting of the recipe, so a file "
                "cannot tell them apart; rename it."
            )
        if not _fits(value):
            raise UserError(
                f"setting {naming.write(name, value)} does not fit into a recipe file; "
                "expected a number, a string, true, false or a list of them."
            )


def _fits(value: Any) -> bool:
    """Returns whether TOML can hold a value."""
    if isinstance(value, (list, tuple)):
        return all(map(_fits, value))
    if isinstance(value, str):  # UTF-8 has no surrogates.
        return value.encode(errors="ignore").decode() == value
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def write(
    file: pathlib.Path,
    recipe: Recipe,
    *,
    name: str,
    model: str,
    task: str,
    search: Mapping[str, Any],
    comment: Iterable[str],
) -> None:
    """Writes a recipe.

    Args:
        file: the file to write or replace.
        recipe: the recipe.
        name: its name, which becomes part of the ids of runs.
        model: the name of its model.
        task: the name of its task.
        search: how it was found, see `Result.search`.
        comment: lines to begin with; one with control characters is left out.

    Raises:
        UserError: one sentence, as `check`.
        OSError: one sentence, if the file cannot be written.
    """
    check(recipe)
    lines = [f"# {line}" for line in comment if line.isprintable()]
    lines += _lines({"name": name, "model": model, "task": task})
    lines += ["", "[settings]", *_lines(_settings(recipe))]
    lines += ["", "[search]", *_lines(search)]
    with files.replacing(file) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Returns what differs from `Recipe()`; of epochs and steps only one."""
    default = dataclasses.asdict(Recipe())
    values = {
        name: value for name, value in dataclasses.asdict(recipe).items() if value != default[name]
    }
    if recipe.steps:
        values.pop("epochs", None)
    return values | values.pop("model", {})


def _lines(values: Mapping[str, Any]) -> list[str]:
    """Returns lines of TOML. Values and unusual keys are written as in JSON."""
    return [
        f"{name if _BARE.fullmatch(name) else _text(name)} = {_text(value)}"
        for name, value in values.items()
    ]


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)  # TOML has no pairs of escaped surrogates,
    return text.replace("\x7f", "\\u007f")  # and no plain DEL.

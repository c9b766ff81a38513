"""Names of runs, such as `regression/quadrant/coordconv-article-epochs=200/seed0`, and settings as text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from not_so_clevr.checks import UserError

_WORDS = {"true": True, "false": False}


def run_id(task: str, config: str, label: str, seed: int | None = None) -> str:
    """Returns the id of a run, which is also the path of its folder below that of all runs; of all seeds if there is none."""
    return f"{task}/{config}/{label}" + ("" if seed is None else f"/seed{seed}")


def label(model: str, recipe: str) -> str:
    """Returns the model and the recipe in one word that can be the name of a folder."""
    return re.sub(r"[^\w.+=-]", ".", f"{model}-{recipe}" if recipe else model).lstrip(".") or "unnamed"


def changed(recipe: str, settings: Mapping[str, Any]) -> str:
    """Returns the name of a recipe, "" for the default one, with settings that were changed."""
    return "-".join(filter(None, [recipe, *(write(name, value) for name, value in sorted(settings.items()))]))


def read(text: str) -> tuple[str, Any]:
    """Returns the name and the value of a setting `name=value`: a value as Python writes it, or a word.

    Raises:
        UserError: one sentence, if it is none.
    """
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        raise UserError(f"--set {text} is no setting; expected NAME=VALUE, such as epochs=10.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return name, _WORDS.get(value, value)


def read_all(texts: Iterable[str]) -> dict[str, Any]:
    """Returns the settings that some texts tell, see `read`. Raises UserError, one sentence, if one of them is told twice."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, value = read(text)
        if name in settings:
            raise UserError(f"--set {name} is given twice, as {settings[name]!r} and as {value!r}; give it once.")
        settings[name] = value
    return settings


def write(name: str, value: Any) -> str:
    """Returns the text from which `read` gets name and value: a string without quotes, unless they are needed."""
    text = f"{name}={value}"
    if isinstance(value, str) and read(text) == (name, value):
        return text
    return f"{name}={value!r}"

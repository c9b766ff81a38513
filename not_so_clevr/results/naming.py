"""Ids of runs, e.g. `regression/quadrant/coordconv-epochs=9/seed0`, and settings as text."""

from __future__ import annotations

import ast
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from not_so_clevr.checks import UserError

RULE = "rule"  # The name of the recipes that `tune` finds
LONGEST = 255  # Bytes that common file systems allow in the name of a file or folder

_HASH = 16  # Hexadecimal digits
_WORDS = {"true": True, "false": False}


def run_id(task: str, config: str, label: str, seed: int | None = None) -> str:
    """Returns the id of a run, or of all its seeds; it is also the path below the runs' folder."""
    return f"{task}/{config}/{label}" + ("" if seed is None else f"/seed{seed}")


def check_model(argument: str, name: object) -> str:
    """Returns the name of a model. Raises UserError unless it has a letter or a digit."""
    if not isinstance(name, str) or not any(map(str.isalnum, name)):
        raise UserError(
            f"{argument}={name!r} is not a name; expected a string with a letter or a digit."
        )
    return name


def label(model: str, recipe: str) -> str:
    """Returns model and recipe as one word that can be the name of a folder, see `shortened`."""
    word = re.sub(r"[^\w.+=-]", ".", f"{model}-{recipe}" if recipe else model)
    return shortened(word.lstrip(".") or "unnamed")


def shortened(name: str, most: int = LONGEST) -> str:
    """Returns a name as it is; of one with more than `most` bytes, the start and a hash."""
    data = name.encode()
    if len(data) <= most:
        return name
    digest = hashlib.sha256(data).hexdigest()[:_HASH]
    return f"{data[: most - _HASH - 1].decode(errors='ignore')}-{digest}"


def changed(recipe: str, settings: Mapping[str, Any]) -> str:
    """Returns the name of a recipe with changed settings; "" is the default recipe, unchanged."""
    texts = (write(name, value) for name, value in sorted(settings.items()))
    return "-".join(filter(None, [recipe, *texts]))


def read(text: str) -> tuple[str, Any]:
    """Returns the name and value of a setting `name=value`: a Python literal, or else a string.

    Raises:
        UserError: if the text does not have this form.
    """
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        given = f"--set {shlex.quote(text)}"
        raise UserError(f"{given} is not a setting; expected NAME=VALUE, e.g. epochs=10.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return name, _WORDS.get(value, value)


def read_all(texts: Iterable[str]) -> dict[str, Any]:
    """Returns settings from texts, see `read`. Raises UserError if a name is given twice."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, value = read(text)
        if name in settings:
            values = f"{settings[name]!r} and {value!r}"
            raise UserError(f"--set {name} is given twice, as {values}; give it once.")
        settings[name] = value
    return settings


def as_options(settings: Mapping[str, Any]) -> list[str]:
    """Returns the words of a command that change settings: --set, then the text of one."""
    return [word for name in sorted(settings) for word in ("--set", write(name, settings[name]))]


def write(name: str, value: Any) -> str:
    """Returns the text of a setting, see `read`; quotes only the strings that need it."""
    text = f"{name}={value}"
    if isinstance(value, str) and read(text) == (name, value):
        return text
    return f"{name}={value!r}"

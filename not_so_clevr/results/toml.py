"""TOML files: the published results, and the grids of users."""

from __future__ import annotations

import importlib.resources
import pathlib
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from not_so_clevr import files
from not_so_clevr.checks import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(file: pathlib.Path) -> dict[str, Any]:
    """Returns the contents of a TOML file.

    Raises:
        UserError: if it is not TOML.
        OSError: worded as one sentence, if it cannot be read.
    """
    try:
        return tomllib.loads(files.read_text(file))
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"Cannot read {file}: {reason}; expected a TOML file.") from error
    except (ValueError, RecursionError) as error:
        expected = 'expected lines like model = "coordconv"'
        raise UserError(f"{file} is not a TOML file: {error}; {expected}.") from error


def of_package(name: str) -> dict[str, Any]:
    """Returns the contents of the TOML file with this name beside this module."""
    with importlib.resources.as_file(importlib.resources.files(__package__) / name) as file:
        return read(file)


def check_keys(
    where: str,
    table: Mapping[str, Any],
    allowed: Collection[str],
    *,
    needed: Iterable[str],
    advice: str = "",
) -> None:
    """Raises UserError if a table has a key that is not allowed, or lacks one that it needs.

    Args:
        where: the table, as the message names it.
        table: to check.
        allowed: all keys that it may have.
        needed: those that it must have.
        advice: a sentence to add for keys that are not allowed.
    """
    for key in table:
        if key not in allowed:
            expected = " ".join(filter(None, [f"expected {', '.join(allowed)}.", advice]))
            raise UserError(f"{where}: unknown key {key!r}; {expected}")
    for key in needed:
        if key not in table:
            raise UserError(f"{where}: {key} is missing; expected a word, or a list of words.")

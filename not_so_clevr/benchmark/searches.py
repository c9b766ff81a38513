"""The searches by the rule of `tuning` that are part of the baselines: their recipes, whole.

`baselines/searches.jsonl` has one search per line, as `Search.values` returns it, without the
commands of the runs, which follow from their ids.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from not_so_clevr import files
from not_so_clevr.results import naming, store

if TYPE_CHECKING:
    from not_so_clevr.benchmark.recipe import Recipe

NAME = naming.RULE
FILE = "searches.jsonl"

_SUMMARY = ("config", "points", "perfect", "seeds", "seconds")


def summary(search: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the results of a recipe say about its search, see `Result.search`."""
    return {name: search[name] for name in _SUMMARY}


def recipe(search: Mapping[str, Any]) -> Recipe:
    """Returns the recipe that was found, for data sets of any size."""
    from not_so_clevr.benchmark.recipe import Recipe  # Imports Keras

    values = dict(search["recipe"])
    if values["steps"]:
        values["epochs"] = None  # It has those that its steps made.
    return Recipe(**values)


def of(model: str) -> Iterator[Mapping[str, Any]]:
    """Yields the bundled searches for a model."""
    return (search for search in bundled() if search["model"] == model)


@functools.cache
def bundled() -> Sequence[Mapping[str, Any]]:
    """Returns all bundled searches; none without the baselines."""
    file = store.of_baselines(FILE)
    return read(file) if file else []


def read(file: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the searches in a file with one per line. Raises OSError if it cannot be read."""
    return [json.loads(line) for line in files.read_text(file).splitlines() if line]

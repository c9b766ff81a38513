"""Grids of runs: the published ones by name, and those of TOML files like this one.

model = "coordconv"                  # or a path: "my_pkg.my_module:build"
task = "classification"
config = ["uniform", "quadrant"]     # Any word can be a list of words.
recipe = "paper"                     # The model's default if left out
seeds = 3                            # 0, 1, 2; or a list of seeds

[grid]                               # Settings, as with --set: every combination of them
learning_rate = [0.001, 0.005]
l2 = [0.0, 0.001]
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from not_so_clevr import files
from not_so_clevr.checks import UserError, integer
from not_so_clevr.reproduce import planning
from not_so_clevr.results import theses, toml
from not_so_clevr.results.experiment import Experiment, combinations

_KEYS = ("model", "task", "config", "recipe", "seeds", "grid")
_NEEDED = ("model", "task", "config")
_MOST = 10_000


@dataclasses.dataclass(frozen=True)
class Grid:
    """Experiments and seeds."""

    name: str  # Of the grid, or of its file
    experiments: Sequence[Experiment]  # One for each combination
    seeds: Sequence[int] | None = None  # None for what each experiment promises

    def plan(self, patterns: Sequence[str] = ()) -> list[planning.Row]:
        """Returns a row for each experiment whose id matches a pattern. Imports Keras.

        Raises:
            UserError: if a run cannot be planned, two have one id, or a pattern matches nothing.
        """
        try:
            planned = planning.plan(self.experiments)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error
        rows = {row.id: row for row in planned}
        if (twice := _twice(row.id for row in planned)) is not None:
            raise UserError(f"{self.name} has two experiments named {twice}; change or remove one.")
        return [rows[key] for key in planning.matching(list(rows), patterns)]


def read(name: str) -> Grid:
    """Returns the published grid of that name, or the grid in a TOML file.

    Raises:
        UserError: if the grid is unknown, or the file is wrong.
        OSError: if the file cannot be read.
    """
    if name.endswith(".toml"):
        return parse(name, toml.read(files.expanded(name)))
    return Grid(name, theses.suite(name, "grid", ", or a file such as grid.toml"))


def parse(name: str, table: Mapping[str, Any]) -> Grid:
    """Returns the grid in the table of a TOML file. Raises as `read`."""
    toml.check_keys(name, table, _KEYS, needed=_NEEDED, advice="Settings belong below [grid].")
    names = [_words(f"{name}: {key}", table[key]) for key in ("task", "config", "model")]
    names.append(_words(f"{name}: recipe", table["recipe"]) if "recipe" in table else [""])
    settings = _settings(name, table.get("grid", {}))

    size = math.prod(map(len, [*names, *settings.values()]))
    if size > _MOST:
        many = f"{name} has {size} combinations, more than {_MOST}"
        raise UserError(f"{many}; split it into several grids.")
    seeds = _seeds(f"{name}: seeds", table["seeds"]) if "seeds" in table else None
    return Grid(name, combinations(names, settings), seeds)


def _words(where: str, value: Any) -> list[str]:
    words = _several(where, value)
    for word in words:
        if not isinstance(word, str) or not word:
            raise UserError(f"{where} must be a non-empty string, or a list of them, got {word!r}.")
    return words


def _seeds(where: str, value: Any) -> list[int]:
    if not isinstance(value, list):
        return list(range(integer(where, value, 1, 10_000)))
    return [integer(where, seed, 0, 2**32 - 1) for seed in _several(where, value)]


def _settings(name: str, table: Any) -> dict[str, list[Any]]:
    """Returns the values of each setting."""
    if not isinstance(table, dict):
        expected = "write [grid], and lines such as l2 = [0.0, 0.001] below it"
        raise UserError(f"{name}: grid must be a table, got {table!r}; {expected}.")
    for key, value in table.items():
        if not key.isidentifier():
            raise UserError(f"{name}: a setting needs a name such as learning_rate, got {key!r}.")
        if not _is_plain(value):
            expected = "a number, a string, a boolean, or a list of them"
            raise UserError(f"{name}: {key} must be {expected}, got {value!r}.")
    return {key: _several(f"{name}: {key}", value) for key, value in table.items()}


def _several(where: str, value: Any) -> list[Any]:
    """Returns a list as it is, and anything else as a list of one."""
    several = value if isinstance(value, list) else [value]
    if not several:
        raise UserError(f"{where} is an empty list; give at least one value.")
    keys = [repr(int(each) if _is_whole(each) else each) for each in several]  # 0.0 equals 0.
    if (twice := _twice(keys)) is not None:
        raise UserError(f"{where} has {several[keys.index(twice)]!r} twice; remove one.")
    return several


def _twice(values: Iterable[str]) -> str | None:
    """Returns the first value that occurs more than once."""
    return next((each for each, count in collections.Counter(values).items() if count > 1), None)


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, (str, int, float))

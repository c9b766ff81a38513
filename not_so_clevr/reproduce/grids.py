"""Grids of runs: the named ones, and those of a TOML file, as below.

model = "coordconv"                  # or a path: "my_pkg.my_module:build"
task = "classification"
config = ["uniform", "quadrant"]     # Wherever one word stands, there can be several.
recipe = "paper"                     # If not given, the model's default
seeds = 3                            # 0, 1, 2; or a list of them

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

from not_so_clevr import files, reproduce
from not_so_clevr.checks import UserError, integer
from not_so_clevr.results import published, toml
from not_so_clevr.results.experiment import Experiment, combinations

_KEYS = ("model", "task", "config", "recipe", "seeds", "grid")
_NEEDED = ("model", "task", "config")
_MOST = 10_000


@dataclasses.dataclass(frozen=True)
class Grid:
    """Experiments, each to be run with some seeds.

    Attributes:
        name: of the grid, or of its file.
        experiments: one for each combination.
        seeds: as the file gives them, or None.
    """

    name: str
    experiments: Sequence[Experiment]
    seeds: Sequence[int] | None = None

    def plan(self, patterns: Sequence[str] = ()) -> list[reproduce.Row]:
        """Returns a row for each experiment with an id like one of the patterns, if there are any. Imports Keras.

        Raises:
            UserError: one sentence, if a run cannot be planned, if two have the same id, or if a pattern is like no id.
        """
        try:
            planned = reproduce.plan(self.experiments)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error
        rows = {row.id: row for row in planned}
        if (twice := _twice(row.id for row in planned)) is not None:
            raise UserError(f"{self.name} has two runs of the name {twice}; change or leave out one of them.")
        return [rows[key] for key in reproduce.matching(list(rows), patterns)]


def read(name: str) -> Grid:
    """Returns the named grid, or that of a TOML file.

    Raises:
        UserError: one sentence, if there is no such grid, or if something in the file is not as it should be.
        OSError: one sentence, if the file cannot be read.
    """
    if name.endswith(".toml"):
        return parse(name, toml.read(files.expanded(name)))
    if name not in (suites := published.suites()):
        expected = f"expected one of {', '.join(suites)}, or a file such as grid.toml"
        raise UserError(f"There is no grid {name!r}; {expected}.")
    return Grid(name, suites[name])


def parse(name: str, table: Mapping[str, Any]) -> Grid:
    """Returns the grid that the table of a TOML file describes; `read` tells the errors."""
    toml.check_keys(name, table, _KEYS, needed=_NEEDED, advice="Settings belong below [grid].")
    words = [_words(f"{name}: {key}", table[key]) for key in ("task", "config", "model")]
    words.append(_words(f"{name}: recipe", table["recipe"]) if "recipe" in table else [""])
    axes = _axes(name, table.get("grid", {}))
    if (size := math.prod(map(len, [*words, *axes.values()]))) > _MOST:
        raise UserError(f"{name} has {size} combinations; expected {_MOST} at most. Make it several grids.")
    seeds = _seeds(f"{name}: seeds", table["seeds"]) if "seeds" in table else None
    return Grid(name, combinations(words, axes), seeds)


def _words(where: str, value: Any) -> list[str]:
    several = _several(where, value)
    for word in several:
        if not isinstance(word, str) or not word:
            raise UserError(f"{where} = {word!r} is no word; expected text in quotes, or a list of such.")
    return several


def _seeds(where: str, value: Any) -> list[int]:
    if not isinstance(value, list):
        return list(range(integer(where, value, 1, 10_000)))
    return [integer(where, seed, 0, 2**32 - 1) for seed in _several(where, value)]


def _axes(name: str, table: Any) -> dict[str, list[Any]]:
    """Returns the values of each setting."""
    if not isinstance(table, dict):
        raise UserError(f"{name}: grid = {table!r} is no table; expected [grid], and below it such as l2 = [0.0, 0.001].")
    axes = {}
    for setting, value in table.items():
        if not setting.isidentifier():
            raise UserError(f"{name}: {setting!r} is no name of a setting; expected such as learning_rate.")
        axes[setting] = _several(f"{name}: {setting}", value)
        if not _plain(axes[setting]):
            raise UserError(
                f"{name}: {setting} = {value!r} is no setting; expected numbers, text, true, false, or lists of them."
            )
    return axes


def _several(where: str, value: Any) -> list[Any]:
    """Returns a list as it is, and anything else as a list of one."""
    several = value if isinstance(value, list) else [value]
    if not several:
        raise UserError(f"{where} is an empty list; expected one value or more.")
    values = [repr(int(each) if isinstance(each, float) and each.is_integer() else each) for each in several]  # 0.0 is 0.
    if (twice := _twice(values)) is not None:
        raise UserError(f"{where} has {several[values.index(twice)]!r} twice; leave one out.")
    return several


def _twice(values: Iterable[str]) -> str | None:
    """Returns the first value that is there more than once."""
    return next((value for value, times in collections.Counter(values).items() if times > 1), None)


def _plain(value: Any) -> bool:
    return all(map(_plain, value)) if isinstance(value, list) else isinstance(value, (str, int, float))

"""Published results, the experiments that reproduce them, and the grids of the paper.

They are data: published.toml, beside this file, explains its keys.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from not_so_clevr.checks import UserError
from not_so_clevr.results import toml
from not_so_clevr.results.experiment import Claim, Experiment, combinations

FILE = "published.toml"

_ELSEWHERE = "elsewhere"  # The one table of the file that is not a suite
_OWN = ("task", "config", "model", "recipe", "settings", "remark", "source")
_CLAIM = tuple(field.name for field in dataclasses.fields(Claim))


class Published(NamedTuple):
    """A row of the table "Published elsewhere", as text."""

    source: str
    task: str
    model: str
    config: str
    epochs: str
    metric: str
    train: str
    test: str


PUBLISHED_COLUMNS = Published._fields


def suite_names() -> list[str]:
    """Returns the names of the suites, without reading their experiments."""
    return [name for name in _file() if name != _ELSEWHERE]


@functools.cache
def suites() -> dict[str, tuple[Experiment, ...]]:
    """Returns the experiments of each suite.

    Raises:
        UserError: if a row of the file has a wrong key, or lacks one.
    """
    found: dict[str, tuple[Experiment, ...]] = {}
    known: dict[str, Experiment] = {}
    for suite in suite_names():
        experiments: list[Experiment] = []
        for number, row in enumerate(_file()[suite], 1):
            experiments += _experiments(f"{FILE}: row {number} of [[{suite}]]", row, known)

        known |= {each.id: each for each in experiments}
        found[suite] = tuple(experiments)
    return found


@functools.cache
def published_rows() -> tuple[Published, ...]:
    """Returns the table "Published elsewhere": claims with a result on test, each once."""
    quoted = (each for suite in _file()[_ELSEWHERE]["suites"] for each in suites()[suite])
    rows = (
        Published(
            claim.source,
            *(each.task, each.model, each.config),
            *(claim.epochs, claim.metric, claim.train, claim.test),
        )
        for each in quoted
        if (claim := each.claim) and claim.test
    )
    return tuple(dict.fromkeys(rows))  # Two experiments may share a claim.


def sources() -> str:
    """Returns the text above the table "Published elsewhere": the sources of its numbers."""
    return _file()[_ELSEWHERE]["text"]


@functools.cache
def _file() -> dict[str, Any]:
    return toml.of_package(FILE)


def _experiments(
    where: str,
    row: Mapping[str, Any],
    known: Mapping[str, Experiment],
) -> list[Experiment]:
    """Returns the experiments of a row; `known` has those of the suites above it, by id."""
    if list(row) == ["same_as"]:
        if row["same_as"] not in known:
            problem = f"same_as = {row['same_as']!r} is not the id of an experiment"
            raise UserError(f"{where}: {problem} in a suite above.")
        return [known[row["same_as"]]]

    allowed = dict.fromkeys((*_OWN, *_CLAIM) if "source" in row else _OWN)
    toml.check_keys(where, row, allowed, needed=("task", "config", "model"))
    return combined(row, _claim(row))


def combined(row: Mapping[str, Any], claim: Claim | None = None) -> list[Experiment]:
    """Returns an experiment for every combination of the lists of a row."""
    names = [_as_list(row.get(key, "")) for key in ("task", "config", "model", "recipe")]
    axes = {name: _as_list(value) for name, value in row.get("settings", {}).items()}
    return combinations(names, axes, claim, row.get("remark", ""))


def _claim(row: Mapping[str, Any]) -> Claim | None:
    """Returns the claim of a row, if it has a source."""
    values = {key: row[key] for key in _CLAIM if key in row}
    if "expected" in values:
        values["expected"] = tuple(values["expected"])
    return Claim(**values) if values else None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

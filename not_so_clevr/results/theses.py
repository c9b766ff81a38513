"""Theses: general claims of others about coordinates in networks, and the experiments on each.

A `Claim` is the published result of one experiment; a `Thesis` is a sentence that several
experiments decide. They are data: claims.toml, beside this file, explains its keys. Together they
are the grid `claims`; those of one thesis are the grid `claims/NAME`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.results import published, toml
from not_so_clevr.results.experiment import SEEDS, BestOf, Experiment

FILE = "claims.toml"
SUITE = "claims"
RULES = ("perfect", "fails")  # Of a part
COMPARED = ("better", "faster", "smaller")  # Rules of a comparison

_WHAT = ("task", "config", "model", "recipe", "settings", "remark")
_PART = ("name", *_WHAT, "rule", "seeds", "best", "seconds")
_COMPARISON = ("name", "rule", "first", "second", "metric", "times")
_WORDS = ("name", "title", "claim", "source", "experiment")
_THESIS = (*_WORDS, "part", "comparison")


@dataclasses.dataclass(frozen=True)
class Part:
    """Experiments of a thesis that have one name and are judged together, by one rule.

    Attributes:
        name: what they have in common, in a few words.
        experiments: what to run.
        rule: "perfect" or "fails"; "" if they are only compared, or shown.
    """

    name: str
    experiments: Sequence[Experiment]
    rule: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two groups of parts of a thesis; the claim is that the first beats the second.

    Their experiments are paired in their order, and the runs of a pair by seed.

    Attributes:
        name: in a few words.
        rule: "better", "faster" or "smaller".
        first: the names of parts.
        second: the names of as many parts.
        metric: of test, for "better"; "" for the accuracy metric of the task.
        times: by how many times at least, for "faster" and "smaller".
    """

    name: str
    rule: str
    first: Sequence[str]
    second: Sequence[str]
    metric: str = ""
    times: float = 1.0


@dataclasses.dataclass(frozen=True)
class Thesis:
    """A claim about networks in general, and what decides it.

    Attributes:
        name: of one word.
        title: of its section.
        claim: in one sentence.
        source: who claims it, and where.
        experiment: the experiment and what decides it, in words.
        parts: the experiments.
        comparisons: of parts.
    """

    name: str
    title: str
    claim: str
    source: str
    experiment: str
    parts: Sequence[Part]
    comparisons: Sequence[Comparison] = ()

    @property
    def suite(self) -> str:
        return f"{SUITE}/{self.name}"

    @property
    def experiments(self) -> list[Experiment]:
        """All experiments, each once."""
        return _once(each for part in self.parts for each in part.experiments)

    def experiments_of(self, names: Sequence[str]) -> list[Experiment]:
        """Returns the experiments of some parts, in the order of the names."""
        by_name = {part.name: part.experiments for part in self.parts}
        return [each for name in names for each in by_name[name]]


def suite_names() -> list[str]:
    """Returns the names of all suites: published experiments, all theses, and each of them."""
    own = [f"{SUITE}/{row['name']}" for row in toml.of_package(FILE)["thesis"]]
    return [*published.suite_names(), SUITE, *own]


def suite(name: str, noun: str = "suite", others: str = "") -> tuple[Experiment, ...]:
    """Returns the experiments of a suite.

    Raises:
        UserError: if it is unknown; the sentence calls it `noun`, and adds `others` to all names.
    """
    if name in published.suites():
        return published.suites()[name]
    chosen = [thesis for thesis in theses() if name in (SUITE, thesis.suite)]
    if not chosen:
        known = [*published.suites(), SUITE]
        hint = did_you_mean(name, suite_names())
        expected = f"expected one of {', '.join(known)}, {SUITE}/NAME{others}"
        raise UserError(f"There is no {noun} {name!r}{hint}; {expected}.")
    return tuple(_once(each for thesis in chosen for each in thesis.experiments))


@functools.cache
def theses() -> tuple[Thesis, ...]:
    """Returns all theses, in the order of the file.

    Raises:
        UserError: if the file has a wrong key, or lacks one.
    """
    return tuple(parse(row) for row in toml.of_package(FILE)["thesis"])


def parse(row: Mapping[str, Any]) -> Thesis:
    """Returns the thesis in a table of the file. Raises UserError as `theses`."""
    where = f"{FILE}: {row.get('name', 'a thesis')}"
    toml.check_keys(where, row, _THESIS, needed=(*_WORDS, "part"))
    parts: dict[str, Part] = {}
    for number, each in enumerate(row["part"], 1):
        part = _part(f"{where}, part {number}", row["name"], each)
        if (before := parts.get(part.name)) is not None:  # One more table of the same part
            part = dataclasses.replace(part, experiments=[*before.experiments, *part.experiments])
        parts[part.name] = part

    return Thesis(
        **{key: row[key] for key in _WORDS},
        parts=[_counted(part) for part in parts.values()],
        comparisons=[_comparison(where, each, parts) for each in row.get("comparison", ())],
    )


def _part(where: str, thesis: str, row: Mapping[str, Any]) -> Part:
    toml.check_keys(where, row, _PART, needed=("name", "task", "config", "model", "seconds"))
    rule = row.get("rule", "")
    if rule not in ("", *RULES):
        raise UserError(f"{where}: rule={rule!r} is unknown; expected one of {', '.join(RULES)}.")

    seeds, best = row.get("seeds", SEEDS), row.get("best", 0)

    def promising(each: Experiment) -> Experiment:
        grid = f"{thesis}/{row['name']}/{each.task}/{each.config}"
        best_of = BestOf(grid, 0, seeds, best) if best else None
        return dataclasses.replace(
            each, seeds=seeds, best_of=best_of, seconds=float(row["seconds"])
        )

    alone = {key: row[key] for key in _WHAT if key in row}
    return Part(row["name"], [*map(promising, published.combined(alone))], rule)


def _counted(part: Part) -> Part:
    """Returns a part whose grids know how many points they have."""
    of_grid = [each.best_of for each in part.experiments]

    def counted(each: Experiment) -> Experiment:
        if each.best_of is None:
            return each
        whole = dataclasses.replace(each.best_of, points=of_grid.count(each.best_of))
        return dataclasses.replace(each, best_of=whole)

    return dataclasses.replace(part, experiments=[counted(each) for each in part.experiments])


def _comparison(where: str, row: Mapping[str, Any], parts: Mapping[str, Part]) -> Comparison:
    toml.check_keys(where, row, _COMPARISON, needed=("name", "rule", "first", "second"))
    compared = Comparison(**row)
    if compared.rule not in COMPARED:
        expected = ", ".join(COMPARED)
        raise UserError(f"{where}: rule={compared.rule!r} is unknown; expected one of {expected}.")

    counts = []
    for names in (compared.first, compared.second):
        for name in names:
            if name not in parts:
                expected = f"expected one of {', '.join(parts)}"
                raise UserError(f"{where}: there is no part {name!r} to compare; {expected}.")
        counts.append([(e.task, e.config) for name in names for e in parts[name].experiments])
    if counts[0] != counts[1]:
        problem = f"{compared.first} and {compared.second} cannot be paired"
        raise UserError(f"{where}: {problem}; give them the same tasks and configs in one order.")
    return compared


def _once(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Returns each experiment once, with the largest number of seeds that it promises anywhere."""
    found: dict[str, Experiment] = {}
    for each in experiments:
        before = found.get(each.id, each)
        found[each.id] = dataclasses.replace(
            before, seeds=max(before.seeds, each.seeds), best_of=before.best_of or each.best_of
        )
    return list(found.values())

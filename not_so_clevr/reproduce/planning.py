"""Choosing experiments, finding the runs that are left, and running them one after the other."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from not_so_clevr import files, results
from not_so_clevr.benchmark.events import Event
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.geometry import CanvasSize
from not_so_clevr.results import Result, naming, published
from not_so_clevr.results.experiment import PERFECT, Experiment

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run

_UNITS = {"h": 3600, "m": 60, "s": 1}


@dataclasses.dataclass(frozen=True)
class Row:
    """An experiment and its run with seed 0."""

    experiment: Experiment
    run: Run

    @property
    def id(self) -> str:
        """The id of the runs without the seed; the default recipe is never part of it."""
        return self.run.id.rpartition("/")[0]

    def owns(self, run: Result) -> bool:
        """Returns whether a run with this id has the planned model, recipe and metric."""
        metric = self.experiment.claim.metric if self.experiment.claim else ""
        if metric not in ("", PERFECT) and any(metric not in each for each in run.metrics.values()):
            return False
        return run.model == self.run.model.name and run.made_by(self.run.saved_recipe)


@dataclasses.dataclass(frozen=True)
class Planned:
    """The complete runs and those still to do; the first event of a reproduction or a sweep."""

    rows: Sequence[Row]
    found: Sequence[Result]  # The complete runs in the folder
    problems: Sequence[str]  # One sentence for each unreadable file in the folder
    left: Sequence[tuple[Row, int]]  # Row and seed of each run still to do
    seconds: Mapping[str, float | None]  # Estimated duration of one run, by row id

    @property
    def runs(self) -> list[Run]:
        """The runs still to do."""
        return [row.run.with_seed(seed) for row, seed in self.left]


def run(
    suites: Iterable[str],
    options: RunOptions,
    *,
    rows: Sequence[str] = (),
    seeds: int = 3,
    budget: float | None = None,
) -> Iterator[Event | Planned]:
    """Makes the missing runs of some suites and resumes interrupted ones.

    Args:
        suites: the names of the suites.
        options: for every run.
        rows: ids of the experiments to run, or patterns with * and ?; all if empty.
        seeds: the number of runs per experiment, with seeds 0, 1, ...
        budget: stop after this many seconds, not counting the generation of data sets.

    Yields:
        Planned, then the events of `benchmark.runner.make`.

    Raises:
        UserError: if a suite or a row is unknown.
        OSError: if the folder of runs does not exist; and whatever `make` raises.
    """
    planned = look(plan(select(suites, rows)), range(seeds), options.runs)
    yield planned
    from not_so_clevr.benchmark import runner

    options = dataclasses.replace(options, resume=True)
    yield from runner.make(planned.runs, options, budget)


def select(suites: Iterable[str], patterns: Sequence[str] = ()) -> list[Experiment]:
    """Returns the experiments of some suites whose id matches a pattern, each once.

    Raises:
        UserError: if a suite is unknown, or a pattern matches nothing.
    """
    chosen: dict[str, Experiment] = {}
    known = published.suites()
    for name in suites:
        if name not in known:
            hint, expected = did_you_mean(name, known), ", ".join(known)
            raise UserError(f"There is no suite {name!r}{hint}; expected one of {expected}.")
        for experiment in known[name]:
            chosen.setdefault(experiment.id, experiment)
    return [chosen[key] for key in matching(list(chosen), patterns)]


def matching(ids: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Returns the ids that match a pattern with * and ?; all ids if there is no pattern.

    Raises:
        UserError: if a pattern matches nothing.
    """
    wanted = set() if patterns else set(ids)
    for pattern in patterns:
        matches = fnmatch.filter(ids, pattern)
        if not matches:
            expected = f"expected an id such as {ids[0]}, or a pattern with *"
            raise UserError(f"--row {pattern} matches none of the {len(ids)} rows; {expected}.")
        wanted.update(matches)
    return [key for key in ids if key in wanted]


def plan(experiments: Iterable[Experiment]) -> list[Row]:
    """Returns a row for each experiment. Imports Keras."""
    from not_so_clevr.benchmark import experiment, registry

    find = functools.cache(registry.find)  # Each search goes through all installed packages.

    def plan_run(each: Experiment) -> Run:
        return experiment.plan(
            find(each.model),
            task=each.task,
            config=each.config,
            recipe=each.recipe or None,
            settings=each.settings,
        )

    return [Row(each, plan_run(each)) for each in experiments]


def look(rows: Sequence[Row], seeds: Iterable[int], folder: str | pathlib.Path | None) -> Planned:
    """Looks into a folder of runs, and returns what is there and what is left."""
    folders = [] if folder is None else [files.expanded(folder)]
    found, problems = results.load([each for each in folders if each.exists()], none=True)
    seconds = estimates(rows, [*found, *results.reference()])
    return Planned(rows, found, problems, left(rows, seeds, found), seconds)


def runs(rows: Iterable[Row], found: Iterable[Result]) -> list[list[Result]]:
    """Returns the runs of each row."""
    by_id = results.grouped(found, lambda run: naming.run_id(*run.row))
    return [[run for run in by_id.get(row.id, []) if row.owns(run)] for row in rows]


def left(
    rows: Sequence[Row], seeds: Iterable[int], found: Iterable[Result]
) -> list[tuple[Row, int]]:
    """Returns the missing runs: every row with the first seed, then every row with the next."""
    done = {run.id for of_row in runs(rows, found) for run in of_row}
    every = ((row, seed) for seed in seeds for row in rows)
    return [(row, seed) for row, seed in every if row.run.with_seed(seed).id not in done]


def estimates(rows: Iterable[Row], known: Iterable[Result]) -> dict[str, float | None]:
    """Returns the estimated seconds of one run by row id, from known runs of the same model.

    It is the median of runs with the same recipe or, without any, of the others by their number of
    epochs; None without either.
    """
    timed = [run for run in known if run.seconds and run.epochs]
    by_model = results.grouped(timed, lambda run: (run.task, run.model, _canvas_size(run)))

    def estimate(run: Run) -> float | None:
        alike = by_model.get((run.task.name, run.model.name, run.config.canvas_size), [])
        same = [each.seconds for each in alike if each.made_by(run.saved_recipe)]
        scaled = [run.recipe.epochs * (each.seconds or 0) / each.epochs for each in alike]
        return results.median(same or scaled)

    return {row.id: estimate(row.run) for row in rows}


def _canvas_size(run: Result) -> CanvasSize | None:
    """Returns the canvas size of a run; None for a data set that is not ours."""
    try:
        return as_config(run.config).canvas_size
    except ValueError:
        return None


def seconds(text: str) -> float:
    """Returns the seconds in a duration such as `90s`, `30m` or `1h30m`.

    Raises:
        UserError: if the text is not a duration.
    """
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise UserError(f"--budget must be a duration such as 90s, 30m or 1h30m, got {text!r}.")
    return sum(
        float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text)
    )

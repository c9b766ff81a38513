"""Choosing experiments, finding the runs that are left, and running them one after the other."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import numbers
import pathlib
import re
import shlex
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from not_so_clevr import files, results
from not_so_clevr.benchmark.events import Event
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError, as_list, integer
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.geometry import CanvasSize
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.results import Result, naming, theses
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
    seeds: int | None = None,
    budget: float | None = None,
) -> Iterator[Event | Planned]:
    """Makes the missing runs of some suites and resumes interrupted ones.

    Args:
        suites: the names of the suites.
        options: for every run.
        rows: ids of the experiments to run, or patterns with * and ?; all if empty.
        seeds: the number of runs per experiment, with seeds 0, 1, ...; None for what each promises.
        budget: stop after this many seconds, not counting the generation of data sets.

    Yields:
        Planned, then the events of `benchmark.runner.make`.

    Raises:
        UserError: if a suite or a row is unknown, or another argument is wrong.
        OSError: if the folder of runs does not exist; and whatever `make` raises.
    """
    chosen = None if seeds is None else range(integer("seeds", seeds, 1, 10_000))
    if budget is not None and not (isinstance(budget, numbers.Real) and budget >= 0):
        raise UserError(
            f"budget must be a number of seconds, 0 or more, got {budget!r}; "
            "reproduce.seconds('30m') is one."
        )
    planned = look(plan(select(suites, rows)), chosen, options.runs)
    yield planned
    from not_so_clevr.benchmark import runner

    options = dataclasses.replace(options, resume=options.runs is not None)
    yield from runner.make(planned.runs, options, budget)


def select(suites: Iterable[str], patterns: Sequence[str] = ()) -> list[Experiment]:
    """Returns the experiments of some suites whose id matches a pattern, each once.

    Raises:
        UserError: if a suite is unknown, or a pattern matches nothing.
    """
    chosen: dict[str, Experiment] = {}
    for name in as_list("suites", suites):
        for experiment in theses.suite(name):
            chosen.setdefault(experiment.id, experiment)
    return [chosen[key] for key in matching(list(chosen), patterns)]


def matching(ids: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Returns the ids that match a pattern with * and ?; all ids if there is no pattern.

    Raises:
        UserError: if a pattern matches nothing.
    """
    patterns = as_list("rows", patterns)
    wanted = set() if patterns else set(ids)
    for pattern in patterns:
        matches = fnmatch.filter(ids, pattern)
        if not matches:
            expected = f"expected an id such as {ids[0]}, or a pattern with *"
            row = shlex.quote(pattern)
            raise UserError(f"--row {row} matches none of the {len(ids)} rows; {expected}.")
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


def look(
    rows: Sequence[Row], seeds: Iterable[int] | None, folder: str | pathlib.Path | None
) -> Planned:
    """Looks into a folder of runs, and returns what is there and what is left.

    Args:
        rows: the experiments.
        seeds: of every row; None for what each promises.
        folder: of the runs.
    """
    folders = [] if folder is None else [files.expanded(folder)]
    found, problems = results.load([each for each in folders if each.exists()], none=True)
    seconds = estimates(rows, [*found, *results.reference()])
    return Planned(rows, found, problems, left(rows, seeds, found), seconds)


def runs(rows: Iterable[Row], found: Iterable[Result]) -> list[list[Result]]:
    """Returns the runs of each row."""
    by_id = results.grouped(found, lambda run: naming.run_id(*run.row))
    return [[run for run in by_id.get(row.id, []) if row.owns(run)] for row in rows]


def left(
    rows: Sequence[Row], seeds: Iterable[int] | None, found: Iterable[Result]
) -> list[tuple[Row, int]]:
    """Returns the missing runs: every row with the first seed, then every row with the next.

    With None for the seeds, each row has as many as it promises; see `promised`.
    """
    of_rows = runs(rows, found)
    done = {run.id for of_row in of_rows for run in of_row}
    if seeds is None:
        counts = promised([row.experiment for row in rows], of_rows)
        several = range(max(counts, default=0))
        every = ((row, k) for k in several for row, n in zip(rows, counts, strict=True) if k < n)
    else:
        every = ((row, seed) for seed in seeds for row in rows)
    return [(row, seed) for row, seed in every if row.run.with_seed(seed).id not in done]


def promised(experiments: Sequence[Experiment], runs: Sequence[Sequence[Result]]) -> list[int]:
    """Returns the number of seeds that each experiment promises.

    The best point of a grid promises more once it is known: when all points have their runs.

    Args:
        experiments: if they lack a point of a grid, it has no best point.
        runs: those of each experiment.
    """
    counts = [each.seeds for each in experiments]
    of_grid = results.grouped(range(len(experiments)), lambda k: experiments[k].best_of)
    for best_of, points in of_grid.items():
        if best_of is not None and len(points) == best_of.points:
            first = [first_seeds(runs[k], best_of.among) for k in points]
            if (best := best_point(first)) is not None:
                counts[points[best]] = max(best_of.seeds, counts[points[best]])
    return counts


def first_seeds(runs: Iterable[Result], count: int) -> list[Result] | None:
    """Returns the runs with the first seeds, in their order; None if one of them is missing."""
    by_seed = {run.seed: run for run in runs}
    return [by_seed[seed] for seed in range(count)] if by_seed.keys() >= {*range(count)} else None


def best_point(points: Sequence[Sequence[Result] | None]) -> int | None:
    """Returns the index of the best point of a grid; None if the runs of a point are missing.

    It has the most perfect runs, then the largest share of test right, then it is closest there,
    each as a mean over seeds; of equal points it is the first.
    """

    def order(runs: Sequence[Result]) -> tuple[float, ...]:
        about = METRICS[runs[0].distance_metric]
        perfect = statistics.fmean(run.perfect for run in runs)
        right = statistics.fmean(run.accuracy("test") for run in runs)
        far = statistics.fmean(about.shortfall(run.distance("test")) for run in runs)
        return perfect, right, -far

    known = [order(runs) for runs in points if runs is not None]
    return known.index(max(known)) if len(known) == len(points) else None


def estimates(rows: Iterable[Row], known: Iterable[Result]) -> dict[str, float | None]:
    """Returns the estimated seconds of one run by row id, from known runs of the same model.

    It is the median of runs with the same recipe; without any, what the experiment says; else the
    median of the other runs, by their number of epochs; None without any of them.
    """
    timed = [run for run in known if run.seconds and run.epochs]
    by_model = results.grouped(timed, lambda run: (run.task, run.model, _canvas_size(run)))

    def estimate(row: Row) -> float | None:
        run = row.run
        alike = by_model.get((run.task.name, run.model.name, run.config.canvas_size), [])
        same = [each.seconds for each in alike if each.made_by(run.saved_recipe)]
        if not same and row.experiment.seconds is not None:
            return row.experiment.seconds
        scaled = [run.recipe.epochs * (each.seconds or 0) / each.epochs for each in alike]
        return results.median(same or scaled)

    return {row.id: estimate(row) for row in rows}


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
    if not isinstance(text, str) or not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise UserError(f"--budget must be a duration such as 90s, 30m or 1h30m, got {text!r}.")
    return sum(
        float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text)
    )

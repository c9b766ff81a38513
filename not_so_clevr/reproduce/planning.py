"""Experiments to run: chosen by name and planned; which runs are left, and how long they take."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from not_so_clevr import results
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import Result, naming, published
from not_so_clevr.results.experiment import PERFECT, Experiment

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run

_UNITS = {"h": 3600, "m": 60, "s": 1}


def select(suites: Iterable[str], patterns: Sequence[str] = ()) -> list[Experiment]:
    """Returns the experiments of some suites; only those with an id like one of the patterns, with * and ?, if there are any.

    Raises:
        UserError: one sentence, if there is no such suite, or if a pattern is like no id.
    """
    chosen: dict[str, Experiment] = {}
    known = published.suites()
    for name in suites:
        if name not in known:
            raise UserError(f"There is no suite {name!r}; expected one of {', '.join(known)}.")
        for experiment in known[name]:
            chosen.setdefault(experiment.id, experiment)
    return [chosen[key] for key in matching(list(chosen), patterns)]


def matching(ids: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Returns the ids that are like one of the patterns, with * and ?; all of them if there is no pattern.

    Raises:
        UserError: one sentence, if a pattern is like no id.
    """
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern):
            raise UserError(f"--row {pattern} is none of the {len(ids)} rows; expected such as {ids[0]}, or with *.")
    wanted = {key for pattern in patterns or ["*"] for key in fnmatch.filter(ids, pattern)}
    return [key for key in ids if key in wanted]


@dataclasses.dataclass(frozen=True)
class Row:
    """An experiment, and its run with seed 0."""

    experiment: Experiment
    run: Run

    @property
    def id(self) -> str:
        """The id of its runs, without the seed; that of the experiment, unless that names the default recipe."""
        return self.run.id.rpartition("/")[0]

    def runs(self, named: Iterable[Result]) -> list[Result]:
        """Returns, of runs with its name, those that were made and measured as planned, and not with other settings."""
        metric = self.experiment.claim.metric if self.experiment.claim else ""
        alike = [run for run in named if metric in ("", PERFECT) or all(metric in each for each in run.metrics.values())]
        return [run for run in alike if run.model == self.run.model.name and run.made_by(self.run.saved_recipe)]

    def estimate(self, alike: Sequence[Result]) -> float | None:
        """Returns how many seconds a run will take, by what runs of the model took with its settings, or epochs with others."""
        same = [run.seconds for run in alike if run.made_by(self.run.saved_recipe)]
        return results.median(same or [self.run.recipe.epochs * (run.seconds or 0) / run.epochs for run in alike])


def _canvas_size(run: Result) -> int | None:
    """Returns the size of the canvas of a run; None for a data set of somebody else's."""
    try:
        return as_config(run.config).canvas_size
    except ValueError:
        return None


def plan(experiments: Iterable[Experiment]) -> list[Row]:
    """Returns a row for each experiment. Imports Keras."""
    from not_so_clevr.benchmark import experiment, registry

    find = functools.cache(registry.find)  # It looks through all packages.
    return [
        Row(
            each,
            experiment.plan(
                find(each.model), task=each.task, config=each.config, recipe=each.recipe or None, settings=each.settings
            ),
        )
        for each in experiments
    ]


def runs(rows: Iterable[Row], found: Iterable[Result]) -> list[list[Result]]:
    """Returns for each row those of the runs found that are its own."""
    named = results.grouped(found, lambda run: naming.run_id(run.task, run.config, run.label))
    return [row.runs(named.get(row.id, [])) for row in rows]


def left(rows: Sequence[Row], seeds: Iterable[int], found: Iterable[Result]) -> list[tuple[Row, int]]:
    """Returns the runs that are not among those found: every row with the first seed, then every row with the next."""
    complete = {run.id for own in runs(rows, found) for run in own}
    return [(row, seed) for seed in seeds for row in rows if row.run.with_seed(seed).id not in complete]


def estimates(rows: Iterable[Row], known: Iterable[Result]) -> dict[str, float | None]:
    """Returns for the id of each row how many seconds one of its runs will take, or None if no run of its model tells."""
    timed = [run for run in known if run.seconds and run.epochs]
    alike = results.grouped(timed, lambda run: (run.task, run.model, _canvas_size(run)))
    return {
        row.id: row.estimate(alike.get((row.run.task.name, row.run.model.name, row.run.config.canvas_size), [])) for row in rows
    }


def seconds(text: str) -> float:
    """Returns the seconds of a time such as `90s`, `30m` or `1h30m`.

    Raises:
        UserError: one sentence, if it is none.
    """
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise UserError(f"--budget {text} is no time; expected such as 90s, 30m or 1h30m.")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))

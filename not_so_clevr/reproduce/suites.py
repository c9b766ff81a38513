"""Running suites of published experiments: what is left of them, and the runs as events."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from not_so_clevr import files, results
from not_so_clevr.benchmark.events import Event
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.reproduce import planning
from not_so_clevr.reproduce.planning import Row
from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run


@dataclasses.dataclass(frozen=True)
class Planned:
    """What is there and what is left to do; the first event of a reproduction or a sweep.

    Attributes:
        rows: the experiments.
        found: the complete runs in the folder.
        problems: a sentence for each file there that cannot be read.
        left: rows and seeds of the runs that are not there.
        seconds: the estimate for one run by the id of its row, or None.
    """

    rows: Sequence[Row]
    found: Sequence[Result]
    problems: Sequence[str]
    left: Sequence[tuple[Row, int]]
    seconds: Mapping[str, float | None]

    @property
    def runs(self) -> list[Run]:
        """The runs that are left."""
        return [row.run.with_seed(seed) for row, seed in self.left]


def run(
    suites: Iterable[str],
    options: RunOptions,
    *,
    rows: Sequence[str] = (),
    seeds: int = 3,
    budget: float | None = None,
) -> Iterator[Event | Planned]:
    """Makes the runs of some suites that are not there, and continues those that were interrupted.

    Args:
        suites: their names.
        options: of each run.
        rows: only these experiments: ids, or patterns with *.
        seeds: how many runs of each experiment, with seeds 0, 1, ...
        budget: seconds after which to stop, counted once the data sets are there.

    Yields:
        Planned, then what `benchmark.runner.make` yields.

    Raises:
        UserError: one sentence, if a suite or a row is unknown.
        OSError: one sentence, if there is no such folder; and whatever `make` raises.
    """
    planned = plan(planning.plan(planning.select(suites, rows)), range(seeds), options.runs)
    yield planned
    from not_so_clevr.benchmark import runner

    options = dataclasses.replace(options, resume=True)
    yield from runner.make(planned.runs, options, budget)


def plan(rows: Sequence[Row], seeds: Iterable[int], runs: str | pathlib.Path | None) -> Planned:
    """Returns what is there in a folder of runs, and what is left to do."""
    folders = [] if runs is None else [files.expanded(runs)]
    there = [folder for folder in folders if folder.exists()]
    found, problems = results.load(there, none=True)
    left = planning.left(rows, seeds, found)
    seconds = planning.estimates(rows, [*found, *results.reference()])
    return Planned(rows, found, problems, left, seconds)

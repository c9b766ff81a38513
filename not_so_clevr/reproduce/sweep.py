"""Sweeps: many runs at once on Ray, each in a fresh process, on this machine or on a cluster.

A run has a log beside its folder, `seed0.log` beside `seed0`, with everything its process prints,
including a line per epoch. The sweep reads the progress of the run there, so it has no state but
the folder of runs.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from not_so_clevr import files, results
from not_so_clevr.benchmark.events import Event, Failed, Finished
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.reproduce import cluster, planning, worker
from not_so_clevr.reproduce.grids import Grid
from not_so_clevr.reproduce.planning import Planned, Row
from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run

ATTEMPTS = 2
LOG = ".log"

_SECONDS = 1.0  # Between two progress events
_TAIL = 8192  # Bytes
_LINES = 10


@dataclasses.dataclass(eq=False)
class Attempt:
    """A run on Ray: how often it was tried, and the outcome of the last attempt."""

    row: Row
    seed: int
    log: pathlib.Path  # What its processes print
    estimate: float | None = None  # Expected seconds
    number: int = 0  # 0 before the run was handed to Ray, then 1 or 2
    offset: int = 0  # Bytes of the log before the last attempt
    result: Result | None = None  # Once the run is complete
    failure: str = ""  # Why the last attempt failed, in one line

    @property
    def run(self) -> Run:
        return self.row.run.with_seed(self.seed)

    @property
    def over(self) -> bool:
        return self.result is not None or (self.number >= ATTEMPTS and bool(self.failure))

    @property
    def seconds(self) -> float | None:
        return self.result.seconds if self.result else None

    def printed(self) -> str:
        """Returns the end of what the last attempt has printed; "" if it has not begun."""
        try:
            with files.opened(self.log) as stream:
                stream.seek(max(self.offset, self.log.stat().st_size - _TAIL))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""

    def end(self) -> str:
        """Returns the last lines that the last attempt has printed, cut to 200 characters."""
        return "\n".join(line[:200] for line in self.printed().rstrip().splitlines()[-_LINES:])


@dataclasses.dataclass(frozen=True)
class Going:
    """The progress of a sweep, about once a second."""

    attempts: Sequence[Attempt]  # One per run; they change while the sweep goes on.
    slots: int = 0  # Number of runs at once; 0 before Ray has started


def run(
    grid: Grid,
    options: RunOptions,
    *,
    rows: Sequence[str] = (),
    address: str | None = None,
    cpus: int = 1,
    gpus: float = 0,
) -> Iterator[Event | Planned | Going]:
    """Makes the missing runs of a grid on Ray, many at once.

    A run that fails is tried once more, from its last checkpoint.

    Args:
        grid: as returned by `grids.read`; without seeds, with those that each row promises.
        options: for every run, which is resumed; callbacks and replace are not allowed.
        rows: ids of the experiments to run, or patterns with * and ?; all if empty.
        address: of a Ray cluster, or "auto"; None or "local" for this machine.
        cpus: cores, and so threads, per run.
        gpus: GPUs per run; less than 1 to share one.

    Yields:
        Planned; then, if runs are left, Going each second, and Finished or Failed per attempt.

    Raises:
        UserError: if an argument is wrong, a model cannot be built, a run in the folder is damaged
            or has other settings, or no machine has room for a run.
        OSError: if a folder cannot be written, or there is no cluster at the address.
        MissingPackageError: if Ray is not installed.
    """
    cluster.check_resources(cpus, gpus)
    cluster.check_address(address)
    options = _for_workers(options)
    with worker.without_gpus():
        planned = planning.look(grid.plan(rows), grid.seeds, options.runs)
    yield planned

    with worker.without_gpus():
        attempts = _prepare(planned, options)
    if attempts:
        yield Going(attempts)
        with cluster.cluster(address, cpus, gpus) as slots:
            yield from _make(attempts, options, slots, cpus, gpus)


def _for_workers(options: RunOptions) -> RunOptions:
    """Returns options for processes elsewhere, with absolute paths."""
    if options.runs is None or options.callbacks or options.replace:
        given = f"runs={options.runs!r}, callbacks={options.callbacks!r}, replace={options.replace}"
        raise UserError(f"A sweep needs runs=, and allows no callbacks= or replace=, got {given}.")
    data_dir = options.data_dir
    if data_dir is not None and "://" not in str(data_dir):
        data_dir = files.expanded(data_dir).resolve()
    runs = files.expanded(options.runs).resolve()
    return dataclasses.replace(options, runs=runs, data_dir=data_dir, resume=True)


def _prepare(planned: Planned, options: RunOptions) -> list[Attempt]:
    """Checks the runs that are left, generates their data sets, and returns them as attempts."""
    from not_so_clevr.benchmark import networks, runner

    runs = planned.runs
    for each in runs:
        options.check(each)
    networks.check_models(runs)

    folder = pathlib.Path(str(options.runs))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            f"Cannot write {folder}: {reason}; choose another folder with --runs."
        ) from error

    runner.prepare(runs, options)
    return [
        Attempt(row, seed, folder / f"{run.id}{LOG}", planned.seconds[row.id])
        for run, (row, seed) in zip(runs, planned.left, strict=True)
    ]


def _make(
    attempts: Sequence[Attempt], options: RunOptions, slots: int, cpus: int, gpus: float
) -> Iterator[Event | Going]:
    """Makes runs on Ray."""
    import keras
    import ray

    from not_so_clevr.benchmark import environment

    work = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0)(worker.work)
    variables = environment.variables() | {"KERAS_BACKEND": keras.backend.backend()}
    place = worker.Place(os.getcwd(), variables, cpus, gpus)
    options = dataclasses.replace(options, verbose=0)

    def hand_over(attempt: Attempt) -> Any:
        attempt.number, attempt.failure = attempt.number + 1, ""
        attempt.offset = attempt.log.stat().st_size if attempt.log.exists() else 0
        what = (attempt.row.experiment, attempt.seed, attempt.log, attempt.number)
        return work.options(name=attempt.run.id).remote(*what, place, options)

    pending = {hand_over(attempt): attempt for attempt in attempts}
    while pending:
        done, _ = ray.wait(list(pending), timeout=_SECONDS)
        for reference in done:
            attempt = pending.pop(reference)
            attempt.result, attempt.failure = _outcome(reference)
            if attempt.result is not None:
                yield Finished(attempt.run, attempt.result)
            else:
                yield Failed(attempt.run, attempt.failure, again=not attempt.over)
            if not attempt.over:
                pending[hand_over(attempt)] = attempt
        yield Going(attempts, slots)


def _outcome(reference: Any) -> tuple[Result | None, str]:
    """Returns the result of a task, or None and why there is none."""
    import ray.exceptions

    try:
        outcome = ray.get(reference)
    except ray.exceptions.OutOfMemoryError:
        return None, "its machine ran out of memory, and Ray killed it"
    except ray.exceptions.WorkerCrashedError:
        return None, "its process died: it crashed, was killed, or ran out of memory"
    except ray.exceptions.RayError as error:
        lines = list(filter(None, map(str.strip, str(error).splitlines())))
        return None, f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"
    return (None, outcome) if isinstance(outcome, str) else (outcome, "")


def time_left(
    attempts: Sequence[Attempt], running: Mapping[Attempt, float], slots: int
) -> float | None:
    """Returns the seconds until a sweep is done, or None if they cannot be estimated.

    A run takes as long as the others of its row; without any, as long as its estimate, corrected by
    how wrong the other estimates were; without one, as long as all others.

    Args:
        attempts: of the sweep.
        running: the remaining seconds of running attempts, where known.
        slots: the number of runs at once.
    """
    done = [(each, each.seconds) for each in attempts if each.seconds]
    typical = results.median(seconds for _, seconds in done)
    correction = results.median(seconds / each.estimate for each, seconds in done if each.estimate)
    by_row = results.grouped(done, lambda pair: pair[0].row.id)

    def duration(attempt: Attempt) -> float | None:
        if attempt in running:
            return running[attempt]
        if same := by_row.get(attempt.row.id):
            return statistics.fmean(seconds for _, seconds in same)
        return typical if attempt.estimate is None else attempt.estimate * (correction or 1.0)

    durations = [duration(attempt) for attempt in attempts if not attempt.over]
    known = [seconds for seconds in durations if seconds is not None]
    if not known:
        return None if durations else 0.0
    return max(statistics.fmean(known) * len(durations) / slots, *known)

"""Sweeps: many runs at once on Ray, one task and one fresh process a run, on this machine or on a cluster.

A run keeps a log beside its folder, `seed0.log` beside `seed0`: all that its process prints, a line for each epoch among it.
The sweep reads there how far the run is, so that nothing else must survive but the folder of all runs.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from not_so_clevr import files, reproduce, results
from not_so_clevr.benchmark.events import Event, Failed, Finished
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.reproduce import cluster, suites, worker
from not_so_clevr.reproduce.grids import Grid
from not_so_clevr.reproduce.suites import Planned
from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run

ATTEMPTS = 2
LOG = ".log"

_SECONDS = 1.0  # Between two looks at what the runs do
_TAIL = 8192  # Bytes
_LINES = 10


@dataclasses.dataclass(eq=False)
class Attempt:
    """The attempts to make a run on Ray, and what the last one came to.

    Attributes:
        row: the experiment.
        seed: of the run.
        log: the file with all that its processes print.
        estimate: the seconds that the run was thought to take, or None.
        number: 0 before the run was handed to Ray, then 1 or 2.
        offset: where in the log the last attempt begins, in bytes.
        result: of the run, once it is complete.
        failure: why the last attempt failed, in one line; "" if it did not, or has not yet.
    """

    row: reproduce.Row
    seed: int
    log: pathlib.Path
    estimate: float | None = None
    number: int = 0
    offset: int = 0
    result: Result | None = None
    failure: str = ""

    @property
    def run(self) -> Run:
        return self.row.run.with_seed(self.seed)

    @property
    def over(self) -> bool:
        return self.result is not None or (self.number >= ATTEMPTS and bool(self.failure))

    def printed(self) -> str:
        """Returns the end of what the last attempt has printed; "" if it has not begun."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(self.offset, self.log.stat().st_size - _TAIL))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""

    def end(self) -> str:
        """Returns the last lines of what the last attempt has printed, the first 200 characters of each."""
        return "\n".join(line[:200] for line in self.printed().rstrip().splitlines()[-_LINES:])


@dataclasses.dataclass(frozen=True)
class Going:
    """How far a sweep is: an event of each second.

    Attributes:
        attempts: one for each run; they change while the sweep goes on.
        slots: how many runs go on at once; 0 before Ray has started.
    """

    attempts: Sequence[Attempt]
    slots: int = 0


def run(
    grid: Grid,
    options: RunOptions,
    *,
    rows: Sequence[str] = (),
    address: str | None = None,
    cpus: int = 1,
    gpus: float = 0,
) -> Iterator[Event | Planned | Going]:
    """Has Ray make the runs of a grid that are not there, many at once.

    A run that fails is tried once more, from its last epoch.

    Args:
        grid: as `grids.read` returns it; three seeds if it has none.
        options: of each run; without callbacks, and neither resume nor replace: runs are resumed.
        rows: only these experiments: ids, or patterns with *.
        address: of a Ray cluster, or "auto"; None for this machine.
        cpus: cores for a run, and so threads.
        gpus: for a run; less than 1 to share one.

    Yields:
        Planned; then, if runs are left, Going each second, and Finished or Failed for each attempt.

    Raises:
        UserError: one sentence, if an argument is wrong, a model cannot be built, a run is there
            that is damaged or was made with other settings, or no machine has room for a run.
        OSError: one sentence, if a folder cannot be written, or there is no such cluster.
        MissingPackageError: one sentence, if there is no Ray.
    """
    cluster.check_place(cpus, gpus)
    cluster.check_address(address)
    options = _for_workers(options)
    with worker.without_gpus():
        planned = suites.plan(grid.plan(rows), grid.seeds or range(3), options.runs)
    yield planned

    with worker.without_gpus():
        attempts = _checked(planned, options)
    if attempts:
        yield Going(attempts)
        with cluster.cluster(address, cpus, gpus) as slots:
            yield from _made(attempts, options, slots, cpus, gpus)


def _for_workers(options: RunOptions) -> RunOptions:
    """Returns options for processes elsewhere, with absolute paths."""
    if options.runs is None or options.callbacks or options.replace:
        raise UserError(
            f"runs={options.runs!r}, callbacks={options.callbacks!r}, replace={options.replace!r}: "
            "a sweep needs a folder of runs, and takes neither callbacks nor replace."
        )
    data_dir = options.data_dir
    if data_dir is not None and "://" not in str(data_dir):
        data_dir = files.expanded(data_dir).resolve()
    runs = files.expanded(options.runs).resolve()
    return dataclasses.replace(options, runs=runs, data_dir=data_dir, resume=True)


def _checked(planned: Planned, options: RunOptions) -> list[Attempt]:
    """Returns an attempt for each run that is left, once nothing stands in the way of any."""
    from not_so_clevr.benchmark import networks, runner

    for each in planned.runs:
        options.check(each)
    networks.check_models(planned.runs)
    folder = pathlib.Path(str(options.runs))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"Cannot write {folder}: {reason}; choose another folder with --runs.") from error
    runner.prepare(planned.runs, options)
    return [
        Attempt(row, seed, folder / (row.run.with_seed(seed).id + LOG), planned.seconds[row.id]) for row, seed in planned.left
    ]


def _made(attempts: Sequence[Attempt], options: RunOptions, slots: int, cpus: int, gpus: float) -> Iterator[Event | Going]:
    """Hands runs to Ray; yields what comes of them."""
    import keras
    import ray

    from not_so_clevr.benchmark import environment

    work = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0)(worker.work)
    variables = environment.variables() | {"KERAS_BACKEND": keras.backend.backend()}
    place = {"folder": os.getcwd(), "variables": variables, "cpus": cpus, "gpus": gpus}
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


def time_left(attempts: Sequence[Attempt], running: Mapping[Attempt, float], slots: int) -> float | None:
    """Returns the seconds that a sweep will still take, or None if nothing tells them.

    Args:
        attempts: those of the sweep.
        running: the seconds that those have left that tell it.
        slots: how many go on at once.

    A run takes as long as others of its row did; else as was estimated, times how wrong the estimates of the others were; else
    as long as the others.
    """
    done = [(each, each.result.seconds) for each in attempts if each.result and each.result.seconds]
    typical = results.median(seconds for _, seconds in done)
    ratios = (seconds / each.estimate for each, seconds in done if each.estimate)
    factor = results.median(ratios) or 1.0
    alike: dict[str, list[float]] = {}
    for each, seconds in done:
        alike.setdefault(each.row.id, []).append(seconds)

    def whole(attempt: Attempt) -> float | None:
        if attempt.row.id in alike:
            return statistics.fmean(alike[attempt.row.id])
        return typical if attempt.estimate is None else factor * attempt.estimate

    left = [attempt for attempt in attempts if not attempt.over]
    times = [running[each] if each in running else whole(each) for each in left]
    known = [each for each in times if each is not None]
    if not known:
        return None if times else 0.0
    total = statistics.fmean(known) * len(times)
    return max(total / slots, *known)


def _outcome(reference: Any) -> tuple[Result | None, str]:
    """Returns what a task came to: its result, or why there is none."""
    import ray.exceptions

    try:
        outcome = ray.get(reference)
    except ray.exceptions.OutOfMemoryError:
        return None, "memory ran out on its machine, and Ray ended its process"
    except ray.exceptions.WorkerCrashedError:
        return None, "its process died: it crashed, was killed, or ran out of memory"
    except ray.exceptions.RayError as error:
        lines = list(filter(None, map(str.strip, str(error).splitlines())))
        return None, f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"
    return (None, outcome) if isinstance(outcome, str) else (outcome, "")

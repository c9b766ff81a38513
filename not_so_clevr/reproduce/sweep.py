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
from typing import Any

import rich.box
import rich.console
import rich.markup
import rich.table

from not_so_clevr import reproduce, results
from not_so_clevr.benchmark import progress
from not_so_clevr.reproduce import worker
from not_so_clevr.results import Result, tables

ATTEMPTS = 2
LOG = ".log"

_SECONDS = 1.0  # Between two looks at what the runs do
_SHOWN = 30
_TAIL = 8192  # Bytes
_LINES = 10


@dataclasses.dataclass(eq=False)
class Run:
    """A run of a sweep.

    Attributes:
        row: what it does.
        seed: of the run.
        log: the file with all that it prints.
        estimate: the seconds that it was thought to take, or None.
        attempt: 0 before it was handed to Ray, then 1 or 2.
        offset: where in the log the attempt begins, in bytes.
        result: what came of it, once it is done.
        failure: why the last attempt failed, in one line; "" if it did not, or has not yet.
    """

    row: reproduce.Row
    seed: int
    log: pathlib.Path
    estimate: float | None = None
    attempt: int = 0
    offset: int = 0
    result: Result | None = None
    failure: str = ""

    @property
    def id(self) -> str:
        return self.row.job.id(self.seed)

    @property
    def over(self) -> bool:
        return self.result is not None or (self.attempt >= ATTEMPTS and bool(self.failure))

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


def runs(left: Sequence[tuple[reproduce.Row, int]], folder: pathlib.Path, estimates: Mapping[str, float | None]) -> list[Run]:
    """Returns the runs that are left, once nothing was seen to stand in their way.

    Args:
        left: rows and seeds.
        folder: of all runs.
        estimates: the seconds of a run by the id of its row.

    Raises:
        UserError: one sentence, if a model cannot be built, or a run is there that is damaged or was made with other settings.
        OSError: one sentence, if the folder cannot be written.
    """
    from not_so_clevr.benchmark import networks
    from not_so_clevr.benchmark.run_folder import RunFolder

    for row, seed in left:
        RunFolder(folder, row.job.id(seed)).check_resumable(row.job.saved_recipe)
    jobs = [row.job for row, _ in left]
    different = {(job.model.name, job.task, repr(job.recipe.model), job.recipe.l2 > 0): job for job in jobs}
    for job in different.values():
        networks.check_model(job)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"Cannot write {folder}: {error.strerror or error}; choose another folder with --runs.") from error
    return [Run(row, seed, folder / (row.job.id(seed) + LOG), estimates[row.id]) for row, seed in left]


def run(todo: Sequence[Run], *, cpus: int, gpus: float, **options: Any) -> Iterator[Run | None]:
    """Has Ray make runs; a run that fails is tried once more, from its last epoch.

    Args:
        todo: the runs.
        cpus: cores for a run, and so threads.
        gpus: for a run.
        **options: of `training.execute`, with absolute paths.

    Yields:
        A run as soon as an attempt has given a result or a failure; None each second in which there is none.
    """
    import keras
    import ray

    work = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0)(worker.work)
    from not_so_clevr.benchmark import environment

    variables = environment.variables() | {"KERAS_BACKEND": keras.backend.backend()}
    place = {"folder": os.getcwd(), "variables": variables, "cpus": cpus, "gpus": gpus}

    def hand_over(run: Run) -> Any:
        run.attempt, run.failure = run.attempt + 1, ""
        run.offset = run.log.stat().st_size if run.log.exists() else 0
        return work.options(name=run.id).remote(run.row.experiment, run.seed, run.log, run.attempt, place, options)

    pending = {hand_over(run): run for run in todo}
    while pending:
        done, _ = ray.wait(list(pending), timeout=_SECONDS)
        if not done:
            yield None
        for reference in done:
            run = pending.pop(reference)
            run.result, run.failure = _outcome(reference)
            yield run
            if not run.over:
                pending[hand_over(run)] = run


def shown(todo: Sequence[Run], slots: int) -> rich.console.RenderableType:
    """Returns a table of the runs that go on, below a line that counts them all and tells the time that is left."""
    epochs = {run: progress.Epoch.read(text) for run in todo if not run.over and run.attempt and (text := run.printed())}
    table = rich.table.Table("run", box=rich.box.SIMPLE_HEAD)
    for column in ("epoch", "state", "left"):
        table.add_column(column, no_wrap=True)
    for run, epoch in list(epochs.items())[:_SHOWN]:
        cells = (f"{epoch.done} of {epoch.total}", epoch.state, tables.duration(epoch.left)) if epoch else ("", "begins", "?")
        table.add_row(rich.markup.escape(run.id), *cells)
    counts = {
        "running": len(epochs),
        "waiting": sum(not run.over for run in todo) - len(epochs),
        "done": sum(run.result is not None for run in todo),
        "failed": sum(run.over and run.result is None for run in todo),
    }
    line = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    left = time_left(todo, {run: epoch.left for run, epoch in epochs.items() if epoch}, slots)
    return rich.console.Group(f"{line}; about {tables.duration(left)} left" if left is not None else line, table)


def time_left(todo: Sequence[Run], running: Mapping[Run, float], slots: int) -> float | None:
    """Returns the seconds that a sweep will still take, or None if nothing tells them.

    Args:
        todo: its runs.
        running: the seconds that those have left that tell it.
        slots: how many go on at once.

    A run takes as long as others of its row did; else as was estimated, times how wrong the estimates of the others were; else
    as long as the others.
    """
    done = [(run, run.result.seconds) for run in todo if run.result is not None and run.result.seconds]
    typical = results.median(seconds for _, seconds in done)
    factor = results.median(seconds / run.estimate for run, seconds in done if run.estimate) or 1.0
    alike: dict[str, list[float]] = {}
    for each, seconds in done:
        alike.setdefault(each.row.id, []).append(seconds)

    def whole(run: Run) -> float | None:
        if run.row.id in alike:
            return statistics.fmean(alike[run.row.id])
        return typical if run.estimate is None else factor * run.estimate

    times = [running[run] if run in running else whole(run) for run in todo if not run.over]
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

"""Several runs, one after the other, as events."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from not_so_clevr import files
from not_so_clevr.benchmark import distribution, log, networks, progress, tracebacks, training
from not_so_clevr.benchmark.events import Event, Failed, Finished, OutOfTime, Started
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.run_folder import Busy
from not_so_clevr.checks import UserError, as_list, boolean
from not_so_clevr.dataset import devices
from not_so_clevr.dataset.generate import generate
from not_so_clevr.results import Result

_PAUSE = 5.0  # Seconds between attempts to get a run that another process is making


def train(runs: Sequence[Run], options: RunOptions, *, wait: bool = False) -> Iterator[Event]:
    """Trains several runs, one after the other, once all of them have been checked.

    Args:
        runs: the runs, e.g. `[run.with_seed(seed) for seed in range(3)]`; see `plan`.
        options: the options of each run.
        wait: as for `make`.

    Yields:
        Started, then Finished or Failed, for each run. A run that fails does not stop the others.

    Raises:
        Exception: before anything is generated or trained, as `benchmark.run`; later, as `make`.
    """
    wait = boolean("wait", wait)
    runs = as_list("runs", runs)
    for run in runs:
        if not isinstance(run, Run):
            raise UserError(f"runs must be those of benchmark.plan, got {run!r}.")
    devices = distribution.devices() if options.distribute else []
    for run in runs:
        options.check(run)
    networks.check_models(runs, len(devices), options.runs if options.resume else None)
    yield from make(runs, options, wait=wait)


def make(
    runs: Sequence[Run],
    options: RunOptions,
    budget: float | None = None,
    *,
    wait: bool = False,
) -> Iterator[Event]:
    """Generates missing data sets, and makes the runs.

    Args:
        runs: the runs.
        options: the options of each run.
        budget: seconds after which to stop after a measured epoch. Generating does not count.
        wait: wait for a run that another process is making, and go on with it; otherwise it fails.

    Yields:
        Started for each run, then Finished, Failed, or OutOfTime, which is the last event. A run
        that fails does not stop the others.

    Raises:
        OSError: one sentence, if a folder or data set cannot be written, or is damaged.
        KeyboardInterrupt: from the user; one sentence if a data set was being generated.
        Exception: a bug of this package.
    """
    if runs and options.runs is not None:
        files.check_folder(files.expanded(options.runs))
    prepare(runs, options)
    until = None if budget is None else time.monotonic() + budget
    for run in runs:
        if until is not None and time.monotonic() > until:
            return
        yield Started(run)
        event = _make(run, options, until, wait)
        yield event
        if isinstance(event, OutOfTime):
            return


def prepare(runs: Iterable[Run], options: RunOptions) -> None:
    """Generates the data sets of the runs that are missing, if they are read from disk."""
    configs = dict.fromkeys(run.config.name for run in runs)
    if options.data == "tfds" and configs:
        devices.leave_gpus()
        with progress.examples(options.verbose) as on_progress:
            generate(configs, data_dir=options.data_dir, on_progress=on_progress)


def _make(run: Run, options: RunOptions, until: float | None, wait: bool) -> Event:
    """Makes a run; returns the event that ends it."""
    if until is not None:
        callbacks = [*options.callbacks, log.StopAt(until)]
        options = dataclasses.replace(options, callbacks=callbacks)
    try:
        if wait:
            return Finished(run, execute_once_free(run, options, _teller(run, options)))
        return Finished(run, training.execute(run, options))
    except log.TimeIsUp:
        return OutOfTime(run)
    except (UserError, Busy) as error:
        return Failed(run, str(error))
    except OSError:
        raise
    except Exception as error:
        if not tracebacks.own_frames(error):  # A bug of this package
            raise
        what = f"{run.model.name} cannot be trained for {run.task.name}"
        return Failed(run, tracebacks.explain(what, error))


def execute_once_free(run: Run, options: RunOptions, tell: Callable[[Busy], None]) -> Result:
    """Executes a run once no other process is making it; calls `tell` before each pause."""
    while True:
        try:
            return training.execute(run, options)
        except Busy as error:
            tell(error)
        time.sleep(_PAUSE)


def _teller(run: Run, options: RunOptions) -> Callable[[Busy], None]:
    """Returns a function that says once what is waited for, where progress is shown."""
    is_told = not progress.is_shown(options.verbose)

    def tell(_: Busy) -> None:
        nonlocal is_told
        if not is_told:
            print(f"{run.id} is being made by another process; waiting for it.", file=sys.stderr)
            is_told = True

    return tell

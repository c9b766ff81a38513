"""Many runs, one after the other, as events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

from not_so_clevr.benchmark import distribution, log, networks, progress, tracebacks, training
from not_so_clevr.benchmark.events import Event, Failed, Finished, OutOfTime, Started
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.run_folder import Busy
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices
from not_so_clevr.dataset.generate import generate


def train(runs: Sequence[Run], options: RunOptions) -> Iterator[Event]:
    """Checks that every run can be made, and makes them, as `make` does.

    Args:
        runs: e.g. `[run.with_seed(seed) for seed in range(3)]`.
        options: of each.

    Yields:
        Started, then Finished or Failed, for each run.

    Raises:
        Exception: before anything is generated or trained, whatever `benchmark.run` raises before
            training; later as `make`.
    """
    if options.distribute:
        distribution.devices()
    for run in runs:
        options.check(run)
    if options.data == "tfds":
        networks.check_models(runs)
    yield from make(runs, options)


def make(runs: Sequence[Run], options: RunOptions, budget: float | None = None) -> Iterator[Event]:
    """Generates the data sets that runs need and are not there, and makes the runs.

    Args:
        runs: what to train.
        options: of each.
        budget: seconds after which to stop at the end of an epoch, counted once the data sets are
            there.

    Yields:
        Started for each run, then Finished, Failed, or OutOfTime, which is the last event. A run
        that diverges, or that another process is making, does not keep the others back.

    Raises:
        OSError: one sentence, if a folder or data set cannot be written, or is damaged.
        KeyboardInterrupt: the user's; a sentence if a data set was being generated.
        Exception: a bug of this package, with its traceback.
    """
    prepare(runs, options)
    until = None if budget is None else time.monotonic() + budget
    for run in runs:
        if until is not None and time.monotonic() > until:
            return
        yield Started(run)
        event = _outcome(run, options, until)
        yield event
        if isinstance(event, OutOfTime):
            return


def prepare(runs: Iterable[Run], options: RunOptions) -> None:
    """Generates the data sets of runs that are not there yet, if they are to be read from disk."""
    configs = dict.fromkeys(run.config.name for run in runs)
    if options.data == "tfds" and configs:
        devices.leave_gpus()
        with progress.generation(options.verbose) as on_progress:
            generate(configs, data_dir=options.data_dir, on_progress=on_progress)


def _outcome(run: Run, options: RunOptions, until: float | None) -> Event:
    """Makes a run; returns what came of it."""
    if until is not None:
        callbacks = [*options.callbacks, log.StopAt(until)]
        options = dataclasses.replace(options, callbacks=callbacks)
    try:
        return Finished(run, training.execute(run, options))
    except log.TimeIsUp:
        return OutOfTime(run)
    except (UserError, Busy) as error:
        return Failed(run, str(error))
    except OSError:
        raise
    except Exception as error:
        if not tracebacks.own_frames(error):  # A bug of ours, which must be seen
            raise
        sentence = f"{run.model.name} cannot be trained for {run.task.name}: "
        sentence += f"{tracebacks.sentence(error)}."
        return Failed(run, tracebacks.with_frames(sentence, error))

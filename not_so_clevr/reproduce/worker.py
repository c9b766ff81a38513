"""One run of a sweep, in a process that Ray has started for it alone."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import os
import pathlib
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import filelock

from not_so_clevr import reproduce
from not_so_clevr.benchmark import progress
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.results import Result
from not_so_clevr.results.experiment import Experiment

_NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
_PAUSE = 5.0  # Seconds between two tries to begin a run that another process is writing


@contextlib.contextmanager
def without_gpus() -> Iterator[None]:
    """Keeps frameworks that are imported here from taking the memory of GPUs, which is for the runs."""
    before = {name: os.environ.get(name) for name in _NO_GPU}
    os.environ |= _NO_GPU
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def work(
    experiment: Experiment,
    seed: int,
    log: pathlib.Path,
    attempt: int,
    place: Mapping[str, Any],
    options: RunOptions,
) -> Result | str:
    """Makes a run in this process, which Ray has started for it alone; returns its result, or why there is none."""
    _print_to(log)
    with _confined(place["cpus"], place["gpus"]) as cores:
        print(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')}: attempt {attempt} of {experiment.id}/seed{seed}")
        print(f"on {platform.node()}, process {os.getpid()}, {'cores ' + ', '.join(map(str, cores)) if cores else 'any cores'}")
        os.environ |= place["variables"]
        if os.path.isdir(place["folder"]):
            os.chdir(place["folder"])  # Models are found there.
        try:
            result = _executed(experiment, seed, options)
            return dataclasses.replace(result, examples={})
        except (Exception, SystemExit) as error:
            from not_so_clevr.benchmark import tracebacks

            traceback.print_exc()
            is_worded = isinstance(error, (UserError, OSError)) and str(error)
            return str(error) if is_worded else tracebacks.sentence(error)


def _executed(experiment: Experiment, seed: int, options: RunOptions) -> Result:
    """Makes a run, or continues it; waits for its end where another process is writing it, and returns what that gave."""
    from not_so_clevr.benchmark import training
    from not_so_clevr.benchmark.run_folder import Busy

    (row,) = reproduce.plan([experiment])
    options = dataclasses.replace(options, callbacks=[progress.lines()])
    while True:
        try:
            return training.execute(row.run.with_seed(seed), options)
        except Busy as error:
            print(f"{error} It is waited for.")
            time.sleep(_PAUSE)


def _print_to(log: pathlib.Path) -> None:
    """Makes this process, and all that it starts, print to the end of a file, the last words of a crash among it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = log.open("a", buffering=1)
    for descriptor in (1, 2):
        os.dup2(stream.fileno(), descriptor)
    sys.stdout = sys.stderr = stream
    faulthandler.enable(stream)


@contextlib.contextmanager
def _confined(cpus: int, gpus: float) -> Iterator[list[int]]:
    """Gives this process as many threads as it was promised cores, and no GPU unless it was promised one.

    Frameworks ask for threads when they are imported. Where the system can bind a process to cores, it is bound to some that no
    other run has, as far as there are such; yields them.
    """
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC"):
        os.environ[name] = str(cpus)
    if gpus == 0:
        os.environ |= _NO_GPU
    elif gpus < 1:  # Else the first run on a GPU would take all of its memory.
        os.environ |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if not hasattr(os, "sched_setaffinity"):
        yield []
        return
    every = cores()
    with contextlib.ExitStack() as held:
        own: list[int] = []
        for core in every:
            with contextlib.suppress(filelock.Timeout):
                if len(own) < cpus:
                    held.enter_context(filelock.FileLock(_lock(core), timeout=0))
                    own.append(core)
        own = sorted([*own, *(core for core in every if core not in own)][:cpus])
        os.sched_setaffinity(0, own)
        yield own


def _lock(core: int) -> pathlib.Path:
    """Returns the file that a run on a core of this machine holds locked, until the run is over or its process dies."""
    folder = pathlib.Path(tempfile.gettempdir(), f"not_so_clevr-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    return folder / f"core{core}.lock"


def cores() -> list[int]:
    """Returns the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))

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

import filelock

from not_so_clevr.benchmark import progress
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.reproduce import planning
from not_so_clevr.results import Result
from not_so_clevr.results.experiment import Experiment

_NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")


@dataclasses.dataclass(frozen=True)
class Place:
    """What a process gets for its run."""

    folder: str  # The working directory, if the machine has it; models are found there.
    variables: Mapping[str, str]  # Of the environment
    cpus: int
    gpus: float  # Less than 1 for a shared one


@contextlib.contextmanager
def without_gpus() -> Iterator[None]:
    """Hides GPUs from frameworks imported here, so that their memory stays free for the runs."""
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
    place: Place,
    options: RunOptions,
) -> Result | str:
    """Makes a run in this process; returns its result, or why there is none."""
    _print_to(log)
    with _confined(place.cpus, place.gpus) as cores:
        bound = f"cores {', '.join(map(str, cores))}" if cores else "any cores"
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        print(f"\n{now}: attempt {attempt} of {experiment.id}/seed{seed}")
        print(f"on {platform.node()}, process {os.getpid()}, {bound}")

        os.environ |= place.variables
        if os.path.isdir(place.folder):
            os.chdir(place.folder)
        try:
            return dataclasses.replace(_make(experiment, seed, options), examples={})
        except (Exception, SystemExit) as error:
            from not_so_clevr.benchmark import tracebacks

            traceback.print_exc()
            is_worded = isinstance(error, (UserError, OSError)) and str(error)
            return str(error) if is_worded else tracebacks.sentence(error)


def _make(experiment: Experiment, seed: int, options: RunOptions) -> Result:
    """Makes or resumes a run; if another process is writing it, waits and returns its result."""
    from not_so_clevr.benchmark import runner

    (row,) = planning.plan([experiment])
    options = dataclasses.replace(options, callbacks=[progress.lines()])
    run = row.run.with_seed(seed)
    return runner.execute_once_free(run, options, lambda error: print(f"{error} Waiting for it."))


def _print_to(log: pathlib.Path) -> None:
    """Redirects the output of this process and its children, crashes included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = log.open("a", buffering=1)
    for descriptor in (1, 2):
        os.dup2(stream.fileno(), descriptor)
    sys.stdout = sys.stderr = stream
    faulthandler.enable(stream)


@contextlib.contextmanager
def _confined(cpus: int, gpus: float) -> Iterator[list[int]]:
    """Limits this process to some threads and GPUs and, where possible, to cores of its own.

    Frameworks read these variables when they are imported. Yields the cores; none if the system
    cannot bind a process to cores. Runs share cores only if there are too few.
    """
    os.environ |= dict.fromkeys(_THREADS, str(cpus))
    if gpus == 0:
        os.environ |= _NO_GPU
    elif gpus < 1:  # Otherwise the first run on a GPU would take all of its memory.
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if not hasattr(os, "sched_setaffinity"):
        yield []
        return

    with contextlib.ExitStack() as locks:
        own: list[int] = []
        for core in cores():
            with contextlib.suppress(filelock.Timeout):
                if len(own) < cpus:
                    locks.enter_context(filelock.FileLock(_lock(core), timeout=0))
                    own.append(core)

        taken = [core for core in cores() if core not in own]
        own = sorted([*own, *taken][:cpus])
        os.sched_setaffinity(0, own)
        yield own


def _lock(core: int) -> pathlib.Path:
    """Returns the file that a run on this core keeps locked until its process ends."""
    folder = pathlib.Path(tempfile.gettempdir(), f"not_so_clevr-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    return folder / f"core{core}.lock"


def cores() -> list[int]:
    """Returns the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))

"""Sweeps: many runs at once on Ray, one task and one fresh process a run, on this machine or on a cluster.

A run keeps a log beside its folder, `seed0.log` beside `seed0`: all that its process prints, a line for each epoch among it.
The sweep reads there how far the run is, so that nothing else must survive but the folder of all runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import logging
import os
import pathlib
import platform
import socket
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock
import rich.box
import rich.console
import rich.markup
import rich.table

from not_so_clevr import reproduce, results
from not_so_clevr.benchmark import progress
from not_so_clevr.checks import MissingPackageError, UserError, integer
from not_so_clevr.results import Result, tables
from not_so_clevr.results.published import Experiment

ATTEMPTS = 2
LOG = ".log"

_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Else Ray warns; `_confined` hides GPUs anyway.
    "RAY_worker_niceness": "0",  # Else runs yield to all else on the machine, as `nice -n 15` does.
}
_NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
_PAUSE = 5.0  # Seconds between two tries to begin a run that another process is writing
_SECONDS = 1.0  # Between two looks at what the runs do
_SHOWN = 30
_TAIL = 8192  # Bytes
_LINES = 10
_OBJECTS = 100 * 2**20  # Bytes of Ray's object store; only results pass through it.


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


def check_place(cpus: int, gpus: float) -> None:
    """Raises UserError, one sentence, unless Ray can give a task so many."""
    integer("--cpus-per-run", cpus, 1, 10_000)
    if not (0 <= gpus <= 1 or (gpus > 1 and gpus.is_integer())):
        raise UserError(f"--gpus-per-run={gpus:g} is no share of GPUs; expected 0 to 1, such as 0.5, or a whole number.")


def check_address(address: str | None) -> None:
    """Sees whether there is anything at the address of a cluster, for which Ray itself would wait many minutes.

    Raises:
        UserError: one sentence, if it is no address.
        OSError: one sentence, if nothing answers there.
    """
    if address in (None, "auto"):
        return
    host, _, port = str(address).rpartition(":")
    if not (host and port.isdecimal() and "//" not in host):
        raise UserError(f"--address {address} is no address; expected HOST:PORT, such as 10.0.0.1:6379, or auto.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise OSError(f"Nothing answers at --address {address} ({error}); `ray start --head` starts a cluster.") from error


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


@contextlib.contextmanager
def cluster(address: str | None, cpus: int, gpus: float) -> Iterator[int]:
    """Starts Ray on this machine, or joins the cluster at an address; yields how many runs go on there at once.

    Raises:
        MissingPackageError: one sentence, if there is no Ray.
        OSError: one sentence, if there is no cluster at the address.
        UserError: one sentence, if no machine has room for a run.
    """
    for name, value in _RAY.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray._private.worker
    except ImportError:
        raise MissingPackageError("Sweeps need Ray; run: pip install 'not-so-clevr[sweep]'") from None
    ray._private.worker._worker_logs_enabled = False  # Else it prints a paragraph for each process that dies; we tell that.
    own: dict[str, Any] = {
        "num_cpus": len(_cores()),
        "num_gpus": None if gpus else 0,
        "include_dashboard": False,
        "object_store_memory": _OBJECTS,
    }
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ray.init(address or "local", **quiet, **({} if address else own))
            except RuntimeError:  # On a machine that is busy the half minute may be over that Ray gives itself to start.
                ray.shutdown()
                ray.init(address or "local", **quiet, **({} if address else own))
    except Exception as error:
        reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        place = f"Ray cluster at {address}" if address else "Ray on this machine"
        raise OSError(f"There is no {place}: {reason}") from error
    try:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        slots = sum(_room(machine, cpus, gpus) for machine in machines)
        if not slots:
            seen = " or ".join(f"{each.get('CPU', 0):g} CPUs and {each.get('GPU', 0):g} GPUs" for each in machines)
            raise UserError(f"No machine has {cpus} CPUs and {gpus:g} GPUs for a run; there are {seen}. Ask for less a run.")
        yield slots
    finally:
        ray.shutdown()


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

    work = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0)(_work)
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


def _room(machine: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Returns how many runs a machine has room for."""
    fit = machine.get("CPU", 0) // cpus
    if gpus >= 1:
        fit = min(fit, machine.get("GPU", 0) // gpus)
    elif gpus:  # A run has part of one GPU, never parts of two.
        fit = min(fit, machine.get("GPU", 0) * int(1 / gpus + 1e-9))
    return int(fit)


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


def _work(
    experiment: Experiment,
    seed: int,
    log: pathlib.Path,
    attempt: int,
    place: Mapping[str, Any],
    options: Mapping[str, Any],
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


def _executed(experiment: Experiment, seed: int, options: Mapping[str, Any]) -> Result:
    """Makes a run, or continues it; waits for its end where another process is writing it, and returns what that gave."""
    from not_so_clevr.benchmark import training
    from not_so_clevr.benchmark.run_folder import Busy

    (row,) = reproduce.plan([experiment])
    while True:
        try:
            return training.execute(row.job, seed=seed, resume=True, callbacks=[progress.lines()], **options)
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
    cores = _cores()
    with contextlib.ExitStack() as held:
        own: list[int] = []
        for core in cores:
            with contextlib.suppress(filelock.Timeout):
                if len(own) < cpus:
                    held.enter_context(filelock.FileLock(_lock(core), timeout=0))
                    own.append(core)
        own = sorted([*own, *(core for core in cores if core not in own)][:cpus])
        os.sched_setaffinity(0, own)
        yield own


def _lock(core: int) -> pathlib.Path:
    """Returns the file that a run on a core of this machine holds locked, until the run is over or its process dies."""
    folder = pathlib.Path(tempfile.gettempdir(), f"not_so_clevr-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    return folder / f"core{core}.lock"


def _cores() -> list[int]:
    """Returns the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))

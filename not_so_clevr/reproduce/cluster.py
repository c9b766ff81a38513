"""Ray: started on this machine, or joined on a cluster."""

from __future__ import annotations

import contextlib
import logging
import numbers
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from not_so_clevr.checks import MissingPackageError, UserError, integer
from not_so_clevr.reproduce import worker

LOCAL = "local"  # The address of this machine
_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Avoids a warning; `worker` hides the GPUs.
    "RAY_worker_niceness": "0",  # By default Ray gives its processes a low priority.
}
_SESSION = 70  # Bytes that Ray adds to its folder in the names of sockets
_SOCKET = 103  # Bytes that a system allows there; Linux has 107.
_OBJECTS = 100 * 2**20  # Bytes of Ray's object store; only results pass through it.


def check_resources(cpus: int, gpus: float) -> None:
    """Raises UserError unless Ray can give a task this many CPUs and GPUs."""
    integer("--cpus-per-run", cpus, 1, 10_000)
    is_number = isinstance(gpus, numbers.Real)
    if not is_number or not (0 <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())):
        raise UserError(f"--gpus-per-run must be 0 to 1, or a whole number, got {gpus!r}.")


def check_address(address: str | None) -> None:
    """Checks that something answers at an address; Ray itself would wait for many minutes.

    Raises:
        UserError: if it is not an address.
        OSError: if nothing answers.
    """
    if address in (None, LOCAL, "auto"):
        return
    host, _, port = str(address).rpartition(":")
    if not (host and port.isdecimal() and "//" not in host):
        expected = "HOST:PORT, such as 10.0.0.1:6379, auto or local"
        raise UserError(f"--address must be {expected}, got {address!r}.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError, UnicodeError) as error:
        advice = "start a cluster with: ray start --head"
        raise OSError(f"Nothing answers at --address {address} ({error}); {advice}.") from error


@contextlib.contextmanager
def cluster(address: str | None, cpus: int, gpus: float) -> Iterator[int]:
    """Starts Ray on this machine or joins a cluster; yields how many runs it can do at once.

    Raises:
        MissingPackageError: if Ray is not installed.
        OSError: if there is no cluster at the address.
        UserError: if no machine has room for a run.
    """
    added = {name: value for name, value in _RAY.items() if name not in os.environ}
    os.environ.update(added)
    try:
        import ray
        import ray._private.worker
    except ImportError:
        advice = "run: pip install 'not-so-clevr[sweep]'"
        raise MissingPackageError(f"Sweeps need Ray; {advice}") from None
    # Otherwise Ray prints a paragraph for each process that dies; the sweep reports those.
    had_logs = ray._private.worker._worker_logs_enabled
    ray._private.worker._worker_logs_enabled = False
    try:
        _connect(address, gpus)
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield _slots(machines, cpus, gpus)
    finally:
        ray.shutdown()
        ray._private.worker._worker_logs_enabled = had_logs
        for name in added:
            os.environ.pop(name, None)


def _connect(address: str | None, gpus: float) -> None:
    import ray

    place = address or LOCAL
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if place == LOCAL:
        options |= {
            "num_cpus": len(worker.cores()),
            "num_gpus": None if gpus else 0,
            "include_dashboard": False,
            "object_store_memory": _OBJECTS,
            "_temp_dir": _folder(os.environ),
        }
    try:
        with warnings.catch_warnings(), _state_kept():
            warnings.simplefilter("ignore")
            try:
                ray.init(place, **options)
            except RuntimeError:  # A busy machine can take longer to start than Ray waits.
                ray.shutdown()
                ray.init(place, **options)
    except Exception as error:
        lines = filter(None, map(str.strip, str(error).splitlines()))
        reason = next(lines, type(error).__name__).rstrip(".")
        if place != LOCAL:
            advice = "look at it with: ray status"
            raise OSError(
                f"Cannot join the Ray cluster at {address} ({reason}); {advice}"
            ) from error
        raise OSError(
            f"Ray does not start on this machine ({reason}); try again when fewer programs run, "
            "or set RAY_TMPDIR to a folder with room."
        ) from error


def _folder(environment: Mapping[str, str]) -> str | None:
    """Returns the folder for Ray's files; None if Ray's own choice is short enough for sockets.

    Raises:
        UserError: if the user's choice is too long.
    """
    most = _SOCKET - _SESSION
    name = next((each for each in ("RAY_TMPDIR", "TMPDIR") if each in environment), "")
    if len(os.fsencode(environment.get(name, ""))) <= most:
        return None
    if name == "RAY_TMPDIR":
        raise UserError(
            f"RAY_TMPDIR={environment[name]} is too long for Ray's sockets; "
            f"expected a folder of at most {most} bytes, such as /tmp."
        )
    return "/tmp/ray"  # As without TMPDIR


@contextlib.contextmanager
def _state_kept() -> Iterator[None]:
    """Keeps the handler of SIGTERM, and the current folder off the path of Ray's processes.

    Ray puts the current folder first there, so any file in it could shadow an installed package.
    `worker` adds it at the end, as for a run in this process.
    """
    here, handler = os.getcwd(), signal.getsignal(signal.SIGTERM)
    os.chdir(os.path.dirname(os.__file__))  # On every path, and before all packages
    try:
        yield
    finally:
        os.chdir(here)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _slots(machines: list[Mapping[str, float]], cpus: int, gpus: float) -> int:
    """Returns how many runs fit on all machines. Raises UserError if none does."""
    slots = sum(_room(machine, cpus, gpus) for machine in machines)
    if not slots:
        seen = [f"{each.get('CPU', 0):g} CPUs and {each.get('GPU', 0):g} GPUs" for each in machines]
        wanted = f"{cpus} CPUs and {gpus:g} GPUs"
        raise UserError(
            f"No machine has {wanted} for a run, only {' or '.join(seen)}; ask for fewer per run."
        )
    return slots


def _room(machine: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Returns how many runs fit on a machine."""
    fit = machine.get("CPU", 0) // cpus
    if gpus >= 1:
        fit = min(fit, machine.get("GPU", 0) // gpus)
    elif gpus:  # A run shares one GPU, never two.
        fit = min(fit, machine.get("GPU", 0) * int(1 / gpus + 1e-9))
    return int(fit)

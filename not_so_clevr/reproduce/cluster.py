"""Ray: started on this machine, or joined on a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from not_so_clevr.checks import MissingPackageError, UserError, integer
from not_so_clevr.reproduce import worker

_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Else Ray warns; `worker` hides GPUs anyway.
    "RAY_worker_niceness": "0",  # Else runs yield to all else on the machine, as `nice -n 15` does.
}
_OBJECTS = 100 * 2**20  # Bytes of Ray's object store; only results pass through it.


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
        "num_cpus": len(worker.cores()),
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


def _room(machine: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Returns how many runs a machine has room for."""
    fit = machine.get("CPU", 0) // cpus
    if gpus >= 1:
        fit = min(fit, machine.get("GPU", 0) // gpus)
    elif gpus:  # A run has part of one GPU, never parts of two.
        fit = min(fit, machine.get("GPU", 0) * int(1 / gpus + 1e-9))
    return int(fit)

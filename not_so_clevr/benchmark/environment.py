"""Where a run takes place: versions, backend, device, processor, commit."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import keras

import not_so_clevr
from not_so_clevr.dataset import devices

# Of glibc's malloc.h: M_TRIM_THRESHOLD, never; M_MMAP_MAX, no block; M_ARENA_MAX, since only the main one can grow without end
_KEEP = {-1: -1, -4: 0, -8: 1}

_CPUINFO = pathlib.Path("/proc/cpuinfo")

_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}  # By its flag, what tells a processor from one half as fast of the same name

_NUMBERS = ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")  # Variables that change the numbers that come out

_PACKAGES = ("keras", "tensorflow", "tensorflow-datasets", "jax", "torch", "numpy")


def describe() -> dict[str, Any]:
    """Returns what a result says about where it was made."""
    versions = {"python": platform.python_version(), "not-so-clevr": not_so_clevr.__version__}
    for package in _PACKAGES:
        if package in ("jax", "torch", "tensorflow") and package != keras.backend.backend():
            continue
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # It may go by another name, as tf-nightly does.
            versions[package] = importlib.metadata.version(package)
    return {
        "backend": keras.backend.backend(),
        "device": devices.keras_gpu() or f"{_cores()} core{'s' * (_cores() > 1)} of {_cpu()}",
        "platform": platform.platform(),
        "versions": versions,
        "commit": _commit(),
        "variables": variables(),
    }


def variables() -> dict[str, str]:
    """Returns the environment variables that change the numbers that come out, those that are set."""
    return {name: os.environ[name] for name in _NUMBERS if name in os.environ}


def make_deterministic() -> None:
    """Asks the backend for operations that give the same bits every time. JAX takes that from XLA_FLAGS, for GPUs."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        # Without it cuBLAS refuses to be deterministic.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def keep_memory() -> None:
    """Asks the C library, if it is glibc, to keep the memory that tensors free for the next ones, up to the end of the process.

    Else it returns that of large ones to the system, which has to clear it before it hands it out anew, at every step.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # Another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _KEEP.items():
            mallopt(parameter, value)


def memory() -> int | None:
    """Returns the bytes of memory that the machine has; None if it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    """Returns the name of the processor, and the widest vectors that it computes with: `AMD EPYC (AVX-512)`."""
    fields: dict[str, str] = {}
    for line in _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []:
        field, _, value = line.partition(":")
        fields.setdefault(field.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = fields.get("flags", "").split()
    return name + next((f" ({vectors})" for flag, vectors in _VECTORS.items() if flag in flags), "")


def _commit() -> str | None:
    """Returns the commit of the checkout that this package is run from, "-dirty" after it if files were changed since."""
    checkout = pathlib.Path(not_so_clevr.__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

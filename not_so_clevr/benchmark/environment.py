"""The environment of a run: versions, backend, device, processor, commit."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import inspect
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

import not_so_clevr
from not_so_clevr.dataset import devices

# malloc.h of glibc: M_TRIM_THRESHOLD (never), M_MMAP_MAX (no block) and M_ARENA_MAX (only the main
# arena grows without limit)
_KEEP = {-1: -1, -4: 0, -8: 1}

_CPUINFO = pathlib.Path("/proc/cpuinfo")

# Flag -> vector instructions: processors of the same name differ twofold in speed by them.
_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"

# Getters and setters of what Keras keeps for the whole process
_KERAS = (
    (keras.config.dtype_policy, keras.config.set_dtype_policy),
    (keras.config.floatx, keras.config.set_floatx),
    (keras.config.epsilon, keras.config.set_epsilon),
    (keras.config.image_data_format, keras.config.set_image_data_format),
)

_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")

_PACKAGES = ("keras", "tensorflow", "tensorflow-datasets", "jax", "torch", "numpy")


def of_framework(framework: str | None) -> dict[str, Any]:
    """Returns the environment of a function of some framework; None if that is not known."""
    about = describe()
    del about["backend"]
    if framework is not None:
        about["backend"] = framework
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            about["versions"][framework] = importlib.metadata.version(framework)
    return about


def describe() -> dict[str, Any]:
    """Returns the environment that a result records."""
    versions = {"python": platform.python_version(), "not-so-clevr": not_so_clevr.__version__}
    for package in _PACKAGES:
        if package in ("jax", "torch", "tensorflow") and package != keras.backend.backend():
            continue
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # e.g. tf-nightly
            versions[package] = importlib.metadata.version(package)
    return {
        "backend": keras.backend.backend(),
        "device": devices.keras_gpu() or f"{_cores()} core{'s' * (_cores() > 1)} of {_cpu()}",
        "platform": platform.platform(),
        "versions": versions,
        "commit": _commit(),
        "variables": variables(),
    }


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Returns whether the same seed must give the same weights in two environments.

    Not if one has `begun`: the run was begun elsewhere, and resumed here.
    """
    if "begun" in one or "begun" in other:
        return False
    for key in ("backend", "device", "variables"):
        if one.get(key) != other.get(key):
            return False
    ours, theirs = one.get("versions"), other.get("versions")
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return False
    packages = ("keras", "numpy", str(one.get("backend")))
    return all(ours.get(each) == theirs.get(each) for each in packages)


def training(network: keras.Model) -> dict[str, Any]:
    """Returns what a compiled network is trained with, whoever compiled it, for JSON."""
    layers = [network, *getattr(network, "layers", [])]
    return {
        "optimizer": _optimizer(network.optimizer),
        "loss": _plain(network.loss),
        "precision": ", ".join(sorted({str(each.dtype_policy.name) for each in layers})),
        "jit": bool(network.jit_compile),
    }


def _optimizer(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Returns the class of an optimizer, its learning rate, and what else is no default of it."""
    config: dict[str, Any] = {}
    with contextlib.suppress(NotImplementedError):
        config = optimizer.get_config()
    defaults = inspect.signature(type(optimizer)).parameters
    chosen = {
        name: _plain(value)
        for name, value in config.items()
        if name == "learning_rate" or name not in defaults or value != defaults[name].default
    }
    chosen.pop("name", None)  # Counts the optimizers of a process.
    return {"class": type(optimizer).__name__, **chosen}


def _plain(value: Any) -> Any:
    """Returns a value of Keras for JSON: an object as its class and config, a function by name."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, keras.losses.Loss):
        return type(value).__name__
    return getattr(value, "__name__", type(value).__name__)


def variables() -> dict[str, str]:
    """Returns the environment variables that are set and affect the numerical results."""
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def make_deterministic() -> None:
    """Makes the backend deterministic, bit for bit. JAX on GPUs takes that from XLA_FLAGS."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        # cuBLAS needs this to be deterministic.
        os.environ.setdefault(_CUBLAS, ":4096:8")
        torch.use_deterministic_algorithms(True)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restores what a run changes for the whole process, and what a model's function may change.

    That is the determinism of the backend, and the precision and other defaults of Keras. A model
    that sets its precision would otherwise set that of the next model.
    """
    with contextlib.ExitStack() as stack:
        for get, put in _KERAS:
            stack.callback(put, get())
        if keras.backend.backend() == "tensorflow":
            from tensorflow.python.framework import config

            if not config.is_op_determinism_enabled():
                stack.callback(config.disable_op_determinism)
        elif keras.backend.backend() == "torch":
            import torch

            stack.callback(
                torch.use_deterministic_algorithms,
                torch.are_deterministic_algorithms_enabled(),
                warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
            )
            if _CUBLAS not in os.environ:
                stack.callback(os.environ.pop, _CUBLAS, None)
        yield


def keep_memory() -> None:
    """Makes glibc keep the memory of freed tensors for the next ones until the process ends.

    Otherwise it returns large blocks to the system, which has to clear them again at every step.
    glibc neither tells what was set before nor lets go of the limit of one arena, so this is not
    `restored`.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # Another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _KEEP.items():
            mallopt(parameter, value)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    """Returns the processor with its widest vector instructions, e.g. `AMD EPYC (AVX-512)`."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []
    fields: dict[str, str] = {}
    for line in lines:
        field, _, value = line.partition(":")
        fields.setdefault(field.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = fields.get("flags", "").split()
    vectors = [vectors for flag, vectors in _VECTORS.items() if flag in flags]
    return f"{name} ({vectors[0]})" if vectors else name


def _commit() -> str | None:
    """Returns the commit of the checkout of this package, with "-dirty" if files have changed."""
    checkout = pathlib.Path(not_so_clevr.__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

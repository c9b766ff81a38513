"""What a result says about the checkout that it was made from, and what is asked of the C library."""

import logging
import os
import pathlib
import platform
import shutil
import subprocess

import keras
import pytest
import subprocesses
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

import not_so_clevr
from not_so_clevr import benchmark
from not_so_clevr.benchmark import environment, networks
from not_so_clevr.dataset.generate import generate


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_commit_is_that_of_the_checkout_and_tells_changes(tmp_path, monkeypatch):
    def git(*arguments):
        who = [
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@example.org",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "tag.gpgsign=false",
        ]
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True
        ).stdout

    file = tmp_path / "not_so_clevr" / pathlib.Path(not_so_clevr.__file__).name
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(not_so_clevr, "__file__", str(file))
    assert environment.describe()["commit"] is None
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "-a", "v1", "-m", "Its name is no commit")
    commit = environment.describe()["commit"]
    assert len(commit) >= 7
    assert git("rev-parse", "HEAD").startswith(commit)
    file.write_text("changed")
    assert environment.describe()["commit"] == f"{commit}-dirty"


def test_variables_that_change_the_numbers_are_told(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert environment.describe()["variables"] == {"TF_ENABLE_ONEDNN_OPTS": "0"}


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (
            "model name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu avx avx2 avx512f avx512_bf16\n",
            "(AVX-512)",
        ),
        (
            "model name\t: AMD EPYC\nflags\t\t: fpu avx avx2\n\nmodel name\t: Other\nflags\t\t: avx512f\n",
            "AMD EPYC (AVX2)",
        ),
        ("processor\t: 0\nmodel name\t: Cortex\nFeatures\t: fp asimd\n", " of Cortex"),
    ],
)
def test_processors_of_the_same_name_are_told_apart_by_their_vectors(
    cpuinfo, expected, tmp_path, monkeypatch
):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    monkeypatch.setattr(environment, "_CPUINFO", file)
    monkeypatch.setattr(environment.devices, "keras_gpu", lambda: None)
    assert environment.describe()["device"].endswith(expected)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_is_freed_is_kept_for_what_comes_next():
    code = """
import resource, threading
from not_so_clevr.benchmark import environment, networks
{}
faults = []
def steps():
    for _ in range(12):
        tensor = bytearray(2**26)
        tensor[::4096] = bytes(2**14)  # Touches each page
        del tensor
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
thread = threading.Thread(target=steps)  # As TensorFlow computes in threads
thread.start()
thread.join()
print(faults[-1] - faults[1])
"""
    cleared, kept = (
        int(subprocesses.run(code.format(first))) for first in ("", "environment.keep_memory()")
    )
    assert kept < cleared / 20


def test_generating_silences_nobody_elses_logging_and_restores_what_it_silences(tmp_path, caplog):
    loggers = [logging.getLogger(name) for name in ("root", "absl", "apache_beam")]
    before = [logger.level for logger in loggers], [list(logger.filters) for logger in loggers]
    mine = logging.getLogger("mine")

    def on_progress(*_):
        mine.warning("of mine")
        logging.getLogger("absl").warning("of TFDS")
        logging.warning("of Beam")

    generate(["quadrant_8_square3"], data_dir=tmp_path, on_progress=on_progress)
    assert {record.getMessage() for record in caplog.records} == {"of mine"}
    assert before == ([each.level for each in loggers], [list(each.filters) for each in loggers])
    assert tqdm_utils._active
    tfds.disable_progress_bar()
    try:
        generate(["quadrant_8_square3"], data_dir=tmp_path)
        assert not tqdm_utils._active
    finally:
        tfds.enable_progress_bar()


def is_deterministic():
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import config

        return config.is_op_determinism_enabled()
    if keras.backend.backend() == "torch":
        import torch

        return torch.are_deterministic_algorithms_enabled()
    return None  # JAX reads it from the environment.


def test_a_run_leaves_determinism_and_the_defaults_of_keras_as_they_were():
    """A function that sets the precision of its model must not set that of the next one."""
    seen = []

    def build(task):
        seen.append(keras.config.dtype_policy().name)
        keras.config.set_dtype_policy("mixed_bfloat16")
        keras.config.set_epsilon(1e-3)
        layers = [keras.layers.Flatten(), keras.layers.Dense(2, dtype="float32")]
        return keras.Sequential([keras.Input(task.input_shape), *layers])

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((keras.config.dtype_policy().name, is_deterministic()))

    cublas = "CUBLAS_WORKSPACE_CONFIG"
    before = is_deterministic(), os.environ.get(cublas), keras.config.epsilon()
    arguments = {"task": "regression", "config": "quadrant_16_square5", "data": "memory"}
    planned = benchmark.plan(build, task="regression", config="quadrant_16_square5")
    benchmark.run(build, **arguments, settings={"epochs": 1}, callbacks=[Look()], verbose=0)
    networks.check_models([planned])
    networks.check_models([planned])
    during = "mixed_bfloat16", None if before[0] is None else True
    assert seen == ["float32", during, "float32", "float32"]
    assert before == (is_deterministic(), os.environ.get(cublas), keras.config.epsilon())

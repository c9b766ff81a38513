"""What a result says about the checkout that it was made from, and what is asked of the C library."""

import pathlib
import platform
import shutil
import subprocess

import pytest
import subprocesses

import not_so_clevr
from not_so_clevr.benchmark import environment


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_is_freed_is_kept_for_what_comes_next():
    code = """
import resource, threading
from not_so_clevr.benchmark import environment
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

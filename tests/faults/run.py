"""Applies each fault of faults.toml to a copy of the package, and says which test turns red.

    python tests/faults/run.py [NAME...]

A fault is red if a test fails, not if the copy cannot be imported. At the end, the tests that
turned red run without any fault, and must pass. Exits with 1 if a fault is not caught.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from not_so_clevr.results import toml

ROOT = pathlib.Path(__file__).parents[2]
FILE = pathlib.Path(__file__).with_name("faults.toml")

_SECONDS = 300  # After which the tests of a fault are stopped: it may make them endless
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0")
_WHERE = """
import importlib.util
for name in ("not_so_clevr", "not_so_clevr.baselines"):
    print(importlib.util.find_spec(name).origin)
"""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A mistake of one line that a test must notice; faults.toml explains the fields."""

    name: str
    harm: str
    file: str
    old: str
    new: str
    tests: Sequence[str]

    def applied(self, text: str) -> str:
        """Returns the text of the file with the fault. Raises ValueError if it is out of date."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"out of date, as {self.file} has its text {count} times, not once")
        return text.replace(self.old, self.new)


def read() -> dict[str, Fault]:
    """Returns the faults by name."""
    return {name: Fault(name, **row) for name, row in toml.read(FILE).items()}


def copy(folder: pathlib.Path) -> None:
    """Copies the working tree without ignored files, so that all of the package is found there."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # Python looks here before it asks the finder of the editable install.
    (folder / "not_so_clevr" / "baselines").symlink_to(folder / "baselines")

    found = _run([sys.executable, "-c", _WHERE], folder).stdout.split()
    assert len(found) == 2, found
    assert all(pathlib.Path(each).is_relative_to(folder) for each in found), found


def _run(
    command: Sequence[str], folder: pathlib.Path, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command on the package in a folder, not on the one that is installed."""
    ours = {"PYTHONPATH": str(folder), "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )


def failed(
    tests: Sequence[str], folder: pathlib.Path, *options: str, seconds: float | None = None
) -> list[str]:
    """Returns the tests that fail in a copy.

    Raises:
        ValueError: if they cannot be run.
    """
    try:
        done = _run([*_PYTEST, *options, *tests], folder, seconds)
    except subprocess.TimeoutExpired:
        raise ValueError(f"its tests take more than {seconds} s") from None
    if done.returncode not in (0, 1):
        raise ValueError(f"its tests do not run:\n{done.stdout}")
    prefix = "FAILED "
    lines = (line for line in done.stdout.splitlines() if line.startswith(prefix))
    found = [line.removeprefix(prefix).partition(" - ")[0] for line in lines]
    if done.returncode and not found:
        raise ValueError(f"its tests do not run:\n{done.stdout}")
    return found


def try_out(fault: Fault) -> str:
    """Returns the test that turns red, or "" if none does. Raises ValueError as `failed`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = pathlib.Path(place).resolve()
        copy(folder)
        file = folder / fault.file
        file.write_text(fault.applied(file.read_text()))
        return next(iter(failed(fault.tests, folder, "-x", seconds=_SECONDS)), "")


def red_without_fault(tests: Sequence[str]) -> list[str]:
    """Returns those of the tests that fail in a copy without a fault."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = pathlib.Path(place).resolve()
        copy(folder)
        return failed(tests, folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to apply; default: all")
    faults = read()
    names = parser.parse_args().names or list(faults)
    if unknown := [name for name in names if name not in faults]:
        parser.error(f"unknown: {', '.join(unknown)}; expected some of {', '.join(faults)}")

    began, red = time.monotonic(), {}
    for number, name in enumerate(names, 1):
        print(f"{number}/{len(names)} {name}: ", end="", flush=True)
        started = time.monotonic()
        try:
            test = try_out(faults[name])
            outcome = f"red, {test}" if test else f"NOT CAUGHT: {faults[name].harm}"
        except ValueError as error:
            test, outcome = "", f"NOT CAUGHT: {error}"
        print(f"{outcome} ({time.monotonic() - started:.0f} s)", flush=True)
        if test:
            red[name] = test

    print("Without a fault: ", end="", flush=True)
    always = red_without_fault(list(dict.fromkeys(red.values()))) if red else []
    print(f"red, too: {', '.join(always)}" if always else "all of them pass", flush=True)

    caught = sum(test not in always for test in red.values())
    print(f"{caught} of {len(names)} faults caught, in {time.monotonic() - began:.0f} s")
    sys.exit(caught < len(names))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Otherwise it leaves a copy.
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")

"""The stress tests of tests/stress/ in a small size: races of processes, and damaged files."""

import pathlib
import subprocess
import sys

import pytest
import subprocesses

STRESS = pathlib.Path(__file__).parent / "stress"


def run(script, *options):
    """Returns what a script prints, which it ends with status 0 only if there is no problem."""
    command = [sys.executable, STRESS / script, *map(str, options)]
    environment = subprocesses.environment()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_processes_that_race_and_are_killed_lose_nothing():
    printed = run("races.py", "--processes", 4, "--kills", 4)
    found = [line for line in printed.splitlines() if line.endswith(" problems")]
    assert [line.partition(":")[0] for line in found] == ["data", "runs"]
    assert printed.count(", 0 problems") == 2


@pytest.mark.slow
def test_what_is_damaged_is_named_or_harmless():
    printed = run("mutations.py", "--mutations", 6)
    found = [line for line in printed.splitlines() if line.endswith(" problems")]
    scenes = ("data", "complete", "interrupted")
    assert found == [f"{scene}: 6 mutations, 0 problems" for scene in scenes]

"""Python in a process of its own: with another Keras backend, without our package, killed, or eight at once."""

import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).parent


def environment(**variables: str | pathlib.Path) -> dict[str, str]:
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(TESTS)} | {k: str(v) for k, v in variables.items()}


def start(code: str, **variables: str | pathlib.Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Returns what the process printed, once it has ended well."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output.strip()


def run(code: str, **variables: str | pathlib.Path) -> str:
    return finish(start(code, **variables))

"""Python or the command in its own process: other Keras backends, kills, eight at once."""

import contextlib
import importlib.util
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
from tensorflow_datasets.core import constants

from not_so_clevr import cli

TESTS = pathlib.Path(__file__).parent
COMMAND = pathlib.Path(sys.executable).with_name("not-so-clevr")


def other_backends() -> list[str]:
    """The installed backends of Keras but the one in use."""
    import keras

    return [
        name
        for name in ("tensorflow", "jax", "torch")
        if importlib.util.find_spec(name) and name != keras.backend.backend()
    ]


def run_tests(file: str, chosen: str, backend: str) -> str:
    """Returns what pytest printed, once the chosen tests of a file, slow or not, have passed on a backend."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not large", "-k", chosen]
    command += ["-p", "no:cacheprovider", file]
    result = subprocess.run(
        command, env=environment(KERAS_BACKEND=backend), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def environment(**variables: str | pathlib.Path) -> dict[str, str]:
    return (
        os.environ
        | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(TESTS)}
        | {k: str(v) for k, v in variables.items()}
    )


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


def command(
    *arguments: object, cwd: pathlib.Path | None = None, **variables: str | pathlib.Path
) -> subprocess.CompletedProcess[str]:
    """Runs `not-so-clevr` in a folder, to its end."""
    words = [COMMAND, *map(str, arguments)]
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**{"MPLBACKEND": "agg"} | variables),
    )


def in_process(
    arguments: Sequence[object], monkeypatch, capsys
) -> subprocess.CompletedProcess[str]:
    """Runs `not-so-clevr` in this process, which saves the imports."""
    monkeypatch.setattr(sys, "argv", ["not-so-clevr", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return subprocess.CompletedProcess(sys.argv, ended.value.code, *capsys.readouterr())


def in_folder(
    folder: pathlib.Path, *arguments: object, **variables: str | pathlib.Path
) -> subprocess.CompletedProcess[str]:
    """Runs `not-so-clevr` in this process, as `command` in a folder; forgets its modules."""
    printed, errors = io.StringIO(), io.StringIO()
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["not-so-clevr", *map(str, arguments)])
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(constants, "DATA_DIR", str(folder / "data"))
        for name, value in variables.items():
            patch.setenv(name, str(value))
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(errors))
        importlib.invalidate_caches()
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            for name in set(sys.modules) - known:
                if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
                    del sys.modules[name]
    status = ended.value.code
    return subprocess.CompletedProcess(sys.argv, status, printed.getvalue(), errors.getvalue())


def assert_refused(status: object, errors: str, sentence: str, *, expected: int = 2) -> None:
    """Checks that the command ended with the expected status and printed one such sentence."""
    told = [line for line in errors.splitlines() if line.startswith("not-so-clevr: ")]
    assert len(told) == 1, errors
    assert told[0].startswith(f"not-so-clevr: {sentence}"), errors
    assert "Traceback" not in errors, errors
    assert status == expected


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is not a dead one that nobody has asked for."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def read_terminal(main: int) -> str:
    """Returns the text printed on a pseudo-terminal, once every process has closed it."""
    shown = b""
    while True:
        try:
            read = os.read(main, 65536)
        except OSError:
            break
        if not read:
            break
        shown += read
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def debian(program: str, package: str) -> str:
    """Returns the path of a program of Debian. Fails the test if it is not installed."""
    if not (found := shutil.which(program)):
        pytest.fail(f"There is no {program}; install it: apt-get install {package}")
    return found


def browse(file: pathlib.Path, *options: str) -> tuple[str, list[str]]:
    """Returns the page after a browser has loaded it, and what the browser logged of it."""
    browser = debian("chromium", "chromium")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [browser, *fixed, *options, file.as_uri()], capture_output=True, text=True, timeout=120
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

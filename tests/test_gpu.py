"""The script that measures on a GPU runs, on CPU devices and at tiny sizes; its numbers are not looked at."""

import importlib.machinery
import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import tarfile
import time

import gpu as page
import numpy as np
import psutil
import pytest
import subprocesses

from not_so_clevr.dataset import drawing, geometry

RUN = pathlib.Path(__file__).parent / "gpu" / "run"

_LOADER = importlib.machinery.SourceFileLoader("gpu_run", str(RUN))  # Its name has no ".py".
SCRIPT = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_run", _LOADER))
_LOADER.exec_module(SCRIPT)
sys.path.insert(0, str(RUN.parent))
import measure  # noqa: E402

SMALL = measure.SMALL


def command(*arguments, cwd=None):
    words = [sys.executable, RUN, *map(str, arguments)]
    environment = subprocesses.environment()
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cwd)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a run of the script measures in processes of its own, and what the other parts measure here."""
    file = tmp_path_factory.mktemp("gpu") / "gpu.json"
    options = ["--device", "cpu", "--small", "--backends", "jax", "--output", file]
    result = command(*options, "--parts", "about", "bits")
    assert result.returncode == 0, result.stderr
    found = json.loads(file.read_text())
    parts = found["backends"]["jax"]
    assert list(parts) == ["about", "bits"]
    parts |= {f.__name__: f(SMALL) for f in (measure.draw, measure.stream, measure.candidates)}
    parts["train regression"] = measure.main("train regression", "cpu", SMALL)
    parts["train regression"]["process_seconds"] = 1.0
    file.write_text(json.dumps(found))
    return file


@pytest.mark.slow
def test_every_part_measures(measured):
    parts = json.loads(measured.read_text())["backends"]["jax"]
    assert parts["about"]["backend"] == "jax"
    assert parts["bits"]["squares_16"]
    assert parts["bits"]["convolve_disc_0.9"]
    rates = [rate for name in ("draw", "candidates") for rate in parts[name].values()]
    assert len(rates) == 3 + 4 + 6
    numbers = [number for rate in rates for number in rate.values()]
    numbers += [*parts["stream"].values(), parts["train regression"]["training_seconds"]]
    assert all(0 < number < math.inf for number in numbers)
    assert parts["train regression"]["jit_compile"] is False


@pytest.mark.slow
def test_the_page_has_what_was_measured(measured):
    text = page.text(measured)
    for line in (
        "| single squares, convolved | 16 |",
        "| regression quadrant_16_square3 | the host |",
        "| regression | no | 1 |",
        "The bits equal those of the CPU.\n",
    ):
        assert line in text
    assert "Failed" not in text


def test_the_page_says_so_where_nothing_was_measured(tmp_path):
    assert page.text(tmp_path / "gpu.json").startswith("Not yet measured")


def test_a_part_that_fails_is_recorded_and_shown(tmp_path):
    arguments = type("Arguments", (), {"device": "cpu", "small": True, "minutes": 8})
    SCRIPT.install(tmp_path, None, time.monotonic() + 60)
    failed = SCRIPT.measure("train nonsense", "jax", 60, str(tmp_path), arguments)
    assert failed["failed"] == "KeyError: 'nonsense'"
    late = SCRIPT.measure("about", "jax", 0.5, str(tmp_path), arguments)
    assert late == {"failed": "there was no time left of 8 minutes"}
    killed = SCRIPT.measure("about", "jax", 1, str(tmp_path), arguments)
    assert killed["failed"] == "it took more than 1 s"
    assert page._failures({"about": killed}) == "Failed:\n\n- about: it took more than 1 s\n"


def test_a_measurement_that_fails_keeps_no_other_back(capsys):
    found = {}
    measure.record(found, "bad", lambda: 1 / 0, 1, 1, SMALL)
    measure.record(found, "good", lambda: None, 1, 1, SMALL)
    assert found["bad"] == {"failed": "ZeroDivisionError: division by zero"}
    assert found["good"]["canvases_per_s"] > 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found  # In case time runs out
    rows = list(page._draws({"draw": {"sums_16": found["bad"]}}, 1.0))
    assert rows == [
        ["not used: sums of shifted images", "16", f"failed: {found['bad']['failed']}", "", ""]
    ]


@pytest.mark.parametrize("size", [16, 64])
def test_four_pixels_a_word_are_the_same_canvases(size):
    centres = geometry.centres(size)
    lines = np.arange(size, dtype=np.int32)
    packed = measure._packed(*centres.astype(np.int32).T, lines)
    np.testing.assert_array_equal(packed, drawing.draw(centres, size))


@pytest.mark.slow
def test_what_is_killed_leaves_no_process_behind(tmp_path):
    options = ["--device", "cpu", "--backends", "jax", "--output", tmp_path / "gpu.json"]
    process = subprocess.Popen([sys.executable, RUN, *map(str, options), "--parts", "draw"])
    children = []
    while not children:
        children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.05)
    process.terminate()
    assert process.wait() == 143
    assert not any(subprocesses.alive(child.pid) for child in children)


@pytest.mark.slow
def test_parts_that_are_measured_again_leave_the_others_alone(tmp_path):
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"backends": {"jax": {"draw": {"old": 1}}}}))
    options = ["--device", "cpu", "--small", "--backends", "jax", "--output", file]
    assert command(*options, "--parts", "bits").returncode == 0
    parts = json.loads(file.read_text())["backends"]["jax"]
    assert parts["draw"] == {"old": 1}
    assert parts["bits"]["squares_16"]


@pytest.mark.slow
def test_without_a_gpu_nothing_is_measured_or_written(tmp_path):
    result = command("--output", tmp_path / "gpu.json", "--backends", "jax")
    assert result.returncode == 2
    assert "tests/gpu/run: jax is left out: it has no GPU" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--device", "cpu"],
            "--device cpu and --small only try it out; pass --output for another",
        ),
        (
            ["--small", "--output", "docs/gpu.json"],
            "--device cpu and --small only try it out; pass",
        ),
        (["--output", "nowhere/gpu.json"], "nowhere/gpu.json; pass --output for another file."),
        (["--output", "docs"], "docs; pass --output for another file."),
        (["--minutes", "nan"], "--minutes must be a positive number, got nan."),
        (["--wheels", "docs"], "there are no wheels in docs."),
    ],
)
def test_bad_options_are_named_before_any_work(options, sentence):
    result = command(*options, cwd=RUN.parents[2])
    assert result.returncode == 2
    assert sentence in result.stderr


def test_many_runs_are_made_at_once_and_packed_when_time_is_up(tmp_path):
    """With a stand-in for Python, whose run `slow` does not end by itself."""
    stand_in = tmp_path / "python3"
    stand_in.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = pip ]; then exit; fi\n'
        'echo "$*" on "$KERAS_BACKEND"\n'
        'if [ "$4" = slow ]; then exec sleep 600; fi\n'
        'mkdir "runs/$4"\n'
        'echo {} > "runs/$4/result.json"\n'
    )
    stand_in.chmod(0o755)
    environment = subprocesses.environment()
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    words = [RUN.with_name("train"), tmp_path, tmp_path, "3", "3"]
    done = subprocess.run(
        words,
        input="not-so-clevr train slow\nnot-so-clevr train a --set b=1\nnot-so-clevr train c\n",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "2 runs are complete.\n"), done.stderr
    with tarfile.open(tmp_path / "runs.tgz") as packed:
        assert {"runs/a/result.json", "runs/c/result.json"} <= {*packed.getnames()}
    log = (tmp_path / "log").read_text()
    assert "-m not_so_clevr train a --set b=1 --data memory --resume --runs runs on jax\n" in log

    usage = subprocess.run(words[:1], capture_output=True, text=True, env=environment)
    assert (usage.returncode, usage.stdout) == (2, "")
    assert "tests/gpu/train WHEELS OUTPUT SECONDS PARALLEL < commands" in usage.stderr

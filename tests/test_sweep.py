"""`not-so-clevr sweep` with Ray: what fails, what is killed, what it shows, and that a run is the same as one by `train`."""

import concurrent.futures
import contextlib
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import filelock
import pytest
import subprocesses
from run_files import assert_same_run
from subprocesses import COMMAND

from not_so_clevr import cli, reproduce
from not_so_clevr.benchmark import progress, runner
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.cli import many
from not_so_clevr.reproduce import cluster, sweep, worker
from not_so_clevr.results import Result
from not_so_clevr.results.experiment import Experiment

MINE = """
import os
import pathlib
import signal

import keras


class Calls(keras.layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x, training=False):
        if training:
            self.function()
        return x


def model(task, *layers):
    return keras.Sequential([keras.Input(task.input_shape), keras.layers.Flatten(), keras.layers.Dense(2), *layers])


def fine(task):
    return model(task)


def raises(task):
    def function():
        if not os.path.exists("mended"):
            raise RuntimeError("not mended")

    return model(task, Calls(function))


def dies(task):
    def function():
        if not os.path.exists("died"):
            pathlib.Path("died").touch()
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    return model(task, Calls(function))


def wrong(task):
    return keras.Sequential([keras.Input(task.input_shape), keras.layers.Flatten(), keras.layers.Dense(7)])
"""
GRID = """
model = ["my_module:fine", "my_module:dies", "my_module:raises"]
task = "regression"
config = "quadrant_16_square3"
seeds = [5]
[grid]
epochs = 150
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_module.py").write_text(MINE)
    (tmp_path / "grid.toml").write_text(GRID)
    return tmp_path


def start(folder, *arguments, **streams):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | streams
    environment = subprocesses.environment(COLUMNS="160", TERM="xterm")
    return subprocess.Popen(
        [COMMAND, *map(str, arguments), "--data", "memory"], env=environment, cwd=folder, **streams
    )


def finish(process):
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


def train_on_one_core(folder, *arguments):
    """By `train`, as `taskset -c N` would have it."""
    process = start(
        folder,
        "train",
        *arguments,
        "--task",
        "regression",
        "--runs",
        "trained",
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )
    status, _, errors = finish(process)
    assert status == 0, errors


def wait_until(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_sweep_outlives_failures_and_kills(folder, monkeypatch):
    """The sweep is killed; again, one run dies once and one fails twice; then that is mended."""
    pytest.importorskip("ray")
    base = folder / "runs" / "regression" / "quadrant_16_square3"
    fine, dies, raises = (
        base / f"my_module.{name}-epochs=150" / "seed5" for name in ("fine", "dies", "raises")
    )

    for package in ("optree", "rich"):  # Files of the user that shadow no installed package
        (folder / f"{package}.py").write_text("raise SystemError('not the installed one')")

    # Sockets in there would have names that are too long.
    monkeypatch.setenv("TMPDIR", str(folder / ("t" * 70)))
    (folder / ("t" * 70)).mkdir()

    killed = start(folder, "sweep", "grid.toml", "--row", "*fine*")
    wait_until(lambda: fine.with_name("seed5.incomplete").joinpath("checkpoint.npz").exists())
    killed.kill()
    killed.communicate()
    assert not fine.exists()  # Or it was done before the kill, and this test shows nothing

    main, terminal = pty.openpty()
    again = start(folder, "sweep", "grid.toml", stderr=terminal)
    os.close(terminal)
    shown = subprocesses.read_terminal(main)
    status, output, _ = finish(again)
    assert status == 1, shown
    assert "3 runs to do" in output
    assert output.count("my_module.raises-epochs=150/seed5 failed: RuntimeError: ") == 2
    assert (
        "my_module.dies-epochs=150/seed5 failed: its process died: it crashed, was killed, or ran out of memory"
        in output
    )
    assert output.count("; trying again\n") == 2
    assert re.search(r"my_module.dies-epochs=150/seed5: .* % of test right, in \d+ s", output)
    assert (
        "| regression | quadrant_16_square3 | my_module.fine-epochs=150 | 0 of 1 [0, 98] |"
        in output
    )
    at_once = min(len(os.sched_getaffinity(0)), 3)  # A core each
    assert ", ".join([f"{at_once} running", *[f"{3 - at_once} waiting"] * (at_once < 3)]) in shown
    assert re.search(
        r"fine-epochs=150/seed5 +(starting|\d+ of 150 +loss .*, test error .* s)", shown
    )
    assert "my_module.raises-epochs=150/seed5 failed 2 times: RuntimeError: " in shown
    assert f"The end of its log, {raises}.log:" in shown
    assert re.search(
        r"attempt 1 of .*Traceback.*not mended.*attempt 2 of .*not mended",
        read_log(raises),
        re.DOTALL,
    )
    assert "last words" in read_log(dies)
    epochs = re.findall(r"epoch (\d+) of 150, loss", read_log(fine))
    assert epochs.count("1") == epochs.count("150") == 1  # It went on.

    train_on_one_core(
        folder,
        "my_module:fine",
        "--config",
        "quadrant_16_square3",
        "--seed",
        "5",
        "--set",
        "epochs=150",
    )
    assert_same_run(fine, folder / "trained" / fine.relative_to(folder / "runs"))

    (folder / "mended").touch()
    before = (fine / "result.json").stat().st_mtime_ns
    status, output, errors = finish(start(folder, "sweep", "grid.toml"))
    assert status == 0, errors
    assert "1 run to do" in output
    assert "my_module.raises-epochs=150 | 0 of 1 [0, 98] |" in output
    assert "my_module.dies-epochs=150 | 0 of 1 [0, 98] |" in output
    assert len(re.findall(r"epoch 150 of 150, loss", read_log(raises))) == 1
    assert (fine / "result.json").stat().st_mtime_ns == before
    wait_until(lambda: not any(map(subprocesses.alive, processes(base))))


def test_ctrl_c_says_how_to_go_on(folder, monkeypatch, capsys):
    def interrupted(attempts, *_):
        yield sweep.Going(attempts, 2)
        raise KeyboardInterrupt

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.setattr(cluster, "cluster", lambda *_: contextlib.nullcontext(2))
    monkeypatch.setattr(sweep, "_make", interrupted)
    monkeypatch.setattr(sys, "argv", ["not-so-clevr", "sweep", "grid.toml", "--data", "memory"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert "interrupted; the same command continues with 3 runs." in capsys.readouterr().err


def test_only_print_lists_the_runs_and_starts_nothing(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.setattr(cluster, "cluster", lambda *_: pytest.fail("Ray started"))
    many.sweep_grid("grid.toml", only_print=True)
    out = capsys.readouterr().out
    assert out.startswith("3 runs to do, 3 of unknown length\n")
    for name in ("fine", "dies", "raises"):
        assert f"| regression/quadrant_16_square3/my_module.{name}-epochs=150/seed5 | ? |\n" in out
    assert not (folder / "runs").exists()


def test_a_run_that_another_process_is_writing_is_waited_for(tmp_path, monkeypatch, capsys):
    """And not made again: what the other one has made is the result."""
    experiment = Experiment(
        "regression", "quadrant_16_square3", "coordconv", settings={"epochs": 1}
    )
    options = RunOptions(runs=tmp_path, data="memory", resume=True)
    folder = tmp_path / experiment.id / "seed0"
    folder.parent.mkdir(parents=True)
    monkeypatch.setattr(runner, "_PAUSE", 0.01)
    with concurrent.futures.ThreadPoolExecutor() as other:
        with filelock.FileLock(folder.with_name(".seed0.lock")):
            waiting = other.submit(worker._make, experiment, 0, options)
            wait_until(lambda: "is being written by another process" in capsys.readouterr().out)
            made = made_elsewhere(folder, experiment)
        assert waiting.result(60).metrics == made.metrics


def made_elsewhere(folder, experiment):
    (row,) = reproduce.plan([experiment])
    metrics = {split: {"within_half_pixel": 1.0, "error": 0.0} for split in ("train", "test")}
    result = Result(
        model="coordconv",
        recipe="epochs=1",
        task="regression",
        config="quadrant_16_square3",
        seed=0,
        metrics=metrics,
        accuracy_metric="within_half_pixel",
        distance_metric="error",
        settings=row.run.saved_recipe,
    )
    partial = folder.with_name("seed0.incomplete")
    result.write(partial)
    partial.rename(folder)
    return result


def read_log(run):
    return run.with_name(run.name + ".log").read_text()


def processes(base):
    """The ids of those that have written the logs of some runs."""
    return [
        int(pid)
        for log in base.rglob("*.log")
        for pid in re.findall(r", process (\d+),", log.read_text())
    ]


CONFINED = """
import os, pathlib, sys, time
from not_so_clevr.reproduce import worker
with worker._confined({cpus}, {gpus}) as cores:
    assert sorted(os.sched_getaffinity(0)) == cores
    names = "TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"
    print(*cores, *(os.environ.get(name) for name in names), flush=True)
    sys.stdin.read()
"""


def confined(folder, cpus, gpus):
    """With locks of cores in a folder of its own, so that no real sweep has any of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", CONFINED.format(cpus=cpus, gpus=gpus)],
        env=subprocesses.environment(CUDA_VISIBLE_DEVICES="3", TMPDIR=folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().split()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be shared out")
def test_runs_have_cores_of_their_own_and_no_gpu_unless_asked_for(tmp_path):
    one, (first, *limits) = confined(tmp_path, 1, 0)
    assert limits == ["1", "1"]  # No GPU: the third is empty.
    other, (second, *_) = confined(tmp_path, 1, 0)
    assert first != second
    one.kill()
    one.wait()
    third, (freed, *limits) = confined(tmp_path, 1, 0.5)
    assert (freed, limits) == (first, ["1", "1", "3"])
    fourth, crowded = confined(tmp_path, 2, 0)
    assert len(crowded) == 4
    for process in (other, third, fourth):
        process.communicate("")


def test_frameworks_see_no_gpu_while_a_sweep_is_planned(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    with worker.without_gpus():
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["JAX_PLATFORMS"]) == ("", "cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert "JAX_PLATFORMS" not in os.environ


def made(rows, estimate=None, seconds=None):
    """Attempts at some rows, done where there are seconds."""
    todo = []
    for k, name in enumerate(rows):
        (row,) = reproduce.plan(
            [Experiment("regression", "quadrant_16", "coordconv", settings={"epochs": name})]
        )
        attempt = sweep.Attempt(row, k, pathlib.Path("none"), estimate, number=1)
        if seconds and seconds[k]:
            fields = dict.fromkeys(
                ("model", "recipe", "task", "config", "accuracy_metric", "distance_metric"), ""
            )
            attempt.result = Result(**fields, seed=k, metrics={}, seconds=seconds[k])
        todo.append(attempt)
    return todo


def test_a_run_that_fails_is_tried_once_more():
    (attempt,) = made([1])
    assert not attempt.over
    attempt.failure = "killed"
    assert not attempt.over
    attempt.number, attempt.failure = 2, ""
    assert not attempt.over
    attempt.failure = "killed again"
    assert attempt.over


def test_the_time_left():
    unknown = made([1, 1, 1])
    assert sweep.time_left(unknown, {}, 2) is None
    assert sweep.time_left(unknown, {unknown[0]: 10.0}, 1) == 30
    estimated = made([1, 1, 1, 1], estimate=10.0)
    assert sweep.time_left(estimated, {}, 2) == 20
    assert (
        sweep.time_left(estimated, {estimated[0]: 35.0}, 2) == 35
    )  # One run is no shorter on two cores.
    assert (
        sweep.time_left(made([1, 1, 2, 2], estimate=10.0, seconds=[20, 40, None, None]), {}, 1)
        == 60
    )  # 3 times the estimate
    assert (
        sweep.time_left(made([1, 1, 1], estimate=99.0, seconds=[20, 40, None]), {}, 2) == 30
    )  # As others of the row
    over = made([1], seconds=[20])
    assert sweep.time_left(over, {}, 1) == 0


@pytest.mark.parametrize(
    ("machine", "cpus", "gpus", "room"),
    [
        ({"CPU": 8.0}, 1, 0, 8),
        ({"CPU": 8.0}, 3, 0, 2),
        ({"CPU": 8.0, "GPU": 2.0}, 1, 1, 2),
        ({"CPU": 8.0, "GPU": 2.0}, 1, 0.5, 4),
        ({"CPU": 8.0, "GPU": 2.0}, 1, 0.6, 2),
        ({"CPU": 16.0, "GPU": 1.0}, 1, 0.1, 10),
        ({"CPU": 8.0}, 1, 1, 0),
        ({}, 1, 0, 0),
    ],
)
def test_the_room_of_a_machine(machine, cpus, gpus, room):
    assert cluster._room(machine, cpus, gpus) == room


def test_the_last_epoch_of_a_log_tells_how_far_a_run_is(tmp_path):
    (run,) = made([1])
    run.log = tmp_path / "seed0.log"
    assert run.printed() == ""
    line = "epoch {} of 9, loss 0.1, test error 2, within_half_pixel 0.5, 12.5 s left\n"
    run.log.write_text(line.format(8))
    run.offset = run.log.stat().st_size
    assert progress.Epoch.read(run.printed()) is None
    with run.log.open("a") as stream:
        stream.write(line.format(1) + line.format(2) + "epoch 3 of 9, loss")
    state = "loss 0.1, test error 2, within_half_pixel 0.5"
    assert progress.Epoch.read(run.printed()) == progress.Epoch(2, 9, state, 12.5)
    assert run.end().splitlines()[-1] == "epoch 3 of 9, loss"


def test_without_ray_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ImportError, match=r"pip install 'not-so-clevr\[sweep\]'"),
        cluster.cluster(None, 1, 0),
    ):
        pass


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"TMPDIR": "/scratch"}, None),
        ({"TMPDIR": "/" + 70 * "t"}, "/tmp/ray"),
        ({"TMPDIR": "/" + 70 * "t", "RAY_TMPDIR": "/scratch"}, None),
    ],
)
def test_the_folder_of_ray_is_short_enough_for_sockets(variables, expected):
    assert cluster._folder(variables) == expected


def test_a_folder_of_ray_that_is_too_long_is_named():
    with pytest.raises(ValueError, match=r"^RAY_TMPDIR=/r{70} is too long .* at most \d+ bytes, "):
        cluster._folder({"RAY_TMPDIR": "/" + 70 * "r"})


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            None,
            "Ray does not start on this machine (The node timed out); "
            "try again when fewer programs run, or set RAY_TMPDIR to a folder with room.",
        ),
        (
            "auto",
            "Cannot join the Ray cluster at auto (The node timed out); look at it with: ray status",
        ),
    ],
)
def test_what_to_do_is_told_if_ray_does_not_start(address, sentence, monkeypatch):
    ray = pytest.importorskip("ray")
    seen = []

    def init(*_, **__):
        seen.append(os.getcwd())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise RuntimeError("\nThe node timed out.\nMore of it")

    monkeypatch.setattr(ray, "init", init)
    before = os.getcwd(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError, match=re.escape(sentence)), cluster.cluster(address, 1, 0):
        pass
    assert before[0] not in seen
    assert (os.getcwd(), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "There is no grid 'nope'; expected one of article,"),
        (["none.toml"], "Cannot read none.toml: No such file or directory"),
        (["grid.toml", "--seeds", "0"], "--seeds=0 is out of range"),
        (
            ["grid.toml", "--row", "x"],
            "--row x matches none of the 3 rows; expected an id such as regression/",
        ),
        (["grid.toml", "--data", "disk"], "data='disk' is unknown"),
        (["grid.toml", "--runs", "grid.toml"], "There is no folder"),
        (["grid.toml", "--runs", "grid.toml/below"], "Cannot write"),
        (["grid.toml", "--cpus-per-run", "0"], "--cpus-per-run=0 is out of range"),
        (
            ["grid.toml", "--gpus-per-run", "1.5"],
            "--gpus-per-run must be 0 to 1, or a whole number, got 1.5.",
        ),
        (
            ["grid.toml", "--gpus-per-run", "nan"],
            "--gpus-per-run must be 0 to 1, or a whole number, got nan.",
        ),
        (
            ["grid.toml", "--address", "nonsense"],
            "--address must be HOST:PORT, such as 10.0.0.1:6379, auto or local, got 'nonsense'.",
        ),
        (["grid.toml", "--address", "127.0.0.1:1"], "Nothing answers at --address 127.0.0.1:1"),
        (["wrong.toml"], "my_module:wrong returns shape (2, 7) for regression; expected (2, 2)"),
        (
            ["other.toml"],
            "{runs}/regression/quadrant_16_square3/my_module.fine-epochs=150/seed6 was made with",
        ),
        (["task.toml"], "task.toml: Unknown task 'x'"),
    ],
)
def test_bad_input_is_one_sentence_before_ray_starts(
    folder, arguments, sentence, monkeypatch, capsys
):
    (folder / "wrong.toml").write_text(GRID.replace(":fine", ":wrong"))
    (folder / "task.toml").write_text(GRID.replace('"regression"', '"x"'))
    (folder / "other.toml").write_text(GRID.replace("[5]", "[6]"))
    result = dict.fromkeys(("model", "recipe"), "r") | {
        "accuracy_metric": "within_half_pixel",
        "distance_metric": "error",
        "task": "regression",
        "config": "c",
        "seed": 6,
    }
    metrics = {split: {"within_half_pixel": 1.0, "error": 0.0} for split in ("train", "test")}
    other = (
        folder
        / "runs"
        / "regression"
        / "quadrant_16_square3"
        / "my_module.fine-epochs=150"
        / "seed6"
    )
    Result(**result, metrics=metrics).write(other)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    monkeypatch.setattr(cluster, "cluster", lambda *_: pytest.fail("Ray started"))
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "not-so-clevr",
            "sweep",
            *arguments,
            *([] if "--data" in arguments else ["--data", "memory"]),
        ],
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    subprocesses.assert_refused(
        ended.value.code, capsys.readouterr().err, sentence.format(runs=folder / "runs")
    )
    assert not list((folder / "runs").rglob("*.log"))


@pytest.mark.parametrize("fails", [False, True])
def test_a_sweep_leaves_the_process_as_it_was(fails, monkeypatch):
    ray = pytest.importorskip("ray")
    own = pytest.importorskip("ray._private.worker")

    def connect(*_):
        assert os.environ.keys() >= cluster._RAY.keys()
        if fails:
            raise OSError("no cluster")

    monkeypatch.setattr(cluster, "_connect", connect)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    for name in cluster._RAY:
        monkeypatch.delenv(name, raising=False)
    before, logs = dict(os.environ), own._worker_logs_enabled
    with contextlib.suppress(OSError), cluster.cluster(None, 1, 0) as slots:
        assert slots == 2
    assert dict(os.environ) == before
    assert own._worker_logs_enabled == logs


def test_whole_gpus_are_any_number():
    cluster.check_resources(1, 2)
    with pytest.raises(UserError, match="--gpus-per-run must be 0 to 1, or a whole .*, got '1'."):
        cluster.check_resources(1, "1")

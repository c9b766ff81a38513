"""Runs as events: one after the other, none keeps another back; and what a run shows meanwhile."""

import concurrent.futures
import contextlib
import dataclasses
import inspect
import io
import pathlib
import pty
import time
import types

import filelock
import keras
import pytest
import rich.console
import subprocesses

from not_so_clevr import benchmark, reproduce
from not_so_clevr.benchmark import progress, runner, training
from not_so_clevr.benchmark.events import Failed, Finished, OutOfTime, Started
from not_so_clevr.benchmark.experiment import plan
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.generate import generate
from not_so_clevr.reproduce import grids, sweep

SMALL = {"task": "regression", "config": "quadrant_16_square3"}


def linear(task):
    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))


def late(task):
    class Late(keras.layers.Layer):
        def call(self, x, training=False):
            if training:
                raise RuntimeError("only in training")
            return x

    network = linear(task)
    return keras.Model(network.input, Late()(network.output))


def planned(build=linear, seeds=1, **settings):
    run = plan(build, settings={"epochs": 2} | settings, **SMALL)
    return [run.with_seed(seed) for seed in range(seeds)]


def kinds(events):
    return [(type(event), event.run.seed) for event in events]


def test_a_run_that_is_made_elsewhere_keeps_no_other_back(tmp_path):
    runs = planned(seeds=3)
    lock = tmp_path / runs[1].id.replace("seed1", ".seed1.lock")
    lock.parent.mkdir(parents=True)
    with filelock.FileLock(lock):
        events = list(runner.train(runs, RunOptions(data="memory", runs=tmp_path)))
    each = [(Started, 0), (Finished, 0), (Started, 1), (Failed, 1), (Started, 2), (Finished, 2)]
    assert kinds(events) == each
    assert "seed1 is being written by another process" in events[3].message
    alone = benchmark.run(linear, data="memory", seed=2, settings={"epochs": 2}, **SMALL)
    assert events[5].result.metrics == alone.metrics


def test_a_search_waits_for_a_run_that_is_made_elsewhere(tmp_path, monkeypatch, capsys):
    runs = planned(seeds=3)
    lock = filelock.FileLock(tmp_path / runs[1].id.replace("seed1", ".seed1.lock"))

    pathlib.Path(lock.lock_file).parent.mkdir(parents=True)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            lock.release()

    lock.acquire()
    clock = types.SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr(runner, "time", clock)
    options = RunOptions(data="memory", runs=tmp_path, resume=True, verbose=1)
    events = runner.train(runs, options, wait=True)
    each = [(kind, seed) for seed in range(3) for kind in (Started, Finished)]
    assert kinds(events) == each
    assert len(pauses) == 2
    sentence = f"{runs[1].id} is being made by another process; waiting for it."
    assert capsys.readouterr().err.count(sentence) == 1


def test_all_is_checked_before_anything_is_trained(tmp_path):
    runs, options = planned(seeds=2), RunOptions(data="memory", runs=tmp_path)
    list(runner.train(runs[1:], options))
    with pytest.raises(FileExistsError, match="seed1 holds a complete run"):
        next(runner.train(runs, options))
    assert kinds(runner.train(runs[1:], dataclasses.replace(options, resume=True))) == [
        (Started, 1),
        (Finished, 1),
    ]


def test_a_model_that_cannot_be_built_leaves_no_file(tmp_path):
    def wrong(task):
        return keras.Sequential(
            [keras.Input(task.input_shape), keras.layers.Flatten(), keras.layers.Dense(7)]
        )

    with pytest.raises(ValueError, match=r"wrong returns shape \(2, 7\) for regression"):
        list(
            runner.train(
                [plan(wrong, name="wrong", **SMALL)], RunOptions(data="memory", runs=tmp_path)
            )
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("start", [runner.train, runner.make])
def test_nothing_is_generated_for_runs_that_cannot_be_written(start, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "generate", lambda *_, **__: pytest.fail("it was generated"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Cannot write into .*: .*file is not a folder; choose"):
        list(start(planned(), RunOptions(runs=tmp_path / "file" / "below")))


def test_what_is_no_run_is_told():
    for runs, sentence in (
        ([3], "runs must be those of benchmark.plan, got 3."),
        (planned()[0], "runs must be a list, got Run.*; put it into brackets."),
    ):
        with pytest.raises(UserError, match=sentence):
            list(runner.train(runs, RunOptions(data="memory")))


def test_to_wait_is_a_bool(tmp_path):
    with pytest.raises(UserError, match="wait must be True or False, got 'no'."):
        list(runner.train(planned(), RunOptions(data="memory", runs=tmp_path), wait="no"))


def test_when_the_time_is_over_the_run_is_kept_and_no_other_begins(tmp_path):
    runs = planned(seeds=2)
    options = RunOptions(data="memory", runs=tmp_path, resume=True)
    assert kinds(runner.make(runs, options, budget=1e-9)) in ([], [(Started, 0), (OutOfTime, 0)])
    events = list(runner.make(runs, options, budget=1e9))
    assert kinds(events) == [(Started, 0), (Finished, 0), (Started, 1), (Finished, 1)]


def test_an_error_of_a_model_is_a_failure_and_one_of_ours_a_traceback(monkeypatch):
    options = RunOptions(data="memory")
    _, failed = runner.make(planned(late), options)
    sentence, frame, *_ = failed.message.splitlines()
    assert sentence.startswith("test_runner:late cannot be trained for regression: RuntimeError: ")
    assert frame.startswith(f"  {__file__}, line ")
    monkeypatch.setattr(training, "Log", None)
    with pytest.raises(TypeError):
        list(runner.make(planned(), options))


def test_suites_and_grids_begin_with_what_is_left(tmp_path):
    options = RunOptions(data="memory", runs=tmp_path)
    row = ["regression/uniform/coordconv-article-pooling=mean"]
    first = next(reproduce.run(["failures"], options, rows=row, seeds=2))
    assert [run.id for run in first.runs] == [f"{row[0]}/seed{seed}" for seed in (0, 1)]
    assert (first.found, first.problems) == ([], [])
    grid = grids.parse("mine", {"model": "coordconv", "seeds": [7], **SMALL})
    (run,) = next(sweep.run(grid, options)).runs
    assert run.id == "regression/quadrant_16_square3/coordconv/seed7"
    for wrong in ({"runs": None}, {"replace": True}, {"callbacks": [keras.callbacks.Callback()]}):
        with pytest.raises(
            ValueError, match="A sweep needs runs=, and allows no callbacks= or replace="
        ):
            next(sweep.run(grid, dataclasses.replace(options, **wrong)))


def test_generating_tells_how_far_it_is(tmp_path):
    for known in (False, True):
        seen = []
        generate(
            ["uniform_12_square3"],
            data_dir=tmp_path,
            on_progress=lambda *at, seen=seen: seen.append(at),
        )
        assert {(name, total) for name, _, total in seen} == {("uniform_12_square3", 100)}
        done = [examples for _, examples, _ in seen]
        assert done == sorted(done)
        assert (done[0], done[-1], len(done) > 2) == (0, 100, not known)


def test_the_options_of_a_run_have_the_defaults_that_run_has():
    parameters = inspect.signature(benchmark.run).parameters
    fields = dataclasses.fields(RunOptions)
    assert {field.name: parameters[field.name].default for field in fields} == {
        field.name: field.default for field in fields
    }


@pytest.mark.parametrize("value", ["loud", 2, None, -1, [1]])
def test_a_verbosity_that_is_unknown_is_told(value):
    with pytest.raises(ValueError, match="verbose=.* is unknown; expected one of auto, 0, 1."):
        benchmark.run(linear, data="memory", verbose=value, **SMALL)


def shown(verbose, terminal, monkeypatch):
    """What a run prints on standard error, which is a terminal or a file."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_SECONDS", 0)
    options = {"data": "memory", "settings": {"epochs": 2}, **SMALL, **verbose}
    if not terminal:
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            benchmark.run("coordconv", **options)
        return printed.getvalue()
    main, other = pty.openpty()
    with concurrent.futures.ThreadPoolExecutor() as reader:
        text = reader.submit(subprocesses.read_terminal, main)
        with open(other, "w") as stream, contextlib.redirect_stderr(stream):
            benchmark.run("coordconv", **options)
        return text.result(60)


BAR, LINES = "10/10 steps, epoch 2 of 2, loss ", "seed0: epoch 2 of 2, loss "


@pytest.mark.parametrize(
    ("verbose", "terminal", "expected"),
    [
        ({}, True, BAR),
        ({}, False, ""),
        ({"verbose": 0}, True, ""),
        ({"verbose": 1}, False, LINES),
    ],
)
def test_a_run_shows_how_far_it_is_where_somebody_looks(verbose, terminal, expected, monkeypatch):
    text = shown(verbose, terminal, monkeypatch)
    assert [words for words in (BAR, LINES) if words in text] == [expected] * bool(expected)


def test_a_notebook_counts_as_a_place_where_somebody_looks(monkeypatch):
    assert not progress.is_shown("auto")
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert progress.is_shown("auto")
    assert not progress.is_shown(0)

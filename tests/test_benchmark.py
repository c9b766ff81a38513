"""The harness: measured on every example, the same bits for the same seed, resumed after a kill, nothing overwritten."""

import functools
import json
import math
import os
import pathlib
import random
import shlex
import shutil
import signal
import sys
import types

import filelock
import keras
import numpy as np
import pytest
import subprocesses
import tensorflow_datasets as tfds
from run_files import assert_same_run
from run_files import result as made_up

import not_so_clevr
from not_so_clevr import benchmark, results
from not_so_clevr.benchmark import environment, experiment, graph, loading, networks
from not_so_clevr.benchmark.log import StopAt, TimeIsUp
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.recipe import Recipe, with_recipes
from not_so_clevr.dataset import tasks
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.results import naming

SMALL = {
    "task": "regression",
    "config": "quadrant_16_square3",
    "data": "memory",
}  # 147 train and 49 test
ID = pathlib.Path("regression/quadrant_16_square3/coordconv/seed0")


def linear(task):
    """A model that is trained in no time, and that draws random numbers while it is."""
    x = inputs = keras.Input(task.input_shape)
    x = keras.layers.Dropout(0.1)(keras.layers.Flatten()(x))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(int(np.prod(task.output_shape)))(x))
    return keras.Model(inputs, keras.layers.Reshape(task.output_shape)(x))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    return runs, benchmark.run(linear, runs=runs, **SMALL)


def test_a_result_tells_everything_about_the_run(finished):
    runs, result = finished
    folder = runs / result.id
    assert sorted(file.name for file in folder.iterdir()) == [
        "errors.npz",
        "model.weights.h5",
        "result.json",
    ]
    assert results.Result.read(folder / results.FILE) == result
    assert result.id == "regression/quadrant_16_square3/test_benchmark.linear/seed0"
    assert (
        result.parameters == 256 * 2 + 2 + 2 * 2
    )  # Dense, and gamma and beta of the batch normalisation
    assert len(result.history) == result.settings["epochs"] == 20
    assert result.history[-1]["test"] == result.metrics["test"]
    assert result.environment["backend"] == keras.backend.backend()
    assert result.environment["versions"]["keras"] == keras.__version__
    assert result.seconds > sum(epoch["seconds"] for epoch in result.history) > 0
    assert result.examples_per_second == pytest.approx(
        147 * 20 / sum(epoch["seconds"] for epoch in result.history)
    )
    common = "--task regression --config quadrant_16_square3 --seed 0"
    backend = keras.backend.backend()
    start = "" if backend == "tensorflow" else f"KERAS_BACKEND={backend} "
    command = f"not-so-clevr train test_benchmark:linear {common} --data memory"
    assert result.command == start + command
    errors = np.load(folder / results.ERRORS)
    arrays = not_so_clevr.load_arrays("quadrant_16_square3")
    for split in ("train", "test"):
        np.testing.assert_array_equal(errors[f"{split}/coordinates"], arrays[split]["coordinates"])
        for metric, mean in result.metrics[split].items():
            assert errors[f"{split}/{metric}"].mean(dtype=float) == pytest.approx(mean)


def test_the_command_that_makes_a_run_again_tells_everything_but_defaults():
    run = experiment.plan(
        "coordconv", task="regression", config="quadrant", recipe="article", settings={"epochs": 1}
    )
    common = "not-so-clevr train coordconv --task regression --config quadrant"
    assert run.with_seed(3).command() == f"{common} --seed 3 --recipe article --set epochs=1"
    assert experiment.plan("coordconv", task="regression", config="quadrant").command(
        distribute=True
    ) == (f"{common} --seed 0 --distribute")
    assert (
        run.with_seed(3).command("memory")
        == f"{common} --seed 3 --recipe article --set epochs=1 --data memory"
    )


def test_metrics_are_those_of_the_saved_weights_on_every_example(finished):
    runs, result = finished
    task = tasks.Regression(16)
    network = linear(task)
    network.load_weights(runs / result.id / results.WEIGHTS)
    for split, arrays in not_so_clevr.load_arrays("quadrant_16_square3").items():
        x, y = task.xy(arrays)
        pixels = (network.predict(x, verbose=0) - y) * 7.5
        assert result.metrics[split]["error"] == pytest.approx(
            np.linalg.norm(pixels, axis=1).mean(), rel=1e-5
        )


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(finished, tmp_path):
    runs, result = finished
    again = benchmark.run(linear, runs=tmp_path, **SMALL)
    assert_same_run(runs / result.id, tmp_path / again.id)
    other = benchmark.run(linear, runs=tmp_path, seed=1, **SMALL)
    assert other.metrics != result.metrics


def test_a_run_is_the_literal_training():
    def build(task):
        flat = [keras.Input(task.input_shape), keras.layers.Flatten(), keras.layers.Dense(2)]
        return keras.Sequential(flat)

    trained = []
    look = keras.callbacks.LambdaCallback(
        on_train_end=lambda logs: trained.extend(look.model.get_weights())
    )
    settings = {"epochs": 2, "batch_size": 32, "learning_rate": 0.01}
    benchmark.run(build, name="dense", seed=3, settings=settings, callbacks=[look], **SMALL)

    x, y = tasks.Regression(16).xy(not_so_clevr.load_arrays("quadrant_16_square3")["train"])
    keras.utils.set_random_seed(3)
    network = build(tasks.Regression(16))
    network.compile(keras.optimizers.Adam(0.01), "mean_squared_error")
    for epoch in range(2):
        order = np.random.RandomState([3, epoch]).permutation(147)
        for start in range(0, 147, 32):
            chosen = order[start : start + 32]
            network.train_on_batch(x[chosen], y[chosen])
    for ours, literal in zip(trained, network.get_weights(), strict=True):
        np.testing.assert_allclose(ours, literal, rtol=1e-4, atol=1e-6)


def test_tfds_and_memory_give_the_same_examples_in_the_same_order(data_dir):
    config = NotSoClevrConfig.from_name("uniform_20_square3")
    for task in tasks.TASKS.values():
        memory, stored = (
            loading.load(config, task(20), "memory"),
            loading.load(config, task(20), "tfds", data_dir),
        )
        for split in ("train", "test"):
            # Only what the task looks at is read, and where the examples are.
            needed = {"label", "coordinates", task.source, task.target}
            assert set(stored[split]) == needed
            for name in stored[split]:
                np.testing.assert_array_equal(memory[split][name], stored[split][name])
            both = [Examples(each[split], task(20)) for each in (memory, stored)]
            for ours, same in zip(*(each.xy(slice(3)) for each in both), strict=True):
                np.testing.assert_array_equal(ours, same)


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_task_trains_on_data_from_disk(task, data_dir):
    def build(task):
        inputs = keras.Input(task.input_shape)
        x = keras.layers.Dense(math.prod(task.output_shape))(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Reshape(task.output_shape)(x))

    options = {"task": task, "config": "uniform_20_square3", "settings": {"epochs": 1}}
    runs = [
        benchmark.run(build, data=data, data_dir=folder, **options)
        for data, folder in (("memory", None), ("tfds", data_dir))
    ]
    assert runs[0].metrics == runs[1].metrics


KILLED = """
import os, pathlib, signal, keras
import test_benchmark
from not_so_clevr import benchmark, files
from not_so_clevr.benchmark import training
from not_so_clevr.benchmark import run_folder
moment = {moment!r}
class Die(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if moment == "in an epoch" and self.epoch == 7 and batch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if moment == "before anything is saved" and epoch == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def on_train_end(self, logs=None):
        if moment == "after the last epoch":
            os.kill(os.getpid(), signal.SIGKILL)
savez = run_folder.np.savez
def half(stream, **arrays):
    if moment == "while it is saved" and '"epoch": 8' in str(arrays["log"]):
        stream.write(b"PK")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    savez(stream, **arrays)
run_folder.np.savez = half
finish = run_folder.RunFolder.finish
def die(self, result, network):
    if moment == "before the run is in its place":
        result.write(self.partial)
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, result, network)
run_folder.RunFolder.finish = die
rename = pathlib.Path.rename
def first(self, target):
    if moment in ("between the two renames", "after the exchange") and self.name == "seed0.incomplete":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.rename = first
if moment == "between the two renames":
    files._exchange = lambda one, other: False
benchmark.run(test_benchmark.linear, runs={runs!r}, replace={replace}, callbacks=[Die()], **test_benchmark.SMALL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        "before anything is saved",
        "in an epoch",
        "while it is saved",
        "after the last epoch",
        "before the run is in its place",
    ],
)
def test_a_killed_run_resumes_to_the_same_weights(finished, tmp_path, moment):
    runs, result = finished
    process = subprocesses.start(KILLED.format(moment=moment, runs=str(tmp_path), replace=False))
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / result.id).exists()
    if moment != "before anything is saved":
        with pytest.raises(
            FileExistsError, match="add --resume .in Python resume=True. to continue it, or --re"
        ):
            benchmark.run(linear, runs=tmp_path, **SMALL)
    resumed = benchmark.run(linear, runs=tmp_path, resume=True, **SMALL)
    assert_same_run(runs / result.id, tmp_path / resumed.id)
    assert not (tmp_path / (result.id + results.INCOMPLETE)).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("after the exchange", ["seed0", "seed0.incomplete"]),
        ("between the two renames", ["seed0.incomplete", "seed0.replaced"]),
    ],
)
def test_a_replacement_that_is_killed_during_the_swap_loses_no_run(
    finished, tmp_path, moment, left
):
    """A system that cannot exchange two folders moves the old one aside first."""
    runs, result = finished
    folder = tmp_path / result.id
    shutil.copytree(runs / result.id, folder)
    process = subprocesses.start(KILLED.format(moment=moment, runs=str(tmp_path), replace=True))
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert sorted(os.listdir(folder.parent)) == [".seed0.lock", *left]

    def check():
        if moment == "between the two renames":  # The old one is back.
            assert_same_run(runs / result.id, folder)
        assert set(os.listdir(folder)) == set(os.listdir(runs / result.id))
        assert results.Result.read(folder / results.FILE).metrics == result.metrics

    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, runs=tmp_path, replace=True, callbacks=[Interrupt()], **SMALL)
    check()
    benchmark.run(linear, runs=tmp_path, resume=True, **SMALL)
    check()
    assert sorted(os.listdir(folder.parent)) == [".seed0.lock", "seed0"]


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def other_settings(log):
    return {"log": np.asarray(str(log).replace('"batch_size": 32', '"batch_size": 16'))}


def other_environment(log, **changes):
    values = json.loads(str(log))
    values["environment"] |= changes
    return {"log": np.asarray(json.dumps(values))}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda arrays: arrays | other_settings(arrays["log"]),
            "was begun with other settings, .*'batch_size': 16",
        ),
        (
            lambda arrays: arrays | other_environment(arrays["log"], backend="numpy"),
            "was begun with Keras on numpy, not on .*; set KERAS_BACKEND=numpy, or replace or",
        ),
        (
            lambda arrays: arrays | {"3": np.zeros(7)},
            "checkpoint.npz was saved by another network; resume with that one, or",
        ),
        (
            lambda arrays: {"3": np.zeros(7)},
            "checkpoint.npz is damaged .*; replace or delete the run.",
        ),
    ],
)
def test_an_interrupted_run_is_resumed_only_as_it_was_begun(tmp_path, damage, sentence):
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, runs=tmp_path, callbacks=[Interrupt()], **SMALL)
    (saved,) = tmp_path.rglob("seed0.incomplete/checkpoint.npz")
    np.savez(saved, **damage(dict(np.load(saved))))
    with pytest.raises(ValueError, match=sentence):
        benchmark.run(linear, runs=tmp_path, resume=True, **SMALL)
    assert saved.exists()


@pytest.mark.parametrize("change", [{}, {"device": "another one"}])
def test_a_run_that_was_begun_elsewhere_says_so(tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, runs=tmp_path, callbacks=[Interrupt()], **SMALL)
    (saved,) = tmp_path.rglob("seed0.incomplete/checkpoint.npz")
    arrays = dict(np.load(saved))
    np.savez(saved, **arrays | other_environment(arrays["log"], **change))
    about = benchmark.run(linear, runs=tmp_path, resume=True, **SMALL).environment
    begun = about.get("begun", {})
    assert begun.get("device") == change.get("device")
    assert set(begun) <= set(about) - {"training"}
    assert environment.is_same(about, about) == (not change)


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:100], lambda data: data[:-40], lambda data: data[::-1]],
)
def test_a_damaged_checkpoint_is_named_and_kept(tmp_path, damage):
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, runs=tmp_path, callbacks=[Interrupt()], **SMALL)
    (saved,) = tmp_path.rglob("seed0.incomplete/checkpoint.npz")
    saved.write_bytes(damaged := damage(saved.read_bytes()))
    with pytest.raises(
        ValueError, match=r"checkpoint.npz is damaged .*; replace or delete the run\.$"
    ):
        benchmark.run(linear, runs=tmp_path, resume=True, **SMALL)
    assert saved.read_bytes() == damaged


def test_a_data_set_that_is_not_whole_is_refused(tmp_path):
    few = tfds.download.DownloadConfig(max_examples_per_split=5, try_download_gcs=False)
    tfds.builder(f"not_so_clevr/{SMALL['config']}", data_dir=tmp_path).download_and_prepare(
        download_config=few
    )
    with pytest.raises(
        OSError,
        match="quadrant_16_square3 on disk has 5 of 147 train examples .*; delete it to generate it again",
    ):
        benchmark.run(linear, **SMALL | {"data": "tfds"}, data_dir=tmp_path)


def test_a_complete_run_is_kept_shown_or_replaced(tmp_path):
    quick = SMALL | {"settings": {"epochs": 1}}
    first = benchmark.run("coordconv", runs=tmp_path, **quick)
    folder = tmp_path / first.id
    written = (folder / results.FILE).stat().st_mtime_ns
    with pytest.raises(
        FileExistsError, match="holds a complete run; add --resume .in Python resume=True. to show"
    ):
        benchmark.run("coordconv", runs=tmp_path, **quick)
    assert benchmark.run("coordconv", runs=tmp_path, resume=True, **quick) == first
    assert (folder / results.FILE).stat().st_mtime_ns == written
    assert benchmark.run("coordconv", runs=tmp_path, replace=True, **quick).metrics == first.metrics
    assert (folder / results.FILE).stat().st_mtime_ns > written
    assert sorted(file.name for file in folder.parent.iterdir()) == [".seed0.lock", "seed0"]


def test_a_result_is_the_one_that_its_file_gives_back(tmp_path):
    """With a tuple among the settings, too, which JSON has not; so reproduce and sweep find what they have just run."""

    def build(task, size):
        return linear(task)

    quick = SMALL | {"runs": tmp_path, "name": "mine", "settings": {"epochs": 1, "size": (3, 3)}}
    result = benchmark.run(build, **quick)
    resumed = benchmark.run(build, resume=True, **quick)
    assert resumed == result == results.Result.read(tmp_path / result.id / results.FILE)
    for split, columns in result.examples.items():
        assert set(resumed.examples[split]) == set(columns)
        for name, values in columns.items():
            np.testing.assert_array_equal(resumed.examples[split][name], values)


@pytest.mark.slow
def test_a_replacement_that_fails_leaves_the_old_run(tmp_path):
    quick = SMALL | {"settings": {"epochs": 1}}
    first = benchmark.run("coordconv", runs=tmp_path, **quick)

    class Fail(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        benchmark.run("coordconv", runs=tmp_path, replace=True, callbacks=[Fail()], **quick)
    assert results.Result.read(tmp_path / first.id / results.FILE) == first
    assert results.load([tmp_path])[0] == [first]


def test_one_process_at_a_time_writes_a_run(tmp_path):
    lock = tmp_path / ID.with_name(".seed0.lock")
    lock.parent.mkdir(parents=True)
    with (
        filelock.FileLock(lock),
        pytest.raises(OSError, match="seed0 is being written by another process; wait for it"),
    ):
        benchmark.run("coordconv", runs=tmp_path, **SMALL)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        OSError,
        match=r"Cannot write .*/file/regression/.*: (Not a directory|File exists); choose another folder",
    ):
        benchmark.run("coordconv", runs=tmp_path / "file", **SMALL)


def test_a_compiled_model_keeps_its_optimizer_and_loss():
    def build(task):
        network = linear(task)
        network.compile(keras.optimizers.SGD(0.0), "mean_absolute_error")
        return network

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.optimizer, self.loss = self.model.optimizer, self.model.loss

    look = Look()
    with pytest.raises(
        ValueError,
        match="is already compiled, so learning_rate, schedule would have no effect; leave that out,",
    ):
        benchmark.run(
            build, settings={"schedule": "cosine", "learning_rate": 1.0, "epochs": 2}, **SMALL
        )
    result = benchmark.run(build, settings={"epochs": 2}, callbacks=[look], **SMALL)
    assert isinstance(look.optimizer, keras.optimizers.SGD)
    assert look.loss == "mean_absolute_error"
    assert len(result.history) == 2


def test_the_result_of_a_compiled_model_tells_no_setting_that_was_not_used(tmp_path):
    def build(task):
        network = linear(task)
        network.compile("sgd", "mean_absolute_error")
        return network

    common = SMALL | {"name": "mine", "settings": {"epochs": 1}, "runs": tmp_path}
    result = benchmark.run(build, **common)
    used = {name: value for name, value in result.settings.items() if value is not None}
    assert used == {"epochs": 1, "steps": 0, "batch_size": 32, "model": {}}
    assert benchmark.run(build, resume=True, **common) == result


def test_short_epochs_are_measured_once_they_have_seen_as_many_examples_as_test_has(tmp_path):
    few = SMALL | {"config": "uniform_test80_16_square3"}  # 39 train and 157 test
    seen = []

    class Look(keras.callbacks.Callback):
        stop = 0

        def on_epoch_end(self, epoch, logs=None):
            seen.append("val_error" in logs)
            self.model.stop_training = epoch + 1 == self.stop

    whole = benchmark.run(linear, settings={"epochs": 12}, callbacks=[Look()], **few)
    assert [epoch["epoch"] for epoch in whole.history] == [5, 10, 12]  # 5 x 39 = 195 >= 157
    assert seen == [epoch in (5, 10, 12) for epoch in range(1, 13)]
    assert whole.history[-1]["test"] == whole.metrics["test"]
    assert (whole.epochs, whole.steps) == (12, 12 * 2)
    assert whole.examples_per_second == pytest.approx(
        39 * 12 / sum(epoch["seconds"] for epoch in whole.history)
    )

    look = Look()
    look.stop = 7  # After an epoch that would not have been measured
    stopped = benchmark.run(linear, settings={"epochs": 12}, callbacks=[look], **few)
    assert [epoch["epoch"] for epoch in stopped.history] == [5, 7]
    assert stopped.history[-1]["test"] == stopped.metrics["test"]
    losses = [[epoch["loss"] for epoch in run.history] for run in (whole, stopped)]
    assert losses[0][0] == losses[1][0]

    common = few | {"settings": {"epochs": 12}, "runs": tmp_path}
    with pytest.raises(TimeIsUp):
        benchmark.run(linear, callbacks=[StopAt(0)], **common)
    resumed = benchmark.run(linear, resume=True, callbacks=[Look()], **common)
    assert resumed.metrics == whole.metrics
    assert [epoch["loss"] for epoch in resumed.history] == losses[0]


def test_callbacks_see_the_metrics_of_test_and_tensorboard_logs_lie_in_the_folder(tmp_path):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(dict(logs))

    settings = {"epochs": 2}
    result = benchmark.run(
        "coordconv", runs=tmp_path, tensorboard=True, callbacks=[Look()], settings=settings, **SMALL
    )
    assert [logs["val_error"] for logs in seen] == [
        epoch["test"]["error"] for epoch in result.history
    ]
    assert list((tmp_path / result.id / "tensorboard").rglob("events.*"))


@pytest.mark.parametrize("name", tasks.TASKS)
def test_evaluate_gives_an_oracle_full_marks_and_writes_a_run(name, tmp_path):
    task = tasks.as_task(name, 16)
    arrays = not_so_clevr.load_arrays("quadrant_16_square3")
    x, y = (
        np.concatenate(both)
        for both in zip(*(task.xy(arrays[split]) for split in ("train", "test")), strict=True)
    )
    answers = {key.tobytes(): value for key, value in zip(x, y, strict=True)}

    def oracle(x):
        assert x.dtype == np.float32
        y = np.stack([answers[key.tobytes()] for key in x])
        return y if task.target == "coordinates" else y - 0.5

    result = benchmark.evaluate(
        oracle, task=name, config="quadrant_16_square3", runs=tmp_path, parameters=5, seconds=1.5
    )
    assert result.perfect
    assert (result.label, result.parameters, result.seconds, result.history) == (
        "oracle",
        5,
        1.5,
        [],
    )
    assert (
        json.loads((tmp_path / result.id / results.FILE).read_text())["metrics"]["test"][
            task.accuracy_metric
        ]
        == 1
    )
    errors = np.load(tmp_path / result.id / results.ERRORS)
    if task.target == "image":
        canvases = arrays["test"]["image"][errors["test/shown"], ..., 0]
        np.testing.assert_array_equal(errors["test/painted"] > 127, canvases > 0)
        np.testing.assert_array_equal(
            np.unique(errors["test/painted"]), [96, 159]
        )  # 255 / (1 + exp(0.5)), and with -0.5
    else:
        for split in ("train", "test"):
            np.testing.assert_allclose(
                errors[f"{split}/predicted"], arrays[split]["coordinates"], atol=1e-5
            )


def test_the_canvases_that_are_kept_are_the_worst_and_some_others():
    """Nothing is painted where the row is 9, and the square itself elsewhere."""
    arrays = not_so_clevr.load_arrays("quadrant_16_square3")["test"]
    canvases = {
        tuple(i_j): image / 255.0 - 0.5
        for i_j, image in zip(arrays["coordinates"], arrays["image"], strict=True)
    }

    def predict(x):
        pixels = [tuple(i_j) for i_j in np.rint((x + 1) * 7.5).astype(int)]
        return np.stack(
            [canvases.get(i_j, np.ones((16, 16, 1))) * (-1 if i_j[0] == 9 else 1) for i_j in pixels]
        )

    test = benchmark.evaluate(predict, task="rendering", config="quadrant_16_square3").examples[
        "test"
    ]
    assert (test["coordinates"][test["shown"][:4], 0] == 9).all()
    assert test["shown"][4:].tolist() == [0, 16, 32, 48]


def test_evaluate_asks_for_every_example_once():
    asked = []

    def constant(x):
        asked.append(x)
        return np.zeros((len(x), 2))

    result = benchmark.evaluate(constant, task="regression", config="quadrant")
    first, again = np.split(np.concatenate(asked).reshape(-1, 64 * 64).argmax(axis=1), [3136])
    assert len(np.unique(first)) == 3136
    assert len(np.unique(again)) == len(again) == 256  # To see whether the answers stay the same
    # The middle of the canvas, (31.5, 31.5): the article's dead end.
    expected = np.mean([np.hypot(i - 31.5, j - 31.5) for i in range(32, 60) for j in range(32, 60)])
    assert result.metrics["test"]["error"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("task", "last"),
    [
        ("classification", "softmax"),
        ("detection", "softmax"),
        ("rendering", "sigmoid"),
        ("painting", "sigmoid"),
    ],
)
def test_a_network_that_ends_in_probabilities_is_refused(task, last):
    def build(task, activation=None):
        inputs = keras.Input(task.input_shape)
        flat = keras.layers.Flatten()(inputs)
        outputs = keras.layers.Dense(int(np.prod(task.output_shape)), activation=activation)(flat)
        return keras.Model(inputs, keras.layers.Reshape(task.output_shape)(outputs))

    quick = SMALL | {"task": task}
    with pytest.raises(
        ValueError,
        match=f"build returns probabilities; expected logits: remove the {last} at the end.$",
    ):
        benchmark.run(build, **quick, settings={"activation": last})
    assert benchmark.run(build, **quick, settings={"epochs": 1}).metrics


@pytest.mark.parametrize("task", ["rendering", "painting"])
def test_probabilities_are_not_taken_for_logits(task):
    with pytest.raises(
        ValueError, match="sigmoid paints every pixel white; expected logits, below 0 for black"
    ):
        benchmark.evaluate(
            lambda x: np.full((len(x), 16, 16, 1), 0.1),
            model="sigmoid",
            task=task,
            config="quadrant_16_square3",
        )


@pytest.mark.parametrize(
    ("predict", "sentence"),
    [
        (
            lambda x: None,
            r"<lambda> returns None; expected an array of shape \[B, 2\]; is its return missing\?$",
        ),
        (
            lambda x: np.zeros((len(x), 3)),
            r"<lambda> returns shape \(64, 3\) for regression; expected \(64, 2\) for a batch of 64.",
        ),
        (
            lambda x: np.full((len(x), 2), np.nan),
            r"<lambda> returns NaN or infinity for the example \(1, 1\); expected finite",
        ),
        (lambda x: ["a"] * len(x), r"<lambda> returns list; expected one array of shape \[B, 2\]"),
        (
            lambda x: np.zeros((len(x), 2), np.complex64),
            r"<lambda> returns complex64; expected one array of shape \[B, 2\] of real numbers\.$",
        ),
        (
            lambda x: np.full((len(x), 2), "0.5"),
            r"<lambda> returns <U3; expected one array of shape \[B, 2\] of real numbers\.$",
        ),
    ],
)
def test_bad_predictions_give_one_sentence(predict, sentence):
    with pytest.raises(ValueError, match=sentence):
        benchmark.evaluate(predict, task="regression", config="quadrant_lower_left_16_square3")


def test_inverted_canvases_are_not_taken_for_white_ones():
    task = tasks.Rendering(16)
    arrays = not_so_clevr.load_arrays("quadrant_16_square3")
    x, y = (
        np.concatenate(both)
        for both in zip(*(task.xy(arrays[split]) for split in ("train", "test")), strict=True)
    )
    answers = {key.tobytes(): value for key, value in zip(x, y, strict=True)}
    result = benchmark.evaluate(
        lambda x: np.stack([0.5 - answers[key.tobytes()] for key in x]),
        model="inverted",
        task="rendering",
        config="quadrant_16_square3",
    )
    assert result.metrics["test"] == {"iou": 0, "pixel_accuracy": 0, "exact": 0}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "int32"])
def test_tensors_of_pytorch_are_measured_whatever_backend_keras_has(dtype):
    torch = pytest.importorskip("torch")

    def zeros(x):
        return torch.zeros((len(x), 2), dtype=getattr(torch, dtype), requires_grad=dtype != "int32")

    result = benchmark.evaluate(zeros, task="regression", config="quadrant_16_square3")
    assert (result.examples["test"]["predicted"] == 7.5).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seconds": "abc"}, "seconds must be a number from 0 to below 1e.30 or None, got 'abc'."),
        ({"seconds": [1]}, r"seconds must be a number from 0 to below 1e\+30 or None, got \[1\]"),
        (
            {"seconds": 1e30},
            r"seconds must be a number from 0 to below 1e\+30 or None, got 1e\+30.",
        ),
        ({"seconds": -1}, "seconds must be a number from 0 to below 1e.30 or None, got -1"),
        (
            {"predict": "coordconv"},
            "predict must be a function from x to predictions, got 'coordconv'.",
        ),
        ({"parameters": 0.5}, "parameters=0.5 is a float"),
        (
            {"replace": True, "runs": None},
            "replace needs the folder of all runs; give runs=, or omit it.",
        ),
        (
            {"model": 3},
            "model=3 is not a name; expected a string with a letter or a digit.",
        ),
        (
            {"model": ""},
            "model='' is not a name; expected a string with a letter or a digi",
        ),
        ({"replace": "no"}, "replace must be True or False, got 'no'."),
    ],
)
def test_bad_arguments_of_evaluate_give_one_sentence(arguments, sentence, tmp_path):
    good = {
        "predict": lambda x: np.zeros((len(x), 2)),
        "task": "regression",
        "config": "quadrant_16_square3",
        "runs": tmp_path,
    }
    with pytest.raises(ValueError, match=sentence):
        benchmark.evaluate(**(good | arguments))
    assert not list(tmp_path.iterdir())


class Zeros:
    def predict(self, x):
        return np.zeros((len(x), 2))

    __call__ = predict


@pytest.mark.parametrize(
    ("predict", "name"),
    [
        (lambda x: np.zeros((len(x), 2)), "<lambda>"),
        (Zeros().predict, "predict"),
        (functools.partial(Zeros.predict, None), "partial"),
        (Zeros(), "Zeros"),
    ],
)
def test_what_has_no_name_of_its_own_is_written_by_another_only(predict, name, tmp_path):
    """Two networks would share an id."""
    common = {"task": "regression", "config": "quadrant_16_square3"}
    with pytest.raises(ValueError, match=f"Cannot derive a unique name from {name}; pass model=."):
        benchmark.evaluate(predict, runs=tmp_path, **common)
    assert not list(tmp_path.iterdir())
    assert benchmark.evaluate(predict, **common).model == name
    assert benchmark.evaluate(predict, model="mine", runs=tmp_path, **common).model == "mine"


def test_an_l2_that_would_replace_a_regularizer_is_told_when_the_model_is_checked():
    run = experiment.plan(regular, task="regression", config=SMALL["config"], settings={"l2": 0.1})
    with pytest.raises(
        ValueError, match="l2=0.1 would replace the regularizer of .*kernel; omit one of them."
    ):
        networks.build(run)


def test_an_error_that_overflows_is_told_and_not_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"The error of far_off overflows for the example \(1, 1\)"
    ):
        benchmark.evaluate(far_off, task="regression", config=SMALL["config"], runs=tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_evaluate_leaves_an_interrupted_training_alone(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, name="mine", runs=tmp_path, callbacks=[Interrupt()], **SMALL)
    (saved,) = tmp_path.rglob("checkpoint.npz")
    before = saved.read_bytes()

    def zeros(x):
        return np.zeros((len(x), 2))

    measure = {
        "model": "mine",
        "task": "regression",
        "config": "quadrant_16_square3",
        "runs": tmp_path,
    }
    with pytest.raises(FileExistsError, match="seed0.incomplete holds an interrupted run"):
        benchmark.evaluate(zeros, **measure)
    assert saved.read_bytes() == before
    result = benchmark.evaluate(zeros, replace=True, **measure)
    assert sorted(file.name for file in (tmp_path / result.id).iterdir()) == [
        "errors.npz",
        "result.json",
    ]
    assert not saved.parent.exists()


def wrong_shape(task):
    return keras.Sequential(
        [keras.Input(task.input_shape), keras.layers.Flatten(), keras.layers.Dense(3)]
    )


def nan(task):
    return keras.Sequential(
        [
            keras.Input(task.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(2, bias_initializer=lambda *a, **k: np.nan * np.ones(2)),
        ]
    )


def broken(task):
    raise KeyError("colour")


def adds(task):
    return 1 + "1"


def takes_two(x, y):
    return x


def no_model(task):
    return 7


def regular(task):
    dense = keras.layers.Dense(2, kernel_regularizer="l2")
    return keras.Sequential([keras.Input(task.input_shape), keras.layers.Flatten(), dense])


def far_off(x):
    return np.full((len(x), 2), 1e25)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            wrong_shape,
            r"test_benchmark:wrong_shape returns shape \(2, 3\) for regression; expected \(2, 2\) for a batch of 2.",
        ),
        (nan, r"test_benchmark:nan returns NaN or infinity for the example \(1, 1\)"),
        (
            broken,
            r"test_benchmark:broken cannot be built for regression: KeyError: 'colour' \(test_benchmark.py, line \d+\).",
        ),
        (
            adds,
            r"cannot be built for regression: TypeError: unsupported .*\(test_benchmark.py, line \d+\)\.\n"
            r"  .*test_benchmark.py, line \d+, in adds\n    return 1 \+ \"1\"\n  TypeError: unsupported .*$",
        ),
        (
            takes_two,
            "takes_two cannot be called with a task: missing a required argument: 'y'; give a missing argument a default",
        ),
        (
            lambda: None,
            r"cannot be called with a task: too many positional arguments; .*benchmark.evaluate measures a function from array to array.\)$",
        ),
        (no_model, "no_model returns int; expected a keras.Model."),
        (
            len,
            r"cannot be built .*\(benchmark.evaluate measures a function from array to array.\)$",
        ),
        (
            None,
            "NoneType is not a function; expected one that takes a task and returns a keras.Model.",
        ),
        (
            keras.Sequential([keras.layers.Dense(2)]),
            "Sequential is not a function; expected one that takes a task and returns",
        ),
        (
            "tiled_conv",
            "tiled_conv is not a model for regression; expected one of classification, rendering.",
        ),
    ],
)
def test_bad_models_give_one_sentence_and_leave_nothing(build, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        benchmark.run(build, runs=tmp_path, **SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"task": "sorting"},
            "Unknown task 'sorting'; expected one of classification, regression, rendering, localisation, painting, detection.",
        ),
        (
            {"task": ["regression"]},
            r"Unknown task \['regression'\]; expected one of classification",
        ),
        (
            {"task": tasks.Regression(64)},
            "The task is for canvases of 64 pixels, but the data set has 16; give its name instead: ",
        ),
        ({"task": type("Huber", (tasks.Regression,), {})(16)}, "Unknown task Huber"),
        ({"config": "half"}, "Unknown config 'half'; expected one of uniform,"),
        ({"recipe": "fast"}, "coordconv has no recipe 'fast'; expected one of tuned, article."),
        ({"data": "disk"}, "data='disk' is unknown; expected one of tfds, memory."),
        ({"seed": -1}, "seed=-1 is out of range; expected an integer from 0 to 4294967295."),
        ({"seed": 1.5}, "seed=1.5 is a float; expected an integer"),
        ({"settings": {"epochs": 0}}, "epochs=0 is out of range; expected an integer from 1 to"),
        (
            {"settings": {"learning_rate": "high"}},
            "learning_rate must be a number from 0 to below 1e.300, got 'high'.",
        ),
        (
            {"settings": {"schedule": "sine"}},
            r"schedule='sine' is unknown \(did you mean 'cosine'\?\); expected one of constant, ",
        ),
        (
            {"settings": {"loss": "mean_squared_error"}},
            "loss='mean_squared_error' is for rendering and painting; omit it for regression.",
        ),
        (
            {"settings": {"depth": 3}},
            "coordconv has no setting 'depth'; expected one of epochs, .*, or an argument of its function: origin, pool",
        ),
        (
            {"settings": {"size": 3}},
            "coordconv cannot be built for regression: .*size is not a setting for regression; leave it out",
        ),
        (
            {"settings": [("epochs", 1)]},
            r"settings must be a dict, got \[.*\]; e.g. {'epochs': 3}.",
        ),
        (
            {"settings": {"pooling": "min"}},
            "coordconv cannot be built for regression: .*pooling='min' is unknown",
        ),
        (
            {"settings": {"x": {1, 2}}},
            r"setting x=\{1, 2\} cannot be saved; expected a number, a string, true",
        ),
        (
            {"resume": True, "replace": True},
            "resume and replace exclude each other; give one of them.",
        ),
        (
            {"tensorboard": True},
            "^tensorboard needs the folder of all runs; give runs=, or omit it.$",
        ),
        (
            {"resume": True},
            "^resume needs the folder of all runs; give runs=, or omit it.$",
        ),
        (
            {"replace": True},
            "^replace needs the folder of all runs; give runs=, or omit it.$",
        ),
        (
            {"name": ""},
            "^name='' is not a name; expected a string with a letter or a digi",
        ),
        ({"name": ".."}, r"^name='\.\.' is not a name; expected"),
        ({"name": "   "}, "^name='   ' is not a name; expected"),
        ({"name": 3}, "^name=3 is not a name; expected"),
        ({"callbacks": [3]}, "^callbacks must be those of Keras, got 3.$"),
        (
            {"runs": "a\0b"},
            r"^'a\\x00b' has a null character, which no file or folder may have; om",
        ),
        ({"replace": "no"}, "^replace must be True or False, got 'no'.$"),
        ({"resume": 1}, "^resume must be True or False, got 1.$"),
        ({"tensorboard": "no"}, "^tensorboard must be True or False, got 'no'.$"),
        ({"distribute": None}, "^distribute must be True or False, got None.$"),
        (
            {"data": "memory", "data_dir": "x"},
            "data_dir=x has no effect with data=memory, which reads no files; omit one of them.",
        ),
    ],
)
def test_bad_arguments_give_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        benchmark.run("coordconv", **(SMALL | arguments))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_was_saved(tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                self.model.set_weights(
                    [np.full_like(weight, np.nan) for weight in self.model.get_weights()]
                )

    with pytest.raises(
        ValueError, match=r"The loss of coordconv became nan in epoch 4; lower the learning rate"
    ):
        benchmark.run(
            "coordconv", runs=tmp_path, settings={"epochs": 5}, callbacks=[Spoil()], **SMALL
        )
    (saved,) = tmp_path.rglob("seed0.incomplete/checkpoint.npz")
    assert len(json.loads(str(np.load(saved)["log"]))["epochs"]) == 3


@pytest.mark.slow
def test_a_replacement_that_was_interrupted_is_resumed(tmp_path):
    first = benchmark.run("coordconv", runs=tmp_path, settings={"epochs": 4}, **SMALL)
    folder = tmp_path / first.id
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(
            "coordconv",
            runs=tmp_path,
            replace=True,
            settings={"epochs": 4},
            callbacks=[Interrupt()],
            **SMALL,
        )
    with pytest.raises(ValueError, match="size is not a setting for regression; leave it out"):
        benchmark.run(
            "coordconv", runs=tmp_path, replace=True, settings={"epochs": 4, "size": 1}, **SMALL
        )
    partial = folder.with_name("seed0.incomplete")
    assert partial.exists()
    resumed = benchmark.run(
        "coordconv", runs=tmp_path, resume=True, settings={"epochs": 4}, **SMALL
    )
    assert resumed.metrics == first.metrics
    assert not partial.exists()


def test_runs_of_different_settings_are_not_taken_for_each_other(tmp_path):
    def build(task, x):
        return linear(task)

    common = SMALL | {"runs": tmp_path, "name": "mine"}
    benchmark.run(build, settings={"x": "a/b", "epochs": 1}, **common)
    with pytest.raises(ValueError, match="was made with other settings, .*'x': 'a/b'"):
        benchmark.run(build, settings={"x": "a.b", "epochs": 1}, resume=True, **common)


def begun(run, seed, settings, runs):
    """Leaves a run that was interrupted."""
    partial = runs / (run.with_seed(seed).id + results.INCOMPLETE)
    partial.mkdir(parents=True)
    np.savez(
        partial / "checkpoint.npz",
        log=np.asarray(json.dumps({"recipe": settings, "seconds": 1.0, "epochs": []})),
    )


@pytest.mark.parametrize("done", [True, False])
def test_other_settings_are_told_before_the_first_of_several_seeds_is_trained(done, tmp_path):
    run = experiment.plan("coordconv", task="regression", config="quadrant_16_square3")
    other = run.saved_recipe | {"batch_size": 16}
    if done:
        made_up("coordconv", task="regression", seed=1, settings=other).write(
            tmp_path / run.with_seed(1).id
        )
    else:
        begun(run, 1, other, tmp_path)
    options = RunOptions(data="memory", runs=tmp_path, resume=True)
    options.check(run)
    with pytest.raises(
        ValueError, match="seed1.* was (made|begun) with other settings, .*'batch_size': 16"
    ):
        options.check(run.with_seed(1))


def test_a_run_that_was_begun_before_a_setting_was_there_is_resumed(tmp_path):
    run = experiment.plan("coordconv", task="regression", config="quadrant_16_square3")
    begun(
        run,
        0,
        {name: value for name, value in run.saved_recipe.items() if name != "loss"},
        tmp_path,
    )
    options = RunOptions(data="memory", runs=tmp_path, resume=True)
    options.check(run)


def test_a_function_that_cannot_be_found_again_needs_a_name(tmp_path):
    sentence = "Cannot derive a unique name from .*<lambda>; pass name=."
    own = lambda task: linear(task)  # noqa: E731
    with pytest.raises(ValueError, match=sentence):
        benchmark.run(own, runs=tmp_path, **SMALL)
    with pytest.raises(ValueError, match=sentence):
        benchmark.tune(own, runs=tmp_path, **SMALL)
    with pytest.raises(ValueError, match=sentence):
        benchmark.suite(own, runs=tmp_path, data="memory")
    options = RunOptions(data="memory", runs=tmp_path)
    run = benchmark.plan(own, task=SMALL["task"], config=SMALL["config"])
    with pytest.raises(ValueError, match=sentence):
        list(benchmark.train([run], options))
    assert not list(tmp_path.iterdir())
    result = benchmark.run(
        lambda task: linear(task), name="mine", runs=tmp_path, settings={"epochs": 1}, **SMALL
    )
    assert (result.model, result.command) == ("mine", None)


def test_a_network_that_was_trained_before_is_refused():
    networks = {}

    def build(task):
        return networks.setdefault(task, linear(task))

    benchmark.run(build, settings={"epochs": 1}, **SMALL)
    with pytest.raises(
        ValueError, match="is already trained; expected a new network at each call of the function."
    ):
        benchmark.run(build, settings={"epochs": 1}, **SMALL)


@pytest.mark.parametrize("build", ["coordconv", linear])
def test_a_name_is_that_of_the_run(build, tmp_path):
    result = benchmark.run(build, name="mine", runs=tmp_path, settings={"epochs": 1}, **SMALL)
    assert (result.label, result.command) == ("mine-epochs=1", None)


def test_numbers_of_numpy_are_settings_as_any_other():
    common = {"task": "regression", "config": "quadrant"}
    ours = {"learning_rate": np.float64(0.01), "epochs": np.int64(2), "x": [np.float32(0.5), True]}
    plain = {"learning_rate": 0.01, "epochs": 2, "x": [0.5, True]}
    one, other = (
        experiment.plan(with_x, settings=settings, **common) for settings in (ours, plain)
    )
    assert (one.id, one.command(), one.recipe) == (other.id, other.command(), other.recipe)


@pytest.mark.parametrize("value", [keras.activations.relu, {1}, float("nan")])
def test_a_recipe_that_cannot_be_saved_is_refused(value):
    build = with_recipes(source="here", mine={"regression": Recipe(model={"x": value})})(
        lambda task, x: linear(task)
    )
    with pytest.raises(
        ValueError,
        match="setting x=.* cannot be saved; expected a number, a string, true, false or a list.",
    ):
        experiment.plan(build, task="regression", config="quadrant")


def test_numbers_of_numpy_in_a_recipe_are_as_any_other():
    build = with_recipes(source="here", mine={"regression": Recipe(model={"x": (np.int64(3), 3)})})(
        lambda task, x: None
    )
    x = experiment.plan(build, task="regression", config="quadrant").recipe.model["x"]
    assert (x, type(x[0])) == ((3, 3), int)


def test_a_run_that_a_callback_cut_short_has_no_command():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    assert benchmark.run(linear, settings={"epochs": 3}, callbacks=Stop(), **SMALL).command is None
    assert benchmark.run(linear, settings={"epochs": 1}, callbacks=None, **SMALL).command


@pytest.mark.parametrize("hook", ["epoch_begin", "train_batch_end", "epoch_end", "train_end"])
@pytest.mark.parametrize("changes", [False, True])
def test_a_run_whose_weights_a_callback_changed_has_no_command(hook, changes):
    class Look(keras.callbacks.Callback):
        """Reads the weights, as a callback that logs them does, and may change them."""

        def look(self, *_, **__):
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            weights = self.model.get_weights()
            if changes:
                self.model.set_weights([1.5 * each for each in weights])

    setattr(Look, f"on_{hook}", Look.look)
    result = benchmark.run(linear, settings={"epochs": 2}, callbacks=[Look()], **SMALL)
    assert (result.command is None) == changes
    assert result.environment["training"]["callbacks"] == ["Look"]
    if not changes:
        assert result.metrics == benchmark.run(linear, settings={"epochs": 2}, **SMALL).metrics


@pytest.mark.parametrize("watched", [False, True])
def test_a_run_that_was_resumed_with_a_callback_has_no_command(watched, tmp_path):
    """The callback has lost what it remembered."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    common = SMALL | {"settings": {"epochs": 2}, "runs": tmp_path}
    build = f"{__name__}:linear"
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(build, callbacks=[Stop()], **common)
    callbacks = [keras.callbacks.TerminateOnNaN()] if watched else []
    result = benchmark.run(build, callbacks=callbacks, resume=True, **common)
    assert (result.command is None) == watched


def test_a_run_in_the_precision_of_the_session_has_no_command():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = benchmark.run(linear, settings={"epochs": 1}, **SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    assert result.command is None
    assert result.environment["training"]["precision"] == "mixed_bfloat16"


def test_the_average_of_the_weights_is_evaluated_saved_and_resumed(tmp_path):
    settings = {"epochs": 3, "ema": 0.75, "learning_rate": 0.05}
    common = SMALL | {"settings": settings, "name": "net"}
    whole = benchmark.run(linear, runs=tmp_path / "whole", **common)
    assert whole.history[-1]["test"] == whole.metrics["test"]  # Both are of the average.
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, runs=tmp_path / "other", callbacks=[Interrupt()], **common)
    resumed = benchmark.run(linear, runs=tmp_path / "other", resume=True, **common)
    assert_same_run(tmp_path / "whole" / whole.id, tmp_path / "other" / resumed.id)

    plain = benchmark.run(linear, **common | {"settings": settings | {"ema": 0.0}})
    losses = [[epoch["loss"] for epoch in run.history] for run in (whole, plain)]
    assert losses[0] == losses[1]  # The average changes what is evaluated, not the training.
    assert whole.metrics != plain.metrics


def test_a_function_is_given_the_number_of_steps_if_it_takes_it():
    """147 training examples make 5 steps of 32."""
    given = []

    def build(task, steps):
        given.append(steps)
        return linear(task)

    benchmark.run(build, settings={"epochs": 2}, **SMALL)
    benchmark.run(build, settings={"steps": 11}, **SMALL)
    assert given == [10, 15]


def test_a_training_step_without_a_loss_is_told():
    class Silent(keras.Model):
        def train_step(self, *arguments, **keywords):
            logs = super().train_step(*arguments, **keywords)
            rename = {"loss": "my_loss"}
            if isinstance(logs, tuple):  # JAX: logs and state
                return {rename.get(key, key): value for key, value in logs[0].items()}, logs[1]
            return {rename.get(key, key): value for key, value in logs.items()}

    def build(task):
        network = linear(task)
        return Silent(network.input, network.output)

    with pytest.raises(ValueError, match="returns no loss, only my_loss; return it as 'loss'."):
        benchmark.run(build, settings={"epochs": 1}, **SMALL)


def half(task):
    """Weights in bfloat16, which NumPy does not know."""
    inputs = keras.Input(task.input_shape)
    x = keras.layers.Dense(2, dtype="bfloat16")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(x))


def test_weights_in_bfloat16_are_resumed(tmp_path):
    whole = benchmark.run(half, runs=tmp_path / "whole", **SMALL)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(half, runs=tmp_path / "other", callbacks=[Interrupt()], **SMALL)
    resumed = benchmark.run(half, runs=tmp_path / "other", resume=True, **SMALL)
    assert_same_run(tmp_path / "whole" / whole.id, tmp_path / "other" / resumed.id)


def test_a_model_that_cannot_be_built_is_told_before_data_are_generated(tmp_path):
    with pytest.raises(
        ValueError,
        match="no setting 'lerning_rate' .did you mean 'learning_rate'.*; expected one of epochs, ",
    ):
        benchmark.run(
            "coordconv",
            settings={"lerning_rate": 1},
            **(SMALL | {"data": "tfds", "data_dir": tmp_path}),
        )
    assert not list(tmp_path.iterdir())


def with_x(task, x):
    raise NotImplementedError


@pytest.mark.parametrize("value", ["1", "true", "None", "a b", "relu", 1, 0.5, True, [1, 2]])
def test_the_command_sets_what_was_set(value):
    command = experiment.plan(
        with_x, settings={"x": value}, task="regression", config="quadrant"
    ).command()
    assert naming.read(shlex.split(command)[-1]) == ("x", value)


@pytest.mark.slow
def test_memory_needs_no_tensorflow(tmp_path):
    code = f"""
import sys
class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
sys.meta_path.insert(0, NoTensorFlow())
from not_so_clevr import benchmark
from not_so_clevr.benchmark import training
print(benchmark.run("coordconv", runs={str(tmp_path)!r}, **{SMALL!r}).environment["backend"])
"""
    assert subprocesses.run(code, KERAS_BACKEND="jax") == "jax"


@pytest.mark.slow
def test_jax_keeps_the_averages_of_the_weights(tmp_path):
    """Keras frees the arrays of the weights that it predicts with."""
    code = f"""
from not_so_clevr import benchmark
settings = {{"ema": 0.75, "epochs": 2}}
run = benchmark.run("coordconv", runs={str(tmp_path)!r}, settings=settings, **{SMALL!r})
print(run.history[-1]["test"] == run.metrics["test"])
"""
    assert subprocesses.run(code, KERAS_BACKEND="jax") == "True"


@pytest.mark.parametrize("backend", subprocesses.other_backends())
@pytest.mark.slow
def test_on_the_other_backends(backend):
    chosen = (
        "same_seed or metrics_are_those or (killed_run and after) or bfloat16_are or without_a_loss"
    )
    assert "5 passed" in subprocesses.run_tests(__file__, chosen, backend)


def test_channels_first_is_refused(monkeypatch):
    """The networks would be others: an image of [16, 16, 1] would have 16 channels."""
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(
        ValueError,
        match="Keras' image_data_format is channels_first, but the tasks have channels last",
    ):
        benchmark.run("coordconv", **SMALL)


def test_a_data_set_that_memory_cannot_hold_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("not_so_clevr.dataset.examples.memory", lambda: 24 * 10**9)
    sentence = "quadrant_512 read from disk needs 133 GB of memory, and this machine has 24 GB; use data='memory'"
    with pytest.raises(ValueError, match=sentence):  # 254,016 one-hots of 262,144 bytes, twice
        benchmark.run("coordconv", task="regression", config="quadrant_512", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())
    sentence = (
        "quadrant_512 as arrays needs 133 GB of memory, .*; use stream_batches, which draws one"
    )
    with pytest.raises(ValueError, match=sentence):
        not_so_clevr.load_arrays("quadrant_512")


@pytest.mark.parametrize(("backend", "hidden"), [("jax", [([], "GPU")]), ("tensorflow", [])])
def test_what_reads_the_data_takes_no_gpu_from_another_backend(
    backend, hidden, tmp_path, monkeypatch
):
    import tensorflow as tf

    calls = []
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *devices: calls.append(devices))
    loading.load(as_config("quadrant_8_square3"), tasks.as_task("regression", 8), data_dir=tmp_path)
    assert calls == hidden


def by_callback(rate):
    return keras.callbacks.LearningRateScheduler(lambda epoch: rate if epoch == 1 else 1e-3)


def several_at_once(task):
    network = linear(task)
    network.compile("sgd", "mse", steps_per_execution=3)
    return network


@pytest.mark.slow
def test_several_steps_at_once_are_the_steps_of_the_recipe(tmp_path):
    """5 steps in an epoch: Keras would make 6, three at once."""
    steps = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            steps.append(int(self.model.optimizer.iterations))

    common = SMALL | {"settings": {"epochs": 4}}
    whole = benchmark.run(several_at_once, runs=tmp_path / "whole", callbacks=[Look()], **common)
    assert steps == [5, 10, 15, 20]
    assert whole.environment["training"]["steps"] == 20
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(several_at_once, runs=tmp_path / "b", callbacks=[Interrupt()], **common)
    resumed = benchmark.run(several_at_once, runs=tmp_path / "b", resume=True, **common)
    assert resumed.metrics == whole.metrics


@pytest.mark.skipif(
    not hasattr(keras.config, "set_max_steps_per_epoch"), reason="a Keras without this setting"
)
def test_an_epoch_that_keras_cuts_short_is_refused():
    keras.config.set_max_steps_per_epoch(2)
    try:
        with pytest.raises(
            ValueError, match="Keras made 2 steps in an epoch of 5; unset KERAS_MAX"
        ):
            benchmark.run(linear, settings={"epochs": 1}, **SMALL)
    finally:
        keras.config.set_max_steps_per_epoch(None)


def test_a_run_that_a_callback_cut_short_in_the_last_epoch_has_no_command():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    result = benchmark.run(linear, settings={"epochs": 1}, callbacks=[Stop()], **SMALL)
    assert result.command is None
    assert result.environment["training"]["steps"] == 2
    seconds = result.history[0]["seconds"]
    assert result.examples_per_second == pytest.approx(64 / seconds)


class Unseeded(keras.layers.Layer):
    """Draws from the generator that all of Keras shares."""

    def call(self, x, training=False):
        return x + keras.random.normal((2,)) if training else x


class Numpy(keras.callbacks.Callback):
    """Draws from the generators that all of NumPy and Python share."""

    def on_epoch_begin(self, epoch, logs=None):
        noise = np.random.normal() + random.random()
        self.model.set_weights([each + np.float32(noise) for each in self.model.get_weights()])


class Stateful(keras.layers.Layer):
    """Draws from the operations of TensorFlow, whose state nobody can read."""

    def call(self, x, training=False):
        import tensorflow as tf

        return x + tf.random.normal((2,)) if training else x


class Counting(keras.layers.Layer):
    """Counts in a variable that Keras does not know."""

    def __init__(self):
        super().__init__()
        import tensorflow as tf

        self.variable = tf.Variable(0.0, name="my_count")

    def call(self, x, training=False):
        if training:
            self.variable.assign_add(0.1)
        return x + self.variable


def with_layer(layer):
    def build(task):
        inputs = keras.Input(task.input_shape)
        x = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, layer()(x))

    return build


def interrupted(build, tmp_path, callbacks=()):
    common = SMALL | {"settings": {"epochs": 5}, "name": "mine"}
    whole = benchmark.run(build, runs=tmp_path / "whole", callbacks=[*callbacks], **common)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(build, runs=tmp_path, callbacks=[*callbacks, Interrupt()], **common)
    resumed = benchmark.run(build, runs=tmp_path, resume=True, callbacks=[*callbacks], **common)
    assert_same_run(tmp_path / "whole" / whole.id, tmp_path / resumed.id)


def test_a_callback_that_draws_from_numpy_and_python_is_resumed_exactly(tmp_path):
    interrupted(with_layer(keras.layers.Identity), tmp_path, [Numpy()])


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras refuses it on JAX")
def test_a_layer_without_a_seed_generator_is_resumed_exactly(tmp_path):
    interrupted(with_layer(Unseeded), tmp_path)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's own state")
@pytest.mark.parametrize(
    ("layer", "state"), [(Stateful, "RandomStandardNormal"), (Counting, "my_count:0")]
)
def test_a_state_that_is_not_saved_is_refused_when_it_is_resumed(layer, state, tmp_path):
    sentence = rf"mine cannot be resumed exactly, because it has .* own \({state}\); use keras.ran"
    with pytest.raises(ValueError, match=sentence):
        interrupted(with_layer(layer), tmp_path)


def with_log(arrays, change):
    log = json.loads(str(arrays["log"]))
    change(log)
    return arrays | {"log": np.asarray(json.dumps(log))}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda log: log["epochs"].extend(log["epochs"]), "its epochs are not in order"),
        (
            lambda log: log["epochs"][0]["test"].update(within_half_pixel=7),
            "within_half_pixel is 7",
        ),
        (lambda log: log["epochs"][0].update(seconds=None), "an epoch has no seconds"),
        (lambda log: log["epochs"][0]["test"].clear(), "its epochs have different metrics"),
        (lambda log: log.update(seconds="x"), "seconds: Input should be a valid number"),
        (lambda log: log.update(random={"python": 1}), "'numpy'|not subscriptable|cannot unpack"),
        (
            lambda log: log.update(epochs=[log["epochs"][0] | {"epoch": k} for k in range(1, 30)]),
            "it has 29 of 20 epochs",
        ),
    ],
)
def test_a_log_that_no_run_could_have_written_is_refused(change, reason, begun_run):
    np.savez(begun_run, **with_log(dict(np.load(begun_run)), change))
    with pytest.raises(ValueError, match=f"checkpoint.npz is damaged .*({reason})"):
        benchmark.run(linear, runs=begun_run.parents[4], resume=True, **SMALL)
    assert begun_run.exists()


@pytest.fixture(scope="module")
def interrupted_run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(linear, runs=runs, callbacks=[Interrupt()], **SMALL)
    return runs


@pytest.fixture
def begun_run(interrupted_run, tmp_path):
    """The checkpoint of an interrupted run."""
    shutil.copytree(interrupted_run, tmp_path / "runs")
    (saved,) = tmp_path.rglob("seed0.incomplete/checkpoint.npz")
    return saved


def test_an_encrypted_checkpoint_is_damaged(begun_run):
    """One bit in the directory of the archive."""
    data = bytearray(begun_run.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    begun_run.write_bytes(data)
    with pytest.raises(ValueError, match="checkpoint.npz is damaged .*encrypted.*; replace or del"):
        benchmark.run(linear, runs=begun_run.parents[4], resume=True, **SMALL)


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, lambda path: os.mkfifo(path)])
def test_a_checkpoint_that_is_no_file_is_damaged(make, begun_run):
    begun_run.unlink()
    make(begun_run)
    with pytest.raises(
        ValueError, match=r"checkpoint.npz is damaged \(.*(Is a directory|not a regular file)"
    ):
        benchmark.run(linear, runs=begun_run.parents[4], resume=True, **SMALL)


def test_a_checkpoint_that_nobody_may_read_is_not_damaged(begun_run, monkeypatch):
    def denied(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "load", denied)
    with pytest.raises(OSError, match=r"checkpoint.npz.* \(Permission denied\); get access to it."):
        benchmark.run(linear, runs=begun_run.parents[4], resume=True, **SMALL)


def test_a_result_records_what_it_was_really_trained_with(tmp_path):
    def build(task):
        network = half(task)
        optimizer = keras.optimizers.SGD(0.125, momentum=0.5)
        network.compile(optimizer, keras.losses.Huber(), jit_compile=False)
        return network

    common = SMALL | {"settings": {"epochs": 2}, "name": "mine", "runs": tmp_path}
    result = benchmark.run(build, **common)
    assert result.environment["training"] == {
        "optimizer": {"class": "SGD", "learning_rate": 0.125, "momentum": 0.5},
        "loss": "Huber",
        "precision": "bfloat16, float32",
        "jit": False,
        "steps": 10,
        "learning_rate": dict.fromkeys(("first", "last", "lowest", "highest"), 0.125),
    }
    assert benchmark.run(build, resume=True, **common) == result


def test_the_rate_of_a_recipe_is_recorded_and_the_command_repeats_it():
    settings = {"epochs": 2, "schedule": "cosine", "learning_rate": 0.5}
    result = benchmark.run(linear, settings=settings, **SMALL)
    about = result.environment["training"]
    assert about["optimizer"]["class"] == "AdamW"
    assert about["loss"] == "MeanSquaredError"
    assert about["learning_rate"] == {"first": 0.5, "last": 0.0, "lowest": 0.0, "highest": 0.5}
    assert result.command


@pytest.mark.parametrize(("rate", "repeated"), [(1e-3, True), (0.125, False)])
def test_a_callback_that_changes_the_learning_rate_is_recorded(rate, repeated):
    result = benchmark.run(linear, settings={"epochs": 3}, callbacks=[by_callback(rate)], **SMALL)
    about = result.environment["training"]
    assert about["learning_rate"]["highest"] == pytest.approx(rate)
    assert about["callbacks"] == ["LearningRateScheduler"]
    assert bool(result.command) == repeated


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a fault of TensorFlow")
@pytest.mark.parametrize(("strides", "wrong"), [((1, 16), True), ((2, 16), False), ((1, 8), False)])
def test_a_convolution_that_tensorflow_computes_wrongly_is_refused(strides, wrong, monkeypatch):
    def build(task):
        inputs = keras.Input(task.input_shape)
        x = keras.layers.Conv2D(2, 3, strides, padding="same", name="strided")(inputs)
        x = keras.layers.Rescaling(garbage)(x)
        return keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(x))

    garbage = float("nan")  # What oneDNN leaves in memory is NaN now and then.
    run = experiment.plan(build, task="regression", config=SMALL["config"])
    monkeypatch.setattr(graph.devices, "keras_gpu", lambda: None)
    if wrong:
        with pytest.raises(ValueError, match=r"strided.* with strides \(1, 16\), which TensorFlow"):
            networks.build(run)
        # In this process oneDNN goes on, so only the check can be asked.
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        image = np.zeros((2, *run.task.input_shape), np.float32)
        graph.check_convolutions(build(run.task), image, "net")
    else:
        garbage = 1.0
        networks.build(run)


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        (lambda pixels, last: pixels, "in pixels"),
        (lambda pixels, last: pixels / last, "on a scale from 0 to 1"),
        (lambda pixels, last: (2 * pixels / last - 1)[:, ::-1], r"in the order \(column, row\)"),
        (lambda pixels, last: pixels + 1, "in pixels"),
    ],
)
@pytest.mark.parametrize("task", ["regression", "localisation"])
@pytest.mark.parametrize("config", [SMALL["config"], "quadrant_16x32_square3"])
def test_right_answers_on_another_scale_are_told(answer, reading, task, config, tmp_path):
    def predict(x):
        height, width = x.shape[1:3]
        white = x.reshape(len(x), -1) > 0.5  # The middle of the square, or the hot pixel
        middle = (white * np.arange(height * width)).sum(axis=1) // white.sum(axis=1)
        pixels = np.stack(np.divmod(middle, width), axis=1)
        return answer(pixels, np.array([height - 1, width - 1]))

    with pytest.raises(
        ValueError, match=f"predict answers {reading}: .* px off as it is; expected"
    ):
        benchmark.evaluate(predict, task=task, config=config, runs=tmp_path)
    assert not list(tmp_path.iterdir())


def oracle(x):
    """The coordinates of the hot pixel of 16 x 16."""
    return np.stack(np.divmod(x.reshape(len(x), -1).argmax(axis=1), 16), axis=1) / 7.5 - 1


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_no_run_is_neither_called_one_nor_replaced(tmp_path, replace):
    common = {"task": "regression", "config": SMALL["config"], "runs": tmp_path}
    folder = tmp_path / "regression" / SMALL["config"] / "mine" / "seed0"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="seed0 is no run, as it has no result.json; delete"):
        benchmark.evaluate(oracle, model="mine", replace=replace, **common)
    with pytest.raises(FileExistsError, match="seed0 is no run, as it has no result.json; delete"):
        benchmark.run(linear, name="mine", replace=replace, data="memory", **common)
    assert (folder / "notes.txt").read_text() == "mine"


RIGHT = {"loss": 1.0, "test": {"within_half_pixel": 1.0}}


@pytest.mark.parametrize(
    ("settings", "history", "steps"),
    [
        ({"steps": 70, "batch_size": 32}, [], 70),
        ({"steps": 70, "batch_size": 32}, [RIGHT], 70),
        ({"epochs": 50, "batch_size": 32}, [RIGHT | {"epoch": 25}, RIGHT | {"epoch": 50}], 250),
        ({"batch_size": 32}, [RIGHT, RIGHT], 10),
        ({"steps": 70}, [], 70),
        ({"epochs": 50}, [], None),
    ],
)
def test_the_steps_of_another_framework_are_those_of_its_settings(settings, history, steps):
    """147 training examples make 5 steps of 32."""
    common = {"task": "regression", "config": SMALL["config"]}
    assert benchmark.evaluate(oracle, **common, settings=settings, history=history).steps == steps


def test_a_row_of_another_framework_looks_like_any_other(tmp_path):
    """147 training examples make 5 steps of 32."""
    about = {
        "settings": {"epochs": 2, "batch_size": 32, "optimizer": "SGD"},
        "history": [
            {"loss": 2.0, "test": {"within_half_pixel": 0.5}, "seconds": 1.5},
            {"loss": 1.0, "test": {"within_half_pixel": 1.0}, "seconds": 2.5},
        ],
        "framework": "numpy",
        "seconds": 9.0,
        "parameters": 3,
    }
    common = {"task": "regression", "config": SMALL["config"], "runs": tmp_path}
    result = benchmark.evaluate(oracle, **common, **about)
    assert result.perfect
    assert results.Result.read(tmp_path / result.id / results.FILE) == result
    assert (result.settings, [each["epoch"] for each in result.history]) == (
        about["settings"],
        [1, 2],
    )
    (row,) = results.leaderboard([result])
    cells = dict(zip(results.COLUMNS, results.cells(row), strict=True))
    assert (cells["compute"], cells["time"], cells["parameters"]) == (
        "10 steps, 4 s of 4 s",
        "9 s",
        "3",
    )
    assert cells["hardware"].endswith(", numpy")
    assert f"numpy {np.__version__}" in row.software


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"settings": [1]}, r"settings must be a dict, got \[1\]"),
        ({"settings": {"b": 1, "a": print}}, "settings: a=<.*> is nothing that JSON can hold; exp"),
        ({"settings": {"a": float("nan")}}, "settings: a=nan is nothing that JSON can hold; exp"),
        ({"history": [{"loss": 1.0}]}, "history of epoch 1: test: it is missing."),
        (
            {"history": [{"loss": 1.0, "test": {"error": 1.0}}]},
            "history of epoch 1: test: metric 'within_half_pixel' is missing.",
        ),
        (
            {"history": [{"loss": 1.0, "test": {"within_half_pixel": 2.0}}]},
            "history of epoch 1: test: within_half_pixel is 2, above 1.",
        ),
        ({"history": [3]}, "history of epoch 1: "),
        ({"history": {"loss": [1.0]}}, "history must be a list with a dict of each epoch, .*, got"),
        ({"history": None}, "history must be a list with a dict of each epoch, .*, got None."),
        ({"history": [RIGHT | {"epoch": 0}]}, '"epoch" in history=0 is out of range; expected an'),
        ({"history": [RIGHT, RIGHT | {"epoch": 1}]}, '"epoch" in history=1 is out of range; '),
        (
            {"history": [RIGHT], "settings": {"epochs": 50}},
            "history ends with epoch 1, and settings has epochs=50; give each entry of history its",
        ),
        (
            {"history": [RIGHT | {"seconds": 5.0}, RIGHT | {"seconds": 9.0}], "seconds": 9},
            "The seconds of history are 14 in all, more than seconds=9; give each entry those",
        ),
        ({"settings": {"epochs": "many"}}, "epochs in settings='many' is a str; expected an integ"),
        ({"settings": {"steps": -5}}, "steps in settings=-5 is out of range; expected an integer"),
        ({"framework": 3}, "framework must be the name of a package, got 3."),
    ],
)
def test_a_wrong_account_of_a_training_is_told(wrong, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        benchmark.evaluate(
            oracle, task="regression", config=SMALL["config"], runs=tmp_path, **wrong
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("answer", [0.0, 8.0, 10.0, 0.5])
def test_a_constant_is_on_no_other_scale(answer):
    benchmark.evaluate(
        lambda x: np.full((len(x), 2), answer), task="regression", config=SMALL["config"]
    )


def test_a_module_of_pytorch_is_told_to_become_a_function(monkeypatch):
    class Module:
        def __call__(self, x):
            raise AttributeError

    torch = types.SimpleNamespace(nn=types.SimpleNamespace(Module=Module))
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(
        ValueError, match="Module is a torch.nn.Module, which takes tensors; pass a"
    ):
        benchmark.evaluate(Module(), task="regression", config=SMALL["config"])


def test_a_bad_setting_leaves_nothing(tmp_path):
    for settings in ({"size": 0}, {"pooling": "min"}):
        with pytest.raises(ValueError, match="coordconv cannot be built"):
            benchmark.run("coordconv", runs=tmp_path, **SMALL | {"settings": settings})
        run = experiment.plan("coordconv", **without_data(SMALL), settings=settings)
        with pytest.raises(ValueError, match="coordconv cannot be built"):
            list(benchmark.train([run], RunOptions(data="memory", runs=tmp_path)))
    assert not list(tmp_path.iterdir())


def without_data(arguments):
    return {name: value for name, value in arguments.items() if name != "data"}

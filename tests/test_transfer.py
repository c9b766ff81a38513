"""The weights of a run on other canvases: measured, kept, shown; and models that do not fit there."""

import dataclasses
import json
import re
import sys

import jsonschema
import keras
import numpy as np
import pytest
from run_files import result as made_up

from not_so_clevr import benchmark, cli, report, results
from not_so_clevr.benchmark import evaluation, transfer
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import tasks
from not_so_clevr.results import Result, record, tables

HERE, THERE, SAME = "quadrant_16_square3", "quadrant_20_square3", "uniform_16_square3"
SMALL = {"task": "regression", "config": HERE, "data": "memory"}
QUICK = SMALL | {"settings": {"epochs": 1}}
RIGHT = {"within_half_pixel": 1.0, "pair_accuracy": 1.0, "coordinate_accuracy": 1.0}


@keras.saving.register_keras_serializable("tests")
class Where(keras.layers.Layer):
    """The place of the one, on the [-1, 1] scale."""

    def call(self, x):
        lines = keras.ops.linspace(-1.0, 1.0, x.shape[1])
        rows = keras.ops.sum(x[..., 0] * lines[:, None], axis=(1, 2))
        columns = keras.ops.sum(x[..., 0] * lines[None, :], axis=(1, 2))
        return keras.ops.stack([rows, columns], axis=-1)


def oracle(task):
    """It is right with the identity as its weights, and it begins with them."""
    inputs = keras.Input(task.input_shape)
    return keras.Model(
        inputs, keras.layers.Dense(2, kernel_initializer="identity")(Where()(inputs))
    )


def linear(task):
    """It has a weight for each pixel."""
    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))


def deeper(task):
    """It has a layer for each six pixels."""
    x = inputs = keras.Input(task.input_shape)
    for _ in range(task.canvas_size // 6):
        x = keras.layers.Conv2D(1, 1)(x)
    return keras.Model(inputs, Where()(x))


def choosy(task):
    if task.canvas_size != 16:
        raise ValueError(f"only for 16, not {task.canvas_size}")
    return oracle(task)


def silent(task):
    """It answers with NaN on any canvas but one."""
    network = oracle(task)
    if task.canvas_size == 16:
        return network
    return keras.Model(network.input, keras.layers.Rescaling(float("nan"))(network.output))


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A run of CoordConv with what it is worth on another canvas, and its folder."""
    runs = tmp_path_factory.mktemp("runs")
    settings = {"epochs": 2}
    result = benchmark.run("coordconv", runs=runs, also=[THERE], settings=settings, **SMALL)
    return result, runs / result.id


def test_the_trained_weights_are_measured_on_every_example_of_the_other_canvas(moved):
    """As somebody would by hand: build the network for that canvas, and load the weights."""
    result, folder = moved
    network = benchmark.plan("coordconv", task="regression", config=THERE).model.build(
        tasks.as_task("regression", 20)
    )
    network.load_weights(folder / results.WEIGHTS)
    expected = benchmark.evaluate(network.predict_on_batch, task="regression", config=THERE)
    assert result.also.keys() == {THERE}
    for split, metrics in expected.metrics.items():
        assert result.also[THERE][split] == pytest.approx(metrics, abs=1e-6)
    assert result.also[THERE] != result.metrics


def test_an_oracle_is_right_on_any_canvas():
    settings = {"epochs": 1, "learning_rate": 0.0}
    also = ["quadrant_9_square3", "uniform_33_square5", SAME]
    result = benchmark.run(oracle, also=also, settings=settings, **SMALL)
    assert result.perfect
    assert list(result.also) == also
    for splits in result.also.values():
        for split in ("train", "test"):
            assert {name: splits[split][name] for name in RIGHT} == RIGHT


def test_coordconv_is_right_on_a_canvas_that_it_has_not_seen():
    common = SMALL | {"config": "quadrant_32", "settings": {"epochs": 12}}
    result = benchmark.run("coordconv", also=["quadrant_40"], **common)
    assert result.perfect
    for splits in (result.metrics, result.also["quadrant_40"]):
        assert splits["test"]["within_half_pixel"] == splits["train"]["within_half_pixel"] == 1


def test_a_batch_is_all_that_is_asked_for_at_once():
    """On a canvas of 4096 pixels all one-hots at once would be 2 PB."""
    sizes = []

    def predict(x):
        sizes.append(len(x))
        return np.zeros((len(x), 2), np.float32)

    run = benchmark.plan(oracle, task="regression", config=THERE)
    progress = []
    found = transfer.measure(predict, run, lambda *each: progress.append(each))
    assert max(sizes) <= 64
    assert sum(sizes) == 18 * 18
    assert progress[-1] == (THERE, 324, 324)
    whole = benchmark.evaluate(predict, task="regression", config=THERE)
    assert found == whole.metrics


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (linear, r"does not fit: .*kernel has the shape \(400, 2\) on {}, \(256, 2\) on {}\."),
        (deeper, r"does not fit: it has 6 weights on {}, 4 on {}\."),
        (choosy, r"cannot be built for regression: ValueError: only for 16, not 20 \(.*\)\."),
        (silent, r"returns NaN or infinity for the example .*; expected finite numbers\."),
    ],
)
def test_a_model_that_does_not_fit_says_so_and_has_its_result(build, sentence, tmp_path):
    result = benchmark.run(build, name="mine", runs=tmp_path, also=[THERE, SAME], **QUICK)
    assert result.also.keys() == {THERE, SAME}
    assert re.fullmatch("mine " + sentence.format(THERE, HERE), result.also[THERE])
    assert result.also[SAME].keys() == {"train", "test"}
    assert Result.read(tmp_path / result.id / results.FILE) == result

    alone = benchmark.run(build, name="mine", **QUICK)
    assert (alone.metrics, alone.parameters) == (result.metrics, result.parameters)


def test_what_a_run_lacks_is_measured_from_its_weights(moved, tmp_path):
    expected, _ = moved
    common = SMALL | {"settings": {"epochs": 2}, "runs": tmp_path}
    first = benchmark.run("coordconv", **common)
    assert not first.also
    with pytest.raises(FileExistsError, match="holds a complete run; add --resume"):
        benchmark.run("coordconv", also=[THERE], **common)

    later = benchmark.run("coordconv", also=[THERE], resume=True, **common)
    assert later.also[THERE]["test"] == pytest.approx(expected.also[THERE]["test"], abs=1e-6)
    assert dataclasses.replace(later, also={}, command="") == dataclasses.replace(first, command="")
    assert later.command == expected.command == f"{first.command} --also {THERE}"
    assert later.examples.keys() == {"train", "test"}

    file = tmp_path / later.id / results.FILE
    before = file.stat().st_mtime_ns
    assert benchmark.run("coordconv", also=[THERE], resume=True, **common) == later
    assert benchmark.run("coordconv", resume=True, **common) == later
    assert file.stat().st_mtime_ns == before
    both = benchmark.run("coordconv", also=[SAME, THERE], resume=True, **common)
    assert both.also[THERE] == later.also[THERE]
    assert both.command == f"{later.command} --also {SAME}"


def test_a_model_that_was_made_to_fit_is_measured_again(tmp_path):
    common = QUICK | {"name": "mine", "runs": tmp_path, "also": [THERE]}
    assert isinstance(benchmark.run(choosy, **common).also[THERE], str)
    result = benchmark.run(oracle, resume=True, **common)
    assert result.also[THERE].keys() == {"train", "test"}
    assert result.command is None


def test_a_compiled_model_is_measured_now_and_later(tmp_path):
    def build(task):
        network = oracle(task)
        network.compile(keras.optimizers.SGD(0.0, momentum=0.5), "mean_absolute_error")
        return network

    common = QUICK | {"name": "mine", "runs": tmp_path}
    now = benchmark.run(build, also=[THERE], **common)
    assert now.also[THERE]["test"]["within_half_pixel"] == 1
    benchmark.run(build, replace=True, **common)
    assert benchmark.run(build, also=[THERE], resume=True, **common).also == now.also


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda file: file.unlink(), r"model\.weights\.h5 is missing; put it back, or replace"),
        (lambda file: file.write_text("x"), "does not hold the weights of this network"),
    ],
    ids=["lost", "damaged"],
)
def test_weights_that_are_not_there_are_refused(damage, sentence, tmp_path):
    common = QUICK | {"name": "mine", "runs": tmp_path}
    result = benchmark.run(oracle, **common)
    damage(tmp_path / result.id / results.WEIGHTS)
    with pytest.raises(UserError, match=sentence):
        benchmark.run(oracle, also=[THERE], resume=True, **common)
    assert Result.read(tmp_path / result.id / results.FILE) == result


def test_a_run_that_is_stopped_while_it_is_measured_elsewhere_is_complete(tmp_path, monkeypatch):
    common = QUICK | {"name": "mine", "runs": tmp_path, "also": [THERE]}

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(oracle, **common)
    ((run,), problems) = results.load([tmp_path])
    assert (dict(run.also), problems) == ({}, [])
    monkeypatch.undo()
    assert benchmark.run(oracle, resume=True, **common).also.keys() == {THERE}


@pytest.mark.parametrize(
    ("also", "sentence"),
    [
        (["quadrent_32"], r"Unknown config 'quadrent_32' \(did you mean 'quadrant_32'\?\)"),
        ([HERE], f"also={HERE} is what .* is trained and measured on; omit it"),
        (THERE, f"also must be a list, got '{THERE}'; put it into brackets."),
        (3, "also must be a list, got 3; put it into brackets."),
    ],
)
def test_bad_others_are_refused_before_any_work(also, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "measure", None)
    with pytest.raises(UserError, match=sentence):
        benchmark.run(oracle, name="mine", also=also, runs=tmp_path, **QUICK)
    with pytest.raises(UserError, match=sentence):
        benchmark.run(oracle, name="mine", also=also, **QUICK)
    assert not list(tmp_path.iterdir())


def test_one_config_is_measured_once():
    assert len(RunOptions(also=[THERE, THERE, SAME]).also) == 2


FITS = {
    split: {"accuracy": share, "distance": 1 - share}
    for split, share in (("train", 1.0), ("test", 0.75))
}


def test_a_record_has_what_was_measured_and_older_ones_do_not(tmp_path):
    old = made_up("net", settings={})
    new = dataclasses.replace(old, also={THERE: FITS, "quadrant": "It does not fit."})
    assert "also" not in old.values()
    validator = jsonschema.Draft202012Validator(json.loads(record.SCHEMA_FILE.read_text()))
    for run in (old, new):
        run.write(tmp_path)
        assert Result.read(tmp_path / results.FILE) == run
        assert list(validator.iter_errors(run.values())) == []

    for wrong in (
        {THERE: None},
        {THERE: {"train": FITS["train"]}},
        {THERE: FITS | {"test": {"accuracy": 1.0}}},
        {THERE: FITS | {"test": {"accuracy": 2.0, "distance": 0.0}}},
    ):
        with pytest.raises(ValueError, match=r"also|metric 'distance' is missing"):
            record.checked(json.loads(json.dumps(old.values() | {"also": wrong})))


def boarded():
    sentence = "net does not fit: its kernel is <too> small."
    return [
        made_up("net", wrong=0.5, also={THERE: FITS, "quadrant": sentence}),
        made_up("net", seed=1, wrong=0.5, also={THERE: FITS}),
        made_up("better"),
    ]


def test_the_leaderboard_has_a_row_for_each_below_its_model(tmp_path):
    rows = results.leaderboard(boarded())
    assert [(row.model, row.also, row.seeds) for row in rows] == [
        ("better", "", 1),
        ("net", "", 2),
        ("net", THERE, 2),
        ("net", "quadrant", 1),
    ]
    texts = [dict(zip(results.COLUMNS, results.cells(row), strict=True)) for row in rows]
    assert [text["model"] for text in texts[2:]] == [f"net -> {THERE}", "net -> quadrant"]
    assert (texts[2]["train"], texts[2]["test"], texts[2]["time"]) == ("100 %", "75.0 %", "")
    assert (texts[2]["perfect"], texts[2]["distance"]) == ("0 of 2 [0, 84]", "0.25 px")
    assert (texts[3]["train"], texts[3]["test"], texts[3]["perfect"]) == ("", "does not fit", "")

    for ending in tables.FORMATS:
        results.write_leaderboard(rows, tmp_path / f"board{ending}")
    (*_, last) = json.loads((tmp_path / "board.json").read_text())["measured"]
    assert (last["also"], last["test"], last["config"]) == ("quadrant", None, HERE)
    assert f"| net -> {THERE} |" in (tmp_path / "board.md").read_text()


def test_the_report_shows_them_and_draws_each_model_once():
    page = report.page(boarded(), ["runs"])
    assert f"net -&gt; {THERE}</a>" in page
    assert "does not fit</td>" in page
    both = "seed 0: 100 % of train, 75.0 % of test right; seed 1: 100 % of train, 75.0 %"
    assert f"<dt>on {THERE}</dt>\n<dd>{both}" in page
    assert "seed 0: net does not fit: its kernel is &lt;too&gt; small." in page
    assert page.count('aria-label="Map of errors of net:') == 1
    assert "more models" not in page


def test_the_command_prints_them(tmp_path, monkeypatch, capsys):
    arguments = ["coordconv", "--task", "regression", "--config", HERE, "--data", "memory"]
    options = ["--set", "epochs=1", "--runs", str(tmp_path), "--also", THERE, "--also", SAME]
    monkeypatch.setattr(sys, "argv", ["not-so-clevr", "train", *arguments, *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for name in (THERE, SAME):
        shares = r"[\d.]+ % of train, [\d.]+ % of test right"
        assert re.search(rf"/seed0 -> {name}: {shares}\n", out)
        assert f"| coordconv-epochs=1 -> {name} | 0 of 1 [0, 98] |" in out

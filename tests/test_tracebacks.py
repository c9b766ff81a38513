"""Errors in somebody's code show where in their files; bugs of ours keep their traceback."""

import sys

import keras
import pytest
import run_files
import subprocesses

from not_so_clevr import benchmark, cli, results
from not_so_clevr.benchmark import tracebacks
from not_so_clevr.checks import UserError

THEIRS = """
import keras


class Doubles(keras.layers.Layer):
    def call(self, x, training=False):
        if training or not WHEN_TRAINED:
            return x * undefined
        return x


class OwnStep(keras.Model):
    def train_step(self, *arguments):
        return helped(arguments)


def helped(arguments):
    raise RuntimeError("no step today")


class Stops(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        {}["missing"]


def linear(task):
    return [keras.Input(task.input_shape), keras.layers.Conv2D(2, 1), keras.layers.GlobalMaxPooling2D()]


def layer(task):
    return keras.Sequential([*linear(task), Doubles()])


def step(task):
    network = keras.Sequential(linear(task))
    return OwnStep(network.inputs, network.outputs)


def fine(task):
    return keras.Sequential(linear(task))
"""

RUN = {
    "task": "regression",
    "config": "quadrant_16_square3",
    "data": "memory",
    "settings": {"epochs": 1},
}


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Writes their module, and imports it."""

    def written(when_trained=False):
        (tmp_path / "their_model.py").write_text(f"WHEN_TRAINED = {when_trained}\n{THEIRS}")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "their_model", raising=False)
        import their_model

        return their_model

    return written


def lines_of(error):
    return tracebacks.explain("", error).splitlines()


def test_an_error_in_a_layer_shows_their_line_and_not_keras(theirs, tmp_path):
    model = theirs()
    with pytest.raises(UserError) as raised:
        benchmark.run(model.layer, **RUN)
    first, *frames = str(raised.value).splitlines()
    file = tmp_path / "their_model.py"
    assert first == (
        "their_model:layer cannot be built for regression: NameError: name 'undefined' is not defined (their_model.py, line 9)."
    )
    assert frames[-3:] == [
        f"  {file}, line 9, in call",
        "    return x * undefined",
        "  NameError: name 'undefined' is not defined",
    ]
    assert f"  {file}, line 32, in layer" in frames
    assert "Exception encountered" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("layer", ["line 9, in call", "return x * undefined", "name 'undefined' is not defined"]),
        ("step", ["line 19, in helped", 'raise RuntimeError("no step today")', "no step today"]),
    ],
)
def test_an_error_in_training_shows_their_line(theirs, name, expected):
    model = theirs(when_trained=True)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - Frameworks raise their own.
        benchmark.run(getattr(model, name), **RUN)
    assert not isinstance(raised.value, UserError)
    frame, line, message = lines_of(raised.value)[-3:]
    assert frame.endswith(expected[0])
    assert line.strip() == expected[1]
    assert message.endswith(expected[2])


def test_a_model_of_ours_says_in_one_sentence_what_it_does_not_fit():
    sentence = (
        r"^deconv cannot be built for rendering: ValueError: canvas_size=\(20, 16\) cannot be reached "
        r"by doubling a pixel; expected a square canvas, .* at least 8 \(deconv.py, line \d+\)\.$"
    )
    with pytest.raises(UserError, match=sentence):
        benchmark.run("deconv", task="rendering", config="quadrant_20x16_square3", data="memory")


def test_an_error_in_a_callback_shows_their_line(theirs):
    model = theirs()
    with pytest.raises(KeyError) as raised:
        benchmark.run(model.fine, callbacks=[model.Stops()], **RUN)
    frame, line, message = lines_of(raised.value)[-3:]
    assert frame.endswith("line 24, in on_epoch_begin")
    assert line.strip() == '{}["missing"]'
    assert message == "  KeyError: 'missing'"


def test_the_command_prints_sentence_and_frames_and_exits_1(theirs, tmp_path):
    theirs(when_trained=True)
    options = ["--task", "regression", "--config", "quadrant_16_square3", "--data", "memory"]
    result = subprocesses.in_folder(tmp_path, "train", "their_model:step", *options)
    assert result.returncode == 1
    told = result.stderr[result.stderr.index("not-so-clevr: ") :].splitlines()
    assert told[0] == (
        "not-so-clevr: regression/quadrant_16_square3/their_model.step/seed0 failed: "
        "their_model:step cannot be trained for regression: RuntimeError: no step today "
        "(their_model.py, line 19)."
    )
    assert told[-1] == "  RuntimeError: no step today"
    assert "Traceback" not in result.stderr


def test_a_bug_of_ours_keeps_its_traceback(tmp_path, monkeypatch):
    """As a NumPy error inside the leaderboard, which was printed as if the user had done wrong."""
    run_files.result("net").write(tmp_path)

    def broken(runs, reference):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(results, "leaderboard", broken)
    monkeypatch.setattr(sys, "argv", ["not-so-clevr", "leaderboard", str(tmp_path)])
    with pytest.raises(ValueError, match="operands could not be broadcast"):
        cli.main()


def test_an_error_of_the_operating_system_is_a_sentence(tmp_path, monkeypatch, capsys):
    def refused(runs, reference):
        raise PermissionError(13, "Permission denied", "/there")

    run_files.result("net").write(tmp_path)
    monkeypatch.setattr(results, "leaderboard", refused)
    monkeypatch.setattr(sys, "argv", ["not-so-clevr", "leaderboard", str(tmp_path)])
    with pytest.raises(SystemExit) as status:
        cli.main()
    assert status.value.code == 2
    assert capsys.readouterr().err == "not-so-clevr: /there: Permission denied.\n"


def test_frames_of_frameworks_and_of_ours_are_left_out():
    try:
        keras.layers.Dense(-1)
    except ValueError as error:
        own = tracebacks.own_frames(error)
    assert [frame.filename for frame in own] == [__file__]


@pytest.mark.parametrize("backend", subprocesses.other_backends())
@pytest.mark.slow
def test_on_other_backends(backend):
    subprocesses.run_tests(__file__, "layer or training or callback", backend)

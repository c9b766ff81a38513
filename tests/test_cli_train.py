"""`not-so-clevr train`, `list` and `leaderboard`, also with a model from the current folder."""

import dataclasses
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import keras
import pytest
import subprocesses
from subprocesses import COMMAND
from tensorflow_datasets.core import constants

from not_so_clevr import benchmark, cli, results
from not_so_clevr.benchmark import distribution, registry, training
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.cli.training import list_models
from not_so_clevr.results import published
from not_so_clevr.results.experiment import Experiment

MINE = """
import keras

def build(task):
    \"\"\"As a user might write it, in the current folder.\"\"\"
    inputs = keras.Input(task.input_shape)
    x = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(inputs))
    size = 1
    for length in task.output_shape:
        size *= length
    return keras.Model(inputs, keras.layers.Reshape(task.output_shape)(keras.layers.Dense(size)(x)))

class Late(keras.layers.Layer):
    def call(self, x, training=False):
        if training:
            raise RuntimeError("only in training")
        return x

def late(task):
    flat = [keras.Input(task.input_shape), keras.layers.Flatten()]
    return keras.Sequential([*flat, keras.layers.Dense(2), Late()])

def leaves(task):
    raise SystemExit(0)

def wrong(task):
    flat = [keras.Input(task.input_shape), keras.layers.Flatten()]
    return keras.Sequential([*flat, keras.layers.Dense(7)])
"""
TASK = ["--task", "regression", "--config", "quadrant_16_square3"]
QUICK = [*TASK, "--set", "epochs=2", "--data", "memory"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_pkg").mkdir()
    (tmp_path / "my_pkg" / "my_module.py").write_text(MINE)
    return tmp_path


def run(folder, *arguments):
    return subprocesses.in_folder(folder, *arguments)


def test_train_a_model_of_the_current_folder_with_seeds_and_show_the_leaderboard(folder):
    result = run(folder, "train", "my_pkg.my_module:build", *QUICK, "--seeds", 2)
    assert result.returncode == 0, result.stderr
    name = "regression/quadrant_16_square3/my_pkg.my_module.build-epochs=2"
    lines = result.stdout.splitlines()
    for seed, line in enumerate(lines[:2]):
        assert re.fullmatch(
            rf"{re.escape(name)}/seed{seed}: .* % of train, .* % of test right, in \d+ s", line
        )
    assert (
        "| regression | quadrant_16_square3 | my_pkg.my_module.build-epochs=2 | 0 of 2 [0, 84] |"
        in result.stdout
    )
    assert lines[-1] == f"The runs are in {folder}/runs"
    run_file = json.loads((folder / "runs" / name / "seed1" / "result.json").read_text())
    assert (run_file["seed"], run_file["settings"]["epochs"], len(run_file["history"])) == (1, 2, 2)
    assert run_file["command"].startswith(
        "not-so-clevr train my_pkg.my_module:build --task regression"
    )

    again = run(folder, "train", "my_pkg.my_module:build", *QUICK, "--seeds", 3)
    assert again.returncode == 2
    assert (
        "holds a complete run; add --resume (in Python resume=True) to show it, "
        "or --replace (replace=True) to train again." in again.stderr
    )
    assert not (folder / "runs" / name / "seed2").exists()
    resumed = run(folder, "train", "my_pkg.my_module:build", *QUICK, "--seeds", 3, "--resume")
    assert resumed.stdout.splitlines()[:2] == lines[:2]
    assert (folder / "runs" / name / "seed2").exists()

    (folder / "runs" / name / "seed0" / "result.json").write_text("{")
    board = run(
        folder, "leaderboard", "runs", "-o", "board.md", "-o", "board.csv", "-o", "board.json"
    )
    assert board.returncode == 2
    assert "seed0/result.json is not the result of a run" in board.stderr
    assert "my_pkg.my_module.build-epochs=2 | 0 of 2 [0, 84] |" in board.stdout
    assert "Published elsewhere:" not in board.stdout  # Nothing was, for this config.
    assert len(json.loads((folder / "board.json").read_text())["measured"]) == 1
    assert (folder / "board.md").exists()
    assert (folder / "board.csv").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "coordconv", *TASK, "--set", "epochs=1"],
        [
            "reproduce",
            "article",
            "--row",
            "regression/quadrant_16_square3/coordconv-epochs=1",
            "--seeds",
            "1",
        ],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_data_set_is_generated_and_read_where_it_was_asked_for(arguments, tmp_path, monkeypatch):
    """Not in the default folder; the metrics are those of examples drawn in memory."""
    experiment = Experiment(
        "regression", "quadrant_16_square3", "coordconv", settings={"epochs": 1}
    )
    monkeypatch.setitem(published.suites(), "article", (experiment,))
    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "default"))
    folders = ["--runs", str(tmp_path / "runs"), "--data-dir", str(tmp_path / "mine")]
    monkeypatch.setattr(sys, "argv", ["not-so-clevr", *arguments, *folders])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert (tmp_path / "mine" / "not_so_clevr" / "quadrant_16_square3" / "1.0.0").is_dir()
    assert not (tmp_path / "default").exists()
    ((run,), _) = results.load([tmp_path / "runs"])
    common = {"task": "regression", "config": "quadrant_16_square3", "settings": {"epochs": 1}}
    assert run.metrics == benchmark.run("coordconv", data="memory", **common).metrics


@pytest.mark.parametrize(
    ("options", "changed", "recipe"),
    [
        ([], {}, "tuned"),
        (["--seed", "7", "--runs", "mine"], {"seed": 7, "runs": pathlib.Path("mine")}, "tuned"),
        (["--resume"], {"resume": True}, "tuned"),
        (["--replace"], {"replace": True}, "tuned"),
        (["--tensorboard"], {"tensorboard": True}, "tuned"),
        (["--distribute"], {"distribute": True}, "tuned"),
        (["--recipe", "article"], {}, "article"),
        (["--also", "quadrant", "--also", "uniform"], {"also": ("quadrant", "uniform")}, "tuned"),
    ],
    ids=str,
)
def test_options_of_train_reach_the_training_and_ctrl_c_says_how_to_go_on(
    options, changed, recipe, tmp_path, monkeypatch, capsys
):
    asked = []

    def interrupted(run, options):
        asked.append((run, options))
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "execute", interrupted)
    monkeypatch.setattr(distribution, "devices", list)
    monkeypatch.setattr(
        sys, "argv", ["not-so-clevr", "train", "coordconv", *TASK, "--data", "memory", *options]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    ((asked_for, keywords),) = asked
    usual = {"runs": pathlib.Path("runs"), "data": "memory", "verbose": 1} | changed
    assert asked_for.seed == usual.pop("seed", 0)
    also = [config.name for config in keywords.also]
    assert also == list(usual.pop("also", ()))
    assert dataclasses.replace(keywords, also=()) == RunOptions(**usual)
    _, expected = registry.find("coordconv").recipe(recipe, "regression")
    assert asked_for.recipe == expected.for_examples(147)
    assert ended.value.code == 130
    instead = " instead of --replace" if "--replace" in options else ""
    said = (
        f"{asked_for.id} was interrupted; the same command with --resume{instead} continues it.\n"
    )
    assert capsys.readouterr().err.endswith(f"not-so-clevr: {said}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (
            "on_epoch_begin",
            "the same command with --resume instead of --replace continues it; "
            "not yet replaced: seed 2.",
        ),
        ("build", "not yet replaced: seed 1, 2."),
    ],
)
def test_an_interrupted_replacement_says_which_runs_are_the_old_ones_and_is_continued(
    moment, words, tmp_path, monkeypatch, capsys
):
    """Before the first epoch is over, too; seed 1 of three is interrupted."""
    command = [
        "not-so-clevr",
        "train",
        "coordconv",
        *QUICK,
        "--seeds",
        "3",
        "--runs",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        cli.main()
    files = sorted(tmp_path.rglob("result.json"))
    before = [file.stat().st_mtime_ns for file in files]

    def interrupted(*_):
        raise KeyboardInterrupt

    def execute(run, options):
        if run.seed == 1 and moment == "build":
            raise KeyboardInterrupt
        if run.seed == 1:
            interrupt = type("Interrupt", (keras.callbacks.Callback,), {moment: interrupted})()
            options = dataclasses.replace(options, callbacks=[interrupt])
        return benchmark_execute(run, options)

    benchmark_execute = training.execute
    monkeypatch.setattr(training, "execute", execute)
    monkeypatch.setattr(sys, "argv", [*command, "--replace"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith(f"/seed1 was interrupted; {words}\n")

    monkeypatch.setattr(training, "execute", benchmark_execute)
    monkeypatch.setattr(sys, "argv", [*command, "--resume"])
    with pytest.raises(SystemExit):
        cli.main()
    changed = [file.stat().st_mtime_ns != time for file, time in zip(files, before, strict=True)]
    assert changed == [True, moment != "build", False]


def test_a_seed_that_diverges_keeps_no_other_back(tmp_path, monkeypatch, capsys):
    """The others are trained, the table is printed, and at the end it is told."""

    def execute(run, options):
        if run.seed == 1:
            raise UserError("The loss of coordconv became nan in epoch 1.")
        return benchmark_execute(run, options)

    benchmark_execute = training.execute
    monkeypatch.setattr(training, "execute", execute)
    monkeypatch.setattr(
        sys,
        "argv",
        ["not-so-clevr", "train", "coordconv", *QUICK, "--seeds", "3", "--runs", str(tmp_path)],
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert re.findall(r"/seed(\d): .* right", out) == ["0", "2"]
    assert "| regression | quadrant_16_square3 | coordconv-epochs=2 | 0 of 2 [0, 84] |" in out
    sentence = "seed1 failed: The loss of coordconv became nan in epoch 1."
    subprocesses.assert_refused(
        ended.value.code,
        err,
        f"regression/quadrant_16_square3/coordconv-epochs=2/{sentence}",
        expected=1,
    )


def test_what_is_written_below_the_home_folder_is_said_to_be_there(folder):
    """After = and in quotes the shell leaves ~ as it is."""
    arguments = ["train", "coordconv", *QUICK, "--runs=~/my/runs"]
    trained = subprocesses.in_folder(folder, *arguments, HOME=folder)
    assert trained.stdout.splitlines()[-1] == f"The runs are in {folder}/my/runs"
    assert (folder / "my" / "runs" / "regression").is_dir()
    arguments = ["leaderboard", "~/my/runs", "--output=~/my/board.md"]
    board = subprocesses.in_folder(folder, *arguments, HOME=folder)
    assert board.stdout.splitlines()[-1] == f"The leaderboard is in {folder}/my/board.md"
    assert (folder / "my" / "board.md").exists()


def test_the_reference_stands_beside_a_result(folder):
    arguments = [
        "--task",
        "regression",
        "--config",
        "quadrant",
        "--set",
        "epochs=1",
        "--data",
        "memory",
    ]
    result = run(folder, "train", "coordconv", *arguments)
    assert re.search(
        r"\| regression \| quadrant \| coordconv \| 10 of 10 \[69, 100\] \| 100 % \| 100 % \|",
        result.stdout,
    )
    assert (
        "| regression | quadrant | coordconv-epochs=1 (yours) | 0 of 1 [0, 98] |" in result.stdout
    )


@pytest.mark.slow
def test_a_killed_command_resumes(folder):
    arguments = ["train", "coordconv", *TASK, "--set", "epochs=40", "--data", "memory"]
    environment = subprocesses.environment()
    process = subprocess.Popen(
        [COMMAND, *arguments], env=environment, cwd=folder, stderr=subprocess.DEVNULL
    )
    partial = (
        folder
        / "runs"
        / "regression"
        / "quadrant_16_square3"
        / "coordconv-epochs=40"
        / "seed0.incomplete"
    )
    while not (partial / "checkpoint.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "add --resume (in Python resume=True) to continue it" in run(folder, *arguments).stderr
    assert run(folder, *arguments, "--resume").returncode == 0
    assert run(folder, *arguments, "--runs", "whole").returncode == 0
    one, other = (
        json.loads(
            (
                folder / runs / partial.relative_to(folder / "runs").with_suffix("") / "result.json"
            ).read_text()
        )
        for runs in ("runs", "whole")
    )
    assert one["metrics"] == other["metrics"]
    assert [epoch["loss"] for epoch in one["history"]] == [
        epoch["loss"] for epoch in other["history"]
    ]


@pytest.mark.slow
def test_the_terminal_shows_a_bar(folder):
    """On a terminal: epoch, loss, the task's metric and the time left."""
    main, terminal = pty.openpty()
    environment = subprocesses.environment(COLUMNS="160", TERM="xterm")
    process = subprocess.Popen(
        [COMMAND, "train", "coordconv", *QUICK],
        env=environment,
        cwd=folder,
        stderr=terminal,
        stdout=subprocess.DEVNULL,
    )
    os.close(terminal)
    plain = subprocesses.read_terminal(main)
    assert process.wait() == 0
    assert re.search(
        r"regression/.*/seed0 .* 10/10 steps, epoch 2 of 2, "
        r"loss [\d.e-]+, test error [\d.]+.* left",
        plain,
    )


def on_terminal(folder, columns, *arguments):
    """Returns what a command prints on a terminal of so many columns."""
    main, terminal = pty.openpty()
    environment = subprocesses.environment(COLUMNS=str(columns), TERM="xterm")
    process = subprocess.Popen([COMMAND, *arguments], env=environment, cwd=folder, stdout=terminal)
    os.close(terminal)
    plain = subprocesses.read_terminal(main)
    assert process.wait() == 0
    return plain


def write_run(folder, config, model):
    metrics = {split: {"accuracy": 0.5, "distance": 1.0} for split in ("train", "test")}
    kind = {
        "task": "classification",
        "accuracy_metric": "accuracy",
        "distance_metric": "distance",
        "metrics": metrics,
        "seed": 0,
    }
    results.Result(model=model, recipe="", config=config, **kind).write(
        folder / "runs" / config / model
    )


def test_a_terminal_gets_a_table_without_the_escape_sequences_and_markup_of_strangers(folder):
    write_run(folder, "[red]\x1b[31mx", "net")
    plain = on_terminal(folder, 300, "leaderboard", "runs")
    assert "classification, [red]\\x1b[31mx\n" in plain.replace("\r", "")
    assert re.search(r"\bnet +0 of 1 \[0, 98\] +50\.0 % +50\.0 % +50\.0 % +1 px ", plain)
    assert "|" not in plain.partition("Published elsewhere:")[0]
    assert "too narrow" not in plain


def test_a_narrow_terminal_gets_whole_numbers_folded_names_and_fewer_columns(folder):
    write_run(
        folder,
        "uniform",
        "a_network_with_a_name_that_is_longer_than_eighty_characters_as_that_of_"
        + 4 * "setting=0.1-",
    )
    write_run(folder, "uniform", "net")
    write_run(folder, "quadrant", "net")
    text = on_terminal(folder, 80, "leaderboard", "runs", "--no-reference")
    lines = text.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("classification, ")] == [
        f"classification, {x}" for x in ("quadrant", "uniform")
    ]
    assert (
        sum(bool(re.search(r"^ net +0 of 1 \[0, 98\] +50\.0 % +50\.0 %", line)) for line in lines)
        == 2
    )
    assert sum("This terminal is too narrow for: hardware" in line for line in lines) == 1
    assert "…" not in "".join(lines)


def test_list_shows_every_model_with_source_and_parameters(folder):
    output = run(folder, "list").stdout
    recipes = "tuned, article, paper, rule"
    assert f"| coordconv | classification | {recipes} | 7,553 | Liu et al. 2018 |" in output
    assert f"| coordconv | regression | {recipes} | 906 |" in output
    recipes = "tuned, article, article_quadrant, paper, paper_quadrant, rule"
    assert f"| conv | regression | {recipes} | 72,850 |" in output
    for name in ("deconv", "tiled_conv", "upsample_conv", "upsample_coordconv"):
        assert f"| {name} | classification |" in output


def test_a_package_that_is_broken_hides_no_model_of_another(monkeypatch, capsys):
    monkeypatch.setattr(registry, "names", lambda: ["absent:build", "conv"])
    list_models()
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("| absent:build |  |  |  | UserError: Cannot import 'absent': there is no")
        for line in lines
    )
    assert any(line.startswith("| conv | regression | ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["train", "nope", *QUICK],
            "Unknown model 'nope'; expected one of broadcast_decoder, conv,",
        ),
        (
            ["train", "nowhere.at_all:build", *QUICK],
            "Cannot import 'nowhere.at_all': there is no module 'nowhere', "
            "neither installed nor in ",
        ),
        (
            ["train", "my_pkg.my_module:nothing", *QUICK],
            "Module 'my_pkg.my_module' has no function 'nothing'",
        ),
        (
            ["train", "my_pkg.my_module:wrong", *QUICK],
            "my_pkg.my_module:wrong returns shape (2, 7) for regression; expected (2, 2)",
        ),
        (
            ["train", "my_pkg.my_module:leaves", *QUICK],
            "my_pkg.my_module:leaves cannot be built for regression: SystemExit: 0",
        ),
        (
            ["train", "coordconv", *QUICK, "--set", "x={1}"],
            "setting x={1} cannot be saved; expected a number,",
        ),
        (
            ["train", "coordconv", *QUICK, "--set", f"origin={'y' * 300}"],
            "coordconv cannot be built for regression: ",
        ),
        (
            ["train", "broken:build", *QUICK],
            "Cannot import 'broken': ZeroDivisionError: division by zero (broken.py, line 1).",
        ),
        (
            ["train", "keras:build", *QUICK],
            "Module 'keras' has no function 'build'; expected one that takes a task. "
            "keras.py here is",
        ),
        (
            ["train", "coordconv", *QUICK, "--recipe", "fast"],
            "coordconv has no recipe 'fast'; expected one of tuned, article, paper, rule.",
        ),
        (
            ["train", "coordconv", *QUICK, "--set", "epochs"],
            "--set epochs is not a setting; expected NAME=VALUE, e.g. epochs=10.",
        ),
        (
            ["train", "coordconv", *QUICK, "--set", "epochs=3"],
            "--set epochs is given twice, as 2 and 3; give it once.",
        ),
        (
            ["train", "coordconv", *QUICK, "--set", "depth=3"],
            "coordconv has no setting 'depth'; expected one of epochs, ",
        ),
        (
            ["train", "coordconv", *TASK, "--set", "depth=3"],
            "coordconv has no setting 'depth'; expected one of epochs, ",
        ),
        (
            ["train", "coordconv", *TASK, "--seed", "-1"],
            "seed=-1 is out of range; expected an integer from 0 to 4294967295.",
        ),
        (
            ["train", "coordconv", *TASK, "--resume", "--replace"],
            "resume and replace exclude each other; give one of them.",
        ),
        (
            ["train", "coordconv", *QUICK, "--seeds", "0"],
            "--seeds=0 is out of range; expected an integer from 1 to 10000.",
        ),
        (
            ["train", "coordconv", *QUICK, "--seeds", "2", "--seed", "1"],
            "--seed 1 and --seeds 2 were both given; give one.",
        ),
        (
            ["train", "coordconv", "--task", "regression", "--config", "quadrant_4096"],
            "quadrant_4096 read from disk needs 560753 GB of memory, and this machine has ",
        ),
        (
            ["train", "coordconv", *QUICK, "--data", "disk"],
            "data='disk' is unknown; expected one of tfds, memory.",
        ),
        (
            ["train", "coordconv", *QUICK, "--runs", "/dev/null/runs"],
            "Cannot write into /dev/null/runs: /dev/null is not a folder; choose another folder.",
        ),
        (
            ["train", "coordconv", "--task", "segmentation", "--config", "quadrant"],
            "Unknown task 'segmentation'; expected one of",
        ),
        (
            ["train", "coordconv", "--task", "regression", "--config", "half"],
            "Unknown config 'half'; expected one of",
        ),
        (["leaderboard", "nowhere"], "There is no folder nowhere; expected one with runs"),
        (
            ["leaderboard", "my_pkg"],
            "There is no result.json below my_pkg; make one with: not-so-clevr train.",
        ),
        (
            ["leaderboard", "my_pkg", "-o", "a.txt"],
            "a.txt has no known format; expected a name that ends in .md, .csv, .json.",
        ),
    ],
)
def test_bad_input_gives_one_sentence_and_status_2(folder, arguments, sentence):
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "keras.py").write_text("def build(task): pass\n")
    before = sorted(folder.rglob("*"))
    result = run(folder, *arguments)
    subprocesses.assert_refused(result.returncode, result.stderr, sentence)
    left = [path for path in folder.rglob("*") if path not in before and path.is_file()]
    assert [path.name for path in left if path.suffix not in (".lock", ".pyc")] == []


def test_an_error_in_training_shows_the_lines_of_the_model(folder):
    failed = run(folder, "train", "my_pkg.my_module:late", *QUICK)
    error, name = failed.stderr, "my_pkg.my_module:late"
    sentence = f"regression/quadrant_16_square3/my_pkg.my_module.late-epochs=2/seed0 failed: {name} cannot be trained for regression: RuntimeError: "
    subprocesses.assert_refused(failed.returncode, error, sentence, expected=1)
    line = MINE.splitlines().index('            raise RuntimeError("only in training")') + 1
    frame = f"  {folder}/my_pkg/my_module.py, line {line}, in call"
    assert f'{frame}\n    raise RuntimeError("only in training")\n' in error


def test_the_module_of_the_command_is_not_shadowed_by_a_folder_of_the_user(folder):
    (folder / "not_so_clevr").mkdir()
    (folder / "not_so_clevr" / "__init__.py").write_text("raise SystemError\n")
    (folder / "metrics.py").write_text("raise SystemError\n")
    assert subprocesses.command("train", "coordconv", *QUICK, cwd=folder).returncode == 0

"""`verify` finds what was tampered with, and nothing else."""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess

import h5py
import numpy as np
import pytest
import typer
from run_files import CONFIG, result
from subprocesses import in_folder

from not_so_clevr import benchmark, results
from not_so_clevr.benchmark import environment, verification
from not_so_clevr.checks import UserError
from not_so_clevr.cli import results as cli
from not_so_clevr.results import Result

ROOT = pathlib.Path(__file__).parents[1]
SUBMISSIONS = ROOT / "submissions"
ENTRY = """
import keras
from not_so_clevr.benchmark import Recipe, with_recipes

@with_recipes(source="a test", default={"regression": Recipe(epochs=3, learning_rate=0.01)})
def build(task, scale=1.0):
    inputs = keras.Input(task.input_shape)
    x = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, x * scale)
"""
SOLVED = {"epoch": 1, "seconds": 0.001}
RIGHT = {"within_half_pixel": 1, "error": 0, "pair_accuracy": 1, "coordinate_accuracy": 1}
ROW = f"regression/{CONFIG}/entry.build"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, and the runs of three seeds of it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "entry.py").write_text(ENTRY)
    train = ["train", "entry:build", "--task", "regression", "--config", CONFIG]
    done = in_folder(
        folder, *train, "--seeds", 3, "--data", "memory", "--also", "quadrant_20_square3"
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def submission(made, tmp_path):
    """A submission of these runs; with the weights of none."""
    folder = tmp_path / "entry"
    folder.mkdir()
    shutil.copy(made / "entry.py", folder)
    results.write_lines(folder / "results.jsonl", results.load([made / "runs"])[0])
    return folder


def add_weights(made, submission, seeds=(0, 1, 2)):
    for run in results.load([made / "runs"])[0]:
        if run.seed in seeds:
            name = verification.weights_name(run)
            shutil.copy(run.folder / results.WEIGHTS, submission / name)


def change(submission, at, **changes):
    """Changes the record of the seed `at` in a submission."""
    file = submission / "results.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for each in records:
        if each["seed"] == at:
            each.update(changes)
    file.write_text("".join(json.dumps(each) + "\n" for each in records))


def different(submission, **arguments):
    """Returns run and name of each number that differs."""
    checks = list(benchmark.verify(submission, verbose=0, **arguments))
    failed = [each.note for each in checks if each.verdict == verification.FAILED]
    assert not failed
    return [
        (each.run.rpartition("/")[2], each.what)
        for each in checks
        if each.verdict == verification.DIFFERENT
    ]


def test_a_run_measured_from_its_weights_is_equal_example_by_example(made):
    done = in_folder(made, "verify", "runs", "-o", "results.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if ROW in line]
    assert [row[5] for row in rows] == ["equal"] * 6  # Its own numbers, and from weights
    assert [row[2] for row in rows] == ["all"] * 3 + ["11 numbers"] * 3
    kept = results.read_lines(made / "results.jsonl")
    assert [(each.id, each.history) for each in kept] == [(f"{ROW}/seed{k}", ()) for k in range(3)]


def trained(checks):
    """Returns the seeds that were trained again."""
    return {each.run[-1] for each in checks if each.how == verification.TRAINING}


def test_a_submission_is_trained_again_with_one_seed_and_its_settings(submission):
    checks = list(benchmark.verify(submission, verbose=0))
    assert {each.verdict for each in checks} == {verification.EQUAL}
    assert len(trained(checks)) == 1
    assert sorted(each.name for each in submission.iterdir()) == ["entry.py", "results.jsonl"]


def test_the_seeds_and_the_folder_of_what_is_trained_again_can_be_chosen(submission, tmp_path):
    checks = list(benchmark.verify(submission, seed=2, runs=tmp_path / "runs", verbose=0))
    assert trained(checks) == {"2"}
    (again,) = results.load([tmp_path / "runs"])[0]
    assert again.seed == 2
    with pytest.raises(UserError, match=r"has no result with seed 7"):
        list(benchmark.verify(submission, seed=7))


def test_a_seed_without_weights_is_drawn_and_trained_again(made, submission, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "secrets.choice", lambda row: drawn.append([each.seed for each in row]) or row[-1]
    )
    assert trained(benchmark.verify(submission, verbose=0)) == {"2"}
    add_weights(made, submission, seeds=[0])
    for seed in (1, 2):
        change(submission, seed, metrics={"train": RIGHT, "test": RIGHT})
    assert ("seed2", "test within_half_pixel") in different(submission)
    assert drawn == [[0, 1, 2], [1, 2]]
    add_weights(made, submission, seeds=[1, 2])
    assert not trained(benchmark.verify(submission, verbose=0))


def test_a_row_without_the_seed_is_trained_again_nevertheless(submission):
    lines = (submission / "results.jsonl").read_text().splitlines()
    other = {**json.loads(lines[0]), "config": "uniform_16_square3", "seed": 7}
    other |= {"metrics": {"train": RIGHT, "test": RIGHT}, "environment": {}}
    (submission / "results.jsonl").write_text("\n".join([*lines, json.dumps(other)]))
    checks = benchmark.verify(submission, seed=7, verbose=0)
    again = {each.run for each in checks if each.how == verification.TRAINING}
    assert {run.rpartition("/")[0] for run in again} == {ROW, ROW.replace(CONFIG, other["config"])}


def test_a_seed_that_was_drawn_is_continued_by_the_next_call(submission, tmp_path, monkeypatch):
    list(benchmark.verify(submission, seed=1, runs=tmp_path / "runs", verbose=0))
    monkeypatch.setattr("secrets.choice", lambda row: row[-1])
    assert trained(benchmark.verify(submission, runs=tmp_path / "runs", verbose=0)) == {"1"}


def test_a_run_is_not_compared_with_itself(made, submission):
    checks = list(benchmark.verify(submission, runs=made / "runs", verbose=0))
    (failed,) = (each for each in checks if each.verdict == verification.FAILED)
    assert "holds the run to verify" in failed.note


def test_another_seed_a_number_and_the_settings_are_caught(submission):
    first, second, _ = results.read_lines(submission / "results.jsonl")
    change(submission, 0, metrics=second.metrics)
    assert ("seed0", "test error") in different(submission, seed=0)

    settings = {**first.settings, "learning_rate": 0.02}
    change(submission, 0, metrics=first.metrics, settings=settings)
    with pytest.raises(UserError, match="differs in settings"):
        different(submission)
    for seed in range(3):
        change(submission, seed, settings=settings)
    assert ("seed0", "test error") in different(submission, seed=0)


def test_invented_steps_settings_and_epochs_of_solved_are_caught(submission):
    first, *_ = results.read_lines(submission / "results.jsonl")
    steps = 3 * -(-(14 * 14 - 7 * 7) // 32)
    training = {**first.environment["training"], "steps": 2 * steps}
    change(submission, 0, environment={**first.environment, "training": training}, solved=SOLVED)
    found = [each for each in benchmark.verify(submission, seed=0, verbose=0) if each.what != "all"]
    wrong = {
        each.what: (each.recorded, each.measured)
        for each in found
        if each.how == verification.TRAINING and each.verdict == verification.DIFFERENT
    }
    assert wrong == {"steps": (2 * steps, steps), "epoch of solved": (1, None)}

    change(submission, 0, environment=first.environment, solved=None)
    for seed in range(3):
        change(submission, seed, settings={**first.settings, "schedule": None})
    assert different(submission, seed=0) == [("seed0", "settings")]


def test_a_row_with_numbers_that_cannot_be_is_not_trained_again(made, submission):
    first, *_ = results.read_lines(submission / "results.jsonl")
    for seed in range(3):
        change(submission, seed, settings={**first.settings, "epochs": 10**9})
    assert different(submission) == [(f"seed{seed}", "steps") for seed in range(3)]
    assert different(submission, every=True) == different(submission)
    add_weights(made, submission)
    assert {each.how for each in benchmark.verify(submission)} == {"its own numbers", "weights"}


@pytest.mark.parametrize(
    ("seeds", "missing"),
    [([0], 1), ([0, 1], 2), ([0, 2], 1), ([1, 2, 3], 0), ([0, 1, 2, 9], 3)],
)
def test_a_row_has_three_seeds_or_more_numbered_from_0(
    seeds, missing, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(verification, "_again", lambda *_: [])
    runs = [result("net", seed=seed) for seed in [0, 1, 2]]
    runs += [result("mine", seed=seed) for seed in seeds]
    results.write_lines(tmp_path / "results.jsonl", runs)
    name = f"classification/{CONFIG}/mine"
    assert different(tmp_path) == [("mine", "seeds")]
    with pytest.raises(typer.Exit) as stopped:
        cli.verify(tmp_path, output=tmp_path / "kept.jsonl")
    assert stopped.value.exit_code == 1
    assert not (tmp_path / "kept.jsonl").exists()
    note = f"expected 3 or more, numbered from 0; seed {missing} is missing"
    row = f"| {name} | the rules | seeds | {len(seeds)} |  | different | {note} |"
    assert row in capsys.readouterr().out


def test_elsewhere_solved_is_judged_by_the_other_seeds(submission):
    first, *_ = results.read_lines(submission / "results.jsonl")
    for seed in range(3):
        about = {**first.environment, "device": "abacus"}
        change(submission, seed, environment=about, solved=SOLVED if seed == 0 else None)
    assert different(submission, seed=0) == []  # As the others, the network trained again has none.
    for seed in range(3):
        change(submission, seed, solved=SOLVED)
    assert different(submission, seed=0) == [("seed0", "epoch of solved")]


def test_a_data_set_that_a_model_is_said_not_to_fit_is_tried(submission):
    change(submission, 0, also={"quadrant_16": "does not fit", "quadrant_32": "does not fit"})
    checks = list(benchmark.verify(submission, seed=0, verbose=0))
    wrong = [(each.what, each.note) for each in checks if each.verdict != "equal"]
    assert wrong == [("quadrant_16", "it does fit")]  # The other has more pixels than weights.


def test_a_wrong_number_or_weight_is_caught_by_the_weights(made, submission):
    add_weights(made, submission)
    assert different(submission) == []

    _, record, third = results.read_lines(submission / "results.jsonl")
    test = {**record.metrics["test"], "error": record.metrics["test"]["error"] * 1.01}
    change(submission, 1, metrics={**record.metrics, "test": test})
    assert different(submission) == [("seed1", "test error")]

    with h5py.File(submission / verification.weights_name(third), "r+") as file:
        file["layers/dense/vars/0"][100] += 1  # Of the pixel (6, 4)
    wrong = different(submission)
    assert {seed for seed, _ in wrong} == {"seed1", "seed2"}
    assert ("seed2", "train error") in wrong


def test_one_wrong_example_of_a_run_is_named(made, tmp_path):
    (run, *_) = results.load([made / "runs"])[0]
    run = run.with_examples()
    wrong = run.examples["test"]["error"].copy()
    wrong[3] += 0.5
    examples = {**run.examples, "test": {**run.examples["test"], "error": wrong}}
    folder = tmp_path / ROW / "seed0"
    shutil.copytree(run.folder, folder)
    dataclasses.replace(run, examples=examples).write(folder)
    shutil.copy(made / "entry.py", tmp_path)
    checks = [each for each in benchmark.verify(tmp_path, verbose=0) if each.verdict != "equal"]
    assert [each.what for each in checks] == ["seeds", "each of test"]
    i, j = run.examples["test"]["coordinates"][3]
    assert checks[1].note == f"1 of 49 examples, e.g. ({i}, {j})"


def test_a_damaged_errors_npz_fails_for_its_run_only(made, tmp_path):
    shutil.copytree(made / "runs", tmp_path / "runs")
    shutil.copy(made / "entry.py", tmp_path / "runs")
    folder = tmp_path / "runs" / ROW / "seed1"
    run = Result.read(folder / results.FILE).with_examples()
    columns = {**run.examples["test"], "pair_accuracy": np.ones((7, 3))}
    dataclasses.replace(run, examples={**run.examples, "test": columns}).write(folder)
    checks = list(benchmark.verify(tmp_path / "runs", verbose=0))
    (failed,) = (each for each in checks if each.verdict != verification.EQUAL)
    assert (failed.run, failed.verdict) == (f"{ROW}/seed1", verification.FAILED)
    assert f"{folder / results.ERRORS} is damaged" in failed.note
    assert {each.run[-1] for each in checks if each.what == "each of test"} == {"0", "2"}


@pytest.mark.parametrize("error", ["ValueError('no 37')", "SystemExit('no 37')"])
def test_code_that_breaks_while_it_is_measured_fails_for_its_run_only(made, submission, error):
    add_weights(made, submission)
    code = (
        ENTRY.replace("return keras.Model(", "return Broken(")
        + f"""
class Broken(keras.Model):
    def predict_on_batch(self, x):
        if len(x) == 37 and float(self.weights[0][0, 0]) == BROKEN:
            raise {error}
        return super().predict_on_batch(x)
"""
    )
    (file,) = submission.glob("*seed1.weights.h5")
    with h5py.File(file) as weights:
        broken = float(weights["layers/dense/vars/0"][0, 0])
    (submission / "entry.py").write_text(code.replace("BROKEN", repr(broken)))
    checks = list(benchmark.verify(submission, verbose=0))
    (failed,) = (each for each in checks if each.verdict != verification.EQUAL)
    assert (failed.run, failed.verdict) == (f"{ROW}/seed1", verification.FAILED)
    assert "entry:build cannot be measured again: " in failed.note
    assert "no 37 (entry.py, line" in failed.note


@pytest.mark.parametrize("versions", ["abc", 3, [1], None])
def test_an_environment_that_is_none_is_another_one(submission, versions):
    first, *_ = results.read_lines(submission / "results.jsonl")
    change(submission, 0, environment={**first.environment, "versions": versions})
    assert different(submission, seed=0) == []


@pytest.mark.parametrize(
    "changes",
    [{"seed": 2**32}, {"seed": 10**400}, {"parameters": 10**400}],
)
def test_a_number_that_is_too_large_is_told_in_one_sentence(submission, changes):
    change(submission, 1, **changes)
    with pytest.raises(UserError, match=rf"line 2: {next(iter(changes))}: Input should be less"):
        list(benchmark.verify(submission, verbose=0))


@pytest.mark.parametrize("value", ["twenty", [20], -1, True, 10**400, float("nan")])
def test_settings_that_hold_no_number_leave_the_steps_unknown(value):
    assert result("mine", history=(), settings={"epochs": value, "batch_size": 32}).steps is None
    assert result("mine", history=(), settings={"epochs": 3, "batch_size": value}).steps is None
    about = {"training": {"steps": value}}
    assert result("mine", environment=about, settings={"batch_size": 49}).steps == 4 * 3


def test_a_name_too_long_for_a_file_has_no_weights(submission):
    for seed in range(3):
        change(submission, seed, model="entry:" + "a" * 300)
    failed = [each for each in benchmark.verify(submission, verbose=0) if each.what != "all"]
    assert [each.verdict for each in failed] == [verification.FAILED]


def test_a_network_that_depends_on_the_company_is_caught(made, submission):
    """It is the same, bit for bit, on the batches of the first time."""
    add_weights(made, submission)
    code = ENTRY.replace("x * scale", "x - keras.ops.mean(x, axis=0)")
    (submission / "entry.py").write_text(code)
    checks = [each for each in benchmark.verify(submission, verbose=0) if each.verdict != "equal"]
    assert [each.what for each in checks] == ["answers"] * 3
    assert "differently when asked again" in checks[0].note


def test_a_network_that_depends_on_the_company_elsewhere_is_caught(made, submission):
    add_weights(made, submission)
    change(submission, 0, also={"quadrant_17_square3": "does not fit"})
    code = ENTRY.replace(
        "x * scale", "x - (keras.ops.mean(x, axis=0) if task.canvas_size > 16 else 0)"
    ).replace("keras.layers.Flatten()(inputs)", "keras.layers.Flatten()(inputs[:, :16, :16])")
    (submission / "entry.py").write_text(code)
    checks = [each for each in benchmark.verify(submission, verbose=0) if each.verdict != "equal"]
    assert [(each.run[-1], each.what) for each in checks] == [(seed, "answers") for seed in "012"]
    assert "differently when asked again" in checks[0].note


def test_elsewhere_a_trained_number_may_be_as_far_off_as_its_seeds(submission):
    first, *_ = records = results.read_lines(submission / "results.jsonl")
    for seed in range(3):
        change(submission, seed, environment={**first.environment, "device": "abacus"})
    change(submission, 0, metrics=records[1].metrics, also=records[1].also)
    assert different(submission, seed=0) == []
    for seed in range(3):  # All alike
        change(submission, seed, metrics={"train": RIGHT, "test": RIGHT}, also={})
    assert ("seed0", "test within_half_pixel") in different(submission, seed=0)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "Module 'entry' has no function 'build'"),
        ("import nowhere", "Cannot import 'entry'"),
        (ENTRY.replace("Dense(2)", "Dense(3)"), "entry:build returns shape"),
    ],
)
def test_code_that_cannot_be_run_is_bad_input(submission, code, sentence):
    (submission / "entry.py").write_text(code)
    done = in_folder(submission, "verify", ".")
    assert done.returncode == 2
    assert f"not-so-clevr: {sentence}" in done.stderr


def test_what_breaks_is_told_with_its_lines(submission, capsys):
    (submission / "entry.py").write_text("\nraise RuntimeError('boom')")
    with pytest.raises(UserError) as error:
        cli.verify(submission)
    text = "Cannot import 'entry': RuntimeError: boom (entry.py, line 2).\n  "
    assert str(error.value).startswith(text)
    assert "all" in capsys.readouterr().out


def test_the_results_that_were_checked_are_written(submission, monkeypatch, tmp_path):
    file = submission / "results.jsonl"
    checked = file.read_text()

    def again(*_):
        change(submission, 0, seconds=0.5)
        return []

    monkeypatch.setattr(verification, "_again", again)
    cli.verify(submission, output=tmp_path / "kept.jsonl")
    assert (tmp_path / "kept.jsonl").read_text() == checked != file.read_text()


def test_an_interrupt_leaves_the_verdicts_until_then(submission, monkeypatch, capsys):
    def again(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verification, "_again", again)
    with pytest.raises(typer.Exit):
        cli.verify(submission)
    printed = capsys.readouterr().out
    assert all(f"| {ROW}/seed{seed} | its own numbers | all |" in printed for seed in range(3))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"learning_rate": "x"},
            "learning_rate must be a number from 0 to below 1e\\+300, got 'x'",
        ),
        ({"nosuch": 1}, ".*'nosuch'"),
    ],
)
def test_wrong_settings_are_told_with_their_run(submission, changes, sentence):
    first, *_ = results.read_lines(submission / "results.jsonl")
    for seed in range(3):
        change(submission, seed, settings={**first.settings, **changes})
    checks = list(benchmark.verify(submission, seed=1, verbose=0))
    (note,) = (each.note for each in checks if each.verdict == verification.FAILED)
    assert re.match(f"{ROW}/seed1 [^:]*: {sentence}", note)


def test_an_unknown_data_set_is_told_with_its_run(made, submission):
    add_weights(made, submission)
    change(submission, 1, also={"nosuch": "does not fit"})
    checks = list(benchmark.verify(submission, verbose=0))
    (note,) = (each.note for each in checks if each.verdict == verification.FAILED)
    assert note.startswith(f"{ROW}/seed1 cannot be measured again: Unknown config 'nosuch'")


def test_the_command_exits_with_1_if_something_differs_and_writes_nothing(made, submission):
    add_weights(made, submission)
    for seed in range(3):
        change(submission, seed, parameters=5)
    done = in_folder(submission.parent, "verify", "entry", "-o", "kept.jsonl")
    assert done.returncode == 1
    assert f"| {ROW}/seed1 | weights | parameters | 5 | 514 | different |  |" in done.stdout
    assert not (submission.parent / "kept.jsonl").exists()


def test_what_is_no_submission_is_told_in_one_sentence(submission, tmp_path):
    with pytest.raises(UserError, match="expected the folder of a submission"):
        list(benchmark.verify(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"entry.py is not a .jsonl file"):
        list(benchmark.verify(submission / "entry.py"))
    with pytest.raises(UserError, match="every must be True or False, got 'no'."):
        list(benchmark.verify(submission, every="no"))
    change(submission, 1, seed=0)
    with pytest.raises(UserError, match=f"has {ROW}/seed0 twice"):
        list(benchmark.verify(submission))
    change(submission, 2, schema=3)
    with pytest.raises(UserError, match=r"results.jsonl: line 3: schema 3 is newer .*; update"):
        list(benchmark.verify(submission))


def test_an_older_schema_is_migrated(submission):
    records = [json.loads(line) for line in (submission / "results.jsonl").read_text().splitlines()]
    for each in records:
        del each["schema"]
        each["right"], each["closeness"] = each.pop("accuracy_metric"), each.pop("distance_metric")
    (submission / "results.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert different(submission) == []


def test_what_was_not_trained_here_cannot_be_measured_again(tmp_path):
    results.write_lines(tmp_path / "results.jsonl", [result("elsewhere", settings={})])
    *_, check = benchmark.verify(tmp_path, verbose=0)
    assert check.verdict == verification.FAILED
    assert "has no recipe, as it was not trained here" in check.note


@pytest.mark.parametrize(
    ("metric", "value", "reason"),
    [
        ("accuracy", 0.985, "not a share of 49; 48 of them are 0.979592"),
        ("distance", 0.1, "expected 0 to 0 px, as accuracy is 1"),
        ("error", 0.1, "classification has no such metric"),
    ],
)
def test_numbers_that_cannot_be_are_told(metric, value, reason):
    run = result("computes")
    metrics = {**run.metrics, "test": {**run.metrics["test"], metric: value}}
    wrong = list(results.contradictions(dataclasses.replace(run, metrics=metrics, history=())))
    found = {what: why for what, _, why in wrong}
    assert reason in found[f"test {metric}"]


def recipe(**settings):
    return {"epochs": 4, "batch_size": 32, "schedule": "cosine", **settings}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"solved": {"epoch": 5, "seconds": 1}}, "it has 4 epochs"),
        ({"solved": {"epoch": 4, "seconds": 1}}, "accuracy is 0.510204 after this epoch, the last"),
        ({"solved": {"epoch": 2, "seconds": 11}}, "the whole training took 10"),
        ({"environment": {"training": {"steps": 1}}}, "4 epochs have 20"),
        ({"environment": {"training": {"steps": 0}}}, "4 epochs have 20"),
        ({"history": [{"epoch": 1, "loss": 1, "test": {"accuracy": 0.5}}]}, "it is 0.5 after the"),
    ],
)
def test_what_cannot_be_of_a_training_is_told(changes, reason):
    made = result("computes", wrong=0.5, settings=recipe(), history=(), cpu_seconds=10.0)
    assert not list(results.contradictions(made))
    assert reason in [
        why[: len(reason)]
        for _, _, why in results.contradictions(dataclasses.replace(made, **changes))
    ]


def test_the_history_says_what_solved_is():
    history = [{"epoch": k, "loss": 1, "test": {"accuracy": k // 2}} for k in (1, 2, 3)]
    made = result("computes", settings=recipe(), history=history)
    assert made.solved["epoch"] == 2
    assert not list(results.contradictions(made))
    wrong = dataclasses.replace(made, solved=SOLVED)
    assert [what for what, *_ in results.contradictions(wrong)] == ["solved"]


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": 0},  # Keras counts no step of a network without weights.
        {"command": None},  # A callback may have stopped it.
        {"settings": recipe(schedule=None)},  # The model came with an optimizer.
    ],
)
def test_steps_may_be_those_of_a_model_or_of_a_callback(changes):
    none = {"training": {"steps": 0}}
    made = result("computes", history=(), environment=none, **{"settings": recipe(), **changes})
    assert not list(results.contradictions(made))


def test_our_own_results_have_no_contradiction():
    assert not [each for run in results.reference() for each in results.contradictions(run)]


def test_only_what_can_change_the_bits_makes_another_environment():
    here = environment.describe()
    assert environment.is_same(here, {**here, "commit": "c0ffee", "platform": "Plan 9"})
    assert not environment.is_same(here, {**here, "device": "3 cores"})
    assert not environment.is_same(here, {**here, "versions": {**here["versions"], "keras": "4"}})


# submissions/

FOLDERS = sorted(each for each in SUBMISSIONS.iterdir() if each.is_dir())


def size(folder):
    """Returns the bytes of all files in a folder and below."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def test_all_files_of_a_submission_count(tmp_path):
    (tmp_path / ".hidden" / "below").mkdir(parents=True)
    for name in ("a.py", "noext", ".hidden/below/weights"):
        (tmp_path / name).write_bytes(b"12345")
    assert size(tmp_path) == 15


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_submission_has_what_it_should(folder):
    assert folder.name.isascii()
    assert folder.name.isidentifier()
    assert {"README.md", "results.jsonl", f"{folder.name}.py"} <= {
        each.name for each in folder.iterdir()
    }
    assert size(folder) < 2**20
    for run in results.read_lines(folder / "results.jsonl"):
        assert run.model.startswith(f"{folder.name}:")
        assert not list(results.contradictions(run))


@pytest.mark.slow
def test_the_example_is_verified():
    assert different(SUBMISSIONS / "example") == []


def git(folder, *words):
    about = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *about, *words], cwd=folder, check=True, capture_output=True)


def changed(folder):
    script = ROOT / ".ci" / "changed-submissions"
    return subprocess.run(
        [script], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.split()


def test_ci_verifies_the_submissions_that_differ_from_main(tmp_path):
    for name in ("old", "mended", "gone"):
        (tmp_path / "submissions" / name).mkdir(parents=True)
        (tmp_path / "submissions" / name / "results.jsonl").write_text(f"{name}\n" * 50)
    (tmp_path / "submissions" / "old" / "old.py").write_text("")
    git(tmp_path, "init", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "all")
    assert changed(tmp_path) == []
    git(tmp_path, "checkout", "-b", "mine")
    (tmp_path / "submissions" / "mended" / "mended.py").write_text("")
    (tmp_path / "submissions" / "README.md").write_text("")
    shutil.rmtree(tmp_path / "submissions" / "gone")
    (tmp_path / "submissions" / "mine").mkdir()
    (tmp_path / "submissions" / "mine" / "results.jsonl").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "mine")
    assert changed(tmp_path) == ["submissions/mended", "submissions/mine"]
    git(tmp_path, "mv", "submissions/old/results.jsonl", "submissions/mine/old.jsonl")
    git(tmp_path, "commit", "-m", "moved")
    assert changed(tmp_path) == [f"submissions/{name}" for name in ("mended", "mine", "old")]
    git(tmp_path, "branch", "-D", "main")
    assert changed(tmp_path) == []


@pytest.mark.parametrize("name", ["mïne", "mi ne", 'mi"ne', "mi\nne", "mi-ne"])
def test_ci_refuses_a_submission_with_the_name_of_no_module(name, tmp_path):
    git(tmp_path, "init", "-b", "main")
    git(tmp_path, "commit", "-m", "none", "--allow-empty")
    git(tmp_path, "checkout", "-b", "other")
    (tmp_path / "submissions" / name / "a").mkdir(parents=True)
    (tmp_path / "submissions" / name / "a" / "results.jsonl").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "mine")
    with pytest.raises(subprocess.CalledProcessError) as error:
        changed(tmp_path)
    assert f"submissions/{name}: expected a name of letters, digits and _." in error.value.stderr

"""Run files and the leaderboard."""

import csv
import dataclasses
import json
import math
import os
import pathlib

import jsonschema
import pytest
import scipy.stats

from not_so_clevr import results
from not_so_clevr.benchmark import Recipe
from not_so_clevr.checks import UserError
from not_so_clevr.results import Result, record


def result(test=1.0, *, seed=0, model="net", config="quadrant", train=1.0, **changes):
    metrics = {
        split: {"accuracy": share, "distance": 4 * (1 - share)}
        for split, share in (("train", train), ("test", test))
    }
    values = {
        "model": model,
        "recipe": "",
        "task": "classification",
        "config": config,
        "seed": seed,
        "metrics": metrics,
    }
    values |= {
        "accuracy_metric": "accuracy",
        "distance_metric": "distance",
        "parameters": 1234,
        "seconds": 10.0 + seed,
    }
    return Result(**(values | changes))


def test_the_leaderboard_sums_up_the_seeds():
    runs = [
        result(0.5, seed=0),
        result(0.7, seed=1),
        result(1.0, seed=2),
        result(1.0, model="better"),
        result(config="uniform"),
    ]
    rows = results.leaderboard(runs)
    assert [(row.config, row.model) for row in rows] == [
        ("quadrant", "better"),
        ("quadrant", "net"),
        ("uniform", "net"),
    ]
    row = rows[1]
    # Deviations from the mean 2.2 / 3 are -0.2333, -0.0333 and 0.2667, their squares add up to 0.12667, and t is 4.303.
    assert row.test == pytest.approx(2.2 / 3)
    assert row.test_interval == pytest.approx(4.303 * (0.12667 / 2) ** 0.5 / 3**0.5, rel=1e-4)
    assert (row.seeds, row.perfect, row.test_lowest, row.parameters, row.seconds) == (
        3,
        1,
        0.5,
        1234,
        11.0,
    )
    assert (row.distance_metric, row.distance) == ("distance", pytest.approx(4 * 0.8 / 3))
    assert rows[0].test_interval is None
    # Clopper-Pearson of 1 of 3: 1 - 0.975^(1/3) = 0.0084, and 0.9057.
    assert results.cells(row)[3:8] == [
        "1 of 3 [1, 91]",
        "100 %",
        "73.3 % [10.8, 100]",
        "50.0 %",
        "1.067 px",
    ]


def history(*shares):
    """Epochs of 2 seconds with these shares of test right."""
    return [
        {"epoch": k, "loss": 1.0, "test": {"accuracy": share}, "seconds": 2.0}
        for k, share in enumerate(shares, 1)
    ]


def cells(*runs):
    (row,) = results.leaderboard(runs)
    return dict(zip(results.COLUMNS, results.cells(row), strict=True))


def test_the_compute_is_that_to_the_first_epoch_with_all_of_test_right_and_in_all():
    """`quadrant` has 2,352 training examples: 74 steps of 32."""
    run = result(history=history(0.5, 1.0, 0.9, 1.0), settings={"batch_size": 32})
    assert run.solved == {"epoch": 2, "seconds": 4.0}
    assert (run.steps, run.training_seconds) == (4 * 74, 8.0)
    assert cells(run)["compute"] == "296 steps, 4 s of 8 s"
    on_cpu = result(history=[{**epoch, "cpu_seconds": 3.0} for epoch in run.history])
    assert (on_cpu.solved["seconds"], on_cpu.training_seconds) == (6.0, 12.0)
    never = result(history=history(0.5), environment={"training": {"steps": 7}})
    assert (never.solved, cells(never)["compute"]) == (None, "7 steps, 2 s")


@pytest.mark.parametrize("epochs", ["until convergence", [1], -3, 2.5, True, None])
@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_settings_of_other_harnesses_that_count_nothing_are_passed_over(name, epochs):
    run = result(settings={"epochs": 3, "batch_size": 32} | {name: epochs})
    assert (run.epochs, run.steps) == (3 if name == "batch_size" else 0, None)
    assert "steps" not in cells(run)["compute"]
    assert cells(result())["compute"] == ""


def test_what_solved_it_is_kept_without_the_history(tmp_path):
    file = tmp_path / "lines.jsonl"
    results.write_lines(file, [result(history=history(0.5, 1.0))])
    (read,) = results.read_lines(file)
    assert (read.history, read.solved) == ((), {"epoch": 2, "seconds": 4.0})


def search(perfect, points=9):
    return {"config": "there", "points": points, "perfect": perfect, "seeds": 1, "seconds": 9.0}


def test_ties_are_broken_by_robustness_then_parameters_then_compute():
    cheap = {"parameters": 5, "search": search(3)}
    runs = [
        result(model="no search", parameters=1),
        result(model="a", parameters=6, search=search(3)),
        result(model="b", **cheap, history=history(1.0, 1.0)),
        result(model="c", **cheap, history=history(1.0)),
        result(model="d", parameters=99, search=search(9)),
        result(0.9999, model="e", parameters=1, search=search(9)),
    ]
    rows = results.leaderboard(runs)
    assert [row.model for row in rows] == ["d", "c", "b", "a", "no.search", "e"]
    assert [(row.robust, row.points) for row in rows[:2]] == [(9, 9), (3, 9)]


def test_models_are_ranked_by_test_then_train_then_name():
    runs = [
        result(0.2, train=1.0, model="fits train"),
        result(0.9, train=0.5, model="generalises"),
        result(0.2, train=0.6, model="b"),
        result(0.2, train=0.6, model="a"),
    ]
    ranked = [row.model for row in results.leaderboard(runs)]
    assert ranked == ["generalises", "fits.train", "a", "b"]


def test_a_mean_of_seeds_that_agree_has_no_interval_in_words():
    (row,) = results.leaderboard([result(0.25, seed=k) for k in range(3)])
    assert results.cells(row)[5] == "25.0 %"
    assert results.interval([0.1, 0.9]) is None


def test_the_page_tells_the_software_once(tmp_path):
    versions = {"python": "3.11.7", "keras": "3.15.1", "tensorflow": "2.21.0", "numpy": "2.4.6"}
    runs = [
        result(seed=k, environment={"versions": versions, "backend": "tensorflow"})
        for k in range(2)
    ]
    runs.append(dataclasses.replace(runs[0], model="other"))
    older = result(
        seed=2, environment={"versions": versions | {"keras": "<3>"}, "backend": "tensorflow"}
    )
    silent = [
        result(model=str(k), environment=each)
        for k, each in enumerate(({}, {"versions": 3}, {"versions": {}, "backend": [1]}))
    ]
    page = results.to_markdown(results.leaderboard([*runs, older, *silent]))
    said = "keras 3.15.1, tensorflow 2.21.0, python 3.11.7; keras &lt;3>, tensorflow 2.21.0, python 3.11.7"
    assert (
        f"\nMeasured with {said}; the command, the seed and the commit of each run are in its `result.json`.\n"
        in page
    )
    assert "\nThe command, the seed" in results.to_markdown(results.leaderboard(silent))


T = {3: 4.303, 4: 3.182, 11: 2.228, 30: 2.045}  # Student's table of the 97.5th percentile


@pytest.mark.parametrize("n", range(3, 201))
def test_the_interval_is_students(n):
    """The mean of [0, 1, 1, ...] is 1 - 1/n, its squares add up to 1 - 1/n, and so its variance is 1/n."""
    t = results.interval([0.0] + [1.0] * (n - 1)) * n
    assert t == pytest.approx(scipy.stats.t.ppf(0.975, n - 1))
    if n in T:
        assert t == pytest.approx(T[n], abs=0.0005)


def test_a_perfect_run_is_right_on_train_and_test():
    assert result(1.0).perfect
    assert not result(1.0, train=0.9999).perfect
    assert not result(0.9999).perfect


def test_a_result_is_written_and_read(tmp_path):
    run = result(
        0.25,
        recipe="article",
        history=[{"epoch": 1, "loss": 0.5, "test": {"accuracy": 0.25}}],
        environment={"device": "abacus", "backend": "jax"},
    )
    run.write(tmp_path)
    assert Result.read(tmp_path / results.FILE) == run
    assert run.hardware == "abacus, jax"
    assert json.loads((tmp_path / results.FILE).read_text())["model"] == "net"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"model"', '"mode"'),
        lambda text: text.replace('"test"', '"exam"'),
        lambda text: text.replace('"accuracy": 1.0', '"accuracy": 7'),
        lambda text: text.replace('"accuracy": 1.0', '"accuracy": "much"'),
        lambda text: text.replace('"net"', "3"),
        lambda text: text.replace('"parameters": 1234', '"parameters": "12"'),
        lambda text: text.replace('"distance_metric": "distance"', '"distance_metric": "accuracy"'),
        lambda text: text.replace(
            '"distance_metric": "distance"', '"distance_metric": "iou"'
        ).replace('"distance"', '"iou"'),
        lambda text: text.replace('"task": "classification"', '"task": "classify"'),
        lambda text: text.replace('"distance": 0.0', '"distance": 0.0, "depth": 0.0'),
        lambda text: text.replace('"distance": 0.0', '"distance": 0.0, "iou": 1.5'),
        lambda text: text.replace('"environment": {}', '"environment": 1'),
        lambda text: text.replace('"parameters": 1234', '"parameters": -1'),
        lambda text: text.replace('"distance": 0.0', '"distance": NaN'),
        lambda text: text.replace('"distance": 0.0', '"distance": -5'),
        lambda text: text.replace('"distance": 0.0', '"distance": 1e308'),
        lambda text: text.replace('"distance": 0.0', '"distance": 1' + "0" * 400),
        lambda text: text.replace('"seconds": 10.0', '"seconds": 1' + "0" * 400),
        lambda text: text.replace('"seed": 0', '"seed": 0.5'),
        lambda text: text.replace('"seed": 0', '"seed": null'),
        lambda text: text.replace('"metrics": {', '"metrics": {"val": {},'),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(tmp_path, damage):
    for name in ("good", "bad"):
        result(model=name.replace("bad", "net")).write(tmp_path / name)
    file = tmp_path / "bad" / results.FILE
    whole = file.read_text()
    file.write_text(damage(whole))
    assert file.read_text() != whole
    found, problems = results.load([tmp_path])
    assert [run.model for run in found] == ["good"]
    assert len(problems) == 1
    assert problems[0].startswith(f"{file} is not the result of a run (")
    assert problems[0].endswith(f"move {file.parent} away, and run it again.")


def test_the_same_run_counts_once_and_two_of_one_name_are_told_apart(tmp_path):
    for folder, share in (("one", 0.5), ("copy", 0.5), ("other", 0.7)):
        result(share).write(tmp_path / folder)
    found, problems = results.load([tmp_path, tmp_path / "one"])
    assert len(found) == 1
    assert len(problems) == 1
    assert "is left out: there is another run of classification/quadrant/net/seed0;" in problems[0]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"settings": {"epochs": 999}}, "settings"),
        ({"parameters": 5, "settings": {"epochs": 999}}, "settings and parameters"),
    ],
)
def test_runs_of_one_name_differ_in_their_seed_alone(tmp_path, other, words):
    result().write(tmp_path / "seed0")
    result(seed=1).write(tmp_path / "seed1")
    result(seed=2, **other).write(tmp_path / "seed2")
    found, problems = results.load([tmp_path])
    assert [run.seed for run in found] == [0, 1]
    assert problems == [
        f"{tmp_path}/seed2/result.json is left out: it differs in {words} from {tmp_path}/seed0, which has the same name; "
        "rerun one of them, or give the models different names."
    ]


def test_a_run_file_from_before_a_setting_was_there_is_as_one_with_it(tmp_path):
    old = {"epochs": 2, "model": {}}
    result(settings=old).write(tmp_path / "seed0")
    result(seed=1, settings=old | {"loss": "task"}).write(tmp_path / "seed1")
    result(seed=2, settings=old | {"loss": "mean_squared_error"}).write(tmp_path / "seed2")
    found, problems = results.load([tmp_path])
    assert [run.settings["loss"] for run in found] == ["task", "task"]
    assert len(problems) == 1
    assert "seed2/result.json is left out: it differs in settings" in problems[0]


def test_runs_are_sorted_by_the_number_of_their_seed(tmp_path):
    for seed in range(12):
        result(seed=seed).write(tmp_path / str(seed))
    assert [run.seed for run in results.load([tmp_path])[0]] == [*range(12)]


def test_interrupted_runs_are_no_results(tmp_path):
    result().write(tmp_path / "seed0")
    result(seed=1).write(tmp_path / f"seed1{results.INCOMPLETE}")
    result(seed=2).write(tmp_path / f"seed2{results.REPLACED}")
    found, problems = results.load([tmp_path])
    assert ([run.seed for run in found], problems) == ([0], [])


def test_a_run_that_ends_meanwhile_is_no_error(tmp_path, monkeypatch):
    """Its folder has another name by the time that it is entered."""
    result().write(tmp_path / "seed0")
    result(seed=1).write(tmp_path / f"seed1{results.INCOMPLETE}")

    def moved(path, scandir=os.scandir):
        if os.fspath(path).endswith(results.INCOMPLETE):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", moved)
    found, problems = results.load([tmp_path])
    assert ([run.seed for run in found], problems) == ([0], [])


def test_a_run_that_is_replaced_meanwhile_is_no_error(tmp_path, monkeypatch):
    """It is moved aside before its file is read."""
    for seed in (0, 1):
        result(seed=seed).write(tmp_path / f"seed{seed}")

    def read(file, read=Result.read):
        if file.parent.name == "seed0" and file.parent.exists():
            file.parent.rename(tmp_path / f"seed0{results.REPLACED}")
        return read(file)

    monkeypatch.setattr(Result, "read", read)
    found, problems = results.load([tmp_path])
    assert ([run.seed for run in found], problems) == ([1], [])


def test_what_cannot_be_read_is_told(tmp_path, monkeypatch):
    for model in ("net", "other"):
        result(model=model).write(tmp_path / model / "seed0")

    def refused(path, scandir=os.scandir):
        if os.path.basename(path) == "other":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found, problems = results.load([tmp_path])
    assert [run.model for run in found] == ["net"]
    assert problems == [
        f"{tmp_path / 'other'} is left out: it cannot be read (Permission denied); get access to it."
    ]


def test_a_run_that_has_lost_its_result_is_told(tmp_path):
    for name in ("seed0", "seed1", "seed2.incomplete", "of_others"):
        result().write(tmp_path / name)
        if name != "seed0":
            (tmp_path / name / results.FILE).unlink()
    found, problems = results.load([tmp_path])
    assert len(found) == 1
    run = tmp_path / "seed1"
    assert problems == [
        f"{run}/result.json is missing; put it back, or move {run} away and run it again."
    ]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_a_result_that_is_no_file_to_read_is_told_and_the_rest_is_shown(tmp_path, kind):
    result().write(tmp_path / "seed0")
    file = tmp_path / "seed1" / results.FILE
    file.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        with file.open("wb") as stream:
            stream.truncate(10**12)  # Takes no room on the disk
    found, problems = results.load([tmp_path])
    assert len(found) == 1
    if kind == "folder":
        assert not problems
    else:
        reason = "more than 67,108,864 bytes" if kind == "large" else "not a regular file"
        assert problems == [f"{file} cannot be read ({reason}); make it readable, or move it away."]


def test_a_model_may_be_named_like_a_run_that_is_not_complete(tmp_path):
    for name in ("net.incomplete", "net.replaced", "seed0.incomplete"):
        result(model=name).write(tmp_path / name / "seed0")
    result(seed=1).write(tmp_path / "net" / "seed1.incomplete")
    assert [run.model for run in results.load([tmp_path])[0]] == ["net.incomplete", "net.replaced"]


@pytest.mark.parametrize("examples", [{"test": {"x": 1}}, [1], "x"])
def test_a_run_file_that_brings_examples_is_none(tmp_path, examples):
    result().write(tmp_path)
    file = tmp_path / results.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"examples": examples}))
    _, problems = results.load([tmp_path])
    assert problems[0].startswith(f"{file} is not the result of a run (examples: unknown field, ")


def test_folders_without_results_are_named(tmp_path):
    with pytest.raises(ValueError, match="There is no folder .*nowhere; expected one with runs"):
        results.load([tmp_path / "nowhere"])
    with pytest.raises(
        ValueError, match=r"There is no result.json below .*; make one with: not-so-clevr train."
    ):
        results.load([tmp_path])


@pytest.mark.parametrize(
    ("statistic", "sentence"),
    [
        (
            lambda: results.share_interval(5, 3),
            "successes=5 is out of range; expected an integer f",
        ),
        (lambda: results.share_interval(0, 0), "trials=0 is out of range; expected an integer fro"),
        (lambda: results.share_interval(1, 2, "best"), "method='best' is unknown; expected one of"),
        (lambda: results.sign_test(-1, 3), "only_first=-1 is out of range; expected an integer"),
        (lambda: results.interval([1, 2, math.nan]), "values must be finite numbers, got nan."),
        (lambda: results.interval(3), "values must be a list, got 3; put it into brackets."),
    ],
)
def test_numbers_without_a_statistic_are_told(statistic, sentence):
    with pytest.raises(UserError, match=sentence):
        statistic()


def test_files_may_be_strings(tmp_path):
    result().write(str(tmp_path / "run"))
    assert results.Result.read(str(tmp_path / "run" / results.FILE)).id == result().id
    results.write_lines(str(tmp_path / "lines.jsonl"), [result()])
    assert [run.id for run in results.read_lines(str(tmp_path / "lines.jsonl"))] == [result().id]
    results.write_leaderboard(results.leaderboard([result()]), str(tmp_path / "board.md"))
    assert (tmp_path / "board.md").read_text().startswith("# Leaderboard")


def test_one_place_is_no_list(tmp_path):
    for place in (str(tmp_path), tmp_path):
        with pytest.raises(
            UserError, match="^places must be a list, got .*; put it into brackets.$"
        ):
            results.load(place)
    with pytest.raises(UserError, match="^configs must be a list, got 'quadrant'; put it into"):
        results.reference("quadrant")
    with pytest.raises(UserError, match="^model must be a list, got 'coordconv'; put it into"):
        results.select([result()], {"model": "coordconv"})
    with pytest.raises(UserError, match="^3 is a int; expected a path, as str or Path.$"):
        results.load([3])


def test_the_leaderboard_is_written_in_three_formats(tmp_path):
    rows = results.leaderboard([result(0.5), result(0.5, model="a|b\nc", seed=1)])
    for ending in ("md", "csv", "json"):
        results.write_leaderboard(rows, tmp_path / f"board.{ending}")
    assert json.loads((tmp_path / "board.json").read_text())["measured"] == list(
        map(dataclasses.asdict, rows)
    )
    assert json.loads((tmp_path / "board.json").read_text())["published"][0]["source"] == "article"
    table = list(csv.DictReader((tmp_path / "board.csv").open()))
    assert [float(row["test"]) for row in table] == [0.5, 0.5]
    text = (tmp_path / "board.md").read_text()
    ours, published = text.split("## Published elsewhere")
    assert (
        "| classification | quadrant | net | 0 of 1 [0, 98] | 100 % | 50.0 % | 50.0 % | 2 px |  | 1,234 |  | 10 s |"
        in ours
    )
    assert "about 0 %" in published
    assert "about 0 %" not in ours
    assert "85.8 %" not in text  # Published for another task
    assert (
        len(
            {
                line.replace("\\|", "").count("|")
                for line in ours.splitlines()
                if line.startswith("|")
            }
        )
        == 1
    )
    with pytest.raises(
        ValueError,
        match=r"board.txt has no known format; expected a name that ends in .md, .csv, .json.",
    ):
        results.write_leaderboard(rows, tmp_path / "board.txt")


def test_a_record_of_the_first_schema_is_read_as_one_of_today(tmp_path):
    begun = {"epochs": 2, "model": {}}
    run = result(0.5, settings=dataclasses.asdict(Recipe(epochs=2)), history=[])
    old = run.values() | {"right": "accuracy", "closeness": "distance", "settings": begun}
    for name in ("schema", "accuracy_metric", "distance_metric"):
        del old[name]
    file = tmp_path / results.FILE
    file.write_text(json.dumps(old))
    read = Result.read(file)
    assert {name: read.settings[name] for name in begun} == begun
    assert read.settings["warmup"] == 0
    assert {**run.settings, **read.settings} == run.settings
    assert dataclasses.replace(read, settings={}) == dataclasses.replace(run, settings={})


def test_a_record_of_a_later_schema_is_named(tmp_path):
    file = tmp_path / results.FILE
    file.write_text(json.dumps(result().values() | {"schema": 3}))
    with pytest.raises(UserError) as error:
        Result.read(file)
    sentence = "schema 3 is newer than this version's, 2; update not-so-clevr."
    assert str(error.value) == f"{file}: {sentence}"


@pytest.mark.parametrize("schema", [1, "3", None])
def test_a_record_of_no_schema_is_none(tmp_path, schema):
    file = tmp_path / results.FILE
    file.write_text(json.dumps(result().values() | {"schema": schema}))
    reason = f"unknown schema {schema!r}; this version reads 2 and older"
    with pytest.raises(UserError, match=f"is not the result of a run .{reason}.; move .* away,"):
        Result.read(file)


def test_the_schema_beside_the_code_is_that_of_the_code():
    assert record.SCHEMA_FILE.read_text() == record.schema()


ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("file", ["baselines/results.jsonl", "docs/data/trials.jsonl"])
def test_every_record_of_ours_is_one_by_the_schema(file):
    validator = jsonschema.Draft202012Validator(json.loads(record.SCHEMA_FILE.read_text()))
    first, *rows = map(json.loads, (ROOT / file).read_text().splitlines())
    records = [shared | own for shared, *each in rows for own in each]
    for values in records:
        for name, each in first["once"].items():
            if name in values:
                values[name] = each[values[name]]
        if "training" in values:
            values["environment"] = values["environment"] | {"training": values.pop("training")}
        assert not list(validator.iter_errors(values))
        assert record.checked(values) == values
    assert len(records) == len({Result.of(values).id for values in records})


def test_the_reference_results_are_not_checked_again_by_each_command(monkeypatch):
    monkeypatch.setattr(record, "checked", lambda line: pytest.fail("a line was checked"))
    assert results.reference()


def test_results_are_one_file_a_record_a_line(tmp_path):
    runs = [
        result(seed=k, history=[{"epoch": 1, "loss": 1.0, "test": {"accuracy": 1.0}}])
        for k in (10, 9)
    ]
    file = tmp_path / "results.jsonl"
    results.write_lines(file, runs)
    read, problems = results.load([file])
    assert ([run.seed for run in read], problems) == ([9, 10], [])
    assert read[1] == dataclasses.replace(runs[0], history=())
    file.write_text("{}\n")
    with pytest.raises(
        UserError,
        match=r"results.jsonl cannot be read as results \(.*\); expected a record per line",
    ):
        results.load([file])


def test_compact_results_are_the_same_results(tmp_path):
    one, other = ({"backend": name, "commit": "{\u2028}"} for name in ("jax", "torch"))
    adam, sgd = {"optimizer": {"class": "Adam"}}, {"optimizer": {"class": "SGD"}}
    command = "not-so-clevr train net --seed {0} --seed 59"
    runs = [
        result(seed=k, history=(), environment=each, search=found, command=command.format(k))
        for k, (each, found) in enumerate(
            [
                (one, None),
                (other | {"training": adam}, search(9)),
                (one | {"training": sgd}, search(9)),
                (one | {"training": adam}, None),
            ]
        )
    ]
    plain, compact = tmp_path / "plain.jsonl", tmp_path / "compact.jsonl"
    results.write_lines(plain, runs)
    results.write_lines(compact, runs, compact=True)
    assert results.read_lines(compact) == results.read_lines(plain) == runs
    first, (shared, *own) = map(json.loads, compact.read_text().splitlines())
    once = {"environment": [one, other], "training": [adam, sgd], "settings": [{}]}
    once["search"] = [search(9)]
    assert first == {"once": once}
    assert shared["command"] == command.format("*")
    assert shared["settings"] == 0
    assert [each["seed"] for each in own] == [0, 1, 2, 3]
    assert [each["environment"] for each in own] == [0, 1, 0, 0]
    assert [each.get("training") for each in own] == [None, 0, 1, 0]
    assert [each.get("search") for each in own] == [None, 0, 0, None]
    assert not shared.keys() & own[0].keys()

    results.write_lines(compact, [], compact=True)
    assert results.read_lines(compact) == []
    compact.write_text(json.dumps([shared, own[0]]))
    with pytest.raises(UserError, match=r"line 1: settings: Input should be a valid dict"):
        results.read_lines(compact)
    head = json.dumps({"once": once}, separators=(",", ":")) + "\n"
    compact.write_text(head + json.dumps([shared, own[0] | {"environment": 2}]))
    with pytest.raises(UserError, match=r"cannot be read as results \(line 2: .*range\)"):
        results.read_lines(compact)
    for name, wrong, words in (
        ("environment", True, "dict"),
        ("environment", -1, "dict"),
        ("command", -1, "string"),
    ):
        compact.write_text(head + json.dumps([shared, own[0] | {name: wrong}]))
        with pytest.raises(UserError, match=rf"line 2: {name}: Input should be a valid {words}"):
            results.read_lines(compact)
    for wrong in ([], [shared, 1], [1, shared], 1):
        compact.write_text(head + json.dumps(wrong))
        with pytest.raises(UserError, match=r"line 2: expected an object, got (list|int)"):
            results.read_lines(compact)


def test_seeds_share_what_is_written_alike(tmp_path):
    """1 and 1.0 are equal in Python, and are not in a record. Two rows share nothing."""
    settings = [{"rate": 1}, {"rate": 1.0}, {"rate": 1.0}]
    runs = [result(seed=k, history=(), settings=each) for k, each in enumerate(settings)]
    runs += [result(seed=k, history=(), config="rows") for k in (3, 0)]
    results.write_lines(tmp_path / "all.jsonl", runs, compact=True)
    read = results.read_lines(tmp_path / "all.jsonl")
    assert [(run.config, run.seed) for run in read] == [
        *(("quadrant", k) for k in range(3)),
        *(("rows", k) for k in (0, 3)),
    ]
    assert [repr(run.settings) for run in read[:3]] == list(map(repr, settings))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_results_may_have_a_byte_order_mark_and_any_letters(tmp_path, encoding):
    """As editors and the shell of Windows write them."""
    runs = [result(model="n\u2028é\x85t", history=[]), result(seed=1, history=[])]
    lines = [json.dumps(run.values(), ensure_ascii=False) for run in runs]
    (tmp_path / "results.jsonl").write_bytes("\r\n".join([*lines, "", ""]).encode(encoding))
    assert results.read_lines(tmp_path / "results.jsonl") == runs

    (tmp_path / results.FILE).write_bytes(lines[0].encode(encoding))
    assert Result.read(tmp_path / results.FILE) == runs[0]


def test_the_reference_results_come_with_the_baselines():
    _, *rows = (ROOT / "baselines" / "results.jsonl").read_text().splitlines()
    every = results.reference()
    assert len({run.row for run in every}) == len(rows)
    of_two = results.reference(["quadrant_uber", "uniform_32"])
    assert of_two == [run for run in every if run.config in ("quadrant_uber", "uniform_32")]
    assert of_two
    assert results.reference(iter(["quadrant_upper_left_32"])) == []  # Of searches only


def test_a_run_that_is_replaced_while_its_folder_is_listed_is_found(tmp_path, monkeypatch):
    result().write(tmp_path / "seed0")
    monkeypatch.setattr(os, "walk", lambda folder, **_: iter([(tmp_path / "seed0", [], [])]))
    found, problems = results.load([tmp_path])
    assert [run.seed for run in found] == [0]
    assert problems == []


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "seed0").mkdir()
    (tmp_path / "seed0" / results.FILE).symlink_to("nowhere")
    result(seed=1).write(tmp_path / "seed1")
    found, problems = results.load([tmp_path])
    assert [run.seed for run in found] == [1]
    assert len(problems) == 1
    assert f"{tmp_path / 'seed0' / results.FILE}" in problems[0]


def test_linked_folders_of_runs_are_found_once(tmp_path):
    result(seed=1).write(tmp_path / "elsewhere" / "seed1")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "runs")
    found, problems = results.load([tmp_path / "runs"])
    assert ([run.seed for run in found], problems) == ([1], [])


def test_a_folder_in_place_of_a_result_is_told(tmp_path):
    result().write(tmp_path / "seed0")
    (tmp_path / "seed0" / results.FILE).unlink()
    (tmp_path / "seed0" / results.FILE).mkdir()
    found, problems = results.load([tmp_path])
    assert found == []
    assert len(problems) == 1
    assert f"{tmp_path / 'seed0' / results.FILE}" in problems[0]

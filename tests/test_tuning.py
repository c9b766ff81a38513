"""The rule by which a recipe is found, and the file that it is in."""

import inspect
import json
import math
import os
import shlex

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from not_so_clevr import benchmark, results
from not_so_clevr.benchmark import (
    Recipe,
    experiment,
    protocol,
    recipe_file,
    run_folder,
    runner,
    searches,
    training,
    tuning,
    with_recipes,
)
from not_so_clevr.benchmark.options import TUNE_CONFIG
from not_so_clevr.checks import UserError
from not_so_clevr.cli import app, many, terminal
from not_so_clevr.dataset.config import as_config

WHERE = {"task": "regression", "config": "quadrant_upper_left_12_square3"}  # 75 train, 25 test
QUICK = {"steps": 4}  # An epoch of 5 steps
POINTS = [
    (0.000333, 0.0),
    (0.000333, 0.1),
    (0.000333, 1.0),
    (0.001, 0.0),
    (0.001, 0.1),
    (0.001, 1.0),
    (0.003, 0.0),
    (0.003, 0.1),
    (0.003, 1.0),
]
seen = []


def build(task, steps, width=4):
    seen.append(steps)
    inputs = keras.Input(task.input_shape)
    x = keras.layers.Dense(width)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(math.prod(task.output_shape))(x))


def two_numbers(task):
    if task.name != "regression":
        raise KeyError(task.name)
    return build(task, 1)


def sized(task, sizes):
    return build(task, 1, len(sizes))


def rates(runs):
    return [(run.recipe.learning_rate, run.recipe.weight_decay) for run in runs]


def tune(**changes):
    arguments = {"settings": QUICK, "data": "memory", "name": "net"}
    return benchmark.tune(build, **WHERE | arguments | changes)


def test_the_grid_is_three_rates_around_the_usual_one_times_three_decays():
    assert rates(tuning.points(build, task="regression")) == POINTS
    mine = with_recipes(source="me", mine={"regression": Recipe(learning_rate=0.03, beta_1=0.5)})
    runs = tuning.points(mine(lambda task: None), task="regression", settings={"clip": 1})
    assert sorted({rate for rate, _ in rates(runs)}) == [0.01, 0.03, 0.09]
    assert {(run.recipe.beta_1, run.recipe.clip) for run in runs} == {(0.5, 1.0)}
    assert {run.config.name for run in runs} == {"quadrant_upper_left_32"}


@pytest.mark.parametrize("config", ["quadrant_32", "uniform_32", "quadrant", "border_48"])
def test_everybody_gets_the_same_number_of_steps(config):
    (steps,) = {
        run.arguments["steps"] for run in tuning.points(build, task="regression", config=config)
    }
    per_epoch = math.ceil(len(as_config(config).split_centres()["train"]) / 16)
    assert 0 <= steps - 1000 < per_epoch


def test_epochs_replace_the_steps_of_the_rule():
    runs = tuning.points(build, **WHERE, settings={"epochs": 3})
    assert {(run.recipe.epochs, run.recipe.steps) for run in runs} == {(3, 0)}
    with pytest.raises(UserError, match="steps and epochs exclude each other"):
        tuning.points(build, **WHERE, settings={"epochs": 3, "steps": 4})

    search = tuning.search(runs, 1, {"epochs": 3}, [result(runs[0], 1.0)], {})
    recipe = searches.recipe(search.values())
    assert (recipe.epochs, recipe.steps, recipe.schedule) == (3, 0, "cosine")


def test_what_it_chooses_on_is_held_out_nowhere_in_the_reported_quadrant():
    """32x32 pixels and squares of 9 have 24 rows and columns of centres: 144 are held out of 576."""
    held_out = {tuple(each) for each in as_config(TUNE_CONFIG).split_centres()["test"].tolist()}
    reported = {tuple(each) for each in as_config("quadrant_32").split_centres()["test"].tolist()}
    assert (len(held_out), len(reported), len(held_out & reported)) == (144, 144, 0)


@pytest.mark.slow
def test_the_search_is_kept_and_the_recipe_is_trained_with(tmp_path):
    search = tune(runs=tmp_path / "runs", seeds=2)
    file = search.write(tmp_path / "net.toml")
    saved = json.loads((tmp_path / "net.json").read_text())
    assert [(each["learning_rate"], each["weight_decay"]) for each in saved["grid"]] == POINTS
    assert [run["seed"] for each in saved["grid"] for run in each["runs"]] == [0, 1] * 9
    assert {run["steps"] for each in saved["grid"] for run in each["runs"]} == {5}
    on_disk, _ = results.load([tmp_path / "runs"])
    assert len(on_disk) == 18
    assert saved["seconds"] == pytest.approx(sum(run.seconds for run in on_disk))

    result = benchmark.run(
        build,
        task="regression",
        config="quadrant_12_square3",
        recipe=str(file),
        data="memory",
        name="net",
    )
    assert result.id == "regression/quadrant_12_square3/net-rule-steps=4/seed0"
    assert result.settings == search.best.run.saved_recipe == saved["recipe"]
    assert result.search == {
        "config": WHERE["config"],
        "points": 9,
        "perfect": 0,
        "seeds": 2,
        "seconds": saved["seconds"],
    }
    result.write(tmp_path)
    assert results.Result.read(tmp_path / results.FILE) == result
    (row,) = results.leaderboard([result])
    assert dict(zip(results.COLUMNS, results.cells(row), strict=True))["robust"] == "0 of 9"


def test_changed_settings_are_no_longer_those_of_the_search(tmp_path):
    file = str(tune(runs=tmp_path).write(tmp_path / "net.toml"))
    run = experiment.plan(build, **WHERE, name="net", recipe=file, settings={"epochs": 3})
    assert (run.search, run.recipe.epochs, run.recipe.steps) == (None, 3, 0)
    assert run.recipe_name == "rule-steps=4-epochs=3"


def test_an_interrupted_search_goes_on(tmp_path, monkeypatch):
    done = []

    def fit(self, *arguments, fit=keras.Model.fit, **keywords):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(self)
        return fit(self, *arguments, **keywords)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Model, "fit", fit)
        tune(runs=tmp_path)
    first, _ = results.load([tmp_path])
    assert len(first) == 4
    search = tune(runs=tmp_path)
    assert [point.results[0].id for point in search.points] == [
        each.run.id for each in search.points
    ]
    kept = {run.id: run.seconds for run in first}
    made = {point.run.id: point.results[0].seconds for point in search.points}
    assert kept == {run_id: made[run_id] for run_id in kept}  # They were not made again.


def result(run, test, train=1.0, off=1.0):
    metrics = {
        split: {"within_half_pixel": share, "error": off * (1 - share)}
        for split, share in (("train", train), ("test", test))
    }
    return results.Result(
        model=run.model.name,
        recipe=run.recipe_name,
        task="regression",
        config=run.config.name,
        seed=run.seed,
        metrics=metrics,
        accuracy_metric="within_half_pixel",
        distance_metric="error",
    )


@pytest.mark.parametrize(
    ("outcomes", "best"),
    [
        ({3: (0.5,), 7: (0.6,)}, 7),
        ({3: (0.5, 1.0, 2.0), 7: (0.5, 1.0, 1.0)}, 7),  # The closer one
        ({3: (1.0,), 4: (1.0,), 7: (1.0,)}, 3),  # The lower rates
        ({0: (0.0, 0.1, 1.0), 7: (0.0, 1.0, 5.0)}, 7),  # The one that fits train
    ],
)
def test_the_best_has_the_most_of_test_right(outcomes, best):
    runs = tuning.points(build, **WHERE, name="net")
    made = [result(runs[k], *values) for k, values in outcomes.items()]
    search = tuning.search(runs, 1, {}, made, {})
    assert search.points.index(search.best) == best


def test_a_point_that_fails_is_never_the_best():
    runs = tuning.points(build, **WHERE, name="net")
    made = [result(runs[0], 1.0), result(runs[1], 0.5)]
    search = tuning.search(runs, 2, {}, made, {runs[0].with_seed(1).id: "It diverged."})
    assert search.points.index(search.best) == 1
    assert search.summary["perfect"] == 0
    with pytest.raises(
        UserError, match="Every point of the search failed; the first: It diverged."
    ):
        _ = tuning.search(runs, 1, {}, [], {runs[0].id: "It diverged."}).best


@pytest.mark.parametrize("start", ["tune", "suite", "command"])
def test_a_run_that_another_process_makes_has_not_failed(start, monkeypatch, tmp_path):
    waits, busy = [], [run_folder.Busy("It is being written."), run_folder.Busy("Still.")]

    def execute(run, options):
        if busy:
            raise busy.pop()
        return result(run, 1.0)

    monkeypatch.setattr(training, "execute", execute)
    monkeypatch.setattr(runner, "_PAUSE", 0)
    monkeypatch.setattr(runner.time, "sleep", waits.append)
    if start == "tune":
        assert all(point.is_complete for point in tune(runs=tmp_path).points)
    elif start == "suite":
        profile = benchmark.suite(two_numbers, data="memory", runs=tmp_path)
        assert not profile.failures
    else:
        settings = ["steps=4"]
        many.tune(f"{__name__}:build", **WHERE, settings=settings, data="memory", runs=tmp_path)
        (saved,) = (tmp_path / "rule" / "regression").glob("*.json")
        grid = json.loads(saved.read_text())["grid"]
        assert [each["failures"] for each in grid] == [[]] * 9
    assert waits.count(0) == 2


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"net"', '"other"', "is a recipe of other for regression, not of net for regression."),
        ('"regression"', '"rendering"', "is a recipe of net for rendering, not of net for"),
        ("steps = 4", "steps = -4", "steps=-4 is out of range; expected an integer"),
        ("points = 9", "points = 0", "search.points: "),
        ("name =", "nam =", "unknown key 'nam'; expected name, model, task, settings, search."),
    ],
)
def test_a_wrong_recipe_is_told(old, new, sentence, tmp_path):
    runs = tuning.points(build, **WHERE, name="net", settings=QUICK)
    search = tuning.search(runs, 1, QUICK, [result(runs[0], 1.0)], {})
    file = search.write(tmp_path / "net.toml")
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(UserError, match=sentence):
        recipe_file.read(file, "net", "regression")


def test_a_recipe_is_read_as_it_was_written(tmp_path):
    recipe = Recipe(
        epochs=3, l2=1e-7, decay_tables=True, model={"width": 5, "a": [1, 2], "b": "ü\n"}
    )
    about = {"config": "uniform", "points": 9, "perfect": 3, "seeds": 1, "seconds": 1.5}
    file = tmp_path / "net.toml"
    recipe_file.write(
        file,
        recipe,
        name="mine",
        model="net",
        task="rendering",
        search=about,
        comment=["One.", "Two."],
    )
    assert recipe_file.read(file, "net", "rendering") == ("mine", recipe, about)


names = st.text(min_size=1).filter(lambda name: name not in Recipe.names())
scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars | st.text(), st.lists, max_leaves=5)


@hypothesis.given(st.dictionaries(names, values), st.sampled_from([{"steps": 7}, {"epochs": 7}]))
def test_every_recipe_is_read_as_it_was_written(tmp_path_factory, model, length):
    recipe = Recipe(**length, ema=0.9, model=model)
    about = {"config": "uniform", "points": 9, "perfect": 3, "seeds": 1, "seconds": 1.5}
    file = tmp_path_factory.mktemp("recipe") / "net.toml"
    keywords = {"name": "mine", "model": "nét", "task": "rendering", "search": about}
    recipe_file.write(file, recipe, comment=["\x07", "\ud800", "A line."], **keywords)
    assert file.read_bytes().startswith(b"# A line.\nname =")
    assert recipe_file.read(file, "nét", "rendering") == ("mine", recipe, about)


@pytest.mark.parametrize("value", [None, {"a": 1}, [1, [None]], "\ud800"])
def test_a_setting_that_no_file_holds_is_told_before_any_training(value):
    with pytest.raises(UserError, match="setting width=.* does not fit into a recipe file"):
        tuning.points(build, **WHERE, settings={"width": value})


def test_an_argument_with_the_name_of_a_setting_is_told_before_any_training():
    def clipped(task, clip):
        return build(task, 1)

    mine = with_recipes(source="me", mine={"regression": Recipe(model={"clip": 3})})(clipped)
    with pytest.raises(UserError, match="argument clip of the model has the name of a setting"):
        tuning.points(mine, **WHERE)


def test_the_numbers_of_numpy_are_saved_as_those_of_python(tmp_path):
    settings = {"steps": np.int64(4)}
    runs = tuning.points(build, **WHERE, name="net", settings=settings)
    search = tuning.search(runs, 1, settings, [result(runs[0], 1.0)], {})
    search.write(tmp_path / "net.toml")
    assert (search.name, json.loads((tmp_path / "net.json").read_text())["settings"]) == (
        "rule-steps=4",
        {"steps": 4},
    )
    for function in (
        tuning.points,
        lambda *_, settings, **__: protocol.plan(build, settings=settings),
    ):
        with pytest.raises(UserError, match="settings must be a dict, got 'steps=4'"):
            function(build, task="regression", settings="steps=4")


def test_the_command_names_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = tuning.points("coordconv", **WHERE)
    tuning.search(runs, 1, {}, [result(runs[0], 1.0)], {}).write("net.toml")
    run = experiment.plan("coordconv", **WHERE, recipe="net.toml")
    assert run.command().endswith("--seed 0 --recipe net.toml")
    assert os.path.exists("net.json")


def test_the_comment_of_a_recipe_makes_its_search_again(tmp_path, monkeypatch):
    found = []

    def follow(events, *_):
        found.append(inspect.getgeneratorlocals(events)["runs"])
        return [result(run, 1.0) for run in found[-1]], {}

    monkeypatch.setattr(terminal, "follow", follow)
    name = f"{__name__}:build"
    settings = {"width": 5, "clip": 1.5, "steps": 7}
    runs = tuning.points(name, task="regression", config="border_32", settings=settings)
    search = tuning.search(runs, 2, settings, [result(run, 1.0) for run in with_seeds(runs)], {})
    file = search.write(tmp_path / "a b.toml")
    first, second, *_ = file.read_text().splitlines()

    _, *words = shlex.split(first.removeprefix("# Found by: "))
    outcome = CliRunner().invoke(app, [*words, "--data", "memory", "--runs", str(tmp_path)])
    assert outcome.exit_code == 0, outcome.output
    assert [(run.id, run.saved_recipe) for run in found[0]] == [
        (run.id, run.saved_recipe) for run in with_seeds(runs)
    ]
    assert second == (
        f"# To use it: not-so-clevr train {name} --task regression --config quadrant "
        f"--recipe '{file}'"
    )

    runs = tuning.points(build, task="regression", name="net")
    unfindable = tuning.search(runs, 1, {}, [result(runs[0], 1.0)], {})
    assert "#" not in unfindable.write(tmp_path / "net.toml").read_text()
    kept = file.read_bytes()
    with pytest.raises(UserError, match="of .*build for regression, not of net .* another file."):
        unfindable.write(file)
    assert file.read_bytes() == kept


def with_seeds(runs):
    return tuning.every_seed(runs, 2)


def test_the_recipe_of_many_settings_has_a_name_that_a_file_may_have(monkeypatch, tmp_path):
    def follow(events, *_):
        widths = {"sizes": list(range(1000, 1060)), **QUICK}
        runs = tuning.points(f"{__name__}:sized", **WHERE, settings=widths)
        return [result(run, 1.0) for run in runs], {}

    monkeypatch.setattr(terminal, "follow", follow)
    settings = ["steps=4", f"sizes={list(range(1000, 1060))}"]
    many.tune(f"{__name__}:sized", **WHERE, settings=settings, runs=tmp_path)
    recipe, search = sorted(
        (tmp_path / "rule" / "regression").iterdir(), key=lambda each: each.suffix
    )[::-1]
    assert (recipe.suffix, search.suffix) == (".toml", ".json")
    assert len(recipe.name) == 255


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"config": "uniform_32"}, "search, with config quadrant_32 instead of uniform_32; give"),
        ({"seeds": 2}, "holds the recipe of another search, with seeds 1 instead of 2; give"),
        ({"settings": ["clip=1"]}, "search, with name rule-steps=4 instead of rule-clip=1; give"),
        ({"task": "localisation"}, "of .*build for regression, not of .* for localisation; give"),
    ],
)
def test_the_recipe_of_another_search_is_not_replaced(changes, sentence, monkeypatch, tmp_path):
    where = {"task": "regression", "config": "quadrant_32"}
    arguments = {"settings": ["steps=4"], "data": "memory", "runs": tmp_path} | where
    monkeypatch.setattr(training, "execute", lambda run, _: result(run, 1.0))
    many.tune(f"{__name__}:build", **arguments)
    (file,) = (tmp_path / "rule" / "regression").glob("*.toml")
    many.tune(f"{__name__}:build", **arguments)  # The same search goes on.

    monkeypatch.setattr(training, "execute", lambda *_: pytest.fail("it was trained"))
    kept = file.read_bytes()
    with pytest.raises(UserError, match=f"{sentence} another file."):
        many.tune(f"{__name__}:build", **arguments | changes, output=file)
    if changes.keys() <= {"config", "seeds"}:
        with pytest.raises(UserError, match=f"{sentence} another file."):
            many.tune(f"{__name__}:build", **arguments | changes)
    assert file.read_bytes() == kept


@pytest.mark.parametrize(
    "content",
    [
        b"mine",
        b"[1]",
        b"[" * 100_000,
        b"\xff",
        {"task": "localisation"},
        {"model": "conv"},
        {"seeds": 2},
        "folder",
    ],
)
def test_a_json_file_that_is_not_of_this_search_is_not_replaced(content, monkeypatch, tmp_path):
    arguments = {"settings": ["steps=4"], "data": "memory", "output": tmp_path / "net.toml"} | WHERE
    monkeypatch.setattr(training, "execute", lambda run, _: result(run, 1.0))
    many.tune(f"{__name__}:build", **arguments, runs=tmp_path / "runs")
    file = tmp_path / "net.json"
    if isinstance(content, dict):
        content = json.dumps(json.loads(file.read_text()) | content).encode()
    file.unlink()
    if content == "folder":
        file.mkdir()
    else:
        file.write_bytes(content)

    monkeypatch.setattr(training, "execute", lambda *_: pytest.fail("it was trained"))
    sentence = "net.json, where the search goes, holds something else; move it away, or give"
    for _ in range(2):
        with pytest.raises(UserError, match=sentence):
            many.tune(f"{__name__}:build", **arguments, runs=tmp_path / "others")
        (tmp_path / "net.toml").unlink(missing_ok=True)
    assert file.is_dir() or file.read_bytes() == content


@pytest.mark.parametrize("option", ["--cpus-per-run 2", "--gpus-per-run 0.5"])
@pytest.mark.parametrize("command", ["tune conv --task regression", "suite conv"])
def test_cores_and_gpus_are_those_of_runs_on_ray(command, option, monkeypatch, tmp_path):
    monkeypatch.setattr(terminal, "follow", lambda *_: pytest.fail("it was trained"))
    words = [*command.split(), *option.split(), "--runs", str(tmp_path)]
    outcome = CliRunner().invoke(app, words)
    sentence = f"{option} is for Ray; add --address, e.g. --address local."
    assert (outcome.exit_code, str(outcome.exception)) == (1, sentence)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["net.json", "net"])
def test_a_recipe_is_a_toml_file(name, tmp_path):
    with pytest.raises(
        UserError, match="is not a name for a recipe; expected one that ends in .toml"
    ):
        tuning.check_file(tmp_path / name)


def test_the_points_of_a_search_differ():
    with pytest.raises(
        UserError, match="^learning_rate=0 leaves nothing to search, as three .* one"
    ):
        tuning.points(build, **WHERE, settings={"learning_rate": 0})


def test_weight_decay_is_searched():
    with pytest.raises(UserError, match="weight_decay is what the search is over; omit it."):
        tuning.points(build, **WHERE, settings={"weight_decay": 1})

"""Suites of published experiments: what is run, how long that is thought to take, and the verdicts."""

import dataclasses
import itertools
import json
import re
import types

import filelock
import numpy as np
import pytest
import subprocesses
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr import reproduce
from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError
from not_so_clevr.cli import many, terminal
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import Result, naming, published
from not_so_clevr.results.experiment import PERFECT, Claim, Experiment

SUITES = published.suites()
RIGHT = Claim(source="article", test="right", expected=(0, 1))
DECONV = next(
    each for each in SUITES["article"] if each.id == "classification/uniform/deconv-article"
)


def run(experiment, test, seed=0, **changes):
    (row,) = reproduce.plan([experiment])
    recipe = naming.changed(experiment.recipe, experiment.settings)
    values = {"accuracy": test, "distance": 0.0}
    attributes = {
        "model": experiment.model,
        "recipe": recipe,
        "task": experiment.task,
        "config": experiment.config,
        "seed": seed,
        "metrics": {"train": values, "test": values},
        "accuracy_metric": "accuracy",
        "distance_metric": "distance",
        "settings": row.run.saved_recipe,
        "seconds": 60.0,
        "history": [{"epoch": k + 1, "loss": 0.5, "test": values} for k in range(200)],
    }
    return Result(**{**attributes, **changes})


DECONVOLUTION = {
    "learning_rate": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    "l2": (0.0, 0.001, 0.01),
    "size": (2, 3, 4),
    "multiplier": (1, 2, 3),
    "batch_size": (16, 32),
}
COORDCONV = {"l2": (0.0, 0.001), "batch_size": (16,)}


@pytest.mark.parametrize(
    ("suite", "axes", "epochs", "number"),
    [
        ("paper_deconv_classification", DECONVOLUTION, 1000, 324),
        (
            "paper_deconv_rendering",
            DECONVOLUTION | {"loss": ("task", "mean_squared_error")},
            1000,
            648,
        ),
        (
            "paper_coordconv_classification",
            COORDCONV | {"learning_rate": (0.001, 0.005, 0.01)},
            50,
            6,
        ),
        (
            "paper_coordconv_rendering",
            COORDCONV | {"learning_rate": (0.001, 0.005), "multiplier": (1, 2), "size": (1,)},
            *(50, 8),
        ),
        (
            "paper_conv_regression",
            {"learning_rate": (0.0005, 0.001, 0.01), "l2": (4.13e-5, 4.13e-4, 2.06e-3)},
            100,
            9,
        ),
        ("paper_coordconv_regression", {"learning_rate": (0.01,), "l2": (4.13e-5,)}, 100, 1),
    ],
)
def test_the_grids_are_every_combination_of_what_the_paper_tells_on_both_splits(
    suite, axes, epochs, number
):
    _, model, task = suite.split("_")
    points = [
        frozenset(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]
    assert len(points) == number
    assert {(each.model, each.task) for each in SUITES[suite]} == {(model, task)}
    for config in ("uniform", "quadrant"):
        found = [
            frozenset(each.settings.items()) for each in SUITES[suite] if each.config == config
        ]
        assert (len(found), set(found)) == (number, set(points))
    assert len(SUITES[suite]) == 2 * number
    for row in reproduce.plan([SUITES[suite][0], SUITES[suite][-1]]):
        recipe = row.run.recipe
        assert (recipe.epochs, recipe.weight_decay) == (epochs, 0)
        assert (recipe.schedule, recipe.step_epochs) == (
            "step" if model == "deconv" else "constant",
            200,
        )


def test_the_article_has_a_row_for_each_task_model_and_split():
    rows = [(each.task, each.model, each.config) for each in SUITES["article"]]
    models_of = {"classification": "deconv", "regression": "conv", "rendering": "deconv"}
    assert sorted(rows) == sorted(
        (task, model, config)
        for task, other in models_of.items()
        for model in ("coordconv", other)
        for config in ("uniform", "quadrant")
    )


@pytest.mark.parametrize("suite", SUITES)
def test_every_row_can_be_planned_and_is_called_what_its_run_will_be_called(suite):
    for experiment in SUITES[suite][:: max(len(SUITES[suite]) // 6, 1)]:
        model = registry.find(experiment.model)
        (row,) = reproduce.plan([experiment])
        planned = row.run
        assert planned.with_seed(3).id == f"{experiment.id}/seed3"
        model.build(planned.task, **planned.recipe.model)
        if (claim := experiment.claim) and claim.expected:
            low, high = claim.expected
            assert 0 <= low <= high
            assert (claim.metric == "error") == (high > 1)
        if claim and claim.metric:
            assert claim.metric == PERFECT or claim.metric in planned.task.metrics


def test_ids_are_stable():
    assert SUITES["paper_deconv_rendering"][0].id == (
        "rendering/uniform/deconv-paper-batch_size=16-l2=0.0-learning_rate=0.001-loss=task-multiplier=1-size=2"
    )
    assert SUITES["failures"][0].id == "regression/uniform/coordconv-article-pooling=mean"


def test_rows_are_chosen_by_id_or_pattern_each_once():
    both = reproduce.select(["article", "failures"])
    assert len({each.id for each in both}) == len(both) == 12 + 8 - 2
    assert [
        each.id for each in reproduce.select(["article"], ["classification/*/deconv-article"])
    ] == [
        "classification/uniform/deconv-article",
        "classification/quadrant/deconv-article",
    ]
    with pytest.raises(
        ValueError,
        match="no suite 'articel' .did you mean 'article'.*; expected one of article, paper, failures",
    ):
        reproduce.select(["articel"])
    with pytest.raises(
        ValueError,
        match="--row deconv matches none of the 12 rows; expected an id such as classification/uniform/coordconv",
    ):
        reproduce.select(["article"], ["deconv"])
    with pytest.raises(UserError, match="suites must be a list, got 'article'; put it into brack"):
        reproduce.select("article")
    with pytest.raises(UserError, match="rows must be a list, got 'deconv'; put it into brackets."):
        reproduce.select(["article"], "deconv")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"budget": "30m"}, "^budget must be a number of seconds, 0 or more, got '30m'; reproduce"),
        ({"budget": float("nan")}, "budget must be a number of seconds, 0 or more, got nan;"),
        ({"budget": -1}, "budget must be a number of seconds, 0 or more, got -1;"),
        ({"seeds": 0}, "^seeds=0 is out of range; expected an integer from 1 to 10000.$"),
        ({"seeds": -3}, "seeds=-3 is out of range"),
        ({"seeds": "3"}, "seeds='3' is a str; expected an integer"),
    ],
)
def test_bad_arguments_are_told_before_any_work(arguments, sentence, tmp_path):
    options = RunOptions(data="memory", runs=tmp_path)
    with pytest.raises(UserError, match=sentence):
        next(reproduce.run(["article"], options, **arguments))


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (0.8, "worse"),
        (0.809, "reproduced"),
        (0.858, "reproduced"),
        (0.907, "reproduced"),
        (0.91, "better"),
    ],
)
def test_a_number_is_reproduced_within_five_points(test, verdict):
    assert reproduce.verdict(DECONV.claim, 3 * [test]) == verdict


def test_a_verdict_on_fewer_seeds_than_have_an_interval_is_said_to_be_none_yet():
    assert [reproduce.verdict(DECONV.claim, count * [0.858]) for count in range(4)] == [
        "not run",
        "reproduced so far",
        "reproduced so far",
        "reproduced",
    ]


def test_a_perfect_number_is_reproduced_by_a_perfect_one_alone():
    perfect = SUITES["article"][0]
    assert reproduce.verdict(perfect.claim, [1.0, 1.0, 1.0]) == "reproduced"
    assert reproduce.verdict(perfect.claim, [1.0, 0.9999, 1.0]) == "worse (2 of 3 seeds reach it)"
    assert reproduce.verdict(perfect.claim, [0.9, 0.9999, 0.99]) == "worse"
    assert reproduce.verdict(None, [0.5]) == reproduce.verdict(Claim(source="paper"), [0.5]) == ""


def test_a_mean_is_undecided_if_it_misses_what_its_interval_and_a_seed_do_not():
    stuck = SUITES["failures"][0]  # 21 to 24 pixels off
    assert reproduce.verdict(stuck.claim, [20.0, 20.0, 21.5]) == "undecided"  # 20.5 ± 2.15
    assert reproduce.verdict(stuck.claim, [24.5, 24.5, 23.5]) == "undecided"
    assert (
        reproduce.verdict(stuck.claim, [19.9, 19.9, 15.0]) == "better"
    )  # 18.3 ± 7, but no seed is there.
    assert (
        reproduce.verdict(stuck.claim, [3.0, 3.1, 3.2, 3.3, *16 * [3.0], 21.5]) == "better"
    )  # 3.9 ± 1.8, one seed or not


def test_one_point_of_a_grid_can_confirm_the_best_of_them_and_not_refute_it():
    point = next(
        each for each in SUITES["paper"] if (each.task, each.claim.test) == ("rendering", "IoU 1")
    )
    assert point.claim.points == 8
    assert reproduce.verdict(point.claim, [1.0, 1.0, 1.0]) == "reproduced"
    assert reproduce.verdict(point.claim, [0.4, 0.5, 0.6]) == "not at this point"
    assert (
        reproduce.verdict(point.claim, [0.4, 1.0])
        == "not at this point (1 of 2 seeds reach it) so far"
    )
    (row,) = reproduce.table(reproduce.plan([point]), [])
    assert row.remark.startswith("one of their 8 points; ")


@pytest.mark.parametrize("name", [name for name in SUITES if name.startswith("paper_")])
def test_points_are_those_of_the_grids(name):
    first = SUITES[name][0]
    rows = [
        each for each in SUITES["paper"] if (each.task, each.model) == (first.task, first.model)
    ]
    assert rows
    is_best = name == "paper_coordconv_classification"  # As all points have shown
    points = 1 if is_best else len(SUITES[name]) / 2  # Of each split
    assert {each.claim.points for each in rows} == {points}


def test_pictures_and_the_best_of_many_runs_are_not_comparable():
    pictures = [each.claim for each in SUITES["article"] if each.task == "rendering"]
    assert {reproduce.verdict(claim, [0.5]) for claim in pictures} == {"not comparable"}
    best = [
        each
        for each in SUITES["paper"]
        if "at most" in each.claim.test or "never" in each.claim.test
    ]
    assert [reproduce.verdict(each.claim, [0.8]) for each in best] == [
        "not comparable",
        "not comparable",
    ]


def test_being_farther_off_is_worse():
    stuck = SUITES["failures"][0]
    assert [reproduce.verdict(stuck.claim, 3 * [error]) for error in (0.7, 21.2, 30.0)] == [
        "better",
        "reproduced",
        "worse",
    ]


def test_what_always_answers_with_the_middle_is_judged_to_be_stuck():
    centres = as_config("uniform").split_centres()["test"]
    error = np.hypot(*(centres - 31.5).T).mean()
    assert reproduce.verdict(SUITES["failures"][0].claim, 3 * [error]) == "reproduced"


def test_perfect_runs_are_counted():
    one_in_three = SUITES["failures"][-1]
    planned = reproduce.plan([one_in_three])
    for perfect, words in (
        (0, ("0 of 3", "undecided")),
        (1, ("1 of 3", "reproduced")),
        (3, ("3 of 3", "undecided")),
    ):
        runs = [run(one_in_three, 1.0 if seed < perfect else 0.99, seed) for seed in range(3)]
        (row,) = reproduce.table(planned, runs)
        cells = dict(zip(reproduce.COLUMNS, reproduce.cells(row), strict=True))
        assert (cells["test"], cells["verdict"].partition(" (")[0]) == words
        assert row.test_interval is None


@pytest.mark.parametrize(("low", "verdict"), [(0.5098, "undecided"), (0.5099, "worse")])
def test_two_perfect_runs_of_ten_are_up_to_51_percent_of_all(low, verdict):
    """Wilson's interval of 2 of 10 is 5.67 to 50.98 % (R: prop.test(2, 10, correct=FALSE))."""
    claim = Claim(source="us", test="many", metric=PERFECT, expected=(low, 0.9))
    assert reproduce.verdict(claim, [1.0] * 2 + [0.0] * 8) == verdict


@given(st.integers(3, 60), st.data())
def test_a_share_of_perfect_runs_is_judged_by_its_interval(seeds, data):
    """Below or above what was published only if Wilson's interval is, here as he wrote it in 1927."""
    one_in_three = SUITES["failures"][-1]
    low, high = one_in_three.claim.expected
    perfect = data.draw(st.integers(0, seeds))
    share, square = perfect / seeds, 1.959964**2 / seeds
    half = (square * share * (1 - share) + square**2 / 4) ** 0.5
    low_end, high_end = ((share + square / 2 + sign * half) / (1 + square) for sign in (-1, 1))
    verdict = reproduce.verdict(one_in_three.claim, [1.0] * perfect + [0.0] * (seeds - perfect))
    words = {
        "better": low_end > high,
        "worse": high_end < low,
        "reproduced": low <= perfect / seeds <= high,
    }
    assert verdict == next((word for word, holds in words.items() if holds), "undecided")


def test_the_table_is_over_the_seeds_of_a_row_alone():
    other = dataclasses.replace(DECONV, config="quadrant")
    runs = [run(DECONV, share, seed) for seed, share in enumerate((0.8, 0.9, 0.85))]
    (row,) = reproduce.table(reproduce.plan([DECONV]), [*runs, run(other, 0.1)])
    assert row.test == pytest.approx(0.85)
    assert row.test_interval == pytest.approx(
        4.303 * 0.05 / 3**0.5, rel=1e-3
    )  # 0.05 is the standard deviation of the three.
    cells = dict(zip(reproduce.COLUMNS, reproduce.cells(row), strict=True))
    assert cells["published test"] == "85.8 %"
    assert (cells["test"], cells["seeds"], cells["verdict"]) == (
        "85.0 % [72.6, 97.4]",
        "3",
        "reproduced",
    )


def test_a_run_with_other_settings_is_none_of_the_row():
    good, other = run(DECONV, 0.8), run(DECONV, 0.9, seed=1, settings={"epochs": 1})
    found = [good, other, run(DECONV, 0.9, seed=2, model="deconv-article", recipe="")]
    assert reproduce.runs(reproduce.plan([DECONV]), found) == [[good]]
    compiled = run(DECONV, 0.8, settings=good.settings | {"learning_rate": None, "loss": None})
    fewer = run(DECONV, 0.8, settings=compiled.settings | {"batch_size": 7})
    assert reproduce.runs(reproduce.plan([DECONV]), [compiled, fewer]) == [[compiled]]


def test_a_run_that_was_not_measured_as_published_is_none_of_the_row():
    stuck = SUITES["failures"][0]
    assert reproduce.runs(reproduce.plan([stuck]), [run(stuck, 0.5)]) == [[]]


def test_rows_share_what_takes_long_to_find_out(monkeypatch):
    """Each run is looked at once, for any number of rows (or an iterator would be at its end), and each model is found once."""
    asked = []
    monkeypatch.setattr(
        registry, "find", lambda name, find=registry.find: asked.append(name) or find(name)
    )
    quadrant = dataclasses.replace(DECONV, config="quadrant")
    rows = reproduce.plan([DECONV, quadrant])
    assert asked == ["deconv"]
    found = [run(DECONV, 0.8), run(quadrant, 0.7, seconds=80.0)]
    assert reproduce.runs(rows, iter(found)) == [[found[0]], [found[1]]]
    assert [seed for _, seed in reproduce.left(rows, [0, 1], iter(found))] == [1, 1]
    assert list(reproduce.estimates(rows, iter(found)).values()) == [70, 70]
    assert [row.test for row in reproduce.table(rows, iter(found))] == [0.8, 0.7]
    assert rows[0].run.saved_recipe is rows[0].run.saved_recipe


def test_a_run_takes_as_long_as_its_like_or_as_as_many_epochs():
    known = [run(DECONV, 1.0), run(DECONV, 1.0, seed=1, seconds=80.0)]
    small = run(dataclasses.replace(DECONV, config="uniform_16_square3"), 1.0, seconds=1.0)
    foreign = run(DECONV, 1.0, seconds=1.0, config="somebody_elses")
    same = dataclasses.replace(DECONV, config="quadrant")
    longer = dataclasses.replace(DECONV, settings={"epochs": 1000})
    unlike = dataclasses.replace(DECONV, task="rendering")
    rows = reproduce.plan([same, longer, unlike])
    assert list(reproduce.estimates(rows, [*known, small, foreign]).values()) == [70, 350, None]
    assert list(reproduce.estimates(rows, [known[0], small, foreign]).values()) == [60, 300, None]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800)]
)
def test_a_budget_is_a_time(text, seconds):
    assert reproduce.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "30 m", "-1m", "1d", 30])
def test_what_is_no_time_is_named(text):
    with pytest.raises(
        ValueError, match=f"must be a duration such as 90s, 30m or 1h30m, got {text!r}."
    ):
        reproduce.seconds(text)


def test_the_quoted_results_are_those_of_the_two_suites():
    quoted = [each for name in ("article", "paper") for each in SUITES[name] if each.claim.test]
    assert len(quoted) == 12 + 12
    rows = published.published_rows()
    assert len(rows) == len(set(rows)) == 12 + 10  # One without softmax for each split
    assert (
        "article",
        "classification",
        "deconv",
        "uniform",
        "200",
        "accuracy",
        "100 %",
        "85.8 %",
    ) in rows


def command(folder, *arguments):
    return subprocesses.in_folder(folder, "reproduce", *arguments)


@pytest.mark.slow
def test_a_budget_interrupts_and_the_same_command_goes_on(tmp_path):
    """Fifty epochs take minutes; a tenth of a second is over at the end of the first."""
    row = (
        "--row",
        "regression/uniform/coordconv-article-pooling=mean",
        "--data",
        "memory",
        "--runs",
        tmp_path,
        "--seeds",
        "1",
    )
    first = command(tmp_path, "failures", *row, "--budget", "0.1s")
    assert first.returncode == 0, first.stderr
    assert "1 run to do, about" in first.stdout
    assert "out of time; this command continues it." in first.stdout
    assert "not run" in first.stdout
    (saved,) = tmp_path.rglob("*.incomplete/checkpoint.npz")
    (epoch,) = json.loads(str(np.load(saved)["log"]))["epochs"]
    second = command(tmp_path, "failures", *row, "--budget", "0.1s")
    assert second.returncode == 0, second.stderr
    epochs = json.loads(str(np.load(saved)["log"]))["epochs"]
    assert epochs[0] == epoch
    assert [each["epoch"] for each in epochs] == [1, 2]


def test_what_is_there_is_tabulated_and_not_run_again(tmp_path):
    experiments = reproduce.select(["article"], ["classification/uniform/*"])
    for experiment in experiments:
        result = run(experiment, 0.86 if experiment.model == "deconv" else 1.0)
        result.write(tmp_path / result.id)
    output = tmp_path / "table.json"
    done = command(
        tmp_path,
        "article",
        "--row",
        "classification/uniform/*",
        "--seeds",
        1,
        "--runs",
        tmp_path,
        "--data",
        "memory",
        "-o",
        output,
    )
    assert done.returncode == 0, done.stderr
    assert "0 runs to do" in done.stdout
    rows = json.loads(output.read_text())["measured"]
    assert [(row["seeds"], row["verdict"]) for row in rows] == [
        (1, "reproduced so far"),
        (1, "reproduced so far"),
    ]


@pytest.mark.slow
def test_a_training_that_fails_keeps_no_other_back(tmp_path, monkeypatch, capsys):
    """The first of two rows diverges; the second is trained, the table is printed, and at the end it is told."""
    small = Experiment(
        "regression", "uniform_16_square3", "coordconv", settings={"epochs": 1}, claim=RIGHT
    )
    diverges = dataclasses.replace(small, settings={"epochs": 2, "learning_rate": 1e30})
    monkeypatch.setitem(SUITES, "article", (diverges, small))
    with pytest.raises(ValueError, match="The loss of coordconv became"):
        many.reproduce_published(["article"], seeds=1, runs=tmp_path, data="memory")
    table = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")
    ]
    verdict = reproduce.COLUMNS.index("verdict")
    assert [cells[verdict] for cells in table[-2:]] == ["not run", "reproduced so far"]


def test_a_run_that_is_made_elsewhere_keeps_no_other_back(tmp_path, monkeypatch, capsys):
    small = Experiment(
        "regression", "uniform_16_square3", "coordconv", settings={"epochs": 1}, claim=RIGHT
    )
    other = dataclasses.replace(small, settings={"epochs": 2})
    monkeypatch.setitem(SUITES, "article", (small, other))
    lock = tmp_path / small.id / ".seed0.lock"
    lock.parent.mkdir(parents=True)
    with (
        filelock.FileLock(lock),
        pytest.raises(ValueError, match="seed0 is being written by another process"),
    ):
        many.reproduce_published(["article"], seeds=1, runs=tmp_path, data="memory")
    out = capsys.readouterr().out
    assert "| not run |" in out
    assert "| reproduced so far |" in out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ({}, "0 runs to do, about 0 s"),
        ({"a": 60.0}, "1 run to do, about 60 s"),
        ({"a": None}, "1 run to do, 1 of unknown length"),
        ({"a": 60.0, "b": None, "c": 30.0}, "3 runs to do, about 90 s and 1 of unknown length"),
    ],
)
def test_what_is_not_known_is_not_said_to_take_no_time(seconds, words, capsys):
    rows = [types.SimpleNamespace(id=key) for key in seconds]
    terminal.print_left([(row, 0) for row in rows], seconds, each=False)
    assert capsys.readouterr().out == f"{words}\n"


def test_every_row_is_run_with_the_first_seed_before_any_with_the_next():
    rows = reproduce.plan(reproduce.select(["article"], ["classification/*/deconv-article"]))
    left = reproduce.left(rows, range(3), [run(DECONV, 0.8, seed=1), run(DECONV, 0.8, seed=5)])
    uniform, quadrant = (row.id for row in rows)
    assert [(row.id, seed) for row, seed in left] == [
        (uniform, 0),
        (quadrant, 0),
        (quadrant, 1),
        (uniform, 2),
        (quadrant, 2),
    ]


def test_only_print_lists_the_runs_with_their_estimates(tmp_path, capsys):
    run(DECONV, 0.8).write(tmp_path / f"{DECONV.id}/seed0")
    many.reproduce_published(
        ["article"], rows=["classification/uniform/*"], seeds=2, only_print=True, runs=tmp_path
    )
    listed = [line for line in capsys.readouterr().out.splitlines() if "/seed" in line]
    assert [line.split(" | ")[0] for line in listed] == [
        "| classification/uniform/coordconv-article/seed0",
        "| classification/uniform/coordconv-article/seed1",
        f"| {DECONV.id}/seed1",
    ]
    assert all(re.fullmatch(r"\d+ (s|min) \|", line.split(" | ")[1]) for line in listed)
    assert not list(tmp_path.rglob("*.lock"))


def test_a_damaged_run_of_another_model_keeps_nothing_back(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    done = command(
        tmp_path,
        "article",
        "--row",
        "regression/uniform/conv-article",
        "--runs",
        tmp_path,
        "--only-print",
    )
    assert done.returncode == 2
    assert "not run" in done.stdout
    assert f"move {tmp_path} away, and run it again." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["articel"], "There is no suite 'articel'"),
        (["article", "--row", "x"], "--row x matches none of the 12 rows"),
        (["article", "--row", ""], "--row '' matches none of the 12 rows"),
        (["article", "--seeds", "0"], "--seeds=0 is"),
        (
            ["article", "--budget", "1"],
            "--budget must be a duration such as 90s, 30m or 1h30m, got '1'.",
        ),
        (
            ["article", "--budget", "1m"],
            "--budget 1m is for runs, and --only-print starts none; omit one.",
        ),
        (["article", "-o", "table.txt"], "table.txt has no known format"),
        (["article", "--data", "disk"], "data='disk' is unknown; expected one of tfds, memory."),
        (["article", "--runs", __file__], "There is no folder"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path):
    done = command(tmp_path, *arguments, "--only-print")
    subprocesses.assert_refused(done.returncode, done.stderr, sentence)


def test_the_markdown_has_a_row_for_each(tmp_path):
    chosen = [*SUITES["article"], *SUITES["failures"]]
    reproduce.write_table(reproduce.table(reproduce.plan(chosen), []), tmp_path / "t.md")
    of = dict(part.split("\n", 1) for part in (tmp_path / "t.md").read_text().split("\n## ")[1:])
    counts = {
        source: sum("not run" in line for line in table.splitlines())
        for source, table in of.items()
    }
    assert counts == {
        "Source: article": 12 + 6,
        "Not published": 1,
        "Source: titu1994/keras-coordconv, issue 9": 1,
    }


def test_the_columns_of_files_are_stable(tmp_path):
    columns = ["source", "task", "config", "model", "published_train", "published_test", "metric"]
    columns += ["seeds", "train", "test", "test_interval", "seconds", "hardware", "software"]
    columns += ["verdict", "remark"]
    rows = reproduce.table(reproduce.plan([DECONV]), [run(DECONV, 0.8)])
    for name in ("t.csv", "t.json"):
        reproduce.write_table(rows, tmp_path / name)
    assert (tmp_path / "t.csv").read_text().splitlines()[0].split(",") == columns
    (row,) = json.loads((tmp_path / "t.json").read_text())["measured"]
    assert list(row) == columns
    assert (row["published_test"], row["test"], row["test_interval"]) == ("85.8 %", 0.8, None)

"""The claims of others: what decides them, and that no verdict comes too early."""

import collections
import dataclasses
import itertools
import json
import pathlib
import re

import pytest

from not_so_clevr import reproduce
from not_so_clevr.cli import many
from not_so_clevr.dataset.config import as_config
from not_so_clevr.reproduce import judging, planning
from not_so_clevr.results import Result, naming, sign_test, theses
from not_so_clevr.results.experiment import Experiment

ROOT = pathlib.Path(__file__).parents[1]
THESES = theses.theses()
NAMES = [each.name for each in THESES]
EVERY = [(thesis, part) for thesis in THESES for part in thesis.parts]


def run(experiment, seed=0, test=1.0, train=1.0, **changes):
    recipe = naming.changed(experiment.recipe, experiment.settings)
    values = {
        "model": experiment.model,
        "recipe": recipe,
        "task": experiment.task,
        "config": experiment.config,
        "seed": seed,
        "metrics": {
            "train": {"accuracy": train, "distance": 0.0},
            "test": {"accuracy": test, "distance": 2.0},
        },
        "accuracy_metric": "accuracy",
        "distance_metric": "distance",
        "parameters": 100,
        "seconds": 60.0,
        "environment": {"device": "abacus"},
    }
    return Result(**(values | changes))


def history(*accuracies, seconds=1.0):
    return [
        {"epoch": k, "loss": 0.0, "test": {"accuracy": each}, "seconds": seconds}
        for k, each in enumerate(accuracies, 1)
    ]


ROW = {"task": "classification", "config": ["uniform_16", "quadrant_16"], "model": "mlp"}
WORDS = dict.fromkeys(("name", "title", "claim", "source", "experiment"), "x")
ONE = Experiment("classification", "uniform_16", "mlp")


def thesis(*parts, comparison=()):
    given = [{"name": "a", "seconds": 1} | ROW | part for part in parts]
    return theses.parse(WORDS | {"part": given, "comparison": comparison})


def judge(made, found):
    """The judgement on a thesis, from runs whose settings are not looked at."""
    runs = {each.id: [] for each in made.experiments}
    for each in found:
        runs[naming.run_id(*each.row)].append(each)
    costs = dict.fromkeys(runs, 10.0)
    return judging._judge(made, runs, costs, dict.fromkeys(runs, "accuracy"))


# The data


def test_every_experiment_can_be_planned_and_built_on_its_canvas():
    experiments = theses.suite("claims")
    rows = planning.plan(experiments)
    assert [row.id for row in rows] == [each.id for each in experiments]
    assert len({row.id for row in rows}) == len(rows)
    kinds = {(r.run.model.name, r.run.task.name, json.dumps(r.run.arguments)): r for r in rows}
    for row in kinds.values():
        row.run.model.build(row.run.task, **row.run.arguments)


@pytest.mark.parametrize(("thesis", "part"), EVERY, ids=lambda each: each.name)
def test_as_many_seeds_are_promised_as_the_rule_needs(thesis, part):
    for each in part.experiments:
        if each.best_of is not None:
            assert (each.seeds, each.best_of.among, each.best_of.seeds) == (3, 3, 10)
        elif part.rule in ("perfect", "fails"):
            assert each.seeds == 10
        else:  # A run of 300 epochs takes an hour.
            long = thesis.name == "longer" and "_" not in each.config
            assert each.seeds in ((3,) if long else (5, 10))


@pytest.mark.parametrize("made", THESES, ids=NAMES)
def test_both_splits_of_the_paper_are_there_unless_the_claim_is_about_another(made):
    splits = {as_config(each.config).split for each in made.experiments}
    assert (
        splits == {"centre"}
        if made.name == "held_out_centre"
        else splits
        >= {
            "uniform",
            "quadrant",
        }
    )
    assert made.comparisons or any(part.rule in ("perfect", "fails") for part in made.parts)


def test_the_grids_are_those_of_the_paper():
    ids = {name: {each.id for each in theses.suite(f"claims/{name}")} for name in NAMES}
    grid = {each.id for each in theses.suite("paper_coordconv_classification")}
    assert ids["grid_classification"] == grid
    rendering = {each.id for each in theses.suite("paper_coordconv_rendering")}
    assert rendering < ids["grid_rendering"]
    assert ids["grid_rendering"] - rendering == {f"{each}-softmax=False" for each in rendering}
    assert {each.id for each in theses.suite("paper_coordconv_regression")} < ids["grid_regression"]
    points = collections.Counter(
        each.best_of for name in NAMES for each in theses.suite(f"claims/{name}") if each.best_of
    )
    assert {grid.points: count for grid, count in points.items()} == {6: 6, 16: 16}


def test_regression_is_a_whole_factorial():
    cells = [
        tuple(each.settings[name] for name in ("relu", "pooling", "gain"))
        for each in theses.suite("claims/pooling")
        if each.config == "uniform_32"
    ]
    whole = itertools.product((False, True), ("max", "mean", "soft_argmax"), (1.0, 1000.0))
    assert sorted(cells) == sorted(whole)
    ids = {each.id for each in theses.suite("claims/pooling")}
    assert {each.id for each in theses.suite("claims/relu")} < ids
    gains = {each.id for each in theses.suite("claims/gain") if each.recipe == "paper"}
    assert len(gains) == 8
    assert gains < ids


def test_the_held_out_centre_is_as_near_to_theirs_as_it_can_be():
    """A bump exp(-d^2 / 2) is brighter than a half in five pixels; the middle half of 26 is 12."""
    about = as_config("centre_28_disc3")
    centres = about.split_centres()
    assert len(centres["test"]) == 12 * 12
    assert len(centres["train"]) + len(centres["test"]) == 26 * 26
    (row,) = planning.plan(
        [each for each in theses.suite("claims/held_out_centre") if each.settings == {"depth": 2}][
            :1
        ]
    )
    recipe = row.run.recipe
    assert recipe.steps == 50 * -(-2000 // 32)
    assert (recipe.batch_size, recipe.learning_rate, recipe.weight_decay) == (32, 1e-3, 0.01)
    assert (recipe.loss, recipe.schedule) == ("brightness", "constant")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (WORDS | {"part": [], "extra": 1}, "claims.toml: x: unknown key 'extra'; expected name, "),
        ({"name": "x"}, "claims.toml: x: title is missing; "),
        (WORDS | {"part": [ROW | {"name": "a"}]}, "claims.toml: x, part 1: seconds is missing; "),
        (
            WORDS | {"part": [ROW | {"name": "a", "seconds": 1, "rule": "best"}]},
            "claims.toml: x, part 1: rule='best' is unknown; expected one of perfect, fails.",
        ),
        (
            WORDS
            | {
                "part": [ROW | {"name": "a", "seconds": 1}],
                "comparison": [{"name": "n", "rule": "better", "first": ["a"], "second": ["b"]}],
            },
            "claims.toml: x: there is no part 'b' to compare; expected one of a.",
        ),
        (
            WORDS
            | {
                "part": [
                    ROW | {"name": "a", "seconds": 1},
                    ROW | {"name": "b", "seconds": 1, "config": "uniform_16"},
                ],
                "comparison": [{"name": "n", "rule": "better", "first": ["a"], "second": ["b"]}],
            },
            "claims.toml: x: ['a'] and ['b'] cannot be paired; give them the same tasks and configs",
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_one_sentence(row, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        theses.parse(row)


# The suites


def test_all_claims_are_a_suite_and_so_is_each():
    names = theses.suite_names()
    assert names[names.index("claims") :] == ["claims", *(f"claims/{name}" for name in NAMES)]
    together = {each.id for name in NAMES for each in theses.suite(f"claims/{name}")}
    assert {each.id for each in theses.suite("claims")} == together
    with pytest.raises(ValueError, match="no suite 'claims/gian' .did you mean 'claims/gain'"):
        reproduce.select(["claims/gian"])


def test_an_experiment_of_two_theses_has_the_larger_promise_and_stays_a_point():
    key = "classification/uniform/coordconv-paper-batch_size=16-l2=0.0-learning_rate=0.005"
    (each,) = (each for each in theses.suite("claims") if each.id == key)
    assert each.seeds == 5  # Of the headline
    assert each.best_of is not None


def test_each_row_gets_the_seeds_that_it_promises():
    a, b = (
        dataclasses.replace(ONE, config=c, seeds=n) for c, n in (("rows_16", 1), ("border_16", 3))
    )
    rows = planning.plan([a, b])
    assert [(row.experiment.config, seed) for row, seed in planning.left(rows, None, [])] == [
        ("rows_16", 0),
        ("border_16", 0),
        ("border_16", 1),
        ("border_16", 2),
    ]
    assert len(planning.left(rows, range(2), [])) == 4


def test_the_best_point_of_a_grid_gets_more_seeds_once_all_points_have_theirs():
    made = thesis({"settings": {"l2": [0.0, 0.1]}, "seeds": 2, "best": 5})
    points = [each for each in made.experiments if each.config == "uniform_16"]
    bad, good = points
    runs = [[run(bad, seed, 0.4) for seed in (0, 1)], [run(good, seed, 0.9) for seed in (0, 1)]]
    assert planning.promised(points, [runs[0], runs[1][:1]]) == [2, 2]
    assert planning.promised(points, runs) == [2, 5]
    assert planning.promised(points[1:], runs[1:]) == [2]  # --row picked one point of two.


def test_the_best_point_is_perfect_most_often_then_most_often_right_then_closest():
    def of(*tests, distance=0.0):
        values = {"test": {"accuracy": 0.5, "distance": distance}}
        return (
            [run(ONE, seed, test) for seed, test in enumerate(tests)]
            if tests
            else [run(ONE, metrics={"train": values["test"], **values})]
        )

    assert planning.best_point([of(0.9, 0.9), of(1.0, 0.0)]) == 1
    assert planning.best_point([of(0.5, 0.6), of(0.5, 0.7)]) == 1
    assert planning.best_point([of(distance=2.0), of(distance=1.0), of(distance=1.0)]) == 1
    assert planning.best_point([of(1.0), None]) is None


def test_a_written_duration_is_an_estimate_until_a_run_with_the_recipe_is_known():
    (row,) = planning.plan([dataclasses.replace(ONE, seconds=7.0)])
    other = run(ONE, history=history(1.0), settings={"epochs": 1})
    assert planning.estimates([row], [other]) == {row.id: 7.0}
    same = dataclasses.replace(other, settings=row.run.saved_recipe)
    assert planning.estimates([row], [same, other]) == {row.id: 60.0}


# The rules


def test_perfect_is_every_seed_on_train_and_test():
    right, off = run(ONE), run(ONE, 1, train=0.999)
    assert judging.perfect(3 * [right]) == judging.Finding("3 of 3 perfect", True)
    assert judging.perfect([right, off, right]) == judging.Finding("2 of 3 perfect", False)


def test_failing_is_at_most_a_tenth_of_test_with_every_seed():
    runs = [run(ONE, test=test, train=0.9) for test in (0.0, 0.1)]
    fails = judging.Finding("2 of 2 fail", True, "with 90.0 % of train right")
    assert judging.fails(runs) == fails
    assert judging.fails([*runs, run(ONE, test=0.1001, train=0.9)]).holds is False


@pytest.mark.parametrize(
    ("more", "less", "p"), [(5, 0, 1 / 16), (6, 0, 1 / 32), (1, 9, 11 / 512), (0, 0, 1), (3, 3, 1)]
)
def test_the_sign_test_counts_coins(more, less, p):
    assert sign_test(more, less) == pytest.approx(p)


@pytest.mark.parametrize(
    ("more", "less", "equal", "holds"),
    [
        (6, 0, 3, True),
        (5, 0, 0, None),
        (0, 6, 0, False),
        (9, 1, 0, True),
        (8, 2, 0, None),
        (0, 0, 5, None),
    ],
)
def test_better_is_decided_by_pairs_and_ties_say_nothing(more, less, equal, holds):
    high, low = run(ONE, test=0.6), run(ONE, test=0.5)
    pairs = more * [(high, low)] + less * [(low, high)] + equal * [(low, low)]
    found = judging.better(pairs)
    assert found.holds is holds
    assert found.text.startswith(f"{more} to {less} of {len(pairs)} pairs, p ")


def test_a_smaller_distance_is_better():
    def at(distance):
        return run(ONE, metrics={"test": {"accuracy": 0.0, "distance": distance}})

    assert judging.better(6 * [(at(1.0), at(2.0))], "distance").holds is True
    assert judging.better(6 * [(at(2.0), at(1.0))], "distance").holds is False


def test_a_data_set_that_says_the_opposite_is_named():
    high, low = run(ONE, test=0.6), run(ONE, test=0.5)
    there = tuple(dataclasses.replace(each, config="border_16") for each in (low, high))
    found = judging.better([*7 * [(high, low)], *3 * [there]])
    assert found.text == "7 to 3 of 10 pairs, but 0 to 3 on `border_16`, p = 0.344"
    assert judging.better([*7 * [(high, low)], *2 * [there]]).text == "7 to 2 of 9 pairs, p = 0.180"
    assert "border" not in judging.better([*9 * [(high, low)], *4 * [there], there[::-1]]).text
    assert "but" not in judging.better([*3 * [(high, low)], *3 * [there]]).text


def test_faster_is_to_the_best_that_the_rival_ever_reaches():
    """The rival is at its best, 60 %, after 100 s, which the first passes after 2 s and after 4 s."""
    rival = run(ONE, history=history(0.2, 0.6, 0.5, seconds=50.0))
    quick, slow = (run(ONE, history=history(0.5, 0.7, 1.0, seconds=s)) for s in (1.0, 2.0))
    pairs = [(quick, rival), (slow, rival)]
    found = judging.faster(pairs, times=25)
    assert found.holds is True
    assert found.text == (
        "37.5 times faster to 60.0 %: 3 s against 100 s; to 100 %: 4 s (2 of 2) against never (0 of 2)"
    ).replace("100 s;", "2 min;")
    assert judging.faster(pairs, times=26).holds is None
    assert judging.faster(pairs, times=51).holds is False


def test_times_of_different_machines_or_unknown_ones_are_not_compared():
    one = run(ONE, history=history(1.0))
    other = dataclasses.replace(one, environment={"device": "a cloud"})
    assert judging.faster([(one, other)], 2).text == "on different machines: a cloud; abacus"
    assert judging.faster([(one, run(ONE))], 2).holds is None


def test_a_comparison_of_times_tells_of_different_machines_before_all_runs_are_made():
    """Those that are missing would not decide it: the others have to be made again."""
    compared = {"name": "a against b", "rule": "faster", "first": ["a"], "second": ["b"]}
    made = thesis(
        {"config": "uniform_16", "seeds": 2},
        {"name": "b", "config": "uniform_16", "settings": {"l2": 0.1}, "seeds": 2},
        comparison=[compared | {"times": 2}],
    )
    one, two = made.experiments
    found = [run(one), run(two, environment={"device": "a cloud"})]
    ((_, finding),) = judge(made, found).findings
    assert finding.text == "1 of 2 pairs so far, on different machines"
    ((_, finding),) = judge(made, [run(one), run(two)]).findings
    assert finding.text == "1 of 2 pairs so far"


def test_smaller_is_a_ratio_of_parameters():
    one, other = run(ONE, parameters=7553), run(ONE, parameters=103_585)
    assert judging.smaller([(one, other)], 10) == judging.Finding(
        "13.7 times fewer: 7,553 against 103,585", True
    )
    assert judging.smaller([(one, other)], 14).holds is False


# The verdicts


def test_there_is_no_verdict_before_all_promised_runs():
    made = thesis({"rule": "perfect", "seeds": 2})
    runs = [run(each, seed) for each in made.experiments for seed in (0, 1)]
    assert judge(made, []).verdict == "Not run."
    assert judge(made, runs[:3]).verdict == "No verdict yet: 3 of 4 runs."
    assert [line.finding for line in judge(made, runs[:3]).lines] == [
        "2 of 2 perfect",
        "1 of 2 runs so far",
    ]
    assert judge(made, runs).verdict == "Confirmed: a (4 of 4 perfect)."


def test_a_finding_is_about_all_runs_of_a_part():
    made = thesis({"rule": "fails", "seeds": 1, "settings": {"l2": [0.0, 0.1, 0.2]}})
    runs = [run(each, test=each.settings["l2"], train=0.9) for each in made.experiments]
    found = judge(made, runs)
    assert found.verdict == "Refuted: a (4 of 6 fail)."
    assert found.lines[0].finding == "1 of 1 fail, with 90.0 % of train right"


def test_what_no_further_run_can_mend_is_said_before_there_is_a_verdict():
    made = thesis({"rule": "perfect", "seeds": 2, "config": "uniform_16"})
    (each,) = made.experiments
    assert judge(made, [run(each, test=0.9)]).verdict == (
        "No verdict yet: 1 of 2 runs, some of them not as claimed."
    )


def test_the_table_shows_the_metric_that_decides():
    compared = {"rule": "better", "first": ["a"], "second": ["b"], "metric": "distance"}
    made = thesis({}, {"name": "b", "settings": {"l2": 0.1}}, comparison=[compared | {"name": "n"}])
    (line, *_) = judge(made, [run(made.experiments[0])]).lines
    assert (line.metric, line.test, judging.cells(line)[6]) == ("distance", 2.0, "2 px")


def test_runs_with_seeds_beyond_the_promise_change_nothing():
    made = thesis({"rule": "perfect", "seeds": 1, "config": "uniform_16"})
    (each,) = made.experiments
    found = judge(made, [run(each, 1, test=0.0), run(each, 0)])
    assert found.verdict == "Confirmed: a (1 of 1 perfect)."
    assert judge(made, [run(each, 1)]).verdict == "Not run."


@pytest.mark.parametrize(
    ("holds", "word"),
    [
        ((True, True), "Confirmed:"),
        ((False, False), "Refuted:"),
        ((None, None), "Undecided:"),
        ((True, False), "Confirmed in part."),
        ((True, None), "Confirmed in part."),
        ((False, None), "Not confirmed."),
    ],
)
def test_the_word_of_a_verdict(holds, word):
    sentence = judging.verdict([("this", judging.Finding("so", each)) for each in holds])
    assert sentence.startswith(f"{word} ")
    assert sentence.count("this (so)") == 2


def test_a_verdict_names_all_findings_by_their_outcome():
    outcomes = {"good": True, "bad": False, "fine": True, "odd": None}
    findings = [(about, judging.Finding("1 of 2", holds)) for about, holds in outcomes.items()]
    assert judging.verdict(findings) == (
        "Confirmed in part. As claimed: good (1 of 2); fine (1 of 2). "
        "Not as claimed: bad (1 of 2). Undecided: odd (1 of 2)."
    )


def test_a_grid_is_judged_by_its_best_point_with_more_seeds():
    made = thesis(
        {
            "settings": {"l2": [0.0, 0.1]},
            "seeds": 1,
            "best": 3,
            "rule": "perfect",
            "config": "rows_16",
        }
    )
    bad, good = made.experiments
    runs = [run(bad, 0, test=0.2), *(run(good, seed) for seed in range(3))]
    (line,) = judge(made, runs[:2]).lines
    assert (line.seeds, line.promised, line.judged, line.finding) == (2, 4, 1, "2 of 4 runs so far")
    assert judge(made, runs[:2]).verdict == "No verdict yet: 2 of 4 runs."
    done = judge(made, runs)
    assert (done.lines[0].varied, done.lines[0].perfect, done.lines[0].points) == ("l2=0.1", 3, 2)
    assert done.verdict == "Confirmed: a (3 of 3 perfect)."
    assert done.seconds == 40.0  # Four runs of ten seconds


def test_a_comparison_pairs_runs_by_experiment_and_seed():
    comparison = {"name": "a against b", "rule": "better", "first": ["a"], "second": ["b"]}
    made = thesis(
        {"seeds": 3},
        {"name": "b", "seeds": 3, "settings": {"l2": 0.1}},
        comparison=[comparison],
    )
    runs = [
        run(each, seed, 0.1 * seed + 0.05 * (not each.settings))
        for each in made.experiments
        for seed in range(3)
    ]
    found = judge(made, runs)
    assert found.verdict == "Confirmed: a against b (6 to 0 of 6 pairs, p = 0.031)."
    (name, finding) = judge(made, runs[:-1]).findings[0]
    assert (name, finding.text) == ("a against b", "5 of 6 pairs so far")
    pages = [judging.to_markdown([judge(made, known)]) for known in (runs, runs[:-1])]
    assert [page.count("a against b") for page in pages] == [1, 1]


# The page and the command


def test_the_page_is_short():
    text = (ROOT / "docs" / "claims.md").read_text("utf-8")
    prose = [line for line in text.splitlines() if not line.startswith(("|", "`not-so", "<!--"))]
    assert 1000 < len(" ".join(prose).split()) <= 1500
    assert re.findall(r"reproduce (claims/\w+)", text) == [each.suite for each in THESES]


def test_a_table_has_a_row_for_each_part_and_a_column_for_each_config():
    made = thesis({"settings": {"l2": [0.0, 0.1]}, "seeds": 1})
    made = dataclasses.replace(made, title="150 times, or more", source="me")
    page = judging.to_markdown([judge(made, [run(made.experiments[0], test=0.5)])])
    assert "| claim | by | verdict |" in page
    assert "| [150 times, or more](#150-times-or-more) | me | No verdict yet: 1 of 4 runs |" in page
    assert "| network | uniform_16 | quadrant_16 | a run takes |" in page
    assert "| a, l2=0.0 | 0 of 1<br>50.0 % | not run | 10 s |" in page
    assert "| a, l2=0.1 | not run | not run | 10 s |" in page


def test_a_claim_is_reproduced_by_its_name(tmp_path, capsys):
    file = tmp_path / "claims.json"
    many.reproduce_published(["claims/no_training"], only_print=True, runs=tmp_path, output=[file])
    printed = capsys.readouterr().out
    assert re.match(r"60 runs to do, about \d+ min\n", printed)
    assert "| no_training | no weights | regression | quadrant | 0 of 10 |" in printed
    assert printed.count("Not run.") == 1
    saved = json.loads(file.read_text())
    assert saved["verdicts"] == {"no_training": "Not run."}
    assert [line["promised"] for line in saved["measured"]] == 6 * [10]


def test_claims_and_published_results_have_tables_of_their_own(tmp_path):
    with pytest.raises(ValueError, match="claims and paper have different tables; run one of them"):
        many.reproduce_published(["claims", "paper"], only_print=True, runs=tmp_path)

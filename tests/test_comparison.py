"""Exact intervals and paired tests, and the comparison of two models."""

import dataclasses

import numpy as np
import pytest
import run_files
from typer.testing import CliRunner

from not_so_clevr import cli, results
from not_so_clevr.checks import UserError
from not_so_clevr.results import Pairs, comparison


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (10, 10, 0.025 ** (1 / 10), 1.0),  # The closed forms: 0.6915, 0.3085
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),
        (5, 5, 0.025 ** (1 / 5), 1.0),
        (1, 1, 0.025, 1.0),
        (5, 10, 0.1871, 0.8129),  # Tables of Clopper and Pearson
        (8, 10, 0.4439, 0.9748),
    ],
)
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(successes, trials, low, high):
    assert results.share_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1.0),
        (3, 0, 2 / 8),
        (0, 5, 2 / 32),
        (10, 0, 2 / 1024),
        (3, 3, 1.0),
        (8, 2, 2 * (45 + 10 + 1) / 1024),
        (6, 16, 0.0525),  # A textbook table: 22 discordant pairs
    ],
)
def test_the_paired_test_is_that_of_a_fair_coin(first, second, p):
    assert results.sign_test(first, second) == pytest.approx(p, abs=5e-5)
    assert Pairs(100, first, second, 7).p == results.sign_test(first, second)


def test_seeds_and_examples_are_paired():
    """Of 49 test examples the second model gets the first 0, 12 and 49 wrong, the first model none."""
    good = [run_files.result("good", seed=seed) for seed in range(4)]
    bad = [
        run_files.result("bad", seed=seed, wrong=share)
        for seed, share in enumerate((0.0, 12 / 49, 1.0))
    ]
    (found,) = results.compare("good", "bad", [*good, *bad])
    assert found.seeds == Pairs(both=1, first=2, second=0, neither=0)
    assert found.examples == Pairs(both=49 + 37, first=12 + 49, second=0, neither=0)
    assert comparison.cells(found) == [
        ["classification", run_files.CONFIG, "seeds", "3 of 3", "1 of 3", "2", "0", "0.500"],
        [
            "classification",
            run_files.CONFIG,
            "examples",
            "147 of 147",
            "86 of 147",
            "61",
            "0",
            "< 0.001",
        ],
    ]


def test_examples_are_paired_by_their_coordinates():
    one, two = (run_files.result(model, wrong=0.5) for model in ("one", "two"))
    columns = {name: values[::-1] for name, values in two.examples["test"].items()}
    two = dataclasses.replace(two, examples={**two.examples, "test": columns})
    (found,) = results.compare("one", "two", [one, two])
    assert (found.examples.first, found.examples.second) == (0, 0)
    assert found.examples.both + found.examples.neither == 49


def test_without_their_examples_seeds_are_compared_alone():
    one = run_files.result("one")
    two = dataclasses.replace(run_files.result("two"), examples={})
    (found,) = results.compare("one", "two", [one, two])
    assert found.examples is None
    assert [row[2] for row in comparison.cells(found)] == ["seeds"]
    assert comparison.to_markdown([found]).count("\n") == 3


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (
            "one",
            "twoo",
            r"There are no runs of 'twoo'.*did you mean 'two'.*; expected one of one, two",
        ),
        ("one", "one", "one was given twice; expected two models."),
        (None, "two", "There are no runs of None; expected one of one, two"),
        (["one"], "two", r"There are no runs of \['one'\]; expected one of one, two"),
        (
            "one",
            "two",
            "one and two have no task, config and seed in common: one has classification on "
            r"quadrant_16_square3 \(seed 0\); two has classification on .* \(seed 1\)\.",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(first, second, sentence):
    runs = [run_files.result("one", seed=0), run_files.result("two", seed=1)]
    with pytest.raises(UserError, match=sentence):
        results.compare(first, second, runs)


def test_labels_of_the_same_model_are_named_first_and_not_all():
    runs = [run_files.result("other", recipe=f"epochs={k}") for k in range(20)]
    runs.append(run_files.result("my.net", recipe="epochs=3"))
    with pytest.raises(UserError) as error:
        results.compare("my:net", "other", runs)
    assert str(error.value) == "There are no runs of 'my:net'; expected one of my.net-epochs=3."
    with pytest.raises(UserError, match=r"other-epochs=7, or one of 13 more\.$"):
        results.compare("nothing", "other", runs)


def test_an_example_is_right_or_not():
    np.testing.assert_array_equal(
        comparison._right(run_files.result("one", wrong=1.0)), np.zeros(49, bool)
    )


def test_seeds_of_a_user_are_not_completed_with_those_of_the_reference(tmp_path):
    """The reference has three seeds of conv and ten of coordconv; the user has one of conv."""
    run = run_files.result("conv", task="regression", config="quadrant", wrong=1.0)
    run.write(tmp_path / run.id)
    done = CliRunner().invoke(cli.app, ["compare", "conv", "coordconv", str(tmp_path)])
    (row,) = [
        line for line in done.output.splitlines() if "| regression | quadrant | seeds" in line
    ]
    assert row.startswith("| regression | quadrant | seeds | 0 of 1 | 1 of 1 |")

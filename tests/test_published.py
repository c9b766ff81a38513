"""What others published, as the package has it: the counts and numbers that the sources give."""

import collections
import dataclasses
import re

import pytest

from not_so_clevr.results import published
from not_so_clevr.results.experiment import Claim, Experiment

ROWS = {
    "article": 12,
    "paper": 13,
    "failures": 8,
    "paper_deconv_classification": 2 * 324,
    "paper_deconv_rendering": 2 * 648,
    "paper_coordconv_classification": 2 * 6,
    "paper_coordconv_rendering": 2 * 8,
    "paper_conv_regression": 2 * 9,
    "paper_coordconv_regression": 2 * 1,
}


def test_every_suite_has_as_many_rows_as_its_source():
    assert {name: len(rows) for name, rows in published.suites().items()} == ROWS


@pytest.mark.parametrize("name", ROWS)
def test_an_id_is_there_once_in_its_suite(name):
    ids = collections.Counter(each.id for each in published.suites()[name])
    assert [key for key, times in ids.items() if times > 1] == []


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("paper_")])
def test_a_grid_is_on_both_splits(name):
    splits = collections.Counter(each.config for each in published.suites()[name])
    assert splits == {"uniform": ROWS[name] / 2, "quadrant": ROWS[name] / 2}


@pytest.mark.parametrize(
    ("key", "epochs", "train", "test", "expected"),
    [
        ("classification/uniform/coordconv-article", "100", "100 %", "100 %", (1, 1)),
        ("classification/uniform/deconv-article", "200", "100 %", "85.8 %", (0.808, 0.908)),
        ("classification/quadrant/deconv-article", "200", "100 %", "0 %", (0, 0.05)),
        ("regression/quadrant/coordconv-article", "50", "100 %", "100 %", (1, 1)),
        ("regression/uniform/conv-article", "100", "48.6 %", "47.7 %", (0.427, 0.527)),
        ("regression/quadrant/conv-article_quadrant", "100", "40.2 %", "7.1 %", (0.021, 0.121)),
    ],
)
def test_a_number_is_that_of_the_article(key, epochs, train, test, expected):
    (claim,) = (each.claim for each in published.suites()["article"] if each.id == key)
    assert (claim.source, claim.epochs, claim.train, claim.test) == ("article", epochs, train, test)
    assert claim.expected == expected


def test_a_number_is_that_of_the_paper():
    key = "classification/quadrant/coordconv-paper-batch_size=16-l2=0.0-learning_rate=0.005"
    (claim,) = (each.claim for each in published.suites()["paper"] if each.id == key)
    test = "100 %, in 10 to 20 s on a GPU"
    assert (claim.epochs, claim.train, claim.test, claim.points) == ("50", "100 %", test, 1)


@pytest.mark.parametrize("name", ROWS)
def test_a_number_that_is_not_perfect_may_be_missed_by_five_points(name):
    numbers = 0
    for claim in filter(None, (each.claim for each in published.suites()[name])):
        if claim.expected and (number := re.fullmatch(r"(\S+) %", claim.test)):
            share, (low, high) = float(number[1]) / 100, claim.expected
            slack = 0 if share == 1 else 0.05
            assert (low, high) == pytest.approx((max(0, share - slack), share + slack))
            numbers += 1
    assert numbers == {"article": 8, "failures": 1}.get(name, 0)


@pytest.mark.parametrize("name", ROWS)
def test_values_are_of_the_right_kind(name):
    for each in published.suites()[name]:
        texts = dataclasses.asdict(each) | dataclasses.asdict(each.claim or Claim(source=""))
        points, expected, settings = (texts.pop(key) for key in ("points", "expected", "settings"))
        assert (texts.pop("seeds"), texts.pop("best_of"), texts.pop("seconds")) == (3, None, None)
        del texts["claim"]
        assert {type(text) for text in texts.values()} == {str}
        assert type(points) is int
        assert expected is None or [type(end) in (int, float) for end in expected] == [True, True]
        assert all(type(value) in (int, float, str, bool) for value in settings.values())


def test_an_experiment_that_nobody_published_may_have_a_remark():
    (own,) = (each for each in published.suites()["failures"] if each.claim is None)
    assert own.id == "rendering/quadrant/tiled_conv"
    assert own.remark == "tiled, without coordinates; not published"


def test_a_row_that_is_the_same_as_another_is_that_row():
    article, failures = (published.suites()[name] for name in ("article", "failures"))
    assert [each.id for each in failures if each in article] == [
        "classification/quadrant/deconv-article",
        "rendering/quadrant/coordconv-article",
    ]


def test_the_file_is_read_once():
    assert published.suites() is published.suites()
    assert published.published_rows() is published.published_rows()


OWN = "expected task, config, model, recipe, settings, remark, source"
ROW = {"task": "regression", "config": "quadrant", "model": "conv"}


@pytest.fixture
def read(monkeypatch):
    """Reads rows as those of the suite [[mine]]."""

    def read(*rows):
        monkeypatch.setattr(published, "_file", lambda: {"mine": rows})
        return published.suites.__wrapped__()["mine"]

    return read


def test_a_row_in_plain_keys_is_an_experiment_with_a_claim(read):
    told = {"source": "us", "test": "50 %", "expected": [0.45, 0.55], "points": 2}
    claim = Claim(source="us", test="50 %", expected=(0.45, 0.55), points=2)
    row = ROW | told | {"remark": "odd"}
    assert read(row) == (Experiment("regression", "quadrant", "conv", claim=claim, remark="odd"),)


def test_lists_are_combined_and_the_last_changes_fastest(read):
    settings = {"l2": [0.0, 0.1], "epochs": 3, "size": [1, 2]}
    rows = read(ROW | {"config": ["uniform", "quadrant"], "settings": settings})
    points = [(0.0, 3, 1), (0.0, 3, 2), (0.1, 3, 1), (0.1, 3, 2)]
    assert [(each.config, tuple(each.settings.values())) for each in rows] == [
        *(("uniform", point) for point in points),
        *(("quadrant", point) for point in points),
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (ROW | {"source": "us", "tset": "1 %"}, f"unknown key 'tset'; {OWN}, epochs, "),
        (ROW | {"test": "1 %"}, f"unknown key 'test'; {OWN}."),
        ({"task": "regression", "model": "conv"}, "config is missing; expected a word, or a list"),
        (
            {"same_as": "a/b/c"},
            "same_as = 'a/b/c' is not the id of an experiment in a suite above.",
        ),
        (ROW | {"same_as": "a/b/c"}, "unknown key 'same_as'; "),
    ],
)
def test_what_is_wrong_with_a_row_is_one_sentence(read, row, sentence):
    whole = f"published.toml: row 2 of [[mine]]: {sentence}"
    with pytest.raises(ValueError, match=re.escape(whole)):
        read(ROW, row)

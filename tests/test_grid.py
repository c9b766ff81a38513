"""Grids in TOML: every combination once, and one sentence for what is wrong."""

import itertools
import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr.reproduce import grids
from not_so_clevr.results import published

EXAMPLE = """
model = "coordconv"
task = "classification"
config = ["uniform", "quadrant"]
recipe = "paper"
seeds = 3
[grid]
learning_rate = [0.001, 0.005]
l2 = [0.0, 0.001]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "grid.toml"
        file.write_text(text)
        return str(file)

    return write


def test_the_example_is_every_combination(write):
    read = grids.read(write(EXAMPLE))
    assert list(read.seeds) == [0, 1, 2]
    assert [row.id for row in read.plan()] == [
        f"classification/{config}/coordconv-paper-l2={l2}-learning_rate={rate}"
        for config in ("uniform", "quadrant")
        for rate in ("0.001", "0.005")
        for l2 in ("0.0", "0.001")
    ]
    (one,) = read.plan(["*/quadrant/*-l2=0.0-learning_rate=0.005"])
    assert (one.run.recipe.learning_rate, one.run.recipe.l2, one.run.config.name) == (
        0.005,
        0.0,
        "quadrant",
    )


def test_it_is_the_grid_of_the_paper(write):
    """The named grid, written as a file, has the same runs."""
    text = EXAMPLE.replace("[0.001, 0.005]", "[0.001, 0.005, 0.01]") + "batch_size = 16\n"
    suite = grids.read("paper_coordconv_classification").plan()
    assert {row.id for row in grids.read(write(text)).plan()} == {row.id for row in suite}
    assert grids.read("paper").experiments == published.suites()["paper"]


def test_the_default_recipe_may_be_named(write):
    text = 'model = "coordconv"\ntask = "regression"\nconfig = "quadrant"\n'
    (silent,), (named,) = (
        grids.read(write(text)).plan(),
        grids.read(write(text + 'recipe = "tuned"')).plan(),
    )
    assert silent.id == named.id == "regression/quadrant/coordconv"
    assert grids.read(write(text)).seeds is None
    assert list(grids.read(write(text + "seeds = [7, 3]")).seeds) == [7, 3]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_have_a_byte_order_mark(tmp_path, encoding):
    """As editors and the shell of Windows write it."""
    text = 'model = "é:build"\r\ntask = "regression"\r\nconfig = "quadrant"\r\n'
    (tmp_path / "grid.toml").write_bytes(text.encode(encoding))
    (experiment,) = grids.read(str(tmp_path / "grid.toml")).experiments
    assert experiment.model == "é:build"


words = st.lists(st.text("abcz_", min_size=1), min_size=1, max_size=3, unique=True)
values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text("a/ '"),
    st.lists(st.integers(), max_size=2),
)


settings = st.dictionaries(
    st.text("abz", min_size=1), st.lists(values, min_size=1, max_size=3, unique_by=repr), max_size=3
)


@given(words, words, words, settings)
def test_every_combination_is_there_once(tasks, configs, models, axes):
    read = grids.parse("g.toml", {"task": tasks, "config": configs, "model": models, "grid": axes})
    seen = [
        (e.task, e.config, e.model, *map(repr, map(e.settings.get, axes))) for e in read.experiments
    ]
    expected = itertools.product(
        tasks, configs, models, *(map(repr, values) for values in axes.values())
    )
    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "modle = 'conv'",
            "unknown key 'modle'; expected model, task, config, recipe, seeds, grid. Settings belong below [grid].",
        ),
        ("recipe = 3", "recipe must be a non-empty string, or a list of them, got 3."),
        ("recipe = []", "recipe is an empty list; give at least one value."),
        ("recipe = ['paper', 'paper']", "recipe has 'paper' twice; remove one."),
        ("seeds = 0", "seeds=0 is out of range; expected an integer from 1 to 10000."),
        ("seeds = 'a'", "seeds='a' is a str; expected an integer"),
        ("seeds = true", "seeds=True is a bool; expected an integer"),
        ("seeds = [-1]", "seeds=-1 is out of range; expected an integer from 0 to"),
        ("seeds = [1, 1]", "seeds has 1 twice; remove one."),
        (
            "grid = 3",
            "grid must be a table, got 3; write [grid], and lines such as l2 = [0.0, 0.001] below it.",
        ),
        ("grid.l2 = []", "l2 is an empty list"),
        ("grid.l2 = [0.1, 1e-1]", "l2 has 0.1 twice"),
        ("grid.l2 = [0, 1, 0.0]", "l2 has 0 twice"),
        (f"grid.l2 = [1, {10**400}, 1.0]", "l2 has 1 twice"),
        (
            "grid.l2 = 2020-01-01",
            "l2 must be a number, a string, a boolean, or a list of them, got datetime.date(",
        ),
        ("grid.l2 = {a = 1}", "or a list of them, got {'a': 1}."),
        ("grid.'l 2' = 1", "a setting needs a name such as learning_rate, got 'l 2'."),
        ("grid.l2 = [0.1", "is not a TOML file: "),
        ("grid.l2 = nan", "l2 must be a number from 0 to below 1e+300, got nan."),
        ("grid.l2 = -1", "l2 must be a number from 0 to below 1e+300, got -1."),
        (
            "recipe = 'nope'",
            "coordconv has no recipe 'nope'; expected one of tuned, article, paper, rule.",
        ),
        ("recipe = ['tuned', '']", "recipe must be a non-empty string, or a list of them, got ''."),
        (
            "grid.pooling = ['a/b', 'a:b']",
            "has two experiments named regression/quadrant/coordconv-pooling=",
        ),
        (
            "\n".join(f"grid.a{k} = {list(range(10))}" for k in range(5)),
            "has 100000 combinations, more than 10000; split it into several grids.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_file(write, line, sentence):
    file = write(f"model = 'coordconv'\ntask = 'regression'\nconfig = 'quadrant'\n{line}\n")
    with pytest.raises(ValueError, match=re.escape(sentence)) as raised:
        grids.read(file).plan()
    assert str(raised.value).startswith(file)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["model", "task", "config"])
def test_what_is_missing_is_named(key):
    table = {"model": "coordconv", "task": "regression", "config": "quadrant"}
    del table[key]
    with pytest.raises(
        ValueError, match=f"^g.toml: {key} is missing; expected a word, or a list of words.$"
    ):
        grids.parse("g.toml", table)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(
        OSError,
        match=r"^Cannot read .*none.toml: No such file or directory; expected a TOML file.$",
    ):
        grids.read(str(tmp_path / "none.toml"))
    binary = pathlib.Path(tmp_path, "binary.toml")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a TOML file"):
        grids.read(str(binary))

"""Every Python example of the README and the docs runs, each page from top to bottom in one process.

Tables of counts agree with the data sets.
"""

import json
import math
import pathlib
import re
import subprocess
import sys

import h5py
import pytest
import subprocesses
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import shapes, splits
from not_so_clevr.dataset.config import CONFIGS, NotSoClevrConfig, as_config

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = {
    page: re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    for page in PAGES
}
VALUE = r"(?:\([\d, ]*\)|[\d.]+|True|False)"
SAID = re.compile(
    rf"print\((.*)\)  # ({VALUE}(?: {VALUE})*).*"
)  # What a line prints, and the values that are said to come
EXTRA = re.compile(
    r"import (torch|datasets)\n"
)  # With which an example begins that needs one more package, and nothing of the examples above it


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page, examples in EXAMPLES.items() if not all(map(EXTRA.match, examples))],
    ids=lambda page: page.name,
)
def test_the_examples_run(page, tmp_path):
    run([example for example in EXAMPLES[page] if not EXTRA.match(example)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "package"),
    [("benchmark.md", "torch"), ("frameworks.md", "datasets"), ("frameworks.md", "torch")],
)
def test_an_example_with_one_more_package_runs(page, package, tmp_path):
    pytest.importorskip(package)
    examples = EXAMPLES[ROOT / "docs" / page]
    alone = [each for each in examples if each.startswith(f"import {package}\n")]
    assert alone
    for example in alone:
        assert SAID.search(example)
        run([example], tmp_path)


def run(examples: list[str], folder: pathlib.Path) -> None:
    """Runs examples one after the other in one process; they print the values that they are said to print."""
    text = "\n".join(examples)
    (folder / "example.py").write_text(SAID.sub(r"print('says \2 and prints', \1)", text))
    code = f"import os, runpy; os.chdir({str(folder)!r}); runpy.run_path('example.py')"
    lines = subprocesses.run(
        code,
        TFDS_DATA_DIR=folder / "tensorflow_datasets",
        HF_HOME=folder / "huggingface",
        MPLBACKEND="agg",
    ).splitlines()
    found = [re.fullmatch(r"says (.*) and prints (.*)", line) for line in lines]
    pairs = [pair.groups() for pair in found if pair]
    assert {said for said, _ in pairs} == {said for _, said in SAID.findall(text)}
    assert all(f"{printed} ".startswith(f"{said} ") for said, printed in pairs), pairs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_examples_are_found():
    assert {page.name for page, examples in EXAMPLES.items() if examples} >= {
        "README.md",
        "dataset.md",
    }


@pytest.mark.slow
def test_the_examples_of_the_recipes_run(tmp_path):
    """Softmax without the pixels that are never right; what a first layer looks at; units that are dead."""
    arguments = [
        "--task",
        "classification",
        "--config",
        "quadrant_16",
        "--set",
        "epochs=1",
        "--data",
        "memory",
    ]
    for model in ("masked_softmax:build", "coordconv"):
        done = subprocesses.command(
            "train", model, *arguments, "--runs", tmp_path, cwd=ROOT / "docs" / "examples"
        )
        assert done.returncode == 0, done.stderr
    (run,) = tmp_path.glob("classification/quadrant_16/coordconv*/seed0")

    def said(name):
        script = ROOT / "docs" / "examples" / name
        output = subprocess.run(
            [sys.executable, script, run], capture_output=True, text=True, check=True
        ).stdout
        (value,) = json.loads(output).values()
        return value

    assert 0.3 < said("differences.py")["share"] < 0.7  # Nearly as random as it began: half of it
    with h5py.File(run / "model.weights.h5", "r+") as weights:
        weights["layers/dense/vars/1"][5:] = -1e6  # The biases of all filters but five
    counts = [*map(str.split, said("dead_units.py").values())]
    assert [total for _, _, total in counts] == ["32", "32", "64", "64"]
    assert int(counts[0][0]) < 32
    assert 27 <= int(counts[1][0]) < 32


def table(page, head):
    """The cells of the rows of the first table of a page whose head begins with these words."""
    _, _, below = (ROOT / "docs" / page).read_text().partition(f"\n| {head}")
    rows = below.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def counts(config):
    return {split: len(centres) for split, centres in config.split_centres().items()}


def test_the_counts_of_the_splits_are_those_of_the_configs():
    rows = {name.strip("`"): cells for name, *cells in table("splits.md", "Split | Test centres")}
    for name, (*_, said) in rows.items():
        train, test = map(int, said.split(" / "))
        assert counts(as_config(name)) == {"train": train, "test": test}, name
    on_page = {config.name for config in CONFIGS if config.canvas_size == 64} - {
        name for name in map("quadrant_{}".format, splits.QUADRANTS[1:])
    }
    assert rows.keys() == on_page


FORMULAS = {
    name.strip("`"): re.match("`(.*?)`", cell)[1]
    for name, cell in table("splits.md", "Split | Number")
}


def border_width(n, m):
    """The width of `border`, as its page says."""
    real = (n + m - math.sqrt((n + m) ** 2 - 0.8 * n * m)) / 4
    share = lambda w: n * m - max(0, n - 2 * w) * max(0, m - 2 * w)  # noqa: E731
    widths = max(1, math.floor(real)), max(1, math.ceil(real))
    return min(widths, key=lambda w: abs(5 * share(w) - n * m))


def test_every_split_that_has_a_formula_is_on_the_page():
    quadrants = [f"quadrant_{each}" for each in splits.QUADRANTS[1:]]
    assert FORMULAS.keys() == {*splits.SPLITS, *quadrants} - {"uniform_uber"}


@given(
    st.sampled_from(sorted(FORMULAS)),
    st.tuples(st.integers(5, 70), st.integers(5, 70)),
    st.sampled_from(["square1", "disc3", "cross5", "square9"]),
    st.integers(1, 99),
)
def test_the_formulas_of_the_splits_count_right(name, size, shape, p):
    split, _, held_out = name.partition("_")
    options = {"split": name if name in splits.SPLITS else split}
    if held_out in splits.QUADRANTS:
        options["held_out"] = held_out
    if name == "uniform":
        options["test_percent"] = p
    try:
        found = counts(NotSoClevrConfig(canvas_size=size, shape=shape, **options))
    except UserError:  # The shape does not fit, or train or test is empty.
        return
    n, m = (length - shapes.size(shape) + 1 for length in size)
    names = {"n": n, "m": m, "p": p, "q": lambda x: (x + 2) // 4, "w": border_width(n, m)}
    assert found["test"] == eval(FORMULAS[name], names)
    assert sum(found.values()) == n * m


def test_the_counts_of_the_configs_are_those_of_the_configs():
    for names, _, said in table("dataset.md", "Config"):
        own = re.findall(r"`([a-z0-9_]+)`", names)
        first = own[0].partition("_test")[0]
        own = [f"{first}{name}" if name.startswith("_") else name for name in own]
        found = [f"{c['train']} / {c['test']}" for c in map(counts, map(as_config, own))]
        if " to " in said:
            assert said == f"{found[0]} to {found[-1]}"
        else:
            assert list(dict.fromkeys(found)) == said.split(", "), own


def test_the_table_of_shapes_is_right():
    rows = table("dataset.md", "Shape | White")
    assert [name.strip("`") for name, *_ in rows] == list(shapes.SHAPES)
    for name, _, count in rows:
        assert shapes.kernel(f"{name.strip('`')}9").sum() == int(count)

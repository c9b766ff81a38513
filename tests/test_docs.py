"""Every Python example of the README and the docs runs, each page from top to bottom in one process."""

import json
import pathlib
import re
import subprocess
import sys

import h5py
import pytest
import subprocesses

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
    (example,) = (each for each in examples if each.startswith(f"import {package}\n"))
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

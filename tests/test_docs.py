"""Every Python example of the README and the docs runs, each page from top to bottom in one process."""

import pathlib
import re
import subprocess
import sys

import pytest
import subprocesses

from not_so_clevr import results

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = {page: re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE) for page in PAGES}


@pytest.mark.parametrize("page", [page for page, examples in EXAMPLES.items() if examples], ids=lambda page: page.name)
def test_the_examples_run(page, tmp_path):
    (tmp_path / "example.py").write_text("\n".join(EXAMPLES[page]))
    code = f"import os, runpy; os.chdir({str(tmp_path)!r}); runpy.run_path('example.py')"
    subprocesses.run(code, TFDS_DATA_DIR=tmp_path / "tensorflow_datasets", MPLBACKEND="agg")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_examples_are_found():
    assert {page.name for page, examples in EXAMPLES.items() if examples} >= {"README.md", "dataset.md"}


def test_the_table_of_results_is_that_of_the_run_files():
    """`not-so-clevr leaderboard baselines/results -o docs/results.md` makes it anew."""
    found, _ = results.load([ROOT / "baselines" / "results"])
    table = results.to_markdown(results.leaderboard(found))
    assert (ROOT / "docs" / "results.md").read_text() == table
    rows = re.findall(r"^\| (?:classification|regression|rendering) .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert rows
    assert all(row in table for row in rows)


def test_the_examples_of_the_recipes_run(tmp_path):
    """Softmax without the pixels that are never right; what a first layer looks at."""
    arguments = ["--task", "classification", "--config", "quadrant_16", "--set", "epochs=1", "--data", "memory"]
    command = pathlib.Path(sys.executable).with_name("not-so-clevr")
    for model in ("masked_softmax:build", "coordconv"):
        subprocess.run([command, "train", model, *arguments, "--runs", tmp_path], cwd=ROOT / "docs" / "examples", check=True)
    (run,) = tmp_path.glob("classification/quadrant_16/coordconv*/seed0")
    script = ROOT / "docs" / "examples" / "differences.py"
    output = subprocess.run([sys.executable, script, run], capture_output=True, text=True, check=True).stdout
    assert 0.3 < float(output.split("share ")[1]) < 0.7  # Nearly as random as it began: half of it

"""Every Python example of the README and the docs runs, each page from top to bottom in one process."""

import pathlib
import re

import pytest
import subprocesses

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

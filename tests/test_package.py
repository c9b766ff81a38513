"""The wheel, which is what others install: outside the checkout, from its own files alone."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import subprocesses

ROOT = pathlib.Path(__file__).parents[1]


def test_the_wheel_works_outside_the_checkout(tmp_path):
    # From a copy, as setuptools takes the list of an old *.egg-info for what there is.
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(
            ".*", "*.egg-info", "__pycache__", "build", "dist", "site", "runs"
        ),
    )
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, copy]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    packaged = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    metadata = next(name.split("/")[0] for name in packaged if ".dist-info/" in name)
    data = {"README.md", "CITATIONS.bib", "TAGS.txt", "py.typed", "published.toml"}
    assert data <= {pathlib.PurePath(name).name for name in packaged}
    assert {name.split("/")[0] for name in packaged} == {"not_so_clevr", metadata}
    entry_points = (site / metadata / "entry_points.txt").read_text()
    assert "not-so-clevr = not_so_clevr.cli:main" in entry_points
    assert "coordconv = not_so_clevr.baselines.coordconv:build" in entry_points
    assert {
        "not_so_clevr/baselines/results.jsonl",
        "not_so_clevr/baselines/searches.jsonl",
        "not_so_clevr/report/appendix.tex.j2",
        "not_so_clevr/results/result.schema.json",
    } <= packaged
    assert len(packaged) <= 130  # Code and a small table of results, no data of runs
    assert wheel.stat().st_size <= 2**20

    code = f"""
import os; os.chdir({str(tmp_path)!r})
import not_so_clevr, tensorflow_datasets as tfds
assert not_so_clevr.__file__.startswith({str(site)!r}), not_so_clevr.__file__
examples, info = tfds.load("not_so_clevr/quadrant_32", data_dir={str(tmp_path)!r}, with_info=True)
assert "one white shape" in info.description and "liu2018coordconv" in info.citation
print(len(examples["test"]))
"""
    assert subprocesses.run(code, PYTHONPATH=site).splitlines()[-1] == "144"

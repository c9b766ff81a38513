"""The site: its pages agree with the files they are made of, it builds without a warning, and needs no network."""

import dataclasses
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import board
import data
import generate
import hooks
import notebooks
import numpy as np
import pytest
import run_files
import subprocesses
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr import results
from not_so_clevr.benchmark import registry, searches
from not_so_clevr.benchmark.options import TUNE_CONFIG

ROOT = generate.ROOT
DATA = data.load()
SEARCH = {"config": TUNE_CONFIG, "points": 9, "perfect": 2, "seeds": 1, "seconds": 9.0}


def test_every_page_agrees_with_the_files_it_is_made_of():
    assert generate.main(["--check"]) is None


def copy(root):
    """Copies all that is generated."""
    pages = [file.relative_to(ROOT) for file in (ROOT / "docs").glob("*.md")]
    files = data.REFERENCE, data.SEARCHES, data.TRIALS, data.HISTORIES, data.EXAMPLES
    for name in ["README.md", *pages, *generate.FIGURES, generate.COST, *files]:
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(ROOT / name, root / name)


def test_pages_that_disagree_are_named_and_mended(tmp_path):
    copy(tmp_path)
    right = {page: (ROOT / page).read_text() for page, _ in generate.PARTS}
    wrong = dict(right)
    for page, part in generate.PARTS:
        before, marker, after = wrong[page].partition(f"<!-- {part} -->")
        assert marker
        wrong[page] = before + marker + after.replace("e", "E", 1)
    for page, text in wrong.items():
        (tmp_path / page).write_text(text)
    sentences = str(generate.main(["--check"], tmp_path)).splitlines()
    assert sorted(each.partition(" is out of date; ")[0] for each in sentences) == sorted(right)
    assert {page: (tmp_path / page).read_text() for page in right} == wrong
    assert generate.main([], tmp_path) is None
    assert {page: (tmp_path / page).read_text() for page in right} == right


def test_a_number_in_a_sentence_that_disagrees_is_named_and_mended(tmp_path):
    copy(tmp_path)
    page = tmp_path / "docs" / "failures.md"
    page.write_text((right := page.read_text()).replace(">2 of 10<", ">9 of 10<"))
    assert page.read_text() != right
    assert str(generate.main(["--check"], tmp_path)).startswith("docs/failures.md is out of date")
    assert generate.main([], tmp_path) is None
    assert page.read_text() == right


def test_what_was_not_run_does_not_count_as_perfect():
    text = generate._of_published([], "reproduction.md")
    words = (
        "Our runs confirm none with every seed, none with every seed on test only, "
        "none with some seeds and 10 with no seed"
    )
    assert words in " ".join(text.split())


def changed(run):
    """The same run, but for the first example of test."""
    distance = run.examples["test"]["distance"].copy()
    distance[0] += 1
    test = {**run.examples["test"], "distance": distance}
    return dataclasses.replace(run, examples={**run.examples, "test": test})


def test_a_figure_that_was_drawn_from_other_runs_is_named_and_drawn_anew(tmp_path):
    copy(tmp_path)
    (run,) = (run for run in DATA.reference if run.id == "classification/quadrant/tiled_conv/seed0")
    data.save(data.taken_in(DATA, [changed(run)]), tmp_path)
    sentence = generate.main(["--check"], tmp_path)
    assert sentence is not None
    assert sentence.startswith("docs/figures/tiled.png is out of date")
    assert "\n" not in sentence
    assert generate.main([], tmp_path) is None
    assert generate.main(["--check"], tmp_path) is None


def test_a_file_that_holds_no_results_is_named(tmp_path):
    copy(tmp_path)
    (tmp_path / data.TRIALS).write_text("{}")
    sentence = generate.main(["--check"], tmp_path)
    assert sentence is not None
    assert sentence.startswith(str(tmp_path / data.TRIALS))


def test_the_data_of_the_pages_are_what_they_were_once_saved_and_loaded(tmp_path):
    copy(tmp_path)
    data.save(DATA, tmp_path)
    again = data.load(tmp_path)
    for run, other in zip(
        [*DATA.reference, *DATA.trials], [*again.reference, *again.trials], strict=True
    ):
        assert run == other
        for split, columns in run.examples.items():
            for name, values in columns.items():
                np.testing.assert_array_equal(other.examples[split][name], values)
    assert sum(bool(run.examples) for run in again.reference) > 50
    size = sum(
        (tmp_path / name).stat().st_size
        for name in (data.REFERENCE, data.SEARCHES, data.TRIALS, data.HISTORIES, data.EXAMPLES)
    )
    assert size < 4 * 10**6


def test_runs_are_taken_in_instead_of_older_ones(tmp_path, monkeypatch, capsys):
    copy(tmp_path)
    new = run_files.result(
        "net",
        seed=7,
        history=[{"epoch": 1, "loss": 0.5, "test": {"accuracy": 1.0}, "seconds": 2.0}],
    )
    new.write(tmp_path / "runs")
    old = DATA.reference[0]
    dataclasses.replace(old, seconds=1.5).write(tmp_path / "runs" / "old")
    of_a_recipe = dataclasses.replace(new, seed=8, search=SEARCH)
    of_a_recipe.write(tmp_path / "runs" / "found")
    point = dataclasses.replace(new, config=SEARCH["config"])
    point.write(tmp_path / "runs" / "point")
    beyond = dataclasses.replace(point, seed=9)
    beyond.write(tmp_path / "runs" / "beyond")
    grid = [{"runs": [{"id": point.id, "command": "follows from the id"}]}]
    search = {"model": "net", "task": "classification", "name": "rule", "grid": grid, **SEARCH}
    (tmp_path / "runs" / "rule" / "classification").mkdir(parents=True)
    (tmp_path / "runs" / "rule" / "classification" / "net.json").write_text(json.dumps(search))
    monkeypatch.setattr(data, "ROOT", tmp_path)
    assert data.main([str(tmp_path / "runs")]) is None
    assert capsys.readouterr().out.startswith("Added 4 runs and 1 searches;")
    taken_in = data.load(tmp_path)
    assert [run.id for run in taken_in.trials if run.model == "net"] == [beyond.id]
    reference = {run.id: run for run in taken_in.reference}
    assert len(reference) == len(DATA.reference) + 2
    assert reference[new.id].history == new.history
    assert (reference[of_a_recipe.id].history, reference[of_a_recipe.id].solved) == ([], new.solved)
    known = searches.read(ROOT / data.SEARCHES)
    found = searches.read(tmp_path / data.SEARCHES)
    assert search | {"grid": [{"runs": [{"id": point.id}]}]} in found
    assert len(found) == len(known) + 1
    assert reference[old.id].seconds == 1.5
    sentence = "docs/data.py needs folders with runs, e.g. runs/, or --restore and one of them."
    assert {data.main(words) for words in ([], ["--restore"], ["--restore", "a", "b"])} == {
        sentence
    }


def test_restored_runs_are_complete_and_taken_in_unchanged(tmp_path, monkeypatch, capsys):
    copy(tmp_path)
    monkeypatch.setattr(data, "ROOT", tmp_path)
    before = data.load(tmp_path)
    kept = before._replace(reference=before.reference[::100], trials=before.trials[::20])
    data.save(kept, tmp_path)
    runs = tmp_path / "runs"
    one = kept.reference[1]
    dataclasses.replace(one, seconds=1.5).write(runs / one.id)
    assert data.main(["--restore", str(runs)]) is None
    many = len(kept.reference) + len(kept.trials)
    assert capsys.readouterr().out == f"Wrote {many - 1} runs to {runs}\n"
    found, problems = results.load([runs])
    assert ({run.id for run in found}, problems) == (
        {run.id for run in [*kept.reference, *kept.trials]},
        [],
    )
    assert data.main([str(runs)]) is None
    assert capsys.readouterr().out.startswith("Added 1 runs and 0 searches;")
    again = data.load(tmp_path)
    for run, other in zip(
        [*kept.reference, *kept.trials], [*again.reference, *again.trials], strict=True
    ):
        assert run == dataclasses.replace(other, seconds=run.seconds)
        assert run.examples.keys() == other.examples.keys() or run is one


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1), st.floats(0, 9)), max_size=5),
    st.integers(1, 3),
)
def test_a_history_in_columns_is_the_same_history_to_five_digits(numbers, every):
    history = [
        {
            "epoch": (k + 1) * every,
            "loss": loss,
            "test": {"accuracy": share, "distance": loss},
            "seconds": seconds,
        }
        for k, (loss, share, seconds) in enumerate(numbers)
    ]
    kept = list(data.epochs(data.columns(history)))
    assert [epoch["test"] for epoch in kept] == [epoch["test"] for epoch in history]
    for name in ("epoch", "loss", "seconds"):
        was, now = ([epoch[name] for epoch in each] for each in (history, kept))
        np.testing.assert_allclose(now, was, rtol=5e-5)
    assert list(data.epochs(data.columns(kept))) == kept


@pytest.mark.parametrize("marker", ["<!-- results -->", "<!-- /results -->"])
def test_a_page_whose_marker_is_gone_is_named_and_left_as_it_is(marker, tmp_path):
    copy(tmp_path)
    page = tmp_path / "README.md"
    page.write_text(text := page.read_text().replace(marker, "<!-- result -->"))
    sentence = (
        "README.md needs one part from <!-- results --> to <!-- /results -->; add the comments."
    )
    assert generate.main([], tmp_path) == sentence
    assert page.read_text() == text


def test_numbers_in_tables_stay_with_their_units():
    line = "| 59.7 % [34.5, 84.9] | 21.21 px [21.1, 21.32] | 2 of 10 | 12 min | 5.6 h | 2 cores of Intel | 3 x 3 |"
    expected = "| 59.7_% [34.5,_84.9] | 21.21_px [21.1,_21.32] | 2_of_10 | 12_min | 5.6_h | 2 cores of Intel | 3 x 3 |"
    assert hooks._INSIDE.sub("_", line) == expected


def build(root: pathlib.Path, site: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    return subprocess.run(
        command,
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    result = build(ROOT, folder)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return folder


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site):
    loads = re.compile(
        r"""<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//|url\(["']?(?:https?:)?//"""
    )
    assert loads.search('<link rel="stylesheet" href="https://fonts.googleapis.com/css">')
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert not loads.search(file.read_text()), file


@pytest.mark.slow
def test_every_link_leads_somewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert {"index.html", "tour.html", "layers.html"} <= {page.name for page in pages}
    for page in pages:
        for link in re.findall(
            r"""<(?:a|img)\b[^>]*?\b(?:href|src)="?(?!\w+:|#)([^"# >]+)""", page.read_text()
        ):
            assert (page.parent / link).exists() or page.name == "404.html", (page.name, link)


@pytest.mark.slow
def test_links_that_leave_the_docs_show_the_file(site):
    assert 'href="files/baselines/layers.py.html"' in (site / "layers.html").read_text()
    assert "each_pixel_alone" in (site / "files" / "baselines" / "layers.py.html").read_text()


@pytest.mark.slow
def test_the_reference_of_the_layers_has_their_docstrings(site):
    text = re.sub("<[^>]*>", "", (site / "layers.html").read_text())
    assert "Appends the coordinates of each pixel to its channels." in text
    assert "CoordConv3D(" in text


SORTED = """
addEventListener("load", () => {
  const table = document.querySelector("table");
  const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const found = [...table.tHead.rows[0].cells].map((head, k) => [1, 2].map(() => {
    head.querySelector("button").click();
    return shown().map((row) => row.cells[k].textContent);
  }));
  const field = document.querySelector("input");
  field.value = "net 1";
  field.dispatchEvent(new Event("input"));
  document.body.textContent = JSON.stringify([found, shown().length, document.querySelectorAll("input").length]);
});
"""


@pytest.mark.slow
def test_long_tables_are_sorted_and_filtered_in_the_browser(tmp_path):
    """Ascending and descending; blank cells stay last, and a short table stays as it is."""
    columns = [
        ["5\u00a0s <sup>a</sup>", "99 s", "2 min", "60\u00a0min", "1.5 h", "30 h"],
        ["0 of 3", "1 of 10", "1 of 3", "2\u00a0of\u00a05", "9 of 10", "3 of 3"],
        ["906", "7,489", "7,553", "72,850", "103,585", "1,000,000"],
        ["&lt; 0.001 px", "0.002 px", "IoU 0.2", "3 px", "11.9 px", "64.85 px"],
        ["net", "net 1", "net 2", "net 10", "other", "other 1"],
    ]
    columns = [[*column, *column[:3], ""] for column in columns]
    head = "".join(f"<th>{k}</th>" for k in range(len(columns)))
    rows = ["".join(f"<td>{cell}</td>" for cell in row) for row in zip(*columns, strict=True)]
    tables = ""
    for some in (rows[::2] + rows[1::2], rows[:8]):
        body = "".join(f"<tr>{row}</tr>" for row in some)
        tables += f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    script = (ROOT / "docs" / "tables.js").read_text()
    file = tmp_path / "page.html"
    text = f'<meta charset="utf-8"><article class="md-typeset">{tables}</article>'
    file.write_text(f"{text}<script>{script}</script><script>{SORTED}</script>")
    loaded, _ = subprocesses.browse(file)
    found, shown, fields = json.loads(re.search(r"\[.*\]", html.unescape(loaded))[0])
    for column, (up, down) in zip(columns, found, strict=True):
        texts = [re.sub(" <sup>.*</sup>", "", cell).replace("&lt;", "<") for cell in column[:6]]
        expected = [text for k, text in enumerate(texts) for _ in range(2 if k < 3 else 1)]
        assert [cell.removesuffix(" a") for cell in up] == [*expected, ""]
        assert down == [*up[:9][::-1], ""]
    lines = [" ".join(row) for row in zip(*columns, strict=True)]
    assert shown == sum("net" in line and "1" in line for line in lines) < len(lines)
    assert fields == 1


@pytest.mark.parametrize("link", ["nowhere.md", "../not_so_clevr/nowhere.py", "tasks.md#nowhere"])
@pytest.mark.slow
def test_a_broken_link_is_an_error(link, tmp_path):
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "build", "runs", "site", "tests")
    root = shutil.copytree(ROOT, tmp_path / "root", ignore=left_out)
    with (root / "docs" / "speed.md").open("a") as stream:
        stream.write(f"\n[nowhere]({link})\n")
    result = build(root, tmp_path / "site")
    assert result.returncode != 0
    assert "nowhere" in result.stderr


@pytest.mark.slow
def test_the_tour_runs_from_top_to_bottom(tmp_path):
    """Its last cell asserts that CoordConv is perfect, and that its rival is not."""
    last = notebooks.execute("tour", tmp_path).cells[-1]
    assert "assert coordconv.perfect" in last.source
    assert last.execution_count == 10


@pytest.mark.slow
def test_the_tutorial_runs_from_top_to_bottom(tmp_path):
    """Its cells assert what the text says: of shifts, the layer, the canvases, the trainings."""
    cells = notebooks.execute("coordconv", tmp_path).cells
    assert sum("assert" in cell.source for cell in cells) == 6
    assert cells[-2].execution_count == 15


@pytest.mark.parametrize(("name", "pictures"), [("tour", 3), ("coordconv", 6)])
def test_a_notebook_shows_what_came_out_and_nothing_of_a_machine(name, pictures):
    notebook = json.loads(notebooks.file(name).read_text())
    assert notebook["metadata"] == notebooks.METADATA
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert (
        sum("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])
        == pictures
    )
    for cell in cells:
        assert not cell["metadata"]
        for output in cell["outputs"]:
            assert output.get("name") != "stderr"
            assert not re.search(
                r"/(home|tmp|work|usr)\b|CPU|GPU|Intel",
                str(output.get("text") or output["data"]["text/plain"]),
            )


def test_the_board_says_what_each_model_tests():
    text = (ROOT / "docs" / "board.md").read_text()
    of_models = text.partition("## The models")[2]
    assert set(re.findall(r"`(\w+)`", of_models)) >= set(registry.names())


def test_the_large_board_has_a_row_for_each_task_and_model_of_the_rule():
    changes = {"recipe": "rule", "search": SEARCH, "parameters": 9}
    runs = [
        run_files.result("net", config="quadrant", seed=seed, **changes) for seed in range(3)
    ] + [
        run_files.result("net", config="uniform_32", **changes),
        run_files.result("own", config="quadrant", parameters=9),
        run_files.result("net", config="centre", task="detection", wrong=1.0, **changes),
    ]
    head, _, *lines = board.large(runs).splitlines()
    cells = [dict(zip(head.split(" | "), line.split(" | "), strict=True)) for line in lines]
    assert [row["| task"] for row in cells] == ["| classification", "| detection"]
    assert [row["quadrant"] for row in cells] == ["3 of 3<br>100 %", ""]
    assert [row["centre"] for row in cells] == ["", "0 of 1<br>0.0 %"]


def test_a_model_computes_if_it_is_right_with_every_seed_in_every_column():
    def runs(model, configs=board.CONFIGS, **changes):
        changes = {"recipe": "rule", "search": SEARCH} | changes
        return [
            run_files.result(model, config=config, seed=seed, **changes)
            for config in configs
            for seed in range(10)
        ]

    wrong = run_files.result(
        "half", config="rows_32", seed=10, wrong=0.1, recipe="rule", search=SEARCH
    )
    known = [
        *runs("computes"),
        *runs("computes", recipe="rule-padding=valid"),
        *runs("partly", board.CONFIGS[:3]),
        *runs("half"),
        wrong,
        *runs("difference"),
        *runs("own", search=None),
        *(run for run in runs("begun") if (run.config, run.seed) != ("rows_32", 2)),
    ]
    assert board.computing("classification", known) == ["computes", "computes, padding=valid"]
    assert board.computing("regression", known) == []

"""`not-so-clevr report`: the page, its figures, and the page in a browser."""

import base64
import dataclasses
import hashlib
import html.parser
import json
import os
import re
import tracemalloc

import numpy as np
import pytest
import subprocesses
from PIL import Image
from run_files import CONFIG, result, several

from not_so_clevr import report, results
from not_so_clevr.checks import UserError
from not_so_clevr.report.page import _text

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)> $x$ ]]> {{ 7 * 7 }}\n\0\ud800javascript:alert(3)\x1b\u202e"


def write(folder, *runs):
    for number, run in enumerate(runs):
        run.write(folder / f"run{number}")
    return folder


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def runs():
    return several()


@pytest.fixture(scope="module")
def page(runs):
    return report.page(runs, ["my/runs"])


def test_the_leaderboard_and_what_was_published_are_on_the_page(page, runs):
    found = Page(page)
    for row in results.leaderboard(runs):
        for cell in results.cells(row)[:-1]:
            assert cell in found.text
    assert "25.5 %" in found.text  # 0 and 25 of 49 are right.
    assert "25.5 % [" not in found.text  # Two seeds have no interval.
    assert "Published elsewhere" not in found.text  # Nothing was, for this config.
    for said in (
        "my/runs",
        "7 run files",
        "c0ffee0 (4)",
        "c0ffee1 (2)",
        "epochs=4, l2=0.5",
        "keras=3.99",
        "not-so-clevr train paints",
    ):
        assert said in " ".join(found.text.replace(" )", ")").split()), said


@pytest.fixture(scope="module")
def with_reference():
    runs = [result("coordconv", config="quadrant", wrong=0.5)]
    return report.page(runs, ["my/runs"], results.beside(runs))


def test_reference_results_and_what_was_published_are_beside_the_runs(with_reference):
    found = Page(with_reference)
    rows = re.findall(
        r"<tr( class=.yours.)?[^>]*>\s*<td.*?<th.*?>(.*?)</th>", with_reference, re.DOTALL
    )
    models = [
        (bool(yours), re.sub("<.*?>", "", text)) for yours, text in rows if "</td>" not in text
    ]
    assert (True, "coordconv (yours)") in models
    assert (False, "coordconv") in models
    assert sum(yours for yours, _ in models) == 1
    assert "Liu et al. 2018" in found.text
    assert "about 0 %" in found.text
    assert "The figures below are of your runs." in found.text
    assert with_reference.count("Map of errors of") == 1


def test_a_page_without_reference_results_marks_nothing(page):
    assert "(yours)" not in page
    assert 'class="yours"' not in page


@pytest.mark.parametrize("name", ["page", "with_reference"])
def test_links_lead_somewhere_and_ids_are_unique(name, request):
    page = request.getfixturevalue(name)
    found = Page(page)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    links = [
        link
        for link in found.values("href") + found.values("xlink:href")
        if not link.startswith("data:image/png;base64,")
    ]
    links += re.findall(r"url\((#\w+)\)", page)
    assert len(links) > 30
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_each_figure_is_told_in_words(page):
    images = [
        attributes for _, attributes in Page(page).elements if attributes.get("role") == "img"
    ]
    assert len(images) == page.count("<svg")
    texts = [" ".join(attributes["aria-label"].split()) for attributes in images]
    words = "25.5 % of test right; distance 0 px on train, 2.235 px on test; mean of 2 seeds"
    assert f"Map of errors of memorises: {words}" in texts
    assert any(
        text.endswith("memorises: 6.4 % after epoch 1, 25.5 % after epoch 4") for text in texts
    )
    assert any("seed 0, the worst: 0.0 % of test right, distance 3 px" in text for text in texts)


def test_each_region_has_a_name_of_its_own(page):
    found = Page(page)
    regions = [attributes for _, attributes in found.elements if attributes.get("role") == "region"]
    names = [
        attributes.get("aria-label") or attributes["aria-labelledby"] for attributes in regions
    ]
    assert len(set(names)) == len(names) > 3
    assert {
        attributes["aria-labelledby"] for attributes in regions if "aria-labelledby" in attributes
    } <= set(found.values("id"))


def test_a_run_that_was_made_from_no_checkout_has_an_unknown_commit(tmp_path):
    text = report.page([result("installed", environment={"commit": None})], [tmp_path])
    assert "<code>unknown</code> (1)" in text
    assert "null" not in Page(text).text


def test_a_page_ends_in_html(tmp_path):
    with pytest.raises(UserError, match="page.txt has no known format; .* that ends in .html."):
        report.write(tmp_path / "page.txt", [result("net")], ["runs"])
    report.write(str(tmp_path / "page.html"), [result("net")], ["runs"])
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_one_folder_is_no_list(tmp_path):
    for folders in ("runs", tmp_path):
        with pytest.raises(
            UserError, match="folders must be a list, got .*; put it into brackets."
        ):
            report.page([result("net")], folders)
        with pytest.raises(
            UserError, match="folders must be a list, got .*; put it into brackets."
        ):
            report.load(folders)


def test_settings_that_a_compiled_model_did_not_use_are_not_told(tmp_path):
    text = Page(
        report.page([result("compiled", settings={"epochs": 2, "learning_rate": None})], [tmp_path])
    ).text
    assert "epochs=2" in text
    assert "learning_rate" not in text


def test_black_takes_the_colour_of_the_text(page):
    assert "currentColor" in page
    assert "#000000" not in page


@pytest.fixture(scope="module")
def hostile_runs():
    environment = {key: HOSTILE for key in ("device", "backend", "commit", "platform")} | {
        "versions": {HOSTILE: HOSTILE}
    }
    strange = {
        "recipe": HOSTILE,
        "settings": {HOSTILE: [HOSTILE]},
        "command": HOSTILE,
        "environment": environment,
    }
    runs = [result(model, **strange) for model in (HOSTILE, "", "_hidden", "x" * 300, "$x$")]
    return [
        *runs,
        dataclasses.replace(runs[0], task=HOSTILE),
        dataclasses.replace(runs[1], config=HOSTILE, examples={}),
    ]


@pytest.fixture(scope="module")
def hostile(hostile_runs):
    return report.page(hostile_runs, [HOSTILE])


def test_what_run_files_say_is_only_text(hostile):
    found = Page(hostile)
    scripts = [attributes for tag, attributes in found.elements if tag == "script"]
    assert scripts == [{}]
    assert not [
        name for _, attributes in found.elements for name in attributes if name.startswith("on")
    ]
    assert not {"img", "iframe", "object", "link", "form", "base"} & {
        tag for tag, _ in found.elements
    }
    for name in ("src", "href", "xlink:href", "action"):
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in found.values(name))
    assert "<script>alert(1)" in found.text
    assert "{{ 7 * 7 }}" in found.text
    assert re.search(r"<text[^>]*>_hidden-", hostile)  # In a legend


def test_no_text_of_strangers_changes_the_direction_of_writing(hostile):
    assert HOSTILE.endswith("\u202e")
    assert "\u202e" not in hostile
    assert r"\u202e" in hostile
    assert "\x1b" not in hostile


def test_no_script_but_the_one_of_the_template_may_run(page):
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(
        attributes["content"]
        for tag, attributes in Page(page).elements
        if "http-equiv" in attributes
    )
    assert (
        policy
        == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_figures_of_data_sets_with_long_names_are_files_of_their_own(tmp_path):
    runs = [result("net", config="é" * 300 + end, examples={}) for end in "ab"]
    written = report.write_figures(tmp_path, runs)
    assert len(set(written)) == len(written) == 2 * 2 * 2  # Curves and costs of each, twice


@pytest.mark.slow
def test_figures_of_hostile_names_stay_in_their_folder(tmp_path, hostile_runs):
    files = report.write_figures(tmp_path / "pictures", hostile_runs)
    assert sorted(tmp_path.rglob("*.*")) == sorted(files)
    assert len(files) == 2 * (1 + 4 + 4 + 2)  # The triangles first


def damaged(folder):
    (folder / results.ERRORS).write_bytes((folder / results.ERRORS).read_bytes()[:300])


def piped(folder):
    (folder / results.ERRORS).unlink()
    os.mkfifo(folder / results.ERRORS)


def changed(**columns):
    def change(folder):
        with np.load(folder / results.ERRORS) as arrays:
            np.savez_compressed(
                folder / results.ERRORS,
                **{**arrays, **{f"test/{name}": values for name, values in columns.items()}},
            )

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / results.ERRORS).unlink(),
        damaged,
        piped,
        lambda folder: (folder / results.ERRORS).write_bytes(b"\x93NUMPY"),
        changed(distance=np.ones(10**6)),
        changed(distance=np.ones(3)),
        changed(distance=np.full(49, np.nan)),
        changed(distance=np.ones(49, "timedelta64[s]")),
        changed(distance=np.ones(49, complex)),
        changed(coordinates=np.full((49, 2), 16)),
        changed(coordinates=np.zeros((49, 2))),
        changed(predicted=np.zeros((49, 3))),
        changed(shown=np.array([99]), painted=np.zeros((1, 16, 16)), iou=np.ones(49)),
        changed(shown=np.array([], int), painted=np.zeros((0, 16, 16)), iou=np.ones(49)),
        changed(shown=np.arange(49) < 3, painted=np.zeros((49, 16, 16)), iou=np.ones(49)),
        changed(shown=np.array([1]), painted=np.zeros((1, 16, 15)), iou=np.ones(49)),
        changed(shown=np.array([1]), painted=np.zeros((1, 16, 16))),
    ],
)
def test_a_model_without_its_examples_has_no_map_and_the_page_says_so(tmp_path, damage):
    write(tmp_path, result("whole"), result("lost"))
    damage(tmp_path / "run1")
    found, problems = report.load([tmp_path])
    assert [bool(run.examples) for run in found] == [False, True]
    assert not problems
    text = Page(report.page(found, [tmp_path])).text
    assert "There is no map of lost : none of its runs has an intact errors.npz." in text
    assert "There is no map of whole" not in text


def test_examples_are_read_as_they_were_written(tmp_path):
    (read,), _ = report.load([write(tmp_path, result("net", wrong=0.5))])
    for split, columns in result("net", wrong=0.5).examples.items():
        for name, values in columns.items():
            np.testing.assert_array_equal(read.examples[split][name], values)


def test_columns_that_no_figure_needs_are_not_read(tmp_path):
    folder = write(tmp_path, result("net"))
    changed(notes=np.zeros(5 * 10**6))(folder / "run0")  # 40 MB, which zlib makes 0.04 MB
    tracemalloc.start()
    (read,), _ = report.load([folder])
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()
    assert read.examples["test"].keys() == result("net").examples["test"].keys()


def test_the_examples_of_another_run_of_the_same_name_are_left_out(tmp_path):
    write(tmp_path, result("net", wrong=1.0), result("net", wrong=0.0))
    (tmp_path / "run0" / results.ERRORS).unlink()
    found, problems = report.load([tmp_path])
    assert [run.metrics["test"]["accuracy"] for run in found] == [0]
    assert not found[0].examples
    assert len(problems) == 1


@pytest.mark.parametrize(
    "history",
    [
        3,
        [3],
        [{"epoch": 1}],
        [{"epoch": 0, "test": {"accuracy": 1}}],
        [{"epoch": 1, "test": {"accuracy": 2}}],
    ],
)
def test_a_history_that_is_none_is_a_problem(tmp_path, history):
    write(tmp_path, result("good"), result("bad"))
    file = tmp_path / "run1" / results.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"history": history}))
    found, problems = report.load([tmp_path])
    assert [run.model for run in found] == ["good"]
    assert len(problems) == 1
    assert problems[0].startswith(f"{file} is not the result of a run (")


def test_only_the_best_models_are_drawn_and_all_are_in_the_leaderboard():
    runs = [result(f"net{k:02}", wrong=k / 20) for k in range(15)]
    text = report.page(runs, ["runs"])
    assert "The figures show the best 10 models; the leaderboard has 5 more." in text
    assert text.count("Map of errors of") == 10
    assert "Map of errors of net00:" in text
    assert "Map of errors of net14:" not in text
    assert '<th scope="row" data-value="net14"' in text


@pytest.mark.slow
def test_the_command_writes_the_same_bytes_again_and_figures_for_papers(tmp_path, runs):
    folder, page, pictures = (
        write(tmp_path / "runs", *runs),
        tmp_path / "report.html",
        tmp_path / "pictures",
    )
    (folder / "run0" / results.FILE).write_text("{")
    pages = []
    for seed in ("1", "2"):
        arguments = ("report", folder, "-o", page, "--figures", pictures)
        done = subprocesses.command(*arguments, cwd=tmp_path, PYTHONHASHSEED=seed)
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"not-so-clevr: {folder / 'run0' / results.FILE} is not the result of a run ("
        )
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout.splitlines() == [
            f"The report is in {page}",
            f"The figures are in {pictures}",
        ]
        pages.append([file.read_bytes() for file in (page, *sorted(pictures.iterdir()))])
    assert pages[0] == pages[1]
    assert "6 run files" in Page(page.read_text()).text
    kinds = {
        "classification": ("errors", "predictions", "curves", "costs"),
        "regression": ("errors", "predictions", "curves", "costs"),
        "rendering": ("errors", "paintings", "curves", "costs"),
    }
    names = {f"{kind}-{task}-{CONFIG}" for task, of_task in kinds.items() for kind in of_task}
    names.add("triangles")
    assert {file.name for file in pictures.iterdir()} == {
        f"{name}{ending}" for name in names for ending in (".png", ".pdf")
    }
    for name in names:
        assert Image.open(pictures / f"{name}.png").convert("RGB").getpixel((0, 0)) == (
            255,
            255,
            255,
        )
        assert (pictures / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_settings_that_are_nested_deep_are_told():
    assert (
        _text({"l2": 0.5, "model": {"size": 3, "more": {"a": {"b": 1}}}})
        == 'l2=0.5, model: size=3, more: {"a": {"b": 1}}'
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["runs", "-o", "report.pdf"],
            "report.pdf has no known format; expected a name that ends in .html.",
        ),
        (["nowhere", "-o", "report.html"], "There is no folder nowhere; expected one with runs"),
        (
            ["runs", "-o", "/dev/null/report.html"],
            "Cannot write into /dev/null: /dev/null is not a folder; choose another folder.",
        ),
        (
            ["runs", "-o", "report.html", "--figures", "/dev/null/below"],
            "Cannot write into /dev/null/below: /dev/null is not a folder;",
        ),
        (["runs", "-o", "."], ". has no known format"),
    ],
)
def test_bad_input_gives_one_sentence_and_status_2(tmp_path, arguments, sentence):
    write(tmp_path / "runs", result("net"))
    done = subprocesses.in_folder(tmp_path, "report", *arguments)
    subprocesses.assert_refused(done.returncode, done.stderr, sentence)
    assert len(done.stderr.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["runs"]


@pytest.mark.slow
def test_the_page_loads_in_a_browser_without_errors(tmp_path, page, hostile):
    for name, text in (("page", page), ("hostile", hostile)):
        file = tmp_path / f"{name}.html"
        file.write_bytes(text.encode(errors="replace"))
        loaded, logged = subprocesses.browse(file)
        assert logged == []
        assert loaded.count('<th scope="col" class="model"><button>model</button></th>') == 1
    file.write_text(page.replace("</body>", "<script>alert(1)</script></body>"))
    assert "Content Security Policy" in subprocesses.browse(file)[1][0]


def test_rows_are_sorted_by_how_far_off_they_are_whatever_the_metric(page):
    found = re.findall(r'<td data-value="([^"]*)" class="distance number">(IoU )?([^ <]+)', page)
    assert {metric for _, metric, _ in found} == {"", "IoU "}
    for value, metric, shown in found:
        expected = 1 - float(shown) if metric else float(shown)
        assert float(value) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_a_click_on_a_header_sorts_the_leaderboard(tmp_path, page):
    script = """
      const head = (name) => [...document.querySelectorAll("#leaderboard ~ .wide th")].find((th) => th.textContent === name);
      const rows = () => [...document.querySelectorAll("#leaderboard ~ .wide tbody tr")];
      const models = () => rows().map((row) => row.cells[2].textContent + row.cells[3].textContent.match(/of (\\d)/)[1]);
      const log = [];
      for (const name of ["model", "model", "distance", "perfect", "perfect"]) {
        head(name).firstChild.click();
        log.push([name, head(name).ariaSort, models(), document.querySelectorAll("[aria-sort]").length]);
      }
      document.body.innerHTML = `<pre>${JSON.stringify(log)}</pre>`;"""
    file = tmp_path / "page.html"
    file.write_text(
        re.sub("<meta http-equiv.*?>", "", page).replace(
            "</body>", f"<script>{script}</script></body>"
        )
    )
    log = json.loads(re.search("<pre>(.*)</pre>", subprocesses.browse(file)[0])[1])
    assert log == [
        ["model", "ascending", ["computes3", "computes1", "memorises2", "paints1"], 1],
        ["model", "descending", ["paints1", "memorises2", "computes3", "computes1"], 1],
        ["distance", "ascending", ["computes3", "computes1", "paints1", "memorises2"], 1],
        ["perfect", "ascending", ["paints1", "memorises2", "computes3", "computes1"], 1],
        [
            "perfect",
            "descending",
            ["computes3", "computes1", "paints1", "memorises2"],
            1,
        ],  # All of one, and all of three
    ]


@pytest.mark.slow
def test_nothing_sticks_out_of_a_phone(tmp_path, page, hostile):
    for text in (page, hostile):
        file = tmp_path / "page.html"
        frame = """<iframe id="f" style="width: 390px; height: 800px"></iframe><pre></pre><script>
          const f = document.getElementById("f"); f.srcdoc = SOURCE;
          f.onload = () => { const d = f.contentDocument.documentElement;
            document.querySelector("pre").textContent = d.scrollWidth + " of " + d.clientWidth; };</script>"""
        source = json.dumps(text.encode(errors="replace").decode()).replace("</", "<\\/")
        file.write_text(frame.replace("SOURCE", source))
        assert re.search("<pre>(.*)</pre>", subprocesses.browse(file)[0])[1] in (
            "390 of 390",
            "375 of 375",
        )

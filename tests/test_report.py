"""`not-so-clevr report`: the page, its figures, and the page in a browser."""

import base64
import dataclasses
import hashlib
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import subprocesses
from PIL import Image

from not_so_clevr import canvas, figures, report, results
from not_so_clevr.not_so_clevr_dataset_builder import as_config
from not_so_clevr.results import Result

CONFIG = "quadrant_16_square3"
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)> $x$ ]]> {{ 7 * 7 }}\n\0\ud800javascript:alert(3)"
TASKS = {
    "classification": ("accuracy", "distance"),
    "regression": ("within_half_pixel", "error"),
    "rendering": ("exact", "iou"),
}


def result(model, *, task="classification", config=CONFIG, seed=0, wrong=0.0, **changes):
    """A run that is right on train, and on test wrong for the first examples, by 3 pixels to the left."""
    right, closeness = TASKS[task]
    about = as_config(config if config.startswith("quadrant") else CONFIG)
    examples = {}
    for split, centres in about.split_centres().items():
        off = 3.0 * (np.arange(len(centres)) < round(wrong * len(centres)) * (split == "test"))
        close = 1 - off / 4 if task == "rendering" else off
        examples[split] = {"coordinates": centres, right: 1.0 * (off == 0), closeness: close}
        if task != "rendering":
            examples[split][results.PREDICTED] = np.float32(centres - np.stack([0 * off, off], axis=1))
        elif split == "test":
            shown = np.arange(8)
            black = np.zeros((8, about.canvas_size, about.canvas_size), np.uint8)
            examples[split] |= {results.SHOWN: shown, results.PAINTED: black}
    metrics = {split: {name: float(columns[name].mean()) for name in (right, closeness)} for split, columns in examples.items()}
    final = metrics["test"][right]
    history = [{"epoch": k, "loss": 1 / k, "test": {right: final * k / 4}, "seconds": 1.0} for k in (1, 2, 3, 4)]
    values = {"model": model, "recipe": "", "task": task, "config": config, "seed": seed, "metrics": metrics, "right": right}
    values |= {"closeness": closeness, "parameters": 1234, "seconds": 10.0 + seed, "history": history, "examples": examples}
    values |= {"settings": {"epochs": 4, "l2": 0.5}, "command": f"not-so-clevr train {model}"}
    values |= {"environment": {"device": "abacus", "backend": "jax", "commit": f"c0ffee{seed}", "versions": {"keras": "3.99"}}}
    return Result(**(values | changes))


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
    return [
        *(result("computes", seed=seed) for seed in range(3)),
        *(result("memorises", seed=seed, wrong=share) for seed, share in enumerate((1.0, 0.5))),
        result("computes", task="regression"),
        result("paints", task="rendering", wrong=0.25),
    ]


@pytest.fixture(scope="module")
def page(runs):
    return report.page(runs, ["my/runs"])


def test_a_map_holds_the_mean_errors_at_the_centres():
    one, other = result("net", wrong=1.0), result("net", seed=1, wrong=0.0)
    found = figures.error_map([one, other])
    assert found.shape == (16, 16)
    for i, j in canvas.centres(16, 3):
        assert found[i, j] == (1.5 if i >= 8 and j >= 8 else 0)  # The mean of 3 px and 0 px where it is held out
    border = np.ones((16, 16), bool)
    border[1:15, 1:15] = False
    assert np.isnan(found[border]).all()
    assert figures.error_map([result("net", task="rendering", wrong=1.0)])[8, 8] == 0.75  # 1 - IoU


def test_the_outline_of_the_quadrant_is_its_border():
    mask = np.zeros((4, 4), bool)
    mask[2:, 2:] = True
    corners = [(1.5, 1.5), (3.5, 1.5), (3.5, 3.5), (1.5, 3.5)]
    found = [frozenset(map(tuple, line)) for line in figures.outline(mask).tolist()]
    assert len(found) == 4
    assert set(found) == {frozenset(pair) for pair in zip(corners, corners[1:] + corners[:1], strict=True)}


def test_the_outline_goes_around_holes_and_corners():
    mask = np.zeros((5, 6), bool)
    mask[1:4, 1:5] = True
    mask[2, 2] = False
    mask[1, 4] = False
    lengths = np.abs(np.diff(figures.outline(mask), axis=1)).sum(axis=(1, 2))
    assert lengths.sum() == 14 + 4  # Around the outside, and around the hole
    assert len(lengths) == 6 + 4


def test_a_comparison_has_a_column_for_each_task_and_one_scale_a_column(runs):
    models = list(figures.by_label(figures.having("coordinates", runs)).values())[:2]
    drawn = figures.comparison([models, models, models])
    images = [axes.images[0] for axes in drawn.axes if axes.images]
    assert len(images) == 6
    assert len({image.get_clim() for image in images}) == 1
    for image, same in zip(images, [models[0]] * 3 + [models[1]] * 3, strict=True):
        np.testing.assert_array_equal(np.ma.filled(image.get_array(), np.nan), figures.error_map(same))


def test_each_column_of_a_comparison_has_a_scale_of_its_own():
    """Up to the worst of its maps: 3 px, and 3/4 of an IOU; of perfect models up to a pixel."""
    wrong = {"classification": 1.0, "regression": 0.0, "rendering": 1.0}
    tasks = [[[result("good", task=task)], [result("bad", task=task, wrong=share)]] for task, share in wrong.items()]
    images = [axes.images[0] for axes in figures.comparison(tasks).axes if axes.images]
    assert [image.get_clim() for image in images] == [(0, 3), (0, 1), (0, 0.75)] * 2


def test_all_maps_of_a_panel_have_one_scale_and_a_perfect_model_is_painted_as_one(runs):
    bad, good = [run for run in runs if run.label == "memorises"], [run for run in runs if run.id.startswith("class")][:3]
    both = figures.errors([*bad, *good])
    scales = [axes.images[0].get_clim() for axes in both.axes if axes.images]
    assert scales == [(0, 3)] * 2  # The errors are 3 px at most.
    np.testing.assert_array_equal(both.axes[0].images[0].get_array(), np.ma.masked_invalid(figures.error_map(bad)))
    tiny = dataclasses.replace(
        good[0], examples={k: v | {"distance": v["distance"] + 1e-6} for k, v in good[0].examples.items()}
    )
    assert figures.errors([tiny]).axes[0].images[0].get_clim() == (0, 1)


def test_curves_show_the_mean_and_the_spread_and_tell_models_apart_without_colour(runs):
    several = [run for run in runs if run.task == "classification"]
    axes = figures.curves(several).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata())]
    np.testing.assert_allclose(lines[0].get_ydata(), [25, 50, 75, 100])
    np.testing.assert_allclose(lines[1].get_ydata(), np.array([25, 50, 75, 100]) * 25 / 98)  # Of 0 and 25 of 49
    spread = axes.collections[1].get_paths()[0].vertices
    assert (spread[:, 1].min(), spread[:, 1].max()) == (0, pytest.approx(100 * 25 / 49))
    assert lines[0].get_marker() != lines[1].get_marker()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_costs_stand_at_parameters_and_at_the_median_of_seconds(runs):
    both = figures.costs([run for run in runs if run.label == "computes" and run.task == "classification"])
    points = [axes.containers[0].lines[0].get_xydata().tolist() for axes in both.axes]
    assert points == [[[1234, 100]], [[11, 100]]]
    unknown = [dataclasses.replace(run, parameters=None, seconds=float("nan")) for run in runs]
    assert figures.costs(unknown) is None


def test_predictions_are_of_the_worst_run_and_lead_from_true_to_predicted():
    good, bad = result("net", wrong=0.0), result("net", seed=1, wrong=1.0)
    lines = figures.predictions([good, bad]).axes[0].lines
    ways = next(line for line in lines if line.get_color() == "#D55E00" and line.get_linestyle() == "-").get_xydata()
    ways = ways.reshape(-1, 3, 2)
    assert len(ways) == 49  # Every test example; there are fewer than 100.
    np.testing.assert_array_equal(ways[:, 1], ways[:, 0] - [3, 0])
    assert {tuple(pixel) for pixel in ways[:, 0, ::-1]} == {tuple(pixel) for pixel in bad.examples["test"]["coordinates"]}


def test_predictions_that_are_wrong_have_a_mark_of_their_own():
    run = result("net", wrong=0.25)  # 12 of 49
    marks = {line.get_marker(): line.get_xydata()[:, ::-1] for line in figures.predictions([run]).axes[0].lines}
    test = run.examples["test"]
    for marker, share in (("x", 0), (".", 1)):
        expected = test["predicted"][test["accuracy"] == share]
        assert sorted(marks[marker].tolist()) == sorted(expected.tolist())
    assert len(marks["x"]) == 12


def test_paintings_stand_below_true_canvases():
    run = result("net", task="rendering")
    images = [axes.images[0].get_array() for axes in figures.paintings([run]).axes]
    true = canvas.draw(run.examples["test"]["coordinates"][:8], 16, 3)[..., 0]
    rows = np.array(images).reshape(4, 4, 16, 16)
    np.testing.assert_array_equal(np.concatenate([rows[0], rows[2]]), true)
    assert not rows[[1, 3]].any()


def test_the_leaderboard_and_what_was_published_are_on_the_page(page, runs):
    found = Page(page)
    for row in results.leaderboard(runs):
        for cell in results.cells(row)[:-1]:
            assert cell in found.text
    assert "25.5 % ± 324" in found.text  # 0 and 25 of 49 are right; t is 12.706, the standard deviation of the mean 25 / 98.
    assert "about 0 %" in found.text
    assert "Liu et al. 2018" in found.text
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


def test_links_lead_somewhere_and_ids_are_unique(page):
    found = Page(page)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    links = [
        link for link in found.values("href") + found.values("xlink:href") if not link.startswith("data:image/png;base64,")
    ]
    links += re.findall(r"url\((#\w+)\)", page)
    assert len(links) > 100
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_each_figure_is_told_in_words(page):
    images = [attributes for _, attributes in Page(page).elements if attributes.get("role") == "img"]
    assert len(images) == page.count("<svg")
    texts = [" ".join(attributes["aria-label"].split()) for attributes in images]
    words = "25.5 % of test right; distance 0 px on train, 2.235 px on test; mean of 2 seeds"
    assert f"Map of errors of memorises: {words}" in texts
    assert any(text.endswith("memorises: 6.4 % after epoch 1, 25.5 % after epoch 4") for text in texts)
    assert any("seed 0, the worst: 0.0 % of test right, distance 3 px" in text for text in texts)


def test_each_region_has_a_name_of_its_own(page):
    found = Page(page)
    regions = [attributes for _, attributes in found.elements if attributes.get("role") == "region"]
    names = [attributes.get("aria-label") or attributes["aria-labelledby"] for attributes in regions]
    assert len(set(names)) == len(names) > 3
    assert {attributes["aria-labelledby"] for attributes in regions if "aria-labelledby" in attributes} <= set(
        found.values("id")
    )


def test_a_run_that_was_made_from_no_checkout_has_an_unknown_commit(tmp_path):
    text = report.page([result("installed", environment={"commit": None})], [tmp_path])
    assert "<code>unknown</code> (1)" in text
    assert "null" not in Page(text).text


def test_a_model_that_is_two_pixels_off_differs_from_a_perfect_one_beside_a_very_bad_one():
    """On the map of each, in the darkness of its colour from 0 to 1."""
    far = dataclasses.replace(result("far", wrong=1.0), examples={})
    for split, columns in result("far", wrong=1.0).examples.items():
        far.examples[split] = {**columns, "distance": columns["distance"] / 3 * 80}
    drawn = figures.errors([result("near", wrong=1.0), result("perfect"), far])
    near, perfect, bad = (cell.images[0].norm(cell.images[0].get_array()).max() for cell in drawn.axes[:3])
    assert perfect == 0
    assert bad == 1
    assert 0.2 < near < 0.5


def test_black_takes_the_colour_of_the_text(page):
    assert "currentColor" in page
    assert "#000000" not in page


@pytest.fixture(scope="module")
def hostile_runs():
    environment = {key: HOSTILE for key in ("device", "backend", "commit", "platform")} | {"versions": {HOSTILE: HOSTILE}}
    strange = {"recipe": HOSTILE, "settings": {HOSTILE: [HOSTILE]}, "command": HOSTILE, "environment": environment}
    runs = [result(model, **strange) for model in (HOSTILE, "", "_hidden", "x" * 300, "$x$")]
    return [*runs, dataclasses.replace(runs[0], task=HOSTILE), dataclasses.replace(runs[1], config=HOSTILE, examples={})]


@pytest.fixture(scope="module")
def hostile(hostile_runs):
    return report.page(hostile_runs, [HOSTILE])


def test_what_run_files_say_is_only_text(hostile):
    found = Page(hostile)
    scripts = [attributes for tag, attributes in found.elements if tag == "script"]
    assert scripts == [{}]
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert not {"img", "iframe", "object", "link", "form", "base"} & {tag for tag, _ in found.elements}
    for name in ("src", "href", "xlink:href", "action"):
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in found.values(name))
    assert "<script>alert(1)" in found.text
    assert "{{ 7 * 7 }}" in found.text
    assert re.search(r"<text[^>]*>_hidden-", hostile)  # In a legend


def test_no_script_but_the_one_of_the_template_may_run(page):
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attributes["content"] for tag, attributes in Page(page).elements if "http-equiv" in attributes)
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_figures_of_hostile_names_stay_in_their_folder(tmp_path, hostile_runs):
    files = report.write_figures(tmp_path / "pictures", hostile_runs)
    assert sorted(tmp_path.rglob("*.*")) == sorted(files)
    assert len(files) == 2 * (4 + 4 + 2)


def damaged(folder):
    (folder / results.ERRORS).write_bytes((folder / results.ERRORS).read_bytes()[:300])


def changed(**columns):
    def change(folder):
        with np.load(folder / results.ERRORS) as arrays:
            np.savez(folder / results.ERRORS, **{**arrays, **{f"test/{name}": values for name, values in columns.items()}})

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / results.ERRORS).unlink(),
        damaged,
        changed(distance=np.ones(3)),
        changed(distance=np.full(49, np.nan)),
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
    assert "There is no map of lost : no run of it has its examples" in text
    assert "There is no map of whole" not in text


def test_examples_are_read_as_they_were_written(tmp_path):
    (read,), _ = report.load([write(tmp_path, result("net", wrong=0.5))])
    for split, columns in result("net", wrong=0.5).examples.items():
        for name, values in columns.items():
            np.testing.assert_array_equal(read.examples[split][name], values)


def test_the_examples_of_another_run_of_the_same_name_are_left_out(tmp_path):
    write(tmp_path, result("net", wrong=1.0), result("net", wrong=0.0))
    (tmp_path / "run0" / results.ERRORS).unlink()
    found, problems = report.load([tmp_path])
    assert [run.metrics["test"]["accuracy"] for run in found] == [0]
    assert not found[0].examples
    assert len(problems) == 1


@pytest.mark.parametrize(
    "history", [3, [3], [{"epoch": 1}], [{"epoch": 0, "test": {"accuracy": 1}}], [{"epoch": 1, "test": {"accuracy": 2}}]]
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
    assert "The figures are of the best 12 models; the leaderboard has 3 more." in text
    assert text.count("Map of errors of") == 12
    assert "Map of errors of net00:" in text
    assert "Map of errors of net14:" not in text
    assert '<td data-value="net14"' in text


def test_the_command_writes_the_same_bytes_again_and_figures_for_papers(tmp_path, runs):
    folder, page, pictures = write(tmp_path / "runs", *runs), tmp_path / "report.html", tmp_path / "pictures"
    (folder / "run0" / results.FILE).write_text("{")
    pages = []
    for seed in ("1", "2"):
        arguments = ("report", folder, "-o", page, "--figures", pictures)
        done = subprocesses.command(*arguments, cwd=tmp_path, PYTHONHASHSEED=seed)
        assert done.returncode == 2
        assert done.stderr.startswith(f"not-so-clevr: {folder / 'run0' / results.FILE} is not the result of a run (")
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout.splitlines() == [f"The report is in {page}", f"The figures are in {pictures}"]
        pages.append([file.read_bytes() for file in (page, *sorted(pictures.iterdir()))])
    assert pages[0] == pages[1]
    assert "6 run files" in Page(page.read_text()).text
    kinds = {
        "classification": ("errors", "predictions", "curves", "costs"),
        "regression": ("errors", "predictions", "curves", "costs"),
        "rendering": ("errors", "paintings", "curves", "costs"),
    }
    names = {f"{kind}-{task}-{CONFIG}" for task, of_task in kinds.items() for kind in of_task}
    assert {file.name for file in pictures.iterdir()} == {f"{name}{ending}" for name in names for ending in (".png", ".pdf")}
    for name in names:
        assert Image.open(pictures / f"{name}.png").convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert (pictures / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["runs", "-o", "report.pdf"], "report.pdf does not tell the format; expected a name that ends in .html."),
        (["nowhere", "-o", "report.html"], "There is no folder nowhere; expected one with runs"),
        (["runs", "-o", "/dev/null/report.html"], "Cannot write /dev/null/report.html: Not a directory."),
        (["runs", "-o", "report.html", "--figures", "/dev/null/below"], "Cannot write /dev/null/below/errors-classification-"),
    ],
)
def test_bad_input_gives_one_sentence_and_status_2(tmp_path, arguments, sentence):
    write(tmp_path / "runs", result("net"))
    done = subprocesses.command("report", *arguments, cwd=tmp_path)
    subprocesses.assert_refused(done.returncode, done.stderr, sentence)
    assert len(done.stderr.splitlines()) == 1


def browse(file, *options):
    """Returns the page after it was loaded, and what the browser logged of it."""
    if not (browser := shutil.which("chromium")):
        pytest.skip("There is no browser; install Debian's chromium.")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([browser, *fixed, *options, file.as_uri()], capture_output=True, text=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_page_loads_in_a_browser_without_errors(tmp_path, page, hostile):
    for name, text in (("page", page), ("hostile", hostile)):
        file = tmp_path / f"{name}.html"
        file.write_bytes(text.encode(errors="replace"))
        loaded, logged = browse(file)
        assert logged == []
        assert loaded.count('<th scope="col" class="model"><button>model</button></th>') == 1
    file.write_text(page.replace("</body>", "<script>alert(1)</script></body>"))
    assert "Content Security Policy" in browse(file)[1][0]


def test_a_click_on_a_header_sorts_the_leaderboard(tmp_path, page):
    script = """
      const head = (name) => [...document.querySelectorAll("#leaderboard ~ .wide th")].find((th) => th.textContent === name);
      const rows = () => [...document.querySelectorAll("#leaderboard ~ .wide tbody tr")];
      const models = () => rows().map((row) => row.cells[2].textContent + row.cells[3].textContent);
      const log = [];
      for (const name of ["model", "model", "seeds", "closeness"]) {
        head(name).firstChild.click();
        log.push([name, head(name).ariaSort, models(), document.querySelectorAll("[aria-sort]").length]);
      }
      document.body.innerHTML = `<pre>${JSON.stringify(log)}</pre>`;"""
    file = tmp_path / "page.html"
    file.write_text(re.sub("<meta http-equiv.*?>", "", page).replace("</body>", f"<script>{script}</script></body>"))
    log = json.loads(re.search("<pre>(.*)</pre>", browse(file)[0])[1])
    assert log == [
        ["model", "ascending", ["computes3", "computes1", "memorises2", "paints1"], 1],
        ["model", "descending", ["paints1", "memorises2", "computes3", "computes1"], 1],
        ["seeds", "ascending", ["paints1", "computes1", "memorises2", "computes3"], 1],
        ["closeness", "ascending", ["computes1", "computes3", "paints1", "memorises2"], 1],
    ]


def test_nothing_sticks_out_of_a_phone(tmp_path, page, hostile):
    for text in (page, hostile):
        file = tmp_path / "page.html"
        frame = """<iframe id="f" style="width: 390px; height: 800px"></iframe><pre></pre><script>
          const f = document.getElementById("f"); f.srcdoc = SOURCE;
          f.onload = () => { const d = f.contentDocument.documentElement;
            document.querySelector("pre").textContent = d.scrollWidth + " of " + d.clientWidth; };</script>"""
        source = json.dumps(text.encode(errors="replace").decode()).replace("</", "<\\/")
        file.write_text(frame.replace("SOURCE", source))
        assert re.search("<pre>(.*)</pre>", browse(file)[0])[1] in ("390 of 390", "375 of 375")
